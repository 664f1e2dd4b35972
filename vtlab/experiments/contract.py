"""Contract of resources: what a tracker takes of a machine over a long run, held against limits that a user gives.

The clip is played to and fro until it is long enough, so that a short one tells too whether memory grows; no truth is asked
for. Each cell must run alone (`limits: {alone: true}`), since it measures time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from collections.abc import Sequence as Several
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from vtlab.decision.limits import Check, Cost, Limits, checks, cost_of
from vtlab.engine.outcome import Outcome
from vtlab.engine.task import start_random
from vtlab.errors import ExperimentError, InputError
from vtlab.experiments import curves
from vtlab.experiments.axes import Method
from vtlab.experiments.footage import Shown, held, moved
from vtlab.metrics.records import added, figures
from vtlab.prompts.fit import fitting_prompts
from vtlab.registry import TRACKERS
from vtlab.sequence import Sequence
from vtlab.show import plot
from vtlab.trackers.memory import WARM
from vtlab.trackers.profiling import object_ms, profile
from vtlab.video import Video

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from vtlab.experiments.store import Store

_MARKS = {True: "✓", False: "✗", None: "?"}
_SHARES = {"p50": 0.5, "p95": 0.95, "p99": 0.99}


def contract(
    sequence: Sequence,
    tracker: Method,
    *,
    frames: int = 1000,
    objects: Several[int] = (1, 2, 4, 8),
    objects_frames: int = 100,
    seed: int = 0,
) -> Outcome:
    """Time and memory of a tracker over a long run, and its time by the number of objects.

    Args:
        sequence: With prompts, where the tracker takes some.
        tracker: By name and parameters.
        frames: Length of the run; memory is told from frame 200 on, with an interval from 400 frames on.
        objects: Numbers of objects, copies of those that are prompted, each for a run of its own; () for none.
        objects_frames: Frames of these.
        seed: From which random generators start.

    Returns:
        Outcome: milliseconds at p50, p95, p99 with bounds, MB at the peak, MB that 1,000 frames add with the ends of the
        interval, and milliseconds at each number of objects.

    Raises:
        ExperimentError: Too few frames, or numbers that are none.
    """
    if not (isinstance(frames, int) and frames >= 2 * WARM):
        raise ExperimentError(
            f"Expected at least {2 * WARM} frames, from which on growth is told, got {frames}."
        )
    video = to_and_fro(held(sequence.video), frames)
    card = TRACKERS.card(tracker.name)
    given, note = fitting_prompts(card, sequence.prompts, sequence.video)
    prompts = moved(given, np.arange(min(frames, len(sequence.video))))
    start_random(seed)
    made = profile(tracker.name, video, prompts, **tracker.parameters)
    timing, (growth, low, high) = made.timing, made.growth_mb
    found: dict[str, Any] = {
        "latency_ms": timing.latency_ms,
        "memory_mb": made.memory_mb,
        "growth_mb": growth,
        "growth_low_mb": low,
        "growth_high_mb": high,
        "waiting": timing.waiting,
    }
    for name, share in _SHARES.items():
        bounds = timing.bounds_ms(share)
        found |= {
            f"{name}_ms": timing.percentile_ms(share),
            f"{name}_low_ms": bounds[0],
            f"{name}_high_ms": bounds[1],
        }
    if card.accepts and objects:
        start_random(seed)
        try:
            several = profile(
                tracker.name, video, prompts, frames=objects_frames, objects=objects, **tracker.parameters
            )
        except InputError as error:
            raise ExperimentError(f"objects: {error}") from None
        found |= {curves.at("ms", n, "objects"): ms for n, ms in several.by_objects.items()}
    return Outcome(found, made.tracks, {"step_ms": 1000 * np.asarray(made.tracks.step_seconds)}, note)


def to_and_fro(video: Video, frames: int) -> Video:
    """A video of so many frames: played to its end, back, and on, at an even rate."""
    n = len(video)
    way = np.concatenate([np.arange(n), np.arange(n - 2, 0, -1)])
    shown = np.resize(way, frames)
    return Video(
        Shown(video, shown, f"to and fro, {frames} frames", timestamps=np.arange(frames) / video.fps)
    )


def limits_of(store: Store) -> Limits:
    """The limits that the specification's `report` gives.

    Raises:
        ExperimentError: One that there is none of.
    """
    told = {} if store.experiment is None else dict(store.experiment.report)
    try:
        return Limits(**told)
    except TypeError:
        known = ", ".join(Limits.__dataclass_fields__)
        raise ExperimentError(f"report: expected limits, some of {known}; got {told}.") from None
    except InputError as error:
        raise ExperimentError(f"report: {error}") from None


def costs(store: Store) -> dict[str, Cost]:
    """What each tracker costs, over all its clips."""
    rows = store.results()
    found = {}
    for tracker in rows["tracker"].unique():
        mine = rows[rows["tracker"] == tracker]
        runs = [t for key in mine["key"] for t in store.archive.tracks(key).values()]
        by_objects = {
            int(n): max(values.values())
            for n, values in curves.curves(mine, "ms").get(str(tracker), {}).items()
        }
        found[str(tracker)] = replace(cost_of(str(tracker), runs), by_objects=by_objects)
    return found


def sections(store: Store) -> list[curves.Section]:
    """The part of the report: each number with its interval, and whether it keeps its limit."""
    limits, found = limits_of(store), costs(store)
    listed = [_listed(tracker, cost, checks(cost, limits)) for tracker, cost in found.items()]
    asked = (
        f"Limits: {limits.text}. " if limits.text else "No limits were given (`report: {budget_ms: 33}`). "
    )
    caption = (
        f"{asked}✓ kept, by the upper end of its bound or interval; ✗ broken; ? not shown either way. Milliseconds of a "
        "step, with bounds that hold with 95 % each, the widest over the clips; memory: what the run added at its peak; "
        f"growth: MB that 1,000 further frames add after the first {WARM}, with a 95 % interval; of several clips the "
        f"worst. Of this machine.{_disturbed(found)}"
    )
    board = curves.table(listed, "Contract of resources", caption)
    return [
        curves.Section(board, (("Contract of resources: time, growth and objects", _figure(found, limits)),))
    ]


def _disturbed(found: Mapping[str, Cost]) -> str:
    waited = [
        f"{t} waited {c.timing.waiting:.0%} of the time" for t, c in found.items() if c.timing.disturbed
    ]
    return f" Times disturbed by other work: {', '.join(waited)}." if waited else ""


def _listed(tracker: str, cost: Cost, found: Several[Check]) -> dict[str, str]:
    kept = {c.limit: c.kept for c in found}
    states = list(kept.values())
    whole = False if False in states else None if None in states else True
    row = {"tracker": tracker, "contract": f"{_MARKS[whole]} {_WORDS[whole]}" if found else "–"}
    limit_of = {"p95": "time", "p99": "p99"}
    for name, share in _SHARES.items():
        text = _ranged(cost.timing.percentile_ms(share), *cost.timing.bounds_ms(share))
        row[f"{name} ms"] = _marked(text, kept, limit_of.get(name, ""))
    row["memory MB"] = _marked(figures(cost.memory_mb), kept, "memory")
    row["growth MB"] = _marked(_ranged(*cost.growth, said=added), kept, "growth")
    row["ms an object"] = _marked(figures(object_ms(cost.by_objects)), kept, "objects")
    row["why"] = "; ".join(c.why for c in found if not c.kept)
    return row


_WORDS = {True: "kept", False: "broken", None: "not shown"}


def _marked(text: str, kept: Mapping[str, bool | None], limit: str) -> str:
    return f"{_MARKS[kept[limit]]} {text}" if limit in kept else text


def _ranged(value: float, low: float, high: float, said: Callable[[float], str] = figures) -> str:
    def told(number: float) -> str:
        return said(number) if np.isfinite(number) else "?"

    if not np.isfinite(value):
        return "–"
    return f"{told(value)} [{told(low)}, {told(high)}]"


def _figure(found: Mapping[str, Cost], limits: Limits) -> Figure:
    """Latency against the budget, growth with its interval, time by objects; green, red or grey by what is kept."""
    from vtlab.show.sheet import Sheet

    sheet = Sheet(figsize=(10.5, 0.45 * len(found) + 2.6), layout="constrained")
    times, growth, objects = sheet.subplots(1, 3)
    places = np.arange(len(found))[::-1]
    for y, (tracker, cost) in zip(places, found.items(), strict=True):
        kept = {c.limit: c.kept for c in checks(cost, limits)}
        _times(times, y, cost, _COLOURS[kept.get("time")])
        value, low, high = cost.growth
        if np.isfinite(value):
            growth.errorbar(
                value,
                y,
                xerr=[[value - low], [high - value]],
                fmt="o",
                color=_COLOURS[kept.get("growth")],
                capsize=3,
            )
        if cost.by_objects:
            style = plot.style(list(found).index(tracker))
            objects.plot(
                list(cost.by_objects),
                list(cost.by_objects.values()),
                marker="o",
                markersize=4,
                label=tracker,
                **style,
            )
    for ax, limit, label in (
        (times, limits.budget_ms, "ms a step: p50, p95, p99"),
        (growth, limits.growth_mb, "MB that 1,000 further frames add"),
    ):
        ax.set_yticks(places, [plot.short(t) for t in found])
        ax.set(xlabel=label, ylim=(-0.6, len(found) - 0.4))
        ax.grid(axis="x", alpha=0.25)
        if limit is not None:
            ax.axvline(limit, color="0.3", linestyle=":", linewidth=1.2)
            ax.annotate(f" limit {limit:g}", (limit, len(found) - 0.5), fontsize="x-small", va="top")
    growth.axvline(0, color="0.7", linewidth=0.8)
    growth.set_yticklabels([])
    objects.set(xlabel="objects", ylabel="ms a frame", ylim=(0, None))
    objects.grid(alpha=0.25)
    if objects.lines:
        objects.legend(fontsize="small", framealpha=0.85, edgecolor="none")
    return sheet


_COLOURS = {True: "#009e73", False: "#d55e00", None: "0.45"}


def _times(ax: Any, y: float, cost: Cost, colour: str) -> None:
    """p50, p95 and p99 on a line, the bounds of p95 as a bar."""
    values = [cost.timing.percentile_ms(share) for share in _SHARES.values()]
    if not np.isfinite(values).all():
        return
    ax.plot([values[0], values[2]], [y, y], color=colour, linewidth=1)
    for value, marker in zip(values, ("|", "o", "d"), strict=True):
        ax.plot(value, y, marker=marker, color=colour, markersize=8 if marker == "|" else 6)
    low, high = cost.timing.bounds_ms(0.95)
    if np.isfinite([low, high]).all():
        ax.plot([low, high], [y, y], color=colour, linewidth=4, alpha=0.35, solid_capstyle="butt")
