"""Run what can be run on the data in VTLAB_SHARED into docs/ledger.csv: `python .ci/fill_ledger.py [otb mot17 ...]`.

The frames of MOT17 are not there, so only associators that read none are run on its public detections; BADJA's joints
are noisy by several pixels and scored by TAP-Vid's rule on the annotated frames.
"""

from __future__ import annotations

import csv
import os
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from vtlab.datasets import open_dataset
from vtlab.experiments.ledger import Row, add_rows
from vtlab.experiments.reproduction import reproduce, rescore
from vtlab.prompts import PointPrompt, Prompts
from vtlab.sequence import Sequence
from vtlab.tracks import PointRows, Tracks
from vtlab.video import open_video

DATA = Path(os.environ.get("VTLAB_SHARED", "../shared")) / "data"
LEDGER = Path(__file__).parents[1] / "docs" / "ledger.csv"
OUT = Path("runs/reproduce")


def otb() -> Iterator[Row]:
    """Three sequences of OTB."""
    for method in (
        "csrt",
        "kcf",
        "mosse",
        "ncc",
        "identity",
        "nanotrack-v2",
        "nanotrack-v3",
        "fear-xs",
        "dcfnet",
    ):
        yield from reproduce(method, "otb", DATA / "sot", out=OUT, report=print).rows


def dtb70() -> Iterator[Row]:
    """Published results of five trackers, scored again."""
    folder = DATA / "sot/benchmarks/DTB70"
    for found in rescore(folder / "results_5trackers.zip", "dtb70", folder / "anno").values():
        yield from found.rows


def mot17() -> Iterator[Row]:
    """Associators on the public DPM detections of five sequences, without frames."""
    dataset = open_dataset(DATA / "mot", "mot17")
    names = [n for n in dataset.names if n.startswith("MOT17")]
    clips = []
    for name in names:
        real = dataset.format.read_sequence(dataset.place(name), images=False)
        size = (len(real.video), real.video.height, real.video.width, 3)
        blank = open_video(np.broadcast_to(np.zeros((1, 1, 1, 3), np.uint8), size), fps=real.video.fps)
        truth = real.truth and real.truth.replace(record=real.truth.record.replace(source=None))
        clips.append(Sequence(name, blank, truth, benchmark="mot17"))
    files = {name: DATA / "mot" / name / "det/det.txt" for name in names}
    for method in ("sort", "bytetrack", "ocsort", "botsort", "c-biou"):
        yield from reproduce(method, "mot17", clips, out=OUT, detections=files, report=print).rows


def davis() -> Iterator[Row]:
    """Four sequences of DAVIS 2016 at 480p."""
    yield from reproduce("flow", "davis", DATA / "vos", out=OUT, report=print).rows


def badja() -> Iterator[Row]:
    """Joints of two animals."""
    clips = [_joints(name) for name in ("camel", "horsejump-high")]
    yield from reproduce("lucas-kanade", "badja", clips, out=OUT, report=print).rows


def _joints(name: str) -> Sequence:
    video = open_video(DATA / "vos/JPEGImages/480p" / name)
    with (DATA / "points" / name / "tracks.csv").open() as file:
        rows = [r for r in csv.DictReader(file) if int(r["frame"]) < len(video)]
    seen = {int(r["point"]) for r in rows if r["visible"] == "1"}
    rows = [r for r in rows if int(r["point"]) in seen]
    frame, point = (np.array([int(r[k]) for r in rows]) for k in ("frame", "point"))
    xy = np.array([[float(r["x"] or "nan"), float(r["y"] or "nan")] for r in rows])
    visible = np.array([r["visible"] == "1" for r in rows])
    points = PointRows.of(frame, point + 1, np.zeros(len(rows), int), xy, visible)
    order = sorted(set(zip(frame.tolist(), (point + 1).tolist(), strict=True)))
    truth = Tracks.of(
        [f for f, _ in order],
        [i for _, i in order],
        points=points,
        size=(video.height, video.width),
        meta={"annotated": tuple(sorted({f for f, _ in order}))},
    )
    prompts = []
    for i in sorted(seen):
        first = int(np.flatnonzero((point == i) & visible)[0])
        prompts.append(PointPrompt((tuple(xy[first].tolist()),), object_id=i + 1, frame=int(frame[first])))
    return Sequence(name, video, truth, Prompts(prompts), benchmark="tapvid-first")


def main(names: Iterable[str]) -> None:
    """Run the named parts, all by default, and write the ledger after each."""
    parts = {f.__name__: f for f in (dtb70, otb, mot17, davis, badja)}
    for name in names or parts:
        print(f"== {name}")
        rows = list(parts[name]())
        add_rows(LEDGER, rows)
        for row in rows:
            print(row.method, row.metric, row.value, row.verdict)


if __name__ == "__main__":
    main(sys.argv[1:])
