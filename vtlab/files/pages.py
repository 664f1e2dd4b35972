"""How many values the pages of a Parquet file say that they hold, counted before any of them is unpacked.

A list column of one row can stand for any number of equal values in a few bytes, and the number of rows says nothing of
it; pyarrow tells no more without running into damaged statistics, which end the process. So the file's index and the
heads of its pages are read here, as the format lays them down (https://parquet.apache.org/docs/file-format, Thrift's
compact protocol), and nothing else of it.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO

if TYPE_CHECKING:
    import pyarrow as pa

_MOST_DEPTH, _MOST_INDEX = 32, 4 * 2**20
_TRUE, _FALSE, _BYTE, _DOUBLE, _BINARY, _LIST, _SET, _MAP, _STRUCT = 1, 2, 3, 7, 8, 9, 10, 11, 12
"""Types of Thrift's compact protocol (its specification, 2017)."""
_TAIL = 8
"""Bytes behind the index: its length, and the magic number."""


@dataclass(frozen=True)
class Chunk:
    """One column within one group of rows.

    Attributes:
        path: Names of the column and of what it lies in.
        text: Whether its values are texts of any length.
        values: Values of all its pages, however few bytes stand for them.
        size: Bytes of its pages unpacked, as they say.
        dictionary: Bytes of its dictionary.
    """

    path: tuple[str, ...]
    text: bool
    values: int
    size: int
    dictionary: int


def chunks(file: BinaryIO | pa.OSFile) -> Iterator[Chunk]:
    """What the pages of each column of an open file say; raises `ValueError` where they contradict the format."""
    with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        end = len(data) - _TAIL
        if end < 0 or data[-4:] != b"PAR1":
            raise ValueError("no Parquet file, or one that is encrypted")
        length = int.from_bytes(data[end : end + 4], "little")
        if length > min(end, _MOST_INDEX):
            raise ValueError(f"its index has {length} bytes, which are more than the file or {_MOST_INDEX}")
        index = _Compact(data, end - length, end).struct()
        for group in index.get(4, ()):  # FileMetaData.row_groups
            for column in group.get(1, ()):  # RowGroup.columns
                yield _chunk(data, column[3], end - length)  # ColumnChunk.meta_data


def _chunk(data: mmap.mmap, told: dict[int, Any], end: int) -> Chunk:
    """Go through the pages of a column by their heads; `told` is its ColumnMetaData."""
    names = tuple(name.decode("utf-8", "replace") for name in told[3])
    if told[5] == 0:  # no page of it is read, and offsets point anywhere
        return Chunk(names, told[1] in (6, 7), 0, 0, 0)
    at = min(told[9], told.get(11) or told[9])  # the first page of data, or its dictionary
    stop = at + told[7]
    if not 0 <= at <= stop <= end:
        raise ValueError(f"the column {told[3]} lies outside the file")
    values = size = dictionary = 0
    while at < stop:
        reader = _Compact(data, at, stop)
        head = reader.struct()
        number = sum(head[kind][1] for kind in (5, 8) if kind in head)  # pages of data, of version 1 and 2
        unpacked, packed = head[2], head[3]
        if min(number, unpacked, packed) < 0:
            raise ValueError(f"a page of the column {told[3]} has a negative size")
        values, size, dictionary = (
            values + number,
            size + unpacked,
            dictionary + (unpacked if 7 in head else 0),
        )
        at = reader.at + packed
    return Chunk(names, told[1] in (6, 7), max(values, told[5]), size, dictionary)


class _Compact:
    """Thrift's compact protocol: a struct as field -> value, lists as lists, anything else as it is."""

    def __init__(self, data: mmap.mmap, at: int, end: int):
        self._data, self.at, self._end = data, at, end

    def _take(self, count: int) -> bytes:
        if not 0 <= count <= self._end - self.at:
            raise ValueError("its index is cut short")
        self.at += count
        return self._data[self.at - count : self.at]

    def _number(self) -> int:
        value = shift = 0
        while shift < 70:
            byte = self._take(1)[0]
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value
            shift += 7
        raise ValueError("its index holds a number without an end")

    def _signed(self) -> int:
        value = self._number()
        return (value >> 1) ^ -(value & 1)

    def struct(self, depth: int = 0) -> dict[int, Any]:
        """The fields of the struct that begins here."""
        if depth > _MOST_DEPTH:
            raise ValueError("its index is nested too deeply")
        found: dict[int, Any] = {}
        field = 0
        while head := self._take(1)[0]:
            field = field + (head >> 4) if head >> 4 else self._signed()
            found[field] = self._value(head & 15, depth)
        return found

    def _value(self, kind: int, depth: int, *, listed: bool = False) -> Any:
        if kind in (_TRUE, _FALSE):
            return self._take(1) == b"\1" if listed else kind == _TRUE
        if kind == _BYTE:
            return self._take(1)[0]
        if kind < _DOUBLE:
            return self._signed()
        if kind == _DOUBLE:
            return self._take(8)
        if kind == _BINARY:
            return self._take(self._number())
        if kind in (_LIST, _SET):
            head = self._take(1)[0]
            count = head >> 4 if head >> 4 < 15 else self._number()
            return self._several(count, (head & 15,), depth)
        if kind == _MAP:
            count = self._number()
            kinds = self._take(1)[0] if count else 0
            return self._several(count, (kinds >> 4, kinds & 15), depth)
        if kind == _STRUCT:
            return self.struct(depth + 1)
        raise ValueError(f"its index holds a value of the unknown kind {kind}")

    def _several(self, count: int, kinds: tuple[int, ...], depth: int) -> list[Any]:
        if depth > _MOST_DEPTH or count > self._end - self.at:
            raise ValueError("its index is nested too deeply, or names more than it holds")
        return [self._value(kind, depth + 1, listed=True) for _ in range(count) for kind in kinds]
