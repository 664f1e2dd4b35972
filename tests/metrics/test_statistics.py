"""Intervals, paired tests and tie groups."""

from __future__ import annotations

import numpy as np
import pytest

from vtlab.errors import InputError
from vtlab.metrics import statistics
from vtlab.metrics.evaluation import Part
from vtlab.metrics.mot import Counts
from vtlab.metrics.rules import POINTS


def runs(values, tracker_noise=0.0, seed=0):
    rng = np.random.default_rng(seed)
    noise = rng.normal(0, tracker_noise, len(values)) if tracker_noise else np.zeros(len(values))
    return [
        Part("points", POINTS["tapvid-first"], {"AJ": float(v + e)}, {}, f"s{i}")
        for i, (v, e) in enumerate(zip(values, noise, strict=True))
    ]


def test_interval_covers_the_mean_of_sequences():
    rng = np.random.default_rng(1)
    covered = 0
    for trial in range(60):
        values = rng.normal(0.6, 0.1, 25)
        found = statistics.intervals(runs(values), samples=300, seed=trial)["AJ"]
        assert found.value == pytest.approx(values.mean())
        covered += found.low <= 0.6 <= found.high
    assert covered >= 60 * 0.85


def test_one_sequence_has_no_interval_and_no_groups():
    found = statistics.intervals(runs([0.5]))["AJ"]
    assert np.isnan(found.low)
    board = statistics.leaderboard({"a": runs([0.5]), "b": runs([0.4])}, "AJ")
    assert list(board.index) == ["a", "b"]
    assert board.group.isna().all()


def test_paired_test_by_hand():
    # Four sequences, always 0.1 better: of 2**4 swaps only the two unanimous ones are as extreme.
    a, b = runs([0.5, 0.6, 0.7, 0.8]), runs([0.4, 0.5, 0.6, 0.7])
    found = statistics.paired(a, b, "AJ")
    assert found.difference == pytest.approx(0.1)
    assert found.p == pytest.approx(2 / 16)
    assert (found.low, found.high) == pytest.approx((0.1, 0.1))
    assert statistics.paired(a, a, "AJ").p == 1


def test_pooled_metrics_are_drawn_by_sequence():
    long = Part("mot", POINTS["tapvid-first"], Counts(CLR_TP=900, CLR_FN=100), {}, "long")
    short = Part("mot", POINTS["tapvid-first"], Counts(CLR_TP=0, CLR_FN=10), {}, "short")
    found = statistics.intervals([long, short], samples=500)["MOTA"]
    assert found.value == pytest.approx(900 / 1010)
    assert (found.low, found.high) == pytest.approx((0, 0.9))


def test_tie_groups():
    rng = np.random.default_rng(0)
    base = rng.uniform(0.3, 0.9, 20)
    board = statistics.leaderboard(
        {"twin": runs(base, 0.02, 1), "best": runs(base + 0.003, 0.02, 2), "weak": runs(base - 0.2, 0.02, 3)},
        "AJ",
    )
    assert board.index[-1] == "weak"
    assert board.group.tolist() == [1, 1, 2]
    assert (board.low <= board.value).all()
    assert (board.value <= board.high).all()


def test_a_tracker_without_a_value_comes_last():
    board = statistics.leaderboard({"none": runs([np.nan] * 4), "some": runs([0.1, 0.2, 0.3, 0.4])}, "AJ")
    assert board.index.tolist() == ["some", "none"]


def test_seed_makes_it_repeatable_and_errors_say_why():
    a, b = runs(np.linspace(0, 1, 12)), runs(np.linspace(0, 1, 12)[::-1])
    assert statistics.intervals(a, seed=3) == statistics.intervals(a, seed=3)
    with pytest.raises(InputError, match="same sequences"):
        statistics.paired(a, b[::-1], "AJ")
    with pytest.raises(InputError, match="no metric 'HOTA'"):
        statistics.paired(a, b, "HOTA")
