"""Colours described by an ICC profile, converted to sRGB.

A profile is looked at once: what it makes of some colours tells whether it is sRGB by another name, which
most are. Only others are converted, by LittleCMS, and what that needs is kept for the next pictures.

The intent is relative colorimetric without black point compensation: colours are kept, as libvips does and
as browsers come to the same for the usual profiles.

ICC profiles made from numbers: primaries and a transfer curve, as PNG, AVIF and HEIC give them.

Code points are those of ITU-T H.273, which PNG's cICP chunk and the colour box of AVIF and HEIC share.
Pictures for brighter screens (PQ, HLG) are shown so that their reference white, 203 cd/m² by ITU-R BT.2408,
is white; what is brighter is white, too.
"""

from __future__ import annotations

import struct
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b
from io import BytesIO
from itertools import product
from typing import TYPE_CHECKING, Protocol, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    import numpy as np
    from numpy.typing import NDArray
    from PIL.Image import Image
    from PIL.ImageCms import ImageCmsProfile, ImageCmsTransform

    Matrix: TypeAlias = NDArray[np.float64]
    Curve: TypeAlias = Callable[[Matrix], Matrix]


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


Chromaticities: TypeAlias = tuple[float, float, float, float, float, float, float, float]
"""(x, y) of white, red, green and blue."""

_D65 = (0.3127, 0.329)
_C = (0.31, 0.316)
BT_709: Chromaticities = (*_D65, 0.64, 0.33, 0.3, 0.6, 0.15, 0.06)
_PRIMARIES: dict[int, Chromaticities] = {
    1: BT_709,
    4: (*_C, 0.67, 0.33, 0.21, 0.71, 0.14, 0.08),
    5: (*_D65, 0.64, 0.33, 0.29, 0.6, 0.15, 0.06),
    6: (*_D65, 0.63, 0.34, 0.31, 0.595, 0.155, 0.07),
    7: (*_D65, 0.63, 0.34, 0.31, 0.595, 0.155, 0.07),
    8: (*_C, 0.681, 0.319, 0.243, 0.692, 0.145, 0.049),
    9: (*_D65, 0.708, 0.292, 0.17, 0.797, 0.131, 0.046),
    11: (0.314, 0.351, 0.68, 0.32, 0.265, 0.69, 0.15, 0.06),
    12: (*_D65, 0.68, 0.32, 0.265, 0.69, 0.15, 0.06),
    22: (*_D65, 0.63, 0.34, 0.295, 0.605, 0.155, 0.077),
}
_VIDEO = {1, 6, 13, 14, 15}  # as shown by browsers: what cameras of video use is looked at as sRGB
_ENTRIES = 4096  # of a curve
_WHITE = 203.0  # cd/m²
_D50 = (0.9642, 1.0, 0.8249)
_BRADFORD = ((0.8951, 0.2664, -0.1614), (-0.7502, 1.7135, 0.0367), (0.0389, -0.0685, 1.0296))


@lru_cache(maxsize=64)
def from_code_points(primaries: int, transfer: int, *, full_range: bool = True) -> bytes | None:
    """Return the profile of colours by their code points; None for those that are not defined.

    Args:
        primaries: ColourPrimaries.
        transfer: TransferCharacteristics.
        full_range: False if black is 16 and white 235.
    """
    curve, chromaticities = _curve(transfer), _PRIMARIES.get(primaries)
    if curve is None or chromaticities is None:
        return None
    if full_range and primaries == 1 and transfer in _VIDEO:
        return SRGB
    return _profile(chromaticities, curve if full_range else lambda code: curve(_widened(code)))


@lru_cache(maxsize=64)
def from_gamma(gamma: float | None, chromaticities: Chromaticities | None) -> bytes | None:
    """Return the profile of PNG's gAMA and cHRM chunks, where one of them may be missing.

    Args:
        gamma: of the encoding, such as 0.45455. One within 5 % of a screen's is taken for sRGB, as libpng
            does: what is written for sRGB is this.
        chromaticities: sRGB's where None.

    Returns:
        None where they make no sense.
    """
    srgb = gamma is None or abs(gamma * 2.2 - 1) <= 0.05
    if srgb and (chromaticities is None or _close(chromaticities, BT_709)):
        return SRGB
    if gamma is not None and not 0.01 <= gamma <= 100:
        return None
    return _profile(chromaticities or BT_709, _srgb if gamma is None or srgb else _power(1 / gamma))


