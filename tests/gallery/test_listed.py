"""Tables that name pictures: addresses and paths, a row each."""

import csv
import json
import threading
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import fsspec
import pytest

from lookalike import Gallery
from lookalike.errors import MissingExtra, UsageError
from lookalike.images import ImageLimits
from lookalike.indexing.load import Loader
from lookalike.indexing.plan import Work
from lookalike.sources import remote, resolve
from lookalike.sources import table as listed
from lookalike.sources.access import Access
from lookalike.system.text import redact_text

RED, GREEN, BLUE = (250, 10, 10), (10, 250, 10), (10, 10, 250)


def counts(report):
    return {key: value for key, value in report.as_dict().items() if isinstance(value, int) and value}


def write(file, rows):
    with file.open("w", newline="") as lines:
        csv.writer(lines).writerows(rows)
    return file


@pytest.fixture
def memory(paint, tmp_path):
    """Two pictures at `memory://listed/`."""
    files = fsspec.filesystem("memory")
    for name, colour in {"red": RED, "green": GREEN}.items():
        content = paint(tmp_path / "painted" / f"{name}.png", colour).read_bytes()
        files.pipe(f"/listed/{name}.png", content)
    yield files
    files.rm("/listed", recursive=True)


@pytest.fixture
def gallery(tmp_path):
    with Gallery.open(tmp_path, gallery=tmp_path / "gallery", model="toy") as opened:
        yield opened


def test_a_table_of_addresses_and_paths(gallery, memory, paint, tmp_path):
    """Each row's picture comes in under its address, or its path from the table's folder, and but once."""
    paint(tmp_path / "lists" / "blue.png", BLUE)
    table = write(
        tmp_path / "lists" / "urls.csv",
        [
            ["sku", "url", "price"],
            ["a", "memory://listed/red.png", "5"],
            ["b", "memory://listed/green.png", "7"],
            ["c", "blue.png", "9"],
            ["d", "memory://listed/red.png", "5"],
            ["e", "", ""],
            ["f", "memory://listed/none.png", "1"],
        ],
    )
    report = gallery.add(table)
    assert counts(report) == {"added": 3, "total": 3}
    assert [skip.path for skip in report.skipped] == ["memory://listed/none.png"]
    assert f"1 rows of {table} name no picture" in report.notes
    assert [(r.id, r.source) for r in gallery.records()] == [
        ("lists/blue.png", "file"),
        ("memory://listed/green.png", "file"),
        ("memory://listed/red.png", "file"),
    ]


def test_what_is_there_is_not_asked_for_again(gallery, memory, tmp_path):
    """A second run reads only what is new in the table; what was removed stays out until it is restored."""
    rows = [["url"], ["memory://listed/red.png"]]
    table = write(tmp_path / "urls.csv", rows)
    gallery.add(table)
    write(table, [*rows, ["memory://listed/green.png"]])
    assert counts(gallery.add(table)) == {"added": 1, "unchanged": 1, "total": 2}
    gallery.remove(["memory://listed/red.png"])
    assert counts(gallery.add(table)) == {"unchanged": 1, "total": 1}
    assert counts(gallery.add(table, restore=True)) == {"added": 1, "unchanged": 1, "total": 2}


def test_the_same_table_has_the_metadata(gallery, memory, tmp_path):
    """A column `url` is the key of a table of metadata, too."""
    from lookalike.sources.tables import read_metadata

    table = write(tmp_path / "urls.csv", [["url", "price"], ["memory://listed/red.png", "5"]])
    gallery.add(table, metadata=read_metadata(table))
    assert next(gallery.records(where="price<6")).id == "memory://listed/red.png"


def test_parquet_and_plain_lists(gallery, memory, tmp_path):
    """A Parquet file, and a text with an address a line, are tables; a column can be told."""
    pa = pytest.importorskip("pyarrow")
    table = pa.table({"name": ["x"], "where": ["memory://listed/red.png"]})
    __import__("pyarrow.parquet").parquet.write_table(table, tmp_path / "urls.parquet")
    with pytest.raises(UsageError, match="--image; it has: name, where"):
        gallery.add(tmp_path / "urls.parquet")
    assert counts(gallery.add(tmp_path / "urls.parquet", image="where")) == {"added": 1, "total": 1}
    (tmp_path / "urls.txt").write_text("memory://listed/red.png\nmemory://listed/green.png\n")
    assert counts(gallery.add(tmp_path / "urls.txt")) == {"added": 1, "unchanged": 1, "total": 2}


def test_a_plain_list_of_paths(gallery, paint, tmp_path):
    """Its first line is a picture like the others, and so is a name in brackets."""
    for name, colour in {"a.png": RED, "(1).png": GREEN, "[b] 2.png": BLUE}.items():
        paint(tmp_path / name, colour)
    (tmp_path / "list.txt").write_text("a.png\n(1).png\n[b] 2.png\n")
    assert counts(gallery.add(tmp_path / "list.txt")) == {"added": 3, "total": 3}


