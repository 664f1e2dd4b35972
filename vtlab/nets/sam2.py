"""SAM 2: the networks of the package `sam2`, built without its command-line configuration and without torchvision.

Paper: Ravi et al., "SAM 2: Segment Anything in Images and Videos", ICLR 2025, arXiv:2408.00714. Official code:
https://github.com/facebookresearch/sam2 (Apache-2.0). The module `sam2` comes with the wheel `rf-sam-2` or with
the official package; both have the same networks and configurations.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from vtlab.errors import InputError, needs

_SIZES = {"tiny": "t", "small": "s", "base-plus": "b+", "large": "l"}
CONFIGS = {
    f"{version}-{size}": f"configs/{version}/{version}_hiera_{letter}.yaml"
    for version in ("sam2", "sam2.1")
    for size, letter in _SIZES.items()
}
"""Variant -> the package's configuration file."""

# Width and blocks of the Hiera trunk, which tell a file's size.
_TRUNKS = {(96, 12): "tiny", (96, 16): "small", (112, 24): "base-plus", (144, 48): "large"}
DECODER = {
    "dynamic_multimask_via_stability": True,
    "dynamic_multimask_stability_delta": 0.05,
    "dynamic_multimask_stability_thresh": 0.98,
}
"""Arguments of the mask decoder with which the package builds its predictors."""


def check_installed(what: str) -> None:
    """Raise `MissingDependencyError` unless the package is here; `what` needs it."""
    if find_spec("sam2") is None or find_spec("hydra") is None:
        raise needs("rf-sam-2", "sam2", repr(what))


def build(variant: str, *, image_size: int | None = None) -> nn.Module:
    """Return the network (`vtlab.nets.sam2_parts.SAM2Base`) of a variant, without weights, in eval mode.

    Two settings are those of the package's own video predictor rather than of the configuration file: a mask
    that is not stable gives way to the best of three, and prompted masks enter the memory as hard masks. Some
    parts are those of `vtlab.nets.sam2_parts`.

    Args:
        variant: A key of `CONFIGS`.
        image_size: Side in pixels of the square that images are scaled to, a multiple of 32; None = 1024, on
            which the networks were trained.

    Raises:
        InputError: An unknown variant, or an impossible size.
        MissingDependencyError: The package is not installed.
    """
    if variant not in CONFIGS:
        raise InputError(f"Unknown SAM 2 variant {variant!r}. Known: {', '.join(CONFIGS)}.")
    if image_size is not None and (image_size < 64 or image_size % 32):
        raise InputError(f"image_size must be a multiple of 32 from 64 on, got {image_size}.")
    check_installed(variant)
    import sam2
    from hydra.utils import instantiate
    from omegaconf import OmegaConf

    loaded: Any = OmegaConf.load(Path(sam2.__path__[0]) / CONFIGS[variant])
    model = loaded.model
    if image_size is not None:
        model.image_size = image_size
    model.binarize_mask_from_pts_for_mem_enc = True
    model.sam_mask_decoder_extra_args = DECODER
    for config in (
        model,
        model.image_encoder.trunk,
        model.image_encoder.neck.position_encoding,
        model.memory_attention,
        model.memory_attention.layer,
        model.memory_encoder.position_encoding,
        model.memory_encoder.fuser.layer,
    ):
        config._target_ = f"vtlab.nets.sam2_parts.{config._target_.rpartition('.')[2]}"
    return instantiate(model, _recursive_=True).eval().requires_grad_(False)


def variant_of(tensors: Mapping[str, Tensor]) -> str | None:
    """Name the variant that a state dict belongs to, None for none of SAM 2's."""
    patches = tensors.get("image_encoder.trunk.patch_embed.proj.weight")
    if patches is None:
        return None
    blocks = {name.split(".")[3] for name in tensors if name.startswith("image_encoder.trunk.blocks.")}
    size = _TRUNKS.get((patches.shape[0], len(blocks)))
    version = "sam2.1" if "no_obj_embed_spatial" in tensors else "sam2"
    return f"{version}-{size}" if size else None
