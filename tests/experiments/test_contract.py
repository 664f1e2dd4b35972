"""The contract of resources: what is measured, and that only what is shown counts as kept."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from vtlab.datasets.synthetic import synthetic
from vtlab.decision.limits import Cost, Limits, checks
from vtlab.errors import ExperimentError
from vtlab.experiments.axes import Method
from vtlab.experiments.contract import contract, to_and_fro
from vtlab.testing.scenes import moving_square
from vtlab.trackers.measure import Timing
from vtlab.trackers.memory import growth
from vtlab.video import open_video

NCC = Method("ncc", {}, "ncc")


def test_a_clip_is_played_to_and_fro():
    video = open_video(moving_square(4), fps=10)
    longer = to_and_fro(video, 9)
    shown = [next(i for i in range(4) if np.array_equal(f.image, video[i])) for f in longer.frames()]
    assert shown == [0, 1, 2, 3, 2, 1, 0, 1, 2]
    assert np.allclose(np.diff(longer.timestamps), 0.1)


def test_a_long_run_is_measured_without_truth():
    clip = synthetic(seconds=1, objects=1, size=(96, 72), difficulty="easy")
    found = contract(replace(clip, truth=None), NCC, frames=400, objects=(1, 2), objects_frames=20)
    told = found.metrics
    assert told["p50_low_ms"] <= told["p50_ms"] <= told["p50_high_ms"]
    assert told["p50_ms"] <= told["p95_ms"] <= told["p99_ms"]
    assert told["growth_low_mb"] <= told["growth_mb"] <= told["growth_high_mb"]
    assert told["ms at 2 objects"] > 0
    assert len(found.tracks.frames) == 400
    with pytest.raises(ExperimentError, match="at least 400 frames"):
        contract(clip, NCC, frames=100)
    with pytest.raises(ExperimentError, match="objects"):
        contract(clip, NCC, frames=400, objects=(0,), objects_frames=20)


def test_growth_is_shown_where_it_is_steady_and_not_where_memory_steps_once():
    rng, frames = np.random.default_rng(0), np.arange(1000)
    steady = growth((50 * frames).tolist())
    assert steady == pytest.approx((50, 50, 50))
    noisy = growth((50 * frames + rng.normal(0, 500, 1000)).astype(int).tolist())
    assert 0 < noisy[1] < 50 < noisy[2]
    for at in (300, 600, 900):
        once = growth(np.where(frames > at, 4_000_000, 0).tolist())
        assert once[1] < 0 < once[2]
    start = growth(np.where(frames > 100, 4_000_000, 0).tolist())
    assert start == (0, 0, 0)  # the first 200 frames don't count
    covered = []
    for _ in range(200):
        walk = 50 * frames + np.cumsum(rng.normal(0, 3000, 1000))
        _, low, high = growth(walk.tolist())
        covered.append(low <= 50 <= high)
    assert np.mean(covered) >= 0.92


def state(limit, cost, value):
    (found,) = checks(cost, Limits(**{limit: value}))
    return found.kept


def test_only_what_is_shown_is_kept():
    steps = np.concatenate([np.full(990, 5.0), np.full(10, 60.0)])
    timing = Timing((steps,), first_ms=5.0, devices=("cpu",), threads={}, waiting=0.0)
    cost = Cost("a", timing, 10.0, 0.0, "MIT", True, by_objects={1: 5.0, 3: 9.0}, growth=(2.0, 1.0, 3.0))
    assert [state("growth_mb", cost, v) for v in (3.5, 2.5, 0.5)] == [True, None, False]
    assert [state("object_ms", cost, v) for v in (2.5, 1.5)] == [True, False]
    assert [state("p99_ms", cost, v) for v in (70, 4)] == [True, False]
    assert state("p99_ms", cost, 30) is None  # the value is below, its bound is not
    few = replace(cost, growth=(math.nan,) * 3, by_objects={})
    assert state("growth_mb", few, 5) is None
    assert state("object_ms", few, 5) is None
    assert "5 MB more in 1,000 frames" in Limits(growth_mb=5).text
