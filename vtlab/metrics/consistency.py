"""What can be said without ground truth. Every number here is a proxy: it can be high for a tracker that is wrong
in a steady way. `vtlab.metrics.consistency.correlation` measures how far a proxy follows the truth.

Forward-backward error: Kalal, Mikolajczyk, Matas, "Forward-Backward Error", ICPR 2010.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from vtlab import masks
from vtlab.errors import InputError
from vtlab.geometry import box_centers, paired_iou
from vtlab.metrics import pairing
from vtlab.tracks import Tracks
from vtlab.tracks.points import keys

_POINT_SCALE = 8.0
"""Pixels at which two points agree by 1/e: half of TAP-Vid's largest threshold, 16 px, at native size."""


def forward_backward(forward: Tracks, backward: Tracks) -> float:
    """Agreement of a run with the same tracker run back from its last answer, in [0, 1].

    Args:
        forward: The run through the video.
        backward: The run from the forward run's end to its start, with the same object ids.

    Returns:
        The mean similarity over frames and objects, see `similarity`; NaN where they share no object.
    """
    return similarity(forward, backward)


def agreement(tracks: Mapping[str, Tracks]) -> dict[str, float]:
    """Mean similarity of each tracker to each other one, in [0, 1]; objects are matched by id.

    Trackers without common object ids (detection by each tracker's own numbering) are matched by best overlap.

    Raises:
        InputError: Fewer than two trackers.
    """
    if len(tracks) < 2:
        raise InputError(f"Agreement needs at least two trackers, got {len(tracks)}.")
    value = agreements(list(tracks.values()))
    np.fill_diagonal(value, np.nan)
    return {name: _nanmean(row) for name, row in zip(tracks, value, strict=True)}


def agreements(tracks: Sequence[Tracks]) -> NDArray[np.float64]:
    """Mean similarity of each tracker to each, (K, K) in [0, 1], as in `agreement`; 1 on the diagonal.

    A low value is an alarm: one of the two is wrong there. A high one says little: both may share a mistake.
    """
    value = np.eye(len(tracks))
    for i, first in enumerate(tracks):
        for j in range(i + 1, len(tracks)):
            value[i, j] = value[j, i] = _agree(first, tracks[j])
    return value


def calls_lost(tracks: Tracks, frames: int) -> tuple[int, int]:
    """(k, n): on k of n frames a tracker itself says that an object isn't seen, objects together.

    Args:
        tracks: What it answered. A frame without an answer counts as one on which nothing is seen, so a run that failed
            has lost its objects from there on.
        frames: Frames of the clip.
    """
    spans = [(len(seen), stop - start) for seen, start, stop in _spans(tracks, frames)]
    return sum(n - k for k, n in spans), sum(n for _, n in spans)


def lost_for_good(tracks: Tracks, frames: int) -> int | None:
    """The first frame from which on an object is not seen again by the tracker's own word; None if all are at the end."""
    gone = [int(seen.max(initial=start - 1)) + 1 for seen, start, _ in _spans(tracks, frames)]
    gone = [frame for frame in gone if frame < frames]
    return min(gone, default=None)


def jumps(tracks: Tracks) -> int:
    """Number of steps, from one frame to the next, in which an object moves further than its own size.

    The size is the square root of the larger of both boxes' areas.
    """
    seen = tracks.seen()
    order = np.lexsort((seen.frame, seen.object_id))
    frame, owner, box = seen.frame[order], seen.object_id[order], seen.boxes[order]
    center, side = box_centers(box), np.sqrt(np.prod(np.maximum(box[:, 2:] - box[:, :2], 1.0), axis=1))
    step = np.linalg.norm(np.diff(center, axis=0), axis=1)
    follows = (np.diff(owner) == 0) & (np.diff(frame) == 1)
    return int((follows & (step > np.maximum(side[1:], side[:-1]))).sum())


def _spans(tracks: Tracks, frames: int) -> Iterator[tuple[NDArray[np.int64], int, int]]:
    """For each object: frames on which it is seen, and the first and the end of those on which it was to be followed."""
    direction = tracks.record.direction or "forward"
    for rows in tracks.object_rows().values():
        mine = tracks.frame[rows]
        start = int(mine[0]) if direction == "forward" else 0
        stop = int(mine[-1]) + 1 if direction == "backward" else frames
        yield np.unique(mine[tracks.visible[rows]]), start, max(stop, start)


def similarity(first: Tracks, second: Tracks) -> float:
    """Mean similarity of two answers for the same objects over all frames on which either sees an object.

    Masks and boxes by IoU, points by exp(-(distance / 8 px)); a frame on which only one sees the object counts 0.
    """
    if len(first.points) and len(second.points):
        return _point_similarity(first, second)
    a, b = first.seen(), second.seen()
    row_a, row_b, total = _common(a.frame, a.object_id, b.frame, b.object_id)
    if total == 0:
        return np.nan
    if a.rle is not None and b.rle is not None:
        values = [
            masks.iou(x, y)
            for x, y in ((a.mask(i), b.mask(j)) for i, j in zip(row_a, row_b, strict=True))
            if x is not None and y is not None
        ]
        return float(np.sum(values)) / total
    return float(np.nan_to_num(paired_iou(a.boxes[row_a], b.boxes[row_b])).sum()) / total


