"""What is written: refused rows, fields, ids, words, states."""

from __future__ import annotations

import numpy as np
import pytest

from lookalike.errors import UsageError
from lookalike.types import Skipped, State, Term


def test_refused_rows(store, record, units):
    """A row that can't be kept is refused with the reason, and the others are written."""
    vectors = units(5)
    vectors[1, 0] = np.nan
    vectors[2] *= 3
    records = [record(i) for i in range(5)]
    records[3] = record(3, scores=[("c9", 0.5)])
    reasons = {skip.id: skip.reason for skip in store.write(records, vectors)}
    assert list(reasons) == ["p/000001.jpg", "p/000002.jpg", "p/000003.jpg"]
    assert "numbers that are none" in reasons["p/000001.jpg"]
    assert "length 3, expected 1" in reasons["p/000002.jpg"]
    assert "class 'c9'" in reasons["p/000003.jpg"]
    assert store.count() == 2


@pytest.mark.parametrize(
    "odd",
    [
        {"width": -1, "height": -(2**63)}, {"width": 2**63 - 1, "size": -1, "mtime_ns": -(2**63)},
        {"digest": b""}, {"digest": b"x" * 64}, {"digest": b"x" * 65},
        {"format": "F" * 64}, {"format": "F" * 65},
        {"thumbnail": b""}, {"thumbnail": b"x" * (1 << 19)}, {"thumbnail": b"x" * ((1 << 19) + 1)},
        {"decoder": 2**62}, {"metadata": {"": "", " ": -0.0}}, {"metadata": {"x" * 9000: "y" * 99_999}},
        {"scores": (("c0", 1.0009),)}, {"scores": (("c0", 1.1),)},
    ],
    ids="-".join,
)  # fmt: skip
def test_what_is_taken_comes_back(store, record, units, odd):
    """A record is refused when it is written, or it can be read ever after; `check` finds no fault in it."""
    one = record("odd.jpg", **odd)
    refused = store.write([one], units(1))
    if refused:
        assert store.count() == 0
        return
    (back,) = store.get(["odd.jpg"])
    assert (back.width, back.height, back.digest, back.format) == (
        one.width,
        one.height,
        one.digest,
        one.format,
    )
    assert store.check() == []


def test_the_last_of_one_id_counts(store, record, units):
    """Of two records with one id in a batch the last stays."""
    store.write([record("a", width=1), record("a", width=2)], units(2))
    assert (store.count(), store.get(["a"])[0].width) == (1, 2)


def test_records_come_back(store, record, units):
    """Everything in a record comes back as it was, odd ids, metadata and thumbnail included."""
    ids = ["a b/\N{OWL}\n'\"%_.jpg", "x" * 4000, "https://host/p?q=1&r=%20", "é", "e\u0301"]
    metadata = {"taken": "2024-05-01T10:00:00", "price": 2.5, "count": 2**62, "brand": "o'hara"}
    records = [
        record(
            id_, source="url", metadata=metadata, scores=(("c1", 0.75), ("c0", 0.000001)), thumbnail=b"\0jpg"
        )
        for id_ in ids
    ]
    assert store.write(records, units(5)) == []
    assert store.get(ids) == records


def test_sources_have_names(store, record, units):
    """Another package's source comes back by its name; an array with a size is one of CIFAR's."""
    records = [record("a", source="mbox"), record("b", source="array", size=9), record("c", source="cifar")]
    records += [record("d", source="array", size=0)]
    assert store.write(records, units(4)) == []
    names = ["mbox", "cifar", "cifar", "array"]
    assert [one.source for one in store.get(list("abcd"))] == names
    assert [state.source for state in store.states()] == names
    assert "its source is called" in store.write([record("e", source="No Name")], units(1))[0].reason
    assert store.check() == []


