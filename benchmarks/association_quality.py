"""HOTA, MOTA and IDF1 of all associators on the public detections of real sequences, and of the assistant beside them.

    python benchmarks/association_quality.py [--assistant]

Truth and detections: MOT15 and MOT17 sequences of `VTLAB_SHARED`. Methods that look at the image run on the sequences whose
video is there. Parameters are the defaults; nothing is tuned to these sequences.
"""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from vtlab.association.postprocess import interpolate_gaps
from vtlab.datasets.mot import MotChallenge
from vtlab.detectors.public import PublicDetections
from vtlab.geometry import box_iou
from vtlab.metrics.evaluation import combine, score
from vtlab.run import track
from vtlab.trackers.by_detection import ByDetection
from vtlab.trackers.per_object import create_tracker
from vtlab.tracks import Tracks, TracksBuilder
from vtlab.video import Frame

PLAIN = ("sort", "bytetrack", "ocsort", "botsort", "c-biou")
LOOKING = ("botsort-cmc", "botsort-reid", "deepsort", "strongsort", "deep-ocsort", "supervisely-botsort")
METRICS = ("HOTA", "DetA", "AssA", "MOTA", "IDF1", "IDSW")
BLANK = np.zeros((1, 1, 3), np.uint8)


def rule(name: str) -> str:
    """Benchmark rule of a sequence."""
    return "mot17" if name.startswith("MOT17") else "mot15"


def link(method: str, folder: Path, dataset: MotChallenge, name: str) -> Tracks:
    """Tracks of a method on the public detections, with the sequence's own frames where they are there."""
    tracker = ByDetection(PublicDetections(path=folder / name / "det" / "det.txt"), method)
    if method in LOOKING:
        return track(dataset.video(name), None, tracker, progress=False)
    info = dataset._info(name)
    builder = TracksBuilder((int(info["imHeight"]), int(info["imWidth"])))
    rate = float(info["frameRate"])
    for i in range(int(info["seqLength"])):
        frame = Frame(i, i / rate, BLANK)
        builder.add(i, tracker.step(frame))
    return builder.build()


def quality(folder: Path, dataset: MotChallenge, names: list[str], methods: tuple[str, ...]) -> Table:
    table = Table(title=f"Public detections of {', '.join(names)}")
    for column in ("method", *METRICS, "IDF1 interpolated"):
        table.add_column(column, justify="left" if column == "method" else "right")
    for method in methods:
        found = {n: link(method, folder, dataset, n) for n in names}
        values = combine([score(t, dataset.truth(n), "mot", rule(n)) for n, t in found.items()])
        filled = []
        for n, t in found.items():
            info = dataset._info(n)
            times = np.arange(int(info["seqLength"])) / float(info["frameRate"])
            filled.append(score(interpolate_gaps(t, times), dataset.truth(n), "mot", rule(n)))
        cells = [f"{values[m]:.0f}" if m == "IDSW" else f"{100 * values[m]:.1f}" for m in METRICS]
        table.add_row(method, *cells, f"{100 * combine(filled)['IDF1']:.1f}")
    return table


def births(tracks: Tracks, truth: Tracks, rate: float) -> tuple[float, float]:
    """Median seconds from an object's first frame to its first match, and the part of matched truth seen twice."""
    first: dict[int, int] = {}
    twice = matched = 0
    for frame in truth.frames.tolist():
        true, mine = truth.at(frame), tracks.at(frame).seen()
        if not len(mine):
            continue
        hits = (box_iou(true.boxes, mine.boxes) >= 0.5).sum(axis=1)
        matched, twice = matched + int((hits > 0).sum()), twice + int((hits > 1).sum())
        for object_id in true.object_id[hits > 0].tolist():
            first.setdefault(object_id, frame)
    born = {int(i): int(truth.of_object(int(i)).frame[0]) for i in truth.object_ids}
    waits = [(first[i] - born[i]) / rate for i in first]
    return float(np.median(waits)) if waits else float("nan"), twice / max(matched, 1)


def assistant(folder: Path, dataset: MotChallenge, name: str) -> Table:
    """The assistant beside plain tracking by detection, both with the public detections."""
    video, truth = dataset.video(name), dataset.truth(name)
    table = Table(title=f"Labelling {name} with the public detections")
    for column in ("way", *METRICS, "birth s", "duplicates %", "looks", "ms a frame"):
        table.add_column(column, justify="left" if column == "way" else "right")
    options = {"detector": PublicDetections(path=folder / name / "det" / "det.txt")}
    ways = {
        "bytetrack, every frame": ("bytetrack", {**options, "high": 0.6, "new": 0.6}, len(video)),
        "assistant, every 0.5 s": ("assistant", {**options, "new": 0.6}, 0),
        "assistant, every frame": ("assistant", {**options, "new": 0.6, "every": 0.0}, 0),
    }
    for label, (spec, params, looks) in ways.items():
        tracker = create_tracker(spec, **params)
        seen = [looks]
        if spec == "assistant":
            detector = tracker._detectors[0]
            original = detector.detect_frame

            def counted(frame, original=original, seen=seen):
                seen[0] += 1
                return original(frame)

            detector.detect_frame = counted
        started = time.process_time()
        tracks = track(video, None, tracker, progress=False)
        options["detector"].__dict__.pop("detect_frame", None)
        cost = (time.process_time() - started) / len(video) * 1e3
        values = score(tracks, truth, "mot", rule(name)).values()
        latency, duplicates = births(tracks, truth, video.fps)
        cells = [f"{values[m]:.0f}" if m == "IDSW" else f"{100 * values[m]:.1f}" for m in METRICS]
        table.add_row(label, *cells, f"{latency:.2f}", f"{100 * duplicates:.1f}", str(seen[0]), f"{cost:.0f}")
    return table


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--assistant", action="store_true", help="only the labelling assistant")
    only = parser.parse_args().assistant
    folder = Path(os.environ.get("VTLAB_SHARED", Path(__file__).parents[2] / "shared")) / "data" / "mot"
    console = Console(width=140)
    if not folder.is_dir():
        console.print(f"No sequences at {folder}: set VTLAB_SHARED.")
        return
    os.environ.setdefault("VTLAB_WEIGHTS", str(folder.parent / "weights"))
    dataset = MotChallenge(folder)
    filmed = [n for n in dataset.names if (folder / n / "video.mp4").is_file()]
    if not only:
        console.print(quality(folder, dataset, list(dataset.names), PLAIN))
        console.print(quality(folder, dataset, filmed, PLAIN + LOOKING))
    for name in filmed:
        console.print(assistant(folder, dataset, name))


if __name__ == "__main__":
    main()
