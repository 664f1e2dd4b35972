"""Which frames a run goes through, in which order, and what of each answer is kept."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from vtlab.contracts import OfflineTracker, Tracker
from vtlab.errors import InputError, PromptError
from vtlab.prompts import Prompts, TextPrompt
from vtlab.tracks import FrameTracks
from vtlab.video import Frame, StreamVideo, Video

Direction = Literal["forward", "backward", "both"]
Span = tuple[int, int | None]
"""First frame that may be tracked, and the one before which tracking ends (None: when the stream does)."""
Keep = Callable[[int, FrameTracks], FrameTracks]


class Size:
    """Size of a video for the check of prompts; a stream has length 0, which is not checked."""

    def __init__(self, video: Video):
        self.width, self.height, self._n = video.width, video.height, max(count_frames(video), 0)

    def __len__(self) -> int:
        return self._n


def count_frames(video: Video) -> int:
    """Number of frames, or -1 for a stream, whose length is unknown."""
    return -1 if isinstance(video, StreamVideo) else len(video)


def find_span(video: Video, prompts: Prompts, start: int | None, stop: int | None) -> Span:
    """First frame that may be tracked, and the one before which tracking ends (None: when the stream does)."""
    n = count_frames(video)
    low = 0 if start is None else _whole(start, "start={}: a frame", start)
    high = _whole(stop, "stop={}: a frame", stop) if stop is not None else n if n >= 0 else None
    if low < 0 or (high is not None and (high <= low or 0 <= n < high)):
        has = f"the video has {n} frames, 0 to {n - 1}" if n >= 0 else "a stream has frames from 0 on"
        raise InputError(f"start={start}, stop={stop} is no range of frames: {has}.")
    outside = [p for p in prompts if p.frame < low or (high is not None and p.frame >= high)]
    if outside:
        end = "the end" if high is None else high - 1
        raise PromptError(f"{outside[0]} lies outside the tracked range of frames {low} to {end}.")
    return low, high


def _whole(value: Any, what: str, told: Any) -> int:
    """A whole number (numpy's too, True is none); raises `InputError` that begins with `what` about `told`."""
    try:
        if isinstance(value, bool):
            raise TypeError
        return operator.index(value)
    except TypeError:
        raise InputError(f"{what.format(repr(told))} must be a whole number, got {value!r}.") from None


def find_removal(prompts: Prompts, remove: Any, span: Span) -> dict[int, int]:
    """What `remove` says: object id -> frame from which it is no longer followed; unknown objects are ignored.

    Raises:
        InputError: It is no such mapping, or names a frame outside the range.
        PromptError: A prompt contradicts a removal.
    """
    if remove is None:
        return {}
    if not isinstance(remove, Mapping):
        raise InputError(
            f"remove={remove!r} must be a mapping, object id -> frame. Remedy: remove={{1: 20}}."
        )
    what = "remove={}: ids and frames"
    found = {_whole(i, what, remove): _whole(frame, what, remove) for i, frame in remove.items()}
    _check_removal(prompts, found, span)
    return found


def _check_removal(prompts: Prompts, remove: Mapping[int, int], span: Span) -> None:
    low, high = span
    for object_id, frame in remove.items():
        mine = prompts.of(object_id).frames
        what = f"remove={{{object_id}: {frame}}}"
        if frame < low or (high is not None and frame >= high):
            last = "the end" if high is None else high - 1
            raise InputError(f"{what}: the tracked frames are {low} to {last}.")
        sides = {(p > frame) - (p < frame) for p in mine}
        if 0 in sides or len(sides) == 2:
            raise PromptError(
                f"{what}: object {object_id} is prompted on frames {list(mine)}, so it would be followed again. Remedy: "
                "leave out its prompts from that frame on, or its removal."
            )


@dataclass(frozen=True)
class Pass:
    """One run through the frames: from `first` in steps of 1 or -1 up to `end`, which is excluded (None: unknown)."""

    prompts: Prompts
    first: int
    end: int | None
    step: int = 1
    keep: tuple[Keep, ...] = ()

    @property
    def total(self) -> int:
        """Number of frames at most, 0 if unknown."""
        return 0 if self.end is None else abs(self.end - self.first)


def find_passes(
    tracker: Tracker, prompts: Prompts, span: Span, direction: Direction, remove: Mapping[int, int]
) -> Iterator[Pass]:
    """The runs through the video that a direction needs; "both" goes back from each object's first prompt."""
    low, high = span
    whole = tracker.discovers or not len(prompts)
    if direction == "both" and TextPrompt in prompts.kinds:
        raise InputError(
            "direction='both' goes back from each object's first prompt, and a TextPrompt names no single object. Remedy: "
            "direction='forward' or 'backward'."
        )

    def keep(backward: bool) -> tuple[Keep, ...]:
        return (
            (_followed(prompts, remove, backward),) if remove and isinstance(tracker, OfflineTracker) else ()
        )

    if direction != "backward":
        yield Pass(prompts, low if whole else prompts.frames[0], high, keep=keep(backward=False))
    if direction == "forward" or high is None:
        return
    if direction == "backward":
        yield Pass(prompts, high - 1 if whole else prompts.frames[-1], low - 1, -1, keep(backward=True))
        return
    first = {i: prompts.of(i).frames[0] for i in prompts.object_ids}
    if any(frame > low for frame in first.values()):
        # Corrections were heard on the way there.
        firsts = Prompts(p for p in prompts if p.frame == first[p.object_id])
        last = high - 1 if whole else firsts.frames[-1]
        yield Pass(firsts, last, low - 1, -1, (*keep(backward=True), _before(first, low)))


def _before(first: Mapping[int, int], low: int) -> Keep:
    """Of the way back, what lies before each object's first prompt; what has none was seen on the way there."""

    def before(frame: int, answer: FrameTracks) -> FrameTracks:
        return answer.take([frame < first.get(i, low) for i in answer.object_ids.tolist()])

    return before


def _followed(prompts: Prompts, remove: Mapping[int, int], backward: bool) -> Keep:
    """How removed objects leave the answers of a tracker that can't be told to drop them."""

    def follows(object_id: int, frame: int) -> bool:
        if object_id not in remove:
            return True
        first = next((p.frame for p in prompts if p.object_id == object_id), None)
        later = not backward if first is None else remove[object_id] >= first
        return frame < remove[object_id] if later else frame > remove[object_id]

    def followed(frame: int, answer: FrameTracks) -> FrameTracks:
        return answer.take([follows(i, frame) for i in answer.object_ids.tolist()])

    return followed


def read_frames(video: Video, part: Pass) -> Iterator[Frame]:
    """The frames of a run; those of a live stream before its first are read and left out."""
    if part.step < 0:
        return video.frames(part.first, part.end if part.end != -1 else None, -1)
    if isinstance(video, StreamVideo):
        return (frame for frame in video.frames(stop=part.end) if frame.index >= part.first)
    return video.frames(part.first, part.end)
