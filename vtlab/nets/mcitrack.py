"""MCITrack: a Fast-iTPN encoder whose search tokens carry a hidden state from frame to frame.

Paper: Kang et al., "Exploring Enhanced Contextual Information for Video-Level Object Tracking", AAAI 2025,
https://arxiv.org/abs/2412.11023. Official code: https://github.com/kangben258/MCITrack (no licence file). The
encoder is Fast-iTPN (Tian et al., TPAMI 2024, https://arxiv.org/abs/2211.12735). Written from a description of
the architecture; parameter names are those of the official checkpoints, which load with `strict=True`.

Differs from the paper: the state runs over video time for each search token and channel by itself, there is no
scan over tokens; the residual of the state layers is their normalised input; search tokens precede the templates'.

Images are (B, 3, S, S) normalised by ImageNet's mean and standard deviation; tokens (B, N, D) are row-major.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vtlab.nets.layers import CenterHead, attend, split_heads, to_map, to_tokens

__all__ = ["CONFIGS", "MCITrack", "MCITrackConfig", "variant_of"]

State = list[Tensor]
"""Four tensors (B, search tokens, 2 D, 16): what each state layer remembers of the frames before."""

# Groups of blocks with a state each; as many numbers in it as in Mamba; the eps of Fast-iTPN.
N_LAYERS = 4
N_STATES = 16
EPS = 1e-6


@dataclass(frozen=True)
class MCITrackConfig:
    """Sizes of one variant.

    Attributes:
        dim: Channels D of the tokens.
        stem: Convolutional blocks at stride 4 and at stride 8, each.
        depth: Transformer blocks at stride 16, in four equal groups.
        search: Side of the search crop in pixels.
        template: Side of the template crop in pixels.
        templates: Template crops for one object.
    """

    dim: int
    stem: int
    depth: int
    search: int = 224
    template: int = 112
    templates: int = 5

    @property
    def search_cells(self) -> int:
        """Side of the search map in tokens."""
        return self.search // 16

    @property
    def template_cells(self) -> int:
        """Side of a template map in tokens."""
        return self.template // 16


CONFIGS = {
    "t224": MCITrackConfig(dim=384, stem=1, depth=12),
    "s224": MCITrackConfig(dim=384, stem=2, depth=20),
    "b224": MCITrackConfig(dim=512, stem=3, depth=24),
    "l224": MCITrackConfig(dim=768, stem=2, depth=40),
    "l384": MCITrackConfig(dim=768, stem=2, depth=40, search=384, template=192),
}
"""The five official variants by name."""


class ConvMlp(nn.Module):
    """Point-wise perceptron of a stem block; its normalisation acts behind the GELU."""

    def __init__(self, dim: int):
        super().__init__()
        self.fc1 = nn.Conv2d(dim, 3 * dim, 1)
        self.ffn_ln = nn.LayerNorm(3 * dim, eps=EPS)
        self.fc2 = nn.Conv2d(3 * dim, dim, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, H, W, C) to (B, H, W, C)."""
        hidden = self.ffn_ln(F.gelu(F.linear(x, self.fc1.weight.flatten(1), self.fc1.bias)))
        return F.linear(hidden, self.fc2.weight.flatten(1), self.fc2.bias)


class ConvBlock(nn.Module):
    """Stem block of Fast-iTPN: normalisation and perceptron over channels, no attention."""

    def __init__(self, dim: int):
        super().__init__()
        self.norm2 = nn.LayerNorm(dim, eps=EPS)
        self.mlp = ConvMlp(dim)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, H, W, C) to (B, H, W, C)."""
        return x + self.mlp(self.norm2(x))


class Merge(nn.Module):
    """Halves the resolution and doubles the channels."""

    def __init__(self, dim: int):
        super().__init__()
        self.norm = nn.LayerNorm(dim, eps=EPS)
        self.reduction = nn.Conv2d(dim, 2 * dim, 2, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, H, W, C) to (B, H / 2, W / 2, 2 C)."""
        return self.reduction(self.norm(x).permute(0, 3, 1, 2)).permute(0, 2, 3, 1)


