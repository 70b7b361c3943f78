"""Fetch pictures from a server that takes 50 ms for each: a second, killed and started again.

python benches/fetch.py [--pictures 2000] [--per-host 32]
"""

from __future__ import annotations

import argparse
import asyncio
import csv
import io
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from setting import figure, seconds

from lookalike.sources.fetch import fetch
from lookalike.sources.web import download

if TYPE_CHECKING:
    from collections.abc import Iterator

LATENCY = 0.05  # seconds
ONE_BY_ONE = 60  # pictures, enough for a rate
FETCH = """
import sys
from lookalike.sources.fetch import fetch
table, into, per_host = sys.argv[1:]
fetch(table, into, per_host=int(per_host), jobs=int(per_host), allow_private=True)
"""


def main() -> None:
    """Measure both; the server is a process of its own."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--pictures", type=int, default=2_000)
    parser.add_argument("--per-host", type=int, default=32)
    parser.add_argument("--serve", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        asyncio.run(serve(options.serve))
        return
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        with server(place / "asked.txt") as address:
            rate(place, address, options.pictures, options.per_host)
        with server(place / "asked-again.txt") as address:
            killed(place, address, options.pictures, options.per_host)


def rate(place: Path, address: str, pictures: int, per_host: int) -> None:
    """How many pictures come a second, against one after the other."""
    table = write_table(place / "urls.csv", address, pictures)
    single = ONE_BY_ONE / seconds(
        lambda: [download(f"{address}/{n}.jpg", timeout=10) for n in range(ONE_BY_ONE)]
    )
    report = fetch(table, place / "pictures", per_host=per_host, jobs=per_host, allow_private=True)
    if report.fetched != pictures:
        sys.exit(f"{report}: {report.failed[:3]}")
    many = pictures / report.seconds
    bound = per_host / LATENCY
    figure(
        f"fetch {pictures:,} pictures, 50 ms latency, --per-host {per_host}",
        f"{many:.0f}/s",
        f"{single:.1f}/s, one by one; the latency allows {bound:.0f}/s",
        f"{many / single:.1f}",
        "≥ 200/s",
    )


def killed(place: Path, address: str, pictures: int, per_host: int) -> None:
    """Kill it in the middle, start it again: what is lost, and what is asked for twice."""
    table, into = write_table(place / "again.csv", address, pictures), place / "again"
    words = [sys.executable, "-c", FETCH, str(table), str(into), str(per_host)]
    process = subprocess.Popen(words)
    while not into.is_dir() or len(list(into.glob("*.jpg"))) < pictures // 3:
        time.sleep(0.02)
    process.kill()
    process.wait()
    complete = {file.name: file.stat().st_mtime_ns for file in into.glob("*.jpg")}
    asked = Counter((place / "asked-again.txt").read_text().split())
    report = fetch(table, into, per_host=per_host, jobs=per_host, allow_private=True)
    now = {file.name: file.stat().st_mtime_ns for file in into.glob("*.jpg")}
    lost = sum(now.get(name) != when for name, when in complete.items())
    twice = sum(count > 1 for count in Counter((place / "asked-again.txt").read_text().split()).values())
    figure(
        f"kill -9 after {len(complete):,} of {pictures:,} pictures, and again",
        f"{lost} lost or fetched again",
        f"{sum(asked.values()) - len(complete)} under way when killed, {twice} asked for twice",
        f"{report.total / pictures:.3f} there in the end",
        "0, 1.000",
    )


def write_table(file: Path, address: str, pictures: int) -> Path:
    """A table of addresses."""
    with file.open("w", newline="", encoding="utf-8") as lines:
        writer = csv.writer(lines)
        writer.writerow(["id", "url"])
        writer.writerows((n, f"{address}/{n}.jpg") for n in range(pictures))
    return file


@contextmanager
def server(asked: Path) -> Iterator[str]:
    """The address of a server in another process, which writes down what it is asked for."""
    words = [sys.executable, __file__, "--serve", str(asked)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
        if process.stdout is None:
            raise RuntimeError
        try:
            yield f"http://127.0.0.1:{process.stdout.readline().strip()}"
        finally:
            process.kill()


async def serve(asked: Path) -> None:
    """Answer every request with a photograph after the latency."""
    body = photograph()
    head = f"HTTP/1.1 200 OK\r\nContent-Type: image/jpeg\r\nContent-Length: {len(body)}\r\n\r\n"
    log = asked.open("w", buffering=1)

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while request := await reader.readuntil(b"\r\n\r\n"):
                log.write(request.split()[1].decode() + "\n")
                await asyncio.sleep(LATENCY)
                writer.write(head.encode() + body)
                await writer.drain()
        except (asyncio.IncompleteReadError, OSError):
            pass
        finally:
            writer.close()

    listening = await asyncio.start_server(answer, "127.0.0.1", 0)
    print(listening.sockets[0].getsockname()[1], flush=True)
    await listening.serve_forever()


def photograph() -> bytes:
    """A JPEG of about the size a shop shows, 320 x 320."""
    from PIL import Image

    rough = Image.effect_noise((40, 40), 80).resize((320, 320), Image.Resampling.BICUBIC)
    out = io.BytesIO()
    rough.convert("RGB").save(out, "JPEG", quality=85)
    return out.getvalue()


if __name__ == "__main__":
    main()
