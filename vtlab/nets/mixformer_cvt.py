"""MixCvT: MixFormer on the convolutional vision transformer CvT-21 (base) or CvT-w24 (large).

Papers: Cui et al., "MixFormer", CVPR 2022, https://arxiv.org/abs/2203.11082; Wu et al., "CvT: Introducing
Convolutions to Vision Transformers", ICCV 2021, https://arxiv.org/abs/2103.15808. Official code:
https://github.com/MCG-NJU/MixFormer (MIT). See `vtlab.nets.mixformer` for what differs from the paper.
"""

from __future__ import annotations

from typing import NamedTuple, cast

from torch import Tensor, nn

from vtlab.nets.layers import CornerHead, FrozenBatchNorm2d, split_heads, to_map, to_tokens
from vtlab.nets.mixformer import (
    Memory,
    MixedAttention,
    MixedBackbone,
    MixedBlock,
    MixFormer,
    ScorePrediction,
)


class CvtConfig(NamedTuple):
    """Sizes of the three stages."""

    channels: tuple[int, int, int]
    heads: tuple[int, int, int]
    depths: tuple[int, int, int]


# CvT-21 and CvT-W24 (Wu et al., ICCV 2021), the latter with 12 of its 20 last blocks, as the official files hold them.
CONFIGS = {
    "base": CvtConfig((64, 192, 384), (1, 3, 6), (1, 4, 16)),
    "large": CvtConfig((192, 768, 1024), (3, 12, 16), (2, 2, 12)),
}


class DepthwiseProjection(nn.Module):
    """Depth-wise 3x3 convolution and frozen batch normalisation on each map."""

    def __init__(self, channels: int, stride: int):
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, stride=stride, padding=1, groups=channels, bias=False)
        self.bn = FrozenBatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        """Map (M, C, H, W) to tokens (M, N, C)."""
        return to_tokens(self.bn(self.conv(x)))


class ConvAttention(MixedAttention):
    """Attention whose queries, keys and values come from depth-wise convolutions; keys and values are halved."""

    def __init__(self, channels: int, heads: int):
        super().__init__()
        self.heads = heads
        # Of all channels, not a head's: what the official networks were trained with.
        self.scale = channels**-0.5
        # Keys and values at half the resolution, so a quarter of them: CvT's way to cheap attention.
        for name, stride in (("q", 1), ("k", 2), ("v", 2)):
            self.add_module(f"conv_proj_{name}", DepthwiseProjection(channels, stride))
            self.add_module(f"proj_{name}", nn.Linear(channels, channels))
        self.proj = nn.Linear(channels, channels)

    def project(self, x: Tensor, maps: int, size: int) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys and values (B, heads, N, D) of tokens (B, maps * size * size, C)."""
        # Each map by itself: a convolution must not look from one template into the next.
        image = to_map(x.reshape(-1, size * size, x.shape[-1]), size, size)

        def one(name: str) -> Tensor:
            tokens = self.get_submodule(f"conv_proj_{name}")(image)
            joined = tokens.reshape(-1, maps * tokens.shape[1], tokens.shape[2])
            return split_heads(self.get_submodule(f"proj_{name}")(joined), self.heads)

        return one("q"), one("k"), one("v")


class ConvEmbed(nn.Module):
    """Overlapping patches: a strided convolution, then LayerNorm over the channels."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, padding: int):
        super().__init__()
        self.proj = nn.Conv2d(inputs, outputs, kernel, stride=stride, padding=padding)
        self.norm = nn.LayerNorm(outputs)

    def forward(self, x: Tensor) -> tuple[Tensor, int]:
        """Tokens (M, N, C) of maps (M, inputs, H, H), and the side of the new map."""
        x = self.proj(x)
        return self.norm(to_tokens(x)), x.shape[-1]


class Stage(nn.Module):
    """Patch embedding and the blocks on one resolution."""

    def __init__(self, inputs: int, channels: int, heads: int, depth: int, *, first: bool):
        super().__init__()
        # CvT's: patches overlap, which also tells positions, so there is no code of them.
        kernel, stride, padding = (7, 4, 2) if first else (3, 2, 1)
        self.patch_embed = ConvEmbed(inputs, channels, kernel, stride, padding)
        self.blocks = nn.ModuleList(
            MixedBlock(channels, ConvAttention(channels, heads), quick=True, eps=1e-5) for _ in range(depth)
        )


class MixCvt(MixedBackbone):
    """The three stages; `norm` and `head` are in the official state dict but never used."""

    def __init__(self, config: CvtConfig):
        super().__init__()
        inputs = (3, *config.channels[:2])
        for i in range(3):
            stage = Stage(inputs[i], config.channels[i], config.heads[i], config.depths[i], first=i == 0)
            self.add_module(f"stage{i}", stage)
        self.norm = nn.LayerNorm(config.channels[-1])
        self.head = nn.Linear(config.channels[-1], 1000)

    def stages(self) -> list[Stage]:
        """The three stages in order."""
        return [cast(Stage, self.get_submodule(f"stage{i}")) for i in range(3)]

    def memorize(self, templates: Tensor) -> Memory:
        """Memory of templates (B, T, 3, S, S); the first of the T is the initial one."""
        batch, maps = templates.shape[:2]
        keys, values = [], []
        x = templates.flatten(0, 1)
        for stage in self.stages():
            tokens, size = stage.patch_embed(x)
            tokens = tokens.reshape(batch, maps * size * size, -1)
            for block in stage.blocks:
                tokens, k, v = cast(MixedBlock, block).memorize(tokens, maps, size)
                keys.append(k)
                values.append(v)
            x = to_map(tokens.reshape(batch * maps, size * size, -1), size, size)
        first = x.unflatten(0, (batch, maps))[:, 0]
        return Memory(tuple(keys), tuple(values), first)

    def forward(self, memory: Memory, search: Tensor) -> Tensor:
        """Features (B, C, S / 16, S / 16) of search regions (B, 3, S, S)."""
        x, index = search, 0
        for stage in self.stages():
            tokens, size = stage.patch_embed(x)
            for block in stage.blocks:
                tokens = block(tokens, size, memory, index)
                index += 1
            x = to_map(tokens, size, size)
        return x


def mixformer_cvt(size: str = "base", *, online: bool = True) -> MixFormer:
    """Make a MixCvT network.

    Args:
        size: "base" or "large".
        online: With the score prediction module (and a frozen batch normalisation in the head).
    """
    config = CONFIGS[size]
    channels = config.channels[-1]
    head = CornerHead(channels, frozen=online)
    return MixFormer(MixCvt(config), head, ScorePrediction(channels) if online else None)
