"""The embedded store against the contract that every store is held to."""

from __future__ import annotations

import itertools

import pytest

from lookalike import stores
from lookalike.errors import NotFound
from lookalike.testing import check_store


def test_contract(tmp_path):
    """The embedded store keeps every promise, for every metric, type of row, with and without classes."""
    number = itertools.count()
    check_store(lambda header: stores.open_store(tmp_path / str(next(number)), create=header))


def test_contract_finds_a_broken_store(tmp_path):
    """A store that forgets a picture it was given does not pass."""

    def broken(header):
        store = stores.open_store(tmp_path, create=header)
        whole = store.write
        store.write = lambda records, vectors: whole(records[1:], vectors[1:])
        return store

    with pytest.raises(AssertionError, match="59 pictures, expected 60"):
        check_store(broken)


def test_nothing_there(tmp_path):
    """Opening what is not there is an error and makes nothing."""
    with pytest.raises(NotFound, match="there is no gallery in"):
        stores.open_store(tmp_path / "nothing")
    assert not stores.exists(tmp_path / "nothing")
    assert list(tmp_path.iterdir()) == []


def test_scheme(tmp_path, header):
    """A scheme that is a plug-in's name picks it; a folder with a colon in its name stays a folder."""
    stores.open_store(f"sqlite:{tmp_path / 'a'}", create=header()).close()
    stores.open_store(tmp_path / "odd:name ?#%41\n", create=header()).close()
    assert stores.exists(tmp_path / "a")
    assert (tmp_path / "odd:name ?#%41\n" / "gallery.sqlite").is_file()


def test_light_import(tmp_path, store, record, units, subprocess_python):
    """Listing states, header and counts of a gallery loads neither numpy nor faiss."""
    store.write([record(1)], units(1))
    code = (
        "import sys; from lookalike.stores import open_store; s = open_store(sys.argv[1]);"
        "list(s.states()), s.header, s.count(), s.skipped(), s.refresh(), s.set_folders([]), s.close();"
        "print(sorted({'numpy', 'faiss', 'PIL'} & set(sys.modules)))"
    )
    assert subprocess_python(code, store.address) == "[]\n"
