"""What the benchmarks of single-object trackers share: networks, weights, a clip."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

import vtlab
from vtlab.errors import WeightsError
from vtlab.testing.seeded.boxes import networks, save_random
from vtlab.video import Frame

SIZE = (360, 480)


def footage(n: int) -> list[Frame]:
    """n frames of coarse noise that moves by a pixel a frame."""
    rng = np.random.default_rng(0)
    coarse = np.kron(rng.integers(0, 256, (60, 80, 3), dtype=np.uint8), np.ones((8, 8, 1), np.uint8))
    return [
        Frame(i, i / 30, np.ascontiguousarray(coarse[i : i + SIZE[0], i : i + SIZE[1]])) for i in range(n)
    ]


def boxes(n: int) -> np.ndarray:
    """Boxes (n, 4) xyxy that lie spread over the image."""
    rng = np.random.default_rng(1)
    corners = rng.uniform((20, 20), (SIZE[1] - 100, SIZE[0] - 100), (n, 2))
    return np.concatenate([corners, corners + rng.uniform(30, 80, (n, 2))], axis=1)


def cost(make: Callable[[], Any]) -> tuple[float, float, float]:
    """Parameters in millions, GFLOP of a step, GFLOP of the templates; nothing is computed for it."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    with torch.device("meta"), torch.no_grad():
        network, templates, step = make()
        network.eval()
        with FlopCounterMode(display=False) as once:
            kept = templates()
        with FlopCounterMode(display=False) as each:
            step(kept)
    parameters = sum(p.numel() for p in network.parameters())
    return parameters / 1e6, each.get_total_flops() / 1e9, once.get_total_flops() / 1e9


@contextmanager
def maker(method: str, device: str) -> Iterator[tuple[Callable[..., Any], str]]:
    """A function that makes a tracker of `method`, and what its weights are: "official" or "random".

    A tracker that has no choice of a device runs on the CPU.
    """
    try:
        tracker = vtlab.create_tracker(method)
    except WeightsError:
        if method not in networks():
            raise
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "random.pth"
            save_random(method, path)
            yield partial(vtlab.create_tracker, method, weights=path, device=device), "random"
    else:
        tracker.close()
        place = {"device": device} if "device" in tracker.params else {}
        yield partial(vtlab.create_tracker, method, **place), "official"


def find_hardware(device: str) -> tuple[str, str]:
    """The device that a name stands for ("cpu", "cuda", ...), and the words for it."""
    import torch

    from vtlab.weights.device import find_device

    kind = find_device(device).type
    if kind == "cuda":
        return kind, torch.cuda.get_device_name()
    return kind, f"{kind.upper()}, {torch.get_num_threads()} thread(s) of PyTorch"
