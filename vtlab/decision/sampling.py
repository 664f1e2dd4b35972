"""Which frames a person should label, and what labels on these frames say about all frames.

The frames are spread in time and lean towards those on which the trackers disagree. Spreading is what pays, because
the quality of a tracker is alike on neighbouring frames; leaning helps on sets of clips. The draw is fixed before the
first label, so that looking at the labels can't change it.

Sources: stratified sampling of one unit a stratum with successive differences (Wolter, Introduction to Variance
Estimation, 2007); control variates as in prediction-powered inference (Angelopoulos et al., Science 2023), fitted
across as in cross-prediction (Zrnic and Candes, PNAS 2024), so that what they bring has no bias; residuals between those
of the fit and those of the labels left out (MacKinnon and White, J. Econometrics 1985); error spending over looks (Lan and
DeMets, Biometrika 1983, Pocock's boundary).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from vtlab.errors import InputError

Floats = NDArray[np.float64]

FIRST_LOOK = 10
"""Labels below which no interval is stated: the standard error of five cells is not to be trusted."""
MOST = 10_000
"""Labels that nobody gives, and whose draw would take minutes."""
FIT_FROM = 20
"""Labels from which the control variate's slope is fitted; before, a fitted slope loses coverage (.84 at 10)."""
RIDGE = 0.002
"""Variance of a control variate below which its slope is not believed."""
FLOOR = 0.01
"""Standard error below which ten labels that all agree are not believed: failures may not have been drawn yet."""


@dataclass(frozen=True)
class Population:
    """The frames that count, as numbers.

    Attributes:
        weight: (N,) share of each frame in the mean over all frames; sums to 1.
        similarity: (K, K, N) in [0, 1], how alike the answers of two trackers are on each frame: the metric's own
            measure with one tracker in the place of truth. Both missing is 1, one missing is 0.
        drawn: (N,) chances of the draw, sum 1; None for those of the recipe (`chance`).
    """

    weight: Floats
    similarity: Floats
    drawn: Floats | None = None

    def __post_init__(self) -> None:
        k, n = len(self.similarity), len(self.weight)
        if self.similarity.shape != (k, k, n) or n == 0 or k == 0:
            raise InputError(
                f"Expected similarities of shape (trackers, trackers, {n} frames), got {self.similarity.shape}."
            )
        if not (
            np.isfinite(self.weight).all() and (self.weight > 0).all() and abs(self.weight.sum() - 1) < 1e-9
        ):
            raise InputError("Expected weights above 0 that sum to 1.")
        if not ((self.similarity >= 0) & (self.similarity <= 1)).all():
            raise InputError("Expected similarities in [0, 1], none missing.")

    @property
    def trackers(self) -> int:
        """Number of trackers K."""
        return len(self.similarity)

    @cached_property
    def disagreement(self) -> Floats:
        """(N,) root mean square of 1 - similarity over the pairs of trackers; 0 for one tracker."""
        first, second = np.triu_indices(self.trackers, 1)
        if not len(first):
            return np.zeros(len(self.weight))
        # 1 - similarity bounds how far two qualities differ, and chances in proportion to a root mean square vary least.
        return np.sqrt(((1 - self.similarity[first, second]) ** 2).mean(axis=0))

    @cached_property
    def peers(self) -> Floats:
        """(K, N) mean similarity of each tracker to the others: the control variate. 0 below three trackers.

        With two trackers it would be the same for both and could not tell them apart.
        """
        k = self.trackers
        if k < 3:
            return np.zeros((k, len(self.weight)))
        return (self.similarity.sum(axis=1) - np.einsum("iin->in", self.similarity)) / (k - 1)

    @cached_property
    def ends(self) -> Floats:
        """(N,) where each frame's part of the unit interval ends; a point draws the frame in whose part it lies."""
        ends = np.cumsum(self.chance)
        return np.asarray(ends / ends[-1])

    def of_cells(self, cells: int) -> tuple[Floats, Floats]:
        """(cells,) weight of the frames in each cell of the draw, and (K, cells) weight times control variate; a frame
        that lies in two cells counts in each by its part."""
        edges, at = np.arange(cells + 1) / cells, np.concatenate([[0.0], self.ends])
        summed = np.cumsum(np.vstack([self.weight, self.weight * self.peers]), axis=1)
        of = np.stack([np.diff(np.interp(edges, at, np.concatenate([[0.0], row]))) for row in summed])
        return of[0], of[1:]

    @cached_property
    def chance(self) -> Floats:
        """(N,) chance of each frame to be drawn: half its weight, half its weight times disagreement; sums to 1."""
        if self.drawn is not None:
            return self.drawn
        leaning = self.weight * self.disagreement
        total = leaning.sum()
        # Half stays with the weights: with a tenth of them, frames that are seldom drawn weigh so much that a level's error
        # doubled on 70 clips. Leaning decides 2 to 4 more of 100 single videos, and 7 to 15 more of 100 sets of clips.
        return self.weight if total <= 0 else 0.5 * self.weight + 0.5 * leaning / total

    def keep(self, index: NDArray[np.int64]) -> Population:
        """The population of some of the frames, weights rescaled."""
        weight = self.weight[index]
        return Population(weight / weight.sum(), self.similarity[:, :, index])

    def without(self, tracker: int) -> Population:
        """The same frames, drawn with the same chances, without one of the trackers."""
        rest = np.delete(np.arange(self.trackers), tracker)
        return Population(self.weight, self.similarity[np.ix_(rest, rest)], self.chance)


