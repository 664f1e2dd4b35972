"""Questions about identities, how they are drawn from a tracker's boxes, and what a share of answers is worth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from vtlab.decision.question import Clip
from vtlab.errors import InputError
from vtlab.geometry import box_iou

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Box = tuple[float, float, float, float]
OVERLAP = 0.5
"""Overlap from which a box is of the object, as CLEAR and Identity have it by default."""


@dataclass(frozen=True)
class View:
    """One box on one frame of a clip; no box where the whole frame is meant.

    Attributes:
        clip: Name of the clip.
        frame: 0-based.
        box: xyxy in pixels.
    """

    clip: str
    frame: int
    box: Box | None


@dataclass(frozen=True)
class Pair:
    """A question to a person. It doesn't tell which tracker it is about, so that she can't favour one.

    Attributes:
        key: Name of the question, for `IdentityPairs.add`.
        kind: "same": is there one object that both boxes hold, each at least by half? "object": does the first box hold
            one of the objects? (an identity of a single box) "find": where is the object of the first box on
            the frame of the second view?
        first: The box that was drawn.
        second: The other box, the frame to search, or None for kind "object".
    """

    key: str
    kind: Literal["same", "object", "find"]
    first: View
    second: View | None

    @property
    def content(self) -> tuple[str, View, View | None]:
        """What is asked: of two trackers' questions with the same content one is asked, and answers both."""
        return self.kind, self.first, self.second

    @property
    def text(self) -> str:
        """The question in words."""
        return {
            "same": "Do both boxes hold the same object?",
            "object": "Does the box hold one of the objects?",
            "find": "Where is the object of the first picture?",
        }[self.kind]

    @property
    def says(self) -> dict[str, str]:
        """What may be answered -> in words. Kind "find" also takes the box of the object."""
        out = {"none": "The first box holds none of the objects", "unsure": "I can't tell"}
        if self.kind == "same":
            return {"yes": "Yes, the same object", "no": "No, another object or none", **out}
        if self.kind == "object":
            return {"yes": "Yes", "none": "No, none of the objects", "unsure": out["unsure"]}
        return {"no": "It is not to be seen here", **out}


def checked(pair: Pair, answer: str | Sequence[float]) -> Box | str:
    """An answer to a question as it is kept.

    Raises:
        InputError: The question can't be answered like that.
    """
    if isinstance(answer, str) and answer in pair.says:
        return answer
    box = () if isinstance(answer, str) else tuple(float(v) for v in answer)
    if pair.kind != "find" or len(box) != 4 or not np.isfinite(box).all():
        raise InputError(f"{pair.text} Expected one of {', '.join(pair.says)}, got {answer!r}.")
    x1, y1, x2, y2 = box
    if x2 <= x1 or y2 <= y1:
        raise InputError(f"{pair.text} A box has x1 < x2 and y1 < y2, got {answer!r}.")
    return x1, y1, x2, y2


@dataclass(frozen=True)
class Boxes:
    """All boxes of one tracker, ordered by clip, identity and frame.

    Attributes:
        clip: (N,) number of the clip.
        frame, identity: (N,).
        boxes: (N, 4).
        begin: (N,) row at which the box's identity begins.
        length: (N,) number of boxes of that identity.
    """

    clip: Ints
    frame: Ints
    identity: Ints
    boxes: Floats
    begin: Ints
    length: Ints

    @classmethod
    def of(cls, clips: Mapping[str, Clip], tracker: str) -> Boxes:
        """The visible boxes of a tracker on the frames that count."""
        parts = []
        for number, clip in enumerate(clips.values()):
            t = clip.tracks[tracker]
            t = t.take(t.visible & np.isfinite(t.boxes).all(axis=1) & np.isin(t.frame, clip.frames))
            order = np.lexsort((t.frame, t.object_id))
            parts.append(
                (
                    np.full(len(order), number),
                    t.frame[order],
                    t.object_id[order],
                    t.boxes[order],
                )
            )
        clip_of, frame, identity, boxes = (np.concatenate(p) for p in zip(*parts, strict=True))
        fresh = np.ones(len(frame), bool)
        fresh[1:] = (np.diff(clip_of) != 0) | (np.diff(identity) != 0)
        begin = np.maximum.accumulate(np.where(fresh, np.arange(len(frame)), 0))
        length = np.bincount(begin, minlength=len(frame))[begin]
        return cls(clip_of, frame, identity, boxes, begin, length)

    def view(self, row: int, names: Sequence[str]) -> View:
        """One box, with the name of its clip."""
        x1, y1, x2, y2 = self.boxes[row].tolist()
        return View(names[int(self.clip[row])], int(self.frame[row]), (x1, y1, x2, y2))


