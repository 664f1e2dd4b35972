"""Regions as VOT writes them, as text and binary, and trajectories of them: what formats of VOT share.

A region of text is `left,top,width,height`; `x1,y1,x2,y2,...` (at least three corners: a polygon); `m` with left, top,
width, height and row-major run lengths (zeros first) of a mask; `x,y` (a point); or one whole number (0 unknown, 1
initialised, 2 failed). A binary file has `<hI` (version 1, number of regions), then for each region one byte of its kind and
its numbers: 0 special `<I`, 1 rectangle `<ffff`, 2 polygon `<H` corners of `<ff`, 3 mask `<hhHHH` (left, top, width, height,
runs) and runs `<H`, 4 point `<ff`. Beside a trajectory `<name>_<property>.value` has a value a line, of which `confidence`
and `time` (seconds) are known here.

Format: VOT toolkit 0.9, vot/region/io.py and vot/tracker/results.py.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vtlab import masks
from vtlab.errors import FormatError, TracksError
from vtlab.files import damage_as, write_whole
from vtlab.formats.base import finite, frame_count, read_text
from vtlab.formats.mot_text import unit_scores
from vtlab.tracks import PointRows, Tracks

UNKNOWN, GIVEN, FAILED = 0, 1, 2
_LONGEST, _MOST = 255 * 255, 1 << 16
"""The longest run that the toolkit writes, and what its 16 bits hold."""
_MOST_BYTES = 1 << 30
"""Of a trajectory: hours of masks; more is damage."""


@dataclass(frozen=True)
class MaskRegion:
    """A mask within a frame: its corner, its (height, width), its runs row after row (zeros first)."""

    left: int
    top: int
    shape: tuple[int, int]
    runs: NDArray[np.int64]

    def drawn(self) -> NDArray[np.bool_]:
        """The mask, bool (height, width); what the runs leave out is empty."""
        flat = np.zeros(self.shape[0] * self.shape[1], bool)
        told = np.repeat(np.arange(len(self.runs)) % 2 == 1, self.runs)
        flat[: len(told)] = told
        return flat.reshape(self.shape)

    def placed(self, size: tuple[int, int], where: str) -> NDArray[np.bool_]:
        """The mask in a frame of `size` (height, width)."""
        (height, width), left, top = self.shape, self.left, self.top
        if min(left, top) < 0 or top + height > size[0] or left + width > size[1]:
            raise FormatError(f"{where}: the mask reaches out of the image of {size[1]} x {size[0]} pixels.")
        if size[0] * size[1] > masks.MAX_PIXELS:
            raise FormatError(f"{where}: an image of {size[1]} x {size[0]} pixels is out of range.")
        placed = np.zeros(size, bool)
        placed[top : top + height, left : left + width] = self.drawn()
        return placed


Region = Any
"""A box (4,) xyxy, a polygon (K, 2), a point (2,), a `MaskRegion`, or a code."""


def read_regions(path: Path) -> list[Any]:
    """Regions of a file of truth or results, one a frame: a box (4,) xyxy, a polygon (K, 2), a point (2,), a mask as
    (left, top, (h, w) bool), or a code (0 = nothing, 1 = started here, 2 = failed).

    Raises:
        FormatError: A region is none of these; the message names file and line (or number).
    """
    return [(r.left, r.top, r.drawn()) if isinstance(r, MaskRegion) else r for r in trajectory(path)]


def trajectory(path: Path) -> list[Region]:
    """Regions of a text or binary file."""
    if path.suffix == ".bin":
        return _binary(path)
    lines = read_text(path).rstrip().splitlines()
    return [_region(line.strip(), f"{path}, line {n}") for n, line in enumerate(lines, start=1)]


def region_of(values: Any, where: str) -> Region:
    """The region of a list of numbers; raises `FormatError` for anything else."""
    told = finite([0.0 if v != v else v for v in values] if isinstance(values, list) else None)
    found = _plain([np.nan if v != v else v for v in values]) if told else None
    if found is None:
        raise FormatError(
            f"{where}: expected 4 numbers or the corners of a polygon, got {str(values)[:60]!r}."
        )
    return found


def _region(text: str, where: str) -> Region:
    mask = text.startswith("m")
    try:
        numbers = [float(c) for c in text.removeprefix("m").split(",")]
    except ValueError:
        raise FormatError(f"{where}: expected a region, got {text[:40]!r}.") from None
    if mask and len(numbers) >= 4:
        with damage_as(FormatError, where, "a mask of whole numbers"):
            return _mask([int(n) for n in numbers[:4]], np.array(numbers[4:]).astype(np.int64), where)
    found = None if mask else _plain(numbers)
    if found is None:
        raise FormatError(
            f"{where}: expected left,top,width,height, a polygon, a mask (m...), a point or one whole number, got "
            f"{text[:40]!r}."
        )
    return found


def _plain(numbers: list[float]) -> Region | None:
    """A code, a point, a box or a polygon of numbers; None where they are none of these."""
    values = np.array(numbers, dtype=np.float64)
    whole = bool(np.isfinite(values).all())
    if len(values) == 1 and whole and numbers[0].is_integer():
        return int(numbers[0])
    if len(values) == 4 and (np.isnan(values).any() or (values[2:] >= 0).all()):
        return np.concatenate([values[:2], values[:2] + values[2:]])
    if len(values) == 2 and not np.isinf(values).any():
        return values if whole else UNKNOWN
    return values.reshape(-1, 2) if len(values) >= 6 and len(values) % 2 == 0 and whole else None


def _mask(corner: list[int], runs: NDArray[np.int64], where: str) -> MaskRegion:
    left, top, width, height = corner
    fits = min(width, height) >= 0 and width * height <= masks.MAX_PIXELS
    if not fits or ((runs < 0) | (runs > width * height)).any() or runs.sum() > width * height:
        raise FormatError(f"{where}: the run lengths exceed the mask of {width} x {height} pixels.")
    return MaskRegion(left, top, (height, width), runs)


class _Bytes:
    """The numbers of a binary file, one after the other."""

    def __init__(self, path: Path):
        with damage_as(FormatError, path, "a binary trajectory"):
            if path.stat().st_size > _MOST_BYTES:
                raise FormatError(f"{path}: {path.stat().st_size} bytes, at most {_MOST_BYTES} are read.")
            self.data, self.at = path.read_bytes(), 0

    def read(self, kinds: str) -> tuple[Any, ...]:
        found = struct.unpack_from("<" + kinds, self.data, self.at)
        self.at += struct.calcsize("<" + kinds)
        return found

    def runs(self, count: int) -> NDArray[np.int64]:
        found = np.frombuffer(self.data, "<u2", count, self.at)
        self.at += 2 * count
        return found.astype(np.int64)


def _binary(path: Path) -> list[Region]:
    file = _Bytes(path)
    with damage_as(FormatError, path, "a binary trajectory of VOT"):
        version, count = file.read("hI")
        if version != 1 or count * 5 > len(file.data):  # the smallest region has five bytes
            raise FormatError(f"{path}: version {version} with {count} regions in {len(file.data)} bytes.")
        return [_binary_region(file, f"{path}, region {n}") for n in range(count)]


def _binary_region(file: _Bytes, where: str) -> Region:
    with damage_as(FormatError, where, "a region"):
        (kind,) = file.read("B")
        if kind == 3:
            *corner, count = file.read("hhHHH")
            return _mask(corner, file.runs(count), where)
        if kind == 2:
            (count,) = file.read("H")
            found = _plain([*file.read(f"{2 * count}f")])
        elif kind in _KINDS:
            found = _plain([float(v) for v in file.read(_KINDS[kind])])
        else:
            found = None
        if found is None:
            raise FormatError(f"{where}: this is no region (kind {kind}).")
        return found


_KINDS = {0: "I", 1: "ffff", 4: "ff"}
"""The toolkit's numbers of kinds of region, and how their values are packed."""


