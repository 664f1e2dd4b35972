"""Frames to label as images, and labels from any file, for people without a notebook.

The images show the frames alone: somebody who sees a tracker's box moves towards it, which favours that tracker (+0.03
IoU where she goes 30 % of the way).
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import cv2
import numpy as np

from vtlab.decision.question import Clip, Place
from vtlab.errors import FormatError, InputError
from vtlab.files import read_json, write_whole
from vtlab.formats import read_tracks, sniff
from vtlab.prompts import BoxPrompt, MaskPrompt, PointPrompt, Prompts
from vtlab.tracks import PointRows, Record, Tracks
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
    begin = _beginning(clip)
    wanted = sorted({f for name, f in places if name == clip.name} | set(begin.frames))
    if not (folder / LABELS).exists():
        begin.save(folder / LABELS)
    paths = []
    for frame in wanted:
        data = cv2.imencode(".png", np.ascontiguousarray(video[frame][..., ::-1]))[1].tobytes()
        paths.append(write_whole(folder / f"frame_{frame:06d}.png", data))
    return paths


def _beginning(clip: Clip) -> Prompts:
    """A box for each object where the first tracker to follow it begins, which is where it was prompted."""
    found = []
    for i in clip.ids.tolist():
        rows = [t.take((t.object_id == i) & np.isfinite(t.boxes).all(axis=1)) for t in clip.tracks.values()]
        first = min((r for r in rows if len(r)), key=lambda r: int(r.frame[0]), default=None)
        if first is None or int(first.frame[0]) in clip.frames:
            continue  # begins on a frame that counts: its box there would be a tracker's answer
        x1, y1, x2, y2 = first.boxes[0].tolist()
        if x2 > x1 and y2 > y1:
            found.append(BoxPrompt((x1, y1, x2, y2), object_id=i, frame=int(first.frame[0])))
    return Prompts(found)


def read(path: Path, layout: str | None = None) -> Tracks:
    """Labels from a prompts file (JSON), tracks (.parquet), or a file of any format that vtlab reads.

    Args:
        path: The file.
        layout: Name of its format; by default it is told by its look.

    Raises:
        FormatError: The file is missing, damaged or of no known format.
        InputError: A prompts file holds clicks, which say too little to be compared.
    """
    if layout is None and path.suffix == ".json" and _holds_prompts(path):
        return as_tracks(Prompts.load(path))
    if layout is None and path.suffix == ".parquet":
        return Tracks.load(path)
    return read_tracks(path, layout or sniff(path).name)


def _holds_prompts(path: Path) -> bool:
    try:
        found = read_json(path, "a prompt set")
    except FormatError:
        return True  # whose reader says what is wrong
    return not isinstance(found, dict) or "prompts" in found


def as_tracks(prompts: Prompts) -> Tracks:
    """Figures that a person drew, as tracks: boxes, masks, and points in their order.

    Raises:
        InputError: Clicks are among them.
    """
    rows: dict[tuple[int, int], dict[str, object]] = {}
    dots: list[tuple[int, int, int, float, float]] = []
    size = None
    for p in prompts:
        row = rows.setdefault((p.frame, p.object_id), {})
        if isinstance(p, BoxPrompt):
            row["box"] = p.xyxy
        elif isinstance(p, MaskPrompt):
            row["mask"], size = p.counts, p.size
        elif isinstance(p, PointPrompt):
            dots += [(p.frame, p.object_id, k, x, y) for k, (x, y) in enumerate(p.points)]
        else:
            raise InputError(
                f"The {p.kind} of object {p.object_id} on frame {p.frame} can't be compared: give a box, a mask or "
                "points."
            )
    masks = [row.get("mask") for row in rows.values()]
    boxes = np.array([row.get("box", (np.nan,) * 4) for row in rows.values()], dtype=np.float64)
    table = np.array(dots, dtype=np.float64).reshape(-1, 5)
    whole = table[:, :3].astype(np.int64)
    with_masks = any(m is not None for m in masks)
    return Tracks.of(
        [frame for frame, _ in rows],
        [i for _, i in rows],
        None if with_masks else boxes.reshape(-1, 4),
        masks=masks if with_masks else None,
        size=size,
        source="manual",
        record=Record(source=prompts.source),
        points=PointRows.of(whole[:, 0], whole[:, 1], whole[:, 2], table[:, 3:]) if dots else None,
    )
