"""Galleries inside one another: nobody's gallery is hidden by surprise."""

import os
import pty
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from lookalike import Gallery
from lookalike.indexing.nesting import around
from lookalike.sources.ignoring import IGNORE_FILE

PROGRAM = Path(sys.executable).with_name("lookalike")


@pytest.fixture
def tree(tmp_path):
    """A folder with a picture in each of `2024/05`, `raw` and `.hidden`, and its gallery."""
    top = tmp_path / "photos"
    for number, name in enumerate(("2024/05/a.png", "raw/b.png", ".hidden/c.png")):
        (top / name).parent.mkdir(parents=True)
        Image.new("RGB", (8, 8), (90 * number, 99, 20)).save(top / name)
    (top / IGNORE_FILE).write_text("raw/\n")
    with Gallery.open(top, model="toy") as gallery:
        assert gallery.add().total == 1
    return top


def test_a_folder_inside_an_indexed_one_is_refused_in_a_script(lookalike, tree):
    """The message names the gallery around it and what to do; nothing is made."""
    done = lookalike("index", tree / "2024", "--model", "toy")
    assert done.returncode == 2
    for words in (f"{tree / '2024'} lies in {tree}", f"`lookalike index {tree}`", "--name", "--nested"):
        assert words in done.stderr
    assert not (tree / "2024" / ".lookalike").exists()


@pytest.mark.parametrize("words", [["--nested"], ["--name", "mine"], ["--gallery", "{tmp}/elsewhere"]])
def test_a_flag_or_a_name_of_its_own_makes_it(lookalike, tree, tmp_path, words):
    """With --nested a note says who is asked now; a gallery of another name, or elsewhere, hides none."""
    told = [word.format(tmp=tmp_path) for word in words]
    done = lookalike("index", tree / "2024", "--model", "toy", *told)
    assert done.returncode == 0
    assert ("now ask the new one" in done.stderr) == (words == ["--nested"])
    again = lookalike("index", tree / "2024", *told[:2] if "--nested" not in told else [])
    assert (again.returncode, "note" in again.stderr) == (0, False)


@pytest.mark.parametrize(("answer", "made"), [("y\n", True), ("n\n", False), ("\n", False)])
def test_on_a_terminal_it_is_asked(tree, answer, made):
    """Only yes makes it."""
    ours, theirs = pty.openpty()
    command = [PROGRAM, "index", tree / "2024", "--model", "toy"]
    process = subprocess.Popen(command, stdin=theirs, stderr=theirs, stdout=subprocess.DEVNULL)
    os.close(theirs)
    shown = b""
    while b"[y/N]" not in shown:
        shown += os.read(ours, 1000)
    os.write(ours, answer.encode())
    # What it says more has to be taken, for a terminal holds little.
    try:
        while os.read(ours, 1000):
            pass
    except OSError:
        pass
    assert (process.wait(60) == 0) is made
    assert (tree / "2024" / ".lookalike").exists() is made
    os.close(ours)


def test_what_the_gallery_around_leaves_out_is_nobodys(tree):
    """A folder that it excludes, a hidden one and those of other programs may have their own."""
    for name in ("raw", ".hidden"):
        assert around(str(tree / name), "default") is None
    assert around(str(tree / "2024" / "@eaDir"), "default") is None
    assert around(str(tree / "2024" / "05"), "default") == str(tree)
    assert around(str(tree / "2025"), "default") == str(tree)
    assert around(str(tree), "default") is None
    assert around(str(tree / "2024"), "other") is None


def test_a_gallery_of_some_folders_covers_no_others(tmp_path, tree):
    """A gallery above that holds another folder alone is not in the way, nor is one that can't be opened."""
    with Gallery.open(tmp_path, model="toy") as gallery:
        gallery.add([tmp_path / "photos" / "2024"])
    shutil.rmtree(tree / ".lookalike")
    assert around(str(tree / "2024" / "05"), "default") == str(tmp_path)
    file = tmp_path / ".lookalike" / "default" / "gallery.sqlite"
    for log in file.parent.glob("gallery.sqlite-*"):
        log.unlink()
    file.write_bytes(b"no gallery" * 500)
    assert around(str(tree / "2024" / "05"), "default") is None


def test_a_folder_around_an_indexed_one_says_so_once(lookalike, tree, tmp_path):
    """The first run names the folders whose own galleries are asked there; later ones do not repeat it."""
    done = lookalike("index", tmp_path, "--model", "toy")
    assert done.returncode == 0
    note = f"note: 1 folder inside has a gallery of its own ({tree}): commands that are started there"
    assert note in done.stderr
    assert "gallery of its own" not in lookalike("index", tmp_path).stderr
    assert lookalike("index", tree).returncode == 0
