"""Box trackers with real weights on three real sequences of OTB: success, and CPU milliseconds an object and frame.

    python -m benchmarks real_sot [--methods csrt,nanotrack-v2] [--frames 60]

Success is the area under the curve over 21 thresholds on whole sequences (`--frames` cuts them), the boxes of the first
frames given. Three short sequences rank nothing: the numbers are there to see that weights and loops are right. A second
table times the networks of NanoTrack alone by each of its engines, in turns, on one thread: least and median CPU time of a
lone object, and of 8 as one batch where an engine has batches.
"""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

import vtlab
from vtlab.errors import VtlabError
from vtlab.geometry import xywh_to_xyxy
from vtlab.metrics import sot
from vtlab.metrics.sot import BoxSequence
from vtlab.prompts import BoxPrompt
from vtlab.video import open_video

SEQUENCES = ("Crossing", "DragonBaby", "Basketball")
METHODS = ("csrt", "kcf", "nanotrack-v2", "nanotrack-v3", "fear-xs", "dcfnet")
ROUNDS = 40


def clip(folder: Path) -> tuple[Path, np.ndarray]:
    """The video of a sequence and its boxes (T, 4) xyxy; OTB counts from 1."""
    text = (folder / "groundtruth_rect.txt").read_text().replace(",", " ")
    boxes = np.array([[float(v) for v in line.split()] for line in text.splitlines() if line.strip()])
    boxes[:, :2] -= 1
    images = folder / "img"
    return images if images.is_dir() else folder / "video.mp4", np.asarray(xywh_to_xyxy(boxes))


def score(method: str, folder: Path, frames: int | None) -> tuple[float, float]:
    """Success and milliseconds of CPU a frame."""
    path, truth = clip(folder)
    video = open_video(path)
    video, truth = video[: frames or len(video)], truth[:frames]
    prompt = BoxPrompt(tuple(truth[0].tolist()))
    begun = time.process_time()
    tracks = vtlab.track(video, prompt, method, progress=False)
    spent = time.process_time() - begun
    answer = np.full_like(truth, np.nan)
    answer[tracks.frame] = tracks.boxes
    found = sot.evaluate([BoxSequence(answer, truth, name=folder.name)])
    return found.values()["success_auc"], 1000 * spent / len(truth)


def engines(version: int) -> dict[str, tuple[list[float], list[float]]]:
    """Engine -> milliseconds of its networks for a lone object, and for each of 8."""
    from vtlab.trackers.boxes.nanotrack import ENGINES, EXEMPLAR, INSTANCE, NanoTrack

    rng = np.random.default_rng(0)
    template, search = (rng.integers(0, 256, (s, s, 3), np.uint8) for s in (EXEMPLAR, INSTANCE))
    ready = {}
    for name in ENGINES:
        try:
            made = NanoTrack(version=version, engine=name).engine
        except VtlabError as error:
            print(f"{name} is left out: {error}")
            continue
        ready[name] = (made, made.templates([template])[0])
        made.maps([ready[name][1]], [search])
    times: dict[str, tuple[list[float], list[float]]] = {name: ([], []) for name in ready}
    for _ in range(ROUNDS):
        for name, (made, kept) in ready.items():
            for i, n in enumerate((1, 8) if name == "torch" else (1,)):
                begun = time.process_time()
                made.maps([kept] * n, [search] * n)
                times[name][i].append(1000 * (time.process_time() - begun) / n)
    return times


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--methods", default=",".join(METHODS))
    parser.add_argument("--frames", type=int)
    chosen = parser.parse_args()
    data = Path(os.environ.get("VTLAB_SHARED", Path(__file__).parents[2] / "shared")) / "data"
    if not (data / "sot").is_dir():
        Console().print(f"No sequences at {data / 'sot'}: set VTLAB_SHARED.")
        return
    os.environ.setdefault("VTLAB_WEIGHTS", str(data / "weights"))
    quality = Table("method", *SEQUENCES, "mean", "ms a frame, with decoding", title="Success (AUC)")
    for method in chosen.methods.split(","):
        try:
            found = [score(method, data / "sot" / name, chosen.frames) for name in SEQUENCES]
        except VtlabError as error:
            print(f"{method} is left out: {error}")
            continue
        success = [f[0] for f in found]
        quality.add_row(
            method,
            *(f"{v:.3f}" for v in success),
            f"{np.mean(success):.3f}",
            f"{np.mean([f[1] for f in found]):.1f}",
        )
    console = Console(width=140)
    console.print(quality)
    speed = Table(
        "version", "engine", "least ms", "median ms", "least of 8, each", title="NanoTrack's networks"
    )
    for version in (2, 3):
        for name, (lone, batch) in engines(version).items():
            row = [f"{min(lone):.2f}", f"{np.median(lone):.2f}", f"{min(batch):.2f}" if batch else "-"]
            speed.add_row(f"v{version}", name, *row)
    console.print(speed)


if __name__ == "__main__":
    main()
