"""What the benchmarks of single-object trackers share: networks, weights, a clip."""

from __future__ import annotations

import re
import tempfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

import vtlab
from vtlab.errors import WeightsError
from vtlab.video import Frame

SIZE = (360, 480)
GAINS: dict[str, dict[str, float]] = {
    "transt": {
        r"(out_proj|linear\d*2)\.weight$": 0.2,
        r"^class_embed\.layers\.2\.weight$": 10,
        r"^bbox_embed\.layers\.2\.weight$": 2,
    },
    "mixformer-cvt": {r"^box_head\.conv5_tl\.": 3, r"^box_head\.conv5_br\.": -2},
    "mixformer-vit": {
        r"^box_head\.conv5_tl\.": 4,
        r"^box_head\.adjust(3_tl\.2|4_tl\.1)\.1\.(weight|bias)$": 0.3,
        r"^box_head\.adjust(3_br\.2|4_br\.1)\.1\.(weight|bias)$": 3,
    },
}
"""Factors on random weights, by method and parameter: without them all scores are alike, or boxes have no area."""


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


def networks() -> dict[str, Callable[[], tuple[Any, Callable[[], Any], Callable[[Any], Any]]]]:
    """Variant to a function that makes (network, its template part, its step) on the current device."""
    from vtlab.nets.mcitrack import CONFIGS, MCITrack
    from vtlab.nets.transt import TransT
    from vtlab.trackers.boxes.mixformer import crop_sizes, make_network

    def images(*shape: int) -> Any:
        import torch

        return torch.empty(*shape[:-1], 3, shape[-1], shape[-1])

    def transt(layers: int) -> Any:
        net = TransT(layers)
        return net, lambda: net.template(images(1, 128)), lambda kept: net(kept, images(1, 256))

    def mixformer(backbone: str, size: str, online: bool) -> Any:
        net = make_network(backbone, size, online)
        template, search = crop_sizes(backbone, size)
        return net, lambda: net.memorize(images(1, 2, template)), lambda kept: net(kept, images(1, search))

    def mcitrack(name: str) -> Any:
        import torch

        net, config = MCITrack(CONFIGS[name]), CONFIGS[name]

        def templates() -> Any:
            tokens = net.embed_templates(
                images(config.templates, config.template), torch.empty(config.templates, 4)
            )
            return tokens.flatten(0, 1)[None]

        state = [torch.empty(1, config.search_cells**2, 2 * config.dim, 16)] * 4
        return net, templates, lambda kept: net(images(1, config.search), kept, state)

    mixed = {
        f"mixformer-{b}{'-large' if size == 'large' else ''}{'' if online else '-offline'}": (b, size, online)
        for b in ("cvt", "vit")
        for size in ("base", "large")
        for online in (True, False)
    }
    return {
        "transt": lambda: transt(4),
        "transt-n2": lambda: transt(2),
        **{name: (lambda a=args: mixformer(*a)) for name, args in mixed.items()},
        **{f"mcitrack-{name}": (lambda n=name: mcitrack(n)) for name in CONFIGS},
    }


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


def save_random(method: str, path: Path) -> None:
    """Write a checkpoint whose values follow from the names and shapes alone, so that all machines have the same."""
    import torch

    with torch.device("meta"):
        state: Mapping[str, Any] = networks()[method]()[0].state_dict()
    gains = next((g for name, g in GAINS.items() if method.startswith(name)), {})
    filled = {}
    for name, value in state.items():
        if not value.is_floating_point():
            filled[name] = torch.zeros(value.shape, dtype=value.dtype)
            continue
        factor = float(np.prod([g for pattern, g in gains.items() if re.search(pattern, name)]))
        filled[name] = torch.from_numpy(_values(name, tuple(value.shape)) * np.float32(factor))
    torch.save({"net": filled}, path)


def _values(name: str, shape: tuple[int, ...]) -> np.ndarray:
    values = np.random.default_rng(zlib.crc32(name.encode())).standard_normal(shape, dtype=np.float32)
    if len(shape) > 1:
        return values / np.float32(np.sqrt(np.prod(shape[1:])))
    if name.endswith("running_var"):
        return 1 + np.abs(values) / 10
    return values / 10 + np.float32(name.endswith(("weight", "gamma", "scale")))


def find_hardware(device: str) -> tuple[str, str]:
    """The device that a name stands for ("cpu", "cuda", ...), and the words for it."""
    import torch

    from vtlab.weights.device import find_device

    kind = find_device(device).type
    if kind == "cuda":
        return kind, torch.cuda.get_device_name()
    return kind, f"{kind.upper()}, {torch.get_num_threads()} thread(s) of PyTorch"
