"""The codes of a gallery on disk: plain arrays behind a small JSON head.

    cache/head.json       what the arrays are; replaced whole, after they are safe on disk
    cache/TOKEN.keys      int64, the row each code belongs to, ascending
    cache/TOKEN.first     the first bytes of the codes, at most 64 a row: what a search reads of all
    cache/TOKEN.rest      the other bytes of the codes
    cache/TOKEN.fine      int8, one a dimension, for estimates
    cache/TOKEN.factors   float32, one a row
    cache/TOKEN.firsts    int64, for each row the position of the first that is equal to it
    cache/TOKEN.digests   uint64, by which equal rows are found
    cache/TOKEN.mean      float32, one a dimension

The arrays only grow, so whoever maps them reads on undisturbed; bytes behind the rows that the
head counts are leftovers of a crash. Nothing here is trusted: what does not fit is as good as
absent, and is built again. A wrong key or code costs recall, never a wrong score.
"""

from __future__ import annotations

import json
import os
import re
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from lookalike.system.directory import Directory
    from lookalike.types import Floats

    Bits = NDArray[np.uint8]

_FORMAT = 4
_HEAD = "head.json"
_MAX_HEAD_BYTES = 4096
_MEASURED = ("spread", "nearest", "farthest")
_MOST_MEASURED = 1e6
_MOST_SQUARE = 1.1
_FARTHEST = 2.1
"""How far a vector of unit length can be from such a mean, at most."""

_CHECKED = 1 << 18
"""Keys and factors that are held to what they can be at once."""

_FIRST_BYTES = 64
FIRST_SIGNS = 8 * _FIRST_BYTES
"""Signs of a code, at most, that a search compares of every row."""

_TOKEN = re.compile(r"[0-9a-f]{16}")
_ARRAYS = "keys|first|rest|fine|factors|firsts|digests|mean"
_OWN = re.compile(rf"{_TOKEN.pattern}\.({_ARRAYS})|{re.escape(_HEAD)}(\.new)?")


