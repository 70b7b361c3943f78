"""The real program, run in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

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
