"""Any of Pillow's picture modes as 8-bit RGB on white, reduced on the way."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lookalike.errors import ImageError

if TYPE_CHECKING:
    from PIL.Image import Image

    Size = tuple[int, int]

BAND = 1 << 20  # pixels converted at a time, so that conversions need no second whole picture


def to_rgb(image: Image, factors: Size) -> Image:
    """RGB on white, reduced; converted in bands, so that only the result is kept beside the source."""
    from PIL import Image as Images

    image.load()
    scale = _scale(image)
    if image.mode == "RGB" and factors == (1, 1) and not image.has_transparency_data:
        return image.copy()  # without the file that a picture fresh from it holds on to
    across, down = factors
    out = Images.new("RGB", (-(-image.width // across), -(-image.height // down)))
    rows = max(1, BAND // (image.width * down)) * down
    for top in range(0, image.height, rows):
        band = image.crop((0, top, image.width, min(top + rows, image.height)))
        band = on_white(_grey(band, *scale) if scale else band)
        out.paste(band.reduce(factors) if factors != (1, 1) else band, (0, top // down))
    return out


def _scale(image: Image) -> tuple[float, float] | None:
    """(factor, offset) that bring wide grey to 0…255; None for a picture that has 8 bits already.

    Sixteen bits are divided by 257, and numbers from 0 to 1 multiplied by 255. Wider numbers have
    no agreed white: the picture's own darkest and brightest are taken for it.
    """
    if image.mode.startswith("I;16"):
        return 1 / 257, 0.0
    if image.mode not in {"I", "F"}:
        return None
    low, high = (float(str(value)) for value in image.getextrema())
    for white in (1.0, 255.0, 65535.0) if image.mode == "F" else (255.0, 65535.0):
        if low >= 0 and high <= white:
            return 255 / white, 0.0
    if not high - low < float("inf"):
        raise ImageError("has infinite values")
    return 255 / (high - low or 1), -low * 255 / (high - low or 1)


def _grey(band: Image, factor: float, offset: float) -> Image:
    wide = band if band.mode == "F" else band.convert("I").convert("F")
    return wide.point(lambda value: value * factor + (offset + 0.5)).convert("L")


def on_white(image: Image) -> Image:
    """RGB, where the picture was transparent mixed with white."""
    from PIL import Image as Images

    if not image.has_transparency_data:
        return image.convert("RGB")
    see_through = image.convert("RGBA")
    return Images.alpha_composite(Images.new("RGBA", image.size, "white"), see_through).convert("RGB")


def upright(image: Image, orientation: int) -> Image:
    """Turned as EXIF's orientation (1 to 8) asks for."""
    from PIL.Image import Transpose

    turns = {
        2: Transpose.FLIP_LEFT_RIGHT,
        3: Transpose.ROTATE_180,
        4: Transpose.FLIP_TOP_BOTTOM,
        5: Transpose.TRANSPOSE,
        6: Transpose.ROTATE_270,
        7: Transpose.TRANSVERSE,
        8: Transpose.ROTATE_90,
    }
    return image.transpose(turns[orientation]) if orientation in turns else image