def width(dim: int) -> int:
    """Bytes of a code: a multiple of 8, which the scan is fastest on."""
    return -(-dim // 64) * 8


@dataclass(frozen=True, slots=True)
class Head:
    """What a cache holds.

    generation: of the gallery it was built from.
    token: first part of its files' names.
    dim, seed: of the coder.
    rows: codes in the arrays; none where a search by codes would bring nothing.
    last: every row of the gallery up to this one was looked at.
    commits: of the gallery when it was looked at.
    calibrated: rows the gallery had when it was measured what codes tell.
    spread, nearest, farthest: what they tell, as `codes.Bounds` has it; 0 where a search by codes would
        bring nothing.
    """

    generation: str
    token: str
    dim: int
    seed: int
    rows: int
    last: int
    commits: int
    calibrated: int
    spread: float
    nearest: float
    farthest: float
    format: int = _FORMAT

    @property
    def useful(self) -> bool:
        """Whether a search may go by the codes."""
        return self.spread > 0


class Codes(NamedTuple):
    """Codes of n rows.

    keys: ndarray of shape (n,), ascending.
    first, rest: the signs, in two parts of shape (n, ≤ 64) and (n, what is left of width).
    fine: the rounded numbers, int8 as bytes, of shape (n, dim).
    factors: of shape (n,).
    firsts: for each row the position of the first that is equal to it, of shape (n,).
    """

    keys: NDArray[np.int64]
    first: Bits
    rest: Bits
    fine: Bits
    factors: Floats
    firsts: NDArray[np.int64]

    def differing(self, positions: NDArray[np.intp], made: Bits) -> NDArray[np.int64]:
        """In how many signs and numbers some codes differ from those a coder made (m, width + dim): (m,).

        Numbers next to each other don't count: another processor may round to the other side.
        """
        import numpy as np

        signs = self.signs(positions)
        flipped: NDArray[np.int64] = np.unpackbits(signs ^ made[:, : signs.shape[1]], axis=1).sum(
            axis=1, dtype=np.int64
        )
        numbers = (
            part.view(np.int8).astype(np.int16)
            for part in (self.fine.take(positions, 0), made[:, signs.shape[1] :])
        )
        far: NDArray[np.int64] = (np.abs(np.subtract(*numbers)) > 1).sum(axis=1)
        return flipped + far

    def signs(self, positions: NDArray[np.intp]) -> Bits:
        """The signs of some codes (m, width)."""
        import numpy as np

        return np.concatenate([part.take(positions, 0) for part in (self.first, self.rest)], axis=1)


class Coded(NamedTuple):
    """Rows to append: what `Codes` has of them, the codes in one piece (n, width + dim), and digests (n,)."""

    keys: NDArray[np.int64]
    codes: Bits
    factors: Floats
    firsts: NDArray[np.int64]
    digests: NDArray[np.uint64]


class Cache:
    """The folder of a gallery's codes. Only the process that may write the gallery writes here."""

    def __init__(self, directory: Directory) -> None:
        self.folder = directory.path
        self._directory = directory
        self._head = os.fspath(self.folder / _HEAD)

    def stamp(self) -> tuple[int, int] | None:
        """Changes whenever the head does; None where there is no cache."""
        try:
            status = os.lstat(self._head)  # a tenth of pathlib's time, on every search
        except OSError:
            return None
        return status.st_ino, status.st_mtime_ns

    def head(self, generation: str, dim: int) -> Head | None:
        """The head, if there is a sound one of this generation whose arrays are all there."""
        try:
            content = json.loads(self._directory.read(_HEAD, _MAX_HEAD_BYTES))
            head = _parsed(content)
            if head is None or (head.generation, head.dim) != (generation, dim):
                return None
            complete = all(
                status is not None and status.st_size >= size
                for status, size in zip(self._statuses(head), _sizes(head).values(), strict=True)
            )
        except (OSError, ValueError, RecursionError):
            return None
        return head if complete else None

    def shared(self, head: Head) -> bool:
        """Whether the arrays have names elsewhere (hard links), whose files would change with them."""
        return any(status is not None and status.st_nlink > 1 for status in self._statuses(head))

    def codes(self, head: Head) -> tuple[Codes, Floats] | None:
        """The codes, mapped, and the coder's mean (dim,); None if they went since the head was read."""
        import numpy as np

        mapped = partial(self._mapped, head)
        first, rest = _widths(head.dim)
        try:
            with self._opened(head, "mean") as file:
                mean = np.fromfile(file, np.float32, head.dim)
            codes = Codes(
                mapped("keys", np.int64),
                mapped("first", np.uint8, first),
                mapped("rest", np.uint8, rest),
                mapped("fine", np.uint8, head.dim),
                mapped("factors", np.float32),
                mapped("firsts", np.int64),
            )
        except (OSError, ValueError):
            return None
        # A mean of vectors of unit length is no longer than they are.
        sound = len(mean) == head.dim and np.einsum("i,i->", mean, mean, dtype=np.float64) < _MOST_SQUARE
        return (codes, mean) if sound and _is_sound(codes, head) else None

    def digests(self, head: Head) -> NDArray[np.uint64]:
        """By which equal rows are found, mapped: (n,).

        Raises:
            OSError, ValueError: they went since the head was read.
        """
        import numpy as np

        return self._mapped(head, "digests", np.uint64)

    def _mapped(self, head: Head, name: str, dtype: type[np.generic], *columns: int) -> NDArray[Any]:
        import numpy as np

        shape = (head.rows, *columns)
        if 0 in shape:
            return np.empty(shape, dtype)
        with self._opened(head, name) as file:
            return np.asarray(np.memmap(file, dtype, "r", shape=shape))

    def start(self, generation: str, dim: int, mean: Floats) -> Head:
        """Begin new arrays beside those in use; `publish` puts them in their place."""
        self._directory.make()
        head = Head(
            generation,
            os.urandom(8).hex(),
            dim,
            int.from_bytes(os.urandom(4), "big"),
            0,
            0,
            0,
            0,
            0.0,
            0.0,
            0.0,
        )
        for name in _sizes(head):
            self._directory.create(_file(head, name), mean.tobytes() if name == "mean" else b"")
        return head

    def append(self, head: Head, rows: Coded, last: int) -> Head:
        """Add rows behind those the head counts. They count once the new head is published."""
        keys, codes, factors, firsts, digests = rows
        before = _sizes(head)
        first, rest = _widths(head.dim)
        arrays: dict[str, NDArray[Any]] = {
            "keys": keys,
            "first": codes[:, :first],
            "rest": codes[:, first : first + rest],
            "fine": codes[:, first + rest :],
            "factors": factors,
            "firsts": firsts,
            "digests": digests,
        }
        for name, array in arrays.items():
            with self._opened(head, name, os.O_RDWR) as file:
                file.truncate(before[name])
                file.seek(before[name])
                file.write(array.tobytes())
        return replace(head, rows=head.rows + len(keys), last=last)

    def publish(self, head: Head) -> None:
        """Make the arrays safe on disk, then the head; drop the arrays of every other one."""
        for name, size in _sizes(head).items():
            with self._opened(head, name, os.O_RDWR) as file:
                file.truncate(size)
                os.fsync(file.fileno())
        temporary = f"{_HEAD}.new"
        self._directory.unlink(temporary)
        self._directory.create(temporary, json.dumps(asdict(head)).encode("ascii"))
        self._directory.replace(_HEAD, temporary)
        self._drop_all_but(head.token)

    def clear_unpublished(self) -> None:
        """Delete what was begun and not published: it takes room that somebody needs."""
        try:
            head = _parsed(json.loads(self._directory.read(_HEAD, _MAX_HEAD_BYTES)))
        except (FileNotFoundError, ValueError, RecursionError):
            head = None
        self._drop_all_but("" if head is None else head.token)

    def _drop_all_but(self, token: str) -> None:
        for name in self._files():
            if name != _HEAD and name.partition(".")[0] != token:
                self._directory.unlink(name)

    def clear(self) -> None:
        """Delete the cache, and its folder unless something else is in it."""
        for name in sorted(self._files(), key=lambda name: name != _HEAD):
            self._directory.unlink(name)
        with suppress(OSError):
            self._directory.remove()

    def bytes(self) -> int:
        """What it takes on disk."""
        statuses = self._directory.statuses(self._files())
        return sum(status.st_size for status in statuses if status is not None)

    def _files(self) -> list[str]:
        """Those of the folder's files that are the cache's own."""
        return [name for name in self._directory.names() if _OWN.fullmatch(name)]

    def _statuses(self, head: Head) -> list[os.stat_result | None]:
        return self._directory.statuses(_file(head, name) for name in _sizes(head))

    def _opened(self, head: Head, name: str, flags: int = os.O_RDONLY) -> BinaryIO:
        return os.fdopen(self._directory.open(_file(head, name), flags), "r+b" if flags else "rb")


def _parsed(content: Any) -> Head | None:
    """A head from JSON anybody may have written."""
    if not isinstance(content, dict) or set(content) != set(Head.__slots__):
        return None
    texts = {name: content.pop(name) for name in ("token", "generation")}
    measured = {name: content.pop(name) for name in _MEASURED}
    if not all(type(n) is int and 0 <= n < 2**62 for n in content.values()) or content["format"] != _FORMAT:
        return None
    if not all(type(n) is float and 0 <= n < _MOST_MEASURED for n in measured.values()):
        return None
    if not all(isinstance(text, str) for text in texts.values()) or not _TOKEN.fullmatch(texts["token"]):
        return None
    head = Head(**texts, **content, **measured)
    fits = max(head.rows, head.calibrated) <= head.last and head.nearest <= head.farthest <= _FARTHEST
    return head if fits else None


def _is_sound(codes: Codes, head: Head) -> bool:
    """Whether the keys are rows, each once, up to the last that was looked at, and the factors numbers."""
    import numpy as np

    before = 0
    for start in range(0, head.rows, _CHECKED):  # some at a time: who lies of the rest lies at the beginning
        keys = codes.keys[start : start + _CHECKED]
        factors = codes.factors[start : start + _CHECKED]
        if keys[0] <= before or not (keys[1:] > keys[:-1]).all() or not np.isfinite(factors).all():
            return False
        firsts = codes.firsts[start : start + _CHECKED]
        places = np.arange(start, start + len(firsts))
        if firsts.min() < 0 or (firsts > places).any() or (codes.firsts[firsts] != firsts).any():
            return False
        before = int(keys[-1])
    return before == head.last if head.rows else not head.useful


def _widths(dim: int) -> tuple[int, int]:
    """Bytes of a code's first part and of the rest."""
    first = min(width(dim), _FIRST_BYTES)
    return first, width(dim) - first


def _file(head: Head, name: str) -> str:
    return f"{head.token}.{name}"


def _sizes(head: Head) -> dict[str, int]:
    first, rest = _widths(head.dim)
    return {
        "keys": 8 * head.rows,
        "first": first * head.rows,
        "rest": rest * head.rows,
        "fine": head.dim * head.rows,
        "factors": 4 * head.rows,
        "firsts": 8 * head.rows,
        "digests": 8 * head.rows,
        "mean": 4 * head.dim,
    }
