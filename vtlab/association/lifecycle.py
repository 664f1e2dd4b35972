"""Life cycle of tracks: tentative, confirmed, lost, removed; one row of an array for each track.

A track begins tentative with a detection, is confirmed (and numbered, from 1 without gaps) by its `min_hits`-th
detection, is lost while it has no detection, and is removed after `lost_seconds`. Paper: Bewley et al., "Simple Online
and Realtime Tracking", ICIP 2016; Zhang et al., "ByteTrack", ECCV 2022 for numbers that stay through a loss.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from vtlab.errors import InputError

_ROW = np.dtype(
    [
        ("id", np.int64),  # 0 = not numbered yet
        ("hits", np.int64),  # detections so far
        ("streak", np.int64),  # detections in a row
        ("misses", np.int64),  # frames since the last detection; 0 = seen on this frame
        ("last", np.float64),  # seconds, time of the last detection
        ("serial", np.int64),  # own number of the track, also while tentative
        ("class_id", np.int64),
    ]
)
_TOLERANCE = 1e-3  # seconds; containers round time stamps to milliseconds
Rows = NDArray[np.int64]


class Clock:
    """Seconds since the last frame, for frames that come in one direction of time.

    Args:
        owner: Name for messages.
    """

    def __init__(self, owner: str):
        self._owner = owner
        self.reset()

    def reset(self) -> None:
        """Forget the last frame."""
        self.now = 0.0
        self.elapsed = 0.0
        self._last: float | None = None
        self._sign = 0.0

    def tick(self, timestamp: float, index: int) -> None:
        """Go to the next frame; `now` counts seconds in the direction of tracking.

        Raises:
            InputError: The time is not finite, or turns round.
        """
        if not -1e300 < timestamp < 1e300:
            raise InputError(f"{self._owner}: frame {index} has the time {timestamp!r}; seconds are needed.")
        step = 0.0 if self._last is None else timestamp - self._last
        if step * self._sign < 0:
            raise InputError(
                f"{self._owner}: time turns round at frame {index}: {timestamp:g} s after {self._last:g} s. Frames must "
                "come in one direction; call reset() before another video or direction."
            )
        self._sign = self._sign or step
        self._last = timestamp
        self.elapsed = abs(step)
        self.now += self.elapsed


class Lifecycle:
    """Table of tracks and the rules by which they live.

    Args:
        lost_seconds: A track without a detection for longer is removed.
        min_hits: Detections that confirm a track, its first one included.
        drop_tentative: Remove a tentative track at its first miss.

    Attributes:
        rows: Structured array (N,) with the fields `id, hits, streak, misses, last, serial, class_id`.
    """

    def __init__(
        self, *, lost_seconds: float, min_hits: int, drop_tentative: bool, owner: str = "associator"
    ):
        if not lost_seconds >= 0:
            raise InputError(f"{owner}: lost_seconds must be at least 0, got {lost_seconds!r}.")
        if isinstance(min_hits, bool) or not isinstance(min_hits, (int, np.integer)) or min_hits < 1:
            raise InputError(f"{owner}: min_hits must be an int of at least 1, got {min_hits!r}.")
        self.lost_seconds, self.min_hits, self.drop_tentative = (
            float(lost_seconds),
            int(min_hits),
            drop_tentative,
        )
        self.reset()

    def reset(self) -> None:
        """Forget all tracks; numbers start at 1."""
        self.rows: NDArray[Any] = np.empty(0, _ROW)
        self._next_id, self._next_serial = 1, 0

    def __len__(self) -> int:
        return len(self.rows)

    def advance(self) -> None:
        """Go to the next frame: every track has missed it until `observe`."""
        self.rows["misses"] += 1

    def observe(self, rows: Rows, now: float, class_ids: NDArray[np.int64] | None = None) -> None:
        """Take note that tracks have a detection on this frame."""
        part = self.rows[rows]
        part["streak"] = np.where(part["misses"] > 1, 1, part["streak"] + 1)
        part["hits"] += 1
        part["misses"] = 0
        part["last"] = now
        if class_ids is not None:
            part["class_id"] = class_ids
        self.rows[rows] = part

    def number(self, rows: Rows) -> None:
        """Give numbers to those of these tracks that have none."""
        ids = self.rows["id"]
        fresh = rows[ids[rows] == 0]
        if len(fresh):
            ids[fresh] = np.arange(self._next_id, self._next_id + len(fresh))
            self._next_id += len(fresh)

    def alive(self, now: float) -> NDArray[np.bool_] | None:
        """Which tracks go on (N,), or None when all do."""
        misses = self.rows["misses"]
        gone = (misses > 0) & (now - self.rows["last"] > self.lost_seconds + _TOLERANCE)
        if self.drop_tentative:
            gone |= (misses > 0) & (self.rows["id"] == 0)
        return ~gone if gone.any() else None

    def keep(self, rows: NDArray[np.bool_]) -> None:
        """Keep only these tracks."""
        self.rows = self.rows[rows]

    def add(self, count: int, now: float, class_ids: NDArray[np.int64] | None = None) -> None:
        """Begin tracks with a detection on this frame."""
        new = np.zeros(count, _ROW)
        new["hits"] = new["streak"] = 1
        new["last"] = now
        new["serial"] = np.arange(self._next_serial, self._next_serial + count)
        if class_ids is not None:
            new["class_id"] = class_ids
        self._next_serial += count
        self.rows = np.concatenate([self.rows, new])
