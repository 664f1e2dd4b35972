"""Dataloop's JSON of one video: `<sequence>.json`, the item with its annotations and their snapshots.

Differs from vtlab's convention: an annotation is one figure with a first frame (at its root), a last one (`endFrame`) and
snapshots; a frame between them without a snapshot holds the last. Annotations of one `objectId` are one object, which so
leaves and returns, or changes its kind of figure. `fixed` marks a key figure, as the root is one; `automated` says that a
machine made what is not fixed; `objectVisible` is seen or not, for the first frame in a snapshot of its own. A label and
attributes belong to each snapshot. A skeleton is a `pose` whose points are annotations of their own. Angles are degrees,
clockwise; pixels are floats along continuous edges. Times count where a frame is not said, by the item's rate.

Source: entities/annotation.py and annotation_definitions of https://github.com/dataloop-ai/dtlpy (Apache-2.0), 1.126.5.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vtlab.errors import FormatError
from vtlab.files import read_json, told_as_format, write_whole
from vtlab.formats.base import (
    FEATURES,
    MOST_FRAMES,
    Format,
    Kind,
    Loss,
    Place,
    absolute,
    beginning,
    files,
    video_beside,
)
from vtlab.formats.borders import ellipse_ring
from vtlab.formats.dataloop_plan import ASSUMED, RATE, Plan
from vtlab.formats.figures import MOST_BYTES, MOST_FIGURES, Figure, collected, released, within
from vtlab.formats.opening import labelled
from vtlab.formats.supervisely_geometry import from_data, node_numbers
from vtlab.masks import MAX_PIXELS, encode
from vtlab.sequence import Sequence
from vtlab.tracks import IdMap, Record, Tracks

_EXPECTED = "the annotations of a video as Dataloop exports them"
_FIGURES = ("box", "segment", "binary", "polyline", "point", "ellipse", "cube")
_ALPHA = 127  # a pixel above it belongs to a mask


@dataclass(frozen=True, kw_only=True)
class Dataloop(Format):
    """One JSON file for each video."""

    def places(self, root: Path) -> Iterable[Place]:
        """Every JSON file of annotations."""
        return (Place(p.stem, p, p) for p in files(absolute(root), self.suffix) if _looks(p))

    def sniff(self, path: Path) -> bool:
        """Whether there is a JSON file of annotations."""
        return any(map(_looks, files(path, self.suffix)))

    def read_sequence(self, place: Place, *, images: bool = True) -> Sequence:
        """Read the annotations as truth."""
        truth, found = read_dataloop(place.path), video_beside(place.path.parent, place.name)
        fps = truth.record.extra.get(RATE, 0.0)
        return labelled(place, truth, found, images=images, rule=self.rule, fps=fps)

    def read_tracks(self, path: Path, sequence: Sequence | None = None) -> Tracks:
        """Read the annotations as a result."""
        return within(read_dataloop(path), sequence, path)

    def losses(self, tracks: Tracks, kind: Kind = "truth") -> dict[str, Loss]:
        """See `Format`."""
        found = super().losses(tracks, kind)
        for key in ("scores", "flags", "key"):
            found.pop(key, None)
        found |= Plan(tracks).losses()
        return {key: found[key] for key in FEATURES if key in found}

    def write_tracks(self, tracks: Tracks, path: Path, kind: Kind = "results") -> Path:
        """Write the item and its annotations, one annotation a line."""
        plan = Plan(tracks)

        def fill(part: Path) -> None:
            with part.open("w", encoding="utf-8", newline="\n") as out:
                out.write(json.dumps(plan.item(path.stem))[:-1] + ',\n"annotations": [\n')
                for n, annotation in enumerate(plan.annotations(path.stem)):
                    out.write((",\n" if n else "") + json.dumps(annotation))
                out.write("\n]}\n")

        return write_whole(path, fill)


def _looks(path: Path) -> bool:
    head = beginning(path)
    return (
        b'"annotations"' in head
        and b'"system"' in head
        and (b'"coordinates"' in head or b'"mimetype"' in head)
    )


def read_dataloop(path: str | Path) -> Tracks:
    """Read the annotations of a video; every frame of it counts as looked at.

    Raises:
        FormatError: An entry is missing or wrong; the message names annotation and frame.
    """
    path = Path(path)
    given = read_json(path, _EXPECTED, most=MOST_BYTES)
    item = _Item(given if isinstance(given, dict) else {}, path)
    entries = given.get("annotations") if isinstance(given, dict) else given
    if not isinstance(entries, list) or not all(isinstance(e, dict) for e in entries):
        raise FormatError(f"{path}: annotations should be a list of objects.")
    read = [_Annotation(entry, n, item) for n, entry in enumerate(released(entries))]
    if sum(a.length() for a in read) > MOST_FIGURES:
        raise FormatError(f"{path}: more than {MOST_FIGURES} figures.")
    shown, joints = _sorted(read)
    ids = IdMap(a.host for a in [*shown, *(pose for pose, _ in joints)])
    lines, figures = dict[str, list[list[int]]](), list[Figure]()
    for one in shown:
        if one.type == "polyline":
            lines[str(ids[one.host])] = _chain(one)
        figures += one.figures(ids[one.host])
        one.keys.clear()
    for pose, points in joints:
        figures += pose.joined(ids[pose.host], points)
    keyed = any(f.source != "manual" for f in figures)
    for figure in figures:
        figure.key &= keyed
    record = Record(
        format="dataloop",
        file=str(path),
        frames=item.frames or None,
        dense=True,
        edges={i: e for i, e in lines.items() if e} or None,
        id_map=ids.entry(),
        extra=_unread(read, [*shown, *(pose for pose, _ in joints), *(p for _, ps in joints for p in ps)])
        | ({RATE: item.fps} if item.sure else {}),
    )
    with told_as_format(path):
        return collected(figures, item.size, record)


def _sorted(read: list[_Annotation]) -> tuple[list[_Annotation], list[tuple[_Annotation, list[_Annotation]]]]:
    """Annotations that are figures by themselves, and poses with the points that belong to them."""
    poses = {a.id: (a, list[_Annotation]()) for a in read if a.type == "pose" and a.id}
    shown: list[_Annotation] = []
    for one in read:
        if one.type == "point" and one.parent in poses:
            poses[one.parent][1].append(one)
        elif one.type in _FIGURES:
            shown.append(one)
    return shown, [(pose, points) for pose, points in poses.values() if points]


def _unread(read: list[_Annotation], taken: list[_Annotation]) -> dict[str, Any]:
    """Kinds of annotations that are not read, or not as what they are."""
    known = {*map(id, taken)}
    found = Counter(a.type[:40] for a in read if id(a) not in known or a.type in ("ellipse", "cube"))
    return {"unread": dict(found)} if found else {}


class _Item:
    """What the file says of the video: size, frames, rate; the first mask says the size where nothing else does."""

    def __init__(self, given: Mapping[str, Any], path: Path):
        self.path = path
        told = _entries(given, "metadata")
        system = _entries(told, "system")
        said = {**_entries(system, "ffmpeg"), **system}
        height, width = (_count(said.get(n), path, n, 1 << 20) for n in ("height", "width"))
        self.size = (height, width) if height and width else None
        if height * width > MAX_PIXELS:
            raise FormatError(f"{path}: a frame of {width} x {height} pixels is out of range.")
        self.frames = _count(said.get("nb_frames"), path, "nb_frames", MOST_FRAMES)
        rate = told.get("fps", system.get("fps"))
        self.fps = _number(rate, path, "fps") if rate is not None else 0.0
        self.sure = self.fps > 0 and not told.get(ASSUMED)
        self.start = _number(told.get("startTime") or 0, path, "startTime")

    def frame(self, system: Mapping[str, Any], names: tuple[str, str], where: str) -> int:
        """A frame that an annotation says by its number, or by its time."""
        by_number, by_time = names
        if system.get(by_number) is not None:
            return _count(system[by_number], where, by_number, MOST_FRAMES)
        if system.get(by_time) is None or not self.fps > 0:
            raise FormatError(
                f"{where}: expected {by_number}, or {by_time} and the item's metadata.fps. Remedy: export the "
                "annotations with their item."
            )
        return _count(
            round((_number(system[by_time], where, by_time) - self.start) * self.fps),
            where,
            by_time,
            MOST_FRAMES,
        )


class _Annotation:
    """An annotation as its snapshots, checked."""

    def __init__(self, entry: Mapping[str, Any], number: int, item: _Item):
        self.item, self.type = item, str(entry.get("type"))
        self.id = str(entry.get("id") or entry.get("_id") or "")
        self.where = f"{item.path}, annotation {self.id[:40] or number!r}"
        told = _entries(entry, "metadata")
        system = _entries(told, "system")
        self.host = str(system.get("objectId") or self.id or f"annotation {number}")
        self.parent = str(system.get("parentId") or "")
        self.automated = bool(system.get("automated"))
        self.score = _score(_entries(_entries(told, "user"), "model").get("confidence"))
        label = entry.get("label")
        self.label = None if label is None else str(label)
        self.first, self.last = 0, -1
        self.keys: list[dict[str, Any]] = []
        if self.type in (*_FIGURES, "pose"):
            self._take(entry, system)

    def _take(self, entry: Mapping[str, Any], system: Mapping[str, Any]) -> None:
        """The figure at the root, and those of the snapshots; of a pose they are its points'."""
        self.first = self.item.frame(system, ("frame", "startTime"), self.where)
        root = {"data": entry.get("coordinates"), "namedAttributes": system.get("attributes")}
        root |= {"label": self.label, "fixed": not self.automated, "objectVisible": True}
        found = {self.first: root}
        snapshots = system.get("snapshots_") or []
        if not isinstance(snapshots, list) or not all(isinstance(s, dict) for s in snapshots):
            raise FormatError(f"{self.where}: snapshots_ should be a list of objects.")
        at = self.first
        for snapshot in snapshots if self.type != "pose" else ():
            at = _count(snapshot.get("frame", at + 1), self.where, "frame of a snapshot", MOST_FRAMES)
            if found.get(at, root) is not root or at < self.first:
                why = "is there twice" if at in found else f"lies before the first, {self.first}"
                raise FormatError(f"{self.where}: the snapshot of frame {at} {why}.")
            found[at] = snapshot
        end = system.get("endFrame") is not None or system.get("endTime") is not None
        last = self.item.frame(system, ("endFrame", "endTime"), self.where) if end else self.first
        self.keys = [s | {"frame": f} for f, s in sorted(found.items())]
        self.last = max(last, self.keys[-1]["frame"])
        if self.item.frames and self.last >= self.item.frames:
            if self.keys[-1]["frame"] >= self.item.frames:
                raise FormatError(
                    f"{self.where}: frame {self.keys[-1]['frame']} lies beyond the {self.item.frames} of the video."
                )
            self.last = self.item.frames - 1  # an open end is often one too far: it only holds

    def length(self) -> int:
        """Number of figures, those that hold, too."""
        return max(self.last - self.first + 1, 0)

    def figures(self, owner: int, number: int = 0) -> Iterator[Figure]:
        """All figures: the snapshots, and what holds between them and after the last."""
        ends = [k["frame"] for k in self.keys[1:]] + [self.last + 1]
        for key, end in zip(self.keys, ends, strict=True):
            fixed, label, told = key.get("fixed", False), key.get("label"), key.get("namedAttributes")
            source = "manual" if fixed else "tracked" if self.automated else "interpolated"
            figure = Figure(
                key["frame"],
                owner,
                visible=bool(key.get("objectVisible", True)),
                key=bool(fixed),
                source=source,
                label=self.label if label is None else str(label),
                attributes=told if isinstance(told, dict) and told else None,
                score=self.score,
            )
            data = key["data"] if key.get("data") is not None else key.get("coordinates")
            self._shape(figure, data, number)
            yield figure
            for frame in range(key["frame"] + 1, end):
                yield replace(figure, frame=frame, key=False, source="interpolated")

    def joined(self, owner: int, points: list[_Annotation]) -> list[Figure]:
        """Figures of a pose: its points on each frame, with its own label and attributes."""
        numbers = node_numbers(dict.fromkeys(p.label or "" for p in points))
        found: dict[int, Figure] = {}
        for one in points:
            for figure in one.figures(owner, numbers[one.label or ""]):
                mine = found.setdefault(figure.frame, figure)
                if mine is not figure:
                    mine.points = [*mine.points, *figure.points]
                    mine.visible |= figure.visible
                    if mine.key:  # a point's first figure is fixed whatever the others are
                        mine.key, mine.source = figure.key, figure.source
        told = self.keys[0].get("namedAttributes")
        for figure in found.values():
            figure.label, figure.score = self.label, self.score
            figure.attributes = told if isinstance(told, dict) and told else None
        return [*found.values()]

    def _shape(self, figure: Figure, data: Any, number: int) -> None:
        where = f"{self.where}, frame {figure.frame}"
        if self.type == "binary":
            self._mask(figure, data, where)
        elif self.type == "ellipse":
            told = data if isinstance(data, dict) else {}
            (x, y), rx, ry, turn = (
                _pairs([told.get("center")], where)[0],
                *(_number(told.get(n), where, n) for n in ("rx", "ry", "angle")),
            )
            figure.rings = [ellipse_ring(x, y, rx, ry, math.radians(turn))]
        elif self.type == "point":
            x, y = _pairs([data], where)[0]
            figure.points = [(number, float(x), float(y), figure.visible)]
        elif self.type in ("box", "cube"):
            self._box(figure, data, where)
        else:
            rings = data if isinstance(data, list) and data and isinstance(data[0], list) else [data]
            outlines = [_pairs(ring, where) for ring in rings]
            if self.type == "polyline":
                xy = outlines[0].tolist()
                figure.points = [(k, *p, figure.visible) for k, p in enumerate(xy)]
            elif any(len(ring) < 3 for ring in outlines):
                raise FormatError(f"{where}: an outline has at least 3 points.")
            else:
                figure.rings = outlines

    def _box(self, figure: Figure, data: Any, where: str) -> None:
        """Two corners and perhaps an angle; of a cube, the box around its corners."""
        told = data if isinstance(data, list) else []
        angle = told[2] if len(told) == 3 and not isinstance(told[2], dict) else 0.0
        xy = _corners(told[:2] if self.type == "box" else told, where)
        if len(xy) < 2:
            raise FormatError(f"{where}: a {self.type} has at least two corners.")
        x, y = zip(*xy, strict=True)
        figure.box = (min(x), min(y), max(x), max(y))
        figure.angle = math.radians(_number(angle, where, "angle")) if angle else 0.0

    def _mask(self, figure: Figure, data: Any, where: str) -> None:
        text = data.get("data") if isinstance(data, dict) else data
        mask = from_data(text.rpartition(",")[2] if isinstance(text, str) else text, where, _ALPHA)
        self.item.size = self.item.size or mask.shape
        if mask.shape != self.item.size:
            (height, width), (h, w) = self.item.size, mask.shape
            raise FormatError(f"{where}: a mask of {w} x {h} pixels, the frames have {width} x {height}.")
        figure.rle = encode(mask)


