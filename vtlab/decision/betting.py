"""A bet against "the other tracker is as good": a proof that holds for every number of labels and every stop.

1 - IoU is a metric, so the difference of two trackers' overlaps on a frame is at most 1 - IoU of their boxes there,
known without a label. A bettor who stakes on the differences therefore can't lose more than is known beforehand;
if she grows rich, the other tracker is not as good (Ville's inequality). Needs labels in the drawn order and a
quality whose differences are bounded like that: overlaps of boxes or masks.

Source: Waudby-Smith and Ramdas, "Estimating means of bounded random variables by betting", JRSS B 2024; the audits of
Waudby-Smith, Stark and Ramdas, 2021.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from vtlab.decision.sampling import Floats, Population

# Which stake is best hangs on how far apart the trackers are, which nobody knows; a mean of fair bets is fair. All are below
# 1: the worst label leaves something to go on with.
_STAKES = np.array([0.05, 0.1, 0.2, 0.35, 0.5, 0.7, 0.9])
"""Shares of the capital that are staked side by side; their mean wealth is what counts."""
# Leaning pays here, other than for intervals: of 6 trackers, within .02 and at 80 labels, .55 of the videos were decided by
# frames drawn by weight alone, .79 by those on which contenders disagree.
_SPREAD = 0.1
"""Chance that a frame is drawn by its weight alone, so that every frame can be drawn."""


_GRID = np.linspace(0, 1, 401)
"""Means that the levels' bets are held against."""


class Levels:
    """Bounds of each tracker's mean over the population that hold together at every stop, from the race's labels.

    For every mean of a grid a bettor stakes against "it is no more than that". The estimate at each step, what is known
    plus the drawn frame over its chance, can't fall below what is known, so she can't lose more than the distance. The
    upper bound is one less the lower bound of 1 - quality.

    Args:
        trackers: Number of trackers K.
        alpha: Chance that a tracker's bounds fail at any stop.
    """

    def __init__(self, trackers: int, alpha: float):
        # Half of the error for each of the two bounds.
        self._rich = float(np.log(2 / alpha))
        self._known = np.zeros((2, trackers))
        self._wealth = np.zeros((2, trackers, len(_GRID), len(_STAKES)))
        self._least = np.zeros((2, trackers))
        self._sum, self._steps = np.zeros(trackers), 0

    def add(self, weight: float, chance: float, quality: Floats | None) -> None:
        """Take a label: the drawn frame's weight, its chance, (K,) what each tracker reached; None if nobody can tell."""
        k = self._known.shape[1]
        least = np.zeros((2, k)) if quality is None else np.stack([quality, 1 - quality])
        drawn = self._known + weight * least / chance
        gap = _GRID - self._known[:, :, None]
        # Below -1 by rounding only: what is drawn adds to what is known.
        rate = np.maximum((drawn[:, :, None] - _GRID) / np.where(gap > 0, gap, 1.0), -1.0)
        self._wealth += np.where((gap > 0)[..., None], np.log1p(_STAKES * rate[..., None]), 0.0)
        self._sum += drawn[0] + (weight / (2 * chance) if quality is None else 0.0)
        self._steps += 1
        self._known = self._known + weight * least
        # The logarithm of the mean wealth, of logarithms: products over many labels overflow.
        top = self._wealth.max(axis=-1)
        mean = top + np.log(np.exp(self._wealth - top[..., None]).mean(axis=-1))
        shown = np.where(mean >= self._rich, _GRID, 0.0).max(axis=-1)
        self._least = np.maximum(self._least, np.maximum(shown, self._known))

    def bounds(self) -> tuple[Floats, Floats, Floats]:
        """(K,) value, NaN without labels, lower and upper bound."""
        low, high = self._least[0], 1 - self._least[1]
        value = self._sum / self._steps if self._steps else np.full(len(low), np.nan)
        return np.clip(value, low, np.maximum(low, high)), low, high


