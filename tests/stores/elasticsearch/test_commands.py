"""The commands, typed with an address: what they print is what they print of a gallery in a folder."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lookalike import Gallery
from lookalike.cli import run
from lookalike.stores import exists

PROGRAM = Path(sys.executable).with_name("lookalike")
HUES = {"red": (220, 40, 40), "green": (40, 220, 40), "blue": (40, 40, 220)}
PLACES = {"gallery", "deleted", "path", "seconds", "bytes", "root", "indexed"}
"""What is said of places and times, and differs."""


@pytest.fixture
def root(tmp_path):
    """Twelve pictures in folders called after their colour, and one that is broken."""
    folder = tmp_path / "pictures"
    dice = np.random.default_rng(0)
    for i in range(12):
        hue = list(HUES)[i % 3]
        (folder / hue).mkdir(parents=True, exist_ok=True)
        halves = np.clip(HUES[hue] + dice.integers(-35, 35, (2, 1, 3)), 0, 255).astype(np.uint8)
        Image.fromarray(halves.repeat(8, axis=0).repeat(16, axis=1)).save(folder / hue / f"{i:02}.png")
    (folder / "broken.jpg").write_bytes(b"\xff\xd8\xff nonsense")
    return folder


@pytest.fixture
def said(capsys):
    """Runs a command, and gives what it printed as JSON."""

    def by(*words, code=0):
        capsys.readouterr()
        assert run([*map(str, words), "--json"]) == code, capsys.readouterr().err
        return json.loads(capsys.readouterr().out)

    return by


@pytest.fixture
def refused(capsys):
    """Runs a command that can't be meant; what it says of that."""

    def by(*words):
        assert run([*map(str, words)]) == 2
        return capsys.readouterr().err

    return by


def _agree(mine, theirs):
    """Whether two answers are the same but for the place, times, and rounding."""
    if isinstance(theirs, dict):
        assert mine.keys() == theirs.keys()
        for key in theirs.keys() - PLACES:
            _agree(mine[key], theirs[key])
    elif isinstance(theirs, list):
        assert len(mine) == len(theirs)
        for one, other in zip(mine, theirs, strict=True):
            _agree(one, other)
    elif isinstance(theirs, float):
        assert mine == pytest.approx(theirs, abs=1e-3)
    else:
        assert mine == theirs


def test_every_command(root, tmp_path, elasticsearch_address, said):
    """In turn, with --json: each says and does what it says and does with a folder."""
    places = (str(tmp_path / "gallery"), elasticsearch_address)

    def both(*words):
        answers = [said(*words, "--gallery", place) for place in places]
        _agree(answers[1], answers[0])
        return answers[1]

    assert both("index", root, "--model", "toy")["added"] == 12
    assert both("info")["count"] == 12
    assert len(both("search", root / "red" / "00.png", "-k", 5)["hits"]) == 5
    assert both("find", "red", "-k", 4)["hits"][0]["id"].startswith("red/")
    assert both("neighbors", "-k", 2)
    assert both("evaluate", "--labels", "folder")
    for place, name in zip(places, ("theirs", "mine"), strict=True):
        assert said("export", tmp_path / f"{name}.npz", "--gallery", place)["count"] == 12
    files = [np.load(tmp_path / f"{name}.npz") for name in ("theirs", "mine")]
    assert files[1]["ids"].tolist() == files[0]["ids"].tolist()
    np.testing.assert_allclose(files[1]["vectors"], files[0]["vectors"], atol=1e-6)
    both("remove", "red/00.png")
    assert both("reindex", "--model", "toy?grid=2")["total"] == 11
    assert both("check") == {"faults": [], "repaired": [], "left": []}
    copies = [said("copy", "--to", tmp_path / f"copy {i}", "--gallery", p) for i, p in enumerate(places)]
    _agree(copies[1], copies[0])
    assert said("info", "--gallery", tmp_path / "copy 1")["dim"] == 12
    back = said("copy", "--gallery", tmp_path / "copy 1", "--to", elasticsearch_address)
    assert (back["unchanged"], back["added"]) == (11, 0)
    assert both("delete", "--yes")["count"] == 11
    assert not exists(elasticsearch_address)


def test_compared(root, elasticsearch_address, said):
    """A gallery in a cluster is as good as one of the same model in the folder."""
    said("index", root, "--model", "toy")
    said("index", root, "--model", "toy", "--gallery", elasticsearch_address)
    found = said("compare", root, "--galleries", "default", elasticsearch_address, "--labels", "folder")
    one, other = found["methods"]
    costs = {
        "method",
        "bytes_per_picture",
        "pictures_per_second",
        "pictures_per_second_from",
        "ms_per_search",
    }
    assert one.keys() > costs
    _agree(*({key: value for key, value in each.items() if key not in costs} for each in (other, one)))


def test_deleting_asks_first(root, elasticsearch_address, said):
    """The question tells address and number; without an answer nothing is deleted."""
    said("index", root, "--model", "toy", "--gallery", elasticsearch_address)
    command = [PROGRAM, "delete", "--gallery", elasticsearch_address]
    asked = subprocess.run(command, input="n\n", capture_output=True, text=True, check=False)
    assert f"{elasticsearch_address}, with its 12 pictures?" in asked.stderr
    assert asked.returncode != 0
    assert exists(elasticsearch_address)


