"""The same calls on the embedded store and in the cluster: the same ids, the same scores."""

from __future__ import annotations

from contextlib import ExitStack
from itertools import product

import numpy as np
import pytest

from lookalike import stores
from lookalike.errors import FilterError, NotFound, UsageError
from lookalike.stores import where as where_language
from lookalike.types import Classes, Condition, Folder, Header, Skipped, Space, State, Term

CLASSES = Classes(("n1", "n2", "n3", "n4"), ("tabby cat", "tiger cat", "dog", "crane"))


def _header(**changes):
    fields = {"extractor": "toy", "digest": "0" * 64, "dim": 8, "metric": "cosine", "precision": "f32"}
    classes = changes.pop("classes", None)
    return Header(Space(**{**fields, "normalized": True, "row_type": "float32", **changes}), "", classes)


@pytest.fixture
def pair(tmp_path, elasticsearch_address):
    """Opens a gallery of a header in a folder, and one in the cluster; both are closed in the end."""
    with ExitStack() as stack:

        def make(header):
            addresses = (str(tmp_path / "gallery"), elasticsearch_address)
            made = [stores.open_store(address, create=header) for address in addresses]
            for store in made:
                stack.callback(store.close)
            return made

        yield make


def _same_neighbours(found, expected):
    """Equal scores, and equal ids but for those that tie."""
    assert len(found) == len(expected)
    for mine, theirs in zip(found, expected, strict=True):
        np.testing.assert_allclose(mine.scores, theirs.scores, atol=1e-3)
        assert len(mine.ids) == len(set(mine.ids)) == len(theirs.ids)
        scores = dict(zip(theirs.ids, theirs.scores.tolist(), strict=True))
        last = theirs.scores[-1] if len(theirs.scores) else 0
        for id_, score in zip(mine.ids, mine.scores.tolist(), strict=True):
            assert abs(scores.get(id_, last) - score) < 1e-3


def _same_searches(pair, queries, where=()):
    for k, exact in product((0, 1, 7, 1000), (False, True)):
        theirs, mine = (store.search(queries, k, where=where, exact=exact) for store in pair)
        _same_neighbours(mine, theirs)


def _same_everything(pair):
    """Whatever can be read of two stores."""
    theirs, mine = pair
    assert list(mine.states()) == list(theirs.states())
    assert mine.skipped() == theirs.skipped()
    assert mine.removed() == theirs.removed()
    assert mine.folders() == theirs.folders()
    assert mine.fields() == theirs.fields()
    assert mine.count() == theirs.count()
    batches = [[*store.scan(batch=7)] for store in pair]
    records = [[record for batch in some for record in batch.records] for some in batches]
    assert records[1] == records[0]
    ids = [record.id for record in records[0]]
    np.testing.assert_allclose(mine.vectors(ids), theirs.vectors(ids), atol=1e-6)
    assert mine.get(ids) == theirs.get(ids)
    digests = [record.digest for record in records[0]]
    found = [store.by_digest([*digests, b"?" * 16]) for store in pair]
    assert {d: sorted(ids) for d, ids in found[1].items()} == {d: sorted(ids) for d, ids in found[0].items()}
    assert mine.check() == theirs.check() == []


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"dim": 70},
        {"row_type": "float16"},
        {"metric": "cosine", "normalized": False},
        {"metric": "euclidean", "dim": 16, "normalized": False},
        {"metric": "euclidean", "dim": 70},
        {"metric": "inner", "normalized": False},
        {"metric": "inner", "normalized": False, "dim": 70},
    ],
)
def test_search(pair, changes, a_record, unit_vectors):
    """By every metric both find the same with the same scores, vectors and queries of zeros included."""
    header = _header(**changes)
    both = pair(header)
    vectors = unit_vectors(300, header.space.dim)
    if not header.space.normalized:
        vectors *= np.random.default_rng(1).uniform(0.01, 9, (300, 1)).astype(np.float32)
    vectors[[3, 90, 91]] = 0
    vectors[5] = vectors[4]
    for store in both:
        assert store.write([a_record(f"{i % 3}/{i}.jpg", width=i) for i in range(300)], vectors) == []
    queries = np.concatenate([vectors[:6], -vectors[7:8], unit_vectors(3, header.space.dim, 9)])
    _same_searches(both, queries)
    _same_searches(both, queries, [Condition("width", ">=", (150,)), Condition("folder", "=", ("1",))])
    _same_everything(both)


