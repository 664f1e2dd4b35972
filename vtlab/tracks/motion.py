"""Velocities of tracks whose tracker says none: how far a thing went since it was last seen, by the time that it took."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from vtlab.tracks.points import PointRows
from vtlab.tracks.table import Tracks

Array = NDArray[np.float64]
Rows = NDArray[np.int64]


def with_velocity(tracks: Tracks, seconds: Array) -> Tracks:
    """The tracks with the column `velocity`: as the tracker says it, otherwise as `velocities` finds it."""
    return tracks if tracks.velocity is not None else replace(tracks, velocity=velocities(tracks, seconds))


def velocities(tracks: Tracks, seconds: Array) -> Array:
    """Velocity (N, 2), pixels per second as (vx, vy), of each row of `tracks`.

    Of an object's points it is the mean over those seen on this frame and before, otherwise that of the box's centre.

    Args:
        tracks: Tracks of N rows.
        seconds: (F,) time of each frame, NaN where unknown.

    Returns:
        NaN where an object is seen for the first time, or not at all.
    """
    centre = (tracks.boxes[:, :2] + tracks.boxes[:, 2:]) / 2
    found = _steps(tracks.frame, tracks.object_id, centre, tracks.visible, seconds)
    if len(tracks.points):
        _by_points(found, tracks, tracks.points, seconds)
    return found


def _by_points(found: Array, tracks: Tracks, points: PointRows, seconds: Array) -> None:
    """Put the mean velocity of its points in place for every row of an object that has points."""
    who = points.object_id * (int(points.point_id.max()) + 1) + points.point_id
    moved = _steps(points.frame, who, points.xy, points.visible, seconds)
    row_of = {
        key: i for i, key in enumerate(zip(tracks.frame.tolist(), tracks.object_id.tolist(), strict=True))
    }
    rows = np.array(
        [row_of.get(k, -1) for k in zip(points.frame.tolist(), points.object_id.tolist(), strict=True)]
    )
    found[rows[rows >= 0]] = np.nan
    use = np.isfinite(moved[:, 0]) & (rows >= 0)
    count = np.bincount(rows[use], minlength=len(found))
    for axis in (0, 1):
        total = np.bincount(rows[use], weights=moved[use, axis], minlength=len(found))
        found[count > 0, axis] = (total / np.maximum(count, 1))[count > 0]


def _steps(frame: Rows, who: Rows, place: Array, seen: NDArray[np.bool_], seconds: Array) -> Array:
    """Velocity (N, 2) of each row since the row before of the same thing, among those that are seen and have a place."""
    velocity = np.full(place.shape, np.nan)
    known = frame < len(seconds)
    time = (
        np.where(known, seconds[np.where(known, frame, 0)], np.nan)
        if len(seconds)
        else np.full(len(frame), np.nan)
    )
    use = np.flatnonzero(seen & np.isfinite(place).all(axis=1) & np.isfinite(time))
    order = use[np.lexsort((frame[use], who[use]))]
    before, now = order[:-1], order[1:]
    goes_on = (who[before] == who[now]) & (time[now] > time[before])
    before, now = before[goes_on], now[goes_on]
    velocity[now] = (place[now] - place[before]) / (time[now] - time[before])[:, None]
    return velocity
