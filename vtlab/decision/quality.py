"""How alike two answers are on each frame: the measure of a verdict, between a tracker and a label or two trackers.

Every measure is a mean over frames of a number in [0, 1], 1 for equal answers, so that labels on some frames say
something about all, or a ratio of two such means where a rule leaves objects out. An object that is in neither answer is
agreed on (1); in one of them only, it is not (0): "not there" is an answer like any other, unless `Absent` says otherwise.
Several objects of a frame count the same.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from vtlab.errors import InputError, near
from vtlab.geometry import box_iou, paired_iou
from vtlab.masks import Runs
from vtlab.tracks import Tracks

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

_OVERLAPS = np.linspace(0, 1, 21)
"""Thresholds of OTB's success curve (Wu et al., 2013)."""
_NEAR = (1.0, 2.0, 4.0, 8.0, 16.0)
"""Distances in pixels of TAP-Vid (Doersch et al., 2022)."""
_PRECISE = 20.0
"""Pixels of OTB's precision (Wu et al., 2013)."""
_POINTS = 1 << 32
"""Object and point in one number: ids of points are below it."""


Absent = Literal["judged", "excluded", "missed"]
"""What a labelled object counts that isn't there: "judged": a tracker that says so is right, one that doesn't is wrong;
"excluded": it is left out of the mean; "missed": wrong whatever was answered, as benchmarks do that divide by all frames."""


@dataclass(frozen=True)
class Measure:
    """A measure of a verdict.

    Attributes:
        name: Short name.
        family: Family of the metrics that it belongs to.
        text: What it is called in a sentence.
        metric: Whether 1 - it is a metric in the sense of mathematics, so that the qualities of two trackers differ
            by at most 1 - their likeness on each frame: what the guaranteed mode needs.
        prepare: (tracks, object ids, (F,) frames) -> what `each` takes.
        each: (prepared, prepared) -> (F, objects) in [0, 1], and (F, objects) whether the second has the object.
        absent: What an absent object counts unless it is said.
    """

    name: str
    family: str
    text: str
    metric: bool
    prepare: Callable[[Tracks, Ints, Ints], Any]
    each: Callable[[Any, Any], tuple[Floats, Bools]]
    absent: Absent = "judged"

    def __call__(self, answer: Tracks, other: Tracks, ids: Ints, frames: Ints) -> Floats:
        """(F,) likeness of two answers on some frames, ascending."""
        return self.compare(self.prepare(answer, ids, frames), self.prepare(other, ids, frames))

    def compare(self, a: Any, b: Any) -> Floats:
        """(F,) likeness of two prepared answers in [0, 1], the mean over objects; 1 where there are none."""
        likeness, _ = self.each(a, b)
        return np.asarray(likeness.mean(axis=1)) if likeness.shape[1] else np.ones(len(likeness))

    def judge(self, answer: Any, truth: Any, absent: Absent) -> tuple[Floats, Floats]:
        """Quality of a prepared answer against a label: (F,) in [0, 1], and (F,) how much of the frame counts."""
        likeness, there = self.each(answer, truth)
        if absent == "judged" or not there.shape[1]:
            whole = likeness.mean(axis=1) if there.shape[1] else np.ones(len(likeness))
            return np.asarray(whole), np.ones(len(likeness))
        found, count = (likeness * there).sum(axis=1), there.sum(axis=1)
        if absent == "missed":
            return found / there.shape[1], np.ones(len(count))
        return np.divide(found, count, out=np.zeros(len(count)), where=count > 0), count / there.shape[1]


def _places(frame: Ints, owner: Ints, ids: Ints, frames: Ints) -> tuple[Ints, Ints, Bools]:
    """Positions of rows in `frames` and `ids`, both ascending, and which rows have one."""
    if not len(frames) or not len(ids):
        none = np.zeros(len(frame), np.int64)
        return none, none, np.zeros(len(frame), bool)
    row = np.searchsorted(frames, frame).clip(max=len(frames) - 1)
    column = np.searchsorted(ids, owner).clip(max=len(ids) - 1)
    return row, column, (frames[row] == frame) & (ids[column] == owner)


def _boxes(tracks: Tracks, ids: Ints, frames: Ints) -> Floats:
    """(F, objects, 4) boxes of the visible answers, NaN where there is none."""
    out = np.full((len(frames), len(ids), 4), np.nan)
    row, column, keep = _places(tracks.frame, tracks.object_id, ids, frames)
    use = keep & tracks.visible
    out[row[use], column[use]] = tracks.boxes[use]
    return out


def _over(value: Callable[[Floats, Floats], Floats]) -> Callable[[Floats, Floats], tuple[Floats, Bools]]:
    """Likeness of (F, objects, n) coordinates from a function of the rows (M, n) that both have."""

    def each(a: Floats, b: Floats) -> tuple[Floats, Bools]:
        here, there = (np.asarray(np.isfinite(x).all(axis=2)) for x in (a, b))
        out = (here == there).astype(np.float64)
        both = here & there
        out[both] = value(a[both], b[both])
        return out, there

    return each


def _success(a: Floats, b: Floats) -> Floats:
    # Above, not at, as OTB has it: no overlap is above the last threshold, so that a perfect answer reaches 20 of 21.
    return np.asarray((paired_iou(a, b)[:, None] > _OVERLAPS).mean(axis=1))


def _precision(a: Floats, b: Floats) -> Floats:
    gap = (a[:, :2] + a[:, 2:] - b[:, :2] - b[:, 2:]) / 2
    return (np.hypot(gap[:, 0], gap[:, 1]) <= _PRECISE).astype(np.float64)


