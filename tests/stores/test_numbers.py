"""Numbers, texts and blobs that a stranger put into a gallery's tables are never believed."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import numpy as np
import pytest

from lookalike import where as where_language
from lookalike.errors import FilterError, NotFound, StoreCorrupt
from lookalike.stores import open_store
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
    "UPDATE pictures SET width = -5 WHERE row = 4",
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
