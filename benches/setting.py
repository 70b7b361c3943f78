"""What the benchmarks share: where the pictures are, and how a figure is printed."""

from __future__ import annotations

import os
import platform
import statistics
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "scripts"))

from typing import TYPE_CHECKING

import pictures

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["DATA", "figure", "machine", "median_seconds", "pictures", "seconds"]

DATA = pictures.DEFAULT.parent / "bench"
RESULTS = Path(__file__).resolve().parent / "latest.md"


def figure(what: str, measured: str, baseline: str, ratio: str, wanted: str) -> None:
    """Print one figure as a row of a table, with the command that made it."""
    command = f"python benches/{Path(sys.argv[0]).name} {' '.join(sys.argv[1:])}".strip()
    row = f"| {what} | {measured} | {baseline} | {ratio} | {wanted} | `{command}` |"
    print(row, flush=True)
    new = not RESULTS.exists()
    with RESULTS.open("a") as file:
        if new:
            file.write(f"{datetime.now(UTC):%Y-%m-%d}, {machine()}\n\n")
            file.write(
                "| what | measured | baseline | ratio | wanted | command |\n|---|---|---|---|---|---|\n"
            )
        file.write(row + "\n")


def machine() -> str:
    """This machine, in words."""
    model = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        lines = cpuinfo.read_text().splitlines()
        model = next((line.partition(": ")[2] for line in lines if line.startswith("model name")), model)
    flags = cpuinfo.read_text() if cpuinfo.exists() else ""
    extras = [flag for flag in ("avx2", "avx512f", "avx512_bf16", "amx_bf16") if flag in flags]
    return f"{os.cpu_count()} x {model} ({', '.join(extras)}), Python {platform.python_version()}"


def seconds(work: Callable[[], object]) -> float:
    """How long a piece of work takes."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def median_seconds(work: Callable[[], object], times: int = 5) -> float:
    """The median time of a piece of work."""
    return statistics.median(seconds(work) for _ in range(times))
