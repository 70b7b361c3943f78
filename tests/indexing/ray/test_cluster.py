"""Ray workers, which are real processes: what comes in by them is what one machine brings in."""

import os
import re
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
from odd_models import Odd
from odd_models import marks as left
from PIL import Image

from lookalike import Gallery
from lookalike.errors import LookalikeError, MissingExtra, ModelMismatch, UsageError
from lookalike.extractors import runtime
from lookalike.indexing import ray as distributed
from lookalike.indexing.ray import Cluster
from lookalike.system.imports import install_command
from lookalike.testing import ToyExtractor

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")


def counts(report):
    return {key: value for key, value in report.as_dict().items() if isinstance(value, int) and value}


def same(one, other):
    """Whether two galleries have the same pictures, with the same vectors."""
    assert list(one.records()) == list(other.records())
    np.testing.assert_array_equal(one.vectors(), other.vectors())
    assert one.skipped() == other.skipped()


def test_the_result_is_that_of_one_machine(ray, pictures, tmp_path):
    """Records, vectors and what was skipped are equal; a second run finds nothing to do."""
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
        assert counts(far.add(workers=Cluster("local"))) == {"unchanged": 151, "total": 151}


def test_workers_go_on_beside_other_work(ray):
    """They have the priority of the program itself, where Ray by default lets everything else go first."""
    assert ray.get(ray.remote(lambda: os.nice(0)).remote()) == os.nice(0)


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


def white(folder, name="00050-white.png"):
    """A picture over which odd models die, or stand still."""
    Image.new("RGB", (60, 40), "white").save(folder / name)


def kill_at(marks):
    """Kill the process that stands still over a white picture, once it does; a list of its number."""
    killed = []

    def wait():
        while not (standing := left(marks, "white")):
            time.sleep(0.05)
        killed.extend(standing)
        os.kill(standing[0], signal.SIGKILL)

    threading.Thread(target=wait, daemon=True).start()
    return killed


def test_a_worker_that_is_killed(ray, pictures, marks, tmp_path):
    """The batch that it had begun is done again by another: everything is there, once."""
    folder = pictures(400)
    white(folder)
    killed = kill_at(marks)
    with Gallery.open(folder, gallery=tmp_path / "gallery", model=Odd(halts=1, place=str(marks))) as gallery:
        report = gallery.add(workers=Cluster("local"))
        assert len(killed) == 1
        assert (counts(report), report.skipped) == ({"added": 401, "total": 401}, [])
        assert len({record.id for record in gallery.records()}) == 401
        assert gallery.check() == []


def test_a_picture_that_kills_its_worker_once(ray, pictures, marks, tmp_path):
    """A death or two may be anything's fault: the batch is done again, and all is well."""
    folder = pictures(100)
    white(folder)
    with Gallery.open(folder, gallery=tmp_path / "gallery", model=Odd(dies=2, place=str(marks))) as gallery:
        report = gallery.add(workers=Cluster("local"))
        assert len(set(left(marks, "white"))) == 2
        assert (counts(report), report.skipped) == ({"added": 101, "total": 101}, [])


def test_a_picture_that_kills_every_worker(ray, pictures, marks, tmp_path):
    """After three deaths the run ends with that picture's name; without it the next one goes on."""
    folder = pictures(400)
    white(folder)
    with Gallery.open(folder, gallery=tmp_path / "gallery", model=Odd(dies=99, place=str(marks))) as gallery:
        with pytest.raises(LookalikeError, match=r"3 workers died, the last of them over 00050-white\.png"):
            gallery.add(workers=Cluster("local"))
        assert len(set(left(marks, "white"))) == 3
        kept = len(gallery)
        assert kept > 0
        (folder / "00050-white.png").unlink()
        report = gallery.add(workers=Cluster("local"))
        assert counts(report) == {"added": 400 - kept, "unchanged": kept, "total": 400}


def test_a_cluster_without_room(ray, pictures, tmp_path):
    """Where every processor is taken the error comes within the time given, and says what is free."""

    class Hog:  # here, not in the module: sent as it is, since Ray's workers may not find the tests
        def here(self):
            """Tell that it has started."""
            return True

    hog = ray.remote(num_cpus=2)(Hog).remote()
    ray.get(hog.here.remote())
    folder = pictures(3)
    try:
        with Gallery.open(folder, gallery=tmp_path / "gallery", model="toy") as gallery:
            started = time.monotonic()
            with pytest.raises(
                LookalikeError, match=r"started within 3 s.* needs 0\.5 .* 0 of the 2 of the Ray"
            ):
                gallery.add(workers=Cluster("local", patience=3))
            assert time.monotonic() - started < 30
    finally:
        ray.kill(hog)


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


def test_workers_are_replaced(ray, pictures, marks, tmp_path, monkeypatch):
    """When all have had so many batches others come in their place; nothing is left out or done twice."""
    monkeypatch.setattr(distributed, "_LIFETIME", 2)
    folder, cluster = pictures(100), Cluster("local", size=1)
    with Gallery.open(folder, gallery=tmp_path / "gallery", model=Odd(place=str(marks))) as gallery:
        assert counts(gallery.add(workers=cluster)) == {"added": 100, "total": 100}
        assert len(set(left(marks, "used"))) == 2
        assert [record.id for record in gallery.records()] == sorted(f.name for f in folder.iterdir())


@pytest.mark.parametrize(
    ("nodes", "size", "cores"),
    [([8] * 8, 2, 8), ([8] * 8, 64, 1), ([8] * 8, 16, 4), ([2, 16], 1, 16), ([2], 8, 1)],
)
def test_a_worker_fits_on_a_node(nodes, size, cores):
    """A worker uses its share of the cluster's processors, and no more than one node has."""
    assert runtime.share(nodes, size) == cores


def test_ray_is_an_extra(pictures, monkeypatch):
    """Without it the message says what to install; nothing is asked of it where nothing is to be done."""
    monkeypatch.setitem(sys.modules, "ray", None)
    folder = pictures(2)
    with Gallery.open(folder, model="toy") as gallery:
        with pytest.raises(MissingExtra, match=re.escape(install_command("ray"))):
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
    """Its report of use is off when it is loaded, whatever it is told of that by its own files."""
    code = "from lookalike.indexing import ray; ray._ray(); from ray._common.usage import usage_lib;"
    code += "print(usage_lib.usage_stats_enabled())"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "False"
