"""What every store of the family asks of a record, its vector and its metadata before it keeps them."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from typing import TYPE_CHECKING

from lookalike.errors import FilterError, UsageError
from lookalike.stores import where
from lookalike.system.files import fitting
from lookalike.types import BUILT_IN_FIELDS, PICTURE_FIELDS, Skipped

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import numpy as np

    from lookalike.types import Condition, Floats, Folder, Header, Record, Term, Value

SOURCES = ("walk", "file", "url", "array", "cifar")
"""The names of the built-in sources; a store may keep their places here instead, which stay what they are."""

LONGEST_SOURCE = 64
"""Characters of another source's name."""

FILES = ("walk", "file")
"""The sources of pictures that have a file of their own."""

UNIT = 1_000_000
"""Scores are kept in millionths: exact, and small."""

LEAST = UNIT // 20
"""The sum of a term's class scores below which it counts as none."""

UNIT_TOLERANCE = 0.01
"""How far the length of a unit vector may be from 1; float16 alone makes it .0005."""

LONGEST_DIGEST, LONGEST_THUMBNAIL, LONGEST_FORMAT = 64, 1 << 19, 64
"""Bytes, bytes and characters: more than any has, and what is read of a stranger's gallery at most."""

_LONGEST_ID = 1 << 16  # bytes
_SOURCE = re.compile(rf"[a-z][a-z0-9+.-]{{0,{LONGEST_SOURCE - 1}}}", re.ASCII)
_MOST = 1.001  # softmax in few bits does not add up to 1
_INTEGERS = range(-(2**63), 2**63)
_OPERATORS = {"=", "!=", "<", "<=", ">", ">=", "~"}
_MAX_TERMS = 30


def is_id(text: str, longest: int = _LONGEST_ID) -> bool:
    """Whether a text can be an id: Unicode, not empty, no NUL, and not endless (longest is in bytes)."""
    return is_text(text) and 0 < len(text.encode()) <= longest and "\0" not in text


def is_text(text: str) -> bool:
    """Whether it is Unicode: half of a surrogate pair is not."""
    return text.isascii() or text.encode(errors="replace").decode() == text


def is_source(text: str) -> bool:
    """Whether a text can be the name of a source."""
    return _SOURCE.fullmatch(text) is not None


def source_name(stored: str, size: int) -> str:
    """The name of a source from the one that is stored: CIFAR's pictures were arrays with a size once."""
    return "cifar" if size > 0 and stored == "array" else stored


def name(id_: str) -> str:
    """The last part of an id: what the field `name` holds."""
    return id_.rpartition("/")[2]


def class_numbers(header: Header) -> dict[str, int]:
    """Class numbers by class id."""
    return {} if header.classes is None else {id_: n for n, id_ in enumerate(header.classes.ids)}


def folders_after(
    now: Iterable[Folder], wanted: Iterable[Folder], seen: Iterable[Folder] | None
) -> list[Folder]:
    """The folders once some are set, sorted: what others changed since they were seen stays.

    Args:
        now: what is there.
        wanted: what is to be there, by somebody who knows of what was seen alone.
        seen: None where all of it is to be replaced.
    """
    before = {folder.prefix: folder for folder in (now if seen is None else seen)}
    after = {folder.prefix: folder for folder in wanted}
    kept = {folder.prefix: folder for folder in now if folder.prefix in after or folder.prefix not in before}
    changed = {prefix: folder for prefix, folder in after.items() if before.get(prefix) != folder}
    return sorted((kept | changed).values(), key=lambda folder: folder.prefix)


def fault(record: Record, numbers: Mapping[str, int], longest: int = _LONGEST_ID) -> str | None:
    """Why a record can't be kept; None if it can."""
    if not is_id(record.id, longest):
        return "its id is empty, too long, or no text"
    if not is_source(record.source):
        return f"its source is called {record.source!r:.80}; expected a name as `mbox`"
    if not all(number in _INTEGERS for number in (record.size, record.mtime_ns, record.width, record.height)):
        return "its size, time, width or height is a number of more than 64 bits"
    lengths = (record.digest, LONGEST_DIGEST), (record.thumbnail or b"", LONGEST_THUMBNAIL)
    if any(len(content) > most for content, most in (*lengths, (record.format, LONGEST_FORMAT))):
        return "its digest, thumbnail or format is longer than any can be"
    return _fault_of_scores(record, numbers)


def _fault_of_scores(record: Record, numbers: Mapping[str, int]) -> str | None:
    for class_, score in record.scores:
        if class_ not in numbers:
            return f"it has a score of the class {class_!r}, which the gallery's model does not have"
        if not 0 <= score <= _MOST:
            return f"its score of the class {class_!r} is {score}, expected a probability"
    if len({class_ for class_, _ in record.scores}) < len(record.scores):
        return "it has two scores of one class"
    return None


def stamp(record: Record) -> tuple[int, int]:
    """Return size and mtime_ns of a record, each as far as 64 bits can hold it."""
    return fitting(record.size), fitting(record.mtime_ns)


def refused(record: Record, reason: str) -> Skipped:
    """A record that can't be kept, as a file that could not be indexed."""
    return Skipped(record.id, *stamp(record), reason)


