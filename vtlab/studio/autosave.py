"""Autosave of a session: every change is on disk; large ones are written in the background, the latest state only."""

from __future__ import annotations

import atexit
import threading
import time
import weakref
from collections.abc import Callable
from pathlib import Path

from vtlab.errors import WriteError
from vtlab.session import Session, State
from vtlab.tracks import Tracks

AT_ONCE_ROWS, AT_ONCE_BYTES = 20_000, 4 * 2**20
"""Predicted rows, and bytes of their masks, up to which each change is written before the next (in some 0.03 s)."""

QUIET = 0.3
"""Seconds that a larger session waits in the background before it is written."""


class Autosave:
    """Writes a session to its file whenever it changed.

    Args:
        session: What is written.
        path: Its file.
        failed: Called with a sentence where writing fails, from another thread too.
    """

    def __init__(self, session: Session, path: Path, failed: Callable[[str], None]):
        self.path = path
        self._session, self._failed = session, failed
        self._written: State | None = session.state
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        # the last change is written when the interpreter ends; a corrector that is gone is not kept alive for it
        atexit.register(_flush, weakref.ref(self))

    def note(self) -> None:
        """Write what changed, if anything did; returns at once where that takes long."""
        if self._session.state is self._written or self._waiting():
            return
        if _is_small(self._session.state.predicted):
            self._write()
            return
        self._thread = threading.Thread(target=self._catch_up, name="vtlab-autosave", daemon=True)
        self._thread.start()

    def flush(self) -> None:
        """Wait until everything is written."""
        if self._thread is not None:
            self._thread.join()
        if self._session.state is not self._written:
            self._write()

    def _waiting(self) -> bool:
        return self._thread is not None and self._thread.is_alive()

    def _catch_up(self) -> None:
        while self._session.state is not self._written:
            time.sleep(
                QUIET
            )  # the answer to the person's hand comes first, and fast edits are written together
            self._write()

    def _write(self) -> None:
        with self._lock:
            state = self._session.state
            try:
                self._session.save(self.path)
            except WriteError as error:
                self._failed(f"Autosave to {self.path} failed: {error} Save with session.save(path).")
            self._written = state


def _is_small(rows: Tracks) -> bool:
    masks = () if rows.rle is None or len(rows) > AT_ONCE_ROWS else rows.rle
    return len(rows) <= AT_ONCE_ROWS and sum(len(m) for m in masks if m is not None) <= AT_ONCE_BYTES


def _flush(what: weakref.ref[Autosave]) -> None:
    if (autosave := what()) is not None:
        autosave.flush()
