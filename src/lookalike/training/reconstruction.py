"""What an autoencoder makes of pictures, beside the pictures; without Keras."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from io import BytesIO
from typing import TYPE_CHECKING, Any, overload

import numpy as np

from lookalike import images
from lookalike.errors import UsageError, visible
from lookalike.extractors import trained
from lookalike.extractors.decoder import Decoder
from lookalike.extractors.names import Name
from lookalike.search.resolve import resolve_picture
from lookalike.sources.access import Access
from lookalike.views import plots
from lookalike.views.plots import Row, Tile

if TYPE_CHECKING:
    import os

    from numpy.typing import NDArray

    from lookalike.search.query import QueryLike
    from lookalike.types import Floats
    from lookalike.views.plots import Plot

_ACROSS = 8  # pictures in a line of a plot


@dataclass(frozen=True, slots=True)
class Reconstruction:
    """One picture and what is drawn of its vector.

    name: of the picture, in words.
    given, drawn: ndarrays of shape (height, width, 3), uint8: as the network was fed, and what came out.
    vector: ndarray of shape (dim,), all that the drawing was made from.
    mse: mean square of the differences of their numbers, 0 to 1.
    own_colour_mse: that of a picture that has the given one's mean colour everywhere, to compare with.
    """

    name: str
    given: NDArray[np.uint8] = field(repr=False)
    drawn: NDArray[np.uint8] = field(repr=False)
    vector: Floats = field(repr=False)
    mse: float
    own_colour_mse: float

    def as_dict(self) -> dict[str, Any]:
        """Return it as plain JSON data, without the pictures."""
        return {
            "picture": self.name,
            "vector": self.vector.tolist(),
            "mse": self.mse,
            "own_colour_mse": self.own_colour_mse,
        }


@dataclass(frozen=True, slots=True)
class Reconstructions(Sequence[Reconstruction]):
    """Pictures and what is drawn of them, in the order they were given.

    model: its folder.
    items: one a picture.
    """

    model: str
    items: tuple[Reconstruction, ...]

    def __len__(self) -> int:
        return len(self.items)

    @overload
    def __getitem__(self, index: int) -> Reconstruction: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Reconstruction, ...]: ...
    def __getitem__(self, index: int | slice) -> Reconstruction | tuple[Reconstruction, ...]:
        return self.items[index]

    def __str__(self) -> str:
        return "\n".join(
            f"{visible(one.name)}  MSE {one.mse:.4f}, its mean colour {one.own_colour_mse:.4f}"
            for one in self.items
        )

    def as_dict(self) -> dict[str, Any]:
        """Return them as plain JSON data."""
        return {"model": self.model, "pictures": [one.as_dict() for one in self.items]}

    def plot(self, title: str = "") -> Plot:
        """Draw the given pictures over what came out, eight pairs in a line.

        Raises:
            MissingExtra: matplotlib is not installed.
        """
        rows: list[Row] = []
        for start in range(0, len(self.items), _ACROSS):
            pairs = self.items[start : start + _ACROSS]
            given = [Tile(one.name, _png(one.given)) for one in pairs]
            drawn = [Tile(one.name, _png(one.drawn), f"MSE {one.mse:.4f}") for one in pairs]
            numbers = len(pairs[0].vector)
            rows += [Row("Given", None, given), Row(f"Drawn from {numbers} numbers", None, drawn)]
        return plots.grid(rows, title=title)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the plot to a file: PNG, SVG or PDF, by the ending of its name.

        Raises:
            MissingExtra: matplotlib is not installed.
            UsageError: another ending, or the file can't be written.
        """
        plots.check_file(path)
        self.plot().save(path)

    def _repr_png_(self) -> Any:
        return self.plot()._repr_png_()  # a notebook shows pictures


def reconstruct(pictures: QueryLike | Sequence[QueryLike], model: str | os.PathLike[str]) -> Reconstructions:
    """Squeeze pictures into vectors, and draw them again.

    Args:
        pictures: paths, addresses, bytes, file objects, PIL images or arrays of shape (h, w, 3), uint8.
        model: the folder of a trained autoencoder.

    Raises:
        ModelError: the model has no decoder.
        ImageError, NotFound, DownloadError: a picture that can't be had or read.
        UsageError: something that is no picture.

    Example:
        >>> reconstruct(["pic.jpg"], "ae-model").plot().save("out.png")  # doctest: +SKIP
    """
    decoder = Decoder(model)
    extractor = trained.load(decoder.folder, Name(str(decoder.folder)), "f32", normalize=False)
    several = pictures if isinstance(pictures, list | tuple) else [pictures]

    def one(picture: QueryLike) -> Reconstruction:
        name, content = _picture(picture)
        before = np.asarray(extractor.prepare(images.decode(content, size=extractor.size).image), np.uint8)
        vectors = extractor.extract([before]).vectors
        after = decoder.pictures(vectors)[0]
        return Reconstruction(name, before, after, vectors[0], *errors(before, after))

    return Reconstructions(str(decoder.folder), tuple(map(one, several)))


def errors(given: NDArray[np.generic], drawn: NDArray[np.generic]) -> tuple[float, float]:
    """Return the MSE of a drawing, and of the given picture's own mean colour, of numbers from 0 to 1.

    Args:
        given: ndarray of shape (height, width, 3), 0 to 255.
        drawn: likewise.
    """
    unit = given.astype(np.float32) / 255
    difference = unit - drawn.astype(np.float32) / 255
    return float(np.mean(difference**2)), float(np.mean((unit - unit.mean((0, 1))) ** 2))


def _picture(given: Any) -> tuple[str, bytes]:
    """Return the name of a picture, and its encoded bytes."""
    found = resolve_picture(given, None, Access("", images.ImageLimits.from_environment()))
    if found.content is None:
        raise UsageError(f"{found.label} is no picture; expected a path, an address, bytes or an array")
    return found.label, found.content


def _png(picture: NDArray[np.uint8]) -> bytes:
    out = BytesIO()
    images.from_array(picture).save(out, "PNG")
    return out.getvalue()
