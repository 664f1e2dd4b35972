"""The columns of `Tracks` as data: one entry of `Columns` is all that a column needs.

What a column holds says its kind: `Number` (arrays of numbers), `Text`, `Blob` (masks), `Attributes` (JSON) or
`Polygons`. Views, joins, sorting, DataFrame and Parquet go over the entries and know no column by name.
"""

# ruff: noqa: RUF009 (`column` makes a field of a dataclass)
from __future__ import annotations

import itertools
import json
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vtlab.errors import TracksError
from vtlab.files.arrow import values_of
from vtlab.tracks.groups import each, first_of_each, rows_of_each


@dataclass(frozen=True)
class Column(ABC):
    """How one column is checked, filled, and held at rest.

    Attributes:
        fill: Value of rows for which nothing is given, and where a part of a joined table lacks the column.
        names: Its columns in a DataFrame and at rest; by default its own name.
        shown: Whether a DataFrame has it.
        optional: Whether a table may lack it (None).
    """

    fill: Any = None
    names: tuple[str, ...] = ()
    shown: bool = True
    optional: bool = False

    def blank(self, n: int) -> NDArray[Any]:
        """The column of `n` rows for which nothing is given."""
        return self.read(self.fill, n, "")

    def read(self, values: Any, n: int, what: str) -> NDArray[Any]:
        """What a caller gives as a column of `n` rows; raises `TracksError` naming `what`."""
        if values is None or self._is_one(values):
            column = np.empty(n, dtype=object)
            column.fill(None if values is None else self._items([values], what)[0])
            return column
        items = self._items(values, what)
        if len(items) != n:
            raise TracksError(f"Tracks: expected {n} values in {what!r}, got {len(items)}.")
        return np.fromiter(items, dtype=object, count=n)

    def _items(self, values: Any, what: str) -> list[Any]:
        return [None if value is None else self._one(value, what) for value in _listed(values, what)]

    def _is_one(self, value: Any) -> bool:
        return False

    def _one(self, value: Any, what: str) -> Any:
        return value

    def shown_as(self, name: str, column: NDArray[Any]) -> dict[str, NDArray[Any]]:
        """The columns of a DataFrame."""
        return {name: column}

    def at_rest(self, name: str, column: NDArray[Any]) -> dict[str, Any]:
        """The columns of a Parquet file, by name."""
        import pyarrow as pa

        return {self.stored(name)[0]: pa.array(column.tolist(), self.arrow())}

    def stored(self, name: str) -> tuple[str, ...]:
        """Names at rest of the column `name`."""
        return self.names or (name,)

    def from_rest(self, name: str, table: Any) -> Any:
        """What `read` takes, from a Parquet table."""
        return table.column(self.stored(name)[0]).to_pylist()

    @abstractmethod
    def arrow(self) -> Any:
        """Type at rest, of each of its columns."""


@dataclass(frozen=True)
class Number(Column):
    """Numbers or flags, one or several a row.

    Attributes:
        dtype: Type in memory and at rest.
        width: Values in a row; 0 for a plain column (N,).
        within: Smallest and largest value, or None: any; NaN is always taken.
    """

    dtype: Any = np.float64
    width: int = 0
    within: tuple[float, float] | None = None

    def read(self, values: Any, n: int, what: str) -> NDArray[Any]:
        """See `Column`; scalars are repeated."""
        shape = (n, self.width) if self.width else (n,)
        array = as_column(values, None, self.dtype, what)
        if self.within is not None:
            _check_within(array, self.within, what)
        return array.reshape(shape) if n == 0 == array.size else as_column(array, shape, self.dtype, what)

    def shown_as(self, name: str, column: NDArray[Any]) -> dict[str, NDArray[Any]]:
        """See `Column`."""
        flat = column if self.width else column[:, None]
        return {key: flat[:, i] for i, key in enumerate(self.stored(name))}

    at_rest = shown_as

    def from_rest(self, name: str, table: Any) -> Any:
        """See `Column`."""
        parts = [values_of(table.column(key)) for key in self.stored(name)]
        return np.stack(parts, axis=-1) if self.width else parts[0]

    def arrow(self) -> Any:
        """See `Column`."""
        import pyarrow as pa

        return pa.from_numpy_dtype(np.dtype(self.dtype))


