"""TAP-Vid layout: a pickle of `{name: {video, points, occluded}}`, or a list of such entries (Kinetics, RGB-Stacking).

`video` is uint8 (T, H, W, 3) or a list of JPEG files as bytes, `points` float (N, T, 2) as (x, y) in fractions of the
frame, `occluded` bool (N, T). Differs from vtlab's convention: `visible` is the inverse of `occluded`, points are in
pixels here. A pickle can run code; this one is read by an unpickler that knows arrays and plain values only.

RoboTAP (Vecerik et al., 2023) has the same pickles, `robotap_split<n>.pkl` (tapnet's tapvid/README.md).

Benchmark: Doersch et al., TAP-Vid, NeurIPS 2022 (arXiv:2211.03726).
"""

from __future__ import annotations

import io
import pickle
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from pickle import _Unpickler  # type: ignore[attr-defined]
from typing import Any, ClassVar

import numpy as np
from numpy._core.multiarray import scalar
from numpy._core.numeric import _frombuffer  # type: ignore[attr-defined]
from numpy.typing import NDArray

from vtlab.errors import FormatError, InputError, TracksError, VideoError
from vtlab.files import BoundedFile, damage_as, write_whole
from vtlab.formats.base import (
    TRUTH,
    Format,
    Kind,
    Loss,
    Place,
    Result,
    files,
    frame_count,
    lost,
    no_frames,
)
from vtlab.formats.ledger import pointed, renumbered
from vtlab.prompts import PointPrompt, Prompts
from vtlab.sequence import Sequence
from vtlab.tracks import PointRows, Tracks
from vtlab.video import FrameSource, Image, Video, check_picture, open_video

_STRIDE = 5
"""Frames between queries of the strided mode (Doersch et al., NeurIPS 2022)."""


def _latin1(text: str, encoding: str) -> bytes:
    """`_codecs.encode` as pickles of protocol 2 use it for bytes, and for nothing else."""
    if encoding != "latin1":
        raise FormatError(f"asks for the codec {encoding!r}. Such a file is not opened.")
    return text.encode("latin1")


