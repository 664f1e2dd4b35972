from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest

from vtlab.trackers.memory import Memory, grown_mb, slope

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


_TWICE = """
import numpy as np
import vtlab
from vtlab.contracts import Card, Observation, SingleObjectTracker
from vtlab.testing.scenes import moving_square
from vtlab.trackers.memory import grown_mb, settle

class Hungry(SingleObjectTracker):
    card = Card("hungry", "sot", accepts=frozenset({vtlab.BoxPrompt}))

    def init(self, frame, prompt):
        self.kept = [np.ones(100_000, np.uint8) for _ in range(500)]  # small pieces, from the heap

    def step(self, frame):
        return Observation((0, 0, 5, 5))

video, box = moving_square(), vtlab.BoxPrompt((10, 10, 30, 30))
for _ in range(2):
    settle(Hungry.card)
    print(grown_mb(vtlab.track(video, box, Hungry, progress=False).record.memory))
"""


@linux
def test_two_runs_of_one_tracker_cost_the_same():
    """The second isn't cheaper because the first left freed pages behind.

    In a fresh process: a heap in which hundreds of tests left gaps has some that its allocator can't give back.
    """
    done = subprocess.run([sys.executable, "-c", _TWICE], capture_output=True, text=True, timeout=120)
    assert [float(line) for line in done.stdout.split()] == pytest.approx([48, 48], abs=12), done.stderr


_LISTED = """
import json, warnings
import numpy as np
import vtlab
from vtlab.testing.scenes import moving_square, square_box

warnings.simplefilter("ignore")
video = np.repeat(np.repeat(moving_square(20), 4, axis=1), 4, axis=2)
box = vtlab.BoxPrompt(tuple(4 * v for v in square_box(0)))
twice = {"first": "csrt", "other": "kcf", "last": "csrt"}
found = vtlab.compare(video, twice, prompts=box, progress=False)
print(json.dumps(found.table["memory_mb"].to_dict()))
"""


@linux
def test_memory_does_not_hang_on_the_place_in_a_list():
    """The first paid for the pages of OpenCV's code: csrt took 22 MB as the first and 12 MB as the second."""
    done = subprocess.run(
        [sys.executable, "-c", _LISTED], capture_output=True, text=True, timeout=120, check=True
    )
    costs = json.loads(done.stdout)
    assert costs["first"] == pytest.approx(costs["last"], rel=0.1, abs=1.5)


def test_growth_is_that_of_the_later_frames():
    filling = [0, 500, 900, 1000] * 1 + [1000] * 16  # buffers are made in the first quarter
    assert slope(filling) == 0
    assert slope([10 * i for i in range(40)]) == pytest.approx(10)
    assert slope([4096 * (i // 8) for i in range(80)]) == pytest.approx(512, rel=0.1)  # pages come by steps


LEAK = """
import numpy as np
import vtlab
from vtlab.contracts import Card, Observation, SingleObjectTracker
from vtlab.trackers.memory import slope_mb

class Leak(SingleObjectTracker):
    card = Card("leak", "sot", accepts=frozenset({vtlab.BoxPrompt}))

    def init(self, frame, prompt):
        self.kept = []

    def step(self, frame):
        self.kept.append(np.ones(1 << 20, np.uint8))
        return Observation((0, 0, 5, 5))

video = np.zeros((40, 60, 80, 3), np.uint8)
tracks = vtlab.track(video, vtlab.BoxPrompt((10, 10, 30, 30)), Leak, progress=False)
print(slope_mb(tracks.record.memory))
"""


@linux
def test_a_run_that_grows_says_so():
    """In a fresh process: what other tests leave may be freed meanwhile."""
    done = subprocess.run([sys.executable, "-c", LEAK], capture_output=True, text=True, timeout=120)
    assert float(done.stdout) == pytest.approx(1000, rel=0.15), done.stderr


def test_where_the_kernel_keeps_no_peak_it_is_sampled(monkeypatch, tmp_path):
    monkeypatch.setattr("vtlab.trackers.memory._PROCESS", tmp_path / "nowhere")
    memory = Memory()
    held = np.ones(100 << 20, np.uint8)
    memory.sample()
    record = memory.record()
    assert not record["exact"]
    assert grown_mb(record) > 95
    assert held.all()
