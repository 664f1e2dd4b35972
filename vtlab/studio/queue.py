"""The annotator as a queue: a verdict, or questions about identities, ask for one frame after the other."""

from __future__ import annotations

from vtlab.show.intervals import CSS
from vtlab.studio.figures import FigureWidget
from vtlab.studio.label_state import LabelState
from vtlab.studio.pairs_state import PairState
from vtlab.studio.scripts import script, styles


class Queue(FigureWidget):
    """Widget that asks for labels or answers; `vtlab.annotate` of a verdict makes one.

    Every answer goes to what asks at once, which writes its file: after a restart the queue goes on where it was.
    """

    _esm = script("queue.js")
    _css = styles("annotator.css", "notice.css", "queue.css") + CSS

    def __init__(self, state: LabelState | PairState):
        self._queue = state
        super().__init__(state)

    def __repr__(self) -> str:
        done, total = self._queue.progress()
        return f"Queue({done} answered{'' if total is None else f' of {total} before the next look'})"
