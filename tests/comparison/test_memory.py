"""What `compare` keeps of the frames: nothing for a single pass, one sequence within the budget, never two."""

from __future__ import annotations

import weakref
from typing import ClassVar

import numpy as np
import pytest

import vtlab
from vtlab.contracts import Card, Observation, SingleObjectTracker
from vtlab.prompts import BoxPrompt, Prompts
from vtlab.sequence import Sequence
from vtlab.video import FrameSource, Video

N, SIDE = 30, 16
FRAME = SIDE * SIDE * 3
PASSING = 6
"""Frames on their way through a loop: one read ahead, one in the step, those that their holders let go of next."""


class Watched(FrameSource):
    """Black frames; notes how many of all ever given are alive when one more is asked for."""

    alive: ClassVar[weakref.WeakSet] = weakref.WeakSet()
    most = 0

    class Image(np.ndarray):
        """An array that can be in a set of weak references."""

        def __hash__(self):
            return id(self)

    def __init__(self, name):
        self.name = self.source = name
        self.width = self.height = SIDE
        self.fps, self.timestamps = 30.0, np.arange(N) / 30

    def get(self, index):
        image = np.zeros((SIDE, SIDE, 3), np.uint8).view(Watched.Image)
        Watched.alive.add(image)
        Watched.most = max(Watched.most, len(Watched.alive))
        return image

    def digest(self):
        return f"sha256:{self.name}"


class Still(SingleObjectTracker):
    """Answers its box."""

    card = Card("still", "sot", accepts=frozenset({BoxPrompt}))

    def init(self, frame, prompt):
        self.box = prompt.box(SIDE, SIDE)

    def step(self, frame):
        return Observation(self.box)


@pytest.fixture(autouse=True)
def unsettled(monkeypatch):
    """No waiting for the process's own memory to settle: frames are counted, not bytes."""
    monkeypatch.setattr("vtlab.comparison.trial.settle", lambda card: None)


@pytest.mark.parametrize(
    ("trackers", "sequences", "budget", "kept"),
    [
        (1, 1, 1 << 30, 0),
        (1, 3, 1 << 30, 0),
        (2, 1, N * FRAME, N),
        (2, 3, N * FRAME, N),
        (2, 1, N * FRAME - 1, 0),
    ],
)
def test_frames_alive_never_exceed_the_budget(trackers, sequences, budget, kept):
    Watched.alive.clear()
    Watched.most = 0
    prompts = Prompts([BoxPrompt((2, 2, 9, 9))])
    clips = [
        Sequence(f"clip-{k}", Video(Watched(f"clip-{k}"), cache_bytes=0), prompts=prompts)
        for k in range(sequences)
    ]
    found = vtlab.compare(
        clips, {f"t{k}": Still for k in range(trackers)}, memory_budget=budget, progress=False
    )
    assert all(run.ok for run in found.runs)
    assert Watched.most <= kept + PASSING
    if kept:
        assert Watched.most >= kept  # the budget is used: decoded once
    assert len(Watched.alive) <= PASSING  # nothing is left with the comparison


def test_a_way_back_is_a_second_pass():
    Watched.alive.clear()
    Watched.most = 0
    clip = Sequence("clip", Video(Watched("clip"), cache_bytes=0), prompts=Prompts([BoxPrompt((2, 2, 9, 9))]))
    vtlab.compare(clip, {"t": Still}, forward_backward=True, progress=False)
    assert N <= Watched.most <= N + PASSING
