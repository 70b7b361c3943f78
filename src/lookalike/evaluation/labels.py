"""What pictures show, by their labels: from folders, file names, a table or the gallery's metadata.

A picture may have several labels; two pictures are relevant to each other if they share one.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias, cast

from lookalike.errors import UsageError
from lookalike.sources.folder import id_of
from lookalike.sources.tables import PATH_COLUMNS, open_csv
from lookalike.sources.tables.cells import text_reader
from lookalike.types import PICTURE_FIELDS

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Sequence

    from lookalike.gallery import Gallery
    from lookalike.types import Record

    LabelsLike: TypeAlias = "str | os.PathLike[str] | Mapping[str, str | Collection[str]] | Labels"

LABEL_COLUMNS = ("label", "labels", "category", "class", "tag", "tags")
"""The columns that may hold the label, in the order they are looked for."""

SEPARATOR = "|"
"""Stands between the labels of a cell or field that holds several."""

FORMS = "folder, folder:N, name:REGEX, a table such as labels.csv, or a field of the metadata"

_FOLDER = re.compile(r"folder(?::(\d+))?")
_TABLE = re.compile(r"(.+\.(?:csv|tsv))(?::([^/\\:]+))?", re.IGNORECASE | re.DOTALL)
_OWN_FIELDS = frozenset({"folder", "name", "width", "height", *PICTURE_FIELDS})
_BATCH = 1000


@dataclass(frozen=True, slots=True)
class Labels:
    """The pictures of a gallery with their labels.

    what: where the labels come from, in words.
    ids: every picture, in the order of the gallery.
    sets: of each picture its labels; empty where it has none.
    """

    what: str
    ids: list[str]
    sets: list[frozenset[str]]

    @property
    def names(self) -> frozenset[str]:
        """Return every label that a picture has."""
        return frozenset().union(*self.sets)

    def among(self, ids: Collection[str] | None) -> Labels:
        """Return the labels of the pictures of some ids; None for all."""
        if ids is None:
            return self
        rows = [row for row, id_ in enumerate(self.ids) if id_ in ids]
        return Labels(self.what, [self.ids[row] for row in rows], [self.sets[row] for row in rows])


@dataclass(frozen=True, slots=True)
class Pictures:
    """Hold the pictures to label.

    root: the folder that ids are relative to.
    ids: of the pictures, in the order of the gallery.
    gallery: whose metadata may hold labels; None where there is none.
    """

    root: str
    ids: list[str]
    gallery: Gallery | None = None

    @classmethod
    def of(cls, gallery: Gallery) -> Pictures:
        """Return the pictures of a gallery."""
        return cls(gallery.root, ids_of(gallery), gallery)


def read(labels: LabelsLike, pictures: Pictures) -> Labels:
    """Find the labels of pictures.

    Args:
        labels: where they are:

            * `folder` - the folder a picture lies in, its whole path from the root of the gallery;
              `folder:N` - the first N folders of it. A picture in no folder has no label.
            * `name:REGEX` - the first group of a regular expression found in the file's name, or
              what the whole of it matches if it has no group.
            * a `.csv` or `.tsv` file with a column for the path or id and one for the label, named
              `label`, `labels`, `category`, `class`, `tag` or `tags`, or the only other one;
              `labels.csv:COLUMN` takes another. A picture may have several rows.
            * anything else - a field of the gallery's metadata.
            * a mapping of ids to a label, or to several; or labels read before.

            A cell or field may hold several labels, as `red|blue`.
        pictures: which are to have them.

    Raises:
        UsageError: it can't be read, or not one picture has a label by it.
    """
    if isinstance(labels, Labels):
        known = dict(zip(labels.ids, labels.sets, strict=True))
        return Labels(labels.what, pictures.ids, [known.get(id_, frozenset()) for id_ in pictures.ids])
    if isinstance(labels, Mapping):
        return _by_id({id_: _several(of) for id_, of in labels.items()}, pictures, "the mapping of labels")
    text = os.fspath(labels)
    if folder := _FOLDER.fullmatch(text):
        return _by_folder(text, int(folder[1]) if folder[1] else None, pictures)
    if text.startswith("name:"):
        return _by_name(text.removeprefix("name:"), pictures)
    if table := _TABLE.fullmatch(text):
        return _by_table(Path(table[1]), table[2], pictures)
    return _by_field(text, pictures)


def ids_of(gallery: Gallery) -> list[str]:
    """Return the ids of a gallery's pictures, in its order."""
    return [state.id for state in gallery.store.states() if state.status == "picture"]


def _by_folder(text: str, depth: int | None, pictures: Pictures) -> Labels:
    if depth == 0:
        raise UsageError("folder:0 is no label; expected the number of folder levels, 1 or more")

    def label(id_: str) -> frozenset[str]:
        folders = id_.split("/")[:-1]
        # An absolute id begins with a slash, and its first folder is the one after it.
        levels = None if depth is None else depth + (not folders or not folders[0])
        return frozenset(filter(None, ["/".join(folders[:levels])]))

    ids = pictures.ids
    return _checked(
        Labels(text, ids, [label(id_) for id_ in ids]),
        f"every picture lies in {pictures.root} itself; expected folders below it that say what "
        "their pictures show",
    )


def _by_name(expression: str, pictures: Pictures) -> Labels:
    try:
        compiled = re.compile(expression)
    except re.error as error:
        raise UsageError(f"name:{expression} is no regular expression: {error}") from error

    def label(id_: str) -> frozenset[str]:
        found = compiled.search(id_.rpartition("/")[2])
        text = found and (found[1] if compiled.groups else found[0])
        return frozenset([text]) if text else frozenset()

    ids = pictures.ids
    first = f" ({ids[0].rpartition('/')[2]!r} is the first)" if ids else ""
    return _checked(
        Labels(f"name:{expression}", ids, [label(id_) for id_ in ids]),
        f"name:{expression} is found in none of the {len(ids):,} file names{first}; expected an expression "
        r"whose first group is the label, as 'name:^([a-z]+)_\d+'",
    )


