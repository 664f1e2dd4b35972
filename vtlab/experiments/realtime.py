"""Real time: frames that arrive while the tracker works are dropped, and its answers come late.

A camera gives a frame every 1 / fps seconds and doesn't wait. The tracker takes the newest frame when it is free; what is
known of the object at the time of a frame is the last answer that was ready by then, and that is judged.

Source: Li, Wang, Ramanan, "Towards Streaming Perception", ECCV 2020 (arXiv:2005.10420). The answer of the first frame is
the prompt, so it stands for the object until there is another one.
"""

from __future__ import annotations

from collections.abc import Sequence as Several
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vtlab.engine.outcome import Outcome
from vtlab.engine.task import start_random
from vtlab.errors import ExperimentError
from vtlab.experiments import curves
from vtlab.experiments.axes import Method
from vtlab.experiments.footage import Shown, family_of, moved, overlap
from vtlab.prompts import Prompts
from vtlab.prompts.fit import fitting_prompts
from vtlab.registry import TRACKERS
from vtlab.sequence import Sequence
from vtlab.trackers.loop import stream, track
from vtlab.tracks import Tracks, TracksBuilder
from vtlab.video import Video

if TYPE_CHECKING:
    from vtlab.experiments.store import Store

Ints = NDArray[np.int64]


def real_time(
    sequence: Sequence,
    tracker: Method,
    *,
    rates: Several[float] = (10, 25, 30, 60),
    slower: float = 1.0,
    seed: int = 0,
) -> Outcome:
    """Quality of a tracker on a stream, at several frame rates.

    The clip is tracked once, each step with its time (the timeline `step_ms`). Given these times the rest hangs on no
    clock: which frames are dropped, what is known when, and so the overlap.

    Args:
        sequence: With truth; its frames are taken to arrive at each of the rates.
        tracker: By name and parameters; one that answers frame by frame.
        rates: Frames a second.
        slower: Factor on the times, for a machine that is as many times slower than this one.
        seed: From which random generators start in each run, so that runs differ by nothing else.

    Returns:
        Outcome: overlap of the clip without a clock, and for each rate overlap, share of frames dropped and mean delay of
        what is known in milliseconds.

    Raises:
        ExperimentError: No truth, a rate that is none, or a tracker that answers late by its nature.
    """
    if not rates or not all(np.isfinite(r) and r > 0 for r in rates) or not slower > 0:
        raise ExperimentError(
            f"Expected rates in frames a second and slower above 0, got {rates} and {slower}."
        )
    family = family_of(tracker.name, sequence)
    prompts, note = fitting_prompts(TRACKERS.card(tracker.name), sequence.prompts, sequence.video)
    start = min(prompts.frames, default=0)
    start_random(seed)
    whole = track(sequence.video, prompts, tracker.name, progress=False, **tracker.parameters)
    if (whole.record.timing or {}).get("offline"):
        raise ExperimentError(f"{tracker.label} answers from windows of frames, so it can follow no camera.")
    seconds = slower * np.asarray(whole.step_seconds)
    found = {"overlap": overlap(whole, sequence, family)}
    shown_at = {}
    for rate in rates:
        used, known, delay = schedule(seconds, rate, [f - start for f in prompts.frames])
        start_random(seed)
        tracks = streamed(sequence, prompts, tracker, used + start, known + start)
        found |= {
            curves.at("overlap", rate, "fps"): overlap(tracks, sequence, family),
            curves.at("dropped", rate, "fps"): 1 - len(used) / len(seconds),
            curves.at("delay_ms", rate, "fps"): 1000 * float(delay.mean()),
        }
        shown_at[f"known at {rate:g} fps"] = known + start
    return Outcome(found, whole, {"step_ms": 1000 * seconds, **shown_at}, note)


def schedule(
    seconds: ArrayLike, fps: float, kept: Several[int] = ()
) -> tuple[Ints, Ints, NDArray[np.float64]]:
    """Which frames of a stream a tracker takes, and what is known when each frame arrives.

    Args:
        seconds: (N,) that its step on each frame takes.
        fps: Frames a second.
        kept: Frames with a prompt: they wait for the tracker and are never dropped.

    Returns:
        The frames taken (K,); for each frame (N,) the one whose answer was ready when it arrived; and how many seconds old
        that is (N,).
    """
    steps, waiting = np.asarray(seconds, np.float64), sorted(set(kept))
    n, frame, free = len(steps), 0, 0.0
    used, ready = [], []
    while frame < n:
        free = max(free, frame / fps) + steps[frame]
        used.append(frame)
        ready.append(free)
        # k / fps * fps may come out just below k, and the frame that arrives right then is there.
        newest = max(int(np.floor(free * fps + 1e-9)), frame + 1)
        frame = next((f for f in waiting if frame < f <= newest), newest)
    arrival = np.arange(n) / fps
    last = np.searchsorted(np.array(ready), arrival + 1e-12, side="right") - 1
    known = np.array(used, np.int64)[np.maximum(last, 0)]
    return np.array(used, np.int64), known, arrival - known / fps


def streamed(sequence: Sequence, prompts: Prompts, tracker: Method, used: Ints, known: Ints) -> Tracks:
    """Track the frames that were taken, and say on each frame what was known then.

    The tracker is made anew: what it kept of another run would look like an effect of the stream.
    """
    video = Video(Shown(sequence.video, used, "stream"))
    size = sequence.video.height, sequence.video.width
    builder, first = TracksBuilder(size), int(used[0])
    given = moved(prompts, used)
    with stream(video, given, tracker.name, measured=False, **tracker.parameters) as answers:
        for place, answer in answers:
            for frame in np.flatnonzero(known == used[place]).tolist():
                builder.add(first + frame, answer)
    return builder.build()


def sections(store: Store) -> list[curves.Section]:
    """The part of the report: quality by frame rate."""
    rows = store.results()
    found, lost, late = (curves.curves(rows, what) for what in ("overlap", "dropped", "delay_ms"))
    listed = []
    for tracker, rates in found.items():
        mine = rows[rows["tracker"] == tracker]
        row = {
            "tracker": tracker,
            "no clock": curves.told(curves.by_clip(mine, "overlap"), curves.percent),
        }
        row |= {f"{rate:g} fps": curves.told(values, curves.percent) for rate, values in rates.items()}
        top = max(rates)
        row[f"dropped at {top:g} fps"] = curves.told(lost[tracker][top], lambda v: f"{100 * v:.0f} %")
        row["delay there, ms"] = curves.told(late[tracker][top], lambda v: f"{v:.0f}", _DELAY)
        listed.append(row)
    caption = (
        "Mean overlap with the truth in per cent, of what is known when each frame arrives; frames that arrive while the "
        f"tracker works are dropped (Li et al. 2020). Times of this machine. {curves.clips_told(rows)}"
    )
    sheet = curves.lines(found, xlabel="frames a second that arrive")
    return [
        curves.Section(
            curves.table(listed, "Real time", caption), (("Real time: overlap by frame rate", sheet),)
        )
    ]


_DELAY = curves.Metric(
    "delay_ms", "", "age of what is known", "ms", high=float("inf"), higher_is_better=False
)
