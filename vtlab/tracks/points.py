"""Points of objects: the second table of `Tracks`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vtlab.errors import TracksError, near
from vtlab.tracks.columns import as_column, positions
from vtlab.tracks.groups import rows_of_each


@dataclass(frozen=True, slots=True)
class PointRows:
    """Points of objects: one row is one point of one object on one frame.

    Attributes:
        frame: (M,) int64, 0-based.
        object_id: (M,) int64.
        point_id: (M,) int64, order of the point within its object, from 0.
        xy: (M, 2) float64 pixels; NaN where the tracker has no answer.
        visible: (M,) bool, True = seen.
        score: (M,) float64 in [0, 1].
    """

    frame: NDArray[np.int64]
    object_id: NDArray[np.int64]
    point_id: NDArray[np.int64]
    xy: NDArray[np.float64]
    visible: NDArray[np.bool_]
    score: NDArray[np.float64]

    @classmethod
    def of(
        cls,
        frame: ArrayLike,
        object_id: ArrayLike,
        point_id: ArrayLike,
        xy: ArrayLike,
        visible: ArrayLike = True,
        *,
        score: ArrayLike = 1.0,
    ) -> PointRows:
        """Make rows from arrays of length M; scalars are repeated. Raises `TracksError` for shapes that differ."""
        xy = _pairs(xy)
        n = (len(xy),)
        return cls(
            as_column(frame, n, np.int64, "points.frame"),
            as_column(object_id, n, np.int64, "points.object_id"),
            as_column(point_id, n, np.int64, "points.point_id"),
            xy,
            as_column(visible, n, np.bool_, "points.visible"),
            as_column(score, n, np.float64, "points.score"),
        )

    @classmethod
    def empty(cls) -> PointRows:
        """No points."""
        return cls.of([], [], [], np.empty((0, 2)))

    def __len__(self) -> int:
        return len(self.frame)

    def take(self, index: NDArray[Any]) -> PointRows:
        """The rows at `index` (positions or a bool mask)."""
        rows = positions(index, len(self))
        return PointRows(*(getattr(self, name)[rows] for name in self.__slots__))

    def object_rows(self) -> dict[int, NDArray[np.int64]]:
        """Positions of each object's points in their order, ids ascending; made in one pass."""
        return rows_of_each(self.object_id)

    def replace(self, **columns: ArrayLike) -> PointRows:
        """A copy with some columns replaced; raises `TracksError` for unknown ones and values they can't have."""
        unknown = sorted(set(columns) - set(self.__slots__))
        if unknown:
            raise TracksError(f"Points have no column {unknown[0]!r}. {near(unknown[0], self.__slots__)}")
        return PointRows.of(**{name: getattr(self, name) for name in self.__slots__} | columns)

    @classmethod
    def concat(cls, parts: Sequence[PointRows]) -> PointRows:
        """All rows of several tables, one after the other."""
        if not parts:
            return cls.empty()
        return cls(*(np.concatenate([getattr(p, name) for p in parts]) for name in cls.__slots__))

    def of_rows(self, frame: NDArray[np.int64], object_id: NDArray[np.int64]) -> PointRows:
        """The points of the objects on the frames given, (N,) each."""
        return (
            self.take(np.isin(keys(self.frame, self.object_id), keys(frame, object_id)))
            if len(self)
            else self
        )

    def rows_in(self, frame: NDArray[np.int64], object_id: NDArray[np.int64]) -> NDArray[np.int64]:
        """(M,) which row each point belongs to, of rows (N,) in the order of tables, every owner among them."""
        frames, ids = np.unique(frame), np.unique(object_id)

        def place(f: NDArray[np.int64], i: NDArray[np.int64]) -> NDArray[np.int64]:
            return np.searchsorted(frames, f) * len(ids) + np.searchsorted(ids, i)

        return np.searchsorted(place(frame, object_id), place(self.frame, self.object_id))

    def sorted(self) -> PointRows:
        """The points ordered by frame, object and point."""
        order = np.lexsort((self.point_id, self.object_id, self.frame))
        return self if (order[1:] > order[:-1]).all() else self.take(order)

    def check(self, frame: NDArray[np.int64], object_id: NDArray[np.int64]) -> None:
        """Raise `TracksError` if a point is there twice, or its object has no row among those given."""
        if not len(self):
            return
        orphans = ~np.isin(keys(self.frame, self.object_id), keys(frame, object_id))
        if orphans.any():
            row = int(np.flatnonzero(orphans)[0])
            raise TracksError(
                f"Tracks: points of object {self.object_id[row]} on frame {self.frame[row]} have no row."
            )
        columns = (self.frame, self.object_id, self.point_id)
        twice = np.logical_and.reduce([np.diff(c) == 0 for c in columns])
        if twice.any():
            row = int(np.flatnonzero(twice)[0])
            raise TracksError(
                f"Tracks: point {self.point_id[row]} of object {self.object_id[row]} is twice on frame "
                f"{self.frame[row]}."
            )

    def columns(self) -> dict[str, NDArray[Any]]:
        """What a row says beside frame and object: id, x, y, visible, score."""
        return {
            "id": self.point_id,
            "x": self.xy[:, 0],
            "y": self.xy[:, 1],
            "visible": self.visible,
            "score": self.score,
        }


def _pairs(xy: ArrayLike) -> NDArray[np.float64]:
    """Positions (M, 2) of points."""
    array = as_column(xy, None, np.float64, "points.xy")
    flat = array.ndim == 1 and array.size % 2 == 0
    if array.size and not flat and (array.ndim < 2 or array.shape[-1] != 2):
        raise TracksError(f"Tracks: expected 'points.xy' of shape (M, 2), got {array.shape}.")
    return array.reshape(-1, 2)


def keys(frame: NDArray[np.int64], object_id: NDArray[np.int64]) -> NDArray[Any]:
    """Frame and object as one comparable value a row, (N,), in the order of frames, then objects."""
    # Plain bytes compare as a whole, from the first on: the highest byte comes first, and its sign is turned, so that their
    # order is that of the numbers.
    pairs = np.empty((len(frame), 2), dtype=">i8")
    pairs[:, 0], pairs[:, 1] = frame, object_id
    pairs.view(np.uint8).reshape(-1, 8)[:, 0] ^= 0x80
    return pairs.view(np.dtype((np.void, 16)))[:, 0]
