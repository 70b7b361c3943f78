"""The demo of `make demo-elasticsearch`: the same pictures and commands on a real server.

It starts Elasticsearch, indexes real pictures, searches and finds in them, shows that the server's own
score in a gallery of visual words is the paper's 1.000 + Σ ηj·ξij, and stops the server.
"""

from __future__ import annotations

import shlex
import sys
import time
from typing import TYPE_CHECKING

from demo import lookalike, real_pictures
from elasticsearch_package import VERSION
from elasticsearch_server import Cluster, ServerMissing

if TYPE_CHECKING:
    from pathlib import Path

MODEL = "efficientnet-lite0@classes"
K = 5


def main() -> None:
    """Show everything, from the start of the server to its end."""
    here, query, word = real_pictures()
    print(f"starting Elasticsearch {VERSION} ...", flush=True)
    begun = time.monotonic()
    try:
        with Cluster(heap="1g") as cluster:
            print(f"{cluster.urls[0]} is up after {time.monotonic() - begun:.0f} s")
            print(f"\n$ cd {shlex.quote(str(here))}")
            as_in_a_folder(cluster, here, query, word)
            as_in_the_paper(cluster, here, query)
    except ServerMissing as missing:
        sys.exit(f"there is no server for the demo: {missing}")
    print("\nThe server is stopped, and what it kept is gone. What next: docs/scaling.md")


def as_in_a_folder(cluster: Cluster, here: Path, query: str, word: str) -> None:
    """The commands that every gallery knows, on one in the cluster."""
    address = cluster.address("pictures")
    lookalike(here, "index", ".", "--gallery", address)
    print(f"\n$ export LOOKALIKE_GALLERY={address}")
    lookalike(here, "search", query, "-k", str(K), gallery=address)
    lookalike(here, "find", word, "-k", str(K), gallery=address)


def as_in_the_paper(cluster: Cluster, here: Path, query: str) -> None:
    """A picture as a document of 1,000 words: the server's own score, and the formula in numpy."""
    import numpy as np

    from lookalike import Gallery

    address = cluster.address("words")
    lookalike(here, "index", ".", "--gallery", address, "--model", MODEL, "--metric", "inner")
    with Gallery.open(gallery=address, create=False) as gallery:
        ids = [record.id for record in gallery.records()]
        eta, xi = gallery.vectors([query])[0].astype(np.float64), gallery.vectors(ids)  # (1000,), (n, 1000)
    formula = dict(zip(ids, 1 + xi @ eta, strict=True))

    print(f'\n$ curl {cluster.urls[0]}/words/_search -d \'{{"knn": {{"field": "vector", …}}}}\'\n')
    knn = {"field": "vector", "query_vector": eta.tolist(), "k": K, "num_candidates": 100}
    with cluster.client() as client:
        answer = client.post("/words/_search", json={"knn": knn, "size": K, "_source": ["id"]})
    found = [
        (hit["_score"], hit["_source"]["id"]) for hit in answer.raise_for_status().json()["hits"]["hits"]
    ]
    print("   _score   1.000 + Σ η·ξ")
    for score, id_ in found:
        print(f"  {score:.5f}   {formula[id_]:.5f}         {id_}")
    expected = sorted(formula.values(), reverse=True)[:K]
    apart = max(abs(score - best) for (score, _), best in zip(found, expected, strict=True))
    print(f"  the server and numpy agree to {apart:.0e}, over {len(ids)} pictures")


if __name__ == "__main__":
    main()
