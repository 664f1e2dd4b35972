"""Many objects at once: one tracker with n objects against n trackers with one object each.

Both sides are vtlab's own trackers, with the same options, the same frames and one set of weights, so the ratio
says what a batch saves. Where the official checkpoint is not at hand the network has random weights, which costs
the same. Times are of a step without decoding, templates already taken; the best of the repeats counts. NanoTrack
always runs on the CPU.

What a batch can save at most is in the second table: the floating-point operations that a lone object's step reaches
in a second, against those of the fastest matrix product of the networks' sizes. That share is also the least ratio
of the first table that can be hoped for, as no batch is faster than that product.

    python -m benchmarks multi_sot [--methods transt,mixformer-cvt,nanotrack-v2] [--objects 1,4,16,64] [--device cuda]
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks._sot import boxes, cost, find_hardware, footage, maker
from vtlab.errors import WeightsError
from vtlab.prompts import BoxPrompt, Prompts
from vtlab.testing.seeded.boxes import networks
from vtlab.video import Frame

METHODS = ("transt", "mixformer-cvt", "nanotrack-v2")
OBJECTS = (1, 4, 16, 64)
TARGET = 0.6
"""Most that 16 objects in one tracker may cost of 16 trackers."""
MOST_APART = 16
PRODUCTS = ((1024, 256, 2048), (1024, 2048, 256), (1600, 384, 1536), (2048, 1024, 1024), (4096, 1152, 128))
"""Sizes (m, k, n) of matrix products as in these networks: feed-forward, joint tokens, convolutions."""


def prompts(n: int) -> Prompts:
    """Boxes of n objects, spread over the image."""
    return Prompts(BoxPrompt(tuple(box), object_id=i) for i, box in enumerate(boxes(n), 1))


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


def fastest_product(device: str, repeats: int = 20) -> float:
    """Most GFLOP/s that float32 matrix products of the networks' sizes reach; of one thread (CPU time) on a CPU."""
    import torch

    clock = time.process_time if device == "cpu" else time.perf_counter
    wait = torch.cuda.synchronize if device == "cuda" else lambda: None
    best = 0.0
    for m, k, n in PRODUCTS:
        a, b = torch.rand(m, k, device=device), torch.rand(k, n, device=device)
        for _ in range(repeats):
            wait()
            begun = clock()
            a @ b
            wait()
            best = max(best, 2e-9 * m * k * n / (clock() - begun))
    return best


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--methods", default=",".join(METHODS))
    parser.add_argument("--objects", default=",".join(map(str, OBJECTS)))
    parser.add_argument("--device", default="auto", help="auto (a GPU if there is one), cpu, cuda")
    parser.add_argument(
        "--frames", type=int, help="timed steps, the fastest counts; default 1 on a CPU, else 10"
    )
    chosen = parser.parse_args()
    device, hardware = find_hardware(chosen.device)
    times = Table(
        "method", "weights", "objects", "together ms", "apart ms", "ratio", "CPU ratio", f"<= {TARGET} for 16",
        title=f"One tracker with n objects against n trackers ({hardware})",
    )  # fmt: skip
    shares = Table(
        "method", "GFLOP a step", "ms", "GFLOP/s", "fastest product GFLOP/s", "share = no ratio below",
        title=f"A lone object's step in float32 ({hardware}{'; by CPU time' if device == 'cpu' else ''})",
    )  # fmt: skip
    frames = footage((chosen.frames or (1 if device == "cpu" else 10)) + 2)
    most, used = fastest_product(device), int(device == "cpu")  # index of the time that counts
    console = Console(width=140)
    for method in chosen.methods.split(","):
        try:
            with maker(method, device) as (make, origin):
                for n in map(int, chosen.objects.split(",")):
                    one, many = together(make, n, frames), apart(make, n, frames)
                    ratios = [a / b for a, b in zip(one, many, strict=True)]
                    verdict = "" if n != 16 else "yes" if ratios[used] <= TARGET else "no"
                    row = [f"{1000 * one[0]:.0f}", f"{1000 * many[0]:.0f}", *(f"{r:.2f}" for r in ratios)]
                    times.add_row(method, origin, str(n), *row, verdict)
                if method in networks():
                    alone, flops = together(make, 1, frames)[used], cost(networks()[method])[1]
                    figures = (flops, 1000 * alone, flops / alone, most)
                    shares.add_row(method, *(f"{f:.1f}" for f in figures), f"{flops / alone / most:.2f}")
        except WeightsError as error:
            console.print(f"{method} is left out. {error}")
    console.print(times)
    console.print(
        f"Apart, more than {MOST_APART} objects: {MOST_APART} trackers measured, times n / {MOST_APART}."
    )
    if shares.row_count:
        console.print(shares)


if __name__ == "__main__":
    main()
