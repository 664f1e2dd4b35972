"""What the experiments that ship share: a video shown otherwise, and how well its objects were followed."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vtlab.comparison import trial
from vtlab.errors import ExperimentError
from vtlab.metrics.families import FAMILIES
from vtlab.prompts import Prompts
from vtlab.registry import TRACKERS
from vtlab.sequence import Sequence
from vtlab.tracks import PointRows, Tracks
from vtlab.video import FrameSource, Image, Video

Change = Callable[[Image, int], Image]
"""Image (H, W, 3) and its number -> a new image, of the same size where nothing else is said."""
MOST_BYTES = 2**29
"""Of a video that is held in memory."""


class Shown(FrameSource):
    """Frames of a video, chosen or repeated, each changed.

    Args:
        video: Whose frames they are.
        shown: (N,) number of the frame that stands at each place.
        what: What was done, for provenance: the same text is the same picture.
        change: What is done to each image; None for nothing.
        timestamps: (N,) seconds; None for those of the frames.
        fps: Frames a second; None for those of the video.
        size: (height, width) of the images as they are changed; None for that of the video.
    """

    def __init__(
        self,
        video: Video,
        shown: NDArray[np.int64],
        what: str,
        change: Change | None = None,
        timestamps: NDArray[np.float64] | None = None,
        *,
        fps: float | None = None,
        size: tuple[int, int] | None = None,
    ):
        self._video, self._shown, self._what, self._change = video, shown, what, change
        self.name, self.source = f"{video.name}+{what}", f"{video.source} {what}"
        self.height, self.width = size or (video.height, video.width)
        self.fps = video.fps if fps is None else fps
        self.timestamps = video.timestamps[shown] if timestamps is None else timestamps

    def get(self, index: int) -> Image:
        """See `FrameSource`."""
        image = self._video.frame(int(self._shown[index])).image
        return image if self._change is None else self._change(image, index)

    def read(self, indices: range) -> Iterator[Image]:
        """See `FrameSource`; decoded in one go where the frames follow each other."""
        wanted = self._shown[indices.start : indices.stop : indices.step] if indices.step > 0 else None
        if wanted is None or not len(wanted) or (np.diff(wanted) < 0).any():
            yield from super().read(indices)
            return
        frames = self._video.frames(int(wanted[0]), int(wanted[-1]) + 1)
        frame = next(frames)
        for index, number in zip(indices, wanted.tolist(), strict=True):
            while frame.index < number:
                frame = next(frames)
            image = frame.image.copy()
            yield image if self._change is None else self._change(image, index)

    def digest(self) -> str:
        """See `FrameSource`."""
        text = f"{self._video.digest()} {self._what} {self._shown.tolist()}"
        return "sha256:" + hashlib.sha256(text.encode()).hexdigest()


def family_of(tracker: str, sequence: Sequence) -> str:
    """The family by which a tracker is judged on a sequence.

    Raises:
        ExperimentError: The sequence has no truth, without which none of these experiments says anything.
    """
    needs_truth(sequence)
    return trial.family_of(TRACKERS.card(tracker), sequence)


class _Held(FrameSource):
    """A video in memory."""

    def __init__(self, video: Video):
        self._video, self._images = video, [frame.image.copy() for frame in video.frames()]
        self.name, self.source, self.span = video.name, video.source, video.span
        self.width, self.height, self.fps, self.timestamps = (
            video.width,
            video.height,
            video.fps,
            video.timestamps,
        )

    def get(self, index: int) -> Image:
        """See `FrameSource`."""
        return self._images[index].copy()

    def digest(self) -> str:
        """See `FrameSource`."""
        return self._video.digest()


def needs_truth(sequence: Sequence) -> Tracks:
    """The truth of a sequence; raises `ExperimentError` where there is none."""
    if sequence.truth is None:
        raise ExperimentError(
            f"{sequence.name}: this experiment needs truth. Remedy: `truth: FILE` beside the clip, for "
            "example what a corrector saved."
        )
    return sequence.truth


def held(video: Video) -> Video:
    """A video that is read many times: its frames in memory where they take at most `MOST_BYTES`, else itself."""
    return video if len(video) * video.height * video.width * 3 > MOST_BYTES else Video(_Held(video))


def overlap(tracks: Tracks, sequence: Sequence, family: str) -> float:
    """Mean over the frames that count of what the family's timeline says, in [0, 1]; NaN where none counts."""
    values = FAMILIES[family].timeline(tracks, sequence)
    known = values[np.isfinite(values)]
    return float(known.mean()) if len(known) else np.nan


def moved(prompts: Prompts, frames: NDArray[np.int64]) -> Prompts:
    """Prompts on a video of which only `frames` (increasing) are shown; those of other frames are left out."""
    from dataclasses import replace

    place = {int(f): i for i, f in enumerate(frames)}
    return Prompts([replace(p, frame=place[p.frame]) for p in prompts if p.frame in place])


def carried(
    tracks: Tracks,
    frames: NDArray[np.int64],
    *,
    size: tuple[int, int],
    scale: tuple[float, float] = (1.0, 1.0),
    shift: NDArray[np.int64] | None = None,
) -> Tracks:
    """Tracks of one picture as they lie in another: moved, then scaled, under other frame numbers.

    Args:
        tracks: On frames 0 to N - 1.
        frames: (N,) numbers of these frames.
        size: (height, width) of the other picture.
        scale: Factors of x and y.
        shift: (N, 2) whole pixels by which x and y are moved; None for none.
    """
    move = np.zeros((len(frames), 2), np.int64) if shift is None else shift
    factors, points = np.array(scale), tracks.points
    still = scale == (1.0, 1.0) and not move.any()
    masks: list[Any] | None = None
    if tracks.rle is not None:
        masks = [
            told
            if told is None or still
            else _carried(tracks.mask(row), size, scale, move[tracks.frame[row]])
            for row, told in enumerate(tracks.rle.tolist())
        ]
    return Tracks.of(
        frames[tracks.frame],
        tracks.object_id,
        (tracks.boxes + np.tile(move[tracks.frame], 2)) * np.tile(factors, 2),
        tracks.score,
        tracks.visible,
        masks=masks,
        points=PointRows.of(
            frames[points.frame],
            points.object_id,
            points.point_id,
            (points.xy + move[points.frame]) * factors,
            points.visible,
            score=points.score,
        ),
        size=size,
        label=tracks.label,
    )


def _carried(mask: Any, size: tuple[int, int], scale: tuple[float, float], move: NDArray[np.int64]) -> Any:
    import cv2

    matrix = np.array([[scale[0], 0, scale[0] * move[0]], [0, scale[1], scale[1] * move[1]]], np.float64)
    matrix[:, 2] += (np.array(scale) - 1) / 2  # cv2 counts from the middle of the first pixel
    told = cv2.warpAffine(mask.astype(np.uint8), matrix, (size[1], size[0]), flags=cv2.INTER_NEAREST)
    return told.astype(bool)
