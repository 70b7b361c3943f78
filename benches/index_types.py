"""What a picture in Elasticsearch takes, and how a search grows with the gallery, for each type of index.

    python benches/index_types.py [--types int8_hnsw bbq_hnsw hnsw flat] [--rows 20000 100000] [--alike 20]

One gallery of each type grows from size to size, as it is written, and is measured at each; at last its
segments are merged into one, as those of a gallery that rests may be. Disk is everything in the index; what
a search reads is the graph and the vectors it goes by, quantised or not: that should fit into the page cache;
heap is what is left of Java's after a full collection, less what was there before. The vectors are those
of benches/cluster.py; with --alike those that are no real ones are mixtures of a picture with one of so many
nearest to it, as collections have them, and not with any.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
from contextlib import closing
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from cluster import QUERIES, K, drawn, fill, header_of, recall
from elasticsearch_node import other_user
from elasticsearch_package import java
from elasticsearch_server import Cluster
from setting import figure, seconds

from lookalike.stores import delete_store, open_store

if TYPE_CHECKING:
    from lookalike.types import Floats, Store

READ = {"flat": ("vec",), "hnsw": ("vec", "vex"), "int8_hnsw": ("veq", "vex"), "bbq_hnsw": ("veb", "vex")}
"""Lucene's files that a search goes through, by type of index; into the others it only dips."""


class Space(NamedTuple):
    """Bytes of a whole gallery: on disk, of what a search goes through, of Java's heap.

    The second can't be told where a part of the index is one file: those that were not merged yet are.
    """

    disk: int
    cache: int | None
    heap: int


def main() -> None:
    """Grow and measure one gallery of each type."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--types", nargs="*", default=["int8_hnsw", "bbq_hnsw", "hnsw", "flat"])
    parser.add_argument("--rows", type=int, nargs="+", default=[20_000, 100_000])
    parser.add_argument("--heap", default="1g")
    parser.add_argument("--alike", type=int)
    wishes = parser.parse_args()
    vectors = drawn(max(wishes.rows), wishes.alike)
    for kind in wishes.types:
        with Cluster(nodes=1, heap=wishes.heap, quick=False) as cluster:
            grow(cluster, kind, vectors, sorted(wishes.rows))


def grow(cluster: Cluster, kind: str, vectors: Floats, sizes: list[int]) -> None:
    """Write a gallery of one type up to each size, and measure it there."""
    place = f"{cluster.address('bench')}?index_type={kind}"
    with closing(open_store(place, create=header_of())) as store:
        with cluster.client() as client:
            # One file for each kind of thing, whose size can be asked for.
            apart = {"index.compound_format": False}
            client.put("/bench/_settings", json=apart).raise_for_status()
        empty = space(cluster, kind)._replace(cache=0)
        begun = 0
        for size in sizes:
            rate = fill(store, vectors[begun:size], begun)
            tell(f"{kind}, {size:,}, as written", store, vectors[:size], space(cluster, kind), empty, rate)
            begun = size
        with cluster.client(timeout=3600) as client:
            params = {"max_num_segments": 1}
            taken = seconds(lambda: client.post("/bench/_forcemerge", params=params).raise_for_status())
        rate = begun / taken
        tell(f"{kind}, {begun:,}, merged", store, vectors[:begun], space(cluster, kind), empty, rate)
    delete_store(place)


def tell(what: str, store: Store, vectors: Floats, now: Space, empty: Space, rate: float) -> None:
    """Time searches, and print everything for one picture."""
    queries = vectors[np.random.default_rng(3).integers(0, len(vectors), QUERIES)]
    for query in queries[: QUERIES // 4]:
        store.search(query[None], K)
    times = [seconds(partial(store.search, query[None], K)) for query in queries]
    disk, cache, heap = (
        f"{(after - before) / len(vectors):,.0f} B" if after is not None and before is not None else "?"
        for after, before in zip(now, empty, strict=True)
    )
    figure(
        what,
        f"p50 {1000 * statistics.median(times):.1f} ms, {rate:.0f}/s",
        f"disk {disk}, read by a search {cache}, heap {heap} a picture",
        f"recall {recall(store, vectors):.4f}",
        "",
    )


def space(cluster: Cluster, kind: str) -> Space:
    """What the gallery takes now, once the server has put away what is no longer used."""
    with cluster.client() as client:
        asked: Any = client.get("/_nodes/_all/process,jvm").raise_for_status().json()["nodes"]
        for node in asked.values():
            # A count of what lives makes the collector run in full first.
            count = [str(java() / "bin" / "jcmd"), str(node["process"]["id"]), "GC.class_histogram"]
            subprocess.run(count, check=True, stdout=subprocess.DEVNULL, **other_user())
        client.post("/bench/_flush").raise_for_status()
        path = "/bench/_stats/store,segments?include_segment_file_sizes=true"
        stats: Any = client.get(path).raise_for_status().json()["_all"]["total"]
        nodes = client.get("/_nodes/stats/jvm").raise_for_status().json()["nodes"].values()
    files = stats["segments"]["file_sizes"]
    sizes = [files[name]["size_in_bytes"] for name in READ[kind] if name in files]
    cache = sum(sizes) if "cfs" not in files else None
    heap = sum(node["jvm"]["mem"]["heap_used_in_bytes"] for node in nodes)
    return Space(stats["store"]["size_in_bytes"], cache, heap)


if __name__ == "__main__":
    main()
