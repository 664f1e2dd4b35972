"""Trackers whose answers are known without looking at a frame, to test what drives trackers."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import numpy as np

from vtlab.contracts import Card, Observation, OnlineTracker, SingleObjectTracker
from vtlab.masks import Mask
from vtlab.prompts import BoxPrompt, MaskPrompt, Prompt, Prompts
from vtlab.prompts.shapes import KINDS, Figures
from vtlab.tracks import FrameTracks
from vtlab.video import Frame


class ShiftBox(SingleObjectTracker):
    """Moves a box to the right.

    Args:
        step: Pixels from one frame to the next.
        fail_on: Frame on which it raises an error; -1 = none.
        lost_from: Frame from which, in either direction, nothing is seen; -1 = none.
        wait: Seconds that a frame takes.
    """

    card = Card("shift-box", "sot", accepts=frozenset({BoxPrompt}), licence="Apache-2.0")
    made = 0

    def __init__(self, *, step: float = 4.0, fail_on: int = -1, lost_from: int = -1, wait: float = 0.0):
        self._step, self._fail_on, self._lost_from, self._wait = step, fail_on, lost_from, wait
        type(self).made += 1

    def init(self, frame: Frame, prompt: Prompt) -> None:
        """Start on the box; forget the last one."""
        self._box = prompt.box(*frame.image.shape[:2])
        self._lost = False

    def step(self, frame: Frame) -> Observation:
        """The box, further right."""
        if self._wait:
            time.sleep(self._wait)
        if frame.index == self._fail_on:
            raise ZeroDivisionError("the toy broke, as it was told to")
        self._lost |= frame.index == self._lost_from
        self._box = self._box + np.array([self._step, 0, self._step, 0])
        return Observation(self._box, visible=not self._lost)


class ShiftMask(SingleObjectTracker):
    """Moves a mask to the right by 4 px a frame; what leaves the image is gone."""

    card = Card(
        "shift-mask",
        "vos",
        accepts=frozenset({MaskPrompt}),
        emits=frozenset({"boxes", "masks"}),
        licence="Apache-2.0",
    )

    def init(self, frame: Frame, prompt: Prompt) -> Observation:
        """Start on the mask."""
        assert isinstance(prompt, MaskPrompt)
        self._mask: Mask = prompt.mask(*frame.image.shape[:2])
        return Observation(mask=self._mask)

    def step(self, frame: Frame) -> Observation:
        """The mask, further right."""
        moved = np.zeros_like(self._mask)
        # Four pixels, as the square of the hosts' clip moves: a toy follows it exactly.
        moved[:, 4:] = self._mask[:, :-4]
        self._mask = moved
        return Observation(mask=moved, visible=bool(moved.any()))


class ShiftPoints(OnlineTracker):
    """Moves points to the right by 4 px a frame."""

    card = Card(
        "shift-points", "points", accepts=KINDS, emits=frozenset({"boxes", "points"}), licence="Apache-2.0"
    )

    def init(self, frame: Frame, prompts: Prompts) -> FrameTracks:
        """Start on all figures."""
        self._figures, self._xy = Figures(), np.empty((0, 2))
        return self.step(frame, prompts)

    def step(self, frame: Frame, prompts: Prompts = Prompts()) -> FrameTracks:
        """All points, further right."""
        new = self._figures.add([replace(p, frame=frame.index) for p in prompts])
        self._xy = np.concatenate([self._xy + np.array([4.0, 0.0]), self._figures.xy[new]])
        everywhere: Any = np.ones(len(self._xy))
        return self._figures.answer(frame.index, self._xy, everywhere > 0, everywhere)

    def remove(self, object_ids: Any) -> None:
        """Forget objects."""
        self._xy = self._xy[self._figures.remove(object_ids)]


TOYS = (ShiftBox, ShiftMask, ShiftPoints)
"""One for each geometry that hosts have."""
