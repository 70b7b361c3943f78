"""What fine-tuning to one's own classes gains in search, alone and with the ranker on top, and what it takes.

    python benches/classifier.py [--only PART ...]

Stamps and labels are those of `ranker.py`. One half of each label's pictures is learnt from, a tenth of them
kept apart for validation, and all pictures held out ask for each other; in the part `unseen` a quarter of
the labels is left out, as there. Gains are on P@5 and mAP@100 of each query by T; means of the seeds 0, 1
and 2 ± their spread. The ranker is its closed form with constants, for its check of what was learnt from is
no check where the network has learnt from it, too.
"""

from __future__ import annotations

import argparse
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import ranker
from setting import DATA, figure, median_seconds, pictures

import lookalike
from lookalike import images
from lookalike.extractors import architecture, efficientnet, steps
from lookalike.extractors.keras import lite0
from lookalike.training import ClassifierRecipe, maps, train_classifier

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from lookalike.training import Trained
    from lookalike.types import Floats

SEEDS = 3
STRENGTH = maps.Strength(within=0.1, between=0.2)
ALONE, RANKER, BOTH = "the classifier alone", "the ranker alone", "the ranker on top of the classifier"
GOALS = {
    ALONE: ("≥ +.01", "≥ +.04", "not harmed", "not harmed"),
    RANKER: ("", "", "", ""),
    BOTH: ("≥ ranker alone", "≥ ranker alone", "", ""),
}


@dataclass(frozen=True, slots=True)
class Reached:
    """By one seed.

    gains: of each method in the order of `ranker.NAMES`.
    accuracy: on pictures held out of classes it has learnt.
    """

    gains: dict[str, list[float]]
    accuracy: float
    made: Trained


def described(model: str, folder: Path, ids: Sequence[str]) -> tuple[Floats, Floats]:
    """What a model makes of pictures: vectors (n, dim) and scores (n, classes)."""
    extractor = lookalike.extractor(model, precision="f32")
    parts = []
    for start in range(0, len(ids), 64):
        files = [(folder / id_).read_bytes() for id_ in ids[start : start + 64]]
        with ThreadPoolExecutor() as pool:
            decoded = list(pool.map(lambda file: images.decode(file, size=extractor.size).image, files))
        parts.append(extractor.extract([extractor.prepare(image) for image in decoded]))
    scores = [part.scores for part in parts if part.scores is not None]
    return np.concatenate([part.vectors for part in parts]), np.concatenate(scores)


def learnt_map(vectors: Floats, labels: Sequence[str]) -> tuple[steps.Step, ...]:
    """The ranker's closed form of some pictures (n, dim) and their labels."""
    sets = [frozenset([label]) for label in labels]
    return maps.Scatter.of_labels(vectors, sets).map(STRENGTH).steps()


def everything(stamps: ranker.Stamps, random: np.random.Generator) -> ranker.Given:
    """Half of the pictures of every label."""
    return ranker.halves(stamps, np.unique(stamps.labels), random)


def reach(folder: Path, ids: Sequence[str], stamps: ranker.Stamps, given: ranker.Given, seed: int) -> Reached:
    """Train on what is given, and look at all other pictures."""
    learnt, told = given
    labels = {ids[row]: label for row, label in zip(learnt.tolist(), told.tolist(), strict=True)}
    recipe = ClassifierRecipe(seed=seed, test=0.0, validation=0.1, fewest=1)
    with tempfile.TemporaryDirectory() as place:
        made = train_classifier(folder, recipe, labels=labels, out=Path(place, "model"))
        own, scores = described(made.model, folder, ids)
    held = np.setdiff1d(np.arange(len(ids)), learnt)
    truth = stamps.labels[held]
    seen = np.isin(truth, told)
    methods = {ALONE: own[held]}
    for what, vectors in ((RANKER, stamps.vectors), (BOTH, own)):
        methods[what] = steps.apply(learnt_map(vectors[learnt], told.tolist()), vectors[held])
    before = ranker.per_query(stamps.vectors[held], truth)
    finds = ~np.isnan(before[:, 0])
    gains = {}
    for what, vectors in methods.items():
        apart = ranker.per_query(vectors, truth) - before  # (held, 2)
        kinds = [apart[kind & finds] for kind in (seen, ~seen)]
        gains[what] = [gain for kind in kinds if len(kind) for gain in kind.mean(0).tolist()]
    named = np.unique(told)[scores[held].argmax(axis=1)]
    return Reached(gains, float((named == truth)[seen].mean()), made)


