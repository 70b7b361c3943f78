"""What is read off a network that has no card, what is assumed, and what is no network for pictures."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from lookalike import extractors
from lookalike.errors import ModelError
from lookalike.extractors import cards
from lookalike.testing import check_extractor


def load(path, rest="", **options):
    """The extractor of a file in float32."""
    return extractors.load(f"{path}{rest}", precision="f32", **options)


def vector(extractor, picture):
    """The vector of one picture."""
    return extractor.extract([extractor.prepare(picture)]).vectors[0]


SHAPES = {
    "fixed": ("NCHW", [1, 3, 32, 32]),
    "dynamic batch": ("NCHW", ["n", 3, 32, 32]),
    "batch of eight": ("NCHW", [8, 3, 32, 32]),
    "dynamic": ("NCHW", ["n", 3, "h", "w"]),
    "channels last": ("NHWC", [1, 32, 32, 3]),
    "channels last, dynamic": ("NHWC", ["n", "h", "w", 3]),
    "unknown channels": ("NHWC", ["n", "h", "w", "c"]),
}


@pytest.mark.parametrize("kind", SHAPES)
def test_any_picture_shaped_input_is_taken(kind, network, tmp_path, picture, by_hand, unit):
    """Fixed or dynamic, channels first or last: the same numbers as worked out by hand."""
    layout, shape = SHAPES[kind]
    path = network(tmp_path / "net.onnx", layout=layout, shape=shape)
    size = "?size=32" if "h" in shape else ""
    extractor = load(path, f"@features{size}")
    assert (extractor.card.layout, extractor.card.size) == (layout, (32, 32))
    _, _, logits, scores = by_hand(unit)
    found = extractor.extract([extractor.prepare(picture)] * 2)
    np.testing.assert_allclose(found.vectors, [logits] * 2, rtol=1e-4)
    np.testing.assert_allclose(found.scores, [scores] * 2, atol=1e-5)
    check_extractor(extractor)


def test_a_dynamic_network_gets_a_usual_size(network, tmp_path):
    """Where a network takes any size, 224 pixels are assumed, and the note says so."""
    extractor = load(network(tmp_path / "net.onnx", shape=["n", 3, "h", "w"]))
    assert extractor.size == (224, 224)
    assert any("224x224" in note and "assumed" in note for note in extractor.notes)


@pytest.mark.parametrize(
    ("outputs", "features", "scores"),
    [
        (("soft_out",), "flat", "soft_out"),
        (("fc_out",), "fc_out", None),
        (("soft_out", "gap_out"), "gap_out", "soft_out"),
        (("relu_out",), "relu_out", None),
    ],
)
def test_outputs_are_told_apart(network, tmp_path, outputs, features, scores):
    """Rows that sum to 1 are class scores; of a classifier alone the features are before its matrix."""
    extractor = load(network(tmp_path / "net.onnx", outputs=outputs))
    assert (extractor.card.features, extractor.card.scores) == (features, scores)
    assert (extractor.classes is None) == (scores is None)
    assert extractor.normalized
    assert load(tmp_path / "net.onnx", "@features").normalized is False


def test_classes_are_numbered(network, tmp_path):
    """Without a list of names a class goes by its number; a thousand of them are not taken for ImageNet's."""
    extractor = load(network(tmp_path / "net.onnx", classes=1000), "@classes")
    assert extractor.classes.ids[:2] == ("0", "1")
    assert extractor.classes.names[999] == "class 999"
    assert extractor.visual_words
    cards.write(
        cards.replace(cards.read(tmp_path / "net.json"), classes="imagenet"),
        tmp_path / "net.json",
        endings=(),
    )
    assert load(tmp_path / "net.onnx").classes.vocabulary == "imagenet"


def operation(kind, number):
    """An operation on the picture with a constant, as `before` of the small network."""
    node = helper.make_node(kind, ["picture", "constant"], ["scaled"], name="scaled")
    return [node], {"constant": np.array(number, np.float32)}


@pytest.mark.parametrize(
    ("kind", "number", "scale"),
    [
        ("Mul", 1 / 255, 1.0),
        ("Div", 127.5, 1.0),
        ("Sub", 127.5, 1.0),
        ("Sub", 0.45, 255.0),
        ("Div", 0.229, 255.0),
        ("Mul", 2.0, 255.0),
    ],
)
def test_a_network_that_scales_for_itself_gets_raw_pixels(network, tmp_path, kind, number, scale):
    """First operations that bring 0–255 down are seen; those that expect 0–1 are, too."""
    path = network(tmp_path / "net.onnx", before=operation(kind, number))
    assert load(path).card.scale == (scale,)


