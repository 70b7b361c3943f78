"""`--show` and `--no-tags`, by the commands."""

from __future__ import annotations

import csv
import json

import pytest
from PIL import Image

from lookalike import Gallery
from lookalike.cli import run
from lookalike.cli.output import print_hits, print_table
from lookalike.search.hits import Hit, Hits
from lookalike.types import Tag


@pytest.fixture
def shop(tmp_path, monkeypatch):
    """A folder with a gallery of three pictures, each with a title and a price; it is the current one."""
    for number, colour in enumerate(("red", "orange", "blue")):
        Image.new("RGB", (9 + number, 9), colour).save(tmp_path / f"SKU-{number}.png")
    with Gallery.open(tmp_path, model="toy") as gallery:
        gallery.add()
        gallery.update({f"SKU-{i}.png": {"title": f"Mug {i}", "price": i + 0.5} for i in range(3)})
    monkeypatch.chdir(tmp_path)
    return tmp_path


def _rows(capsys):
    return [line.split() for line in capsys.readouterr().out.splitlines()]


def test_the_table_shows_the_title(shop, capsys):
    """Without a word the user's own title is shown, with one what is asked for."""
    assert run(["search", "id:SKU-0", "--no-tags"]) == 0
    head, *lines = _rows(capsys)
    assert head == ["score", "picture", "title"]
    assert [line[2:] for line in lines] == [["SKU-1.png", "Mug", "1"], ["SKU-2.png", "Mug", "2"]]
    assert run(["search", "id:SKU-0", "--show", "price,width", "--no-tags"]) == 0
    head, first, _ = _rows(capsys)
    assert head == ["score", "picture", "price", "width"]
    assert first[2:] == ["SKU-1.png", "1.5", "10"]


def test_a_field_that_is_not_there(shop, capsys):
    """It is a usage error that lists the fields."""
    for words in (["search", "id:SKU-0"], ["find", "mug"], ["neighbors"]):
        assert run([*words, "--show", "titel"]) == 2
        said = capsys.readouterr().err
        assert "no field 'titel' to show; it has folder, height, name, price, taken, title, width" in said


def test_a_page_shows_fields(shop, capsys):
    """`--html` shows what the table shows."""
    assert run(["search", "id:SKU-0", "--html", "out.html", "--show", "price"]) == 0
    page = (shop / "out.html").read_text()
    assert "<dt>price</dt><dd>1.5</dd>" in page
    assert "Mug" not in page


def test_neighbors_with_fields(shop, capsys):
    """The table shows fields of each neighbour; a file, and a page, those of the picture, too."""
    assert run(["neighbors", "-k", "1"]) == 0
    assert _rows(capsys)[0] == ["score", "picture", "neighbor", "title"]
    words = ["neighbors", "-k", "1", "--show", "title,price", "--out", "n.csv", "--html", "n.html"]
    assert run(words) == 0
    with (shop / "n.csv").open(newline="") as file:
        first = next(csv.DictReader(file))
    assert (first["title"], first["price"]) == ("Mug 0", "0.5")
    assert (first["neighbor_title"], first["neighbor_price"]) == ("Mug 1", "1.5")
    page = (shop / "n.html").read_text()
    assert page.count("<section") == 3
    assert "<dt>title</dt><dd>Mug 0</dd>" in page
    assert run(["neighbors", "-k", "1", "--show", "price", "--out", "n.jsonl"]) == 0
    made = json.loads((shop / "n.jsonl").read_text().splitlines()[0])
    assert (made["price"], made["neighbor_price"]) == (0.5, 1.5)


def test_columns_of_a_file_are_those_asked_for(shop, capsys):
    """Without `--show` a file has the columns that programs know."""
    assert run(["neighbors", "--out", "n.csv"]) == 0
    assert (shop / "n.csv").read_text().splitlines()[0] == "id,rank,neighbor,score,distance"


def test_only_tags_that_the_model_is_sure_of(capsys):
    """A tag below .3 is not in the table."""
    tags = (Tag("n1", "mug", 0.62), Tag("n2", "assault rifle", 0.29))
    print_hits(Hits("q", "toy", "cosine", (Hit(1, "a.png", None, 0.9, 0.1, tags=tags),)), empty="")
    assert _rows(capsys)[1] == ["1", "0.900", "a.png", "mug", ".62"]


def test_tags_are_cut_whole(capsys, monkeypatch):
    """Where the line ends, the last column ends with a whole item, or a whole word."""
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    monkeypatch.setenv("COLUMNS", "40")
    print_table(("name", "tags"), [("a" * 8, "king penguin .87, water jug .41, whiskey jug .31")])
    assert capsys.readouterr().out.splitlines()[1] == "aaaaaaaa  king penguin .87"
    print_table(("name", "tags"), [("a" * 8, "supercalifragilistic expialidocious")])
    assert capsys.readouterr().out.splitlines()[1] == "aaaaaaaa  supercalifragilistic"
