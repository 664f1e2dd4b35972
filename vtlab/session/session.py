"""Session: annotate, track, correct, track again; a person's work is never overwritten.

Rules:

- A key figure is what a person gave on one frame for one object. Tracking never changes or removes it.
- A correction makes stale only the predictions from its frame to the next key figure of the same object. They stay,
  marked, until they are tracked again.
- Tracking again starts from key figures, never from a prediction, and keeps what lies outside the range asked for.
- A box or clicks say where an object is; what it looks like there is what the tracker made of them.
- An object may be absent on a frame, or gone from a frame on; both are a person's word too. A figure on a later
  frame takes "gone" back.
- Every row knows its source: manual, tracked, detected or interpolated.

A session is one Parquet file; undo and redo restore the exact state.
"""

from __future__ import annotations

import threading
import warnings
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from vtlab.errors import FormatError, InputError, Interrupted, TrackingError, VtlabWarning
from vtlab.prompts import Prompt, Prompts
from vtlab.prompts.between import filled_in
from vtlab.prompts.fit import as_prompts, check_prompts
from vtlab.registry import TRACKERS
from vtlab.session import file, opened
from vtlab.session.history import UNDO_STEPS, History
from vtlab.session.spans import joined
from vtlab.session.state import State, answered_for, without
from vtlab.trackers.loop import Direction, Report, track
from vtlab.tracks import Source, Tracks
from vtlab.video import Video, open_video


