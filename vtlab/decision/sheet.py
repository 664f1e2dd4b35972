"""Frames to label as images, and labels from any file, for people without a notebook.

The images show the frames alone: somebody who sees a tracker's box moves towards it, which favours that tracker (+0.03
IoU where she goes 30 % of the way).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from vtlab.decision.question import Clip, Place
from vtlab.errors import FormatError, InputError
from vtlab.files import read_json, write_whole
from vtlab.prompts import BoxPrompt, MaskPrompt, PointPrompt, Prompt, Prompts, SkeletonPrompt
from vtlab.tracks import PointRows, Record, Source, Tracks
from vtlab.tracks.parquet import is_tracks
from vtlab.video import Video

LABELS = "labels.json"


def write(places: Iterable[Place], clip: Clip, video: Video, folder: Path) -> list[Path]:
    """Write the frames of one clip that are to be labelled, and the prompts file that takes the labels.

    The file (`Prompts.save`) holds where each object is on the first frame, which is also written as an image, so that
    it is clear what to label; one that is there already is left as it is.

    Returns:
        The images in the order of the video, that of the first frame at the beginning.
    """
    if len(video) < clip.length:
        raise InputError(
            f"{video.name} has {len(video)} frames, the tracks have {clip.length}: another video?"
        )
    begin = beginning(clip)
    wanted = sorted({f for name, f in places if name == clip.name} | set(begin.frames))
    if not (folder / LABELS).exists():
        begin.save(folder / LABELS)
    paths = []
    for frame in wanted:
        data = cv2.imencode(".png", np.ascontiguousarray(video[frame][..., ::-1]))[1].tobytes()
        paths.append(write_whole(folder / f"frame_{frame:06d}.png", data))
    return paths


def beginning(clip: Clip) -> Prompts:
    """Where each object is on the frame where the first tracker to follow it begins, which is where it was prompted.

    A box, or points where there is none. Nothing for an object that begins on a frame that counts: what stands there
    would be a tracker's answer.
    """
    found: list[Prompt] = []
    for i in clip.ids.tolist():
        rows = [t.of_object(i) for t in clip.tracks.values()]
        first = min((r for r in rows if len(r)), key=lambda r: int(r.frame[0]), default=None)
        if first is None or int(first.frame[0]) in clip.frames:
            continue
        here = as_prompts(first.at(int(first.frame[0])))
        found += [p if isinstance(p, PointPrompt) else _upright(p) for p in here]
    return Prompts(found)


def _upright(prompt: Prompt) -> Prompt:
    """The box of a prompt, whatever it is."""
    if not isinstance(prompt, MaskPrompt):
        return prompt
    x1, y1, x2, y2 = prompt.box(*prompt.size).tolist()
    return BoxPrompt((x1, y1, x2, y2), object_id=prompt.object_id, frame=prompt.frame)


def as_prompts(tracks: Tracks, names: Sequence[str] | None = None) -> Prompts:
    """Figures that say what tracks say: masks, boxes, and points; those that are hidden are kept where nodes are named.

    Args:
        tracks: What was labelled.
        names: Names of the points, which make a skeleton of them.
    """
    found: list[Prompt] = []
    for k in range(len(tracks)):
        here: dict[str, Any] = {"object_id": int(tracks.object_id[k]), "frame": int(tracks.frame[k])}
        x1, y1, x2, y2 = tracks.boxes[k].tolist()
        dots = tracks.points.take(
            (tracks.points.frame == tracks.frame[k]) & (tracks.points.object_id == tracks.object_id[k])
        )
        placed = np.isfinite(dots.xy).all(axis=1)
        if not tracks.visible[k]:
            continue
        if tracks.rle is not None and tracks.rle[k] is not None and tracks.size is not None:
            found.append(MaskPrompt(tracks.rle[k], tracks.size, **here))
        elif placed.any():
            xy = tuple((float(x), float(y)) for x, y in dots.xy[placed])
            if names is None:
                found.append(PointPrompt(xy, **here))
            else:
                called = tuple(names[int(j)] for j in dots.point_id[placed])
                found.append(SkeletonPrompt(xy, called, (), tuple(~dots.visible[placed]), **here))
        elif x2 > x1 and y2 > y1:
            found.append(BoxPrompt((x1, y1, x2, y2), **here))
    return Prompts(found)


def read(path: Path, layout: str | None = None) -> Tracks:
    """Labels from a prompts file (JSON), tracks (.parquet), or a file of any format that vtlab reads.

    Args:
        path: The file.
        layout: Name of its format; by default it is told by its look. What vtlab itself writes is known without.

    Raises:
        FormatError: The file is missing, damaged or of no known format.
        InputError: A prompts file holds clicks, which say too little to be compared.
    """
    if path.suffix == ".json" and _holds_prompts(path, layout):
        return as_tracks(Prompts.load(path))
    own = path.suffix == ".parquet" and is_tracks(path)
    return Tracks.load(path, None if own else layout)


def _holds_prompts(path: Path, layout: str | None) -> bool:
    """Whether a file holds prompts; what is damaged is taken for them where no format is named."""
    try:
        found = read_json(path, "a prompt set")
    except FormatError:
        return layout is None  # their reader says what is wrong
    return isinstance(found, dict) and "prompts" in found


def _on_pixels(p: MaskPrompt, source: Source | None) -> MaskPrompt:
    """A polygon as its pixels, where the size of the frames is known."""
    if p.counts or source is None or not (source.height and source.width):
        return p
    return MaskPrompt.of(
        p.mask(source.height, source.width), object_id=p.object_id, frame=p.frame, label=p.label
    )


def as_tracks(prompts: Prompts) -> Tracks:
    """Figures that a person drew, as tracks: boxes, masks, and points in their order; occluded nodes are hidden points.

    Of a box that is turned it is the upright extent.

    Raises:
        InputError: Clicks are among them.
    """
    rows: dict[tuple[int, int], dict[str, Any]] = {}
    dots: list[tuple[int, int, int, float, float, bool]] = []
    size = None
    for p in prompts:
        row = rows.setdefault((p.frame, p.object_id), {"box": (np.nan,) * 4, "mask": None})
        if isinstance(p, BoxPrompt):
            row["box"] = (*p.corners().min(axis=0), *p.corners().max(axis=0))
        elif isinstance(p, MaskPrompt):
            p = _on_pixels(p, prompts.source)
            if not p.counts:
                raise InputError(
                    f"The polygon of object {p.object_id} on frame {p.frame} doesn't say how large the frame is: give "
                    "MaskPrompt.of(mask)."
                )
            row["mask"], size = p.counts, p.size
            row["box"] = p.box(*p.size)
        elif isinstance(p, PointPrompt | SkeletonPrompt):
            hidden = p.occluded if isinstance(p, SkeletonPrompt) else (False,) * len(p.points)
            spots = zip(p.points, hidden, strict=True)
            dots += [(p.frame, p.object_id, k, x, y, not gone) for k, ((x, y), gone) in enumerate(spots)]
        else:
            raise InputError(
                f"The {p.kind} of object {p.object_id} on frame {p.frame} can't be compared: give a box, a mask or "
                "points."
            )
    masks = [row["mask"] for row in rows.values()]
    table = np.array(dots, dtype=np.float64).reshape(-1, 6)
    whole = table[:, :3].astype(np.int64)
    return Tracks.of(
        [frame for frame, _ in rows],
        [i for _, i in rows],
        np.array([row["box"] for row in rows.values()], dtype=np.float64).reshape(-1, 4),
        masks=masks if any(m is not None for m in masks) else None,
        size=size,
        source="manual",
        record=Record(source=prompts.source),
        points=PointRows.of(whole[:, 0], whole[:, 1], whole[:, 2], table[:, 3:5], table[:, 5] > 0)
        if dots
        else None,
    )
