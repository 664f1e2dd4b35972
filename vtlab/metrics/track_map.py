"""Average precision of whole tracks (Track-mAP), as YouTube-VIS and TAO score it.

A track is a detection in space and time: its overlap with a true track is the sum of intersections over the sum of
unions. Tracks are taken by falling score and matched greedily; precision is interpolated at 101 recalls.

Papers: Yang et al., "Video Instance Segmentation", ICCV 2019; Dave et al., "TAO", ECCV 2020. Numbers agree with
TrackEval 1.3.0's TrackMAP (MIT).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vtlab.geometry import box_area
from vtlab.metrics import pairing
from vtlab.metrics.families import Case, Truth
from vtlab.tracks import Tracks

Array = NDArray[np.float64]
Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]

THRESHOLDS: Array = np.arange(0.5, 0.96, 0.05)
"""Track overlaps at which precision is averaged."""
_RECALLS = np.linspace(0, 1, 101)
"""COCO's 101 recalls, which TAO's Track-mAP takes over (Dave et al., ECCV 2020)."""
_EPS = np.finfo(np.float64).eps
# Areas are COCO's; lengths are frames of truth, of which TAO has one a second: 3 and 10 seconds there.
GROUPS: dict[str, tuple[str, float, float]] = {
    "all": ("area", -np.inf, np.inf),
    "area_s": ("area", 0, 32**2),
    "area_m": ("area", 32**2, 96**2),
    "area_l": ("area", 96**2, 1e5**2),
    "time_s": ("length", 0, 3),
    "time_m": ("length", 3, 10),
    "time_l": ("length", 10, 1e5),
}
"""Groups of true tracks: by mean area in square pixels, and by length in frames."""


@dataclass(frozen=True)
class TrackTable:
    """Tracks of one side of a sequence.

    Attributes:
        ids: (K,) identities.
        area: (K,) mean area over the track's frames.
        length: (K,) frames.
        score: (K,) mean score; 1 for truth.
    """

    ids: Ints
    area: Array
    length: Array
    score: Array


@dataclass(frozen=True)
class Matches:
    """What one sequence adds, for one group: arrays over (threshold, track of the answer), by falling score.

    Attributes:
        hit: The track matched a true track of the group.
        ignored: The track is neither right nor wrong.
        score: (K,) scores.
        truths: Number of true tracks of the group.
    """

    hit: Bools
    ignored: Bools
    score: Array
    truths: int


Part = Mapping[str, Matches]


def evaluate(
    truth: tuple[ArrayLike, ArrayLike, ArrayLike],
    answer: tuple[ArrayLike, ArrayLike, ArrayLike],
    score: ArrayLike,
) -> Part:
    """Match the tracks of one sequence, of one class.

    Args:
        truth: `(frame, object_id, boxes)`: (N,), (N,), (N, 4) xyxy.
        answer: The same of the tracker.
        score: (M,) score of each row of the answer; a track's score is the mean of its rows.

    Returns:
        Group -> matches; give those of all sequences to `combine`.
    """
    pairs = pairing.pairs_of_boxes(truth, answer)
    t_rows = _tracks(pairs.truth, np.asarray(truth[2], float).reshape(-1, 4), None)
    a_rows = _tracks(pairs.answer, np.asarray(answer[2], float).reshape(-1, 4), np.asarray(score, float))
    overlap = _track_overlap(pairs, t_rows, a_rows, truth, answer)
    # Of equal scores the first given comes first, as COCO's merge sort leaves them.
    order = np.argsort(-a_rows.score, kind="mergesort")
    out = {}
    for name, (column, low, high) in GROUPS.items():
        outside = [
            (getattr(side, column) < low - _EPS) | (getattr(side, column) > high + _EPS)
            for side in (t_rows, a_rows)
        ]
        hit, ignored = _greedy(overlap[order], outside[0], outside[1][order])
        out[name] = Matches(hit, ignored, a_rows.score[order], int((~outside[0]).sum()))
    return out


def combine(parts: Sequence[Part]) -> dict[str, float]:
    """Average precision and recall over all sequences: mAP, AP_50, AP_75, mAR, and mAP of each group; NaN if empty."""
    out: dict[str, float] = {}
    for name in GROUPS:
        precision, recall = _curves([p[name] for p in parts])
        if name == "all":
            out["mAP"], out["mAR"] = float(precision.mean()), float(recall.mean())
            out["AP_50"], out["AP_75"] = float(precision[0].mean()), float(precision[5].mean())
        else:
            out[f"mAP_{name}"] = float(precision.mean())
    return out


def of_tracks(pairs: Sequence[tuple[Tracks, Truth]]) -> dict[str, dict[str, float]]:
    """Track-mAP of several sequences by class (the labels of truth), and its mean over classes.

    Args:
        pairs: (tracks, truth) of each sequence; truth may be a sequence that has it. Where truth has no labels, all is
            one class "object".

    Returns:
        Class -> metrics, and "mean" -> their means over the classes in which they are defined.
    """
    found: dict[str, list[Part]] = {}
    for tracks, truth in pairs:
        case = Case.of(tracks, truth)
        # Truth of this metric's benchmarks is sparse in time: what is answered in between is not judged.
        true, tracks = (
            case.truth,
            tracks.take(np.isin(tracks.frame, case.looked_at())) if case.sparse() else tracks,
        )
        labels = sorted({x for x in true.label if x is not None and x != "ignore"})
        for label in labels or [None]:
            sides = [_boxes(t if label is None else t.take(t.label == label)) for t in (true, tracks)]
            (t_rows, _), (a_rows, score) = sides
            found.setdefault(label or "object", []).append(evaluate(t_rows, a_rows, score))
    out = {label: combine(parts) for label, parts in found.items()}
    names = list(next(iter(out.values()), {}))
    out["mean"] = {}
    for name in names:
        values = np.array([out[label][name] for label in found])
        out["mean"][name] = float(np.nanmean(values)) if np.isfinite(values).any() else np.nan
    return out


def _boxes(tracks: Tracks) -> tuple[tuple[Ints, Ints, Array], Array]:
    seen = tracks.take(tracks.visible & np.isfinite(tracks.boxes).all(axis=1))
    return (seen.frame, seen.object_id, seen.boxes), seen.score


def _tracks(rows: pairing.Rows, boxes: Array, score: Array | None) -> TrackTable:
    ids = np.zeros(rows.tracks, np.int64)
    ids[rows.track] = rows.object_id
    length = np.bincount(rows.track, minlength=rows.tracks).astype(np.float64)
    area = np.bincount(rows.track, box_area(boxes[rows.source]), rows.tracks) / np.maximum(length, 1)
    sums = (
        np.ones(rows.tracks) * length
        if score is None
        else np.bincount(rows.track, score[rows.source], rows.tracks)
    )
    # Rounded, so that tracks of equal scores tie whatever their lengths.
    return TrackTable(ids, area, length, np.round(sums / np.maximum(length, 1), 12))


def _track_overlap(
    pairs: pairing.Pairs,
    truth: TrackTable,
    answer: TrackTable,
    truth_rows: tuple[ArrayLike, ArrayLike, ArrayLike],
    answer_rows: tuple[ArrayLike, ArrayLike, ArrayLike],
) -> Array:
    """(answers, truths) overlap in space and time."""
    area_t = box_area(np.asarray(truth_rows[2], float).reshape(-1, 4))[pairs.truth.source][pairs.t]
    area_a = box_area(np.asarray(answer_rows[2], float).reshape(-1, 4))[pairs.answer.source][pairs.a]
    inter = pairing.intersections(pairs.similarity, area_t, area_a)
    key = pairs.answer.track[pairs.a] * len(truth.ids) + pairs.truth.track[pairs.t]
    shared = np.bincount(key, inter, len(truth.ids) * len(answer.ids)).reshape(
        len(answer.ids), len(truth.ids)
    )
    union = (answer.area * answer.length)[:, None] + (truth.area * truth.length)[None] - shared
    return np.divide(shared, union, out=np.zeros(union.shape), where=union > 0)


def _greedy(overlap: Array, truth_outside: Bools, answer_outside: Bools) -> tuple[Bools, Bools]:
    """Match answers (by falling score) to free truths: those of the group first, then those outside it."""
    answers, truths = overlap.shape
    hit, ignored = np.zeros((len(THRESHOLDS), answers), bool), np.zeros((len(THRESHOLDS), answers), bool)
    for k, threshold in enumerate(THRESHOLDS):
        free = np.ones(truths, bool)
        for i in range(answers):
            for outside in (False, True):
                # COCO's cap just below 1, so that rounding keeps a full overlap from no threshold.
                able = np.flatnonzero(
                    free & (truth_outside == outside) & (overlap[i] >= min(threshold, 1 - 1e-10) - _EPS)
                )
                if len(able):
                    # Of equal overlaps the last wins, as in the reference code.
                    best = able[len(able) - 1 - overlap[i, able][::-1].argmax()]
                    free[best] = False
                    hit[k, i], ignored[k, i] = not outside, outside
                    break
            else:
                ignored[k, i] = answer_outside[i]
    return hit, ignored


def _curves(parts: Sequence[Matches]) -> tuple[Array, Array]:
    """Interpolated precision (thresholds, 101) and recall (thresholds,) over all sequences; NaN without truth."""
    truths = sum(p.truths for p in parts)
    if not truths:
        return np.full((len(THRESHOLDS), len(_RECALLS)), np.nan), np.full(len(THRESHOLDS), np.nan)
    order = np.argsort(-np.concatenate([p.score for p in parts]), kind="mergesort")
    hit, ignored = (
        np.concatenate([getattr(p, n) for p in parts], axis=1)[:, order] for n in ("hit", "ignored")
    )
    right = np.cumsum(hit, axis=1).astype(np.float64)
    wrong = np.cumsum(~hit & ~ignored, axis=1)
    recall = right / truths
    # COCO's np.spacing(1) keeps 0 / 0 from being NaN where all answers so far are ignored.
    precision = right / (right + wrong + np.spacing(1))
    falling = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
    curve = np.zeros((len(THRESHOLDS), len(_RECALLS)))
    for k in range(len(THRESHOLDS)):
        place = np.searchsorted(recall[k], _RECALLS, side="left")
        reached = place < len(order)
        curve[k, reached] = falling[k, place[reached]]
    return curve, recall[:, -1] if len(order) else np.zeros(len(THRESHOLDS))
