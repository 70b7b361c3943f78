"""EfficientNet-Lite0 as a Keras model: the default extractor's twin, able to learn."""

import numpy as np
import pytest

from lookalike import extractors
from lookalike.extractors import architecture, efficientnet
from lookalike.extractors.keras import lite0


@pytest.fixture(scope="module")
def model():
    """The whole network."""
    return lite0.build()


@pytest.fixture(scope="module")
def batch(prepared):
    """The photographs as the network is fed with them: (n, 224, 224, 3)."""
    return (np.stack(prepared).astype(np.float32) - architecture.MEAN) / architecture.SCALE


def test_the_probabilities_are_the_default_extractors(model, batch, default, prepared):
    """On real photographs Keras and OpenVINO give the same softmax to 1e-4 in float32."""
    expected = default.extract(prepared).scores
    assert len(set(expected.argmax(axis=1))) == len(prepared)  # not one answer for everything
    np.testing.assert_allclose(model.predict_on_batch(batch), expected, atol=1e-4)


@pytest.mark.parametrize("layer", ["stem", "block1a", "block2b_depthwise", "block3b", "block6d", "head"])
def test_a_layer_gives_what_it_is_named_after(model, predict, batch, prepared, layer):
    """A layer's output is the default extractor's layer of that name, to a thousandth of its largest."""
    cut = extractors.load(f"efficientnet-lite0@{layer}", precision="f32", normalize=False)
    expected = cut.extract(prepared[:2]).vectors  # (2, channels * height * width)
    made = predict(model, [layer], batch[:2])[0]
    channels = model.get_layer(layer).output.shape[-1]
    turned = made.reshape(2, -1, channels).transpose(0, 2, 1).reshape(2, -1)
    np.testing.assert_allclose(turned, expected, atol=1e-3 * np.abs(expected).max())


def test_without_its_top_it_gives_the_features(batch, prepared):
    """`include_top=False` ends at the pooled features, equal to 1e-3."""
    cut = lite0.build(include_top=False)
    features = extractors.load("efficientnet-lite0@features", precision="f32").extract(prepared).vectors
    np.testing.assert_allclose(cut.predict_on_batch(batch), features, atol=1e-3)
    assert cut.layers[-1].name == "pool"


def test_every_layer_of_the_description_is_there(model):
    """Keras' model has each layer of the default extractor's card, and a batch norm a convolution."""
    names = {layer.name for layer in model.layers}
    assert set(efficientnet.card(()).layers) <= names
    norms = [layer for layer in model.layers if type(layer).__name__ == "BatchNormalization"]
    assert len(norms) == len(list(architecture.convolutions()))
    assert {norm.epsilon for norm in norms} == {architecture.EPSILON}


def test_another_size(model):
    """It can be built for pictures of another size, with the same weights."""
    small = lite0.build(include_top=False, size=(96, 64))
    assert small.input_shape == (None, 64, 96, 3)
    kernels = [one.get_layer("head_conv").get_weights()[0] for one in (small, model)]
    np.testing.assert_array_equal(*kernels)
