"""The commands on real pictures, by the real program with the default model."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest


@pytest.fixture(scope="module")
def pictures(photos, tmp_path_factory):
    """A folder of photographs with a gallery, and three pictures that need care."""
    folder = tmp_path_factory.mktemp("cli") / "pictures"
    shutil.copytree(photos, folder / "photos")
    odd = folder / "odd"
    odd.mkdir()
    shutil.copyfile(photos / "rocket.jpg", odd / "new\nline 🙂.jpg")
    shutil.copyfile(photos / "coffee.png", os.fsdecode(os.fsencode(odd) + b"/\xff\x1b[31m.png"))
    (odd / "broken.jpg").write_bytes((photos / "rocket.jpg").read_bytes()[:3000])
    subprocess.run(["lookalike", "index", folder], check=True, capture_output=True, env=_environment())
    return folder


def _environment():
    return {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}


def test_index_reports(lookalike, pictures):
    """An index run that finds nothing new exits 0, says so in two lines, and repeats no skipped file."""
    done = lookalike("index", pictures)
    assert done.returncode == 0
    assert "14 unchanged, 1 skipped; 14 pictures" in done.stdout
    assert done.stdout.count("\n") == 2
    assert done.stderr == ""


def test_index_json_is_the_contract(lookalike, pictures):
    """`index --json` prints just the keys agreed on."""
    report = json.loads(lookalike("index", pictures, "--json").stdout)
    assert set(report) == {
        "root", "gallery", "model", "added", "updated", "unchanged", "moved", "removed", "missing",
        "total", "skipped", "seconds",
    }  # fmt: skip
    assert report["total"] == report["unchanged"] == 14
    assert report["skipped"] == [
        {"path": "odd/broken.jpg", "reason": "truncated JPEG: 2 % of its rows are there"}
    ]


def test_quiet_index_says_nothing(lookalike, pictures):
    """--quiet prints neither summary nor skipped files."""
    done = lookalike("index", pictures, "--quiet")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_index_without_a_folder_updates_the_gallery_found(lookalike, pictures):
    """Without a folder every folder of the gallery found upward is looked through again."""
    done = lookalike("index", cwd=pictures / "odd")
    assert done.returncode == 0
    assert "14 unchanged" in done.stdout


def test_index_takes_several_folders(lookalike, photos, tmp_path):
    """Several folders make one gallery; it lies in the first, the others' ids are whole paths."""
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        shutil.copyfile(photos / f"{'coffee' if name == 'one' else 'chelsea'}.png", tmp_path / name / "a.png")
    assert json.loads(lookalike("index", "one", "two", "--json").stdout)["added"] == 2
    hits = json.loads(lookalike("search", "../two/a.png", "--json", cwd=tmp_path / "one").stdout)["hits"]
    assert [hit["id"] for hit in hits] == ["a.png"]


def test_index_reads_metadata(lookalike, photos, tmp_path):
    """A table given by --metadata brings fields that filters can name."""
    for name in ("coffee.png", "chelsea.png"):
        shutil.copyfile(photos / name, tmp_path / name)
    (tmp_path / "table.csv").write_text("path,price\ncoffee.png,3\nchelsea.png,400\n")
    assert lookalike("index", ".", "--metadata", "table.csv").returncode == 0
    answer = json.loads(lookalike("search", photos / "rocket.jpg", "--where", "price>=10", "--json").stdout)
    assert [hit["id"] for hit in answer["hits"]] == ["chelsea.png"]


def test_search_leaves_out_the_query(lookalike, pictures):
    """A picture of the gallery finds others, its copy first; and never itself."""
    answer = json.loads(lookalike("search", "photos/rocket.jpg", "--json", cwd=pictures).stdout)
    assert answer["hits"][0]["id"] == "odd/new\nline 🙂.jpg"
    assert answer["hits"][0]["score"] == pytest.approx(1, abs=1e-3)
    assert "photos/rocket.jpg" not in [hit["id"] for hit in answer["hits"]]


