"""Between key figures: what a person drew on some frames, filled in on the others. No image is looked at.

Boxes and points move on straight lines in time, oriented boxes turn the short way; masks morph by their signed
distance, each aligned by its box first (Schenk, Prause and Peitgen, "Efficient semiautomatic segmentation of 3D
objects", MICCAI 2000, shape-based interpolation). Before an object's second key figure and after its last one, the
nearest figure holds.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from vtlab.errors import PromptError
from vtlab.masks import to_box
from vtlab.prompts import BoxPrompt, MaskPrompt, PointPrompt, Prompt, Prompts, SkeletonPrompt
from vtlab.tracks import FrameTracks, Tracks, TracksBuilder


def interpolate(
    prompts: Prompts, times: Mapping[int, float], size: tuple[int, int]
) -> Iterator[tuple[int, FrameTracks]]:
    """Yield (frame, answer) for frames in the order of `times`; an object has none before its first key figure.

    Args:
        prompts: Key figures; those on frames that are not in `times` are left out.
        times: Time stamp in seconds of each frame, in the direction of tracking.
        size: (height, width) of the frames.

    Raises:
        PromptError: Two key figures of one object are of different kinds or have different numbers of points.
    """
    place = {frame: i for i, frame in enumerate(times)}
    keys = {i: [p for p in prompts.of(i) if p.frame in times] for i in prompts.object_ids}
    keys = {i: mine for i, mine in keys.items() if mine}
    for mine in keys.values():
        _check(mine)
    first = {i: min(place[p.frame] for p in mine) for i, mine in keys.items()}
    for frame, time in times.items():
        parts = [_at(mine, frame, time, times, size) for i, mine in keys.items() if place[frame] >= first[i]]
        yield frame, FrameTracks.concat(parts)


def filled_in(mine: Prompts, stamps: NDArray[np.float64], size: tuple[int, int]) -> Tracks:
    """Rows of one object from its first key figure to its last, as `interpolate` gives them.

    Args:
        mine: Key figures of one object, on at least one frame.
        stamps: Time stamp in seconds of each frame of the video, (N,).
        size: (height, width) of the frames.

    Raises:
        PromptError: See `interpolate`.
    """
    keys, low, high = list(mine), mine.frames[0], mine.frames[-1] + 1
    _check(keys)
    if all(isinstance(p, BoxPrompt) and not p.angle for p in keys):
        frames = np.arange(low, high)
        given = np.array([p.box(*size) for p in keys])
        at = np.array(mine.frames)
        boxes = np.stack([np.interp(stamps[frames], stamps[at], given[:, k]) for k in range(4)], axis=1)
        source = np.where(np.isin(frames, at), "manual", "interpolated")
        return Tracks.of(frames, mine.object_ids[0], boxes, label=keys[0].label, source=source, size=size)
    builder = TracksBuilder(size)
    for frame, answer in interpolate(mine, {f: float(stamps[f]) for f in range(low, high)}, size):
        builder.add(frame, answer)
    return builder.build()


def _check(mine: list[Prompt]) -> None:
    first = mine[0]
    for other in mine[1:]:
        if type(other) is not type(first) or _n_points(other) != _n_points(first):
            raise PromptError(
                f"Can't interpolate between a {first} and a {other}: key figures of one object must be of one kind "
                "with as many points each."
            )


def _n_points(prompt: Prompt) -> int:
    return len(prompt.points) if isinstance(prompt, (PointPrompt, SkeletonPrompt)) else 0


def _at(
    mine: list[Prompt], frame: int, time: float, times: Mapping[int, float], size: tuple[int, int]
) -> FrameTracks:
    before = [p for p in mine if p.frame <= frame]
    after = [p for p in mine if p.frame >= frame]
    a, b = before[-1] if before else after[0], after[0] if after else before[-1]
    span = times[b.frame] - times[a.frame]
    t = float(np.clip((time - times[a.frame]) / span, 0, 1)) if span else 0.0
    return _blend(a, b, t, size, "manual" if frame in (a.frame, b.frame) else "interpolated")


def _blend(a: Prompt, b: Prompt, t: float, size: tuple[int, int], source: str) -> FrameTracks:
    ids, label = [a.object_id], None if a.label is None else [a.label]
    if isinstance(a, (PointPrompt, SkeletonPrompt)) and isinstance(b, (PointPrompt, SkeletonPrompt)):
        xy = (1 - t) * np.array(a.points) + t * np.array(b.points)
        labels = None if a.label is None else {a.object_id: a.label}
        answer = FrameTracks.of_points([a.object_id] * len(xy), np.arange(len(xy)), xy, labels=labels)
        return replace(answer, source=source)
    if isinstance(a, MaskPrompt) and isinstance(b, MaskPrompt):
        mask = morph(a.mask(*size), b.mask(*size), t)
        return FrameTracks.of(ids, masks=mask[None], labels=label, source=source)
    if isinstance(a, BoxPrompt) and isinstance(b, BoxPrompt) and (a.angle or b.angle):
        turn = math.remainder(b.angle - a.angle, 2 * math.pi)
        x1, y1, x2, y2 = ((1 - t) * np.array(a.xyxy) + t * np.array(b.xyxy)).tolist()
        corners = BoxPrompt((x1, y1, x2, y2), a.angle + t * turn).corners()
        labels = None if a.label is None else {a.object_id: a.label}
        return replace(FrameTracks.of_points(ids * 4, np.arange(4), corners, labels=labels), source=source)
    box = (1 - t) * a.box(*size) + t * b.box(*size)
    return FrameTracks.of(ids, [box], labels=label, source=source)


def morph(a: NDArray[np.bool_], b: NDArray[np.bool_], t: float) -> NDArray[np.bool_]:
    """Shape between two masks (H, W): both are moved and scaled to the box in between, then blended.

    Args:
        a: Mask at t = 0, not empty.
        b: Mask at t = 1, not empty.
        t: Position between them, 0 to 1.
    """
    if t <= 0 or t >= 1:
        return (a if t <= 0 else b).copy()
    target = np.asarray((1 - t) * to_box(a) + t * to_box(b))
    return (1 - t) * _distance(a, target) + t * _distance(b, target) > 0


def _distance(mask: NDArray[np.bool_], target: NDArray[np.float64]) -> NDArray[np.float64]:
    """Signed distance to the outline (positive inside) of a mask whose box was moved to `target`, in pixels."""
    import cv2

    x1, y1, x2, y2 = to_box(mask)
    sx, sy = (target[2] - target[0]) / (x2 - x1), (target[3] - target[1]) / (y2 - y1)
    # OpenCV's pixel centres are whole numbers, ours lie at +0.5.
    matrix = np.array(
        [
            [sx, 0, target[0] - sx * x1 + 0.5 * (sx - 1)],
            [0, sy, target[1] - sy * y1 + 0.5 * (sy - 1)],
        ]
    )
    height, width = mask.shape
    inside = cv2.distanceTransform(mask.astype(np.uint8), cv2.DIST_L2, 5)
    outside = cv2.distanceTransform((~mask).astype(np.uint8), cv2.DIST_L2, 5)
    # Distances go to the centre of the next pixel of the other kind; the outline runs half a pixel before it.
    signed = np.where(mask, inside - 0.5, 0.5 - outside).astype(np.float32)
    # What is drawn in from beyond the picture is as far outside as can be.
    return cv2.warpAffine(
        signed, matrix, (width, height), flags=cv2.INTER_LINEAR, borderValue=-float(max(height, width))
    ).astype(np.float64)
