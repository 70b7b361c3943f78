"""From what a user hands over to what is compared: texts become typed parts, and parts pictures or vectors.

The rule for a text stands in `part_of`, and nowhere else. Typed parts reach the file system by
`Picture(path)` alone: a program that takes queries from strangers builds `Id`, `Words`, `Vector`, and
`Picture` of bytes.
"""

from __future__ import annotations

import difflib
import math
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lookalike import images
from lookalike.errors import ImageError, NotFound, UsageError
from lookalike.search.query import (
    ID_PREFIX,
    WORDS_PREFIX,
    Id,
    Picture,
    Summand,
    Vector,
    Words,
    in_words,
)
from lookalike.sources import remote, tables
from lookalike.sources.folder import id_of, is_text
from lookalike.system.files import stamp
from lookalike.system.text import redact, redact_text
from lookalike.types import Condition

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray

    from lookalike.images import Box
    from lookalike.search.query import Part, QueryLike
    from lookalike.sources.access import Access
    from lookalike.types import Record, Store, Value

ENDINGS = (".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".avif", ".heic")
"""How the names of pictures usually end, in small letters."""

_ARRAY = ".npy"
"""The ending of a file that holds a vector, not a picture."""

_FIELD = "id"
"""The field that holds ids of the user's own, as `lookalike fetch --id` notes them."""

_SHOWN = 3
_TELLING = 3
"""How long a part of a name has to be to say which picture was meant."""

_FILE_NAME = re.compile(r".\.[A-Za-z]{2,5}$")


@dataclass(frozen=True, slots=True)
class ResolvedPart:
    """A part understood: just one of id, content, vector and words says what is looked for.

    label: the part in words, without the secrets of an address.
    id: of a picture in the gallery, whose stored vector is meant.
    content: the bytes of an encoded picture.
    vector: ndarray of shape (dim,).
    words: that name what is looked for.
    named: the file or address that the caller named, and so may be read; "" where none was.
    record: of the picture in the gallery that this is, or of which it is a region.
    box: the region of the picture to go by; None for the whole.
    """

    label: str
    id: str | None = None
    content: bytes | None = None
    vector: NDArray[np.floating[Any]] | None = None
    words: str = ""
    named: str = ""
    record: Record | None = None
    box: Box | None = None


@dataclass(frozen=True, slots=True)
class ResolvedQuery:
    """A query understood.

    parts: each behind its weight.
    notes: what the user should know of how it was understood.
    """

    parts: tuple[tuple[float, ResolvedPart], ...]
    notes: tuple[str, ...] = ()

    @property
    def label(self) -> str:
        """The query in words."""
        if len(self.parts) == 1 and self.parts[0][0] == 1:
            return self.parts[0][1].label
        return in_words([(weight, part.label) for weight, part in self.parts])

    @property
    def words(self) -> str:
        """What is asked in words, all of which have to be satisfied; "" for pictures.

        Raises:
            UsageError: words are mixed with pictures, weighted or taken away.
        """
        worded = [(weight, part.words) for weight, part in self.parts if part.words]
        if worded and len(worded) < len(self.parts):
            raise UsageError(
                f"{self.label}: words can't be mixed with pictures, because the gallery's model understands "
                "pictures alone; ask by pictures, or by words"
            )
        if any(weight != 1 for weight, _ in worded):
            raise UsageError(
                f"{self.label}: words have no weights here and can't be taken away; ask by words alone"
            )
        texts = [text for _, text in worded]
        return texts[0] if len(texts) == 1 else phrases(texts)

    @property
    def records(self) -> tuple[Record, ...]:
        """The records of its pictures that are in the gallery, without those that it takes away."""
        return tuple(part.record for weight, part in self.parts if part.record is not None and weight > 0)


def resolve(query: QueryLike, store: Store | None, access: Access) -> ResolvedQuery:
    """Find out what a query means.

    Args:
        query: a `Query` or a part of one; a text, by the rule of `part_of`; a path; bytes, a file object, a
            PIL image or an array of shape (h, w, 3), uint8; or a vector, array of shape (dim,), float.
        store: the gallery's store; None where there is no gallery, and so no id.
        access: of the gallery: what is named here is read through it.

    Raises:
        NotFound: no file, address or picture of that name.
        ImageError, DownloadError: what it names can't be read.
        UsageError: no kind of query at all.
    """
    notes: list[str] = []
    if isinstance(query, str):
        query = part_of(query, store, access, notes.append)
    parts = query.weighted() if isinstance(query, Summand) else ((1.0, _typed(query)),)
    resolved = tuple((weight, resolve_part(part, store, access)) for weight, part in parts)
    if not any(weight > 0 for weight, _ in resolved):
        raise UsageError("the query only takes away; expected at least one part that is looked for")
    return ResolvedQuery(resolved, tuple(notes))


def resolve_part(part: Part, store: Store | None, access: Access) -> ResolvedPart:
    """Find out what a typed part means. Raises as `resolve` does."""
    if isinstance(part, Words):
        return ResolvedPart(part.text, words=part.text)
    if isinstance(part, Id):
        return _from_id(part.id, store)
    if isinstance(part, Vector):
        return ResolvedPart("a vector", vector=_vector(part.numbers))
    box, given = part.box(), part.picture
    if isinstance(given, str) and is_query_address(given):
        return _from_address(given, store, access, box)
    if isinstance(given, str | os.PathLike):
        return _from_file(os.path.expanduser(os.fspath(given)), store, access, box)  # noqa: PTH111
    return ResolvedPart(str(part), content=images.encoded(given), box=box)


def resolve_picture(query: QueryLike, store: Store | None, access: Access) -> ResolvedPart:
    """Find out what a query means that has to be one picture. Raises as `resolve` does."""
    parts = resolve(query, store, access).parts
    if len(parts) > 1:
        raise UsageError(f"{len(parts)} parts were given; expected one picture")
    part = parts[0][1]
    if part.words:
        raise NotFound(_nothing(part.words, part.words, store))
    return part


def part_of(text: str, store: Store | None, access: Access, note: Callable[[str], object]) -> Part:
    """Return what a text means as a part of a query.

    In this order it is `id:…` or `text:…`; a file; the id of a picture of the gallery; an address; and
    unless it looks like a path, words. A folder is never a query.

    Args:
        text: as a person types it.
        store: of the gallery; None where there is none.
        access: of the gallery.
        note: called with what the user should know, where a text could mean two things.

    Raises:
        NotFound: it looks like a path, by a separator or an ending of 2 to 5 letters, and nothing is there.
    """
    if text.startswith(ID_PREFIX):
        return Id(text.removeprefix(ID_PREFIX))
    if text.startswith(WORDS_PREFIX):
        return Words(text.removeprefix(WORDS_PREFIX))
    known = _record(text, store)
    path = os.path.expanduser(text)  # noqa: PTH111  # a text may be an address, too
    if "\0" not in path and os.path.isfile(path):  # noqa: PTH113
        if known is not None and text not in _ids_of(path, access):
            note(
                f"{text!r} is a file here and the id of a picture: the file was taken; id:{text} is the other"
            )
        return Picture(path)
    if is_query_address(text):
        return Picture(text)
    if known is not None:
        return Id(text)
    if not text.strip() or not is_text(text) or {os.sep, "\0"} & set(text) or _FILE_NAME.search(text):
        raise NotFound(_nothing(text, path, store))
    return Words(text)


def phrases(words: list[str]) -> str:
    """Return several words as one text: one of several words among others is a phrase."""
    if len(words) == 1:
        return words[0]
    return " ".join(f'"{word}"' if " " in word and '"' not in word else word for word in words)


def is_query_address(text: str) -> bool:
    """Return whether a text is the address of a picture."""
    return text.lower().startswith(("http://", "https://")) or remote.is_remote(text)


def _nothing(text: str, path: str, store: Store | None) -> str:
    """What to say of a text that looks like a path to nothing."""
    shown = redact_text(text)
    if "\0" not in path and os.path.exists(path):  # noqa: PTH110
        kind = "a folder" if os.path.isdir(path) else "no plain file"  # noqa: PTH112
        return f"{shown!r} is {kind}; expected a picture, or words: text:{shown}"
    what = "no file" if store is None else "no file, and no picture in the gallery,"
    close = _close(path) or _alike(Path(text).stem, store)
    hint = f"did you mean {close}?" if close else f"words are text:{shown}"
    return f"{what} is called {shown!r}; {hint}"


def _alike(stem: str, store: Store | None) -> str:
    """The ids of some pictures that have a text in their names; "" for none, and for one that many have."""
    if store is None or len(stem) < _TELLING or not is_text(stem) or "\0" in stem:
        return ""
    return _some(_ids(store, Condition("name", "~", (stem,))))


def _close(path: str) -> str:
    """The file whose name is spelled most like a path's; "" for none."""
    folder, name = os.path.split(path)
    try:
        names = [file.name for file in Path(folder or ".").iterdir()]
    except (OSError, ValueError):
        return ""
    best = difflib.get_close_matches(name, names, 1, 0.75)
    return str(Path(folder, best[0])) if best else ""


def _typed(query: object) -> Part:
    """A query that is neither text nor typed, as a part."""
    if isinstance(query, os.PathLike):
        return Picture(query)
    shape, dtype = getattr(query, "shape", ()), getattr(query, "dtype", None)
    if len(shape) == 1 and getattr(dtype, "kind", "") == "f":
        return Vector(query)  # type: ignore[arg-type]
    if images.is_picture(query):
        return Picture(query)  # type: ignore[arg-type]
    raise UsageError(
        f"{type(query).__name__} is no query; expected a path, an address, an id, words, bytes, a file "
        "object, a PIL image, an array of shape (h, w, 3), a vector, or parts as Picture and Words"
    )


def _vector(numbers: object) -> NDArray[np.floating[Any]]:
    import numpy as np

    try:
        vector = np.asarray(numbers)
        vector = vector if vector.dtype.kind == "f" else vector.astype(np.float32)
    except (TypeError, ValueError):
        raise UsageError(
            "a vector of numbers can't be made of that; expected an array of shape (dim,)"
        ) from None
    if vector.ndim != 1:
        raise UsageError(f"the vector has the shape {vector.shape}; expected (dim,)")
    return vector


def _from_id(id_: str, store: Store | None) -> ResolvedPart:
    if (record := _record(id_, store)) is not None:
        return ResolvedPart(id_, id=id_, record=record)
    own = None if store is None else meant(id_, store)
    if own is None:
        hint = "" if store is None else hint_of(id_, store)
        raise NotFound(f"no picture in the gallery has the id {redact_text(id_)!r}{hint}")
    return ResolvedPart(own, id=own, record=_record(own, store))


def _from_address(address: str, store: Store | None, access: Access, box: Box | None) -> ResolvedPart:
    shown = redact(address)
    known = next((r for id_ in dict.fromkeys((address, shown)) if (r := _record(id_, store))), None)
    if known is not None and box is None:
        return ResolvedPart(shown, id=known.id, named=address, record=known)
    if remote.is_remote(address):
        content = access.naming(address).read(address)
    else:
        content = access.download(address, private=True)
    return ResolvedPart(_label(shown, box), content=content, record=known, box=box)


def _from_file(path: str, store: Store | None, access: Access, box: Box | None) -> ResolvedPart:
    file = Path(path)
    place = str(file.absolute())
    known: list[Record] = []
    for id_ in _ids_of(path, access):
        if (record := _record(id_, store)) is None:
            continue
        if box is None and _unchanged(file, record):
            return ResolvedPart(path, id=id_, named=place, record=record)
        known.append(record)
    if file.suffix == _ARRAY and box is None:
        return ResolvedPart(path, vector=tables.read_vector(path))
    try:
        content = access.read_named(path)
    except ImageError as error:
        raise type(error)(f"{path}: {error}") from error
    # A copied folder has new times, but the same pictures.
    digest = images.digest(content) if known else b""
    same = next((record for record in known if record.digest == digest), None)
    if same is None or box is not None:
        return ResolvedPart(_label(path, box), content=content, record=same, box=box)
    return ResolvedPart(path, id=same.id, named=place, record=same)


def _label(name: str, box: Box | None) -> str:
    return name if box is None else f"{name} ({box})"


def _ids_of(path: str, access: Access) -> list[str]:
    """The ids that a file has in a gallery, by its own path and by that which links lead to."""
    places = (str(Path(path).absolute()), os.path.realpath(path))
    return list(dict.fromkeys(id_of(place, access.root) for place in places))


def _record(id_: str, store: Store | None) -> Record | None:
    # A name as Python gives it may hold bytes that are not UTF-8; no id does.
    return None if store is None or not is_text(id_) else store.get([id_])[0]


def _unchanged(file: Path, record: Record) -> bool:
    try:
        return stamp(file.stat()) == (record.size, record.mtime_ns)
    except OSError:
        return False


def meant(own: str, store: Store) -> str | None:
    """Return the id of the one picture that a user's own id stands for; None where there is none.

    Raises:
        NotFound: it stands for several pictures.
    """
    if not is_text(own) or "\0" in own:
        return None
    endings = (*ENDINGS, *(ending.upper() for ending in ENDINGS))
    named = _ids(store, Condition("name", "=", tuple(own + ending for ending in endings)))
    found = named or _by_field(own, store)
    if len(found) > 1:
        raise NotFound(f"{own!r} is the id of several pictures: {_some(found)}; give the whole id of one")
    return found[0] if found else None


def hint_of(own: str, store: Store) -> str:
    """Return what may have been meant by an id that stands for nothing, as the end of a message."""
    if not is_text(own) or "\0" in own:
        return ""
    known: list[Value] = store.values(_FIELD, 1) if _FIELD in store.fields() else []
    alike = _ids(store, Condition("name", "~", (own,)))
    if alike:
        return f"; did you mean {_some(alike)}?"
    example = f", or by the field {_FIELD} as {known[0]!r}" if known else ""
    return f"; an id is a path as search prints it{example}"


def _by_field(own: str, store: Store) -> list[str]:
    """The ids of the pictures whose field says so; none without such a field."""
    type_ = store.fields().get(_FIELD)
    if type_ is None:
        return []
    try:
        value: Value = own if type_ == "text" else float(own)
    except ValueError:  # the field holds numbers, and this is none
        return []
    if isinstance(value, float) and not math.isfinite(value):
        return []
    return _ids(store, Condition(_FIELD, "=", (value,)))


def _ids(store: Store, condition: Condition) -> list[str]:
    """The ids of the pictures that pass, one more than are shown at most."""
    found: list[str] = []
    for batch in store.scan(where=[condition], batch=_SHOWN + 1):
        found += (record.id for record in batch.records)
        if len(found) > _SHOWN:
            break
    return found[: _SHOWN + 1]


def _some(ids: list[str]) -> str:
    return ", ".join(ids[:_SHOWN]) + (" …" if len(ids) > _SHOWN else "")
