"""Which rows of tables were met before."""

import sqlite3
import tracemalloc
from contextlib import closing

import pytest

from lookalike.errors import StoreUnavailable
from lookalike.sources.table import Seen


def test_a_text_is_new_once():
    """Each text is new the first time alone, an empty one, a long one and one beyond ASCII among them."""
    texts = ["", "a", "ä", "a" * 100_000, "s3://bucket/a.png", "日本.png"]
    with closing(Seen()) as seen:
        assert [seen.add(text) for text in texts] == [True] * len(texts)
        assert [seen.add(text) for text in texts] == [False] * len(texts)
        assert seen.add("b")


def test_many_texts_are_told_apart_as_a_set_does():
    """Texts of which every third comes again are new where a set of Python's says so."""
    texts = [f"pictures/{number - number % 3}.jpg" for number in range(30_000)]
    known: set[str] = set()
    with closing(Seen()) as seen:
        for text in texts:
            assert seen.add(text) == (text not in known)
            known.add(text)


def test_what_was_seen_takes_little_memory():
    """Every text is new once, takes 36 bytes at most in the table, and less than one of Python's memory."""
    texts = [f"http://example.org/{number}.jpg" for number in range(50_000)]
    with closing(Seen()) as seen:
        tracemalloc.start()
        assert all(map(seen.add, texts))
        held, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert not any(map(seen.add, texts))
        (pages,) = seen._connection.execute("PRAGMA page_count").fetchone()
        (page,) = seen._connection.execute("PRAGMA page_size").fetchone()
    assert pages * page <= 36 * len(texts)
    assert held < len(texts)


def test_it_takes_no_text_once_it_is_closed():
    """The table is gone when it is closed: it can't be asked any more."""
    seen = Seen()
    assert seen.add("a")
    seen.close()
    with pytest.raises(sqlite3.ProgrammingError):
        seen.add("b")


def test_a_full_disk_is_said_in_words():
    """Where the temporary table can't grow, the error says so and what to do about it."""
    with closing(Seen()) as seen:
        seen._connection.execute("PRAGMA max_page_count = 4")
        with pytest.raises(StoreUnavailable, match=r"can't be kept.*full.*make room there.*SQLITE_TMPDIR"):
            all(map(seen.add, map(str, range(10_000))))
