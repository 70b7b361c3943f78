"""Ray workers, which are real processes: what comes in by them is what one machine brings in."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from lookalike import Gallery, distributed
from lookalike.distributed import Cluster
from lookalike.errors import LookalikeError, MissingExtra, ModelMismatch, UsageError
from lookalike.testing import ToyExtractor

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")


def counts(report):
    return {key: value for key, value in report.as_dict().items() if isinstance(value, int) and value}


def processes(word):
    """The numbers of the processes whose command line has a word."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if word in (folder / "cmdline").read_text(errors="replace"):
                found.append(int(folder.name))
        except OSError:
            continue
    return found


def same(one, other):
    """Whether two galleries have the same pictures, with the same vectors."""
    assert list(one.records()) == list(other.records())
    np.testing.assert_array_equal(one.vectors(), other.vectors())
    assert one.skipped() == other.skipped()


def test_the_result_is_that_of_one_machine(ray, pictures, tmp_path):
    """Records, vectors, class scores and what was skipped are equal; a second run finds nothing to do."""
    folder = pictures(150)
    (folder / "broken.png").write_bytes((folder / "00000.png").read_bytes()[:99])
    (folder / "notes.txt").write_text("no picture")
    (folder / "copy.png").write_bytes((folder / "00001.png").read_bytes())
    seen = []
    with (
        Gallery.open(folder, gallery=tmp_path / "ray", model="toy") as far,
        Gallery.open(folder, gallery=tmp_path / "here", model="toy") as here,
    ):
        report, expected = far.add(workers=Cluster("local"), progress=seen.append), here.add()
        assert counts(report) == counts(expected) == {"added": 151, "total": 151}
        assert report.skipped == expected.skipped
        assert [skip.path for skip in report.skipped] == ["broken.png", "notes.txt"]
        assert "the workers took" in report.notes[0]
        same(far, here)
        assert (seen[-1].done, seen[-1].total, seen[-1].skipped) == (153, 153, 2)
        assert counts(far.add(workers=Cluster("auto"))) == {"unchanged": 151, "total": 151}


