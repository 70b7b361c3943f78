"""How fast pictures come in: against the machine's own limit, and against Keras one by one.

    python benches/indexing.py [--pictures 2000] [--keras]

The limit is (decode on one thread + 2 × inference in two streams) / 2, milliseconds a picture, both
measured here at the gallery's precision. `--keras` adds the way of the first similar-image engines:
`keras.applications.MobileNet(...).predict`, one picture at a time, resized by Pillow.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from PIL import Image
from setting import DATA, figure, median_seconds, pictures

from lookalike import extractor, images
from lookalike.extractors import best_precision

if TYPE_CHECKING:
    from pathlib import Path

    from lookalike.types import Precision

CHUNK = 8
ROUNDS = 5

# Runs a command line, and says in the end how many kB of memory it had at most.
PEAK = """
import pathlib, sys
from lookalike.cli import run
code = run(sys.argv[1:])
lines = pathlib.Path("/proc/self/status").read_text().splitlines()
print(next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")), file=sys.stderr)
sys.exit(code)
"""


def main() -> None:
    """Measure each precision the processor has."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--pictures", type=int, default=2000)
    parser.add_argument("--keras", action="store_true")
    wishes = parser.parse_args()
    folder = jpegs(DATA / f"jpeg-{wishes.pictures}", wishes.pictures)
    for precision in _precisions():
        what = f"index {wishes.pictures:,} JPEG 640×480, {precision}"
        # In turn, for a machine may be faster one minute than the next.
        rounds = [once(folder, precision, keras=wishes.keras) for _ in range(ROUNDS)]
        rate, limit, memory, keras = (statistics.median(column) for column in zip(*rounds, strict=True))
        share = statistics.median(one.rate / one.limit for one in rounds)
        figure(what, f"{rate:.0f}/s", f"{limit:.0f}/s, the limit", f"{share:.2f}", "≥ .85")
        if wishes.keras:
            times = statistics.median(one.rate / one.keras for one in rounds)
            goal = "≥ 15" if precision == "bf16" else "(float32)"
            figure(what, f"{rate:.0f}/s", f"{keras:.1f}/s, MobileNet.predict", f"{times:.1f}", goal)
        _, less = index(folder, precision, limit=wishes.pictures // 4)
        figure(
            f"{what}, peak memory",
            f"{memory:.0f} MB",
            f"{less:.0f} MB at a quarter",
            f"{memory / less:.2f}",
            "≤ 700 MB, flat",
        )


class Round(NamedTuple):
    """Pictures a second of lookalike, of the machine's limit, and of Keras; lookalike's peak memory in MB."""

    rate: float
    limit: float
    memory: float
    keras: float


def once(folder: Path, precision: Precision, *, keras: bool) -> Round:
    """Everything once, right after one another; the limit before and after."""
    before = limit_of(folder, precision)
    rate, memory = index(folder, precision)
    after = limit_of(folder, precision)
    return Round(rate, 2 / (1 / before + 1 / after), memory, keras_rate(folder) if keras else 0)


def _precisions() -> list[Precision]:
    """What the processor computes in, the fastest first."""
    return ["bf16", "f32"] if best_precision() == "bf16" else ["f32"]


def jpegs(folder: Path, count: int) -> Path:
    """Photographs of 640×480, each another part of a real one."""
    if folder.exists():
        return folder
    rng = np.random.default_rng(0)
    stamps = sorted(pictures.stamps(DATA / "stamps").rglob("*.png"))
    photographs = sorted(pictures.photographs(DATA / "photographs").iterdir())
    sources = [images.decode(path.read_bytes()).image for path in photographs + stamps[::8]]
    folder.with_suffix(".part").mkdir(parents=True, exist_ok=True)
    for number in range(count):
        source = sources[number % len(sources)]
        share = rng.uniform(0.6, 1.0)
        width, height = (max(2, int(side * share)) for side in source.size)
        left, top = (
            int(rng.integers(0, a - b + 1)) for a, b in zip(source.size, (width, height), strict=True)
        )
        part = source.crop((left, top, left + width, top + height)).resize(
            (640, 480), Image.Resampling.BICUBIC
        )
        noisy = np.asarray(part, np.int16) + rng.normal(0, 4, (480, 640, 3)).astype(np.int16)
        grained = Image.fromarray(noisy.clip(0, 255).astype(np.uint8))
        grained.save(folder.with_suffix(".part") / f"{number:05}.jpg", quality=88)
    folder.with_suffix(".part").rename(folder)
    return folder


def limit_of(folder: Path, precision: Precision) -> float:
    """Pictures a second that two cores could do if nothing but decoding and inference took time."""
    model = extractor("efficientnet-lite0", precision=precision)
    contents = [path.read_bytes() for path in sorted(folder.iterdir())[:256]]

    def decode() -> list[np.ndarray]:
        return [model.prepare(images.decode(content, size=model.size).image) for content in contents]

    prepared = decode()
    chunks = [prepared[start : start + CHUNK] for start in range(0, len(prepared), CHUNK)]
    with ThreadPoolExecutor(2) as pool:
        network = median_seconds(lambda: list(pool.map(model.extract, chunks)))
    one_thread = median_seconds(decode)
    return 2 * len(contents) / (one_thread + 2 * network)


def index(folder: Path, precision: Precision, limit: int | None = None) -> tuple[float, float]:
    """Pictures a second and peak memory in MB of a new process that indexes the folder."""
    with tempfile.TemporaryDirectory() as place:
        words = ["index", str(folder), "--gallery", f"{place}/gallery", "--json", "--precision", precision]
        words += [] if limit is None else ["--limit", str(limit)]
        command = [sys.executable, "-c", PEAK, *words]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    report = json.loads(done.stdout)
    return report["added"] / report["seconds"], int(done.stderr.splitlines()[-1]) / 1e3


def keras_rate(folder: Path) -> float:
    """Pictures a second of Keras' MobileNet, one `predict` a picture; random weights are as fast."""
    from keras.applications.mobilenet import MobileNet, preprocess_input

    network = MobileNet(weights=None)

    def describe(path: Path) -> None:
        picture = Image.open(path).convert("RGB").resize((224, 224))
        network.predict(preprocess_input(np.asarray(picture, np.float32)[None]), verbose=0)

    paths = sorted(folder.iterdir())[:64]
    describe(paths[0])
    started = time.perf_counter()
    for path in paths:
        describe(path)
    return len(paths) / (time.perf_counter() - started)


if __name__ == "__main__":
    main()
