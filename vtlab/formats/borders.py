"""Geometry at the border: how other tools count pixels, and vtlab's continuous edges, both ways.

vtlab: x right, y down, the pixel in row r, column c covers [c, c + 1) x [r, r + 1); boxes xyxy by their edges. Others:
last pixels inclusive, per cent of the frame, runs along the rows, turned boxes by their corner, outlines in place of masks.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vtlab import masks
from vtlab.errors import InputError
from vtlab.tracks.outline import holes_of, mask_of

Array = NDArray[np.float64]
# An outline of 64 corners lacks 0.16 % of its ellipse's area.
_CORNERS = 64  # of an ellipse


def from_inclusive(boxes: ArrayLike) -> Array:
    """Edges of (..., 4) boxes given by their first and last column and row: [0, 0, 9, 9] is ten pixels wide."""
    return np.asarray(boxes, np.float64) + np.array([0, 0, 1, 1])


def to_inclusive(boxes: ArrayLike) -> NDArray[np.int64]:
    """First and last column and row (..., 4), whole numbers, of boxes by their edges; at least one pixel each.

    Edges are rounded to the next whole one, halves up, so that each moves by at most half a pixel.
    """
    # np.round sends halves to the even neighbour: 0.5 to 1.5 would get two pixels, 1.5 to 2.5 none.
    whole = np.floor(np.asarray(boxes, np.float64) + 0.5)
    whole[..., 2:] = np.maximum(whole[..., 2:], whole[..., :2] + 1)
    return np.asarray(whole - (0, 0, 1, 1), np.int64)


def to_percent(boxes: ArrayLike, size: tuple[int, int]) -> Array:
    """(..., 4) left, top, width, height in per cent of a frame of size (height, width)."""
    b, (height, width) = np.asarray(boxes, np.float64), size
    xywh = np.concatenate([b[..., :2], b[..., 2:] - b[..., :2]], axis=-1)
    return np.asarray(xywh * 100.0 / (width, height, width, height))


def from_percent(boxes: ArrayLike, size: tuple[int, int]) -> Array:
    """Edges of (..., 4) boxes given as left, top, width, height in per cent of a frame of size (height, width)."""
    height, width = size
    xywh = np.asarray(boxes, np.float64) * (width, height, width, height) / 100.0
    return np.concatenate([xywh[..., :2], xywh[..., :2] + xywh[..., 2:]], axis=-1)


def crop_boxes(boxes: ArrayLike, size: tuple[int, int]) -> Array:
    """(..., 4) boxes cut to a frame of size (height, width); NaN where nothing of one is left."""
    cut = np.clip(np.asarray(boxes, np.float64), 0.0, (size[1], size[0], size[1], size[0]))
    gone = (cut[..., 2:] <= cut[..., :2]).any(axis=-1, keepdims=True)
    return np.where(gone, np.nan, cut)


def corners(boxes: ArrayLike, angle: ArrayLike) -> Array:
    """(..., 4, 2) corners of boxes (..., 4) turned by angles (...) about their centres, radians, clockwise on the screen.

    From the one that is top left before the turn, clockwise.
    """
    b, a = np.asarray(boxes, np.float64), np.asarray(angle, np.float64)
    centre = (b[..., :2] + b[..., 2:]) / 2
    half = (b[..., 2:] - b[..., :2]) / 2
    offsets = half[..., None, :] * np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]])
    return centre[..., None, :] + _turned(offsets, a[..., None])


def _turned(xy: Array, angle: Array) -> Array:
    c, s = np.cos(angle), np.sin(angle)
    return np.stack([xy[..., 0] * c - xy[..., 1] * s, xy[..., 0] * s + xy[..., 1] * c], axis=-1)


def upright(boxes: ArrayLike, angle: ArrayLike) -> Array:
    """(..., 4) upright boxes around turned ones; a box that isn't turned stays as it is, bit for bit."""
    b, a = np.asarray(boxes, np.float64), np.asarray(angle, np.float64)
    found = corners(b, a)
    around = np.concatenate([found.min(axis=-2), found.max(axis=-2)], axis=-1)
    return np.where(a[..., None] == 0, b, around)


def to_pivot(boxes: ArrayLike, angle: ArrayLike) -> Array:
    """Edges (..., 4) of the boxes that give the same when they are turned about their top left corner."""
    b = np.asarray(boxes, np.float64)
    first = corners(b, angle)[..., 0, :]
    return np.concatenate([first, first + (b[..., 2:] - b[..., :2])], axis=-1)


def from_pivot(boxes: ArrayLike, angle: ArrayLike) -> Array:
    """Edges (..., 4), before the turn about their centre, of boxes that are turned about their top left corner."""
    b, a = np.asarray(boxes, np.float64), np.asarray(angle, np.float64)
    half = (b[..., 2:] - b[..., :2]) / 2
    centre = b[..., :2] + _turned(half, a)
    moved = np.concatenate([centre - half, centre + half], axis=-1)
    return np.where(a[..., None] == 0, b, moved)


