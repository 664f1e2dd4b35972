"""TAPIR, the network: a guess of each point on each frame by cost volumes, refined over time by a mixer.

Papers: Doersch et al., TAPIR: Tracking Any Point with per-frame Initialization and temporal Refinement, ICCV 2023,
arXiv:2306.08637; BootsTAP, ACCV 2024, arXiv:2402.00847. Official code: https://github.com/google-deepmind/tapnet
(Apache-2.0), its torch port; parameter names are those of its checkpoints. Modules only: no I/O, no state over
frames except the one that callers pass.

Positions in this file are (x, y) in the raster of the initial resolution (256 x 256 as published), the first
pixel's centre at 0.5. Differs from the official code: x is divided by the width of a map and y by its height (the
official one divides both by the height, which is wrong for maps that are not square).
"""

from __future__ import annotations

import math
from typing import NamedTuple, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vtlab.nets.layers import spread, unit_length

Size = tuple[int, int]

# Sizes of the official checkpoints: channels of the coarse and fine map, width of the mixer, side of a neighbourhood.
LOWRES, HIRES = 256, 128
WIDTH, EXPANSION = 512, 4
PATCH = 7
# At each resolution, as in training.
ITERATIONS = 4
PAST = 2
"""Frames that each causal convolution looks back."""


class Grids(NamedTuple):
    """Feature maps of T frames at one resolution; each frame's do not depend on the others."""

    lowres: Tensor
    """(T, 256, H / 8, W / 8), each cell of unit length."""
    hires: Tensor
    """(T, 128, H / 4, W / 4), each cell of unit length."""


class QueryVectors(NamedTuple):
    """What N queried points look like at one resolution."""

    lowres: Tensor
    """(N, 256)."""
    hires: Tensor
    """(N, 128)."""


class Estimate(NamedTuple):
    """Where N points are on T frames."""

    xy: Tensor
    """(N, T, 2) in the raster of the initial resolution."""
    occlusion: Tensor
    """(N, T) logits: above 0 means occluded."""
    distance: Tensor
    """(N, T) logits: above 0 means that the position is expected to be wrong."""


class CausalState(NamedTuple):
    """What the causal mixers remember: the last two frames of every block in every refinement step."""

    inputs: Tensor
    """(steps, blocks, N, 2, 512)."""
    hidden: Tensor
    """(steps, blocks, N, 2, 2048)."""


class PreActivationBlock(nn.Module):
    """Residual block of TAPIR's ResNet: affine instance norm and ReLU before each convolution."""

    def __init__(self, inputs: int, outputs: int, stride: int, project: bool):
        super().__init__()
        self.stride = stride
        self.proj_conv = nn.Conv2d(inputs, outputs, 1, stride=stride, bias=False) if project else None
        self.bn_0 = nn.InstanceNorm2d(inputs, affine=True)
        self.conv_0 = nn.Conv2d(inputs, outputs, 3, stride=stride, bias=False)
        self.conv_1 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.bn_1 = nn.InstanceNorm2d(outputs, affine=True)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, inputs, H, W) to (B, outputs, H / stride, W / stride)."""
        active = F.relu(self.bn_0(x))
        skip = x if self.proj_conv is None else self.proj_conv(active)
        # JAX's padding of strided convolutions, from which the weights come: nothing before, the rest behind.
        y = self.conv_0(F.pad(active, (1, 1, 1, 1) if self.stride == 1 else (0, 2, 0, 2)))
        return cast(Tensor, self.conv_1(F.relu(self.bn_1(y))) + skip)


class BlockGroup(nn.Module):
    """Two blocks, the first of which changes stride and width."""

    def __init__(self, inputs: int, outputs: int, stride: int):
        super().__init__()
        self.blocks = nn.ModuleList(
            [
                PreActivationBlock(inputs, outputs, stride, True),
                PreActivationBlock(outputs, outputs, 1, False),
            ]
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, inputs, H, W) to (B, outputs, H / stride, W / stride)."""
        for block in self.blocks:
            x = block(x)
        return x


