"""The decision: which tracker to deploy, by quality, time, memory and licence, and what would change the choice."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vtlab.comparison import Comparison
from vtlab.decision import card, conditions
from vtlab.decision.answer import Verdict
from vtlab.decision.conditions import BreakingPoint
from vtlab.decision.grades import ByTruth, ByVerdict, Grade, Grades
from vtlab.decision.limits import Check, Cost, Licence, Limits, checks, cost_of
from vtlab.decision.question import number
from vtlab.errors import InputError
from vtlab.metrics.records import apart, figures
from vtlab.trackers.profiling import Profile

if TYPE_CHECKING:
    import pandas as pd

HALF = 0.5
"""Quality below which the choice comes with a warning: at an overlap of one half an object counts as found (PASCAL VOC)."""


@dataclass(frozen=True)
class Option:
    """One tracker that could be deployed.

    Attributes:
        label: What it is called.
        grade: Its quality with interval.
        cost: Its time, memory and licence.
        checks: Whether it keeps each limit.
    """

    label: str
    grade: Grade
    cost: Cost
    checks: tuple[Check, ...]

    @property
    def keeps(self) -> bool | None:
        """True if it keeps all limits, False if it misses one, None if one isn't known."""
        kept = [c.kept for c in self.checks]
        return False if False in kept else None if None in kept else True

    @property
    def short(self) -> str:
        """Quality, time and memory in a few words."""
        timing, told = self.cost.timing, [f"quality {self.grade.text}"]
        if timing.offline:
            told.append(f"{figures(timing.latency_ms)} ms a frame with its delay")
        elif len(timing.steps):
            upper = f", at most {timing.p95_upper_ms:.3g}" if isfinite(timing.p95_upper_ms) else ""
            told.append(f"{figures(timing.latency_ms)} ms a frame (p95 {timing.p95_ms:.3g}{upper})")
        if isfinite(self.cost.memory_mb):
            told.append(f"{figures(self.cost.memory_mb)} MB")
        return ", ".join(told)


