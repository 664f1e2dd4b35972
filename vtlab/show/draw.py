"""Draw tracks on frames: frame in, new frame out. Colours are stable: one object keeps its colour everywhere.

The palette is for colour-blind readers too: Okabe and Ito, "Color Universal Design", 2008, then tints of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vtlab.prompts import BoxPrompt, PointPrompt, Prompt, SkeletonPrompt, edges_of
from vtlab.tracks import Tracks

Image = NDArray[np.uint8]
Colour = tuple[int, int, int]

PALETTE: tuple[Colour, ...] = (
    (230, 159, 0),
    (86, 180, 233),
    (0, 158, 115),
    (240, 228, 66),
    (0, 114, 178),
    (213, 94, 0),
    (204, 121, 167),
    (255, 255, 255),
    (255, 205, 120),
    (170, 220, 250),
    (120, 215, 185),
    (150, 190, 230),
    (245, 165, 110),
    (235, 190, 215),
)
TRUTH: Colour = (255, 255, 255)


def colour(object_id: int) -> Colour:
    """RGB colour of an object, the same in every picture, plot and notebook."""
    return PALETTE[(int(object_id) - 1) % len(PALETTE)]


def hex_of(rgb: Colour) -> str:
    """RGB as "#rrggbb"."""
    return "#{:02x}{:02x}{:02x}".format(*rgb)


def overlay(
    image: Image,
    tracks: Tracks,
    frame: int,
    *,
    truth: Tracks | None = None,
    title: str = "",
    labels: bool = True,
    trail: int = 0,
    opacity: float = 0.45,
    shade: Colour | None = None,
    weight: int | None = None,
    scale: float = 1.0,
) -> Image:
    """Draw the objects of one frame.

    Args:
        image: RGB (H, W, 3), uint8; not changed.
        tracks: What to draw: boxes, masks with outlines, points; a hidden object is dashed, a hidden point hollow.
        frame: Which frame of the tracks.
        truth: Drawn as thin white boxes and points.
        title: Written in the upper left corner.
        labels: Write id, label and score beside each object.
        trail: Frames of path to draw behind points and box centres.
        opacity: Of masks, 0 to 1.
        shade: RGB of everything but trails, in place of a colour for each object.
        weight: Pixels of a line; by default what suits the image as large as it is.
        scale: Of the image against the frame of the tracks: .5 where it was shrunk to half.

    Returns:
        A new image (H, W, 3).
    """
    canvas = np.array(image, order="C")
    weight = weight or max(1, round(min(canvas.shape[:2]) / 240))
    now = tracks.at(frame)
    for object_id, corner, part in _fitted(now, canvas):
        paint = shade or colour(object_id)
        _mask(canvas, corner, part, paint, opacity)
        _outline(canvas, corner, part, paint, weight)
    boxes = now.boxes * scale
    if truth is not None:
        for box in truth.at(frame).seen().boxes * scale:
            _box(canvas, box, TRUTH, max(1, weight // 2), dashed=False)
    if trail:
        _trails(canvas, tracks.between(max(frame - trail, 0), frame + 1), scale, weight)
    owners = set(now.points.object_id.tolist())
    for i in range(len(now)):
        paint = shade or colour(int(now.object_id[i]))
        has_mask = now.rle is not None and now.rle[i] is not None
        has_points = now.object_id[i] in owners
        if not has_points and (not has_mask or not now.visible[i]):
            turn = 0.0 if now.angle is None else float(now.angle[i])
            _box(canvas, boxes[i], paint, weight, dashed=not now.visible[i], turn=turn)
        if labels and np.isfinite(boxes[i]).all():
            parts = [f"{now.object_id[i]}", now.label[i] or ""]
            if now.source[i] == "tracked" or now.source[i] == "detected":
                parts.append(f"{now.score[i]:.2f}")
            _text(canvas, " ".join(p for p in parts if p), boxes[i][:2], paint, weight)
    _points(canvas, now, scale, weight, shade)
    if title:
        _text(canvas, title, (2, 0), (255, 255, 255), weight + 1, below=True)
    return canvas


def figures(image: Image, prompts: Iterable[Prompt]) -> Image:
    """Draw figures made of points, such as `vtlab.prompts.shapes.figures_at` returns.

    Args:
        image: RGB (H, W, 3), uint8; not changed.
        prompts: Boxes (upright and oriented), points, polylines, polygons and skeletons; an occluded node is
            hollow. Prompts of other kinds are not drawn.

    Returns:
        A new image (H, W, 3).
    """
    canvas = np.array(image, order="C")
    weight = max(1, round(min(canvas.shape[:2]) / 240))
    for prompt in prompts:
        shade = colour(prompt.object_id)
        if isinstance(prompt, BoxPrompt):
            corners = prompt.corners()
            _lines(canvas, corners, [(i, (i + 1) % 4) for i in range(4)], shade, weight)
        elif isinstance(prompt, PointPrompt | SkeletonPrompt):
            xy = np.asarray(prompt.points)
            _lines(canvas, xy, edges_of(prompt), shade, weight)
            hidden = prompt.occluded if isinstance(prompt, SkeletonPrompt) else (False,) * len(xy)
            for point, hollow in zip(_whole(xy, canvas), hidden, strict=True):
                _dot(canvas, point, shade, weight, hollow)
    return canvas


def _whole(xy: NDArray[np.float64], canvas: Image) -> list[tuple[int, int]]:
    """Pixels that hold points (K, 2), bounded so that a point far outside does not overflow OpenCV's integers."""
    limit = 4 * max(canvas.shape)
    return [(int(x), int(y)) for x, y in np.clip(np.floor(xy), -limit, limit)]


