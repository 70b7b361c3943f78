"""Pictures described by Ray: where one machine is not enough, and for nothing else.

Ray Data does what is distributed: it deals out numbers to a pool of workers as they take them, and that of
one that died to another. Each stands for a batch of addresses, which a foreman in the cluster holds until it
is answered; so no more of them are held than are being dealt with. A worker describes pictures as one machine
does. Where the store takes many writers it writes them, too; else this process does.
"""

from __future__ import annotations

import logging
import os
import pickle
import re
import socket
import tempfile
import threading
import time
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from itertools import compress, count
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from lookalike.errors import LookalikeError, UsageError
from lookalike.extractors import runtime
from lookalike.indexing.extract import Part, apart, together
from lookalike.indexing.pipeline import Worker
from lookalike.system import imports
from lookalike.system.process import without

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator, Sequence

    from lookalike.indexing.extract import Describer
    from lookalike.indexing.pipeline import Job
    from lookalike.indexing.plan import Work
    from lookalike.sources.memory import Memory

BATCH = 32
"""Pictures that a worker is given at a time, and that another one does again if it dies."""

_SHARE = 0.5  # of a processor asked for each that a worker uses: others still find room on a full cluster
_AHEAD = 4  # batches a worker that are in the cluster: one is dealt with, the others wait their turn
_DEATHS = 3  # of workers over one batch, after which it is not given to yet another
_LIFETIME = 2_000  # batches a worker, after which all are replaced: Ray Data remembers 3 kB of each till then
_OBJECTS = 200 << 20  # bytes of shared memory of a cluster of our own; a described batch takes 200 kB
_LOOK, _STALLED = 5.0, 600.0  # seconds without an answer till somebody looks for the cluster, and gives up


class Cluster:
    """Ray workers that describe pictures: `gallery.add(folder, workers=Cluster("auto"))`.

    The workers need lookalike installed, and must see the pictures by the same paths or addresses. If Ray
    was started in this process already, that is used.

    Args:
        address: `auto` for the cluster this machine belongs to, `local` for one of this machine alone, which
            is stopped in the end, or a cluster's address, as `ray://head:10001`.
        size: how many workers; default one a processor.
        patience: seconds until the first worker must have started.

    >>> from lookalike import Gallery
    >>> with Gallery.open("~/Pictures") as gallery:  # doctest: +SKIP
    ...     gallery.add(workers=Cluster("local"))
    """

    def __init__(self, address: str = "auto", *, size: int | None = None, patience: float = 120.0) -> None:
        if (size is not None and size < 1) or patience <= 0:
            raise UsageError("size and patience of a cluster must be above 0")
        self.address = address
        self.size = size
        self.patience = patience

    def describe(
        self, works: Iterable[Work | Memory], job: Job, here: Describer
    ) -> Generator[Part, None, None]:
        """Deal with every work, in no order; see `lookalike.indexing.pipeline.Workers`.

        Pictures that are no files are described by this process.

        Raises:
            LookalikeError: the cluster can't be reached, has no room, or stopped; or what a worker met.
            MissingExtra: the extra `ray` is not installed.
        """
        works = iter(works)
        batches: list[list[Work]] = []
        yield from here.describe(apart(works, batches, 1, BATCH))
        if not batches:
            return
        with self._joined(job) as pool:
            while True:
                yield from here.describe(apart(works, batches, pool.most - pool.waiting, BATCH))
                if not batches and not pool.waiting:
                    return
                yield from pool.describe(batches)
                batches = []

    @contextmanager
    def _joined(self, job: Job) -> Iterator[_Pool]:
        """The pool of workers, in a cluster that is left in the end, or stopped if it was started here."""
        started = time.monotonic()
        ray = _ray()
        with _clear_errors(ray, self.address), ExitStack() as ending:
            if not ray.is_initialized():
                _join(ray, self.address, ending)
            pool = _Pool(ray, job.pickled(), self, started)
            # With the foreman go the workers. Ray would look for another cluster where this one is gone.
            ending.callback(lambda: ray.is_initialized() and ray.kill(pool.foreman))
            yield pool


