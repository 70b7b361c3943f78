"""Numbers, texts and blobs that a stranger put into a gallery's tables are never believed."""

from __future__ import annotations

import json
import sqlite3
import struct
from contextlib import closing

import numpy as np
import pytest
from PIL import Image

from lookalike import Gallery
from lookalike.errors import FilterError, ModelMismatch, NotFound, StoreCorrupt
from lookalike.stores import open_store
from lookalike.stores import where as where_language
from lookalike.types import Folder, Skipped, Term

INF = float("inf")
QUERY = np.eye(1, 8, dtype=np.float32)


def changed(store, *statements):
    """Change a gallery's file behind its store's back, tables and all."""
    store.close()
    with closing(sqlite3.connect(store.path)) as connection:
        for statement in statements:
            connection.execute(*((statement,) if isinstance(statement, str) else statement))
        connection.commit()
    return store.address


@pytest.fixture
def full(store, record, units):
    """A gallery with a line in every table."""
    scores = (("c0", 0.5), ("c2", 0.25))
    metadata = [{"price": i + 0.5, "made": "oak", "lot": i} for i in range(9)]
    store.write([record(i, metadata=metadata[i], scores=scores) for i in range(9)], units(9))
    store.skip([Skipped("broken.jpg", 1, 2, "broken")])
    store.delete(["p/000008.jpg"], keep_out=True)
    store.set_folders([Folder("", 7)])
    return store


QUESTIONS = {
    "search": lambda store: [found.ids for found in store.search(QUERY, 5)],
    "filter": lambda store: store.search(QUERY, 9, where=_where(store, "price<6", "height>1"))[0].ids,
    "find": lambda store: [match.id for match in store.find([Term("red", frozenset({"c0"}))], 9)],
    "text": lambda store: store.find([Term("oak", frozenset())], 9),
    "count": lambda store: store.count(),
    "states": lambda store: list(store.states()),
    "scan": lambda store: [batch.records for batch in store.scan()],
    "vectors": lambda store: store.vectors(["p/000003.jpg"]).tolist(),
    "get": lambda store: store.get(["p/000003.jpg"]),
    "aside": lambda store: (store.skipped(), store.removed(), store.folders(), store.fields()),
    "digest": lambda store: store.by_digest([b"3---------------"]),
}


def _where(store, *conditions):
    return where_language.typed(where_language.parse(list(conditions)), store.fields())


def answers(store):
    """The answer to each question; None where it is an error in words."""
    found = {}
    for name, ask in QUESTIONS.items():
        try:
            found[name] = ask(store)
        except StoreCorrupt as error:
            assert "lookalike check" in str(error)  # noqa: PT017
            found[name] = None
        except (NotFound, FilterError):
            found[name] = "not there"
    return found


