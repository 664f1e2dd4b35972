"""Single-object box trackers: cost of the networks, and what half precision, memory layout and compiling change.

Two tables. The first compares, for each method, speed and boxes of each option with true float32: every frame starts
from a prescribed box, so that differences do not add up, and float32 runs on the CPU whatever the device. An option
that moves a box by more than 0.1 px is no default; of the others the fastest that needs no compiling should be, and
is named behind the table. `compile` costs its first step, so the table says how long that is. On a GPU PyTorch rounds
the inputs of convolutions to TF32 (10 bits) unless told otherwise: rows without "tf32" have told it.

The second table counts parameters and floating-point operations of every variant (2 for a multiply-add, as PyTorch
counts matrix products, convolutions and attention), for a step with the templates' part kept and for one object's
templates.

Where the official checkpoint is not at hand (VTLAB_WEIGHTS), weights are random, and then scores are flatter than a
trained network's: a rounding makes TransT and MCITrack choose another cell sooner, which moves a box by many pixels.
The largest difference tells of that, the median of what rounding does to a box. The clip is synthetic: moving noise.

    python -m benchmarks sot_speed [--methods transt,mcitrack-t224] [--options bfloat16,compiled] [--device cuda]
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks._sot import boxes, cost, find_hardware, footage, maker
from vtlab.prompts import BoxPrompt, Prompts
from vtlab.testing.seeded.boxes import networks

METHODS = ("transt", "mixformer-cvt", "mixformer-vit", "mcitrack-t224", "sutrack-t224")
OPTIONS: dict[str, dict[str, Any]] = {
    "default": {},
    "float32": {"channels_last": False},
    "channels-last": {"channels_last": True},
    "tf32 convolutions": {"channels_last": True},
    "tf32": {"channels_last": True},
    "bfloat16": {"channels_last": True, "dtype": "bfloat16"},
    "float16": {"channels_last": True, "dtype": "float16"},
    "compiled": {"channels_last": True, "compile": True},
}
PIXELS = 0.1
"""An option that moves boxes by more is never a default."""
STEPS = {"cpu": 5, "cuda": 16}


@contextmanager
def tf32(convolutions: bool, products: bool) -> Iterator[None]:
    """Let a GPU round the inputs of convolutions and of matrix products to TF32, or not."""
    import torch

    backends: Any = torch.backends
    before = backends.cudnn.allow_tf32, backends.cuda.matmul.allow_tf32
    backends.cudnn.allow_tf32, backends.cuda.matmul.allow_tf32 = convolutions, products
    try:
        yield
    finally:
        backends.cudnn.allow_tf32, backends.cuda.matmul.allow_tf32 = before


def run(tracker: Any, n: int) -> tuple[np.ndarray, float, float, float]:
    """Boxes (n, 4) of a step from each prescribed box; least wall and CPU seconds of a step; those of the first."""
    frames, found, wall, cpu = footage(n + 1), [], [], []
    for i, box in zip(
        [0, *range(n)], [boxes(n)[0], *boxes(n)], strict=True
    ):  # the first step is there to be slow
        tracker.init(frames[i], Prompts(BoxPrompt(tuple(box), frame=i)))
        begun, used = time.perf_counter(), time.process_time()
        answer = tracker.step(frames[i + 1])
        wall.append(time.perf_counter() - begun)
        cpu.append(time.process_time() - used)
        found.append(answer.boxes[0])
    return np.array(found[1:]), min(wall[1:]), min(cpu[1:]), wall[0]


def compare(method: str, chosen: list[str], device: str) -> tuple[Table, str]:
    """The rows of a method, and in words which option is the fastest that keeps the boxes."""
    steps = STEPS["cpu" if device == "cpu" else "cuda"]
    with maker(method, device) as (make, weights):
        table = Table(
            "option", "ms", "fps", "CPU ms", "of float32", "first step s", "median px", "max px",
            f"<= {PIXELS} px", title=f"{method}, {weights} weights, one object",
        )  # fmt: skip
        truth = run(make(device="cpu", channels_last=False), steps)[0] if device != "cpu" else None
        first, kept = 0.0, {}
        for name in chosen:
            with tf32("tf32" in name, name == "tf32") if name != "default" else nullcontext():
                tracker = make(**OPTIONS[name])
                try:
                    found, wall, cpu, warm = run(tracker, steps)
                except Exception as error:  # a compiler may be missing: the other rows still count
                    if name != "compiled":
                        raise
                    table.add_row(name, f"failed: {type(error).__name__}")
                    continue
                tracker.close()
            taken = cpu if device == "cpu" else wall
            truth, first = found if truth is None else truth, first or taken
            apart = np.abs(found - truth).max(axis=1)
            if apart.max() <= PIXELS and name not in ("compiled", "default"):
                kept[name] = taken
            table.add_row(
                name, f"{1000 * wall:.1f}", f"{1 / wall:.1f}", f"{1000 * cpu:.1f}",
                f"{taken / first:.2f}", f"{warm:.1f}", f"{np.median(apart):.4f}", f"{apart.max():.4f}",
                "yes" if apart.max() <= PIXELS else "no",
            )  # fmt: skip
    if not kept:
        return table, f"No option keeps boxes within {PIXELS} px."
    best = min(kept, key=kept.__getitem__)
    return table, f"Of those that need no compiling and keep boxes within {PIXELS} px, {best} is the fastest."


def costs() -> Table:
    """Parameters and operations of every variant."""
    table = Table(
        "variant", "parameters M", "GFLOP a step", "GFLOP templates", "float32 MB", title="Networks"
    )
    for name, make in networks().items():
        parameters, step, templates = cost(make)
        table.add_row(name, f"{parameters:.1f}", f"{step:.1f}", f"{templates:.1f}", f"{4 * parameters:.0f}")
    return table


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--methods", default=",".join(METHODS))
    parser.add_argument("--options", help=f"of {', '.join(OPTIONS)}; tf32 needs a GPU; default: all")
    parser.add_argument("--device", default="auto", help="auto (a GPU if there is one), cpu, cuda")
    parser.add_argument("--no-costs", action="store_true", help="leave the second table out")
    chosen = parser.parse_args()
    device, hardware = find_hardware(chosen.device)
    names = chosen.options.split(",") if chosen.options else list(OPTIONS)
    names = [n for n in dict.fromkeys(["float32", *names]) if device == "cuda" or "tf32" not in n]
    console = Console(width=140)
    console.print(f"{hardware}; synthetic clip")
    for method in chosen.methods.split(","):
        for part in compare(method, names, device):
            console.print(part)
    if not chosen.no_costs:
        console.print(costs())


if __name__ == "__main__":
    main()
