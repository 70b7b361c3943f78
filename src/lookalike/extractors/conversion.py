"""Networks that are built here, kept in the user's cache as a model and its card.

A folder of the cache is whole or not there: it is written under another name and renamed. What
is damaged is built again, and where nothing can be written, the network is used without a cache.
Files are hashed when they are written, and again only where their size or time has changed since.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lookalike.errors import ModelError
from lookalike.extractors import cards, runtime
from lookalike.system.files import writing

if TYPE_CHECKING:
    from collections.abc import Callable

    from lookalike.extractors.cards import Card

_STEM = "model"
_SCRATCH = ".writing-"
_ABANDONED = 24 * 3600.0  # seconds after which whoever wrote into a scratch folder was killed


def converted(key: str, build: Callable[[], tuple[Any, Card]]) -> tuple[Any, Card]:
    """A network from the cache, put there first if it is not.

    Args:
        key: names the network and everything that went into it.
        build: makes the `openvino.Model` and its card.

    Returns:
        The `openvino.Model`, and its card.
    """
    path = _path(key)
    try:
        return open_model(path)
    except ModelError:  # not there yet, or damaged
        model, card = build()
    try:
        with _scratch(path.parent.parent) as scratch:
            written = Path(scratch) / "written"
            save(model, card, written)
            _move(written, path.parent)
        return open_model(path)  # as every later run will find it, so that it is compiled only once
    except (OSError, RuntimeError, ModelError):  # a cache is a convenience
        return model, card


def kept(key: str, write: Callable[[Path], Path]) -> tuple[Any, Card]:
    """The same of a network that is written by another process.

    Args:
        key: names the network and everything that went into it.
        write: gets an empty folder, and gives that with what `save` makes, in it or on the same disk.

    Raises:
        ModelError: nothing can be written anywhere; and all that `write` raises.
    """
    path = _path(key)
    with suppress(ModelError):
        return open_model(path)
    try:
        scratch = _scratch(_room(path.parent.parent))
    except OSError as error:
        raise ModelError(f"there is no room to build {key} in: {error.strerror}; set TMPDIR") from error
    with scratch as folder:
        written = write(Path(folder))
        try:
            _move(written, path.parent)
            return open_model(path)
        except (OSError, ModelError):
            return open_model(written / path.name)


def save(model: Any, card: Card, folder: Path) -> None:
    """Write a network, its card and its stamps into a folder, which is made."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{_STEM}.xml"
    runtime.openvino().serialize(model, path)
    written = cards.write(card, path.with_suffix(".json"))
    _stamp(path, written)


def open_model(path: Path) -> tuple[Any, Card]:
    """A network in OpenVINO's own form, and the card beside it.

    Args:
        path: of the `.xml` file.

    Raises:
        ModelError: network or card can't be read, or do not belong together.
    """
    unchanged = _unchanged(path)
    card = cards.read(path.with_suffix(".json"), unchanged=unchanged)
    if len(unchanged) < len(card.files):
        with suppress(OSError):
            _stamp(path, card)
    try:
        return runtime.core().read_model(path), card
    except RuntimeError as error:
        raise ModelError(f"{path} is no network that OpenVINO can read; convert it again") from error


def _path(key: str) -> Path:
    return runtime.cache_folder() / "models" / key / f"{_STEM}.xml"


def _scratch(folder: Path | None) -> tempfile.TemporaryDirectory[str]:
    """An empty folder that goes away; what was left there by processes that were killed goes, too."""
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        for old in folder.glob(f"{_SCRATCH}*"):
            with suppress(OSError):
                if time.time() - old.stat().st_mtime > _ABANDONED:
                    shutil.rmtree(old, ignore_errors=True)
    return tempfile.TemporaryDirectory(dir=folder, prefix=_SCRATCH, ignore_cleanup_errors=True)


def _room(folder: Path) -> Path | None:
    """A folder of the cache; None, for the usual place, where that can't be written."""
    with suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True)
    return folder if os.access(folder, os.W_OK) else None


def _move(written: Path, folder: Path) -> None:
    # What is there is damaged, or another process was faster: either way, this one is good.
    if folder.exists():
        with _scratch(folder.parent) as aside:
            folder.rename(Path(aside) / "replaced")
    written.rename(folder)


def _stamp(path: Path, card: Card) -> None:
    """Note sizes and times of files that are known to be what the card says."""
    stamps = {ending: _size_and_time(path.with_suffix(ending)) for ending in card.files}
    with writing(path.with_suffix(".stamps")) as part:
        part.write_text(json.dumps(stamps), encoding="utf-8")


def _unchanged(path: Path) -> frozenset[str]:
    """The endings of the files whose sizes and times are those noted."""
    try:
        stamps = json.loads(path.with_suffix(".stamps").read_text(encoding="utf-8"))
        same = [key for key, stamp in stamps.items() if _size_and_time(path.with_suffix(key)) == stamp]
    except (OSError, ValueError, AttributeError):  # none yet, or damaged: everything is hashed
        return frozenset()
    return frozenset(same)


def _size_and_time(path: Path) -> list[int]:
    found = path.stat()
    return [found.st_size, found.st_mtime_ns]
