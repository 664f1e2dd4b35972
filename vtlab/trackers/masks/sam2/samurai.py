"""SAMURAI's memory for SAM 2: the mask that moves as expected, and memories of good frames only.

Paper: Yang et al., "SAMURAI: Adapting Segment Anything Model for Zero-Shot Visual Tracking with Motion-Aware Memory",
arXiv:2411.11922. Official code: https://github.com/yangchris11/samurai (Apache-2.0); written from the paper and from notes
on what that code decides, none of it is used. Weights are SAM 2.1's.

What the official code does that is mended here unless `official`:

- A frame on which the object is hidden (no mask) with an estimated IoU of 0.3 or more corrects the filter with a box of
  height 1 in the corner of the image, which drags it away: then motion says no for many frames, and no frame is
  remembered. Here such a frame corrects nothing: the filter goes on by its velocity, and is given up after as many
  hidden frames as it needs good ones to be believed.
- The second frame of a track (its first after the prompt) is never remembered as a good one. Here it may be.

Two more are mended in any case: the filter is the model's, so that a second object or video goes on with it (here each
object has its own), and the search for good frames reads all earlier frames (here six are kept: the same choice).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from vtlab.association.parts.kalman import BoxFilter
from vtlab.geometry import paired_iou
from vtlab.trackers.masks.sam2.memory import LastFrames, Seen

# The official settings of all sizes.
STABLE_FRAMES = 15
"""Good frames in a row after which the filter is believed."""
STABLE_IOU = 0.3
"""Estimated IoU above which a frame is good for the filter."""
MEMORY_IOU = 0.5
"""Estimated IoU above which a frame is remembered."""


class MotionAware(LastFrames):
    """SAMURAI's rule for one object.

    Args:
        motion_weight: Weight of motion beside the estimated IoU in [0, 1]: 0.25, and 0.15 for SAM 2.1 large.
        official: Decide as the official code does, its faults included.
        numbers: See `MemoryRule`.

    Attributes:
        stable: Good frames in a row.
        motion: IoU of the last frame's box with the expected one; None while the filter is not believed.
        filter: Where the object is expected, on the network's input; None before the first frame.
        good: The last frames that may be remembered.
    """

    looks_at = "boxes"
    appears_above = -1.0

    def __init__(self, *, motion_weight: float = 0.25, official: bool = False, **numbers: Any):
        super().__init__(**numbers)
        self.motion_weight, self.official = motion_weight, official
        self.stable = self._hidden = 0
        self.motion: float | None = None
        self.filter: BoxFilter | None = None
        self.good: list[int] = []

    def prompt(self, time: int) -> None:
        """Start, or begin anew with the filter: where the object is, a person said."""
        super().prompt(time)
        self.stable = 0

    def choose(self, time: int, seen: Seen) -> int:
        """Take the surest mask, or where the filter is believed the one that is sure and where it was expected."""
        assert seen.boxes is not None
        boxes, ious = seen.boxes.astype(np.float64), np.asarray(seen.ious, np.float64)
        taken, self.motion = int(np.argmax(ious)), None
        if self.filter is None or self.stable == 0:
            self._begin(boxes[taken])
        else:
            # Predicted on every frame, hidden ones too: it moves on unseen.
            self.filter.predict()
            if self.stable == STABLE_FRAMES:
                overlaps = _overlaps(self.filter.boxes(), boxes)
                taken = int(np.argmax(self.motion_weight * overlaps + (1 - self.motion_weight) * ious))
                self.motion = float(overlaps[taken])
            self._correct(boxes[taken], float(ious[taken]))
        if self._may_be_remembered(time, seen, taken):
            self.good = [*self.good, time][-self.conditioning_row :]
        return taken

    def memories(self, time: int) -> list[tuple[int, int]]:
        """Prompted frames, then good ones and the last one by rank: the newest has row 0."""
        last = [time - 1] if time - 1 in self.recent and time - 1 not in self.good else []
        read = [t for t in [*self.good, *last] if t not in self.prompted][-self.conditioning_row :]
        ranked = [(t, len(read) - 1 - k) for k, t in enumerate(read)]
        return [(t, self.conditioning_row) for t in self.prompted] + ranked

    def kept(self, time: int) -> tuple[set[int], set[int]]:
        """The good frames and the last one; a later frame reads no other earlier one."""
        memories, pointers = super().kept(time)
        return memories | set(self.good), pointers

    def _begin(self, box: NDArray[np.float64]) -> None:
        self._hidden = 0
        if not box.any() and not self.official:
            return
        self.filter, self.stable = _Unbounded("xyah") if self.official else BoxFilter("xyah"), 1
        self.filter.add(_measured(box))

    def _correct(self, box: NDArray[np.float64], iou: float) -> None:
        assert self.filter is not None
        if not box.any() and not self.official:
            self._hidden += 1
            # Not officially: an empty mask would drag the filter to the corner (0, 0) and lose the object.
            self.stable = self.stable if self._hidden < STABLE_FRAMES else 0
            return
        self._hidden = 0
        believed = self.stable == STABLE_FRAMES
        # The official tests differ at equality: > while the filter settles, not < once it is believed.
        if iou > STABLE_IOU or (believed and iou == STABLE_IOU):
            self.filter.update(np.array([0]), _measured(box))
            self.stable = min(self.stable + 1, STABLE_FRAMES)
        else:
            self.stable = 0

    def _may_be_remembered(self, time: int, seen: Seen, taken: int) -> bool:
        assert self.start is not None
        return (
            seen.ious[taken] > MEMORY_IOU
            and seen.appears > 0
            and (self.motion is None or self.motion > 0)
            and (not self.official or time - self.start > 1)
        )


class _Unbounded(BoxFilter):
    """The filter of the official code, in which an expected height may become negative."""

    def _clamp(self, x: NDArray[np.float64]) -> None:
        """Leave sizes as they are."""


def _measured(box: NDArray[np.float64]) -> NDArray[np.float64]:
    """The box (1, 4) that the filter is given; one pixel high at least."""
    x1, y1, x2, y2 = box.tolist()
    # A height of 0 would make the filter's noise 0, and width over height infinite.
    return np.array([[x1, y1 - 0.5, x2, y2 + 0.5] if y1 == y2 else box])


def _overlaps(expected: NDArray[np.float64], boxes: NDArray[np.float64]) -> NDArray[np.float64]:
    """IoU (K,) of boxes with the expected one; 0 for an empty one."""
    return paired_iou(np.repeat(expected, len(boxes), axis=0), boxes)
