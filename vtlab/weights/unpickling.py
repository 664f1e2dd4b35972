"""Reading checkpoint files: the tensors only, and nothing that the file asks to be run.

Official checkpoints are pickles. Many hold, beside the tensors, objects of the repository that trained them
(settings, statistics, constructors), which can't be imported here and must not be. `torch.load` with
`weights_only=True` reads the plain ones; for the others a restricted unpickler puts an inert stand-in in the
place of every foreign class, rebuilds tensors itself, and checks each size that the file claims against the bytes it has.

Understood are the zip format of PyTorch 1.6 and later, the stream format before it, and safetensors
(https://github.com/huggingface/safetensors, 2022), whatever the file is called (.pth, .pt, .pth.tar, .ckpt).
"""

from __future__ import annotations

import json
import math
import pickle
import struct
import warnings
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from pickle import _Unpickler  # type: ignore[attr-defined]
from typing import TYPE_CHECKING, Any, BinaryIO, ClassVar

from vtlab.errors import WeightsError
from vtlab.files import DAMAGE

if TYPE_CHECKING:
    import torch

_LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
"""First pickle of files that torch wrote before version 1.6 (torch/serialization.py)."""
_MAX_PICKLE = 256 * 2**20  # bytes; the object graph of a checkpoint without its tensors takes a few MiB
_MAX_HEADER = 100 * 2**20  # bytes; the limit of the safetensors library itself
_STORAGES = {
    "BFloat16Storage": "bfloat16",
    "BoolStorage": "bool",
    "ByteStorage": "uint8",
    "CharStorage": "int8",
    "ComplexDoubleStorage": "complex128",
    "ComplexFloatStorage": "complex64",
    "DoubleStorage": "float64",
    "FloatStorage": "float32",
    "HalfStorage": "float16",
    "IntStorage": "int32",
    "LongStorage": "int64",
    "ShortStorage": "int16",
    "UntypedStorage": "uint8",
}
_UNREAD = frozenset(
    {"optimizer", "optimizer_state_dict", "optim", "lr_scheduler", "scheduler", "stats", "settings"}
)
_SAFETENSORS = {
    "BF16": "bfloat16",
    "BOOL": "bool",
    "F16": "float16",
    "F32": "float32",
    "F64": "float64",
    "I8": "int8",
    "I16": "int16",
    "I32": "int32",
    "I64": "int64",
    "U8": "uint8",
}


def read_content(path: Path) -> Any:
    """Decode the file to nested mappings whose leaves are tensors, tensor recipes or anything inert."""
    with path.open("rb") as file:
        head = file.read(264)
        size = file.seek(0, 2)
        file.seek(0)
        if head[:4] == b"PK\x03\x04":
            _check_zip(path, size)
        elif head[257:262] == b"ustar":
            raise WeightsError(
                f"The checkpoint {path} is a tar archive. Remedy: unpack it and give the checkpoint inside "
                "(if PyTorch before 0.2 wrote it, save it again with a later one)."
            )
        elif head[8:9] == b"{":
            return _read_safetensors(file, size)
        elif not head.startswith(b"\x80"):
            raise WeightsError(
                f"{path} is no PyTorch or safetensors checkpoint (it begins with {head[:8]!r})."
            )
        content = _read_plain(path)
        if content is not None:
            return content
        if head[:4] == b"PK\x03\x04":
            return _read_zip(path)
        return _read_stream(file, size)


def _read_plain(path: Path) -> Any | None:
    """Read the file by PyTorch's own safe reader, or None where it refuses."""
    import torch

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about the protocol of a pickle that the other reader takes
            return torch.load(path, map_location="cpu", weights_only=True)
    except DAMAGE:
        return None


def _check_zip(path: Path, size: int) -> None:
    """Refuse an archive whose entries are compressed or overlap, so none can unpack to more than the file."""
    with zipfile.ZipFile(path) as archive:
        entries = archive.infolist()
    if (
        any(e.compress_type != zipfile.ZIP_STORED for e in entries)
        or sum(e.file_size for e in entries) > size
    ):
        raise WeightsError(
            f"The checkpoint {path} holds compressed or overlapping entries, which PyTorch never writes. "
            "Remedy: fetch the official file again."
        )
    if any(e.filename.endswith("/constants.pkl") for e in entries):
        raise WeightsError(f"{path} is a TorchScript program, not a checkpoint. Remedy: give its state dict.")


# Restricted reading -----------------------------------------------------------------------------------------


class _Inert:
    """Stand-in for every foreign class and function: it takes anything and does nothing."""

    def __init__(self, *_args: object, **_kwargs: object):
        pass

    def __new__(cls, *_args: object, **_kwargs: object) -> _Inert:
        return object.__new__(cls)

    def append(self, _item: object) -> None:
        """Drop an item that a pickled list subclass would take."""

    def extend(self, _items: object) -> None:
        """Drop items that a pickled list subclass would take."""

    def add(self, _item: object) -> None:
        """Drop an item that a pickled set subclass would take."""

    def __setitem__(self, _key: object, _value: object) -> None:
        pass


