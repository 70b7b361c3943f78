"""How fast a search answers, and whether it finds what an exact one finds.

    python benches/search.py [--rows 100000 1000000] [--metrics cosine euclidean]

The vectors are those of 8,000 pieces of real clip art; larger galleries are convex mixtures of two of
them plus noise of .01, seeded. A search is one query from Python to finished hits, on one thread; the
baseline is numpy's exact float32 product with every vector, on one thread, in turn with it. Everything is
kept in .demo/bench and made only once.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

# One core for both sides: set before any library makes its threads.
for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_name] = "1"

import numpy as np
from setting import DATA, figure, median_seconds, pictures, seconds

from lookalike import Gallery, extractor
from lookalike.stores import open_store
from lookalike.types import Header, Metric, Record, Space

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lookalike.types import Floats, Store

BATCH = 4096
QUERIES = 200
BLOCK = 50
K = 10

OPEN = """
import sys, time
start = time.perf_counter()
from lookalike import Gallery
gallery = Gallery.open(gallery=sys.argv[1], create=False)
len(gallery)
opened = time.perf_counter() - start
import numpy as np
queries = np.load(sys.argv[2])
for query in queries: gallery.search(query, 10)
lines = open("/proc/self/smaps_rollup").read().splitlines()
print(opened, next(int(line.split()[1]) for line in lines if line.startswith("Anonymous:")) / 1000)
"""


def first_words() -> None:
    """How long the program takes to say what it can do."""
    program = str(Path(sys.executable).with_name("lookalike"))
    said = median_seconds(lambda: subprocess.run([program, "--help"], capture_output=True, check=True), 9)
    bare = median_seconds(lambda: subprocess.run([sys.executable, "-c", "import click"], check=True), 9)
    baseline = f"{bare:.2f} s, Python importing click"
    figure("`lookalike --help`, a new process", f"{said:.2f} s", baseline, f"{said / bare:.2f}", "≤ .2 s")


def main() -> None:
    """Measure real vectors, and mixtures of them."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, nargs="*", default=[100_000, 1_000_000])
    parser.add_argument("--metrics", nargs="*", default=["cosine", "euclidean"])
    wishes = parser.parse_args()
    first_words()
    real = real_vectors()
    for metric in wishes.metrics:
        for rows in (len(real), *wishes.rows):
            blocks = iter([real]) if rows == len(real) else mixtures(real, rows)
            place = make(DATA / "search" / f"{metric}-{rows}", blocks, metric)
            measure(place, metric, rows, "real" if rows == len(real) else "mixtures")


def real_vectors() -> Floats:
    """The default vectors of the clip art, ndarray of shape (n, 1280)."""
    clipart = pictures.clipart(DATA / "clipart")
    with Gallery.open(clipart, gallery=DATA / "clipart-gallery", precision="f32") as gallery:
        gallery.add()
        return gallery.vectors()


def mixtures(real: Floats, count: int, alike: int | None = None) -> Iterator[Floats]:
    """Convex mixtures of two real vectors plus noise, unit length: (m, dim) at a time, count in all.

    Args:
        real: unit vectors (n, dim).
        count: how many mixtures.
        alike: the second is one of so many that are nearest to the first; default any.
    """
    rng = np.random.default_rng(count)
    nearest = None if alike is None else np.argpartition(-(real @ real.T), alike, axis=1)[:, : alike + 1]
    for start in range(0, count, BATCH):
        m = min(BATCH, count - start)
        first, second = (rng.integers(0, len(real), m) for _ in range(2))
        if nearest is not None:
            second = nearest[first, second % nearest.shape[1]]
        one, other = real[first], real[second]
        share = rng.random((m, 1), np.float32)
        mixed = share * one + (1 - share) * other
        mixed += 0.01 * rng.standard_normal(mixed.shape, np.float32)
        yield mixed / np.linalg.norm(mixed, axis=1, keepdims=True)


