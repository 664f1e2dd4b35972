"""TAPNext, the network: image patches and points as tokens, attention inside a frame, a recurrence over time.

Paper: Zholus, Doersch et al., "TAPNext: Tracking Any Point (TAP) as Next Token Prediction", ICCV 2025,
arXiv:2504.05579; recurrence: De et al., "Griffin", arXiv:2402.19427 (RG-LRU).
Official code: https://github.com/google-deepmind/tapnet (Apache-2.0); names are those of its torch checkpoints.
Written from the paper and from notes on the official behaviour. Modules only: no I/O, no state over frames.

Coordinates in this file are the network's own: queries (t, y, x) and tracks (y, x) on a raster of 256 x 256
whatever the input's size, a pixel's centre at +0.5.
Differs from the official code: a running state takes any number of further frames, not only one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

# The official size (ViT-B with 8-pixel patches); four taps as in Griffin; positions are read from 256 bins.
WIDTH = 768
HEADS = 12
DEPTH = 12
PATCH = 8
TAPS = 4
BINS = 256
SIZE = 256
"""Side of the raster that queries and tracks live on; also the default side of the input."""


class RMSNorm(nn.Module):
    """x / rms(x) * (1 + scale)."""

    def __init__(self, width: int):
        super().__init__()
        self.scale = nn.Parameter(torch.zeros(width))

    def forward(self, x: Tensor) -> Tensor:
        """Normalise the last axis of (..., width)."""
        # 1 + scale: RecurrentGemma's form, whose weights are kept around 0.
        return x * torch.rsqrt(x.square().mean(dim=-1, keepdim=True) + 1e-6) * (self.scale + 1)


class CausalConv(nn.Module):
    """Depthwise convolution over the current and the three earlier frames."""

    def __init__(self, width: int):
        super().__init__()
        self.w = nn.Parameter(torch.zeros(TAPS, width))
        self.b = nn.Parameter(torch.zeros(width))

    def forward(self, x: Tensor, past: Tensor | None) -> tuple[Tensor, Tensor]:
        """Map (N, T, width) to the same shape; `past` are the last three inputs (N, 3, width), zeros at first."""
        if past is None:
            past = x.new_zeros(x.shape[0], TAPS - 1, x.shape[2])
        padded = torch.cat([past, x], dim=1)
        frames = x.shape[1]
        y = self.b.expand_as(x)
        for tap in range(TAPS):
            y = y + padded[:, tap : tap + frames] * self.w[tap]
        return y, padded[:, -(TAPS - 1) :]


class BlockDiagonal(nn.Module):
    """Linear layer whose matrix is block diagonal, one block a head."""

    def __init__(self, width: int, heads: int):
        super().__init__()
        self.w = nn.Parameter(torch.zeros(heads, width // heads, width // heads))
        self.b = nn.Parameter(torch.zeros(heads, width // heads))

    def forward(self, x: Tensor) -> Tensor:
        """Map (..., width) to (..., width)."""
        parts = x.unflatten(-1, self.b.shape)
        return (torch.einsum("...hi,hij->...hj", parts, self.w) + self.b).flatten(-2)


class RGLRU(nn.Module):
    """Real-gated linear recurrent unit: h_t = a_t h_(t-1) + sqrt(1 - a_t^2) i_t x_t (Griffin, eq. 1-4)."""

    # c of the paper: how fast a gate can forget.
    SHARPNESS = 8.0

    def __init__(self, width: int, heads: int):
        super().__init__()
        self.a_param = nn.Parameter(torch.zeros(width))
        self.input_gate = BlockDiagonal(width, heads)
        self.a_gate = BlockDiagonal(width, heads)

    def forward(self, x: Tensor, hidden: Tensor | None) -> tuple[Tensor, Tensor]:
        """Map (N, T, width) to the same shape; `hidden` (N, width) is None before the first frame."""
        gated = x * torch.sigmoid(self.input_gate(x))
        log_a = -self.SHARPNESS * torch.sigmoid(self.a_gate(x)) * F.softplus(self.a_param)
        # As the official code rounds it; expm1 would be more exact, and differs by more than the rest of the network.
        a, gain = torch.exp(log_a), torch.sqrt(1 - torch.exp(2 * log_a))
        states = []
        for t in range(x.shape[1]):
            # On a video's first frame the input counts whole: there is nothing to weigh it against.
            hidden = gated[:, t] if hidden is None else a[:, t] * hidden + gain[:, t] * gated[:, t]
            states.append(hidden)
        return torch.stack(states, dim=1), states[-1]


class LayerState(NamedTuple):
    """What one layer remembers of the past of every token: `hidden` (N, width) and `inputs` (N, 3, width)."""

    hidden: Tensor
    inputs: Tensor


class RecurrentBlock(nn.Module):
    """Gated branch and convolution-recurrence branch, multiplied."""

    def __init__(self, width: int, heads: int):
        super().__init__()
        self.linear_y = nn.Linear(width, width)
        self.linear_x = nn.Linear(width, width)
        self.linear_out = nn.Linear(width, width)
        self.conv_1d = CausalConv(width)
        self.rg_lru = RGLRU(width, heads)

    def forward(self, x: Tensor, state: LayerState | None) -> tuple[Tensor, LayerState]:
        """Map (N, T, width) to the same shape and give the state after the last frame."""
        z, inputs = self.conv_1d(self.linear_x(x), state.inputs if state else None)
        z, hidden = self.rg_lru(z, state.hidden if state else None)
        gate = F.gelu(self.linear_y(x), approximate="tanh")
        return self.linear_out(z * gate), LayerState(hidden, inputs)


class PairedLinear(nn.Module):
    """Two linear layers of one input, stacked in one parameter."""

    def __init__(self, width: int, inner: int):
        super().__init__()
        self.w = nn.Parameter(torch.zeros(2, width, inner))
        self.b = nn.Parameter(torch.zeros(2, 1, 1, inner))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Map (N, T, width) to two tensors (N, T, inner)."""
        return x @ self.w[0] + self.b[0], x @ self.w[1] + self.b[1]


