"""The extractor of every network that OpenVINO runs, made of the network and its card."""

from __future__ import annotations

import hashlib
import math
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from lookalike.errors import ModelError, UsageError
from lookalike.extractors import listing, runtime
from lookalike.extractors import steps as vector_steps
from lookalike.extractors.cards import overridden
from lookalike.extractors.runtime import Engine, cut, fitted, streams
from lookalike.extractors.steps import Flatten, Normalise, Pool, Step, Top
from lookalike.system import forks
from lookalike.types import Extraction

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from numpy.typing import NDArray
    from PIL.Image import Image

    from lookalike.extractors.cards import Card
    from lookalike.extractors.listing import Layer
    from lookalike.extractors.names import Name
    from lookalike.extractors.steps import Layout
    from lookalike.types import Floats, Precision

_REDUCING_GAP = 3.0  # a picture is first shrunk by whole factors to 3 times its goal: cosine ≥ .999


class OpenVinoExtractor:
    """A network cut at one layer, as `lookalike.types.Extractor` describes it.

    The network is compiled when it is first run: what it has of layers, and what would come out, is
    known without. `parallel` threads keep the machine busy; more wait.

    reload: loads the same once more, which a forked process does to use it; where it is None, the network is
        kept for that.

    Args:
        model: an `openvino.Model` with one input of one picture; it is not changed.
        card: what belongs to it.
        name: where to cut, and what to change of the card.
        precision: of the arithmetic; `runtime.best_precision()` unless said otherwise.
        normalize: whether vectors get unit length; by default the bare name as the card's steps say,
            `@features` and `@classes` not, any other layer does.
        own_options: options of the name that the loader has seen to itself.
        preprocess: makes the network's input of pictures resized, RGB, 0 to 255, in place of the
            card's channels, mean and scale: (n, height, width, 3) float32 to the same shape.
        notes: what a user should know of how the card came about.

    Raises:
        UnknownLayer: the network has no such layer.
        UsageError: an option that is not known, or can't be meant here.
        ModelError: card and network do not fit, or the processor does not compute in that precision.
    """

    reload: Callable[[], Any] | None = None

    def __init__(
        self,
        model: Any,
        card: Card,
        name: Name,
        precision: Precision | None = None,
        *,
        normalize: bool | None = None,
        own_options: Iterable[str] = (),
        preprocess: Callable[[NDArray[np.float32]], NDArray[np.generic]] | None = None,
        notes: Sequence[str] = (),
    ) -> None:
        self.name = str(name)
        self.card = overridden(card, name.options, own=own_options)
        self.size = None if wants_all_pixels(self.card) else self.card.size
        self.notes = tuple(notes)
        self.precision: Precision = _precision(precision)
        self.classes = self.card.known_classes()
        self._preprocess = preprocess
        self._before = listing.ports(model)
        self._network = fitted(model, self.card)
        self._ports = listing.ports(self._network)
        self._require_layers()
        self._cuts = self._layers_cut(name)
        self._shapes = [self._shape(layer) for layer in self._cuts]
        layout = listing.layout_of(self._ports[self._cuts[0]], self.card.layout)
        self.steps = cut_steps(self.card, name, self._cuts[0], normalize, layout=layout)
        self.dim = vector_steps.dim(self.steps, self._shapes[0])
        self.parallel = streams()
        self.metric = usual_metric(self.card, name, self._cuts[0])
        self.normalized = vector_steps.normalized(self.steps)
        self.visual_words = visual_words(self.card, self._cuts[0], self.steps)
        self.digest = digest(self.card, self._cuts[0], self.steps)
        self._cut: Any = None
        self._engine: Engine | None = None
        self._layers: list[Layer] = []
        self._lock = forks.lock()

    def layers(self) -> list[Layer]:
        """Every layer it can be cut at, from the picture on."""
        with self._lock:
            return list(self._listed())

    def uncompiled(self) -> tuple[Any, Card, str]:
        """The `openvino.Model`, its card with the name's options, and the layer that it is cut at.

        Raises:
            ModelError: it has been run, and is not held any more.
        """
        with self._lock:
            if self._network is None:
                raise ModelError(f"{self.name} has been run already, and its network let go; load it again")
            return self._network, self.card, self._cuts[0]

    def prepare(self, image: Image) -> NDArray[np.generic]:
        """The whole picture resized to the network's input.

        Returns:
            ndarray of shape (height, width, 3), uint8; where there is a `preprocess`, float32.
        """
        pixels = resized(image, self.card)
        if self._preprocess is None:
            return pixels
        return preprocessed(self._preprocess, pixels)

    def extract(self, batch: Sequence[NDArray[np.generic] | Image]) -> Extraction:
        """One pass of the network for each picture.

        Args:
            batch: n arrays of shape (height, width, 3), as `prepare` makes them; PIL images are prepared.

        Returns:
            vectors (n, dim) and, where there are classes, scores (n, classes), float32.
        """
        arrays = all_prepared(self.prepare, batch)
        outputs = self._compiled().run(arrays, self._shapes)
        scores = outputs[-1].reshape(len(batch), len(self.classes.ids)) if self.classes else None
        return Extraction(vector_steps.apply(self.steps, outputs[0]), scores)

    def _listed(self) -> list[Layer]:
        if not self._layers:
            self._layers = listing.listed(self.card, self._before, self._ports)
        return self._layers

    def _compiled(self) -> Engine:
        with self._lock:
            if self._engine is not None and not self._engine.is_mine:
                self._engine = self._reloaded()
            if self._engine is None:
                if self._cut is None:
                    self._listed()
                    outputs = [self._ports[layer] for layer in self._cuts]
                    prepared = self._preprocess is not None
                    self._cut = cut(self._network, outputs, self.card, prepared=prepared)
                self._engine = Engine(self._cut, self.precision)
                # Compiled, it has weights of its own: these need not stay in memory.
                self._network = None
                self._cut = self._cut if self.reload is None else None
                self._before, self._ports = {}, {}
            return self._engine

    def _reloaded(self) -> Engine | None:
        """The engine of the same extractor, loaded once more; None where the network is held."""
        if self.reload is None:
            return None
        loaded = self.reload()
        if not isinstance(loaded, OpenVinoExtractor) or loaded.digest != self.digest:
            raise ModelError(
                f"{self.name} is not what it was when this process was forked; load it again, or put the "
                "file back that it was made from"
            )
        return loaded._compiled()  # noqa: SLF001 - of its own kind

    def _layers_cut(self, name: Name) -> list[str]:
        """The layer of the vector and, where there are classes, that of their scores."""
        wanted = name.layer
        layer = self.card.features if wanted is None else listing.find(self.card, wanted, self._ports)
        scores = self.card.scores
        if scores is None:
            return [layer]
        # A layer that changes nothing may give the scores another name.
        return [scores] if self._ports[scores] == self._ports[layer] else [layer, scores]

    def _shape(self, layer: str) -> tuple[int, ...]:
        shape = listing.shape_of(self._ports[layer], self._before[layer])
        if -1 in shape:
            raise ModelError(
                f"the layer {layer!r} of {self.card.name} has another size for every picture {shape}; "
                "expected a fixed one: take another layer"
            )
        if layer == self.card.scores and self.classes and math.prod(shape) != len(self.classes.ids):
            raise ModelError(
                f"{self.card.name} gives scores of shape {shape}, "
                f"but its card names {len(self.classes.ids)} classes; correct the card"
            )
        return shape

    def _require_layers(self) -> None:
        for layer in self.card.layers:
            if layer not in self._ports:
                raise ModelError(
                    f"the card of {self.card.name} names a layer {layer!r} that the network does not have; "
                    "correct the card"
                )


