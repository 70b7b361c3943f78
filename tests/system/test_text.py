"""Text of strangers where people see it: nothing of it acts, and what programs read stays exact."""

import csv
import html.parser
import json
import os
import re
import subprocess
import sys
import unicodedata
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lookalike import Gallery
from lookalike.errors import NotFound, visible
from lookalike.evaluation import compare, evaluate
from lookalike.evaluation.neighbors import neighbors, write
from lookalike.evaluation.splits import Split
from lookalike.search.hits import Answers, Hit, Hits
from lookalike.sources.tables import open_table, read_metadata
from lookalike.system.text import guarded, quoted, unguarded, write_csv
from lookalike.types import Tag
from lookalike.views.pages import Card, Row, Table, fragment, fragment_table, results_page
from lookalike.views.plots.sheets import drawable

ACTING = [
    *(chr(code) for code in (*range(32), *range(0x7F, 0xA0))),
    *"\u200e\u200f\u061c\u2028\u2029\ufeff\u2060\u00ad",
    *(chr(code) for code in (*range(0x202A, 0x202F), *range(0x2066, 0x206A))),
    *("\ud800", "\udcff", "\U000e0041", "\ufff9"),
]
"""C0, DEL, C1, marks of direction, line separators, what can't be seen, half surrogate pairs."""

NASTY = "a\x1b]0;owned\x07\x9b31m\u202egnp\u2028\x7f[red]$x^2$<b>&\"'\n.png"
FORMULAS = ["=1+1", "+49 30 1", "-2+3", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "'=1", "''-a", "-", "=", "'@"]
PLAIN = ["", "a=b", "it's", "'quoted'", "-1", "+2.5", "-1e-05", "-.5", " =1", "0", "https://a/b?c=d", "'"]


def acts(text):
    """The characters of a text that would act, but for ends of lines."""
    kinds = {"Cc", "Cf", "Cs", "Zl", "Zp"}
    return {c for c in text if unicodedata.category(c) in kinds and c not in "\n\u200c\u200d"}


@pytest.mark.parametrize("character", ACTING)
def test_what_acts_is_written_out(character):
    """Each of these is shown by its code, on a terminal, in a page and in a plot."""
    assert visible(f"a{character}b") == "a" + character.encode("unicode_escape").decode() + "b"
    assert acts(results_page([Row(Card(character), [])], title=character)) == set()
    assert acts(drawable(f"a{character}b")) == set()


@pytest.mark.parametrize(
    "text", ["Ärger 🙂", "👩\u200d👧", "نام\u200cها", "a\u3000b", "a\u00a0b", "שלום", "é", "\\n"]
)
def test_what_is_shown_stays(text):
    """Letters of every script, joiners and wide blanks are what they are; twice is the same as once."""
    assert visible(text) == text
    assert visible(visible(NASTY)) == visible(NASTY)


@pytest.mark.parametrize("cell", FORMULAS)
def test_no_cell_is_a_formula(cell):
    """What a spreadsheet would compute gets an apostrophe before it, and comes back without it."""
    assert guarded(cell) == f"'{cell}"
    assert unguarded(guarded(cell)) == cell


@pytest.mark.parametrize("cell", PLAIN)
def test_other_cells_stay(cell):
    """Numbers, negative ones too, and other texts are written as they are."""
    assert guarded(cell) == cell == unguarded(cell)


def test_every_text_comes_back():
    """Whatever the first characters are, reading gives what was written."""
    signs = "'=+-@\t\r\n1a .e"
    for text in ["".join(p) for p in np.random.default_rng(0).choice(list(signs), (5000, 4))]:
        assert unguarded(guarded(text)) == text


def test_a_table_reads_back_what_was_written(tmp_path):
    """Names of columns and cells alike, with separators, quotes and ends of lines in them."""
    texts = [*FORMULAS, *PLAIN, "a,b", 'say "hi"', "a\rb", "a\r\nb", NASTY]
    file = tmp_path / "t.csv"
    with file.open("w", newline="", encoding="utf-8") as out:
        write_csv(out, [["id", "=own", "n"], *([text, text, -1.5] for text in texts)])
    table = open_table(file)
    assert table.columns == ("id", "=own", "n")
    assert [row[:2] for row in table.rows(["id", "=own"])] == [(text, text) for text in texts]


