"""Who is trusted: galleries that are made here, those that are named by `trust`, and what a command names."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
from pathlib import Path

import pytest

from lookalike import Gallery
from lookalike.cli import run
from lookalike.errors import NotTrusted, StoreError, StoreUnavailable
from lookalike.evaluation import compare
from lookalike.extractors.names import require_model
from lookalike.images import ImageLimits
from lookalike.sources import trust
from lookalike.sources.access import Access


@pytest.fixture
def state(tmp_path, monkeypatch):
    """A folder of this test's own for the record."""
    monkeypatch.setenv("LOOKALIKE_STATE", str(tmp_path / "state"))
    return tmp_path / "state"


def test_making_a_gallery_confers_trust(state, picture, tmp_path):
    """What its maker indexes elsewhere is read in every later run, by nothing but its place and token."""
    pictures, elsewhere = picture(tmp_path / "p" / "a.png").parent, picture(tmp_path / "e" / "b.png")
    with Gallery.open(pictures, gallery=tmp_path / "g", model="toy") as gallery:
        assert gallery.add([pictures, elsewhere.parent]).notes == []
    with Gallery.open(gallery=tmp_path / "g") as gallery:
        assert gallery.access.trusted
        assert gallery.thumbnail(str(elsewhere)) is not None
        assert gallery.search("id:a.png").notes == ()
        assert gallery.add().unchanged == 2
    assert [(one.gallery, one.made) for one in trust.grants()] == [(str(tmp_path / "g"), True)]


def test_the_token_survives_a_new_model(state, picture, tmp_path):
    """A gallery stays trusted when it is indexed anew by another model."""
    picture(tmp_path / "p" / "a.png")
    with Gallery.open(tmp_path / "p", model="toy") as gallery:
        gallery.add()
        gallery.reindex("toy?grid=2")
    with Gallery.open(tmp_path / "p") as gallery:
        assert gallery.access.trusted


def test_indexing_an_existing_gallery_confers_none(received, picture, tmp_path):
    """A folder that is named is read in that run; a later run without it passes it over and says so."""
    other = picture(tmp_path / "other" / "x.png").parent
    with Gallery.open(gallery=received / ".lookalike" / "default") as gallery:
        report = gallery.add(other)
        assert report.added == 1
        assert any("will pass it over" in note and "lookalike trust" in note for note in report.notes)
        assert not gallery.access.trusted
        picture(other / "y.png", (1, 2, 3))
        later = gallery.add()
        assert (later.added, later.unchanged, later.total) == (0, 2, 3)
        assert any(str(other) in note and "lookalike trust" in note for note in later.notes)
        assert gallery.thumbnail(str(other / "x.png")) is None
        gallery.trust()
        assert gallery.add().added == 1


def test_pictures_in_the_folder_need_no_trust(received):
    """The common case: whoever made a gallery, what lies in its folder is read, and nothing is said."""
    with Gallery.open(received) as gallery:
        assert not gallery.access.trusted
        assert gallery.thumbnail("red.png") is not None
        assert gallery.search("id:red.png").notes == ()
        assert gallery.add().notes == []
        assert gallery.reindex("toy?grid=2").total == 2


def test_a_root_that_is_named_is_read(received, set_header, picture, tmp_path):
    """`Gallery.open(FOLDER, gallery=…)` names the folder, and so its pictures may be shown."""
    elsewhere = picture(tmp_path / "elsewhere" / "red.png").parent
    set_header(received, root=str(elsewhere))
    place = received / ".lookalike" / "default"
    with Gallery.open(gallery=place) as gallery:
        assert gallery.thumbnail("red.png") is None
    with Gallery.open(elsewhere, gallery=place) as gallery:
        assert gallery.thumbnail("red.png") is not None
        assert gallery.thumbnail("../received/red.png") is None


