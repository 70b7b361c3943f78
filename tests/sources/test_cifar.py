"""CIFAR-10's batches: small files of the real form, and files of those who mean no good."""

from __future__ import annotations

import os
import pickle
import resource
import struct
import subprocess
import sys

import numpy as np
import pytest

from lookalike.errors import UsageError
from lookalike.sources import cifar

RNG = np.random.default_rng(0)
PIXELS = RNG.integers(0, 256, (5, 32, 32, 3), np.uint8)


def planes(pixels):
    return pixels.transpose(0, 3, 1, 2).reshape(len(pixels), 3072)


@pytest.fixture
def folder(cifar_folder):
    return cifar_folder(
        {
            "data_batch_1": (PIXELS[:2], [3, 9]),
            "data_batch_3": (PIXELS[2:3], [0]),
            "test_batch": (PIXELS[3:], [3, 3]),
        }
    )


def broken(folder, content):
    """What is said of a folder whose test batch has this content."""
    (folder / "test_batch").write_bytes(content)
    with pytest.raises(UsageError, match="test_batch can't be read as CIFAR-10 has it") as caught:
        cifar.batches(folder)
    return str(caught.value)


def test_the_files_written_here_are_pickles_of_the_real_form(folder):
    """Python's own unpickler makes of them what is documented of CIFAR-10."""
    written = (folder / "data_batch_1").read_bytes()
    content = pickle.loads(written, encoding="bytes")  # noqa: S301 - our own
    assert content.keys() == {b"data", b"labels", b"batch_label", b"filenames"}
    assert content[b"data"].dtype == np.uint8
    np.testing.assert_array_equal(content[b"data"], planes(PIXELS[:2]))


def test_pictures_come_in_order(folder):
    """Ids run through the numbered batches that are there; each picture has its pixels and its class."""
    found = list(cifar.read(folder))
    assert [one.id for one in found] == [
        "train/00000",
        "train/00001",
        "train/00002",
        "test/00000",
        "test/00001",
    ]
    assert [one.label for one in found] == ["cat", "truck", "airplane", "cat", "cat"]
    np.testing.assert_array_equal(np.stack([one.pixels for one in found]), PIXELS)


def test_a_folder_is_recognised_by_its_batches(folder, tmp_path):
    """One batch is enough, its names are those of CIFAR-10 then; a picture of that name is none."""
    for name in ("batches.meta", "data_batch_1", "data_batch_3"):
        (folder / name).unlink()
    assert cifar.is_cifar(folder)
    assert cifar.labels(folder)[9] == "truck"
    (folder / "test_batch").write_bytes(b"\x89PNG")
    assert not cifar.is_cifar(folder)
    assert not cifar.is_cifar(tmp_path / "nowhere")
    (folder / "test_batch").unlink()
    os.mkfifo(folder / "test_batch")
    assert not cifar.is_cifar(folder)
    assert cifar.batches(folder) == []


def test_names_of_ones_own(cifar_folder):
    """`batches.meta` names the classes, and says how many there are."""
    batch = {"data_batch_2": (PIXELS, [0, 1, 0, 1, 1])}
    assert cifar.labels(cifar_folder(batch, names=("shoe", "shirt"))) == ("shoe", "shirt")
    with pytest.raises(UsageError, match="has the label 1, and there are 1 classes"):
        list(cifar.read(cifar_folder(batch, names=("shoe",))))
    with pytest.raises(UsageError, match=r"batches\.meta.*no names of their own"):
        cifar.labels(cifar_folder(batch, names=("shoe", "shoe")))


def test_what_python_3_writes_is_read_too(folder):
    """The same content, pickled again by Python 3 and this numpy, gives the same pictures."""
    content = {b"data": planes(PIXELS), b"labels": [0, 1, 2, 3, 4]}
    (folder / "test_batch").write_bytes(pickle.dumps(content, 2))
    found = [one.pixels for one in cifar.read(folder) if one.id.startswith("test/")]
    np.testing.assert_array_equal(found, PIXELS)


class Evil:
    """Runs a command when it is unpickled."""

    def __init__(self, function, *arguments):
        self.reduced = function, arguments

    def __reduce__(self):
        return self.reduced


def test_a_pickle_that_runs_commands_runs_none(folder, tmp_path):
    """Whatever function it names is refused by name, and is not called."""
    trace = tmp_path / "trace"
    for evil in (Evil(os.system, f"touch {trace}"), Evil(eval, f"open({str(trace)!r}, 'w')")):
        said = broken(folder, pickle.dumps({b"data": evil, b"labels": []}, 2))
        assert "which a batch has no use for" in said
    assert not trace.exists()


@pytest.mark.parametrize("name", ["numpy\nload", "numpy.core.multiarray\nscalar", "builtins\ngetattr"])
def test_numpy_itself_is_not_called(folder, name):
    """Nothing of numpy but the form of an array is known, and nothing of Python's own."""
    assert "which a batch has no use for" in broken(folder, b"\x80\x02c" + name.encode() + b"\n.")


