"""A profile: what a tracker costs on a video, before anyone asks how good it is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from math import isfinite
from typing import TYPE_CHECKING, Any

import numpy as np

from vtlab import provenance
from vtlab.contracts import Card
from vtlab.errors import InputError
from vtlab.metrics.records import added, figures
from vtlab.prompts import Prompts
from vtlab.prompts.fit import as_prompts, fitting_prompts
from vtlab.registry import TRACKERS
from vtlab.trackers.loop import track
from vtlab.trackers.measure import ENOUGH, Timing, most_missed
from vtlab.trackers.memory import FEWEST, grown_mb, growth_mb, settle, slope_mb
from vtlab.tracks import Tracks
from vtlab.video import Video, open_video

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Profile:
    """What a tracker costs on this machine.

    Attributes:
        tracker: Its name.
        objects: Number of objects that it followed.
        tracks: What was tracked; its `record` holds versions, hardware, device and load of the machine.
        timing: All steps, their percentiles and bounds.
        memory_mb: Peak over the run less what was in use before it and less the code of libraries, of the process and the
            GPU, in MB.
        slope_mb: MB by which 1,000 further frames make it grow (its own answers with it); NaN below `memory.FEWEST` frames.
        budget_ms: Milliseconds that a frame may take; None = none was asked for.
        by_objects: Number of objects -> milliseconds a frame; empty where that wasn't asked for.
    """

    tracker: str
    objects: int
    tracks: Tracks
    timing: Timing
    memory_mb: float
    slope_mb: float
    budget_ms: float | None = None
    by_objects: Mapping[int, float] = field(default_factory=dict)

    @property
    def frames(self) -> int:
        """Number of steps measured: those after the first and the warm-up."""
        return len(self.timing.steps)

    @property
    def first_ms(self) -> float:
        """Milliseconds of the first step, which starts the objects."""
        return self.timing.first_ms

    @property
    def median_ms(self) -> float:
        """Median of the other steps; of an offline tracker its work for a frame and the delay of its answers."""
        return self.timing.latency_ms

    @property
    def p95_ms(self) -> float:
        """95th percentile of them; NaN for an offline tracker."""
        return self.timing.p95_ms

    @property
    def fps(self) -> float:
        """Frames a second: the reciprocal of their mean."""
        return self.timing.fps

    @property
    def growth_mb(self) -> tuple[float, float, float]:
        """MB by which 1,000 further frames make it grow, and the ends of its 95 % interval (`trackers.memory.growth`); NaN
        below twice `memory.WARM` frames."""
        return growth_mb(self.tracks.record.memory or {})

    @property
    def object_ms(self) -> float:
        """Milliseconds that a further object costs: the slope of a line through `by_objects`; NaN for fewer than two."""
        return object_ms(self.by_objects)

    @property
    def table(self) -> pd.DataFrame:
        """Milliseconds of a frame: a row for p50, p95, p99, max with `value`, `low`, `high`, each end of which holds with
        95 %; NaN where there are too few frames for a bound. An offline tracker has one row: work and delay."""
        import pandas as pd

        if self.timing.offline:
            rows = {"work + delay": (self.median_ms, np.nan, np.nan)}
        else:
            shares = {"p50": 0.5, "p95": 0.95, "p99": 0.99}
            rows = {n: (self.timing.percentile_ms(s), *self.timing.bounds_ms(s)) for n, s in shares.items()}
            rows["max"] = (self.timing.max_ms, np.nan, np.nan)
        return pd.DataFrame.from_dict(rows, orient="index", columns=["value", "low", "high"]).rename_axis(
            "ms"
        )

    @property
    def notes(self) -> list[str]:
        """What the numbers say in sentences: deadlines missed, objects, memory, other load, what can't be told."""
        return [*_of_time(self), *_of_growth(self)]

    def facts(self) -> dict[str, Any]:
        """All of it as plain data, for JSON."""
        record, timing = self.tracks.record, self.timing
        facts: dict[str, Any] = {
            "tracker": self.tracker,
            "device": ", ".join(timing.devices),
            "threads": dict(timing.threads),
            "frames": self.frames,
            "objects": self.objects,
            "fps": timing.fps,
            "first_ms": self.first_ms,
            "ms": self.table.reset_index().to_dict("records"),
            "offline": timing.offline,
            "delay_ms": timing.delay_ms,
            "memory_mb": self.memory_mb,
            "memory_mb_per_1000_frames": self.slope_mb,
            "waiting": timing.waiting,
            "load": timing.load,
            "disturbed": timing.disturbed,
            "hardware": record.hardware,
            "versions": record.versions,
        }
        if self.budget_ms is not None:
            missed, n = timing.over(self.budget_ms)
            facts |= {
                "budget_ms": self.budget_ms,
                "missed": missed,
                "of": n,
                "missed_share_at_most": most_missed(missed, n),
                "keeps": timing.keeps(self.budget_ms),
            }
        if self.by_objects:
            facts |= {"ms_by_objects": dict(self.by_objects), "ms_per_object": self.object_ms}
        return provenance.plain(facts)  # type: ignore[no-any-return]

    def __repr__(self) -> str:
        return f"Profile({self.tracker}: {' '.join(self.notes)})"

    def _repr_html_(self) -> str:
        from html import escape

        shown = self.table.to_html(float_format="{:.2f}".format, na_rep="–")
        return shown + "".join(f"<p>{escape(note)}</p>" for note in self.notes)


