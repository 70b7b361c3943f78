"""What each method of the originals finds: one network cut at every depth, from pixels to class scores.

    python benches/methods.py [--only PART ...]

Stamps, labels and measures are those of `retrieval.py`; every row is `MODEL#METRIC` as `lookalike
compare` takes it, and T, the bare name, is the baseline. The first two figures are P@5 and mAP@100.

The other two say whether the background is looked at in place of what is before it. The stamps are cut
out, so each can stand on white or on nearly black. Of every query the dark copy asks a collection of
which one half, chosen by a digest of the paths, is dark and the other white: P@5, in brackets that of
the same queries with everything on white; and how many of the first five are dark. .54 of the
collection is; a method that does not look at the background finds as many.
"""

from __future__ import annotations

import argparse
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from leaving_one_out import frequent
from setting import DATA, figure, pictures

import lookalike
from lookalike import images
from lookalike.evaluation import measures
from lookalike.indexes import distances

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from numpy.typing import NDArray
    from PIL.Image import Image

    from lookalike.types import Extractor, Floats

    Pair = tuple[Floats, Floats]
    Read = Callable[[Path, tuple[int, int] | None], images.Decoded]

NETWORK = "efficientnet-lite0"
MAPS = ("input", "stem", "block1a", "block2b", "block3b", "block4c", "block5c", "block6d", "block7a", "head")
DARK = (40, 40, 40)
SEE_THROUGH = 0.1  # of its pixels, at least, or a picture has no background to change
BLOCK = 8  # pictures a thread takes at a time


@dataclass(frozen=True, slots=True)
class Method:
    """A row.

    what: the method in words that `lookalike compare` takes, or in brackets what it can't do.
    vectors: on white and on dark, each of shape (n, dim).
    rows: the same of the pictures that are searched, where they differ from those of the queries.
    """

    what: str
    metric: str
    vectors: Pair
    rows: Pair | None = None


class Stamps:
    """The labelled stamps, on white and on dark, as a model takes them."""

    def __init__(self, folder: Path) -> None:
        paths = sorted(folder.rglob("*.png"))
        ids = [path.relative_to(folder).as_posix() for path in paths]
        labels = ["/".join(id_.split("/")[:-1][:2]) for id_ in ids]
        kept = np.flatnonzero(frequent(labels, at_least=5))
        self.paths = [paths[row] for row in kept]
        self.labels = np.array([labels[row] for row in kept])
        self.is_dark = np.array([pictures.is_even(ids[row]) for row in kept])
        with ThreadPoolExecutor() as pool:
            self.see_through = np.array(list(pool.map(see_through, self.paths))) >= SEE_THROUGH
        self._prepared: dict[str, tuple[list[NDArray[np.generic]], ...]] = {}

    def vectors(self, name: str) -> Pair:
        """Plain vectors by a model, on white and on dark, each of shape (n, dim)."""
        normalize = False if "@" in name else None
        model = lookalike.extractor(name, precision="f32", normalize=normalize)
        options = name.partition("?")[2]
        if options not in self._prepared:  # the only thing that changes what a network is fed
            self._prepared[options] = tuple(self._prepare(model, make) for make in (on_white, on_dark))
        white, dark = (extract(model, batch) for batch in self._prepared[options])
        return white, dark

    def _prepare(self, model: Extractor, make: Read) -> list[NDArray[np.generic]]:
        with ThreadPoolExecutor() as pool:
            return list(pool.map(lambda path: model.prepare(make(path, model.size).image), self.paths))


def on_white(path: Path, size: tuple[int, int] | None) -> images.Decoded:
    """A picture as a gallery reads it."""
    return images.decode(path.read_bytes(), size=size)


def on_dark(path: Path, size: tuple[int, int] | None) -> images.Decoded:
    """A picture as a gallery would read it if its background were dark."""
    from PIL import Image

    picture = layers(path)
    ground = Image.new("RGBA", picture.size, DARK)
    return images.decode(images.encoded(Image.alpha_composite(ground, picture).convert("RGB")), size=size)


def see_through(path: Path) -> float:
    """The share of a picture's pixels that let the background through."""
    return float(np.mean(np.asarray(layers(path))[..., 3] < 128))


def layers(path: Path) -> Image:
    """A picture with its transparency."""
    from PIL import Image

    with Image.open(path) as picture:
        return picture.convert("RGBA")


def extract(model: Extractor, batch: list[NDArray[np.generic]]) -> Floats:
    """Vectors of shape (n, dim), by as many threads as the model asks for."""
    vectors = np.empty((len(batch), model.dim), np.float32)

    def fill(start: int) -> None:
        vectors[start : start + BLOCK] = model.extract(batch[start : start + BLOCK]).vectors

    with ThreadPoolExecutor(model.parallel) as pool:
        list(pool.map(fill, range(0, len(batch), BLOCK)))
    return vectors


def recommended(stamps: Stamps) -> Iterator[Method]:
    """T."""
    yield Method(NETWORK, "cosine", stamps.vectors(NETWORK))


