"""Any network and its card: normalisation, settings, exact resizing, layers by several names."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from lookalike import extractors
from lookalike.errors import ModelError, UnknownLayer, UsageError
from lookalike.extractors import runtime
from lookalike.extractors.cards import OPTIONS, Card, overridden
from lookalike.extractors.names import Name
from lookalike.extractors.network import OpenVinoExtractor
from lookalike.extractors.steps import Centre, Normalise, Power
from lookalike.types import Classes

CARD = Card(
    name="small",
    weights="00",
    size=(32, 32),
    layers=("picture", "conv", "relu", "drop", "gap", "flat", "fc_out", "soft_out"),
    features="flat",
    licence="CC0-1.0",
    scale=(255.0,),
    scores="soft_out",
    classes=Classes(tuple("abcde"), ("crane",) * 5),
    steps=(Power(0.5), Normalise()),
)


@pytest.fixture
def model(network, tmp_path):
    """The small network, in which `drop` is another name for what `relu` makes."""
    read = runtime.core().read_model(network(tmp_path / "net.onnx", shape=["n", 3, "h", "w"]))
    for op in read.get_ordered_ops():
        if op.get_friendly_name() == "relu":
            op.output(0).set_names({"relu_out", "drop"})
    return read


@pytest.fixture
def build(model):
    """Builds an extractor of the small network by its name."""

    def make(text="small", *, card=CARD, **options):
        return OpenVinoExtractor(model, card, Name.parse(text), "f32", **options)

    return make


@pytest.fixture
def picture():
    """A picture of noise, larger than the network's input and not square."""
    return Image.fromarray(np.random.default_rng(3).integers(0, 256, (150, 210, 3), np.uint8))


def vector(extractor, picture):
    """The vector of one picture."""
    return extractor.extract([extractor.prepare(picture)]).vectors[0]


@pytest.mark.parametrize(
    ("text", "normalize", "expected"),
    [
        ("small", None, True),
        ("small", False, False),
        ("small@features", None, False),
        ("small@features+avg", None, None),
        ("small@features", True, True),
        ("small@classes", None, False),
        ("small@classes", True, True),
        ("small@flat", None, True),
        ("small@5", None, True),
        ("small@-1", None, True),
        ("small@relu+avg", None, True),
        ("small@relu+avg", False, False),
    ],
)
def test_when_vectors_have_unit_length(build, picture, text, normalize, expected):
    """The bare name as its card says, features and classes not, any other layer; unless it is said."""
    if expected is None:
        with pytest.raises(ModelError, match="only a map"):
            build(text, normalize=normalize)
        return
    extractor = build(text, normalize=normalize)
    length = np.linalg.norm(vector(extractor, picture))
    assert extractor.normalized is expected
    assert bool(abs(length - 1) < 1e-5) is expected


def test_the_card_may_leave_the_bare_name_as_it_is(build):
    """Without steps the bare name is plain numbers; asked for, they get unit length and another digest."""
    plain = build(card=replace(CARD, steps=()))
    unit = build(card=replace(CARD, steps=()), normalize=True)
    assert (plain.normalized, unit.normalized) == (False, True)
    assert plain.digest != unit.digest
    assert plain.name == unit.name == "small"


def test_a_last_step_that_is_left_out(build, picture):
    """Without its last step the recommended vector is what came before it."""
    steps = (Normalise(), Centre(np.full(4, 0.1, np.float32)), Normalise())
    found = vector(build(card=replace(CARD, steps=steps), normalize=False), picture)
    plain = vector(build("small@features"), picture)
    np.testing.assert_allclose(found, plain / np.linalg.norm(plain) - 0.1, rtol=1e-5)


def test_visual_words(build, picture):
    """Whether the vector is the class scores: `@classes` by any name, unless it is made unit length."""
    assert build("small@classes").visual_words
    assert build("small@soft_out", normalize=False).visual_words
    assert build("small@classes?top-classes=2").visual_words
    assert not build("small@classes", normalize=True).visual_words
    assert not build("small@-1").visual_words
    assert not build("small@features").visual_words
    scores_only = replace(CARD, features="soft_out", steps=())
    assert build(card=scores_only).visual_words


def test_top_classes(build, picture):
    """The N largest scores stay, the others become 0; what is no class score has no top."""
    every = vector(build("small@classes"), picture)
    top = build("small@classes?top-classes=2")
    found = top.extract([top.prepare(picture)])
    best = np.argsort(-every)[:2]
    np.testing.assert_allclose(found.vectors[0][best], every[best])
    assert np.count_nonzero(found.vectors[0]) == 2
    np.testing.assert_allclose(found.scores[0], every, rtol=1e-6)
    assert top.name == "small@classes?top-classes=2"
    assert top.digest != build("small@classes").digest
    for text in ("small?top-classes=2", "small@flat?top-classes=2"):
        with pytest.raises(UsageError, match="@classes"):
            build(text)


