"""Quality of each single answer: the overlap (or hit) of one object on one frame, the base of timelines,
breakdowns by attribute and calibration."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from vtlab import masks
from vtlab.errors import InputError
from vtlab.geometry import paired_iou
from vtlab.metrics.evaluation import infer_family
from vtlab.metrics.families import Truth, truth_of
from vtlab.metrics.families.mot import mot_pairs
from vtlab.tracks import Tracks

if TYPE_CHECKING:
    import pandas as pd

_POINT_PX = 8.0
"""A point within this distance is a hit: the middle of TAP-Vid's thresholds, in the video's own pixels."""


def of_truth(tracks: Tracks, truth: Truth, family: str | None = None) -> pd.DataFrame:
    """Quality of the answer for each visible object of truth on each frame.

    Boxes and masks: overlap (IoU) with the answer of the same id (`sot`, `vos`) or of the best match (`mot`), 0 where
    there is none. Points: part of the object's visible points that are hit within 8 px.

    Returns:
        DataFrame: frame, object_id, quality in [0, 1].
    """
    import pandas as pd

    true, kind = _prepared(tracks, truth, family)
    seen = true.seen()
    if kind == "points":
        frame, object_id, quality = _points(tracks, true)
    else:
        frame, object_id = seen.frame, seen.object_id
        quality = _matched(tracks, seen)[0] if kind == "mot" else _by_id(seen, tracks.seen(), kind)
    return pd.DataFrame({"frame": frame, "object_id": object_id, "quality": quality})


@dataclass(frozen=True)
class Series:
    """One object of truth over time, from its prompt to its last frame.

    Attributes:
        overlap: (N,) IoU with the answer of the same id; 0 where either is missing.
        score: (N,) the answer's score; NaN where there is no visible answer.
        visible: (N,) bool, truth shows the object.
    """

    overlap: NDArray[np.float64]
    score: NDArray[np.float64]
    visible: NDArray[np.bool_]


def series(tracks: Tracks, truth: Truth, object_id: int, family: str = "sot") -> Series:
    """Quality of the answers for one object as arrays over time, as VOT's measures take them.

    Args:
        tracks: What a tracker answered.
        truth: Ground-truth `Tracks`, or a sequence that has them.
        object_id: The object.
        family: `sot` (boxes) or `vos` (masks).
    """
    true, _ = _prepared(tracks, truth, family)
    mine = true.take(true.object_id == object_id)
    if not len(mine):
        raise InputError(f"The ground truth has no object {object_id}.")
    first, count = int(mine.frame[0]), int(mine.frame[-1] - mine.frame[0]) + 1
    seen, answers = mine.seen(), tracks.of_object(object_id).between(first, first + count).seen()
    overlap, score, visible = np.zeros(count), np.full(count, np.nan), np.zeros(count, bool)
    overlap[seen.frame - first] = _by_id(seen, answers, family)
    visible[seen.frame - first] = True
    score[answers.frame - first] = answers.score
    return Series(overlap, score, visible)


def of_answers(tracks: Tracks, truth: Truth, family: str | None = None) -> pd.DataFrame:
    """Quality of each visible answer, with its score.

    Returns:
        DataFrame: frame, object_id (the tracker's), score, quality in [0, 1]; an answer without truth has quality 0.
    """
    import pandas as pd

    true, kind = _prepared(tracks, truth, family)
    if kind == "points":
        return _point_answers(tracks, true)
    seen = tracks.seen()
    quality = _matched(tracks, true.seen())[1] if kind == "mot" else _by_id(seen, true.seen(), kind)
    return pd.DataFrame(
        {"frame": seen.frame, "object_id": seen.object_id, "score": seen.score, "quality": quality}
    )


def _prepared(tracks: Tracks, truth: Truth, family: str | None) -> tuple[Tracks, str]:
    true = truth_of(truth)
    kind = family or infer_family(tracks, true)
    # A score of 0 in truth of many objects is MOTChallenge's flag: not counted.
    return true.take(true.score != 0) if kind == "mot" else true, kind


def _by_id(rows: Tracks, others: Tracks, kind: str) -> NDArray[np.float64]:
    """Overlap of each row with the row of the same frame and id on the other side; 0 where there is none."""
    at = {
        (f, o): i
        for i, (f, o) in enumerate(zip(others.frame.tolist(), others.object_id.tolist(), strict=True))
    }
    partner = np.array(
        [at.get(k, -1) for k in zip(rows.frame.tolist(), rows.object_id.tolist(), strict=True)],
        dtype=np.int64,
    )
    out = np.zeros(len(rows))
    both = np.flatnonzero(partner >= 0)
    if kind != "vos":
        out[both] = np.nan_to_num(paired_iou(rows.boxes[both], others.boxes[partner[both]]))
        return out
    for i in both.tolist():
        mine, other = rows.mask(i), others.mask(int(partner[i]))
        out[i] = masks.iou(mine, other) if mine is not None and other is not None else 0.0
    return out


def _matched(tracks: Tracks, truth: Tracks) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Overlap of each row of truth, and of each visible row of the answer, with its best match on the frame."""
    pairs = mot_pairs(tracks, truth)
    best = pairs.best()
    boxed_t = np.flatnonzero(np.isfinite(truth.boxes).all(axis=1))
    seen = tracks.seen()
    boxed_a = np.flatnonzero(np.isfinite(seen.boxes).all(axis=1))
    of_t, of_a = np.zeros(len(truth)), np.zeros(len(seen))
    of_t[boxed_t[pairs.truth.source[pairs.t[best]]]] = pairs.similarity[best]
    of_a[boxed_a[pairs.answer.source[pairs.a[best]]]] = pairs.similarity[best]
    return of_t, of_a


def _point_hits(tracks: Tracks, truth: Tracks) -> pd.DataFrame:
    keys = ["frame", "object_id", "point_id"]
    joined = tracks.points_frame().merge(truth.points_frame(), on=keys, how="outer", suffixes=("", "_true"))
    distance = np.hypot(
        joined.x.to_numpy() - joined.x_true.to_numpy(), joined.y.to_numpy() - joined.y_true.to_numpy()
    )
    # An outer join leaves NaN where one side has no row: not visible there, and near to nothing.
    return joined.assign(
        seen=joined.visible.eq(True), true=joined.visible_true.eq(True), near=distance < _POINT_PX
    )


def _points(
    tracks: Tracks, truth: Tracks
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    joined = _point_hits(tracks, truth)
    mine = joined[joined.true]
    hit = (mine.near & mine.seen).groupby([mine.frame, mine.object_id]).mean()
    index = hit.index
    return (
        index.get_level_values(0).to_numpy(np.int64),
        index.get_level_values(1).to_numpy(np.int64),
        hit.to_numpy(np.float64),
    )


def _point_answers(tracks: Tracks, truth: Tracks) -> pd.DataFrame:
    joined = _point_hits(tracks, truth)
    mine = joined[joined.seen]
    quality = (mine.near & mine.true).astype(float)
    return mine[["frame", "object_id", "score"]].assign(quality=quality).reset_index(drop=True)
