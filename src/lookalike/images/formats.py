"""The classes of Pillow's that read the headers of the formats, and what they complain of in our words."""

from __future__ import annotations

import struct
import warnings
from contextlib import contextmanager, nullcontext
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, cast

from lookalike.errors import ImageError
from lookalike.images.transparency import gif_class, open_png
from lookalike.system import forks, imports

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from io import BytesIO

    from PIL.Image import Image

_PLUGINS = {
    "WebP": ("WebPImagePlugin", "WebPImageFile"),
    "AVIF": ("AvifImagePlugin", "AvifImageFile"),
}


def open_header(kind: str, source: bytes, stream: BytesIO) -> Image:
    """Read the header only; the pixels come with the first use."""
    with _quiet() if kind in {"TIFF", "AVIF"} or b"acTL" in source[:4096] else nullcontext():
        return _open(kind, source, stream)


def _open(kind: str, source: bytes, stream: BytesIO) -> Image:
    if kind == "JPEG":
        return _jpeg()(stream)
    if kind == "PNG":
        return open_png(source, stream)
    if kind in {"TIFF", "BMP"}:  # rarer, and much code
        opener = getattr(import_module(f"lookalike.images.{kind.lower()}"), f"open_{kind.lower()}")
        return cast("Image", opener(source, stream))
    if kind == "HEIC":
        return _open_heic(stream)
    if kind == "GIF":
        return gif_class()(stream)
    module, name = _PLUGINS[kind]
    opened: Image = getattr(import_module(f"PIL.{module}"), name)(stream)
    return opened


@cache
def _jpeg() -> Callable[[BytesIO], Image]:
    from PIL.Image import Exif
    from PIL.JpegImagePlugin import JpegImageFile

    class Jpeg(JpegImageFile):
        """Does not look for the dpi in the EXIF, which takes time and warns where it is damaged."""

        def getexif(self) -> Exif:
            return Exif()

    return Jpeg


def _open_heic(stream: BytesIO) -> Image:
    try:
        import pillow_heif
    except ImportError:
        raise ImageError(str(imports.missing("HEIC", "heif"))) from None
    opened: Image = pillow_heif.HeifImageFile(stream)
    return opened


_warnings_lock = forks.lock()


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence Pillow's remarks about odd metadata, made while a header is read.

    The list of warning filters belongs to the process. The lock keeps our own threads apart, and
    as only Pillow's remarks are silenced, a foreign thread that copies the list meanwhile loses
    nothing else. Formats that never remark (JPEG, most PNG) do not come here.
    """
    with _warnings_lock, warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")
        yield


def reason(error: Exception, kind: str) -> str:
    """What went wrong, for people; `error` is whatever Pillow ran into."""
    text = str(error).strip() or type(error).__name__
    truncated = ("truncated", "unexpected end", "not enough data", "end of file", "image file is trunc")
    if isinstance(error, EOFError | struct.error) or any(word in text.lower() for word in truncated):
        return f"truncated {kind}"
    if isinstance(error, LookupError | TypeError | AttributeError):  # a parser met what is none
        return f"damaged {kind}"
    return f"damaged {kind}: {text}"
