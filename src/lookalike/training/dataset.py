"""Find the pictures to learn from, with their labels, and decode them once to the size of the network."""

from __future__ import annotations

import os
import shutil
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cache
from hashlib import blake2b
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np

from lookalike import images
from lookalike.errors import ImageError, ModelError, UsageError
from lookalike.evaluation.folder import PictureFolder
from lookalike.extractors.network import resized, wants_all_pixels
from lookalike.reports import Progress, Skip
from lookalike.sources import cifar
from lookalike.sources.access import Access

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from lookalike.evaluation.labels import LabelsLike
    from lookalike.evaluation.splits import Part
    from lookalike.extractors.cards import Card
    from lookalike.types import Floats

_CHUNK = 256  # pictures in flight


@dataclass(frozen=True, slots=True)
class Dataset:
    """Hold the pictures of a folder that a training may use.

    root: the folder that ids are relative to.
    ids: of n pictures, sorted.
    labels: of each its label; None where it has none, or where labels were not asked for.
    fixed: the parts that the data set itself names, by id.
    notes: what the user should know of how they were found.
    """

    root: str
    ids: list[str]
    labels: list[str | None]
    fixed: Mapping[str, Part] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def is_cifar(self) -> bool:
        """Return whether the pictures lie in the batches of CIFAR-10, and not in files of their own."""
        return bool(self.fixed)

    def chosen(self, rows: Iterable[int]) -> Dataset:
        """Return some of the pictures."""
        kept = list(rows)
        ids = [self.ids[row] for row in kept]
        fixed = {id_: self.fixed[id_] for id_ in ids if id_ in self.fixed}
        return Dataset(self.root, ids, [self.labels[row] for row in kept], fixed, self.notes)


@dataclass(frozen=True, slots=True)
class DecodedDataset:
    """Hold decoded pictures.

    ids, labels: of n pictures.
    array: ndarray of shape (n, height, width, 3), uint8, RGB; it lies in a file.
    skipped: what could not be read, each with its reason.
    digest: hexadecimal digest of ids, labels and pixels.
    fixed: the parts that the data set itself names, by id.
    """

    ids: list[str]
    labels: list[str | None]
    array: NDArray[np.uint8] = field(repr=False)
    skipped: tuple[Skip, ...]
    digest: str
    fixed: Mapping[str, Part] = field(default_factory=dict, repr=False)


def collect(
    pictures: str | os.PathLike[str],
    labels: LabelsLike | None = None,
    *,
    limit: int | None = None,
    seed: int = 0,
) -> Dataset:
    """Find the pictures of a folder, or of CIFAR-10's batches, and their labels.

    Args:
        pictures: the folder.
        labels: where labels are, as `lookalike.evaluate` has them; None for pictures without. The batches
            of CIFAR-10 have their own.
        limit: take so many, drawn at random; of the batches so many of each of their two parts.
        seed: of the draw.

    Returns:
        The pictures; with labels, only those that have exactly one.

    Raises:
        UsageError: there is no such folder, or not one picture has a label.
    """
    root = os.path.abspath(os.path.expanduser(pictures))  # noqa: PTH100, PTH111  # as `Gallery.open` does
    found = _of_cifar(root) if cifar.is_cifar(root) else _of_folder(root, labels)
    return found if limit is None else found.chosen(drawn(found.ids, found.fixed, limit, seed))


def drawn(ids: Sequence[str], fixed: Mapping[str, Part], limit: int, seed: int) -> list[int]:
    """Draw so many rows at random, and as many of each part that the data set names.

    Args:
        ids: of n pictures, sorted.
        fixed: the parts that are named, by id.
        limit: how many.
        seed: of the draw.
    """
    parts: dict[str, list[int]] = {}
    for row, id_ in enumerate(ids):
        parts.setdefault(fixed.get(id_, ""), []).append(row)
    random = np.random.default_rng(seed)
    return sorted(row for rows in parts.values() for row in random.permutation(rows)[:limit].tolist())


