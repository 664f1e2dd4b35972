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
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from vtlab.errors import FormatError, InputError, TrackingError, VtlabWarning
from vtlab.prompts import Prompt, Prompts
from vtlab.prompts.between import interpolate
from vtlab.prompts.fit import as_prompts, check_prompts
from vtlab.registry import TRACKERS
from vtlab.session.state import State, without
from vtlab.trackers.loop import Direction, Report, track
from vtlab.tracks import Source, Tracks, TracksBuilder
from vtlab.video import Video, open_video

UNDO_STEPS = 200


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
        self._size = self.video.height, self.video.width
        self._state = State(predicted=Tracks.empty(size=self._size))
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
        """All key figures, on the frames of this clip."""
        return Prompts(self._state.prompts, source=Source.of_video(self.video))

    @property
    def object_ids(self) -> list[int]:
        """Ids of all objects, ascending."""
        return self._state.object_ids

    @property
    def tracks(self) -> Tracks:
        """Key figures and predictions as one table; a key figure wins over a prediction on its frame."""
        manual = self._state.manual(self._size)
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
        return self._state.key_frames(object_id)

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
        keys, absent = dict(self._state.keys), set(self._state.absent)
        for p in given:
            if instead and p.kind in ("box", "click", "mask"):
                for kind in ("box", "click", "mask"):
                    keys.pop((p.object_id, p.frame, kind), None)
            keys[(p.object_id, p.frame, p.kind)] = p
            absent.discard((p.object_id, p.frame))
        Prompts(keys.values())  # two labels of one object are refused here
        state = replace(self._state, keys=keys, absent=frozenset(absent))
        for p in given:
            state = replace(state, predicted=state.fresh(p.object_id, p.frame))
        self._commit(keys=keys, absent=state.absent, predicted=state.predicted)

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
        left = replace(s, keys=keys, absent=absent)
        self._commit(keys=keys, absent=absent, predicted=left.fresh(object_id, frame))

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
            predicted=without(s.predicted, object_id, frame, frame + 1),
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
        self._commit(gone={**s.gone, object_id: frame}, predicted=without(s.predicted, object_id, frame))

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
        self._set(
            self._state.renamed(lambda i, f: {first: second, second: first}.get(i, i) if f >= frame else i)
        )

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
        self._set(self._state.renamed(lambda i, f: new if i == object_id and f >= frame else i))
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
        one = replace(s, predicted=s.predicted.take(~np.array(double, bool)))
        self._set(one.renamed(lambda i, f: keep if i == other else i))

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
        prompts = self._state.start_prompts(wanted, low, high, direction)
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
        self._commit(predicted=self._state.filled(found, wanted, low, high))
        if failure is not None:
            raise failure
        return self.tracks

    def stop(self) -> None:
        """Stop running work within one frame's time; what is done is kept. May be called from another thread."""
        self._stop.set()

    def interpolate(self, object_ids: Iterable[int] | None = None) -> Tracks:
        """Fill the frames between key figures by interpolation instead of a tracker."""
        stamps = self.video.timestamps
        state = self._state
        for object_id in self.object_ids if object_ids is None else object_ids:
            mine = Prompts(p for k, p in self._state.keys.items() if k[0] == object_id)
            if len(mine.frames) < 2:
                continue
            low, high = mine.frames[0], mine.frames[-1] + 1
            builder = TracksBuilder(self._size)
            for frame, answer in interpolate(
                mine, {f: float(stamps[f]) for f in range(low, high)}, self._size
            ):
                builder.add(frame, answer)
            found = builder.build(record=state.predicted.record)
            state = replace(state, predicted=state.filled(found, [object_id], low, high))
        if state is not self._state:
            self._set(state)  # one step, so that one undo takes all of it back
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
            "video": {
                "source": self.video.source,
                "digest": self.video.digest(),
                "stream": self.video.stream,
            },
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
                video if video is not None else _video_of(record["video"]),
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
        self._set(self._state.changed(**changes))

    def _set(self, state: State) -> None:
        self._undo = [*self._undo[-UNDO_STEPS + 1 :], self._state]
        self._redo = []
        self._state = state

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


def _video_of(record: Mapping[str, Any]) -> Video:
    """The video that a session was made on, where it still lies."""
    source, stream = record["source"], record.get("stream")
    if not isinstance(source, str) or not (stream is None or isinstance(stream, int)):
        raise TypeError(f"a video {source!r}, stream {stream!r}")
    return open_video(source, stream=stream)
