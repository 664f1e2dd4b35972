"""What a tracker costs: the speed and memory of runs, and a profile on a video before anyone asks how good it is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vtlab.errors import InputError
from vtlab.prompts.fit import as_prompts
from vtlab.registry import TRACKERS
from vtlab.trackers.loop import track
from vtlab.trackers.memory import grown_mb, settle
from vtlab.tracks import Tracks


@dataclass(frozen=True)
class Timing:
    """What the steps of one tracker took, on all videos that it ran on. The first step of each, which starts the objects,
    stands apart; decoding is no part of any.

    Attributes:
        runs: Milliseconds of the steps of each run, (S,) each, without the first.
        first_ms: Milliseconds of the slowest first step; NaN where no step was timed.
        offline: It answers late, from windows of frames, so that single steps say nothing of a frame.
        delay_ms: Milliseconds of video that it reads beyond the frame that it answers, at most.
        waiting: Share of the time that other work kept the processor from it, at most; NaN where it isn't known.
    """

    runs: tuple[NDArray[np.float64], ...] = ()
    first_ms: float = np.nan
    offline: bool = False
    delay_ms: float = 0.0
    waiting: float = np.nan

    @classmethod
    def of(cls, runs: Sequence[Tracks], warmup: int = 0) -> Timing:
        """Read the times of runs.

        Args:
            runs: What the tracker tracked.
            warmup: Steps after the first of each run that don't count, either.
        """
        timed = [1000 * t.step_seconds for t in runs if len(t.step_seconds)]
        notes = [t.record.timing or {} for t in runs]
        offline = any(n.get("offline") for n in notes)
        # An offline tracker works in blocks, and so does one that made a single step: there is nothing to set apart.
        kept = tuple(ms if offline or len(ms) == 1 else ms[1 + warmup :] for ms in timed)
        return cls(
            kept,
            max((float(ms[0]) for ms in timed), default=np.nan),
            offline,
            max((float(n.get("delay_ms", 0.0)) for n in notes), default=0.0),
            max((float(n["waiting"]) for n in notes if "waiting" in n), default=np.nan),
        )

    @property
    def steps(self) -> NDArray[np.float64]:
        """Milliseconds of all steps that count, (S,)."""
        return np.concatenate(self.runs) if self.runs else np.empty(0)

    @property
    def fps(self) -> float:
        """Frames a second: frames over the whole work. NaN where nothing was timed."""
        total = float(self.steps.sum())
        return 1000 * len(self.steps) / total if total > 0 else np.nan

    @property
    def latency_ms(self) -> float:
        """Median milliseconds of a step; of an offline tracker its work for a frame and the delay of its answers."""
        if not len(self.steps):
            return np.nan
        return float(self.steps.mean()) + self.delay_ms if self.offline else float(np.median(self.steps))

    @property
    def p95_ms(self) -> float:
        """Milliseconds that 95 of 100 steps stay below; NaN for an offline tracker, whose steps are no frames."""
        return float(np.percentile(self.steps, 95)) if len(self.steps) and not self.offline else np.nan

    @property
    def p95_upper_ms(self) -> float:
        """Upper 95 % bound of that by order statistics; NaN below `ENOUGH` steps, where there is none."""
        return np.nan if self.offline else upper_bound(self.steps, 0.95)

    def over(self, budget_ms: float) -> tuple[int, int]:
        """(k, n): on the worst video, k of n steps took longer than the budget."""
        counts = [(int((ms > budget_ms).sum()), len(ms)) for ms in self.runs if len(ms)]
        return max(counts, key=lambda c: c[0] / c[1], default=(0, 0))

    def keeps(self, budget_ms: float) -> bool | None:
        """Whether 95 of 100 frames keep a budget on every video; None if none was missed, but too few were timed to tell.

        An offline tracker, whose answers come late, keeps none.
        """
        if self.offline or not len(self.steps):
            return False
        found = [_keeps(ms, budget_ms) for ms in self.runs if len(ms)]
        return False if False in found else None if None in found else True


ENOUGH = 59
"""Steps from which on a 95th percentile has an upper 95 % bound at all: 0.95 ** 59 < 0.05."""


def upper_bound(values: NDArray[np.float64], quantile: float, level: float = 0.95) -> float:
    """Value that a quantile stays below with a probability, whatever the distribution; NaN with too few values.

    The bound is the order statistic that the binomial distribution of the number of values below the quantile names
    (David and Nagaraja, "Order Statistics", 2003, ch. 7). For a lower bound give 1 - level.
    """
    from scipy.stats import binom

    n = len(values)
    rank = int(binom.ppf(level, n, quantile)) + 1 if n else 1
    return float(np.sort(values)[rank - 1]) if rank <= n else np.nan


def _keeps(ms: NDArray[np.float64], budget_ms: float) -> bool | None:
    if len(ms) < ENOUGH:
        return None if (ms <= budget_ms).all() else False
    return upper_bound(ms, 0.95) <= budget_ms


def speed(runs: Sequence[Tracks]) -> dict[str, float]:
    """Frames per second, latency, its 95th percentile with an upper bound (`Timing`), and memory in MB that runs took.

    Memory is the peak over the run less what was in use before it, of the process and of the GPU, the largest over the
    runs: weights and work of the tracker, not its libraries. Everything is NaN where no step was timed.
    """
    timing = Timing.of(runs)
    return {
        "fps": timing.fps,
        "latency_ms": timing.latency_ms,
        "latency_p95_ms": timing.p95_ms,
        "latency_p95_upper_ms": timing.p95_upper_ms,
        "memory_mb": max((grown_mb(t.record.memory or {}) for t in runs), default=np.nan)
        if len(timing.steps)
        else np.nan,
    }


@dataclass(frozen=True)
class Profile:
    """Cost of a tracker.

    Attributes:
        tracker: Its name.
        frames: Number of steps measured after the first and the warm-up.
        objects: Number of objects that it followed.
        first_ms: Milliseconds of the first step, which starts the objects.
        median_ms: Median of the other steps; of an offline tracker its work for a frame and the delay of its answers.
        p95_ms: 95th percentile of them; NaN for an offline tracker.
        fps: Steps per second: the reciprocal of their mean.
        memory_mb: Peak over the run less what was in use before it, of the process and the GPU, in MB.
        tracks: What was tracked; its `record` holds versions, hardware and the load of the machine.
        timing: All steps, bounds, and misses of a budget.
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
    timing: Timing


def profile(
    tracker: Any,
    video: Any,
    prompts: Any = None,
    *,
    frames: int | None = None,
    warmup: int = 0,
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
    timing = Timing.of([tracks], warmup)
    if not len(timing.steps):
        raise InputError(
            f"{len(tracks.step_seconds)} steps are too few to measure after a warm-up of {warmup}."
        )
    return Profile(
        tracks.name,
        len(timing.steps),
        len(tracks.object_ids),
        timing.first_ms,
        timing.latency_ms,
        timing.p95_ms,
        timing.fps,
        grown_mb(tracks.record.memory or {}),
        tracks,
        timing,
    )
