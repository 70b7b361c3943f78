"""Whole processes on real files: killed, watched, fed with hostile files, limited in memory."""

import json
import os
import random
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from PIL import Image

import lookalike
from lookalike import Gallery, images
from lookalike.sources.folder import to_id

KILLS = int(os.environ.get("LOOKALIKE_TEST_KILLS", "5"))

# Says after every commit how many pictures are safe, and counts from what an earlier run left.
INDEX = """
import sys
from lookalike import Gallery
with Gallery.open(sys.argv[1], model="toy") as gallery:
    before = len(gallery)
    gallery.add(progress=lambda p: print(before + p.done - p.skipped, flush=True))
"""

# Any use of a socket, in this process or a Python child of it, is written to a file.
WATCH = """
import os, sys
def hook(event, arguments, to=os.environ["SOCKETS"]):
    if event.startswith("socket.") and event != "socket.__new__":
        os.write(os.open(to, os.O_WRONLY | os.O_APPEND | os.O_CREAT), f"{event} {arguments}\\n".encode())
sys.addaudithook(hook)
"""


# Runs a command line, and says in the end how many bytes of memory it had at most. On Linux the
# process's own record: what the system tells its parent includes the parent's memory.
PEAK = """
import pathlib, resource, sys
from lookalike.cli import run
code = run(sys.argv[1:])
status = pathlib.Path("/proc/self/status")
lines = status.read_text().splitlines() if status.exists() else []
own = [int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM")]
print((own or [resource.getrusage(resource.RUSAGE_SELF).ru_maxrss])[0], file=sys.stderr)
sys.exit(code)
"""


