"""Small scenes whose answer is known."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def moving_square(
    n: int = 12, height: int = 96, width: int = 128, side: int = 24, step: int = 3
) -> NDArray[np.uint8]:
    """A textured square that moves right and down over a textured background: (n, height, width, 3) uint8."""
    # Blocks, not noise of single pixels: scaled images keep them, and correlation has a slope to climb.
    rng = np.random.default_rng(7)
    smooth = np.kron(rng.integers(40, 120, (height // 8, width // 8, 3)), np.ones((8, 8, 1)))
    patch = np.kron(rng.integers(120, 255, (side // 4, side // 4, 3)), np.ones((4, 4, 1)))
    video = np.repeat(smooth[None], n, axis=0).astype(np.uint8)
    for i in range(n):
        # Slower downward, so that x and y can't be mixed up unseen.
        x, y = 20 + step * i, 16 + step * i // 2
        video[i, y : y + side, x : x + side] = patch
    return video


def square_box(i: int, side: int = 24, step: int = 3) -> tuple[float, float, float, float]:
    """The box (xyxy) of `moving_square` on frame i."""
    x, y = 20 + step * i, 16 + step * i // 2
    return (float(x), float(y), float(x + side), float(y + side))
