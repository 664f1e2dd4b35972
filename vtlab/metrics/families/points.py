"""Points that are matched with truth by the ids of object and point."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vtlab.errors import InputError
from vtlab.metrics import points
from vtlab.metrics.families.base import Array, Case, Family, Ints
from vtlab.metrics.per_frame import NOBODY, Judged
from vtlab.metrics.records import Metric
from vtlab.metrics.rules import POINTS, PointRule

Bools = NDArray[np.bool_]

_TAP = "Doersch et al., TAP-Vid, NeurIPS 2022"
_METRICS = (
    Metric("AJ", "points", "Average Jaccard: position and visibility together", paper=_TAP),
    Metric("delta_avg", "points", "Visible points within a threshold, averaged over thresholds", paper=_TAP),
    Metric("OA", "points", "Accuracy of visible or not", paper=_TAP),
    *(Metric(f"jaccard_{d}", "points", f"Jaccard within {d} px", paper=_TAP) for d in (1, 2, 4, 8, 16)),
    *(Metric(f"delta_{d}", "points", f"Visible points within {d} px", paper=_TAP) for d in (1, 2, 4, 8, 16)),
)  # fmt: skip


@dataclass(frozen=True)
class _Grid:
    """Points of truth (P, 2) as object and point, on every frame (P, T), and their answers.

    `looked`: truth has the point on a frame that somebody looked at.
    """

    known: Ints
    truth: Array
    looked: Bools
    visible: Bools
    answer: Array
    seen: Bools
    query: Ints
    size: tuple[float, float] | None

    @classmethod
    def of(cls, case: Case, rule: PointRule) -> _Grid:
        t, a = case.truth.points, case.answers(rule).points
        if not len(t):
            raise InputError("The ground truth has no points.")
        t = t.take(np.isin(t.object_id, case.object_ids(np.unique(t.object_id))))
        known, index = np.unique(np.stack([t.object_id, t.point_id], axis=1), axis=0, return_inverse=True)
        shape = (len(known), case.frames)
        truth, looked, visible = np.full((*shape, 2), np.nan), np.zeros(shape, bool), np.zeros(shape, bool)
        index = index.reshape(-1)
        truth[index, t.frame], looked[index, t.frame] = t.xy, np.isin(t.frame, case.looked_at())
        visible[index, t.frame] = t.visible & np.isfinite(t.xy).all(axis=1)
        number = {(int(o), int(p)): i for i, (o, p) in enumerate(known)}
        row = np.array(
            [number.get(k, -1) for k in zip(a.object_id.tolist(), a.point_id.tolist(), strict=True)],
            dtype=np.int64,
        )
        keep = (row >= 0) & (a.frame < case.frames)
        answer, seen = np.full((*shape, 2), np.nan), np.zeros(shape, bool)
        answer[row[keep], a.frame[keep]], seen[row[keep], a.frame[keep]] = a.xy[keep], a.visible[keep]
        # A point that is never seen begins on the last frame: none comes after it.
        first = np.where(visible.any(axis=1), visible.argmax(axis=1), case.frames - 1)
        query = np.array([case.starts.get(int(o), int(f)) for (o, _), f in zip(known, first, strict=True)])
        size = None if case.size is None else (float(case.size[1]), float(case.size[0]))
        return cls(known, truth, looked, visible, answer, seen, query, size)

    def values(self, rule: PointRule, mine: Any = slice(None)) -> dict[str, float]:
        return points.evaluate(
            self.answer[mine],
            self.seen[mine],
            self.truth[mine],
            self.visible[mine],
            self.query[mine],
            rule=rule,
            size=self.size,
            annotated=self.looked[mine],
        )


def _score(case: Case, rule: PointRule) -> tuple[dict[str, float], dict[int, dict[str, float]]]:
    grid = _Grid.of(case, rule)
    ids = np.unique(grid.known[:, 0]).tolist()
    return grid.values(rule), {i: grid.values(rule, grid.known[:, 0] == i) for i in ids} if len(
        ids
    ) > 1 else {}


def _judge(case: Case, rule: PointRule) -> Judged:
    grid = _Grid.of(case, rule)
    counted = points.evaluated_frames(grid.query, case.frames, rule) & grid.looked
    row, frame = np.nonzero(counted & (grid.visible | grid.seen))
    true = grid.visible[row, frame]
    answered = np.isfinite(grid.answer[row, frame]).all(axis=1)
    near = points.nearness(grid.answer[row, frame] - grid.truth[row, frame], rule, grid.size)
    owner, point = grid.known[row].T
    return Judged(
        frame,
        np.where(true, owner, NOBODY),
        np.where(answered, owner, NOBODY),
        np.where(true, near, 0.0),
        point,
    )


FAMILY = Family(
    code="points",
    title="Points",
    short="points",
    main="AJ",
    columns=("AJ", "delta_avg", "OA"),
    listed=("AJ", "delta_avg", "OA"),
    rules=POINTS,
    default="tapvid-first",
    metrics=_METRICS,
    score=_score,
    combine=points.combine,
    judge=_judge,
    timeline_label="points within the thresholds (mean)",
    claims=lambda tracks, truth: bool(len(tracks.points) and len(truth.points)),
    order=40,
)
