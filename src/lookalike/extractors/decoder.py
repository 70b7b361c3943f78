"""From vectors back to pictures: the other half of a trained autoencoder, run by OpenVINO."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import numpy as np

from lookalike.errors import ModelError, UnknownModel, UsageError
from lookalike.extractors import cards, runtime, trained, trials
from lookalike.extractors.names import CARD
from lookalike.extractors.runtime import first_line
from lookalike.system import forks
from lookalike.system.forks import Forked

if TYPE_CHECKING:
    import os
    from pathlib import Path

    from numpy.typing import NDArray

    from lookalike.extractors.cards import Card
    from lookalike.types import Floats


class Decoder(Forked):
    """The network that draws pictures of an autoencoder's vectors; safe to use from several threads.

    folder: of the model.
    dim: how many numbers a vector has.
    size: (width, height) of the pictures, in pixels.

    Args:
        model: the folder of a trained autoencoder; a layer behind its name is not looked at.
        foreign: whether it is tried within limits first, where it was not made here.

    Raises:
        UnknownModel: that is no folder of a trained model.
        ModelError: the model has no decoder, or it is damaged.

    Example:
        >>> decoder = Decoder("ae-model")  # doctest: +SKIP
        >>> decoder.pictures(np.zeros((2, 16))).shape  # doctest: +SKIP
        (2, 256, 256, 3)
    """

    def __init__(self, model: str | os.PathLike[str], *, foreign: bool = True) -> None:
        folder = trained.folder_of(str(model))
        if folder is None:
            raise UnknownModel(
                f"{model} is not the folder of a trained model; expected one that has a {CARD}, as "
                "`lookalike train autoencoder` writes it"
            )
        self.folder = folder
        card = trained.card_of(folder)
        if foreign and cards.DECODER[0] in card.files:
            trials.require_decoder(_path(folder))
        network = _read(folder, card)
        shape = _shape(network, folder)
        self.dim = shape[0]
        self.size = (shape[2], shape[1])
        self._request: Any = _compiled(network, folder).create_infer_request()
        self._lock = forks.lock()
        forks.watch(self)

    def pictures(self, vectors: NDArray[np.floating[Any]]) -> NDArray[np.uint8]:
        """Draw a picture of each vector.

        Args:
            vectors: ndarray of shape (n, dim), as the model gives them, not normalised.

        Returns:
            ndarray of shape (n, height, width, 3), RGB.

        Raises:
            UsageError: vectors of another shape, or numbers that are none.
        """
        drawn = np.clip(np.rint(self.pixels(vectors)), 0, 255)
        return cast("NDArray[np.uint8]", drawn.astype(np.uint8))

    def pixels(self, vectors: NDArray[np.floating[Any]]) -> Floats:
        """The same as the network gives it: float32, 0 to 255, not rounded."""
        given = np.asarray(vectors, np.float32)
        if given.ndim != 2 or given.shape[1] != self.dim or not np.isfinite(given).all():
            raise UsageError(
                f"vectors of shape {given.shape} can't be drawn; expected (n, {self.dim}), finite numbers"
            )
        width, height = self.size
        drawn = np.empty((len(given), height, width, 3), np.float32)
        with self._lock:
            if self._request is None:
                network = _read(self.folder, trained.card_of(self.folder))
                self._request = _compiled(network, self.folder).create_infer_request()
            for row, vector in enumerate(given):
                drawn[row] = self._request.infer({0: vector[None]})[0][0]
        return drawn

    def after_fork_in_child(self) -> None:
        """Leave the parent's network alone, whose threads are not here; it is read again where needed."""
        forks.abandon(self._request)
        self._request = None


def _read(folder: Path, card: Card) -> Any:
    """The `openvino.Model` of a decoder; its files have been held to the card already."""
    ending = cards.DECODER[0]
    if ending not in card.files:
        raise ModelError(
            f"{folder} has no decoder, so nothing can be drawn of its vectors; expected a model of "
            "`lookalike train autoencoder`"
        )
    path = _path(folder)
    try:
        return runtime.core().read_model(path)
    except RuntimeError as error:
        raise ModelError(f"{path} is no network that can be read: {first_line(error)}") from error


def _path(folder: Path) -> Path:
    return folder / f"{CARD.removesuffix('.json')}{cards.DECODER[0]}"


def _shape(network: Any, folder: Path) -> tuple[int, int, int]:
    """(dim, height, width) of a decoder."""
    shapes = [port.get_partial_shape() for port in (*network.inputs, *network.outputs)]
    known = [list(shape.to_shape()) for shape in shapes if shape.is_static]
    fits = len(known) == len(shapes) == 2 and [len(shape) for shape in known] == [2, 4]
    if not fits or known[0][0] != 1 or known[1][0] != 1 or known[1][3] != 3:
        raise ModelError(
            f"the decoder of {folder} goes from {' and '.join(map(str, shapes))}; expected one vector "
            "[1,dim] to one picture [1,height,width,3]"
        )
    return known[0][1], known[1][1], known[1][2]


def _compiled(network: Any, folder: Path) -> Any:
    try:
        return runtime.compile_model(network, {"INFERENCE_PRECISION_HINT": "f32"})
    except RuntimeError as error:
        raise ModelError(f"OpenVINO can't run the decoder of {folder}: {first_line(error)}") from error
