"""Figures on the pictures that a trained model has never seen, by the split saved beside it."""

import json

import numpy as np
import pytest

from lookalike import Gallery
from lookalike.cli import run
from lookalike.errors import UsageError
from lookalike.evaluation import compare, evaluate
from lookalike.evaluation.splits import Split
from lookalike.extractors import runtime, trained
from lookalike.extractors.cards import Card

LABELS = "folder"
PICTURES = {f"{label}/{n}.png": 20 * n + at for label, at in (("a", 0), ("b", 100)) for n in range(4)}
PARTS = {id_: "train" if id_[2] in "01" else "test" for id_ in PICTURES}


def write_model(folder, parts=PARTS, **training):
    """Write a network of a picture's mean colours as a trained model with a split; its name."""
    ops = runtime.openvino().opset13
    picture = ops.parameter([1, 3, 8, 8], np.float32, name="input")
    colours = ops.reduce_mean(picture, np.array([2, 3]), keep_dims=False, name="colours")
    model = runtime.openvino().Model([colours.output(0)], [picture], "colours")
    layers = ("input", "colours")
    card = Card(
        "colours", folder.name, (8, 8), layers, "colours", "none", metric="euclidean", training=training
    )
    trained.write(folder, model, card)
    if parts is not None:
        Split(parts).save(folder / "split.csv")
    return str(folder)


@pytest.fixture
def folder(tmp_path, paint):
    return paint(tmp_path / "pictures", PICTURES)


@pytest.fixture
def gallery(folder, tmp_path):
    with Gallery.open(folder, model=write_model(tmp_path / "model")) as opened:
        opened.add()
        yield opened


def test_held_out_pictures_ask_for_one_another(gallery):
    """Those that were learnt from neither ask nor are found, and the notes say so."""
    found = evaluate(gallery, LABELS, split="test", k=(1, 3))
    assert (found.queries, found.pictures, found["P@1"], found["P@3"]) == (4, 4, 1.0, pytest.approx(1 / 3))
    assert "only the 4 pictures of the part test ask and are searched" in found.notes[0]
    assert "never seen" in found.notes[0]
    assert "few" in found.notes[1]
    ids = [id_ for id_, part in PARTS.items() if part == "test"]
    assert found.measures == evaluate(gallery, LABELS, only=ids, k=(1, 3)).measures


def test_other_parts(gallery):
    """`train` and `validation` are the parts of those names."""
    assert evaluate(gallery, LABELS, split="train").pictures == 4
    with pytest.raises(UsageError, match=r"no picture .* is in the part validation of .*split\.csv"):
        evaluate(gallery, LABELS, split="validation")


def test_other_splits_are_as_before(gallery):
    """A share and a filter divide into those that ask and those that are searched."""
    gallery.update({"a/0.png": {"part": "test"}})
    assert evaluate(gallery, LABELS, split=0.5).pictures == 4
    found = evaluate(gallery, LABELS, split="part=test")
    assert (found.queries, found.pictures) == (1, 7)


def test_a_model_without_a_split(folder, tmp_path):
    """One that was not trained here has none, and the message says what else there is."""
    for model in ("toy", write_model(tmp_path / "bare", parts=None)):
        with Gallery.open(folder, name=model.rpartition("/")[2], model=model) as gallery:
            gallery.add()
            with pytest.raises(UsageError, match=r"has no split.*a share such as \.2"):
                evaluate(gallery, LABELS, split="test")


def test_a_broken_split(gallery, tmp_path):
    """It is told, and not taken for an empty one."""
    (tmp_path / "model" / "split.csv").write_text("a,b\n1,2\n")
    with pytest.raises(UsageError, match="is no split"):
        evaluate(gallery, LABELS, split="test")


def test_a_gallery_of_a_folder_above(folder, tmp_path):
    """The ids of a training on a folder inside are found by the folder it was on."""
    parts = {id_.partition("/")[2]: part for id_, part in PARTS.items() if id_.startswith("a/")}
    model = write_model(tmp_path / "inside", parts, root=str(folder / "a"))
    with Gallery.open(folder, model=model) as gallery:
        gallery.add()
        assert evaluate(gallery, LABELS, split="test").pictures == 2


def test_methods_are_compared_on_what_none_has_seen(folder, tmp_path):
    """Pictures in that part of every split; a model without one is asked with the same."""
    shifted = {id_: "train" if id_[2] in "03" else "test" for id_ in PICTURES}
    one, other = write_model(tmp_path / "one"), write_model(tmp_path / "other", shifted)
    found = compare(folder, [one, "toy"], labels=LABELS, split="test")
    assert [(m.error, m.evaluation.pictures) for m in found] == [(None, 4), (None, 4)]
    assert (found.pictures, "never seen" in found.notes[0]) == (4, True)
    with pytest.raises(UsageError, match="nothing to ask: of the 2 pictures"):
        compare(folder, [one, other, "toy"], labels=LABELS, split="test")
    nothing = write_model(tmp_path / "nothing", dict.fromkeys(PICTURES, "train"))
    with pytest.raises(UsageError, match=r"one/split\.csv and of .*nothing/split\.csv"):
        compare(folder, [one, nothing], labels=LABELS, split="test")
    with pytest.raises(UsageError, match="toy and toy@classes have no split"):
        compare(folder, ["toy", "toy@classes"], labels=LABELS, split="test")


def test_a_model_on_top_of_a_trained_one(folder, tmp_path):
    """What the one below learnt from is not held out either."""
    below = write_model(tmp_path / "below")
    seen = {id_: "train" if id_[2] == "3" else "test" for id_ in PICTURES}
    above = write_model(tmp_path / "above", seen, base=below)
    with pytest.raises(UsageError, match="of the 2 pictures"):
        compare(folder, [above], labels=LABELS, split="test")


def test_galleries_are_compared_by_the_splits_of_their_models(gallery, folder):
    """A gallery's model is the one it was made by; a share, a filter and ids go on to each method."""
    found = compare(folder, ["toy"], galleries=["default"], labels=LABELS, split="test")
    assert [one.evaluation.pictures for one in found] == [4, 4]
    shared = compare(folder, ["toy"], galleries=["default"], labels=LABELS, split=0.25)
    assert [(one.evaluation.queries, one.evaluation.pictures) for one in shared] == [(2, 6), (2, 6)]
    by_ids = compare(folder, ["toy"], labels=LABELS, split=["a/0.png"])
    assert by_ids["toy"].evaluation.queries == 1
    with pytest.raises(UsageError, match="a split says nothing without labels"):
        compare(folder, ["toy"], queries=["a/0.png"], split="test")


def test_the_commands(gallery, folder, tmp_path, capsys, monkeypatch):
    """`--split test` means the part, whatever files there are in the current folder."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "test").write_text("a/0.png\n")
    assert run(["evaluate", str(folder), "--labels", LABELS, "--split", "test", "--json"]) == 0
    said = capsys.readouterr()
    assert json.loads(said.out)["pictures"] == 4
    assert "note: only the 4 pictures of the part test ask" in said.err
    words = ["--models", gallery.model, "toy", "--labels", LABELS, "--split", "test", "--json"]
    assert run(["compare", str(folder), *words]) == 0
    assert json.loads(capsys.readouterr().out)["pictures"] == 4
