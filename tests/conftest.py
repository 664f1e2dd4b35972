"""Fixtures that every test may use."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, settings

os.environ.setdefault("OMP_NUM_THREADS", "1")

# The machine's load is no property of the code: no deadline, no complaint about slow drawing.
settings.register_profile("vtlab", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("vtlab")

ROOT = Path(__file__).parents[1]
SHARED = Path(os.environ.get("VTLAB_SHARED", ROOT.parent / "shared"))

# Before any test module is read: the small real weights where they are, and never the network.
if (SHARED / "data" / "weights").is_dir():
    os.environ.setdefault("VTLAB_WEIGHTS", str(SHARED / "data" / "weights"))
os.environ.setdefault("VTLAB_OFFLINE", "1")


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real videos, ground truth and weights; the test is skipped where it is absent."""
    if not (SHARED / "data").is_dir():
        pytest.skip(f"no shared data at {SHARED} (set VTLAB_SHARED)")
    return SHARED


@pytest.fixture(scope="session")
def shared_weights(shared: Path) -> Path:
    """The folder of small real weights."""
    return shared / "data" / "weights"


def moving_square(
    n: int = 12, height: int = 96, width: int = 128, side: int = 24, step: int = 3
) -> np.ndarray:
    """A textured square that moves right and down over a textured background: (n, height, width, 3) uint8."""
    rng = np.random.default_rng(7)
    smooth = np.kron(rng.integers(40, 120, (height // 8, width // 8, 3)), np.ones((8, 8, 1)))
    patch = np.kron(rng.integers(120, 255, (side // 4, side // 4, 3)), np.ones((4, 4, 1)))
    video = np.repeat(smooth[None], n, axis=0).astype(np.uint8)
    for i in range(n):
        x, y = 20 + step * i, 16 + step * i // 2
        video[i, y : y + side, x : x + side] = patch
    return video


def square_box(i: int, side: int = 24, step: int = 3) -> tuple[float, float, float, float]:
    """The box (xyxy) of `moving_square` on frame i."""
    x, y = 20 + step * i, 16 + step * i // 2
    return (float(x), float(y), float(x + side), float(y + side))


@pytest.fixture(scope="session")
def square_video() -> np.ndarray:
    """12 frames of a square that moves over a background, 96 x 128 px."""
    video = moving_square()
    video.setflags(write=False)
    return video
