"""FrameTracks: the answer of a tracker on one frame."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vtlab import masks as _masks
from vtlab.errors import TracksError, near
from vtlab.tracks.columns import COLUMNS, EXTRAS, as_column, join
from vtlab.tracks.points import PointRows


# Not frozen: to set fourteen frozen fields takes three times as long, and half of what an answer costs a quick tracker.
@dataclass(slots=True)
class FrameTracks:
    """The answer of a tracker on one frame: N objects, and the M points of those that are made of points.

    Make one with `FrameTracks.of`, which fills what is left out.

    Attributes:
        object_ids: (N,) int64.
        boxes: (N, 4) float64 xyxy; NaN for an object without a box.
        scores: (N,) float64 in [0, 1], how sure the tracker is.
        visible: (N,) bool, True = seen on this frame.
        masks: (N, H, W) bool, or None.
        labels: N labels (str or None), or None when none has one.
        source: One of `SOURCES` for all objects, or a tuple of N of them.
        velocities: (N, 2) float64 pixels per second as (vx, vy), or None.
        point_owners: (M,) int64, the object of each point.
        point_ids: (M,) int64.
        points: (M, 2) float64.
        point_visible: (M,) bool.
        point_scores: (M,) float64.
        columns: Further columns of `Tracks` for this frame by name, (N,) each: those of `vtlab.tracks.columns.EXTRAS`,
            as `vtlab.tracks.columns.Columns` describes them.
    """

    object_ids: NDArray[np.int64]
    boxes: NDArray[np.float64]
    scores: NDArray[np.float64]
    visible: NDArray[np.bool_]
    masks: NDArray[np.bool_] | None = None
    labels: tuple[str | None, ...] | None = None
    source: str | tuple[str, ...] = "tracked"
    velocities: NDArray[np.float64] | None = None
    point_owners: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))
    point_ids: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))
    points: NDArray[np.float64] = field(default_factory=lambda: np.empty((0, 2)))
    point_visible: NDArray[np.bool_] = field(default_factory=lambda: np.empty(0, np.bool_))
    point_scores: NDArray[np.float64] = field(default_factory=lambda: np.empty(0))
    columns: Mapping[str, NDArray[Any]] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        object_ids: ArrayLike,
        boxes: ArrayLike | None = None,
        scores: ArrayLike = 1.0,
        visible: ArrayLike = True,
        *,
        masks: NDArray[np.bool_] | None = None,
        labels: Sequence[str | None] | None = None,
        source: str | Sequence[str] = "tracked",
        velocities: ArrayLike | None = None,
        **columns: Any,
    ) -> FrameTracks:
        """Make the answer for N objects; boxes default to the masks' extents, scalars are repeated.

        Raises:
            TracksError: Shapes that don't match the number of objects, or an unknown column.
        """
        ids = as_column(object_ids, None, np.int64, "object_ids").reshape(-1)
        n = len(ids)
        if masks is not None and (masks.ndim != 3 or len(masks) != n):
            raise TracksError(f"FrameTracks: expected masks of shape ({n}, H, W), got {masks.shape}.")
        if boxes is None:
            rows = [_masks.to_box(m) for m in masks] if masks is not None else [np.full(4, np.nan)] * n
            boxes = np.array(rows)
        array = np.asarray(boxes, dtype=np.float64)
        array = array.reshape(-1, 4) if array.size == 0 or array.ndim == 1 else array
        unknown = sorted(set(columns) - set(EXTRAS)) if columns else ()
        if unknown:
            raise TracksError(f"FrameTracks has no column {unknown[0]!r}. {near(unknown[0], EXTRAS)}")
        return cls(
            ids,
            as_column(array, (n, 4), np.float64, "boxes"),
            as_column(scores, (n,), np.float64, "scores"),
            as_column(visible, (n,), np.bool_, "visible"),
            masks,
            tuple(labels) if labels is not None else None,
            source if isinstance(source, str) else tuple(source),
            None if velocities is None else as_column(velocities, (n, 2), np.float64, "velocities"),
            columns={k: COLUMNS[k].read(v, n, k) for k, v in columns.items() if v is not None},
        )

    @classmethod
    def of_points(
        cls,
        owners: ArrayLike,
        point_ids: ArrayLike,
        points: ArrayLike,
        visible: ArrayLike = True,
        scores: ArrayLike = 1.0,
        *,
        labels: Mapping[int, str] | None = None,
    ) -> FrameTracks:
        """Make the answer of a point tracker for M points; objects and their state follow from the points.

        An object is visible when any of its points is; its score is the mean of its points' scores; its box is
        the extent of its visible points, NaN unless they span an area.
        """
        rows = PointRows.of(0, owners, point_ids, points, visible, score=scores)
        ids, inverse = np.unique(rows.object_id, return_inverse=True)
        n = len(ids)
        seen = np.bincount(inverse, weights=rows.visible, minlength=n) > 0
        mean = np.bincount(inverse, weights=rows.score, minlength=n) / np.maximum(
            np.bincount(inverse, minlength=n), 1
        )
        boxes = np.full((n, 4), np.nan)
        use = rows.visible & np.isfinite(rows.xy).all(axis=1)
        low, high = np.full((n, 2), np.inf), np.full((n, 2), -np.inf)
        np.minimum.at(low, inverse[use], rows.xy[use])
        np.maximum.at(high, inverse[use], rows.xy[use])
        spans = (high > low).all(axis=1)
        boxes[spans] = np.concatenate([low, high], axis=1)[spans]
        named = None if labels is None else tuple(labels.get(int(i)) for i in ids)
        return cls(ids, boxes, mean, seen, labels=named, **_point_fields(rows))

    @classmethod
    def empty(cls) -> FrameTracks:
        """No objects."""
        return cls.of([], np.empty((0, 4)))

    def __len__(self) -> int:
        return len(self.object_ids)

    def rows(self) -> dict[str, NDArray[Any]]:
        """The objects as columns of `Tracks` (but frame and masks), by name."""
        n = len(self)
        given = {
            "object_id": self.object_ids,
            "boxes": self.boxes,
            "score": self.scores,
            "visible": self.visible,
            "label": self.labels,
            "source": self.source,
            "velocity": self.velocities,
            **self.columns,
        }
        return {
            name: value if isinstance(value, np.ndarray) else COLUMNS[name].read(value, n, name)
            for name, value in given.items()
            if value is not None
        }

    def point_rows(self, frame: int = 0) -> PointRows:
        """The points as rows of the table of points."""
        return PointRows(
            np.full(len(self.point_ids), frame, dtype=np.int64),
            self.point_owners,
            self.point_ids,
            self.points,
            self.point_visible,
            self.point_scores,
        )

    def take(self, keep: ArrayLike) -> FrameTracks:
        """The objects at `keep` (positions or a bool mask), with their points."""
        index = np.asarray(keep)
        index = np.flatnonzero(index) if index.dtype == np.bool_ else index.astype(np.int64)
        rows = {name: values[index] for name, values in self.rows().items()}
        points = self.point_rows()
        return _answer(
            rows,
            None if self.masks is None else self.masks[index],
            points.take(np.isin(points.object_id, rows["object_id"])),
        )

    @classmethod
    def concat(cls, parts: Sequence[FrameTracks]) -> FrameTracks:
        """The objects of several answers on one frame; masks must be given by all or by none that has objects."""
        parts = [p for p in parts if len(p)]
        if len(parts) == 1:
            return parts[0]
        if not parts:
            return cls.empty()
        masks = [p.masks for p in parts if p.masks is not None]
        if masks and len(masks) != len(parts):
            shape = masks[0].shape[1:]
            masks = [p.masks if p.masks is not None else np.zeros((len(p), *shape), bool) for p in parts]
        return _answer(
            join([p.rows() for p in parts], [len(p) for p in parts]),
            np.concatenate(masks) if masks else None,
            PointRows.concat([p.point_rows() for p in parts if len(p.point_ids)] or [parts[0].point_rows()]),
        )


def _answer(rows: dict[str, NDArray[Any]], masks: NDArray[np.bool_] | None, points: PointRows) -> FrameTracks:
    sources = tuple(rows["source"])
    return FrameTracks(
        rows["object_id"],
        rows["boxes"],
        rows["score"],
        rows["visible"],
        masks,
        tuple(rows["label"]) if "label" in rows else None,
        sources[0] if len(set(sources)) == 1 else sources,
        rows.get("velocity"),
        **_point_fields(points),
        columns={name: rows[name] for name in EXTRAS if name in rows},
    )


def _point_fields(points: PointRows) -> dict[str, Any]:
    return {
        "point_owners": points.object_id,
        "point_ids": points.point_id,
        "points": points.xy,
        "point_visible": points.visible,
        "point_scores": points.score,
    }
