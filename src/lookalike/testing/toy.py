"""An extractor computed by hand: a picture's mean colours."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, cast, get_args

from lookalike.errors import UsageError
from lookalike.types import Classes, Extraction, Metric

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray
    from PIL.Image import Image

    from lookalike.extractors.names import Name
    from lookalike.types import Precision


@dataclass(frozen=True, slots=True)
class ToyExtractor:
    """The mean colour of each cell of a grid: 3 × grid × grid numbers, 0 to 1.

    Cells are in reading order, each as red, green, blue. With normalize the vector has unit length;
    a black picture stays all zeros. The class scores are the shares of red, green and blue in the
    whole picture (of a black one a third each).

    grid: cells on either side.
    metric: the metric it recommends.
    normalize: whether vectors have unit length, by its name.
    with_classes: whether it gives class scores.
    layer: `classes` where the vector is the class scores, not normalised unless `unit` says so.
    unit: whether vectors have unit length, whatever its name says.
    precision: what it says of its arithmetic, which is always float32.

    >>> ToyExtractor(grid=2).dim
    12
    """

    grid: int = 1
    metric: Metric = "cosine"
    normalize: bool = True
    with_classes: bool = True
    layer: Literal["classes"] | None = None
    unit: bool | None = None
    precision: Precision = "f32"

    parallel = 1

    @property
    def name(self) -> str:
        """What `load` builds it from."""
        changed = {
            "classes": "" if self.with_classes else "0",
            "grid": "" if self.grid == 1 else str(self.grid),
            "metric": "" if self.metric == "cosine" else self.metric,
            "normalize": "" if self.normalize else "0",
        }
        options = "&".join(f"{key}={value}" for key, value in changed.items() if value)
        return f"toy{'@classes' if self.layer else ''}{'?' if options else ''}{options}"

    @property
    def digest(self) -> str:
        """Of its options, which are all there is to it."""
        return hashlib.sha256(f"{self.name} {self.normalized}".encode()).hexdigest()

    @property
    def dim(self) -> int:
        """Numbers in a vector."""
        return 3 if self.layer else 3 * self.grid**2

    @property
    def normalized(self) -> bool:
        """Whether vectors have unit length."""
        return (self.normalize and self.layer is None) if self.unit is None else self.unit

    @property
    def visual_words(self) -> bool:
        """Whether the vector is the class scores themselves."""
        return self.layer is not None and not self.normalized

    @property
    def classes(self) -> Classes | None:
        """Red, green and blue."""
        return Classes(("c0", "c1", "c2"), ("red", "green", "blue")) if self.with_classes else None

    @property
    def size(self) -> tuple[int, int]:
        """The pixels it looks at: eight by eight a cell."""
        return 8 * self.grid, 8 * self.grid

    def prepare(self, image: Image) -> NDArray[np.generic]:
        """The picture as an ndarray of shape (side, side, 3), uint8, each pixel a mean of its own area."""
        import numpy as np
        from PIL import Image as Pillow

        return np.asarray(image.convert("RGB").resize(self.size, Pillow.Resampling.BOX))

    def extract(self, batch: Sequence[NDArray[np.generic]]) -> Extraction:
        """Mean colours, and the shares of each colour."""
        import numpy as np

        pixels = np.stack(batch).astype(np.float32) / 255  # (n, side, side, 3)
        colours = pixels.mean(axis=(1, 2))  # (n, 3)
        sums = colours.sum(axis=1, keepdims=True)
        scores = np.where(sums > 0, colours / np.where(sums > 0, sums, 1), 1 / 3).astype(np.float32)
        cells = pixels.reshape(len(batch), self.grid, 8, self.grid, 8, 3).mean(axis=(2, 4))
        vectors = scores if self.layer else cells.reshape(len(batch), self.dim)
        if self.normalized:
            lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
            vectors = vectors / np.where(lengths > 0, lengths, 1)
        return Extraction(vectors.astype(np.float32), scores if self.with_classes else None)


def load(name: Name, precision: Precision | None = None, *, normalize: bool | None = None) -> ToyExtractor:
    """Mean colours of a grid, for tests: `toy`, `toy@classes`, `toy?grid=8&metric=inner&normalize=0`.

    Raises:
        UsageError: an option it does not have, or a value that can't be meant.
    """
    options = dict(name.options)
    toy = ToyExtractor(precision=precision or "f32", unit=normalize)
    try:
        toy = replace(
            toy,
            grid=int(options.pop("grid", "1")),
            metric=cast("Metric", options.pop("metric", "cosine")),
            normalize=options.pop("normalize", "1") != "0",
            with_classes=options.pop("classes", "1") != "0",
            layer="classes" if name.layer == "classes" else None,
        )
    except ValueError as error:
        raise UsageError(f"{name} has a grid that is no number") from error
    foreign = options or name.pool or name.layer not in {None, "classes"}
    if foreign or toy.grid < 1 or toy.metric not in get_args(Metric) or (toy.layer and not toy.with_classes):
        raise UsageError(
            f"{name} can't be meant; expected toy or toy@classes, "
            "with grid=N, metric=M, normalize=0 or classes=0 after a `?`"
        )
    return toy
