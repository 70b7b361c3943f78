"""Pictures found by words in a folder and in the cluster: the same, in the same order, scored alike."""

from __future__ import annotations

import uuid
from contextlib import ExitStack, contextmanager
from itertools import product

import numpy as np
import pytest

from lookalike import stores
from lookalike.errors import UsageError
from lookalike.types import Classes, Condition, Header, Space, Term

CLASSES = Classes(("n1", "n2", "n3", "n4"), ("tabby cat", "tiger cat", "dog", "crane"))
HEADER = Header(Space("toy", "0" * 64, 8, "cosine", "f32", True, "float32"), "", CLASSES)


@contextmanager
def _two(folder, elasticsearch):
    """A gallery in a folder, and one in the cluster that is deleted in the end."""
    name = f"test-{uuid.uuid4().hex}"
    with ExitStack() as stack:
        stack.callback(elasticsearch.delete, name)
        places = (str(folder / "gallery"), elasticsearch.address(name))
        made = [stores.open_store(place, create=HEADER) for place in places]
        for store in made:
            stack.callback(store.close)
        yield made


@pytest.fixture
def both(tmp_path, elasticsearch):
    """Two empty galleries."""
    with _two(tmp_path, elasticsearch) as made:
        yield made


TERMS = [
    [Term("cat", frozenset({"n1", "n2"}))],
    [Term("dog", frozenset({"n3"}))],
    [Term("crane", frozenset({"n4"})), Term("cat", frozenset({"n1", "n2"}))],
    [Term("running dogs", frozenset())],
    [Term("Ran", frozenset())],
    [Term("BEACH day", frozenset())],
    [Term("bea", frozenset())],
    [Term("run", frozenset()), Term("cat", frozenset({"n2"}))],
    [Term("beach da", frozenset())],
    [Term("beach d", frozenset())],
    [Term("IMG1", frozenset())],
    [Term("do", frozenset({"n3"}))],
    [Term("bea", frozenset()), Term("dog", frozenset())],
    [Term("cafe", frozenset())],
    [Term("img 12", frozenset())],
    [Term("IMG12", frozenset())],
    [Term("nothing at all", frozenset())],
    [Term("!!", frozenset())],
    [Term("dog", frozenset({"n3"})), Term("beach", frozenset()), Term("cat", frozenset({"n1"}))],
    [Term("nowhere", frozenset({"unknown class"}))],
]


@pytest.mark.parametrize("terms", TERMS, ids=lambda terms: " + ".join(term.text for term in terms))
@pytest.mark.parametrize("only", [None, "classes", "text"])
def test_find(found_in, terms, only):
    """Words give the same pictures in the same order, with the same score and the same parts of it."""
    theirs, mine = found_in
    for k, where in product((1, 5, 1000), ((), [Condition("width", "<", (90,))])):
        expected = theirs.find(terms, k, where=where, only=only)
        found = mine.find(terms, k, where=where, only=only)
        assert [match.id for match in found] == [match.id for match in expected]
        np.testing.assert_allclose([m[1:] for m in found], [m[1:] for m in expected], atol=1e-9)


@pytest.fixture(scope="module")
def found_in(tmp_path_factory, elasticsearch, a_record, unit_vectors):
    """A gallery of 700 pictures of class scores and words, in a folder and in the cluster."""
    rng = np.random.default_rng(0)
    places = (
        "beach",
        "BeachDay",
        "running-dogs",
        "Café",
        "cafe\N{COMBINING ACUTE ACCENT}s",
        "dog",
        "IMG12_cat",
    )
    notes = ("a dog runs", "crane", "cats and dogs", "Straße", "beach\nday", "")
    records = []
    for i in range(700):
        raw = rng.dirichlet(np.full(4, 0.3))
        scores = sorted(zip(CLASSES.ids, raw.tolist(), strict=True), key=lambda pair: -pair[1])
        note = {"note": notes[i % 6]} if i % 3 else {}
        id_ = f"{places[i % 7]}/{places[(i // 7) % 7]} {i % 5}.jpg" if i % 2 else f"{i}.jpg"
        # Every second one ties with others in whatever is looked for.
        kept = scores if i % 4 < 2 else [("n3", 0.5), ("n1", 0.25)]
        records.append(a_record(f"{i}-{id_}", width=i, metadata=note, scores=tuple(kept)))
    with _two(tmp_path_factory.mktemp("found"), elasticsearch) as both:
        for store in both:
            assert store.write(records, unit_vectors(700)) == []
        yield both


def test_find_many_ties(both, a_record, unit_vectors):
    """Where hundreds of pictures tie, those of the smallest ids are given, by whatever they tie."""
    scores = [(("n1", 0.5), ("n2", 0.004)) if i % 3 else (("n2", 0.009), ("n3", 0.02)) for i in range(900)]
    records = [a_record(f"cat {(i * 7919) % 900:03}.jpg", scores=scores[i]) for i in range(900)]
    for store in both:
        store.write(records, unit_vectors(900))
    for term in (Term("cat", frozenset({"n1", "n2"})), Term("cat", frozenset({"n2"}))):
        theirs, mine = (store.find([term], 250) for store in both)
        assert mine == theirs
        assert len(mine) == 250


def test_too_many_terms(both):
    """More words than can be joined, and an unknown part, are refused by both."""
    for store in both:
        with pytest.raises(UsageError, match="31 words are too many"):
            store.find([Term("a", frozenset())] * 31, 3)
        with pytest.raises(UsageError, match="only 'tags'"):
            store.find([Term("a", frozenset())], 3, only="tags")
