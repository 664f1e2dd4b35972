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
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote, urlsplit

import numpy as np

from vtlab.errors import FormatError, TracksError
from vtlab.files import read_json, write_whole
from vtlab.formats.base import (
    FEATURES,
    MOST_FRAMES,
    Format,
    Kind,
    Loss,
    Place,
    absolute,
    files,
    frame_count,
    no_frames,
    open_frames,
    video_beside,
)
from vtlab.formats.borders import from_percent, from_pivot
from vtlab.formats.figures import MOST_BYTES, MOST_FIGURES, Figure, collected, within
from vtlab.formats.label_studio_plan import FPS, NUMBERS, Plan, between
from vtlab.prompts import Prompts
from vtlab.sequence import Sequence, first_prompts
from vtlab.tracks import IdMap, Record, Tracks

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
        video = open_frames(found, place) if images else None
        task = _task(place.path, place.name)
        size = _said_size(task) or self.frame_size or (None if video is None else (video.height, video.width))
        if size is None and found is not None:
            with open_frames(found, place) as opened:
                size = opened.height, opened.width
        truth = read_task(task, place.path, size, "truth")
        if video is None:
            video = no_frames(place, frame_count(truth), truth.size)
        prompts = first_prompts(truth) if images else Prompts()
        return Sequence(place.name, video, truth, prompts, benchmark=self.rule)

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
        result = [*plan.regions()]
        made = tracks.record.tracker
        height, width = tracks.size
        meta = {"frames": plan.count, "height": height, "width": width, "times": plan.told}
        task: dict[str, Any] = {"id": 1, "data": {"video": f"{path.stem}.mp4"}, "meta": meta}
        task |= {"annotations": [], "predictions": []}
        if kind == "truth":
            task["annotations"].append({"id": 1, "was_cancelled": False, "result": result})
        else:
            score = float(tracks.score.mean()) if len(tracks) else 1.0
            model = (made.name if made is not None else None) or "vtlab"
            task["predictions"].append({"model_version": model, "score": score, "result": result})
        return write_whole(path, json.dumps([task], indent=1) + "\n")


def label_config(labels: Iterable[str], fps: float = FPS) -> str:
    """The labelling interface for which `write_tracks` writes: tags `video`, `box` and `label`."""
    from xml.sax.saxutils import quoteattr

    values = "".join(f"<Label value={quoteattr(label)}/>" for label in labels)
    return (
        f'<View><Video name="video" value="$video" framerate="{fps:g}"/><VideoRectangle name="box" toName="video"/>'
        f'<Labels name="label" toName="video">{values}</Labels></View>'
    )


# -- reading ----------------------------------------------------------------------------------------------------------


