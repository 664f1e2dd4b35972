"""Frames per second of the associators' `update`, and whether they give the tracks of the reference.

    python benchmarks/association.py                       # both sides in one run (needs vtlab[bench])
    python benchmarks/association.py --golden FILE.json    # write the reference's answers for the tests

CPU time, best of several runs, both sides in turn. Real data: the MOT15 and MOT17 detections of `VTLAB_SHARED`.
Crowd: 150-300 boxes a frame. Native code (`ioutrack`, Rust) is shown beside where it is installed.
"""

from __future__ import annotations

import importlib.util
import json
import os
import sys
import time
import warnings
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import numpy as np
import supervision as sv
from rich.console import Console
from rich.table import Table

from vtlab.testing.streams import DETECTIONS, METHODS, Stream, crowd, ours, real, renamed, summary

TARGETS = {"real": 4.0, "crowd": 8.0}


def streams() -> dict[str, Stream]:
    """Name -> stream; the real ones only where `VTLAB_SHARED` (default `../shared`) has them."""
    folder = Path(os.environ.get("VTLAB_SHARED", Path(__file__).parents[2] / "shared")) / "data" / "mot"
    found = {name: real(folder, name) for name, (place, _) in DETECTIONS.items() if (folder / place).is_dir()}
    return {**found, "crowd": crowd()}


def reference(name: str, stream: Stream) -> tuple[list[np.ndarray], float]:
    """The same of Roboflow `trackers`."""
    import trackers

    make: dict[str, Callable] = {
        "sort": trackers.SORTTracker,
        "bytetrack": trackers.ByteTrackTracker,
        "ocsort": trackers.OCSORTTracker,
        "botsort": lambda: trackers.BoTSORTTracker(enable_cmc=False),
        "c-biou": trackers.CBIoUTracker,
    }
    tracker = make[name]()
    given = [
        sv.Detections(xyxy=d.xyxy, confidence=d.confidence, data={"row": np.arange(len(d))}) for d in stream
    ]
    started = time.process_time()
    answers = [tracker.update(d) for d in given]
    seconds = time.process_time() - started
    ids = []
    for d, answer in zip(given, answers, strict=True):
        row = np.full(len(d), -1)
        if len(answer):
            row[answer.data["row"]] = np.where(answer.tracker_id < 0, -1, answer.tracker_id + 1)
        ids.append(row)
    return ids, seconds


def native(name: str, stream: Stream) -> float:
    """CPU seconds of `ioutrack` (Rust), infinite where it is not installed or has no such method."""
    try:
        import ioutrack
    except ImportError:
        return np.inf
    make = {"sort": getattr(ioutrack, "Sort", None), "bytetrack": getattr(ioutrack, "ByteTrack", None)}.get(
        name
    )
    if make is None:
        return np.inf
    tracker = make(max_age=30, min_hits=3)
    rows = [np.concatenate([d.xyxy, d.confidence[:, None]], axis=1).astype(np.float32) for d in stream]
    started = time.process_time()
    for row in rows:
        tracker.update(row, False)
    return time.process_time() - started


def write_golden(path: Path) -> None:
    """Store summaries of the reference's answers; what the authors' code answered stays as it is."""
    golden = json.loads(path.read_text()) if path.exists() else {}
    golden |= {"reference": f"trackers {version('trackers')}, default parameters (botsort: enable_cmc=False)"}
    data = streams()
    for name in METHODS:
        golden[name] = {s: summary(reference(name, stream)[0]) for s, stream in data.items()}
    path.write_text(json.dumps(golden, indent=1) + "\n")


def measure(repeats: int = 3) -> Table:
    """Both sides in turn; of each stream the best of `repeats`, since other work on the machine only adds time."""
    data = streams()
    groups = {"real": [s for s in data if s != "crowd"], "crowd": ["crowd"]}
    table = Table(title="Frames per CPU second of update()")
    for column in (
        "method",
        "data",
        "vtlab",
        "trackers",
        "ratio",
        "target",
        "same tracks",
        "ioutrack (Rust)",
    ):
        table.add_column(column, justify="left" if column in ("method", "data") else "right")
    for name in METHODS:
        for group, names in groups.items():
            if not names:
                continue
            frames = sum(len(data[s]) for s in names)
            seconds, same = np.full((len(names), 3), np.inf), True
            for _ in range(repeats):
                for best, s in zip(seconds, names, strict=True):
                    (mine, a), (other, b) = (f(name, data[s]) for f in (ours, reference))
                    same &= renamed(mine) == renamed(other)
                    np.minimum(best, (a, b, native(name, data[s])), out=best)
            a, b, c = seconds.sum(axis=0)
            table.add_row(
                name, group, f"{frames / a:,.0f}", f"{frames / b:,.0f}", f"{b / a:.1f}x", f"{TARGETS[group]:.0f}x",
                "yes" if same else "NO", f"{frames / c:,.0f} ({a / c:.1f}x ours)" if np.isfinite(c) else "-",
            )  # fmt: skip
    return table


def main() -> None:
    """Print the table, or write the golden file."""
    warnings.filterwarnings("ignore")
    if len(sys.argv) == 3 and sys.argv[1] == "--golden":
        write_golden(Path(sys.argv[2]))
        return
    console = Console(width=140)
    if importlib.util.find_spec("trackers") is None:
        console.print(
            "Roboflow 'trackers' is not installed: pip install 'vtlab[bench]' in an environment of its own.",
            markup=False,
        )
        return
    console.print(measure())
    has_bytetrack = hasattr(sv, "ByteTrack")
    console.print(
        f"trackers {version('trackers')}; supervision {sv.__version__} "
        f"{'has' if has_bytetrack else 'no longer has'} a ByteTrack of its own."
    )


if __name__ == "__main__":
    main()
