"""The box trackers' networks with seeded weights."""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

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


def networks() -> dict[str, Callable[[], tuple[Any, Callable[[], Any], Callable[[Any], Any]]]]:
    """Variant to a function that makes (network, its template part, its step) on the current device."""
    from vtlab.nets import sutrack as su
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

    def tokens(net: Any, config: Any) -> Any:
        """What MCITrack and SUTrack keep of one object's templates."""
        import torch

        crops = images(config.templates, config.template)
        return net.embed_templates(crops, torch.empty(config.templates, 4)).flatten(0, 1)[None]

    def mcitrack(name: str) -> Any:
        import torch

        net, config = MCITrack(CONFIGS[name]), CONFIGS[name]
        state = [torch.empty(1, config.search_cells**2, 2 * config.dim, 16)] * 4
        return net, lambda: tokens(net, config), lambda kept: net(images(1, config.search), kept, state)

    def sutrack(name: str) -> Any:
        net, config = su.SUTrack(su.CONFIGS[name]), su.CONFIGS[name]
        return net, lambda: tokens(net, config), lambda kept: net(images(1, config.search), kept)

    mixed = {
        f"mixformer-{b}{'-large' if size == 'large' else ''}{'' if online else '-offline'}": (b, size, online)
        for b in ("cvt", "vit")
        for size in ("base", "large")
        for online in (True, False)
    }
    return {
        "transt": lambda: transt(4),
        "transt-n2": lambda: transt(2),
        **{name: partial(mixformer, *args) for name, args in mixed.items()},
        **{f"mcitrack-{name}": partial(mcitrack, name) for name in CONFIGS},
        **{f"sutrack-{name}": partial(sutrack, name) for name in su.CONFIGS},
    }


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
    # By name, not by order: a network that gains a part keeps the values of the others.
    values = np.random.default_rng(zlib.crc32(name.encode())).standard_normal(shape, dtype=np.float32)
    if len(shape) > 1:
        # Unit gain, so that activations neither vanish nor explode over many layers.
        return values / np.float32(np.sqrt(np.prod(shape[1:])))
    if name.endswith("running_var"):
        return 1 + np.abs(values) / 10
    return values / 10 + np.float32(name.endswith(("weight", "gamma", "scale")))
