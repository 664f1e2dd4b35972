"""What is left to review in a session: doubtful places that nobody spoke about yet."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from vtlab.errors import VtlabError
from vtlab.metrics.doubts import doubts
from vtlab.session import Session, State
from vtlab.session.spans import holds
from vtlab.tracks import Tracks
from vtlab.video import Video

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Doubt:
    """A doubtful place.

    Attributes:
        frame: Where it is worst.
        object_id: Of whom.
        first: Its first frame.
        end: Frame after its last one.
        severity: In [0, 1].
        reason: In words.
    """

    frame: int
    object_id: int
    first: int
    end: int
    severity: float
    reason: str


class Review:
    """Doubtful places of a session, found anew only when its predictions are others.

    What the boxes tell is there at once. Identities by the looks of objects need frames: they are looked up in the
    background and join the list when they are known.

    Args:
        video: Footage; None: only what boxes tell.
        others: Tracker's name -> its tracks of the same objects, which may disagree.
        changed: Called from the background when identities are known.
    """

    def __init__(
        self,
        video: Video | None = None,
        others: Mapping[str, Tracks] | None = None,
        changed: Callable[[], None] = lambda: None,
    ) -> None:
        self._video, self._others, self._changed = video, others or {}, changed
        self._of: Tracks | None = None
        self._all: list[Doubt] = []
        self._left: tuple[State | None, list[Doubt]] = (None, [])
        self._thread: threading.Thread | None = None

    def marks(self, session: Session, object_id: int) -> list[list[float]]:
        """[frame, severity] of an object's places."""
        return [[d.frame, d.severity] for d in self.places(session) if d.object_id == object_id]

    def places(self, session: Session) -> list[Doubt]:
        """Those that are neither marked as right nor on a frame that a person spoke about, by frame and object."""
        state = session.state
        if self._left[0] is not state:
            self._left = state, self._find(state)
        return self._left[1]

    def _find(self, state: State) -> list[Doubt]:
        if self._of is not state.predicted:
            self._of = state.predicted
            self._all = _listed(doubts(state.predicted, self._others))
            self._look()
        said: dict[int, list[int]] = {}
        for i, f in state.said:
            said.setdefault(i, []).append(f)
        return [
            d
            for d in self._all
            if not holds(state.checked.get(d.object_id, ()), d.frame)
            and not any(d.first <= f < d.end for f in said.get(d.object_id, ()))
        ]

    def wait(self, seconds: float | None = None) -> None:
        """Wait until identities are known."""
        if self._thread is not None:
            self._thread.join(seconds)

    def _look(self) -> None:
        if self._video is None or (self._thread is not None and self._thread.is_alive()):
            return  # who is at work goes on with what is new
        if not self._all:
            return
        self._thread = threading.Thread(target=self._work, name="vtlab-doubts", daemon=True)
        self._thread.start()

    def _work(self) -> None:
        of = None
        while of is not self._of:
            of = self._of
            try:
                found = _listed(doubts(of, self._others, video=self._video)) if of is not None else []
            except (VtlabError, OSError):  # footage that can't be read: what the boxes tell stays
                return
        if found != self._all:
            self._all, self._left = found, (None, [])
            self._changed()


def _listed(table: pd.DataFrame) -> list[Doubt]:
    """Places by frame and object; several reasons for the very same one are one place."""
    columns = ["frame", "object_id", "first", "end", "severity", "reason"]
    found: dict[tuple[int, int, int, int], Doubt] = {}
    for row in table[columns].itertuples(index=False, name=None):
        new = Doubt(*row)
        place = new.frame, new.object_id, new.first, new.end
        if (old := found.get(place)) is not None:
            new = replace(old, severity=max(old.severity, new.severity), reason=f"{new.reason}; {old.reason}")
        found[place] = new
    return [found[place] for place in sorted(found)]
