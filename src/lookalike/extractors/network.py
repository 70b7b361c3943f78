"""The extractor of every network that OpenVINO runs, made of the network and its card."""

from __future__ import annotations

import hashlib
from contextlib import contextmanager
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from lookalike import steps as vector_steps
from lookalike.errors import ModelError, UnknownLayer, UsageError
from lookalike.extractors import runtime
from lookalike.steps import Flatten, Pool, Step
from lookalike.types import Extraction

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray
    from PIL.Image import Image

    from lookalike.extractors.cards import Card
    from lookalike.extractors.names import Name
    from lookalike.types import Metric, Precision

_MOST_STREAMS = 8
_REDUCING_GAP = 3.0  # a picture is first shrunk by whole factors to 3 times its goal: cosine ≥ .999


class Layer(NamedTuple):
    """A layer a network can be cut at: its name, what makes it, its shape for one picture."""

    name: str
    type: str
    shape: tuple[int, ...]


class OpenVinoExtractor:
    """A network cut at one layer, as `lookalike.types.Extractor` describes it.

    One request a stream: a thread that calls `extract` takes one for as long as it needs it, so
    `parallel` threads keep the machine busy, and more of them wait.

    Args:
        model: an `openvino.Model` with one input of one picture; it is not changed.
        card: what belongs to it.
        name: where to cut.
        precision: of the arithmetic; `runtime.best_precision()` unless said otherwise.

    Raises:
        UnknownLayer: the network has no such layer.
        ModelError: card and network do not fit, or the processor does not compute in that precision.
    """

    def __init__(self, model: Any, card: Card, name: Name, precision: Precision | None = None) -> None:
        self.name = str(name)
        self.card = card
        self.size = card.size
        self.precision: Precision = _precision(precision)
        nodes = {node.get_friendly_name(): node for node in model.get_ordered_ops()}
        self._layers = [_layer(nodes, layer) for layer in card.layers]
        layer, self.steps = self._cut(name)
        self.dim = vector_steps.dim(self.steps, layer.shape)
        self.metric: Metric = card.metric if name.layer is None else "cosine"
        self.normalized = vector_steps.normalized(self.steps)
        self.classes = card.known_classes()
        self.digest = self._digest(layer)
        outputs = [layer.name] + ([card.scores] if card.scores else [])
        self._check_classes()
        compiled = _compiled(_cut(model, [nodes[output] for output in outputs], card), self.precision)
        self.parallel = int(compiled.get_property("OPTIMAL_NUMBER_OF_INFER_REQUESTS"))
        self._requests: SimpleQueue[Any] = SimpleQueue()
        for _ in range(self.parallel):
            self._requests.put(compiled.create_infer_request())
        self._shapes = [tuple(port.shape)[1:] for port in compiled.outputs]
        # The binding's first look into a tensor sets up a C++ static while it waits for the interpreter's
        # lock; two threads doing that at once have waited for each other for ever.
        with self._request() as request:
            for tensor in (request.get_input_tensor(), request.get_output_tensor(0)):
                _ = tensor.data

    def layers(self) -> list[Layer]:
        """Every layer it can be cut at, from the picture on."""
        return list(self._layers)

    def prepare(self, image: Image) -> NDArray[np.generic]:
        """The whole picture resized to the network's input: ndarray of shape (height, width, 3), uint8."""
        from PIL import Image as pillow  # noqa: N813 - the module has the name of its class

        rule = pillow.Resampling[self.card.resize.upper()]
        gap = None if rule == pillow.Resampling.NEAREST else _REDUCING_GAP
        rgb = image if image.mode == "RGB" else image.convert("RGB")
        return np.asarray(rgb.resize(self.size, rule, reducing_gap=gap))

    def extract(self, batch: Sequence[NDArray[np.generic]]) -> Extraction:
        """One pass of the network for each picture.

        Args:
            batch: n arrays of shape (height, width, 3), uint8, as `prepare` makes them.

        Returns:
            vectors (n, dim) and, where there are classes, scores (n, classes), float32.
        """
        outputs = [np.empty((len(batch), *shape), np.float32) for shape in self._shapes]
        with self._request() as request:
            source = request.get_input_tensor().data  # (1, height, width, 3)
            for row, picture in enumerate(batch):
                source[0] = picture
                request.infer(share_outputs=True)
                for index, output in enumerate(outputs):
                    output[row] = request.get_output_tensor(index).data[0]
        scores = outputs[-1] if self.classes else None
        return Extraction(vector_steps.apply(self.steps, outputs[0]), scores)

    @contextmanager
    def _request(self) -> Iterator[Any]:
        request = self._requests.get()
        try:
            yield request
        finally:
            self._requests.put(request)

    def _cut(self, name: Name) -> tuple[Layer, tuple[Step, ...]]:
        if name.options:
            raise UsageError(
                f"{name.model} has no options to change; leave out ?{str(name).partition('?')[2]}"
            )
        if name.layer is None and name.pool:
            raise UsageError(f"{name} pools, but names no layer; expected {name.model}@LAYER+{name.pool}")
        if name.layer is None:
            return self._find(self.card.features), self.card.steps or (Flatten(),)
        layer = self._find(name.layer)
        return layer, (Pool(name.pool, self.card.layout) if name.pool else Flatten(),)

    def _find(self, wanted: str) -> Layer:
        aliases = {"features": self.card.features, "classes": self.card.scores}
        names = [layer.name for layer in self._layers]
        name = aliases.get(wanted) or wanted
        if name in names:
            return self._layers[names.index(name)]
        if wanted.removeprefix("-").isdecimal() and -len(names) <= int(wanted) < len(names):
            return self._layers[int(wanted)]
        raise UnknownLayer(
            f"{self.card.name} has no layer {wanted!r}; it has {', '.join(names)}, "
            f"or their numbers from 0 to {len(names) - 1} (-1 is the last)"
        )

    def _digest(self, layer: Layer) -> str:
        parts = (self.card.weights, self.card.preparation(), layer.name, vector_steps.digest(self.steps))
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()

    def _check_classes(self) -> None:
        if not (self.card.scores and self.classes):
            return
        shape = self._find(self.card.scores).shape
        if shape != (len(self.classes.ids),):
            raise ModelError(
                f"{self.card.name} gives scores of shape {shape}, "
                f"but its card names {len(self.classes.ids)} classes; correct the card"
            )


