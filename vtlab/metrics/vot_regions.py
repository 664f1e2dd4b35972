"""Overlap of regions as the VOT toolkit counts it: both are drawn on a grid of pixels after rounding.

Differs from the exact overlap by up to several per cent for small objects, so numbers that are to stand beside published
ones need it. Regions of one pixel's width count as empty there, and two empty regions overlap fully; both are kept.

Source: vot-toolkit 0.9.0, `vot.region.raster` (GPL-3.0); written anew from its rules, its results are this module's tests.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vtlab.errors import InputError
from vtlab.tracks import Tracks

Region = Any
"""A box (4,) xyxy, a polygon (K, 2) of (x, y), a mask as (left, top, (h, w) bool), or None (or a number): nothing."""
Bounds = tuple[int, int, int, int]
_Grid = NDArray[np.bool_]


def region_overlap(first: Region, second: Region, size: tuple[int, int] | None = None) -> float:
    """Overlap of two regions in [0, 1].

    Args:
        first: A region.
        second: A region.
        size: (height, width) of the image, outside of which nothing counts.
    """
    one, two = _rounded(first), _rounded(second)
    a, b = _bounds(one), _bounds(two)
    left, top, right, bottom = min(a[0], b[0]), min(a[1], b[1]), max(a[2], b[2]), max(a[3], b[3])
    if left >= right or top >= bottom:
        return 1.0
    if size is not None:
        left, top, right, bottom = (
            max(0, left),
            max(0, top),
            min(size[1] - 1, right),
            min(size[0] - 1, bottom),
        )
        if left >= right or top >= bottom:
            return 0.0
    here = (left, top, right, bottom)
    drawn, other = _draw(one, here), _draw(two, here)
    union = int((drawn | other).sum())
    return int((drawn & other).sum()) / union if union else 0.0


def region_overlaps(
    first: Sequence[Region], second: Sequence[Region], size: tuple[int, int] | None = None
) -> NDArray[np.float64]:
    """`region_overlap` of each pair, (N,).

    Raises:
        InputError: Lists of different lengths.
    """
    if len(first) != len(second):
        raise InputError(f"Expected as many regions as truth, got {len(first)} and {len(second)}.")
    return np.array(
        [region_overlap(a, b, size) for a, b in zip(first, second, strict=True)], dtype=np.float64
    )


def is_empty(region: Region) -> bool:
    """Whether the toolkit takes a region as empty: nothing, or one of no width or height (a mask: of one pixel)."""
    if region is None or isinstance(region, (int, np.integer)):
        return True
    if isinstance(region, tuple):
        left, top, right, bottom = _bounds((0, 0, region[2]))
        return left == right or top == bottom
    numbers = np.asarray(region, dtype=np.float64).reshape(-1, 2)
    return bool((numbers.max(axis=0) <= numbers.min(axis=0)).any())


def regions_of(tracks: Tracks, frames: Sequence[int]) -> list[Region]:
    """The region of one object on each of `frames`: its polygon, else its mask, else its box; None where it isn't seen.

    A box without area is told as it is: nobody sees it, but a file of VOT can hold it, where it is not the same as nothing.
    """
    flat = np.isfinite(tracks.boxes).all(axis=1) & (tracks.boxes[:, 2:] <= tracks.boxes[:, :2]).any(axis=1)
    told = tracks.visible | flat
    row = {int(f): i for i, f in enumerate(tracks.frame.tolist()) if told[i]}
    return [_region(tracks, row[f]) if f in row else None for f in frames]


def _region(tracks: Tracks, row: int) -> Region:
    rings = None if tracks.polygons is None else tracks.polygons[row]
    if rings is not None and len(rings) == 1:
        return rings[0]
    mask = tracks.mask(row) if tracks.visible[row] else None
    if mask is not None:
        return 0, 0, mask
    box = tracks.boxes[row]
    return box if np.isfinite(box).all() else None


def _rounded(region: Region) -> Region:
    """Boxes as whole (x, y, w, h), polygons as whole corners; the toolkit reads numbers as float32 first."""
    if region is None or isinstance(region, (int, np.integer, tuple)):
        return region if isinstance(region, tuple) else None
    numbers = np.asarray(region, dtype=np.float64)
    if numbers.ndim == 1:
        numbers = np.concatenate([numbers[:2], numbers[2:] - numbers[:2]])
    return np.round(numbers.astype(np.float32)).astype(np.int64)


def _bounds(region: Region) -> Bounds:
    """First and last column and row."""
    if region is None:
        return 0, 0, 0, 0
    if isinstance(region, tuple):
        left, top, mask = region
        rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
        if not len(rows):
            return left, top, left, top
        return left + int(columns[0]), top + int(rows[0]), left + int(columns[-1]), top + int(rows[-1])
    if region.ndim == 1:
        x, y, w, h = region.tolist()
        return x, y, x + w - 1, y + h - 1
    (left, top), (right, bottom) = region.min(axis=0).tolist(), region.max(axis=0).tolist()
    return left, top, right, bottom


def _draw(region: Region, bounds: Bounds) -> _Grid:
    """The region on the pixels of `bounds`."""
    left, top, right, bottom = bounds
    grid = np.zeros((bottom - top + 1, right - left + 1), bool)
    if region is None:
        return grid
    if isinstance(region, tuple):
        x, y, mask = region
        x1, y1 = max(x, left), max(y, top)
        x2, y2 = min(right + 1, x + mask.shape[1]), min(bottom + 1, y + mask.shape[0])
        if x2 > x1 and y2 > y1:
            grid[y1 - top : y2 - top, x1 - left : x2 - left] = mask[y1 - y : y2 - y, x1 - x : x2 - x]
    elif region.ndim == 1:
        x, y, w, h = region.tolist()
        if x <= right and x + w - 1 >= left and y <= bottom and y + h - 1 >= top:
            # Left of the image the toolkit cuts a box at the last column's own number; kept, as its results are to be had.
            last_x, last_y = min(right, x + w - 1 - left), min(bottom, y + h - 1 - top)
            grid[max(0, y - top) : last_y + 1, max(0, x - left) : last_x + 1] = True
    else:
        _fill(grid, (region - [left, top]).astype(np.float64))
    return grid


def _fill(grid: _Grid, corners: NDArray[np.float64]) -> None:
    """Fill a polygon row by row between the places where its edges cross, both ends included."""
    height, width = grid.shape
    y = np.arange(height)[:, None]
    (xi, yi), (xj, yj) = corners.T, np.roll(corners, 1, axis=0).T
    crossed = ((yi <= y) & (yj >= y) | (yj <= y) & (yi >= y)) & ((yi != yj) | (yi == y))
    rise = np.where(yj == yi, 1.0, yj - yi)
    place = np.where(yj == yi, xi, xi + (y - yi) / rise * (xj - xi)).astype(np.int64)  # towards 0
    place = np.sort(np.where(crossed, place, np.iinfo(np.int64).max), axis=1)
    count = crossed.sum(axis=1)
    plain = count == 2
    columns = np.arange(width)
    grid[plain] = (columns >= place[plain, :1]) & (columns <= place[plain, 1:2])
    for row in np.flatnonzero(count > 2).tolist():
        _fill_row(grid[row], place[row, : count[row]].tolist())


def _fill_row(row: _Grid, places: list[int]) -> None:
    """Fill between pairs of places; of two that are equal (a corner) the first is left out, unless they are the last."""
    i = 0
    while i < len(places) - 1 and places[i] < len(row):
        if places[i] == places[i + 1] and i < len(places) - 2:
            i += 1
            continue
        if places[i + 1] >= 0:
            row[max(places[i], 0) : places[i + 1] + 1] = True
        i += 2
