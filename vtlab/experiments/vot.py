"""VOT's experiments, run as the toolkit runs them: started anew after a failure, or from each anchor to an end.

Each is run once; the toolkit repeats the supervised one up to 15 times, which tells something of trackers that draw lots.

Source: vot-toolkit 0.9.0, vot.experiment.multirun.SupervisedExperiment (`skip_initialize: 5`, a failure is an overlap of 0)
and vot.experiment.multistart; written anew from their rules.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from vtlab.contracts import Card
from vtlab.errors import InputError
from vtlab.metrics.vot_regions import region_overlap, regions_of
from vtlab.metrics.vot_runs import FAILED, GIVEN
from vtlab.prompts import Prompts
from vtlab.prompts.fit import fitting_prompts
from vtlab.sequence import Sequence, first_prompts
from vtlab.trackers.loop import Direction, stream, track
from vtlab.tracks import FrameTracks, Tracks

_WAYS: tuple[Direction, Direction] = ("forward", "backward")
SKIP = 5
"""Frames from a failure to the next start."""


def supervised(method: str, card: Card, clip: Sequence) -> Tracks:
    """One run over a sequence: where the answer leaves the truth, the tracker fails and is started again with the truth.

    Returns:
        The answers; `codes` of the record say where it was started (1) and where it failed (2).

    Raises:
        InputError: The sequence has no truth, or not one object.
    """
    truth, count = _truth(clip), len(clip.video)
    parts, codes, frame = [], {}, 0
    while frame < count:
        codes[frame] = GIVEN
        with stream(clip.video, _prompts(truth, card, clip, frame), method) as steps:
            failed = next((index for index in _fails(steps, truth, frame)), None)
            parts.append(steps.tracks.between(frame, count if failed is None else failed))
        if failed is None:
            break
        codes[failed] = FAILED
        frame = failed + SKIP
    joined = Tracks.concat(parts)
    told = {"codes": {str(f): c for f, c in codes.items()}, "experiment": "supervised", "frames": count}
    return joined.replace(meta={**parts[0].meta, **told}, size=truth.size)


def anchors(clip: Sequence) -> dict[int, int]:
    """Frame of each anchor -> 1 (on to the last frame) or -1 (back to the first).

    Raises:
        InputError: The sequence has no truth or no anchors.
    """
    found = {int(f): int(sign) for f, sign in (_truth(clip).meta.get("anchors") or {}).items()}
    if not found:
        raise InputError(
            f"{clip.name}: there are no anchors (anchor.value beside the truth), from which VOT's multi-start experiment "
            "starts. VOT2013 to 2019 have none: name one of those benchmarks."
        )
    return found


def from_anchor(method: str, card: Card, clip: Sequence, frame: int, sign: int) -> Tracks:
    """One run from an anchor to an end of the sequence, never started again."""
    truth = _truth(clip)
    prompts, direction = _prompts(truth, card, clip, frame), _WAYS[sign < 0]
    answers = track(clip.video, prompts, method, direction=direction, progress=False)
    told = {"codes": {str(frame): GIVEN}, "experiment": "multistart", "frames": len(clip.video)}
    return answers.replace(meta={**answers.meta, **told, "direction": direction}, size=truth.size)


def _fails(steps: Iterable[tuple[int, FrameTracks]], truth: Tracks, start: int) -> Iterator[int]:
    """Frames on which the answer has no overlap with truth."""
    for index, answer in steps:
        (true,) = regions_of(truth, [index])
        if index > start and region_overlap(_region(answer), true, truth.size) <= 0:
            yield index


def _region(answer: FrameTracks) -> Any:
    """The mask, else the box of one object; None where it isn't seen."""
    if not len(answer.object_ids) or not answer.visible[0]:
        return None
    if answer.masks is not None:
        return 0, 0, answer.masks[0]
    return answer.boxes[0] if np.isfinite(answer.boxes[0]).all() else None


def _truth(clip: Sequence) -> Tracks:
    if clip.truth is None or len(clip.truth.object_ids) != 1:
        raise InputError(f"{clip.name}: VOT's experiments need truth of one object.")
    return clip.truth


def _prompts(truth: Tracks, card: Card, clip: Sequence, frame: int) -> Prompts:
    """What a tracker is started with on a frame."""
    given = first_prompts(truth.between(frame, frame + 1))
    if not len(given):
        raise InputError(
            f"{clip.name}, frame {frame}: truth says nothing, so no tracker can be started there."
        )
    return fitting_prompts(card, given, clip.video)[0]
