"""How fast the most similar pictures are found for every picture, and whether they are the right ones.

    python benches/neighbors.py [--rows 18322] [--dim 4096] [--wide]

The baseline is scikit-learn's NearestNeighbors by brute force on the same float32 vectors in memory, in
turn with ours, each a process with all cores; ours opens the gallery, reads it and writes a CSV file.
The vectors are those of real clip art lifted to --dim numbers by a seeded random matrix and ReLU, as a
wide layer has them, of which convex mixtures of two plus noise of .01 make as many as are wanted, at
unit length. --wide measures the stamps by a layer of many numbers instead. Galleries are kept in
.demo/bench and made only once.
"""

from __future__ import annotations

import argparse
import csv
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from setting import DATA, figure, pictures

from lookalike import Gallery, extractor
from lookalike.stores import open_store
from lookalike.types import Header, Space
from search import mixtures, real_vectors, write

if TYPE_CHECKING:
    from lookalike.types import Floats

K = 3
LAYER = "efficientnet-lite0@features"
WIDE = "efficientnet-lite0@block2a"

OURS = """
import resource, sys, time
started = time.perf_counter()
from pathlib import Path
from lookalike import Gallery
from lookalike.evaluation.neighbors import neighbors, write
with Gallery.open(gallery=sys.argv[1], create=False) as gallery:
    write(Path(sys.argv[2]), neighbors(gallery, int(sys.argv[3])))
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000
print(time.perf_counter() - started, peak)
"""

THEIRS = """
import sys, time
import numpy as np
from sklearn.neighbors import NearestNeighbors
vectors = np.load(sys.argv[1])
started = time.perf_counter()
engine = NearestNeighbors(algorithm="brute", metric="euclidean").fit(vectors)
distances, keys = engine.kneighbors(vectors, int(sys.argv[3]) + 1)
print(time.perf_counter() - started)
np.savez(sys.argv[2], distances=distances, keys=keys)
"""

ALL_CORES = {name: value for name, value in os.environ.items() if not name.endswith("_NUM_THREADS")}
"""The surroundings of the processes: `search` allows this one a single thread."""


def main() -> None:
    """Measure one gallery."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=18_322)
    parser.add_argument("--dim", type=int, default=4096)
    parser.add_argument("--wide", action="store_true")
    parser.add_argument("--runs", type=int, default=1)
    wishes = parser.parse_args()
    place = wide() if wishes.wide else lifted(wishes.rows, wishes.dim)
    measure(place, wishes.runs, "" if wishes.wide else "≤ 1/3")


def lifted(rows: int, dim: int) -> Path:
    """A gallery of mixtures of lifted clip art."""
    place = DATA / "neighbors" / f"{rows}-{dim}"
    if place.exists():
        return place
    real = real_vectors()
    matrix = np.random.default_rng(dim).standard_normal((real.shape[1], dim), np.float32)
    high = np.maximum(real @ matrix, 0)  # (n, dim)
    high /= np.linalg.norm(high, axis=1, keepdims=True)
    unfinished = place.with_suffix(".part")
    model = extractor(LAYER, precision="f32")
    space = Space(model.name, model.digest, dim, "euclidean", "f32", normalized=True, row_type="float16")
    store = open_store(str(unfinished), create=Header(space, str(place)))
    with store.writing():
        for block in mixtures(high, rows):
            write(store, block)
    store.close()
    return unfinished.rename(place)


def wide() -> Path:
    """A gallery of the stamps by a wide layer."""
    place = DATA / "neighbors" / "stamps-wide"
    stamps = pictures.stamps(DATA / "stamps")
    with Gallery.open(stamps, gallery=place, model=WIDE, metric="euclidean", precision="f32") as gallery:
        gallery.add()
    return place


def measure(place: Path, runs: int, wanted: str) -> None:
    """Ours and scikit-learn's in turn: time, recall, memory; wanted is of the time."""
    with Gallery.open(gallery=place, create=False) as gallery:
        vectors = gallery.vectors()
        ids = [record.id for record in gallery.records()]
    what = f"neighbors -k {K}, {len(vectors):,} × {vectors.shape[1]:,}"
    times: list[tuple[float, float]] = []
    for _ in range(runs):
        own, peak, answers = ours(place)
        other, truth = theirs(vectors)
        times.append((own, other))
    spent, baseline = map(float, np.median(times, axis=0))
    ratio = f"1/{baseline / spent:.1f}"
    figure(what, f"{spent:.1f} s", f"{baseline:.1f} s, scikit-learn", ratio, wanted)
    recall, apart = compared(answers, truth, ids)
    figure(f"{what}: recall@{K}", f"{recall:.5f}", "1, scikit-learn", "", "≥ .999")
    figure(f"{what}: largest difference of distances", f"{apart:.1e}", "scikit-learn", "", "≤ 1e-5")
    figure(f"{what}: peak memory", f"{peak:.0f} MB", "", "", "≤ 1,500 MB")


def ours(place: Path) -> tuple[float, float, dict[str, list[tuple[str, float]]]]:
    """Seconds, MB and answers of a process that writes a CSV file."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "similar.csv"
        command = [sys.executable, "-c", OURS, str(place), str(file), str(K)]
        done = subprocess.run(command, capture_output=True, text=True, check=True, env=ALL_CORES)
        found: dict[str, list[tuple[str, float]]] = {}
        with file.open(newline="", encoding="utf-8") as lines:
            for row in csv.DictReader(lines):
                found.setdefault(row["id"], []).append((row["neighbor"], float(row["distance"])))
    spent, peak = map(float, done.stdout.split())
    return spent, peak, found


def theirs(vectors: Floats) -> tuple[float, dict[str, Any]]:
    """Seconds, and what scikit-learn finds: itself and K others."""
    with tempfile.TemporaryDirectory() as folder:
        given, found = Path(folder) / "vectors.npy", Path(folder) / "found.npz"
        np.save(given, vectors)
        command = [sys.executable, "-c", THEIRS, str(given), str(found), str(K)]
        done = subprocess.run(command, capture_output=True, text=True, check=True, env=ALL_CORES)
        with np.load(found) as arrays:
            return float(done.stdout), dict(arrays)


def compared(
    found: dict[str, list[tuple[str, float]]], truth: dict[str, Any], ids: list[str]
) -> tuple[float, float]:
    """The share of neighbours no farther than the true last; the largest difference of a distance."""
    hits, apart = 0, 0.0
    for i, id_ in enumerate(ids):
        pairs = zip(truth["keys"][i].tolist(), truth["distances"][i].tolist(), strict=True)
        true = {ids[key]: distance for key, distance in pairs if key != i}
        last = sorted(true.values())[K - 1]
        for other, distance in found[id_]:
            # One that ties with the last is as right as it.
            hits += distance <= last + 1e-5
            if other in true:
                apart = max(apart, abs(distance - true[other]))
    return hits / (K * len(ids)), apart


if __name__ == "__main__":
    main()
