"""Compare methods on one folder: make the galleries that are missing, elsewhere, and ask them all."""

from __future__ import annotations

import os
import statistics
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from lookalike.errors import LookalikeError, UsageError
from lookalike.evaluation import splits
from lookalike.evaluation.folder import PictureFolder, workshop
from lookalike.evaluation.labels import ids_of
from lookalike.evaluation.quality import check, evaluate
from lookalike.evaluation.results import Comparison, MethodAnswer, MethodResult
from lookalike.gallery import Gallery
from lookalike.reports import Progress
from lookalike.search.stages import checked_k
from lookalike.sources.folder import path_of
from lookalike.sources.packed import Packs
from lookalike.sources.remote import is_remote
from lookalike.sources.tables import is_table
from lookalike.system.text import redact

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from lookalike.evaluation.folder import Method, MethodLike
    from lookalike.evaluation.labels import Labels, LabelsLike
    from lookalike.evaluation.quality import SplitLike
    from lookalike.reports import Report
    from lookalike.sources.resolve import Given
    from lookalike.types import Extractor, Precision

    OnProgress: TypeAlias = Callable[[str, Progress], object]

_SAMPLE = 96
"""Pictures indexed again where the gallery is there already, to see how fast that is."""

_SEARCHES = 40
_SECONDS_OF_SEARCHES = 2.0
_HITS = 10


def compare(  # noqa: PLR0913  # each is a wish of its own
    folder: str | os.PathLike[str],
    models: Sequence[MethodLike] | None = None,
    *,
    galleries: Sequence[str] = (),
    queries: Sequence[str | os.PathLike[str]] = (),
    labels: LabelsLike | None = None,
    at_least: int = 2,
    split: SplitLike | None = None,
    k: int = 3,
    precision: Precision | None = None,
    progress: OnProgress | None = None,
) -> Comparison:
    """Compare methods on the pictures of one folder: how good their answers are, and what they cost.

    A finished gallery of the same model and metric that the folder has is only read. Any other is
    made in a temporary folder, which is removed whatever happens; the folder itself is never
    written to. One method at a time is held, and a picture is decoded once for each.

    Args:
        folder: of the pictures.
        models: extractors, their names, or `MODEL#METRIC` as `Method.parse` reads them. Default the
            galleries that the folder has; if it has none, the default model and some of its cuts.
        galleries: names of galleries that the folder has, taken as they are.
        queries: pictures or ids to show every method's answers to.
        labels: to measure the answers by; see `evaluate`.
        at_least: pictures whose label fewer than so many have are not asked with.
        split: which pictures are asked with, as for `evaluate`. `test`, `validation` or `train` mean those
            that are in that part of the split of every model that was trained here; the other models
            are asked with the same.
        k: how many hits of each query to keep.
        precision: of the arithmetic of what is made; default the fastest that the processor has.
        progress: called with the method and how far it is, for every gallery that is made; and with
            `asking` before the method while its answers are measured.

    Returns:
        The comparison. A method that failed has a row that says why; the others are not lost.

    Raises:
        UsageError: the folder, the labels or k can't be meant, or there is nothing to compare by.
        NotFound: a query or a gallery that is not there.
    """
    place = PictureFolder.look(folder)
    methods = place.methods(models, galleries)
    if not queries and labels is None:
        raise UsageError("nothing to compare by: tell queries to show answers to, or where the labels are")
    k = checked_k(k)
    if split is not None and labels is None:
        raise UsageError("a split says nothing without labels")
    asked = [os.fspath(query) for query in queries]
    held = place.held(methods)
    known, only = frozenset.union(*held), frozenset.intersection(*held)
    # Whatever can be wrong with these is found before the long part.
    place.check_queries(asked, known)
    meant = None if labels is None else place.labels(labels, known)
    left_out = len(known) - len(only)
    said: tuple[str, ...] = ()
    if (part := splits.part_meant(split)) is not None:
        only = splits.pictures_of_part(place.models(methods), part, place.path, only)
        said, split = splits.notes_on_part(part, len(only)), None
    if meant is not None:
        check(meant, at_least, only)
    comparer = _Comparer(place, asked, meant, at_least, split, k, precision, only, progress)
    results = tuple(map(comparer.result, methods))
    measured = [one for one in results if one.error is None]
    # A gallery with more than the others was asked about what all of them have.
    counts = [one.evaluation.pictures if one.evaluation else one.pictures for one in measured]
    return Comparison(
        folder=place.path,
        pictures=min(counts, default=len(only)),
        labels=None if meant is None else meant.what,
        queries=tuple(map(redact, asked)),
        methods=results,
        notes=(*place.notes, *said, *_notes(measured, left_out)),
        thumbnails=comparer.thumbnails,
    )


def _notes(measured: Sequence[MethodResult], left_out: int) -> tuple[str, ...]:
    notes = [note for one in measured[:1] if one.evaluation for note in one.evaluation.notes]
    notes += [
        f"{one.method} was read from the gallery {one.reused} of the folder"
        for one in measured
        if one.reused not in {None, one.method}
    ]
    notes += dict.fromkeys(note for one in measured for answer in one.answers for note in answer.notes)
    if left_out:
        notes.append(f"{left_out:,} pictures are not in every gallery, and were not compared")
    return tuple(notes)


class _Opened(NamedTuple):
    """A gallery to measure, how fast it came about, on how many pictures, and its name if it was there."""

    gallery: Gallery
    rate: float | None
    rate_from: int
    reused: str | None


