"""Life cycle of tracks: tentative, confirmed, lost, removed; one column of an array for each track.

A track begins tentative with a detection, is confirmed (and numbered, from 1 without gaps) by its `min_hits`-th
detection, is lost while it has no detection, and is removed after `lost_seconds`. Paper: Bewley et al., "Simple Online
and Realtime Tracking", ICIP 2016; Zhang et al., "ByteTrack", ECCV 2022 for numbers that stay through a loss.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from vtlab.errors import InputError

_TOLERANCE = 1e-3  # seconds; containers round time stamps to milliseconds
_NONE = np.empty(0, np.int64)
_ZERO, _ONE = np.zeros((), np.int64), np.ones((), np.int64)  # an array is taken faster than a number
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
        id: (N,) int64, 0 = not numbered yet, below 0 = the number of a tentative track that is shown all the same.
        hits: (N,) int64, detections so far.
        streak: (N,) int64, detections in a row; kept only where tentative tracks outlive a miss.
        misses: (N,) int64, frames since the last detection; 0 = seen on this frame.
        serial: (N,) int64, own number of the track, also while tentative.
        class_id: (N,) int64, class of the last detection.
        last: (N,) float64, seconds, time of the last detection.
        begun: (N,) float64, seconds, time of the first detection.
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
        self._set(np.empty((6, 0), np.int64), np.empty((2, 0)))
        self._next_id, self._next_serial = 1, 0
        self._seen_since = np.inf  # no track was seen last before this time

    def _set(self, table: NDArray[np.int64], times: NDArray[np.float64]) -> None:
        self._table, self._times = table, times
        self.last, self.begun = times
        self.id, self.hits, self.streak, self.misses, self.serial, self.class_id = table

    def __len__(self) -> int:
        return len(self.last)

    def observe(self, rows: Rows, now: float, class_ids: NDArray[np.int64] | None = None) -> None:
        """Take note that tracks have a detection on this frame."""
        if not self.drop_tentative:  # otherwise a tentative track has no gaps, and its hits are its streak
            if len(late := (self.misses > 1).nonzero()[0]):
                self.streak[late] = 0
            self.streak[rows] += _ONE
        self.hits[rows] += _ONE
        self.misses[rows] = _ZERO
        self.last[rows] = now
        if class_ids is not None:
            self.class_id[rows] = class_ids

    def number(self, rows: Rows) -> Rows:
        """Give numbers to those of these tracks that have none; those shown as tentative keep theirs.

        Returns:
            The numbers (K,) of all of them.
        """
        ids = self.id.take(rows)
        if not len((ids <= 0).nonzero()[0]):
            return ids
        fresh = (ids == 0).nonzero()[0]
        ids[fresh] = np.arange(self._next_id, self._next_id + len(fresh))
        self._next_id += len(fresh)
        self.id[rows] = np.abs(ids, out=ids)
        return ids

    def show(self, rows: Rows) -> None:
        """Give numbers to tentative tracks that stay tentative."""
        self.number(rows)
        self.id[rows] *= -1

    def overdue(self, now: float) -> NDArray[np.bool_]:
        """Which tracks (N,) were not seen for longer than `lost_seconds`."""
        return self.last < now - self.lost_seconds - _TOLERANCE

    def alive(self, now: float) -> NDArray[np.int64] | None:
        """Rows of the tracks that go on, or None when all do."""
        oldest = now - self.lost_seconds - _TOLERANCE
        if self._seen_since < oldest:
            self._seen_since = min(self.last.tolist(), default=np.inf)
        # Few tracks are tentative, as a rule; to ask those is less work than to ask all that are lost.
        failed = (self.id <= 0).nonzero()[0] if self.drop_tentative else _NONE
        if len(failed):
            failed = failed[self.misses.take(failed).nonzero()[0]]
        if self._seen_since >= oldest and not len(failed):
            return None
        stays = self.last >= oldest
        stays[failed] = False
        return stays.nonzero()[0]

    def keep(self, rows: Rows) -> None:
        """Keep only these tracks."""
        self._set(self._table.take(rows, axis=1), self._times.take(rows, axis=1))

    def add(
        self, count: int, now: float, class_ids: NDArray[np.int64] | None = None, *, streak: int = 1
    ) -> None:
        """Begin tracks with a detection on this frame, which counts for their streak or (0) does not."""
        new = np.zeros((6, count), np.int64)
        new[1], new[2] = 1, streak
        new[4] = np.arange(self._next_serial, self._next_serial + count)
        if class_ids is not None:
            new[5] = class_ids
        self._next_serial += count
        self._seen_since = min(self._seen_since, now)
        self._set(
            np.concatenate([self._table, new], axis=1),
            np.concatenate([self._times, np.full((2, count), now)], axis=1),
        )
