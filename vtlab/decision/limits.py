"""What a tracker costs beside its errors, and whether that keeps the limits asked for: time, memory, licence, device."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import isfinite
from typing import Any, Literal

import numpy as np

from vtlab import provenance
from vtlab.contracts import Card
from vtlab.decision.question import number
from vtlab.errors import InputError, RegistryError
from vtlab.metrics.records import added, figures
from vtlab.registry import ASSOCIATORS, DETECTORS, SEGMENTERS, TRACKERS
from vtlab.trackers.measure import ENOUGH, Timing
from vtlab.trackers.memory import WARM, grown_mb, growth_mb, slope_mb
from vtlab.trackers.profiling import Profile, object_ms
from vtlab.tracks import Record, Tracks

Licence = Literal["commercial"]
PERMISSIVE = frozenset(
    [
        "Apache-2.0",
        "MIT",
        "BSD-2-Clause",
        "BSD-3-Clause",
        "ISC",
        "Zlib",
        "CC0-1.0",
        "CC-BY-4.0",
        "Unlicense",
        "BSL-1.0",
    ]
)
"""Licences (SPDX names) that allow commercial use and ask for no more than to be named."""
_PARTS = {"detector": DETECTORS, "associator": ASSOCIATORS, "segmenter": SEGMENTERS}
_AUTO = ("fastestdet", "hog-people")
"""What `detector="auto"` may be."""


@dataclass(frozen=True)
class Limits:
    """What a tracker must keep to be chosen; None = anything.

    Attributes:
        budget_ms: Milliseconds that 95 of 100 frames may take, by the upper 95 % bound.
        memory_mb: MB that its run may add at its peak.
        licence: "commercial": code and weights must allow commercial use under a permissive licence; what is unknown
            doesn't.
        device: "cpu", "cuda" or "mps": the times must come from it.
        p99_ms: Milliseconds that 99 of 100 frames may take, by the upper 95 % bound.
        growth_mb: MB that 1,000 further frames may add, by the upper end of the interval.
        object_ms: Milliseconds that a further object may cost.
    """

    budget_ms: float | None = None
    memory_mb: float | None = None
    licence: Licence | None = None
    device: str | None = None
    p99_ms: float | None = None
    growth_mb: float | None = None
    object_ms: float | None = None

    def __post_init__(self) -> None:
        for name in ("budget_ms", "memory_mb", "p99_ms", "growth_mb", "object_ms"):
            value = getattr(self, name)
            if value is not None and not number(name, value) > 0:
                raise InputError(f"{name}={value!r}: expected a number above 0, or None for any.")
        if self.licence not in (None, "commercial"):
            raise InputError(f"licence={self.licence!r}: expected 'commercial', or None for any.")
        if self.device not in (None, "cpu", "cuda", "mps"):
            raise InputError(f"device={self.device!r}: expected 'cpu', 'cuda' or 'mps', or None for any.")

    @property
    def text(self) -> str:
        """In words; "" if there are none."""
        told = [
            f"{self.budget_ms:g} ms on 95 of 100 frames" if self.budget_ms is not None else "",
            f"{self.p99_ms:g} ms on 99 of 100" if self.p99_ms is not None else "",
            f"{self.memory_mb:g} MB" if self.memory_mb is not None else "",
            f"{self.growth_mb:g} MB more in 1,000 frames" if self.growth_mb is not None else "",
            f"{self.object_ms:g} ms a further object" if self.object_ms is not None else "",
            "commercial use" if self.licence else "",
            f"on {self.device}" if self.device else "",
        ]
        return ", ".join(filter(None, told))


@dataclass(frozen=True)
class Cost:
    """What is known of a tracker beside its errors.

    Attributes:
        label: What it is called in the comparison.
        timing: What its steps took; without steps where nothing was timed.
        memory_mb: Peak of memory that it added; NaN if unknown.
        slope_mb: MB that 1,000 further frames add; NaN if unknown.
        licence: Of code and weights.
        commercial: Whether that allows commercial use; None if unknown.
        elsewhere: The machine on which it was measured, where that isn't this one; "" for this one.
        by_objects: Number of objects -> milliseconds a frame, where a profile has it.
        growth: MB that 1,000 further frames add, and the ends of its 95 % interval; NaN for runs that were too short.
    """

    label: str
    timing: Timing
    memory_mb: float
    slope_mb: float
    licence: str
    commercial: bool | None
    elsewhere: str = ""
    by_objects: Mapping[int, float] = field(default_factory=dict)
    growth: tuple[float, float, float] = (np.nan, np.nan, np.nan)

    @property
    def price(self) -> tuple[float, float]:
        """By which the cheaper of two is found: time, then memory; what is unknown is dear."""
        slow = self.timing.p95_ms if isfinite(self.timing.p95_ms) else self.timing.latency_ms
        return np.nan_to_num(slow, nan=np.inf), np.nan_to_num(self.memory_mb, nan=np.inf)


@dataclass(frozen=True)
class Check:
    """Whether one limit is kept.

    Attributes:
        limit: Which.
        kept: True, False, or None where that isn't known.
        why: In words.
        would: What the limit would have to be for it to be kept; "" where nothing helps.
    """

    limit: str
    kept: bool | None
    why: str
    would: str = ""


def cost_of(label: str, runs: Sequence[Tracks], profile: Profile | None = None) -> Cost:
    """The cost of a tracker from its runs, or from a profile, which counts for time and memory where there is one."""
    measured = [profile.tracks] if profile is not None else list(runs)
    timing = profile.timing if profile is not None else Timing.of(measured)
    records = [t.record for t in measured]
    memories = [r.memory for r in records if r.memory]
    texts, commercial = licence_of([t.record for t in runs] or records)
    return Cost(
        label,
        timing,
        max(map(grown_mb, memories), default=np.nan) if len(timing.steps) else np.nan,
        max((s for s in map(slope_mb, memories) if isfinite(s)), default=np.nan),
        texts,
        commercial,
        next((told for r in records if (told := _elsewhere(r))), ""),
        profile.by_objects if profile is not None else {},
        max((g for g in map(growth_mb, memories) if isfinite(g[0])), default=(np.nan, np.nan, np.nan)),
    )


def checks(cost: Cost, limits: Limits) -> list[Check]:
    """One for each limit that was asked for."""
    found = []
    if limits.device is not None or limits.budget_ms is not None:
        found.append(_of_time(cost, limits))
    if limits.p99_ms is not None:
        found.append(_of_p99(cost, limits.p99_ms))
    if limits.memory_mb is not None:
        found.append(_of_memory(cost, limits.memory_mb))
    if limits.growth_mb is not None:
        found.append(_of_growth(cost, limits.growth_mb))
    if limits.object_ms is not None:
        found.append(_of_objects(cost, limits.object_ms))
    if limits.licence is not None:
        why = {True: cost.licence, None: f"the licence is not known to allow it ({cost.licence})"}
        text = why.get(cost.commercial, f"the licence doesn't allow it freely ({cost.licence})")
        found.append(
            Check(
                "licence", cost.commercial is True, text, "" if cost.commercial else "leave for its licence"
            )
        )
    return found


def _of_time(cost: Cost, limits: Limits) -> Check:
    timing, budget = cost.timing, limits.budget_ms
    if not len(timing.steps):
        return Check(
            "time", None, "its times are not known: measure it with vtlab.profile and give profiles="
        )
    if cost.elsewhere:
        return Check("time", None, f"it was measured on another machine ({cost.elsewhere}): give profiles=")
    if limits.device is not None and timing.devices != (limits.device,):
        where = ", ".join(timing.devices) or "an unknown device"
        return Check("time", None, f"it was measured on {where}, not on {limits.device}: give profiles=")
    if budget is None:
        return Check("time", True, f"measured on {limits.device}")
    if timing.offline:
        return Check(
            "time", False, f"it answers late, by {figures(timing.latency_ms)} ms a frame with its delay"
        )
    missed, n = timing.over(budget)
    kept, upper = timing.keeps(budget), timing.p95_upper_ms
    told = f"{missed} of {n} frames over {budget:g} ms"
    if kept is None:
        return Check("time", None, f"{told}, too few to vouch for: {ENOUGH} are needed")
    if not isfinite(upper):
        return Check("time", kept, told)
    return Check(
        "time",
        kept,
        f"{told}, p95 at most {figures(upper)} ms",
        "" if kept else f"a budget of {figures(upper)} ms",
    )


def _of_memory(cost: Cost, limit: float) -> Check:
    if not isfinite(cost.memory_mb):
        return Check("memory", None, "its memory is not known: measure it with vtlab.profile")
    if cost.elsewhere:
        return Check("memory", None, f"it was measured on another machine ({cost.elsewhere})")
    told = f"{figures(cost.memory_mb)} MB"
    if cost.memory_mb > limit:
        return Check(
            "memory", False, f"{told} is above {limit:g} MB", f"{figures(cost.memory_mb)} MB of memory"
        )
    if cost.slope_mb > 0.5:
        frames = 1000 * (limit - cost.memory_mb) / cost.slope_mb
        told += f", growing by {figures(cost.slope_mb)} MB in 1,000 frames: at the limit after about {frames:,.0f}"
    return Check("memory", True, told)


def _of_p99(cost: Cost, limit: float) -> Check:
    value, (low, high) = cost.timing.percentile_ms(0.99), cost.timing.bounds_ms(0.99)
    if cost.elsewhere:
        return Check("p99", None, f"it was measured on another machine ({cost.elsewhere})")
    if not isfinite(value):
        why = "it answers late" if cost.timing.offline else "its times are not known"
        return Check("p99", False if cost.timing.offline else None, why)
    told = f"p99 {figures(value)} ms"
    if not isfinite(high):
        kept = False if low > limit else None
        return Check("p99", kept, f"{told}, of too few frames for an upper bound")
    kept = True if high <= limit else False if value > limit else None
    return Check(
        "p99", kept, f"{told}, at most {figures(high)} ms", "" if kept else f"{figures(high)} ms for p99"
    )


def _of_growth(cost: Cost, limit: float) -> Check:
    value, low, high = cost.growth
    if not isfinite(value):
        return Check("growth", None, f"{2 * WARM} frames are needed to tell its growth")
    kept = True if high <= limit else False if low > limit else None
    told = f"{added(value)} MB in 1,000 frames, between {added(low)} and {added(high)}"
    return Check("growth", kept, told, "" if kept else f"{figures(high)} MB more in 1,000 frames")


def _of_objects(cost: Cost, limit: float) -> Check:
    value = object_ms(cost.by_objects)
    if not isfinite(value):
        return Check("objects", None, "its time was not measured with several objects")
    told = f"{figures(value)} ms for a further object"
    return Check("objects", value <= limit, told, "" if value <= limit else told)


def _elsewhere(record: Record) -> str:
    """The machine that a record names, where that isn't this one."""
    here, there = provenance.hardware(), record.hardware or {}
    keys = ["processor", "cores"] + (["gpu"] if (record.timing or {}).get("device") == "cuda" else [])
    if not there or all(there.get(k) == here.get(k) for k in keys):
        return ""
    return ", ".join(str(there[k]) for k in ("gpu", "processor") if k in there) or "unknown"