def test_a_later_format_can_be_deleted(client, name, root, elasticsearch_address, said):
    """What can't be opened by this version is asked for without a number, and goes."""
    said("index", root, "--model", "toy", "--gallery", elasticsearch_address)
    (index, about), *_ = client.indices.get_mapping(index=name).items()
    meta = about["mappings"]["_meta"]
    meta["lookalike"]["format"] = 99
    client.indices.put_mapping(index=index, meta=meta)
    assert run(["info", "--gallery", elasticsearch_address]) == 1
    assert said("delete", "--yes", "--gallery", elasticsearch_address)["count"] is None
    assert not exists(elasticsearch_address)


def test_more_than_it_gives(root, elasticsearch_address, said, refused):
    """More than 10,000 pictures are not to be asked for, which is said before anything is done."""
    said("index", root, "--model", "toy", "--gallery", elasticsearch_address)
    for words in (["search", root / "red" / "00.png"], ["find", "red"]):
        message = refused(*words, "-k", "10001", "--gallery", elasticsearch_address)
        assert "10,000" in message


def test_longer_than_it_takes(client, name, root, tmp_path, elasticsearch_address, said, refused):
    """Vectors of more than 4,096 numbers: said before a picture is opened, and nothing is left half done."""
    wide, place = "toy?grid=37", tmp_path / "wide"
    assert "4,107 numbers, at most 4,096" in refused(
        "index", root, "--model", wide, "--gallery", elasticsearch_address
    )
    said("index", root, "--model", wide, "--gallery", place)
    assert "4,107 numbers" in refused("copy", "--gallery", place, "--to", elasticsearch_address)
    assert not exists(elasticsearch_address)
    said("index", root, "--model", "toy", "--gallery", elasticsearch_address)
    for file in root.rglob("*.png"):
        file.rename(file.with_suffix(".away"))  # that they are gone would be said if they were looked for
    assert "4,107 numbers" in refused("reindex", "--model", wide, "--gallery", elasticsearch_address)
    assert len(client.indices.get(index=f"{name}~*", expand_wildcards="all")) == 1
    for file in root.rglob("*.away"):
        file.rename(file.with_suffix(".png"))
    assert said("index", root, "--gallery", elasticsearch_address)["unchanged"] == 12


def test_an_answer_at_any_moment(root, elasticsearch_address, said):
    """While a gallery is made anew, and anew, who asks all the time is answered each time, and rightly."""
    said("index", root, "--model", "toy", "--gallery", elasticsearch_address)
    answers, errors, over = [], [], threading.Event()

    def ask():
        picture = (root / "red" / "03.png").read_bytes()
        try:
            with Gallery.open(gallery=elasticsearch_address) as gallery:
                while not over.is_set():
                    answers.append((time.monotonic(), gallery.search(picture, k=2)))
                    answers.append((time.monotonic(), gallery.search("id:red/03.png", include_self=True)))
        except Exception as error:  # noqa: BLE001  # told by the test's own thread
            errors.append(error)

    reader = threading.Thread(target=ask)
    reader.start()
    try:
        for model in ("toy?grid=2", "toy"):
            command = [PROGRAM, "reindex", "--model", model, "--gallery", elasticsearch_address]
            subprocess.run(command, check=True, capture_output=True)
    finally:
        over.set()
        reader.join()
    assert not errors, errors
    assert {hits.model for _, hits in answers} == {"toy", "toy?grid=2"}
    assert {hits[0].id for _, hits in answers} == {"red/03.png"}
    assert min(hits[0].score for _, hits in answers) > 0.999
    assert np.diff([moment for moment, _ in answers]).max() < 5


def test_visual_words(client, name, root, tmp_path, elasticsearch_address, said):
    """Class scores under the inner product: the command, the server and numpy agree in the paper's score."""
    place = ["--gallery", elasticsearch_address]
    said("index", root, "--model", "toy@classes", "--metric", "inner", *place)
    said("export", tmp_path / "words.npz", *place)
    words = np.load(tmp_path / "words.npz")
    eta = words["vectors"][words["ids"].tolist().index("red/00.png")].astype(np.float64)
    paper = dict(zip(words["ids"].tolist(), 1 + words["vectors"] @ eta, strict=True))
    order = sorted(paper, key=lambda id_: -paper[id_])
    hits = said("search", "id:red/00.png", "-k", "20", *place)["hits"]
    assert [hit["id"] for hit in hits] == [id_ for id_ in order if id_ != "red/00.png"]
    assert [hit["scores"]["paper"] for hit in hits] == pytest.approx(
        [paper[hit["id"]] for hit in hits], abs=1e-5
    )
    knn = {"field": "vector", "query_vector": eta.tolist(), "k": 12, "num_candidates": 12}
    raw = client.search(index=name, knn=knn, size=12)["hits"]["hits"]
    assert [hit["_id"] for hit in raw] == order
    assert [hit["_score"] for hit in raw] == pytest.approx([paper[id_] for id_ in order], abs=1e-5)
    found = said("find", "red", "-k", "4", *place)["hits"]
    assert all(hit["id"].startswith("red/") for hit in found)
