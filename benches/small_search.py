"""How many searches small galleries answer, asked by one caller and by eight at once.

    python benches/small_search.py [--rows 800 4900] [--callers 1 8] [--against SRC]

A search is one vector from Python to finished hits; the callers are threads of one process, with as many
threads of BLAS as there are cores. The baseline is numpy's exact product with every row, by the same
callers, or with --against the package in another folder, in turn with this one. Galleries are kept in
.demo/bench.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
from pathlib import Path

ASK = """
import sys, threading, time
import numpy as np
from lookalike import Gallery
place, callers, spent = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
gallery = Gallery.open(gallery=place, create=False)
rows = gallery.vectors()
queries = rows[:: max(1, len(rows) // 50)]
def product(query):
    scores = rows @ query
    return np.sort(np.argpartition(-scores, 10)[:10])
def ask(search):
    counts = [0] * callers
    search(queries[0]), search(queries[1])
    end = time.perf_counter() + spent
    def work(caller):
        while time.perf_counter() < end:
            search(queries[(counts[caller] + caller) % len(queries)])
            counts[caller] += 1
    threads = [threading.Thread(target=work, args=(i,)) for i in range(callers)]
    [one.start() for one in threads]
    [one.join() for one in threads]
    return sum(counts) / spent
print(ask(lambda query: gallery.search(query, 10)), ask(product))
"""


def main() -> None:
    """Measure galleries of each size."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, nargs="*", default=[800, 4_900])
    parser.add_argument("--callers", type=int, nargs="*", default=[1, 8])
    parser.add_argument("--against", type=Path)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=2)
    wishes = parser.parse_args()
    # Imported late: it allows this process a single thread of BLAS, not those it starts.
    cores = {name: value for name, value in os.environ.items() if not name.endswith("_NUM_THREADS")}
    from setting import DATA, figure

    from search import make, mixtures, real_vectors

    def asked(place: Path, callers: int, source: Path | None) -> tuple[float, float]:
        path = cores if source is None else {**cores, "PYTHONPATH": str(source)}
        command = [sys.executable, "-c", ASK, str(place), str(callers), str(wishes.seconds)]
        done = subprocess.run(command, env=path, capture_output=True, text=True, check=True)
        ours, numpy = map(float, done.stdout.split())
        return ours, numpy

    for rows in wishes.rows:
        place = DATA / "search" / f"cosine-{rows}"
        if not place.exists():
            make(place, mixtures(real_vectors(), rows), "cosine")
        for callers in wishes.callers:
            ours, theirs = [], []
            for _ in range(wishes.runs):
                own, baseline = asked(place, callers, None)
                if wishes.against is not None:
                    baseline = asked(place, callers, wishes.against)[0]
                ours.append(own)
                theirs.append(baseline)
            here, there = statistics.median(ours), statistics.median(theirs)
            name = "numpy's product" if wishes.against is None else str(wishes.against)
            what = f"exact searches of {rows:,} rows, {callers} callers"
            figure(what, f"{here:.0f}/s", f"{there:.0f}/s, {name}", f"{here / there:.1f}", "")


if __name__ == "__main__":
    main()
