"""Tables that name pictures: addresses and paths, a row each."""

import csv

import fsspec
import pytest

from lookalike import Gallery
from lookalike.errors import UsageError

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
    from lookalike.tables import read_metadata

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
