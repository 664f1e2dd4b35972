"""TransT: template and search features fused by attention alone, a box and a score for each search token.

Paper: Chen et al., "Transformer Tracking", CVPR 2021, https://arxiv.org/abs/2103.15436.
Official code: https://github.com/chenxin-dlut/TransT (GPL-3.0; this file is written from the paper and from a
description of its behaviour). Parameters carry the official names, so the official state dict loads with
`strict=True`.

Differs from the paper, following the official code: only the first block of the backbone's third stage is
dilated; the positional encoding counts from 1 and is normalised by the map's size.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vtlab.nets.layers import MLP, attend, sine_position, split_heads, to_tokens


class Bottleneck(nn.Module):
    """ResNet bottleneck (He et al., CVPR 2016) with the stride on the 3x3 convolution."""

    def __init__(self, inputs: int, width: int, *, stride: int = 1, dilation: int = 1):
        super().__init__()
        outputs = 4 * width
        self.conv1 = nn.Conv2d(inputs, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(
            width, width, 3, stride=stride, padding=dilation, dilation=dilation, bias=False
        )
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, outputs, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(outputs)
        self.downsample: nn.Sequential | None = None
        if inputs != outputs or stride != 1:
            self.downsample = nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride=stride, bias=False), nn.BatchNorm2d(outputs)
            )

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, inputs, H, W) to (B, 4 * width, H / stride, W / stride)."""
        y = F.relu(self.bn1(self.conv1(x)), inplace=True)
        y = F.relu(self.bn2(self.conv2(y)), inplace=True)
        y = self.bn3(self.conv3(y))
        y += x if self.downsample is None else self.downsample(x)
        return F.relu(y, inplace=True)