def test_files_beside_pictures_are_no_tables(gallery, paint, tmp_path):
    """Given with other files a `.txt` or `.json` is no picture, and that is all; a `.csv` is a table."""
    red = paint(tmp_path / "red.png", RED)
    (tmp_path / "red.png.json").write_text('{"camera": "x"}')
    (tmp_path / "notes.txt").write_text("a line\nand one more\n")
    write(tmp_path / "t.csv", [["path"], [paint(tmp_path / "green.png", GREEN).name]])
    files = [red, *(tmp_path / name for name in ("red.png.json", "notes.txt", "t.csv"))]
    report = gallery.add(files)
    assert counts(report) == {"added": 2, "total": 2}
    assert [(skip.path, skip.reason) for skip in report.skipped] == [
        ("notes.txt", "not a picture: text"),
        ("red.png.json", "not a picture: text"),
    ]


def test_a_column_makes_a_table(tmp_path):
    """Where one is told, every file that can be a table is one."""
    files = [tmp_path / name for name in ("a.txt", "b.json", "c.csv.gz", "d.jsonl", "e.png")]
    for file in files:
        file.touch()
    assert resolve.tables_among(files) == [str(tmp_path / "c.csv.gz"), str(tmp_path / "d.jsonl")]
    assert resolve.tables_among(files, "url") == [str(file) for file in files[:4]]
    assert resolve.tables_among(files[:1]) == [str(files[0])]


def test_one_bad_row_does_not_end_it(gallery, memory, tmp_path):
    """What can't be meant is reported with its reason, without a secret, and the neighbours come in."""
    places = [
        "memory://listed/red.png",
        "nonsense://bucket/a.png",
        "ftp://anna:hunter2@host/a.png",
        "memory://anna:hunter2@listed/red.png",
        f"file://{tmp_path}/red.png",
        f"zip://a.png::{tmp_path}/a.zip",
        "sftp://10.0.0.1/a.png",
        "nowhere\0.png",
        "http://[::1/a.png",
        "MEMORY://listed/green.png",
    ]
    lines = [json.dumps({"url": place}) for place in places]
    lines[5:5] = ['{"url": "memory://\\ud800.png"}', '{"url": "\\ud800.png"}']
    (tmp_path / "t.jsonl").write_text("\n".join(lines))
    report = gallery.add(tmp_path / "t.jsonl")
    assert [record.id for record in gallery.records()] == ["memory://listed/green.png", places[0]]
    assert report.added == 2
    assert f"2 rows of {tmp_path / 't.jsonl'} name no picture" in report.notes
    reasons = {skip.path: skip.reason for skip in report.skipped}
    assert set(reasons) == {
        *(places[1], "ftp://…@host/a.png", "memory://…@listed/red.png"),
        *places[4:7], "nowhere\0.png", places[8],
    }  # fmt: skip
    assert "may lead into this machine or its network" in reasons[places[1]]
    assert "may lead into this machine or its network" in reasons[places[6]]
    assert "with a password in it" in reasons["ftp://…@host/a.png"]
    assert "a table names its files by their paths" in reasons[places[4]]
    assert "a table names its files by their paths" in reasons[places[5]]
    assert "hunter2" not in repr(report)


def test_a_scheme_without_its_package(gallery, memory, tmp_path):
    """Its rows are reported, and what to install, as any address that can't be read."""
    table = write(tmp_path / "t.csv", [["url"], ["wandb://x/y.png"], ["memory://listed/red.png"]])
    report = gallery.add(table)
    assert (report.added, [skip.path for skip in report.skipped]) == (1, ["wandb://x/y.png"])
    assert "package" in report.skipped[0].reason
    # Where a walk came, only this machine can lack it: its pictures are not given up one by one.
    with ThreadPoolExecutor() as readers:
        loader = Loader(
            None, gallery.extractor, Access(str(tmp_path), ImageLimits(), everything=True), readers
        )
        with pytest.raises(MissingExtra, match="wandb"):
            loader.load([Work("wandb://x/y.png", 9, 9, "walk")])


@pytest.mark.parametrize(
    "address",
    [
        *("sftp://host:22/dir/a@b.png", "ftp://[::1]:21/x@y.png", "hdfs://a:8020,b:8020/u@v.png"),
        *("s3://arn:aws:s3:us-east-1:123:accesspoint/p/i@2x.png", "s3://b/a:b@c.png", "memory://x:y/a@2.png"),
        *(
            "zip://a:b.png::ftp://h/y@z.zip",
            "libarchive://a.png::s3://b/a@b.7z",
            "github://org:repo@ref/a.png",
        ),
    ],
)
def test_what_is_no_password(address):
    """Ports, colons and at signs where none can be do not make an address one with a password."""
    assert "password" not in remote.refusal(address, allow_private=False)
    assert redact_text(address) == address


def test_a_password_with_a_slash(gallery, tmp_path):
    """It is neither kept nor told."""
    for scheme in ("ftp", "zip://x.png::sftp"):
        table = write(tmp_path / "t.csv", [["url"], [f"{scheme}://me:hun/ter2@host/a.png"]])
        report = gallery.add(table)
        assert (report.added, len(report.skipped)) == (0, 1)
        assert "hun" not in repr(report)
        with pytest.raises(UsageError, match="password") as told:
            gallery.add(f"{scheme}://me:hun/ter2@host/a")
        assert "hun" not in str(told.value)


