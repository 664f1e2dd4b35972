"""What the steps of a tracker took, and what they cost: percentiles with bounds, misses of a budget, memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from vtlab.trackers.load import DISTURBED
from vtlab.trackers.memory import grown_mb
from vtlab.tracks import Tracks

Floats = NDArray[np.float64]
ENOUGH = 59
"""Steps from which on a 95th percentile has an upper 95 % bound at all: 0.95 ** 59 < 0.05."""


@dataclass(frozen=True)
class Timing:
    """What the steps of one tracker took, on all videos that it ran on. The first step of each, which starts the objects,
    stands apart; decoding is no part of any. Work on a GPU is done when a step's time is taken.

    Attributes:
        runs: Milliseconds of the steps of each run, (S,) each, without the first.
        first_ms: Milliseconds of the slowest first step; NaN where no step was timed.
        offline: It answers late, from windows of frames, so that single steps say nothing of a frame.
        delay_ms: Milliseconds of video that it reads beyond the frame that it answers, at most.
        waiting: Share of the time that other work kept the processor from it, at most; NaN where it isn't known.
        load: Tasks that wanted to run on the machine, at most; NaN where it isn't known.
        devices: Where it worked: "cpu", "cuda", "mps"; empty where no run says.
        threads: Library -> threads that it may use.
    """

    runs: tuple[Floats, ...] = ()
    first_ms: float = np.nan
    offline: bool = False
    delay_ms: float = 0.0
    waiting: float = np.nan
    load: float = np.nan
    devices: tuple[str, ...] = ()
    threads: Mapping[str, int] = field(default_factory=dict)

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
            max((float(n["load"]) for n in notes if "load" in n), default=np.nan),
            tuple(sorted({str(n["device"]) for n in notes if "device" in n})),
            {k: v for n in notes for k, v in n.get("threads", {}).items()},
        )

    @property
    def steps(self) -> Floats:
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

    def percentile_ms(self, share: float) -> float:
        """Milliseconds that a share (0 to 1) of the steps stays below; NaN for an offline tracker, whose steps are no
        frames."""
        return float(np.quantile(self.steps, share)) if len(self.steps) and not self.offline else np.nan

    def bounds_ms(self, share: float, level: float = 0.95) -> tuple[float, float]:
        """Lower and upper bound of that by order statistics, each of which holds with `level`; NaN where there are too few
        steps for one.

        Steps are taken as independent. Where a tracker ran on several videos, the ends are the widest of them: a budget
        that is kept on three videos and missed on the fourth is missed.
        """
        if self.offline:
            return np.nan, np.nan
        ends = [(lower_bound(ms, share, level), upper_bound(ms, share, level)) for ms in self.runs if len(ms)]
        if not ends:
            return np.nan, np.nan
        low, high = np.array(ends).T
        return float(low.min()), float(high.max())

    @property
    def p95_ms(self) -> float:
        """Milliseconds that 95 of 100 steps stay below; NaN for an offline tracker."""
        return self.percentile_ms(0.95)

    @property
    def p95_upper_ms(self) -> float:
        """Upper 95 % bound of that on the worst video; NaN below `ENOUGH` steps, where there is none."""
        return self.bounds_ms(0.95)[1]

    @property
    def max_ms(self) -> float:
        """Milliseconds of the slowest step; NaN for an offline tracker."""
        return self.percentile_ms(1.0)

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

    @property
    def disturbed(self) -> bool:
        """True if other work kept the processor from it so long that its times are not its own."""
        return self.waiting > DISTURBED


def upper_bound(values: Floats, quantile: float, level: float = 0.95) -> float:
    """Value that a quantile stays below with a probability, whatever the distribution; NaN with too few values.

    The bound is the order statistic that the binomial distribution of the number of values below the quantile names
    (David and Nagaraja, "Order Statistics", 2003, ch. 7).
    """
    from scipy.stats import binom

    n = len(values)
    # Without a model of the times, which have long tails: a mean and deviation would promise too much.
    rank = int(binom.ppf(level, n, quantile)) + 1 if n else 1
    return float(np.sort(values)[rank - 1]) if rank <= n else np.nan


def lower_bound(values: Floats, quantile: float, level: float = 0.95) -> float:
    """Value that a quantile stays above with a probability; NaN with too few values."""
    from scipy.stats import binom

    rank = int(binom.ppf(1 - level, len(values), quantile)) if len(values) else 0
    return float(np.sort(values)[rank - 1]) if rank >= 1 else np.nan


def most_missed(k: int, n: int, level: float = 0.95) -> float:
    """Upper bound of the share of deadlines that are missed, where k of n were (Clopper and Pearson, Biometrika 1934).

    With k = 0 it is about 3 / n, the rule of three. NaN for n = 0.
    """
    from scipy.stats import beta

    if n == 0:
        return np.nan
    return 1.0 if k >= n else float(beta.ppf(level, k + 1, n - k))


def _keeps(ms: Floats, budget_ms: float) -> bool | None:
    # One miss in few steps already says no; no miss doesn't yet say yes.
    if len(ms) < ENOUGH:
        return None if (ms <= budget_ms).all() else False
    return upper_bound(ms, 0.95) <= budget_ms


def speed(runs: Sequence[Tracks]) -> dict[str, float]:
    """Frames per second, latency, its percentiles with an upper bound (`Timing`), and memory in MB that runs took.

    Memory is the peak over the run less what was in use before it, of the process and of the GPU, the largest over the
    runs: weights and work of the tracker, not its libraries. Everything is NaN where no step was timed.
    """
    timing = Timing.of(runs)
    return {
        "fps": timing.fps,
        "latency_ms": timing.latency_ms,
        "latency_p95_ms": timing.p95_ms,
        "latency_p95_upper_ms": timing.p95_upper_ms,
        "latency_p99_ms": timing.percentile_ms(0.99),
        "latency_max_ms": timing.max_ms,
        "memory_mb": max((grown_mb(t.record.memory or {}) for t in runs), default=np.nan)
        if len(timing.steps)
        else np.nan,
    }
