"""Galleries that chance made wrong: whatever is in the file, it is an error in words or an answer."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

COUNT = int(os.environ.get("LOOKALIKE_MUTATIONS", "60"))
"""How many are made; `make test-mutations` makes 2,000."""

FIRST = int(os.environ.get("LOOKALIKE_FIRST_MUTATION", "0"))
"""The number of the first, so that one at fault can be seen again."""

PROGRAM = Path(__file__).with_name("ask_mutations.py")


def test_mutated_galleries(tmp_path):
    """None is a foreign error, takes 5 s or endless memory, touches a file outside, or opens a connection."""
    arguments = [sys.executable, str(PROGRAM), str(tmp_path), str(FIRST), str(COUNT)]
    done = subprocess.run(arguments, capture_output=True, text=True, check=False)
    told = [json.loads(line) for line in done.stdout.splitlines()]
    assert [line for line in told if line["wrong"]] == []
    assert len(told) == COUNT, (
        f"number {FIRST + len(told)} ended the process: {done.returncode} {done.stderr}"
    )
    errors = sum((Counter(line["errors"]) for line in told), Counter())
    assert errors["StoreCorrupt"] > COUNT  # the mutations do harm
