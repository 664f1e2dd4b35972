"""BDD100K's boxes of tracks: a JSON file of frames for each video, `[{name, videoName, frameIndex, labels: [{id, category,
box2d: {x1, y1, x2, y2}, attributes}]}]`; results have the same shape, with `score`.

Corners are pixels and inclusive: the right edge is x2 + 1, as Scalabel counts (label/transforms.py, box2d_to_xyxy). A label
whose attribute `crowd` (`Crowd` for TrackEval) is set is a region that is ignored. Ids are numbers written as text. Images
lie in `images/track/<part>/<video>` where labels lie in `labels/box_track_20/<part>`.

Format: Scalabel and BDD100K (Yu et al., CVPR 2020); read as TrackEval 1.3.0 does, datasets/bdd100k.py, but for its edges.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from vtlab.errors import FormatError
from vtlab.files import told_as_format
from vtlab.formats import json_video as js
from vtlab.formats.base import (
    MOST_FRAMES,
    Kind,
    Place,
    finite,
    frame_count,
    no_frames,
    open_frames,
    plain_boxes,
)
from vtlab.prompts import Prompts
from vtlab.sequence import Sequence, first_prompts, from_one
from vtlab.tracks import Tracks
from vtlab.video import image_files

_FPS = 5.0
"""Of the labels: frames of a video of 30 a second, every sixth (Yu et al., CVPR 2020)."""


@dataclass(frozen=True, kw_only=True)
class Bdd100k(js.JsonVideo):
    """BDD100K MOT."""

    fps: float = _FPS

    def looks(self, data: Any) -> bool:
        """Whether it is a list of frames with labels."""
        first = data[0] if isinstance(data, list) and data else None
        return isinstance(first, dict) and "labels" in first and bool({"frameIndex", "index"} & set(first))

    results_look = looks

    def labelled(self, data: Any) -> bool:
        """Every file has labels."""
        return True

    def names(self, data: Any, path: Path) -> Iterable[str]:
        """The file's name: it is one video."""
        return (path.stem,)

    def gathered(self, written: list[Path]) -> list[Path]:
        """Each video keeps its file."""
        return written

    def read_sequence(self, place: Place, *, images: bool = True) -> Sequence:
        """Read a video; its prompts are the boxes of its objects where they first appear."""
        path = place.path
        frames = _frames(path)
        truth, ignored = _read(frames, str(path), "manual")
        meta = {"format": self.name, "file": str(path), "frames": len(frames), "dense": True}
        truth = truth.replace(meta=meta)
        if images:
            video = open_frames(_images(path, place.name), place, self.fps)
        else:
            video = no_frames(place, len(frames), None, self.fps)
        truth = from_one(truth) if images else truth
        prompts = first_prompts(truth) if images else Prompts()
        regions = ignored if len(ignored) else None
        return Sequence(place.name, video, truth, prompts, regions, benchmark=self.rule)

    def read_tracks(self, path: Path, sequence: Sequence | None = None) -> Tracks:
        """Read a result."""
        frames = _frames(path)
        if sequence is not None and len(frames) != len(sequence):
            raise FormatError(f"{path}: {len(frames)} frames where the sequence has {len(sequence)}.")
        tracks, _ = _read(frames, str(path), "tracked")
        return tracks.replace(meta={"format": self.name, "file": str(path), "frames": len(frames)})

    def write_tracks(self, tracks: Tracks, path: Path, kind: Kind = "results") -> Path:
        """Write the visible boxes of one video; objects without a label are of the category "object"."""
        return self._write(tracks, path, kind, Tracks.empty())

    def regions(self, ignore: Tracks, truth: Tracks) -> Tracks:
        """Upright boxes."""
        return plain_boxes(ignore)

    def write_regions(self, truth: Tracks, ignore: Tracks, path: Path) -> list[Path]:
        """Write the truth, and the regions as labels of a crowd."""
        return [self._write(truth, path, "truth", ignore)]

    def _write(self, tracks: Tracks, path: Path, kind: Kind, ignore: Tracks) -> Path:
        seen = tracks.seen()
        seen = seen.take(np.isfinite(seen.boxes).all(axis=1))
        labels: list[list[dict[str, Any]]] = [[] for _ in range(frame_count(tracks))]
        for row, (frame, box) in enumerate(zip(seen.frame.tolist(), seen.boxes.tolist(), strict=True)):
            hidden = seen.occluded is not None and bool(seen.occluded[row])
            entry = {"id": str(int(seen.object_id[row])), "category": seen.label[row] or "object"}
            entry |= {"box2d": _corners(box)}
            said = dict.fromkeys(("truncated", "crowd", "Crowd"), False) | {"occluded": hidden}
            entry |= {"attributes": said}
            labels[frame].append(entry | ({"score": float(seen.score[row])} if kind == "results" else {}))
        first = int(tracks.object_id.max(initial=0)) + 1
        for k, (frame, box) in enumerate(
            zip(ignore.frame.tolist(), ignore.boxes.tolist(), strict=True), first
        ):
            crowd = {"truncated": False, "occluded": False, "crowd": True, "Crowd": True}
            entry = {"id": str(k), "category": "object", "box2d": _corners(box), "attributes": crowd}
            labels[frame].append(entry)
        name = path.stem
        return js.write_json(
            path,
            [
                {
                    # Images count from 1 (b1c66a42-6f7d68ca-0000001.jpg) where `frameIndex` counts from 0.
                    "name": f"{name}-{n + 1:07d}.jpg",
                    "videoName": name,
                    "frameIndex": n,
                    # Scalabel calls it `frameIndex`, TrackEval sorts by `index`: each finds its own.
                    "index": n,
                    "labels": of,
                }
                for n, of in enumerate(labels)
            ],
        )

    def losses(self, tracks: Tracks, kind: Kind = "truth") -> dict[str, Any]:
        """See `Format`; a label that stands for none is lost."""
        return super().losses(tracks, kind) | js.label_losses(tracks.seen(), of_rows=True)