def _looks(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            head = file.read(1 << 16)
    except OSError:
        return False
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


def _regions(task: Mapping[str, Any], kind: Kind, where: object) -> tuple[list[Any], int]:
    """The regions of the annotation or prediction that counts, and how many others there are."""
    given = {name: task.get(name) or [] for name in ("annotations", "predictions")}
    for name, entries in given.items():
        if not isinstance(entries, list) or not all(isinstance(e, dict) for e in entries):
            raise FormatError(f"{where}: {name} should be a list of objects.")
    done = [a for a in given["annotations"] if not a.get("was_cancelled")]
    order = (done, given["predictions"]) if kind == "truth" else (given["predictions"], done)
    chosen = next((entries for entries in order if entries), [])
    result = chosen[0].get("result") if chosen else []
    if not isinstance(result, list) or not all(isinstance(r, dict) for r in result):
        raise FormatError(f"{where}: result should be a list of regions.")
    return result, max(len(chosen) - 1, 0)


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


def _said_frames(task: Mapping[str, Any]) -> int:
    """Number of frames that the task's `meta` says; 0 where it doesn't."""
    meta = task.get("meta")
    said = meta.get("frames") if isinstance(meta, dict) else None
    return said if type(said) is int and 0 < said <= MOST_FRAMES else 0


def _has_times(task: Mapping[str, Any]) -> bool:
    """Whether times are the video's: vtlab says in `meta` where it only knew the number of the frame."""
    meta = task.get("meta")
    return not isinstance(meta, dict) or bool(meta.get("times", True))


def read_task(task: Mapping[str, Any], path: Path, size: tuple[int, int] | None, kind: Kind) -> Tracks:
    """The tracks of a task; figures between key figures are filled in as Label Studio's SDK does.

    Raises:
        FormatError: An entry is missing or wrong; the message names region and frame.
    """
    regions, others = _regions(task, kind, path)
    boxes = [r for r in regions if str(r.get("type", "")).lower() == "videorectangle"]
    unread = {"annotation": others} if others else {}
    names = [str(r.get("id", n)) for n, r in enumerate(boxes)]
    ids = IdMap(names)
    if size is None and boxes:
        raise FormatError(
            f"{path}: boxes are per cent of a frame whose size isn't said. Remedy: put the video beside the file, or "
            "give frame_size=(height, width)."
        )
    frames, figures, count = _said_frames(task), list[Figure](), 0
    keyed, timed = any(_filled_in(r) for r in boxes), _has_times(task)
    for name, region in zip(names, boxes, strict=True):
        reader = _Region(region, f"{path}, region {name[:40]!r}")
        frames = max(frames, reader.frames)
        count += reader.length()
        if count > MOST_FIGURES:
            raise FormatError(f"{path}: more than {MOST_FIGURES} figures.")
        figures += reader.figures(ids[name], size or (1, 1), keyed, timed)
    tags: dict[str, dict[str, Any]] = {}
    for region in regions:
        told = _tag(region, ids.ids())
        if told is not None:
            tags.setdefault(str(told[0]), {})[told[1]] = told[2]
        elif region not in boxes:
            unread[str(region.get("type"))[:40]] = unread.get(str(region.get("type"))[:40], 0) + 1
    record = Record(
        format="label-studio",
        file=str(path),
        frames=frames or None,
        dense=True,
        objects=tags or None,
        id_map=ids.entry(),
        extra={"unread": unread} if unread else {},
    )
    try:
        return collected(figures, size, record)
    except TracksError as error:
        raise FormatError(f"{path}: {error}") from None


def _tag(region: Mapping[str, Any], ids: Mapping[Any, int]) -> tuple[int, str, Any] | None:
    """Object, name and value of a region's further answer: a text, a number, or choices."""
    value, owner = region.get("value"), ids.get(str(region.get("id")))
    if owner is None or not isinstance(value, dict):
        return None
    for kind in ("text", "choices", "number"):
        if kind in value and str(region.get("type")).lower() in (kind, f"{kind}area"):
            told = value[kind]
            single = isinstance(told, list) and len(told) == 1
            return owner, str(region.get("from_name", kind)), told[0] if single else told
    return None


def _filled_in(region: Mapping[str, Any]) -> bool:
    """Whether a region has figures between key figures, so that the others are told to be some."""
    try:
        said = sorted(region["value"]["sequence"], key=lambda s: s["frame"])
        last = int(region["value"].get("framesCount") or 0)
        gaps = [b["frame"] - a["frame"] > 1 and a["enabled"] for a, b in pairwise(said)]
        return (
            any(gaps)
            or any(s.get("auto") for s in said)
            or bool(said[-1]["enabled"] and last > said[-1]["frame"])
        )
    except (KeyError, TypeError, ValueError, IndexError, AttributeError, OverflowError):
        return False  # what is wrong with it is told where it is read


class _Region:
    """A region as its sequence of key figures, checked."""

    def __init__(self, region: Mapping[str, Any], where: str):
        self.where = where
        value = region.get("value")
        said = value.get("sequence") if isinstance(value, dict) else None
        if not isinstance(said, list) or not isinstance(value, dict):
            raise FormatError(f"{where}: expected value with the list sequence.")
        labels = value.get("labels") or region.get("labels") or []
        self.label = str(labels[0]) if isinstance(labels, list) and labels else None
        self.origin = str(region.get("origin") or "")
        self.duration = self._number(value, "duration") if value.get("duration") is not None else None
        self.frames = self._frame(value, "framesCount", 0) if value.get("framesCount") else 0
        score = region.get("score")
        self.score = float(score) if isinstance(score, int | float) and 0 <= score <= 1 else 1.0
        self.keys = sorted((self._key(entry, n) for n, entry in enumerate(said)), key=lambda k: k["frame"])
        for a, b in pairwise(self.keys):
            if a["frame"] == b["frame"]:
                raise FormatError(f"{where}: frame {a['frame']} is there twice.")
        if self.frames and self.keys and self.keys[-1]["frame"] > self.frames:
            raise FormatError(
                f"{where}: frame {self.keys[-1]['frame']} lies beyond the {self.frames} of framesCount."
            )

    def _number(self, entry: Mapping[str, Any], name: str, missing: float | None = None) -> float:
        value = entry.get(name, missing)
        if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < 1e9:
            raise FormatError(f"{self.where}: {name} should be a number, got {str(value)[:40]!r}.")
        return float(value)

    def _frame(self, entry: Mapping[str, Any], name: str, low: int) -> int:
        value = self._number(entry, name)
        if value % 1 or not low <= value <= MOST_FRAMES:
            raise FormatError(f"{self.where}: {name} should be a whole number from {low} on, got {value:g}.")
        return int(value)

    def _key(self, entry: Any, number: int) -> dict[str, Any]:
        if not isinstance(entry, dict):
            raise FormatError(f"{self.where}: key figure {number} is no object.")
        told = {
            name: self._number(entry, name, 0.0 if name in ("rotation", "time") else None) for name in NUMBERS
        }
        if told["width"] < 0 or told["height"] < 0:
            raise FormatError(f"{self.where}: key figure {number} has a negative width or height.")
        more = {"enabled": bool(entry.get("enabled", True)), "auto": bool(entry.get("auto"))}
        return told | more | {"frame": self._frame(entry, "frame", 1)}

    def length(self) -> int:
        """Number of figures, those between key figures, too."""
        ends = [k["frame"] for k in self.keys[1:]] + [self.frames + 1] * bool(self.keys)
        return sum(
            max(end - k["frame"], 1) if k["enabled"] else 1 for k, end in zip(self.keys, ends, strict=True)
        )

    def figures(self, owner: int, size: tuple[int, int], keyed: bool, timed: bool) -> list[Figure]:
        """All figures of the region."""
        said = [*self._all()]
        table = np.array([[s[n] for n in NUMBERS[:5]] for s in said], np.float64).reshape(-1, 5)
        angle = np.deg2rad((table[:, 4] + 180.0) % 360.0 - 180.0)
        # What per cent leave of a pixel's last digits is no place: it would make 16.25 of 16.249999999999996.
        boxes = np.round(from_pivot(from_percent(table[:, :4], size), angle), 9).tolist()
        made = "tracked" if self.origin == "prediction" else "manual"
        told = made == "manual" and (keyed or bool(self.origin))
        return [
            Figure(
                s["frame"] - 1,
                owner,
                tuple(box),
                float(turn),
                key=told and not s["auto"],
                source="interpolated" if s["auto"] else made,
                label=self.label,
                score=self.score,
                time=s["time"] if timed else math.nan,
            )
            for s, box, turn in zip(said, boxes, angle.tolist(), strict=True)
        ]

    def _all(self) -> Iterator[dict[str, Any]]:
        """Key figures, and those between them by the rule of `extract_key_frames`."""
        for n, key in enumerate(self.keys):
            yield key
            if key["enabled"]:
                after = self.keys[n + 1] if n + 1 < len(self.keys) else None
                last = self.frames if after is None else after["frame"]
                for frame in range(key["frame"] + 1, last + 1 if after is None else last):
                    yield between(key, after, frame, last, self.duration or 0.0)


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
