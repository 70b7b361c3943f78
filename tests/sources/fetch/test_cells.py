"""Addresses out of cells, and cells as text."""

import math
import time

import pytest

from lookalike.sources.fetch.cells import text
from lookalike.sources.tables.addresses import addresses

ONE, TWO = "http://a.org/1.jpg", "https://b.org/2.jpg"


@pytest.mark.parametrize(
    "cell",
    [
        f'["{ONE}", "{TWO}"]',
        f"['{ONE}', '{TWO}']",
        f"('{ONE}', '{TWO}')",
        f"[{ONE}, {TWO}]",
        f'["{ONE}" "{TWO}"',
        f"{ONE}|{TWO}",
        f"{ONE} | {TWO}",
        f"{ONE},{TWO}",
        f"{ONE}, {TWO}",
        f"{ONE};{TWO}",
        f"{ONE} {TWO}",
        f"{ONE}\n{TWO}\n",
        f'["{ONE}", null, "", "{TWO}", "{ONE}"]',
        [ONE, None, TWO],
    ],
)
def test_lists_in_every_shape(cell):
    """JSON, Python, broken and plain lists give the same addresses, each once and in order."""
    assert addresses(cell) == [ONE, TWO]


@pytest.mark.parametrize(
    "url",
    [
        "http://a.org/w_200,h_300/x|y;z.jpg",
        "http://a.org/a b.jpg",
        "http://a.org/?next=http://b.org/",
        "http://a.org/[1].jpg",
        "ftp://a.org/x.jpg",
        "x.jpg",
        "(1).png",
        "[1].png",
        "{a}, b.png",
        "[draft] 1.png",
    ],
)
def test_one_address_is_left_as_it_is(url):
    """Commas, bars and spaces inside an address do not divide it, and a path may begin with a bracket."""
    assert addresses(f"  {url} ") == [url]


@pytest.mark.parametrize("cell", ["", "  ", "[]", "nan", "None", "null", "[null]", None, math.nan, 7, [], {}])
def test_nothing_is_no_address(cell):
    """Every way of writing nothing, and what is no text, gives no address."""
    assert addresses(cell) == []


def test_a_list_too_deep_is_no_list():
    """A cell made to exhaust the parser gives no address and no error."""
    assert addresses("[" * 200_000) == []


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        (None, ""),
        (math.nan, ""),
        (7, "7"),
        (1.5, "1.5"),
        ("x", "x"),
        (["a", "ü"], '["a", "ü"]'),
        (False, "False"),
    ],
)
def test_cells_as_text(cell, expected):
    """Nothing is empty, a list is JSON, all else is written as Python writes it."""
    assert text(cell) == expected


@pytest.mark.parametrize("cell", ["|" * 300_000 + "x", '"' * 300_000, "[" + "-" * 300_000 + "1]", "[1if 2]"])
def test_a_hostile_cell_takes_no_time(cell):
    """The work grows with the length of a cell, not with its square, and Python's opinion is kept quiet."""
    started = time.monotonic()
    addresses(cell)
    assert time.monotonic() - started < 2
