"""The read side of a gallery: what it is, and what it answers."""

from __future__ import annotations

import os
import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, overload

from lookalike import images
from lookalike.errors import LookalikeError, ModelError, NotFound, UsageError
from lookalike.indexing import outdated
from lookalike.reports import Skip
from lookalike.search.hits import Answers, Hits
from lookalike.search.query import Words
from lookalike.search.resolve import ENDINGS, resolve_picture
from lookalike.search.search import Searcher, SearchOptions, best_tags, tags_of, without_classes
from lookalike.search.stages import checked_k, checked_score, distinct_fields
from lookalike.sources import ignoring
from lookalike.sources.access import Access
from lookalike.sources.folder import id_of
from lookalike.stores import location
from lookalike.stores import where as filtering

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from types import TracebackType
    from typing import Self

    from lookalike.extractors.model import Model
    from lookalike.search.query import QueryLike
    from lookalike.search.stages import Stage
    from lookalike.stores.where import WhereLike
    from lookalike.types import Extractor, Floats, Record, Store, Tag, Where

SECONDS = 0.005
"""What a search may spend on it; where it is up nothing is said."""

_MOST = 20_000  # pictures of a gallery
_WITHOUT_FOLDERS = 2  # links to a folder that has none inside; where folders are not counted it is 1
_FAR = 1_000  # new files that are counted
_PATIENCE = 1.0  # seconds that `info` spends on looking for new pictures


