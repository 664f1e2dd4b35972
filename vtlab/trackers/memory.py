"""Memory that a run takes: the peak over it, whether it grows, and nothing that earlier runs left behind or paid for."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import importlib
import math
import re
import sys
from array import array
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from vtlab.contracts import Card

FEWEST = 20
"""Frames from which on the growth of memory is told."""
# Caches and buffers are filled in the first 200 frames; 16 means are enough for Student's interval, and long enough
# that steps of an allocator even out.
WARM, BATCHES = 200, 16
"""Frames that are left out, and batches of the others, where growth is told with an interval."""
_PROCESS = Path("/proc/self")
_LIBRARY = re.compile(
    r"^[0-9a-f]+-[0-9a-f]+ .*\.so[.\d]*\nSize:.*\n(?:\w+:.*\n)*?Rss: +(\d+) kB", re.MULTILINE
)


class Memory:
    """Peak of this process's resident memory, and of the GPU's, since this was made.

    On Linux the kernel keeps the peak, so what a step takes and gives back counts as well. Elsewhere only what is
    resident after a step is seen, and `record()["exact"]` is False. Pages that earlier work freed go back to the
    system first, where its allocator can do that: a run that took them over would seem to need no memory.

    Pages of shared libraries become resident when somebody first calls their code: the first tracker that uses OpenCV
    would pay for all others. They are told apart (Linux), so that a tracker's memory doesn't hang on its place in a list.
    """

    def __init__(self) -> None:
        import psutil

        self._process = psutil.Process()
        self._after: array[int] = array("q")
        give_back()
        self._mapped, self._libraries, self._added = _status("RssFile"), library_bytes(), 0
        self._exact = _reset_peak()
        self.before = self.peak = self._process.memory_info().rss
        self._gpu_before = 0
        if (torch := cuda()) is not None:
            torch.cuda.reset_peak_memory_stats()
            self._gpu_before = torch.cuda.memory_allocated()

    def sample(self) -> None:
        """Take note of the memory in use after a step."""
        now = self._process.memory_info().rss
        self.peak = max(self.peak, now)
        if (torch := cuda()) is not None:
            now += int(torch.cuda.memory_allocated())
        self._after.append(now)

    def record(self) -> dict[str, int | float | bool]:
        """What a result records: bytes before and at the peak, of the process and of a GPU that is in use.

        "libraries_bytes" are those of the peak that are pages of shared libraries, which no tracker owns;
        "slope_bytes" those by which a further frame makes it grow (`slope`), left out below `FEWEST` frames. After twice
        `WARM` frames "growth_bytes", "growth_low_bytes" and "growth_high_bytes" are the same with an interval (`growth`).
        """
        peak = _status("VmHWM") if self._exact else self.peak
        found: dict[str, int | float | bool] = {
            "rss_before_bytes": self.before,
            "rss_peak_bytes": max(peak, self.before),
            "libraries_bytes": self._library_growth(),
            "exact": self._exact,
        }
        if len(self._after) >= FEWEST:
            found["slope_bytes"] = round(slope(self._after), 1)
        if len(self._after) >= 2 * WARM:
            names = ("growth_bytes", "growth_low_bytes", "growth_high_bytes")
            found |= {name: round(value, 1) for name, value in zip(names, growth(self._after), strict=True)}
        if (torch := cuda()) is not None:
            found["gpu_before_bytes"] = self._gpu_before
            found["gpu_peak_bytes"] = int(torch.cuda.max_memory_allocated())
        return found

    def _library_growth(self) -> int:
        """Looked up only where pages of files came in since the last look, for that takes some milliseconds."""
        if (mapped := _status("RssFile")) != self._mapped:
            self._mapped, self._added = mapped, max(library_bytes() - self._libraries, 0)
        return self._added


class Unmeasured(Memory):
    """Measures nothing: for runs so short and many that measuring (some milliseconds each) would be most of their work."""

    def __init__(self) -> None:
        pass

    def sample(self) -> None:
        """Nothing."""

    def record(self) -> dict[str, int | float | bool]:
        """Nothing was measured."""
        return {}


def grown_mb(record: Mapping[str, Any]) -> float:
    """MB (2**20 bytes) by which a run's memory grew, process and GPU together, from what `Memory.record` gave."""
    own, gpu = (
        record.get(f"{kind}_peak_bytes", 0) - record.get(f"{kind}_before_bytes", 0) for kind in ("rss", "gpu")
    )
    return float(max(own - record.get("libraries_bytes", 0), 0) + gpu) / 2**20


