"""Files read, arrays taken for pictures, thumbnails and digests."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image

from lookalike import images
from lookalike.errors import ImageError

if TYPE_CHECKING:
    from pathlib import Path


def test_a_pipe_never_holds_us_up(tmp_path: Path) -> None:
    """A named pipe with no writer is refused at once, also one that took the place of a file."""
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ImageError, match="not a file: a named pipe"):
        images.read_file(tmp_path / "pipe")
    with pytest.raises(ImageError, match="not a file: a device"):
        images.read_file("/dev/zero")
    with pytest.raises(ImageError, match="can't be read: "):
        images.read_file("null\0character")


def test_read_file_gives_the_bytes(tmp_path: Path) -> None:
    """A file is read whole, by a path of text or of bytes."""
    content = b"\x89PNG\r\n\x1a\n" + b"abc" * 1000
    (tmp_path / "file").write_bytes(content)
    assert images.read_file(tmp_path / "file") == images.read_file(os.fsencode(tmp_path / "file")) == content


def test_what_is_no_picture_is_not_read_to_its_end(tmp_path: Path) -> None:
    """A large video is told by its first bytes: the hole behind them is not read."""
    with (tmp_path / "video.jpg").open("wb") as file:
        file.write(b"\x1aE\xdf\xa3 not a picture")
        file.truncate(100_000_000)
    with pytest.raises(ImageError, match="not a picture"):
        images.read_file(tmp_path / "video.jpg")


def test_arrays() -> None:
    """Arrays of uint8, colour, grey or with alpha, are pictures, also where they are not contiguous."""
    colour = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3)
    assert np.array_equal(np.asarray(images.from_array(colour)), colour)
    assert np.array_equal(np.asarray(images.from_array(colour[::-1, ::-1])), colour[::-1, ::-1])
    assert images.from_array(colour[..., 0]).mode == "RGB"
    assert images.from_array(np.zeros((2, 2, 4), np.uint8)).getpixel((0, 0)) == (255, 255, 255)


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (np.zeros((4, 4, 3), np.float32), r"array of float32 .* \(array \* 255\)"),
        (np.zeros((4, 4, 3), np.int64), "array of int64 is no picture: expected uint8"),
        (np.zeros((4, 4, 3), np.bool_), "array of bool"),
        (np.zeros((3, 4, 4), np.uint8).reshape(1, 3, 4, 4), r"shape \(1, 3, 4, 4\)"),
        (np.zeros((4, 4, 2), np.uint8), r"shape \(4, 4, 2\)"),
        (np.zeros((0, 4, 3), np.uint8), r"shape \(0, 4, 3\)"),
    ],
)
def test_arrays_that_are_no_pictures(array: Any, words: str) -> None:
    """Another shape or type is refused by a message that says what was expected."""
    with pytest.raises(ImageError, match=words):
        images.from_array(array)


def test_thumbnails_are_small_jpegs() -> None:
    """A thumbnail keeps the proportions, is never enlarged, and has a side even where one is 1 in 30,000."""
    for size, expected in (((1000, 500), (256, 128)), ((40, 30), (40, 30)), ((30_000, 1), (256, 1))):
        decoded = images.decode(images.thumbnail(Image.new("RGB", size, "teal")))
        assert (decoded.format, decoded.image.size) == ("JPEG", expected)
    assert images.decode(images.thumbnail(Image.new("RGB", (90, 90)), side=32)).image.size == (32, 32)


def test_digest() -> None:
    """A digest has 16 bytes, and belongs to the bytes alone."""
    assert images.digest(b"a") == images.digest(bytes([97])) != images.digest(b"b")
    assert len(images.digest(b"")) == 16


def test_import_is_light(tmp_path: Path) -> None:
    """Importing the module, and reading and hashing a file, load neither Pillow nor numpy."""
    script = (
        "import sys; from lookalike import images; images.digest(images.read_file(sys.argv[1])); "
        "sys.exit(bool({'numpy', 'PIL'} & set(sys.modules)))"
    )
    (tmp_path / "picture").write_bytes(b"\x89PNG\r\n\x1a\n")
    command = [sys.executable, "-c", script, tmp_path / "picture"]
    assert subprocess.run(command, check=False).returncode == 0
