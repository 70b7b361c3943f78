"""Pictures that an older version of the decoder has read: which of them it may have seen otherwise.

That is told from the beginning of a file alone, so that not every picture has to be read again.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING

from lookalike import images
from lookalike.errors import Unreadable
from lookalike.extractors.model import IMPORTED
from lookalike.sources.folder import is_address, under

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from lookalike.indexing.plan import Plan, Wishes
    from lookalike.sources.access import Access
    from lookalike.types import Record, Store

_BATCH = 256


def ids(store: Store) -> Iterator[str]:
    """Yield the pictures on this machine's disks that an older decoder has read."""
    if store.header.space.extractor == IMPORTED:
        return iter(())
    return (id_ for id_ in store.outdated(images.DECODER) if not is_address(id_))


@dataclass
class Corrections:
    """What is read again for the sake of the decoder alone.

    store: the gallery; the caller holds the right to write to it.
    access: through which files are looked at.
    count: how many pictures are read again.
    """

    store: Store
    access: Access
    count: int = 0

    def wishes(self, wishes: Wishes) -> Wishes:
        """The wishes for a run: in the first by a new decoder what was refused is tried again."""
        first = wishes.limit is None and next(ids(self.store), None) is not None
        return replace(wishes, retry=wishes.retry or first)

    def plan(self, planned: Plan, prefixes: Sequence[str]) -> None:
        """Add what may have been seen otherwise to a plan; of the rest note that it was not.

        A file that has changed is left to the plan, and one that can't be looked at to a later run.

        Args:
            planned: for the folders.
            prefixes: of the folders, of whose pictures this is to be done.
        """
        gone = frozenset(planned.vanished)
        pending = (
            id_
            for id_ in ids(self.store)
            if id_ not in gone and any(under(id_, prefix) for prefix in prefixes)
        )
        while some := list(islice(pending, _BATCH)):
            sound = {}
            for record in filter(None, self.store.get(some)):
                form = self._looked_at(record, planned)
                if form is not None:
                    sound[record.id] = form
            self.store.note_decoder(sound, images.DECODER)

    def notes(self) -> list[str]:
        """What to say of it."""
        if not self.count:
            return []
        reason = "which an earlier version may have seen in other colours, or lying on their side"
        return [f"{self.count:,} pictures were read again, {reason}"]

    def _looked_at(self, record: Record, planned: Plan) -> str | None:
        """Plan to read a picture again; the format of one for which that is not needed."""
        try:
            if self.access.stat(record.id) != (record.size, record.mtime_ns):
                return None
            form = self._format_if_sound(record.id)
        except (OSError, ValueError, Unreadable):
            return None
        if form is None:
            from lookalike.indexing.plan import Work

            work = Work(record.id, record.size, record.mtime_ns, record.source, known=True, anew=True)
            planned.push(work)
            planned.unchanged -= 1
            self.count += 1
        return form

    def _format_if_sound(self, id_: str) -> str | None:
        """The format of a picture that looked the same before; None for others, and what can't be told."""
        from lookalike.images.corrections import looked_otherwise

        for source in (self.access.head(id_), b""):
            try:
                whole = source or self.access.read(id_)
                return None if looked_otherwise(whole) else images.recognise(whole)
            except Unreadable:
                raise
            except Exception:  # noqa: BLE001, S112  # of whatever kind: the header goes on, or is damaged
                continue
        return None
