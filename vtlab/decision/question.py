"""What a verdict is asked, of what footage, and what a person said of it: plain data."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray

from vtlab.decision.quality import Absent, Floats
from vtlab.errors import InputError
from vtlab.prompts import Prompts
from vtlab.tracks import Tracks
from vtlab.video import Video

Place = tuple[str, int]
"""(name of the clip, frame)."""


@dataclass(frozen=True)
class Clip:
    """The answers of all trackers on one video.

    Attributes:
        name: Name of the video.
        tracks: Tracker -> what it answered; no rows where it failed, which counts as missing.
        frames: (F,) the frames that count, ascending: those after the prompts.
        ids: Ids of the objects, ascending.
        length: Frames of the video.
        video: The footage, where it is known.
        truth: What is known of it already: the truth that came with a comparison.
        prompts: What the trackers were given, where it is known.
    """

    name: str
    tracks: Mapping[str, Tracks]
    frames: NDArray[np.int64]
    ids: NDArray[np.int64]
    length: int
    video: Video | None = None
    truth: Tracks | None = None
    prompts: Prompts | None = None

    def __post_init__(self) -> None:
        if not len(self.frames):
            raise InputError(f"{self.name!r} has no frame to judge: there is none after the prompts.")

    @cached_property
    def size(self) -> tuple[int, int] | None:
        """(width, height) of the picture in pixels; None where neither the footage nor an answer tells it."""
        if self.video is not None:
            return self.video.width, self.video.height
        known = [*self.tracks.values(), *(() if self.truth is None else (self.truth,))]
        told = [t.record.source for t in known]
        told += [None if self.prompts is None else self.prompts.source]
        return next(((s.width, s.height) for s in told if s is not None and s.width and s.height), None)

    def check_inside(self, what: Callable[[int], str], extents: Floats, remedy: str) -> None:
        """Raise `InputError` for the first object that lies beside the picture, where its size is known; partly is fine.

        Args:
            what: Beginning of the message, of a row ("The label of object 1 on frame 3").
            extents: (M, 4) xyxy in pixels; NaN where there is none.
            remedy: What else may be meant.
        """
        if self.size is None:
            return
        beside = (extents[:, 2:] <= 0) | (extents[:, :2] >= np.array(self.size))
        for row in np.flatnonzero(beside.any(axis=1))[:1].tolist():
            x1, y1, x2, y2 = extents[row].tolist()
            raise InputError(
                f"{what(row)} of {self.name!r} lies beside the picture of {self.size[0]} x {self.size[1]} px: it spans x "
                f"{x1:g} to {x2:g}, y {y1:g} to {y2:g}. Give pixels of the full-size frame, or {remedy}."
            )

    @cached_property
    def digests(self) -> dict[str, str]:
        """Tracker -> digest of its answers and of the frames that count."""
        return {name: self._digest(tracks) for name, tracks in self.tracks.items()}

    def _digest(self, tracks: Tracks) -> str:
        state = hashlib.sha256(self.frames.tobytes() + self.ids.tobytes())
        for part in (tracks, *(() if self.truth is None else (self.truth,))):
            for values in (part.frame, part.object_id, part.boxes, part.visible):
                state.update(values.tobytes())
            for rle in () if part.rle is None else part.rle:
                state.update(rle or b"-")
            for values in (part.points.frame, part.points.point_id, part.points.xy, part.points.visible):
                state.update(values.tobytes())
        return state.hexdigest()


def number(name: str, value: Any, *, whole: bool = False) -> float:
    """A number that a caller gave.

    Raises:
        InputError: It is none, or not a whole one from 0 on where it has to be.
    """
    fits = isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool)
    if not fits or (whole and (value < 0 or value != int(value))):
        raise InputError(f"{name}={value!r}: expected a {'whole number from 0 on' if whole else 'number'}.")
    return value


def frames_of(name: str, given: Any) -> list[int]:
    """Numbers of frames that a caller gave.

    Raises:
        InputError: They are no list of whole numbers.
    """
    if isinstance(given, str) or not isinstance(given, Iterable):
        raise InputError(f"{name}={given!r}: expected a list of frame numbers, such as {name}=[12, 40].")
    found = list(given)
    strange = [f for f in found if isinstance(f, bool) or not isinstance(f, int | np.integer)]
    if strange:
        raise InputError(f"{name}: {strange[0]!r} is no frame number (whole, counted from 0).")
    return [int(f) for f in found]


@dataclass(frozen=True)
class Question:
    """What is asked; fixed by the first label.

    Attributes:
        metric: Name of the measure (`vtlab.decision.quality`).
        within: How far below the best still is good enough, in units of the measure; 0 asks for a strict winner.
        level: Confidence.
        budget: Labels at most.
        seed: Of the draw.
        guarantee: Whether the answer is proven by a bet, for any stop, instead of calibrated.
        absent: What a labelled object counts that isn't there (`vtlab.decision.quality.Absent`).
    """

    metric: str
    within: float
    level: float
    budget: int
    seed: int
    guarantee: bool
    absent: Absent = "judged"

    def __post_init__(self) -> None:
        if not 0 <= self.within < 1:
            raise InputError(
                f"within={self.within!r}: expected a number from 0 (a strict winner) to below 1."
            )
        if not 0.5 <= self.level < 1:
            raise InputError(
                f"level={self.level!r}: expected a confidence from 0.5 to below 1, such as 0.95."
            )

        if self.absent not in get_args(Absent):
            raise InputError(f"absent={self.absent!r}: expected one of {', '.join(get_args(Absent))}.")
        if self.guarantee and self.absent == "excluded" and self.within:
            raise InputError(
                "guarantee=True with absent='excluded' proves a strict winner only: give within=0, or absent='judged'."
            )

    def to_dict(self) -> dict[str, object]:
        """The entries as JSON has them."""
        return asdict(self)


def key_of(question: Question, clips: Mapping[str, Clip]) -> dict[str, object]:
    """All that fixes a verdict: the question, and the digests of the answers on each clip."""
    answers = {name: clip.digests for name, clip in clips.items()}
    whole: dict[str, object] = json.loads(json.dumps({"question": question.to_dict(), "answers": answers}))
    return whole


@dataclass
class Labels:
    """What a person said of one clip.

    Attributes:
        tracks: Objects on labelled frames.
        looked: Frames that were labelled, those without objects too.
        unsure: Frames of which nobody can tell.
    """

    tracks: Tracks = field(default_factory=Tracks.empty)
    looked: set[int] = field(default_factory=set)
    unsure: set[int] = field(default_factory=set)

    def joined(self, newer: Labels) -> Labels:
        """These labels with others, which win on frames that both speak of."""
        said = newer.looked | newer.unsure
        kept = self.tracks.take(~np.isin(self.tracks.frame, np.array(sorted(said), np.int64)))
        parts = [t for t in (kept, newer.tracks) if len(t) or len(t.points)]
        return Labels(
            Tracks.concat(parts) if parts else Tracks.empty(),
            (self.looked - newer.unsure) | newer.looked,
            (self.unsure - newer.looked) | newer.unsure,
        )
