"""The words of a verdict: what was shown, on what it rests, and no more."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vtlab.decision.answer import Verdict

LIMITS = (
    "It holds for the unlabelled frames of this footage against these labels, not for other videos.",
    "Labels that are off by 3 to 6 % of an object's size lower every level by 0.01 to 0.04; differences between "
    "trackers hold much better than levels.",
)
"""What every reader must know of a verdict."""


def sentence(verdict: Verdict) -> str:
    """The answer in one sentence."""
    q, k = verdict.question, len(verdict.trackers)
    where = "this video" if len(verdict.clips) == 1 else f"these {len(verdict.clips)} clips"
    ground = f"on {where} against your labels ({verdict.labelled} of {verdict.frames} frames labelled)"
    what, sure = verdict.measure.text, f"With {100 * q.level:g} % confidence"
    names = _joined(verdict.chosen)
    how = ", proven for any number of labels" if q.guarantee else ""
    have = "have" if len(verdict.chosen) > 1 else "has"
    asked = verdict.next() if verdict.state == "label" else []
    own = f" Labelled twice, you agree with yourself by {verdict.agreement:.2f}." * (
        verdict.agreement == verdict.agreement
    )
    texts = {
        "label": f"No answer yet: label {len(asked)} more frames, about {_minutes(len(asked))}, for the next look "
        f"({verdict.labelled} of {verdict.frames} frames of {where} labelled).",
        "best": f"{sure} {names} has the highest {what} of the {k} {ground}{how}.",
        "good_enough": f"{sure} {names} is at most {q.within:g} {what} below the best of the {k} {ground}{how}.",
        "tie": f"Not decided: {names} are not told apart by {what} {ground}; that does not make them equal.",
        "out_of_labels": f"Not decided: the budget of {q.budget} labels does not single out one of {names} by {what} "
        f"{ground}.",
        "exact": f"{names} {have} the highest {what} of the {k} {ground}: every frame is labelled, nothing is estimated.",
    }
    return texts[verdict.state] + own


def _joined(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}" if names else "none"


def _minutes(frames: int) -> str:
    """The time that labels take, at 20 seconds a frame."""
    return "a minute" if frames <= 3 else f"{round(frames / 3)} minutes"
