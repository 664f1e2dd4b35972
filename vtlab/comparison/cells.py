"""A run of a tracker as a cell of the engine: what is kept of it, and how it is read again."""

from __future__ import annotations

from typing import Any

from vtlab.comparison.proxies import Run
from vtlab.engine.outcome import Outcome
from vtlab.errors import InputError
from vtlab.metrics import score, table
from vtlab.metrics.families import FAMILIES
from vtlab.sequence import Sequence
from vtlab.trackers.measure import speed
from vtlab.tracks import Tracks

COUNTS = "counts"
"""In place of an object's id: numbers of such rows are what the run adds to metrics of several sequences joined."""
UNTIMED = ("memory_mb",)
"""What a run that shares its process or the machine can't say: its weights may have been there before."""


def outcome_of(run: Run, sequence: Sequence, rule: str | None, *, timed: bool) -> Outcome:
    """A run as the outcome of a cell: its scores, times, timelines and tracks; what is wrong, if it failed.

    Args:
        run: Of one tracker.
        sequence: That it ran on.
        rule: By which it is scored; None for the sequence's own or the family's default.
        timed: Whether its times and memory are its own.
    """
    about = {"tracker": run.tracker, "sequence": run.sequence, "family": run.family}
    rows: list[dict[str, Any]] = []
    timelines: dict[Any, Any] = {}
    note = run.note
    if run.tracks is not None:
        costs = speed([run.tracks])
        rows.append({**about, **{k: v for k, v in costs.items() if timed or k not in UNTIMED}})
        timelines[run.tracker, run.sequence, "step_ms"] = 1000 * run.tracks.step_seconds
        if sequence.truth is not None:
            try:
                rows += _scores(run.tracks, sequence, run, rule)
                timelines[run.tracker, run.sequence, "quality"] = FAMILIES[run.family].timeline(
                    run.tracks, sequence, rule
                )
            except InputError as error:  # this truth can't judge it
                note = " ".join(filter(None, [note, str(error)]))
    tracks = {} if run.tracks is None else {(run.tracker, run.sequence): run.tracks}
    if run.backward is not None:
        tracks[run.tracker, f"{run.sequence} backward"] = run.backward
    return Outcome(rows, tracks, timelines, note, "" if run.ok else run.note)


def _scores(tracks: Tracks, sequence: Sequence, run: Run, rule: str | None) -> list[dict[str, Any]]:
    part = score(tracks, sequence, run.family, rule)
    found = table([part], [run.tracker])
    about = {
        "tracker": run.tracker,
        "family": run.family,
        "rule": part.rule.name,
        "sequence": run.sequence,
    }
    numbers = FAMILIES[run.family].numbers
    kept = [] if numbers is None else [{**about, **numbers(part.counts), "object_id": COUNTS}]
    return kept + [{**{str(k): v for k, v in row.items()}, **about} for row in found.to_dict("records")]
