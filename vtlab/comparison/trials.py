"""Compare trackers on videos: one call, one table, the pictures, the report.

Every tracker runs alone, one after the other, so that its time and memory are its own. A video that several passes
read is decoded once and kept where it fits into `memory_budget`, else decoded again for each pass; for a single pass
nothing is kept, and the frames of one sequence are let go before those of the next. A tracker that can't run (weights
missing, a package missing, a failure) has a row that says why; the others are not disturbed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from vtlab.comparison.comparison import Comparison
from vtlab.comparison.proxies import Run
from vtlab.comparison.saved import Plan
from vtlab.comparison.trial import Trial
from vtlab.errors import InputError, Interrupted, renamed
from vtlab.metrics.families import judging
from vtlab.prompts.fit import as_prompts
from vtlab.registry import TRACKERS
from vtlab.sequence import Sequence
from vtlab.trackers.loop import Direction
from vtlab.trackers.passes import count_frames
from vtlab.tracks import Tracks
from vtlab.video import FrameSource, Image, Video, open_video


@renamed(protocol="rule")
def compare(
    video: Any,
    trackers: Iterable[Any] | Mapping[str, Any],
    *,
    prompts: Any = None,
    truth: Tracks | str | Path | None = None,
    rule: str | Mapping[str, str] | None = None,
    direction: Direction = "forward",
    forward_backward: bool = False,
    budget_ms: float | None = None,
    memory_budget: int = 1 << 30,
    progress: bool | Callable[[str], None] = True,
    out: str | Path | None = None,
    jobs: int = 1,
) -> Comparison:
    """Run trackers on one video or on several sequences and measure them.

    Args:
        video: A video (anything `open_video` takes), a `Sequence`, or an iterable of sequences (a dataset).
        trackers: Names, `file.py:Class`, classes, or (spec, parameters), also as a list [name, {...}]; a mapping gives
            labels: {"slow": ("csrt", {...})}.
        prompts: For a plain video: `Prompts`, a prompt file or prompts. Each tracker gets the kinds it takes; a
            mask (or clicks with a box) becomes a box for a tracker of boxes, which the run's note says.
        truth: For a plain video: ground-truth `Tracks`, or a file of them. Without truth only proxies are
            measured, which rank nobody.
        rule: Name of the benchmark rule, or one for each family ({"sot": "got10k"}); None = the default of
            each family (`vtlab.metrics.rules`).
        direction: As in `track`.
        forward_backward: Whether to run each prompted tracker backward too, which doubles the time. It ranks nobody (a
            tracker that stands still is the most consistent), so it is made only where it is asked for.
        budget_ms: Milliseconds that a tracker may take on 95 of 100 frames to be chosen (1000 / 25 for 25 frames a
            second); None = any.
        memory_budget: Bytes of decoded frames that may be kept at any time so that a video is decoded once, 1 GiB by
            default: those of one sequence, where they all fit and more than one pass reads them.
        progress: Show progress bars, or nothing, or call a function with one line for each run.
        out: Folder in which each run is kept as it ends (docs/experiments.md says how). Given again, what is there is not
            run again, as long as tracker, parameters, weights, video, prompts and vtlab are what they were.
        jobs: Runs at once, each in a process of its own (`pip install 'vtlab[cluster]'`). Times are then those of the first
            sequence only, on which each tracker runs alone on cores that it is held to; its note says so.

    Raises:
        InputError: No tracker, a label twice, a budget that is not above 0, or nothing to compare on.
        ExperimentError: With `out` or `jobs`: a tracker that was made already, or a parameter that has no content by which
            its results could be found again.
        RegistryError: A name that is not known: nothing runs before all names are found.
        Interrupted: Ctrl-C, or a notebook's kernel was interrupted; its `comparison` holds the trackers that had
            finished, its `tracks` what the one at work had tracked.
    """
    if budget_ms is not None and not budget_ms > 0:
        raise InputError(f"budget_ms must be above 0 milliseconds a frame, got {budget_ms!r}.")
    specs = specs_of(trackers)
    cards = {label: TRACKERS.card(spec) for label, (spec, _) in specs.items()}
    sequences = _sequences(video, prompts, truth)
    runs: list[Run] = []
    if out is not None or jobs != 1:
        plan = Plan(tuple(sequences), specs, direction, forward_backward, out, jobs)
        return plan.run(progress, lambda done: _joined(sequences, done, rule, budget_ms))

    def compared() -> Comparison:
        return _joined(sequences, runs, rule, budget_ms)

    try:
        for sequence in sequences:
            passes = len(specs) * (2 if forward_backward else 1)
            footage = _decoded(sequence.video, memory_budget, passes)
            for label, (spec, params) in specs.items():
                if callable(progress):
                    progress(f"{label} on {sequence.name}")
                job = Trial(
                    label,
                    cards[label],
                    spec,
                    params,
                    sequence,
                    footage,
                    direction,
                    forward_backward,
                    progress is True,
                )
                runs.append(job.run())
            del footage, job  # before the next sequence is decoded
    except KeyboardInterrupt as error:
        wanted = len(sequences) * len(specs)
        text = f"compare was interrupted; {len(runs)} of {wanted} runs had finished"
        more = "; they are in the error's .comparison" if runs else ""
        raise Interrupted(
            text + more, getattr(error, "tracks", None), compared() if runs else None
        ) from error
    return compared()


def _joined(sequences: list[Sequence], runs: list[Run], rule: Any, budget_ms: float | None) -> Comparison:
    done = {run.sequence for run in runs}
    asked = [r for r in (rule.values() if isinstance(rule, Mapping) else (rule,)) if isinstance(r, str)]
    runs = [replace(run, family=judging(run.family, asked)) for run in runs]
    return Comparison(tuple(s for s in sequences if s.name in done), tuple(runs), rule, budget_ms)


def specs_of(
    trackers: Iterable[Any] | Mapping[str, Any], **also: Any
) -> dict[str, tuple[Any, dict[str, Any]]]:
    """Label -> (tracker, parameters) of trackers as `compare` takes them, such as a notebook's `TRACKERS`.

    Args:
        trackers: Names, or [name, {parameter: value}], ...; the label of one with parameters names them.
        also: Further parameters of each, such as one detector for all.

    Raises:
        InputError: None is given, or a label twice.
        RegistryError: A name that is not known.
    """
    if isinstance(trackers, str):
        trackers = [trackers]
    if not isinstance(trackers, Iterable):
        trackers = [trackers]
    items = trackers.items() if isinstance(trackers, Mapping) else ((None, t) for t in trackers)
    specs: dict[str, tuple[Any, dict[str, Any]]] = {}
    for label, value in items:
        if isinstance(value, list) and [*map(type, value)] == [str, dict]:
            value = tuple(value)  # as a notebook's parameters or a file say it
        spec, params = value if isinstance(value, tuple) else (value, {})
        name = label or TRACKERS.card(spec).name
        if label is None and params:
            name += " " + ", ".join(f"{k}={v}" for k, v in params.items())
        if name in specs:
            raise InputError(
                f"Tracker {name!r} is given twice. Give labels: {{'label': (name, parameters), ...}}."
            )
        specs[name] = (spec, {**also, **params})
    if not specs:
        raise InputError(f"No tracker was given. Known: {', '.join(TRACKERS.names())}.")
    return specs


def _sequences(video: Any, prompts: Any, truth: Tracks | str | Path | None) -> list[Sequence]:
    if isinstance(truth, (str, Path)):
        truth = Tracks.load(truth)
    if isinstance(video, Sequence):
        changes: dict[str, Any] = {}
        if prompts is not None:
            changes["prompts"] = as_prompts(prompts)
        if truth is not None:
            changes["truth"] = truth
        return [replace(video, **changes)]
    if isinstance(video, Iterable) and not isinstance(video, (str, Path, Video, np.ndarray)):
        sequences = list(video)
        if not sequences or not all(isinstance(s, Sequence) for s in sequences):
            raise InputError("Expected a video, a Sequence, or a non-empty iterable of sequences.")
        names = [s.name for s in sequences]
        if len(set(names)) != len(names):
            raise InputError(f"Sequences must have different names, got {names}.")
        return sequences
    footage = open_video(video)
    given = as_prompts(prompts).on(footage).check(footage)
    return [Sequence(footage.name, footage, truth=truth, prompts=given)]


class _Kept(FrameSource):
    """The decoded frames of a video, held in memory."""

    def __init__(self, video: Video):
        self.name, self.source = video.name, video.source
        self.width, self.height, self.fps, self.timestamps = (
            video.width,
            video.height,
            video.fps,
            video.timestamps,
        )
        self.span, self._digest = video.span, video.digest()
        self._images = [frame.image for frame in video.frames()]

    def get(self, index: int) -> Image:
        return self._images[index].copy()

    def digest(self) -> str:
        return self._digest


def _decoded(video: Video, budget: int, passes: int) -> Video:
    """The video with its frames decoded once, if several passes read them and they fit into `budget`, else as it is."""
    n = count_frames(video)
    if n < 0:
        raise InputError(
            f"{video.name!r} is a stream, which can be read only once. Record it to a file to compare."
        )
    if passes == 1 or n * video.width * video.height * 3 > budget:
        return video
    return Video(_Kept(video), cache_bytes=0)  # kept once: a cache would hold them twice
