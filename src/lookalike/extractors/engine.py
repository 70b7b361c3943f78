"""A network cut, fed with pixels, compiled, and run in as many streams as there are cores."""

from __future__ import annotations

import time
from contextlib import contextmanager, suppress
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any

import numpy as np

from lookalike.errors import ModelError
from lookalike.extractors import runtime
from lookalike.system import forks
from lookalike.system.forks import Forked

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from lookalike.extractors.cards import Card
    from lookalike.types import Floats, Precision

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
    return min(runtime.cores(), _MOST_STREAMS)


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
    openvino = runtime.openvino()
    cut = openvino.Model(list(outputs), model.get_parameters(), card.name)
    processor = openvino.preprocess.PrePostProcessor(cut)
    picture = processor.input()
    picture.tensor().set_layout(openvino.Layout("NHWC"))
    picture.tensor().set_element_type(openvino.Type.f32 if prepared else openvino.Type.u8)
    picture.model().set_layout(openvino.Layout(card.layout))
    if not prepared:
        colours = openvino.preprocess.ColorFormat
        picture.tensor().set_color_format(colours.RGB)
        steps = picture.preprocess()
        if card.channels == "BGR":
            steps.convert_color(colours.BGR)
        steps.convert_element_type(openvino.Type.f32).mean(_three(card.mean)).scale(_three(card.scale))
    for index in range(len(outputs)):
        processor.output(index).tensor().set_element_type(openvino.Type.f32)
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
    if runtime.shared():
        config["INFERENCE_NUM_THREADS"] = runtime.cores()  # else as many as it thinks best
    folder = runtime.compiled_folder()
    if folder is not None:
        with suppress(RuntimeError):  # two processes that write one file of the cache: one of them may fail
            return runtime.compile_model(model, config | {"CACHE_DIR": str(folder)})
    return runtime.compile_model(model, config)
