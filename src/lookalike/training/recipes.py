"""What can be chosen of a training, and what is usual: one frozen recipe for each kind.

A recipe is written into the card of what it made, so that it can be made again.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import asdict, dataclass, fields, is_dataclass, replace
from types import UnionType
from typing import (
    TYPE_CHECKING,
    Any,
    ClassVar,
    Literal,
    TypeAlias,
    Union,
    get_args,
    get_origin,
    get_type_hints,
)

from lookalike.errors import UsageError
from lookalike.extractors.cards import LARGEST_SIDE

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Self

RankerMethod: TypeAlias = Literal["closed", "pairwise", "auto"]

_SEEDS = 1 << 31  # what TensorFlow takes
_LONGEST = 1 << 16  # numbers of a vector: a network with more fits into no memory


def require(condition: bool, message: str) -> None:  # noqa: FBT001 - reads as the sentence it is
    """Raise `UsageError` with the message unless the condition holds."""
    if not condition:
        raise UsageError(f"a recipe that can't be followed: {message}")


def require_share(given: object, name: str) -> None:
    """Raise `UsageError` unless a field is from 0 to 1."""
    value = getattr(given, name)
    require(0 <= value <= 1, f"{name} is {value}; expected a share from 0 to 1")


@dataclass(frozen=True, slots=True, kw_only=True)
class Augmentation:
    """Set how pictures are augmented at random while they are learned from; 0 or False leaves one out."""

    flip: bool = True  # left and right
    rotation: float = 0.04  # of a full turn, either way, at most
    zoom: float = 0.15  # in or out, a share of the side, at most
    shift: float = 0.08  # across and down, a share of the side, at most
    colour: float = 0.15  # brightness and contrast, a share of their range, at most

    def __post_init__(self) -> None:
        for name in ("rotation", "zoom", "shift", "colour"):
            require_share(self, name)


NO_AUGMENTATION = Augmentation(flip=False, rotation=0.0, zoom=0.0, shift=0.0, colour=0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingRecipe:
    """Set what every training has."""

    kind: ClassVar[str]

    seed: int = 0  # of the split, the order of pictures, first weights and augmentation
    limit: int | None = None  # take so many pictures, drawn by the seed, some for each part; None for all
    test: float = 0.2  # share of each label that is never seen, to measure by
    validation: float = 0.2  # share of each label that chooses the best state
    best: bool = True  # keep the state that was best on the validation part; otherwise the last one

    def __post_init__(self) -> None:
        require(0 <= self.seed < _SEEDS, f"seed is {self.seed}; expected a number from 0 to {_SEEDS - 1}")
        require(self.limit is None or self.limit >= 2, f"limit is {self.limit}; expected 2 or more")
        require(
            self.test >= 0 and self.validation >= 0 and self.test + self.validation < 1,
            f"test {self.test} and validation {self.validation} leave nothing to learn from; expected shares "
            "that together are below 1",
        )
        for name in ("epochs", "head_epochs", "batch", "patience"):
            value = getattr(self, name, 1)
            require(value >= (name == "batch"), f"{name} is {value}; expected a count")
        for name in ("rate", "head_rate"):
            value = getattr(self, name, 1.0)
            require(value > 0, f"{name} is {value}; expected a number above 0")
        size = getattr(self, "size", None)
        require(
            size is None or 1 <= size <= LARGEST_SIDE,
            f"size is {size}; expected 1 to {LARGEST_SIDE} pixels on a side",
        )

    def as_dict(self) -> dict[str, Any]:
        """Return it as plain JSON data."""
        return {"kind": self.kind, **asdict(self)}

    def changed(self, settings: Mapping[str, str]) -> Self:
        """Return it with settings as they are typed: `{"epochs": "5", "augmentation.flip": "false"}`.

        Raises:
            UsageError: there is nothing of that name to set, or the value is of another kind.
        """
        changes: dict[str, Any] = {}
        for name, text in settings.items():
            whole, _, part = name.partition(".")
            kinds = get_type_hints(type(self))
            if whole not in {field.name for field in fields(self)} or (
                bool(part) != is_dataclass(kinds[whole])
            ):
                raise UsageError(
                    f"{self.kind} has no {name!r} to set; there are {', '.join(self.settings())}"
                )
            if part:
                before = changes.get(whole, getattr(self, whole))
                inner = get_type_hints(kinds[whole])
                require(part in inner, f"{whole} has no {part!r}; there are {', '.join(inner)}")
                changes[whole] = replace(before, **{part: _value(name, text, inner[part])})
            else:
                changes[whole] = _value(name, text, kinds[whole])
        return replace(self, **changes)

    def settings(self) -> dict[str, Any]:
        """Return everything that can be set, with its value here; what has parts by its parts."""
        found: dict[str, Any] = {}
        for field in fields(self):
            value = getattr(self, field.name)
            if is_dataclass(value) and not isinstance(value, type):
                found |= {f"{field.name}.{part}": of for part, of in asdict(value).items()}
            else:
                found[field.name] = value
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class AutoencoderRecipe(TrainingRecipe):
    """A convolutional autoencoder: pictures squeezed through a few numbers and drawn again."""

    kind: ClassVar[str] = "autoencoder"

    size: int = 256  # pixels on a side of what goes in and of what comes out
    latent: int = 16  # numbers a picture is squeezed into
    inner: int = 64  # pixels on a side that the network works at: pooled in front, drawn larger behind
    widths: tuple[int, ...] = (16, 32, 64, 128)  # channels, each at half the side of the one before
    epochs: int = 260  # at most
    patience: int = 60  # epochs without a better validation, or loss, after which it ends
    batch: int = 16  # pictures a step
    rate: float = 3e-3  # of Adam at its start; it falls to 0 by a cosine
    validation: float = 0.0  # share that chooses the best state; the last is the best on what was learnt
    varied: float = 0.4  # share of pictures that are changed at random, the others are learned as they are
    augmentation: Augmentation = Augmentation(rotation=0.0, zoom=0.12, shift=0.06, colour=0.0)

    def __post_init__(self) -> None:
        TrainingRecipe.__post_init__(self)
        require(self.latent <= _LONGEST, f"latent is {self.latent}; expected {_LONGEST} at most")
        counts = {"latent": self.latent, "inner": self.inner}
        for name, count in (*counts.items(), *(("a width", width) for width in self.widths)):
            require(count >= 1, f"{name} is {count}; expected a number of at least 1")
        require(bool(self.widths), "widths are none; expected at least one")
        require_share(self, "varied")


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassifierRecipe(TrainingRecipe):
    """A network that knows one's own classes: a new head on a frozen base, then the base's top with it."""

    kind: ClassVar[str] = "classifier"

    best: bool = False  # the rate falls to 0: the last state searches better than that of the lowest loss
    size: int | None = None  # pixels on a side; None for the base's own
    raw: bool = False  # pixels go in as they are, 0 to 255, and not as the base was trained with
    fewest: int | None = None  # leave out classes with fewer pictures; None: below 3 is an error
    dense: int = 0  # numbers of a layer between base and classes; 0: classes are told by the vector T
    dropout: float = 0.0  # share of what goes into the classes that is dropped out at random
    smoothing: float = 0.1  # of the labels
    head_epochs: int = 1  # of the first stage, at most: the base is frozen
    head_rate: float = 1e-3  # of rmsprop in the first stage
    unfreeze: int | str | None = None  # layer, or its number, from which on the base learns; None: its top
    norms: bool = False  # batch norms of what learns go on learning, too
    epochs: int = 6  # of the second stage, at most: the base's top learns, too
    rate: float = 5e-3  # of SGD in the second stage; at 1e-2 labels it has not seen are found worse
    decay: bool = True  # the rate falls to 0 by a cosine
    momentum: float = 0.9  # of SGD
    batch: int = 32  # pictures a step
    patience: int = 5  # epochs without a better validation after which a stage ends; 0 for never
    augmentation: Augmentation = Augmentation()

    def __post_init__(self) -> None:
        TrainingRecipe.__post_init__(self)
        require(self.dense >= 0, f"dense is {self.dense}; expected a count, or 0 for none")
        require(self.fewest is None or self.fewest >= 1, f"fewest is {self.fewest}; expected 1 or more")
        require_share(self, "momentum")
        for name in ("dropout", "smoothing"):
            require_share(self, name)
            require(getattr(self, name) < 1, f"{name} is 1; that leaves nothing to learn")

    @classmethod
    def cifar(cls) -> Self:
        """Return the original's two stages on CIFAR-10, for the base `keras:InceptionV3`.

        2,000 pictures drawn from those to learn from, 140 pixels on a side, raw; whatever the last epoch
        leaves is kept.
        """
        return cls(
            limit=2000,
            validation=0.3,
            size=140,
            raw=True,
            dense=512,
            smoothing=0.0,
            head_epochs=1,
            unfreeze=-33,  # InceptionV3's layers from 279 on: 32 of 311, and the pooling behind them
            norms=True,
            epochs=5,
            rate=1e-2,
            decay=False,
            batch=128,
            patience=0,
            augmentation=NO_AUGMENTATION,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class RankerRecipe(TrainingRecipe):
    """A linear map of vectors by which pictures of one label score higher."""

    kind: ClassVar[str] = "ranker"

    validation: float = 0.0  # the check divides what is learnt from by itself
    method: RankerMethod = "closed"  # the closed form, the pairwise loss, or the better one of both: `auto`


def _value(name: str, text: str, kind: Any) -> Any:
    """Read a text as the first of some types that it can be read as."""
    kinds = get_args(kind) if get_origin(kind) in {Union, UnionType} else (kind,)
    for one in sorted(kinds, key=lambda one: one is not type(None)):  # "none" is a text, too
        with suppress(ValueError, KeyError):
            return _read(text, one)
    raise UsageError(f"{name} can't be {text!r}; expected {_in_words(kind)}")


def _read(text: str, kind: Any) -> Any:
    if kind is type(None):
        return {"none": None}[text.lower()]
    if kind is bool:
        return {"true": True, "false": False}[text.lower()]
    if get_origin(kind) is tuple:
        return tuple(int(part) for part in text.split(","))
    if get_origin(kind) is Literal:
        return {one: one for one in get_args(kind)}[text]
    return kind(text)


def _in_words(kind: Any) -> str:
    if get_origin(kind) in {Union, UnionType}:
        return " or ".join(map(_in_words, get_args(kind)))
    if get_origin(kind) is Literal:
        return " or ".join(get_args(kind))
    if get_origin(kind) is tuple:
        return "whole numbers with commas between them"
    return {bool: "true or false", int: "a whole number", float: "a number", str: "a text"}.get(kind, "none")
