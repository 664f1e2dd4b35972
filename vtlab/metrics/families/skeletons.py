"""Key points of skeletons, matched with truth by the ids of object and point: PCK and the mean error in pixels.

Paper: Yang and Ramanan, "Articulated Human Detection with Flexible Mixtures of Parts", PAMI 2013: a key point is correct
where it lies nearer to truth than a part of the longer side of the object's box. Reference code: mmpose's
`keypoint_pck_accuracy` and `keypoint_epe` (Apache-2.0). Differs in one thing: mmpose averages PCK over the names of key
points, here every visible key point weighs the same, within a sequence and over sequences.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from vtlab.errors import InputError
from vtlab.metrics.families.base import Array, Case, Family, Ints
from vtlab.metrics.per_frame import NOBODY, Judged
from vtlab.metrics.records import INF, Metric
from vtlab.metrics.rules import Rule
from vtlab.tracks import Tracks

_PCK = "Yang and Ramanan, Articulated Human Detection with Flexible Mixtures of Parts, PAMI 2013"
_METRICS = (
    Metric("PCK", "skeletons", "Visible key points within a part of their object's box size", paper=_PCK),
    Metric(
        "keypoint_error",
        "skeletons",
        "Mean distance of the visible key points that are answered",
        "px",
        high=INF,
        higher_is_better=False,
        paper="mmpose: end-point error (EPE)",
        title="error px",
    ),
)


@dataclass(frozen=True)
class SkeletonRule(Rule):
    """The rule by which key points of skeletons are judged: after the frame of their object's prompt, where truth sees them,
    on frames that somebody looked at.

    A key point without an answer is wrong for PCK and left out of the mean error. Whether the tracker calls it hidden is no
    part of the score.

    Attributes:
        part: Of the box's longer side, that a correct key point lies within (strictly).
    """

    hidden_answers: Literal["counted", "dropped", "judged"] = field(default="counted", kw_only=True)
    part: float = 0.2


@dataclass(frozen=True)
class Counts:
    """What key points add up to; those of several sequences add up in the same way.

    Attributes:
        correct: Key points within their distance, `sized`: those that have one (of an object with a box or an extent).
        error: Sum of distances in pixels, `answered`: how many it is of.
    """

    correct: float
    sized: float
    error: float
    answered: float

    def values(self) -> dict[str, float]:
        """Metric -> value, NaN where there is nothing to judge."""
        return {
            "PCK": self.correct / self.sized if self.sized else np.nan,
            "keypoint_error": self.error / self.answered if self.answered else np.nan,
        }

    @classmethod
    def joined(cls, counts: Sequence[Counts]) -> Counts:
        """The sums of several."""
        return cls(*(float(sum(getattr(c, name) for c in counts)) for name in cls.__dataclass_fields__))

    def numbers(self) -> dict[str, float]:
        """As a store keeps them."""
        return {f"keypoints_{name}": value for name, value in asdict(self).items()}

    @classmethod
    def of_numbers(cls, numbers: Mapping[str, float]) -> Counts:
        """From what `numbers` gave; raises KeyError where one is missing."""
        return cls(*(float(numbers[f"keypoints_{name}"]) for name in cls.__dataclass_fields__))


@dataclass(frozen=True)
class _KeyPoints:
    """Visible key points of truth that count, (K,): whose, which, how far the answer is (NaN: none), how far it may be."""

    frame: Ints
    object_id: Ints
    point_id: Ints
    distance: Array
    reach: Array

    @classmethod
    def of(cls, case: Case, rule: SkeletonRule) -> _KeyPoints:
        seen = case.truth.seen()
        if not len(case.truth.points):
            raise InputError("The ground truth has no key points; score boxes with family='sot'.")
        ids = case.object_ids(np.unique(case.truth.points.object_id))
        t, size = seen.points, _sizes(seen)
        whole = t.visible & np.isfinite(t.xy).all(axis=1)
        start = {
            int(i): case.start(int(i), t.frame[whole & (t.object_id == i)])
            for i in np.unique(t.object_id[whole])
        }
        after = t.frame > np.array([start.get(int(i), case.frames) for i in t.object_id], dtype=np.int64)
        keep = whole & after & np.isin(t.object_id, ids) & np.isin(t.frame, case.looked_at())
        t, size = t.take(keep), size[keep]
        a = case.answers(rule).points
        both = [np.stack([p.frame, p.object_id, p.point_id], axis=1) for p in (a, t)]
        known, number = np.unique(np.concatenate(both), axis=0, return_inverse=True)
        xy = np.full((len(known), 2), np.nan)
        number = number.reshape(-1)
        xy[number[: len(a)]] = a.xy
        distance = np.linalg.norm(xy[number[len(a) :]] - t.xy, axis=1)
        return cls(t.frame, t.object_id, t.point_id, distance, rule.part * size)

    @property
    def correct(self) -> NDArray[np.bool_]:
        """(K,) within reach; what is unknown isn't."""
        return self.distance < self.reach

    def counts(self, mine: NDArray[np.bool_] | slice = slice(None)) -> Counts:
        distance, sized = self.distance[mine], np.isfinite(self.reach[mine])
        answered = np.isfinite(distance)
        return Counts(
            float(self.correct[mine].sum()),
            float(sized.sum()),
            float(distance[answered].sum()),
            float(answered.sum()),
        )


def _sizes(truth: Tracks) -> Array:
    """(M,) longer side of each point's object on its frame: of its box, else of the extent of its points; NaN for 0."""
    p = truth.points
    row = p.rows_in(truth.frame, truth.object_id)
    low, high = np.full((len(truth), 2), np.inf), np.full((len(truth), 2), -np.inf)
    placed = np.isfinite(p.xy).all(axis=1)
    np.minimum.at(low, row[placed], p.xy[placed])
    np.maximum.at(high, row[placed], p.xy[placed])
    box = (truth.boxes[:, 2:] - truth.boxes[:, :2]).max(axis=1)
    side = np.where(np.isfinite(box), box, (high - low).max(axis=1))
    return np.where(side > 0, side, np.nan)[row]


def _score(case: Case, rule: SkeletonRule) -> tuple[Counts, dict[int, dict[str, float]]]:
    found = _KeyPoints.of(case, rule)
    ids = np.unique(found.object_id).tolist()
    each = {i: found.counts(found.object_id == i).values() for i in ids}
    return found.counts(), each if len(ids) > 1 else {}


def _judge(case: Case, rule: SkeletonRule) -> Judged:
    found = _KeyPoints.of(case, rule)
    sized = np.isfinite(found.reach)
    answer = np.where(np.isfinite(found.distance), found.object_id, NOBODY)
    return Judged(
        found.frame[sized],
        found.object_id[sized],
        answer[sized],
        found.correct[sized].astype(np.float64),
        found.point_id[sized],
    )


FAMILY = Family(
    code="skeletons",
    title="Skeletons",
    short="skeletons",
    main="PCK",
    columns=("PCK", "keypoint_error"),
    listed=("PCK", "keypoint_error"),
    rules={
        r.name: r
        for r in (
            SkeletonRule(
                "pck", "mmpose: PCKAccuracy, thr=0.2, norm_item='bbox'; Yang and Ramanan, PAMI 2013"
            ),
        )
    },
    default="pck",
    metrics=_METRICS,
    score=_score,
    combine=lambda counts: Counts.joined(counts).values(),
    judge=_judge,
    timeline_label="correct key points (PCK)",
    numbers=lambda counts: counts.numbers(),
    of_numbers=Counts.of_numbers,
    trackers=("points",),
    order=50,
)
