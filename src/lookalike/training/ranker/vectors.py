"""The vectors that are learnt from: read from a gallery that the folder has, or made for the time being."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from lookalike.errors import UsageError
from lookalike.evaluation import splits
from lookalike.evaluation.folder import workshop
from lookalike.evaluation.labels import ids_of
from lookalike.extractors.steps import Centre, Normalise
from lookalike.extractors.steps import apply as applied
from lookalike.gallery import Gallery
from lookalike.reports import Skip
from lookalike.sources.tables import is_table
from lookalike.training.dataset import linked

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from lookalike.evaluation.folder import PictureFolder
    from lookalike.extractors.steps import Step
    from lookalike.reports import Progress
    from lookalike.types import Extractor, Floats

MANY = 40
"""Kinds from which on what they have in common is believed."""

_NEAR = 0.95
"""Cosine, less the mean of all, from which pictures are next to identical: mirrored stamps, both cases of a
letter, coins of two years."""

_TINY = 1e-12
_ROUNDED = 1e-3  # of numbers kept as float16


@dataclass(frozen=True, slots=True)
class Stored:
    """Pictures with their vectors.

    ids: of n pictures.
    vectors: as the model gives them, ndarray of shape (n, dim), float32.
    gallery: the name of the folder's gallery they were read from; None if they were made.
    skipped: pictures that could not be read, with their reasons.
    """

    ids: list[str]
    vectors: Floats = field(repr=False)
    gallery: str | None
    skipped: tuple[Skip, ...] = ()

    @property
    def digest(self) -> str:
        """Hexadecimal digest of ids and vectors."""
        state = blake2b("\0".join(self.ids).encode(errors="surrogateescape"), digest_size=32)
        state.update(np.ascontiguousarray(self.vectors).tobytes())
        return state.hexdigest()


def vectors_of(
    place: PictureFolder,
    extractor: Extractor,
    ids: Sequence[str],
    *,
    progress: Callable[[Progress], object] | None = None,
) -> Stored:
    """The vectors of some pictures of a folder by a model.

    A gallery of that model that the folder has and that knows every file is only read. Otherwise the
    pictures are described in a temporary one; the folder is not written to.

    Args:
        place: the folder.
        extractor: the model.
        ids: of the pictures.
        progress: called with how many have been described.
    """
    name = place.finished(extractor, extractor.metric, None)
    if name is not None:
        with place.open(name) as gallery:
            return _read(gallery, ids, name)
    with (
        workshop("train") as folder,
        Gallery.open(place.path, gallery=Path(folder, "gallery"), model=extractor) as gallery,
    ):
        gallery.add(_given(place, ids), progress=progress)
        return _read(gallery, ids, None)


def _given(place: PictureFolder, ids: Sequence[str]) -> list[str] | None:
    """The files of some pictures; None for the whole folder where they are most, or lie many in a file.

    What would be taken for a table that names other pictures is left out.
    """
    if place.packed is not None or 2 * len(ids) > len(place.found):
        return None
    paths = (place.found[id_].path for id_ in ids)
    return [path for path in paths if not is_table(Path(path), meant=True)]


def _read(gallery: Gallery, ids: Sequence[str], name: str | None) -> Stored:
    known = frozenset(ids_of(gallery))
    reasons = {skipped.id: skipped.reason for skipped in gallery.store.skipped()}
    there = [id_ for id_ in ids if id_ in known]
    lost = [Skip(id_, reasons.get(id_, "it is not in the gallery")) for id_ in ids if id_ not in known]
    return Stored(there, gallery.vectors(there), name, tuple(lost))


def never_seen(base: str, place: PictureFolder) -> frozenset[str]:
    """The pictures of a folder that a base which was trained here, and what that was made of, never saw.

    Args:
        base: the name of the model; one that comes with lookalike has no split, and gives none.
        place: the folder.
    """
    with suppress(UsageError):  # it has no split, or one of other pictures
        return splits.pictures_of_part([base], "test", place.path, frozenset(place.found))
    return frozenset()


def centred(vectors: Floats, kinds: NDArray[np.intp]) -> tuple[tuple[Step, ...], Floats]:
    """Vectors at unit length, less what they have in common, at unit length again; and the steps for that.

    What all pictures have in common says nothing of which are alike. Three labels, however, have in common
    what others have not, and less of that they would be lost among those, which no check sees. So the mean is
    taken over kinds, and shrunk by how little they tell it from zero (James and Stein, "Estimation with
    quadratic loss", 1961), and the more the fewer they are.

    Args:
        vectors: ndarray of shape (n, dim).
        kinds: of each picture its label as a number, ndarray of shape (n,).
    """
    unit = Normalise().apply(vectors)
    _, place, counts = np.unique(kinds, return_inverse=True, return_counts=True)
    means = np.zeros((len(counts), unit.shape[1]))
    np.add.at(means, place, unit / counts[place, None])  # (kinds, dim)
    mean = means.mean(axis=0)
    doubt = ((means - mean) ** 2).sum() / max(len(means) - 1, 1) / len(means)  # the variance of the mean
    sure = min(1.0, len(means) / MANY) * max(0.0, 1 - doubt / max(float(mean @ mean), _TINY))
    first: tuple[Step, ...] = (Centre((sure * mean).astype(np.float32)), Normalise())
    if not np.allclose(vectors, unit, atol=_ROUNDED):
        first = (Normalise(), *first)
    return first, applied(first, vectors)


def near(vectors: Floats) -> list[list[int]]:
    """Rows of pictures that are next to identical, directly or by way of others.

    Args:
        vectors: ndarray of shape (n, dim), float32.

    Returns:
        Groups of two or more.
    """
    return linked(Normalise().apply(vectors - vectors.mean(0)), _NEAR)
