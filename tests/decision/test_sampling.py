"""Intervals and decisions from few labels, held against truths that are known on every frame.

No interval below ten labels; bias, coverage and false winners are counted over seeded draws. The mutants at the end
are ways of doing it wrong that would look right on one video: each must be caught by these very checks.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from scipy.special import stdtrit

from vtlab.decision import sampling
from vtlab.decision.betting import Race
from vtlab.decision.sampling import Population, draw, estimate, levels, looks, spend, spread
from vtlab.errors import InputError
from vtlab.geometry import paired_iou

DRAWS = 150


def curve(kind: str, n: int, rng: np.random.Generator) -> np.ndarray:
    """A quality over n frames, in [0, 1]."""
    t = np.arange(n) / n
    if kind == "constant":
        return np.full(n, 0.7)
    if kind == "step":
        return np.where(t < 0.4, 0.85, 0.1)
    if kind == "two steps":
        return np.select([t < 0.3, t < 0.6], [0.9, 0.2], 0.7)
    if kind == "burst":
        return np.where((t > 0.5) & (t < 0.55), 0.0, 0.8)
    if kind == "periodic":
        return 0.5 + 0.4 * np.sin(2 * np.pi * 10 * t)
    if kind == "white":
        return rng.random(n)
    noise, x = rng.normal(0, 0.1, n), np.zeros(n)
    for i in range(1, n):
        x[i] = 0.95 * x[i - 1] + noise[i]
    return np.clip(0.6 + x, 0, 1)


KINDS = ("constant", "step", "two steps", "burst", "periodic", "white", "ar")


SIDE = 60.0
AWAY = ((1, 0), (-1, 0), (0, 1))


def scene(kind: str, n: int, clips: int = 1) -> tuple[Population, np.ndarray]:
    """n frames of real boxes: the population of 3 trackers, and the true quality (3, n) of each.

    Each tracker follows the curve with noise of its own by standing beside the truth, each on another side, so that
    what they have in common is what boxes can have. The clips are of 10 to 30 % of the frames and count the same.
    """
    rng = np.random.default_rng([KINDS.index(kind), n])
    wanted = np.stack([np.clip(curve(kind, n, rng) + rng.normal(0, 0.05, n), 0.01, 1) for _ in AWAY])
    shift = (SIDE * (1 - wanted) / (1 + wanted))[:, :, None] * np.array(AWAY)[:, None, :]
    boxes = np.concatenate([shift, shift + SIDE], axis=2)
    quality = paired_iou(boxes, np.array([0.0, 0.0, SIDE, SIDE]))
    size = np.array([n]) if clips == 1 else np.round(n * np.array([0.1, 0.15, 0.2, 0.25])).astype(int)
    size = size if clips == 1 else np.append(size, n - size.sum())
    weight = np.repeat(1 / (clips * size), size)
    return Population(weight, paired_iou(boxes[:, None], boxes[None])), quality


@pytest.mark.parametrize(
    ("budget", "expected"),
    [(80, [5, 10, 20, 40, 80]), (40, [5, 10, 20, 40]), (100, [6, 12, 24, 48, 96]), (10, [5, 10])],
)
def test_levels_double_up_to_the_budget(budget, expected):
    assert levels(budget) == expected


def test_a_budget_that_can_say_nothing_is_refused():
    with pytest.raises(InputError, match="at least 10 labels"):
        levels(9)


def test_a_decision_comes_later_where_little_is_known():
    assert looks(80, 640, 3) == [10, 20, 40, 80]
    assert looks(80, 74, 3) == looks(80, 640, 2) == [20, 40, 80]


def test_errors_spent_at_all_looks_are_the_error():
    at = [10, 20, 40, 80]
    assert sum(spend(0.05, at, i) for i in range(4)) == pytest.approx(0.05)


@pytest.mark.parametrize("budget", [40, 80])
def test_each_level_puts_one_frame_into_each_cell(budget):
    population, _ = scene("ar", 300)
    index, points = draw(population, budget, seed=3)
    for cells in levels(budget):
        assert sorted(np.floor(points[:cells] * cells).astype(int)) == list(range(cells))
    assert index.min() >= 0
    assert index.max() < 300


def test_the_draw_follows_its_chances():
    population, _ = scene("step", 60)
    counts = np.zeros(60)
    for seed in range(400):
        counts += np.bincount(draw(population, 80, seed)[0], minlength=60)
    expected = 400 * 80 * population.chance
    assert np.abs(counts - expected).max() < 6 * np.sqrt(expected.max())


LENGTHS = ((30, 5), (74, 1), (200, 5), (2000, 1))
"""(frames, clips)."""
AT = (10, 20, 40, 80)


def covered(kind: str, n: int, clips: int, labels: int, draws: int = DRAWS) -> tuple[np.ndarray, ...]:
    """(3,) bias of each tracker's value, its simulation error, and the coverage."""
    population, quality = scene(kind, n, clips)
    truth = quality @ population.weight
    error, half = [], []
    for seed in range(draws):
        i, u = (x[:labels] for x in draw(population, 80, seed))
        made = estimate(population, i, u, quality[:, i], 80)
        error.append(made.value - truth)
        half.append(made.half_width(0.95))
    found = np.array(error)
    noise = found.std(axis=0) / np.sqrt(draws)
    return found.mean(axis=0), noise, (np.abs(found) <= half).mean(axis=0)


