"""The index as the server has it: how vectors are indexed, and what anybody's own searches find in it."""

from __future__ import annotations

from contextlib import closing

import numpy as np
import pytest

from lookalike import stores
from lookalike.errors import UsageError
from lookalike.types import Classes, Header, Space

CLASSES = Classes(("n1", "n2", "n3"), ("tabby cat", "tiger cat", "dog"))
HEADER = Header(Space("toy", "0" * 64, 8, "cosine", "f32", True, "float32"), "", CLASSES)
WORDS = HEADER.with_space(dim=3, metric="inner", normalized=False, visual_words=True)


def _vectors_index(client, name):
    (about,) = client.indices.get_mapping(index=name).values()
    return about["mappings"]["properties"]["vector"]["index_options"]["type"]


@pytest.mark.parametrize(
    ("changes", "asked", "expected"),
    [
        ({}, "", "hnsw"),
        ({"dim": 63}, "", "hnsw"),
        ({"dim": 64}, "", "int8_hnsw"),
        ({"dim": 64, "metric": "inner", "normalized": False}, "", "int8_hnsw"),
        ({"dim": 3, "metric": "inner", "normalized": False, "visual_words": True}, "", "flat"),
        ({"dim": 3, "normalized": False, "visual_words": True}, "", "hnsw"),
        ({"dim": 64}, "?index_type=bbq_hnsw", "bbq_hnsw"),
        ({"dim": 64}, "?index_type=flat", "flat"),
    ],
)
def test_index_type(client, name, elasticsearch_address, changes, asked, expected):
    """By default vectors are indexed as suits their length and metric; else as the address says."""
    header = HEADER.with_space(**changes)
    stores.open_store(f"{elasticsearch_address}{asked}", create=header).close()
    assert _vectors_index(client, name) == expected


def test_too_short_for_bits(elasticsearch_address):
    """Vectors of fewer than 64 numbers can't be kept as single bits: nothing is made."""
    with pytest.raises(UsageError, match="bbq_hnsw needs vectors of 64 numbers or more, not 63"):
        stores.open_store(f"{elasticsearch_address}?index_type=bbq_hnsw", create=HEADER.with_space(dim=63))
    assert not stores.exists(elasticsearch_address)


def test_words_for_searches_of_ones_own(client, name, elasticsearch_address, a_record, unit_vectors):
    """Path, tags and texts are text to the server: it ranks by how many of the words are there, how often."""
    facts = {
        "2024/BeachDay_07.jpg": ({"note": "a day at sea"}, (("n2", 0.6), ("n1", 0.3))),
        "beach/sea.jpg": ({"note": "Sea, sea and sand"}, (("n2", 0.5), ("n3", 0.005))),
        "dunes.jpg": ({"note": "sand", "price": 3}, (("n3", 0.9),)),
        "cliff.jpg": ({}, ()),
    }
    records = [a_record(id_, metadata=about, scores=scores) for id_, (about, scores) in facts.items()]
    with closing(stores.open_store(elasticsearch_address, create=HEADER)) as store:
        store.write(records, unit_vectors(4))
        store.refresh()

    def found(field, words):
        hits = client.search(index=name, query={"match": {f"words.{field}": words}})["hits"]["hits"]
        assert all(hit["_score"] > 0 for hit in hits)
        return [hit["_id"] for hit in hits]

    assert set(found("path", "beach")) == {"2024/BeachDay_07.jpg", "beach/sea.jpg"}
    assert found("path", "day beach")[0] == "2024/BeachDay_07.jpg"
    assert found("text", "sea") == ["beach/sea.jpg", "2024/BeachDay_07.jpg"]
    assert found("text", "sea sand")[0] == "beach/sea.jpg"
    assert found("tags", "tabby tiger") == ["2024/BeachDay_07.jpg", "beach/sea.jpg"]
    assert found("tags", "dog") == ["dunes.jpg"]  # a class of .005 is not seen in the other


def test_visual_words_are_the_papers(client, name, elasticsearch_address, a_record):
    """The server's own score of a search for a picture is 1 + Σ η·ξ, also where that is below 1."""
    vectors = np.random.default_rng(0).normal(size=(20, 3)).astype(np.float32)
    with closing(stores.open_store(elasticsearch_address, create=WORDS)) as store:
        store.write([a_record(i) for i in range(20)], vectors)
        store.refresh()
        (found,) = store.search(vectors[:1], 20)
    knn = {"field": "vector", "query_vector": vectors[0].tolist(), "k": 20, "num_candidates": 100}
    hits = client.search(index=name, knn=knn, size=20)["hits"]["hits"]
    products = {f"p/{i:04}.jpg": float(product) for i, product in enumerate(vectors @ vectors[0])}
    for hit in hits:
        product = products[hit["_id"]]
        paper = 1 + product if product >= 0 else 1 / (1 - product)
        assert hit["_score"] == pytest.approx(paper, abs=1e-5)
    assert found.ids == [hit["_id"] for hit in hits] == sorted(products, key=lambda id_: -products[id_])
    np.testing.assert_allclose(found.scores, [products[id_] for id_ in found.ids], atol=1e-5)
