"""What is secret in an address is neither kept nor shown: everything that is produced is searched for it."""

from __future__ import annotations

import csv
import io
import logging
import threading
import traceback
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from PIL import Image

from lookalike import Gallery
from lookalike.cli import run
from lookalike.errors import LookalikeError
from lookalike.system.text import redact, redact_text, was_redacted

USER, PASSWORD, TOKEN, SIGNATURE = "annaS3cret", "hunt/er2-sEcret", "tok-sEcret-9", "sIg-sEcret%2F8"
SECRETS = ("annaS3cret", "er2-sEcret", "tok-sEcret-9", "sIg-sEcret")


class Handler(BaseHTTPRequestHandler):
    """Gives a picture to whoever comes with the token; else it leads on, or refuses."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        """Answer by the path."""
        self.server.asked.append(self.path)
        if self.path.startswith("/moved"):
            self.send_response(302)
            self.send_header("Location", f"/a.png?token={TOKEN}")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        known = TOKEN in self.path or SIGNATURE in self.path or "plain" in self.path
        body = picture() if known else b"no"
        self.send_response(200 if known else 403)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        """Say nothing."""


def picture():
    """The bytes of a small picture."""
    out = io.BytesIO()
    Image.new("RGB", (12, 8), (250, 10, 10)).save(out, "PNG")
    return out.getvalue()


@pytest.fixture
def server():
    """A server on this machine, and what it was asked for."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        http.asked = []
        http.address = f"127.0.0.1:{http.server_port}"
        thread = threading.Thread(target=http.serve_forever, daemon=True)
        thread.start()
        yield http
        http.shutdown()


def addresses(host):
    """Addresses with secrets of every kind, and one without."""
    return {
        "plain": f"http://{host}/plain.png?id=1",
        "token": f"http://{host}/a.png?id=5&access_token={TOKEN}",
        "key": f"http://{host}/a.png?Key={TOKEN}&w=9",
        "signed": f"http://{host}/a.png?X-Amz-Signature={SIGNATURE}&X-Amz-Credential={USER}",
        "fragment": f"http://{host}/plain.png#token={TOKEN}",
        "moved": f"http://{host}/moved?secret={TOKEN}",
        "password": f"http://{USER}:{PASSWORD.replace('/', '%2F')}@{host}/plain.png",
        "slash": f"http://{USER}:{PASSWORD}@{host}/plain.png",
        "user": f"http://{USER}@{host}/plain.png",
        "refused": f"http://{host}/b.png?password=er2-sEcret",
        "nowhere": f"http://{USER}:{TOKEN}@127.0.0.1:9/a.png?sig={TOKEN}",
        "broken": f"http://{USER}:{TOKEN}@[::1/a.png",
        "ftp": f"ftp://{USER}:{TOKEN}@127.0.0.1:9/a.png",
        "bucket": f"hf://datasets/x/a.png?token={TOKEN}",
    }


def found_in(folder, *texts, but=()):
    """Every place in which a secret stands: what was printed, and every file below a folder."""
    lines = [line for text in texts for line in text.splitlines()]
    places = [line for line in lines if any(secret in line for secret in SECRETS)]
    for file in folder.rglob("*"):
        if file.is_file() and file not in but:
            content = file.read_bytes()
            places += [f"{file}: {secret}" for secret in SECRETS if secret.encode() in content]
    return places


def test_tables_and_queries_leave_no_secret(server, tmp_path, capsys, caplog, monkeypatch):
    """Index, search, describe, compare, fetch, info: pages, JSON, errors, traces, logs, files, galleries."""
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv("LOOKALIKE_DEBUG", "1")
    monkeypatch.chdir(tmp_path)
    known = addresses(server.address)
    table = tmp_path / "t.csv"
    with table.open("w", newline="") as lines:
        writer = csv.writer(lines)
        writer.writerow(["url", "page", "note"])
        writer.writerows([url, f"see {url}" if n % 2 else url, n] for n, url in enumerate(known.values()))
    place = str(tmp_path / "gallery")
    index = ["index", str(table), "--gallery", place, "--model", "toy", "--metadata", str(table)]
    assert run([*index, "--allow-private"]) == 0
    assert run([*index, "--allow-private", "--json"]) == 0
    for words in ("info", "info --skipped", "info --json", "check", "find png", "export v.csv"):
        run([*words.split(), "--gallery", place])
    for name, url in known.items():
        run(["search", url, "--gallery", place, "--html", f"{name}.html", "--json"])
        run(["search", url, "--gallery", place, "--plot", f"{name}.svg"])
        run(["describe", url, "--gallery", place])
        run(["describe", url, "--gallery", place, "--json"])
        run(["index", url, "--gallery", place, "--allow-private"])
        run(["search", url.replace("://", ":/"), "--gallery", place])
    fetch = ["fetch", str(table), "--into", "fetched", "--keep", "page", "--allow-private", "--retries", "0"]
    for more in ([], [], ["--json"]):
        run([*fetch, *more])
    run(["index", "fetched", "--model", "toy", "--metadata", "fetched/metadata.csv"])
    run(["compare", "fetched", "--models", "toy", "--query", known["token"], "--html", "compared.html"])
    run(["trust", "--gallery", place, "--show"])
    said = capsys.readouterr()
    assert found_in(tmp_path, said.out, said.err, caplog.text, but=[table]) == []
    assert any(TOKEN in path for path in server.asked)  # it was sent where it belongs


