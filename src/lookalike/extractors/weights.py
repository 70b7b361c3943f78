"""Weights out of a legacy torch file, without torch and without running what a pickle may ask for.

Such a file is: three small pickles (a magic number, a protocol version, the writer's type sizes),
the state dict with its storages as persistent ids, the list of storage keys, and then for each
key an int64 count and that many raw little-endian numbers.
"""

from __future__ import annotations

import hashlib
import io
import math
import pickle
from collections import OrderedDict
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from lookalike.errors import WeightsMissing

if TYPE_CHECKING:
    from pathlib import Path

    from lookalike.types import Floats

_MAGIC = 0x1950A86A20F9469CFC6C
_PROTOCOL = 1001
_DTYPES = {"torch.FloatStorage": "<f4", "torch.LongStorage": "<i8"}


class _Storage(NamedTuple):
    kind: str
    key: str


class _Tensor(NamedTuple):
    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


def read(path: Path, *, sha256: str) -> dict[str, Floats]:
    """The float32 arrays of a legacy torch state dict, by name.

    Args:
        path: the file.
        sha256: hexadecimal digest the file must have; it is checked before anything is unpickled.

    Raises:
        WeightsMissing: there is no such file, or it is another file, or it is no state dict.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise WeightsMissing(
            f"can't read the weights {path}: {error.strerror}; install them again"
        ) from error
    found = hashlib.sha256(content).hexdigest()
    if found != sha256:
        raise WeightsMissing(
            f"{path} is not the file expected: SHA-256 {found}, not {sha256}; install it again"
        )
    return parse(content)


def parse(content: bytes) -> dict[str, Floats]:
    """The float32 arrays in the bytes of a legacy torch file; integers in it are left out.

    Raises:
        WeightsMissing: the bytes are no such file, or ask for anything but plain arrays.
    """
    file = io.BytesIO(content)
    try:
        _header(file)
        tensors, keys = _unpickle(file), _unpickle(file)
        kinds = {tensor.storage.key: tensor.storage.kind for tensor in tensors.values()}
        storages = {key: _storage(file, kinds[key]) for key in keys}
        return {
            name: _array(tensor, storages[tensor.storage.key])
            for name, tensor in tensors.items()
            if tensor.storage.kind == "torch.FloatStorage"
        }
    except Exception as error:  # a damaged pickle raises nearly anything
        raise WeightsMissing(f"the weights are no torch state dict of plain arrays: {error}") from error


class _Unpickler(pickle.Unpickler):
    """Builds ordered dicts and descriptions of tensors; every other name is refused."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _tensor
        if f"{module}.{name}" in _DTYPES:
            return f"{module}.{name}"  # a storage type is only a name to us
        raise pickle.UnpicklingError(f"it asks for {module}.{name}, which weights have no use for")

    def persistent_load(self, pid: Any) -> _Storage:
        _, kind, key, *_ = pid
        if kind not in _DTYPES:
            raise pickle.UnpicklingError(f"it has a storage of type {kind!r}")
        return _Storage(kind, str(key))


def _header(file: io.BytesIO) -> None:
    if (_unpickle(file), _unpickle(file)) != (_MAGIC, _PROTOCOL):
        raise ValueError("it does not begin like one")
    _unpickle(file)  # type sizes of the machine it was written on


def _unpickle(file: io.BytesIO) -> Any:
    return _Unpickler(file).load()


def _tensor(
    storage: _Storage, offset: int, shape: tuple[int, ...], strides: tuple[int, ...], *_: Any
) -> _Tensor:
    if not isinstance(storage, _Storage):
        raise pickle.UnpicklingError("it has a tensor without a storage")
    return _Tensor(storage, offset, shape, strides)


def _storage(file: io.BytesIO, kind: str) -> np.ndarray[Any, Any]:
    count = int.from_bytes(file.read(8), "little", signed=True)
    dtype = np.dtype(_DTYPES[kind])
    content = file.read(count * dtype.itemsize) if count >= 0 else b""
    if len(content) != count * dtype.itemsize:
        raise ValueError("it ends early")
    return np.frombuffer(content, dtype)


def _array(tensor: _Tensor, storage: np.ndarray[Any, Any]) -> Floats:
    """A copy of a tensor in its own shape; kernels are stored transposed, so the strides matter."""
    steps = list(zip(tensor.shape, tensor.strides, strict=True))
    last = tensor.offset + sum((size - 1) * stride for size, stride in steps)
    inside = 0 <= tensor.offset <= last < storage.size and math.prod(tensor.shape) <= storage.size
    if not inside or any(size < 1 or stride < 0 for size, stride in steps):
        raise ValueError("it has a tensor that reaches beyond its storage")
    strides = [stride * storage.itemsize for stride in tensor.strides]
    view = np.lib.stride_tricks.as_strided(storage[tensor.offset :], tensor.shape, strides, writeable=False)
    return np.ascontiguousarray(view, np.float32).reshape(tensor.shape)
