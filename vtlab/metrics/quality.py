"""Quality of each single answer: the overlap (or hit) of one object on one frame, the base of timelines,
breakdowns by attribute and calibration."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from vtlab import masks
from vtlab.errors import InputError
from vtlab.geometry import paired_iou
from vtlab.metrics.evaluation import infer_family
from vtlab.metrics.families import Case, Truth, find_family
from vtlab.metrics.per_frame import NOBODY, Judged
from vtlab.tracks import Tracks

if TYPE_CHECKING:
    import pandas as pd

_BY_ID = ("sot", "vos")


def of_truth(tracks: Tracks, truth: Truth, family: str | None = None) -> pd.DataFrame:
    """Quality of the answer for each visible object of truth on each frame.

    Boxes and masks by id (`sot`, `vos`): overlap (IoU), 0 where there is no answer. Boxes by overlap (`mot`) and points:
    as the family judges them by its rule (`vtlab.metrics.per_frame`): overlap with the match, and the part of the
    thresholds within which the object's visible points lie, on the frames that count.

    Returns:
        DataFrame: frame, object_id, quality in [0, 1].
    """
    case, kind = _prepared(tracks, truth, family)
    if kind in _BY_ID:
        seen = case.truth.seen()
        return _table(seen.frame, seen.object_id, quality=_by_id(seen, tracks.seen(), kind))
    judged = _judged(case, kind)
    real = judged.object_id != NOBODY
    rows = _table(judged.frame[real], judged.object_id[real], quality=judged.value[real])
    return rows.groupby(["frame", "object_id"], as_index=False).mean()


@dataclass(frozen=True)
class Series:
    """One object of truth over time, from its first frame to its last, on the N frames that somebody looked at.

    Attributes:
        overlap: (N,) IoU with the answer of the same id; 0 where either is missing.
        score: (N,) the answer's score; NaN where there is no visible answer.
        visible: (N,) bool, truth shows the object.
        frame: (N,) int64, the frames.
    """

    overlap: NDArray[np.float64]
    score: NDArray[np.float64]
    visible: NDArray[np.bool_]
    frame: NDArray[np.int64]


def series(tracks: Tracks, truth: Truth, object_id: int, family: str = "sot") -> Series:
    """Quality of the answers for one object as arrays over time, as VOT's measures take them.

    Args:
        tracks: What a tracker answered.
        truth: Ground-truth `Tracks`, or a sequence that has them.
        object_id: The object.
        family: `sot` (boxes) or `vos` (masks).
    """
    case = Case.of(tracks, truth)
    mine = case.truth.of_object(object_id)
    if not len(mine):
        raise InputError(f"The ground truth has no object {object_id}.")
    first, count = int(mine.frame[0]), int(mine.frame[-1] - mine.frame[0]) + 1
    seen, answers = mine.seen(), tracks.of_object(object_id).between(first, first + count).seen()
    overlap, score, visible = np.zeros(count), np.full(count, np.nan), np.zeros(count, bool)
    overlap[seen.frame - first] = _by_id(seen, answers, family)
    visible[seen.frame - first] = True
    score[answers.frame - first] = answers.score
    frame = np.arange(first, first + count)
    looked = np.isin(frame, case.looked_at())
    return Series(overlap[looked], score[looked], visible[looked], frame[looked])


def of_answers(tracks: Tracks, truth: Truth, family: str | None = None) -> pd.DataFrame:
    """Quality of each visible answer, with its score: of each object on a frame, or of each point.

    Returns:
        DataFrame: frame, object_id (the tracker's), score, quality in [0, 1]; an answer without truth has quality 0.
    """
    case, kind = _prepared(tracks, truth, family)
    seen = tracks.seen()
    if kind in _BY_ID:
        quality = _by_id(seen, case.truth.seen(), kind)
        return _table(seen.frame, seen.object_id, score=seen.score, quality=quality)
    answers: Any = tracks.points.take(tracks.points.visible) if kind == "points" else seen
    part = answers.point_id if kind == "points" else np.zeros(len(seen), np.int64)
    judged = _judged(case, kind)
    mine = judged.answer_id != NOBODY
    found = _table(
        judged.frame[mine], judged.answer_id[mine], part=judged.point[mine], quality=judged.value[mine]
    )
    told = _table(answers.frame, answers.object_id, part=part, score=answers.score)
    both = told.merge(found, on=["frame", "object_id", "part"])
    return both[["frame", "object_id", "score", "quality"]]


def _table(frame: NDArray[np.int64], object_id: NDArray[np.int64], **columns: NDArray[Any]) -> pd.DataFrame:
    import pandas as pd

    return pd.DataFrame({"frame": frame, "object_id": object_id, **columns})


def _prepared(tracks: Tracks, truth: Truth, family: str | None) -> tuple[Case, str]:
    case = Case.of(tracks, truth)
    return case, family or infer_family(tracks, case.truth)


def _judged(case: Case, family: str) -> Judged:
    judge = find_family(family)
    return judge.judge(case, judge.rule_of(case))


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