def _lines(
    canvas: Image, xy: NDArray[np.float64], edges: Iterable[tuple[int, int]], shade: Colour, weight: int
) -> None:
    import cv2

    ends = _whole(xy, canvas)
    for a, b in edges:
        cv2.line(canvas, ends[a], ends[b], shade, 2 * weight, cv2.LINE_AA)


def _dot(canvas: Image, centre: tuple[int, int], shade: Colour, weight: int, hollow: bool) -> None:
    import cv2

    cv2.circle(canvas, centre, 2 * weight + 1, (24, 24, 24) if hollow else shade, -1, cv2.LINE_AA)
    cv2.circle(canvas, centre, 2 * weight + 1, shade, weight, cv2.LINE_AA)


def side_by_side(panels: Sequence[Image], columns: int | None = None, gap: int = 4) -> Image:
    """Put images of one size into a grid with dark gaps."""
    n = len(panels)
    columns = columns or (n if n <= 3 else int(np.ceil(np.sqrt(n))))
    rows = -(-n // columns)
    height, width = panels[0].shape[:2]
    sheet = np.full((rows * (height + gap) - gap, columns * (width + gap) - gap, 3), 24, np.uint8)
    for i, panel in enumerate(panels):
        top, left = i // columns * (height + gap), i % columns * (width + gap)
        sheet[top : top + height, left : left + width] = panel
    return sheet


def resized(image: Image, width: int) -> Image:
    """The image scaled down to at most `width` pixels; smaller ones stay."""
    import cv2

    height, old = image.shape[:2]
    if old <= width:
        return image
    size = width, round(height * width / old)
    # By halves first: OpenCV takes means of 2 x 2 five times as fast as any others. Of what is then at most 1.5 times
    # as large, a mean of two pixels each way leaves none out.
    while image.shape[1] >= 2 * width:
        half = image.shape[1] // 2, image.shape[0] // 2
        image = np.asarray(cv2.resize(image, half, interpolation=cv2.INTER_AREA), dtype=np.uint8)
    how = cv2.INTER_LINEAR if 2 * image.shape[1] <= 3 * width else cv2.INTER_AREA
    return np.asarray(cv2.resize(image, size, interpolation=how), dtype=np.uint8)


def _mask(canvas: Image, corner: tuple[int, int], inside: Image, shade: Colour, opacity: float) -> None:
    import cv2

    (x, y), (h, w) = corner, inside.shape
    under = canvas[y : y + h, x : x + w]
    cv2.copyTo(cv2.LUT(under, _tint(shade, opacity)), inside, under)


def _outline(canvas: Image, corner: tuple[int, int], inside: Image, shade: Colour, weight: int) -> None:
    import cv2

    contours, _ = cv2.findContours(inside, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE, offset=corner)
    cv2.drawContours(canvas, contours, -1, shade, weight, cv2.LINE_AA)


@lru_cache(maxsize=64)
def _tint(shade: Colour, opacity: float) -> Image:
    """What a colour over a pixel makes of each of its values, (1, 256, 3): looked up, for few masks have fewer pixels."""
    values = np.arange(256)[:, None] * (1 - opacity) + np.array(shade) * opacity
    return values.astype(np.uint8)[None]


def _box(
    canvas: Image, box: NDArray[np.float64], shade: Colour, weight: int, *, dashed: bool, turn: float = 0.0
) -> None:
    import cv2

    if not np.isfinite(box).all():
        return
    limit = 4 * max(canvas.shape)  # a box far outside must not overflow OpenCV's integers
    x1, y1, x2, y2 = (int(v) for v in np.clip(np.rint(box), -limit, limit))
    corners = [(x1, y1), (x2, y1), (x2, y2), (x1, y2)]
    if turn and x2 > x1 and y2 > y1:
        said = BoxPrompt((x1, y1, x2, y2), angle=turn).corners()
        corners = [(round(x), round(y)) for x, y in said.tolist()]
    if not dashed and not turn:
        # x2 and y2 are edges; OpenCV's corners are pixels, and the last inside is one less.
        cv2.rectangle(canvas, (x1, y1), (x2 - 1, y2 - 1), shade, weight)
        return
    length = 4 + 2 * weight
    for start, end in zip(corners, corners[1:] + corners[:1], strict=True):
        span = np.hypot(end[0] - start[0], end[1] - start[1])
        for t in np.arange(0, span, 2 * length) if dashed else (0.0,):
            a, b = t / max(span, 1), min((t + length) / max(span, 1), 1) if dashed else 1.0
            line = [[round(s + (e - s) * k) for s, e in zip(start, end, strict=True)] for k in (a, b)]
            cv2.line(canvas, line[0], line[1], shade, weight, cv2.LINE_AA)


def _points(canvas: Image, now: Tracks, scale: float, weight: int, one: Colour | None) -> None:
    import cv2

    p = now.points
    for i in np.flatnonzero(np.isfinite(p.xy).all(axis=1)):
        centre = tuple(int(v) for v in np.floor(p.xy[i] * scale))
        shade = one or colour(int(p.object_id[i]) + int(p.point_id[i]))
        cv2.circle(canvas, centre, 2 * weight + 1, shade, -1 if p.visible[i] else weight, cv2.LINE_AA)


def _fitted(now: Tracks, canvas: Image) -> Iterator[tuple[int, tuple[int, int], Image]]:
    """Masks in the size of the canvas: object, left upper corner (x, y), and what lies in their boxes (0 or 1).

    Of a shrunk canvas they are the nearest pixels: that costs little, and the outline smooths it. Only the columns of the
    mask's box are made from its runs.
    """
    if now.rle is None or now.size is None:
        return
    (height, width), runs = now.size, now.runs()
    ys, xs = _nearest(height, canvas.shape[0]), _nearest(width, canvas.shape[1])
    for n, box in enumerate(runs.boxes()):
        if not np.isfinite(box).all():
            continue
        left, top, right, bottom = (int(v) for v in box)
        mine = slice(runs.offsets[n], runs.offsets[n + 1])
        start, stop, before = runs.start[mine], runs.stop[mine], (n * width + left) * height
        edges = np.empty(2 * len(start) + 2, np.int64)
        edges[0], edges[-1] = 0, (right - left) * height
        edges[1:-1:2], edges[2:-1:2] = start - before, stop - before
        flat = np.repeat(np.arange(len(edges) - 1, dtype=np.uint8) & 1, edges[1:] - edges[:-1])
        x, y = (slice(*np.searchsorted(*p)) for p in ((xs, (left, right)), (ys, (top, bottom))))
        part = flat.reshape(-1, height)[xs[x] - left][:, ys[y]]
        if part.any():
            yield int(now.object_id[n]), (int(x.start), int(y.start)), np.ascontiguousarray(part.T)


def _nearest(old: int, new: int) -> NDArray[np.int64]:
    """(new,) pixels of a row of `old` that stand for those of a row of `new`."""
    return np.floor(np.arange(new) * (1 / (new / old))).astype(np.int64)


def _trails(canvas: Image, recent: Tracks, scale: float, weight: int) -> None:
    import cv2

    p = recent.points
    for object_id in np.unique(p.object_id):
        for point_id in np.unique(p.point_id[p.object_id == object_id]):
            mine = (p.object_id == object_id) & (p.point_id == point_id) & p.visible
            path = np.floor(p.xy[mine] * scale).astype(np.int32).reshape(-1, 1, 2)
            cv2.polylines(canvas, [path], False, colour(int(object_id) + int(point_id)), weight, cv2.LINE_AA)
    if not len(p):
        centres = (recent.boxes[:, :2] + recent.boxes[:, 2:]) * (scale / 2)
        there = recent.visible & np.isfinite(centres).all(axis=1)
        ids, path = recent.object_id[there], np.floor(centres[there]).astype(np.int32)[:, None]
        for object_id in np.unique(ids).tolist():
            cv2.polylines(canvas, [path[ids == object_id]], False, colour(object_id), weight, cv2.LINE_AA)


def _text(canvas: Image, text: str, corner: Any, shade: Colour, weight: int, *, below: bool = False) -> None:
    import cv2

    scale, thick = 0.35 + 0.12 * weight, max(1, weight // 2)
    (w, h), base = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, scale, thick)
    x, y = (int(np.clip(v, -30000, 30000)) for v in corner)
    x = int(np.clip(x, 0, max(canvas.shape[1] - w - 4, 0)))
    top = y if below or y - h - base - 2 < 0 else y - h - base - 2
    bottom = min(top + h + base + 2, canvas.shape[0])
    patch = canvas[max(top, 0) : max(bottom, 0), x : x + w + 4]
    patch[:] = (patch * 0.35).astype(np.uint8)
    cv2.putText(
        canvas, text, (x + 2, bottom - base), cv2.FONT_HERSHEY_SIMPLEX, scale, shade, thick, cv2.LINE_AA
    )