def honest(kind: str, n: int, clips: int, labels: int) -> float:
    """The coverage, or an AssertionError where the estimate is biased beyond the simulation's noise."""
    bias, noise, coverage = covered(kind, n, clips, labels)
    assert (np.abs(bias) <= 4 * noise + 1e-12).all(), (kind, labels, bias, noise)
    assert coverage.min() >= 0.90, (kind, labels, coverage)
    return float(coverage.mean())


MANY = 2000


@cache
def many_points() -> np.ndarray:
    """(MANY, 80) the points of many draws."""
    return np.stack([spread(80, np.random.default_rng(seed)) for seed in range(MANY)])


def in_cells(population: Population, values: np.ndarray, cells: int) -> np.ndarray:
    """(..., cells) sum of weight times (..., N) values over each cell of the draw, frame by frame."""
    ends = np.cumsum(population.chance)
    ends, out = ends / ends[-1], np.zeros((*values.shape[:-1], cells))
    for h in range(cells):
        low, high = np.maximum(np.append(0, ends[:-1]), h / cells), np.minimum(ends, (h + 1) / cells)
        part = np.maximum(high - low, 0) / population.chance
        out[..., h] = values @ (part * population.weight)
    return out


def all_at_once(
    population: Population, quality: np.ndarray, labels: int, own: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """(K, MANY) values and half-widths of many draws, by the recipe's formulas for cells that hold one label each.

    Args:
        own: The mutant: one line through all labels corrects the whole, as if no label had a part in it.
    """
    points, ends = np.sort(many_points()[:, :labels], axis=1), np.cumsum(population.chance)
    index = np.minimum(np.searchsorted(ends / ends[-1], points, side="right"), len(ends) - 1)
    weight, k = population.weight[index] / population.chance[index] / labels, len(quality)
    peers = (population.similarity.sum(axis=1) - 1) / (k - 1) if k > 2 else np.zeros_like(quality)
    y, x = quality[:, index], peers[:, index]

    def line(mean) -> tuple[np.ndarray, ...]:
        mean_y, mean_x = mean(y), mean(x)
        slope = np.full(mean_y.shape, float(k > 2))
        if k > 2 and labels >= 20:
            fit = (mean(x * y) - mean_x * mean_y) / (mean(x * x) - mean_x**2 + 0.002)
            slope = np.clip(fit, 0, 1.5)
        return mean_y, mean_x, slope

    def others(v: np.ndarray) -> np.ndarray:
        return ((weight * v).sum(axis=-1, keepdims=True) - weight * v) / (
            weight.sum(1, keepdims=True) - weight
        )

    mean_y, mean_x, slope = line(lambda v: (weight * v).sum(-1, keepdims=True) / weight.sum(1, keepdims=True))
    their_y, their_x, apart = line(others)
    if own:
        value = (mean_y + slope * ((peers @ population.weight)[:, None, None] - mean_x))[..., 0]
    else:
        level = their_y - apart * their_x
        known = in_cells(population, np.ones(len(ends)), labels), in_cells(population, peers, labels)[:, None]
        value = (level * known[0] + apart * known[1] + weight * (y - level - apart * x)).sum(axis=-1)
    rest = labels * weight * (y - mean_y - (slope + apart) / 2 * (x - mean_x))
    alone = (np.diff(rest, axis=-1) ** 2).sum(axis=-1) / (2 * (labels - 1) * labels)
    error = np.maximum(np.maximum(alone, alone / 2 + alone.mean(axis=0) / 2), 0.01**2 * 10 / labels)
    freedom = 2 * (labels - 1) ** 2 / (3 * labels - 4) - (0.5 if labels >= 20 else 0)
    return value, stdtrit(freedom, 0.975) * np.sqrt(error)


def simulated(kind: str, n: int, clips: int, trackers: int, labels: int) -> tuple[np.ndarray, np.ndarray]:
    """Of each tracker over MANY draws: the bias in its simulation errors, and the coverage.

    The draws are those of `draw`, and the numbers those of `estimate`, to the last digits.
    """
    population, quality = of_trackers(kind, n, clips, trackers)
    value, half = all_at_once(population, quality, labels)
    index, points = (x[:labels] for x in draw(population, 80, 7))
    made = estimate(population, index, points, quality[:, index], 80)
    assert np.allclose(made.value, value[:, 7], atol=1e-12)
    assert np.allclose(made.half_width(0.95), half[:, 7])
    error = value - (quality @ population.weight)[:, None]
    return bias_in_errors(error), (np.abs(error) <= half).mean(axis=1)


def of_trackers(kind: str, n: int, clips: int, trackers: int) -> tuple[Population, np.ndarray]:
    population, quality = scene(kind, n, clips)
    return Population(population.weight, population.similarity[:trackers, :trackers]), quality[:trackers]


def bias_in_errors(error: np.ndarray) -> np.ndarray:
    """(K,) how many simulation errors the mean of (K, MANY) errors lies from 0."""
    return np.abs(error.mean(axis=1)) / np.maximum(error.std(axis=1) / np.sqrt(MANY), 1e-12)


CASES = [(kind, n, clips, 3) for kind in KINDS for n, clips in LENGTHS] + [
    (kind, 200, 5, 2) for kind in KINDS
]


@pytest.mark.parametrize("labels", AT)
def test_levels_are_unbiased_and_covered_over_two_thousand_draws(labels):
    """Within three simulation errors everywhere. Two trackers aren't decided between at ten labels, and a burst that three
    trackers' control variate foretells is covered less there (measured: .895)."""
    found = {case: simulated(*case, labels) for case in CASES}
    assert max(bias.max() for bias, _ in found.values()) < 3, {case: of[0] for case, of in found.items()}
    held = {case: of[1] for case, of in found.items()}
    due = [h.min() for (*_, trackers), h in held.items() if trackers == 3 or labels >= 20]
    assert min(due) >= 0.90, held
    assert np.mean([h.mean() for h in held.values()]) >= 0.94


def test_a_line_that_goes_through_the_label_which_it_corrects_is_caught():
    """The mutant is biased in every third case; lines through the other labels cost next to nothing beside it."""
    biased, cost = [], []
    for case in CASES:
        population, quality = of_trackers(*case)
        truth = (quality @ population.weight)[:, None]
        (mine, _), (through, _) = (all_at_once(population, quality, 20, own) for own in (False, True))
        biased.append(bias_in_errors(through - truth).max() > 3)
        cost.append(np.sqrt(((mine - truth) ** 2).mean() / ((through - truth) ** 2).mean()))
    assert np.mean(biased) > 0.3
    assert np.mean(cost) < 1.02, cost


def tie(kind: str, n: int) -> tuple[Population, np.ndarray]:
    """Two trackers of exactly the same mean, and a third far below."""
    population, quality = scene(kind, n)
    gap = quality[0] - quality[1]
    return population, np.stack([quality[0], quality[1] + gap @ population.weight, quality[2] * 0.2])


def swap(n: int) -> tuple[Population, np.ndarray]:
    """Two trackers that swap their parts half-way."""
    rng = np.random.default_rng(n)
    first = np.where(np.arange(n) < n // 2, 0.9, 0.3)
    quality = np.clip(np.stack([first, first[::-1]]) + rng.normal(0, 0.01, (2, n)), 0, 1)
    quality[1] += (quality[0] - quality[1]).mean()
    alike = 1 - np.abs(quality[:, None] - quality[None])
    return Population(np.full(n, 1 / n), np.clip(alike, 0, 1)), quality


def false_winners(population, quality, at, spent=spend, draws=DRAWS) -> float:
    """Share of draws in which any look calls one of the first two strictly better than the other."""
    called = []
    for seed in range(draws):
        index, points = draw(population, 80, seed)
        found = False
        for j, n in enumerate(at):
            low = estimate(population, index[:n], points[:n], quality[:, index[:n]], 80).below(
                spent(0.05 / (len(quality) - 1), at, j)
            )
            found |= low[0, 1] > 0 or low[1, 0] > 0
        called.append(found)
    return float(np.mean(called))


MEAN, MOST = 0.06, 0.15
"""False winners over all ties and in the worst of them; measured 0 to 4.5 %."""


def test_equal_trackers_are_rarely_told_apart():
    ties = [tie(kind, n) for kind in ("white", "ar", "two steps") for n in (74, 200, 2000)]
    ties += [swap(n) for n in (200, 2000)]
    called = [false_winners(*t, looks(80, len(t[0].weight), len(t[1]))) for t in ties]
    assert np.mean(called) <= MEAN, called
    assert max(called) <= MOST, called


def test_looking_all_the_time_is_caught():
    every = list(range(10, 81, 5))
    assert false_winners(*tie("white", 2000), every, lambda alpha, *_: 2 * alpha) > MOST


def test_looking_between_levels_is_caught(monkeypatch):
    """Labels all count the same although some cells hold two: the error, which is of cells, does not see it."""
    known = estimate

    def flat(population, index, points, quality, budget):
        share = population.weight[index] / population.chance[index]
        made = known(population, index, points, quality, budget)
        return replace(made, value=quality @ share / share.sum())

    monkeypatch.setitem(globals(), "estimate", flat)
    every = list(range(10, 81, 5))
    assert np.mean([false_winners(*swap(n), every) for n in (200, 2000)]) > MEAN


def test_labels_without_weights_are_caught(monkeypatch):
    monkeypatch.setattr(sampling, "_shares", lambda ratio, *_: np.full(len(ratio), 1 / len(ratio)))
    with pytest.raises(AssertionError, match="two steps"):
        honest("two steps", 200, 5, 10)


def test_frames_of_most_disagreement_in_place_of_a_draw_are_caught(monkeypatch):
    def worst(population, budget, seed):
        order = np.argsort(-population.disagreement, kind="stable")[:budget]
        return order, (np.arange(budget) + 0.5) / budget

    monkeypatch.setitem(globals(), "draw", worst)
    with pytest.raises(AssertionError, match="step"):
        honest("step", 200, 1, 40)


def test_chances_that_are_not_those_of_the_draw_are_caught(monkeypatch):
    """Drawn by weight alone, counted as if it leaned towards disagreement."""

    def flat(population, budget, seed):
        points = draw_known(population, budget, seed)[1]
        return np.floor(points * len(population.weight)).astype(int), points

    draw_known = draw
    monkeypatch.setitem(globals(), "draw", flat)
    with pytest.raises(AssertionError, match="two steps"):
        honest("two steps", 200, 1, 10)


def test_normal_quantiles_are_caught(monkeypatch):
    """Ten labels hold too little for the normal distribution."""
    known = estimate
    monkeypatch.setitem(globals(), "estimate", lambda *args: replace(known(*args), freedom=np.inf))
    with pytest.raises(AssertionError, match="periodic"):
        honest("periodic", 2000, 1, 10)


def test_a_slope_fitted_to_ten_labels_is_caught(monkeypatch):
    monkeypatch.setattr(sampling, "FIT_FROM", 0)
    with pytest.raises(AssertionError, match="burst"):
        honest("burst", 2000, 1, 10)


def bets(kind: str, choose=lambda race, position: position) -> float:
    """Share of races of two equal trackers in which one is called better at any of 60 stops."""
    population, quality = swap(120)
    if kind != "swap":
        quality = np.random.default_rng(5).random((2, 120)) * 0.8
        quality[1] += (quality[0] - quality[1]).mean()
        population = Population(population.weight, 1 - np.abs(quality[:, None] - quality[None]))
    wrong = []
    for seed in range(60):
        race = Race(population, 0.0, 0.05, seed)
        while (i := race.next()) is not None and len(race.labelled) < 60:
            race.add(quality[:, choose(race, i)])
        wrong.append(bool(race.shown[0, 1] or race.shown[1, 0]))
    return float(np.mean(wrong))


@pytest.mark.parametrize("kind", ["swap", "white"])
def test_the_bet_is_hardly_ever_wrong_at_any_stop(kind):
    assert bets(kind) <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 60)


def test_a_bet_with_a_margin_is_hardly_ever_wrong_where_the_margin_is_just_missed():
    """The first is exactly the margin below the second, so "at most the margin below" is the claim to be refused."""
    rng, n, within, wrong = np.random.default_rng(6), 120, 0.1, []
    quality = 0.2 + 0.6 * rng.random((2, n))
    quality[0] += (quality[1] - quality[0]).mean() - within - 1e-9
    alike = 1 - np.abs(quality[:, None] - quality[None])
    for seed in range(60):
        race = Race(Population(np.full(n, 1 / n), alike), within, 0.05, seed)
        while race.next() is not None and len(race.labelled) < 60:
            race.add(quality[:, race.next()])
        wrong.append(bool(race.shown[0, 1]))
    assert np.mean(wrong) <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 60)


