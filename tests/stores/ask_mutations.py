"""Ask everything of galleries that chance made wrong: `ask_mutations.py FOLDER FIRST COUNT`.

It prints a line of JSON for each, with what went wrong; its memory is limited, and what it opens is watched.
"""

from __future__ import annotations

import faulthandler
import io
import json
import os
import random
import resource
import shutil
import sys
import time
import traceback
from collections import Counter
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import numpy as np
from mutations import Mutation, make_coded, make_small

from lookalike import Gallery
from lookalike.cli import run
from lookalike.errors import LookalikeError

SECONDS = 5.0
MEMORY = 2 << 30


class Watch:
    """What this process opens and connects to, by Python's own audit; the rest a look at the files tells."""

    def __init__(self, allowed: Path) -> None:
        self.allowed = str(allowed)
        self.events: list[str] = []
        self.on = False
        sys.addaudithook(self._audit)

    def _audit(self, event: str, arguments: tuple[object, ...]) -> None:
        if not self.on:
            return
        if event.startswith(("socket.", "subprocess.", "os.system", "os.exec", "os.posix_spawn", "pickle.")):
            self.events.append(f"{event} {arguments!r:.100}")
        elif event in {
            "open",
            "os.remove",
            "os.rename",
            "os.mkdir",
            "os.rmdir",
            "os.truncate",
            "shutil.rmtree",
        }:
            self._file(event, arguments)

    def _file(self, event: str, arguments: tuple[object, ...]) -> None:
        path = arguments[0]
        if not isinstance(path, str | bytes):
            return
        # A name without a folder is meant in that of a descriptor: it is one of the gallery's own.
        name = os.path.normpath(Path(self.allowed, os.fsdecode(path)))
        writes = event != "open" or (
            isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR)
        )
        foreign = writes and not name.startswith((self.allowed, "/dev/null"))
        if foreign or name == "/etc/passwd" or "outside" in Path(name).parts:
            self.events.append(f"{event} {name}")


def questions(folder: Path, out: Path) -> dict[str, object]:
    """Everything that is asked of a gallery, each by itself."""
    place = ["--gallery", str(folder)]

    def gallery(ask):
        with Gallery.open(gallery=folder) as opened:
            return ask(opened)

    def vector(opened):
        return np.linspace(-1, 1, max(1, min(opened.store.header.space.dim, 4096)), dtype=np.float32)

    def first_id(opened):
        found = next(iter(opened.records()), None)
        return f"id:{'none' if found is None else found.id}"

    return {
        "info": lambda: gallery(lambda g: g.info()),
        "count": lambda: gallery(len),
        "vector": lambda: gallery(lambda g: g.search(vector(g), 7)),
        "exact": lambda: gallery(lambda g: g.search(vector(g), 7, exact=True)),
        "id": lambda: gallery(lambda g: g.search("id:red05 oak.png", 5)),
        "first": lambda: gallery(lambda g: g.search(first_id(g), 5, distinct="width", unique=True)),
        "filter": lambda: gallery(
            lambda g: g.search(vector(g), 5, where=["price<20", "width>1", "made=oak"])
        ),
        "words": lambda: gallery(lambda g: g.find("red oak", 5)),
        "classes": lambda: gallery(lambda g: g.find("red", 99, only="classes", where="lot>3")),
        "records": lambda: gallery(lambda g: [r.metadata for r in g.records("height>2")]),
        "vectors": lambda: gallery(lambda g: g.vectors().shape),
        "aside": lambda: gallery(
            lambda g: (g.skipped(), g.removed(), list(g.store.states()), g.store.folders())
        ),
        "export": lambda: gallery(lambda g: g.export(out / "vectors.npz")),
        "update": lambda: gallery(lambda g: g.update({"red07 oak.png": {"made": "elm"}})),
        "remove": lambda: gallery(lambda g: g.remove(["red09 oak.png"])),
        "command info": lambda: command("info", *place),
        "command search": lambda: command("search", "id:red05 oak.png", *place),
        "command find": lambda: command("find", "oak", *place),
        "check": lambda: gallery(lambda g: g.check()),
        "repair": lambda: gallery(lambda g: g.check(repair=True)),
        "command check": lambda: command("check", "--json", *place),
        "again": lambda: gallery(lambda g: (g.search(vector(g), 5), g.find("oak", 3))),
    }


def command(*arguments: str) -> int:
    """Run a command line, which must end with a code and a sentence."""
    told, complaint = io.StringIO(), io.StringIO()
    with redirect_stdout(told), redirect_stderr(complaint):
        code = run(arguments)
    text = complaint.getvalue()
    if code not in {0, 1, 2} or "unexpected error" in text or "Traceback" in text:
        raise RuntimeError(f"exit code {code}: {text}")
    if code == 2 or (code == 1 and arguments[0] != "check" and not text):
        raise RuntimeError(f"exit code {code} without a reason: {text}")
    return code


def asked(folder: Path, out: Path) -> tuple[list[str], Counter[str], float]:
    """Ask everything: what went wrong, which errors there were, and the longest time of one question."""
    wrong: list[str] = []
    errors: Counter[str] = Counter()
    longest = 0.0
    for name, question in questions(folder, out).items():
        started = time.process_time()
        try:
            question()
        except LookalikeError as error:
            errors[type(error).__name__] += 1
        except Exception:  # noqa: BLE001  # whatever is foreign is what is looked for
            wrong.append(f"{name}: {traceback.format_exc()}")
        seconds = time.process_time() - started
        longest = max(longest, seconds)
        if seconds > SECONDS:
            wrong.append(f"{name} took {seconds:.1f} s")
    return wrong, errors, longest


def fingerprint(folder: Path) -> list[tuple[str, bytes]]:
    """The files of a folder and what is in them."""
    return [(str(path), path.read_bytes()) for path in sorted(folder.rglob("*")) if path.is_file()]


def _memory() -> int:
    """Bytes of address space that are in use."""
    return int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()


def main(top: Path, first: int, count: int) -> None:
    """Make and ask so many, from a number on."""
    outside, work = top / "outside", top / "work"
    outside.mkdir()
    (outside / "kept.txt").write_text("kept")
    sources = [make_small(top)] * 5 + [make_coded(top / "coded")]
    before = fingerprint(outside)
    work.mkdir()
    os.chdir(work)
    watch = Watch(work)
    limited = False
    for number in range(first, first + count):
        folder = work / f"{number}" / ".lookalike" / "default"
        chance = random.Random(number)  # noqa: S311
        shutil.copytree(chance.choice(sources), folder)
        done = Mutation(folder, chance).apply()
        faulthandler.dump_traceback_later(120, exit=True)
        watch.events, watch.on = [], True
        wrong, errors, longest = asked(folder, work)
        watch.on = False
        wrong += watch.events
        if fingerprint(outside) != before:
            wrong.append("a file outside was touched")
        shutil.rmtree(work / f"{number}")
        line = {"number": number, "done": done, "wrong": wrong, "errors": errors, "longest": longest}
        print(json.dumps(line), flush=True)  # noqa: T201
        if not limited:
            # Whatever is imported was imported by the first.
            limited = True
            resource.setrlimit(resource.RLIMIT_AS, (_memory() + MEMORY, resource.RLIM_INFINITY))


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve(), int(sys.argv[2]), int(sys.argv[3]))
