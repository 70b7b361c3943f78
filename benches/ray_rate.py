"""How fast pictures come in by two Ray workers on this machine, against one process without Ray.

    python benches/ray_rate.py [--pictures 2000] [--rounds 3] [--gallery ADDRESS]

Rates count from the first batch written to the last, for Ray takes long to start; that is told apart. Memory
is the most that this process, its workers and their foreman had together, of their own; Ray's servers are not
in it.
`--gallery` takes a store to which the workers write themselves, and the one process, too, as
`elasticsearch://localhost:9200/bench`; its galleries are called after it, and deleted.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
from setting import DATA, figure

from indexing import jpegs
from lookalike import Gallery

# Indexes a folder, and says when how many pictures were safe, from the start of the process's own work.
RUN = """
import json, sys, time
from lookalike import Gallery
folder, place, workers, limit = sys.argv[1:]
ticks, started = [], time.monotonic()
if workers != "0":
    from lookalike.indexing.ray import Cluster
with Gallery.open(folder, gallery=place, precision="f32") as gallery:
    cluster = Cluster("local", size=int(workers)) if workers != "0" else None
    tell = lambda progress: ticks.append((time.monotonic() - started, progress.done))
    gallery.add(workers=cluster, limit=int(limit), progress=tell)
print(json.dumps(ticks))
"""
KINDS = ("one", "ray", "less")
TICK = 0.1  # seconds between two looks at the memory


class Run(NamedTuple):
    """Pictures a second after the first batch, seconds until that was written, and peak memory in MB."""

    rate: float
    start: float
    memory: float


def main() -> None:
    """Measure both in turn, so often, and compare what they wrote."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--pictures", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--gallery", help="where the workers are to write; by default this process does, a file"
    )
    wishes = parser.parse_args()
    folder = jpegs(DATA / f"jpeg-{wishes.pictures}", wishes.pictures)
    single, double, less = [], [], []
    with tempfile.TemporaryDirectory() as name:
        for number in range(wishes.rounds):
            places = [f"{wishes.gallery or name + '/gallery'}-{kind}-{number}" for kind in KINDS]
            single.append(run(folder, places[0], 0, wishes.pictures))
            double.append(run(folder, places[1], 2, wishes.pictures))
            apart = difference(places[0], places[1])
            less.append(run(folder, places[2], 2, wishes.pictures // 4))
            for place in places:
                delete(place)
    what = f"index {wishes.pictures:,} JPEG by two Ray workers{', which write' if wishes.gallery else ''}"
    share = statistics.median(two.rate / one.rate for one, two in zip(single, double, strict=True))
    rate, base = (statistics.median(one.rate for one in runs) for runs in (double, single))
    figure(what, f"{rate:.0f}/s", f"{base:.0f}/s, one process", f"{share:.2f}", "≥ .7")
    start, base = (statistics.median(one.start for one in runs) for runs in (double, single))
    figure(
        f"{what}, until the first are in", f"{start:.1f} s", f"{base:.1f} s, one process", "", "told apart"
    )
    memory, quarter = (statistics.median(one.memory for one in runs) for runs in (double, less))
    flat = f"{memory / quarter:.2f}"
    figure(f"{what}, peak memory", f"{memory:.0f} MB", f"{quarter:.0f} MB at a quarter", flat, "flat")
    figure(f"{what}, vectors", f"{apart:.1g} apart at most", "one process", "", "identical")


def run(folder: Path, place: str, workers: int, pictures: int) -> Run:
    """Index so many pictures by a new process."""
    command = [sys.executable, "-c", RUN, str(folder), place, str(workers), str(pictures)]
    memory: dict[int, int] = {}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        most = 0
        while process.poll() is None:
            memory = {pid: resident(pid) for pid in (process.pid, *workers_now())}
            most = max(most, sum(memory.values()))
            time.sleep(TICK)
        ticks = json.loads(process.stdout.read() if process.stdout else "")
    if len(ticks) < 2:
        sys.exit(f"{pictures} pictures came in all at once; take more of them with --pictures")
    (first, before), (last, after) = ticks[0], ticks[-1]
    return Run((after - before) / (last - first), first, most / 1e3)


def workers_now() -> list[int]:
    """The processes of Ray's workers that describe pictures, and of those that deal them out."""
    titles = ("ray::MapWorker", "ray::_Foreman", "ray::FlatMap")
    return [int(folder.name) for folder in Path("/proc").glob("[0-9]*") if command(folder).startswith(titles)]


def command(process: Path) -> str:
    """The command line of a process; "" where it has ended."""
    try:
        return (process / "cmdline").read_text(errors="replace")
    except OSError:
        return ""


def resident(pid: int) -> int:
    """The kB of memory that a process has, without what it shares with others."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0
    wanted = ("RssAnon:",)
    return sum(int(line.split()[1]) for line in lines if line.startswith(wanted))


def difference(one: str, other: str) -> float:
    """The largest between two numbers of one picture in two galleries; they must have the same pictures."""
    with Gallery.open(gallery=one) as here, Gallery.open(gallery=other) as there:
        ids = [record.id for record in here.records()]
        if ids != [record.id for record in there.records()]:
            sys.exit("the galleries differ in their pictures")
        return float(np.abs(here.vectors(ids) - there.vectors(ids)).max())


def delete(address: str) -> None:
    """Make room for the next round."""
    with Gallery.open(gallery=address) as gallery:
        gallery.delete()


if __name__ == "__main__":
    main()
