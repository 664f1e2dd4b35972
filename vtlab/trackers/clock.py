"""The clock by which steps are timed: work that was handed to a GPU is done before it is read."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from typing import Any

from vtlab.trackers.memory import cuda
from vtlab.weights.device import find_device


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