def smoothness(tracks: Tracks) -> float:
    """Steadiness of motion in (0, 1]: 1 for constant velocity.

    For each object exp(-|acceleration|) of its centre, in units of its size (square root of its area) per frame
    squared, averaged over frames. Points use their object's mean spread as the size, at least one pixel.

    Returns:
        The mean over all objects' frames; NaN where no object is seen on three frames in a row.
    """
    seen = tracks.seen()
    order = np.lexsort((seen.frame, seen.object_id))
    frame, owner, box = seen.frame[order], seen.object_id[order], seen.boxes[order]
    center, side = box_centers(box), np.sqrt(np.prod(np.maximum(box[:, 2:] - box[:, :2], 1.0), axis=1))
    run = (owner[2:] == owner[:-2]) & (frame[2:] - frame[:-2] == 2)
    bend = np.linalg.norm(center[2:] - 2 * center[1:-1] + center[:-2], axis=1) / side[1:-1]
    return _nanmean(np.exp(-bend[run]))


def flicker(tracks: Tracks) -> float:
    """Changes between seen and not seen, per frame, averaged over objects (from first to last seen); NaN if none."""
    seen = tracks.seen()
    rates = []
    for rows in seen.object_rows().values():
        frames = seen.frame[rows]
        gaps = int((np.diff(frames) > 1).sum())
        rates.append(2 * gaps / (frames[-1] - frames[0] + 1))
    return _nanmean(np.array(rates, dtype=np.float64))


def proxies(tracks: Tracks, backward: Tracks | None = None) -> dict[str, float]:
    """All proxies of one run by name; `fb_consistency` only where the run back is given."""
    out = {"smoothness": smoothness(tracks), "flicker": flicker(tracks)}
    if backward is not None:
        out["fb_consistency"] = forward_backward(tracks, backward)
    return out


def correlation(proxy: Sequence[float], metric: Sequence[float]) -> dict[str, float]:
    """How far a proxy follows the true metric over runs that have truth.

    Args:
        proxy: Value of the proxy for each run (tracker and sequence).
        metric: Value of the true metric for the same runs.

    Returns:
        Spearman's and Kendall's rank correlation and the number of runs; NaN with fewer than three runs.
    """
    from scipy import stats

    p, m = np.asarray(proxy, dtype=np.float64), np.asarray(metric, dtype=np.float64)
    if p.shape != m.shape:
        raise InputError(f"{len(p)} values of the proxy for {len(m)} of the metric.")
    keep = np.isfinite(p) & np.isfinite(m)
    p, m = p[keep], m[keep]
    # Two runs always correlate by 1 or -1.
    if len(p) < 3 or np.ptp(p) == 0 or np.ptp(m) == 0:
        return {"spearman": np.nan, "kendall": np.nan, "runs": float(len(p))}
    return {
        "spearman": float(stats.spearmanr(p, m).statistic),
        "kendall": float(stats.kendalltau(p, m).statistic),
        "runs": float(len(p)),
    }


def _agree(a: Tracks, b: Tracks) -> float:
    if np.isin(a.object_ids, b.object_ids).any() and not _numbered_by_themselves(a, b):
        return similarity(a, b)
    first, second = (t.take(t.visible & np.isfinite(t.boxes).all(axis=1)) for t in (a, b))
    if not len(first) and not len(second):
        return np.nan
    pairs = pairing.pairs_of_boxes(
        (first.frame, first.object_id, first.boxes), (second.frame, second.object_id, second.boxes)
    )
    best = pairs.best()
    # Over the union: an object that only one of the two has counts 0.
    return float(pairs.similarity[best].sum()) / (len(first) + len(second) - len(best))


def _numbered_by_themselves(a: Tracks, b: Tracks) -> bool:
    """Whether the ids of either come from a tracker by detection, so equal ids mean nothing."""
    families = [
        t.meta.get("tracker", {}).get("family") for t in (a, b) if isinstance(t.meta.get("tracker"), dict)
    ]
    return "mot" in families


def _common(
    frame_a: NDArray[np.int64], id_a: NDArray[np.int64], frame_b: NDArray[np.int64], id_b: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64], int]:
    """Rows of both sides with the same object and frame, and the size of the union over their common objects."""
    both = np.intersect1d(id_a, id_b)
    rows = [np.flatnonzero(np.isin(i, both)) for i in (id_a, id_b)]
    key_a, key_b = keys(frame_a[rows[0]], id_a[rows[0]]), keys(frame_b[rows[1]], id_b[rows[1]])
    shared, i, j = np.intersect1d(key_a, key_b, return_indices=True)
    return rows[0][i], rows[1][j], len(key_a) + len(key_b) - len(shared)


def _point_similarity(first: Tracks, second: Tracks) -> float:
    a, b = (p.take(p.visible & np.isfinite(p.xy).all(axis=1)) for p in (first.points, second.points))
    named = np.concatenate([keys(p.object_id, p.point_id) for p in (a, b)])
    number = np.unique(named, return_inverse=True)[1]  # of each point of each object
    row_a, row_b, total = _common(a.frame, number[: len(a)], b.frame, number[len(a) :])
    if total == 0:
        return np.nan
    distance = np.linalg.norm(a.xy[row_a] - b.xy[row_b], axis=1)
    return float(np.exp(-distance / _POINT_SCALE).sum()) / total


def _nanmean(values: NDArray[np.float64]) -> float:
    good = values[np.isfinite(values)]
    return float(good.mean()) if len(good) else np.nan
