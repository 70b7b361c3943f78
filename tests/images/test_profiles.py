"""Colours by profile: what a picture says of its colours is done, in every format."""

import struct
import zlib
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO

import numpy as np
import pytest
import pyvips
from PIL import Image, ImageCms

from lookalike.images import decode, encoded
from lookalike.images import profiles as module

EXACT = {"PNG": {}, "TIFF": {}, "WEBP": {"lossless": True}}
CLOSE = {
    "JPEG": {"quality": 97, "subsampling": 0},
    "AVIF": {"quality": 97, "subsampling": "4:4:4"},
    "HEIF": {"quality": 97, "chroma": 444},
}
FORMATS = EXACT | CLOSE


def in_colours_of(image, profile, mode="RGB"):
    """The numbers that stand for a picture's colours by a profile."""
    target = ImageCms.ImageCmsProfile(BytesIO(profile))
    made = ImageCms.profileToProfile(
        image, ImageCms.createProfile("sRGB"), target, outputMode=mode, renderingIntent=1
    )
    made.info.clear()
    return made


@pytest.fixture(autouse=True)
def heif():
    """Lets Pillow write HEIC files, by the form HEIF."""
    pillow_heif = pytest.importorskip("pillow_heif")
    pillow_heif.register_heif_opener()


def gif(image, profile):
    """A GIF file with a profile, in blocks of 255 bytes."""
    source = image.quantize(16)
    out = BytesIO()
    source.save(out, "GIF")
    plain, blocks = out.getvalue(), [profile[at : at + 255] for at in range(0, len(profile), 255)]
    extension = b"!\xff\x0bICCRGBG1012" + b"".join(bytes([len(block)]) + block for block in blocks) + b"\0"
    head = 13 + (3 << (plain[10] & 7) + 1)
    return plain[:head] + b"!\xfe\x03abc\0" + extension + plain[head:]


def bmp(image, profile):
    """A bitmap of version 5 with a profile at its end."""
    width, height = image.size
    rows = np.asarray(image)[::-1, :, ::-1].tobytes()
    head = struct.pack("<IiiHHIIiiII", 124, width, height, 1, 24, 0, len(rows), 2835, 2835, 0, 0)
    head += bytes(16) + b"DEBM" + bytes(48) + struct.pack("<IIII", 4, 124 + len(rows), len(profile), 0)
    return struct.pack("<2sIHHI", b"BM", 138 + len(rows) + len(profile), 0, 0, 138) + head + rows + profile


@pytest.mark.parametrize("form", FORMATS)
def test_a_profile_is_applied_in_every_format(known, profiles, form):
    """A picture in the wider colours of Display P3 has its own colours, in every format that has profiles."""
    source = known.saved(
        in_colours_of(known.quarters(), profiles["p3"]), form, icc_profile=profiles["p3"], **FORMATS[form]
    )
    assert known.distance(known.corners(decode(source).image), known.CORNERS) <= (2 if form in EXACT else 6)
    assert decode(source).image.info == {}


@pytest.mark.parametrize("form", [gif, bmp])
def test_profiles_that_pillow_does_not_read(known, profiles, form):
    """The profile in an extension of a GIF file, and at the end of a bitmap, counts as well."""
    source = form(in_colours_of(known.quarters(), profiles["p3"]), profiles["p3"])
    assert known.distance(known.corners(decode(source).image), known.CORNERS) <= 3


@pytest.mark.parametrize("form", ["JPEG", "TIFF"])
def test_inks_are_converted_by_their_profile(known, profiles, form):
    """The inks of a CMYK picture come out as libvips converts them; a large profile has several segments."""
    inks = in_colours_of(known.quarters(), profiles["cmyk"], "CMYK")
    source = known.saved(
        inks, form, icc_profile=profiles["cmyk"], **({"quality": 97} if form == "JPEG" else {})
    )
    assert len(profiles["cmyk"]) > 13 * 65_000
    second = pyvips.Image.new_from_buffer(source, "").icc_transform("srgb", intent="relative").numpy()
    assert np.abs(np.asarray(decode(source).image).astype(int) - second).max() <= 3


def test_a_green_of_inks_is_not_neon(profiles):
    """A green that is printed as (76, 167, 56) is that, and no (87, 255, 2)."""
    out = BytesIO()
    Image.new("CMYK", (16, 16), (168, 0, 253, 0)).save(out, "TIFF", icc_profile=profiles["cmyk"])
    assert np.abs(np.array(decode(out.getvalue()).image.getpixel((8, 8))) - (76, 167, 56)).max() <= 2


@pytest.mark.parametrize("form", ["JPEG", "TIFF"])
def test_inks_without_a_profile(known, form):
    """Without a profile inks are multiplied as browsers do: each takes its share of the light."""
    inks = Image.new("CMYK", (32, 32), (168, 30, 200, 40))
    source = known.saved(inks, form, **({"quality": 100} if form == "JPEG" else {}))
    expected = [(255 - ink) * (255 - 40) / 255 for ink in (168, 30, 200)]
    assert np.abs(np.array(decode(source).image.getpixel((9, 9))) - expected).max() <= 2