class Reader:
    """A gallery that is only looked at; `Gallery` adds to it.

    address: where it lives, as the user would type it.
    root: the folder its ids are relative to.
    limits: on the pictures that are opened.
    """

    def __init__(
        self,
        address: str,
        store: Store | None,
        root: str,
        model: Model,
        *,
        named: tuple[str, ...] = (),
    ) -> None:
        """Use `Gallery.open`."""
        self.address = address
        self.root = root
        self.limits = images.ImageLimits.from_environment()
        self._store = store
        self._model = model
        token = "" if store is None else store.token
        self._access = Access(root, self.limits, address, token, named)
        self._closed = False

    def __repr__(self) -> str:
        """Where it is, and what it holds as far as that can be told now."""
        return f"<{type(self).__name__} {self.address!r}: {self._state()}>"

    def _state(self) -> str:
        if self._closed:
            return "closed"
        if self._store is None:
            return "nothing in it yet"
        try:
            return f"{len(self):,} pictures by {self.model}"
        except LookalikeError as error:
            return f"can't be read, {error}"

    def __enter__(self) -> Self:
        """The gallery itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close it."""
        self.close()

    def close(self) -> None:
        """Let go of the store. What was added is safe already."""
        self._closed = True
        if self._store is not None:
            self._store.close()

    # What it is.

    def __len__(self) -> int:
        """How many pictures it holds."""
        return 0 if self._store is None else self._store.count()

    def __contains__(self, id_: object) -> bool:
        """Whether it holds a picture of this id."""
        return isinstance(id_, str) and self._store is not None and self._store.get([id_])[0] is not None

    @property
    def store(self) -> Store:
        """Where it lives.

        Raises:
            NotFound: nothing has been added yet.
        """
        if self._store is None:
            raise NotFound(f"the gallery {self.address} does not exist yet: add pictures first")
        return self._store

    @property
    def model(self) -> str:
        """The name of its extractor."""
        return self._model.name(None if self._store is None else self._store.header)

    @property
    def access(self) -> Access:
        """What it may reach: every picture is read, and every address opened, through this."""
        if self._access.limits is not self.limits:
            self._access = replace(self._access, limits=self.limits)
        return self._access

    def info(self) -> dict[str, Any]:
        """Facts about the gallery, as JSON has them.

        `indexed` is the time of the last indexing of its folders, `not_indexed` how many pictures came since,
        where that can be told soon, `outdated` how many an older version of the decoder has read and the next
        indexing has to look at, `bytes` what it takes with its codes, and `cache_bytes` what the user's
        cache of converted models does.
        """
        from lookalike.extractors import runtime

        store = self.store
        header = store.header
        return {
            "gallery": self.address,
            "root": self.root,
            "model": header.space.extractor,
            "dim": header.space.dim,
            "metric": header.space.metric,
            "precision": header.space.precision,
            "count": store.count(),
            "indexed": last_indexed(self),
            "not_indexed": not_indexed(self, seconds=_PATIENCE),
            "outdated": sum(1 for _ in outdated.ids(store)),
            "skipped": len(store.skipped()),
            "removed": len(store.removed()),
            "bytes": store.bytes(),
            "cache_bytes": runtime.cache_bytes(),
            "format": header.format,
            "normalized": header.space.normalized,
            "row_type": header.space.row_type,
            "classes": len(header.classes.ids) if header.classes else 0,
            "fields": store.fields(),
        }

    def records(self, where: WhereLike = None) -> Iterator[Record]:
        """Every picture's record, in the order of ids."""
        for batch in self.store.scan(where=self._conditions(where)):
            yield from batch.records

    def skipped(self) -> list[Skip]:
        """The files that could not be indexed, with the reason."""
        return [Skip(skip.id, skip.reason) for skip in self.store.skipped()]

    def removed(self) -> list[str]:
        """The ids that were taken out to stay out."""
        return self.store.removed()

    def vectors(self, ids: Sequence[str] | None = None) -> Floats:
        """Stored vectors.

        Args:
            ids: whose; default every picture's, in the order of `records()`.

        Returns:
            ndarray of shape (n, dim), float32.

        Raises:
            NotFound: the gallery has no picture of one of these ids.
        """
        import numpy as np

        if ids is not None:
            return self.store.vectors(ids)
        blocks = [batch.vectors for batch in self.store.scan()]
        return np.concatenate(blocks) if blocks else np.zeros((0, self.store.header.space.dim), np.float32)

    def thumbnail(self, id_: str) -> bytes | None:
        """A small JPEG of a picture; None if its file can't be read now."""
        return self._searcher().thumbnail(id_)

    def extractor(self) -> Extractor:
        """The extractor that describes its pictures, built when first asked for.

        Raises:
            ModelMismatch: the model of that name has other weights or settings than it had then.
            NotTrusted: the gallery names a model that it may not load.
        """
        return self._model.extractor(None if self._store is None else self._store.header, self.access)

    # Asking it.

    @overload
    def search(
        self,
        query: list[Any],
        k: int = ...,
        *,
        where: WhereLike = ...,
        distinct: str | None = ...,
        unique: bool = ...,
        exact: bool = ...,
        include_self: bool = ...,
        rerank: str | None = ...,
        min_score: float | None = ...,
        stages: Sequence[Stage] = ...,
        limit: int | None = ...,
    ) -> Answers: ...
    @overload
    def search(
        self,
        query: QueryLike,
        k: int = ...,
        *,
        where: WhereLike = ...,
        distinct: str | None = ...,
        unique: bool = ...,
        exact: bool = ...,
        include_self: bool = ...,
        rerank: str | None = ...,
        min_score: float | None = ...,
        stages: Sequence[Stage] = ...,
        limit: int | None = ...,
    ) -> Hits: ...
    def search(  # noqa: PLR0913  # each narrows the answer in a way of its own
        self,
        query: QueryLike | list[QueryLike],
        k: int = 10,
        *,
        where: WhereLike = None,
        distinct: str | None = None,
        unique: bool = False,
        exact: bool = False,
        include_self: bool = False,
        rerank: str | None = None,
        min_score: float | None = None,
        stages: Sequence[Stage] = (),
        limit: int | None = None,
    ) -> Hits | Answers:
        """Find the pictures that look like the query, or that show what its words name.

        Args:
            query: a part or a sum of parts, as `Picture("a.jpg", crop="10%,0%,50%,60%") + 0.5 * Id("b.jpg")`,
                of `Picture`, `Id`, `Vector` and `Words`; a text, which means in this order `id:…` or
                `text:…`, a file, an id of the gallery, an address, or words; a path, bytes, a file object, a
                PIL image, an array of shape (h, w, 3) uint8, or a vector of shape (dim,). A list of these, or
                an array of vectors (q, dim), gives a list of answers. Pictures of the gallery are left out of
                their own answer. Words are looked up as `find` says, and can't be mixed with pictures.
            k: how many.
            where: a filter: `{"folder": "2024", "width": (">=", 1000)}`, or strings as on the
                command line. The answer holds the k best of the pictures that pass.
            distinct: a field; only the best of each of its values, the query's own left out.
            unique: only one of pictures whose files are identical.
            exact: compare with every vector instead of with the best candidates by code.
            include_self: leave a picture of the gallery in its own answer.
            rerank: a text field of the metadata, such as `category`: of the nearest 20 (or k) those
                come first whose text is likest the query's own; `category=Shoes` tells that text. The
                score is then the likeness, 0 to 1; `scores` has both parts.
            min_score: leave out what has a smaller score; a cosine, or what else the gallery's metric gives.
            stages: steps of one's own (`lookalike.search.stages.Stage`), which order the candidates behind
                those of distinct, unique and rerank, and before min_score.
            limit: how many of the k the answer holds at first; `Hits.page` gives the others by the same
                ranking. Default all.

        Raises:
            NotFound: the query looks like a path to nothing, there is no such id, or there is no gallery.
            ImageError, DownloadError: what it names can't be read as a picture.
            FilterError: the filter can't be read, or names an unknown field.
        """
        several = isinstance(query, list | tuple) or (
            getattr(query, "ndim", 0) == 2 and getattr(query, "dtype", None) != "uint8"
        )
        queries: list[Any] = list(query) if several else [query]  # type: ignore[arg-type]
        conditions = self._conditions(where)
        options = SearchOptions(
            self._possible(k),
            conditions,
            distinct_fields(distinct, unique=unique),
            exact=exact,
            include_self=include_self,
            rerank=rerank,
            min_score=_least(min_score),
            stages=stages,
            limit=None if limit is None else checked_k(limit, "limit"),
        )
        found = self._answers(queries, options)
        return found if several else found[0]

    def find(
        self,
        words: str,
        k: int = 10,
        *,
        where: WhereLike = None,
        distinct: str | None = None,
        unique: bool = False,
        only: Literal["classes", "text"] | None = None,
        min_score: float | None = None,
    ) -> Hits:
        """Find the pictures that show what the words name, or have them in their name or metadata.

        A word or phrase means every class whose own name it is, or the name of a more general
        notion (`bird`); several must all be satisfied. For each word, c is the sum of the scores
        of its classes and t is 1 where the text has it, else 0; its score is 1 − (1−c)(1−t/2), and
        a hit's score the geometric mean over the words.

        Args:
            words: what to find; quotes keep a phrase together.
            k: how many.
            where: a filter, as for `search`.
            distinct: a field; only the best of each of its values.
            unique: only one of pictures whose files are identical.
            only: look at nothing but the class scores, or the text.
            min_score: leave out what has a smaller score, of 0 to 1.

        Raises:
            FilterError: the filter can't be read, or names an unknown field.
            ModelError: only the class scores are to be looked at, and the model has no classes.
        """
        options = SearchOptions(
            self._possible(k),
            self._conditions(where),
            distinct_fields(distinct, unique=unique),
            min_score=_least(min_score),
            by=only,
        )
        return self._answers([Words(words)], options)[0]

    def describe(self, query: QueryLike, k: int = 5) -> list[Tag]:
        """What the model sees in a picture: its k best classes. It needs no gallery, only its model.

        Raises:
            ModelError: the model has no classes.
        """
        resolved = resolve_picture(query, self._store, self.access)
        if resolved.content is not None:
            return best_tags(self.extractor(), resolved, checked_k(k), self.limits)
        classes, record = self.store.header.classes, self.store.get([resolved.id or ""])[0]
        if classes is None or record is None:
            raise ModelError(without_classes(self.model))
        return list(tags_of(record, classes.by_id)[: checked_k(k)])

    def check(self, *, repair: bool = False, told: Callable[[str], object] | None = None) -> list[str]:
        """Look for faults in what is stored; each in words, none when all is well.

        Args:
            repair: put right what can be: make again what follows from the rest, and take out what can't be
                read. Then the faults that are left are returned.
            told: called with a line for everything that was put right.
        """
        return self.store.check(repair=repair, told=told)

    def export(self, file: str | os.PathLike[str], *, where: WhereLike = None) -> int:
        """Write ids and vectors to a `.npz`, `.csv` or `.parquet` file; how many.

        Raises:
            UsageError: another ending, or a place that can't be written.
        """
        from lookalike.sources.tables import write_vectors

        batches = self.store.scan(where=self._conditions(where))
        return write_vectors(Path(file), batches, self.store.header.space.dim)

    def _searcher(self) -> Searcher:
        return Searcher(self.store, self.access, self.extractor)

    def _answers(self, queries: Sequence[QueryLike], options: SearchOptions) -> Answers:
        """The answers; one without hits has a note for each filter that no picture passes."""
        answers = self._searcher().search(queries, options)
        if not options.where or all(answers):
            return answers
        notes = tuple(filtering.no_pictures(options.where, self.store))
        return Answers(hits or replace(hits, notes=(*hits.notes, *notes)) for hits in answers)

    def _possible(self, k: int) -> int:
        """A k that the store can answer."""
        most = self.store.limits.k
        if most is not None and checked_k(k) > most:
            raise UsageError(
                f"k is {k:,}, and the store of {self.address} gives at most {most:,} pictures to a question; "
                "ask for fewer, or export the vectors"
            )
        return checked_k(k)

    def _conditions(self, given: WhereLike) -> Where:
        return filtering.conditions(given, self.store)


