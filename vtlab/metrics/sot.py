"""Single-object metrics: success, precision, normalised precision, AO, SR, OP, in the dialect of a rule.

Pure functions on flat arrays: all sequences in one array of frames, `sequence` telling them apart, so that a
benchmark of hundreds of sequences costs a few array operations. Boxes are xyxy edges; NaN means no answer.

Papers: Wu, Lim, Yang, "Object Tracking Benchmark", TPAMI 2015 (success, precision); Mueller et al.,
"TrackingNet", ECCV 2018 (normalised precision); Huang, Zhao, Huang, "GOT-10k", TPAMI 2019 (AO, SR).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vtlab.errors import InputError
from vtlab.metrics import vot_runs
from vtlab.metrics.rules import SOT, SotRule
from vtlab.metrics.vot_regions import region_overlaps

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
        size: Image (width, height); needed by the rules that cut boxes to the image.
        name: Name for messages.
        looked: (N,) bool: somebody looked at the frame, so that truth says something of it; default: all. Others don't
            count.
        overlap: (N,) overlaps of regions, where the rule draws them; default: of the boxes.
        vot: What the object adds to VOT's measures there.
    """

    answer: ArrayLike
    truth: ArrayLike
    visible: ArrayLike | None = None
    size: tuple[float, float] | None = None
    name: str = ""
    looked: ArrayLike | None = None
    overlap: ArrayLike | None = None
    vot: vot_runs.Counts | None = None


@dataclass(frozen=True)
class SotScores:
    """Scores of a set of sequences by one rule.

    Attributes:
        rule: The rule they were made by.
        frames: (S,) counted frames of each sequence.
        overlap_sum: (S,) sum of overlaps over the counted frames.
        success: (S, 21) counted frames whose overlap exceeds each threshold.
        precision: (S, K) counted frames whose centre error is within each threshold.
        norm_precision: (S, K) the same for the normalised centre error.
        vot: What the sequences add to VOT's measures, where the rule has them.
    """

    rule: SotRule
    frames: Ints
    overlap_sum: Array
    success: Ints
    precision: Ints
    norm_precision: Ints
    vot: vot_runs.Counts | None = None

    @property
    def passed(self) -> Ints:
        """(S, 2) counted frames whose overlap exceeds 0.5 and 0.75, the eleventh and sixteenth threshold."""
        return self.success[:, [10, 15]]

    def curve(self, which: str = "success") -> Array:
        """Return the combined curve `success`, `precision` or `norm_precision` as fractions."""
        counts = getattr(self, which)
        if self.rule.combine == "frames":
            return counts.sum(axis=0) / max(int(self.frames.sum()), 1)
        return _mean(self.rates(which))

    def rates(self, which: str = "success") -> Array:
        """Return the curve of every sequence (S, K) as fractions; NaN where no frame counts."""
        return _divide(getattr(self, which), self.frames[:, None])

    def values(self) -> dict[str, float]:
        """Return the combined scores by name, fractions 0-1; NaN where no frame counts at all."""
        more = {} if self.vot is None else self.vot.values()
        if not self.frames.sum():
            return dict.fromkeys(NAMES, np.nan) | more
        total = self.frames.sum()
        precision, normalized = self.curve("precision"), self.curve("norm_precision")
        # The place of 20 px and of 0.2 of a box: 20th step of 1 px (0.01), or 8th of 2.5 px (0.025).
        at = 20 if self.rule.precision == "20px" else 8
        op = _mean(_divide(self.passed, self.frames[:, None]))
        return {
            "success_auc": self._area(self.curve("success")),
            "precision_20px": float(precision[at]),
            "precision_auc": self._area(precision),
            "norm_precision_auc": self._area(normalized),
            "norm_precision_20": float(normalized[at]),
            # AO and SR pool all frames, as got10k-toolkit does; OP is a mean of sequences.
            "ao": float(self.overlap_sum.sum() / total),
            "sr_50": float(self.passed[:, 0].sum() / total),
            "sr_75": float(self.passed[:, 1].sum() / total),
            "op_50": float(op[0]),
            "op_75": float(op[1]),
            **more,
        }

    def per_sequence(self) -> list[dict[str, float]]:
        """Return the scores of each sequence alone, in the order given."""
        return [self.take([i]).values() for i in range(len(self.frames))]

    def take(self, index: ArrayLike) -> SotScores:
        """Return the scores of a selection of the sequences (repeats allowed, as a bootstrap needs)."""
        i = np.asarray(index)
        return SotScores(
            self.rule,
            self.frames[i],
            self.overlap_sum[i],
            self.success[i],
            self.precision[i],
            self.norm_precision[i],
            None if self.vot is None else self.vot.take(i),
        )

    def _area(self, curve: Array) -> float:
        if self.rule.area == "mean":
            return float(curve.mean())
        return float((curve.sum() - (curve[0] + curve[-1]) / 2) / (len(curve) - 1))