@dataclass(frozen=True)
class Draw:
    """What one tracker is asked.

    Attributes:
        boxes: Its boxes.
        first: (n,) rows drawn.
        other: (n,) another row of the same identity, the row itself where there is none.
    """

    boxes: Boxes
    first: Ints
    other: Ints

    @classmethod
    def of(cls, boxes: Boxes, points: Floats, lead: Draw | None = None) -> Draw:
        """Draw from (4, n) points: every box with the same chance, then every other one of its identity.

        Beside another tracker's draw (`lead`) it takes the boxes at the same places wherever it has one, as often as chance
        allows, so that both are asked the same and their difference is known better than either.
        """
        count = len(boxes.frame)
        if lead is None:
            first = np.minimum(np.floor(points[0] * count), count - 1).astype(np.int64)
        else:
            first = _beside(boxes, lead, points[2:])
        length, begin = boxes.length[first], boxes.begin[first]
        ahead = np.where(length > 1, 1 + np.floor(points[1] * (length - 1)), 0).astype(np.int64)
        return cls(boxes, first, begin + (first - begin + ahead) % length)

    def follows(self, i: int, frame: int, box: Box) -> bool:
        """Whether the identity of a draw has a box on a frame that overlaps another one by half."""
        b, row = self.boxes, int(self.first[i])
        mine = slice(int(b.begin[row]), int(b.begin[row] + b.length[row]))
        there = b.boxes[mine][b.frame[mine] == frame]
        return bool(len(there) and box_iou(there, np.array([box])).max() >= OVERLAP)


def matches(one: Boxes, other: Boxes) -> Ints:
    """(N,) row of the box of `other` that is nearest to each box of `one` on its frame, if that is also nearest to it and
    they overlap by half; -1 for none. No row is given twice."""
    out = np.full(len(one.frame), -1)
    rows_of = [_by_frame(boxes) for boxes in (one, other)]
    for place in rows_of[0].keys() & rows_of[1].keys():
        mine, theirs = rows_of[0][place], rows_of[1][place]
        overlap = box_iou(one.boxes[mine], other.boxes[theirs])
        near, here = overlap.argmax(axis=1), np.arange(len(mine))
        both = (overlap.argmax(axis=0)[near] == here) & (overlap[here, near] >= OVERLAP)
        out[mine[both]] = theirs[near[both]]
    return out


def _by_frame(boxes: Boxes) -> dict[tuple[int, int], Ints]:
    """(clip, frame) -> rows."""
    order = np.lexsort((boxes.frame, boxes.clip))
    clip, frame = boxes.clip[order], boxes.frame[order]
    cuts = np.flatnonzero((np.diff(clip) != 0) | (np.diff(frame) != 0)) + 1
    return {(int(boxes.clip[r[0]]), int(boxes.frame[r[0]])): r for r in np.split(order, cuts)}


def _beside(boxes: Boxes, lead: Draw, points: Floats) -> Ints:
    """Rows drawn with equal chances, the same places as `lead` as often as that allows (a maximal coupling)."""
    count, leading = len(boxes.frame), len(lead.boxes.frame)
    partner = matches(lead.boxes, boxes)
    row = partner[lead.first]
    # The leader draws it with 1 / leading, here it may have 1 / count: the rest of that is left to chance.
    taken = (row >= 0) & (points[0] * max(1.0, count / leading) < 1)
    left = np.full(count, 1 / count)
    left[partner[partner >= 0]] -= min(1 / count, 1 / leading)
    ends = np.cumsum(np.maximum(left, 0))
    own = np.searchsorted(ends, points[1] * ends[-1], side="right")
    return np.where(taken, row, np.minimum(own, count - 1)).astype(np.int64)


@dataclass(frozen=True)
class Outcome:
    """Of a draw: whether its box holds an object (1 or 0), and how far its identity holds, at least and at most."""

    held: float
    low: float
    high: float


def outcome_of(said: Box | str, no: float) -> Outcome:
    """Of an answer in words; `no` is what remains of an identity where it is "no"."""
    return {"none": Outcome(0, 0, 0), "unsure": Outcome(1, 0, 1), "yes": Outcome(1, 1, 1)}.get(
        str(said), Outcome(1, no, no)
    )


def interval(rows: Floats, error: float) -> tuple[float, float, float]:
    """Mean over the boxes that hold an object, and Wilson's bounds; what nobody can tell counts as the worst each way."""
    held = rows[:, 0].sum()
    if not held:
        return float("nan"), 0.0, 1.0
    low, high = rows[:, 1].sum() / held, rows[:, 2].sum() / held
    return (low + high) / 2, _wilson(low, held, error)[0], _wilson(high, held, error)[1]


def together(first: Floats, second: Floats) -> float:
    """Correlation of the answers to the same draws of two trackers, from below: what one draw can change is taken off.

    Args:
        first: (n, 3) of the one: whether the box holds an object, and how far its identity holds, at least and at most.
        second: Of the other.

    Source: the continuity correction of Newcombe's interval 10 for paired shares, Statistics in Medicine 1998.
    """
    rests = []
    for rows in (first, second):
        middle, held = rows[:, 1:].mean(axis=1), rows[:, 0]
        rests.append(middle - held * middle.sum() / max(held.sum(), 1))
    spread = float(np.std(rests[0]) * np.std(rests[1]))
    shared = float(np.mean(rests[0] * rests[1])) - 1 / (2 * len(first))
    return min(shared / spread, 1.0) if spread > 0 and shared > 0 else 0.0


def _wilson(share: float, count: float, error: float) -> tuple[float, float]:
    """Bounds of a share seen in `count` draws, each of which fails with a chance of `error`."""
    from scipy.special import ndtri

    z = float(ndtri(1 - error))
    middle = (share + z * z / (2 * count)) / (1 + z * z / count)
    half = z / (1 + z * z / count) * np.sqrt(share * (1 - share) / count + z * z / (4 * count * count))
    # at the ends the bounds are 0 and 1, which rounding must not cut off
    return (float(middle - half) if share > 0 else 0.0), (float(middle + half) if share < 1 else 1.0)
