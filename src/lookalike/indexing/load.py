"""What the loader threads do: read a chunk of pictures, recognise known bytes, decode the rest."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

from lookalike import images
from lookalike.errors import DownloadError, ImageError, MissingExtra, Unreadable, UsageError
from lookalike.sources.folder import is_address
from lookalike.sources.memory import Memory
from lookalike.types import Record, Skipped

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from concurrent.futures import ThreadPoolExecutor

    import numpy as np
    from numpy.typing import NDArray

    from lookalike.images.given import Picture
    from lookalike.indexing.plan import Work
    from lookalike.sources.access import Access
    from lookalike.types import Extractor, Store, Value

CHUNK = 8
"""Files a loader takes at once, and pictures a call of the network gets."""

READERS = 16
"""Pictures at addresses that are read at once: each waits for an answer, and takes no processor."""

_CHUNK_BYTES = 16 << 20
_SMALL = 1 << 16  # bytes of a picture that may be held until it is written
_THUMBNAIL = (images.THUMBNAIL_SIDE, images.THUMBNAIL_SIDE)


class Loaded(NamedTuple):
    """A picture read: its record, and the network's input unless the store knows its bytes.

    note: what is missing of it, where it was described all the same.
    """

    work: Work | Memory
    record: Record
    prepared: NDArray[np.generic] | None = None
    note: str = ""

    def again(self) -> Work | Memory:
        """The work once more; of a large picture that is not a file only its thumbnail is still held."""
        work = self.work
        if not isinstance(work, Memory) or work.picture:
            return work
        return work._replace(picture=self.record.thumbnail or b"")


@dataclass(frozen=True, slots=True)
class Loader:
    """Reads pictures; every method may run on several threads at once.

    store: tells which bytes are known; None where that is not looked for.
    extractor: gives the model when the first picture needs it.
    access: what is read.
    readers: threads for what is read from elsewhere than a disk.
    """

    store: Store | None
    extractor: Callable[[], Extractor]
    access: Access
    readers: ThreadPoolExecutor

    def load(self, chunk: list[Work | Memory]) -> list[Loaded | Skipped]:
        """Read a chunk; what has a digest the store knows need not be decoded."""
        far = sum(is_address(work.id) for work in chunk) > 1
        read = list((self.readers.map if far else map)(self._read, chunk))
        digests = [d.digest for d in read if isinstance(d, _Read)]
        known = self.store.by_digest(digests) if self.store is not None else {}
        return [
            d if isinstance(d, Skipped) else self._decode(d, known=d.digest in known and not d.work.anew)
            for d in read
        ]

    def _read(self, work: Work | Memory) -> _Read | Skipped:
        try:
            if isinstance(work, Memory):
                content, fields = _encoded(work), work.metadata
                # The picture itself may be large, and is hardly needed any more.
                work = work._replace(picture=content if len(content) <= _SMALL else b"")
            else:
                content, fields = self._content(work), self.access.fields(work.id)
            return _Read(work, content, images.digest(content), fields)
        except (Unreadable, DownloadError) as error:
            # Without size and mtime it is tried again next time.
            return Skipped(work.id, 0, 0, str(error))
        except ImageError as error:
            return Skipped(work.id, work.size, work.mtime_ns, str(error))

    def _content(self, work: Work) -> bytes:
        if work.source == "url":
            return self.access.download(work.address or work.id, private=work.private)
        return self._remote(work) if is_address(work.id) else self.access.read(work.id)

    def _remote(self, work: Work) -> bytes:
        from lookalike.sources import remote

        looked_up = work.size != remote.UNKNOWN and (work.size or work.mtime_ns)
        try:
            return self.access.read(work.id, size=work.size if looked_up else None)
        except (UsageError, MissingExtra) as error:
            if work.source == "walk" and isinstance(error, MissingExtra):
                raise  # a walk came there, so that this machine alone can't
            # One of many addresses of a table, of which the others may be good.
            raise Unreadable(str(error)) from None

    def _decode(self, read: _Read, *, known: bool) -> Loaded | Skipped:
        work, content = read.work, read.content
        given, keeps_thumbnail = read.fields, work.thumbnail
        record = Record(work.id, work.source, work.size, work.mtime_ns, read.digest, 0, 0, given)
        if known and not keeps_thumbnail:
            return Loaded(work, record)
        try:
            if known:
                small = images.decode(content, size=_THUMBNAIL, limits=self.access.limits).image
                return Loaded(work, replace(record, thumbnail=images.thumbnail(small)))
            extractor = self.extractor()
            decoded = images.decode(content, size=extractor.size, limits=self.access.limits)
            prepared = extractor.prepare(decoded.image)
        except ImageError as error:
            return Skipped(work.id, work.size, work.mtime_ns, str(error))
        record = replace(
            record,
            width=decoded.width,
            height=decoded.height,
            metadata={**decoded.facts, **given},
            from_picture=frozenset(decoded.facts) - given.keys(),
            thumbnail=images.thumbnail(decoded.image) if keeps_thumbnail else None,
            decoder=images.DECODER,
            format=decoded.format,
        )
        return Loaded(work, record, prepared, decoded.note)


class _Read(NamedTuple):
    """A work's encoded bytes, their digest, and what the source knows of the picture."""

    work: Work | Memory
    content: bytes
    digest: bytes
    fields: Mapping[str, Value]


def _encoded(memory: Memory) -> bytes:
    if memory.fault:
        raise ImageError(memory.fault)
    return images.encoded(memory.picture)


def chunks(works: Iterable[Work | Memory]) -> Iterator[list[Work | Memory]]:
    """Works in chunks of at most CHUNK, fewer where the files are large."""
    chunk: list[Work | Memory] = []
    size = 0
    for work in works:
        chunk.append(work)
        size += _bytes_of(work.picture) if isinstance(work, Memory) else work.size
        if len(chunk) == CHUNK or size >= _CHUNK_BYTES:
            yield chunk
            chunk, size = [], 0
    if chunk:
        yield chunk


def _bytes_of(picture: Picture) -> int:
    """What a picture takes in memory; of what does not tell, that it fills a chunk."""
    if isinstance(picture, bytes | bytearray):
        return len(picture)
    return int(getattr(picture, "nbytes", _CHUNK_BYTES))