class Attention(nn.Module):
    """Self-attention over all tokens; queries and values have a bias, keys have none."""

    def __init__(self, dim: int, heads: int):
        super().__init__()
        self.heads = heads
        self.q_proj = nn.Linear(dim, dim, bias=False)
        self.k_proj = nn.Linear(dim, dim, bias=False)
        self.v_proj = nn.Linear(dim, dim, bias=False)
        self.q_bias = nn.Parameter(torch.zeros(dim))
        self.v_bias = nn.Parameter(torch.zeros(dim))
        self.proj = nn.Linear(dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, N, C) to (B, N, C)."""
        q = split_heads(F.linear(x, self.q_proj.weight, self.q_bias), self.heads)
        k = split_heads(self.k_proj(x), self.heads)
        v = split_heads(F.linear(x, self.v_proj.weight, self.v_bias), self.heads)
        out: Tensor = self.proj(attend(q, k, v, scale=q.shape[-1] ** -0.5))
        return out


class SwiGLU(nn.Module):
    """Gated perceptron with a normalised hidden layer (EVA-02, 2023), three times as wide as the tokens."""

    def __init__(self, dim: int):
        super().__init__()
        self.w1 = nn.Linear(dim, 3 * dim)
        self.w2 = nn.Linear(dim, 3 * dim)
        self.ffn_ln = nn.LayerNorm(3 * dim, eps=EPS)
        self.w3 = nn.Linear(3 * dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, N, C) to (B, N, C)."""
        out: Tensor = self.w3(self.ffn_ln(F.silu(self.w1(x)) * self.w2(x)))
        return out


class Block(nn.Module):
    """Transformer block with layer scale."""

    def __init__(self, dim: int, heads: int):
        super().__init__()
        self.norm1 = nn.LayerNorm(dim, eps=EPS)
        self.attn = Attention(dim, heads)
        self.norm2 = nn.LayerNorm(dim, eps=EPS)
        self.mlp = SwiGLU(dim)
        self.gamma_1 = nn.Parameter(torch.ones(dim))
        self.gamma_2 = nn.Parameter(torch.ones(dim))

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, N, C) to (B, N, C)."""
        x = x + self.gamma_1 * self.attn(self.norm1(x))
        return x + self.gamma_2 * self.mlp(self.norm2(x))


class PatchEmbed(nn.Module):
    """The first convolution, at stride 4."""

    def __init__(self, dim: int):
        super().__init__()
        self.proj = nn.Conv2d(3, dim, 4, stride=4)

    def forward(self, images: Tensor) -> Tensor:
        """Map (B, 3, S, S) to (B, S / 4, S / 4, C)."""
        return self.proj(images).permute(0, 2, 3, 1)


class FastITPN(nn.Module):
    """The encoder: `embed_search` and `embed_templates` give tokens at stride 16, the neck runs its blocks."""

    def __init__(self, config: MCITrackConfig):
        super().__init__()
        dim, stem = config.dim, config.stem
        self.patch_embed = PatchEmbed(dim // 4)
        self.blocks = nn.ModuleList(
            [
                *(ConvBlock(dim // 4) for _ in range(stem)),
                Merge(dim // 4),
                *(ConvBlock(dim // 2) for _ in range(stem)),
                Merge(dim // 2),
                *(Block(dim, dim // 64) for _ in range(config.depth)),
            ]
        )
        self.stem = 2 * stem + 2
        self.search_tokens = config.search_cells**2
        self.pos_embed = nn.Parameter(torch.zeros(1, self.search_tokens + config.template_cells**2, dim))
        self.search_token = nn.Parameter(torch.zeros(dim))
        self.template_foreground_token = nn.Parameter(torch.zeros(dim))
        self.template_background_token = nn.Parameter(torch.zeros(dim))
        self.fc_norm = nn.LayerNorm(dim, eps=EPS)

    def _embed(self, images: Tensor) -> Tensor:
        x = self.patch_embed(images)
        for block in self.blocks[: self.stem]:
            x = block(x)
        return x.flatten(1, 2)

    def embed_search(self, images: Tensor) -> Tensor:
        """Map search crops (B, 3, S, S) to tokens (B, (S / 16)^2, D)."""
        return self._embed(images) + self.pos_embed[:, : self.search_tokens] + self.search_token

    def embed_templates(self, images: Tensor, boxes: Tensor) -> Tensor:
        """Map template crops (M, 3, T, T) and their targets' boxes (M, 4) to tokens (M, (T / 16)^2, D).

        Boxes are left, top, width, height as fractions of the crop. A token's type is a mixture of target and
        background by the share of its 16 x 16 pixels that lie inside the box.
        """
        share = _inside_share(boxes, images.shape[-1]).to(images.dtype)
        kind = share * self.template_foreground_token + (1 - share) * self.template_background_token
        return self._embed(images) + self.pos_embed[:, self.search_tokens :] + kind


def _inside_share(boxes: Tensor, size: int) -> Tensor:
    """Share of each 16 x 16 patch's pixels inside a box (M, 4) of fractions: (M, (size / 16)^2, 1)."""
    pixels = torch.arange(size, device=boxes.device, dtype=boxes.dtype)
    low = boxes[:, :2, None] * size
    # A share, not yes or no: that would change score maps by 9e-4.
    inside = (pixels >= low) & (pixels < low + boxes[:, 2:, None] * size)
    x, y = inside.to(boxes.dtype).unflatten(2, (-1, 16)).mean(dim=3).unbind(dim=1)
    return (y[:, :, None] * x[:, None, :]).flatten(1).unsqueeze(2)


