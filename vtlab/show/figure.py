"""The figure of a comparison: for each family its curves, its quality, its quality against cost, its timeline."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from vtlab.show import plot
from vtlab.show.board import MOST_ROWS, Board

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


CHART = (4.6, 3.3)
"""Inches of a single plot: as wide as a phone, whose letters are then as large as the page's."""


def figure(panels: Iterable[Panel]) -> Figure:
    """Draw the families that have something to draw, one below the other, each with its curves above it.

    Without a metric that ranks, what is seen takes its place: how often each tracker calls itself lost, and its timeline.
    """
    from vtlab.show.sheet import Sheet

    rows = [row for panel in panels for row in _rows(panel)]
    heights = [max(one.height for one in row) for row in rows] or [1.0]
    sheet = Sheet(figsize=(15, sum(heights)), layout="constrained")
    places = sheet.subfigures(len(heights), 1, squeeze=False, height_ratios=heights)[:, 0]
    if not rows:
        text = "no tracker has a score; the notes say why"
        places[0].text(0.5, 0.5, text, ha="center", va="center")
    for place, row in zip(places, rows, strict=False):
        ratios = [one.width for one in row]
        for ax, one in zip(
            place.subplots(1, len(row), squeeze=False, width_ratios=ratios)[0], row, strict=True
        ):
            one.draw(ax)
    return sheet


def charts(panels: Iterable[Panel]) -> Iterator[tuple[str, Figure]]:
    """The plots of `figure` one by one, each with what it shows in words: they stay legible on a narrow page."""
    from vtlab.show.sheet import Sheet

    for one in (one for panel in panels for row in _rows(panel) for one in row if one.known):
        sheet = Sheet(figsize=(CHART[0], max(CHART[1], one.height - 0.4)), layout="constrained")
        ax = sheet.subplots()
        ax.set_title("", pad=0)
        one.draw(ax)
        caption = ax.get_title()
        ax.set_title("")
        yield caption, sheet


@dataclass(frozen=True)
class _Plot:
    """One plot: how it is drawn, its size beside others in inches and parts, whether there is anything to see, and whether
    it is drawn last, since it places names where the layout of all others leaves its points."""

    draw: Callable[[Any], Any]
    height: float = 3.6
    width: float = 1.0
    known: bool = True
    last: bool = False


def _rows(panel: Panel) -> list[list[_Plot]]:
    """The plots of a family: its curves, below them the others."""
    shown = panel.timeline is not None and not all(np.isnan(v).all() for v in panel.timeline.lines.values())
    height = _height(panel)
    time = _Plot(partial(_draw_timeline, panel), height, 1.3, shown)
    if panel.board.main is None:
        lost = panel.board.frame.reindex(columns=["lost_share"])["lost_share"].astype(float)
        seen = _Plot(partial(_draw_lost, panel, lost), height, 0.8, bool(lost.notna().any()))
        return [] if panel.timeline is None else [[seen, time]]
    curves = [_Plot(partial(_draw_curve, panel, given), _curve_height(given)) for given in panel.curves]
    family = [
        _Plot(partial(_draw_bars, panel), height),
        _Plot(partial(_draw_pareto, panel), height, 1.1),
        time,
    ]
    return [row for row in (curves, family) if row]


def _height(panel: Panel) -> float:
    return min(max(3.6, 1.6 + 0.26 * min(len(panel.board.frame), MOST_ROWS)), 12.0)


def _curve_height(given: Curves) -> float:
    n = min(len(given.lines), MOST_ROWS)
    return 3.6 if n <= plot.LEGEND_INSIDE else 3.8 + 0.17 * ((n + 1) // 2)


def _first(panel: Panel) -> list[str]:
    """The trackers that are shown: the first ones of the table."""
    return [str(name) for name in panel.board.frame.index[:MOST_ROWS]]


def _few(panel: Panel) -> str:
    n = len(panel.board.frame)
    return "" if n <= MOST_ROWS else f" (first {MOST_ROWS} of {n})"


def _draw_curve(panel: Panel, given: Curves, ax: Any) -> None:
    order = [name for name in _first(panel) if name in given.lines]
    plot.curves(
        ax,
        given.x,
        {n: given.lines[n] for n in order},
        summary=dict(zip(order, panel.board.frame.loc[order, given.metric].astype(float), strict=True)),
        xlabel=given.xlabel,
        ylabel="share of frames",
        title=f"{given.title} [{given.metric} in %]{_few(panel)}",
    )


def _draw_bars(panel: Panel, ax: Any) -> None:
    metric = str(panel.board.main)
    values = panel.board.frame[metric].astype(float)
    title = f"{panel.board.title}: {metric}{_few(panel)}"
    plot.bars(ax, {name: float(values[name]) for name in _first(panel)}, xlabel=metric, title=title)


def _draw_pareto(panel: Panel, ax: Any) -> None:
    metric, budget, names = str(panel.board.main), panel.budget_ms, _first(panel)
    cost = "latency_ms" if budget is None else "latency_p95_ms"
    frame = panel.board.frame.reindex(columns=[cost, metric]).loc[names].astype(float)
    plot.pareto(
        ax,
        frame[cost].tolist(),
        frame[metric].tolist(),
        names,
        xlabel=f"latency per frame (ms, {'median' if budget is None else '95th percentile'})",
        ylabel=metric,
        budget=budget,
    )


def _draw_lost(panel: Panel, lost: Any, ax: Any) -> None:
    title = f"{panel.board.title}: no truth, no order{_few(panel)}"
    if lost.notna().any():
        rows = {name: float(lost[name]) for name in _first(panel)}
        plot.bars(ax, rows, xlabel="share of frames called lost", title=title)
    else:
        ax.axis("off")
        ax.set_title(title)


def _draw_timeline(panel: Panel, ax: Any) -> None:
    given = panel.timeline
    if given is None or all(np.isnan(v).all() for v in given.lines.values()):
        ax.axis("off")
        ax.text(0.5, 0.5, "nothing to show over time", ha="center", va="center", color="0.4")
        return
    frames = np.arange(max(len(v) for v in given.lines.values()))
    lines = {name: given.lines[name] for name in _first(panel) if name in given.lines}
    if lines:
        plot.timeline(ax, lines, frames=frames, ylabel=given.label, title=given.title)
