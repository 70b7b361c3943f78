"""`lookalike delete`: what has to be told, what is asked, and that what can't be opened goes as well."""

from __future__ import annotations

import json
import sqlite3

import pytest

from lookalike import Gallery


@pytest.fixture
def pictures(tmp_path):
    """A folder with two galleries, of a vector each."""
    folder = tmp_path / "pictures"
    (folder / "sub").mkdir(parents=True)
    for name in ("default", "second"):
        with Gallery.open(folder, name=name) as gallery:
            gallery.add_vectors((["a"], [[1.0, 2.0]]))
    return folder


def _left(folder):
    return {path.name for path in (folder / ".lookalike").iterdir()}


@pytest.mark.parametrize("found", ["upward", "in the environment"])
def test_yes_is_for_what_was_told(lookalike, pictures, found):
    """What is only found, or stands in the environment, is deleted after a question, never by --yes."""
    around = {} if found == "upward" else {"LOOKALIKE_GALLERY": str(pictures)}
    place = {"cwd": pictures / "sub"} if found == "upward" else {}
    refused = lookalike("delete", "--yes", **place, **around)
    assert (refused.returncode, refused.stderr.count("\n")) == (2, 1)
    assert "--yes needs --gallery or --name" in refused.stderr
    assert _left(pictures) == {"default", "second"}
    answered = lookalike("delete", stdin="y\n", **place, **around)
    assert answered.returncode == 0
    assert _left(pictures) == {"second"}


def test_yes_with_a_name(lookalike, pictures):
    """A name tells the gallery, of those found here and of those of a folder in the environment."""
    assert lookalike("delete", "--yes", "--name", "second", cwd=pictures / "sub").returncode == 0
    assert _left(pictures) == {"default"}
    words = ("delete", "--yes", "--name", "default")
    assert lookalike(*words, LOOKALIKE_GALLERY=str(pictures)).returncode == 0
    assert not (pictures / ".lookalike").exists()


@pytest.mark.parametrize("told", ["on the command line", "in the environment"])
def test_a_name_that_says_nothing(lookalike, pictures, told):
    """Where a place is a gallery by itself another one's name is an error: the wrong one would be deleted."""
    own = str(pictures / ".lookalike" / "default")
    words, around = (
        (("--gallery", own), {}) if told == "on the command line" else ((), {"LOOKALIKE_GALLERY": own})
    )
    done = lookalike("delete", "--yes", "--name", "second", *words, **around)
    assert done.returncode == 2
    assert "is a gallery by itself; leave out --name second" in done.stderr
    assert _left(pictures) == {"default", "second"}


def test_nothing_there(lookalike, pictures):
    """Deleting what is not there is an error that tells what is."""
    done = lookalike("delete", "--yes", "--gallery", pictures, "--name", "third")
    assert done.returncode == 1
    assert "there are default, second" in done.stderr


@pytest.mark.parametrize("damage", ["newer", "header"])
def test_what_cannot_be_opened_can_be_deleted(lookalike, pictures, damage):
    """A gallery of a later version, or without its header, is asked for without a count, and goes."""
    file = pictures / ".lookalike" / "default" / "gallery.sqlite"
    connection = sqlite3.connect(file)
    connection.execute("PRAGMA user_version = 99" if damage == "newer" else "DELETE FROM header")
    connection.commit()
    connection.close()
    assert lookalike("info", "--gallery", pictures).returncode == 1
    kept = lookalike("delete", "--gallery", pictures, stdin="n\n")
    assert "which can't be opened?" in kept.stderr
    assert _left(pictures) == {"default", "second"}
    done = lookalike("delete", "--gallery", pictures, "--yes", "--json")
    assert done.returncode == 0
    assert json.loads(done.stdout) == {"deleted": str(file.parent), "count": None}
    assert _left(pictures) == {"second"}