def test_a_query_that_is_named_is_shown(received, plant, picture, tmp_path):
    """The user typed the path, so its picture is on the page, although it is one of the gallery's outside."""
    place = picture(tmp_path / "private" / "secret.png")
    with Gallery.open(gallery=received / ".lookalike" / "default") as gallery:
        gallery.add(place)
        assert gallery.search(str(place)).query_thumbnail() is not None
        assert gallery.search(f"id:{place}").query_thumbnail() is None
        assert any("not read" in note for note in gallery.search(f"id:{place}").notes)


def test_a_record_that_cannot_be_written_is_told(picture, tmp_path, monkeypatch):
    """The gallery is made all the same, and this run may reach what it names."""
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("LOOKALIKE_STATE", str(tmp_path / "file" / "state"))
    pictures, elsewhere = picture(tmp_path / "p" / "a.png").parent, picture(tmp_path / "e" / "b.png")
    with Gallery.open(pictures, model="toy") as gallery:
        report = gallery.add([pictures, elsewhere.parent])
        assert report.added == 2
        assert any("can't be recorded" in note and "LOOKALIKE_TRUST" in note for note in report.notes)
        assert gallery.thumbnail(str(elsewhere)) is not None
        with pytest.raises(StoreUnavailable, match="can't be recorded"):
            gallery.trust()
    with Gallery.open(pictures) as gallery:
        assert gallery.thumbnail(str(elsewhere)) is None
        assert gallery.thumbnail("a.png") is not None


@pytest.mark.parametrize(
    "content", ["", "[]", "{}", '{"gallery": 1}', "null", "\xff", '"' * 70_000, "[" * 60_000]
)
def test_a_record_that_is_none(state, received, content):
    """A damaged entry is no trust, and ends nothing."""
    with Gallery.open(received) as gallery:
        gallery.trust()
        [file] = (state / "galleries").glob("*.json")
        file.write_text(content, encoding="latin-1")
        assert trust.find(gallery.address, gallery.store.token) is None
    assert trust.grants() == []


def test_an_entry_of_another_gallery_is_none(state, received):
    """An entry counts for the gallery that it names, not for the name of its file."""
    with Gallery.open(received) as gallery:
        gallery.trust()
        [file] = (state / "galleries").glob("*.json")
        file.write_text(json.dumps(json.loads(file.read_text()) | {"gallery": "/elsewhere"}))
        assert trust.find(gallery.address, gallery.store.token) is None


def test_the_environment_names_places_for_services(received, plant, edit, picture, tmp_path, monkeypatch):
    """Where there is no home, a variable lists folders and addresses that every gallery may reach."""
    secret, other = picture(tmp_path / "data" / "s.png"), picture(tmp_path / "more" / "o.png")
    plant(received, str(secret), str(other), "../data/../more/o.png")
    edit(received, "INSERT INTO folders VALUES (?, 0)", f"{secret.parent}/")
    monkeypatch.setenv("LOOKALIKE_TRUST", f"{tmp_path / 'data'}, memory://bucket/photos")
    monkeypatch.setenv("LOOKALIKE_STATE", "/dev/null/nowhere")
    with Gallery.open(gallery=received / ".lookalike" / "default") as gallery:
        assert gallery.thumbnail(str(secret)) is not None
        assert gallery.thumbnail(str(other)) is None
        assert gallery.thumbnail("../data/../more/o.png") is None
        assert not any(str(secret.parent) in note for note in gallery.add().notes)
        allowed = gallery.access.refusal
        assert allowed("memory://bucket/photos/a.png") == ""
        assert allowed("memory://bucket/photos/../private/a.png")
        assert allowed("memory://bucket/photos-private/a.png")


def test_what_a_relative_entry_means(received, plant, set_header, picture, tmp_path, monkeypatch):
    """A path in the variable is one of the current folder, never one of a root that the gallery names."""
    picture(tmp_path / "root" / "data" / "a.png")
    plant(received, "data/a.png")
    set_header(received, root=str(tmp_path / "root"))
    monkeypatch.setenv("LOOKALIKE_TRUST", "data")
    monkeypatch.chdir(tmp_path)
    with Gallery.open(gallery=received / ".lookalike" / "default") as gallery:
        assert gallery.thumbnail("data/a.png") is None
    monkeypatch.chdir(tmp_path / "root")
    with Gallery.open(gallery=received / ".lookalike" / "default") as gallery:
        assert gallery.thumbnail("data/a.png") is not None


