"""Files that are written: replaced whole or not at all; and a folder's files, by no link."""

from __future__ import annotations

import errno
import os
import stat

import pytest

from lookalike.errors import UsageError
from lookalike.system.directory import Directory, NoPlainFile
from lookalike.system.files import replacing


def test_a_file_is_replaced_whole(tmp_path):
    """While a file is written the older one is there; then the new one is, with the same rights."""
    file = tmp_path / "page.html"
    file.write_text("old")
    file.chmod(0o640)
    with replacing(file) as part:
        part.write_text("new")
        assert file.read_text() == "old"
    assert (file.read_text(), stat.S_IMODE(file.stat().st_mode)) == ("new", 0o640)
    assert list(tmp_path.iterdir()) == [file]


def test_a_new_file_has_the_usual_rights(tmp_path):
    """A file that was not there gets the rights that any new file would."""
    (tmp_path / "plain").write_text("")
    with replacing(tmp_path / "page.html") as part:
        part.write_text("new")
    assert (tmp_path / "page.html").stat().st_mode == (tmp_path / "plain").stat().st_mode


def _half(file, code):
    with replacing(file) as part:
        part.write_text("half")
        raise OSError(code, os.strerror(code))


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO])
def test_a_failure_leaves_the_older_file(tmp_path, code):
    """What can't be written whole changes nothing, and says so in words."""
    file = tmp_path / "page.html"
    file.write_text("old")
    with pytest.raises(UsageError, match=r"page\.html can't be written") as caught:
        _half(file, code)
    assert ("make room" in str(caught.value)) == (code == errno.ENOSPC)
    assert file.read_text() == "old"
    assert list(tmp_path.iterdir()) == [file]


def test_a_link_of_the_users_own_stays_one(tmp_path):
    """A file that is written through a link goes to where the link leads, and the link stays."""
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "page.html").symlink_to("elsewhere/real.html")
    for content in ("one", "two"):
        with replacing(tmp_path / "page.html") as part:
            part.write_text(content)
    assert (tmp_path / "page.html").is_symlink()
    assert (tmp_path / "elsewhere" / "real.html").read_text() == "two"


def test_what_is_no_file_is_written_to_as_it_is(tmp_path):
    """A pipe gets what is written, and stays a pipe."""
    os.mkfifo(tmp_path / "pipe")
    reader = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    with replacing(tmp_path / "pipe") as part:
        part.write_text("through")
    assert os.read(reader, 99) == b"through"
    os.close(reader)
    assert stat.S_ISFIFO((tmp_path / "pipe").stat().st_mode)


@pytest.fixture
def directory(tmp_path):
    """A folder `anchor/inner` in which a file can be."""
    made = Directory(tmp_path / "anchor", "inner")
    made.make()
    return made


def test_files_of_a_directory(directory):
    """Files are made, read, replaced and deleted by their names."""
    directory.create("a", b"first")
    directory.create("b", b"second")
    with pytest.raises(FileExistsError):
        directory.create("a")
    directory.replace("a", "b")
    assert (directory.read("a", 3), directory.names(), directory.status("b")) == (b"sec", ["a"], None)
    directory.unlink("a")
    directory.unlink("a")
    directory.remove()
    assert not directory.path.exists()
    assert directory.names() == []


def _harm(path, kind, victim):
    if kind == "link":
        path.symlink_to(victim)
    elif kind == "dangling":
        path.symlink_to(victim.with_name("nowhere"))
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    else:
        path.hardlink_to(victim)


@pytest.mark.parametrize("kind", ["link", "dangling", "pipe", "folder", "shared"])
def test_nothing_else_is_opened(directory, tmp_path, kind):
    """What is no plain file of its own is an error in words, and blocks nobody; a hard link may be read."""
    victim = tmp_path / "thesis"
    victim.write_text("mine")
    _harm(directory.path / "a", kind, victim)
    directory.create("b", b"other")
    for use in (
        lambda: directory.open("a", os.O_RDWR | os.O_CREAT | os.O_TRUNC * (kind != "shared")),
        *([] if kind == "shared" else [lambda: directory.read("a", 9), lambda: directory.unlink("a")]),
        *([] if kind == "shared" else [lambda: directory.replace("a", "b"), lambda: directory.status("a")]),
    ):
        with pytest.raises(NoPlainFile, match=r"anchor/inner/a (is a|has 2 names)"):
            use()
    assert victim.read_text() == "mine"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["anchor", "thesis"]


@pytest.mark.parametrize("kind", ["link", "pipe"])
def test_an_inner_folder_is_no_link(tmp_path, kind):
    """The path that was named may lead through links; what is inside may not, and nothing is made there."""
    (tmp_path / "real").mkdir()
    (tmp_path / "named").symlink_to("real")
    _harm(tmp_path / "real" / "inner", kind, tmp_path / "real")
    inner = Directory(tmp_path / "named", "inner", "more")
    for use in (inner.make, inner.names, lambda: inner.status("a"), lambda: inner.create("a")):
        with pytest.raises(NoPlainFile, match=r"named/inner is a"):
            use()
    assert [path.name for path in (tmp_path / "real").iterdir()] == ["inner"]
    Directory(tmp_path / "named").create("a", b"x")
    assert (tmp_path / "real" / "a").read_bytes() == b"x"


def test_a_file_where_a_folder_is_wanted(tmp_path):
    """It is said what it is."""
    (tmp_path / "cache").write_bytes(b"")
    with (
        pytest.raises(NoPlainFile, match="is a file, expected a folder"),
        Directory(tmp_path, "cache").opened(),
    ):
        pass