@dataclass(frozen=True, kw_only=True)
class TapVid(Format):
    """TAP-Vid's files. A file is one pickle, so it is read as a whole, and the last one read is kept.

    The rule says how points are asked for. `tapvid-first`: each where it is first visible. `tapvid-strided`: on every
    fifth frame each that is visible there, as an object of its own.

    Attributes:
        fps: Frames per second; the file does not say.
    """

    fps: float = 25.0

    def __post_init__(self) -> None:
        if not self.rule.endswith(("first", "strided")):
            raise InputError(f"Expected a rule such as tapvid-first or tapvid-strided, got {self.rule!r}.")

    def places(self, root: Path) -> Iterable[Place]:
        """Every video of every pickle."""
        return (Place(name, path, path) for path in files(root, ".pkl") for name in _entries(path))

    def find_results(self, root: Path, known: Iterable[str] | None = None) -> list[Result]:
        """Tracks as `Tracks.save` writes them, and pickles of one sequence as the truth's."""
        wanted = None if known is None else list(known)
        found = super().find_results(root, wanted)
        return (
            found
            if root.is_file()
            else found + Format.find_results(replace(self, suffix=".pkl"), root, wanted)
        )

    def sniff(self, path: Path) -> bool:
        """Whether there is a pickle."""
        return next(files(path, ".pkl"), None) is not None

    def read_sequence(self, place: Place, *, images: bool = True) -> Sequence:
        """Make a sequence: every query is an object (ids from 1 in the file's order) with one point."""
        where = f"{place.path}, {place.name!r}"
        entry = _entry(place.path, place.name)
        if entry["video"] is None and not images:
            size = _size(entry, where)
            video = no_frames(place, _visibility(entry, where).shape[1], size, self.fps)
        else:
            video = _video(entry["video"], place.name, where, self.fps)
            size = (video.height, video.width)
        points, visible = _points(entry, where, len(video))
        xy = points * (video.width, video.height)
        asked = _queries(visible, "strided" if "strided" in self.rule else "first")
        track = np.array([number for number, _ in asked], dtype=np.int64)
        meta = {"format": self.name, "file": str(place.path), "frames": len(video), "rule": self.rule}
        truth = _tracks(xy[track], visible[track], "manual", size, meta)
        prompts = [
            PointPrompt((tuple(xy[number, frame].tolist()),), object_id=i, frame=frame)
            for i, (number, frame) in enumerate(asked, start=1)
        ]
        return Sequence(place.name, video, truth, Prompts(prompts), benchmark=self.rule)

    def read_tracks(self, path: Path, sequence: Sequence | None = None) -> Tracks:
        """Read a result: tracks as `Tracks.save` writes them, or a pickle of points in fractions of the frame."""
        if path.suffix == ".parquet":
            return Tracks.load(path)
        name = sequence.name if sequence is not None else next(iter(_entries(path)), "")
        entry = _entry(path, name)
        where = f"{path}, {name!r}"
        size = _size(entry, where) if sequence is None else (sequence.video.height, sequence.video.width)
        points, visible = _points(entry, where, _visibility(entry, where).shape[1])
        xy = points * (size[1], size[0])
        meta = {"format": self.name, "file": str(path), "frames": xy.shape[1]}
        return _tracks(xy, visible, "tracked", size, meta)

    def losses(self, tracks: Tracks, kind: Kind = "truth") -> dict[str, Loss]:
        """See `Format`; each point of a file is an object, and one that is never seen is none of a benchmark's."""
        found, p = super().losses(tracks, kind), tracks.points
        found.pop("ids", None)
        pairs, track = np.unique(np.stack([p.object_id, p.point_id], axis=1), axis=0, return_inverse=True)
        kept = np.ones(len(pairs), bool)
        if kind == "truth":
            kept = np.bincount(track.reshape(-1), p.visible, len(pairs)) > 0
            gone = pointed(tracks, ~kept[track.reshape(-1)])
            found |= lost("points", tracks, "{} rows with a point that is never visible", gone)
        hidden = ~tracks.visible & pointed(tracks, p.visible)
        found |= lost("hidden", tracks, "{} rows that are not visible, of points that are", hidden)
        first = {int(i): n for n, (i, _) in reversed([*enumerate(pairs[kept].tolist(), start=1)])}
        return found | renumbered({i: n for i, n in sorted(first.items()) if i != n})

    def write_tracks(self, tracks: Tracks, path: Path, kind: Kind = "results") -> Path:
        """Write one video's points; each point of each object is a track of the file, without the video's pixels."""
        p, count = tracks.points, frame_count(tracks)
        if tracks.size is None or not len(p):
            raise TracksError(
                f"{path}: TAP-Vid holds points in fractions of the frame; give tracks of points with a size."
            )
        known, track = np.unique(np.stack([p.object_id, p.point_id], axis=1), axis=0, return_inverse=True)
        points, occluded = np.zeros((len(known), count, 2)), np.ones((len(known), count), bool)
        place = track.reshape(-1), p.frame
        points[place] = np.nan_to_num(p.xy / (tracks.size[1], tracks.size[0]))
        occluded[place] = ~p.visible
        entry = {"video": None, "points": points, "occluded": occluded, "size": tracks.size}
        return write_whole(path, pickle.dumps({path.stem: entry}))

    def path_of(self, root: Path, sequence: str, tracker: str = "") -> Path:
        """One pickle for each sequence."""
        return root / (tracker or TRUTH) / f"{sequence}.pkl"


@lru_cache(maxsize=2)
def _opened(path: Path, changed: int) -> dict[str, Any]:
    content = _load(path)
    if isinstance(content, Mapping):
        return {str(name): entry for name, entry in content.items()}
    if isinstance(content, list | tuple):
        return {f"{i:05d}": entry for i, entry in enumerate(content)}
    raise FormatError(f"{path}: expected a dictionary or a list of videos, got {type(content).__name__}.")


