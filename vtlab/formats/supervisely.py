"""Supervisely's project of videos: `meta.json`, `key_id_map.json` and `<dataset>/ann/<video>.json`, or one such JSON file.

Differs from vtlab's convention: pixels are whole numbers, and the last column and row of a rectangle belong to it; other
points are centres of pixels. A figure with a `trackId` was made by a machine, one without by a person. Tags of an object
with a `frameRange` are attributes of its rows, those without hold on all frames. An object's class is its label; a class
has one geometry, and graphs have their lines in it. Frames are all listed: nothing lies between key figures.

Source: https://github.com/supervisely/supervisely (Apache-2.0), video_annotation and geometry.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vtlab.errors import FormatError
from vtlab.files import read_json, told_as_format, write_whole
from vtlab.formats.base import (
    FEATURES,
    MOST_FRAMES,
    TRUTH,
    Format,
    Kind,
    Loss,
    Place,
    absolute,
    files,
    video_beside,
)
from vtlab.formats.figures import MOST_BYTES, MOST_FIGURES, Figure, collected, released, within
from vtlab.formats.opening import labelled
from vtlab.formats.supervisely_geometry import SHAPES, node_numbers, take
from vtlab.formats.supervisely_plan import Plan
from vtlab.masks import MAX_PIXELS
from vtlab.sequence import Sequence
from vtlab.tracks import IdMap, Record, Tracks

_ANN, _META, _IDS = "ann", "meta.json", "key_id_map.json"
_EXPECTED = "an annotation of a video by Supervisely"


@dataclass(frozen=True, kw_only=True)
class Supervisely(Format):
    """A project, or the annotation of one video."""

    def places(self, root: Path) -> Iterable[Place]:
        """Every annotation in a folder `ann`, or the one file that is named."""
        root = absolute(root)
        for path in files(root, self.suffix):
            if (path.parent.name == _ANN or path == root) and _looks(path):
                yield Place(_name(path), path, path)

    def sequence_of(self, path: Path, known: set[str] | None) -> str | None:
        """See `Format`; `walk.mp4.json` is of the sequence walk."""
        name = _name(path) if path.parent.name == _ANN else None
        return name if known is None or name in known else None

    def folder_of(self, path: Path, sequence: str) -> Path:
        """The dataset in the tracker's project."""
        return path.parent.parent if path.parent.name == _ANN else path

    def path_of(self, root: Path, sequence: str, tracker: str = "") -> Path:
        """One project for the truth and for each tracker, with one dataset."""
        return root / (tracker or TRUTH) / "videos" / _ANN / f"{sequence}.mp4.json"

    def sniff(self, path: Path) -> bool:
        """Whether there is an annotation of a video."""
        return next(iter(self.places(path)), None) is not None

    def read_sequence(self, place: Place, *, images: bool = True) -> Sequence:
        """Read an annotation as truth."""
        beside = place.path.parent.parent / "video" / place.path.name.removesuffix(".json")
        found = beside if beside.is_file() else video_beside(place.path.parent, place.name)
        return labelled(place, read_supervisely(place.path), found, images=images, rule=self.rule)

    def read_tracks(self, path: Path, sequence: Sequence | None = None) -> Tracks:
        """Read an annotation as a result."""
        found = read_supervisely(path)
        return within(found, sequence, path)

    def losses(self, tracks: Tracks, kind: Kind = "truth") -> dict[str, Loss]:
        """See `Format`."""
        found = super().losses(tracks, kind)
        for key in ("key", "rounding"):
            found.pop(key, None)
        if tracks.size is not None:
            found |= Plan(tracks).losses()
        return {key: found[key] for key in FEATURES if key in found}

    def write_tracks(self, tracks: Tracks, path: Path, kind: Kind = "results") -> Path:
        """Write the annotation, and add its classes, tags and ids to the project around it."""
        plan = Plan(tracks)
        root = path.parents[2] if path.parent.name == _ANN else path.parent
        annotation = plan.annotation(path.name.removesuffix(".json"))
        _add_to_project(root, plan, annotation)
        return write_whole(path, json.dumps(annotation) + "\n")


def _name(path: Path) -> str:
    """Name of the sequence of `walk.mp4.json`: walk."""
    return Path(path.name.removesuffix(".json")).stem


