"""Many objects at once: one tracker with n objects against n trackers with one object each.

Both sides are vtlab's own trackers, with the same options, the same frames and one set of weights, so the ratio
says what a batch saves. Where the official checkpoint is not at hand the network has random weights, which costs
the same. Times are of a step without decoding, templates already taken; the best of the repeats counts.

    python -m benchmarks.multi_sot [--methods transt,mixformer-cvt,nanotrack-v2] [--objects 1,4,16,64]
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

import vtlab
from vtlab.errors import WeightsError
from vtlab.prompts import BoxPrompt, Prompts
from vtlab.video import Frame

METHODS = ("transt", "mixformer-cvt", "nanotrack-v2")
OBJECTS = (1, 4, 16, 64)
TARGET = 0.6
"""Most that 16 objects in one tracker may cost of 16 trackers."""
MOST_APART = 16
SIZE = (360, 480)


def footage(n: int) -> list[Frame]:
    """n frames of smooth noise that moves."""
    rng = np.random.default_rng(0)
    coarse = np.kron(rng.integers(0, 256, (60, 80, 3), dtype=np.uint8), np.ones((8, 8, 1), np.uint8))
    return [
        Frame(i, i / 30, np.ascontiguousarray(coarse[i : i + SIZE[0], i : i + SIZE[1]])) for i in range(n)
    ]


def prompts(n: int) -> Prompts:
    """Boxes of n objects, spread over the image."""
    rng = np.random.default_rng(1)
    corners = rng.uniform((20, 20), (SIZE[1] - 100, SIZE[0] - 100), (n, 2))
    sides = rng.uniform(30, 80, (n, 2))
    return Prompts(
        BoxPrompt((*c, *(c + s)), object_id=i) for i, (c, s) in enumerate(zip(corners, sides, strict=True), 1)
    )


@contextmanager
def maker(method: str) -> Iterator[tuple[Callable[..., Any], str]]:
    """A function that makes a tracker of `method`, and where its weights come from."""
    try:
        vtlab.create_tracker(method).close()
    except WeightsError:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "random.pth"
            save_random(method, path)
            yield lambda **options: vtlab.create_tracker(method, weights=path, **options), "random"
    else:
        yield lambda **options: vtlab.create_tracker(method, **options), "official"


def save_random(method: str, path: Path) -> None:
    """Write a checkpoint with random weights."""
    import torch

    torch.manual_seed(0)
    options = vtlab.tracker_card(method).options
    if method.startswith("transt"):
        from vtlab.nets.transt import TransT

        network: Any = TransT(options["fusion_layers"])
    elif method.startswith("mixformer"):
        from vtlab.trackers.mixformer import make_network

        network = make_network(options["backbone"], options["size"], options.get("online", True))
    elif method.startswith("mcitrack"):
        from vtlab.nets.mcitrack import CONFIGS, MCITrack

        network = MCITrack(CONFIGS[options["variant"]])
    else:
        raise WeightsError(f"{method}: the checkpoint is missing, and there is no network to fill at random.")
    torch.save({"net": network.state_dict()}, path)


def seconds(step: Callable[[Frame], Any], frames: list[Frame]) -> tuple[float, float]:
    """Least wall time and CPU time of a step over the frames, after one that doesn't count."""
    step(frames[0])
    wall, cpu = [], []
    for frame in frames[1:]:
        begun, used = time.perf_counter(), time.process_time()
        step(frame)
        wall.append(time.perf_counter() - begun)
        cpu.append(time.process_time() - used)
    return min(wall), min(cpu)


def together(make: Callable[[], Any], n: int, frames: list[Frame]) -> tuple[float, float]:
    """(wall, CPU) seconds of a step of one tracker with n objects."""
    tracker = make()
    tracker.init(frames[0], prompts(n))
    return seconds(tracker.step, frames[1:])


def apart(make: Callable[[], Any], n: int, frames: list[Frame]) -> tuple[float, float]:
    """(wall, CPU) seconds of a step of n trackers with one object each; of more than 16, a part is measured."""
    measured = min(n, MOST_APART)
    trackers = [make() for _ in range(measured)]
    for tracker, prompt in zip(trackers, prompts(n), strict=False):
        tracker.init(frames[0], Prompts(prompt))
    wall, cpu = seconds(lambda frame: [tracker.step(frame) for tracker in trackers], frames[1:])
    return wall * n / measured, cpu * n / measured


def hardware() -> str:
    """The device that "auto" stands for, and its threads."""
    import torch

    if torch.cuda.is_available():
        return torch.cuda.get_device_name()
    return f"CPU, {torch.get_num_threads()} thread(s) of PyTorch"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--methods", default=",".join(METHODS))
    parser.add_argument("--objects", default=",".join(map(str, OBJECTS)))
    parser.add_argument("--frames", type=int, default=1, help="timed steps; the fastest counts")
    chosen = parser.parse_args()
    table = Table(
        "method", "weights", "objects", "together ms", "apart ms", "ratio", "CPU ratio", f"<= {TARGET} for 16",
        title=f"One tracker with n objects against n trackers ({hardware()})",
    )  # fmt: skip
    frames = footage(chosen.frames + 2)
    for method in chosen.methods.split(","):
        with maker(method) as (make, origin):
            for n in map(int, chosen.objects.split(",")):
                one, many = together(make, n, frames), apart(make, n, frames)
                ratios = [a / b for a, b in zip(one, many, strict=True)]
                verdict = "" if n != 16 else "yes" if min(ratios) <= TARGET else "no"
                times = [f"{1000 * one[0]:.0f}", f"{1000 * many[0]:.0f}"]
                table.add_row(method, origin, str(n), *times, *(f"{r:.2f}" for r in ratios), verdict)
    Console().print(table)
    Console().print(
        f"Apart, more than {MOST_APART} objects: {MOST_APART} trackers measured, times n / {MOST_APART}."
    )


if __name__ == "__main__":
    main()
