"""Supervisely's geometries as prompts, and what was found as geometries, cut to the image."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vtlab import masks
from vtlab.errors import FormatError, PromptError
from vtlab.formats.borders import crop_boxes, crop_ring
from vtlab.formats.figures import Figure
from vtlab.formats.supervisely_geometry import pixels, rectangle, take, to_bitmap
from vtlab.prompts import BoxPrompt, MaskPrompt, PointPrompt, Prompt, SkeletonPrompt
from vtlab.serve.jobs import RefusedError

Size = tuple[int, int]
GEOMETRIES = ("rectangle", "oriented_bbox", "polygon", "bitmap", "point", "line", "graph")
"""Geometries that can be followed."""
SAMPLES: Mapping[str, Prompt] = {
    "rectangle": BoxPrompt((0, 0, 2, 2)),
    "oriented_bbox": BoxPrompt((0, 0, 2, 2), angle=0.1),
    "polygon": PointPrompt(((0, 0), (2, 0), (2, 2)), shape="polygon"),
    "bitmap": MaskPrompt(polygon=((0, 0), (2, 0), (2, 2))),
    "point": PointPrompt(((0, 0),)),
    "line": PointPrompt(((0, 0), (2, 0)), shape="polyline"),
    "graph": SkeletonPrompt(((0, 0),)),
}
"""A prompt of each, to ask who follows it."""


@dataclass(frozen=True)
class Shape:
    """What a prompt doesn't say of a geometry: its kind, and of a polygon the vertices of each ring."""

    kind: str
    rings: tuple[int, ...] = ()


def to_prompt(kind: Any, geometry: Any, size: Size, where: str) -> tuple[Prompt, Shape]:
    """The prompt of a geometry on a frame of size (height, width).

    Raises:
        RefusedError: The kind can't be followed, or the geometry is none of that kind or lies outside the frame.
    """
    if kind not in GEOMETRIES:
        raise RefusedError(
            f"{where}: {str(kind)[:40]!r} can't be followed. Geometries: {', '.join(GEOMETRIES)}."
        )
    if not isinstance(geometry, Mapping):
        raise RefusedError(f"{where}: expected a geometry, got {str(geometry)[:40]!r}.")
    figure = Figure(0, 1)
    try:
        take(figure, kind, geometry, size, where)
        prompt = _prompt(figure, kind, geometry, size)
        prompt.check(_Sized(size))
    except (FormatError, PromptError) as error:
        raise RefusedError(str(error)) from None
    return prompt, Shape(kind, tuple(len(r) for r in figure.rings or ()))


def _prompt(figure: Figure, kind: str, geometry: Mapping[str, Any], size: Size) -> Prompt:
    if kind == "bitmap":
        return MaskPrompt(figure.rle or b"", size if figure.rle else (0, 0))
    if figure.box is not None:
        x1, y1, x2, y2 = figure.box
        return BoxPrompt((x1, y1, x2, y2), angle=figure.angle)
    if kind == "polygon":
        xy = np.concatenate([np.asarray(ring) for ring in figure.rings or ()])
        return PointPrompt(_pairs(xy), shape="polygon")
    xy = np.array([p[1:3] for p in figure.points])
    if kind == "graph":
        hidden = tuple(not p[3] for p in figure.points)
        return SkeletonPrompt(_pairs(xy), tuple(geometry["nodes"]), occluded=hidden)
    return PointPrompt(_pairs(xy), shape="points" if kind == "point" else "polyline")


def _pairs(xy: NDArray[np.float64]) -> tuple[tuple[float, float], ...]:
    return tuple((float(x), float(y)) for x, y in xy)


@dataclass(frozen=True)
class _Sized:
    size: Size

    @property
    def width(self) -> int:
        return self.size[1]

    @property
    def height(self) -> int:
        return self.size[0]

    def __len__(self) -> int:
        return 0


def to_geometry(prompt: Prompt, shape: Shape, size: Size) -> dict[str, Any] | None:
    """What was found, as the geometry that was given, cut to the image; None where nothing of it is left."""
    height, width = size
    if isinstance(prompt, MaskPrompt):
        mask = masks.decode(prompt.counts, height, width)
        return to_bitmap(mask) if mask.any() else None
    if isinstance(prompt, BoxPrompt):
        return _box(prompt, size)
    assert isinstance(prompt, PointPrompt | SkeletonPrompt)
    xy = np.asarray(prompt.points)
    low, high = xy.min(axis=0), xy.max(axis=0)
    if (high < 0).any() or (low >= (width, height)).any():
        return None
    if shape.kind == "polygon":
        return _polygon(xy, shape.rings, size)
    inside = np.clip(xy, 0, np.array([width, height]) - 0.5)  # a vertex outside stays at the edge
    if isinstance(prompt, SkeletonPrompt):
        off = np.abs(inside - xy).max(axis=1) > 0.5
        told = zip(prompt.names, pixels(inside), prompt.occluded, off.tolist(), strict=True)
        nodes = {n: {"loc": at, **({"disabled": True} if gone or out else {})} for n, at, gone, out in told}
        return {"nodes": nodes}
    return {"points": {"exterior": pixels(inside), "interior": []}}


def _box(prompt: BoxPrompt, size: Size) -> dict[str, Any] | None:
    """A turned box is not cut, or it would be another one; it is gone when its extent is."""
    cut = crop_boxes(prompt.box(*size), size)
    if not np.isfinite(cut).all():
        return None
    if prompt.angle:
        return {"points": rectangle(np.asarray(prompt.xyxy)), "angle": prompt.angle}
    (x1, y1), (x2, y2) = rectangle(cut)
    low, high = [min(x1, size[1] - 1), min(y1, size[0] - 1)], [min(x2, size[1] - 1), min(y2, size[0] - 1)]
    return {"points": {"exterior": [low, high], "interior": []}}


def _polygon(xy: NDArray[np.float64], rings: tuple[int, ...], size: Size) -> dict[str, Any] | None:
    cut = [crop_ring(ring, size) for ring in np.split(xy, np.cumsum(rings)[:-1])]
    last = np.array([size[1], size[0]]) - 0.5
    outer, *inner = (pixels(np.minimum(ring, last)) if len(ring) > 2 else [] for ring in cut)
    if not outer:
        return None
    return {"points": {"exterior": outer, "interior": [ring for ring in inner if ring]}}


def waiting_row(figure: Mapping[str, Any]) -> list[Any]:
    """A figure as it waits: id, class, times, entity, object, project, dataset, frame, kind, geometry, ..., custom data."""
    frame, kind = figure["meta"]["frame"], figure["geometryType"]
    # The SDK's order of columns, in which a trackId has no place.
    head = [secrets.token_hex(16), None, None, None, None, figure["objectId"], None, None, frame, kind]
    return [*head, figure["geometry"], None, None, figure["meta"], None, None, None]
