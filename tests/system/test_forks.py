"""Processes that are forked: child and parent both answer, whatever was used before and by which thread."""

from __future__ import annotations

import subprocess
import sys

import pytest
from PIL import Image

from lookalike import Gallery

FORKED = """
import multiprocessing, os, sys, threading
from lookalike import Gallery, errors
root, fork = sys.argv[1], multiprocessing.get_context("fork")

def in_child(work):
    results = fork.Queue()
    child = fork.Process(target=lambda: results.put(work()))
    child.start()
    result = results.get(timeout=60)
    child.join(60)
    assert child.exitcode == 0, child.exitcode
    return result
"""

SEARCHED = """
picture = open(root + "/red.png", "rb").read()

def answers(gallery):
    found = gallery.search(picture, k=3), gallery.find("red"), gallery.search("id:red.png", 2)
    return [[hit.id for hit in hits] for hits in found]

gallery = Gallery.open(root)
before = answers(gallery)
"""

MODELS = ("efficientnet-lite0", "toy")


@pytest.fixture(scope="module")
def roots(tmp_path_factory):
    """A folder of three pictures for each model, with its gallery."""
    made = {}
    for model in MODELS:
        made[model] = tmp_path_factory.mktemp(model)
        for name, colour in {"red": (250, 10, 10), "green": (10, 250, 10), "blue": (10, 10, 250)}.items():
            Image.new("RGB", (40, 30), colour).save(made[model] / f"{name}.png")
        with Gallery.open(made[model], model=model) as gallery:
            gallery.add()
    return made


def _run(code, root, *, first=SEARCHED):
    done = subprocess.run(
        [sys.executable, "-c", FORKED + first + code, str(root)],
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("model", MODELS)
def test_a_gallery_that_was_used_before_the_fork(roots, model):
    """Child and grandchild give the parent's answers, and the parent goes on."""
    code = """
assert in_child(lambda: answers(gallery)) == before
assert in_child(lambda: in_child(lambda: answers(gallery))) == before
assert answers(gallery) == before
"""
    _run(code, roots[model])


def test_a_pool_of_forked_processes(roots):
    """`multiprocessing.Pool` by fork, as a server that loads before it forks: each of them answers."""
    code = """
with fork.Pool(2) as pool:
    assert pool.map(lambda_free, range(6), chunksize=1) == [before] * 6
assert answers(gallery) == before
"""
    _run("def lambda_free(_):\n    return answers(gallery)\n" + code, roots["efficientnet-lite0"])


def test_a_child_ends_in_order(roots):
    """A child that takes its interpreter apart, as gunicorn's workers do, ends well."""
    code = """
for used in (False, True):
    child = os.fork()
    if child == 0:
        assert not used or answers(gallery) == before
        sys.exit(0)
    assert os.waitpid(child, 0)[1] == 0
"""
    _run(code, roots["efficientnet-lite0"])


def test_forked_while_other_threads_search(roots):
    """Threads search by picture and by words all the time; every child that is forked meanwhile answers."""
    code = """
done, wrong = threading.Event(), []
def search():
    while not done.is_set():
        if answers(gallery) != before:
            wrong.append(1)
threads = [threading.Thread(target=search) for _ in range(3)]
for thread in threads:
    thread.start()
for _ in range(6):
    assert in_child(lambda: answers(gallery)) == before
done.set()
for thread in threads:
    thread.join()
assert not wrong
"""
    _run(code, roots["efficientnet-lite0"])


def test_a_child_does_not_hold_the_right_to_write(roots):
    """Forked while its parent writes, a child is refused in words; its end leaves the parent's lock."""
    code = """
def add():
    try:
        gallery.update({"red.png": {"lot": 1}})
    except errors.StoreBusy as error:
        return str(error)

with gallery.store.writing():
    assert "is writing to the gallery" in in_child(add)
    assert "is writing to the gallery" in in_child(add)
    gallery.update({"red.png": {"lot": 2}})
assert in_child(add) is None
assert next(gallery.records({"name": "red.png"})).metadata["lot"] == 1
assert gallery.check() == []
"""
    _run(code, roots["toy"])


def test_forked_in_the_middle_of_reading(roots):
    """A child that was forked by a thread in the middle of a reading says what to do; the parent reads on."""
    code = """
def look():
    try:
        return answers(gallery)
    except errors.StoreUnavailable as error:
        return str(error)

records = gallery.records()
first = next(records)
said = in_child(look)
assert "was forked while the gallery" in said and "spawn" in said, said
assert len([first, *records]) == 3
assert in_child(look) == before
"""
    _run(code, roots["toy"])


def test_parent_and_child_write_in_turn(roots):
    """What the child wrote the parent sees, and the other way round; the log is shared as it should be."""
    code = """
for turn in range(5):
    in_child(lambda: gallery.update({"red.png": {"turn": turn}}))
    assert next(gallery.records({"name": "red.png"})).metadata["turn"] == turn
    gallery.update({"blue.png": {"turn": turn}})
    assert in_child(lambda: next(gallery.records({"name": "blue.png"})).metadata["turn"]) == turn
assert gallery.check() == []
"""
    _run(code, roots["toy"])


def test_a_child_outlives_its_parents_connections(roots):
    """The parent closes its gallery while the child still reads it; others write, and the child sees that."""
    code = """
ready, closed, results = fork.Event(), fork.Event(), fork.Queue()
def child():
    answers(gallery)
    ready.set()
    closed.wait(60)
    results.put(next(gallery.records({"name": "red.png"})).metadata["after"])
process = fork.Process(target=child)
process.start()
ready.wait(60)
gallery.close()
with Gallery.open(root) as other:
    other.update({"red.png": {"after": 7}})
closed.set()
assert results.get(timeout=60) == 7
"""
    _run(code, roots["toy"])


def test_a_network_without_a_name_is_kept(tmp_path):
    """An extractor that no name loads again works in a child, too; one whose file was changed says so."""
    code = """
import numpy as np
from lookalike import extractors
from lookalike.extractors import efficientnet
picture = np.zeros((224, 224, 3), np.uint8)
alone = efficientnet.load(extractors.Name.parse("efficientnet-lite0"))
assert alone.reload is None
vector = alone.extract([picture]).vectors
assert (in_child(lambda: alone.extract([picture]).vectors) == vector).all()
named = extractors.load("efficientnet-lite0@features")
named.extract([picture])
named.digest = "of another file"
def use():
    try:
        named.extract([picture])
    except errors.ModelError as error:
        return str(error)
assert "is not what it was when this process was forked" in in_child(use)
"""
    _run(code, tmp_path, first="")