@dataclass(frozen=True)
class Decision:
    """Which tracker to deploy, as far as that is known, and why. Made by `vtlab.decide`.

    Attributes:
        limits: What was asked for.
        options: Every tracker, in the order given.
        grades: What is known of quality.
        front: Those that keep the limits and may be the best of these.
        chosen: The tracker to take; None where none keeps the limits, or where quality isn't known yet.
        runner_up: The one to take if the chosen one were not there; None if there is none.
        sure: Whether it is shown that the chosen one is at most `within` below the best of those that keep the limits.
        repeat: All that somebody needs to make it again: code, versions, weights, footage, labels.
        breaking: How far trackers hold a quality where the footage gets worse; empty where that wasn't asked.
    """

    limits: Limits
    options: tuple[Option, ...]
    grades: Grades
    front: tuple[str, ...]
    chosen: str | None
    runner_up: str | None
    sure: bool
    repeat: Mapping[str, Any] = field(default_factory=dict)
    breaking: tuple[BreakingPoint, ...] = ()

    def __getitem__(self, label: str) -> Option:
        return next(o for o in self.options if o.label == label)

    @property
    def kept(self) -> list[str]:
        """The trackers that keep all limits."""
        return [o.label for o in self.options if o.keeps]

    @property
    def table(self) -> pd.DataFrame:
        """A row for each tracker, the chosen one first: quality with interval, milliseconds with bounds (each holds with
        95 %), memory in MB and its growth in 1,000 frames, licence, whether it keeps the limits, and why."""
        import pandas as pd

        first = [t for t in (self.chosen, self.runner_up) if t is not None]
        order = sorted(self.options, key=lambda o: (_place(o, first), -_worth(o), o.label))
        rows = [_row(o) for o in order]
        return pd.DataFrame(rows, index=pd.Index([o.label for o in order], name="tracker"))

    @property
    def sentence(self) -> str:
        """The choice in a sentence or two: what to take, at what price, on what it rests."""
        if self.chosen is None:
            return self._none()
        one, g = self[self.chosen], self.grades
        bar = f"at most {apart(g.within)} below the best of those that keep the limits ({g.level:.0%} confidence)"
        if len(self.kept) == 1:
            how = "the only one that keeps the limits" if len(self.options) > 1 else "the only one"
        elif self.sure:
            how = bar
        else:
            rest = [t for t in self.front if t != self.chosen]
            how = f"not told apart from {', '.join(rest)}, of whom it is the cheapest that is close to the highest"
            how = how if rest else "the highest"
        asked = f"; limits: {self.limits.text}" if self.limits.text else ""
        return f"Take {self.chosen}: {one.short}; {how}. Quality is {g.what}, {g.ground}{asked}.{_poor(one)}"

    def _none(self) -> str:
        if not self.kept:
            few = [f"{o.label}: {_missed(o)}" for o in self.options]
            return f"No tracker keeps the limits ({self.limits.text}). {'; '.join(few)}."
        return f"No choice yet among {', '.join(self.kept)}. {self.grades.open(self.kept)}"

    @property
    def holds(self) -> list[str]:
        """What the chosen one, or where none is chosen each of them, holds out, in a sentence."""
        named = [self.chosen] if self.chosen is not None else [o.label for o in self.options]
        told = (conditions.wording([p for p in self.breaking if p.tracker == name]) for name in named)
        return [sentence for sentence in told if sentence]

    @property
    def changes(self) -> list[str]:
        """What would change the choice, in sentences."""
        told = []
        if self.runner_up is not None:
            told.append(f"Runner-up: {self.runner_up} ({self[self.runner_up].short}).")
        if not self.sure and self.chosen is not None:
            told.append("Quality is not settled: further labels may turn the choice.")
        if self.grades.more:
            told.append(self.grades.more)
        return [*told, *(s for o in self.options if o.label != self.chosen and (s := self._would(o)))]

    def _would(self, option: Option) -> str:
        """What would bring a better tracker that misses a limit into play."""
        if option.keeps or (
            self.chosen is not None and _worth(option) <= _worth(self[self.chosen]) and option.keeps is False
        ):
            return ""
        open_ones = [c for c in option.checks if not c.kept]
        ways = [c.would for c in open_ones if c.would]
        gain = f" (quality {option.grade.text})" if isfinite(option.grade.value) else ""
        if len(ways) == len(open_ones):
            return f"It takes {' and '.join(ways)} to let {option.label}{gain} in."
        return f"{option.label}{gain} is out: {_missed(option)}."

    def to_html(self) -> str:
        """The card as one HTML page that needs no network."""
        return card.page(self).to_html()

    def to_markdown(self) -> str:
        """The card for a pull request."""
        return card.markdown(self)

    def to_json(self) -> str:
        """The card as data: the decision, its table, and all that is needed to repeat it."""
        return card.json_text(self)

    def save(self, path: str | Path) -> Path:
        """Write the card by the name's ending: .html, .md or .json; return its path.

        Raises:
            InputError: Another ending.
            WriteError: The file can't be written.
        """
        return card.write(self, Path(path))

    def __repr__(self) -> str:
        return f"Decision({self.sentence})"

    def _repr_html_(self) -> str:
        return card.fragment(self)


def decide(
    subject: Verdict | Comparison,
    *,
    budget_ms: float | None = None,
    memory_mb: float | None = None,
    licence: Licence | None = None,
    device: str | None = None,
    profiles: Sequence[Profile] | Mapping[str, Profile] = (),
    family: str | None = None,
    within: float | None = None,
    breaking: Sequence[BreakingPoint] = (),
) -> Decision:
    """Decide which tracker to deploy: quality with its interval, time on this machine, memory, licence.

        v = vtlab.verdict(result)           # and its labels
        d = vtlab.decide(v, budget_ms=40, licence="commercial")
        d.sentence, d.table, d.changes, d.save("decision.md")

    A limit counts as kept only where that is shown: a budget by the upper 95 % bound of the 95th percentile on the worst
    video, measured on this machine; a licence only if it is known to allow it. Among those that keep the limits and that
    none is shown to beat, the cheapest is taken that comes within `within` of the highest.

    Args:
        subject: A verdict, or a comparison with truth.
        budget_ms: Milliseconds that 95 of 100 frames may take.
        memory_mb: MB that the tracker may add.
        licence: "commercial": code and weights must be known to allow commercial use under a permissive licence.
        device: "cpu", "cuda" or "mps": where it will run; times of another device don't count.
        profiles: Measurements of `vtlab.profile` that count in place of the times of the runs: {tracker: profile}, or
            several, each for the tracker of its name.
        family: Of a comparison with several.
        within: How far below the best still is good enough; by default that of the verdict, or 0.02.
        breaking: What `vtlab.experiments.breaking.points` found: stands on the card, and chooses nothing.

    Raises:
        InputError: A comparison without truth, a limit out of range, a profile or a breaking point of no tracker here.
    """
    if within is not None and not 0 <= number("within", within) < 1:
        raise InputError(f"within={within!r}: expected a number from 0 (a strict winner) to below 1.")
    limits = Limits(budget_ms, memory_mb, licence, device)
    grades = _grades(subject, family, within)
    measured = _profiles(profiles, grades.trackers)
    strange = next((p.tracker for p in breaking if p.tracker not in grades.trackers), None)
    if strange is not None:
        known = ", ".join(grades.trackers)
        raise InputError(f"breaking: there is no tracker {strange!r} here. Known: {known}.")
    options = tuple(_option(t, grades, limits, measured.get(t)) for t in grades.trackers)
    kept = [o for o in options if o.keeps]
    chosen = _pick(kept, grades)
    runner = _pick([o for o in kept if o.label != chosen], grades) if chosen is not None else None
    names = [o.label for o in kept]
    return Decision(
        limits,
        options,
        grades,
        tuple(grades.front(names)) if names else (),
        chosen,
        runner,
        chosen is not None and grades.sure(chosen, names),
        card.repeat(subject, limits, options),
        tuple(breaking),
    )


