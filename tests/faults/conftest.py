"""A program whose calls fail when a test says so."""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

HERE = Path(__file__).parent

ALL = 63
KINDS = {"full": errno.ENOSPC, "broken": errno.EIO, "killed": -signal.SIGKILL}


class Done(NamedTuple):
    """What became of a run: its exit code (negative: killed by a signal), what it said, the calls it made."""

    code: int
    out: str
    err: str
    counted: int


class Program:
    """Runs commands in whose folder the n-th call that changes a file fails."""

    def __init__(self, library, scratch):
        self._counted = scratch / "counted"
        self._process = subprocess.Popen(
            [sys.executable, HERE / "worker.py"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ
            | {"LD_PRELOAD": str(library), "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
        )

    def run(self, folder, *words, at=0, kind="killed", calls=ALL, lasting=False, coded=5_000, add=None):
        """Run a command in a folder; the `at`-th of its calls fails, or none."""
        self._counted.write_text("0")
        job = {
            "cwd": str(folder),
            "folder": str(folder),
            "words": words,
            "fault": [calls, at, KINDS[kind], int(lasting)],
            "coded": coded,
            "counted": str(self._counted),
        } | ({"add": add} if add else {})
        self._process.stdin.write(json.dumps(job) + "\n")
        self._process.stdin.flush()
        result = json.loads(self._process.stdout.readline())
        assert "Traceback" not in result["err"], result["err"]
        assert "unexpected" not in result["err"], result["err"]
        return Done(result["code"], result["out"], result["err"], int(self._counted.read_text()))

    def close(self):
        """End it."""
        self._process.stdin.close()
        self._process.stdout.close()
        self._process.wait()


@pytest.fixture(scope="session")
def program(tmp_path_factory):
    """A `Program`. It needs Linux and a C compiler; continuous integration must have one."""
    if sys.platform != "linux":
        pytest.skip("faults are injected by a library that Linux preloads")
    if shutil.which("cc") is None:
        (pytest.fail if os.environ.get("CI") else pytest.skip)("faults need a C compiler: apt install gcc")
    scratch = tmp_path_factory.mktemp("faults")
    library = scratch / "faults.so"
    subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", library, HERE / "faults.c", "-ldl"], check=True)
    made = Program(library, scratch)
    yield made
    made.close()