def licence_of(records: Sequence[Record]) -> tuple[str, bool | None]:
    """The licences of all that made some tracks, and whether they allow commercial use; None where one is unknown."""
    texts: dict[str, bool | None] = {}
    for record in records:
        maker = record.tracker
        for card in _cards(maker.name if maker else "", dict(maker.params or {}) if maker else {}):
            if card is None:
                texts["unknown"] = None
                continue
            if card.licence:
                texts[card.licence] = allows_commerce(card.licence)
            texts |= {f"weights {w.licence}": allows_commerce(w.licence) for w in card.weights}
        if maker is not None and (maker.params or {}).get("weights") is not None:
            texts["weights of your own"] = None
    if not texts:
        return "unknown", None
    values = list(texts.values())
    return ", ".join(texts), False if False in values else None if None in values else True


def _cards(name: str | None, params: Mapping[str, Any]) -> list[Card | None]:
    """The cards of a tracker and of the parts that it was given; None for what is unknown."""
    found: list[Card | None] = []
    try:
        found.append(TRACKERS.card(name))
    except RegistryError:
        return [None]
    for kind, registry in _PARTS.items():
        part = params.get(kind)
        names = _AUTO if (kind, part) == ("detector", "auto") else (part,) if isinstance(part, str) else ()
        for one in names:
            found.append(registry.card(one) if one in registry.names() else None)
    return found


def allows_commerce(licence: str) -> bool | None:
    """Whether a licence, as a card has it, allows commercial use under terms that ask for no more than to be named.

    None where it isn't known. "Apache-2.0 (vtlab); official code GPL-3.0" is Apache-2.0: vtlab's code is its own.
    """
    clauses = [c.strip() for c in re.sub(r"\(.*?\)", "", licence).split(";")]
    if "(vtlab)" in licence:
        clauses = [c for c in clauses if not c.startswith("official code")]
    found = [_clause(c) for c in clauses if c]
    return False if False in found else None if None in found or not found else True


def _clause(text: str) -> bool | None:
    if text in PERMISSIVE:
        return True
    return False if re.search(r"GPL|-NC|non-?commercial|research", text, re.IGNORECASE) else None
