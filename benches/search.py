"""Search by the embedded store against numpy's exact product, on vectors of real pictures.

    python benches/search.py --vectors clipart.npz [--rows 100000 1000000] [--folder DIR]

The `.npz` holds `vectors` (n, dim): unit vectors of at least 6,000 real pictures, as `lookalike
export` writes them. They are searched as they are; larger galleries are convex mixtures of two of
them plus noise of .01, seeded. Each line is a ratio against a baseline of the same run.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

# One core for both sides: set before any library makes its threads.
for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_name] = "1"

import numpy as np  # noqa: E402 - reads the variables when it is loaded

from lookalike.stores import open_store  # noqa: E402
from lookalike.types import Header, Metric, Record  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from lookalike.types import Floats, Store

_BATCH = 4096
_REPEATS = 31
_QUERIES = 200
_K = 10

_NEW_PROCESS = """
import sys, time
start = time.perf_counter()
from lookalike.stores import open_store
store = open_store(sys.argv[1]); store.count(); opened = time.perf_counter() - start
import numpy as np
query = np.load(sys.argv[2]); store.search(query, 10); searched = time.perf_counter() - start
for _ in range(20): store.search(query, 10)
lines = open("/proc/self/smaps_rollup").read().splitlines()
anonymous = next(int(line.split()[1]) for line in lines if line.startswith("Anonymous:"))
print(opened, searched, anonymous / 1024)
"""


def mixtures(real: Floats, n: int, seed: int) -> Iterator[Floats]:
    """Convex mixtures of two real vectors plus noise, (m, dim) at a time, n in all."""
    rng = np.random.default_rng(seed)
    for start in range(0, n, _BATCH):
        m = min(_BATCH, n - start)
        share = rng.random((m, 1), np.float32)
        mixed = (
            share * real[rng.integers(0, len(real), m)] + (1 - share) * real[rng.integers(0, len(real), m)]
        )
        mixed += 0.01 * rng.standard_normal(mixed.shape, np.float32)
        yield mixed / np.linalg.norm(mixed, axis=1, keepdims=True)


def fill(folder: Path, blocks: Iterator[Floats], dim: int, metric: Metric) -> Store:
    """A gallery of vectors, made through the store."""
    header = Header("bench", "0" * 64, dim, metric, "f32", normalized=True, row_type="float16", root="")
    store = open_store(folder, create=header)
    start = time.perf_counter()
    with store.writing():
        row = store.count()
        for block in blocks:
            digests = (i.to_bytes(16, "big") for i in range(row, row + len(block)))
            store.write(
                [Record(f"{i:08}.jpg", "walk", 1, 1, d, 1, 1) for i, d in enumerate(digests, row)], block
            )
            row += len(block)
        store.refresh()
    seconds = time.perf_counter() - start
    size = store.bytes() / max(row, 1)
    print(f"  written: {row / seconds:,.0f} rows a second, {size:,.0f} bytes a row, codes included")
    return store


def median(call: Callable[[], object]) -> float:
    """Milliseconds."""
    call()
    times = []
    for _ in range(_REPEATS):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return 1000 * sorted(times)[len(times) // 2]


def measure(store: Store, exact: Floats | None, rng: np.random.Generator) -> None:
    """Speed against the exact product, recall against exact search."""
    ids = [state.id for state in store.states()]
    chosen = [ids[i] for i in rng.integers(0, len(ids), _QUERIES)]
    queries = store.vectors(chosen)
    turns = iter(range(10**9))
    search = median(lambda: store.search(queries[next(turns) % _QUERIES][None], _K))
    if exact is not None:
        product = median(lambda: exact @ queries[next(turns) % _QUERIES])
        ratio = product / search
        print(f"  exact product {product:.2f} ms, search {search:.2f} ms: 1/{ratio:.1f} (wanted 1/8)")
    else:
        print(f"  search {search:.2f} ms")
    found = store.search(queries, _K + 1)
    true = store.search(queries, _K + 1, exact=True)
    # Copies of one picture tie: any of them is right, so hits are told by their scores. The query
    # itself is the first hit on either side.
    hits = [(f.scores[1:] >= t.scores[-1] - 1e-6).mean() for f, t in zip(found, true, strict=True)]
    print(f"  recall@{_K} {np.mean(hits):.4f} over {_QUERIES} queries, themselves left out (wanted .995)")


def new_process(store: Store, query: Floats) -> None:
    """What a process pays that opens the gallery and searches once; its memory after twenty searches."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "query.npy"
        np.save(path, query)
        command = [sys.executable, "-c", _NEW_PROCESS, store.address, str(path)]
        runs = [subprocess.run(command, capture_output=True, text=True, check=True).stdout for _ in range(3)]
    opened, searched, memory = sorted(tuple(map(float, run.split())) for run in runs)[1]
    print(
        f"  a new process: opened in {opened:.3f} s (wanted .3), first answer after {searched:.3f} s; "
        f"{memory:.0f} MB anonymous (wanted 600)"
    )


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--vectors", type=Path, required=True)
    parser.add_argument("--rows", type=int, nargs="*", default=[100_000, 1_000_000])
    parser.add_argument("--metrics", nargs="*", default=["cosine", "euclidean"])
    parser.add_argument("--folder", type=Path, help="where to make the galleries; those there are reused")
    arguments = parser.parse_args()
    print("$ python", " ".join(sys.argv))
    real = np.load(arguments.vectors)["vectors"].astype(np.float32)
    dim = real.shape[1]
    folder = arguments.folder or Path(tempfile.mkdtemp())
    for metric in arguments.metrics:
        for rows in [len(real), *arguments.rows]:
            print(f"{metric}, {rows:,} x {dim}, {'real' if rows == len(real) else 'mixtures'}")
            place = folder / f"{metric}-{rows}"
            blocks = iter([real]) if rows == len(real) else mixtures(real, rows, seed=rows)
            store = (
                open_store(place)
                if (place / "gallery.sqlite").is_file()
                else fill(place, blocks, dim, metric)
            )
            exact = np.concatenate([b.vectors for b in store.scan()]) if rows <= 1_000_000 else None
            measure(store, exact, np.random.default_rng(1))
            new_process(store, store.vectors(["00000000.jpg"]))
            store.close()
            del exact
    if arguments.folder is None:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
