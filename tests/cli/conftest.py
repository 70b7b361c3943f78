"""The real program, run in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from lookalike import Gallery

PROGRAM = Path(sys.executable).with_name("lookalike")


@pytest.fixture
def lookalike(tmp_path):
    """Run `lookalike WORDS` in a folder; what it printed and its exit code."""

    def run(*words, cwd=tmp_path, stdin=None, **environment):
        return subprocess.run(
            [PROGRAM, *map(str, words)],
            cwd=cwd,
            input=stdin,
            capture_output=True,
            encoding=None if isinstance(stdin, bytes) else "utf-8",
            env={**os.environ, **environment},
            timeout=120,
            check=False,
        )

    return run


@pytest.fixture
def gallery_folder(tmp_path):
    """A folder with a gallery of thirty vectors, `n0` and on."""
    with Gallery.open(tmp_path) as gallery:
        gallery.add_vectors(([f"n{i}" for i in range(30)], [[float(i), 1.0, 2.0] for i in range(30)]))
    return tmp_path
