"""The steps that make a vector of a layer's output: a short typed list, kept in a model's card.

In a card a step is `{"step": "power", "exponent": 0.5}`; arrays are keys into the `.npz` beside it.
A card may be a stranger's: `load` checks everything and runs nothing.

The vector of the default model is `Power(0.5), Normalise(), Centre(mean), Normalise()`. The square
root of a histogram-like vector makes the inner product a Hellinger kernel (Arandjelović and Zisserman,
"Three things everyone should know to improve object retrieval", 2012).
"""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias, cast

import numpy as np

from lookalike.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lookalike.types import Floats

    Shape = tuple[int, ...]

Layout: TypeAlias = Literal["NCHW", "NHWC"]

_MOST_STEPS = 32
_DEEPEST = 4


class Step(Protocol):
    """One step. Shapes leave out the first axis, along which pictures lie."""

    def shape(self, shape: Shape, /) -> Shape:
        """What it makes of an array of this shape. Raises `ModelError` where it can't take it."""
        ...

    def apply(self, x: Floats, /) -> Floats:
        """The step, on an ndarray of shape (n, …), float32."""
        ...


@dataclass(frozen=True, slots=True)
class Flatten:
    """All numbers of a map in one row, in the order the network has them."""

    def shape(self, shape: Shape) -> Shape:
        """(a, b, …) becomes (a·b·…,)."""
        return (math.prod(shape),)

    def apply(self, x: Floats) -> Floats:
        """(n, a, b, …) becomes (n, a·b·…)."""
        return x.reshape(len(x), math.prod(x.shape[1:]))


@dataclass(frozen=True, slots=True)
class Pool:
    """One number a channel: the mean of its map, or the largest number in it.

    kind: `avg` or `max`.
    layout: whether channels come before (`NCHW`) or after (`NHWC`) the map's other axes.
    """

    kind: Literal["avg", "max"]
    layout: Layout = "NCHW"

    def __post_init__(self) -> None:
        _expect(self.kind in ("avg", "max"), f"a map is pooled by avg or max, not by {self.kind!r}")
        _expect(self.layout in ("NCHW", "NHWC"), f"a layout is NCHW or NHWC, not {self.layout!r}")

    def shape(self, shape: Shape) -> Shape:
        """(channels, …) or (…, channels) becomes (channels,)."""
        _expect(len(shape) > 1, f"only a map can be pooled; this layer gives {shape}")
        return (shape[0 if self.layout == "NCHW" else -1],)

    def apply(self, x: Floats) -> Floats:
        """(n, channels, …) or (n, …, channels) becomes (n, channels)."""
        axes = tuple(range(2, x.ndim)) if self.layout == "NCHW" else tuple(range(1, x.ndim - 1))
        return cast("Floats", x.mean(axis=axes) if self.kind == "avg" else x.max(axis=axes))


@dataclass(frozen=True, slots=True)
class Power:
    """Every number's size to a power, its sign kept; 0.5 is the square root."""

    exponent: float = 0.5

    def __post_init__(self) -> None:
        _expect(0 < self.exponent <= 4, f"a power is above 0 and at most 4, not {self.exponent!r}")

    def shape(self, shape: Shape) -> Shape:
        """As it was."""
        return shape

    def apply(self, x: Floats) -> Floats:
        """The shape stays."""
        size = np.abs(x)
        grown = np.sqrt(size) if self.exponent == 0.5 else size ** np.float32(self.exponent)
        return cast("Floats", np.copysign(grown, x))


@dataclass(frozen=True, slots=True)
class Normalise:
    """Every vector at unit length; one that is all zeros stays so."""

    def shape(self, shape: Shape) -> Shape:
        """As it was."""
        return _flat(shape, "normalised")

    def apply(self, x: Floats) -> Floats:
        """(n, dim) stays."""
        length = np.linalg.norm(x, axis=1, keepdims=True)  # (n, 1)
        return cast("Floats", x / np.where(length > 0, length, np.float32(1)))


