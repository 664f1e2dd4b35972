"""TAP-Vid layout: a pickle of `{name: {video, points, occluded}}`, or a list of such entries (Kinetics, RGB-Stacking).

`video` is uint8 (T, H, W, 3) or a list of JPEG files as bytes, `points` float (N, T, 2) as (x, y) in fractions of the
frame, `occluded` bool (N, T). Differs from vtlab's convention: `visible` is the inverse of `occluded`, points are in
pixels here. A pickle can run code; this one is read by an unpickler that knows arrays and plain values only.

Benchmark: Doersch et al., TAP-Vid, NeurIPS 2022 (arXiv:2211.03726).
"""

from __future__ import annotations

import os
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from vtlab.errors import FormatError, InputError, VideoError
from vtlab.prompts import PointPrompt, Prompts
from vtlab.sequence import Dataset, Sequence
from vtlab.tracks import PointRows, Tracks
from vtlab.video import FrameSource, Image, Video, open_video

_FPS = 25.0
_STRIDE = 5


def _latin1(text: str, encoding: str) -> bytes:
    """`_codecs.encode` as pickles of protocol 2 use it for bytes, and for nothing else."""
    if encoding != "latin1":
        raise FormatError(f"asks for the codec {encoding!r}. Such a file is not opened.")
    return text.encode("latin1")


_ARRAYS = {("multiarray", "_reconstruct"), ("multiarray", "scalar"), ("numeric", "_frombuffer")}


class TapVid(Dataset):
    """Sequences of one TAP-Vid file. The file is one pickle, so it is read as a whole.

    Args:
        path: The .pkl file.
        queries: "first": each point is asked for where it is first visible. "strided": on every fifth frame, each
            point that is visible there is asked for, as an object of its own.
        fps: Frames per second; the file does not say.

    Raises:
        FormatError: If the file is missing, holds anything but arrays and plain values, or lacks an entry.
    """

    layout: ClassVar[str] = "tapvid"

    def __init__(
        self, path: str | os.PathLike[str], queries: Literal["first", "strided"] = "first", fps: float = _FPS
    ):
        if queries not in ("first", "strided"):
            raise InputError(f"Expected queries 'first' or 'strided', got {queries!r}.")
        self.root, self._queries, self._fps = Path(path), queries, fps
        content = _load(self.root)
        if isinstance(content, Mapping):
            self._entries = {str(name): entry for name, entry in content.items()}
        elif isinstance(content, list | tuple):
            self._entries = {f"{i:05d}": entry for i, entry in enumerate(content)}
        else:
            raise FormatError(
                f"{path}: expected a dictionary or a list of videos, got {type(content).__name__}."
            )
        self.names = tuple(self._entries)

    def load(self, name: str) -> Sequence:
        """Make a sequence: every query is an object (ids from 1 in the file's order) with one point."""
        video, points, visible = self._parts(name)
        size = (video.height, video.width)
        xy = points.astype(np.float64) * (video.width, video.height)
        count = len(video)
        asked = _queries(visible, self._queries)
        ids = np.arange(1, len(asked) + 1)
        track = np.array([number for number, _ in asked], dtype=np.int64)
        frames = np.tile(np.arange(count), len(asked))
        owners = np.repeat(ids, count)
        places, seen = xy[track].reshape(-1, 2), visible[track].reshape(-1)
        rows = PointRows.of(frames, owners, np.zeros_like(frames), places, seen)
        meta = {"format": "tapvid", "file": str(self.root), "frames": count, "queries": self._queries}
        truth = Tracks.of(frames, owners, visible=seen, source="manual", points=rows, size=size, meta=meta)
        prompts = [
            PointPrompt((tuple(xy[number, frame].tolist()),), object_id=int(i), frame=frame)
            for i, (number, frame) in zip(ids, asked, strict=True)
        ]
        return Sequence(name, video, truth, Prompts(prompts), benchmark=f"tapvid-{self._queries}")

    def _parts(self, name: str) -> tuple[Video, NDArray[Any], NDArray[np.bool_]]:
        """The video, points (N, T, 2) in fractions, and visibility (N, T), checked against each other."""
        entry, where = self._entries[name], f"{self.root}, {name!r}"
        if not isinstance(entry, Mapping) or not {"video", "points", "occluded"} <= set(entry):
            raise FormatError(f"{where}: expected the entries video, points and occluded.")
        video = _video(entry["video"], name, where, self._fps)
        points, occluded = np.asarray(entry["points"]), np.asarray(entry["occluded"]).astype(bool)
        if points.ndim != 3 or points.shape[1:] != (len(video), 2) or occluded.shape != points.shape[:2]:
            raise FormatError(
                f"{where}: expected points (N, {len(video)}, 2) and occluded (N, {len(video)}) for a video of "
                f"{len(video)} frames, got {points.shape} and {occluded.shape}."
            )
        return video, points, ~occluded & np.isfinite(points).all(axis=2)


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

        image = cv2.imdecode(np.frombuffer(self._files[index], np.uint8), cv2.IMREAD_COLOR)
        if image is None:
            raise VideoError(f"{self.source}: frame {index} is no readable JPEG image.")
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
    files = (
        [bytes(item) for item in data] if isinstance(data, list | tuple | np.ndarray) and len(data) else []
    )
    if not files:
        raise FormatError(f"{where}: expected the video as an array (T, H, W, 3) or a list of JPEG files.")
    return Video(_JpegSource(files, name, where, fps))


class _Unpickler(pickle.Unpickler):
    """Knows numpy arrays and plain values; refuses every other class before anything of it runs."""

    def find_class(self, module: str, name: str) -> Any:
        package, _, part = module.rpartition(".")
        if package in ("numpy.core", "numpy._core") and (part, name) in _ARRAYS:
            return super().find_class(f"numpy._core.{part}", name)
        if module == "numpy" and name in ("ndarray", "dtype"):
            return super().find_class(module, name)
        if (module, name) == ("_codecs", "encode"):
            return _latin1
        raise FormatError(f"holds {module}.{name}, which is not an array. Such a file is not opened.")


def _load(path: Path) -> Any:
    try:
        with path.open("rb") as file:
            return _Unpickler(file).load()
    except FormatError as error:
        raise FormatError(f"{path}: {error}") from None
    except OSError as error:
        raise FormatError(f"{path}: can't be read ({error.strerror}).") from None
    except (
        pickle.UnpicklingError,
        EOFError,
        ValueError,
        TypeError,
        AttributeError,
        IndexError,
        KeyError,
    ) as error:
        raise FormatError(f"{path}: is no pickle of TAP-Vid, or it is damaged ({error}).") from None
