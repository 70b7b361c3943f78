"""What the commands that answer give to other programs: paths, copies, links, a page in the browser."""

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

PROGRAM = Path(sys.executable).with_name("lookalike")
ODD = "new\nline \U0001f642.png"
RAW = os.fsdecode(b"\xff\x1b[31m.png")


@pytest.fixture
def root(tmp_path, lookalike):
    """A folder of red and green pictures with a gallery of the toy's vectors; two names that need care."""
    folder = tmp_path / "pictures"
    for name, colour in {
        "a/one.png": (250, 0, 0), "b/one.png": (240, 10, 0), ODD: (230, 20, 0), RAW: (220, 30, 0),
        "green.png": (0, 250, 0),
    }.items():  # fmt: skip
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (9, 9), colour).save(folder / name)
    assert lookalike("index", folder, "--model", "toy").returncode == 0
    return folder


def red(lookalike, root, *options, **how):
    return lookalike("search", "id:a/one.png", *options, cwd=root, stdin=b"", **how)


def test_paths_are_what_the_system_has(lookalike, root):
    """`--paths` prints absolute paths, best first, and nothing else; a name is printed byte for byte."""
    done = red(lookalike, root, "--paths", "-k", "3")
    expected = [root / "b/one.png", root / ODD, root / RAW]
    assert done.stdout == b"".join(os.fsencode(path) + b"\n" for path in expected)
    assert done.stderr == b""


def test_paths_ended_by_nul(lookalike, root):
    """`-0` alone means paths, and lets `xargs -0` take any name."""
    done = red(lookalike, root, "-0", "-k", "3")
    names = done.stdout.split(b"\0")
    assert names.pop() == b""
    assert [Path(os.fsdecode(name)).is_file() for name in names] == [True] * 3


def test_paths_cannot_act_on_a_terminal(root):
    """On a terminal the escapes in a name are shown, not sent."""
    ours, theirs = pty.openpty()
    done = subprocess.run(
        [PROGRAM, "search", "id:a/one.png", "--paths"],
        cwd=root, stdout=theirs, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, check=False,
    )  # fmt: skip
    os.close(theirs)
    shown = os.read(ours, 1 << 16)
    os.close(ours)
    assert done.returncode == 0
    assert b"\x1b" not in shown
    assert b"\\x1b[31m.png" in shown


def test_paths_and_json_exclude_each_other(lookalike, root):
    """Both at once is refused before anything is searched."""
    done = red(lookalike, root, "--paths", "--json")
    assert (done.returncode, done.stdout) == (2, b"")
    assert b"can't be had together" in done.stderr


def test_what_is_no_file_is_told(lookalike, tmp_path):
    """Imported vectors have no files: no path is printed, and the number is told."""
    (tmp_path / "vectors.csv").write_text("id,0,1\na,1,0\nb,1,0.1\nc,0,1\n")
    place = tmp_path / "own"
    assert lookalike("import", "vectors.csv", "--gallery", place).returncode == 0
    done = lookalike("search", "id:a", "--gallery", place, "--paths", "--copy-to", tmp_path / "out")
    assert done.stdout == ""
    assert "2 of the pictures are no files on this machine" in done.stderr
    assert list((tmp_path / "out").iterdir()) == []


def test_files_are_copied_and_nothing_is_replaced(lookalike, root, tmp_path):
    """Copies keep names and times; equal names are told apart; what is there stays; again adds nothing."""
    out = tmp_path / "out"
    out.mkdir()
    (out / "one.png").write_text("the user's own")
    for _ in range(2):
        done = red(lookalike, root, "--include-self", "-k", "2", "--copy-to", out)
        assert done.returncode == 0
        assert b"2 files in " in done.stderr
        assert sorted(path.name for path in out.iterdir()) == ["one (2).png", "one (3).png", "one.png"]
    assert (out / "one.png").read_text() == "the user's own"
    assert (out / "one (2).png").read_bytes() == (root / "a/one.png").read_bytes()
    assert (out / "one (3).png").stat().st_mtime_ns == (root / "b/one.png").stat().st_mtime_ns


def test_files_are_linked(lookalike, root, tmp_path):
    """Links lead to the files by absolute paths, and are made once."""
    out = tmp_path / "new" / "folder"
    for _ in range(2):
        assert red(lookalike, root, "-k", "1", "--link-to", out).returncode == 0
    assert [path.readlink() for path in out.iterdir()] == [root / "b/one.png"]


def test_a_folder_that_is_none_is_refused_before_the_search(lookalike, root):
    """A file in the place of the folder is an error, before anything is printed."""
    done = red(lookalike, root, "--copy-to", root / "green.png")
    assert (done.returncode, done.stdout) == (2, b"")
    assert b"is a file" in done.stderr


def test_the_page_is_opened_in_the_browser(lookalike, root, tmp_path):
    """`--open` gives the browser the page: that of --html, or one that only the user may read."""
    browser = tmp_path / "browser"
    browser.write_text(f"#!/bin/sh\necho \"$1\" >> '{tmp_path}/opened'\n")
    browser.chmod(0o755)
    cache = tmp_path / "cache"
    for options in ((), ("--html", tmp_path / "mine.html")):
        done = red(lookalike, root, "--open", *options, BROWSER=f"{browser} %s", LOOKALIKE_CACHE=str(cache))
        assert done.returncode == 0, done.stderr
    private = cache / "answer.html"
    assert (tmp_path / "opened").read_text().split() == [private.as_uri(), (tmp_path / "mine.html").as_uri()]
    assert (private.stat().st_mode & 0o777, "<title>" in private.read_text()) == (0o600, True)


@pytest.mark.parametrize(
    ("command", "least", "left"),
    [
        (("search", "id:a/one.png"), "0.5", 3),
        (("search", "id:a/one.png"), "1.1", 0),
        (("find", "red"), "0.9", 3),
        (("find", "green"), "0.9", 1),
    ],
)
def test_the_least_score(lookalike, root, command, least, left):
    """`--min-score` leaves out what has less."""
    done = lookalike(*command, "--min-score", least, "-0", cwd=root, stdin=b"")
    assert done.stdout.count(b"\0") == left


def test_the_least_score_of_neighbors(lookalike, root):
    """Neighbours below it are left out; a picture may be left with none."""
    done = lookalike("neighbors", "--min-score", "0.5", "-k", "9", cwd=root)
    pictures = [line for line in done.stdout.splitlines() if "green" in line]
    assert (done.returncode, pictures) == (0, [])
    assert len(done.stdout.splitlines()) == 1 + 4 * 3
    assert lookalike("neighbors", "--min-score", "nan", cwd=root).returncode == 2
