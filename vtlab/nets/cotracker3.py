"""CoTracker3, the network: points followed together by a transformer over time and over points.

Paper: Karaev et al., CoTracker3: Simpler and Better Point Tracking by Pseudo-Labelling Real Videos, ICCV 2025,
arXiv:2410.11831. Official code: https://github.com/facebookresearch/co-tracker (CC-BY-NC 4.0, the checkpoints
too). Written from the paper and from notes on the official behaviour; parameter names are those of the official
checkpoints. Modules only: no I/O, no state over windows except the one that callers pass.

Positions in this file are (x, y) in cells of the feature map, a quarter of the frame's pixels, the first pixel's
centre at 0. The image encoder is that of PIPs (MIT).
"""

from __future__ import annotations

import math
from typing import NamedTuple, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vtlab.nets.layers import spread, unit_length
from vtlab.nets.pips import Encoder, sample_at

Size = tuple[int, int]

# Sizes of the official checkpoints; what a file's shapes don't show (stride, heads, radius) is the official code's.
STRIDE = 4
LEVELS = 4
RADIUS = 3
PATCH = (2 * RADIUS + 1) ** 2
CHANNELS = 128
WIDTH, HEADS, ROUNDS = 384, 8, 3
VIRTUAL = 64
# Octaves of the sines that say how a point moves, as in NeRF (2020): 84 numbers for two steps in x and y.
FREQUENCIES = 10
MOTION = 4 * (1 + 2 * FREQUENCIES)
# Visibility, confidence, similarities at all levels, motion: 1110, the columns of the checkpoint's first layer.
TOKEN = 2 + LEVELS * 256 + MOTION


class Motion(NamedTuple):
    """Where N points are on T frames, and the logits that go with it."""

    xy: Tensor
    """(T, N, 2) in cells."""
    visible: Tensor
    """(T, N) logits: above 0 means seen."""
    confidence: Tensor
    """(T, N) logits: above 0 means that the position is expected to be right."""


