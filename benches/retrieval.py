"""How good the answers are: P@5 and mAP@100 leave-one-out by folder labels, and P@10 of keywords.

    python benches/retrieval.py

Stamps: labels are the first two folder levels, those with at least five pictures. Clip art: the half
of Debian's openclipart-png on which the default vector's mean was not computed, at most forty
queries a label. The baseline of each row is the plain cosine of the same network's features.
"""

from __future__ import annotations

import tempfile
from functools import partial
from pathlib import Path

import numpy as np
from leaving_one_out import frequent, leave_one_out
from setting import DATA, figure, pictures

from lookalike import Gallery
from lookalike.evaluation import measures
from lookalike.indexes import distances

WORDS = {
    "bird": ("animals/birds",),
    "fruit": ("food/fruit",),
    "flower": ("plants/flowers",),
    "vehicle": ("vehicles", "military/vehicles"),
    "animal": ("animals",),
    "food": ("food",),
    "insect": ("animals/insects",),
}


def main() -> None:
    """Measure both collections."""
    with tempfile.TemporaryDirectory() as place:
        stamps = pictures.stamps(DATA / "stamps")
        measure("stamps", stamps, Path(place) / "stamps", wanted=("≥ .685", "≥ .445"))
        keywords(stamps, Path(place) / "stamps")
        clipart = pictures.clipart(DATA / "clipart")
        measure("clip art, other half", clipart, Path(place) / "clipart", wanted=("", ""), most=40)


def measure(name: str, folder: Path, place: Path, wanted: tuple[str, str], most: int | None = None) -> None:
    """Compare the recommended vector with the plain features of the same network."""
    ours = quality(folder, place, "efficientnet-lite0", most)
    plain = quality(folder, place.with_name(f"{place.name}-features"), "efficientnet-lite0@features", most)
    for measure_, mine, theirs, goal in zip(("P@5", "mAP@100"), ours, plain, wanted, strict=True):
        figure(
            f"{name}, {measure_}", f"{mine:.3f}", f"{theirs:.3f} plain features", f"{mine / theirs:.3f}", goal
        )


def quality(folder: Path, place: Path, model: str, most: int | None) -> tuple[float, float]:
    """P@5 and mAP@100 of a model on a labelled folder."""
    with Gallery.open(folder, gallery=place, model=model, metric="cosine", precision="f32") as gallery:
        gallery.add(exclude=[] if most is None else ["/" + name for name in seen_by_the_mean(folder)])
        ids = [record.id for record in gallery.records()]
        vectors = gallery.vectors(ids)
    labels = ["/".join(id_.split("/")[:-1][:2]) for id_ in ids]
    kept = frequent(labels, at_least=5)
    labels = [label for label, keep in zip(labels, kept, strict=True) if keep]
    queries = None if most is None else measures.sample(labels, at_most=most)
    ranking = measures.join(
        list(
            leave_one_out(
                vectors[kept], labels, partial(distances.estimates, metric="cosine"), queries=queries
            )
        )
    )
    precision = measures.precision_at(ranking.relevant, 5)
    mean_ap = measures.average_precision_at(ranking.relevant, ranking.total, 100, found=ranking.found)
    return float(np.mean(precision)), float(np.mean(mean_ap))


def seen_by_the_mean(folder: Path) -> list[str]:
    """The half of the clip art on which the mean of the default vector was computed."""
    names = (path.relative_to(folder).as_posix() for path in sorted(folder.rglob("*.png")))
    return [name for name in names if pictures.is_even(name)]


def keywords(folder: Path, place: Path) -> None:
    """P@10 of seven words, from class scores alone."""
    with Gallery.open(folder, gallery=place) as gallery:
        found = {
            word: np.mean([hit.id.startswith(folders) for hit in gallery.find(word, k=10, only="classes")])
            for word, folders in WORDS.items()
        }
    chance = np.mean([chance_of(folder, folders) for folders in WORDS.values()])
    words = ", ".join(f"{word} {value:.1f}" for word, value in found.items())
    mean = float(np.mean(list(found.values())))
    figure(
        f"keywords on stamps, mean P@10 ({words})",
        f"{mean:.3f}",
        f"{chance:.3f} by chance",
        f"{mean / chance:.1f}",
        "≥ .92",
    )


def chance_of(folder: Path, folders: tuple[str, ...]) -> float:
    """The share of a word's pictures in the collection."""
    names = [path.relative_to(folder).as_posix() for path in folder.rglob("*.png")]
    return float(np.mean([name.startswith(folders) for name in names]))


if __name__ == "__main__":
    main()
