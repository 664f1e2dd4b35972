"""py-motmetrics' event log and summary from vtlab's distances (py-motmetrics 1.4.0, MIT; its own IoU fails on NumPy 2).

People who live in py-motmetrics find their accumulator, their events and their table; the package does the counting.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from vtlab.errors import needs, renamed
from vtlab.metrics import pairing
from vtlab.metrics.families import Case, Truth
from vtlab.metrics.families.mot import FAMILY, pairs_of
from vtlab.tracks import Tracks

if TYPE_CHECKING:
    import pandas as pd


@renamed(protocol="rule")
def accumulator(tracks: Tracks, truth: Truth, rule: str | None = None) -> Any:
    """Return a filled `motmetrics.MOTAccumulator`; frames are named by their 0-based index.

    Args:
        tracks: What a tracker answered.
        truth: Ground-truth `Tracks`, or a sequence that has them.
        rule: Rule of the family `mot` by which both sides are prepared.

    Raises:
        MissingDependencyError: py-motmetrics is not installed.
    """
    case = Case.of(tracks, truth)
    by = FAMILY.rule_of(case, rule)
    return of_pairs(pairs_of(case, by), by.threshold)


def of_pairs(pairs: pairing.Pairs, threshold: float = 0.5) -> Any:
    """Return a filled `motmetrics.MOTAccumulator` of a prepared sequence; distance = 1 - similarity."""
    try:
        import motmetrics
    except ImportError:
        raise needs("motmetrics", "mot", "py-motmetrics' event log") from None
    out = motmetrics.MOTAccumulator(auto_id=False)
    # Which of two equal assignments it takes depends on the order of rows: as given, by frame and id, like its own reader.
    t_rows, a_rows = (np.lexsort((side.source, side.frame)) for side in (pairs.truth, pairs.answer))
    t_place, a_place = np.argsort(t_rows), np.argsort(a_rows)
    frame = pairs.truth.frame[pairs.t]
    order = np.argsort(frame, kind="stable")
    for index in range(pairs.frames):
        t = slice(*np.searchsorted(pairs.truth.frame, (index, index + 1)))
        a = slice(*np.searchsorted(pairs.answer.frame, (index, index + 1)))
        # NaN is py-motmetrics' word for a pair that may not match.
        distance = np.full((t.stop - t.start, a.stop - a.start), np.nan)
        mine = order[slice(*np.searchsorted(frame[order], (index, index + 1)))]
        close = mine[pairs.similarity[mine] >= threshold - np.finfo(float).eps]
        distance[t_place[pairs.t[close]] - t.start, a_place[pairs.a[close]] - a.start] = (
            1.0 - pairs.similarity[close]
        )
        truth, answer = pairs.truth.object_id[t_rows[t]], pairs.answer.object_id[a_rows[a]]
        out.update(truth.tolist(), answer.tolist(), distance, frameid=index)
    return out


@renamed(protocol="rule")
def event_log(tracks: Tracks, truth: Truth, rule: str | None = None) -> pd.DataFrame:
    """Return py-motmetrics' table of events: FrameId, Event, Type, OId, HId, D."""
    return accumulator(tracks, truth, rule).mot_events


def summary(
    accumulators: Mapping[str, Any], metrics: list[str] | None = None, *, names: bool = False
) -> pd.DataFrame:
    """Return py-motmetrics' summary of several sequences with their OVERALL row.

    Args:
        accumulators: Sequence -> accumulator.
        metrics: Names of its metrics; default: `motmetrics.metrics.motchallenge_metrics`.
        names: Use MOTChallenge's column names (IDF1, MOTA, ...).
    """
    try:
        import motmetrics
    except ImportError:
        raise needs("motmetrics", "mot", "py-motmetrics' summary") from None
    chosen = metrics or motmetrics.metrics.motchallenge_metrics
    table = motmetrics.metrics.create().compute_many(
        list(accumulators.values()), names=list(accumulators), metrics=chosen, generate_overall=True
    )
    return table.rename(columns=motmetrics.io.motchallenge_metric_names) if names else table
