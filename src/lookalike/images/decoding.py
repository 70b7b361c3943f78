"""From the bytes of a picture to an upright RGB picture, at the size that will be looked at."""

from __future__ import annotations

from dataclasses import dataclass, replace
from io import BytesIO
from typing import TYPE_CHECKING, Any

from lookalike.errors import ImageError
from lookalike.images import chunks, durations, raws, truncation
from lookalike.images.colours import BAND, on_white, to_rgb, upright
from lookalike.images.embedded import profiles_of_file
from lookalike.images.exif import Exif, read_exif
from lookalike.images.formats import open_header, reason
from lookalike.images.limits import MEMORY, ImageLimits, require_bytes, require_memory, require_pixels
from lookalike.images.recognition import RAW, recognise

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    from numpy.typing import NDArray
    from PIL.Image import Image

    from lookalike.images.regions import Box
    from lookalike.types import Value

    Size = tuple[int, int]
    Region = tuple[int, int, int, int]

DECODER = 1
"""The version of what is done here: a picture may look different to another one."""

THUMBNAIL_SIDE = 256  # pixels
_SCAN = b"\xff\xda"
_GAP = 4  # a picture is reduced to no less than this many times the size asked for

# Bytes a pixel while decoding: Pillow keeps 1 for these modes, 2 for 16-bit grey, 4 for all others …
_PIXEL_BYTES = {"1": 1, "L": 1, "P": 1, "I;16": 2, "I;16B": 2, "I;16L": 2}
# … and these decoders keep planes and frames of their own beside it.
_DECODER_BYTES = {"WebP": 11, "AVIF": 8, "HEIC": 8}


@dataclass(frozen=True, slots=True)
class Decoded:
    """A picture, and what its file says of it.

    image: RGB, upright; reduced, if it was decoded for a size.
    width, height: in pixels, upright, before any reduction.
    facts: what it says of itself, as far as it does: `taken` (`YYYY-MM-DDTHH:MM:SS`), `camera`, `lens`,
        `latitude` and `longitude` in degrees.
    format: `JPEG`, `PNG`, `WebP`, `GIF`, `BMP`, `TIFF`, `AVIF`, `HEIC`, or `RAW`: then it is the preview.
    note: what is missing of it, in words, where that was not too much.
    """

    image: Image
    width: int
    height: int
    facts: Mapping[str, Value]
    format: str
    note: str = ""


def decode(
    source: bytes, *, size: Size | None = None, limits: ImageLimits | None = None, box: Box | None = None
) -> Decoded:
    """Decode a picture, whatever its file is called.

    Colours are converted to sRGB by the picture's profile, EXIF orientation is applied, transparency
    becomes white, 16-bit grey is scaled, of an animation the first frame is taken.

    Args:
        source: the bytes of the file.
        size: (width, height) that will be looked at. A larger picture may then come reduced, but
            never below this size in either direction: a JPEG by the decoder, which is many times
            faster, any other by whole factors down to four times this size.
        limits: refused beyond these; `ImageLimits.from_environment()` by default.
        box: the region of the upright picture that is wanted, of which `size` is then said, and which
            `width` and `height` of the answer measure; None for all of it.

    Raises:
        ImageError: not a picture, a broken one, one over the limits, or a box that lies outside of it; the
            message says which.
    """
    limits = limits or ImageLimits.from_environment()
    require_bytes(len(source), limits)
    kind = recognise(source)
    try:
        if kind == RAW:
            return _decode_raw(source, size, limits, box)
        return _decode(source, kind, size, limits, box)
    except ImageError:
        raise
    except MemoryError:
        raise ImageError(f"not enough memory to open this {kind}") from None
    except Exception as error:  # Pillow's plugins raise whatever their parsers run into
        raise ImageError(reason(error, kind)) from error


def from_array(array: NDArray[np.generic]) -> Image:
    """An ndarray of shape (h, w, 3), (h, w, 4) or (h, w), uint8, as an RGB picture.

    Raises:
        ImageError: another shape or type.
    """
    from PIL import Image

    shape, kind = tuple(array.shape), str(array.dtype)
    if len(shape) not in {2, 3} or 0 in shape or (len(shape) == 3 and shape[2] not in {3, 4}):
        raise ImageError(f"an array of shape {shape} is no picture: expected (h, w, 3), (h, w, 4) or (h, w)")
    if kind != "uint8":
        hint = "; numbers from 0 to 1: (array * 255).astype('uint8')" if kind.startswith("float") else ""
        raise ImageError(f"an array of {kind} is no picture: expected uint8, 0 to 255{hint}")
    return on_white(Image.fromarray(array))


def thumbnail(image: Image, *, side: int = THUMBNAIL_SIDE, quality: int = 82) -> bytes:
    """A small JPEG of an RGB picture, its longer side `side` pixels at most."""
    from PIL import Image

    scale = min(1.0, side / max(image.size))
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    small = image if size == image.size else image.resize(size, Image.Resampling.LANCZOS, reducing_gap=3)
    out = BytesIO()
    small.save(out, "JPEG", quality=quality, optimize=True)
    return out.getvalue()