def make(place: Path, blocks: Iterator[Floats], metric: Metric) -> Path:
    """A gallery of these vectors, written through the store; 20 class scores and two fields a picture."""
    if place.exists():
        return place
    unfinished = place.with_suffix(".part")
    model = extractor("efficientnet-lite0", precision="f32")
    space = Space(model.name, model.digest, 1280, metric, "f32", normalized=True, row_type="float16")
    store = open_store(str(unfinished), create=Header(space, str(place)))
    with store.writing():
        for block in blocks:
            write(store, block)
        store.refresh()
    store.close()
    return unfinished.rename(place)


def write(store: Store, block: Floats) -> None:
    """Append vectors under numbered names."""
    first = store.count()
    records = [
        Record(f"{i % 100:02}/{i:08}.jpg", "walk", 1, 1, i.to_bytes(16, "big"), 640, 480, {"shelf": i % 50})
        for i in range(first, first + len(block))
    ]
    store.write(records, block)


def measure(place: Path, metric: Metric, rows: int, kind: str) -> None:
    """Speed, recall, opening and memory of one gallery."""
    what = f"{rows:,} × 1,280, {metric}, {kind}"
    with Gallery.open(gallery=place, create=False) as gallery:
        exact = np.empty((rows, 1280), np.float32)
        start, ids = 0, []
        for batch in gallery.store.scan():
            exact[start : start + len(batch.records)] = batch.vectors
            ids += [record.id for record in batch.records]
            start += len(batch.records)
        chosen = np.random.default_rng(1).integers(0, rows, QUERIES)
        queries = exact[chosen]
        speed(gallery, exact, queries, what)
        recall(gallery, exact, [ids[i] for i in chosen], chosen, what)
    del exact
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "queries.npy"
        np.save(file, queries[:50])
        command = [sys.executable, "-c", OPEN, str(place), str(file)]
        runs = [subprocess.run(command, capture_output=True, text=True, check=True) for _ in range(3)]
    opened, memory = (statistics.median(float(run.stdout.split()[i]) for run in runs) for i in (0, 1))
    million = rows == 1_000_000
    figure(f"open, {what}", f"{opened:.2f} s", "", "", "≤ .3 s" if million else "")
    figure(f"memory of 50 searches, {what}", f"{memory:.0f} MB", "", "", "≤ 600 MB" if million else "")
    command = [
        sys.executable,
        "-m",
        "lookalike",
        "search",
        str(photograph()),
        "--gallery",
        str(place),
        "--json",
    ]
    process = median_seconds(lambda: subprocess.run(command, capture_output=True, check=True))
    wanted = "≤ .8 s" if rows == 100_000 else ""
    figure(f"`lookalike search q.jpg`, a new process, {what}", f"{process:.2f} s", "", "", wanted)


def photograph() -> Path:
    """A JPEG that is in no gallery."""
    return pictures.photographs(DATA / "photographs") / "rocket.jpg"


def speed(gallery: Gallery, exact: Floats, queries: Floats, what: str) -> None:
    """Blocks of searches in turn with blocks of exact products; the first round only warms up."""
    for _ in range(2):
        searches: list[float] = []
        products: list[float] = []
        for block in np.split(queries, QUERIES // BLOCK):
            searches += (seconds(partial(gallery.search, query, K)) for query in block)
            products += (seconds(partial(np.dot, exact, query)) for query in block[: BLOCK // 5])
    search, product = (1000 * statistics.median(times) for times in (searches, products))
    baseline = f"{product:.1f} ms, exact product"
    goal = "≤ 1/8" if len(exact) >= 100_000 else ""
    figure(f"search, {what}", f"{search:.2f} ms", baseline, f"1/{product / search:.1f}", goal)


def recall(gallery: Gallery, exact: Floats, ids: list[str], chosen: np.ndarray, what: str) -> None:
    """How many of the ten nearest are found. Pictures that tie with the tenth are as right as it."""
    shares = []
    for id_, row in zip(ids, chosen.tolist(), strict=True):
        scores = exact @ exact[row]
        scores[row] = -np.inf
        tenth = np.partition(scores, -K)[-K]
        found = gallery.vectors([hit.id for hit in gallery.search(f"id:{id_}", K)])
        shares.append(float((found @ exact[row] >= tenth - 1e-6).mean()))
    figure(f"recall@10, {what}", f"{np.mean(shares):.4f}", "1, exact", f"{np.mean(shares):.4f}", "≥ .995")


if __name__ == "__main__":
    main()