class GatedMLP(nn.Module):
    """GELU(x W0) * (x W1), projected back."""

    def __init__(self, width: int):
        super().__init__()
        self.ffw_up = PairedLinear(width, 4 * width)
        self.ffw_down = nn.Linear(4 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, T, width) to the same shape."""
        gate, value = self.ffw_up(x)
        return self.ffw_down(F.gelu(gate, approximate="tanh") * value)


class TemporalBlock(nn.Module):
    """Residual recurrence of each token over time, then a residual gated MLP."""

    def __init__(self, width: int, heads: int):
        super().__init__()
        self.temporal_pre_norm = RMSNorm(width)
        self.recurrent_block = RecurrentBlock(width, heads)
        self.channel_pre_norm = RMSNorm(width)
        self.mlp_block = GatedMLP(width)

    def forward(self, x: Tensor, state: LayerState | None) -> tuple[Tensor, LayerState]:
        """Map (N, T, width) to the same shape and give the state after the last frame."""
        update, state = self.recurrent_block(self.temporal_pre_norm(x), state)
        x = x + update
        return x + self.mlp_block(self.channel_pre_norm(x)), state


class SpatialBlock(nn.Module):
    """Pre-norm transformer encoder block over the tokens of one frame."""

    def __init__(self, width: int, heads: int):
        super().__init__()
        self.ln_1 = nn.LayerNorm(width, eps=1e-6)
        self.self_attention = nn.MultiheadAttention(width, heads, batch_first=True)
        self.ln_2 = nn.LayerNorm(width, eps=1e-6)
        self.mlp = nn.Sequential(
            # Identities where torchvision's block has dropout: names of parameters count it.
            nn.Linear(width, 4 * width),
            nn.GELU(),
            nn.Identity(),
            nn.Linear(4 * width, width),
            nn.Identity(),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map (T, N, width) to the same shape."""
        y = self.ln_1(x)
        x = x + self.self_attention(y, y, y, need_weights=False)[0]
        return x + self.mlp(self.ln_2(x))