def tracks_of(regions: list[Region], size: tuple[int, int] | None, source: str, path: Path) -> Tracks:
    """Regions of consecutive frames as the tracks of object 1; codes are frames without it, kept in the record."""
    count = len(regions)
    boxes = np.full((count, 4), np.nan)
    found: list[bytes | None] = [None] * count
    polygons: list[Any] = [None] * count
    points: list[int] = []
    drawn = [r for r in regions if isinstance(r, MaskRegion)]
    if drawn and size is None:
        size = max(r.top + r.shape[0] for r in drawn), max(r.left + r.shape[1] for r in drawn)
    for i, region in enumerate(regions):
        if isinstance(region, MaskRegion) and size is not None:
            mask = region.placed(size, f"{path}, region {i + 1}")
            boxes[i], found[i] = masks.to_box(mask), masks.encode(mask) if mask.any() else None
        elif isinstance(region, np.ndarray) and region.ndim == 2:
            boxes[i] = *region.min(axis=0), *region.max(axis=0)
            polygons[i] = (region,)
        elif isinstance(region, np.ndarray) and len(region) == 2:
            points.append(i)
        elif isinstance(region, np.ndarray):
            boxes[i] = region
    seen = np.isfinite(boxes).all(axis=1) & (boxes[:, 2:] > boxes[:, :2]).all(axis=1)
    seen[points] = True
    xy = np.array([regions[i] for i in points], dtype=float).reshape(-1, 2)
    codes = {str(i): r for i, r in enumerate(regions) if isinstance(r, int) and r != UNKNOWN}
    return Tracks.of(
        np.arange(count),
        1,
        boxes,
        visible=seen,
        source=source,
        masks=found if any(m is not None for m in found) else None,
        polygons=polygons if any(p is not None for p in polygons) else None,
        points=PointRows.of(points, np.ones(len(points), int), np.zeros(len(points), int), xy)
        if points
        else None,
        size=size,
        meta={"file": str(path), "frames": count, **({"codes": codes} if codes else {})},
    )


