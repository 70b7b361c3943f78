"""The fields of a gallery's index, and its header in the mapping.

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
"""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any, get_args
from urllib.parse import quote, unquote

from lookalike.errors import StoreCorrupt, UsageError
from lookalike.types import Classes, Header, Limits, Precision, RowType, Space

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lookalike.stores.elasticsearch.address import Address

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

SINCE_2: dict[str, Any] = {
    "position": {"type": "geo_point"},
    "decoder": {"type": "integer"},
    "format": {"type": "keyword"},
    "from_picture": {"type": "keyword"},
}
"""The fields that an index of format 1 lacks: missing, they are 0 and empty."""

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
            **SINCE_2,
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
    return {"_meta": meta, "properties": SINCE_2}


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
