"""What a TIFF file says of its samples, and who reads them.

Pillow reads the usual kinds, which `tests/images/test_tiff.py` holds it to. Other kinds it reads wrongly or
not at all: those are taken apart in `tiff_samples`. Everything else is refused in words, never guessed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lookalike.errors import ImageError

if TYPE_CHECKING:
    from collections.abc import Mapping

GREY_NEGATIVE, GREY, COLOURS, PALETTE, INKS, YCBCR, LAB, ICC_LAB = 0, 1, 2, 3, 5, 6, 8, 9
NONE, JPEG, WEBP = 1, 7, 50001
UNSIGNED, SIGNED, FLOAT = 1, 2, 3

_CHANNELS = {GREY_NEGATIVE: 1, GREY: 1, COLOURS: 3, PALETTE: 1, INKS: 4, YCBCR: 3, LAB: 3, ICC_LAB: 3}
_OTHER_COLOURS = {
    4: "a transparency mask",
    10: "ITU Lab colours",
    32803: "a sensor's raw samples",
    32844: "LogL samples",
    32845: "LogLuv samples",
    34892: "a sensor's linear samples",
}
_PLAIN = {NONE, 5, 8, 32773, 32946, 34925, 50000}  # give back the bytes that were put in
_WITH_PREDICTOR = {5, 8, 32946, 34925, 50000}
_FAX = {2, 3, 4}
_COMPRESSIONS = {
    6: "old-style JPEG",
    9: "JBIG",
    10: "JBIG",
    32766: "NeXT",
    32771: "CCITT RLE with words",
    32809: "ThunderScan",
    32909: "PixarLog",
    33003: "JPEG 2000",
    33005: "JPEG 2000",
    34661: "JBIG",
    34676: "LogLuv",
    34677: "LogLuv",
    34712: "JPEG 2000",
    34887: "LERC",
    34892: "lossy JPEG",
    50002: "JPEG XL",
    52546: "JPEG XL",
}
_JPEG_KINDS = {(GREY, 1), (COLOURS, 3), (YCBCR, 3), (INKS, 4)}
_READ = (
    *(256, 257, 258, 259, 262, 266, 273, 277, 278, 279, 284),
    *(317, 320, 322, 323, 324, 325, 332, 338, 339),
)  # tags
_MOST_SAMPLES = 256  # a pixel
_ALPHA = {1, 2, 999}  # kinds of extra samples; the last is what Corel Draw writes


@dataclass(frozen=True, slots=True)
class Layout:
    """How the samples of a TIFF file lie.

    width, height: in pixels, as stored.
    bits: of each sample.
    kind: UNSIGNED, SIGNED or FLOAT.
    samples: a pixel, extra ones included.
    colours: the photometric interpretation.
    extra: what each extra sample is: 1 alpha that colours are multiplied by, 2 alpha, 0 anything.
    columns, rows: of a tile, or of a strip.
    offsets, counts: where each strip or tile begins and how many bytes it has.
    """

    width: int
    height: int
    bits: int
    kind: int
    samples: int
    colours: int
    extra: tuple[int, ...]
    planar: bool
    compression: int
    predictor: int
    reversed_bits: bool
    big_endian: bool
    tiled: bool
    columns: int
    rows: int
    offsets: tuple[int, ...]
    counts: tuple[int, ...]
    palette: tuple[int, ...]

    @property
    def channels(self) -> int:
        """How many samples are the colour's own."""
        return _CHANNELS[self.colours]

    @property
    def alpha(self) -> int | None:
        """The position of the sample that is alpha."""
        return next((self.channels + at for at, kind in enumerate(self.extra) if kind in _ALPHA), None)

    @property
    def multiplied(self) -> bool:
        """Whether the colours were multiplied by alpha."""
        return self.alpha is not None and self.extra[self.alpha - self.channels] == 1

    @property
    def by_pillow(self) -> bool:
        """Whether Pillow reads this kind rightly."""
        kind = (self.colours, self.bits, self.extra)
        if self.kind != UNSIGNED or self.planar:
            return False
        if self.compression not in _PLAIN:
            return True  # others are refused before
        return kind in _BY_PILLOW and not self.reversed_bits


_BY_PILLOW = {
    *((colours, 1, ()) for colours in (GREY_NEGATIVE, GREY)),
    *((colours, 8, ()) for colours in (GREY_NEGATIVE, GREY, COLOURS, INKS, YCBCR, LAB)),
    *((GREY, 8, (kind,)) for kind in (0, 1, 2)),
    *((COLOURS, 8, (kind,)) for kind in (0, 1, 2)),
    *((colours, 16, ()) for colours in (GREY, COLOURS, INKS)),
    *((COLOURS, 16, (kind,)) for kind in (0, 1, 2)),
}


def read_layout(tags: Mapping[int, Any], *, big_endian: bool) -> Layout:
    """Read the tags of a picture.

    Raises:
        ImageError: they contradict each other, or belong to a kind that is not supported.
    """
    tags = {tag: tags[tag] for tag in _READ if tag in tags}  # once: Pillow takes a while for one not there
    width, height = _number(tags, 256, 0), _number(tags, 257, 0)
    samples = _number(tags, 277, 1)
    if not (width > 0 and height > 0 and 0 < samples <= _MOST_SAMPLES):
        raise ImageError("damaged TIFF: it has no size")
    compression, tiled = _number(tags, 259, NONE), 324 in tags
    colours = _colours(tags, samples, compression)
    layout = Layout(
        width=width,
        height=height,
        bits=_same(tags, 258, 1, "bits"),
        kind=UNSIGNED if colours in {LAB, ICC_LAB} else _kind(tags),
        samples=samples,
        colours=colours,
        extra=_extra(tags, samples - _CHANNELS[colours], colours),
        planar=_number(tags, 284, 1) == 2 and samples > 1,
        compression=compression,
        predictor=_number(tags, 317, 1) if compression in _WITH_PREDICTOR else 1,
        reversed_bits=_number(tags, 266, 1) == 2,
        big_endian=big_endian,
        tiled=tiled,
        columns=_number(tags, 322, 0) if tiled else width,
        rows=_number(tags, 323, 0) if tiled else min(_number(tags, 278, height), height),
        offsets=_numbers(tags, 324 if tiled else 273),
        counts=_numbers(tags, 325 if tiled else 279),
        palette=_numbers(tags, 320),
    )
    _require_supported(layout, tags)
    return layout


