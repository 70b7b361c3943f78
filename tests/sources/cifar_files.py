"""Writes folders of CIFAR-10's form: pickles as Python 2 wrote them, instruction by instruction.

Python 3 can't be asked for them, for it has no byte strings as Python 2 had.
"""

from __future__ import annotations

import struct

import numpy as np

NAMES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


def write(folder, batches, *, names=NAMES):
    """Write batches and `batches.meta` into a folder.

    Args:
        folder: that is there.
        batches: of each file its pixels, array of shape (n, 32, 32, 3), uint8, and n labels.
        names: of the classes; None for no `batches.meta`.
    """
    for name, (pixels, labels) in batches.items():
        planes = np.ascontiguousarray(np.asarray(pixels, np.uint8).transpose(0, 3, 1, 2))
        (folder / name).write_bytes(batch(planes.reshape(len(labels), -1), labels))
    if names is not None:
        fields = {"num_cases_per_batch": 10_000, "label_names": list(names), "num_vis": 3072}
        (folder / "batches.meta").write_bytes(Pickle().whole(fields))
    return folder


def batch(data, labels, **changed):
    """The bytes of one batch: data (n, 3072), uint8, and labels, or fields in place of these."""
    names = [f"picture_s_{number:06}.png" for number in range(len(labels))]
    fields = {"data": data, "labels": list(labels), "batch_label": "batch 1 of 5", "filenames": names}
    return Pickle().whole(fields | changed)


class Pickle:
    """Protocol 2 as Python 2's cPickle wrote it."""

    def __init__(self):
        self.count = 0

    def whole(self, value):
        """A value as a file of its own."""
        return b"\x80\x02" + self.of(value) + b"."

    def of(self, value):
        """The instructions that make a value."""
        if isinstance(value, np.ndarray):
            return self._array(value)
        if isinstance(value, dict):
            inside = b"".join(self.of(key) + self.of(of) for key, of in value.items())
            return b"}" + self._kept() + b"(" + inside + b"u"
        if isinstance(value, list):
            return b"]" + self._kept() + b"(" + b"".join(map(self.of, value)) + b"e"
        if isinstance(value, str | bytes):
            return self._string(value.encode() if isinstance(value, str) else value)
        return self._integer(value)

    def _integer(self, value):
        if 0 <= value < 256:
            return b"K" + bytes([value])
        return b"M" + struct.pack("<H", value) if 0 <= value < 65536 else b"J" + struct.pack("<i", value)

    def _string(self, value):
        short = len(value) < 256
        head = b"U" + bytes([len(value)]) if short else b"T" + struct.pack("<i", len(value))
        return head + value + self._kept()

    def _array(self, array):
        rows = b"cnumpy.core.multiarray\n_reconstruct\n" + self._kept() + b"cnumpy\nndarray\n" + self._kept()
        rows += (
            b"K\x00\x85" + self._kept() + self._string(b"b") + b"\x87" + self._kept() + b"R" + self._kept()
        )
        shape = b"".join(map(self._integer, array.shape)) + b"\x86" + self._kept()
        kind = b"cnumpy\ndtype\n" + self._kept() + self._string(array.dtype.str[1:].encode())
        kind += b"K\x00K\x01\x87" + self._kept() + b"R" + self._kept()
        order = self._string(array.dtype.str[:1].encode())
        kind += b"(K\x03" + order + b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00t" + self._kept() + b"b"
        content = self._string(array.tobytes())
        return rows + b"(K\x01" + shape + kind + b"\x89" + content + b"t" + self._kept() + b"b"

    def _kept(self):
        self.count += 1
        number = self.count - 1
        return b"q" + bytes([number]) if number < 256 else b"r" + struct.pack("<I", number)
