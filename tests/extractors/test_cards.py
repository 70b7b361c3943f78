"""Cards, written and read, and what strangers' cards may not say."""

import json
from dataclasses import replace

import numpy as np
import pytest

from lookalike.errors import ModelError
from lookalike.extractors import cards, steps
from lookalike.extractors.cards import Card
from lookalike.extractors.steps import Centre, Linear, Normalise
from lookalike.types import Classes

CARD = Card(
    name="small",
    weights="00",
    size=(32, 24),
    layers=("input", "maps", "scores"),
    features="maps",
    licence="CC0-1.0",
    layout="NHWC",
    channels="BGR",
    mean=(103.9, 116.8, 123.7),
    scores="scores",
    classes=Classes(("a", "b"), ("crane", "crane")),
    steps=(Centre(np.array([1, 2], np.float32)), Linear(np.eye(2, dtype=np.float32)), Normalise()),
    metric="euclidean",
    kinds=("Input", "Conv2D", "Dense"),
    parameters=(0, 9, 8),
    exact=True,
    top_classes=1,
)


@pytest.fixture
def written(tmp_path):
    """A card beside a network's two files."""
    (tmp_path / "net.xml").write_text("<net/>")
    (tmp_path / "net.bin").write_bytes(b"weights")
    cards.write(CARD, tmp_path / "net.json")
    return tmp_path / "net.json"


def test_a_card_is_read_as_it_was_written(written):
    """Everything in a card survives the file, arrays of its steps too."""
    found = cards.read(written)
    assert replace(found, steps=(), files={}) == replace(CARD, steps=())
    assert steps.digest(found.steps) == steps.digest(CARD.steps)
    assert set(found.files) == {".xml", ".bin", ".npz"}


@pytest.mark.parametrize("ending", [".xml", ".bin", ".npz"])
def test_a_file_that_changed_is_noticed(written, ending):
    """One byte more in any file beside it, and the card no longer describes it."""
    with written.with_suffix(ending).open("ab") as file:
        file.write(b"x")
    with pytest.raises(ModelError, match="damaged"):
        cards.read(written)


def test_a_file_that_is_gone_is_noticed(written):
    """A card without its weights is an error that names them."""
    written.with_suffix(".bin").unlink()
    with pytest.raises(ModelError, match=r"net\.bin"):
        cards.read(written)


@pytest.mark.parametrize(
    "change",
    [
        {"format": 2},
        {"size": [0, 24]},
        {"size": [32]},
        {"size": "32"},
        {"size": [100000, 100000]},
        {"layout": "CHWN"},
        {"channels": ["RGB"]},
        {"resize": "antialias"},
        {"metric": "manhattan"},
        {"mean": [1, 2]},
        {"mean": ["a"]},
        {"mean": [float("nan")]},
        {"mean": [10**400]},
        {"scale": [10**400]},
        {"size": [float("inf"), 24]},
        {"size": [10**400, 24]},
        {"steps": [{"step": "power", "exponent": 10**400}]},
        {"steps": [{"step": "concat", "branches": [[]], "weights": [10**400]}]},
        {"steps": [{"step": "top", "count": True}]},
        {"parameters": [float("inf"), 2, 3]},
        {"scale": [0]},
        {"features": "nowhere"},
        {"features": None},
        {"scores": None},
        {"classes": None},
        {"classes": {"ids": ["a", "a"], "names": ["x", "y"]}},
        {"classes": {"ids": ["a"], "names": ["x", "y"]}},
        {"classes": "wordnet"},
        {"exact": 1},
        {"top_classes": 0},
        {"top_classes": "5"},
        {"kinds": ["Conv"]},
        {"parameters": [1, 2]},
        {"parameters": [1, -2, 3]},
        {"layers": ["maps", "maps", "scores"]},
        {"name": ""},
        {"licence": 7},
        {"steps": None},
        {"steps": [{"step": "eval"}]},
        {"files": {"/../../etc/passwd": "00"}},
        {"files": []},
        {"surprise": 1},
    ],
    ids=str,
)
def test_a_card_that_says_what_no_card_says_is_refused(written, change):
    """Every field is checked; what is wrong ends in a ModelError."""
    content = json.loads(written.read_text()) | change
    written.write_text(json.dumps(content))
    with pytest.raises(ModelError):
        cards.read(written)


@pytest.mark.parametrize("content", ["", "[]", "{}", "null", "[" * 100_000, "\ufeff{", '{"format": 1}'])
def test_what_is_no_card_is_refused(written, content):
    """Empty, truncated and foreign files end in a ModelError."""
    written.write_text(content)
    with pytest.raises(ModelError):
        cards.read(written)


def test_arrays_are_never_unpickled(written):
    """An object array in the file of arrays is refused, though its digest is right."""
    arrays = written.with_suffix(".npz")
    np.savez(arrays, **{"0.mean": np.array([print], dtype=object)})
    cards_content = json.loads(written.read_text())
    cards_content["files"][".npz"] = cards._sha256(arrays)
    written.write_text(json.dumps(cards_content))
    with pytest.raises(ModelError, match="allow_pickle"):
        cards.read(written)


def test_imagenet_is_looked_up():
    """A card that says `imagenet` has the thousand classes in the order of their WordNet ids."""
    classes = replace(CARD, classes="imagenet").known_classes()
    assert len(classes.ids) == 1000
    assert list(classes.ids) == sorted(classes.ids)
    assert classes.names[classes.ids.index("n02123045")].startswith("tabby")


def test_names_that_are_no_text(tmp_path):
    """Classes and names from folders whose names are no UTF-8 are kept, as everything else is."""
    classes = Classes(("caf\udce9", "é"), ("caf\udce9", "é"))
    for file in ("net.xml", "net.bin"):
        (tmp_path / file).write_bytes(b"")
    cards.write(replace(CARD, name="caf\udce9", classes=classes), tmp_path / "net.json")
    found = cards.read(tmp_path / "net.json")
    assert (found.name, found.classes) == ("caf\udce9", classes)
