"""Every source is held to the protocol, and one of another package is found by its scheme."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from email.message import EmailMessage

import numpy as np
import pytest
from PIL import Image

from lookalike import Gallery, NotTrusted, UsageError
from lookalike.sources.base import Found, Source
from lookalike.sources.folder import Walk
from lookalike.sources.packed import Packed
from lookalike.sources.remote_walk import RemoteWalk
from lookalike.testing import ToyExtractor, check_source

COLOURS = {"red": (250, 10, 10), "dark": (200, 10, 10), "green": (10, 250, 10), "blue": (10, 10, 250)}


@pytest.fixture
def pictures(tmp_path):
    """Four pictures of one colour each, by its name."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    for name, colour in COLOURS.items():
        Image.new("RGB", (40, 30), colour).save(folder / f"{name}.png")
    return {name: folder / f"{name}.png" for name in COLOURS}


@pytest.fixture
def box(tmp_path, pictures, mailboxes):
    """A mailbox with the four pictures in two mails, and a mail without any."""
    mails = (
        mailboxes.message(pictures["red"], pictures["green"]),
        EmailMessage(),
        mailboxes.message(pictures["dark"], pictures["blue"]),
    )
    return mailboxes.write(tmp_path / "mail.mbox", *mails)


@pytest.fixture
def package(tmp_path, mailboxes):
    """A folder with an installed package that registers the example, for the path of a process."""
    site = tmp_path / "site"
    (site / "boxes-0.dist-info").mkdir(parents=True)
    (site / "boxes-0.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: boxes\nVersion: 0\n")
    entry = "[lookalike.sources]\nmbox = mailbox_source:MailboxSource\n"
    (site / "boxes-0.dist-info" / "entry_points.txt").write_text(entry)
    (site / "mailbox_source.py").write_bytes(mailboxes.EXAMPLE.read_bytes())
    return site


def program(package, *arguments):
    """What the command prints where the package is installed."""
    path = os.pathsep.join([str(package), *sys.path])
    done = subprocess.run(
        [sys.executable, "-m", "lookalike", *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": path},
        cwd=package,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_folder(pictures):
    """The walk of a folder keeps the protocol, as the root and below one."""
    folder = str(pictures["red"].parent)
    check_source(Walk(folder, ""))
    check_source(Walk(folder, "below/"))


def test_a_remote_folder(pictures):
    """So does a folder at an address."""
    pytest.importorskip("fsspec")
    check_source(RemoteWalk(f"file://{pictures['red'].parent}"))


def test_batches(cifar_folder):
    """So do pictures that lie many in one file."""
    pixels = np.arange(3 * 32 * 32 * 3, dtype=np.uint32).astype(np.uint8).reshape(3, 32, 32, 3)
    folder = cifar_folder({"data_batch_1": (pixels[:2], [3, 9]), "test_batch": (pixels[2:], [0])})
    check_source(Packed(str(folder), "cifar/"))


def test_a_mailbox(box, mailboxes):
    """So does the example of one's own."""
    check_source(mailboxes.example().MailboxSource(str(box)))


class Listed(Source):
    """A source of a list of ids, with the name as its bytes."""

    name = "listed"
    prefix = "listed://here/"

    def __init__(self, *names):
        self.names = names

    def __iter__(self):
        for name in self.names:
            yield Found(f"{self.prefix}{name}", *self.stat(name))

    def stat(self, id_):  # noqa: D102
        return len(id_.removeprefix(self.prefix)), 7

    def read(self, id_, _limits):  # noqa: D102
        if id_.removeprefix(self.prefix) not in self.names:
            raise FileNotFoundError(id_)
        return id_.encode()


class Elsewhere(Listed):
    """A source whose ids are not its own."""

    def __iter__(self):
        yield Found("elsewhere://a", 1, 1)


@pytest.mark.parametrize(
    ("source", "said"),
    [
        (Listed(), "found no picture"),
        (Listed("b", "a"), "order of code points"),
        (Elsewhere("a"), "does not begin with the prefix"),
        (Listed("a"), "stat of .*not-there"),
    ],
)
def test_what_is_wrong_is_said(source, said):
    """A source that does not keep a promise is told which."""
    with pytest.raises(AssertionError, match=said):
        check_source(source)


def test_a_mailbox_is_kept_up_to_date(box, pictures, tmp_path, mailboxes):
    """What comes is added, what is gone is removed, and the rest is not read again."""
    source = mailboxes.example().MailboxSource(str(box))
    with Gallery.open(gallery=tmp_path / "gallery", model=ToyExtractor()) as gallery:
        assert gallery.add(source).added == 4
        mailboxes.write(box, mailboxes.message(pictures["green"]))
        report = gallery.add(source)
        assert (report.added, report.unchanged, report.removed) == (1, 4, 0)
        box.unlink()
        mailboxes.write(box, mailboxes.message(pictures["red"], pictures["green"]))
        report = gallery.add([source])
        assert (report.unchanged, report.removed, len(gallery)) == (2, 3, 2)
        assert {record.source for record in gallery.records()} == {"mbox"}
        box.unlink()
        report = gallery.add(source)
        assert (len(gallery), report.missing) == (2, 2)
        assert "can't be listed" in str(report.skipped) or report.notes


def test_its_pictures_are_found_and_shown_without_it(box, tmp_path, mailboxes):
    """Thumbnails were kept: a page of hits, and another model's vectors, need no mailbox."""
    with Gallery.open(gallery=tmp_path / "gallery", model=ToyExtractor()) as gallery:
        gallery.add(mailboxes.example().MailboxSource(str(box)))
        box.unlink()
        red = next(gallery.records()).id
        hits = gallery.search(red, k=1)
        assert hits[0].id.endswith("/000")  # dark red, the first of the third mail
        assert hits.html().count("data:image/jpeg") == 2
        gallery.reindex(ToyExtractor(2))
        assert len(gallery) == 4


def test_ids_out_of_order_are_refused(tmp_path):
    """They would make pictures look gone: the run ends, and nothing is removed."""
    with (
        Gallery.open(gallery=tmp_path / "gallery", model=ToyExtractor()) as gallery,
        pytest.raises(UsageError, match="order of code points"),
    ):
        gallery.add(Listed("b", "a"))


def test_a_registered_scheme_is_known_to_the_command(box, package):
    """A mailbox is named by its address; a later index knows it, and a search reads a picture of it."""
    place = ("--gallery", package / "gallery")
    assert "4 added" in program(package, "index", f"mbox://{box}", *place)
    assert "4 unchanged" in program(package, "index", *place)
    assert "4 unchanged" in program(package, "index", f"mbox://{box}", "--exclude", "nothing", *place)
    picture = f"mbox://{box}/message-000000000000/000"
    listed = program(package, "search", picture, "-k", "4", *place, "--json")
    assert len(json.loads(listed)["hits"]) == 3


def test_a_scheme_of_a_strangers_gallery_is_not_read(box, package, tmp_path, monkeypatch, mailboxes):
    """A gallery that was copied here reaches no mailbox, whatever its ids say, until it is trusted."""
    monkeypatch.syspath_prepend(str(package))
    with Gallery.open(gallery=tmp_path / "gallery", model=ToyExtractor()) as gallery:
        gallery.add(mailboxes.example().MailboxSource(str(box)))
    (tmp_path / "gallery").rename(tmp_path / "copied")
    with Gallery.open(gallery=tmp_path / "copied", model=ToyExtractor()) as gallery:
        red = next(gallery.records()).id
        assert "not trusted" in gallery.access.refusal(red)
        with pytest.raises(NotTrusted):
            gallery.add()
