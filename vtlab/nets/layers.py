"""Parts that several tracking networks share: normalisation, positional encodings, attention, heads.

Tensors are batch first: images and maps (B, C, H, W), tokens (B, N, C) in row-major order of their map. The
names of parameters are those of the official checkpoints that use a part; each docstring names the source.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = [
    "BUDGET",
    "MLP",
    "CenterHead",
    "CornerHead",
    "FrozenBatchNorm2d",
    "PyramidCornerHead",
    "attend",
    "conv_norm_relu",
    "fold_batch_norms",
    "precise_roi_pool",
    "sincos_position",
    "sine_position",
    "split_heads",
    "spread",
    "to_map",
    "to_tokens",
    "unit_length",
]

BUDGET = 1 << 24
"""Most numbers of one intermediate tensor, where work is chunked: 64 MiB in float32."""


def spread(count: int, each: int) -> Iterator[slice]:
    """Slices of `count` items of `each` numbers that stay within `BUDGET`, one item at least."""
    step = max(1, BUDGET // max(each, 1))
    for start in range(0, count, step):
        yield slice(start, min(start + step, count))


def unit_length(maps: Tensor) -> Tensor:
    """Maps (B, C, h, w) with every cell's vector of length 1, as TAPIR and CoTracker3 compare them."""
    # 1e-12 as in both official codes: an empty cell stays 0.
    return maps * torch.rsqrt((maps * maps).sum(dim=1, keepdim=True).clamp(min=1e-12))


class FrozenBatchNorm2d(nn.Module):
    """Batch normalisation with constant statistics and constant affine part, all four of them buffers.

    The state dict has no `num_batches_tracked`, unlike that of `torch.nn.BatchNorm2d`.
    """

    weight: Tensor
    bias: Tensor
    running_mean: Tensor
    running_var: Tensor

    def __init__(self, channels: int, eps: float = 1e-5):
        super().__init__()
        self.eps = eps
        self.register_buffer("weight", torch.ones(channels))
        self.register_buffer("bias", torch.zeros(channels))
        self.register_buffer("running_mean", torch.zeros(channels))
        self.register_buffer("running_var", torch.ones(channels))

    def forward(self, x: Tensor) -> Tensor:
        """Normalise (B, C, H, W)."""
        return F.batch_norm(
            x, self.running_mean, self.running_var, self.weight, self.bias, training=False, eps=self.eps
        )


def fold_batch_norms(module: nn.Module) -> nn.Module:
    """Fold every batch normalisation that stands right behind a convolution into it, in place.

    A pair counts when both are neighbours among the children of one module, in the order of registration; the
    normalisation becomes `torch.nn.Identity`. For inference only: the names of the official state dict are
    gone afterwards, so load the checkpoint first.

    Returns:
        `module`, in eval mode.
    """
    module.eval()
    for parent in list(module.modules()):
        for _, conv, name, norm in _neighbours(parent):
            if isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d | FrozenBatchNorm2d):
                _fold(conv, norm)
                setattr(parent, name, nn.Identity())
    return module


def _neighbours(parent: nn.Module) -> Iterator[tuple[str, nn.Module, str, nn.Module]]:
    children = list(parent.named_children())
    for (a, first), (b, second) in itertools.pairwise(children):
        yield a, first, b, second


@torch.no_grad()
def _fold(conv: nn.Conv2d, norm: nn.BatchNorm2d | FrozenBatchNorm2d) -> None:
    mean, var = norm.running_mean, norm.running_var
    # In float64, so that folding moves answers by no more than the last bits of float32.
    scale = norm.weight.double() / (var.double() + norm.eps).sqrt()  # type: ignore[union-attr]
    bias = torch.zeros_like(scale) if conv.bias is None else conv.bias.double()
    folded = (bias - mean.double()) * scale + norm.bias.double()  # type: ignore[union-attr]
    conv.weight.copy_(conv.weight.double() * scale.view(-1, 1, 1, 1))
    conv.bias = nn.Parameter(folded.to(conv.weight.dtype), requires_grad=False)


def conv_norm_relu(inputs: int, outputs: int, *, frozen: bool) -> nn.Sequential:
    """3x3 convolution with bias, batch normalisation (frozen or ordinary) and ReLU."""
    norm = FrozenBatchNorm2d(outputs) if frozen else nn.BatchNorm2d(outputs)
    return nn.Sequential(nn.Conv2d(inputs, outputs, 3, padding=1), norm, nn.ReLU(inplace=True))


class MLP(nn.Module):
    """Linear layers `layers.0` .. `layers.{depth - 1}` with ReLU between them (DETR, 2020)."""

    def __init__(self, inputs: int, hidden: int, outputs: int, depth: int):
        super().__init__()
        sizes = [inputs, *[hidden] * (depth - 1), outputs]
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in itertools.pairwise(sizes))

    def forward(self, x: Tensor) -> Tensor:
        """Map (..., inputs) to (..., outputs)."""
        for layer in self.layers[:-1]:
            x = F.relu(layer(x))
        last: Tensor = self.layers[-1](x)
        return last