def concat(parts: Sequence[SotScores], *, repetitions: bool = False) -> SotScores:
    """Join the scores of several sets of sequences that were made by one rule; `repetitions`: of several runs on the
    same sequences, whose counts are added.
    """
    if not parts:
        raise InputError("There are no scores to join.")
    join = np.sum if repetitions else np.concatenate
    columns: dict[str, Any] = {
        f.name: join([getattr(p, f.name) for p in parts], axis=0)
        for f in fields(SotScores)
        if f.name not in ("rule", "vot")
    }
    told = [p.vot for p in parts if p.vot is not None]
    joined = vot_runs.join(told, repetitions=repetitions) if told else None
    return SotScores(parts[0].rule, **columns, vot=joined)


NAMES = (
    "success_auc", "precision_20px", "precision_auc", "norm_precision_auc", "norm_precision_20",
    "ao", "sr_50", "sr_75", "op_50", "op_75",
)  # fmt: skip


def evaluate(sequences: Sequence[BoxSequence], rule: SotRule = SOT["otb"]) -> SotScores:
    """Score answers against truth by one rule.

    Args:
        sequences: One entry for each object and sequence; they may differ in length.
        rule: A record of `vtlab.metrics.rules.SOT`.

    Returns:
        Counts for each sequence, from which `SotScores.values` makes the combined numbers.

    Raises:
        InputError: Answer and truth of a sequence differ in length, or the rule needs the image size.
    """
    flat = _flatten(sequences, rule)
    found = _count(rule, len(sequences), flat.owner, _judge(flat, rule))
    told = [s.vot for s in sequences if s.vot is not None]
    return replace(found, vot=vot_runs.join(told)) if told else found


def overlaps(sequences: Sequence[BoxSequence], rule: SotRule = SOT["otb"]) -> list[Array]:
    """Overlap on each frame by the same judging as `evaluate`: for each sequence (N,), NaN on frames that don't count.

    The mean over the frames of all sequences is `ao`.
    """
    flat = _flatten(sequences, rule)
    judged = _judge(flat, rule)
    values = np.where(judged.counted, np.maximum(judged.overlap, 0.0), np.nan)
    return np.split(values, flat.first[1:])


@dataclass(frozen=True)
class _Judged:
    """Which frames count (N,), and how the answer on them compares with truth."""

    counted: Bools
    overlap: Array
    error: Array
    normalized: Array


def _judge(flat: _Flat, rule: SotRule) -> _Judged:
    a, t = flat.answer, flat.truth
    if rule.rounded:
        a, t = _round(a), _round(t)
    real = (t[2] > t[0]) & (t[3] > t[1])
    valid = real if flat.visible is None else real & flat.visible
    overlap = flat.overlap
    if overlap is None:
        overlap = _iou(_bound(a, flat.size, rule.bounds), _bound(t, flat.size, rule.bounds))
    dx, dy = ((a[i] + a[i + 2] - t[i] - t[i + 2]) * 0.5 for i in (0, 1))
    error = np.sqrt(dx * dx + dy * dy)
    with np.errstate(divide="ignore", invalid="ignore"):
        dx /= t[2] - t[0]
        dy /= t[3] - t[1]
        normalized = np.sqrt(dx * dx + dy * dy)
    # A frame that counts without visible truth is a miss: an overlap below every threshold, an error above.
    overlap = np.where(valid, overlap, -1.0)
    located: Bools = valid
    if rule.empty_truth == "point":
        located = ~np.isnan(t[0]) if flat.visible is None else flat.visible & ~np.isnan(t[0])
    # fmin turns NaN (no answer) into infinity.
    error = np.fmin(np.where(located, error, np.inf), np.inf)
    normalized = np.fmin(np.where(valid, normalized, np.inf), np.inf)
    if rule.outside != "compared":
        # pysot's centre is x + (w - 1) / 2; where that is not above 0 the error stays at -1, a hit.
        outside = (t[0] + t[2] <= 1) | (t[1] + t[3] <= 1)
        if rule.outside == "corner_hit":
            # calc_seq_err_robust leaves both at -1 unless all four numbers of truth are positive.
            outside = ~(real & (t[:2] > 0).all(axis=0)) & ~np.isnan(t[0])
            if flat.visible is not None:
                outside &= flat.visible
            overlap = np.where(outside, -1.0, overlap)
        error, normalized = np.where(outside, 0.0, error), np.where(outside, 0.0, normalized)
    counted: Any = valid.copy() if rule.absent == "excluded" else np.ones(len(valid), bool)
    if rule.first_frame == "dropped":
        counted[flat.first] = False
    if flat.looked is not None:
        counted &= flat.looked
    return _Judged(counted, overlap, error, normalized)