class Mixer(nn.Module):
    """One recurrent step of a selective state space (Mamba, Gu and Dao, 2023), over frames instead of tokens."""

    def __init__(self, dim: int):
        super().__init__()
        # Mamba's defaults: twice as wide inside, steps of rank D / 16.
        inner, self.rank = 2 * dim, dim // 16
        self.in_proj = nn.Linear(dim, 2 * inner, bias=False)
        # Over the tokens of a frame, row by row, so not causal: a causal one changes scores by 0.1.
        self.conv1d = nn.Conv1d(inner, inner, 3, padding=1, groups=inner)
        self.x_proj = nn.Linear(inner, self.rank + 2 * N_STATES, bias=False)
        self.dt_proj = nn.Linear(self.rank, inner)
        self.A_log = nn.Parameter(torch.zeros(inner, N_STATES))
        self.D = nn.Parameter(torch.ones(inner))
        self.out_proj = nn.Linear(inner, dim, bias=False)

    def forward(self, x: Tensor, state: Tensor | None) -> tuple[Tensor, Tensor]:
        """Map tokens (B, N, C) and the state (B, N, 2 C, 16) or None to tokens and the new state."""
        a, z = self.in_proj(x).chunk(2, dim=-1)
        a = F.silu(self.conv1d(a.transpose(1, 2)).transpose(1, 2))
        delta, b, c = self.x_proj(a).split([self.rank, N_STATES, N_STATES], dim=-1)
        delta = F.softplus(self.dt_proj(delta))
        new = self._advance(delta, a, b, state)
        y = torch.matmul(new, c.unsqueeze(-1)).squeeze(-1) + self.D * a
        return self.out_proj(y * F.silu(z)), new

    def _advance(self, delta: Tensor, a: Tensor, b: Tensor, state: Tensor | None) -> Tensor:
        """exp(delta A) state + delta b a, in place where nothing needs a gradient: it is bound by memory."""
        drive = (delta * a).unsqueeze(-1)
        if state is None:
            return drive * b.unsqueeze(-2)
        rate = -torch.exp(self.A_log.float()).to(delta.dtype)
        decay = (delta.unsqueeze(-1) * rate).exp_()
        if torch.is_grad_enabled():
            return decay * state + drive * b.unsqueeze(-2)
        return decay.mul_(state).addcmul_(drive, b.unsqueeze(-2))


class RMSNorm(nn.Module):
    """Division by the root mean square over channels."""

    def __init__(self, dim: int):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(dim))

    def forward(self, x: Tensor) -> Tensor:
        """Normalise (B, N, C)."""
        wide = x.float()
        # Mamba's normalisation: float32 inside, eps 1e-5, not the encoder's 1e-6.
        return (wide * torch.rsqrt(wide.square().mean(dim=-1, keepdim=True) + 1e-5)).to(x.dtype) * self.weight