class ResNet(nn.Module):
    """TAPIR's backbone, with outputs at strides 4 and 8."""

    def __init__(self) -> None:
        super().__init__()
        self.initial_conv = nn.Conv2d(3, 64, 7, stride=2, bias=False)
        widths = (64, 64, 128, 256, 256)
        self.block_groups = nn.ModuleList(
            BlockGroup(widths[i], widths[i + 1], stride) for i, stride in enumerate((1, 2, 2, 1))
        )

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Map (B, 3, H, W) to maps (B, 256, H / 8, W / 8) and (B, 128, H / 4, W / 4)."""
        # As JAX pads: more behind than before.
        x = self.initial_conv(F.pad(images, (2, 4, 2, 4)))
        maps = []
        for group in self.block_groups:
            x = group(x)
            maps.append(x)
        return maps[3], maps[1]


class ExtraConvBlock(nn.Module):
    """Layer norm over channels, two 3x3 convolutions, and a skip of the normalised input."""

    def __init__(self, channels: int = LOWRES):
        super().__init__()
        self.layer_norm = nn.LayerNorm(channels)
        self.conv = nn.Conv2d(channels, 4 * channels, 3, padding=1)
        self.conv_1 = nn.Conv2d(4 * channels, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) to the same shape."""
        normal = self.layer_norm(x.movedim(1, -1)).movedim(-1, 1)
        return cast(Tensor, normal + self.conv_1(F.gelu(self.conv(normal), approximate="tanh")))


class ExtraConvs(nn.Module):
    """The five convolution blocks that BootsTAPIR adds after the backbone."""

    def __init__(self) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(ExtraConvBlock() for _ in range(5))

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, 256, H, W) to the same shape."""
        for block in self.blocks:
            x = block(x)
        return x


class CostVolumeHeads(nn.ModuleDict):
    """Position and occlusion read from the cost volume of one point on one frame."""

    def __init__(self) -> None:
        super().__init__(
            {
                "hid1": nn.Conv2d(1, 16, 3, padding=1),
                "hid2": nn.Conv2d(16, 1, 3, padding=1),
                "hid3": nn.Conv2d(16, 32, 3, stride=2),
                "hid4": nn.Linear(32, 16),
                "occ_out": nn.Linear(16, 2),
            }
        )

    def forward(self, costs: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
        """Map costs (B, 1, h, w) to positions (B, 2) as (x, y) in cells, and two logits (B, 2)."""
        hidden = F.relu(self["hid1"](costs))
        xy = soft_argmax(self["hid2"](hidden)[:, 0], temperature)
        pooled = F.relu(self["hid3"](F.pad(hidden, (0, 2, 0, 2)))).mean(dim=(-2, -1))
        return xy, self["occ_out"](F.relu(self["hid4"](pooled)))


def soft_argmax(heat: Tensor, temperature: float, reach: float = 5.0) -> Tensor:
    """Mean position (B, 2) as (x, y) of maps (B, h, w), by softmax over the cells near the highest one."""
    height, width = heat.shape[-2:]
    weights = torch.softmax(heat.flatten(1) * temperature, dim=1)
    ys, xs = torch.meshgrid(
        torch.arange(height, device=heat.device) + 0.5,
        torch.arange(width, device=heat.device) + 0.5,
        indexing="ij",
    )
    cells = torch.stack([xs, ys], dim=-1).reshape(-1, 2).to(heat.dtype)
    peaks = cells[weights.argmax(dim=1)]
    # Softmax over the whole map would be drawn to look-alikes far away; 5 cells are the official reach.
    near = ((cells - peaks[:, None]) ** 2).sum(dim=-1) < reach**2
    weights = weights * near
    return (weights @ cells) / weights.sum(dim=1, keepdim=True).clamp(min=1e-12)


class ChannelMixer(nn.Module):
    """Two linear layers over channels."""

    def __init__(self) -> None:
        super().__init__()
        self.mlp2_up = nn.Linear(WIDTH, EXPANSION * WIDTH)
        self.mlp2_down = nn.Linear(EXPANSION * WIDTH, WIDTH)

    def forward(self, x: Tensor) -> Tensor:
        """Map (..., 512) to the same shape."""
        return cast(Tensor, self.mlp2_down(F.gelu(self.mlp2_up(x), approximate="tanh")))


class MixerBlock(nn.Module):
    """Depthwise convolutions over time, then linear layers over channels, both with skips."""

    def __init__(self, causal: bool):
        super().__init__()
        self.causal = causal
        hidden = EXPANSION * WIDTH
        # Weights only, as haiku made them.
        self.layer_norm = nn.LayerNorm(WIDTH, bias=False)
        self.mlp1_up = nn.Conv1d(WIDTH, hidden, PAST + 1, groups=WIDTH)
        self.mlp1_up_1 = nn.Conv1d(hidden, hidden, PAST + 1, groups=hidden)
        self.layer_norm_1 = nn.LayerNorm(WIDTH, bias=False)
        self.conv_channels_mixer = ChannelMixer()

    def _extend(self, x: Tensor, past: Tensor | None) -> Tensor:
        if past is not None:
            return torch.cat([past, x], dim=1)
        return F.pad(x, (0, 0, PAST, 0) if self.causal else (0, 0, PAST // 2, PAST // 2))

    def forward(self, x: Tensor, past: tuple[Tensor, Tensor] | None) -> tuple[Tensor, Tensor, Tensor]:
        """Map (N, T, 512) to the same shape, and give the last two frames to pass as `past` next time.

        Args:
            x: (N, T, 512).
            past: Last two frames before x: normalised inputs (N, 2, 512) and hidden activations (N, 2, 2048);
                None at the start of a video.
        """
        y = self._extend(self.layer_norm(x), None if past is None else past[0])
        hidden = F.gelu(_over_time(y[..., None], self.mlp1_up).flatten(2), approximate="tanh")
        hidden = self._extend(hidden, None if past is None else past[1])
        x = x + _over_time(hidden.unflatten(2, (WIDTH, EXPANSION)), self.mlp1_up_1).sum(dim=-1)
        x = x + self.conv_channels_mixer(self.layer_norm_1(x))
        return x, y[:, -PAST:], hidden[:, -PAST:]


def _over_time(x: Tensor, conv: nn.Conv1d) -> Tensor:
    """A depthwise convolution over time of x (N, T + 2, 512, 1 or 4): (N, T, 512, 4), written as sums.

    PyTorch's own takes several times as long on a CPU where T is small.
    """
    taps = conv.weight[:, 0].T.unflatten(1, (WIDTH, EXPANSION))
    frames = x.shape[1] - PAST
    total = torch.addcmul(cast(Tensor, conv.bias).unflatten(0, (WIDTH, EXPANSION)), x[:, :frames], taps[0])
    for i in range(1, PAST + 1):
        total = total.addcmul_(x[:, i : i + frames], taps[i])
    return total


class Mixer(nn.Module):
    """Twelve blocks from what is known of a point on each frame to an update of it."""

    def __init__(self, inputs: int, causal: bool, blocks: int = 12):
        super().__init__()
        self.linear = nn.Linear(inputs, WIDTH)
        self.layer_norm = nn.LayerNorm(WIDTH, bias=False)
        self.linear_1 = nn.Linear(WIDTH, 4 + HIRES + LOWRES)
        self.blocks = nn.ModuleList(MixerBlock(causal) for _ in range(blocks))

    def forward(
        self, x: Tensor, past: CausalState | None, step: int
    ) -> tuple[Tensor, list[tuple[Tensor, Tensor]]]:
        """Map (N, T, inputs) to (N, T, 388), and give each block's last two frames."""
        x = self.linear(x)
        last = []
        for i, block in enumerate(self.blocks):
            x, *frames = block(x, None if past is None else (past.inputs[step, i], past.hidden[step, i]))
            last.append((frames[0], frames[1]))
        return self.linear_1(self.layer_norm(x)), last


