"""Session: annotate, track, correct, track again; a person's work is never overwritten.

Rules:

- A key figure is what a person gave on one frame for one object. Tracking never changes or removes it.
- A correction makes stale only the predictions from its frame to the next key figure of the same object.
- Tracking again starts from key figures, never from a prediction, and keeps what lies outside the range asked for.
- An object may be absent on a frame, or gone from a frame on; both are a person's word too. A figure on a later
  frame takes "gone" back.
- Every row knows its source: manual, tracked, detected or interpolated.

A session is one Parquet file; undo and redo restore the exact state.
"""

from __future__ import annotations

import json
import threading
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from vtlab.errors import FormatError, InputError, PromptError, TrackingError, VtlabWarning
from vtlab.prompts import BoxPrompt, MaskPrompt, PointPrompt, Prompt, Prompts, SkeletonPrompt
from vtlab.prompts.between import interpolate
from vtlab.prompts.fit import as_prompts, check_prompts
from vtlab.registry import TRACKERS
from vtlab.trackers.loop import Direction, Report, track
from vtlab.tracks import PointRows, Tracks, TracksBuilder
from vtlab.video import Video, open_video

UNDO_STEPS = 200
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


class Session:
    """A video with key figures, predictions, and the work of joining them.

    Args:
        video: Anything `open_video` takes.
        tracker: Name, `file.py:Class` or class of the tracker that fills the frames between key figures.
        params: Parameters of the tracker.
    """

    def __init__(self, video: Any, tracker: Any = "nanotrack-v2", **params: Any):
        self.video: Video = open_video(video)
        TRACKERS.card(tracker)
        self.tracker, self.params = tracker, params
        self._state = State(predicted=Tracks.empty(size=(self.video.height, self.video.width)))
        self._undo: list[State] = []
        self._redo: list[State] = []
        self._stop = threading.Event()

    # -- what there is ----------------------------------------------------------------------------------------

    @property
    def state(self) -> State:
        """The present state."""
        return self._state

    @property
    def prompts(self) -> Prompts:
        """All key figures."""
        return Prompts(self._state.keys.values())

    @property
    def object_ids(self) -> list[int]:
        """Ids of all objects, ascending."""
        ids = {k[0] for k in self._state.keys} | set(self._state.predicted.object_ids.tolist())
        return sorted(ids)

    @property
    def tracks(self) -> Tracks:
        """Key figures and predictions as one table; a key figure wins over a prediction on its frame."""
        manual = self._manual()
        taken = set(zip(manual.frame.tolist(), manual.object_id.tolist(), strict=True))
        predicted = self._state.predicted
        free = [
            (f, i) not in taken
            for f, i in zip(predicted.frame.tolist(), predicted.object_id.tolist(), strict=True)
        ]
        meta = {**predicted.meta, "edges": self.prompts.edges}
        return Tracks.concat([manual, predicted.take(np.array(free, bool))], meta=meta)

    def key_frames(self, object_id: int) -> list[int]:
        """Frames on which a person said something of the object, ascending."""
        frames = {k[1] for k in self._state.keys if k[0] == object_id}
        return sorted(frames | {f for i, f in self._state.absent if i == object_id})

    def __repr__(self) -> str:
        s = self._state
        return (
            f"Session({self.video.name!r}, {len(self.object_ids)} objects, {len(s.keys)} key figures, "
            f"{len(s.predicted)} predicted rows)"
        )

    # -- what a person says -----------------------------------------------------------------------------------

    def add(self, prompts: Any) -> None:
        """Add key figures: of new objects, or corrections of known ones (see `correct`).

        Raises:
            PromptError: A prompt that doesn't fit the video, or that the tracker can't take.
        """
        self._say(as_prompts(prompts))

    def _say(self, given: Prompts, *, instead: bool = False) -> None:
        """Take in key figures; `instead` of the boxes, clicks and masks of the same objects on the same frames."""
        given = given.on(self.video).check(self.video)
        check_prompts(TRACKERS.card(self.tracker), given)
        keys, predicted, absent = dict(self._state.keys), self._state.predicted, set(self._state.absent)
        for p in given:
            if instead and p.kind in ("box", "click", "mask"):
                for kind in ("box", "click", "mask"):
                    keys.pop((p.object_id, p.frame, kind), None)
            keys[(p.object_id, p.frame, p.kind)] = p
            absent.discard((p.object_id, p.frame))
        Prompts(keys.values())  # two labels of one object are refused here
        for p in given:
            predicted = self._without(
                predicted, p.object_id, *self._stale(keys, absent, p.object_id, p.frame)
            )
        self._commit(keys=keys, absent=frozenset(absent), predicted=predicted)

    def correct(self, prompt: Prompt) -> None:
        """Say where a known object really is on a frame; a box, clicks or a mask replace one another.

        Raises:
            InputError: The object is unknown: `add` it.
        """
        self._known(prompt.object_id)
        self._say(Prompts(prompt), instead=True)

    def remove(self, object_id: int, frame: int | None = None) -> None:
        """Remove an object, or what a person said of it on one frame (and the predictions that rest on that)."""
        self._known(object_id)
        s = self._state
        if frame is None:
            self._commit(
                keys={k: p for k, p in s.keys.items() if k[0] != object_id},
                absent=frozenset(a for a in s.absent if a[0] != object_id),
                gone={i: f for i, f in s.gone.items() if i != object_id},
                predicted=s.predicted.take(s.predicted.object_id != object_id),
            )
            return
        keys = {k: p for k, p in s.keys.items() if k[:2] != (object_id, frame)}
        absent = frozenset(s.absent - {(object_id, frame)})
        if len(keys) == len(s.keys) and absent == s.absent:
            raise InputError(
                f"Object {object_id} has no key figure on frame {frame}; it has them on {self.key_frames(object_id)}."
            )
        predicted = self._without(s.predicted, object_id, *self._stale(keys, absent, object_id, frame))
        self._commit(keys=keys, absent=absent, predicted=predicted)

    def mark_absent(self, object_id: int, frame: int) -> None:
        """Say that the object can't be seen on a frame; its key figures there are replaced by that word."""
        self._known(object_id)
        self._frame(frame)
        s = self._state
        if frame >= s.gone.get(object_id, len(self.video)):
            raise InputError(
                f"Object {object_id} is gone from frame {s.gone[object_id]} on: it can't be absent at {frame}."
            )
        keys = {k: p for k, p in s.keys.items() if k[:2] != (object_id, frame)}
        self._commit(
            keys=keys,
            absent=s.absent | {(object_id, frame)},
            predicted=self._without(s.predicted, object_id, frame, frame + 1),
        )

    def mark_gone(self, object_id: int, frame: int) -> None:
        """Say that the object no longer exists from a frame on; predictions from there on are dropped.

        Raises:
            InputError: The object has a key figure on or after that frame: remove it first.
        """
        self._known(object_id)
        self._frame(frame)
        late = [f for f in self.key_frames(object_id) if f >= frame]
        if late:
            raise InputError(
                f"Object {object_id} has key figures on {late}: remove them before it is gone at {frame}."
            )
        s = self._state
        predicted = self._without(s.predicted, object_id, frame, len(self.video))
        self._commit(gone={**s.gone, object_id: frame}, predicted=predicted)

    def relabel(self, object_id: int, label: str | None) -> None:
        """Name an object, everywhere; None takes its name away."""
        self._known(object_id)
        s = self._state
        names = s.predicted.label.copy()
        names[s.predicted.object_id == object_id] = label
        self._commit(
            keys={k: replace(p, label=label) if k[0] == object_id else p for k, p in s.keys.items()},
            predicted=s.predicted.replace(label=names),
        )

    # -- identities -------------------------------------------------------------------------------------------

    def swap(self, first: int, second: int, frame: int) -> None:
        """Exchange two objects' identities from a frame on (an identity switch mended by hand).

        Raises:
            InputError: An unknown object or frame, or twice the same object.
        """
        self._two(first, second)
        self._frame(frame)
        self._rename(lambda i, f: {first: second, second: first}.get(i, i) if f >= frame else i)

    def split(self, object_id: int, frame: int) -> int:
        """Make what follows from a frame on an object of its own, with the same label; return the new id.

        Raises:
            InputError: An unknown object or frame, or one of the two parts would be empty.
        """
        self._known(object_id)
        self._frame(frame)
        mine = [*self.key_frames(object_id), *self._state.predicted.of_object(object_id).frame.tolist()]
        if not min(mine) < frame <= max(mine):
            raise InputError(
                f"Object {object_id} spans frames {min(mine)} to {max(mine)}: splitting it at {frame} leaves one "
                "part empty. Choose a frame after its first one."
            )
        new = max([*self.object_ids, 0]) + 1
        self._rename(lambda i, f: new if i == object_id and f >= frame else i)
        return new

    def merge(self, keep: int, other: int) -> None:
        """Join two objects under the id `keep`; where both have a prediction, that of `keep` stays.

        Raises:
            InputError: An unknown object, twice the same, or both have key figures on one frame.
        """
        self._two(keep, other)
        both = sorted(set(self.key_frames(keep)) & set(self.key_frames(other)))
        if both:
            raise InputError(
                f"Objects {keep} and {other} both have key figures on frames {both}: remove one of them there first."
            )
        s = self._state
        theirs = set(s.predicted.frame[s.predicted.object_id == keep].tolist())
        double = [
            i == other and f in theirs
            for f, i in zip(s.predicted.frame.tolist(), s.predicted.object_id.tolist(), strict=True)
        ]
        self._rename(lambda i, f: keep if i == other else i, s.predicted.take(~np.array(double, bool)))

    # -- tracking ---------------------------------------------------------------------------------------------

    def retrack(
        self,
        start: int | None = None,
        stop: int | None = None,
        *,
        direction: Direction = "forward",
        object_ids: Iterable[int] | None = None,
        progress: bool | Report = True,
    ) -> Tracks:
        """Fill the frames start <= frame < stop with predictions from the key figures.

        The tracker starts at the last key figure before the range (going backward: the first after it), so that it
        has what the person gave it and not a drifted prediction; rows outside the range stay as they are.

        Args:
            start: First frame to fill; the first key figure by default.
            stop: Frame before which to stop; the end of the video by default.
            direction: "forward", "backward", or "both" from each object's first key figure.
            object_ids: Objects to track; all by default.
            progress: As for `vtlab.track`.

        Returns:
            All tracks after it.

        Raises:
            InputError: No key figures, or an unknown object.
            TrackingError: The tracker failed; what it did until then is in the session.
        """
        wanted = list(self.object_ids if object_ids is None else object_ids)
        for object_id in wanted:
            self._known(object_id)
        low = 0 if start is None else start
        high = len(self.video) if stop is None else stop
        prompts = self._start_prompts(wanted, low, high, direction)
        self._stop.clear()
        failure: TrackingError | None = None
        first, last = prompts.frames[0], prompts.frames[-1] + 1
        try:
            found = track(
                self.video,
                prompts,
                self.tracker,
                direction=direction,
                start=min(low, first),
                stop=max(high, last),
                remove={
                    i: f
                    for i, f in self._state.gone.items()
                    if i in prompts.object_ids and f < max(high, last)
                },
                progress=progress,
                cancel=self._stop,
                **self.params,
            )
        except TrackingError as error:
            failure, found = error, error.tracks
        self._commit(predicted=self._joined(self._state.predicted, found, wanted, low, high))
        if failure is not None:
            raise failure
        return self.tracks

    def stop(self) -> None:
        """Stop running work within one frame's time; what is done is kept. May be called from another thread."""
        self._stop.set()

    def interpolate(self, object_ids: Iterable[int] | None = None) -> Tracks:
        """Fill the frames between key figures by interpolation instead of a tracker."""
        stamps = self.video.timestamps
        size = (self.video.height, self.video.width)
        predicted = self._state.predicted
        for object_id in self.object_ids if object_ids is None else object_ids:
            mine = Prompts(p for k, p in self._state.keys.items() if k[0] == object_id)
            if len(mine.frames) < 2:
                continue
            low, high = mine.frames[0], mine.frames[-1] + 1
            builder = TracksBuilder(size)
            for frame, answer in interpolate(mine, {f: float(stamps[f]) for f in range(low, high)}, size):
                builder.add(frame, answer)
            found = builder.build(record=predicted.record)
            predicted = self._joined(predicted, found, [object_id], low, high)
        if predicted is not self._state.predicted:
            self._commit(predicted=predicted)  # one step, so that one undo takes all of it back
        return self.tracks

    # -- undo, file -------------------------------------------------------------------------------------------

    @property
    def can_undo(self) -> bool:
        """True if there is a step to go back."""
        return bool(self._undo)

    @property
    def can_redo(self) -> bool:
        """True if there is an undo to take back."""
        return bool(self._redo)

    def undo(self) -> bool:
        """Go back one step; False if there is none."""
        if not self._undo:
            return False
        self._redo.append(self._state)
        self._state = self._undo.pop()
        return True

    def redo(self) -> bool:
        """Take back one undo; False if there is none."""
        if not self._redo:
            return False
        self._undo.append(self._state)
        self._state = self._redo.pop()
        return True

    def save(self, path: str | Path) -> Path:
        """Write the session to one Parquet file (whole or not at all) and return its path."""
        s = self._state
        record = {
            "prompts": json.loads(Prompts(s.keys.values()).to_json()),
            "absent": sorted(s.absent),
            "gone": {str(i): f for i, f in s.gone.items()},
            "tracker": self.tracker if isinstance(self.tracker, str) else TRACKERS.card(self.tracker).name,
            "params": self.params,
            "video": {"source": self.video.source, "digest": self.video.digest()},
        }
        return s.predicted.replace(meta={**s.predicted.meta, "session": record}).save(path)

    @classmethod
    def load(cls, path: str | Path, video: Any = None) -> Session:
        """Open a session that `save` wrote.

        Args:
            path: The file.
            video: The video, if it no longer lies where it was.

        Raises:
            FormatError: The file holds no session.
            VideoError: The video is not where it was; give it.

        Warns:
            VtlabWarning: The video's content is not that of the session.
        """
        predicted = Tracks.load(path)
        record = predicted.meta.get("session")
        if not isinstance(record, dict):
            raise FormatError(
                f"{path}: these are tracks, not a session. Sessions are written by Session.save."
            )
        try:
            session = cls(
                video if video is not None else record["video"]["source"],
                record["tracker"],
                **record["params"],
            )
            prompts = Prompts.from_json(json.dumps(record["prompts"]), where=str(path))
            meta = {k: v for k, v in predicted.meta.items() if k != "session"}
            session._state = State(
                {(p.object_id, p.frame, p.kind): p for p in prompts},
                frozenset((int(i), int(f)) for i, f in record["absent"]),
                {int(i): int(f) for i, f in record["gone"].items()},
                predicted.replace(meta=meta),
            )
            digest = record["video"]["digest"]
        except (KeyError, TypeError, AttributeError) as error:
            raise FormatError(f"{path}: the session in it is damaged ({error!r}).") from None
        if session.video.digest() != digest:
            warnings.warn(
                f"{path}: the session was made on another video than {session.video.source!r} (its content differs).",
                VtlabWarning,
                stacklevel=2,
            )
        return session

    # -- how ---------------------------------------------------------------------------------------------------

    def _commit(self, **changes: Any) -> None:
        self._undo = [*self._undo[-UNDO_STEPS + 1 :], self._state]
        self._redo = []
        state = replace(self._state, **changes)
        # Seen later: not gone. Nothing left of it: nothing to be gone.
        gone = {i: f for i, f in state.gone.items() if -1 < self._last(state, i) < f}
        self._state = state if gone == state.gone else replace(state, gone=gone)

    @staticmethod
    def _last(state: State, object_id: int) -> int:
        """Last frame on which something is said or predicted of an object; -1 if on none."""
        rows = state.predicted.frame[state.predicted.object_id == object_id]
        said = {k[:2] for k in state.keys} | state.absent
        return max([int(rows.max(initial=-1)), *(f for i, f in said if i == object_id)])

    def _known(self, object_id: int) -> None:
        if object_id not in self.object_ids:
            raise InputError(f"There is no object {object_id}; there are {self.object_ids or 'none'}.")

    def _two(self, first: int, second: int) -> None:
        self._known(first)
        self._known(second)
        if first == second:
            raise InputError(f"Two different objects are needed, got {first} twice.")

    def _frame(self, frame: int) -> None:
        if not 0 <= frame < len(self.video):
            raise InputError(f"There is no frame {frame}: the video has frames 0 to {len(self.video) - 1}.")

    def _stale(
        self, keys: Mapping[Key, Prompt], absent: Iterable[tuple[int, int]], object_id: int, frame: int
    ) -> tuple[int, int]:
        """Frames whose predictions rest on what was said on `frame`: from it to the next key figure."""
        later = [k[1] for k in keys if k[0] == object_id and k[1] > frame]
        later += [f for i, f in absent if i == object_id and f > frame]
        return frame, min(later, default=len(self.video))

    @staticmethod
    def _without(tracks: Tracks, object_id: int, low: int, high: int) -> Tracks:
        return tracks.take(~((tracks.object_id == object_id) & (tracks.frame >= low) & (tracks.frame < high)))

    def _rename(self, new: Any, predicted: Tracks | None = None) -> None:
        """Give every key figure and row of (object, frame) the id new(object, frame); labels stay with their ids."""
        s = self._state
        rows = s.predicted if predicted is None else predicted
        owned = {(k[0], k[1]) for k in s.keys} | s.absent
        owned |= set(zip(rows.object_id.tolist(), rows.frame.tolist(), strict=True))
        labels = {**rows.labels, **self.prompts.labels}
        for i, f in sorted(owned):  # an id that is new takes the label of what it is made of
            if i in labels:
                labels.setdefault(new(i, f), labels[i])
        keys = {
            (new(i, f), f, kind): replace(p, object_id=new(i, f), label=labels.get(new(i, f)))
            for (i, f, kind), p in s.keys.items()
        }
        ids = [new(i, f) for i, f in zip(rows.object_id.tolist(), rows.frame.tolist(), strict=True)]
        p = rows.points
        owners = [new(i, f) for i, f in zip(p.object_id.tolist(), p.frame.tolist(), strict=True)]
        points = p.replace(object_id=np.array(owners, dtype=np.int64))
        gone: dict[int, int] = {}
        for i, f in s.gone.items():
            gone[new(i, f)] = max(f, gone.get(new(i, f), 0))
        self._commit(
            keys=keys,
            absent=frozenset((new(i, f), f) for i, f in s.absent),
            gone=gone,
            predicted=rows.replace(
                object_id=np.array(ids, np.int64),
                label=np.array([labels.get(i) for i in ids], object),
                points=points,
            ),
        )

    def _start_prompts(self, wanted: list[int], low: int, high: int, direction: Direction) -> Prompts:
        """Key figures that a run over [low, high) needs: those inside, and the nearest one it can start from."""
        chosen: list[Prompt] = []
        for object_id in wanted:
            mine = sorted(
                (p for k, p in self._state.keys.items() if k[0] == object_id), key=lambda p: p.frame
            )
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

    def _joined(self, old: Tracks, found: Tracks, wanted: list[int], low: int, high: int) -> Tracks:
        """Predictions with what was found in the range put in, except where a person said something."""
        s = self._state
        said = {k[:2] for k in s.keys} | s.absent
        keep = [
            low <= f < high and (i, f) not in said and f < s.gone.get(i, len(self.video))
            for f, i in zip(found.frame.tolist(), found.object_id.tolist(), strict=True)
        ]
        replaced = np.isin(old.object_id, wanted) & (old.frame >= low) & (old.frame < high)
        replaced &= np.isin(old.frame, found.frame)
        record = found.record if found.meta else old.record
        joined = Tracks.concat([old.take(~replaced), found.take(np.array(keep, bool))], record=record)
        return joined.replace(step_seconds=np.empty(0))

    def _manual(self) -> Tracks:
        """What the person said, as rows: key figures, and absences as rows that are not visible."""
        height, width = self.video.height, self.video.width
        rows: dict[tuple[int, int], dict[str, Any]] = {}
        points: list[PointRows] = []
        labels = {p.object_id: p.label for p in self._state.keys.values() if p.label}
        made_of_points = {(i, f) for i, f, kind in self._state.keys if kind in ("point", "skeleton")}
        for (i, f, _), p in self._state.keys.items():
            row = rows.setdefault((f, i), {"box": p.box(height, width), "mask": None, "visible": True})
            if isinstance(p, MaskPrompt):
                row["mask"] = p.mask(height, width)
                row["box"] = p.box(height, width)
            elif isinstance(p, (PointPrompt, SkeletonPrompt)):
                seen = [not o for o in p.occluded] if isinstance(p, SkeletonPrompt) else True
                points.append(PointRows.of(f, i, np.arange(len(p.points)), p.points, seen))
            elif isinstance(p, BoxPrompt) and p.angle and (i, f) not in made_of_points:
                points.append(PointRows.of(f, i, np.arange(4), p.corners(), True))
        for i, f in self._state.absent:
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
