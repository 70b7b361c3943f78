"""Commands that are killed, or whose disk fails or is full, at any call that changes a file."""

from __future__ import annotations

import os
import random
import shutil
import signal
import tarfile
import threading
from contextlib import closing
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lookalike import Gallery
from lookalike.extractors import cards
from lookalike.stores import exists, open_store
from lookalike.stores.sqlite.schema import FORMAT

WRITE, CREATE, TRUNCATE, ALL = 1, 16, 32, 63  # as `faults.c` numbers the calls

ROUNDS = int(os.environ.get("LOOKALIKE_FAULT_KILLS", "50"))
PICTURES, THERE = 150, 70

COMMANDS = {
    "index": ("index", "pictures", "--quiet"),
    "new": ("index", "pictures", "--name", "new", "--model", "toy", "--quiet"),
    "metadata": ("index", "pictures", "--metadata", "metadata.csv", "--quiet"),
    "reindex": ("reindex", "--model", "toy", "--gallery", "pictures", "--quiet"),
    "remove": ("remove", "000.bmp", "001.bmp", "--gallery", "pictures"),
    "import": ("import", "vectors.npz", "--name", "imported"),
    "copy": ("copy", "--gallery", "pictures", "--to", "copied"),
    "export": ("export", "out.npz", "--gallery", "pictures"),
    "page": ("search", "id:005.bmp", "--gallery", "pictures", "--html", "page.html"),
    "delete": ("delete", "--yes", "--gallery", "pictures/.lookalike/default"),
    "convert": ("convert", "labelled", "--model", "./ranker", "--name", "ranked", "--quiet"),
    "train": ("train", "ranker", "labelled", "--out", "trained", "--overwrite", "--quiet"),
    "fetch": ("fetch", "table.csv", "--into", "fetched", "--allow-private", "--quiet"),
}
MADE = {
    "convert": "labelled/.lookalike/ranked",
    "new": "pictures/.lookalike/new",
    "import": ".lookalike/imported",
    "copy": "copied",
}
"""The galleries that commands make, beside that of the pictures."""


@pytest.fixture(scope="module")
def _address(tmp_path_factory):
    """A server of a few pictures."""
    folder = tmp_path_factory.mktemp("served")
    for number in range(8):
        Image.new("RGB", (9, 9), (number, 99, 9)).save(folder / f"{number}.png")

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=folder)) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture(scope="module")
def template(tmp_path_factory, program, _address):
    """A folder with pictures, most of them in a gallery, and what the commands take."""
    folder = tmp_path_factory.mktemp("template")
    pictures = folder / "pictures"
    pictures.mkdir()
    for number in range(PICTURES):
        Image.new("RGB", (2, 2), (number, 255 - number, 99)).save(pictures / f"{number:03}.bmp")
        if number == THERE - 1:
            assert program.run(folder, "index", "pictures", "--model", "toy").code == 0
    rows = "".join(f"{number:03}.bmp,{number}\n" for number in range(PICTURES))
    (folder / "metadata.csv").write_text(f"path,price\n{rows}")
    ids = np.array([f"v{number}" for number in range(99)])
    vectors = np.random.default_rng(0).normal(size=(99, 64)).astype(np.float32)
    np.savez(folder / "vectors.npz", ids=ids, vectors=vectors)
    (folder / "table.csv").write_text("url\n" + "".join(f"{_address}/{n}.png\n" for n in range(8)))
    _make_labelled(program, folder)
    for name in ("page.html", "out.npz"):
        (folder / name).write_text("older")
    return folder


def _make_labelled(program, folder):
    """A gallery that a ranker can learn from, and one that did."""
    dice = random.Random(3)  # noqa: S311
    for label, shade in (("dark", 30), ("light", 200)):
        (folder / "labelled" / label).mkdir(parents=True)
        for number in range(40):
            colour = shade + dice.randrange(40), dice.randrange(256), 99
            Image.new("RGB", (2, 2), colour).save(folder / "labelled" / label / f"{number:02}.bmp")
    for words in (("index", "labelled"), ("train", "ranker", "labelled", "--out", "ranker")):
        assert program.run(folder, *words, "--quiet").code == 0


