"""An index of an earlier format: read as it is, brought up to date by the first write."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace

import pytest

from lookalike import stores
from lookalike.stores.elasticsearch import layout
from lookalike.types import Header, Space

HEADER = Header(Space("toy", "0" * 64, 8, "cosine", "f32", True, "float32"), "")


@pytest.fixture
def old(client, name, elasticsearch_address):
    """The address of an empty gallery as format 1 had it: without tokens, decoders and formats."""
    mappings = layout.mapping(HEADER, {}, {"taken": "text"}, "")
    meta = mappings["_meta"][layout.MARK]
    del meta["token"]
    meta |= {"format": 1, "header_format": 1}
    for field in layout.added_after(1):
        del mappings["properties"][field]
    mappings["_meta"]["somebody"] = "else's"
    client.indices.create(
        index=f"{name}~000001",
        mappings=mappings,
        settings=layout.settings({}),
        aliases={name: {}, f"{name}~000001~0badcafe": {}},
    )
    return elasticsearch_address


def test_brought_up_to_date(client, name, old, a_record, unit_vectors):
    """An older index is read as it is; the first write adds what it lacks, and its identity stays."""
    with closing(stores.open_store(old)) as store, closing(stores.open_store(old)) as other:
        token = store.token
        assert (store.header.format, store.count(), store.check()) == (1, 0, [])
        assert token
        document = {"id": "a", "status": "picture", "source": "walk", "size": 1, "mtime_ns": 2}
        document |= {"digest": "00" * 16, "width": 3, "height": 4, "scores": [], "metadata": {}}
        document |= {"folders": ["."], "vector": [1.0] + [0.0] * 7}
        client.index(index=name, id="a", document=document, refresh=True)
        assert (store.get(["a"])[0].decoder, store.get(["a"])[0].format) == (0, "")
        for writer, id_ in ((store, "b"), (other, "c")):
            writer.write([replace(a_record(id_), decoder=1, format="PNG")], unit_vectors(1))
            assert (writer.header.format, writer.token) == (2, token)
        store.note_indexed(17)
        store.refresh()
        assert [(r.decoder, r.format) for r in other.get(["a", "b", "c"])] == [
            (0, ""),
            (1, "PNG"),
            (1, "PNG"),
        ]
        assert (store.count(), other.indexed_ns, store.check()) == (3, 17, [])
    meta = client.indices.get_mapping(index=name)[f"{name}~000001"]["mappings"]["_meta"]
    assert meta["somebody"] == "else's"
    with closing(stores.open_store(old)) as again:
        assert (again.header, again.header.format, again.token) == (HEADER, 2, token)


def test_rebuilt(old):
    """An older index that is built anew is of today's format, and keeps its identity."""
    with closing(stores.open_store(old)) as store:
        token = store.token
        with store.replacement(HEADER.with_space(digest="1" * 64)):
            pass
        assert (store.header.format, store.token) == (2, token)
