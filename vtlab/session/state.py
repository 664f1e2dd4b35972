"""What a session holds: key figures, absences, ends and predictions, and the rules by which they meet."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Self

import numpy as np

from vtlab.errors import PromptError
from vtlab.prompts import BoxPrompt, MaskPrompt, PointPrompt, Prompt, Prompts, SkeletonPrompt
from vtlab.trackers.loop import Direction
from vtlab.tracks import PointRows, Tracks

Key = tuple[int, int, str]  # object id, frame, kind of prompt


@dataclass(frozen=True)
class State:
    """Everything that a session holds; immutable, so that undo is a reference.

    Attributes:
        keys: Key figures by (object id, frame, kind).
        absent: (object id, frame) pairs that a person marked as not visible.
        gone: Object id -> first frame on which the object no longer exists.
        predicted: Rows that no person made.
    """

    keys: Mapping[Key, Prompt] = field(default_factory=dict)
    absent: frozenset[tuple[int, int]] = frozenset()
    gone: Mapping[int, int] = field(default_factory=dict)
    predicted: Tracks = field(default_factory=Tracks.empty)

    @property
    def prompts(self) -> Prompts:
        """All key figures."""
        return Prompts(self.keys.values())

    @property
    def said(self) -> set[tuple[int, int]]:
        """(object id, frame) pairs on which a person said something."""
        return {k[:2] for k in self.keys} | self.absent

    @property
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

    def fresh(self, object_id: int, frame: int) -> Tracks:
        """Predictions without those that rest on what was said on `frame`: from it to the next word on the object."""
        end = min((f for f in self.key_frames(object_id) if f > frame), default=None)
        return without(self.predicted, object_id, frame, end)

    def filled(self, found: Tracks, wanted: list[int], low: int, high: int) -> Tracks:
        """Predictions with what was found in frames low <= f < high put in, except where a person said something."""
        said, old = self.said, self.predicted
        keep = [
            low <= f < high and (i, f) not in said and f < self.gone.get(i, high)
            for f, i in zip(found.frame.tolist(), found.object_id.tolist(), strict=True)
        ]
        replaced = np.isin(old.object_id, wanted) & (old.frame >= low) & (old.frame < high)
        replaced &= np.isin(old.frame, found.frame)
        record = found.record if found.meta else old.record
        joined = Tracks.concat([old.take(~replaced), found.take(np.array(keep, bool))], record=record)
        return joined.replace(step_seconds=np.empty(0))

    def renamed(self, new: Callable[[int, int], int]) -> Self:
        """Give every key figure and row of (object, frame) the id new(object, frame); labels stay with their ids."""
        rows = self.predicted
        owned = self.said | set(zip(rows.object_id.tolist(), rows.frame.tolist(), strict=True))
        labels = {**rows.labels, **self.prompts.labels}
        for i, f in sorted(owned):  # an id that is new takes the label of what it is made of
            if i in labels:
                labels.setdefault(new(i, f), labels[i])
        keys = {
            (new(i, f), f, kind): replace(p, object_id=new(i, f), label=labels.get(new(i, f)))
            for (i, f, kind), p in self.keys.items()
        }
        ids = [new(i, f) for i, f in zip(rows.object_id.tolist(), rows.frame.tolist(), strict=True)]
        p = rows.points
        owners = [new(i, f) for i, f in zip(p.object_id.tolist(), p.frame.tolist(), strict=True)]
        points = p.replace(object_id=np.array(owners, dtype=np.int64))
        gone: dict[int, int] = {}
        for i, f in self.gone.items():
            gone[new(i, f)] = max(f, gone.get(new(i, f), 0))
        return self.changed(
            keys=keys,
            absent=frozenset((new(i, f), f) for i, f in self.absent),
            gone=gone,
            predicted=rows.replace(
                object_id=np.array(ids, np.int64),
                label=np.array([labels.get(i) for i in ids], object),
                points=points,
            ),
        )

    def start_prompts(self, wanted: list[int], low: int, high: int, direction: Direction) -> Prompts:
        """Key figures that a run over [low, high) needs: those inside, and the nearest one it can start from."""
        chosen: list[Prompt] = []
        for object_id in wanted:
            mine = sorted((p for k, p in self.keys.items() if k[0] == object_id), key=lambda p: p.frame)
            inside = [p for p in mine if low <= p.frame < high]
            before = [p for p in mine if p.frame < low]
            after = [p for p in mine if p.frame >= high]
            if direction == "forward" and before:
                inside = [p for p in before if p.frame == before[-1].frame] + inside
            elif direction == "backward" and after:
                inside += [p for p in after if p.frame == after[0].frame]
            elif not inside and direction == "both":
                inside = [p for p in before if p.frame == before[-1].frame] if before else after[:1]
            chosen += inside
        if not chosen:
            raise PromptError(
                f"No key figure to track from: objects {wanted or 'none'}, frames {low} to {high - 1}, {direction}. "
                "Add one with session.add(prompt)."
            )
        return Prompts(chosen)

    def manual(self, size: tuple[int, int]) -> Tracks:
        """What the person said, as rows: key figures, and absences as rows that are not visible."""
        height, width = size
        rows: dict[tuple[int, int], dict[str, Any]] = {}
        points: list[PointRows] = []
        labels = {p.object_id: p.label for p in self.keys.values() if p.label}
        made_of_points = {(i, f) for i, f, kind in self.keys if kind in ("point", "skeleton")}
        for (i, f, _), p in self.keys.items():
            row = rows.setdefault((f, i), {"box": p.box(height, width), "mask": None, "visible": True})
            if isinstance(p, MaskPrompt):
                row["mask"] = p.mask(height, width)
                row["box"] = p.box(height, width)
            elif isinstance(p, (PointPrompt, SkeletonPrompt)):
                seen = [not o for o in p.occluded] if isinstance(p, SkeletonPrompt) else True
                points.append(PointRows.of(f, i, np.arange(len(p.points)), p.points, seen))
            elif isinstance(p, BoxPrompt) and p.angle and (i, f) not in made_of_points:
                points.append(PointRows.of(f, i, np.arange(4), p.corners(), True))
        for i, f in self.absent:
            rows[(f, i)] = {"box": np.full(4, np.nan), "mask": None, "visible": False}
        if not rows:
            return Tracks.empty(size=(height, width))
        order = sorted(rows)
        masked = any(rows[k]["mask"] is not None for k in order)
        return Tracks.of(
            [f for f, _ in order],
            [i for _, i in order],
            [rows[k]["box"] for k in order],
            1.0,
            [rows[k]["visible"] for k in order],
            label=[labels.get(i) for _, i in order],
            source="manual",
            masks=[rows[k]["mask"] for k in order] if masked else None,
            points=PointRows.concat(points),
            size=(height, width),
        )


def without(tracks: Tracks, object_id: int, low: int, high: int | None = None) -> Tracks:
    """Tracks without an object's rows on frames low <= f < high (None: to the end)."""
    there = (tracks.object_id == object_id) & (tracks.frame >= low)
    return tracks.take(~(there if high is None else there & (tracks.frame < high)))