def levels(budget: int) -> list[int]:
    """Numbers of labels at which the cells of a draw are all filled: each twice the one before, the last <= budget.

    `levels(80)` is [5, 10, 20, 40, 80]. The first is the number of cells to begin with, 5 to 9.

    Raises:
        InputError: A budget below 10, the fewest labels from which anything can be said, or above 10,000.
    """
    if budget < FIRST_LOOK:
        raise InputError(f"A verdict needs a budget of at least {FIRST_LOOK} labels, got {budget}.")
    if budget > MOST:
        raise InputError(f"budget={budget}: more than {MOST} labels are of no use; 80 usually decide.")
    cells = budget
    while cells >= 10:
        cells //= 2
    found = [cells]
    while found[-1] * 2 <= budget:
        found.append(found[-1] * 2)
    return found


def looks(budget: int, frames: int, trackers: int) -> list[int]:
    """Numbers of labels at which a decision may be made.

    Looking in between would call false winners (6 to 21 % of pairs of equal trackers), because some cells then hold
    two labels. On short videos, and for two trackers, which have no control variate, the first look comes later.
    """
    # False winners of exact ties in the worst pair: 34 % with the early look there, 24 % without.
    first = 2 * FIRST_LOOK if frames < 100 or trackers == 2 else FIRST_LOOK
    found = [n for n in levels(budget) if n >= first]
    return found or levels(budget)[-1:]


def spread(budget: int, rng: np.random.Generator) -> Floats:
    """(n,) points in [0, 1), one in each cell of every level, in random order within a level."""
    marks = levels(budget)
    points = list((np.arange(marks[0]) + rng.random(marks[0])) / marks[0])
    rng.shuffle(points)
    for cells in marks[1:]:
        taken = set(np.floor(np.array(points) * cells).astype(int).tolist())
        empty = np.array([c for c in range(cells) if c not in taken])
        fresh = (empty + rng.random(len(empty))) / cells
        rng.shuffle(fresh)
        points += fresh.tolist()
    # The last cell's point may be rounded up to 1, which lies in no cell.
    return np.minimum(np.array(points), np.nextafter(1.0, 0.0))


def draw(population: Population, budget: int, seed: int) -> tuple[NDArray[np.int64], Floats]:
    """Draw frames in the order in which they are to be labelled.

    The unit interval is cut into cells of equal chance along time. Each cell gets one uniform point; then every cell
    is halved and the empty halves get theirs, in random order, again and again.

    Returns:
        (n,) positions in the population, repeats allowed (asked once, counted twice), and their (n,) points in [0, 1).
    """
    u = spread(budget, np.random.default_rng(seed))
    index = np.searchsorted(population.ends, u, side="right")
    return np.minimum(index, len(population.weight) - 1).astype(np.int64), u


