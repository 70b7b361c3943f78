"""Pictures in a bucket, by the real protocol, on a server of this machine; others by `test_remote.py`."""

import json
import os
import socket
import subprocess
import sys
import time
from contextlib import suppress

import pytest
import s3fs

from lookalike import Gallery
from lookalike.errors import DownloadError, LookalikeError

RED, GREEN, BLUE, TEAL = (250, 10, 10), (10, 250, 10), (10, 10, 250), (10, 200, 120)
TOP = "s3://bucket/photos"
SECRET = "a-secret-that-nobody-shows"  # noqa: S105


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """The address of a server that speaks the protocol."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    words = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    log = tmp_path_factory.mktemp("moto") / "log"
    with log.open("w") as written, subprocess.Popen(words, stdout=written, stderr=written) as running:
        try:
            until = time.monotonic() + 60
            while time.monotonic() < until and running.poll() is None:
                with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                    break
                time.sleep(0.1)
            else:
                pytest.fail(f"no server came: {log.read_text()}")
            yield f"http://127.0.0.1:{port}"
        finally:
            running.terminate()


@pytest.fixture
def surroundings(server, monkeypatch):
    """What tells of the server, and who may read there: nothing of it is in an address."""
    told = {
        "AWS_ENDPOINT_URL": server,
        "AWS_ACCESS_KEY_ID": "somebody",
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    for name, value in told.items():
        monkeypatch.setenv(name, value)
    s3fs.S3FileSystem.clear_instance_cache()
    yield told
    s3fs.S3FileSystem.clear_instance_cache()


@pytest.fixture
def bucket(surroundings, paint, tmp_path):
    """A bucket with three pictures, half of one, and a text, as its owner sees it."""
    files = s3fs.S3FileSystem(use_listings_cache=False)
    files.mkdir("bucket")
    for name, colour in {"red": RED, "2024/grün b": GREEN, "2024/blue": BLUE}.items():
        files.put(str(paint(tmp_path / "painted.png", colour)), f"bucket/photos/{name}.png")
    files.pipe("bucket/photos/half.png", (tmp_path / "painted.png").read_bytes()[:60])
    files.pipe("bucket/photos/notes.txt", b"no picture")
    yield files
    files.rm("bucket", recursive=True)


def counts(report):
    return {key: value for key, value in report.as_dict().items() if isinstance(value, int) and value}


def test_a_bucket_is_indexed_and_kept_up_to_date(bucket, paint, tmp_path):
    """What is new, changed and gone is told, the rest is not read again, what is broken is in the report."""
    with Gallery.open(gallery=tmp_path / "gallery", model="toy") as gallery:
        report = gallery.add(TOP)
        assert counts(report) == {"added": 3, "total": 3}
        assert [skip.path for skip in report.skipped] == [f"{TOP}/half.png", f"{TOP}/notes.txt"]
        assert [record.id for record in gallery.records()] == [
            f"{TOP}/2024/blue.png", f"{TOP}/2024/grün b.png", f"{TOP}/red.png",
        ]  # fmt: skip
        assert counts(gallery.add()) == {"unchanged": 3, "total": 3}
        bucket.put(str(paint(tmp_path / "painted.png", TEAL, (30, 30))), "bucket/photos/red.png")
        bucket.put(str(paint(tmp_path / "painted.png", RED)), "bucket/photos/new.png")
        bucket.rm("bucket/photos/2024/blue.png")
        assert counts(gallery.add()) == {"added": 1, "updated": 1, "removed": 1, "unchanged": 1, "total": 3}
        assert gallery.search(f"{TOP}/red.png", k=1)[0].id == f"{TOP}/2024/grün b.png"
        assert gallery.thumbnail(f"{TOP}/new.png").startswith(b"\xff\xd8")


def test_what_leads_nowhere_is_told(bucket, tmp_path, monkeypatch):
    """A bucket that is not there, and a server that is not: a clear error, with no secret in it."""
    with Gallery.open(gallery=tmp_path / "gallery", model="toy") as gallery:
        with pytest.raises(LookalikeError, match="s3://nobodys/photos") as unknown:
            gallery.add("s3://nobodys/photos")
        gallery.add(TOP)
        monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
        monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
        s3fs.S3FileSystem.clear_instance_cache()
        with pytest.raises(DownloadError, match=f"{TOP}/new can't be reached") as unreachable:
            gallery.add(f"{TOP}/new")
        assert counts(gallery.add()) == {"missing": 3, "total": 3}
    assert SECRET not in f"{unknown.value} {unreachable.value}"


def test_the_program_and_its_workers_read_it(bucket, surroundings, tmp_path):
    """By `--ray local` they find who may read in the environment of the command, as one process does."""
    words = [sys.executable, "-m", "lookalike", "index", TOP, "--model", "toy", "--json", "--gallery"]
    for place, more in (("here", []), ("there", ["--ray", "local"])):
        ended = subprocess.run(
            [*words, tmp_path / place, *more],
            env={**os.environ, **surroundings, "LOOKALIKE_CORES": "2"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert ended.returncode == 0, ended.stderr
        assert json.loads(ended.stdout)["added"] == 3
        assert ("the workers took" in ended.stderr) == bool(more)
        assert SECRET not in ended.stdout + ended.stderr
    with Gallery.open(gallery=tmp_path / "here") as here, Gallery.open(gallery=tmp_path / "there") as there:
        assert list(here.records()) == list(there.records())
        assert (here.vectors() == there.vectors()).all()
