"""OpenVINO as lookalike uses it: one core a process, silent, with its cache in the user's cache folder."""

from __future__ import annotations

import os
import sys
import time
from contextlib import contextmanager, suppress
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lookalike.errors import UsageError
from lookalike.system import forks
from lookalike.system.forks import Forked

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from lookalike.types import Precision

# OpenVINO reports every import over the network unless this package is missing, and has no switch for it.
_TELEMETRY = "openvino_telemetry"

# It imports its converter of foreign models with itself, half of the time, and does without if it must.
_CONVERTER = "openvino.tools.ovc"

CORES = "LOOKALIKE_CORES"
"""The environment variable that says how many processors to use, where several processes share them."""

_importing = forks.lock()


class _Core(Forked):
    """The process's one `openvino.Core`; a child has one of its own."""

    def __init__(self) -> None:
        self._made: Any = None
        self._compiling = forks.lock()
        self._still = False
        forks.watch(self)

    def get(self, library: Any) -> Any:
        """Return the core, made when it is first asked for."""
        if self._made is None:
            self._made = library.Core()
        return self._made

    @contextmanager
    def compiling(self) -> Iterator[None]:
        """Compile in the block, and nowhere else: no fork comes in between."""
        with self._compiling:
            yield

    def before_fork(self, until: float) -> None:
        """Wait for what is being compiled."""
        self._still = self._compiling.acquire(timeout=max(0.0, until - time.monotonic()))

    def after_fork_in_parent(self) -> None:
        """Let threads go on."""
        if self._still:
            self._compiling.release()

    def after_fork_in_child(self) -> None:
        """Leave the parent's core alone, whose threads are not here."""
        if self._made is not None:
            forks.abandon(self._made)
            self._made = None


_core = _Core()


def openvino() -> Any:
    """The library, imported so that it can't report its use: nothing is sent, nothing written."""
    with _importing:  # a second thread must not find half of it
        return _imported()


@cache
def _imported() -> Any:
    absent: Any = None  # makes an import fail
    sys.modules.setdefault(_TELEMETRY, absent)
    late = "openvino" not in sys.modules and sys.modules.setdefault(_CONVERTER, absent) is None
    import openvino as library

    if late:
        del sys.modules[_CONVERTER]
        library.__getattr__ = _convert_model  # for whoever else uses OpenVINO in this process
    return library


def _convert_model(name: str) -> Any:
    if name != "convert_model":
        raise AttributeError(f"module 'openvino' has no attribute {name!r}")
    return import_module(_CONVERTER).convert_model


def core() -> Any:
    """The process's one `openvino.Core`."""
    library = openvino()
    with _importing:
        return _core.get(library)


def compile_model(model: Any, config: Mapping[str, Any]) -> Any:
    """Return an `openvino.CompiledModel` for the processor.

    Raises:
        RuntimeError: OpenVINO can't compile it.
    """
    made = core()
    with _core.compiling():
        return made.compile_model(model, "CPU", dict(config))


@cache
def best_precision() -> Precision:
    """`bf16` where the processor computes in it, `f32` elsewhere."""
    return "bf16" if "BF16" in core().get_property("CPU", "OPTIMIZATION_CAPABILITIES") else "f32"


def cores() -> int:
    """The processors this process may run on: `LOOKALIKE_CORES`, or all that the system gives it."""
    if shared():
        return int(os.environ[CORES])
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def shared() -> bool:
    """Whether `LOOKALIKE_CORES` says how many processors are for this process."""
    told = os.environ.get(CORES, "")
    if told and (not told.isdecimal() or int(told) < 1):
        raise UsageError(f"{CORES} is {told!r}; expected a whole number, 1 or more")
    return bool(told)


def share(nodes: Sequence[int], processes: int) -> int:
    """How many processors each of several processes uses, of those of several machines; it is on one, whole.

    >>> share([8, 8, 8], 2), share([8, 8, 8], 6)
    (8, 4)
    """
    return max(1, min(sum(nodes) // processes, max(nodes)))


def cache_folder() -> Path:
    """Where converted and compiled models are kept: `LOOKALIKE_CACHE`, or the user's cache folder."""
    from platformdirs import user_cache_path

    chosen = os.environ.get("LOOKALIKE_CACHE")
    return Path(chosen).expanduser().absolute() if chosen else user_cache_path("lookalike", appauthor=False)


def cache_bytes() -> int:
    """What the user's cache takes on disk."""
    total = 0
    for folder, _, files in os.walk(cache_folder()):
        for name in files:
            with suppress(OSError):
                total += (Path(folder) / name).lstat().st_size
    return total


def compiled_folder() -> Path | None:
    """Where OpenVINO keeps what it compiled; None where nothing can be written."""
    folder = cache_folder() / "compiled"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return None
    return folder if os.access(folder, os.W_OK) else None
