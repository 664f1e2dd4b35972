"""Figures as the browser draws them, and what its gestures make: JSON values and pixels, nothing of a state."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vtlab.errors import InputError
from vtlab.prompts import BoxPrompt, ClickPrompt, MaskPrompt, PointPrompt, Prompt, SkeletonPrompt


def as_json(p: Prompt, height: int, width: int) -> dict[str, Any]:
    """A figure as JSON values; the pixels of masks travel as an image instead."""
    data: dict[str, Any] = {"id": p.object_id, "kind": p.kind}
    if isinstance(p, BoxPrompt):
        data |= {"xyxy": list(p.xyxy), "angle": p.angle}
    elif isinstance(p, ClickPrompt):
        data |= {"points": _pairs(p.points), "positive": list(p.positive)}
    elif isinstance(p, PointPrompt):
        data |= {"points": _pairs(p.points), "shape": p.shape}
    elif isinstance(p, MaskPrompt):
        data |= {"at": p.box(height, width)[:2].tolist()}
        if p.polygon:
            data["polygon"] = _pairs(p.polygon)
    elif isinstance(p, SkeletonPrompt):
        data |= {
            "points": _pairs(p.points),
            "names": list(p.names),
            "edges": _pairs(p.edges),
            "occluded": list(p.occluded),
        }
    return data


def _pairs(values: Sequence[Sequence[float]]) -> list[list[float]]:
    return [list(q) for q in values]


def stroke(path: Sequence[Sequence[float]], radius: float, height: int, width: int) -> NDArray[np.bool_]:
    """Pixels (H, W) under a round brush of `radius` pixels along a path; raises `InputError` where it is none."""
    import cv2

    if not path or not math.isfinite(radius) or not 0 < radius <= 4096:
        raise InputError(
            f"A brush stroke needs a path and a radius above 0, got {len(path)} points, {radius!r}."
        )
    where = np.asarray(path, float).reshape(-1, 2)
    if not np.isfinite(where).all():
        raise InputError(f"A brush stroke needs finite coordinates, got {where.tolist()}.")
    painted = np.zeros((height, width), np.uint8)
    # A point lies in the pixel that it is in, not in the nearest one. What is far outside would overflow 32 bits.
    xy = np.clip(np.floor(where), -1e4, 1e4).astype(np.int32)
    thick = max(round(2 * radius), 1)
    cv2.polylines(painted, [xy.reshape(-1, 1, 2)], False, 1, thick)
    for x, y in (xy[0], xy[-1]):
        cv2.circle(painted, (int(x), int(y)), thick // 2, 1, -1)
    return painted > 0
