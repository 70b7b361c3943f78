"""What a query names: a picture of the gallery, a picture from elsewhere, or a vector."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from lookalike import images
from lookalike.errors import ImageError, NotFound, UsageError
from lookalike.search import own_ids
from lookalike.sources import remote, tables
from lookalike.sources.folder import id_of, is_address, is_text
from lookalike.system.files import stamp
from lookalike.system.text import redact, redact_text

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from lookalike.images.given import Picture
    from lookalike.sources.access import Access
    from lookalike.types import Record, Store

    Query: TypeAlias = str | os.PathLike[str] | Picture | NDArray[np.floating[Any]]

ID_PREFIX = "id:"
"""What a string begins with that means a picture of the gallery and nothing else."""

_ARRAY = ".npy"
"""The ending of a file that holds a vector, not a picture."""


@dataclass(frozen=True, slots=True)
class Resolved:
    """A query understood: just one of id, content and vector says what is looked for.

    label: the query in words, without the secrets of an address.
    id: of a picture in the gallery; its stored vector is the query, and it is left out of the answer.
    content: the bytes of an encoded picture.
    vector: ndarray of shape (dim,).
    named: the file or address that the caller named, and so may be read; "" where none was.
    record: of the picture in the gallery, as it was looked up for its id.
    """

    label: str
    id: str | None = None
    content: bytes | None = None
    vector: NDArray[np.floating[Any]] | None = None
    named: str = ""
    record: Record | None = None


def resolve(query: Query, store: Store | None, access: Access) -> Resolved:
    """Find out what a query names.

    A string with `id:` in front is an id, or what stands for one as `lookalike.search.own_ids` says. Any
    other string is a file if there is one, else an address, else an id. A file or address that is in the
    gallery, and holds the same picture as it did when it was indexed, counts as its id. A file
    `.npy` holds a vector.

    Args:
        query: path, address, id, bytes, file object, PIL image, array of shape (h, w, 3) uint8, or a
            vector of shape (dim,) of floating numbers.
        store: the gallery's store; None where there is no gallery, and so no id.
        access: of the gallery: what is named here is read through it.

    Raises:
        NotFound: no file, address or picture of that name.
        ImageError, DownloadError: what it names can't be read.
        UsageError: no kind of query at all.
    """
    if isinstance(query, str):
        return _from_text(query, store, access)
    if isinstance(query, os.PathLike):
        return _from_file(os.fspath(query), store, access)
    if _is_vector(query):
        return Resolved("a vector", vector=query)  # type: ignore[arg-type]
    if images.is_picture(query):
        return Resolved("a picture", content=images.encoded(query))  # type: ignore[arg-type]
    raise UsageError(
        f"{type(query).__name__} is no query; expected a path, an address, an id, bytes, a file object, "
        "a PIL image, an array of shape (h, w, 3) or a vector"
    )


def _is_vector(query: object) -> bool:
    shape, dtype = getattr(query, "shape", ()), getattr(query, "dtype", None)
    return len(shape) == 1 and getattr(dtype, "kind", "") == "f"


def _from_text(query: str, store: Store | None, access: Access) -> Resolved:
    if query.startswith(ID_PREFIX):
        return _from_id(query.removeprefix(ID_PREFIX), store)
    path = os.path.expanduser(query)  # noqa: PTH111  # a string may be an address, too
    if "\0" not in path and os.path.exists(path):  # noqa: PTH110
        return _from_file(path, store, access)
    shown = redact(query)
    for id_ in dict.fromkeys((query, shown)):
        if (record := _record(id_, store)) is not None:
            return Resolved(shown, id=id_, named=query if is_address(query) else "", record=record)
    if query.lower().startswith(("http://", "https://")):
        return Resolved(shown, content=access.download(query, private=True))
    if remote.is_remote(query):
        return Resolved(shown, content=access.naming(query).read(query))
    if store is not None and (own := own_ids.meant(query, store)) is not None:
        return Resolved(query, id=own, record=_record(own, store))
    what = "no file" if store is None else "no file, and no picture in the gallery,"
    raise NotFound(f"{what} is called {redact_text(query)!r}")


def _from_id(id_: str, store: Store | None) -> Resolved:
    if (record := _record(id_, store)) is not None:
        return Resolved(id_, id=id_, record=record)
    own = None if store is None else own_ids.meant(id_, store)
    if own is None:
        hint = "" if store is None else own_ids.hint(id_, store)
        raise NotFound(f"no picture in the gallery has the id {redact_text(id_)!r}{hint}")
    return Resolved(own, id=own, record=_record(own, store))


def _from_file(path: str, store: Store | None, access: Access) -> Resolved:
    file = Path(path)
    known: dict[str, Record | None] = {}
    places = (str(file.absolute()), os.path.realpath(file))
    for id_ in dict.fromkeys(id_of(place, access.root) for place in places):
        record = _record(id_, store)
        if record is not None and _unchanged(file, record):
            return Resolved(path, id=id_, named=places[0], record=record)
        known[id_] = record
    if file.suffix == _ARRAY:
        return Resolved(path, vector=tables.read_vector(path))
    try:
        content = access.read_named(path)
    except ImageError as error:
        raise type(error)(f"{path}: {error}") from error
    # A copied folder has new times, but the same pictures.
    digest = images.digest(content)
    same = next((one for one in known.values() if one is not None and one.digest == digest), None)
    if same is None:
        return Resolved(path, content=content)
    return Resolved(path, id=same.id, named=places[0], record=same)


def _record(id_: str, store: Store | None) -> Record | None:
    # A name as Python gives it may hold bytes that are not UTF-8; no id does.
    return None if store is None or not is_text(id_) else store.get([id_])[0]


def _unchanged(file: Path, record: Record) -> bool:
    try:
        return stamp(file.stat()) == (record.size, record.mtime_ns)
    except OSError:
        return False
