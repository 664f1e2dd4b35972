"""Counting with tracks: objects over time, crossings of a line, stays in a zone.

Lines and zones are supervision's (`LineZone`, `PolygonZone`), which look at one point of each box. All counts are of ids:
an object that lost its id counts twice. How wrong a count is tell labels (`vtlab.decision.count_error`) and pairs of boxes
(`vtlab.decision.identity_pairs`).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vtlab.errors import InputError, near
from vtlab.geometry import numbers
from vtlab.tracks import Tracks

if TYPE_CHECKING:
    import pandas as pd

ANCHOR = "bottom_center"
"""The point of a box that counts: where somebody stands."""


def over_time(tracks: Tracks, *, frames: int | None = None) -> pd.DataFrame:
    """How many objects there are on each frame, and how many different ones there have been until then.

    Args:
        tracks: What was tracked; only visible objects count.
        frames: Length of the video; by default up to the last frame with a row.

    Returns:
        DataFrame indexed by frame: `present`, `unique`.
    """
    import pandas as pd

    seen = tracks.seen()
    n = _length(tracks, frames)
    first = np.unique(seen.object_id, return_index=True)[1]
    started = np.bincount(seen.frame[first], minlength=n)[:n]
    return pd.DataFrame(
        {"present": present(tracks, frames=n), "unique": started.cumsum()},
        index=pd.RangeIndex(n, name="frame"),
    )


def present(
    tracks: Tracks, zone: ArrayLike | None = None, *, anchor: str = ANCHOR, frames: int | None = None
) -> NDArray[np.int64]:
    """Number of visible objects on each frame, (frames,); with a zone those inside.

    Args:
        tracks: What was tracked.
        zone: (N, 2) corners of a polygon in pixels.
        anchor: Which point of a box must lie inside: "center", "bottom_center", "top_left", ...
        frames: Length of the video; by default up to the last frame with a row.
    """
    n = _length(tracks, frames)
    if zone is None:
        return np.bincount(tracks.seen().frame, minlength=n)[:n].astype(np.int64)
    inside = _polygon(zone, anchor)
    found = np.zeros(n, np.int64)
    for frame, now in _frames(tracks.seen(), n):
        found[frame] = int(inside.trigger(now).sum())
    return found


def crossings(
    tracks: Tracks, start: ArrayLike, end: ArrayLike, *, anchor: str = ANCHOR, steady: int = 1
) -> pd.DataFrame:
    """Who crosses a line, when, and which way.

    Args:
        tracks: What was tracked.
        start: (x, y) of the line's first end in pixels.
        end: (x, y) of its second.
        anchor: Which point of a box must cross it.
        steady: Frames that it must stay on the other side, so that who trembles on the line doesn't count again and again.

    Returns:
        DataFrame with a row for each crossing: `frame`, `object_id`, `direction`: "in" is over to the left of who looks
        from `start` to `end` (in the image, y down), "out" to the right.
    """
    import pandas as pd
    import supervision as sv

    a, b = _point(start, "start"), _point(end, "end")
    if np.allclose(a, b):
        raise InputError(f"A line needs two ends, got {a.tolist()} twice.")
    line = sv.LineZone(
        sv.Point(*a.tolist()), sv.Point(*b.tolist()), (_position(anchor),), max(int(steady), 1)
    )
    rows = []
    for frame, now in _frames(tracks.seen(), _length(tracks, None)):
        for direction, who in zip(("in", "out"), line.trigger(now), strict=True):
            ids = now.tracker_id[who] if now.tracker_id is not None else ()
            rows += [(frame, int(i), direction) for i in ids]
    return pd.DataFrame(rows, columns=["frame", "object_id", "direction"])


def stays(
    tracks: Tracks, zone: ArrayLike, *, anchor: str = ANCHOR, gap: float = 0.0, fps: float | None = None
) -> pd.DataFrame:
    """Who stays in a zone, from when to when.

    Args:
        tracks: What was tracked.
        zone: (N, 2) corners of a polygon in pixels.
        anchor: Which point of a box must lie inside.
        gap: Seconds for which an object may be outside or unseen without ending its stay.
        fps: Frames a second; by default those of the video that the tracks were made on.

    Returns:
        DataFrame with a row for each stay: `object_id`, `enter` and `leave` (first and last frame inside), `seconds`.

    Raises:
        InputError: Fewer than three corners, an unknown anchor, or no fps.
    """
    import pandas as pd

    source = tracks.record.source
    rate = fps if fps is not None else source.fps if source is not None else None
    if not rate or not rate > 0:
        raise InputError(
            "stays needs fps=, frames a second: these tracks do not say of which video they are."
        )
    inside = _polygon(zone, anchor)
    frames: dict[int, list[int]] = {}
    for frame, now in _frames(tracks.seen(), _length(tracks, None)):
        ids = now.tracker_id[inside.trigger(now)] if now.tracker_id is not None else ()
        for i in ids:
            frames.setdefault(int(i), []).append(frame)
    rows = []
    for object_id, mine in sorted(frames.items()):
        parts = np.split(np.array(mine), np.flatnonzero(np.diff(mine) > 1 + gap * rate) + 1)
        rows += [(object_id, int(p[0]), int(p[-1]), (p[-1] - p[0] + 1) / rate) for p in parts]
    return pd.DataFrame(rows, columns=["object_id", "enter", "leave", "seconds"])


def _frames(seen: Tracks, n: int) -> Iterator[tuple[int, Any]]:
    """(frame, supervision's detections) of every frame, also of empty ones, by which a line ages what it remembers."""
    import supervision as sv

    low, high = (np.searchsorted(seen.frame, np.arange(n), side) for side in ("left", "right"))
    for frame in range(n):
        rows = slice(low[frame], high[frame])
        yield frame, sv.Detections(xyxy=seen.boxes[rows], tracker_id=seen.object_id[rows])


def _length(tracks: Tracks, frames: int | None) -> int:
    if frames is None:
        return int(tracks.frame.max(initial=-1)) + 1
    if isinstance(frames, bool) or not isinstance(frames, int | np.integer) or frames < 0:
        raise InputError(f"frames={frames!r}: expected the number of frames of the video.")
    return int(frames)


def _polygon(zone: ArrayLike, anchor: str) -> Any:
    import supervision as sv

    corners = numbers(zone, what="corners of a zone")
    if corners.ndim != 2 or corners.shape[1:] != (2,) or len(corners) < 3 or not np.isfinite(corners).all():
        raise InputError(f"A zone is (N, 2) corners in pixels, at least 3, got shape {corners.shape}.")
    # Rounded here, since supervision would cut the decimals off.
    return sv.PolygonZone(np.rint(corners).astype(np.int64), (_position(anchor),))


def _point(value: ArrayLike, name: str) -> NDArray[np.float64]:
    point = numbers(value, what=name)
    if point.shape != (2,) or not np.isfinite(point).all():
        raise InputError(f"{name}={value!r}: expected (x, y) in pixels.")
    return point


def _position(anchor: str) -> Any:
    import supervision as sv

    known = [p.value.lower() for p in sv.Position if p is not sv.Position.CENTER_OF_MASS]
    if anchor.lower() not in known:
        raise InputError(f"anchor={anchor!r} is no point of a box. {near(anchor, known)}")
    return sv.Position(anchor.upper())
