"""How alike tracks and detections are: overlaps of boxes and appearance, for all pairs at once.

Rows are tracks, columns detections. Boxes are finite xyxy with positive size (the associators see to it), float64; a
fifth column is the angle of oriented boxes (`turned`), whose overlaps are those of the turned rectangles.
Papers: Rezatofighi et al., "Generalized IoU", CVPR 2019; Zheng et al., "Distance-IoU", AAAI 2020; Yang et al.,
"Hard to Track Objects with Irregular Motions and Similar Appearances? Make It Easier by Buffering the Matching
Space" (C-BIoU), WACV 2023; Wojke et al., DeepSORT, ICIP 2017 (gallery).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from vtlab.association.parts.turned import extents, shared_area
from vtlab.errors import InputError

Array = NDArray[np.float64]
Rows = NDArray[np.int64]
_MOST = 4_000_000  # products of appearance that are held at once
_PAIRS = 12_000  # compared at once: an array of them is small enough that memory is handed out without a page fault
_FEW = 1000  # pairs up to which repeating boxes is faster than broadcasting them
_ZERO = np.zeros(())  # an array is taken faster than a number
_ONE_MORE = np.array([0.0, 0.0, 1.0, 1.0, 0.0])


def pieces(n: int, m: int) -> Iterator[slice]:
    """Slices of `n` tracks that are compared with `m` detections at once, so that a crowd's matrices stay in the cache."""
    step = max(_PAIRS // max(m, 1), 1)
    return (slice(start, start + step) for start in range(0, n, step))


def _overlap(a: Array, b: Array) -> tuple[Array, Array]:
    """Areas of intersection and union (N, M)."""
    if a.shape[1] == 5:
        return _turned_overlap(a, b)
    n, m, both = len(a), len(b), np.empty((5, len(a) + len(b)))
    both[:4, :n], both[:4, n:] = a.T, b.T
    sides = both[2:4] - both[:2]
    np.multiply(sides[0], sides[1], out=both[4])
    p, q = both[:, :n, None], both[:, None, n:]
    if n * m <= _FEW:
        p, q = p.repeat(m, axis=2), q.repeat(n, axis=1)
    size = np.minimum(p[2:4], q[2:4])  # width and height together: half the calls
    size -= np.maximum(p[:2], q[:2])
    size = np.maximum(size, _ZERO)  # a copy is filled four times as fast
    inter, union = size[0], size[1]
    inter *= union
    np.add(p[4], q[4], out=union)
    union -= inter
    return inter, union


def _turned_overlap(a: Array, b: Array) -> tuple[Array, Array]:
    """`_overlap` of oriented boxes; only pairs whose extents meet are cut."""
    near, _ = _overlap(extents(a), extents(b))
    rows, columns = near.nonzero()
    inter = np.zeros(near.shape)
    inter[rows, columns] = shared_area(a[rows], b[columns])
    union = _areas(a)[:, None] + _areas(b)
    union -= inter
    return inter, union


def paired_iou(a: Array, b: Array) -> Array:
    """IoU (P,), in [0, 1], of each pair of oriented boxes (P, 5), (P, 5)."""
    p, q = extents(a), extents(b)
    near = np.flatnonzero((np.minimum(p[:, 2:], q[:, 2:]) > np.maximum(p[:, :2], q[:, :2])).all(axis=1))
    inter = np.zeros(len(a))
    inter[near] = shared_area(a[near], b[near])
    return inter / (_areas(a) + _areas(b) - inter)


def _areas(boxes: Array) -> Array:
    areas: Array = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    return areas


def iou(a: Array, b: Array) -> Array:
    """Intersection over union (N, M), in [0, 1]."""
    inter, union = _overlap(a, b)
    inter /= union
    return inter


def iou_of_pixels(a: Array, b: Array) -> Array:
    """IoU (N, M), in [0, 1], of boxes whose right and lower edges are pixels that belong to them (width + 1).

    The convention of `cython_bbox`, which the authors' code of ByteTrack and BoT-SORT compares boxes with.
    """
    more = _ONE_MORE[: a.shape[1]]
    return iou(a + more, b + more)


def overlapping_of_few(a: Array, b: Array) -> tuple[list[int], list[int], list[float]]:
    """`overlapping` for a handful of boxes, where numbers are faster than arrays; the same values."""
    rows, columns, values = [], [], []
    others = b.tolist()
    for i, (x1, y1, x2, y2) in enumerate(a.tolist()):
        for j, (u1, v1, u2, v2) in enumerate(others):
            if x1 >= u2 or u1 >= x2 or y1 >= v2 or v1 >= y2:
                continue
            width, height = min(x2, u2) - max(x1, u1), min(y2, v2) - max(y1, v1)
            if width > 0 and height > 0:
                inter = width * height
                rows.append(i)
                columns.append(j)
                values.append(inter / ((x2 - x1) * (y2 - y1) + (u2 - u1) * (v2 - v1) - inter))
    return rows, columns, values


def overlapping(a: Array, b: Array) -> tuple[Rows, Rows, Array]:
    """The pairs that overlap and their IoU, without the matrix of all pairs: for crowds.

    Returns:
        Rows (K,) of `a`, rows (K,) of `b`, IoU (K,), in (0, 1].
    """
    if a.shape[1] == 5:
        rows, columns, _ = overlapping(extents(a), extents(b))
        inter = shared_area(a[rows], b[columns])
        hit = (inter > 0).nonzero()[0]
        rows, columns, inter = rows[hit], columns[hit], inter[hit]
        return rows, columns, inter / (_areas(a)[rows] + _areas(b)[columns] - inter)
    order = b[:, 0].argsort()
    p, q = a.T.copy(), b.take(order, axis=0).T.copy()  # columns that lie in a row each
    first = q[0].searchsorted(p[0] - (q[2] - q[0]).max())
    # Boxes whose left edge lets them reach into the row's x-range; a filter of corners may predict an inverted box.
    counts = np.maximum(q[0].searchsorted(p[2]) - first, 0)
    ends = counts.cumsum()
    rows = np.arange(len(a)).repeat(counts)
    columns = np.arange(ends[-1]) + (first - ends + counts).repeat(counts)
    height = np.minimum(p[3].take(rows), q[3].take(columns)) - np.maximum(p[1].take(rows), q[1].take(columns))
    hit = (height > 0).nonzero()[0]
    rows, columns, height = rows.take(hit), columns.take(hit), height.take(hit)
    width = np.minimum(p[2].take(rows), q[2].take(columns)) - np.maximum(p[0].take(rows), q[0].take(columns))
    hit = (width > 0).nonzero()[0]
    rows, columns = rows.take(hit), columns.take(hit)
    inter = height.take(hit) * width.take(hit)
    union = ((p[2] - p[0]) * (p[3] - p[1])).take(rows)
    union += ((q[2] - q[0]) * (q[3] - q[1])).take(columns)
    union -= inter
    inter /= union
    return rows, order.take(columns), inter


def _hull(a: Array, b: Array) -> tuple[Array, Array]:
    """Width and height (N, M) of the smallest box around both."""
    a, b = extents(a), extents(b)
    low = np.minimum(a[:, None, :2], b[None, :, :2])
    size = np.maximum(a[:, None, 2:], b[None, :, 2:]) - low
    return size[..., 0], size[..., 1]


def giou(a: Array, b: Array) -> Array:
    """Generalized IoU (N, M), in (-1, 1]: below 0 for boxes that are apart, the further the lower."""
    inter, union = _overlap(a, b)
    width, height = _hull(a, b)
    hull = width * height
    return inter / union - (hull - union) / hull


def diou(a: Array, b: Array) -> Array:
    """Distance IoU (N, M), in (-1, 1]: IoU less the squared distance of centres over the squared hull diagonal."""
    inter, union = _overlap(a, b)
    width, height = _hull(a, b)
    gap = (a[:, None, :2] + a[:, None, 2:4] - b[None, :, :2] - b[None, :, 2:4]) / 2
    return inter / union - (gap**2).sum(axis=2) / (width**2 + height**2)


def buffered(boxes: Array, ratio: float | Array) -> Array:
    """Boxes (N, 4) grown on each side by `ratio`, one or (N, 1), times their width and height."""
    grow = (boxes[:, 2:4] - boxes[:, :2]) * ratio
    return np.concatenate([boxes[:, :2] - grow, boxes[:, 2:4] + grow, boxes[:, 4:]], axis=1)


def biou(a: Array, b: Array, ratio: float = 0.3) -> Array:
    """Buffered IoU (N, M), in [0, 1]: IoU of boxes grown by `ratio` of their size on each side."""
    return iou(buffered(a, ratio), buffered(b, ratio))


OVERLAPS: dict[str, Callable[[Array, Array], Array]] = {
    "iou": iou,
    "giou": giou,
    "diou": diou,
    "biou": biou,
    "iou-pixels": iou_of_pixels,
}


def overlap(name: str) -> Callable[[Array, Array], Array]:
    """The overlap of that name; raises `InputError` for an unknown one."""
    if name not in OVERLAPS:
        raise InputError(f"Unknown similarity {name!r}. Known: {', '.join(OVERLAPS)}.")
    return OVERLAPS[name]


def cosine(a: NDArray[np.float32], b: NDArray[np.float32]) -> Array:
    """Cosine (N, M), in [-1, 1], of unit vectors (N, D) and (M, D); 0 where either is unknown (NaN)."""
    return np.nan_to_num(a @ b.T).astype(np.float64)


def gallery_cosine(gallery: NDArray[np.float32], b: NDArray[np.float32]) -> Array:
    """Best cosine (N, M) of unit vectors (M, D) with any of the K kept for each track (N, K, D); NaN = empty place."""
    n, places, _ = gallery.shape
    best = np.full((n, len(b)), -1.0)
    if not gallery.size or not len(b):
        return np.zeros_like(best)
    filled = ~np.isnan(gallery[:, :, 0])
    step = max(_MOST // (places * len(b)), 1)  # tracks at a time: memory stays bounded in a crowd
    for start in range(0, n, step):
        part = slice(start, start + step)
        counts = filled[part].sum(axis=1)
        known = counts.nonzero()[0]
        if len(known):
            products = gallery[part][filled[part]] @ b.T
            best[start + known] = np.maximum.reduceat(products, (counts.cumsum() - counts)[known], axis=0)
    return np.nan_to_num(best, nan=-1.0)
