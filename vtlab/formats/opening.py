"""A file of labels with the video beside it, as annotation tools leave both: opened, and held against each other.

What the file says of its video (number of frames, size, rate, times) must be so, or the labels lie on other frames than
those that somebody looked at: the error names what differs, the first frame that does, and by how much.
"""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np

from vtlab.errors import FormatError, VtlabWarning
from vtlab.formats.base import Place, frame_count, no_frames, open_frames
from vtlab.sequence import Sequence, first_prompts, from_one
from vtlab.tracks import Tracks
from vtlab.video import Video

_REMEDY = "Remedy: put the video that was labelled beside it, or carry labels over from that one with 'vtlab data align'."
_SLACK = 1.5
"""Frames by which a time may be off: tools count a frame's begin, end or middle, and round."""
_RATES = 0.01
"""Share by which two rates may differ that are one: 29.97 and 30."""


def labelled(
    place: Place,
    truth: Tracks,
    beside: Path | None,
    *,
    images: bool,
    rule: str,
    fps: float = 0.0,
    slack: int = 0,
    part: bool = False,
) -> Sequence:
    """The sequence of labels and their video; its prompts are what each object has where it first appears.

    Args:
        place: The file.
        truth: What it holds; its record says how many frames the video has, where the file does.
        beside: The video, or a folder of images.
        images: False: the video need not be there.
        rule: By which it is scored.
        fps: Frames per second that the file says; 0 where it says none.
        slack: Frames by which the file's number of frames may be off.
        part: Whether the file may be of the first frames of a video only.

    Raises:
        FormatError: The labels are not of this video.
        VideoError: There is no video.

    Warns:
        VtlabWarning: They are of its first frames.
    """
    source = truth.record.source
    span = (0, 1) if source is None else source.span
    if not images:
        video = no_frames(place, frame_count(truth), truth.size, span=span)
        return Sequence(place.name, video, truth, benchmark=rule)
    video = open_frames(beside, place)
    _check_video(truth, video, place.path, fps, len(video) if part else slack)
    said, record = truth.record.frames, truth.record
    if span == (0, 1) and said is not None and said != len(video):
        looked = record.annotated
        if part:
            warnings.warn(
                f"{place.path}: the labels are of the first {said} frames of {video.name!r}, which has {len(video)}. Look "
                "whether that is so.",
                VtlabWarning,
                stacklevel=3,
            )
            looked = tuple(range(said)) if looked is None else looked
        truth = truth.replace(record=record.replace(frames=len(video), annotated=looked))
    truth = from_one(truth)
    return Sequence(place.name, video, truth, first_prompts(truth), benchmark=rule)


def _check_video(truth: Tracks, video: Video, where: object, fps: float, slack: int) -> None:
    """Raise `FormatError` where the frames of a video are not those that labels say theirs are; see `labelled`."""
    told = f"{where}: the labels are not of {video.name!r}"
    if truth.size is not None and truth.size != (video.height, video.width):
        (height, width), here = truth.size, f"{video.width} x {video.height}"
        raise FormatError(
            f"{told}: their frames have {width} x {height} pixels, the video's {here}. {_REMEDY}"
        )
    _check_count(truth, video, told, slack)
    if fps and video.fps and abs(fps / video.fps - 1) > _RATES:
        # Frame n lies n * (1 - video.fps / fps) frames off: from half a frame on another one is nearer.
        first = int(np.ceil(0.5 / abs(1 - video.fps / fps)))
        raise FormatError(
            f"{told}: their frames come at {fps:g} per second, the video's at {video.fps:g}; from frame {first} on that is "
            f"another frame. {_REMEDY}"
        )
    _check_times(truth, video, told)


def _check_count(truth: Tracks, video: Video, told: str, slack: int) -> None:
    source, said, there = truth.record.source, truth.record.frames, len(video)
    if source is not None and source.span != (0, 1):  # a cut: how long its video is isn't said
        start, step = source.span
        last = start + (frame_count(truth) - 1) * step
        if last >= there:
            raise FormatError(
                f"{told}: they lie on frames {start} to {last} of it, in steps of {step}, and it has {there}; the first "
                f"that it lacks is frame {there}. {_REMEDY}"
            )
        return
    last = int(truth.frame.max(initial=-1))
    if last >= there:
        raise FormatError(
            f"{told}: they reach to frame {last}, and it has {there}; the first that it lacks is frame {there}. {_REMEDY}"
        )
    if said is not None and abs(said - there) > slack:
        differ = f"{abs(said - there)} {'more' if there > said else 'less'}"
        raise FormatError(
            f"{told}: they say that it has {said} frames, and it has {there}, {differ}; the first that differs is frame "
            f"{min(said, there)}, unless some are missing before. {_REMEDY}"
        )


def _check_times(truth: Tracks, video: Video, told: str) -> None:
    """Times of rows against those of the frames that they lie on; a file whose times are all one says none."""
    source = truth.record.source
    if truth.time is None or (source is not None and source.span != (0, 1)):
        return
    rows = np.flatnonzero(np.isfinite(truth.time))
    if len(np.unique(truth.time[rows])) < 2 or len(video) < 2:
        return
    times = np.asarray(video.timestamps)
    off = truth.time[rows] - times[truth.frame[rows]]
    bad = np.abs(off) > _SLACK * float(np.median(np.diff(times)))
    if bad.any():
        row = rows[int(bad.argmax())]
        frame, at = int(truth.frame[row]), float(truth.time[row])
        shift = int(np.abs(times - at).argmin()) - frame
        raise FormatError(
            f"{told}: the first frame that differs is {frame}, which they have at {at:.3f} s and the video at "
            f"{times[frame]:.3f} s, where its frame {frame + shift} is: a shift of {shift:+d} frames. {_REMEDY}"
        )