def misfits(vectors: Floats, dtype: np.dtype[np.floating], *, normalized: bool) -> dict[int, str]:
    """Which rows (n, dim) can't be kept as numbers of a type, and why."""
    import numpy as np

    kept = np.all(np.abs(vectors) <= np.finfo(dtype).max, axis=1)
    reason = f"its vector holds numbers that are none, or too large for {dtype}"
    faults = dict.fromkeys(np.flatnonzero(~kept).tolist(), reason)
    if normalized:
        lengths = np.linalg.norm(np.where(kept[:, None], vectors, 0), axis=1)
        odd = np.flatnonzero((lengths > 0) & (np.abs(lengths - 1) > UNIT_TOLERANCE))
        faults |= {i: f"its vector has the length {lengths[i]:.3g}, expected 1" for i in odd.tolist()}
    return faults


def new_fields(types: Mapping[str, str], metadata: Iterable[Mapping[str, Value]]) -> dict[str, str]:
    """The types of new fields, each by its first value.

    Args:
        types: of the fields there are.
        metadata: every value is held to its field's type.

    Raises:
        UsageError: a value does not fit.
    """
    both = dict(types)
    for facts in metadata:
        for field, value in facts.items():
            _check_value(field, value, both.setdefault(field, _type(value)))
    return {field: type_ for field, type_ in both.items() if field not in types}


def without_misfits(records: Sequence[Record], types: Mapping[str, str]) -> Sequence[Record]:
    """Leave out what pictures say of themselves where the user has given that field another type."""
    odd = {name for name, type_ in PICTURE_FIELDS.items() if types.get(name, type_) != type_}
    if not odd:
        return records
    return [
        replace(
            record,
            metadata={
                field: value
                for field, value in record.metadata.items()
                if field not in odd & record.from_picture
            },
            from_picture=record.from_picture - odd,
        )
        for record in records
    ]


def is_area(field: str, types: Mapping[str, str]) -> bool:
    """Whether a condition is on an area of the Earth, and the gallery has positions to compare with."""
    numbers = {"integer", "real"}
    return (
        field in where.AREAS
        and field not in types
        and all(types.get(name) in numbers for name in ("latitude", "longitude"))
    )


def check_condition(condition: Condition, types: Mapping[str, str]) -> None:
    """Raise `FilterError` where a condition does not suit the fields there are."""
    field, operator, values = condition
    if is_area(field, types):
        if operator not in {"=", "!="}:
            raise FilterError(f"{field} can't be compared by {operator}")
        return
    if field not in types:
        raise FilterError(f"the gallery has no field {field!r}; it has {', '.join(types)}")
    if operator not in _OPERATORS or (field == "folder" and operator not in {"=", "!=", "~"}):
        raise FilterError(f"{field} can't be compared by {operator}")
    if operator == "~" and types[field] != "text":
        raise FilterError(f"{field} can't be compared by ~: it is {types[field]}, no text")
    wanted = str if types[field] == "text" else (int, float)
    for value in values:
        if not isinstance(value, wanted) or isinstance(value, bool):
            raise FilterError(f"{field} is {types[field]}, and {value!r} is not")


def check_terms(terms: Sequence[Term], only: str | None) -> None:
    """Raise `UsageError` for more terms than can be joined, or an unknown part."""
    if only not in {None, "classes", "text"}:
        raise UsageError(f"only {only!r} can't be meant; expected classes or text")
    if len(terms) > _MAX_TERMS:
        raise UsageError(f"{len(terms)} words are too many to find at once; expected at most {_MAX_TERMS}")


def check_k(k: int, most: int | None = None) -> None:
    """Raise `UsageError` unless so many pictures can be asked for; `most` is what the store gives at once."""
    if k < 0:
        raise UsageError(f"{k} pictures can't be meant; expected 0 or more")
    if most is not None and k > most:
        raise UsageError(f"{k:,} pictures are more than this store gives at once, {most:,}; ask for fewer")


def check_shape(vectors: Floats, count: int, header: Header) -> None:
    """Raise `UsageError` unless vectors have the shape (count, dim)."""
    if vectors.shape != (count, header.space.dim):
        expected = f"({count}, {header.space.dim})"
        raise UsageError(f"vectors have the shape {vectors.shape}, expected {expected}")


def check_queries(queries: Floats, header: Header) -> None:
    """Raise `UsageError` unless queries have the shape (q, dim) and hold nothing but numbers."""
    import numpy as np

    if queries.ndim != 2 or queries.shape[1] != header.space.dim:
        raise UsageError(f"queries have the shape {queries.shape}, expected (q, {header.space.dim})")
    if not np.isfinite(queries).all():
        raise UsageError("a query holds numbers that are not finite")


def _type(value: Value) -> str:
    return "text" if isinstance(value, str) else "integer" if isinstance(value, int) else "real"


def _check_value(field: str, value: Value, type_: str) -> None:
    if field in BUILT_IN_FIELDS:
        raise UsageError(f"{field} is a field every picture has by itself; give the metadata another name")
    if type(value) not in {str, int, float} or not (is_text(field) and is_text(str(value))):
        raise UsageError(f"the field {field!r} can't hold {value!r}: expected text or a number")
    if isinstance(value, float) and not math.isfinite(value):
        raise UsageError(f"the field {field} can't hold {value!r}: expected a finite number")
    if isinstance(value, int) and value not in _INTEGERS:
        raise UsageError(f"the field {field} can't hold {value}: integers have at most 64 bits")
    if type_ != _type(value) and (type_, _type(value)) != ("real", "integer"):
        raise UsageError(
            f"the field {field} is {type_} since its first value, and {value!r} is not; correct the value, "
            "or give it another field"
        )
