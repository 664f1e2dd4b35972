"""Frames per second of the associators' `update`, and whether they give the tracks of the reference.

    python benchmarks/association.py                       # both sides in one run (needs vtlab[bench])
    python benchmarks/association.py --golden FILE.json    # write the reference's answers for the tests

CPU time, best of several runs, both sides in turn. Real data: the MOT15 and MOT17 detections of `VTLAB_SHARED`.
Crowd: 150-300 boxes a frame. Native code (`ioutrack`, Rust) is shown beside where it is installed.
"""

from __future__ import annotations

import configparser
import hashlib
import importlib.util
import json
import os
import sys
import time
import warnings
from collections.abc import Callable, Iterable
from importlib.metadata import version
from pathlib import Path

import numpy as np
import supervision as sv
from rich.console import Console
from rich.table import Table

from vtlab.detectors.public import PublicDetections
from vtlab.registry import ASSOCIATORS
from vtlab.video import Frame

DETECTIONS = {  # stream -> sequence and file of detections
    "TUD-Campus": ("TUD-Campus", "det.txt"),
    "PETS09-S2L1-169": ("PETS09-S2L1-169", "det.txt"),
    **{f"MOT17-{n}-DPM": (f"MOT17-{n}-DPM", "det.txt") for n in ("02", "04", "05", "10", "11")},
    **{f"MOT17-{n}-FRCNN": (f"MOT17-{n}-DPM", "det_frcnn.txt") for n in ("02", "04")},
}
METHODS = ("sort", "bytetrack", "ocsort", "botsort", "c-biou")
TARGETS = {"real": 4.0, "crowd": 8.0}
Stream = list[sv.Detections]


def crowd(n_frames: int = 60, n: int = 230, seed: int = 0) -> Stream:
    """People who walk and turn at the edges, a tenth of them missed, some false boxes, in random order."""
    rng = np.random.default_rng(seed)
    place, speed = rng.uniform(0, 1, (n, 2)) * [1920, 1080], rng.normal(0, 3, (n, 2))
    size = np.stack([rng.uniform(20, 45, n), rng.uniform(50, 110, n)], axis=1)
    stream = []
    for _ in range(n_frames):
        place += speed
        speed[(place < 0) | (place > [1920, 1080])] *= -1
        seen = rng.random(n) > 0.1
        boxes = np.concatenate([place - size / 2, place + size / 2], axis=1)[seen]
        boxes += rng.normal(0, 2, boxes.shape)
        false = rng.uniform(0, 1, (int(rng.integers(0, 12)), 2)) * [1880, 1000]
        false = np.concatenate([false, false + rng.uniform(20, 90, false.shape)], axis=1)
        boxes = np.concatenate([boxes, false])
        scores = np.concatenate(
            [np.clip(rng.beta(6, 2, seen.sum()), 0.12, 1), rng.uniform(0.05, 0.6, len(false))]
        )
        order = rng.permutation(len(boxes))
        stream.append(sv.Detections(xyxy=boxes[order], confidence=scores[order]))
    return stream


def real(folder: Path, name: str) -> Stream:
    """Public detections of one stream of `DETECTIONS`."""
    name, file = DETECTIONS[name]
    ini = configparser.ConfigParser()
    ini.read(folder / name / "seqinfo.ini")
    detector = PublicDetections(path=folder / name / "det" / file)
    return [detector.at(i) for i in range(ini.getint("Sequence", "seqLength"))]


def streams() -> dict[str, Stream]:
    """Name -> stream; the real ones only where `VTLAB_SHARED` (default `../shared`) has them."""
    folder = Path(os.environ.get("VTLAB_SHARED", Path(__file__).parents[2] / "shared")) / "data" / "mot"
    found = {name: real(folder, name) for name, (place, _) in DETECTIONS.items() if (folder / place).is_dir()}
    return {**found, "crowd": crowd()}


def ours(name: str, stream: Stream, **params: object) -> tuple[list[np.ndarray], float]:
    """Ids of every frame and the CPU seconds of all updates."""
    associator = ASSOCIATORS.create(name, **params)
    frames = [Frame(i, i / 30, np.zeros((1, 1, 3), np.uint8)) for i in range(len(stream))]
    started = time.process_time()
    answers = [associator.update(d, f) for d, f in zip(stream, frames, strict=True)]
    return [a.tracker_id for a in answers], time.process_time() - started


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


def renamed(ids: Iterable[np.ndarray]) -> list[int]:
    """Ids of all rows, numbered in the order in which they first come; -1 stays."""
    names: dict[int, int] = {}
    return [-1 if i < 0 else names.setdefault(i, len(names) + 1) for row in ids for i in row.tolist()]


def summary(ids: Iterable[np.ndarray]) -> dict[str, int | str]:
    """What the tests keep of a run: rows with an id, number of ids, and a hash of all of them."""
    flat = np.array(renamed(ids), dtype="<i4")
    digest = hashlib.sha256(flat.tobytes()).hexdigest()
    return {"rows": int((flat > 0).sum()), "ids": int(max(flat.max(initial=0), 0)), "sha256": digest}


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
            "Roboflow 'trackers' is not installed: pip install 'vtlab[bench]' in an environment of its own."
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
