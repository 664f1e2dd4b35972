"""Resident memory of the mask trackers over 1,000 frames with 3 objects, beside the upstream predictors'.

Each method runs in a process of its own, with seeded weights on a small configuration (few layers, and memories that
fill within 200 frames: what would grow is kept by the trackers and not by the layers). Printed are the slopes of resident
memory (swapped-out pages count too) by least squares, from frame 200 to 1,000, which must stay below 5 KB a frame, and from
there to the end; the peak, to which the loading of a checkpoint adds for vtlab but not for SAM 2's predictor; and slope
and peak of the upstream loop on the same clip with the same network: the package's video predictor for SAM 2, which keeps
all frames and all outputs; the library's own session for transformers; the package's inference core for Cutie, whose memory
is bounded too. XMem's official code is no package. `sam3-text` gets words instead of objects, and its network finds what
its random weights find, at most three at a time. A run that is interrupted shows how far it came.

    python -m benchmarks.memory_vos [frames] [method ...]
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from rich.console import Console
from rich.table import Table

from vtlab.testing.seeded.masks import PACKAGES, SIDE, lacking, options, sam2, sam2_predictor, sam3, shrink
from vtlab.trackers.memory import give_back

FRAMES, START, STOP, LIMIT = 1000, 200, 1000, 5.0
HEIGHT, WIDTH = 48, 64
METHODS = (*PACKAGES, "sam3-text")
UPSTREAM = ("sam2.1-tiny", "sam2.1-tiny-transformers", "edgetam", "sam3", "sam3-text", "cutie-small")
LEFTS = (2, 23, 44)


def frame(t: int) -> np.ndarray:
    """A texture that drifts: (HEIGHT, WIDTH, 3)."""
    ground = np.kron(np.random.default_rng(0).integers(0, 255, (16, 24, 3)), np.ones((8, 8, 1)))
    return np.roll(ground.astype(np.uint8), (t // 3, t // 2), (0, 1))[:HEIGHT, :WIDTH].copy()


def vtlab_steps(method: str, params: dict[str, Any], change: Callable[[Any], None]) -> Iterator[None]:
    """The method frame by frame; its answers are not kept (encoded, they are results and grow by their nature)."""
    import vtlab
    from vtlab.prompts import MaskPrompt, Prompts
    from vtlab.video import Frame

    prompts = Prompts(
        MaskPrompt(polygon=((x, 8), (x + 18, 8), (x + 18, 40), (x, 40)), object_id=k + 1, frame=20 * k)
        for k, x in enumerate(LEFTS)
    )
    tracker = vtlab.create_tracker(method, **params)
    shrink(getattr(tracker, "_network", None))
    change(tracker)
    t = 0
    while True:
        now = Frame(t, t / 25, frame(t))
        answer = tracker.step(now, prompts.at(t)) if t else tracker.init(now, prompts.at(t))
        assert len(answer) == 1 + min(t // 20, 2)
        yield
        t += 1


def text_steps(folder: Path, upstream: bool) -> Iterator[None]:
    """`sam3-text` frame by frame; upstream, with the library's session left as its streaming mode leaves it."""
    import vtlab
    from vtlab.prompts import Prompts, TextPrompt
    from vtlab.video import Frame

    loose = {"confidence": 0.2, "new": 0.22, "most": len(LEFTS)}  # random weights are never sure
    tracker = vtlab.create_tracker("sam3-text", weights=sam3(folder / "sam3"), device="cpu", **loose)
    if upstream:
        tracker._forget = tracker._give_up = lambda *_: None
    prompts, t = Prompts(TextPrompt("yellow taxi")), 0
    while True:
        now = Frame(t, t / 25, frame(t))
        tracker.step(now) if t else tracker.init(now, prompts)
        yield
        t += 1


def sam2_steps(frames: int, folder: Path) -> Iterator[None]:
    """SAM 2's own predictor: it loads all frames, then keeps an output for each."""
    import torch
    from PIL import Image

    for t in range(frames):
        Image.fromarray(frame(t)).save(folder / f"{t:05d}.jpg")
    predictor = sam2_predictor("sam2.1-tiny", sam2("sam2.1-tiny", SIDE))
    shrink(predictor)
    with torch.inference_mode():
        state = predictor.init_state(str(folder))
        for k, x in enumerate(LEFTS):
            predictor.add_new_points_or_box(state, 0, k + 1, box=np.array([x, 8, x + 18, 40], np.float32))
        for _ in predictor.propagate_in_video(state):
            yield


