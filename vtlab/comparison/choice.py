"""Who is best, and why: the one place that decides, for `best()`, the sentences, the report and the command line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import isfinite
from typing import TYPE_CHECKING, Any

import numpy as np

from vtlab.metrics.families import FAMILIES, find_family
from vtlab.metrics.records import METRICS, Metric
from vtlab.show.answer import Candidate, Choice, Ground
from vtlab.trackers.measure import Timing

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Evidence:
    """What is known of the trackers of a family beside their numbers.

    Attributes:
        ground: How many clips with truth, by which rule.
        ranks: Their `vtlab.metrics.statistics.leaderboard`; None on a single clip.
        finished: Tracker -> (k, n): it finished k of n clips.
        won: Tracker -> clips on which it is the highest.
        timings: Tracker -> what its steps took.
        seen: Sentences about what is seen without truth.
        ran: Number of trackers that answered at all.
    """

    ground: Ground = field(default_factory=Ground)
    ranks: pd.DataFrame | None = None
    finished: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    won: Mapping[str, int] = field(default_factory=dict)
    timings: Mapping[str, Timing] = field(default_factory=dict)
    seen: tuple[str, ...] = ()
    ran: int = 0


def deciding_metric(board: pd.DataFrame, family: str) -> str | None:
    """The column by which a family's trackers are ranked: the benchmark's number, else the family's main metric.

    None without truth, where nothing ranks.
    """
    known, main = find_family(family), find_family(family).main
    if main in board:
        columns = [m for m in (*known.own, main) if m in board]
        rows = board.loc[board[main].notna(), columns].to_numpy(float)
        main = known.main_of([dict(zip(columns, row, strict=True)) for row in rows])
    return main if main in board and board[main].notna().any() else None


def ranked(board: pd.DataFrame, family: str, unfinished: Sequence[str] = ()) -> list[str]:
    """Trackers of a board, best first, those that didn't finish after them and those without a value last.

    Without truth they stand in the order given: nothing ranks them.
    """
    metric = deciding_metric(board, family)
    if metric is None:
        return [str(t) for t in board.index]
    worth = METRICS[metric].worth(1.0) * board[metric].astype(float)
    valued = sorted(worth.dropna().index, key=lambda t: (t in unfinished, -worth[t], str(t)))
    return [str(t) for t in (*valued, *(t for t in board.index if np.isnan(worth[t])))]


def choose(
    board: pd.DataFrame, family: str, budget_ms: float | None = None, evidence: Evidence | None = None
) -> Choice:
    """Decide who is best of a family, as far as that is known.

    Args:
        board: One row for each tracker, columns as in `Comparison.table`.
        family: By whose metrics.
        budget_ms: Milliseconds that a choice may take on 95 of 100 frames; None = any.
        evidence: What else is known; by default all finished one clip with truth.
    """
    known = evidence or Evidence()
    ground, metric = replace(known.ground, budget_ms=budget_ms), deciding_metric(board, family)
    choice = Choice(family, FAMILIES[family].title, metric, ground, seen=known.seen, ran=known.ran)
    if metric is None:
        if budget_ms is None:
            return choice
        timed = sorted(str(t) for t in board.index if isfinite(board.get("latency_ms", {}).get(t, np.nan)))
        return replace(choice, candidates=tuple(_candidate(board, t, None, budget_ms, known) for t in timed))
    record = METRICS[metric]
    unfinished = [t for t, (k, n) in known.finished.items() if k < n]
    order = [t for t in ranked(board, family, unfinished) if isfinite(board[metric][t])]
    candidates = tuple(_candidate(board, t, metric, budget_ms, known) for t in order)
    choice = replace(choice, candidates=candidates)
    leaders = _leaders(candidates, record, ground.clips)
    if not leaders:
        return choice
    kept = [c for c in candidates if budget_ms is None or c.keeps is not False]
    within = _leaders(kept, record, ground.clips)
    return replace(
        choice,
        leaders=leaders,
        cheaper=_cheaper(candidates, leaders[0]),
        best=within[0] if len(within) == 1 else None,
    )


def _candidate(
    board: pd.DataFrame, label: str, metric: str | None, budget_ms: float | None, known: Evidence
) -> Candidate:
    row: Mapping[str, float] = board.loc[label].to_dict()  # type: ignore[assignment]
    timing, slow = known.timings.get(label), float(row.get("latency_p95_ms", np.nan))
    keeps: bool | None = True
    over = (0, 0)
    if budget_ms is not None and timing is None:
        keeps = slow <= budget_ms
    elif budget_ms is not None and timing is not None:
        keeps, over = timing.keeps(budget_ms), timing.over(budget_ms)
    found = Candidate(
        label,
        row[metric] if metric else np.nan,
        float(row.get("latency_ms", np.nan)),
        slow,
        keeps=keeps,
        over=over,
    )
    if known.ranks is not None and label in known.ranks.index:
        rank: Mapping[str, Any] = known.ranks.loc[label].to_dict()  # type: ignore[assignment]
        found = replace(found, low=rank["low"], high=rank["high"], p=rank["p"], letters=rank["letters"])
    return replace(found, finished=known.finished.get(label, (1, 1)), won=known.won.get(label, 0))


def _leaders(candidates: Sequence[Candidate], record: Metric, clips: int) -> tuple[Candidate, ...]:
    """Those that may be the best, best first: on one clip those with the highest value, on several those that no test
    tells apart from it. None that didn't finish, none that found nothing."""
    whole = [c for c in candidates if c.whole]
    if not whole or (record.higher_is_better and whole[0].quality <= 0):
        return ()
    top = whole[0]
    return tuple(c for c in whole if c.is_level(top, clips))


def _cheaper(candidates: Sequence[Candidate], top: Candidate) -> Candidate | None:
    """The fastest that comes within 5 % of the highest in less than half its time."""
    near = [
        c
        for c in candidates
        if c.whole
        and abs(c.quality - top.quality) <= 0.05 * abs(top.quality)
        and c.latency_ms < 0.5 * top.latency_ms
    ]
    return min(near, key=lambda c: (c.latency_ms, c.label), default=None)
