"""Session: annotate, track, correct, track again; a person's work is never overwritten.

Rules:

- A key figure is what a person gave on one frame for one object. Tracking never changes or removes it.
- A correction makes stale only the predictions from its frame to the next key figure of the same object. They stay,
  marked, until they are tracked again.
- Tracking again starts from key figures, never from a prediction, and keeps what lies outside the range asked for. Both
  ways, what is said between two key figures comes from either of them.
- A box or clicks say where an object is; what it looks like there is what the tracker made of them.
- An object may be absent on a frame, outside the view until its next figure, or gone from a frame on; all are a person's
  word too. A figure on a later frame takes "gone" back.
- Attributes hold from a frame to the next on which the same is said, and outlive tracking again.
- Every row knows its source: manual, tracked, detected or interpolated.

A session is one Parquet file; undo and redo restore the exact state.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from vtlab.errors import Interrupted, TrackingError
from vtlab.prompts import Prompts
from vtlab.prompts.between import filled_in
from vtlab.prompts.fit import figures_taken
from vtlab.registry import TRACKERS
from vtlab.session import attributes, file, opened
from vtlab.session.both_sides import joined as joined_runs
from vtlab.session.edits import Edits
from vtlab.session.history import UNDO_STEPS, alone
from vtlab.session.state import State, answered_for, taken_up
from vtlab.trackers.loop import Direction, Report, stream, track
from vtlab.tracks import FrameTracks, Record, Source, Tracks
from vtlab.tracks.order import laid_over
from vtlab.video import open_video

Watch = Callable[[int, FrameTracks], None]
"""Called with the number and the answer of each frame that was tracked."""


class Session(Edits):
    """A video with key figures, predictions, and the work of joining them.

    Args:
        video: Anything `open_video` takes.
        tracker: Name, `file.py:Class` or class of the tracker that fills the frames between key figures.
        params: Parameters of the tracker.
    """

    def __init__(self, video: Any, tracker: Any = "nanotrack-v2", **params: Any):
        TRACKERS.card(tracker)
        super().__init__(open_video(video), tracker)
        self.params = params
        self._size = self.video.height, self.video.width
        self._stop, self._dropped = threading.Event(), False
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
            VtlabWarning: They were made on another file, with the same frames, or nobody can tell.
        """
        made = cls(video, tracker, **params)
        rows = opened.as_predictions(opened.as_tracks(tracks, layout), made.video)
        made._state = taken_up(replace(made._state, predicted=rows))
        return made

    @property
    def prompts(self) -> Prompts:
        """All key figures, on the frames of this clip."""
        return Prompts(self._state.prompts, source=Source.of_video(self.video))

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
        meta = {**predicted.meta, "edges": state.prompts.edges}
        meta.pop("stale", None)
        if state.stale:
            meta["stale"] = {str(i): spans for i, spans in state.stale.items()}
        if any(state.about.values()):
            meta["objects"] = {str(i): dict(about) for i, about in state.about.items() if about}
        rows = laid_over(predicted, state.manual(self._size), Record.of(meta))
        return attributes.applied(rows, state.attributes)

    @property
    def stale(self) -> dict[int, list[tuple[int, int]]]:
        """Object id -> stretches (first, end) of frames whose predictions wait to be tracked again."""
        return {i: list(spans) for i, spans in sorted(self._state.stale.items())}

    def __repr__(self) -> str:
        s = self._state
        return (
            f"Session({self.video.name!r}, {len(self.object_ids)} objects, {len(s.keys)} key figures, "
            f"{len(s.predicted)} predicted rows)"
        )

    def retrack(
        self,
        start: int | None = None,
        stop: int | None = None,
        *,
        direction: Direction = "forward",
        object_ids: Iterable[int] | Mapping[int, tuple[int, int]] | None = None,
        progress: bool | Report = True,
        watch: Watch | None = None,
        joined: bool = False,
    ) -> Tracks:
        """Fill the frames start <= frame < stop with predictions from the key figures.

        The tracker starts at a key figure on the range's first frame, else at the last one before it (going backward:
        on its last frame, the first after it), so that it has what the person gave it and not a drifted prediction;
        rows outside the range stay as they are.

        A tracker that finds objects by itself is run over the range; what it finds anew comes in as further objects.

        Args:
            start: First frame to fill; the first key figure by default.
            stop: Frame before which to stop; the end of the video by default.
            direction: "forward", "backward", or "both": between two key figures from either of them, joined to one path
                (see `vtlab.session.both_sides`), which takes twice the time.
            object_ids: Objects to track; all by default. A mapping gives each its own frames (first, end) of the range:
                only those change.
            progress: As for `vtlab.track`.
            watch: Called with (frame, answer) of each step, while it runs.
            joined: Make it part of the step before, so that one undo takes both back.

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
        self._stop.clear()
        self._dropped = False
        if not figures_taken(card) or (card.family == "multi" and not begun.keys):
            return self._find(low, high, progress, watch)
        own = object_ids if isinstance(object_ids, Mapping) else dict.fromkeys(wanted, (low, high))
        given = begun.start_prompts({i: (max(low, a), min(high, b)) for i, (a, b) in own.items()}, direction)
        figures = Prompts([*given[0], *(p for p in given[1] if p not in given[0])])
        start, stop = min(low, figures.frames[0]), max(high, figures.frames[-1] + 1)
        gone = {i: f for i, f in begun.gone.items() if i in figures.object_ids and f < stop}
        if given[0] and given[1] and given[1].frames[-1] <= start:
            given = given[0], Prompts()  # nothing lies before
        how = {"start": start, "stop": stop, "remove": gone, "watch": watch}
        found, spans, failure = self._there_and_back(given, (low, high), progress, **how)
        spans = {i: (max(a, own[i][0]), min(b, own[i][1])) for i, (a, b) in spans.items()}
        if not self._dropped:
            with self.changing:
                self._set(self._state.filled(found, spans, low, high).doubted_since(begun), joined=joined)
        if failure is not None:
            raise failure
        return self.tracks

    def _there_and_back(
        self, given: tuple[Prompts, Prompts], span: tuple[int, int], progress: bool | Report, **how: Any
    ) -> tuple[Tracks, dict[int, tuple[int, int]], BaseException | None]:
        """What the runs forward and backward gave, joined; for which frames; and why the last of them ended early."""
        forward, backward = given
        ahead = how["stop"] - forward.frames[0] if forward else 0
        total = ahead + (backward.frames[-1] + 1 - how["start"] if backward else 0)
        if not forward or not backward:
            way: Direction = "forward" if forward else "backward"
            prompts = forward or backward
            found, failure = self._run(prompts, direction=way, progress=progress, **how)
            return found, answered_for(found, prompts, way, span, done=failure is None), failure
        report = _part_of(progress, 0, total)
        found, failure = self._run(forward, direction="forward", progress=report, **how)
        spans = answered_for(found, forward, "forward", span, done=failure is None)
        if failure is not None or self._stop.is_set():
            return found, spans, failure
        report = _part_of(progress, ahead, total)
        other, failure = self._run(backward, direction="backward", progress=report, **how)
        whole = how["start"], span[1]
        back = answered_for(other, backward, "backward", whole, done=failure is None)
        between = {
            i: {p.frame: p.box(*self._size) for p in (*forward.of(i), *backward.of(i)) if p.frame >= first}
            for i, (first, _) in back.items()
        }
        for i, (first, end) in back.items():
            there = spans.get(i, (first, end))
            spans[i] = min(first, there[0]), max(end, there[1])
        return joined_runs(found, other, between, self._state.away), spans, failure

    def _run(
        self, prompts: Prompts | None, *, progress: bool | Report, watch: Watch | None, **how: Any
    ) -> tuple[Tracks, BaseException | None]:
        """What the tracker gave, and why it ended early; Ctrl-C too loses nothing."""
        how = {**how, "cancel": self._stop, **self.params}
        try:
            if watch is None:
                return track(self.video, prompts, self.tracker, progress=progress, **how), None
            with stream(self.video, prompts, self.tracker, **how) as run:
                for done, (frame, answer) in enumerate(run, 1):
                    watch(frame, answer)
                    if callable(progress):
                        progress(done, run.total)
                return run.tracks, None
        except (TrackingError, Interrupted) as error:
            return error.tracks, error

    def _find(self, low: int, high: int, progress: bool | Report, watch: Watch | None) -> Tracks:
        """Put in the objects that the tracker finds by itself and that are not known yet."""
        found, failure = self._run(None, start=low, stop=high, progress=progress, watch=watch)
        new = opened.newcomers(opened.numbered(found), self.tracks)
        spans = dict.fromkeys(new.object_ids.tolist(), (low, high))
        if not self._dropped:
            with self.changing:
                self._set(self._state.filled(new, spans, low, high))
        if failure is not None:
            raise failure
        return self.tracks

    def stop(self, *, drop: bool = False) -> None:
        """Stop running work within one frame's time; what is done is kept, or dropped. Any thread may call it."""
        self._dropped = drop
        self._stop.set()

    @alone
    def interpolate(
        self, object_ids: Iterable[int] | None = None, start: int | None = None, stop: int | None = None
    ) -> Tracks:
        """Fill the frames between key figures by interpolation instead of a tracker.

        Args:
            object_ids: Of these objects; of all by default.
            start: First frame to fill; 0 by default.
            stop: Frame before which to stop; the end of the video by default.
        """
        state, stamps = self._state, self.video.timestamps
        low, high = start or 0, len(self.video) if stop is None else stop
        parts, spans = [], {}
        for object_id in self.object_ids if object_ids is None else object_ids:
            mine = Prompts(p for k, p in state.keys.items() if k[0] == object_id and low <= k[1] < high)
            if len(mine.frames) > 1:
                spans[object_id] = mine.frames[0], mine.frames[-1] + 1
                parts.append(filled_in(mine, stamps, self._size))
        if parts:  # one step, so that one undo takes all of it back
            found = Tracks.concat(parts, record=state.predicted.record)
            found = found.take(found.source != "manual")
            self._set(state.filled(found, spans, low, high))
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
    def load(
        cls,
        path: str | Path,
        video: Any = None,
        *,
        tracker: Any = None,
        params: Mapping[str, Any] | None = None,
    ) -> Session:
        """Open a session that `save` wrote.

        Args:
            path: The file. It may come from anybody: no code that it names is run, no address is asked.
            video: The video, if it no longer lies where it was.
            tracker: What to track with in place of the file's own tracker and parameters.
            params: Parameters of that tracker.

        Raises:
            FormatError: The file holds no session, one that can't be of this video (its frames differ), or one whose
                tracker is a file of code: give that as `tracker`.
            VideoError: The video is not where it was; give it.

        Warns:
            VtlabWarning: The video is another file, with the same frames, or nobody can tell.
        """
        saved = file.read(path)
        if tracker is None:
            file.check_harmless(saved, path)
            tracker, params = saved.tracker, saved.params
        footage = file.footage(saved, path) if video is None else video
        session = cls(footage, tracker, **(params or {}))
        file.check_video(saved, session.video, path)
        file.check_fits(saved.state, session.video, path)
        session._state = saved.state
        session._stamps[Path(path).absolute()] = file.stamp(Path(path).absolute())
        return session

    @alone
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
        file.check_video(saved, self.video, path)
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


def _part_of(progress: bool | Report, before: int, total: int) -> bool | Report:
    """The report of a run that is a part of one over `total` frames, of which `before` are done."""
    return (lambda done, _: progress(before + done, total)) if callable(progress) else progress
