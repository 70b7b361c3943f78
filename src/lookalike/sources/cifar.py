"""CIFAR-10 as it is handed out for Python, read without running anything that a file asks for.

Such a folder holds `data_batch_1` to `data_batch_5`, `test_batch` and `batches.meta`, some of which may
be missing. Each is a pickle: a batch that of an array (n, 3072), uint8, with the red, the green and the
blue plane of every picture, and of n numbers of classes. A pickle is a program, and may come from a
stranger; of its instructions only those are allowed that build numbers, texts, lists and dicts, and
what numpy would be called for is taken apart here.
"""

from __future__ import annotations

import io
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias

from lookalike.errors import UsageError
from lookalike.system.files import stamp

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterator

    import numpy as np
    from numpy.typing import NDArray

    Part: TypeAlias = Literal["train", "test"]

SIDE = 32
"""Pixels of a picture, across and down."""

NAMES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
"""The classes of CIFAR-10, where the folder does not name them."""

_TRAIN = tuple(f"data_batch_{number}" for number in range(1, 6))
_TEST = "test_batch"
_META = "batches.meta"

FILES = (*_TRAIN, _TEST, _META)
"""The names of the files that are looked at in a folder."""

_MOST_PICTURES = 20_000  # in a batch, twice what they have: five digits are enough for the five of them
_LARGEST = 80 << 20  # bytes of a batch: so many pictures, and their names
_MOST_CLASSES = 256
_MOST_OPCODES = 1 << 18  # a batch of 10,000 has 30,000
_BEGINNING = b"\x80"  # of a pickle of protocol 2 or above

# Besides what Python 2 wrote into the real files, what Python 3 writes for the same content.
_OPCODES = frozenset(
    {
        *("PROTO", "STOP", "MARK", "NONE", "NEWTRUE", "NEWFALSE", "BININT", "BININT1", "BININT2", "LONG1"),
        *("SHORT_BINSTRING", "BINSTRING", "BINUNICODE", "EMPTY_TUPLE", "TUPLE", "TUPLE1", "TUPLE2", "TUPLE3"),
        *("EMPTY_LIST", "APPEND", "APPENDS", "EMPTY_DICT", "SETITEM", "SETITEMS"),
        *("BINPUT", "LONG_BINPUT", "BINGET", "LONG_BINGET", "GLOBAL", "REDUCE", "BUILD"),
    }
)


class Picture(NamedTuple):
    """One picture: its id, its pixels as an ndarray of shape (32, 32, 3), uint8, and its class's name."""

    id: str
    pixels: NDArray[np.uint8]
    label: str


class Batch(NamedTuple):
    """One file of a folder.

    path: of the file; size, mtime_ns: as they were when it was read.
    part: what its pictures are for.
    first: the number of its first picture in that part.
    labels: of each picture the number of its class.
    """

    path: Path
    size: int
    mtime_ns: int
    part: Part
    first: int
    labels: bytes

    def ids(self) -> list[str]:
        """The ids of its pictures: `train/00000`."""
        return [f"{self.part}/{self.first + row:05}" for row in range(len(self.labels))]

    def pixels(self) -> NDArray[np.uint8]:
        """Its pictures, ndarray of shape (n, 32, 32, 3).

        Raises:
            UsageError: it is not the file any more that it was.
        """
        import numpy as np

        with _explaining(self.path):
            labels, content = _load(self.path, _MOST_CLASSES)
        if labels != self.labels:
            raise UsageError(f"{self.path} was changed while it was read; run the same again")
        planes = np.frombuffer(content, np.uint8).reshape(len(labels), 3, SIDE, SIDE)
        return np.ascontiguousarray(planes.transpose(0, 2, 3, 1))


def is_cifar(folder: str | os.PathLike[str]) -> bool:
    """Whether a folder holds one of CIFAR-10's batches."""
    return any(_begins_as_pickle(Path(folder, name)) for name in (*_TRAIN, _TEST))


def labels(folder: str | os.PathLike[str]) -> tuple[str, ...]:
    """The names of the classes, in the order of their numbers.

    Raises:
        UsageError: `batches.meta` is there, and is not what it should be.
    """
    meta = Path(folder, _META)
    if not meta.is_file():
        return NAMES
    with _explaining(meta):
        content = _unpickled(_read(meta))
        names = tuple(map(_text, _field(content, "label_names")))
        _expect(0 < len(set(names)) == len(names) <= _MOST_CLASSES, "its classes have no names of their own")
        return names


def batches(folder: str | os.PathLike[str]) -> list[Batch]:
    """The batches a folder has, the numbered ones first; one at a time is in memory.

    Raises:
        UsageError: one of them can't be read, or is not what it should be.
    """
    classes = len(labels(folder))
    found: list[Batch] = []
    for name in (*_TRAIN, _TEST):
        path = Path(folder, name)
        if not path.is_file():
            continue
        part: Part = "test" if name == _TEST else "train"
        first = sum(len(batch.labels) for batch in found if batch.part == part)
        with _explaining(path):
            status = path.stat()
            own, _ = _load(path, classes)
            found.append(Batch(path, *stamp(status), part, first, own))
    return found


