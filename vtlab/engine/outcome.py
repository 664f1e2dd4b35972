"""What a cell answers with, and how that becomes rows of tables that have the same columns in every cell.

A trial returns an `Outcome`, or less: a mapping of metric -> number, several of them, or a DataFrame.
"""

from __future__ import annotations

import numbers
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from vtlab.errors import ExperimentError
from vtlab.tracks import Tracks

if TYPE_CHECKING:
    import pyarrow as pa

NAMES = ("tracker", "sequence", "family", "object_id", "rule")
"""Texts by which a row of metrics says what it is of; every other entry of a row is a metric, or a text that is left out."""


@dataclass(frozen=True)
class Outcome:
    """What one cell found.

    Attributes:
        metrics: Metric -> number of the whole cell, or rows of them: each may say its `tracker`, `sequence`, `family`,
            `object_id` (an id, or "all") and `rule`.
        tracks: What was tracked: (tracker, sequence) -> tracks, or one `Tracks`.
        timelines: Name -> a value for each frame (frames,), or (tracker, sequence, name) -> values.
        note: What a reader should know, such as which prompts were converted.
        problem: Why it failed half-way, "" if it did not. Then the cell counts as failed, and what it had is kept beside
            the reason.
    """

    metrics: Any = field(default_factory=dict)
    tracks: Mapping[tuple[str, str], Tracks] | Tracks | None = None
    timelines: Mapping[Any, ArrayLike] = field(default_factory=dict)
    note: str = ""
    problem: str = ""


def as_outcome(found: Any) -> Outcome:
    """What a trial returned, as an `Outcome`; raises `ExperimentError` for what is none."""
    if isinstance(found, Outcome):
        return found
    if isinstance(found, Tracks):
        return Outcome(tracks=found)
    if found is None or isinstance(found, (Mapping, list, tuple)) or hasattr(found, "to_dict"):
        return Outcome(metrics={} if found is None else found)
    raise ExperimentError(
        f"A trial returns metrics (name -> number), rows of them, a DataFrame, Tracks or an Outcome; got "
        f"{type(found).__name__}."
    )


def metric_rows(metrics: Any, about: Mapping[str, str]) -> dict[str, list[Any]]:
    """Columns of a long table, a row for each number: what it is of, metric, value.

    Args:
        metrics: As in `Outcome.metrics`.
        about: Tracker, sequence, ... where a row doesn't say its own.

    Raises:
        ExperimentError: A row is no mapping.
    """
    columns: dict[str, list[Any]] = {name: [] for name in (*NAMES, "metric", "value")}
    for row in _rows(metrics):
        if not isinstance(row, Mapping):
            raise ExperimentError(f"A row of metrics maps names to numbers, got {row!r}.")
        if set(row) >= {"metric", "value"}:  # long already
            row = {**{k: row[k] for k in NAMES if k in row}, str(row["metric"]): row["value"]}
        told = {name: str(row[name]) if name in row else about.get(name, "") for name in NAMES}
        told["object_id"] = told["object_id"] or "all"
        for metric, value in row.items():
            if metric not in NAMES and isinstance(value, numbers.Real):
                for name in NAMES:
                    columns[name].append(told[name])
                columns["metric"].append(str(metric))
                columns["value"].append(float(value))
    return columns


def _rows(metrics: Any) -> Iterable[Any]:
    if isinstance(metrics, Mapping):
        return [metrics]
    return metrics.to_dict("records") if hasattr(metrics, "to_dict") else list(metrics)


def timeline_rows(timelines: Mapping[Any, ArrayLike], about: Mapping[str, str]) -> dict[str, Any]:
    """Columns of a long table: tracker, sequence, frame, name, value; a row for each frame of each timeline."""
    parts: dict[str, list[Any]] = {"tracker": [], "sequence": [], "frame": [], "name": [], "value": []}
    for key, given in timelines.items():
        values = np.asarray(given, np.float64).reshape(-1)
        named = key if isinstance(key, tuple) else (about.get("tracker", ""), about.get("sequence", ""), key)
        tracker, sequence, name = map(str, named)
        n = len(values)
        for column, text in (("tracker", tracker), ("sequence", sequence), ("name", name)):
            parts[column].append(np.full(n, text, dtype=object))
        parts["frame"].append(np.arange(n, dtype=np.int64))
        parts["value"].append(values)
    return {k: np.concatenate(v) if v else np.empty(0) for k, v in parts.items()}


def by_name(tracks: Any, about: Mapping[str, str]) -> dict[tuple[str, str], Tracks]:
    """(tracker, sequence) -> tracks."""
    if tracks is None:
        return {}
    if isinstance(tracks, Tracks):
        return {(about.get("tracker") or tracks.name, about.get("sequence", "")): tracks}
    return {(str(t), str(s)): found for (t, s), found in tracks.items()}


def schema(table: str) -> pa.Schema:
    """The columns of a table of the store, the same in every file of it."""
    import pyarrow as pa

    text, number, whole = pa.string(), pa.float64(), pa.int64()
    columns = {
        "metrics": [(n, text) for n in NAMES] + [("metric", text), ("value", number)],
        "timeline": [("tracker", text), ("sequence", text), ("frame", whole), ("name", text), ("value", number)],
        "provenance": [
            *((n, text) for n in ("experiment", "name", "axes", "parameters", "facts", "note", "created")),
            *((n, number) for n in ("seconds", "cpu_seconds")),
            *((n, text) for n in ("machine", "run", "vtlab", "versions", "hardware", "alone")),
        ],
    }  # fmt: skip
    return pa.schema(columns[table])
