"""Galleries in a cluster built anew beside themselves: by one process at a time, and without a gap."""

from __future__ import annotations

import subprocess
import sys
import time
from contextlib import ExitStack, closing, suppress

import pytest

from lookalike import stores
from lookalike.errors import NotFound, StoreBusy, StoreCorrupt, UsageError
from lookalike.stores.elasticsearch import indices
from lookalike.stores.elasticsearch import indices as lock
from lookalike.types import Folder, Header, Space

HEADER = Header(Space("toy", "0" * 64, 8, "cosine", "f32", True, "float32"), "")
OTHER = HEADER.with_space(digest="1" * 64)


@pytest.fixture
def store(elasticsearch_address):
    """An empty gallery of unit vectors of 8 numbers."""
    with closing(stores.open_store(elasticsearch_address, create=HEADER)) as opened:
        yield opened


@pytest.fixture
def second(elasticsearch_address, store):
    """The same gallery as somebody else has it open."""
    with closing(stores.open_store(elasticsearch_address)) as opened:
        yield opened


@pytest.fixture
def impatient(monkeypatch):
    """Whoever is silent for a second is taken to be gone."""
    monkeypatch.setattr(lock, "BEAT", 0.2)
    monkeypatch.setattr(lock, "SILENCE", 1.0)


def test_replacement_without_a_gap(elasticsearch_address, store, a_record, unit_vectors):
    """Whoever has the gallery open finds the old pictures until the new ones are there, and then those."""
    vectors = unit_vectors(20)
    store.write([a_record(i) for i in range(20)], vectors)
    store.set_folders([Folder("", 7)])
    store.delete([a_record(0).id], keep_out=True)
    store.update({a_record(1).id: {"note": "kept"}})
    with closing(stores.open_store(elasticsearch_address)) as reader:
        with store.writing(), store.replacement(HEADER.with_space(digest="1" * 64, dim=4)) as fresh:
            assert fresh.count() == 0
            assert reader.search(vectors[3:4], 1)[0].ids == [a_record(3).id]
            with pytest.raises(StoreBusy, match="being built anew"):
                reader.write([a_record(30)], unit_vectors(1))
            with pytest.raises(StoreBusy, match="being built anew"), reader.writing():
                pass
            fresh.write([a_record(i) for i in range(5, 9)], unit_vectors(4, 4))
            assert reader.count() == 19
        assert reader.count() == 4
        assert reader.header.space.dim == 4
        assert reader.folders() == [Folder("", 7)]
        assert reader.removed() == [a_record(0).id]
        assert reader.fields()["note"] == "text"
        assert reader.check() == []


def _stopped(store, header, records, vectors):
    """A replacement by some pictures that is stopped before its end."""
    with suppress(KeyboardInterrupt), store.replacement(header) as fresh:
        fresh.write(records, vectors)
        raise KeyboardInterrupt


def test_replacement_goes_on(client, name, store, a_record, unit_vectors):
    """What a stopped replacement has written is there when it is started again with an equal header."""
    store.write([a_record(1)], unit_vectors(1))
    header = HEADER.with_space(digest="1" * 64)
    _stopped(store, header, [a_record(7)], unit_vectors(1))
    store.write([a_record(2)], unit_vectors(1))
    assert [fault for fault in store.check() if "left of a rebuilding" in fault]
    with store.replacement(header) as fresh:
        assert [state.id for state in fresh.states()] == [a_record(7).id]
    assert store.header == header
    _stopped(store, header.with_space(digest="2" * 64), [], unit_vectors(0))
    with store.replacement(header.with_space(digest="3" * 64)) as fresh:
        assert fresh.count() == 0
    assert len(client.indices.get(index=f"{name}~*")) == 1


def test_other_options_begin_anew(client, name, elasticsearch_address, store, a_record, unit_vectors):
    """A stopped replacement is gone on with unless other options than its own are asked for."""
    store.write([a_record(1)], unit_vectors(1))
    _stopped(store, OTHER, [a_record(7)], unit_vectors(1))
    with closing(stores.open_store(f"{elasticsearch_address}?shards=2")) as wider:
        _stopped(wider, OTHER, [a_record(8)], unit_vectors(1))
    with store.replacement(OTHER) as fresh:
        assert [state.id for state in fresh.states()] == [a_record(8).id]
    settings = next(iter(client.indices.get_settings(index=f"{name}~*").values()))
    assert settings["settings"]["index"]["number_of_shards"] == "2"


def test_aliases_of_ones_own_go_along(client, name, store):
    """What else points at the live index points at the new one, with its filter."""
    only = {"term": {"status": "picture"}}
    client.indices.put_alias(index=f"{name}~000001", name=f"{name}-shop", filter=only)
    with store.replacement(OTHER):
        pass
    found = client.indices.get_alias(name=f"{name}-shop")
    assert found[f"{name}~000002"]["aliases"][f"{name}-shop"] == {"filter": only}
    assert len(found[f"{name}~000002"]["aliases"]) == 1