def test_a_card_may_keep_the_top_classes(build, picture):
    """Said by the card, it holds for class scores, and is no matter for any other layer."""
    card = replace(CARD, top_classes=1)
    assert np.count_nonzero(vector(build("small@classes", card=card), picture)) == 1
    assert build("small@features", card=card).dim == 4


def test_one_output_under_several_names(build, picture):
    """A layer that changes nothing is cut by its own name and number: the numbers of what it passes on."""
    named, numbered, below = (vector(build(f"small@{layer}"), picture) for layer in ("drop", "3", "relu"))
    np.testing.assert_array_equal(named, below)
    np.testing.assert_array_equal(numbered, below)
    listed = {layer.name: layer for layer in build().layers()}
    assert listed["drop"].shape == listed["relu"].shape == (4, 15, 15)


def test_layers_are_known_before_and_after_it_runs(build, picture):
    """What is listed does not change when the network is compiled; a card's own words go before."""
    extractor = build("small@conv")
    before = extractor.layers()
    vector(extractor, picture)
    assert extractor.layers() == before
    kinds, parameters = tuple("ABCDEFGH"), tuple(range(8))
    worded = build(card=replace(CARD, kinds=kinds, parameters=parameters)).layers()
    assert [(layer.type, layer.parameters) for layer in worded] == list(zip(kinds, parameters, strict=True))


def test_threads_may_begin_together(build, picture):
    """Eight threads that are the first to run a network get what one alone gets."""
    extractor = build("small@relu")
    prepared = extractor.prepare(picture)
    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(lambda _: extractor.extract([prepared]).vectors, range(8)))
    for vectors in found:
        np.testing.assert_array_equal(vectors[0], vector(build("small@relu"), picture))


def test_settings_change_what_the_network_sees(build, picture):
    """Pixels go in as (x - mean) * scale, in that order of channels, of the picture as Pillow resizes it."""
    text = "small@0?scale=1/255&mean=10,20,30&channels=BGR&resize=nearest"
    found = vector(build(text, normalize=False), picture)
    pixels = np.asarray(picture.resize((32, 32), Image.Resampling.NEAREST), np.float32)[:, :, ::-1]
    expected = (pixels - [10, 20, 30]) / 255
    np.testing.assert_allclose(found, expected.transpose(2, 0, 1).ravel(), atol=1e-6)


def test_scale_or_mean_replaces_both():
    """A scale alone takes the network's mean away, and a mean alone its scale."""
    card = replace(CARD, mean=(127.0,), scale=(128.0,))
    assert overridden(card, [("scale", "2")]).mean == (0.0,)
    assert overridden(card, [("scale", "2")]).scale == (0.5,)
    assert overridden(card, [("mean", "1,2.5,3")]) == replace(card, mean=(1.0, 2.5, 3.0), scale=(1.0,))
    assert overridden(card, []) is card
    both = [("mean", "5"), ("scale", "1/4")]
    once = overridden(card, both)
    assert overridden(once, both) == once == replace(card, mean=(5.0,), scale=(4.0,))


@pytest.mark.parametrize("rule", ["nearest", "bilinear", "bicubic", "lanczos"])
def test_a_resize_rule_that_is_asked_for_is_followed_to_the_letter(build, rule):
    """The whole picture by Pillow's own rule, to the pixel, and pictures are wanted whole."""
    large = Image.fromarray(np.random.default_rng(4).integers(0, 256, (700, 900, 3), np.uint8))
    extractor = build(f"small?resize={rule}")
    expected = np.asarray(large.resize((32, 32), Image.Resampling[rule.upper()]))
    np.testing.assert_array_equal(extractor.prepare(large), expected)
    assert extractor.size is None
    assert extractor.digest != build().digest
    assert build().size == (32, 32)
    assert build(card=replace(CARD, resize="nearest")).size is None


def test_a_size_that_is_asked_for(build, picture):
    """A network of any size takes the one in its name, width before height."""
    extractor = build("small@relu?size=48x40")
    assert extractor.prepare(picture).shape == (40, 48, 3)
    assert extractor.dim == 4 * 19 * 23
    assert build("small@relu?size=40").dim == 4 * 19 * 19


@pytest.mark.parametrize(
    "option",
    [
        "scale=x", "scale=0", "scale=1/0", "scale=1,2", "scale=nan", "scale=1e999999999", "scale=1e-400",
        "mean=", "mean=inf",
        "channels=rgb", "resize=area", "size=0", "size=12x", "size=99999", "size=1x2x3", "size=-4",
        "top-classes=0", "top-classes=1.5", "top-classes=many",
    ],
)  # fmt: skip
def test_a_setting_that_can_not_be_read_is_refused(build, option):
    """The message says what the option takes."""
    with pytest.raises(UsageError) as caught:
        build(f"small?{option}")
    assert OPTIONS[option.partition("=")[0]] in str(caught.value)


