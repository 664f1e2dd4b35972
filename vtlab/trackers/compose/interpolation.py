"""Interpolation between key figures, as a tracker: no image is looked at; see `vtlab.prompts.between`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from vtlab.contracts import OfflineTracker
from vtlab.prompts import BoxPrompt, MaskPrompt, PointPrompt, Prompts, SkeletonPrompt
from vtlab.prompts.between import interpolate
from vtlab.registry import register
from vtlab.tracks import FrameTracks

if TYPE_CHECKING:
    from vtlab.video import Frame


@register(
    "interpolation",
    family="sot",
    summary="Fills the frames between key figures without looking at the video: boxes, points, polygons, masks.",
    accepts={BoxPrompt, MaskPrompt, PointPrompt, SkeletonPrompt},
    emits={"boxes", "masks", "points"},
    licence="Apache-2.0",
    follows=False,
)
class Interpolation(OfflineTracker):
    """Interpolates between the prompts of each object by their time stamps. Its score is always 1.

    Raises:
        PromptError: Two key figures of one object are of different kinds or have different numbers of points.
    """

    def run(
        self, frames: Iterator[Frame], prompts: Prompts, n_frames: int
    ) -> Iterator[tuple[int, FrameTracks]]:
        """Take the time stamps of all frames, then answer for each."""
        times: dict[int, float] = {}
        size = (0, 0)
        for frame in frames:
            times[frame.index] = frame.timestamp
            size = frame.image.shape[:2]
        yield from interpolate(prompts, times, size)