def _killed(address):
    """A process that begins to build a gallery anew, as OTHER, and is killed."""
    code = (
        "import os, sys; from dataclasses import replace; from lookalike.stores import open_store;"
        "s = open_store(sys.argv[1]); header = s.header.with_space(digest='1' * 64)\n"
        "with s.replacement(header): os.kill(os.getpid(), 9)"
    )
    assert subprocess.run([sys.executable, "-c", code, address], check=False).returncode == -9


def test_goes_on_after_a_kill(elasticsearch_address, store, impatient, a_record, unit_vectors):
    """What a process that was killed has begun keeps writers out until somebody goes on with it."""
    store.write([a_record(1)], unit_vectors(1))
    _killed(elasticsearch_address)
    with pytest.raises(StoreBusy, match="lookalike check --repair"):
        store.write([a_record(2)], unit_vectors(1))
    assert len(store.check()) == 2
    with store.replacement(OTHER) as fresh:
        assert fresh.header.space.digest == "1" * 64
    assert store.check() == []
    assert store.write([a_record(2)], unit_vectors(1)) == []


def test_writers_come_in_after_a_kill(elasticsearch_address, store, impatient, a_record, unit_vectors):
    """Who wants to write opens the gallery again once nobody builds it any more."""
    _killed(elasticsearch_address)
    with store.writing():
        store.write([a_record(2)], unit_vectors(1))
    assert store.count() == 1


def test_repair_after_a_kill(elasticsearch_address, client, name, store, impatient, a_record, unit_vectors):
    """`check(repair=True)` clears away what a process that was killed has begun."""
    _killed(elasticsearch_address)
    assert store.check(repair=True) == []
    assert len(client.indices.get(index=f"{name}~*")) == 1
    store.write([a_record(2)], unit_vectors(1))
    assert store.count() == 1


def test_one_at_a_time(elasticsearch_address, client, name, store, second, a_record, unit_vectors):
    """Nobody builds, repairs or deletes a gallery while another process builds it anew."""
    store.write([a_record(1)], unit_vectors(1))
    with store.replacement(OTHER) as fresh:
        with pytest.raises(StoreBusy), second.replacement(HEADER.with_space(digest="2" * 64)):
            pass
        with pytest.raises(StoreBusy):
            second.check(repair=True)
        with pytest.raises(StoreBusy):
            stores.delete_store(elasticsearch_address)
        with pytest.raises(StoreBusy):
            second.write([a_record(2)], unit_vectors(1))
        fresh.write([a_record(3)], unit_vectors(1))
    assert [state.id for state in second.states()] == [a_record(3).id]
    assert len(client.indices.get(index=f"{name}~*")) == 1


def test_two_that_begin_at_once(monkeypatch, client, name, store, second, a_record, unit_vectors):
    """Of two that saw nobody building, the one that makes the index builds; the other changes nothing."""
    with store.replacement(OTHER) as fresh:
        with monkeypatch.context() as patch:
            # As if it had looked a moment earlier: it sees neither the index nor that writers are kept out.
            patch.setattr(indices, "aside", lambda *_: [])
            patch.setattr(indices, "blocked", lambda *_: False)
            described = indices._described
            patch.setattr(
                indices,
                "_described",
                lambda *given: {
                    key: about for key, about in described(*given).items() if "2" not in key[-6:]
                },
            )
            with pytest.raises(StoreBusy), second.replacement(HEADER.with_space(digest="2" * 64)):
                pass
        with pytest.raises(StoreBusy):
            second.write([a_record(2)], unit_vectors(1))
        fresh.write([a_record(3)], unit_vectors(1))
    assert second.count() == 1
    assert second.header == OTHER


def test_one_that_looked_before_the_other_had_begun(
    monkeypatch, client, name, store, second, a_record, unit_vectors
):
    """It sees the other's index when it is about to make its own, and changes nothing."""
    with store.replacement(OTHER) as fresh:
        with monkeypatch.context() as patch:
            patch.setattr(indices, "aside", lambda *_: [])
            patch.setattr(indices, "blocked", lambda *_: False)
            with pytest.raises(StoreBusy), second.replacement(HEADER.with_space(digest="2" * 64)):
                pass
        assert len(client.indices.get(index=f"{name}~*")) == 2
        with pytest.raises(StoreBusy):
            second.write([a_record(2)], unit_vectors(1))
        fresh.write([a_record(3)], unit_vectors(1))
    assert second.count() == 1


def test_an_outage_is_no_silence(monkeypatch, impatient, store, second):
    """Of a look that took long because nothing answered, most does not count: the builder could not write."""
    monkeypatch.setattr(lock, "_MOST", 0.3)
    look = lock._look

    def late(*_):
        monkeypatch.setattr(lock, "_look", look)
        time.sleep(2 * lock.SILENCE)
        return before

    with store.replacement(OTHER) as fresh:
        alias = fresh._live.index.alias
        before = look(second._server, alias)
        monkeypatch.setattr(lock, "_look", late)
        assert lock._changes(second._server, alias, before)


