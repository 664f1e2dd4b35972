"""How every single answer is judged, and what follows for each frame: one timeline, by the same judging as the metric.

`FAMILIES[family].timeline(tracks, truth, rule)` is the mean over the true objects of each frame, (frames,), NaN where
the rule doesn't count; `.timelines(tracks, truth, rule, of="answer")` is the same for each object, and
`.timeline_label` says what it shows. Where a metric is a mean of frames, the mean of the timeline is the metric: `ao`
(sot), `J` (vos), `delta_avg` (points; exactly so where as many points are visible on each frame), `SFDA` (mot; exactly
so where each frame has as many answers as true objects).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Ints = NDArray[np.int64]
NOBODY = np.iinfo(np.int64).min
"""The id of no object: in `Judged`, of the answer that a true object lacks, and of the truth that a false answer lacks."""


@dataclass(frozen=True)
class Judged:
    """How every true object that counts was answered, a row for each on each frame (for points: for each true point).

    Attributes:
        frame: (K,) 0-based.
        object_id: (K,) id of the true object; `NOBODY` for an answer that is false.
        answer_id: (K,) id of the answer it was matched with; `NOBODY` where there is none.
        value: (K,) in [0, 1]: overlap, or part of the thresholds within which a point lies; 0 for misses and false answers.
        point_id: (K,) number of the point within its object; None where objects are judged as wholes.
    """

    frame: Ints
    object_id: Ints
    answer_id: Ints
    value: Array
    point_id: Ints | None = None

    @property
    def point(self) -> Ints:
        """(K,) number of the point within its object; 0 for objects that are no points."""
        return np.zeros(len(self.frame), np.int64) if self.point_id is None else self.point_id

    def mean(self, frames: int) -> Array:
        """Mean over the true objects of each frame, (frames,); NaN where none counts."""
        return self._means(self.object_id != NOBODY, frames)

    def by_truth(self, frames: int) -> dict[int, Array]:
        """The same for each true object alone: id -> (frames,)."""
        return self._by(self.object_id, frames)

    def by_answer(self, frames: int) -> dict[int, Array]:
        """The same for each object of the answer: 0 where it is false, NaN where it is not judged."""
        return self._by(self.answer_id, frames)

    def _by(self, ids: Ints, frames: int) -> dict[int, Array]:
        return {i: self._means(ids == i, frames) for i in np.unique(ids[ids != NOBODY]).tolist()}

    def _means(self, rows: NDArray[np.bool_], frames: int) -> Array:
        count = np.bincount(self.frame[rows], minlength=frames)
        total = np.bincount(self.frame[rows], self.value[rows], minlength=frames)
        return np.divide(total, count, out=np.full(len(count), np.nan), where=count > 0)