def test_search_json_is_the_contract(lookalike, pictures):
    """`search --json` prints just the keys agreed on."""
    answer = json.loads(lookalike("search", "id:photos/rocket.jpg", "-k", "2", "--json", cwd=pictures).stdout)
    assert set(answer) == {"query", "model", "metric", "notes", "stages", "hits"}
    hit = answer["hits"][0]
    facts = {"rank", "id", "path", "score", "distance", "scores", "tags", "metadata"}
    assert set(hit) == facts | {"width", "height", "digest"}
    assert set(hit["tags"][0]) == {"id", "name", "score"}
    assert [hit["rank"] for hit in answer["hits"]] == [1, 2]
    assert Path(hit["path"]).samefile(pictures / hit["id"])


def test_search_prints_a_table(lookalike, pictures):
    """Names stand in the table whole and on one line, whatever characters they have."""
    done = lookalike("search", "photos/coffee.png", "-k", "1", cwd=pictures)
    assert done.returncode == 0
    head, line = done.stdout.splitlines()
    assert head.split() == ["score", "picture", "what", "it", "shows"]
    assert line.startswith("1  1.000  odd/\\xff\\x1b[31m.png  espresso ")


def test_search_reads_standard_input(lookalike, pictures, photos):
    """The query - is the picture on standard input."""
    done = lookalike(
        "search", "-", "-k", "2", "--json", cwd=pictures, stdin=(photos / "coffee.png").read_bytes()
    )
    assert {hit["id"] for hit in json.loads(done.stdout)["hits"]} == {
        "photos/coffee.png",
        "odd/\\xff\x1b[31m.png",
    }


def test_search_filters(lookalike, pictures):
    """--where, repeated on one field, means or; --unique shows one of identical files."""
    words = ("search", "photos/rocket.jpg", "--where", "folder=odd", "--where", "height>=420", "--json")
    found = json.loads(lookalike(*words, cwd=pictures).stdout)["hits"]
    assert [hit["id"] for hit in found] == ["odd/new\nline 🙂.jpg"]
    both = json.loads(
        lookalike("search", "photos/moon.png", "-k", "99", "--unique", "--json", cwd=pictures).stdout
    )["hits"]
    assert len(both) == 11


def test_search_writes_a_page(lookalike, pictures, tmp_path):
    """--html writes one page that needs no other file, and says where."""
    page = tmp_path / "result.html"
    done = lookalike("search", "photos/rocket.jpg", "--html", page, cwd=pictures)
    assert str(page) in done.stderr
    text = page.read_text("utf-8")
    assert text.startswith("<!DOCTYPE html>")
    assert "data:image/jpeg;base64," in text
    assert "\x1b" not in text


def test_find_shows_both_parts(lookalike, pictures):
    """`find` prints the class part and the text part beside the score."""
    done = lookalike("find", "espresso", "-k", "1", cwd=pictures)
    assert done.stdout.split()[:3] == ["score", "classes", "text"]
    answer = json.loads(lookalike("find", "cat", "-k", "1", "--json", cwd=pictures).stdout)
    assert answer["hits"][0]["id"] == "photos/chelsea.png"
    assert {"classes", "text"} <= set(answer["hits"][0]["scores"])


def test_find_takes_phrases(lookalike, pictures):
    """Several words must all be satisfied, one argument of several words is a phrase."""
    only_text = ("find", "--only", "text", "--json")
    assert json.loads(lookalike(*only_text, "motorcycle", "left", cwd=pictures).stdout)["hits"][0]["id"] == (
        "photos/motorcycle_left.png"
    )


def test_describe(lookalike, pictures):
    """`describe` names what the model sees, with probabilities: Chelsea is an Egyptian cat."""
    done = lookalike("describe", "photos/chelsea.png", "-k", "1", "--json", cwd=pictures)
    (tag,) = json.loads(done.stdout)["tags"]
    assert (tag["id"], tag["name"]) == ("n02124075", "Egyptian cat")
    assert tag["score"] == pytest.approx(0.771, abs=0.03)


