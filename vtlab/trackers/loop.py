"""The one loop: video + prompts + tracker -> Tracks.

It does what every tracker needs and none should write again: late starts, corrections, removal, direction,
progress, cancelling, timing of each step, memory, provenance; and it keeps what is done when something fails.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np

from vtlab import provenance
from vtlab.contracts import Card, OfflineTracker, OnlineTracker, Tracker
from vtlab.errors import InputError, PromptError, TrackingError, VtlabError
from vtlab.prompts import Prompt, Prompts
from vtlab.registry import TRACKERS
from vtlab.trackers.create import create_tracker
from vtlab.trackers.memory import Memory
from vtlab.tracks import FrameTracks, Tracks, TracksBuilder
from vtlab.video import Frame, StreamVideo, Video, open_video

Direction = Literal["forward", "backward", "both"]
Report = Callable[[int, int], None]
_NO_PROMPTS = Prompts()


class Cancel(Protocol):
    """Anything with `is_set()`, such as `threading.Event`; tracking stops within one frame once it is set."""

    def is_set(self) -> bool:
        """True when tracking should stop."""
        ...


def as_prompts(prompts: Any) -> Prompts:
    """Prompts from what callers give: a set, one prompt, an iterable of prompts, a path, or None."""
    if prompts is None:
        return _NO_PROMPTS
    if isinstance(prompts, Prompts):
        return prompts
    if isinstance(prompts, (str, Path)):
        return Prompts.load(prompts)
    if isinstance(prompts, (Prompt, Iterable)):
        return Prompts(prompts)
    raise PromptError(
        f"Expected prompts (vtlab.Prompts, a prompt, a list of them or a file), got {prompts!r}."
    )


def check_prompts(card: Card, prompts: Prompts) -> None:
    """Raise `PromptError` if a tracker can't take these prompts; nothing is loaded for this."""
    wrong = sorted(k.__name__ for k in prompts.kinds - card.accepts)
    takes = ", ".join(sorted(k.__name__ for k in card.accepts)) or "no prompts at all"
    if wrong:
        raise PromptError(
            f"{card.name!r} can't take {', '.join(wrong)}: it takes {takes}. Give other prompts, or choose a tracker "
            "that takes these (vtlab.list_trackers, vtlab.tracker_card)."
        )
    if card.accepts and not prompts and card.family != "multi":
        raise PromptError(f"{card.name!r} needs at least one prompt; it takes {takes}.")


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
        InputError: An unknown direction, a range outside the video, or what a stream can't give.
        RegistryError: Unknown tracker or parameter.
        TrackingError: The tracker failed after some frames; the error holds the tracks until then.
    """
    given = as_prompts(prompts)
    if direction not in ("forward", "backward", "both"):
        raise InputError(f"direction must be 'forward', 'backward' or 'both', got {direction!r}.")
    check_prompts(TRACKERS.card(tracker), given)
    owned = not isinstance(video, Video)
    footage = open_video(video) if owned else video
    try:
        given.check(_Size(footage))
        span = _span(footage, given, start, stop)
        if span[1] < 0 and direction != "forward":
            raise InputError(f"{footage.name!r} is a stream: it can only be tracked forward.")
        memory = Memory()
        made = create_tracker(tracker, **params)
        if span[1] < 0 and getattr(made, "rereads", False):
            raise InputError(
                f"{footage.name!r} is a stream, and {made.card.name!r} mends its tracks at the end from the video, which "
                "can't be read again. Remedy: leave out what does that (post), or record the stream first."
            )
        job = _Job(footage, given, made, dict(remove or {}), memory, cancel)
        with _reporter(progress, job.name, _length(span, given, direction)) as report:
            return _run(job, direction, span, report)
    finally:
        if owned:
            footage.close()


class _Size:
    """Size of a video for the check of prompts; a stream has length 0, which is not checked."""

    def __init__(self, video: Video):
        self.width, self.height, self._n = video.width, video.height, max(count_frames(video), 0)

    def __len__(self) -> int:
        return self._n


def count_frames(video: Video) -> int:
    """Number of frames, or -1 for a stream, whose length is unknown."""
    return -1 if isinstance(video, StreamVideo) else len(video)


@dataclass
class _Job:
    video: Video
    prompts: Prompts
    tracker: Tracker
    remove: dict[int, int]
    memory: Memory
    cancel: Cancel | None
    cancelled: bool = False
    seconds: list[float] = field(default_factory=list)

    @property
    def name(self) -> str:
        return self.tracker.card.name

    def stopped(self) -> bool:
        if self.cancel is not None and self.cancel.is_set():
            self.cancelled = True
        return self.cancelled


def _run(job: _Job, direction: Direction, span: tuple[int, int], report: Report) -> Tracks:
    meta = _meta(job, direction)
    started = time.perf_counter()
    parts: list[Tracks] = []
    builder = TracksBuilder((job.video.height, job.video.width))
    frame = -1

    def result(complete: bool, failed: bool = True) -> Tracks:
        tracks = Tracks.concat([*parts, builder.build()])
        if not failed:
            tracks = job.tracker.finish(tracks, job.video)
        meta["complete"] = complete
        if events := getattr(job.tracker, "events", None):
            meta["events"] = provenance.plain(events)
        meta["memory"] = job.memory.record()
        meta["wall_seconds"] = round(time.perf_counter() - started, 6)
        return tracks.replace(meta=meta, step_seconds=np.array(job.seconds))

    try:
        done = 0
        for backward, prompts, keep in _passes(job.prompts, direction):
            builder = TracksBuilder((job.video.height, job.video.width))
            for frame, answer in _steps(job, prompts, span, backward):
                builder.add(frame, answer if keep is None else keep(frame, answer))
                job.memory.sample()
                done += 1
                report(done, 0)
            parts.append(builder.build())
            builder = TracksBuilder()
        return result(complete=not job.cancelled, failed=False)
    except KeyboardInterrupt as interrupt:
        interrupt.tracks = result(complete=False)  # type: ignore[attr-defined]
        interrupt.add_note(f"{job.name} was interrupted; what was tracked is in the exception's .tracks")
        raise
    except Exception as error:
        tracks = result(complete=False)
        if isinstance(error, VtlabError) and not len(tracks):
            raise
        at = getattr(error, "_vtlab_frame", frame + 1)
        raise TrackingError(
            f"{job.name!r} failed on frame {at} of {job.video.name!r}: {_say(error)}. The {len(tracks.frames)} frames "
            "tracked before are in the error's .tracks.",
            tracks=tracks,
            frame=at,
        ) from error
    finally:
        job.tracker.close()


Keep = Callable[[int, FrameTracks], FrameTracks]


def _passes(prompts: Prompts, direction: Direction) -> Iterator[tuple[bool, Prompts, Keep | None]]:
    """The runs through the video that a direction needs: (backward?, prompts, what to keep of an answer)."""
    if direction != "both":
        yield direction == "backward", prompts, None
        return
    first: dict[int, int] = {}
    for p in prompts:
        first.setdefault(p.object_id, p.frame)

    def before(frame: int, answer: FrameTracks) -> FrameTracks:
        return answer.take([frame < first[int(i)] for i in answer.object_ids])

    yield False, prompts, None
    if any(frame > 0 for frame in first.values()):
        yield True, Prompts(p for p in prompts if p.frame == first[p.object_id]), before


def _steps(
    job: _Job, prompts: Prompts, span: tuple[int, int], backward: bool
) -> Iterator[tuple[int, FrameTracks]]:
    low, high = span
    if len(prompts) and not getattr(job.tracker, "discovers", False):
        if backward:
            high = min(high, prompts.frames[-1] + 1)
        else:
            low = max(low, prompts.frames[0])
    frames = _frames(job.video, low, high, backward)
    if isinstance(job.tracker, OfflineTracker):
        yield from _offline_steps(job, job.tracker, frames, prompts, max(high - low, 0), backward)
    else:
        yield from _online_steps(job, job.tracker, frames, prompts, backward)


def _frames(video: Video, low: int, high: int, backward: bool) -> Iterator[Frame]:
    """Frames low <= index < high in the direction of tracking; high < 0 means until the stream ends."""
    if backward:
        return video.frames(high - 1, low - 1 if low > 0 else None, -1)
    if high < 0:
        return (frame for frame in video.frames() if frame.index >= low)
    return video.frames(low, high)


def _online_steps(
    job: _Job, tracker: OnlineTracker, frames: Iterator[Frame], prompts: Prompts, backward: bool
) -> Iterator[tuple[int, FrameTracks]]:
    given, gone = prompts.by_frame(), _by_frame(job.remove)
    started = False
    for frame in frames:
        if job.stopped():
            return
        now = given.get(frame.index, _NO_PROMPTS)
        begin = time.perf_counter()
        try:
            if frame.index in gone and started:
                tracker.remove(gone[frame.index])
            answer = tracker.step(frame, now) if started else tracker.init(frame, now)
        except Exception as error:
            error._vtlab_frame = frame.index  # type: ignore[attr-defined]
            raise
        job.seconds.append(time.perf_counter() - begin)
        if not isinstance(answer, FrameTracks):
            raise InputError(
                f"{job.name!r} must answer with FrameTracks on each frame, got {type(answer).__name__}."
            )
        started = True
        yield frame.index, answer


def _offline_steps(
    job: _Job,
    tracker: OfflineTracker,
    frames: Iterator[Frame],
    prompts: Prompts,
    n_frames: int,
    backward: bool,
) -> Iterator[tuple[int, FrameTracks]]:
    gone = job.remove
    begin = time.perf_counter()
    for index, answer in tracker.run(_until_stopped(job, frames), prompts, n_frames):
        job.seconds.append(time.perf_counter() - begin)
        if gone:
            answer = answer.take(
                [_follows(int(i), index, prompts, gone, backward) for i in answer.object_ids]
            )
        yield index, answer
        begin = time.perf_counter()


def _until_stopped(job: _Job, frames: Iterator[Frame]) -> Iterator[Frame]:
    for frame in frames:
        if job.stopped():
            return
        yield frame


def _follows(object_id: int, frame: int, prompts: Prompts, gone: Mapping[int, int], backward: bool) -> bool:
    if object_id not in gone:
        return True
    first = next((p.frame for p in prompts if p.object_id == object_id), None)
    later = not backward if first is None else gone[object_id] >= first
    return frame < gone[object_id] if later else frame > gone[object_id]


def _by_frame(remove: Mapping[int, int]) -> dict[int, list[int]]:
    found: dict[int, list[int]] = {}
    for object_id, frame in remove.items():
        found.setdefault(frame, []).append(object_id)
    return found


def _span(video: Video, prompts: Prompts, start: int | None, stop: int | None) -> tuple[int, int]:
    n = count_frames(video)
    low, high = start if start is not None else 0, stop if stop is not None else n
    if n >= 0 and not 0 <= low < high <= n:
        raise InputError(
            f"start={start}, stop={stop} is no range of frames: the video has {n} frames, 0 to {n - 1}."
        )
    outside = [p for p in prompts if not low <= p.frame < (high if high >= 0 else p.frame + 1)]
    if outside:
        raise PromptError(f"{outside[0]} lies outside the tracked range of frames {low} to {high - 1}.")
    return low, high


def _length(span: tuple[int, int], prompts: Prompts, direction: Direction) -> int:
    low, high = span
    if high < 0:
        return 0
    if not len(prompts):
        return high - low
    forward, backward = high - prompts.frames[0], prompts.frames[-1] + 1 - low
    if direction == "both":
        first = max(min(p.frame for p in prompts.of(i)) for i in prompts.object_ids)
        return forward + (first + 1 - low if first > 0 else 0)
    return forward if direction == "forward" else backward


def _meta(job: _Job, direction: Direction) -> dict[str, Any]:
    tracker, card, video = job.tracker, job.tracker.card, job.video
    return {
        "tracker": {
            "name": card.name,
            "family": card.family,
            "params": provenance.plain(getattr(tracker, "params", {})),
            "weights": _weights(card, getattr(tracker, "params", {})),
        },
        "video": {
            "name": video.name,
            "digest": video.digest(),
            "width": video.width,
            "height": video.height,
            "frames": count_frames(video),
            "fps": video.fps,
        },
        "prompts": hashlib.sha256(job.prompts.to_json().encode()).hexdigest(),
        "edges": job.prompts.edges,
        "direction": direction,
        "versions": provenance.versions(),
        "hardware": provenance.hardware(),
        "created": provenance.now(),
    }


def _weights(card: Card, params: Mapping[str, Any]) -> dict[str, str | None]:
    """Name -> sha256 of the files that a tracker loaded: the official ones, or the one given as `weights`."""
    own = params.get("weights")
    if isinstance(own, (str, Path)) and Path(own).is_file():
        with Path(own).open("rb") as file:
            return {Path(own).name: hashlib.file_digest(file, "sha256").hexdigest()}
    if not card.weights:
        return {}
    from vtlab import weights

    return {w.name: weights.digest(w) for w in card.weights}


def _say(error: Exception) -> str:
    text = str(error).strip().rstrip(".")
    return (
        text if isinstance(error, VtlabError) else f"{type(error).__name__}: {text}" if text else repr(error)
    )


class _reporter:
    """Context manager that yields the progress report asked for: a bar, a callable, or nothing."""

    def __init__(self, progress: bool | Report, name: str, total: int):
        self._progress, self._name, self._total = progress, name, total
        self._bar: Any = None

    def __enter__(self) -> Report:
        if callable(self._progress):
            callback = self._progress
            return lambda done, _: callback(done, self._total)
        if self._progress:
            from tqdm.auto import tqdm

            self._bar = tqdm(total=self._total or None, desc=self._name, unit="frame", leave=False)
            return lambda done, _: self._bar.update(1)
        return lambda done, _: None

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.close()
