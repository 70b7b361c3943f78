"""The shapes that cross floors: plain data and the two protocols others plug into.

Nothing here computes. numpy and Pillow are imported for typing only, so that importing this
module costs nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol, TypeAlias

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    import numpy as np
    from numpy.typing import NDArray
    from PIL.Image import Image

    Floats: TypeAlias = NDArray[np.float32]

Metric: TypeAlias = Literal["cosine", "euclidean", "inner"]
"""The metrics every store knows; where one stands as `str`, scikit-learn's others are meant, too."""

Precision: TypeAlias = Literal["f32", "bf16"]
RowType: TypeAlias = Literal["float16", "float32"]
Value: TypeAlias = str | int | float
Operator: TypeAlias = Literal["=", "!=", "<", "<=", ">", ">=", "~"]


BUILT_IN_FIELDS: dict[str, str] = {
    "folder": "text",
    "name": "text",
    "width": "integer",
    "height": "integer",
}
"""The fields that every picture has by itself, with their types."""

PICTURE_FIELDS: Mapping[str, str] = dict.fromkeys(("taken", "camera", "lens"), "text") | dict.fromkeys(
    ("latitude", "longitude"), "real"
)
"""The fields that a picture itself may fill, with their types; the user's own of the same name come first."""

PRIVATE_FIELDS = frozenset({"latitude", "longitude"})
"""The fields that nobody but the user is shown, in no page and over no network, unless they are asked for."""


class Tag(NamedTuple):
    """A class the network sees in a picture.

    id: the class's own id (a WordNet id such as `n02123045`), unique where names are not.
    name: its name for people.
    score: its probability, 0 to 1.
    """

    id: str
    name: str
    score: float


@dataclass(frozen=True)
class Classes:
    """The classes of a model's scores, in the order of its output.

    ids: unique ids, one a class.
    names: names for people; two classes may share one (`crane`, `maillot`).
    vocabulary: which table knows more words for them: `imagenet` (WordNet's), or `names`.
    """

    ids: tuple[str, ...]
    names: tuple[str, ...]
    vocabulary: Literal["imagenet", "names"] = "names"

    @cached_property
    def by_id(self) -> dict[str, str]:
        """The names by their ids."""
        return dict(zip(self.ids, self.names, strict=True))


@dataclass(frozen=True, slots=True)
class Extraction:
    """What one pass of a network gives.

    vectors: ndarray of shape (n, dim), float32.
    scores: ndarray of shape (n, classes), float32 probabilities; None where there are no classes.
    """

    vectors: Floats
    scores: Floats | None = None


class Extractor(Protocol):
    """A model cut at one layer: picture in, vector out. Thread-safe once built.

    name: what the user types to get it: model, layer and options; `load(name)` builds it again.
    digest: hexadecimal digest of everything that decides its numbers (weights, preparation,
        steps), but for the precision.
    dim: numbers in a vector.
    precision: the arithmetic the network runs in.
    normalized: whether every vector has unit length (or is all zeros).
    metric: the metric its card recommends.
    classes: the classes of its scores, if it has any.
    visual_words: whether the vector is the class scores themselves.
    size: (width, height) in pixels the network looks at: a JPEG need not be decoded larger; None where
        the picture itself is wanted.
    parallel: how many threads should call `extract` at once to use the machine.
    """

    name: str
    digest: str
    dim: int
    precision: Precision
    normalized: bool
    metric: str
    classes: Classes | None
    visual_words: bool
    size: tuple[int, int] | None
    parallel: int

    def prepare(self, image: Image) -> NDArray[np.generic]:
        """One RGB picture as the network's input, without the batch axis; runs on a loader thread."""

    def extract(self, batch: Sequence[NDArray[np.generic]]) -> Extraction:
        """Vectors, and class scores where there are classes, of prepared pictures."""


class Found(NamedTuple):
    """A picture that a source has found.

    id: the id it is to have.
    size, mtime_ns: in bytes and nanoseconds since 1970, or any two whole numbers of 64 bits that change when
        the picture does.
    fault: why it can't be read; "" if it can.
    """

    id: str
    size: int
    mtime_ns: int
    fault: str = ""


