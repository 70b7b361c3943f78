"""Colours described by an ICC profile, converted to sRGB.

A profile is looked at once: what it makes of some colours tells whether it is sRGB by another name, which
most are. Only others are converted, by LittleCMS, and what that needs is kept for the next pictures.

The intent is relative colorimetric without black point compensation: colours are kept, as libvips does and
as browsers come to the same for the usual profiles.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from hashlib import blake2b
from io import BytesIO
from itertools import product
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable

    from PIL.Image import Image
    from PIL.ImageCms import ImageCmsProfile, ImageCmsTransform

SRGB = b"sRGB"
"""Stands for the profile of a file that says it is sRGB without giving one."""

_KEPT = 32  # profiles; what is kept of a large one takes about 2 MB
_SMALLEST = 128  # bytes: of its header
LARGEST = 16_000_000
"""Bytes; more than any real profile has."""
_SAME = 2  # of 255: profiles that call themselves sRGB differ by as much
_STEPS = range(0, 256, 51)
_NO_CACHE = 0x0040  # a transform that remembers no colour may be used by several threads

_MODES = {"RGB ": "RGB", "GRAY": "L", "CMYK": "CMYK"}  # Pillow's name for the colours of a profile
_GREYS = {"1", "L", "LA", "La", "I", "I;16", "I;16B", "I;16L", "I;16N", "F"}
_CLASSES = {"scnr", "mntr", "prtr", "spac"}  # profiles that describe a picture's colours


class Conversion(Protocol):
    """Gives a picture's colours as sRGB."""

    @property
    def mode(self) -> str:
        """Pillow's mode of the colours that the profile is for."""

    def apply(self, image: Image) -> Image:
        """Return an RGB picture of one that has no transparency."""


@dataclass(frozen=True, slots=True)
class _Colours:
    """For the colours of a mode, RGB or CMYK."""

    mode: str
    transform: ImageCmsTransform

    def apply(self, image: Image) -> Image:
        converted = self.transform.apply(image if image.mode == self.mode else image.convert(self.mode))
        del converted.info["icc_profile"]
        return converted


@dataclass(frozen=True, slots=True)
class _Greys:
    """For greys, by a table."""

    mode: str
    table: list[int]

    def apply(self, image: Image) -> Image:
        return image.convert("L").point(self.table).convert("RGB")


def conversion(profiles: Iterable[bytes], mode: str) -> Conversion | None:
    """Return what converts a picture to sRGB, by the first of some profiles that can be used.

    Args:
        profiles: ICC profiles, or `SRGB`, the one that counts most first. Those that are broken, or
            belong to other colours than the picture has, are passed over.
        mode: Pillow's mode of the picture.

    Returns:
        None where nothing is to be converted.
    """
    for profile in profiles:
        if profile == SRGB:
            return None
        found = _KNOWN.look_up(profile)
        if found is not None and _fits(found.mode, mode):
            return None if isinstance(found, _Same) else found
    return None


def _fits(wanted: str, mode: str) -> bool:
    if mode in {"CMYK", "LAB"}:
        return wanted == mode
    return wanted == "RGB" or (wanted == "L" and mode in _GREYS)


@dataclass(frozen=True, slots=True)
class _Same:
    """For colours that are sRGB already."""

    mode: str

    def apply(self, image: Image) -> Image:
        return image


class _Known:
    """The profiles seen last, by their digest.

    Threads share it without a lock, which a child that is forked at the wrong moment would find taken for
    ever: whoever comes second repeats the work of the first.
    """

    def __init__(self) -> None:
        self._found: dict[bytes, Conversion | None] = {}

    def look_up(self, profile: bytes) -> Conversion | None:
        """Return the conversion of a profile; None if the profile can't be used."""
        digest = blake2b(profile, digest_size=16).digest()
        with suppress(KeyError):
            return self._found[digest]
        found = self._found[digest] = _read(profile)
        while len(self._found) > _KEPT:
            with suppress(KeyError, RuntimeError, StopIteration):  # another thread was faster
                del self._found[next(iter(self._found))]
        return found


_KNOWN = _Known()


def _read(profile: bytes) -> Conversion | None:
    from PIL import ImageCms

    if not _SMALLEST <= len(profile) <= LARGEST:
        return None
    try:
        source = ImageCms.ImageCmsProfile(BytesIO(profile))
        mode = _MODES.get(source.profile.xcolor_space)
        if mode is None or source.profile.device_class not in _CLASSES:
            return None
        return _simplest(_Colours(mode, _transform(source, mode)))
    except (OSError, ValueError, ImageCms.PyCMSError):  # all that LittleCMS says of a broken one
        return None


def _transform(source: ImageCmsProfile, mode: str) -> ImageCmsTransform:
    from PIL import ImageCms

    target = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
    intent = ImageCms.Intent.RELATIVE_COLORIMETRIC
    flags = ImageCms.Flags(_NO_CACHE)
    return ImageCms.ImageCmsTransform(source, target, mode, "RGB", intent, flags=flags)


def _simplest(found: _Colours) -> Conversion:
    """Return the same conversion in the form that costs least."""
    from PIL import Image

    if found.mode == "L":
        ramp = Image.frombytes("L", (256, 1), bytes(range(256)))
        table = list(found.apply(ramp).getchannel("G").tobytes())
        same = max(abs(value - level) for level, value in enumerate(table)) <= _SAME
        return _Same("L") if same else _Greys("L", table)
    if found.mode == "RGB":
        before = bytes(value for colour in product(_STEPS, repeat=3) for value in colour)
        after = found.apply(Image.frombytes("RGB", (len(before) // 3, 1), before)).tobytes()
        if max(abs(one - other) for one, other in zip(before, after, strict=True)) <= _SAME:
            return _Same("RGB")
    return found
