"""Measures of the VOT challenges from per-frame overlaps: failures, expected overlap, anchors, long-term.

Papers: Kristan et al., "A Novel Performance Evaluation Methodology for Single-Target Trackers", TPAMI 2016
(accuracy, robustness, expected average overlap of the supervised experiment); Kristan et al., "The Eighth Visual
Object Tracking VOT2020 Challenge Results", ECCVW 2020 (anchor-based experiment); Lukezic et al., "Performance
Evaluation Methodology for Long-Term Single-Object Tracking", IEEE Trans. Cybernetics 2021 (precision, recall, F);
Kristan et al., "The VOTS2023 Challenge", ICCVW 2023 (NRE, DRE, ADQ). Written from the papers.

An overlap is the IoU with the truth in [0, 1] on each frame of a run, the frame of initialisation first.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vtlab.errors import InputError

Array = NDArray[np.float64]


@dataclass(frozen=True)
class AccuracyRobustness:
    """Accuracy and robustness of one experiment.

    Attributes:
        accuracy: Mean overlap while tracking.
        robustness: Supervised: failures in a sequence of mean length (lower is better). Anchors: part of the
            frames before failure, in [0, 1].
        reliability: exp(-30 * failures / frames) in the supervised experiment; for anchors the robustness.
    """

    accuracy: float
    robustness: float
    reliability: float


def supervised(
    runs: Sequence[Sequence[ArrayLike]],
    failed: Sequence[Sequence[bool]],
    lengths: Sequence[int],
    *,
    burn_in: int = 10,
    sensitivity: float = 30.0,
) -> AccuracyRobustness:
    """Accuracy and robustness of the supervised experiment, in which a tracker is restarted after each failure.

    Args:
        runs: For each sequence its runs: overlaps from (re)initialisation up to, not including, the failure.
        failed: For each sequence, for each run, whether it ended in a failure.
        lengths: Frames of each sequence.
        burn_in: Frames after an initialisation that do not count for accuracy.
        sensitivity: Frames over which the reliability is extrapolated.

    Returns:
        Sequences weighted by their lengths.
    """
    weights = np.asarray(lengths, dtype=np.float64)
    kept = [[np.asarray(o, dtype=np.float64)[burn_in:] for o in sequence] for sequence in runs]
    accuracy = np.array([np.concatenate(k).mean() if sum(map(len, k)) else 0.0 for k in kept])
    failures = np.array([sum(map(bool, f)) for f in failed], dtype=np.float64)
    mean_failures = float((failures * weights).sum() / weights.sum())
    reliability = float(np.exp(-sensitivity * mean_failures / weights.mean()))
    return AccuracyRobustness(float((accuracy * weights).sum() / weights.sum()), mean_failures, reliability)


def expected_overlap_curve(runs: Sequence[ArrayLike], failed: Sequence[bool]) -> Array:
    """Expected average overlap of a sequence of each length 1, 2, ... (VOT 2015 to 2019).

    A run that failed goes on with overlap 0; one that reached the end of its sequence counts up to there.

    Args:
        runs: Overlaps of each run from its initialisation, over all sequences.
        failed: Whether each run ended in a failure.

    Returns:
        Curve over the frame index; frame 0 (the initialisation) is left out of the averages beyond it.
    """
    if not len(runs):
        raise InputError("The expected overlap needs at least one run.")
    arrays = [np.asarray(r, dtype=np.float64) for r in runs]
    longest = max(map(len, arrays))
    total, count = np.zeros(longest), np.zeros(longest)
    for overlaps, lost in zip(arrays, failed, strict=True):
        n = longest if lost else len(overlaps)
        padded = np.zeros(n)
        padded[: len(overlaps)] = overlaps
        average = padded.copy()
        average[1:] = padded[1:].cumsum() / np.arange(1, n)
        total[:n] += average
        count[:n] += 1
    return total / np.maximum(count, 1)


def expected_average_overlap(runs: Sequence[ArrayLike], failed: Sequence[bool], low: int, high: int) -> float:
    """EAO: mean of `expected_overlap_curve` over sequence lengths low ... high (both included)."""
    return float(expected_overlap_curve(runs, failed)[low : high + 1].mean())


def progress(
    overlaps: ArrayLike, *, threshold: float = 0.1, grace: int = 10, absent: ArrayLike | None = None
) -> int:
    """Frames before a run fails: the first of `grace` frames in a row with overlap <= threshold.

    Args:
        overlaps: (N,) of one run.
        threshold: Overlap up to which a frame counts as lost.
        grace: Lost frames in a row that make a failure.
        absent: (N,) bool, frames on which the object is not there; they are never lost.
    """
    lost = np.asarray(overlaps, dtype=np.float64) <= threshold
    if absent is not None:
        lost &= ~np.asarray(absent, dtype=bool)
    # VOT2020's failure; a frame without the object begins the count anew, as in the toolkit's loop.
    run = 0
    for i, bad in enumerate(lost.tolist()):
        run = run + 1 if bad else 0
        if run == grace:
            return i + 1 - grace
    return len(lost)


def anchors(
    sequences: Sequence[Sequence[ArrayLike]],
    lengths: Sequence[int],
    *,
    threshold: float = 0.1,
    grace: int = 10,
) -> AccuracyRobustness:
    """Accuracy and robustness of the anchor-based experiment (VOT 2020 to 2022).

    Args:
        sequences: For each sequence the overlaps of its runs, one from each anchor, in tracking order.
        lengths: Frames of each sequence, by which robustness is weighted.
        threshold: See `progress`.
        grace: See `progress`.
    """
    accuracy_sum = tracked_sum = 0.0
    robustness_sum = 0.0
    for runs in sequences:
        arrays = [np.asarray(r, dtype=np.float64) for r in runs]
        reached = [progress(r, threshold=threshold, grace=grace) for r in arrays]
        tracked = float(sum(reached))
        accuracy_sum += sum(float(r[:n].sum()) for r, n in zip(arrays, reached, strict=True))
        tracked_sum += tracked
    weights = np.asarray(lengths, dtype=np.float64)
    for runs, weight in zip(sequences, weights, strict=True):
        reached = [progress(r, threshold=threshold, grace=grace) for r in runs]
        robustness_sum += weight * sum(reached) / sum(np.size(r) for r in runs)
    robustness = robustness_sum / weights.sum()
    return AccuracyRobustness(accuracy_sum / tracked_sum if tracked_sum else 0.0, robustness, robustness)


def anchor_expected_overlap(
    sequences: Sequence[Sequence[ArrayLike]],
    low: int,
    high: int,
    *,
    threshold: float = 0.1,
    grace: int = 10,
) -> float:
    """EAO of the anchor-based experiment: runs of a sequence are averaged first, then sequences that reach a length.

    Args:
        sequences: As in `anchors`.
        low: Shortest sequence length that counts.
        high: Longest; lengths low ... high - 1 are averaged.
        threshold: See `progress`.
        grace: See `progress`.
    """
    total, active = np.zeros(high), np.zeros(high)
    for runs in sequences:
        curve, alive = _anchor_curve(runs, high, threshold, grace)
        reached = alive > 0
        total[reached] += (curve * alive)[reached]
        active += alive
    curve = np.divide(total, active, out=np.zeros(high), where=active > 0)
    return float(curve[low:high].mean())


def _anchor_curve(runs: Sequence[ArrayLike], high: int, threshold: float, grace: int) -> tuple[Array, Array]:
    cut, failed = [], []
    for run in runs:
        overlaps = np.array(run, dtype=np.float64)
        reached = progress(overlaps, threshold=threshold, grace=grace)
        failed.append(reached < len(overlaps))
        overlaps[reached:] = 0.0
        cut.append(overlaps)
    return average_curve(cut, failed, high)


def average_curve(runs: Sequence[ArrayLike], failed: Sequence[bool], high: int) -> tuple[Array, Array]:
    """Mean overlap of the runs over lengths 0 ... high - 1, and how many runs speak for each length."""
    total, alive = np.zeros(high), np.zeros(high)
    steps = np.arange(high)
    for run, lost in zip(runs, failed, strict=True):
        overlaps = np.asarray(run, dtype=np.float64)
        sums = np.concatenate([[0.0], overlaps[1:].cumsum()])
        n = min(len(overlaps), high)
        total[1:n] += sums[1:n] / steps[1:n]
        alive[1:n] += 1
        if lost and n < high:
            # Beyond a failed run's end the toolkit divides by one frame less than before it; kept.
            total[n:] += sums[-1] / (steps[n:] - 1)
            alive[n:] += 1
    return np.divide(total, alive, out=np.zeros(high), where=alive > 0), alive


@dataclass(frozen=True)
class LongTerm:
    """Long-term scores at the threshold of the best F, and the whole curves.

    Attributes:
        precision: At the best threshold.
        recall: At the best threshold.
        f: Largest F over thresholds.
        threshold: Confidence at which it is reached.
        curve: (K, 2) precision and recall over thresholds, from the highest.
    """

    precision: float
    recall: float
    f: float
    threshold: float
    curve: Array


def long_term(
    overlaps: Sequence[ArrayLike],
    scores: Sequence[ArrayLike],
    visible: Sequence[ArrayLike],
    *,
    resolution: int = 100,
) -> LongTerm:
    """Tracking precision, recall and F of VOT-LT, averaged over sequences at each confidence threshold.

    Args:
        overlaps: (N,) for each sequence; 0 where the object is not there.
        scores: (N,) confidence on each frame, NaN where the tracker reports no object.
        visible: (N,) bool, the object is there.
        resolution: Number of thresholds, chosen from the scores of all sequences.
    """
    pooled = np.concatenate([np.asarray(s, dtype=np.float64) for s in scores])
    limits = thresholds(pooled, resolution)
    curve = np.zeros((len(limits), 2))
    for o, s, v in zip(overlaps, scores, visible, strict=True):
        overlap, score, seen = np.asarray(o, float), np.asarray(s, float), np.asarray(v, bool)
        for k, threshold in enumerate(limits):
            said = score >= threshold
            # Who says nothing says nothing wrong: the toolkit's precision is 1 there.
            curve[k, 0] += float(overlap[said].mean()) if said.any() else 1.0
            curve[k, 1] += float(overlap[said].sum()) / max(int(seen.sum()), 1)
    curve /= len(overlaps)
    both = curve.sum(axis=1)
    f = np.divide(2 * curve.prod(axis=1), both, out=np.zeros(len(curve)), where=both > 0)
    best = int(f.argmax())
    return LongTerm(float(curve[best, 0]), float(curve[best, 1]), float(f[best]), float(limits[best]), curve)


def thresholds(scores: Array, resolution: int) -> Array:
    """Thresholds that split the sorted scores evenly, with both infinities."""
    # The toolkit's determine_thresholds.
    ordered = np.sort(scores[~np.isnan(scores)])[::-1]
    if len(ordered) > resolution - 2:
        step = len(ordered) // (resolution - 2)
        index = np.round(np.linspace(step, len(ordered) - step, resolution - 2)).astype(int)
        ordered = ordered[np.minimum(index, len(ordered) - 1)]
    return np.concatenate([[np.inf], ordered, [-np.inf]])


def absence_quality(
    overlap: ArrayLike, answered: ArrayLike, visible: ArrayLike, *, threshold: float = 0.0, minimum: int = 10
) -> dict[str, float]:
    """VOTS's shares of the frames of one object: robustness, non-reported, drift and absence detection.

    Args:
        overlap: (N,) with truth.
        answered: (N,) bool, the tracker says that the object is there.
        visible: (N,) bool, it is there.
        threshold: Overlap above which a frame is tracked.
        minimum: Absent frames up to which ADQ is not defined.

    Returns:
        `R` (tracked), `NRE` (visible, not reported), `DRE` (visible, answered elsewhere), fractions of the visible
        frames that sum to 1; `ADQ`, the fraction of absent frames on which nothing is answered. NaN if undefined.
    """
    o, a, v = np.asarray(overlap, float), np.asarray(answered, bool), np.asarray(visible, bool)
    tracked = v & (o > threshold)
    seen, absent = int(v.sum()), int((~v).sum())
    return {
        "R": float(tracked.sum() / seen) if seen else np.nan,
        "NRE": float((v & ~tracked & ~a).sum() / seen) if seen else np.nan,
        "DRE": float((v & ~tracked & a).sum() / seen) if seen else np.nan,
        "ADQ": float((~v & ~a).sum() / absent) if absent > minimum else np.nan,
    }