HARMS = [
    "UPDATE live SET count = 0",
    "UPDATE live SET count = 'many'",
    f"UPDATE live SET commits = {2**63 - 1}",
    "UPDATE live SET commits = -1",
    "DELETE FROM live",
    "INSERT INTO live SELECT * FROM live",
    "UPDATE paths SET size = 'big' WHERE id = 'p/000003.jpg'",
    "UPDATE paths SET mtime_ns = 1e300 WHERE id = 'p/000003.jpg'",
    "UPDATE paths SET source = -1 WHERE id = 'p/000003.jpg'",
    "UPDATE paths SET source = 77 WHERE id = 'p/000003.jpg'",
    "UPDATE paths SET source = 'No Name' WHERE id = 'p/000003.jpg'",
    "UPDATE paths SET status = -1 WHERE id = 'p/000003.jpg'",
    "UPDATE paths SET status = 'picture' WHERE id = 'p/000003.jpg'",
    "UPDATE paths SET row = 77 WHERE id = 'p/000003.jpg'",
    "UPDATE paths SET row = 2 WHERE id = 'p/000003.jpg'",
    "UPDATE paths SET row = NULL WHERE id = 'p/000003.jpg'",
    "UPDATE paths SET id = x'00ff' WHERE id = 'p/000003.jpg'",
    "UPDATE paths SET id = 'a' || char(0) || 'b' WHERE id = 'p/000003.jpg'",
    "UPDATE paths SET id = CAST(x'ff41' AS TEXT) WHERE id = 'p/000003.jpg'",
    "UPDATE paths SET reason = x'00' WHERE status = 1",
    "UPDATE pictures SET width = 'wide' WHERE row = 4",
    "UPDATE pictures SET height = 1e400 WHERE row = 4",
    "UPDATE pictures SET height = x'01' WHERE row = 4",
    "UPDATE pictures SET digest = 'text' WHERE row = 4",
    "UPDATE pictures SET id = 'p/000001.jpg' WHERE row = 4",
    "UPDATE pictures SET name = 'another.jpg' WHERE row = 4",
    "UPDATE pictures SET scores = x'0102' WHERE row = 4",
    "UPDATE pictures SET scores = x'ffff01000000' WHERE row = 4",
    "UPDATE pictures SET scores = x'0000ffffffff' WHERE row = 4",
    "UPDATE pictures SET scores = 'abcdef' WHERE row = 4",
    "UPDATE pictures SET thumbnail = 'text' WHERE row = 4",
    "UPDATE pictures SET thumbnail = zeroblob(30000000) WHERE row = 4",
    "UPDATE pictures SET decoder = 'new' WHERE row = 4",
    "UPDATE pictures SET format = x'00' WHERE row = 4",
    f"UPDATE pictures SET row = {2**63 - 1} WHERE row = 4",
    "DELETE FROM pictures WHERE row = 4",
    "DELETE FROM vectors WHERE row = 4",
    "UPDATE vectors SET row = -4 WHERE row = 4",
    "UPDATE vectors SET vector = zeroblob(15) WHERE row = 4",
    "UPDATE vectors SET vector = 'sixteen letters!' WHERE row = 4",
    "UPDATE vectors SET vector = 16 WHERE row = 4",
    ("UPDATE vectors SET vector = ? WHERE row = 4", (np.full(8, np.nan, np.float16).tobytes(),)),
    ("UPDATE vectors SET vector = ? WHERE row = 4", (np.full(8, -np.inf, np.float16).tobytes(),)),
    ("UPDATE vectors SET vector = ? WHERE row = 4", (np.full(8, np.inf, np.float16).tobytes(),)),
    "INSERT INTO vectors VALUES (99, zeroblob(16))",
    "UPDATE facts SET value = 'dear' WHERE row = 4 AND field = 'price'",
    "UPDATE facts SET value = x'07' WHERE row = 4 AND field = 'price'",
    ("UPDATE facts SET value = ? WHERE row = 4 AND field = 'price'", (INF,)),
    ("UPDATE facts SET value = ? WHERE row = 4 AND field = 'price'", (-INF,)),
    "UPDATE facts SET value = 7 WHERE row = 4 AND field = 'made'",
    "UPDATE facts SET value = 1.5 WHERE row = 4 AND field = 'lot'",
    "UPDATE facts SET field = 'unknown' WHERE row = 4 AND field = 'price'",
    "UPDATE fields SET type = 'complex' WHERE name = 'price'",
    "UPDATE fields SET type = 7 WHERE name = 'price'",
    "UPDATE fields SET name = 'width' WHERE name = 'price'",
    "DELETE FROM fields WHERE name = 'price'",
    "UPDATE folders SET device = 'disk'",
    "UPDATE folders SET prefix = x'00'",
    "UPDATE postings SET part = 20000000 WHERE row = 4",
    "UPDATE postings SET part = 'all' WHERE row = 4",
    ("UPDATE postings SET score = ? WHERE row = 4", (INF,)),
    "UPDATE postings SET score = 'much' WHERE row = 4",
    f"UPDATE postings SET score = {2**63 - 1} WHERE row = 4",
    "UPDATE postings SET score = -5 WHERE row = 4",
    "UPDATE postings SET class = class + 70000 WHERE row = 4",
    "DELETE FROM postings WHERE row = 4",
    "INSERT INTO words (rowid, path, text) VALUES (9223372036854775807, 'red', '')",
    "DELETE FROM words WHERE rowid = 4",
    "UPDATE words SET path = 'red' WHERE rowid = 4",
    "UPDATE sqlite_sequence SET seq = 9223372036854775807",
    "UPDATE sqlite_sequence SET seq = 2",
    "UPDATE sqlite_sequence SET seq = 'last'",
    "DELETE FROM sqlite_sequence",
]
"""Ways to make a gallery wrong of which each can be put right."""


