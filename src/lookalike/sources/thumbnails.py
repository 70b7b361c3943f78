"""Small pictures for pages, plots and notebooks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lookalike import images
from lookalike.errors import DownloadError, ImageError, MissingExtra, UsageError

if TYPE_CHECKING:
    from lookalike.images import Box, ImageLimits
    from lookalike.sources.access import Access


def thumbnail_of_file(id_: str, access: Access) -> bytes | None:
    """A small JPEG of a picture that is a file; None if it may not, or can't, be read now."""
    try:
        return thumbnail_of(access.read(id_), access.limits)
    except (ImageError, DownloadError, MissingExtra, UsageError):
        return None


def thumbnail_of(content: bytes, limits: ImageLimits, box: Box | None = None) -> bytes | None:
    """Return a small JPEG of an encoded picture, or of a region of it; None if it can't be read."""
    side = images.THUMBNAIL_SIDE
    try:
        return images.thumbnail(images.decode(content, size=(side, side), limits=limits, box=box).image)
    except ImageError:
        return None