def _entries(path: Path) -> dict[str, Any]:
    """The videos of a file, read once as long as it does not change."""
    return _opened(path, path.stat().st_mtime_ns if path.exists() else 0)


def _entry(path: Path, name: str) -> Mapping[str, Any]:
    entry = _entries(path).get(name)
    if not isinstance(entry, Mapping) or not {"video", "points", "occluded"} <= set(entry):
        raise FormatError(f"{path}, {name!r}: expected the entries video, points and occluded.")
    return entry


def _points(entry: Mapping[str, Any], where: str, count: int) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """Points (N, T, 2) float64 in fractions, and visibility (N, T), checked against each other."""
    occluded = _visibility(entry, where)
    points = _array(entry["points"], where, "points").astype(np.float64)
    if points.ndim != 3 or points.shape[1:] != (count, 2) or occluded.shape != points.shape[:2]:
        raise FormatError(
            f"{where}: expected points (N, {count}, 2) and occluded (N, {count}) for a video of {count} frames, got "
            f"{points.shape} and {occluded.shape}."
        )
    return points, ~occluded & np.isfinite(points).all(axis=2)


def _visibility(entry: Mapping[str, Any], where: str) -> NDArray[np.bool_]:
    """`occluded` (N, T)."""
    occluded = _array(entry["occluded"], where, "occluded").astype(bool)
    if occluded.ndim != 2:
        raise FormatError(f"{where}: expected occluded (N, T), got {occluded.shape}.")
    return occluded


def _array(value: Any, where: str, name: str) -> NDArray[Any]:
    """An entry as an array of real numbers."""
    with damage_as(FormatError, f"{where}, {name}", "an array of numbers"):
        array = np.asarray(value)
    if array.dtype.kind not in "buif":
        raise FormatError(f"{where}: {name} should be numbers, got {array.dtype}.")
    return array


def _size(entry: Mapping[str, Any], where: str) -> tuple[int, int]:
    """`size`, the height and width that `write_tracks` adds: a file of results has no pixels to tell."""
    if entry.get("size") is None:
        raise FormatError(f"{where}: without its sequence the size of the frames isn't known.")
    size = _array(entry["size"], where, "size")
    if size.shape != (2,) or size.dtype.kind not in "ui" or not ((size > 0) & (size < 2**20)).all():
        raise FormatError(f"{where}: size should be (height, width) in pixels, got {entry['size']!r}.")
    return int(size[0]), int(size[1])


def _tracks(
    xy: NDArray[np.float64],
    visible: NDArray[np.bool_],
    source: str,
    size: tuple[int, int],
    meta: dict[str, Any],
) -> Tracks:
    """Points (N, T, 2) and visibility (N, T) as N objects of one point."""
    tracks, count = visible.shape
    frames, owners = np.tile(np.arange(count), tracks), np.repeat(np.arange(1, tracks + 1), count)
    seen = visible.reshape(-1)
    rows = PointRows.of(frames, owners, np.zeros_like(frames), xy.reshape(-1, 2), seen)
    return Tracks.of(frames, owners, visible=seen, source=source, points=rows, size=size, meta=meta)


def _queries(visible: NDArray[np.bool_], mode: str) -> list[tuple[int, int]]:
    """(point, frame) of each query; points that are never visible have none."""
    if mode == "first":
        return [(int(n), int(visible[n].argmax())) for n in np.flatnonzero(visible.any(axis=1))]
    return [(int(n), t) for t in range(0, visible.shape[1], _STRIDE) for n in np.flatnonzero(visible[:, t])]