def read(folder: str | os.PathLike[str]) -> Iterator[Picture]:
    """Every picture of a folder, `train/00000` and on, then `test/00000` and on; a batch is in memory.

    Raises:
        UsageError: a batch can't be read, or is not what it should be.
    """
    names = labels(folder)
    for batch in batches(folder):
        for id_, pixels, label in zip(batch.ids(), batch.pixels(), batch.labels, strict=True):
            yield Picture(id_, pixels, names[label])


def _begins_as_pickle(path: Path) -> bool:
    with suppress(OSError):
        if path.is_file():  # a named pipe would be waited for
            with path.open("rb") as file:
                return file.read(1) == _BEGINNING
    return False


def _load(path: Path, classes: int) -> tuple[bytes, bytes]:
    """The labels of a batch, and its pictures, each a plane a colour."""
    content = _unpickled(_read(path))
    numbers = _field(content, "labels")
    _expect(isinstance(numbers, list) and 0 < len(numbers) <= _MOST_PICTURES, "it has no list of labels")
    _expect(all(type(number) is int for number in numbers), "a label is no whole number")
    wrong = next((number for number in numbers if not 0 <= number < classes), None)
    _expect(wrong is None, f"it has the label {wrong}, and there are {classes} classes from 0 on")
    return bytes(numbers), _bytes_of(_field(content, "data"), (len(numbers), 3 * SIDE * SIDE))


def _bytes_of(array: Any, expected: tuple[int, int]) -> bytes:
    """What an array of this shape holds."""
    whole = isinstance(array, _Array) and isinstance(array.state, tuple) and len(array.state) == 5
    _expect(whole, "its data is no array")
    _, shape, dtype, by_column, content = array.state
    _expect(shape == expected, f"its data has the shape {shape!r:.40}; expected {expected}, a row a label")
    kind = getattr(dtype, "arguments", (None,))[0]
    _expect(kind in {"u1", b"u1"} and by_column is False, f"its data is {kind!r:.40}, not u1 row by row")
    whole = isinstance(content, bytes) and len(content) == expected[0] * expected[1]
    _expect(whole, "its data has not as many bytes as it says")
    return bytes(content)


def _field(content: Any, name: str) -> Any:
    """A field by its name, which Python 2 wrote as bytes."""
    _expect(isinstance(content, dict), "it holds no dict")
    value = content.get(name.encode(), content.get(name))
    _expect(value is not None, f"it has no {name!r}")
    return value


def _text(value: object) -> str:
    text = value.decode() if isinstance(value, bytes) else value
    _expect(isinstance(text, str) and bool(text), f"{value!r:.40} is no name")
    return str(text)


def _read(path: Path) -> bytes:
    with path.open("rb") as file:
        content = file.read(_LARGEST + 1)
    _expect(len(content) <= _LARGEST, f"it is larger than {_LARGEST >> 20} MB")
    return content


def _unpickled(content: bytes) -> Any:
    import pickle
    import pickletools

    for count, (opcode, argument, _) in enumerate(pickletools.genops(content)):
        if opcode.name not in _OPCODES:
            raise ValueError(f"it has the instruction {opcode.name}")
        # The place of a value among those to be taken up again, for as many of which there would be room.
        far = "PUT" in opcode.name and int(argument or 0) >= _MOST_OPCODES
        if far or count >= _MOST_OPCODES:
            raise ValueError("it asks for more than a batch needs")
    left = len(content)

    class Restricted(pickle.Unpickler):
        """Takes numpy's arrays for what they are, a tuple; every other name is refused."""

        def find_class(self, module: str, name: str) -> Any:
            return _known(module, name, self._encode)

        def _encode(self, text: str, coding: str) -> bytes:
            """What Python 3 asks for to say bytes; each is a part of the file, and so are they all."""
            nonlocal left
            left -= len(text)
            _expect(left >= 0 and coding == "latin1", "it asks for more text than there is")
            return text.encode("latin-1")

    return Restricted(io.BytesIO(content), encoding="bytes").load()


def _known(module: str, name: str, encode: Callable[[str, str], bytes]) -> Any:
    match module, name:
        case (("numpy.core.multiarray" | "numpy._core.multiarray"), "_reconstruct"):
            return _Array
        case "numpy", "ndarray":
            return name  # the kind of array: only a name to us
        case "numpy", "dtype":
            return _Dtype
        case "_codecs", "encode":
            return encode
    raise ValueError(f"it asks for {module}.{name}, which a batch has no use for")


class _Array:
    """What a pickle says of an array: version, shape, dtype, whether by column, content."""

    __slots__ = ("state",)

    def __init__(self, *_: object) -> None:
        self.state: tuple[Any, ...] = ()

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.state = state


class _Dtype:
    """What a pickle says of the kind of an array's numbers."""

    __slots__ = ("arguments",)

    def __init__(self, *arguments: object) -> None:
        self.arguments = arguments

    def __setstate__(self, _: object) -> None:
        """The order of bytes, of which each number has one."""


@contextmanager
def _explaining(path: Path) -> Iterator[None]:
    """Make of whatever a broken file leads to an error that says which file it is."""
    try:
        yield
    except Exception as error:  # a damaged pickle raises nearly anything
        raise UsageError(
            f"{path} can't be read as CIFAR-10 has it: {str(error) or type(error).__name__}; unpack it again"
        ) from error


def _expect(condition: bool, message: str) -> None:  # noqa: FBT001 - reads as the sentence it is
    if not condition:
        raise ValueError(message)
