"""VOT: `<sequence>/{sequence, groundtruth.txt, color/00000001.jpg}`, and `list.txt` above; one region a line.

A region is `left,top,width,height`; `x1,y1,x2,y2,...` (at least three corners: a polygon); `m` with left,
top, width, height and row-major run lengths (zeros first) of a mask; or one whole number (0 unknown, 1 initialised, 2
failed). Several objects have `groundtruth_<object>.txt` and are sequences `<sequence>-<object>`. Results are
`<tracker>/<sequence>/<sequence>_001.txt`, where frame 0 may be `1`: the truth was given. Pixels count from 0.

Benchmark: Kristan et al., VOT; format of the VOT toolkit 0.9.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vtlab import masks
from vtlab.errors import FormatError
from vtlab.files import damage_as, write_whole
from vtlab.formats.base import (
    TRUTH,
    Format,
    Kind,
    Loss,
    Place,
    extents,
    frame_count,
    image_size,
    lost,
    no_frames,
    one_object,
    open_frames,
    rate,
    read_text,
    video_beside,
    walk,
    whole,
)
from vtlab.geometry import polygon_to_box
from vtlab.sequence import Sequence, first_prompts
from vtlab.tracks import Tracks
from vtlab.video import image_files

_TRUTH = re.compile(r"groundtruth(?:_(.+))?\.txt")
_RESULT = re.compile(r"(.+)_(\d{3})")
_GIVEN = 1


@dataclass(frozen=True, kw_only=True)
class Vot(Format):
    """Sequences of the VOT challenges, one object each."""

    def places(self, root: Path) -> Iterable[Place]:
        """Every object of every sequence."""
        for folder, names in walk(root):
            for name in names:
                match = _TRUTH.fullmatch(name)
                if match:
                    yield Place(folder.name + (f"-{match[1]}" if match[1] else ""), folder, folder / name)

    def sequence_of(self, path: Path, known: set[str] | None) -> str | None:
        """`<sequence>_001` or, of one object of several, `<sequence>_<object>_001`."""
        match = _RESULT.fullmatch(path.stem)
        if match is None:
            return None
        target = "-".join(match[1].rsplit("_", 1))
        return next((n for n in (match[1], target) if known is None or n in known), None)

    def folder_of(self, path: Path, sequence: str) -> Path:
        """Repetitions lie in a folder called after their sequence."""
        return path.parent if sequence.startswith(path.parent.name) else path

    def sniff(self, path: Path) -> bool:
        """Whether the file `sequence` lies beside a truth."""
        return any("sequence" in names and any(map(_TRUTH.fullmatch, names)) for _, names in walk(path))

    def read_sequence(self, place: Place, *, images: bool = True) -> Sequence:
        """Read a sequence: its target is object 1, prompted where it first shows."""
        info = _info(place.path / "sequence")
        frames = image_files((place.path / info.get("channels.color", "color/%08d.jpg")).parent)
        size = image_size(frames[0]) if frames else None
        if size is None and "width" in info and "height" in info:
            told = place.path / "sequence"
            size = whole(info["height"], told, "height"), whole(info["width"], told, "width")
        file = place.truth or place.path
        truth = _tracks(_regions(file), size, "manual", self.name, file)
        count, fps = frame_count(truth), rate(info.get("fps", "30"), place.path / "sequence", "fps")
        if images:
            video = open_frames(frames or video_beside(place.path, "video"), place, fps)
            if len(video) != count:
                raise FormatError(
                    f"{file}: {count} regions for {len(video)} images. Is the sequence complete?"
                )
        else:
            video = no_frames(place, count, size, fps)
        return Sequence(place.name, video, truth, first_prompts(truth), benchmark=self.rule)

    def read_tracks(self, path: Path, sequence: Sequence | None = None) -> Tracks:
        """Read a result as object 1; where it says `1`, the truth was given."""
        regions, truth = _regions(path), None if sequence is None else sequence.truth
        if truth is None:
            return _tracks(regions, None, "tracked", self.name, path)
        if len(regions) != frame_count(truth):
            raise FormatError(f"{path}: {len(regions)} regions for {frame_count(truth)} frames.")
        init = [i for i, r in enumerate(regions) if isinstance(r, int) and r == _GIVEN]
        told = _tracks(regions, truth.size, "tracked", self.name, path)
        if not init:
            return told
        return Tracks.concat([told.take(~np.isin(told.frame, init)), truth.take(np.isin(truth.frame, init))])

    def write_tracks(self, tracks: Tracks, path: Path, kind: Kind = "results") -> Path:
        """Write a region for each frame: a polygon of one ring, else the mask, else the box, else 0."""
        lines = ["0"] * frame_count(one_object(tracks, self))
        for row, frame in enumerate(tracks.frame.tolist()):
            if tracks.visible[row]:
                drawn = None if tracks.polygons is None else tracks.polygons[row]
                if drawn is not None and len(drawn) == 1:
                    lines[frame] = ",".join(f"{v:.17g}" for v in drawn[0].ravel())
                else:
                    lines[frame] = _line(tracks.mask(row), tracks.boxes[row].tolist())
        written = write_whole(path, "\n".join(lines) + "\n")
        if kind == "truth":
            info = "" if tracks.size is None else f"height={tracks.size[0]}\nwidth={tracks.size[1]}\n"
            text = f"channels.color=color/%08d.jpg\nlength={len(lines)}\n{info}"
            write_whole(path.with_name("sequence"), text)
        return written

    def losses(self, tracks: Tracks, kind: Kind = "truth") -> dict[str, Loss]:
        """See `Format`; a line with a mask or an outline has no box of its own."""
        around = extents(tracks)
        for row, rings in enumerate(tracks.polygons if tracks.polygons is not None else ()):
            if rings is not None and len(rings) == 1:
                around[row] = polygon_to_box(rings[0])
        own = np.isfinite(around).all(axis=1) & (around != tracks.boxes).any(axis=1)
        told = "{} boxes of objects with masks or outlines"
        found = super().losses(tracks, kind) | lost("boxes", tracks, told, own & tracks.visible)
        if tracks.polygons is not None:
            several = np.array([rings is not None and len(rings) > 1 for rings in tracks.polygons], bool)
            told = "{} outlines of several rings (they are written as masks)"
            found |= lost("polygons", tracks, told, several & tracks.visible)
        return found

    def path_of(self, root: Path, sequence: str, tracker: str = "") -> Path:
        """A result is the first repetition in its sequence's folder."""
        if tracker:
            return root / tracker / sequence / f"{sequence}_001{self.suffix}"
        return root / TRUTH / sequence / "groundtruth.txt"


