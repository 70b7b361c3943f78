"""The default model: its known answers, and every place it can be cut."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import skimage
from PIL import Image

from lookalike import extractors
from lookalike.errors import ModelError, UnknownLayer, UnknownModel, UsageError
from lookalike.extractors import efficientnet, runtime
from lookalike.extractors.names import Name
from lookalike.extractors.network import OpenVinoExtractor

KNOWN = [
    ("chelsea", {285: 0.771, 282: 0.101, 281: 0.077}),
    ("coffee", {967: 0.900}),
    ("rocket", {540: 0.564}),
]


@pytest.mark.parametrize(("picture", "answers"), KNOWN)
def test_the_known_answers(default, photographs, picture, answers):
    """The network gives the probabilities it is known for, to .01: weights, padding and input are right."""
    scores = default.extract([default.prepare(photographs[picture])]).scores[0]
    assert scores.argmax() == next(iter(answers))
    np.testing.assert_allclose(scores[list(answers)], list(answers.values()), atol=0.01)
    assert scores.sum() == pytest.approx(1, abs=1e-4)


def test_a_wrong_normalisation_would_be_noticed(photographs):
    """Fed with ImageNet's means and deviations instead, the network misses its known answers."""
    card = replace(efficientnet.card(()), mean=(123.675, 116.28, 103.53), scale=(58.395, 57.12, 57.375))
    model = efficientnet.graph(efficientnet.read_weights())
    wrong = OpenVinoExtractor(model, card, Name(efficientnet.NAME, "features"), "f32")
    scores = [wrong.extract([wrong.prepare(photographs[name])]).scores[0] for name, _ in KNOWN]
    misses = [
        abs(row[i] - p) for row, (_, known) in zip(scores, KNOWN, strict=True) for i, p in known.items()
    ]
    assert max(misses) > 0.05


def test_classes_are_named(default, photographs):
    """A score's place in the row is its class's place in the table."""
    scores = default.extract([default.prepare(photographs["chelsea"])]).scores[0]
    assert default.classes.names[scores.argmax()] == "Egyptian cat"
    assert default.classes.ids[scores.argmax()] == "n02124075"


def test_the_recommended_vector(default, prepared):
    """The bare name gives the four steps of T on the pooled features, at unit length, for cosine."""
    features = extractors.load("efficientnet-lite0@features", precision="f32")
    plain = features.extract(prepared).vectors
    vectors = default.extract(prepared).vectors
    root = np.sqrt(plain)
    centred = root / np.linalg.norm(root, axis=1, keepdims=True) - efficientnet.recommended()[2].mean
    expected = centred / np.linalg.norm(centred, axis=1, keepdims=True)
    np.testing.assert_allclose(vectors, expected, atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, rtol=1e-5)
    assert (default.dim, default.normalized, default.metric) == (1280, True, "cosine")
    assert (features.dim, features.normalized, features.metric) == (1280, False, "cosine")
    assert plain.min() >= 0


def test_class_scores_as_the_vector(prepared):
    """`@classes` gives the probabilities themselves."""
    classes = extractors.load("efficientnet-lite0@classes", precision="f32")
    found = classes.extract(prepared)
    np.testing.assert_array_equal(found.vectors, found.scores)
    assert not classes.normalized


@pytest.mark.parametrize(
    ("layer", "dim"),
    [
        ("input", 150_528),
        ("stem", 401_408),
        ("block3a", 40 * 28 * 28),
        ("block3a_expand+max", 144),
        ("block5c+avg", 112),
        ("head", 62_720),
        ("logits", 1000),
        ("0", 150_528),
        ("-3", 1280),
    ],
)
def test_any_layer_can_be_cut(default, prepared, layer, dim):
    """A layer by name or number, flattened or pooled; the class scores stay what they were."""
    cut = extractors.load(f"efficientnet-lite0@{layer}", precision="f32")
    found = cut.extract(prepared[:2])
    assert found.vectors.shape == (2, cut.dim) == (2, dim)
    np.testing.assert_allclose(found.scores, default.extract(prepared[:2]).scores, atol=1e-4)
    assert np.abs(found.vectors[0] - found.vectors[1]).max() > 0


def test_pooling_the_head_gives_the_features(default, prepared):
    """The mean over the last map, taken outside the network, is the network's own."""
    head, pool = (
        extractors.load(f"efficientnet-lite0@{layer}", precision="f32", normalize=False)
        for layer in ("head+avg", "pool")
    )
    np.testing.assert_allclose(head.extract(prepared).vectors, pool.extract(prepared).vectors, atol=1e-4)


def test_the_input_layer_is_the_picture_itself(default, prepared):
    """Cut before the first convolution, the vector is (pixel - 127) / 128, channels first."""
    plain = extractors.load("efficientnet-lite0@input", precision="f32", normalize=False)
    pixels = plain.extract(prepared[:1]).vectors[0]
    expected = (prepared[0].astype(np.float32).transpose(2, 0, 1) - 127) / 128
    np.testing.assert_allclose(pixels, expected.ravel(), atol=1e-6)


def test_every_layer_is_listed(default):
    """The listing goes from the picture to the classes, with the shapes of a cut there."""
    layers = {layer.name: layer.shape for layer in default.layers()}
    assert next(iter(layers)) == "input"
    assert list(layers)[-1] == "classes"
    assert layers["block1a"] == (16, 112, 112)
    assert layers["head"] == (1280, 7, 7)


