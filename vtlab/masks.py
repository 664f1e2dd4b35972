"""Masks: bool (H, W) in memory, COCO run-length encoding at rest. Pure functions.

A run-length encoding here is COCO's compressed `counts` (column-major) as `bytes`, together with a size; see
https://github.com/cocodataset/cocoapi (2014, BSD). pycocotools does the encoding.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pycocotools import mask as _coco

from vtlab.errors import InputError

Mask = NDArray[np.bool_]


def as_mask(mask: ArrayLike) -> Mask:
    """Return `mask` as bool (H, W); raises `InputError` for another number of axes."""
    array = np.asarray(mask)
    if array.ndim != 2:
        raise InputError(f"Expected a mask of shape (H, W), got shape {array.shape}.")
    return array if array.dtype == np.bool_ else array != 0


def encode(mask: ArrayLike) -> bytes:
    """Encode a mask (H, W) to the compressed counts of COCO's run-length encoding."""
    return bytes(_coco.encode(np.asfortranarray(as_mask(mask), dtype=np.uint8))["counts"])


def decode(counts: bytes, height: int, width: int) -> Mask:
    """Decode compressed counts to a mask (height, width)."""
    return _coco.decode({"size": [height, width], "counts": counts}).astype(bool)


def area(counts: bytes, height: int, width: int) -> int:
    """Number of pixels set in an encoded mask."""
    return int(_coco.area({"size": [height, width], "counts": counts}))


def to_box(mask: ArrayLike) -> NDArray[np.float64]:
    """Tight xyxy extent of a mask (H, W); NaN where the mask is empty."""
    array = as_mask(mask)
    rows, cols = np.flatnonzero(array.any(axis=1)), np.flatnonzero(array.any(axis=0))
    if rows.size == 0:
        return np.full(4, np.nan)
    return np.array([cols[0], rows[0], cols[-1] + 1, rows[-1] + 1], dtype=np.float64)


def iou(a: ArrayLike, b: ArrayLike) -> float:
    """Intersection over union of two masks of one size; two empty masks give 1."""
    a, b = as_mask(a), as_mask(b)
    if a.shape != b.shape:
        raise InputError(
            f"Masks of different sizes can't be compared: {a.shape} and {b.shape} (height, width)."
        )
    union = np.count_nonzero(a | b)
    return np.count_nonzero(a & b) / union if union else 1.0


def from_polygon(polygon: ArrayLike, height: int, width: int) -> Mask:
    """Rasterise a polygon (K, 2) of (x, y) edges-convention vertices: a pixel is set if its centre is inside."""
    from matplotlib.path import Path

    vertices = np.asarray(polygon, dtype=np.float64).reshape(-1, 2)
    mask = np.zeros((height, width), dtype=bool)
    low = np.clip(np.floor(vertices.min(axis=0)), 0, (width, height)).astype(int)
    high = np.clip(np.ceil(vertices.max(axis=0)), 0, (width, height)).astype(int)
    if (high <= low).any():
        return mask
    xs, ys = np.arange(low[0], high[0]) + 0.5, np.arange(low[1], high[1]) + 0.5
    centres = np.stack(np.meshgrid(xs, ys), axis=-1).reshape(-1, 2)
    inside = Path(vertices).contains_points(centres).reshape(len(ys), len(xs))
    mask[low[1] : high[1], low[0] : high[0]] = inside
    return mask


def from_box(box: ArrayLike, height: int, width: int) -> Mask:
    """Fill an xyxy box: a pixel is set if its centre is inside the box."""
    x1, y1, x2, y2 = np.asarray(box, dtype=np.float64)
    xs, ys = np.arange(width) + 0.5, np.arange(height) + 0.5
    return ((ys >= y1) & (ys < y2))[:, None] & ((xs >= x1) & (xs < x2))[None, :]
