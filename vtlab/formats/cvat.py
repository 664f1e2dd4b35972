"""CVAT for video XML 1.1: `<sequence>.xml` (or `<sequence>/annotations.xml`), tracks of boxes, turned boxes, polygons,
masks, points, polylines and skeletons, with key frames.

Differs from vtlab's convention: `frame` counts in the source video, start_frame + i * step. A track has one label, its
`source` says whether a person made it. A figure that is no key frame lies between two that are; `outside` ends a run of
figures. A track of CVAT has one kind of figure (its TrackManager refuses another), and it takes a mask as a figure of one
frame: each kind, and each mask, is a track of its own, and `group_id` keeps those of one object together. An ellipse is read
as an outline of 64 corners, a cuboid as the box around it.

Source: cvat/apps/dataset_manager/formats/cvat.py and annotation.py of https://github.com/cvat-ai/cvat (MIT).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vtlab.files import told_as_format, write_whole
from vtlab.formats.base import (
    FEATURES,
    Format,
    Kind,
    Loss,
    Place,
    absolute,
    beginning,
    files,
    video_beside,
)
from vtlab.formats.cvat_plan import Plan
from vtlab.formats.cvat_write import Writer
from vtlab.formats.cvat_xml import Label, Reader, Task, Track, joint_numbers
from vtlab.formats.figures import collected, within
from vtlab.formats.opening import labelled
from vtlab.sequence import Sequence
from vtlab.tracks import IdMap, Record, Source, Tracks

_MOST_TOLD = 1_000_000  # frames of a cut that are told one by one
_WHOLE_FILE = "annotations"  # what CVAT calls the file in its archives


@dataclass(frozen=True, kw_only=True)
class Cvat(Format):
    """One XML file for each sequence."""

    def places(self, root: Path) -> Iterable[Place]:
        """Every XML file of annotations."""
        for path in files(absolute(root), self.suffix):
            if _is_annotations(path):
                yield Place(path.parent.name if path.stem == _WHOLE_FILE else path.stem, path, path)

    def sequence_of(self, path: Path, known: set[str] | None) -> str | None:
        """See `Format`; `annotations.xml` is called after its folder."""
        name = path.parent.name if path.stem == _WHOLE_FILE else path.stem
        return name if known is None or name in known else None

    def sniff(self, path: Path) -> bool:
        """Whether there is an XML file that begins with annotations."""
        return any(map(_is_annotations, files(path, self.suffix)))

    def read_sequence(self, place: Place, *, images: bool = True) -> Sequence:
        """Read the tracks as truth."""
        beside = video_beside(place.path.parent, place.name) if images else None
        return labelled(place, read_cvat(place.path), beside, images=images, rule=self.rule, part=True)

    def read_tracks(self, path: Path, sequence: Sequence | None = None) -> Tracks:
        """Read the tracks as a result."""
        found = read_cvat(path)
        return within(found, sequence, path)

    def losses(self, tracks: Tracks, kind: Kind = "truth") -> dict[str, Loss]:
        """See `Format`."""
        found = super().losses(tracks, kind) | Plan(tracks).losses()
        return {key: found[key] for key in FEATURES if key in found}

    def write_tracks(self, tracks: Tracks, path: Path, kind: Kind = "results") -> Path:
        """Write a file that CVAT imports: every figure listed, those that it would not find by itself as key frames."""
        writer = Writer(tracks)

        def fill(part: Path) -> None:
            with part.open("w", encoding="utf-8", newline="\n") as out:
                writer.write(out, path.stem)

        return write_whole(path, fill)


def _is_annotations(path: Path) -> bool:
    return b"<annotations" in beginning(path, 4096)


def read_cvat(path: str | Path) -> Tracks:
    """Read a file of CVAT for video.

    Every frame of the task counts as looked at. What lies between key frames and is not listed is filled in as CVAT
    does; ids of tracks become object ids (all one higher where 0 is one), see `Record.id_map`.

    Raises:
        FormatError: The file is no such file, damaged or hostile; the message names the line.
    """
    path = Path(path)
    task = Reader(path).read()
    hosts = _hosts(task)
    ids = IdMap(hosts)
    figures, tags, edges = [], dict[str, Any](), dict[str, Any]()
    for track, host in zip(task.tracks, hosts, strict=True):
        owner = ids[host]
        for figure in track.figures:
            figure.owner = owner
            figure.key &= task.keyed or track.source != "file"
        figures += track.figures
        if track.tags:
            tags[str(owner)] = track.tags
        lines = _lines(track, task)
        if lines:
            edges[str(owner)] = lines
    start, step = task.start, task.step
    height, width = task.size or (None, None)
    cut = Source(name=task.name, frames=task.frames, start=start, step=step, width=width, height=height)
    whole = (start, step) == (0, 1)
    record = Record(
        format="cvat",
        file=str(path),
        frames=task.frames,
        dense=True,
        annotated=None if whole or (task.frames or 0) > _MOST_TOLD else tuple(range(task.frames or 0)),
        objects=tags or None,
        edges=edges or None,
        id_map=ids.entry(),
        source=None if whole else cut,
        extra={"unread": task.unread} if task.unread else {},
    )
    with told_as_format(path):
        return collected(figures, task.size, record)


def _grouped(track: Track) -> bool:
    """Whether a track is one mask, or another part, of an object that its group names."""
    return (track.part and track.group > 0) or (track.masks and track.group > 0 and len(track.figures) == 1)


def _hosts(task: Task) -> list[Any]:
    """What each track's object is called: by the track, or by the group of single masks."""
    own = {t.id: t.group for t in task.tracks if not _grouped(t)}
    return [
        (t.group if own.get(t.group, t.group) == t.group else f"group {t.group}") if _grouped(t) else t.id
        for t in task.tracks
    ]


def _lines(track: Track, task: Task) -> list[list[int]]:
    """Pairs of points that lines join: those of the label's skeleton, or along a polyline."""
    if track.polyline:
        return [[k, k + 1] for k in range(track.polyline - 1)]
    label = task.labels.get(track.label, Label())
    if not label.lines or not any(f.points for f in track.figures):
        return []
    parts = [name for name, part in task.labels.items() if part.parent == track.label]
    number = joint_numbers(parts)
    named = [[label.nodes.get(node, node) for node in line] for line in label.lines]
    return [[number[a], number[b]] for a, b in named if a in number and b in number]


FORMAT = Cvat(
    name="cvat",
    family="sot",
    summary="<sequence>.xml (CVAT for video 1.1) with a video of that name beside it, or <sequence>/annotations.xml",
    rule="otb",
    rules={"cvat-video": ""},
    suffix=".xml",
    holds=frozenset(
        {
            "boxes",
            "masks",
            "points",
            "skeletons",
            "unseen",
            "objects",
            "ids",
            "hidden",
            "gaps",
            "labels",
            "overlap",
        }
        | {"size", "span", "tags", "edges", "host_ids", "source"}
        | {"angle", "occluded", "outside", "key", "attributes", "polygons"}
    ),
)
