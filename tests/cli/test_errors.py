"""Errors: one line on standard error, the right exit code, never a traceback."""

from __future__ import annotations

import os
import subprocess
import sys

import click
import pytest

from lookalike.cli import commands, run
from lookalike.errors import FilterError, NotFound, StoreCorrupt, UsageError


@pytest.fixture
def failing(monkeypatch):
    """A command `fail` that raises what it is told to."""

    def add(error):
        @click.command()
        def fail():
            raise error

        monkeypatch.setitem(commands.commands, "fail", fail)

    return add


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (NotFound("no gallery here"), 1, "lookalike: no gallery here\n"),
        (StoreCorrupt("row 3 is damaged"), 1, "lookalike: row 3 is damaged\n"),
        (UsageError("k is 0; expected 1 or more"), 2, "lookalike: k is 0; expected 1 or more\n"),
        (FilterError("no field 'x'"), 2, "lookalike: no field 'x'\n"),
        (PermissionError(13, "Permission denied", "/a\nb"), 1, "lookalike: /a b: Permission denied\n"),
        (KeyboardInterrupt(), 130, "\nlookalike: stopped\n"),
        (
            ZeroDivisionError("by zero"),
            1,
            "lookalike: unexpected error, ZeroDivisionError: by zero; LOOKALIKE_DEBUG=1 shows where\n",
        ),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else "",
)
def test_an_error_is_one_line(failing, capsys, error, code, said):
    """Each kind of error has its exit code, and its message on one line of standard error."""
    failing(error)
    assert run(["fail"]) == code
    assert capsys.readouterr() == ("", said)


def test_messages_do_not_drive_the_terminal(failing, capsys):
    """Control characters and bytes that are not UTF-8 are shown escaped."""
    failing(NotFound("no \x1b[31m\u202e file \udcff.jpg"))
    run(["fail"])
    assert capsys.readouterr().err == "lookalike: no \\x1b[31m\\u202e file \\udcff.jpg\n"


def test_debug_shows_the_traceback(failing, capsys, monkeypatch):
    """LOOKALIKE_DEBUG=1 shows where an error came from, and the same line below."""
    monkeypatch.setenv("LOOKALIKE_DEBUG", "1")
    failing(NotFound("no gallery here"))
    assert run(["fail"]) == 1
    said = capsys.readouterr().err
    assert said.startswith("Traceback")
    assert said.endswith("lookalike: no gallery here\n")


@pytest.mark.parametrize(
    "words",
    [
        ["nonsense"],
        ["search"],
        ["search", "a.jpg", "-k", "0"],
        ["find"],
        ["index", ".", "--metric", "cosinus"],
        ["index", "no/such/folder"],
        ["remove"],
        ["remove", "--list", "a.jpg"],
        ["reindex"],
    ],
    ids=" ".join,
)
def test_a_command_line_that_cannot_be_meant_exits_2(lookalike, words):
    """Usage errors exit 2, with one line on standard error and nothing on standard output."""
    done = lookalike(*words)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith("lookalike: ")


@pytest.mark.parametrize(
    "words", [["search", "a.jpg"], ["find", "dog"], ["info"], ["check"], ["remove", "a"]]
)
def test_without_a_gallery_nothing_is_made(lookalike, tmp_path, words):
    """A command that needs a gallery says that there is none, exits 1, and never makes one."""
    done = lookalike(*words)
    assert done.returncode == 1
    assert "lookalike index" in done.stderr
    assert done.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_a_closed_pipe_is_no_error(tmp_path):
    """Whoever stops reading the output gets no complaint, only the exit code 1."""
    reader, writer = os.pipe()
    os.close(reader)
    code = "from lookalike.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code, "--help"],
        stdout=writer,
        stderr=subprocess.PIPE,
        cwd=tmp_path,
        check=False,
    )
    os.close(writer)
    assert done.returncode == 1
    assert done.stderr == b""