class ResNet50(nn.Module):
    """ResNet-50 without its fourth stage, output stride 8: (B, 3, H, W) to (B, 1024, H / 8, W / 8)."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.layer1 = self._stage(64, 64, 3)
        self.layer2 = self._stage(256, 128, 4, stride=2)
        # Dilated in place of strided, so that features keep stride 8 (paper, section 3.1).
        self.layer3 = self._stage(512, 256, 6, dilation=2)

    @staticmethod
    def _stage(inputs: int, width: int, blocks: int, *, stride: int = 1, dilation: int = 1) -> nn.Sequential:
        first = Bottleneck(inputs, width, stride=stride, dilation=dilation)
        return nn.Sequential(first, *(Bottleneck(4 * width, width) for _ in range(blocks - 1)))

    def forward(self, x: Tensor) -> Tensor:
        """Features of a batch of images."""
        x = F.relu(self.bn1(self.conv1(x)), inplace=True)
        x = F.max_pool2d(x, 3, stride=2, padding=1)
        return cast(Tensor, self.layer3(self.layer2(self.layer1(x))))


class Attention(nn.Module):
    """Multi-head attention with the parameter names of `torch.nn.MultiheadAttention`, batch first."""

    def __init__(self, channels: int, heads: int):
        super().__init__()
        self.heads = heads
        self.scale = (channels // heads) ** -0.5
        self.in_proj_weight = nn.Parameter(torch.empty(3 * channels, channels))
        self.in_proj_bias = nn.Parameter(torch.zeros(3 * channels))
        self.out_proj = nn.Linear(channels, channels)
        nn.init.xavier_uniform_(self.in_proj_weight)

    def forward(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """Attend from (B, N, C) to (B, M, C): (B, N, C)."""
        weights, biases = self.in_proj_weight.chunk(3), self.in_proj_bias.chunk(3)
        q, k, v = (
            split_heads(F.linear(x, w, b), self.heads)
            for x, w, b in zip((query, key, value), weights, biases, strict=True)
        )
        return cast(Tensor, self.out_proj(attend(q, k, v, scale=self.scale)))


class FusionLayer(nn.Module):
    """Ego-context augment on template and search, then cross-feature augment both ways at once."""

    def __init__(self, channels: int, heads: int, hidden: int):
        super().__init__()
        self.self_attn1 = Attention(channels, heads)
        self.self_attn2 = Attention(channels, heads)
        self.multihead_attn1 = Attention(channels, heads)
        self.multihead_attn2 = Attention(channels, heads)
        for side in (1, 2):
            self.add_module(f"linear{side}1", nn.Linear(channels, hidden))
            self.add_module(f"linear{side}2", nn.Linear(hidden, channels))
            for i in (1, 2, 3):
                self.add_module(f"norm{side}{i}", nn.LayerNorm(channels))

    def augment(self, tokens: Tensor, position: Tensor, side: int) -> Tensor:
        """Self attention of one side: 1 = template, 2 = search."""
        # Positions say where to look, not what is found: values go without, as in DETR.
        placed = tokens + position
        attended = self.get_submodule(f"self_attn{side}")(placed, placed, tokens)
        return cast(Tensor, self.get_submodule(f"norm{side}1")(tokens + attended))

    def cross(self, own: Tensor, own_position: Tensor, other: Tensor, placed: Tensor, side: int) -> Tensor:
        """Cross attention to the other side (`placed` = with its positions), then the feed-forward part."""
        attended = self.get_submodule(f"multihead_attn{side}")(own + own_position, placed, other)
        x = self.get_submodule(f"norm{side}2")(own + attended)
        hidden = F.relu(self.get_submodule(f"linear{side}1")(x), inplace=True)
        return cast(
            Tensor, self.get_submodule(f"norm{side}3")(x + self.get_submodule(f"linear{side}2")(hidden))
        )


class DecoderLayer(nn.Module):
    """Cross attention from search to template and a feed-forward part; no self attention."""

    def __init__(self, channels: int, heads: int, hidden: int):
        super().__init__()
        self.multihead_attn = Attention(channels, heads)
        self.linear1 = nn.Linear(channels, hidden)
        self.linear2 = nn.Linear(hidden, channels)
        self.norm1 = nn.LayerNorm(channels)
        self.norm2 = nn.LayerNorm(channels)

    def forward(self, search: Tensor, position: Tensor, template: Tensor, placed: Tensor) -> Tensor:
        """Map search tokens (B, N, C) to tokens of the same shape."""
        x = self.norm1(search + self.multihead_attn(search + position, placed, template))
        return cast(Tensor, self.norm2(x + self.linear2(F.relu(self.linear1(x), inplace=True))))


class _Encoder(nn.Module):
    def __init__(self, depth: int, channels: int, heads: int, hidden: int):
        super().__init__()
        self.layers = nn.ModuleList(FusionLayer(channels, heads, hidden) for _ in range(depth))


class _Decoder(nn.Module):
    def __init__(self, channels: int, heads: int, hidden: int):
        super().__init__()
        self.layers = nn.ModuleList([DecoderLayer(channels, heads, hidden)])
        self.norm = nn.LayerNorm(channels)


class FeatureFusion(nn.Module):
    """Fusion layers and decoder on template tokens (B, N, C) and search tokens (B, M, C)."""

    def __init__(self, depth: int, channels: int, heads: int, hidden: int):
        super().__init__()
        self.encoder = _Encoder(depth, channels, heads, hidden)
        self.decoder = _Decoder(channels, heads, hidden)

    def begin(self, template: Tensor, position: Tensor) -> Tensor:
        """The part of the first layer that sees the template alone."""
        return cast(FusionLayer, self.encoder.layers[0]).augment(template, position, 1)

    def forward(
        self, template: Tensor, template_position: Tensor, search: Tensor, search_position: Tensor
    ) -> Tensor:
        """Fuse; `template` is what `begin` returned. Returns search tokens (B, M, C)."""
        t, s, pt, ps = template, search, template_position, search_position
        for i, module in enumerate(self.encoder.layers):
            layer = cast(FusionLayer, module)
            if i > 0:
                t = layer.augment(t, pt, 1)
            s = layer.augment(s, ps, 2)
            t, s = layer.cross(t, pt, s, s + ps, 1), layer.cross(s, ps, t, t + pt, 2)
        return cast(Tensor, self.decoder.norm(self.decoder.layers[0](s, ps, t, t + pt)))


class _Joiner(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body = ResNet50()


class TransT(nn.Module):
    """The whole network.

    Args:
        fusion_layers: 4 for N4, 2 for N2.
        channels: Width of the fused features.
        heads: Attention heads.
        hidden: Width of the feed-forward parts.

    Templates are (B, 3, 128, 128), search regions (B, 3, 256, 256), normalised RGB; other multiples of 8 work.
    """

    stride = 8
    full_precision = ("class_embed", "bbox_embed")
    """Parts that stay in float32 when the rest runs in half precision."""

    def __init__(self, fusion_layers: int = 4, *, channels: int = 256, heads: int = 8, hidden: int = 2048):
        super().__init__()
        self.channels = channels
        self.featurefusion_network = FeatureFusion(fusion_layers, channels, heads, hidden)
        self.class_embed = MLP(channels, channels, 2, 3)
        self.bbox_embed = MLP(channels, channels, 4, 3)
        self.input_proj = nn.Conv2d(1024, channels, 1)
        self.backbone = nn.Sequential(_Joiner())

    def features(self, images: Tensor) -> Tensor:
        """Projected backbone features of images (B, 3, H, W): (B, channels, H / 8, W / 8)."""
        return cast(Tensor, self.input_proj(cast(_Joiner, self.backbone[0]).body(images)))

    def position(self, size: int, like: Tensor) -> Tensor:
        """Positional encoding of a size x size map, in the type and on the device of `like`."""
        return sine_position(size, size, self.channels).to(like)

    def template(self, images: Tensor) -> Tensor:
        """All that depends on the templates alone, to be kept over frames: tokens (B, N, channels)."""
        features = self.features(images)
        return self.featurefusion_network.begin(
            to_tokens(features), self.position(features.shape[-1], features)
        )

    def forward(self, template: Tensor, search: Tensor) -> tuple[Tensor, Tensor]:
        """Locate the targets.

        Args:
            template: What `template` returned, (B, N, channels).
            search: Search regions (B, 3, H, W).

        Returns:
            Logits (B, M, 2), index 0 = target, 1 = background, and boxes (B, M, 4) as centre x, centre y,
            width, height in fractions of the search region, for its M = H W / 64 tokens in row-major order.
        """
        features = self.features(search)
        # Templates are square.
        template_side = round(int(template.shape[1]) ** 0.5)
        fused = self.featurefusion_network(
            template,
            self.position(template_side, template),
            to_tokens(features),
            self.position(features.shape[-1], features),
        )
        fused = fused.to(self.class_embed.layers[0].weight.dtype)
        return self.class_embed(fused), self.bbox_embed(fused).sigmoid()


def variant_of(state: Mapping[str, Tensor]) -> str | None:
    """Name of the variant that a state dict belongs to, "transt" (N4) or "transt-n2", or None."""
    depth = sum(name.endswith(".self_attn1.in_proj_weight") for name in state)
    return {4: "transt", 2: "transt-n2"}.get(depth)