def _looks(path: Path) -> bool:
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            text = file.read(1 << 16)
            # `framesCount` may stand last, behind all frames.
            file.seek(max(size - (1 << 16), 0))
            text += file.read()
    except OSError:
        return False
    # Label Studio's regions have a framesCount, too, and a sequence.
    return b'"framesCount"' in text and b'"objects"' in text and b'"sequence"' not in text


def _add_to_project(root: Path, plan: Plan, annotation: Mapping[str, Any]) -> None:
    """Add classes, tags and ids to those that other videos of the project brought."""
    meta = read_json(root / _META, "meta.json of Supervisely") if (root / _META).is_file() else {}
    classes = {c["title"]: c for c in _list(meta, "classes", root / _META)}
    for one in plan.classes():
        before = classes.get(one["title"])
        same = before is None or before.get("shape") == one["shape"]
        classes[one["title"]] = one if same else {**one, "shape": "any"}
    tags = {t["name"]: t for t in _list(meta, "tags", root / _META)}
    for told in (t for o in annotation["objects"] for t in o["tags"]):
        kind = "any_string" if isinstance(told["value"], str) else "any_number"
        before = tags.get(told["name"], {}).get("value_type", kind)
        kind = kind if before == kind else "any_string"
        tags[told["name"]] = {"name": told["name"], "value_type": kind, "color": "#112233"}
    told_meta = {"classes": [*classes.values()], "tags": [*tags.values()], "projectType": "videos"}
    write_whole(root / _META, json.dumps(told_meta, indent=1) + "\n")
    known = read_json(root / _IDS, "key_id_map.json", most=MOST_BYTES) if (root / _IDS).is_file() else {}
    ids: dict[str, Any] = {n: dict(known.get(n) or {}) for n in ("tags", "objects", "figures", "videos")}
    ids["objects"] |= {o["key"]: o["id"] for o in annotation["objects"]}
    ids["figures"] |= {f["key"]: f["id"] for frame in annotation["frames"] for f in frame["figures"]}
    write_whole(root / _IDS, json.dumps(ids) + "\n")


def _list(entry: Any, name: str, where: object) -> list[Any]:
    """A list of objects of an entry; [] where there is none."""
    found = entry.get(name) if isinstance(entry, Mapping) else None
    if found is None:
        return []
    if not isinstance(found, list) or not all(isinstance(e, dict) for e in found):
        raise FormatError(f"{where}: {name} should be a list of objects.")
    return found


def _whole(entry: Any, name: str, where: object, most: int) -> int:
    value = entry.get(name) if isinstance(entry, Mapping) else None
    if type(value) is not int or not 0 <= value <= most:
        raise FormatError(f"{where}: {name} should be a whole number up to {most}, got {str(value)[:40]!r}.")
    return value


def read_supervisely(path: str | Path) -> Tracks:
    """Read the annotation of a video; every frame of it counts as looked at.

    Raises:
        FormatError: An entry is missing or wrong; the message names frame and figure.
    """
    path = Path(path)
    given = read_json(path, _EXPECTED, most=MOST_BYTES)
    size = _whole(given.get("size") if isinstance(given, dict) else None, "height", path, 1 << 20), 0
    size = size[0], _whole(given["size"], "width", path, 1 << 20)
    count = _whole(given, "framesCount", path, MOST_FRAMES)
    if size[0] * size[1] > MAX_PIXELS:
        raise FormatError(f"{path}: a frame of {size[1]} x {size[0]} pixels is out of range.")
    objects = {str(o.get("key")): o for o in _list(given, "objects", path)}
    hosts = {key: o["id"] if type(o.get("id")) is int else key for key, o in objects.items()}
    ids = IdMap(hosts.values())
    unread: dict[str, int] = {}
    figures: list[Figure] = []
    lines: dict[int, int] = {}
    for frame in released(_list(given, "frames", path)):
        index = _whole(frame, "index", path, max(count - 1, 0))
        for number, entry in enumerate(_list(frame, "figures", f"{path}, frame {index}")):
            where = f"{path}, frame {index}, figure {number}"
            key, kind = str(entry.get("objectKey")), str(entry.get("geometryType"))
            if key not in objects:
                raise FormatError(f"{where}: no object has the key {key[:40]!r}.")
            if kind not in SHAPES:
                unread[kind[:40]] = unread.get(kind[:40], 0) + 1
                continue
            figure = _figure(entry, index, ids[hosts[key]], objects[key])
            geometry = entry.get("geometry")
            take(figure, kind, geometry if isinstance(geometry, Mapping) else {}, size, where)
            unread |= {"cuboid": unread.get("cuboid", 0) + 1} if kind == "cuboid" else {}
            figures.append(figure)
            if kind in ("line", "graph"):
                told = len(figure.points) if kind == "line" else -1
                lines[figure.owner] = max(lines.get(figure.owner, told), told)
    if len(figures) > MOST_FIGURES:
        raise FormatError(f"{path}: more than {MOST_FIGURES} figures.")
    keyed = any(f.source == "tracked" for f in figures)
    for figure in figures:
        figure.key &= keyed
    tags = _tags(objects, {k: ids[h] for k, h in hosts.items()}, figures, path)
    record = Record(
        format="supervisely",
        file=str(path),
        frames=count,
        dense=True,
        objects=tags or None,
        edges=_edges(lines, {ids[h]: objects[k] for k, h in hosts.items()}, path) or None,
        id_map=ids.entry(),
        extra={"unread": unread} if unread else {},
    )
    with told_as_format(path):
        return collected(figures, size, record)


