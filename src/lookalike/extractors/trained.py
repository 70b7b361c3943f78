"""Models that were trained here: a folder with the network, its card, and a record of how it came about.

`model.xml` and `model.bin` are the network in OpenVINO's form, `model.json` is the card, with the arrays
of its steps in `model.npz`; an autoencoder's decoder is `model.decoder.xml` and `.bin`. The split and the
history of the training lie beside them and are no part of the model.
"""

from __future__ import annotations

import shutil
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lookalike.errors import ModelError, UsageError
from lookalike.extractors import cards, conversion, runtime, trials
from lookalike.extractors.names import CARD, Name
from lookalike.extractors.network import OpenVinoExtractor

if TYPE_CHECKING:
    from collections.abc import Callable

    from lookalike.extractors.cards import Card
    from lookalike.types import Precision

_NETWORK = "model.xml"
_SCRATCH = ".writing-"


def load(
    folder: Path, name: Name, precision: Precision | None = None, *, normalize: bool | None = None
) -> OpenVinoExtractor:
    """The extractor of a trained model.

    Args:
        folder: of the model.
        name: what the user typed.
        precision: of the arithmetic; the best one here by default.
        normalize: whether vectors get unit length; None for the usual of the layer.

    Raises:
        ModelError: a file of it is missing or damaged.
    """
    trials.require(folder / _NETWORK, name, precision)
    return opened(folder, name, precision, normalize=normalize)


def opened(
    folder: Path, name: Name, precision: Precision | None = None, *, normalize: bool | None = None
) -> OpenVinoExtractor:
    """The same in this process, however long that takes: another one than made the model may not know it."""
    model, card = conversion.open_model(folder / _NETWORK)
    return OpenVinoExtractor(model, card, name, precision, normalize=normalize)


def card_of(folder: Path) -> Card:
    """The card of a trained model, without its network.

    Raises:
        ModelError: there is none, or it is damaged.
    """
    return cards.read(folder / CARD)


def write(
    folder: Path,
    model: Any,
    card: Card,
    *,
    decoder: Any = None,
    check: Callable[[Path], object] = lambda _: None,
) -> Card:
    """Write a model into a folder, which is made; one that is there already is replaced.

    Args:
        folder: of the model; nobody else writes there meanwhile.
        model: an `openvino.Model`, one picture in.
        card: what belongs to it.
        decoder: another `openvino.Model`, vectors in and pictures out.
        check: called with the folder that the model is in first; what it raises leaves the old one in place.

    Returns:
        The card as it was written.

    Raises:
        ModelError: the folder can't be written.
    """
    endings = (".xml", ".bin", *(cards.DECODER if decoder is not None else ()))
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for old in folder.glob(f"{_SCRATCH}*"):  # of a training that was killed
            shutil.rmtree(old, ignore_errors=True)
        with tempfile.TemporaryDirectory(dir=folder, prefix=_SCRATCH) as scratch:
            path = Path(scratch, _NETWORK)
            runtime.openvino().serialize(model, path)
            if decoder is not None:
                runtime.openvino().serialize(decoder, path.with_suffix(cards.DECODER[0]))
            written = cards.write(card, path.with_suffix(".json"), endings=endings)
            trials.approve(path)
            if decoder is not None:
                trials.approve(path.with_suffix(cards.DECODER[0]))
            check(Path(scratch))
            for old in folder.glob("model.*"):
                if not Path(scratch, old.name).exists():
                    old.unlink()
            # The card comes last: with it, everything it speaks of is there.
            for file in sorted(Path(scratch).iterdir(), key=lambda file: file.name == CARD):
                file.replace(folder / file.name)
    except (OSError, RuntimeError) as error:
        said = getattr(error, "strerror", None) or error
        raise ModelError(f"the model can't be written to {folder}: {said}; is there room?") from error
    return written


def folder_of(name: str) -> Path | None:
    """The folder of the trained model that a name stands for; None if it is another kind of model."""
    with suppress(UsageError, OSError):  # a name may be too long for any file
        folder = Path(Name.parse(name).model)
        return folder if (folder / CARD).is_file() else None
    return None
