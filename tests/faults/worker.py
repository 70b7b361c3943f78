"""Runs command lines, each in a fork of its own in which calls fail as they are told to.

Started with `faults.so` preloaded. A job is a line of JSON on standard input, its
result one on standard output.
"""

from __future__ import annotations

import ctypes
import json
import os
import sys
import tempfile
from pathlib import Path

import faiss  # noqa: F401 - what a command would load is loaded once
import numpy.fft  # noqa: F401
import PIL.BmpImagePlugin  # noqa: F401

import lookalike.indexing.update
import lookalike.indexing.vectors
import lookalike.sources.fetch
import lookalike.stores.sqlite.checking
import lookalike.stores.sqlite.replacing
import lookalike.stores.sqlite.searching
import lookalike.testing
import lookalike.views.pages  # noqa: F401
from lookalike import Gallery
from lookalike.cli import run
from lookalike.stores import sqlite

FAULTS = ctypes.CDLL(None)


def add(folder: str, acknowledged: str) -> int:
    """Index a folder, and keep how many pictures it was told are safe."""
    with Gallery.open(folder, model="toy") as gallery:
        before = len(gallery)

        def tell(progress):
            Path(acknowledged).write_text(str(before + progress.done - progress.skipped))

        gallery.add(progress=tell)
    return 0


def _child(job, streams):
    for number, stream in enumerate(streams, start=1):
        os.dup2(stream.fileno(), number)
    os.chdir(job["cwd"])
    sqlite.SqliteStore.__init__.__kwdefaults__["coded"] = job["coded"]
    fault = job["fault"]
    # The folder, the kinds of calls, which of them, what becomes of it, and whether that lasts.
    FAULTS.faults_arm(os.fsencode(job["folder"]), fault[0], ctypes.c_long(fault[1]), *fault[2:])
    try:
        code = add(*job["add"]) if "add" in job else run(job["words"])
    finally:
        FAULTS.faults_counted.restype = ctypes.c_long
        counted = FAULTS.faults_counted()
        FAULTS.faults_arm(b"", 0, ctypes.c_long(0), 0, 0)
    sys.stdout.flush()
    Path(job["counted"]).write_text(str(counted))
    os._exit(code)


def _run(job):
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        child = os.fork()
        if child == 0:
            try:
                _child(job, (out, err))
            except BaseException as error:  # noqa: BLE001 - told, and the child ends
                os.write(2, f"Traceback: {error!r}".encode())
                os._exit(99)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        said = []
        for stream in (out, err):
            stream.seek(0)
            said.append(stream.read().decode())
    return {"code": status, "out": said[0], "err": said[1]}


for line in sys.stdin:
    sys.stdout.write(json.dumps(_run(json.loads(line))) + "\n")
    sys.stdout.flush()
