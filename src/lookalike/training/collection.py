"""The pictures that are learnt from: found, labelled, and decoded once to the size that is wanted."""

from __future__ import annotations

import os
import shutil
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
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

_CHUNK = 256  # pictures in flight


@dataclass(frozen=True, slots=True)
class Collection:
    """Pictures that may be learnt from.

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
        """Whether the pictures lie in the batches of CIFAR-10, and not in files of their own."""
        return bool(self.fixed)

    def chosen(self, rows: Iterable[int]) -> Collection:
        """Some of the pictures."""
        kept = list(rows)
        ids = [self.ids[row] for row in kept]
        fixed = {id_: self.fixed[id_] for id_ in ids if id_ in self.fixed}
        return Collection(self.root, ids, [self.labels[row] for row in kept], fixed, self.notes)


@dataclass(frozen=True, slots=True)
class Pixels:
    """Pictures decoded.

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
) -> Collection:
    """Find the pictures of a folder, or of CIFAR-10's batches, and their labels.

    Args:
        pictures: the folder.
        labels: where labels are, as `lookalike.evaluate` has them; None for pictures without. The batches
            of CIFAR-10 have their own.
        limit: take so many, drawn by chance; of the batches so many of each of their two parts.
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
    """The rows of so many pictures by chance, of each part that the data set names so many.

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


def _of_folder(root: str, labels: LabelsLike | None) -> Collection:
    place = PictureFolder.look(root)
    ids = sorted(place.found)
    if labels is None:
        return Collection(root, ids, [None] * len(ids), {}, place.notes)
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
    return Collection(root, [id_ for id_, _ in kept], [label for _, label in kept], {}, tuple(notes))


def _of_cifar(root: str) -> Collection:
    names = cifar.labels(root)
    parts: dict[str, Part] = {}
    labels: dict[str, str] = {}
    for batch in cifar.batches(root):
        parts |= dict.fromkeys(batch.ids(), batch.part)
        labels |= dict(zip(batch.ids(), (names[number] for number in batch.labels), strict=True))
    ids = sorted(labels)
    return Collection(root, ids, [labels[id_] for id_ in ids], parts)


def load(
    collection: Collection,
    card: Card,
    file: Path,
    *,
    progress: Callable[[Progress], object] | None = None,
) -> Pixels:
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
    return Pixels(ids, labels, array, tuple(skipped), state.hexdigest(), collection.fixed)


def _require_room(file: Path, needed: int) -> None:
    free = shutil.disk_usage(file.parent).free
    if needed > free:
        raise ModelError(
            f"the pictures take {needed / 1e9:.1f} GB while they are learnt from, and {file.parent} has "
            f"{free / 1e9:.1f} GB left; make room, or take fewer with limit"
        )


def _pictures(collection: Collection, card: Card) -> Iterator[tuple[str, NDArray[np.uint8] | str]]:
    """Every picture at the card's size, or why it can't be read, in the order of ids."""
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
        for chunk in _chunks(collection.ids):
            yield from zip(chunk, threads.map(one, chunk), strict=True)


def _chunks(ids: Sequence[str]) -> Iterator[list[str]]:
    rest = iter(ids)
    while chunk := list(islice(rest, _CHUNK)):
        yield chunk
