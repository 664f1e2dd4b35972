"""AllTracker, the network: dense flow from one anchor frame to every frame of a window of sixteen.

Paper: Harley et al., "AllTracker: Efficient Dense Point Tracking at High Resolution", ICCV 2025, arXiv:2506.07310.
Official code: https://github.com/aharley/alltracker (MIT). Written from notes on the official behaviour; parameter names
are those of the official checkpoints. Modules only: no I/O, no state over windows except the one that callers pass.

Maps have an eighth of the image's sides. Inside the refinement they are held with channels last, (T, h, w, C). A position
on a map is (x, y) in cells, the first cell at 0.
Differs from the official code: features are an argument (a frame's don't depend on the window or the anchor, so a caller
computes them once), and full-resolution flow is read where it is asked for.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vtlab.nets.layers import attend, split_heads, spread
from vtlab.nets.pips import Encoder

# Sizes of the official checkpoint: its time code has 16 rows of 128 numbers, its first convolution of correlations 405
# inputs. The number of heads can't be read off a file: it is the official code's.
WINDOW = 16
STRIDE = 8
LEVELS, RADIUS = 5, 4
# As the official code pads: half before, half behind, and on the normalised image; zeros in the border's place move
# points by up to 6 px.
PADDED_TO = 64
"""Sides of an image are filled up to multiples of this many pixels."""
MIN_SIDE = 2 * PADDED_TO
"""Smallest padded side in pixels: the last level of the pyramid keeps a cell."""
WIDTH, HEADS, ROUNDS = 128, 8, 3
CORRELATIONS = LEVELS * (2 * RADIUS + 1) ** 2
HELD = 1 << 28
"""Most correlations of a window that are kept over its iterations, 1 GiB; more are computed anew in each."""
# ImageNet's, on which the ConvNeXt trunk was trained.
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class Motion(NamedTuple):
    """Where the anchor frame's cells are on T frames."""

    flow: Tensor
    """(T, h, w, 2) as (x, y) in cells."""
    seen: Tensor
    """(T, h, w, 2) logits at an eighth of their size: of being visible, and of the flow being right."""


class Dense(NamedTuple):
    """What a window gives: the motion of cells, and what its reading at full resolution needs."""

    motion: Motion
    hidden: Tensor
    """(T, h, w, 256)"""


def pad(images: Tensor) -> tuple[Tensor, tuple[int, int]]:
    """Fill images (B, 3, H, W) up to multiples of 64 with their border, half of it before; and where they begin, (x, y)."""
    down, across = (-side % PADDED_TO for side in images.shape[-2:])
    if not (down or across):
        return images, (0, 0)
    left, top = across // 2, down // 2
    return F.pad(images, (left, across - left, top, down - top), mode="replicate"), (left, top)


class ChannelNorm(nn.LayerNorm):
    """Layer normalisation over the channels of maps (B, C, h, w)."""

    def forward(self, x: Tensor) -> Tensor:
        """Normalise every cell."""
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class SpaceBlock(nn.Module):
    """A block of ConvNeXt (Liu et al., CVPR 2022): each channel filtered 7 x 7, then a perceptron at each cell."""

    def __init__(self, width: int):
        super().__init__()
        self.layer_scale = nn.Parameter(torch.ones(width, 1, 1))
        self.block = nn.Sequential(
            nn.Conv2d(width, width, 7, padding=3, groups=width),
            nn.Identity(),  # the official code changes the order of axes here
            nn.LayerNorm(width, eps=1e-6),
            nn.Linear(width, 4 * width),
            nn.GELU(),
            nn.Linear(4 * width, width),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, h, w) to the same shape."""
        y = self.block[2:](self.block[0](x).permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        return x + self.layer_scale * y


class ConvNext(nn.Module):
    """ConvNeXt-tiny up to its third stage, whose convolution is dilated where the official one is strided."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Sequential(nn.Conv2d(3, 96, 4, stride=4), ChannelNorm(96, eps=1e-6)),
            nn.Sequential(*(SpaceBlock(96) for _ in range(3))),
            nn.Sequential(ChannelNorm(96, eps=1e-6), nn.Conv2d(96, 192, 2, stride=2)),
            nn.Sequential(*(SpaceBlock(192) for _ in range(3))),
            nn.Sequential(ChannelNorm(192, eps=1e-6), nn.Conv2d(192, 384, 3, padding=2, dilation=2)),
            nn.Sequential(*(SpaceBlock(384) for _ in range(9))),
        )

    def forward(self, images: Tensor) -> Tensor:
        """Map (B, 3, H, W) to (B, 384, H / 8, W / 8)."""
        return cast(Tensor, self.features(images))


