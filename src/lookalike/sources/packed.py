"""Folders whose pictures lie many in one file: CIFAR-10's batches, walked as other folders are.

A picture's size and mtime_ns are those of its batch, and so a batch that did not change is not read for
its pixels again.
"""

from __future__ import annotations

import errno
import os
from bisect import bisect_right
from collections import Counter
from typing import TYPE_CHECKING

from lookalike import images
from lookalike.images.limits import require_bytes
from lookalike.sources import cifar
from lookalike.sources.folder import is_address, path_of
from lookalike.sources.memory import Memory
from lookalike.system.files import fitting
from lookalike.types import Found, Survey

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np
    from numpy.typing import NDArray

    from lookalike.images import ImageLimits
    from lookalike.sources.access import Access
    from lookalike.sources.ignoring import Patterns
    from lookalike.types import Value

is_packed = cifar.is_cifar


class Packed:
    """The pictures of a folder of CIFAR-10's batches.

    Args:
        top: the folder, an absolute path.
        prefix: what its ids begin with (`""` for the root, else ending in `/`).
        ignored: patterns of what not to walk, of ids without the prefix, as `train/00000`.

    Raises:
        UsageError: a batch can't be read, or is not what it should be.
    """

    name = "cifar"
    absence_deletes = True
    keeps_thumbnail = True
    private = False

    def __init__(self, top: str, prefix: str, ignored: Patterns | None = None) -> None:
        self.top = top
        self.prefix = prefix
        self._ignored = ignored
        self._names = cifar.labels(top)
        # In the order of ids.
        self._batches = sorted(cifar.batches(top), key=lambda batch: (batch.part, batch.first))
        self._starts = [(batch.part, batch.first) for batch in self._batches]
        self._open: tuple[cifar.Batch, NDArray[np.uint8]] | None = None
        device = fitting(os.stat(top).st_dev)  # noqa: PTH116  # as the walk of a folder has it
        count = sum(len(batch.labels) for batch in self._batches)
        self.survey = Survey(devices={prefix: device}, files=Counter({prefix: count}))

    def __iter__(self) -> Iterator[Found]:
        """Yield every picture, in the order of ids."""
        for batch in self._batches:
            for id_ in batch.ids():
                if self._ignored is None or not self._ignored.excludes(id_):
                    yield Found(self.prefix + id_, batch.size, batch.mtime_ns)

    def stat(self, id_: str) -> tuple[int, int]:
        """Return size and mtime_ns of a picture's batch. Raises `OSError` where there is none."""
        batch, _ = self._required(id_)
        return batch.size, batch.mtime_ns

    def read(self, id_: str, limits: ImageLimits) -> bytes:
        """Return a picture as an uncompressed PNG. Raises `OSError` where there is none of this id."""
        batch, row = self._required(id_)
        content = images.encoded(batch.pixels()[row])
        require_bytes(len(content), limits)
        return content

    def fields(self, id_: str) -> dict[str, Value]:
        """Return the metadata of a picture. Raises `OSError` where there is none of this id."""
        return self._fields(*self._required(id_))

    def metadata(self) -> Iterator[tuple[str, dict[str, Value]]]:
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
        return Memory(id_, pixels, self.name, size=batch.size, mtime_ns=batch.mtime_ns, metadata=fields)

    def _fields(self, batch: cifar.Batch, row: int) -> dict[str, Value]:
        return {"label": self._names[batch.labels[row]], "part": batch.part}

    def _required(self, id_: str) -> tuple[cifar.Batch, int]:
        if (place := self._place(id_)) is None:
            raise FileNotFoundError(errno.ENOENT, "there is no such picture", id_)
        return place

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
