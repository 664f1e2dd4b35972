"""What a tracker costs: the speed and memory of runs, and a profile on a video before anyone asks how good it is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from vtlab.errors import InputError
from vtlab.prompts.fit import as_prompts
from vtlab.registry import TRACKERS
from vtlab.trackers.loop import track
from vtlab.trackers.memory import grown_mb, settle
from vtlab.tracks import Tracks


def speed(runs: Sequence[Tracks]) -> dict[str, float]:
    """Frames per second, median and 95th percentile of the latency in ms, and memory in MB that runs took.

    Time is that of the tracker's steps alone, without decoding. Memory is the peak over the run less what was in use
    before it, of the process and of the GPU, the largest over the runs: weights and work of the tracker, not its
    libraries. Everything is NaN where no step was timed.
    """
    seconds = np.concatenate([t.step_seconds for t in runs]) if runs else np.empty(0)
    if not len(seconds):
        return dict.fromkeys(("fps", "latency_ms", "latency_p95_ms", "memory_mb"), np.nan)
    return {
        "fps": len(seconds) / float(seconds.sum()) if seconds.sum() > 0 else np.nan,
        "latency_ms": 1000 * float(np.median(seconds)),
        "latency_p95_ms": 1000 * float(np.percentile(seconds, 95)),
        "memory_mb": max(grown_mb(t.record.memory or {}) for t in runs),
    }


@dataclass(frozen=True)
class Profile:
    """Cost of a tracker.

    Attributes:
        tracker: Its name.
        frames: Number of steps measured after the warm-up.
        objects: Number of objects that it followed.
        first_ms: Milliseconds of the first step, which starts the objects.
        median_ms: Median of the other steps.
        p95_ms: 95th percentile of them.
        fps: Steps per second: the reciprocal of their mean.
        memory_mb: Peak over the run less what was in use before it, of the process and the GPU, in MB.
        tracks: What was tracked; its `record` holds versions and hardware.
    """

    tracker: str
    frames: int
    objects: int
    first_ms: float
    median_ms: float
    p95_ms: float
    fps: float
    memory_mb: float
    tracks: Tracks


def profile(
    tracker: Any,
    video: Any,
    prompts: Any = None,
    *,
    frames: int | None = None,
    warmup: int = 3,
    **params: Any,
) -> Profile:
    """Measure a tracker's latency and memory on the beginning of a video.

    Args:
        tracker: A name, `file.py:Class`, a class, or an instance.
        video: Anything `open_video` takes.
        prompts: As for `track`.
        frames: Frame before which to stop; the whole video by default.
        warmup: Steps after the first that are not counted.
        params: Parameters of the tracker.

    Raises:
        InputError: Fewer steps than the warm-up needs, so that nothing could be measured.
    """
    settle(TRACKERS.card(tracker))
    tracks = track(video, as_prompts(prompts), tracker, stop=frames, progress=False, **params)
    seconds = tracks.step_seconds[1 + warmup :]
    if not len(seconds):
        raise InputError(
            f"{len(tracks.step_seconds)} steps are too few to measure after a warm-up of {warmup}."
        )
    return Profile(
        tracks.name,
        len(seconds),
        len(tracks.object_ids),
        1000 * float(tracks.step_seconds[0]),
        1000 * float(np.median(seconds)),
        1000 * float(np.percentile(seconds, 95)),
        float(1 / seconds.mean()),
        grown_mb(tracks.record.memory or {}),
        tracks,
    )