class Block(nn.Module):
    """One layer: over time, then over space."""

    def __init__(self, width: int, heads: int):
        super().__init__()
        self.ssm_block = TemporalBlock(width, heads)
        self.vit_block = SpatialBlock(width, heads)

    def forward(self, x: Tensor, state: LayerState | None) -> tuple[Tensor, LayerState]:
        """Map (T, N, width) to the same shape and give the state after the last frame."""
        y, state = self.ssm_block(x.transpose(0, 1), state)
        return self.vit_block(y.transpose(0, 1)), state


class State(NamedTuple):
    """A running video: `step` frames were seen; `layers` hold what each remembers. Constant in size over time."""

    step: int
    layers: tuple[LayerState, ...]


class Answer(NamedTuple):
    """Points of T frames and Q queries.

    Attributes:
        yx: Positions (T, Q, 2) on the 256 raster.
        logits: Bins of y, then of x, (T, Q, 512).
        visibility: Logits (T, Q); above 0 means seen.
        state: State after the last frame.
    """

    yx: Tensor
    logits: Tensor
    visibility: Tensor
    state: State


def head(outputs: int) -> nn.Sequential:
    """Three linear layers with layer normalisation and GELU between them."""
    return nn.Sequential(
        nn.Linear(WIDTH, 256), nn.LayerNorm(256), nn.GELU(),
        nn.Linear(256, 256), nn.LayerNorm(256), nn.GELU(),
        nn.Linear(256, outputs),
    )  # fmt: skip


def position_table(size: tuple[int, int]) -> Tensor:
    """Sines and cosines of every pixel index of a raster of `size` (height, width): (1, height * width, 768)."""
    quarter = WIDTH // 4
    # Over quarter - 1, so that the last frequency is 1 / 10000 exactly: big_vision's table.
    omega = 10000.0 ** (-torch.arange(quarter, dtype=torch.float64) / (quarter - 1))
    y, x = torch.meshgrid(torch.arange(size[0]), torch.arange(size[1]), indexing="ij")
    angles = [axis.reshape(-1, 1) * omega for axis in (x, y)]
    return torch.cat([wave(a) for a in angles for wave in (torch.sin, torch.cos)], dim=-1).float()[None]


def expected_bins(logits: Tensor, radius: int = 20, sharpness: float = 0.5) -> Tensor:
    """Positions (..., 2) from bins (..., 512): the mean bin, among those within `radius` of the best, + 0.5."""
    axes = logits.unflatten(-1, (2, BINS))
    index = torch.arange(BINS, device=logits.device)
    # Bins around the best alone, at half sharpness: the official read-out.
    near = (index - axes.argmax(dim=-1, keepdim=True)).abs() <= radius
    weight = torch.softmax(axes * sharpness, dim=-1) * near
    return (weight * index).sum(dim=-1) / weight.sum(dim=-1) + 0.5


def certainty(yx: Tensor, logits: Tensor, radius: int = 8) -> Tensor:
    """Probability (...) that a point lies within `radius` bins of yx (..., 2), from bins (..., 512).

    The official code transposes the disc against the probabilities, which matters where the fractions of y and x
    differ; its numbers are kept.
    """
    probability = torch.softmax(logits.unflatten(-1, (2, BINS)), dim=-1)
    # The window of 2 radius + 1 bins stays inside the raster.
    first = torch.floor(yx - radius - 0.5).clamp(0, BINS - 2 * radius - 1)
    index = first[..., None] + torch.arange(2 * radius + 1, device=yx.device)
    y, x = probability.gather(-1, index.long()).unbind(-2)
    dy, dx = (index + 0.5 - yx[..., None]).square().unbind(-2)
    inside = dx[..., :, None] + dy[..., None, :] <= radius**2 + 1e-8
    return (y[..., :, None] * x[..., None, :] * inside).sum(dim=(-2, -1))


