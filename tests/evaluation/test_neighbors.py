"""Neighbours of every picture: of a gallery, as a file, and on the command line."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys

import numpy as np
import pytest

from lookalike import Gallery
from lookalike.errors import FilterError, UsageError
from lookalike.evaluation.neighbors import neighbors, write
from lookalike.stores import open_store
from lookalike.testing import ToyExtractor
from lookalike.types import Header, Record, Space

TOY = ToyExtractor(grid=2)


@pytest.fixture
def make(tmp_path):
    """Makes a gallery of vectors (n, 12), each with the fields given for it."""
    opened = []

    def made(vectors, fields=None, *, metric="cosine", ids=None):
        folder = tmp_path / f"pictures-{len(opened)}"
        space = Space(TOY.name, TOY.digest, 12, metric, "f32", normalized=False, row_type="float32")
        store = open_store(str(folder / ".lookalike" / "default"), create=Header(space, ""))
        ids = ids or [f"{i:04}.jpg" for i in range(len(vectors))]
        fields = fields or [{}] * len(vectors)
        records = [
            Record(id_, "walk", 1, 1, i.to_bytes(16, "big"), 8, 8, own)
            for i, (id_, own) in enumerate(zip(ids, fields, strict=True))
        ]
        store.write(records, vectors.astype(np.float32))
        store.close()
        opened.append(Gallery.open(folder))
        return opened[-1]

    yield made
    for gallery in opened:
        gallery.close()


def random(n, seed=0):
    return np.random.default_rng(seed).normal(size=(n, 12)).astype(np.float32)


def as_searched(gallery, k, **options):
    """What a search by each picture's id answers."""
    ids = [record.id for record in gallery.records(options.get("where"))]
    answers = gallery.search([f"id:{id_}" for id_ in ids], k, exact=True, **options)
    return [
        (id_, [(h.id, h.score, h.distance) for h in hits]) for id_, hits in zip(ids, answers, strict=True)
    ]


def same(found, expected):
    assert [(id_, [n.id for n in own]) for id_, own in found] == [
        (id_, [hit[0] for hit in hits]) for id_, hits in expected
    ]
    for (_, own), (_, hits) in zip(found, expected, strict=True):
        assert [n.score for n in own] == pytest.approx([hit[1] for hit in hits], abs=1e-6)
        assert [n.distance for n in own] == pytest.approx([hit[2] for hit in hits], abs=1e-6)


@pytest.mark.parametrize("metric", ["cosine", "euclidean", "inner", "chebyshev"])
def test_as_a_search_for_each(make, metric):
    """Ids, scores and distances are those of a search by each picture's id."""
    gallery = make(random(120), metric=metric)
    same(list(neighbors(gallery, 4)), as_searched(gallery, 4))


def test_equal_vectors_tie_by_id(make):
    """Pictures of equal vectors are each other's neighbours at distance 0, the first ids first."""
    vectors = random(40)
    vectors[[5, 11, 23, 31]] = vectors[2]
    gallery = make(vectors, metric="euclidean")
    found = dict(neighbors(gallery, 3))
    assert [n.id for n in found["0002.jpg"]] == ["0005.jpg", "0011.jpg", "0023.jpg"]
    assert [n.id for n in found["0011.jpg"]] == ["0002.jpg", "0005.jpg", "0023.jpg"]
    assert [n.distance for n in found["0011.jpg"]] == [0, 0, 0]
    same(list(neighbors(gallery, 6)), as_searched(gallery, 6))


def test_a_filter_holds_on_both_sides(make):
    """With a filter neither pictures nor neighbours are any that do not pass."""
    gallery = make(random(60), [{"shelf": i % 3} for i in range(60)])
    found = list(neighbors(gallery, 2, where={"shelf": 1}))
    assert [id_ for id_, _ in found] == [f"{i:04}.jpg" for i in range(1, 60, 3)]
    same(found, as_searched(gallery, 2, where={"shelf": 1}))


@pytest.mark.parametrize("products", [40, 3])
def test_distinct_products(make, products):
    """Of each product only the best picture stands in an answer, and none of the picture's own."""
    vectors = random(120, seed=products)
    vectors[7] = vectors[8] = vectors[50]
    fields = [{"product": f"p{i % products}"} if i % 10 else {} for i in range(120)]
    gallery = make(vectors, fields)
    same(list(neighbors(gallery, 3, distinct="product")), as_searched(gallery, 3, distinct="product"))


