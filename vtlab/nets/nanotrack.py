"""NanoTrack v2 and v3: a truncated MobileNetV3 and correlations of a template with a search region.

Code: https://github.com/HonglinChu/SiamTrackers (NanoTrack, 2022-2023, Apache-2.0); there is no paper. The backbone is
MobileNetV3-small (Howard et al., ICCV 2019, https://arxiv.org/abs/1905.02244) up to stride 16. Written from a description
of the architecture; parameter names are those of the official checkpoints, which load with `strict=True`.

Images are (B, 3, S, S), BGR, 0 to 255, not normalised. What of the correlations depends on the template alone is computed
once for each template (`template`): the convolution of the search features is linear, so it goes into the template's
kernel, which changes results by rounding only.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["CONFIGS", "NanoTrack", "NanoTrackConfig", "variant_of"]

BRANCHES = ("cls", "reg")
KERNEL = 64
"""Positions of an 8 x 8 template, each of which is a channel of the pixel-wise correlation."""
DEPTH = 6
"""Steps of a tower."""


@dataclass(frozen=True)
class NanoTrackConfig:
    """Sizes of one version.

    Attributes:
        blocks: Of the backbone.
        channels: Of the features.
        cells: Side of the answer's map.
        depthwise: Whether the head also correlates the template's centre channel by channel (v3).
    """

    blocks: int
    channels: int
    cells: int
    depthwise: bool


CONFIGS = {2: NanoTrackConfig(8, 48, 16, False), 3: NanoTrackConfig(9, 96, 15, True)}
"""The versions with an official PyTorch checkpoint."""

# Table 2 of the MobileNetV3 paper, small; v2 has the first eight, v3 one more, at stride 1.
_BLOCKS = (  # kernel, hidden, out, squeeze and excitation, hard-swish, stride
    (3, 16, 16, True, False, 2),
    (3, 72, 24, False, False, 2),
    (3, 88, 24, False, False, 1),
    (5, 96, 40, True, True, 2),
    (5, 240, 40, True, True, 1),
    (5, 240, 40, True, True, 1),
    (5, 120, 48, True, True, 1),
    (5, 144, 48, True, True, 1),
    (5, 288, 96, True, True, 1),
)


class SqueezeExcite(nn.Module):
    """Channels weighed by what the whole map holds (Hu et al., CVPR 2018)."""

    def __init__(self, dim: int, inner: int):
        super().__init__()
        self.fc = nn.Sequential(
            nn.Linear(dim, inner), nn.ReLU(inplace=True), nn.Linear(inner, dim), nn.Hardsigmoid()
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) to (B, C, H, W)."""
        weights: Tensor = self.fc(x.mean(dim=(2, 3)))
        return x * weights[:, :, None, None]


