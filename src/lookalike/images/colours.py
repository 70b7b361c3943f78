"""Any of Pillow's picture modes as 8-bit RGB on white, reduced on the way."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lookalike.images.profiles import conversion
from lookalike.images.transparency import holes, is_transparent, to_rgba

if TYPE_CHECKING:
    from collections.abc import Iterable

    from PIL.Image import Image

    from lookalike.images.profiles import Conversion

    Size = tuple[int, int]
    Scale = tuple[float, float] | None

BAND = 1 << 20  # pixels converted at a time, so that conversions need no second whole picture


def to_rgb(image: Image, factors: Size, profiles: Iterable[bytes] = ()) -> Image:
    """Return a picture as RGB on white, reduced.

    It is converted in bands, so that only the result is kept beside the source.

    Args:
        image: of any mode.
        factors: whole numbers to reduce by, across and down.
        profiles: ICC profiles of its colours, of which the first usable one counts; sRGB without any.
    """
    from PIL import Image as Images

    image.load()
    converted = conversion(profiles, image.mode)
    if image.mode == "RGB" and factors == (1, 1) and converted is None and not is_transparent(image):
        return image.copy()  # without the file that a picture fresh from it holds on to
    scale = _scale(image)
    across, down = factors
    out = Images.new("RGB", (-(-image.width // across), -(-image.height // down)))
    rows = max(1, BAND // (image.width * down)) * down
    for top in range(0, image.height, rows):
        band = image.crop((0, top, image.width, min(top + rows, image.height)))
        out.paste(_finished(band, scale, factors, converted), (0, top // down))
    return out


def _finished(band: Image, scale: Scale, factors: Size, converted: Conversion | None) -> Image:
    transparent = is_transparent(band)
    alpha = holes(band) if transparent and scale else None
    if scale:
        band = _grey(band, *scale)
    if alpha is not None:
        band.putalpha(alpha)
    if transparent:
        return _reduced(_on_white(band, converted), factors)
    if converted is None:
        return _reduced(band.convert("RGB"), factors)
    plain = band if band.mode in {"L", "RGB", "CMYK"} else band.convert("RGB")
    return converted.apply(_reduced(plain, factors))  # fewer pixels to convert


def _reduced(image: Image, factors: Size) -> Image:
    return image.reduce(factors) if factors != (1, 1) else image


def _scale(image: Image) -> Scale:
    """(factor, offset) that bring wide grey to 0…255; None for a picture that has 8 bits already.

    Sixteen bits are divided by 257, and numbers from 0 to 1 multiplied by 255. Wider numbers have
    no agreed white: the picture's own darkest and brightest are taken for it.
    """
    if image.mode.startswith("I;16"):
        return 1 / 257, 0.0
    if image.mode not in {"I", "F"}:
        return None
    low, high = _extremes(image)
    for white in (1.0, 255.0, 65535.0) if image.mode == "F" else (255.0, 65535.0):
        if low >= 0 and high <= white:
            return 255 / white, 0.0
    return 255 / (high - low or 1), -low * 255 / (high - low or 1)


def _extremes(image: Image) -> tuple[float, float]:
    """Return the least and the largest of a picture's numbers, infinite ones left out."""
    import numpy as np

    numbers = np.asarray(image)  # (h, w)
    if image.mode == "F":
        numbers = numbers[np.isfinite(numbers)]  # (n,)
    return (float(numbers.min()), float(numbers.max())) if numbers.size else (0.0, 0.0)


def _grey(band: Image, factor: float, offset: float) -> Image:
    """Return wide grey as eight bits; what is no number is black."""
    import numpy as np
    from PIL import Image as Images

    levels = np.asarray(band).astype(np.float32)  # (h, w)
    levels *= factor
    levels += offset + 0.5
    np.nan_to_num(levels, copy=False)
    return Images.fromarray(levels.clip(0, 255).astype(np.uint8))


def on_white(image: Image) -> Image:
    """Return RGB, where the picture was transparent mixed with white."""
    return _on_white(image, None) if is_transparent(image) else image.convert("RGB")


def _on_white(image: Image, converted: Conversion | None) -> Image:
    from PIL import Image as Images

    see_through = to_rgba(image)
    if converted is not None:
        colours = converted.apply(see_through.convert("RGB"))
        colours.putalpha(see_through.getchannel("A"))
        see_through = colours
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
