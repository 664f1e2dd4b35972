"""Resident memory of the mask trackers over 1,000 frames with 3 objects, beside the packages' own predictors.

Each method runs in a process of its own, with seeded weights on a small configuration (sizes of memories that fill
within 200 frames). Printed are the slope of resident memory between frame 200 and the end by least squares, which must
stay below 5 KB a frame, and the peak; and the same for SAM 2's own video predictor on the same clip, which keeps all
frames and all outputs.

    python -m benchmarks.memory_vos [frames] [method ...]
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

FRAMES, START, LIMIT = 1000, 200, 5.0
HEIGHT, WIDTH, SAM2_SIDE = 64, 96, 64
XMEM = {
    "size": None,
    "max_frames": 4,
    "min_frames": 2,
    "prototypes": 16,
    "max_long_term": 64,
    "device": "cpu",
}
METHODS: dict[str, dict[str, Any]] = {
    "flow": {},
    "xmem": XMEM,
    "cutie-small": {**XMEM, "memory_every": 2},
    "sam2.1-tiny": {"image_size": SAM2_SIDE, "device": "cpu"},
    "sam2 (package's predictor)": {},
}


def frame(t: int) -> np.ndarray:
    """A texture that drifts: (HEIGHT, WIDTH, 3)."""
    ground = np.kron(np.random.default_rng(0).integers(0, 255, (16, 24, 3)), np.ones((8, 8, 1))).astype(
        np.uint8
    )
    return np.roll(ground, (t // 3, t // 2), (0, 1))[:HEIGHT, :WIDTH].copy()


def checkpoint(method: str, folder: Path) -> Path | None:
    """A seeded checkpoint of a method in its official layout."""
    if method == "flow":
        return None
    import torch

    torch.manual_seed(3)
    path = folder / f"{method}.pth"
    if method == "xmem":
        from vtlab.nets.xmem import XMem

        torch.save(XMem().state_dict(), path)
    elif method.startswith("cutie"):
        from vtlab.nets import cutie

        torch.save(cutie.build(cutie.settings("small")).state_dict(), path)
    else:
        from benchmarks.vos_speed import seeded

        torch.save({"model": seeded("sam2.1-tiny", SAM2_SIDE).state_dict()}, path)
    return path


def run(method: str, frames: int) -> list[int]:
    """Resident bytes after each frame."""
    with tempfile.TemporaryDirectory() as folder:
        if "package" in method:
            return run_package(frames, Path(folder))
        path = checkpoint(method, Path(folder))
        return run_vtlab(method, frames, path)


def run_vtlab(method: str, frames: int, path: Path | None) -> list[int]:
    """The method frame by frame; its answers are not kept (encoded, they are results and grow by their nature)."""
    import psutil

    import vtlab
    from vtlab.prompts import MaskPrompt, Prompts
    from vtlab.video import Frame

    prompts = Prompts(
        MaskPrompt(polygon=((x, 10), (x + 24, 10), (x + 24, 50), (x, 50)), object_id=k + 1, frame=20 * k)
        for k, x in enumerate((4, 34, 64))
    )
    options = METHODS[method] | ({} if path is None else {"weights": path})
    process, resident = psutil.Process(), []
    tracker = vtlab.create_tracker(method, **options)
    for t in range(frames):
        now = Frame(t, t / 25, frame(t))
        answer = tracker.step(now, prompts.at(t)) if t else tracker.init(now, prompts.at(t))
        assert len(answer) == 1 + min(t // 20, 2)
        resident.append(process.memory_info().rss)
    return resident


def run_package(frames: int, folder: Path) -> list[int]:
    """SAM 2's own predictor: it loads all frames, then keeps an output for each."""
    import psutil
    import torch
    from PIL import Image

    from benchmarks.vos_speed import seeded, upstream

    for t in range(frames):
        Image.fromarray(frame(t)).save(folder / f"{t:05d}.jpg")
    predictor = upstream("sam2.1-tiny", seeded("sam2.1-tiny", SAM2_SIDE))
    process, resident = psutil.Process(), []
    with torch.inference_mode():
        state = predictor.init_state(str(folder))
        for k, x in enumerate((4, 34, 64)):
            predictor.add_new_points_or_box(state, 0, k + 1, box=np.array([x, 10, x + 24, 50], np.float32))
        for _ in predictor.propagate_in_video(state):
            resident.append(process.memory_info().rss)
    return resident


def main() -> None:
    numbers = [int(a) for a in sys.argv[1:] if a.isdigit()]
    frames = numbers[0] if numbers else FRAMES
    chosen = [a for a in sys.argv[1:] if a in METHODS] or list(METHODS)
    if "--child" in sys.argv:
        print(json.dumps(run(chosen[0], frames)))
        return
    table = Table(
        title=f"{frames} frames of {WIDTH} x {HEIGHT}, 3 objects; slope from frame {START}, at most {LIMIT} KB"
    )
    for column in ("method", "KB a frame", "peak MB", ""):
        table.add_column(column, justify="right")
    for method in chosen:
        child = [sys.executable, "-m", "benchmarks.memory_vos", "--child", str(frames), method]
        answer = subprocess.run(child, check=True, capture_output=True, text=True).stdout
        resident = np.array(json.loads(answer.splitlines()[-1])) / 1024
        slope = np.polyfit(np.arange(START, frames), resident[START:frames], 1)[0]
        verdict = "reference" if "package" in method else "flat" if slope < LIMIT else "GROWS"
        table.add_row(method, f"{slope:.2f}", f"{resident.max() / 1024:.0f}", verdict)
    Console().print(table)


if __name__ == "__main__":
    main()