@pytest.mark.parametrize("form", FORMATS)
def test_greys_are_converted_by_their_profile(known, profiles, form):
    """Greys of linear light come out as seen; such a profile does not belong to grey kept as colours."""
    light = Image.new("L", (32, 32), 55)
    source = known.saved(light, form, icc_profile=profiles["linear grey"], **FORMATS[form])
    seen = 55 if form in {"WEBP", "AVIF"} else 128
    assert known.distance([decode(source).image.getpixel((9, 9))], [seen]) <= 2


def test_transparency_is_mixed_with_white_after_the_colours(known, profiles):
    """Alpha stays as it is, and what is half transparent is half white."""
    image = in_colours_of(known.quarters(), profiles["p3"])
    image.putalpha(128)
    found = known.corners(decode(known.saved(image, "PNG", icc_profile=profiles["p3"])).image)
    assert known.distance(found, np.array(known.CORNERS) * 128 / 255 + 127) <= 2


@pytest.mark.parametrize("mode", ["L", "P", "RGB"])
def test_pictures_that_are_srgb_are_left_alone(known, profiles, mode):
    """A profile that is sRGB by any name changes no pixel."""
    image = known.quarters().convert(mode)
    made = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    for profile in (profiles["srgb"], made):
        found = decode(known.saved(image, "PNG", icc_profile=profile)).image
        assert found.tobytes() == image.convert("RGB").tobytes()


def test_profiles_that_do_not_fit_are_passed_over(known, profiles):
    """A profile for inks or greys in a picture of colours, or for colours in one of inks, does not count."""
    colours, inks = known.quarters(), known.quarters().convert("CMYK")
    for image, profile in ((colours, "cmyk"), (colours, "linear grey"), (inks, "p3"), (inks, "linear grey")):
        plain = decode(known.saved(image, "TIFF")).image
        assert (
            decode(known.saved(image, "TIFF", icc_profile=profiles[profile])).image.tobytes()
            == plain.tobytes()
        )


@pytest.mark.parametrize("form", ["JPEG", "PNG", "TIFF", "WEBP"])
def test_broken_profiles_are_passed_over(known, profiles, form):
    """A profile that can't be read never refuses a picture: its colours are taken for sRGB."""
    plain = decode(known.saved(known.quarters(), form, **FORMATS[form])).image
    for broken in (b"x" * 200, profiles["p3"][:200], b"\0" * 128, profiles["p3"][:40]):
        source = known.saved(known.quarters(), form, icc_profile=broken, **FORMATS[form])
        assert decode(source).image.tobytes() == plain.tobytes()


def test_changed_profiles_raise_nothing(known, profiles):
    """However a profile is changed, the picture is decoded."""
    random, good = np.random.default_rng(5), known.saved(known.quarters((8, 8)), "PNG")
    for _ in range(300):
        profile = bytearray(profiles["p3"])
        for at in random.integers(len(profile), size=4):
            profile[at] = random.integers(256)
        decode(known.with_chunks(good, (b"iCCP", b"x\0\0" + zlib.compress(bytes(profile)))))


def test_threads_share_what_is_kept(known, profiles):
    """Pictures of several profiles, decoded on threads at once, come out as one after another."""
    noise = Image.effect_noise((300, 200), 90).convert("RGB")
    sources = [
        known.saved(noise, "PNG", icc_profile=profiles["p3"]),
        known.saved(noise.convert("L"), "PNG", icc_profile=profiles["linear grey"]),
        known.saved(noise.convert("CMYK"), "TIFF", icc_profile=profiles["cmyk"]),
        known.with_chunks(known.saved(noise, "PNG"), (b"gAMA", struct.pack(">I", 100_000))),
    ]
    expected = [decode(source).image.tobytes() for source in sources]
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda source: decode(source).image.tobytes(), sources * 25))
    assert found == expected * 25


def test_few_profiles_are_kept(known):
    """A folder of pictures, each with a profile of its own, does not fill memory."""
    for gamma in range(100, 150):
        image = Image.new("L", (4, 4), 9)
        decode(known.saved(image, "PNG", icc_profile=known.grey_profile(gamma / 64)))
    assert len(module._KNOWN._found) <= 32


def test_a_pil_image_carries_its_profile(known, profiles):
    """An image that Pillow has opened looks as its file does."""
    image = in_colours_of(known.quarters(), profiles["p3"])
    source = known.saved(image, "PNG", icc_profile=profiles["p3"])
    inks = known.saved(known.quarters().convert("CMYK"), "TIFF", icc_profile=profiles["cmyk"])
    bright = known.with_chunks(known.saved(image, "PNG"), (b"gAMA", struct.pack(">I", 100_000)))
    for file in (source, inks, bright):
        opened = Image.open(BytesIO(file))
        assert decode(encoded(opened)).image.tobytes() == decode(file).image.tobytes()
