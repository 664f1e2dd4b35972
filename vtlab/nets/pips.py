"""PIPs, the network: eight frames at a time, each point refined by an MLP-Mixer over its eight positions.

Paper: Harley, Fang, Fragkiadaki, "Particle Video Revisited", ECCV 2022, arXiv:2204.04153.
Official code: https://github.com/aharley/pips (MIT); parameter names are those of its checkpoint.
Written from the paper and from notes on the official behaviour. Modules only: no I/O, no state over frames.

Coordinates in this file are the network's own: (x, y) pixels, integer at a pixel's centre.
Differs from the official code: features are an argument of the refinement (they do not depend on the window, so
a caller computes each frame once), and correlations are dotted after sampling, which commutes with it.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

# The official reference model. Its stride can't be seen in the file: the demos say 4.
FRAMES = 8
STRIDE = 4
LEVELS = 4
RADIUS = 3
CHANNELS = 128
EMBEDDED = 64
MIN_SIDE = STRIDE * 2**LEVELS
"""Smallest height and width in pixels: every level of the pyramid keeps at least 2 x 2 cells."""


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions with instance normalisation; the skip is projected where the size changes."""

    def __init__(self, channels_in: int, channels: int, stride: int):
        super().__init__()
        self.conv1 = nn.Conv2d(channels_in, channels, 3, stride=stride, padding=1)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)
        self.norm = nn.InstanceNorm2d(channels)
        self.downsample = (
            nn.Sequential(nn.Conv2d(channels_in, channels, 1, stride=stride), nn.InstanceNorm2d(channels))
            if stride != 1
            else None
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C_in, h, w) to (B, C, h / stride, w / stride)."""
        y = F.relu(self.norm(self.conv1(x)))
        # ReLU before the sum as well as behind it: the official block's.
        y = F.relu(self.norm(self.conv2(y)))
        return F.relu((x if self.downsample is None else self.downsample(x)) + y)


class Encoder(nn.Module):
    """Features of single frames: four residual stages, resized to one grid and fused."""

    def __init__(self, stride: int = STRIDE):
        super().__init__()
        self.stride = stride
        self.conv1 = nn.Conv2d(3, 64, 7, stride=2, padding=3)
        self.norm1 = nn.InstanceNorm2d(64)
        self.layer1 = nn.Sequential(ResidualBlock(64, 64, 1), ResidualBlock(64, 64, 1))
        self.layer2 = nn.Sequential(ResidualBlock(64, 96, 2), ResidualBlock(96, 96, 1))
        self.layer3 = nn.Sequential(ResidualBlock(96, 128, 2), ResidualBlock(128, 128, 1))
        self.layer4 = nn.Sequential(ResidualBlock(128, 128, 2), ResidualBlock(128, 128, 1))
        # All four stages side by side.
        self.conv2 = nn.Conv2d(64 + 96 + 128 + 128, 256, 3, padding=1)
        self.norm2 = nn.InstanceNorm2d(256)
        self.conv3 = nn.Conv2d(256, CHANNELS, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Map frames (B, 3, H, W) in [-1, 1] to features (B, 128, H / stride, W / stride)."""
        grid = (x.shape[-2] // self.stride, x.shape[-1] // self.stride)
        x = F.relu(self.norm1(self.conv1(x)))
        stages = []
        for layer in (self.layer1, self.layer2, self.layer3, self.layer4):
            x = layer(x)
            stages.append(F.interpolate(x, grid, mode="bilinear", align_corners=True))
        return self.conv3(F.relu(self.norm2(self.conv2(torch.cat(stages, dim=1)))))


class PreNormResidual(nn.Module):
    """x + fn(LayerNorm(x))."""

    def __init__(self, width: int, fn: nn.Module):
        super().__init__()
        self.fn = fn
        self.norm = nn.LayerNorm(width)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, 8, width) to the same shape."""
        return x + self.fn(self.norm(x))


class MeanOverFrames(nn.Module):
    """Mean over the eight frames."""

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, 8, width) to (N, width)."""
        return x.mean(dim=1)


class DeltaBlock(nn.Module):
    """MLP-Mixer from a point's eight rows of evidence to updates of its positions and features."""

    def __init__(self, width: int = 512, depth: int = 12, expansion: int = 4):
        super().__init__()
        evidence = CHANNELS + LEVELS * (2 * RADIUS + 1) ** 2 + 3 * EMBEDDED + 3

        def feed_forward(size: int, layer: type[nn.Module], *kernel: int) -> nn.Sequential:
            inner = size * expansion
            return nn.Sequential(
                layer(size, inner, *kernel),
                nn.GELU(),
                # Dropout of the training stood here: names of parameters count it.
                nn.Identity(),
                layer(inner, size, *kernel),
                nn.Identity(),
            )

        mixers = [
            nn.Sequential(
                PreNormResidual(width, feed_forward(FRAMES, nn.Conv1d, 1)),
                PreNormResidual(width, feed_forward(width, nn.Linear)),
            )
            for _ in range(depth)
        ]
        self.to_delta = nn.Sequential(
            nn.Linear(evidence, width),
            *mixers,
            nn.LayerNorm(width),
            MeanOverFrames(),
            nn.Linear(width, FRAMES * (CHANNELS + 2)),
        )

    def forward(self, features: Tensor, correlations: Tensor, moves: Tensor) -> Tensor:
        """Updates (N, 8, 2 + 128) from features (N, 8, 128), correlations (N, 8, 196) and moves (N, 8, 3)."""
        x = torch.cat([features, correlations, embed(moves)], dim=-1)
        return self.to_delta(x).reshape(-1, FRAMES, CHANNELS + 2)