def _precision(wanted: Precision | None) -> Precision:
    if wanted == "bf16" and runtime.best_precision() != "bf16":
        raise ModelError("this processor does not compute in bf16; leave the precision out, or ask for f32")
    return wanted or runtime.best_precision()


def _layer(nodes: dict[str, Any], name: str) -> Layer:
    if name not in nodes:
        raise ModelError(f"the card names a layer {name!r} that the network does not have; correct the card")
    shape = tuple(int(size) for size in nodes[name].output(0).shape)
    return Layer(name, str(nodes[name].get_type_name()), shape[1:])


def _cut(model: Any, nodes: Sequence[Any], card: Card) -> Any:
    """A network of these outputs only, that takes one picture (1, height, width, 3) in uint8."""
    openvino = runtime.openvino()
    own = model.clone()
    copies = {node.get_friendly_name(): node for node in own.get_ordered_ops()}
    outputs = [copies[node.get_friendly_name()].output(0) for node in nodes]
    cut = openvino.Model(outputs, own.get_parameters(), card.name)
    processor = openvino.preprocess.PrePostProcessor(cut)
    picture = processor.input()
    colours = openvino.preprocess.ColorFormat
    picture.tensor().set_element_type(openvino.Type.u8).set_layout(openvino.Layout("NHWC"))
    picture.tensor().set_color_format(colours.RGB)
    picture.model().set_layout(openvino.Layout(card.layout))
    steps = picture.preprocess()
    if card.channels == "BGR":
        steps.convert_color(colours.BGR)
    steps.convert_element_type(openvino.Type.f32).mean(_three(card.mean)).scale(_three(card.scale))
    for index in range(len(outputs)):
        processor.output(index).tensor().set_element_type(openvino.Type.f32)
    return processor.build()


def _three(numbers: tuple[float, ...]) -> list[float]:
    return list(numbers) if len(numbers) == 3 else list(numbers) * 3


def _compiled(model: Any, precision: Precision) -> Any:
    config: dict[str, Any] = {
        "INFERENCE_PRECISION_HINT": precision,
        "NUM_STREAMS": min(runtime.cores(), _MOST_STREAMS),
        "ENABLE_CPU_PINNING": False,  # two processes would be pinned to the same cores
    }
    folder = runtime.compiled_folder()
    if folder is not None:
        config["CACHE_DIR"] = str(folder)
    return runtime.core().compile_model(model, "CPU", config)