def bitmaps(folder, count):
    """Pictures of one pixel, each of its own colour."""
    folder.mkdir()
    for number in range(count):
        Image.new("RGB", (1, 1), (number % 256, number // 256, 99)).save(folder / f"{number:05}.bmp")
    return folder


def test_kill_at_any_moment(tmp_path):
    """Killed again and again it always opens, nothing committed is lost, and nothing is there twice."""
    folder = bitmaps(tmp_path / "pictures", 6000)
    dice = random.Random(0)  # noqa: S311
    safe = 0
    for _ in range(KILLS):
        process = subprocess.Popen([sys.executable, "-c", INDEX, folder], stdout=subprocess.PIPE, text=True)
        first = process.stdout.readline()
        time.sleep(dice.uniform(0, 0.4))
        process.send_signal(signal.SIGKILL)
        rest = process.communicate()[0].splitlines()
        safe = int((rest or [first or safe])[-1] or safe)
        with Gallery.open(folder) as gallery:
            ids = [record.id for record in gallery.records()]
            assert safe <= len(ids) == len(set(ids))
            assert gallery.check() == []
    with Gallery.open(folder) as gallery:
        report = gallery.add()
        assert (report.total, report.unchanged + report.added) == (6000, 6000)
        assert report.unchanged >= safe
        assert gallery.check() == []


def test_no_connection_is_opened(photos, tmp_path):
    """Converting the model, indexing, searching and finding open no socket, in no process."""
    (tmp_path / "sitecustomize.py").write_text(WATCH)
    surroundings = {key: value for key, value in os.environ.items() if key != "CI"}
    surroundings |= {
        "PYTHONPATH": str(tmp_path),
        "SOCKETS": str(tmp_path / "sockets"),
        "LOOKALIKE_CACHE": str(tmp_path / "cache"),
        "HOME": str(tmp_path / "home"),
    }
    gallery = tmp_path / "gallery"
    for words in (["index", photos], ["search", photos / "chelsea.png"], ["find", "cat"]):
        subprocess.run(
            [sys.executable, "-m", "lookalike", *words, "--gallery", gallery],
            env=surroundings,
            check=True,
            capture_output=True,
        )
    assert (tmp_path / "cache").exists()
    assert not (tmp_path / "sockets").exists()
    assert not (tmp_path / "home").exists()
    subprocess.run(
        [sys.executable, "-c", "import socket; socket.getaddrinfo('localhost', 80)"],
        env=surroundings,
        check=True,
    )
    assert (tmp_path / "sockets").exists()


def test_hostile_files(hostile, tmp_path):
    """Every good file is indexed, every bad one reported with its reason, in bounded memory."""
    folder, expected = hostile
    words = ["index", folder, "--gallery", tmp_path / "gallery", "--json"]
    done = subprocess.run([sys.executable, "-c", PEAK, *words], capture_output=True, text=True, check=False)
    *said, peak = done.stderr.splitlines()
    assert done.returncode == 0
    assert "Traceback" not in "".join(said)
    assert int(peak) < 700e6
    report = json.loads(done.stdout)
    reasons = {skip["path"]: skip["reason"] for skip in report["skipped"]}
    expected["odd/dangling.jpg"] = "leads nowhere"
    del expected["odd/folder.jpg"]  # a folder is walked, whatever it is called
    wanted = {to_id(path): outcome for path, outcome in expected.items()}
    with Gallery.open(gallery=tmp_path / "gallery") as gallery:
        assert {record.id for record in gallery.records()} == {i for i, o in wanted.items() if o == "good"}
    bad = {id_: outcome for id_, outcome in wanted.items() if outcome != "good"}
    assert {id_: word for id_, word in bad.items() if word.lower() not in reasons.get(id_, "").lower()} == {}


def test_deleted_while_indexing(photos, tmp_path):
    """A file that goes between the walk and its turn is reported, and the rest comes in."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    for number in range(600):
        Image.new("RGB", (1, 1), (number % 256, number // 256, 9)).save(folder / f"{number:03}.bmp")

    def delete(_):
        (folder / "599.bmp").unlink(missing_ok=True)

    with Gallery.open(folder, model="toy") as gallery:
        report = gallery.add(progress=delete)
        assert (report.total, [skip.path for skip in report.skipped]) == (599, ["599.bmp"])
        assert gallery.add().skipped == []


def test_others_see_new_pictures_at_once(tmp_path):
    """While one process adds, another that had searched before finds each committed picture."""
    folder = bitmaps(tmp_path / "pictures", 3000)
    with Gallery.open(folder, model="toy") as first:
        first.add(limit=10)
    sizes = []
    with (
        subprocess.Popen([sys.executable, "-c", INDEX, folder], stdout=subprocess.PIPE, text=True) as process,
        Gallery.open(folder) as gallery,
    ):
        for line in process.stdout:
            found = gallery.search(np.ones(3, np.float32), k=5000)
            assert len(found) >= int(line)
            sizes.append(len(found))
    assert process.returncode == 0
    assert sizes[-1] == 3000
    assert len(set(sizes)) > 2


def test_reduced_decoding_keeps_the_vector(stamps, photos, tmp_path):
    """A JPEG decoded at reduced size gives nearly the vector of the whole: cosine ≥ .99."""
    extractor = lookalike.extractor("efficientnet-lite0", precision="f32")
    sources = [*sorted(photos.iterdir()), *sorted(stamps.rglob("animals/**/*.png"))[::6]]
    cosines = []
    for path in sources:
        large = images.decode(path.read_bytes()).image.resize((1280, 960))
        large.save(tmp_path / "large.jpg", quality=92)
        content = (tmp_path / "large.jpg").read_bytes()
        whole = extractor.prepare(images.decode(content).image)
        reduced = extractor.prepare(images.decode(content, size=extractor.size).image)
        one, other = extractor.extract([whole, reduced]).vectors
        cosines.append(float(one @ other))
    assert len(cosines) > 25
    assert min(cosines) >= 0.99


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting needs root")
def test_a_disk_that_is_unplugged(tmp_path):
    """A mount point below the root that is not mounted any more keeps its pictures until it is back."""
    folder = bitmaps(tmp_path / "pictures", 3)
    disk = folder / "usb"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "none", disk], check=False, capture_output=True).returncode:
        pytest.skip("this machine lets nobody mount")
    try:
        Image.new("RGB", (1, 1), (1, 2, 3)).save(disk / "a.bmp")
        with Gallery.open(folder, model="toy") as gallery:
            assert gallery.add().added == 4
            subprocess.run(["umount", "-l", disk], check=True)
            report = gallery.add()
            assert (report.missing, report.removed, report.total) == (1, 0, 4)
            assert "not mounted" in report.notes[0]
            assert gallery.add(prune=True).removed == 1
    finally:
        subprocess.run(["umount", "-l", disk], check=False, capture_output=True)
