"""How long a comparison takes: four methods on the 796 stamps, the whole command.

    python benches/compare.py [--models NAME ...]

A process of its own indexes every picture once a method, measures quality, size and speed, and removes
what it made. The rows of the methods say what each found and cost in that run.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time

from setting import DATA, figure, pictures

MODELS = (
    "efficientnet-lite0",
    "efficientnet-lite0@features",
    "efficientnet-lite0@classes",
    "efficientnet-lite0@block4c+avg",
)
LABELS = "folder:2"  # the first two levels say what a stamp shows, the others how it is drawn
AT_LEAST = "5"
ALLOWED = 180  # seconds


def main() -> None:
    """Compare, and print the time of it all and a row for each method."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--models", nargs="*", default=list(MODELS))
    models = parser.parse_args().models
    stamps = pictures.stamps(DATA / "stamps")
    words = ["compare", str(stamps), "--labels", LABELS, "--at-least", AT_LEAST, "--json"]
    started = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "lookalike", *words, "--models", *models],
        stdout=subprocess.PIPE,
        check=True,
    )
    seconds = time.perf_counter() - started
    found = json.loads(done.stdout)
    what = f"compare {len(models)} methods on {found['pictures']:,} stamps"
    figure(what, f"{seconds:.0f} s", f"{ALLOWED} s allowed", f"{seconds / ALLOWED:.2f}", "≤ 180 s")
    best = max(one["measures"]["mAP@100"] for one in found["methods"])
    for one in found["methods"]:
        quality = one["measures"]
        figure(
            f"{one['method']}: P@5, mAP@100, nDCG@10; {one['dim']:,} numbers, "
            f"{one['bytes_per_picture']:,.0f} bytes, "
            f"{one['pictures_per_second']:.0f} pictures/s, {one['ms_per_search']:.2f} ms a search",
            f"{quality['P@5']:.3f}, {quality['mAP@100']:.3f}, {quality['nDCG@10']:.3f}",
            f"mAP@100 {best:.3f}, the best",
            f"{quality['mAP@100'] / best:.2f}",
            "",
        )


if __name__ == "__main__":
    main()
