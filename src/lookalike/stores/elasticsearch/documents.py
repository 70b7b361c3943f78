"""Records as documents and back, one place for each field that `layout` names."""

from __future__ import annotations

import hashlib
from base64 import b64decode, b64encode
from typing import TYPE_CHECKING, Any, NamedTuple

from lookalike.errors import StoreCorrupt
from lookalike.stores import positions, words
from lookalike.stores.elasticsearch import layout
from lookalike.stores.records import UNIT, class_numbers, name
from lookalike.types import Record, Skipped, State

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lookalike.stores.stems import Stemmer
    from lookalike.types import Floats, Header

    Document = dict[str, Any]

LONGEST_ID = 32_766  # bytes: what a term of Lucene can have
MOST_FOLDERS = 1_000
BUCKETS = 1 << 16

_LONGEST_KEY = 512  # bytes of an `_id`
_OWN = "~"
_CLASS_BITS = 16
_FIRST_FIELDS = ("taken",)
_SHOWN = UNIT // 100

FOLDERS_KEY = f"{_OWN}folders"
"""The `_id` of the document that holds the folders that were indexed."""

BUILDER_KEY = f"{_OWN}builder"
"""The `_id` of the document that tells which process builds an index."""

INDEXED_KEY = f"{_OWN}indexed"
"""The `_id` of the document that tells when the last complete indexing ended."""


class Entry(NamedTuple):
    """A document with its `_id`."""

    key: str
    document: Document


def key(id_: str) -> str:
    """The `_id` of a picture: its id, or a digest of that where it is too long or looks like our own."""
    if len(id_.encode()) <= _LONGEST_KEY and not id_.startswith(_OWN):
        return id_
    return _OWN + hashlib.sha256(id_.encode()).hexdigest()


class Writer:
    """Makes documents of records.

    Args:
        header: of the gallery.
        stemmer: for the words.
    """

    def __init__(self, header: Header, stemmer: Stemmer) -> None:
        self._header = header
        self._stemmer = stemmer
        self._numbers = class_numbers(header)
        self._names = header.classes.names if header.classes is not None else ()

    def entries(self, records: Sequence[Record], vectors: Floats) -> list[Entry]:
        """Documents of pictures with their vectors (n, dim), which come as they are to be kept."""
        texts = [
            (words.of_path(record.id), words.of_metadata(record.metadata, record.from_picture))
            for record in records
        ]
        stems = self._stemmer.stems([text for pair in texts for text in pair])
        zero = self._zeros(vectors)
        made = []
        for row, record in enumerate(records):
            document = self._document(record)
            document["stems"] = {"path": stems[2 * row], "text": stems[2 * row + 1]}
            document["words"] = {"path": texts[row][0], "text": texts[row][1], "tags": self._tags(document)}
            document.update({"zero": True} if zero[row] else {"vector": vectors[row]})
            made.append(Entry(key(record.id), document))
        return made

    def _document(self, record: Record) -> Document:
        scores = [(self._numbers[class_], round(score * UNIT)) for class_, score in record.scores]
        document: Document = {
            "id": record.id,
            "status": "picture",
            "source": record.source,
            "size": record.size,
            "mtime_ns": record.mtime_ns,
            "digest": record.digest.hex(),
            "width": record.width,
            "height": record.height,
            "folders": folders_of(record.id),
            "name": name(record.id),
            "bucket": bucket(record.id),
            "scores": scores,
            "points": [(score << _CLASS_BITS) + number for number, score in scores if score],
            "classes": {f"c{number}": score / UNIT for number, score in scores if score},
            "decoder": record.decoder,
            "format": record.format,
            "from_picture": sorted(record.from_picture),
            "metadata": {layout.encoded(field): value for field, value in record.metadata.items()},
        }
        if (position := _position(record.metadata)) is not None:
            document["position"] = position
        if record.thumbnail is not None:
            document["thumbnail"] = b64encode(record.thumbnail).decode()
        return document

    def _tags(self, document: Document) -> str:
        return "\n".join(self._names[number] for number, score in document["scores"] if score >= _SHOWN)

    def _zeros(self, vectors: Floats) -> list[bool]:
        """Which rows have no direction: under the cosine the server refuses them."""
        if self._header.space.metric != "cosine":
            return [False] * len(vectors)
        return [not row.any() for row in vectors]


