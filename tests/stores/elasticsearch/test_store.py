"""The store in a cluster against the contract that every store is held to, and what only it can meet."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
from contextlib import ExitStack, closing, suppress

import pytest

from lookalike import stores
from lookalike.errors import NotFound, StoreCorrupt, StoreUnavailable, UsageError
from lookalike.testing import check_store
from lookalike.types import Header, Space

HEADER = Header(Space("toy", "0" * 64, 8, "cosine", "f32", True, "float32"), "")


@pytest.fixture
def store(elasticsearch_address):
    """An empty gallery of unit vectors of 8 numbers."""
    with closing(stores.open_store(elasticsearch_address, create=HEADER)) as opened:
        yield opened


def test_contract(elasticsearch, elasticsearch_address):
    """The store keeps every promise, for every metric, type of row, with and without classes."""
    number = itertools.count()
    with ExitStack() as made:

        def make(header):
            address = f"{elasticsearch_address}-{next(number)}"
            opened = stores.open_store(address, create=header)
            made.callback(stores.delete_store, address)
            return opened

        check_store(make)


def test_nothing_there(elasticsearch, elasticsearch_address):
    """Opening what is not there is an error and makes nothing."""
    assert not stores.exists(elasticsearch_address)
    with pytest.raises(NotFound, match="there is no gallery at elasticsearch://"):
        stores.open_store(elasticsearch_address)
    assert not stores.exists(elasticsearch_address)


def test_two_make_one_gallery(elasticsearch_address):
    """Two processes that make a gallery at the same time open the same one."""
    code = (
        "import sys; from lookalike.stores import open_store; from lookalike.types import Header, Space;"
        "h = Header(Space('toy', '0' * 64, 8, 'cosine', 'f32', True, 'float32'), '');"
        "s = open_store(sys.argv[1], create=h); print(s._live.index.name); s.close()"
    )
    command = [sys.executable, "-c", code, elasticsearch_address]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    names = {process.communicate()[0].strip() for process in processes}
    assert len(names) == 1
    assert "" not in names


def test_delete_store(client, name, store, elasticsearch_address, a_record, unit_vectors):
    """A deleted gallery leaves no index behind, not even an unfinished one; who has it open is told."""
    store.write([a_record(1)], unit_vectors(1))
    with suppress(KeyboardInterrupt), store.replacement(HEADER.with_space(digest="1" * 64)):
        raise KeyboardInterrupt
    assert len(client.indices.get(index=f"{name}~*", expand_wildcards="all")) == 2
    stores.delete_store(elasticsearch_address)
    assert not client.indices.get(index=f"{name}*", expand_wildcards="all")
    with pytest.raises(NotFound, match="no gallery"):
        store.count()
    with pytest.raises(NotFound, match="no gallery"):
        stores.delete_store(elasticsearch_address)


def test_strangers_index(client, name, elasticsearch_address):
    """An index that lookalike did not make is neither opened nor deleted nor written."""
    client.index(index=name, id="1", document={"title": "a stranger's"}, refresh=True)
    for touch in (stores.open_store, stores.delete_store, lambda a: stores.open_store(a, create=HEADER)):
        with pytest.raises(StoreCorrupt, match="no gallery of lookalike"):
            touch(elasticsearch_address)
    assert client.count(index=name)["count"] == 1


def test_strangers_index_of_our_pattern(client, name, elasticsearch_address, a_record, unit_vectors):
    """A stranger's index that is called as ours would be stays when the gallery goes."""
    client.indices.create(index=f"{name}~000001")
    with closing(stores.open_store(elasticsearch_address, create=HEADER)) as opened:
        opened.write([a_record(1)], unit_vectors(1))
    stores.delete_store(elasticsearch_address)
    assert list(client.indices.get(index=f"{name}*")) == [f"{name}~000001"]
    client.indices.delete(index=f"{name}~000001")


