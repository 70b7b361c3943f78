"""How far a gallery is behind the folder that it lies in: pictures that came since it was last indexed.

A search may say so, and so this must cost next to nothing. Only folders that changed since are looked through
closely, a time is kept, and where it is up nothing is said.
"""

from __future__ import annotations

import os
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from lookalike.search.resolve import ENDINGS
from lookalike.sources import ignoring
from lookalike.sources.folder import id_of
from lookalike.stores import location

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lookalike.sources.access import Access
    from lookalike.types import Store

SECONDS = 0.005
"""What a search may spend on it; where it is up nothing is said."""

_MOST = 20_000  # pictures of a gallery
_WITHOUT_FOLDERS = 2  # links to a folder that has none inside; where folders are not counted it is 1
_FAR = 1_000  # new files that are counted


class _Gallery(Protocol):
    """What is needed of a gallery here."""

    @property
    def address(self) -> str: ...
    @property
    def root(self) -> str: ...
    @property
    def store(self) -> Store: ...
    @property
    def access(self) -> Access: ...


def not_indexed(gallery: _Gallery, *, seconds: float = SECONDS) -> int | None:
    """Return how many pictures lie in a gallery's folder and came since it was last indexed.

    Args:
        gallery: which one.
        seconds: to spend on it.

    Returns:
        The number; None where it can't be told in that time, for a gallery of more than 20,000 pictures, one
        that is kept elsewhere than in its folder, or one that was never indexed as a whole.
    """
    root = gallery.root
    if gallery.address != location.inside(root, Path(gallery.address).name):
        return None
    since = gallery.store.indexed_ns
    if not since or gallery.store.count() > _MOST:
        return None
    found: list[str] = []
    end = time.monotonic() + seconds
    for path in _new_files(root, since):
        if path is not None:
            found.append(path)
        if time.monotonic() > end or len(found) > _FAR:
            return None
    return len(_unknown(gallery, found)) if found else 0


def last_indexed(gallery: _Gallery) -> str | None:
    """Return when the gallery was last indexed as a whole, as ISO 8601 in local time; None if never."""
    since = gallery.store.indexed_ns
    if not since:
        return None
    return datetime.fromtimestamp(since // 10**9, UTC).astimezone().isoformat(sep=" ")


def _new_files(root: str, since: int) -> Iterator[str | None]:
    """Yield the files that came since a time, in nanoseconds; None for every folder, to look at the clock."""
    pending = [root]
    while pending:
        folder = pending.pop()
        yield None
        try:
            status = os.stat(folder)  # noqa: PTH116
            changed = status.st_mtime_ns > since
            if not changed and status.st_nlink == _WITHOUT_FOLDERS:
                continue
            with os.scandir(folder) as listing:
                for entry in listing:
                    if entry.name[0] == ".":
                        continue
                    if entry.is_dir(follow_symlinks=False):
                        if not ignoring.is_of_programs(entry.path):
                            pending.append(entry.path)
                    elif (
                        changed and entry.name.lower().endswith(ENDINGS) and entry.stat().st_ctime_ns > since
                    ):
                        yield entry.path
        except OSError:
            continue  # it is told by the next indexing


def _unknown(gallery: _Gallery, paths: list[str]) -> list[str]:
    """Those of the paths that are not left out and that the gallery knows nothing of."""
    if gallery.access.refusal_at(os.path.join(gallery.root, ignoring.IGNORE_FILE)):  # noqa: PTH118
        return []  # a link that leads out: the next indexing says so
    patterns = ignoring.of_folder(Path(gallery.root), ())
    top = gallery.root.rstrip("/") + "/"
    if patterns is not None:
        paths = [path for path in paths if not patterns.excludes(path.removeprefix(top))]
    ids = [id_of(path, gallery.root) for path in paths]
    records = gallery.store.get(ids)
    known = {skip.id for skip in gallery.store.skipped()} | set(gallery.store.removed())
    return [id_ for id_, record in zip(ids, records, strict=True) if record is None and id_ not in known]
