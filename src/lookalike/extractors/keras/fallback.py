"""The extractor of networks that OpenVINO can't run: Keras runs them, one call at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from lookalike.errors import ModelError
from lookalike.extractors import listing
from lookalike.extractors import steps as vector_steps
from lookalike.extractors.cards import overridden
from lookalike.extractors.keras import export
from lookalike.extractors.keras.export import layers_of
from lookalike.extractors.network import (
    all_prepared,
    cut_steps,
    digest,
    preprocessed,
    resized,
    usual_metric,
    visual_words,
    wants_all_pixels,
)
from lookalike.system import forks
from lookalike.system.forks import Forked
from lookalike.types import Extraction

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from numpy.typing import NDArray
    from PIL.Image import Image

    from lookalike.extractors.cards import Card
    from lookalike.extractors.listing import Layer
    from lookalike.extractors.names import Name
    from lookalike.types import Floats, Precision


class KerasExtractor(Forked):
    """A Keras model cut at one layer, as `lookalike.types.Extractor` describes it, in float32.

    Args:
        model: of Keras; it is kept, and not changed.
        card: what belongs to it.
        name: where to cut, and what to change of the card.
        precision: `f32`, or None.
        normalize: whether vectors get unit length; None for the usual of the layer.
        own_options: options of the name that the loader has seen to itself.
        preprocess: in place of the card's channels, mean and scale.
        notes: what a user should know of it.

    Raises:
        UnknownLayer: the model has no such layer.
        UsageError: an option that is not known.
        ModelError: another precision is asked for.
    """

    parallel = 1

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
        if precision not in {None, "f32"}:
            raise ModelError(f"{name} runs through Keras, in float32; leave the precision out")
        self.name = str(name)
        self.card = overridden(card, name.options, own=own_options)
        self.size = None if wants_all_pixels(self.card) else self.card.size
        self.precision: Precision = "f32"
        self.notes = tuple(notes)
        self.classes = self.card.known_classes()
        self._preprocess = preprocess
        self._layers = layers = layers_of(model)
        layer = self.card.features if name.layer is None else listing.find(self.card, name.layer)
        self.steps = cut_steps(self.card, name, layer, normalize, layout="NHWC")
        wanted = [layer] if self.card.scores in {None, layer} else [layer, self.card.scores]
        tensors = [layers.outputs[layers.names.index(each)] for each in wanted]
        self._cut = export.keras().Model(model.inputs[0], tensors)
        self._lock = forks.lock()
        self._is_mine = True
        forks.watch(self)
        width, height = self.card.size
        black = np.zeros((1, height, width, 3), np.float32)
        self.dim = vector_steps.dim(self.steps, self._run(black)[0].shape[1:])
        self.metric = usual_metric(self.card, name, layer)
        self.normalized = vector_steps.normalized(self.steps)
        self.visual_words = visual_words(self.card, layer, self.steps)
        self.digest = digest(self.card, layer, self.steps)

    def layers(self) -> list[Layer]:
        """Every layer it can be cut at, from the picture on."""
        shapes = [tuple(size or -1 for size in tensor.shape[1:]) for tensor in self._layers.outputs]
        names, kinds, parameters = self._layers.names, self._layers.kinds, self._layers.parameters
        return list(map(listing.Layer, range(len(names)), names, kinds, shapes, parameters))

    def prepare(self, image: Image) -> NDArray[np.generic]:
        """The whole picture as the network's input: ndarray of shape (height, width, 3), float32."""
        pixels: Floats = resized(image, self.card).astype(np.float32)
        if self._preprocess is not None:
            return preprocessed(self._preprocess, pixels)
        ordered = pixels[..., ::-1] if self.card.channels == "BGR" else pixels
        mean, scale = (np.array(numbers, np.float32) for numbers in (self.card.mean, self.card.scale))
        prepared: Floats = (ordered - mean) / scale
        return prepared

    def extract(self, batch: Sequence[NDArray[np.generic] | Image]) -> Extraction:
        """One pass of the network for all pictures together.

        Args:
            batch: n arrays as `prepare` makes them; PIL images are prepared.

        Returns:
            vectors (n, dim) and, where there are classes, scores (n, classes), float32.
        """
        if not batch:
            return Extraction(np.empty((0, self.dim), np.float32), self._no_scores())
        arrays = all_prepared(self.prepare, batch)
        outputs = self._run(np.stack(arrays))
        scores = outputs[-1].reshape(len(batch), -1) if self.classes else None
        return Extraction(vector_steps.apply(self.steps, outputs[0]), scores)

    def after_fork_in_child(self) -> None:
        """Have nothing to do with Keras here: its threads are the parent's."""
        self._is_mine = False

    def _run(self, batch: NDArray[np.generic]) -> list[Floats]:
        if not self._is_mine:
            raise ModelError(
                f"{self.name} runs through Keras, which can't be used in a process that was forked after it "
                "was loaded; start processes by spawn"
            )
        with self._lock:
            made = self._cut(batch, training=False)
        return [_floats(output) for output in (made if isinstance(made, list | tuple) else [made])]

    def _no_scores(self) -> Floats | None:
        return np.empty((0, len(self.classes.ids)), np.float32) if self.classes else None


def _floats(output: Any) -> Floats:
    return np.asarray(export.keras().ops.convert_to_numpy(output), np.float32)
