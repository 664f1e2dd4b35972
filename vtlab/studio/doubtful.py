"""What is left to review in a session: doubtful places that nobody spoke about yet."""

from __future__ import annotations

from dataclasses import dataclass

from vtlab.metrics.doubts import doubts
from vtlab.session import Session, State
from vtlab.session.spans import holds
from vtlab.tracks import Tracks


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
    """Doubtful places of a session, found anew only when its predictions are others."""

    def __init__(self) -> None:
        self._of: Tracks | None = None
        self._all: list[Doubt] = []
        self._left: tuple[State | None, list[Doubt]] = (None, [])

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
            self._of, table = state.predicted, doubts(state.predicted)
            columns = ["frame", "object_id", "first", "end", "severity", "reason"]
            rows = sorted(table[columns].itertuples(index=False, name=None))
            self._all = [Doubt(*row) for row in rows]
        said: dict[int, list[int]] = {}
        for i, f in state.said:
            said.setdefault(i, []).append(f)
        return [
            d
            for d in self._all
            if not holds(state.checked.get(d.object_id, ()), d.frame)
            and not any(d.first <= f < d.end for f in said.get(d.object_id, ()))
        ]
