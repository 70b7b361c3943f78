"""The model of a gallery: built when the first picture needs it, and checked against the header."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from lookalike import extractors
from lookalike.errors import ModelError, ModelMismatch, UsageError
from lookalike.system import forks
from lookalike.types import Header, Space

if TYPE_CHECKING:
    from lookalike.extractors.names import Gate
    from lookalike.types import Extractor, Precision

DEFAULT_MODEL = "efficientnet-lite0"
IMPORTED = "vectors"
"""What stands for the model of a gallery whose vectors were brought along."""


class Model:
    """What the user asked for, what the gallery was made with, and the extractor once it is built.

    Args:
        wanted: an extractor, its name, or None for what the gallery was made with.
        metric: of a new gallery; None for what the extractor recommends.
        normalize: whether the vectors of a new gallery have unit length; None for what is usual for
            the layer and the metric.
        precision: of the arithmetic; None for the gallery's, and the fastest for a new one.

    Raises:
        UsageError: there is no such metric.
    """

    def __init__(
        self,
        wanted: str | Extractor | None,
        *,
        metric: str | None = None,
        normalize: bool | None = None,
        precision: Precision | None = None,
    ) -> None:
        if metric is not None:
            from lookalike.indexes import distances

            distances.check(metric)
        self.metric = metric
        self._wanted = wanted
        self._normalize = normalize
        self._precision = precision
        self._built: Extractor | None = None
        self._building = forks.lock()

    def __reduce__(self) -> tuple[object, ...]:
        """In another process it is built anew, of what was asked for."""
        anew = partial(Model, metric=self.metric, normalize=self._normalize, precision=self._precision)
        return anew, (self._wanted,)

    def name(self, header: Header | None) -> str:
        """The extractor's name, without building it."""
        if header is not None:
            return header.space.extractor
        if self._wanted is None or isinstance(self._wanted, str):
            return str(extractors.Name.parse(self._wanted or DEFAULT_MODEL))
        return self._wanted.name

    def check(self, header: Header, address: str) -> None:
        """Raise `ModelMismatch` if what was asked for is not what the gallery was made with."""
        wanted, space = None if self._wanted is None else self.name(None), header.space
        foreign = not isinstance(self._wanted, str | None) and self._wanted.digest != space.digest
        if wanted is not None and (wanted != space.extractor or foreign):
            made = space.extractor if wanted != space.extractor else "other weights or settings of it"
            raise ModelMismatch(
                f"the gallery {address} was made with {made}, not {wanted}: use --name for "
                f"another gallery beside it, or `lookalike reindex --model {wanted}` to make it anew"
            )
        if self.metric not in {None, space.metric}:
            raise ModelMismatch(
                f"the gallery {address} was made with the metric {space.metric}, not {self.metric}: use "
                "--name for another gallery beside it"
            )
        if self._normalize not in {None, space.normalized}:
            kind = "vectors of unit length" if space.normalized else "vectors as the layer gives them"
            raise ModelMismatch(
                f"the gallery {address} was made with {kind}: use --name for another gallery beside it"
            )

    def require_none(self) -> None:
        """Raise `UsageError` if a model was asked for where vectors are brought along."""
        if self._wanted not in {None, IMPORTED} or self._normalize or self._precision:
            raise UsageError(
                "vectors of one's own are kept as they are: leave out model, normalize and precision"
            )

    def extractor(self, header: Header | None, access: Gate | None = None) -> Extractor:
        """The extractor, built when first asked for.

        Args:
            header: of the gallery; None where there is none yet.
            access: what the gallery may reach, where its header names the model; None if it was checked.

        Raises:
            ModelMismatch: the model of that name has other weights or settings than the gallery's, or makes
                vectors of another size.
            NotTrusted: the header names a model that may not be loaded.
        """
        with self._building:
            if self._built is None or (header is not None and self._built.digest != header.space.digest):
                if header is not None and access is not None:
                    from lookalike.extractors.names import require_model

                    require_model(header.space.extractor, access)
                self._built = self._build(header)
            if header is not None and self._built.digest != header.space.digest:
                raise ModelMismatch(
                    f"the gallery was made with other weights or settings of {header.space.extractor} than "
                    "this machine has: use --name for another gallery beside it, or `lookalike reindex`"
                )
            if header is not None and self._built.dim != header.space.dim:
                raise ModelMismatch(
                    f"the gallery says that its vectors have {header.space.dim:,} numbers, those of its "
                    f"model {header.space.extractor} have {self._built.dim:,}: restore a copy, or "
                    "`lookalike reindex`"
                )
            return self._built

    def notes(self) -> tuple[str, ...]:
        """What the user should know of the extractor, if it was built: what was assumed of a file."""
        return () if self._built is None else extractors.notes(self._built)

    def replace(self, extractor: Extractor) -> None:
        """The gallery was made anew with another extractor."""
        self._wanted = self._built = extractor

    def _build(self, header: Header | None) -> Extractor:
        if self._wanted is not None and not isinstance(self._wanted, str):
            return self._given(self._wanted)
        precision = self._precision
        # A gallery made in bf16 is searched in float32 where the processor has nothing else.
        if precision is None and header is not None and header.space.precision == "f32":
            precision = "f32"
        name = self.name(header)
        if name == IMPORTED:
            raise ModelError(
                "the gallery holds vectors that were imported: no model describes pictures for it, so ask by "
                "id:… or by a vector"
            )
        normalize = self._wish(name) if header is None else header.space.normalized
        return extractors.load(name, precision=precision, normalize=normalize)

    def _wish(self, name: str) -> bool | None:
        """Unit length is usual for a layer, but says nothing to metrics that go by size."""
        layer = extractors.Name.parse(name).layer
        by_size = self.metric not in {None, "cosine", "euclidean"}
        return False if self._normalize is None and by_size and layer is not None else self._normalize

    def _given(self, extractor: Extractor) -> Extractor:
        if self._normalize not in {None, extractor.normalized}:
            raise UsageError(
                f"the vectors of {extractor.name} are made by an extractor that is built already; give "
                "normalize to `lookalike.extractor` instead"
            )
        return extractor


def header_for(extractor: Extractor, metric: str | None, root: str) -> Header:
    """The header of a gallery to be made.

    Args:
        extractor: whose vectors it is to have.
        metric: how they are compared; default what the extractor recommends.
        root: as `places.root_at` gives it.

    Raises:
        UsageError: there is no such metric.
    """
    from lookalike.indexes import distances

    distances.check(metric or extractor.metric)
    space = Space(
        extractor=extractor.name,
        digest=extractor.digest,
        dim=extractor.dim,
        metric=metric or extractor.metric,
        precision=extractor.precision,
        normalized=extractor.normalized,
        row_type="float16" if extractor.normalized else "float32",
        visual_words=extractor.visual_words,
    )
    return Header(space, root, extractor.classes)
