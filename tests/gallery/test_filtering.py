"""What is said where no picture passes a filter."""

from __future__ import annotations

import pytest

from lookalike import Gallery
from lookalike.errors import FilterError

SHELVES = {"a": 7, "b": 8, "c": 9, "d": 7}


@pytest.fixture
def shop(tmp_path):
    """A gallery of four vectors with fields."""
    with Gallery.open(tmp_path) as gallery:
        gallery.add_vectors((list(SHELVES), [[1.0, 2.0], [2.0, 1.0], [1.0, 1.0], [0.0, 1.0]]))
        gallery.update({id_: {"shelf": shelf, "title": f"Straße {id_}"} for id_, shelf in SHELVES.items()})
        yield gallery


@pytest.mark.parametrize(
    ("where", "said"),
    [
        ("shelf=12", ["no picture has shelf = 12; shelf is one of 7, 8, 9"]),
        ({"shelf": [1, 2]}, ["no picture has shelf = 1 or 2; shelf is one of 7, 8, 9"]),
        (
            ["shelf=7", "title~zzz"],
            ["no picture has title ~ zzz; title is one of Straße a, Straße b, Straße c, Straße d"],
        ),
        (
            ["shelf=8", "title~strasse c"],
            ["each of the filters is passed by some pictures, all of them together by none"],
        ),
        ("folder=x", ["no picture has folder = x"]),
    ],
)
def test_filters_that_nothing_passes(shop, where, said):
    """Each filter that no picture passes is named, with the values that the field has."""
    hits = shop.search("id:a", where=where)
    assert (list(hits), list(hits.notes)) == ([], said)
    assert shop.find("a", where=where).notes[-1] == said[-1]


def test_a_filter_that_pictures_pass(shop):
    """Where there are hits, or just the query passes, nothing is said; `~` knows no case."""
    assert [hit.id for hit in shop.search("id:a", where="title~STRASSE D")] == ["d"]
    assert shop.search("id:a", where="title~STRASSE").notes == ()
    assert shop.search("id:a", where="title~STRASSE A").notes == ()


@pytest.mark.parametrize(
    ("where", "said"),
    [
        ("shelf=seven", r"'seven' is no number\. shelf is one of 7, 8, 9\.$"),
        ("shelf~7", r"by ~: it holds whole numbers, not text\. shelf is one of 7, 8, 9\.$"),
        ("shel=7", r"no field shel to filter by\. Did you mean shelf\?"),
    ],
)
def test_a_filter_that_does_not_suit_its_field(shop, where, said):
    """The error says which values there are; of a field that is not there, which one may be meant."""
    with pytest.raises(FilterError, match=said):
        shop.search("id:a", where=where)


def test_of_many_values_the_most_frequent_are_named(shop):
    """Five values are named, the most frequent ones, and that there are others."""
    shop.add_vectors(([f"n{i}" for i in range(20)], [[float(i + 1), 2.0] for i in range(20)]))
    shop.update({f"n{i}": {"price": i // 2 if i < 12 else 100 + i} for i in range(20)})
    (said,) = shop.search("id:a", where="price=1000").notes
    assert said == "no picture has price = 1000; price is one of 0, 1, 2, 3, 4 and others"
