"""Vectors of Keras' networks, held against Keras' own `predict` on the same prepared pictures."""

import importlib

import numpy as np
import pytest

# Keras converts arrays in a way that numpy 2 will not know for ever.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn:DeprecationWarning")

# Each network, its module in `keras.applications`, and layers as we name them and as Keras finds them.
CASES = [
    ("VGG16", "vgg16", {"fc1": "fc1", "predictions": "predictions"}),
    ("MobileNet", "mobilenet", {"0": 0, "1": 1, "conv1": "conv1", "predictions": "predictions", "-2": -2}),
    ("InceptionV3", "inception_v3", {"avg_pool": "avg_pool", "mixed7": "mixed7"}),
    ("ResNet50V2", "resnet_v2", {"avg_pool": "avg_pool"}),
    (
        "EfficientNetB0",
        "efficientnet",
        {"avg_pool": "avg_pool", "block4a_expand_activation": "block4a_expand_activation"},
    ),
    ("DenseNet121", "densenet", {"avg_pool": "avg_pool"}),
    ("NASNetMobile", "nasnet", {"-2": -2}),
]


def error_of(ours, theirs):
    """How far our numbers are from theirs, relative to theirs, of the picture where it is most."""
    return (np.linalg.norm(ours - theirs, axis=1) / np.linalg.norm(theirs, axis=1)).max()


def batch_of(extractor, pictures):
    """Prepared pictures as Keras takes them, and as we do."""
    prepared = [extractor.prepare(picture) for picture in pictures]
    return np.stack(prepared).astype(np.float32), prepared


@pytest.mark.parametrize(("network", "module", "layers"), CASES, ids=[case[0] for case in CASES])
def test_vectors_equal_predict(load, originals, predict, pictures, network, module, layers):
    """Every layer by name or number gives the numbers of Keras' predict, and so do the class scores."""
    extractors = {ours: load(f"{network}@{ours}") for ours in layers}
    batch, prepared = batch_of(next(iter(extractors.values())), pictures)
    preprocess = importlib.import_module(f"keras.applications.{module}").preprocess_input
    expected = predict(originals(network), [*layers.values(), -1], preprocess(batch))
    for (name, extractor), theirs in zip(extractors.items(), expected, strict=False):
        found = extractor.extract(prepared)
        assert found.vectors.shape == (len(pictures), extractor.dim) == theirs.shape
        assert error_of(found.vectors, theirs) <= 1e-3, name
        assert error_of(found.scores, expected[-1]) <= 1e-3, name
        assert not extractor.normalized


def test_layers_are_kerasown(load, originals):
    """The list of layers has Keras' names, kinds, shapes and parameters, in its order."""
    ours = load("MobileNet").layers()
    theirs = [
        (layer.name, type(layer).__name__, tuple(layer.output.shape[1:]), layer.count_params())
        for layer in originals("MobileNet").layers
    ]
    assert [tuple(layer)[1:] for layer in ours] == theirs
    assert [layer.number for layer in ours] == list(range(len(theirs)))


@pytest.mark.parametrize(
    ("name", "layer"),
    [
        ("VGG16", "fc2"),
        ("MobileNet", "global_average_pooling2d"),
        ("EfficientNetB0", "avg_pool"),
        ("NASNetMobile", "global_average_pooling2d"),
    ],
)
def test_features_are_what_the_classifier_reads(load, name, layer):
    """`@features` is the last layer before the class scores are made, in MobileNet not their raw form."""
    assert load(f"{name}@features").card.features == layer


def test_the_bare_name_has_unit_length(load, pictures):
    """`keras:MobileNet` gives its features at unit length, unless plain numbers are asked for."""
    bare, plain = load("MobileNet", normalize=None), load("MobileNet@features")
    assert bare.normalized
    vectors = [one.extract([one.prepare(pictures[0])]).vectors[0] for one in (bare, plain)]
    np.testing.assert_allclose(vectors[0], vectors[1] / np.linalg.norm(vectors[1]), rtol=1e-5)


def test_class_scores_are_visual_words(load):
    """Only the class scores themselves are visual words, by either of their names, and not normalised."""
    assert load("MobileNet@predictions").visual_words
    assert load("MobileNet@classes").visual_words
    assert not load("MobileNet@predictions", normalize=True).visual_words
    assert not load("MobileNet@-2").visual_words


def test_a_map_is_pooled_over_its_places(load, pictures):
    """`+avg` and `+max` give one number a channel, of the map in Keras' order (height, width, channels)."""
    whole, mean, most = (load(f"MobileNet@conv_pw_6_relu{how}") for how in ("", "+avg", "+max"))
    prepared = [whole.prepare(picture) for picture in pictures]
    maps = whole.extract(prepared).vectors.reshape(len(pictures), 14, 14, 512)
    np.testing.assert_allclose(mean.extract(prepared).vectors, maps.mean(axis=(1, 2)), rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(most.extract(prepared).vectors, maps.max(axis=(1, 2)), rtol=1e-4, atol=1e-6)


def test_channels_reach_vgg_in_its_own_order(load, pictures):
    """Layer 0 of VGG16 is blue, green, red less their means; `channels=RGB` feeds the picture mirrored so."""
    small = "VGG16@0?include_top=false&size=48x32"
    own, other = load(small), load(f"{small}&channels=RGB")
    pixels = own.prepare(pictures[0])
    means = np.array([103.939, 116.779, 123.68], np.float32)
    fed = own.extract([pixels]).vectors.reshape(32, 48, 3)
    np.testing.assert_allclose(fed, pixels[..., ::-1] - means, atol=1e-3)
    np.testing.assert_allclose(other.extract([pixels]).vectors.reshape(32, 48, 3), pixels - means, atol=1e-3)
    swapped = own.extract([np.ascontiguousarray(pixels[..., ::-1])]).vectors
    np.testing.assert_allclose(swapped, other.extract([pixels]).vectors, atol=1e-3)


def test_options_change_what_the_network_is_fed(load, pictures):
    """`scale=1/255` replaces the network's own scaling; `resize=nearest` takes pixels that are there."""
    changed = load("MobileNet@0?scale=1/255&resize=nearest")
    pixels = changed.prepare(pictures[0])
    assert set(map(tuple, pixels.reshape(-1, 3))) <= set(map(tuple, np.asarray(pictures[0]).reshape(-1, 3)))
    fed = changed.extract([pixels]).vectors.reshape(224, 224, 3)
    np.testing.assert_allclose(fed, pixels / 255, atol=1e-6)


def test_top_classes_keeps_the_largest(load, pictures):
    """`top-classes=5` leaves five of a thousand scores, as they were."""
    every, five = load("MobileNet@predictions"), load("MobileNet@predictions?top-classes=5")
    prepared = [every.prepare(pictures[0])]
    kept, scores = five.extract(prepared).vectors[0], every.extract(prepared).vectors[0]
    assert np.count_nonzero(kept) == 5
    np.testing.assert_array_equal(kept[kept > 0], scores[kept > 0])
    assert kept[kept > 0].min() >= np.sort(scores)[-5]
