"""Folders as people have them: odd times, folders that can't be listed, copies of whole folders."""

import os
import shutil
import subprocess
import sys
from contextlib import contextmanager

import pytest

from lookalike import Gallery
from lookalike.evaluation import compare
from lookalike.system.files import fitting
from lookalike.training.dataset import collect

RED, GREEN, BLUE = (250, 10, 10), (10, 250, 10), (10, 10, 250)
AFTER_2262 = 10_413_792_000 * 10**9  # 2300-01-01
IN_1906, BEFORE_1677 = -2_000_000_000 * 10**9, -9_500_000_000 * 10**9


def counts(report):
    return {key: value for key, value in report.as_dict().items() if isinstance(value, int) and value}


def ids(hits):
    return [hit.id for hit in hits]


def date(path, nanoseconds):
    """Give a file a time, if the file system has such times."""
    os.utime(path, ns=(nanoseconds, nanoseconds))
    if path.stat().st_mtime_ns != nanoseconds:
        pytest.skip(f"this file system has no file of {nanoseconds} ns")


@pytest.mark.parametrize("time", [AFTER_2262, IN_1906, -1])
def test_a_time_far_away_costs_nothing(root, time):
    """A picture and a text of any date are dealt with as others are, and are unchanged the next time."""
    (root / "notes.txt").write_text("no picture")
    for name in ("red.png", "notes.txt"):
        date(root / name, time)
    with Gallery.open(root, model="toy") as gallery:
        assert counts(gallery.add()) == {"added": 5, "total": 5}
        assert counts(gallery.add()) == {"unchanged": 5, "total": 5}
        assert "red.png" not in ids(gallery.search(root / "red.png", k=9))
        date(root / "red.png", time + 10**9)
        assert counts(gallery.add(root / "red.png")) == {"unchanged": 1, "total": 5}
        assert gallery.check() == []


def test_a_named_file_of_any_date_comes_in(root):
    """A file that is given one by one may be from after 2262, too."""
    date(root / "red.png", AFTER_2262)
    with Gallery.open(root, model="toy") as gallery:
        assert counts(gallery.add([root / "red.png"])) == {"added": 1, "total": 1}
        assert counts(gallery.add([root / "red.png"])) == {"unchanged": 1, "total": 1}


def test_numbers_beyond_64_bits_stay_apart():
    """What fits stays as it is; what does not becomes a number that fits, and another for another."""
    small = [-(1 << 63), -1, 0, 1, (1 << 63) - 1]
    assert [fitting(number) for number in small] == small
    large = [fitting((1 << 63) + n) for n in range(5)] + [fitting(AFTER_2262), fitting(BEFORE_1677)]
    assert len(set(large)) == len(large)
    assert all(-(1 << 63) <= number < 1 << 63 for number in large)


@contextmanager
def deep(top):
    """A picture whose path is longer than the system takes, below `top`; and the end of the folder's path."""
    descriptor = os.open(top, os.O_RDONLY)
    for _ in range(20):
        os.mkdir("d" * 250, dir_fd=descriptor)
        inner = os.open("d" * 250, os.O_RDONLY, dir_fd=descriptor)
        os.close(descriptor)
        descriptor = inner
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def test_a_new_folder_that_can_not_be_listed_is_told(root):
    """What can't be listed for its long path is among the skipped, and in a note; the others come in."""
    with deep(root), Gallery.open(root, model="toy") as gallery:
        report = gallery.add()
        assert counts(report) == {"added": 5, "total": 5}
        (skip,) = report.skipped
        assert skip.path.endswith("ddd/")
        assert skip.reason == "a folder that can't be listed: File name too long"
        assert "1 folder can't be listed" in report.notes[0]
        assert skip in gallery.add(limit=2).skipped


def test_what_measures_and_trains_tells_of_unlisted_folders(root):
    """A comparison and the pictures of a training have the same note."""
    with deep(root):
        comparison = compare(root, ["toy"], queries=[root / "red.png"], k=1)
        collected = collect(str(root))
    for notes in (comparison.notes, collected.notes):
        assert "1 folder can't be listed, and what is in there is left out: " in notes[0]


def test_a_limit_tells_of_unlisted_folders(root):
    """So does a run for a random part of the pictures."""
    with deep(root), Gallery.open(root, model="toy") as gallery:
        assert "a folder that can't be listed" in gallery.add(limit=2).skipped[0].reason


LIKE_ANYBODY = "--inh-caps=-dac_override,-dac_read_search"
LOCKED = """
import sys
from lookalike import Gallery
from lookalike.evaluation import compare
with Gallery.open(sys.argv[1], model="toy") as gallery:
    report = gallery.add()
    print(report.added, report.missing, report.total, *report.skipped, *report.notes, sep="|")
"""


def index_as_anybody(folder):
    """Index a folder in a process that permissions hold back, even where root runs it; what it reported."""
    setpriv = shutil.which("setpriv")
    if os.geteuid() == 0 and setpriv is None:
        pytest.skip("permissions do not hold back root without setpriv")
    held = [setpriv, LIKE_ANYBODY.replace("inh-caps", "bounding-set"), LIKE_ANYBODY]
    command = [*(held if os.geteuid() == 0 else []), sys.executable, "-c", LOCKED, str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    return done.stdout.strip().split("|")


def test_a_folder_without_permission_is_told_and_keeps_its_pictures(root, paint):
    """A folder that is locked and new is reported; one that was indexed before keeps its pictures."""
    assert index_as_anybody(root) == ["5", "0", "5"]
    paint(root / "new" / "blue.png", BLUE, seed=5)
    try:
        for name in ("new", "2024"):
            (root / name).chmod(0)
        added, missing, total, *told = index_as_anybody(root)
    finally:
        for name in ("new", "2024"):
            (root / name).chmod(0o755)
    assert (added, missing, total) == ("0", "2", "5")
    assert told[:2] == [
        f"Skip(path='{name}/', reason=\"a folder that can't be listed: Permission denied\")"
        for name in ("2024", "new")
    ]
    assert "the 2 pictures from there are kept" in told[2]
    assert "new/ (Permission denied)" in told[3]


def test_a_copied_folder_with_new_times_knows_its_pictures(gallery, root, tmp_path):
    """A file of a folder copied without its times is left out of its own answer; copies elsewhere are not."""
    shutil.copy(root / "red.png", root / "2024" / "the same.png")
    gallery.add()
    copied = tmp_path / "copied"
    shutil.copytree(root, copied, copy_function=shutil.copyfile)
    for place, folder in enumerate((copied, root)):
        for file in folder.rglob("*.png"):
            os.utime(file, ns=(10**18 + place, 10**18 + place))
        with Gallery.open(folder) as again:
            hits = again.search(folder / "red.png", k=9)
            assert ids(hits)[0] == "2024/the same.png"
            assert sorted(ids(hits)) == sorted({state.id for state in again.store.states()} - {"red.png"})


def test_a_replaced_file_is_not_its_old_picture(gallery, root, paint):
    """A file with other bytes than it had is another picture, which may find the one it was."""
    paint(root / "red.png", RED, seed=7)
    assert "red.png" in ids(gallery.search(root / "red.png", k=9))
