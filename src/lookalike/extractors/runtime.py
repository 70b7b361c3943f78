"""OpenVINO, loaded once a process, silent; and the engine that runs a network cut at some of its outputs.

Pixels go in as they are; a network runs in as many streams as there are cores.
"""

from __future__ import annotations

import os
import sys
import time
from contextlib import contextmanager, suppress
from functools import cache
from importlib import import_module
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any

import numpy as np

from lookalike.errors import ModelError, UsageError
from lookalike.system import forks
from lookalike.system.forks import Forked

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from lookalike.extractors.cards import Card
    from lookalike.types import Floats, Precision

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


_MOST_STREAMS = 8


class NotRun(ModelError):
    """A network that OpenVINO can read but not run, for want of memory or of an operation."""


class Engine(Forked):
    """A compiled network. One request a stream: a thread takes one for as long as it needs it.

    It computes in threads of its own, so the child of a fork has to compile the network anew.

    is_mine: whether it was made in this process, and can be used.

    Args:
        model: as `cut` makes it.
        precision: of the arithmetic.

    Raises:
        ModelError: OpenVINO can't compile it.
    """

    def __init__(self, model: Any, precision: Precision) -> None:
        self._name = name = model.get_friendly_name()
        try:
            compiled = _compiled(model, precision)
        except RuntimeError as error:
            raise NotRun(
                f"OpenVINO can't run {name}: {first_line(error)}; cut it at another layer"
            ) from error
        self.is_mine = True
        self._resting: list[Any] = []
        self._requests: SimpleQueue[Any] = SimpleQueue()
        for _ in range(streams()):
            self._requests.put(compiled.create_infer_request())
        # The binding's first look into a tensor sets up a C++ static while it waits for the interpreter's
        # lock; two threads doing that at once have waited for each other for ever.
        with self._request() as request:
            for tensor in (request.get_input_tensor(), request.get_output_tensor(0)):
                _ = tensor.data
        forks.watch(self)

    def before_fork(self, until: float) -> None:
        """Wait for the requests that are running."""
        with suppress(Empty):
            while len(self._resting) < streams():
                self._resting.append(self._requests.get(timeout=max(0.001, until - time.monotonic())))

    def after_fork_in_parent(self) -> None:
        """Let threads go on."""
        while self._resting:
            self._requests.put(self._resting.pop())

    def after_fork_in_child(self) -> None:
        """Leave the parent's requests alone."""
        self.is_mine = False
        forks.abandon((self._requests, self._resting))
        self._requests, self._resting = SimpleQueue(), []

    def run(self, batch: Sequence[NDArray[np.generic]], shapes: Sequence[tuple[int, ...]]) -> list[Floats]:
        """One pass of the network for each picture.

        Args:
            batch: n arrays of shape (height, width, 3).
            shapes: of each output for one picture.

        Returns:
            An array of shape (n, *shape), float32, for each output.

        Raises:
            ModelError: a picture is not as the network takes it.
        """
        outputs = [np.empty((len(batch), *shape), np.float32) for shape in shapes]
        with self._request() as request:
            source = request.get_input_tensor().data  # (1, height, width, 3)
            for row, picture in enumerate(batch):
                if getattr(picture, "shape", None) != source.shape[1:]:
                    raise ModelError(_unfit(picture, source.shape[1:]))
                source[0] = picture
                self._infer(request)
                for index, output in enumerate(outputs):
                    output[row] = request.get_output_tensor(index).data.reshape(output.shape[1:])
        return outputs

    def _infer(self, request: Any) -> None:
        try:
            request.infer(share_outputs=True)
        except RuntimeError as error:
            raise NotRun(f"OpenVINO can't run {self._name}: {first_line(error)}") from error

    @contextmanager
    def _request(self) -> Iterator[Any]:
        request = self._requests.get()
        try:
            yield request
        finally:
            self._requests.put(request)


def streams() -> int:
    """How many pictures a network works on at once."""
    return min(cores(), _MOST_STREAMS)


