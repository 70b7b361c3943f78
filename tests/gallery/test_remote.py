"""Remote folders: walked, read, kept up to date and asked for by their addresses, on real file systems."""

import io
import os
import sys
import tarfile
import zipfile
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import fsspec
import numpy as np
import pytest
from fsspec.implementations.memory import MemoryFileSystem
from fsspec.registry import _registry
from PIL import Image

from lookalike import Gallery
from lookalike.errors import DownloadError, MissingExtra, UsageError
from lookalike.images import ImageLimits
from lookalike.sources import remote
from lookalike.sources.remote_walk import RemoteWalk

RED, GREEN, BLUE, TEAL = (250, 10, 10), (10, 250, 10), (10, 10, 250), (10, 200, 120)
TOP = "memory://bucket/photos"


def picture(colour, seed=0):
    """The bytes of a small picture, which its seed makes its own."""
    image = Image.new("RGB", (12, 8), colour)
    image.putpixel((seed % 12, 0), (seed % 256, 0, 0))
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture
def memory():
    """The file system `memory://` with a folder of three pictures, a text and a hidden file."""
    files = fsspec.filesystem("memory")
    files.store.clear()
    files.pseudo_dirs[:] = [""]
    files.pipe(
        {
            "/bucket/photos/red.png": picture(RED),
            "/bucket/photos/2024/green.png": picture(GREEN),
            "/bucket/photos/2024-b.png": picture(BLUE),
            "/bucket/photos/notes.txt": b"no picture",
            "/bucket/photos/.hidden.png": picture(TEAL),
            "/bucket/other/teal.png": picture(TEAL, 1),
        }
    )
    yield files
    files.store.clear()


@pytest.fixture
def gallery(memory, tmp_path):
    with Gallery.open(tmp_path, gallery=tmp_path / "gallery", model="toy") as opened:
        yield opened


class Unreachable(MemoryFileSystem):
    """A file system that stops answering below some of its folders."""

    protocol = "unreachable"
    down: tuple[str, ...] = ()

    @classmethod
    def _strip_protocol(cls, path):
        return super()._strip_protocol(path.replace("unreachable://", "memory://"))

    def ls(self, path, detail=True, **options):  # noqa: FBT002
        """List a folder, or refuse."""
        if self._strip_protocol(path).startswith(self.down):
            raise PermissionError(13, "Access Denied")
        return super().ls(path, detail=detail, **options)

    def info(self, path, **options):
        """Tell of a file, or lose the connection."""
        if self._strip_protocol(path).startswith(self.down):
            raise ConnectionError("no answer from https://bucket.example/?X-Signature=secret\nand more")
        return super().info(path, **options)


@pytest.fixture
def unreachable(memory):
    fsspec.register_implementation("unreachable", Unreachable, clobber=True)
    Unreachable.down = ("/nowhere",)
    return Unreachable


def counts(report):
    return {key: value for key, value in report.as_dict().items() if isinstance(value, int) and value}


def test_a_remote_folder_is_indexed_and_kept_up_to_date(gallery, memory):
    """What is new, changed, moved and gone is told as for a folder on disk, the rest is not read again."""
    report = gallery.add(TOP)
    assert counts(report) == {"added": 3, "total": 3}
    assert [(skip.path, skip.reason) for skip in report.skipped] == [
        (f"{TOP}/notes.txt", "not a picture: text")
    ]
    assert [r.id for r in gallery.records()] == [
        f"{TOP}/2024-b.png", f"{TOP}/2024/green.png", f"{TOP}/red.png",
    ]  # fmt: skip
    assert {r.source for r in gallery.records()} == {"walk"}
    assert counts(gallery.add()) == {"unchanged": 3, "total": 3}
    memory.pipe("/bucket/photos/red.png", picture(RED, 3))
    memory.pipe("/bucket/photos/new.png", picture(TEAL, 4))
    memory.mv("/bucket/photos/2024/green.png", "/bucket/photos/2025/green.png")
    memory.rm("/bucket/photos/2024-b.png")
    assert counts(gallery.add()) == {"added": 1, "updated": 1, "moved": 1, "removed": 1, "total": 3}


def test_vectors_are_those_of_the_same_files_on_disk(gallery, memory, tmp_path):
    """It makes no difference to a picture where it lies."""
    gallery.add([TOP, "memory://bucket/other/teal.png"])
    folder = tmp_path / "disk"
    memory.get("/bucket/photos", str(folder), recursive=True)
    (folder / ".hidden.png").unlink()
    with Gallery.open(folder, model="toy") as local:
        local.add()
        ids = [record.id for record in local.records()]
        np.testing.assert_array_equal(local.vectors(ids), gallery.vectors([f"{TOP}/{id_}" for id_ in ids]))


