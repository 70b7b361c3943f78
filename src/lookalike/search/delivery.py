"""The files of an answer for other programs: their paths, or copies of them in a folder."""

from __future__ import annotations

import filecmp
import os
import shutil
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from lookalike.errors import UsageError
from lookalike.system import posix
from lookalike.system.files import unwritable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from lookalike.search.hits import Hit


def gather(hits: Iterable[Hit], folder: str | os.PathLike[str], *, link: bool = False) -> list[Path]:
    """Copy the files of hits into a folder, or link to them there.

    Files keep their names; where a name is taken by another file, ` (2)` and so on is put behind it. Nothing
    that is there is changed, and what was gathered before is not gathered twice.

    Args:
        hits: those without a file on this machine are passed over.
        folder: made if it is not there.
        link: make symbolic links instead of copies.

    Returns:
        Where each file is now, in the order of the hits.

    Raises:
        UsageError: the folder can't be written, or a file not be read.
    """
    target = Path(folder)
    try:
        target.mkdir(parents=True, exist_ok=True)
        return [_gather(Path(hit.path), target, link=link) for hit in hits if hit.path is not None]
    except OSError as error:
        raise unwritable(error.filename2 or error.filename or target, error) from error


def _gather(source: Path, folder: Path, *, link: bool) -> Path:
    for place in _names(folder, source):
        try:
            if link:
                place.symlink_to(source.absolute())
            else:
                _copy(source, place)
        except FileExistsError:
            if not _is_there(source, place, link=link):
                continue
        return place
    raise AssertionError  # names never end


def _names(folder: Path, source: Path) -> Iterator[Path]:
    yield folder / source.name
    for number in count(2):
        yield folder / f"{source.stem} ({number}){source.suffix}"


def _copy(source: Path, place: Path) -> None:
    """Copy a file with its times; a copy that fails leaves nothing behind, and none replaces a file."""
    with _opened(source) as content, place.open("xb") as copy:
        try:
            shutil.copyfileobj(content, copy)
            copy.close()
            shutil.copystat(source, place)
        except BaseException:
            place.unlink(missing_ok=True)
            raise


def _opened(source: Path) -> BinaryIO:
    """Open a plain file; a pipe would be waited for, and a device may never end."""
    if not source.is_file():
        kind = "no plain file" if source.exists() else "not there any more"
        raise UsageError(f"{source} can't be copied: it is {kind}")
    # What is put in its place meanwhile is not waited for either.
    return os.fdopen(posix.open_to_read(source), "rb")


def _is_there(source: Path, place: Path, *, link: bool) -> bool:
    """Whether a name is taken by this very file."""
    if place.is_symlink():
        return link and place.readlink() == source.absolute()
    return not link and place.is_file() and filecmp.cmp(source, place, shallow=False)
