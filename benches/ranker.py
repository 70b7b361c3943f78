"""What a ranker gains on labels it has learnt from, what it does to others, and what wrong labels do to it.

    python benches/ranker.py [--only PART ...]

Stamps and labels are those of `retrieval.py`, and T is the baseline of every row. A split takes a quarter
of the labels away as never seen, or none; of each other label one half of the pictures is learnt from.
All pictures held out, of both kinds, ask for each other; P@5 and mAP@100 of each query are compared with
its own by T.
Each of the seeds 0, 1 and 2 draws five splits. Gains are means over a seed's splits, then over seeds,
± their spread; `least` is the lower end of the mean's 95 % interval over all fifteen splits.

The hostile parts give less, or lies: three labels; three pictures a label; 30 % of the labels drawn anew;
all of them shuffled; all but five labels thrown into one. Measured is by the true labels all the same.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from leaving_one_out import frequent
from setting import DATA, figure, pictures

from lookalike import Gallery
from lookalike.evaluation import measures
from lookalike.extractors import steps
from lookalike.indexes import distances
from lookalike.training import RankerRecipe, train_ranker
from lookalike.training.model_selection import learn_map
from lookalike.training.ranker import LabelExamples, StoredVectors, learn, near
from lookalike.training.trials import LabelTrials

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from lookalike.training.recipes import RankerMethod
    from lookalike.types import Floats

    Rows = NDArray[np.intp]
    Given = tuple[Rows, NDArray[np.str_]]

SEEDS, SPLITS = 3, 5
UNSEEN = 0.25  # of the labels
SAFE = ("least > -.01", "least > -.01")
STUDENT = 2.145  # of 14 degrees of freedom
NAMES = ("P@5 seen", "mAP@100 seen", "P@5 unseen", "mAP@100 unseen")


@dataclass(frozen=True, slots=True)
class Stamps:
    """The labelled stamps: (n, dim) vectors, n labels, n ids."""

    vectors: Floats
    labels: NDArray[np.str_]
    ids: NDArray[np.str_]

    @classmethod
    def read(cls, model: str = "efficientnet-lite0") -> Stamps:
        """Described by a model."""
        folder = pictures.stamps(DATA / "stamps")
        with (
            tempfile.TemporaryDirectory() as place,
            Gallery.open(folder, gallery=Path(place) / "stamps", model=model, precision="f32") as gallery,
        ):
            gallery.add()
            ids = [record.id for record in gallery.records()]
            vectors = gallery.vectors(ids)
        labels = np.array(["/".join(id_.split("/")[:-1][:2]) for id_ in ids])
        kept = frequent(labels.tolist(), at_least=5)
        return cls(vectors[kept], labels[kept], np.array(ids)[kept])


def split(stamps: Stamps, random: np.random.Generator) -> Given:
    """A quarter of the labels left out; of the others half of the pictures, with their labels."""
    names = random.permutation(np.unique(stamps.labels))
    return halves(stamps, names[round(UNSEEN * len(names)) :], random)


def every_label(stamps: Stamps, random: np.random.Generator) -> Given:
    """Half of the pictures of every label."""
    return halves(stamps, np.unique(stamps.labels), random)


def halves(stamps: Stamps, names: NDArray[np.str_], random: np.random.Generator) -> Given:
    """Half of the pictures of each of some labels."""
    rows = [random.permutation(np.flatnonzero(stamps.labels == name)) for name in names]
    learnt = np.concatenate([of[: round(len(of) / 2)] for of in rows])
    return learnt, stamps.labels[learnt]


def three_labels(stamps: Stamps, random: np.random.Generator) -> Given:
    """Half of the pictures of three labels with a dozen or more; all others are never seen."""
    names, counts = np.unique(stamps.labels, return_counts=True)
    return halves(stamps, random.choice(names[counts >= 12], 3, replace=False), random)


def three_pictures(stamps: Stamps, random: np.random.Generator) -> Given:
    """Three pictures of each label that is seen."""
    learnt, labels = split(stamps, random)
    rows = np.concatenate([np.flatnonzero(labels == name)[:3] for name in np.unique(labels)])
    return learnt[rows], labels[rows]


def wrong(stamps: Stamps, random: np.random.Generator) -> Given:
    """Of 30 % of the pictures the label is drawn anew."""
    learnt, labels = split(stamps, random)
    lies = random.random(len(labels)) < 0.3
    drawn = random.choice(np.unique(labels), len(labels))
    return learnt, np.where(lies, drawn, labels)


def shuffled(stamps: Stamps, random: np.random.Generator) -> Given:
    """Every picture has the label of another one."""
    learnt, labels = split(stamps, random)
    return learnt, random.permutation(labels)


def one_giant(stamps: Stamps, random: np.random.Generator) -> Given:
    """Five labels are told, all others are one."""
    learnt, labels = split(stamps, random)
    told = random.choice(np.unique(labels), 5, replace=False)
    return learnt, np.where(np.isin(labels, told), labels, "others")


HOSTILE: dict[str, Callable[[Stamps, np.random.Generator], Given]] = {
    "three labels": three_labels,
    "three pictures a label": three_pictures,
    "30 % wrong labels": wrong,
    "labels shuffled": shuffled,
    "one giant label": one_giant,
}


def learnt_map(vectors: Floats, given: Given, method: RankerMethod, seed: int) -> tuple[Floats, str]:
    """All vectors by a map learnt from some pictures; and which it is."""
    learnt, told = given
    labels = [frozenset([label]) for label in told.tolist()]
    trials = LabelTrials.of(vectors[learnt], "cosine", labels, near(vectors[learnt]))
    verdict, made = learn_map(trials, method, seed)
    chosen = "plain" if verdict.chosen is None else verdict.chosen.name.partition(",")[0]
    return steps.apply(made, vectors), chosen


def gains(stamps: Stamps, learnt: Rows, moved: Floats) -> list[float]:
    """What other vectors gain on pictures that were not learnt from, in the order of `NAMES`."""
    held = np.setdiff1d(np.arange(len(stamps.labels)), learnt)
    seen = np.isin(stamps.labels[held], stamps.labels[learnt])
    before, after = (per_query(each[held], stamps.labels[held]) for each in (stamps.vectors, moved))
    apart = after - before  # (held, 2)
    finds = ~np.isnan(apart[:, 0])
    return [*_mean(apart[seen & finds]), *_mean(apart[~seen & finds])]


def _mean(apart: NDArray[np.floating]) -> list[float]:
    means: list[float] = apart.mean(0).tolist() if len(apart) else [float("nan")] * 2
    return means


def per_query(vectors: Floats, labels: NDArray[np.str_]) -> NDArray[np.floating]:
    """P@5 and AP@100 of each picture asking for the others, (n, 2); NaN where there is none to find."""
    alike = (labels[:, None] == labels) & ~np.eye(len(labels), dtype=bool)
    scores = np.array(distances.estimates(vectors, vectors, "cosine"))
    np.fill_diagonal(scores, -np.inf)
    ranking = measures.rank(scores, alike, 100)
    precision = measures.precision_at(ranking.relevant, 5)
    mean_ap = measures.average_precision_at(ranking.relevant, ranking.total, 100, found=ranking.found)
    return np.where(alike.any(1)[:, None], np.stack([precision, mean_ap], axis=1), np.nan)


def measure(
    stamps: Stamps,
    what: str,
    give: Callable[[Stamps, np.random.Generator], Given],
    method: RankerMethod,
    wanted: Sequence[str],
) -> None:
    """Fifteen splits of one part: a row for each of `NAMES`."""
    found: list[list[list[float]]] = []
    methods: list[str] = []
    for seed in range(SEEDS):
        found.append([])
        for number in range(SPLITS):
            given = give(stamps, np.random.default_rng([seed, number]))
            moved, chosen = learnt_map(stamps.vectors, given, method, seed)
            found[-1].append(gains(stamps, given[0], moved))
            methods.append(chosen)
    table = np.array(found)  # (seeds, splits, 4)
    taken = ", ".join(f"{methods.count(name)} {name}" for name in sorted(set(methods)))
    for column, (name, goal) in enumerate(zip(NAMES, wanted, strict=True)):
        if np.isnan(table[..., column]).any():
            continue  # every label was seen
        by_seed, every = table[..., column].mean(axis=1), table[..., column].ravel()
        least = every.mean() - STUDENT * every.std(ddof=1) / np.sqrt(len(every))
        spread = f"{by_seed.mean():+.3f} ± {by_seed.std(ddof=1):.3f}, least {least:+.3f}"
        figure(f"ranker ({method}), {what}, {name}", spread, "T", f"chosen {taken}", goal)


def fair(stamps: Stamps, method: RankerMethod) -> None:
    """Labels as they are."""
    aims = ("+.04, at least +.03", "+.13, at least +.11", *SAFE)
    measure(stamps, "every label seen", every_label, method, aims)
    measure(stamps, "a quarter of the labels unseen", split, method, aims)


def hostile(stamps: Stamps) -> None:
    """What the check makes of too few labels or pictures, and of lies."""
    for what, give in HOSTILE.items():
        measure(stamps, what, give, "closed", ("", "", *SAFE))


def deep(stamps: Stamps) -> None:
    """Through the network: one split a seed, beside the map on the same split, and with a map on top."""
    sys.path.append(str(Path(__file__).resolve().parent.parent / "examples"))
    from deep_ranker import DeepRankerRecipe, train_deep_ranker

    folder = pictures.stamps(DATA / "stamps")
    found: dict[str, list[list[float]]] = {"deep": [], "the map": [], "the map behind deep": []}
    took = []
    for seed in range(SEEDS):
        given = split(stamps, np.random.default_rng([seed, 0]))
        with tempfile.TemporaryDirectory() as place:
            table = Path(place, "labels.csv")
            lines = [f'"{stamps.ids[row]}","{label}"' for row, label in zip(*given, strict=True)]
            table.write_text("\n".join(["path,label", *lines]), encoding="utf-8")
            recipe = DeepRankerRecipe(seed=seed, test=0.0)
            made = train_deep_ranker(folder, recipe, labels=table, out=Path(place, "deep"))
            took.append(made.seconds)
            vectors = Stamps.read(str(made)).vectors
        for name, of in (("deep", None), ("the map", stamps.vectors), ("the map behind deep", vectors)):
            moved = vectors if of is None else learnt_map(of, given, "closed", seed)[0]
            found[name].append(gains(stamps, given[0], moved))
    for what, rows in found.items():
        means, spreads = np.mean(rows, 0), np.std(rows, 0, ddof=1)
        reached = "; ".join(
            f"{name} {mean:+.3f} ± {spread:.3f}"
            for name, mean, spread in zip(NAMES, means, spreads, strict=True)
        )
        figure(f"ranker, {what}, a quarter of the labels unseen", reached, "T", "", "")
    figure("ranker, deep, some 270 pictures learnt from", f"{statistics.median(took):.0f} s", "", "", "")


def times(stamps: Stamps) -> None:
    """Seconds from stored vectors: of the stamps by the whole call, and of 10,000 generated ones."""
    folder = pictures.stamps(DATA / "stamps")
    with Gallery.open(folder) as gallery:
        gallery.add()
    with tempfile.TemporaryDirectory() as place:
        took = [
            train_ranker(folder, labels="folder:2", out=Path(place, f"{number}")).seconds
            for number in range(3)
        ]
    figure("ranker, 796 stamps from stored vectors", f"{statistics.median(took):.1f} s", "", "", "≤ 5 s")
    many = mixtures(stamps, 10_000, np.random.default_rng(0))
    started = time.perf_counter()
    learned = learn(*many, "cosine", RankerRecipe())
    figure(
        f"ranker, 10,000 generated vectors of 1,280 ({learned.method})",
        f"{time.perf_counter() - started:.1f} s",
        "",
        "",
        "seconds",
    )


def mixtures(stamps: Stamps, count: int, random: np.random.Generator) -> tuple[LabelExamples, StoredVectors]:
    """Each a mixture of two stamps of one label, with noise: they behave as real ones do."""
    of_label = {name: np.flatnonzero(stamps.labels == name) for name in np.unique(stamps.labels)}
    labels = random.choice(stamps.labels, count)
    pairs = np.array([random.choice(of_label[label], 2) for label in labels])
    share = random.random((count, 1)).astype(np.float32)
    noise = 0.01 * random.standard_normal((count, stamps.vectors.shape[1])).astype(np.float32)
    mixed = share * stamps.vectors[pairs[:, 0]] + (1 - share) * stamps.vectors[pairs[:, 1]] + noise
    vectors = steps.Normalise().apply(mixed)
    ids = [f"{number:05}.jpg" for number in range(count)]
    given = LabelExamples(ids, [frozenset([str(label)]) for label in labels], {}, "generated labels")
    return given, StoredVectors(ids, vectors, None)


PARTS: dict[str, Callable[[Stamps], None]] = {
    "closed": partial(fair, method="closed"),
    "hostile": hostile,
    "times": times,
    "pairwise": partial(fair, method="pairwise"),
    "deep": deep,
}


def main() -> None:
    """Measure every part."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--only", nargs="*", choices=PARTS, default=list(PARTS))
    wished = parser.parse_args().only
    stamps = Stamps.read()
    for name in wished:
        PARTS[name](stamps)


if __name__ == "__main__":
    main()