def resized(image: Image, card: Card) -> NDArray[np.uint8]:
    """The whole picture at the card's size, by its rule: ndarray of shape (height, width, 3), uint8."""
    from PIL import Image as pillow  # noqa: N813 - the module has the name of its class

    rule = pillow.Resampling[card.resize.upper()]
    gap = None if wants_all_pixels(card) else _REDUCING_GAP
    rgb = image if image.mode == "RGB" else image.convert("RGB")
    return np.asarray(rgb.resize(card.size, rule, reducing_gap=gap))


def all_prepared(
    prepare: Callable[[Image], NDArray[np.generic]], batch: Sequence[NDArray[np.generic] | Image]
) -> list[NDArray[np.generic]]:
    """A batch in which what is a picture yet is prepared."""
    return [one if isinstance(one, np.ndarray) else prepare(one) for one in batch]


def preprocessed(
    preprocess: Callable[[NDArray[np.float32]], NDArray[np.generic]], pixels: NDArray[np.generic]
) -> Floats:
    """What a user's function makes of one picture: ndarray of the same shape, float32.

    Raises:
        UsageError: it makes something else.
    """
    # A copy: the function may write into what it is given.
    made = np.asarray(preprocess(np.array(pixels[None], np.float32)), np.float32)
    if made.shape != (1, *pixels.shape):
        raise UsageError(
            f"preprocess made {made.shape} of pictures (1, {', '.join(map(str, pixels.shape))}); "
            "expected the same shape"
        )
    return cast("Floats", made[0])