def _state(folder, gallery="pictures/.lookalike/default"):
    """What a gallery holds, once it is sure that it is sound; None where there is none."""
    if not exists(folder / gallery):
        return None
    with Gallery.open(gallery=folder / gallery) as opened:
        assert opened.check() == []
        records = list(opened.records())
        assert len(opened) == len(records)
        return {record.id: record.metadata for record in records}


def _result(folder, name):
    """All that a command makes or changes."""
    made = MADE.get(name)
    files = sorted(path.name for path in (folder / "fetched").glob("*.png")) if name == "fetch" else []
    if name == "train":
        card = cards.read(folder / "trained" / "model.json")  # which looks at every file that it names
        files = [*card.files, *sorted(path.name for path in (folder / "trained").iterdir())]
    return _state(folder), _state(folder, made) if made else None, files


@pytest.fixture(scope="module")
def whole(program, template, tmp_path_factory):
    """For each command the calls it makes where nothing fails, and what comes out."""
    done = {}
    for name, words in COMMANDS.items():
        folder = shutil.copytree(template, tmp_path_factory.mktemp("whole") / "work")
        ran = program.run(folder, *words, coded=60)
        assert ran.code == 0, ran.err
        assert ran.counted > 3
        done[name] = ran.counted, _result(folder, name)
    return done


def _cases():
    """The commands in turn, each at calls spread over all that it makes."""
    dice = random.Random(11)  # noqa: S311
    names = list(COMMANDS)
    return [(names[n % len(names)], dice.random()) for n in range(ROUNDS)]


def _kept(folder, name, before):
    """Make sure that nothing is lost that was there before."""
    now = _state(folder)
    if name == "delete":
        return
    gone = set(before) - set(now)
    assert gone <= ({"000.bmp", "001.bmp"} if name == "remove" else set())
    if name == "page":
        assert (folder / "page.html").read_text().startswith(("older", "<!DOCTYPE html>"))
    if name == "export" and (folder / "out.npz").read_bytes() != b"older":
        assert len(np.load(folder / "out.npz")["ids"]) == THERE
    for gallery in MADE.values():
        _state(folder, gallery)
    assert len(_state(folder, "labelled/.lookalike/default")) == 80


def _survives(program, template, whole, tmp_path, name, part, **fault):
    count, expected = whole[name]
    at = 1 + int(part * count)
    folder = shutil.copytree(template, tmp_path / "work")
    before = _state(folder)
    ran = program.run(folder, *COMMANDS[name], at=at, coded=60, **fault)
    try:
        if name == "delete" and not exists(folder / "pictures/.lookalike/default"):
            return ran
        if name != "delete":
            _kept(folder, name, before)
        again = program.run(folder, *COMMANDS[name], coded=60)
        assert again.code == 0 or "names no picture" in again.err, again.err
        assert _result(folder, name) == expected
        left = [p.name for p in folder.rglob("*") if p.name.endswith((".tmp", ".new", "-journal"))]
        assert left == []
    except Exception as error:
        raise AssertionError(f"{name} at call {at} of {count}: {ran}") from error
    finally:
        shutil.rmtree(folder)
    return ran


def test_killed_at_any_call(program, template, whole, tmp_path):
    """Killed at any write, rename, unlink or sync, a command run again completes, and nothing is lost."""
    killed = 0
    for name, part in _cases():
        killed += _survives(program, template, whole, tmp_path, name, part).code < 0
    assert killed > 0.8 * ROUNDS


