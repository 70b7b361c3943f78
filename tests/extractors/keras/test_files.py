"""Models in `.keras` and `.h5` files: opened without running code, broken ones refused in words."""

import json
import zipfile
from contextlib import suppress
from dataclasses import replace

import h5py
import keras
import numpy as np
import pytest

from lookalike.errors import ModelError
from lookalike.extractors import keras as extractors
from lookalike.extractors import runtime
from lookalike.extractors.keras import child, export, loading, recipes, safety
from lookalike.extractors.keras.export import NotExportable
from lookalike.extractors.names import Name

# Keras converts arrays in a way that numpy 2 will not know for ever.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn:DeprecationWarning")

SIDE = 24


def network(*, side=SIDE, extra=()):
    """A small classifier of colour pictures."""
    keras.backend.clear_session()
    keras.utils.set_random_seed(3)
    layers = keras.layers
    picture = keras.Input((side, side, 3), name="picture")
    x = layers.Conv2D(8, 3, strides=2, activation="relu", name="maps")(picture)
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    for layer in extra:
        x = layer(x)
    return keras.Model(picture, layers.Dense(5, activation="softmax", name="answer")(x), name="small")


def opened(path, layer=None):
    """The extractor of a file, in float32, plain numbers."""
    name = Name.parse(str(path) + (f"@{layer}" if layer else ""))
    return extractors.open_file(path, name, "f32", normalize=False)


@pytest.fixture(scope="module")
def models(tmp_path_factory, cache):
    """Two models by the names of their files, of which one child has exported all that it can.

    The slow one has an operation that OpenVINO does not have.
    """
    folder, made = tmp_path_factory.mktemp("saved"), tmp_path_factory.mktemp("made")
    small = network()
    picture = keras.Input((SIDE, SIDE, 3), name="picture")
    x = keras.layers.GlobalAveragePooling2D(name="pool")(keras.ops.erfinv(picture))
    slow = keras.Model(picture, keras.layers.Dense(3, name="last")(x), name="slow")
    saved = {folder / "small.keras": small, folder / "other.h5": small, folder / "slow.keras": slow}
    for path, model in saved.items():
        model.save(path)
    wanted = [recipes.of_file(path, None) for path in saved]
    child.run(wanted, made)
    for recipe in wanted:
        with suppress(NotExportable):
            child.kept(recipe, lambda _, recipe=recipe: child.written(recipe, made))
    return {path.name: (model, path) for path, model in saved.items()}


@pytest.fixture(params=["small.keras", "other.h5"])
def saved(request, models):
    """A model and the file it was saved in."""
    return models[request.param]


@pytest.fixture
def slow(models):
    """The model that can't be exported, and its file without a card."""
    model, path = models["slow.keras"]
    path.with_suffix(".json").unlink(missing_ok=True)
    return model, path


def test_a_file_gives_what_the_model_gives(saved, photographs):
    """Every layer of a saved model equals Keras on pixels from 0 to 1, which a new card assumes."""
    model, path = saved
    extractor = opened(path, "pool")
    pixels = extractor.prepare(photographs["coffee"])
    found = extractor.extract([pixels])
    pool = keras.Model(model.inputs, model.get_layer("pool").output)
    batch = pixels[None] / np.float32(255)
    np.testing.assert_allclose(found.vectors, pool.predict(batch, verbose=0), rtol=1e-3, atol=1e-6)
    np.testing.assert_allclose(found.scores, model.predict(batch, verbose=0), rtol=1e-3, atol=1e-6)
    assert [layer.name for layer in extractor.layers()] == ["picture", "maps", "pool", "answer"]


def test_the_card_beside_it_is_written_and_followed(saved, photographs):
    """The first time a card is written and its assumptions are told; once it is there, it is followed."""
    _, path = saved
    card = path.with_suffix(".json")
    card.unlink(missing_ok=True)
    first = opened(path)
    assert any("assumed" in note for note in first.notes)
    assert first.card.features == "pool"
    content = json.loads(card.read_text())
    card.write_text(json.dumps(content | {"scale": [127.5], "mean": [127.5]}))
    second = opened(path, "picture")
    assert second.notes == ()
    pixels = second.prepare(photographs["coffee"])
    expected = (pixels.astype(np.float32) - 127.5).ravel() / 127.5
    np.testing.assert_allclose(second.extract([pixels]).vectors[0], expected, atol=1e-5)


def test_code_in_a_file_does_not_run(tmp_path):
    """A Lambda layer, in either kind of file, is refused by name."""
    lambda_ = keras.layers.Lambda(lambda x: x * 2, name="code")
    for ending in (".keras", ".h5"):
        path = tmp_path / f"code{ending}"
        network(extra=[lambda_]).save(path)
        with pytest.raises(ModelError, match="has a Lambda layer"):
            opened(path)


@keras.saving.register_keras_serializable(package="mine")
class Twice(keras.layers.Layer):
    """A layer that is not of Keras."""

    def call(self, x):
        """Twice what comes in."""
        return x * 2


def test_layers_of_others_are_refused(tmp_path):
    """A layer whose class is not of Keras can't come out of a file: it says to pass the model itself."""
    path = tmp_path / "own.keras"
    network(extra=[Twice()]).save(path)
    with pytest.raises(ModelError, match=r"Twice that is not Keras' own.*lookalike.extractor\(model\)"):
        opened(path)