def test_a_single_file_and_a_folder_it_lies_in(gallery, memory):
    """A file named by its address comes in alone, changes when it does, and once if its folder comes too."""
    address = "memory://bucket/other/teal.png"
    assert counts(gallery.add(address)) == {"added": 1, "total": 1}
    assert counts(gallery.add(address)) == {"unchanged": 1, "total": 1}
    memory.pipe("/bucket/other/teal.png", picture(TEAL, 9))
    assert counts(gallery.add(address)) == {"updated": 1, "total": 1}
    given = ["memory://bucket", TOP, "memory://bucket/photos/red.png", address]
    assert counts(gallery.add(given)) == {"added": 3, "unchanged": 1, "total": 4}
    assert counts(gallery.add(f"{TOP}/")) == {"unchanged": 3, "total": 4}


def test_pictures_are_shown_and_asked_for_by_address(gallery):
    """Thumbnails and queries read the picture again; its hit has no path, for it is no file here."""
    gallery.add(TOP)
    assert Image.open(io.BytesIO(gallery.thumbnail(f"{TOP}/red.png"))).size == (12, 8)
    hits = gallery.search("memory://bucket/other/teal.png", k=3)
    assert (hits[0].id, hits[0].path) == (f"{TOP}/2024/green.png", None)
    assert hits.thumbnail(hits[0]).startswith(b"\xff\xd8")
    assert gallery.search(f"{TOP}/red.png", k=3)[0].id != f"{TOP}/red.png"
    assert [hit.id for hit in gallery.search(f"{TOP}/red.png", where={"folder": f"{TOP}/2024"})] == [
        f"{TOP}/2024/green.png"
    ]


def test_reindexing_reads_remote_pictures_again(gallery):
    """Another model describes them, from where they are."""
    gallery.add(TOP)
    assert counts(gallery.reindex("toy?grid=2"))["total"] == 3
    assert gallery.vectors().shape == (3, 12)


def test_patterns_hidden_names_and_an_ignore_file(gallery, memory):
    """Both kinds of patterns count, and hidden files come in when asked for."""
    memory.pipe("/bucket/photos/.lookalikeignore", b"2024/\n")
    assert counts(gallery.add(TOP, exclude=["red*"])) == {"added": 1, "total": 1}
    memory.rm("/bucket/photos/.lookalikeignore")
    assert gallery.add(TOP, hidden=True).total == 4


def test_removed_pictures_and_random_parts(gallery):
    """`remove` keeps an address out; `limit` takes so many of a remote folder."""
    assert gallery.add(TOP, limit=2, seed=1).total <= 2
    gallery.add(TOP)
    gallery.remove([f"{TOP}/red.png"])
    assert counts(gallery.add()) == {"unchanged": 2, "total": 2}


def test_what_can_not_be_listed_is_not_gone(gallery, memory, unreachable):
    """Pictures of a folder that refuses, or of a server that is down, are kept and counted as missing."""
    top = "unreachable://bucket/photos"
    assert gallery.add(top).total == 3
    unreachable.down = ("/bucket/photos/2024",)
    report = gallery.add()
    assert counts(report) == {"unchanged": 2, "missing": 1, "total": 3}
    assert f"{top}/2024/: Access Denied; the 1 pictures from there are kept" in report.notes[0]
    unreachable.down = ("/",)
    for again in (gallery.add(), gallery.add(top)):
        assert counts(again) == {"missing": 3, "total": 3}
    unreachable.down = ("/nowhere",)
    memory.rm("/bucket/photos", recursive=True)
    assert counts(gallery.add()) == {"missing": 3, "total": 3}
    assert counts(gallery.add(prune=True)) == {"removed": 3}


def test_a_new_remote_folder_that_refuses_is_told(gallery, unreachable):
    """What can't be listed and is new is among the skipped, by its address and with the reason."""
    unreachable.down = ("/bucket/photos/2024",)
    report = gallery.add("unreachable://bucket/photos")
    assert counts(report) == {"added": 2, "total": 2}
    assert (
        "unreachable://bucket/photos/2024/",
        "a folder that can't be listed: Access Denied",
    ) in report.skipped
    assert "1 folder can't be listed" in report.notes[0]


def test_a_picture_that_refuses_is_missing(gallery, memory, unreachable):
    """A file that is listed and can't be read keeps what it had, and is tried again the next time."""
    top = "unreachable://bucket/photos"
    gallery.add(top)
    memory.pipe("/bucket/photos/red.png", b"oops")
    report = gallery.add()
    assert counts(report) == {"unchanged": 2, "missing": 1, "total": 3}
    assert report.skipped[-1].path == f"{top}/red.png"


