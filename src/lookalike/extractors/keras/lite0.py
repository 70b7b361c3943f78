"""EfficientNet-Lite0 as a Keras model, of the default extractor's own description and weights.

Unlike the network that OpenVINO runs, it keeps its batch norms, so that it can go on learning.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lookalike.extractors import architecture, efficientnet
from lookalike.extractors.keras import export

if TYPE_CHECKING:
    from lookalike.extractors.architecture import Convolution
    from lookalike.types import Floats

    Arrays = list[Floats]


def build(*, include_top: bool = True, size: tuple[int, int] = architecture.SIZE) -> Any:
    """The network as a functional Keras model: (n, height, width, 3) in, prepared as its card says.

    Every layer of `architecture` is there by its name. A convolution whose output is called `stem` is
    the layer `stem_conv`, its batch norm `stem_norm`.

    Args:
        include_top: whether the logits and probabilities follow the pooled features.
        size: (width, height) in pixels.

    Returns:
        A `keras.Model` that gives the 1,000 probabilities, or without its top the 1,280 features.

    Raises:
        WeightsMissing: the package with the weights is not installed, or not the one expected.
        MissingExtra: Keras is not installed.

    >>> build(include_top=False).output_shape
    (None, 1280)
    """
    keras = export.keras()
    weights = efficientnet.read_weights()
    width, height = size
    picture = keras.Input((height, width, 3), name="input")
    made: dict[str, Any] = {}
    arrays: dict[str, Arrays] = {}
    last = picture
    for layer in architecture.convolutions():
        plus = made[layer.plus] if layer.plus else None
        kernel, norm = architecture.unfolded(weights, layer)
        last = made[layer.name] = _convolution(layer, kernel.shape, last, plus)
        arrays |= {f"{layer.name}_conv": [_turned(kernel, layer)], _norm_name(layer): list(norm)}
    last = keras.layers.GlobalAveragePooling2D(name="pool")(last)
    if include_top:
        last = keras.layers.Dense(architecture.CLASSES, name="logits")(last)
        last = keras.layers.Softmax(name="classes")(last)
        matrix, bias = architecture.classifier(weights)
        arrays["logits"] = [matrix.T, bias]
    model = keras.Model(picture, last, name="efficientnet_lite0")
    for name, values in arrays.items():
        model.get_layer(name).set_weights(values)
    return model


def _convolution(layer: Convolution, kernel: tuple[int, ...], below: Any, plus: Any) -> Any:
    """A convolution, its norm and what follows; the last of them has the convolution's own name."""
    layers = export.keras().layers
    outputs, _, *size = kernel
    options = {"strides": layer.stride, "padding": "same", "use_bias": False, "name": f"{layer.name}_conv"}
    if layer.depthwise:
        made = layers.DepthwiseConv2D(size, **options)(below)
    else:
        made = layers.Conv2D(outputs, size, **options)(below)
    made = layers.BatchNormalization(epsilon=architecture.EPSILON, name=_norm_name(layer))(made)
    if layer.relu6:
        made = layers.ReLU(6.0, name=layer.name)(made)
    return made if plus is None else layers.Add(name=layer.name)([made, plus])


def _norm_name(layer: Convolution) -> str:
    last = not layer.relu6 and layer.plus is None
    return layer.name if last else f"{layer.name}_norm"


def _turned(kernel: Floats, layer: Convolution) -> Floats:
    """A kernel (out, in, height, width) as Keras has it, (height, width, in, out).

    Where each channel has one of its own, (channels, 1, height, width) becomes (height, width, channels, 1).
    """
    return kernel.transpose(2, 3, 0, 1) if layer.depthwise else kernel.transpose(2, 3, 1, 0)