def test_unique_files(make):
    """With unique, files of one content count as one picture."""
    gallery = make(random(50))
    same(list(neighbors(gallery, 3, unique=True)), as_searched(gallery, 3, unique=True))


def test_what_can_not_be_meant_is_said_at_once(make):
    """A wrong k, field or filter is refused before anything is read."""
    gallery = make(random(5))
    with pytest.raises(UsageError, match="k is 0"):
        neighbors(gallery, 0)
    with pytest.raises(FilterError, match="no field 'product'"):
        neighbors(gallery, distinct="product")
    with pytest.raises(FilterError, match="no field shelf"):
        neighbors(gallery, where={"shelf": 1})


def test_files_hold_a_row_a_neighbour(make, tmp_path):
    """CSV, JSON lines and Parquet have the same columns and values."""
    parquet = pytest.importorskip("pyarrow.parquet")
    gallery = make(random(20), ids=[f'pic "{i:02}", ü.jpg' for i in range(20)])
    expected = [
        {"id": id_, "rank": rank, "neighbor": n.id, "score": n.score, "distance": n.distance}
        for id_, own in neighbors(gallery)
        for rank, n in enumerate(own, start=1)
    ]
    files = [tmp_path / f"similar{ending}" for ending in (".csv", ".jsonl", ".parquet")]
    for file in files:
        assert write(file, neighbors(gallery)) == 60
    with files[0].open(newline="", encoding="utf-8") as lines:
        rows = [
            {**r, "rank": int(r["rank"]), "score": float(r["score"]), "distance": float(r["distance"])}
            for r in csv.DictReader(lines)
        ]
    assert [{**row, "score": 0, "distance": 0} for row in rows] == [
        {**row, "score": 0, "distance": 0} for row in expected
    ]
    assert [row["score"] for row in rows] == pytest.approx([row["score"] for row in expected], rel=1e-6)
    assert [json.loads(line) for line in files[1].read_text().splitlines()] == expected
    assert parquet.read_table(files[2]).to_pylist() == expected


def test_a_file_is_whole_or_not_there(make, tmp_path):
    """A failure on the way leaves the file as it was, and nothing beside it."""
    file = tmp_path / "similar.csv"
    file.write_text("old")

    def broken():
        yield from list(neighbors(make(random(5))))[:2]
        raise RuntimeError

    with pytest.raises(RuntimeError):
        write(file, broken())
    assert file.read_text() == "old"
    assert [f.name for f in tmp_path.iterdir() if f.is_file()] == ["similar.csv"]
    with pytest.raises(UsageError, match=r"use \.csv, \.jsonl or \.parquet"):
        write(tmp_path / "similar.xlsx", [])
    with pytest.raises(UsageError, match="no folder"):
        write(tmp_path / "no" / "similar.csv", [])


def run(*words, **environment):
    command = [sys.executable, "-m", "lookalike", "neighbors", *map(str, words)]
    return subprocess.run(
        command,
        capture_output=True,
        encoding="utf-8",
        env={**os.environ, **environment},
        check=False,
        timeout=120,
    )


def test_the_command(make, tmp_path):
    """The command writes a file, prints a table or JSON, and finds the folder's own gallery."""
    gallery, other = make(random(10)), make(random(4, seed=1))
    file = tmp_path / "similar.csv"
    done = run(gallery.root, "-k", 2, "--out", file, LOOKALIKE_GALLERY=other.address)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"20 neighbors written to {file}\n"
    assert file.read_text().splitlines()[0] == "id,rank,neighbor,score,distance"
    table = run(gallery.root, "-k", 1).stdout.splitlines()
    assert table[0].split() == ["score", "picture", "neighbor"]
    assert len(table) == 11
    content = json.loads(run("--gallery", gallery.address, "-k", 1, "--json").stdout)
    assert content["metric"] == "cosine"
    first = next(neighbors(gallery, 1))
    assert content["pictures"][0]["id"] == first[0]
    assert content["pictures"][0]["neighbors"][0] == {"rank": 1, **first[1][0]._asdict()}
    refused = run(gallery.root, "--out", tmp_path / "similar.txt")
    assert refused.returncode == 2
    assert "can't be written to a name with the ending" in refused.stderr