def sample(maps: Tensor, xy: Tensor, *, padding: str) -> Tensor:
    """Sample maps (B, C, h, w) bilinearly at xy (B, K, 2) in cells, first cell's centre 0.5: (B, K, C)."""
    size = xy.new_tensor([maps.shape[-1], maps.shape[-2]])
    grid = (2 * xy / size - 1)[:, :, None]
    values = F.grid_sample(maps, grid, mode="bilinear", padding_mode=padding, align_corners=False)
    return values[..., 0].transpose(1, 2)


class Tapir(nn.Module):
    """TAPIR and BootsTAPIR, offline and causal.

    Args:
        pyramid_level: Averaged maps that are added to the correlations; 0 for TAPIR, 1 for BootsTAPIR.
        extra_convs: Whether five convolution blocks follow the backbone (BootsTAPIR).
        causal: Whether the mixers see only the past. Not visible in a checkpoint's shapes.
        softmax_temperature: Factor on the heat maps; 20 in the official torch demos, 10 in the JAX configuration
            of BootsTAPIR.
        initial_resolution: (height, width) of the first guess and unit of all positions; multiples of 8.
    """

    def __init__(
        self,
        *,
        pyramid_level: int = 1,
        extra_convs: bool = True,
        causal: bool = False,
        softmax_temperature: float = 20.0,
        initial_resolution: Size = (256, 256),
    ):
        super().__init__()
        self.pyramid_level = pyramid_level
        self.causal = causal
        self.softmax_temperature = softmax_temperature
        self.initial_resolution = initial_resolution
        self.resnet_torch = ResNet()
        self.torch_cost_volume_track_mods = CostVolumeHeads()
        correlations = (2 + pyramid_level) * PATCH**2
        self.torch_pips_mixer = Mixer(4 + HIRES + LOWRES + correlations, causal)
        self.extra_convs = ExtraConvs() if extra_convs else None

    def resolutions(self, size: Size) -> list[Size]:
        """Sizes at which positions are refined for a video of `size` (height, width), the initial one first."""
        first = self.initial_resolution
        # The longer way counts: log-spaced steps up to the video's own size (`generate_default_resolutions`).
        ratio = max(size[0] / first[0], size[1] / first[1])
        if ratio <= 1:
            return [first]
        levels = math.ceil(math.log2(ratio)) + 1
        steps = [i / (levels - 1) for i in range(levels)]
        return [(_eighths(first[0], size[0], step), _eighths(first[1], size[1], step)) for step in steps]

    def encode(self, images: Tensor) -> Grids:
        """Feature maps of images (T, 3, H, W) in [-1, 1]; H and W are multiples of 8."""
        lowres, hires = self.resnet_torch(images)
        if self.extra_convs is not None:
            lowres = self.extra_convs(lowres)
        return Grids(unit_length(lowres), unit_length(hires))

    def query_vectors(self, grids: Grids, xy: Tensor) -> QueryVectors:
        """Features of points at `xy` (N, 2) on one frame, whose maps `grids` holds."""

        def read(maps: Tensor) -> Tensor:
            return sample(maps, self._cells(xy, maps)[None], padding="border")[0]

        return QueryVectors(read(grids.lowres), read(grids.hires))

    def _cells(self, xy: Tensor, maps: Tensor) -> Tensor:
        height, width = self.initial_resolution
        return xy * xy.new_tensor([maps.shape[-1] / width, maps.shape[-2] / height])

    def guess(self, vectors: Tensor, lowres: Tensor) -> Estimate:
        """First estimate of N points with features (N, 256) on maps (T, 256, h, w), each frame on its own."""
        (points, _), (frames, _, height, width) = vectors.shape, lowres.shape
        parts = []
        # 16 channels of the first convolution, before and behind its ReLU.
        for part in spread(points, 32 * frames * height * width):
            costs = torch.einsum("nc,tchw->nthw", vectors[part], lowres).flatten(0, 1)
            parts.append(self.torch_cost_volume_track_mods(costs[:, None], self.softmax_temperature))
        xy, logits = (torch.cat(values).unflatten(0, (points, frames)) for values in zip(*parts, strict=True))
        rows, columns = self.initial_resolution
        return Estimate(xy * xy.new_tensor([columns / width, rows / height]), logits[..., 0], logits[..., 1])

    def refine(
        self,
        start: Estimate,
        vectors: QueryVectors,
        grids: Grids,
        state: CausalState | None = None,
        step: int = 0,
    ) -> tuple[list[Estimate], list[list[tuple[Tensor, Tensor]]]]:
        """Refine an estimate four times at the resolution of `grids`.

        Args:
            start: Positions to begin with, and the logits of the first guess.
            vectors: The points' features at this resolution.
            grids: Feature maps of the T frames.
            state: What causal mixers remember of earlier frames; None at the start or if not causal.
            step: Number of refinements at earlier resolutions: where this one's state begins.

        Returns:
            The estimate after each of the four, and each one's last frames for the state.
        """
        maps = [grids.hires, grids.lowres]
        for _ in range(self.pyramid_level):
            maps.append(F.avg_pool2d(maps[-1], 2, stride=2))
        features = torch.cat([vectors.hires, vectors.lowres], dim=1)[:, None].expand(
            -1, len(grids.lowres), -1
        )
        rows, columns = self.initial_resolution
        # The mixer moves points in pixels of the resolution at work, whose finer map has a quarter of its sides.
        pixel = start.xy.new_tensor(
            [columns / (4 * grids.hires.shape[-1]), rows / (4 * grids.hires.shape[-2])]
        )
        xy, occlusion, distance = start
        estimates, memories = [], []
        for i in range(ITERATIONS):
            near = [
                self._correlate(m, features[..., :HIRES] if j == 0 else features[..., HIRES:], xy)
                for j, m in enumerate(maps)
            ]
            # Where a position would stand the official network reads 0, always: it can't learn where on the image it
            # is.
            known = [torch.zeros_like(xy), occlusion[..., None], distance[..., None], features, *near]
            update, memory = self.torch_pips_mixer(torch.cat(known, dim=-1), state, step + i)
            xy = xy + update[..., :2] * pixel
            occlusion, distance = occlusion + update[..., 2], distance + update[..., 3]
            features = features + update[..., 4:]
            estimates.append(Estimate(xy, occlusion, distance))
            memories.append(memory)
        return estimates, memories

    def _correlate(self, maps: Tensor, features: Tensor, xy: Tensor) -> Tensor:
        """Dot products (N, T, 49) of features (N, T, C) with the maps (T, C, h, w) around xy (N, T, 2)."""
        steps = torch.arange(PATCH, device=xy.device, dtype=xy.dtype) - PATCH // 2
        ys, xs = torch.meshgrid(steps, steps, indexing="ij")
        offsets = torch.stack([xs, ys], dim=-1).reshape(-1, 2)
        where = self._cells(xy, maps).transpose(0, 1)
        parts = []
        for part in spread(len(xy), len(maps) * len(offsets) * maps.shape[1]):
            around = (where[:, part, None] + offsets).flatten(1, 2)
            values = sample(maps, around, padding="zeros").unflatten(1, (-1, len(offsets)))
            parts.append(torch.einsum("tnkc,ntc->ntk", values, features[part]))
        return torch.cat(parts)

    def track(
        self,
        grids: list[Grids],
        vectors: list[QueryVectors],
        *,
        known: tuple[Tensor, Tensor] | None = None,
        state: CausalState | None = None,
    ) -> tuple[list[Estimate], CausalState | None]:
        """Follow N points over T frames.

        Args:
            grids: Feature maps at the initial resolution, then at every resolution of refinement.
            vectors: The points' features at the same resolutions.
            known: Frame (N,) of each query among the T frames, negative if it is not one of them, and its position
                (N, 2): there the first guess is replaced by the query. None in the online protocol.
            state: Memory of a causal network after the frames before these; None at the start.

        Returns:
            The first guess and each refinement, in order, and the memory after these frames (None if not causal).
        """
        first = self.guess(vectors[0].lowres, grids[0].lowres)
        if known is not None:
            frames, xy = known
            inside = torch.nonzero(frames >= 0)[:, 0]
            first.xy[inside, frames[inside]] = xy[inside]
        estimates, memories = [first], []
        for level in range(1, len(grids)):
            # Positions carry over from one resolution to the next; the logits begin anew from the first guess.
            start = Estimate(estimates[-1].xy, first.occlusion, first.distance)
            refined, memory = self.refine(
                start, vectors[level], grids[level], state, (level - 1) * ITERATIONS
            )
            estimates += refined
            memories += memory
        return estimates, _stack(memories) if self.causal else None

    def empty_state(self, points: int, resolutions: int, like: Tensor) -> CausalState:
        """The memory of a causal network before its first frame: zeros."""
        shape = (resolutions * ITERATIONS, len(self.torch_pips_mixer.blocks), points)
        return CausalState(
            like.new_zeros(*shape, PAST, WIDTH), like.new_zeros(*shape, PAST, EXPANSION * WIDTH)
        )


def average(estimates: list[Estimate]) -> Estimate:
    """The offline answer: the mean over resolutions of each one's last refinement."""
    last = estimates[ITERATIONS::ITERATIONS]
    return Estimate(*(torch.stack(values).mean(dim=0) for values in zip(*last, strict=True)))


def probability_visible(estimate: Estimate) -> Tensor:
    """Probability (N, T) that a point is seen and its position right; the official rule is above 0.5."""
    return (1 - torch.sigmoid(estimate.occlusion)) * (1 - torch.sigmoid(estimate.distance))


def _stack(memories: list[list[tuple[Tensor, Tensor]]]) -> CausalState:
    inputs, hidden = (torch.stack([torch.stack([b[i] for b in m]) for m in memories]) for i in (0, 1))
    return CausalState(inputs, hidden)


def _eighths(first: int, last: int, step: float) -> int:
    """The side at `step` (0 to 1) on the way from `first` to `last`, on a log scale, in whole eights."""
    return round((first * (last / first) ** step) // 8) * 8
