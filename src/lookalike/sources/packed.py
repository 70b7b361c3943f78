"""Folders whose pictures lie many in one file: CIFAR-10's batches, walked as other folders are.

A picture's size and mtime_ns are those of its batch, and so a batch that did not change is not read for
its pixels again.
"""

from __future__ import annotations

import os
from bisect import bisect_right
from collections import Counter
from typing import TYPE_CHECKING, ClassVar

from lookalike.sources import cifar
from lookalike.sources.folder import Found, is_address, path_of
from lookalike.sources.memory import Memory
from lookalike.system.files import fitting

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np
    from numpy.typing import NDArray

    from lookalike.sources.access import Access
    from lookalike.sources.ignoring import Patterns
    from lookalike.types import Source, Value

is_packed = cifar.is_cifar


class Packed:
    """A folder of CIFAR-10's batches; its interface is that of `lookalike.sources.folder.Walk`.

    Args:
        top: the folder, an absolute path.
        prefix: what its ids begin with (`""` for the root, else ending in `/`).
        ignored: patterns of what not to walk, of ids without the prefix, as `train/00000`.

    Raises:
        UsageError: a batch can't be read, or is not what it should be.
    """

    source: ClassVar[Source] = "array"

    def __init__(self, top: str, prefix: str, ignored: Patterns | None = None) -> None:
        self.top = top
        self.prefix = prefix
        self.unlisted: dict[str, str] = {}
        self.aside: list[str] = []
        self._ignored = ignored
        self._names = cifar.labels(top)
        # In the order of ids.
        self._batches = sorted(cifar.batches(top), key=lambda batch: (batch.part, batch.first))
        self._starts = [(batch.part, batch.first) for batch in self._batches]
        self._open: tuple[cifar.Batch, NDArray[np.uint8]] | None = None
        self.devices = {prefix: fitting(os.stat(top).st_dev)}  # noqa: PTH116  # as the walk of a folder has it
        self.files = Counter({prefix: sum(len(batch.labels) for batch in self._batches)})

    def __iter__(self) -> Iterator[Found]:
        """Every picture, in the order of ids; its path is that of its batch."""
        for batch in self._batches:
            for id_ in batch.ids():
                if self._ignored is None or not self._ignored.excludes(id_):
                    path = str(batch.path)
                    yield Found(self.prefix + id_, path, batch.size, batch.mtime_ns, source=self.source)

    def again(self) -> Packed:
        """The same once more."""
        return self

    def fields(self) -> Iterator[tuple[str, dict[str, Value]]]:
        """The metadata of every picture, by its id."""
        for batch in self._batches:
            for row, id_ in enumerate(batch.ids()):
                yield self.prefix + id_, self._fields(batch, row)

    def picture(self, id_: str) -> Memory | None:
        """A picture with its metadata; cheap in the order of ids. None if there is none of this id."""
        place = self._place(id_)
        if place is None:
            return None
        batch, row = place
        if self._open is None or self._open[0] is not batch:
            self._open = None  # before the next is read: one at a time
            self._open = (batch, batch.pixels())
        # A copy, so that the batch can go while the picture waits.
        pixels = self._open[1][row].copy()
        fields = self._fields(batch, row)
        return Memory(id_, pixels, size=batch.size, mtime_ns=batch.mtime_ns, metadata=fields)

    def _fields(self, batch: cifar.Batch, row: int) -> dict[str, Value]:
        return {"label": self._names[batch.labels[row]], "part": batch.part}

    def _place(self, id_: str) -> tuple[cifar.Batch, int] | None:
        part, _, number = id_.removeprefix(self.prefix).partition("/")
        if number.isdecimal():
            batch = self._batches[bisect_right(self._starts, (part, int(number))) - 1]
            row = int(number) - batch.first
            if batch.part == part and 0 <= row < len(batch.labels):
                return batch, row
        return None


class Packs:
    """The packed folders that pictures come from, each opened once.

    Args:
        access: of the gallery.
    """

    def __init__(self, access: Access) -> None:
        self._access = access
        self._known: dict[str, Packed] = {}

    def holds(self, folder: str) -> bool:
        """Whether a folder is packed, and all that would be read of it may be."""
        files = (os.path.join(folder, name) for name in cifar.FILES)  # noqa: PTH118
        return not any(map(self._access.refusal_at, files)) and is_packed(folder)

    def walk(self, top: str, prefix: str, ignored: Patterns | None) -> Packed:
        """The walk of a packed folder."""
        self._known[prefix] = Packed(top, prefix, ignored)
        return self._known[prefix]

    def picture(self, id_: str) -> Memory | None:
        """A picture with its metadata; None where its folder is not packed, or has it no more."""
        prefix = prefix_of(id_)
        folder = self._known.get(prefix)
        if folder is None and not is_address(id_) and self.holds(path_of(prefix, self._access.root)):
            folder = self.walk(path_of(prefix, self._access.root).rstrip("/"), prefix, None)
        return None if folder is None else folder.picture(id_)


def prefix_of(id_: str) -> str:
    """What the ids of a packed folder begin with, from that of one of its pictures."""
    folder = id_.rpartition("/")[0]
    return folder[: folder.rfind("/") + 1]