@dataclass
class Race:
    """Trackers that run against each other, label by label.

    Args:
        population: All frames.
        within: How much worse than the best still counts as as good.
        alpha: Chance of any false statement, over all stops.
        seed: Of the draw.
        start: (K,) what each tracker has already from frames outside the population that are known for certain, in
            units of the population's mean.
    """

    population: Population
    within: float
    alpha: float
    seed: int
    start: Floats | None = None
    labelled: list[int] = field(default_factory=list, init=False)

    def __post_init__(self) -> None:
        k, n = self.population.trackers, len(self.population.weight)
        self._rng = np.random.default_rng(self.seed)
        self._open = np.ones(n, bool)
        self._gap = 1 - self.population.similarity
        start = np.zeros(k) if self.start is None else self.start
        self._known = start[:, None] - start[None, :]
        self._wealth = np.ones((k, k, len(_STAKES)))
        self._chance: Floats | None = None
        self._next: int | None = None
        self.shown = np.zeros((k, k), bool)
        """shown[t, s]: t is shown to be more than `value of s - within`."""
        self.levels = Levels(k, self.alpha)
        self._look()

    def next(self) -> int | None:
        """Position of the frame to label now; None when all are labelled."""
        if self._next is None and self._open.any():
            w = np.where(self._open, self.population.weight, 0.0)
            lean = w * self._contested()
            q = w / w.sum() if lean.sum() <= 0 else _SPREAD * w / w.sum() + (1 - _SPREAD) * lean / lean.sum()
            self._chance = q
            self._next = int(np.searchsorted(np.cumsum(q) / q.sum(), self._rng.random(), side="right"))
        return self._next

    def _contested(self) -> Floats:
        """(N,) root mean square disagreement of the trackers that may still be the best."""
        # Frames on which only trackers that are out differ decide nothing: with all trackers' disagreement .67 were decided
        # in place of .79.
        alive = np.flatnonzero(~self.beaten())
        first, second = np.triu_indices(len(alive), 1)
        if not len(first):
            return self.population.disagreement
        return np.sqrt((self._gap[alive[first], alive[second]] ** 2).mean(axis=0))

    def add(self, quality: Floats | None) -> None:
        """Take the label of the frame that `next` named.

        Args:
            quality: (K,) what each tracker reached there, 0 for a frame that doesn't count; None where nobody can tell:
                then the worst that it can be for each claim counts.
        """
        i = self.next()
        if i is None or self._chance is None:
            return
        w, q = self.population.weight, self._chance
        d = -self._gap[:, :, i] if quality is None else quality[:, None] - quality[None, :]
        self.levels.add(float(w[i]), float(q[i]), quality)
        ahead = self._known + self.within
        use = self._open & (q > 0)
        worst = (w[use] / q[use] * self._gap[:, :, use]).max(axis=-1)
        x, bound = ahead + w[i] * d / q[i], ahead - worst
        losing = bound < 0  # else the claim is certain, which `_look` has seen
        rate = np.where(losing, x / np.where(losing, -bound, 1.0), 0.0)
        self._wealth = self._wealth * np.maximum(1 + _STAKES * rate[:, :, None], 0.0)
        self._known = self._known + w[i] * d
        self._open[i] = False
        self.labelled.append(i)
        self._next = self._chance = None
        self._look()

    def _look(self) -> None:
        left = (np.where(self._open, self.population.weight, 0.0) * self._gap).sum(axis=-1)
        # Of two equal trackers, either may be called the better one: one false claim more than with a margin.
        rivals = self.population.trackers - (self.within > 0)
        rich = self._wealth.mean(axis=-1) >= rivals / self.alpha
        self.shown |= rich | (self._known + self.within > left)
        np.fill_diagonal(self.shown, True)

    def good_enough(self) -> NDArray[np.bool_]:
        """(K,) trackers shown to be at most `within` below every other."""
        return np.asarray(self.shown.all(axis=1))

    def beaten(self) -> NDArray[np.bool_]:
        """(K,) trackers to which another one is shown to be superior; only with `within` 0."""
        others = self.shown & ~np.eye(len(self.shown), dtype=bool)
        return np.asarray(others.any(axis=0)) if self.within == 0 else np.zeros(len(self.shown), bool)
