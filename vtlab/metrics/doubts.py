"""Doubtful places: where tracks look wrong, ranked, without any truth. What a person should look at first.

Each signal is judged against the object's own habit, so that a fast or a shaky object is not doubtful everywhere. A
severity is in [0, 1] and says how far a signal is beyond what is usual, not how likely an error is.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from vtlab.geometry import box_area, box_centers, box_iou, paired_iou
from vtlab.tracks import Tracks
from vtlab.video import Video

if TYPE_CHECKING:
    import pandas as pd

Floats = NDArray[np.float64]
NEAR = 5
"""Frames up to which two doubts of one kind are one place."""
STILL, STILL_FRAMES = 1e-3, 10
"""A box stops where it moves by less than this part of its size on as many frames in a row."""
HIDES = 0.5
"""Overlap of two objects from which either may take the other's place."""
LOOKS = 60
"""Places, the most severe ones, at which colours before and after are compared: each costs two frames to decode."""
OTHER = 0.5
"""Likeness of colours, or overlap with another tracker, below which something else may be seen."""

WORDS = {
    "score": "the tracker is unsure of it (score {:.2f})",
    "jump": "it jumps by {:.1f} times its size",
    "stop": "it stands still for {:.0f} frames though it moved before",
    "area": "its area changes by the factor {:.1f} in one frame",
    "overlap": "another object covers it (overlap {:.2f})",
    "lost": "it is not seen for {:.0f} frames",
    "disagreement": "another tracker has it elsewhere (overlap {:.2f})",
    "identity": "it looks different afterwards (likeness {:.2f})",
}
"""Kind of doubt -> what it says, of its value."""


def doubts(
    tracks: Tracks | Mapping[str, Tracks],
    others: Mapping[str, Tracks] | None = None,
    *,
    video: Video | None = None,
) -> pd.DataFrame:
    """Doubtful places of each object, the most doubtful first.

    Args:
        tracks: Of one video; or name of a video -> tracks, for one queue over many.
        others: Tracker's name -> its tracks of the same objects (by id), for disagreement; of one video only.
        video: For identity switches by appearance: colours before and after an object was covered or lost.

    Returns:
        A row for a place: sequence ("" for one video), object_id, frame (where it is worst), first, end (frames
        first <= f < end), kind (a key of `WORDS`), value (as its words say it), severity in [0, 1], reason.
    """
    import pandas as pd

    many = tracks if isinstance(tracks, Mapping) else {"": tracks}
    rows = [
        {"sequence": name, **place}
        for name, of_one in many.items()
        for place in _places(of_one, others or {}, video)
    ]
    columns = ["sequence", "object_id", "frame", "first", "end", "kind", "value", "severity", "reason"]
    table = pd.DataFrame(rows, columns=columns)
    return table.sort_values(
        ["severity", "sequence", "object_id", "first"], ascending=[False, True, True, True], ignore_index=True
    )


def _places(tracks: Tracks, others: Mapping[str, Tracks], video: Video | None) -> Iterator[dict[str, Any]]:
    seen = tracks.take(tracks.visible & np.isfinite(tracks.boxes).all(axis=1))
    places = list(_by_boxes(seen, others))
    if video is not None:
        places += _identity(places, seen, video)
    for place in places:
        yield {**place, "reason": WORDS[place["kind"]].format(place["value"])}


def _by_boxes(seen: Tracks, others: Mapping[str, Tracks]) -> Iterator[dict[str, Any]]:
    covered = _covered(seen)
    for object_id, rows in seen.object_rows().items():
        frame, boxes, score = seen.frame[rows], seen.boxes[rows], seen.score[rows]
        signals = {
            "score": _score(score),
            "jump": _jump(frame, boxes),
            "stop": _stop(frame, boxes),
            "area": _area(frame, boxes),
            "overlap": _overlap(covered[rows]),
            "lost": _lost(frame),
        }
        found = [p for kind, signal in signals.items() for p in _merged(kind, frame, *signal)]
        for other in others.values():
            found += _merged("disagreement", frame, *_disagreement(object_id, frame, boxes, other))
        for place in found:
            yield {"object_id": object_id, **place}


def _merged(kind: str, frame: NDArray[np.int64], severity: Floats, value: Floats) -> Iterator[dict[str, Any]]:
    """Places of one kind: rows with a severity above 0, those near one another together."""
    rows = np.flatnonzero(severity > 0)
    cuts = np.flatnonzero(np.diff(frame[rows]) > NEAR) + 1
    for part in np.split(rows, cuts):
        if len(part):
            worst = part[severity[part].argmax()]
            yield {
                "frame": int(frame[worst]),
                "first": int(frame[part[0]]),
                "end": int(frame[part[-1]]) + 1,
                "kind": kind,
                "value": float(value[worst]),
                "severity": round(float(np.clip(severity[worst], 0, 1)), 4),
            }


def _size(boxes: Floats) -> Floats:
    return np.sqrt(np.maximum(box_area(boxes), 1.0))


def _score(score: Floats) -> tuple[Floats, Floats]:
    """How far the score is below half of what it usually is."""
    usual = np.median(score) if len(score) else 0.0
    return (np.clip(1 - score / (0.5 * usual), 0, 1) if usual > 0 else np.zeros(len(score))), score


