"""What the tests of extractors share: real photographs, and the default model in a cache of the run's own."""

from pathlib import Path

import numpy as np
import onnx
import pytest
import skimage
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from lookalike import extractors

PHOTOGRAPHS = ("chelsea.png", "coffee.png", "rocket.jpg", "astronaut.png", "horse.png")


@pytest.fixture(scope="session", autouse=True)
def cache(tmp_path_factory):
    """A cache folder that only this run knows."""
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LOOKALIKE_CACHE", str(folder))
        yield folder


@pytest.fixture(scope="session")
def photographs():
    """Real photographs as RGB, by name without ending."""
    folder = Path(skimage.__file__).parent / "data"
    return {Path(name).stem: Image.open(folder / name).convert("RGB") for name in PHOTOGRAPHS}


@pytest.fixture(scope="session")
def default(cache):
    """The default model in float32, where numbers are compared."""
    return extractors.load("efficientnet-lite0", precision="f32")


@pytest.fixture(scope="session")
def prepared(default, photographs):
    """The photographs as the default model takes them, in order."""
    return [default.prepare(image) for image in photographs.values()]


@pytest.fixture
def picture():
    """A picture of noise, of the small network's size."""
    return Image.fromarray(np.random.default_rng(3).integers(0, 256, (32, 32, 3), np.uint8))


@pytest.fixture
def unit(picture):
    """The picture as the small network is assumed to want it: 0 to 1."""
    return np.asarray(picture, np.float32) / 255


@pytest.fixture
def network():
    """Writes a small ONNX network: convolution, ReLU, mean pool, matrix, softmax."""
    return write_network


def write_network(path, **options):
    """Write the small network to a file.

    The operations are `conv`, `relu`, `same` (an identity), `gap`, `flat`, `fc`, `soft`; the tensors
    they make have those names and `_out` behind them.

    Args:
        path: of the file.
        options: layout (`NCHW`), shape of the input, outputs (`fc_out` and `soft_out`), classes (5),
            before (operations before the convolution, with their constants), external (whether the
            numbers lie in another file).
    """
    layout, classes = options.get("layout", "NCHW"), options.get("classes", 5)
    rng = np.random.default_rng(7)
    arrays = {
        "kernel": rng.normal(size=(4, 3, 3, 3)).astype(np.float32),
        "matrix": rng.normal(size=(4, classes)).astype(np.float32),
    }
    before, constants = options.get("before", ([], {}))
    nodes = list(before)
    last = nodes[-1].output[0] if nodes else "picture"
    if layout == "NHWC":
        nodes.append(helper.make_node("Transpose", [last], ["first"], name="first", perm=[0, 3, 1, 2]))
        last = "first"
    nodes += [
        helper.make_node("Conv", [last, "kernel"], ["conv_out"], name="conv", strides=[2, 2]),
        helper.make_node("Relu", ["conv_out"], ["relu_out"], name="relu"),
        helper.make_node("Identity", ["relu_out"], ["same_out"], name="same"),
        helper.make_node("GlobalAveragePool", ["same_out"], ["gap_out"], name="gap"),
        helper.make_node("Flatten", ["gap_out"], ["flat_out"], name="flat"),
        helper.make_node("MatMul", ["flat_out", "matrix"], ["fc_out"], name="fc"),
        helper.make_node("Softmax", ["fc_out"], ["soft_out"], name="soft"),
    ]
    shape = options.get("shape", [1, 3, 32, 32] if layout == "NCHW" else [1, 32, 32, 3])
    picture = helper.make_tensor_value_info("picture", TensorProto.FLOAT, shape)
    outputs = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, None)
        for name in options.get("outputs", ("fc_out", "soft_out"))
    ]
    numbers = [numpy_helper.from_array(array, name) for name, array in (arrays | constants).items()]
    graph = helper.make_graph(nodes, "small", [picture], outputs, numbers)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    elsewhere = {"save_as_external_data": True, "location": f"{path.name}.data", "size_threshold": 0}
    onnx.save(model, path, **(elsewhere if options.get("external") else {}))
    return path


@pytest.fixture
def by_hand():
    """What the small network gives for a picture in float32: maps, pooled, logits and probabilities."""

    def run(pixels):
        rng = np.random.default_rng(7)
        kernel = rng.normal(size=(4, 3, 3, 3)).astype(np.float32)
        patches = np.lib.stride_tricks.sliding_window_view(pixels, (3, 3, 3))[::2, ::2, 0]  # (h, w, 3, 3, 3)
        maps = np.maximum(np.einsum("hwyxc,ocyx->ohw", patches, kernel), 0)
        pooled = maps.mean(axis=(1, 2))
        logits = pooled @ rng.normal(size=(4, 5)).astype(np.float32)
        grown = np.exp(logits - logits.max())
        return maps, pooled, logits, grown / grown.sum()

    return run
