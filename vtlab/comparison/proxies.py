"""One run, and what can be said of runs without ground truth: what is seen, which ranks nobody."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vtlab.metrics import consistency
from vtlab.tracks import Tracks

PROXY_METRICS = ("lost_share", "lost_at", "jumps", "agreement", "fb_consistency")
"""What is seen without truth. None of it ranks: two trackers that share a mistake agree, one that stands still is
consistent, one that never says it is lost looks sure."""
JOINED = {"lost_at": "min", "jumps": "sum"}
"""How what is seen on several clips becomes one number, where not by the mean."""
ALARM = 0.2
"""Agreement below which nearly all answers of a clip are wrong: there the success of trackers was .03 to .19 on DTB70."""


@dataclass(frozen=True)
class Run:
    """One tracker on one sequence.

    Attributes:
        tracker: Label of the tracker in the comparison.
        sequence: Name of the sequence.
        family: By whose metrics it is judged: "sot", "mot", "vos" or "points".
        tracks: What it tracked; None if it could not start. After a failure, what it had until then.
        note: Why it could not run or finish; "" if it did. Also says which prompts were converted, and what the
            tracker's card wants users to see, such as a non-commercial licence.
        ok: True if it ran to the end.
        backward: The same tracker run back from its own last answer, for forward-backward consistency.
    """

    tracker: str
    sequence: str
    family: str
    tracks: Tracks | None
    note: str = ""
    ok: bool = True
    backward: Tracks | None = None

    @property
    def answers(self) -> Tracks:
        """What it answered; nothing at all where it could not start."""
        return self.tracks if self.tracks is not None else Tracks.empty()

    @property
    def by_prompt(self) -> bool:
        """True if it follows given objects, so that it can lose them."""
        return self.family != "mot"


def proxies(runs: Sequence[Run], frames: int, *, truth: bool) -> Iterator[tuple[str, str, float]]:
    """(tracker, metric, value) of what is seen of the runs of one sequence.

    Args:
        runs: Of one sequence.
        frames: Of its video.
        truth: Whether there is truth, beside which most of it says nothing.
    """
    for r in runs:
        if r.tracks is not None and r.ok and r.backward is not None:
            yield r.tracker, "fb_consistency", consistency.forward_backward(r.tracks, r.backward)
    if truth:
        return
    for r in runs:
        if r.tracks is None or not r.by_prompt:
            continue
        lost, asked = consistency.calls_lost(r.tracks, frames)
        gone = consistency.lost_for_good(r.tracks, frames)
        yield r.tracker, "lost_share", lost / asked if asked else np.nan
        yield r.tracker, "jumps", float(consistency.jumps(r.tracks))
        if gone is not None:
            yield r.tracker, "lost_at", float(gone)
    for family in dict.fromkeys(r.family for r in runs):
        names, value = agreements(runs, family)
        others = len(names) - 1
        if others:
            means = (value.sum(axis=1) - 1) / others  # but for its agreement with itself, which is 1
            yield from ((t, "agreement", v) for t, v in zip(names, means.tolist(), strict=True))


def agreements(runs: Sequence[Run], family: str) -> tuple[list[str], NDArray[np.float64]]:
    """Trackers of a family that answered on a sequence, and how far each agrees with each: (K, K) in [0, 1]."""
    peers = {r.tracker: r.tracks for r in runs if r.family == family and r.tracks is not None}
    return list(peers), consistency.agreements(list(peers.values()))


def sights(runs: Sequence[Run], frames: dict[str, int], family: str) -> tuple[str, ...]:
    """Sentences about what is seen of a family's trackers on the sequences without truth, the same in any order."""
    mine = [r for r in runs if r.family == family and r.sequence in frames]
    told = []
    for r in sorted(mine, key=_place):
        if r.tracks is None or not r.by_prompt:
            continue
        lost, asked = consistency.calls_lost(r.tracks, frames[r.sequence])
        if lost:
            told.append(f"{r.tracker} calls itself lost on {lost} of {asked} frames of {r.sequence}")
    found = [f"What is seen: {'; '.join(told[:4])}{'; ...' if len(told) > 4 else ''}."] if told else []
    for sequence in sorted(frames):
        names, value = agreements([r for r in mine if r.sequence == sequence], family)
        if len(names) < 2:
            continue
        mean = (value.sum() - len(names)) / (len(names) * (len(names) - 1))
        alarm = ", an alarm: at least one of them is lost there" if mean < ALARM else ""
        what = " (boxes, not identities)" if family == "mot" else ""
        found.append(f"They agree on {sequence} to {mean:.0%}{what}{alarm}.")
    return tuple(found)


def stands_still(tracks: Tracks) -> bool:
    """True if no object's box and no point ever moves."""
    for _, mine in tracks.by_object():
        if np.nanmax(np.ptp(np.nan_to_num(mine.boxes), axis=0), initial=0.0) > 0:
            return False
        for k in np.unique(mine.points.point_id):
            xy = mine.points.xy[mine.points.point_id == k]
            if np.ptp(np.nan_to_num(xy), axis=0).max(initial=0.0) > 0:
                return False
    return True


def _place(run: Run) -> tuple[str, str]:
    return run.sequence, run.tracker
