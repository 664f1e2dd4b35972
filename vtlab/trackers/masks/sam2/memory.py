"""Which frames of one object SAM 2 remembers and reads: its own rule, and what every other rule has to say.

A rule holds numbers only, no tensors: `inference` keeps the memory and the pointer of a frame as long as the rule of the
object may read them. Time counts frames in the direction of tracking.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Seen:
    """What the network offers for one object on one tracked frame: K masks.

    Attributes:
        ious: (K,) estimated IoU of each mask.
        appears: Logit of the object being there.
        boxes: (K, 4) int, first and last column and row of each mask on the network's input, (0, 0, 0, 0) where it is
            empty; None unless the rule `looks_at` boxes.
        masks: bool (K, H, W) at the video's size; None unless the rule `looks_at` masks.
    """

    ious: NDArray[np.floating]
    appears: float
    boxes: NDArray[np.int64] | None = None
    masks: NDArray[np.bool_] | None = None


class MemoryRule(ABC):
    """Which mask of a frame is taken, which frames are remembered, and with which code they are read.

    Args:
        memories: Rows of the network's temporal code of memories; the last one is that of prompted frames.
        pointers: Most object pointers that are read, that of one prompted frame included.
        max_prompted: Most recent prompted frames that count as such; None = all.

    Attributes:
        looks_at: What of the masks a rule needs; "" = the surest mask is taken, and the rule is not asked.
        appears_above: Logit above which the object counts as seen.
    """

    looks_at: ClassVar[Literal["", "boxes", "masks"]] = ""
    appears_above: ClassVar[float] = 0.0

    def __init__(self, *, memories: int = 7, pointers: int = 16, max_prompted: int | None = None):
        self.conditioning_row, self.pointer_reach = memories - 1, pointers - 1
        self.max_prompted = max_prompted
        self.start: int | None = None
        self.prompted: list[int] = []

    def prompt(self, time: int) -> None:
        """The object was prompted on this frame, which starts it or corrects it."""
        self.start = time if self.start is None else self.start
        self.prompted.append(time)
        if self.max_prompted is not None and len(self.prompted) > self.max_prompted:
            self._demote(self.prompted.pop(0))

    def choose(self, time: int, seen: Seen) -> int:
        """Say which of the masks of a tracked frame is taken, and remember what the rule needs of it."""
        return int(np.argmax(seen.ious))

    @abstractmethod
    def _demote(self, time: int) -> None:
        """A prompted frame counts as such no longer."""

    @abstractmethod
    def follow(self, time: int) -> None:
        """A frame was tracked without a prompt; called after `choose`, where that is called."""

    @abstractmethod
    def memories(self, time: int) -> list[tuple[int, int]]:
        """(frame, row of the temporal code) of the memories that are read on the frame `time`, in order."""

    @abstractmethod
    def pointers(self, time: int) -> list[tuple[int, float]]:
        """(frame, place in time) of the pointers that are read on the frame `time`; 1 is `pointers` - 1 frames ago."""

    def kept(self, time: int) -> tuple[set[int], set[int]]:
        """Frames whose memories, and whose pointers, may be read after the frame `time`."""
        return {t for t, _ in self.memories(time + 1)}, {t for t, _ in self.pointers(time + 1)}


class LastFrames(MemoryRule):
    """SAM 2's own rule: prompted frames, the last few frames as memories, and some more as pointers."""

    def __init__(self, **numbers: Any):
        super().__init__(**numbers)
        self.recent: list[int] = []

    def _demote(self, time: int) -> None:
        self.recent = sorted([*self.recent, time])

    def follow(self, time: int) -> None:
        """Remember the frame until it is out of reach."""
        oldest = time - max(self.conditioning_row, self.pointer_reach)
        self.recent = [t for t in self.recent if t > oldest] + [time]

    def memories(self, time: int) -> list[tuple[int, int]]:
        """Prompted frames, then the last few, whose row is the frames that have passed since."""
        last = [t for t in self.recent if time - t <= self.conditioning_row]
        # Row 0 is the newest frame, the last row that of prompted ones, as the codes were trained.
        return [(t, self.conditioning_row) for t in self.prompted] + [(t, time - t - 1) for t in last]

    def pointers(self, time: int) -> list[tuple[int, float]]:
        """Prompted frames, then the last ones, the newest first."""
        last = [t for t in reversed(self.recent) if time - t <= self.pointer_reach]
        return [(t, (time - t) / self.pointer_reach) for t in [*self.prompted, *last]]
