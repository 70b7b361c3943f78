"""The toy with habits, which a worker that has it shows: it takes its time, dies, or stands still."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path

from lookalike.testing import ToyExtractor


@dataclass(frozen=True)
class Odd(ToyExtractor):
    """The toy, and what it does besides.

    slow: seconds that each picture takes it.
    dies, halts: how many times a white picture ends the process, or stands still in it for ever.
    place: a folder in which each of these times leaves a file with the number of the process; so does the
        first picture in each, and each time that the model is loaded by its name.
    """

    slow: float = 0.0
    dies: int = 0
    halts: int = 0
    place: str = ""

    @property
    def name(self):
        """What `load` builds it from."""
        return f"odd?dies={self.dies}&halts={self.halts}&place={self.place}&slow={self.slow}"

    def prepare(self, image):
        """As the toy does, if it comes that far."""
        time.sleep(self.slow)
        if self.place and os.getpid() not in marks(self.place, "used"):
            mark(self.place, "used")
        pixels = ToyExtractor.prepare(self, image)
        if pixels.min() == 255 and len(marks(self.place, "white")) < self.dies + self.halts:
            mark(self.place, "white")
            if self.dies:
                os._exit(1)
            time.sleep(600)
        return pixels


def mark(place, what):
    """Leave a file that tells of this process."""
    Path(place, f"{what}-{os.getpid()}-{time.monotonic_ns()}").touch()


def marks(place, what):
    """The numbers of the processes that have left such a file, in the order in which they did."""
    found = [file.name.split("-") for file in Path(place).glob(f"{what}-*")] if place else []
    return [int(pid) for _, pid, _ in sorted(found, key=lambda parts: int(parts[2]))]


def load(name, precision=None, *, normalize=None):
    """The entry point."""
    options = dict(name.options)
    numbers = {key: int(options.get(key, 0)) for key in ("dies", "halts")}
    odd = Odd(slow=float(options.get("slow", 0)), place=options.get("place", ""), unit=normalize, **numbers)
    if odd.place:
        mark(odd.place, "loaded")
    return odd
