"""Cells of tables: numbers in every notation, what is missing, what is text, and what is an error."""

import gzip
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lookalike import Gallery
from lookalike.errors import FilterError, UsageError
from lookalike.evaluation.labels import read_table
from lookalike.indexing.vectors import look, source
from lookalike.sources.fetch.wanted import read_wanted
from lookalike.sources.tables import open_table, read_metadata
from lookalike.sources.tables.cells import reader
from lookalike.stores.where import parse, typed
from lookalike.training.ranker import table_of


def read(cells, *, decimal_comma=False):
    """A column's values; None where there is none."""
    found = reader(cells, decimal_comma=decimal_comma)
    return [found(cell) for cell in cells]


@pytest.mark.parametrize(
    "missing",
    ["NA", "N/A", "n/a", "#N/A", "nan", "NaN", "NULL", "None", "-", "--", "—", "?", ".", "", " ", "#DIV/0!"],
)
def test_what_is_missing_makes_no_number_a_text(missing):
    """Numbers stay numbers whatever a program writes for one that is not there."""
    assert read(["9", missing, "10"]) == [9, None, 10]
    assert read(["9.5", missing]) == [9.5, None]
    assert read(["1,5", missing], decimal_comma=True) == [1.5, None]


@pytest.mark.parametrize(
    ("cells", "values"),
    [
        (["1,5", "10,25", "9,0"], [1.5, 10.25, 9.0]),
        (["1.234,50", "999,00", "-3,5", "0,5"], [1234.5, 999.0, -3.5, 0.5]),
        (["1.234", "12,5"], [1234.0, 12.5]),
        (["1.234.567", "5"], [1234567, 5]),
        (["1 234,50", "9,5"], [1234.5, 9.5]),
        (["1\u00a0234", "1\u202f234\u202f567"], [1234, 1234567]),
        (["1'234,5", "2’345,5"], [1234.5, 2345.5]),
        (["1.5", "2.25"], [1.5, 2.25]),
        (["1.234", "5.678"], [1.234, 5.678]),
        (["1,234.50", "2.5"], [1234.5, 2.5]),
        (["−5", "3"], [-5, 3]),
        ([" 7 ", "8"], [7, 8]),
        (["1,5", "1.5"], ["1,5", "1.5"]),
        (["1,2,3", "4"], ["1,2,3", "4"]),
        (["1.23,5", "4"], ["1.23,5", "4"]),
        (["491 234 567"], ["491 234 567"]),
        (["1,5 kg", "2"], ["1,5 kg", "2"]),
        (["007,5", "1,5"], ["007,5", "1,5"]),
    ],
)
def test_numbers_where_the_comma_is_decimal(cells, values):
    """A column is numbers if all of it is in one notation; else it is text, every cell as it stands."""
    found = read(cells, decimal_comma=True)
    assert found == values
    assert len({type(value) for value in found}) == 1


@pytest.mark.parametrize(
    ("cells", "values"),
    [
        (["1,234", "999"], [1234, 999]),
        (["1,234,567.25", "-1,000"], [1234567.25, -1000.0]),
        (["1'234.5", "7"], [1234.5, 7.0]),
        (["1 234.5", "7"], [1234.5, 7.0]),
        (["1,5", "2,5"], ["1,5", "2,5"]),
        (["1,23", "1"], ["1,23", "1"]),
        (["1.234,5"], ["1.234,5"]),
        (["1e3", "2.5E-1", ".5", "5."], [1000.0, 0.25, 0.5, 5.0]),
        (["+5", "-3"], [5, -3]),
    ],
)
def test_numbers_where_the_comma_separates(cells, values):
    """Marks between thousands are read; a comma before decimals would be one between two cells."""
    assert read(cells) == values


@pytest.mark.parametrize(
    "cells",
    [
        ["00123", "456"],
        ["00123", "NA"],
        ["12345678901234567890", "1"],
        ["9223372036854775808"],
        ["1e999", "1"],
        ["inf", "1"],
        ["1_000", "1"],
        ["TRUE", "FALSE"],
        ["2024-05-01", "2024-05-02"],
        ["01.05.2024", "02.05.2024"],
        ["1/2", "3"],
        ["٣", "1"],
        ["0x10", "1"],
    ],
)
def test_codes_dates_and_truths_stay_text(cells):
    """Leading zeros, more digits than 64 bits hold, dates, booleans, infinities: as they stand."""
    for decimal_comma in (False, True):
        assert [v for v in read(cells, decimal_comma=decimal_comma) if v is not None] == [
            cell for cell in cells if cell != "NA"
        ]


@pytest.mark.parametrize(
    ("cells", "values"),
    [
        (["acme", "NA", "N/A", ""], ["acme", None, None, None]),
        (["DE", "NA", "US"], ["DE", "NA", "US"]),
        (["none", "few", "-"], ["none", "few", "-"]),
        (["NA", "NA"], [None, None]),
        (["nan"], ["nan"]),
    ],
)
def test_what_is_missing_among_texts(cells, values):
    """NA is missing, but for a column of short codes, in which it is Namibia's; other words stay."""
    assert read(cells) == values


