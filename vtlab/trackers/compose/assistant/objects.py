"""What the assistant knows of one object, and how looks mend what was answered of it since the look before."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vtlab.contracts import OnlineTracker

Array = NDArray[np.float64]


@dataclass(slots=True)
class Row:
    """What is held back of one object on one frame; `item` None: it was taken back."""

    item: Object | None
    time: float
    box: Array
    score: float
    visible: bool
    mask: NDArray[np.bool_] | None
    source: str


@dataclass
class Object:
    """One object that is followed or was lost."""

    serial: int
    object_id: int | None  # None while it is not confirmed
    manual: bool
    box: Array
    born: tuple[int, float] = (0, 0.0)  # frame and its time stamp
    score: float = 1.0
    visible: bool = True
    mask: NDArray[np.bool_] | None = None
    source: str = "tracked"
    hits: int = 1
    misses: int = 0
    lost_at: float | None = None
    vector: Any = None
    follower: OnlineTracker | None = None
    votes: dict[str, float] = field(default_factory=dict)
    anchor: tuple[float, Array] | None = None  # time and box of the last look that saw it
    # (4,), of its centre, twice, pixels per second, between the last two looks that saw it.
    speed: Array | None = None
    pending: list[Row] = field(default_factory=list)  # its rows since then
    first: int = 0  # count of the oldest frame whose row may still change

    def note(self, time: float, count: int) -> Row:
        """The row of the current frame, the `count`-th; it may change until the next look that sees the object."""
        row = Row(self, time, self.box, self.score, self.visible, self.mask, self.source)
        anchored = self.anchor is not None and self.anchor[0] == time
        if self.manual or (anchored and self.object_id is not None):
            self.first = count + 1
        elif not anchored:
            self.pending.append(row)
        return row

    @property
    def label(self) -> str | None:
        """The class with most confidence so far."""
        return max(self.votes, key=self.votes.__getitem__) if self.votes else None

    def settle(self, time: float, box: Array, follower_box: Array) -> None:
        """A look saw the object at `box`: mend the rows since the look before, and go on from here."""
        if self.anchor is not None and time > self.anchor[0]:
            start, old = self.anchor
            for row in self.pending:
                part = (row.time - start) / (time - start)
                if not row.visible:
                    row.box, row.visible, row.source = old + part * (box - old), True, "interpolated"
                    row.mask = None
                elif row.mask is None:
                    row.box = mended(row.box, follower_box, box, part)
            self.speed = np.tile((centre(box) - centre(old)) / (time - start), 2)
        self.anchor, self.pending = (time, box.copy()), []

    def take_back(self) -> None:
        """Give no answer for the rows that no look has confirmed."""
        for row in self.pending:
            row.item = None
        self.pending = []


def centre(box: Array) -> Array:
    """Centre (2,) of a box (4,)."""
    return (box[:2] + box[2:]) / 2


def mended(box: Array, wrong: Array, right: Array, part: float) -> Array:
    """Move and scale a box (4,) by `part` of what leads from the box `wrong` to the box `right`."""
    least = 1e-6  # a follower may answer a box without area
    scale = np.maximum(right[2:] - right[:2], least) / np.maximum(wrong[2:] - wrong[:2], least)
    middle = centre(box) + part * (centre(right) - centre(wrong))
    half = (box[2:] - box[:2]) * scale**part / 2
    return np.concatenate([middle - half, middle + half])