@pytest.mark.parametrize("kind", ["full", "broken"])
def test_failing_at_any_call(program, template, whole, tmp_path, kind):
    """Where a disk is full from some call on, or fails once, that is said in words, and nothing is lost."""
    dice = random.Random(12)  # noqa: S311
    calls = WRITE | CREATE | TRUNCATE if kind == "full" else ALL
    for name in list(COMMANDS) * (ROUNDS // 50 or 1):
        # About half of all calls are of the kinds that a full disk refuses.
        part = dice.random() / (2 if kind == "full" else 1)
        fault = {"kind": kind, "calls": calls, "lasting": kind == "full"}
        ran = _survives(program, template, whole, tmp_path, name, part, **fault)
        assert ran.code in {0, 1, 2}
        assert ran.code == 0 or ran.err.startswith("lookalike: ")


def test_what_was_said_to_be_safe(program, template, whole, tmp_path):
    """Every picture that indexing had said is safe is there after it was killed."""
    count, expected = whole["new"]
    dice = random.Random(13)  # noqa: S311
    said = []
    for round_ in range(max(3, ROUNDS // 10)):
        folder = shutil.copytree(template, tmp_path / str(round_))
        shutil.rmtree(folder / "pictures" / ".lookalike")
        acknowledged = tmp_path / f"acknowledged-{round_}"
        job = ("pictures", str(acknowledged))
        ran = program.run(folder, at=dice.randrange(count // 2, count), add=job)
        said.append(int(acknowledged.read_text()) if acknowledged.exists() else 0)
        assert len(_state(folder) or ()) >= said[-1]
        assert ran.code < 0
        assert program.run(folder, *COMMANDS["index"], "--model", "toy").code == 0
        assert _state(folder) == expected[1]
    assert max(said) > 0


def test_a_gallery_made_on_a_full_disk(program, template, tmp_path):
    """Wherever the disk gets full, no damaged gallery has its name; the message says that room is wanted."""
    folder = shutil.copytree(template, tmp_path / "work")
    made = 0
    for at in range(1, 140, 4):
        ran = program.run(
            folder, *COMMANDS["new"], at=at, kind="full", calls=WRITE | CREATE | TRUNCATE, lasting=True
        )
        assert ran.code == 1
        assert "make room" in ran.err or "No space left" in ran.err
        state = _state(folder, MADE["new"])
        made += state is not None
        assert not state
        if state is None:
            names = {path.name for path in folder.joinpath(MADE["new"]).glob("*")}
            assert names <= {"lock"}
        shutil.rmtree(folder / MADE["new"], ignore_errors=True)
    assert 0 < made < 30


def test_reading_on_a_full_disk(program, template, tmp_path):
    """On a disk that takes nothing a gallery is searched all the same, and what would write says why not."""
    folder = shutil.copytree(template, tmp_path / "work")
    full = {"at": 1, "kind": "full", "calls": WRITE | CREATE | TRUNCATE, "lasting": True}
    for words in (("search", "id:005.bmp"), ("info",), ("check",), ("find", "bmp")):
        ran = program.run(folder, *words, "--gallery", "pictures", **full)
        assert (ran.code, "lookalike: " in ran.err) == (0, False)
    ran = program.run(folder, *COMMANDS["remove"], **full)
    assert ran.code == 1
    assert "make room" in ran.err or "No space left" in ran.err
    ran = program.run(folder, *COMMANDS["page"], **full)
    assert (ran.code, (folder / "page.html").read_text()) == (2, "older")
    assert "make room" in ran.err
    assert len(_state(folder)) == THERE


@pytest.mark.parametrize("format_", range(1, FORMAT))
def test_migration(tmp_path, program, format_):
    """A process killed at any write of bringing an older gallery up to date leaves all of it, old or new."""
    archive = Path(__file__).parents[1] / "stores" / f"format_{format_}.tar.xz"
    at = 0
    while True:
        at += 1
        place = tmp_path / str(at)
        with tarfile.open(archive) as kept:
            kept.extractall(place, filter="data")
        done = program.run(place, "remove", "p/000003.jpg", "--gallery", "small", at=at)
        with closing(open_store(place / "small")) as store:
            gone = store.get(["p/000003.jpg"]) == [None]
            assert store.header.format in ({FORMAT} if gone else {format_, FORMAT})
            assert (store.count(), store.check()) == (19 - gone, [])
            if not gone:
                store.touch([])
                with closing(open_store(store.address)) as again:
                    assert (again.header.format, again.count(), again.check()) == (FORMAT, 19, [])
        if done.code == 0:
            break
        assert done.code == -signal.SIGKILL
    assert at > 10
    assert gone
