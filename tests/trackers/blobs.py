"""Videos of coloured blobs whose positions are known, for trackers whose network is replaced by an oracle.

The oracle finds blobs in what the network is given, in the network's own coordinates. So everything around the
network is tested, resizing and coordinates above all, and nothing of the network.
"""

from __future__ import annotations

import numpy as np

SIZE = (90, 150)
START = np.array([[40.0, 30.0], [75.5, 50.25], [110.0, 65.0]])
SPEED = np.array([[1.5, 0.5], [-1.0, 0.75], [0.25, -1.25]])


def positions(frames: int) -> np.ndarray:
    """Centres (frames, 3, 2) of the red, the green and the blue blob as (x, y), vtlab raster."""
    return START + np.arange(frames)[:, None, None] * SPEED


def blobs(
    centres: np.ndarray, size: tuple[int, int] = SIZE, sigma: tuple[float, float] = (5.0, 5.0)
) -> np.ndarray:
    """Frames (T, H, W, 3) with one Gaussian blob in each channel, at centres (T, 3, 2); sigma in x and y."""
    y, x = np.mgrid[: size[0], : size[1]] + 0.5
    dx = (x[..., None] - centres[:, None, None, :, 0]) / sigma[0]
    dy = (y[..., None] - centres[:, None, None, :, 1]) / sigma[1]
    return (255 * np.exp(-(dx**2 + dy**2) / 2)).round().astype(np.uint8)


def find(images, edge: bool):
    """Centres (T, 3, 2) of the blobs in images (T, 3, H, W), any range; first pixel's centre at 0.5 if `edge`, or 0."""
    import torch

    images = images.contiguous()  # resized frames come with channels last, which sums slowly
    weight = images - images.amin(dim=(2, 3), keepdim=True)
    weight = torch.where(weight > 0.02 * weight.amax(dim=(2, 3), keepdim=True), weight, 0.0)
    y = torch.arange(images.shape[2]) + 0.5 * edge
    x = torch.arange(images.shape[3]) + 0.5 * edge
    total = weight.sum(dim=(2, 3)).clamp_min(1e-9)
    return torch.stack(
        [(weight.sum(dim=2) * x).sum(dim=-1) / total, (weight.sum(dim=3) * y).sum(dim=-1) / total], dim=-1
    )
