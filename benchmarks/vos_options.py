"""Mask trackers: what half precision and compiling change, in speed and in masks.

    python -m benchmarks.vos_options [--methods sam2.1-tiny,xmem,cutie-small] [--objects 1,4] [--side 1024] [--device cuda]

Random weights, a synthetic clip with boxes as prompts; the frames of one run take turns with nothing else, the fastest
frame counts. IoU is that of the masks with the same tracker's float32 masks over all frames: it says what rounding does
to a tracker with random weights, whose masks are ragged, so trained ones lose less. Where a GPU is at hand it is used.
"""

from __future__ import annotations

import argparse
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

import vtlab
from benchmarks._sot import boxes, footage
from vtlab.prompts import BoxPrompt, Prompts
from vtlab.testing.seeded import masks as seeded
from vtlab.weights.device import find_device

HALF: dict[str, dict[str, Any]] = {
    "float32": {},
    "bfloat16": {"dtype": "bfloat16"},
    "float16": {"dtype": "float16"},
}
COMPILED: dict[str, dict[str, Any]] = {
    "compiled": {"compile": True},
    "bfloat16, compiled": {"dtype": "bfloat16", "compile": True},
}
OPTIONS = {"sam2.1-tiny": HALF | COMPILED, "xmem": HALF, "cutie-small": HALF}
FRAMES = 12


def checkpoint(method: str, folder: Path, side: int) -> dict[str, Any]:
    """The parameters of a tracker with a whole network of random weights that takes images of `side` pixels."""
    if method.startswith("sam2"):
        path = folder / f"{method}.pth"
        torch.save({"model": seeded.sam2(method, side).state_dict()}, path)
        return {"weights": path, "image_size": side}
    return {"weights": seeded.options(method, folder)["weights"]}


def run(method: str, options: dict[str, Any], objects: int) -> tuple[np.ndarray, float]:
    """Masks (frames, objects, H, W) and the least seconds of a frame."""
    tracker = vtlab.create_tracker(method, **options)
    first, *others = footage(FRAMES)
    found = [tracker.init(first, Prompts(BoxPrompt(b, object_id=i) for i, b in enumerate(boxes(objects), 1)))]
    seconds = []
    for frame in others:
        begun = time.perf_counter()
        found.append(tracker.step(frame))
        seconds.append(time.perf_counter() - begun)
    tracker.close()
    return np.array([answer.masks for answer in found]), min(seconds)


def main() -> None:
    warnings.simplefilter("ignore")
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--methods", default=",".join(OPTIONS))
    parser.add_argument("--objects", default="1,4")
    parser.add_argument("--options", help=f"of {'; '.join(HALF | COMPILED)}, separated by ;, default: all")
    parser.add_argument("--side", type=int, default=1024, help="input of SAM 2, a multiple of 32")
    parser.add_argument("--device", default="auto")
    chosen = parser.parse_args()
    device = find_device(chosen.device)
    wanted = ["float32", *chosen.options.split(";")] if chosen.options else [*HALF, *COMPILED]
    where = torch.cuda.get_device_name() if device.type == "cuda" else f"{device}"
    table = Table(title=f"Options of mask trackers ({where}, SAM 2 at {chosen.side} px)")
    for column in ("method", "objects", "option", "ms", "fps", "of float32", "IoU"):
        table.add_column(column, justify="left" if column in ("method", "option") else "right", no_wrap=True)
    with tempfile.TemporaryDirectory() as folder:
        for method in chosen.methods.split(","):
            given = checkpoint(method, Path(folder), chosen.side)
            for objects in map(int, chosen.objects.split(",")):
                base: tuple[np.ndarray, float] | None = None
                for name in [name for name in OPTIONS[method] if name in wanted]:
                    options = OPTIONS[method][name]
                    masks, seconds = run(method, {**given, **options, "device": str(device)}, objects)
                    base = base or (masks, seconds)
                    iou = (masks & base[0]).sum() / max((masks | base[0]).sum(), 1)
                    row = (
                        f"{1000 * seconds:.1f}",
                        f"{1 / seconds:.1f}",
                        f"{seconds / base[1]:.2f}",
                        f"{iou:.3f}",
                    )
                    table.add_row(method, f"{objects}", name, *row)
    Console(width=120).print(table)


if __name__ == "__main__":
    main()
