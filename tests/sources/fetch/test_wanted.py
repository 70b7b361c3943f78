"""What a table asks for, whatever its format."""

import gzip
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lookalike.errors import UsageError
from lookalike.sources.fetch.wanted import read_wanted
from lookalike.sources.tables import open_table

ROWS = [
    {"sku": "a", "image": ["http://x/1", "http://x/2"], "price": 1.5, "note": "x, y"},
    {"sku": "b", "image": ["http://x/3"], "price": None, "note": 'say "hi"'},
]


def read(file, **options):
    """Read a file with the defaults of the command line."""
    image, id_, keep = options.get("image"), options.get("id"), options.get("keep", ())
    all_images = options.get("all_images", False)
    return read_wanted(open_table(file), image=image, id_column=id_, keep=keep, all_images=all_images)


def lines():
    """The rows as JSON lines."""
    return "".join(json.dumps(row) + "\n" for row in ROWS)


def separated(by):
    """The rows as text with a header."""
    cells = [["sku", "image", "price", "note"]]
    cells += [
        [r["sku"], json.dumps(r["image"]), "" if r["price"] is None else r["price"], r["note"]] for r in ROWS
    ]
    quoted = [['"' + str(cell).replace('"', '""') + '"' for cell in row] for row in cells]
    return "\n".join(by.join(row) for row in quoted)


WRITERS = {
    "t.csv": lambda f: f.write_text(separated(","), "utf-8-sig"),
    "european.CSV": lambda f: f.write_text(separated(";"), "utf-8"),
    "t.tsv": lambda f: f.write_text(separated("\t"), "utf-8"),
    "t.2016.csv.gz": lambda f: f.write_bytes(gzip.compress(separated(",").encode())),
    "t.jsonl": lambda f: f.write_text(lines() + "\n", "utf-8"),
    "t.ndjson.gz": lambda f: f.write_bytes(gzip.compress(lines().encode())),
    "t.json": lambda f: f.write_text(json.dumps(ROWS), "utf-8"),
    "t.parquet": lambda f: pq.write_table(pa.Table.from_pylist(ROWS), f),
}


@pytest.mark.parametrize("name", WRITERS)
def test_every_format_says_the_same(tmp_path, name):
    """Text, JSON and Parquet, packed or not, lists native or written out, ask for the same pictures."""
    WRITERS[name](tmp_path / name)
    wanted = read(tmp_path / name, id="sku", keep=["price,note=remark"])
    assert wanted.names == ("price", "remark")
    assert [(p.id, p.url, p.fields) for p in wanted.pictures] == [
        ("a", "http://x/1", ("1.5", "x, y")),
        ("b", "http://x/3", ("", 'say "hi"')),
    ]


@pytest.mark.parametrize("name", ["t.csv", "t.parquet"])
def test_all_images(tmp_path, name):
    """Every address of a row has the row's id with its place."""
    WRITERS[name](tmp_path / name)
    wanted = read(tmp_path / name, id="sku", all_images=True)
    assert [(p.id, p.url) for p in wanted.pictures] == [
        ("a_1", "http://x/1"), ("a_2", "http://x/2"), ("b_1", "http://x/3"),
    ]  # fmt: skip


@pytest.mark.parametrize("name", ["urls.txt", "urls.csv", "with-header.csv"])
def test_addresses_alone(tmp_path, name):
    """A list of addresses needs no header, and the id of each does not depend on its place."""
    header = "link\n" if name == "with-header.csv" else ""
    (tmp_path / name).write_text(f"{header}http://x/1?a=b\nhttp://x/2\n\n", "utf-8")
    (tmp_path / "other.txt").write_text("http://x/2\n", "utf-8")
    found = {picture.url: picture.id for picture in read(tmp_path / name).pictures}
    assert list(found) == ["http://x/1?a=b", "http://x/2"]
    assert read(tmp_path / "other.txt").pictures[0].id == found["http://x/2"]


def test_usual_columns_are_found(table):
    """Without being told, `id` is the id and `image_url` the address."""
    (picture,) = read(table(["x", "Image_URL", "ID"], [["1", "http://x/1", "007"]])).pictures
    assert (picture.id, picture.url) == ("007", "http://x/1")


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"image": "photo"}, r"no column 'photo'; it has: sku, pic, name, a,b"),
        ({}, r"Tell it with --image; it has: sku, pic"),
        ({"image": "pic", "id": "uniq_id"}, "no column 'uniq_id'"),
        ({"image": "pic", "keep": ["sku,brand"]}, "no column 'brand'"),
        ({"image": "pic", "keep": ["name"]}, "--keep name=item_name"),
        ({"image": "pic", "keep": ["sku=id"]}, "can't be kept as 'id'"),
    ],
)
def test_columns_that_can_not_be_meant(table, options, says):
    """The message says which columns there are, or how to rename one that clashes."""
    with pytest.raises(UsageError, match=says):
        read(table(["sku", "pic", "name", "a,b"], [["1", "http://x/1", "n", ""]]), **options)


def test_a_column_may_have_a_comma_in_its_name(table):
    """A name that is there is taken whole before it is divided."""
    wanted = read(table(["url", "a,b", "c=d"], [["http://x/1", "1", "2"]]), keep=["a,b", "c=d"])
    assert (wanted.names, wanted.pictures[0].fields) == (("a,b", "c=d"), ("1", "2"))


def test_rows_that_name_no_picture(table):
    """No id, no address, and an id again with another address are failures; the same again is not."""
    rows = [("a", "http://x/1"), ("", "http://x/2"), ("b", "[]"), ("a", "http://x/1"), ("a", "http://x/3")]
    wanted = read(table(["id", "url"], rows))
    assert [picture.url for picture in wanted.pictures] == ["http://x/1"]
    assert wanted.repeated == 1
    assert [(f.id, f.url, f.reason[:21]) for f in wanted.failed] == [
        ("", "http://x/2", "row 2 has no id"),
        ("b", "", "row 3 has no address"),
        ("a", "http://x/3", "row 5 repeats the id "),
    ]


def test_ids_that_differ_in_case_alone(table):
    """They get names that differ everywhere; all others keep theirs."""
    wanted = read(table(["id", "url"], [[id_, f"http://x/{id_}"] for id_ in ("Ab", "aB", "c")]))
    names = [picture.stem for picture in wanted.pictures]
    assert len({name.lower() for name in names}) == 3
    assert names[2] == "c"


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("t.xls", b"", "expected a name in .csv, .tsv"),
        ("t.csv", b"id,url\n\xff\xfe\n", "not UTF-8"),
        ("t.csv", b'id,url\n1,"http://x', "line 2"),
        ("t.csv.gz", b"id,url\n", "can't be read as a table"),
        ("t.jsonl", b'{"url": "http://x"}\n{"url"\n', "line 2"),
        ("t.jsonl", b'"http://x"\n', "expected an object"),
        ("t.json", b'{"url": 1}', "expected a list"),
        ("t.parquet", b"PAR1", "can't be read as a table"),
        ("t.csv", b"", "it has: none"),
        ("gone.csv", None, "No such file"),
    ],
)
def test_files_that_are_no_tables(tmp_path, name, content, says):
    """What can't be read is told with its place, and no traceback."""
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(UsageError, match=says):
        read(tmp_path / name)
