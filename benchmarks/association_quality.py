"""HOTA, MOTA and IDF1 of all associators on the public detections of real sequences, and of the assistant beside them.

    python benchmarks/association_quality.py [--assistant]

Truth and detections: MOT15 and MOT17 sequences of `VTLAB_SHARED`. Methods that look at the image run on the sequences whose
video is there. Parameters are the defaults; nothing is tuned to these sequences.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from vtlab.association.mend import interpolate_gaps
from vtlab.contracts import Detector
from vtlab.datasets import open_dataset
from vtlab.datasets.synthetic import synthetic
from vtlab.detectors.noisy_truth import NoisyTruth
from vtlab.detectors.public import PublicDetections
from vtlab.formats import FormatDataset
from vtlab.geometry import box_iou
from vtlab.metrics.evaluation import combine, score
from vtlab.trackers.compose.by_detection import ByDetection
from vtlab.trackers.create import create_tracker
from vtlab.trackers.loop import track
from vtlab.tracks import Tracks, TracksBuilder
from vtlab.video import Frame, Video

PLAIN = (
    "sort",
    "bytetrack",
    "ocsort",
    "botsort",
    "c-biou",
    "sfsort",
    "hybridsort",
    "boosttrack",
    "boosttrack++",
)
LOOKING = ("botsort-cmc", "botsort-reid", "deepsort", "strongsort", "deep-ocsort", "supervisely-botsort")
METRICS = ("HOTA", "DetA", "AssA", "MOTA", "IDF1", "IDSW")
BLANK = np.zeros((1, 1, 3), np.uint8)


def rule(name: str) -> str:
    """Benchmark rule of a sequence."""
    return "mot17" if name.startswith("MOT17") else "mot15"


def link(method: str, folder: Path, dataset: FormatDataset, name: str) -> Tracks:
    """Tracks of a method on the public detections, with the sequence's own frames where they are there."""
    tracker = ByDetection(PublicDetections(path=folder / name / "det" / "det.txt"), method)
    if method in LOOKING:
        return track(dataset[name].video, None, tracker, progress=False)
    still = dataset.format.read_sequence(dataset.place(name), images=False).video
    builder = TracksBuilder((still.height, still.width))
    for i in range(len(still)):
        frame = Frame(i, i / still.fps, BLANK)
        builder.add(i, tracker.step(frame))
    return builder.build()


def quality(folder: Path, dataset: FormatDataset, names: list[str], methods: tuple[str, ...]) -> Table:
    table = Table(title=f"Public detections of {', '.join(names)}")
    for column in ("method", *METRICS, "IDF1 interpolated"):
        table.add_column(column, justify="left" if column == "method" else "right")
    for method in methods:
        found = {n: link(method, folder, dataset, n) for n in names}
        values = combine([score(t, dataset.truth(n), "mot", rule(n)) for n, t in found.items()])
        filled = []
        for n, t in found.items():
            sequence = dataset.format.read_sequence(dataset.place(n), images=False)
            mended = interpolate_gaps(t, sequence.video.timestamps)
            filled.append(score(mended, sequence, "mot", rule(n)))
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


def losses(tracks: Tracks, truth: Tracks) -> float:
    """Part of the frames of objects found once that are uncovered afterwards, though truth has them."""
    lost = seen = 0
    for object_id in truth.object_ids.tolist():
        mine = truth.of_object(int(object_id))
        hit = np.array(
            [
                bool((box_iou(box[None], tracks.at(int(f)).seen().boxes) >= 0.5).any())
                for f, box in zip(mine.frame, mine.boxes, strict=True)
            ]
        )
        if hit.any():
            after = hit[int(hit.argmax()) :]
            lost, seen = lost + int((~after).sum()), seen + len(after)
    return lost / max(seen, 1)


def thinned(video: Video, tracker: ByDetection, every: float) -> Tracks:
    """Plain tracking by detection that looks only every `every` seconds, its gaps filled along lines."""
    builder = TracksBuilder((video.height, video.width))
    step = max(round(every * video.fps), 1)
    for frame in video.frames():
        if frame.index % step == 0:
            builder.add(frame.index, tracker.step(frame))
    return interpolate_gaps(builder.build(), video.timestamps, longest=1.1 * every)


def assistant(
    title: str, video: Video, truth: Tracks, detector: Detector, *, rule_name: str, new: float
) -> Table:
    """The assistant beside plain tracking by detection with the same detector, at a look every half second and at all."""
    table = Table(title=title)
    for column in ("way", *METRICS, "birth s", "lost %", "duplicates %", "looks", "ms a frame"):
        table.add_column(column, justify="left" if column == "way" else "right")
    sparse = max(round(0.5 * video.fps), 1)
    every = sparse / video.fps
    for label in (
        "bytetrack, every 0.5 s",
        "assistant, every 0.5 s",
        "bytetrack, every frame",
        "assistant, every frame",
    ):
        started = time.process_time()
        if label == "bytetrack, every 0.5 s":
            made = create_tracker("bytetrack", detector=detector, high=new, new=new)
            tracks, looks = thinned(video, made, every), -(-len(video) // sparse)
        elif label == "bytetrack, every frame":
            tracks = track(video, None, "bytetrack", detector=detector, high=new, new=new, progress=False)
            looks = len(video)
        else:
            made = create_tracker(
                "assistant", detector=detector, new=new, every=0.0 if "frame" in label else every
            )
            tracks = track(video, None, made, progress=False)
            looks = made.looks
        cost = (time.process_time() - started) / len(video) * 1e3
        values = score(tracks, truth, "mot", rule_name).values()
        latency, duplicates = births(tracks, truth, video.fps)
        gone = losses(tracks, truth)
        cells = [f"{values[m]:.0f}" if m == "IDSW" else f"{100 * values[m]:.1f}" for m in METRICS]
        cells += [f"{latency:.2f}", f"{100 * gone:.1f}", f"{100 * duplicates:.1f}"]
        table.add_row(label, *cells, str(looks), f"{cost:.0f}")
    return table


def labelling(folder: Path, dataset: FormatDataset, names: list[str]) -> Iterator[Table]:
    """The assistant on the filmed sequences and on synthetic clips with a detector of known errors."""
    for name in names:
        detector = PublicDetections(path=folder / name / "det" / "det.txt")
        title = f"Labelling {name} with the public detections"
        yield assistant(
            title, dataset[name].video, dataset.truth(name), detector, rule_name=rule(name), new=0.6
        )
    for seed in (1, 2, 3, 4):
        clip = synthetic(seed=seed, seconds=8.0, objects=6, difficulty="hard", size=(480, 272))
        detector = NoisyTruth(truth=clip.truth, miss=0.2, jitter=0.04, false=0.5, seed=seed)
        yield assistant(
            f"Labelling a synthetic clip, seed {seed}",
            clip.video,
            clip.truth,
            detector,
            rule_name="mot15",
            new=0.4,
        )


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
    dataset = open_dataset(folder, "motchallenge")
    filmed = [n for n in dataset.names if (folder / n / "video.mp4").is_file()]
    if not only:
        console.print(quality(folder, dataset, list(dataset.names), PLAIN))
        console.print(quality(folder, dataset, filmed, PLAIN + LOOKING))
    for table in labelling(folder, dataset, filmed):
        console.print(table)


if __name__ == "__main__":
    main()
