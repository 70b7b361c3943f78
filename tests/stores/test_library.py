"""The embedded store beside TensorFlow, which brings a SQLite of its own."""

from __future__ import annotations

import subprocess
import sys

import pytest

SCRIPT = """
import sys
import tensorflow
{after}
import numpy as np
from lookalike import Gallery, StoreUnavailable
try:
    with Gallery.open(sys.argv[1]) as gallery:
        gallery.add_vectors((["a", "b"], np.eye(2)))
        gallery.update({{"a": {{"title": "two words"}}}})
        print([hit.id for hit in gallery.find("words")])
except StoreUnavailable as error:
    print(error)
"""


@pytest.mark.parametrize(
    ("after", "said"),
    [
        ("", "['a']"),
        ("import sqlite3", "import sqlite3` above the import of keras"),
    ],
)
def test_beside_tensorflow(tmp_path, after, said):
    """A gallery works when TensorFlow was imported first; where it can't, the message says what to do."""
    pytest.importorskip("tensorflow", reason="the extra keras is not installed")
    code = SCRIPT.format(after=after)
    command = [sys.executable, "-c", code, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    assert said in done.stdout
