"""How fast a gallery in Elasticsearch is written and searched, and whether it finds what there is.

    python benches/cluster.py [--rows 20000 100000] [--heap 1g] [--server URL]

A real server of one node runs beside, with as many cores as the client. The vectors are those of 8,000
pieces of real clip art, more of them convex mixtures of two plus noise of .01, seeded. The baseline is
the official client by itself: it gets the very documents that the store would write, made before the
clock runs, and the very search that the store would send. Both take turns.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections import deque
from contextlib import closing, contextmanager
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from elasticsearch import Elasticsearch, OrjsonSerializer
from elasticsearch.helpers import parallel_bulk
from setting import figure, seconds

from lookalike import extractor
from lookalike.stores import delete_store, open_store
from lookalike.stores.elasticsearch import searching
from lookalike.stores.elasticsearch.layout import Stemmer, Writer
from lookalike.types import Classes, Header, Record, Space
from search import mixtures, real_vectors

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lookalike.types import Floats, Store

    Action = dict[str, Any]

BATCH = 1024
QUERIES = 200
K = 10
SCORES = 20
QUIET = 5  # seconds without a merge after which there will be none


def main() -> None:
    """Measure writing, searching and visual words."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, nargs=2, default=[20_000, 100_000])
    parser.add_argument("--heap", default="1g")
    parser.add_argument("--server", help="URL of a running one, instead of one of its own")
    wishes = parser.parse_args()
    few, many = wishes.rows
    with _served(wishes.server, wishes.heap) as (url, address):
        vectors = drawn(many)
        client = Elasticsearch(url, serializer=OrjsonSerializer(), request_timeout=120)
        with closing(client):
            writing(client, address, vectors[: min(few, 8 * BATCH)])
            searches(client, address, vectors, few)
        visual_words(address)


@contextmanager
def _served(server: str | None, heap: str) -> Iterator[tuple[str, str]]:
    """A server's URL, and what the address of a gallery in it begins with."""
    if server is not None:
        yield server, f"elasticsearch://{server.partition('://')[2].rstrip('/')}/bench"
        return
    from elasticsearch_server import Cluster  # among the scripts, whose place `setting` knows

    with Cluster(nodes=1, heap=heap, quick=False) as cluster:
        yield cluster.urls[0], cluster.address("bench")


def drawn(count: int, alike: int | None = None) -> Floats:
    """Vectors of pictures, real ones as far as there are any: (count, 1280); `alike` is for mixtures."""
    real = real_vectors()
    blocks = [real[:count]]
    if count > len(real):
        blocks += mixtures(real, count - len(real), alike)
    return np.concatenate(blocks)


def header_of(metric: str = "cosine", dim: int = 1280) -> Header:
    """The header of the default model's galleries."""
    model = extractor("efficientnet-lite0", precision="f32")
    space = Space(model.name, model.digest, dim, metric, "f32", normalized=True, row_type="float16")
    return Header(space, "", model.classes)


def records_of(first: int, count: int, classes: Classes) -> list[Record]:
    """Numbered records with 20 class scores and a field."""
    rng = np.random.default_rng(first)
    chosen = rng.integers(0, len(classes.ids), (count, SCORES))
    shares = -np.sort(-rng.dirichlet(np.full(SCORES, 0.3), count))
    return [
        Record(
            f"{i % 100:02}/{i:08}.jpg", "walk", 1, 1, i.to_bytes(16, "big"), 640, 480, {"shelf": i % 50},
            tuple(dict(zip((classes.ids[c] for c in row), share, strict=True)).items()),
        )
        for i, row, share in zip(range(first, first + count), chosen, shares.tolist(), strict=True)
    ]  # fmt: skip


def fill(store: Store, vectors: Floats, first: int = 0) -> float:
    """Write pictures with these vectors, numbered from `first` on; documents a second."""
    classes = store.header.classes or Classes((), ())
    taken = 0.0
    with store.writing():
        for start in range(0, len(vectors), BATCH):
            block = vectors[start : start + BATCH]
            records = records_of(first + start, len(block), classes)
            taken += seconds(partial(store.write, records, block))
        taken += seconds(store.refresh)
    return len(vectors) / taken


def writing(client: Elasticsearch, address: str, vectors: Floats) -> None:
    """Blocks through the store in turn with the same ones through `parallel_bulk`, into indices alike."""
    header = header_of()
    rates: dict[str, list[float]] = {"store": [], "client": []}
    writer = Writer(header, Stemmer())
    with (
        closing(open_store(f"{address}-store", create=header)) as store,
        closing(open_store(f"{address}-client", create=header)) as other,
    ):
        fields = {"shelf": "integer"}
        other._fields.define(other._live.index, fields)  # type: ignore[attr-defined]  # noqa: SLF001
        alias = other._live.index.alias  # type: ignore[attr-defined]  # noqa: SLF001
        for start in range(0, len(vectors), BATCH):
            block = vectors[start : start + BATCH]
            records = records_of(start, len(block), header.classes or Classes((), ()))
            kept = block.astype(np.float16).astype(np.float32)
            actions = [
                {"_id": entry.key, "_source": entry.document} for entry in writer.entries(records, kept)
            ]
            rates["store"].append(len(block) / seconds(partial(store.write, records, block)))
            rates["client"].append(len(block) / seconds(partial(_bulk, client, alias, actions)))
    delete_store(f"{address}-store")
    delete_store(f"{address}-client")
    # The first block of each warms the server up.
    mine, theirs = (statistics.median(found[1:] or found) for found in (rates["store"], rates["client"]))
    what = "write vectors, tags and words, 1,280 numbers"
    figure(what, f"{mine:.0f}/s", f"{theirs:.0f}/s, parallel_bulk", f"{mine / theirs:.2f}", "≥ .8")