def _frames(path: Path) -> list[dict[str, Any]]:
    """Frames of a file in their order.

    Raises:
        FormatError: Their numbers don't count from 0 without a gap.
    """
    frames = js.objects(js.content(path, list), str(path))
    numbers = [
        js.number(f, "frameIndex" if "frameIndex" in f else "index", str(path), MOST_FRAMES) for f in frames
    ]
    if sorted(numbers) != list(range(len(numbers))):
        raise FormatError(
            f"{path}: the numbers of its frames should count from 0 without a gap; is a frame missing?"
        )
    return [frame for _, frame in sorted(zip(numbers, frames, strict=True), key=lambda pair: pair[0])]


def _images(path: Path, name: str) -> list[Path]:
    """Images of a video beside its labels."""
    part = path.parent.name
    bases = (path.parent, *path.parents[1:4])
    folders = (f for b in bases for f in (b / "images/track" / part / name, b / "images" / name, b / name))
    return next((found for f in folders if (found := image_files(f))), [])


def _read(frames: list[dict[str, Any]], where: str, source: str) -> tuple[Tracks, Tracks]:
    """The objects of the frames of one video, and its ignore regions."""
    rows: list[tuple[int, int, list[float], float, str | None, bool]] = []
    ignored: list[tuple[int, list[float]]] = []
    for n, frame in enumerate(frames):
        for k, entry in enumerate(js.objects(frame.get("labels") or [], f"{where}, frame {n}")):
            here = f"{where}, frame {n}, label {k}"
            told = entry.get("attributes")
            said: Mapping[str, Any] = told if isinstance(told, dict) else {}
            box = _box(entry.get("box2d"), here)
            if said.get("crowd") or said.get("Crowd"):
                ignored.append((n, box))
                continue
            given = entry.get("id")
            # 2**53, above which `number` refuses an id, has 16 digits.
            if isinstance(given, str) and given.isdecimal() and len(given) < 17:
                given = int(given)
            owner = js.number({"id": given}, "id", here)
            label = js.text(entry, "category", here)
            rows.append((n, owner, box, js.score_of(entry, here), label, bool(said.get("occluded"))))
    at, owners, boxes, scores, labels, hidden = zip(*rows, strict=True) if rows else ((),) * 6
    with told_as_format(where):
        tracks = Tracks.of(
            at,
            owners,
            np.array(boxes).reshape(-1, 4),
            np.array(scores, dtype=float),
            label=[None if x == "object" else x for x in labels],
            occluded=np.array(hidden, bool) if any(hidden) else None,
            source=source,
        )
        when, around = zip(*ignored, strict=True) if ignored else ((), ())
        regions = Tracks.of(when, range(len(when)), np.array(around).reshape(-1, 4), source=source)
    return tracks, regions


def _corners(box: list[float]) -> dict[str, float]:
    """xyxy as inclusive corners."""
    x1, y1, x2, y2 = box
    return {"x1": x1, "y1": y1, "x2": x2 - 1, "y2": y2 - 1}


def _box(value: Any, where: str) -> list[float]:
    """xyxy of a box of inclusive corners."""
    corner = finite([value.get(k) for k in ("x1", "y1", "x2", "y2")]) if isinstance(value, dict) else []
    if not corner:
        raise FormatError(f"{where}: expected 'box2d' with x1, y1, x2 and y2, got {str(value)[:60]!r}.")
    x1, y1, x2, y2 = corner
    return [x1, y1, x2 + 1, y2 + 1]


FORMAT = Bdd100k(
    name="bdd100k",
    summary="<video>.json of [{frameIndex, labels: [{id, category, box2d}]}], results too",
    rule="bdd100k",
    holds=frozenset({"boxes", "objects", "ids", "gaps", "labels", "occluded"}),
    results=frozenset({"boxes", "objects", "ids", "gaps", "labels", "occluded", "scores", "flags"}),
)