def test_workers_are_told_what_is_allowed(received, plant, picture, tmp_path, monkeypatch):
    """The decision travels: a worker's own record, folder and environment say nothing."""
    secret = picture(tmp_path / "private" / "secret.png")
    plant(received, str(secret))
    with Gallery.open(gallery=received / ".lookalike" / "default") as gallery:
        refused = pickle.dumps(gallery.access)
        gallery.trust()
        allowed = pickle.dumps(gallery.access)
    monkeypatch.setenv("LOOKALIKE_STATE", str(tmp_path / "other-state"))
    assert pickle.loads(allowed).refusal(str(secret)) == ""  # noqa: S301
    monkeypatch.setenv("LOOKALIKE_TRUST", str(secret.parent))
    assert pickle.loads(refused).refusal(str(secret)) != ""  # noqa: S301


def test_a_gallery_that_cannot_be_written_can_be_trusted(received, plant, picture, tmp_path):
    """Trust is recorded with the user, not in the gallery."""
    secret = picture(tmp_path / "private" / "secret.png")
    plant(received, str(secret))
    folder = received / ".lookalike" / "default"
    before = {file.name: file.stat().st_mtime_ns for file in folder.iterdir() if file.is_file()}
    with Gallery.open(received) as gallery:
        gallery.trust()
        assert gallery.thumbnail(str(secret)) is not None
    after = {file.name: file.stat().st_mtime_ns for file in folder.iterdir() if file.is_file()}
    assert {name: after[name] for name in ("gallery.sqlite",)} == {"gallery.sqlite": before["gallery.sqlite"]}


def test_a_deleted_gallery_is_forgotten(state, picture, tmp_path):
    """Nothing is left of it, so that no other gallery finds itself trusted in its place."""
    picture(tmp_path / "p" / "a.png")
    with Gallery.open(tmp_path / "p", model="toy") as gallery:
        gallery.add()
        gallery.delete()
    assert trust.grants() == []
    with Gallery.open(tmp_path / "p", model="toy") as gallery:
        gallery.add()
    assert run(["delete", "--gallery", str(tmp_path / "p"), "--yes"]) == 0
    assert trust.grants() == []


def test_somebody_elses_gallery_made_at_the_same_moment(state, received, tmp_path):
    """Whoever was faster made it: it is opened as it is, and not taken for one's own."""
    with Gallery.open(tmp_path / "p", model="toy") as gallery:
        Path(gallery.root).mkdir()
        (received / ".lookalike").rename(Path(gallery.address).parent)
        gallery.add(str(received))
        assert not gallery.access.trusted
    assert trust.grants() == []


def test_a_cluster_s_gallery_is_known_by_its_address():
    """Options of an address make no other gallery, and one in no folder has nothing inside of it."""
    address = "elasticsearch://es:9200/photos"
    assert trust.place_of(f"{address}?timeout=9") == trust.place_of(f"{address}/") == address
    access = Access("/data", ImageLimits(), address, "token")
    assert "lookalike trust --gallery elasticsearch://es:9200/photos" in access.refusal("a.png")
    assert access.naming("/data").refusal("a.png") == ""
    assert trust.grant(address, "token", made=True, private=True) == ""
    assert Access("/data", ImageLimits(), f"{address}?timeout=9", "token").refusal("a.png") == ""
    assert Access("/data", ImageLimits(), address, "another").refusal("a.png") != ""
    assert trust.revoke(address) == 1


