"""The fields of a gallery's index: its header in the mapping, and records as documents and back.

Every document has an `id` and a `status`: `picture`, `skipped`, `removed`, or `system` for what the
gallery remembers of itself. Kept in `_source` is what makes a record; everything else is made
from that for searching, and left out of `_source`, vectors above all, which are read back from their
doc values. Therefore a document is only ever written whole: a partial update would lose the rest.

    folders, name          of the id: every folder above it, and its last part, for filters
    bucket                 16 bits of a hash of the id: a share of the pictures, for exact search
    vector, zero           the vector; under the cosine a vector of zeros has none, but is told by `zero`
    points                 class scores, millionths × 2¹⁶ + number of the class: exact
    position               where it was taken, of the metadata, for distances
    classes                the same as weights of the tokens `c<number>`, good to .4 %, to rank by
    stems.path, stems.text words of the id and of the metadata, as the embedded store has them
    words.path, words.text, words.tags
                           the words themselves and the names of the classes, for people's own searches
    metadata.*             the user's fields, by encoded names, typed by their first value

Stems are words as FTS5 sees them. SQLite itself makes them, in a table in memory that is emptied at once:
no store can be apart from the embedded one by a rule of its own for case, accents or endings.
"""

from __future__ import annotations

import hashlib
from base64 import b64decode, b64encode
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, NamedTuple, get_args
from urllib.parse import quote, unquote

from lookalike.errors import StoreCorrupt, UsageError
from lookalike.stores import where, words
from lookalike.stores.records import UNIT, class_numbers, name, source_name
from lookalike.stores.sqlite import library
from lookalike.system import forks
from lookalike.types import Classes, Header, Limits, Precision, Record, RowType, Skipped, Space, State

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lookalike.stores.elasticsearch.address import Address
    from lookalike.types import Floats

    Document = dict[str, Any]

FORMAT = 2
MARK = "lookalike"
"""The key of our part of a mapping's `_meta`: an index without it is somebody else's."""

LIMITS = Limits(k=10_000, dim=4096, metrics=frozenset({"cosine", "euclidean", "inner"}), writers=None)

_DERIVED = ("folders", "name", "bucket", "vector", "zero", "points", "classes", "stems", "words", "position")

_SIMILARITIES = {"cosine": "cosine", "euclidean": "l2_norm", "inner": "max_inner_product"}
_LEAST_QUANTISED = 64
_MOST_CLASSES = 1 << 16
MOST_FIELDS = 5_000
_LONGEST_TEXT = 8_191  # characters; 32,764 bytes at most, and a term has 32,766

_SINCE_2: dict[str, Any] = {
    "position": {"type": "geo_point"},
    "decoder": {"type": "integer"},
    "format": {"type": "keyword"},
    "from_picture": {"type": "keyword"},
}
ADDED: dict[int, dict[str, Any]] = {2: _SINCE_2}
"""The fields that each format added; where they are missing, they are 0 and empty."""

TYPES = {"text": "keyword", "integer": "long", "real": "double"}
_TYPES_BACK = {kind: type_ for type_, kind in TYPES.items()}


def check(header: Header) -> None:
    """Raise `UsageError` for vectors or classes that can't be kept here."""
    if header.space.metric not in (LIMITS.metrics or ()):
        raise UsageError(
            f"Elasticsearch can't compare vectors by {header.space.metric}; expected one of "
            f"{', '.join(sorted(LIMITS.metrics or ()))}, or a gallery in a folder"
        )
    if not 0 < header.space.dim <= (LIMITS.dim or 0):
        raise UsageError(
            f"Elasticsearch can't keep vectors of {header.space.dim:,} numbers, at most {LIMITS.dim:,}; use "
            "another layer or model, or a gallery in a folder"
        )
    ids = header.classes.ids if header.classes is not None else ()
    if len(ids) > _MOST_CLASSES or len(set(ids)) < len(ids):
        raise UsageError(f"a gallery has at most {_MOST_CLASSES:,} classes, each with an id of its own")


def index_type(header: Header, wanted: str | None) -> str:
    """How vectors are indexed: as wanted, or by default.

    Raises:
        UsageError: what is wanted can't hold such vectors.
    """
    if wanted == "bbq_hnsw" and header.space.dim < _LEAST_QUANTISED:
        raise UsageError(
            f"index_type=bbq_hnsw needs vectors of {_LEAST_QUANTISED} numbers or more, not {header.space.dim}"
        )
    if wanted is not None:
        return wanted
    if header.space.visual_words and header.space.metric == "inner":
        # Every score has to be the paper's own, and products are no distances a graph could follow.
        return "flat"
    return "hnsw" if header.space.dim < _LEAST_QUANTISED else "int8_hnsw"


