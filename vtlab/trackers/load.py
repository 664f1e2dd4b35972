"""Other work on the machine while something is timed, so that nobody takes a crowd's times for a tracker's."""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path
from typing import Any

import cv2

DISTURBED = 0.05
"""Share of the time in which a thread could have run but had to wait, from which on its times are called disturbed."""
_SCHEDSTAT = Path("/proc/thread-self/schedstat")


class Load:
    """How long the thread that made this had to wait for a processor since then, by the kernel's own count (Linux)."""

    def __init__(self) -> None:
        self._thread = threading.get_ident()
        self._before = _schedstat()

    def record(self) -> dict[str, Any]:
        """Return "waiting": waiting / (running + waiting), "load": tasks that want to run, the mean of a minute, and
        "threads": library -> threads that it may use.

        What the system doesn't tell is left out; so is "waiting" where another thread asks than the one that began.
        """
        found: dict[str, Any] = {"threads": _threads()}
        now = _schedstat()
        if self._before is not None and now is not None and threading.get_ident() == self._thread:
            ran, waited = (a - b for a, b in zip(now, self._before, strict=True))
            found["waiting"] = round(waited / max(ran + waited, 1), 4)
        if hasattr(os, "getloadavg"):
            found["load"] = round(os.getloadavg()[0], 2)
        return found


def _threads() -> dict[str, int]:
    torch = sys.modules.get("torch")
    found = {"opencv": int(cv2.getNumThreads())}
    return found if torch is None else {**found, "torch": int(torch.get_num_threads())}


def _schedstat() -> tuple[int, int] | None:
    """Nanoseconds that this thread ran, and that it waited though it could have run."""
    try:
        ran, waited = _SCHEDSTAT.read_text().split()[:2]
    except (OSError, ValueError):
        return None
    return int(ran), int(waited)
