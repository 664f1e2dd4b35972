"""Tracks: the one result type, columnar; what every tracker returns and every metric, plot and format takes.

One row is one object on one frame. Masks are kept run-length encoded, points as a second table. At rest it is one
Parquet file: a row per object and frame, masks in a binary column, points as list columns, provenance in the
file's metadata.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vtlab import masks as _masks
from vtlab.errors import FormatError, InputError, TracksError
from vtlab.files import write_whole

if TYPE_CHECKING:
    import pandas as pd
    import supervision as sv

SOURCES = ("tracked", "manual", "detected", "interpolated")
_VERSION = 1


def _column(values: Any, shape: tuple[int, ...], dtype: Any, what: str) -> NDArray[Any]:
    try:
        array = np.asarray(values, dtype=dtype)
    except (TypeError, ValueError) as error:
        raise TracksError(
            f"Tracks: column {what!r} can't be read as {np.dtype(dtype).name}: {error}."
        ) from None
    if array.shape != shape:
        try:
            array = np.broadcast_to(array, shape).copy()
        except ValueError:
            raise TracksError(f"Tracks: expected {what!r} of shape {shape}, got {array.shape}.") from None
    return array


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
        score: ArrayLike = 1.0,
    ) -> PointRows:
        """Make rows from arrays of length M; scalars are repeated. Raises `TracksError` for shapes that differ."""
        xy = np.asarray(xy, dtype=np.float64).reshape(-1, 2)
        n = (len(xy),)
        return cls(
            _column(frame, n, np.int64, "points.frame"),
            _column(object_id, n, np.int64, "points.object_id"),
            _column(point_id, n, np.int64, "points.point_id"),
            xy,
            _column(visible, n, np.bool_, "points.visible"),
            _column(score, n, np.float64, "points.score"),
        )

    @classmethod
    def empty(cls) -> PointRows:
        """No points."""
        return cls.of([], [], [], np.empty((0, 2)))

    def __len__(self) -> int:
        return len(self.frame)

    def take(self, index: NDArray[Any]) -> PointRows:
        """The rows at `index` (positions or a bool mask)."""
        return PointRows(*(getattr(self, name)[index] for name in self.__slots__))

    @classmethod
    def concat(cls, parts: Sequence[PointRows]) -> PointRows:
        """All rows of several tables, one after the other."""
        if not parts:
            return cls.empty()
        return cls(*(np.concatenate([getattr(p, name) for p in parts]) for name in cls.__slots__))


@dataclass(frozen=True, slots=True)
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
    ) -> FrameTracks:
        """Make the answer for N objects; boxes default to the masks' extents, scalars are repeated.

        Raises:
            TracksError: Shapes that don't match the number of objects.
        """
        ids = np.asarray(object_ids, dtype=np.int64).reshape(-1)
        n = len(ids)
        if masks is not None and (masks.ndim != 3 or len(masks) != n):
            raise TracksError(f"FrameTracks: expected masks of shape ({n}, H, W), got {masks.shape}.")
        if boxes is None:
            rows = [_masks.to_box(m) for m in masks] if masks is not None else [np.full(4, np.nan)] * n
            boxes = np.array(rows)
        array = np.asarray(boxes, dtype=np.float64)
        array = array.reshape(-1, 4) if array.size == 0 or array.ndim == 1 else array
        return cls(
            ids,
            _column(array, (n, 4), np.float64, "boxes"),
            _column(scores, (n,), np.float64, "scores"),
            _column(visible, (n,), np.bool_, "visible"),
            masks,
            tuple(labels) if labels is not None else None,
            source if isinstance(source, str) else tuple(source),
            None if velocities is None else _column(velocities, (n, 2), np.float64, "velocities"),
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
        rows = PointRows.of(0, owners, point_ids, points, visible, scores)
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
        return cls(
            ids,
            boxes,
            mean,
            seen,
            None,
            None if labels is None else tuple(labels.get(int(i)) for i in ids),
            "tracked",
            None,
            rows.object_id,
            rows.point_id,
            rows.xy,
            rows.visible,
            rows.score,
        )

    @classmethod
    def empty(cls) -> FrameTracks:
        """No objects."""
        return cls.of([], np.empty((0, 4)))

    def __len__(self) -> int:
        return len(self.object_ids)

    def take(self, keep: ArrayLike) -> FrameTracks:
        """The objects at `keep` (positions or a bool mask), with their points."""
        index = np.asarray(keep)
        index = np.flatnonzero(index) if index.dtype == np.bool_ else index.astype(np.int64)
        ids = self.object_ids[index]
        mine = np.isin(self.point_owners, ids)
        return FrameTracks(
            ids,
            self.boxes[index],
            self.scores[index],
            self.visible[index],
            None if self.masks is None else self.masks[index],
            None if self.labels is None else tuple(self.labels[i] for i in index),
            self.source if isinstance(self.source, str) else tuple(self.source[i] for i in index),
            None if self.velocities is None else self.velocities[index],
            self.point_owners[mine],
            self.point_ids[mine],
            self.points[mine],
            self.point_visible[mine],
            self.point_scores[mine],
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
        labelled = any(p.labels is not None for p in parts)
        moving = any(p.velocities is not None for p in parts)
        sources = tuple(
            s for p in parts for s in ([p.source] * len(p) if isinstance(p.source, str) else p.source)
        )
        return cls(
            np.concatenate([p.object_ids for p in parts]),
            np.concatenate([p.boxes for p in parts]),
            np.concatenate([p.scores for p in parts]),
            np.concatenate([p.visible for p in parts]),
            np.concatenate(masks) if masks else None,
            tuple(x for p in parts for x in (p.labels or (None,) * len(p))) if labelled else None,
            sources[0] if len(set(sources)) == 1 else sources,
            np.concatenate(
                [p.velocities if p.velocities is not None else np.full((len(p), 2), np.nan) for p in parts]
            )
            if moving
            else None,
            np.concatenate([p.point_owners for p in parts]),
            np.concatenate([p.point_ids for p in parts]),
            np.concatenate([p.points for p in parts]),
            np.concatenate([p.point_visible for p in parts]),
            np.concatenate([p.point_scores for p in parts]),
        )


@dataclass(frozen=True)
class Tracks:
    """Objects over a video, columnar, ordered by frame and object. Make one with `Tracks.of` or a `TracksBuilder`.

    Attributes:
        frame: (N,) int64, 0-based.
        object_id: (N,) int64.
        boxes: (N, 4) float64 xyxy pixels; NaN for an object without a box.
        score: (N,) float64 in [0, 1].
        visible: (N,) bool. An absent object has no row, or `visible = False`.
        label: (N,) object array of str or None.
        source: (N,) object array of `SOURCES`.
        rle: (N,) object array of bytes (COCO compressed counts) or None; None when no row has a mask.
        velocity: (N, 2) float64 px/s, or None.
        points: The second table, `PointRows`.
        size: (height, width) of the video's frames in pixels; needed as soon as there are masks.
        meta: Provenance: tracker, parameters, weights, versions, hardware, video. JSON values only.
        step_seconds: (S,) float64, wall time of each step of the tracker in the order they ran.
    """

    frame: NDArray[np.int64]
    object_id: NDArray[np.int64]
    boxes: NDArray[np.float64]
    score: NDArray[np.float64]
    visible: NDArray[np.bool_]
    label: NDArray[np.object_]
    source: NDArray[np.object_]
    rle: NDArray[np.object_] | None = None
    velocity: NDArray[np.float64] | None = None
    points: PointRows = field(default_factory=PointRows.empty)
    size: tuple[int, int] | None = None
    meta: dict[str, Any] = field(default_factory=dict)
    step_seconds: NDArray[np.float64] = field(default_factory=lambda: np.empty(0))

    @classmethod
    def of(
        cls,
        frame: ArrayLike,
        object_id: ArrayLike,
        boxes: ArrayLike | None = None,
        score: ArrayLike = 1.0,
        visible: ArrayLike = True,
        *,
        label: Any = None,
        source: Any = "tracked",
        masks: Sequence[Any] | None = None,
        velocity: ArrayLike | None = None,
        points: PointRows | None = None,
        size: tuple[int, int] | None = None,
        meta: Mapping[str, Any] | None = None,
        step_seconds: ArrayLike = (),
    ) -> Tracks:
        """Make tracks from columns in any row order; scalars are repeated.

        Args:
            frame: (N,) 0-based frames.
            object_id: (N,) identities.
            boxes: (N, 4) xyxy; the masks' extents (or NaN) when omitted.
            score: (N,) in [0, 1].
            visible: (N,) bool.
            label: (N,) str or None.
            source: (N,) one of `SOURCES`.
            masks: N masks (H, W), or their encodings as bytes, or None for a row without one.
            velocity: (N, 2) px/s.
            points: Table of points.
            size: (height, width) of the frames.
            meta: Provenance.
            step_seconds: Wall time of each step.

        Raises:
            TracksError: Columns of different lengths, an object twice on one frame, a negative frame, infinite
                or inverted boxes, an unknown source, masks of different sizes, damaged encodings.
        """
        frames = np.asarray(frame, dtype=np.int64).reshape(-1)
        n = len(frames)
        rle, size = _encode_all(masks, n, size)
        if boxes is None:
            box_array = np.full((n, 4), np.nan)
        else:
            box_array = np.asarray(boxes, dtype=np.float64)
            box_array = box_array.reshape(-1, 4) if box_array.size == 0 else box_array
        tracks = cls(
            frames,
            _column(object_id, (n,), np.int64, "object_id"),
            _column(box_array, (n, 4), np.float64, "boxes"),
            _column(score, (n,), np.float64, "score"),
            _column(visible, (n,), np.bool_, "visible"),
            _objects(label, n, "label"),
            _objects(source, n, "source"),
            rle,
            None if velocity is None else _column(velocity, (n, 2), np.float64, "velocity"),
            points if points is not None else PointRows.empty(),
            size,
            dict(meta or {}),
            np.asarray(step_seconds, dtype=np.float64).reshape(-1),
        )
        tracks = tracks._sorted()._validated()
        if rle is None:
            return tracks
        runs = tracks.runs()
        return tracks if boxes is not None else replace(tracks, boxes=runs.boxes())

    @classmethod
    def empty(cls, **kwargs: Any) -> Tracks:
        """Tracks without rows."""
        return cls.of([], [], np.empty((0, 4)), **kwargs)

    # -- size and views ---------------------------------------------------------------------------------------

    def __len__(self) -> int:
        return len(self.frame)

    def __repr__(self) -> str:
        what = [f"{len(self)} rows", f"{len(self.object_ids)} objects"]
        if len(self):
            what.append(f"frames {self.frame[0]}-{self.frame[-1]}")
        if self.rle is not None:
            what.append("masks")
        if len(self.points):
            what.append(f"{len(self.points)} points")
        name = (
            self.meta.get("tracker", {}).get("name") if isinstance(self.meta.get("tracker"), dict) else None
        )
        return f"Tracks({', '.join(what)}{f', by {name}' if name else ''})"

    @property
    def object_ids(self) -> NDArray[np.int64]:
        """Ids of all objects, ascending."""
        return np.unique(self.object_id)

    @property
    def frames(self) -> NDArray[np.int64]:
        """Frames that have a row, ascending."""
        return np.unique(self.frame)

    @property
    def labels(self) -> dict[int, str]:
        """Label of each object that has one (its first)."""
        found: dict[int, str] = {}
        for i, text in zip(self.object_id, self.label, strict=True):
            if text is not None:
                found.setdefault(int(i), text)
        return found

    @property
    def name(self) -> str:
        """Name of the tracker that made these tracks, or 'tracks'."""
        tracker = self.meta.get("tracker")
        return str(tracker.get("name", "tracks")) if isinstance(tracker, dict) else "tracks"

    def take(self, index: ArrayLike) -> Tracks:
        """The rows at `index` (positions or a bool mask), with the points of those rows."""
        keep = np.asarray(index)
        keep = np.flatnonzero(keep) if keep.dtype == np.bool_ else np.sort(keep.astype(np.int64))
        points = self.points
        if len(points):
            wanted = _keys(self.frame[keep], self.object_id[keep])
            points = points.take(np.isin(_keys(points.frame, points.object_id), wanted))
        return Tracks(
            self.frame[keep],
            self.object_id[keep],
            self.boxes[keep],
            self.score[keep],
            self.visible[keep],
            self.label[keep],
            self.source[keep],
            None if self.rle is None else self.rle[keep],
            None if self.velocity is None else self.velocity[keep],
            points,
            self.size,
            self.meta,
            self.step_seconds,
        )

    def at(self, frame: int) -> Tracks:
        """The rows of one frame."""
        low, high = np.searchsorted(self.frame, [frame, frame + 1])
        return self.take(np.arange(low, high))

    def of_object(self, object_id: int) -> Tracks:
        """The rows of one object."""
        return self.take(self.object_id == object_id)

    def between(self, start: int, stop: int) -> Tracks:
        """The rows of frames start <= frame < stop."""
        low, high = np.searchsorted(self.frame, [start, stop])
        return self.take(np.arange(low, high))

    def seen(self) -> Tracks:
        """The rows that are visible."""
        return self.take(self.visible)

    def renamed(self, ids: Mapping[int, int]) -> Tracks:
        """The same tracks with object ids replaced; ids not in `ids` stay."""

        def new(column: NDArray[np.int64]) -> NDArray[np.int64]:
            return np.array([ids.get(int(i), int(i)) for i in column], dtype=np.int64)

        points = self.points
        points = PointRows(
            points.frame, new(points.object_id), points.point_id, points.xy, points.visible, points.score
        )
        return self.replace(object_id=new(self.object_id), points=points)

    def replace(self, **columns: Any) -> Tracks:
        """A copy with some attributes replaced, sorted and validated."""
        tracks = replace(self, **columns)._sorted()._validated()
        if {"rle", "size"} & set(columns):
            tracks.runs()
        return tracks

    def mask(self, row: int) -> _masks.Mask | None:
        """The mask (H, W) of a row, or None."""
        if self.rle is None or self.rle[row] is None or self.size is None:
            return None
        return _masks.decode(self.rle[row], *self.size)

    def runs(self) -> _masks.Runs:
        """The masks of all rows as runs; a row without a mask has none. Raises `TracksError` for a damaged one."""
        rle = [None] * len(self) if self.rle is None else self.rle.tolist()
        try:
            return _masks.Runs.of(rle, *(self.size or (0, 0)), name=self._name_of_mask)
        except InputError as error:
            raise TracksError(f"Tracks: {error}") from None

    def _name_of_mask(self, row: int) -> str:
        return f"the mask of object {self.object_id[row]} on frame {self.frame[row]}"

    def masks_at(self, frame: int) -> dict[int, _masks.Mask]:
        """Object id -> mask (H, W) on one frame, for the objects that have one."""
        low, high = np.searchsorted(self.frame, [frame, frame + 1])
        found = {int(self.object_id[row]): self.mask(row) for row in range(low, high)}
        return {i: m for i, m in found.items() if m is not None}

    @classmethod
    def concat(cls, parts: Iterable[Tracks], *, meta: Mapping[str, Any] | None = None) -> Tracks:
        """All rows of several tracks of one video; raises `TracksError` if an object is twice on a frame."""
        items = list(parts)
        if not items:
            return cls.empty(meta=meta)
        n = [len(t) for t in items]
        encoded = any(t.rle is not None for t in items)
        moving = any(t.velocity is not None for t in items)
        none = np.array([None], dtype=object)
        sizes = {t.size for t in items if t.size is not None}
        if len(sizes) > 1:
            raise TracksError(
                f"Tracks of different frame sizes can't be joined: {sorted(sizes)} (height, width)."
            )
        return (
            cls(
                np.concatenate([t.frame for t in items]),
                np.concatenate([t.object_id for t in items]),
                np.concatenate([t.boxes for t in items]),
                np.concatenate([t.score for t in items]),
                np.concatenate([t.visible for t in items]),
                np.concatenate([t.label for t in items]),
                np.concatenate([t.source for t in items]),
                np.concatenate(
                    [t.rle if t.rle is not None else none.repeat(k) for t, k in zip(items, n, strict=True)]
                )
                if encoded
                else None,
                np.concatenate(
                    [
                        t.velocity if t.velocity is not None else np.full((k, 2), np.nan)
                        for t, k in zip(items, n, strict=True)
                    ]
                )
                if moving
                else None,
                PointRows.concat([t.points for t in items]),
                next(iter(sizes), None),
                dict(meta if meta is not None else items[0].meta),
                np.concatenate([t.step_seconds for t in items]),
            )
            ._sorted()
            ._validated()
        )

    # -- other forms ------------------------------------------------------------------------------------------

    def to_frame(self) -> pd.DataFrame:
        """A DataFrame with the columns frame, object_id, label, x1, y1, x2, y2, score, visible, source (, vx, vy)."""
        import pandas as pd

        data = {"frame": self.frame, "object_id": self.object_id, "label": self.label}
        data.update({name: self.boxes[:, i] for i, name in enumerate(("x1", "y1", "x2", "y2"))})
        data.update({"score": self.score, "visible": self.visible, "source": self.source})
        if self.velocity is not None:
            data.update({"vx": self.velocity[:, 0], "vy": self.velocity[:, 1]})
        return pd.DataFrame(data)

    def points_frame(self) -> pd.DataFrame:
        """A DataFrame of the points: frame, object_id, point_id, x, y, visible, score."""
        import pandas as pd

        p = self.points
        return pd.DataFrame(
            {
                "frame": p.frame,
                "object_id": p.object_id,
                "point_id": p.point_id,
                "x": p.xy[:, 0],
                "y": p.xy[:, 1],
                "visible": p.visible,
                "score": p.score,
            }
        )

    def join(self, other: Tracks) -> pd.DataFrame:
        """Rows of both tables matched by frame and object; columns of `other` end in `_other`; unmatched are NaN."""
        return self.to_frame().merge(
            other.to_frame(), on=["frame", "object_id"], how="outer", suffixes=("", "_other")
        )

    def to_supervision(self, frame: int) -> sv.Detections:
        """The visible objects of one frame as `supervision.Detections`, `tracker_id` = object id."""
        import supervision as sv

        now = self.at(frame).seen()
        masks = None
        if now.rle is not None and len(now) and all(r is not None for r in now.rle):
            masks = np.stack([m for m in (now.mask(i) for i in range(len(now))) if m is not None])
        return sv.Detections(
            xyxy=now.boxes,
            mask=masks,
            confidence=now.score,
            tracker_id=now.object_id,
            data={"label": np.array([x if x is not None else "" for x in now.label], dtype=str)},
        )

    def player(self, video: Any, *, truth: Tracks | None = None, width: int = 720) -> Any:
        """A widget that plays the video with these tracks drawn on it (in a notebook); see `TrackPlayer`."""
        from vtlab.studio import TrackPlayer

        return TrackPlayer(video, self, truth=truth, width=width)

    # -- at rest ----------------------------------------------------------------------------------------------

    def save(self, path: str | Path) -> Path:
        """Write one Parquet file (whole or not at all) and return its path."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        meta = {
            "version": _VERSION,
            "size": self.size,
            "meta": self.meta,
            "step_seconds": self.step_seconds.tolist(),
        }
        table = pa.table(_arrow_columns(self)).replace_schema_metadata({"vtlab": json.dumps(meta)})
        return write_whole(path, lambda part: pq.write_table(table, part, compression="zstd"))

    @classmethod
    def load(cls, path: str | Path) -> Tracks:
        """Read a Parquet file that `save` wrote; raises `FormatError` for anything else."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        if not Path(path).is_file():
            raise FormatError(f"{path}: there is no such tracks file.")
        try:
            table = pq.read_table(path)
        except (pa.ArrowException, OSError) as error:
            raise FormatError(f"{path}: not a Parquet file of tracks ({error}).") from None
        header = (table.schema.metadata or {}).get(b"vtlab")
        if header is None:
            raise FormatError(
                f"{path}: a Parquet file, but not one that Tracks.save wrote (no 'vtlab' metadata)."
            )
        try:
            return _from_arrow(table, json.loads(header))
        except (KeyError, TypeError, ValueError, json.JSONDecodeError) as error:
            raise FormatError(
                f"{path}: the tracks in it are damaged or of another version ({error})."
            ) from None

    def save_csv(self, path: str | Path) -> Path:
        """Write the rows (without masks and points) as CSV, for eyes and spreadsheets."""
        return write_whole(path, lambda part: self.to_frame().to_csv(part, index=False))

    # -- order and validity -----------------------------------------------------------------------------------

    def _sorted(self) -> Tracks:
        order = np.lexsort((self.object_id, self.frame))
        p = self.points
        point_order = np.lexsort((p.point_id, p.object_id, p.frame))
        if (order[1:] > order[:-1]).all() and (point_order[1:] > point_order[:-1]).all():
            return self
        return Tracks(
            self.frame[order],
            self.object_id[order],
            self.boxes[order],
            self.score[order],
            self.visible[order],
            self.label[order],
            self.source[order],
            None if self.rle is None else self.rle[order],
            None if self.velocity is None else self.velocity[order],
            p.take(point_order),
            self.size,
            self.meta,
            self.step_seconds,
        )

    def _validated(self) -> Tracks:
        if len(self) == 0 and len(self.points) == 0:
            return self
        same = (np.diff(self.frame) == 0) & (np.diff(self.object_id) == 0)
        if same.any():
            row = int(np.flatnonzero(same)[0])
            raise TracksError(
                f"Tracks: object {self.object_id[row]} has two rows on frame {self.frame[row]}."
            )
        if len(self) and self.frame[0] < 0:
            raise TracksError(f"Tracks: frames count from 0, got frame {self.frame[0]}.")
        bad = np.isinf(self.boxes).any(axis=1) | (self.boxes[:, 2:] < self.boxes[:, :2]).any(axis=1)
        if bad.any():
            row = int(np.flatnonzero(bad)[0])
            raise TracksError(
                f"Tracks: the box {self.boxes[row].tolist()} of object {self.object_id[row]} on frame "
                f"{self.frame[row]} is not x1 <= x2, y1 <= y2 with finite edges."
            )
        unknown = set(self.source.tolist()) - set(SOURCES)
        if unknown:
            raise TracksError(
                f"Tracks: unknown source {sorted(map(str, unknown))[0]!r}. Known: {', '.join(SOURCES)}."
            )
        p = self.points
        if len(p):
            orphans = ~np.isin(_keys(p.frame, p.object_id), _keys(self.frame, self.object_id))
            if orphans.any():
                row = int(np.flatnonzero(orphans)[0])
                raise TracksError(
                    f"Tracks: points of object {p.object_id[row]} on frame {p.frame[row]} have no row."
                )
            twice = (np.diff(p.frame) == 0) & (np.diff(p.object_id) == 0) & (np.diff(p.point_id) == 0)
            if twice.any():
                row = int(np.flatnonzero(twice)[0])
                raise TracksError(
                    f"Tracks: point {p.point_id[row]} of object {p.object_id[row]} is twice on frame {p.frame[row]}."
                )
        return self


class TracksBuilder:
    """Collects the answers of a tracker frame by frame; masks are encoded at once, so memory stays small.

    Args:
        size: (height, width) of the video's frames in pixels.
    """

    def __init__(self, size: tuple[int, int] | None = None):
        self._size = size
        self._frames: list[int] = []
        self._parts: list[FrameTracks] = []
        self._rle: list[list[bytes | None]] = []

    def add(self, frame: int, answer: FrameTracks) -> None:
        """Add the answer for one frame."""
        if answer.masks is not None:
            if self._size is None:
                self._size = (answer.masks.shape[1], answer.masks.shape[2])
            # Something seen without a single pixel is an object of another geometry: it has no mask.
            seen = answer.visible.tolist()
            rle: list[bytes | None] = [
                None if s and not m.any() else _masks.encode(m)
                for m, s in zip(answer.masks, seen, strict=True)
            ]
            answer = replace(answer, masks=None)
        else:
            rle = [None] * len(answer)
        self._frames.append(frame)
        self._parts.append(answer)
        self._rle.append(rle)

    def __len__(self) -> int:
        return len(self._frames)

    def build(self, meta: Mapping[str, Any] | None = None, step_seconds: ArrayLike = ()) -> Tracks:
        """All answers so far as `Tracks`."""
        parts, counts = self._parts, [len(p) for p in self._parts]
        if not parts:
            return Tracks.empty(size=self._size, meta=meta, step_seconds=step_seconds)
        frames = np.repeat(np.array(self._frames, dtype=np.int64), counts)
        rle = [r for part in self._rle for r in part]
        velocity = None
        if any(p.velocities is not None for p in parts):
            velocity = np.concatenate(
                [p.velocities if p.velocities is not None else np.full((len(p), 2), np.nan) for p in parts]
            )
        points = PointRows(
            np.repeat(np.array(self._frames, dtype=np.int64), [len(p.point_ids) for p in parts]),
            np.concatenate([p.point_owners for p in parts]),
            np.concatenate([p.point_ids for p in parts]),
            np.concatenate([p.points for p in parts]),
            np.concatenate([p.point_visible for p in parts]),
            np.concatenate([p.point_scores for p in parts]),
        )
        labels = [x for p in parts for x in (p.labels or (None,) * len(p))]
        sources = [s for p in parts for s in ([p.source] * len(p) if isinstance(p.source, str) else p.source)]
        return Tracks.of(
            frames,
            np.concatenate([p.object_ids for p in parts]),
            np.concatenate([p.boxes for p in parts]),
            np.concatenate([p.scores for p in parts]),
            np.concatenate([p.visible for p in parts]),
            label=labels,
            source=sources,
            masks=rle if any(r is not None for r in rle) else None,
            velocity=velocity,
            points=points,
            size=self._size,
            meta=meta,
            step_seconds=step_seconds,
        )


def _keys(frame: NDArray[np.int64], object_id: NDArray[np.int64]) -> NDArray[Any]:
    keys = np.empty(len(frame), dtype=[("frame", np.int64), ("object_id", np.int64)])
    keys["frame"], keys["object_id"] = frame, object_id
    return keys.view(np.dtype((np.void, 16)))


def _objects(values: Any, n: int, what: str) -> NDArray[np.object_]:
    column = np.empty(n, dtype=object)
    if values is None or isinstance(values, str):
        column[:] = values
        return column
    items = [None if v is None or (isinstance(v, float) and v != v) else str(v) for v in values]
    if len(items) != n:
        raise TracksError(f"Tracks: expected {n} values in {what!r}, got {len(items)}.")
    column[:] = items
    return column


def _encode_all(
    masks: Sequence[Any] | None, n: int, size: tuple[int, int] | None
) -> tuple[NDArray[np.object_] | None, tuple[int, int] | None]:
    size = None if size is None else (int(size[0]), int(size[1]))
    if masks is None:
        return None, size
    if len(masks) != n:
        raise TracksError(f"Tracks: expected {n} masks, got {len(masks)}.")
    column = np.empty(n, dtype=object)
    for i, mask in enumerate(masks):
        if mask is None or isinstance(mask, bytes):
            column[i] = mask
            continue
        array = _masks.as_mask(mask)
        size = size or array.shape
        if array.shape != size:
            raise TracksError(
                f"Tracks: mask {i} has size {array.shape}, the frames are {size} (height, width)."
            )
        column[i] = _masks.encode(array)
    if size is None and any(m is not None for m in column):
        raise TracksError("Tracks: encoded masks need `size` = (height, width) of the frames.")
    return column, size


def _arrow_columns(tracks: Tracks) -> dict[str, Any]:
    import pyarrow as pa

    columns: dict[str, Any] = {
        "frame": tracks.frame,
        "object_id": tracks.object_id,
        "label": pa.array(tracks.label.tolist(), pa.string()),
        **{name: tracks.boxes[:, i] for i, name in enumerate(("x1", "y1", "x2", "y2"))},
        "score": tracks.score,
        "visible": tracks.visible,
        "source": pa.array(tracks.source.tolist(), pa.string()),
    }
    if tracks.velocity is not None:
        columns["vx"], columns["vy"] = tracks.velocity[:, 0], tracks.velocity[:, 1]
    if tracks.rle is not None:
        columns["mask"] = pa.array(tracks.rle.tolist(), pa.binary())
    p = tracks.points
    if len(p):
        rows, owners = _keys(tracks.frame, tracks.object_id), _keys(p.frame, p.object_id)
        order = np.argsort(rows, kind="stable")
        row = order[np.searchsorted(rows[order], owners)]
        offsets = np.concatenate([[0], np.cumsum(np.bincount(row, minlength=len(rows)))]).astype(np.int32)
        by_row = np.argsort(row, kind="stable")
        lists = {"id": p.point_id, "x": p.xy[:, 0], "y": p.xy[:, 1], "visible": p.visible, "score": p.score}
        for name, values in lists.items():
            columns[f"point_{name}"] = pa.ListArray.from_arrays(pa.array(offsets), pa.array(values[by_row]))
    return columns


def _from_arrow(table: Any, header: dict[str, Any]) -> Tracks:
    if header.get("version") != _VERSION:
        raise ValueError(f"version {header.get('version')}, this vtlab reads version {_VERSION}")

    def column(name: str) -> NDArray[Any]:
        return table.column(name).combine_chunks().to_numpy(zero_copy_only=False)

    names = set(table.column_names)
    points = PointRows.empty()
    if "point_id" in names:
        counts = np.array([len(x) for x in table.column("point_id").to_pylist()], dtype=np.int64)
        flat = {
            k: np.asarray(
                table.column(f"point_{k}").combine_chunks().flatten().to_numpy(zero_copy_only=False)
            )
            for k in ("id", "x", "y", "visible", "score")
        }
        points = PointRows.of(
            np.repeat(column("frame"), counts),
            np.repeat(column("object_id"), counts),
            flat["id"],
            np.stack([flat["x"], flat["y"]], axis=-1),
            flat["visible"],
            flat["score"],
        )
    size = header.get("size")
    return Tracks.of(
        column("frame"),
        column("object_id"),
        np.stack([column(c) for c in ("x1", "y1", "x2", "y2")], axis=-1),
        column("score"),
        column("visible"),
        label=table.column("label").to_pylist(),
        source=table.column("source").to_pylist(),
        masks=table.column("mask").to_pylist() if "mask" in names else None,
        velocity=np.stack([column("vx"), column("vy")], axis=-1) if "vx" in names else None,
        points=points,
        size=None if size is None else (int(size[0]), int(size[1])),
        meta=header.get("meta") or {},
        step_seconds=header.get("step_seconds") or (),
    )
