"""Pictures of the synthetic scenes: things, backgrounds and pillars, cut from the photographs that scikit-image ships."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vtlab.errors import InputError, needs
from vtlab.video import Image

Array = NDArray[np.float64]
Float32 = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Cutout:
    """A picture of one thing at the size at which it is drawn.

    Attributes:
        label: What it is.
        picture: Colour times alpha, alpha, and soft shadow: float32 (H, W, 5), colour in 0-255.
        half: Half its height in pixels: own coordinates times `half` are pixels from its middle.
        area: Its pixels.
        points: Points on it in own coordinates, (P, 2).
    """

    label: str
    picture: Float32
    half: float
    area: float
    points: Array

    @property
    def middle(self) -> Array:
        """Middle of the picture in pixels."""
        return np.array(self.picture.shape[1::-1]) / 2


@cache
def photograph(file: str) -> Image:
    """Read a photograph that scikit-image ships as RGB, without importing the package."""
    import cv2

    found = importlib.util.find_spec("skimage")
    if found is None or not found.submodule_search_locations:
        raise needs("scikit-image", "notebook", "The synthetic generator (it uses its photographs)")
    path = Path(found.submodule_search_locations[0]) / "data" / file
    image = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if image is None:
        raise InputError(f"The photograph {str(path)!r} is missing. Remedy: reinstall scikit-image.")
    return np.asarray(image[:, :, ::-1], dtype=np.uint8)


@cache
def _catalogue() -> dict[str, Any]:
    return json.loads(Path(__file__).with_name("cutouts.json").read_text())


def cut_out(kind: str, height: float, points: int, rng: np.random.Generator) -> Cutout:
    """Cut out a thing, mirrored by chance, and scale it to `height` pixels."""
    import cv2

    found = _catalogue()
    if kind in found["circles"]:
        entry = found["circles"][kind]
        x, y, radius = entry["circles"][rng.integers(len(entry["circles"]))]
        angles = np.linspace(0, 2 * np.pi, 48, endpoint=False)
        outline = np.stack([x + radius * np.cos(angles), y + radius * np.sin(angles)], axis=-1)
        tint = np.array([(1.25, 1.0, 0.55), (1.1, 1.1, 1.15), (1.2, 0.85, 0.65)][rng.integers(3)])
    else:
        entry = found["outlines"][kind]
        outline, tint = np.array(entry["outline"]), np.ones(3)
    photo = photograph(entry["file"])
    low, high = np.floor(outline.min(axis=0)).astype(int), np.ceil(outline.max(axis=0)).astype(int)
    colour = np.clip(photo[low[1] : high[1], low[0] : high[0]] * tint, 0, 255).astype(np.float32)
    # Drawn at four times the size, so that edges come out soft; OpenCV counts from pixel centres: - 0.5.
    alpha = np.zeros((4 * colour.shape[0], 4 * colour.shape[1]), np.uint8)
    cv2.fillPoly(alpha, [np.rint(4 * (outline - low) - 0.5).astype(np.int32)], 255)
    alpha = cv2.erode(alpha, np.ones((7, 7), np.uint8))  # keeps the photograph's background out of the edge
    if rng.random() < 0.5:
        colour, alpha = colour[:, ::-1], alpha[:, ::-1]
    scale = height / colour.shape[0]
    shape = (max(2, round(colour.shape[1] * scale)), max(2, round(height)))
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    colour = np.clip(cv2.resize(np.ascontiguousarray(colour), shape, interpolation=method), 0, 255)
    cover = (
        cv2.resize(np.ascontiguousarray(alpha), shape, interpolation=cv2.INTER_AREA).astype(np.float32) / 255
    )
    chosen = _choose_points(colour, cover, points, rng)
    # Three standard deviations of the shadow's blur.
    margin = round(0.15 * shape[1]) + 2
    layers: NDArray[Any] = np.dstack([colour * cover[..., None], cover])
    layers = cv2.copyMakeBorder(layers, margin, margin, margin, margin, cv2.BORDER_CONSTANT, value=0)
    shadow = cv2.GaussianBlur(layers[..., 3], (0, 0), 0.05 * shape[1] + 0.5)
    half = shape[1] / 2
    middle = np.array(shape) / 2
    picture = np.dstack([layers, shadow]).astype(np.float32)
    return Cutout(entry["label"], picture, half, float(cover.sum()), (chosen - middle) / half)


def _choose_points(colour: NDArray[Any], cover: NDArray[Any], count: int, rng: np.random.Generator) -> Array:
    """Choose `count` well-textured places on a cut-out, well inside it: (count, 2) pixels."""
    import cv2

    if count == 0:
        return np.empty((0, 2))
    inside = cv2.erode((cover > 0.99).astype(np.uint8), np.ones((7, 7), np.uint8))
    inside = inside if inside.any() else (cover > 0.5).astype(np.uint8)
    grey = colour.mean(axis=2).astype(np.float32)
    corners = cv2.goodFeaturesToTrack(grey, count, 0.01, max(2.0, 0.1 * colour.shape[0]), mask=inside)
    found = np.empty((0, 2)) if corners is None else np.asarray(corners, np.float64).reshape(-1, 2) + 0.5
    rows, columns = np.nonzero(inside)
    more = rng.integers(len(rows), size=count - len(found))
    return np.concatenate([found, np.stack([columns[more], rows[more]], axis=-1) + 0.5])[:count].astype(
        np.float64
    )


GROUNDS: Mapping[str, tuple[str, tuple[float, float, float]]] = {
    "grass": ("grass.png", (0.75, 1.0, 0.5)),
    "gravel": ("gravel.png", (1.0, 0.93, 0.82)),
    "bricks": ("brick.png", (1.15, 0.8, 0.68)),
    "garage": ("motorcycle_right.png", (1.0, 1.0, 1.0)),
    "launch pad": ("rocket.jpg", (1.0, 1.0, 1.0)),
}
THINGS = ("astronaut", "cat", "cup", "motorcycle", "cameraman", "coin")
HEIGHTS = {"coin": 0.2, "cup": 0.3, "astronaut": 0.45, "cat": 0.34, "cameraman": 0.48, "motorcycle": 0.4}
_GROUND = 1.5
"""Width and height of the background as multiples of the frame's; beyond, it is mirrored."""


