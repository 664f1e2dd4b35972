"""What a method of association says of itself: its settings, for users, and what the engine is to do by them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from vtlab.association.parts.kalman import MotionModel
from vtlab.errors import InputError


@dataclass(frozen=True, kw_only=True)
class CommonSettings:
    """What users may set of every associator. A method adds its own settings in a subclass beside it.

    Attributes:
        lost_seconds: Seconds without a detection after which a track is removed.
        min_hits: Detections that confirm a track, its first one included.
        class_aware: Never match a track with a detection of another class.
        fps: Frames per second in which the filter's noise is meant; the motion step is then the elapsed time times
            `fps`. None: one frame is one step, as in the papers.
        backfill: Keep what tentative tracks saw, see `Associator.late`.
        velocities: Put the velocity (n, 2) in pixels per second into `data["velocity"]` of the answer.
    """

    lost_seconds: float = 1.0
    min_hits: int = 3
    class_aware: bool = False
    fps: float | None = None
    backfill: bool = False
    velocities: bool = False

    def __post_init__(self) -> None:
        for setting in fields(self):
            expected = expected_of(setting.name, str(setting.type), getattr(self, setting.name))
            if expected:
                raise self.wrong(setting.name, expected)
        if self.fps is not None and not self.fps > 0:
            raise self.wrong("fps", "more than 0")

    def wrong(self, name: str, expected: str) -> InputError:
        """The error of a setting whose value is not as `expected`."""
        owner = type(self).__name__.removesuffix("Settings")
        return InputError(f"{owner}: {name} must be {expected}, got {getattr(self, name)!r}.")


_LOWEST = {"lost_seconds": 0, "min_hits": 1}
"""Of settings that count from elsewhere than 0."""
_AT_MOST_ONE = ("high", "low", "new", "threshold", "second_threshold", "tentative_threshold")
"""Confidences and overlaps: more than 1 is none, as a value in per cent."""


def expected_of(name: str, kind: str, value: Any) -> str:
    """What a setting must be, where its value is of another type than its annotation `kind` or out of range; else ""."""
    if kind == "Any" or (value is None and "None" in kind):
        return ""
    if kind in ("bool", "str"):
        return "" if isinstance(value, bool if kind == "bool" else str) else f"a {kind}"
    whole = kind.startswith("int")
    number = isinstance(value, (int, np.integer) if whole else (int, float, np.integer, np.floating))
    if isinstance(value, (bool, np.bool_)) or not number or value != value:
        return "a whole number" if whole else "a number"
    lowest = _LOWEST.get(name, 0 if whole else -np.inf)
    if value < lowest:
        return f"at least {lowest}"
    if name.endswith("_thresh") and not 0 <= value <= 1:  # a confidence, or a distance
        return "from 0 to 1 (a fraction)"
    return "at most 1 (a fraction)" if name in _AT_MOST_ONE and value > 1 else ""


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How the engine works for a method; derived from the method's settings.

    Attributes:
        stages: Rounds of matching.
        motion: Motion model of the Kalman filter.
        high: Confidence from which a detection is "high".
        low: Confidence above which a detection that is not high is "low"; the rest takes no part.
        new: Confidence from which an unmatched high detection begins a track.
        drop_tentative: Remove a tentative track at its first miss.
        needs_streak: An object is shown only while, after its first detection, it had `min_hits` on successive frames
            (SORT, OC-SORT); otherwise once confirmed is enough.
        warmup: On so many frames after the first with detections a track is shown from its second detection on
            (`needs_streak` only).
        instant_start: Tracks that begin on the first frame are confirmed at once.
        min_area: Detections of fewer square pixels belong to no track.
        duplicates: Of a seen and a lost track whose overlap is above this, remove the one with the shorter life; 1 keeps
            both.
        official: Habits of the authors' code that its methods leave out by default: with `needs_streak` every frame
            counts for the warm-up and what begins in it is shown at once; otherwise a tentative track is not predicted, and
            one found on its very last frame does not outlive its next miss.
        still: Coordinates of the filter whose velocity a lost track gives up.
        show_tentative: Show tentative tracks, under numbers that vanish with them.
    """

    stages: Sequence[Stage]
    motion: str | MotionModel
    high: float
    low: float
    new: float
    drop_tentative: bool = True
    needs_streak: bool = False
    warmup: int = 0
    instant_start: bool = False
    min_area: float = 0.0
    duplicates: float = 1.0
    official: bool = False
    still: Sequence[int] = ()
    show_tentative: bool = False


@dataclass(frozen=True, slots=True)
class Stage:
    """One round of matching among what earlier rounds left.

    Attributes:
        tracks: "all", "numbered" (confirmed, also lost ones), "recent" (numbered and seen on the frame before) or
            "tentative".
        detections: "high", "low", or "any" (also those below "low").
        threshold: Lowest similarity of a match.
        overlap: A name of `similarity.OVERLAPS`.
        fuse: Multiply the overlap by the detection's confidence.
        rule: Rule of `assignment.assign`.
        buffer: Grow all boxes on each side by this part of their size before the overlap (C-BIoU).
        name: What hooks call the stage.
    """

    tracks: str
    detections: str
    threshold: float
    overlap: str = "iou"
    fuse: bool = False
    rule: str = "all"
    buffer: float = 0.0
    name: str = ""