class StateLayer(nn.Module):
    """The mixer on normalised tokens, which are also its residual."""

    def __init__(self, dim: int):
        super().__init__()
        self.mixer = Mixer(dim)
        self.norm = RMSNorm(dim)

    def forward(self, x: Tensor, state: Tensor | None) -> tuple[Tensor, Tensor]:
        """Map tokens (B, N, C) and the state to tokens and the new state."""
        normed = self.norm(x)
        mixed, new = self.mixer(normed, state)
        return mixed + normed, new


class CrossAttention(nn.Module):
    """Attention of normalised queries to normalised features, 8 heads; base of injector and extractor."""

    def __init__(self, dim: int):
        super().__init__()
        self.query_norm = nn.LayerNorm(dim, eps=EPS)
        self.feat_norm = nn.LayerNorm(dim, eps=EPS)
        self.attn = nn.MultiheadAttention(dim, 8, batch_first=True)

    def attend(self, query: Tensor, features: Tensor) -> Tensor:
        """Map queries (B, N, C) and features (B, M, C) to (B, N, C)."""
        keys = self.feat_norm(features)
        out: Tensor = self.attn(self.query_norm(query), keys, keys, need_weights=False)[0]
        return out


class Injector(CrossAttention):
    """Adds what the search tokens remember to all tokens."""

    def __init__(self, dim: int):
        super().__init__(dim)
        self.gamma = nn.Parameter(torch.zeros(dim))

    def forward(self, query: Tensor, features: Tensor) -> Tensor:
        """Map all tokens (B, N, C) and remembering search tokens (B, M, C) to (B, N, C)."""
        return query + self.gamma * self.attend(query, features)


class DepthwiseConv(nn.Module):
    """3x3 convolution of each channel of a square map by itself."""

    def __init__(self, dim: int):
        super().__init__()
        self.dwconv = nn.Conv2d(dim, dim, 3, padding=1, groups=dim)

    def forward(self, x: Tensor, cells: int) -> Tensor:
        """Map tokens (B, cells^2, C) to tokens."""
        return to_tokens(self.dwconv(to_map(x, cells, cells)))