def _jump(frame: NDArray[np.int64], boxes: Floats) -> tuple[Floats, Floats]:
    """Steps that no constant velocity explains, in the object's size: beyond a quarter of it, and what is usual."""
    severity, value = np.zeros(len(frame)), np.zeros(len(frame))
    if len(frame) > 2:
        step = np.diff(box_centers(boxes), axis=0) / np.diff(frame)[:, None]
        bend = np.linalg.norm(np.diff(step, axis=0), axis=1) / _size(boxes)[1:-1]
        limit = max(0.25, 8 * float(np.median(bend)))
        value[2:] = bend
        severity[2:] = np.where(bend > limit, 1 - limit / np.maximum(bend, 1e-9), 0)
    return severity, value


def _area(frame: NDArray[np.int64], boxes: Floats) -> tuple[Floats, Floats]:
    """Factors by which the area changes from one frame to the next: beyond 1.4, and what is usual."""
    severity, value = np.zeros(len(frame)), np.ones(len(frame))
    if len(frame) > 1:
        change = np.abs(np.diff(np.log(np.maximum(box_area(boxes), 1.0)))) / np.diff(frame)
        limit = max(np.log(1.4), 8 * float(np.median(change)))
        value[1:] = np.exp(change)
        severity[1:] = np.where(change > limit, 1 - limit / np.maximum(change, 1e-9), 0)
    return severity, value


def _stop(frame: NDArray[np.int64], boxes: Floats) -> tuple[Floats, Floats]:
    """Rows from which a box stands still though it usually moves; the value is for how many frames."""
    severity, value = np.zeros(len(frame)), np.zeros(len(frame))
    if len(frame) > STILL_FRAMES:
        moved = np.linalg.norm(np.diff(box_centers(boxes), axis=0), axis=1) / _size(boxes)[1:]
        if np.mean(moved > STILL) > 0.5:
            edges = np.diff(np.concatenate([[0], (moved <= STILL).astype(int), [0]]))
            for a, b in zip(np.flatnonzero(edges == 1), np.flatnonzero(edges == -1), strict=True):
                if b - a >= STILL_FRAMES:
                    severity[a + 1], value[a + 1] = 1 - STILL_FRAMES / (b - a + 1), b - a
    return severity, value


def _lost(frame: NDArray[np.int64]) -> tuple[Floats, Floats]:
    """Rows before which the object was not seen; the value is for how many frames."""
    gap = np.concatenate([[0], np.diff(frame) - 1]).astype(float)
    return np.where(gap > 0, 0.3 + 0.7 * (1 - np.exp(-gap / 25)), 0), gap


def _overlap(covered: Floats) -> tuple[Floats, Floats]:
    return np.where(covered >= HIDES, covered, 0), covered


def _covered(seen: Tracks) -> Floats:
    """For each row the largest overlap with another object on its frame, (N,)."""
    most = np.zeros(len(seen))
    starts, ends = (np.searchsorted(seen.frame, seen.frames, side) for side in ("left", "right"))
    for a, b in zip(starts, ends, strict=True):
        if b - a > 1:
            overlap = box_iou(seen.boxes[a:b], seen.boxes[a:b])
            np.fill_diagonal(overlap, 0)
            most[a:b] = overlap.max(axis=1)
    return most


def _disagreement(
    object_id: int, frame: NDArray[np.int64], boxes: Floats, other: Tracks
) -> tuple[Floats, Floats]:
    """Rows where another tracker's box of the object lies elsewhere; where it has none, nothing is said."""
    theirs = other.take((other.object_id == object_id) & other.visible & np.isfinite(other.boxes).all(axis=1))
    value = np.ones(len(frame))
    _, a, b = np.intersect1d(frame, theirs.frame, return_indices=True)
    value[a] = np.nan_to_num(paired_iou(boxes[a], theirs.boxes[b]))
    return np.clip(1 - value / OTHER, 0, 1), value


def _identity(places: list[dict[str, Any]], seen: Tracks, video: Video) -> list[dict[str, Any]]:
    """Places where colours differ before and after the object was covered, lost or jumped."""
    found = []
    asked = [p for p in places if p["kind"] in ("overlap", "lost", "jump")]
    for place in sorted(asked, key=lambda p: -p["severity"])[:LOOKS]:
        rows = np.flatnonzero(seen.object_id == place["object_id"])
        frame, boxes = seen.frame[rows], seen.boxes[rows]
        before, after = np.searchsorted(frame, place["first"]) - 2, np.searchsorted(frame, place["end"]) + 1
        if before < 0 or after >= len(frame):
            continue
        a, b = (_colours(video[int(frame[row])], boxes[row]) for row in (before, after))
        # Bhattacharyya's coefficient: 1 for equal shares of colours, 0 where none is common.
        alike = float(np.sqrt(a * b).sum())
        if alike < OTHER:
            found.append({**place, "kind": "identity", "value": alike, "severity": round(1 - alike / 2, 4)})
    return found


def _colours(image: NDArray[np.uint8], box: Floats) -> Floats:
    """Share of each of 8 x 8 x 8 colours within the middle of a box."""
    height, width = image.shape[:2]
    (x1, y1, x2, y2), margin = box, 0.15
    dx, dy = (x2 - x1) * margin, (y2 - y1) * margin
    left, right = (int(np.clip(v, 0, width - 1)) for v in (x1 + dx, x2 - dx))
    top, bottom = (int(np.clip(v, 0, height - 1)) for v in (y1 + dy, y2 - dy))
    cut = image[top : bottom + 1, left : right + 1].reshape(-1, 3).astype(np.int64) // 32
    counts = np.bincount(cut @ np.array([64, 8, 1]), minlength=512)
    return np.asarray(counts / max(counts.sum(), 1), dtype=np.float64)
