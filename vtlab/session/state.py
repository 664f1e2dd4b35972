"""What a session holds: key figures, absences, ends and predictions, and the rules by which they meet."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from vtlab.errors import PromptError
from vtlab.prompts import BoxPrompt, MaskPrompt, PointPrompt, Prompt, Prompts, SkeletonPrompt
from vtlab.session.attributes import About, Changes, renamed, taken
from vtlab.session.spans import Spans, cut, frames_of, holds, joined, united
from vtlab.trackers.loop import Direction
from vtlab.tracks import PointRows, Tracks
from vtlab.tracks.order import settled

Key = tuple[int, int, str]  # object id, frame, kind of prompt
OF_POINTS = ("point", "skeleton")
"""Kinds of figure whose points are the answer's."""


@dataclass(frozen=True)
class Renaming:
    """New ids of objects from a frame on.

    Attributes:
        ids: Old id -> new id.
        start: The first frame on which they hold.
    """

    ids: Mapping[int, int]
    start: int = 0

    def __call__(self, object_id: int, frame: int) -> int:
        """The id of what was `object_id` on a frame."""
        return self.ids.get(object_id, object_id) if frame >= self.start else object_id

    def of(self, object_id: NDArray[np.int64], frame: NDArray[np.int64]) -> NDArray[np.int64]:
        """The same for rows (N,)."""
        found, late = object_id.copy(), frame >= self.start
        for old, to in self.ids.items():
            found[late & (object_id == old)] = to
        return found


