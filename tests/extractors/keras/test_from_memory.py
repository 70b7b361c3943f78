"""Keras models of the user's own process, exported or run through Keras."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from lookalike import Gallery
from lookalike.errors import ModelError, UnknownLayer
from lookalike.extractors.keras import export, live
from lookalike.extractors.keras.fallback import KerasExtractor
from lookalike.extractors.network import OpenVinoExtractor

# Keras converts arrays in a way that numpy 2 will not know for ever.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn:DeprecationWarning")


class InPython(keras.layers.Layer):
    """A layer that leaves TensorFlow, so that it can't be exported."""

    def call(self, x):
        """The square of what comes in."""
        made = tf.numpy_function(np.square, [x], tf.float32)
        made.set_shape(x.shape)
        return made

    def compute_output_spec(self, x):
        """As it came in."""
        return keras.KerasTensor(x.shape, dtype=x.dtype)


def network(*, python=False, side=None):
    """A small network, with or without a layer that can't be exported."""
    keras.utils.set_random_seed(5)
    picture = keras.Input((side, side, 3))
    x = keras.layers.Conv2D(6, 3, activation="relu", name="maps")(picture)
    x = keras.layers.Dropout(0.5, name="drop")(x)
    x = InPython(name="square")(x) if python else x
    x = keras.layers.GlobalMaxPooling2D(name="pool")(x)
    return keras.Model(picture, keras.layers.Dense(4, name="last")(x), name="my net+1")


def minus_one(batch):
    """The usual scaling to -1 … 1."""
    return batch / 127.5 - 1


@pytest.mark.parametrize("python", [False, True])
@pytest.mark.parametrize("layer", ["pool", -2, "maps", None])
def test_a_live_model_gives_what_keras_gives(photographs, python, layer):
    """By name, by number, by default the last: the numbers of `predict` on what `preprocess` makes."""
    model = network(python=python)
    extractor = live(
        model, layer=layer, preprocess=minus_one, size=(40, 30), normalize=False, precision="f32"
    )
    assert isinstance(extractor, KerasExtractor if python else OpenVinoExtractor)
    prepared = [extractor.prepare(photographs[name]) for name in ("coffee", "horse")]
    batch = np.stack(
        [photographs[name].resize((40, 30), 3, reducing_gap=3.0) for name in ("coffee", "horse")]
    )
    number = -1 if layer is None else layer
    cut = model.layers[number].output if isinstance(number, int) else model.get_layer(number).output
    expected = keras.Model(model.inputs, cut).predict(minus_one(batch.astype(np.float32)), verbose=0)
    found = extractor.extract(prepared).vectors
    np.testing.assert_allclose(found, expected.reshape(2, -1), rtol=1e-3, atol=1e-4)


def test_one_that_can_not_be_exported_says_so():
    """A network that runs through Keras has a note with the reason; one that was exported has none."""
    (note,) = live(network(python=True), size=(16, 16)).notes
    assert "No conversion rule found for operations: PyFunc; it runs through Keras" in note
    assert live(network(), size=(16, 16)).notes == ()


def test_without_preprocess_pixels_go_in_as_they_are(photographs):
    """Layer 0 gives the picture's own numbers, 0 to 255, RGB."""
    extractor = live(network(side=20), layer=0, normalize=False, precision="f32")
    pixels = extractor.prepare(photographs["coffee"])
    np.testing.assert_array_equal(extractor.extract([pixels]).vectors[0], pixels.ravel())


def test_a_gallery_is_searched_with_the_same_object(photographs, tmp_path):
    """A gallery made with a live model is searched with it, and with the same model built again."""
    for name, picture in photographs.items():
        picture.resize((50, 50)).save(tmp_path / f"{name}.png")
    with Gallery.open(tmp_path, model=live(network(), layer="pool", size=(32, 32))) as gallery:
        gallery.add()
    again = live(network(), layer="pool", size=(32, 32))
    with Gallery.open(tmp_path, model=again) as gallery:
        assert gallery.search(photographs["horse"].resize((50, 50)), k=1)[0].id == "horse.png"


def test_the_digest_knows_weights_and_preprocessing():
    """Another preparation, another layer and other weights are other extractors; another name is none."""
    one = live(network(), layer="pool", size=(16, 16))
    assert one.digest == live(network(), layer="pool", size=(16, 16)).digest
    assert one.digest != live(network(), layer="maps", size=(16, 16)).digest
    assert one.digest != live(network(), layer="pool", size=(16, 16), preprocess=minus_one).digest
    trained = network()
    trained.get_layer("maps").bias.assign(np.ones(6))
    assert one.digest != live(trained, layer="pool", size=(16, 16)).digest
    assert one.name == "keras-live:my_net_1@pool"


def test_models_that_can_not_be_cut():
    """No model, no graph of layers, no colour picture, no such layer: each says what was expected."""
    with pytest.raises(ModelError, match="is no model; expected a name"):
        live(3)
    with pytest.raises(ModelError, match="expected a functional"):
        live(keras.Sequential([keras.layers.Flatten()]))
    with pytest.raises(ModelError, match="expected one colour picture"):
        live(keras.Sequential([keras.Input((8,)), keras.layers.Dense(2)]))
    with pytest.raises(ModelError, match="not of 9x9"):
        live(network(side=8), size=(9, 9))
    with pytest.raises(UnknownLayer, match="maps, drop"):
        live(network(), layer="fc1")


def test_nested_models_are_layers(photographs):
    """A model inside a model is one layer, whose output is the outer model's."""
    inner = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Conv2D(2, 3)], name="inner")
    outer = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Rescaling(1 / 255), inner])
    extractor = live(outer, layer="inner", normalize=False, precision="f32")
    pixels = extractor.prepare(photographs["horse"])
    expected = outer.predict(pixels[None].astype(np.float32), verbose=0).ravel()
    np.testing.assert_allclose(extractor.extract([pixels]).vectors[0], expected, atol=1e-4)


def scaled(by):
    """A function whose source does not tell what it does."""
    return lambda batch: batch * by


def test_the_digest_knows_what_a_function_does():
    """Two functions of one source and different settings are two extractors; of one effect, one."""
    one = live(network(), size=(16, 16), preprocess=scaled(2))
    assert one.digest != live(network(), size=(16, 16), preprocess=scaled(3)).digest
    assert one.digest == live(network(), size=(16, 16), preprocess=lambda x: x + x).digest


def test_made_up_names_are_not_in_the_digest():
    """The same model built twice in a process has other names of layers, and is the same extractor."""

    def unnamed():
        keras.utils.set_random_seed(5)
        return keras.Sequential(
            [keras.Input((8, 8, 3)), keras.Sequential([keras.layers.Conv2D(2, 3)]), keras.layers.Flatten()]
        )

    first, second = unnamed(), unnamed()
    assert first.layers[1].name != second.layers[1].name
    assert live(first, layer=0).digest == live(second, layer=0).digest
    assert live(first, layer=0).digest != live(first, layer=1).digest


def test_features_are_a_layer_even_above_an_operation():
    """What the last matrix reads may be made by a plain operation: the layer below that is the features."""
    picture = keras.Input((8, 8, 3))
    pooled = keras.layers.GlobalAveragePooling2D(name="pool")(picture)
    model = keras.Model(picture, keras.layers.Dense(4)(keras.ops.relu(pooled)))
    assert export.layers_of(model).penultimate() == "pool"