@dataclass(frozen=True)
class _Storage:
    """A storage of the file: what it is called, its type as written, and how many values it claims."""

    key: str
    dtype: str
    numel: int


@dataclass(frozen=True)
class _Recipe:
    """A tensor of the file, not read yet: storage, its type, and the view on it in values."""

    storage: _Storage
    dtype: str
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    read: Callable[[_Storage], bytearray]

    def tensor(self) -> torch.Tensor:
        """Read the storage and return the view on it; tensors of one storage share its memory."""
        import torch

        numbers = (self.offset, *self.shape, *self.strides)
        if len(self.shape) != len(self.strides) or not all(type(n) is int and n >= 0 for n in numbers):
            raise pickle.UnpicklingError("a tensor has an impossible shape or stride")
        data, dtype = self.read(self.storage), getattr(torch, self.dtype)
        count, available = math.prod(self.shape), len(data) // dtype.itemsize
        last = self.offset + sum((n - 1) * s for n, s in zip(self.shape, self.strides, strict=True))
        if count > available or (count and last >= available):
            raise pickle.UnpicklingError(
                f"a tensor of shape {self.shape} is larger than its {len(data)} bytes"
            )
        if count == 0:
            return torch.empty(self.shape, dtype=dtype)
        return torch.frombuffer(data, dtype=dtype).as_strided(self.shape, self.strides, self.offset)


class _Restricted(_Unpickler):
    """The pure Python unpickler with every door to code closed.

    A name of the file is never imported: it becomes a tensor recipe, a plain container, or `_Inert`. The
    state that a pickle sets on its objects is dropped, so no attribute of anything is ever written. (The C
    unpickler would do for the rest, but it allocates its memo by an index that the file chooses.)
    """

    dispatch: ClassVar[dict[int, Any]] = dict(_Unpickler.dispatch)

    def __init__(self, file: BinaryIO, read: Callable[[_Storage], bytearray]):
        super().__init__(file, encoding="utf-8", errors="replace")
        self._read_storage = read
        self.storages: dict[str, _Storage] = {}

    def find_class(self, module: str, name: str) -> Any:
        """Return what stands for the class or function `module.name`; nothing is imported."""
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if module == "torch" and name in _STORAGES:
            return _STORAGES[name]
        if module == "torch.storage" and name in ("UntypedStorage", "_UntypedStorage"):
            return "uint8"
        if module == "torch" and name in _STORAGES.values():
            return name
        if (module, name) == ("torch", "Size"):
            return tuple
        if module == "torch._utils":
            rebuild = {
                "_rebuild_tensor": self._tensor,
                "_rebuild_tensor_v2": self._tensor,
                "_rebuild_tensor_v3": self._typed_tensor,
                "_rebuild_parameter": self._parameter,
                "_rebuild_parameter_with_state": self._parameter,
            }
            return rebuild.get(name, _Inert)
        return _Inert

    def persistent_load(self, pid: Any) -> Any:
        """Return the storage that a persistent id names, or an inert object for any other."""
        if not isinstance(pid, tuple) or pid[0] != "storage":
            return _Inert
        _, dtype, key, _, numel, *view = pid
        if dtype not in _STORAGES.values() or type(key) is not str or type(numel) is not int or numel < 0:
            raise pickle.UnpicklingError("a storage of an unknown kind")
        if view and view[0] is not None:
            raise pickle.UnpicklingError("a storage that is a view of another one (PyTorch before 0.4)")
        return self.storages.setdefault(key, _Storage(key, dtype, numel))

    def _tensor(
        self, storage: _Storage, offset: int, shape: tuple[int, ...], strides: tuple[int, ...], *_: object
    ) -> _Recipe:
        return self._typed_tensor(storage, offset, shape, strides, False, None, storage.dtype)

    def _typed_tensor(
        self,
        storage: _Storage,
        offset: int,
        shape: tuple[int, ...],
        strides: tuple[int, ...],
        _requires_grad: object,
        _hooks: object,
        dtype: str,
        *_rest: object,
    ) -> _Recipe:
        if not isinstance(storage, _Storage) or dtype not in _STORAGES.values():
            raise pickle.UnpicklingError("a tensor without a storage")
        return _Recipe(storage, dtype, offset, tuple(shape), tuple(strides), self._read_storage)

    def _parameter(self, data: Any, *_rest: object) -> Any:
        return data

    def _drop_state(self) -> None:
        self.stack.pop()  # type: ignore[attr-defined]

    dispatch[pickle.BUILD[0]] = _drop_state
    for _code in (pickle.EXT1, pickle.EXT2, pickle.EXT4):  # objects of this process, by number
        del dispatch[_code[0]]


