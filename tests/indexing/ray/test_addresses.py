"""Addresses that workers read: those of a table are a stranger's there, too."""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from lookalike import Gallery
from lookalike.indexing.ray import Cluster

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")


@pytest.fixture
def address(pictures):
    """Of a server on this machine that has a picture at every path."""
    content = (pictures(1, "served") / "00000.png").read_bytes()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{running.server_port}"
        running.shutdown()
        thread.join()


def test_workers_keep_a_table_to_public_addresses(ray, address, pictures, tmp_path):
    """They do not follow its addresses into this network, but one that was typed."""
    (tmp_path / "t.csv").write_text(f"url\n{address}/listed.png\n")
    with Gallery.open(pictures(0), model="toy") as gallery:
        report = gallery.add([tmp_path / "t.csv", f"{address}/typed.png"], workers=Cluster("local"))
        assert [record.id for record in gallery.records()] == [f"{address}/typed.png"]
    assert [skip.path for skip in report.skipped] == [f"{address}/listed.png"]
    assert "not a public address" in report.skipped[0].reason


def test_workers_follow_a_table_where_it_is_allowed(ray, address, pictures, tmp_path):
    """What is allowed here is allowed there."""
    (tmp_path / "t.csv").write_text(f"url\n{address}/listed.png\n")
    with Gallery.open(pictures(0), model="toy") as gallery:
        report = gallery.add(tmp_path / "t.csv", workers=Cluster("local"), allow_private=True)
    assert (report.added, report.skipped) == (1, [])
