"""Every benchmark in turn; the figures go to the terminal and to benches/latest.md.

python benches/run.py
"""

from __future__ import annotations

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

HERE = Path(__file__).resolve().parent


def main() -> None:
    """Run each in a process of its own, so that none warms up the other."""
    (HERE / "latest.md").unlink(missing_ok=True)
    keras = ["--keras"] if find_spec("keras") else []
    commands = [
        ["retrieval.py"],
        ["everyday_words.py"],
        ["indexing.py", *keras],
        ["unchanged.py"],
        ["search.py"],
        ["cluster.py"],
        ["index_types.py"],  # twenty minutes
        ["compare.py"],
        ["neighbors.py"],
        ["neighbors.py", "--wide"],
        ["fetch.py"],
        *([["ray_rate.py"]] if find_spec("ray") else []),
        ["methods.py"],  # twenty minutes
        ["ranker.py", "--only", "closed", "hostile", "times"],
        *([["keras_networks.py"], ["classifier.py"], ["autoencoder.py"]] if keras else []),  # an hour
    ]
    for command in commands:
        print(f"\n{' '.join(command)}", flush=True)
        subprocess.run([sys.executable, HERE / command[0], *command[1:]], check=True)


if __name__ == "__main__":
    main()
