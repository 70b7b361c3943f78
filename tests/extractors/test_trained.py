"""Models that were trained here: a folder that every command takes as its model."""

from dataclasses import replace

import numpy as np
import pytest

from lookalike import extractors
from lookalike.errors import ModelError, UnknownModel
from lookalike.extractors import Name, extending, trained
from lookalike.extractors.network import digest
from lookalike.extractors.steps import Linear, Normalise


@pytest.fixture(scope="module")
def steps():
    """A map to fewer numbers, at unit length."""
    matrix = np.random.default_rng(0).normal(size=(1280, 48)).astype(np.float32)
    return Linear(matrix), Normalise()


@pytest.fixture(scope="module")
def folder(steps, tmp_path_factory):
    """The default model with more steps."""
    place = tmp_path_factory.mktemp("models") / "my+ranker@home"
    extending.extended("efficientnet-lite0", steps, place, training={"kind": "ranker", "seed": 3})
    return place


def test_more_steps_behind_the_vector(folder, steps, default, prepared):
    """The vector is the base's sent through the steps; classes and other layers are the base's own."""
    own = extractors.load(str(folder), precision="f32").extract(prepared)
    base = default.extract(prepared)
    expected = base.vectors @ steps[0].matrix
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    assert np.abs(own.vectors - expected).max() < 1e-5
    assert np.array_equal(own.scores, base.scores)
    assert extractors.load(f"{folder}@block4c+avg").dim == 80


def test_what_the_first_steps_make_is_known(folder, default):
    """By its first steps the model has the digest of its base: galleries of that can be converted."""
    own = extractors.load(str(folder))
    assert digest(own.card, "pool", own.steps[:-2]) == default.digest
    assert own.digest != default.digest


def test_the_record_is_kept(folder):
    """What a card says of the training comes back as it was."""
    assert trained.card_of(folder).training == {"kind": "ranker", "seed": 3}
    assert trained.card_of(folder).name == folder.name


def test_named_by_its_folder(folder, monkeypatch):
    """From any folder, by any path, with a slash or a layer behind it: the absolute path is the name."""
    monkeypatch.chdir(folder.parent)
    for text in (folder.name, f"./{folder.name}", f"{folder.name}/"):
        assert Name.parse(text) == Name(str(folder))
    assert Name.parse(f"{folder.name}@features") == Name(str(folder), "features")
    assert Name.parse(f"{folder.name}@block4c+max?size=64").pool == "max"
    assert trained.folder_of(f"{folder.name}@classes") == folder
    assert trained.folder_of("efficientnet-lite0") is None


def test_a_folder_that_is_gone(folder, tmp_path):
    """A gallery's model whose folder is gone is missed by its path."""
    with pytest.raises(UnknownModel, match=f"no model at {tmp_path}/gone"):
        extractors.load(f"{tmp_path}/gone")


def test_replaced_whole(folder, tmp_path, prepared):
    """A model written where another one was leaves nothing of that, and no scratch."""
    place = tmp_path / "model"
    extending.extended(str(folder), [], place)
    (place / "split.csv").write_text("id,part\n")
    before = {file.name for file in place.iterdir()}
    assert before == {"model.xml", "model.bin", "model.json", "model.npz", "split.csv"}
    extending.extended("efficientnet-lite0@block4c+avg", [], place)
    after = extractors.load(str(place))
    assert after.extract(prepared).vectors.shape == (len(prepared), 80)
    assert {file.name for file in place.iterdir()} - {"model.stamps", "model.npz"} == before - {"model.npz"}


def test_damaged(folder, tmp_path):
    """A file of the model that was changed is found out."""
    place = tmp_path / "model"
    extending.extended(str(folder), [], place)
    network = place / "model.bin"
    network.write_bytes(network.read_bytes()[:-1] + b"\0")
    with pytest.raises(ModelError, match=r"model\.bin is damaged"):
        extractors.load(str(place))


def test_a_model_without_a_network(tmp_path):
    """A plug-in that is no network of ours can't be written, and is told so."""
    with pytest.raises(ModelError, match="no network that can be written"):
        extending.extended("toy", [], tmp_path / "model")


def test_a_folder_that_cant_be_written(tmp_path):
    """What stands in the way is said."""
    (tmp_path / "file").write_text("")
    with pytest.raises(ModelError, match="can't be written"):
        extending.extended("efficientnet-lite0", [], tmp_path / "file" / "model")


def test_layers_with_a_metric_of_their_own(network, tmp_path, picture):
    """Where a card names a metric for a layer, its plain numbers are compared by that."""
    file = network(tmp_path / "net.onnx")
    bare = extractors.load(str(file))
    layer = bare.card.layers[1]
    place = tmp_path / "model"
    model, card, _ = bare.uncompiled()
    card = replace(card, metrics={layer: "euclidean"}, files={})
    trained.write(place, model, card)
    cut = extractors.load(f"{place}@{layer}")
    assert (cut.metric, cut.normalized) == ("euclidean", False)
    assert extractors.load(f"{file}@{layer}").normalized


def test_what_fails_its_check_replaces_nothing(tmp_path):
    """A model that is found wrong before it is in place leaves the one that is there, whole."""
    place = tmp_path / "model"
    extending.extended("efficientnet-lite0", [], place)
    before = {file.name: file.read_bytes() for file in place.iterdir()}
    model, card, _ = extractors.load("efficientnet-lite0@block4c+avg").uncompiled()

    def refuse(scratch):
        assert trained.card_of(scratch).name == "wrong"
        raise ModelError("gives other numbers")

    with pytest.raises(ModelError, match="other numbers"):
        trained.write(place, model, replace(card, name="wrong", files={}), check=refuse)
    assert {file.name: file.read_bytes() for file in place.iterdir()} == before
