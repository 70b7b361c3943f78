"""Writing pictures: the types of their fields, which can be kept and as what, and changes of those there.

The user's fields are in the index's mapping, typed by their first value. A picture is changed by reading it
with everything in it, and writing it whole again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

import elasticsearch
import numpy as np

from lookalike.errors import StoreCorrupt, StoreUnavailable, UsageError
from lookalike.stores import records as record_rules
from lookalike.stores.elasticsearch import indices, layout, reading
from lookalike.stores.elasticsearch.bulk import NOTHING, Action
from lookalike.types import BUILT_IN_FIELDS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from collections.abc import Set as AbstractSet

    from lookalike.stores.elasticsearch.bulk import Bulk
    from lookalike.stores.elasticsearch.indices import Index
    from lookalike.stores.elasticsearch.layout import Writer
    from lookalike.stores.elasticsearch.server import Server
    from lookalike.types import Floats, Folder, Record, Skipped, Value, Where

    Change: TypeAlias = Callable[[Record], Record]


class Fields:
    """The fields of a gallery; a type once given stays, so that what was read once is remembered.

    Args:
        server: where.
    """

    def __init__(self, server: Server) -> None:
        self._server = server
        self._known: tuple[str, dict[str, str]] = ("", {})
        self._foreign: AbstractSet[str] = frozenset()

    def now(self, index: Index) -> dict[str, str]:
        """The fields with their types, as the server has them now."""
        found = indices.field_types(self._server, index)
        types = {name: type_ for name, type_ in found.items() if type_}
        self._foreign = found.keys() - types.keys()
        self._known = (index.alias, types)
        return BUILT_IN_FIELDS | types

    def of(self, index: Index, where: Where) -> dict[str, str]:
        """The fields with their types; asked for anew only where a condition names one that is not known."""
        known = self.remembered(index)
        return known if all(condition.field in known for condition in where) else self.now(index)

    def learn(self, index: Index, metadata: Iterable[Mapping[str, Value]]) -> None:
        """Fix the types of new fields by their first value, and hold every value to its field's type.

        Raises:
            UsageError: a value does not fit, or there are too many fields.
        """
        facts = list(metadata)
        if not record_rules.new_fields(self.remembered(index), facts):
            return
        # Another process may have given them a type meanwhile, and may do so yet.
        while new := record_rules.new_fields(known := self.now(index), facts):
            if foreign := [name for name in new if name in self._foreign]:
                raise UsageError(
                    f"the field {foreign[0]!r} has a type in the index that lookalike never gives; "
                    "rename the column"
                )
            if len(known) + len(new) > layout.MOST_FIELDS:
                raise UsageError(
                    f"the metadata would give the gallery {len(known) + len(new):,} fields; Elasticsearch "
                    f"keeps at most {layout.MOST_FIELDS:,}: put what they hold into fewer"
                )
            self.define(index, new)

    def unknown(self, index: Index, types: Mapping[str, str]) -> dict[str, str]:
        """Those of some fields that have no type yet."""
        known = self.now(index).keys() | self._foreign
        return {name: type_ for name, type_ in types.items() if name not in known}

    def define(self, index: Index, types: Mapping[str, str]) -> None:
        """Make fields of these types, unless there are any of that name."""
        properties: dict[str, Any] = {"metadata": {"properties": layout.field_mappings(types)}}

        def put(es: elasticsearch.Elasticsearch) -> Any:
            try:
                return es.indices.put_mapping(index=index.alias, properties=properties)
            except elasticsearch.BadRequestError as error:
                if "cannot be changed from type" not in str(error):
                    raise
                return es.indices.exists(index=index.alias)  # as it is it is seen at the next look

        self._server.call(put)

    def remembered(self, index: Index) -> dict[str, str]:
        """The fields with their types as they were seen last; a type once given stays."""
        name, types = self._known
        return BUILT_IN_FIELDS | types if name == index.alias else self.now(index)


def add(
    bulk: Bulk, index: Index, fields: Fields, writer: Writer, records: Sequence[Record], vectors: Floats
) -> tuple[list[Record], list[Skipped]]:
    """Add or replace pictures; of several with one id the last counts.

    Args:
        bulk: writes them.
        index: where to.
        fields: of the gallery; new ones get their type.
        writer: makes the documents.
        records: of the pictures.
        vectors: ndarray of shape (n, dim), float32.

    Returns:
        Those that were written, and those refused, with the reason.

    Raises:
        UsageError: vectors of another shape, or a field whose value does not fit.
    """
    record_rules.check_shape(vectors, len(records), index.header)
    places = {record.id: place for place, record in enumerate(records)}
    faults = _faults(index, records, vectors, list(places.values()))
    good = [place for place in places.values() if place not in faults]
    chosen = [records[place] for place in good]
    if chosen:
        chosen = list(record_rules.without_misfits(chosen, fields.remembered(index)))
        fields.learn(index, [record.metadata for record in chosen])
        kept = vectors[good].astype(index.header.space.row_type).astype(np.float32)
        entries = writer.entries(chosen, kept)
        actions = [Action(entry.key, entry.document) for entry in entries]
        refused = bulk.write(index.alias, actions).refused
        keys = zip(good, entries, strict=True)
        faults |= {place: refused[entry.key] for place, entry in keys if entry.key in refused}
    out = [record_rules.refused(records[place], faults[place]) for place in sorted(faults)]
    return [records[place] for place in good if place not in faults], out


def _faults(
    index: Index, records: Sequence[Record], vectors: Floats, places: Sequence[int]
) -> dict[int, str]:
    """Which of the records at some places can't be kept, and why."""
    header, space = index.header, index.header.space
    numbers = record_rules.class_numbers(header)
    misfits = record_rules.misfits(vectors, np.dtype(space.row_type), normalized=space.normalized)
    faults: dict[int, str] = {}
    for place in places:
        record = records[place]
        reason = record_rules.fault(record, numbers) or layout.fault(record) or misfits.get(place)
        if reason is not None:
            faults[place] = reason
    return faults


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
            entry = layout.system(layout.FOLDERS_KEY, {"folders": lines})
            action = Action(entry.key, entry.document, version or NOTHING)
            outcome = self._bulk.write(self._index.alias, [action])
            self._require(outcome.refused)
            if not outcome.conflicts:
                return
            if not clock.wait():
                raise self._server.late("others write the folders all the time", clock)

    def put(self, entries: Iterable[layout.Entry], gone: Iterable[str] = ()) -> None:
        """Write documents, and delete those of some ids."""
        actions = {entry.key: Action(entry.key, entry.document) for entry in entries}
        actions |= {(key := layout.key(id_)): Action(key, None) for id_ in gone}
        self._require(self._bulk.write(self._index.alias, list(actions.values())).refused)

    def skip(self, files: Sequence[Skipped]) -> None:
        """Remember files as skipped, whatever they were; of a picture its source stays known."""
        by_id = {file.id: file for file in files}
        known = reading.known(self._server, self._index, by_id)
        self.put(
            layout.skipped(by_id[id_], known.get(id_, {}).get("source", "walk"))
            for id_ in reading.possible(by_id)
        )

    def delete(self, ids: Sequence[str], *, keep_out: bool) -> int:
        """Delete pictures; how many there were. With keep_out also what is unknown is remembered."""
        known = reading.known(self._server, self._index, ids)
        pictures = {id_: about for id_, about in known.items() if about["status"] == "picture"}
        if keep_out:
            unknown = [id_ for id_ in reading.possible(ids) if id_ not in known]
            out = [
                layout.aside("removed", id_, about["source"], about["size"], about["mtime_ns"])
                for id_, about in pictures.items()
            ]
            self.put([*out, *(layout.aside("removed", id_) for id_ in unknown)])
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
        return [record.id for record in changed if layout.key(record.id) in outcome.conflicts]

    @staticmethod
    def _require(refused: Mapping[str, str]) -> None:
        """Raise `StoreCorrupt` where a document was refused that must not be."""
        for key, reason in refused.items():
            raise StoreCorrupt(f"what is known of {key!r} could not be written: {reason}")