@dataclass(frozen=True)
class _Flat:
    """All sequences end to end; boxes as four contiguous columns (4, N)."""

    answer: Array
    truth: Array
    visible: Bools | None
    size: Array | None
    owner: Ints
    first: Ints
    looked: Bools | None = None
    overlap: Array | None = None


def _flatten(sequences: Sequence[BoxSequence], rule: SotRule) -> _Flat:
    if not sequences:
        raise InputError("No sequences were given to score.")
    answers, truths = (
        [np.asarray(getattr(s, side), dtype=np.float64) for s in sequences] for side in ("answer", "truth")
    )
    for s, a, t in zip(sequences, answers, truths, strict=True):
        _check(s, a, t, rule)
    lengths = np.array([len(t) for t in truths])
    first = np.cumsum(lengths) - lengths
    # Transposing copies, so nothing given is changed below.
    answer, truth = (np.ascontiguousarray(np.concatenate(side).T) for side in (answers, truths))
    if rule.no_answer == "repeated":
        answer = _repeat_last(answer, first)
    if rule.first_frame == "truth":
        answer[:, first] = truth[:, first]
    owner = np.repeat(np.arange(len(lengths)), lengths)
    size = np.array([s.size for s in sequences], dtype=np.float64)[owner].T if rule.needs_size else None
    seen, looked = (_flags([getattr(s, name) for s in sequences], lengths) for name in ("visible", "looked"))
    drawn = rule.regions == "drawn"
    overlap = np.concatenate([_drawn(s) for s in sequences]) if drawn else None
    return _Flat(answer, truth, seen, size, owner, first, looked, overlap)


def _drawn(s: BoxSequence) -> Array:
    """Overlaps of drawn regions: as given, else of the boxes."""
    if s.overlap is not None:
        return np.asarray(s.overlap, dtype=np.float64)
    sides = (np.asarray(side, dtype=np.float64) for side in (s.answer, s.truth))
    answer, truth = ([box if np.isfinite(box).all() else None for box in side] for side in sides)
    return region_overlaps(answer, truth, None if s.size is None else (round(s.size[1]), round(s.size[0])))


def _check(s: BoxSequence, answer: Array, truth: Array, rule: SotRule) -> None:
    where = f"Sequence {s.name!r}: " if s.name else ""
    if answer.ndim != 2 or truth.ndim != 2 or answer.shape[1] != 4 or truth.shape[1] != 4:
        raise InputError(f"{where}expected boxes of shape (N, 4), got {answer.shape} and {truth.shape}.")
    if len(answer) != len(truth) or not len(truth):
        raise InputError(
            f"{where}{len(answer)} answers for {len(truth)} frames of truth. Give one box for each frame, NaN "
            "where the tracker had none."
        )
    if rule.needs_size and s.size is None:
        raise InputError(f"{where}the rule {rule.name!r} cuts boxes to the image: give its size.")
    for name, flags in (("visible", s.visible), ("looked", s.looked), ("overlap", s.overlap)):
        if flags is not None and np.shape(flags) != (len(truth),):
            raise InputError(f"{where}{name} has shape {np.shape(flags)}, expected ({len(truth)},).")


def _flags(given: Sequence[ArrayLike | None], lengths: Ints) -> Bools | None:
    """Flags of all sequences end to end, True where a sequence gives none; None where no sequence does."""
    if all(flags is None for flags in given):
        return None
    everywhere = np.ones(int(lengths.max()), bool)
    parts = [everywhere[:n] if flags is None else flags for flags, n in zip(given, lengths, strict=True)]
    return np.concatenate([np.asarray(p, dtype=bool) for p in parts])


