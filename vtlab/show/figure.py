"""The figure of a comparison: for each family its curves, its quality, its quality against cost, its timeline."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from vtlab.show import plot
from vtlab.show.board import Board

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Curves:
    """One plot of curves.

    Attributes:
        title: What the curves are called.
        xlabel: What the thresholds are.
        x: (K,) thresholds.
        lines: Tracker -> (K,) share of frames.
        metric: Column of the board that sums a curve up.
    """

    title: str
    xlabel: str
    x: Array
    lines: Mapping[str, Array]
    metric: str


@dataclass(frozen=True)
class Timeline:
    """How trackers went over the frames of one sequence.

    Attributes:
        title: Which sequence.
        label: What the values are.
        lines: Tracker -> (frames,) in [0, 1], NaN where nothing is said.
    """

    title: str
    label: str
    lines: Mapping[str, Array]


@dataclass(frozen=True)
class Panel:
    """What is drawn of one family.

    Attributes:
        board: Its table; `main` names the metric that is drawn.
        timeline: Its timeline; None where there is none.
        curves: Its curves.
        budget_ms: Milliseconds that a tracker may take on 95 of 100 frames; None = any, then the median is drawn.
    """

    board: Board
    timeline: Timeline | None = None
    curves: tuple[Curves, ...] = field(default=())
    budget_ms: float | None = None


MOST_ROWS = 20
"""Trackers that bars and timelines show of a long table, its first ones."""


def figure(panels: Iterable[Panel]) -> Figure:
    """Draw the families that have something to draw, one below the other, each with its curves above it.

    Without a metric that ranks, what is seen takes its place: how often each tracker calls itself lost, and its timeline.
    """
    from vtlab.show.sheet import Sheet

    shown = [p for p in panels if p.board.main is not None or p.timeline is not None]
    rows = [
        row
        for panel in shown
        for row in ([(_draw_curves, panel)] if panel.curves else []) + [(_draw_family, panel)]
    ]
    heights = [3.6 if draw is _draw_curves else _height(panel) for draw, panel in rows] or [1.0]
    sheet = Sheet(figsize=(15, sum(heights)), layout="constrained")
    places = sheet.subfigures(len(heights), 1, squeeze=False, height_ratios=heights)[:, 0]
    if not rows:
        text = "no tracker has a score; the notes say why"
        places[0].text(0.5, 0.5, text, ha="center", va="center")
    for place, (draw, panel) in zip(places, rows, strict=False):
        draw(place, panel)
    return sheet


def _height(panel: Panel) -> float:
    return min(max(3.6, 1.6 + 0.32 * min(len(panel.board.frame), MOST_ROWS)), 12.0)


def _draw_curves(place: Any, panel: Panel) -> None:
    board = panel.board.frame
    for ax, given in zip(place.subplots(1, len(panel.curves), squeeze=False)[0], panel.curves, strict=True):
        order = [str(name) for name in board.index if name in given.lines]
        plot.curves(
            ax,
            given.x,
            {n: given.lines[n] for n in order},
            summary=dict(zip(order, board.loc[order, given.metric].astype(float), strict=True)),
            xlabel=given.xlabel,
            ylabel="share of frames",
            title=f"{given.title} [{given.metric} in %]",
        )


def _draw_family(place: Any, panel: Panel) -> None:
    if panel.board.main is None:
        _draw_seen(place, panel)
        return
    left, middle, right = place.subplots(1, 3, width_ratios=(1, 1.1, 1.3))
    board, metric, budget = panel.board.frame, str(panel.board.main), panel.budget_ms
    values = board[metric].astype(float)
    rows = {str(k): v for k, v in list(values.items())[:MOST_ROWS]}
    few = "" if len(rows) == len(values) else f" (first {MOST_ROWS} of {len(values)})"
    plot.bars(left, rows, xlabel=metric, title=f"{panel.board.title}: {metric}{few}")
    cost = "latency_ms" if budget is None else "latency_p95_ms"
    plot.pareto(
        middle,
        board.reindex(columns=[cost])[cost].astype(float).tolist(),
        values.tolist(),
        [str(name) for name in board.index],
        xlabel=f"latency per frame (ms, {'median' if budget is None else '95th percentile'})",
        ylabel=metric,
        budget=budget,
    )
    _draw_timeline(right, panel.timeline, [str(name) for name in board.index[:MOST_ROWS]])


def _draw_seen(place: Any, panel: Panel) -> None:
    left, right = place.subplots(1, 2, width_ratios=(1, 1.6))
    board = panel.board.frame
    lost = board.reindex(columns=["lost_share"])["lost_share"].astype(float)
    title = f"{panel.board.title}: no truth, no order"
    if lost.notna().any():
        plot.bars(
            left, {str(k): v for k, v in lost.items()}, xlabel="share of frames called lost", title=title
        )
    else:
        left.axis("off")
        left.set_title(title)
    _draw_timeline(right, panel.timeline, [str(name) for name in board.index[:MOST_ROWS]])


def _draw_timeline(ax: Any, given: Timeline | None, order: list[str]) -> None:
    if given is None or all(np.isnan(v).all() for v in given.lines.values()):
        ax.axis("off")
        ax.text(0.5, 0.5, "nothing to show over time", ha="center", va="center", color="0.4")
        return
    frames = np.arange(max(len(v) for v in given.lines.values()))
    lines = {name: given.lines[name] for name in order if name in given.lines}
    plot.timeline(ax, lines, frames=frames, ylabel=given.label, title=given.title)