def _of_folder(root: str, labels: LabelsLike | None) -> Dataset:
    place = PictureFolder.look(root)
    ids = sorted(place.found)
    if labels is None:
        return Dataset(root, ids, [None] * len(ids), {}, place.notes)
    known = place.labels(labels, frozenset(ids))
    kept = [(id_, next(iter(of))) for id_, of in zip(known.ids, known.sets, strict=True) if len(of) == 1]
    several = sum(len(of) > 1 for of in known.sets)
    none = len(known.ids) - len(kept) - several
    notes = [
        *place.notes,
        *(
            f"{count:,} pictures have {what}, and were left out"
            for count, what in ((several, "several labels"), (none, "no label"))
            if count
        ),
    ]
    if not kept:
        raise UsageError(f"no picture of {root} has exactly one label by {known.what}; {'; '.join(notes)}")
    return Dataset(root, [id_ for id_, _ in kept], [label for _, label in kept], {}, tuple(notes))


def _of_cifar(root: str) -> Dataset:
    names = cifar.labels(root)
    parts: dict[str, Part] = {}
    labels: dict[str, str] = {}
    for batch in cifar.batches(root):
        parts |= dict.fromkeys(batch.ids(), batch.part)
        labels |= dict(zip(batch.ids(), (names[number] for number in batch.labels), strict=True))
    ids = sorted(labels)
    return Dataset(root, ids, [labels[id_] for id_ in ids], parts)


def load(
    collection: Dataset,
    card: Card,
    file: Path,
    *,
    progress: Callable[[Progress], object] | None = None,
) -> DecodedDataset:
    """Decode pictures to the size that a network takes, by the rule of its card, into a file.

    Args:
        collection: which.
        card: its size and rule; its channels, mean and scale are left to the network.
        file: to hold the pixels; it is written anew.
        progress: called with how many have been read.

    Returns:
        Those that could be read, and the others with their reasons.

    Raises:
        ModelError: there is no room for the file.
    """
    width, height = card.size
    shape = (height, width, 3)
    _require_room(file, len(collection.ids) * int(np.prod(shape)))
    ids: list[str] = []
    labels: list[str | None] = []
    skipped: list[Skip] = []
    state = blake2b(repr((card.size, card.resize, card.exact)).encode(), digest_size=32)
    label_of = dict(zip(collection.ids, collection.labels, strict=True))
    began = time.perf_counter()
    with file.open("wb") as out:
        for id_, pixels in _pictures(collection, card):
            if isinstance(pixels, str):
                skipped.append(Skip(id_, pixels))
            else:
                ids.append(id_)
                labels.append(label_of[id_])
                out.write(pixels.tobytes())
                state.update(f"{id_}\0{labels[-1]}\0".encode(errors="surrogateescape"))
                state.update(pixels.tobytes())
            if progress is not None:
                done = len(ids) + len(skipped)
                progress(Progress(done, len(collection.ids), len(skipped), time.perf_counter() - began))
    array = (
        np.memmap(file, np.uint8, "r", shape=(len(ids), *shape)) if ids else np.zeros((0, *shape), np.uint8)
    )
    return DecodedDataset(ids, labels, array, tuple(skipped), state.hexdigest(), collection.fixed)


def _require_room(file: Path, needed: int) -> None:
    free = shutil.disk_usage(file.parent).free
    if needed > free:
        raise ModelError(
            f"the pictures take {needed / 1e9:.1f} GB while they are learnt from, and {file.parent} has "
            f"{free / 1e9:.1f} GB left; make room, or take fewer with limit"
        )


def _pictures(collection: Dataset, card: Card) -> Iterator[tuple[str, NDArray[np.uint8] | str]]:
    """Yield every picture at the card's size, or why it can't be read, in the order of ids."""
    if collection.is_cifar:
        wanted = frozenset(collection.ids)
        for picture in cifar.read(collection.root):
            if picture.id in wanted:
                yield picture.id, resized(images.from_array(picture.pixels), card)
        return
    limits = images.ImageLimits.from_environment()
    access = Access(collection.root, limits, everything=True)  # of a folder that the caller named

    def one(id_: str) -> NDArray[np.uint8] | str:
        size = None if wants_all_pixels(card) else card.size
        try:
            content = access.read(id_)
            return resized(images.decode(content, size=size, limits=limits).image, card)
        except ImageError as error:
            return str(error)

    with ThreadPoolExecutor(os.cpu_count(), "lookalike-load") as threads:
        rest = iter(collection.ids)
        while chunk := list(islice(rest, _CHUNK)):
            yield from zip(chunk, threads.map(one, chunk), strict=True)