def test_a_picture_named_twice_comes_in_once(gallery, memory, paint, tmp_path):
    """However far apart its rows are, in two tables, or beside the same picture given as a file."""
    paint(tmp_path / "blue.png", BLUE)
    rows = [
        ["url"],
        ["memory://listed/red.png"],
        ["blue.png"],
        *([["-"]] * 1500),
        ["memory://listed/red.png"],
    ]
    one = write(tmp_path / "one.csv", [*rows, ["blue.png"]])
    two = write(tmp_path / "two.csv", rows)
    expected = [{"added": 2, "total": 2}, {"unchanged": 2, "total": 2}]
    assert [counts(gallery.add([one, two, tmp_path / "blue.png"])) for _ in range(2)] == expected


def test_a_picture_in_a_table_and_in_a_folder(gallery, memory, paint, tmp_path):
    """It counts once, as the folder's; what the folder left out comes by the table, and is missed by it."""
    paint(tmp_path / "in" / "blue.png", BLUE)
    paint(tmp_path / "in" / "other.png", GREEN, seed=5)
    paint(tmp_path / "in" / ".hidden.png", RED, seed=5)
    places = ["in/blue.png", "in/.hidden.png", "in/none.png", "memory://listed/red.png"]
    table = write(tmp_path / "t.csv", [["url"], *([place] for place in places)])
    folders = [table, tmp_path / "in", "memory://listed"]
    report = gallery.add(folders)
    assert counts(report) == {"added": 5, "total": 5}
    assert [skip.path for skip in report.skipped] == ["in/none.png"]
    (tmp_path / "in" / "blue.png").unlink()
    memory.pipe("/listed/red.png", paint(tmp_path / "x.png", RED, seed=7).read_bytes())
    assert counts(gallery.add(folders)) == {"updated": 1, "unchanged": 2, "removed": 1, "total": 4}


@pytest.mark.parametrize("column", [None, "where"])
def test_a_table_of_pictures_and_their_metadata(gallery, memory, paint, tmp_path, column):
    """Both are keyed by the same column, and its paths by the table's own folder."""
    paint(tmp_path / "lists" / "blue.png", BLUE)
    rows = [["id", column or "url", "price"], ["1", "memory://listed/red.png", "5"], ["2", "blue.png", "7"]]
    table = write(tmp_path / "lists" / "t.csv", rows)
    fields = listed.read_metadata(str(table), column)
    assert gallery.add(table, image=column, metadata=fields).notes == []
    assert {record.id: record.metadata for record in gallery.records()} == {
        "lists/blue.png": {"id": 2, "price": 7},
        "memory://listed/red.png": {"id": 1, "price": 5},
    }


@pytest.fixture
def server(paint, tmp_path):
    """A server on this machine that has one picture at every address, and what it was asked for."""
    content = paint(tmp_path / "painted" / "served.png", RED, seed=3).read_bytes()
    asked = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{running.server_port}", asked
        running.shutdown()
        thread.join()


def test_a_table_does_not_lead_into_this_network(gallery, memory, server, tmp_path):
    """Its addresses may be a stranger's, and are not followed there; one that was typed is."""
    address, asked = server
    table = write(tmp_path / "t.csv", [["url"], [f"{address}/a.png"], ["memory://listed/red.png"]])
    report = gallery.add(table)
    assert (report.added, [skip.path for skip in report.skipped]) == (1, [f"{address}/a.png"])
    assert "not a public address" in report.skipped[0].reason
    assert asked == []
    assert gallery.add(f"{address}/a.png").added == 1


def test_a_table_may_lead_into_this_network(gallery, server, paint, tmp_path):
    """Where it is allowed; a password in an address is none the less not kept."""
    paint(tmp_path / "blue.png", BLUE)
    addresses = [f"{server[0]}/a.png", f"file://{tmp_path}/blue.png", "ftp://anna:hunter2@host/a.png"]
    table = write(tmp_path / "t.csv", [["url"], *([address] for address in addresses)])
    report = gallery.add(table, allow_private=True)
    assert [record.id for record in gallery.records()] == sorted(addresses[:2])
    assert [skip.path for skip in report.skipped] == ["ftp://…@host/a.png"]
    assert server[1] == ["/a.png"]


def test_a_column_is_asked_for_before_the_work(gallery, tmp_path):
    """A table that can't be meant is told of before a gallery is made; a column told makes tables of more."""
    (tmp_path / "t.json").write_text('{"camera": "x"}')
    table = write(tmp_path / "t.csv", [["sku", "price"], ["a", "5"]])
    for file, says in ((table, "--image; it has: sku, price"), (tmp_path / "t.json", "a list of objects")):
        with pytest.raises(UsageError, match=says):
            gallery.add(file)
        with pytest.raises(UsageError, match=r"column 'url'|a list of objects"):
            gallery.add([file, table], image="url")
    assert not (tmp_path / "gallery").exists()