def test_a_bet_where_few_frames_differ_stakes_no_more_than_it_can_lose():
    """On most frames both answers are the same, on the rest either wins: what one frame can cost is far above the mean."""
    n, wrong = 200, []
    quality = np.full((2, n), 0.6)
    quality[0, :8] += 0.2
    quality[1, 8:16] += 0.2
    alike = 1 - np.abs(quality[:, None] - quality[None])
    for seed in range(60):
        race = Race(Population(np.full(n, 1 / n), alike), 0.0, 0.05, seed)
        while race.next() is not None and len(race.labelled) < 14:
            race.add(quality[:, race.next()])
        wrong.append(bool(race.shown[0, 1] or race.shown[1, 0]))
    assert np.mean(wrong) <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 60)


def test_more_rivals_need_more_proof():
    """The loser's clones say nothing new, but each is a claim of its own, and the chance of error is shared."""
    n, needed = 400, []
    for count in (2, 6):
        quality = np.full((count, n), 0.4)
        quality[0] = 0.8
        alike = 1 - np.abs(quality[:, None] - quality[None])
        race = Race(Population(np.full(n, 1 / n), alike), 0.0, 0.05, 1)
        while not race.shown[0, 1]:
            race.add(quality[:, race.next()])
        needed.append(len(race.labelled))
    assert needed[1] > needed[0]


