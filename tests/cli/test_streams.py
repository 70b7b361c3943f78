"""Standard streams that are closed, full or at their end, and a current folder that is gone."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from lookalike import Gallery

PROGRAM = shlex.quote(str(Path(sys.executable).with_name("lookalike")))


@pytest.fixture
def pictures(tmp_path):
    """A folder with a gallery of two vectors."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    with Gallery.open(folder) as gallery:
        gallery.add_vectors((["a", "b"], [[1.0, 2.0], [2.0, 1.0]]))
    return folder


def _shell(command, cwd, **environment):
    """Run `lookalike` by a shell, which can close and redirect its streams."""
    return subprocess.run(
        ["/bin/sh", "-c", command.replace("lookalike", PROGRAM)],
        cwd=cwd,
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize(
    ("words", "unbuffered", "redirection", "reason"),
    [
        ("search id:a", "", ">&-", "it is closed"),
        ("search id:a --json", "1", ">&-", "it is closed"),
        ("info", "1", ">/dev/full", "No space left on device"),
        ("search id:a --json", "", ">/dev/full", "No space left on device"),
        ("--help", "", ">/dev/full", "No space left on device"),
        ("models", "", "1</dev/null", "it is closed"),
    ],
)
def test_an_answer_that_cannot_be_written(pictures, words, redirection, reason, unbuffered):
    """Where standard output is closed or full one line says so, and the exit code is 1."""
    done = _shell(f"lookalike {words} {redirection}", pictures, PYTHONUNBUFFERED=unbuffered)
    said = f"lookalike: standard output can't be written ({reason}): the answer is not whole\n"
    assert (done.returncode, done.stderr) == (1, said)


def test_closed_streams_take_nothing_from_a_gallery(tmp_path):
    """With all three streams closed a gallery is made and whole: no file of it becomes one of them."""
    for name in ("one", "two"):
        (tmp_path / f"{name}.txt").write_text("no picture")
    (tmp_path / "vectors.csv").write_text("id,v0,v1\na,1,2\nb,2,1\n")
    done = _shell("lookalike import vectors.csv -q <&- >&- 2>&-", tmp_path)
    assert done.returncode == 0
    with Gallery.open(tmp_path, create=False) as gallery:
        assert (len(gallery), gallery.check()) == (2, [])


@pytest.mark.parametrize("stdin", ["</dev/null", "<&-"])
def test_the_end_of_input_is_not_ctrl_c(pictures, stdin):
    """A question that nobody answers is told from one that was stopped, and nothing is deleted."""
    done = _shell(f"lookalike delete {stdin}", pictures)
    assert done.returncode == 1
    assert "no answer was given: standard input is at its end; nothing was done" in done.stderr
    with Gallery.open(pictures, create=False) as gallery:
        assert len(gallery) == 2


def test_an_answer_of_no(lookalike, pictures):
    """Who does not confirm is told that nothing was done, with exit code 1."""
    done = lookalike("delete", "--gallery", pictures, stdin="n\n")
    assert done.returncode == 1
    assert done.stderr.endswith("lookalike: not confirmed; nothing was done\n")


@pytest.mark.parametrize("stdin", ["</dev/null", "<&-"])
def test_nothing_on_standard_input(pictures, stdin):
    """A query on standard input that is empty or closed is named as what it is."""
    done = _shell(f"lookalike search - {stdin}", pictures)
    said = "lookalike: there is nothing on standard input; expected the bytes of a picture\n"
    assert (done.returncode, done.stderr) == (2, said)


def test_standard_input_is_read_no_further_than_a_picture_may_be_large(tmp_path):
    """An endless standard input is refused by the limit on pictures."""
    with Gallery.open(tmp_path / "grey", model="toy") as gallery:
        gallery.add([("grey", np.zeros((8, 8, 3), np.uint8))])
    words = f"lookalike search - --gallery {tmp_path}/grey </dev/zero"
    done = _shell(words, tmp_path, LOOKALIKE_MAX_BYTES="100000")
    assert done.returncode == 1
    assert "LOOKALIKE_MAX_BYTES" in done.stderr


@pytest.mark.parametrize("words", ["info", "index .", "describe a.jpg"])
def test_a_current_folder_that_is_gone(tmp_path, words):
    """Where the current folder was deleted one line says that, and what to do."""
    (tmp_path / "gone").mkdir()
    done = _shell(f"rmdir ../gone; lookalike {words}", tmp_path / "gone")
    said = "lookalike: the current folder was deleted: change to another one with cd\n"
    assert (done.returncode, done.stderr) == (1, said)


@pytest.mark.parametrize("k", [2**63, 2**31])
@pytest.mark.parametrize("command", ["search", "neighbors"])
def test_an_absurd_number_of_pictures(lookalike, pictures, command, k):
    """More pictures than can be counted are refused in words."""
    words = ("id:a",) if command == "search" else (".",)
    done = lookalike(command, *words, "-k", k, cwd=pictures)
    said = "lookalike: k is too large; expected at most 2,147,483,647\n"
    assert (done.returncode, done.stderr) == (2, said)


def test_as_many_pictures_as_there_are(lookalike, pictures):
    """A number far above the gallery's size gives all of it."""
    done = lookalike("search", "id:a", "-k", 2**31 - 1, cwd=pictures)
    assert (done.returncode, done.stdout.count("\n")) == (0, 2)
