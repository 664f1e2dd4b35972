"""Columns of pyarrow as arrays of NumPy, without pandas: pyarrow loads it for its own conversion, which takes longer than
most files take to be read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray


def values_of(column: pa.Array | pa.ChunkedArray, fill: int | None = None) -> NDArray[Any]:
    """A column as an array: what pyarrow's `to_numpy` answers, with its kinds of numbers.

    Args:
        column: Numbers, flags or anything else; a dictionary or text is left to pyarrow.
        fill: Value where a whole number is missing; by default such a column is float64 with NaN there.

    Returns:
        (N,) values, read-only where they lie in pyarrow's memory; NaN where a number is missing, None where a flag is.
    """
    parts = [_part(chunk, fill) for chunk in getattr(column, "chunks", [column])]
    if not parts or any(part is None for part in parts):
        whole = column.combine_chunks() if hasattr(column, "chunks") else column
        return np.asarray(whole.to_numpy(zero_copy_only=False))
    found = [part for part in parts if part is not None]
    return found[0] if len(found) == 1 else np.concatenate(found)


def _part(chunk: pa.Array, fill: int | None) -> NDArray[Any] | None:
    """The values of one array in memory; None for what only pyarrow turns into NumPy's."""
    import pyarrow as pa

    kind, n, first = chunk.type, len(chunk), chunk.offset
    if pa.types.is_boolean(kind):
        return None if chunk.null_count else _bits(chunk.buffers()[1], first, n)
    if not (pa.types.is_integer(kind) or pa.types.is_floating(kind)):
        return None
    valid, data = chunk.buffers()
    dtype = np.dtype(kind.to_pandas_dtype())
    values: NDArray[Any] = (
        np.empty(0, dtype) if not n else np.frombuffer(data, dtype, n, offset=first * dtype.itemsize)
    )
    if not chunk.null_count:
        return values
    missing = ~_bits(valid, first, n)
    if dtype.kind == "f":
        return np.where(missing, dtype.type(np.nan), values)
    return np.where(missing, np.nan, values) if fill is None else np.where(missing, dtype.type(fill), values)


def _bits(data: Any, first: int, n: int) -> NDArray[np.bool_]:
    if not n:
        return np.empty(0, bool)
    packed = np.frombuffer(data, np.uint8)[first // 8 : (first + n + 7) // 8]
    found = np.unpackbits(packed, bitorder="little")[first % 8 : first % 8 + n]
    return found.view(bool)
