"""XMem: video object segmentation network. Modules only; the memory lives with the tracker.

Paper: XMem: Long-Term Video Object Segmentation with an Atkinson-Shiffrin Memory Model, ECCV 2022,
arXiv:2207.07115. Official code: https://github.com/hkchengrex/XMem (MIT). Parameter names and shapes are those
of the official checkpoints (`XMem.pth`, `XMem-s012.pth`), so they load strictly.

Sizes: an image is (3, H, W) with H and W multiples of 16, normalised by ImageNet's mean and deviation; h = H / 16,
w = W / 16. All K objects of a frame are one batch and share the image features: a convolution over
`[image features, object features]` is computed as the sum of its two halves, the image's half once.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

STRIDE = 16
# Of the official code: keeps the logits of `aggregate` finite.
PROBABILITY_FLOOR = 1e-7


class ImageFeatures(NamedTuple):
    """What one image gives, shared by all objects. Spatial sizes: /16, /8, /4 of the image."""

    key: Tensor  # (1, C_key, h, w)
    shrinkage: Tensor  # (1, 1, h, w), >= 1
    selection: Tensor  # (1, C_key, h, w), in (0, 1)
    f16: Tensor  # (1, 1024, h, w)
    f8: Tensor  # (1, 512, 2h, 2w)
    f4: Tensor  # (1, 256, 4h, 4w)


class Bottleneck(nn.Module):
    """Residual block of ResNet-50 (He et al., CVPR 2016) with the stride in its 3x3 convolution."""

    def __init__(self, c_in: int, width: int, stride: int = 1):
        super().__init__()
        c_out = 4 * width
        self.conv1 = nn.Conv2d(c_in, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, c_out, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(c_out)
        self.downsample = _shortcut(c_in, c_out, stride)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, c_in, H, W) to (B, 4 * width, H / stride, W / stride)."""
        out = F.relu(self.bn1(self.conv1(x)))
        out = F.relu(self.bn2(self.conv2(out)))
        out = self.bn3(self.conv3(out))
        return F.relu(out + (x if self.downsample is None else self.downsample(x)))


