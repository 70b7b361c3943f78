"""Workers that write for themselves, into a store that takes many writers."""

import os
import pickle
import re
import signal
import socket
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
import numpy as np
import pytest
from odd_models import Odd
from odd_models import marks as left
from PIL import Image

from lookalike import Gallery, stores
from lookalike.extractors.model import Model, header_for
from lookalike.images import ImageLimits
from lookalike.indexing.extract import Describer
from lookalike.indexing.pipeline import Job, Pipeline, Worker
from lookalike.indexing.plan import Work
from lookalike.indexing.ray import Cluster
from lookalike.sources.access import Access
from lookalike.testing import ToyExtractor

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")


@pytest.fixture
def given(tmp_path):
    """A new store and the job to fill it from a folder."""

    def make(folder, address=None):
        header = header_for(ToyExtractor(), None, str(folder))
        store = stores.open_store(address or str(tmp_path / "store"), create=header)
        return store, Job(
            store.address, header, Model("toy"), Access(str(folder), ImageLimits(), everything=True)
        )

    return make


def counts(report):
    return {key: value for key, value in report.as_dict().items() if isinstance(value, int) and value}


def works(folder, *, known=False):
    files = sorted(folder.iterdir())
    return [Work(f.name, f.stat().st_size, f.stat().st_mtime_ns, "walk", known) for f in files]


def describe(job, *batches):
    """What a new worker, as it is sent, makes of batches."""
    worker = Worker(pickle.loads(job.pickled()))  # noqa: S301
    try:
        return [worker.describe(batch) for batch in batches]
    finally:
        worker.close()


