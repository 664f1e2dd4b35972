"""VOT's measures of results: of the supervised experiment from its regions, of tracks that were started once.

The measures themselves are in `vtlab.metrics.vot_measures`, whose names this module gives on; `vtlab.evaluate` and
`vtlab evaluate --as vot` score results of VOT's experiments by the rule `vot`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from vtlab.metrics import quality
from vtlab.metrics.families import Case, Truth, truth_of
from vtlab.metrics.vot_measures import (
    AccuracyRobustness,
    LongTerm,
    absence_quality,
    anchor_expected_overlap,
    anchors,
    expected_average_overlap,
    expected_overlap_curve,
    long_term,
    progress,
    supervised,
)
from vtlab.metrics.vot_regions import Region, region_overlaps, regions_of
from vtlab.metrics.vot_runs import Counts, Run, join
from vtlab.tracks import Tracks

Array = NDArray[np.float64]


@dataclass(frozen=True)
class SupervisedResults:
    """What a tracker answered on one sequence of the supervised experiment.

    Attributes:
        truth: Region of each frame (see `vtlab.metrics.vot_regions.Region`).
        runs: For each repetition a region for each frame, or a code: 1 = started here, 2 = failed, 0 = waits.
        size: (height, width) of the images.
    """

    truth: Sequence[Region]
    runs: Sequence[Sequence[Region]]
    size: tuple[int, int] | None = None


@dataclass(frozen=True)
class SupervisedScore:
    """Scores of the supervised experiment, as the VOT toolkit gives them.

    Attributes:
        ar: Accuracy and robustness; repetitions are averaged, sequences weighted by their lengths.
        curve: Expected average overlap of each length, see `expected_overlap_curve`.
        eao: Its mean over the lengths asked for.
    """

    ar: AccuracyRobustness
    curve: Array
    eao: float


def supervised_experiment(
    results: Sequence[SupervisedResults],
    low: int,
    high: int,
    *,
    burn_in: int = 10,
    sensitivity: float = 30.0,
) -> SupervisedScore:
    """Score results of the supervised experiment (VOT 2015 to 2019) from their regions.

    Args:
        results: One for each sequence.
        low: Shortest sequence length of the expected overlap (100 in VOT2018).
        high: Longest, included (356 in VOT2018).
        burn_in: Frames from a start on that do not count for accuracy.
        sensitivity: Frames over which the reliability is extrapolated.
    """
    runs = [[Run.of(run, s.truth, s.size) for run in s.runs] for s in results]
    weights = np.array([len(s.truth) for s in results], dtype=np.float64)
    accuracy = np.array([np.mean([run.accuracy(burn_in) for run in mine]) for mine in runs])
    pieces = [[piece for run in mine for piece in run.pieces()] for mine in runs]
    failures = np.array(
        [sum(failed for _, failed in p) / len(mine) for p, mine in zip(pieces, runs, strict=True)]
    )
    weighted = float((failures * weights).sum() / weights.sum())
    found = AccuracyRobustness(
        float((accuracy * weights).sum() / weights.sum()),
        weighted,
        float(np.exp(-sensitivity * weighted / weights.mean())),
    )
    flat = [piece for mine in pieces for piece in mine]
    curve = expected_overlap_curve([o for o, _ in flat], [failed for _, failed in flat])
    return SupervisedScore(found, curve, float(curve[low : high + 1].mean()))


def of_tracks(
    pairs: Sequence[tuple[Tracks, Truth]], family: str = "sot", *, eao_lengths: tuple[int, int] | None = None
) -> dict[str, float]:
    """VOT's numbers of runs that were started once, on the first frame of each object, and never reset.

    Such a run is one anchor of the anchor-based experiment; for its long-term measures the scores count.

    Args:
        pairs: (tracks, truth) of each sequence; truth may be a sequence that has it.
        family: `sot` (boxes, polygons or masks, whatever there is, compared as the VOT toolkit does: see
            `vtlab.metrics.vot_regions`) or `vos` (masks as they are).
        eao_lengths: Shortest and longest sequence length of the expected overlap; default: 10 frames up to the
            longest run.

    Returns:
        `accuracy`, `robustness`, `eao` (anchors), `lt_precision`, `lt_recall`, `lt_f` (long-term), and `R`, `NRE`,
        `DRE`, `ADQ` averaged over objects.
    """
    flat: list[quality.Series] = []
    runs: list[list[Run]] = []
    for tracks, truth in pairs:
        ids = [int(i) for i in truth_of(truth).object_ids]
        mine = [quality.series(tracks, truth, i, family) for i in ids]
        if family == "sot":
            mine = [_drawn(tracks, truth, i, s) for i, s in zip(ids, mine, strict=True)]
        flat += mine
        runs.append([_run(s) for s in mine])
    lengths = eao_lengths or (10, max(11, *(len(run.overlap) for mine in runs for run in mine)))
    counts = [
        join(
            [Counts.of(r, "multistart", max(len(r.overlap) for r in mine), lengths) for r in mine],
            repetitions=True,
        )
        for mine in runs
    ]
    found = join(counts).values()
    lasting = long_term([s.overlap for s in flat], [s.score for s in flat], [s.visible for s in flat])
    out = {
        **found,
        "lt_precision": lasting.precision,
        "lt_recall": lasting.recall,
        "lt_f": lasting.f,
    }
    shares = [absence_quality(s.overlap, ~np.isnan(s.score), s.visible) for s in flat]
    for name in ("R", "NRE", "DRE", "ADQ"):
        values = np.array([share[name] for share in shares])
        out[name] = float(np.nanmean(values)) if np.isfinite(values).any() else np.nan
    return out


def _run(series: quality.Series) -> Run:
    """One run from a single start; where the object is absent, to answer nothing is right, as the toolkit has it."""
    absent = ~series.visible
    overlap = np.where(absent, np.isnan(series.score), series.overlap).astype(np.float64)
    return Run(overlap, np.full(len(overlap), -1), absent, absent)


def _drawn(tracks: Tracks, truth: Truth, object_id: int, series: quality.Series) -> quality.Series:
    """The series with overlaps of regions that are drawn."""
    case, frames = Case.of(tracks, truth), series.frame.tolist()
    mine, answers = (regions_of(t.of_object(object_id), frames) for t in (case.truth, case.tracks))
    overlap = np.where(series.visible, region_overlaps(answers, mine, case.size), 0.0)
    return replace(series, overlap=overlap)


__all__ = [
    "AccuracyRobustness",
    "LongTerm",
    "SupervisedResults",
    "SupervisedScore",
    "absence_quality",
    "anchor_expected_overlap",
    "anchors",
    "expected_average_overlap",
    "expected_overlap_curve",
    "long_term",
    "of_tracks",
    "progress",
    "supervised",
    "supervised_experiment",
]