UNSEEN = {
    "DELETE FROM postings WHERE row = 4": {"find"},
    "UPDATE postings SET class = class + 70000 WHERE row = 4": {"find"},
    "DELETE FROM words WHERE rowid = 4": {"find", "text"},
    "UPDATE words SET path = 'red' WHERE rowid = 4": {"find"},
    "UPDATE pictures SET digest = 'text' WHERE row = 4": {"digest"},
    f"UPDATE pictures SET row = {2**63 - 1} WHERE row = 4": {"find", "text", "filter"},
    "UPDATE paths SET id = x'00ff' WHERE id = 'p/000003.jpg'": {"get", "vectors"},
    "UPDATE paths SET id = 'a' || char(0) || 'b' WHERE id = 'p/000003.jpg'": {"get", "vectors"},
    "UPDATE paths SET id = CAST(x'ff41' AS TEXT) WHERE id = 'p/000003.jpg'": {"get", "vectors"},
    "DELETE FROM fields WHERE name = 'price'": {"aside", "filter"},
    "DELETE FROM pictures WHERE row = 4": {"find", "text", "digest"},
    "UPDATE facts SET field = 'unknown' WHERE row = 4 AND field = 'price'": {"filter"},
}
"""What no answer can show to be wrong, for it is not there: check alone finds it."""


@pytest.mark.parametrize("harm", HARMS, ids=str)
def test_a_wrong_value(full, harm):
    """A wrong value is an error in words, or no answer depends on it; check finds it, repair mends it."""
    right = answers(full)
    assert None not in right.values()
    address = changed(full, harm)
    again = open_store(address)
    wrong = {
        name: answer
        for name, answer in answers(again).items()
        if answer is not None and answer != right[name] and name not in UNSEEN.get(harm, ())
    }
    assert wrong == {}
    assert again.check()
    done = []
    assert again.check(repair=True, told=done.append) == []
    assert done
    assert None not in answers(again).values()
    again.delete(["p/000001.jpg"])
    again.close()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("dim", value) for value in (0, -8, 2**24 + 1, 2**70, "8", 8.0, None, True)),
        *(("metric", value) for value in ("", "a b", None, 7, ["cosine"])),
        *(("row_type", value) for value in ("float64", None, 16)),
        *(("precision", value) for value in ("f64", None)),
        *(("normalized", value) for value in ("yes", 1, None)),
        *(("visual_words", value) for value in (True, 0)),
        *(("vocabulary", value) for value in ("french", 5, ["names"])),
        *(("root", value) for value in ("a\0b", 5, "\ud800")),
        *(("extractor", value) for value in ("\0", None)),
        ("more", 1),
    ],
)
def test_a_header_that_cannot_be(full, name, value):
    """A header that says what none says is an error in words when the gallery is opened."""
    full.close()
    with closing(sqlite3.connect(full.path)) as connection:
        content = json.loads(connection.execute("SELECT content FROM header").fetchone()[0])
        connection.execute("UPDATE header SET content = ?", (json.dumps(content | {name: value}),))
        connection.commit()
    with pytest.raises(StoreCorrupt, match="header can't be read"):
        open_store(full.address)


@pytest.mark.parametrize("metric", ["none", "haversine"])
def test_a_metric_that_is_none(full, metric):
    """A metric that there is not is found by check, and an error in words where vectors are compared."""
    again = open_store(changed(full, f"UPDATE header SET content = replace(content, 'cosine', '{metric}')"))
    with pytest.raises(StoreCorrupt, match=f"{metric!r} is no metric"):
        again.search(QUERY, 3)
    assert any("metric can't be used" in line for line in again.check())
    again.close()


def test_a_size_that_is_not_the_models(tmp_path):
    """A header whose vectors are not of the model's size is told before a picture is compared."""
    Image.new("RGB", (8, 8), "red").save(tmp_path / "red.png")
    with Gallery.open(tmp_path, model="toy") as gallery:
        gallery.add()
    changed(gallery.store, "UPDATE header SET content = replace(content, '\"dim\": 3', '\"dim\": 6')")
    Image.new("RGB", (8, 8), "blue").save(tmp_path / "query.png")
    with (
        Gallery.open(tmp_path) as gallery,
        pytest.raises(ModelMismatch, match="have 6 numbers, those of its model toy have 3"),
    ):
        gallery.search(tmp_path / "query.png")


