"""How good the trackers of a decision are, and who may be the best of some of them: by a verdict, or by full truth."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite

import numpy as np

from vtlab.comparison import Comparison
from vtlab.decision.answer import Verdict
from vtlab.decision.wording import grounds, sentence
from vtlab.errors import InputError
from vtlab.metrics.records import apart
from vtlab.metrics.statistics import FEWEST
from vtlab.show.answer import Candidate, Choice
from vtlab.tracks import Tracks


@dataclass(frozen=True)
class Grade:
    """Quality of one tracker.

    Attributes:
        value: In the units of the measure; NaN where it isn't known.
        low: Lower end of its interval; NaN where there is none.
        high: Upper end.
    """

    value: float = np.nan
    low: float = np.nan
    high: float = np.nan

    @property
    def text(self) -> str:
        """As it is printed; "not known" for NaN."""
        if not isfinite(self.value):
            return "not known"
        return f"{self.value:.1%}" + (f" [{self.low:.1%}, {self.high:.1%}]" if isfinite(self.low) else "")


class Grades(ABC):
    """What a decision asks about quality.

    Attributes:
        what: What the measure is called.
        trackers: Names.
        of: Tracker -> its grade.
        runs: Tracker -> what it answered.
        within: How far below the best still is good enough.
        level: Confidence of intervals and statements.
        ground: On what it rests, in words.
        unfinished: Tracker -> why it can't be chosen.
        more: What further labels would bring; "" if nothing.
    """

    what: str
    trackers: list[str]
    of: Mapping[str, Grade]
    runs: Mapping[str, list[Tracks]]
    within: float
    level: float
    ground: str
    unfinished: Mapping[str, str]
    more: str

    @abstractmethod
    def open(self, names: Sequence[str]) -> str:
        """Why none of some trackers can be chosen by quality yet, and who is ahead; "" if something can be said."""

    @abstractmethod
    def front(self, names: Sequence[str]) -> list[str]:
        """Those of some trackers that may be the best of them: none of the others is shown to be better."""

    @abstractmethod
    def sure(self, name: str, names: Sequence[str]) -> bool:
        """Whether it is shown that one is at most `within` below the best of some trackers."""


class ByVerdict(Grades):
    """Quality by labels on few frames."""

    def __init__(self, verdict: Verdict):
        self._verdict, self._standing = verdict, verdict.standing()
        question, table = verdict.question, verdict.table
        self.what, self.trackers = verdict.measure.text, list(verdict.trackers)
        self.within, self.level = question.within, question.level
        columns = {c: table[c].astype(float).to_dict() for c in ("value", "low", "high")}
        known = self._standing is not None
        self.of = {t: Grade(*(columns[c][t] for c in columns)) if known else Grade() for t in self.trackers}
        self.runs = {t: [clip.tracks[t] for clip in verdict.clips.values()] for t in self.trackers}
        where = "this video" if len(verdict.clips) == 1 else f"these {len(verdict.clips)} clips"
        share = f"{verdict.labelled} of {verdict.frames} frames of {where}"
        self.ground = f"against {grounds(verdict)} on {share}, seed {question.seed}"
        self.unfinished = {}
        self.more = self._more()

    def open(self, names: Sequence[str]) -> str:
        """The verdict's own sentence, as long as it asks for labels."""
        return sentence(self._verdict, names) if self._verdict.state == "label" else ""

    def front(self, names: Sequence[str]) -> list[str]:
        """Those whom the verdict names and those shown to be good enough, too; else those that none of the others beats."""
        named = [t for t in self._verdict.chosen if t in names]
        if self._standing is None:
            return named or list(names)
        if named:
            return [t for t in names if t in named or self._enough(t, names)]
        low, at = self._standing.low, self.trackers.index
        return [t for t in names if not any(low[at(o), at(t)] > 0 for o in names if o != t)]

    def sure(self, name: str, names: Sequence[str]) -> bool:
        """By the verdict itself, or by its bounds of all differences, which hold together."""
        if len(names) == 1 or (
            self._verdict.state in ("best", "good_enough", "exact") and name in self._verdict.chosen
        ):
            return True
        return self._enough(name, names)

    def _enough(self, name: str, names: Sequence[str]) -> bool:
        if self._standing is None:
            return False
        low, at = self._standing.low, self.trackers.index
        return all(low[at(name), at(o)] > -self.within for o in names if o != name)

    def _more(self) -> str:
        """By how much the next look's labels would shrink the intervals, as far as the answers tell before."""
        if self._standing is None or not self._verdict.outlook:
            return ""
        more, half = next(iter(self._verdict.outlook.items()))
        now = float(self._standing.half.mean())
        shrunk = f"from ±{100 * now:.1f} to about ±{apart(round(half, 3))}"
        return f"{more} more labels would shrink the intervals {shrunk}."


class ByTruth(Grades):
    """Quality by full truth: a comparison's table and its tests over clips."""

    more = ""

    def __init__(self, comparison: Comparison, family: str | None = None, within: float = 0.02):
        choice = comparison.choice(family)
        if choice.metric is None:
            raise InputError(
                "This comparison has no truth, so nothing tells which tracker is good. Ask for a verdict first: "
                "v = vtlab.verdict(comparison), label the frames of v.next(), then vtlab.decide(v)."
            )
        self._choice: Choice = choice
        self._candidates = {c.label: c for c in choice.candidates}
        self.what, self.trackers = str(choice.metric), list(self._candidates)
        self.within, self.level = within, choice.ground.level
        self.of = {t: Grade(c.quality, c.low, c.high) for t, c in self._candidates.items()}
        self.runs = {
            t: [r.tracks for r in comparison.runs if r.tracker == t and r.tracks is not None]
            for t in self.trackers
        }
        clips = choice.ground.clips
        reach = (
            "; 1 clip says nothing about others"
            if clips == 1
            else f"; below {FEWEST} clips there is no interval"
            if clips < FEWEST
            else ""
        )
        self.ground = choice.ground.text + reach
        self.unfinished = {
            t: f"it finished {c.finished[0]} of {c.finished[1]} clips"
            for t, c in self._candidates.items()
            if not c.whole
        }

    def open(self, names: Sequence[str]) -> str:
        """Nothing: the truth is known."""
        return ""

    def front(self, names: Sequence[str]) -> list[str]:
        """The highest, and those that tests over the clips do not tell apart from it."""
        mine: list[Candidate] = [c for c in self._choice.candidates if c.label in names]
        return [c.label for c in mine if c.is_level(mine[0], self._choice.ground.clips)]

    def sure(self, name: str, names: Sequence[str]) -> bool:
        """On one clip by its value; on several if tests tell all others apart from it."""
        front = self.front(names)
        return front == [name] or len(names) == 1