def with_values(tracks: Tracks, path: Path) -> Tracks:
    """The tracks of a trajectory with the confidence and the times that lie beside it."""
    confidence, times = (_values(path, name, len(tracks)) for name in ("confidence", "time"))
    if confidence is not None:
        known = np.isfinite(confidence)
        scores = np.ones(len(tracks))
        scores[known] = unit_scores(confidence[known], str(path))
        tracks = tracks.replace(score=scores)
    return tracks if times is None else tracks.replace(step_seconds=times)


def _values(path: Path, name: str, count: int) -> NDArray[np.float64] | None:
    file = path.with_name(f"{path.stem}_{name}.value")
    if not file.is_file():
        return None
    lines = read_text(file).splitlines()
    lines = lines[:-1] if lines and not lines[-1].strip() and len(lines) > count else lines
    with damage_as(FormatError, file, "a number (or nothing) a line"):
        values = np.array([float(line) if line.strip() not in ("", "None") else np.nan for line in lines])
    if len(values) != count or np.isinf(values).any():
        raise FormatError(f"{file}: expected {count} finite numbers, one a line, got {len(values)}.")
    return values


def regions_of(tracks: Tracks) -> list[Region]:
    """A region for each frame: a polygon of one ring, else the mask, else the box, else a point, else a code."""
    out: list[Region] = [UNKNOWN] * frame_count(tracks)
    only = tracks.points.point_id == 0
    point = dict(zip(tracks.points.frame[only].tolist(), tracks.points.xy[only], strict=True))
    for row, frame in enumerate(tracks.frame.tolist()):
        if not tracks.visible[row]:
            continue
        rings = None if tracks.polygons is None else tracks.polygons[row]
        mask = None if rings is not None and len(rings) == 1 else tracks.mask(row)
        if rings is not None and len(rings) == 1:
            out[frame] = rings[0]
        elif mask is not None and mask.any():
            out[frame] = _cut(mask)
        elif np.isfinite(tracks.boxes[row]).all():
            out[frame] = tracks.boxes[row]
        elif frame in point:
            out[frame] = point[frame]
    for frame, code in (tracks.meta.get("codes") or {}).items():
        if int(frame) < len(out) and (code == GIVEN or isinstance(out[int(frame)], int)):
            out[int(frame)] = int(code)
    return out


