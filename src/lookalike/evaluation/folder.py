"""A folder of pictures that methods are compared on: its files, its galleries, and the methods by name."""

from __future__ import annotations

import os
import re
import tempfile
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from lookalike.errors import NotFound, NotTrusted, StoreError, StoreUnavailable, UsageError
from lookalike.evaluation.labels import Labels, Pictures, ids_of, read
from lookalike.extractors.names import require_model
from lookalike.gallery import Gallery
from lookalike.indexing import folder_notes
from lookalike.sources import ignoring, trust
from lookalike.sources.folder import Walk
from lookalike.sources.packed import Packed, is_packed
from lookalike.stores import location
from lookalike.system.text import redact_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from lookalike.evaluation.labels import LabelsLike
    from lookalike.types import Extractor, Found, Precision

    MethodLike: TypeAlias = "str | Extractor | Method"

# A path may hold a # of its own, so only what looks like words behind the last one is taken.
_METHOD = re.compile(r"(?P<model>.+)#(?P<words>[a-z][a-z0-9,_-]*)", re.DOTALL)
_NORMALIZE = {"normalize": True, "no-normalize": False}


@dataclass(frozen=True, slots=True)
class Method:
    """Name what is compared with others: a model with its metric, or a gallery that exists already.

    model: an extractor or its name; "" for a gallery.
    metric: how its vectors are compared; None as the model recommends.
    normalize: whether they have unit length; None as the model and the metric suggest.
    gallery: the name of one of the folder's galleries, which is taken as it is.
    """

    model: str | Extractor = ""
    metric: str | None = None
    normalize: bool | None = None
    gallery: str | None = None

    @classmethod
    def parse(cls, text: str) -> Method:
        """Read `MODEL[#METRIC][,normalize|,no-normalize]`.

        Raises:
            UsageError: what is behind the # can't be meant.

        >>> Method.parse("keras:VGG16@fc1#euclidean,no-normalize").metric
        'euclidean'
        """
        found = _METHOD.fullmatch(text)
        if found is None:
            return cls(text)
        words = found["words"].split(",")
        normalize = [_NORMALIZE[word] for word in words if word in _NORMALIZE]
        metrics = [word for word in words if word not in _NORMALIZE]
        if len(normalize) > 1 or len(metrics) > 1 or "" in words:
            raise UsageError(
                f"{text!r} can't be meant; expected MODEL#METRIC, MODEL#normalize, MODEL#no-normalize, or a "
                "metric and one of these with a comma between them"
            )
        return cls(found["model"], next(iter(metrics), None), next(iter(normalize), None))

    def __str__(self) -> str:
        if self.gallery is not None:
            return self.gallery
        words = [self.metric] if self.metric else []
        if self.normalize is not None:
            words.append("normalize" if self.normalize else "no-normalize")
        name = self.model if isinstance(self.model, str) else self.model.name
        return f"{name}#{','.join(words)}" if words else name


DEFAULT_MODELS = (
    "efficientnet-lite0",
    "efficientnet-lite0@features",
    "efficientnet-lite0@classes",
    "efficientnet-lite0@block4c+avg",
)
"""What is compared in a folder without galleries, where no model is named."""


@contextmanager
def workshop(purpose: str) -> Iterator[str]:
    """Make a folder for galleries, of which nothing is left afterwards, nor of that this user made them."""
    with tempfile.TemporaryDirectory(prefix=f"lookalike-{purpose}-") as folder:
        try:
            yield folder
        finally:
            for entry in os.scandir(folder):
                with suppress(StoreUnavailable):
                    trust.revoke(entry.path)


