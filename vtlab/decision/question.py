"""What a verdict is asked, of what footage, and what a person said of it: plain data."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from vtlab.errors import InputError
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
    """

    name: str
    tracks: Mapping[str, Tracks]
    frames: NDArray[np.int64]
    ids: NDArray[np.int64]
    length: int
    video: Video | None = None

    def __post_init__(self) -> None:
        if not len(self.frames):
            raise InputError(f"{self.name!r} has no frame to judge: there is none after the prompts.")

    @cached_property
    def digests(self) -> dict[str, str]:
        """Tracker -> digest of its answers and of the frames that count."""
        return {name: self._digest(tracks) for name, tracks in self.tracks.items()}

    def _digest(self, tracks: Tracks) -> str:
        state = hashlib.sha256(self.frames.tobytes() + self.ids.tobytes())
        for values in (tracks.frame, tracks.object_id, tracks.boxes, tracks.visible):
            state.update(values.tobytes())
        for rle in () if tracks.rle is None else tracks.rle:
            state.update(rle or b"-")
        for values in (tracks.points.frame, tracks.points.point_id, tracks.points.xy, tracks.points.visible):
            state.update(values.tobytes())
        return state.hexdigest()


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
    """

    metric: str
    within: float
    level: float
    budget: int
    seed: int
    guarantee: bool

    def __post_init__(self) -> None:
        if not 0 <= self.within < 1:
            raise InputError(
                f"within={self.within!r}: expected a number from 0 (a strict winner) to below 1."
            )
        if not 0.5 <= self.level < 1:
            raise InputError(
                f"level={self.level!r}: expected a confidence from 0.5 to below 1, such as 0.95."
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
