"""What `index` says of files that are no pictures, and of a folder without any."""

from __future__ import annotations

import json

import pytest
from PIL import Image

from lookalike import Gallery
from lookalike.cli import run
from lookalike.indexing.skips import is_other, others_in_words
from lookalike.reports import Skip

VIDEOS, RAW = "not a picture: a video", "not a picture: a camera's raw file"
VIDEO = b"\0\0\0\x18ftypmp42" + bytes(100)


@pytest.fixture
def folder(tmp_path):
    """A picture, a broken one, two videos and a text."""
    Image.new("RGB", (9, 9), "red").save(tmp_path / "a.png")
    (tmp_path / "broken.png").write_bytes((tmp_path / "a.png").read_bytes()[:50])
    (tmp_path / "a.mp4").write_bytes(VIDEO)
    (tmp_path / "b.mp4").write_bytes(VIDEO)
    (tmp_path / "notes.txt").write_text("text")
    return tmp_path


def test_broken_pictures_are_told_and_others_counted(folder, capsys):
    """A broken picture has its line; files of other kinds are a number, by kind."""
    assert run(["index", str(folder), "--model", "toy"]) == 0
    done = capsys.readouterr()
    assert "1 added, 4 skipped; 1 pictures" in done.out
    broken, others = done.err.splitlines()
    assert broken.startswith("  skipped broken.png: ")
    assert others == "  3 other files (2 videos, 1 other)"


def test_nothing_is_repeated_unless_it_is_new(folder, capsys):
    """A later run tells what is new alone; JSON and `info --skipped` have all."""
    run(["index", str(folder), "--model", "toy"])
    capsys.readouterr()
    run(["index", str(folder)])
    assert capsys.readouterr().err == ""
    (folder / "more.txt").write_text("text")
    (folder / "broken.png").write_bytes(b"text")
    run(["index", str(folder)])
    assert capsys.readouterr().err == "  2 other files\n"
    run(["index", str(folder), "--json"])
    assert len(json.loads(capsys.readouterr().out)["skipped"]) == 5
    run(["info", "--skipped", "--gallery", str(folder)])
    assert capsys.readouterr().out.count("\n") == 5


def test_the_report_knows_what_was_skipped_before(folder):
    """In Python, too: `known` has the paths of what an earlier run skipped for the same reason."""
    with Gallery.open(folder, model="toy") as gallery:
        assert gallery.add().known == frozenset()
        assert gallery.add().known == {"a.mp4", "b.mp4", "broken.png", "notes.txt"}


@pytest.mark.parametrize(
    ("reasons", "said"),
    [
        (["not a picture: text"], "1 other file"),
        ([VIDEOS] * 8 + [RAW] * 6 + ["not a picture: text"] * 2, "16 other files (8 videos, 6 raw, 2 other)"),
        ([VIDEOS], "1 other file (1 video)"),
    ],
)
def test_kinds_in_words(reasons, said):
    """Videos and raw files have their own numbers."""
    assert others_in_words([Skip(f"{i}", reason) for i, reason in enumerate(reasons)]) == said


def test_what_is_wrong_with_a_picture_is_no_other_file():
    """A reason that names what a file is makes it another one; a truncated picture is told."""
    assert is_other(Skip("a", "a symbolic link to a folder (not followed)"))
    assert not is_other(Skip("a", "truncated PNG"))
    assert not is_other(Skip("a.jxl", "not a picture: JPEG XL, which is not supported"))
    assert not is_other(Skip("a", "can't be read: Permission denied"))


@pytest.mark.parametrize("content", [{}, {"notes.txt": "text"}])
def test_a_folder_without_pictures_is_left_as_it_was(tmp_path, capsys, content):
    """Where there is no picture no gallery is made, and that is said; one that was there stays."""
    for name, text in content.items():
        (tmp_path / name).write_text(text)
    assert run(["index", str(tmp_path), "--model", "toy"]) == 0
    assert f"there is no picture in {tmp_path}: no gallery was made" in capsys.readouterr().err
    assert {path.name for path in tmp_path.iterdir()} == set(content)
    Image.new("RGB", (9, 9), "red").save(tmp_path / "a.png")
    assert run(["index", str(tmp_path), "--model", "toy"]) == 0
    (tmp_path / "a.png").unlink()
    assert run(["index", str(tmp_path), "--prune"]) == 0
    assert (tmp_path / ".lookalike" / "default" / "gallery.sqlite").exists()
