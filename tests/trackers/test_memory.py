from __future__ import annotations

import sys

import numpy as np
import pytest

import vtlab
from vtlab.contracts import Observation, SingleObjectTracker
from vtlab.testing.scenes import moving_square
from vtlab.trackers.memory import Memory, grown_mb, settle

linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux's kernel keeps the peak")


@linux
def test_what_is_taken_and_given_back_within_a_step_counts():
    memory = Memory()
    np.ones(100 << 20, np.uint8).sum()
    record = memory.record()
    assert record["exact"]
    assert 95 < grown_mb(record) < 130


@linux
def test_what_earlier_work_freed_is_not_free_of_charge():
    """A block that fits into freed pages of the C library's heap would need no new ones."""
    np.empty(31 << 20, np.uint8)  # from now on glibc takes blocks of up to this size from its heap
    blocks = [np.ones(20 << 20, np.uint8) for _ in range(10)]
    del blocks[:-1]
    memory = Memory()
    np.ones(100 << 20, np.uint8).sum()
    assert 95 < grown_mb(memory.record()) < 130


@linux
def test_an_earlier_peak_does_not_count():
    np.ones(200 << 20, np.uint8).sum()
    assert grown_mb(Memory().record()) < 50


@linux
def test_two_runs_of_one_tracker_cost_the_same():
    """The second isn't cheaper because the first left freed pages behind."""

    @vtlab.register("hungry", family="sot", accepts={vtlab.BoxPrompt}, licence="Apache-2.0")
    class Hungry(SingleObjectTracker):
        def init(self, frame, prompt):
            self.kept = [np.ones(100_000, np.uint8) for _ in range(500)]  # small pieces, from the heap

        def step(self, frame):
            return Observation((0, 0, 5, 5))

    video, box = moving_square(), vtlab.BoxPrompt((10, 10, 30, 30))
    costs = []
    for _ in range(2):
        settle(Hungry.card)
        meta = vtlab.track(video, box, Hungry, progress=False).meta
        costs.append(grown_mb(meta["memory"]))
    assert costs == pytest.approx([48, 48], abs=12)


def test_where_the_kernel_keeps_no_peak_it_is_sampled(monkeypatch, tmp_path):
    monkeypatch.setattr("vtlab.trackers.memory._PROCESS", tmp_path / "nowhere")
    memory = Memory()
    held = np.ones(100 << 20, np.uint8)
    memory.sample()
    record = memory.record()
    assert not record["exact"]
    assert grown_mb(record) > 95
    assert held.all()
