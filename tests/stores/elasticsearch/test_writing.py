"""Writing through a server that has too much to do, refuses, or does not answer: a real proxy in between."""

from __future__ import annotations

import http.client
import json
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

import numpy as np
import pytest

from lookalike import stores
from lookalike.errors import StoreUnavailable, UsageError
from lookalike.types import Folder, Header, Space

HEADER = Header(Space("toy", "0" * 64, 8, "cosine", "f32", True, "float32"), "")


_JSON = [("X-Elastic-Product", "Elasticsearch"), ("Content-Type", "application/json")]


class _Handler(BaseHTTPRequestHandler):
    """Passes requests on, but for those that its server's `fault` says something about."""

    protocol_version = "HTTP/1.1"

    def _pass_on(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        fault = self.server.fault(self.command, self.path)
        self.server.seen.append((fault, body))
        if fault == "drop":
            self.close_connection = True
            return
        if isinstance(fault, int):
            status, headers, content = fault, _JSON, b'{"error": "busy"}'
        elif isinstance(fault, tuple):
            status, headers, content = 200, _JSON, self._done_in_part(body, *fault)
        else:
            status, headers, content = self._answer(body)
        if fault == "lose":  # done, but nobody is told
            self.close_connection = True
            return
        self.send_response(status)
        for name, value in headers:
            if name.lower() not in {"content-length", "transfer-encoding", "connection"}:
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(b"" if self.command == "HEAD" else content)

    def _answer(self, body):
        headers = {name: value for name, value in self.headers.items() if name != "Content-Length"}
        with closing(http.client.HTTPConnection(*self.server.behind, timeout=60)) as connection:
            connection.request(self.command, self.path, body, headers)
            answer = connection.getresponse()
            return answer.status, answer.getheaders(), answer.read()

    def _done_in_part(self, body, every, status):
        """What is said to a bulk request of which every so many-th document is refused."""
        lines = body.splitlines(keepends=True)
        documents = [b"".join(lines[i : i + 2]) for i in range(0, len(lines), 2)]
        last = every - 1
        taken = [document for i, document in enumerate(documents) if i % every != last]
        items = iter(json.loads(self._answer(b"".join(taken))[2])["items"] if taken else ())
        refused = {"index": {"status": status, "error": {"type": "rejected", "reason": "the queue is full"}}}
        items = [refused if i % every == last else next(items) for i in range(len(documents))]
        return json.dumps({"errors": True, "items": items}).encode()

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = _pass_on  # noqa: N815  # names of http.server

    def log_message(self, *_):
        """Say nothing."""


@pytest.fixture
def proxy(elasticsearch):
    """A proxy before the server: `proxy.fault(method, path)` gives a status, `drop`, `lose` or None.

    Or it gives (n, status): of a bulk request every n-th document is not taken, with that status.
    """
    behind = urlsplit(elasticsearch.urls[0])
    with ThreadingHTTPServer(("127.0.0.1", 0), _Handler) as server:
        server.daemon_threads = True
        server.behind, server.seen = (behind.hostname, behind.port), []
        server.fault = lambda _method, _path: None
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def store(proxy, elasticsearch_address):
    """An empty gallery, reached through the proxy; it tries for ten seconds."""
    name = elasticsearch_address.rpartition("/")[2]
    address = f"elasticsearch://127.0.0.1:{proxy.server_address[1]}/{name}?timeout=10"
    with closing(stores.open_store(address, create=HEADER)) as opened:
        yield opened


def _first(count, fault):
    """A fault of the first requests that write."""
    left = iter([fault] * count)
    mutex = threading.Lock()

    def decide(_method, path):
        if "/_bulk" not in path:
            return None
        with mutex:
            return next(left, None)

    return decide


def test_written_twice_is_there_once(client, store, a_record, unit_vectors):
    """Writing the same pictures again changes nothing: not their number, nor what any of them holds."""
    records = [a_record(i, metadata={"n": i}) for i in range(500)]
    vectors = unit_vectors(500)
    for _ in range(2):
        assert store.write(records, vectors) == []
    assert store.count() == 500
    assert [r for batch in store.scan() for r in batch.records] == records
    np.testing.assert_array_equal(store.vectors([r.id for r in records]), vectors)
    name = store.address.rpartition("/")[2].partition("?")[0]
    assert client.count(index=name, query={"term": {"status": "picture"}})["count"] == 500


@pytest.mark.parametrize("fault", [429, 502, 503, "drop", "lose"])
def test_tried_again(proxy, store, fault, a_record, unit_vectors):
    """A server that has too much to do, or whose answer is lost, is asked again; nothing is there twice."""
    proxy.seen.clear()
    proxy.fault = _first(3, fault)
    assert store.write([a_record(i) for i in range(700)], unit_vectors(700)) == []
    assert store.count() == 700
    assert [state.id for state in store.states()] == [a_record(i).id for i in range(700)]
    assert [seen for seen, _ in proxy.seen].count(fault) == 3


@pytest.mark.parametrize("status", [429, 503])
def test_single_pictures_are_tried_again(proxy, store, status, a_record, unit_vectors):
    """Of a request that was done in part only the rest is sent again, and all of it arrives."""
    vectors = unit_vectors(100)
    proxy.seen.clear()
    proxy.fault = lambda _method, path: (3, status) if "/_bulk" in path else None
    assert store.write([a_record(i) for i in range(100)], vectors) == []
    assert store.count() == 100
    np.testing.assert_array_equal(store.vectors([a_record(i).id for i in range(100)]), vectors)
    # Two requests of fifty, of each every third again, of those every third again.
    sizes = [body.count(b"\n") // 2 for fault, body in proxy.seen if body.startswith(b'{"index"')]
    assert sorted(sizes) == [1, 1, 5, 5, 16, 16, 50, 50]


def test_searches_are_tried_again(proxy, store, a_record, unit_vectors):
    """A search goes on through a moment without answer."""
    store.write([a_record(i) for i in range(20)], unit_vectors(20))
    store.refresh()
    left = iter(["drop", 503, 503])
    proxy.fault = lambda _method, path: next(left, None) if "_search" in path else None
    assert store.search(unit_vectors(20)[3:4], 1)[0].ids == [a_record(3).id]
    assert [len(found.ids) for found in store.search(unit_vectors(20)[:5], 2)] == [2] * 5


def test_updates_are_tried_again(proxy, store, a_record, unit_vectors):
    """Metadata whose writing was acknowledged to nobody is there once, with the vector it had."""
    vectors = unit_vectors(30)
    store.write([a_record(i) for i in range(30)], vectors)
    proxy.fault = _first(2, "lose")
    assert store.update({a_record(i).id: {"note": "x"} for i in range(30)}) == 30
    assert [record.metadata for record in store.get([a_record(3).id])] == [{"note": "x"}]
    np.testing.assert_array_equal(store.vectors([a_record(i).id for i in range(30)]), vectors)


@pytest.mark.parametrize("fault", [429, (1, 429)], ids=["all of it", "each by itself"])
def test_time_is_up(proxy, store, fault, a_record, unit_vectors):
    """A server that never takes anything gives an error within the time, with what to do; nothing is lost."""
    store.write([a_record(0)], unit_vectors(1))
    proxy.fault = lambda _method, path: fault if "_bulk" in path else None
    with closing(stores.open_store(store.address.replace("timeout=10", "timeout=2"))) as hasty:
        with pytest.raises(StoreUnavailable, match=r"within 2 s .* is kept: run the same"):
            hasty.write([a_record(1)], unit_vectors(1))
        proxy.fault = lambda _method, _path: None
        assert hasty.count() == 1
        assert hasty.write([a_record(1)], unit_vectors(1)) == []
        assert hasty.count() == 2


def test_refused_by_the_server(elasticsearch_address, a_record, unit_vectors):
    """What the server refuses of single pictures is told by their ids; the others are written."""
    header = HEADER.with_space(normalized=False)
    vectors = unit_vectors(300)
    vectors[7::100] *= np.float32(1e-30)  # of no direction to the server, which squares it
    with closing(stores.open_store(elasticsearch_address, create=header)) as store:
        records = [replace(a_record(i), width=2**70 if i == 3 else 640) for i in range(300)]
        refused = store.write(records, vectors)
        assert [skip.id for skip in refused] == [a_record(i).id for i in (3, 7, 107, 207)]
        assert "64 bits" in refused[0].reason
        assert all(skip.reason.startswith("Elasticsearch refused it: ") for skip in refused[1:])
        assert store.count() == 296


def test_full_disk(client, store, a_record, unit_vectors):
    """A server whose disk is nearly full is said to be so at once."""
    index = store._live.index.name
    client.indices.put_settings(index=index, settings={"index.blocks.read_only_allow_delete": True})
    with pytest.raises(StoreUnavailable, match="its disk is nearly full; make room"):
        store.write([a_record(0)], unit_vectors(1))
    client.indices.put_settings(index=index, settings={"index.blocks.read_only_allow_delete": None})
    assert store.write([a_record(0)], unit_vectors(1)) == []


def test_two_writers(store, a_record, unit_vectors):
    """Two stores that write at once lose nothing of each other, not even in one picture's metadata."""
    store.write([a_record(i) for i in range(40)], unit_vectors(40))
    errors = []

    def work(field):
        try:
            with closing(stores.open_store(store.address)) as own:
                for start in range(0, 40, 10):
                    own.update({a_record(i).id: {field: i} for i in range(start, start + 10)})
        except Exception as error:  # noqa: BLE001  # told below
            errors.append(error)

    threads = [threading.Thread(target=work, args=(field,)) for field in ("one", "two", "three")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    records = store.get([a_record(i).id for i in range(40)])
    assert [record.metadata for record in records] == [{"one": i, "two": i, "three": i} for i in range(40)]
    np.testing.assert_array_equal(store.vectors([r.id for r in records]), unit_vectors(40))


def test_types_by_two_writers(store, a_record, unit_vectors):
    """A field to which another process has given a type keeps it: what does not fit is refused."""
    with closing(stores.open_store(store.address)) as other:
        assert store.fields() == other.fields()
        other.write([a_record(0, metadata={"price": 1.5})], unit_vectors(1))
        with pytest.raises(UsageError, match="price is real since its first value"):
            store.write([a_record(1, metadata={"price": "much"})], unit_vectors(1))
        store.write([a_record(1, metadata={"price": 2})], unit_vectors(1))
        assert other.count() == 2


def test_folders_by_many_writers(store):
    """What each of several that work at once remembers of its own folder is remembered."""
    seen = store.folders()
    folders = [Folder(f"{number}/", number) for number in range(8)]

    def work(folder):
        with closing(stores.open_store(store.address)) as own:
            own.set_folders([folder], seen=seen)

    with ThreadPoolExecutor(len(folders)) as threads:
        list(threads.map(work, folders))
    assert store.folders() == folders
    store.set_folders([], seen=folders[:2])
    assert store.folders() == folders[2:]


def test_a_field_of_a_foreign_type(client, store, a_record, unit_vectors):
    """A type that somebody else has given a field is told, not waited for."""
    dates = {"metadata": {"properties": {"shot": {"type": "date"}}}}
    client.indices.put_mapping(index=store._live.index.name, properties=dates)
    with pytest.raises(UsageError, match="'shot' has a type"):
        store.write([a_record(0, metadata={"brand": "x", "shot": "2024-01-01"})], unit_vectors(1))
    assert store.count() == 0


def test_too_many_fields(store, a_record, unit_vectors):
    """More fields than the server is to have are refused in words, and nothing is written."""
    many = {f"field {i}": 1 for i in range(5_001)}
    with pytest.raises(UsageError, match="keeps at most 5,000"):
        store.write([a_record(0, metadata=many)], unit_vectors(1))
    assert store.count() == 0


def test_source_holds_no_vector(client, store, a_record, unit_vectors):
    """Vectors and all else that follows from a record are not kept twice."""
    store.write([a_record(0, metadata={"note": "x"})], unit_vectors(1))
    store.refresh()
    hit = client.search(index=store._live.index.name)["hits"]["hits"][0]
    assert not {"vector", "stems", "words", "folders", "points", "classes"} & set(hit["_source"])
    assert len(json.dumps(hit["_source"])) < 400
