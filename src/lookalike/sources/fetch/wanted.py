"""What a table asks for: a picture an address, with its id, its file's name and its fields."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from lookalike.errors import UsageError
from lookalike.sources.fetch.cells import text
from lookalike.sources.fetch.names import digest, stem, with_digest
from lookalike.sources.fetch.report import Failure
from lookalike.sources.tables.addresses import addresses, existing_column, image_column
from lookalike.sources.tables.cells import reader
from lookalike.system.text import redact, redact_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from lookalike.sources.tables import Table

OWN_COLUMNS = ("path", "id", "url")
"""The columns of `metadata.csv` that every picture has."""

_FIELDS_OF_GALLERIES = ("folder", "name", "width", "height")
_LONGEST_ID = 1_000  # characters


@dataclass(slots=True)
class Picture:
    """A picture that is wanted.

    id: as the table has it.
    url: where it is.
    stem: the name of its file, without the ending.
    fields: the values of the columns that are kept.
    """

    id: str
    url: str
    stem: str
    fields: tuple[str, ...]

    @property
    def shown(self) -> str:
        """Where it is, without the secrets in that: as it is written down and told."""
        return redact(self.url)


@dataclass(slots=True)
class Wanted:
    """Everything that a table asks for.

    names: of the fields.
    pictures: in the order of the table.
    failed: rows that name no picture.
    repeated: how many rows say the same as an earlier one.
    """

    names: tuple[str, ...]
    pictures: list[Picture] = field(default_factory=list)
    failed: list[Failure] = field(default_factory=list)
    repeated: int = 0


def read_wanted(
    table: Table, *, image: str | None, id_column: str | None, keep: Sequence[str], all_images: bool
) -> Wanted:
    """Read a table once, and name a file for every picture.

    Args:
        table: the table.
        image: the column with the addresses; by default one with a usual name, or the only one.
        id_column: the column with the ids; by default `id`, and without one a digest of the address.
        keep: columns to keep, as `COLUMN`, `COLUMN=FIELD` or several with commas between.
        all_images: whether to take every address of a row, not the first alone.

    Raises:
        UsageError: a column that is not there, or that can't be kept under its name.
    """
    image = image_column(table.columns, image)
    ids = _id_column(table.columns, id_column)
    kept = _kept(table.columns, keep)
    wanted = Wanted(tuple(kept.values()))
    readers = _readers(table, list(kept))
    seen: dict[str, str] = {}
    for number, row in enumerate(table.rows([image, *([ids] if ids else []), *kept]), 1):
        id_ = text(row[1]).strip() if ids else None
        cells = zip(readers, row[1 + bool(ids) :], strict=True)
        fields = tuple(redact_text(read(cell)) for read, cell in cells)
        for picture in _of_row(number, id_, row[0], fields, all_images=all_images):
            _take(picture, seen, wanted, number)
    _keep_apart(wanted.pictures)
    return wanted


def _readers(table: Table, columns: Sequence[str]) -> list[Callable[[object], str]]:
    """What gives the cells of each column as text; of numbers with decimal commas with a point instead."""
    if not (table.decimal_comma and columns):
        return [text] * len(columns)
    return [_reader(map(text, cells)) for cells in zip(*table.rows(columns), strict=True)]


def _reader(cells: Iterable[str]) -> Callable[[object], str]:
    read = reader(cells, decimal_comma=True)
    return lambda cell: text(read(text(cell)))


def _of_row(
    number: int, id_: str | None, cell: object, fields: tuple[str, ...], *, all_images: bool
) -> Iterator[Picture | Failure]:
    urls = addresses(cell)
    shown = redact(urls[0]) if urls else ""
    if id_ == "":
        yield Failure("", shown, f"row {number} has no id")
    elif id_ is not None and len(id_) > _LONGEST_ID:
        yield Failure(id_[:_LONGEST_ID], shown, f"row {number} has an id too long to be one")
    elif not urls:
        yield Failure(id_ or "", "", f"row {number} has no address")
    elif id_ is None:
        for url in urls if all_images else urls[:1]:
            yield Picture(digest(url), url, "", fields)
    elif all_images:
        for place, url in enumerate(urls, 1):
            yield Picture(f"{id_}_{place}", url, "", fields)
    else:
        yield Picture(id_, urls[0], "", fields)


def _take(item: Picture | Failure, seen: dict[str, str], wanted: Wanted, number: int) -> None:
    """Add a picture, or a failure; the first row of an id is the one that counts."""
    if isinstance(item, Failure):
        wanted.failed.append(item)
    elif item.id not in seen:
        seen[item.id] = item.url
        item.stem = stem(item.id)
        wanted.pictures.append(item)
    elif seen[item.id] == item.url:
        wanted.repeated += 1
    else:
        reason = f"row {number} repeats the id of an earlier row with another address"
        wanted.failed.append(Failure(item.id, item.shown, reason))


def _keep_apart(pictures: list[Picture]) -> None:
    """Give a digest to all names that are the same but for upper and lower case."""
    counts = Counter(picture.stem.lower() for picture in pictures)
    for picture in pictures:
        if counts[picture.stem.lower()] > 1:
            picture.stem = with_digest(picture.id, picture.stem)


def _id_column(columns: Sequence[str], told: str | None) -> str | None:
    if told is not None:
        return existing_column(columns, told)
    return next((name for name in columns if name.lower() == "id"), None)


def _kept(columns: Sequence[str], keep: Sequence[str]) -> dict[str, str]:
    """Column: field, of every column to keep."""
    kept: dict[str, str] = {}
    for word in keep:
        for part in [word] if word in columns else word.split(","):
            column, _, name = (part, "", "") if part in columns else part.partition("=")
            name = name or column
            if name.lower() in (*OWN_COLUMNS, *_FIELDS_OF_GALLERIES):
                raise UsageError(
                    f"the column {column!r} can't be kept as {name!r}, which has a meaning of its own here; "
                    f"call the field something else: --keep {column}=item_{name}"
                )
            kept[existing_column(columns, column)] = name
    return kept
