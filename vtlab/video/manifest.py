"""What a video's frames look like, in a few bytes each: by that two files are known to show the same frames, or not.

A manifest holds for each frame its time stamp, an exact digest (SHA-256 of the decoded pixels, its first 16 bytes), a
perceptual hash that survives another codec, size or brightness, and a thumbnail, by which `align` tells one frame from
the next.

What the perceptual hash is, says `vtlab.video.hashing`.
"""

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from vtlab.errors import FormatError, InputError, VtlabWarning, WriteError
from vtlab.files import cache_folder, damage_as, read_parquet, write_whole
from vtlab.video.base import FloatArray, Image, Video
from vtlab.video.hashing import HASH_BYTES, SIDE, Bytes, perceptual, small, thumbnails
from vtlab.video.stream import StreamVideo

EXACT_BYTES = 16
"""Of an exact digest."""
_BATCH = 64
"""Frames that are hashed at once, while decoding goes on."""
_KEPT = 64
"""Frames from which on a manifest is kept in the cache."""
_VERSION = 1
"""Of the layout; an other one is made again."""
_COLUMNS = {"exact": EXACT_BYTES, "hash": HASH_BYTES, "thumbnail": SIDE * SIDE}

Report = Callable[[int, int], object]


@dataclass(frozen=True)
class Manifest:
    """What each frame of a video looks like.

    Attributes:
        name: Of the video.
        digest: Of its content, as `Video.digest` gives it.
        width: Of every image, in pixels.
        height: Of every image, in pixels.
        times: Time stamps in seconds, float64 (N,).
        exact: First 16 bytes of the SHA-256 of each frame's decoded pixels, uint8 (N, 16). Other decoders may differ.
        hashes: Perceptual hashes, uint8 (N, 32).
        thumbnails: Grey levels of 16 x 16 cells, uint8 (N, 256).
    """

    name: str
    digest: str
    width: int
    height: int
    times: FloatArray
    exact: Bytes
    hashes: Bytes
    thumbnails: Bytes

    def __len__(self) -> int:
        return len(self.times)

    def __repr__(self) -> str:
        return f"Manifest({self.name!r}, {len(self)} frames, {self.width}x{self.height})"

    @classmethod
    def of(cls, video: Video, *, progress: bool | Report = True, cache: bool = True) -> Manifest:
        """Read a video once from end to end, or find what was read before.

        What the frames look like is noted on the video, so that labels made on it from then on say so. A handful of frames
        is held at a time. Where the manifest is kept: `VTLAB_CACHE`/manifests, else the user's cache
        folder, under the digest of the video.

        Args:
            video: The footage; no stream.
            progress: A progress bar, none, or a function called with (frames done, frames in all).
            cache: Look for it in the cache, and keep it there (of 64 frames and more).

        Raises:
            InputError: It is a stream, which can't be read twice.
            VideoError: A frame can't be decoded.
        """
        if isinstance(video, StreamVideo):
            raise InputError(
                f"{video.name!r} is a stream: its frames are known once only. Remedy: record it first."
            )
        place = _place(video) if cache and len(video) >= _KEPT else None
        found = None if place is None else _kept(place, video)
        if found is None:
            found = _read_all(video, progress)
            if place is not None:
                _keep(found, place)
        video.note({i: row.tobytes() for i, row in enumerate(found.hashes)})
        return found

    def save(self, path: str | Path) -> Path:
        """Write the manifest to one Parquet file (whole or not at all), about 200 bytes a frame, and return its path."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        values = {"exact": self.exact, "hash": self.hashes, "thumbnail": self.thumbnails}
        columns: dict[str, Any] = {"time": self.times}
        columns |= {name: pa.array([row.tobytes() for row in v], pa.binary()) for name, v in values.items()}
        header = {"version": _VERSION, "name": self.name, "digest": self.digest}
        header |= {"width": self.width, "height": self.height}
        table = pa.table(columns).replace_schema_metadata({"vtlab.manifest": json.dumps(header)})
        return write_whole(path, lambda part: pq.write_table(table, part, compression="zstd"))

    @classmethod
    def load(cls, path: str | Path) -> Manifest:
        """Read what `save` wrote; raises `FormatError` for anything else."""
        expected = "a manifest of frames, as Manifest.save writes it"
        if not Path(path).is_file():
            raise FormatError(
                f"{path}: there is no such manifest. Make one with Manifest.of(video).save(path)."
            )
        table = read_parquet(path, expected)
        with damage_as(FormatError, path, expected):
            header = json.loads((table.schema.metadata or {})[b"vtlab.manifest"])
            if header["version"] != _VERSION:
                raise ValueError(f"version {header['version']!r}, this vtlab reads version {_VERSION}")
            told = {key: _typed(header, key, str) for key in ("name", "digest")}
            told |= {key: _typed(header, key, int) for key in ("width", "height")}
            times = table.column("time").to_numpy(zero_copy_only=False)
            if times.dtype != np.float64 or not np.isfinite(times).all() or not len(times):
                raise ValueError("the times must be finite seconds, one for each of one or more frames")
            columns = [_column(table, name, size) for name, size in _COLUMNS.items()]
            return cls(**told, times=times, exact=columns[0], hashes=columns[1], thumbnails=columns[2])


def _typed(header: dict[str, Any], key: str, kind: type) -> Any:
    value: Any = header[key]
    fits = isinstance(value, kind) and not isinstance(value, bool)
    if not fits or (isinstance(value, int) and not 0 < value < 2**20):
        raise ValueError(f"{key!r} is {value!r}"[:80])
    return value


def _column(table: Any, name: str, size: int) -> Bytes:
    """A column of `size` bytes in each row, (N, size)."""
    values = table.column(name).to_pylist()
    wrong = next((i for i, v in enumerate(values) if not isinstance(v, bytes) or len(v) != size), None)
    if wrong is not None:
        raise ValueError(f"frame {wrong}: {name!r} must be {size} bytes")
    return np.frombuffer(b"".join(values), np.uint8).reshape(-1, size)


def _read_all(video: Video, progress: bool | Report) -> Manifest:
    parts: list[tuple[Bytes, Bytes, Bytes]] = []
    with _reported(progress, video) as images:
        for batch in _batches(images):
            frames = np.stack([small(image) for image in batch])
            exact = [_exact(image) for image in batch]
            parts.append((np.stack(exact), perceptual(frames), thumbnails(frames)))
    columns = [np.concatenate(column) for column in zip(*parts, strict=True)]
    times = np.asarray(video.timestamps, dtype=np.float64)
    return Manifest(video.name, video.digest(), video.width, video.height, times, *columns)


def _exact(image: Image) -> Bytes:
    return np.frombuffer(hashlib.sha256(np.ascontiguousarray(image).data).digest()[:EXACT_BYTES], np.uint8)


def _batches(images: Iterable[Image]) -> Iterator[list[Image]]:
    """Images by the handful; few of large ones."""
    held: list[Image] = []
    for image in images:
        held.append(image)
        if len(held) == _BATCH or sum(i.nbytes for i in held) > 2**25:
            yield held
            held = []
    if held:
        yield held


@contextmanager
def _reported(progress: bool | Report, video: Video) -> Iterator[Iterable[Image]]:
    """The images of a video, their reading reported."""
    if progress is True:
        from vtlab.files.bars import bar

        with bar(total=len(video), desc=f"frames of {video.name}", unit="frame", delay=1.0) as shown:
            yield _counted(video, lambda done, _: shown.update(done - shown.n))
    else:
        yield _counted(video, progress or (lambda done, total: None))


def _counted(video: Video, report: Report) -> Iterator[Image]:
    for done, image in enumerate(video, start=1):
        yield image
        report(done, len(video))


def _place(video: Video) -> Path:
    """Where the manifest of a video is kept."""
    key = hashlib.sha256(f"{_VERSION} {video.digest()} {video.width}x{video.height}".encode()).hexdigest()
    return cache_folder("manifests") / f"{key}.parquet"


def _kept(place: Path, video: Video) -> Manifest | None:
    """What was kept, with the video's own name and time stamps; None where nothing usable is there."""
    try:
        found = Manifest.load(place) if place.is_file() else None
    except FormatError:
        return None  # it is made again, and takes the place of the damaged one
    if found is None or len(found) != len(video) or found.digest != video.digest():
        return None
    pixels = (found.exact, found.hashes, found.thumbnails)
    return Manifest(video.name, found.digest, found.width, found.height, video.timestamps, *pixels)


def _keep(found: Manifest, place: Path) -> None:
    """Keep a manifest; where that fails it is made again the next time, and it is said so."""
    try:
        found.save(place)
    except WriteError as error:
        warnings.warn(
            f"What the frames of {found.name!r} look like can't be kept: {error} Or set VTLAB_CACHE to another folder.",
            VtlabWarning,
            stacklevel=4,
        )
