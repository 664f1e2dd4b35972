"""Where to draw next: the place between two key figures where what fills the frames is the least sure."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from vtlab.session.spans import Spans, frames_of
from vtlab.tracks import Tracks

FAR = 0.05
"""How unsure the middle between two figures is, whatever the scores say: the further from a figure, the less is known."""
UNSEEN = 0.5
"""How unsure a frame is on which nothing of the object is found."""


class Place(NamedTuple):
    """A place to look at.

    Attributes:
        frame: The frame to show.
        first: First of the frames for which it stands.
        end: Frame after the last of them.
    """

    frame: int
    first: int
    end: int


def least_sure(rows: Tracks, figures: Sequence[int], checked: Spans = ()) -> Place | None:
    """The middle of what is unsure between those two neighbouring figures of an object where the most is.

    What a frame is unsure by is what its score lacks to 1, and the more the further it is from both figures. With one
    figure it is the last frame on which the object is followed.

    Args:
        rows: Of the object, from a session's tracks.
        figures: Frames on which a person spoke about it, ascending.
        checked: Frames of which a person said that they look right.

    Returns:
        None where nothing is left.
    """
    right = frames_of(checked)
    if len(figures) == 1:
        ahead = rows.frame[rows.visible & (rows.frame > figures[0])]
        last = int(ahead[-1]) if len(ahead) else figures[0]
        return None if last == figures[0] or last in right else Place(last, last, last + 1)
    most, found = 0.0, None
    for a, b in pairwise(figures):
        lacks = _lacks(rows, a, b, right)
        if (total := float(lacks.sum())) > most:
            frame = a + 1 + int(np.searchsorted(lacks.cumsum(), total / 2))
            reach = max(1, (b - a) // 4)
            most, found = total, Place(frame, max(frame - reach, a + 1), min(frame + reach + 1, b))
    return found


def _lacks(rows: Tracks, a: int, b: int, right: NDArray[np.int64]) -> NDArray[np.float64]:
    """What each frame a < f < b is unsure by; 0 where it was found right."""
    way = np.arange(1, b - a) / (b - a)
    lacks = np.full(len(way), UNSEEN)
    there = rows.visible & (rows.frame > a) & (rows.frame < b)
    lacks[rows.frame[there] - a - 1] = 1 - np.clip(np.nan_to_num(rows.score[there]), 0, 1)
    lacks += FAR * 4 * way * (1 - way)  # 0 at the figures, FAR half way
    lacks[np.isin(np.arange(a + 1, b), right)] = 0
    return lacks