@dataclass(frozen=True, slots=True)
class Top:
    """The largest numbers of every vector, zeros in place of the others.

    Of equal numbers the first ones are kept.

    count: how many.
    """

    count: int

    def __post_init__(self) -> None:
        _expect(type(self.count) is int and self.count > 0, f"a top is a count above 0, not {self.count!r}")

    def shape(self, shape: Shape) -> Shape:
        """As it was."""
        return _flat(shape, "cut to its top")

    def apply(self, x: Floats) -> Floats:
        """(n, dim) stays."""
        others = np.argsort(-x, axis=1, kind="stable")[:, self.count :]  # (n, dim - count)
        kept = x.copy()
        np.put_along_axis(kept, others, 0, axis=1)
        return kept


@dataclass(frozen=True, slots=True, eq=False)
class Centre:
    """Every vector less a constant one.

    mean: ndarray of shape (dim,), float32.
    """

    mean: Floats

    def __post_init__(self) -> None:
        _expect_array(self.mean, 1, "mean")

    def shape(self, shape: Shape) -> Shape:
        """As it was, (dim,)."""
        _expect(shape == self.mean.shape, f"the mean has shape {self.mean.shape}, the vectors have {shape}")
        return shape

    def apply(self, x: Floats) -> Floats:
        """(n, dim) stays."""
        return x - self.mean


@dataclass(frozen=True, slots=True, eq=False)
class Linear:
    """Every vector times a matrix.

    matrix: ndarray of shape (dim before, dim after), float32.
    """

    matrix: Floats

    def __post_init__(self) -> None:
        _expect_array(self.matrix, 2, "matrix")

    def shape(self, shape: Shape) -> Shape:
        """(dim before,) becomes (dim after,)."""
        rows, columns = self.matrix.shape
        _expect(shape == (rows,), f"the matrix takes {rows} numbers, the vectors have shape {shape}")
        return (columns,)

    def apply(self, x: Floats) -> Floats:
        """(n, dim before) becomes (n, dim after)."""
        return x @ self.matrix


@dataclass(frozen=True, slots=True, eq=False)
class Concat:
    """Several lists of steps on the same input, each result times its weight, side by side.

    branches: the lists.
    weights: one factor a branch.
    """

    branches: tuple[tuple[Step, ...], ...]
    weights: tuple[float, ...]

    def __post_init__(self) -> None:
        _expect(0 < len(self.branches) == len(self.weights), "every branch needs one weight")
        _expect(all(map(math.isfinite, self.weights)), "a weight is a finite number")

    def shape(self, shape: Shape) -> Shape:
        """The sum of what the branches make."""
        return (sum(dim(branch, shape) for branch in self.branches),)

    def apply(self, x: Floats) -> Floats:
        """(n, …) becomes (n, sum of the branches' dims)."""
        parts = [
            apply(steps, x) * np.float32(weight)
            for steps, weight in zip(self.branches, self.weights, strict=True)
        ]
        return np.concatenate(parts, axis=1)


_KINDS: dict[str, type[Any]] = {
    kind.__name__.lower(): kind for kind in (Flatten, Pool, Power, Normalise, Top, Centre, Linear, Concat)
}


def apply(steps: Sequence[Step], x: Floats) -> Floats:
    """Send a layer's output through steps.

    Args:
        steps: the list.
        x: ndarray of shape (n, …), float32.

    Returns:
        ndarray of shape (n, dim), float32.
    """
    for step in steps:
        x = step.apply(x)
    return x


def dim(steps: Sequence[Step], shape: Shape) -> int:
    """How many numbers the steps make of an output of this shape (without the first axis).

    Raises:
        ModelError: a step can't take what it is given, or what comes out is no vector.
    """
    for step in steps:
        shape = step.shape(shape)
    return _flat(shape, "used as a vector")[0]


def normalized(steps: Sequence[Step]) -> bool:
    """Whether every vector the steps make has unit length (or is all zeros)."""
    return bool(steps) and isinstance(steps[-1], Normalise)