class TapNext(nn.Module):
    """TAPNext of the official size (194 million parameters).

    Args:
        image_size: Side lengths (height, width) that set the trained position grids; the official one is 256.
    """

    def __init__(self, image_size: tuple[int, int] = (SIZE, SIZE)):
        super().__init__()
        self.raster = image_size
        self.grid = (image_size[0] // PATCH, image_size[1] // PATCH)
        self.mask_token = nn.Parameter(torch.zeros(1, 1, 1, WIDTH))
        self.unknown_token = nn.Parameter(torch.zeros(1, 1, WIDTH))
        self.point_query_token = nn.Parameter(torch.zeros(1, 1, 1, WIDTH))
        self.image_pos_emb = nn.Parameter(torch.zeros(1, self.grid[0] * self.grid[1], WIDTH))
        self.query_pos_embed: Tensor
        self.register_buffer("query_pos_embed", position_table(image_size))
        self.lin_proj = nn.Conv2d(3, WIDTH, PATCH, stride=PATCH)
        self.blocks = nn.ModuleList([Block(WIDTH, HEADS) for _ in range(DEPTH)])
        self.encoder_norm = nn.LayerNorm(WIDTH)
        self.visible_head = head(1)
        self.coordinate_head = head(2 * BINS)

    def embed_frames(self, frames: Tensor) -> Tensor:
        """Image tokens (T, h * w, 768) of frames (T, 3, H, W) in [-1, 1]."""
        patches = self.lin_proj(frames)
        grid = (patches.shape[-2], patches.shape[-1])
        positions: Tensor = self.image_pos_emb
        if grid != self.grid:
            square = positions.transpose(1, 2).unflatten(-1, self.grid)
            # Other sizes of frames stretch the learned code, as the official 512 px model does.
            positions = (
                F.interpolate(square, grid, mode="bicubic", align_corners=False).flatten(2).transpose(1, 2)
            )
        return patches.flatten(2).transpose(1, 2) + positions

    def embed_queries(self, queries: Tensor, first: int, frames: int) -> Tensor:
        """Point tokens (frames, Q, 768) of queries (Q, 3) as (t, y, x), for frames `first`, `first` + 1, ..."""
        height, width = self.raster
        table = self.query_pos_embed.transpose(1, 2).unflatten(-1, (height, width))
        grid = queries[:, [2, 1]] / queries.new_tensor([width, height]) * 2 - 1
        where = F.grid_sample(table, grid[None, None], align_corners=False)[0, :, 0].T
        # Before its frame a query is unknown, on it it says where it is, after it it is asked for.
        age = torch.arange(first, first + frames, device=queries.device)[:, None] - queries[:, 0].round()
        tokens = torch.where((age < 0)[..., None], self.unknown_token, self.mask_token[0])
        return torch.where((age == 0)[..., None], self.point_query_token[0] + where, tokens)

    def forward(self, frames: Tensor, queries: Tensor, state: State | None = None) -> Answer:
        """Follow points over some frames, from the start of a video or from where `state` ends.

        Args:
            frames: RGB (T, 3, H, W) in [-1, 1], H and W multiples of 8.
            queries: (Q, 3) as (t, y, x), t counted from the video's first frame; the same at every call.
            state: What the call before this one returned; None at the start of a video.
        """
        step = state.step if state else 0
        image = self.embed_frames(frames)
        tokens = torch.cat([image, self.embed_queries(queries, step, len(frames))], dim=1)
        layers = []
        for depth, block in enumerate(self.blocks):
            tokens, layer = block(tokens, state.layers[depth] if state else None)
            layers.append(layer)
        points = self.encoder_norm(tokens[:, image.shape[1] :])
        logits = self.coordinate_head(points)
        state = State(step + len(frames), tuple(layers))
        return Answer(expected_bins(logits), logits, self.visible_head(points)[..., 0], state)


Arrays = Mapping[str, NDArray[np.floating]]


def from_jax(arrays: Arrays) -> dict[str, Tensor]:
    """State dict of an official JAX checkpoint (flat npz): other names and layouts, the position table added.

    Raises:
        KeyError: An array of the official checkpoints is missing.
    """
    found = {
        "mask_token": arrays["backbone/mask_token"],
        "unknown_token": arrays["backbone/unknown_token"],
        "point_query_token": arrays["backbone/point_query_token"],
        "image_pos_emb": arrays["backbone/pos_embedding"],
        # One step in time, height, width, in, out.
        "lin_proj.weight": arrays["backbone/embedding/kernel"][0].transpose(3, 2, 0, 1),
        "lin_proj.bias": arrays["backbone/embedding/bias"],
    }
    found |= _jax_norm(arrays, "backbone/Transformer/encoder_norm", "encoder_norm")
    for layer in range(DEPTH):
        there, here = f"backbone/Transformer/encoderblock_{layer}", f"blocks.{layer}"
        found |= _jax_temporal(arrays, f"{there}/ssm_block/", f"{here}.ssm_block.")
        found |= _jax_spatial(arrays, f"{there}/vit_block/", f"{here}.vit_block.")
    for part in ("visible_head", "coordinate_head"):
        # Places of the layers in `head`; GELU has none in the file.
        for i in (0, 3, 6):
            found |= _jax_linear(arrays, f"{part}/layers_{i}", f"{part}.{i}")
        for i in (1, 4):
            found |= _jax_norm(arrays, f"{part}/layers_{i}", f"{part}.{i}")
    tensors = {k: torch.from_numpy(np.array(v, dtype=np.float32, order="C")) for k, v in found.items()}
    return {**tensors, "query_pos_embed": position_table((SIZE, SIZE))}


def _jax_norm(arrays: Arrays, there: str, here: str) -> dict[str, NDArray[np.floating]]:
    return {f"{here}.weight": arrays[f"{there}/scale"], f"{here}.bias": arrays[f"{there}/bias"]}


def _jax_linear(arrays: Arrays, there: str, here: str) -> dict[str, NDArray[np.floating]]:
    return {f"{here}.weight": arrays[f"{there}/kernel"].T, f"{here}.bias": arrays[f"{there}/bias"]}


def _jax_temporal(arrays: Arrays, there: str, here: str) -> dict[str, NDArray[np.floating]]:
    """The recurrence's arrays have the names of ours, but kernels are transposed."""
    found = {}
    for key in (key for key in arrays if key.startswith(there)):
        name = here + key.removeprefix(there).replace("/", ".").replace("kernel", "weight")
        found[name] = arrays[key].T if name.endswith("weight") else arrays[key]
    return found


def _jax_spatial(arrays: Arrays, there: str, here: str) -> dict[str, NDArray[np.floating]]:
    """Heads have an axis of their own in the attention's arrays; query, key and value lie apart."""
    heads = f"{there}MultiHeadDotProductAttention_0"
    parts = [f"{heads}/{part}" for part in ("query", "key", "value")]
    return {
        **_jax_norm(arrays, f"{there}LayerNorm_0", f"{here}ln_1"),
        **_jax_norm(arrays, f"{there}LayerNorm_1", f"{here}ln_2"),
        **_jax_linear(arrays, f"{there}MlpBlock_0/Dense_0", f"{here}mlp.0"),
        **_jax_linear(arrays, f"{there}MlpBlock_0/Dense_1", f"{here}mlp.3"),
        f"{here}self_attention.in_proj_weight": np.concatenate(
            [arrays[f"{part}/kernel"].reshape(WIDTH, WIDTH).T for part in parts]
        ),
        f"{here}self_attention.in_proj_bias": np.concatenate(
            [arrays[f"{part}/bias"].ravel() for part in parts]
        ),
        f"{here}self_attention.out_proj.weight": arrays[f"{heads}/out/kernel"].reshape(WIDTH, WIDTH).T,
        f"{here}self_attention.out_proj.bias": arrays[f"{heads}/out/bias"].ravel(),
    }
