"""A robot that labels a clip whose truth it knows: where it draws next, and when it is content.

It draws with a `Hand`: a session (`vtlab.experiments.labelling`), or the corrector with its clicks (`benchmarks/robot.py`).
What drawing and looking cost is for who counts: each way of working yields what it did, step by step.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from vtlab.geometry import paired_iou
from vtlab.masks import iou
from vtlab.tracks import Tracks


class Hand(Protocol):
    """What a robot works with."""

    @property
    def tracks(self) -> Tracks:
        """What there is: figures drawn, and what fills the frames between them."""
        ...

    def key_frames(self, object_id: int) -> list[int]:
        """Frames on which the object was drawn, ascending."""
        ...

    def draw(self, object_id: int, frame: int) -> None:
        """Draw the object's true figure on a frame, and have the frames around it filled anew."""
        ...


class Step(NamedTuple):
    """What a robot did.

    Attributes:
        looked: Frames that it looked at before.
        drew: Whether it drew a figure then; the last look finds nothing to draw.
    """

    looked: int
    drew: bool


class Robot:
    """One that labels.

    Args:
        truth: Of the objects, rows where they are seen.
        hand: What it works with.
    """

    def __init__(self, truth: Tracks, hand: Hand):
        self.truth, self.hand = truth.seen(), hand
        self.ids: list[int] = self.truth.object_ids.tolist()
        self._true = dict(self.truth.by_object())

    def watch(self, object_id: int, react: float) -> Iterator[Step]:
        """Watch an object from its first frame on, and draw it on each frame on which it is worse than `react`.

        So a person does beside a tracker: what is drawn changes all that follows, so the first frame that is bad enough is
        corrected, and looking goes on from there. What tracking changed behind is not looked at again.

        Args:
            object_id: One of `ids`; one that was never drawn is drawn on its first frame.
            react: Overlap with the truth below which it draws.
        """
        frames = self._true[object_id].frame
        at, last = int(frames[0]), int(frames[-1])
        if not self.hand.key_frames(object_id):
            self.hand.draw(object_id, at)
            yield Step(1, True)
            at += 1
        while at <= last:
            value = self.overlaps(object_id)[1]
            wrong = frames[
                (frames >= at) & (value < react) & ~np.isin(frames, self.hand.key_frames(object_id))
            ]
            if not len(wrong):
                yield Step(last - at + 1, False)
                return
            self.hand.draw(object_id, int(wrong[0]))
            yield Step(int(wrong[0]) - at + 1, True)
            at = int(wrong[0]) + 1

    def halve(self, object_id: int, goal: float, most: int) -> Iterator[Step]:
        """Draw an object on the first and the last frame that show it, then in the middle of what is lost between the two
        figures where the most is, until its mean overlap is the goal. So a person does where frames are interpolated.

        Args:
            object_id: One of `ids`.
            goal: Mean overlap with the truth.
            most: Figures after which it gives up.
        """
        frames = self._true[object_id].frame
        for frame in (frames[0], frames[-1]):
            self.hand.draw(object_id, int(frame))
            yield Step(1, True)
        drawn = 2
        while self.overlaps(object_id)[1].mean() < goal and drawn < most:
            frame = self.lost(object_id)
            figures = self.hand.key_frames(object_id)
            place = int(np.searchsorted(figures, frame))
            between = figures[min(place, len(figures) - 1)] - figures[max(place - 1, 0)] - 1
            self.hand.draw(object_id, frame)
            yield Step(max(between, 1), True)
            drawn += 1

    def overlaps(self, object_id: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Frames on which an object is seen, and its overlap with the truth there; 0 where it has no figure. Of masks where
        both have them, else of boxes."""
        mine, true = self.hand.tracks.of_object(object_id).seen(), self._true[object_id]
        value = np.zeros(len(true))
        _, a, b = np.intersect1d(mine.frame, true.frame, return_indices=True)
        value[b] = np.nan_to_num(paired_iou(mine.boxes[a], true.boxes[b]))
        for i, k in zip(a.tolist(), b.tolist(), strict=True) if mine.rle is not None else ():
            one, other = mine.mask(i), true.mask(k)
            if one is not None and other is not None:
                value[k] = iou(one, other)
        return true.frame, value

    def lost(self, object_id: int) -> int:
        """Frame in the middle of what is lost between the two figures where the most is."""
        frames, value = self.overlaps(object_id)
        drawn = np.array(self.hand.key_frames(object_id))
        lacks = np.where(np.isin(frames, drawn), 0.0, 1 - value)
        stretch = np.searchsorted(drawn, frames)
        here = np.flatnonzero((stretch == np.bincount(stretch, lacks).argmax()) & (lacks > 0))
        so_far: NDArray[Any] = lacks[here].cumsum()
        return int(frames[here[np.searchsorted(so_far, so_far[-1] / 2)]])

    def mean(self) -> float:
        """Overlap, averaged over all figures of the truth."""
        return float(np.concatenate([self.overlaps(i)[1] for i in self.ids]).mean())