def embed(moves: Tensor) -> Tensor:
    """Sines and cosines of linear frequencies, interleaved, of each number in (..., 3), then the numbers: (..., 195)."""
    # Linear, from 0 to 969 rad per cell, unlike a Transformer's: the official code's.
    frequencies = torch.arange(0, EMBEDDED, 2, device=moves.device, dtype=moves.dtype) * (1000.0 / EMBEDDED)
    angles = moves[..., None] * frequencies
    waves = torch.stack([angles.sin(), angles.cos()], dim=-1).flatten(-3)
    return torch.cat([waves, moves], dim=-1)


def sample_at(maps: Tensor, xy: Tensor, padding: str) -> Tensor:
    """Bilinear samples (B, K, C) of maps (B, C, h, w) at xy (B, K, 2) in map indices."""
    height, width = maps.shape[-2:]
    size = xy.new_tensor([max(width - 1, 1), max(height - 1, 1)])
    grid = (2 * xy / size - 1)[:, :, None]
    return F.grid_sample(maps, grid, padding_mode=padding, align_corners=True)[..., 0].transpose(1, 2)


def pyramid(features: Tensor) -> list[Tensor]:
    """The feature maps (8, 128, h, w) and their three halvings by average pooling."""
    maps = [features]
    for _ in range(LEVELS - 1):
        maps.append(F.avg_pool2d(maps[-1], 2))
    return maps


def correlate(maps: list[Tensor], templates: Tensor, xy: Tensor) -> Tensor:
    """Correlations (N, 8, 196) of templates (8, N, 128) with a 7x7 window around xy (8, N, 2) on every level.

    Order: level, then the offset in x, then the offset in y. Outside the map the correlation is 0.
    """
    reach = torch.arange(-RADIUS, RADIUS + 1, device=xy.device, dtype=xy.dtype)
    offsets = torch.stack(torch.meshgrid(reach, reach, indexing="ij"), dim=-1).reshape(-1, 2)
    frames, points = xy.shape[:2]
    rows = []
    for level, features in enumerate(maps):
        where = (xy / 2**level)[:, :, None] + offsets
        around = sample_at(features, where.reshape(frames, -1, 2), "zeros").reshape(
            frames, points, -1, CHANNELS
        )
        rows.append(torch.einsum("snkc,snc->nsk", around, templates))
    # As RAFT scales inner products.
    return torch.cat(rows, dim=-1) / math.sqrt(CHANNELS)


class Refined(NamedTuple):
    """What one window says of N points.

    Attributes:
        xy: Positions after each iteration, (iterations, 8, N, 2), pixels.
        visibility: Logits (8, N); above 0 means seen.
        template: The points' features in the first frame, (N, 128), before any update.
    """

    xy: Tensor
    visibility: Tensor
    template: Tensor


class Pips(nn.Module):
    """PIPs of eight frames and stride 4, with the parameter names of the official reference model."""

    def __init__(self) -> None:
        super().__init__()
        self.fnet = Encoder()
        self.delta_block = DeltaBlock()
        self.norm = nn.GroupNorm(1, CHANNELS)
        self.ffeat_updater = nn.Sequential(nn.Linear(CHANNELS, CHANNELS), nn.GELU())
        self.vis_predictor = nn.Sequential(nn.Linear(CHANNELS, 1))

    def features(self, frames: Tensor) -> Tensor:
        """Feature maps (B, 128, H / 4, W / 4) of frames (B, 3, H, W) of RGB in 0..255; each frame on its own."""
        return self.fnet(2 * (frames / 255.0) - 1.0)

    def look_up(self, features: Tensor, xy: Tensor) -> Tensor:
        """What points at xy (N, 2), pixels, look like on one frame of features (128, h, w): (N, 128)."""
        return sample_at(features[None], xy[None] / STRIDE, "border")[0]

    def forward(
        self, features: Tensor, start: Tensor, template: Tensor | None = None, iterations: int = 6
    ) -> Refined:
        """Refine the positions of N points over a window of eight frames.

        Args:
            features: Feature maps of the window's frames, (8, 128, h, w).
            start: Pixels (x, y): (N, 2) to start every frame from one position, or (8, N, 2).
            template: Features to look for, (N, 128); by default those at `start` in the first frame.
            iterations: Number of refinements; the official inference uses 6.
        """
        first = (start if start.dim() == 3 else start.expand(FRAMES, -1, -1)) / STRIDE
        if template is None:
            template = self.look_up(features[0], first[0] * STRIDE)
        points = first.shape[1]
        maps = pyramid(features)
        # Steps of 8 / 7, not of 1: the official code's.
        time = torch.linspace(0, FRAMES, FRAMES, device=start.device)[:, None, None].expand(-1, points, 1)
        xy, state, answers = first, template.expand(FRAMES, -1, -1), []
        for _ in range(iterations):
            moves = torch.cat([xy - xy[:1], time], dim=-1).transpose(0, 1)
            delta = self.delta_block(state.transpose(0, 1), correlate(maps, state, xy), moves).transpose(0, 1)
            change = self.ffeat_updater(self.norm(delta[..., 2:].reshape(-1, CHANNELS)))
            state = state + change.reshape(FRAMES, points, CHANNELS)
            # The first frame's position is given: each refinement puts it back.
            xy = torch.cat([first[:1], (xy + delta[..., :2])[1:]])
            answers.append(xy * STRIDE)
        return Refined(torch.stack(answers), self.vis_predictor(state)[..., 0], template)
