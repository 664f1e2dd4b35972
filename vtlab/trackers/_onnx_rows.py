"""ONNX files of a fixed batch of 1, made to take several rows at once.

`with_rows` changes the shapes that such a file spells out, and nothing else; OpenCV reads the result from memory.
The few kinds of message that this touches are read and written here as protobuf's wire format describes them
(https://protobuf.dev/programming-guides/encoding), field numbers are those of ONNX's `onnx.proto`, so that the
light trackers need no package for it.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from vtlab.errors import WeightsError

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
_MODEL_GRAPH = 7
_NODE, _INITIALIZER, _INPUT, _OUTPUT = 1, 5, 11, 12
_NODE_INPUT, _NODE_OUTPUT, _NODE_TYPE, _NODE_ATTRIBUTE = 1, 2, 4, 5
_ATTRIBUTE_NAME, _ATTRIBUTE_INT, _ATTRIBUTE_TENSOR = 1, 3, 5
_TENSOR_INT64, _TENSOR_NAME, _TENSOR_RAW = 7, 8, 9
_SHAPE_OF_VALUE = (2, 1, 2)  # ValueInfo.type, Type.tensor_type, Tensor.shape
_DIM, _DIM_VALUE = 1, 1


class Message:
    """A protobuf message as its fields in order: number -> wire type and raw value.

    Raises:
        ValueError: The bytes are no message.
    """

    def __init__(self, data: bytes):
        self.fields: list[tuple[int, int, int | bytes]] = []
        at = 0
        while at < len(data):
            key, at = _varint(data, at)
            number, kind = key >> 3, key & 7
            value: int | bytes
            if kind == VARINT:
                value, at = _varint(data, at)
            else:
                if kind == BYTES:
                    size, at = _varint(data, at)
                elif kind in (FIXED64, FIXED32):
                    size = 8 if kind == FIXED64 else 4
                else:
                    raise ValueError(f"wire type {kind}")
                value, at = data[at : at + size], at + size
                if at > len(data):
                    raise ValueError("cut short")
            self.fields.append((number, kind, value))

    def __bytes__(self) -> bytes:
        parts = []
        for number, kind, value in self.fields:
            parts.append(_encoded(number << 3 | kind))
            if isinstance(value, int):
                parts.append(_encoded(value))
            else:
                parts += [_encoded(len(value)), value] if kind == BYTES else [value]
        return b"".join(parts)

    def all(self, number: int) -> Iterator[tuple[int, bytes]]:
        """Place and value of each field of a number that holds bytes."""
        for place, (field, _, value) in enumerate(self.fields):
            if field == number and isinstance(value, bytes):
                yield place, value

    def texts(self, number: int) -> list[str]:
        """The strings of a repeated field."""
        return [value.decode() for _, value in self.all(number)]

    def put(self, place: int, value: int | bytes | Message) -> None:
        """Replace the value at a place."""
        number, kind, _ = self.fields[place]
        self.fields[place] = (number, kind, bytes(value) if isinstance(value, Message) else value)


def with_rows(model: bytes, rows: int) -> bytes:
    """Return an ONNX model of batch 1 as one of `rows` rows.

    The first axis of inputs, outputs and of every constant shape that a Reshape takes becomes `rows`. A convolution
    whose kernel is computed (the correlation of a Siamese tracker: each row with a kernel of its own) takes all
    rows as so many more groups.

    Raises:
        WeightsError: The bytes are no ONNX model, or one with another kind of correlation.
    """
    if rows == 1:
        return model
    try:
        file = Message(model)
        ((place, data),) = file.all(_MODEL_GRAPH)
        graph = Message(data)
        _widen(graph, rows)
    except (ValueError, IndexError, KeyError) as error:
        raise WeightsError(
            f"This is no ONNX model whose batch of 1 can be made {rows} ({error!r}). Remedy: fetch the file again, "
            "or let the objects take turns with batch=1."
        ) from error
    file.put(place, graph)
    return bytes(file)


def _widen(graph: Message, rows: int) -> None:
    nodes = [(place, Message(data)) for place, data in graph.all(_NODE)]
    held = {Message(data).texts(_TENSOR_NAME)[0] for _, data in graph.all(_INITIALIZER)}
    shape_of: dict[str, str] = {}  # what a Reshape gives -> the constant with its shape
    correlations = []
    for place, node in nodes:
        kind, inputs = node.texts(_NODE_TYPE)[0], node.texts(_NODE_INPUT)
        if kind == "Reshape":
            shape_of[node.texts(_NODE_OUTPUT)[0]] = inputs[1]
        if kind == "Conv" and inputs[1] not in held:
            correlations.append((place, node, inputs))
    axis = dict.fromkeys(shape_of.values(), 0)  # constant -> the axis that grows
    for place, node, inputs in correlations:
        axis[shape_of[inputs[0]]] = 1
        for at, data in node.all(_NODE_ATTRIBUTE):
            attribute = Message(data)
            if attribute.texts(_ATTRIBUTE_NAME) == ["group"]:
                for spot, (number, _, value) in enumerate(attribute.fields):
                    if number == _ATTRIBUTE_INT and isinstance(value, int):
                        attribute.put(spot, value * rows)
                node.put(at, attribute)
        graph.put(place, node)
    for place, data in graph.all(_INITIALIZER):
        tensor = Message(data)
        (name,) = tensor.texts(_TENSOR_NAME)
        if name in axis:
            graph.put(place, _grown(tensor, axis[name], rows))
    for place, node in nodes:
        (name, *_) = node.texts(_NODE_OUTPUT)
        if name in axis:  # a Constant
            for at, data in node.all(_NODE_ATTRIBUTE):
                attribute = Message(data)
                for spot, value in attribute.all(_ATTRIBUTE_TENSOR):
                    attribute.put(spot, _grown(Message(value), axis[name], rows))
                node.put(at, attribute)
            graph.put(place, node)
    for number in (_INPUT, _OUTPUT):
        for place, data in graph.all(number):
            graph.put(place, _value_of_rows(Message(data), _SHAPE_OF_VALUE, rows))


def _grown(tensor: Message, axis: int, rows: int) -> Message:
    """A shape constant with one of its entries multiplied, as raw bytes."""
    raw = [value for _, value in tensor.all(_TENSOR_RAW)]
    shape: NDArray[np.int64] = np.frombuffer(raw[0], "<i8").copy() if raw else _integers(tensor)
    if shape[axis] > 0:
        shape[axis] *= rows
    tensor.fields = [f for f in tensor.fields if f[0] not in (_TENSOR_INT64, _TENSOR_RAW)]
    tensor.fields.append((_TENSOR_RAW, BYTES, shape.astype("<i8").tobytes()))
    return tensor


def _integers(tensor: Message) -> NDArray[np.int64]:
    """The integers of a tensor that are spelled out one by one or packed."""
    values = []
    for number, _, value in tensor.fields:
        if number == _TENSOR_INT64 and isinstance(value, int):
            values.append(value)
        elif number == _TENSOR_INT64 and isinstance(value, bytes):
            at = 0
            while at < len(value):
                one, at = _varint(value, at)
                values.append(one)
    return np.array(values, np.uint64).view(np.int64)


def _value_of_rows(message: Message, path: tuple[int, ...], rows: int) -> Message:
    """A description of an input or output with its first axis multiplied."""
    if path:
        for place, data in message.all(path[0]):
            message.put(place, _value_of_rows(Message(data), path[1:], rows))
        return message
    for place, data in list(message.all(_DIM))[:1]:
        dim = Message(data)
        for spot, (number, _, value) in enumerate(dim.fields):
            if number == _DIM_VALUE and isinstance(value, int):
                dim.put(spot, value * rows)
        message.put(place, dim)
    return message


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value, shift = 0, 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
        if shift > 63:
            raise ValueError("a number of more than 64 bits")


def _encoded(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)
