"""Memory that a run takes: the peak over it, and nothing that earlier runs left behind."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import importlib
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vtlab.contracts import Card

_PROCESS = Path("/proc/self")


class Memory:
    """Peak of this process's resident memory, and of the GPU's, since this was made.

    On Linux the kernel keeps the peak, so what a step takes and gives back counts as well. Elsewhere only what is
    resident after a step is seen, and `record()["exact"]` is False. Pages that earlier work freed go back to the
    system first, where its allocator can do that: a run that took them over would seem to need no memory.
    """

    def __init__(self) -> None:
        import psutil

        self._process = psutil.Process()
        give_back()
        self._exact = _reset_peak()
        self.before = self.peak = self._process.memory_info().rss
        self._gpu_before = 0
        if (torch := _cuda()) is not None:
            torch.cuda.reset_peak_memory_stats()
            self._gpu_before = torch.cuda.memory_allocated()

    def sample(self) -> None:
        """Take note of the memory in use now."""
        if not self._exact:
            self.peak = max(self.peak, self._process.memory_info().rss)

    def record(self) -> dict[str, int | bool]:
        """What a result records: bytes before and at the peak, of the process and of a GPU that is in use."""
        peak = _peak() if self._exact else self.peak
        found: dict[str, int | bool] = {
            "rss_before_bytes": self.before,
            "rss_peak_bytes": max(peak, self.before),
            "exact": self._exact,
        }
        if (torch := _cuda()) is not None:
            found["gpu_before_bytes"] = self._gpu_before
            found["gpu_peak_bytes"] = int(torch.cuda.max_memory_allocated())
        return found


def grown_mb(record: Mapping[str, Any]) -> float:
    """MB (2**20 bytes) by which a run's memory grew, process and GPU together, from what `Memory.record` gave."""
    grown = sum(
        record.get(f"{kind}_peak_bytes", 0) - record.get(f"{kind}_before_bytes", 0) for kind in ("rss", "gpu")
    )
    return grown / 2**20


def settle(card: Card) -> None:
    """Prepare a measurement, so that a run's time and memory are its own whatever ran before it.

    The libraries that trackers of a kind share are loaded (the first one would pay for PyTorch alone), and garbage
    is collected.
    """
    shared = ["torch"] if card.requires not in ("", "onnx") else []  # all other extras stand on PyTorch
    shared += ["supervision", "scipy.optimize"] if card.family in ("mot", "multi") else []
    for name in shared:
        with contextlib.suppress(ImportError):  # the tracker itself says what is missing
            importlib.import_module(name)
    gc.collect()


def give_back() -> None:
    """Hand freed pages to the system, where its allocator can do that."""
    with contextlib.suppress(OSError, AttributeError):  # not the GNU C library
        ctypes.CDLL(None).malloc_trim(0)


def _reset_peak() -> bool:
    """Let the kernel begin a new peak; False where it can't."""
    try:
        (_PROCESS / "clear_refs").write_text("5")
    except OSError:
        return False
    return True


def _peak() -> int:
    """The kernel's peak of resident memory in bytes."""
    found = re.search(r"VmHWM:\s+(\d+) kB", (_PROCESS / "status").read_text())
    return int(found[1]) * 1024 if found else 0


def _cuda() -> Any:
    """PyTorch, if it is loaded and a CUDA device is in use."""
    torch = sys.modules.get("torch")
    return torch if torch is not None and torch.cuda.is_available() and torch.cuda.is_initialized() else None