def _chain(one: _Annotation) -> list[list[int]]:
    """Lines along a polyline of as many points as its longest figure has."""
    longest = max((len(f.points) for f in one.figures(1)), default=0)
    return [[k, k + 1] for k in range(longest - 1)]


def _entries(entry: Mapping[str, Any], name: str) -> dict[str, Any]:
    """An object of an object; {} where there is none."""
    found = entry.get(name)
    return found if isinstance(found, dict) else {}


def _score(told: Any) -> float:
    """A model's confidence; 1 where none is said."""
    good = isinstance(told, int | float) and not isinstance(told, bool) and 0 <= told <= 1
    return float(told) if good else 1.0


def _number(value: Any, where: object, name: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < 1e15:
        raise FormatError(f"{where}: {name} should be a number, got {str(value)[:40]!r}.")
    return float(value)


def _count(value: Any, where: object, name: str, most: int) -> int:
    """A whole number from 0 to `most`; 0 where nothing is said."""
    told = 0.0 if value is None else _number(value, where, name)
    if told % 1 or not 0 <= told <= most:
        raise FormatError(f"{where}: {name} should be a whole number up to {most}, got {told:g}.")
    return int(told)


def _corners(points: Any, where: str) -> list[tuple[float, float]]:
    """Finite numbers of points {x, y}."""
    try:
        found = [(p["x"], p["y"]) for p in points]
        good = all(
            isinstance(v, int | float) and not isinstance(v, bool) and abs(v) < 1e9 for p in found for v in p
        )
    except (TypeError, KeyError, IndexError):
        good = False
    if not good:
        raise FormatError(f"{where}: expected a list of points {{x, y}}, got {str(points)[:60]}.")
    return found


def _pairs(points: Any, where: str) -> NDArray[np.float64]:
    """(K, 2) finite numbers of points {x, y}."""
    return np.array(_corners(points, where), np.float64).reshape(-1, 2)


FORMAT = Dataloop(
    name="dataloop",
    family="sot",
    summary="<sequence>.json (annotations of an item of Dataloop) with a video of that name beside it",
    rule="otb",
    suffix=".json",
    holds=frozenset(
        {"boxes", "masks", "points", "skeletons", "unseen", "objects", "ids", "hidden", "gaps", "labels"}
        | {"overlap", "size", "edges", "host_ids", "source", "angle", "attributes", "polygons"}
    ),
)