def test_visual_words(pair, a_record):
    """A gallery of class scores under the inner product gives the paper's score, in the order of numpy."""
    classes = Classes(tuple(f"n{i}" for i in range(1000)), tuple(f"name {i}" for i in range(1000)))
    header = _header(dim=1000, metric="inner", normalized=False, classes=classes, visual_words=True)
    both = pair(header)
    rng = np.random.default_rng(0)
    scores = rng.dirichlet(np.full(1000, 0.02), 200).astype(np.float32)
    for store in both:
        assert store.write([a_record(f"{i:03}.jpg") for i in range(200)], scores) == []
    truth = scores[:9].astype(np.float64) @ scores.astype(np.float64).T
    for query, found in zip(truth, both[1].search(scores[:9], 200), strict=True):
        order = [int(id_[:3]) for id_ in found.ids]
        np.testing.assert_allclose(found.scores, query[order], atol=1e-5)
        np.testing.assert_allclose(found.scores, np.sort(query)[::-1], atol=1e-5)
    _same_searches(both, scores[:5])


def test_latent(pair, a_record):
    """A gallery of 16 numbers a picture under the euclidean distance: far and near, large and small."""
    both = pair(_header(dim=16, metric="euclidean", normalized=False))
    vectors = np.random.default_rng(0).normal(size=(200, 16)).astype(np.float32)
    vectors *= np.float32(10) ** np.random.default_rng(1).integers(-3, 4, (200, 1))
    for store in both:
        assert store.write([a_record(f"{i}.jpg") for i in range(200)], vectors) == []
    for theirs, mine in zip(*(store.search(vectors[:40], 200) for store in both), strict=True):
        np.testing.assert_allclose(mine.scores, theirs.scores, rtol=1e-6, atol=1e-3)
        apart = -np.diff(theirs.scores) > 2e-3 - 2e-6 * theirs.scores[1:]
        alone = np.append(True, apart) & np.append(apart, True)
        assert alone.mean() > 0.5
        assert list(np.array(mine.ids)[alone]) == list(np.array(theirs.ids)[alone])


FILTERED = [
    [],
    ["folder=2024"],
    ["folder!=2024"],
    ["folder=2024/05"],
    ["folder=."],
    ["folder=/"],
    ["folder!=/"],
    ["folder=/mnt"],
    ["folder=2024", "folder=b"],
    ["name=a.jpg"],
    ["name!=a.jpg"],
    ["name<c"],
    ["width>=3"],
    ["width<3.5"],
    ["width=3.5"],
    ["width!=3"],
    ["width>1e300"],
    ["width<1e300"],
    ["height>-5"],
    ["taken>=2024-05"],
    ["taken<2024-05"],
    ["taken=2024-05"],
    ["taken!=2024-05"],
    ["taken<=2024-05"],
    ["taken>2024-05"],
    ["price<2.5"],
    ["price<=2.5"],
    ["price>=0"],
    ["price<0"],
    ["price=0"],
    ["price!=0"],
    ["price>1"],
    ["count=9223372036854775807"],
    ["count>9007199254740993"],
    ["count<=9007199254740992"],
    ["count>=1e19"],
    ["count<-9.3e18"],
    ["brand=acme"],
    ["brand!=acme"],
    ["brand>acme"],
    ["brand~ACM"],
    ["brand~&"],
    ["name~.JPG"],
    ["name~A", "folder~/"],
    ["folder~24"],
    ["taken~2024"],
    ["brand>=a"],
    [Condition("brand", "<=", ("",))],
    ["brand=acme", "brand=\N{OWL} & co"],
    ["made in=Italy"],
    ["made in!=Italy", "width>2"],
    ['"a.b"=x'],
    ['"*"="*"'],
    ['"é ü.ö"=1'],
    ["_id>0"],
]


def _various(a_record):
    ids = ["a.jpg", "c.jpg", "2024/a.jpg", "2024/05/b.jpg", "2024b/c.jpg", "b/a//d.jpg", "b/\N{OWL}.jpg"]
    ids += ["/mnt/a.jpg", "/e.jpg", "http://host/a.jpg", "./f.jpg", "~folders", "a b/%41+.jpg"]
    facts = [
        {"taken": "2024-05-01T10:00:00", "price": 2.5, "brand": "acme", "count": 2**63 - 1},
        {"taken": "2024-04-30", "price": 2, "brand": "acm", "count": 2**53 + 1, "made in": "Italy"},
        {"taken": "2024", "price": 0.0, "brand": "\N{OWL} & co", "count": -(2**63), "made in": "Spain"},
        {"taken": "2024-06", "price": -0.0, "brand": "zeta\uffff", "count": 2**53, "a.b": "x", "*": "*"},
        {"price": -1e-300, "brand": "zeta\U0001f600", "é ü.ö": 1, "_id": 5, "": "empty", " ": "blank"},
        {"price": 1e308, "brand": "", "x" * 300: "long name", "long": "y" * 9000, 'quote"\\': "'"},
    ]
    return [
        a_record(id_, width=i, height=-i, metadata=facts[i] if i < len(facts) else {})
        for i, id_ in enumerate(ids)
    ]


