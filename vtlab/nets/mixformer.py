"""MixFormer: what its convolutional (CvT) and its plain (ViT) variant have in common.

Paper: Cui et al., "MixFormer: End-to-End Tracking with Iterative Mixed Attention", CVPR 2022,
https://arxiv.org/abs/2203.11082; MixViT: the journal version, TPAMI 2024, https://arxiv.org/abs/2302.02814.
Official code: https://github.com/MCG-NJU/MixFormer (MIT). Parameters carry the official names, so the official
state dict loads with `strict=True`.

Attention is asymmetric: template tokens see templates only, search tokens see templates and search. What the
templates contribute to every block, its keys and values, is therefore computed once and kept as a `Memory`.

Differs from the paper, following the official code: attention is scaled by the embedding's width, not the
head's, in CvT and in the score module; the box head takes the residual stream without a final LayerNorm; the
score module has neither residuals nor feed-forward parts.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vtlab.nets.layers import MLP, attend, precise_roi_pool, split_heads, to_tokens


@dataclass(frozen=True)
class Memory:
    """What the templates of B targets contribute to the search.

    Attributes:
        keys: One (B, heads, T * n, D) tensor for each block; the T templates one after the other.
        values: As `keys`.
        template: Final feature map of the first template, (B, C, h, w).
        present: (B, T) bool, False for a template that only fills up; None when all are there.
    """

    keys: tuple[Tensor, ...]
    values: tuple[Tensor, ...]
    template: Tensor
    present: Tensor | None = None

    def __len__(self) -> int:
        return len(self.template)

    def mask(self, block: int, queries: int) -> Tensor | None:
        """Boolean mask (B, 1, 1, T * n + `queries`) of `block` for that many further keys, or None."""
        if self.present is None:
            return None
        tokens = self.keys[block].shape[2] // self.present.shape[1]
        # As shapes, which an export keeps open.
        kept = self.present[:, :, None].expand(-1, -1, tokens).flatten(1)
        return F.pad(kept, (0, queries), value=True)[:, None, None]

    def split(self) -> list[Memory]:
        """Memories of the single targets, as views; all templates must be present."""
        return [
            Memory(
                tuple(k[i : i + 1] for k in self.keys),
                tuple(v[i : i + 1] for v in self.values),
                self.template[i : i + 1],
            )
            for i in range(len(self))
        ]

    @staticmethod
    def merge(memories: Sequence[Memory], counts: Sequence[int]) -> Memory:
        """Put the memories of several targets into one batch; `counts` are their numbers of templates."""
        most = max(counts)

        def join(parts: Sequence[Tensor]) -> Tensor:
            filled = [
                F.pad(p, (0, 0, 0, p.shape[2] // n * (most - n))) for p, n in zip(parts, counts, strict=True)
            ]
            return torch.cat(filled)

        present = None
        if min(counts) < most:
            rows = [len(m) for m in memories]
            held = torch.tensor(counts).repeat_interleave(torch.tensor(rows))
            present = (torch.arange(most) < held[:, None]).to(memories[0].template.device)
        return Memory(
            tuple(join(parts) for parts in zip(*(m.keys for m in memories), strict=True)),
            tuple(join(parts) for parts in zip(*(m.values for m in memories), strict=True)),
            torch.cat([m.template for m in memories]),
            present,
        )


# x sigmoid(1.702 x) is close to GELU (Hendrycks and Gimpel, 2016) and cheaper; CvT was trained with it, and the exact
# one moves boxes by 8e-4.
_QUICK = 1.702


class Mlp(nn.Module):
    """Feed-forward part of a block."""

    def __init__(self, channels: int, hidden: int, *, quick: bool):
        super().__init__()
        self.fc1 = nn.Linear(channels, hidden)
        self.fc2 = nn.Linear(hidden, channels)
        self.quick = quick

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, N, C) to (B, N, C) with GELU, exact or quick: x sigmoid(1.702 x)."""
        if not self.quick:
            return cast(Tensor, self.fc2(F.gelu(self.fc1(x))))
        # x sigmoid(a x) = silu(a x) / a: with a in the weights, the wide tensor is touched once and in place
        wide = F.linear(x, _QUICK * self.fc1.weight, _QUICK * self.fc1.bias)
        wide = F.silu(wide, inplace=not wide.requires_grad)
        return F.linear(wide, self.fc2.weight / _QUICK, self.fc2.bias)


class MixedAttention(nn.Module, ABC):
    """What the attention of a block must offer: a projection `proj`, a `scale`, and queries, keys, values."""

    proj: nn.Linear
    scale: float

    @abstractmethod
    def project(self, x: Tensor, maps: int, size: int) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys and values (B, heads, N, D) of tokens (B, maps * size * size, C)."""


class MixedBlock(nn.Module):
    """Pre-norm transformer block: attention and feed-forward, each with a residual."""

    def __init__(self, channels: int, attention: MixedAttention, *, quick: bool, eps: float):
        super().__init__()
        self.norm1 = nn.LayerNorm(channels, eps=eps)
        self.attn = attention
        self.norm2 = nn.LayerNorm(channels, eps=eps)
        self.mlp = Mlp(channels, 4 * channels, quick=quick)

    def memorize(self, x: Tensor, maps: int, size: int) -> tuple[Tensor, Tensor, Tensor]:
        """Templates among themselves: the new tokens, and the block's keys and values."""
        q, k, v = self.attn.project(self.norm1(x), maps, size)
        x = x + self.attn.proj(attend(q, k, v, scale=self.attn.scale))
        return x + self.mlp(self.norm2(x)), k, v

    def forward(self, x: Tensor, size: int, memory: Memory, block: int) -> Tensor:
        """Search tokens (B, size * size, C), with the keys and values that `memory` holds for this block."""
        q, k, v = self.attn.project(self.norm1(x), 1, size)
        mask = memory.mask(block, k.shape[2])
        keys = torch.cat([memory.keys[block], k], dim=2)
        values = torch.cat([memory.values[block], v], dim=2)
        x = x + self.attn.proj(attend(q, keys, values, scale=self.attn.scale, mask=mask))
        return x + self.mlp(self.norm2(x))