def test_the_command(state, received, plant, edit, set_header, picture, tmp_path, capsys):
    """It shows what the gallery names, records that it is trusted, lists, and takes it back."""
    secret = picture(tmp_path / "private" / "secret.png")
    plant(received, str(secret), "s3://bucket/a.png", "http://user:hunter2@host/a.png")
    edit(received, "INSERT INTO folders VALUES (?, 0)", "ftp://nas/photos/")
    assert run(["trust", str(received), "--show", "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert (shown["before"], shown["trusted"], shown["home"]) == (False, False, str(received))
    assert shown["folders"] == ["ftp://nas/photos"]
    assert shown["pictures"] == {"http://host": 1, "s3://bucket": 1, str(secret.parent): 1}
    assert run(["trust", str(received)]) == 0
    text = capsys.readouterr().out
    assert "before: not trusted" in text
    assert "now: trusted to reach outside of its folder, but by no address into this machine" in text
    assert "folder ftp://nas/photos" in text
    assert "hunter2" not in text
    assert run(["trust", str(received), "--allow-private", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["private"] is True
    assert run(["trust", "--list", "--json"]) == 0
    [entry] = json.loads(capsys.readouterr().out)["trusted"]
    assert entry == {"gallery": str(received / ".lookalike" / "default"), "made": False, "private": True}
    assert run(["trust", "--list"]) == 0
    assert run(["trust", str(received), "--revoke", "--json"]) == 0
    capsys.readouterr()
    assert run(["trust", str(received), "--revoke", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["before"] is False
    assert trust.grants() == []
    set_header(received, extractor="/elsewhere/net.onnx", root=str(tmp_path / "away"))
    assert run(["trust", "--gallery", str(received / ".lookalike" / "default"), "--show"]) == 0
    text = capsys.readouterr().out
    assert "model /elsewhere/net.onnx" in text
    assert f"its pictures lie in {tmp_path / 'away'}" in text
    assert run(["trust", "--list", "--revoke"]) == 2


def test_a_refusal_says_the_command_that_allows_it(received):
    """A gallery under another name is told with it, so that the command can be copied."""
    (received / ".lookalike" / "default").rename(received / ".lookalike" / "my own")
    with Gallery.open(received, name="my own") as gallery:
        assert gallery.access.advice == f"`lookalike trust {received} --name 'my own'`"


def test_the_command_is_one_that_works(state, received, tmp_path):
    """A folder whose name can't be shown is told as the shell takes it, in the note of a search, too."""
    folder = received.rename(tmp_path / "new\nline \x1b[31m")
    with Gallery.open(folder) as gallery:
        advice = gallery.access.advice.strip("`")
        assert not gallery.access.trusted
    command = advice.replace("lookalike", f"{sys.executable} -m lookalike", 1)
    subprocess.run(["bash", "-c", command], check=True, capture_output=True)
    with Gallery.open(folder) as gallery:
        assert gallery.access.trusted


def test_no_home_is_no_error(picture, tmp_path):
    """A process without a home or a state folder makes and asks galleries as others do."""
    picture(tmp_path / "p" / "a.png")
    code = (
        "from lookalike import Gallery\n"
        f"with Gallery.open({str(tmp_path / 'p')!r}, model='toy') as g:\n"
        "    print(g.add().added, g.thumbnail('a.png') is not None)"
    )
    environment = {k: v for k, v in os.environ.items() if k not in {"LOOKALIKE_STATE", "XDG_STATE_HOME"}}
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**environment, "HOME": "/nonexistent"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.stdout, done.stderr) == ("1 True\n", "")


def test_not_trusted_is_an_error_of_the_store():
    """Whoever catches what a gallery may raise catches this, too."""
    with pytest.raises(NotTrusted, match=r"needs the file /elsewhere/net\.onnx"):
        require_model("/elsewhere/net.onnx", Access("/", ImageLimits(), "/g", "t"))
    assert issubclass(NotTrusted, StoreError)


def test_a_comparison_leaves_no_record(state, received):
    """Galleries that are made for it, and are gone afterwards, are not on record as made here either."""
    compared = compare(received, ["toy"], galleries=["default"], queries=["id:red.png"])
    assert not compared.failed
    assert trust.grants() == []
