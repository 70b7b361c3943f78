"""TIFF files of any kind, written by hand: samples whose values are known exactly."""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass, field
from itertools import product

import numpy as np

LZW, DEFLATE, PACKBITS = 5, 8, 32773
RANDOM = np.random.default_rng(3)
MAPS = {"wide": 257, "narrow": 1}
SIZE = {3: "H", 4: "I", 16: "Q"}


@dataclass(frozen=True)
class Storage:
    """How samples lie in a file."""

    order: str = "<"
    big: bool = False
    planar: bool = False
    tile: tuple[int, int] | None = None
    rows: int = 5
    compression: int = 1
    predictor: int = 1
    reversed_bits: bool = False


@dataclass(frozen=True)
class Kind:
    """What samples are: of so many bits, u(nsigned), i (signed) or f(loat), and what they mean."""

    colours: int
    bits: int
    type: str = "u"
    extra: tuple[int, ...] = ()
    tags: dict[int, tuple[int, ...]] = field(default_factory=dict, hash=False)

    @property
    def samples(self) -> int:
        """How many there are a pixel."""
        return {0: 1, 1: 1, 2: 3, 3: 1, 5: 4, 6: 3, 8: 3, 9: 3}.get(self.colours, 1) + len(self.extra)

    def __str__(self) -> str:
        names = {0: "negative", 1: "grey", 2: "rgb", 3: "palette", 5: "cmyk", 8: "lab", 9: "icclab"}
        extra = "".join(f"+{kind}" for kind in self.extra)
        return f"{names.get(self.colours, self.colours)}-{self.type}{self.bits}{extra}"


def storages(kind: Kind) -> list[Storage]:
    """Every way in which samples of a kind may lie."""
    packings = [(1, 1), (LZW, 1), (DEFLATE, 1), (PACKBITS, 1)]
    if kind.bits in {8, 16, 32, 64}:
        packings.append((DEFLATE, 2))
    if kind.type == "f":
        packings.append((DEFLATE, 3))
    return [
        Storage(order, big, planar, tile, rows, compression, predictor)
        for order, planar, (tile, rows), (compression, predictor) in product(
            "<>", {False, kind.samples > 1}, ((None, 5), ((16, 16), 0)), packings
        )
        for big in {False, (compression, predictor, tile) == (DEFLATE, 1, None)}
        if (order, kind.bits) != ("<", 24)  # refused
    ]


def write(samples: np.ndarray, kind: Kind, storage: Storage) -> bytes:
    """A file of samples (h, w, n): numbers, negative ones if they are signed."""
    height, width, count = samples.shape
    planes = np.split(samples, count, axis=2) if storage.planar else [samples]
    segments = [
        _packed(_stored(part, kind, storage), storage) for plane in planes for part in _parts(plane, storage)
    ]
    tags: dict[int, tuple[int, ...]] = {
        256: (width,),
        257: (height,),
        258: (kind.bits,) * count,
        259: (storage.compression,),
        262: (kind.colours,),
        277: (count,),
        284: (2 if storage.planar else 1,),
        339: ({"u": 1, "i": 2, "f": 3}[kind.type],) * count,
    }
    if kind.extra:
        tags[338] = kind.extra
    if storage.predictor > 1:
        tags[317] = (storage.predictor,)
    if storage.reversed_bits:
        tags[266] = (2,)
    if storage.tile:
        tags |= {322: (storage.tile[0],), 323: (storage.tile[1],)}
    else:
        tags[278] = (storage.rows,)
    return assemble(tags | kind.tags, segments, storage)


def assemble(tags: dict[int, tuple[int, ...]], segments: list[bytes], storage: Storage) -> bytes:
    """A file of tags and of strips or tiles that are packed already."""
    order, wide = storage.order, 16 if storage.big else 4
    content, at = b"", 16
    offsets = []
    for segment in segments:
        offsets.append(at + len(content))
        content += segment + b"\0" * (len(segment) % 2)
    names = (324, 325) if storage.tile else (273, 279)
    tags = {**tags, names[0]: tuple(offsets), names[1]: tuple(map(len, segments))}
    entries, room = [], 8 if storage.big else 4
    for tag, values in sorted(tags.items()):
        type_ = wide if tag in names else 4 if max(values) > 0xFFFF else 3
        raw = struct.pack(f"{order}{len(values)}{SIZE[type_]}", *values)
        if len(raw) > room:
            where = at + len(content)
            content += raw + b"\0" * (len(raw) % 2)
            raw = struct.pack(order + ("Q" if storage.big else "I"), where)
        head = struct.pack(order + ("HHQ" if storage.big else "HHI"), tag, type_, len(values))
        entries.append(head + raw.ljust(room, b"\0"))
    first = at + len(content)
    mark = b"II" if order == "<" else b"MM"
    head = struct.pack(
        order + ("HHHQ" if storage.big else "HI"), *((43, 8, 0) if storage.big else (42,)), first
    )
    directory = (
        struct.pack(order + ("Q" if storage.big else "H"), len(entries)) + b"".join(entries) + bytes(8)
    )
    return (mark + head).ljust(16, b"\0") + content + directory


