"""Velocities of tracks whose tracker says none: how far a thing went since it was last seen, by the time that it took.

`velocities` finds them for a whole table, `Moving` for answers as they come.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from vtlab.tracks.frame import FrameTracks
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


class Moving:
    """Velocities of a stream's answers, each since its object was seen before in the order of the answers.

    Going forward they are those of `velocities`; going backward, what was seen before lies later in time.
    """

    def __init__(self) -> None:
        self._places: dict[int | tuple[int, int], tuple[Array, float]] = {}
        self._time = np.nan
        self._ahead: bool | None = None

    def told(self, answer: FrameTracks, time: float) -> FrameTracks:
        """The answer with velocities (N, 2) in pixels per second; as it is where the tracker says them itself.

        Args:
            answer: Of one frame.
            time: Of that frame, in seconds.
        """
        if answer.velocities is not None:
            return answer
        if np.isfinite(self._time) and time != self._time:
            ahead = bool(time > self._time)
            # A run in both directions turns: what it saw last was long ago.
            if self._ahead not in (None, ahead):
                self._places = {}
            self._ahead = ahead
        self._time = time
        boxes, ids = answer.boxes, answer.object_ids.tolist()
        found = self._steps(ids, (boxes[:, :2] + boxes[:, 2:]) / 2, answer.visible, time)
        if len(answer.points):
            owners = answer.point_owners
            keys = list(zip(owners.tolist(), answer.point_ids.tolist(), strict=True))
            moved = self._steps(keys, answer.points, answer.point_visible, time)
            for row, object_id in enumerate(ids):
                mine = moved[owners == object_id]
                if len(mine):
                    mine = mine[np.isfinite(mine[:, 0])]
                    found[row] = mine.mean(axis=0) if len(mine) else np.nan
        return replace(answer, velocities=found)

    def _steps(
        self,
        keys: Sequence[int] | Sequence[tuple[int, int]],
        places: Array,
        seen: NDArray[np.bool_],
        time: float,
    ) -> Array:
        """Velocity (N, 2) of each since it was seen before; what is seen now is kept."""
        found = np.full(places.shape, np.nan)
        for i in np.flatnonzero(seen & np.isfinite(places).all(axis=1)).tolist():
            place, since = self._places.get(keys[i], (places[i], time))
            if since != time:
                found[i] = (places[i] - place) / (time - since)
            self._places[keys[i]] = places[i], time
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
