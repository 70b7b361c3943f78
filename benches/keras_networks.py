"""Networks of Keras: the originals' way, `predict` one by one, against the same networks here.

    python benches/keras_networks.py [--pictures 200] [--networks VGG16 MobileNet InceptionV3]

Theirs: a picture opened and resized by Pillow, prepared by Keras' `preprocess_input`, one `predict`.
Ours: files to vectors, decoding on as many threads as there are streams. Weights are random, which
is as fast. In turn, for a machine may be faster one minute than the next; medians.
"""

from __future__ import annotations

import argparse
import importlib
import os
import statistics
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import sqlite3  # noqa: F401 - before TensorFlow, whose own has no full-text search

import numpy as np
from PIL import Image
from setting import DATA, figure

from indexing import jpegs
from lookalike import extractor, images
from lookalike.extractors import best_precision

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from lookalike.types import Extractor, Precision

# Each network: its module in `keras.applications`, the layer, how many times as fast bf16 has to be.
NETWORKS = {
    "VGG16": ("vgg16", "fc1", 3),
    "MobileNet": ("mobilenet", "predictions", 15),
    "InceptionV3": ("inception_v3", "avg_pool", 5),
}
CHUNK = 4
ROUNDS = 3
ONE_BY_ONE = 32  # pictures a round of theirs, which is slow


def main() -> None:
    """Measure each network at each precision the processor has."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--pictures", type=int, default=200)
    parser.add_argument("--networks", nargs="+", choices=list(NETWORKS), default=list(NETWORKS))
    wishes = parser.parse_args()
    paths = sorted(jpegs(DATA / f"jpeg-{wishes.pictures}", wishes.pictures).iterdir())
    for network in wishes.networks:
        measure(network, paths)


def measure(network: str, paths: list[Path]) -> None:
    """One network: ours at each precision, in turn with theirs."""
    _, layer, goal = NETWORKS[network]
    ours = {precision: ours_of(f"keras:{network}@{layer}", precision) for precision in precisions()}
    theirs = theirs_of(network)
    theirs(paths[0])
    rates: dict[str, list[float]] = {name: [] for name in (*ours, "theirs")}
    for _ in range(ROUNDS):
        rates["theirs"].append(rate(lambda: [theirs(path) for path in paths[:ONE_BY_ONE]], ONE_BY_ONE))
        for precision, model in ours.items():
            rates[precision].append(rate(lambda model=model: vectors(model, paths), len(paths)))  # type: ignore[misc]
    one_by_one = statistics.median(rates["theirs"])
    for precision in ours:
        here = statistics.median(rates[precision])
        ratios = [a / b for a, b in zip(rates[precision], rates["theirs"], strict=True)]
        figure(
            f"{network} `{layer}`, {len(paths)} JPEG 640×480, {precision}",
            f"{here:.1f}/s",
            f"{one_by_one:.1f}/s, Keras predict one by one",
            f"{statistics.median(ratios):.1f}",
            f"≥ {goal}" if precision == "bf16" else "(float32)",
        )


def precisions() -> list[Precision]:
    """What the processor computes in, the fastest first."""
    return ["bf16", "f32"] if best_precision() == "bf16" else ["f32"]


def ours_of(name: str, precision: Precision) -> Extractor:
    """The network here, with random weights; built before the clock runs."""
    model = extractor(f"{name}?weights=none", precision=precision, normalize=False)
    model.extract([model.prepare(Image.new("RGB", (640, 480)))])
    return model


def theirs_of(network: str) -> Callable[[Path], Any]:
    """The network in Keras, cut at the same layer: a function from a file to numbers."""
    import keras

    module, layer, _ = NETWORKS[network]
    applications = importlib.import_module(f"keras.applications.{module}")
    whole = getattr(applications, network)(weights=None)
    cut = keras.Model(whole.input, whole.get_layer(layer).output)
    _, height, width, _ = whole.input_shape

    def describe(path: Path) -> Any:
        picture = Image.open(path).convert("RGB").resize((width, height))
        batch = applications.preprocess_input(np.asarray(picture, np.float32)[None])
        return cut.predict(batch, verbose=0)

    return describe


def vectors(model: Extractor, paths: list[Path]) -> list[np.ndarray]:
    """Files to vectors: every thread decodes a few pictures and runs the network on them."""

    def describe(chunk: list[Path]) -> np.ndarray:
        decoded = [images.decode(path.read_bytes(), size=model.size).image for path in chunk]
        return model.extract([model.prepare(image) for image in decoded]).vectors

    chunks = [paths[start : start + CHUNK] for start in range(0, len(paths), CHUNK)]
    with ThreadPoolExecutor(model.parallel) as pool:
        return list(pool.map(describe, chunks))


def rate(work: Callable[[], object], count: int) -> float:
    """Pictures a second."""
    started = time.perf_counter()
    work()
    return count / (time.perf_counter() - started)


if __name__ == "__main__":
    main()
