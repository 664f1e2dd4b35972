"""Why two benchmarks give different numbers for the same boxes: the rules are changed one at a time.

The order of the rules matters where they interact, so each rule's share is its mean over all orders (Shapley value)
where few rules differ, else over random orders; shares always add up to the whole difference.
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
from vtlab.metrics.rules import Rule, differences, with_rule
from vtlab.tracks import Tracks

if TYPE_CHECKING:
    import pandas as pd

_ALL_ORDERS = 5
_RANDOM_ORDERS = 60


@dataclass(frozen=True, repr=False)
class Explanation:
    """How one metric moves from one protocol to another.

    Attributes:
        metric: Name of the metric.
        first: Name of the first protocol, and `first_value` the value by it.
        second: Name of the second protocol, and `second_value`.
        rules: DataFrame indexed by rule: from, to, effect; effects add up to the difference.
    """

    metric: str
    first: str
    first_value: float
    second: str
    second_value: float
    rules: pd.DataFrame

    def __repr__(self) -> str:
        scale = 100 if METRICS[self.metric].unit == "fraction" else 1
        change = scale * (self.second_value - self.first_value)
        lines = [
            f"{self.metric}: {scale * self.first_value:.2f} by {self.first!r}, {scale * self.second_value:.2f} by "
            f"{self.second!r} ({change:+.2f})."
        ]
        for rule, row in self.rules.iterrows():
            lines.append(f"  {scale * row['effect']:+7.2f}  {rule}: {row['from']} -> {row['to']}")
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
    """Say which rules move a number from one protocol to another, and by how much.

    Args:
        tracks: Answers on one sequence or, as a list, on several.
        truth: Ground truth: `Tracks` or a sequence, or a list of them.
        first: Name of a protocol, such as "otb".
        second: Name of another of the same family, such as "got10k".
        family: Family of both.
        metric: Name of the metric; default: the family's main one.

    Returns:
        An explanation; `print` it, or read its `.rules`.

    Raises:
        InputError: Unknown protocol or metric, or different numbers of tracks and sequences.
    """
    answers = [tracks] if isinstance(tracks, Tracks) else list(tracks)
    truths = [truth] if isinstance(truth, (Tracks, sequence.Sequence)) else list(truth)
    if len(answers) != len(truths):
        raise InputError(f"{len(answers)} tracks for {len(truths)} sequences.")
    judge = find_family(family)
    name = metric or judge.main

    def value(protocol: Rule) -> float:
        parts = [evaluation.score(a, t, family, protocol) for a, t in zip(answers, truths, strict=True)]
        found = evaluation.combine(parts)
        if name not in found:
            raise InputError(
                f"There is no metric {name!r} in the family {family!r}. There are: {', '.join(found)}."
            )
        return found[name]

    return explain_value(value, judge.rule(first), judge.rule(second), name)


def explain_value(value: Callable[[Any], float], first: Any, second: Any, metric: str) -> Explanation:
    """Explain any number that is a function of a protocol.

    Args:
        value: Computes the number by a protocol.
        first: A record of `vtlab.metrics.rules`.
        second: Another of the same family.
        metric: Name of the number.
    """
    import pandas as pd

    moved = differences(first, second)
    known: dict[frozenset[str], float] = {}

    def at(rules: frozenset[str]) -> float:
        if rules not in known:
            protocol = first
            for rule in sorted(rules):
                protocol = with_rule(protocol, rule, moved[rule][1])
            known[rules] = value(protocol)
        return known[rules]

    effects = dict.fromkeys(moved, 0.0)
    orders = _orders(list(moved))
    for order in orders:
        done: frozenset[str] = frozenset()
        for rule in order:
            effects[rule] += (at(done | {rule}) - at(done)) / len(orders)
            done |= {rule}
    rows = [(rule, *moved[rule], effects[rule]) for rule in sorted(moved, key=lambda r: -abs(effects[r]))]
    table = pd.DataFrame(rows, columns=["rule", "from", "to", "effect"]).set_index("rule")
    return Explanation(metric, first.name, at(frozenset()), second.name, at(frozenset(moved)), table)


def _orders(rules: list[str]) -> list[tuple[str, ...]]:
    if len(rules) <= _ALL_ORDERS:
        return list(itertools.permutations(rules))
    rng = np.random.default_rng(0)
    wanted = min(_RANDOM_ORDERS, math.factorial(len(rules)))
    return [tuple(rules[i] for i in rng.permutation(len(rules))) for _ in range(wanted)]