class _Pool:
    """Workers for one job.

    waiting, most: how many batches they have that are not answered, and may have.
    """

    def __init__(self, ray: Any, job: bytes, cluster: Cluster, started: float) -> None:
        nodes = [int(node["Resources"].get("CPU", 0)) for node in ray.nodes() if node["Alive"]]
        if not any(nodes):
            raise LookalikeError("the Ray cluster has no processors; add a node, or start it with --num-cpus")
        self.waiting = 0
        self._ray = ray
        self._cluster = cluster
        self._started: float | None = started
        size = cluster.size or sum(nodes)
        self.most = _AHEAD * size
        self._cores = runtime.share(nodes, size)
        # Where this process is connected to: without that node it could not go on itself.
        pinned = ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy(
            ray.get_runtime_context().get_node_id(), soft=False
        )
        actor = ray.remote(num_cpus=0, max_concurrency=16, scheduling_strategy=pinned)(_Foreman)
        self.foreman = actor.remote(job, self._cores, size, cluster.patience, _LIFETIME, pinned)
        self._running = self.foreman.run.remote()

    def describe(self, batches: Sequence[list[Work]]) -> Generator[Part, None, None]:
        """Give the workers more; what became of some that they have, once there is something."""
        self.waiting += len(batches)
        for answer in self._awaited(self.foreman.exchange.remote([pickle.dumps(b) for b in batches])):
            self.waiting -= 1
            part = pickle.loads(answer)  # noqa: S301  # a worker's, by way of Ray
            if isinstance(part, LookalikeError):
                raise part
            if self._started is not None:
                part = part._replace(waited=time.monotonic() - self._started)
                self._started = None
            yield part

    def _awaited(self, answers: Any) -> list[bytes]:
        """What the foreman answers."""
        until = time.monotonic() + self._cluster.patience + _STALLED
        while not (done := self._ray.wait([answers, self._running], timeout=_LOOK)[0]):
            # A client learns by itself that its cluster is gone; of others Ray would end the process.
            if not self._ray.util.client.ray.is_connected():
                _reach(self._ray.get_runtime_context().gcs_address)
            if time.monotonic() > until:
                raise TimeoutError(f"no worker has answered for {_STALLED:g} s")
        try:
            return cast("list[bytes]", self._ray.get(done[0]))
        except self._ray.exceptions.GetTimeoutError as error:
            free, there = self._ray.available_resources(), self._ray.cluster_resources()
            raise LookalikeError(
                f"no worker could be started within {self._cluster.patience:g} s: it needs "
                f"{_SHARE * self._cores:g} processors of one node, and {free.get('CPU', 0):g} of the "
                f"{there['CPU']:g} of the Ray cluster are free; wait for other work there, or add a node"
            ) from error


@dataclass
class _Batch:
    """Pickled works without an answer.

    begun: how often; all but the last time by a worker that died of it.
    at: which work it then was at, where they were done one by one.
    """

    works: bytes
    begun: int = 0
    at: int = 0


