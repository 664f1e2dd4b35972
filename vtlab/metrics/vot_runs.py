"""Runs of VOT's experiments: regions of a tracker beside those of truth, and what sequences add to VOT's scores.

Which experiment a run belongs to decides how it is scored. `supervised` (VOT2013 to 2019): the tracker is started again
after each failure. `multistart` (from VOT2020 on): a run goes from an anchor to an end of the sequence and is never started
again; what was tracked once from its prompt is such a run. `unsupervised`: only accuracy is known there.

Source: vot-toolkit 0.9.0, vot.analysis.supervised, .multistart and .accuracy (GPL-3.0); written anew from their rules, their
results are this module's tests.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vtlab.errors import InputError
from vtlab.metrics.vot_measures import average_curve, progress
from vtlab.metrics.vot_regions import Region, is_empty, region_overlaps

Array = NDArray[np.float64]
Ints = NDArray[np.int64]
NOTHING, GIVEN, FAILED = 0, 1, 2
_REGION = -1
"""A region's code beside the toolkit's own."""
# Right after a start every tracker overlaps well, so accuracy leaves these out (Kristan et al., TPAMI 2016).
BURN_IN = 10
"""Frames from a start on that do not count for accuracy."""


@dataclass(frozen=True)
class Run:
    """One run over N frames in the order of tracking.

    Attributes:
        overlap: (N,) with truth.
        code: (N,) what a result says in place of a region: 1 started here, 2 failed, 0 nothing; else -1.
        absent: (N,) bool, truth is empty.
        unknown: (N,) bool, truth says nothing at all.
    """

    overlap: Array
    code: Ints
    absent: NDArray[np.bool_]
    unknown: NDArray[np.bool_]

    @classmethod
    def of(cls, answers: Sequence[Region], truth: Sequence[Region], size: tuple[int, int] | None) -> Run:
        """Compare regions; `size` (height, width) is that of the images."""
        overlap = region_overlaps(answers, truth, size)
        code = [
            int(r) if isinstance(r, (int, np.integer)) else NOTHING if r is None else _REGION for r in answers
        ]
        absent, unknown = ([test(t) for t in truth] for test in (is_empty, lambda t: t is None))
        return cls(overlap, np.array(code, np.int64), np.array(absent, bool), np.array(unknown, bool))

    def accuracy(self, burn_in: int = BURN_IN, *, of_known: bool = False) -> float:
        """Mean overlap of the frames with a region that are no start nor one of the frames after it; 0 without any.

        The supervised experiment counts frames without truth too; `of_known`: not so the unsupervised one.
        """
        counted = (self.code != NOTHING) & (self.code != FAILED) & ~(self.unknown & of_known)
        for start in np.flatnonzero(self.code == GIVEN):
            counted[start : start + burn_in] = False
        return float(self.overlap[counted].mean()) if counted.any() else 0.0

    def pieces(self) -> list[tuple[Array, bool]]:
        """Overlaps from each start to its failure, and whether it ended in one."""
        starts, ends = np.flatnonzero(self.code == GIVEN), np.flatnonzero(self.code == FAILED)
        if not len(ends):
            return [(self.overlap, False)]
        found = [(self.overlap[a:b], True) for a, b in zip(starts, ends, strict=False)]
        return found + [(self.overlap[starts[-1] :], False)] * (len(starts) > len(ends))


@dataclass(frozen=True)
class Counts:
    """What S sequences add to VOT's scores; of several runs of one sequence their sum.

    Attributes:
        experiment: `supervised`, `multistart` or `unsupervised`.
        lengths: (S, 2) shortest and longest length of the expected overlap.
        frames: (S,) frames of each sequence, by which it is weighted.
        runs: (S,) runs.
        accuracy: (S,) sum of the runs' accuracies; `multistart`: of the overlaps before a failure.
        reached: (S,) failures; `multistart`: frames before one.
        tracked: (S,) frames of the runs.
        longest: (S,) frames of the longest piece of a run.
        total: (S, K) sum of the runs' average overlaps of each of these lengths.
        active: (S, K) runs that speak for the length.
    """

    experiment: str
    lengths: Ints
    frames: Array
    runs: Array
    accuracy: Array
    reached: Array
    tracked: Array
    longest: Ints
    total: Array
    active: Array

    @classmethod
    def of(cls, run: Run, experiment: str, frames: int, lengths: tuple[int, int]) -> Counts:
        """What a run adds; `frames` is the length of its sequence, `lengths` are those of the expected overlap."""
        make = _anchored if experiment == "multistart" else _restarted
        accuracy, reached, longest, (total, active) = make(run, *lengths)
        if experiment == "unsupervised":
            accuracy = run.accuracy(of_known=True)
        return cls(
            experiment,
            lengths=np.array([lengths]),
            frames=np.array([frames], dtype=np.float64),
            runs=np.ones(1),
            accuracy=np.array([accuracy]),
            reached=np.array([reached]),
            tracked=np.array([len(run.overlap)], dtype=np.float64),
            longest=np.array([longest]),
            total=total[None],
            active=active[None],
        )

    def take(self, index: ArrayLike) -> Counts:
        """The counts of a selection of the sequences (repeats allowed)."""
        i = np.asarray(index)
        return Counts(self.experiment, *(getattr(self, f.name)[i] for f in fields(self)[1:]))

    def values(self) -> dict[str, float]:
        """VOT's measures: `accuracy`, with `failures` (supervised) or `robustness` (multistart), and `eao`."""
        weight = self.frames.sum()
        if self.experiment == "multistart":
            reached = self.reached.sum()
            return {
                "accuracy": float(self.accuracy.sum() / reached) if reached else 0.0,
                "robustness": float((self.reached / self.tracked * self.frames).sum() / weight),
                "eao": self._expected(len(self.total[0])),
            }
        accuracy = float((self.accuracy / self.runs * self.frames).sum() / weight)
        if self.experiment == "unsupervised":
            return {"accuracy": accuracy}
        failures = float((self.reached / self.runs * self.frames).sum() / weight)
        return {
            "accuracy": accuracy,
            "failures": failures,
            # The toolkit's curve ends with the longest piece: lengths beyond it are no part of the mean.
            "eao": self._expected(int(self.longest.max() - self.lengths[0, 0])),
        }

    def _expected(self, count: int) -> float:
        """Mean of the first `count` lengths; NaN where no run speaks for any of them."""
        total, active = (
            self.total[:, : max(count, 0)].sum(axis=0),
            self.active[:, : max(count, 0)].sum(axis=0),
        )
        if not active.any():
            return np.nan
        return float(np.divide(total, active, out=np.zeros(len(total)), where=active > 0).mean())


