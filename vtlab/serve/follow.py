"""Figures of a host, followed: which tracker takes which geometry, and what it finds, under the host's own ids."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from vtlab.contracts import Card
from vtlab.errors import InputError
from vtlab.prompts import BoxPrompt, ClickPrompt, MaskPrompt, PointPrompt, Prompt, Prompts, SkeletonPrompt
from vtlab.prompts.shapes import as_given, corners_within
from vtlab.registry import TRACKERS
from vtlab.serve.jobs import Job, Jobs, Limits, RefusedError
from vtlab.trackers.compose.leaving import Leaving, Watch
from vtlab.trackers.loop import stream
from vtlab.trackers.pool import Pool
from vtlab.tracks import FrameTracks, IdMap
from vtlab.video import Frame, Video

_EMITS: dict[type[Prompt], str] = {
    BoxPrompt: "boxes",
    MaskPrompt: "masks",
    ClickPrompt: "masks",
    PointPrompt: "points",
    SkeletonPrompt: "points",
}
"""What a tracker must give so that a figure comes back as it was given."""
_BLANK = np.zeros((1, 1, 3), np.uint8)  # rules look at times, not at images
_HOME = {"boxes": ("sot", "mot", "multi"), "masks": ("vos", "multi"), "points": ("points", "multi")}


@dataclass(frozen=True)
class Found:
    """Where one object is on one frame.

    Attributes:
        host: The host's id of the figure that was given.
        frame: 0-based frame.
        figure: A prompt of the kind that was given; None where the object is not seen.
        score: How sure the tracker is.
    """

    host: Hashable
    frame: int
    figure: Prompt | None
    score: float


@dataclass(frozen=True)
class Order:
    """What is to be followed.

    Attributes:
        video: Whose frames; closed by whoever opened it.
        figures: The host's id -> what it is on frame `start`.
        start: Frame of the figures.
        last: Last frame, before `start` to go backward.
        trackers: Names that may be used; the first that is made for a geometry follows it.
        params: Parameters of the tracker, where one is used.
        leaving: Rules by which objects that leave end; None = they never end.
    """

    video: Video
    figures: Mapping[Hashable, Prompt]
    start: int
    last: int
    trackers: Sequence[Any]
    params: Mapping[str, Any] = field(default_factory=dict)
    leaving: Leaving | None = None

    def __len__(self) -> int:
        """Frames that will be answered, that of the figures apart."""
        return abs(self.last - self.start)


def span(start: Any, count: Any, backward: bool, length: int, limits: Limits) -> int:
    """The last of `count` frames after `start`, or before it: within the video.

    Raises:
        RefusedError: A number is none, lies outside the video, or is larger than the limit.
    """
    for name, value, low in (("frameIndex", start, 0), ("frames", count, 1)):
        if isinstance(value, bool) or not isinstance(value, int) or value < low:
            raise RefusedError(f"{name} should be a whole number from {low} on, got {str(value)[:40]!r}.")
    if start >= length:
        raise RefusedError(f"frameIndex {start} lies beyond the video, which has frames 0 to {length - 1}.")
    last = max(start - count, 0) if backward else min(start + count, length - 1)
    if abs(last - start) > limits.frames:
        raise RefusedError(f"{abs(last - start)} frames, at most {limits.frames} are followed at once.")
    return int(last)


def choose(prompt: Prompt, trackers: Sequence[Any]) -> Any:
    """The tracker for a figure: the first made for its geometry, else the first that can.

    Raises:
        RefusedError: None of them can.
    """
    gives = _EMITS[type(prompt)]
    cards = [(name, TRACKERS.card(name)) for name in trackers]
    able = [(name, card) for name, card in cards if type(prompt) in card.takes and gives in card.emits]
    for name, card in able:
        if card.family in _HOME[gives]:
            return name
    if able:
        return able[0][0]
    raise RefusedError(
        f"No tracker of this server follows a {prompt.kind}: {', '.join(_told(c) for _, c in cards) or 'it has none'}."
    )


def _told(card: Card) -> str:
    kinds = ", ".join(sorted(k.kind for k in card.takes if _EMITS.get(k) in card.emits))
    return f"{card.name!r} follows {kinds or 'what a detector finds'}"


def follow(
    order: Order, pool: Pool, job: Job, events: list[dict[str, Any]] | None = None
) -> Iterator[list[Found]]:
    """Yield what is found on each frame after that of the figures, all figures on each, in their order.

    Args:
        order: What to follow.
        pool: Where trackers come from and go back to.
        job: Whose `cancel` ends it.
        events: A list that gets what is to be told of the objects, such as that one left; `host` is its id.
    """
    ids = IdMap(order.figures)
    prompts = {
        ids[host]: replace(figure, object_id=ids[host], frame=order.start)
        for host, figure in order.figures.items()
    }
    groups: dict[Any, list[Prompt]] = {}
    for prompt in prompts.values():
        groups.setdefault(choose(prompt, order.trackers), []).append(prompt)
    backward = order.last < order.start
    low, high = sorted((order.start, order.last))
    told: list[dict[str, Any]] = []
    watch = None if order.leaving is None else Watch(order.leaving, Prompts(prompts.values()), told)
    times = order.video.timestamps
    with ExitStack() as held:
        runs = []
        for name, mine in groups.items():
            tracker = held.enter_context(pool.lend(name, order.params))
            runs.append(
                held.enter_context(
                    stream(
                        order.video,
                        Prompts(mine),
                        tracker,
                        direction="backward" if backward else "forward",
                        start=low,
                        stop=high + 1,
                        cancel=job.cancel,
                        measured=False,
                    )
                )
            )
        for frame in range(order.start, order.last + (-1 if backward else 1), -1 if backward else 1):
            answers = [step[1] for run in runs if (step := next(run, None)) is not None]
            if len(answers) < len(runs):
                return  # somebody stopped it
            answer = FrameTracks.concat(answers)
            if watch is not None:
                answer = watch.check(Frame(frame, float(times[frame]), _BLANK), answer)
                if events is not None:
                    events += [{**event, "host": ids.host(event["object_id"])} for event in told]
                told.clear()
            if frame != order.start:
                yield [_found(ids.host(i), frame, prompt, answer) for i, prompt in prompts.items()]


def _found(host: Hashable, frame: int, prompt: Prompt, answer: FrameTracks) -> Found:
    figure = figure_of(prompt, frame, answer)
    rows = np.flatnonzero(answer.object_ids == prompt.object_id)
    return Found(host, frame, figure, 0.0 if figure is None else float(answer.scores[rows[0]]))


def figure_of(prompt: Prompt, frame: int, answer: FrameTracks) -> Prompt | None:
    """What an answer says of a prompt's object, as the kind of figure that was given; None where it isn't seen."""
    rows = np.flatnonzero(answer.object_ids == prompt.object_id)
    seen = len(rows) and answer.visible[rows[0]]
    return _figure(prompt, frame, answer, int(rows[0])) if seen else None


def _figure(prompt: Prompt, frame: int, answer: FrameTracks, row: int) -> Prompt | None:
    """What a row says, as the kind of figure that was given."""
    box = answer.boxes[row]
    if isinstance(prompt, MaskPrompt | ClickPrompt):
        mask = None if answer.masks is None else answer.masks[row]
        if mask is None or not mask.any():
            return None
        return MaskPrompt.of(mask, object_id=prompt.object_id, frame=frame, label=prompt.label)
    if isinstance(prompt, BoxPrompt):
        if not np.isfinite(box).all() or not (box[2:] > box[:2]).all():
            return None
        if not prompt.angle:
            return replace(prompt, frame=frame, xyxy=tuple(box.tolist()))
    mine = answer.point_owners == prompt.object_id
    order = np.argsort(answer.point_ids[mine], kind="stable")
    xy, seen = answer.points[mine][order], answer.point_visible[mine][order]
    if isinstance(prompt, BoxPrompt) and len(xy) != 4:
        xy, seen = corners_within(prompt, box), np.ones(4, bool)
    if not np.isfinite(xy).all() or not seen.any():
        return None
    return as_given(prompt, frame, box, xy, seen)


@dataclass
class Core:
    """What all doors of a server share: trackers to choose from, warm ones, jobs and limits.

    Attributes:
        trackers: Names, `file.py:Class`, or classes.
    """

    trackers: tuple[Any, ...]
    limits: Limits = field(default_factory=Limits)
    memory: int = 2 * 2**30

    def __post_init__(self) -> None:
        for name in self.trackers:
            TRACKERS.card(name)
        if not self.trackers:
            raise InputError("A server needs a tracker. Remedy: -t csrt, or several.")
        self.jobs, self.pool = Jobs(self.limits), Pool(self.memory)

    def close(self, timeout: float = 10.0) -> bool:
        """Stop jobs within a frame, free trackers; False where one still worked after `timeout` seconds."""
        ended = self.jobs.close(timeout)
        self.pool.close()
        return ended