@dataclass(frozen=True, slots=True)
class _Comparer:
    """Measure methods by the same questions; `only` are the pictures that all of them have."""

    place: PictureFolder
    queries: list[str]
    labels: Labels | None
    at_least: int
    split: SplitLike | None
    k: int
    precision: Precision | None
    only: frozenset[str]
    progress: OnProgress | None
    thumbnails: dict[tuple[str, str], bytes | None] = field(default_factory=dict)

    def result(self, method: Method) -> MethodResult:
        """Measure a method; whatever goes wrong with it is its result."""
        try:
            with self._gallery(method) as opened:
                return self._measured(method, opened)
        except LookalikeError as error:
            return MethodResult(str(method), error=str(error))
        except Exception as error:  # noqa: BLE001  # an extractor of someone else's may raise anything
            return MethodResult(str(method), error=f"{type(error).__name__}: {error}")

    def _told(self, what: str) -> Callable[[Progress], object] | None:
        return None if self.progress is None else partial(self.progress, what)

    @contextmanager
    def _gallery(self, method: Method) -> Iterator[_Opened]:
        """Open the method's gallery: one that the folder has, or one that is gone afterwards."""
        with workshop("compare") as folder:
            if method.gallery is not None:
                with self.place.open(method.gallery) as gallery:
                    yield _Opened(gallery, *_sampled(gallery, None, folder), method.gallery)
                return
            fresh = Gallery.open(
                self.place.path,
                gallery=Path(folder, "gallery"),
                model=method.model,
                metric=method.metric,
                normalize=method.normalize,
                precision=self.precision,
            )
            extractor = fresh.extractor()
            name = self.place.finished(extractor, method.metric or extractor.metric, self.precision)
            if name is not None:
                fresh.close()
                with self.place.open(name) as gallery:
                    yield _Opened(gallery, *_sampled(gallery, extractor, folder), name)
                return
            with fresh:
                told = self._told(str(method))
                if told is not None:
                    told(Progress(0, len(self.place.found), 0, 0.0))
                rate = _rate(fresh.add(progress=told))
            # Opened anew: only then what was written is where it stays, and its size is that of the gallery.
            with Gallery.open(
                self.place.path, gallery=fresh.address, model=extractor, create=False
            ) as gallery:
                yield _Opened(gallery, *rate, None)

    def _measured(self, method: Method, opened: _Opened) -> MethodResult:
        gallery, count = opened.gallery, len(opened.gallery)
        if count < 2:
            raise UsageError(f"there are {count} pictures that can be read; a comparison needs at least two")
        evaluation = (
            None
            if self.labels is None
            else evaluate(
                gallery,
                self.labels,
                at_least=self.at_least,
                split=self.split,
                only=self.only,
                progress=self._told(f"asking {method}"),
            )
        )
        answers = tuple(self._answer(gallery, query) for query in self.queries)
        return MethodResult(
            method=str(method),
            model=gallery.model,
            metric=gallery.store.header.space.metric,
            pictures=count,
            dim=gallery.store.header.space.dim,
            bytes=gallery.store.bytes() / count,
            rate=opened.rate,
            rate_from=opened.rate_from,
            milliseconds=_milliseconds(gallery),
            reused=opened.reused,
            evaluation=evaluation,
            answers=answers,
        )

    def _answer(self, gallery: Gallery, query: str) -> MethodAnswer:
        hits = gallery.search(query, self.k)
        query = redact(query)
        # Small pictures are fetched now: a gallery that was made for the comparison is gone afterwards.
        if ("query", query) not in self.thumbnails:
            self.thumbnails["query", query] = hits.query_thumbnail()
        for hit in hits:
            if ("hit", hit.id) not in self.thumbnails:
                self.thumbnails["hit", hit.id] = gallery.thumbnail(hit.id)
        return MethodAnswer(query, tuple(hits), hits.notes)


def _sampled(gallery: Gallery, extractor: Extractor | None, folder: str) -> tuple[float | None, int]:
    """Return pictures a second of a gallery's model on some of its pictures, and how many these were."""
    there = list(_some(gallery))
    try:
        model = extractor or gallery.extractor()
    except LookalikeError:
        # It can still be searched by what it holds.
        return None, 0
    if not there:
        return None, 0
    with Gallery.open(gallery.root, gallery=Path(folder, "sample"), model=model) as sample:
        return _rate(sample.add(there))


def _some(gallery: Gallery) -> Iterator[Given]:
    """Yield some of a gallery's pictures, spread over all, that can be read now."""
    ids, packs = ids_of(gallery), Packs(gallery.access)
    for id_ in ids[:: max(1, len(ids) // _SAMPLE)][:_SAMPLE]:
        if gallery.access.refusal(id_):
            continue
        path = path_of(id_, gallery.root)
        if is_table(Path(path), meant=True):
            continue  # it would name other pictures, anywhere
        if is_remote(id_) or os.path.isfile(path):  # noqa: PTH113
            yield path
        elif (memory := packs.picture(id_)) is not None:
            yield id_, memory.picture


def _rate(report: Report) -> tuple[float | None, int]:
    return (report.added / report.seconds if report.added else None), report.added


def _milliseconds(gallery: Gallery) -> float:
    """Return the median of warm searches by stored vectors, none of which is asked for twice."""
    ids = ids_of(gallery)
    chosen = ids[:: max(1, len(ids) // _SEARCHES)][:_SEARCHES]
    gallery.search(f"id:{chosen[0]}", _HITS)
    times: list[float] = []
    started = time.perf_counter()
    for id_ in chosen:
        before = time.perf_counter()
        gallery.search(f"id:{id_}", _HITS)
        times.append(1000 * (time.perf_counter() - before))
        if time.perf_counter() - started > _SECONDS_OF_SEARCHES:
            break
    return statistics.median(times)
