"""Label Studio's JSON of video: `<sequence>.json`, a list of tasks; regions `videorectangle`, one for each object.

Differs from vtlab's convention: frames count from 1; x, y, width and height are per cent of the frame, turned about the
corner x, y; a region has one label. Its `sequence` holds key figures, between which x, y, width, height, rotation and time
go on a line: `enabled` says whether the region goes on to the next one, or (the last) to the end of the video. Truth are
`annotations`, results `predictions`. The file doesn't say the size of the frames; vtlab writes it as `original_width` and
`original_height`, else it is that of the video beside the file.

Source: extract_key_frames of https://github.com/HumanSignal/label-studio-sdk, and web/libs/editor/src/tags/object/Video
of https://github.com/HumanSignal/label-studio (both Apache-2.0).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote, urlsplit

from vtlab.errors import FormatError, TracksError
from vtlab.files import read_json, write_whole
from vtlab.formats.base import (
    FEATURES,
    Format,
    Kind,
    Loss,
    Place,
    absolute,
    beginning,
    files,
    open_frames,
    video_beside,
)
from vtlab.formats.figures import MOST_BYTES, within
from vtlab.formats.label_studio_plan import FPS, Plan
from vtlab.formats.label_studio_read import read_task
from vtlab.formats.opening import labelled
from vtlab.sequence import Sequence
from vtlab.tracks import Tracks

_EXPECTED = "JSON tasks of Label Studio"


@dataclass(frozen=True, kw_only=True)
class LabelStudio(Format):
    """Tasks of video in a JSON file.

    Attributes:
        frame_size: (height, width) of the frames, where neither the file nor a video beside it says so.
    """

    frame_size: tuple[int, int] | None = None

    def places(self, root: Path) -> Iterable[Place]:
        """Every task of every file."""
        for path in files(absolute(root), self.suffix):
            if _looks(path):
                tasks = _tasks(path)
                for number, task in enumerate(tasks):
                    yield Place(_name(task, path, number if len(tasks) > 1 else None), path, path)

    def sniff(self, path: Path) -> bool:
        """Whether there is a file with tasks of video."""
        return any(map(_looks, files(path, self.suffix)))

    def read_sequence(self, place: Place, *, images: bool = True) -> Sequence:
        """Read the annotation that a person made (predictions where there is none) as truth."""
        found = video_beside(place.path.parent, place.name)
        task = _task(place.path, place.name)
        size = _said_size(task) or self.frame_size
        if size is None and (found is not None or images):
            with open_frames(found, place) as opened:
                size = opened.height, opened.width
        truth = read_task(task, place.path, size, "truth")
        return labelled(place, truth, found, images=images, rule=self.rule, slack=1)

    def read_tracks(self, path: Path, sequence: Sequence | None = None) -> Tracks:
        """Read predictions (the annotation where there are none) as a result."""
        tasks = _tasks(path)
        named = {_name(t, path, n if len(tasks) > 1 else None): t for n, t in enumerate(tasks)}
        task = named.get(sequence.name if sequence is not None else "", tasks[0])
        size = _said_size(task) or self.frame_size
        if size is None and sequence is not None and sequence.video.width:
            size = sequence.video.height, sequence.video.width
        found = read_task(task, path, size, "results")
        return within(found, sequence, path, first=1)

    def losses(self, tracks: Tracks, kind: Kind = "truth") -> dict[str, Loss]:
        """See `Format`."""
        found = super().losses(tracks, kind)
        for key in ("scores", "flags"):
            found.pop(key, None)
        found |= Plan(tracks).losses()
        return {key: found[key] for key in FEATURES if key in found}

    def write_tracks(self, tracks: Tracks, path: Path, kind: Kind = "results") -> Path:
        """Write one task, its regions as an annotation (truth) or a prediction (results)."""
        if tracks.size is None:
            raise TracksError(f"{path}: Label Studio holds per cent of the frame; give tracks with a size.")
        plan = Plan(tracks)
        made = tracks.record.tracker
        height, width = tracks.size
        meta = {"frames": plan.count, "height": height, "width": width, "times": plan.told}
        task: dict[str, Any] = {"id": 1, "data": {"video": f"{path.stem}.mp4"}, "meta": meta}
        task |= {"annotations": [], "predictions": []}
        if kind == "truth":
            task["annotations"].append({"id": 1, "was_cancelled": False, "result": []})
        else:
            score = float(tracks.score.mean()) if len(tracks) else 1.0
            model = (made.name if made is not None else None) or "vtlab"
            task["predictions"].append({"model_version": model, "score": score, "result": []})
        before, mark, after = json.dumps([task]).rpartition('"result": [')

        def fill(part: Path) -> None:
            with part.open("w", encoding="utf-8", newline="\n") as out:
                out.write(before + mark)
                for number, region in enumerate(
                    plan.regions()
                ):  # one a line: all at once would be the file's size again
                    out.write((",\n" if number else "\n") + json.dumps(region))
                out.write("\n" + after + "\n")

        return write_whole(path, fill)


def label_config(labels: Iterable[str], fps: float = FPS) -> str:
    """The labelling interface for which `write_tracks` writes: tags `video`, `box` and `label`."""
    from xml.sax.saxutils import quoteattr

    values = "".join(f"<Label value={quoteattr(label)}/>" for label in labels)
    return (
        f'<View><Video name="video" value="$video" framerate="{fps:g}"/><VideoRectangle name="box" toName="video"/>'
        f'<Labels name="label" toName="video">{values}</Labels></View>'
    )


def _looks(path: Path) -> bool:
    head = beginning(path)
    dataloop = b'"snapshots_"' in head or b'"mimetype"' in head
    told = b'"annotations"' in head or b'"predictions"' in head
    return b'"data"' in head and told and b'"video' in head and not dataloop


def _tasks(path: Path) -> list[dict[str, Any]]:
    """The tasks of a file."""
    content = read_json(path, _EXPECTED, most=MOST_BYTES)
    tasks = content if isinstance(content, list) else [content]
    if not tasks or not all(isinstance(t, dict) and isinstance(t.get("data"), dict) for t in tasks):
        raise FormatError(f"{path}: expected tasks with the entry data, as Label Studio exports them.")
    return tasks


def _name(task: Mapping[str, Any], path: Path, number: int | None) -> str:
    """Name of a task: of its video, else of the file."""
    if number is None:
        return path.stem
    links = [v for v in task["data"].values() if isinstance(v, str)]
    stem = PurePosixPath(unquote(urlsplit(links[0]).path)).stem if links else ""
    return stem if stem and "\0" not in stem else f"{path.stem}-{number + 1}"


def _task(path: Path, name: str) -> dict[str, Any]:
    tasks = _tasks(path)
    named = {_name(t, path, n if len(tasks) > 1 else None): t for n, t in enumerate(tasks)}
    if name not in named:
        raise FormatError(f"{path}: no task of {name!r}.")
    return named[name]


def _said_size(task: Mapping[str, Any]) -> tuple[int, int] | None:
    """(height, width) that the task's `meta` or a region says."""
    meta = task.get("meta")
    places = [(meta, "")] if isinstance(meta, dict) else []
    for name in ("annotations", "predictions"):
        given = task.get(name)
        for entry in given if isinstance(given, list) else ():
            regions = entry.get("result") if isinstance(entry, dict) else None
            places += [
                (r, "original_")
                for r in (regions if isinstance(regions, list) else ())
                if isinstance(r, dict)
            ]
    for said, prefix in places:
        height, width = said.get(f"{prefix}height"), said.get(f"{prefix}width")
        if (
            type(height) is int
            and type(width) is int
            and min(height, width) > 0
            and max(height, width) < 1 << 20
        ):
            return height, width
    return None


FORMAT = LabelStudio(
    name="label-studio",
    family="sot",
    summary="<sequence>.json, tasks of Label Studio with a video of that name beside it",
    rule="otb",
    rules={"labelstudio": ""},
    suffix=".json",
    frame_base=1,
    holds=frozenset({"boxes", "objects", "ids", "gaps", "labels", "size", "host_ids", "source", "tags"})
    | {"angle", "key", "time"},
)