class Attention(nn.Module):
    """Multi-head self-attention."""

    def __init__(self) -> None:
        super().__init__()
        self.to_q = nn.Linear(WIDTH, WIDTH)
        self.to_kv = nn.Linear(WIDTH, 2 * WIDTH)
        self.to_out = nn.Linear(WIDTH, WIDTH)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, T, C) to the same shape; every frame sees all others."""
        q, k, v = (split_heads(y, HEADS) for y in (self.to_q(x), *self.to_kv(x).chunk(2, dim=-1)))
        return cast(Tensor, self.to_out(attend(q, k, v, scale=(WIDTH // HEADS) ** -0.5)))


class Perceptron(nn.Module):
    """Two linear layers with GELU, by tanh, between them."""

    def __init__(self) -> None:
        super().__init__()
        self.fc1 = nn.Linear(WIDTH, 4 * WIDTH)
        self.fc2 = nn.Linear(4 * WIDTH, WIDTH)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, T, C) to the same shape."""
        return cast(Tensor, self.fc2(F.gelu(self.fc1(x), approximate="tanh")))


class Attended(nn.Module):
    """Attention and a perceptron, each added to its normalised input."""

    def __init__(self) -> None:
        super().__init__()
        self.attn = Attention()
        self.mlp = Perceptron()

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, T, C) to the same shape."""
        # Without parameters of its own, and with eps 1e-6, as in the official blocks: 1e-5 moves points by 1e-4 px.
        x = x + self.attn(F.layer_norm(x, (WIDTH,), eps=1e-6))
        return cast(Tensor, x + self.mlp(F.layer_norm(x, (WIDTH,), eps=1e-6)))


class TimeBlock(nn.Module):
    """Attention over the frames of a window, at each cell."""

    def __init__(self) -> None:
        super().__init__()
        self.layer_scale = nn.Parameter(torch.ones(WIDTH, 1))
        self.block = Attended()

    def forward(self, x: Tensor) -> Tensor:
        """Map (T, C, h, w) to the same shape."""
        frames = x.permute(0, 2, 3, 1)
        cells = frames.flatten(1, 2).transpose(0, 1)
        # The scale multiplies the block with its own residual inside; on the branch alone it moves points by 6 px.
        cells = cells + self.layer_scale[:, 0] * self.block(cells)
        return cells.transpose(0, 1).reshape(frames.shape).permute(0, 3, 1, 2)


class MotionEncoder(nn.Module):
    """What correlations and the flow say, in 128 channels, of which the last two are the flow."""

    def __init__(self) -> None:
        super().__init__()
        self.convc1 = nn.Conv2d(CORRELATIONS, 512, 1)
        self.convc2 = nn.Conv2d(512, 192, 3, padding=1)
        self.convf1 = nn.Conv2d(2, 256, 5, padding=2)
        self.convf2 = nn.Conv2d(256, 64, 3, padding=1)
        self.conv = nn.Conv2d(256, WIDTH - 2, 3, padding=1)

    def forward(self, correlations: Tensor, flow: Tensor) -> Tensor:
        """Map (T, 405, h, w) and (T, 2, h, w) to (T, 128, h, w)."""
        looks = F.relu(self.convc2(F.relu(self.convc1(correlations))))
        moves = F.relu(self.convf2(F.relu(self.convf1(flow))))
        return torch.cat([F.relu(self.conv(torch.cat([looks, moves], dim=1))), flow], dim=1)


class UpdateBlock(nn.Module):
    """From what is known of each cell on each frame to its new feature."""

    def __init__(self) -> None:
        super().__init__()
        self.motion_encoder = MotionEncoder()
        self.compressor = nn.Conv2d(3 * WIDTH + 2, WIDTH, 1)
        self.refine = nn.Sequential(
            *(block for _ in range(ROUNDS) for block in (TimeBlock(), SpaceBlock(WIDTH)))
        )
        self.final_conv = nn.Conv2d(WIDTH, WIDTH, 1)

    def forward(
        self, feature: Tensor, context: Tensor, correlations: Tensor, motion: tuple[Tensor, Tensor]
    ) -> Tensor:
        """Map features and context (T, 128, h, w), correlations (T, 405, h, w), flow and logits (T, 2, h, w) to features."""
        flow, seen = motion
        found = self.motion_encoder(correlations, flow)
        x = self.compressor(torch.cat([feature, context, found, seen], dim=1))
        return cast(Tensor, self.final_conv(self.refine(x)))


class Correlations:
    """Inner products of the anchor's cells with those of T frames, at five levels.

    Args:
        anchor: (C, h, w) features.
        frames: (T, C, h, w) features.
    """

    def __init__(self, anchor: Tensor, frames: Tensor):
        # Over the root of the channels as in RAFT (Teed and Deng, ECCV 2020), so that products don't grow with their
        # number.
        self._anchor = (anchor / math.sqrt(len(anchor))).flatten(1).T
        self._levels = [frames]
        for _ in range(LEVELS - 1):
            last = self._levels[-1]
            side = (last.shape[-2] // 2, last.shape[-1] // 2)
            # Adaptive, not 2 x 2: on an odd side the last bins overlap, where 2 x 2 would drop a row, and be wrong by
            # 0.5 px.
            self._levels.append(F.adaptive_avg_pool2d(last, side))
        each = self._anchor.shape[0] * sum(level[0, 0].numel() for level in self._levels)
        self._held = (
            [[self._volume(level, t) for t in range(len(frames))] for level in self._levels]
            if each * len(frames) <= HELD
            else None
        )

    def _volume(self, level: Tensor, frame: int) -> Tensor:
        """(cells of the anchor, h', w')"""
        return (self._anchor @ level[frame].flatten(1)).unflatten(1, level.shape[-2:])

    def around(self, at: Tensor) -> Tensor:
        """Correlations of each cell with 9 x 9 places about `at` (T, h, w, 2) on every level: (T, 405, h, w)."""
        found = at.new_empty(*at.shape[:-1], CORRELATIONS)
        each = (2 * RADIUS + 1) ** 2
        for number, level in enumerate(self._levels):
            # Frame by frame: what is computed anew is never held for more than one frame.
            for t in range(len(at)):
                volume = self._held[number][t] if self._held else self._volume(level, t)
                places = at[t].flatten(0, 1) / 2**number
                found[t, ..., number * each : (number + 1) * each] = _look_up(volume, places).view(
                    *at.shape[1:3], each
                )
        return found.permute(0, 3, 1, 2)


def _look_up(maps: Tensor, at: Tensor) -> Tensor:
    """Values of maps (N, h, w) on 9 x 9 cells about `at` (N, 2), the border repeated: (N, 81), x slow and y fast."""
    low = at.floor()
    part = (at - low)[:, :, None, None]
    steps = torch.arange(-RADIUS, RADIUS + 2, device=at.device)
    x = (low[:, :1] + steps).clamp(0, maps.shape[2] - 1).long()
    y = (low[:, 1:] + steps).clamp(0, maps.shape[1] - 1).long()
    # Offsets in x change slowly, those in y fast: the order in which the encoder's weights lie.
    places = x[:, :, None] + maps.shape[2] * y[:, None, :]
    values = maps.flatten(1).gather(1, places.flatten(1)).view_as(places)
    values = torch.lerp(values[:, :-1], values[:, 1:], part[:, 0])
    return torch.lerp(values[:, :, :-1], values[:, :, 1:], part[:, 1]).flatten(1)


def _head(outputs: int, kernel: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(WIDTH, 256, 3, padding=1), nn.ReLU(), nn.Conv2d(256, outputs, kernel, padding=kernel // 2)
    )


class AllTracker(nn.Module):
    """The whole network.

    Args:
        tiny: The variant with the image encoder of PIPs; the same 128 channels serve for everything there.
    """

    time_emb: Tensor

    def __init__(self, *, tiny: bool = False):
        super().__init__()
        if tiny:
            self.fnet = Encoder(STRIDE)
        else:
            self.cnn = ConvNext()
            self.dot_conv = nn.Conv2d(384, 2 * WIDTH, 1)
        self.tiny = tiny
        self.upsample_weight = _head(9 * STRIDE**2, 1)
        self.flow_head = _head(2, 3)
        self.visconf_head = _head(2, 3)
        self.update_block = UpdateBlock()
        # The time code of the Transformer (Vaswani et al., 2017); the file's own replaces it.
        turns = torch.arange(WINDOW)[:, None] * 10000 ** (-torch.arange(WIDTH // 2) / (WIDTH // 2))
        self.register_buffer("time_emb", torch.cat([turns.sin(), turns.cos()], dim=1)[None])

    def encode(self, images: Tensor) -> Tensor:
        """Map images (B, 3, H, W), RGB 0 to 255, sides multiples of 64 from 128 on, to features (B, C, H / 8, W / 8)."""
        mean, std = (images.new_tensor(v).view(3, 1, 1) for v in (MEAN, STD))
        x = (images / 255 - mean) / std
        return cast(Tensor, self.fnet(x) if self.tiny else self.dot_conv(self.cnn(x)))

    def start(self, frames: int, like: Tensor) -> Motion:
        """No motion on any of `frames` frames, for features `like` (..., h, w)."""
        zeros = like.new_zeros(frames, *like.shape[-2:], 2)
        return Motion(zeros, zeros)

    def forward(self, anchor: Tensor, frames: Tensor, start: Motion, iterations: int = 4) -> Dense:
        """Follow all cells of the anchor over a window.

        Args:
            anchor: (C, h, w) features of the anchor frame.
            frames: (T, C, h, w) features of the window's frames, 16, or the one that follows the anchor.
            start: Motion to begin with.
            iterations: Refinements.
        """
        count = len(frames)
        # A pair is refined with the second frame's code, as in the official code.
        times = self.time_emb[0, 1:2] if count == 1 else self.time_emb[0, :count]
        # The full network's 256 channels are 128 of the state and 128 of the context; the tiny one's 128 are both.
        feature = anchor[:WIDTH].expand(count, -1, -1, -1)
        context = anchor[-WIDTH:] + times[:, :, None, None].to(anchor.dtype)
        correlations = Correlations(anchor, frames)
        rows, columns = torch.meshgrid(
            *(torch.arange(n, device=anchor.device) for n in anchor.shape[1:]), indexing="ij"
        )
        cells = torch.stack([columns, rows], dim=-1).to(anchor.dtype)
        flow, seen = (values.permute(0, 3, 1, 2) for values in start)
        # The anchor's own frame is predicted like any other: the official code doesn't hold it at no motion.
        for _ in range(iterations):
            looks = correlations.around(cells + flow.permute(0, 2, 3, 1))
            feature = self.update_block(feature, context, looks, (flow, seen))
            flow, seen = flow + self.flow_head(feature), seen + self.visconf_head(feature)
        hidden = self.upsample_weight[1](self.upsample_weight[0](feature))
        return Dense(Motion(*(v.permute(0, 2, 3, 1) for v in (flow, seen))), hidden.permute(0, 2, 3, 1))

    def read(self, found: Dense, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Flow in pixels (T, K, 2) and logits of being visible and right (T, K, 2) at `pixels` (K, 2), whole (x, y).

        A pixel's value is a convex combination of the 3 x 3 cells about its own, those outside the map being 0.
        """
        last = cast(nn.Conv2d, self.upsample_weight[2])
        weight, bias = (v.view(9, STRIDE, STRIDE, -1) for v in (last.weight, cast(Tensor, last.bias)))
        around = torch.arange(3, device=pixels.device)
        maps = F.pad(torch.cat(found.motion, dim=-1), (0, 0, 1, 1, 1, 1))
        answers = []
        for part in spread(len(pixels), (9 + len(maps)) * weight.shape[-1]):
            (x, y), (column, row) = (pixels[part] // STRIDE).T, (pixels[part] % STRIDE).T
            scores = torch.einsum("nkc,tkc->tkn", weight[:, row, column], found.hidden[:, y, x])
            # RAFT's factor, by which its weights were trained; without it points move by 2 px.
            shares = (0.25 * (scores + bias[:, row, column, 0].T)).softmax(dim=-1)
            cells = maps[:, (y[:, None] + around)[:, :, None], (x[:, None] + around)[:, None]].flatten(2, 3)
            # Cells become pixels; the official code reads logits by the same function, so they are multiplied, too.
            answers.append(STRIDE * torch.einsum("tkn,tknc->tkc", shares, cells))
        flow, logits = torch.cat(answers, dim=1).chunk(2, dim=-1)
        return flow, logits


def variant_of(tensors: Mapping[str, Tensor]) -> str | None:
    """Name the variant a state dict belongs to, `"alltracker"` or `"alltracker-tiny"`, or None when it is neither."""
    if "update_block.compressor.weight" not in tensors:
        return None
    return "alltracker-tiny" if "fnet.conv1.weight" in tensors else "alltracker"