def settings(options: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of an index; a copy of each shard where there is a second node, unless told otherwise."""
    copies = options.get("replicas")
    return {
        "number_of_shards": options.get("shards") or 1,
        **({"auto_expand_replicas": "0-1"} if copies is None else {"number_of_replicas": copies}),
        "mapping.total_fields.limit": MOST_FIELDS + 50,
    }


def options_of(address: Address) -> dict[str, Any]:
    """What the address says of a new index."""
    given = {name: getattr(address, name) for name in ("shards", "replicas", "index_type")}
    return {name: value for name, value in given.items() if value is not None}


def mapping(
    header: Header, options: Mapping[str, Any], types: Mapping[str, str], token: str
) -> dict[str, Any]:
    """The mapping of a new index.

    Args:
        header: of the gallery.
        options: shards, replicas, index_type, as far as they were chosen.
        types: of the user's fields.
        token: the identity of the gallery.
    """
    unsearched: dict[str, Any] = {"type": "keyword", "index": False, "doc_values": False}
    text = {"type": "text", "norms": False}
    stems = {"type": "text", "analyzer": "whitespace", "norms": False, "index_options": "positions"}
    return {
        "dynamic": "strict",
        "_meta": {MARK: _meta(header, options) | {"token": token}},
        "_source": {"excludes": list(_DERIVED)},
        "properties": {
            "id": {"type": "keyword"},
            "status": {"type": "keyword"},
            "source": {"type": "keyword"},
            "size": {"type": "long"},
            "mtime_ns": {"type": "long"},
            "digest": {"type": "keyword"},
            "width": {"type": "long"},
            "height": {"type": "long"},
            "scores": {"type": "object", "enabled": False},
            "thumbnail": {"type": "binary"},
            **added_after(0),
            "reason": unsearched,
            "content": {"type": "object", "enabled": False},
            "folders": {"type": "keyword", "doc_values": False},
            "name": {"type": "keyword", "doc_values": False},
            "bucket": {"type": "integer", "doc_values": False},
            "zero": {"type": "boolean"},
            "points": {"type": "long", "index": False},
            "classes": {"type": "sparse_vector"},
            "stems": {"properties": {"path": stems, "text": stems}},
            "words": {"properties": {"path": text, "text": text, "tags": text}},
            "vector": {
                "type": "dense_vector",
                "dims": header.space.dim,
                "index": True,
                "similarity": _SIMILARITIES[header.space.metric],
                "index_options": {"type": index_type(header, options.get("index_type"))},
            },
            "metadata": {"type": "object", "dynamic": "strict", "properties": field_mappings(types)},
        },
    }


def up_to_date(mappings: Mapping[str, Any], token: str) -> dict[str, Any]:
    """Return what is to be put into the mapping of an older index, which must be ours.

    Args:
        mappings: of the index, with its `_meta`.
        token: the identity that it gets.
    """
    meta = dict(mappings["_meta"])
    meta[MARK] = {**meta[MARK], "format": FORMAT, "token": token}
    return {"_meta": meta, "properties": added_after(mappings["_meta"][MARK]["format"])}


def added_after(format_: int) -> dict[str, Any]:
    """Return the fields that formats later than one added, with their mappings."""
    later = [fields for number, fields in ADDED.items() if number > format_]
    return {name: about for fields in later for name, about in fields.items()}


def field_mappings(types: Mapping[str, str]) -> dict[str, Any]:
    """The mappings of the user's fields."""
    kinds: dict[str, dict[str, Any]] = {
        "text": {"type": "keyword", "ignore_above": _LONGEST_TEXT},
        "integer": {"type": "long"},
        "real": {"type": "double"},
    }
    return {encoded(name): kinds[type_] for name, type_ in types.items()}


def field_types(mappings: Mapping[str, Any]) -> dict[str, str]:
    """The types of the user's fields by name, from the properties of `metadata`; "" for foreign ones."""
    found = {decoded(name): _TYPES_BACK.get(str(kind.get("type")), "") for name, kind in mappings.items()}
    return dict(sorted(found.items()))


def encoded(field: str) -> str:
    """A field's name as Elasticsearch takes it: no dots, which would nest, never empty, no wildcards."""
    return quote(field, safe="").replace(".", "%2E") or "%"


def decoded(name: str) -> str:
    """What `encoded` was given."""
    return "" if name == "%" else unquote(name)


def _meta(header: Header, options: Mapping[str, Any]) -> dict[str, Any]:
    about = {"root": header.root, "classes": header.classes and asdict(header.classes)}
    return {**asdict(header.space), **about, "format": FORMAT, "options": dict(options)}


def is_ours(mappings: Mapping[str, Any]) -> bool:
    """Whether an index of these mappings was made by lookalike."""
    return isinstance(mappings.get("_meta", {}).get(MARK), dict)


def read_header(mappings: Mapping[str, Any], address: str) -> tuple[Header, dict[str, Any], str]:
    """The header in an index's mappings, which anybody may have written, its options and its token.

    An index of format 1 has no token.

    Raises:
        StoreCorrupt: it is no gallery of ours, of a later format, or can't be read.
    """
    if not is_ours(mappings):
        raise StoreCorrupt(
            f"{address} is an index, but no gallery of lookalike; nothing in it was used: take another name"
        )
    content: dict[str, Any] = dict(mappings["_meta"][MARK])
    if content.get("format") not in range(1, FORMAT + 1):
        raise StoreCorrupt(
            f"{address} has format {content.get('format')}, this lookalike reads formats up to {FORMAT}: "
            "install a later version, or index again"
        )
    try:
        options = dict(content.pop("options"))
        classes = content.pop("classes")
        content.pop("header_format", None)  # of format 1
        token = content.pop("token", "")
        if classes is not None:
            classes = Classes(tuple(classes["ids"]), tuple(classes["names"]), classes["vocabulary"])
        root, version = content.pop("root"), content.pop("format")
        header = Header(Space(**content), root, classes, version)
        check(header)
        sound = _sound(header) and isinstance(token, str)
    except (TypeError, ValueError, KeyError, UsageError):
        sound = False
    if not sound:
        raise StoreCorrupt(f"the header of {address} can't be read; index again")
    return header, options, token


def _sound(header: Header) -> bool:
    space = header.space
    return (
        all(isinstance(text, str) for text in (space.extractor, space.digest, space.metric, header.root))
        and type(space.dim) is int
        and type(space.normalized) is bool
        and type(space.visual_words) is bool
        and space.precision in get_args(Precision)
        and space.row_type in get_args(RowType)
    )


_TABLES = f"""
CREATE VIRTUAL TABLE texts USING fts5 (words, tokenize = '{words.TOKENIZER}', detail = full);
CREATE VIRTUAL TABLE stems USING fts5vocab (texts, instance);
"""


class Stemmer:
    """Turns texts into stems; several threads may share one."""

    def __init__(self) -> None:
        library.load()
        import sqlite3  # bound to the SQLite it was built for

        self._mutex = forks.lock()
        self._connection = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
        self._connection.executescript(_TABLES)

    def stems(self, texts: Sequence[str]) -> list[str]:
        """The stems of each text in their order, with a blank between them."""
        found: list[list[tuple[int, str]]] = [[] for _ in texts]
        with self._mutex:
            self._connection.execute("BEGIN")
            try:
                rows = ((row, text) for row, text in enumerate(texts) if text)
                self._connection.executemany("INSERT INTO texts (rowid, words) VALUES (?, ?)", rows)
                for row, place, stem in self._connection.execute("SELECT doc, offset, term FROM stems"):
                    found[row].append((place, stem))
            finally:
                self._connection.execute("ROLLBACK")
        return [" ".join(stem for _, stem in sorted(places)) for places in found]

    def phrase(self, text: str) -> str | None:
        """A user's words as stems; None where there is no word in them."""
        return self.stems([" ".join(words.split(text))])[0] or None

    def close(self) -> None:
        """Let go of the table."""
        self._connection.close()


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
            "metadata": {encoded(field): value for field, value in record.metadata.items()},
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
            source_name(document["source"], document["size"]),
            document["size"],
            document["mtime_ns"],
            bytes.fromhex(document["digest"]),
            document["width"],
            document["height"],
            {decoded(field): value for field, value in document["metadata"].items()},
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
    if not where.is_position(latitude, longitude):
        return None
    return {"lat": latitude, "lon": longitude}


def _own_fields(document: Mapping[str, Any]) -> frozenset[str]:
    """The fields whose values are the picture's; format 1 had but one such field."""
    names: frozenset[str] = frozenset(document.get("from_picture", _FIRST_FIELDS))
    return names.intersection(document["metadata"])


def state(id_: str, fields: Mapping[str, Sequence[Any]]) -> State:
    """The state of a path, from the doc values of its document."""
    try:
        size = fields["size"][0]
        source = source_name(fields["source"][0], size)
        return State(id_, fields["status"][0], source, size, fields["mtime_ns"][0])
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