def depths(stamps: Stamps) -> Iterator[Method]:
    """The network cut at each depth, the whole map or one mean a channel, and its class scores."""
    maps = [f"{layer}{pool}" for layer in MAPS for pool in ("", "+avg")]
    for layer in [*maps[:-1], "features", "logits", "classes"]:  # head+avg is features
        name = f"{NETWORK}@{layer}"
        vectors = stamps.vectors(name)
        for metric in ("cosine", "euclidean"):
            yield Method(name, metric, vectors)


def class_scores(stamps: Stamps) -> Iterator[Method]:
    """Class scores as visual words: the N largest on both sides, or of the pictures searched alone."""
    whole = stamps.vectors(f"{NETWORK}@classes")
    yield Method(f"{NETWORK}@classes", "inner", whole)
    for count in (1, 5, 20):
        name = f"{NETWORK}@classes?top-classes={count}"
        some = stamps.vectors(name)
        yield Method(name, "inner", some)
        yield Method(f"({name}, the query whole)", "inner", whole, some)


def preparations(stamps: Stamps) -> Iterator[Method]:
    """The same features of pixels prepared as the originals do, and not as the network was trained."""
    for options in ("resize=nearest", "scale=1/255", "scale=1", "size=140&resize=bicubic&scale=1"):
        for layer in ("features", "classes"):
            name = f"{NETWORK}@{layer}?{options}"
            yield Method(name, "euclidean", stamps.vectors(name))


def sixteen_numbers(stamps: Stamps) -> Iterator[Method]:
    """As few numbers as the autoencoder has, by principal components of the white pictures."""
    for name in (f"{NETWORK}@input", f"{NETWORK}@features", NETWORK):
        vectors = components(*stamps.vectors(name), count=16)
        yield Method(f"({name}, principal components, 16)", "euclidean", vectors)


def components(white: Floats, dark: Floats, *, count: int) -> Pair:
    """Both less the mean of the first, along its principal axes: (n, count)."""
    mean = white.mean(axis=0)
    centred = white - mean
    sizes, turned = np.linalg.eigh(centred @ centred.T)  # (n,) ascending, (n, n)
    axes = centred.T @ (turned[:, -count:] / np.sqrt(sizes[-count:]))  # (dim, count)
    return centred @ axes, (dark - mean) @ axes


PARTS = {
    "depths": depths,
    "classes": class_scores,
    "preparations": preparations,
    "sixteen": sixteen_numbers,
}


def measure(stamps: Stamps, method: Method) -> tuple[float, ...]:
    """P@5 and mAP@100 on white; of those with a background P@5 on white, on dark, and the dark share."""
    score = partial(distances.estimates, metric=method.metric)
    (white, dark), (white_rows, dark_rows) = method.vectors, method.rows or method.vectors
    alike = stamps.labels[:, None] == stamps.labels
    plain = score(white, white_rows)
    precision, mean_ap = quality(plain, alike)
    labels = [label if cut else None for label, cut in zip(stamps.labels, stamps.see_through, strict=True)]
    cut_out = np.flatnonzero(frequent(labels, at_least=5))
    square = np.ix_(cut_out, cut_out)
    mixed = np.where(stamps.is_dark, score(dark, dark_rows), score(dark, white_rows))[square]
    is_dark = np.broadcast_to(stamps.is_dark[cut_out], mixed.shape)
    precisions = [quality(scores, alike[square])[0] for scores in (plain[square], mixed)]
    return precision, mean_ap, *precisions, quality(mixed, is_dark)[0]


def quality(scores: Floats, relevant: NDArray[np.bool_]) -> tuple[float, float]:
    """P@5 and mAP@100, every picture asking for the others; arrays of shape (n, n)."""
    itself = np.eye(len(scores), dtype=bool)
    ranking = measures.rank(np.where(itself, -np.inf, scores), relevant & ~itself, 100)
    precision = measures.precision_at(ranking.relevant, 5)
    mean_ap = measures.average_precision_at(ranking.relevant, ranking.total, 100, found=ranking.found)
    return float(precision.mean()), float(mean_ap.mean())


def main() -> None:
    """Measure every method."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--only", nargs="*", choices=PARTS, default=list(PARTS))
    wished = parser.parse_args().only
    stamps = Stamps(pictures.stamps(DATA / "stamps"))
    baseline = 0.0
    for part in (recommended, *(PARTS[name] for name in wished)):
        for method in part(stamps):
            precision, mean_ap, white, mixed, share = measure(stamps, method)
            baseline = baseline or precision
            dim = method.vectors[0].shape[1]
            figure(
                f"stamps, {method.what}#{method.metric}, {dim:,} numbers: P@5, mAP@100; dark queries P@5, "
                "dark among the first five",
                f"{precision:.3f}, {mean_ap:.3f}; {mixed:.3f} ({white:.3f}), {share:.2f}",
                f"P@5 {baseline:.3f} T",
                f"{precision / baseline:.3f}",
                "",
            )


if __name__ == "__main__":
    main()
