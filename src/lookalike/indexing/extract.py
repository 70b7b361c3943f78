"""From pictures to vectors: read ahead on threads, run the network. Nothing is written here.

Loader threads read, digest and decode chunks of pictures in a bounded window; `extractor.parallel`
threads run the network. So memory does not depend on how many pictures there are.
"""

from __future__ import annotations

from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, NamedTuple

from lookalike.extractors.runtime import cores
from lookalike.indexing.load import READERS, Loader, chunks
from lookalike.reports import Skip
from lookalike.sources.memory import Memory
from lookalike.types import Skipped

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator, Sequence

    from lookalike.indexing.load import Loaded
    from lookalike.indexing.plan import Work
    from lookalike.sources.access import Access
    from lookalike.types import Extraction, Extractor, Floats, Record, Store

_KEPT_SCORES = 20


class Row(NamedTuple):
    """A picture described, to be written.

    vector: ndarray of shape (dim,), float32.
    known: whether the gallery had a picture of this id when the work was planned; None if not looked up.
    anew: whether it was described again though its bytes were known.
    """

    record: Record
    vector: Floats
    known: bool | None = None
    anew: bool = False


class Part(NamedTuple):
    """What became of some works.

    rows: pictures described.
    same: pictures whose bytes are known, or are being described under another id.
    skipped: what could not be read.
    added, updated: how many were described and are written already.
    precision: of the arithmetic, where something was described.
    sifted: whether known bytes were looked for; else there may be such among the rows.
    damaged: pictures among the rows of which something is missing, and what.
    waited: seconds until workers elsewhere had begun, told with the first of what they did.
    """

    rows: Sequence[Row] = ()
    same: Sequence[Loaded] = ()
    skipped: Sequence[Skipped] = ()
    added: int = 0
    updated: int = 0
    precision: str = ""
    sifted: bool = True
    damaged: Sequence[Skip] = ()
    waited: float = 0.0


def together(parts: Sequence[Part]) -> Part:
    """Several parts as one."""
    return Part(
        rows=[row for part in parts for row in part.rows],
        same=[item for part in parts for item in part.same],
        skipped=[skip for part in parts for skip in part.skipped],
        added=sum(part.added for part in parts),
        updated=sum(part.updated for part in parts),
        precision=max((part.precision for part in parts), default=""),
        sifted=all(part.sifted for part in parts),
        damaged=[skip for part in parts for skip in part.damaged],
        waited=sum(part.waited for part in parts),
    )


def apart(
    works: Iterator[Work | Memory], batches: list[list[Work]], most: int, size: int
) -> Iterator[Memory]:
    """Gather files in batches of a size for workers elsewhere until there are so many; give the others."""
    batch: list[Work] = []
    while len(batches) < most and (work := next(works, None)) is not None:
        if isinstance(work, Memory):
            yield work
            continue
        batch.append(work)
        if len(batch) == size:
            batches.append(batch)
            batch = []
    if batch:
        batches.append(batch)


@dataclass(frozen=True, slots=True)
class Describer:
    """Describes pictures with the threads of this process.

    store: tells which bytes are known; None where that is not looked for.
    extractor: gives the model when the first picture needs it.
    access: what is read.
    claimed: digests of what is described and not yet written; whoever writes takes them out.
    """

    store: Store | None
    extractor: Callable[[], Extractor]
    access: Access
    claimed: set[bytes] = field(default_factory=set)

    def describe(self, works: Iterable[Work | Memory]) -> Generator[Part, None, None]:
        """Deal with every work, about in order, as far ahead of who takes the parts as the window is wide."""
        ahead = 2 * cores() + 2
        parts = chunks(works)
        loading: deque[Future[list[Loaded | Skipped]]] = deque()
        running: deque[tuple[list[Loaded], Future[Extraction]]] = deque()
        network: ThreadPoolExecutor | None = None
        with ExitStack() as ending:
            readers = ThreadPoolExecutor(READERS, "lookalike-read")
            ending.callback(readers.shutdown, cancel_futures=True)
            loaders = ThreadPoolExecutor(cores(), "lookalike-load")
            ending.callback(loaders.shutdown, cancel_futures=True)
            loader = Loader(self.store, self.extractor, self.access, readers)
            while True:
                while len(loading) < ahead and (chunk := next(parts, None)) is not None:
                    loading.append(loaders.submit(loader.load, chunk))
                if not loading:
                    break
                fresh, part = self._sort(loading.popleft().result())
                if part.same or part.skipped:
                    yield part
                if fresh:
                    if network is None:
                        network = ThreadPoolExecutor(self.extractor().parallel, "lookalike-network")
                        ending.callback(network.shutdown, cancel_futures=True)
                    prepared = [loaded.prepared for loaded in fresh if loaded.prepared is not None]
                    running.append((fresh, network.submit(self.extractor().extract, prepared)))
                while len(running) > ahead:
                    yield self._gather(*running.popleft())
            while running:
                yield self._gather(*running.popleft())

    def _sort(self, loaded: list[Loaded | Skipped]) -> tuple[list[Loaded], Part]:
        """What is for the network, and the rest: what is skipped or has a known digest."""
        fresh: list[Loaded] = []
        same: list[Loaded] = []
        for item in loaded:
            if isinstance(item, Skipped):
                continue
            if item.work.anew:
                fresh.append(item)
            elif item.prepared is None or item.record.digest in self.claimed:
                same.append(item._replace(prepared=None))
            else:
                self.claimed.add(item.record.digest)
                fresh.append(item)
        return fresh, Part(same=same, skipped=[item for item in loaded if isinstance(item, Skipped)])

    def _gather(self, items: list[Loaded], extraction: Future[Extraction]) -> Part:
        done = extraction.result()
        rows = []
        for place, item in enumerate(items):
            scores = () if done.scores is None else self._best_classes(done.scores[place])
            record, work = replace(item.record, scores=scores), item.work
            rows.append(Row(record, done.vectors[place], work.known, work.anew))
        damaged = [Skip(item.record.id, item.note) for item in items if item.note]
        precision = self.extractor().precision
        return Part(rows, precision=precision, sifted=self.store is not None, damaged=damaged)

    def _best_classes(self, scores: Floats) -> list[tuple[str, float]]:
        import numpy as np

        classes = self.extractor().classes
        if classes is None:
            return []
        best = np.argsort(-scores, kind="stable")[:_KEPT_SCORES]
        return [(classes.ids[i], float(scores[i])) for i in best.tolist() if scores[i] > 0]
