"""How far a run is, while it runs: a table in a notebook, a bar in a terminal."""

from __future__ import annotations

import html
import time
from types import TracebackType
from typing import Any, Self

from vtlab.engine.loop import Progress
from vtlab.experiments.report import boards
from vtlab.experiments.store import Store
from vtlab.files.bars import bar, in_a_notebook

LEAST, SHARE = 0.5, 20
"""Seconds from one table to the next, at least, and as many times what the last one took to make."""


class Live:
    """Shows a run: call it with each `Progress`. A context manager, at whose end the last table stays.

    Args:
        store: Of the run.
    """

    def __init__(self, store: Store):
        self._store = store
        self._bar: Any = None
        self._handle: Any = None
        self._next, self._last = 0.0, Progress(0)

    def __enter__(self) -> Self:
        if not in_a_notebook():
            self._bar = bar(total=None, unit="cell")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.close()
        elif self._handle is not None:
            self._table(self._last, over=True)

    def __call__(self, progress: Progress) -> None:
        """Show how far it is."""
        self._last = progress
        if self._bar is not None:
            self._bar.total = progress.total
            self._bar.update(progress.ended - self._bar.n)
            self._bar.set_postfix_str("; ".join(progress.running))
        elif time.monotonic() >= self._next:
            began = time.monotonic()
            self._table(progress)
            self._next = time.monotonic() + max(LEAST, SHARE * (time.monotonic() - began))

    def _table(self, progress: Progress, *, over: bool = False) -> None:
        from IPython.display import display

        line = f"{progress.found + progress.done} of {progress.total} cells done"
        line += f", {len(progress.failed) + progress.kept} failed" * bool(progress.failed or progress.kept)
        line += f", {progress.left} left for the next run" * bool(progress.left)
        if progress.running and not over:
            line += f"; at work: {'; '.join(progress.running)}"
        found = boards(self._store) if self._store.keys() else []
        shown = [f"<p>{html.escape(line)}.</p>", *(board._repr_html_() for board in found)]
        bundle = {"text/plain": f"{line}.", "text/html": "\n".join(shown)}
        if self._handle is None:
            self._handle = display(bundle, raw=True, display_id=True)
        else:
            self._handle.update(bundle, raw=True)
