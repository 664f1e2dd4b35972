"""How sure a number is: intervals over clips, paired tests between trackers, letters for those that no test separates.

Frames of one clip are no independent samples, and clips of one scene are none either: whole clusters are the units.
Intervals are jackknife-t (Tukey 1958; Efron and Tibshirani, "An Introduction to the Bootstrap", 1993, ch. 11), which
cover by 5 clips where a percentile bootstrap misses every fifth time. Tests flip the signs of the clusters' paired
differences (Good, "Permutation Tests", 2000), all pairs of trackers together by the step-down maximum of Westfall and
Young ("Resampling-Based Multiple Testing", 1993, alg. 2.8). Metrics that pool counts over clips are linearised: each
cluster's jackknife pseudo-value stands for it, which for a mean of clips is the clip's own value.

An interval of a difference holds exactly those differences that the test does not reject, so that the two never
contradict each other. With n clusters the smallest possible p is 2 / 2**n.
"""

from __future__ import annotations

import itertools
import re
import string
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import ceil, log2
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from vtlab.errors import InputError, near
from vtlab.metrics.evaluation import Part, combine, combiner
from vtlab.metrics.ranking import Rank, Ranking
from vtlab.metrics.records import METRICS, Metric

if TYPE_CHECKING:
    import pandas as pd

Array = NDArray[np.float64]
Cluster = Callable[[str], str]

FEWEST = 5
"""Clusters from which on an interval is given; with fewer it would be as wide as the scale or far too narrow."""
FLIPS = 10_000
"""Flips of signs that are tried where not all can be."""


def scene(name: str) -> str:
    """The scene that a sequence shows: its name, without the detector that MOT16 and MOT17 add to it."""
    return re.sub(r"^(MOT1[67]-\d+)-(DPM|FRCNN|SDP)$", r"\1", name)


@dataclass(frozen=True)
class Interval:
    """A value and the range that holds the mean over all clips of the same kind, with a probability.

    It says nothing of where a single other clip would lie, which is a much wider range (`spread`).

    Attributes:
        value: The value on the sequences at hand.
        low: Lower end of the interval; NaN with fewer than `FEWEST` clusters.
        high: Upper end.
        level: Probability that the interval is made for.
        sequences: Number of sequences.
        clusters: Number of clusters (scenes) that they form, which are what is counted.
    """

    value: float
    low: float
    high: float
    level: float
    sequences: int
    clusters: int


@dataclass(frozen=True)
class Difference:
    """A paired comparison of two trackers on the same sequences.

    Attributes:
        difference: First less second.
        low: Lower end of the differences that the test does not reject; NaN where it can reject none (n too small).
        high: Upper end.
        p: Probability of a difference at least as large if both were equally good (two-sided).
        sequences: Number of sequences.
        clusters: Number of clusters (scenes) that they form.
    """

    difference: float
    low: float
    high: float
    p: float
    sequences: int
    clusters: int


def intervals(parts: Sequence[Part], *, level: float = 0.95, cluster: Cluster = scene) -> dict[str, Interval]:
    """Jackknife-t interval of every metric of one tracker, leaving out one cluster after the other.

    Args:
        parts: One for each sequence.
        level: Probability in (0, 1).
        cluster: From the name of a sequence to its cluster: sequences of one scene say the same.
    """
    names, value, shares = _linearised(parts, cluster)
    out = {}
    for name, v, h in zip(names, value.tolist(), _half(shares, level).tolist(), strict=True):
        out[name] = Interval(v, *_within(v, h, METRICS.get(name)), level, len(parts), len(shares))
    return out


def _half(shares: Array, level: float) -> Array:
    """Half the width of the interval of each column's mean (n, M) -> (M,); NaN with fewer than `FEWEST` clusters."""
    n = len(shares)
    if n < FEWEST:
        return np.full(shares.shape[1], np.nan)
    return np.asarray(student(level, n - 1) * shares.std(axis=0, ddof=1) / np.sqrt(n))


