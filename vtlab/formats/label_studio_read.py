"""How regions of Label Studio are read: key figures, and what lies between them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from vtlab.errors import FormatError
from vtlab.files import told_as_format
from vtlab.formats.base import MOST_FRAMES, Kind
from vtlab.formats.borders import from_percent, from_pivot
from vtlab.formats.figures import MOST_FIGURES, Figure, collected
from vtlab.formats.label_studio_plan import NUMBERS, between
from vtlab.tracks import IdMap, Record, Tracks


def read_task(task: Mapping[str, Any], path: Path, size: tuple[int, int] | None, kind: Kind) -> Tracks:
    """The tracks of a task; figures between key figures are filled in as Label Studio's SDK does.

    The task's lists of figures are emptied as they are read, so that a large file is in memory once.

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
        region["value"]["sequence"].clear()  # read: it needs no memory any more
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
    with told_as_format(path):
        return collected(figures, size, record)


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


def _said_frames(task: Mapping[str, Any]) -> int:
    """Number of frames that the task's `meta` says; 0 where it doesn't."""
    meta = task.get("meta")
    said = meta.get("frames") if isinstance(meta, dict) else None
    return said if type(said) is int and 0 < said <= MOST_FRAMES else 0


def _has_times(task: Mapping[str, Any]) -> bool:
    """Whether times are the video's: vtlab says in `meta` where it only knew the number of the frame."""
    meta = task.get("meta")
    return not isinstance(meta, dict) or bool(meta.get("times", True))


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
