"""Cells of a table of text: which are numbers, which are missing, and which are text.

Every column is read in one notation, the first in which all of its numbers can be read:

* `1234.5`, as programs write numbers;
* `1.234,5`, `1'234,5`, `1 234,5`, where `;` or a tab separates cells: spreadsheets write so where decimals
  stand behind a comma;
* `1,234.5`, `1'234.5`, `1 234.5`, with marks between thousands.

A column with any other cell is text, and so is one with leading zeros (`007`) or whole numbers of more than
18 digits, which are codes: as numbers they would lose digits. In a column of numbers `NA`, `N/A`, `nan`, `-`
and their like are no value, as an empty cell is none. In a column of text only `NA` and `N/A` are, which
programs write there; `NA` is text where the others are short codes in capitals, as those of countries are.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from lookalike.types import Value

    Reader: TypeAlias = Callable[[str], Value | None]

_NO_NUMBER = {
    "na", "n/a", "n.a.", "#n/a", "#na", "<na>", "nan", "-nan", "null", "(null)", "none", "nil", "\\n",
    "-", "--", "\N{EN DASH}", "\N{EM DASH}", "?", ".",
    "#div/0!", "#value!", "#num!", "#ref!", "#name?", "#null!",
}  # fmt: skip
"""What stands for no number in a column of numbers, in any case."""

_NO_TEXT = {"NA", "N/A", "n/a", "#N/A", "<NA>"}
"""What stands for no text in a column of text."""

_CODE = re.compile(r"[A-Z]{1,3}", re.ASCII)
_LONGEST = 18  # digits that fit in 64 bits
_GAPS = "\u00a0\u2009\u202f"  # blanks that hold a number together
_SIGN = "[+\N{MINUS SIGN}-]?"


@dataclass(frozen=True, slots=True)
class Notation:
    """How numbers are written: which marks stand between thousands, and which before decimals."""

    pattern: re.Pattern[str]
    thousands: str = ""
    decimal: str = "."

    def reads(self, cells: Iterable[str]) -> bool:
        """Whether every cell is a number in this notation.

        In a column of whole numbers a plain blank may be part of a code, as of a telephone.
        """
        decimals = blanks = False
        for cell in cells:
            if not self.pattern.fullmatch(cell) or not math.isfinite(float(self.plain(cell))):
                return False
            decimals |= self.decimal in cell
            blanks |= " " in cell
        return decimals or not blanks

    def plain(self, cell: str) -> str:
        """Return a number as Python reads it."""
        for mark in self.thousands:
            cell = cell.replace(mark, "")
        return cell.replace(self.decimal, ".").replace("\N{MINUS SIGN}", "-")


def _grouped(thousands: str, decimal: str) -> Notation:
    marks = thousands + "'\N{RIGHT SINGLE QUOTATION MARK} " + _GAPS
    point = re.escape(decimal)
    whole = rf"(?:[1-9]\d{{0,2}}(?P<mark>[{re.escape(marks)}])\d{{3}}(?:(?P=mark)\d{{3}})*|0|[1-9]\d*)"
    return Notation(re.compile(rf"{_SIGN}{whole}(?:{point}\d+)?", re.ASCII), marks, decimal)


_PLAIN = Notation(re.compile(rf"{_SIGN}(?=\.?\d)(?!0\d)\d*(?:\.\d*)?(?:[eE][+-]?\d+)?", re.ASCII))
_ENGLISH = _grouped(",", ".")
_COMMA = _grouped(".", ",")
_WHOLE = re.compile(r"[+-]?\d+", re.ASCII)


def reader(cells: Iterable[str | None], *, decimal_comma: bool) -> Reader:
    """Return what reads every cell of a column as its value; None for a cell that has none.

    Args:
        cells: of the whole column.
        decimal_comma: whether the comma may stand before decimals.

    >>> read = reader(["1.234,5", "NA", "9"], decimal_comma=True)
    >>> read("1.234,5"), read("NA"), read("9")
    (1234.5, None, 9.0)
    """
    filled = {cell.strip() for cell in cells if cell} - {""}
    numbers = {cell for cell in filled if cell.casefold() not in _NO_NUMBER}
    notations = (_PLAIN, _COMMA, _ENGLISH) if decimal_comma else (_PLAIN, _ENGLISH)
    notation = next((n for n in notations if numbers and n.reads(numbers)), None)
    if notation is None:
        return text_reader(filled)
    plain = [notation.plain(number) for number in numbers]
    whole = all(map(_WHOLE.fullmatch, plain))
    if whole and any(len(number) > _LONGEST for number in plain):
        return text_reader(filled)
    return _number_reader(notation, int if whole else float)


def _number_reader(notation: Notation, kind: Callable[[str], int | float]) -> Reader:
    def read(cell: str) -> Value | None:
        cell = cell.strip()
        return None if not cell or cell.casefold() in _NO_NUMBER else kind(notation.plain(cell))

    return read


def text_reader(cells: Iterable[str | None]) -> Reader:
    """Return what reads every cell of a column of text as its value; None for a cell that has none."""
    others = {cell.strip() for cell in cells if cell} - {"", *_NO_TEXT}
    codes = bool(others) and all(map(_CODE.fullmatch, others))
    missing = _NO_TEXT - ({"NA"} if codes else set())

    def read(cell: str) -> Value | None:
        return None if not cell.strip() or cell.strip() in missing else cell

    return read
