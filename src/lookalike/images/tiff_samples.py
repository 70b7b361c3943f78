"""The samples of TIFF files that Pillow does not read rightly, as eight bits.

libtiff undoes the compression: it is given each part of the file as a grey picture of bytes. What the bytes
mean is told by the layout: numbers of any width, sign and order, in one plane or several.
"""

from __future__ import annotations

import struct
from io import BytesIO
from typing import TYPE_CHECKING, TypeAlias

from lookalike.errors import ImageError
from lookalike.images.tiff_layout import (
    FLOAT,
    GREY,
    GREY_NEGATIVE,
    ICC_LAB,
    INKS,
    LAB,
    NONE,
    PALETTE,
    SIGNED,
    YCBCR,
    Layout,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np
    from numpy.typing import NDArray
    from PIL.Image import Image

    Bytes: TypeAlias = NDArray[np.uint8]
    Samples: TypeAlias = NDArray[np.generic]

_BAND = 1 << 20  # samples taken apart at a time
_BAND_BYTES = 48  # that each of them takes meanwhile
_SHARED = 4  # times the length of the file; blank tiles may be kept once
_REVERSED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


def mode_of(layout: Layout) -> str:
    """Return Pillow's mode of the picture that `read_samples` gives."""
    if layout.colours == INKS:
        return "CMYK"
    if layout.colours in {LAB, ICC_LAB}:
        return "LAB"
    grey = layout.colours in {GREY, GREY_NEGATIVE}
    if layout.alpha is None:
        return "L" if grey else "RGB"
    return ("L" if grey else "RGB") + ("a" if layout.multiplied else "A")


def segment_bytes(layout: Layout) -> int:
    """Return what libtiff takes for a strip or tile that Pillow has it read."""
    if layout.compression == NONE and layout.colours != YCBCR:
        return 0
    converted = 4 * layout.columns if layout.colours == YCBCR else 0
    return layout.rows * (_row_bytes(layout) + converted)


def working_bytes(layout: Layout) -> int:
    """Return what reading takes beside the file and the picture."""
    across = -(-layout.width // layout.columns)
    packed = _group(layout) * layout.rows * across * _row_bytes(layout) * len(_planes(layout))
    row = layout.width * layout.samples
    return (0 if _in_place(layout) else 3 * packed) + _BAND_BYTES * max(_BAND, row)


def steps(layout: Layout) -> int:
    """Return how many samples are taken apart here; those of widths unlike a computer's count five times."""
    if layout.by_pillow:
        return 0
    planes = len(_planes(layout)) if layout.planar else layout.samples
    return layout.width * layout.height * planes * (1 if layout.bits in {8, 16, 32, 64} else 5)


def _in_place(layout: Layout) -> bool:
    """Whether a large strip is looked at where it is in the file."""
    return layout.compression == NONE and not layout.tiled and not layout.reversed_bits


def _planes(layout: Layout) -> list[int]:
    """Return the planes that have to be read."""
    if not layout.planar:
        return [0]
    return list(range(layout.channels)) + ([] if layout.alpha is None else [layout.alpha])


def read_samples(layout: Layout, source: bytes) -> Image:
    """Return the picture, as stored: not turned upright.

    Numbers become 0 to 255: unsigned ones from 0 to the largest of their width, signed ones from the least
    to the largest, floating-point ones from 0 to 1, clipped; what is no number is black. Floating-point
    pictures of whole numbers, none negative and some above 1, hold 8 or 16 bits.
    """
    import numpy as np
    from PIL import Image as Images

    _require_apart(layout, source)
    out = Images.new(mode_of(layout), (layout.width, layout.height))
    with np.errstate(all="ignore"):  # of numbers that are none
        white = _white(layout, source)
        for top, samples in _bands(layout, source):
            band = _shown(layout, samples, white)  # (rows, w, n)
            if out.mode == "LAB":
                band[..., 1:] ^= 128  # Pillow takes a and b with their sign
            part = Images.frombytes(out.mode, (layout.width, len(band)), band.tobytes())
            out.paste(part, (0, top))
    return out


def _require_apart(layout: Layout, source: bytes) -> None:
    """Refuse a file that names the same compressed bytes again and again: those would fill memory."""
    if layout.compression != NONE and sum(layout.counts) > _SHARED * len(source):
        raise ImageError("damaged TIFF: its strips or tiles claim more bytes than the file has")


def _bands(layout: Layout, source: bytes) -> Iterator[tuple[int, Samples]]:
    """Yield the first row of each band, and its colours (rows, w, n), with alpha behind them if there is."""
    rows = max(1, _BAND // (layout.width * layout.samples))
    for top, planes in _parts(layout, source):
        height = min(len(planes[0]), layout.height - top)
        for first in range(0, height, rows):
            last = min(first + rows, height)
            yield top + first, _joined([_numbers(layout, plane[first:last]) for plane in planes], layout)


def _joined(planes: list[Samples], layout: Layout) -> Samples:
    import numpy as np

    joined = planes[0] if len(planes) == 1 else np.concatenate(planes, axis=-1)
    if not layout.planar and layout.extra:
        looked_at = [*range(layout.channels), *([] if layout.alpha is None else [layout.alpha])]
        joined = joined[..., looked_at]
    return joined[:, : layout.width]


def _group(layout: Layout) -> int:
    """Return how many rows of strips or tiles are unpacked at a time."""
    return max(1, 4 * _BAND // (_row_bytes(layout) * -(-layout.width // layout.columns) * layout.rows))


def _row_bytes(layout: Layout) -> int:
    """Return the bytes of a row of one strip or tile, of one plane."""
    return -(-layout.columns * (1 if layout.planar else layout.samples) * layout.bits // 8)


def _parts(layout: Layout, source: bytes) -> Iterator[tuple[int, list[Bytes]]]:
    """Yield the first row of some strips or tiles, and each plane's bytes (rows, across, row_bytes)."""
    across, down = -(-layout.width // layout.columns), -(-layout.height // layout.rows)
    if len(layout.offsets) < across * down * (layout.samples if layout.planar else 1):
        raise ImageError("truncated TIFF")
    group = _group(layout)
    for first in range(0, down, group):
        last = min(first + group, down)
        top, bottom = first * layout.rows, last * layout.rows
        height = (bottom if layout.tiled else min(bottom, layout.height)) - top
        numbers = [
            range((plane * down + first) * across, (plane * down + last) * across)
            for plane in _planes(layout)
        ]
        yield top, [_unpacked(layout, source, segments, height, across) for segments in numbers]


def _unpacked(layout: Layout, source: bytes, segments: range, height: int, across: int) -> Bytes:
    """Return the bytes (height, across, row_bytes) of strips or tiles of one plane."""
    import numpy as np

    width = _row_bytes(layout)
    if layout.compression != NONE:
        pieces = [_compressed(layout, source, segment) for segment in segments]
        return _by_libtiff(layout, pieces, (width * across, height)).reshape(height, across, width)
    rows = [min(layout.rows, height - at // across * layout.rows) for at in range(len(segments))]
    if len(rows) == 1 and _in_place(layout):
        return _looked_at(source, layout.offsets[segments[0]], rows[0] * width).reshape(height, 1, width)
    content = b"".join(
        _piece(source, layout.offsets[segment], count * width)
        for segment, count in zip(segments, rows, strict=True)
    )
    if layout.reversed_bits:
        content = content.translate(_REVERSED)
    stored = np.frombuffer(content, np.uint8)
    if across == 1:
        return stored.reshape(height, 1, width)
    tiles = stored.reshape(-1, across, layout.rows, width)
    return tiles.transpose(0, 2, 1, 3).reshape(height, across, width)


def _compressed(layout: Layout, source: bytes, segment: int) -> bytes:
    if segment >= len(layout.counts):
        raise ImageError("damaged TIFF: it does not say how long its parts are")
    return _piece(source, layout.offsets[segment], layout.counts[segment])


def _piece(source: bytes, offset: int, size: int) -> bytes:
    piece = source[offset : offset + size]
    if len(piece) < size or not size:
        raise ImageError("truncated TIFF")
    return piece


def _looked_at(source: bytes, offset: int, size: int) -> Bytes:
    import numpy as np

    if offset + size > len(source):
        raise ImageError("truncated TIFF")
    return np.frombuffer(source, np.uint8, size, offset)


def _by_libtiff(layout: Layout, pieces: list[bytes], size: tuple[int, int]) -> Bytes:
    """Return compressed strips or tiles as the rows of a grey picture of bytes."""
    import numpy as np
    from PIL.TiffImagePlugin import TiffImageFile

    with TiffImageFile(BytesIO(_file(layout, pieces, size))) as image:
        return np.asarray(image)


def _file(layout: Layout, pieces: list[bytes], size: tuple[int, int]) -> bytes:
    offsets, at = [], 8
    for piece in pieces:
        offsets.append(at)
        at += len(piece)
    lists = struct.pack(f"<{2 * len(pieces)}I", *offsets, *map(len, pieces))
    where = [at, at + 4 * len(pieces)] if len(pieces) > 1 else [offsets[0], len(pieces[0])]
    shape = {322: _row_bytes(layout), 323: layout.rows} if layout.tiled else {278: layout.rows}
    tags = {256: size[0], 257: size[1], 258: 8, 259: layout.compression, 262: 1, 277: 1, **shape}
    tags[266] = 2 if layout.reversed_bits else 1
    entries = {tag: struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags.items()}
    for tag, value in zip((324, 325) if layout.tiled else (273, 279), where, strict=True):
        entries[tag] = struct.pack("<HHII", tag, 4, len(pieces), value)
    directory = struct.pack("<H", len(entries)) + b"".join(entries[tag] for tag in sorted(entries))
    head = b"II*\0" + struct.pack("<I", at + len(lists))
    return b"".join([head, *pieces, lists, directory, bytes(4)])


def _numbers(layout: Layout, stored: Bytes) -> Samples:
    """Return the samples (rows, across * columns, n) of bytes (rows, across, row_bytes) of one plane."""
    import numpy as np

    count = 1 if layout.planar else layout.samples
    rows, across = stored.shape[:2]
    shape = rows, across, layout.columns, count
    if layout.predictor == 3:
        numbers = _float_differences(layout, stored, count)
    elif layout.bits in {8, 16, 32, 64}:
        order = ">" if layout.big_endian else "<"
        stored = np.ascontiguousarray(stored)
        numbers = stored.view(f"{order}u{layout.bits // 8}").reshape(shape)
        numbers = numbers.astype(numbers.dtype.newbyteorder("="), copy=False)
        if layout.predictor == 2:
            numbers = np.cumsum(numbers, axis=2, dtype=numbers.dtype)
    else:
        numbers = _odd(layout, stored, layout.columns * count)
    return _signed(layout, numbers).reshape(rows, across * layout.columns, count)


def _float_differences(layout: Layout, stored: Bytes, count: int) -> Samples:
    """Undo the predictor of floating-point numbers (Adobe's Technical Note 3 on TIFF)."""
    import numpy as np

    rows, across = stored.shape[:2]
    size = layout.bits // 8
    sums = np.cumsum(stored.reshape(rows, across, -1, count), axis=2, dtype=np.uint8)
    numbers = sums.reshape(rows, across, size, -1).swapaxes(2, 3)  # (rows, across, columns * n, size)
    return np.ascontiguousarray(numbers).view(f">u{size}").astype(f"=u{size}")


def _odd(layout: Layout, stored: Bytes, count: int) -> Samples:
    """Return numbers (rows, across, count) of widths that are no computer's own, bit by bit."""
    import numpy as np

    rows, across = stored.shape[:2]
    digits = np.unpackbits(stored, axis=-1, count=count * layout.bits)
    room = 16 if layout.bits <= 16 else 32
    wide = np.zeros((rows, across, count, room), np.uint8)
    wide[..., room - layout.bits :] = digits.reshape(rows, across, count, layout.bits)
    return np.packbits(wide, axis=-1).view(f">u{room // 8}").astype(f"=u{room // 8}")


def _signed(layout: Layout, numbers: Samples) -> Samples:
    """Return unsigned numbers as what they are."""
    if layout.kind == FLOAT:
        return numbers.view(f"=f{layout.bits // 8}")
    return numbers


def _white(layout: Layout, source: bytes) -> float:
    """Return what is white in a floating-point picture: 1, or 255 or 65535 where all numbers are whole."""
    import numpy as np

    largest = 1.0
    if layout.kind != FLOAT:
        return largest
    for _, samples in _bands(layout, source):
        numbers = samples.astype(np.float64)
        if not (np.isfinite(numbers) & (numbers >= 0) & (numbers == np.floor(numbers))).all():
            return 1.0
        largest = max(largest, float(numbers.max()))
    return next((white for white in (1.0, 255.0, 65535.0) if largest <= white), 1.0)


def _levels(layout: Layout, samples: Samples, white: float) -> Bytes:
    """Return samples of any kind as 0 to 255."""
    import numpy as np

    if layout.kind == FLOAT:
        numbers = np.nan_to_num(samples.astype(np.float64), nan=0.0)
        return (numbers.clip(0, white) * (255 / white) + 0.5).astype(np.uint8)
    top = (1 << layout.bits) - 1
    if layout.kind == SIGNED:  # of two's complement: half the range further on, it is counted from the least
        samples = samples.astype(np.uint64) + np.uint64(1 << (layout.bits - 1)) & np.uint64(top)
    return (samples.astype(np.float64) * (255 / top) + 0.5).astype(np.uint8)


def _shown(layout: Layout, samples: Samples, white: float) -> Bytes:
    """Return a band (rows, w, n) in the picture's mode."""
    import numpy as np

    colours = _colours(layout, samples[..., : layout.channels], white)
    if layout.alpha is None:
        return colours
    alpha = _levels(layout, samples[..., layout.channels :], white)
    if mode_of(layout) in {"CMYK", "LAB"}:
        return _on_paper(layout, colours, alpha)
    return np.concatenate([colours, alpha], axis=-1)


def _colours(layout: Layout, samples: Samples, white: float) -> Bytes:
    import numpy as np

    if layout.colours == PALETTE:
        entries = np.array(layout.palette[: 3 << layout.bits], np.float64).reshape(3, -1).T  # (2**bits, 3)
        table = entries if entries.max() < 256 else entries / 257  # maps of 8 bits are common
        return (table + 0.5).astype(np.uint8)[samples[..., 0].astype(np.intp)]
    if layout.colours in {LAB, ICC_LAB}:
        return _lab(layout, samples)
    levels = _levels(layout, samples, white)
    return 255 - levels if layout.colours == GREY_NEGATIVE else levels


def _lab(layout: Layout, samples: Samples) -> Bytes:
    """Return L from 0 to 255, and a and b with 128 for none."""
    import numpy as np

    wide = samples.astype(np.float64) / (257 if layout.bits == 16 else 1)
    if layout.bits == 16 and layout.colours == ICC_LAB:
        wide = samples / np.array([65280 / 255, 256, 256])
    elif layout.bits == 16:
        wide[..., 1:] = samples[..., 1:].astype(np.int16) / 256
    elif layout.colours == LAB:
        wide[..., 1:] = samples[..., 1:].astype(np.int8)
    if layout.colours == LAB:
        wide[..., 1:] += 128
    return (wide + 0.5).clip(0, 255).astype(np.uint8)


def _on_paper(layout: Layout, colours: Bytes, alpha: Bytes) -> Bytes:
    """Return inks, or Lab colours, as they look on white paper through alpha."""
    import numpy as np

    paper = np.array([0, 0, 0, 0] if layout.colours == INKS else [255, 128, 128], np.float64)
    share = np.ones(1) if layout.multiplied else alpha / 255
    mixed = colours * share + paper * (1 - alpha / 255)
    return (mixed + 0.5).clip(0, 255).astype(np.uint8)
