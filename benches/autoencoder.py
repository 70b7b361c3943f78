"""An autoencoder trained on the stamps: how well it draws, how long it takes, what its numbers find.

    python benches/autoencoder.py [--seeds N ...] [--epochs N] [--limit N]

Errors are mean squares of differences of numbers from 0 to 1, at 256 px, on the pictures it learnt from
and on those it never saw; the baseline is each picture's own mean colour. P@5 and mAP@100 are those of
`methods.py`, every labelled stamp asking for the others, and in brackets P@5 of the queries never seen
in training. Means of the seeds, and from the lowest to the highest.
"""

from __future__ import annotations

import argparse
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from leaving_one_out import frequent
from methods import components, extract, quality
from setting import DATA, figure, pictures

import lookalike
from lookalike import images
from lookalike.evaluation import measures
from lookalike.indexes import distances
from lookalike.training import AutoencoderRecipe, train_autoencoder

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lookalike.evaluation.splits import Part
    from lookalike.training import Trained
    from lookalike.types import Floats

DEFAULT = "efficientnet-lite0"


@dataclass(frozen=True, slots=True)
class Found:
    """What vectors find: P@5, mAP@100, and P@5 of the queries that were never seen."""

    precision: float
    mean_ap: float
    unseen: float


class Stamps:
    """The labelled stamps, by the ids that a training knows them by."""

    def __init__(self, folder: Path) -> None:
        ids = [path.relative_to(folder).as_posix() for path in sorted(folder.rglob("*.png"))]
        labels = ["/".join(id_.split("/")[:-1][:2]) for id_ in ids]
        kept = np.flatnonzero(frequent(labels, at_least=5))
        self.ids = [ids[row] for row in kept]
        self.alike = np.equal.outer(*[np.array(labels)[kept]] * 2)  # (n, n)
        with ThreadPoolExecutor() as pool:
            self.images = list(
                pool.map(lambda id_: images.decode((folder / id_).read_bytes()).image, self.ids)
            )

    def vectors(self, name: str, *, normalize: bool | None = None) -> Floats:
        """Of every stamp, by a model."""
        model = lookalike.extractor(name, precision="f32", normalize=normalize)
        with ThreadPoolExecutor() as pool:
            return extract(model, list(pool.map(model.prepare, self.images)))

    def found(self, vectors: Floats, metric: str, unseen: frozenset[str]) -> Found:
        """What they find, every picture asking for the others."""
        scores = distances.estimates(vectors, vectors, metric=metric)
        asking = np.array([id_ in unseen for id_ in self.ids])
        itself = np.eye(len(scores), dtype=bool)
        some = measures.rank(np.where(itself, -np.inf, scores)[asking], (self.alike & ~itself)[asking], 5)
        precision = float(measures.precision_at(some.relevant, 5).mean())
        return Found(*quality(scores, self.alike), precision)


def drawn(runs: Sequence[Trained]) -> None:
    """How well it draws, and how long it takes to learn that."""
    parts: tuple[tuple[Part, str, str], ...] = (
        ("train", "it learnt from", "≤ .167"),
        ("test", "it never saw", "≤ .5"),
    )
    for part, what, wanted in parts:
        errors = [run.measures[f"{part}_mse"] for run in runs]
        plain = [run.measures[f"{part}_own_colour_mse"] for run in runs]
        shares = [error / own for error, own in zip(errors, plain, strict=True)]
        figure(
            f"autoencoder, {len(runs[0].split.ids(part))} stamps {what}: MSE at 256 px",
            spread(errors, 4),
            f"own mean colour {np.mean(plain):.4f}",
            spread(shares, 3),
            wanted,
        )
    figure("autoencoder: minutes to train", spread([run.seconds / 60 for run in runs], 1), "", "", "≤ 15")


def compared(stamps: Stamps, runs: Sequence[Trained]) -> None:
    """What its numbers find, beside the default vector and principal components of the pixels."""
    unseen = [frozenset(run.split.ids("test")) for run in runs]
    default = stamps.vectors(DEFAULT)
    small = stamps.vectors(f"{runs[0]}@pooled", normalize=False)
    axes, _ = components(small, small, count=16)
    rows = {
        f"{DEFAULT}, {default.shape[1]:,} numbers": [stamps.found(default, "cosine", ids) for ids in unseen],
        "autoencoder, 16 numbers": [
            stamps.found(stamps.vectors(str(run)), "euclidean", ids)
            for run, ids in zip(runs, unseen, strict=True)
        ],
        "principal components of 64 px, 16 numbers": [stamps.found(axes, "euclidean", ids) for ids in unseen],
    }
    baseline = next(iter(rows.values()))[0].precision
    for what, found in rows.items():
        precision = spread([one.precision for one in found], 3)
        mean_ap = spread([one.mean_ap for one in found], 3)
        new = spread([one.unseen for one in found], 3)
        ratio = np.mean([one.precision for one in found]) / baseline
        figure(
            f"stamps, {what}: P@5, mAP@100 (P@5 of queries never seen)",
            f"{precision}, {mean_ap} ({new})",
            f"P@5 {baseline:.3f} {DEFAULT}",
            f"{ratio:.3f}",
            "",
        )


def spread(values: Sequence[float], places: int) -> str:
    """A mean, and the lowest and highest where they differ."""
    low, high, mean = (f"{pick(values):.{places}f}" for pick in (min, max, np.mean))
    return mean if low == high else f"{mean} [{low} to {high}]"


def main() -> None:
    """Train once a seed, and measure."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--epochs", type=int, default=AutoencoderRecipe().epochs)
    parser.add_argument("--limit", type=int)
    wished = parser.parse_args()
    folder = pictures.stamps(DATA / "stamps")
    with tempfile.TemporaryDirectory() as scratch:
        runs = []
        for seed in wished.seeds:
            recipe = AutoencoderRecipe(seed=seed, epochs=wished.epochs, limit=wished.limit)
            runs.append(train_autoencoder(folder, recipe, out=Path(scratch, str(seed))))
        drawn(runs)
        compared(Stamps(folder), runs)


if __name__ == "__main__":
    main()
