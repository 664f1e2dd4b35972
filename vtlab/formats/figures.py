"""Figures: one object on one frame as annotation tools have it, and `Tracks` made of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vtlab import sequence as sequences
from vtlab.errors import FormatError
from vtlab.formats.borders import mask_of
from vtlab.formats.ledger import given, pointed
from vtlab.masks import encode
from vtlab.tracks import PointRows, Record, Tracks
from vtlab.tracks.columns import COLUMNS

MOST_FIGURES = 20_000_000
"""Of a file: more are no annotation, but a damaged count."""
MOST_BYTES = 1 << 29
"""Of a JSON file of an annotation tool, which is read whole: two million boxes of the wordiest."""
_NAN = (np.nan,) * 4
Point = tuple[int, float, float, bool]
"""(point_id, x, y, visible)."""


def released(entries: list[Any]) -> Iterator[Any]:
    """The entries of a list out of JSON, each given up when the next one is asked for: what was read of them stays."""
    entries.reverse()
    while entries:
        yield entries.pop()


def within(found: Tracks, sequence: sequences.Sequence | None, path: Path, first: int = 0) -> Tracks:
    """Tracks of a file that end where their sequence does.

    Args:
        first: Number that the format gives the first frame.

    Raises:
        FormatError: A frame lies beyond the sequence.
    """
    if sequence is not None and len(found) and found.frame[-1] >= len(sequence):
        last = found.frame[-1] + first
        raise FormatError(f"{path}: frame {last} lies beyond the {len(sequence)} of the sequence.")
    return found


@dataclass(slots=True)
class Figure:
    """One object on one frame.

    Attributes:
        frame: 0-based.
        owner: Object id.
        box: xyxy, before the turn; None for the extent of the mask or the outline.
        angle: Radians, clockwise.
        rle: Encoded mask; None: that of the outline.
        rings: Outline: rings of (x, y).
        points: Points in any order.
        key: A person said it.
        The others: as the columns of `Tracks`.
    """

    frame: int
    owner: int
    box: tuple[float, ...] | None = None
    angle: float = 0.0
    rle: bytes | None = None
    rings: Sequence[Any] | None = None
    points: Sequence[Point] = ()
    visible: bool = True
    occluded: bool = False
    outside: bool = False
    key: bool = False
    source: str = "manual"
    label: str | None = None
    attributes: Mapping[str, Any] | None = None
    score: float = 1.0
    time: float = field(default=np.nan)


def collected(figures: Sequence[Figure], size: tuple[int, int] | None, record: Record) -> Tracks:
    """Tracks of figures; optional columns that say nothing are left out.

    Raises:
        TracksError: An object has two figures on a frame, or a value is none of its column.
    """
    columns: dict[str, Any] = {}
    for name in ("angle", "occluded", "outside", "key", "time", "attributes"):
        values = [getattr(f, name) for f in figures]
        fill = COLUMNS[name].fill
        if any(v is not None and v == v and v != fill for v in values):
            columns[name] = values
    if any(f.rings is not None for f in figures):
        columns["polygons"] = [f.rings for f in figures]
    boxes = np.array([_NAN if f.box is None else f.box for f in figures], np.float64).reshape(-1, 4)
    drawn = [f.rle for f in figures]
    masked = size is not None and (any(r is not None for r in drawn) or "polygons" in columns)
    made = Tracks.of(
        np.array([f.frame for f in figures], np.int64),
        np.array([f.owner for f in figures], np.int64),
        boxes,
        np.array([f.score for f in figures], np.float64),
        np.array([f.visible for f in figures], np.bool_),
        source=[f.source for f in figures],
        label=[f.label for f in figures],
        masks=drawn if masked else None,
        points=_points(figures),
        size=size,
        record=record,
        **columns,
    )
    if not masked and "polygons" not in columns:
        return made
    return made.replace(boxes=np.where(np.isnan(made.boxes), extents_of(made), made.boxes))


def _points(figures: Iterable[Figure]) -> PointRows:
    rows = [(f.frame, f.owner, *point) for f in figures for point in f.points]
    if not rows:
        return PointRows.empty()
    frame, owner, number, x, y, visible = zip(*rows, strict=True)
    return PointRows.of(frame, owner, number, np.stack([x, y], axis=1), visible)


def extents_of(tracks: Tracks) -> NDArray[np.float64]:
    """(N, 4) extents of outlines, else of masks, else NaN."""
    rle = None if tracks.rle is None else tracks.rle.tolist()
    columns: dict[str, Any] = {} if tracks.polygons is None else {"polygons": tracks.polygons}
    return Tracks.of(tracks.frame, tracks.object_id, masks=rle, size=tracks.size, **columns).boxes


def shapes(tracks: Tracks) -> list[str]:
    """What each row is written as where a format takes one shape a row: outline, mask, points, box, or "" for none."""
    outline = given(tracks.polygons, len(tracks))
    mask = given(tracks.rle, len(tracks))
    points = pointed(tracks)
    box = np.isfinite(tracks.boxes).all(axis=1)
    names = np.select([outline, mask, points, box], ["outline", "mask", "points", "box"], "")
    return [str(n) for n in names]


def drawn_otherwise(tracks: Tracks) -> NDArray[np.bool_]:
    """(N,) rows whose mask is another than the one that their outline draws."""
    rows = np.zeros(len(tracks), bool)
    if tracks.polygons is None or tracks.rle is None or tracks.size is None:
        return rows
    for row, rings in enumerate(tracks.polygons):
        if rings is not None and tracks.rle[row] is not None:
            rows[row] = encode(mask_of(rings, *tracks.size)) != tracks.rle[row]
    return rows


def between(a: Figure, b: Figure, frame: int) -> Figure:
    """The figure on a frame between two key figures: boxes, turns and points on a line, all else as in the first."""
    share = (frame - a.frame) / (b.frame - a.frame)

    def mixed(x: float, y: float) -> float:
        return x + (y - x) * share

    found = replace(a, frame=frame, key=False, source="interpolated")
    if a.box is not None and b.box is not None:
        found.box = tuple(mixed(x, y) for x, y in zip(a.box, b.box, strict=True))
        # The shorter way round, as CVAT goes: from 350 to 10 degrees by 20.
        turn = (b.angle - a.angle + np.pi) % (2 * np.pi) - np.pi
        found.angle = a.angle + turn * share
    there = {p[0]: p for p in b.points}
    found.points = [
        (k, mixed(x, there[k][1]), mixed(y, there[k][2]), seen) if k in there else (k, x, y, seen)
        for k, x, y, seen in a.points
    ]
    if a.rings is not None and b.rings is not None and [len(r) for r in a.rings] == [len(r) for r in b.rings]:
        found.rings = [
            np.asarray(p) + (np.asarray(q) - p) * share for p, q in zip(a.rings, b.rings, strict=True)
        ]
    return found


def filled(figures: Sequence[Figure], stop: int, where: object) -> list[Figure]:
    """Figures of one object with those between them, and the last one held to before `stop`; none after one outside.

    Args:
        figures: In the order of their frames.
        stop: Number of frames of the video.
        where: The file, for messages.

    Raises:
        FormatError: They would be more than any annotation has.
    """
    found: list[Figure] = []
    for n, figure in enumerate(figures):
        found.append(figure)
        after = figures[n + 1] if n + 1 < len(figures) else None
        if figure.outside:
            continue
        end = stop if after is None else after.frame
        if end - figure.frame > MOST_FIGURES - len(found):
            raise FormatError(f"{where}: more than {MOST_FIGURES} figures.")
        for frame in range(figure.frame + 1, end):
            held = replace(figure, frame=frame, key=False, source="interpolated")
            found.append(held if after is None else between(figure, after, frame))
    return found