def join(parts: Sequence[Counts], *, repetitions: bool = False) -> Counts:
    """Join the counts of sequences, or of several runs on the same ones.

    Raises:
        InputError: They are of several experiments, or meant for other lengths of the expected overlap.
    """
    kinds = sorted({p.experiment for p in parts})
    if len(kinds) > 1:
        raise InputError(
            f"Results of VOT's experiments {' and '.join(kinds)} can't be joined. Keep each in a folder of its own: "
            "<tracker>/<experiment>/<sequence>/."
        )
    names = [f.name for f in fields(Counts)[1:]]
    columns = {name: [getattr(p, name) for p in parts] for name in names}
    if len({tuple(row) for lengths in columns["lengths"] for row in lengths.tolist()}) > 1:
        raise InputError("Expected overlaps of different lengths can't be joined. Score all by one rule.")
    if not repetitions:
        return Counts(kinds[0], *(np.concatenate(columns[name]) for name in names))
    shared = {"lengths": columns["lengths"][0], "frames": columns["frames"][0]}
    shared["longest"] = np.max(columns["longest"], axis=0)
    return Counts(kinds[0], *(shared[n] if n in shared else np.sum(columns[n], axis=0) for n in names))


_Made = tuple[float, float, int, tuple[Array, Array]]


def _restarted(run: Run, low: int, high: int) -> _Made:
    """Accuracy, failures, longest piece and curve of a run that is started again after a failure."""
    steps = np.arange(low, high + 1)
    total, active = np.zeros(len(steps)), np.zeros(len(steps))
    pieces = run.pieces()
    for overlap, failed in pieces:
        sums = np.concatenate([[0.0], overlap[1:].cumsum()])
        speaks = failed | (steps < len(overlap))
        average = sums[np.minimum(steps, len(sums) - 1)] / np.maximum(steps, 1)
        total += np.where(speaks, np.where(steps > 0, average, overlap[0]), 0.0)
        active += speaks
    failures = float(sum(failed for _, failed in pieces))
    return run.accuracy(), failures, max(len(o) for o, _ in pieces), (total, active)


def _anchored(run: Run, low: int, high: int) -> _Made:
    """Overlaps and frames before the failure, length and curve of a run that is never started again."""
    reached = progress(run.overlap, absent=run.absent)
    cut = run.overlap.copy()
    cut[reached:] = 0.0
    curve, active = average_curve([cut], [reached < len(cut)], high)
    total = curve * active
    return float(cut.sum()), float(reached), len(cut), (total[low:high], active[low:high])
