"""Geometry of boxes and points on arrays: pure functions, nothing mutated.

Convention (docs/architecture.md): continuous pixels, x right, y down; the pixel in row r, column c covers
[c, c + 1) x [r, r + 1). A box is `xyxy`, float64, edges, so width = x2 - x1. NaN means "no answer".
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vtlab.errors import InputError

Array = NDArray[np.float64]


def numbers(values: ArrayLike, width: int = 0, what: str = "boxes") -> Array:
    """Return `values` as float64 (..., `width`), or of any shape; raises `InputError` naming `what` for anything else."""
    try:
        array = np.asarray(values)
        if array.dtype.kind == "c":
            raise TypeError("complex numbers")
        array = array.astype(np.float64, copy=False)
    except (TypeError, ValueError, OverflowError):
        raise InputError(f"Expected {what} as numbers, got {str(values)[:60]!r}.") from None
    if width and (not array.ndim or array.shape[-1] != width):
        raise InputError(f"Expected {what} of shape (..., {width}), got shape {array.shape}.")
    return array


def as_boxes(boxes: ArrayLike) -> Array:
    """Return `boxes` as a float64 array of shape (N, 4); raises `InputError` on any other shape."""
    array = numbers(boxes)
    if array.size == 0:
        return array.reshape(-1, 4) if array.ndim != 2 or array.shape[1] != 4 else array
    if array.ndim == 1 and array.shape[0] == 4:
        array = array[None]
    if array.ndim != 2 or array.shape[1] != 4:
        raise InputError(f"Expected boxes of shape (N, 4) as xyxy pixels, got shape {array.shape}.")
    return array


def xywh_to_xyxy(boxes: ArrayLike) -> Array:
    """Convert (..., 4) boxes from left, top, width, height to edges."""
    b = numbers(boxes, 4)
    return np.concatenate([b[..., :2], b[..., :2] + b[..., 2:]], axis=-1)


def xyxy_to_xywh(boxes: ArrayLike) -> Array:
    """Convert (..., 4) boxes from edges to left, top, width, height."""
    b = numbers(boxes, 4)
    return np.concatenate([b[..., :2], b[..., 2:] - b[..., :2]], axis=-1)


def xyxy_to_cxcywh(boxes: ArrayLike) -> Array:
    """Convert (..., 4) boxes from edges to centre x, centre y, width, height."""
    b = numbers(boxes, 4)
    return np.concatenate([(b[..., :2] + b[..., 2:]) / 2, b[..., 2:] - b[..., :2]], axis=-1)


def cxcywh_to_xyxy(boxes: ArrayLike) -> Array:
    """Convert (..., 4) boxes from centre x, centre y, width, height to edges."""
    b = numbers(boxes, 4)
    return np.concatenate([b[..., :2] - b[..., 2:] / 2, b[..., :2] + b[..., 2:] / 2], axis=-1)


def box_area(boxes: ArrayLike) -> Array:
    """Area in square pixels of (..., 4) xyxy boxes; inverted boxes have area 0, NaN stays NaN."""
    b = numbers(boxes, 4)
    return np.maximum(b[..., 2] - b[..., 0], 0.0) * np.maximum(b[..., 3] - b[..., 1], 0.0)


def box_centers(boxes: ArrayLike) -> Array:
    """Centres (..., 2) as (x, y) of (..., 4) xyxy boxes."""
    b = numbers(boxes, 4)
    return (b[..., :2] + b[..., 2:]) / 2


def _overlap(a: Array, b: Array) -> tuple[Array, Array]:
    inter = np.maximum(np.minimum(a[..., 2], b[..., 2]) - np.maximum(a[..., 0], b[..., 0]), 0.0)
    inter = inter * np.maximum(np.minimum(a[..., 3], b[..., 3]) - np.maximum(a[..., 1], b[..., 1]), 0.0)
    return inter, box_area(a) + box_area(b) - inter


def box_iou(a: ArrayLike, b: ArrayLike) -> Array:
    """Intersection over union of every box of `a` (N, 4) with every box of `b` (M, 4): (N, M), in [0, 1].

    Two boxes without area have IoU 0. NaN boxes give NaN.
    """
    inter, union = _overlap(as_boxes(a)[:, None], as_boxes(b)[None])
    return np.divide(inter, union, out=np.where(np.isnan(union), np.nan, 0.0), where=union > 0)


def paired_iou(a: ArrayLike, b: ArrayLike) -> Array:
    """Intersection over union row by row of two (..., 4) arrays of xyxy boxes: (...), in [0, 1]; NaN stays."""
    inter, union = _overlap(numbers(a, 4), numbers(b, 4))
    return np.divide(inter, union, out=np.where(np.isnan(union), np.nan, 0.0), where=union > 0)


def clip_boxes(boxes: ArrayLike, width: float, height: float) -> Array:
    """Return (..., 4) xyxy boxes cut to the image [0, width] x [0, height]."""
    b = numbers(boxes, 4)
    return np.clip(b, 0.0, np.array([width, height, width, height], dtype=np.float64))


def polygon_to_box(polygon: ArrayLike) -> Array:
    """Tight xyxy extent of a polygon's vertices (K, 2)."""
    p = numbers(polygon, what="a polygon")
    if not p.size or p.size % 2:
        raise InputError(f"Expected a polygon of vertices (K, 2), got shape {p.shape}.")
    p = p.reshape(-1, 2)
    return np.concatenate([p.min(axis=0), p.max(axis=0)])
