"""The rows of a table in their order, and what no table may hold."""

from __future__ import annotations

import operator
from collections.abc import Collection, Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from vtlab.errors import TracksError
from vtlab.tracks.columns import COLUMNS
from vtlab.tracks.points import PointRows, keys
from vtlab.tracks.record import Record

if TYPE_CHECKING:
    from vtlab.tracks.table import Tracks

Ints = NDArray[np.int64]
SOURCES = ("tracked", "manual", "detected", "interpolated")
_FURTHEST = 2.0**53
"""Edges beyond it are no pixels any more: float64 doesn't tell neighbours apart, and areas overflow."""


def settled(tracks: Tracks, told: Collection[str] = (*COLUMNS, "points")) -> Tracks:
    """The tracks in their order.

    Args:
        tracks: Rows in any order.
        told: Columns that are new; the others were checked when they came in.

    Raises:
        TracksError: They hold what tracks can't.
    """
    moved = not {"frame", "object_id", "points"}.isdisjoint(told)
    if moved:
        order, points = order_of(tracks.frame, tracks.object_id), tracks.points.sorted()
        if order is not None or points is not tracks.points:
            tracks = replace(tracks, **({} if order is None else _ordered(tracks, order)), points=points)
        _check_rows(tracks)
    for name, check in (("boxes", _check_boxes), ("angle", _check_angle), ("source", _check_source)):
        if name in told:
            check(tracks)
    if moved:
        tracks.points.check(tracks.frame, tracks.object_id)
    return tracks


def order_of(frame: Ints, object_id: Ints) -> Ints | None:
    """Positions that bring rows (N,) into the order of frame and object; None where they are in it."""
    later, at_once = frame[1:] > frame[:-1], frame[1:] == frame[:-1]
    if (later | (at_once & (object_id[1:] >= object_id[:-1]))).all():
        return None
    first, least = int(frame.min()), int(object_id.min())
    span = int(object_id.max()) - least + 1
    if (int(frame.max()) - first + 1) * span < 2**63:
        # One key: tables that follow each other are merged in one pass. In place: to allocate a million rows takes as long
        # as to compute them.
        key = frame - first
        key *= span
        key += object_id
        key -= least
        return np.argsort(key, kind="stable")
    return np.lexsort((object_id, frame))


def _ordered(tracks: Tracks, order: Ints) -> dict[str, Any]:
    """The columns that an order changes; where it moves few rows, as after two ids were exchanged, by those alone."""
    moved = np.flatnonzero(order != np.arange(len(order)))
    if 2 * len(moved) > len(order):
        return {name: values[order] for name, values in tracks.columns().items()}
    rows: dict[str, Any] = {}
    origin = order[moved]
    for name, values in tracks.columns().items():
        now = values[origin]
        if not _same(now, values[moved]):
            rows[name] = values.copy()
            rows[name][moved] = now
    return rows


def _same(one: NDArray[Any], other: NDArray[Any]) -> bool:
    if one.dtype == object:
        return all(map(operator.is_, one.tolist(), other.tolist()))
    return np.array_equal(one, other, equal_nan=True)


def find(tracks: Tracks, frame: Ints, object_id: Ints) -> tuple[Ints, NDArray[np.bool_]]:
    """Where the rows of (frame, object) are in tracks, (K,) each: position (else that of the next row), and whether."""
    low = np.searchsorted(tracks.frame, frame)
    end = np.searchsorted(tracks.frame, frame, side="right")
    high = end.copy()
    while (open_ := low < high).any():  # all at once, among the ids of their frames
        middle = (low + high) // 2
        less = open_ & (tracks.object_id[np.where(open_, middle, 0)] < object_id)
        low, high = np.where(less, middle + 1, low), np.where(open_ & ~less, middle, high)
    there = low < end
    there[there] = tracks.object_id[low[there]] == object_id[there]
    return low, there


def laid_over(below: Tracks, above: Tracks, record: Record) -> Tracks:
    """Tracks with the rows of others in place of their own of the same frames and objects; one pass, nothing is sorted."""
    size = one_size([below, above])
    place, there = find(below, above.frame, above.object_id)
    old, new, rows = below.columns(), above.columns(), {}
    for name, kind in COLUMNS.items():
        if name in old or name in new:
            mine = new[name] if name in new else kind.blank(len(above))
            rows[name] = old[name].copy() if name in old else kind.blank(len(below))
            rows[name][place[there]] = mine[there]
            if not there.all():
                rows[name] = np.insert(rows[name], place[~there], mine[~there], axis=0)
    points = below.points
    if len(points):
        gone = np.isin(keys(points.frame, points.object_id), keys(above.frame, above.object_id))
        points = points.take(~gone)
    points = PointRows.concat([points, above.points]).sorted()
    return replace(below, **rows, points=points, size=size, record=record)


def one_size(tables: Iterable[Tracks]) -> tuple[int, int] | None:
    """The size of frames that tables have, or None; raises `TracksError` where they have several."""
    sizes = {t.size for t in tables if t.size is not None}
    if len(sizes) > 1:
        raise TracksError(
            f"Tracks of different frame sizes can't be joined: {sorted(sizes)} (height, width)."
        )
    return next(iter(sizes), None)


def _check_rows(tracks: Tracks) -> None:
    frame, object_id = tracks.frame, tracks.object_id
    same = (frame[1:] == frame[:-1]) & (object_id[1:] == object_id[:-1])
    if same.any():
        row = int(np.flatnonzero(same)[0])
        raise TracksError(f"Tracks: object {object_id[row]} has two rows on frame {frame[row]}.")
    if len(frame) and frame[0] < 0:
        raise TracksError(f"Tracks: frames count from 0, got frame {frame[0]}.")


def _check_boxes(tracks: Tracks) -> None:
    boxes = tracks.boxes
    if not ((boxes > _FURTHEST).any() or (boxes < -_FURTHEST).any() or (boxes[:, 2:] < boxes[:, :2]).any()):
        return
    bad = (np.abs(boxes) > _FURTHEST).any(axis=1) | (boxes[:, 2:] < boxes[:, :2]).any(axis=1)
    row = int(np.flatnonzero(bad)[0])
    raise TracksError(
        f"Tracks: the box {boxes[row].tolist()} of object {tracks.object_id[row]} on frame "
        f"{tracks.frame[row]} is not x1 <= x2, y1 <= y2 with finite edges, none beyond {_FURTHEST:g} px."
    )


def _check_angle(tracks: Tracks) -> None:
    if tracks.angle is not None and not np.isfinite(tracks.angle).all():
        row = int(np.flatnonzero(~np.isfinite(tracks.angle))[0])
        raise TracksError(
            f"Tracks: the angle of object {tracks.object_id[row]} on frame {tracks.frame[row]} must be finite "
            f"radians, got {tracks.angle[row]}."
        )


def _check_source(tracks: Tracks) -> None:
    unknown = set(tracks.source.tolist()) - set(SOURCES)
    if unknown:
        raise TracksError(
            f"Tracks: unknown source {sorted(map(str, unknown))[0]!r}. Known: {', '.join(SOURCES)}."
        )
