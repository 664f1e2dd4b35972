"""Distractor-aware memory for SAM 2 (DAM4SAM): frames on which something alike is near are kept for longer.

Paper: Videnovic, Lukezic, Kristan, "A Distractor-Aware Memory for Visual Object Tracking with SAM2", CVPR 2025,
arXiv:2411.17576. The rules are those of its form for many objects, https://github.com/alanlukezic/d4sm (Apache-2.0);
written from the paper and from notes on what that code decides, none of it is used. (The authors' first code,
jovanavidenovic/DAM4SAM, states no licence.) Weights are SAM 2.1's.

The memory is one list for each object: prompted frames, at most three frames with a distractor, and recent ones: the last
frame and multiples of five. A distractor is near where another of the network's masks, without the one that is taken, makes
the box much larger, while the one that is taken is sure and of its usual size.

What the official code does that is mended here unless `official`:

- A recent memory is read with the code of its place in the list, which holds distractor frames too, and the last frame takes
  the place of its predecessor in the list. So the last frame is read as if it were up to three frames older than it is, and
  stands before older frames. Here the list is in the order of time, and recent memories are counted among themselves.
- The place of a pointer in time is its place in the list over the list's length. So the same frame is read at another time
  when the list grows, and the first one's place, the frame's number over that length, jumps. Here pointers are placed by the
  frames that have passed, as SAM 2 was trained.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from vtlab.trackers.masks.sam2.memory import MemoryRule, Seen

# These and the next two lines: constants of the official code.
MOST_RECENT, MOST_DISTRACTORS = 3, 3
"""Memories of each kind that are kept when the list is full."""
INTERVAL = 5
"""Frames between recent memories that stay, and at least between distractor frames."""
SURE, USUAL_SIZE, SAME_BOX = 0.8, (0.8, 1.2), 0.7
"""A distractor: IoU above, area over its median of 10 frames within, IoU of the boxes at most."""

Kind = Literal["prompted", "recent", "distractor"]


@dataclass
class Remembered:
    """One frame in the list."""

    time: int
    kind: Kind


class DistractorAware(MemoryRule):
    """The rule of d4sm for one object.

    Args:
        official: Read memories and pointers as the official code does, its faults included.
        numbers: See `MemoryRule`.

    Attributes:
        frames: The list.
        pointing: Frames whose pointers are read.
        last_distractor: The last frame with a distractor, or None.
        pending: The last frame, where it becomes a distractor frame when the next one comes.
    """

    looks_at = "masks"

    def __init__(self, *, official: bool = False, **numbers: Any):
        super().__init__(**numbers)
        self.official = official
        self.frames: list[Remembered] = []
        self.pointing: list[int] = []
        self.last_distractor: int | None = None
        self.pending: int | None = None
        # 10 frames: the official code takes the median of the last 10 areas.
        self._areas: deque[int] = deque(maxlen=10)
        self._empty, self._distracted = True, False

    def prompt(self, time: int) -> None:
        """Keep the frame for good."""
        self._settle()
        self.frames.append(Remembered(time, "prompted"))
        self._point(time)
        super().prompt(time)

    def _demote(self, time: int) -> None:
        self.frames = [f for f in self.frames if f.time != time]
        self.pointing.remove(time)

    def choose(self, time: int, seen: Seen) -> int:
        """Take the surest mask; look at the others for a distractor."""
        assert seen.masks is not None
        taken = int(np.argmax(seen.ious))
        mask = seen.masks[taken]
        area = int(mask.sum())
        self._empty, self._distracted = area == 0, False
        if area:
            first = not self._areas
            self._areas.append(area)
            usual = not first and USUAL_SIZE[0] <= area / float(np.median(self._areas)) <= USUAL_SIZE[1]
            if usual and seen.ious[taken] > SURE:
                others = [m for k, m in enumerate(seen.masks) if k != taken]
                self._distracted = _least_overlap(mask, others) <= SAME_BOX
        return taken

    def follow(self, time: int) -> None:
        """Remember the frame, unless nothing is seen on it."""
        self._settle()
        if self._empty:
            return
        self._point(time)
        self._add_recent(time)
        if self._distracted and (self.last_distractor is None or time - self.last_distractor > INTERVAL):
            self.last_distractor = self.pending = time

    def _settle(self) -> None:
        """The last frame is no longer recent but one with a distractor, if it was found to be."""
        if self.pending is None:
            return
        for frame in self.frames:
            if frame.time == self.pending:
                frame.kind = "distractor"
        self.pending = None
        if len(self._of("distractor")) > MOST_DISTRACTORS:
            self.frames.remove(self._of("distractor")[0])

    def _add_recent(self, time: int) -> None:
        assert self.start is not None
        recent = self._of("recent")
        if not recent or (recent[-1].time - self.start) % INTERVAL == 0:
            # A multiple of the interval stays; the newest frame takes the place of the one before.
            self.frames.append(Remembered(time, "recent"))
        elif self.official:
            recent[-1].time = time
        else:
            self.frames.remove(recent[-1])
            self.frames.append(Remembered(time, "recent"))
        recent = self._of("recent")
        if len(recent) > MOST_RECENT and len(self.frames) > self.conditioning_row + 1:
            self.frames.remove(recent[0])

    def _point(self, time: int) -> None:
        self.pointing.append(time)
        if len(self.pointing) > self.pointer_reach + 1:
            tracked = [t for t in self.pointing if t not in self.prompted]
            if tracked:
                self.pointing.remove(tracked[0])

    def _of(self, kind: Kind) -> list[Remembered]:
        return [f for f in self.frames if f.kind == kind]

    def memories(self, time: int) -> list[tuple[int, int]]:
        """The list; prompted frames and distractors have the code of prompted frames."""
        counted = self.frames if self.official else self._of("recent")
        row = {f.time: min(len(counted) - 1 - k, self.conditioning_row) for k, f in enumerate(counted)}
        return [(f.time, row[f.time] if f.kind == "recent" else self.conditioning_row) for f in self.frames]

    def pointers(self, time: int) -> list[tuple[int, float]]:
        """The frames on which the object was seen, the last 16 of them with the prompted ones."""
        if not self.official:
            return [(t, (time - t) / self.pointer_reach) for t in self.pointing]
        n = len(self.pointing)
        # The prompt's place is told in frames, the others' in pointers: the official code mixes both.
        ago = [(time - t) if t in self.prompted else n - k for k, t in enumerate(self.pointing)]
        return [(t, a / max(1, n - 1)) for t, a in zip(self.pointing, ago, strict=True)]


def _least_overlap(mask: NDArray[np.bool_], others: list[NDArray[np.bool_]]) -> float:
    """The least IoU of the mask's box with its box when the largest part of another mask is added; inf without any."""
    import cv2

    found = [np.inf]
    for other in others:
        rest = other & ~mask
        if rest.any():
            # 8-connected, as officially: pixels that touch at a corner are one part.
            _, labels, stats, _ = cv2.connectedComponentsWithStats(rest.astype(np.uint8), connectivity=8)
            largest = 1 + int(np.argmax(stats[1:, cv2.CC_STAT_AREA]))
            found.append(_box_iou(_extent(mask), _extent(mask | (labels == largest))))
    return min(found)


def _extent(mask: NDArray[np.bool_]) -> tuple[int, int, int, int]:
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


def _box_iou(inner: tuple[int, int, int, int], outer: tuple[int, int, int, int]) -> float:
    """IoU of a box with one that holds it."""
    (a, b, c, d), (e, f, g, h) = inner, outer
    return (c - a) * (d - b) / ((g - e) * (h - f))