def test_a_function_of_another_module_is_refused(tmp_path):
    """A configuration that names any function of Python's is refused before Keras sees it."""
    path = tmp_path / "small.keras"
    network().save(path)
    with zipfile.ZipFile(path) as packed:
        content = {name: packed.read(name) for name in packed.namelist()}
    config = json.loads(content["config.json"])
    function = {"module": "os", "class_name": "function", "config": "system", "registered_name": "system"}
    config["config"]["layers"][1]["config"]["activation"] = function
    with zipfile.ZipFile(path, "w") as packed:
        for name, data in (content | {"config.json": json.dumps(config)}).items():
            packed.writestr(name, data)
    with pytest.raises(ModelError, match="not Keras' own"):
        opened(path)


def test_numbers_of_another_file_are_refused(tmp_path):
    """A link in an HDF5 file that leads to another file is not followed."""
    path = tmp_path / "links.h5"
    network().save(path)
    with h5py.File(path, "a") as file:
        file["elsewhere"] = h5py.ExternalLink("/etc/passwd", "/")
    with pytest.raises(ModelError, match="from another file"):
        opened(path)


def test_weights_alone_are_no_model(tmp_path):
    """A file of weights says that it is one, and how it is used."""
    path = tmp_path / "only.weights.h5"
    network().save_weights(path)
    with pytest.raises(ModelError, match=r"weights without a model.*weights="):
        opened(path)


@pytest.mark.parametrize("ending", [".keras", ".h5"])
@pytest.mark.parametrize("content", [b"", b"no model", "half"])
def test_broken_files_say_so(tmp_path, ending, content):
    """An empty file, a foreign one, and one cut short are refused in one line."""
    path = tmp_path / f"broken{ending}"
    network().save(path)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2] if content == "half" else content)
    with pytest.raises(ModelError, match=r"damaged|can't be opened") as raised:
        opened(path)
    assert "\n" not in str(raised.value)


def test_one_channel_is_refused(tmp_path):
    """A model of grey pictures is not run on colours."""
    path = tmp_path / "grey.keras"
    keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Flatten()]).save(path)
    with pytest.raises(ModelError, match="expected one colour picture"):
        export.built(recipes.of_file(path, None))


def test_a_card_is_followed_where_keras_runs_the_model(slow, photographs):
    """A model that can't be exported says so, and is fed as the card beside it says."""
    model, path = slow
    slowly, *notes = opened(path).notes
    assert "it runs through Keras" in slowly
    assert any("0 to 1" in note and "assumed" in note for note in notes)
    card = path.with_suffix(".json")
    card.write_text(json.dumps(json.loads(card.read_text()) | {"scale": [512.0]}))
    extractor = opened(path, "last")
    assert extractor.notes == (slowly,)
    pixels = extractor.prepare(photographs["coffee"])
    assert 0.3 < pixels.max() <= 255 / 512
    found = extractor.extract([pixels]).vectors
    np.testing.assert_allclose(found, model.predict(pixels[None], verbose=0), rtol=1e-4)


def test_a_model_that_scales_pixels_itself_gets_them_whole(slow):
    """Without a card, pixels from 0 to 1 are assumed unless the model begins with scaling them."""
    model, _ = slow
    bare = export.card_of_file(model, export.layers_of(model), "slow.keras", "unknown", None)
    scaling = replace(bare, kinds=("InputLayer", "Rescaling", *bare.kinds[2:]))
    assert loading._assumed(model, bare)[0].scale == (255.0,)
    assert loading._assumed(model, scaling)[0].scale == (1.0,)


def test_that_a_model_can_not_be_exported_is_remembered(slow, monkeypatch):
    """No child is started for it again, until OpenVINO is another one."""
    recipe = recipes.of_file(slow[1], None)
    with pytest.raises(NotExportable, match="Erfinv"):
        child.kept(recipe, lambda _: pytest.fail("it was asked for again"))
    monkeypatch.setattr(runtime.openvino(), "__version__", "another")
    with pytest.raises(ZeroDivisionError):
        child.kept(recipe, lambda _: 1 / 0)


def packed(path, name, change):
    """Write a model again, with one of its parts changed."""
    network().save(path)
    with zipfile.ZipFile(path) as file:
        content = {name: file.read(name) for name in file.namelist()}
    content[name] = change(content.get(name))
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for part, data in content.items():
            file.writestr(part, data)


def test_weights_of_another_file_are_refused_inside_a_zip_too(tmp_path):
    """A `.keras` file's weights may not be a stretch of some other file."""

    def elsewhere(data):
        (tmp_path / "inner.h5").write_bytes(data)
        with h5py.File(tmp_path / "inner.h5", "a") as file:
            file.create_dataset("stolen", (4,), "u1", external=[("/etc/passwd", 0, 4)])
        return (tmp_path / "inner.h5").read_bytes()

    packed(tmp_path / "net.keras", "model.weights.h5", elsewhere)
    with pytest.raises(ModelError, match="'stolen' from another file"):
        opened(tmp_path / "net.keras")


def test_what_unpacks_to_far_more_is_refused(tmp_path):
    """A zip file, and an HDF5 file, of hardly any bytes that would fill the memory."""
    packed(tmp_path / "net.keras", "assets/big", lambda _: bytes(1 << 27))
    with pytest.raises(ModelError, match="assets/big in it unpacks to"):
        opened(tmp_path / "net.keras")
    path = tmp_path / "net.h5"
    network().save(path)
    with h5py.File(path, "a") as file:
        file.create_dataset("big", (1 << 40,), "f4", chunks=(1 << 20,))
    with pytest.raises(ModelError, match="unpacks 'big' to"):
        opened(path)


def test_groups_within_themselves_are_no_trap(tmp_path):
    """A link from a group to the group above it is followed once."""
    path = tmp_path / "net.h5"
    network().save(path)
    with h5py.File(path, "a") as file:
        file["again"] = file["/"]
        file["more"] = file["model_weights"]
    safety.check(path)