class Words(NamedTuple):
    """A column of text as its words and which of them each row has, so that each word is made once, not once a row."""

    words: NDArray[np.object_]
    rows: NDArray[np.int64]


class Text(Column):
    """Text or None."""

    def read(self, values: Any, n: int, what: str) -> NDArray[Any]:
        """See `Column`."""
        return values.words[values.rows] if isinstance(values, Words) else super().read(values, n, what)

    def _is_one(self, value: Any) -> bool:
        return isinstance(value, str)

    def _items(self, values: Any, what: str) -> list[Any]:
        items = _listed(values, what)
        if {*map(type, items)} <= {str, type(None)}:
            return items
        return [None if v is None or (isinstance(v, float) and v != v) else str(v) for v in items]

    def at_rest(self, name: str, column: NDArray[Any]) -> dict[str, Any]:
        """See `Column`; one word for all rows, as most columns of text have it, is told once."""
        import pyarrow as pa

        if len(column) and (column == column[:1]).all():
            return {self.stored(name)[0]: pa.repeat(pa.scalar(column[0], self.arrow()), len(column))}
        return super().at_rest(name, column)

    def from_rest(self, name: str, table: Any) -> Any:
        """See `Column`."""
        coded = table.column(self.stored(name)[0]).cast(self.arrow()).combine_chunks().dictionary_encode()
        words = np.array([*coded.dictionary.to_pylist(), None], dtype=object)
        return Words(words, values_of(coded.indices, fill=len(words) - 1))

    def arrow(self) -> Any:
        """See `Column`."""
        import pyarrow as pa

        return pa.string()


class Blob(Column):
    """Bytes or None."""

    def _one(self, value: Any, what: str) -> Any:
        if not isinstance(value, bytes):
            raise TracksError(f"Tracks: {what!r} must hold bytes or None, got {str(value)[:60]!r}.")
        return value

    def arrow(self) -> Any:
        """See `Column`."""
        import pyarrow as pa

        return pa.binary()


class Attributes(Column):
    """Name -> JSON value, or None; at rest and in a DataFrame as JSON text."""

    def _is_one(self, value: Any) -> bool:
        return isinstance(value, Mapping)

    def _one(self, value: Any, what: str) -> Any:
        try:
            value = json.loads(value if isinstance(value, str) else json.dumps(dict(value)))
        except (TypeError, ValueError) as error:
            raise TracksError(
                f"Tracks: {what!r} must hold name -> JSON value, got {value!r} ({error})."
            ) from None
        if not isinstance(value, dict):
            raise TracksError(f"Tracks: {what!r} must hold name -> JSON value, got {value!r}.")
        return value

    def shown_as(self, name: str, column: NDArray[Any]) -> dict[str, NDArray[Any]]:
        """See `Column`."""
        text = [None if v is None else json.dumps(v, sort_keys=True) for v in column]
        return {self.stored(name)[0]: np.array(text, dtype=object)}

    def at_rest(self, name: str, column: NDArray[Any]) -> dict[str, Any]:
        """See `Column`."""
        return Text(names=self.names).at_rest(name, self.shown_as(name, column)[self.stored(name)[0]])

    def arrow(self) -> Any:
        """See `Column`."""
        return Text().arrow()


