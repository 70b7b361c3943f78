"""The model of a gallery: built when the first picture needs it, and checked against the header."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from lookalike import extractors
from lookalike.errors import ModelMismatch

if TYPE_CHECKING:
    from lookalike.types import Extractor, Header, Metric, Precision

DEFAULT_MODEL = "efficientnet-lite0"


class Model:
    """What the user asked for, what the gallery was made with, and the extractor once it is built.

    Args:
        wanted: an extractor, its name, or None for what the gallery was made with.
        precision: of the arithmetic; None for the gallery's, and the fastest for a new one.
    """

    def __init__(self, wanted: str | Extractor | None, precision: Precision | None) -> None:
        self._wanted = wanted
        self._precision = precision
        self._built: Extractor | None = None
        self._building = threading.Lock()

    def name(self, header: Header | None) -> str:
        """The extractor's name, without building it."""
        if header is not None:
            return header.extractor
        if self._wanted is None or isinstance(self._wanted, str):
            return str(extractors.Name.parse(self._wanted or DEFAULT_MODEL))
        return self._wanted.name

    def check(self, header: Header, metric: Metric | None, address: str) -> None:
        """Raise `ModelMismatch` if what was asked for is not what the gallery was made with."""
        wanted = None if self._wanted is None else self.name(None)
        foreign = not isinstance(self._wanted, str | None) and self._wanted.digest != header.digest
        if wanted is not None and (wanted != header.extractor or foreign):
            raise ModelMismatch(
                f"the gallery {address} was made with {header.extractor}, not {wanted}: use --name for "
                f"another gallery beside it, or `lookalike reindex --model {wanted}` to make it anew"
            )
        if metric not in {None, header.metric}:
            raise ModelMismatch(
                f"the gallery {address} was made with the metric {header.metric}, not {metric}: use --name "
                "for another gallery beside it"
            )

    def extractor(self, header: Header | None) -> Extractor:
        """The extractor, built when first asked for.

        Raises:
            ModelMismatch: the model of that name has other weights or settings than the gallery's.
        """
        with self._building:
            if self._built is None or (header is not None and self._built.digest != header.digest):
                self._built = self._build(header)
            if header is not None and self._built.digest != header.digest:
                raise ModelMismatch(
                    f"the gallery was made with other weights or settings of {header.extractor} than this "
                    "machine has: use --name for another gallery beside it, or `lookalike reindex`"
                )
            return self._built

    def replace(self, extractor: Extractor) -> None:
        """The gallery was made anew with another extractor."""
        self._wanted = self._built = extractor

    def _build(self, header: Header | None) -> Extractor:
        if self._wanted is not None and not isinstance(self._wanted, str):
            return self._wanted
        precision = self._precision
        # A gallery made in bf16 is searched in float32 where the processor has nothing else.
        if precision is None and header is not None and header.precision == "f32":
            precision = "f32"
        return extractors.load(self.name(header), precision=precision)
