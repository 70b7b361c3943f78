"""Galleries of an earlier format: read as they are, brought up to date by the first write.

`format_1.tar.xz` was written by the last version that knew format 1 alone: `small` has a bit of everything,
`coded` 5,200 pictures, 40 of each of 130 vectors, with their codes. The archives of later formats hold
the same, and in `small` what their format knows besides.
"""

from __future__ import annotations

import sqlite3
import tarfile
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest

from lookalike.stores.sqlite import schema
from lookalike.stores.sqlite.schema import FORMAT
from lookalike.types import Folder, Record, Skipped, Term

FORMATS = range(1, FORMAT + 1)
DECODED = {1: (0, ""), 2: (7, "PNG")}
"""The decoder and the format of the picture 3, by the gallery's format."""
INDEXED = {1: 0, 2: 17}


@pytest.fixture(params=FORMATS)
def format_(request):
    """A format of galleries."""
    return request.param


@pytest.fixture
def old(tmp_path, format_):
    """The folder of a gallery of a format, by its name in the archive."""
    with tarfile.open(Path(__file__).with_name(f"format_{format_}.tar.xz")) as archive:
        archive.extractall(tmp_path / "old", filter="data")
    return lambda name: tmp_path / "old" / name


def _tables(folder):
    connection = sqlite3.connect(folder / "gallery.sqlite")
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    definitions = {sql for (sql,) in connection.execute("SELECT sql FROM sqlite_master")}
    connection.close()
    return version, definitions


def _everything(store):
    """All that can be asked of `small` without a change."""
    vectors = store.vectors([record.id for batch in store.scan() for record in batch.records])
    return (
        [record for batch in store.scan() for record in batch.records],
        vectors.tolist(),
        [found.ids for found in store.search(vectors[:3], 5, where=())],
        [match.id for match in store.find([Term("green", frozenset({"c1"}))], 3)],
        list(store.states()),
        store.skipped(),
        store.removed(),
        store.folders(),
        store.fields(),
        store.count(),
    )


def test_every_format_is_kept():
    """There is an archive for every format up to the present one, and a migration to each later one."""
    archives = sorted(path.name for path in Path(__file__).parent.glob("format_*.tar.xz"))
    assert archives == [f"format_{number}.tar.xz" for number in FORMATS]
    assert list(schema._MIGRATIONS) == list(FORMATS)[1:]


def test_columns_are_the_fields_of_a_record():
    """What later formats gave to pictures has the names of a record's last fields, in their order."""
    names = [added.column.name for added in schema.ADDED]
    assert [field.name for field in fields(Record)][-len(names) :] == names


def test_read_as_it_is(old, open_at, format_):
    """A gallery of any format is read, searched and checked without a change; what it lacks is unknown."""
    before = _tables(old("small"))
    store = open_at(old("small"))
    records = store.get(["p/000003.jpg", "p/000000.jpg", "none"])
    assert [(r.decoder, r.format) for r in records if r] == [DECODED[format_], (0, "")]
    assert (records[0].thumbnail, records[0].source, records[0].metadata["price"]) == (b"small", "url", 1.5)
    assert len(_everything(store)[0]) == 19
    assert (store.skipped(), store.folders()) == (
        [Skipped("broken.jpg", 7, 8, "not a picture")],
        [Folder("", 7)],
    )
    assert (store.header.format, store.indexed_ns) == (format_, INDEXED[format_])
    assert store.check() == []
    store.close()
    assert _tables(old("small")) == before
    assert before[0] == format_


def test_brought_up_to_date(old, open_at, record, units, header, tmp_path, format_):
    """The first write gives an older gallery today's tables, loses nothing, and keeps its identity."""
    store, reader = open_at(old("small")), open_at(old("small"))
    before, token = _everything(store), store.token
    store.touch([])
    assert _everything(store) == before == _everything(reader)
    assert store.token == reader.token == token
    assert store.check() == []
    store.write([replace(record(77), decoder=1, format="PNG")], units(1))
    assert [(r.decoder, r.format) for r in reader.get(["p/000077.jpg"])] == [(1, "PNG")]
    open_at(tmp_path / "new", header())
    assert _tables(old("small")) == _tables(tmp_path / "new")
    again = open_at(old("small"))
    assert (again.header.format, again.token, again.count()) == (FORMAT, token, 20)
    assert again.indexed_ns == INDEXED[format_]


def test_codes_stay(old, open_at, record):
    """The codes of an older gallery serve before and after it is brought up to date."""
    store = open_at(old("coded"))
    base = np.sign(np.random.default_rng(2).normal(size=(130, 64))).astype(np.float32) / 8
    for written in (False, True):
        if written:
            store.write([record("last", mtime_ns=3)], base[:1])
            assert store.count() == 5201
        for query, found in zip(base[5:9], store.search(base[5:9], 40), strict=True):
            assert np.allclose(found.scores, 1, atol=1e-3)
            assert {int(id_.removesuffix(".jpg")) % 130 for id_ in found.ids} == {
                int(np.argmax(base @ query))
            }
        assert store.check() == []


@pytest.mark.parametrize("name", ["small", "coded"])
def test_rebuilt(old, open_at, name):
    """A gallery of any format that is built anew is of today's format, and keeps identity and lists."""
    store = open_at(old(name))
    token, folders = store.token, store.folders()
    with store.writing(), store.replacement(store.header.with_space(digest="1" * 64)) as fresh:
        for batch in store.scan():
            fresh.write(batch.records, batch.vectors)
    again = open_at(old(name))
    assert (again.header.format, again.token, again.folders()) == (FORMAT, token, folders)
    assert again.header.space.digest == "1" * 64
    assert again.check() == []


def test_read_only(old, subprocess_python, format_):
    """A gallery of any format in a folder that can't be written is read as it is."""
    folder = old("small")
    for path in [p for p in folder.parents if p.name.startswith(("pytest", "popen", "test"))]:
        path.chmod(0o755)
    for path in [folder, *folder.iterdir()]:
        path.chmod(0o555 if path.is_dir() else 0o444)
    code = (
        "import os, sys, numpy.fft, faiss, lookalike.stores.sqlite.checking\n"
        "import lookalike.stores.sqlite.searching\n"
        "from lookalike.stores import open_store\n"
        "if os.getuid() == 0: os.setuid(65534)\n"
        "store = open_store(sys.argv[1]); query = store.vectors(['p/000007.jpg'])\n"
        "print(store.search(query, 1)[0].ids, store.check(), store.header.format)\n"
    )
    try:
        assert subprocess_python(code, str(folder)) == f"['p/000007.jpg'] [] {format_}\n"
    finally:
        for path in [folder, *folder.iterdir()]:
            path.chmod(0o755)
