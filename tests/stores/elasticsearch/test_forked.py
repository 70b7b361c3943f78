"""A gallery in a cluster, used in a process that was forked after it was used."""

from __future__ import annotations

import subprocess
import sys

CODE = """
import multiprocessing, sys, threading
import numpy as np
from lookalike import Gallery

gallery = Gallery.open(gallery=sys.argv[1], model="toy")
red = np.full((8, 8, 3), (250, 10, 10), np.uint8)
gallery.add([("red", red), ("blue", np.full((8, 8, 3), (10, 10, 250), np.uint8))])
fork = multiprocessing.get_context("fork")

def asked():
    return [hit.id for hit in gallery.search(red, 2)]

def in_child(work):
    results = fork.Queue()
    child = fork.Process(target=lambda: results.put(work()))
    child.start()
    result = results.get(timeout=60)
    child.join(60)
    assert child.exitcode == 0
    return result

before = asked()
assert before == ["red", "blue"]
done, wrong = threading.Event(), []

def ask_on():
    while not done.is_set():
        if asked() != before:
            wrong.append(1)

thread = threading.Thread(target=ask_on)
thread.start()
for _ in range(3):
    assert in_child(asked) == before
done.set()
thread.join()
assert not wrong
assert in_child(lambda: gallery.update({"red": {"lot": 7}})) == 1
assert next(gallery.records({"lot": 7})).id == "red"
assert asked() == before
"""


def test_child_and_parent_ask_and_write(elasticsearch_address):
    """A child makes connections and threads of its own; the parent's go on meanwhile."""
    done = subprocess.run(
        [sys.executable, "-c", CODE, elasticsearch_address],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