def _parts(plane: np.ndarray, storage: Storage) -> list[np.ndarray]:
    """The strips or tiles of a plane, one row of them after the other."""
    height, width = plane.shape[:2]
    if not storage.tile:
        return [plane[top : top + storage.rows] for top in range(0, height, storage.rows)]
    across, down = storage.tile
    padded = np.pad(plane, ((0, -height % down), (0, -width % across), (0, 0)), mode="edge")
    corners = product(range(0, padded.shape[0], down), range(0, padded.shape[1], across))
    return [padded[top : top + down, left : left + across] for top, left in corners]


def _stored(part: np.ndarray, kind: Kind, storage: Storage) -> list[bytes]:
    """The bytes of each row."""
    size = kind.bits // 8
    if storage.predictor == 3:
        rows = part.reshape(len(part), -1).astype(f">f{size}")
        planes = rows.view(np.uint8).reshape(*rows.shape, size).swapaxes(1, 2).reshape(len(rows), -1)
        return [row.tobytes() for row in _differences(planes, part.shape[2])]
    if kind.bits in {8, 16, 32, 64}:
        numbers = part.astype(f"={kind.type}{size}").view(f"=u{size}").reshape(len(part), -1)
        if storage.predictor == 2:
            numbers = _differences(numbers, part.shape[2])
        return [row.tobytes() for row in numbers.astype(f"{storage.order}u{size}")]
    numbers = part.reshape(len(part), -1).astype(np.int64) & ((1 << kind.bits) - 1)
    digits = numbers[..., None] >> np.arange(kind.bits - 1, -1, -1) & 1
    return [row.tobytes() for row in np.packbits(digits.astype(np.uint8).reshape(len(part), -1), axis=1)]


def _differences(numbers: np.ndarray, count: int) -> np.ndarray:
    changed = numbers.copy()
    changed[:, count:] -= numbers[:, :-count]
    return changed


def _packed(rows: list[bytes], storage: Storage) -> bytes:
    packed = {1: b"".join, DEFLATE: _deflate, LZW: _lzw, PACKBITS: _packbits}[storage.compression](rows)
    return bytes(int(f"{byte:08b}"[::-1], 2) for byte in packed) if storage.reversed_bits else packed


def _deflate(rows: list[bytes]) -> bytes:
    return zlib.compress(b"".join(rows), 1)


