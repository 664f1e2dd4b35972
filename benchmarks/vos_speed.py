"""SAM 2's frames per second with 1, 4 and 16 objects: vtlab against the package's own video predictor.

Same weights (seeded), same clip, same device, one process; the two take turns, and of each frame the best of ten
rounds counts, since each round repeats the same work and machines are shared. Frames are prepared beforehand for both,
so inference alone is timed; on a CPU by CPU time. Targets: vtlab is not slower with one object and at least 1.5 times
as fast with 16. A last column is vtlab in bfloat16, as its option `dtype` has it, with the least and the mean IoU of its
masks with those of float32 (random weights: their logits lie nearer to 0 than a trained network's). The processor's or the
card's own bfloat16 makes it fast, such as `avx512_bf16`; without, it is slower than float32.

    python -m benchmarks.vos_speed [image_size] [variant] [objects ...]
"""

from __future__ import annotations

import contextlib
import io
import sys
import time
import warnings
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from vtlab.testing.seeded.masks import sam2, sam2_predictor
from vtlab.trackers.masks.sam2.inference import Given, Inference
from vtlab.weights.device import find_device

OBJECTS = (1, 4, 16)
FRAMES, ROUNDS = 10, 10


def clip(frames: int, image_size: int) -> torch.Tensor:
    """A moving texture, normalised: (frames, 3, S, S)."""
    generator = torch.Generator().manual_seed(0)
    ground = torch.randn((3, image_size // 8 + 8, image_size // 8 + 8), generator=generator)
    ground = ground.repeat_interleave(8, 1).repeat_interleave(8, 2)
    return torch.stack([ground[:, t : t + image_size, t : t + image_size] for t in range(frames)])


def box(k: int, image_size: int) -> np.ndarray:
    """The box of object k, in pixels of the network's input."""
    x, y = (k % 4) * image_size / 4, (k // 4) * image_size / 4
    return np.array([x, y, x + image_size / 4, y + image_size / 4], np.float32)


@torch.inference_mode()
def run_upstream(predictor: Any, images: torch.Tensor, objects: int) -> np.ndarray:
    """Seconds for each frame by the package's predictor."""
    size = images.shape[-1]
    state = predictor_state(predictor, images)
    times = [clock(images)]
    for k in range(objects):
        predictor.add_new_points_or_box(state, 0, k + 1, box=box(k, size))
    with contextlib.redirect_stderr(io.StringIO()):  # its progress bar
        for _ in predictor.propagate_in_video(state):
            times.append(clock(images))
    return np.diff(times)


def predictor_state(predictor: Any, images: torch.Tensor) -> dict[str, Any]:
    """The state that `init_state` makes of a folder of images, made of images at hand."""
    from sam2 import sam2_video_predictor

    before = sam2_video_predictor.load_video_frames
    sam2_video_predictor.load_video_frames = lambda **_: (images, images.shape[-1], images.shape[-1])
    try:
        state = predictor.init_state("")
        state["cached_features"] = {}  # else the first frame's features would be for free
        return state
    finally:
        sam2_video_predictor.load_video_frames = before


@torch.inference_mode()
def run_vtlab(
    network: Any, images: torch.Tensor, objects: int, dtype: torch.dtype = torch.float32
) -> tuple[np.ndarray, list[torch.Tensor]]:
    """Seconds for each frame by vtlab's inference, and its masks, (objects, S, S) a frame."""
    size, masks = images.shape[-1], []
    core = Inference(network)
    times = [clock(images)]
    for t, image in enumerate(images):
        given = {}
        if t == 0:
            corners = [torch.from_numpy(box(k, size).reshape(2, 2)).to(image.device) for k in range(objects)]
            given = {
                k + 1: Given(c, torch.tensor([2, 3], device=image.device)) for k, c in enumerate(corners)
            }
        with torch.autocast(images.device.type, dtype, enabled=dtype != torch.float32):
            results = core.step(image, given).values()
        found = [
            torch.nn.functional.interpolate(
                r.logits[None, None].float(), (size, size), mode="bilinear", align_corners=False
            )
            for r in results
        ]
        times.append(clock(images))
        masks.append(torch.cat(found)[:, 0] > 0)
    return np.diff(times), masks


def agreement(a: list[torch.Tensor], b: list[torch.Tensor]) -> tuple[float, float]:
    """Least and mean IoU of masks; 1 where both are empty."""
    p, q = torch.cat(a).flatten(1), torch.cat(b).flatten(1)
    union = (p | q).sum(dim=1)
    ious = torch.where(union > 0, (p & q).sum(dim=1) / union.clamp(min=1), 1.0)
    return float(ious.min()), float(ious.mean())


def clock(images: torch.Tensor) -> float:
    """Seconds: of the wall clock after everything queued on a GPU is done, of this process's work on a CPU."""
    if images.is_cuda:
        torch.cuda.synchronize()
        return time.perf_counter()
    return time.process_time()


def main() -> None:
    warnings.simplefilter("ignore")
    numbers = [int(a) for a in sys.argv[1:] if a.isdigit()]
    size, counts = (numbers or [128])[0], numbers[1:] or OBJECTS
    variant = next((a for a in sys.argv[1:] if not a.isdigit()), "sam2.1-tiny")
    device = find_device("auto")
    network = sam2(variant, size).to(device)
    predictor, images = sam2_predictor(variant, network).to(device), clip(FRAMES, size).to(device)
    table = Table(
        title=f"{variant}, {size} px, {device}, {torch.get_num_threads()} thread(s): frames per second"
    )
    for column in ("objects", "package", "vtlab", "ratio", "bfloat16", "its ratio", "IoU least, mean"):
        table.add_column(column, justify="right")
    for objects in counts:
        taken = []
        for _ in range(ROUNDS):
            theirs = run_upstream(predictor, images, objects)
            ours, masks = run_vtlab(network, images, objects)
            half, others = run_vtlab(network, images, objects, torch.bfloat16)
            taken.append((theirs, ours, half))
        fps = FRAMES / np.min(taken, axis=0).sum(axis=1)
        least, mean = agreement(masks, others)
        rates = [f"{fps[0]:.2f}", f"{fps[1]:.2f}", f"{fps[1] / fps[0]:.2f}", f"{fps[2]:.2f}"]
        table.add_row(str(objects), *rates, f"{fps[2] / fps[0]:.2f}", f"{least:.3f}, {mean:.3f}")
    Console().print(table)


if __name__ == "__main__":
    main()