def fitted(model: Any, card: Card) -> Any:
    """A copy of a network that takes one picture of the card's size.

    Raises:
        ModelError: it has not one input, which takes a picture, or takes only another size.
    """
    wanted = _input_shape(card)
    own = model.clone()
    if len(own.inputs) != 1:
        raise ModelError(
            f"{card.name} has {len(own.inputs)} inputs ({', '.join(map(_name_of, own.inputs))}); "
            "expected one, a picture: cut the network before what joins them"
        )
    (port,) = own.inputs
    before = port.get_partial_shape()
    if before.is_static and list(before.to_shape()) == wanted:
        return own
    try:
        own.reshape({port: wanted})
    except RuntimeError as error:
        width, height = card.size
        raise ModelError(
            f"{card.name} takes an input of shape {before}, and can't be used at {width}x{height} pixels "
            f"({card.layout}): {first_line(error)}; leave the size out, or take a layer before that"
        ) from error
    return own


def cut(model: Any, outputs: Sequence[Any], card: Card, *, prepared: bool = False) -> Any:
    """A network of these outputs only, that takes one picture (1, height, width, 3).

    Args:
        model: as `fitted` makes it; it is used up.
        outputs: `openvino.Output`s of it.
        card: says what is done to the pixels.
        prepared: whether the pixels come as float32 to which everything has been done, not as uint8 RGB.
    """
    library = openvino()
    cut = library.Model(list(outputs), model.get_parameters(), card.name)
    processor = library.preprocess.PrePostProcessor(cut)
    picture = processor.input()
    picture.tensor().set_layout(library.Layout("NHWC"))
    picture.tensor().set_element_type(library.Type.f32 if prepared else library.Type.u8)
    picture.model().set_layout(library.Layout(card.layout))
    if not prepared:
        colours = library.preprocess.ColorFormat
        picture.tensor().set_color_format(colours.RGB)
        steps = picture.preprocess()
        if card.channels == "BGR":
            steps.convert_color(colours.BGR)
        steps.convert_element_type(library.Type.f32).mean(_three(card.mean)).scale(_three(card.scale))
    for index in range(len(outputs)):
        processor.output(index).tensor().set_element_type(library.Type.f32)
    return processor.build()


def first_line(error: Exception) -> str:
    """What OpenVINO says went wrong: of its many lines, the last one that says something."""
    lines = [line.strip() for line in str(error).splitlines()]
    telling = [
        line for line in lines if line and not line.startswith(("Check '", "Exception from", "While "))
    ]
    return (telling or lines or [""])[-1].partition(" Please ")[0][:200]


def _input_shape(card: Card) -> list[int]:
    width, height = card.size
    return [1, 3, height, width] if card.layout == "NCHW" else [1, height, width, 3]


def _unfit(picture: Any, wanted: tuple[int, ...]) -> str:
    found = getattr(picture, "shape", None)
    what = type(picture).__name__ if found is None else f"an array of shape {tuple(found)}"
    return (
        f"a picture of this network is an array of shape {wanted}, not {what}; "
        "extractor.prepare(image) makes it"
    )


def _name_of(port: Any) -> str:
    return str(port.get_node().get_friendly_name())


def _three(numbers: tuple[float, ...]) -> list[float]:
    return list(numbers) if len(numbers) == 3 else list(numbers) * 3


def _compiled(model: Any, precision: Precision) -> Any:
    config: dict[str, Any] = {
        "INFERENCE_PRECISION_HINT": precision,
        "NUM_STREAMS": streams(),
        "ENABLE_CPU_PINNING": False,  # two processes would be pinned to the same cores
    }
    if shared():
        config["INFERENCE_NUM_THREADS"] = cores()  # else as many as it thinks best
    folder = compiled_folder()
    if folder is not None:
        with suppress(RuntimeError):  # two processes that write one file of the cache: one of them may fail
            return compile_model(model, config | {"CACHE_DIR": str(folder)})
    return compile_model(model, config)