class InvertedResidual(nn.Module):
    """Widen, filter each channel, weigh, narrow; added to its input where the shapes agree."""

    def __init__(self, inputs: int, spec: tuple[int, int, int, bool, bool, int]):
        super().__init__()
        kernel, hidden, outputs, squeeze, swish, stride = spec
        self.residual = stride == 1 and inputs == outputs
        depthwise = nn.Conv2d(hidden, hidden, kernel, stride, kernel // 2, groups=hidden, bias=False)
        narrow = [nn.Conv2d(hidden, outputs, 1, bias=False), nn.BatchNorm2d(outputs)]
        weigh = SqueezeExcite(hidden, _inner(hidden)) if squeeze else nn.Identity()

        def act() -> nn.Module:
            return nn.Hardswish(inplace=True) if swish else nn.ReLU(inplace=True)

        wide = (
            # Where nothing is widened the squeeze stands behind the activation, else before it: the official blocks'
            # order.
            [depthwise, nn.BatchNorm2d(hidden), act(), weigh]
            if inputs == hidden
            else [
                nn.Conv2d(inputs, hidden, 1, bias=False),
                nn.BatchNorm2d(hidden),
                act(),
                depthwise,
                nn.BatchNorm2d(hidden),
                weigh,
                act(),
            ]
        )
        self.conv = nn.Sequential(*wide, *narrow)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) to (B, C', H / stride, W / stride)."""
        y: Tensor = self.conv(x)
        return x + y if self.residual else y


def _inner(hidden: int) -> int:
    """Width of the perceptron that weighs `hidden` channels: a quarter of them, in eights."""
    # Rounding of the MobileNet code: to the nearest eight, and never more than a tenth below.
    inner = max(8, (hidden // 4 + 4) // 8 * 8)
    return inner + 8 if inner < 0.9 * (hidden // 4) else inner


class Backbone(nn.Module):
    """MobileNetV3-small to stride 16, without the layers behind."""

    def __init__(self, blocks: int):
        super().__init__()
        layers: list[nn.Module] = [
            nn.Sequential(
                nn.Conv2d(3, 16, 3, 2, 1, bias=False), nn.BatchNorm2d(16), nn.Hardswish(inplace=True)
            )
        ]
        inputs = 16
        for spec in _BLOCKS[:blocks]:
            layers.append(InvertedResidual(inputs, spec))
            inputs = spec[2]
        self.features = nn.Sequential(*layers)

    def forward(self, images: Tensor) -> Tensor:
        """Map images (B, 3, S, S) to features (B, C, ceil(S / 16), ceil(S / 16))."""
        features: Tensor = self.features(images)
        return features


class ChannelAttention(nn.Module):
    """Channels of a correlation weighed by their means."""

    def __init__(self) -> None:
        super().__init__()
        self.fc1 = nn.Conv2d(KERNEL, KERNEL, 1)
        self.fc2 = nn.Conv2d(KERNEL, KERNEL, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, 64, H, W) to (B, 64, H, W)."""
        return x * self.fc2(F.relu(self.fc1(x.mean(dim=(2, 3), keepdim=True)))).sigmoid()


def _conv_norm(channels: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(channels, channels, 1), nn.BatchNorm2d(channels))


class PixelCorrelation(nn.Module):
    """Inner products of every position of the template with every position of the search region."""

    def __init__(self, config: NanoTrackConfig):
        super().__init__()
        self.CA_layer = ChannelAttention()
        self.conv_kernel = _conv_norm(config.channels)
        self.conv_search = _conv_norm(config.channels)
        if config.depthwise:
            self.conv = nn.Sequential(
                nn.Conv2d(KERNEL, KERNEL, 2, groups=KERNEL, bias=False),
                nn.BatchNorm2d(KERNEL),
                nn.ReLU6(inplace=True),
                nn.Conv2d(KERNEL, KERNEL, 1),
                nn.BatchNorm2d(KERNEL),
            )
        else:
            self.conv = nn.Sequential()

    def kernel(self, template: Tensor) -> Tensor:
        """Map a template's features (B, C, 8, 8) to (B, 64, C)."""
        kernel: Tensor = self.conv_kernel(template)
        return kernel.flatten(2).transpose(1, 2).contiguous()

    def forward(self, kernel: Tensor, search: Tensor) -> Tensor:
        """Map kernels (B, 64, C) and search features (B, C, 16, 16) to (B, 64, cells, cells)."""
        found = torch.bmm(kernel, self.conv_search(search).flatten(2)).unflatten(2, search.shape[2:])
        maps: Tensor = self.conv(self.CA_layer(found))
        return maps


class DepthwiseCorrelation(nn.Module):
    """The template's central 4 x 4 as a filter of each channel of the search region."""

    def __init__(self, channels: int):
        super().__init__()
        self.conv_kernel = _conv_norm(channels)
        self.conv_search = _conv_norm(channels)

    def kernel(self, template: Tensor) -> Tensor:
        """Map a template's features (B, C, 8, 8) to (B, C, 4, 4)."""
        # The middle of the template: less of what is around the object.
        kernel: Tensor = self.conv_kernel(template[:, :, 2:6, 2:6])
        return kernel.contiguous()

    def forward(self, kernel: Tensor, search: Tensor) -> Tensor:
        """Map kernels (B, C, 4, 4) and search features (B, C, 16, 16) to (B, C, 15, 15)."""
        x: Tensor = self.conv_search(search)
        # A convolution in an ONNX file has a fixed number of groups, and so of objects.
        if torch.onnx.is_in_onnx_export():
            wide = F.pad(x, (1, 1, 1, 1))
            return torch.stack(
                [
                    wide[:, :, i : i + 15, j : j + 15] * kernel[:, :, i, j, None, None]
                    for i in range(4)
                    for j in range(4)
                ]
            ).sum(dim=0)
        rows = x.reshape(1, -1, *x.shape[2:])
        # One group for each channel of each object: every object has a filter of its own. Padding 1 makes 15 cells, as
        # many as the other correlation has behind its 2 x 2 convolution.
        found = F.conv2d(rows, kernel.reshape(-1, 1, 4, 4), padding=1, groups=rows.shape[1])
        return found.reshape(*x.shape[:2], *found.shape[2:])


def _tower_v2(outputs: int) -> nn.Sequential:
    steps: list[nn.Module] = []
    for i in range(DEPTH):
        inputs = KERNEL if i == 0 else outputs
        steps += [
            nn.Conv2d(inputs, inputs, 3, padding=1, groups=inputs, bias=False),
            nn.Conv2d(inputs, outputs, 1, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU6(inplace=True),
        ]
    return nn.Sequential(*steps)


def _tower_v3(channels: int) -> nn.Sequential:
    steps: list[nn.Module] = []
    for _ in range(DEPTH):
        steps += [
            nn.Conv2d(channels, channels, 3, padding=1, groups=channels, bias=False),
            nn.BatchNorm2d(channels),
            nn.ReLU6(inplace=True),
            nn.Conv2d(channels, channels, 1, bias=False),
            nn.BatchNorm2d(channels),
        ]
    return nn.Sequential(*steps)


WIDTH = 96
"""Channels of the head's towers."""


class Head(nn.Module):
    """Two branches of one shape: is the object here, and where are its edges."""

    def __init__(self, config: NanoTrackConfig):
        super().__init__()
        self.depthwise = config.depthwise
        for branch in BRANCHES:
            self.add_module(f"corr_pw_{branch}", PixelCorrelation(config))
            if config.depthwise:
                self.add_module(f"corr_dw_{branch}", DepthwiseCorrelation(config.channels))
                self.add_module(
                    f"down_{branch}", nn.Sequential(nn.Conv2d(KERNEL + config.channels, WIDTH, 1))
                )
        for name, branch, outputs in (("cls", "cls", 2), ("bbox", "reg", 4)):
            tower = _tower_v3(WIDTH) if config.depthwise else _tower_v2(WIDTH)
            self.add_module(f"{name}_tower" if config.depthwise else f"{name}_pw_tower", tower)
            last = "cls_logits" if config.depthwise and branch == "cls" else f"{name}_pred"
            self.add_module(last, nn.Sequential(nn.Conv2d(WIDTH, outputs, 1)))

    def kernels(self, template: Tensor) -> list[Tensor]:
        """What the correlations need of a template's features (B, C, 8, 8): the rows of each tensor are templates."""
        kinds = ("pw", "dw") if self.depthwise else ("pw",)
        return [
            self.get_submodule(f"corr_{kind}_{branch}").kernel(template)  # type: ignore[operator]
            for branch in BRANCHES
            for kind in kinds
        ]

    def forward(self, kernels: Sequence[Tensor], search: Tensor) -> tuple[Tensor, Tensor]:
        """Map kernels and search features (B, C, 16, 16) to logits (B, 2, c, c) and distances (B, 4, c, c)."""
        each = len(kernels) // len(BRANCHES)
        names = (
            ("cls_tower", "cls_logits", "bbox_tower", "bbox_pred")
            if self.depthwise
            else ("cls_pw_tower", "cls_pred", "bbox_pw_tower", "bbox_pred")
        )
        answers = []
        for i, branch in enumerate(BRANCHES):
            x = self._correlate(branch, kernels[i * each : (i + 1) * each], search)
            for name in names[2 * i : 2 * i + 2]:
                x = self.get_submodule(name)(x)
            answers.append(x)
        # In float32: e to the power of more than 11 is too much for float16.
        return answers[0], answers[1].float().exp()

    def _correlate(self, branch: str, kernels: Sequence[Tensor], search: Tensor) -> Tensor:
        found: Tensor = self.get_submodule(f"corr_pw_{branch}")(kernels[0], search)
        if not self.depthwise:
            return found
        deep = self.get_submodule(f"corr_dw_{branch}")(kernels[1], search)
        joined: Tensor = self.get_submodule(f"down_{branch}")(torch.cat([found, deep], dim=1))
        return joined


class Neck(nn.Module):
    """A convolution that the official files hold and nothing uses."""

    def __init__(self, channels: int):
        super().__init__()
        self.downsample = nn.Sequential(
            nn.Conv2d(channels, channels, 1, bias=False), nn.BatchNorm2d(channels)
        )


class NanoTrack(nn.Module):
    """The whole network. One object on one frame is one row of the batch.

    Args:
        config: Sizes; one of `CONFIGS`.
    """

    full_precision = ()
    """Modules that run in float32 whatever the rest of the network runs in."""

    def __init__(self, config: NanoTrackConfig):
        super().__init__()
        self.config = config
        self.backbone = Backbone(config.blocks)
        # Never called; the file's v2 has 64 channels there, whatever its features have.
        self.neck = Neck(64 if config.channels == 48 else config.channels)
        self.ban_head = Head(config)

    def template(self, images: Tensor) -> list[Tensor]:
        """Map template crops (B, 3, 127, 127) to what `forward` needs of them, to be kept: rows are templates."""
        return self.ban_head.kernels(self.backbone(images))

    def forward(self, kernels: Sequence[Tensor], search: Tensor) -> tuple[Tensor, Tensor]:
        """Look for the objects in one frame.

        Args:
            kernels: What `template` gave.
            search: (B, 3, 255, 255) search crops.

        Returns:
            Logits (B, 2, c, c) of background and object, distances (B, 4, c, c) in pixels of the crop from each cell's
            point to the box's left, top, right and bottom; c is `config.cells`.
        """
        logits, distances = self.ban_head(kernels, self.backbone(search))
        return logits, distances


def variant_of(tensors: Mapping[str, Tensor]) -> str | None:
    """Name the version a state dict belongs to, e.g. `"nanotrack-v2"`, or None when it is none of them."""
    if "ban_head.cls_pw_tower.0.weight" in tensors:
        return "nanotrack-v2"
    return "nanotrack-v3" if "ban_head.corr_dw_cls.conv_kernel.0.weight" in tensors else None
