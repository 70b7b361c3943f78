"""Pictures described by Ray: where one machine is not enough, and for nothing else.

Ray Data does what is distributed: it hands batches of addresses to a pool of workers, holds back where
they come faster than they are dealt with, and gives the batch of a worker that died to another. A worker
reads and describes pictures as one machine does. Where the store takes many writers it writes them, too;
else this process does. What is to be done, and what became of it, is told here alone.
"""

from __future__ import annotations

import logging
import os
import pickle
import re
import socket
import tempfile
from contextlib import ExitStack, closing, contextmanager, suppress
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from lookalike import stores
from lookalike.describing import Describer, Part
from lookalike.errors import LookalikeError, MissingExtra, UsageError
from lookalike.extractors import runtime
from lookalike.ingest import write
from lookalike.loading import Memory

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator

    from lookalike.ingest import Job
    from lookalike.plan import Work
    from lookalike.types import Store

BATCH = 32
"""Pictures that a worker is given at a time, and that another one does again if it dies."""

_SHARE = 0.5  # of a processor asked for each that a worker uses: others still find room on a full cluster
_ROUND = 50_000  # pictures a worker; their addresses are held in memory here until the round is done
_BLOCKS = 20_000  # at most of one round, for Ray keeps a record of each
_OBJECTS = 200 << 20  # bytes of shared memory of a cluster of our own; a described batch takes 200 kB
_CONNECT = 10.0  # seconds
_STALLED = 600.0  # seconds without any progress after the first


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
        """Deal with every work, in no order; see `lookalike.ingest.Workers`.

        Pictures that are no files are described by this process.

        Raises:
            LookalikeError: the cluster can't be reached, has no room, or stopped; or what a worker met.
            MissingExtra: the extra `ray` is not installed.
        """
        works = iter(works)
        with ExitStack() as ending:
            pool: _Pool | None = None
            while True:
                most = _ROUND * (1 if pool is None else pool.size)
                taken = _Round(works, most)
                yield from here.describe(taken)
                if not taken.batches:
                    return
                if pool is None:
                    pool = ending.enter_context(self._joined(job))
                yield from pool.describe(taken.batches)

    @contextmanager
    def _joined(self, job: Job) -> Iterator[_Pool]:
        """The pool of workers, in a cluster that is left in the end, or stopped if it was started here."""
        ray = _ray()
        with ExitStack() as ending, _clear_errors(ray, self.address):
            if not ray.is_initialized():
                _join(ray, self.address, ending)
            yield _Pool(ray, _pickled(job), self.size, self.patience)


class _Round:
    """Works for the workers, in pickled batches; iterated, it gives those that are not for them."""

    def __init__(self, works: Iterator[Work | Memory], most: int) -> None:
        self.batches: list[bytes] = []
        self._works = works
        self._most = most

    def __iter__(self) -> Iterator[Memory]:
        batch: list[Work] = []
        count = 0
        while count < self._most and (work := next(self._works, None)) is not None:
            if isinstance(work, Memory):
                yield work
                continue
            batch.append(work)
            count += 1
            if len(batch) == BATCH:
                self.batches.append(pickle.dumps(batch))
                batch = []
        if batch:
            self.batches.append(pickle.dumps(batch))