def to_crop(mask: masks.Mask) -> tuple[int, int, masks.Mask]:
    """Left, top, and the part of a mask (H, W) that holds all its pixels; raises `InputError` for one without any."""
    box = masks.to_box(mask)
    if np.isnan(box).any():
        raise InputError("A mask without a pixel has no part that holds all of them.")
    x1, y1, x2, y2 = box.astype(int).tolist()
    return x1, y1, mask[y1:y2, x1:x2]


def from_crop(part: masks.Mask, left: int, top: int, size: tuple[int, int]) -> masks.Mask:
    """A mask of size (height, width) whose part at (left, top) is given; what lies outside the frame is cut off."""
    whole, (height, width) = np.zeros(size, bool), part.shape
    x1, y1, x2, y2 = max(left, 0), max(top, 0), min(left + width, size[1]), min(top + height, size[0])
    if x2 > x1 and y2 > y1:
        whole[y1:y2, x1:x2] = part[y1 - top : y2 - top, x1 - left : x2 - left]
    return whole


def row_runs(mask: masks.Mask) -> list[int]:
    """Lengths of a mask's runs along its rows in turn, unset pixels first."""
    flat = mask.ravel()
    edges = np.flatnonzero(np.diff(flat, prepend=False))
    return [int(n) for n in np.diff([0, *edges.tolist(), flat.size])] if flat.size else []


def from_row_runs(runs: Sequence[int], height: int, width: int) -> masks.Mask:
    """The mask whose runs along the rows these are; raises `InputError` unless they fill it."""
    return masks.decode(masks.from_runs(np.asarray(runs), height, width, "rows"), height, width)


def rings_of(mask: masks.Mask) -> tuple[Array, ...]:
    """Outlines (K, 2) of a mask along the edges of its pixels: each part's outer ring, then its holes.

    `tracks.outline.mask_of` draws the same mask again, pixel for pixel; the area of the rings is that of the mask.
    """
    import cv2

    # OpenCV's contours run through centres of pixels: doubled, even one pixel has a first and a last edge.
    doubled = np.repeat(np.repeat(mask.astype(np.uint8), 2, axis=0), 2, axis=1)
    # CCOMP has two levels: a part that lies in a hole is an outer ring again.
    found, tree = cv2.findContours(doubled, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    if not found:
        return ()
    rings: list[Array] = []
    for outer in np.flatnonzero(tree[0, :, 3] < 0).tolist():
        rings.append(_along_edges(found[outer]))
        hole = int(tree[0, outer, 2])
        while hole >= 0:
            rings.append(_along_edges(found[hole]))
            hole = int(tree[0, hole, 0])
    return tuple(rings)


def _along_edges(contour: Any) -> Array:
    """A contour of a mask at twice its size as corners of the mask's pixels: even numbers are first edges, odd ones last."""
    xy = contour.reshape(-1, 2)
    xy = (xy + xy % 2) // 2
    xy = xy[(xy != np.roll(xy, 1, axis=0)).any(axis=1)]
    before, after = xy - np.roll(xy, 1, axis=0), np.roll(xy, -1, axis=0) - xy
    turns = before[:, 0] * after[:, 1] != before[:, 1] * after[:, 0]
    back = (before * after).sum(axis=1) < 0
    return np.asarray(xy[turns | back], np.float64)


def ellipse_ring(x: float, y: float, rx: float, ry: float, angle: float) -> Array:
    """An outline (64, 2) of an ellipse about (x, y), turned by `angle` radians, clockwise on the screen."""
    at = np.arange(_CORNERS) * (2 * np.pi / _CORNERS)
    around = _turned(np.stack([rx * np.cos(at), ry * np.sin(at)], axis=-1), np.array(angle))
    return np.asarray(around + np.array([x, y]))


def crop_ring(ring: ArrayLike, size: tuple[int, int]) -> Array:
    """A ring (K, 2) cut to a frame of size (height, width), (J, 2); J = 0 where nothing is left (Sutherland-Hodgman)."""
    xy = np.asarray(ring, np.float64).reshape(-1, 2)
    for axis, low, high in ((0, 0.0, float(size[1])), (1, 0.0, float(size[0]))):
        xy = _cut(_cut(xy, axis, low, 1.0), axis, high, -1.0)
    return xy


def _cut(xy: Array, axis: int, edge: float, side: float) -> Array:
    if not len(xy):
        return xy
    depth, after = side * (xy[:, axis] - edge), np.roll(xy, -1, axis=0)
    ahead = np.roll(depth, -1)
    kept: list[Array] = []
    for here, there, d, e in zip(xy, after, depth, ahead, strict=True):
        if d >= 0:
            kept.append(here)
        if (d < 0 < e) or (e < 0 < d):
            kept.append(here + (there - here) * d / (d - e))
    return np.array(kept).reshape(-1, 2)


__all__ = [
    "corners",
    "crop_boxes",
    "crop_ring",
    "ellipse_ring",
    "from_crop",
    "from_inclusive",
    "from_percent",
    "from_pivot",
    "from_row_runs",
    "holes_of",
    "mask_of",
    "rings_of",
    "row_runs",
    "to_crop",
    "to_inclusive",
    "to_percent",
    "to_pivot",
    "upright",
]