def test_info(lookalike, pictures):
    """`info --json` has at least the keys agreed on; the text names the model; skipped files have reasons."""
    facts = json.loads(lookalike("info", "--json", cwd=pictures).stdout)
    assert {
        "gallery", "root", "model", "dim", "metric", "precision", "count", "skipped", "bytes", "format",
    } <= set(facts)  # fmt: skip
    assert (facts["count"], facts["skipped"], facts["dim"]) == (14, 1, 1280)
    assert "efficientnet-lite0" in lookalike("info", cwd=pictures).stdout
    assert (
        lookalike("info", "--skipped", cwd=pictures).stdout
        == "odd/broken.jpg: truncated JPEG: 2 % of its rows are there\n"
    )


def test_export(lookalike, pictures, tmp_path):
    """`export` writes ids and unit vectors that numpy reads without pickle."""
    assert (
        lookalike("export", tmp_path / "v.npz", cwd=pictures).stdout
        == f"14 vectors written to {tmp_path}/v.npz\n"
    )
    with np.load(tmp_path / "v.npz", allow_pickle=False) as arrays:
        assert arrays["vectors"].shape == (14, 1280)
        assert "photos/rocket.jpg" in arrays["ids"]


def test_check_and_models(lookalike, pictures):
    """A good gallery has no fault; the default model is listed with what it is."""
    done = lookalike("check", cwd=pictures)
    assert (done.returncode, done.stdout) == (0, "no fault found\n")
    models = json.loads(lookalike("models", "--json").stdout)["models"]
    assert "ImageNet" in next(m["description"] for m in models if m["name"] == "efficientnet-lite0")


def test_remove_and_restore(lookalike, photos, tmp_path):
    """What was removed stays out of the next index, until it is restored."""
    for name in ("coffee.png", "chelsea.png"):
        shutil.copyfile(photos / name, tmp_path / name)
    lookalike("index", ".")
    assert lookalike("remove", "coffee.png").stdout == "1 removed\n"
    assert json.loads(lookalike("index", ".", "--json").stdout)["total"] == 1
    assert lookalike("remove", "--list").stdout == "coffee.png\n"
    assert lookalike("remove", "--restore").returncode == 0
    assert json.loads(lookalike("index", ".", "--json").stdout)["total"] == 2


def test_reindex(lookalike, photos, tmp_path):
    """`index` refuses another model and names both ways out; `reindex` swaps the gallery."""
    shutil.copyfile(photos / "coffee.png", tmp_path / "coffee.png")
    lookalike("index", ".")
    refused = lookalike("index", ".", "--model", "efficientnet-lite0@features")
    assert refused.returncode == 1
    assert "--name" in refused.stderr
    assert "reindex" in refused.stderr
    assert lookalike("reindex", "--model", "efficientnet-lite0@features").returncode == 0
    assert json.loads(lookalike("info", "--json").stdout)["model"] == "efficientnet-lite0@features"


def test_gallery_by_environment(lookalike, pictures, tmp_path):
    """LOOKALIKE_GALLERY names the gallery where --gallery does not."""
    done = lookalike("info", "--json", LOOKALIKE_GALLERY=str(pictures / ".lookalike" / "default"))
    assert json.loads(done.stdout)["count"] == 14
    assert list(tmp_path.iterdir()) == []


def test_ctrl_c_keeps_what_was_written(stamps, tmp_path):
    """Ctrl-C while indexing exits 130 with one line; the next run goes on from there."""
    gallery = tmp_path / "gallery"
    words = ["lookalike", "index", stamps, "--gallery", gallery]
    running = subprocess.Popen(
        words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=_environment(), text=True
    )
    while running.poll() is None and not (gallery / "gallery.sqlite").exists():
        time.sleep(0.01)
    time.sleep(0.5)
    running.send_signal(signal.SIGINT)
    out, err = running.communicate(timeout=60)
    assert (running.returncode, out) == (130, "")
    assert err == "\nlookalike: stopped; what was written is kept, run the same again to go on\n"
    again = subprocess.run(
        [*words, "--json"], capture_output=True, env=_environment(), check=True, timeout=120
    )
    assert json.loads(again.stdout)["total"] == 796