class BasicBlock(nn.Module):
    """Residual block of ResNet-18."""

    def __init__(self, c_in: int, c_out: int, stride: int = 1):
        super().__init__()
        self.conv1 = nn.Conv2d(c_in, c_out, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(c_out)
        self.conv2 = nn.Conv2d(c_out, c_out, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(c_out)
        self.downsample = _shortcut(c_in, c_out, stride)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, c_in, H, W) to (B, c_out, H / stride, W / stride)."""
        out = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        return F.relu(out + (x if self.downsample is None else self.downsample(x)))


def _shortcut(c_in: int, c_out: int, stride: int) -> nn.Sequential | None:
    if c_in == c_out and stride == 1:
        return None
    return nn.Sequential(nn.Conv2d(c_in, c_out, 1, stride, bias=False), nn.BatchNorm2d(c_out))


class KeyEncoder(nn.Module):
    """ResNet-50 up to its third stage: the image's features at strides 16, 8 and 4."""

    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.res2 = _stage(Bottleneck, 64, 64, blocks=3, stride=1)
        self.layer2 = _stage(Bottleneck, 256, 128, blocks=4, stride=2)
        self.layer3 = _stage(Bottleneck, 512, 256, blocks=6, stride=2)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Map (1, 3, H, W) to f16, f8, f4."""
        x = F.max_pool2d(F.relu(self.bn1(self.conv1(image))), 3, 2, 1)
        f4 = self.res2(x)
        f8 = self.layer2(f4)
        return self.layer3(f8), f8, f4


def _stage(block: type[nn.Module], c_in: int, width: int, *, blocks: int, stride: int) -> nn.Sequential:
    c_out = 4 * width if block is Bottleneck else width
    return nn.Sequential(block(c_in, width, stride), *(block(c_out, width) for _ in range(blocks - 1)))


class KeyProjection(nn.Module):
    """Query and memory keys of an image with the shrinkage and selection terms of anisotropic L2 matching."""

    def __init__(self, c_in: int, c_key: int):
        super().__init__()
        self.key_proj = nn.Conv2d(c_in, c_key, 3, padding=1)
        self.d_proj = nn.Conv2d(c_in, 1, 3, padding=1)
        self.e_proj = nn.Conv2d(c_in, c_key, 3, padding=1)

    def forward(self, f16: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Map (1, c_in, h, w) to key, shrinkage >= 1 and selection in (0, 1)."""
        # Shrinkage at least 1 and selection below 1, as in the anisotropic L2 of the paper.
        return self.key_proj(f16), self.d_proj(f16).square() + 1, self.e_proj(f16).sigmoid()


def _shared_conv(conv: nn.Conv2d, image: Tensor, objects: Tensor) -> Tensor:
    """`conv` of every object's `[image, object]` channels: (1, A, h, w), (K, B, h, w) -> (K, out, h, w)."""
    split = image.shape[1]
    # A convolution is linear: the image's share is the same for all objects, so it is computed once.
    shared = F.conv2d(image, conv.weight[:, :split], conv.bias, conv.stride, conv.padding)
    return shared + F.conv2d(objects, conv.weight[:, split:], None, conv.stride, conv.padding)


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions, each after a ReLU, and a shortcut without one. No normalisation."""

    def __init__(self, c_in: int, c_out: int):
        super().__init__()
        self.downsample = nn.Conv2d(c_in, c_out, 3, padding=1) if c_in != c_out else None
        self.conv1 = nn.Conv2d(c_in, c_out, 3, padding=1)
        self.conv2 = nn.Conv2d(c_out, c_out, 3, padding=1)

    def forward(self, g: Tensor) -> Tensor:
        """Map (K, c_in, h, w) to (K, c_out, h, w)."""
        out = self.conv2(F.relu(self.conv1(F.relu(g))))
        return out + (g if self.downsample is None else self.downsample(g))

    def fuse(self, image: Tensor, objects: Tensor) -> Tensor:
        """`forward` of the channels `[image, object]` of every object, the image's share computed once."""
        if self.downsample is None:
            raise ValueError(
                "Only a block that changes the number of channels fuses image and object features."
            )
        out = self.conv2(F.relu(_shared_conv(self.conv1, F.relu(image), F.relu(objects))))
        return out + _shared_conv(self.downsample, image, objects)


class ChannelGate(nn.Module):
    """Channel attention of CBAM (Woo et al., ECCV 2018): one MLP on the mean and the maximum of each channel."""

    def __init__(self, channels: int, reduction: int = 16):
        super().__init__()
        hidden = channels // reduction
        self.mlp = nn.Sequential(
            nn.Flatten(), nn.Linear(channels, hidden), nn.ReLU(), nn.Linear(hidden, channels)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Scale the channels of (K, C, h, w)."""
        gate = self.mlp(x.mean(dim=(2, 3))) + self.mlp(x.amax(dim=(2, 3)))
        return x * gate.sigmoid()[:, :, None, None]


class _SpatialConv(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(2, 1, 7, padding=3)


class SpatialGate(nn.Module):
    """Spatial attention of CBAM: a 7x7 convolution on the maximum and the mean over channels."""

    def __init__(self):
        super().__init__()
        self.spatial = _SpatialConv()

    def forward(self, x: Tensor) -> Tensor:
        """Scale the positions of (K, C, h, w)."""
        pooled = torch.cat([x.amax(dim=1, keepdim=True), x.mean(dim=1, keepdim=True)], dim=1)
        return x * self.spatial.conv(pooled).sigmoid()


class CBAM(nn.Module):
    """Channel attention, then spatial attention."""

    def __init__(self, channels: int):
        super().__init__()
        self.ChannelGate = ChannelGate(channels)
        self.SpatialGate = SpatialGate()

    def forward(self, x: Tensor) -> Tensor:
        """Attend over (K, C, h, w)."""
        return self.SpatialGate(self.ChannelGate(x))


class Fusion(nn.Module):
    """Join image features with each object's features."""

    def __init__(self, c_image: int, c_object: int, c_mid: int, c_out: int):
        super().__init__()
        self.block1 = ResidualBlock(c_image + c_object, c_mid)
        self.attention = CBAM(c_mid)
        self.block2 = ResidualBlock(c_mid, c_out)

    def forward(self, image: Tensor, objects: Tensor) -> Tensor:
        """Map (1, c_image, h, w) and (K, c_object, h, w) to (K, c_out, h, w)."""
        g = self.block1.fuse(image, objects)
        return self.block2(g + self.attention(g))


def _gated_update(values: Tensor, hidden: Tensor) -> Tensor:
    """The recurrent update of XMem (not a standard GRU): the new content does not see the forget gate."""
    forget, update, content = values.chunk(3, dim=1)
    forget, update = forget.sigmoid(), update.sigmoid()
    # As in the official code, which the checkpoints were trained with.
    return forget * hidden * (1 - update) + update * content.tanh()


class HiddenReinforcer(nn.Module):
    """Update of the sensory memory by a new memory value, on memory frames."""

    def __init__(self, c_value: int, c_hidden: int):
        super().__init__()
        self.transform = nn.Conv2d(c_value + c_hidden, 3 * c_hidden, 3, padding=1)

    def forward(self, value: Tensor, hidden: Tensor) -> Tensor:
        """Map value (K, c_value, h, w) and hidden (K, c_hidden, h, w) to the next hidden state."""
        return _gated_update(self.transform(torch.cat([value, hidden], dim=1)), hidden)


class HiddenUpdater(nn.Module):
    """Update of the sensory memory by the decoder's features at three scales, on ordinary frames."""

    def __init__(self, c_hidden: int, c_mid: int = 256):
        super().__init__()
        self.g16_conv = nn.Conv2d(512, c_mid, 1)
        self.g8_conv = nn.Conv2d(256, c_mid, 1)
        # 256 features and the logits.
        self.g4_conv = nn.Conv2d(257, c_mid, 1)
        self.transform = nn.Conv2d(c_mid + c_hidden, 3 * c_hidden, 3, padding=1)

    def forward(self, g16: Tensor, g8: Tensor, g4: Tensor, hidden: Tensor) -> Tensor:
        """Map the decoder's features (K, ...) at /16, /8, /4 and the hidden state to the next hidden state."""
        g = self.g16_conv(g16)
        g = g + self.g8_conv(F.interpolate(g8, scale_factor=1 / 2, mode="area"))
        g = g + self.g4_conv(F.interpolate(g4, scale_factor=1 / 4, mode="area"))
        return _gated_update(self.transform(torch.cat([g, hidden], dim=1)), hidden)


class ValueEncoder(nn.Module):
    """ResNet-18 on `[image, this object's mask, sum of the other masks]`, fused with the image's features."""

    def __init__(self, c_value: int, c_hidden: int):
        super().__init__()
        # RGB, this object's mask, the others'.
        self.conv1 = nn.Conv2d(5, 64, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.layer1 = _stage(BasicBlock, 64, 64, blocks=2, stride=1)
        self.layer2 = _stage(BasicBlock, 64, 128, blocks=2, stride=2)
        self.layer3 = _stage(BasicBlock, 128, 256, blocks=2, stride=2)
        self.fuser = Fusion(1024, 256, c_value, c_value)
        self.hidden_reinforce = HiddenReinforcer(c_value, c_hidden) if c_hidden else None

    def forward(self, image: Tensor, f16: Tensor, masks: Tensor, others: Tensor) -> Tensor:
        """Map (1, 3, H, W), (1, 1024, h, w) and two (K, 1, H, W) to values (K, c_value, h, w)."""
        g = self.bn1(_shared_conv(self.conv1, image, torch.cat([masks, others], dim=1)))
        # Pooled before ReLU: the same value on a quarter of the cells.
        g = F.relu(F.max_pool2d(g, 3, 2, 1))
        return self.fuser(f16, self.layer3(self.layer2(self.layer1(g))))


class UpsampleBlock(nn.Module):
    """Twice the resolution, with a skip connection from the image's features."""

    def __init__(self, c_skip: int, c_up: int, c_out: int):
        super().__init__()
        self.skip_conv = nn.Conv2d(c_skip, c_up, 3, padding=1)
        self.out_conv = ResidualBlock(c_up, c_out)

    def forward(self, skip: Tensor, up: Tensor) -> Tensor:
        """Map (1, c_skip, 2h, 2w) and (K, c_up, h, w) to (K, c_out, 2h, 2w)."""
        up = F.interpolate(up, scale_factor=2, mode="bilinear", align_corners=False)
        return self.out_conv(self.skip_conv(skip) + up)


class Decoder(nn.Module):
    """Memory readout and hidden state to the logits of each object."""

    def __init__(self, c_value: int, c_hidden: int):
        super().__init__()
        self.fuser = Fusion(1024, c_value + c_hidden, 512, 512)
        self.hidden_update = HiddenUpdater(c_hidden) if c_hidden else None
        self.up_16_8 = UpsampleBlock(512, 512, 256)
        self.up_8_4 = UpsampleBlock(256, 256, 256)
        self.pred = nn.Conv2d(256, 1, 3, padding=1)

    def forward(
        self, features: ImageFeatures, readout: Tensor, hidden: Tensor | None, *, update_hidden: bool
    ) -> tuple[Tensor, Tensor | None]:
        """Return logits (K, 1, H, W) and the hidden state, advanced if `update_hidden`."""
        objects = readout if hidden is None else torch.cat([readout, hidden], dim=1)
        g16 = self.fuser(features.f16, objects)
        g8 = self.up_16_8(features.f8, g16)
        g4 = self.up_8_4(features.f4, g8)
        logits = self.pred(F.relu(g4))
        if update_hidden and hidden is not None and self.hidden_update is not None:
            hidden = self.hidden_update(g16, g8, torch.cat([g4, logits], dim=1), hidden)
        return F.interpolate(logits, scale_factor=4, mode="bilinear", align_corners=False), hidden


class XMem(nn.Module):
    """The network of XMem.

    Args:
        c_key: Channels of keys (64 in the official checkpoints).
        c_value: Channels of values (512).
        c_hidden: Channels of the sensory memory (64; 0 for the variant without one).
    """

    def __init__(self, *, c_key: int = 64, c_value: int = 512, c_hidden: int = 64):
        super().__init__()
        self.c_key, self.c_value, self.c_hidden = c_key, c_value, c_hidden
        self.key_encoder = KeyEncoder()
        self.value_encoder = ValueEncoder(c_value, c_hidden)
        self.key_proj = KeyProjection(1024, c_key)
        self.decoder = Decoder(c_value, c_hidden)

    def encode_image(self, image: Tensor) -> ImageFeatures:
        """Return the features of a normalised image (3, H, W)."""
        f16, f8, f4 = self.key_encoder(image[None])
        key, shrinkage, selection = self.key_proj(f16)
        return ImageFeatures(key, shrinkage, selection, f16, f8, f4)

    def encode_value(self, image: Tensor, features: ImageFeatures, masks: Tensor) -> Tensor:
        """Return the memory values (K, c_value, h, w) of an image (3, H, W) and masks (K, H, W) in [0, 1]."""
        others = masks.sum(dim=0, keepdim=True) - masks
        return self.value_encoder(image[None], features.f16, masks[:, None], others[:, None])

    def reinforce_hidden(self, value: Tensor, hidden: Tensor | None) -> Tensor | None:
        """Return the hidden state (K, c_hidden, h, w) after a memory frame of values (K, c_value, h, w)."""
        reinforcer = self.value_encoder.hidden_reinforce
        return hidden if hidden is None or reinforcer is None else reinforcer(value, hidden)

    def empty_hidden(self, objects: int, height: int, width: int) -> Tensor | None:
        """Return the zero hidden state of `objects` objects for features of height x width cells."""
        if not self.c_hidden:
            return None
        return self.key_proj.key_proj.weight.new_zeros((objects, self.c_hidden, height, width))

    def segment(
        self, features: ImageFeatures, readout: Tensor, hidden: Tensor | None, *, update_hidden: bool = True
    ) -> tuple[Tensor, Tensor | None]:
        """Decode a memory readout (K, c_value, h, w).

        Returns:
            Probabilities (K, H, W) of each object on its own, before `aggregate`, and the hidden state.
        """
        logits, hidden = self.decoder(features, readout, hidden, update_hidden=update_hidden)
        # In half precision 1 - p would round to 0 for a sure object.
        return precise(logits[:, 0]).sigmoid(), hidden


def precise(x: Tensor) -> Tensor:
    """Return `x` in float32, or as it is where it is more precise."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


def aggregate(probabilities: Tensor) -> Tensor:
    """Return (1 + K, H, W) that add up to 1 from each object's own (K, H, W) (Oh et al., ICCV 2019)."""
    background = (1 - probabilities).prod(dim=0, keepdim=True)
    p = torch.cat([background, probabilities]).clamp(PROBABILITY_FLOOR, 1 - PROBABILITY_FLOOR)
    return torch.log(p / (1 - p)).softmax(dim=0)


def variant_of(tensors: Mapping[str, Tensor]) -> str | None:
    """Name the variant that a state dict belongs to, None for none of XMem's."""
    if "key_proj.key_proj.weight" not in tensors or "value_encoder.conv1.weight" not in tensors:
        return None
    if "decoder.hidden_update.transform.weight" not in tensors:
        return "xmem-no-sensory"
    return "xmem" if tensors["value_encoder.conv1.weight"].shape[1] == 5 else "xmem for a single object"
