"""Answers while other processes write: of one state of one gallery, in order, or an error that says so."""

from __future__ import annotations

import numpy as np
import pytest

from lookalike import Gallery
from lookalike.errors import StoreBusy, StoreChanged, UsageError
from lookalike.search.search import Nearest, fitting, of_one_gallery
from lookalike.search.stages import Asked, Distinct, Records, Route


@pytest.fixture
def rows(tmp_path):
    """A gallery of twenty vectors, nearest first to (1, 0), of which the first twelve are one file."""
    ids = [f"{i:02}" for i in range(20)]
    angles = np.linspace(0.1, 1, 20)
    vectors = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    with Gallery.open(gallery=tmp_path / "rows") as gallery:
        gallery.add_vectors((ids, vectors))
        gallery.update({id_: {"lot": min(int(id_), 12)} for id_ in ids[11:]})
        gallery.update({id_: {"lot": 0} for id_ in ids[:11]})
        yield gallery


def test_a_deeper_look_into_a_later_state_stays_in_order(rows):
    """What came in between two looks stands where it belongs, not behind what the first look saw."""
    query = np.array([[1, 0]], np.float32)
    looks = []

    def rank(depth):
        looks.append(depth)
        if len(looks) == 2:
            rows.add_vectors((["new"], np.array([[1, 0.01]], np.float32)))
        return Nearest(rows.store.search(query, depth)[0], paper=False)

    way = Route(rank, [Distinct(("lot",))], Asked("a vector"), rows.store.header.space, Records(rows.store))
    chosen = way.best(3)
    assert len(looks) > 1
    assert [candidate.id for candidate in chosen] == ["new", "00", "11"]
    scores = [candidate.score for candidate in chosen]
    assert scores == sorted(scores, reverse=True)


def test_a_gallery_that_is_replaced_once_is_asked_anew(gallery):
    """A question whose gallery another model takes over in the middle is answered by the new one."""
    asked = []

    def ask(header):
        asked.append(header.space.dim)
        if len(asked) == 1:
            gallery.reindex("toy?grid=2")
        return fitting(gallery.vectors(["red.png"]), header.space.dim)

    assert of_one_gallery(gallery.store, ask).shape == (1, 12)
    assert asked == [3, 12]


def test_a_gallery_that_is_replaced_again_and_again_is_busy(gallery):
    """After some tries it is said in words; nothing goes round for ever."""
    models = iter(["toy?grid=2", "toy?grid=3"] * 20)

    def ask(header):
        gallery.reindex(next(models))
        raise UsageError(f"queries do not have {header.space.dim} numbers")

    with pytest.raises(StoreBusy, match="replaced 5 times while it was asked; ask again"):
        of_one_gallery(gallery.store, ask)


def test_other_errors_are_not_tried_again(gallery):
    """A fault of the question or of the code comes out at once."""
    asked = []

    def ask(error):
        def fail(header):
            asked.append(header)
            raise error

        return fail

    for error in (ValueError("shapes"), UsageError("no words")):
        with pytest.raises(type(error)):
            of_one_gallery(gallery.store, ask(error))
    assert len(asked) == 2
    with pytest.raises(StoreChanged, match="3 numbers, expected 4"):
        fitting(np.zeros((1, 3), np.float32), 4)