def _decode_raw(source: bytes, size: Size | None, limits: ImageLimits, box: Box | None) -> Decoded:
    """What the preview shows, by what the raw file says of it."""
    content, exif = raws.preview(source)
    return replace(_decode(content, "JPEG", size, limits, box, exif), format=RAW)


def _decode(
    source: bytes,
    kind: str,
    size: Size | None,
    limits: ImageLimits,
    box: Box | None = None,
    exif: Exif | None = None,
) -> Decoded:
    durations.require_few_parts(kind, source)
    stream = BytesIO(source)
    image: Any = open_header(kind, source, stream)
    width, height = image.size
    exif = exif or _exif(image, kind, source)
    orientation = 1 if _turns_itself(image, kind) else exif.orientation
    turned = orientation >= 5
    shape = (height, width) if turned else (width, height)
    region = None if box is None else box.pixels(*shape)
    size = _whole_size(size, shape, region)
    wanted = size[::-1] if size and turned else size
    reduces = kind == "JPEG" and wanted is not None
    require_pixels(width, height, limits.max_jpeg_pixels if reduces else limits.max_pixels)
    need, scans = len(source), 0
    if kind == "JPEG":
        coefficients = _coefficient_bytes(image, source, stream.tell())
        need += coefficients
        scans = source.count(_SCAN) if coefficients else 0
    durations.require_time(image, kind, source, limits, scans=scans)
    if kind == "JPEG":
        image.draft(None, wanted)
    factors = _factors(image.size, wanted)
    need += _pixel_bytes(image, kind, factors)
    require_memory(need, limits)
    with MEMORY.hold(need, limits.max_memory):
        image, note = truncation.load(image, kind, source, wanted)
        picture = upright(to_rgb(image, factors, profiles_of_file(kind, source, image.info)), orientation)
    if region is not None:
        picture = _cut(picture, shape, region)
        shape = region[2:]
    return Decoded(picture, *shape, exif.facts(), kind, note)


def _whole_size(size: Size | None, shape: Size, region: Region | None) -> Size | None:
    """The size that the whole picture may come reduced to, so that its region does not fall below `size`."""
    if size is None or region is None:
        return size
    across, down = (-(-size[i] * shape[i] // region[2 + i]) for i in (0, 1))
    return across, down


def _cut(picture: Image, shape: Size, region: Region) -> Image:
    """A region of a picture, which may have come reduced; at least one pixel of it."""
    left, top, width, height = region
    across, down = picture.width / shape[0], picture.height / shape[1]
    x, y = min(round(left * across), picture.width - 1), min(round(top * down), picture.height - 1)
    right, bottom = max(x + 1, round((left + width) * across)), max(y + 1, round((top + height) * down))
    return picture.crop((x, y, right, bottom))


def _turns_itself(image: Any, kind: str) -> bool:
    """Whether the decoder turns a picture: libheif does, Pillow's TIFF reader by a tag that is a number."""
    if kind == "TIFF":
        image.info.pop("xmp", None)  # by which Pillow would turn it, too
        return isinstance(image.tag_v2.get(0x0112), int)
    return kind == "HEIC"


def _exif(image: Any, kind: str, source: bytes) -> Exif:
    if kind == "TIFF":
        return read_exif(source)
    if kind == "PNG":
        return chunks.read_exif(source)
    return read_exif(image.info.get("exif") or b"")


def _coefficient_bytes(image: Any, source: bytes, scan: int) -> int:
    """What libjpeg holds of a JPEG in several scans: two bytes for each sample of the full size."""
    planes = len(image.layer)
    length = 6 + 2 * planes  # of the header of a scan that has every plane; `scan` is where it ends
    in_one_scan = source[scan - length : scan].startswith(bytes([0, length, planes]))
    several = "progressive" in image.info or not in_one_scan
    samples = [across * down for _, across, down, _ in image.layer]
    coefficients: int = image.width * image.height * sum(samples) // max(samples, default=1)
    return 2 * coefficients if several else 0


def _factors(have: Size, wanted: Size | None) -> Size:
    """Whole factors to reduce by, across and down."""
    if wanted is None:
        return 1, 1
    return max(1, have[0] // (_GAP * wanted[0])), max(1, have[1] // (_GAP * wanted[1]))


def _pixel_bytes(image: Image, kind: str, factors: Size) -> int:
    pixels = image.width * image.height
    each = _PIXEL_BYTES.get(image.mode, 4) + _DECODER_BYTES.get(kind, 0)
    kept = pixels // (factors[0] * factors[1])
    band = min(pixels, max(BAND, image.width * factors[1]))
    working: int = getattr(image, "working_bytes", 0)
    return working + pixels * each + 2 * 4 * kept + 12 * band  # kept twice: turning it upright makes a copy