def cutie_steps(params: dict[str, Any]) -> Iterator[None]:
    """Cutie's inference core as its package's loop calls it."""
    import torch

    import vtlab

    tracker = vtlab.create_tracker("cutie-small", **params)
    shrink(tracker._network)
    core, t = tracker._new_inference(HEIGHT, WIDTH), 0
    mask = torch.zeros((HEIGHT, WIDTH), dtype=torch.int64)
    for k, x in enumerate(LEFTS):
        mask[8:40, x : x + 18] = k + 1
    with torch.inference_mode():
        while True:
            image = torch.from_numpy(frame(t)).permute(2, 0, 1).float() / 255
            core.output_prob_to_mask(core.step(image) if t else core.step(image, mask, objects=[1, 2, 3]))
            yield
            t += 1


def run(method: str, frames: int, folder: Path, upstream: bool) -> np.ndarray:
    """Bytes held after each frame."""
    if upstream and method == "sam2.1-tiny":
        steps = sam2_steps(frames, folder)
    elif method == "sam3-text":
        steps = text_steps(folder, upstream)
    elif upstream and method == "cutie-small":
        steps = cutie_steps(options(method, folder))
    else:

        def as_the_library(tracker: Any) -> None:
            if upstream:
                tracker._forget = lambda: None

        steps = vtlab_steps(method, options(method, folder), as_the_library)
    resident = np.zeros(frames, np.int64)
    t = 0
    with contextlib.suppress(KeyboardInterrupt):
        for t, _ in zip(range(frames), steps, strict=False):
            resident[t] = held(trim=t % 50 == 0)
            if (t + 1) % 1000 == 0:
                print(f"{method}: {t + 1} frames, {resident[t] / 2**20:.1f} MB", file=sys.stderr, flush=True)
    return resident[: t + 1]


def held(trim: bool) -> int:
    """Bytes that the process holds for itself, in memory or swapped out: idle pages may leave, what is kept counts.

    `trim` first hands back what the allocator has kept of freed memory, where a little more would not show.
    """
    if not sys.platform.startswith("linux"):
        return int(psutil.Process().memory_info().rss)
    if trim:
        give_back()
    lines = (line.split() for line in Path("/proc/self/status").read_text().splitlines())
    return sum(1024 * int(words[1]) for words in lines if words[0] in ("RssAnon:", "VmSwap:"))


def measure(method: str, frames: int, upstream: bool) -> np.ndarray:
    """`run` in a process of its own: memory held in KB."""
    child = [sys.executable, "-m", "benchmarks.memory_vos", "--child", str(frames), method]
    child += ["--upstream"] if upstream else []
    answer = subprocess.run(child, check=True, stdout=subprocess.PIPE, text=True).stdout
    return np.array(json.loads(answer.splitlines()[-1])) / 1024


def slope(resident: np.ndarray, start: int, stop: int) -> float:
    """Growth in KB a frame by least squares; NaN for fewer than 50 frames."""
    part = resident[start:stop]
    return float(np.polyfit(np.arange(len(part)), part, 1)[0]) if len(part) >= 50 else float("nan")


def shown(number: float) -> str:
    """A slope for the table; there may be too few frames for one."""
    return "-" if np.isnan(number) else f"{number:.2f}"


def main() -> None:
    arguments = sys.argv[1:]
    numbers = [int(a) for a in arguments if a.isdigit()]
    frames = numbers[0] if numbers else FRAMES
    chosen = [a for a in arguments if a in METHODS] or list(METHODS)
    if "--child" in arguments:
        with tempfile.TemporaryDirectory() as folder:
            print(json.dumps(run(chosen[0], frames, Path(folder), "--upstream" in arguments).tolist()))
        return
    table = Table(title=f"{WIDTH} x {HEIGHT}, 3 objects; slopes in KB a frame, at most {LIMIT}; peaks in MB")
    for column in ("method", "frames", f"{START}-{STOP}", f"{STOP}-end", "peak", "upstream", "its peak", ""):
        table.add_column(column, justify="right")
    for method in chosen:
        missing = lacking("sam3" if method == "sam3-text" else method)
        if missing:
            table.add_row(method, *["-"] * 6, f"{missing} is not installed")
            continue
        ours = measure(method, frames, False)
        theirs = measure(method, min(frames, FRAMES), True) if method in UPSTREAM else None
        growth = slope(ours, START, STOP)
        table.add_row(
            method,
            str(len(ours)),
            shown(growth),
            shown(slope(ours, STOP, len(ours))),
            f"{ours.max() / 1024:.0f}",
            "-" if theirs is None else shown(slope(theirs, START, STOP)),
            "-" if theirs is None else f"{theirs.max() / 1024:.0f}",
            "too short" if np.isnan(growth) else "flat" if growth < LIMIT else "GROWS",
        )
    Console(width=120).print(table)


if __name__ == "__main__":
    main()
