"""How sure a number is: intervals clustered by sequence, paired tests between trackers, tie groups.

Frames of one video are no independent samples, so whole sequences are drawn (Efron and Tibshirani, "An Introduction
to the Bootstrap", 1993, ch. 8; Field and Welsh, "Bootstrapping clustered data", JRSS B 2007). Paired tests swap
the two trackers' results within sequences (Good, "Permutation Tests", 2000), so they hold for any metric,
averaged or pooled; with n sequences the smallest possible p is 2 / 2**n.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from vtlab.errors import InputError
from vtlab.metrics.evaluation import Part, combine, combiner
from vtlab.metrics.records import METRICS

if TYPE_CHECKING:
    import pandas as pd

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Interval:
    """A value and the range in which it would lie for other sequences of the same kind.

    Attributes:
        value: The value on the sequences at hand.
        low: Lower end of the interval; NaN with fewer than two sequences.
        high: Upper end.
        level: Probability that the interval is made for.
        sequences: Number of sequences.
    """

    value: float
    low: float
    high: float
    level: float
    sequences: int


@dataclass(frozen=True)
class Difference:
    """A paired comparison of two trackers on the same sequences.

    Attributes:
        difference: First less second.
        low: Lower end of the bootstrap interval of the difference.
        high: Upper end.
        p: Probability of a difference at least as large if both were equally good (two-sided).
        sequences: Number of sequences.
    """

    difference: float
    low: float
    high: float
    p: float
    sequences: int


def intervals(
    parts: Sequence[Part], *, level: float = 0.95, samples: int = 1000, seed: int = 0
) -> dict[str, Interval]:
    """Bootstrap interval of every metric of one tracker, drawing whole sequences with replacement.

    Args:
        parts: One for each sequence.
        level: Probability in (0, 1).
        samples: Number of bootstrap samples.
        seed: Of the random generator; the same seed gives the same interval.
    """
    value = combine(parts)
    drawn = _bootstrap(parts, list(value), samples, seed) if len(parts) > 1 else None
    out = {}
    for i, name in enumerate(value):
        low, high = _percentiles(drawn[:, i], level) if drawn is not None else (np.nan, np.nan)
        out[name] = Interval(value[name], low, high, level, len(parts))
    return out


def paired(
    first: Sequence[Part],
    second: Sequence[Part],
    metric: str,
    *,
    level: float = 0.95,
    samples: int = 1000,
    seed: int = 0,
) -> Difference:
    """Compare two trackers on the same sequences by one metric.

    Args:
        first: Parts of one tracker, one for each sequence.
        second: Parts of the other, in the same order.
        metric: Name of the metric.
        level: Of the interval of the difference.
        samples: Number of bootstrap samples, and of random swaps where not all can be tried.
        seed: Of the random generator.

    Raises:
        InputError: The sequences differ, or the metric is unknown to these parts.
    """
    if [p.sequence for p in first] != [p.sequence for p in second]:
        raise InputError("A paired test needs the same sequences in the same order for both trackers.")
    values = [combine(side) for side in (first, second)]
    if metric not in values[0]:
        raise InputError(f"These scores have no metric {metric!r}. They have: {', '.join(values[0])}.")
    observed, n = values[0][metric] - values[1][metric], len(first)
    if n < 2:
        return Difference(observed, np.nan, np.nan, np.nan, n)
    rng = np.random.default_rng(seed)
    draws = rng.integers(0, n, (samples, n))
    select = combiner([*first, *second])
    drawn = np.array([select(d)[metric] - select(d + n)[metric] for d in draws])
    here = np.arange(n)
    swapped = np.array(
        [select(here + n * s)[metric] - select(here + n * ~s)[metric] for s in _swaps(n, samples, rng)]
    )
    extreme = np.abs(swapped) >= abs(observed) - 1e-12
    # All swaps are tried, or a random sample to which the observed arrangement itself is added.
    p = extreme.mean() if 2**n <= samples else (extreme.sum() + 1) / (len(swapped) + 1)
    return Difference(observed, *_percentiles(drawn, level), float(p), n)


def leaderboard(
    parts: Mapping[str, Sequence[Part]],
    metric: str,
    *,
    level: float = 0.95,
    samples: int = 1000,
    seed: int = 0,
) -> pd.DataFrame:
    """Rank trackers by one metric with intervals and tie groups: no winner by a hair.

    The best tracker of a group is compared with each tracker below it; those that differ with p <= 1 - level
    after Holm's correction leave the group, and the best of them begins the next one.

    Args:
        parts: Tracker -> its parts, over the same sequences.
        metric: Name of the metric.
        level: Of intervals and tests.
        samples: Number of bootstrap samples.
        seed: Of the random generator.

    Returns:
        DataFrame indexed by tracker, best first: value, low, high, group (1 = best; NaN with one sequence), p
        (against the best of the group). A ranking of the same parts is made once; this is a copy.
    """
    given = tuple((name, tuple(mine)) for name, mine in parts.items())
    return _leaderboard(given, metric, level, samples, seed).copy()


@lru_cache(maxsize=32)
def _leaderboard(
    given: tuple[tuple[str, tuple[Part, ...]], ...], metric: str, level: float, samples: int, seed: int
) -> pd.DataFrame:
    """The ranking of the same parts is asked for by tables, figures and answers alike: it is made once."""
    import pandas as pd

    parts, record = dict(given), METRICS[metric]
    found = {
        name: intervals(mine, level=level, samples=samples, seed=seed)[metric] for name, mine in parts.items()
    }
    worth = {name: record.worth(i.value) for name, i in found.items()}
    order = sorted(found, key=lambda name: -worth[name] if np.isfinite(worth[name]) else np.inf)
    group, p_values = dict.fromkeys(order, np.nan), dict.fromkeys(order, np.nan)
    left, number = list(order), 1
    while left and len(parts[left[0]]) > 1:
        best, rest = left[0], left[1:]
        p = {name: paired(parts[best], parts[name], metric, samples=samples, seed=seed).p for name in rest}
        worse = _holm(p, 1 - level)
        for name in left:
            if name not in worse:
                group[name], p_values[name] = number, p.get(name, np.nan)
        left, number = [name for name in left if name in worse], number + 1
    rows = [(n, found[n].value, found[n].low, found[n].high, group[n], p_values[n]) for n in order]
    return pd.DataFrame(rows, columns=["tracker", "value", "low", "high", "group", "p"]).set_index("tracker")


def _holm(p: Mapping[str, float], alpha: float) -> set[str]:
    """Names whose hypothesis falls by Holm's step-down procedure (Scandinavian Journal of Statistics, 1979)."""
    fallen: set[str] = set()
    for rank, name in enumerate(sorted(p, key=lambda n: p[n])):
        if not p[name] <= alpha / (len(p) - rank):
            break
        fallen.add(name)
    return fallen


def _bootstrap(parts: Sequence[Part], names: Sequence[str], samples: int, seed: int) -> Array:
    rng = np.random.default_rng(seed)
    draws = rng.integers(0, len(parts), (samples, len(parts)))
    select = combiner(parts)
    rows = (select(draw) for draw in draws)
    return np.array([[row[name] for name in names] for row in rows], dtype=np.float64)


def _percentiles(drawn: Array, level: float) -> tuple[float, float]:
    good = drawn[np.isfinite(drawn)]
    if not len(good):
        return np.nan, np.nan
    low, high = np.percentile(good, [50 * (1 - level), 50 * (1 + level)])
    return float(low), float(high)


def _swaps(n: int, samples: int, rng: np.random.Generator) -> NDArray[np.bool_]:
    if 2**n <= samples:
        return np.array(list(itertools.product([False, True], repeat=n)))
    return rng.random((samples, n)) < 0.5
