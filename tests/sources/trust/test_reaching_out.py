"""A gallery somebody else made reaches nothing outside of its folder: no file is read, no machine asked."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from lookalike import Gallery, NotTrusted
from lookalike.cli import run
from lookalike.evaluation import compare, evaluate
from lookalike.extractors.names import require_model
from lookalike.sources import trust

COMMANDS = ("info", "search", "find", "check", "export", "index", "evaluate", "neighbors", "describe")


def ask_everything(folder, tmp_path, query="red.png"):
    """Everything that can be asked of a gallery; the page of a search, and all that was said."""
    with Gallery.open(gallery=folder / ".lookalike" / "default") as gallery:
        gallery.info()
        hits = gallery.search(str(folder / query), 20)
        page = hits.html()
        hits._repr_html_()
        found = gallery.find("png", 20)
        found.html()
        for record in gallery.records():
            gallery.thumbnail(record.id)
            gallery.search(f"id:{record.id}", 20).html()
        gallery.export(tmp_path / "vectors.npz")
        assert gallery.check() == []
    os.chdir(tmp_path)
    place = str(folder / ".lookalike" / "default")
    for command in COMMANDS:
        more = {
            "search": ["red", "--html", str(tmp_path / "page.html"), "--plot", str(tmp_path / "plot.png")],
            "find": ["png", "--html", str(tmp_path / "found.html")],
            "describe": [str(folder / query)],
            "export": [str(tmp_path / "v.csv")],
            "evaluate": ["--labels", "name:(.)"],
        }.get(command, [])
        if command == "search":
            more[0] = str(folder / query)
        run([command, *more, "--gallery", place])
    return page, (*hits.notes, *found.notes)


def ids_to(secret, folder):
    """All ways in which an id can name a file outside of the folder."""
    relative = os.path.relpath(secret, folder)
    (folder / "link").symlink_to(secret.parent)
    (folder / "picture.png").symlink_to(secret)
    (folder / "inner").mkdir()
    (folder / "up").symlink_to(folder / "inner")
    return [
        str(secret),
        relative,
        f"inner/../{relative}",
        f"up/../../{relative}",
        f"link/{secret.name}",
        f"link/../{secret.parent.name}/{secret.name}",
        "picture.png",
        f"file://{secret}",
        f"local://{secret}",
        f"FILE://{secret}",
        f"file:///..{secret}",
        f"file://{folder}/link/{secret.name}",
        f"file://{secret}::/../../..{folder}/red.png",
        f"zip://red.png::file://{secret}",
        f"zip://red.png::{secret}",
        f"//{secret}",
        f"{secret}\0",
        f"{secret}/",
    ]


def test_no_file_outside_is_read(received, plant, edit, picture, tmp_path, read_files):
    """Ids that are absolute, lead up, through links or by a scheme show a placeholder, and a note is made."""
    secret = picture(tmp_path / "private" / "secret.png", (10, 200, 120))
    ids = [id_ for id_ in ids_to(secret, received) if "\0" not in id_]
    plant(received, *ids)
    page, notes = ask_everything(received, tmp_path)
    assert str(secret) not in read_files
    place = str(received / ".lookalike" / "default")
    assert page.count("data:image/jpeg") == 2  # the query, and the other picture of the folder
    edit(received, "UPDATE pictures SET thumbnail = x'ff' WHERE id = ?", str(secret))
    search = ["search", str(received / "red.png"), "-k", "20", "--gallery", place]
    for option in ("--copy-to", "--link-to"):
        assert run([*search, option, str(tmp_path / option)]) == 0
        assert [file.name for file in (tmp_path / option).iterdir()] == ["blue.png"]
    assert str(secret) not in read_files
    edit(received, "UPDATE pictures SET thumbnail = NULL")
    note = next(note for note in notes if note.startswith("not read:"))
    assert f"`lookalike trust {received}`" in note
    assert f"and {len(ids) - 1} more" in note
    with Gallery.open(gallery=received / ".lookalike" / "default") as gallery:
        gallery.trust()
        assert gallery.thumbnail(str(secret)) is not None
        assert gallery.thumbnail("picture.png") is not None
        notes = gallery.search(str(received / "red.png"), 20).notes
        # Addresses in several parts that lead into this machine are refused until that is allowed, too.
        assert len(notes) == 1
        assert "::" in notes[0]
        assert "--allow-private" in notes[0]
    assert str(secret) in read_files


def test_an_id_that_no_path_can_have(received, plant):
    """What can't be a path is not read, and is no error either."""
    plant(received, "\\xff/../x.png", "\\x2e\\x2e/x.png", "x" * 2000, "2024/..", "2024/")
    with Gallery.open(gallery=received / ".lookalike" / "default") as gallery:
        for record in list(gallery.records()):
            gallery.thumbnail(record.id)
        gallery.search(str(received / "red.png"), 9).html()
        assert gallery.access.refusal("a\0b.png") != ""
        assert gallery.access.unread(["a\0b.png", "a\0/b.png", ""]) == ["a\0/b.png"]


