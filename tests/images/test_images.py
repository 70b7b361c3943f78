"""Pictures in: formats, colours, sizes, limits, and files that are no pictures."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
import threading
import time
import warnings
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image, ImageOps

from lookalike.errors import ImageError, UsageError
from lookalike.images import ImageLimits, decode, read_file
from lookalike.images.exif import read_exif
from lookalike.images.limits import MEMORY
from lookalike.system.imports import install_command

if TYPE_CHECKING:
    from collections.abc import Callable


def _load_hostile() -> Any:
    spec = importlib.util.spec_from_file_location("hostile", Path(__file__).with_name("hostile.py"))
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


HOSTILE = _load_hostile()
encoded = HOSTILE.encoded


def photograph(size: tuple[int, int]) -> Image.Image:
    """A picture with edges, noise and slow changes, of any size."""
    horizontal = Image.linear_gradient("L").rotate(90).resize(size)
    vertical = Image.linear_gradient("L").resize(size)
    image = Image.merge("RGB", (horizontal, vertical, Image.radial_gradient("L").resize(size)))
    return Image.blend(image, HOSTILE.picture(size), 0.4)


def difference(one: Image.Image, other: Image.Image) -> float:
    """The mean difference of two pictures' numbers, 0 to 255."""
    return float(np.abs(np.asarray(one, np.float32) - np.asarray(other, np.float32)).mean())


def reason(source: Callable[[], bytes]) -> str:
    """Why a picture can't be decoded for a network, or `good`."""
    try:
        decoded = decode(source(), size=(224, 224))
    except ImageError as error:
        return str(error)
    assert decoded.image.mode == "RGB"
    assert not hasattr(decoded.image, "fp")  # the file's bytes are let go
    return "good"


def test_hostile_folder(tmp_path: Path) -> None:
    """Of a folder of odd files every good one is decoded, and every bad one refused with its reason."""
    expected = HOSTILE.make(tmp_path)
    found = {name: reason(partial(read_file, tmp_path / name)) for name in expected}
    assert not {name: found[name] for name, word in expected.items() if word not in found[name]}


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF"])
def test_formats_are_told_by_content(form: str) -> None:
    """Each format is recognised from its bytes, and gives the picture that was saved."""
    original = photograph((96, 64))
    decoded = decode(encoded(original, form))
    assert decoded.format.upper() == form
    assert (decoded.width, decoded.height) == (96, 64)
    assert difference(decoded.image, original) < 8


def test_heic_is_decoded_and_turned_once() -> None:
    """A HEIC picture, with the extra installed, is upright: its orientation is not applied twice."""
    pillow_heif = pytest.importorskip("pillow_heif")
    out = BytesIO()
    heif = pillow_heif.from_pillow(photograph((96, 64)))
    heif.save(out, exif=HOSTILE.exif(6))
    decoded = decode(out.getvalue())
    assert decoded.format == "HEIC"
    assert decoded.image.size == (decoded.width, decoded.height)
    assert decoded.facts["taken"] == "2024:05:17T18:30:05".replace(":", "-", 2)


def test_heic_without_the_extra_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the extra, a HEIC picture is skipped with the command that installs it."""
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    with pytest.raises(ImageError, match=re.escape(install_command("heif"))):
        decode(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(40))


@pytest.mark.parametrize("size", [(640, 480), (1601, 1203), (4000, 3000), (300, 2000)])
def test_reduced_jpeg_looks_the_same(size: tuple[int, int]) -> None:
    """A JPEG decoded for a size is never smaller than it, and the same picture once resized to it."""
    source = encoded(photograph(size), "JPEG", quality=90)
    reduced = decode(source, size=(224, 224))
    whole = decode(source)
    assert (reduced.width, reduced.height) == (whole.width, whole.height) == whole.image.size == size
    assert min(reduced.image.size) >= 224
    assert reduced.image.width < 1000
    looked_at = [one.image.resize((224, 224), Image.Resampling.BICUBIC) for one in (reduced, whole)]
    assert difference(*looked_at) < 1


def test_large_png_is_reduced_and_looks_the_same() -> None:
    """Other formats come reduced by whole factors, to no less than four times the size asked for."""
    source = encoded(photograph((2000, 1900)), "PNG", compress_level=1)
    reduced, whole = decode(source, size=(224, 224)).image, decode(source).image
    assert reduced.size == (1000, 950)
    assert decode(source, size=(256, 256)).image.size == (2000, 1900)
    looked_at = [one.resize((224, 224), Image.Resampling.BICUBIC) for one in (reduced, whole)]
    assert difference(*looked_at) < 0.5


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation(form: str, orientation: int) -> None:
    """All eight EXIF orientations are applied as Pillow's own tool does, in every format that has EXIF."""
    source = encoded(photograph((96, 64)), form, exif=HOSTILE.exif(orientation))
    with Image.open(BytesIO(source)) as opened:
        upright = ImageOps.exif_transpose(opened).convert("RGB")
    decoded = decode(source)
    assert decoded.image.size == (decoded.width, decoded.height) == upright.size
    assert difference(decoded.image, upright) == 0
    assert decoded.facts["taken"] == "2024-05-17T18:30:05"