class _Bounded:
    """A binary file that refuses a request for more bytes than it has left, before anything is allocated."""

    def __init__(self, file: BinaryIO, size: int):
        self._file, self._size = file, size

    def read(self, count: int) -> bytes:
        if count > min(self._size - self._file.tell(), _MAX_PICKLE):
            raise EOFError(f"{count} bytes claimed, {self._size - self._file.tell()} left")
        return self._file.read(count)

    def readline(self) -> bytes:
        return self._file.readline(2**16)


def _restricted(file: BinaryIO, size: int, read: Callable[[_Storage], bytearray]) -> tuple[Any, _Restricted]:
    unpickler = _Restricted(_Bounded(file, size), read)  # type: ignore[arg-type]
    return unpickler.load(), unpickler


def _read_zip(path: Path) -> Any:
    """Read the zip format: `<name>/data.pkl`, and one entry `<name>/data/<key>` for each storage."""
    with zipfile.ZipFile(path) as archive:
        entries = {e.filename: e for e in archive.infolist()}
        pickled = next((name for name in entries if name.endswith("/data.pkl")), None)
        if pickled is None or entries[pickled].file_size > _MAX_PICKLE:
            raise pickle.UnpicklingError("the archive holds no object graph of a checkpoint (data.pkl)")
        root = pickled.removesuffix("data.pkl")
        order = f"{root}byteorder"
        if order in entries and archive.read(order).strip() != b"little":
            raise pickle.UnpicklingError("written on a big-endian machine")

        @cache
        def read(storage: _Storage) -> bytearray:
            data = bytearray(archive.read(f"{root}data/{storage.key}"))
            _check_storage(storage, len(data))
            return data

        with archive.open(pickled) as file:
            content, _ = _restricted(file, entries[pickled].file_size, read)  # type: ignore[arg-type]
        return _materialise(content)


def _read_stream(file: BinaryIO, size: int) -> Any:
    """Read the stream format: magic number, version, system, object graph, storage keys, storages."""
    positions: dict[str, tuple[int, int]] = {}

    @cache
    def read(storage: _Storage) -> bytearray:
        start, length = positions[storage.key]
        file.seek(start)
        return bytearray(file.read(length))

    if _restricted(file, size, read)[0] != _LEGACY_MAGIC:
        raise pickle.UnpicklingError("a pickle that PyTorch did not write")
    _restricted(file, size, read)
    _restricted(file, size, read)
    content, unpickler = _restricted(file, size, read)
    keys, _ = _restricted(file, size, read)
    for key in keys:
        storage = unpickler.storages[key]
        (numel,) = struct.unpack("<q", file.read(8))
        length = numel * _itemsize(storage.dtype)
        if numel < 0 or length > size - file.tell():
            raise EOFError(f"storage {key!r} claims {length} bytes, {size - file.tell()} are left")
        _check_storage(storage, length)
        positions[key] = (file.tell(), length)
        file.seek(length, 1)
    return _materialise(content)


def _itemsize(dtype: str) -> int:
    import torch

    return getattr(torch, dtype).itemsize


def _check_storage(storage: _Storage, length: int) -> None:
    if storage.numel * _itemsize(storage.dtype) > length:
        raise EOFError(
            f"storage {storage.key!r} claims {storage.numel} {storage.dtype} values in {length} bytes"
        )


def _materialise(content: Any) -> Any:
    """Read the tensors in the root mapping and two levels below; what only training needs is left out."""

    def walk(value: Any, depth: int) -> Any:
        if isinstance(value, _Recipe):
            return value.tensor()
        if isinstance(value, dict) and depth < 3:
            return {n: walk(v, depth + 1) for n, v in value.items() if depth or n not in _UNREAD}
        return None

    return walk(content, 0)


def _read_safetensors(file: BinaryIO, size: int) -> dict[str, torch.Tensor]:
    """Read safetensors: an 8-byte length, a JSON header of types, shapes and byte ranges, then the data."""
    import torch

    (length,) = struct.unpack("<Q", file.read(8))
    if length > min(size - 8, _MAX_HEADER):
        raise EOFError(f"the header claims {length} bytes of a file of {size}")
    header = json.loads(file.read(length))
    tensors = {}
    for name, entry in header.items():
        if name == "__metadata__":
            continue
        begin, end = entry["data_offsets"]
        dtype, shape = getattr(torch, _SAFETENSORS[entry["dtype"]]), tuple(entry["shape"])
        if not 0 <= begin <= end <= size - 8 - length or end - begin != math.prod(shape) * dtype.itemsize:
            raise EOFError(f"{name} claims bytes {begin}-{end} for shape {shape}")
        file.seek(8 + length + begin)
        data = bytearray(file.read(end - begin))
        tensors[name] = (
            torch.frombuffer(data, dtype=dtype).reshape(shape) if data else torch.empty(shape, dtype=dtype)
        )
    return tensors
