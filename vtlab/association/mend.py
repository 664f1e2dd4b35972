"""What can be mended when all of a video has been tracked: gaps, short tracks, broken identities.

Papers: Zhang et al., "ByteTrack", ECCV 2022 (linear interpolation of gaps); Du et al., "StrongSORT", IEEE TMM 2023
(smoothed interpolation, global linking). Differs from StrongSORT's: the smoothing is a Gaussian kernel over time instead
of a Gaussian process, and linking compares appearance and motion instead of a learnt network.

Trackers by detection take these functions as an option: `post="interpolate_gaps"`, or with parameters and in the order
given `post={"relink": {}, "interpolate_gaps": {"smooth": 0.1}, "drop_short": {"shortest": 0.5}}`.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from vtlab.association.parts.assignment import assign
from vtlab.association.parts.reid import Vectors, make_embedder, unit
from vtlab.association.tracklets import relink_globally
from vtlab.contracts.parts import embed
from vtlab.errors import InputError, near
from vtlab.tracks import Tracks

if TYPE_CHECKING:
    from vtlab.video import Video

Times = NDArray[np.float64]


def interpolate_gaps(
    tracks: Tracks, timestamps: Times, *, longest: float = 0.7, smooth: float = 0.0
) -> Tracks:
    """Fill the gaps of each object's boxes along straight lines.

    Args:
        tracks: Tracks with boxes.
        timestamps: (F,) seconds of each frame, such as `video.timestamps`.
        longest: Longest gap, in seconds, that is filled.
        smooth: Standard deviation, in seconds, of a Gaussian kernel with which each object's boxes are then smoothed;
            0 leaves them as they are.

    Returns:
        New tracks; filled rows have `source` "interpolated", the lower score of their neighbours, and no mask.
    """
    times = _times(tracks, timestamps)
    if not longest >= 0 or not smooth >= 0:
        raise InputError(f"longest and smooth are seconds of at least 0, got {longest!r} and {smooth!r}.")
    filled = [tracks]
    for _, mine in tracks.by_object():
        rows = mine.seen()
        frames = rows.frame
        for a in np.flatnonzero(np.diff(frames) > 1):
            start, end = int(frames[a]), int(frames[a + 1])
            if times[end] - times[start] <= longest:
                filled.append(_bridge(rows, int(a), start, end, times))
    whole = Tracks.concat([_without_unseen(filled[0], filled[1:]), *filled[1:]], meta=tracks.meta)
    whole = whole.replace(step_seconds=tracks.step_seconds)
    return _smoothed(whole, times, smooth) if smooth else whole


def drop_short(tracks: Tracks, timestamps: Times, *, shortest: float = 0.3) -> Tracks:
    """Remove objects that were seen for less than `shortest` seconds between their first and last frame."""
    times = _times(tracks, timestamps)
    keep = np.ones(len(tracks), dtype=bool)
    for mine in tracks.object_rows().values():
        frames = tracks.frame[mine]
        if times[frames[-1]] - times[frames[0]] < shortest:
            keep[mine] = False
    return tracks.take(keep)


def relink(
    tracks: Tracks,
    video: Video,
    *,
    embedder: Any = "histogram",
    longest: float = 3.0,
    speed: float = 2.0,
    appearance: float | None = None,
    samples: int = 5,
) -> Tracks:
    """Join tracks that end with tracks that begin later and look alike.

    Args:
        tracks: Tracks with boxes.
        video: Their video.
        embedder: See `reid.make_embedder`.
        longest: Longest time, in seconds, between the end of one and the beginning of the other.
        speed: Fastest motion between them, in box heights a second.
        appearance: Lowest cosine; None: what the embedder calls alike (its `threshold`).
        samples: Frames of each track that are looked at.

    Returns:
        New tracks; joined objects have the id of the earlier one.
    """
    describe = make_embedder(embedder)
    least = float(describe.threshold if appearance is None else appearance)
    times = _times(tracks, video.timestamps)
    ids = tracks.object_ids
    vectors = _describe(tracks, video, describe, ids, samples)
    ends = [_end(mine.seen(), times) for _, mine in tracks.by_object()]
    likeness = (vectors @ vectors.T).astype(np.float64)
    for a, first in enumerate(ends):
        for b, second in enumerate(ends):
            if first is None or second is None or not _follows(first, second, longest, speed):
                likeness[a, b] = -1.0
    rows, columns = assign(likeness, least, rule="gain")
    parent = dict(zip(ids[columns].tolist(), ids[rows].tolist(), strict=True))
    names = {}
    for object_id in ids.tolist():
        root = object_id
        while root in parent:
            root = parent[root]
        names[object_id] = root
    return tracks.renamed(names)


_STEPS = {step.__name__: step for step in (relink, relink_globally, interpolate_gaps, drop_short)}
_LOOKING = (relink.__name__, relink_globally.__name__)  # steps that take the video, not its time stamps
Post = str | Sequence[str] | Mapping[str, Mapping[str, Any]]


def read_steps(post: Post) -> dict[str, dict[str, Any]]:
    """Name -> parameters of the functions of this module that `post` names, in its order.

    Raises:
        InputError: There is no such function, or it has no such parameter.
    """
    names = [post] if isinstance(post, str) else post
    steps = {name: dict(names[name] or {}) if isinstance(names, Mapping) else {} for name in names}
    for name, params in steps.items():
        if name not in _STEPS:
            raise InputError(f"post: there is no step {name!r}. {near(name, _STEPS)}")
        known = list(inspect.signature(_STEPS[name]).parameters)[2:]
        for key in params:
            if key not in known:
                raise InputError(f"post: {name!r} has no parameter {key!r}. {near(key, known)}")
    return steps


def apply_steps(tracks: Tracks, video: Video, steps: Mapping[str, Mapping[str, Any]]) -> Tracks:
    """Mend the tracks of a whole video by the steps of `read_steps`, one after the other."""
    for name, params in steps.items():
        step: Any = _STEPS[name]
        tracks = step(tracks, video if name in _LOOKING else video.timestamps, **params)
    return tracks


def _times(tracks: Tracks, timestamps: Times) -> Times:
    times = np.asarray(timestamps, dtype=np.float64)
    if len(tracks) and tracks.frame[-1] >= len(times):
        raise InputError(
            f"The tracks reach frame {tracks.frame[-1]}, but there are only {len(times)} time stamps."
        )
    return times


def _bridge(rows: Tracks, a: int, start: int, end: int, times: Times) -> Tracks:
    between = np.arange(start + 1, end)
    part = ((times[between] - times[start]) / (times[end] - times[start]))[:, None]
    boxes = rows.boxes[a] * (1 - part) + rows.boxes[a + 1] * part
    angle = None if rows.angle is None else rows.angle[a] * (1 - part[:, 0]) + rows.angle[a + 1] * part[:, 0]
    return Tracks.of(
        between,
        rows.object_id[a],
        boxes,
        min(rows.score[a], rows.score[a + 1]),
        True,
        label=[rows.label[a]] * len(between),
        source="interpolated",
        size=rows.size,
        angle=angle,
    )


def _without_unseen(tracks: Tracks, filled: list[Tracks]) -> Tracks:
    """The tracks less their unseen rows that a bridge replaces."""
    bridged = {(int(f), int(i)) for t in filled for f, i in zip(t.frame, t.object_id, strict=True)}
    pairs = zip(tracks.frame.tolist(), tracks.object_id.tolist(), strict=True)
    return tracks.take(np.array([p not in bridged for p in pairs], dtype=bool))


def _smoothed(tracks: Tracks, times: Times, sigma: float) -> Tracks:
    boxes = tracks.boxes.copy()
    for mine in tracks.object_rows().values():
        mine = mine[np.isfinite(tracks.boxes[mine]).all(axis=1)]
        t = times[tracks.frame[mine]]
        for start in range(0, len(mine), 512):  # the kernel of a long track, piece by piece
            rows = mine[start : start + 512]
            weight = np.exp(-0.5 * ((times[tracks.frame[rows]][:, None] - t) / sigma) ** 2)
            boxes[rows] = weight @ tracks.boxes[mine] / weight.sum(axis=1, keepdims=True)
    return tracks.replace(boxes=boxes)


def _describe(tracks: Tracks, video: Video, embedder: Any, ids: NDArray[np.int64], samples: int) -> Vectors:
    """Mean vector (N, D) of each object over evenly spread frames."""
    wanted: dict[int, list[int]] = {}
    for mine in tracks.object_rows().values():
        rows = mine[tracks.visible[mine]]
        chosen = rows[np.unique(np.linspace(0, len(rows) - 1, min(samples, len(rows))).astype(int))]
        for row in chosen.tolist():
            wanted.setdefault(int(tracks.frame[row]), []).append(row)
    sums: dict[int, Any] = {}
    for frame in sorted(wanted):
        found = embed(embedder, video[frame], tracks.boxes[wanted[frame]], frame=frame)
        for row, vector in zip(wanted[frame], found, strict=True):
            object_id = int(tracks.object_id[row])
            sums[object_id] = sums.get(object_id, 0) + vector
    width = len(next(iter(sums.values()))) if sums else 1
    return unit(
        np.array([sums.get(int(i), np.zeros(width)) for i in ids], dtype=np.float32).reshape(-1, width)
    )


def _end(rows: Tracks, times: Times) -> tuple[float, float, NDArray[np.float64], NDArray[np.float64]] | None:
    """First and last time and box of an object, None without boxes."""
    boxes = np.isfinite(rows.boxes).all(axis=1)
    if not boxes.any():
        return None
    rows = rows.take(boxes)
    return float(times[rows.frame[0]]), float(times[rows.frame[-1]]), rows.boxes[0], rows.boxes[-1]


def _follows(first: Any, second: Any, longest: float, speed: float) -> bool:
    """Whether the second may go on where the first ended."""
    gap = second[0] - first[1]
    if not 0 < gap <= longest:
        return False
    end, start = first[3], second[2]
    way = np.hypot(*((end[:2] + end[2:] - start[:2] - start[2:]) / 2))
    height = (end[3] - end[1] + start[3] - start[1]) / 2
    return bool(way <= speed * height * max(gap, 0.2))
