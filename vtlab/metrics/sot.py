"""Single-object metrics: success, precision, normalised precision, AO, SR, OP, in the dialect of a protocol.

Pure functions on flat arrays: all sequences in one array of frames, `sequence` telling them apart, so that a
benchmark of hundreds of sequences costs a few array operations. Boxes are xyxy edges; NaN means no answer.

Papers: Wu, Lim, Yang, "Object Tracking Benchmark", TPAMI 2015 (success, precision); Mueller et al.,
"TrackingNet", ECCV 2018 (normalised precision); Huang, Zhao, Huang, "GOT-10k", TPAMI 2019 (AO, SR).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vtlab.errors import InputError
from vtlab.geometry import box_centers, paired_iou
from vtlab.metrics.protocols import SOT, SotProtocol

Array = NDArray[np.float64]
Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class BoxSequence:
    """Answers and truth of one object in one sequence.

    Attributes:
        answer: Boxes (N, 4) xyxy, NaN where the tracker gave none.
        truth: Boxes (N, 4) xyxy, NaN where there is none.
        visible: (N,) bool: the object can be seen; default: wherever truth has an area.
        size: Image (width, height); needed by the protocols that cut boxes to the image.
        name: Name for messages.
    """

    answer: ArrayLike
    truth: ArrayLike
    visible: ArrayLike | None = None
    size: tuple[float, float] | None = None
    name: str = ""


@dataclass(frozen=True)
class SotScores:
    """Scores of a set of sequences by one protocol.

    Attributes:
        protocol: The rule they were made by.
        frames: (S,) counted frames of each sequence.
        overlap_sum: (S,) sum of overlaps over the counted frames.
        success: (S, 21) counted frames whose overlap exceeds each threshold.
        precision: (S, K) counted frames whose centre error is within each threshold.
        norm_precision: (S, K) the same for the normalised centre error.
        passed: (S, 2) counted frames whose overlap exceeds 0.5 and 0.75.
    """

    protocol: SotProtocol
    frames: Ints
    overlap_sum: Array
    success: Ints
    precision: Ints
    norm_precision: Ints
    passed: Ints

    def curve(self, which: str = "success") -> Array:
        """Return the combined curve `success`, `precision` or `norm_precision` as fractions."""
        counts = getattr(self, which)
        if self.protocol.combine == "frames":
            return counts.sum(axis=0) / max(int(self.frames.sum()), 1)
        return _mean(self.rates(which))

    def rates(self, which: str = "success") -> Array:
        """Return the curve of every sequence (S, K) as fractions; NaN where no frame counts."""
        return _divide(getattr(self, which), self.frames[:, None])

    def values(self) -> dict[str, float]:
        """Return the combined scores by name, fractions 0-1; NaN where no frame counts at all."""
        if not self.frames.sum():
            return dict.fromkeys(NAMES, np.nan)
        total = self.frames.sum()
        precision, normalized = self.curve("precision"), self.curve("norm_precision")
        at = 20 if self.protocol.precision == "20px" else 8
        op = _mean(_divide(self.passed, self.frames[:, None]))
        return {
            "success_auc": self._area(self.curve("success")),
            "precision_20px": float(precision[at]),
            "precision_auc": self._area(precision),
            "norm_precision_auc": self._area(normalized),
            "norm_precision_20": float(normalized[at]),
            "ao": float(self.overlap_sum.sum() / total),
            "sr_50": float(self.passed[:, 0].sum() / total),
            "sr_75": float(self.passed[:, 1].sum() / total),
            "op_50": float(op[0]),
            "op_75": float(op[1]),
        }

    def per_sequence(self) -> list[dict[str, float]]:
        """Return the scores of each sequence alone, in the order given."""
        return [self.take([i]).values() for i in range(len(self.frames))]

    def take(self, index: ArrayLike) -> SotScores:
        """Return the scores of a selection of the sequences (repeats allowed, as a bootstrap needs)."""
        i = np.asarray(index)
        return SotScores(
            self.protocol,
            self.frames[i],
            self.overlap_sum[i],
            self.success[i],
            self.precision[i],
            self.norm_precision[i],
            self.passed[i],
        )

    def _area(self, curve: Array) -> float:
        if self.protocol.area == "mean":
            return float(curve.mean())
        return float(np.trapezoid(curve, dx=1.0 / (len(curve) - 1)))


def concat(parts: Sequence[SotScores]) -> SotScores:
    """Join the scores of several sets of sequences that were made by one protocol."""
    if not parts:
        raise InputError("There are no scores to join.")
    columns = {
        f.name: np.concatenate([getattr(p, f.name) for p in parts])
        for f in fields(SotScores)
        if f.name != "protocol"
    }
    return SotScores(parts[0].protocol, **columns)


NAMES = (
    "success_auc", "precision_20px", "precision_auc", "norm_precision_auc", "norm_precision_20",
    "ao", "sr_50", "sr_75", "op_50", "op_75",
)  # fmt: skip


def center_errors(answer: ArrayLike, truth: ArrayLike, *, normalized: bool = False) -> Array:
    """Distance of the centres of (..., 4) boxes in pixels, or in widths and heights of the true box."""
    a, t = np.asarray(answer, dtype=np.float64), np.asarray(truth, dtype=np.float64)
    difference = (a[..., :2] + a[..., 2:] - t[..., :2] - t[..., 2:]) / 2
    if normalized:
        with np.errstate(divide="ignore", invalid="ignore"):
            difference = difference / (t[..., 2:] - t[..., :2])
    return np.sqrt(np.square(difference).sum(axis=-1))


def evaluate(sequences: Sequence[BoxSequence], protocol: SotProtocol = SOT["otb"]) -> SotScores:
    """Score answers against truth by one protocol.

    Args:
        sequences: One entry for each object and sequence; they may differ in length.
        protocol: A record of `vtlab.metrics.protocols.SOT`.

    Returns:
        Counts for each sequence, from which `SotScores.values` makes the combined numbers.

    Raises:
        InputError: Answer and truth of a sequence differ in length, or the protocol needs the image size.
    """
    flat = _flatten(sequences, protocol)
    answer, truth, visible, owner = flat.answer, flat.truth, flat.visible, flat.owner
    if protocol.rounded:
        answer, truth = _round(answer), _round(truth)
    valid = visible & (truth[:, 2:] > truth[:, :2]).all(axis=1)
    bounded = _bound(answer, flat.size, protocol.bounds), _bound(truth, flat.size, protocol.bounds)
    with np.errstate(invalid="ignore"):
        overlap = np.nan_to_num(paired_iou(*bounded), nan=0.0)
        error = np.nan_to_num(center_errors(answer, truth), nan=np.inf)
        normalized = np.nan_to_num(center_errors(answer, truth, normalized=True), nan=np.inf)
    # A frame that counts without visible truth is a miss: an overlap below every threshold.
    score = np.where(valid, overlap, -1.0)
    located = visible & ~np.isnan(truth).any(axis=1) if protocol.empty_truth == "point" else valid
    error, normalized = np.where(located, error, np.inf), np.where(valid, normalized, np.inf)
    if protocol.center_outside == "hit":
        outside = (box_centers(truth) - 0.5 <= 0).any(axis=1)
        error, normalized = np.where(outside, 0.0, error), np.where(outside, 0.0, normalized)
    start = np.isin(np.arange(len(valid)), flat.first)
    counted = valid if protocol.absent == "excluded" else np.ones_like(valid)
    if protocol.first_frame == "dropped":
        counted = counted & ~start
    return _count(protocol, len(sequences), owner, counted, score, error, normalized)


@dataclass(frozen=True)
class _Flat:
    answer: Array
    truth: Array
    visible: Bools
    size: Array
    owner: Ints
    first: Ints


def _flatten(sequences: Sequence[BoxSequence], protocol: SotProtocol) -> _Flat:
    if not sequences:
        raise InputError("No sequences were given to score.")
    pairs = [_checked(s, protocol) for s in sequences]
    lengths = np.array([len(a) for a, _, _ in pairs])
    first = np.concatenate([[0], np.cumsum(lengths)[:-1]])
    answer, truth, visible = (np.concatenate(part) for part in zip(*pairs, strict=True))
    if protocol.no_answer == "repeated":
        answer = _repeat_last(answer, first)
    if protocol.first_frame == "truth":
        answer[first] = truth[first]
    owner = np.repeat(np.arange(len(pairs)), lengths)
    size = np.array([s.size or (np.inf, np.inf) for s in sequences], dtype=np.float64)[owner]
    return _Flat(answer, truth, visible, size, owner, first)


def _checked(s: BoxSequence, protocol: SotProtocol) -> tuple[Array, Array, Bools]:
    answer = np.array(s.answer, dtype=np.float64).reshape(-1, 4)
    truth = np.asarray(s.truth, dtype=np.float64).reshape(-1, 4)
    where = f"Sequence {s.name!r}: " if s.name else ""
    if len(answer) != len(truth) or not len(truth):
        raise InputError(
            f"{where}{len(answer)} answers for {len(truth)} frames of truth. Give one box for each frame, NaN "
            "where the tracker had none."
        )
    if protocol.bounds != "none" and s.size is None:
        raise InputError(f"{where}the protocol {protocol.name!r} cuts boxes to the image: give its size.")
    if s.visible is None:
        return answer, truth, np.ones(len(truth), dtype=bool)
    visible = np.asarray(s.visible, dtype=bool)
    if visible.shape != (len(truth),):
        raise InputError(f"{where}visible has shape {visible.shape}, expected ({len(truth)},).")
    return answer, truth, visible


def _repeat_last(answer: Array, first: Ints) -> Array:
    """Replace answers that are missing or have no area by the last good one of the same sequence."""
    rows = np.arange(len(answer))
    good = (answer[:, 2:] > answer[:, :2]).all(axis=1) | np.isin(rows, first)
    index = np.maximum.accumulate(np.where(good, rows, 0))
    return answer[index]


def _round(boxes: Array) -> Array:
    """Round left, top, width and height to whole pixels."""
    corner = np.round(boxes[:, :2])
    return np.concatenate([corner, corner + np.round(boxes[:, 2:] - boxes[:, :2])], axis=1)


def _bound(boxes: Array, size: Array, rule: str) -> Array:
    if rule == "none":
        return boxes
    low = np.clip(boxes[:, :2], 0, size)
    if rule == "image":
        return np.concatenate([low, np.clip(boxes[:, 2:], 0, size)], axis=1)
    return np.concatenate([low, low + np.clip(boxes[:, 2:] - boxes[:, :2], 0, size - low)], axis=1)


def _count(
    protocol: SotProtocol,
    sequences: int,
    owner: Ints,
    counted: Bools,
    overlap: Array,
    error: Array,
    normalized: Array,
) -> SotScores:
    owner, overlap = owner[counted], overlap[counted]
    side = "left" if protocol.strict else "right"

    def reached(values: Array, thresholds: Array) -> Ints:
        """Frames of each sequence whose value exceeds each threshold (sequences, len(thresholds))."""
        exceeded = np.searchsorted(thresholds, values, side=side)  # type: ignore[call-overload]
        return _histogram(owner, exceeded, sequences, len(thresholds) + 1)[:, ::-1].cumsum(axis=1)[:, -2::-1]

    def within(values: Array, thresholds: Array) -> Ints:
        """Frames of each sequence whose value is at most each threshold."""
        index = np.searchsorted(thresholds, values, side="left")
        return _histogram(owner, index, sequences, len(thresholds) + 1).cumsum(axis=1)[:, :-1]

    return SotScores(
        protocol,
        np.bincount(owner, minlength=sequences),
        np.bincount(owner, weights=np.maximum(overlap, 0.0), minlength=sequences).astype(np.float64),
        reached(overlap, protocol.overlap_thresholds()),
        within(error[counted], protocol.center_thresholds()),
        within(normalized[counted], protocol.normalized_thresholds()),
        reached(overlap, np.array([0.5, 0.75])),
    )


def _histogram(owner: Ints, index: Ints, sequences: int, bins: int) -> Ints:
    return np.bincount(owner * bins + index, minlength=sequences * bins).reshape(sequences, bins)


def _divide(counts: Array | Ints, by: Array | Ints) -> Array:
    return np.divide(counts, by, out=np.full(counts.shape, np.nan), where=by > 0)


def _mean(rates: Array) -> Array:
    """Mean over the sequences in which a frame counts."""
    return rates[~np.isnan(rates).any(axis=1)].mean(axis=0)