@dataclass(frozen=True)
class State:
    """Everything that a session holds; immutable, so that undo is a reference.

    Attributes:
        keys: Key figures by (object id, frame, kind).
        absent: (object id, frame) pairs that a person marked as not visible.
        gone: Object id -> first frame on which the object no longer exists.
        predicted: Rows that no person made: predictions, and on key figures' frames what the tracker made of them.
        stale: Object id -> frames of its predictions that rest on what a person has since said otherwise.
        checked: Object id -> frames of its predictions of which a person said that they look right.
        outside: Object id -> frames on which it has left the view.
        attributes: Object id -> what is said of it from which frame on, see `vtlab.session.attributes`.
        about: Object id -> its attributes that hold on all frames.
    """

    keys: Mapping[Key, Prompt] = field(default_factory=dict)
    absent: frozenset[tuple[int, int]] = frozenset()
    gone: Mapping[int, int] = field(default_factory=dict)
    predicted: Tracks = field(default_factory=Tracks.empty)
    stale: Mapping[int, Spans] = field(default_factory=dict)
    checked: Mapping[int, Spans] = field(default_factory=dict)
    outside: Mapping[int, Spans] = field(default_factory=dict)
    attributes: Mapping[int, Changes] = field(default_factory=dict)
    about: Mapping[int, About] = field(default_factory=dict)

    @cached_property
    def prompts(self) -> Prompts:
        """All key figures."""
        return Prompts(self.keys.values())

    @cached_property
    def labels(self) -> dict[int, str]:
        """Label of each object that has one: of its key figures, else of its rows (those of imported tracks)."""
        return {**self.predicted.labels, **self.prompts.labels}

    @cached_property
    def said(self) -> frozenset[tuple[int, int]]:
        """(object id, frame) pairs on which a person said something."""
        return frozenset(k[:2] for k in self.keys) | self.absent

    @property
    def away(self) -> list[tuple[int, int]]:
        """(object id, frame) pairs on which a person said that it can't be seen."""
        outside = ((i, f) for i, spans in self.outside.items() for f in frames_of(spans).tolist())
        return [*self.absent, *outside]

    @cached_property
    def object_ids(self) -> list[int]:
        """Ids of all objects, ascending."""
        return sorted({k[0] for k in self.keys} | set(self.predicted.object_ids.tolist()))

    def key_frames(self, object_id: int) -> list[int]:
        """Frames on which a person said something of the object, ascending."""
        return sorted(f for i, f in self.said if i == object_id)

    def last(self, object_id: int) -> int:
        """Last frame on which something is said or predicted of an object; -1 if on none."""
        rows = self.predicted.frame[self.predicted.object_id == object_id]
        return max([int(rows.max(initial=-1)), *self.key_frames(object_id)])

    def changed(self, **changes: Any) -> Self:
        """The state with changes. What is seen later is not gone; nothing left of it: nothing to be gone."""
        state = replace(self, **changes)
        gone = {i: f for i, f in state.gone.items() if -1 < state.last(i) < f}
        return state if gone == state.gone else replace(state, gone=gone)

    def doubted(self, object_id: int, frame: int, *, known: bool) -> Mapping[int, Spans]:
        """What is stale after a word on `frame` changed: the object's predictions from there to the next word.

        Where something was said there before (`known`) and nothing earlier, those before it rested on that, too.
        """
        words = self.key_frames(object_id)
        end = min(
            (f for f in words if f > frame), default=len(self.predicted) and self.predicted.frame[-1] + 1
        )
        start = 0 if known and not any(f < frame for f in words) else frame
        mine = self.predicted.frame[self.predicted.object_id == object_id]
        mine = mine[(mine >= start) & (mine < end)]
        return (
            {**self.stale, object_id: joined(self.stale.get(object_id, ()), mine)}
            if len(mine)
            else self.stale
        )

    def doubted_since(self, begun: State) -> Self:
        """The state with that marked stale which rests on what was said after `begun`, while a run was under way."""
        state, said = self, begun.said
        for i, f, _ in {k for k, p in self.keys.items() if k not in begun.keys or _moved(p, begun.keys[k])}:
            state = replace(state, stale=state.doubted(i, f, known=(i, f) in said))
        return state

    def filled(self, found: Tracks, spans: Mapping[int, tuple[int, int]], low: int, high: int) -> Self:
        """The state with what was found in frames low <= f < high put in as predictions.

        On frames where a person gave a figure it is kept as what the tracker made of that.

        Args:
            found: Rows of a run.
            spans: Object id -> (first, end) of the frames that the run answered for; what was predicted there goes.
            low: First frame that is wanted.
            high: Frame after the last one.
        """
        old = self.predicted
        frames, ids = found.frame, found.object_id
        keep = (frames >= low) & (frames < high)
        for i, f in self.absent:
            keep &= (ids != i) | (frames != f)
        for i, f in self.gone.items():
            keep &= (ids != i) | (frames < f)
        for i, spans_out in self.outside.items():
            keep &= (ids != i) | ~np.isin(frames, frames_of(spans_out))
        replaced, stale, checked = np.zeros(len(old), bool), dict(self.stale), dict(self.checked)
        for i, (first, end) in spans.items():
            a, b = max(first, low), min(end, high)
            keep &= (ids != i) | ((frames >= first) & (frames < end))
            replaced |= (old.object_id == i) & (old.frame >= a) & (old.frame < b)
            for marks in (stale, checked):
                marks[i] = cut(marks.get(i, ()), a, max(a, b))
        answers = found.take(keep)
        sources = answers.source.copy()
        sources[sources == "manual"] = "tracked"  # manual is what the session's keys say
        named = zip(answers.object_id.tolist(), answers.label.tolist(), strict=True)
        names = [self.labels.get(i, own) for i, own in named]  # those given while it was tracked, too
        record = found.record if found.meta else old.record
        record = record.replace(
            id_map=old.record.joined([record]).id_map
        )  # a host's ids outlive tracking again
        joint = Tracks.concat(
            [old.take(~replaced), answers.replace(source=sources, label=np.array(names, object))],
            record=record,
        )
        return self.changed(
            predicted=replace(joint, step_seconds=np.empty(0)),
            stale={i: s for i, s in stale.items() if s},
            checked={i: s for i, s in checked.items() if s},
        )

    def renamed(self, new: Renaming) -> Self:
        """Give every key figure and row the id that a renaming says; labels stay with their ids."""
        rows, touched = self.predicted, {*new.ids, *new.ids.values()}
        labels, about = dict(self.labels), dict(self.about)
        for i, to in sorted(new.ids.items()):  # an id that is new takes the label of what it is made of
            if self.last(i) < new.start:
                continue
            if i in labels:
                labels.setdefault(to, labels[i])
            if i in about and to not in self.object_ids:
                about.setdefault(to, about[i])
        keys = {
            (new(i, f), f, kind): replace(p, object_id=new(i, f), label=labels.get(new(i, f)))
            if i in touched
            else p
            for (i, f, kind), p in self.keys.items()
        }
        ids, names = new.of(rows.object_id, rows.frame), rows.label
        for i in touched:
            mine = np.flatnonzero(ids == i)
            if {*names[mine].tolist()} - {labels.get(i)}:
                names = names.copy() if names is rows.label else names
                names[mine] = labels.get(i)
        points = rows.points.replace(object_id=new.of(rows.points.object_id, rows.points.frame))
        gone: dict[int, int] = {}
        for i, f in self.gone.items():
            gone[new(i, f)] = max(f, gone.get(new(i, f), 0))
        told = {i: changes for i, changes in self.attributes.items() if i in touched}
        end = max([int(rows.frame.max(initial=-1)), *(f for _, f in self.said)]) + 1
        return self.changed(
            keys=keys,
            absent=frozenset((new(i, f), f) for i, f in self.absent),
            gone=gone,
            stale=_renamed_marks(self.stale, new),
            checked=_renamed_marks(self.checked, new),
            outside=_renamed_marks(self.outside, new),
            attributes={
                **{i: changes for i, changes in self.attributes.items() if i not in touched},
                **renamed(told, new, end),
            },
            about=about,
            predicted=settled(
                replace(rows, object_id=ids, label=names, points=points), ("object_id", "points")
            ),
        )

    def start_prompts(
        self, wanted: Mapping[int, tuple[int, int]], direction: Direction
    ) -> tuple[Prompts, Prompts]:
        """Key figures that a run forward and one backward need; none for one that isn't wanted.

        They are those inside, and the nearest one that the run can start from. Where a figure lies on the run's first
        frame (backward: its last), the run starts from it and from none before.

        Args:
            wanted: Object id -> (first, end) of the frames to fill.
            direction: Of the runs.

        Raises:
            PromptError: There are none.
        """
        forward: list[Prompt] = []
        backward: list[Prompt] = []
        for object_id, (low, high) in wanted.items():
            mine = sorted((p for k, p in self.keys.items() if k[0] == object_id), key=lambda p: p.frame)
            inside = [p for p in mine if low <= p.frame < high]
            before = [] if inside and inside[0].frame == low else [p for p in mine if p.frame < low]
            after = [] if inside and inside[-1].frame == high - 1 else [p for p in mine if p.frame >= high]
            forward += [p for p in before if p.frame == before[-1].frame] + inside
            backward += inside + [p for p in after if p.frame == after[0].frame]
        ahead, back = direction != "backward" and bool(forward), direction != "forward" and bool(backward)
        if not ahead and not back:
            raise PromptError(
                f"No key figure to track from: objects {[*wanted] or 'none'}, frames "
                f"{min((a for a, _ in wanted.values()), default=0)} to "
                f"{max((b for _, b in wanted.values()), default=0) - 1}, {direction}. "
                "Add one with session.add(prompt)."
            )
        return Prompts(forward if ahead else ()), Prompts(backward if back else ())

    def rows_at(self, pairs: Iterable[tuple[int, int]]) -> dict[tuple[int, int], int]:
        """(object id, frame) -> its row among the predictions, for those that have one."""
        rows, found = self.predicted, {}
        asked = list(pairs)
        frames = np.array([f for _, f in asked], np.int64)
        starts = np.searchsorted(rows.frame, frames).tolist()
        ends = np.searchsorted(rows.frame, frames + 1).tolist()
        for (i, f), a, b in zip(asked, starts, ends, strict=True):
            there = np.flatnonzero(rows.object_id[a:b] == i)
            if len(there):
                found[i, f] = a + int(there[0])
        return found

    def answered(self) -> dict[tuple[int, int], int]:
        """(object id, frame) of key figures -> row of what the tracker made of them, where that isn't stale."""
        pairs = {k[:2] for k in self.keys if not holds(self.stale.get(k[0], ()), k[1])}
        return self.rows_at(pairs)

    def manual(self, size: tuple[int, int]) -> Tracks:
        """What the person said, as rows: key figures, and absences as rows that are not visible.

        A box or clicks say where an object is, not what it looks like: the mask (or the points) that the tracker gave for
        them is kept, and the box is that of the mask.
        """
        figures = _Figures(self, size)
        for (i, f, kind), p in self.keys.items():
            figures.add(i, f, kind, p)
        for i, f in self.absent:
            figures.away(i, f)
        for i, spans in self.outside.items():
            for f in frames_of(spans).tolist():
                figures.away(i, f, outside=True)
        return figures.tracks()


