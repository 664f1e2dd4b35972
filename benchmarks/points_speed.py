"""Point trackers: points x frames per second, and the official procedures' time against ours.

    python -m benchmarks.points_speed [--only pips,tapnext++] [--points 12] [--device cpu]

Every network has random weights, which cost the same as trained ones, and the clip is synthetic, of the size of the
parity fixtures (216 x 384). The official times are CPU seconds recorded when the fixtures were made, on two cores
with 12 points (TAPNext: 11); ours are CPU seconds of this run, so the ratio holds between like machines only, and
there is none on a GPU, where the second of two runs counts. For PIPs the unit is one window of one point, for the
others one frame.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from rich.console import Console
from rich.table import Table

from vtlab.datasets.synthetic import synthetic
from vtlab.prompts import PointPrompt, Prompts
from vtlab.testing.seeded.points import NETWORKS, random_weights
from vtlab.trackers.create import create_tracker
from vtlab.video import Frame
from vtlab.weights.device import find_device

SIZE = (384, 216)


class Method(NamedTuple):
    """How many frames are enough to time a tracker, and the official CPU seconds per unit."""

    frames: int
    official: float | None
    options: tuple[tuple[str, Any], ...] = ()


METHODS = {
    "lucas-kanade": Method(60, None),
    "alltracker": Method(17, None),
    "alltracker-tiny": Method(17, None),
    "pips": Method(20, 8.949, (("size", (216, 384)),)),
    "tapir": Method(12, None),
    "bootstapir": Method(12, 1.112),
    "bootstapir-online": Method(12, 1.335),
    "tapnext++": Method(3, 6.371),
    "cotracker3-offline": Method(14, 1.599),
    "cotracker3-online": Method(24, 2.187),
}


def windows_of(tracker: Any) -> list[int]:
    """Filled with the points of every window that PIPs refines."""
    counts: list[int] = []
    tracker._net.register_forward_pre_hook(lambda _, given: counts.append(len(given[1])))
    return counts


def measure(
    name: str, method: Method, points: int, images: list[np.ndarray], device: str
) -> dict[str, float]:
    rng = np.random.default_rng(0)
    prompts = Prompts(PointPrompt(rng.uniform((20, 20), (SIZE[0] - 20, SIZE[1] - 20), (points, 2))))
    with tempfile.TemporaryDirectory() as folder:
        options = dict(method.options)
        if name in NETWORKS:
            options.update(weights=random_weights(name, Path(folder)), device=device)
        tracker = create_tracker(name, **options)
    counts = windows_of(tracker) if name == "pips" else []
    frames = [Frame(i, i / 25, image) for i, image in enumerate(images[: method.frames])]
    for _ in range(1 if device == "cpu" else 2):  # a GPU's kernels are loaded and chosen in the first run
        counts.clear()
        wall, cpu = time.perf_counter(), time.process_time()
        if hasattr(tracker, "run"):
            answers = sum(1 for _ in tracker.run(iter(frames), prompts, len(frames)))
        else:
            tracker.init(frames[0], prompts)
            answers = 1 + sum(1 for frame in frames[1:] if tracker.step(frame))
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        assert answers == len(frames)
    return {
        "rate": points * len(frames) / wall,
        "cpu": cpu / len(frames),
        "unit": cpu / (sum(counts) or len(frames)),
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", default=",".join(METHODS), help="names, separated by commas")
    parser.add_argument("--points", type=int, default=12)
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, ...")
    given = parser.parse_args()
    device = str(find_device(given.device))
    video = synthetic(seconds=60 / 25, fps=25, size=SIZE, seed=3).video
    images = [video[i] for i in range(60)]
    table = Table(title=f"{given.points} points on {SIZE[0]} x {SIZE[1]} px, {device}")
    for column in (
        "method",
        "frames",
        "points x frames / s",
        "CPU s / frame",
        "CPU s / unit",
        "official",
        "ratio",
    ):
        table.add_column(
            column, justify="left" if column == "method" else "right", no_wrap=column == "method"
        )
    for name in given.only.split(","):
        method = METHODS[name]
        found = measure(name, method, given.points, images, device)
        official = method.official if given.points == 12 and device == "cpu" else None
        table.add_row(
            name,
            str(method.frames),
            f"{found['rate']:.1f}",
            f"{found['cpu']:.3f}",
            f"{found['unit']:.3f}",
            f"{official:.3f}" if official else "-",
            f"{official / found['unit']:.1f}" if official else "-",
        )
    Console().print(table)


if __name__ == "__main__":
    main()
