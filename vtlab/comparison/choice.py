"""Who is best, and why: the one place that decides, for `best()`, the sentences, the report and the command line."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from vtlab.comparison.proxies import PROXY_METRICS
from vtlab.metrics.families import FAMILIES
from vtlab.metrics.records import METRICS
from vtlab.show.answer import Candidate, Choice

if TYPE_CHECKING:
    import pandas as pd


def deciding_metric(board: pd.DataFrame, family: str) -> str | None:
    """The column by which a family's trackers are ranked: its main metric, else the first proxy that has a value."""
    wanted = (FAMILIES[family].main, *PROXY_METRICS)
    return next((m for m in wanted if m in board and board[m].notna().any()), None)


def within_budget(board: pd.DataFrame, budget_ms: float | None) -> pd.Series:
    """Whether each tracker of a board ran and stays within the budget on 95 of 100 frames."""
    latency = board.reindex(columns=["latency_p95_ms"])["latency_p95_ms"].astype(float)
    return latency <= (np.inf if budget_ms is None else budget_ms)


def choose(board: pd.DataFrame, family: str, budget_ms: float | None = None) -> Choice:
    """Decide who is best of a family.

    Args:
        board: One row for each tracker, columns as in `Comparison.table`.
        family: By whose metrics.
        budget_ms: Milliseconds that a choice may take on 95 of 100 frames; None = any.
    """
    title, metric = FAMILIES[family].title, deciding_metric(board, family)
    if metric is None:
        return Choice(family, title, budget_ms=budget_ms)
    quality = board[metric].astype(float).dropna()
    worth = METRICS[metric].worth(1.0) * quality
    cost = board.reindex(columns=["latency_ms", "latency_p95_ms"]).astype(float)
    median, slow = cost["latency_ms"], cost["latency_p95_ms"]

    def first(values: pd.Series, rows: pd.Series | None = None) -> Candidate | None:
        """The tracker with the largest of the values (in those rows), the first of several."""
        found = (values if rows is None else values[rows[values.index]]).dropna()
        if not len(found):
            return None
        label = str(found.idxmax())
        return Candidate(label, float(quality.get(label, np.nan)), float(median[label]), float(slow[label]))

    known = Choice(family, title, metric, metric in PROXY_METRICS, len(quality), budget_ms=budget_ms)
    top = first(worth)
    if top is None or (METRICS[metric].higher_is_better and top.quality <= 0):
        return known
    close = (quality - top.quality).abs() <= 0.05 * abs(top.quality)
    return replace(
        known,
        top=top,
        cheaper=first(
            -median, close.reindex(board.index, fill_value=False) & (median < 0.5 * top.latency_ms)
        ),
        fastest=first(-slow),
        best=top if budget_ms is None else first(worth, within_budget(board, budget_ms)),
    )
