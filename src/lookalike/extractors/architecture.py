"""EfficientNet-Lite0 as data: its convolutions in order, and their weights with batch norm folded in.

The network is that of Tan and Le, "EfficientNet: Rethinking Model Scaling for Convolutional Neural
Networks" (2019), in its Lite variant: ReLU6, no squeeze-and-excitation. Nothing here knows what
builds a graph of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from lookalike.types import Floats

SIZE = (224, 224)  # width, height in pixels
MEAN, SCALE = 127.0, 128.0  # a pixel x goes in as (x - MEAN) / SCALE
PADDING = "same_upper"  # as TensorFlow pads: the odd pixel goes to the right and below
CLASSES = 1000
EPSILON = 1e-3  # of every batch norm


class NetworkStage(NamedTuple):
    """A row of the architecture's table: blocks alike, but that only the first one strides."""

    kernel: int
    stride: int
    expand: int
    inputs: int
    outputs: int
    repeat: int


STAGES = (
    NetworkStage(3, 1, 1, 32, 16, 1),
    NetworkStage(3, 2, 6, 16, 24, 2),
    NetworkStage(5, 2, 6, 24, 40, 2),
    NetworkStage(3, 2, 6, 40, 80, 3),
    NetworkStage(5, 1, 6, 80, 112, 3),
    NetworkStage(5, 2, 6, 112, 192, 4),
    NetworkStage(3, 1, 6, 192, 320, 1),
)


@dataclass(frozen=True, slots=True)
class Convolution:
    """One convolution with its batch norm and what follows it.

    name: of the layer it makes.
    kernel, norm: what its weights and its batch norm's are called in the state dict.
    stride: in pixels.
    depthwise: whether each channel has a kernel of its own.
    relu6: whether ReLU6 follows.
    plus: the layer whose output is added to its own, if any.
    """

    name: str
    kernel: str
    norm: str
    stride: int = 1
    depthwise: bool = False
    relu6: bool = True
    plus: str | None = None


def convolutions() -> Iterator[Convolution]:
    """Every convolution from the picture to the map that is pooled, each fed by the one before."""
    yield Convolution("stem", "_conv_stem", "_bn0", stride=2)
    below, index = "stem", 0
    for number, stage in enumerate(STAGES, 1):
        for letter in "abcd"[: stage.repeat]:
            name = f"block{number}{letter}"
            yield from _block(name, f"_blocks.{index}", stage, below, first=letter == "a")
            below, index = name, index + 1
    yield Convolution("head", "_conv_head", "_bn1")


def unfolded(weights: Mapping[str, Floats], layer: Convolution) -> tuple[Floats, tuple[Floats, ...]]:
    """A convolution's kernel (out, in, height, width), and its batch norm's four arrays (out,).

    Those are the factor, the term, and the running mean and variance.
    """
    parts = ("weight", "bias", "running_mean", "running_var")
    return weights[f"{layer.kernel}.weight"], tuple(weights[f"{layer.norm}.{part}"] for part in parts)


def folded(weights: Mapping[str, Floats], layer: Convolution) -> tuple[Floats, Floats]:
    """A convolution's kernel (out, in, height, width) and bias (out,), its batch norm folded in."""
    kernel, norm = unfolded(weights, layer)
    gamma, beta, mean, variance = (part.astype(np.float64) for part in norm)
    factor = gamma / np.sqrt(variance + EPSILON)
    kernel = (kernel * factor[:, None, None, None]).astype(np.float32)
    return kernel, (beta - mean * factor).astype(np.float32)


def classifier(weights: Mapping[str, Floats]) -> tuple[Floats, Floats]:
    """The last layer's matrix (classes, features) and bias (classes,)."""
    return weights["_fc.weight"], weights["_fc.bias"]


def _block(name: str, source: str, stage: NetworkStage, below: str, *, first: bool) -> Iterator[Convolution]:
    if stage.expand > 1:
        yield Convolution(f"{name}_expand", f"{source}._expand_conv", f"{source}._bn0")
    yield Convolution(
        f"{name}_depthwise",
        f"{source}._depthwise_conv",
        f"{source}._bn1",
        stride=stage.stride if first else 1,
        depthwise=True,
    )
    plus = None if first else below
    yield Convolution(name, f"{source}._project_conv", f"{source}._bn2", relu6=False, plus=plus)
