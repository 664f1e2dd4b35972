"""Hand-off drift: what is lost where a clip is tracked in chunks that start from the last answer of the one before.

Annotation servers work so: a request holds some frames and the object's last box, and no tracker lives from one request to
the next. What a tracker has learned of the object is lost with each hand-off, and a box that is a little off stays so.
"""

from __future__ import annotations

from collections.abc import Sequence as Several
from typing import TYPE_CHECKING

import numpy as np

from vtlab.engine.outcome import Outcome
from vtlab.engine.task import start_random
from vtlab.errors import ExperimentError
from vtlab.experiments import curves
from vtlab.experiments.axes import Method
from vtlab.experiments.footage import family_of, overlap
from vtlab.prompts import Prompts
from vtlab.prompts.fit import figures_taken, fitting_prompts, prompts_from
from vtlab.registry import TRACKERS
from vtlab.sequence import Sequence
from vtlab.trackers.loop import track
from vtlab.tracks import Tracks

if TYPE_CHECKING:
    from vtlab.experiments.store import Store


# Supervisely's Auto Track asks a tracking app for 8 frames at a time: the smallest chunk.
def hand_off(
    sequence: Sequence, tracker: Method, *, chunks: Several[int] = (8, 32, 128), seed: int = 0
) -> Outcome:
    """Overlap of one session, and of chunks that are started anew from the last answer.

    Args:
        sequence: With truth and prompts.
        tracker: By name and parameters; one that takes prompts.
        chunks: Frames of a chunk, at least 2.
        seed: From which random generators start in each way, so that they differ by nothing else.

    Returns:
        Outcome: overlap of the one session, for each size of a chunk overlap and how many objects were handed on nowhere,
        since they were not seen on the last frame of a chunk.

    Raises:
        ExperimentError: No truth, a size that is none, or a tracker that takes no prompts.
    """
    if not chunks or not all(isinstance(c, int) and c >= 2 for c in chunks):
        raise ExperimentError(f"Expected chunks of at least 2 frames, got {chunks}.")
    card, family = TRACKERS.card(tracker.name), family_of(tracker.name, sequence)
    prompts, note = fitting_prompts(card, sequence.prompts, sequence.video)
    if not figures_taken(card) or not len(prompts):
        raise ExperimentError(f"{tracker.label} takes no prompts, so nothing can be handed on to it.")
    start_random(seed)
    whole = track(sequence.video, prompts, tracker.name, progress=False, **tracker.parameters)
    found = {"overlap": overlap(whole, sequence, family)}
    kept = {(tracker.label, sequence.name): whole}
    for size in chunks:
        start_random(seed)
        tracks, lost = handed_on(sequence, prompts, tracker, size)
        kept[tracker.label, f"{sequence.name} in chunks of {size}"] = tracks
        found[curves.at("overlap", size, "frames")] = overlap(tracks, sequence, family)
        found[curves.at("lost", size, "frames")] = float(lost)
    return Outcome(found, kept, {}, note)


def handed_on(sequence: Sequence, prompts: Prompts, tracker: Method, size: int) -> tuple[Tracks, int]:
    """Tracks of chunks of so many frames, and how many objects were not handed on, each counted once."""
    card, video = TRACKERS.card(tracker.name), sequence.video
    parts: list[Tracks] = []
    carried, lost = Prompts(), set[int]()
    for begin in range(min(prompts.frames), len(video), size):
        stop = min(begin + size, len(video))
        given = Prompts([*carried, *(p for p in prompts if begin <= p.frame < stop)])
        if not len(given):
            continue
        how = {"start": min(given.frames), "stop": stop, "progress": False, **tracker.parameters}
        tracks = track(
            video, given, tracker.name, **how
        )  # made anew: nothing lives from one request to the next
        parts.append(tracks.between(begin, stop))
        carried = prompts_from(tracks, stop - 1, card)
        if stop < len(video):
            lost |= set(given.object_ids) - set(carried.object_ids)
    return Tracks.concat(parts), len(lost)


def sections(store: Store) -> list[curves.Section]:
    """The part of the report: what hand-offs cost."""
    rows = store.results()
    found, listed, drawn = curves.curves(rows, "overlap"), [], {}
    for tracker, sizes in found.items():
        session = curves.by_clip(rows[rows["tracker"] == tracker], "overlap")
        row = {"tracker": tracker, "one session": curves.told(session, curves.percent)}
        for size, values in sorted(sizes.items(), reverse=True):
            row[f"{size:g} frames"] = curves.told(values, curves.percent)
        least = min(sizes)
        change = {c: v - session[c] for c, v in sizes[least].items()}
        row[f"change by chunks of {least:g}"] = curves.told(change, lambda v: f"{100 * v:+.1f}", _CHANGE)
        listed.append(row)
        # On the logarithmic axis as far behind the largest chunk as the usual ones (8, 32, 128) lie apart.
        drawn[tracker] = {**sizes, 4 * max(sizes): session}
    caption = (
        "Mean overlap with the truth in per cent: one session, and chunks that start again from the last answer of the "
        f"one before. The change is taken clip by clip. {curves.clips_told(rows)}"
    )
    end = {4 * max(sizes): "one session" for sizes in found.values()}
    sheet = curves.lines(drawn, xlabel="frames of a chunk", log=True, names=end)
    return [
        curves.Section(
            curves.table(listed, "Hand-off drift", caption),
            (("Hand-off drift: overlap by frames of a chunk", sheet),),
        )
    ]


_CHANGE = curves.Metric("change", "", "overlap less that of one session", low=-np.inf, high=np.inf)
