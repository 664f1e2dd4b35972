"""Tracking in the background of a corrector: how far it is, what it saw last, and what is still due."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

from vtlab.errors import VtlabError
from vtlab.session import Session
from vtlab.tracks import FrameTracks, Tracks
from vtlab.tracks.builder import TracksBuilder

REPORT_SECONDS = 0.2
"""Seconds between two messages to the browser: smooth to the eye, and the connection is not flooded."""


class Background:
    """Runs a session's tracking in a thread.

    Args:
        session: What tracks.
        told: Called with a sentence when it has ended.
        changed: Called, from the thread, a few times a second and at the end.

    Attributes:
        running: True until the thread has put in what it found.
        by_itself: Whether the running work was started by an edit, so that the next edit may end it.
        progress: (steps done, steps in all); both ways most frames are two steps.
        both: Whether it goes both ways.
        finished: Whether it came to its end; False where it was stopped, failed or was dropped.
        seen: Last frame that was answered and its rows; None before.
    """

    def __init__(self, session: Session, told: Callable[[str], None], changed: Callable[[], None]):
        self.running = self.by_itself = self.finished = self.both = False
        self.progress = (0, 0)
        self.seen: tuple[int, FrameTracks] | None = None
        self._session, self._told, self._changed = session, told, changed
        self._thread: threading.Thread | None = None
        self._reported = self._begun = 0.0
        self._frames: set[int] = set()

    @property
    def seconds_left(self) -> float | None:
        """Estimated from the frames done; None before there are any."""
        done, total = self.progress
        if not (self.running and 0 < done < total):
            return None
        return (time.monotonic() - self._begun) / done * (total - done)

    def rows(self, frame: int) -> Tracks | None:
        """What was just answered for a frame, as rows; None where that is another frame."""
        seen = self.seen
        if not self.running or seen is None or seen[0] != frame:
            return None
        builder = TracksBuilder((self._session.video.height, self._session.video.width))
        builder.add(*seen)
        return builder.build()

    def start(self, start: int, stop: int, *, by_itself: bool = False, **how: Any) -> None:
        """Begin to track frames start <= frame < stop; `how`: see `Session.retrack`."""
        self.progress, self.seen, self._begun = (0, 0), None, time.monotonic()
        self._frames = set()
        self.running, self.by_itself, self.finished = True, by_itself, False
        self.both = how.get("direction") == "both"
        self._thread = threading.Thread(
            target=self._work, args=(start, stop, how), name="vtlab-corrector", daemon=True
        )
        self._thread.start()

    def drop(self) -> None:
        """End work that an edit has made stale: what it found is dropped."""
        while self.running:
            self._session.stop(drop=True)  # again, where it had not begun yet
            self.wait(0.05)

    def wait(self, seconds: float | None = None) -> None:
        """Wait until it has ended and what it gave is saved."""
        if (thread := self._thread) is not None:
            thread.join(seconds)

    def _work(self, start: int, stop: int, how: dict[str, Any]) -> None:
        word = "Tracking failed; what was done is kept."
        try:
            self._session.retrack(
                start, stop, progress=self._report, watch=self._watch, joined=self.by_itself, **how
            )
            done, total = self.progress
            self.finished = done >= total > 0
            word = self._word()
        except VtlabError as error:
            word = str(error)
        finally:
            self.running = False
            self._told(word)
            self._changed()

    def _word(self) -> str:
        """What was done; a frame that was come by from both sides is one."""
        frames, (done, total) = len(self._frames), self.progress
        if done >= total:
            return f"Tracked {frames} frames."
        if self.both:
            return f"Stopped after {frames} frames: {done} of {total} steps, there and back."
        return f"Stopped after {done} of {total} frames."

    def _watch(self, frame: int, answer: FrameTracks) -> None:
        self.seen = frame, answer
        self._frames.add(frame)

    def _report(self, done: int, total: int) -> None:
        self.progress = (done, total)
        if time.monotonic() - self._reported > REPORT_SECONDS:
            self._reported = time.monotonic()
            self._changed()