class Polygons(Column):
    """Rings of an outline: a tuple of (K, 2) float64 arrays of (x, y), K >= 3, or None."""

    def _one(self, value: Any, what: str) -> Any:
        try:
            one = np.ndim(value[0][0]) == 0
            rings = tuple(np.asarray(ring, dtype=np.float64) for ring in ([value] if one else value))
            good = all(r.ndim == 2 and r.shape[1] == 2 and len(r) > 2 and np.isfinite(r).all() for r in rings)
        except (TypeError, ValueError, IndexError):
            good = False
        if not good:
            raise TracksError(
                f"Tracks: {what!r} must hold rings of at least 3 finite points (x, y), got {value!r}."
            )
        return rings

    def at_rest(self, name: str, column: NDArray[Any]) -> dict[str, Any]:
        """See `Column`."""
        import pyarrow as pa

        flat = [None if v is None else [ring.ravel() for ring in v] for v in column]
        return {self.stored(name)[0]: pa.array(flat, self.arrow())}

    def arrow(self) -> Any:
        """See `Column`."""
        import pyarrow as pa

        return pa.list_(pa.list_(pa.float64()))

    def from_rest(self, name: str, table: Any) -> Any:
        """See `Column`."""
        column = table.column(self.stored(name)[0]).combine_chunks()
        rings, flat = column.values, values_of(column.values.values)
        begins = values_of(rings.offsets)
        if ((np.diff(begins) < 6) | (np.diff(begins) % 2 != 0)).any():  # before a list is made of them
            raise TracksError(f"Tracks: {name!r} must hold rings of at least 3 finite points (x, y).")
        ends = values_of(column.offsets).tolist()
        return [
            [flat[a:b].reshape(-1, 2) for a, b in itertools.pairwise(begins[first : last + 1].tolist())]
            if there
            else None
            for first, last, there in zip(ends, ends[1:], column.is_valid().to_pylist(), strict=False)
        ]


def _listed(values: Any, what: str) -> list[Any]:
    """The values of a column; raises `TracksError` where there is no row of them."""
    if isinstance(values, (str, bytes, Mapping)) or not hasattr(values, "__iter__"):
        raise TracksError(f"Tracks: expected one value a row in {what!r}, got {str(values)[:60]!r}.")
    return [values.item()] if isinstance(values, np.ndarray) and not values.ndim else list(values)


def as_column(values: Any, shape: tuple[int, ...] | None, dtype: Any, what: str) -> NDArray[Any]:
    """`values` as an array of `dtype` and `shape` (any where None); what is missing of the shape is repeated.

    Raises:
        TracksError: The values have another type or can't be repeated to the shape; the message names `what`.
    """
    if shape is not None and type(values) is _PLAIN.get(
        dtype
    ):  # a default, given for every answer of a tracker
        return np.full(shape, values, dtype)
    array = _exact(values, np.dtype(dtype), what)
    if shape is None or array.shape == shape:
        return array
    try:
        return np.broadcast_to(array, shape).copy()
    except ValueError:
        raise TracksError(f"Tracks: expected {what!r} of shape {shape}, got {array.shape}.") from None


def positions(index: ArrayLike, n: int) -> NDArray[np.int64]:
    """Positions of rows in a table of `n` rows, given as such or as a mask of bools.

    Raises:
        TracksError: They are neither, or there are no such rows.
    """
    try:
        keep = np.asarray(index)
    except ValueError:
        raise TracksError(
            f"Tracks: expected positions of rows or a mask of {n} bools, got {index!r}."
        ) from None
    if keep.dtype == np.bool_:
        if keep.shape != (n,):
            raise TracksError(
                f"Tracks: expected a mask of {n} bools, one a row, got one of shape {keep.shape}."
            )
        return np.flatnonzero(keep)
    rows = as_column(
        keep if keep.size else np.empty(0, np.int64), None, np.int64, "positions of rows"
    ).reshape(-1)
    bad = (rows < -n) | (rows >= n)
    if bad.any():
        raise TracksError(f"Tracks: there is no row {int(rows[bad][0])}; there are {n}, counted from 0.")
    return np.where(rows < 0, rows + n, rows)


def _first(bad: NDArray[np.bool_]) -> tuple[tuple[int, ...], str]:
    """Place of the first value that is bad, and the words for its row."""
    place = tuple(int(i) for i in np.argwhere(bad)[0])
    return place, f" in row {place[0]}" if place else ""