@pytest.mark.parametrize("knows", [True, False])
def test_who_was_overtaken_writes_nothing(knows, monkeypatch, store, second, a_record, unit_vectors):
    """Not even into the very index that it has begun, and another finished, nor what was on its way."""
    monkeypatch.setattr(lock, "SILENCE", 0.5)
    monkeypatch.setattr(lock, "BEAT", 60.0)
    with ExitStack() as ending:
        ending.enter_context(pytest.raises(StoreBusy))
        slept = ending.enter_context(store.replacement(OTHER))
        slept.write([a_record(1)], unit_vectors(1))
        with second.replacement(OTHER) as fresh:
            fresh.delete([a_record(1).id], keep_out=True)
        if not knows:
            monkeypatch.setattr(lock.Claim, "hold", lambda _: None)
        with pytest.raises(StoreBusy):
            slept.write([a_record(1), a_record(2)], unit_vectors(2))
    assert second.count() == 0
    assert second.removed() == [a_record(1).id]


@pytest.mark.parametrize(("digest", "error"), [("1" * 64, StoreBusy), ("2" * 64, NotFound)])
def test_overtaken(digest, error, monkeypatch, store, second, a_record, unit_vectors):
    """A process that was silent for so long that another one built in its stead changes nothing any more."""
    monkeypatch.setattr(lock, "SILENCE", 0.5)
    monkeypatch.setattr(lock, "BEAT", 60.0)
    store.write([a_record(1)], unit_vectors(1))
    with ExitStack() as ending:
        ending.enter_context(pytest.raises(error))
        ending.enter_context(store.replacement(OTHER))
        with second.replacement(HEADER.with_space(digest=digest)) as fresh:
            fresh.write([a_record(5)], unit_vectors(1))
    assert second.header.space.digest == digest
    assert [state.id for state in second.states()] == [a_record(5).id]
    assert second.check() == []
    assert second.write([a_record(6)], unit_vectors(1)) == []


def test_one_that_fails_at_its_start(client, name, store, a_record, unit_vectors):
    """What can't be kept is refused before writers are kept out, and leaves nothing behind."""
    for changes in ({"metric": "manhattan"}, {"dim": 5000}):
        with pytest.raises(UsageError), store.replacement(OTHER.with_space(**changes)):
            pass
    assert store.write([a_record(1)], unit_vectors(1)) == []
    assert len(client.indices.get(index=f"{name}~*")) == 1


def test_what_others_wrote_just_before(client, name, store, second, a_record, unit_vectors):
    """What another process has written is seen, though no refresh has made it findable yet."""
    client.indices.put_settings(index=name, settings={"index.refresh_interval": "-1"})
    with second.writing():
        second.write([a_record(1)], unit_vectors(1))
        second.delete(["gone.jpg"], keep_out=True)
        with store.replacement(OTHER) as fresh:
            assert [state.id for state in store.states()] == ["gone.jpg", a_record(1).id]
            assert fresh.removed() == ["gone.jpg"]


def test_a_block_of_others(client, name, store):
    """A block that somebody else has set is told, and not lifted."""
    index = next(iter(client.indices.get_alias(name=name)))
    client.indices.add_block(index=index, block="write")
    with pytest.raises(StoreBusy, match="set by others"), store.writing():
        pass
    assert "set by somebody else" in store.check(repair=True)[0]


def test_another_name(client, name, elasticsearch_address, store, a_record, unit_vectors):
    """A gallery is not opened by another alias of its index: what is built anew would have that one."""
    store.write([a_record(1)], unit_vectors(1))
    index = next(iter(client.indices.get_alias(name=name)))
    client.indices.put_alias(index=index, name=f"{name}-prod")
    with pytest.raises(StoreCorrupt, match=f"another name of the index {name}~000001"):
        stores.open_store(f"{elasticsearch_address}-prod")
    assert store.count() == 1


def test_deleted_and_made_again(elasticsearch_address, store, second, a_record, unit_vectors):
    """Who has a gallery open that was deleted, and made again by another model, writes nothing into that."""
    store.write([a_record(1)], unit_vectors(1))
    stores.delete_store(elasticsearch_address)
    with pytest.raises(NotFound):
        second.count()
    with closing(stores.open_store(elasticsearch_address, create=OTHER)) as fresh:
        fresh.write([a_record(2)], unit_vectors(1))
        with pytest.raises(StoreBusy, match="other vectors"):
            store.write([a_record(3)], unit_vectors(1))
        assert [state.id for state in fresh.states()] == [a_record(2).id]
        assert store.header == OTHER


def test_replaced_by_other_vectors(elasticsearch_address, store, a_record, unit_vectors):
    """A writer whose gallery was replaced by one of other vectors is told, and writes nothing into that."""
    with closing(stores.open_store(elasticsearch_address)) as writer:
        with store.replacement(HEADER.with_space(digest="1" * 64)):
            pass
        with pytest.raises(StoreBusy, match="other vectors"):
            writer.write([a_record(1)], unit_vectors(1))
        assert store.count() == 0
        assert writer.write([a_record(1)], unit_vectors(1)) == []
