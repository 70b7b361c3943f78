"""Which pictures a trained model learnt from, and which it has never seen: the split saved beside it.

Held-out pictures are asked with and searched by themselves, leave-one-out: a picture that the model
learnt from is neither a question, which would be too easy, nor an answer, which would be too likely.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lookalike.errors import ModelError, UsageError
from lookalike.evaluation.splits import FILE, PARTS, Part, Split
from lookalike.extractors import trained
from lookalike.sources.folder import id_of, path_of

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

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
    """The ids in a file, one a line."""
    try:
        lines = Path(file).read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError:
        raise UsageError(f"{file}: no text in UTF-8; expected a file of ids, one a line") from None
    except OSError as error:
        raise UsageError(f"{file}: can't be read: {error.strerror}") from error
    return [line.strip() for line in lines if line.strip()]


def part_meant(split: object) -> Part | None:
    """The part of a model's split that is meant; None where a split of another kind is."""
    return next((part for part in PARTS if isinstance(split, str) and part == split), None)


def pictures(models: Sequence[str], part: Part, root: str, known: Collection[str]) -> frozenset[str]:
    """The pictures that are in this part of the split of every model that has one.

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


def notes(part: Part, count: int) -> tuple[str, ...]:
    """What to say of figures that come from so many pictures of a part."""
    unseen = {"train": "which the model learnt from", "validation": "which chose between its states"}
    what = unseen.get(part, "which the model has never seen")
    found = [f"only the {count:,} pictures of the part {part} ask and are searched, {what}"]
    if count < _FEW:
        found.append(f"{count:,} pictures are few: another split would give other figures")
    return tuple(found)


def _ids(split: Split, part: Part, folder: Path, root: str, known: Collection[str]) -> frozenset[str]:
    """The ids of a part; those of a training on another root are looked for from here, too."""
    ids = frozenset(split.ids(part))
    if any(id_ in known for id_ in split.part_of):
        return ids
    theirs = _record(folder).get("root")
    if not isinstance(theirs, str) or not Path(theirs).is_absolute():
        return ids
    return frozenset(id_of(path_of(id_, theirs), root) for id_ in ids)


def _folders(models: Sequence[str]) -> list[Path]:
    """The folders of the models that were trained here, and of those they were trained on top of."""
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
    """What the card of a trained model says of its training; nothing if it can't be read."""
    with suppress(ModelError):
        return trained.card_of(folder).training or {}
    return {}