def slope_mb(record: Mapping[str, Any]) -> float:
    """MB by which 1,000 further frames make a run's memory grow; NaN where too few were seen."""
    return float(1000 * record.get("slope_bytes", math.nan) / 2**20)


def growth_mb(record: Mapping[str, Any]) -> tuple[float, float, float]:
    """MB by which 1,000 further frames make a run's memory grow, and the ends of its interval; NaN for short runs."""
    value, low, high = (
        float(1000 * record.get(f"growth{end}_bytes", math.nan) / 2**20) for end in ("", "_low", "_high")
    )
    return value, low, high


def growth(after: Sequence[int]) -> tuple[float, float, float]:
    """Bytes that a frame adds after the first `WARM` frames, and the ends of its 95 % interval.

    Student's interval of the differences between the means of `BATCHES` batches of frames, one after the other: memory is
    taken to be a walk with a drift, of which neighbouring differences of means correlate by a quarter (hence 1.5). So one
    step of an allocator is no growth that is shown, and steady growth is; what goes up and down about a level makes the
    interval wider than it had to be.

    Args:
        after: Bytes in use after each frame, more than `WARM` and `BATCHES` together.
    """
    import numpy as np
    from scipy.special import stdtrit

    left = np.asarray(after[WARM:], np.float64)
    size = len(left) // BATCHES
    steps = np.diff(left[len(left) - BATCHES * size :].reshape(BATCHES, size).mean(axis=1)) / size
    value = float(steps.mean())
    half = float(stdtrit(len(steps) - 1, 0.975) * steps.std(ddof=1) * (1.5 / len(steps)) ** 0.5)
    return value, value - half, value + half


def slope(after: Sequence[int]) -> float:
    """Bytes that a frame adds: from the mean of the second quarter of the frames to that of the last.

    The first quarter, in which buffers are made, is left out; means, because an allocator takes memory by steps.
    """
    quarter = len(after) // 4
    early, late = after[quarter : 2 * quarter], after[-quarter:]
    return (sum(late) - sum(early)) / quarter / (len(after) - 2 * quarter)


def library_bytes() -> int:
    """Resident bytes of shared libraries (Linux); 0 where the system doesn't tell."""
    try:
        maps = (_PROCESS / "smaps").read_text(errors="replace")
    except OSError:
        return 0
    return 1024 * sum(int(kb) for kb in _LIBRARY.findall(maps))


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
        # 5 resets the peak alone (proc(5)), and leaves pages as they are.
        (_PROCESS / "clear_refs").write_text("5")
    except OSError:
        return False
    return True


def _status(entry: str) -> int:
    """Bytes of an entry of the kernel's account of this process (VmHWM: the peak, RssFile: pages of files); 0 elsewhere."""
    try:
        found = re.search(rf"{entry}:\s+(\d+) kB", (_PROCESS / "status").read_text())
    except OSError:
        return 0
    # The kernel's kB are of 1024 bytes.
    return int(found[1]) * 1024 if found else 0


def cuda() -> Any:
    """PyTorch, if it is loaded and a CUDA device is in use; else None."""
    torch = sys.modules.get("torch")
    return torch if torch is not None and torch.cuda.is_available() and torch.cuda.is_initialized() else None
