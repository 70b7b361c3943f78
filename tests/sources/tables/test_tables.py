"""Tables in and out."""

import gzip

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lookalike.errors import UsageError
from lookalike.sources.tables import open_table, read_metadata, write_vectors
from lookalike.types import Batch, Record


def table(tmp_path, text, name="t.csv"):
    file = tmp_path / name
    file.write_text(text, encoding="utf-8")
    return file


def batches(n=5, dim=3):
    rng = np.random.default_rng(0)
    vectors = rng.standard_normal((n, dim)).astype(np.float32)
    records = [Record(f"ü/{i}.jpg", "walk", 1, 1, b"d" * 16, 1, 1) for i in range(n)]
    return [Batch(records[:2], vectors[:2]), Batch(records[2:], vectors[2:])], vectors


def test_columns_have_the_type_of_all_their_values(tmp_path):
    """Integers, numbers and text are told apart by the whole column; an empty cell is no value."""
    file = table(tmp_path, "path,n,x,t,code\na.jpg,1,1.5,2,007\nb.jpg,-2,3,two,12\nc.jpg,,,,\n")
    assert read_metadata(file) == {
        "a.jpg": {"n": 1, "x": 1.5, "t": "2", "code": "007"},
        "b.jpg": {"n": -2, "x": 3.0, "t": "two", "code": "12"},
        "c.jpg": {},
    }


def test_words_that_python_reads_as_numbers_stay_text(tmp_path):
    """`nan`, `inf`, `1_000` and a bare sign are text, and so is an integer of more than 64 bits."""
    words = ["nan", "inf", "1_000", "-", ".", "e5", str(2**64)]
    names = "abcdefg"
    file = table(tmp_path, f"path,{','.join(names)}\nx,{','.join(words)}\n")
    assert read_metadata(file)["x"] == dict(zip(names, words, strict=True))


@pytest.mark.parametrize("header", ["Path", "FILE", "filename", "image", "id"])
def test_the_path_column_goes_by_several_names(tmp_path, header):
    """The column of the path is found whatever its case."""
    assert read_metadata(table(tmp_path, f"brand,{header}\nx,a.jpg\n")) == {"a.jpg": {"brand": "x"}}


def test_the_column_of_the_path_can_be_told(tmp_path):
    """Then no usual name is looked for; and a table is read as it is divided, by semicolons, too."""
    file = table(tmp_path, "id;url;price\n1;http://x/1.jpg;5\n2;http://x/2.jpg;\n")
    assert read_metadata(file, "url") == {
        "http://x/1.jpg": {"id": 1, "price": 5},
        "http://x/2.jpg": {"id": 2},
    }
    assert set(read_metadata(file)) == {"1", "2"}
    with pytest.raises(UsageError, match="no column 'link'; it has: id, url, price"):
        read_metadata(file, "link")


@pytest.mark.parametrize(
    ("name", "text", "columns"),
    [
        ("t.txt", "a.png\nb.png\n", ("1",)),
        ("t.txt", "photos/a\nphotos/b\n", ("1",)),
        ("t.txt", "DSC1\nDSC2\n", ("1",)),
        ("t.txt", "URL\nhttp://x/1\n", ("URL",)),
        ("t.txt", "path\na.png\n", ("path",)),
        ("t.txt", "sku\tpicture\n1\ta.png\n", ("sku", "picture")),
        ("t.csv", "a.png,5\nb.png,6\n", ("1", "2")),
        ("t.csv", "5;b.JPEG \n6;c.jpeg\n", ("1", "2")),
        ("t.csv", "sku,w/h,picture.id\n1,2,3\n", ("sku", "w/h", "picture.id")),
        ("t.tsv", "a.webp\n", ("1",)),
    ],
)
def test_a_first_line_that_is_no_header(tmp_path, name, text, columns):
    """It holds an address, the name of a picture, or, alone in a line of text, no usual name of a column."""
    opened = open_table(table(tmp_path, text, name))
    assert opened.columns == columns
    assert len(list(opened.rows(columns))) == text.count("\n") - (columns[0] != "1")


def test_tab_separated_tables_with_a_byte_order_mark(tmp_path):
    """A .tsv file is split at tabs, and a mark at its start is no part of the first name."""
    file = table(tmp_path, "\ufeffpath\tb\na.jpg\tx, y\n", "t.tsv")
    assert read_metadata(file) == {"a.jpg": {"b": "x, y"}}


