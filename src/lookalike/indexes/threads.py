"""Work on all cores: each job with one thread of BLAS, so that what is no matrix product runs beside."""

from __future__ import annotations

import os
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from contextlib import AbstractContextManager

    Job = TypeVar("Job")
    Result = TypeVar("Result")


def one_thread() -> AbstractContextManager[Any]:
    """Within it a matrix product keeps to the thread that asked for it.

    Threads of BLAS wait for each other at every step, awake: where the cores have other work, too, a
    product or decomposition of a few hundred rows takes several times as long with them as without.
    """
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    limits: AbstractContextManager[Any] = threadpool_limits(1, "blas")
    return limits


def spread(work: Callable[[Job], Result], jobs: Iterable[Job]) -> Iterator[Result]:
    """Results of jobs, in their order; a few are worked on ahead of the one that is asked for."""
    cores = os.cpu_count() or 1
    under_way: deque[Future[Result]] = deque()
    with one_thread(), ThreadPoolExecutor(cores) as threads:
        for job in jobs:
            under_way.append(threads.submit(work, job))
            if len(under_way) > 2 * cores:
                yield under_way.popleft().result()
        while under_way:
            yield under_way.popleft().result()
