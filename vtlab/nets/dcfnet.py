"""DCFNet: two convolutions whose features make a correlation filter in the frequency domain.

Paper: Wang et al., "DCFNet: Discriminant Correlation Filters Network for Visual Tracking", 2017,
https://arxiv.org/abs/1704.04057. Code: https://github.com/foolwood/DCFNet_pytorch (MIT). Parameter names are those of the
official file. Images are (B, 3, 125, 125), BGR, 0 to 255, minus (104, 117, 123).
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

# Side of a crop in pixels and of a map in cells, as the official code sets it.
SIZE = 125
SIGMA = 4.1
"""Of the wanted response, in cells; the official code's own division gives this number on Python 2."""
# Keeps frequencies that a crop lacks from dividing by 0; `lambda0` of the official code.
REGULARISATION = 1e-4


class DCFNet(nn.Module):
    """Features, the filter learned of a crop, and its response on others. Rows of every tensor are crops."""

    full_precision = ()
    """Modules that run in float32 whatever the rest of the network runs in."""

    def __init__(self) -> None:
        super().__init__()
        self.feature = nn.Sequential(
            nn.Conv2d(3, 32, 3, padding=1), nn.ReLU(), nn.Conv2d(32, 32, 3, padding=1)
        )

    def spectrum(self, images: Tensor) -> Tensor:
        """Half spectrum (B, 32, 125, 63) of the windowed features of crops (B, 3, 125, 125)."""
        # The paper's normalisation over five channels, by its official settings, which are PyTorch's.
        features = F.local_response_norm(self.feature(images), 5, alpha=1e-4, beta=0.75, k=1.0)
        # In float32: a Fourier transform in half precision exists for powers of two only.
        return torch.fft.rfft2(features.float() * _window(images.device))

    @staticmethod
    def learn(spectrum: Tensor) -> Tensor:
        """The filter (B, 125, 63) that answers a crop of this spectrum (B, 32, 125, 63) by a peak at its centre."""
        # The sum over channels, not their mean: one filter serves all 32.
        energy = (spectrum.real**2 + spectrum.imag**2).sum(dim=1)
        return _label(spectrum.device) / (energy + REGULARISATION)

    def forward(self, filters: Tensor, templates: Tensor, images: Tensor) -> Tensor:
        """Responses (B, S, 125, 125) of crops (B, S, 3, 125, 125).

        Args:
            filters: (B, 125, 63) of `learn`.
            templates: (B, 32, 125, 63) spectra that the filters belong to.
            images: S crops for each filter.
        """
        found = self.spectrum(images.flatten(0, 1)).unflatten(0, images.shape[:2])
        alike = (found * templates[:, None].conj()).sum(dim=2)
        # With the size said, since half a spectrum doesn't tell 125 columns from 124.
        return torch.fft.irfft2(filters[:, None] * alike, s=(SIZE, SIZE))


def _window(device: torch.device) -> Tensor:
    # As `numpy.hanning`, ends of 0: else the transform sees the crop's edges.
    line = torch.hann_window(SIZE, periodic=False, dtype=torch.float64)
    return torch.outer(line, line).to(device, torch.float32)


def _label(device: torch.device) -> Tensor:
    """Half spectrum (125, 63) of a Gaussian whose peak lies at index [0, 0]."""
    # The official labels count from 1, less floor(125 / 2) = 62: their peak is at index 61.
    line = torch.arange(SIZE, dtype=torch.float64) - 61
    wanted = torch.exp(-0.5 / SIGMA**2 * (line[:, None] ** 2 + line**2))
    return torch.fft.rfft2(wanted.roll((-61, -61), dims=(0, 1))).to(device, torch.complex64)


def variant_of(tensors: Mapping[str, Tensor]) -> str | None:
    """Name the variant a state dict belongs to, or None when it is none."""
    return (
        "dcfnet" if set(tensors) == {f"feature.{i}.{k}" for i in (0, 2) for k in ("weight", "bias")} else None
    )
