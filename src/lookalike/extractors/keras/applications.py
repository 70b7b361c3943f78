"""The networks of `keras.applications`: what each is fed, and what its constructor may be told.

This table is all that has to be known of them before Keras is imported, and after it is gone.
"""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING, Literal, TypeAlias

from lookalike.errors import UnknownModel

if TYPE_CHECKING:
    from lookalike.extractors.cards import Channels

Argument: TypeAlias = bool | int | float | str | None
Scaling: TypeAlias = Literal["caffe", "tf", "torch", "inside"]


@dataclass(frozen=True, slots=True)
class Pixels:
    """What is done to pixels, 0 to 255, before a network: (x - mean) / scale in this order of colours."""

    channels: Channels
    mean: tuple[float, ...]
    scale: tuple[float, ...]


PIXELS: dict[Scaling, Pixels] = {
    "caffe": Pixels("BGR", (103.939, 116.779, 123.68), (1.0,)),
    "tf": Pixels("RGB", (127.5,), (127.5,)),
    "torch": Pixels("RGB", (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)),
    "inside": Pixels("RGB", (0.0,), (1.0,)),
}
"""Keras' own names for them; `inside` stands for networks that begin with layers that do it."""

EVERYWHERE: dict[str, Argument] = {
    "include_top": True,
    "pooling": None,
    "classes": 1000,
    "classifier_activation": "softmax",
}
"""Arguments of every constructor, with their defaults."""

_INSIDE: dict[str, Argument] = {"include_preprocessing": True}
_MOBILE_V3: dict[str, Argument] = {**_INSIDE, "alpha": 1.0, "minimalistic": False, "dropout_rate": 0.2}


@dataclass(frozen=True, slots=True)
class Application:
    """One network.

    name: of its constructor in `keras.applications`.
    scaling: what is done to the pixels.
    side: width and height of its input by default, in pixels.
    licence: of the weights that Keras offers for it.
    more: arguments of its constructor beside those of every one, with their defaults.
    """

    name: str
    scaling: Scaling
    side: int
    licence: str
    more: tuple[tuple[str, Argument], ...] = ()

    @property
    def arguments(self) -> dict[str, Argument]:
        """The arguments its constructor takes from a name's options, with their defaults."""
        return EVERYWHERE | dict(self.more)


def _family(
    scaling: Scaling, licence: str, sides: dict[str, int], more: dict[str, Argument] | None = None
) -> list[Application]:
    arguments = tuple((more or {}).items())
    return [Application(name, scaling, side, licence, arguments) for name, side in sides.items()]


_EFFICIENT_SIDES = (224, 240, 260, 300, 380, 456, 528, 600)

_ALL = [
    *_family("caffe", "CC BY 4.0, Visual Geometry Group, Oxford", {"VGG16": 224, "VGG19": 224}),
    *_family("caffe", "MIT, Kaiming He", {"ResNet50": 224, "ResNet101": 224, "ResNet152": 224}),
    *_family("tf", "Apache-2.0", {"ResNet50V2": 224, "ResNet101V2": 224, "ResNet152V2": 224}),
    *_family("tf", "Apache-2.0", {"InceptionV3": 299, "InceptionResNetV2": 299}),
    *_family("tf", "MIT, François Chollet", {"Xception": 299}),
    *_family("tf", "Apache-2.0", {"MobileNet": 224}, {"alpha": 1.0, "depth_multiplier": 1, "dropout": 0.001}),
    *_family("tf", "Apache-2.0", {"MobileNetV2": 224}, {"alpha": 1.0}),
    *_family("inside", "Apache-2.0", {"MobileNetV3Small": 224, "MobileNetV3Large": 224}, _MOBILE_V3),
    *_family("torch", "BSD-3-Clause", {f"DenseNet{depth}": 224 for depth in (121, 169, 201)}),
    *_family("tf", "Apache-2.0", {"NASNetMobile": 224, "NASNetLarge": 331}),
    *_family(
        "inside", "Apache-2.0", {f"EfficientNetB{step}": side for step, side in enumerate(_EFFICIENT_SIDES)}
    ),
    *_family(
        "inside",
        "Apache-2.0",
        {f"EfficientNetV2B{step}": side for step, side in enumerate(_EFFICIENT_SIDES[:4])}
        | {"EfficientNetV2S": 384, "EfficientNetV2M": 480, "EfficientNetV2L": 480},
        _INSIDE,
    ),
    *_family(
        "inside",
        "MIT, Facebook AI Research",
        {f"ConvNeXt{size}": 224 for size in ("Tiny", "Small", "Base", "Large", "XLarge")},
        _INSIDE,
    ),
]

APPLICATIONS = {application.name: application for application in _ALL}
"""Every network, by name."""


def find(name: str) -> Application:
    """The network of this name, however its letters are written.

    Raises:
        UnknownModel: there is none; the message offers near ones.

    >>> find("vgg16").side
    224
    """
    exact = {known.lower(): known for known in APPLICATIONS}
    known = exact.get(name.lower())
    if known is None:
        near = [exact[match] for match in get_close_matches(name.lower(), exact, n=3, cutoff=0.4)]
        raise UnknownModel(
            f"Keras has no network {name!r}; did you mean {' or '.join(near)}?"
            if near
            else f"Keras has no network {name!r}; there are {', '.join(APPLICATIONS)}"
        )
    return APPLICATIONS[known]