class _Pool:
    """Workers for one job."""

    def __init__(self, ray: Any, job: bytes, size: int | None, patience: float) -> None:
        processors = int(ray.cluster_resources().get("CPU", 0))
        if processors < 1:
            raise LookalikeError("the Ray cluster has no processors; add a node, or start it with --num-cpus")
        self.size = size or processors
        self._ray = ray
        self._job = job
        self._patience = patience
        self._cores = max(1, processors // self.size)

    def describe(self, batches: list[bytes]) -> Generator[Part, None, None]:
        """What became of pickled batches of works."""
        share = _SHARE * self._cores
        most = min(self.size, len(batches))
        room = int(self._ray.available_resources().get("CPU", 0.0) / share)
        how = _Run(self._job, self._cores, share, most, max(1, min(most, room)), self._patience)
        # From outside of a cluster Ray Data can't be asked for its answers one by one.
        outside = self._ray.util.client.ray.is_connected()
        with closing((self._from_outside if outside else _answers)(how, batches)) as answers:
            for answer in answers:
                yield _part(answer)

    def _from_outside(self, how: _Run, batches: list[bytes]) -> Generator[bytes, None, None]:
        """The answers, by way of a process inside the cluster that asks for them."""
        inside = self._ray.remote(num_cpus=0)(_Inside).remote(how, batches)
        try:
            self._ray.get(inside.ready.remote(), timeout=self._patience)
            while answers := self._ray.get(inside.more.remote()):
                yield from answers
        finally:
            self._ray.kill(inside)


class _Run(NamedTuple):
    """How a pool of workers is run.

    job: pickled.
    cores: processors that a worker uses.
    share: how many of them it asks for.
    most: how many workers there may be.
    first: how many are started at once.
    patience: seconds until these must have started.
    """

    job: bytes
    cores: int
    share: float
    most: int
    first: int
    patience: float


def _answers(how: _Run, batches: list[bytes]) -> Generator[bytes, None, None]:
    """What the workers answer to each batch, in no order."""
    data = _ray().data
    context = data.DataContext.get_current().copy()
    context.enable_progress_bars = context.print_on_execution_start = False
    context.wait_for_min_actors_s = how.patience
    context.execution_no_progress_timeout_s = max(_STALLED, how.patience)
    with data.DataContext.current(context):
        blocks = min(len(batches), _BLOCKS)
        works = data.from_items([{"works": batch} for batch in batches], override_num_blocks=blocks)
        described = works.map(
            _Worker,
            fn_constructor_args=(how.job, how.cores),
            compute=data.ActorPoolStrategy(min_size=1, max_size=how.most, initial_size=how.first),
            num_cpus=how.share,
        ).iter_batches(batch_size=None, prefetch_batches=0, batch_format="numpy")
        with closing(iter(described)) as answered:
            for block in answered:
                yield from block["part"]


class _Inside:
    """Asks for the answers from inside the cluster."""

    def __init__(self, how: _Run, batches: list[bytes]) -> None:
        self._answers = _answers(how, batches)

    def ready(self) -> None:
        """Nothing, once it runs."""

    def more(self) -> list[bytes]:
        """The next answers; none in the end."""
        return list(islice(self._answers, 1))


class _Worker:
    """What runs elsewhere: built once a worker, called with a batch at a time."""

    def __init__(self, job: bytes, cores: int) -> None:
        os.environ[runtime.CORES] = str(cores)
        self._job: Job = pickle.loads(job)  # noqa: S301  # our own, by way of Ray
        self._describer: Describer | None = None
        self._store: Store | None = None

    def __call__(self, row: dict[str, bytes]) -> dict[str, bytes]:
        """The pickled part for pickled works, or the pickled error that ends it all."""
        works = pickle.loads(row["works"])  # noqa: S301
        answer: Part | LookalikeError
        try:
            answer = self._describe(works)
        except LookalikeError as error:
            answer = error
        return {"part": pickle.dumps(answer)}

    def _describe(self, works: list[Work]) -> Part:
        describer = self._ready()
        parts = list(describer.describe(works))
        describer.claimed.clear()
        done = Part(
            rows=[row for part in parts for row in part.rows],
            same=[item for part in parts for item in part.same],
            skipped=[skip for part in parts for skip in part.skipped],
            precision=max((part.precision for part in parts), default=""),
            sifted=self._store is not None,
        )
        if self._store is None or not done.rows:
            return done
        with self._store.writing():
            written = write(self._store, done.rows)
        return done._replace(
            rows=(),
            skipped=[*done.skipped, *written.skipped],
            added=written.added,
            updated=written.updated,
        )

    def _ready(self) -> Describer:
        if self._describer is None:
            job = self._job
            self._store = None if job.store is None else stores.open_store(job.store)
            self._describer = Describer(
                self._store, lambda: job.model.extractor(job.header), job.root, job.limits
            )
        return self._describer


def _part(answer: bytes) -> Part:
    """What a worker answered. Raises the error that it met."""
    part = pickle.loads(answer)  # noqa: S301  # a worker's, by way of Ray
    if isinstance(part, LookalikeError):
        raise part
    return cast("Part", part)


def _pickled(job: Job) -> bytes:
    try:
        return pickle.dumps(job)
    except (TypeError, AttributeError, pickle.PicklingError) as error:
        raise UsageError(
            f"the extractor can't be sent to workers ({error}); open the gallery by the model's name"
        ) from error


def _ray() -> Any:
    """Ray, which reports nothing of its use and says nothing of its own accord."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
    try:
        import ray
        import ray.data
    except ImportError as error:
        raise MissingExtra("Ray is an extra package: pip install 'lookalike[ray]'") from error
    logging.getLogger("ray.data").setLevel(logging.CRITICAL)
    return ray


def _join(ray: Any, address: str, ending: ExitStack) -> None:
    """Connect this process to a cluster, or start one.

    Raises:
        LookalikeError: there is none at that address.
    """
    wishes: dict[str, Any] = {"logging_level": logging.CRITICAL, "log_to_driver": False}
    if address == "local":
        # Its sockets lie there, whose paths may not be long.
        place = tempfile.TemporaryDirectory(prefix="ray-", dir="/tmp", ignore_cleanup_errors=True)
        # It goes when nobody uses it any more.
        ending.callback(place.cleanup)
        wishes |= {"num_cpus": runtime.cores(), "include_dashboard": False, "_temp_dir": place.name}
        wishes |= {"object_store_memory": _OBJECTS}
    elif address == "auto":
        _require_somebody(_last_cluster())
    elif re.fullmatch(r"ray://.+:\d+", address):
        _require_somebody(address)
    else:
        raise UsageError(
            f"{address!r} is no address of a Ray cluster; expected auto, local, or one such as ray://head:10001"
        )
    ending.callback(ray.shutdown)
    try:
        with _silent():
            ray.init(address, **wishes)
    except (ConnectionError, RuntimeError, ValueError, TimeoutError, OSError) as error:
        wheres = {"auto": "no Ray cluster was found", "local": "Ray can't be started here"}
        where = wheres.get(address, f"no Ray cluster answers at {address}")
        raise LookalikeError(
            f"{where} ({_first_line(error)}); start one with `ray start --head`, or use this machine alone "
            "by --ray local; one that asks for a token wants RAY_AUTH_MODE=token here, too"
        ) from error


@contextmanager
def _silent() -> Iterator[None]:
    """No line on standard error, where the part of Ray that is not Python tells that it is to be quiet."""
    kept = os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


def _last_cluster() -> str:
    """Where Ray will look for the cluster that this machine belongs to; "" where it finds that otherwise."""
    place = Path(os.environ.get("RAY_TMPDIR") or tempfile.gettempdir(), "ray", "ray_current_cluster")
    with suppress(OSError):
        return os.environ.get("RAY_ADDRESS") or place.read_text().strip()
    return ""


def _require_somebody(address: str) -> None:
    """Raise at once where nobody listens: Ray itself would try for minutes."""
    host, _, port = address.rpartition("://")[2].rpartition(":")
    if not port.isdecimal():
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), _CONNECT).close()
    except OSError as error:
        raise LookalikeError(
            f"no Ray cluster answers at {address} ({error.strerror or error}); is it running, and is its "
            "port for clients (10001, unless told otherwise) open to this machine?"
        ) from error


@contextmanager
def _clear_errors(ray: Any, address: str) -> Iterator[None]:
    """Say in our words what went wrong in the cluster."""
    try:
        yield
    except ray.exceptions.GetTimeoutError as error:
        raise LookalikeError(_no_room(ray)) from error
    except (ray.exceptions.RayError, ConnectionError) as error:
        raise LookalikeError(
            f"the Ray cluster {address} stopped the work: {_first_line(error)}; run the same again to go on"
        ) from error


def _no_room(ray: Any) -> str:
    """Why no worker started."""
    free = ray.available_resources().get("CPU", 0.0)
    there = ray.cluster_resources().get("CPU", 0.0)
    return (
        f"no worker could be started: it needs {_SHARE:g} of a processor, and {free:g} of the {there:g} of "
        "the Ray cluster are free; wait for other work there to end, or add a node"
    )


def _first_line(error: BaseException) -> str:
    """What an error says, without the traces that Ray adds."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[-1][:300]}" if lines else type(error).__name__