def test_an_unknown_setting_lists_those_there_are(build):
    """All options are named, the loader's own too, and those it has seen to are let through."""
    with pytest.raises(UsageError, match=r"colour.*scale.*mean.*channels.*resize.*size.*top-classes.*alpha"):
        build("small?colour=red", own_options=("alpha",))
    assert build("small?alpha=1", own_options=("alpha",)).name == "small?alpha=1"


def test_pixels_prepared_by_a_function(build, picture):
    """A function of one's own takes the place of channels, mean and scale."""
    card = replace(CARD, mean=(99.0,), channels="BGR")
    extractor = build("small@0", card=card, normalize=False, preprocess=lambda x: x[..., ::-1] / 127.5 - 1)
    pixels = np.asarray(picture.resize((32, 32), Image.Resampling.BICUBIC, reducing_gap=3.0), np.float32)
    expected = (pixels[:, :, ::-1] / 127.5 - 1).transpose(2, 0, 1).ravel()
    np.testing.assert_allclose(vector(extractor, picture), expected, atol=1e-6)


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"classes": Classes(("a",), ("b",))}, "names 1 classes"),
        ({"layers": (*CARD.layers, "gone")}, "gone"),
        ({"layout": "NHWC"}, "can't be used"),
        ({"steps": (Centre(np.zeros(3, np.float32)),)}, "shape"),
    ],
)
def test_a_card_that_does_not_fit_is_refused(build, change, what):
    """Other classes, layers, layout or steps than the network's: an error before anything runs."""
    with pytest.raises(ModelError, match=what):
        build(card=replace(CARD, **change))


def test_a_size_that_mixes_pictures_is_refused():
    """Where twice the size makes several rows of a picture, it is an error and no wrong number."""
    openvino = runtime.openvino()
    ops = openvino.opset13
    pixels = ops.parameter([-1, 4, 4, 3], openvino.Type.f32, name="pixels")
    rows = ops.reshape(pixels, np.array([-1, 48]), special_zero=False)
    rows.set_friendly_name("rows")
    network = openvino.Model([rows.output(0)], [pixels], "rows")
    card = Card(
        name="rows", weights="0", size=(4, 4), layers=("pixels", "rows"), features="rows", licence="CC0",
        layout="NHWC",
    )  # fmt: skip
    assert OpenVinoExtractor(network, card, Name.parse("rows"), "f32").dim == 48
    with pytest.raises(ModelError, match="rows of one picture"):
        OpenVinoExtractor(network, card, Name.parse("rows?size=8"), "f32")


def test_settings_stand_behind_the_default_model(photographs):
    """The shared options work for a model by name, and are part of its name and digest."""
    cubic = extractors.load("efficientnet-lite0?resize=bicubic", precision="f32")
    default = extractors.load("efficientnet-lite0", precision="f32")
    assert cubic.name == "efficientnet-lite0?resize=bicubic"
    assert cubic.digest != default.digest
    picture = photographs["coffee"]
    assert vector(cubic, picture) @ vector(default, picture) > 0.99
    larger = extractors.load("efficientnet-lite0?size=256", precision="f32")
    assert larger.dim == 1280
    assert larger.prepare(picture).shape == (256, 256, 3)


def test_a_function_that_makes_something_else_is_refused(build, picture):
    """One that gives another shape says which was expected; one that writes into its input may."""
    wrong = build("small@0", preprocess=lambda x: x.mean(axis=-1))
    with pytest.raises(UsageError, match=r"made \(1, 32, 32\) .*expected the same shape"):
        wrong.prepare(picture)

    def inplace(pixels):
        pixels /= 255
        return pixels

    assert build("small@0", preprocess=inplace).prepare(picture).max() <= 1


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (np.zeros(3, np.uint8), r"not an array of shape \(3,\)"),
        (np.zeros((1, 1, 3), np.uint8), r"not an array of shape \(1, 1, 3\)"),
    ],
)
def test_only_prepared_pictures_are_described(build, given, said):
    """What numpy would stretch over the whole input, or has another size, is refused."""
    with pytest.raises(ModelError, match=said):
        build().extract([given])


def test_layers_are_listed_whatever_layer_is_named():
    """`layers` does not look at the layer, nor at what only some layers can have."""
    bare = extractors.layers("efficientnet-lite0")
    assert extractors.layers("efficientnet-lite0@nosuch+avg?top-classes=5") == bare
    with pytest.raises(UnknownLayer):
        extractors.load(f"efficientnet-lite0@{'9' * 5000}")


def test_pictures_are_prepared_on_the_way(photos):
    """`extract` takes pictures as they are, and gives what prepared ones give."""
    extractor = extractors.load("efficientnet-lite0", precision="f32")
    with Image.open(photos / "coffee.png") as opened:
        image = opened.convert("RGB")
    expected = extractor.extract([extractor.prepare(image)]).vectors
    assert np.array_equal(extractor.extract([image]).vectors, expected)
