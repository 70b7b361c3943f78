"""ICC profiles made from numbers: primaries and a transfer curve, as PNG, AVIF and HEIC give them.

Code points are those of ITU-T H.273, which PNG's cICP chunk and the colour box of AVIF and HEIC share.
Pictures for brighter screens (PQ, HLG) are shown so that their reference white, 203 cd/m² by ITU-R BT.2408,
is white; what is brighter is white, too.
"""

from __future__ import annotations

import struct
from functools import lru_cache
from typing import TYPE_CHECKING, TypeAlias

from lookalike.images.profiles import SRGB

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray

    Matrix: TypeAlias = NDArray[np.float64]
    Curve: TypeAlias = Callable[[Matrix], Matrix]

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
