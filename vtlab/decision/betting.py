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

_STAKES = np.array([0.05, 0.1, 0.2, 0.35, 0.5, 0.7, 0.9])
"""Shares of the capital that are staked side by side; their mean wealth is what counts."""
_SPREAD = 0.1
"""Chance that a frame is drawn by its weight alone, so that every frame can be drawn."""


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
        alive = np.flatnonzero(~self.beaten())
        first, second = np.triu_indices(len(alive), 1)
        if not len(first):
            return self.population.disagreement
        return np.sqrt((self._gap[alive[first], alive[second]] ** 2).mean(axis=0))

    def add(self, quality: Floats | None) -> None:
        """Take the label of the frame that `next` named.

        Args:
            quality: (K,) what each tracker reached there; None where nobody can tell: then the worst that it can be
                for each claim counts.
        """
        i = self.next()
        if i is None or self._chance is None:
            return
        w, q = self.population.weight, self._chance
        d = -self._gap[:, :, i] if quality is None else quality[:, None] - quality[None, :]
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
