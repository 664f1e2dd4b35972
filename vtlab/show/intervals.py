"""Values with their intervals as dots on lines, in HTML: one chart for a page and for the widget that asks for labels."""

from __future__ import annotations

import html
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import TYPE_CHECKING

from vtlab.metrics.records import Metric

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Interval:
    """One line of the chart.

    Attributes:
        name: What the value is of.
        value: The value.
        low: Lower end of its interval; not finite where there is none.
        high: Upper end, likewise.
        note: A remark behind it.
    """

    name: str
    value: float
    low: float
    high: float
    note: str = ""


def share(value: float) -> str:
    """A share as tables show it."""
    return Metric("", "", "").text(value)


def points(value: float) -> str:
    """A difference of two shares, with its sign, in points of a per cent."""
    shown = f"{100 * value:+.1f}"
    return shown.replace("-", "\u2212") if float(shown) else "0.0"


def chart(
    rows: Sequence[Interval],
    unit: str,
    *,
    ends: tuple[float, float] = (0.0, 1.0),
    text: Callable[[float], str] = share,
) -> str:
    """Return the chart as HTML, which `CSS` belongs to; names stand in it as text. "" without a value.

    Args:
        rows: Lines from above; those without a value are left out.
        unit: What the values are.
        ends: Where the scale begins and ends; what lies beyond is cut.
        text: How a value is written.
    """
    shown = [row for row in rows if isfinite(row.value)]
    if not shown:
        return ""
    left, right = ends
    words = "".join(f"<span>{html.escape(w)}</span>" for w in (_end(text(left)), unit, _end(text(right))))
    zero = _place(0.0, ends) if left < 0 < right else None
    lines = "".join(_line(row, ends, text, zero) for row in shown)
    return f"<div class=vt-levels><div class=vt-unit>{words}</div>{lines}</div>"


def _end(text: str) -> str:
    """An end of a scale without decimals that say nothing."""
    return text.replace(".0", "")


def _place(value: float, ends: tuple[float, float]) -> float:
    """Where a value stands on the scale, in per cent of its length."""
    return 100 * min(max((value - ends[0]) / (ends[1] - ends[0]), 0.0), 1.0)


def _line(row: Interval, ends: tuple[float, float], text: Callable[[float], str], zero: float | None) -> str:
    known = isfinite(row.low) and isfinite(row.high) and row.high > row.low
    said = f"{text(row.low)} to {text(row.high)}" if known else ""
    drawn = "" if zero is None else f"<line x1='{zero:.2f}%' x2='{zero:.2f}%' y1=0 y2=18 />"
    if known:
        a, b = _place(row.low, ends), _place(row.high, ends)
        drawn += f"<rect x='{a:.2f}%' width='{b - a:.2f}%' y=6 height=6 rx=3 />"
    drawn += f"<circle cx='{_place(row.value, ends):.2f}%' cy=9 r=5 />"
    label = html.escape(f"{row.name}: {text(row.value)}{', ' * known}{said}", quote=True)
    return (
        f"<div class=vt-level><span class=vt-name>{html.escape(row.name)}</span>"
        f'<svg class=vt-scale role=img aria-label="{label}">{drawn}</svg>'
        f"<span class=vt-value>{text(row.value)}</span><span class=vt-range>{said}</span>"
        f"<span class=vt-beaten>{html.escape(row.note)}</span></div>"
    )


def rows_of(table: pd.DataFrame, *, notes: bool = False) -> list[Interval]:
    """The levels that are known, from a table with `value`, `low`, `high`, `beaten_by`, a row for each tracker.

    Args:
        table: The table.
        notes: Whether a line says who beats its tracker.
    """
    return [
        Interval(
            str(name),
            float(row["value"]),
            float(row["low"]),
            float(row["high"]),
            f"beaten by {row['beaten_by']}" if notes and row["beaten_by"] else "",
        )
        for name, row in table.to_dict("index").items()
    ]


CSS = """
.vt-levels { --a: var(--vt-accent, #1976d2); --f: var(--vt-faint, color-mix(in srgb, CanvasText 65%, Canvas));
  display: grid; grid-template-columns: fit-content(16rem) minmax(90px, 1fr) max-content max-content fit-content(14rem);
  gap: 6px 12px; align-items: center; margin: 4px 0 14px; font-variant-numeric: tabular-nums }
.vt-level { display: contents }
.vt-unit { grid-column: 2; color: var(--f); font-size: 12px; display: flex; justify-content: space-between; gap: 8px }
.vt-name { grid-column: 1; font-weight: 600; overflow-wrap: anywhere }
.vt-levels .vt-level svg.vt-scale { width: 100%; height: 18px; stroke: none; overflow: visible; border-radius: 9px;
  background: color-mix(in srgb, currentColor 8%, transparent) }
.vt-scale rect { fill: var(--a); opacity: .45 }
.vt-scale circle { fill: var(--a) }
.vt-scale line { stroke: var(--f); stroke-width: 1.5 }
.vt-value { text-align: right }
.vt-range, .vt-beaten { color: var(--f) }
@media (max-width: 640px) {
  .vt-levels { grid-template-columns: minmax(0, 1fr) max-content max-content; grid-auto-flow: dense; gap: 2px 10px }
  .vt-unit, .vt-scale, .vt-beaten { grid-column: 1 / -1 }
  .vt-scale { margin-bottom: 4px }
  .vt-beaten:empty { display: none }
}
"""
"""How the chart looks, by the colours of a widget where it stands in one, light and dark."""
