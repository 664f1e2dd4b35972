"""Point metrics of TAP-Vid: average Jaccard (AJ), position accuracy (delta_avg), occlusion accuracy (OA).

Paper: Doersch et al., "TAP-Vid: A Benchmark for Tracking Any Point in a Video", NeurIPS 2022; official code
google-deepmind/tapnet (Apache-2.0). Differs from it in words only: `visible` here is the opposite of `occluded`
there, queries are (t, y, x) there. Where truth has no frame to judge, a score is NaN.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vtlab.errors import InputError
from vtlab.metrics.rules import POINTS, PointRule

Bools = NDArray[np.bool_]


def evaluated_frames(query_frame: ArrayLike, frames: int, rule: PointRule = POINTS["tapvid-first"]) -> Bools:
    """Which frames count for each point: (N, T) bool; after the query (`first`) or all but it (`strided`)."""
    query = np.asarray(query_frame, dtype=np.int64)[:, None]
    time = np.arange(frames)[None]
    return time > query if rule.mode == "first" else time != query


def evaluate(
    answer: ArrayLike,
    answer_visible: ArrayLike,
    truth: ArrayLike,
    truth_visible: ArrayLike,
    query_frame: ArrayLike,
    *,
    rule: PointRule = POINTS["tapvid-first"],
    size: tuple[float, float] | None = None,
    annotated: ArrayLike | None = None,
) -> dict[str, float]:
    """Score the points of one video.

    Args:
        answer: Positions (N, T, 2) as (x, y) pixels; NaN where the tracker gave none.
        answer_visible: (N, T) bool.
        truth: Positions (N, T, 2); NaN where there is none.
        truth_visible: (N, T) bool.
        query_frame: (N,) frame on which each point was given.
        rule: A record of `vtlab.metrics.rules.POINTS`.
        size: Image (width, height) of the pixels above; needed by rules that score in a fixed raster.
        annotated: (N, T) bool, frames that truth says anything about; default all.

    Returns:
        AJ, delta_avg, OA, and for each threshold `jaccard_<d>` and `delta_<d>`.

    Raises:
        InputError: Shapes differ, or the rule needs the size.
    """
    a, t = np.asarray(answer, dtype=np.float64), np.asarray(truth, dtype=np.float64)
    seen_a, seen_t = np.asarray(answer_visible, dtype=bool), np.asarray(truth_visible, dtype=bool)
    if not a.shape == t.shape == (*seen_a.shape, 2) or seen_a.shape != seen_t.shape:
        raise InputError(
            f"Points: answer {a.shape} and {seen_a.shape}, truth {t.shape} and {seen_t.shape}; expected (N, T, 2) "
            "and (N, T)."
        )
    scale = _scale(rule, size)
    counted = evaluated_frames(query_frame, a.shape[1], rule)
    if annotated is not None:
        counted = counted & np.asarray(annotated, dtype=bool)
    seen_a = seen_a & np.isfinite(a).all(axis=2)
    squared = np.square((a - t) * scale).sum(axis=2)
    with np.errstate(invalid="ignore"):
        out = {"OA": _ratio(((seen_a == seen_t) & counted).sum(), counted.sum())}
        truths = (seen_t & counted).sum()
        for d in rule.thresholds:
            # Strictly and of squares, as TAP-Vid's code compares.
            near = squared < d * d
            hits = near & seen_t & counted
            # A visible point answered too far off counts twice, as missed and as false: so has TAP-Vid.
            false = seen_a & counted & ~(near & seen_t)
            out[f"delta_{d:g}"] = _ratio(hits.sum(), truths)
            out[f"jaccard_{d:g}"] = _ratio((hits & seen_a).sum(), truths + false.sum())
    out["AJ"] = float(np.mean([out[f"jaccard_{d:g}"] for d in rule.thresholds]))
    out["delta_avg"] = float(np.mean([out[f"delta_{d:g}"] for d in rule.thresholds]))
    return out


def nearness(
    offset: ArrayLike,
    rule: PointRule = POINTS["tapvid-first"],
    size: tuple[float, float] | None = None,
) -> NDArray[np.float64]:
    """Part of the thresholds within which points lie, (...): the mean over visible points is `delta_avg`.

    Args:
        offset: Answer less truth (..., 2) in pixels; NaN, which is near to nothing, where either is missing.
        rule: A record of `vtlab.metrics.rules.POINTS`.
        size: As in `evaluate`.
    """
    squared = np.square(np.asarray(offset, dtype=np.float64) * _scale(rule, size)).sum(axis=-1)
    return np.mean([squared < d * d for d in rule.thresholds], axis=0)


def combine(videos: Iterable[dict[str, float]]) -> dict[str, float]:
    """Average videos, each weighing the same; a score that a video doesn't have is left out of that mean."""
    rows = list(videos)
    names = rows[0] if rows else ()
    out = {}
    for name in names:
        values = np.array([r[name] for r in rows])
        out[name] = float(np.nanmean(values)) if not np.isnan(values).all() else np.nan
    return out


def _scale(rule: PointRule, size: tuple[float, float] | None) -> NDArray[np.float64]:
    if rule.raster is None:
        return np.ones(2)
    if size is None:
        raise InputError(
            f"The rule {rule.name!r} scores at {rule.raster} x {rule.raster}: give the image size."
        )
    return rule.raster / np.asarray(size, dtype=np.float64)


def _ratio(count: np.integer, total: np.integer) -> float:
    return float(count / total) if total else np.nan
