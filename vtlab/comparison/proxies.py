"""One run, and what can be said of runs without ground truth."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from vtlab.metrics import consistency
from vtlab.tracks import Tracks

PROXY_METRICS = ("agreement", "fb_consistency")
"""Without truth, the first that is there ranks: on 36 runs with truth, agreement followed the success AUC with a
Spearman correlation of 0.83, forward-backward consistency with 0.07 (`benchmarks/proxies.py`)."""


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


def proxies(runs: Sequence[Run], agreement: bool) -> Iterator[tuple[str, str, float]]:
    """(tracker, metric, value) of the runs of one sequence: forward-backward consistency and, at wish, agreement."""
    done = {r.tracker: r.tracks for r in runs if r.tracks is not None and r.ok}
    for r in runs:
        if r.tracker in done and r.backward is not None:
            yield r.tracker, "fb_consistency", consistency.forward_backward(done[r.tracker], r.backward)
    for family in dict.fromkeys(r.family for r in runs) if agreement else ():
        peers = {r.tracker: done[r.tracker] for r in runs if r.family == family and r.tracker in done}
        if len(peers) > 1:
            yield from ((t, "agreement", value) for t, value in consistency.agreement(peers).items())


def stands_still(tracks: Tracks) -> bool:
    """True if no object's box and no point ever moves."""
    for i in tracks.object_ids.tolist():
        mine = tracks.of_object(i)
        if np.nanmax(np.ptp(np.nan_to_num(mine.boxes), axis=0), initial=0.0) > 0:
            return False
        for k in np.unique(mine.points.point_id):
            xy = mine.points.xy[mine.points.point_id == k]
            if np.ptp(np.nan_to_num(xy), axis=0).max(initial=0.0) > 0:
                return False
    return True