SCHEMES = ("ftp", "http", "https", "sftp", "smb", "webhdfs", "zip://a.png::http", "simplecache::http", "HTTP")


@pytest.mark.parametrize("source", ["file", "walk", "url"])
def test_no_connection_is_opened(received, plant, listener, tmp_path, source):
    """Not for a thumbnail, a page, a query by id, a comparison, or an index, whatever the scheme."""
    plant(received, *(f"{scheme}://127.0.0.1:{listener.port}/a.png" for scheme in SCHEMES), source=source)
    ask_everything(received, tmp_path)
    compared = compare(received, galleries=["default"], queries=["id:red.png"], k=20)
    assert not compared.failed
    assert any(note.startswith("not read:") for note in compared.notes)
    compared.html()
    page = str(tmp_path / "neighbors.html")
    assert run(["neighbors", str(received), "-k", "20", "--html", page]) == 0
    assert "not read:" in Path(page).read_text()
    assert listener.count == 0


def test_the_downloader_refuses_private_addresses_even_of_a_trusted_gallery(received, plant, listener):
    """Trust lets a gallery reach the web, not this machine by way of it."""
    plant(received, f"http://127.0.0.1:{listener.port}/a.png", f"ftp://127.0.0.1:{listener.port}/a.png")
    with Gallery.open(received) as gallery:
        gallery.trust()
        for record in gallery.records():
            gallery.thumbnail(record.id)
        assert listener.count == 0
        gallery.trust(allow_private=True)
        assert gallery.access.refusal(f"ftp://127.0.0.1:{listener.port}/a.png") == ""


@pytest.mark.parametrize("by", ["folders", "root"])
def test_a_bare_index_looks_into_no_folder_outside(
    received, edit, set_header, picture, tmp_path, by, read_files
):
    """Folders and a root outside that the gallery names are passed over and told; those inside are walked."""
    secret = picture(tmp_path / "private" / "secret.png")
    if by == "root":
        set_header(received, root=str(secret.parent))
    else:
        edit(received, "INSERT INTO folders VALUES (?, 0)", f"{secret.parent}/")
    with Gallery.open(gallery=received / ".lookalike" / "default") as gallery:
        if by == "root":
            with pytest.raises(NotTrusted, match="lookalike trust"):
                gallery.add()
        else:
            picture(received / "new.png", (1, 2, 3))
            report = gallery.add()
            assert report.added == 1
            assert any(str(secret.parent) in note and "lookalike trust" in note for note in report.notes)
            # What was not looked into is kept.
            assert [folder.prefix for folder in gallery.store.folders()] == ["", f"{secret.parent}/"]
        assert str(secret) not in [record.id for record in gallery.records()]
        assert str(secret) not in read_files
        gallery.trust()
        gallery.add()
        assert any(record.id in {str(secret), "secret.png"} for record in gallery.records())


def test_a_bare_index_opens_no_connection(received, edit, listener):
    """A remote folder that a stranger wrote into his gallery is not asked for."""
    edit(received, "INSERT INTO folders VALUES (?, 0)", f"ftp://127.0.0.1:{listener.port}/pub/")
    with Gallery.open(gallery=received / ".lookalike" / "default") as gallery:
        report = gallery.add()
    assert any("ftp://127.0.0.1" in note for note in report.notes)
    assert listener.count == 0


def test_a_bare_index_reads_no_picture_through_a_link_that_leads_out(received, picture, tmp_path, read_files):
    """The link is reported with the reason; an index that names the folder is the user's own doing."""
    secret = picture(tmp_path / "private" / "secret.png", (1, 2, 3))
    (received / "link.png").symlink_to(secret)
    (received / "near.png").symlink_to(received / "red.png")
    with Gallery.open(gallery=received / ".lookalike" / "default") as gallery:
        report = gallery.add()
        assert [skip.path for skip in report.skipped] == ["link.png"]
        assert "lookalike trust" in report.skipped[0].reason
        assert str(secret) not in read_files
        assert gallery.add(received).added == 1
        # What it shows later is still not what lies outside.
        assert gallery.thumbnail("link.png") is None


def test_the_ignore_file_may_not_be_a_link_that_leads_out(received, tmp_path):
    """Neither is a stranger's choice of a file read for patterns, nor are pictures indexed without them."""
    (tmp_path / "patterns").write_text("*.png\n")
    (received / ".lookalikeignore").symlink_to(tmp_path / "patterns")
    with (
        Gallery.open(gallery=received / ".lookalike" / "default") as gallery,
        pytest.raises(NotTrusted, match="lookalikeignore"),
    ):
        gallery.add()