def _figure(entry: Mapping[str, Any], frame: int, owner: int, of: Mapping[str, Any]) -> Figure:
    machine = entry.get("trackId") is not None
    label = of.get("classTitle")
    source = "tracked" if machine else "manual"
    return Figure(frame, owner, key=not machine, source=source, label=None if label is None else str(label))


def _tags(
    objects: Mapping[str, Any], owners: Mapping[str, int], figures: list[Figure], path: Path
) -> dict[str, dict[str, Any]]:
    """Attributes of objects on all frames; those of ranges of frames go to the figures."""
    found: dict[str, dict[str, Any]] = {}
    mine: dict[int, list[Figure]] = {}
    for figure in figures:
        mine.setdefault(figure.owner, []).append(figure)
    for key, entry in objects.items():
        owner = owners[key]
        for tag in _list(entry, "tags", f"{path}, object {key[:40]}"):
            name, value, span = str(tag.get("name")), tag.get("value"), tag.get("frameRange")
            if span is None:
                found.setdefault(str(owner), {})[name] = value
                continue
            if not isinstance(span, list) or len(span) != 2 or not all(type(s) is int for s in span):
                raise FormatError(f"{path}, tag {name[:40]!r}: frameRange should be [first, last].")
            for figure in mine.get(owner, ()):
                if span[0] <= figure.frame <= span[1]:
                    figure.attributes = {**(figure.attributes or {}), name: value}
    return found


def _edges(lines: Mapping[int, int], objects: Mapping[int, Any], path: Path) -> dict[str, Any]:
    """Lines between points: along a polyline, or those of the graph of an object's class in the project's meta.json."""
    found: dict[str, Any] = {}
    graphs: dict[str, list[list[int]]] = {}
    if any(n < 0 for n in lines.values()):
        meta = next((p / _META for p in path.parents if (p / _META).is_file()), None)
        for one in _list(read_json(meta, "meta.json of Supervisely"), "classes", meta) if meta else ():
            config = one.get("geometry_config")
            if isinstance(config, dict) and isinstance(config.get("nodes"), dict):
                number = node_numbers(config["nodes"])
                told = [(str(e.get("src")), str(e.get("dst"))) for e in _list(config, "edges", meta)]
                graphs[str(one.get("title"))] = [
                    [number[a], number[b]] for a, b in told if {a, b} <= number.keys()
                ]
    for owner, count in lines.items():
        told_ = [[k, k + 1] for k in range(count - 1)]
        pairs = told_ if count >= 0 else graphs.get(str(objects[owner].get("classTitle")), [])
        if pairs:
            found[str(owner)] = pairs
    return found


FORMAT = Supervisely(
    name="supervisely",
    family="sot",
    summary="<project>/{meta.json, key_id_map.json, <dataset>/{video/<name>.mp4, ann/<name>.mp4.json}}, or one such JSON",
    rule="otb",
    suffix=".json",
    grid=1.0,
    holds=frozenset(
        {
            "boxes",
            "masks",
            "points",
            "skeletons",
            "unseen",
            "objects",
            "ids",
            "gaps",
            "labels",
            "overlap",
            "size",
        }
        | {"tags", "edges", "host_ids", "source", "angle", "attributes", "polygons"}
    ),
)