def _info(path: Path) -> dict[str, str]:
    if not path.is_file():
        return {}
    pairs = (line.split("=", 1) for line in read_text(path).splitlines() if "=" in line)
    return {key.strip().lower(): value.strip() for key, value in pairs}


def read_regions(path: Path) -> list[Any]:
    """Regions of a file of truth or results, one a frame: a box (4,) xyxy, a polygon (K, 2), a mask as (left, top, (h, w)
    bool), or a code (0 = nothing, 1 = started here, 2 = failed).

    Raises:
        FormatError: A line is none of these; the message names file and line.
    """
    return [(r[0], r[1], _drawn(r[2], r[3])) if isinstance(r, tuple) else r for r in _regions(path)]


def _regions(path: Path) -> list[Any]:
    lines = read_text(path).rstrip().splitlines()
    return [_region(line.strip(), f"{path}, line {n}") for n, line in enumerate(lines, start=1)]


def _region(text: str, where: str) -> Any:
    """A box (4,), a polygon (K, 2), a mask as (left, top, (height, width), runs), or a special code."""
    mask = text.startswith("m")
    try:
        numbers = [float(c) for c in text.removeprefix("m").split(",")]
    except ValueError:
        raise FormatError(f"{where}: expected a region, got {text[:40]!r}.") from None
    if mask and len(numbers) >= 4:
        with damage_as(FormatError, where, "a mask of whole numbers"):
            left, top, width, height = (int(n) for n in numbers[:4])
            runs = np.array(numbers[4:]).astype(np.int64)
        fits = min(width, height) >= 0 and width * height <= masks.MAX_PIXELS
        if not fits or ((runs < 0) | (runs > width * height)).any() or runs.sum() > width * height:
            raise FormatError(f"{where}: the run lengths exceed the mask of {width} x {height} pixels.")
        return left, top, (height, width), runs
    if len(numbers) == 1 and numbers[0].is_integer():
        return int(numbers[0])
    corners = np.array(numbers, dtype=np.float64)
    if not mask and len(numbers) == 4 and (np.isnan(corners).any() or (corners[2:] >= 0).all()):
        return np.concatenate([corners[:2], corners[:2] + corners[2:]])
    if not mask and len(numbers) >= 6 and len(numbers) % 2 == 0 and np.isfinite(corners).all():
        return corners.reshape(-1, 2)
    raise FormatError(
        f"{where}: expected left,top,width,height, a polygon, a mask (m...) or one whole number, got {text[:40]!r}."
    )