def test_size_is_that_of_the_upright_picture() -> None:
    """Of a JPEG lying on its side, the size asked for is held against the sides it will have."""
    source = encoded(photograph((1600, 400)), "JPEG", exif=HOSTILE.exif(6))
    image = decode(source, size=(100, 800)).image
    assert image.width >= 100
    assert image.height >= 800
    assert image.size == (200, 800)


@pytest.mark.parametrize(
    ("taken", "expected"),
    [
        ("2024:05:17 18:30:05", "2024-05-17T18:30:05"),
        ("0000:00:00 00:00:00", None),
        ("    :  :     :  :  ", None),
        ("yesterday", None),
    ],
)
def test_time_taken(taken: str, expected: str | None) -> None:
    """The time of a photograph is given in ISO 8601, and what cameras without a clock write is no time."""
    assert (
        decode(encoded(HOSTILE.picture(), "JPEG", exif=HOSTILE.exif(1, taken))).facts.get("taken") == expected
    )


def test_damaged_exif_never_fails() -> None:
    """However an EXIF block is cut or changed, reading it gives an orientation and no error."""
    block, random = HOSTILE.exif(6), np.random.default_rng(7)
    for cut in range(len(block)):
        assert 1 <= read_exif(block[:cut]).orientation <= 8
    for _ in range(2_000):
        changed = bytearray(block)
        for at in random.integers(6, len(block), 3):
            changed[at] = random.integers(256)
        found = read_exif(bytes(changed))
        assert 1 <= found.orientation <= 8
        assert found.taken is None or len(found.taken) == 19


def test_transparency_is_white() -> None:
    """What is see-through is white: alpha, a transparent colour, a palette with alpha, grey with alpha."""
    clear = Image.new("RGBA", (4, 4), (200, 0, 0, 0))
    red, grey = Image.new("RGB", (4, 4), (200, 0, 0)), Image.new("L", (4, 4), 70)
    sources = [
        encoded(clear, "PNG"),
        encoded(clear, "WEBP", lossless=True),
        encoded(clear.convert("LA"), "PNG"),
        encoded(red, "PNG", transparency=(200, 0, 0)),
        encoded(grey, "PNG", transparency=70),
        encoded(red.convert("P"), "PNG", transparency=bytes(256)),
        encoded(red.convert("P"), "GIF", transparency=red.convert("P").getpixel((0, 0))),
        encoded(clear, "TIFF"),
    ]
    assert [decode(source).image.getpixel((2, 2)) for source in sources] == [(255, 255, 255)] * len(sources)
    half = decode(encoded(Image.new("RGBA", (4, 4), (0, 0, 0, 128)), "PNG")).image.getpixel((0, 0))
    assert half == (127, 127, 127)