def ground(kind: str, size: tuple[int, int], rng: np.random.Generator) -> Image:
    """A background larger than the frame, uint8 (H, W, 3), lit unevenly."""
    import cv2

    file, tint = GROUNDS[kind]
    shape = (round(_GROUND * size[0]), round(_GROUND * size[1]))
    photo = photograph(file)
    scale = max(shape[0] / photo.shape[1], shape[1] / photo.shape[0])
    large = cv2.resize(photo, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC)
    large = cv2.resize(large[: shape[1], : shape[0]], shape, interpolation=cv2.INTER_LINEAR)
    spots = rng.uniform(0.72, 1.12, (3, 4)).astype(np.float32)
    light = np.asarray(cv2.resize(spots, shape, interpolation=cv2.INTER_CUBIC))
    return np.clip(large * np.array(tint) * light[..., None], 0, 255).astype(np.uint8)


def pillar(height: float, width: float, rng: np.random.Generator) -> Cutout:
    """An upright round pillar of bricks or gravel, darker towards its edges."""
    import cv2

    photo = photograph(("brick.png", "gravel.png")[rng.integers(2)])
    shape = (round(width), round(height))
    tile = cv2.resize(photo, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    colour: NDArray[Any] = np.tile(tile, (shape[1] // tile.shape[0] + 1, shape[0] // tile.shape[1] + 1, 1))[
        : shape[1], : shape[0]
    ]
    across = np.linspace(-1, 1, shape[0])
    shade = 0.35 + 0.65 * np.sqrt(np.clip(1 - across**2, 0, 1)) * (1 - 0.25 * across)
    colour = colour * np.array([1.05, 0.92, 0.8]) * shade[None, :, None]
    layers: NDArray[Any] = np.dstack([colour, np.ones(shape[::-1])]).astype(np.float32)
    layers = cv2.copyMakeBorder(layers, 0, 0, 8, 8, cv2.BORDER_CONSTANT, value=0)
    picture = np.dstack([layers, cv2.blur(layers[..., 3], (13, 1))]).astype(np.float32)
    return Cutout("pillar", picture, shape[1] / 2, float(shape[0] * shape[1]), np.empty((0, 2)))
