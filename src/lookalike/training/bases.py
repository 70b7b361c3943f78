"""Networks to begin a training with: Keras models cut where their maps have become one row of numbers."""

from __future__ import annotations

import socket
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from lookalike.errors import UnknownModel, UsageError
from lookalike.extractors import efficientnet, settings
from lookalike.extractors.keras import backend, building, graph, lite0, recipes
from lookalike.extractors.names import Name

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from lookalike.extractors.cards import Card

POOL = "pool"
"""The layer that every base ends with: a number a channel."""

_OWN_TOP = ("include_top", "pooling", "classes", "classifier_activation")
_LITE0_TOP = (
    "block6a_expand_conv"  # of its blocks the last five; with all of them an epoch takes twice as long
)
_TOP_SHARE = 3  # of another network, the last third of its layers
_PATIENCE = 60.0  # seconds a server may be silent during a download


@dataclass(frozen=True, slots=True)
class Base:
    """A network to begin with.

    name: as the user types it.
    network: a functional Keras model, prepared pictures (n, height, width, 3) in, `pool` (n, dim) out.
    card: how pictures are prepared for it, and what its weights are.
    top: the number of the layer from which on it learns, unless said otherwise.
    """

    name: str
    network: Any
    card: Card
    top: int

    def freeze(self) -> None:
        """Let nothing of it learn."""
        for layer in self.network.layers:
            layer.trainable = False

    def unfreeze(self, wanted: str | int | None = None, *, norms: bool = False) -> None:
        """Let it learn from one layer on, and not below.

        Args:
            wanted: the layer, as `from_layer` has it.
            norms: whether batch norms learn, too, and go by the pictures of a batch.

        Raises:
            UsageError: there is no such layer.
        """
        upper = self.from_layer(wanted)
        self.freeze()
        for layer in upper:
            layer.trainable = norms or type(layer).__name__ != "BatchNormalization"

    def from_layer(self, wanted: str | int | None = None) -> list[Any]:
        """The layers from one on, by its name or number; None for the usual top.

        Raises:
            UsageError: there is no such layer.
        """
        layers = list(self.network.layers)
        if wanted is None:
            return layers[self.top :]
        names = [layer.name for layer in layers]
        number = names.index(wanted) if wanted in names else _number(wanted)
        if number is None or not -len(layers) <= number < len(layers):
            raise UsageError(
                f"{self.name} has no layer {wanted!r} to learn from on; expected a number from 0 to "
                f"{len(layers) - 1}, or one of {', '.join(_some(names))}"
            )
        return layers[number:]


def open_base(text: str, *, side: int | None = None, raw: bool = False) -> Base:
    """Build a network to begin with.

    Args:
        text: `efficientnet-lite0`, or `keras:NETWORK` with the options that it has as a model.
        side: of its pictures in pixels; None for the network's own.
        raw: whether pixels go in as they are, 0 to 255, in place of its own preparation.

    Raises:
        UsageError: an option that is not known or can't be meant, or a layer in the name.
        UnknownModel: it is no network that can be trained here.
        WeightsMissing: its weights can't be had.
        MissingExtra: Keras is not installed.

    >>> open_base("efficientnet-lite0").network.output_shape
    (None, 1280)
    """
    name = Name.parse(text)
    if name.layer or name.pool:
        raise UsageError(f"{text} is cut at a layer; a training begins with the whole network: {name.model}")
    options = dict(name.options) | ({} if side is None else {"size": str(side)})
    if raw:
        options |= {"scale": "1", "mean": "0"}
    name = replace(name, options=tuple(sorted(options.items())))
    if name.model == efficientnet.NAME:
        return _lite0(name, text)
    if name.scheme == "keras":
        return _application(name, text)
    raise UnknownModel(
        f"{text} can't be trained further; expected {efficientnet.NAME}, or a network of Keras such as "
        "keras:MobileNetV2"
    )


def _lite0(name: Name, text: str) -> Base:
    card = settings.overridden(efficientnet.card(efficientnet.recommended()), name.options)
    network = lite0.build(include_top=False, size=card.size)
    return Base(text, network, card, [layer.name for layer in network.layers].index(_LITE0_TOP))


def _application(name: Name, text: str) -> Base:
    wrong = sorted({key for key, _ in name.options} & set(_OWN_TOP))
    if wrong:
        raise UsageError(f"{text} has {', '.join(wrong)}; a training gives the network a top of its own")
    whole = tuple(sorted([*name.options, ("include_top", "false")]))
    recipe = recipes.of_application(replace(name, options=whole))
    with _patience():
        model, card = building.built(recipe)
    card = settings.overridden(card, name.options, own=recipes.own_options(name))
    pool = backend.keras().layers.GlobalAveragePooling2D(name=POOL)(model.outputs[0])
    network = backend.keras().Model(model.inputs[0], pool, name=model.name)
    count = len(graph.layers_of(network).names)
    return Base(text, network, card, count - count // _TOP_SHARE)


@contextmanager
def _patience() -> Iterator[None]:
    """A download of weights that hangs ends with an error."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(before or _PATIENCE)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)


def _number(wanted: str | int) -> int | None:
    try:
        return int(wanted)
    except ValueError:
        return None


def _some(names: Sequence[str]) -> list[str]:
    return list(names) if len(names) <= 8 else [*names[:3], "…", *names[-3:]]