def test_what_is_kept_of_an_address(server, tmp_path):
    """Rows that differ in their secrets stay two; those with a user are refused; the others are read once."""
    known = addresses(server.address)
    other = known["key"].replace(TOKEN, f"{TOKEN}x")
    table = tmp_path / "t.csv"
    table.write_text("\n".join(["url", *known.values(), other, known["token"]]))
    with Gallery.open(tmp_path, model="toy") as gallery:
        report = gallery.add(table, allow_private=True)
        ids = [record.id for record in gallery.records()]
        assert len(ids) == report.added == 7
        assert redact(known["token"]) in ids
        assert {redact(known["key"]), redact(other)} < set(ids)
        reasons = {skip.path: skip.reason for skip in report.skipped}
        assert "with a password in it" in reasons[f"http://{server.address}/plain.png"]
        assert "with a secret in it" in reasons[redact(known["bucket"])]
        asked = len(server.asked)
        assert gallery.add(table, allow_private=True).unchanged == 7
        assert len(server.asked) == asked + 1  # of what was refused the server is asked again
        # The picture is shown by what was kept of it, and is found by its whole address.
        assert gallery.thumbnail(redact(known["token"])) is not None
        assert gallery.search(known["token"]).query == redact(known["token"])
        assert "held a secret" in gallery.access.refusal(redact(known["token"]))


def test_a_gallery_of_before_is_not_read_again(server, tmp_path, plant):
    """Where a row's whole address is an id already, it is the same picture."""
    known = addresses(server.address)["token"]
    table = tmp_path / "t.csv"
    table.write_text(f"url\n{known}\n")
    with Gallery.open(tmp_path, model="toy") as gallery:
        gallery.add([("a", Image.new("RGB", (9, 9)))])
    plant(tmp_path, known, source="url")
    with Gallery.open(tmp_path) as gallery:
        assert gallery.add(table, allow_private=True).unchanged == 1
    assert server.asked == []


def test_errors_of_the_library_hold_no_secret(server, tmp_path):
    """Neither the message nor what it was raised from."""
    with Gallery.open(tmp_path, model="toy") as gallery:
        gallery.add([("a", Image.new("RGB", (9, 9)))])
        for url in addresses(server.address).values():
            for call in (gallery.search, gallery.describe, gallery.add):
                try:
                    told = str(call(url))
                except LookalikeError as error:
                    told = "".join(traceback.format_exception(error))
                assert found_in(tmp_path / "none", told) == []


@pytest.mark.parametrize(
    "address",
    [
        "https://host/@user/a.jpg",
        "https://host:8080/a@2x.jpg",
        "https://host:/a@2x.jpg",
        "https://host/a.jpg?id=5&size=9#top",
        "https://host/keys/token.jpg?keyword=x&monkey=1",
        "s3://bucket/a=b?c.jpg",
        "photos/a?token=x.jpg",
        "ftp://anna@host/a.jpg",
    ],
)
def test_what_is_no_secret(address):
    """Addresses without secrets, and paths, are left as they are."""
    assert (redact(address), was_redacted(address)) == (address, False)


def test_redaction_is_stable():
    """What was redacted is its own redaction, in an address and in a text."""
    once = redact(f"https://{USER}:{PASSWORD}@host/a.jpg?TOKEN={TOKEN}&x=1;sig={SIGNATURE}")
    assert redact(once) == redact_text(once) == once
    assert was_redacted(once)
    assert found_in(Path("/nonexistent"), once) == []
    text = redact_text(f"can't read 'https://{USER}:{TOKEN}@host/a.jpg?token={TOKEN}' now")
    assert text.startswith("can't read 'https://host/a.jpg?token=~")