def _cut(mask: NDArray[np.bool_]) -> MaskRegion:
    x1, y1, x2, y2 = masks.to_box(mask).astype(int).tolist()
    flat = np.concatenate([[False], mask[y1:y2, x1:x2].ravel(), [False]])
    edges = np.flatnonzero(flat[1:] != flat[:-1])
    runs = np.diff([0, *edges, len(flat) - 2][: None if edges[-1] < len(flat) - 2 else -1])
    return MaskRegion(x1, y1, (y2 - y1, x2 - x1), runs)


def write_regions(regions: list[Region], path: Path) -> Path:
    """Write a trajectory as text, or binary where the name ends in `.bin`."""
    if path.suffix != ".bin":
        return write_whole(path, "\n".join(map(_text, regions)) + "\n")
    content = struct.pack("<hI", 1, len(regions)) + b"".join(map(_packed, regions))
    return write_whole(path, content)


def _text(region: Region) -> str:
    if isinstance(region, int):
        return str(region)
    if isinstance(region, MaskRegion):
        corner = [region.left, region.top, region.shape[1], region.shape[0]]
        return "m" + ",".join(map(str, [*corner, *region.runs.tolist()]))
    return ",".join(f"{v:.17g}" for v in numbers(region))


def numbers(region: NDArray[np.float64]) -> list[float]:
    """Numbers of a box as left, top, width, height; of a polygon or a point as they are."""
    flat = region.ravel().tolist()
    return [flat[0], flat[1], flat[2] - flat[0], flat[3] - flat[1]] if region.shape == (4,) else flat


def _packed(region: Region) -> bytes:
    if isinstance(region, int):
        return struct.pack("<BI", 0, region)
    if isinstance(region, MaskRegion):
        runs: list[int] = []
        for run in region.runs.tolist():
            # A longer run is cut by an empty one of the other value, as the toolkit does.
            runs += [_LONGEST, 0] * (max(run - 1, 0) // _LONGEST)
            runs.append(run - max(run - 1, 0) // _LONGEST * _LONGEST)
        # The corner is signed (`<hh`), which leaves 15 bits.
        if len(runs) >= _MOST or max(*region.shape, region.left, region.top) >= _MOST // 2:
            raise TracksError(f"A mask of {len(runs)} runs is too large for VOT's binary file. Write text.")
        corner = (region.left, region.top, region.shape[1], region.shape[0])
        return struct.pack("<BhhHHH", 3, *corner, len(runs)) + np.array(runs, "<u2").tobytes()
    flat = tuple(numbers(region))
    if region.ndim == 2:
        return struct.pack(f"<BH{len(flat)}f", 2, len(region), *flat)
    return struct.pack(f"<B{len(flat)}f", 1 if len(flat) == 4 else 4, *flat)


def write_values(tracks: Tracks, path: Path) -> None:
    """Write confidence and times beside a trajectory, where the tracks say them."""
    count = frame_count(tracks)
    if (tracks.score != 1).any():
        scores: list[str] = [""] * count
        for frame, score in zip(tracks.frame.tolist(), tracks.score.tolist(), strict=True):
            scores[frame] = repr(score)
        write_whole(path.with_name(f"{path.stem}_confidence.value"), "\n".join(scores) + "\n")
    if len(tracks.step_seconds) == count and count:
        lines = "".join(f"{seconds!r}\n" for seconds in tracks.step_seconds.tolist())
        write_whole(path.with_name(f"{path.stem}_time.value"), lines)
