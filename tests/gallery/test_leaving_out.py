"""What is not indexed: by the user's patterns, and because other programs keep it."""

import os
import re
import subprocess
import sys
from unicodedata import normalize

import fsspec
import pytest

from lookalike import Gallery
from lookalike.errors import UsageError
from lookalike.sources.ignoring import IGNORE_FILE, is_of_programs, lines_of, of_folder

RED, TEAL = (250, 10, 10), (10, 200, 120)
ENCODINGS = ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"]


def encoded(text, encoding):
    """A text as an editor saves it: in every encoding but plain UTF-8 with a byte order mark."""
    mark = "\ufeff" if encoding in {"utf-16-le", "utf-16-be"} else ""
    return (mark + text).encode(encoding)


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_an_ignore_file_is_read_as_editors_save_it(encoding, end):
    """UTF-8 with or without a mark, UTF-16 and UTF-32 with one, and any ends of lines are the same file."""
    assert lines_of(encoded(f"# ours{end}entwürfe/{end}", encoding), "") == ["# ours", "entwürfe/", ""]


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_private_pictures_stay_out(root, encoding):
    """Whatever an editor did to the ignore file, what it names is not indexed."""
    (root / IGNORE_FILE).write_bytes(encoded("2024/\r\n", encoding))
    with Gallery.open(root, model="toy") as gallery:
        assert [record.id for record in gallery.add() and gallery.records()] == [
            "2024b/teal.png", "blue sky.png", "red.png",
        ]  # fmt: skip


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("entwürfe/\n".encode("latin-1"), "line 1 is not UTF-8"),
        (b"a/\nb/\n\xff\xfe/\n", "line 3 is not UTF-8"),
        ("2024/\n".encode("utf-16-le"), "UTF-16 without a mark"),
        (b"\xff\xfe2", "is not UTF-16-LE"),
        (b"2024\\\n", r"line 1: '2024\\' is no pattern"),
        (b"a/\n!\n", "line 2: '!' is no pattern"),
        (b"[2024/\n", "is no pattern"),
        (b"#" * 16_000_001, "more than 16,000,000 bytes"),
    ],
)
def test_an_ignore_file_that_means_nothing_is_an_error(root, content, words):
    """Nothing is indexed where it can't be told what is to be left out."""
    (root / IGNORE_FILE).write_bytes(content)
    with Gallery.open(root, model="toy") as gallery:
        with pytest.raises(UsageError, match=re.escape(words)):
            gallery.add()
        assert list(gallery.records()) == []


@pytest.mark.parametrize("kind", ["folder", "pipe", "link", "loop"])
def test_an_ignore_file_that_can_not_be_read_is_an_error(root, kind):
    """A folder, a pipe, or a link that leads nowhere of that name is told, and holds nobody up."""
    file = root / IGNORE_FILE
    if kind == "folder":
        file.mkdir()
    elif kind == "pipe":
        os.mkfifo(file)
    else:
        file.symlink_to(file if kind == "loop" else root / "nowhere")
    with (
        pytest.raises(UsageError, match=r"\.lookalikeignore: it (is|can't be)"),
        Gallery.open(root) as gallery,
    ):
        gallery.add()


def test_a_pattern_that_is_none_is_an_error_on_the_command_line(root):
    """So it is for `--exclude`, which is told as its place."""
    with pytest.raises(UsageError, match=r"--exclude: '!' is no pattern"), Gallery.open(root) as gallery:
        gallery.add(exclude=["!"])


@pytest.mark.parametrize("written", ["NFC", "NFD"])
@pytest.mark.parametrize("named", ["NFC", "NFD"])
def test_letters_in_two_spellings_are_the_same(tmp_path, paint, written, named):
    """An ü of one character leaves out a file whose name has it in two, and the other way round."""
    paint(tmp_path / normalize(named, "entwürfe") / "a.png", RED)
    (tmp_path / IGNORE_FILE).write_text(normalize(written, "entwürfe/\n"), encoding="utf-8")
    with Gallery.open(tmp_path, model="toy") as gallery:
        assert gallery.add().total == 0
        (tmp_path / IGNORE_FILE).unlink()
        assert gallery.add(exclude=[normalize(written, "*ürf*")]).total == 0
        assert gallery.add().total == 1


