"""The decision of a comparison, as a record and in sentences."""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite

from vtlab.metrics.records import METRICS


@dataclass(frozen=True)
class Candidate:
    """One tracker that could be chosen.

    Attributes:
        label: Its label in the comparison.
        quality: Value of the metric that decides.
        latency_ms: Median milliseconds a frame.
        latency_p95_ms: Milliseconds within which 95 of 100 frames are done.
    """

    label: str
    quality: float
    latency_ms: float
    latency_p95_ms: float


@dataclass(frozen=True)
class Choice:
    """Who is best in a family, and why.

    Attributes:
        family: Code of the family of metrics.
        title: What the family is called.
        metric: The metric that decides; None where nothing could be measured.
        proxy: True if that metric needs no ground truth, and so says less.
        judged: Number of trackers that have a value of it.
        top: The tracker with the best value whatever it costs; None where none could be judged or none found anything.
        cheaper: A tracker that comes within 5 % of the top in less than half its time, None where there is none.
        budget_ms: Milliseconds that a choice may take on 95 of 100 frames; None = any.
        fastest: The tracker that takes the least on 95 of 100 frames.
        best: The tracker to take: the top, or the best one within the budget; None where there is none.
    """

    family: str
    title: str
    metric: str | None = None
    proxy: bool = False
    judged: int = 0
    top: Candidate | None = None
    cheaper: Candidate | None = None
    budget_ms: float | None = None
    fastest: Candidate | None = None
    best: Candidate | None = None

    @property
    def budget(self) -> str:
        """The budget in words."""
        return f"{self.budget_ms:g} ms on 95 of 100 frames"

    @property
    def sentence(self) -> str:
        """The choice in one sentence: the best tracker, what it costs, the cheaper one, what the budget leaves."""
        if self.metric is None:
            return f"{self.title}: no tracker could be judged; the notes say why."
        if self.top is None:
            return f"{self.title}: no tracker found any of the objects ({self.metric} 0 %)."
        verb = "is best with" if self.judged > 1 else "reaches"
        text = f"{self.title}: {self.top.label} {verb} {self.metric} {self._quality(self.top)}"
        text += f" at {self.top.latency_ms:.2f} ms a frame" if isfinite(self.top.latency_ms) else ""
        if self.cheaper is not None:
            text += f"; {self.cheaper.label} comes within 5 % of it ({self._quality(self.cheaper)})"
            text += f" at {self.cheaper.latency_ms:.2f} ms"
        text += self._within_budget(self.top)
        return text + (" (a proxy: there is no ground truth)." if self.proxy else ".")

    @property
    def refusal(self) -> str:
        """Why there is no best tracker, and what to do about it."""
        who = f"No {self.family!r} tracker"
        if self.metric is None:
            return f"{who} could be judged; the notes in the table say why."
        if self.top is None:
            return f"{who} found any of the objects ({self.metric} 0 %). Give other prompts or trackers."
        fastest = f"; the fastest takes {self.fastest.latency_p95_ms:.3g} ms" if self.fastest else ""
        return f"{who} stays within {self.budget}{fastest}. Give a larger budget_ms, or other trackers."

    def _within_budget(self, top: Candidate) -> str:
        if self.budget_ms is None:
            return ""
        if self.best is None:
            fastest = self.fastest
            tail = f", the fastest is {fastest.label} with {fastest.latency_p95_ms:.2f} ms" if fastest else ""
            return f"; none stays within {self.budget}{tail}"
        if self.best == top:
            return f"; it stays within {self.budget}"
        cost = f"{self._quality(self.best)} at {self.best.latency_p95_ms:.2f} ms"
        return f"; within {self.budget}, choose {self.best.label} ({cost})"

    def _quality(self, candidate: Candidate) -> str:
        return METRICS[str(self.metric)].text(candidate.quality)
