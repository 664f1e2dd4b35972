"""Outlines: rings of points and the mask that they draw."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vtlab import masks

Ring = NDArray[np.float64]


def mask_of(rings: Sequence[Any], height: int, width: int) -> masks.Mask:
    """The mask (height, width) that rings of (x, y) draw: their union, less those that are holes (see `holes_of`)."""
    mask = np.zeros((height, width), bool)
    hole = holes_of(rings) if len(rings) > 1 else [False]
    for n in _by_area(rings):
        drawn = masks.from_polygon(rings[n], height, width)
        mask = mask & ~drawn if hole[n] else mask | drawn
    return mask


def holes_of(rings: Sequence[Any]) -> list[bool]:
    """Of each ring, whether it is a hole: whether it lies inside one that is none, and in no hole of it.

    A part of an outline that lies inside another part adds nothing to it, so nobody means that.
    """
    hole = [False] * len(rings)
    before: list[int] = []
    for n in _by_area(rings):
        hole[n] = sum(-1 if hole[m] else 1 for m in before if _inside(rings[n], rings[m])) > 0
        before.append(n)
    return hole


def _by_area(rings: Sequence[Any]) -> list[int]:
    """Numbers of the rings, the largest first: what lies inside another comes after it."""

    def area(ring: Any) -> float:
        x, y = np.asarray(ring, np.float64).T
        return float(abs(x @ np.roll(y, -1) - y @ np.roll(x, -1)))

    return sorted(range(len(rings)), key=lambda n: -area(rings[n]))


def _inside(ring: Any, other: Any) -> bool:
    """Whether no corner of a ring, nor the middle of a side, lies outside another, and not all of them on it."""
    inner, outer = np.asarray(ring, np.float64), np.asarray(other, np.float64)
    # Corners alone don't tell: a side between two of them may cross a notch of the other ring.
    inner = np.concatenate([inner, (inner + np.roll(inner, 1, axis=0)) / 2])
    if (inner.min(axis=0) < outer.min(axis=0)).any() or (inner.max(axis=0) > outer.max(axis=0)).any():
        return False
    import cv2

    # pointPolygonTest takes 32 bits; points are rounded alike, so that those on a side stay on it.
    contour = outer.astype(np.float32).reshape(-1, 1, 2)
    place = [cv2.pointPolygonTest(contour, (float(x), float(y)), False) for x, y in inner.astype(np.float32)]
    return min(place) >= 0 and max(place) > 0
