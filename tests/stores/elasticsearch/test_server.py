"""The server that the other tests use: it is on this machine alone, and leaves nothing behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import uuid
from pathlib import Path

import httpx
import pytest
from elasticsearch_node import command_line
from elasticsearch_server import Cluster, Security

SCRIPT = Path(__file__).parents[3] / "scripts" / "elasticsearch_server.py"
PATIENCE = 120  # seconds for what takes a tenth of that on an idle machine


@pytest.fixture
def script(elasticsearch):
    """The script in a process of its own, as one types it; what it left is removed by the next run."""
    if os.environ.get("LOOKALIKE_TEST_ELASTICSEARCH"):
        pytest.skip("a server of one's own is not started by the script")
    process = subprocess.Popen([sys.executable, SCRIPT], stdout=subprocess.PIPE, text=True)
    with process:
        yield process
        process.kill()
    Cluster().stop()


def _until(condition):
    """Wait until something is so; that it never is fails the test."""
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.05)


def _group_ended(process):
    """Whether nothing runs any more of what a process started in a session of its own."""
    try:
        os.killpg(process, 0)
    except ProcessLookupError:
        return True
    return False


def _children(pid):
    listed = subprocess.run(["pgrep", "-P", str(pid)], capture_output=True, text=True, check=False)
    return [int(word) for word in listed.stdout.split()]


def _server_of(address):
    """The process that answers at a gallery's address."""
    url = address.replace("elasticsearch://", "http://").rsplit("/", 1)[0]
    nodes = httpx.get(f"{url}/_nodes/process").json()["nodes"]
    return next(iter(nodes.values()))["process"]["id"]


def test_a_server_listens_on_loopback_alone(elasticsearch, elasticsearch_address):
    """Every url is on this machine, and the name that a test was given is nobody's yet."""
    name = elasticsearch_address.rsplit("/", 1)[1]
    with elasticsearch.client() as client:
        nodes = client.get("/_nodes/http").json()["nodes"].values()
        assert client.head(f"/{name}").status_code == httpx.codes.NOT_FOUND
    assert all(bound.startswith("127.0.0.1:") for node in nodes for bound in node["http"]["bound_address"])


def test_what_a_test_wrote_is_deleted_by_its_name(elasticsearch):
    """`delete` takes a gallery's indices, also behind an alias, and no other whose name begins so."""
    mine = f"test-{uuid.uuid4().hex}"
    with elasticsearch.client() as client:
        for index in (f"{mine}~000001", f"{mine}~000002", f"{mine}-other"):
            client.put(f"/{index}", json={"aliases": {f"{index}-alias": {}}}).raise_for_status()
        elasticsearch.delete(mine)
        left = set(client.get("/_all").json())
        elasticsearch.delete(f"{mine}-other")
        elasticsearch.delete(f"{mine}-other")  # a second time there is nothing to do
    assert {index for index in left if index.startswith(mine)} == {f"{mine}-other"}


def test_ctrl_c_while_it_starts_ends_everything(script):
    """The launcher is in a session of its own, so that we end it, and the server that it may have begun."""
    _until(lambda: _children(script.pid))
    (launcher,) = _children(script.pid)
    time.sleep(2)  # far enough that the server's own process is about to begin
    script.send_signal(signal.SIGINT)
    assert script.wait(PATIENCE) == 0
    _until(lambda: _group_ended(launcher))


def test_the_server_of_a_killed_run_is_ended_by_the_next(script):
    """The script is killed: its server goes on, not as root, until another run finds its pid file."""
    server = _server_of(script.stdout.readline())
    script.kill()
    script.wait()
    assert "elasticsearch" in command_line(server)
    owner = subprocess.run(["ps", "-o", "uid=", "-p", str(server)], check=True, capture_output=True)
    assert int(owner.stdout) != 0
    Cluster().stop()
    _until(lambda: not command_line(server))


def test_a_password_is_not_in_the_repr():
    """What pytest shows of a failing test's arguments holds no secret."""
    assert "hidden" not in repr(Security(user="someone", password="hidden"))  # noqa: S106