def test_labels_that_are_not_of_the_drawn_frames_are_caught():
    """The mutant: somebody labels the beginning of the video in place of what was drawn."""
    assert bets("swap", lambda race, position: len(race.labelled)) > 0.5


def test_what_nobody_can_tell_never_helps_a_claim():
    population, quality = swap(60)
    sure, unsure = Race(population, 0.02, 0.05, 1), Race(population, 0.02, 0.05, 1)
    for turn in range(20):
        i = sure.next()
        assert i == unsure.next()
        sure.add(quality[:, i])
        unsure.add(None if turn % 3 == 0 else quality[:, i])
    assert not (unsure.shown & ~sure.shown).any()


def test_a_bet_starts_from_what_is_known():
    """Half of the frames known, with a lead that the rest can't make up."""
    population = Population(
        np.full(10, 0.1), np.where(np.eye(2)[:, :, None] > 0, 1.0, np.full((2, 2, 10), 0.8))
    )
    assert Race(population, 0.0, 0.05, 1, np.array([0.9, 0.6])).good_enough().tolist() == [True, False]
    assert not Race(population, 0.0, 0.05, 1, np.array([0.7, 0.6])).good_enough().any()


def test_the_bet_finds_a_clear_winner():
    n = 200
    quality = np.stack([np.full(n, 0.8), np.full(n, 0.2)])
    alike = np.ones((2, 2, n))
    alike[0, 1] = alike[1, 0] = 0.3
    race = Race(Population(np.full(n, 1 / n), alike), 0.0, 0.05, 1)
    while not race.good_enough().any():
        race.add(quality[:, race.next()])
    assert race.good_enough().tolist() == [True, False]
    assert len(race.labelled) < 30
