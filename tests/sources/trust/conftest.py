"""A stranger's galleries, made by the library and then edited by hand; and servers that count who comes."""

from __future__ import annotations

import json
import os
import shutil
import socket
import sqlite3
import sys
import threading
from contextlib import closing, suppress

import numpy as np
import pytest
from PIL import Image

from lookalike import Gallery
from lookalike.sources import trust
from lookalike.stores import open_store
from lookalike.testing import ToyExtractor
from lookalike.types import Record

RED, BLUE = (250, 10, 10), (10, 10, 250)


def paint(path, colour=RED):
    """A picture of one colour."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (12, 8), colour).save(path, "PNG")
    return path


_opened = []
_hooked = []


@pytest.fixture
def read_files():
    """The real paths of all files that Python opens from now on, told by the interpreter itself."""
    if not _hooked:
        sys.addaudithook(_note)  # for as long as the process lives
        _hooked.append(True)
    _opened.clear()
    return _opened


def _note(event, arguments):
    reading = event == "open" and arguments[2] & os.O_ACCMODE == os.O_RDONLY
    if reading and isinstance(arguments[0], str | bytes):
        _opened.append(os.path.realpath(os.fsdecode(arguments[0])))


class Listener:
    """A server on this machine that takes every connection, counts it and hangs up."""

    def __init__(self):
        self.count = 0
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        with suppress(OSError):
            while True:
                connection, _ = self._socket.accept()
                self.count += 1
                connection.close()

    def close(self):
        """Take no more."""
        self._socket.close()


@pytest.fixture
def listener():
    """A server that counts its connections."""
    with closing(Listener()) as server:
        yield server


@pytest.fixture
def picture():
    """Paint a picture."""
    return paint


@pytest.fixture
def received(tmp_path):
    """A folder with two pictures and a gallery that came with it: nobody here made it."""
    folder = tmp_path / "received"
    paint(folder / "red.png", RED)
    paint(folder / "blue.png", BLUE)
    with Gallery.open(folder, model="toy") as gallery:
        gallery.add()
    trust.revoke(str(folder / ".lookalike" / "default"))
    return folder


@pytest.fixture
def edit():
    """Change a gallery's file with SQL, as its maker can."""

    def run(folder, statement, *values):
        file = folder / ".lookalike" / "default" / "gallery.sqlite"
        with closing(sqlite3.connect(file)) as connection, connection:
            connection.execute(statement, values)
        shutil.rmtree(file.parent / "cache", ignore_errors=True)

    return run


@pytest.fixture
def set_header(edit):
    """Change what a gallery says of itself."""

    def run(folder, **changes):
        file = folder / ".lookalike" / "default" / "gallery.sqlite"
        with closing(sqlite3.connect(file)) as connection:
            content = json.loads(connection.execute("SELECT content FROM header").fetchone()[0])
        edit(folder, "UPDATE header SET content = ?", json.dumps(content | changes))

    return run


@pytest.fixture
def plant():
    """Write pictures of any ids into a gallery, through the store."""

    def run(folder, *ids, source="file", address=None):
        with closing(open_store(address or folder / ".lookalike" / "default")) as store:
            toy = ToyExtractor()
            vector = toy.extract([toy.prepare(Image.new("RGB", (12, 8), RED))]).vectors
            records = [
                Record(id_, source, 10, 10, bytes([n]) * 16, 12, 8) for n, id_ in enumerate(ids, start=1)
            ]
            with store.writing():
                assert store.write(records, np.repeat(vector, len(ids), axis=0)) == []

    return run
