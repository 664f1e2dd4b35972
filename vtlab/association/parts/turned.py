"""Oriented boxes: rectangles turned about their centre, (N, 5) as x1, y1, x2, y2 before rotation and the angle.

The angle is in radians, clockwise on the screen, as `BoxPrompt.angle` and the column `angle` of `Tracks`. Turning by a
quarter and exchanging the sides gives the same rectangle; `like` picks the description nearest to another.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

if TYPE_CHECKING:
    import supervision as sv

Array = NDArray[np.float64]
KEY = "xyxyxyxy"
"""Where `supervision` keeps the corners (N, 4, 2) of oriented boxes: `Detections.data[KEY]`."""
_QUARTER = np.pi / 2


def is_turned(detections: sv.Detections) -> bool:
    """Whether detections are oriented boxes."""
    return KEY in detections.data


def of_detections(detections: sv.Detections) -> Array:
    """Oriented boxes (N, 5) of detections; upright ones have the angle 0."""
    if is_turned(detections):
        return of_corners(detections.data[KEY])
    boxes = np.asarray(detections.xyxy, dtype=np.float64)
    return np.concatenate([boxes, np.zeros((len(boxes), 1))], axis=1)


def of_corners(corners: ArrayLike) -> Array:
    """Oriented boxes (N, 5), angles in [-pi/4, pi/4), of corners (N, 4, 2) given in their order around the box."""
    points = np.asarray(corners, dtype=np.float64).reshape(-1, 4, 2)
    centre = points.mean(axis=1)
    along = (points[:, 1] - points[:, 0] + points[:, 2] - points[:, 3]) / 2
    across = (points[:, 3] - points[:, 0] + points[:, 2] - points[:, 1]) / 2
    size = np.stack([np.hypot(*along.T), np.hypot(*across.T)], axis=1)
    angle = np.arctan2(along[:, 1], along[:, 0])
    boxes = np.concatenate([centre - size / 2, centre + size / 2, angle[:, None]], axis=1)
    return _quartered(boxes, np.floor(angle / _QUARTER + 0.5))


def corners_of(boxes: Array) -> Array:
    """Corners (N, 4, 2) of oriented boxes (N, 5), clockwise from the one that is top left before rotation."""
    half, angle = (boxes[:, 2:4] - boxes[:, :2]) / 2, boxes[:, 4]
    along = half[:, :1] * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    across = half[:, 1:] * np.stack([-np.sin(angle), np.cos(angle)], axis=1)
    centre = (boxes[:, :2] + boxes[:, 2:4]) / 2
    return centre[:, None] + np.stack(
        [-along - across, along - across, along + across, across - along], axis=1
    )


def extents(boxes: Array) -> Array:
    """Tight upright boxes (N, 4) around boxes (N, 5); upright ones (N, 4) as they are."""
    if boxes.shape[1] == 4:
        return boxes
    corners = corners_of(boxes)
    return np.concatenate([corners.min(axis=1), corners.max(axis=1)], axis=1)


def like(boxes: Array, others: Array) -> Array:
    """The same rectangles (N, 5), each as turned and as long as those of `others` (N, 5) as can be said of it."""
    turns = np.floor((others[:, 4] - boxes[:, 4]) / _QUARTER + 0.5)
    best, least = boxes, np.full(len(boxes), np.inf)
    sides = np.log(np.maximum(others[:, 2:4] - others[:, :2], 1e-9))
    for more in (0, -1, 1):
        said = _quartered(boxes, -(turns + more))
        apart = np.abs(said[:, 4] - others[:, 4]) / (_QUARTER / 2)
        apart += np.abs(np.log(np.maximum(said[:, 2:4] - said[:, :2], 1e-9)) - sides).sum(axis=1)
        better = apart < least
        best, least = np.where(better[:, None], said, best), np.where(better, apart, least)
    return best


def _quartered(boxes: Array, turns: Array) -> Array:
    """The same rectangles (N, 5), their angles less by `turns` (N,) quarters; an odd number exchanges the sides."""
    centre, half = (boxes[:, :2] + boxes[:, 2:4]) / 2, (boxes[:, 2:4] - boxes[:, :2]) / 2
    half = np.where((turns % 2 != 0)[:, None], half[:, ::-1], half)
    angle = boxes[:, 4] - turns * _QUARTER
    swapped = np.concatenate([centre - half, centre + half, angle[:, None]], axis=1)
    return np.where((turns == 0)[:, None], boxes, swapped)  # bit for bit what it was, where nothing turns


def shared_area(a: Array, b: Array) -> Array:
    """Area (P,) that each pair of oriented boxes (P, 5), (P, 5) has in common.

    In the frame of `b`, which is upright there, each edge of `a` is cut where it crosses the sides of `b`, and all points
    are moved into `b`: the outline of the common part, walked along its border.
    """
    cos, sin = np.cos(b[:, 4])[:, None], np.sin(b[:, 4])[:, None]
    far = corners_of(a) - ((b[:, :2] + b[:, 2:4]) / 2)[:, None]
    points = np.stack([cos * far[..., 0] + sin * far[..., 1], cos * far[..., 1] - sin * far[..., 0]], axis=-1)
    half = (b[:, 2:4] - b[:, :2]) / 2
    for axis in (0, 1):
        limit = half[:, axis, None]
        way = np.roll(points, -1, axis=1) - points
        step = np.where(np.abs(way[..., axis]) < 1e-9, np.inf, way[..., axis])
        cuts = np.stack(
            [np.zeros_like(step), *((s * limit - points[..., axis]) / step for s in (-1, 1))], axis=-1
        )
        cuts = np.sort(np.clip(cuts, 0.0, 1.0), axis=-1)
        points = (points[:, :, None] + cuts[..., None] * way[:, :, None]).reshape(-1, 4 * 3 ** (axis + 1), 2)
        points[..., axis] = np.clip(points[..., axis], -limit, limit)
    after = np.roll(points, -1, axis=1)
    return np.abs((points[..., 0] * after[..., 1] - points[..., 1] * after[..., 0]).sum(axis=1)) / 2
