"""What a picture lets through, where Pillow's own conversions do not tell it right."""

from __future__ import annotations

import struct
import zlib
from functools import cache
from io import BytesIO
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray
    from PIL.Image import Image

_KEPT = {b"tRNS", b"acTL", b"fcTL", b"fdAT", b"eXIf"}
_LEVELS = {"L;2": 85, "L;4": 17}  # between two greys of so many bits, once they are eight
_OPAQUE = {"CMYK", "F", "HSV", "LAB", "RGBX", "YCbCr"}  # whatever an entry of `info` still says


def is_transparent(image: Image) -> bool:
    """Whether a picture has alpha, or a colour that is transparent."""
    return image.mode not in _OPAQUE and image.has_transparency_data


def to_rgba(image: Image) -> Image:
    """Return a picture as RGBA, which `is_transparent`, and has eight bits where it is not grey."""
    if image.mode == "La":
        return image.convert("LA").convert("RGBA")
    colour = image.info.get("transparency")
    if image.mode == "RGB" and isinstance(colour, tuple) and max(colour) > 255:  # of sixteen bits
        image = image.copy()
        image.info["transparency"] = tuple(value >> 8 for value in colour)
    return image.convert("RGBA")


def holes(image: Image) -> Image:
    """Return the alpha (mode L) of wide grey, one level of which is transparent."""
    import numpy as np
    from PIL import Image as Images

    opaque = np.asarray(image) != image.info["transparency"]  # (h, w)
    return Images.fromarray(opaque.astype(np.uint8) * 255)


def settle(image: Any) -> None:
    """Bring the transparent grey of a PNG that is not loaded yet to the eight bits its pixels will have."""
    tiles = getattr(image, "tile", None)  # of a file, until it is loaded
    raw = tiles[0].args if tiles else None
    if raw in _LEVELS and "transparency" in image.info:
        image.info["transparency"] *= _LEVELS[raw]


def open_png(source: bytes, stream: BytesIO) -> Image:
    """Read the header of a PNG file; what is wrong with chunks that tell no pixels does not matter."""
    try:
        return _open_png(stream)
    except (SyntaxError, ValueError, IndexError, struct.error):
        return _open_png(BytesIO(_bare(source)))


def _open_png(stream: BytesIO) -> Image:
    from PIL.PngImagePlugin import PngImageFile

    stream.seek(0)
    image = PngImageFile(stream)
    if image.tile and image.tile[0].args == "RGB;16B" and "transparency" in image.info:
        stream.seek(0)
        return _deep_png()(stream)
    settle(image)
    return image


def _bare(source: bytes) -> bytes:
    """Return a PNG file without the chunks that Pillow might stumble over and a decoder may leave out."""
    parts, at = [source[:8]], 8
    while at + 8 <= len(source):
        length, name = struct.unpack_from(">I4s", source, at)
        part = source[at : at + 12 + length]
        sound = part[8 + length :] == struct.pack(">I", zlib.crc32(part[4 : 8 + length]))
        if name[:1].isupper() or (name in _KEPT and sound):
            parts.append(part)
        at += 12 + length
    return b"".join(parts)


@cache
def _deep_png() -> Callable[[BytesIO], Image]:
    import numpy as np
    from PIL import Image as Images
    from PIL.PngImagePlugin import PngImageFile

    class DeepPng(PngImageFile):
        """Compares all sixteen bits with the transparent colour, of which Pillow keeps eight."""

        @property
        def working_bytes(self) -> int:
            """Bytes for the other eight bits, and for what is compared."""
            return 12 * self.width * self.height

        def load(self) -> Any:
            if self.tile:
                opaque = self._differs(self.info.pop("transparency"))
                self.putalpha(Images.fromarray(opaque.astype(np.uint8) * 255))
            return super().load()

        def _differs(self, colour: tuple[int, ...]) -> NDArray[np.bool_]:  # (h, w)
            stream: Any = self.fp
            low = PngImageFile(BytesIO(stream.getvalue()))
            low.tile = [tile._replace(args="RGB;16L") for tile in low.tile]  # what is low comes first
            lower = np.asarray(low) != [value & 255 for value in colour]  # (h, w, 3)
            super().load()
            upper = np.asarray(self) != [value >> 8 for value in colour]  # (h, w, 3)
            differs: NDArray[np.bool_] = (lower | upper).any(-1)
            return differs

    return DeepPng


@cache
def gif_class() -> Callable[[BytesIO], Image]:
    """Return the class that reads GIF files."""
    from PIL import Image as Images
    from PIL.GifImagePlugin import GifImageFile

    class Gif(GifImageFile):
        """Leaves transparent what the first frame does not cover."""

        def load(self) -> Any:
            box = self.tile[0].extents if self.tile else None
            super().load()
            if box is not None and box != (0, 0, *self.size):
                canvas = Images.new("RGBA", self.size)
                canvas.paste(self.crop(box).convert("RGBA"), box[:2])
                self._become(canvas)
            return super().load()

        @property
        def working_bytes(self) -> int:
            """Bytes for the canvas, where there is one."""
            partial = self.tile and self.tile[0].extents != (0, 0, *self.size)
            return 8 * self.width * self.height if partial else 0

        def _become(self, canvas: Image) -> None:
            self._mode, self.im, self.palette = "RGBA", canvas.im, None
            self.info.pop("transparency", None)

    return Gif
