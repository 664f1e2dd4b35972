"""The clock by which steps are timed: work that was handed to a GPU is done before it is read."""

from __future__ import annotations

import sys
import time
from array import array
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from vtlab.trackers.memory import cuda
from vtlab.weights.device import find_device

if TYPE_CHECKING:
    from vtlab.video import Frame


def now() -> float:
    """Seconds of a steady clock, after all work that the GPU was given is done.

    PyTorch hands work to a GPU and goes on at once: without waiting, a step that only starts work seems to take no time,
    and the next one that needs its result pays for it.
    """
    if (torch := cuda()) is not None:
        torch.cuda.synchronize()
    return time.perf_counter()


def device_used(params: Mapping[str, Any], memory: Mapping[str, Any]) -> str:
    """Where a tracker worked: "cuda", "mps" or "cpu".

    Args:
        params: Its parameters; `device` names one, "auto" the one that this machine has.
        memory: What `vtlab.trackers.memory.Memory.record` gave: who took memory of a GPU worked there.
    """
    if memory.get("gpu_peak_bytes", 0) > memory.get("gpu_before_bytes", 0):
        return "cuda"
    named = params.get("device")
    return find_device(str(named)).type if named and "torch" in sys.modules else "cpu"


class Times:
    """When the frames were taken that a tracker was given: 16 bytes a frame."""

    def __init__(self) -> None:
        self._index, self._seconds = array("q"), array("d")

    def add(self, frame: Frame) -> None:
        """Take note of a frame."""
        self._index.append(frame.index)
        self._seconds.append(frame.timestamp)

    def of(self, index: int) -> float:
        """Time of a frame that was given since the direction last turned; NaN for one that wasn't."""
        if not self._index:
            return np.nan
        # Frames come in their order: without gaps, as they mostly do, the first place that is looked at is the one.
        first = max(len(self._index) - 1 - abs(self._index[-1] - index), 0)
        places = range(first, len(self._index))
        return next((self._seconds[k] for k in places if self._index[k] == index), np.nan)

    def seconds(self) -> NDArray[np.float64]:
        """(F,) time of each frame up to the last one given, NaN for those that were not."""
        index = np.array(self._index, dtype=np.int64)
        seconds = np.full(int(index.max(initial=-1)) + 1, np.nan)
        seconds[index] = self._seconds
        return seconds