class MixedBackbone(nn.Module, ABC):
    """What a backbone must offer to `MixFormer`."""

    @abstractmethod
    def memorize(self, templates: Tensor) -> Memory:
        """Memory of templates (B, T, 3, S, S); the first of the T is the initial one."""

    @abstractmethod
    def forward(self, memory: Memory, search: Tensor) -> Tensor:
        """Features (B, C, h, w) of search regions (B, 3, S, S)."""


class ScorePrediction(nn.Module):
    """Score prediction module: does the predicted box hold the target? One logit for each target."""

    # As in the official code: 16 tokens of the box.
    bins = 4

    def __init__(self, channels: int):
        super().__init__()
        self.heads = channels // 64
        self.scale = channels**-0.5
        self.score_token = nn.Parameter(torch.zeros(1, 1, channels))
        self.score_head = MLP(channels, channels, 1, 3)
        for name in ("proj_q", "proj_k", "proj_v", "proj"):
            self.add_module(name, nn.ModuleList(nn.Linear(channels, channels) for _ in range(2)))
        self.norm1 = nn.LayerNorm(channels)
        self.norm2 = nn.ModuleList(nn.LayerNorm(channels) for _ in range(2))

    def _layer(self, name: str, i: int, x: Tensor) -> Tensor:
        return cast(Tensor, cast(nn.ModuleList, self.get_submodule(name))[i](x))

    def forward(self, search: Tensor, template: Tensor, boxes: Tensor) -> Tensor:
        """Logits (B,).

        Args:
            search: Search features (B, C, H, W).
            template: Features of the initial template (B, C, h, w).
            boxes: (B, 4) xyxy as fractions of the search region.
        """
        region = precise_roi_pool(search, boxes * search.shape[-1], self.bins)
        x = self.norm1(self.score_token)  # one row, broadcast over the batch by the attention
        # First what lies in the predicted box, then what the target looked like.
        for i, tokens in enumerate((to_tokens(region), to_tokens(template))):
            q, k, v = (
                split_heads(self._layer(name, i, y), self.heads)
                for name, y in (("proj_q", x), ("proj_k", tokens), ("proj_v", tokens))
            )
            x = self.norm2[i](self._layer("proj", i, attend(q, k, v, scale=self.scale)))
        return cast(Tensor, self.score_head(x)).flatten()


class MixFormer(nn.Module):
    """Backbone, box head and, in the online variants, the score prediction module.

    Args:
        backbone: Mixed-attention backbone.
        box_head: Maps features (B, C, h, w) to (B, 4) boxes as centre x, centre y, width, height in fractions.
        score_branch: Score module, or None for an offline variant.
    """

    def __init__(self, backbone: MixedBackbone, box_head: nn.Module, score_branch: ScorePrediction | None):
        super().__init__()
        self.backbone = backbone
        self.box_head = box_head
        if score_branch is not None:
            self.score_branch = score_branch
        self.online = score_branch is not None
        self.full_precision = ("score_branch",) if self.online else ()

    def memorize(self, templates: Tensor) -> Memory:
        """Memory of templates (B, T, 3, S, S), the initial one first, to be kept over frames."""
        return self.backbone.memorize(templates)

    def forward(self, memory: Memory, search: Tensor) -> tuple[Tensor, Tensor | None]:
        """Locate the targets in search regions (B, 3, S, S).

        Returns:
            Boxes (B, 4) as centre x, centre y, width, height in fractions of the region (width and height may
            be negative), and score logits (B,), or None without score module.
        """
        features = self.backbone(memory, search)
        boxes = self.box_head(features)
        return boxes, self.score(features, memory, boxes) if self.online else None

    def score(self, features: Tensor, memory: Memory, boxes: Tensor) -> Tensor:
        """Score logits (B,) of boxes (B, 4) given as centre x, centre y, width, height in fractions."""
        centre, size = boxes[:, :2], boxes[:, 2:]
        corners = torch.cat([centre - size / 2, centre + size / 2], dim=1)
        kind = self.score_branch.score_token.dtype
        return self.score_branch(features.to(kind), memory.template.to(kind), corners)


def variant_of(state: Mapping[str, Tensor]) -> str | None:
    """Name of the variant that a state dict belongs to, such as "mixformer-cvt-large-offline", or None."""
    first = state.get("box_head.conv1_tl.0.weight")
    if first is None or not any(name.startswith("backbone.") for name in state):
        return None
    kind = "vit" if "backbone.pos_embed_s" in state else "cvt"
    large = "-large" if first.shape[1] == 1024 else ""
    offline = "" if "score_branch.score_token" in state else "-offline"
    return f"mixformer-{kind}{large}{offline}"
