"""What a tracker holds out: for each condition that gets worse by steps, the last step at which it is still good enough.

Where the numbers come from is told in `vtlab.experiments.breaking`; this is what a card says of them.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from math import isnan, nan
from typing import TYPE_CHECKING

from vtlab.show.board import Board

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class BreakingPoint:
    """How far a tracker holds under one condition.

    A level that is None is the clip as it is; NaN is not even that.

    Attributes:
        tracker: What it is called.
        condition: Name of the condition, such as "frame_rate".
        quality: Mean overlap that is asked for.
        holds: The last level at which the mean is at least that, and at all milder ones.
        low: The last one at which the lower end of its interval is; NaN too where there is no interval.
        high: The last one at which the upper end is.
        fails: The first level at which it is below; None where it holds to the last step.
        form: A level in words: "{:g} fps".
        loses: What is lost below a level, in words; "" where a condition isn't told so.
        ground: On what it rests.
    """

    tracker: str
    condition: str
    quality: float
    holds: float | None
    low: float | None
    high: float | None
    fails: float | None
    form: str
    loses: str = ""
    ground: str = ""
    interval: bool = True

    @property
    def text(self) -> str:
        """The level with its interval, for a table."""
        last = "" if self.fails is not None or self._nothing(self.holds) else " (last step)"
        told = f"{self._level(self.holds)}{last}"
        return f"{told} [{self._short(self.low)}, {self._short(self.high)}]" if self.interval else told

    def _short(self, level: float | None) -> str:
        """A level without its words."""
        number = re.search(r"\{.*?\}", self.form)
        return (
            self._level(level) if level is None or isnan(level) or number is None else number[0].format(level)
        )

    def _level(self, level: float | None) -> str:
        return "as it is" if level is None else "–" if isnan(level) else self.form.format(level)

    @staticmethod
    def _nothing(level: float | None) -> bool:
        return level is not None and isnan(level)


def wording(points: Sequence[BreakingPoint]) -> str:
    """What one tracker holds out, in a sentence; "" where nothing is known."""
    if not points:
        return ""
    if all(p.holds is not None and isnan(p.holds) for p in points):
        return f"{points[0].tracker} is below a mean overlap of {points[0].quality:g} on the clip as it is."
    held, lost, broken = [], [], []
    for p in points:
        if p.holds is None or isnan(p.holds):
            broken.append(p.form.format(p.fails if p.fails is not None else nan))
        elif p.loses and p.fails is not None:
            lost.append(p.loses.format(p.holds))
        else:
            held.append(p.form.format(p.holds))
    told = [f"holds to {_listed(held)}"] if held else []
    told += [f"loses {_listed(lost)}"] if lost else []
    told += [f"breaks at {_listed(broken)}"] if broken else []
    first = points[0]
    return f"{first.tracker} {'; '.join(told)} (mean overlap of at least {first.quality:g}; {first.ground})."


def _listed(parts: Sequence[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"


def board(points: Sequence[BreakingPoint]) -> Board:
    """A row for each condition, a column for each tracker."""
    import pandas as pd

    trackers = list(dict.fromkeys(p.tracker for p in points))
    rows: dict[str, dict[str, str]] = {}
    for p in points:
        rows.setdefault(p.condition.replace("_", " "), dict.fromkeys(trackers, ""))[p.tracker] = p.text
    frame: pd.DataFrame = pd.DataFrame.from_dict(rows, orient="index").rename_axis("condition")
    first = points[0]
    caption = (
        f"The last step at which the mean overlap is at least {first.quality:g} (and at all milder ones); in brackets the "
        "last step at which the lower and the upper end of its 95 % interval is, step by step. “As it is”: on the untouched "
        f"clip only; –: not even there. Means {first.ground}."
    )
    return Board(frame, "Breaking points", caption)
