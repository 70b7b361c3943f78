"""Writing pictures that were described: each takes over what the user said of the one it replaces."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from lookalike.indexing.extract import Part

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from lookalike.indexing.extract import Row
    from lookalike.types import Record, Store, Value


def write(
    store: Store,
    rows: Sequence[Row],
    before: Store | None = None,
    keep: Callable[[Record, Record], Record] | None = None,
) -> Part:
    """Write pictures that were described; how many there were, and those refused.

    Args:
        store: where to; the caller holds the right to.
        rows: the pictures.
        before: where to look for what was known of them; default the store.
        keep: joins a new record and the one it replaces; default `keeping`.
    """
    import numpy as np

    known = (before or store).get([row.record.id for row in rows])
    records = [
        row.record if old is None else (keep or keeping)(row.record, old)
        for row, old in zip(rows, known, strict=True)
    ]
    refused = store.write(records, np.stack([row.vector for row in rows]))
    out = {skip.id for skip in refused}
    updated = sum(
        row.record.id not in out and (old is not None if row.known is None else row.known)
        for row, old in zip(rows, known, strict=True)
    )
    return Part(skipped=refused, added=len(rows) - len(out) - updated, updated=updated)


def users_fields(record: Record) -> dict[str, Value]:
    """The fields of a picture that are the user's, and not what the picture says of itself."""
    return {name: value for name, value in record.metadata.items() if name not in record.from_picture}


def keeping(record: Record, old: Record) -> Record:
    """A record that replaces another keeps the user's own fields of that; the picture's come anew."""
    own = users_fields(old)
    metadata = {**own, **record.metadata}
    mine = record.from_picture & own.keys()
    return replace(
        record,
        metadata={**metadata, **{name: own[name] for name in mine}},
        from_picture=record.from_picture - mine,
    )
