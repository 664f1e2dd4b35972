"""A verdict at rest: one JSON file with the question, the order of the draw and the labels.

The order is written before the first label and read again, so that a verdict that is taken up goes on as if it had
never been put down, whatever random numbers a later version draws.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from vtlab.decision.answer import Verdict
from vtlab.decision.question import Labels, Place, key_of
from vtlab.errors import FormatError
from vtlab.files import damage_as, read_json, write_whole
from vtlab.tracks import Tracks
from vtlab.tracks.points import PointRows

VERSION = 1
"""Of the layout; a later one is refused, not guessed at."""
_MOST_FRAMES = 1 << 31
"""No video has more: a number beyond is damage."""


def write(verdict: Verdict, path: Path) -> Path:
    """Write a verdict, whole or not at all; raises `WriteError`."""
    return write_whole(path, json.dumps(content(verdict), indent=1))


def content(verdict: Verdict) -> dict[str, Any]:
    """What the file of a verdict holds: the question, the draw, every label."""
    order, points = verdict.order
    return {
        "vtlab": "verdict",
        "version": VERSION,
        "key": key_of(verdict.question, verdict.clips),
        "order": [list(place) for place in order],
        "points": points,
        **{
            name: {clip: _to_dict(said) for clip, said in labels.items()}
            for name, labels in (
                ("known", verdict.known),
                ("labels", verdict.labels),
                ("second", verdict.second),
            )
        },
        "sentence": verdict.sentence,
    }


class Stored:
    """What a file of a verdict holds.

    Attributes:
        key: What fixed the verdict (`vtlab.decision.question.key_of`).
        order: The draw.
        known: Clip -> labels that were there before the draw.
        labels: Clip -> labels since.
        second: Clip -> second labels of the same frames.

    Raises:
        FormatError: The file is no verdict, damaged, or of a later version.
    """

    def __init__(self, path: Path):
        with damage_as(FormatError, path, "a verdict of vtlab"):
            data = read_json(path, "a verdict of vtlab")
            if not isinstance(data, dict) or data.get("vtlab") != "verdict":
                raise FormatError(f"{path} holds no verdict of vtlab. Give another file=.")
            if data["version"] > VERSION:
                raise FormatError(
                    f"{path} is of version {data['version']}, later than {VERSION}: update vtlab."
                )
            self.key: dict[str, Any] = {
                "question": dict(data["key"]["question"]),
                "answers": data["key"]["answers"],
            }
            self.order: tuple[list[Place], list[float]] = (
                [(str(clip), int(frame)) for clip, frame in data["order"]],
                [float(u) for u in data["points"]],
            )
            self.known, self.labels, self.second = (
                {clip: _from_dict(said) for clip, said in data[name].items()}
                for name in ("known", "labels", "second")
            )

    def draw(self, path: Path, frames: Mapping[str, Iterable[int]]) -> tuple[list[Place], list[float]] | None:
        """The order, None where there is none; `frames`: those of each clip that may be drawn.

        Raises:
            FormatError: It names another clip or frame, or its points are none.
        """
        foreign = {*self.known, *self.labels, *self.second} - {*frames}
        if foreign:
            raise FormatError(
                f"{path}: the verdict in it is damaged: it has labels of {min(foreign)!r}, which isn't asked."
            )
        places, points = self.order
        free = {(clip, frame) for clip, mine in frames.items() for frame in mine}
        free -= {(clip, frame) for clip, said in self.known.items() for frame in said.looked | said.unsure}
        strange = [place for place in places if place not in free]
        if strange or len(points) != len(places) or not all(0 <= u < 1 for u in points):
            told = (
                f"it draws {strange[0]}, which can't be drawn"
                if strange
                else "its draw is no order of frames"
            )
            raise FormatError(f"{path}: the verdict in it is damaged: {told}.")
        return self.order if places else None

    def all_labels(self) -> dict[str, Labels]:
        """Clip -> everything that was ever said of it."""
        names = {*self.known, *self.labels}
        return {n: self.known.get(n, Labels()).joined(self.labels.get(n, Labels())) for n in names}

    def changed(self, key: Mapping[str, Any]) -> str:
        """In words, what of the question differs; "" for nothing."""
        old, new = self.key["question"], key["question"]
        found = [
            f"{name} {old.get(name)!r} -> {value!r}" for name, value in new.items() if old.get(name) != value
        ]
        if self.key["answers"] != key["answers"]:
            found.append("the trackers' answers or the frames are others")
        return "; ".join(found)


def _to_dict(labels: Labels) -> dict[str, Any]:
    t, p = labels.tracks, labels.tracks.points
    rows: list[dict[str, Any]] = []
    for i in range(len(t)):
        box = [None if np.isnan(v) else float(v) for v in t.boxes[i]]
        row = {
            "frame": int(t.frame[i]),
            "object": int(t.object_id[i]),
            "box": box,
            "visible": bool(t.visible[i]),
        }
        if t.rle is not None and t.rle[i] is not None:
            row["mask"] = t.rle[i].decode("ascii")
        mine = np.flatnonzero((p.frame == t.frame[i]) & (p.object_id == t.object_id[i]))
        if len(mine):
            row["points"] = [
                [
                    int(p.point_id[j]),
                    *(None if np.isnan(v) else float(v) for v in p.xy[j]),
                    bool(p.visible[j]),
                ]
                for j in mine
            ]
        rows.append(row)
    return {
        "looked": sorted(labels.looked),
        "unsure": sorted(labels.unsure),
        "size": None if t.size is None else list(t.size),
        "objects": rows,
    }


def _from_dict(data: Mapping[str, Any]) -> Labels:
    rows, size = data["objects"], data["size"]
    dots = [(r["frame"], r["object"], *dot) for r in rows for dot in r.get("points", ())]
    columns = list(zip(*dots, strict=True)) if dots else [()] * 6
    xy = np.array(columns[3:5], dtype=np.float64).T.reshape(-1, 2)
    masks = [r["mask"].encode("ascii") if "mask" in r else None for r in rows]
    tracks = Tracks.of(
        [r["frame"] for r in rows],
        [r["object"] for r in rows],
        np.array([r["box"] for r in rows], dtype=np.float64).reshape(-1, 4),
        visible=[r["visible"] for r in rows] if rows else True,
        source="manual",
        masks=masks if any(m is not None for m in masks) else None,
        points=PointRows.of(columns[0], columns[1], columns[2], xy, columns[5]) if dots else None,
        size=None if size is None else (int(size[0]), int(size[1])),
    )
    looked, unsure = ({int(f) for f in data[name]} for name in ("looked", "unsure"))
    if not all(0 <= frame < _MOST_FRAMES for frame in looked | unsure):
        raise ValueError("a frame that no video has")
    return Labels(tracks, looked, unsure)