def _least(min_score: float | None) -> float | None:
    return None if min_score is None else checked_score(min_score)


# How far a gallery is behind the folder that it lies in. A search may say so, so it must cost almost nothing:
# only folders that changed since are looked through closely, and where the time is up nothing is said.


def not_indexed(gallery: Reader, *, seconds: float = SECONDS) -> int | None:
    """Return how many pictures lie in a gallery's folder and came since it was last indexed.

    Args:
        gallery: which one.
        seconds: to spend on it.

    Returns:
        The number; None where it can't be told in that time, for a gallery of more than 20,000 pictures, one
        that is kept elsewhere than in its folder, or one that was never indexed as a whole.
    """
    root = gallery.root
    if gallery.address != location.inside(root, Path(gallery.address).name):
        return None
    since = gallery.store.indexed_ns
    if not since or gallery.store.count() > _MOST:
        return None
    found: list[str] = []
    end = time.monotonic() + seconds
    for path in _new_files(root, since):
        if path is not None:
            found.append(path)
        if time.monotonic() > end or len(found) > _FAR:
            return None
    return len(_unknown(gallery, found)) if found else 0


def last_indexed(gallery: Reader) -> str | None:
    """Return when the gallery was last indexed as a whole, as ISO 8601 in local time; None if never."""
    since = gallery.store.indexed_ns
    if not since:
        return None
    return datetime.fromtimestamp(since // 10**9, UTC).astimezone().isoformat(sep=" ")


def _new_files(root: str, since: int) -> Iterator[str | None]:
    """Yield the files that came since a time, in nanoseconds; None for every folder, to look at the clock."""
    pending = [root]
    while pending:
        folder = pending.pop()
        yield None
        try:
            status = os.stat(folder)  # noqa: PTH116
            changed = status.st_mtime_ns > since
            if not changed and status.st_nlink == _WITHOUT_FOLDERS:
                continue
            with os.scandir(folder) as listing:
                for entry in listing:
                    if entry.name[0] == ".":
                        continue
                    if entry.is_dir(follow_symlinks=False):
                        if not ignoring.is_of_programs(entry.path):
                            pending.append(entry.path)
                    elif (
                        changed and entry.name.lower().endswith(ENDINGS) and entry.stat().st_ctime_ns > since
                    ):
                        yield entry.path
        except OSError:
            continue  # it is told by the next indexing


def _unknown(gallery: Reader, paths: list[str]) -> list[str]:
    """Those of the paths that are not left out and that the gallery knows nothing of."""
    if gallery.access.refusal_at(os.path.join(gallery.root, ignoring.IGNORE_FILE)):  # noqa: PTH118
        return []  # a link that leads out: the next indexing says so
    patterns = ignoring.of_folder(Path(gallery.root), ())
    top = gallery.root.rstrip("/") + "/"
    if patterns is not None:
        paths = [path for path in paths if not patterns.excludes(path.removeprefix(top))]
    ids = [id_of(path, gallery.root) for path in paths]
    records = gallery.store.get(ids)
    known = {skip.id for skip in gallery.store.skipped()} | set(gallery.store.removed())
    return [id_ for id_, record in zip(ids, records, strict=True) if record is None and id_ not in known]