def test_newer_format(client, name, elasticsearch_address, store):
    """A gallery of a later version is refused by name of the versions."""
    index = next(iter(client.indices.get_alias(name=name)))
    meta = client.indices.get_mapping(index=index)[index]["mappings"]["_meta"]
    meta["lookalike"]["format"] = 3
    client.indices.put_mapping(index=index, meta=meta)
    with pytest.raises(StoreCorrupt, match="has format 3, this lookalike reads formats up to 2"):
        stores.open_store(elasticsearch_address)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"metric": "manhattan"}, "can't compare vectors by manhattan"),
        ({"dim": 4097}, r"vectors of 4,097 numbers, at most 4,096"),
    ],
)
def test_limits(elasticsearch_address, changes, reason):
    """A metric or a width that the server does not take is refused before anything is made."""
    with pytest.raises(UsageError, match=reason):
        stores.open_store(elasticsearch_address, create=HEADER.with_space(**changes))
    assert not stores.exists(elasticsearch_address)


def test_too_many_wanted(store, unit_vectors):
    """More pictures than the server gives at once are refused before it is asked."""
    with pytest.raises(UsageError, match="10,001 pictures are more than this store gives at once"):
        store.search(unit_vectors(1), 10_001)
    assert store.limits.k == 10_000


@pytest.mark.parametrize(
    ("address", "reason"),
    [
        ("elasticsearch://elastic:secret@127.0.0.1/photos", "set ELASTIC_API_KEY"),
        ("elasticsearch://127.0.0.1/Photos", "lower case"),
        ("elasticsearch://127.0.0.1/", "gallery's name"),
        ("elasticsearch://127.0.0.1:port/photos", "names no host and port"),
        ("elasticsearch://127.0.0.1/photos?shard=3", "'shard' is no option"),
        ("elasticsearch://127.0.0.1/photos?shards=0", "shards is '0'"),
        ("elasticsearch://127.0.0.1/photos?index_type=ivf", "index_type is 'ivf'"),
    ],
)
def test_addresses(address, reason):
    """An address that can't be meant is refused with the reason, and without a password that is in it."""
    with pytest.raises(UsageError, match=reason) as caught:
        stores.exists(address)
    assert "secret" not in str(caught.value)


def test_options(client, elasticsearch_address, name):
    """Shards, replicas and the type of the index are as the address says, and stay so when built anew."""
    address = f"{elasticsearch_address}?shards=2&replicas=0&index_type=flat"
    with closing(stores.open_store(address, create=HEADER)) as opened:
        with opened.replacement(HEADER.with_space(digest="1" * 64)):
            pass
        index = opened._live.index.name
    about = client.indices.get(index=index)[index]
    assert about["settings"]["index"]["number_of_shards"] == "2"
    assert about["settings"]["index"]["number_of_replicas"] == "0"
    assert about["mappings"]["properties"]["vector"]["index_options"]["type"] == "flat"


def test_nobody_answers():
    """Where nothing listens the error names the address, and does not take long."""
    with pytest.raises(StoreUnavailable, match=r"127\.0\.0\.1:9 did not answer as it should within 1 s"):
        stores.exists("elasticsearch://127.0.0.1:9/photos?timeout=1")


def test_deleted_index_stays_deleted(client, name, store, a_record, unit_vectors):
    """Writing to a gallery that somebody has deleted makes no index."""
    for index in client.indices.get(index=f"{name}~*"):
        client.indices.delete(index=index)
    with pytest.raises(NotFound):
        store.write([a_record(1)], unit_vectors(1))
    assert not client.indices.get(index=f"{name}*")


def test_check_finds_what_is_wrong(client, name, store, a_record, unit_vectors):
    """A picture that lost its vector is named."""
    store.write([a_record(1), a_record(2)], unit_vectors(2))
    # What a partial update does: the vector is not in the source it starts from.
    client.update(index=name, id=a_record(2).id, doc={"width": 3}, refresh=True)
    faults = store.check()
    assert any("1 pictures without a vector" in fault and a_record(2).id in fault for fault in faults)


def test_closed(store):
    """A store that was closed says so."""
    store.close()
    store.close()
    with pytest.raises(StoreUnavailable, match="was closed"):
        store.count()


def test_light_help(tmp_path):
    """Naming an address loads no client: help and errors of usage are quick."""
    code = (
        "import sys; from lookalike import stores\n"
        "try: stores.exists('elasticsearch://u:p@h/x')\nexcept Exception: pass\n"
        "print(sorted({'elasticsearch', 'numpy', 'orjson'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=os.environ
    )
    assert done.stdout == "[]\n"