def written(folder, name, text):
    (folder / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    return folder / name


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_tables_as_spreadsheets_save_them(tmp_path, encoding, end):
    """With any mark and any ends of lines, quotes, empty lines, and names with blanks around them."""
    lines = ["path; price ;note;", '1.png;"1.234,50";"a;b";', "", '2.png;NA;"says ""hi""";', "3.png;7"]
    file = written(tmp_path, "t.csv", end.join(lines).encode(encoding))
    assert read_metadata(file) == {
        "1.png": {"price": 1234.5, "note": "a;b"},
        "2.png": {"note": 'says "hi"'},
        "3.png": {"price": 7.0},
    }


def test_a_row_with_too_many_cells_is_told(tmp_path):
    """A text with a separator in it and no quotes would move cells into other columns."""
    file = written(tmp_path, "t.csv", "path,note,price\n1.png,a,1\n2.png,red, blue,2\n")
    with pytest.raises(UsageError, match=r"line 3: it has 4 cells below a header of 3"):
        read_metadata(file)


def parquet(file, names):
    pq.write_table(pa.Table.from_arrays([pa.array(["a.png"])] * len(names), names=names), file)


@pytest.mark.parametrize("name", ["t.csv", "t.tsv", "t.txt", "t.csv.gz", "t.jsonl", "t.json", "t.parquet"])
def test_two_columns_of_one_name_are_an_error(tmp_path, name):
    """In every format, whichever columns are asked for."""
    names = ["path", "price", "price"]
    file = tmp_path / name
    pairs = ", ".join(f'"{name}": "a.png"' for name in names)
    if name == "t.parquet":
        parquet(file, names)
    elif "json" in name:
        file.write_text(f"[{{{pairs}}}]" if name == "t.json" else f"{{{pairs}}}\n", encoding="utf-8")
    else:
        separator = "," if ".csv" in name else "\t"
        text = f"{separator.join(names)}\n{separator.join(['a.png'] * 3)}\n".encode()
        file.write_bytes(gzip.compress(text) if name.endswith("gz") else text)
    with pytest.raises(UsageError, match="two of its columns have one name, 'price'"):
        list(open_table(file).rows(["path"]))


def test_two_columns_of_vectors_of_one_name_are_an_error(tmp_path):
    """Vectors come in from no such table either; columns without a name are nobody's."""
    with pytest.raises(UsageError, match="one name"):
        look(source(written(tmp_path, "v.csv", "id,v0,v0\na,1,2\n"))())
    parquet(tmp_path / "v.parquet", ["id", "vector", "vector"])
    with pytest.raises(UsageError, match="one name"):
        look(source(tmp_path / "v.parquet")())
    assert open_table(written(tmp_path, "t.csv", "path,a,,\n1.png,2,,\n")).columns == ("path", "a", "", "")


def test_labels_and_pairs_are_read_as_other_tables(tmp_path):
    """By semicolons, with a mark, guarded cells and NA; two columns of one name are an error."""
    file = written(tmp_path, "l.csv", "\ufeffpath;label\n1.png;red|'=x\n2.png;NA\n3.png;\n'-4.png;007\n")
    assert read_table(file) == {
        "1.png": frozenset({"red", "'=x"}), "2.png": frozenset(), "3.png": frozenset(),
        "-4.png": frozenset({"007"}),
    }  # fmt: skip
    with pytest.raises(UsageError, match="one name, 'label'"):
        read_table(written(tmp_path, "l.csv", "path,label,label\n1.png,a,b\n"))
    pairs = written(tmp_path, "p.csv", "query;better;worse\na;b;c\n")
    assert table_of(pairs) == pairs
    with pytest.raises(UsageError, match="not UTF-8"):
        table_of(written(tmp_path, "p.csv", b"query,better,worse\n\xff,b,c\n"))


def test_fetch_keeps_numbers_with_commas_as_numbers(tmp_path):
    """What a table has with decimal commas has a point in metadata.csv, whose cells commas separate."""
    file = written(tmp_path, "t.csv", "url;price;sku\nhttp://a/1;1.234,5;007\nhttp://a/2;NA;8\n")
    wanted = read_wanted(open_table(file), image=None, id_column=None, keep=["price,sku"], all_images=False)
    assert [picture.fields for picture in wanted.pictures] == [("1234.5", "007"), ("", "8")]


@pytest.mark.parametrize("condition", ["price>3", "price <= 3.5", "price>-1", {"price": (">", 3)}])
def test_a_number_is_not_compared_with_a_text(condition):
    """The error names the field's type, and says how texts are compared."""
    with pytest.raises(FilterError, match="the field price holds text, for not all of its values"):
        typed(parse(condition), {"price": "text"})


@pytest.mark.parametrize(
    "condition",
    ['price>"3"', "price=3", "price!=3", "price>abc", {"price": (">", "3")}, "taken>=2024", "price>nan"],
)
def test_texts_are_compared_as_texts(condition):
    """In quotation marks, for equality, where it is no number, and for times."""
    (fitted,) = typed(parse(condition), {"price": "text", "taken": "text"})
    assert [type(value) for value in fitted.values] == [str]


def test_numbers_that_no_gallery_can_hold_are_told_before_the_work(tmp_path):
    """A whole number of more than 64 bits, given in Python, is an error and nothing was indexed."""
    with Gallery.open(tmp_path, model="toy") as gallery:
        for value in (2**63, float("nan"), float("inf")):
            with pytest.raises(UsageError, match="the field n can't hold"):
                gallery.add([("a", b"no picture")], metadata={"a": {"n": value}})
        assert gallery.skipped() == []


def test_fields_of_a_table_filter_as_numbers(tmp_path):
    """A column with NA is a field of numbers: 9 is below 10, and what is missing passes neither."""
    table = json.loads(json.dumps(read_metadata(written(tmp_path, "m.csv", "path,n\na,9\nb,10\nc,NA\n"))))
    assert table == {"a": {"n": 9}, "b": {"n": 10}, "c": {}}