def test_filters(pair, a_record, unit_vectors):
    """Every kind of condition passes the same pictures, which are those that `where.matches` says."""
    both = pair(_header())
    records = _various(a_record)
    vectors = unit_vectors(len(records))
    for store in both:
        assert store.write(records, vectors) == []
    fields = both[0].fields()
    assert both[1].fields() == fields
    for conditions in FILTERED:
        where = where_language.typed(where_language.parse(conditions), fields)
        expected = sorted(r.id for r in records if where_language.matches(where, _values(r)))
        found = [[r.id for batch in store.scan(where=where) for r in batch.records] for store in both]
        assert found[0] == expected, conditions
        assert found[1] == expected, conditions
        theirs, mine = (store.search(vectors[:1], 20, where=where) for store in both)
        _same_neighbours(mine, theirs)
    _same_everything(both)
    for store in both:
        with pytest.raises(FilterError, match="no field 'nope'"):
            store.search(vectors[:1], 3, where=[Condition("nope", "=", (1,))])
        with pytest.raises(FilterError, match="can't be compared by <"):
            store.search(vectors[:1], 3, where=[Condition("folder", "<", ("a",))])


def _values(record):
    folder, _, name = record.id.rpartition("/")
    folder = folder or ("/" if record.id.startswith("/") else "")
    return {"folder": folder, "name": name, "width": record.width, "height": record.height, **record.metadata}


def test_changes(pair, a_record, unit_vectors):
    """Updated, touched, skipped, removed, forgotten: both remember the same after each step."""
    both = pair(_header(classes=CLASSES))
    records = [
        a_record(
            f"{'ba'[i % 2]}/{i}.jpg",
            scores=(("n1", 0.5), ("n2", 0.25), ("n3", 0.0)),
            thumbnail=b"\xff\x00" * i,
        )
        for i in range(60)
    ]
    ids = [record.id for record in records]
    vectors = unit_vectors(60)
    steps = [
        lambda s: s.write(records, vectors),
        lambda s: s.write([*records[:3], records[2]], vectors[[9, 9, 9, 10]]),
        lambda s: s.update({ids[3]: {"price": 1.5, "brand": "x"}, "nobody": {"odd": 1}}),
        lambda s: s.update({ids[3]: {"price": 3}, ids[4]: {"price": 2}}),
        lambda s: s.touch([State(ids[5], "picture", "file", 7, 8), State("nobody", "picture", "file", 7, 8)]),
        lambda s: s.skip([Skipped(ids[5], 1, 2, "broken"), Skipped("new.jpg", 3, 4, "too \N{OWL} large")]),
        lambda s: s.delete([ids[6], ids[6], "nobody"]),
        lambda s: s.delete([ids[7], "new.jpg", "never seen"], keep_out=True),
        lambda s: s.set_folders([Folder("", 9), Folder("a/", 2**40)]),
        lambda s: s.write([records[7], records[5]], vectors[[7, 5]]),
        lambda s: s.forget([ids[8], "new.jpg", "never seen"]),
        lambda s: s.delete([]),
        lambda s: s.write([], np.zeros((0, 8), np.float32)),
    ]
    for step in steps:
        results = [step(store) for store in both]
        assert results[0] == results[1]
        _same_everything(both)
        _same_neighbours(both[1].search(vectors[:4], 100), both[0].search(vectors[:4], 100))
    for store in both:
        assert store.find([Term("x", frozenset())], 5)[0].id == ids[3]
        with pytest.raises(NotFound, match="'nobody'"):
            store.vectors([ids[0], "nobody"])
        assert store.vectors([]).shape == (0, 8)
        assert store.vectors([ids[1], ids[0], ids[1]]).shape == (3, 8)


