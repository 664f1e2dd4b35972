"""What is known at a number of labels, and groups of trackers made of it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vtlab.decision.quality import Floats
from vtlab.decision.sampling import FIRST_LOOK, Known, Population, estimate, levels


@dataclass(frozen=True)
class Standing:
    """What is known of all frames at a number of labels.

    Attributes:
        value: (K,) mean quality over all frames that count.
        half: (K,) half of the width of each interval at the question's level; 0 where the value is exact.
        low: (K, K) lower bounds of value[i] - value[j] at this look; -inf before the first look.
    """

    value: Floats
    half: Floats
    low: Floats


@dataclass(frozen=True)
class Sample:
    """Labels on the frames of a draw, in its order.

    Attributes:
        population: All frames that could be drawn.
        index: (n,) positions drawn.
        points: (n,) their points.
        quality: (K, n) what each tracker reached, NaN where nobody could tell.
        count: (n,) how much of each frame counts.
        known: What is known for certain besides.
        bounded: Whether the qualities of two trackers differ by no more than their distance.
    """

    population: Population
    index: NDArray[np.int64]
    points: Floats
    quality: Floats
    count: Floats
    known: Known
    bounded: bool

    def standing(self, budget: int, level: float, alpha: float | None) -> Standing:
        """The standing; frames of which nobody could tell widen it by all that they can hold.

        Args:
            budget: Of the draw.
            level: Confidence of the intervals.
            alpha: Chance of error of each lower bound of a difference; None where no look is due.
        """
        unsure = ~np.isfinite(self.quality[0])
        made = estimate(
            self.population,
            self.index,
            self.points,
            np.nan_to_num(self.quality, nan=0.5),
            budget,
            count=np.where(unsure, 1.0, self.count),
            known=self.known,
        )
        part = self.population.weight[self.index] / self.population.chance[self.index]
        part = made.scale * unsure * part / part.sum()
        # An unsure frame was counted as 0.5, from which it can be off by as much either way.
        half = made.half_width(level) + 0.5 * part.sum()
        low = np.full((len(half), len(half)), -np.inf)
        if alpha is not None:
            n = len(self.index)
            gap = 1 - self.population.similarity[:, :, self.index] if self.bounded else np.ones((1, 1, n))
            low = made.value[:, None] - made.value[None, :] - made.margin(alpha) - gap @ part
        return Standing(made.value, half, low)


def exact(quality: Floats, count: Floats, weight: Floats) -> Standing:
    """The standing where every frame is labelled; nothing is known where none counts."""
    whole = count * weight
    if not whole.sum():
        k = len(quality)
        return Standing(np.full(k, np.nan), np.full(k, np.nan), np.full((k, k), -np.inf))
    value = np.asarray(quality @ whole / whole.sum())
    return Standing(value, np.zeros(len(value)), value[:, None] - value[None, :])


def expected(
    population: Population, drawn: tuple[NDArray[np.int64], Floats], budget: int, level: float
) -> dict[int, float]:
    """Half-widths to expect at each number of labels, the mean over trackers: each plays the truth in turn.

    With two trackers the one that is left has no peers, as in the verdict itself. No width is below that of a later level,
    which met a failure that the earlier labels missed.
    """
    index, points = drawn
    rest = {t: population.without(t) for t in range(population.trackers)}
    out = {}
    for n in [n for n in levels(budget) if n >= FIRST_LOOK]:
        widths = []
        for t, others in rest.items():
            quality = np.delete(population.similarity[t][:, index[:n]], t, axis=0)
            widths.append(estimate(others, index[:n], points[:n], quality, budget).half_width(level).mean())
        out[n] = float(np.mean(widths))
    widest = np.maximum.accumulate(list(out.values())[::-1])[::-1]
    return dict(zip(out, widest.tolist(), strict=True))


def groups(beaten: NDArray[np.bool_]) -> list[int]:
    """Peel off those that none of the rest beats, again and again: 1 for the first."""
    group, left, number = [0] * len(beaten), np.ones(len(beaten), bool), 1
    while left.any():
        top = left & ~(beaten & left[:, None]).any(axis=0)
        top = top if top.any() else left
        for i in np.flatnonzero(top):
            group[i] = number
        left, number = left & ~top, number + 1
    return group


def highest(of: NDArray[np.int64], value: Floats) -> list[int]:
    """Those of some trackers whose value is the highest: clones are one as good as the other, whatever their order."""
    return [int(i) for i in of if value[i] >= value[of].max() - 1e-12]