def object_ms(by_objects: Mapping[int, float]) -> float:
    """Milliseconds that a further object costs: the slope of a line through them, by number; NaN for fewer than two."""
    if len(by_objects) < 2:
        return np.nan
    return float(np.polyfit(list(by_objects), list(by_objects.values()), 1)[0])


def profile(
    tracker: Any,
    video: Any,
    prompts: Any = None,
    *,
    frames: int | None = None,
    warmup: int = 0,
    budget_ms: float | None = None,
    objects: Iterable[int] = (),
    **params: Any,
) -> Profile:
    """Measure a tracker's latency and memory on the beginning of a video.

    Args:
        tracker: A name, `file.py:Class`, a class, or an instance.
        video: Anything `open_video` takes.
        prompts: As for `track`; masks become boxes for a tracker of boxes.
        frames: Frame before which to stop; the whole video by default.
        warmup: Steps after the first that are not counted.
        budget_ms: Milliseconds that a frame may take; then misses are counted.
        objects: Numbers of objects, such as (1, 4, 16), for each of which it runs once more, on copies of the prompts;
            needs prompts.
        params: Parameters of the tracker.

    Raises:
        InputError: Fewer steps than the warm-up needs, a budget that is not above 0, or numbers of objects without a prompt
            to copy.
    """
    if budget_ms is not None and not budget_ms > 0:
        raise InputError(f"budget_ms must be above 0 milliseconds a frame, got {budget_ms!r}.")
    card, footage = TRACKERS.card(tracker), open_video(video)
    given = fitting_prompts(card, as_prompts(prompts).on(footage), footage)[0]
    counts = _counts(card, given, objects)

    def run(asked: Prompts) -> tuple[Tracks, Timing]:
        settle(card)
        tracks = track(footage, asked, tracker, stop=frames, progress=False, **params)
        timing = Timing.of([tracks], warmup)
        if not len(timing.steps):
            raise InputError(
                f"{len(tracks.step_seconds)} steps are too few to measure after a warm-up of {warmup}."
            )
        return tracks, timing

    tracks, timing = run(given)
    memory = tracks.record.memory or {}
    return Profile(
        tracks.name,
        len(tracks.object_ids),
        tracks,
        timing,
        grown_mb(memory),
        slope_mb(memory),
        budget_ms,
        {n: run(_copies(given, n, footage))[1].latency_ms for n in counts},
    )


def _counts(card: Card, given: Prompts, objects: Iterable[int]) -> list[int]:
    counts = sorted({int(n) for n in objects})
    if counts and (counts[0] < 1 or not card.accepts or not len(given)):
        why = "it finds its objects itself" if not card.accepts else f"got {counts} and {len(given)} prompts"
        raise InputError(f"objects= needs numbers from 1 on and a prompt to copy for {card.name!r}: {why}.")
    return counts


def _copies(given: Prompts, count: int, video: Video) -> Prompts:
    """That many objects, each a copy of one of the given under an id of its own."""
    mine = list(given.object_ids)
    found = []
    for k in range(count):
        source = mine[k % len(mine)]
        found += [replace(p, object_id=k + 1) for p in given if p.object_id == source]
    return Prompts(found).on(video)


def _of_time(made: Profile) -> list[str]:
    timing, told = made.timing, []
    where = ", ".join(timing.devices) or "an unknown device"
    if timing.offline:
        work = float(timing.steps.mean())
        told.append(
            f"It answers late: {figures(work)} ms of work a frame on {where}, and up to {figures(timing.delay_ms)} ms of "
            "video that it reads ahead; no frame has a deadline that it could keep."
        )
    else:
        told.append(f"First step {figures(made.first_ms)} ms, apart; {made.frames} others on {where}.")
    if made.budget_ms is not None and not timing.offline:
        missed, n = timing.over(made.budget_ms)
        few = (
            ""
            if timing.keeps(made.budget_ms) is not None
            else f"; {ENOUGH} frames are needed to vouch for 95 of 100"
        )
        told.append(
            f"{missed} of {n} frames took longer than {made.budget_ms:g} ms, with 95 % confidence at most "
            f"{most_missed(missed, n):.1%} do{few}."
        )
    if timing.disturbed:
        told.append(f"Times disturbed by other work: it waited {timing.waiting:.0%} of the time.")
    elif not isfinite(timing.waiting):
        told.append("This system doesn't tell whether other work disturbed the times.")
    return told


def _of_growth(made: Profile) -> list[str]:
    told = [f"Memory {figures(made.memory_mb)} MB at its peak"]
    told[0] += (
        f", {added(made.slope_mb)} MB for 1,000 further frames."
        if isfinite(made.slope_mb)
        else f"; whether it grows is not told below {FEWEST} frames."
    )
    if len(made.by_objects) > 1:
        listed = ", ".join(f"{n}: {figures(ms)} ms" for n, ms in made.by_objects.items())
        told.append(f"By objects {listed}; each further one costs {figures(made.object_ms)} ms.")
    return told
