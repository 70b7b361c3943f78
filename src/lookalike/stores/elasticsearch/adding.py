"""Adding pictures: which of them can be kept, and as what."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lookalike.stores import records as record_rules
from lookalike.stores.elasticsearch import documents
from lookalike.stores.elasticsearch.bulk import Action

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lookalike.stores.elasticsearch.bulk import Bulk
    from lookalike.stores.elasticsearch.documents import Writer
    from lookalike.stores.elasticsearch.fields import Fields
    from lookalike.stores.elasticsearch.indices import Index
    from lookalike.types import Floats, Record, Skipped


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
        reason = record_rules.fault(record, numbers) or documents.fault(record) or misfits.get(place)
        if reason is not None:
            faults[place] = reason
    return faults
