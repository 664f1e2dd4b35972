"""Point trackers: resident memory over a long video, which must stay flat.

    python -m benchmarks.points_memory [--only lucas-kanade,pips] [--frames 1000] [--points 200]

Networks have random weights and small inputs, and those of TAPIR and CoTracker3 fewer layers and iterations, so that
a thousand frames pass in minutes: what would grow with the video is kept by the trackers and not by the layers. TAPNext
takes seconds a frame on a CPU and runs when named.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from rich.console import Console
from rich.table import Table

from benchmarks.points_speed import METHODS, random_weights
from vtlab.prompts import PointPrompt, Prompts
from vtlab.run import create_tracker
from vtlab.video import Frame

SMALL = {
    "pips": {"size": (64, 64), "iterations": 1},
    "cotracker3-offline": {"iterations": 1},
    "cotracker3-online": {"iterations": 1},
}
SIZE = (120, 160)


def frames(count: int) -> Iterator[Frame]:
    texture = np.random.default_rng(0).integers(0, 256, (*SIZE, 3), dtype=np.uint8)
    for i in range(count):
        yield Frame(i, i / 25, np.roll(texture, i, axis=1))


def shrink(name: str, tracker: Any) -> None:
    """Give TAPIR and CoTracker3 one block and few pixels, so that a frame takes a fraction of a second."""
    if "tapir" in name:
        from vtlab.trackers._tapir_core import Network

        net = tracker._network.net
        net.torch_pips_mixer.blocks = net.torch_pips_mixer.blocks[:1]
        net.extra_convs, net.initial_resolution = None, (64, 64)
        tracker._network = Network(net, tracker._network.device, 64)
    elif "cotracker3" in name:
        former = tracker._network.net.updateformer
        former.time_blocks = former.time_blocks[:1]
        tracker._network.size = (96, 128)


def resident(name: str, count: int, points: int) -> tuple[float, float, float]:
    """MB before tracking, the most in the first 3/10 of the frames, and the most in the rest."""
    rng = np.random.default_rng(0)
    prompts = Prompts(PointPrompt(rng.uniform((5, 5), (SIZE[1] - 5, SIZE[0] - 5), (points, 2))))
    build, options = METHODS[name].network, dict(SMALL.get(name, {}))
    with tempfile.TemporaryDirectory() as folder:
        if build is not None:
            options.update(weights=random_weights(build, Path(folder)), device="cpu")
        tracker = create_tracker(name, **options)
    shrink(name, tracker)
    process, peaks = psutil.Process(), [0.0, 0.0]
    before = process.memory_info().rss / 2**20
    if hasattr(tracker, "run"):
        answers = tracker.run(frames(count), prompts, count)
    else:
        answers = ((f.index, tracker.step(f) if f.index else tracker.init(f, prompts)) for f in frames(count))
    for i, _ in answers:
        late = i >= count * 3 // 10
        peaks[late] = max(peaks[late], process.memory_info().rss / 2**20)
    return before, peaks[0], peaks[1]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", default="lucas-kanade,pips", help="names, separated by commas")
    parser.add_argument("--frames", type=int, default=1000)
    parser.add_argument("--points", type=int, default=200)
    given = parser.parse_args()
    early = given.frames * 3 // 10
    table = Table(
        title=f"Resident memory in MB, {given.points} points, {given.frames} frames of 160 x 120 px"
    )
    for column in ("method", "before", f"peak, frames 0-{early - 1}", f"peak, frames {early}-", "growth"):
        table.add_column(column, justify="left" if column == "method" else "right")
    for name in given.only.split(","):
        before, first, rest = resident(name, given.frames, given.points)
        table.add_row(name, f"{before:.0f}", f"{first:.0f}", f"{rest:.0f}", f"{rest - first:+.1f}")
    Console().print(table)


if __name__ == "__main__":
    main()
