"""A comparison as files that `vtlab evaluate` scores with the same numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vtlab.comparison.proxies import Run
from vtlab.contracts import OnResult
from vtlab.files import csv_text, file_names, write_whole
from vtlab.formats import find_format
from vtlab.tracks import Tracks

if TYPE_CHECKING:
    from vtlab.comparison.comparison import Comparison

_FORMAT = find_format("vtlab")
_TAKEN = ("truth", "data", "results", "res", "__MACOSX", "scores.parquet", "table.csv")
"""Names that mean something else where trackers' folders lie."""


def save(comparison: Comparison, folder: Path, on_result: OnResult | None = None) -> Path:
    """Write the tables, the truth and the tracks of a comparison into a folder; return it.

    Labels that a disk refuses as names of files are written with %XX for such characters, and read as they were.

    Where families were asked to be scored by different rules, each has a folder of its own within, as a truth names one.
    """
    scores, table = comparison.scores.astype({"object_id": str}), comparison.table
    write_whole(folder / "scores.parquet", scores.to_parquet)
    write_whole(folder / "table.csv", csv_text(table, index=True))
    rules = {family: comparison.rule_of(family) for family in comparison.families}
    apart = len(set(rules.values())) > 1
    sequences = file_names((s.name for s in comparison.sequences), ending=".ignore")
    trackers = file_names(comparison.trackers, _TAKEN)
    came = {r.tracker for r in comparison.runs if r.tracks is not None}
    written: dict[tuple[str, str], Path] = {}
    for family, rule in rules.items():
        root = folder / family if apart else folder
        for s in comparison.sequences:
            if s.truth is not None:
                path = _FORMAT.path_of(root, sequences[s.name])
                _FORMAT.write_sequence(replace(s, benchmark=rule or s.benchmark), path)
        for r in comparison.runs:
            if r.family == family and r.tracker in came:
                path = _FORMAT.path_of(root, sequences[r.sequence], trackers[r.tracker])
                _FORMAT.write_tracks(_judged(r, r.answers), path)
                written[r.tracker, r.sequence] = path
    if on_result is not None:
        _tell(comparison, written, [folder / "table.csv", folder / "scores.parquet"], on_result)
    return folder


def _tell(
    comparison: Comparison,
    written: Mapping[tuple[str, str], Path],
    tables: Sequence[Path],
    on_result: OnResult,
) -> None:
    """Tell each run with its tracks, then each tracker with the tables."""
    scores = comparison.scores[comparison.scores["object_id"].astype(str) == "all"]
    for run in comparison.runs:
        mine = scores[(scores["tracker"] == run.tracker) & (scores["sequence"] == run.sequence)]
        told: dict[str, Any] = {"tracker": run.tracker, "family": run.family, "sequence": run.sequence}
        if len(mine):
            told["rule"] = "; ".join(dict.fromkeys(mine["rule"]))
        numbers = {str(m): float(v) for m, v in zip(mine["metric"], mine["value"], strict=True)}
        path = written.get((run.tracker, run.sequence))
        on_result(measured({**told, **numbers, "note": run.note}), [] if path is None else [path])
    for tracker, row in comparison.table.to_dict("index").items():
        on_result(measured({"tracker": str(tracker), "sequence": "all", **row}), tables)


def measured(row: Mapping[Any, Any]) -> dict[str, str | float]:
    """What is there of a row, as text and plain numbers."""
    import pandas as pd

    kept = {str(k): v for k, v in row.items() if not (v == "" or pd.isna(v))}
    return {k: v if isinstance(v, str) else v.item() if hasattr(v, "item") else v for k, v in kept.items()}


def _judged(run: Run, tracks: Tracks) -> Tracks:
    """The tracks with a record of the family that the run was judged by, which a composition has from what it gave, and of
    whether it ran to the end."""
    tracker = {"name": run.tracker, **tracks.meta.get("tracker", {}), "family": run.family}
    broken = {} if run.ok else {"complete": False}
    return tracks.replace(meta={**tracks.meta, "tracker": tracker, **broken})
