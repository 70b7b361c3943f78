"""A real Elasticsearch on this machine, of one node or several, for tests, the demo and benchmarks.

    python scripts/elasticsearch_server.py [--nodes 3] [--heap 1g]

starts one, says its address and stops it at Ctrl-C. In Python:

    with Cluster(nodes=3) as cluster:
        cluster.address("photos")       # elasticsearch://127.0.0.1:20413,127.0.0.1:27551,…/photos

The server comes as a Maven package, unpacked once; it needs Java 17 or later and Maven. It listens on
loopback alone, its data lives in a folder of its own, and both are gone when it is stopped. It refuses
to run as root, so root starts it as another user. What a killed run left behind is stopped and deleted
by the next one.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import secrets
import shutil
import signal
import socket
import ssl
import sys
import tempfile
import time
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Self

import httpx
from elasticsearch_node import Node, Security
from elasticsearch_package import ServerMissing, cache, locked, unpacked

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Cluster", "Security", "Server", "ServerMissing"]


class Server:
    """A server that runs already.

    Args:
        urls: of its nodes.
        security: who may come in; None lets everybody.
    """

    def __init__(self, urls: Sequence[str], security: Security | None = None) -> None:
        self.urls = tuple(urls)
        self.security = security

    def address(self, name: str) -> str:
        """The address of a gallery of this name, with every node."""
        schemes, hosts = zip(*(url.rstrip("/").split("://") for url in self.urls), strict=True)
        return f"elasticsearch{'+https' if 'https' in schemes else ''}://{','.join(hosts)}/{name}"

    def client(self, node: int | None = None, **options: Any) -> httpx.Client:
        """A plain http client of one node, for what is asked of the server itself."""
        if self.security:
            options.setdefault("auth", (self.security.user, self.security.password))
            if self.security.authority:
                authority = str(self.security.authority)
                options.setdefault("verify", ssl.create_default_context(cafile=authority))
        url = self.urls[self._living() if node is None else node]
        return httpx.Client(base_url=url, **{"timeout": 60} | options)

    def delete(self, name: str) -> None:
        """Delete the gallery of this name: the index or alias, and every `NAME~…`; none need be there."""
        every = {"expand_wildcards": "all", "ignore_unavailable": "true"}
        with self.client() as client:
            found = client.get(f"/{name},{name}~*", params=every).raise_for_status().json()
            for index in found:
                client.delete(f"/{index}").raise_for_status()

    def _living(self) -> int:
        """A node that answers."""
        return 0


class Cluster(Server):
    """Some nodes of Elasticsearch of our own, started and stopped by `with`.

    Args:
        nodes: how many.
        heap: of each, as Java writes it.
        security: who may come in; None lets everybody.
        quick: start fast, run slower; a benchmark says False.
        home: folder of the unpacked server; None for the plain one.

    Raises:
        ServerMissing: no server can be had here, or it does not start.
    """

    def __init__(
        self,
        *,
        nodes: int = 1,
        heap: str = "512m",
        security: Security | None = None,
        quick: bool = True,
        home: Path | None = None,
    ) -> None:
        home = home or unpacked()
        self._heap, self._quick = heap, quick
        self._folder, self._lock = _own_folder()
        self._nodes = [Node(self._folder / f"node-{number}", home) for number in range(nodes)]
        ports = _free_ports(2 * nodes)
        http, transport = ports[:nodes], ports[nodes:]
        for number, node in enumerate(self._nodes):
            node.furnish(_settings(self._folder.name, number, http, transport), security)
        scheme = "https" if security and security.certificate else "http"
        super().__init__([f"{scheme}://127.0.0.1:{port}" for port in http], security)

    def __enter__(self) -> Self:
        try:
            self.start(*range(len(self._nodes)))
            self.wait(nodes=len(self._nodes))
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *exception: object) -> None:
        self.stop()

    def start(self, *nodes: int) -> None:
        """Start these nodes, again after they were killed, and wait until each answers.

        Raises:
            ServerMissing: one does not start; the message is the last of what it said.
        """
        for node in nodes:
            self._nodes[node].launch(self._heap, quick=self._quick)
        for node in nodes:
            self._nodes[node].ready()

    def kill(self, *nodes: int) -> None:
        """Kill these nodes as `kill -9` does, and wait until they are gone."""
        for node in nodes:
            self._nodes[node].kill()

    def lives(self, node: int) -> bool:
        """Whether this node was started, and neither killed nor ended by itself."""
        return self._nodes[node].lives()

    def wait(self, status: str = "green", *, nodes: int | None = None, seconds: float = 120) -> None:
        """Wait until the cluster has this status, and exactly so many nodes.

        Raises:
            TimeoutError: it was not so in time; the message is what it said last.
        """
        query = {"wait_for_status": status, "timeout": "2s"} | ({"wait_for_nodes": nodes} if nodes else {})
        until, said = time.monotonic() + seconds, "nothing"
        while time.monotonic() < until:
            with contextlib.suppress(httpx.TransportError), self.client(timeout=10) as client:
                answer = client.get("/_cluster/health", params=query)
                said = answer.text
                if answer.is_success:
                    return
            time.sleep(0.1)
        raise TimeoutError(f"the cluster is not {status} after {seconds} s; it said {said}")

    def stop(self) -> None:
        """Kill every node and delete what they kept; nothing happens the second time."""
        for node in self._nodes:
            node.kill()
        shutil.rmtree(self._folder, ignore_errors=True)
        self._lock.close()

    def _living(self) -> int:
        return next((number for number in range(len(self._nodes)) if self.lives(number)), 0)


def _own_folder() -> tuple[Path, IO[str]]:
    """A folder for one run, locked as long as its file is open; those of killed runs are removed."""
    runs = cache() / "runs"
    runs.mkdir(exist_ok=True)
    with locked():
        for folder in runs.iterdir():
            with (folder / "lock").open("w") as lock, contextlib.suppress(BlockingIOError):
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                _remove(folder)
        own = Path(tempfile.mkdtemp(dir=runs))
        own.chmod(0o755)
        file = (own / "lock").open("w")
        fcntl.flock(file, fcntl.LOCK_EX)
    return own, file


def _remove(run: Path) -> None:
    """End the servers of a run, and delete its folder."""
    for folder in run.glob("node-*"):
        Node(folder, folder).kill()
    shutil.rmtree(run, ignore_errors=True)


def _free_ports(count: int) -> list[int]:
    """Ports nobody listens on, below those that the system gives to outgoing connections.

    Among those, a client that knocks at a killed node's port could be given that very port, and keep it.
    """
    with contextlib.ExitStack() as stack:
        found: list[int] = []
        while len(found) < count:
            port = 20_000 + secrets.randbelow(12_000)
            with contextlib.suppress(OSError):
                stack.enter_context(socket.socket()).bind(("127.0.0.1", port))
                found.append(port)
    return found


def _settings(run: str, node: int, http: Sequence[int], transport: Sequence[int]) -> dict[str, Any]:
    """What one of several nodes has to know."""
    names = [f"node-{number}" for number in range(len(http))]
    together: dict[str, Any] = {
        "cluster.initial_master_nodes": names,
        "discovery.seed_hosts": [f"127.0.0.1:{port}" for port in transport],
    }
    return {
        "cluster.name": f"lookalike-{run}",
        "node.name": names[node],
        "network.host": "127.0.0.1",
        "http.port": http[node],
        "transport.port": transport[node],
        "cluster.routing.allocation.disk.threshold_enabled": False,
        **(together if len(names) > 1 else {"discovery.type": "single-node"}),
    }


def main() -> None:
    """Run a server in the foreground until Ctrl-C."""
    parser = argparse.ArgumentParser(description="Run a real Elasticsearch until Ctrl-C.")
    parser.add_argument("--nodes", type=int, default=1, help="how many nodes (default 1)")
    parser.add_argument("--heap", default="512m", help="heap of each node (default 512m)")
    parser.add_argument("--full-speed", action="store_true", help="start slower and run faster")
    asked = parser.parse_args()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    with contextlib.suppress(KeyboardInterrupt):
        try:
            with Cluster(nodes=asked.nodes, heap=asked.heap, quick=not asked.full_speed) as cluster:
                print(f"{cluster.address('NAME')}\nCtrl-C stops it", flush=True)
                signal.pause()
        except ServerMissing as missing:
            sys.exit(str(missing))


if __name__ == "__main__":
    main()
