"""Families of metrics, one file each, found by file name: a new family is a new file here, or `register(Family(...))`.

Reports, leaderboards, players and stores read `FAMILIES`; nobody else knows the names of a family's metrics.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterable
from typing import Any

from vtlab.errors import InputError, near
from vtlab.metrics.families.base import Case, Curve, Family, Truth, truth_of
from vtlab.metrics.records import METRICS
from vtlab.metrics.rules import Rule

FAMILIES: dict[str, Family] = {}
"""Every family by its code, in the order of tables."""


def register(family: Family) -> Family:
    """Add a family, and its metrics to `METRICS`.

    Raises:
        InputError: The code, or the name of a metric, is another family's.
    """
    taken = [m.name for m in family.metrics if METRICS.get(m.name, m).family != family.code]
    if family.code in FAMILIES or taken:
        raise InputError(
            f"The metric family {family.code!r} can't be added: {', '.join(taken) or 'its code'} is taken."
        )
    METRICS.update({m.name: m for m in family.metrics})
    found = sorted([*FAMILIES.values(), family], key=lambda f: f.order)
    FAMILIES.clear()
    FAMILIES.update({f.code: f for f in found})
    return family


def find_family(code: str) -> Family:
    """Return the family called `code`; raises `InputError` for an unknown one."""
    if not isinstance(code, str) or code not in FAMILIES:
        raise InputError(f"Unknown family {code!r}. {near(str(code), FAMILIES)}")
    return FAMILIES[code]


def find_rule(family: str, name: str | Rule | None = None) -> Any:
    """Return the rule called `name` of a family, or its default; raises `InputError` for an unknown one."""
    return find_family(family).rule(name)


def judges(makers: Iterable[str], rule: str) -> Family:
    """The family whose rule is called `rule`: of those that judge trackers of the families `makers`, the first that has it.

    Raises:
        InputError: None has it; the message says whom it judges, and which rules are known.
    """
    makers, name = tuple(dict.fromkeys(makers)), str(rule).lower()
    able = [f for own in makers for f in _able(own)]
    found = next((f for f in able if name in f.rules), None)
    if found is None:
        known, mine = {r for f in able for r in f.rules}, " or ".join(makers)
        judged = sorted({own for f in FAMILIES.values() if name in f.rules for own in (f.code, *f.trackers)})
        fault = f"Unknown rule {rule!r} for trackers of {mine}."
        if judged:
            fault = f"The rule {rule!r} judges trackers of {' or '.join(judged)}, not of {mine}."
        raise InputError(f"{fault} {near(name, known)}")
    return found


def judging(own: str, rules: Iterable[str | None]) -> str:
    """The family by whose metrics a tracker of the family `own` is judged.

    Args:
        own: The tracker's.
        rules: Names of the rules that truth and its benchmark ask for: the first that `own` or a family that
            takes its trackers knows decides; without one it is `own`.
    """
    able = _able(own)
    return next((f.code for rule in rules if rule for f in able if rule.lower() in f.rules), own)


def _able(own: str) -> list[Family]:
    return [find_family(own), *(f for f in FAMILIES.values() if own in f.trackers)]


for _module in pkgutil.iter_modules(__path__):
    if _module.name != "base":
        register(importlib.import_module(f"{__name__}.{_module.name}").FAMILY)

__all__ = [
    "FAMILIES",
    "Case",
    "Curve",
    "Family",
    "Truth",
    "find_family",
    "find_rule",
    "judges",
    "judging",
    "register",
    "truth_of",
]
