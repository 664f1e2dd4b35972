"""OSNet: omni-scale features for re-identification, names of parameters as in torchreid's checkpoints.

Paper: Zhou et al., "Omni-Scale Feature Learning for Person Re-Identification", ICCV 2019, arXiv 1905.00953. Official code:
https://github.com/KaiyangZhou/deep-person-reid (MIT). Written from the paper and the names and shapes of the checkpoints;
checked against the official x0.25 weights in ONNX (`tests/association/test_osnet.py`). Widths x1.0, x0.75, x0.5 and x0.25,
and IBN (instance normalisation in the first two stages).
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

# Table of widths of the official model zoo.
WIDTHS = {
    "x1.0": (64, 256, 384, 512),
    "x0.75": (48, 192, 288, 384),
    "x0.5": (32, 128, 192, 256),
    "x0.25": (16, 64, 96, 128),
}
FEATURES = 512


class _Conv(nn.Module):
    """Convolution, normalisation and, unless `linear`, ReLU."""

    def __init__(
        self,
        inside: int,
        outside: int,
        kernel: int = 1,
        stride: int = 1,
        *,
        linear: bool = False,
        instance: bool = False,
    ):
        super().__init__()
        self.conv = nn.Conv2d(inside, outside, kernel, stride, kernel // 2, bias=False)
        self.bn = nn.InstanceNorm2d(outside, affine=True) if instance else nn.BatchNorm2d(outside)
        self._linear = linear

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to (B, C', H / stride, W / stride)."""
        x = self.bn(self.conv(x))
        return x if self._linear else F.relu(x)


class _Light(nn.Module):
    """A 3 x 3 convolution as a pointwise and a depthwise one."""

    def __init__(self, channels: int):
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 1, bias=False)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, groups=channels, bias=False)
        self.bn = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to the same shape."""
        return F.relu(self.bn(self.conv2(self.conv1(x))))


class _Gate(nn.Module):
    """Weights of the channels, from their means; the same gate for all scales."""

    def __init__(self, channels: int):
        super().__init__()
        # A sixteenth, as in the paper.
        self.fc1 = nn.Conv2d(channels, channels // 16, 1)
        self.fc2 = nn.Conv2d(channels // 16, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to the same shape."""
        weights = self.fc2(F.relu(self.fc1(x.mean(dim=(2, 3), keepdim=True))))
        return x * torch.sigmoid(weights)


class _Block(nn.Module):
    """Residual block whose four branches see 3, 5, 7 and 9 pixels."""

    def __init__(self, inside: int, outside: int, *, instance: bool = False):
        super().__init__()
        # The bottleneck of ResNet.
        middle = outside // 4
        self.conv1 = _Conv(inside, middle)
        self.conv2a = _Light(middle)
        self.conv2b, self.conv2c, self.conv2d = (
            nn.Sequential(*(_Light(middle) for _ in range(depth))) for depth in (2, 3, 4)
        )
        self.gate = _Gate(middle)
        self.conv3 = _Conv(middle, outside, linear=True)
        self.downsample = _Conv(inside, outside, linear=True) if inside != outside else None
        self.IN = nn.InstanceNorm2d(outside, affine=True) if instance else None

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to (B, C', H, W)."""
        narrow = self.conv1(x)
        branches = (self.conv2a, self.conv2b, self.conv2c, self.conv2d)
        mixed = sum(self.gate(branch(narrow)) for branch in branches)
        out = self.conv3(mixed) + (x if self.downsample is None else self.downsample(x))
        return F.relu(out if self.IN is None else self.IN(out))


class OsNet(nn.Module):
    """OSNet without the classifier of its training.

    Args:
        width: "x1.0", "x0.75", "x0.5" or "x0.25".
        instance: The variant with instance normalisation (osnet_ibn).
    """

    def __init__(self, width: str = "x1.0", *, instance: bool = False):
        super().__init__()
        first, *stages = WIDTHS[width]
        self.conv1 = _Conv(3, first, 7, 2, instance=instance)
        self.conv2 = self._stage(first, stages[0], shrink=True, instance=instance)
        self.conv3 = self._stage(stages[0], stages[1], shrink=True)
        self.conv4 = self._stage(stages[1], stages[2], shrink=False)
        self.conv5 = _Conv(stages[2], stages[2])
        self.fc = nn.Sequential(nn.Linear(stages[2], FEATURES), nn.BatchNorm1d(FEATURES), nn.ReLU())

    @staticmethod
    def _stage(inside: int, outside: int, *, shrink: bool, instance: bool = False) -> nn.Sequential:
        blocks = [_Block(inside, outside, instance=instance), _Block(outside, outside, instance=instance)]
        halve = [nn.Sequential(_Conv(outside, outside), nn.AvgPool2d(2))] if shrink else []
        return nn.Sequential(*blocks, *halve)

    def forward(self, x: Tensor) -> Tensor:
        """Features (B, 512) of images (B, 3, H, W), ImageNet's mean and deviation; usually 256 x 128."""
        x = F.max_pool2d(self.conv1(x), 3, 2, 1)
        x = self.conv5(self.conv4(self.conv3(self.conv2(x))))
        return self.fc(x.mean(dim=(2, 3)))


def variant_of(tensors: Mapping[str, Tensor]) -> str | None:
    """Name the variant that a state dict belongs to, such as "osnet-x0.25" or "osnet-ibn-x1.0"; None for none."""
    first = tensors.get("conv1.conv.weight")
    width = next((w for w, c in WIDTHS.items() if first is not None and first.shape[:2] == (c[0], 3)), None)
    if width is None or "conv2.0.conv2a.conv1.weight" not in tensors:
        return None
    return f"osnet-{'ibn-' if 'conv2.0.IN.weight' in tensors else ''}{width}"
