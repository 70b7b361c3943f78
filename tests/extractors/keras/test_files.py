"""Models in `.keras` and `.h5` files: opened without running code, broken ones refused in words."""

import json
import zipfile

import h5py
import keras
import numpy as np
import pytest

from lookalike.errors import ModelError
from lookalike.extractors import keras as extractors
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


@pytest.fixture(scope="module", params=[".keras", ".h5"])
def saved(request, tmp_path_factory, cache):
    """A model and the file it was saved in."""
    path = tmp_path_factory.mktemp("saved") / f"small{request.param}"
    model = network()
    model.save(path)
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
        opened(path)
