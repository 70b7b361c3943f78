"""Bring a gallery up to date: sort what was given, plan, run the pipeline, clear away what is gone."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Sized
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from lookalike.downloads import download
from lookalike.errors import DownloadError, UsageError
from lookalike.ingest import Counts, Memory, Pipeline
from lookalike.plan import Plan, Wishes, Work, plan
from lookalike.results import Report, Skip
from lookalike.types import Skipped
from lookalike.walk import Walk, id_of, ignoring, path_of, prefix_of, under

if TYPE_CHECKING:
    from lookalike.images import ImageLimits
    from lookalike.images.given import Picture
    from lookalike.results import Progress
    from lookalike.types import Extractor, Record, Store, Value

    Given: TypeAlias = str | os.PathLike[str] | tuple[str, Picture]

_BATCH = 1024


class Sorted(NamedTuple):
    """What was given, sorted: folders and files as absolute paths, and the rest, which are no files."""

    folders: list[str]
    files: list[str]
    rest: Iterable[Given]


def sort(pictures: Given | Iterable[Given] | None, root: str, store: Store | None) -> Sorted:
    """Sort what was given to `Gallery.add`; nothing means the folders indexed before, else the root.

    Raises:
        UsageError: a path that is not there, and from below which the gallery has no pictures.
    """
    if pictures is None:
        return Sorted(_existing(_known_folders(root, store), root, store), [], [])
    if isinstance(pictures, str | os.PathLike | tuple) or not isinstance(pictures, Iterable):
        pictures = [pictures]
    if not isinstance(pictures, Sized):
        # A generator may give more than fits in memory: it is taken one by one, later.
        return Sorted([], [], pictures)
    paths = [path for item in pictures if (path := _path(item)) is not None]
    folders = [path for path in paths if not os.path.isfile(path)]  # noqa: PTH113
    files = [path for path in paths if os.path.isfile(path)]  # noqa: PTH113
    return Sorted(_existing(folders, root, store), files, [item for item in pictures if _path(item) is None])


def _known_folders(root: str, store: Store | None) -> list[str]:
    """The folders that were indexed before, without the mount points below them; else the root."""
    folders: list[str] = []
    for prefix in sorted(folder.prefix for folder in (store.folders() if store is not None else [])):
        path = path_of(prefix, root).rstrip("/") or "/"
        if not any(_inside(path, folder) for folder in folders):
            folders.append(path)
    return folders or [root]


def _existing(folders: list[str], root: str, store: Store | None) -> list[str]:
    for path in folders:
        if os.path.isdir(path):  # noqa: PTH112
            continue
        prefix = prefix_of(path, root)
        if store is None or not any(under(state.id, prefix) for state in store.states()):
            what = "is not a folder" if os.path.lexists(path) else "does not exist"
            raise UsageError(f"{path} {what}; expected a folder, a file, an address or an (id, picture) pair")
    return folders


@dataclass
class Fill:
    """One run of adding to a gallery.

    store: the caller holds the right to write to it.
    report: filled in as it goes.
    """

    store: Store
    root: str
    extractor: Callable[[], Extractor]
    limits: ImageLimits
    report: Report
    progress: Callable[[Progress], object] | None = None

    def add(
        self,
        given: Sorted,
        wishes: Wishes,
        *,
        exclude: tuple[str, ...],
        hidden: bool,
        metadata: Mapping[str, Mapping[str, Value]],
    ) -> None:
        """Do what `Gallery.add` says."""
        walks = [self._walk(folder, exclude, hidden=hidden) for folder in given.folders]
        planned = plan(self.store, walks, wishes)
        try:
            self._plan_files(given.files, planned)
            self._run(planned, given.rest)
            self._clear(planned)
        finally:
            planned.close()
        self._note_unseen(planned)
        if metadata:
            self._describe(metadata)
        self.store.refresh()
        self.report.total = self.store.count()
        self.report.skipped = [Skip(skip.id, skip.reason) for skip in self.store.skipped()]

    def again(self, before: Store) -> list[Skipped]:
        """Describe every picture of another store for this one; those that can't be read now."""
        total = before.count()
        pipeline = self._pipeline(total=total, before=before)
        pipeline.run(self._works_of(before))
        self._count(pipeline.counts)
        self.store.refresh()
        known = {skip.id for skip in before.skipped()}
        return [skip for skip in self.store.skipped() if skip.id not in known]

    def _walk(self, folder: str, exclude: tuple[str, ...], *, hidden: bool) -> Walk:
        prefix = prefix_of(folder, self.root)
        return Walk(folder, prefix, hidden, ignoring(Path(folder), exclude))

    def _plan_files(self, files: Sequence[str], planned: Plan) -> None:
        """Files named one by one come in even if they were removed, or could not be read before."""
        for start in range(0, len(files), _BATCH):
            ids = [id_of(path, self.root) for path in files[start : start + _BATCH]]
            for id_, record in zip(ids, self.store.get(ids), strict=True):
                self._plan_file(id_, record, planned)

    def _plan_file(self, id_: str, record: Record | None, planned: Plan) -> None:
        status = os.stat(path_of(id_, self.root))  # noqa: PTH116
        if record is None:
            planned.push(Work(id_, status.st_size, status.st_mtime_ns, "file"))
        elif (record.size, record.mtime_ns) == (status.st_size, status.st_mtime_ns):
            planned.unchanged += 1
        else:
            planned.push(Work(id_, status.st_size, status.st_mtime_ns, record.source))

    def _run(self, planned: Plan, rest: Iterable[Given]) -> None:
        total = planned.count + len(rest) if isinstance(rest, Sized) else None
        self.report.unchanged += planned.unchanged
        if total == 0:
            return
        pipeline = self._pipeline(total=total, gone=self._gone(planned.unseen))
        pipeline.run(chain(planned.works(), self._works(rest)))
        self._count(pipeline.counts)
        if pipeline.counts.added or pipeline.counts.updated:
            self._note_precision()

    def _works(self, rest: Iterable[Given]) -> Iterator[Work | Memory]:
        for item in rest:
            path = _path(item)
            if path is not None:
                planned = Plan()
                self._plan_files([path], planned)
                self.report.unchanged += planned.unchanged
                yield from planned.works()
            elif isinstance(item, tuple):
                yield Memory(_checked_id(item), item[1])
            elif (content := self._downloaded(str(item))) is not None:
                yield Memory(str(item), content, "url")

    def _downloaded(self, address: str) -> bytes | None:
        try:
            return download(address, max_bytes=self.limits.max_bytes).content
        except DownloadError as error:
            self.store.skip([Skipped(address, 0, 0, str(error))])
            return None

    def _pipeline(
        self, *, total: int | None, before: Store | None = None, gone: Callable[[str], bool] = lambda _: False
    ) -> Pipeline:
        return Pipeline(
            store=self.store,
            extractor=self.extractor,
            root=self.root,
            limits=self.limits,
            before=before or self.store,
            gone=gone,
            total=total,
            progress=self.progress,
        )

    def _gone(self, unseen: Mapping[str, str]) -> Callable[[str], bool]:
        """Whether a picture's own file is gone for good, and not merely out of sight."""

        def gone(id_: str) -> bool:
            record = self.store.get([id_])[0]
            if record is None or record.source not in {"walk", "file"}:
                return False
            hidden = any(under(id_, prefix) for prefix in unseen)
            return not hidden and not os.path.lexists(path_of(id_, self.root))

        return gone

    def _works_of(self, before: Store) -> Iterator[Work | Memory]:
        for state in before.states():
            if state.status != "picture" or self.store.get([state.id])[0] is not None:
                continue
            if state.source in {"walk", "file"}:
                yield Work(state.id, state.size, state.mtime_ns, state.source)
            elif (record := before.get([state.id])[0]) is not None:
                yield Memory(state.id, record.thumbnail or b"", state.source)

    def _count(self, counts: Counts) -> None:
        self.report.added += counts.added
        self.report.updated += counts.updated
        self.report.unchanged += counts.unchanged
        self.report.moved += counts.moved

    def _clear(self, planned: Plan) -> None:
        """Delete what is gone; what the pipeline recognised elsewhere is deleted already."""
        for start in range(0, len(planned.vanished), _BATCH):
            self.report.removed += self.store.delete(planned.vanished[start : start + _BATCH])
        if planned.forget:
            self.store.forget(planned.forget)
        if planned.faults:
            self.store.skip(planned.faults)
        if planned.folders != self.store.folders():
            self.store.set_folders(planned.folders)

    def _note_unseen(self, planned: Plan) -> None:
        self.report.missing = planned.missing
        for prefix, count in planned.kept.items():
            self.report.notes.append(
                f"{path_of(prefix, self.root)}: {planned.unseen[prefix]}; the {count:,} pictures from there "
                "are kept, --prune removes them"
            )

    def _note_precision(self) -> None:
        mine, theirs = self.extractor().precision, self.store.header.precision
        if mine != theirs:
            self.report.notes.append(
                f"new pictures were described in {mine}, the gallery is in {theirs}: they can be compared, "
                "but not to the last digit"
            )

    def _describe(self, metadata: Mapping[str, Mapping[str, Value]]) -> None:
        by_id = {self._id(key): fields for key, fields in metadata.items()}
        known = self.store.update(by_id)
        if known < len(by_id):
            self.report.notes.append(
                f"{len(by_id) - known:,} of {len(by_id):,} rows of metadata name no picture of the gallery"
            )

    def _id(self, key: str) -> str:
        if self.store.get([key])[0] is not None:
            return key
        return id_of(os.path.normpath(os.path.join(self.root, os.path.expanduser(key))), self.root)  # noqa: PTH111, PTH118


def _path(given: Given) -> str | None:
    """The absolute path that was given; None for an address or a pair."""
    if isinstance(given, tuple) or (
        isinstance(given, str) and given.lower().startswith(("http://", "https://"))
    ):
        return None
    if not isinstance(given, str | os.PathLike):
        raise UsageError(
            f"{type(given).__name__} can't be added; expected a path, an address or an (id, picture) pair"
        )
    return os.path.abspath(os.path.expanduser(given))  # noqa: PTH100, PTH111  # a link in it stays


def _inside(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder.rstrip("/") + "/")


def _checked_id(item: tuple[str, Picture]) -> str:
    try:
        id_, _ = item
        if id_ and id_.encode():
            return id_
    except (ValueError, AttributeError):
        pass
    raise UsageError(f"{item!r:.80} can't be added; expected an (id, picture) pair with a text as the id")
