"""How wrong the counts of trackers are, by the labels of a verdict."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vtlab.decision.answer import Verdict
from vtlab.decision.sampling import FIRST_LOOK, Population, estimate, levels
from vtlab.errors import InputError
from vtlab.metrics.counting import ANCHOR, present
from vtlab.tracks import Tracks

if TYPE_CHECKING:
    import pandas as pd


def count_error(verdict: Verdict, zone: ArrayLike | None = None, *, anchor: str = ANCHOR) -> pd.DataFrame:
    """By how many objects a frame each tracker counts too many (or too few, below 0), from a verdict's labels.

    Labels tell this of who is there on a frame. Of how many different objects there were, and of crossings, scattered frames
    tell nothing, for that hangs on identities: ask pairs (`vtlab.decision.identity_pairs`).

    Args:
        verdict: Labelled as far as its first look.
        zone: (N, 2) corners of a polygon in pixels: only objects inside count.
        anchor: Which point of a box must lie inside.

    Returns:
        DataFrame indexed by tracker: `counted` and `labelled` (objects a frame on the labelled frames), `error` (mean over
        all frames that count), `low`, `high` (its interval at the verdict's level).

    Raises:
        InputError: Too few labels, a verdict that is proven by a bet, or frames of which the labeller wasn't sure.
    """
    import pandas as pd

    sample = _Sample(verdict)
    truth = sample.counts({name: _labels(verdict, name) for name in verdict.clips}, zone, anchor)
    rows = []
    for tracker in verdict.trackers:
        mine = sample.counts({n: c.tracks[tracker] for n, c in verdict.clips.items()}, zone, anchor)
        value, half = sample.mean(mine - truth)
        on = sample.looked
        rows.append((mine[on].mean(), truth[on].mean(), value, value - half, value + half))
    index = pd.Index(verdict.trackers, name="tracker")
    return pd.DataFrame(rows, index=index, columns=["counted", "labelled", "error", "low", "high"])


def _labels(verdict: Verdict, name: str) -> Tracks:
    return verdict.known[name].joined(verdict.labels[name]).tracks


class _Sample:
    """The frames of a verdict, which of them are labelled, and how a mean over all follows from these."""

    def __init__(self, verdict: Verdict):
        self._verdict = verdict
        self._places, amount = verdict.disagreement()
        clips, position = verdict.clips, {place: i for i, place in enumerate(self._places)}
        share = {name: 1 / (len(clips) * len(clip.frames)) for name, clip in clips.items()}
        self._weight = np.array([share[name] for name, _ in self._places])
        known = np.array([f in verdict.known[name].looked for name, f in self._places])
        said = np.array([f in verdict.labels[name].looked for name, f in self._places])
        self.looked, self._known = known | said, known
        places, points = verdict.order
        drawn = np.array([position[p] for p in places], np.int64)
        open_ones = np.flatnonzero(~self.looked[drawn])
        reached = int(open_ones[0]) if len(open_ones) else len(drawn)
        done = [n for n in levels(verdict.question.budget) if FIRST_LOOK <= n <= reached]
        self._n = done[-1] if done else 0
        self._drawn, self._points, self._amount = drawn[: self._n], np.array(points)[: self._n], amount
        if not self.looked.all() and not self._n:
            raise InputError(
                f"The labels of {int(self.looked.sum())} frames don't tell how wrong a count is yet: label the frames of "
                "next() as far as its first look (a verdict with guarantee=True, or with frames marked unsure, can't tell)."
            )

    def counts(self, tracks: dict[str, Tracks], zone: ArrayLike | None, anchor: str) -> NDArray[np.float64]:
        """(F,) objects on each frame that counts."""
        found = {
            name: present(mine, zone, anchor=anchor, frames=self._verdict.clips[name].length)
            for name, mine in tracks.items()
        }
        return np.array([found[name][f] for name, f in self._places], np.float64)

    def mean(self, value: NDArray[np.float64]) -> tuple[float, float]:
        """Mean over all frames of what is known on the labelled ones, and half of the width of its interval."""
        if self.looked.all():
            return float(value @ self._weight), 0.0
        rest = np.flatnonzero(~self._known)
        weight, amount = self._weight[rest], self._amount[rest]
        share = float(weight.sum())
        weight = weight / share
        # The chances with which the verdict drew these frames (`Population.chance`), whatever is counted on them.
        leaning = weight * amount
        chance = 0.5 * weight + 0.5 * leaning / leaning.sum() if leaning.sum() > 0 else weight
        population = Population(weight, np.ones((1, 1, len(rest))), chance)
        index = np.searchsorted(rest, self._drawn)
        budget, level = self._verdict.question.budget, self._verdict.question.level
        made = estimate(population, index, self._points, value[self._drawn][None], budget)
        sure = float(value[self._known] @ self._weight[self._known])
        return sure + share * float(made.value[0]), share * float(made.half_width(level)[0])
