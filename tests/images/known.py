"""Pictures whose pixels are known, and files of them made by hand."""

from __future__ import annotations

import struct
import zlib
from io import BytesIO

import numpy as np
from PIL import Image, ImageDraw

CORNERS = ((200, 40, 40), (40, 180, 60), (50, 60, 200), (230, 200, 40))
GREYS = (88, 124, 73, 191)
"""The same as grey, by the weights of ITU-R 601-2."""


def quarters(size=(64, 48)):
    """A picture whose quarters are the colours of CORNERS."""
    image, (width, height) = Image.new("RGB", size), size
    draw = ImageDraw.Draw(image)
    places = ((0, 0), (width // 2, 0), (0, height // 2), (width // 2, height // 2))
    for (left, top), colour in zip(places, CORNERS, strict=True):
        draw.rectangle((left, top, left + width // 2 - 1, top + height // 2 - 1), fill=colour)
    return image


def corners(image):
    """The colours in the middle of the four quarters."""
    width, height = image.size
    return [image.getpixel((x * width // 4, y * height // 4)) for y in (1, 3) for x in (1, 3)]


def distance(found, expected):
    """The largest difference of colours, a single number standing for a grey."""
    wanted = [(colour,) * 3 if isinstance(colour, int) else colour for colour in expected]
    return int(np.abs(np.array(found, int) - np.array(wanted, int)).max())


def saved(image, form, **options):
    """The bytes of a picture's file."""
    out = BytesIO()
    image.save(out, form, **options)
    return out.getvalue()


def chunk(name, content):
    """A chunk of a PNG file."""
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def with_chunks(source, *chunks):
    """A PNG file with more chunks after its header."""
    return source[:33] + b"".join(chunk(name, content) for name, content in chunks) + source[33:]


def grey_profile(gamma):
    """An ICC profile of greys: light is the code's power."""
    curve = b"curv\0\0\0\0" + struct.pack(">IH", 1, round(gamma * 256)) + b"\0\0"
    white = b"XYZ \0\0\0\0" + struct.pack(">3i", 0xF6D6, 0x10000, 0xD32D)
    head = struct.pack(">I4sI12s", 152 + 4 + 36, b"\0" * 4, 0x02400000, b"mntrGRAYXYZ ").ljust(36, b"\0")
    head = (head + b"acsp").ljust(68, b"\0") + white[8:]
    tags = struct.pack(">I4sII4sII", 2, b"wtpt", 156, 20, b"kTRC", 176, 16)
    return head.ljust(128, b"\0") + tags + white + curve


def packed(samples, bits):
    """Rows of samples (h, n) as bytes, each sample of so many bits, the first bit first; rows begin anew."""
    samples = np.asarray(samples, np.uint64)
    shifts = np.arange(bits - 1, -1, -1, dtype=np.uint64)
    digits = (samples[..., None] >> shifts & np.uint64(1)).astype(np.uint8)  # (h, n, bits)
    return [row.tobytes() for row in np.packbits(digits.reshape(len(samples), -1), axis=1)]


ADAM_7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
"""The passes of an interlaced PNG: the first column and row, and the steps across and down."""


def png(samples, bits, colour, *chunks, interlaced=False):
    """A PNG file of samples (h, w, n), of a bit depth and a colour type."""
    height, width = samples.shape[:2]
    passes = ADAM_7 if interlaced else ((0, 0, 1, 1),)
    parts = [samples[top::down, left::across] for left, top, across, down in passes]
    rows = [row for part in parts if part.size for row in packed(part.reshape(len(part), -1), bits)]
    pixels = zlib.compress(b"".join(b"\0" + row for row in rows))
    head = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, int(interlaced))
    names = ((b"IHDR", head), *chunks, (b"IDAT", pixels), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(name, content) for name, content in names)