def test_an_apostrophe_of_another_program_is_read_alike(tmp_path):
    """What a spreadsheet exports with an apostrophe before a sign is the text behind it."""
    (tmp_path / "m.csv").write_text("path,note\na.jpg,'=x\n'-b.jpg,'tis\n", encoding="utf-8")
    assert read_metadata(tmp_path / "m.csv") == {"a.jpg": {"note": "=x"}, "-b.jpg": {"note": "'tis"}}


class Page(html.parser.HTMLParser):
    """The texts, attributes and elements of a page."""

    def __init__(self, content):
        super().__init__()
        self.seen, self.elements = "", set()
        self.feed(content)

    def handle_starttag(self, tag, attrs):
        """Gather an element."""
        self.elements.add(tag)
        self.seen += "".join(value or "" for _, value in attrs)

    def handle_data(self, data):
        """Gather a text."""
        self.seen += data


def test_pages_and_pieces_for_notebooks_hold_nothing_that_acts():
    """Title, names, labels, notes, facts, cells and tags are shown escaped, wherever they stand."""
    card = Card(NASTY, tags=[(NASTY, 0.5)], score=0.5, parts={NASTY: 1.0}, link="file:///a")
    table = Table([NASTY, NASTY], [[NASTY, NASTY]], {1})
    rows = [Row(card, [card], NASTY, [NASTY])]
    page = results_page(rows, title=NASTY, facts={NASTY: NASTY}, table=table, notes=[NASTY])
    for content in (page, fragment(rows), fragment_table(table, [NASTY])):
        assert acts(content) == set()
        assert r"\u202egnp\u2028" in Page(content).seen
        assert "b" not in Page(content).elements - {"b"}
    assert r"<title>a\x1b]0;owned\x07\x9b31m" in page


def test_texts_of_answers_hold_nothing_that_acts():
    """`str` and `repr` of hits, answers and errors can be printed; `as_dict` has the exact names."""
    hit = Hit(1, NASTY, NASTY, 0.5, 0.5, tags=[Tag("n1", NASTY, 0.5)], metadata={"note": NASTY})
    hits = Hits(NASTY, NASTY, "cosine", (hit,), (NASTY,))
    answers = Answers([hits])
    for text in (
        str(hits),
        repr(hits),
        str(answers),
        repr(answers),
        hits._repr_html_(),
        str(NotFound(NASTY)),
    ):
        assert acts(text) == set()
        assert "\\u202egnp" in text
    assert str(hits).count("\n") == 1
    assert hits.as_dict()["hits"][0]["id"] == NASTY
    assert NotFound(NASTY).args == (NASTY,)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder of pictures with names that act, labelled by folders whose names do, too; and its gallery."""
    top = tmp_path_factory.mktemp("nasty")
    for number, place in enumerate(["=a\x1b[31m\u202e", "@b\u2066\x9b", "-c"] * 3):
        file = top / place / f"{number}\x07\u202egnp\x85.png"
        file.parent.mkdir(exist_ok=True)
        Image.new("RGB", (8, 8), (number * 25, 99, 200 - number * 20)).save(file, "PNG")
    (top / "=a\x1b[31m\u202e" / "broken\x1b[2J\u2028.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    with Gallery.open(top, model="toy") as gallery:
        gallery.add()
    return top


def test_what_measures_prints_nothing_that_acts(folder):
    """Evaluations and comparisons: their texts, pages and pieces for notebooks."""
    with Gallery.open(folder) as gallery:
        evaluation = evaluate(gallery, "folder")
    comparison = compare(folder, ["toy"], labels="folder", queries=[next(folder.rglob("*.png"))], k=2)
    texts = [str(evaluation), evaluation._repr_html_(), str(comparison), comparison._repr_html_()]
    for text in [*texts, comparison.html()]:
        assert acts(text) == set()


def test_csv_files_hold_no_formula_and_read_back(folder, tmp_path):
    """Exported vectors and neighbours, and a model's split: guarded in the file, exact when they are read."""
    with Gallery.open(folder) as gallery:
        ids = [record.id for record in gallery.records()]
        assert {id_[0] for id_ in ids} == set("=@-")
        gallery.export(tmp_path / "v.csv")
        write(tmp_path / "n.csv", neighbors(gallery, 2))
    Split(dict.fromkeys(ids, "test")).save(tmp_path / "s.csv")
    for name in ("v.csv", "n.csv", "s.csv"):
        with (tmp_path / name).open(newline="", encoding="utf-8") as lines:
            rows = list(csv.reader(lines))[1:]
        assert not [cell for row in rows for cell in row if re.match(r"[=+@\t\r]|-(?![\d.])", cell)]
    with Gallery.open(tmp_path, gallery=tmp_path / "copy") as copy:
        copy.add_vectors(tmp_path / "v.csv")
        assert [record.id for record in copy.records()] == ids
    assert sorted(Split.read(tmp_path / "s.csv").part_of) == ids