def test_reindexing_reads_nothing_outside(received, plant, listener, picture, tmp_path, read_files):
    """It stops, and says which pictures, and what would allow them."""
    secret = picture(tmp_path / "private" / "secret.png")
    plant(received, str(secret), f"ftp://127.0.0.1:{listener.port}/a.png")
    with (
        Gallery.open(gallery=received / ".lookalike" / "default") as gallery,
        pytest.raises(Exception, match="lookalike trust"),
    ):
        gallery.reindex("toy?grid=2")
    assert (listener.count, str(secret) in read_files) == (0, False)


@pytest.mark.parametrize(
    "name",
    [
        "net.onnx",
        "./net.onnx",
        "~/net.onnx",
        "net.onnx@features",
        "keras:VGG16",
        "keras:VGG16?weights=net.h5",
        "trained",
        "keras-live:x",
        "somebody-else:model",
    ],
)
def test_a_model_that_a_stranger_names_is_not_loaded(
    received, set_header, tmp_path, monkeypatch, name, read_files
):
    """Neither a file of the current folder or elsewhere, nor a download, nor another package's."""
    here = tmp_path / "here"
    here.mkdir()
    files = [here / file for file in ("net.onnx", "net.h5", "trained/model.json", "trained/model.xml")]
    for file in files:
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(b"{}")
    monkeypatch.chdir(here)
    monkeypatch.setenv("LOOKALIKE_CACHE", str(tmp_path / "cache"))
    set_header(received, extractor=name)
    picture = (received / "red.png").read_bytes()
    with Gallery.open(gallery=received / ".lookalike" / "default") as gallery:
        with pytest.raises(NotTrusted, match="lookalike trust"):
            gallery.search(picture)
        with pytest.raises(NotTrusted):
            gallery.describe(picture)
        with pytest.raises(NotTrusted):
            evaluate(gallery, "name:(.)", split="test")
        assert len(gallery.search("id:red.png")) == 1  # what is stored needs no model
    assert set(map(str, files)).isdisjoint(read_files)


def test_a_model_that_the_command_names_may_be_loaded(received, set_header, tmp_path, monkeypatch):
    """Then it was the user who chose it."""
    set_header(received, extractor="somebody-else:model")
    with Gallery.open(gallery=received / ".lookalike" / "default", model="somebody-else:model") as gallery:
        require_model("somebody-else:model", gallery.access)


def test_a_copy_or_conversion_is_as_trusted_as_what_it_was_made_of(received, plant, picture, tmp_path):
    """To copy a stranger's gallery does not make it one's own; to copy one's own does."""
    secret = picture(tmp_path / "private" / "secret.png")
    plant(received, str(secret))
    with Gallery.open(received) as gallery:
        gallery.copy(tmp_path / "one")
        gallery.trust()
        gallery.copy(tmp_path / "two")
    for name, seen in (("one", False), ("two", True)):
        with Gallery.open(gallery=tmp_path / name) as copy:
            assert (copy.thumbnail(str(secret)) is not None) is seen


def test_a_gallery_whose_root_would_be_a_folder_it_does_not_lie_in(
    received, tmp_path, picture, plant, read_files
):
    """Taken out of its folder, a gallery without a root is no key to whatever lies two folders above it."""
    (received / ".lookalike" / "default").rename(tmp_path / "deep")
    secret = picture(tmp_path.parent / f"{tmp_path.name}.png")
    plant(None, secret.name, address=tmp_path / "deep")
    with Gallery.open(gallery=tmp_path / "deep") as gallery:
        assert Path(gallery.root) == tmp_path.parent
        gallery.search("id:red.png").html()
        gallery.thumbnail(secret.name)
    secret.unlink()
    assert str(secret) not in read_files


def test_trust_is_for_a_place_and_a_token(received, plant, picture, tmp_path):
    """A gallery that is moved, or that takes the place of a trusted one, is not trusted."""
    secret = picture(tmp_path / "private" / "secret.png")
    plant(received, str(secret))
    with Gallery.open(received) as gallery:
        gallery.trust()
        assert gallery.access.trusted
    moved = received.rename(tmp_path / "moved")
    with Gallery.open(moved) as gallery:
        assert gallery.thumbnail(str(secret)) is None
    with Gallery.open(received, model="toy") as fresh:
        picture(received / "a.png")
        fresh.add()
        assert fresh.access.trusted
    trust.revoke(str(received / ".lookalike" / "default"))
    with Gallery.open(received) as fresh:
        assert not fresh.access.trusted