class _JpegSource(FrameSource):
    """A video given as JPEG files in memory."""

    def __init__(self, files: list[bytes], name: str, where: str, fps: float):
        self.name, self.source, self.fps, self._files = name, where, fps, files
        self.timestamps = np.arange(len(files)) / fps
        self.height, self.width = self.get(0).shape[:2]

    def get(self, index: int) -> Image:
        import cv2

        where = f"{self.source}, frame {index}"
        check_picture(io.BytesIO(self._files[index]), where)
        with damage_as(VideoError, where, "a JPEG image"):
            image = cv2.imdecode(np.frombuffer(self._files[index], np.uint8), cv2.IMREAD_COLOR)
            if image is None:
                raise ValueError("it can't be decoded")
            return np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), dtype=np.uint8)

    def digest(self) -> str:
        import hashlib

        total = hashlib.sha256()
        for file in self._files:
            total.update(file)
        return "sha256:" + total.hexdigest()


def _video(data: Any, name: str, where: str, fps: float) -> Video:
    if isinstance(data, np.ndarray) and data.ndim == 4:
        return open_video(data, fps=fps, name=name)
    files = [_file(item) for item in data] if isinstance(data, list | tuple) else []
    if not files or None in files:
        raise FormatError(f"{where}: expected the video as an array (T, H, W, 3) or a list of JPEG files.")
    return Video(_JpegSource([file for file in files if file], name, where, fps))


def _file(item: Any) -> bytes | None:
    """A file as bytes or as an array of them; None for anything else."""
    if isinstance(item, np.ndarray) and item.dtype == np.uint8 and item.ndim == 1:
        item = item.tobytes()
    return item if isinstance(item, bytes) and item else None


def _blank(*_: Any) -> NDArray[Any]:
    """What numpy's `_reconstruct` makes of its usual arguments: its state, which comes after, is checked by numpy."""
    return np.ndarray((0,), "b")


_KNOWN = {
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
    ("_codecs", "encode"): _latin1,
    **{(f"numpy.{core}.multiarray", "_reconstruct"): _blank for core in ("core", "_core")},
    **{(f"numpy.{core}.multiarray", "scalar"): scalar for core in ("core", "_core")},
    **{(f"numpy.{core}.numeric", "_frombuffer"): _frombuffer for core in ("core", "_core")},
}


class _Arrays(_Unpickler):
    """Knows numpy arrays and plain values; refuses every other class before anything of it runs.

    It is Python's own in Python: that in C makes room for as many memories as a damaged file claims.
    """

    dispatch: ClassVar[dict[int, Any]] = dict(_Unpickler.dispatch)
    stack: list[Any]

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _KNOWN:
            raise FormatError(f"holds {module}.{name}, which is not an array. Such a file is not opened.")
        return _KNOWN[module, name]

    def _set_state(self) -> None:
        """Give an array its content, or a type its byte order; a type's offsets would point anywhere in memory."""
        state, made = self.stack.pop(), self.stack[-1]
        usual = made.__reduce__()[2] if isinstance(made, np.dtype) else ()
        if not isinstance(made, np.ndarray) and not (
            usual and isinstance(state, tuple) and state[2:] == usual[2:] and state[1] in ("<", ">", "=", "|")
        ):
            raise FormatError(
                f"sets the state of {type(made).__name__}, which is not an array. Such a file is not opened."
            )
        made.__setstate__(state)

    dispatch[pickle.BUILD[0]] = _set_state
    for _code in (pickle.EXT1, pickle.EXT2, pickle.EXT4):  # objects of this process, by number
        del dispatch[_code[0]]


def _load(path: Path) -> Any:
    try:
        with damage_as(FormatError, path, "a pickle of TAP-Vid"), BoundedFile(path) as file:
            return _Arrays(file).load()
    except FormatError as error:
        raise FormatError(str(error) if str(error).startswith(str(path)) else f"{path}: {error}") from None


FORMAT = TapVid(
    name="tapvid",
    family="points",
    summary="<file>.pkl of {name: {video, points, occluded}}; results: <tracker>/<sequence>.parquet or .pkl",
    rules={"tapvid-first": "tapvid-first", "tapvid-strided": "tapvid-strided", "robotap": "tapvid-first"},
    rule="tapvid-first",
    suffix=".parquet",
    holds=frozenset({"points", "objects", "hidden", "size"}),
)
