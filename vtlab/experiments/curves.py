"""How a quantity goes with a level (frames a second, blur, seconds of work): a table and a plot of an experiment's results.

A trial says it by metrics named "overlap at 25 fps": what, level, unit. Few clips are told side by side, five and more
with a jackknife-t interval over their scenes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from vtlab.metrics import statistics
from vtlab.metrics.records import Metric
from vtlab.show import plot
from vtlab.show.board import Board

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

_AT = re.compile(r"(?P<what>.+) at (?P<level>-?\d+(\.\d+)?(e[+-]?\d+)?)( (?P<unit>.+))?")
Values = dict[str, float]
"""Scene -> value, the mean over its cells."""
FRACTION = Metric("overlap", "", "mean overlap with the truth")


@dataclass(frozen=True)
class Section:
    """What a trial's `sections(store)` gives to a report: a table, and plots with their captions."""

    board: Board
    figures: tuple[tuple[str, Figure], ...] = ()


def at(what: str, level: float, unit: str = "") -> str:
    """Name of the metric that says `what` at a level."""
    return f"{what} at {level:g} {unit}".strip()


def curves(rows: pd.DataFrame, what: str) -> dict[str, dict[float, Values]]:
    """Tracker -> level -> values, from the columns that `at` named."""
    found: dict[str, dict[float, Values]] = {}
    for column in rows.columns:
        named = _AT.fullmatch(str(column))
        if named is None or named["what"] != what:
            continue
        for tracker in rows["tracker"].unique():
            values = by_clip(rows[rows["tracker"] == tracker], str(column))
            if values:
                found.setdefault(str(tracker), {})[float(named["level"])] = values
    return {tracker: dict(sorted(levels.items())) for tracker, levels in found.items()}


def by_clip(rows: pd.DataFrame, column: str) -> Values:
    """Scene -> mean of a column over its cells; what isn't known is left out."""
    if column not in rows:
        return {}
    known = rows[rows[column].notna()]
    means = known.groupby(known["sequence"].astype(str).map(statistics.scene))[column].mean()
    return {str(k): float(v) for k, v in means.items()}


def interval(values: Values, metric: Metric = FRACTION) -> tuple[float, float, float]:
    """Mean over clips, and the ends of its interval, NaN with fewer than five."""
    if len(values) < statistics.FEWEST:
        return float(np.mean(list(values.values()))), np.nan, np.nan
    found = statistics.of_values({"": values}, metric).iloc[0]
    return float(found["value"]), float(found["low"]), float(found["high"])


def told(values: Values, form: Callable[[float], str], metric: Metric = FRACTION) -> str:
    """Values as a table shows them: of up to four clips each, of more the mean with its interval."""
    if not values:
        return "–"
    if len(values) < statistics.FEWEST:
        return " / ".join(form(values[k]) for k in sorted(values))
    mean, low, high = interval(values, metric)
    return f"{form(mean)} [{form(low)}, {form(high)}]"


def percent(value: float) -> str:
    """A fraction in per cent."""
    return f"{100 * value:.1f}"


def clips_told(rows: pd.DataFrame) -> str:
    """How many clips there are, and what that allows."""
    names = sorted({statistics.scene(str(s)) for s in rows["sequence"]})
    n = len(names)
    if n == 1:
        return f"1 clip ({names[0]}): it says nothing about other clips."
    if n < statistics.FEWEST:
        return (
            f"{n} clips, side by side ({' / '.join(names)}); fewer than {statistics.FEWEST} have no interval."
        )
    return f"Means over {n} clips with 95 % jackknife-t intervals over them."


def lines(
    found: Mapping[str, Mapping[float, Values]],
    *,
    xlabel: str,
    log: bool = False,
    names: Mapping[float, str] | None = None,
) -> Figure:
    """A curve for each tracker: the mean over clips, with its interval or, of few clips, each of them thinly.

    Args:
        found: As `curves` gives it.
        xlabel: What the levels are.
        log: Levels by their logarithm.
        names: Names of levels that stand in place of their numbers.
    """
    ax = plot.new_axes(5.2, 3.7)
    for i, (tracker, levels) in enumerate(found.items()):
        _line(ax, tracker, levels, plot.style(i))
    levels_all = sorted({x for levels in found.values() for x in levels})
    if log and levels_all and levels_all[0] > 0:
        ax.set_xscale("log")
        ax.minorticks_off()
    if 0 < len(levels_all) <= 8:
        ax.set_xticks(levels_all, [(names or {}).get(x, f"{x:g}") for x in levels_all])
    ax.set(xlabel=xlabel, ylabel="mean overlap", ylim=(0, 1.02))
    ax.grid(alpha=0.25)
    if found:
        _legend(ax, len(found))
    return ax.figure  # type: ignore[return-value]


def _line(ax: Any, tracker: str, levels: Mapping[float, Values], style: Mapping[str, Any]) -> None:
    x = list(levels)
    told_of = [interval(v) for v in levels.values()]
    ax.plot(
        x,
        [m for m, _, _ in told_of],
        marker="o",
        markersize=4,
        linewidth=2,
        label=plot.short(tracker),
        **style,
    )
    if all(np.isfinite(low) for _, low, _ in told_of):
        ax.fill_between(
            x,
            [low for _, low, _ in told_of],
            [high for _, _, high in told_of],
            color=style["color"],
            alpha=0.12,
            linewidth=0,
        )
        return
    clips = sorted(set.intersection(*(set(v) for v in levels.values()))) if levels else []
    for clip in clips if len(clips) > 1 else ():
        ax.plot(x, [levels[k][clip] for k in x], linewidth=0.7, alpha=0.45, **style)


def _legend(ax: Any, n: int) -> None:
    if n <= plot.LEGEND_INSIDE:
        ax.legend(fontsize="small", framealpha=0.85, edgecolor="none")
    else:
        ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.2), ncols=2, fontsize="x-small", frameon=False)


def table(
    rows: Sequence[dict[str, Any]], title: str, caption: str, index: str | list[str] = "tracker"
) -> Board:
    """Rows of texts as a board."""
    import pandas as pd

    return Board(pd.DataFrame(rows).set_index(index), title, caption)