@pytest.mark.parametrize(("kind", "scale"), [("UINT8", 1.0), ("INT32", 1.0), ("FLOAT16", 255.0)])
def test_an_input_need_not_be_float32(kind, scale, tmp_path, picture):
    """Whole numbers are fed with 0–255, float16 with 0–1; layer 0 is what went in."""
    value = helper.make_tensor_value_info("in", getattr(TensorProto, kind), ["n", 3, 32, 32])
    nodes = [
        helper.make_node("Cast", ["in"], ["real"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["real"], ["out"], axes=[2, 3], keepdims=0),
    ]
    out = helper.make_tensor_value_info("out", TensorProto.FLOAT, None)
    graph = helper.make_graph(nodes, "cast", [value], [out])
    path = tmp_path / "cast.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    expected = np.asarray(picture, np.float32).transpose(2, 0, 1) / scale
    np.testing.assert_allclose(
        vector(load(path, "@0", normalize=False), picture), expected.ravel(), rtol=1e-3
    )
    means = expected.mean(axis=(1, 2))
    np.testing.assert_allclose(vector(load(path, "@features"), picture), means, rtol=1e-3)


def odd(path, inputs):
    """A network that adds up inputs of these shapes."""
    values = [
        helper.make_tensor_value_info(f"in{i}", TensorProto.FLOAT, shape) for i, shape in enumerate(inputs)
    ]
    sums = [
        helper.make_node("ReduceSum", [value.name], [f"s{i}"], keepdims=0) for i, value in enumerate(values)
    ]
    total = helper.make_node("Sum", [f"s{i}" for i in range(len(inputs))], ["out"])
    out = helper.make_tensor_value_info("out", TensorProto.FLOAT, None)
    graph = helper.make_graph([*sums, total], "odd", values, [out])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


@pytest.mark.parametrize(
    "inputs",
    [
        [[1, 3, 8, 8], [1, 3, 8, 8]],
        [[1, 10]],
        [[1, 1, 28, 28]],
        [[1, 3, 8, 8, 8]],
        [[1, 3, 100_000, 8]],
    ],
)
def test_a_network_that_takes_no_picture_is_refused(inputs, tmp_path):
    """Two inputs, rows of numbers, one channel, a volume, a side beyond reason: what was expected is said."""
    with pytest.raises(ModelError, match="expected"):
        load(odd(tmp_path / "odd.onnx", inputs))


def test_a_size_it_can_not_take(tmp_path, network):
    """A network whose graph fixes the size refuses another one; a convolutional one does not."""
    assert load(network(tmp_path / "net.onnx"), "@relu?size=48x40").layers()[1].shape == (4, 19, 23)
    rows = numpy_helper.from_array(np.ones((3 * 8 * 8, 2), np.float32), "rows")
    nodes = [
        helper.make_node("Flatten", ["in"], ["flat"]),
        helper.make_node("MatMul", ["flat", "rows"], ["out"]),
    ]
    value = helper.make_tensor_value_info("in", TensorProto.FLOAT, [1, 3, 8, 8])
    out = helper.make_tensor_value_info("out", TensorProto.FLOAT, None)
    graph = helper.make_graph(nodes, "dense", [value], [out], [rows])
    path = tmp_path / "dense.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    assert load(path).dim == 2
    with pytest.raises(ModelError, match="12x12"):
        load(path, "?size=12")


def test_maps_are_pooled_as_they_lie(network, tmp_path, picture, by_hand, unit):
    """Exporters turn maps round: behind an input with channels last they may come first."""
    path = network(tmp_path / "net.onnx", layout="NHWC", outputs=("relu_out",))
    maps, pooled, *_ = by_hand(unit)
    bare = load(path)
    assert (bare.card.layout, bare.dim) == ("NHWC", 4)
    np.testing.assert_allclose(vector(bare, picture), pooled / np.linalg.norm(pooled), rtol=1e-4)
    most = vector(load(path, "@relu_out+max", normalize=False), picture)
    np.testing.assert_allclose(most, maps.max(axis=(1, 2)), rtol=1e-4)
    colours = vector(load(path, "@0+avg", normalize=False), picture)
    np.testing.assert_allclose(colours, unit.mean(axis=(0, 1)), rtol=1e-4)


def test_tokens_are_pooled_over_their_places(tmp_path):
    """What a matrix makes has its channels last, whatever the layout of the picture."""
    matrix = numpy_helper.from_array(np.eye(16, 6, dtype=np.float32), "matrix")
    shape = numpy_helper.from_array(np.array([1, 12, 16]), "shape")
    picture = helper.make_tensor_value_info("picture", TensorProto.FLOAT, [1, 3, 8, 8])
    tokens = helper.make_tensor_value_info("tokens", TensorProto.FLOAT, None)
    nodes = [
        helper.make_node("Reshape", ["picture", "shape"], ["rows"], name="rows"),
        helper.make_node("MatMul", ["rows", "matrix"], ["made"], name="made"),
        helper.make_node("Relu", ["made"], ["tokens"], name="tokens"),
    ]
    graph = helper.make_graph(nodes, "tokens", [picture], [tokens], [matrix, shape])
    opset = [helper.make_opsetid("", 17)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=8), tmp_path / "net.onnx")
    assert load(tmp_path / "net.onnx", "@tokens+avg").dim == 6