def test_layers_by_the_models_name():
    """`layers` lists them for a name, with what each has learnt; a model that can't be cut says so."""
    found = extractors.layers("efficientnet-lite0")
    assert [layer.number for layer in found] == list(range(53))
    assert found[1] == (1, "stem", "Clamp", (32, 112, 112), 32 * 27 + 32)
    assert found[-2] == (51, "logits", "Add", (1000,), 1280 * 1000 + 1000)
    assert sum(layer.parameters for layer in found) == 4_631_000
    with pytest.raises(ModelError, match="as it is"):
        extractors.layers("toy")


def test_a_model_of_ours_needs_no_notes(default):
    """Nothing was assumed of the default model, nor of one that can't say so."""
    assert extractors.notes(default) == extractors.notes(extractors.load("toy")) == ()


def test_an_unknown_layer_lists_those_there_are():
    """The message names the layers."""
    with pytest.raises(UnknownLayer, match=r"block9z.*stem.*block4c.*classes"):
        extractors.load("efficientnet-lite0@block9z", precision="f32")


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("efficientnet-lite0?alpha=1", UsageError),
        ("efficientnet-lite0+avg", UsageError),
        ("efficientnet-lite0@pool+avg", ModelError),
        ("efficientnet-lite0@99", UnknownLayer),
    ],
)
def test_what_the_model_can_not_do_is_refused(name, error):
    """Options it does not have, and pooling where there is no map, are errors."""
    with pytest.raises(error):
        extractors.load(name, precision="f32")


def test_an_unknown_model_suggests_the_closest():
    """A misspelt name gets the name that was meant."""
    with pytest.raises(UnknownModel, match="did you mean efficientnet-lite0"):
        extractors.load("eficientnet-lite")


def test_models_are_listed_with_a_line_each():
    """Every known model has a description that fits a line."""
    known = extractors.models()
    assert known["efficientnet-lite0"].startswith("EfficientNet-Lite0")
    assert all(line and "\n" not in line for line in known.values())


def test_names_and_digests(default):
    """The name builds the extractor again; the digest differs where the numbers do."""
    again = extractors.load(default.name, precision="f32")
    features = extractors.load("efficientnet-lite0@features", precision="f32")
    assert again.digest == default.digest
    assert features.digest != default.digest
    assert features.name == "efficientnet-lite0@features"


def test_threads_get_the_numbers_of_one(default, prepared):
    """Eight threads at once on fewer streams get, bit for bit, what one alone gets."""
    alone = [default.extract([picture]).vectors for picture in prepared]
    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(lambda i: default.extract([prepared[i % 5]]).vectors, range(80)))
    for i, vectors in enumerate(found):
        np.testing.assert_array_equal(vectors, alone[i % 5])


def test_a_batch_is_its_pictures(default, prepared):
    """Rows do not depend on their neighbours, and results do not change when the input does later."""
    pictures = [picture.copy() for picture in prepared]
    batch = default.extract(pictures)
    kept = batch.vectors.copy()
    for picture in pictures:
        picture[:] = 0
    default.extract(pictures)
    np.testing.assert_array_equal(batch.vectors, kept)
    np.testing.assert_array_equal(default.extract([prepared[3]]).vectors[0], kept[3])


def test_an_empty_batch(default):
    """No pictures make no rows, of the right width."""
    found = default.extract([])
    assert found.vectors.shape == (0, 1280)
    assert found.scores.shape == (0, 1000)


def test_preparing_shrinks_large_pictures_well(default):
    """Shrinking by whole factors first changes the vector by less than .001 in cosine."""
    image = Image.open(Path(skimage.__file__).parent / "data" / "retina.jpg").convert("RGB")
    large = image.resize((2900, 2300), Image.Resampling.BICUBIC)
    exact = np.asarray(large.resize((224, 224), Image.Resampling.BICUBIC))
    quick, slow = default.extract([default.prepare(large), exact]).vectors
    assert quick @ slow >= 0.999


@pytest.mark.parametrize("size", [(1, 1), (3000, 1), (1, 3000)])
def test_any_shape_can_be_prepared(default, size):
    """Pictures of one pixel and pictures of one line are resized like any other."""
    prepared = default.prepare(Image.new("RGB", size, "red"))
    assert prepared.shape == (224, 224, 3)
    assert np.isfinite(default.extract([prepared]).vectors).all()


def test_a_hundred_open_and_close_cycles(prepared):
    """Extractors come and go in one process without hanging, growing or changing their numbers."""
    resource = pytest.importorskip("resource")
    first = None
    for cycle in range(100):
        extractor = extractors.load("efficientnet-lite0", precision="f32")
        vectors = extractor.extract(prepared[:1]).vectors
        first = vectors if first is None else first
        np.testing.assert_array_equal(vectors, first)
        if cycle == 20:
            before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss < before * 1.2


def test_precision_is_asked_for(default):
    """The precision is part of the extractor; bf16 where there is none is an error, not another number."""
    assert default.precision == "f32"
    if runtime.best_precision() == "bf16":
        assert extractors.load("efficientnet-lite0").precision == "bf16"
    else:
        with pytest.raises(ModelError, match="bf16"):
            extractors.load("efficientnet-lite0", precision="bf16")
