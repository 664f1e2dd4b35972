"""Supervisely's geometries and vtlab's figures, both ways.

Whole pixels: a rectangle's right and bottom are its last pixels, other points are centres of pixels. A bitmap is
base64(zlib(PNG)), cropped, with index 0 (or alpha 0) for pixels that are none of the object's.
"""

from __future__ import annotations

import base64
import binascii
import io
import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vtlab.errors import FormatError
from vtlab.files import damage_as
from vtlab.formats.borders import from_crop, from_inclusive, to_crop, to_inclusive
from vtlab.formats.figures import Figure
from vtlab.masks import MAX_PIXELS, Mask, encode

_MOST = 1 << 26  # characters of a bitmap, bytes of its PNG
SHAPES = ("rectangle", "oriented_bbox", "polygon", "bitmap", "alpha_mask", "point", "line", "graph", "cuboid")
"""Geometries that are read; a cuboid as the box around it."""


def pixels(xy: Any) -> list[list[int]]:
    """Pixels (column, row) in which points (K, 2) lie."""
    return [[int(v) for v in p] for p in np.floor(np.asarray(xy, np.float64)).tolist()]


def to_bitmap(mask: Mask) -> dict[str, Any]:
    """A mask with at least one pixel as a bitmap."""
    from PIL import Image

    left, top, part = to_crop(mask)
    image = Image.fromarray(part.astype(np.uint8), mode="P")
    image.putpalette([0, 0, 0, 255, 255, 255])
    file = io.BytesIO()
    image.save(file, "PNG", transparency=0)
    data = base64.b64encode(zlib.compress(file.getvalue())).decode("ascii")
    return {"bitmap": {"origin": [left, top], "data": data}, "shape": "bitmap", "geometryType": "bitmap"}


def from_data(text: Any, where: str, above: int = 0) -> Mask:
    """The pixels of a bitmap (with an alpha or index `above` this); raises `FormatError` for what is none, or is larger
    than any image."""
    from PIL import Image

    if not isinstance(text, str) or len(text) > _MOST:
        raise FormatError(f"{where}: data should be a bitmap as base64 text of at most {_MOST} characters.")
    with damage_as(FormatError, where, "a bitmap (base64 of a zipped PNG)"):
        try:
            raw = base64.b64decode(text, validate=True)
        except binascii.Error as error:
            raise ValueError(str(error)) from None
        # Supervisely zips the PNG, Dataloop does not.
        if not raw.startswith(b"\x89PNG"):
            unzip = zlib.decompressobj()
            raw = unzip.decompress(raw, _MOST)
            if unzip.unconsumed_tail:
                raise ValueError(f"it unpacks to more than {_MOST} bytes")
        # A PNG's first chunk says its size there: it is bounded before anything is unpacked.
        width, height = (int.from_bytes(raw[k : k + 4], "big") for k in (16, 20))
        if not raw.startswith(b"\x89PNG") or not 0 < width * height <= min(MAX_PIXELS, 1 << 26):
            raise ValueError(f"a picture of {width} x {height} pixels")
        with Image.open(io.BytesIO(raw), formats=["PNG"]) as image:
            found: NDArray[Any] = np.asarray(image)
    if found.ndim == 3:
        found = found[..., -1] if found.shape[2] in (2, 4) else np.asarray(found.any(axis=2))
    return np.asarray(found > above)


def take(figure: Figure, kind: str, geometry: Mapping[str, Any], size: tuple[int, int], where: str) -> None:
    """Put a geometry into a figure; raises `FormatError` naming `where`."""
    if kind in ("bitmap", "alpha_mask"):
        bitmap = geometry.get("bitmap")
        if not isinstance(bitmap, Mapping):
            raise FormatError(f"{where}: expected a bitmap with origin and data.")
        left, top = (int(v) for v in _pairs([bitmap.get("origin")], where)[0])
        mask = from_crop(from_data(bitmap.get("data"), where), left, top, size)
        figure.rle = encode(mask) if mask.any() else None
    elif kind == "graph":
        nodes = geometry.get("nodes")
        if not isinstance(nodes, Mapping) or not all(isinstance(n, Mapping) for n in nodes.values()):
            raise FormatError(f"{where}: expected nodes of a graph.")
        numbers = node_numbers(nodes)
        xy = _pairs([n.get("loc") for n in nodes.values()], where) + 0.5
        seen = [not n.get("disabled") for n in nodes.values()]
        figure.points = [(numbers[k], *p, s) for k, p, s in zip(nodes, xy.tolist(), seen, strict=True)]
    else:
        _take_points(figure, kind, geometry, where)


def _take_points(figure: Figure, kind: str, geometry: Mapping[str, Any], where: str) -> None:
    points = geometry.get("points")
    outer = points.get("exterior") if isinstance(points, Mapping) else points
    xy = _pairs(outer, where)
    if kind in ("rectangle", "oriented_bbox", "cuboid"):
        if len(xy) < 2 or (len(xy) != 2 and kind != "cuboid"):
            raise FormatError(f"{where}: a {kind} has two points, got {len(xy)}.")
        box = np.concatenate([xy.min(axis=0), xy.max(axis=0)])
        figure.box = tuple(from_inclusive(box).tolist())
        if kind == "oriented_bbox":
            angle = geometry.get("angle", 0)
            if isinstance(angle, bool) or not isinstance(angle, int | float) or not abs(angle) < 1e6:
                raise FormatError(f"{where}: angle should be a number, got {str(angle)[:40]!r}.")
            figure.angle = float(angle)
    elif kind == "polygon":
        inner = points.get("interior") if isinstance(points, Mapping) else []
        rings = [xy + 0.5, *(_pairs(r, where) + 0.5 for r in (inner if isinstance(inner, list) else []))]
        if any(len(r) < 3 for r in rings):
            raise FormatError(f"{where}: a ring of a polygon has at least 3 points.")
        figure.rings = rings
    else:
        figure.points = [(k, *p, figure.visible) for k, p in enumerate((xy + 0.5).tolist())]


def _pairs(values: Any, where: str) -> NDArray[np.float64]:
    """(K, 2) finite numbers."""
    with damage_as(FormatError, where, "a list of points [x, y]"):
        found = np.asarray(values)
        if found.ndim != 2 or found.shape[1] != 2 or not len(found) or found.dtype.kind not in "iuf":
            raise ValueError(f"got {str(values)[:60]}")
        if not (np.abs(found) < 1e9).all():
            raise ValueError("a point far outside any picture")
    return found.astype(np.float64)


def node_numbers(names: Mapping[str, Any]) -> dict[str, int]:
    """Numbers of the points of a graph: their names where all of those are numbers, else by the order of their names."""
    if all(n.isascii() and n.isdecimal() and len(n) < 10 for n in names):
        return {n: int(n) for n in names}
    return {n: k for k, n in enumerate(sorted(names))}


def rectangles(boxes: NDArray[np.float64], which: NDArray[np.bool_]) -> list[list[list[int]]]:
    """First and last pixel of boxes (N, 4); of those that aren't asked for, anything."""
    return to_inclusive(np.where(which[:, None], boxes, 0.0)).reshape(-1, 2, 2).tolist()


def rectangle(box: NDArray[np.float64]) -> list[list[int]]:
    """First and last pixel of a box."""
    return to_inclusive(box).reshape(2, 2).tolist()
