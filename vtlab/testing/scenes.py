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


def walking_person(n: int = 12, height: int = 240, width: int = 320) -> NDArray[np.uint8]:
    """A dark drawn person who walks to the right before a light background: (n, height, width, 3) uint8.

    Drawn so that a detector of people finds it (OpenCV's HOG does, on every frame), and one of whatever moves.
    """
    rng = np.random.default_rng(7)
    light = np.kron(
        rng.integers(150, 190, (-(-height // 16), -(-width // 16), 3)), np.ones((16, 16, 1))
    ).astype(np.uint8)
    video = np.repeat(light[None, :height, :width], n, axis=0)
    rows, columns = np.ogrid[:height, :width]
    parts = (  # centre from the person's, half axes, colour: head, trunk, legs
        (0, 62, 10, 13, (60, 40, 30)),
        (0, 105, 20, 36, (40, 30, 90)),
        (-9, 165, 9, 42, (20, 20, 30)),
        (9, 165, 9, 42, (20, 20, 30)),
    )
    for i, image in enumerate(video):
        for x, y, a, b, colour in parts:
            image[((columns - 100 - 4 * i - x) / a) ** 2 + ((rows - y) / b) ** 2 <= 1] = colour
    return video


def square_box(i: int, side: int = 24, step: int = 3) -> tuple[float, float, float, float]:
    """The box (xyxy) of `moving_square` on frame i."""
    x, y = 20 + step * i, 16 + step * i // 2
    return (float(x), float(y), float(x + side), float(y + side))
