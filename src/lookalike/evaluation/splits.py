"""Which pictures a model learns from, which choose between its states, and which it never sees.

A split is drawn by a seed from the ids alone: the same pictures give the same split whatever is trained
on them, and pictures that come in later change next to nothing for the others. Each label is divided by
itself; pictures that are next to identical stay together, or a model would be asked for what it has seen.

Beside a trained model its split is saved. Held-out pictures are asked with and searched by themselves: a
picture that the model learnt from is neither a query, which would be too easy, nor a hit, which would be
too likely.
"""

from __future__ import annotations

import csv
import os
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, cast, get_args

from lookalike.errors import ModelError, UsageError
from lookalike.extractors import trained
from lookalike.sources.folder import id_of, path_of
from lookalike.system.files import writing
from lookalike.system.text import unguarded, write_csv

if TYPE_CHECKING:
    from collections.abc import Collection, Hashable, Iterable, Mapping, Sequence

Part: TypeAlias = Literal["train", "validation", "test"]
PARTS: tuple[Part, ...] = get_args(Part)

FILE = "split.csv"
"""What a split is called beside the model it belongs to."""

_HEAD = ("id", "part")


@dataclass(frozen=True, slots=True)
class Split:
    """The part of every picture, by its id.

    part_of: `train`, `validation` (chooses between states of a model) or `test` (never seen).
    """

    part_of: Mapping[str, Part]

    def ids(self, part: Part) -> list[str]:
        """Return the pictures of a part, sorted."""
        return sorted(id_ for id_, own in self.part_of.items() if own == part)

    def counts(self) -> dict[Part, int]:
        """Return how many pictures each part has."""
        counted = Counter(self.part_of.values())
        return {part: counted[part] for part in PARTS}

    def save(self, path: Path) -> None:
        """Write it as a table of ids and parts."""
        with (
            writing(path) as fresh,
            fresh.open("w", newline="", encoding="utf-8", errors="surrogateescape") as file,
        ):
            write_csv(file, [_HEAD, *sorted(self.part_of.items())])

    @classmethod
    def read(cls, path: Path) -> Split:
        """Read what `save` wrote.

        Raises:
            UsageError: there is no such file, or it is none of these.
        """
        try:
            with path.open(newline="", encoding="utf-8", errors="surrogateescape") as file:
                rows = list(csv.reader(file, strict=True))
        except (OSError, csv.Error) as error:
            raise UsageError(
                f"{path} can't be read: {error}; expected the split of a trained model"
            ) from error
        if (
            not rows
            or tuple(rows[0]) != _HEAD
            or any(len(row) != 2 or row[1] not in PARTS for row in rows[1:])
        ):
            raise UsageError(
                f"{path} is no split; expected lines of an id and one of {', '.join(PARTS)} below id,part"
            )
        part_of = {unguarded(id_): cast("Part", part) for id_, part in rows[1:]}
        if len(part_of) < len(rows) - 1:
            raise UsageError(f"{path} names a picture twice; expected one line of the split for each")
        return cls(part_of)


def split(
    ids: Sequence[str],
    labels: Sequence[Hashable] | None = None,
    *,
    groups: Iterable[Sequence[int]] = (),
    test: float = 0.2,
    validation: float = 0.2,
    seed: int = 0,
) -> Split:
    """Divide pictures at random, each label by itself.

    A label keeps at least one picture to learn from; one with three pictures or more has one in each
    part whose share is not 0.

    Args:
        ids: of n pictures, each once.
        labels: n labels; without them all pictures are divided as one.
        groups: rows of pictures that are next to identical and stay together, by the label of the first.
        test: the share that is never seen.
        validation: the share that chooses between states of the model.
        seed: of the draw.

    Raises:
        UsageError: the shares leave nothing to learn from.
    """
    if not (test >= 0 and validation >= 0 and test + validation < 1):
        raise UsageError(
            f"a test part of {test} and a validation part of {validation} can't be meant; expected shares "
            "from 0 that leave something to learn from"
        )
    members = _members(len(ids), groups)
    by_label: dict[Hashable, list[list[int]]] = {}
    for rows in members:
        by_label.setdefault(None if labels is None else labels[rows[0]], []).append(rows)
    part_of: dict[str, Part] = {}
    for of in by_label.values():
        drawn = sorted(of, key=lambda rows: _chance(min(ids[row] for row in rows), seed))
        sizes = [len(rows) for rows in drawn]
        for rows, part in zip(drawn, _parts(sizes, test, validation), strict=True):
            part_of |= {ids[row]: part for row in rows}
    return Split({id_: part_of[id_] for id_ in ids})


def _members(count: int, groups: Iterable[Sequence[int]]) -> list[list[int]]:
    """Return every row once: in its group, or alone."""
    grouped = [sorted(rows) for rows in groups]
    taken = {row for rows in grouped for row in rows}
    return [*grouped, *([row] for row in range(count) if row not in taken)]