def _numbers(tags: Mapping[int, Any], tag: int) -> tuple[int, ...]:
    value = tags.get(tag, ())
    values = value if isinstance(value, tuple) else (value,)
    if isinstance(value, bytes):
        values = tuple(value)
    if not all(isinstance(number, int) and number >= 0 for number in values):
        raise ImageError(f"damaged TIFF: tag {tag} is no number")
    return values


def _number(tags: Mapping[int, Any], tag: int, default: int) -> int:
    return next(iter(_numbers(tags, tag)), default)


def _same(tags: Mapping[int, Any], tag: int, default: int, what: str) -> int:
    values = set(_numbers(tags, tag)) or {default}
    if len(values) > 1:
        raise _unsupported(f"samples of different {what}")
    return values.pop()


def _kind(tags: Mapping[int, Any]) -> int:
    kind = _same(tags, 339, UNSIGNED, "types")
    if kind in {5, 6}:
        raise _unsupported("complex numbers")
    return UNSIGNED if kind == 4 else kind  # 4: not said


def _colours(tags: Mapping[int, Any], samples: int, compression: int) -> int:
    """Return the photometric interpretation; where it is missing, what libtiff assumes."""
    missing = GREY_NEGATIVE if compression in _FAX else COLOURS if samples >= 3 else GREY
    colours = _number(tags, 262, missing)
    if colours in _OTHER_COLOURS:
        raise _unsupported(_OTHER_COLOURS[colours])
    if colours not in _CHANNELS:
        raise _unsupported(f"colours of kind {colours}")
    if samples < _CHANNELS[colours]:
        raise ImageError("damaged TIFF: it has fewer samples than colours")
    return colours


def _extra(tags: Mapping[int, Any], count: int, colours: int) -> tuple[int, ...]:
    """Return what the extra samples are; one that is not told is alpha, where that is usual."""
    told = _numbers(tags, 338)[:count]
    if count > 1 and not told:
        raise _unsupported(f"{count} samples beside the colours that it does not explain")
    untold = 2 if not told and count == 1 and colours in {GREY, GREY_NEGATIVE, COLOURS} else 0
    return told + (untold,) * (count - len(told))


def _require_supported(layout: Layout, tags: Mapping[int, Any]) -> None:
    _require_compression(layout)
    _require_samples(layout)
    if layout.colours == INKS and _number(tags, 332, 1) != 1:
        raise _unsupported("inks other than CMYK")
    if layout.colours == YCBCR and (layout.bits != 8 or layout.planar or layout.extra):
        raise _unsupported("YCbCr colours of this kind")
    if layout.colours in {LAB, ICC_LAB} and layout.bits not in {8, 16}:
        raise _unsupported(f"Lab colours of {layout.bits} bits")
    if layout.colours == PALETTE and (layout.kind != UNSIGNED or layout.bits > 16):
        raise _unsupported("a palette of such samples")
    if layout.colours == PALETTE and len(layout.palette) < 3 << layout.bits:
        raise ImageError("damaged TIFF: its palette is too short")
    if layout.rows < 1 or layout.columns < 1 or not layout.offsets:
        raise ImageError("damaged TIFF: it has no pixels")


def _require_compression(layout: Layout) -> None:
    kind = (layout.colours, layout.samples)
    if layout.compression in _PLAIN:
        return
    if layout.compression in _FAX and (layout.bits, layout.samples) == (1, 1) and layout.colours in {0, 1}:
        return
    if layout.compression == JPEG and layout.bits == 8 and not layout.planar and kind in _JPEG_KINDS:
        return
    name = {JPEG: "JPEG", WEBP: "WebP", **dict.fromkeys(_FAX, "CCITT"), **_COMPRESSIONS}.get(
        layout.compression
    )
    raise _unsupported(f"samples compressed by {name or f'method {layout.compression}'}")


def _require_samples(layout: Layout) -> None:
    bits = layout.bits
    if layout.kind == FLOAT and bits not in {16, 32, 64}:
        raise _unsupported(f"floating-point numbers of {bits} bits")
    if layout.kind not in {UNSIGNED, SIGNED, FLOAT} or not (1 <= bits <= 32 or bits == 64):
        raise _unsupported(f"samples of {bits} bits")
    if layout.kind == SIGNED and bits not in {8, 16, 32, 64}:
        raise _unsupported(f"signed numbers of {bits} bits")
    if bits == 24 and not layout.big_endian:
        raise _unsupported("little-endian numbers of 24 bits, whose bytes writers order differently")
    if layout.predictor not in {1, 2, 3} or (layout.predictor == 3 and layout.kind != FLOAT):
        raise _unsupported(f"predictor {layout.predictor}")
    if layout.predictor == 2 and bits not in {8, 16, 32, 64}:
        raise _unsupported(f"differences of {bits} bits")


def _unsupported(what: str) -> ImageError:
    return ImageError(f"TIFF with {what}, which is not supported")
