"""Workers that write for themselves, into a store that takes many writers."""

import os
import pickle
import signal
from pathlib import Path

import numpy as np
import pytest

from lookalike import Gallery, distributed
from lookalike.describing import Describer
from lookalike.distributed import Cluster
from lookalike.ingest import Pipeline
from lookalike.plan import Work
from lookalike.testing import ToyExtractor

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")


def counts(report):
    return {key: value for key, value in report.as_dict().items() if isinstance(value, int) and value}


def works(folder, *, known=False):
    files = sorted(folder.iterdir())
    return [Work(f.name, f.stat().st_size, f.stat().st_mtime_ns, "walk", known) for f in files]


def call(worker, given):
    return distributed._part(worker({"works": pickle.dumps(given)})["part"])


def test_a_worker_writes_what_it_describes(pictures, worker):
    """What it gives back has no vectors any more, only counts, and what it could not read."""
    folder = pictures(10)
    (folder / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    one, store, _ = worker(folder)
    part = call(one, works(folder))
    assert (part.added, part.updated, part.rows, store.count()) == (10, 0, (), 10)
    assert [skip.id for skip in part.skipped] == ["broken.png"]
    assert part.precision == "f32"


@pytest.mark.parametrize("known", [False, True])
def test_a_batch_done_again_counts_once(pictures, worker, known):
    """What a worker wrote before it died is told as written, as if it had lived."""
    folder = pictures(10)
    one, store, job = worker(folder)
    batch = works(folder, known=known)
    call(one, batch)
    part = call(one, batch)
    assert (part.added, part.updated, len(part.same)) == (0, 0, 10)
    here = Describer(store, ToyExtractor, job.root, job.limits)
    pipeline = Pipeline(store, here, store)
    pipeline.run([], lambda _: (part for part in [part]))
    assert (pipeline.counts.added, pipeline.counts.updated) == ((0, 10) if known else (10, 0))
    assert store.count() == 10


def test_without_a_store_vectors_come_back(pictures, worker):
    """Where this process alone writes, a worker gives it the rows; copies among them are found here."""
    folder = pictures(5)
    (folder / "copy.png").write_bytes((folder / "00000.png").read_bytes())
    _, store, job = worker(folder)
    far = distributed._Worker(distributed._pickled(job._replace(store=None)), 1)
    parts = [call(far, works(folder)[:3]), call(far, works(folder)[3:])]
    assert [(len(part.rows), part.sifted) for part in parts] == [(3, False), (3, False)]
    pipeline = Pipeline(store, Describer(store, ToyExtractor, job.root, job.limits), store)
    with store.writing():
        pipeline.run([], lambda _: (part for part in parts))
    assert (pipeline.counts.added, store.count()) == (6, 6)


def test_workers_write_into_elasticsearch(ray, elasticsearch_address, pictures, tmp_path, monkeypatch):
    """They bring in what one machine brings into a file, and this process sees no vector of it."""
    folder = pictures(150)
    (folder / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    (folder / "copy.png").write_bytes((folder / "00001.png").read_bytes())
    parts = []
    took = distributed._part
    monkeypatch.setattr(distributed, "_part", lambda answer: parts.append(took(answer)) or parts[-1])
    with (
        Gallery.open(folder, gallery=elasticsearch_address, model="toy") as far,
        Gallery.open(folder, gallery=tmp_path / "here", model="toy") as here,
    ):
        assert counts(far.add(workers=Cluster("local"))) == counts(here.add())
        assert sum(part.added for part in parts) >= 150
        assert not any(part.rows for part in parts)
        assert [r.id for r in far.records()] == [r.id for r in here.records()]
        np.testing.assert_allclose(far.vectors(), here.vectors(), atol=1e-3)  # float16 there
        assert far.skipped() == here.skipped()
        (folder / "00002.png").rename(folder / "moved.png")
        (folder / "00003.png").unlink()
        pictures(3, first=700)
        assert counts(far.add(workers=Cluster("local"))) == counts(here.add())
        assert counts(far.add(workers=Cluster("local"))) == {"unchanged": 153, "total": 153}


def test_a_killed_worker_loses_nothing_in_elasticsearch(ray, elasticsearch_address, pictures):
    """What it had written stays, and the rest of its batch is done again: everything once."""
    folder = pictures(600)
    killed = []

    def kill_one(_):
        if not killed:
            killed.append(next(_workers()))
            os.kill(killed[0], signal.SIGKILL)

    with Gallery.open(folder, gallery=elasticsearch_address, model="toy") as gallery:
        report = gallery.add(workers=Cluster("local"), progress=kill_one)
        assert killed
        assert (counts(report), report.skipped) == ({"added": 600, "total": 600}, [])
        assert len({record.id for record in gallery.records()}) == 600


def _workers():
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if "ray::MapWorker" in (folder / "cmdline").read_text(errors="replace"):
                yield int(folder.name)
        except OSError:
            continue