class Session(History):
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
        super().__init__(State(predicted=Tracks.empty(size=self._size)))
        self._stop = threading.Event()
        self._saving = threading.Lock()
        self._seen: tuple[State, Tracks] | None = None
        self._stamps: dict[Path, file.Stamp | None] = {}  # of the files that this session read or wrote
        self._restored: State | None = None

    @classmethod
    def of(
        cls,
        video: Any,
        tracks: Any,
        tracker: Any = "nanotrack-v2",
        *,
        layout: str | None = None,
        **params: Any,
    ) -> Session:
        """Open tracks made elsewhere (a detector, the assistant, a colleague's file) to repair them and track them again.

        They are the session's predictions: figures correct them, `retrack` goes on from those, `tracks` has all of it.

        Args:
            video: Anything `open_video` takes.
            tracks: `Tracks`, or a file of any format that vtlab reads. Ids below 1 get free ones, see `Record.id_map`.
            tracker: Tracks from corrections on.
            layout: Name of the file's format; by default it is told by its look.
            params: Parameters of the tracker.

        Raises:
            InputError: The tracks can't be of this video.
            FormatError: The file is missing, damaged, or of no known format.

        Warns:
            VtlabWarning: The tracks say that they were made on a video with another content.
        """
        made = cls(video, tracker, **params)
        rows = opened.as_predictions(opened.as_tracks(tracks, layout), made.video)
        made._state = replace(made._state, predicted=rows)
        return made

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
        """Key figures and predictions as one table; a key figure wins over a prediction on its frame.

        Its record names under "stale" the frames whose predictions rest on what has been said otherwise since.
        """
        if self._seen is None or self._seen[0] is not self._state:
            self._seen = (self._state, self._table())
        return self._seen[1]

    def _table(self) -> Tracks:
        state, predicted = self._state, self._state.predicted
        free = np.ones(len(predicted), bool)
        free[list(state.rows_at(state.said).values())] = False
        meta = {**predicted.meta, "edges": state.prompts.edges}
        meta.pop("stale", None)
        if state.stale:
            meta["stale"] = {str(i): spans for i, spans in state.stale.items()}
        return Tracks.concat([state.manual(self._size), predicted.take(free)], meta=meta)

    @property
    def stale(self) -> dict[int, list[tuple[int, int]]]:
        """Object id -> stretches (first, end) of frames whose predictions wait to be tracked again."""
        return {i: list(spans) for i, spans in sorted(self._state.stale.items())}

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
        card = TRACKERS.card(self.tracker)
        if card.accepts:  # one that finds objects by itself takes no figures: they stand beside what it found
            check_prompts(card, given)
        keys, absent = dict(self._state.keys), set(self._state.absent)
        for p in given:
            if instead and p.kind in ("box", "click", "mask"):
                for kind in ("box", "click", "mask"):
                    keys.pop((p.object_id, p.frame, kind), None)
            keys[(p.object_id, p.frame, p.kind)] = p
            absent.discard((p.object_id, p.frame))
        Prompts(keys.values())  # two labels of one object are refused here
        said = self._state.said
        state = replace(self._state, keys=keys, absent=frozenset(absent))
        for p in given:
            known = (p.object_id, p.frame) in said
            state = replace(state, stale=state.doubted(p.object_id, p.frame, known=known))
        self._commit(keys=keys, absent=state.absent, stale=state.stale)

    def correct(self, prompt: Prompt) -> None:
        """Say where a known object really is on a frame; a box, clicks or a mask replace one another.

        Raises:
            InputError: The object is unknown: `add` it.
        """
        self._known(prompt.object_id)
        self._say(Prompts(prompt), instead=True)

    def remove(self, object_id: int, frame: int | None = None) -> None:
        """Remove an object, or what a person said of it on one frame (the predictions that rest on that are stale)."""
        self._known(object_id)
        s = self._state
        if frame is None:
            self._commit(
                keys={k: p for k, p in s.keys.items() if k[0] != object_id},
                absent=frozenset(a for a in s.absent if a[0] != object_id),
                gone={i: f for i, f in s.gone.items() if i != object_id},
                stale={i: spans for i, spans in s.stale.items() if i != object_id},
                checked={i: spans for i, spans in s.checked.items() if i != object_id},
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
        self._commit(keys=keys, absent=absent, stale=left.doubted(object_id, frame, known=True))

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

    def looks_right(self, object_id: int, start: int, stop: int) -> None:
        """Say that what is predicted on frames start <= frame < stop is right: reviewing passes over it from now on."""
        self._known(object_id)
        self._frame(start)
        spans = joined(self._state.checked.get(object_id, ()), np.arange(start, max(stop, start + 1)))
        self._commit(checked={**self._state.checked, object_id: spans})

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
        frame, ids = s.predicted.frame, s.predicted.object_id
        said = np.isin(frame, self.key_frames(other))  # there the other one's rows are what its figures gave
        drop = (ids == keep) & said
        drop |= (ids == other) & ~said & np.isin(frame, frame[ids == keep])
        drop |= (ids == other) & np.isin(frame, self.key_frames(keep))
        one = replace(s, predicted=s.predicted.take(~drop))
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

        The tracker starts at a key figure on the range's first frame, else at the last one before it (going backward:
        on its last frame, the first after it), so that it has what the person gave it and not a drifted prediction;
        rows outside the range stay as they are.

        A tracker that finds objects by itself is run over the range; what it finds anew comes in as further objects.

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
            Interrupted: Ctrl-C was pressed; the same.
        """
        wanted = list(self.object_ids if object_ids is None else object_ids)
        for object_id in wanted:
            self._known(object_id)
        low = 0 if start is None else start
        high = len(self.video) if stop is None else stop
        begun, card = self._state, TRACKERS.card(self.tracker)
        if not card.accepts or (card.family == "multi" and not begun.keys):
            return self._find(low, high, progress)
        prompts = begun.start_prompts(wanted, low, high, direction)
        first, last = prompts.frames[0], prompts.frames[-1] + 1
        gone = {i: f for i, f in begun.gone.items() if i in prompts.object_ids and f < max(high, last)}
        found, failure = self._run(
            prompts,
            direction=direction,
            start=min(low, first),
            stop=max(high, last),
            remove=gone,
            progress=progress,
        )
        spans = answered_for(found, prompts, direction, (low, high), done=failure is None)
        self._set(self._state.filled(found, spans, low, high).doubted_since(begun))
        if failure is not None:
            raise failure
        return self.tracks

    def _run(self, prompts: Prompts | None, **how: Any) -> tuple[Tracks, BaseException | None]:
        """What the tracker gave, and why it ended early; Ctrl-C too loses nothing."""
        self._stop.clear()
        try:
            return track(self.video, prompts, self.tracker, cancel=self._stop, **how, **self.params), None
        except (TrackingError, Interrupted) as error:
            return error.tracks, error

    def _find(self, low: int, high: int, progress: bool | Report) -> Tracks:
        """Put in the objects that the tracker finds by itself and that are not known yet."""
        found, failure = self._run(None, start=low, stop=high, progress=progress)
        new = opened.newcomers(opened.numbered(found), self.tracks)
        spans = dict.fromkeys(new.object_ids.tolist(), (low, high))
        self._set(self._state.filled(new, spans, low, high))
        if failure is not None:
            raise failure
        return self.tracks

    def stop(self) -> None:
        """Stop running work within one frame's time; what is done is kept. May be called from another thread."""
        self._stop.set()

    def interpolate(self, object_ids: Iterable[int] | None = None) -> Tracks:
        """Fill the frames between key figures by interpolation instead of a tracker."""
        state, stamps = self._state, self.video.timestamps
        parts, spans = [], {}
        for object_id in self.object_ids if object_ids is None else object_ids:
            mine = Prompts(p for k, p in state.keys.items() if k[0] == object_id)
            if len(mine.frames) > 1:
                spans[object_id] = mine.frames[0], mine.frames[-1] + 1
                parts.append(filled_in(mine, stamps, self._size))
        if parts:  # one step, so that one undo takes all of it back
            found = Tracks.concat(parts, record=state.predicted.record)
            found = found.take(found.source != "manual")
            self._set(state.filled(found, spans, 0, len(self.video)))
        return self.tracks

    def save(self, path: str | Path) -> Path:
        """Write the session to one Parquet file (whole or not at all) and return its path.

        Other work in a file of that name, which this session neither read nor wrote, is kept beside it.

        Warns:
            VtlabWarning: Such work was kept; the message says under which name.
        """
        target = Path(path).absolute()
        name = self.tracker if isinstance(self.tracker, str) else TRACKERS.card(self.tracker).name
        with self._saving:
            state = self._state
            if self._stamps.get(target) != file.stamp(target) or self._went_back():
                file.keep_other(target, state, self.video)
                self._restored = None
            file.write(state, self.video, name, self.params, target)
            self._stamps[target] = file.stamp(target)
        return Path(path)

    @classmethod
    def load(cls, path: str | Path, video: Any = None) -> Session:
        """Open a session that `save` wrote.

        Args:
            path: The file.
            video: The video, if it no longer lies where it was.

        Raises:
            FormatError: The file holds no session, or one that can't be of this video.
            VideoError: The video is not where it was; give it.

        Warns:
            VtlabWarning: The video's content is not that of the session.
        """
        saved = file.read(path)
        footage = open_video(saved.source, stream=saved.stream) if video is None else video
        session = cls(footage, saved.tracker, **saved.params)
        if session.video.digest() != saved.digest:
            warnings.warn(
                f"{path}: the session was made on another video than {session.video.source!r} (its content differs).",
                VtlabWarning,
                stacklevel=2,
            )
        file.check_fits(saved.state, session.video, path)
        session._state = saved.state
        session._stamps[Path(path).absolute()] = file.stamp(Path(path).absolute())
        return session

    def restore(self, path: str | Path) -> bool:
        """Take up the work that a file holds, as one step that can be undone; True if there was any.

        False where the session wrote the file itself, or was read from one that is newer.

        The tracker stays. Who undoes it and goes on from there loses nothing either: `save` then keeps the file beside.

        Raises:
            FormatError: The file holds no session, a damaged one, or one of another video.
        """
        target = Path(path).absolute()
        there = file.stamp(target)
        if there is not None and there[-1] <= max((s[-1] for s in self._stamps.values() if s), default=0):
            return False
        saved = file.read(target)
        if saved.digest != self.video.digest():
            raise FormatError(
                f"{path}: this is work on another video ({saved.source}), not on {self.video.source}: the content differs."
            )
        file.check_fits(saved.state, self.video, path)
        self._set(saved.state)
        self._restored = saved.state
        self._stamps[target] = file.stamp(target)
        return True

    def _went_back(self) -> bool:
        """Whether what was restored from a file has been undone, so that what is there now does not rest on it."""
        line = (*self._undo, self._state)
        return (
            self._restored is not None
            and len(line) < UNDO_STEPS
            and all(s is not self._restored for s in line)
        )

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