@pytest.mark.parametrize("form", ["PNG", "TIFF"])
def test_16_bit_grey_is_scaled(form: str) -> None:
    """Sixteen bits become eight by division: 0 stays 0, the brightest is 255, nothing is cut off."""
    wide = np.linspace(0, 65535, 256 * 4).reshape(4, 256).astype(np.uint16)
    grey = np.asarray(decode(encoded(Image.fromarray(wide), form)).image)[..., 0]
    assert np.abs(grey.astype(float) - wide / 257).max() <= 0.51


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [(0, 1, (0, 255)), (0, 255, (0, 255)), (0, 65535, (0, 255)), (-3, 9, (0, 255))],
)
def test_float_pictures_use_their_range(low: float, high: float, expected: tuple[int, int]) -> None:
    """Floats are read as 0 to 1, as 8 or as 16 bits, by what they hold; others by their own range."""
    ramp = np.linspace(low, high, 64, dtype=np.float32).reshape(8, 8)
    grey = np.asarray(decode(encoded(Image.fromarray(ramp), "TIFF")).image)
    assert (grey.min(), grey.max()) == expected


def test_cmyk_has_its_colours() -> None:
    """A CMYK JPEG, stored inverted as Adobe does, is not a negative."""
    source = encoded(Image.new("RGB", (16, 16), (250, 30, 30)).convert("CMYK"), "JPEG", quality=95)
    assert np.abs(np.array(decode(source).image.getpixel((8, 8))) - (250, 30, 30)).max() < 8


def test_bands_fit_together() -> None:
    """A picture that is converted in several bands has no seams, reduced or not."""
    alpha = photograph((1500, 3001)).convert("RGBA")
    source = encoded(alpha, "PNG", compress_level=1)
    assert difference(decode(source).image, alpha.convert("RGB")) == 0
    reduced = decode(source, size=(90, 90)).image
    assert reduced.size == (375, 376)
    assert difference(reduced, alpha.convert("RGB").reduce((4, 8))) < 0.01


def test_first_frame_of_an_animation() -> None:
    """Of an animation the first frame is taken."""
    frames = [Image.new("RGB", (20, 20), colour) for colour in ("red", "blue", "lime")]
    for form, options in (("GIF", {}), ("WEBP", {"lossless": True}), ("PNG", {}), ("TIFF", {})):
        source = encoded(frames[0], form, save_all=True, append_images=frames[1:], **options)
        assert decode(source).image.getpixel((9, 9)) == (255, 0, 0), form


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF"])
def test_damaged_files_raise_only_image_errors(form: str) -> None:
    """Cut anywhere, or with bytes changed anywhere, a picture decodes or is an `ImageError`."""
    source, random = encoded(photograph((60, 40)), form), np.random.default_rng(3)
    outcomes = []
    for trial in range(150):
        broken = bytearray(source)
        broken[random.integers(len(source))] = random.integers(256)
        broken[random.integers(min(60, len(source)))] = random.integers(256)
        whole = bytes(broken[: random.integers(1, len(source)) if trial % 2 else None])
        outcomes.append(reason(lambda whole=whole: whole))
    assert all(outcomes)
    assert outcomes.count("good") < 150


def test_limits_are_checked_before_decoding() -> None:
    """A bomb of a few kB is refused from its header, at once, and the message says how to allow it."""
    bomb = HOSTILE.png(30_000, 30_000, depth=1, rows=30_000)
    assert len(bomb) < 200_000
    began = time.perf_counter()
    with pytest.raises(
        ImageError, match=r"900 megapixels \(30000 x 30000\), the limit is 80; LOOKALIKE_MAX_PIXELS"
    ):
        decode(bomb)
    assert time.perf_counter() - began < 0.1


def test_jpeg_may_be_larger_where_it_is_decoded_reduced() -> None:
    """A JPEG that comes reduced has a limit of its own, one that comes whole is held to the common one."""
    source = encoded(Image.new("L", (4000, 3000), 128), "JPEG")
    limits = ImageLimits(max_pixels=10_000_000)
    assert decode(source, size=(224, 224), limits=limits).width == 4000
    with pytest.raises(ImageError, match="12 megapixels"):
        decode(source, limits=limits)


def test_limit_of_memory_counts_what_a_progressive_jpeg_keeps() -> None:
    """A progressive JPEG keeps every coefficient while it decodes, however small it comes."""
    image, limits = Image.new("RGB", (4000, 3000), "teal"), ImageLimits(max_memory=30_000_000)
    assert decode(encoded(image, "JPEG"), size=(224, 224), limits=limits).width == 4000
    with pytest.raises(ImageError, match=r"needs \d\d MB to open, the limit is 30; LOOKALIKE_MAX_MEMORY"):
        decode(encoded(image, "JPEG", progressive=True), size=(224, 224), limits=limits)