@dataclass(slots=True)
class Survey:
    """What a source has seen besides its pictures; whole once it was iterated.

    unlisted: prefixes of the folders that could not be listed, each with the reason.
    devices: device numbers (0 where there are none) of what can vanish as a whole, by prefix.
    files: how many pictures were found below each of these, and below no other of them inside it.
    aside: prefixes of the folders that were not entered because other programs keep them.
    galleries: paths of the folders that hold galleries of their own.
    """

    unlisted: dict[str, str] = field(default_factory=dict)
    devices: dict[str, int] = field(default_factory=dict)
    files: Counter[str] = field(default_factory=Counter)
    aside: list[str] = field(default_factory=list)
    galleries: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Record:
    """One picture of a gallery, without its vector.

    id: unique; a path relative to the gallery's root with `/`, an absolute path for a file
        outside of it, an address, or a name of the user's own.
    source: the name of the source it came from: `walk` (a folder), `file` (named one by one), `url`, `array`,
        `cifar`, or that of another package's.
    size, mtime_ns: of the file when it was read; 0 for pictures that are not files.
        A size of -1 is one that the file system did not tell.
    digest: of the file's bytes, 16 bytes.
    width, height: in pixels, after EXIF orientation.
    metadata: what the picture says of itself (`PICTURE_FIELDS`), and the user's own fields.
    scores: the highest class scores as (class id, probability), largest first.
    thumbnail: a small JPEG, kept for pictures that are not files.
    decoder: the version of the decoder that read it (`lookalike.images.DECODER`); 0 where that is not known.
    format: of the file, `JPEG`, `PNG` and so on; "" where that is not known.
    from_picture: the fields of the metadata whose values are the picture's, and not the user's.
    """

    id: str
    source: str
    size: int
    mtime_ns: int
    digest: bytes
    width: int
    height: int
    metadata: Mapping[str, Value] = field(default_factory=dict)
    scores: Sequence[tuple[str, float]] = ()
    thumbnail: bytes | None = None
    decoder: int = 0
    format: str = ""
    from_picture: frozenset[str] = frozenset()


class State(NamedTuple):
    """What a store remembers of one path; `states` gives them sorted by id.

    status: `picture`, `skipped` (could not be read) or `removed` (taken out, to stay out).
    """

    id: str
    status: Literal["picture", "skipped", "removed"]
    source: str
    size: int
    mtime_ns: int


