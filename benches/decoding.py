"""How long pictures of every format take to decode, by pixel and by byte; a baseline PNG stands first.

    python benches/decoding.py [--side PIXELS]

`noise` has as many bytes as there can be, `smooth` as few as are usual. The last ones are the kinds that take
long for their size: a bitmap of run lengths, and a JPEG that goes over its pixels again and again.
"""

from __future__ import annotations

import argparse
import struct
import time
from io import BytesIO
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from lookalike.images import ImageLimits, decode

if TYPE_CHECKING:
    from collections.abc import Iterator

_LIMITS = ImageLimits(max_pixels=1 << 30, max_memory=8 << 30, max_seconds=3_600)
_FORMATS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("PNG", {"compress_level": 1}),
    ("JPEG", {"quality": 95}),
    ("JPEG", {"quality": 95, "progressive": True}),
    ("WebP", {"lossless": True, "method": 0}),
    ("WebP", {"method": 0}),
    ("AVIF", {"speed": 10}),
    ("GIF", {}),
    ("BMP", {}),
    ("TIFF", {"compression": "tiff_lzw"}),
    ("TIFF", {"compression": "tiff_adobe_deflate"}),
)


def main() -> None:
    """Print a line for each kind of picture."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--side", type=int, default=2_000)
    side = parser.parse_args().side
    baseline = None
    for name, source in _pictures(side):
        started = time.process_time()
        decode(source, limits=_LIMITS)
        seconds = time.process_time() - started
        baseline = baseline or seconds
        print(
            f"{name:34} {len(source) / 1e6:6.2f} MB {1e9 * seconds / side**2:8.1f} ns a pixel "
            f"{1e9 * seconds / len(source):10.1f} ns a byte {seconds / baseline:6.2f} x"
        )


def _pictures(side: int) -> Iterator[tuple[str, bytes]]:
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 255, (side, side, 3), np.uint8))
    smooth = noise.resize((40, 40)).resize((side, side))
    for image, kind in ((noise, "noise"), (smooth, "smooth")):
        for form, options in _FORMATS:
            said = ", ".join(f"{key} {value}" for key, value in options.items())
            yield f"{form} {kind} {said}", _encoded(image, form, options)
    for what, body in (("of single pixels", b"\1\7" * side + b"\0\0"), ("filled up", b"\0\2\1\0\0\0")):
        yield f"BMP run lengths {what}", _run_lengths(side, body * side + b"\0\1")
    source = _encoded(smooth, "JPEG", {"progressive": True})
    yield "JPEG of 100 more scans", source[:-2] + source[source.rindex(b"\xff\xda") : -2] * 100 + b"\xff\xd9"


def _encoded(image: Image.Image, form: str, options: dict[str, Any]) -> bytes:
    out = BytesIO()
    (image.convert("P") if form == "GIF" else image).save(out, form, **options)
    return out.getvalue()


def _run_lengths(side: int, body: bytes) -> bytes:
    palette = bytes(1024)
    place = 54 + len(palette)
    head = struct.pack("<IiiHHIIiiII", 40, side, side, 1, 8, 1, len(body), 0, 0, 0, 0)
    return b"BM" + struct.pack("<IHHI", place + len(body), 0, 0, place) + head + palette + body


if __name__ == "__main__":
    main()
