"""The gallery: a set of indexed pictures, with the model that described them."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from lookalike import stores
from lookalike.errors import ModelMismatch, NotFound, StoreUnavailable, UsageError
from lookalike.extractors.model import IMPORTED, Model, header_for
from lookalike.gallery.owned import Owned
from lookalike.reports import Progress, Report
from lookalike.stores import location
from lookalike.system import tracing

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from numpy.typing import ArrayLike

    from lookalike.images.given import Picture
    from lookalike.indexing.pipeline import Workers
    from lookalike.sources.base import Source
    from lookalike.stores.where import WhereLike
    from lookalike.types import Extractor, Header, Precision, Value

    Given: TypeAlias = str | os.PathLike[str] | tuple[str, Picture] | Source


class Gallery(Owned):
    """A set of indexed pictures, searched by picture, by id or by words.

    Get one by `Gallery.open`; it is a context manager. Several threads may search one gallery, also processes
    that are forked from one that has it open, and other processes may search it while one adds to it.

    >>> with Gallery.open("~/Pictures") as gallery:  # doctest: +SKIP
    ...     gallery.add()
    ...     for hit in gallery.search("beach.jpg", k=5):
    ...         print(hit.score, hit.id)
    """

    @classmethod
    def open(
        cls,
        root: str | os.PathLike[str] | None = None,
        *,
        name: str = location.DEFAULT_NAME,
        gallery: str | os.PathLike[str] | None = None,
        model: str | Extractor | None = None,
        metric: str | None = None,
        normalize: bool | None = None,
        precision: Precision | None = None,
        create: bool = True,
    ) -> Gallery:
        """Open a folder's gallery; nothing is written before the first `add`.

        Args:
            root: the folder of the pictures; its gallery is `<root>/.lookalike/<name>`.
            name: which of the folder's galleries.
            gallery: where the gallery is instead: a folder of its own, or a store's address. Without
                root and gallery: `LOOKALIKE_GALLERY`, else the nearest one upward from here.
            model: the extractor, or its name; default what the gallery was made with, and for a new
                one `efficientnet-lite0`.
            metric: of a new gallery: `cosine`, `euclidean`, `inner`, or any other of scikit-learn by its
                name, which is always compared exactly; default what the model recommends.
            normalize: whether the vectors of a new gallery have unit length. By default those of a
                layer (`MODEL@LAYER`) have it for cosine and euclidean, and not for any other metric.
            precision: of the arithmetic; default the gallery's, and for a new one the fastest that
                the processor has.
            create: whether a gallery that does not exist may be made by `add`.

        Raises:
            NotFound: there is none, and create is False or no place was named.
            ModelMismatch: it was made with another model, metric or normalisation.
            UsageError: there is no such metric.
            StoreError: it is damaged or can't be read.
        """
        top = None if root is None else location.absolute(root)
        address = location.address(top, name, None if gallery is None else str(gallery))
        store = stores.open_store(address) if stores.exists(address) else None
        if store is None and not create:
            raise NotFound(location.absent(address, name))
        lazy = Model(model, metric=metric, normalize=normalize, precision=precision)
        if store is None:
            top = top or location.absolute(".")
            return cls(address, None, top, lazy, named=(top,))
        lazy.check(store.header, address)
        if tracing.heard():
            space = store.header.space
            tracing.tell(
                f"gallery {address}: {store.count():,} pictures by {space.extractor}, {space.metric}"
            )
        # One that is not whole, which none of ours is, would be another in every folder.
        root = location.absolute(store.header.root or str(Path(address).parent.parent))
        named = (*([] if top is None else [top]), *([] if model is None else [store.header.space.extractor]))
        return cls(address, store, root, lazy, named=named)

    @staticmethod
    def locate(start: str | os.PathLike[str] = ".", name: str = location.DEFAULT_NAME) -> str:
        """Find the gallery meant where none is named: `LOOKALIKE_GALLERY`, else upward from start.

        Raises:
            NotFound: no folder from start upward has a gallery of that name.
        """
        return location.locate(start, name)

    # Filling it.

    def add(  # noqa: PLR0913  # each is a wish of its own
        self,
        pictures: Given | Iterable[Given] | None = None,
        *,
        metadata: Mapping[str, Mapping[str, Value]] | None = None,
        exclude: Sequence[str] = (),
        hidden: bool = False,
        prune: bool = False,
        restore: bool = False,
        retry: bool = False,
        limit: int | None = None,
        seed: int = 0,
        image: str | None = None,
        allow_private: bool = False,
        workers: Workers | None = None,
        progress: Callable[[Progress], object] | None = None,
    ) -> Report:
        """Add pictures, and bring the gallery up to date with the folders they came from.

        Args:
            pictures: folders, files, addresses (of the web, or of remote folders and files as
                `s3://bucket/photos`), tables of these, or (id, picture) pairs; one or many. Default: every
                folder that was indexed before, and the root of a new gallery.
            metadata: fields for pictures by their id or path.
            exclude: patterns as in `.gitignore` of what not to index in the folders.
            hidden: whether names that begin with a dot are indexed, too.
            prune: take for gone also what lies in folders that can't be seen now.
            restore: index again what was removed.
            retry: try again what could not be read.
            limit: index only a random part of so many of each folder, and remove nothing.
            seed: of that choice.
            image: the column of a table that has the addresses; default one with a usual name, as `url`.
            allow_private: whether a table's addresses may lead into this machine or its network.
            workers: who describes pictures, such as `lookalike.indexing.ray.Cluster("auto")`; default the
                threads of this process.
            progress: called after every commit.

        Returns:
            The report; bad pictures are in its `skipped`, never raised. Where not one picture was found, no
            gallery is made.

        Raises:
            StoreBusy: another process is adding to the gallery.
            StoreUnavailable: it can't be written.
        """
        from lookalike.indexing.plan import Wishes
        from lookalike.indexing.update import Fill
        from lookalike.sources.resolve import sort

        if limit is not None and limit < 1:
            raise UsageError(f"limit is {limit}; expected 1 or more")
        started = time.monotonic()
        given = sort(pictures, self.access, self._store, image)
        made = self._make(lambda: header_for(self.extractor(), self._model.metric, self._root()))
        wishes = Wishes(prune=prune, restore=restore, retry=retry, limit=limit, seed=seed)
        report = Report(root=self.root, gallery=self.address, model=self.model)
        access, everything = self.access.naming(*given.folders), pictures is not None
        fill = Fill(
            self.store,
            access,
            self.extractor,
            report,
            progress,
            column=image,
            everything=everything,
            sources=given.sources,
        )
        fill.allow_private = allow_private
        fill.workers = None if workers is None else (workers, self._model)
        with self.store.writing():
            fill.add(given, wishes, exclude=tuple(exclude), hidden=hidden, metadata=metadata or {})
        if made is not None and not report.total and self.store.limits.writers == 1:
            self.delete()
            report.gallery = ""
        report.notes += [*(made or ()), *self._model.notes(), *self.access.notes_of_run(given)]
        report.seconds = time.monotonic() - started
        return report

    def add_vectors(
        self,
        vectors: str | os.PathLike[str] | tuple[Sequence[str], ArrayLike],
        *,
        progress: Callable[[Progress], object] | None = None,
    ) -> Report:
        """Add one's own vectors to a gallery that holds nothing else; a query is then an id or a vector.

        Args:
            vectors: (ids, array of shape (n, dim)), or a `.npz`, `.csv` or `.parquet` file of both as
                `export` writes it. An id that is a file below the root stands for that picture.
            progress: called after every commit.

        Returns:
            The report; single vectors that can't be kept are in its `skipped`.

        Raises:
            UsageError: the file can't be read to its end, or ids and vectors do not fit; then nothing
                was added.
            ModelMismatch: the gallery holds pictures described by a model.
        """
        from lookalike.indexing import vectors as imported

        started = time.monotonic()
        source = imported.source(vectors)
        dim = imported.look(source())
        report = Report(root=self.root, gallery=self.address, model=IMPORTED)

        def header() -> Header:
            self._model.require_none()
            return imported.header(dim, self._model.metric or "cosine", self._root())

        # The ids are those of a file, which may be a stranger's.
        report.notes += self._make(header, private=False) or []
        if self.model != IMPORTED:
            raise ModelMismatch(
                f"the gallery {self.address} was made with {self.model}: vectors of one's own need a gallery "
                "of their own; use --name for one beside it"
            )
        with self.store.writing():
            for block in source():
                imported.write(self.store, block, report)
                if progress is not None:
                    done = report.added + report.updated
                    progress(Progress(done, None, len(report.skipped), time.monotonic() - started))
            self.store.refresh()
        report.total = self.store.count()
        report.seconds = time.monotonic() - started
        return report

    def update(self, metadata: Mapping[str, Mapping[str, Value]]) -> int:
        """Merge fields into the metadata of pictures, by their id or path; how many there were."""
        from lookalike.indexing import removal

        with self.store.writing():
            return self.store.update(
                {removal.id_meant(key, self.root, self): fields for key, fields in metadata.items()}
            )

    def remove(self, ids: Sequence[str] = (), *, where: WhereLike = None) -> int:
        """Take pictures out; a later `add` of their folder leaves them out.

        Args:
            ids: ids, paths, folders, and patterns as in `.gitignore`; none for every picture that passes.
            where: a filter that they have to pass, too, as for `search`.

        Returns:
            How many.

        Raises:
            NotFound: one of them names no picture; then none is removed.
            UsageError: neither ids nor a filter is told.
        """
        if not ids and where is None:
            raise UsageError("tell which pictures to remove, by ids or by a filter")
        from lookalike.indexing import removal

        known = removal.named([ids] if isinstance(ids, str) else ids, where, self)
        with self.store.writing():
            return self.store.delete(known, keep_out=True)

    def restore(self, ids: Sequence[str] | None = None) -> int:
        """Let pictures that were removed come in again at the next `add`; default all of them.

        Raises:
            NotFound: one of them names none that was removed; then none is restored.
        """
        from lookalike.indexing import removal

        known = removal.taken_out([ids] if isinstance(ids, str) else ids, self)
        with self.store.writing():
            self.store.forget(known)
        return len(known)

    def reindex(
        self,
        model: str | Extractor,
        *,
        metric: str | None = None,
        normalize: bool | None = None,
        precision: Precision | None = None,
        prune: bool = False,
        progress: Callable[[Progress], object] | None = None,
    ) -> Report:
        """Describe every picture anew with another model, beside the gallery, and then take its place.

        Until it is done the gallery answers as before; stopped and started again it goes on.

        Args:
            model: the new extractor, or its name.
            metric: of the new vectors, as for `open`.
            normalize: of the new vectors, as for `open`.
            precision: of the arithmetic, as for `open`.
            prune: drop pictures that can't be read now, instead of raising.
            progress: called after every commit.

        Raises:
            StoreUnavailable: pictures can't be read now, and prune is False; nothing was changed.
        """
        from lookalike.indexing.update import Fill

        started = time.monotonic()
        store = self.store
        wanted = Model(model, metric=metric, normalize=normalize, precision=precision)
        extractor = wanted.extractor(None)
        header = header_for(extractor, metric, store.header.root)
        report = Report(root=self.root, gallery=self.address, model=extractor.name)
        with store.writing(), store.replacement(header) as fresh:
            fill = Fill(fresh, self.access, lambda: extractor, report, progress)
            lost = fill.again(store)
            if lost and not prune:
                raise StoreUnavailable(
                    f"{len(lost):,} of the pictures can't be read now, the first is {lost[0].path!r} "
                    f"({lost[0].reason}): nothing was changed. Bring them back, or drop them with --prune"
                )
        self._model.replace(extractor)
        report.total = store.count()
        report.seconds = time.monotonic() - started
        return report