def _masks(tracks: Tracks, ids: Ints, frames: Ints) -> tuple[Ints, Runs | None]:
    """(F, objects) number of each answer's mask, -1 where there is none or an empty one; and the masks."""
    number = np.full((len(frames), len(ids)), -1, np.int64)
    row, column, keep = _places(tracks.frame, tracks.object_id, ids, frames)
    mine = np.flatnonzero(keep & tracks.visible)
    if not len(mine):
        return number, None
    missing = mine if tracks.rle is None else [i for i in mine.tolist() if tracks.rle[i] is None]
    if len(missing):
        raise InputError(
            f"Masks are compared, but object {tracks.object_id[missing[0]]} has none on frame "
            f"{tracks.frame[missing[0]]}. Label masks, or compare boxes: metric='iou'."
        )
    runs = tracks.take(mine).runs()
    number[row[mine], column[mine]] = np.where(runs.areas() > 0, np.arange(len(mine)), -1)
    return number, runs


def _jaccard(a: tuple[Ints, Runs | None], b: tuple[Ints, Runs | None]) -> tuple[Floats, Bools]:
    (first, one), (second, two) = a, b
    out = ((first < 0) == (second < 0)).astype(np.float64)
    both = (first >= 0) & (second >= 0)
    if one is not None and two is not None and both.any():
        i, j = first[both], second[both]
        common = one.intersection(two, i, j)
        out[both] = common / (one.areas()[i] + two.areas()[j] - common)
    return out, second >= 0


def _points(tracks: Tracks, ids: Ints, frames: Ints) -> tuple[Ints, Floats]:
    """(P,) keys of the points of these objects, and (F, P, 2) where they are; NaN where hidden."""
    p = tracks.points.take(np.isin(tracks.points.object_id, ids))
    flat = np.searchsorted(ids, p.object_id) * _POINTS + p.point_id
    keys = np.unique(flat)
    xy = np.full((len(frames), len(keys), 2), np.nan)
    row, column, keep = _places(p.frame, flat, keys, frames)
    use = keep & p.visible
    xy[row[use], column[use]] = p.xy[use]
    return keys, xy


def _near(a: Floats, b: Floats) -> Floats:
    """Share of the thresholds within which two points (M, 2) are of each other."""
    return np.asarray((np.linalg.norm(a - b, axis=1)[:, None] < np.array(_NEAR)).mean(axis=1))


def _within(a: tuple[Ints, Floats], b: tuple[Ints, Floats]) -> tuple[Floats, Bools]:
    keys = np.union1d(a[0], b[0])
    both = []
    for mine, xy in (a, b):
        wide = np.full((len(xy), len(keys), 2), np.nan)
        wide[:, np.searchsorted(keys, mine)] = xy
        both.append(wide)
    return _over(_near)(*both)


def _detections(tracks: Tracks, ids: Ints, frames: Ints) -> list[Floats]:
    """The boxes (n, 4) of each frame, whatever their identities."""
    seen = tracks.take(tracks.visible & np.isfinite(tracks.boxes).all(axis=1))
    low, high = np.searchsorted(seen.frame, frames), np.searchsorted(seen.frame, frames, side="right")
    return [seen.boxes[i:j] for i, j in zip(low, high, strict=True)]


def _detected(a: list[Floats], b: list[Floats]) -> tuple[Floats, Bools]:
    """TP / (TP + FN + FP) of each frame at an overlap of one half."""
    from scipy.optimize import linear_sum_assignment

    out = np.ones(len(a))
    for i, (mine, other) in enumerate(zip(a, b, strict=True)):
        if not len(mine) and not len(other):
            continue
        hit = box_iou(mine, other) >= 0.5
        found = int(hit[linear_sum_assignment(-hit.astype(np.float64))].sum()) if hit.size else 0
        out[i] = found / (len(mine) + len(other) - found)
    return out[:, None], np.ones((len(out), 1), bool)


# 1 - IoU is a metric, of boxes and of masks; the largest excess of 15,777 frames and 15 pairs of trackers was 2e-14. Success
# may differ by a threshold more than that, and misses with false boxes broke the bound on up to 3.7 % of frames.
MEASURES = {
    m.name: m
    for m in (
        Measure("iou", "sot", "mean IoU", True, _boxes, _over(paired_iou)),
        Measure("success", "sot", "success AUC", False, _boxes, _over(_success)),
        Measure("precision", "sot", "precision at 20 px", False, _boxes, _over(_precision)),
        Measure("J", "vos", "mean J", True, _masks, _jaccard),
        Measure("within", "points", "share of points within 1 to 16 px", False, _points, _within, "excluded"),
        Measure("detection", "mot", "detection accuracy at IoU 0.5", False, _detections, _detected),
    )
}
"""Every measure by its name; the first of a family is the one used unless another is named."""


def find_measure(name: str | None, family: str) -> Measure:
    """The measure called `name`, or the first of a family.

    Raises:
        InputError: There is no such measure; identities have none, because no number about them is a mean over frames.
    """
    if name is not None:
        if name not in MEASURES:
            raise InputError(
                f"There is no measure {name!r} for verdicts: it must be a mean over frames, as identity metrics "
                f"are not. {near(name, MEASURES)}"
            )
        return MEASURES[name]
    of_family = [m for m in MEASURES.values() if m.family == family]
    if not of_family:
        raise InputError(
            f"There is no verdict for the family {family!r}. Give metric=: {', '.join(MEASURES)}."
        )
    return of_family[0]