def test_a_worker_writes_what_it_describes(pictures, given):
    """What it gives back has no vectors any more, only counts, and what it could not read."""
    folder = pictures(10)
    (folder / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    store, job = given(folder)
    (part,) = describe(job, works(folder))
    assert (part.added, part.updated, part.rows, store.count()) == (10, 0, [], 10)
    assert [skip.id for skip in part.skipped] == ["broken.png"]
    assert part.precision == "f32"


@pytest.mark.parametrize("known", [False, True])
def test_a_batch_done_again_counts_once(pictures, given, known):
    """What a worker wrote before it died is told as written, as if it had lived."""
    folder = pictures(10)
    store, job = given(folder)
    batch = works(folder, known=known)
    describe(job, batch)
    (part,) = describe(job, batch)
    assert (part.added, part.updated, len(part.same)) == (0, 0, 10)
    here = Describer(store, ToyExtractor, job.access)
    pipeline = Pipeline(store, here, store)
    pipeline.run([], lambda _: (part for part in [part]))
    assert (pipeline.counts.added, pipeline.counts.updated) == ((0, 10) if known else (10, 0))
    assert store.count() == 10


def test_without_a_store_vectors_come_back(pictures, given):
    """Where this process alone writes, a worker gives it the rows; copies among them are found here."""
    folder = pictures(5)
    (folder / "copy.png").write_bytes((folder / "00000.png").read_bytes())
    store, job = given(folder)
    parts = describe(job._replace(store=None), works(folder)[:3], works(folder)[3:])
    assert [(len(part.rows), part.sifted) for part in parts] == [(3, False), (3, False)]
    pipeline = Pipeline(store, Describer(store, ToyExtractor, job.access), store)
    with store.writing():
        pipeline.run([], lambda _: (part for part in parts))
    assert (pipeline.counts.added, store.count()) == (6, 6)


def test_workers_write_into_elasticsearch(ray, elasticsearch_address, pictures, tmp_path):
    """They bring in what one machine brings into a file, and it is told as it comes, without a vector."""
    folder = pictures(400)
    (folder / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    (folder / "copy.png").write_bytes((folder / "00001.png").read_bytes())
    cluster, seen = Watched("local"), []
    with (
        Gallery.open(folder, gallery=elasticsearch_address, model=Odd(slow=0.03)) as far,
        Gallery.open(folder, gallery=tmp_path / "here", model="toy") as here,
    ):
        assert counts(far.add(workers=cluster, progress=seen.append)) == counts(here.add())
        assert sum(part.added for part in cluster.parts) >= 400
        assert not any(part.rows for part in cluster.parts)
        between = [progress.done for progress in seen if 0 < progress.done < 402]
        assert len(between) > 1
        assert [r.id for r in far.records()] == [r.id for r in here.records()]
        np.testing.assert_allclose(far.vectors(), here.vectors(), atol=1e-3)  # float16 there
        assert far.skipped() == here.skipped()
        (folder / "00002.png").rename(folder / "moved.png")
        (folder / "00003.png").unlink()
        pictures(3, first=700)
        assert counts(far.add(workers=Cluster("local"))) == counts(here.add())
        assert counts(far.add(workers=Cluster("local"))) == {"unchanged": 403, "total": 403}


class Watched(Cluster):
    """A cluster that remembers what its workers told."""

    def describe(self, *given):
        """As it does otherwise."""
        self.parts = []
        for part in super().describe(*given):
            self.parts.append(part)
            yield part


def test_a_killed_worker_loses_nothing_in_elasticsearch(ray, elasticsearch_address, pictures, marks):
    """Killed while it has a batch, after it has written others: everything is there, once."""
    folder = pictures(600)
    Image.new("RGB", (60, 40), "white").save(folder / "00450-white.png")
    written = []

    def kill():
        while not left(marks, "white"):
            ended.wait(0.05)
        written.append(sum(part.added for part in cluster.parts))
        os.kill(left(marks, "white")[0], signal.SIGKILL)

    ended, cluster = threading.Event(), Watched("local")
    threading.Thread(target=kill, daemon=True).start()
    model = Odd(halts=1, place=str(marks), slow=0.01)
    with Gallery.open(folder, gallery=elasticsearch_address, model=model) as gallery:
        report = gallery.add(workers=cluster)
        assert 0 < written[0] < 601
        assert (counts(report), report.skipped) == ({"added": 601, "total": 601}, [])
        assert len({record.id for record in gallery.records()}) == 601


def test_writes_are_made_findable_once(elasticsearch, elasticsearch_address, pictures, given):
    """A worker lets the server look for what it wrote when it ends, and not after every batch."""
    folder = pictures(60)
    store, job = given(folder, elasticsearch_address)

    def refreshes():
        with elasticsearch.client() as client:
            name = elasticsearch_address.rpartition("/")[2]
            stats = client.get(f"/{name}/_stats/refresh").raise_for_status().json()
        return stats["_all"]["primaries"]["refresh"]["external_total"]

    before = refreshes()
    batches = [works(folder)[start : start + 6] for start in range(0, 60, 6)]
    parts = describe(job, *batches)
    assert [part.added for part in parts] == [6] * 10
    # One in the end; the server itself looks once a second, but at that only if somebody has asked lately.
    assert refreshes() - before <= 4
    assert store.count() == 60


class Gate(BaseHTTPRequestHandler):
    """Passes on to a server without security what comes with a key, and nothing else."""

    key = "a2V5OnNlY3JldA=="
    protocol_version = "HTTP/1.1"

    def pass_on(self):
        """Answer a request."""
        content = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.headers.get("Authorization") == f"ApiKey {self.key}":
            kept = {name: self.headers[name] for name in ("Content-Type", "Accept") if self.headers[name]}
            done = httpx.request(self.command, self.server.url + self.path, content=content, headers=kept)
            self.answer(done.status_code, done.headers.get("Content-Type"), done.content)
        else:
            self.answer(401, "application/json", b'{"error":{"type":"security_exception"},"status":401}')

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = pass_on  # noqa: N815

    def answer(self, status, kind, content):
        """Send it."""
        self.send_response(status)
        self.send_header("X-Elastic-Product", "Elasticsearch")
        self.send_header("Content-Length", str(len(content)))
        if kind:
            self.send_header("Content-Type", kind)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def log_message(self, *_):
        """Say nothing."""


@contextmanager
def gate(url):
    """The port of a gate before a server."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Gate) as server:
        server.url = url
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            thread.join()


def test_a_worker_that_is_not_let_in(program, head, elasticsearch, elasticsearch_address, pictures):
    """Workers do not get this machine's key, and one without its own says who it is, and what it lacks."""
    folder = pictures(3)
    name = elasticsearch_address.rpartition("/")[2]
    with gate(elasticsearch.urls[0]) as port:
        words = ("index", folder, "--gallery", f"elasticsearch://127.0.0.1:{port}/{name}", "--model", "toy")
        running = program(*words, "--ray", "auto", **head.surroundings, ELASTIC_API_KEY=Gate.key)
        code, out, err = running.ends()
    assert (code, out) == (1, "")
    host = re.escape(socket.gethostname())
    assert re.fullmatch(rf"lookalike: a worker on {host} met this: .*\(401\); set ELASTIC_API_KEY.*\n", err)
    assert Gate.key not in err