def to_tokens(x: Tensor) -> Tensor:
    """Turn a map (B, C, H, W) into its tokens (B, H * W, C), row-major."""
    return x.flatten(2).transpose(1, 2)


def to_map(tokens: Tensor, height: int, width: int) -> Tensor:
    """Turn tokens (B, H * W, C) into their map (B, C, H, W), a view in channels-last layout."""
    return tokens.transpose(1, 2).unflatten(2, (height, width))


def split_heads(tokens: Tensor, heads: int) -> Tensor:
    """Split (B, N, heads * D) into (B, heads, N, D)."""
    return tokens.unflatten(-1, (heads, -1)).transpose(1, 2)


def attend(q: Tensor, k: Tensor, v: Tensor, *, scale: float, mask: Tensor | None = None) -> Tensor:
    """Attention of queries (B, heads, N, D) to keys and values (B, heads, M, D): (B, N, heads * D).

    Args:
        q: Queries.
        k: Keys.
        v: Values.
        scale: Factor of the dot products before the softmax.
        mask: Boolean, broadcast to (B, heads, N, M); False keeps a key out.
    """
    out = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, scale=scale)
    return out.transpose(1, 2).flatten(2)


def sine_position(height: int, width: int, channels: int) -> Tensor:
    """Sine encoding of DETR (2020), normalised, as tokens (1, H * W, channels).

    Positions count from 1, are divided by the map's size and span (0, 2 pi]; the first half of the channels
    encodes y, the second x; even channels are sines, odd ones cosines.
    """
    half = channels // 2
    # A sine and its cosine share a frequency, hence the // 2.
    frequency = 10000 ** (2 * (torch.arange(half) // 2) / half)
    axes = []
    for size in (height, width):
        # 1e-6 is DETR's; it keeps nothing from 0 here, but belongs to the trained numbers.
        position = torch.arange(1, size + 1, dtype=torch.float32) / (size + 1e-6) * (2 * math.pi)
        angle = position[:, None] / frequency
        axes.append(torch.stack([angle[:, 0::2].sin(), angle[:, 1::2].cos()], dim=2).flatten(1))
    y = axes[0][:, None].expand(height, width, half)
    x = axes[1][None].expand(height, width, half)
    return torch.cat([y, x], dim=2).reshape(1, height * width, channels)


def sincos_position(height: int, width: int, channels: int) -> Tensor:
    """Sine-cosine table of MAE (2022) as tokens (1, H * W, channels).

    Positions count from 0 and are not normalised; the first half of the channels encodes the column, the
    second the row; within a half the sines come before the cosines.
    """
    quarter = channels // 4
    # In float64 as MAE made its tables.
    frequency = 10000 ** (-torch.arange(quarter, dtype=torch.float64) / quarter)
    rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    parts = []
    for position in (columns, rows):
        angle = position.reshape(-1, 1) * frequency
        parts += [angle.sin(), angle.cos()]
    return torch.cat(parts, dim=1).float()[None]


def precise_roi_pool(features: Tensor, boxes: Tensor, bins: int) -> Tensor:
    """Precise RoI pooling (Jiang et al., IoU-Net, ECCV 2018) of one box for each map.

    Each bin is the exact integral of the bilinearly interpolated map over the bin, divided by its area.

    Args:
        features: (B, C, H, W); the value of cell k lies at coordinate k, outside the map it is 0.
        boxes: (B, 4) xyxy in cells.
        bins: Bins on each axis.

    Returns:
        (B, C, bins, bins); zeros for a box without area.
    """
    height, width = features.shape[-2:]
    wx = _bin_weights(boxes[:, 0], boxes[:, 2], width, bins)
    wy = _bin_weights(boxes[:, 1], boxes[:, 3], height, bins)
    rows = wy.to(features.dtype)[:, None] @ features
    return rows @ wx.to(features.dtype).transpose(1, 2)[:, None]


def _bin_weights(low: Tensor, high: Tensor, cells: int, bins: int) -> Tensor:
    """Mean of each cell's hat function over each bin: (B, bins, cells)."""
    fractions = torch.arange(bins + 1, device=low.device, dtype=low.dtype) / bins
    edges = low[:, None] + (high - low)[:, None] * fractions
    u = (edges[:, :, None] - torch.arange(cells, device=low.device, dtype=low.dtype)).clamp(-1, 1)
    # Of the hat function max(0, 1 - |t|), from -1 to u.
    integral = torch.where(u < 0, (u + 1) ** 2 / 2, 0.5 + u - u**2 / 2)
    width = ((high - low) / bins)[:, None, None]
    # The official kernel answers 0 for a box without area, which corners in the wrong order give.
    return torch.where(width > 0, (integral[:, 1:] - integral[:, :-1]) / width.clamp(min=1e-12), 0.0)


class CornerHead(nn.Module):
    """Heat maps of the top-left and bottom-right corner, read as expectations (STARK, 2021; MixFormer).

    Differs from the paper: the expectation is over index * stride without half a cell, so that coordinates
    end at 1 - 1 / cells, and a box may come out with a negative width or height.
    """

    def __init__(self, inputs: int, *, channels: int = 384, frozen: bool):
        super().__init__()
        # Halved at each step as in STARK; the last convolution gives one number.
        widths = [inputs, channels, channels // 2, channels // 4, channels // 8]
        for corner in ("tl", "br"):
            for i, (a, b) in enumerate(itertools.pairwise(widths), start=1):
                self.add_module(f"conv{i}_{corner}", conv_norm_relu(a, b, frozen=frozen))
            self.add_module(f"conv5_{corner}", nn.Conv2d(widths[-1], 1, 1))

    def corner_map(self, x: Tensor, corner: str) -> Tensor:
        """Logits (B, 1, H, W) of one corner, 'tl' or 'br'."""
        for i in range(1, 6):
            x = self.get_submodule(f"conv{i}_{corner}")(x)
        return x

    def forward(self, x: Tensor) -> Tensor:
        """Map features (B, C, H, W) to boxes (B, 4): centre x, centre y, width, height as fractions."""
        low = _expected_position(self.corner_map(x, "tl"))
        high = _expected_position(self.corner_map(x, "br"))
        return torch.cat([(low + high) / 2, high - low], dim=1)


class PyramidCornerHead(CornerHead):
    """Corner head at four times the resolution, with nearest-neighbour upsampling (MixViT)."""

    def __init__(self, inputs: int, *, channels: int = 384, frozen: bool):
        super().__init__(inputs, channels=channels, frozen=frozen)
        half, quarter, eighth = channels // 2, channels // 4, channels // 8
        for corner in ("tl", "br"):
            chains = {
                3: [half, quarter, eighth, 1],
                4: [quarter, eighth, 1],
            }
            self.add_module(f"adjust1_{corner}", conv_norm_relu(inputs, half, frozen=frozen))
            self.add_module(f"adjust2_{corner}", conv_norm_relu(inputs, quarter, frozen=frozen))
            for i, widths in chains.items():
                steps = [conv_norm_relu(a, b, frozen=frozen) for a, b in itertools.pairwise(widths)]
                self.add_module(f"adjust{i}_{corner}", nn.Sequential(*steps))

    def corner_map(self, x: Tensor, corner: str) -> Tensor:
        """Logits (B, 1, 4 H, 4 W) of one corner, 'tl' or 'br'."""

        def part(name: str, features: Tensor) -> Tensor:
            result: Tensor = self.get_submodule(f"{name}_{corner}")(features)
            return result

        b = part("conv2", part("conv1", x))
        d = part("conv3", _upsample(b + part("adjust1", x), 2))
        e = _upsample(d, 2) + _upsample(part("adjust2", x), 4)
        g = part("conv5", part("conv4", e))
        # Each scale votes; those of the side branches end in ReLU, so that they can raise a cell and never lower it.
        return g + _upsample(part("adjust3", b), 4) + _upsample(part("adjust4", d), 2)


def _upsample(x: Tensor, factor: int) -> Tensor:
    return F.interpolate(x, scale_factor=factor, mode="nearest")


def _expected_position(logits: Tensor) -> Tensor:
    """Expectation (B, 2) of x and y under the softmax of (B, 1, H, W), in float32, as fractions of the map."""
    height, width = logits.shape[-2:]
    probability = logits.flatten(1).float().softmax(dim=1).unflatten(1, (height, width))
    # Of a cell's left edge, not its centre: what the official networks were trained to.
    x = torch.arange(width, device=logits.device, dtype=probability.dtype) / width
    y = torch.arange(height, device=logits.device, dtype=probability.dtype) / height
    return torch.stack([probability.sum(dim=1) @ x, probability.sum(dim=2) @ y], dim=1)


class CenterHead(nn.Module):
    """Centre score, offset and size maps (OSTrack, ECCV 2022; MCITrack).

    Differs from the paper: the offset is raw, in cells; score and size are sigmoids within [1e-4, 1 - 1e-4].
    """

    branches: ClassVar[dict[str, int]] = {"ctr": 1, "offset": 2, "size": 2}

    def __init__(self, inputs: int, *, channels: int = 256):
        super().__init__()
        widths = [inputs, channels, channels // 2, channels // 4, channels // 8]
        for branch, outputs in self.branches.items():
            for i, (a, b) in enumerate(itertools.pairwise(widths), start=1):
                self.add_module(f"conv{i}_{branch}", conv_norm_relu(a, b, frozen=False))
            self.add_module(f"conv5_{branch}", nn.Conv2d(widths[-1], outputs, 1))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Map features (B, C, H, W) to score (B, 1, H, W), size (B, 2, H, W) and offset (B, 2, H, W)."""
        maps = {}
        for branch in self.branches:
            y = x
            for i in range(1, 6):
                y = self.get_submodule(f"conv{i}_{branch}")(y)
            maps[branch] = y
        # The bounds keep the focal loss's logarithm finite in training; the official code leaves them in.
        score, size = (maps[name].sigmoid().clamp(1e-4, 1 - 1e-4) for name in ("ctr", "size"))
        return score, size, maps["offset"]
