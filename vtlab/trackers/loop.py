"""The one loop: video + prompts + tracker -> answers frame by frame (`stream`), or all of them as Tracks (`track`).

It does what every tracker needs and none should write again: late starts, corrections, removal, direction,
progress, cancelling, timing of each step, memory, provenance, a check of each answer; and it keeps what is done when
something fails.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol, Self

import numpy as np

from vtlab import provenance
from vtlab.contracts import OfflineTracker, OnlineTracker, Tracker
from vtlab.contracts.answers import check_answer
from vtlab.errors import AnswerError, InputError, Interrupted, PromptError, TrackingError, VtlabError
from vtlab.prompts import Prompts
from vtlab.prompts.fit import as_prompts, check_prompts
from vtlab.registry import TRACKERS
from vtlab.trackers.clock import Times, device_used, now
from vtlab.trackers.create import create_tracker
from vtlab.trackers.load import Load
from vtlab.trackers.memory import Memory, Unmeasured
from vtlab.trackers.passes import (
    Direction,
    Pass,
    Size,
    Span,
    find_passes,
    find_removal,
    find_span,
    read_frames,
)
from vtlab.tracks import FrameTracks, Maker, Record, Source, Tracks, TracksBuilder
from vtlab.tracks.motion import Moving, with_velocity
from vtlab.video import Frame, StreamVideo, Video, open_video

Report = Callable[[int, int], None]
Answers = Generator[tuple[int, FrameTracks], None, None]
_NO_PROMPTS = Prompts()


class Cancel(Protocol):
    """Anything with `is_set()`, such as `threading.Event`; tracking stops within one frame once it is set."""

    def is_set(self) -> bool:
        """True when tracking should stop."""
        ...


def track(
    video: Any,
    prompts: Any = None,
    tracker: Any = "nanotrack-v2",
    *,
    direction: Direction = "forward",
    start: int | None = None,
    stop: int | None = None,
    remove: Mapping[int, int] | None = None,
    progress: bool | Report = True,
    cancel: Cancel | None = None,
    **params: Any,
) -> Tracks:
    """Track objects through a video.

    Args:
        video: A `Video`, or whatever `open_video` takes: file, folder, glob, address, array (N, H, W, 3).
        prompts: `Prompts`, one prompt, a list of them, or a prompt file. A later prompt of an object corrects it.
            None for trackers that find objects by themselves.
        tracker: A name, `file.py:Class`, a class, or an instance.
        direction: "forward" in time, "backward", or "both" from each object's first prompt.
        start: First frame that may be tracked (default: the video's first).
        stop: Frame before which tracking ends (default: the video's end).
        remove: Object id -> frame from which (in the direction of tracking) the object is no longer followed.
        progress: A progress bar, none, or a function called with (frames done, frames in all).
        cancel: Set it from another thread to stop; what is done comes back with `meta["complete"] = False`.
        params: Parameters of the tracker.

    Returns:
        Tracks with one row for each object on each frame from its first prompt on.

    Raises:
        PromptError: Prompts that don't fit the video or the tracker; raised before anything is loaded.
        InputError: An unknown direction, a range outside the video, an argument of a wrong type, or what a stream can't
            give.
        RegistryError: Unknown tracker or parameter.
        TrackingError: The tracker failed after some frames; the error holds the tracks until then.
        Interrupted: Ctrl-C was pressed; this holds them too.
    """
    run = stream(
        video,
        prompts,
        tracker,
        direction=direction,
        start=start,
        stop=stop,
        remove=remove,
        cancel=cancel,
        **params,
    )
    with run, _reporter(progress, run.name, run.total) as report:
        try:
            for done, _ in enumerate(iter(run.advance, None), 1):
                report(done)
        except (VtlabError, Interrupted):
            raise
        except (Exception, KeyboardInterrupt) as error:
            raise run.failure(error, "The progress function") from error
        return run.tracks


def stream(
    video: Any,
    prompts: Any = None,
    tracker: Any = "nanotrack-v2",
    *,
    direction: Direction = "forward",
    start: int | None = None,
    stop: int | None = None,
    remove: Mapping[int, int] | None = None,
    cancel: Cancel | None = None,
    measured: bool = True,
    **params: Any,
) -> Stream:
    """Track objects through a video and give each frame's answer as it comes.

        for frame, answer in vtlab.stream("street.mp4", box, "csrt"):
            print(frame, answer.boxes)

    Everything is checked, and the tracker made, before this returns. For the arguments see `track`; `measured=False` leaves
    out the memory, whose measurement takes milliseconds, for runs that are many and short.

    Returns:
        An iterator of (frame index, `FrameTracks` with velocities); its `tracks` are what was tracked so far, at the end
        the same as `track` returns, and its `close` ends it early.

    Raises:
        PromptError: Prompts that don't fit the video or the tracker; raised before anything is loaded.
        InputError: An unknown direction, a range outside the video, an argument of a wrong type, or what a stream can't
            give.
        RegistryError: Unknown tracker or parameter.
    """
    given = as_prompts(prompts)
    if direction not in ("forward", "backward", "both"):
        raise InputError(f"direction must be 'forward', 'backward' or 'both', got {direction!r}.")
    if cancel is not None and not callable(getattr(cancel, "is_set", None)):
        raise InputError(f"cancel={cancel!r} has no `is_set()`. Remedy: give a threading.Event.")
    check_prompts(TRACKERS.card(tracker), given)
    with ExitStack() as held:
        footage = video if isinstance(video, Video) else held.enter_context(open_video(video))
        given = given.on(footage)
        given.check(Size(footage))
        span, live = find_span(footage, given, start, stop), isinstance(footage, StreamVideo)
        if live and direction != "forward":
            raise InputError(f"{footage.name!r} is a stream: it can only be tracked forward.")
        gone = find_removal(given, remove, span)
        memory = Memory() if measured else Unmeasured()
        made = create_tracker(tracker, **params)
        held.callback(made.close)
        if live and made.rereads:
            raise InputError(
                f"{footage.name!r} is a stream, and {made.card.name!r} mends its tracks at the end from the video, which "
                "can't be read again. Remedy: leave out what does that (post), or record the stream first."
            )
        job = _Job(footage, given, made, direction, span, gone, memory, cancel)
        return Stream(_Work(job), held.pop_all())


class Stream:
    """A tracker at work on a video: an iterator of (frame index, answer), made by `stream`.

    Answers come in the direction of tracking (for "both", the forward pass first). They are part of the result: copy one
    before you change it. Leaving early is fine: `close`, a `with` block or dropping the stream closes the tracker.

    Attributes:
        name: Name of the tracker.
        total: Number of answers that will come, 0 if unknown.
    """

    def __init__(self, work: _Work, held: ExitStack):
        self._held, self._work = held, work
        self._steps = work.run(held)  # knows nothing of this object: dropping it ends the work at once
        self.name, self.total = work.name, sum(p.total for p in work.passes)
        self._moving = Moving()

    @property
    def frame(self) -> int | None:
        """Frame whose answer comes next; None after the last one."""
        return self._work.frame

    @property
    def tracks(self) -> Tracks:
        """What has been tracked so far; after the last answer all of it, mended as the tracker does at the end."""
        return self._work.tracks()

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> tuple[int, FrameTracks]:
        """Go to the next frame and return its (index, answer), with velocities; for errors see `advance`."""
        index, answer = self.advance()
        return index, self._moving.told(answer, self._work.times.of(index))

    def advance(self) -> tuple[int, FrameTracks]:
        """The same without velocities, which `tracks` gets at the end: for who doesn't look at each answer.

        Raises:
            TrackingError: The tracker failed; the error holds the tracks until then.
            Interrupted: Ctrl-C was pressed while it worked; this holds them too.
        """
        work = self._work
        work.since = begin = time.perf_counter()
        try:
            return next(self._steps)
        except StopIteration:
            raise
        except (Exception, KeyboardInterrupt) as error:
            told = work.failure(error)
            if told is error:
                raise
            raise told from error
        finally:
            work.spent += time.perf_counter() - begin
            work.since = None

    def close(self) -> None:
        """Stop and free what the tracker holds; may be called twice. `tracks` stays."""
        self._steps.close()
        self._held.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __del__(self) -> None:
        self.close()

    def failure(self, error: BaseException, who: str | None = None) -> BaseException:
        """What to raise in place of an error, so that it carries the tracks; `who` failed, by default the tracker."""
        return self._work.failure(error, who)


class _Work:
    """What a stream does and what it has done so far."""

    def __init__(self, job: _Job):
        self.name = job.tracker.card.name
        self.passes = tuple(find_passes(job.tracker, job.prompts, job.span, job.direction, job.remove))
        self.frame: int | None = self.passes[0].first
        self.spent = 0.0
        self.since: float | None = None  # when the step began that is being made
        self._job = job
        self._size = job.video.height, job.video.width
        self._live = isinstance(job.video, StreamVideo)
        self._record = _record(job)
        self._made: list[Tracks] = []
        self._builder = TracksBuilder(self._size)
        self._final: Tracks | None = None
        self._seconds: list[float] = []
        self.times = Times()
        self._cancelled = False
        self._read = 0
        self._reading = 0.0  # seconds in which frames were decoded: no work of the tracker
        self._ahead = 0  # frames that were read beyond the one that was answered
        self._load = Load()

    def tracks(self) -> Tracks:
        """What has been tracked so far, or all of it."""
        return self._final if self._final is not None else self._recorded(self._so_far(), complete=False)

    def failure(self, error: BaseException, who: str | None = None) -> BaseException:
        """What to raise in place of an error, so that it carries the tracks until then.

        Args:
            error: What was raised.
            who: Who failed, for the message; the tracker by default.
        """
        tracks = self.tracks()
        if isinstance(error, KeyboardInterrupt):
            return Interrupted(
                f"{self.name} was interrupted; what was tracked is in the error's .tracks", tracks
            )
        if isinstance(error, VtlabError) and not len(tracks):
            return error
        text = str(error).strip().rstrip(".")
        if not isinstance(error, AnswerError):
            at = "at the end" if self.frame is None else f"on frame {self.frame}"
            if not isinstance(error, VtlabError):
                text = f"{type(error).__name__}: {text}" if text else repr(error)
            text = f"{who or repr(self.name)} failed {at} of {self._job.video.name!r}: {text}"
        kept = f"The {len(tracks.frames)} frames tracked before are in the error's .tracks."
        return TrackingError(f"{text}. {kept}", tracks=tracks, frame=self.frame)

    def run(self, held: ExitStack) -> Answers:
        """Yield all answers; closes what is held at the end, whatever the end is."""
        try:
            for part in self.passes:
                yield from self._through(part)
                self._made.append(self._builder.build())
                self._builder = TracksBuilder(self._size)
            self.frame = None
            tracks = self._job.tracker.finish(self._so_far(), self._job.video)
            if not isinstance(tracks, Tracks):
                what = type(tracks).__name__
                raise AnswerError(f"{self.name!r} must return Tracks from `finish`, got {what}.")
            self._final = self._recorded(tracks, complete=not self._cancelled)
        finally:
            held.close()

    def _through(self, part: Pass) -> Answers:
        """One run through the frames in one direction."""
        tracker, at, self._read = self._job.tracker, part.first, 0
        frames = self._watched(read_frames(self._job.video, part))
        how = self._online if isinstance(tracker, OnlineTracker) else self._offline
        for index, answer in how(tracker, frames, part):  # type: ignore[arg-type]
            if index != at:
                raise AnswerError(
                    f"{self.name!r} answered for frame {index!r} where {at} comes next. Remedy: `run` yields one "
                    "(frame index, FrameTracks) for each frame, in their order."
                )
            check_answer(answer, at, self._size, self.name)
            for keep in part.keep:
                answer = keep(at, answer)
            self._builder.add(at, answer)
            self._job.memory.sample()
            at += part.step
            self.frame = at
            yield index, answer
        self._check_end(part, at)

    def _watched(self, frames: Iterator[Frame]) -> Iterator[Frame]:
        """Frames until somebody cancels."""
        cancel = self._job.cancel
        while True:
            begin = now()
            frame = next(frames, None)
            if frame is not None and not self._live:
                self._job.video.look(frame)
            self._reading += now() - begin
            if frame is None:
                return
            if cancel is not None and cancel.is_set():
                self._cancelled = True
                return
            self._read += 1
            self.times.add(frame)
            yield frame

    def _online(self, tracker: OnlineTracker, frames: Iterator[Frame], part: Pass) -> Answers:
        given, gone, started = part.prompts.by_frame(), _by_frame(self._job.remove), False
        for frame in frames:
            prompts = given.get(frame.index, _NO_PROMPTS)
            frame.prepare(tracker.forms)
            begin = now()
            if frame.index in gone and started:
                tracker.remove(gone[frame.index])
            answer = tracker.step(frame, prompts) if started else tracker.init(frame, prompts)
            self._seconds.append(now() - begin)
            started = True
            yield frame.index, answer

    def _offline(self, tracker: OfflineTracker, frames: Iterator[Frame], part: Pass) -> Answers:
        begin, reading = now(), self._reading
        for done, pair in enumerate(tracker.run(frames, part.prompts, 0 if self._live else part.total), 1):
            self._seconds.append(max(now() - begin - (self._reading - reading), 0.0))
            self._ahead = max(self._ahead, self._read - done)
            if not (isinstance(pair, tuple) and len(pair) == 2):
                raise AnswerError(
                    f"{self.name!r} must yield (frame index, FrameTracks) from `run`, got a {type(pair).__name__} for "
                    f"frame {self.frame}."
                )
            yield pair
            begin, reading = now(), self._reading

    def _check_end(self, part: Pass, at: int) -> None:
        """Raise unless every frame was answered and every prompt reached; a live stream ends when it likes."""
        if self._cancelled:
            return
        done, frames = abs(at - part.first), part.total if not self._live else self._read
        if done != frames:
            raise AnswerError(
                f"{self.name!r} answered only {done} of {frames} frames. Remedy: `run` yields one (frame index, "
                "FrameTracks) for each frame."
            )
        missed = [p for p in part.prompts if p.frame >= at and part.step > 0]
        if missed:
            raise PromptError(f"{missed[0]} was never reached: the stream ended before it.")

    def _so_far(self) -> Tracks:
        parts = [*self._made, self._builder.build()] if len(self._builder) else self._made
        return parts[0] if len(parts) == 1 else Tracks.concat(parts) if parts else self._builder.build()

    def _recorded(self, tracks: Tracks, complete: bool) -> Tracks:
        ahead = 0.0 if self.since is None else time.perf_counter() - self.since
        memory = self._job.memory.record()
        record = self._record.replace(
            source=Source.of_video(self._job.video),
            complete=complete,
            events=provenance.plain(list(self._job.tracker.events)) or None,
            memory=memory,
            timing=self._timing(device_used(self._job.tracker.params, memory)),
            wall_seconds=round(self.spent + ahead, 6),
        )
        tracks = replace(tracks, record=record, step_seconds=np.array(self._seconds))
        return with_velocity(tracks, self.times.seconds())

    def _timing(self, device: str) -> dict[str, Any]:
        offline = isinstance(self._job.tracker, OfflineTracker)
        delay = 1000 * self._ahead / max(self._job.video.fps, 1e-9) if offline else 0.0
        return {
            "offline": offline,
            "delay_ms": round(delay, 3),
            "device": device,
            **self._load.record(),
        }


@dataclass(frozen=True)
class _Job:
    video: Video
    prompts: Prompts
    tracker: Tracker
    direction: Direction
    span: Span
    remove: Mapping[int, int]
    memory: Memory
    cancel: Cancel | None


def _record(job: _Job) -> Record:
    """What is known of a run before it begins."""
    tracker, card = job.tracker, job.tracker.card
    made_by = Maker(
        name=card.name,
        family=card.family,
        params=provenance.plain(dict(tracker.params)),
        weights=_weights(tracker),
    )
    return Record(
        tracker=made_by,
        source=Source.of_video(job.video),
        prompts=hashlib.sha256(job.prompts.to_json().encode()).hexdigest(),
        edges=job.prompts.edges,
        direction=job.direction,
        versions=provenance.versions(),
        hardware=provenance.hardware(),
        created=provenance.now(),
    )


def _weights(tracker: Tracker) -> dict[str, str | None]:
    """Name -> sha256 of the files that a tracker loaded: the official ones, or the one given as `weights`."""
    own = tracker.params.get("weights")
    files = tracker.card.weights if tracker.loads is None else tracker.loads
    if not files and own is None:
        return {}
    from vtlab import weights
    from vtlab.weights.lock import sha256_of

    if not isinstance(own, (str, Path)):
        return {w.name: weights.digest(w) for w in files}
    given = [Path(own)]
    # Files under their official names, or under those that a hub has in each model's folder.
    if given[0].is_dir():
        given = [
            p for p in sorted(given[0].iterdir()) if any(f".{w.name}".endswith(f".{p.name}") for w in files)
        ]
    return {p.name: sha256_of(p) for p in given if p.is_file()}


def _by_frame(remove: Mapping[int, int]) -> dict[int, list[int]]:
    found: dict[int, list[int]] = {}
    for object_id, frame in remove.items():
        found.setdefault(frame, []).append(object_id)
    return found


@contextmanager
def _reporter(progress: bool | Report, name: str, total: int) -> Iterator[Callable[[int], object]]:
    """Yield what is told the number of frames done: a bar, the caller's function, or nothing."""
    if callable(progress):
        yield lambda done: progress(done, total)
    elif progress:
        from vtlab.files.bars import bar as progress_bar

        with progress_bar(total=total or None, desc=name, unit="frame", leave=False) as bar:
            yield lambda _: bar.update()
    else:
        yield lambda _: None