def aside(status: str, id_: str, source: str = "walk", size: int = 0, mtime_ns: int = 0) -> Entry:
    """A document of a path that is no picture, but is remembered."""
    fields = {"id": id_, "status": status, "source": source, "size": size, "mtime_ns": mtime_ns}
    return Entry(key(id_), fields)


def system(key: str, content: dict[str, Any]) -> Entry:
    """A document about the gallery itself."""
    return Entry(key, {"status": "system", "content": content})


def skipped(file: Skipped, source: str) -> Entry:
    """A document of a file that could not be indexed."""
    entry = aside("skipped", file.id, source, file.size, file.mtime_ns)
    entry.document["reason"] = file.reason
    return entry


def record(document: Mapping[str, Any], header: Header) -> Record:
    """The record in a document's source.

    Raises:
        StoreCorrupt: it holds what none of ours does.
    """
    ids = header.classes.ids if header.classes is not None else ()
    try:
        thumbnail = document.get("thumbnail")
        return Record(
            document["id"],
            document["source"],
            document["size"],
            document["mtime_ns"],
            bytes.fromhex(document["digest"]),
            document["width"],
            document["height"],
            {layout.decoded(field): value for field, value in document["metadata"].items()},
            tuple((ids[number], score / UNIT) for number, score in document["scores"]),
            None if thumbnail is None else b64decode(thumbnail),
            document.get("decoder", 0),
            document.get("format", ""),
            _own_fields(document),
        )
    except (KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
        raise StoreCorrupt(
            f"the gallery's document of {document.get('id')!r} can't be read ({error!r}); delete it, and "
            "index again"
        ) from error


def _position(metadata: Mapping[str, Any]) -> dict[str, Any] | None:
    """Where a picture was taken, for filters; None where it does not say."""
    latitude, longitude = metadata.get("latitude"), metadata.get("longitude")
    if not positions.is_position(latitude, longitude):
        return None
    return {"lat": latitude, "lon": longitude}


def _own_fields(document: Mapping[str, Any]) -> frozenset[str]:
    """The fields whose values are the picture's; format 1 had but one such field."""
    names: frozenset[str] = frozenset(document.get("from_picture", _FIRST_FIELDS))
    return names.intersection(document["metadata"])


def state(id_: str, fields: Mapping[str, Sequence[Any]]) -> State:
    """The state of a path, from the doc values of its document."""
    try:
        return State(id_, fields["status"][0], fields["source"][0], fields["size"][0], fields["mtime_ns"][0])
    except (KeyError, IndexError) as error:
        raise StoreCorrupt(
            f"the gallery's document of {id_!r} lacks {error}; delete it, and index again"
        ) from error


def vector(hit: Mapping[str, Any], dim: int) -> list[float] | None:
    """The vector among a hit's doc values; zeros where it has none and needs none; None where it is lost."""
    fields = hit.get("fields", {})
    if "vector" in fields:
        numbers: list[float] = fields["vector"][0]
        return numbers if len(numbers) == dim else None
    return [0.0] * dim if fields.get("zero") == [True] else None


def points(fields: Mapping[str, Sequence[int]]) -> dict[int, int]:
    """Millionths by the number of the class, from a hit's doc values."""
    mask = (1 << _CLASS_BITS) - 1
    return {point & mask: point >> _CLASS_BITS for point in fields.get("points", ())}


def folders_of(id_: str) -> list[str]:
    """Every folder above an id: `.` is the root of relative ids, `/` that of the absolute ones."""
    places = [place for place, letter in enumerate(id_) if letter == "/"]
    above = [id_[:place] or "/" for place in places]
    return above if id_.startswith("/") else [".", *above]


def bucket(id_: str) -> int:
    """A number from 0 up to `BUCKETS`, even over all ids."""
    return int.from_bytes(hashlib.blake2b(id_.encode(), digest_size=2).digest())


def fault(record: Record) -> str | None:
    """Why a record can't be kept in this store, though it could be in another."""
    id_ = record.id
    if len(id_.encode()) > LONGEST_ID:
        return f"its id has more than {LONGEST_ID:,} bytes, which Elasticsearch can't keep"
    if id_.count("/") > MOST_FOLDERS:
        return f"its id has more than {MOST_FOLDERS:,} folders"
    return None