class Attention(nn.Module):
    """Multi-head attention whose keys and values may come from another sequence.

    Written out because PyTorch's fused kernel for CPUs doubles the rounding error, which windows amplify.
    """

    def __init__(self) -> None:
        super().__init__()
        self.to_q = nn.Linear(WIDTH, WIDTH)
        self.to_kv = nn.Linear(WIDTH, 2 * WIDTH)
        self.to_out = nn.Linear(WIDTH, WIDTH)

    def forward(self, x: Tensor, context: Tensor) -> Tensor:
        """Map x (B, L, 384) with context (B, M, 384) to (B, L, 384)."""
        key, value = self.to_kv(context).chunk(2, dim=-1)
        q, k, v = (t.unflatten(-1, (HEADS, -1)).transpose(1, 2) for t in (self.to_q(x), key, value))
        weights = (q @ k.transpose(-2, -1) * (WIDTH // HEADS) ** -0.5).softmax(dim=-1)
        return cast(Tensor, self.to_out((weights @ v).transpose(1, 2).flatten(2)))


class Mlp(nn.Module):
    """Two linear layers."""

    def __init__(self, inputs: int, hidden: int, outputs: int, approximate: str):
        super().__init__()
        self.fc1 = nn.Linear(inputs, hidden)
        self.fc2 = nn.Linear(hidden, outputs)
        self.approximate = approximate

    def forward(self, x: Tensor) -> Tensor:
        """Map (..., inputs) to (..., outputs)."""
        return cast(Tensor, self.fc2(F.gelu(self.fc1(x), approximate=self.approximate)))


def _normal(x: Tensor) -> Tensor:
    # Without parameters; the contexts' normalisation has its own, and PyTorch's eps of 1e-5.
    return F.layer_norm(x, (WIDTH,), eps=1e-6)


class SelfBlock(nn.Module):
    """Pre-norm transformer block."""

    def __init__(self) -> None:
        super().__init__()
        self.attn = Attention()
        self.mlp = Mlp(WIDTH, 4 * WIDTH, WIDTH, "tanh")

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, L, 384) to the same shape."""
        normal = _normal(x)
        x = x + self.attn(normal, normal)
        return cast(Tensor, x + self.mlp(_normal(x)))


class CrossBlock(nn.Module):
    """Pre-norm transformer block that reads from another sequence."""

    def __init__(self) -> None:
        super().__init__()
        self.norm_context = nn.LayerNorm(WIDTH)
        self.cross_attn = Attention()
        self.mlp = Mlp(WIDTH, 4 * WIDTH, WIDTH, "tanh")

    def forward(self, x: Tensor, context: Tensor) -> Tensor:
        """Map x (B, L, 384) with context (B, M, 384) to (B, L, 384)."""
        x = x + self.cross_attn(_normal(x), self.norm_context(context))
        return cast(Tensor, x + self.mlp(_normal(x)))


class UpdateFormer(nn.Module):
    """Attention over time for each track, and over the tracks of each frame through 64 virtual ones."""

    def __init__(self) -> None:
        super().__init__()
        self.virual_tracks = nn.Parameter(torch.zeros(1, VIRTUAL, 1, WIDTH))  # the official spelling
        self.input_transform = nn.Linear(TOKEN, WIDTH)
        self.flow_head = nn.Linear(WIDTH, 2)
        self.vis_conf_head = nn.Linear(WIDTH, 2)
        self.time_blocks = nn.ModuleList(SelfBlock() for _ in range(ROUNDS))
        self.space_virtual_blocks = nn.ModuleList(SelfBlock() for _ in range(ROUNDS))
        self.space_point2virtual_blocks = nn.ModuleList(CrossBlock() for _ in range(ROUNDS))
        self.space_virtual2point_blocks = nn.ModuleList(CrossBlock() for _ in range(ROUNDS))

    def forward(self, tokens: Tensor) -> Tensor:
        """Map tokens (N, T, 1110) to updates (N, T, 4) of x, y, visibility and confidence."""
        points, frames, _ = tokens.shape
        x = torch.cat([self.input_transform(tokens), self.virual_tracks[0].expand(-1, frames, -1)])
        for i, over_time in enumerate(self.time_blocks):
            x = self._over_time(over_time, x)
            by_frame = x.transpose(0, 1)
            real, virtual = by_frame[:, :points], by_frame[:, points:]
            virtual = self.space_virtual2point_blocks[i](virtual, real)
            virtual = self.space_virtual_blocks[i](virtual)
            real = self.space_point2virtual_blocks[i](real, virtual)
            x = torch.cat([real, virtual], dim=1).transpose(0, 1)
        x = x[:points]
        return torch.cat([self.flow_head(x), self.vis_conf_head(x)], dim=-1)

    @staticmethod
    def _over_time(block: nn.Module, x: Tensor) -> Tensor:
        # The hidden layer of the perceptron, four times as wide, before and behind its GELU.
        each = x.shape[1] * 8 * WIDTH
        return torch.cat([block(x[part]) for part in spread(len(x), each)])


class CoTracker3(nn.Module):
    """CoTracker3, online (windows of 16 frames) or offline (trained on 60): the parameters are the same.

    Args:
        window: Frames of the stored time embedding: 16 online, 60 offline.
        model_resolution: (height, width) of the frames; scales the motion that the transformer reads.
    """

    time_emb: Tensor

    def __init__(self, *, window: int = 16, model_resolution: Size = (384, 512)):
        super().__init__()
        self.window = window
        self.model_resolution = model_resolution
        self.register_buffer("time_emb", _time_embedding(window))
        self.fnet = Encoder()
        self.updateformer = UpdateFormer()
        self.corr_mlp = Mlp(PATCH**2, WIDTH, 256, "none")

    def encode(self, images: Tensor) -> Tensor:
        """Feature maps (T, 128, H / 4, W / 4) of images (T, 3, H, W) with values 0-255, cells of unit length.

        Frames do not depend on one another: maps may be cached and computed in chunks exactly.
        """
        # RGB from -1 to 1, as the encoder of PIPs takes it.
        return unit_length(self.fnet(2 * (images / 255.0) - 1.0))

    def templates(self, maps: Tensor, xy: Tensor) -> Tensor:
        """What is around points at `xy` (N, 2) on one frame with `maps` (1, 128, h, w): (N, 4, 49, 128)."""
        levels = []
        for level, features in enumerate(pyramid(maps)):
            near = (xy / 2**level)[:, None] + _offsets(xy)
            levels.append(
                sample_at(features, near.flatten(0, 1)[None], "border")[0].unflatten(0, (-1, PATCH))
            )
        return torch.stack(levels, dim=1)

    def forward(self, maps: Tensor, templates: Tensor, start: Motion, *, iterations: int = 6) -> Motion:
        """Refine N tracks together over the T frames of a window.

        Args:
            maps: (T, 128, h, w) feature maps of the window.
            templates: (N, 4, 49, 128); zeros for a point that has not started.
            start: Tracks to begin with: positions repeated from the query, or the window before.
            iterations: Number of refinements; 6 as published.
        """
        levels = pyramid(maps)
        xy, visible, confidence = start
        time = self._time(len(maps))
        for _ in range(iterations):
            tokens = torch.cat(
                [
                    # In the order in which the columns of the first layer lie.
                    visible.T[..., None],
                    confidence.T[..., None],
                    self._correlate(levels, templates, xy),
                    self._encode_motion(xy),
                ],
                dim=-1,
            )
            update = self.updateformer(tokens + time).transpose(0, 1)
            xy = xy + update[..., :2]
            visible, confidence = visible + update[..., 2], confidence + update[..., 3]
        return Motion(xy, visible, confidence)

    def _time(self, frames: int) -> Tensor:
        if frames == self.time_emb.shape[1]:
            return self.time_emb
        # Windows of other lengths than trained on stretch the code, as in the official code: what an offline answer is
        # depends on the length of the clip.
        return F.interpolate(self.time_emb.transpose(1, 2), frames, mode="linear").transpose(1, 2)

    def _correlate(self, levels: list[Tensor], templates: Tensor, xy: Tensor) -> Tensor:
        """Encoded similarities (N, T, 4 * 256) of each frame's surroundings of a point with its template."""
        frames, points = xy.shape[:2]
        offsets = _offsets(xy)
        parts = []
        for part in spread(points, frames * PATCH * (PATCH + CHANNELS)):
            encoded = []
            for level, features in enumerate(levels):
                near = (xy[:, part] / 2**level)[:, :, None] + offsets
                around = sample_at(features, near.flatten(1, 2), "border").unflatten(1, (-1, PATCH))
                # All of the patch with all of the template (LocoTrack, ECCV 2024), not its centre alone; not scaled.
                volume = torch.einsum("tnpc,nqc->ntpq", around, templates[part, level])
                encoded.append(self.corr_mlp(volume.flatten(2)))
            parts.append(torch.cat(encoded, dim=-1))
        return torch.cat(parts)

    def _encode_motion(self, xy: Tensor) -> Tensor:
        """Sines and cosines (N, T, 84) of the steps to the next and from the last frame."""
        # The official signs: this frame less the next, and this frame less the last.
        steps = xy[:-1] - xy[1:]
        to_next, from_last = F.pad(steps, (0, 0, 0, 0, 0, 1)), F.pad(-steps, (0, 0, 0, 0, 1, 0))
        height, width = self.model_resolution
        size = xy.new_tensor([width / STRIDE, height / STRIDE])
        u = torch.cat([to_next / size, from_last / size], dim=-1)
        octaves = 2.0 ** torch.arange(FREQUENCIES, device=xy.device, dtype=xy.dtype)
        angles = (u[..., None, :] * octaves[:, None]).flatten(-2)
        # A sine of x + pi / 2 for the cosine: the official code's, to the last bit.
        waves = [u, torch.sin(angles), torch.sin(angles + 0.5 * math.pi)]
        return torch.cat(waves, dim=-1).transpose(0, 1)


def pyramid(maps: Tensor) -> list[Tensor]:
    """Maps (T, 128, h, w) and three further ones, each averaged over 2x2 cells of the one before."""
    levels = [maps]
    for _ in range(LEVELS - 1):
        levels.append(F.avg_pool2d(levels[-1], 2, stride=2))
    return levels


def _offsets(like: Tensor) -> Tensor:
    """Offsets (49, 2) as (x, y) of a window's cells; x moves slowly."""
    steps = torch.arange(-RADIUS, RADIUS + 1, device=like.device, dtype=like.dtype)
    return torch.stack(torch.meshgrid(steps, steps, indexing="ij"), dim=-1).reshape(-1, 2)


def _time_embedding(window: int) -> Tensor:
    """Sines and cosines (1, window, 1110) of the frame's number."""
    half = TOKEN // 2
    # The time code of the Transformer (Vaswani et al., 2017); the file's own replaces it.
    rates = 10000.0 ** -(torch.arange(half, dtype=torch.float64) / half)
    angles = torch.arange(window, dtype=torch.float64)[:, None] * rates
    return torch.cat([angles.sin(), angles.cos()], dim=1)[None].float()
