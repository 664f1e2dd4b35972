"""The decision of a comparison, as a record and in sentences: only what is known, and on what it rests."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import isfinite

from vtlab.metrics.records import METRICS, figures
from vtlab.metrics.statistics import FEWEST, cannot_separate

LABELS = "10 labelled frames, spread over the clip (about 3 minutes; vtlab.verdict)"
"""What decides where there is no truth."""


@dataclass(frozen=True)
class Ground:
    """What a decision rests on.

    Attributes:
        clips: Number of clips (clusters) with truth on which all were scored.
        sequences: Number of sequences that these clips form; more where several show one scene.
        frames: Number of frames with truth; 0 if unknown.
        rule: Name of the rule that counts.
        level: Probability that intervals and tests are made for.
        budget_ms: Milliseconds that a choice may take on 95 of 100 frames; None = any.
    """

    clips: int = 1
    sequences: int = 1
    frames: int = 0
    rule: str = ""
    level: float = 0.95
    budget_ms: float | None = None

    @property
    def text(self) -> str:
        """The same in words."""
        clips = "1 clip" if self.clips == 1 else f"{self.clips} clips"
        if self.sequences > self.clips:
            clips = f"{self.sequences} files of {self.clips} scenes"
        frames = f", {self.frames} frames" if self.frames else ""
        rule = f" by the rule {self.rule}" if self.rule else ""
        return f"against the labels of {clips}{frames}{rule}"

    @property
    def budget(self) -> str:
        """The budget in words."""
        return f"{self.budget_ms:g} ms on 95 of 100 frames"


@dataclass(frozen=True)
class Candidate:
    """One tracker that could be chosen.

    Attributes:
        label: Its label in the comparison.
        quality: Value of the metric that decides.
        latency_ms: Median milliseconds a frame; of an offline tracker its work for a frame and the delay of its answers.
        latency_p95_ms: Milliseconds within which 95 of 100 frames are done; NaN for an offline tracker.
        low: Lower end of the interval of the quality over clips; NaN where there is none.
        high: Upper end.
        p: Adjusted p against the highest; NaN where there was no test, and for the highest itself.
        letters: Trackers that share one are not told apart by tests; "" where there was none.
        finished: (k, n): it finished k of n clips; on the others its answers are missing from where it failed.
        won: Number of clips on which it is the highest.
        keeps: Whether it keeps the budget; None where too few frames were timed to tell.
        over: (k, n): k of n frames took longer than the budget, on the worst clip.
    """

    label: str
    quality: float
    latency_ms: float
    latency_p95_ms: float
    low: float = float("nan")
    high: float = float("nan")
    p: float = float("nan")
    letters: str = ""
    finished: tuple[int, int] = (1, 1)
    won: int = 0
    keeps: bool | None = True
    over: tuple[int, int] = (0, 0)

    @property
    def whole(self) -> bool:
        """True if it finished every clip: others are never the best."""
        return self.finished[0] >= self.finished[1]

    def is_level(self, top: Candidate, clips: int) -> bool:
        """Whether nothing on so many clips tells it apart from the highest."""
        if self == top:
            return True
        # The frames of one clip are no sample of clips: nothing is tested there, and only rounding makes equals differ.
        if clips == 1:
            return abs(self.quality - top.quality) <= 1e-12
        # A letter in common: not told apart (compact letter display), which says of all pairs what groups around a leader
        # can't.
        return bool(set(self.letters) & set(top.letters))


@dataclass(frozen=True)
class Choice:
    """Who is best in a family, as far as that is known, and why.

    Attributes:
        family: Code of the family of metrics.
        title: What the family is called.
        metric: The metric that decides; None without truth, and where nothing ran: then nobody is best.
        ground: What it rests on.
        candidates: Every tracker that was scored, those that finished first, best first.
        leaders: Those that may be the best: no test tells them apart from the highest; one alone on a single clip, unless
            others have the very same value.
        cheaper: A tracker that comes within 5 % of the highest in less than half its time, None where there is none.
        best: The tracker to take: the only leader (within the budget, where there is one); None if that isn't known.
        seen: Sentences about what is seen without truth.
        ran: Number of trackers that answered at all.
    """

    family: str
    title: str
    metric: str | None = None
    ground: Ground = field(default_factory=Ground)
    candidates: tuple[Candidate, ...] = ()
    leaders: tuple[Candidate, ...] = ()
    cheaper: Candidate | None = None
    best: Candidate | None = None
    seen: tuple[str, ...] = ()
    ran: int = 0

    @property
    def top(self) -> Candidate | None:
        """The tracker with the highest value among those that finished; None where none found anything."""
        return self.leaders[0] if self.leaders else None

    @property
    def why(self) -> str:
        """Why the best is the best, or why there is none and what would decide it."""
        if self.metric is None:
            return self._unknown()
        if self.top is None:
            return self._nobody()
        if self.best is None and self.ground.budget_ms is not None and not self._kept():
            return self._none_in_budget()
        return self._rank(self.top)

    @property
    def sentence(self) -> str:
        """The choice in a sentence or a few: what is known, on what it rests, cost, budget, what would decide it."""
        return self.told()

    def told(self, *, judged: bool = False) -> str:
        """The sentence; `judged`: a verdict from labels stands beside it, so nothing is said of what would decide."""
        if judged and self.metric is None and self.ran:
            return " ".join(
                [f"{self.title}: seen without labels, which ranks nobody.", *self.seen, *self._speed_alone()]
            )
        if self.metric is None or self.top is None:
            return " ".join([f"{self.title}: {self.why}", *self.seen, *self._speed_alone()])
        parts = [f"{self.title}: {self._rank(self.top)}{self._cheap()}{self._budget()}."]
        return " ".join([*parts, *self._unfinished(), *self.seen])

    def _unknown(self) -> str:
        if not self.ran:
            return f"no {self.family!r} tracker could be judged; the notes in the table say why."
        if self.ran == 1:
            return f"without truth nothing tells how good this tracker is. {LABELS} would tell."
        who = "two" if self.ran == 2 else str(self.ran)
        return (
            f"without truth it can't be decided which of the {who} trackers is right: they may agree on a mistake. {LABELS} "
            "would decide it."
        )

    def _nobody(self) -> str:
        unfinished = [c for c in self.candidates if not c.whole]
        if unfinished and len(unfinished) == len(self.candidates):
            return f"no {self.family!r} tracker finished every clip, so none is best. " + " ".join(
                self._unfinished()
            )
        return f"no {self.family!r} tracker found any of the objects ({self.metric} 0 %). Give other prompts or trackers."

    def _rank(self, top: Candidate) -> str:
        """Who is highest, how sure that is, and on what it rests."""
        clips, others = self.ground.clips, self.leaders[1:]
        value = f"{self.metric} {self._quality(top)}"
        cost = f" at {figures(top.latency_ms)} ms a frame" if isfinite(top.latency_ms) else ""
        if len(self.candidates) == 1:
            text = f"{top.label} reaches {value}{cost}"
        elif clips == 1 and others:
            text = f"{_listed([c.label for c in self.leaders])} are level on this clip with {value}"
        elif clips == 1:
            text = f"on this clip {top.label} is highest with {value}{cost}"
        elif others:
            text = (
                f"{top.label} is highest with {value}{cost}; not told apart from it: {self._rivals(others)}"
            )
        else:
            text = f"{top.label} is best with {value}{cost}"
        return f"{text}, {self.ground.text}{self._reach()}"

    def _rivals(self, others: Sequence[Candidate]) -> str:
        """Those that may be the best as well, each with its adjusted p, and which of all is the cheapest."""
        told = [f"{c.label} (p {c.p:.2g})" if isfinite(c.p) else c.label for c in others]
        timed = [c for c in self.leaders if isfinite(c.latency_ms)]
        cheapest = min(timed, key=lambda c: (c.latency_ms, c.label), default=None)
        return _listed(told) + (f"; the cheapest of them is {cheapest.label}" if cheapest else "")

    def _reach(self) -> str:
        """How far the numbers reach beyond these clips."""
        clips, many = self.ground.clips, len(self.candidates)
        if clips == 1:
            return "; 1 clip says nothing about other clips"
        few = cannot_separate(clips, many, self.ground.level)
        won = f"; it won {self.candidates[0].won} of {clips} clips" if clips < FEWEST and many > 1 else ""
        return won + (f"; {few}" if few else "")

    def _cheap(self) -> str:
        if self.cheaper is None:
            return ""
        cost = f"{self._quality(self.cheaper)} at {figures(self.cheaper.latency_ms)} ms"
        return f"; {self.cheaper.label} comes within 5 % of it ({cost})"

    def _budget(self) -> str:
        if self.ground.budget_ms is None:
            return ""
        kept = self._kept()
        if not kept:
            return f"; {self._none_in_budget().rstrip('.')}"
        if self.best is None:
            return f"; within {self.ground.budget} stay {_listed([f'{c.label} ({_over(c)})' for c in kept])}"
        if self.leaders == (self.best,):
            return f"; it stays within {self.ground.budget} ({_over(self.best)})"
        cost = f"{self._quality(self.best)}, {_over(self.best)}"
        return f"; within {self.ground.budget}, choose {self.best.label} ({cost})"

    def _speed_alone(self) -> list[str]:
        """Who keeps the budget where nothing else is known of them."""
        if self.metric is not None or self.ground.budget_ms is None or not self.candidates:
            return []
        kept = [f"{c.label} ({_over(c)})" for c in self._kept()]
        return [
            f"Within {self.ground.budget} stay {_listed(kept)}." if kept else f"N{self._none_in_budget()[1:]}"
        ]

    def _none_in_budget(self) -> str:
        timed = [c for c in self.candidates if isfinite(c.latency_p95_ms)]
        fastest = min(timed, key=lambda c: (c.latency_p95_ms, c.label), default=None)
        tail = (
            f", the fastest is {fastest.label} with {fastest.latency_p95_ms:.3g} ms ({_over(fastest)})"
            if fastest
            else ""
        )
        return f"none stays within {self.ground.budget}{tail}."

    def _kept(self) -> list[Candidate]:
        return [c for c in self.candidates if c.whole and c.keeps is not False]

    def _unfinished(self) -> list[str]:
        told = [
            f"{c.label} finished {c.finished[0]} of {c.finished[1]}" for c in self.candidates if not c.whole
        ]
        if not told:
            return []
        return [f"{_listed(told)} clips, so it is not chosen: what it didn't answer counts as missed."]

    def _quality(self, candidate: Candidate) -> str:
        record = METRICS[str(self.metric)]
        text = record.text(candidate.quality)
        if not isfinite(candidate.low):
            return text
        return f"{text} [{record.text(candidate.low)}, {record.text(candidate.high)}]"


def _over(candidate: Candidate) -> str:
    """Missed deadlines, and whether that is enough to vouch for a 95th percentile."""
    k, n = candidate.over
    if not n:
        return f"p95 {candidate.latency_p95_ms:.3g} ms"
    # 0.95 ** 59 is the first power below 0.05: fewer frames don't bound a 95th percentile with 95 %.
    short = ", too few to vouch for: 59 needed" if candidate.keeps is None else ""
    return f"{k} of {n} frames over{short}"


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