def test_an_address_that_leads_nowhere(gallery, unreachable):
    """Nothing there, nobody there, an unknown scheme, a missing package: each is told, and no secret is."""
    with pytest.raises(UsageError, match="memory://nothing does not exist"):
        gallery.add("memory://nothing")
    unreachable.down = ("/",)
    with pytest.raises(DownloadError, match=r"can't be reached: no answer from https://bucket.example/\?…$"):
        gallery.add("unreachable://bucket/photos")
    with pytest.raises(UsageError, match="Protocol not known: nonsense"):
        gallery.add("nonsense://bucket")
    with pytest.raises(UsageError, match="FSSPEC_FTP_PASSWORD") as caught:
        gallery.add("ftp://me:hunter2@host/photos")
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(("scheme", "package"), [("s3", "s3fs"), ("gs", "gcsfs"), ("abfs", "adlfs")])
def test_a_missing_package_is_named(gallery, monkeypatch, scheme, package):
    """The message says what to install for the scheme."""
    monkeypatch.setitem(sys.modules, package, None)  # makes an import fail
    monkeypatch.delitem(_registry, scheme, raising=False)
    with pytest.raises(MissingExtra, match=f"pip install {package}$"):
        gallery.add(f"{scheme}://bucket/photos")


def test_a_folder_by_its_file_address(gallery, tmp_path, paint):
    """`file://` is an address like any other; bytes that are not UTF-8 in a name are told, not lost."""
    folder = tmp_path / "disk"
    paint(folder / "sub" / "a b#?.png", RED)
    paint(folder / "🐈.png", GREEN)
    (folder / os.fsdecode(b"caf\xe9.png")).write_bytes(picture(BLUE))
    report = gallery.add(f"file://{folder}")
    assert [record.id for record in gallery.records()] == [
        f"file://{folder}/sub/a b#?.png", f"file://{folder}/🐈.png",
    ]  # fmt: skip
    assert [skip.reason for skip in report.skipped] == ["its name is not valid Unicode"]
    assert counts(gallery.add()) == {"unchanged": 2, "total": 2}


def test_an_archive(gallery, tmp_path):
    """The pictures of a ZIP archive have its address behind their own, and two archives stay apart."""
    for name, colours in {"one": [RED, GREEN], "two": [BLUE]}.items():
        with zipfile.ZipFile(tmp_path / f"{name}.zip", "w") as archive:
            for number, colour in enumerate(colours):
                archive.writestr(f"in/{number}.png", picture(colour, number))
    one, two = (f"zip://in::file://{tmp_path}/{name}.zip" for name in ("one", "two"))
    assert counts(gallery.add([one, two])) == {"added": 3, "total": 3}
    assert f"zip://in/0.png::file://{tmp_path}/one.zip" in gallery
    assert counts(gallery.add()) == {"unchanged": 3, "total": 3}
    (tmp_path / "one.zip").unlink()
    assert counts(gallery.add()) == {"unchanged": 1, "missing": 2, "total": 3}


@pytest.mark.parametrize("scheme", ["zip", "tar"])
def test_an_archive_has_many_readers(tmp_path, scheme):
    """Those who read it at the same time get the bytes that each asked for."""
    dice = np.random.default_rng(0)
    contents = [picture(RED) + dice.bytes(30_000) for _ in range(60)]
    with (
        zipfile.ZipFile(tmp_path / "a.zip", "w") as packed,
        tarfile.open(tmp_path / "a.tar", "w") as taped,
    ):
        for number, content in enumerate(contents):
            packed.writestr(f"{number}.png", content)
            member = tarfile.TarInfo(f"{number}.png")
            member.size = len(content)
            taped.addfile(member, io.BytesIO(content))

    def read(number):
        address = f"{scheme}://{number % 60}.png::file://{tmp_path}/a.{scheme}"
        return remote.read(address, ImageLimits(), size=len(contents[0]))

    with ThreadPoolExecutor(16) as threads:
        assert list(threads.map(read, range(240))) == contents * 4


def test_folders_inside_others_are_walked_once(gallery, memory):
    """Also where the gallery remembers both; and of an archive's folders the outer one, too."""
    gallery.add(TOP)
    gallery.add("memory://bucket")
    gallery.add(f"{TOP}/2024")
    memory.pipe("/bucket/photos/2024/new.png", picture(TEAL, 7))
    assert counts(gallery.add()) == {"added": 1, "unchanged": 4, "total": 5}