def _bulk(client: Elasticsearch, alias: str, actions: list[Action]) -> None:
    done = parallel_bulk(client, actions, thread_count=2, chunk_size=300, index=alias, require_alias=True)
    if not all(good for good, _ in done):
        raise SystemExit("the client could not write")


def searches(client: Elasticsearch, address: str, vectors: Floats, few: int) -> None:
    """The default type of index at two sizes: against the bare client, against itself, against the truth."""
    sizes = (few, len(vectors))
    stores = [open_store(f"{address}-{size}", create=header_of()) for size in sizes]
    try:
        for store, size in zip(stores, sizes, strict=True):
            rate = fill(store, vectors[:size])
            figure(f"write {size:,}, refreshed", f"{rate:.0f}/s", "", "", "")
        taken = seconds(partial(settle, client))
        figure("merge what is to be merged after that", f"{taken:.0f} s", "", "", "")
        chosen = np.random.default_rng(1).integers(0, few, QUERIES)
        times = _in_turn(client, stores, vectors[chosen])
        small, large, bare = (1000 * statistics.median(found) for found in times)
        what = f"search {len(vectors):,}, p50"
        figure(what, f"{large:.1f} ms", f"{bare:.1f} ms, bare client", f"{large / bare:.2f}", "≤ 1.25")
        figure(
            f"{what} against {few:,}", f"{large:.1f} ms", f"{small:.1f} ms", f"{large / small:.2f}", "≤ 1.5"
        )
        share = recall(stores[1], vectors)
        figure(f"recall@10, {len(vectors):,}, default", f"{share:.4f}", "1, numpy", f"{share:.4f}", "≥ .99")
        for name, read in (("states, as `index` reads them", stores[1].states), ("scan", stores[1].scan)):
            rate = len(vectors) / seconds(lambda read=read: deque(read(), maxlen=0))  # type: ignore[misc]
            figure(f"{name}, {len(vectors):,}", f"{rate:.0f} pictures/s", "", "", "")
    finally:
        for store in stores:
            store.close()
            delete_store(store.address)


def settle(client: Elasticsearch) -> None:
    """Wait until the server has merged all that it wants to; while it does it has less to search with."""
    quiet = 0
    while quiet < QUIET:
        time.sleep(1)
        merges = client.indices.stats(metric="merge")["_all"]["total"]["merges"]
        quiet = 0 if merges["current"] else quiet + 1


def _in_turn(client: Elasticsearch, stores: list[Store], queries: Floats) -> list[list[float]]:
    """Seconds of each search: the smaller gallery, the larger one, and that by the client alone."""
    small, large = stores
    index = large._live.index  # type: ignore[attr-defined]  # noqa: SLF001
    server = large._server  # type: ignore[attr-defined]  # noqa: SLF001
    body = searching.Searcher(server, index).request(queries[0], K)
    times: list[list[float]] = [[], [], []]
    for turn in range(2):
        for query in queries:
            body["knn"] = {**body["knn"], "query_vector": query}
            # The query caches nothing of another one's, and each side meets a query for the first time.
            taken = (
                seconds(partial(small.search, query[None], K)),
                seconds(partial(large.search, query[None], K)),
                seconds(partial(client.search, index=index.alias, **body)),
            )
            if turn:
                for found, one in zip(times, taken, strict=True):
                    found.append(one)
    return times


def recall(store: Store, vectors: Floats) -> float:
    """How many of the ten nearest are found; pictures that tie with the tenth are as right as it."""
    shares = []
    for row in np.random.default_rng(2).integers(0, len(vectors), QUERIES).tolist():
        scores = vectors @ vectors[row]
        tenth = np.partition(scores, -K)[-K]
        found = [int(id_[3:11]) for id_ in store.search(vectors[row : row + 1], K)[0].ids]
        shares.append(float((scores[found] >= tenth - 1e-5).mean()))
    return statistics.mean(shares)


def visual_words(address: str, count: int = 2_000) -> None:
    """The score of class scores with class scores against the paper's formula, in numpy."""
    ids = tuple(f"n{i}" for i in range(1000))
    header = replace(header_of("inner", 1000), classes=Classes(ids, ids))
    header = header.with_space(normalized=False, row_type="float32", visual_words=True)
    scores = np.random.default_rng(0).dirichlet(np.full(1000, 0.02), count).astype(np.float32)
    with closing(open_store(f"{address}-words", create=header)) as store:
        fill(store, scores)
        truth = scores[:50].astype(np.float64) @ scores.T.astype(np.float64)
        worst, same = 0.0, True
        for expected, found in zip(truth, store.search(scores[:50], 100), strict=True):
            rows = [int(id_[3:11]) for id_ in found.ids]
            worst = max(worst, float(np.abs(found.scores - expected[rows]).max()))
            same &= bool(np.abs(np.sort(expected)[::-1][:100] - expected[rows]).max() < 1e-6)
    delete_store(f"{address}-words")
    order = "the same order" if same else "another order"
    figure("visual words against 1 + Σ η·ξ in numpy", f"off by {worst:.1g}", "0", order, "≤ 1e-5, same order")


if __name__ == "__main__":
    os.environ.pop("ELASTIC_API_KEY", None)
    main()