def _iou(a: Array, t: Array) -> Array:
    """Overlap of two sets of boxes (4, N), 0 where either has no area or is missing."""
    width = np.minimum(a[2], t[2]) - np.maximum(a[0], t[0])
    height = np.minimum(a[3], t[3]) - np.maximum(a[1], t[1])
    inter = width * height
    inter[~((width > 0) & (height > 0))] = 0.0
    union = (a[2] - a[0]) * (a[3] - a[1]) + (t[2] - t[0]) * (t[3] - t[1]) - inter
    return np.divide(inter, union, out=np.zeros_like(inter), where=inter > 0)


def _repeat_last(answer: Array, first: Ints) -> Array:
    """Replace answers that are missing or have no area by the last good one of the same sequence."""
    good: Any = (answer[2] > answer[0]) & (answer[3] > answer[1])
    good[first] = True
    return answer[:, np.maximum.accumulate(np.where(good, np.arange(len(good)), 0))]


def _round(boxes: Array) -> Array:
    """Round left, top, width and height to whole pixels."""
    corner = np.round(boxes[:2])
    return np.concatenate([corner, corner + np.round(boxes[2:] - boxes[:2])])


def _bound(boxes: Array, size: Array | None, rule: str) -> Array:
    if size is None:
        return boxes
    low = np.clip(boxes[:2], 0, size)
    if rule == "image":
        return np.concatenate([low, np.clip(boxes[2:], 0, size)])
    return np.concatenate([low, low + np.clip(boxes[2:] - boxes[:2], 0, size - low)])


def _count(rule: SotRule, sequences: int, owner: Ints, judged: _Judged) -> SotScores:
    overlap, error, normalized = judged.overlap, judged.error, judged.normalized
    if not judged.counted.all():
        owner = owner[judged.counted]
        overlap, error, normalized = (x[judged.counted] for x in (overlap, error, normalized))

    def reached(values: Array, thresholds: Array) -> Ints:
        """Frames of each sequence whose value exceeds each threshold (sequences, len(thresholds))."""
        exceeded = _below(values, thresholds, equal=not rule.strict)
        return _histogram(owner, exceeded, sequences, len(thresholds) + 1)[:, ::-1].cumsum(axis=1)[:, -2::-1]

    def within(values: Array, thresholds: Array) -> Ints:
        """Frames of each sequence whose value is at most each threshold."""
        index = _below(values, thresholds, equal=False)
        return _histogram(owner, index, sequences, len(thresholds) + 1).cumsum(axis=1)[:, :-1]

    return SotScores(
        rule,
        np.bincount(owner, minlength=sequences),
        np.bincount(owner, np.maximum(overlap, 0.0), sequences).astype(np.float64),
        reached(overlap, rule.overlap_thresholds()),
        within(error, rule.center_thresholds()),
        within(normalized, rule.normalized_thresholds()),
    )


def _below(values: Array, thresholds: Array, *, equal: bool) -> Ints:
    """How many of the evenly spaced thresholds lie below each value (or are equal to it): an exact `searchsorted`.

    The place is guessed by division and then corrected by comparing with the thresholds on either side.
    """
    n = len(thresholds)
    guess = (values - thresholds[0]) * (1.0 / (thresholds[1] - thresholds[0]))
    place = np.clip(guess, -1.0, n).astype(np.int64) + 1
    place[place > n] = n
    edges = np.concatenate([[-np.inf], thresholds, [np.inf]])
    under, over = edges[place], edges[place + 1]
    if equal:
        return place + (over <= values) - (under > values)
    return place + (over < values) - (under >= values)


def _histogram(owner: Ints, index: Ints, sequences: int, bins: int) -> Ints:
    return np.bincount(owner * bins + index, minlength=sequences * bins).reshape(sequences, bins)


def _divide(counts: Array | Ints, by: Array | Ints) -> Array:
    return np.divide(counts, by, out=np.full(counts.shape, np.nan), where=by > 0)


def _mean(rates: Array) -> Array:
    """Mean over the sequences in which a frame counts."""
    return rates[~np.isnan(rates).any(axis=1)].mean(axis=0)
