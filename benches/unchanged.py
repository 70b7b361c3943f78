"""Index again with nothing changed: the whole process against a bare walk with `stat`.

python benches/unchanged.py [--files 100000]
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

from setting import figure, median_seconds

BARE = """
import os, sys
def walk(folder):
    with os.scandir(folder) as listing:
        for entry in listing:
            if entry.is_dir(follow_symlinks=False):
                walk(entry.path)
            else:
                entry.stat()
walk(sys.argv[1])
"""


def main() -> None:
    """Make the files, index them with the toy extractor, and time both."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--files", type=int, default=100_000)
    count = parser.parse_args().files
    with tempfile.TemporaryDirectory() as place:
        folder = make(Path(place) / "pictures", count)
        index = [sys.executable, "-m", "lookalike", "index", str(folder), "--model", "toy", "--quiet"]
        subprocess.run(index, check=True)
        walk = median_seconds(lambda: subprocess.run([sys.executable, "-c", BARE, str(folder)], check=True))
        again = median_seconds(
            lambda: subprocess.run([*index[:-3], "--quiet"], check=True, stdout=subprocess.DEVNULL)
        )
    what = f"index again, nothing changed, {count:,} files"
    figure(what, f"{again:.2f} s", f"{walk:.2f} s, os.scandir with stat", f"{again / walk:.2f}", "≤ 3")


def make(folder: Path, count: int) -> Path:
    """Files of a few bytes, a thousand a folder, every one a picture of its own colour."""
    for number in range(count):
        path = folder / f"{number // 1000:04}" / f"{number % 1000:03}.bmp"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(bitmap(number))
    return folder


def bitmap(number: int) -> bytes:
    """A picture of one pixel as a BMP file."""
    header = b"BM" + (58).to_bytes(4, "little") + bytes(4) + (54).to_bytes(4, "little")
    size = (40).to_bytes(4, "little") + (1).to_bytes(4, "little") * 2
    planes = (1).to_bytes(2, "little") + (24).to_bytes(2, "little") + bytes(24)
    return header + size + planes + number.to_bytes(3, "little") + bytes(1)


if __name__ == "__main__":
    main()
