"""Exported files beside the network that they were made of: speed and boxes on one clip, in one run.

from vtlab.deploy.trial import try_engine
for row in try_engine("transt", "transt_files", "openvino", "street.mp4", prompts=box):
    print(row)
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from vtlab.comparison import compare
from vtlab.errors import InputError, TrackingError
from vtlab.geometry import paired_iou
from vtlab.trackers.boxes.engines import DTYPES, NATIVE, check_engine
from vtlab.tracks import Tracks


@dataclass(frozen=True)
class EngineRow:
    """One engine on the clip.

    Attributes:
        engine: "torch" is the network as vtlab runs it.
        dtype: What it computes in.
        latency_ms: Median time of a step, crops and decoding included.
        iou: Mean overlap of its boxes with those of "torch", 0 to 1; prompted frames don't count.
        least_iou: The least of these overlaps.
        success: Area under the success curve against truth, 0 to 1; None without truth.
    """

    engine: str
    dtype: str
    latency_ms: float
    iou: float
    least_iou: float
    success: float | None


def try_engine(
    tracker: str,
    folder: str | Path,
    engine: str,
    video: Any,
    *,
    prompts: Any = None,
    truth: Any = None,
    **params: Any,
) -> list[EngineRow]:
    """Run a tracker natively and by its exported files, one after the other, on as many threads.

    Args:
        tracker: Its name.
        folder: What `vtlab.deploy.export.export` wrote.
        engine: "onnxruntime", "openvino" or "tensorrt"; each type that it has here makes a row.
        video: As in `compare`: a video, or a `Sequence`.
        prompts: For a plain video.
        truth: For a plain video: ground-truth tracks, or a file of them.
        params: Parameters of the tracker; `weights` are for the native run.

    Raises:
        InputError: An unknown engine.
        MissingDependencyError: It is not installed.
        TrackingError: One of the runs failed; the message is its reason.
    """
    check_engine(engine)
    runs = {(NATIVE, "float32"): {**params, "engine": NATIVE, "device": "cpu"}}
    for dtype in _dtypes(engine):
        shared = {k: v for k, v in params.items() if k != "weights"}
        runs[engine, dtype] = {**shared, "engine": engine, "weights": str(folder), "dtype": dtype}
    specs = {" ".join(key): (tracker, how) for key, how in runs.items()}
    found = compare(video, specs, prompts=prompts, truth=truth, progress=False)
    if bad := next((r for r in found.runs if not r.ok or r.tracks is None), None):
        raise TrackingError(f"{bad.tracker}: {bad.note}", tracks=bad.tracks)
    tracks = {run.tracker: run.answers for run in found.runs}
    native = tracks[f"{NATIVE} float32"]
    rows = []
    for key in runs:
        name = " ".join(key)
        overlap = _overlap(native, tracks[name])
        figures: Any = found.table.loc[name]
        success = figures.get("success_auc")
        rows.append(
            EngineRow(
                *key,
                float(figures["latency_ms"]),
                float(overlap.mean()),
                float(overlap.min()),
                None if success is None else float(success),
            )
        )
    return rows


def _dtypes(engine: str) -> Iterator[str]:
    for dtype in DTYPES[engine]:
        try:
            check_engine(engine, dtype)
        except InputError:  # of the processor: the others are still worth a row
            continue
        yield dtype


def _overlap(native: Tracks, other: Tracks) -> np.ndarray:
    """Overlap of each box with the one of the same object and frame that "torch" gives."""
    corners = ["x1", "y1", "x2", "y2"]
    joined = native.to_frame().merge(other.to_frame(), on=["frame", "object_id"], suffixes=("", "_other"))
    joined = joined[joined["source"] != "manual"]
    if joined.empty:
        raise InputError("The clip has no frame after its prompts. Remedy: give one of two frames or more.")
    return paired_iou(joined[corners].to_numpy(), joined[[f"{c}_other" for c in corners]].to_numpy())