def dump(steps: Sequence[Step]) -> tuple[list[dict[str, Any]], dict[str, Floats]]:
    """Steps as JSON values, and the arrays those name."""
    arrays: dict[str, Floats] = {}
    return [_to_json(step, arrays) for step in steps], arrays


def load(values: object, arrays: Mapping[str, Floats]) -> tuple[Step, ...]:
    """Steps out of a card.

    Args:
        values: what `dump` gave, after a journey through JSON.
        arrays: the arrays beside it.

    Raises:
        ModelError: anything in it is not as `dump` would have written it.
    """
    return _from_list(values, arrays, depth=0)


def digest(steps: Sequence[Step]) -> str:
    """Hexadecimal digest of everything that decides what the steps compute."""
    values, arrays = dump(steps)
    state = hashlib.sha256(json.dumps(values, sort_keys=True).encode())
    for key, array in arrays.items():
        state.update(f"{key}{array.shape}".encode())
        state.update(np.ascontiguousarray(array, "<f4").tobytes())
    return state.hexdigest()


def _to_json(step: Step, arrays: dict[str, Floats]) -> dict[str, Any]:
    entry: dict[str, Any] = {"step": type(step).__name__.lower()}
    for field in fields(cast("Any", step)):
        value = getattr(step, field.name)
        if isinstance(value, np.ndarray):
            key = f"{len(arrays)}.{field.name}"
            arrays[key] = value
            value = key
        elif field.name == "branches":
            value = [[_to_json(part, arrays) for part in branch] for branch in value]
        entry[field.name] = list(value) if isinstance(value, tuple) else value
    return entry


def _from_list(values: object, arrays: Mapping[str, Floats], depth: int) -> tuple[Step, ...]:
    _expect(isinstance(values, list), f"steps are a list, not {type(values).__name__}")
    entries = cast("list[object]", values)
    _expect(len(entries) <= _MOST_STEPS and depth < _DEEPEST, "that is more steps than any model needs")
    return tuple(_from_json(entry, arrays, depth) for entry in entries)


def _from_json(entry: object, arrays: Mapping[str, Floats], depth: int) -> Step:
    _expect(isinstance(entry, dict), f"a step is an object, not {entry!r:.60}")
    values = dict(cast("dict[str, Any]", entry))
    name = values.pop("step", None)
    kind = _KINDS.get(name) if isinstance(name, str) else None
    if kind is None:
        raise ModelError(f"there is no step {name!r}; there are {', '.join(_KINDS)}")
    wanted = {field.name for field in fields(kind)}
    _expect(set(values) == wanted, f"the step {name!r} has {sorted(values)}, expected {sorted(wanted)}")
    if "branches" in wanted:
        _expect(isinstance(values["branches"], list), "branches are a list of lists of steps")
        values["branches"] = tuple(_from_list(part, arrays, depth + 1) for part in values["branches"])
        _expect(_numbers(values["weights"]), "weights are a list of numbers")
        values["weights"] = tuple(map(float, values["weights"]))
    if "exponent" in wanted:
        _expect(_numbers([values["exponent"]]), "an exponent is a number")
    for key in wanted & {"mean", "matrix"}:
        _expect(
            isinstance(values[key], str) and values[key] in arrays, f"there is no array {values[key]!r:.60}"
        )
        values[key] = arrays[values[key]]
    return cast("Step", kind(**values))


def _numbers(values: object) -> bool:
    return isinstance(values, list) and all(type(value) in {int, float} for value in values)


def _flat(shape: Shape, what: str) -> Shape:
    _expect(len(shape) == 1, f"only rows of numbers can be {what}; flatten or pool the map {shape} before")
    return shape


def _expect_array(array: Floats, axes: int, name: str) -> None:
    good = isinstance(array, np.ndarray) and array.dtype == np.float32 and array.ndim == axes
    _expect(
        good and bool(np.isfinite(array).all()), f"the {name} is no finite float32 array with {axes} axes"
    )


def _expect(condition: bool, message: str) -> None:  # noqa: FBT001 - reads as the sentence it is
    if not condition:
        raise ModelError(f"steps that can't be used: {message}")