@dataclass(eq=False)
class _Foreman:
    """An actor that holds the batches, runs Ray Data, and gathers the answers; called on several threads.

    job: pickled.
    cores, size: processors that a worker uses, and how many workers there may be.
    patience: seconds until the first must have started.
    lifetime: batches a worker, after which all are replaced.
    pinned: makes a task run where the foreman does.
    """

    job: bytes
    cores: int
    size: int
    patience: float
    lifetime: int
    pinned: Any
    _change: threading.Condition = field(default_factory=threading.Condition)
    _batches: dict[int, _Batch] = field(default_factory=dict)
    _given: int = 0
    _answers: list[bytes] = field(default_factory=list)

    def run(self) -> None:
        """Deal out batches and gather answers, as long as this actor lives."""
        self.size = min(self.size, self.given(0))
        for first in count(0, self.lifetime * self.size):
            for answers in self._described(first, first + self.lifetime * self.size):
                with self._change:
                    new = (self._batches.pop(n, None) is not None for n in answers["number"].tolist())
                    self._answers += compress(answers["answer"], new)
                    self._change.notify_all()

    def exchange(self, batches: Sequence[bytes]) -> list[bytes]:
        """Take batches, and give the answers that there are, once there are any."""
        with self._change:
            self._batches |= {number: _Batch(works) for number, works in enumerate(batches, self._given)}
            self._given += len(batches)
            self._change.notify_all()
            self._change.wait_for(lambda: self._answers)
            answers, self._answers = self._answers, []
            return answers

    def given(self, number: int) -> int:
        """How many batches there have been, once that of this number has come."""
        with self._change:
            self._change.wait_for(lambda: number < self._given)
            return self._given

    def begin(self, number: int, place: int | None = None) -> _Batch | None:
        """A batch that a worker is about to deal with, or one picture of it; None if it is answered."""
        with self._change:
            batch = self._batches.get(number)
            if batch is not None:
                batch.begun += place is None
                batch.at = batch.at if place is None else place
            return batch

    def _described(self, first: int, end: int) -> Any:
        """What the workers answer to the batches of these numbers, in no order; iterate it."""
        from ray import data

        me = _ray().get_runtime_context().current_actor
        context = data.DataContext.get_current()
        context.enable_progress_bars = context.print_on_execution_start = False
        context.wait_for_min_actors_s = self.patience
        context.execution_no_progress_timeout_s = -1  # for it may be this side that has nothing to give
        context.target_max_block_size = 1  # bytes: each number is dealt out by itself, and at once
        growth = context.autoscaling_config  # to all that find room, at once, and never back
        growth.actor_pool_util_upscaling_threshold = 1 / self.size
        growth.actor_pool_util_downscaling_threshold = -1
        numbers = data.from_items([{"first": first, "end": end}]).flat_map(
            _numbers, fn_args=(me,), num_cpus=0, scheduling_strategy=self.pinned
        )
        return numbers.map(
            _Worker,
            fn_constructor_args=(self.job, self.cores, me),
            compute=data.ActorPoolStrategy(min_size=1, max_size=self.size),
            num_cpus=_SHARE * self.cores,
        ).iter_batches(batch_size=None, prefetch_batches=0, batch_format="numpy")


def _numbers(row: dict[str, int], foreman: Any) -> Iterator[dict[str, int]]:
    """The numbers of batches as these come; the same ones where it has to be done again."""
    given = 0
    for number in range(row["first"], row["end"]):
        if number >= given:
            given = _ray().get(foreman.given.remote(number))
        yield {"number": number}


class _Worker(Worker):
    """What runs elsewhere: built once a worker, called with the number of a batch at a time."""

    def __init__(self, job: bytes, cores: int, foreman: Any) -> None:
        os.environ[runtime.CORES] = str(cores)
        super().__init__(pickle.loads(job))  # noqa: S301  # our own, by way of Ray
        self._foreman = foreman

    def __call__(self, row: dict[str, int]) -> dict[str, Any]:
        """The pickled part of a batch, or the pickled error that ends it all."""
        number = row["number"]
        batch: _Batch | None = _ray().get(self._foreman.begin.remote(number))
        try:
            answer: Any = batch and self._answer(number, batch)
        except LookalikeError as error:
            error.args = (f"a worker on {socket.gethostname()} met this: {error}",)
            answer = error
        return {"number": number, "answer": pickle.dumps(answer)}

    def _answer(self, number: int, batch: _Batch) -> Part:
        """The part; where workers died of the batch its pictures are read one by one, to know of which."""
        works: list[Work] = pickle.loads(batch.works)  # noqa: S301
        if batch.begun == 1:
            return self.describe(works)
        if batch.begun > _DEATHS:
            raise LookalikeError(
                f"{_DEATHS} workers died, the last of them over {works[batch.at].id}; take it away, or give "
                "them more memory, and run the same again to go on"
            )
        done = []
        for place, work in enumerate(works):
            _ray().get(self._foreman.begin.remote(number, place))
            done.append(self.describe([work]))
        return together(done)


