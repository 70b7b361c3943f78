"""What is looked at in a Keras file before Keras sees it: no code, nothing outside of the file.

Keras' safe mode refuses most of this itself; which, has changed from version to version.
"""

from __future__ import annotations

import json
import zipfile
import zlib
from typing import IO, TYPE_CHECKING, Any

from lookalike.errors import ModelError
from lookalike.system import imports

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

WHAT = "a network of Keras"
"""What the extra `keras` is needed for."""

_CODE = {"Lambda", "__lambda__", "TFSMLayer", "TorchModuleWrapper", "JaxLayer", "FlaxLayer"}
# What readers of zip files, of HDF5 and of JSON raise for what was not written by Keras.
_DAMAGES = (
    *(OSError, ValueError, TypeError, KeyError, RuntimeError, RecursionError, EOFError),
    *(NotImplementedError, zipfile.BadZipFile, zlib.error),
)
_LARGEST_CONFIG = 1 << 26  # bytes of JSON
_HARMLESS = 1 << 26  # bytes that anything may unpack to
_MOST_PACKED = 100  # bytes that one byte may unpack to: learnt numbers hardly pack at all


def check(path: Path) -> None:
    """A whole model in a file, `.keras` or `.h5`.

    Raises:
        ModelError: it is broken, holds only weights, would run code, or reaches out of the file.
    """
    try:
        config = _config_of_zip(path) if zipfile.is_zipfile(path) else _config_of_hdf5(path)
        entries = list(_entries(json.loads(config)))
    except _DAMAGES as error:
        raise ModelError(
            f"{path} is no model that Keras has saved, or is damaged: {first_line(error)}; save it again"
        ) from error
    for entry in entries:
        _refuse_code(path, entry)


def check_hdf5(path: Path) -> None:
    """Weights, or a model, in HDF5.

    Raises:
        ModelError: it is no such file, has links that lead out of it, or unpacks to far more than it is.
    """
    _check_hdf5(path, path)


def _check_hdf5(path: Path, content: Path | IO[bytes]) -> None:
    h5py = _h5py()
    try:
        with h5py.File(content, "r") as file:
            fault = file.visititems_links(_leads_out) or file.visititems(_is_foreign)
    except (OSError, RuntimeError, ValueError, KeyError) as error:
        raise ModelError(
            f"{path} is no HDF5 file, or is damaged: {first_line(error)}; save it again"
        ) from error
    if fault:
        raise ModelError(f"{path} {fault}, which is refused; save it again, in one file")


def _leads_out(name: str, link: Any) -> str | None:
    return f"takes {name!r} from another file" if isinstance(link, _h5py().ExternalLink) else None


def _is_foreign(name: str, item: Any) -> str | None:
    h5py = _h5py()
    if not isinstance(item, h5py.Dataset):
        return None
    if item.external or item.is_virtual:
        return f"takes {name!r} from another file"
    size = (item.size or 0) * item.dtype.itemsize
    bomb = size > max(_HARMLESS, _MOST_PACKED * item.id.get_storage_size())
    return f"unpacks {name!r} to {size} bytes" if bomb else None


def _config_of_zip(path: Path) -> bytes:
    with zipfile.ZipFile(path) as packed:
        if "config.json" not in packed.namelist():
            raise ValueError("it has no config.json")
        if packed.getinfo("config.json").file_size > _LARGEST_CONFIG:
            raise ValueError("its config.json is too large")
        for entry in packed.infolist():
            if entry.file_size > max(_HARMLESS, _MOST_PACKED * entry.compress_size):
                raise ValueError(f"{entry.filename} in it unpacks to {entry.file_size} bytes")
            if entry.filename.endswith(".h5"):
                with packed.open(entry) as inner:
                    _check_hdf5(path, inner)
        return packed.read("config.json")


def _config_of_hdf5(path: Path) -> str | bytes:
    check_hdf5(path)
    with _h5py().File(path, "r") as file:
        config = file.attrs.get("model_config")
    if config is None:
        raise ModelError(
            f"{path} holds weights without a model; expected one saved by model.save(), "
            f"or write keras:NETWORK?weights={path}"
        )
    if not isinstance(config, str | bytes):
        raise TypeError("its model_config is no text")
    return config


def _h5py() -> Any:
    try:
        import h5py
    except ImportError as error:
        raise imports.missing(WHAT, "keras") from error
    return h5py


def _entries(value: Any) -> Iterator[dict[str, Any]]:
    """Every object in a configuration that stands for a class or a function."""
    if isinstance(value, dict):
        if "class_name" in value:
            yield value
        value = list(value.values())
    if isinstance(value, list):
        for part in value:
            yield from _entries(part)


def _refuse_code(path: Path, entry: dict[str, Any]) -> None:
    kind, module = str(entry["class_name"]), entry.get("module")
    if kind in _CODE:
        raise ModelError(
            f"{path} has a {kind} layer, whose code would run; no code of a file is run here: "
            "build the model in Python and pass it to lookalike.extractor(model)"
        )
    own = isinstance(module, str) and module.partition(".")[0] not in {"keras", "builtins"}
    if own or ">" in str(entry.get("registered_name") or ""):
        raise ModelError(
            f"{path} has a {kind} that is not Keras' own ({module}); "
            "build the model in Python and pass it to lookalike.extractor(model)"
        )


def first_line(error: Exception) -> str:
    """What an error of Keras says first."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[0] if lines else type(error).__name__)[:300]
