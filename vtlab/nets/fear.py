"""FEAR-XS: a mobile backbone and pixel-wise correlation with a template.

Paper: Borsuk et al., "FEAR: Fast, Efficient, Accurate and Robust Visual Tracker", ECCV 2022,
https://arxiv.org/abs/2112.07957. Official code: https://github.com/PinataFarms/FEARTracker (MIT). The backbone is
FBNet-C (Wu et al., CVPR 2019) up to stride 16. Written from a description of the network that the official phone demo
holds: every normalisation is folded into its convolution there, and so it is here.

Differs from the paper: the template is never updated (the dual template is a training loss here); the published files are
those of the demo, in float16. Images are (B, 3, S, S) RGB, 0 to 255; the network normalises them by the file's own numbers,
ImageNet's mean and standard deviation rounded to float16 (what that rounding moves is 0.002 in the features).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from vtlab.errors import WeightsError
from vtlab.weights.checkpoints import load_tensors
from vtlab.weights.coreml import Convolution, read_convolutions

__all__ = ["TEMPLATE_CELLS", "FearXS", "read", "variant_of"]

# As the scaler of the official CoreML file holds them, in float16.
BIAS = (-123.67500305175781, -116.27999877929688, -103.52999877929688)
SCALE = (0.01712036, 0.01750183, 0.01742554)
"""An image's channels are (value + bias) * scale."""
# Channels between backbone and head, as in the official file.
WIDTH = 256
TEMPLATE_CELLS = 64
"""Positions of an 8 x 8 template, each of which is a channel of the correlation."""

# FBNet-C up to stride 16, as the official file lists its layers.
_BLOCKS = (  # inputs, hidden (None: not widened), outputs, kernel, stride
    (16, None, 16, 3, 1),
    (16, 96, 24, 3, 2),
    (24, None, 24, 3, 1),
    (24, None, 24, 3, 1),
    (24, 144, 32, 5, 2),
    (32, 96, 32, 5, 1),
    (32, 192, 32, 5, 1),
    (32, 192, 32, 3, 1),
    (32, 192, 64, 5, 2),
    (64, 192, 64, 5, 1),
    (64, 384, 64, 5, 1),
    (64, 384, 64, 5, 1),
    (64, 384, 112, 5, 1),
    (112, 672, 112, 5, 1),
    (112, 672, 112, 5, 1),
    (112, 336, 112, 5, 1),
)