def test_field_types_are_fixed_at_first_import(store, record, units):
    """A later value of another type is refused by name, and nothing of that write stays."""
    store.write([record(1, metadata={"price": 2.5, "brand": "acme"})], units(1))
    assert store.fields()["price"] == "real"
    with pytest.raises(UsageError, match="field price is real since its first value, and 'dear' is not"):
        store.write([record(2), record(3, metadata={"price": "dear"})], units(2))
    with pytest.raises(UsageError, match="width is a field every picture has by itself"):
        store.update({"p/000001.jpg": {"width": 3}})
    assert store.update({"p/000001.jpg": {"price": 3}}) == 1
    assert store.count() == 1
    assert store.get(["p/000001.jpg"])[0].metadata == {"price": 3, "brand": "acme"}


def test_states_are_one_sorted_snapshot(store, record, units):
    """Pictures, skipped and removed paths come sorted by code points, undisturbed by later writes."""
    ids = ["b", "B", "\N{OWL}", "\uffff", "a/z", "a-z"]
    store.write([record(id_) for id_ in ids], units(6))
    store.skip([Skipped("broken", 1, 2, "why")])
    store.delete(["B"], keep_out=True)
    states = store.states()
    first = next(states)
    store.delete(["\N{OWL}"])
    rest = list(states)
    assert first == State("B", "removed", "walk", 10, 20)
    assert [s.id for s in rest] == sorted([*ids, "broken"])[1:]


def test_a_picture_becomes_skipped_and_comes_back(store, record, units):
    """A skipped path takes a picture's place, a picture a skipped or removed path's."""
    store.write([record("a"), record("b")], units(2))
    store.skip([Skipped("a", 5, 6, "broken now")])
    store.delete(["b"], keep_out=True)
    assert (store.count(), store.removed(), store.skipped()[0].reason) == (0, ["b"], "broken now")
    store.write([record("a"), record("b")], units(2))
    assert (store.count(), store.removed(), store.skipped()) == (2, [], [])


def test_words_of_names(store, record, units):
    """Parts of camel case, numbers, underscores and folders are found, as phrases and by stem."""
    store.write([record("Trips2024/BeachDays_07.jpg"), record("other/IMG1234.png")], units(2))

    def found(text):
        return [match.id for match in store.find([Term(text, frozenset())], 5)]

    for text in ("beach day", "BeachDays_07", "trips", "2024 beach", "beachdays", "trip"):
        assert found(text) == ["Trips2024/BeachDays_07.jpg"], text
    assert found("img1234") == found("1234") == ["other/IMG1234.png"]
    for text in ("day beach", "", '"', "* OR NEAR(", "path:beach", "-", "\0"):
        assert found(text) == [], text


def test_find_by_the_stated_formula(store, record, units):
    """A term scores 1 − (1 − c)(1 − t/2), several the geometric mean; each must be satisfied."""
    rows = {
        "red.jpg": [("c0", 0.6), ("c1", 0.2)],
        "x.jpg": [("c0", 0.6), ("c1", 0.3)],
        "y.jpg": [("c1", 0.9), ("c0", 0.005)],
        "z.jpg": [("c2", 0.9)],
    }
    store.write([record(id_, scores=tuple(scores)) for id_, scores in rows.items()], units(4))
    red, green = Term("red", frozenset({"c0"})), Term("green", frozenset({"c1", "c2"}))
    by_red = store.find([red], 9)
    assert [(m.id, round(m.score, 6), m.classes, m.text) for m in by_red] == [
        ("red.jpg", 0.8, 0.6, 1.0),
        ("x.jpg", 0.6, 0.6, 0.0),
    ]
    both = store.find([red, green], 9)
    assert [(m.id, round(m.score, 6)) for m in both] == [
        ("x.jpg", round((0.6 * 0.3) ** 0.5, 6)),
        ("red.jpg", round((0.8 * 0.2) ** 0.5, 6)),
    ]
    assert [m.id for m in store.find([red], 9, only="text")] == ["red.jpg"]
    assert [m.score for m in store.find([red], 9, only="classes")] == [0.6, 0.6]
    assert store.find([red], 1, only="classes")[0].id == "red.jpg"
    assert store.find([Term("nothing", frozenset({"no such class"}))], 9) == []
