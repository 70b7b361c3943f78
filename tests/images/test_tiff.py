"""TIFF files of every kind: what is read is what was written, and what is not read is refused in words."""

from io import BytesIO

import numpy as np
import pyvips
import tifffile

from lookalike.images import decode


def tolerance(kind):
    """How far a colour may be off: rounded once, or twice with alpha and inks; the steps of Lab are wide."""
    if kind.colours in {8, 9}:
        return 4.5
    return 3.1 if kind.extra or kind.colours == 5 else 1.1


def worst(found, expected):
    """The largest difference."""
    return float(np.abs(np.asarray(found, float) - expected).max())


def test_every_kind_as_it_was_written(tiff_files):
    """Every kind of sample, however it lies in the file, is seen as it was written: none is wrong."""
    wrong, cells = [], 0
    for kind in tiff_files.kinds():
        samples = tiff_files.colours_only(tiff_files.made(kind), kind)
        expected = tiff_files.look(samples, kind)
        for storage in tiff_files.storages(kind):
            cells += 1
            image = decode(tiff_files.write(samples, kind, storage)).image
            if image.size != (37, 21) or worst(image, expected) > tolerance(kind):
                wrong.append(f"{kind} {storage}: {worst(image, expected)}")
    assert wrong == []
    assert cells > 3_000


def by_libvips(source, kind):
    """What libvips reads of a file, as samples 0 to 1; None for what it does not read."""
    try:
        image = pyvips.Image.new_from_buffer(source, "")
        numbers = image.numpy()
    except pyvips.Error:
        return None
    numbers = numbers.reshape(image.height, image.width, -1)
    if numbers.dtype.kind == "f":
        return numbers.astype(float).clip(0, 1)
    limits = np.iinfo(numbers.dtype)
    return (numbers.astype(float) - limits.min) / (float(limits.max) - limits.min)


def by_tifffile(source):
    """What tifffile reads of a file, as numbers; None for what it does not read."""
    try:
        with tifffile.TiffFile(BytesIO(source)) as file:
            return file.pages[0].asarray()
    except (ValueError, NotImplementedError, RuntimeError):
        return None


def test_other_decoders_agree(tiff_files):
    """Of every kind libvips or tifffile reads the numbers that were written: files are what they seem."""
    alone, seen = [], {"libvips": 0, "tifffile": 0}
    for kind in tiff_files.kinds():
        samples = tiff_files.colours_only(tiff_files.made(kind), kind)
        files = [
            tiff_files.write(samples, kind, tiff_files.Storage("<")),
            tiff_files.write(samples, kind, tiff_files.Storage(">", tile=(16, 16), compression=8)),
        ]
        agree = set()
        for source in files:
            numbers = by_tifffile(source)
            if kind.bits == 24 and source[:2] == b"MM":
                numbers = numbers.byteswap()  # which tifffile has turned once too often
            if numbers is not None and np.array_equal(numbers.ravel(), samples.ravel()):
                agree.add("tifffile")
            levels = by_libvips(source, kind)
            if levels is not None and kind.colours in {1, 2, 5} and levels.shape == samples.shape:
                agree |= (
                    {"libvips"} if np.abs(levels - tiff_files.shares(samples, kind)).max() < 0.003 else set()
                )
        for name in agree:
            seen[name] += 1
        alone += [] if agree else [str(kind)]
    assert alone == []
    assert min(seen.values()) >= 20, seen