def test_what_changed_moved_and_went(ray, pictures, tmp_path):
    """A later run tells changes from moves and copies as one machine does, and takes arrays too."""
    folder = pictures(80)
    with (
        Gallery.open(folder, gallery=tmp_path / "ray", model="toy") as far,
        Gallery.open(folder, gallery=tmp_path / "here", model="toy") as here,
    ):
        for gallery in (far, here):
            gallery.add()
            gallery.update({"00003.png": {"brand": "acme"}})
        pictures(1, first=900)
        (folder / "00900.png").replace(folder / "00000.png")
        (folder / "00001.png").unlink()
        (folder / "00002.png").rename(folder / "moved.png")
        (folder / "copy.png").write_bytes((folder / "00003.png").read_bytes())
        os.utime(folder / "00004.png", ns=(1, 1))
        pictures(5, first=500)
        (folder / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n")
        given = [folder, ("array", np.full((9, 9, 3), 7, np.uint8))]
        report, expected = far.add(given, workers=Cluster("local")), here.add(given)
        assert counts(report) == counts(expected)
        assert report.moved == 1
        same(far, here)


def test_the_default_model(ray, photos, tmp_path):
    """The network gives the same numbers in a worker as here."""
    with (
        Gallery.open(photos, gallery=tmp_path / "ray") as far,
        Gallery.open(photos, gallery=tmp_path / "here") as here,
    ):
        assert counts(far.add(workers=Cluster("local"))) == counts(here.add())
        same(far, here)


def test_a_worker_that_is_killed(ray, pictures, tmp_path):
    """Its batch is done again by another: everything is there, once, and the report says so."""
    folder = pictures(1500)
    killed = []

    def kill_one(_):
        if not killed:
            killed.extend(processes("ray::MapWorker")[:1] or processes("_Worker")[:1])
            os.kill(killed[0], signal.SIGKILL)

    with Gallery.open(folder, gallery=tmp_path / "gallery", model="toy") as gallery:
        report = gallery.add(workers=Cluster("local"), progress=kill_one)
        assert killed
        assert killed[0] not in processes("ray::")
        assert (counts(report), report.skipped) == ({"added": 1500, "total": 1500}, [])
        assert len({record.id for record in gallery.records()}) == 1500
        assert gallery.check() == []


def test_a_cluster_without_room(ray, pictures, tmp_path):
    """Where every processor is taken the error comes within the time given, and says what is free."""
    hog = ray.remote(num_cpus=2)(_Hog).remote()
    ray.get(hog.here.remote())
    folder = pictures(3)
    try:
        with Gallery.open(folder, gallery=tmp_path / "gallery", model="toy") as gallery:
            started = time.monotonic()
            with pytest.raises(LookalikeError, match=r"no worker could be started.* 0 of the 2 of the Ray"):
                gallery.add(workers=Cluster("local", patience=3))
            assert time.monotonic() - started < 30
    finally:
        ray.kill(hog)


class _Hog:
    def here(self):
        """Tell that it has started."""
        return True


def test_another_model_there_than_here(ray, pictures, tmp_path):
    """What a worker finds wrong ends the run with its own words, and not in a trace."""
    folder = pictures(3)
    with Gallery.open(folder, gallery=tmp_path / "gallery", model=Other()) as gallery:
        gallery.add(("array", np.full((9, 9, 3), 7, np.uint8)))
        gallery._model._wanted = "toy"  # as if it were that on the workers' machines
        with pytest.raises(ModelMismatch, match="other weights or settings"):
            gallery.add(workers=Cluster("local"))


class Other(ToyExtractor):
    """The toy with another digest."""

    @property
    def digest(self):
        """Not that of the toy."""
        return "0" * 64


def run(folder, ray_address, *words):
    """The command line in a process of its own, with all that it writes."""
    command = [
        sys.executable,
        "-m",
        "lookalike",
        "index",
        str(folder),
        "--model",
        "toy",
        "--ray",
        ray_address,
    ]
    return subprocess.run([*command, *words], capture_output=True, text=True, check=False, timeout=120)


def test_the_command_line_leaves_nothing_running(pictures):
    """`--ray local` starts a cluster, says nothing of it, and stops it."""
    before = set(processes("raylet")) | set(processes("gcs_server"))
    done = run(pictures(40), "local")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("40 added; 40 pictures")
    assert len(done.stderr.splitlines()) == 1
    assert "workers took" in done.stderr
    assert set(processes("raylet")) | set(processes("gcs_server")) <= before
    assert list(Path("/tmp").glob("ray-*/session_*")) == []  # noqa: S108  # where it keeps its sockets


def test_nobody_at_the_address(pictures, monkeypatch):
    """A port where nothing listens, given or by the environment, and what is no address: a line at once."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        place = f"127.0.0.1:{taken.getsockname()[1]}"
        done = run(pictures(1), f"ray://{place}")
        assert (done.returncode, len(done.stderr.splitlines())) == (1, 1)
        assert f"no Ray cluster answers at ray://{place} (Connection refused)" in done.stderr
        monkeypatch.setenv("RAY_ADDRESS", place)
        assert f"no Ray cluster answers at {place} (Connection refused)" in run(pictures(1), "auto").stderr
    done = run(pictures(1), "somewhere")
    assert done.returncode == 2
    assert "expected auto, local" in done.stderr


def test_ray_is_an_extra(pictures, monkeypatch):
    """Without it the message says what to install; nothing is asked of it where nothing is to be done."""
    monkeypatch.setitem(sys.modules, "ray", None)
    folder = pictures(2)
    with Gallery.open(folder, model="toy") as gallery:
        with pytest.raises(MissingExtra, match=r"pip install 'lookalike\[ray\]'"):
            gallery.add(workers=Cluster("local"))
        gallery.add()
        assert counts(gallery.add(workers=Cluster("local"))) == {"unchanged": 2, "total": 2}


def test_a_cluster_that_can_not_be_meant():
    """Nobody and no time are no way to describe pictures."""
    with pytest.raises(UsageError, match="above 0"):
        Cluster("local", size=0)
    with pytest.raises(UsageError, match="above 0"):
        Cluster("local", patience=0)


def test_ray_reports_nothing():
    """Its report of use is off before it is loaded."""
    code = "from lookalike import distributed; distributed._ray(); import os, sys;"
    code += "sys.exit(os.environ['RAY_USAGE_STATS_ENABLED'] != '0')"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
    assert distributed.BATCH > 9
