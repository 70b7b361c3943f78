"""What people see: escaping, tables, bars."""

from __future__ import annotations

import contextlib
import os
import pty
import sys

import pytest

from lookalike.cli.output import Bar, print_hits, print_report, print_table, tags_in_words
from lookalike.errors import visible
from lookalike.reports import Progress, Report, Skip, clock
from lookalike.search.hits import Hit, Hits
from lookalike.types import Tag


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("plain name.jpg", "plain name.jpg"),
        ("Ärger 🙂.jpg", "Ärger 🙂.jpg"),
        ("👩\u200d👧.jpg", "👩\u200d👧.jpg"),
        ("a\nb\tc", "a\\nb\\tc"),
        ("\x1b]0;owned\x07", "\\x1b]0;owned\\x07"),
        ("\udcff", "\\udcff"),
        ("gpj.\u202eexe", "gpj.\\u202eexe"),
    ],
)
def test_names_are_shown_but_cannot_act(name, shown):
    """Printable characters stay, whatever would act on the terminal is written out."""
    assert visible(name) == shown


def test_table_aligns_wide_characters(capsys):
    """Columns stay aligned under names of double width, numbers stand on the right."""
    print_table(("n", "name", "tags"), [("1", "日本", "x"), ("10", "abc", "y")], numbers=1)
    assert capsys.readouterr().out == " n  name  tags\n 1  日本  x\n10  abc   y\n"


def test_table_in_a_pipe_cuts_nothing(capsys):
    """Into a file or a pipe everything is printed whole."""
    print_table(("name", "tags"), [("a" * 300, "b" * 300)])
    assert "a" * 300 + "  " + "b" * 300 in capsys.readouterr().out


def test_tags_in_words():
    """Tags have two decimals without the leading zero; what rounds to nothing is left out."""
    tags = [Tag("n1", "tabby", 0.771), Tag("n2", "crane", 1.0), Tag("n3", "lynx", 0.001)]
    assert tags_in_words(tags) == "tabby .77, crane 1.00"


def test_hits_show_what_their_scores_are_made_of(capsys):
    """A part that differs from the score has a column, the tags only where there are any."""
    one = Hit(1, "a.png", None, 0.0011, -0.0011, {"vector": 0.0011, "paper": 1.0011})
    two = Hit(2, "b.png", None, 0.0009, -0.0009, {"vector": 0.0009, "paper": 1.0009})
    print_hits(Hits("q.png", "toy", "inner", (one, two)), empty="nothing")
    assert [line.split() for line in capsys.readouterr().out.splitlines()] == [
        ["score", "paper", "picture"],
        ["1", "0.00110", "1.001", "a.png"],
        ["2", "0.00090", "1.001", "b.png"],
    ]


def test_report_shows_the_first_skipped_files(capsys):
    """The summary goes to standard output, the first five skipped files to standard error."""
    skipped = [Skip(f"{i}.jpg", "truncated") for i in range(7)]
    print_report(Report("/p", "/p/.lookalike/default", "toy", added=3, total=3, skipped=skipped, seconds=1))
    out, err = capsys.readouterr()
    assert out.splitlines()[1] == "gallery: /p/.lookalike/default"
    assert "3 added" in out
    assert err.count("truncated") == 5
    assert "2 more" in err


def test_bar_is_silent_in_a_pipe(capsys):
    """Without a terminal there is no bar, and the library is not asked to report."""
    with Bar("indexing") as bar:
        assert bar.callback is None
    assert capsys.readouterr().err == ""


def test_bar_shows_rate_and_time_left(monkeypatch):
    """On a terminal the bar shows pictures done, rate and time left; --quiet silences it."""
    master, slave = pty.openpty()
    with os.fdopen(slave, "w") as terminal:
        monkeypatch.setattr(sys, "stderr", terminal)
        monkeypatch.setenv("COLUMNS", "100")
        monkeypatch.setenv("TERM", "xterm")
        assert Bar("indexing", quiet=True).callback is None
        with Bar("indexing [red]x") as bar:
            bar.callback(Progress(done=50, total=200, skipped=2, seconds=1.0))
    shown = ""
    with contextlib.suppress(OSError):  # the end of a terminal nobody writes to
        while part := os.read(master, 10_000):
            shown += part.decode(errors="replace")
    os.close(master)
    for part in ("indexing [red]x", "50/200", "50/s", "3 s left", "2 skipped"):
        assert part in shown


@pytest.mark.parametrize(("seconds", "said"), [(7.6, "8 s"), (185, "3:05"), (7800, "2:10:00")])
def test_clock(seconds, said):
    """Time left is said as people say it."""
    assert clock(seconds) == said
