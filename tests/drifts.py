"""A tracker whose answers tell where it was started."""

from __future__ import annotations

import time

from vtlab.contracts import Card, Observation, SingleObjectTracker
from vtlab.prompts import BoxPrompt


class Drifts(SingleObjectTracker):
    """Moves its box by one pixel a frame from where it was started, so that its start can be read off its boxes."""

    card = Card("drifts", "sot", accepts=frozenset({BoxPrompt}))

    def __init__(self, *, fail_at: int = -1, seconds: float = 0.0):
        self.fail_at, self.seconds = fail_at, seconds

    def init(self, frame, prompt):
        self.box = prompt.box(*frame.image.shape[:2])

    def step(self, frame):
        if frame.index == self.fail_at:
            raise RuntimeError("broken")
        time.sleep(self.seconds)
        self.box = self.box + 1
        return Observation(self.box, 0.5)