@dataclass(frozen=True)
class Estimate:
    """What labels on n drawn frames say about the mean over all frames.

    Attributes:
        value: (K,) estimated mean of each tracker.
        error: (K,) standard error.
        pair_error: (K, K) standard error of the difference of two trackers.
        freedom: Degrees of freedom of both.
        labels: Number of labels drawn, n (repeats counted).
        scale: By how much the mean over the drawn frames moves `value`.
    """

    value: Floats
    error: Floats
    pair_error: Floats
    freedom: float
    labels: int
    scale: float = 1.0

    def half_width(self, level: float) -> Floats:
        """(K,) half of the width of the interval of each tracker's mean."""
        return np.asarray(_student((1 + level) / 2, self.freedom) * self.error)

    def margin(self, alpha: float) -> Floats:
        """(K, K) by how much value[i] - value[j] exceeds the truth with a chance of at most alpha."""
        return np.asarray(_student(1 - alpha, self.freedom) * self.pair_error)

    def below(self, alpha: float) -> Floats:
        """(K, K) lower bounds of value[i] - value[j], each exceeded by the truth with chance 1 - alpha."""
        return self.value[:, None] - self.value[None, :] - self.margin(alpha)


@dataclass(frozen=True)
class Known:
    """What is known for certain from frames outside the population, in units of the population's mean.

    Attributes:
        value: (K,) sum of weight times quality.
        count: Sum of the weight that counts.
    """

    value: Floats
    count: float


def estimate(
    population: Population,
    index: NDArray[np.int64],
    points: Floats,
    quality: Floats,
    budget: int,
    *,
    count: Floats | None = None,
    known: Known | None = None,
) -> Estimate:
    """Estimate the mean quality over all frames that count from labels on the first n frames drawn.

    The control variate predicts each cell by a line through the labels of all other cells, and the cell's own labels
    correct the prediction. So no label is in the line that it corrects, and the mean over draws is the truth. Where a
    rule leaves frames out, labels tell how many: the mean is a ratio of two sums, quality where it counts over what counts,
    and its error that of the linearised ratio.

    Args:
        population: All frames.
        index: (n,) positions drawn, n >= 5.
        points: (n,) their points in [0, 1).
        quality: (K, n) what each tracker reached on these frames, by the metric.
        budget: As given to `draw`.
        count: (n,) how much of each frame counts, 0 to 1; by default all of it.
        known: Of frames outside the population; the estimate is of all frames then.
    """
    n, w = len(index), population.weight
    cells = max(m for m in levels(budget) if m <= n)
    cell = np.floor(points * cells).astype(np.int64)
    drawn = _Drawn(_shares(w[index] / population.chance[index], cell, cells), cell, cells)
    share = drawn.part / drawn.part.sum()
    counts = np.ones(n) if count is None else count
    sure = Known(np.zeros(len(quality)), 0.0) if known is None else known
    whole, labels = float(counts @ share) + sure.count, int((counts > 0).sum())
    if labels < (FIRST_LOOK if n >= FIRST_LOOK else 2):
        return _nothing(len(quality), n)
    ratio = ((quality * counts) @ share + sure.value) / whole
    excess = counts * (quality - ratio[:, None])
    peers = population.peers[:, index]
    slope = _fixed_slope(population.trackers, labels, bool((counts == 1).all()))
    line = _lines(drawn, peers, excess, slope)
    apart, together = line[..., :-1], line[..., -1:]
    of_weight, of_peers = population.of_cells(cells)
    off = excess - apart[0][:, cell] - apart[1][:, cell] * peers
    found = (apart[0] * of_weight + apart[1] * of_peers).sum(axis=1) + off @ drawn.part
    # A line that saw the label leaves too little of it, one that did not too much.
    half_way = (apart[1][:, cell] + together[1]) / 2
    rest = excess - (excess @ share)[:, None] - half_way * (peers - (peers @ share)[:, None])
    residual = cells * drawn.sums(rest) / whole
    alone = _variance(residual)
    pairs = _variance(residual[:, None, :] - residual[None, :, :])
    # Falls with the labels as the square of a standard error does: FLOOR is that of ten.
    floor = FLOOR**2 * 10 / n * float(counts @ share) / whole**2
    between = pairs[np.triu_indices(len(quality), 1)]
    pair_error = np.sqrt(_pooled(pairs, between.mean() if len(between) else 0.0, floor))
    np.fill_diagonal(pair_error, 0.0)
    # What successive differences of so many cells are worth (von Neumann, 1941); half of one is paid for the fitted slope.
    used = min(cells, labels)
    freedom = 2 * (used - 1) ** 2 / (3 * used - 4) - (0.5 if labels >= FIT_FROM else 0.0)
    return Estimate(
        ratio + (found + sure.value - ratio * sure.count) / whole,
        np.sqrt(_pooled(alone, alone.mean(), floor)),
        pair_error,
        freedom,
        n,
        1 / whole,
    )