@pytest.mark.parametrize("length", [511, 512, 513, 2_000, 32_766])
def test_long_ids(pair, length, a_record, unit_vectors):
    """Ids of any length that a term can have are kept whole, wherever an `_id` ends."""
    both = pair(_header())
    stem = "\N{OWL}/" + "x" * (length - len("\N{OWL}/".encode()) - 1)
    ids = [stem + "a", stem + "b", "~" + stem[: max(1, length - 20)], "~folders", "~builder"]
    assert len(ids[0].encode()) == length
    vectors = unit_vectors(len(ids))
    for store in both:
        assert store.write([a_record(id_) for id_ in ids], vectors) == []
        store.set_folders([Folder("", 1)])
    _same_everything(both)
    _same_neighbours(both[1].search(vectors, 5), both[0].search(vectors, 5))
    for store in both:
        assert store.delete(ids[:1]) == 1
        assert store.get(ids[:2])[0] is None
        assert store.get(ids[1:2])[0] is not None
    _same_everything(both)


def test_impossible_ids(pair, a_record, unit_vectors):
    """An id that can't be kept is refused by itself, with the reason; the others are written."""
    theirs, mine = pair(_header())
    odd = ["x" * 40_000, "", "nul\0", "half \ud800", "a/" * 1001 + "b", "good.jpg"]
    records = [a_record(id_, digest=b"0" * 16) for id_ in odd]
    refused = mine.write(records, unit_vectors(len(odd)))
    assert [skip.id for skip in refused] == odd[:-1]
    assert "32,766 bytes" in refused[0].reason
    assert "1,000 folders" in refused[4].reason
    assert [state.id for state in mine.states()] == ["good.jpg"]
    assert [skip.id for skip in theirs.write(records, unit_vectors(len(odd)))] == odd[1:4]
    mine.skip(refused)
    assert mine.get(odd) == [None] * 5 + mine.get(["good.jpg"])
    assert mine.delete(odd[:-1], keep_out=True) == 0


def test_misfits(pair, a_record, unit_vectors):
    """What one store refuses of a record or its metadata the other refuses too, with the same words."""
    both = pair(_header(classes=CLASSES))
    records = [
        a_record("a", scores=(("n9", 0.5),)),
        a_record("b", scores=(("n1", 1.5),)),
        a_record("c", scores=(("n1", 0.5), ("n1", 0.25))),
        a_record("d"),
        a_record("e"),
        a_record("f"),
    ]
    vectors = unit_vectors(6)
    vectors[3] *= 2
    vectors[4, 0] = np.nan
    results = [store.write(records, vectors) for store in both]
    assert results[0] == results[1]
    assert [skip.id for skip in results[0]] == ["a", "b", "c", "d", "e"]
    wrong = [{"width": 1}, {"x": 2**64}, {"x": float("nan")}, {"x": True}, {"price": "much"}, {"x\ud800": 1}]
    for store in both:
        store.update({"f": {"price": 1}})
        assert store.write([a_record("f")], unit_vectors(1)) == []
    for metadata in wrong:
        messages = []
        for store in both:
            with pytest.raises(UsageError) as caught:
                store.write([a_record("g", metadata=metadata)], unit_vectors(1))
            with pytest.raises(UsageError):
                store.update({"f": metadata})
            messages.append(str(caught.value))
        assert messages[0] == messages[1]
    _same_everything(both)


def test_empty(pair, unit_vectors):
    """An empty gallery answers every question with nothing."""
    both = pair(_header())
    for store in both:
        assert store.search(unit_vectors(2), 5)[1].ids == []
        assert store.search(np.zeros((0, 8), np.float32), 5) == []
        assert store.find([Term("x", frozenset())], 5) == []
        assert list(store.scan()) == []
        assert store.by_digest([b"0" * 16]) == {}
    _same_everything(both)


def test_written_is_found(pair, a_record, unit_vectors):
    """A picture is found by digest, words and vector as soon as it is written, and not once it is gone."""
    for store in pair(_header()):
        for i in range(3):
            store.write([a_record(f"{i} zebra.jpg", digest=b"d" * 16)], unit_vectors(1, seed=i))
            assert store.by_digest([b"d" * 16]) == {b"d" * 16: [f"{j} zebra.jpg" for j in range(i + 1)]}
            assert store.search(unit_vectors(1, seed=i), 1)[0].ids == [f"{i} zebra.jpg"]
        store.write([a_record("0 zebra.jpg", digest=b"e" * 16)], unit_vectors(1))
        store.delete(["1 zebra.jpg"])
        assert store.by_digest([b"d" * 16]) == {b"d" * 16: ["2 zebra.jpg"]}
        assert len(store.find([Term("zebra", frozenset())], 5)) == 2