def taken_up(state: State) -> State:
    """The state with the attributes of its predictions as what was said, so that they outlive tracking again."""
    rows, changes, about = taken(state.predicted)
    return replace(
        state, predicted=rows, attributes={**changes, **state.attributes}, about={**about, **state.about}
    )


def _moved(one: Prompt, other: Prompt) -> bool:
    """Whether two figures say different things of where the object is; a name says nothing of that."""
    return replace(one, label=None) != replace(other, label=None)


def _renamed_marks(marks: Mapping[int, Spans], new: Renaming) -> dict[int, Spans]:
    found: dict[int, Spans] = {}
    for i, spans in marks.items():
        early, late = cut(spans, new.start, sys.maxsize), cut(spans, 0, new.start)
        for owner, mine in ((i, early), (new.ids.get(i, i), late)):
            if mine:
                found[owner] = united(found[owner], mine) if owner in found else mine
    return found


class _Figures:
    """Rows of key figures in the making."""

    def __init__(self, state: State, size: tuple[int, int]):
        self.rows: dict[tuple[int, int], dict[str, Any]] = {}
        self._state, self._size, self._answers = state, size, state.answered()
        self._points: list[PointRows] = []
        self._of_points = {(i, f) for i, f, kind in state.keys if kind in OF_POINTS}
        self._labels = {p.object_id: p.label for p in state.keys.values() if p.label}

    def add(self, i: int, f: int, kind: str, p: Prompt) -> None:
        """Take in a figure of object `i` on frame `f`."""
        fresh = {"box": p.box(*self._size), "mask": None, "visible": True}
        row = self.rows.setdefault((f, i), fresh)
        if isinstance(p, MaskPrompt):
            row["mask"] = p.counts if p.counts and p.size == self._size else p.mask(*self._size)
            row["box"] = p.box(*self._size)
            row["polygons"] = [p.polygon] if p.polygon else None
        elif isinstance(p, (PointPrompt, SkeletonPrompt)):
            seen = [not o for o in p.occluded] if isinstance(p, SkeletonPrompt) else True
            self._points.append(PointRows.of(f, i, np.arange(len(p.points)), p.points, seen))
        elif isinstance(p, BoxPrompt) and p.angle and (i, f) not in self._of_points:
            self._points.append(PointRows.of(f, i, np.arange(4), p.corners(), True))
        elif (i, f) not in self._of_points and (i, f) in self._answers:
            self._answer(row, i, f, kind, self._answers[i, f])

    def away(self, i: int, f: int, *, outside: bool = False) -> None:
        """Object `i` can't be seen on frame `f`."""
        self.rows[(f, i)] = {"box": np.full(4, np.nan), "mask": None, "visible": False, "outside": outside}

    def _answer(self, row: dict[str, Any], i: int, f: int, kind: str, at: int) -> None:
        """Give a row of a box or clicks what the tracker made of them."""
        made = self._state.predicted
        mask = None if made.rle is None else made.rle[at]
        if (
            (mask is not None or kind == "click")
            and np.isfinite(made.boxes[at]).all()
            and row["mask"] is None
        ):
            row["mask"], row["box"] = mask, made.boxes[at]
        points = made.points
        if len(points):
            self._points.append(points.take((points.frame == f) & (points.object_id == i)))

    def tracks(self) -> Tracks:
        """All rows."""
        if not self.rows:
            return Tracks.empty(size=self._size)
        order = sorted(self.rows)
        masks = [self.rows[k]["mask"] for k in order]
        outside = [self.rows[k].get("outside", False) for k in order]
        polygons = [self.rows[k].get("polygons") for k in order]
        return Tracks.of(
            [f for f, _ in order],
            [i for _, i in order],
            [self.rows[k]["box"] for k in order],
            1.0,
            [self.rows[k]["visible"] for k in order],
            label=[self._labels.get(i) for _, i in order],
            source="manual",
            outside=outside if any(outside) else None,
            polygons=polygons if any(polygons) else None,
            masks=masks if any(m is not None for m in masks) else None,
            points=PointRows.concat(self._points),
            size=self._size,
        )


def without(tracks: Tracks, object_id: int, low: int, high: int | None = None) -> Tracks:
    """Tracks without an object's rows on frames low <= f < high (None: to the end)."""
    there: NDArray[np.bool_] = (tracks.object_id == object_id) & (tracks.frame >= low)
    return tracks.take(~(there if high is None else there & (tracks.frame < high)))


def answered_for(
    found: Tracks, prompts: Prompts, direction: Direction, span: tuple[int, int], *, done: bool
) -> dict[int, tuple[int, int]]:
    """Object id -> (first, end) of the frames for which a run answered; a stopped one ends where it came to."""
    done = done and found.record.complete is not False
    low, high = span
    first, end = (int(found.frame[0]), int(found.frame[-1]) + 1) if len(found) else (high, low)
    spans = {}
    for i in prompts.object_ids:
        frames = prompts.of(i).frames
        if direction == "forward":
            spans[i] = frames[0], high if done else end
        else:
            spans[i] = low if done else first, frames[-1] + 1
    return spans
