"""Compute the constant mean vector of the default model's vectors, from half of a clip-art collection.

    python scripts/make_mean.py FOLDER [--out src/lookalike/extractors/efficientnet-lite0.npz]

FOLDER is `usr/share/openclipart/png` of Debian's `openclipart-png` (public domain), unpacked. The
half is made of the files whose path relative to FOLDER, with `/` and in UTF-8, has a SHA-256 digest
whose first byte is even; figures on clip art are reported on the other half. Of each picture's
1,280 pooled features the square roots are taken and brought to unit length; the file holds the mean
of those over the pictures, computed in float32. Pictures above 30 megapixels are left out.
"""

from __future__ import annotations

import argparse
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from pictures import is_even

from lookalike import images
from lookalike.errors import ImageError
from lookalike.extractors import efficientnet
from lookalike.extractors.names import Name
from lookalike.extractors.network import OpenVinoExtractor
from lookalike.extractors.steps import Normalise, Power, apply
from lookalike.images import ImageLimits

if TYPE_CHECKING:
    from lookalike.types import Floats

LIMITS = ImageLimits(max_pixels=30_000_000)  # the collection has decompression bombs
OUT = Path(__file__).parents[1] / "src/lookalike/extractors/efficientnet-lite0.npz"


def chosen(root: Path) -> list[Path]:
    """The half of the collection, sorted: paths whose digest begins with an even byte."""
    files = sorted(path for path in root.rglob("*.png") if path.is_file())
    return [path for path in files if is_even(path.relative_to(root).as_posix())]


def vector(extractor: OpenVinoExtractor, path: Path) -> Floats | None:
    """One picture's pooled features, ndarray of shape (1, 1280); None if it can't be read."""
    try:
        picture = images.decode(path.read_bytes(), size=extractor.size, limits=LIMITS)
    except ImageError:
        return None
    return extractor.extract([extractor.prepare(picture.image)]).vectors


def main() -> None:
    """Read the arguments, compute the mean, write it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--out", type=Path, default=OUT)
    options = parser.parse_args()

    network = efficientnet.graph(efficientnet.read_weights())
    card = efficientnet.card(())
    extractor = OpenVinoExtractor(network, card, Name(efficientnet.NAME, "features"), "f32")
    paths = chosen(options.folder)
    with ThreadPoolExecutor(extractor.parallel) as threads:
        found = [row for row in threads.map(lambda path: vector(extractor, path), paths) if row is not None]
    unit = apply((Power(0.5), Normalise()), np.concatenate(found))  # (n, 1280)
    np.savez(options.out, mean=unit.mean(axis=0, dtype=np.float64).astype(np.float32))
    print(f"{options.out}: the mean of {len(found)} of {len(paths)} pictures")


if __name__ == "__main__":
    main()