class ConvFFN(nn.Module):
    """Narrow perceptron with a convolution inside."""

    def __init__(self, dim: int):
        super().__init__()
        self.fc1 = nn.Linear(dim, dim // 4)
        self.dwconv = DepthwiseConv(dim // 4)
        self.fc2 = nn.Linear(dim // 4, dim)

    def forward(self, x: Tensor, cells: int) -> Tensor:
        """Map tokens (B, cells^2, C) to tokens."""
        out: Tensor = self.fc2(F.gelu(self.dwconv(self.fc1(x), cells)))
        return out


class Extractor(CrossAttention):
    """Lets the remembering search tokens read all tokens."""

    def __init__(self, dim: int, cells: int):
        super().__init__(dim)
        self.cells = cells
        self.ffn = ConvFFN(dim)
        self.ffn_norm = nn.LayerNorm(dim, eps=EPS)

    def forward(self, query: Tensor, features: Tensor) -> Tensor:
        """Map remembering search tokens (B, M, C) and all tokens (B, N, C) to (B, M, C)."""
        query = query + self.attend(query, features)
        return query + self.ffn(self.ffn_norm(query), self.cells)


class Interaction(nn.Module):
    """Injector before and extractor behind one group of the encoder's blocks."""

    def __init__(self, dim: int, cells: int, extra: int):
        super().__init__()
        self.injector = Injector(dim)
        self.extractor = Extractor(dim, cells)
        self.extra_extractors = nn.ModuleList(Extractor(dim, cells) for _ in range(extra))

    def forward(self, x: Tensor, xs: Tensor, blocks: Sequence[nn.Module]) -> tuple[Tensor, Tensor]:
        """Map all tokens (B, N, C) and remembering search tokens (B, M, C), running `blocks` on the former."""
        x = self.injector(x, xs)
        for block in blocks:
            x = block(x)
        for extractor in [self.extractor, *self.extra_extractors]:
            xs = extractor(xs, x)
        return x, xs


class Neck(nn.Module):
    """Contextual information fusion: four state layers, each with a group of the encoder's blocks."""

    def __init__(self, config: MCITrackConfig):
        super().__init__()
        self.layers = nn.ModuleList(StateLayer(config.dim) for _ in range(N_LAYERS))
        self.interactions = nn.ModuleList(
            # Two more extractors behind the last group: ViT-Adapter (ICLR 2023), whose pattern this is.
            Interaction(config.dim, config.search_cells, 2 if i == N_LAYERS - 1 else 0)
            for i in range(N_LAYERS)
        )

    def forward(
        self, x: Tensor, state: State | None, groups: Sequence[Sequence[nn.Module]], search: int
    ) -> tuple[Tensor, Tensor, State]:
        """Fuse all tokens (B, N, C), of which the first `search` are the search region's.

        Returns:
            All tokens, the remembering search tokens (B, search, C), and the new state.
        """
        xs, new = x[:, :search], []
        for i, (layer, interaction) in enumerate(zip(self.layers, self.interactions, strict=True)):
            xs, remembered = layer(xs, None if state is None else state[i])
            new.append(remembered)
            x, xs = interaction(x, xs, groups[i])
        return x, xs, new


class Encoder(nn.Module):
    """Holds the encoder under its official name."""

    def __init__(self, body: FastITPN):
        super().__init__()
        self.body = body


class TemplateNetwork(nn.Module):
    """A network that keeps tokens of templates; its head is its `decoder`. One object on one frame is one row of the batch.

    Args:
        config: Sizes.
        body: Its encoder.
    """

    full_precision = ("decoder",)
    """Modules that run in float32 whatever the rest of the network runs in."""

    def __init__(self, config: MCITrackConfig, body: FastITPN):
        super().__init__()
        self.config = config
        self.encoder = Encoder(body)

    def embed_templates(self, images: Tensor, boxes: Tensor) -> Tensor:
        """Map template crops (M, 3, T, T) and boxes (M, 4) to tokens (M, (T / 16)^2, D), to be kept."""
        return self.encoder.body.embed_templates(images, boxes)


class MCITrack(TemplateNetwork):
    """The whole network.

    Args:
        config: Sizes; one of `CONFIGS`.
    """

    def __init__(self, config: MCITrackConfig):
        super().__init__(config, FastITPN(config))
        self.neck = Neck(config)
        self.decoder = CenterHead(config.dim)

    def forward(
        self, search: Tensor, templates: Tensor, state: State | None = None
    ) -> tuple[Tensor, Tensor, Tensor, State]:
        """Look for the objects in one frame.

        Args:
            search: (B, 3, S, S) search crops.
            templates: (B, 5 (T / 16)^2, D) tokens of each object's templates, one after the other.
            state: What this returned for the frame before, or None to begin; zeros begin a single row.

        Returns:
            score (B, 1, c, c), size (B, 2, c, c) as fractions of the crop, offset (B, 2, c, c) in cells, the new
            state; c is `config.search_cells`.
        """
        body, cells = self.encoder.body, self.config.search_cells
        found = body.embed_search(search)
        blocks = list(body.blocks[body.stem :])
        per_group = len(blocks) // N_LAYERS
        groups = [blocks[i : i + per_group] for i in range(0, len(blocks), per_group)]
        x, xs, new = self.neck(torch.cat([found, templates], dim=1), state, groups, cells**2)
        features = xs + body.fc_norm(x[:, : cells**2])
        score, size, offset = self.decoder(to_map(features.float(), cells, cells))
        return score, size, offset, new


def variant_of(tensors: Mapping[str, Tensor]) -> str | None:
    """Name the variant a state dict belongs to, e.g. `"mcitrack-b224"`, or None when it is none of them."""
    position = tensors.get("encoder.body.pos_embed")
    blocks = {name.split(".")[3] for name in tensors if name.startswith("encoder.body.blocks.")}
    for name, config in CONFIGS.items():
        tokens = config.search_cells**2 + config.template_cells**2
        depth = 2 * config.stem + 2 + config.depth
        if position is not None and tuple(position.shape) == (1, tokens, config.dim) and len(blocks) == depth:
            return f"mcitrack-{name}"
    return None
