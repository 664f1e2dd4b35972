"""MixViT: MixFormer on a plain vision transformer, ViT-B/16 (base) or ViT-L/16 (large).

Papers: Cui et al., "MixFormer: End-to-End Tracking with Iterative Mixed Attention", TPAMI 2024,
https://arxiv.org/abs/2302.02814; Dosovitskiy et al., "An Image is Worth 16x16 Words", ICLR 2021. Official code:
https://github.com/MCG-NJU/MixFormer (MIT). See `vtlab.nets.mixformer` for what differs from the paper.
"""

from __future__ import annotations

from typing import NamedTuple, cast

import torch
from torch import Tensor, nn

from vtlab.nets.layers import PyramidCornerHead, sincos_position, split_heads, to_map, to_tokens
from vtlab.nets.mixformer import (
    Memory,
    MixedAttention,
    MixedBackbone,
    MixedBlock,
    MixFormer,
    ScorePrediction,
)


class VitConfig(NamedTuple):
    """Sizes of the transformer and of its inputs in pixels."""

    channels: int
    heads: int
    depth: int
    template: int
    search: int


# ViT-B and ViT-L with the crops that they were trained on; their position tables allow no others.
CONFIGS = {"base": VitConfig(768, 12, 12, 128, 288), "large": VitConfig(1024, 16, 24, 192, 384)}
PATCH = 16


class PackedAttention(MixedAttention):
    """Attention with one linear layer for queries, keys and values."""

    def __init__(self, channels: int, heads: int):
        super().__init__()
        self.heads = heads
        self.scale = (channels // heads) ** -0.5
        self.qkv = nn.Linear(channels, 3 * channels)
        self.proj = nn.Linear(channels, channels)

    def project(self, x: Tensor, maps: int, size: int) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys and values (B, heads, N, D) of tokens (B, N, C); `maps` and `size` don't matter."""
        q, k, v = self.qkv(x).chunk(3, dim=-1)
        return split_heads(q, self.heads), split_heads(k, self.heads), split_heads(v, self.heads)


class PatchEmbed(nn.Module):
    """Non-overlapping patches of 16 x 16 pixels."""

    def __init__(self, channels: int):
        super().__init__()
        self.proj = nn.Conv2d(3, channels, PATCH, stride=PATCH)

    def forward(self, x: Tensor) -> Tensor:
        """Tokens (M, N, C) of images (M, 3, S, S)."""
        return to_tokens(self.proj(x))


class MixVit(MixedBackbone):
    """The transformer; `cls_token`, `pos_embed`, `norm`, `head` are in the official state dict but never used."""

    def __init__(self, config: VitConfig):
        super().__init__()
        channels, template, search = config.channels, config.template // PATCH, config.search // PATCH
        self.cls_token = nn.Parameter(torch.zeros(1, 1, channels))
        # 14 x 14 patches and a class token, of ImageNet's 224 px.
        self.pos_embed = nn.Parameter(torch.zeros(1, 197, channels))
        self.pos_embed_s = nn.Parameter(sincos_position(search, search, channels), requires_grad=False)
        self.pos_embed_t = nn.Parameter(sincos_position(template, template, channels), requires_grad=False)
        self.patch_embed = PatchEmbed(channels)
        self.blocks = nn.ModuleList(
            MixedBlock(channels, PackedAttention(channels, config.heads), quick=False, eps=1e-6)
            for _ in range(config.depth)
        )
        self.norm = nn.LayerNorm(channels, eps=1e-6)
        self.head = nn.Linear(channels, 1000)

    def memorize(self, templates: Tensor) -> Memory:
        """Memory of templates (B, T, 3, S, S); the first of the T is the initial one."""
        batch, maps = templates.shape[:2]
        size = templates.shape[-1] // PATCH
        tokens = self.patch_embed(templates.flatten(0, 1)) + self.pos_embed_t
        tokens = tokens.reshape(batch, maps * size * size, -1)
        keys, values = [], []
        for block in self.blocks:
            tokens, k, v = cast(MixedBlock, block).memorize(tokens, maps, size)
            keys.append(k)
            values.append(v)
        return Memory(tuple(keys), tuple(values), to_map(tokens[:, : size * size], size, size))

    def forward(self, memory: Memory, search: Tensor) -> Tensor:
        """Features (B, C, S / 16, S / 16) of search regions (B, 3, S, S)."""
        size = search.shape[-1] // PATCH
        tokens = self.patch_embed(search) + self.pos_embed_s
        for i, block in enumerate(self.blocks):
            tokens = block(tokens, size, memory, i)
        return to_map(tokens, size, size)


def mixformer_vit(size: str = "base", *, online: bool = True) -> MixFormer:
    """Make a MixViT network.

    Args:
        size: "base" (templates 128 px, search 288 px) or "large" (192 and 384 px).
        online: With the score prediction module (and a frozen batch normalisation in the head).
    """
    config = CONFIGS[size]
    head = PyramidCornerHead(config.channels, frozen=online)
    return MixFormer(MixVit(config), head, ScorePrediction(config.channels) if online else None)
