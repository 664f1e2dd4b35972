"""What a tracker costs: steps, bounds, budgets; offline trackers, whose answers come late; the load of the machine."""

from __future__ import annotations

import sys
import time

import numpy as np
import pytest

import vtlab
from vtlab.comparison import Comparison, Run
from vtlab.contracts import Card, OfflineTracker, OnlineTracker
from vtlab.errors import InputError
from vtlab.prompts import BoxPrompt
from vtlab.sequence import Sequence
from vtlab.testing.scenes import moving_square, square_box
from vtlab.trackers import load
from vtlab.trackers.measure import Timing, lower_bound, most_missed, speed, upper_bound
from vtlab.trackers.profiling import profile
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
    assert np.isnan(lower_bound(values[:4], 0.5))
    assert lower_bound(values[:5], 0.5) == 1
    rng = np.random.default_rng(0)
    for share in (0.5, 0.95):
        drawn = [rng.random(120) for _ in range(600)]
        assert np.mean([upper_bound(v, share) >= share for v in drawn]) > 0.94
        assert np.mean([lower_bound(v, share) <= share for v in drawn]) > 0.94


def test_percentiles_come_with_bounds_of_the_worst_clip():
    fast, slow = np.arange(1.0, 101.0), np.arange(101.0, 201.0)
    timing = Timing((fast, slow))
    assert timing.bounds_ms(0.5) == (lower_bound(fast, 0.5), upper_bound(slow, 0.5))
    assert timing.p95_upper_ms == upper_bound(slow, 0.95)
    assert timing.max_ms == 200
    assert timing.percentile_ms(0.99) == pytest.approx(np.quantile(np.r_[fast, slow], 0.99))
    assert np.isnan(Timing((fast,), offline=True).bounds_ms(0.5)).all()
    row = speed([Tracks.of(np.arange(101), 1, step_seconds=np.r_[1.0, fast / 1000])])
    assert row["latency_max_ms"] == pytest.approx(100)
    assert row["latency_p99_ms"] == pytest.approx(np.quantile(fast, 0.99))


def test_missed_deadlines_have_an_upper_bound():
    assert most_missed(0, 100) == pytest.approx(3 / 100, rel=0.02)  # the rule of three
    assert most_missed(0, 59) < 0.05 < most_missed(0, 58)
    assert most_missed(5, 5) == 1
    assert np.isnan(most_missed(0, 0))
    rng = np.random.default_rng(1)
    covered = [most_missed(int(k), 200) >= 0.03 for k in rng.binomial(200, 0.03, 500)]
    assert np.mean(covered) > 0.94


class Cuda:
    """A GPU that works on after PyTorch's call has returned, until somebody waits for it."""

    def __init__(self):
        self.cuda, self.until = self, 0.0

    def is_available(self):
        return True

    is_initialized = is_available

    def reset_peak_memory_stats(self):
        pass

    def memory_allocated(self):
        return 5 << 20

    def max_memory_allocated(self):
        return 8 << 20

    def get_device_name(self, _):
        return "a fake GPU"

    def get_num_threads(self):
        return 3

    def synchronize(self):
        time.sleep(max(self.until - time.perf_counter(), 0))


class OnGpu(OnlineTracker):
    """Hands work of 30 ms to the GPU and goes on."""

    card = Card("on-gpu", "sot", accepts=frozenset({BoxPrompt}))

    def init(self, frame, prompts):
        return self.step(frame, prompts)

    def step(self, frame, prompts):
        sys.modules["torch"].until = time.perf_counter() + 0.03
        return FrameTracks.of([1], [square_box(frame.index)])

    def remove(self, object_ids):
        pass


def test_work_on_a_gpu_is_done_when_its_time_is_taken(monkeypatch):
    """Without waiting, every step took no time, and whoever needed the GPU next paid for it."""
    monkeypatch.setitem(sys.modules, "torch", Cuda())
    tracks = vtlab.track(moving_square(6), BoxPrompt(square_box(0)), OnGpu, progress=False)
    assert (tracks.step_seconds > 0.029).all()
    assert tracks.record.timing["device"] == "cuda"
    assert tracks.record.timing["threads"]["torch"] == 3
    assert tracks.record.memory["gpu_peak_bytes"] == 8 << 20


def test_a_profile_says_what_a_tracker_costs():
    made = profile("ncc", moving_square(N), BoxPrompt(square_box(0)), budget_ms=1e6, objects=(1, 3))
    table = made.table
    assert table.index.tolist() == ["p50", "p95", "p99", "max"]
    assert table.loc["p50", "low"] <= table.loc["p50", "value"] <= table.loc["p50", "high"]
    assert np.isnan(table.loc["p95", "high"])  # nine frames can't bound it
    facts = made.facts()
    assert (facts["missed"], facts["of"], facts["keeps"]) == (0, N - 1, None)
    assert facts["missed_share_at_most"] == pytest.approx(most_missed(0, N - 1))
    assert list(made.by_objects) == [1, 3]
    assert made.object_ms == pytest.approx((made.by_objects[3] - made.by_objects[1]) / 2)
    told = " ".join(made.notes)
    assert "First step" in told
    assert f"0 of {N - 1} frames took longer than 1e+06 ms" in told
    assert "59 frames are needed" in told
    assert "is not told below 20 frames" in told
    assert facts["device"] == "cpu"
    assert facts["threads"]["opencv"] >= 1
    assert profile("ncc", moving_square(20), BoxPrompt(square_box(0))).slope_mb < 50


def test_a_profile_of_an_offline_tracker_names_work_and_delay():
    made = profile(Slow, moving_square(N), BoxPrompt(square_box(0)), budget_ms=1000)
    assert made.table.index.tolist() == ["work + delay"]
    assert "It answers late" in made.notes[0]
    assert made.facts()["keeps"] is False


@pytest.mark.parametrize(
    ("tracker", "given", "message"),
    [
        ("ncc", {"budget_ms": 0}, "budget_ms must be above 0"),
        ("ncc", {"objects": (0, 2)}, "needs numbers from 1 on"),
        ("bytetrack", {"objects": (2,)}, "it finds its objects itself"),
        ("ncc", {"warmup": 50}, "too few to measure after a warm-up of 50"),
    ],
)
def test_a_profile_names_what_it_can_not_do(tracker, given, message):
    box = BoxPrompt(square_box(0)) if tracker == "ncc" else None
    with pytest.raises(InputError, match=message):
        profile(tracker, moving_square(5), box, **given)


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
