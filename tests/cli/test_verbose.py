"""`--verbose`: what is done, how long it takes, and by codes or exactly."""

from __future__ import annotations

import re

import numpy as np

from lookalike import Gallery
from lookalike.cli import run
from lookalike.system import tracing


def test_a_search_says_what_it_does(gallery_folder, capsys):
    """Gallery, query, model, number compared and the way of it are told on standard error, with times."""
    assert run(["search", "id:n7", "--gallery", str(gallery_folder), "-v"]) == 0
    done = capsys.readouterr()
    said = re.sub(r"[\d.]+ ms", "N ms", done.err).splitlines()
    assert said == [
        f"gallery {gallery_folder}/.lookalike/default: 30 pictures by vectors, cosine",
        "queries looked up and read: N ms",
        "vectors of 1 queries by vectors: N ms",
        "compared with 30 pictures: exact",
        "the best 11 of each by cosine: N ms",
    ]
    assert run(["search", "id:n7", "--gallery", str(gallery_folder)]) == 0
    assert capsys.readouterr() == (done.out, "")


def test_codes_are_named(tmp_path):
    """A large gallery is searched by codes, unless it is told not to."""
    chance = np.random.default_rng(0)
    kinds = chance.standard_normal((400, 256)).astype(np.float32)
    share = chance.random((6_000, 1), np.float32)
    one, other = kinds[chance.integers(0, 400, 6_000)], kinds[chance.integers(0, 400, 6_000)]
    vectors = (
        share * one + (1 - share) * other + 0.1 * chance.standard_normal((6_000, 256)).astype(np.float32)
    )
    with Gallery.open(tmp_path) as gallery:
        gallery.add_vectors(([f"n{i}" for i in range(len(vectors))], vectors))
        heard = []
        with tracing.listening(heard.append):
            gallery.search(vectors[0], k=3)
            gallery.search(vectors[0], k=3, exact=True)
        ways = [said for said in heard if said.startswith("compared")]
    assert ways == [
        "compared with 6,000 pictures: by codes, the best ones exactly",
        "compared with 6,000 pictures: exact",
    ]
    assert not tracing.heard()


def test_an_indexing_says_what_it_does(tmp_path, capsys):
    """The parts of an indexing are told with their times."""
    assert run(["index", str(tmp_path), "--model", "toy", "-v", "-q"]) == 0
    said = capsys.readouterr().err
    for part in ("folders looked through: ", "files read and described: ", "codes brought up to date: "):
        assert part in said