def quality(what: str, give: Callable[[ranker.Stamps, np.random.Generator], ranker.Given]) -> None:
    """Search on pictures held out, accuracy, and the time that it took."""
    folder = pictures.stamps(DATA / "stamps")
    stamps = ranker.Stamps.read()
    known = set(stamps.labels.tolist())
    every = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.png"))
    ids = [id_ for id_ in every if "/".join(id_.split("/")[:-1][:2]) in known]
    found = []
    for seed in range(SEEDS):
        found.append(reach(folder, ids, stamps, give(stamps, np.random.default_rng([seed, 0])), seed))
        speed(found[-1])
    for method, goals in GOALS.items():
        for column, (name, goal) in enumerate(zip(ranker.NAMES, goals, strict=True)):
            gains = np.array([one.gains[method][column : column + 1] for one in found])  # (seeds, 1)
            if gains.size:
                spread = f"{gains.mean():+.3f} ± {gains.std(ddof=1):.3f}"
                figure(f"{what}: {method}, {name}", spread, "T", "", goal)
    accuracy = np.array([one.accuracy for one in found])
    figure(
        f"{what}: the classifier's accuracy on pictures held out",
        *(f"{accuracy.mean():.3f} ± {accuracy.std(ddof=1):.3f}", "", "", "reported"),
    )


def speed(one: Reached) -> None:
    """How long a training took, an epoch of each of its stages, and what it gained."""
    counts = one.made.split.counts()
    last = {epoch.stage: epoch.seconds for epoch in one.made.history.epochs}
    stages = ", ".join(f"{1000 * took / counts['train']:.0f} ms ({stage})" for stage, took in last.items())
    gains = ", ".join(f"{gain:+.3f}" for gain in one.gains[ALONE])
    figure(
        f"the classifier, {counts['train']} pictures learnt from and {counts['validation']} kept apart",
        f"{one.made.seconds:.0f} s; a picture learnt from in an epoch {stages}; gains {gains}",
        *("", "", "≤ 180 s, 2 cores"),
    )


def base() -> None:
    """The Keras model of EfficientNet-Lite0 against the default extractor, on photographs."""
    folder = pictures.photographs(DATA / "photographs")
    ids = sorted(path.name for path in folder.iterdir() if path.suffix in {".png", ".jpg"})
    _, expected = described(efficientnet.NAME, folder, ids)
    extractor = lookalike.extractor(efficientnet.NAME, precision="f32")
    decoded = [images.decode((folder / id_).read_bytes(), size=extractor.size).image for id_ in ids]
    batch = np.stack([extractor.prepare(image) for image in decoded]).astype(np.float32)
    batch = (batch - architecture.MEAN) / architecture.SCALE
    network = lite0.build()
    furthest = float(np.abs(network.predict(batch, verbose=0) - expected).max())
    took = median_seconds(lambda: network.predict(batch, verbose=0)) / len(ids)
    figure(
        f"Keras base, {len(ids)} photographs, softmax: largest difference; predict",
        *(f"{furthest:.1e}; {1000 * took:.1f} ms a picture", "default extractor, float32", "", "≤ 1e-4"),
    )


PARTS: dict[str, Callable[[], None]] = {
    "base": base,
    "seen": partial(quality, "37 labels", everything),
    "unseen": partial(quality, "a quarter of the labels left out", ranker.split),
}


def main() -> None:
    """Measure every part."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--only", nargs="*", choices=PARTS, default=list(PARTS))
    for name in parser.parse_args().only:
        PARTS[name]()


if __name__ == "__main__":
    main()