@dataclass(frozen=True, slots=True)
class PictureFolder:
    """A folder of pictures: what was found in it by id, and the names of its galleries.

    packed: the folder, if its pictures lie many in one file; it knows their metadata.
    notes: what could not be seen of it.
    """

    path: str
    found: dict[str, Found] = field(repr=False)
    galleries: tuple[str, ...]
    packed: Packed | None = None
    notes: tuple[str, ...] = ()

    @classmethod
    def look(cls, folder: str | os.PathLike[str]) -> PictureFolder:
        """Walk the folder.

        Raises:
            UsageError: it is none, or holds fewer than two files.
        """
        path = os.path.abspath(os.path.expanduser(folder))  # noqa: PTH100, PTH111  # as `Gallery.open` does
        if not os.path.isdir(path):  # noqa: PTH112
            what = "is not a folder" if os.path.lexists(path) else "does not exist"
            raise UsageError(f"{path} {what}; expected a folder of pictures")
        galleries = tuple(location.names(path))
        ignored = ignoring.of_folder(Path(path), ())
        walk = Packed(path, "", ignored) if is_packed(path) else Walk(path, "", ignored=ignored)
        files = {found.id: found for found in walk if not found.fault}
        if len(files) < 2 and not galleries:
            raise UsageError(f"{path} holds {len(files)} pictures; expected at least two")
        notes = tuple(folder_notes.unlistable(walk.survey.unlisted))
        return cls(path, files, galleries, walk if isinstance(walk, Packed) else None, notes)

    def methods(self, models: Sequence[MethodLike] | None, galleries: Sequence[str]) -> list[Method]:
        """Return the methods to compare, each once.

        Raises:
            UsageError: a method that can't be read.
            NotFound: the folder has no gallery of one of these names.
        """
        unknown = [name for name in galleries if name not in self.galleries and "://" not in name]
        if unknown:
            has = f"it has {', '.join(self.galleries)}" if self.galleries else "it has none"
            raise NotFound(f"{self.path} has no gallery {unknown[0]!r}: {has}")
        chosen: list[Method] = [as_method(model) for model in models or ()]
        if models is None and not galleries:
            if not self.galleries:
                chosen = [Method(name) for name in DEFAULT_MODELS]
            galleries = self.galleries
        every = [*(Method(gallery=name) for name in galleries), *chosen]
        if not every:
            raise UsageError("no method to compare; expected at least one model or gallery")
        return list({str(method): method for method in every}.values())

    def held(self, methods: Sequence[Method]) -> list[frozenset[str]]:
        """Return the ids of each gallery among the methods, and those of the files if others are to be made.

        A gallery that can't be read holds nobody else up: it fails when its turn comes.
        """
        names = [method.gallery for method in methods if method.gallery is not None]
        ids = [frozenset(self.found)] if len(names) < len(methods) else []
        for name in names:
            with suppress(StoreError), self.open(name) as gallery:
                ids.append(frozenset(ids_of(gallery)))
        return ids or [frozenset(self.found)]

    def models(self, methods: Sequence[Method]) -> list[str]:
        """Return the names of the methods' extractors; that of a gallery which can't be read is left out.

        Raises:
            NotTrusted: a gallery names a model that it may not load.
        """
        names: list[str] = []
        refused: list[NotTrusted] = []
        for method in methods:
            if method.gallery is not None:
                with suppress(StoreError), self.open(method.gallery) as gallery:
                    names.append(gallery.model)
                    try:
                        require_model(gallery.model, gallery.access)
                    except NotTrusted as error:
                        refused.append(error)
            else:
                names.append(method.model if isinstance(method.model, str) else method.model.name)
        if refused:
            raise refused[0]
        return names

    def check_queries(self, queries: Sequence[str], known: frozenset[str]) -> None:
        """Check before the long part that every query is there.

        Raises:
            NotFound: one is no address, no file and none of the ids known.
        """
        for query in queries:
            address = query.lower().startswith(("http://", "https://"))
            there = address or os.path.isfile(os.path.expanduser(query))  # noqa: PTH111, PTH113
            if not there and query.removeprefix("id:") not in known:
                raise NotFound(f"no file, and no picture in {self.path}, is called {redact_text(query)!r}")

    def labels(self, labels: LabelsLike, known: frozenset[str]) -> Labels:
        """Return the labels of the pictures known, those in metadata from the first gallery that has them.

        Raises:
            UsageError: they can't be read, or not one picture has a label by them.
        """
        ids = sorted(known)
        for name in self.galleries:
            with suppress(StoreError), self.open(name) as gallery:
                if isinstance(labels, str) and labels in gallery.store.fields():
                    return read(labels, Pictures(self.path, ids, gallery))
        if self.packed is not None and isinstance(labels, str):
            values = {id_: str(of[labels]) for id_, of in self.packed.metadata() if labels in of}
            if values:
                sets = [frozenset([value]) for value in values.values()]
                labels = Labels(f"the field {labels}", list(values), sets)
        return read(labels, Pictures(self.path, ids))

    def open(self, name: str) -> Gallery:
        """One of its galleries."""
        if "://" in name:
            return Gallery.open(self.path, gallery=name, create=False)
        return Gallery.open(self.path, name=name, create=False)

    def finished(self, extractor: Extractor, metric: str, precision: Precision | None) -> str | None:
        """Return the name of a gallery of the very same method that knows every file as it is now."""
        for name in self.galleries:
            # A gallery that can't be read is no reason not to make one.
            with suppress(StoreError), self.open(name) as gallery:
                header = gallery.store.header
                same = (header.space.digest, header.space.metric) == (extractor.digest, metric)
                if same and precision in {None, header.space.precision} and self._knows_all(gallery):
                    return name
        return None

    def _knows_all(self, gallery: Gallery) -> bool:
        states = {
            state.id: (state.size, state.mtime_ns)
            for state in gallery.store.states()
            if state.status != "removed"
        }
        return all(states.get(id_) == (file.size, file.mtime_ns) for id_, file in self.found.items())


def as_method(given: MethodLike) -> Method:
    """Return the method that is meant by any of the forms a user may give."""
    if isinstance(given, Method):
        return given
    return Method.parse(given) if isinstance(given, str) else Method(given)