INDEX = """
import sys
from lookalike import Gallery
with Gallery.open(sys.argv[1], model="toy") as gallery:
    report = gallery.add(exclude=sys.argv[2:])
    print(report.added, report.unchanged, *map(ascii, [record.id for record in gallery.records()]))
"""
ASCII = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}


def index(folder, *exclude, **environment):
    command = [sys.executable, "-c", INDEX, str(folder), *exclude]
    done = subprocess.run(
        command, capture_output=True, env=os.environ | environment, text=True, timeout=120, check=True
    )
    return done.stdout.split()


def test_umlauts_are_the_same_in_a_locale_of_ascii(tmp_path, paint):
    """There, patterns leave out what they do elsewhere, and every picture has the id it has elsewhere."""
    for name in ("entwürfe/a.png", "schön/b.png", "über.png"):
        paint(tmp_path / name, RED, seed=len(name))
    (tmp_path / IGNORE_FILE).write_text("entwürfe/\n", encoding="utf-8")
    assert index(tmp_path, "*über*", **ASCII) == ["1", "0", r"'sch\xf6n/b.png'"]
    assert index(tmp_path, "*über*") == ["0", "1", r"'sch\xf6n/b.png'"]
    assert index(tmp_path, **ASCII) == ["1", "1", r"'sch\xf6n/b.png'", r"'\xfcber.png'"]


@pytest.fixture
def memory():
    """The file system `memory://`, empty."""
    files = fsspec.filesystem("memory")
    files.store.clear()
    files.pseudo_dirs[:] = [""]
    yield files
    files.store.clear()


def test_the_ignore_file_of_a_remote_folder_is_read_alike(memory, root, tmp_path):
    """There, too, a mark is skipped, UTF-16 is recognised, and what can't be used is an error."""
    for file in root.rglob("*.png"):
        memory.pipe(f"/photos/{file.relative_to(root)}", file.read_bytes())
    with Gallery.open(tmp_path, gallery=tmp_path / "gallery", model="toy") as gallery:
        for content in (b"2024\\\n", b"\xfc/\n", b"2\0"):
            memory.pipe(f"/photos/{IGNORE_FILE}", content)
            with pytest.raises(UsageError, match=r"/photos/\.lookalikeignore"):
                gallery.add("memory://photos")
        memory.rm(f"/photos/{IGNORE_FILE}")
        memory.mkdir(f"/photos/{IGNORE_FILE}")
        with pytest.raises(UsageError, match="can't be read"):
            gallery.add("memory://photos")
        assert list(gallery.records()) == []
        memory.rmdir(f"/photos/{IGNORE_FILE}")
        memory.pipe(f"/photos/{IGNORE_FILE}", encoded("2024/\r\n", "utf-16"))
        assert gallery.add("memory://photos").total == 3


PROGRAMS = ["@eaDir", "#recycle", "$Recycle.Bin", "Fotos.photoslibrary/resources", "A Previews.lrdata"]


@pytest.fixture
def with_programs(root, paint):
    """The folder, with pictures in five folders of other programs, and one original in a library."""
    for place, name in enumerate(PROGRAMS):
        paint(root / "2024" / name / "inner" / "t.png", RED, seed=place)
    paint(root / "2024" / "Fotos.photoslibrary" / "originals" / "o.png", TEAL, seed=7)
    return root


def test_folders_of_other_programs_are_left_out(with_programs):
    """Thumbnails and trash do not come in, an original beside them does, and the report says so."""
    with Gallery.open(with_programs, model="toy") as gallery:
        report = gallery.add()
        assert (report.total, report.skipped) == (6, [])
        assert report.left_out == {
            "#recycle": 1, "$Recycle.Bin": 1, "@eaDir": 1, "A Previews.lrdata": 1, "resources": 1,
        }  # fmt: skip
        assert "(1 #recycle, 1 $Recycle.Bin, 1 @eaDir, 1 A Previews.lrdata, 1 resources)" in report.notes[0]
        assert "a line !#recycle/ in .lookalikeignore takes such in" in report.notes[0]
        assert not gallery.add(exclude=["2024/"]).left_out