def cut_steps(
    card: Card,
    name: Name,
    layer: str,
    normalize: bool | None,  # noqa: FBT001
    *,
    layout: Layout,
) -> tuple[Step, ...]:
    """From the output of a layer to the vector that a name stands for.

    Args:
        card: of the network, with the name's options in it.
        name: says whether a map is pooled.
        layer: what the name's layer is called in the card.
        normalize: whether vectors get unit length; None for the rule of `OpenVinoExtractor`.
        layout: of the layer's maps.

    Raises:
        UsageError: pooling without a layer, or `top-classes` of what is no class scores.
    """
    if name.layer is None and name.pool:
        raise UsageError(f"{name} pools, but names no layer; expected {name.model}@LAYER+{name.pool}")
    own = card.steps if name.layer is None else ()
    steps = own or (Pool(name.pool, layout) if name.pool else Flatten(),)
    are_scores = layer == card.scores and not own and not name.pool
    if card.top_classes is not None and are_scores:
        steps = (*steps, Top(card.top_classes))
    elif "top-classes" in dict(name.options):
        raise UsageError(
            f"{name} keeps the top classes of a vector that is not the class scores; "
            + (f"expected {name.model}@classes" if card.scores else "this network has none")
        )
    if normalize is None:
        plain = name.layer in {None, "features", "classes"} or layer in card.metrics
        normalize = vector_steps.normalized(steps) if plain else True
    if normalize and not vector_steps.normalized(steps):
        return (*steps, Normalise())
    if not normalize and vector_steps.normalized(steps):
        return steps[:-1] or (Flatten(),)
    return steps


def usual_metric(card: Card, name: Name, layer: str) -> str:
    """The metric that the vectors of a name are compared by, unless a gallery says otherwise."""
    return card.metric if name.layer is None else card.metrics.get(layer, "cosine")


def visual_words(card: Card, layer: str, steps: Sequence[Step]) -> bool:
    """Whether a vector made by these steps of this layer is the class scores themselves."""
    return layer == card.scores and all(isinstance(step, Flatten | Top) for step in steps)


def digest(card: Card, layer: str, steps: Sequence[Step]) -> str:
    """Hexadecimal digest of everything that decides the numbers of a vector."""
    parts = (card.weights, card.preparation(), layer, vector_steps.digest(steps))
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def wants_all_pixels(card: Card) -> bool:
    """Whether a picture is resized to the letter.

    The nearest pixel of a picture already reduced would be a mean of many, not one of its own.
    """
    return card.exact or card.resize == "nearest"


def _precision(wanted: Precision | None) -> Precision:
    if wanted == "bf16" and runtime.best_precision() != "bf16":
        raise ModelError("this processor does not compute in bf16; leave the precision out, or ask for f32")
    return wanted or runtime.best_precision()
