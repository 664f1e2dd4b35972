"""Global tracklet association: the tracks of a whole video are split where they changed owner, and joined again.

Paper: Sun et al., "GTA: Global Tracklet Association for Multi-Object Tracking in Sports", ACCV workshops 2024, arXiv
2411.08216; written from the paper, no code of it is copied. Splitting: the looks of each track are clustered (DBSCAN of
cosine distances, at most three clusters), and what belongs to another cluster is another object. Joining: the two tracks
that look most alike, by the mean over all pairs of their looks, become one, as long as one ends before the other begins and
the way between them can be gone; then the next two.

Differences from the paper: "alike" is the embedder's own threshold instead of one distance for all; the way between two
tracks is bounded by a speed instead of the largest extent of any track. Without an embedder nothing is split, and what
joins is motion alone: where the end of one track leads and the beginning of the other comes from, within `longest`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from vtlab.association.parts.reid import make_embedder, unit
from vtlab.contracts.parts import embed
from vtlab.errors import InputError
from vtlab.tracks import Tracks

if TYPE_CHECKING:
    from vtlab.video import Video

Array = NDArray[np.float64]
Rows = NDArray[np.int64]
_NEIGHBOURS = 3  # looks alike, itself included, that make a look the core of a cluster
_MOST = 3  # clusters of one track, as in the paper
_LEAST = 0.2  # seconds that any way may take
_ENDS = 0.5  # seconds at the ends of a track that tell its motion


@dataclass(frozen=True)
class Limits:
    """What joins two tracks.

    Attributes:
        likeness: Lowest mean cosine; None: motion alone.
        longest: Seconds between the end of one and the beginning of the other.
        speed: Fastest motion between them, in box heights a second (appearance).
        reach: Farthest that a track may begin from where the other leads, in box heights (motion).
        size: Largest ratio of their heights (motion).
    """

    likeness: float | None
    longest: float
    speed: float
    reach: float
    size: float = 1.5


@dataclass
class Tracklet:
    """One track while tracks are joined.

    Attributes:
        ids: Objects that were joined, the earliest first.
        ends: (2, 6) of its begin and its end: seconds, centre x, y, velocity x, y in pixels a second, height.
        look: (D,) sum of its unit vectors.
        looks: How many.
    """

    ids: list[int]
    ends: Array
    look: Array
    looks: int


def relink_globally(
    tracks: Tracks,
    video: Video,
    *,
    embedder: Any = None,
    appearance: float | None = None,
    longest: float | None = None,
    speed: float = 2.0,
    reach: float = 0.5,
    samples: int = 30,
    split: bool = True,
) -> Tracks:
    """Split tracks that look like several objects, and join those that are one, over the whole video.

    Args:
        tracks: Tracks with boxes, of any tracker.
        video: Their video; without an embedder only its time stamps are read.
        embedder: See `reid.make_embedder`; None: motion and position alone join, and nothing is split.
        appearance: Lowest mean cosine of two tracks that are joined, and lowest cosine of two looks of one cluster; None:
            what the embedder calls alike (its `threshold`).
        longest: Longest time, in seconds, between the end of one and the beginning of the other; None: 2 seconds by
            motion (a second more than associators wait by themselves), any time by appearance.
        speed: Fastest motion between them, in box heights a second; by appearance.
        reach: Farthest that a track may begin from where the other leads, in box heights; by motion.
        samples: Frames of each track that are looked at.
        split: Split at all.

    Returns:
        New tracks: joined objects have the id of the earliest, split-off ones new ids after the largest.

    Raises:
        InputError: A setting out of its range.
    """
    for name, value in (("longest", longest), ("speed", speed), ("reach", reach)):
        if value is not None and not value >= 0:
            raise InputError(f"relink_globally: {name} must be at least 0, got {value!r}.")
    if samples < 1:
        raise InputError(f"relink_globally: samples must be at least 1, got {samples!r}.")
    times = np.asarray(video.timestamps, dtype=np.float64)
    if not len(tracks):
        return tracks
    if tracks.frame[-1] >= len(times):
        raise InputError(
            f"The tracks reach frame {tracks.frame[-1]}, but the video has only {len(times)} frames."
        )
    looks: dict[int, tuple[Rows, Array]] = {}
    least = None
    if embedder is not None:
        describe = make_embedder(embedder)
        least = float(describe.threshold if appearance is None else appearance)
        looks = _looks(tracks, video, describe, samples)
        if split and not len(tracks.points):
            tracks, looks = _split(tracks, looks, least)
    gap = (np.inf if least is not None else 2.0) if longest is None else float(longest)
    return tracks.renamed(_joined(tracks, times, looks, Limits(least, gap, speed, reach)))


def _looks(tracks: Tracks, video: Video, describe: Any, samples: int) -> dict[int, tuple[Rows, Array]]:
    """Frames (K,) and unit vectors (K, D) of each object, evenly spread over where it is seen; each frame is read once."""
    wanted: dict[int, list[int]] = {}
    usable = tracks.visible & np.isfinite(tracks.boxes).all(axis=1)
    for mine in tracks.object_rows().values():
        rows = mine[usable[mine]]
        for row in rows[
            np.unique(np.linspace(0, len(rows) - 1, min(samples, len(rows))).astype(int))
        ].tolist():
            wanted.setdefault(int(tracks.frame[row]), []).append(row)
    found: dict[int, list[tuple[int, Array]]] = {}
    for frame in sorted(wanted):
        vectors = embed(describe, video[frame], tracks.boxes[wanted[frame]], frame=frame)
        for row, vector in zip(wanted[frame], vectors, strict=True):
            found.setdefault(int(tracks.object_id[row]), []).append((frame, vector))
    return {
        i: (np.array([f for f, _ in seen]), np.stack([v for _, v in seen]).astype(np.float64))
        for i, seen in found.items()
    }


def _split(
    tracks: Tracks, looks: dict[int, tuple[Rows, Array]], least: float
) -> tuple[Tracks, dict[int, tuple[Rows, Array]]]:
    """Give each further cluster of looks of an object an id of its own; a row goes with the look nearest in time."""
    ids, after = tracks.object_id.copy(), int(tracks.object_ids[-1]) + 1
    rows_of, apart = tracks.object_rows(), dict(looks)
    for object_id, (frames, vectors) in looks.items():
        cluster = clusters(vectors, least)
        if not cluster.any():
            continue
        rows = rows_of[object_id]
        after_middle = np.searchsorted((frames[1:] + frames[:-1]) / 2, tracks.frame[rows], side="right")
        of_row = cluster[after_middle]
        for k in range(int(cluster.max()) + 1):
            name = object_id if k == 0 else after
            after += k > 0
            ids[rows[of_row == k]] = name
            apart[name] = (frames[cluster == k], vectors[cluster == k])
    return tracks.replace(object_id=ids), apart


def clusters(vectors: Array, least: float) -> Rows:
    """Number (K,), from 0 for that of the first vector, of the cluster of each unit vector (K, D): at most `_MOST`.

    DBSCAN: vectors with enough others of at least the cosine `least` are cores, cores that near are one cluster; others go
    with the cluster whose mean is nearest. Where there is no core all are one.
    """
    from scipy.sparse.csgraph import connected_components

    near = vectors @ vectors.T >= least
    core = np.flatnonzero(near.sum(axis=1) >= _NEIGHBOURS)
    if not len(core):
        return np.zeros(len(vectors), dtype=np.int64)
    count, label = connected_components(near[np.ix_(core, core)], directed=False)
    means = [vectors[core[label == k]].sum(axis=0) for k in range(count)]
    while len(means) > _MOST:  # the two that are most alike become one
        likeness = _cosines(means)
        np.fill_diagonal(likeness, -np.inf)
        a, b = sorted(np.unravel_index(int(likeness.argmax()), likeness.shape))
        means[a] = means[a] + means.pop(b)
    nearest = (vectors @ unit(np.array(means)).T).argmax(axis=1)
    _, first, number = np.unique(nearest, return_index=True, return_inverse=True)
    return np.argsort(np.argsort(first))[number]


def _cosines(means: list[Array]) -> Array:
    units = unit(np.array(means))
    return np.asarray(units @ units.T, dtype=np.float64)


def _joined(
    tracks: Tracks, times: Array, looks: dict[int, tuple[Rows, Array]], limits: Limits
) -> dict[int, int]:
    """Old id -> id of the earliest object that it is joined with."""
    parts = [
        part for i, rows in tracks.object_rows().items() if (part := _tracklet(i, tracks, rows, times, looks))
    ]
    if not parts:
        return {}
    alive = np.ones(len(parts), dtype=bool)
    cost = np.stack(
        [_costs(part, parts, limits) for part in parts]
    )  # of the row's track going on as the column's
    while np.isfinite(least := cost.min()):
        a, b = (int(i[0]) for i in np.nonzero(cost == least))
        parts[a] = _merged(parts[a], parts[b])
        alive[b] = False
        cost[a] = _costs(parts[a], parts, limits)
        cost[:, a] = [_costs(part, [parts[a]], limits)[0] for part in parts]
        cost[~alive], cost[:, ~alive] = np.inf, np.inf
    return {i: part.ids[0] for part in np.array(parts, dtype=object)[alive] for i in part.ids}


def _tracklet(
    object_id: int, tracks: Tracks, rows: Rows, times: Array, looks: dict[int, tuple[Rows, Array]]
) -> Tracklet | None:
    """None for an object that has no box anywhere."""
    rows = rows[tracks.visible[rows] & np.isfinite(tracks.boxes[rows]).all(axis=1)]
    if not len(rows):
        return None
    boxes, seconds = tracks.boxes[rows], times[tracks.frame[rows]]
    centre, height = (boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 3] - boxes[:, 1]
    ends = []
    for at, near in ((0, seconds <= seconds[0] + _ENDS), (-1, seconds >= seconds[-1] - _ENDS)):
        velocity = _slope(seconds[near], centre[near])
        ends.append([seconds[at], *centre[at], *velocity, float(np.median(height[near]))])
    vectors = looks[object_id][1] if object_id in looks else np.zeros((1, 1))
    return Tracklet([object_id], np.array(ends), vectors.sum(axis=0), len(vectors))


def _slope(seconds: Array, places: Array) -> Array:
    """Velocity (2,) of the straight line through places (K, 2); 0 of a single one."""
    off = seconds - seconds.mean()
    square = float(off @ off)
    return off @ places / square if square > 0 else np.zeros(2)


def _merged(first: Tracklet, second: Tracklet) -> Tracklet:
    return Tracklet(
        first.ids + second.ids,
        np.stack([first.ends[0], second.ends[1]]),
        first.look + second.look,
        first.looks + second.looks,
    )


def _costs(first: Tracklet, others: list[Tracklet], limits: Limits) -> Array:
    """Cost (N,) of each of the others going on where the first ends; infinite where it can't."""
    end, begin = first.ends[1], np.stack([o.ends[0] for o in others])
    gap = begin[:, 0] - end[0]
    height = (end[5] + begin[:, 5]) / 2
    way = begin[:, 1:3] - end[1:3]
    if limits.likeness is not None:
        looks = np.stack([o.look / o.looks for o in others])
        cost = 1 - looks @ first.look / first.looks
        fair = (cost <= 1 - limits.likeness) & (
            np.hypot(*way.T) <= limits.speed * height * np.maximum(gap, _LEAST)
        )
    else:
        misses = [np.hypot(*(way - v * gap[:, None]).T) for v in (end[3:5], begin[:, 3:5])]
        cost = (misses[0] + misses[1]) / 2 / height
        ratio = np.maximum(end[5] / begin[:, 5], begin[:, 5] / end[5])
        fair = (cost <= limits.reach) & (ratio <= limits.size)
    return np.where(fair & (gap > 0) & (gap <= limits.longest), cost, np.inf)
