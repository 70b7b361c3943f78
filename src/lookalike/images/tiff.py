"""TIFF files: read by Pillow, or where that would be wrong, sample by sample."""

from __future__ import annotations

from functools import cache
from io import BytesIO
from typing import TYPE_CHECKING, Any

from lookalike.errors import ImageError
from lookalike.images.tiff_directories import sound
from lookalike.images.tiff_layout import NONE, YCBCR, Layout, read_layout
from lookalike.images.tiff_samples import mode_of, read_samples, segment_bytes, working_bytes

if TYPE_CHECKING:
    from collections.abc import Callable

    from PIL.Image import Exif, Image
    from PIL.TiffImagePlugin import ImageFileDirectory_v2

    Size = tuple[int, int]

_DEFLATE = 8
_ORIENTATION = 274


def open_tiff(source: bytes, stream: BytesIO) -> Image:
    """Read the header of a TIFF file.

    Raises:
        ImageError: of a kind that is not supported; the message says which.
    """
    converted = sound(source)
    return _tiff_class()(stream if converted is source else BytesIO(converted))


def _turning(orientation: object) -> Exif:
    """Return an EXIF of nothing but an orientation, if it is a number."""
    from PIL.Image import Exif

    exif = Exif()
    if isinstance(orientation, int):
        exif[_ORIENTATION] = orientation
    return exif


def _leave_to_libtiff(layout: Layout, tags: ImageFileDirectory_v2) -> None:
    """Have Pillow believe that samples are compressed which it would not convert itself."""
    if (layout.colours, layout.compression) == (YCBCR, NONE):
        tags[259] = _DEFLATE


def _upright(size: Size, orientation: object) -> Size:
    return size[::-1] if orientation in {5, 6, 7, 8} else size


@cache
def _tiff_class() -> Callable[[BytesIO], Image]:
    from PIL.TiffImagePlugin import TiffImageFile

    class Tiff(TiffImageFile):
        """Leaves to Pillow what it reads rightly."""

        layout: Layout
        _own = False

        @property
        def working_bytes(self) -> int:
            """Bytes that reading takes beside the file and the picture."""
            return working_bytes(self.layout) if self._own else segment_bytes(self.layout)

        def getexif(self) -> Exif:
            """Return what Pillow turns the picture by; all else takes time, and warns where it is damaged."""
            return _turning(self.tag_v2.get(_ORIENTATION))

        def load(self) -> Any:
            if self._own:
                self._own = False
                stream: Any = self._fp
                self.im = read_samples(self.layout, stream.getvalue()).im
                self.load_end()
            return super().load()

        def _setup(self) -> None:
            self.layout = read_layout(self.tag_v2, big_endian=self.tag_v2.prefix == b"MM")
            self._own = not self.layout.by_pillow
            if self._own:
                self._set_up_own()
                return
            _leave_to_libtiff(self.layout, self.tag_v2)
            try:
                super()._setup()
            except SyntaxError:
                raise ImageError("TIFF with samples of an unusual order, which is not supported") from None

        def _set_up_own(self) -> None:
            self._mode = mode_of(self.layout)
            self._tile_size = self.layout.width, self.layout.height
            self._size = _upright(self._tile_size, self.tag_v2.get(_ORIENTATION))
            self.tile = []
            self.use_load_libtiff = False
            if 34675 in self.tag_v2:
                self.info["icc_profile"] = self.tag_v2[34675]

    return Tiff