def test_limit_of_bytes(tmp_path: Path) -> None:
    """A file over the limit is not read, and bytes over it are not decoded."""
    limits = ImageLimits(max_bytes=1_000_000)
    (tmp_path / "large.jpg").write_bytes(bytes(2_000_000))
    for act in (
        lambda: read_file(tmp_path / "large.jpg", limits),
        lambda: decode(bytes(2_000_000), limits=limits),
    ):
        with pytest.raises(ImageError, match="2 MB, the limit is 1; LOOKALIKE_MAX_BYTES"):
            act()


def test_limits_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each limit can be set by a variable, and nonsense in one is an error that shows it."""
    monkeypatch.setenv("LOOKALIKE_MAX_PIXELS", "2_000_000_000")
    monkeypatch.setenv("LOOKALIKE_MAX_MEMORY", "5000")
    limits = ImageLimits.from_environment()
    assert (limits.max_pixels, limits.max_jpeg_pixels, limits.max_memory) == (2 * 10**9, 2 * 10**9, 5000)
    for nonsense in ("many", "-1", "0", "1e9", "_"):
        monkeypatch.setenv("LOOKALIKE_MAX_PIXELS", nonsense)
        with pytest.raises(UsageError, match="LOOKALIKE_MAX_PIXELS is "):
            ImageLimits.from_environment()


def test_pillows_own_settings_are_left_alone() -> None:
    """Neither Pillow's pixel limit nor the list of warning filters is other than before."""
    before = Image.MAX_IMAGE_PIXELS, list(warnings.filters)
    decode(encoded(HOSTILE.picture(), "TIFF"))
    with pytest.raises(ImageError):
        decode(HOSTILE.png(100_000, 100_000))
    assert (Image.MAX_IMAGE_PIXELS, list(warnings.filters)) == before


def test_large_pictures_wait_for_each_other() -> None:
    """Threads together stay within the memory limit; one that needs all of it comes to its turn."""
    used, peak, lock = 0, 0, threading.Lock()

    def work(need: int) -> None:
        nonlocal used, peak
        with MEMORY.hold(need, 100):
            with lock:
                used += need
                peak = max(peak, used)
            time.sleep(0.005)
            with lock:
                used -= need

    threads = [threading.Thread(target=work, args=(need,)) for need in [40, 70, 100, 10, 90] * 6]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert not any(thread.is_alive() for thread in threads)
    assert 70 < peak <= 100


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="needs Linux's memory counters")
@pytest.mark.parametrize(
    ("form", "mode"), [("PNG", "RGBA"), ("PNG", "I;16"), ("JPEG", "RGB"), ("WEBP", "RGB")]
)
def test_memory_stays_within_the_estimate(tmp_path: Path, form: str, mode: str) -> None:
    """Decoding a large picture takes no more memory than was estimated, conversions included."""
    image = Image.new("L", (3000, 2500), 99)
    image = image.convert("I").convert(mode) if mode == "I;16" else image.convert(mode)
    (tmp_path / "large").write_bytes(
        encoded(image, form, **({"progressive": True} if form == "JPEG" else {}))
    )
    script = f"""
from pathlib import Path
from lookalike.images import limits, decode
def status(key): return int(Path("/proc/self/status").read_text().split(key + ":")[1].split()[0]) * 1024
needs, hold = [], limits._Memory.hold
limits._Memory.hold = lambda self, need, limit: needs.append(need) or hold(self, need, limit)
source = Path({str(tmp_path / "large")!r}).read_bytes()
small = decode(Path({str(tmp_path / "small")!r}).read_bytes())
Path("/proc/self/clear_refs").write_text("5")
before = status("VmRSS")
decode(source, size=(224, 224))
print(status("VmHWM") - before, needs[-1])
"""
    (tmp_path / "small").write_bytes(encoded(image.resize((9, 9)), form))
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    taken, estimated = map(int, run.stdout.split())
    assert 0.4 * estimated < taken < estimated + 4_000_000