@pytest.mark.parametrize(("text", "says"), [("a,b\n1,2\n", "found a, b"), ("", "an empty file")])
def test_a_table_without_paths_is_refused(tmp_path, text, says):
    """The message names the columns that were expected and those that are there."""
    with pytest.raises(UsageError, match=says):
        read_metadata(table(tmp_path, text))


def test_a_table_that_is_no_text_is_refused(tmp_path):
    """Bytes that are not UTF-8 give an error and no traceback."""
    (tmp_path / "t.csv").write_bytes(b"path\n\xff\xfe\n")
    with pytest.raises(UsageError, match="can't be read"):
        read_metadata(tmp_path / "t.csv")


def test_npz_holds_ids_and_vectors(tmp_path):
    """The arrays `ids` and `vectors` come back, read without pickle."""
    given, vectors = batches()
    assert write_vectors(tmp_path / "v.npz", given, 3) == 5
    with np.load(tmp_path / "v.npz", allow_pickle=False) as back:
        assert back["ids"].tolist() == [f"ü/{i}.jpg" for i in range(5)]
        assert back["vectors"].dtype == np.float32
        np.testing.assert_array_equal(back["vectors"], vectors)


def test_npz_of_nothing(tmp_path):
    """An empty gallery exports arrays of no rows."""
    assert write_vectors(tmp_path / "v.npz", [], 3) == 0
    with np.load(tmp_path / "v.npz", allow_pickle=False) as back:
        assert back["vectors"].shape == (0, 3)


def test_csv_and_parquet_hold_the_same_numbers(tmp_path):
    """Every float32 survives both formats exactly."""
    given, vectors = batches()
    write_vectors(tmp_path / "v.csv", given, 3)
    write_vectors(tmp_path / "v.parquet", given, 3)
    lines = (tmp_path / "v.csv").read_text(encoding="utf-8").splitlines()
    numbers = np.array([line.split(",")[1:] for line in lines[1:]], dtype=np.float32)
    np.testing.assert_array_equal(numbers, vectors)
    columns = pq.read_table(tmp_path / "v.parquet").to_pydict()
    np.testing.assert_array_equal(np.array(columns["vector"], np.float32), vectors)


def test_a_failed_export_leaves_the_old_file(tmp_path):
    """Until everything is written the file that was there stays, and no other file is left."""
    given, _ = batches()
    write_vectors(tmp_path / "v.npz", given, 3)
    before = (tmp_path / "v.npz").read_bytes()

    def broken():
        yield given[0]
        raise RuntimeError

    with pytest.raises(RuntimeError):
        write_vectors(tmp_path / "v.npz", broken(), 3)
    assert (tmp_path / "v.npz").read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["v.npz"]


@pytest.mark.parametrize(
    ("name", "says"), [("v.xls", "can't be written to a name"), ("no/v.npz", "there is no folder")]
)
def test_places_that_can_not_be_written(tmp_path, name, says):
    """An unknown ending and a missing folder are told apart."""
    with pytest.raises(UsageError, match=says):
        write_vectors(tmp_path / name, [], 3)


def _broken_gzip():
    content = bytearray(gzip.compress(b"a,b\n" + bytes(range(97, 120)) * 9_000))
    content[40:60] = b"\xff" * 20
    return bytes(content)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("deep.json", b"[" * 200_000),
        ("deep.jsonl", b"[" * 200_000),
        ("broken.csv.gz", _broken_gzip()),
        ("broken.json.gz", _broken_gzip()),
        ("broken.jsonl.gz", _broken_gzip()),
        ("quote.csv", b'a,b\n"x"y,2\n'),
        ("broken.parquet", b"PAR1" + b"x" * 100 + b"PAR1"),
    ],
)
def test_a_damaged_table_is_one_error(tmp_path, name, content):
    """Whatever is wrong with a table, the error says that it can't be read as one."""
    file = tmp_path / name
    file.write_bytes(content)
    with pytest.raises(UsageError, match="can't be read as a table"):
        list(open_table(file).rows(("a",)))


def test_odd_parquet(tmp_path):
    """Two columns of one name, and text that is none, are told."""
    file = tmp_path / "t.parquet"
    pq.write_table(pa.Table.from_arrays([pa.array([1]), pa.array([2])], names=["a", "a"]), file)
    with pytest.raises(UsageError, match="one name"):
        open_table(file)
    text = pa.Array.from_buffers(pa.string(), 1, pa.array([b"\xff"], pa.binary()).buffers())
    pq.write_table(pa.table({"a": text}), file)
    with pytest.raises(UsageError, match="not UTF-8"):
        list(open_table(file).rows(("a",)))