def _chance(id_: str, seed: int) -> bytes:
    key = blake2b(str(seed).encode()).digest()
    return blake2b(id_.encode(errors="surrogateescape"), key=key, digest_size=16).digest()


def _parts(sizes: Sequence[int], test: float, validation: float) -> list[Part]:
    """Return a part for each group of a label, the groups in the order of the draw."""
    total = sum(sizes)
    least = 1.0 if len(sizes) >= 3 else 0.0
    left = {
        part: max(least, share * total)
        for part, share in zip(PARTS[::-1], (test, validation), strict=False)
        if share
    }
    parts: list[Part] = []
    for size in sizes:
        # A group goes where more than half of it is wanted.
        part: Part = next((part for part in left if left[part] >= size / 2), "train")
        if part != "train":
            left[part] -= size
        parts.append(part)
    return parts if "train" in parts else [*parts[:-1], "train"]


_FEW = 30


def read_split(text: str | None) -> float | str | list[str] | None:
    """Return what a text means by a split: a part of a model's own, a share, the ids in a file, or a filter.

    Raises:
        UsageError: it names a file that can't be read as text.
    """
    if text is None or text in PARTS:
        return text
    with suppress(ValueError):
        return float(text)
    return _ids_in(text) if os.path.isfile(text) else text  # noqa: PTH113 - a filter may be too long for a path


def _ids_in(file: str) -> list[str]:
    """Return the ids in a file, one a line."""
    try:
        lines = Path(file).read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError:
        raise UsageError(f"{file}: no text in UTF-8; expected a file of ids, one a line") from None
    except OSError as error:
        raise UsageError(f"{file}: can't be read: {error.strerror}") from error
    return [line.strip() for line in lines if line.strip()]


def part_meant(split: object) -> Part | None:
    """Return the part of a model's split that is meant; None for a split of another kind."""
    return next((part for part in PARTS if isinstance(split, str) and part == split), None)


def pictures_of_part(models: Sequence[str], part: Part, root: str, known: Collection[str]) -> frozenset[str]:
    """Return the pictures that are in this part of the split of every model that has one.

    Args:
        models: names of extractors; those that were not trained here have no split, and do not count.
        part: `train`, `validation` or `test`.
        root: of the gallery, an absolute path.
        known: the ids of the pictures there are.

    Raises:
        UsageError: not one of the models has a split, a split can't be read, or no picture is left.
    """
    splits = {folder: Split.read(folder / FILE) for folder in _folders(models) if (folder / FILE).is_file()}
    if not splits:
        has = "has" if len(models) == 1 else "have"
        raise UsageError(
            f"{' and '.join(models)} {has} no split: {part} means the part of that name of a model that was "
            "trained here; expected a share such as .2, a filter such as part=test, or ids"
        )
    left = frozenset(known)
    for folder, split in splits.items():
        left &= _ids(split, part, folder, root, left)
        if not left:
            tables = " and of ".join(str(folder / FILE) for folder in splits)
            raise UsageError(
                f"no picture of {root} is in the part {part} of {tables}; expected the pictures that the "
                f"model was trained on (in {_record(folder).get('root', 'a folder not known')}), and several "
                "models that have one split, as the same seed and pictures give"
            )
    return left


def notes_on_part(part: Part, count: int) -> tuple[str, ...]:
    """Return notes on figures that come from so many pictures of a part."""
    unseen = {"train": "which the model learnt from", "validation": "which chose between its states"}
    what = unseen.get(part, "which the model has never seen")
    found = [f"only the {count:,} pictures of the part {part} ask and are searched, {what}"]
    if count < _FEW:
        found.append(f"{count:,} pictures are few: another split would give other figures")
    return tuple(found)


def _ids(split: Split, part: Part, folder: Path, root: str, known: Collection[str]) -> frozenset[str]:
    """Return the ids of a part; those of a training on another root are looked for from here, too."""
    ids = frozenset(split.ids(part))
    if any(id_ in known for id_ in split.part_of):
        return ids
    theirs = _record(folder).get("root")
    if not isinstance(theirs, str) or not Path(theirs).is_absolute():
        return ids
    return frozenset(id_of(path_of(id_, theirs), root) for id_ in ids)


def _folders(models: Sequence[str]) -> list[Path]:
    """Return the folders of the models that were trained here, and of those they were trained on top of."""
    found: list[Path] = []
    names = list(models)
    while names:
        folder = trained.folder_of(names.pop(0))
        if folder is not None and folder not in found:
            found.append(folder)
            base = _record(folder).get("base")
            names += [base] if isinstance(base, str) else []
    return found


def _record(folder: Path) -> Mapping[str, Any]:
    """Return the record of its training in a model's card; empty if it can't be read."""
    with suppress(ModelError):
        return trained.card_of(folder).training or {}
    return {}