def circles(path, table):
    """Make the pages of a table lead to each other, so that it has 30¹⁸ rows."""
    content = bytearray(path.read_bytes())
    with closing(sqlite3.connect(path)) as connection:
        query = f"SELECT rootpage FROM sqlite_master WHERE name = '{table}'"
        root = connection.execute(query).fetchone()[0]
        size = connection.execute("PRAGMA page_size").fetchone()[0]
    page = content[(root - 1) * size : root * size]
    count = struct.unpack_from(">H", page, 3)[0]
    cells = [struct.unpack_from(">H", page, 12 + 2 * i)[0] for i in range(count)]
    leaves = [struct.unpack_from(">I", page, cell)[0] for cell in cells]
    way = [root, *leaves[:18]]
    for one, following in zip(way, [*leaves[:18], leaves[20]], strict=True):
        for place in [8, *cells]:
            struct.pack_into(">I", page, place, following)
        content[(one - 1) * size : one * size] = page
    path.write_bytes(content)


@pytest.mark.parametrize("table", ["vectors", "pictures"])
def test_pages_that_lead_in_circles(open_at, tmp_path, header, record, units, table):
    """A table whose pages lead to each other ends every question, in words or with an answer."""
    store = open_at(tmp_path / "circles", header(dim=64, classes=None))
    store.write([record(i) for i in range(6000)], units(6000, 64))
    store.close()
    circles(store.path, table)
    again = open_at(store.address)
    query = np.eye(1, 64, dtype=np.float32)
    told = []
    for ask in (
        lambda: again.search(query, 3),
        lambda: again.search(query, 3, exact=True),
        lambda: again.search(query, 3, where=_where(again, "name=none")),
        lambda: list(again.scan()),
        lambda: again.vectors(["p/000007.jpg"]),
        again.count,
        again.refresh,
    ):
        try:
            ask()
        except StoreCorrupt as error:
            told.append(str(error))
    assert len(told) > 2
    assert all("lookalike check" in line for line in told)
    assert "the file is damaged" in again.check()[0]
    done = []
    assert again.check(repair=True, told=done.append)
    assert "nothing, for the file is damaged" in done[0]


def test_an_endless_sum_of_values(store, record, units):
    """A value that is larger than any of ours is refused before it is read."""
    store.write([record(i) for i in range(3)], units(3))
    address = changed(store, "UPDATE pictures SET id = printf('%.*c', 80000000, 'x') WHERE row = 2")
    again = open_store(address)
    with pytest.raises(StoreCorrupt, match="lookalike check"):
        again.search(QUERY, 3)
    assert again.check()
    again.close()


@pytest.mark.parametrize(
    "harm",
    [
        ("keys", lambda keys: keys[::-1]),
        ("keys", lambda keys: np.full_like(keys, 7)),
        ("keys", lambda keys: keys + 2**40),
        ("factors", lambda factors: factors * np.float32(np.nan)),
        ("mean", lambda mean: mean * np.float32(np.nan)),
        *(("rows", value) for value in (1, 0, 2**40)),
        *(("last", value) for value in (1, 2**61)),
        *(("calibrated", value) for value in (2**61,)),
        *(("farthest", value) for value in (0.0, 1e5)),
        *(("nearest", value) for value in (2.0,)),
        *(("spread", value) for value in (float("inf"),)),
        ("dim", 2**40),
    ],
    ids=lambda harm: f"{harm[0]}-{harm[1]}"[:30],
)
def test_codes_that_cannot_be(filled, harm):
    """Codes and their numbers that can't be are not used: the answers are those of the exact search."""
    store, vectors = filled
    expected = store.search(vectors[:9], 5, exact=True)
    store.close()
    name, value = harm
    if callable(value):
        path = next(store.cache.folder.glob(f"*.{name}"))
        value(np.fromfile(path, np.int64 if name == "keys" else np.float32)).tofile(path)
    else:
        path = store.cache.folder / "head.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | {name: value}))
    again = open_store(store.address)
    assert [one.ids for one in again.search(vectors[:9], 5)] == [one.ids for one in expected]
    again.close()


@pytest.mark.parametrize("name", ["seed", "nearest"])
def test_codes_of_other_numbers(filled, name):
    """Numbers of the codes that could be, and are not these, are found by check, and made again by repair."""
    store, _ = filled
    store.close()
    path = store.cache.folder / "head.json"
    content = json.loads(path.read_text())
    path.write_text(json.dumps(content | {name: 5 if name == "seed" else content["farthest"]}))
    again = open_store(store.address)
    assert "the cache of codes is wrong" in again.check()[0]
    done = []
    assert again.check(repair=True, told=done.append) == []
    assert done == ["the cache of codes was made again"]
    again.close()