@lru_cache(maxsize=64)
def student(level: float, freedom: int) -> float:
    """The t within which |t| lies with probability `level`, with so many degrees of freedom.

    By bisection on the finite sums of Abramowitz and Stegun, "Handbook of Mathematical Functions", 26.7.3 and 26.7.4:
    importing scipy.stats takes longer than most evaluations.
    """
    odd = freedom % 2
    k = np.arange(1, (freedom - odd) // 2)
    factor = np.concatenate([[1.0], np.cumprod((2 * k - 1 + odd) / (2 * k + odd))])
    power = 2 * np.arange(len(factor)) + odd

    def inside(angle: float) -> float:
        terms = np.sin(angle) * float((factor * np.cos(angle) ** power).sum())
        return 2 / np.pi * (angle + terms * (freedom > 1)) if odd else terms

    low, high = 0.0, np.pi / 2
    # 60 halvings of a quarter turn leave 1e-18.
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if inside(middle) < level else (low, middle)
    return float(np.sqrt(freedom) * np.tan(low))


def _within(value: float, half: float, metric: Metric | None) -> tuple[float, float]:
    """Ends of an interval, within the range of the metric."""
    low, high = (metric.low, metric.high) if metric is not None else (-np.inf, np.inf)
    if not np.isfinite(half):
        return np.nan, np.nan
    return max(value - half, min(low, value)), min(value + half, max(high, value))


def spread(parts: Sequence[Part], metric: str, share: float = 0.8) -> tuple[float, float]:
    """Range in which that share of the single clips lies, the middle one; what who has one clip must expect.

    NaN with fewer than `FEWEST` clips.
    """
    _check_metric(parts, metric)
    values = np.array([p.values()[metric] for p in parts], np.float64)
    values = values[np.isfinite(values)]
    if len(values) < FEWEST:
        return np.nan, np.nan
    low, high = np.quantile(values, [(1 - share) / 2, (1 + share) / 2])
    return float(low), float(high)


def won(parts: Mapping[str, Sequence[Part]], metric: str) -> dict[str, int]:
    """Tracker -> number of sequences on which it is highest; several that are level on one win it all.

    Args:
        parts: Tracker -> its parts, over the same sequences in the same order.
        metric: Name of the metric.
    """
    _check_metric((p for mine in parts.values() for p in mine), metric)
    worth = METRICS[metric].worth
    values = {
        t: np.nan_to_num([worth(p.values()[metric]) for p in mine], nan=-np.inf) for t, mine in parts.items()
    }
    highest = np.max(list(values.values()), axis=0) if values else np.empty(0)
    return {t: int((np.isfinite(v) & (v >= highest - 1e-12)).sum()) for t, v in values.items()}


def side_by_side(parts: Mapping[str, Sequence[Part]], metric: str) -> dict[str, dict[str, float]]:
    """Columns of a table over a few clips: the metric on each, and `won` where there are several trackers; each is
    tracker -> value."""
    _check_metric((p for mine in parts.values() for p in mine), metric)
    found: dict[str, dict[str, float]] = {}
    for tracker, mine in parts.items():
        for part in mine:
            found.setdefault(f"{metric} {part.sequence}", {})[tracker] = part.values()[metric]
    return found | ({"won": {t: float(n) for t, n in won(parts, metric).items()}} if len(parts) > 1 else {})


def spreads(parts: Mapping[str, Sequence[Part]], metric: str) -> dict[str, dict[str, float]]:
    """Columns `clips_low` and `clips_high` of a table over many clips: the range of the middle 80 % of them; each is
    tracker -> value."""
    found = {t: spread(mine, metric) for t, mine in parts.items()}
    return {
        column: {t: ends[i] for t, ends in found.items()}
        for i, column in enumerate(("clips_low", "clips_high"))
    }


def paired(
    first: Sequence[Part],
    second: Sequence[Part],
    metric: str,
    *,
    level: float = 0.95,
    samples: int = FLIPS,
    seed: int = 0,
    cluster: Cluster = scene,
) -> Difference:
    """Compare two trackers on the same sequences by one metric.

    Args:
        first: Parts of one tracker, one for each sequence.
        second: Parts of the other, in the same order.
        metric: Name of the metric.
        level: Of the interval of the difference.
        samples: Flips of signs that are tried, at random where there are more.
        seed: Of the random generator.
        cluster: From the name of a sequence to its cluster.

    Raises:
        InputError: The sequences differ, or the metric is unknown to these parts.
    """
    _check_same([first, second])
    a, b = (_of_metric(side, metric, cluster) for side in (first, second))
    observed, d = a[0] - b[0], a[1] - b[1]
    n = len(d)
    if n < 2 or not np.isfinite(d).all():
        return Difference(observed, np.nan, np.nan, np.nan, len(first), n)
    signs = _signs(n, samples, seed)
    cosine = _cosines(signs, d[:, None])[:, 0]
    p = float((cosine >= cosine[0] - 1e-9).mean())
    return Difference(observed, *_not_rejected(signs, d, 1 - level), p, len(first), n)


def leaderboard(
    parts: Mapping[str, Sequence[Part]],
    metric: str,
    *,
    level: float = 0.95,
    samples: int = FLIPS,
    seed: int = 0,
    cluster: Cluster = scene,
) -> pd.DataFrame:
    """Rank trackers by one metric with intervals and letters: no winner by a hair.

    All pairs of trackers are tested together. Trackers that share a letter are not told apart; two that share none
    differ with an adjusted p of at most 1 - level. The order in which trackers are given does not matter.

    Args:
        parts: Tracker -> its parts, over the same sequences in the same order.
        metric: Name of the metric.
        level: Of intervals and tests.
        samples: Flips of signs that are tried, at random where there are more.
        seed: Of the random generator.
        cluster: From the name of a sequence to its cluster.

    Returns:
        DataFrame indexed by tracker, best first: value, low, high, letters ("" with one cluster or without a value), p
        (adjusted, against the first; NaN for the first itself). Its `attrs` hold `sequences`, `clusters` and `level`. A
        ranking of the same parts is made once.
    """
    return ranking(parts, metric, level=level, samples=samples, seed=seed, cluster=cluster).frame()


def ranking(
    parts: Mapping[str, Sequence[Part]],
    metric: str,
    *,
    level: float = 0.95,
    samples: int = FLIPS,
    seed: int = 0,
    cluster: Cluster = scene,
) -> Ranking:
    """The numbers of `leaderboard`, which see, without a DataFrame."""
    given = tuple(sorted((name, tuple(mine)) for name, mine in parts.items()))
    return _ranking(given, metric, level, samples, (seed, cluster))


def of_values(
    values: Mapping[str, Mapping[str, float]], metric: Metric, *, level: float = 0.95, samples: int = FLIPS
) -> pd.DataFrame:
    """Rank by values that were measured already, such as the means of an experiment's cells over each cluster.

    Args:
        values: Name -> {cluster: value}, over the same clusters.
        metric: What they are, for its direction and range.
        level: Of intervals and tests.
        samples: Flips of signs that are tried, at random where there are more.

    Returns:
        As `leaderboard`, with the mean over the clusters as value.

    Raises:
        InputError: The clusters differ.
    """
    if len({tuple(sorted(mine)) for mine in values.values()}) > 1:
        raise InputError("A paired test needs the same clusters for all.")
    shares = {name: np.array([mine[c] for c in sorted(mine)], np.float64) for name, mine in values.items()}
    found = {}
    for name, share in shares.items():
        value, half = float(share.mean()), float(_half(share[:, None], level)[0])
        found[name] = Interval(value, *_within(value, half, metric), level, len(share), len(share))
    return _ranked(found, shares, metric, samples, 0).frame()


def paired_values(
    first: Sequence[float], second: Sequence[float], *, level: float = 0.95, samples: int = FLIPS
) -> Difference:
    """Compare values of the same clusters, as `paired` does parts: first less second."""
    d = np.asarray(first, np.float64) - np.asarray(second, np.float64)
    n = len(d)
    if n < 2 or not np.isfinite(d).all() or not d.any():
        p = 1.0 if n > 1 and not d.any() else np.nan
        return Difference(float(d.mean()) if n else np.nan, np.nan, np.nan, p, n, n)
    signs = _signs(n, samples, 0)
    cosine = _cosines(signs, d[:, None])[:, 0]
    p = float((cosine >= cosine[0] - 1e-9).mean())
    return Difference(float(d.mean()), *_not_rejected(signs, d, 1 - level), p, n, n)


def needed(level: float = 0.95) -> int:
    """The fewest clusters with which a test can tell trackers apart at all, since p is at least 2 / 2**n."""
    return 1 + ceil(log2(1 / (1 - level)) - 1e-9)


def cannot_separate(clusters: int, trackers: int, level: float = 0.95) -> str:
    """The sentence that so few clips cannot separate trackers, however different; "" where they can."""
    if trackers < 2 or clusters >= needed(level):
        return ""
    clips = "1 clip" if clusters == 1 else f"{clusters} clips"
    return f"{clips} cannot separate {trackers} trackers; {needed(level)} are needed"


def how(clusters: int, trackers: int, level: float = 0.95) -> str:
    """How the columns of a leaderboard over so many clusters were made, for a caption."""
    few = cannot_separate(clusters, trackers, level)
    note = f" {few}." if few else ""
    if clusters < FEWEST:
        return f"Fewer than {FEWEST} clips have no interval; they are listed.{note}"
    text = f"ci: {level:.0%} jackknife-t interval of the mean over clips; clips: the middle 80 % of single clips."
    if trackers < 2:
        return text
    return (
        f"{text} Trackers that share a letter are not told apart; p, against the first, is adjusted for all pairs "
        "(sign flips, step-down maximum). A ci is of one tracker alone, letters and p are of differences clip by clip: "
        f"whether the ci of two overlap says nothing of their difference.{note}"
    )


def letters(order: Sequence[str], differ: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Compact letter display: name -> letters, such that two names share a letter if and only if they do not differ.

    Args:
        order: Names, best first; the best has the letter a.
        differ: Pairs of names that differ.

    Source: Piepho, "An algorithm for a letter-based representation of all-pairwise comparisons", JCGS 2004.
    """
    columns = [frozenset(order)]
    for a, b in differ:
        split = {c - {out} if {a, b} <= c else c for c in columns for out in (a, b)}
        columns = [c for c in split if not any(c < other for other in split)]
    place = {name: i for i, name in enumerate(order)}
    columns.sort(key=lambda c: sorted(place[name] for name in c))
    marks = [*string.ascii_letters, *(f"({i})" for i in range(len(columns)))]
    return {n: "".join(m for m, c in zip(marks, columns, strict=False) if n in c) for n in order}


@lru_cache(maxsize=32)
def _ranking(
    given: tuple[tuple[str, tuple[Part, ...]], ...],
    metric: str,
    level: float,
    flips: int,
    how: tuple[int, Cluster],
) -> Ranking:
    """The ranking of the same parts is asked for by tables, figures and answers alike: it is made once."""
    parts, (seed, cluster) = dict(given), how
    _check_metric((mine[0] for mine in parts.values() if mine), metric)
    record = METRICS[metric]
    _check_same(list(parts.values()))
    found = {name: intervals(mine, level=level, cluster=cluster)[metric] for name, mine in parts.items()}
    shares = {name: _of_metric(parts[name], metric, cluster)[1] for name in found}
    return _ranked(found, shares, record, flips, seed)


def _ranked(
    found: Mapping[str, Interval], shares: Mapping[str, Array], record: Metric, flips: int, seed: int
) -> Ranking:
    """The ranking of intervals, and of what the clusters say of each."""
    level = next((i.level for i in found.values()), 0.95)
    worth = {name: record.worth(i.value) for name, i in found.items()}
    order = sorted(found, key=lambda name: (-worth[name] if np.isfinite(worth[name]) else np.inf, name))
    tested = [name for name in order if np.isfinite(shares[name]).all() and len(shares[name]) > 1]
    p = _adjusted({name: shares[name] for name in tested}, flips, seed)
    marks = letters(tested, [pair for pair, value in p.items() if value <= 1 - level])
    ranks = {
        n: Rank(i.value, i.low, i.high, marks.get(n, ""), p.get((order[0], n), np.nan))
        for n, i in ((n, found[n]) for n in order)
    }
    some = next(iter(found.values()), None)
    return Ranking(ranks, some.sequences if some else 0, some.clusters if some else 0, level)


def _check_same(sides: Sequence[Sequence[Part]]) -> None:
    if len({tuple(p.sequence for p in side) for side in sides}) > 1:
        raise InputError("A paired test needs the same sequences in the same order for both trackers.")


def _check_metric(parts: Iterable[Part], metric: str) -> None:
    """Refuse a metric that these parts don't have."""
    for part in parts:
        values = part.values()
        if metric not in values:
            raise InputError(f"These scores have no metric {metric!r}. {near(metric, values)}")


def _of_metric(parts: Sequence[Part], metric: str, cluster: Cluster) -> tuple[float, Array]:
    """The value of a metric and what each cluster says of it, (n,)."""
    names, value, shares = _linearised(parts, cluster)
    if metric not in names:
        raise InputError(f"These scores have no metric {metric!r}. {near(metric, names)}")
    at = names.index(metric)
    return float(value[at]), shares[:, at]


def _linearised(parts: Sequence[Part], cluster: Cluster) -> tuple[list[str], Array, Array]:
    """Names of the metrics (M), their values (M,), and the clusters' pseudo-values (n, M), whose mean is the value."""
    whole = combine(parts)
    names, value = list(whole), np.array(list(whole.values()), np.float64)
    _, unit = np.unique([cluster(p.sequence) or str(i) for i, p in enumerate(parts)], return_inverse=True)
    n = int(unit.max()) + 1
    if n < 2:
        return names, value, value[None]
    select = combiner(parts)
    without = (select(np.flatnonzero(unit != i)) for i in range(n))
    left = np.array([[row[name] for name in names] for row in without], np.float64)
    return names, value, value - (n - 1) * (left - left.mean(axis=0))


def _signs(n: int, flips: int, seed: int) -> Array:
    """Signs (B, n), the first row as observed. The first sign is + throughout: turning all of them changes nothing."""
    if 2 ** (n - 1) <= flips:
        rest = np.array(list(itertools.product([1.0, -1.0], repeat=n - 1))).reshape(-1, n - 1)
        return np.concatenate([np.ones((len(rest), 1)), rest], axis=1)
    # The data count as a flip, so that no p is 0 (Phipson and Smyth, 2010).
    signs = np.random.default_rng(seed).choice([1.0, -1.0], (flips + 1, n))
    signs[0] = 1.0
    return signs


def _cosines(signs: Array, d: Array) -> Array:
    """|sum| of the flipped differences (B, K) over its largest possible value, which grows with |t| and has no pole."""
    length = np.sqrt(len(d) * np.square(d).sum(axis=0))
    return np.abs(signs @ d) / np.where(length > 0, length, 1.0)


def _adjusted(shares: Mapping[str, Array], flips: int, seed: int) -> dict[tuple[str, str], float]:
    """Adjusted p of all pairs of trackers, by the step-down maximum over the pairs."""
    names = list(shares)
    pairs = list(itertools.combinations(names, 2))
    if not pairs:
        return {}
    d = np.stack([shares[a] - shares[b] for a, b in pairs], axis=1)
    cosine = _cosines(_signs(len(d), flips, seed), d)
    order = np.argsort(-cosine[0], kind="stable")
    ranked = cosine[:, order]
    largest = np.maximum.accumulate(ranked[:, ::-1], axis=1)[:, ::-1]
    p = np.maximum.accumulate((largest >= ranked[0] - 1e-9).mean(axis=0))
    found = dict(zip((pairs[i] for i in order.tolist()), p.tolist(), strict=True))
    return {pair: found[pair] for pair in pairs}


def _not_rejected(signs: Array, d: Array, alpha: float) -> tuple[float, float]:
    """Ends of the differences that the sign-flip test does not reject; NaN where it rejects none.

    A flip is at least as extreme as the data, for an assumed difference, exactly where that lies between the mean of
    the flipped differences and the mean of the others; so p falls off by steps at these means.
    """
    flipped = signs < 0
    count = flipped.sum(axis=1)
    inner = (count > 0) & (count < len(d))
    below = (flipped[inner] @ d) / count[inner]
    above = (~flipped[inner] @ d) / (len(d) - count[inner])
    low, high = np.sort(np.minimum(below, above)), np.sort(np.maximum(below, above))[::-1]
    always = len(signs) - len(low)
    # Of B flips, `always` are extreme for any difference; p exceeds alpha while more than alpha * B are.
    # And 1e-9, since 1 - 0.95 is not quite 0.05.
    at = int(np.floor(alpha * len(signs) + 1e-9)) - always
    if at < 0 or at >= len(low):
        return np.nan, np.nan
    return float(low[at]), float(high[at])