def test_an_outer_folder_of_an_archive(gallery, tmp_path):
    """Given with one inside it, or remembered with it, it is walked alone."""
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("0/a.png", picture(RED))
        archive.writestr("b.png", picture(GREEN))
    inner, outer = (f"zip://{path}::file://{tmp_path}/a.zip" for path in ("0", ""))
    assert counts(gallery.add(inner)) == {"added": 1, "total": 1}
    assert counts(gallery.add([inner, outer])) == {"added": 1, "unchanged": 1, "total": 2}
    assert counts(gallery.add(inner)) == {"unchanged": 1, "total": 2}
    assert counts(gallery.add()) == {"unchanged": 2, "total": 2}


def test_schemes_in_capitals(gallery):
    """They mean the same, and the ids are in small letters."""
    assert counts(gallery.add("MEMORY://bucket/photos")) == {"added": 3, "total": 3}
    assert counts(gallery.add("Memory://bucket/photos/red.png")) == {"unchanged": 1, "total": 3}
    assert f"{TOP}/red.png" in gallery
    assert gallery.search("MEMORY://bucket/other/teal.png", k=1)[0].id == f"{TOP}/2024/green.png"


def test_two_colons_in_a_name(gallery, tmp_path):
    """A file is called so, and read; where that would divide an address the name is reported instead."""
    folder = tmp_path / "colons"
    (folder / "in::side").mkdir(parents=True)
    for name, colour in {"a": RED, "a::b.png": GREEN, "in::side/c.png": BLUE}.items():
        (folder / name).write_bytes(picture(colour))
    report = gallery.add(f"file://{folder}")
    assert counts(report) == {"added": 2, "total": 2}
    assert [skip.path for skip in report.skipped] == [f"file://{folder}/in::side"]
    assert remote.read(f"file://{folder}/a::b.png", ImageLimits()) == picture(GREEN)
    with pytest.raises(UsageError, match="divides an address"):
        gallery.add(f"file://{folder}/in::side")
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("a::b.png", picture(BLUE))
        archive.writestr("a", picture(TEAL))
    report = gallery.add(f"zip://::file://{tmp_path}/a.zip")
    assert (report.added, [skip.path for skip in report.skipped][-1]) == (
        1, f"zip://a::b.png::file://{tmp_path}/a.zip",
    )  # fmt: skip


def test_order_is_that_of_ids(memory):
    """A walk yields ids in the order of code points, whatever the file system's own is."""
    for name in ["a/z.png", "a.png", "a-b/c.png", "a0.png", "B.png", "é.png", "🐈.png", "a/b/c.png"]:
        memory.pipe(f"/order/{name}", b"x")
    found = [found.id for found in RemoteWalk("memory://order")]
    assert found == sorted(found)
    assert len(found) == 8


def test_large_files_are_not_read_for_nothing(memory):
    """What is over the limit is refused by its size alone, and what is no picture by its beginning."""
    limits = ImageLimits(max_bytes=3_000_000)
    memory.pipe("/big/film.mp4", b"\0\0\0\x18ftyp" + bytes(2_000_000))
    with pytest.raises(Exception, match="a video"):
        remote.read("memory://big/film.mp4", limits, size=2_000_008)
    with pytest.raises(Exception, match="0 bytes"):
        remote.read("memory://big/nothing.png", limits, size=0)
    memory.pipe("/big/huge.png", picture(RED) + bytes(4_000_000))
    for size in (None, 4_000_000):
        with pytest.raises(Exception, match="the limit is 3"):
            remote.read("memory://big/huge.png", limits, size=size)


@pytest.mark.parametrize(
    ("details", "expected"),
    [
        ({"mtime": 1.5}, 1_500_000_000),
        ({"LastModified": datetime.fromisoformat("1970-01-01T00:00:02")}, 2_000_000_000),
        ({"updated": "1970-01-01T00:00:03Z"}, 3_000_000_000),
        ({"modify": "19700101000004"}, 4_000_000_000),
        ({"modify": "19700101000004.25"}, 4_250_000_000),
        ({"modificationTime": 1_700_000_000_123}, 1_700_000_000_123_000_000),
        ({"mtime": 1e30, "created": 5}, 5_000_000_000),
        ({"mtime": float("nan"), "created": datetime.max.replace(tzinfo=UTC)}, None),
        ({"modified": "some day"}, None),
        ({}, 0),
    ],
)
def test_when_a_file_was_changed(details, expected):
    """Dates, seconds, milliseconds and texts count; what is not understood is a number; nothing told is 0."""
    found = remote.mtime_ns_of(details)
    assert found == expected if expected is not None else 0 < found < 2**63


def test_a_version_stands_for_a_date():
    """Where no date is told another ETag is another number, which fits in 63 bits."""
    one, two = (remote.mtime_ns_of({"ETag": tag}) for tag in ('"a"', '"b"'))
    assert one != two
    assert 0 < one < 2**63