def _ray() -> Any:
    """Ray, which reports nothing of its use and says nothing of its own accord."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
    os.environ.setdefault("RAY_DEDUP_LOGS_SKIP_REGEX", "^")  # else a death is told on standard output
    os.environ.setdefault("RAY_worker_niceness", "0")  # else all that runs beside workers goes before them
    try:
        import ray
        import ray.util.client
        import ray.util.scheduling_strategies
    except ImportError as error:
        raise imports.missing("Ray", "ray") from error
    logging.getLogger("ray.data").setLevel(logging.CRITICAL)
    return ray


def _join(ray: Any, address: str, ending: ExitStack) -> None:
    """Connect this process to a cluster, or start one.

    Raises:
        LookalikeError: there is none at that address.
    """
    wishes: dict[str, Any] = {"logging_level": logging.CRITICAL, "log_to_driver": False}
    known = _last_cluster() if address == "auto" else address
    if address == "local":
        # For its sockets, whose paths may not be long; it goes when nobody uses it any more.
        place = tempfile.TemporaryDirectory(prefix="ray-", dir="/tmp", ignore_cleanup_errors=True)
        ending.callback(place.cleanup)
        wishes |= {"num_cpus": runtime.cores(), "include_dashboard": False, "_temp_dir": place.name}
        wishes |= {"object_store_memory": _OBJECTS}
    elif address != "auto" and not re.fullmatch(r"ray://.+:\d+", address):
        raise UsageError(
            f"{address!r} is no address of a Ray cluster; expected auto, local, or one such as ray://head:10001"
        )
    ending.callback(ray.shutdown)
    logging.getLogger("ray.util.client.logsclient").disabled = True
    try:
        _reach(known)
        _init(ray, address, wishes)
    except (RuntimeError, ValueError, OSError) as error:
        nowhere = "Ray can't be started here" if address == "local" else "no Ray cluster was found"
        where = f"no Ray cluster answers at {known}" if ":" in known else nowhere
        raise LookalikeError(
            f"{where} ({_first_line(error)}); start one with `ray start --head`, open to clients at 10001, "
            "or use --ray local; one that asks for a token wants RAY_AUTH_MODE=token here, too"
        ) from error


def _init(ray: Any, address: str, wishes: dict[str, Any], tries: int = 3) -> None:
    """Connect; again where the server that the head forks for each client is dead at birth, as some are."""
    try:
        with without(b""):  # where the part of Ray that is not Python tells that it is to be quiet
            ray.init(address, **wishes)
    except ConnectionAbortedError:  # https://github.com/ray-project/ray/issues/63202
        if tries == 1:
            raise
        _init(ray, address, wishes, tries - 1)


def _last_cluster() -> str:
    """Where Ray will look for the cluster that this machine belongs to; "" where it finds that otherwise."""
    place = Path(os.environ.get("RAY_TMPDIR") or tempfile.gettempdir(), "ray", "ray_current_cluster")
    with suppress(OSError):
        return os.environ.get("RAY_ADDRESS") or place.read_text().strip()
    return ""


def _reach(address: str) -> None:
    """Raise an `OSError` at once where nobody listens: Ray itself would try for minutes."""
    host, _, port = address.rpartition("://")[2].rpartition(":")
    if port.isdecimal():
        socket.create_connection((host.strip("[]"), int(port)), 10).close()  # seconds


@contextmanager
def _clear_errors(ray: Any, address: str) -> Iterator[None]:
    """Say in our words what went wrong in the cluster."""
    try:
        yield
    except (ray.exceptions.RayError, ImportError, OSError) as error:
        raise LookalikeError(
            f"the Ray cluster {address} stopped the work: {_first_line(error)}; run the same again to go on"
        ) from error


def _first_line(error: BaseException) -> str:
    """What an error says, without the traces that Ray adds."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [""]
    told = [line for line in lines if re.match(r"\w+Error: ", line)] or lines
    return f"{type(error).__name__}: {told[-1][:300]}"
