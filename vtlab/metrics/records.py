"""What vtlab knows of each number it shows: family, unit, range, direction, paper. Tables and plots need nothing else."""

from __future__ import annotations

import math
from dataclasses import dataclass

INF = math.inf
_FORMS = {"fraction": "{:.1%}", "count": "{:.0f}", "fps": "{:.1f}", "MB": "{:.0f}"}


@dataclass(frozen=True)
class Metric:
    """One number of a table.

    Attributes:
        name: Name in tables, as its paper spells it.
        family: A family of metrics (`sot`, ...), `proxy` (measured without truth) or `cost` (time and memory).
        meaning: One sentence.
        unit: `fraction`, `count`, `px`, `1/frame`, `ms`, `fps` or `MB`.
        low: Smallest possible value.
        high: Largest possible value.
        higher_is_better: Direction; None where a value is neither good nor bad.
        paper: Where it is defined.
        title: What tables call it where that is not its name.
    """

    name: str
    family: str
    meaning: str
    unit: str = "fraction"
    low: float = 0.0
    high: float = 1.0
    higher_is_better: bool | None = True
    paper: str = ""
    title: str = ""

    @property
    def arrow(self) -> str:
        """Direction as a sign for table headers."""
        return {True: "↑", False: "↓", None: ""}[self.higher_is_better]

    @property
    def heading(self) -> str:
        """Heading of a table's column: title and direction."""
        return f"{self.title or self.name} {self.arrow}".strip()

    @property
    def form(self) -> str:
        """Format of a value: per cent for fractions, whole counts and megabytes, else two decimals."""
        return _FORMS.get(self.unit, "{:.2f}")

    def text(self, value: float, decimals: int = 1) -> str:
        """A value as tables show it, fractions with so many decimals of a per cent; a dash where there is none.

        Milliseconds have three figures: more are noise, where the next run differs by a tenth. A p has three decimals, so
        that it is seen on which side of 0.05 it lies.
        """
        if not math.isfinite(value):
            return "–"
        if self.unit == "ms":
            figures = 2 - math.floor(math.log10(abs(value))) if value else 2
            return f"{value:.{min(max(figures, 0), 2)}f}"
        if self.unit == "p":
            # What three decimals would round to 0.000 is not 0.
            return f"{value:.3f}" if value >= 0.0005 else "<0.001"
        return f"{value:.{decimals}%}" if self.unit == "fraction" else self.form.format(value)

    def worth(self, value: float) -> float:
        """A value such that more is better."""
        return -value if self.higher_is_better is False else value


_PROXY = "vtlab: a proxy, measured without ground truth"
_COST = "vtlab: the tracker's own steps, without decoding"


def _seen(name: str, meaning: str, unit: str = "fraction", title: str = "") -> Metric:
    """What is seen without truth: neither more nor less of it is better, since it ranks nobody."""
    high = INF if unit == "count" else 1.0
    return Metric(name, "proxy", meaning, unit, 0.0, high, None, _PROXY, title)


_ALL = (
    _seen("lost_share", "Share of its frames on which the tracker itself calls an object lost", title="calls lost"),
    _seen("lost_at", "First frame from which on an object is not answered again", "count", title="lost for good at"),
    _seen("jumps", "Steps of more than the object's own size in one frame", "count"),
    _seen("agreement", "Mean agreement with the other trackers: an alarm where it is low, no quality"),
    _seen("fb_consistency", "Agreement of a run with the same tracker run back from its end"),
    _seen("smoothness", "Steadiness of motion: 1 for constant velocity"),
    _seen("flicker", "Changes between seen and not seen in a frame", "1/frame"),
    Metric("fps", "cost", "Frames that the tracker steps through in a second", "fps", 0, INF, True, _COST),
    Metric("latency_ms", "cost", "Median time of a step", "ms", 0, INF, False, _COST, "latency ms"),
    Metric("latency_p95_ms", "cost", "Time that 95 of 100 steps stay below", "ms", 0, INF, False, _COST, "p95 ms"),
    Metric("latency_p95_upper_ms", "cost", "Upper 95 % bound of that", "ms", 0, INF, False, _COST, "p95 ms at most"),
    Metric("latency_p99_ms", "cost", "Time that 99 of 100 steps stay below", "ms", 0, INF, False, _COST, "p99 ms"),
    Metric("latency_max_ms", "cost", "Time of the slowest step", "ms", 0, INF, False, _COST, "max ms"),
    Metric("memory_mb", "cost", "Peak of memory that the run added", "MB", 0, INF, False, _COST, "memory MB"),
    Metric("cells", "cost", "Runs that a row sums up", "count", 0, INF, None, "vtlab: a count of runs"),
)  # fmt: skip

METRICS: dict[str, Metric] = {m.name: m for m in _ALL}
"""Every metric by name; families add theirs (`vtlab.metrics.families`)."""


def figures(value: float) -> str:
    """A measured number with three figures, as a sentence has it; a dash where there is none."""
    if not math.isfinite(value):
        return "–"
    return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def added(value: float) -> str:
    """What was added, with its sign and two figures, never as a power of ten; a dash where it isn't known."""
    if not math.isfinite(value):
        return "–"
    return f"{value:+.0f}" if abs(value) >= 10 else f"{value:+.2g}"


def apart(value: float) -> str:
    """A distance of two fractions as a sentence has it, where the fractions are printed as per cent."""
    shown = f"{100 * value:.3g}"
    return f"{shown} percentage point{'' if shown == '1' else 's'}"
