"""What a tracker costs: steps, bounds, budgets; offline trackers, whose answers come late; the load of the machine."""

from __future__ import annotations

import time

import numpy as np
import pytest

import vtlab
from vtlab.comparison import Comparison, Run
from vtlab.contracts import Card, OfflineTracker
from vtlab.prompts import BoxPrompt
from vtlab.sequence import Sequence
from vtlab.testing.scenes import moving_square, square_box
from vtlab.trackers import load
from vtlab.trackers.measure import Timing, profile, speed, upper_bound
from vtlab.tracks import FrameTracks, Record, Tracks
from vtlab.video import open_video

N = 10
WORK = 0.2


class Slow(OfflineTracker):
    """Reads all frames, works, and answers at the end."""

    card = Card("slow-offline", "sot", accepts=frozenset({BoxPrompt}))

    def run(self, frames, prompts, n_frames):
        seen = [f.index for f in frames]
        time.sleep(WORK)
        for i in seen:
            yield i, FrameTracks.of([1], [square_box(i)])


def test_an_offline_tracker_is_neither_instant_nor_within_a_budget():
    """Its work lay in the first step, so its latency was 0.00 ms, and it was chosen for a budget of 15 ms."""
    truth = Tracks.of(np.arange(N), 1, [square_box(i) for i in range(N)])
    found = vtlab.compare(
        moving_square(N), [Slow], prompts=BoxPrompt(square_box(0)), truth=truth, budget_ms=15, progress=False
    )
    row, fps = found.table.iloc[0], found.sequences[0].video.fps
    delay = 1000 * (N - 1) / fps
    assert row["latency_ms"] == pytest.approx(1000 * WORK / N + delay, rel=0.2)
    assert row["fps"] < N / WORK
    assert "latency_p95_ms" not in found.table
    assert found.best() is None
    assert "none stays within 15 ms" in found.choice().why
    made = profile(Slow, moving_square(N), BoxPrompt(square_box(0)))
    assert made.timing.offline
    assert made.median_ms > delay
    assert np.isnan(made.p95_ms)
    assert made.fps < N / WORK


def test_decoding_is_no_work_of_an_offline_tracker(monkeypatch):
    from vtlab.trackers import loop

    read = loop.read_frames

    def slowly(video, part):
        for frame in read(video, part):
            time.sleep(0.02)
            yield frame

    monkeypatch.setattr(loop, "read_frames", slowly)
    tracks = vtlab.track(moving_square(N), BoxPrompt(square_box(0)), Slow, progress=False)
    assert WORK <= tracks.step_seconds.sum() < WORK + 0.1  # decoding took 0.2 s


def test_compare_and_profile_leave_out_the_same_steps():
    """Their frames a second differed: one counted the first step, the other left out four."""
    tracks = Tracks.of(np.arange(4), 1, step_seconds=[9.0, 0.1, 0.1, 0.1])
    assert speed([tracks])["fps"] == pytest.approx(10)
    assert Timing.of([tracks]).first_ms == 9000
    made = profile("ncc", moving_square(N), BoxPrompt(square_box(0)))
    assert made.fps == speed([made.tracks])["fps"]
    assert made.frames == N - 1


def test_a_bound_of_a_percentile_needs_59_frames():
    values = np.arange(1.0, 301.0)
    assert np.isnan(upper_bound(values[:58], 0.95))
    assert upper_bound(values[:59], 0.95) == 59
    assert upper_bound(values[:60], 0.95) == 60
    assert upper_bound(values[:100], 0.95) == 99
    assert upper_bound(values, 0.95) == 292
    rng = np.random.default_rng(0)
    covered = [upper_bound(rng.random(120), 0.95) >= 0.95 for _ in range(400)]
    assert np.mean(covered) > 0.94


def test_misses_are_those_of_the_worst_clip():
    timing = Timing((np.full(100, 5.0), np.r_[np.full(90, 5.0), np.full(10, 50.0)]))
    assert timing.over(15) == (10, 100)
    assert timing.keeps(15) is False
    assert Timing((np.full(100, 5.0),)).keeps(15) is True
    assert Timing((np.full(30, 5.0),)).keeps(15) is None
    assert Timing((np.r_[np.full(19, 5.0), 400.0],)).keeps(40) is False  # a stall in 20 frames
    assert Timing().keeps(15) is False
    assert Timing().over(15) == (0, 0)


def test_other_work_is_recorded_and_said(monkeypatch):
    ticks = iter([(0, 0), (800, 200)])
    monkeypatch.setattr(load, "_schedstat", lambda: next(ticks))
    assert load.Load().record()["waiting"] == 0.2
    busy = Tracks.of([0, 1, 2], 1, [square_box(i) for i in range(3)], step_seconds=[0.1] * 3)
    busy = busy.replace(record=Record(timing={"offline": False, "delay_ms": 0.0, "waiting": 0.2}))
    clip = Sequence("clip", open_video(moving_square(3)))
    found = Comparison((clip,), (Run("kcf", "clip", "sot", busy),))
    assert "Times disturbed by other work: kcf waited 20% of the time." in found.board("sot").caption


def test_a_run_records_how_its_times_are_to_be_read(tmp_path):
    tracks = vtlab.track(moving_square(N), BoxPrompt(square_box(0)), "ncc", progress=False)
    again = Tracks.load(tracks.save(tmp_path / "t.parquet"))
    assert again.record.timing == tracks.record.timing
    assert tracks.record.timing["offline"] is False
    assert tracks.record.timing["delay_ms"] == 0