def _check_within(array: NDArray[Any], within: tuple[float, float], what: str) -> None:
    low, high = within
    bad = (array < low) | (array > high)
    if bad.any():
        place, at = _first(bad)
        raise TracksError(
            f"Tracks: column {what!r} holds numbers from {low:g} to {high:g}"
            f"{', or NaN where unknown' if array.dtype.kind == 'f' else ''}, got {array[place].item()!r}{at}."
        )


_PLAIN: Mapping[Any, type] = {np.float64: float, np.bool_: bool}
_WANTED = {"i": "whole numbers of 64 bits", "b": "True or False"}
_WHOLE = 2**53  # float64 holds every whole number up to here, and not all beyond


def _exact(values: Any, dtype: np.dtype[Any], what: str) -> NDArray[Any]:
    """`values` as `dtype`, each the same value as before; raises `TracksError` naming the first that isn't."""
    if isinstance(values, np.ndarray) and values.dtype == dtype and not np.ma.isMaskedArray(values):
        return values
    try:
        given = np.asarray(values)
        if given.dtype == dtype and not np.ma.isMaskedArray(values):
            return given
        bad = _changed(given, dtype)
        if np.ma.isMaskedArray(values):
            bad = bad | np.ma.getmaskarray(values)
        if not bad.any():
            return np.asarray(given, dtype=dtype)
    except (TypeError, ValueError, OverflowError) as error:
        wanted = _WANTED.get(dtype.kind, dtype.name)
        raise TracksError(f"Tracks: column {what!r} can't be read as {wanted}: {error}.") from None
    place, at = _first(bad)
    value, wanted = np.asarray(given[place]).tolist(), _WANTED.get(dtype.kind, dtype.name)
    raise TracksError(f"Tracks: column {what!r} holds {wanted}, got {value!r}{at}.")


def _changed(given: NDArray[Any], dtype: np.dtype[Any]) -> NDArray[np.bool_]:
    """Where a value of `given` would be another one as `dtype`."""
    if given.dtype == object and dtype.kind in "ib":
        if not given.ndim:  # None, a missing value of pandas, a number beyond 64 bits
            return np.ones((), bool)
        flat = [bool(_changed(np.asarray(v), dtype).any()) for v in given.ravel().tolist()]
        return np.array(flat, dtype=bool).reshape(given.shape)
    kind = given.dtype.kind
    # Complex numbers, dates, spans of time and records are no number, and text no truth.
    if kind in "cmMV" or (kind in "US" and dtype.kind == "b"):
        return np.ones(given.shape, bool)
    if dtype.kind == "b":
        return (given != 0) & (given != 1)
    if dtype.kind == "i" and kind == "f":
        return ~(np.abs(given) <= _WHOLE) | (given != np.floor(given))
    return given > np.iinfo(dtype).max if dtype.kind == "i" and kind == "u" else np.zeros(given.shape, bool)


def column(kind: Column) -> Any:
    """A field of `Columns`."""
    return (
        field(default=None, metadata={"column": kind}) if kind.optional else field(metadata={"column": kind})
    )


