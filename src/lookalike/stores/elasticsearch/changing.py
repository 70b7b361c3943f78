"""Changes of pictures that are there: read with everything in them, and written whole again."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from lookalike.errors import StoreCorrupt, StoreUnavailable
from lookalike.stores import records as record_rules
from lookalike.stores.elasticsearch import documents, reading
from lookalike.stores.elasticsearch.bulk import NOTHING, Action

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from lookalike.stores.elasticsearch.bulk import Bulk
    from lookalike.stores.elasticsearch.documents import Writer
    from lookalike.stores.elasticsearch.indices import Index
    from lookalike.stores.elasticsearch.server import Server
    from lookalike.types import Folder, Record, Skipped

    Change: TypeAlias = Callable[[Record], Record]

_ATTEMPTS = 20


class Changer:
    """Changes what is in one index.

    Args:
        server: where.
        bulk: writes to it.
        index: in which.
    """

    def __init__(self, server: Server, bulk: Bulk, index: Index) -> None:
        self._server = server
        self._bulk = bulk
        self._index = index

    def rewrite(self, writer: Writer, changes: Mapping[str, Change]) -> int:
        """Change pictures by their ids; how many of them there were.

        Whoever writes the same picture at the same time is not overwritten: it is read and changed again.

        Raises:
            StoreUnavailable: somebody else wrote it every time.
        """
        left, count = list(changes), 0
        for _ in range(_ATTEMPTS):
            self._server.call(lambda es: es.indices.refresh(index=self._index.alias))
            late: list[str] = []
            for hits in reading.wholes(self._server, self._index, left):
                overtaken = self._rewritten(writer, hits, changes)
                late += overtaken
                count += len(hits) - len(overtaken)
            if not late:
                return count
            left = late
        raise StoreUnavailable(
            f"others write the picture {left[0]!r} all the time; try again when they are done"
        )

    def set_folders(self, wanted: Sequence[Folder], seen: Sequence[Folder] | None) -> None:
        """Remember the folders that were indexed; what others remember of theirs meanwhile stays.

        Raises:
            StoreUnavailable: somebody else wrote them every time.
        """
        clock = self._server.clock()
        while True:
            now, version = reading.folders(self._server, self._index.alias)
            after = record_rules.folders_after(now, wanted, seen)
            lines = [(folder.prefix, folder.device) for folder in after]
            entry = documents.system(documents.FOLDERS_KEY, {"folders": lines})
            action = Action(entry.key, entry.document, version or NOTHING)
            outcome = self._bulk.write(self._index.alias, [action])
            self._require(outcome.refused)
            if not outcome.conflicts:
                return
            if not clock.wait():
                raise self._server.late("others write the folders all the time", clock)

    def put(self, entries: Iterable[documents.Entry], gone: Iterable[str] = ()) -> None:
        """Write documents, and delete those of some ids."""
        actions = {entry.key: Action(entry.key, entry.document) for entry in entries}
        actions |= {(key := documents.key(id_)): Action(key, None) for id_ in gone}
        self._require(self._bulk.write(self._index.alias, list(actions.values())).refused)

    def skip(self, files: Sequence[Skipped]) -> None:
        """Remember files as skipped, whatever they were; of a picture its source stays known."""
        by_id = {file.id: file for file in files}
        known = reading.known(self._server, self._index, by_id)
        self.put(
            documents.skipped(by_id[id_], known.get(id_, {}).get("source", "walk"))
            for id_ in reading.possible(by_id)
        )

    def delete(self, ids: Sequence[str], *, keep_out: bool) -> int:
        """Delete pictures; how many there were. With keep_out also what is unknown is remembered."""
        known = reading.known(self._server, self._index, ids)
        pictures = {id_: about for id_, about in known.items() if about["status"] == "picture"}
        if keep_out:
            unknown = [id_ for id_ in reading.possible(ids) if id_ not in known]
            out = [
                documents.aside("removed", id_, about["source"], about["size"], about["mtime_ns"])
                for id_, about in pictures.items()
            ]
            self.put([*out, *(documents.aside("removed", id_) for id_ in unknown)])
        else:
            self.put([], pictures)
        return len(pictures)

    def forget(self, ids: Sequence[str]) -> None:
        """Forget skipped and removed paths."""
        known = reading.known(self._server, self._index, ids)
        self.put([], [id_ for id_, about in known.items() if about["status"] in {"skipped", "removed"}])

    def _rewritten(
        self, writer: Writer, hits: Sequence[reading.Hit], changes: Mapping[str, Change]
    ) -> list[str]:
        """Write pictures changed; the ids of those that somebody else has written meanwhile."""
        batch = reading.batch(hits, self._index)
        changed = [changes[record.id](record) for record in batch.records]
        entries = writer.entries(changed, batch.vectors)
        actions = [
            Action(entry.key, entry.document, reading.seen(hit))
            for entry, hit in zip(entries, hits, strict=True)
        ]
        outcome = self._bulk.write(self._index.alias, actions)
        self._require(outcome.refused)
        return [record.id for record in changed if documents.key(record.id) in outcome.conflicts]

    @staticmethod
    def _require(refused: Mapping[str, str]) -> None:
        """Raise `StoreCorrupt` where a document was refused that must not be."""
        for key, reason in refused.items():
            raise StoreCorrupt(f"what is known of {key!r} could not be written: {reason}")