def _grades(subject: Verdict | Comparison, family: str | None, within: float | None) -> Grades:
    if isinstance(subject, Comparison):
        return ByTruth(subject, family, 0.02 if within is None else within)
    if not isinstance(subject, Verdict):
        raise InputError(f"Expected a verdict or a comparison with truth, got {type(subject).__name__}.")
    if within not in (None, subject.question.within):
        raise InputError(
            "A verdict has its own `within`, which was fixed before the first label: leave it out."
        )
    return ByVerdict(subject)


def _profiles(given: Sequence[Profile] | Mapping[str, Profile], trackers: list[str]) -> dict[str, Profile]:
    found = dict(given) if isinstance(given, Mapping) else {p.tracker: p for p in given}
    strange = [name for name in found if name not in trackers]
    if strange:
        raise InputError(
            f"profiles: there is no tracker {strange[0]!r} here. Known: {', '.join(trackers)}; a label of your own needs "
            "{label: profile}."
        )
    return found


def _option(label: str, grades: Grades, limits: Limits, profile: Profile | None) -> Option:
    cost = cost_of(label, grades.runs[label], profile)
    found = checks(cost, limits)
    if label in grades.unfinished:
        found.append(Check("finished", False, grades.unfinished[label]))
    return Option(label, grades.of[label], cost, tuple(found))


def _pick(kept: list[Option], grades: Grades) -> str | None:
    """The cheapest of those that may be the best and come close to the highest; None if quality isn't known yet."""
    names = [o.label for o in kept]
    if not names:
        return None
    front = [o for o in kept if o.label in grades.front(names)]
    top = max(_worth(o) for o in front)
    near = [o for o in front if _worth(o) >= top - grades.within]
    best = min(near, key=lambda o: (o.cost.price, -_worth(o), o.label))
    return None if grades.open(names) and not grades.sure(best.label, names) else best.label


def _worth(option: Option) -> float:
    return option.grade.value if isfinite(option.grade.value) else float("-inf")


def _poor(option: Option) -> str:
    """A warning where the best of poor ones may have been taken."""
    if option.grade.value >= HALF:
        return ""
    return f" That is below {HALF:.0%}: the best of these need not be good; look at its video first."


def _place(option: Option, first: list[str]) -> int:
    if option.label in first:
        return first.index(option.label)
    return {True: 2, None: 3, False: 4}[option.keeps]


def _missed(option: Option) -> str:
    return ", ".join(c.why for c in option.checks if not c.kept)


def _row(option: Option) -> dict[str, Any]:
    timing, cost, grade = option.cost.timing, option.cost, option.grade
    keeps = {True: "yes", False: "no", None: "not known"}[option.keeps]
    row: dict[str, Any] = {"value": grade.value, "low": grade.low, "high": grade.high}
    for name, share in (("p50", 0.5), ("p95", 0.95)):
        low, high = timing.bounds_ms(share)
        row |= {f"{name}_ms": timing.percentile_ms(share), f"{name}_low": low, f"{name}_high": high}
    return row | {
        "latency_ms": timing.latency_ms,
        "memory_mb": cost.memory_mb,
        "memory_slope": cost.slope_mb,
        "licence": cost.licence,
        "keeps": keeps,
        "why": _missed(option) or ", ".join(c.why for c in option.checks),
    }
