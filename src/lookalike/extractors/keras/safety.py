"""What is looked at in a Keras file before Keras sees it: no code, nothing outside of the file.

Keras' safe mode refuses most of this itself; which, has changed from version to version.
"""

from __future__ import annotations

import json
import zipfile
from typing import TYPE_CHECKING, Any

from lookalike.errors import MissingExtra, ModelError
from lookalike.extractors.keras.backend import MISSING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_CODE = {"Lambda", "__lambda__", "TFSMLayer", "TorchModuleWrapper", "JaxLayer", "FlaxLayer"}
_LARGEST_CONFIG = 1 << 26  # bytes of JSON


def check(path: Path) -> None:
    """A whole model in a file, `.keras` or `.h5`.

    Raises:
        ModelError: it is broken, holds only weights, would run code, or reaches out of the file.
    """
    try:
        config = _config_of_zip(path) if zipfile.is_zipfile(path) else _config_of_hdf5(path)
        entries = list(_entries(json.loads(config)))
    except (OSError, ValueError, KeyError, RecursionError, zipfile.BadZipFile) as error:
        raise ModelError(
            f"{path} is no model that Keras has saved, or is damaged: {error}; save it again"
        ) from error
    for entry in entries:
        _refuse_code(path, entry)


def check_hdf5(path: Path) -> None:
    """Weights, or a model, in HDF5.

    Raises:
        ModelError: it is no such file, or has links that lead out of it.
    """
    h5py = _h5py()
    try:
        with h5py.File(path, "r") as file:
            outside = list(_outside(file))
    except OSError as error:
        raise ModelError(f"{path} is no HDF5 file, or is damaged: {error}; save it again") from error
    if outside:
        raise ModelError(f"{path} takes {outside[0]!r} from another file, which is refused; save it in one")


def _config_of_zip(path: Path) -> bytes:
    with zipfile.ZipFile(path) as packed:
        if "config.json" not in packed.namelist():
            raise ValueError("it has no config.json")
        if packed.getinfo("config.json").file_size > _LARGEST_CONFIG:
            raise ValueError("its config.json is too large")
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


def _outside(group: Any, inside: str = "") -> Iterator[str]:
    """The names of all that lies in other files."""
    h5py = _h5py()
    for key in group:
        name = f"{inside}/{key}"
        link = group.get(key, getlink=True)
        if isinstance(link, h5py.ExternalLink):
            yield name
        elif isinstance(link, h5py.HardLink):
            item = group[key]
            if isinstance(item, h5py.Group):
                yield from _outside(item, name)
            elif isinstance(item, h5py.Dataset) and (item.external or item.is_virtual):
                yield name


def _h5py() -> Any:
    try:
        import h5py
    except ImportError as error:
        raise MissingExtra(MISSING) from error
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