def _tracks(regions: list[Any], size: tuple[int, int] | None, source: str, name: str, path: Path) -> Tracks:
    count = len(regions)
    boxes = np.full((count, 4), np.nan)
    found: list[bytes | None] = [None] * count
    polygons: list[Any] = [None] * count
    if any(isinstance(r, tuple) for r in regions) and size is None:
        low = [(r[1] + r[2][0], r[0] + r[2][1]) for r in regions if isinstance(r, tuple)]
        size = max(h for h, _ in low), max(w for _, w in low)
    for i, region in enumerate(regions):
        if isinstance(region, tuple) and size is not None:
            mask = _placed(region, size, f"{path}, line {i + 1}")
            boxes[i], found[i] = masks.to_box(mask), masks.encode(mask) if mask.any() else None
        elif isinstance(region, np.ndarray) and region.ndim == 2:
            boxes[i] = *region.min(axis=0), *region.max(axis=0)
            polygons[i] = (region,)
        elif isinstance(region, np.ndarray):
            boxes[i] = region
    return Tracks.of(
        np.arange(count),
        1,
        boxes,
        visible=np.isfinite(boxes).all(axis=1) & (boxes[:, 2:] > boxes[:, :2]).all(axis=1),
        source=source,
        masks=found if any(m is not None for m in found) else None,
        polygons=polygons if any(p is not None for p in polygons) else None,
        size=size,
        meta={"format": name, "file": str(path), "frames": count},
    )


def _placed(
    region: tuple[int, int, tuple[int, int], NDArray[np.int64]], size: tuple[int, int], where: str
) -> NDArray[np.bool_]:
    left, top, (height, width), runs = region
    if min(left, top) < 0 or top + height > size[0] or left + width > size[1]:
        raise FormatError(f"{where}: the mask reaches out of the image of {size[1]} x {size[0]} pixels.")
    if size[0] * size[1] > masks.MAX_PIXELS:
        raise FormatError(f"{where}: an image of {size[1]} x {size[0]} pixels is out of range.")
    placed = np.zeros(size, bool)
    placed[top : top + height, left : left + width] = _drawn((height, width), runs)
    return placed


def _drawn(shape: tuple[int, int], runs: NDArray[np.int64]) -> NDArray[np.bool_]:
    """A mask of this (height, width) by its runs, row after row; what they leave out is empty."""
    flat = np.zeros(shape[0] * shape[1], bool)
    told = np.repeat(np.arange(len(runs)) % 2 == 1, runs)
    flat[: len(told)] = told
    return flat.reshape(shape)


def _line(mask: NDArray[np.bool_] | None, box: list[float]) -> str:
    if mask is not None and mask.any():
        x1, y1, x2, y2 = masks.to_box(mask).astype(int).tolist()
        flat = np.concatenate([[False], mask[y1:y2, x1:x2].ravel(), [False]])
        edges = np.flatnonzero(flat[1:] != flat[:-1])
        runs = np.diff([0, *edges, len(flat) - 2][: None if edges[-1] < len(flat) - 2 else -1])
        return "m" + ",".join(map(str, [x1, y1, x2 - x1, y2 - y1, *runs.tolist()]))
    if not np.isfinite(box).all():
        return "0"
    return ",".join(f"{v:.17g}" for v in (box[0], box[1], box[2] - box[0], box[3] - box[1]))


FORMAT = Vot(
    name="vot",
    family="sot",
    summary="<sequence>/{sequence, groundtruth.txt, color/*.jpg}",
    rule="vot",
    repeats=True,
    holds=frozenset({"boxes", "masks", "polygons", "absent", "size"}),
    results=frozenset({"boxes", "masks", "polygons", "absent"}),
)
