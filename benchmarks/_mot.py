"""What the benchmarks of verdicts share: results of many objects whose truth is known, by the rule of their benchmark."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vtlab.datasets import open_dataset
from vtlab.detectors.public import PublicDetections
from vtlab.formats.motchallenge import read_mot
from vtlab.metrics.families import find_family
from vtlab.metrics.families.base import Case
from vtlab.metrics.families.mot import pairs_of
from vtlab.metrics.mot import evaluate
from vtlab.sequence import Sequence
from vtlab.trackers.compose.by_detection import ByDetection
from vtlab.tracks import Tracks, TracksBuilder
from vtlab.video import Frame

LINKED = ("sort", "bytetrack", "ocsort")
DETECTORS = ("DPM", "FRCNN", "SDP")
NAMES = (*(f"MOT17-{n}-DPM" for n in ("02", "04", "05", "10", "11")), "PETS09-S2L1-169", "TUD-Campus")


@dataclass(frozen=True)
class Scene:
    """Results on one sequence.

    Attributes:
        name: Of the sequence.
        frames: Number of frames.
        truth: The objects that count.
        tracks: Tracker -> its tracks, without the answers that the rule leaves out.
        hota: Tracker -> {"AssPr", "AssRe"} at an overlap of one half.
    """

    name: str
    frames: int
    truth: Tracks
    tracks: dict[str, Tracks]
    hota: dict[str, dict[str, float]]


def scenes() -> Iterator[Scene]:
    """The scenes of the shared data: published results, and associators on public detections."""
    root = Path(os.environ.get("VTLAB_SHARED", "../shared")) / "data/mot"
    if not root.is_dir():
        return
    for name in NAMES:
        rule = "mot17" if name.startswith("MOT17") else "mot15"
        dataset = open_dataset(root, rule)
        sequence = dataset.format.read_sequence(dataset.place(name), images=False)
        yield _scene(sequence, {**_published(root, name), **_linked(root / name, sequence)}, rule)


def _published(root: Path, name: str) -> dict[str, Tracks]:
    if not name.startswith("MOT17"):
        return {"CEM": read_mot(root / "results/CEM_MOT15" / f"{name}.txt")}
    with zipfile.ZipFile(root / "results/Lif_T_MOT17-train.zip") as pack:
        return {f"Lif_T {d}": read_mot(pack.read(f"Lif_T/{name[:8]}-{d}.txt")) for d in DETECTORS}


def _linked(folder: Path, sequence: Sequence) -> dict[str, Tracks]:
    video, blank, found = sequence.video, np.zeros((1, 1, 3), np.uint8), {}
    for method in LINKED:
        tracker = ByDetection(PublicDetections(path=folder / "det/det.txt"), method)
        builder = TracksBuilder((video.height, video.width))
        for i in range(len(video)):
            builder.add(i, tracker.step(Frame(i, i / video.fps, blank)))
        found[method] = builder.build()
    return found


def _scene(sequence: Sequence, given: dict[str, Tracks], rule: str) -> Scene:
    kept, hota, truth = {}, {}, None
    for tracker, tracks in given.items():
        case = Case.of(tracks, sequence)
        pairs = pairs_of(case, find_family("mot").rule(rule))
        kept[tracker] = tracks.take(np.sort(pairs.answer.source)).replace(
            meta={"tracker": {"name": tracker, "family": "mot"}}
        )
        truth = case.truth.take(np.sort(pairs.truth.source))
        curves = evaluate(pairs, vace=False).hota_curves()
        hota[tracker] = {m: float(curves[m][9]) for m in ("AssPr", "AssRe")}
    assert truth is not None
    return Scene(sequence.name, len(sequence.video), truth, kept, hota)
