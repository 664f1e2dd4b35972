"""When an object has left: rules that `auto` and the doors to annotation tools ask about every answer.

The rules are those of Supervisely's Auto Track (area against its median; a gate on a constant-velocity Kalman filter), with
thresholds in the open. Its gate has fixed pixels and ends 46 of 496 true tracks of seven MOT sequences and three of OTB;
here the gate grows with the object, as in SORT, which ends 5.
"""

from __future__ import annotations

from bisect import insort
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from vtlab.geometry import box_area, box_centers
from vtlab.prompts import Prompts
from vtlab.tracks import FrameTracks

if TYPE_CHECKING:
    from vtlab.video import Frame


@dataclass(frozen=True)
class Leaving:
    """When an object has left.

    Attributes:
        area: Box area below this fraction of its median so far; 0 = never.
        gate: Distance of the centre from its prediction in standard deviations, which grow with the object's size;
            infinity = never.
        score: Score below this; 0 = never. Scores of different methods don't compare, so it is off by default.
        patience: Seconds for which a rule must hold without a break.
        settle: Answers that an object needs before the rules apply to it.
    """

    area: float = 0.2
    gate: float = 5.0
    score: float = 0.0
    patience: float = 0.2
    settle: int = 5


class Watch:
    """Ends objects that have left; a later prompt brings them back.

    Args:
        rules: When an object has left.
        prompts: What the tracker was given.
        events: A list to which it adds who left, when and why.
    """

    def __init__(self, rules: Leaving, prompts: Prompts, events: list[dict[str, Any]]):
        self._rules, self._events = rules, events
        self._prompted = {(p.object_id, p.frame) for p in prompts}
        self._objects: dict[int, _Seen] = {}
        self._gone: set[int] = set()

    def check(self, frame: Frame, answer: FrameTracks) -> FrameTracks:
        """The answer without the objects that are gone; one that leaves now is there, not visible."""
        visible = answer.visible.copy()
        keep = np.ones(len(answer), bool)
        for row, object_id in enumerate(answer.object_ids.tolist()):
            if (object_id, frame.index) in self._prompted:
                self._gone.discard(object_id)
                self._objects[object_id] = _Seen(self._rules)
            if object_id in self._gone:
                keep[row] = False
                continue
            seen = self._objects.setdefault(object_id, _Seen(self._rules))
            reason = seen.left(answer.boxes[row], float(answer.scores[row]), frame.timestamp)
            if reason:
                visible[row] = False
                self._gone.add(object_id)
                self._events.append(
                    {"frame": frame.index, "object_id": object_id, "event": "left", "reason": reason}
                )
        return replace(answer, visible=visible).take(keep)


class _Seen:
    """What was seen of one object: areas, and a constant-velocity Kalman filter of its centre (pixels, frames).

    The filter's standard deviations are fractions of the object's size (the root of its median area), with a floor.
    """

    # Fractions of the size, and least in pixels.
    POSITION, VELOCITY, MEASURED = (0.05, 1.0), (0.02, 0.5), (0.05, 3.0)

    def __init__(self, rules: Leaving):
        self._rules = rules
        self._areas: list[float] = []  # sorted
        self._state: NDArray[np.float64] | None = None
        self._spread = np.empty((2, 2))
        self._since: dict[str, float] = {}

    def left(self, box: NDArray[np.float64], score: float, time: float) -> str:
        """The rule that says that the object has left, "" if none does."""
        broken = {"score": score < self._rules.score}
        if np.isfinite(box).all():
            broken |= {"area": self._small(float(box_area(box))), "motion": self._jumps(box_centers(box))}
        for name, holds in broken.items():
            if not holds:
                self._since.pop(name, None)
            # Less a millionth: rounded time stamps must not cost a frame.
            elif abs(time - self._since.setdefault(name, time)) > self._rules.patience - 1e-6:
                return {
                    "score": f"score below {self._rules.score:g}",
                    "area": f"area below {self._rules.area:g} of its median",
                    "motion": f"centre beyond {self._rules.gate:g} standard deviations of its motion",
                }[name]
        return ""

    def _median(self) -> float:
        return self._areas[len(self._areas) // 2]

    def _small(self, area: float) -> bool:
        small = len(self._areas) >= self._rules.settle and area < self._rules.area * self._median()
        insort(self._areas, area)
        return small

    def _jumps(self, centre: NDArray[np.float64]) -> bool:
        """Predict, compare, and take the centre in unless it lies beyond the gate."""
        size = float(np.sqrt(self._median()))
        position, velocity, measured = (
            max(part * size, least) for part, least in (self.POSITION, self.VELOCITY, self.MEASURED)
        )
        if self._state is None:
            self._state = np.stack([centre, np.zeros(2)])
            # At the start a speed of half its size a frame is nothing unusual.
            self._spread = np.diag([measured**2, max(size / 2, 10.0) ** 2])
            return False
        move = np.array([[1.0, 1.0], [0.0, 1.0]])
        self._state = move @ self._state
        self._spread = move @ self._spread @ move.T + np.diag([position**2, velocity**2])
        expected = self._spread[0, 0] + measured**2
        away = centre - self._state[0]
        settled = len(self._areas) > self._rules.settle
        # By axis, not by ellipse: a bound in standard deviations that a message can name. Not taken in, so a jump
        # doesn't drag the filter along.
        if settled and float(np.abs(away).max()) > self._rules.gate * np.sqrt(expected):
            return True
        gain = self._spread[:, 0] / expected
        self._state = self._state + gain[:, None] * away[None]
        self._spread = self._spread - np.outer(gain, self._spread[0])
        return False
