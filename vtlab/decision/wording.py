"""The words of a verdict: what was shown, on what it rests, and no more."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from vtlab.decision.standing import highest
from vtlab.metrics.records import apart

if TYPE_CHECKING:
    from vtlab.decision.answer import Verdict

# Measured on drone clips: boxes shaken by 3 and 6 % of the size lower a level by .012 and .040; at 40 labels the clean level
# is covered .80 and .34, the clean difference .96 and .82.
LIMITS = (
    "It holds for the frames of this footage against these labels, not for other videos.",
    "Labels that are off by 3 to 6 % of an object's size lower every level by 1 to 4 percentage points; differences "
    "between trackers hold much better than levels.",
)
"""What every reader must know of a verdict."""


def sentence(verdict: Verdict, among: Sequence[str] | None = None) -> str:
    """The answer in one sentence, with what more labels would bring where it is open to more.

    Args:
        verdict: Of which.
        among: Of whom to say who is ahead while nothing is shown; by default of all.
    """
    q, k = verdict.question, len(verdict.trackers)
    where = "this video" if len(verdict.clips) == 1 else f"these {len(verdict.clips)} clips"
    ground = f"on {where} against {grounds(verdict)} ({verdict.labelled} of {verdict.frames} frames labelled)"
    what, sure = verdict.measure.text, f"With {100 * q.level:g} % confidence"
    what += _LEFT_OUT.get(q.absent, "") if verdict.measure.absent != q.absent else ""
    names = _joined(verdict.chosen)
    how = ", proven for any number of labels" if q.guarantee else ""
    have, are = ("have", "are each") if len(verdict.chosen) > 1 else ("has", "is")
    asked = verdict.next() if verdict.state == "label" else []
    own = f" Labelled twice, you agree with yourself by {verdict.agreement:.1%}." * (
        verdict.agreement == verdict.agreement
    )
    texts = {
        "label": f"No answer yet: label {len(asked)} more {_frames(len(asked))}, about {_minutes(len(asked))}, for the next "
        f"look ({verdict.labelled} of {verdict.frames} frames of {where} labelled).",
        "best": f"{sure} {names} has the highest {what} of the {k} {ground}{how}.",
        "good_enough": f"{sure} {names} {are} at most {apart(q.within)} of {what} below the best of the {k} {ground}{how}.",
        "tie": f"Not decided: {names} are not told apart by {what} {ground}; that does not make them equal.",
        "out_of_labels": f"Not decided: the budget of {q.budget} labels does not single out one of {names} by {what} "
        f"{ground}.",
        "exact": f"{names} {have} the highest {what} of the {k} {ground}: every frame is labelled, nothing is estimated.",
    }
    lead = _ahead(verdict, among or verdict.trackers) if verdict.state == "label" else ""
    return texts[verdict.state] + lead + _cost(verdict) + own


_LEFT_OUT = {
    "excluded": " over the frames that show the object",
    "missed": " (absent objects count as missed)",
    "judged": " (absent objects count)",
}


def grounds(verdict: Verdict) -> str:
    """Against what the trackers are held: labels of a person, truth that came with a comparison, or both."""
    found = []
    if any(said.looked for said in verdict.labels.values()) or not all(
        _is_truth(verdict, name) for name in verdict.clips
    ):
        found.append("your labels")
    if any(clip.truth is not None for clip in verdict.clips.values()):
        found.append("the truth of the comparison")
    return " and ".join(found)


def _is_truth(verdict: Verdict, name: str) -> bool:
    """Whether what was known of a clip is the truth of the comparison and nothing else."""
    truth, known = verdict.clips[name].truth, verdict.known[name].tracks
    if truth is None:
        return False
    given = verdict.read(name, truth)
    return given.looked == verdict.known[name].looked and np.array_equal(
        given.tracks.boxes, known.boxes, equal_nan=True
    )


def _ahead(verdict: Verdict, among: Sequence[str]) -> str:
    """Who of some trackers is highest while nothing is shown; "" where no level is known yet.

    Whoever has to go on at once takes that one, and knows what it is worth.
    """
    of = np.array([verdict.trackers.index(name) for name in among])
    value, low, high = verdict.levels().T
    if np.isnan(value[of]).any():
        return ""
    top = highest(of, value)
    names, i = [verdict.trackers[i] for i in top], top[0]
    return f" Ahead so far, which isn't shown yet: {_joined(names)} ({value[i]:.1%} [{low[i]:.1%}, {high[i]:.1%}])."


def _cost(verdict: Verdict) -> str:
    """What the next labels would bring to the intervals; nothing once every frame is labelled."""
    if not verdict.outlook or verdict.state == "exact":
        return ""
    more, half = next(iter(verdict.outlook.items()))
    if verdict.state == "label":
        return f" Intervals of about \u00b1{apart(round(half, 3))} are to be expected then."
    _, low, high = verdict.levels().T
    if not half < float(np.mean(high - low)) / 2:
        return ""
    return f" {more} more {_labels(more)} would shrink the intervals to about \u00b1{apart(round(half, 3))}."


def _frames(count: int) -> str:
    return "frame" if count == 1 else "frames"


def _labels(count: int) -> str:
    return "label" if count == 1 else "labels"


def _joined(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}" if names else "none"


def _minutes(frames: int) -> str:
    """The time that labels take, at 20 seconds a frame."""
    return "a minute" if frames <= 3 else f"{round(frames / 3)} minutes"
