"""Trials that ship: what a cell does. A trial of your own is a function of the same form (docs/experiments.md)."""

from __future__ import annotations

from vtlab.comparison.cells import outcome_of
from vtlab.comparison.trial import Trial
from vtlab.engine.outcome import Outcome
from vtlab.experiments.axes import Method
from vtlab.registry import TRACKERS
from vtlab.sequence import Sequence


def track_and_score(
    sequence: Sequence, tracker: Method, *, rule: str | None = None, alone: bool = False
) -> Outcome:
    """Run a tracker on a sequence and score it against the truth, if there is any.

    Args:
        sequence: With its prompts.
        tracker: By name and parameters.
        rule: By which it is scored; None for the sequence's own, or the default of the tracker's family.
        alone: Whether its time and memory are measured: then the tracker is made anew, and nothing else runs.
    """
    card = TRACKERS.card(tracker.name)
    if alone:
        run = Trial(
            tracker.label, card, tracker.name, dict(tracker.parameters), sequence, sequence.video
        ).run()
        return outcome_of(run, sequence, rule, timed=True)
    with tracker.lent() as made:
        run = Trial(tracker.label, card, made, {}, sequence, sequence.video).run()
    return outcome_of(run, sequence, rule, timed=False)
