"""Why two benchmarks give different numbers for the same boxes: the settings in which their rules differ are changed one
at a time.

The order matters where settings interact, so each one's share is its mean over all orders (Shapley value) where few
differ, else over random orders; shares always add up to the whole difference.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from vtlab import sequence
from vtlab.errors import InputError
from vtlab.metrics import evaluation
from vtlab.metrics.families import Truth, find_family
from vtlab.metrics.records import METRICS
from vtlab.metrics.rules import Rule, differences, with_setting
from vtlab.tracks import Tracks

if TYPE_CHECKING:
    import pandas as pd

_ALL_ORDERS = 5
"""Settings up to which all orders are run: 120 of five."""
_RANDOM_ORDERS = 60
"""Orders drawn beyond it: the shares still add up exactly."""


@dataclass(frozen=True, repr=False)
class Explanation:
    """How one metric moves from one rule to another.

    Attributes:
        metric: Name of the metric.
        first: Name of the first rule, and `first_value` the value by it.
        second: Name of the second rule, and `second_value`.
        settings: DataFrame indexed by setting of the rules: from, to, effect; effects add up to the difference.
    """

    metric: str
    first: str
    first_value: float
    second: str
    second_value: float
    settings: pd.DataFrame

    def __repr__(self) -> str:
        scale = 100 if METRICS[self.metric].unit == "fraction" else 1
        change = scale * (self.second_value - self.first_value)
        lines = [
            f"{self.metric}: {scale * self.first_value:.2f} by {self.first!r}, {scale * self.second_value:.2f} by "
            f"{self.second!r} ({change:+.2f})."
        ]
        for setting, row in self.settings.iterrows():
            lines.append(f"  {scale * row['effect']:+7.2f}  {setting}: {row['from']} -> {row['to']}")
        return "\n".join(lines)


def explain(
    tracks: Tracks | Sequence[Tracks],
    truth: Truth | Sequence[Truth],
    first: str,
    second: str,
    *,
    family: str = "sot",
    metric: str | None = None,
) -> Explanation:
    """Say which settings of the rules move a number from one rule to another, and by how much.

    Args:
        tracks: Answers on one sequence or, as a list, on several.
        truth: Ground truth: `Tracks` or a sequence, or a list of them.
        first: Name of a rule, such as "otb".
        second: Name of another of the same family, such as "got10k".
        family: Family of both.
        metric: Name of the metric; default: the family's main one.

    Returns:
        An explanation; `print` it, or read its `.settings`.

    Raises:
        InputError: Unknown rule or metric, or different numbers of tracks and sequences.
    """
    answers = [tracks] if isinstance(tracks, Tracks) else list(tracks)
    truths = [truth] if isinstance(truth, (Tracks, sequence.Sequence)) else list(truth)
    if len(answers) != len(truths):
        raise InputError(f"{len(answers)} tracks for {len(truths)} sequences.")
    judge = find_family(family)
    name = metric or judge.main

    def value(rule: Rule) -> float:
        parts = [evaluation.score(a, t, family, rule) for a, t in zip(answers, truths, strict=True)]
        found = evaluation.combine(parts)
        if name not in found:
            raise InputError(
                f"There is no metric {name!r} in the family {family!r}. There are: {', '.join(found)}."
            )
        return found[name]

    return explain_value(value, judge.rule(first), judge.rule(second), name)


def explain_value(value: Callable[[Any], float], first: Any, second: Any, metric: str) -> Explanation:
    """Explain any number that is a function of a rule.

    Args:
        value: Computes the number by a rule.
        first: A record of `vtlab.metrics.rules`.
        second: Another of the same family.
        metric: Name of the number.
    """
    import pandas as pd

    moved = differences(first, second)
    known: dict[frozenset[str], float] = {}

    def at(settings: frozenset[str]) -> float:
        if settings not in known:
            rule = first
            for setting in sorted(settings):
                rule = with_setting(rule, setting, moved[setting][1])
            known[settings] = value(rule)
        return known[settings]

    effects = dict.fromkeys(moved, 0.0)
    orders = _orders(list(moved))
    for order in orders:
        done: frozenset[str] = frozenset()
        for setting in order:
            effects[setting] += (at(done | {setting}) - at(done)) / len(orders)
            done |= {setting}
    rows = [(name, *moved[name], effects[name]) for name in sorted(moved, key=lambda n: -abs(effects[n]))]
    table = pd.DataFrame(rows, columns=["setting", "from", "to", "effect"]).set_index("setting")
    return Explanation(metric, first.name, at(frozenset()), second.name, at(frozenset(moved)), table)


def _orders(names: list[str]) -> list[tuple[str, ...]]:
    if len(names) <= _ALL_ORDERS:
        return list(itertools.permutations(names))
    rng = np.random.default_rng(0)
    wanted = min(_RANDOM_ORDERS, math.factorial(len(names)))
    return [tuple(names[i] for i in rng.permutation(len(names))) for _ in range(wanted)]