def _lzw(rows: list[bytes]) -> bytes:
    """Codes of nine bits: cleared so often that they never need more."""
    codes = []
    for number, byte in enumerate(b"".join(rows)):
        codes += [256, byte] if number % 200 == 0 else [byte]
    digits = "".join(f"{code:09b}" for code in [*codes, 257])
    digits += "0" * (-len(digits) % 8)
    return int(digits, 2).to_bytes(len(digits) // 8, "big")


def _packbits(rows: list[bytes]) -> bytes:
    """Runs of bytes as they are; each row begins anew."""
    runs = [row[at : at + 128] for row in rows for at in range(0, len(row), 128)]
    return b"".join(bytes([len(run) - 1]) + run for run in runs)


def kinds():
    """Every kind of sample that is read."""
    kind = Kind
    yield from (
        kind(colours, bits) for colours in (0, 1) for bits in (1, 2, 3, 4, 6, 8, 10, 12, 14, 16, 24, 32, 64)
    )
    yield from (kind(2, bits) for bits in (1, 2, 4, 5, 6, 8, 10, 12, 14, 16, 24, 32, 64))
    yield from (kind(colours, bits, "i") for colours in (0, 1, 2) for bits in (8, 16, 32, 64))
    yield from (kind(colours, bits, "f") for colours in (0, 1, 2) for bits in (16, 32, 64))
    for extra in ((0,), (1,), (2,)):
        yield from (kind(colours, bits, "u", extra) for colours in (0, 1, 2) for bits in (4, 8, 16))
        yield from (kind(colours, 32, "f", extra) for colours in (1, 2))
        yield from (kind(5, bits, "u", extra) for bits in (8, 16))
    yield from (kind(2, bits, "u", (0, 2)) for bits in (8, 16))
    yield from (kind(5, bits) for bits in (8, 12, 16, 32))
    yield kind(5, 16, "i")
    yield kind(5, 32, "f")
    yield from (
        kind(3, bits, tags={320: palette(bits, scale)})
        for bits in (1, 2, 4, 8, 16)
        for scale in MAPS.values()
    )
    yield kind(3, 8, "u", (2,), {320: palette(8, 257)})
    yield from (kind(colours, bits) for colours in (8, 9) for bits in (8, 16))


def palette(bits, scale):
    """A map of random colours, which are eight bits wide or are so many times that."""
    values = np.random.default_rng(bits).integers(0, 256, 3 << bits)
    values[0] = 255
    return tuple(int(value) * scale for value in values)


def made(kind, size=(21, 37)):
    """Samples (h, w, n) that reach from the least to the largest."""
    shape = (*size, kind.samples)
    if kind.type == "f":
        samples = RANDOM.uniform(-0.1 if not kind.extra else 0, 1.1 if not kind.extra else 1, shape)
        samples = samples.astype(f"f{kind.bits // 8}")
        low, high = 0, 1
    else:
        low = -(1 << kind.bits - 1) if kind.type == "i" else 0
        high = low + (1 << kind.bits) - 1
        type_ = np.int64 if kind.type == "i" else np.uint64
        samples = RANDOM.integers(low, high, shape, type_, endpoint=True)
    samples[0, 0], samples[0, 1], samples[1, 0] = low, high, high
    return samples


def shares(samples, kind):
    """Samples as 0 to 1, by the rule."""
    if kind.type == "f":
        return samples.astype(float).clip(0, 1)
    low = -(2.0 ** (kind.bits - 1)) if kind.type == "i" else 0.0
    return (samples.astype(float) - low) / (2.0**kind.bits - 1)


def look(samples, kind):
    """The colours (h, w, 3) that a person sees of samples, 0 to 255, on white."""
    levels, own = shares(samples, kind), kind.samples - len(kind.extra)
    if kind.colours == 3:
        table = np.array(kind.tags[320], float).reshape(3, -1).T
        shown = table[samples[..., 0].astype(int)] / (255 if table.max() < 256 else 65535)
    elif kind.colours in {8, 9}:
        return lab(samples, kind)
    else:
        shown = levels[..., :own]
        shown = 1 - shown if kind.colours in {0, 5} else shown
    alpha = next((levels[..., own + at, None] for at, what in enumerate(kind.extra) if what), 1.0)
    if kind.colours == 5:
        inks = 1 - shown
        inks = inks if 1 in kind.extra else inks * alpha
        return np.clip((1 - inks[..., :3]) * (1 - inks[..., 3:]), 0, 1) * 255
    colours = shown if 1 in kind.extra else shown * alpha
    return np.broadcast_to(np.clip(colours + 1 - alpha, 0, 1) * 255, (*samples.shape[:2], 3))


def lab(samples, kind):
    """Lab colours of D50 as sRGB."""
    wide = samples.astype(float)
    if kind.colours == 9:
        l_, ab = (
            wide[..., 0] / (255 if kind.bits == 8 else 65280) * 100,
            wide[..., 1:] / (1 if kind.bits == 8 else 256) - 128,
        )
    else:
        l_ = wide[..., 0] / (2**kind.bits - 1) * 100
        ab = samples[..., 1:].astype(f"i{kind.bits // 8}") / (1 if kind.bits == 8 else 256)
    y = (l_ + 16) / 116
    roots = np.stack([y + ab[..., 0] / 500, y, y - ab[..., 1] / 200], -1)
    xyz = np.where(roots > 6 / 29, roots**3, (roots - 4 / 29) * 3 * (6 / 29) ** 2) * (0.9642, 1, 0.8249)
    matrix = np.array(
        [
            [3.1338561, -1.6168667, -0.4906146],
            [-0.9787684, 1.9161415, 0.033454],
            [0.0719453, -0.2289914, 1.4052427],
        ]
    )
    light = (xyz @ matrix.T).clip(0, 1)
    return np.where(light <= 0.0031308, light * 12.92, 1.055 * light ** (1 / 2.4) - 0.055) * 255


def colours_only(samples, kind):
    """Samples of Lab colours that a screen can show, others as they are."""
    if kind.colours not in {8, 9}:
        return samples
    wide, middle = 1 << kind.bits - 8, 128 if kind.colours == 9 else 0
    lightness = RANDOM.integers(90, 170, samples.shape[:2])
    ab = RANDOM.integers(-15, 15, (*samples.shape[:2], 2))
    return np.concatenate([lightness[..., None], (ab + middle) % 256], -1).astype(np.uint64) * wide
