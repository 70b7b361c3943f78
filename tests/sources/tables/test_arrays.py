"""Arrays from files: what their heads claim is not believed."""

from __future__ import annotations

import os
import struct
import zipfile

import numpy as np
import pytest

from lookalike import Gallery
from lookalike.errors import UsageError
from lookalike.indexing import vectors as imported
from lookalike.sources.tables import read_vector


def with_head(head, content=b"", version=b"\x01\x00"):
    """A file in numpy's format of any head."""
    text = head.encode() if isinstance(head, str) else head
    return b"\x93NUMPY" + version + struct.pack("<H", len(text)) + text + content


def claiming(shape, descr="'<f4'", content=b""):
    """One that claims a shape."""
    return with_head(f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}}}\n", content)


def saved(tmp_path, array):
    """The bytes that numpy writes for an array."""
    np.save(tmp_path / "saved.npy", array, allow_pickle=True)
    return (tmp_path / "saved.npy").read_bytes()


ODD = {
    "0-d": np.float32(7),
    "2-d": np.ones((1, 3), np.float32),
    "3-d": np.ones((1, 1, 3), np.float32),
    "empty": np.ones(0, np.float32),
    "whole numbers": np.ones(3, np.int64),
    "complex": np.ones(3, np.complex64),
    "text": np.array(["a", "b", "c"]),
    "dates": np.array(["2024-01-01"] * 3, "M8[D]"),
    "truth": np.ones(3, bool),
    "fields": np.zeros(3, [("a", "f4")]),
    "objects": np.array([1.0, None, "x"], object),
    "infinite": np.array([1, np.inf, 0], np.float32),
    "none": np.array([np.nan, 1, 0], np.float64),
    "too large": np.array([1e300, 1, 0], np.float64),
    "too many": np.ones(4, np.float32),
}
HEADS = {
    "nothing": b"",
    "no array": b"hello, world",
    "a zip": b"PK\x03\x04 and no more",
    "no head": b"\x93NUMPY\x01\x00",
    "version 9": with_head("{}", version=b"\x09\x00"),
    "endless": claiming("(9999999999999999,)"),
    "more than there is": claiming("(1000000,)", content=bytes(12)),
    "less than there is": claiming("(3,)", content=bytes(400)),
    "negative": claiming("(-3,)", content=bytes(12)),
    "large whole number": claiming(f"({10**30},)"),
    "true": claiming("(True,)", content=bytes(4)),
    "no tuple": claiming("3", content=bytes(12)),
    "deep": with_head("(" * 9000),
    "a call": with_head("{'descr': __import__('os').system('x'), 'fortran_order': False, 'shape': (3,)}"),
    "unknown type": claiming("(3,)", descr="'<q9'", content=bytes(12)),
    "no text": with_head(b"\xff\xfe{"),
    "open quotes": with_head("{'descr: "),
}


@pytest.fixture
def gallery(tmp_path):
    """A gallery of vectors of three numbers."""
    with Gallery.open(tmp_path / "pictures") as opened:
        opened.add_vectors((["a", "b"], np.eye(2, 3)))
        yield opened


@pytest.mark.parametrize("kind", [*ODD, *HEADS])
def test_a_query_that_is_no_vector(tmp_path, gallery, kind):
    """A query file that is not one vector of the gallery's size, all finite, is an error in words."""
    file = tmp_path / "query.npy"
    file.write_bytes(HEADS[kind] if kind in HEADS else saved(tmp_path, ODD[kind]))
    with pytest.raises(UsageError, match="query"):
        gallery.search(str(file))


@pytest.mark.parametrize("kind", ["f2", "<f4", ">f4", ">f8", "longdouble"])
def test_a_query_of_any_floating_numbers(tmp_path, gallery, kind):
    """Floating numbers of every size and order of bytes are read for what they are."""
    np.save(tmp_path / "query.npy", np.array([0, 1, 0], kind))
    assert [hit.id for hit in gallery.search(str(tmp_path / "query.npy"))] == ["b", "a"]


def test_a_pipe_and_a_sparse_file(tmp_path):
    """A pipe that is called as an array would be is not waited for, a file of a terabyte not read."""
    os.mkfifo(tmp_path / "pipe.npy")
    (tmp_path / "large.npy").write_bytes(claiming(f"({2**38},)"))
    os.truncate(tmp_path / "large.npy", 2**40)
    for name, words in (("pipe.npy", "no regular file"), ("large.npy", "more than the largest vector")):
        with pytest.raises(UsageError, match=words):
            read_vector(str(tmp_path / name))


IMPORTS = {
    "an endless ids": {"ids": claiming(f"({2**50},)", "'<U9'"), "vectors": claiming("(1, 3)")},
    "endless vectors": {"ids": claiming("(1,)", "'<U1'", b"a\0\0\0"), "vectors": claiming(f"(1, {2**50})")},
    "columns": {
        "ids": claiming("(1,)", "'<U1'", b"a\0\0\0"),
        "vectors": with_head(f"{{'descr': '<f4', 'fortran_order': True, 'shape': (1, {2**50})}}\n"),
    },
    "fewer": {"ids": claiming("(9,)", "'<U1'", bytes(36)), "vectors": claiming("(1, 3)", content=bytes(12))},
    "objects": {"ids": claiming("(1,)", "'|O'", bytes(8)), "vectors": claiming("(1, 3)", content=bytes(12))},
    "short": {"ids": claiming("(1,)", "'<U1'", b"a\0\0\0"), "vectors": claiming("(1, 3)", content=bytes(4))},
    "no ids": {"vectors": claiming("(1, 3)", content=bytes(12))},
}


@pytest.mark.parametrize("kind", IMPORTS)
def test_an_import_that_claims_what_is_not(tmp_path, gallery, kind):
    """Arrays to import that claim what they do not have are an error in words, and nothing comes in."""
    with zipfile.ZipFile(tmp_path / "vectors.npz", "w") as archive:
        for name, content in IMPORTS[kind].items():
            archive.writestr(f"{name}.npy", content)
    with pytest.raises(UsageError, match=r"vectors\.npz"):
        gallery.add_vectors(tmp_path / "vectors.npz")
    assert len(gallery) == 2


def test_a_table_of_numbers_that_repeat_themselves(tmp_path):
    """Of some kilobytes of Parquet, whose vectors unpack to a hundred megabytes, a few are held at once."""
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    dim, count = 1 << 20, 24
    vectors = pa.FixedSizeListArray.from_arrays(pa.array(np.zeros(dim * count, np.float32)), dim)
    table = pa.table({"id": [str(i) for i in range(count)], "vector": vectors})
    pq.write_table(table, tmp_path / "vectors.parquet", compression="zstd")
    assert (tmp_path / "vectors.parquet").stat().st_size < 10_000
    blocks = [len(block.ids) for block in imported.source(tmp_path / "vectors.parquet")()]
    assert sum(blocks) == count
    assert max(blocks) * dim * 4 <= 16 << 20
