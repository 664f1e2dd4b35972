"""Cutie: the networks of the package `cutie`, built without its command line, its downloads and its GPU.

Paper: Cheng et al., "Putting the Object Back into Video Object Segmentation", CVPR 2024, arXiv:2310.12982. Official
code: https://github.com/hkchengrex/Cutie (MIT). The module `cutie` comes with the wheel `rf-cutie`, a maintained fork
whose state dicts have the official names and shapes.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from torch import Tensor, nn

from vtlab.errors import InputError, needs

SIZES = ("base", "small")
_BUILDING = threading.Lock()


def settings(size: str) -> Any:
    """Return the package's evaluation settings (an omegaconf mapping) for a model size.

    Raises:
        InputError: An unknown size.
        MissingDependencyError: The package is not installed.
    """
    if size not in SIZES:
        raise InputError(f"Unknown size of Cutie {size!r}. Known: {', '.join(SIZES)}.")
    try:
        import cutie.config
        from omegaconf import OmegaConf
    except ImportError as error:
        raise needs("rf-cutie", "cutie", f"Cutie ({size})") from error
    folder = Path(cutie.config.__path__[0])
    config: Any = OmegaConf.load(folder / "eval_config.yaml")
    for key in ("defaults", "hydra"):
        del config[key]
    parts = [OmegaConf.load(folder / "model" / f"{name}.yaml") for name in dict.fromkeys(("base", size))]
    config.model = OmegaConf.merge(*({k: v for k, v in part.items() if k != "defaults"} for part in parts))
    return config


def build(config: Any) -> nn.Module:
    """Return the network of `settings`, without weights, in eval mode."""
    from cutie.model.cutie import CUTIE

    with _BUILDING, _without_downloads():
        return CUTIE(config).eval().requires_grad_(False)


@contextmanager
def _without_downloads() -> Iterator[None]:
    """The package's constructor fetches ImageNet weights, which the checkpoint replaces anyway."""
    from cutie.model.utils import resnet

    before = resnet.model_zoo, resnet.load_weights_add_extra_dim
    resnet.model_zoo = SimpleNamespace(load_url=lambda *_, **__: {})
    resnet.load_weights_add_extra_dim = lambda *_, **__: None
    try:
        yield
    finally:
        resnet.model_zoo, resnet.load_weights_add_extra_dim = before


def variant_of(tensors: Mapping[str, Tensor]) -> str | None:
    """Name the variant that a state dict belongs to, None for none of Cutie's."""
    if "object_transformer.query_init.weight" not in tensors:
        return None
    return "cutie-base" if "pixel_encoder.res2.0.conv3.weight" in tensors else "cutie-small"
