"""Warm trackers: made once, lent to one job at a time, kept within a bound on memory."""

from __future__ import annotations

import contextlib
import json
import threading
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import psutil

from vtlab.contracts import OfflineTracker, OnlineTracker, SingleObjectTracker, Tracker
from vtlab.prompts import Prompts
from vtlab.registry import TRACKERS
from vtlab.trackers.compose.per_object import PerObject
from vtlab.tracks import FrameTracks, Tracks
from vtlab.video import Frame, Video
from vtlab.weights import locate


@dataclass
class _Made:
    """A part that was made, and the bytes that it is taken to hold."""

    part: Any
    size: int


class Pool:
    """Trackers by name and parameters.

    One tracker serves one job at a time. A single-object method has one instance for each object of a job; all of them
    stay warm. Of what nobody uses, the longest unused goes first when the bound is reached.

    Args:
        memory: Bound in bytes on what idle trackers hold. A tracker counts as the larger of its weight files and what
            the process grew by when it was made.
    """

    def __init__(self, memory: int = 2 * 2**30):
        self._memory = memory
        self._idle: OrderedDict[int, tuple[str, _Made]] = OrderedDict()  # oldest first
        self._number = 0
        self._lock = threading.Lock()

    @contextlib.contextmanager
    def lend(self, name: Any, params: Mapping[str, Any] | None = None) -> Iterator[Tracker]:
        """A tracker for one job; it goes back unless the job failed.

        Raises:
            RegistryError, MissingDependencyError, WeightsError: As `vtlab.create_tracker`.
        """
        loan = _Loan(self, name, dict(params or {}))
        try:
            yield loan.tracker()
        except BaseException:
            loan.drop()
            raise
        loan.give_back()

    def take(self, name: Any, params: Mapping[str, Any]) -> _Made:
        """An idle part, or a new one."""
        key = _key(name, params)
        with self._lock:
            # The newest, so that the longest unused ages and goes.
            number = next((n for n in reversed(self._idle) if self._idle[n][0] == key), None)
            if number is not None:
                return self._idle.pop(number)[1]
        before = psutil.Process().memory_info().rss
        part = TRACKERS.create(name, **params)
        grown = psutil.Process().memory_info().rss - before
        files = [found.stat().st_size for w in part.card.weights if (found := locate(w)) is not None]
        # The larger: weights may be mapped and not read yet. 64 KiB at least, so that trackers without any are
        # bounded, too.
        return _Made(part, max(grown, sum(files), 2**16))

    def put(self, name: Any, params: Mapping[str, Any], made: Iterable[_Made]) -> None:
        """Keep parts that a job no longer needs."""
        with self._lock:
            for one in made:
                self._number += 1
                self._idle[self._number] = (_key(name, params), one)
            gone = []
            while self._idle and self.held > self._memory:
                gone.append(self._idle.popitem(last=False)[1][1])
        close(gone)

    @property
    def held(self) -> int:
        """Bytes that idle trackers are taken to hold."""
        return sum(made.size for _, made in self._idle.values())

    def __len__(self) -> int:
        return len(self._idle)

    def close(self) -> None:
        """Free all idle trackers."""
        with self._lock:
            gone = [made for _, made in self._idle.values()]
            self._idle.clear()
        close(gone)


def _key(name: Any, params: Mapping[str, Any]) -> str:
    return json.dumps([str(name), dict(params)], sort_keys=True, default=repr)


def close(made: Iterable[_Made]) -> None:
    """Free parts."""
    for one in made:
        if isinstance(one.part, OnlineTracker | OfflineTracker):
            one.part.close()


@dataclass
class _Loan:
    """What a job has of the pool."""

    pool: Pool
    name: Any
    params: dict[str, Any]
    made: list[_Made] = field(default_factory=list)

    def tracker(self) -> Tracker:
        first = self._more()
        if isinstance(first, SingleObjectTracker):
            ready = [first]
            made = PerObject(lambda: ready.pop() if ready else self._more(), first.card)
            made.params = first.params  # type: ignore[misc]
            return made
        return _WarmOnline(first) if isinstance(first, OnlineTracker) else _WarmOffline(first)

    def _more(self) -> Any:
        self.made.append(self.pool.take(self.name, self.params))
        return self.made[-1].part

    def give_back(self) -> None:
        self.pool.put(self.name, self.params, self.made)

    def drop(self) -> None:
        close(self.made)


class _Warm:
    """A tracker that outlives the run: the loop's `close` is the pool's to do."""

    def __init__(self, inner: Any):
        self.card, self.params, self._inner = inner.card, inner.params, inner
        self.discovers, self.rereads = inner.discovers, inner.rereads

    def __getattribute__(self, name: str) -> Any:
        """Events come anew with each run, so they are always the tracker's own."""
        return self._inner.events if name == "events" else super().__getattribute__(name)

    def finish(self, tracks: Tracks, video: Video) -> Tracks:
        """See `VideoTracker`."""
        found: Tracks = self._inner.finish(tracks, video)
        return found


class _WarmOnline(_Warm, OnlineTracker):
    def init(self, frame: Frame, prompts: Prompts) -> FrameTracks:
        found: FrameTracks = self._inner.init(frame, prompts)
        return found

    def step(self, frame: Frame, prompts: Prompts = Prompts()) -> FrameTracks:
        found: FrameTracks = self._inner.step(frame, prompts)
        return found

    def remove(self, object_ids: Iterable[int]) -> None:
        self._inner.remove(object_ids)


class _WarmOffline(_Warm, OfflineTracker):
    def run(
        self, frames: Iterator[Frame], prompts: Prompts, n_frames: int
    ) -> Iterator[tuple[int, FrameTracks]]:
        found: Iterator[tuple[int, FrameTracks]] = self._inner.run(frames, prompts, n_frames)
        return found