PROGRAM = Path(sys.executable).with_name("lookalike")


@pytest.mark.parametrize(
    "words",
    [
        ("index", "{folder}", "--retry"),
        ("search", "{picture}", "--gallery", "{folder}"),
        ("search", "id:\x1b[31m\u202e", "--gallery", "{folder}"),
        ("find", "\x1b[31m\u202e", "--gallery", "{folder}"),
        ("find", "gnp", "--gallery", "{folder}", "--where", "\x9bfield=\u202e"),
        ("neighbors", "--gallery", "{folder}"),
        ("info", "--gallery", "{folder}"),
        ("info", "--skipped", "--gallery", "{folder}"),
        ("info", "--gallery", "{folder}", "--name", "\x1b[31m\u202e"),
        ("evaluate", "{folder}", "--labels", "folder", "--by-label"),
        ("compare", "{folder}", "--models", "toy", "--labels", "folder", "--query", "{picture}"),
        ("export", "--gallery", "{folder}", "{out}/\x1b[31m\u202e\u2028.csv"),
        ("index", "{folder}", "--model", "\x9b\u202e"),
        ("\x1b[31m\u202e",),
        ("--\x1b[31m\u202e",),
    ],
)
def test_the_program_prints_nothing_that_acts(folder, tmp_path, words):
    """Whatever names a gallery or the command line has, nothing drives the terminal, not even a trace."""
    picture = next(file for file in folder.rglob("*.png") if "broken" not in file.name)
    told = [word.format(folder=folder, picture=picture, out=tmp_path) for word in words]
    done = subprocess.run(
        [PROGRAM, *told],
        cwd=tmp_path,
        capture_output=True,
        env={**os.environ, "LOOKALIKE_DEBUG": "1"},
        timeout=120,
        check=False,
    )
    text = (done.stdout + done.stderr).decode()
    assert text
    assert acts(text) == set()


def test_json_keeps_the_exact_text(folder):
    """With --json names are escaped as JSON has it, and read as they are."""
    done = subprocess.run(
        [PROGRAM, "find", "gnp", "-k", "20", "--gallery", folder, "--json"], capture_output=True, check=True
    )
    assert done.stdout.isascii()
    assert acts(done.stdout.decode()) == set()
    with Gallery.open(folder) as gallery:
        expected = {record.id for record in gallery.records()}
    assert {hit["id"] for hit in json.loads(done.stdout)["hits"]} == expected


@pytest.mark.parametrize(
    "word", ["a b", "it's", "-x", "new\nline", "\x1b[31m\\x'$(q)`", "\udcff\x01a", "\u202eü", ""]
)
def test_a_word_for_a_shell(word):
    """What a message shows of a command means the same to Bash, and nothing in it acts on a terminal."""
    shown = quoted(word)
    assert shown == visible(shown)
    done = subprocess.run(["bash", "-c", b"printf %s " + os.fsencode(shown)], capture_output=True, check=True)
    assert done.stdout == os.fsencode(word)