@dataclass(frozen=True, kw_only=True)
class Columns:
    """Rows of a table: every column of `Tracks`, declared once, in the order of a DataFrame and at rest.

    Attributes:
        frame: (N,) int64, 0-based number in the clip that was given.
        object_id: (N,) int64.
        label: (N,) object array of str or None.
        boxes: (N, 4) float64 xyxy pixels, before rotation; NaN for an object without a box.
        score: (N,) float64 in [0, 1].
        visible: (N,) bool. An absent object has no row, or `visible = False`.
        source: (N,) object array of `SOURCES`.
        velocity: (N, 2) float64 px/s, or None.
        angle: (N,) float64 radians by which the box is turned about its centre, clockwise on the screen (as
            `BoxPrompt.angle`), or None: all upright.
        occluded: (N,) bool, partly hidden though its figure is given; or None.
        outside: (N,) bool, the object has left the picture or ended, as annotation tools mark it; or None.
        key: (N,) bool, a person said this row, not a tracker or an interpolation; or None.
        time: (N,) float64 seconds in the video, NaN where unknown; or None.
        attributes: (N,) object array of dict (name -> JSON value, of this figure on this frame) or None; or None.
            What is true of an object on all frames stands in `Record.objects`.
        polygons: (N,) object array of tuples of (K, 2) float64 rings of (x, y) pixels or None; or None. The parts of
            an outline as somebody drew it, each before its holes (rings inside it); see `vtlab.tracks.outline`.
        rle: (N,) object array of bytes (COCO compressed counts) or None; None when no row has a mask.
    """

    frame: NDArray[np.int64] = column(Number(dtype=np.int64))
    object_id: NDArray[np.int64] = column(Number(dtype=np.int64))
    label: NDArray[np.object_] = column(Text())
    boxes: NDArray[np.float64] = column(Number(np.nan, ("x1", "y1", "x2", "y2"), width=4))
    score: NDArray[np.float64] = column(Number(1.0))
    visible: NDArray[np.bool_] = column(Number(True, dtype=np.bool_))
    source: NDArray[np.object_] = column(Text("tracked"))
    velocity: NDArray[np.float64] | None = column(Number(np.nan, ("vx", "vy"), width=2, optional=True))
    angle: NDArray[np.float64] | None = column(Number(0.0, optional=True))
    occluded: NDArray[np.bool_] | None = column(Number(False, dtype=np.bool_, optional=True))
    outside: NDArray[np.bool_] | None = column(Number(False, dtype=np.bool_, optional=True))
    key: NDArray[np.bool_] | None = column(Number(False, dtype=np.bool_, optional=True))
    time: NDArray[np.float64] | None = column(Number(np.nan, optional=True))
    attributes: NDArray[np.object_] | None = column(Attributes(optional=True))
    polygons: NDArray[np.object_] | None = column(Polygons(shown=False, optional=True))
    rle: NDArray[np.object_] | None = column(Blob(names=("mask",), shown=False, optional=True))

    def __len__(self) -> int:
        return len(self.frame)

    @property
    def object_ids(self) -> NDArray[np.int64]:
        """Ids of all objects, ascending."""
        return each(self.object_id)

    @property
    def frames(self) -> NDArray[np.int64]:
        """Frames that have a row, ascending."""
        return each(self.frame)

    @property
    def labels(self) -> dict[int, str]:
        """Label of each object that has one (its first)."""
        ids, first = first_of_each(self.object_id)
        found = self.label[first].tolist()
        if None in found and not (self.label == np.array(None)).all():  # a later row may say it
            rows = np.flatnonzero(self.label != np.array(None))
            ids, first = first_of_each(self.object_id[rows])
            found = self.label[rows[first]].tolist()
        return {i: label for i, label in zip(ids.tolist(), found, strict=True) if label is not None}

    def object_rows(self) -> dict[int, NDArray[np.int64]]:
        """Positions of each object's rows in their order, ids ascending; made in one pass over all rows."""
        return rows_of_each(self.object_id)

    def columns(self) -> dict[str, NDArray[Any]]:
        """The columns that the table has, by name."""
        found = {name: getattr(self, name) for name in COLUMNS}
        return {name: values for name, values in found.items() if values is not None}


COLUMNS: dict[str, Column] = {f.name: f.metadata["column"] for f in fields(Columns)}
"""Every column of `Tracks` by name."""

EXTRAS = tuple(name for name, kind in COLUMNS.items() if kind.optional and name not in ("velocity", "rle"))
"""Optional columns that `FrameTracks.columns` may carry under the same name."""


def join(parts: Sequence[Mapping[str, NDArray[Any]]], counts: Sequence[int]) -> dict[str, NDArray[Any]]:
    """Columns of several tables one after the other; a part without a column that another has is filled."""
    present: set[str] = set().union(*parts)
    return {
        name: np.concatenate(
            [p[name] if name in p else kind.blank(n) for p, n in zip(parts, counts, strict=True)]
        )
        for name, kind in COLUMNS.items()
        if name in present
    }
