"""What can be wrong with arguments is found before the work, and before a heavy library is loaded."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from lookalike import Gallery
from lookalike.cli import run
from lookalike.errors import UsageError
from lookalike.extractors import Name


@pytest.fixture
def pictures(tmp_path):
    """A folder with a gallery of two pictures by the toy extractor."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    for name in ("red", "blue"):
        Image.new("RGB", (9, 9), name).save(folder / f"{name}.png")
    with Gallery.open(folder, model="toy") as gallery:
        gallery.add()
    return folder


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("search", "red.png", "--html", "out.pdf"), "use .html or .htm"),
        (("search", "red.png", "--html", "out"), "no ending; use .html or .htm"),
        (("find", "red", "--html", "out.csv"), "use .html or .htm"),
        (("compare", ".", "--html", "out.png"), "use .html or .htm"),
        (("search", "red.png", "--html", "red.png/out.html"), "there is no folder"),
        (("search", "red.png", "--plot", "out.html"), "use .png, .svg or .pdf"),
        (("neighbors", ".", "--out", "out.html"), "use .csv, .jsonl or .parquet"),
        (("export", "out.html"), "use .npz, .csv or .parquet"),
        (("train", "ranker", ".", "--out", "red.png/model"), "is no folder"),
        (("train", "ranker", ".", "--out", "model", "--plot", "out.gif"), "use .png, .svg or .pdf"),
        (("fetch", "t.csv", "--into", "x", "--timeout", "nan"), "no finite number"),
        (("fetch", "t.csv", "--into", "x", "--max-size", "inf"), "not in the range"),
        (("fetch", "t.csv", "--into", "x", "--jobs", "1000000000"), "not in the range"),
        (("evaluate", ".", "--labels", "folder", "-k", str(2**63)), "1,000,000 at most"),
        (("evaluate", ".", "--labels", "folder", "--split", "bytes.txt"), "no text in UTF-8"),
        (("compare", ".", "--labels", "folder", "-k", str(2**63)), "k is too large"),
    ],
)
def test_what_cannot_be_meant_is_refused(pictures, monkeypatch, capsys, words, said):
    """Endings, places and numbers that can't be meant are told in one line, and nothing is written."""
    monkeypatch.chdir(pictures)
    (pictures / "t.csv").write_text("id,url\n")
    (pictures / "bytes.txt").write_bytes(b"\xff\xfe\xfd")
    before = sorted(pictures.iterdir())
    assert run(words) == 2
    done = capsys.readouterr()
    assert (done.out, done.err.count("\n")) == ("", 1)
    assert said in done.err
    assert sorted(pictures.iterdir()) == before


def test_a_page_to_standard_output(lookalike, pictures):
    """A pipe or a device needs no ending: a page can be sent on."""
    done = lookalike("search", "red.png", "--html", "/dev/stdout", cwd=pictures)
    assert done.returncode == 0
    assert "<!DOCTYPE html>" in done.stdout


FAULTS = {
    "pictures --out full": "holds other files",
    "pictures --out file": "is a file",
    "pictures --out new --resume --overwrite": "not both",
    "pictures --out new --set speed=1": "no 'speed' to set",
    "nowhere --out new": "does not exist",
}


@pytest.mark.parametrize("kind", ["autoencoder", "classifier", "ranker"])
def test_a_training_is_refused_at_once(pictures, tmp_path, kind):
    """A folder, a setting or pictures that can't be meant are told before Keras is loaded."""
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "letter.txt").touch()
    (tmp_path / "file").touch()
    lines = [["train", kind, *words.split()] for words in FAULTS]
    code = (
        "import sys; from lookalike.cli import run\n"
        f"codes = [run(line) for line in {lines}]\n"
        "print(set(codes), *sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    codes, *loaded = done.stdout.split()
    assert codes == "{2}"
    for line, said in zip(done.stderr.splitlines(), FAULTS.values(), strict=True):
        assert said in line
    assert {"keras", "tensorflow", "openvino"}.isdisjoint(loaded)
    assert not (tmp_path / "new").exists()


def test_a_split_too_long_for_a_path(pictures, capsys):
    """A filter longer than any path is read as a filter."""
    words = ("evaluate", str(pictures), "--labels", "folder", "--split", "name=" + "x" * 5000)
    assert run(words) == 2
    assert "File name too long" not in capsys.readouterr().err


def test_weights_of_any_name():
    """The name of a file of weights may have bytes that are no text, and is read again as it is."""
    name = Name("keras:VGG16", options=(("weights", "/w/\udcff.h5"),))
    assert str(name) == "keras:VGG16?weights=/w/%FF.h5"
    assert Name.parse(str(name)) == name


def test_a_vector_of_as_many_as_asked(pictures):
    """What a command refuses the library refuses, too: a k that no machine counts to."""
    with Gallery.open(pictures, create=False) as gallery:
        vector = np.zeros(gallery.store.header.space.dim, np.float32)
        with pytest.raises(UsageError, match="k is too large"):
            gallery.search(vector, k=10**30)


def test_a_place_for_a_gallery_is_looked_at_before_the_model(pictures, capsys):
    """Where a gallery can't be made that is said before the model is looked for, which is missing here."""
    words = ("index", str(pictures), "--gallery", str(pictures / "red.png" / "x"), "--model", "missing.onnx")
    assert run(words) == 1
    said = capsys.readouterr().err
    assert "red.png is no folder; keep the gallery elsewhere with --gallery FOLDER" in said