def _nothing(trackers: int, n: int) -> Estimate:
    """The estimate from too few frames that count: anything is possible."""
    wide = np.full((trackers, trackers), np.inf)
    return Estimate(np.full(trackers, 0.5), wide[0], wide, 1.0, n)


def _student(chance: float, freedom: float) -> float:
    """Quantile of Student's t."""
    from scipy.special import (
        stdtrit,
    )  # scipy.stats takes seconds to be imported, which the first answer would wait for

    return float(stdtrit(freedom, chance))


def _shares(ratio: Floats, cell: NDArray[np.int64], cells: int) -> Floats:
    """(n,) what each label stands for: every cell the same, whether it holds one label or two."""
    return np.asarray(ratio / (cells * np.bincount(cell, minlength=cells)[cell]))


def _fixed_slope(trackers: int, labels: int, whole: bool) -> float | None:
    """The slope of quality on the control variate where it isn't fitted: 0 without one, with few labels 1, or 0 where frames
    are left out, because the control variate doesn't know which. None where it is."""
    if trackers < 3:
        return 0.0
    return float(whole) if labels < FIT_FROM else None


@dataclass(frozen=True)
class _Drawn:
    """Labels in the cells of the draw.

    Attributes:
        part: (n,) what each label stands for.
        cell: (n,) the cell in which it lies.
        cells: How many there are.
    """

    part: Floats
    cell: NDArray[np.int64]
    cells: int

    def sums(self, values: Floats) -> Floats:
        """(K, cells) sum of (K, n) values in each cell, each times what it stands for."""
        return np.stack([np.bincount(self.cell, self.part * row, self.cells) for row in values])


def _lines(drawn: _Drawn, x: Floats, y: Floats, slope: float | None) -> Floats:
    """(2, K, cells + 1) intercepts and slopes of y (K, n) on x: for each cell by the labels of all others, last by all.

    A slope that isn't given is fitted with a ridge, in [0, 1.5].
    """

    def left(values: Floats) -> Floats:
        own = drawn.sums(values)
        return np.asarray(own.sum(axis=1, keepdims=True) - np.pad(own, ((0, 0), (0, 1))))

    stands = left(np.ones((1, len(drawn.part))))
    mean_x, mean_y = left(x) / stands, left(y) / stands
    if slope is None:
        both, own = left(x * y) / stands - mean_x * mean_y, left(x * x) / stands - mean_x**2
        found = np.clip(both / (own + RIDGE), 0.0, 1.5)
    else:
        found = np.full(mean_y.shape, slope)
    return np.stack([mean_y - found * mean_x, found])


def _variance(cells: Floats) -> Floats:
    """Variance of the mean over cells in time, from successive differences; the last axis is the cells."""
    # About the mean, slow changes would count as noise: the overlap of one frame and the next correlates by .8, of frames
    # 20 apart still by .2.
    k = cells.shape[-1]
    return np.asarray((np.diff(cells, axis=-1) ** 2).sum(axis=-1) / (2 * (k - 1) * k))


def _pooled(variance: Floats, mean: float, floor: float) -> Floats:
    """Variances pooled upwards only: a tracker whose failures weren't drawn must not look certain."""
    # By their own variances the worst trackers of a video were covered .45 to .70 at 5 to 20 labels; without the first term
    # one that is noisier than its peers is covered .92 on white noise at 80.
    return np.maximum(np.maximum(variance, variance / 2 + mean / 2), floor)


def spend(alpha: float, at: list[int], index: int) -> float:
    """The part of an error alpha that the look number `index` may spend (Pocock's spending function).

    Without it, nine looks at 10 to 80 labels call a winner in 16 to 28 % of exact ties.

    Args:
        alpha: Error over all looks.
        at: Numbers of labels of all looks; the last is the end.
        index: Which look, from 0.
    """

    def spent(n: int) -> float:
        return alpha * float(np.log(1 + (np.e - 1) * n / at[-1]))

    return spent(at[index]) - (spent(at[index - 1]) if index else 0.0)