def _close(one: Chromaticities, other: Chromaticities) -> bool:
    return all(abs(first - second) < 0.0015 for first, second in zip(one, other, strict=True))


def _curve(transfer: int) -> Curve | None:
    """Return the function from codes (0 to 1) to light (0 to 1)."""
    curves: dict[int, Curve] = {4: _power(2.2), 5: _power(2.8), 8: _power(1.0), 16: _pq, 18: _hlg}
    curves |= dict.fromkeys(_VIDEO, _srgb)
    return curves.get(transfer)


def _power(exponent: float) -> Curve:
    return lambda code: code**exponent


def _srgb(code: Matrix) -> Matrix:
    import numpy as np

    return np.where(code <= 0.04045, code / 12.92, ((code + 0.055) / 1.055) ** 2.4)


def _pq(code: Matrix) -> Matrix:
    """SMPTE ST 2084."""
    root = code ** (32 / 2523)
    light = ((root - 0.8359375).clip(0) / (18.8515625 - 18.6875 * root)) ** (16384 / 2610)
    return (light * (10_000 / _WHITE)).clip(0, 1)


def _hlg(code: Matrix) -> Matrix:
    """ITU-R BT.2100, on a screen of 1,000 cd/m², whose gamma is 1.2."""
    import numpy as np

    a, b, c = 0.17883277, 0.28466892, 0.55991073
    scene = np.where(code <= 0.5, code**2 / 3, (np.exp((code - c) / a) + b) / 12)
    return (scene**1.2 * (1_000 / _WHITE)).clip(0, 1)


def _widened(code: Matrix) -> Matrix:
    return ((code * 255 - 16) / 219).clip(0, 1)


def _profile(chromaticities: Chromaticities, curve: Curve) -> bytes | None:
    """Return an ICC profile (version 2) of three primaries and one curve; None if they span no colours."""
    import numpy as np

    columns = _colorants(chromaticities)
    if columns is None:
        return None
    table = np.round(curve(np.linspace(0, 1, _ENTRIES)) * 65535).astype(">u2").tobytes()
    tags = {f"{name}XYZ".encode(): _xyz(columns[:, at]) for at, name in enumerate("rgb")}
    tags[b"wtpt"] = _xyz(np.array(_D50))
    tags |= dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), b"curv\0\0\0\0" + struct.pack(">I", _ENTRIES) + table)
    return _file(tags)


def _colorants(chromaticities: Chromaticities) -> Matrix | None:
    """XYZ of red, green and blue (3, 3), a column each, adapted to the D50 of profiles."""
    import numpy as np

    points = np.array(chromaticities).reshape(4, 2)
    if (points[:, 1] <= 0).any() or not np.isfinite(points).all():
        return None
    xyz = np.column_stack([points, 1 - points.sum(1)]).T / points[:, 1]  # (3, 4)
    white, primaries = xyz[:, 0], xyz[:, 1:]
    if abs(np.linalg.det(primaries)) < 1e-6:
        return None
    columns = primaries * np.linalg.solve(primaries, white)
    bradford = np.array(_BRADFORD)
    scale = np.diag(bradford @ np.array(_D50) / (bradford @ white))
    adapted: Matrix = np.linalg.solve(bradford, scale @ bradford @ columns)
    return adapted if np.abs(adapted).max() < 100 else None


def _xyz(values: Matrix) -> bytes:
    return b"XYZ \0\0\0\0" + struct.pack(">3i", *(round(float(value) * 65536) for value in values))


def _file(tags: dict[bytes, bytes]) -> bytes:
    """Put the header and the table of tags before them; equal tags are kept once."""
    contents = list(dict.fromkeys(tags.values()))
    begin = 128 + 4 + 12 * len(tags)
    places, at = {}, begin
    for content in contents:
        places[content] = at
        at += len(content)
    table = b"".join(
        name + struct.pack(">II", places[content], len(content)) for name, content in tags.items()
    )
    head = struct.pack(">I4sI12s", at, b"\0\0\0\0", 0x02400000, b"mntrRGB XYZ ").ljust(36, b"\0") + b"acsp"
    head = head.ljust(68, b"\0") + struct.pack(">3I", 0x0000F6D6, 0x00010000, 0x0000D32D)  # D50
    return head.ljust(128, b"\0") + struct.pack(">I", len(tags)) + table + b"".join(contents)
