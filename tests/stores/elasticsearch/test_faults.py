"""Nodes are killed while pictures are written and searched: nothing acknowledged is lost, nothing is twice.

Each fault once, at a moment that is always the same; LOOKALIKE_FAULT_ROUNDS=5 (`make test-faults`) is five
times each at random moments. A test's name ends with its seed; LOOKALIKE_FAULT_SEED names the first.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest
from PIL import Image

from lookalike import Gallery
from lookalike.errors import StoreUnavailable
from lookalike.stores import open_store

PROGRAM = Path(sys.executable).with_name("lookalike")
ROUNDS = int(os.environ.get("LOOKALIKE_FAULT_ROUNDS", "1"))
FIRST = int(os.environ.get("LOOKALIKE_FAULT_SEED", "0" if ROUNDS == 1 else str(time.time_ns() % 10**6)))
NODES = {0, 1, 2}
PICTURES = 2000

pytestmark = pytest.mark.parametrize("seed", range(FIRST, FIRST + ROUNDS))


@pytest.fixture
def dice(seed):
    """Chance, the same for the same seed."""
    return random.Random(seed)  # noqa: S311


def _name(address):
    return address.split("?")[0].rsplit("/", 1)[1]


def _holders(cluster, address):
    """The node with the gallery's primary, and those with a replica, as a node that lives knows them."""
    with cluster.client() as client:
        shards = client.get(f"/_cat/shards/{_name(address)}", params={"format": "json"}).raise_for_status()
    started = [shard for shard in shards.json() if shard["state"] == "STARTED"]
    nodes = {kind: {int(shard["node"][-1]) for shard in started if shard["prirep"] == kind} for kind in "pr"}
    (primary,) = nodes["p"]
    return primary, nodes["r"]


def _connections(cluster, node):
    """How many http connections a node has, ours for this question among them."""
    with cluster.client(node) as client:
        (answer,) = client.get("/_nodes/_local/stats/http").json()["nodes"].values()
    return answer["http"]["current_open"]


def test_the_node_that_the_client_talks_to_is_killed(cluster, replicated, load, dice):
    """A node without a shard of the gallery dies with requests under way: others answer them."""
    with load(replicated) as work:
        work.lasts(dice.uniform(0.5, 2))
        primary, replicas = _holders(cluster, replicated)
        (node,) = NODES - {primary} - replicas
        assert _connections(cluster, node) > 1, "the client does not talk to it"
        cluster.kill(node)
        work.lasts(3)
    work.verify()


def test_the_node_with_the_primary_is_killed_while_it_writes(cluster, replicated, load, dice):
    """The replica takes over; what is tried again, because no answer came, is there once."""
    with load(replicated) as work:
        work.lasts(dice.uniform(0.5, 2))
        primary, replicas = _holders(cluster, replicated)
        assert work.writing.wait(60)
        time.sleep(dice.uniform(0, 0.02))
        cluster.kill(primary)
        work.lasts(3)
        assert {_holders(cluster, replicated)[0]} == replicas
    work.verify(faults=1)


def test_a_killed_node_comes_back_under_load(cluster, replicated, load, dice):
    """It was away while others were written, catches up, and is then as good as the rest."""
    with load(replicated) as work:
        cluster.wait("green", nodes=3)
        first, _ = _holders(cluster, replicated)
        cluster.kill(first)
        work.lasts(dice.uniform(0.5, 2))
        cluster.start(first)
        cluster.wait("green", nodes=3)
        work.lasts(0.5)
        second, _ = _holders(cluster, replicated)
        # Now what the one that came back knows has to be enough, wherever it is a replica.
        cluster.kill(second)
        work.lasts(1)
    work.verify(faults=1)


def test_the_whole_cluster_is_down_and_comes_back(cluster, replicated, load, dice, tmp_path):
    """Who has patience goes on by itself; who has not gets a clear error in time, and goes on after it."""
    begun = replicated.replace("?", "-begun?")
    run = _index(tmp_path, f"{begun}&timeout=10")
    with load(f"{replicated}&timeout=180") as work, closing(open_store(f"{replicated}&timeout=3")) as hasty:
        _wait_for(cluster, begun, dice.randrange(100, PICTURES // 2), run)
        cluster.kill(*NODES)
        for refused in (work.write_again, work.search_one):
            started = time.monotonic()
            with pytest.raises(StoreUnavailable, match=r"127\.0\.0\.1:\d+ .*run the same command again"):
                refused(hasty)
            assert time.monotonic() - started < 2 * 3
        _, said = run.communicate(timeout=60)
        assert run.returncode == 1
        assert "run the same command again" in said
        assert "Traceback" not in said
        cluster.start(*NODES)
        work.lasts(0.5)
        work.write_again(hasty)
        work.search_one(hasty)
    cluster.wait("green", nodes=3)
    work.verify()
    _, said = (again := _index(tmp_path, begun, "--json")).communicate(timeout=120)
    assert again.returncode == 0, said
    _is_whole(tmp_path, begun)


def _index(folder, address, *options):
    """`lookalike index` of many small pictures, in a process of its own."""
    for number in range(PICTURES):
        Image.new("RGB", (1, 1), (number % 256, number // 256, 99)).save(folder / f"{number:05}.bmp")
    return subprocess.Popen(
        [PROGRAM, "index", folder, "--model", "toy", "--gallery", address, *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def _wait_for(cluster, address, count, run):
    """Wait until a gallery that is being filled has so many documents."""
    with cluster.client() as client:
        while run.poll() is None:
            client.post(f"/{_name(address)}/_refresh")
            answer = client.get(f"/{_name(address)}/_count")
            if answer.is_success and answer.json()["count"] >= count:
                return
            time.sleep(0.05)
    pytest.fail(f"it ended before: {run.communicate()}")


def _is_whole(folder, address):
    """Every picture is in the gallery, once, and nothing is left to do."""
    with Gallery.open(folder, gallery=address) as gallery:
        report = gallery.add()
        assert (report.total, report.unchanged) == (PICTURES, PICTURES)
        ids = [record.id for record in gallery.records()]
        assert len(ids) == len(set(ids)) == len(gallery) == PICTURES
        assert gallery.check() == []