def _by_field(field: str, pictures: Pictures) -> Labels:
    gallery = pictures.gallery
    own = [] if gallery is None else sorted(gallery.store.fields().keys() - _OWN_FIELDS)
    if gallery is None or field not in own:
        has = f"this gallery has {', '.join(own)}" if own else "there is none here"
        there = "; there is no file of that name that ends in .csv or .tsv" if Path(field).suffix else ""
        raise UsageError(f"{field!r} says nothing of labels; expected {FORMS} ({has}){there}")
    known = {record.id: _split(str(record.metadata.get(field, ""))) for record in _records(gallery)}
    sets = [known.get(id_, frozenset()) for id_ in pictures.ids]
    return _checked(Labels(f"the field {field}", pictures.ids, sets), f"no picture has the field {field!r}")


def _by_table(file: Path, column: str | None, pictures: Pictures) -> Labels:
    return _by_id(read_table(file, column), pictures, str(file), beside=file.parent)


def read_table(file: Path, column: str | None = None) -> dict[str, frozenset[str]]:
    """Return the labels of a table, by the path or id as the table has it.

    Args:
        file: CSV or TSV with a header line; UTF-8, with or without a byte order mark.
        column: which holds the label; by default as `read` says.

    Raises:
        UsageError: it can't be read, or has no column for the path or for the label.
    """
    found: dict[str, frozenset[str]] = {}
    if not file.is_file():
        what = "is a folder" if file.is_dir() else "does not exist"
        raise UsageError(f"{file} {what}; expected a table with a column for the path and one for the label")
    table = open_csv(file)
    path, label = _columns(file, [name for name in table.columns if name], column)
    rows = cast("list[tuple[str | None, str | None]]", list(table.rows([path, label])))
    read_cell = text_reader(cell for _, cell in rows)
    for key, cell in rows:
        if key:
            found[key] = found.get(key, frozenset()) | _split(str(read_cell(cell or "") or ""))
    return found


def _columns(file: Path, names: list[str], wanted: str | None) -> tuple[str, str]:
    """Return the names of the columns of the path and of the label."""
    lower = {name.lower(): name for name in reversed(names)}
    path = next((lower[name] for name in PATH_COLUMNS if name in lower), None)
    others = [name for name in names if name != path]
    known = [lower[name] for name in LABEL_COLUMNS if name in lower and lower[name] != path]
    label = next(iter(known or others[:1] * (len(others) == 1)), None)
    if wanted is not None:
        label = wanted if wanted in others else None
    if path is None or label is None:
        missing = f"{wanted!r}" if wanted and path else "for the label" if path else "for the path"
        expected = ", ".join(LABEL_COLUMNS if path else PATH_COLUMNS)
        hint = f"; {file}:COLUMN names another" if path else ""
        raise UsageError(
            f"{file}: no column {missing}; expected one of {expected}, "
            f"found {', '.join(names) or 'an empty file'}{hint}"
        )
    return path, label


def _by_id(
    given: Mapping[str, frozenset[str]], pictures: Pictures, what: str, *, beside: Path | None = None
) -> Labels:
    """Return every picture with its labels; keys may be ids, or paths from several places."""
    known = frozenset(pictures.ids)
    labels: dict[str, frozenset[str]] = {}
    for key, of in given.items():
        id_ = next((id_ for id_ in _meant(key, pictures.root, beside) if id_ in known), None)
        if id_ is not None:
            labels[id_] = labels.get(id_, frozenset()) | of
    sets = [labels.get(id_, frozenset()) for id_ in pictures.ids]
    return _checked(Labels(what, pictures.ids, sets), _unmatched(what, given, pictures.ids))


def _meant(key: str, root: str, beside: Path | None) -> Iterator[str]:
    """Yield the ids that a key may stand for: an id, or a path from the root, the table or here."""
    yield key
    for place in (root, *([os.path.abspath(beside)] if beside else []), os.path.abspath(".")):  # noqa: PTH100
        yield id_of(os.path.normpath(os.path.join(place, os.path.expanduser(key))), root)  # noqa: PTH111, PTH118


def _unmatched(what: str, given: Mapping[str, object], ids: Sequence[str]) -> str:
    theirs = f"the first is {next(iter(given))!r}" if given else "it is empty"
    ours = f", and {ids[0]!r} is a picture of the gallery" if ids else ""
    return f"{what} has no label for any picture: {theirs}{ours}; expected ids, or paths that lead to them"


def _several(given: str | Collection[str]) -> frozenset[str]:
    return _split(given) if isinstance(given, str) else frozenset(given)


def _split(text: str) -> frozenset[str]:
    return frozenset(filter(None, (part.strip() for part in text.split(SEPARATOR))))


def _records(gallery: Gallery) -> Iterator[Record]:
    """Yield every record, without reading a vector."""
    for ids in _batches(ids_of(gallery)):
        yield from (record for record in gallery.store.get(ids) if record is not None)


def _batches(ids: Iterable[str]) -> Iterator[list[str]]:
    rest = iter(ids)
    while batch := list(islice(rest, _BATCH)):
        yield batch


def _checked(labels: Labels, otherwise: str) -> Labels:
    if labels.ids and not any(labels.sets):
        raise UsageError(otherwise)
    return labels