# On 796 cliparts and photographs: copies, the same coin of another year, letters of both cases.
_COARSE, _COARSE_SIDE = 0.97, 8  # cosine of 8x8 colours, each picture less its mean
_FINE, _FINE_SIDE = 0.95, 32  # of 32x32 greys, for those alone
_BLOCK = 2048  # rows compared with as many others at a time
_READ = 1 << 23  # numbers of pictures made small at a time; of large pictures it is one

_FLAT = 0.02
"""What a picture's mean counts beside all of its differences: only where there are next to none."""


def groups(pixels: NDArray[np.uint8], among: Sequence[int]) -> list[list[int]]:
    """Group rows of pictures that are next to identical, directly or by way of others.

    Args:
        pixels: ndarray of shape (n, height, width, 3), uint8.
        among: the rows that are looked at.

    Returns:
        Groups of two or more, each a list of places in `among`.
    """
    rows, count = np.asarray(among, np.intp), len(among)
    at_once = max(1, _READ // max(1, int(np.prod(pixels.shape[1:]))))
    parts = [_described(pixels[rows[block]], _COARSE_SIDE) for block in _blocks(count, at_once)]
    coarse = np.concatenate(parts) if parts else np.zeros((0, 1), np.float32)

    @cache  # each is made once: scans and icons are alike by the thousand
    def fine(place: int) -> Floats:
        greys = pixels[rows[[place]]].mean(axis=3, keepdims=True, dtype=np.float32)
        fine_greys: Floats = _described(greys, _FINE_SIDE)[0]
        return fine_greys

    return linked(coarse, _COARSE, lambda one, other: bool(fine(one) @ fine(other) >= _FINE))


def linked(
    unit: Floats, least: float, same: Callable[[int, int], bool] = lambda _one, _other: True
) -> list[list[int]]:
    """Group rows of vectors that point the same way, directly or by way of others.

    Args:
        unit: ndarray of shape (n, dim), of unit length.
        least: the cosine from which on two may be linked.
        same: whether two such are; asked only where it decides.

    Returns:
        Groups of two or more.
    """
    leader = np.arange(len(unit))
    for ours in _blocks(len(unit), _BLOCK):
        for theirs in _blocks(ours.stop, _BLOCK):
            close = np.argwhere(unit[ours] @ unit[theirs].T >= least) + np.array([ours.start, theirs.start])
            for one, other in close[close[:, 0] > close[:, 1]].tolist():
                above, below = _leader(leader, one), _leader(leader, other)
                if above != below and same(one, other):
                    leader[above] = below
    found: dict[int, list[int]] = {}
    for row in range(len(unit)):
        found.setdefault(_leader(leader, row), []).append(row)
    return [rows for rows in found.values() if len(rows) > 1]


def _described(pictures: NDArray[np.generic], side: int) -> Floats:
    """Return small pictures less their means, at unit length; those of one colour are alike.

    Args:
        pictures: ndarray of shape (n, height, width, channels), of numbers from 0 to 255.
        side: of the small pictures, in pixels.

    Returns:
        ndarray of shape (n, side * side * channels + 1).
    """
    count, height, width, _channels = pictures.shape
    down, across = (np.linspace(0, size, min(side, size) + 1).astype(int)[:-1] for size in (height, width))
    small = np.add.reduceat(np.add.reduceat(pictures.astype(np.float32), down, 1), across, 2)
    areas = np.diff([*down, height])[:, None, None] * np.diff([*across, width])[:, None]
    flat = (small / areas).reshape(count, -1)  # (n, side * side * channels)
    mean = flat.mean(1, keepdims=True)
    flat = np.concatenate([flat - mean, _FLAT * mean], axis=1)
    length = np.linalg.norm(flat, axis=1, keepdims=True)
    return np.asarray(flat / np.maximum(length, np.float32(1e-6)), np.float32)


def _leader(leader: NDArray[np.intp], row: int) -> int:
    while leader[row] != row:
        leader[row] = leader[leader[row]]
        row = leader[row]
    return int(row)


def _blocks(count: int, size: int) -> Iterator[slice]:
    for start in range(0, count, size):
        yield slice(start, min(start + size, count))