def test_a_pattern_takes_such_folders_in(with_programs):
    """A line with ! before the name, or the same as `exclude`, indexes them after all; others stay out."""
    (with_programs / IGNORE_FILE).write_text("!@eaDir/\n!**/*.photoslibrary/resources/\n")
    with Gallery.open(with_programs, model="toy") as gallery:
        report = gallery.add()
        assert report.total == 8
        assert list(report.left_out) == ["#recycle", "$Recycle.Bin", "A Previews.lrdata"]
        assert gallery.add(exclude=["![#$@]*"]).total == 10


def test_such_a_folder_that_is_named_is_indexed(with_programs):
    """Who names the folder itself means it, and so does a later run."""
    place = with_programs / "2024" / "@eaDir"
    with Gallery.open(with_programs, model="toy") as gallery:
        assert gallery.add([place]).total == 1
        assert gallery.add([with_programs, place]).total == 7
        assert gallery.add().total == 7


def test_pictures_of_older_galleries_in_such_folders_go(with_programs):
    """What an older version took in from there is taken out, and a note says how many."""
    (with_programs / IGNORE_FILE).write_text("".join(f"!{name}/\n" for name in ("@eaDir", "#recycle")))
    with Gallery.open(with_programs, model="toy") as gallery:
        assert gallery.add().total == 8
        (with_programs / IGNORE_FILE).unlink()
        report = gallery.add()
        assert (report.removed, report.total) == (2, 6)
        assert "; 2 pictures from there are taken out;" in report.notes[0]


def test_hidden_ones_stay_out_with_hidden(root, paint):
    """`hidden` means the user's own hidden folders, not the trash."""
    for name in (".thumbnails", ".Trash-1000", ".@__thumb", ".mine"):
        paint(root / name / "a.png", RED, seed=len(name))
    with Gallery.open(root, model="toy") as gallery:
        assert gallery.add().left_out == {}
        report = gallery.add(hidden=True)
        assert (report.total, sorted(report.left_out)) == (6, [".@__thumb", ".Trash-1000", ".thumbnails"])


def test_remote_folders_of_other_programs_are_left_out(memory, with_programs, tmp_path):
    """A copy of such a folder in a bucket is walked alike."""
    for file in with_programs.rglob("*.png"):
        memory.pipe(f"/photos/{file.relative_to(with_programs)}", file.read_bytes())
    with Gallery.open(tmp_path, gallery=tmp_path / "gallery", model="toy") as gallery:
        report = gallery.add("memory://photos")
        assert (report.total, len(report.left_out)) == (6, 5)
        assert gallery.add("memory://photos", exclude=["!@eaDir/"]).total == 7


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/p/@eaDir/", True),
        ("/p/@EADIR", True),
        ("@eaDir/", True),
        ("/p/x.lrdata", True),
        ("/p/Bilder.photoslibrary/originals", False),
        ("/p/Bilder.photoslibrary/resources", True),
        ("/p/resources", False),
        ("/nc/appdata_oc1x2y/preview/", True),
        ("/p/preview/", False),
        ("/p/CaptureOne/Cache", True),
        ("/p/cache", False),
        ("/p/recycle", False),
        ("/p/line\n@eaDir", False),
        ("/", False),
    ],
)
def test_the_names_of_such_folders(path, expected):
    """Names count in any case; some only in the folder of their program."""
    assert is_of_programs(path) is expected


def test_no_file_and_no_pattern_load_nothing(tmp_path):
    """Without an ignore file there is nothing to test, and so it is below a folder that is a file."""
    assert of_folder(tmp_path, ()) is None
    assert of_folder(tmp_path / "nowhere", ()) is None