class Block(nn.Module):
    """Widen, filter each channel, narrow; added to its input where the shapes agree."""

    def __init__(self, inputs: int, hidden: int | None, outputs: int, kernel: int, stride: int):
        super().__init__()
        wide = hidden or inputs
        self.residual = stride == 1 and inputs == outputs
        layers: list[nn.Module] = (
            [] if hidden is None else [nn.Conv2d(inputs, wide, 1), nn.ReLU(inplace=True)]
        )
        layers += [nn.Conv2d(wide, wide, kernel, stride, kernel // 2, groups=wide), nn.ReLU(inplace=True)]
        self.layers = nn.Sequential(*layers, nn.Conv2d(wide, outputs, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) to (B, C', H / stride, W / stride)."""
        y: Tensor = self.layers(x)
        return x + y if self.residual else y


class Separable(nn.Sequential):
    """A 3x3 convolution of each channel, then one of all channels."""

    def __init__(self, inputs: int, outputs: int, *, bias: bool = True, act: bool = True):
        layers = [
            nn.Conv2d(inputs, inputs, 3, padding=1, groups=inputs, bias=bias),
            nn.Conv2d(inputs, outputs, 1),
        ]
        super().__init__(*layers, *([nn.ReLU(inplace=True)] if act else []))


def _tower(outputs: int) -> nn.Sequential:
    return nn.Sequential(
        Separable(WIDTH, WIDTH), Separable(WIDTH, WIDTH), Separable(WIDTH, outputs, act=False)
    )


class FearXS(nn.Module):
    """The whole network. One object on one frame is one row of the batch; modules stand in the official file's order."""

    full_precision = ()
    """Modules that run in float32 whatever the rest of the network runs in."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 16, 3, 2, 1), nn.ReLU(inplace=True))
        self.blocks = nn.Sequential(*(Block(*spec) for spec in _BLOCKS))
        self.neck = nn.Conv2d(_BLOCKS[-1][2], WIDTH, 1)
        self.cls_encode = Separable(WIDTH, WIDTH, bias=False)
        self.box_encode = Separable(WIDTH, WIDTH, bias=False)
        self.cls_fuse = Separable(WIDTH + TEMPLATE_CELLS, WIDTH)
        self.box_fuse = Separable(WIDTH + TEMPLATE_CELLS, WIDTH)
        self.box_tower = _tower(4)
        self.cls_tower = _tower(1)

    def features(self, images: Tensor) -> Tensor:
        """Map images (B, 3, S, S) to features (B, 256, S / 16, S / 16)."""
        bias, scale = (images.new_tensor(v).view(3, 1, 1) for v in (BIAS, SCALE))
        found: Tensor = self.neck(self.blocks(self.stem((images + bias) * scale)))
        return found

    def template(self, images: Tensor) -> Tensor:
        """Map template crops (B, 3, 128, 128) to what `forward` needs of them (B, 64, 256), to be kept."""
        return self.features(images).flatten(2).transpose(1, 2).contiguous()

    def forward(self, template: Tensor, search: Tensor) -> tuple[Tensor, Tensor]:
        """Look for the objects in one frame.

        Args:
            template: (B, 64, 256) of `template`.
            search: (B, 3, 256, 256) search crops.

        Returns:
            Logits (B, 1, 16, 16), distances (B, 4, 16, 16) in pixels of the crop from each cell's point to the box's
            left, top, right and bottom.
        """
        found = self.features(search)
        logits = self.cls_tower(self._correlate(template, self.cls_encode(found), self.cls_fuse))
        distances = self.box_tower(self._correlate(template, self.box_encode(found), self.box_fuse))
        # In float32: e to the power of more than 11 is too much for float16.
        return logits, distances.float().exp()

    @staticmethod
    def _correlate(template: Tensor, search: Tensor, fuse: nn.Module) -> Tensor:
        # Not normalised: the convolution behind was trained on bare inner products.
        alike = torch.bmm(template, search.flatten(2)).unflatten(2, search.shape[2:])
        fused: Tensor = fuse(torch.cat([search, alike], dim=1))
        return fused


def read(path: Path) -> dict[str, Tensor]:
    """Read the official CoreML file, or a state dict of `FearXS` that somebody trained further.

    Raises:
        WeightsError: The file is damaged, or the network that it holds is another one.
    """
    if path.suffix != ".mlmodel":
        return load_tensors(path)
    with torch.device("meta"):
        own = [(n, m) for n, m in FearXS().named_modules() if isinstance(m, nn.Conv2d)]
    found = read_convolutions(path)
    # The file's names are numbers of an export, so convolutions are matched by their order.
    if len(found) != len(own):
        raise WeightsError(
            f"The checkpoint {path} holds {len(found)} convolutions, FEAR-XS has {len(own)}. Remedy: give Tracker.mlmodel "
            "(TrackerInit.mlmodel is a part of it)."
        )
    tensors = {}
    for (name, module), given in zip(own, found, strict=True):
        _check(name, module, given, path)
        tensors[f"{name}.weight"] = torch.from_numpy(given.weight.copy())
        if given.bias is not None:
            tensors[f"{name}.bias"] = torch.from_numpy(given.bias.copy())
    return tensors


def _check(name: str, module: nn.Conv2d, given: Convolution, path: Path) -> None:
    """Refuse a convolution that shapes alone would let pass."""
    if (given.groups, given.stride) != (module.groups, module.stride):
        raise WeightsError(
            f"The checkpoint {path} is not FEAR-XS: {given.name!r} ({name}) has {given.groups} groups and stride "
            f"{given.stride}, expected {module.groups} and {module.stride}."
        )


def variant_of(tensors: Mapping[str, Tensor]) -> str | None:
    """Name the variant a state dict belongs to, or None when it is none."""
    return "fear-xs" if "cls_fuse.0.weight" in tensors else None