def test_an_array_of_objects_is_none(folder, cifar_files):
    """Objects in an array would be unpickled by it; other kinds of numbers are refused as well."""
    objects = pickle.dumps({b"data": np.array([[{}]], object), b"labels": [0]}, 2)
    assert "has the shape (1, 1)" in broken(folder, objects)
    assert "not u1 row by row" in broken(folder, cifar_files.batch(np.zeros((2, 3072), np.int8), [0, 1]))


def test_sizes_must_agree(folder, cifar_files):
    """Another shape, fewer labels, fewer bytes than the shape says, or column by column: each is told."""
    data = planes(PIXELS)
    assert "shape (5, 3072); expected (2, 3072)" in broken(folder, cifar_files.batch(data, [0, 1]))
    assert "shape (5, 3071)" in broken(folder, cifar_files.batch(data[:, 1:], [0] * 5))
    short = cifar_files.batch(data, [0] * 5).replace(struct.pack("<H", 3072), struct.pack("<H", 3073))
    assert "(5, 3073)" in broken(folder, short)
    claimed = cifar_files.batch(data[:4], [0] * 5).replace(b"K\x04M", b"K\x05M")
    assert "not as many bytes as it says" in broken(folder, claimed)
    assert "row by row" in broken(
        folder, pickle.dumps({"data": np.asfortranarray(data), "labels": [0] * 5}, 2)
    )


@pytest.mark.parametrize("labels", [[0, 10], [0, -1], [0, "cat"], [0, 2**31 - 1]])
def test_labels_must_be_classes(folder, cifar_files, labels):
    """A label that is no number of a class is refused."""
    assert "label" in broken(folder, cifar_files.batch(planes(PIXELS[:2]), labels))


def test_a_batch_without_its_fields(folder, cifar_files):
    """No labels, no data, no array, no dict: what is missing is said."""
    assert "has no list of labels" in broken(folder, cifar_files.batch(planes(PIXELS[:0]), []))
    assert "'data'" in broken(folder, cifar_files.Pickle().whole({"labels": [0]}))
    assert "no array" in broken(folder, cifar_files.batch(b"\0" * 3072, [0]))
    assert "no dict" in broken(folder, cifar_files.Pickle().whole([1, 2]))


def test_a_download_that_broke_off(folder):
    """Cut anywhere, a batch is an error and nothing else."""
    content = (folder / "data_batch_1").read_bytes()
    for length in [*range(2, 40), 200, len(content) // 2, len(content) - 1]:
        broken(folder, content[:length])


def test_chance_does_no_harm(folder, cifar_files):
    """Bytes changed by chance give the pictures, other pixels, or an error in words."""
    content = cifar_files.batch(planes(PIXELS[:1]), [0])
    head = content.index(b"T\x00\x0c\x00\x00")  # the pixels come after it
    for seed in range(300):
        rng = np.random.default_rng(seed)
        changed = bytearray(content)
        for place in rng.integers(2, head, 2):
            changed[place] = rng.integers(0, 256)
        (folder / "test_batch").write_bytes(bytes(changed))
        try:
            cifar.batches(folder)
        except UsageError as error:
            assert "test_batch" in str(error)  # noqa: PT017  # either way is right


BOMBS = {
    "a place far out in the pickle's memory": b"\x80\x02}r\xff\xff\xff\x7f.",
    "millions of dicts": b"\x80\x02(" + b"}" * (16 << 20) + b"l.",
    "a text that is said to be long": b"\x80\x02T\xff\xff\xff\x7fx.",
    "one text over and over": b"\x80\x02(X\x00\x00\x40\x00" + b"x" * (4 << 20) + b"q\x00"
    + b"c_codecs\nencode\nh\x00X\x06\x00\x00\x00latin1\x86R" * 3000 + b"t.",
    "a byte array made beforehand": b"\x80\x05\x96" + struct.pack("<Q", 1 << 40) + b".",
}  # fmt: skip

WITHIN = """
import resource, sys
resource.setrlimit(resource.RLIMIT_AS, (int(sys.argv[2]),) * 2)
from lookalike.sources import cifar; from lookalike import errors
try:
    cifar.batches(sys.argv[1])
except errors.UsageError as error:
    print(error)
"""


@pytest.mark.parametrize("bomb", BOMBS)
def test_no_batch_takes_the_memory(folder, bomb):
    """A small file that asks for gigabytes is refused where there are but some hundred megabytes."""
    (folder / "test_batch").write_bytes(BOMBS[bomb])
    words = [sys.executable, "-c", WITHIN, folder, str(500 << 20)]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    assert "test_batch can't be read" in done.stdout
    assert "MemoryError" not in done.stdout


def test_a_file_too_large_is_not_read(folder):
    """What is larger than any batch is refused by its size."""
    with (folder / "test_batch").open("ab") as file:
        file.truncate(1 << 34)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(UsageError, match="larger than 80 MB"):
        cifar.batches(folder)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 300_000


def test_a_batch_changed_meanwhile(folder, cifar_folder):
    """Labels read before and pixels read now are of one file, or an error says so."""
    batch = cifar.batches(folder)[0]
    cifar_folder({"data_batch_1": (PIXELS[:2], [3, 8])})
    with pytest.raises(UsageError, match="changed while it was read"):
        batch.pixels()
