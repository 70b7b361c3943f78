"""What is lost between bf16 and float32: emulated on every machine, real where the processor has it.

A bf16 number is a float32 with its last 16 bits rounded off. The emulation rounds all weights and
every layer's output that way, and adds up in float32, as processors do.
"""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image

from lookalike import extractors
from lookalike.extractors import efficientnet, runtime
from lookalike.extractors.names import Name
from lookalike.extractors.network import OpenVinoExtractor

QUERIES = 300


def rounded(numbers):
    """Numbers rounded to bf16 by Veltkamp's splitting, in float32 arithmetic only."""
    shifted = numbers * np.float32(2**16 + 1)
    return shifted - (shifted - numbers)


def emulated(model):
    """A copy of a network whose weights and layers are rounded to bf16."""
    openvino = runtime.openvino()
    ops = openvino.opset13
    copy = model.clone()
    layers = set(efficientnet.card(()).layers) - {"classes"}
    for node in copy.get_ordered_ops():
        users = node.output(0).get_target_inputs() if node.get_output_size() else ()
        if node.get_type_name() == "Constant" and node.get_element_type() == openvino.Type.f32:
            replacement = ops.constant(rounded(node.data))
        elif node.get_friendly_name() in layers:
            shifted = ops.multiply(node, np.float32(2**16 + 1))
            replacement = ops.subtract(shifted, ops.subtract(shifted, node))
        else:
            continue
        for user in users:
            user.replace_source_output(replacement.output(0))
    return copy


@pytest.fixture(scope="module")
def in_bf16():
    """The default model in emulated bf16."""
    model = emulated(efficientnet.graph(efficientnet.read_weights()))
    return OpenVinoExtractor(model, efficientnet.card(efficientnet.recommended()), Name("emulated"), "f32")


@pytest.fixture(scope="module")
def labelled(stamps, default):
    """Stamps of labels with five pictures or more, evenly taken, prepared; and their labels."""
    files = sorted(stamps.rglob("*.png"))
    labels = ["/".join(file.relative_to(stamps).parts[:-1][:2]) for file in files]
    often = Counter(labels)
    kept = [pair for pair in zip(files, labels, strict=True) if often[pair[1]] >= 5]
    kept = kept[:: max(1, len(kept) // QUERIES)]
    with ThreadPoolExecutor(default.parallel) as threads:
        pictures = list(threads.map(lambda pair: default.prepare(on_white(pair[0])), kept))
    return pictures, np.array([label for _, label in kept])


def on_white(path):
    """A stamp as RGB, what is transparent on white."""
    image = Image.open(path).convert("RGBA")
    white = Image.new("RGBA", image.size, "white")
    return Image.alpha_composite(white, image).convert("RGB")


def vectors(extractor, pictures):
    """All vectors, (n, 1280)."""
    with ThreadPoolExecutor(extractor.parallel) as threads:
        found = threads.map(lambda picture: extractor.extract([picture]).vectors, pictures)
        return np.concatenate(list(found))


def precision_at_5(queries, gallery, labels):
    """The mean share of the five nearest, the query itself left out, that have its label."""
    scores = queries @ gallery.T
    np.fill_diagonal(scores, -np.inf)
    nearest = np.argsort(-scores, axis=1)[:, :5]
    return (labels[nearest] == labels[:, None]).mean()


def check_little_is_lost(queries, gallery, labels):
    """Searched across precisions: under .003 P@5 lost, and every picture finds itself first."""
    lost = precision_at_5(queries, queries, labels) - precision_at_5(queries, gallery, labels)
    assert lost < 0.003
    scores = queries @ gallery.T
    np.testing.assert_array_equal(scores.argmax(axis=1), np.arange(len(labels)))
    assert scores.diagonal().min() > 0.98


def test_the_emulation_rounds(in_bf16, prepared, default):
    """Layers cut in the emulation have 16 empty bits at their end, and differ from float32's."""
    model = emulated(efficientnet.graph(efficientnet.read_weights()))
    assert rounded(np.float32(1 + 2**-9)) == 1
    assert rounded(np.float32(1 + 2**-7)) == np.float32(1 + 2**-7)
    constants = [n for n in model.get_ordered_ops() if n.get_type_name() == "Constant"]
    kernels = [
        n.data for n in constants if n.get_element_type() == runtime.openvino().Type.f32 and n.data.ndim
    ]
    assert all((np.ascontiguousarray(k).view(np.uint32) & 0xFFFF == 0).all() for k in kernels if k.size > 1)
    here, there = in_bf16.extract(prepared).vectors, default.extract(prepared).vectors
    cosines = (here * there).sum(axis=1)
    assert cosines.max() < 1 - 1e-6
    assert cosines.min() > 0.98


def test_a_gallery_in_emulated_bf16_is_searched_in_float32(in_bf16, default, labelled):
    """What one precision indexed the other finds: retrieval is as good, a picture still comes first."""
    pictures, labels = labelled
    check_little_is_lost(vectors(default, pictures), vectors(in_bf16, pictures), labels)


def test_a_gallery_in_real_bf16_is_searched_in_float32(default, labelled):
    """The same with the processor's own bf16."""
    if runtime.best_precision() != "bf16":
        pytest.skip("this processor does not compute in bf16")
    pictures, labels = labelled
    real = extractors.load("efficientnet-lite0", precision="bf16")
    check_little_is_lost(vectors(default, pictures), vectors(real, pictures), labels)