@dataclass(frozen=True, slots=True)
class Skipped:
    """A file that could not be indexed: its id, size and mtime when tried, and why."""

    id: str
    size: int
    mtime_ns: int
    reason: str


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder that was indexed: an entry for every root, and for every mount point below one.

    prefix: what the ids of its files begin with: "" for the root, else ending in "/".
    device: the number of the device it was on (`st_dev`).
    """

    prefix: str
    device: int


class Condition(NamedTuple):
    """One test of a filter; the picture passes if the field compares so with any of the values."""

    field: str
    operator: Operator
    values: tuple[Value, ...]


Where: TypeAlias = Sequence[Condition]
"""A filter, as `lookalike.stores.where.parse` gives it: a picture passes if it passes every condition."""


class Term(NamedTuple):
    """One thing to find: the text to look for, and the ids of the classes it names."""

    text: str
    classes: frozenset[str]


class Match(NamedTuple):
    """One answer of `find`: its id, its score, and the two parts the score was made of."""

    id: str
    score: float
    classes: float
    text: float


@dataclass(frozen=True, slots=True)
class Neighbours:
    """The answer to one query: ids, best first, and scores, ndarray of shape (k,), larger is closer."""

    ids: list[str]
    scores: Floats


@dataclass(frozen=True, slots=True)
class Batch:
    """Some records, with their vectors as an ndarray of shape (n, dim), float32."""

    records: list[Record]
    vectors: Floats


@dataclass(frozen=True, slots=True)
class Space:
    """What the vectors of a gallery are: which extractor made them, and how they are compared and kept.

    extractor: name of the extractor; `load(name)` builds it again.
    digest: its digest, which decides what the numbers mean; "" where no extractor made them.
    dim: numbers in a vector.
    metric: how two vectors are compared.
    precision: the arithmetic the network ran in.
    normalized: whether every vector has unit length (or is all zeros).
    row_type: the type of the stored numbers.
    visual_words: whether the vectors are the class scores themselves.
    """

    extractor: str
    digest: str
    dim: int
    metric: str
    precision: Precision
    normalized: bool
    row_type: RowType
    visual_words: bool = False

    def comparable(self, other: Space) -> bool:
        """Return whether vectors of the other space mean the same as vectors of this one.

        Precision and row type may differ: they change the last digits alone.
        """
        return _meaning(self) == _meaning(other)


def _meaning(space: Space) -> tuple[str, str, int, str, bool]:
    return space.extractor, space.digest, space.dim, space.metric, space.normalized


@dataclass(frozen=True, slots=True)
class Header:
    """What a gallery says of itself.

    space: what its vectors are.
    root: absolute path of the folder its ids are relative to, or "" where that is the folder
        that holds `.lookalike`.
    classes: of the class scores, if it has any.
    format: the version of the layout on disk; 0 before there is one.
    """

    space: Space
    root: str
    classes: Classes | None = None
    format: int = field(default=0, compare=False)

    def with_space(self, **changes: Any) -> Header:
        """Return this header with some entries of its space changed."""
        return replace(self, space=replace(self.space, **changes))


@dataclass(frozen=True, slots=True)
class Limits:
    """What a store can do, asked before work begins.

    k, dim: the largest it takes; None where there is no limit.
    metrics: those it knows; None where it knows all of `lookalike.indexes.distances`.
    writers: how many processes may write at once; None where there is no limit.
    """

    k: int | None
    dim: int | None
    metrics: frozenset[str] | None
    writers: int | None = 1


class Store(Protocol):
    """Where a gallery lives. What is written is found at once; ids are unique; write replaces.

    Reading is safe from several threads. Writing happens inside `writing()`; how many processes may write at
    once is among the `limits`.
    """

    @property
    def header(self) -> Header:
        """What the gallery says of itself."""

    @property
    def limits(self) -> Limits:
        """What this store can do."""

    @property
    def address(self) -> str:
        """Where it is, as the user would type it."""

    @property
    def token(self) -> str:
        """The gallery's identity: a text that no other one has, and that outlives a `replacement`."""

    @property
    def indexed_ns(self) -> int:
        """When the last complete indexing ended, in nanoseconds since 1970; 0 if that is not known."""

    def note_indexed(self, time_ns: int) -> None:
        """Remember when an indexing ended."""

    def writing(self) -> AbstractContextManager[None]:
        """Hold the right to write. Raises `StoreBusy` if another process or gallery holds it."""

    def write(self, records: Sequence[Record], vectors: Floats) -> list[Skipped]:
        """Add or replace pictures, all of them durable when it returns; those refused, by id."""

    def search(self, queries: Floats, k: int, *, where: Where = (), exact: bool = False) -> list[Neighbours]:
        """The k best of the pictures that pass the filter, for each row of queries (q, dim)."""

    def find(
        self, terms: Sequence[Term], k: int, *, where: Where = (), only: str | None = None
    ) -> list[Match]:
        """The k best pictures that satisfy every term, by class scores, by text, or by both."""

    def get(self, ids: Sequence[str]) -> list[Record | None]:
        """Records in the order asked for; None for an id that is not there."""

    def vectors(self, ids: Sequence[str]) -> Floats:
        """Stored vectors in the order asked for (n, dim). Raises `NotFound` for an unknown id."""

    def scan(self, *, where: Where = (), batch: int = 1024) -> Iterator[Batch]:
        """Every picture with its vector, in the order of ids."""

    def states(self) -> Iterator[State]:
        """Every path the store remembers, sorted by id in the order of code points."""

    def by_digest(self, digests: Sequence[bytes]) -> dict[bytes, list[str]]:
        """The ids of the pictures whose file has one of these digests."""

    def touch(self, states: Sequence[State]) -> None:
        """Set size and mtime of pictures whose bytes did not change, and their source."""

    def update(self, metadata: Mapping[str, Mapping[str, Value]]) -> int:
        """Merge metadata of the user's into the pictures of these ids; how many of them there were."""

    def skip(self, files: Sequence[Skipped]) -> None:
        """Remember files that could not be indexed, in place of what was known of them."""

    def skipped(self) -> list[Skipped]:
        """The files remembered as not indexed, sorted by id."""

    def forget(self, ids: Sequence[str]) -> None:
        """Forget that these paths were skipped or removed."""

    def delete(self, ids: Sequence[str], *, keep_out: bool = False) -> int:
        """Delete pictures; how many there were.

        With keep_out the ids are remembered as `removed`, those that are unknown, too.
        """

    def outdated(self, decoder: int) -> Iterator[str]:
        """The ids of pictures with a file, which a decoder of a lower version has read, in any order."""

    def note_decoder(self, formats: Mapping[str, str], decoder: int) -> None:
        """Remember the format of pictures' files, by id, and which decoder would read them the same."""

    def removed(self) -> list[str]:
        """The ids taken out to stay out, sorted."""

    def define(self, types: Mapping[str, str]) -> None:
        """Give fields of the metadata their types, unless they have one: `text`, `integer` or `real`."""

    def folders(self) -> list[Folder]:
        """The folders that were indexed, and the mount points below them."""

    def set_folders(self, folders: Sequence[Folder], *, seen: Sequence[Folder] | None = None) -> None:
        """Replace what `folders` gives; of what it gave when it was `seen`, only what differs from that."""

    def fields(self) -> dict[str, str]:
        """The fields a filter can name, with their types: `text`, `integer` or `real`."""

    def values(self, field: str, k: int) -> list[Value]:
        """The k most frequent values of a field, of equally many the smaller first; none if it can't tell."""

    def replacement(self, header: Header) -> AbstractContextManager[Store]:
        """A new store beside this one; it takes this one's place when the block ends well."""

    def count(self) -> int:
        """How many pictures there are."""

    def bytes(self) -> int:
        """What it takes on disk."""

    def check(self, *, repair: bool = False, told: Callable[[str], object] | None = None) -> list[str]:
        """Every fault found, in words; empty when all is well.

        With repair, what can be put right is, `told` is called with a line for each of that, and what is left
        is returned.
        """

    def refresh(self) -> None:
        """Bring the index up to date with everything written, so that searches are fast."""

    def close(self) -> None:
        """Let go of every file and connection."""
