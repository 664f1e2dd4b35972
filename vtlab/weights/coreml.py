"""Convolutions of a CoreML model file (.mlmodel), read without coremltools or the package protobuf.

The format is that of https://apple.github.io/coremltools/mlmodel (BSD-3-Clause): a protobuf message whose network is a
list of layers in the order of execution. Only convolutions are read; every length that the file claims is checked against
the bytes it has, and nothing of it is run.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vtlab.errors import WeightsError

_MOST_BYTES = 1 << 28
"""Of a model on a phone; more is none."""
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
"""Kinds of field on the wire (Protocol Buffers, encoding)."""
_NETWORK, _LAYER, _CONVOLUTION = 500, 1, 100  # fields of the model, the network, the layer
_NAME = 1
"""Number of a layer's name in Core ML's NeuralNetworkLayer."""
_OUTPUTS, _INPUTS, _GROUPS, _KERNEL, _STRIDE, _WEIGHTS, _BIAS = 1, 2, 10, 20, 30, 90, 91  # of the convolution
_FLOATS, _HALVES = 1, 2  # of the weights

_Fields = dict[int, list["int | memoryview"]]


@dataclass(frozen=True)
class Convolution:
    """One convolution of a file.

    Attributes:
        name: Of its layer.
        weight: (out, in of a group, rows, columns) float32.
        bias: (out,) float32, or None.
        groups: Of channels.
        stride: Rows and columns.
    """

    name: str
    weight: NDArray[np.float32]
    bias: NDArray[np.float32] | None
    groups: int
    stride: tuple[int, int]


def read_convolutions(path: str | Path) -> list[Convolution]:
    """Return the convolutions of a CoreML neural network in the order of execution.

    Raises:
        WeightsError: The file can't be read, is damaged or truncated, or holds no neural network.
    """
    path = Path(path)
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise WeightsError(f"{path} has more than {_MOST_BYTES >> 20} MiB, too much for such a model.")
        data = memoryview(path.read_bytes())
    except OSError as error:
        raise WeightsError(f"Can't read the checkpoint {path}: {error.strerror or error}.") from error
    try:
        layers = [
            _fields(_part(layer))
            for network in _fields(data).get(_NETWORK, [])
            for layer in _fields(_part(network)).get(_LAYER, [])
        ]
        found = [_convolution(layer) for layer in layers if _CONVOLUTION in layer]
    except (ValueError, UnicodeDecodeError) as error:
        raise WeightsError(
            f"The checkpoint {path} is damaged, truncated or no CoreML model ({error}). Remedy: fetch it again and compare "
            "its size and hash with the official ones."
        ) from error
    if not found:
        raise WeightsError(f"The checkpoint {path} holds no convolutions of a CoreML neural network.")
    return found


def _convolution(layer: _Fields) -> Convolution:
    field = _fields(_part(layer[_CONVOLUTION][-1]))
    name = bytes(_part(layer.get(_NAME, [memoryview(b"")])[-1])).decode()
    kernel, stride = (_pair(field, which, name) for which in (_KERNEL, _STRIDE))
    shape = (_number(field, _OUTPUTS), _number(field, _INPUTS), *kernel)
    bias = _values(field, _BIAS, shape[:1], name) if _BIAS in field else None
    weight = _values(field, _WEIGHTS, shape, name)
    if weight is None:
        raise ValueError(f"the convolution {name!r} has no weights")
    return Convolution(name, weight, bias, _number(field, _GROUPS) or 1, stride)


def _number(field: _Fields, which: int) -> int:
    value = field.get(which, [0])[-1]
    if not isinstance(value, int):
        raise ValueError(f"field {which} is no number")
    return value


def _pair(field: _Fields, which: int, name: str) -> tuple[int, int]:
    """Two numbers, in one packed field or a field each; ones where there are none."""
    found: list[int] = []
    for value in field.get(which, []):
        found += [value] if isinstance(value, int) else list(_packed(value))
    if len(found) not in (0, 2):
        raise ValueError(f"field {which} of {name!r} has {len(found)} numbers, expected 2")
    return (found[0], found[1]) if found else (1, 1)


def _values(field: _Fields, which: int, shape: tuple[int, ...], name: str) -> NDArray[np.float32] | None:
    if which not in field:
        return None
    held = _fields(_part(field[which][-1]))
    dtype = "<f2" if _HALVES in held else "<f4"
    raw = _part(held.get(_HALVES if _HALVES in held else _FLOATS, [memoryview(b"")])[-1])
    if len(raw) != math.prod(shape) * np.dtype(dtype).itemsize:
        raise ValueError(f"{name!r} claims shape {shape} and holds {len(raw)} bytes of {dtype}")
    values = np.frombuffer(raw, dtype).astype(np.float32).reshape(shape)
    if not np.isfinite(values).all():
        raise ValueError(f"{name!r} holds values that are no numbers")
    return values


def _part(value: int | memoryview) -> memoryview:
    if isinstance(value, int):
        raise ValueError("a number stands where a message should")
    return value


def _fields(data: memoryview) -> _Fields:
    """The fields of a message: number -> values in order; numbers of fixed width are left out."""
    found: _Fields = {}
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        kind, number = key & 7, key >> 3
        if kind == _VARINT:
            value, at = _varint(data, at)
            found.setdefault(number, []).append(value)
            continue
        if kind == _BYTES:
            length, at = _varint(data, at)
        elif kind in (_FIXED32, _FIXED64):
            length = 4 if kind == _FIXED32 else 8
        else:
            raise ValueError(f"unknown wire type {kind} at byte {at}")
        if length > len(data) - at:
            raise ValueError(f"field {number} claims {length} bytes, {len(data) - at} are left")
        if kind == _BYTES:
            found.setdefault(number, []).append(data[at : at + length])
        at += length
    return found


def _packed(data: memoryview) -> Iterator[int]:
    at = 0
    while at < len(data):
        value, at = _varint(data, at)
        yield value


def _varint(data: memoryview, at: int) -> tuple[int, int]:
    value = 0
    for i in range(10):
        if at + i >= len(data):
            raise ValueError("it ends within a number")
        byte = data[at + i]
        value |= (byte & 0x7F) << (7 * i)
        if byte < 0x80:
            return value, at + i + 1
    raise ValueError(f"a number of more than 10 bytes at byte {at}")
