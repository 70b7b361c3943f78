"""Models of the user's own, named by their files: ONNX, OpenVINO's IR, Keras.

The card beside the file, `net.json` of `net.onnx`, says how the network is used. Where there is none,
one is written from what the network shows and from assumptions that are said (see `guessing`): beside
the file, or in the user's cache where that folder can't be written. Nothing in a file is unpickled.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from lookalike.errors import ModelError, UnknownModel
from lookalike.extractors import infer_card, runtime, trained, trials
from lookalike.extractors.infer_card import ENDINGS, described
from lookalike.extractors.names import CARD
from lookalike.extractors.network import OpenVinoExtractor
from lookalike.extractors.runtime import first_line

if TYPE_CHECKING:
    from lookalike.extractors.names import Name
    from lookalike.types import Extractor, Precision


def load(name: Name, precision: Precision | None = None, *, normalize: bool | None = None) -> Extractor:
    """A model of one's own, from its file.

    Args:
        name: its model is the absolute path of an `.onnx`, `.xml`, `.keras` or `.h5` file, or of the
            folder of a model that was trained here.
        precision: of the arithmetic; the best one here by default.
        normalize: whether vectors get unit length; None for the usual of the layer.

    Raises:
        UnknownModel: there is no such file.
        ModelError: it can't be read, has several inputs, takes no picture, or its card is not right.
        MissingExtra: a Keras file, and Keras is not installed.
    """
    path = Path(name.model)
    if (path / CARD).is_file():
        return trained.load(path, name, precision, normalize=normalize)
    if not path.is_file():
        raise UnknownModel(
            f"there is no model at {path}; expected a file that ends in {', '.join(ENDINGS)}, or the folder "
            "of a trained model; if it was moved, `lookalike convert --from NAME --model PATH --name NEW` "
            "takes its gallery along, and opens no picture"
        )
    if path.suffix.lower() in {".keras", ".h5"}:
        from lookalike.extractors.keras import open_file

        return open_file(path, name, precision, normalize=normalize)
    trials.require(path, name, precision)
    return opened(path, name, precision, normalize=normalize)


def opened(
    path: Path,
    name: Name,
    precision: Precision | None = None,
    *,
    normalize: bool | None = None,
    keep: bool = True,
) -> OpenVinoExtractor:
    """A model of one's own that is not of Keras, in this process, however long that takes.

    Args:
        path: of an `.onnx` or `.xml` file, or of the folder of a trained model.
        name: what the user typed.
        precision: of the arithmetic; the best one here by default.
        normalize: whether vectors get unit length; None for the usual of the layer.
        keep: whether a card is written where there is none.
    """
    if path.is_dir():
        return trained.opened(path, name, precision, normalize=normalize)
    model = read(path)
    card, notes = described(path, lambda: infer_card.guess(model, path.name), model, keep=keep)
    return OpenVinoExtractor(model, card, name, precision, normalize=normalize, notes=notes)


def read(path: Path) -> Any:
    """The `openvino.Model` of an `.onnx` or `.xml` file.

    Raises:
        ModelError: it is broken, is something else, or a file that belongs to it is missing.
    """
    onnx = path.suffix.lower() == ".onnx"
    kind = "ONNX file" if onnx else "network in OpenVINO's IR, .xml and .bin"
    try:
        return _read_onnx(path) if onnx else _read_ir(path)
    except OSError as error:
        raise ModelError(f"{path} can't be read: {error.strerror or error}") from error
    except Exception as error:  # each of OpenVINO's readers has failures of its own
        raise ModelError(
            f"{path} is no {kind} that can be read: {first_line(error)}; export it again"
        ) from error


def _read_onnx(path: Path) -> Any:
    """By the one reader that is meant: `Core.read_model` would try those of all other formats, too."""
    runtime.openvino()
    from openvino.frontend import FrontEndManager

    if not path.stat().st_size:
        raise RuntimeError("it is empty")
    reader = FrontEndManager().load_by_framework("onnx")
    return reader.convert(reader.load(str(path)))


def _read_ir(path: Path) -> Any:
    runtime.openvino()
    from openvino.frontend import FrontEndManager

    if not path.with_suffix(".bin").is_file():
        raise RuntimeError(f"its weights, {path.with_suffix('.bin').name}, are not beside it")
    if not FrontEndManager().load_by_framework("ir").supported(str(path)):
        raise RuntimeError("it is not written as one")
    return runtime.core().read_model(path)
