"""Video: frames with time stamps, whatever they come from. Lazy, array-like, frame-exact, never whole in memory.

    video = open_video("street.mp4")          # also a folder or glob of images, an address, an array
    video[12]                                 # RGB image (H, W, 3), uint8
    video[100:200:5]                          # a Video of every fifth frame, nothing decoded yet
    for frame in video.frames(step=-1): ...   # Frame(index, timestamp, image), backwards in bounded memory

Frame indices are 0-based. Time stamps are seconds from the first frame, as recorded (variable frame rates keep
theirs). A rotation recorded in the file is applied. Pixels are as stored: non-square pixels are not stretched.
"""

from __future__ import annotations

import contextlib
import glob
import hashlib
import operator
import os
import re
import threading
import warnings
from abc import ABC, abstractmethod
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload
from urllib.parse import urlsplit, urlunsplit

import numpy as np
from numpy.typing import NDArray

from vtlab.errors import InputError, VideoError, VtlabWarning
from vtlab.files import write_whole

if TYPE_CHECKING:
    from vtlab.video.decode import Decoder, FileIndex

Image = NDArray[np.uint8]
FloatArray = NDArray[np.float64]

CACHE_BYTES = 128 * 2**20
"""Default bound on the images that a video keeps for random access."""

BACKWARD_BYTES = 96 * 2**20
"""Bound on the frames held (as decoded) while reading a file backwards."""

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".ppm"})
IMAGE_FPS = 30.0
"""Frames per second taken for images and arrays when none is given."""

_BEHIND = 16
"""Frames just before a frame sought that are kept too (as decoded), so that stepping back is cheap."""

_RECENT_BYTES = 48 * 2**20
"""Bound on those."""

_ADDRESSES = frozenset({"http", "https", "rtsp", "rtsps", "rtmp", "udp", "srt"})


@dataclass(frozen=True, slots=True)
class Frame:
    """One image of a video.

    Attributes:
        index: 0-based number of the frame in its video.
        timestamp: Seconds from the video's first frame.
        image: RGB (H, W, 3), uint8.
    """

    index: int
    timestamp: float
    image: Image


class FrameSource(ABC):
    """Where a video's images come from; implement `get` and `digest` to make a video of anything.

    Methods may be called from several threads at once. Each image returned is the caller's own.

    Attributes:
        name: Short name for tables and files.
        source: Path, address or description, for provenance.
        width: Of every image, in pixels.
        height: Of every image, in pixels.
        fps: Frames per second: nominal, or the mean of the time stamps.
        timestamps: Seconds of each frame, increasing, float64 (N,).
    """

    name: str
    source: str
    width: int
    height: int
    fps: float
    timestamps: FloatArray

    @abstractmethod
    def get(self, index: int) -> Image:
        """Return image `index` (0 <= index < N) as RGB (H, W, 3), uint8."""

    def read(self, indices: range) -> Iterator[Image]:
        """Yield the images at `indices`, in that order; made for long runs in one direction."""
        for index in indices:
            yield self.get(index)

    @abstractmethod
    def digest(self) -> str:
        """Return a hash of the content, as 'sha256:...'."""

    def close(self) -> None:  # noqa: B027 (most sources hold nothing open)
        """Release what is held open; may be called twice."""


class _FrameIndexError(InputError, IndexError):
    """A frame that does not exist; an IndexError too, as Python's sequences raise."""


class _UnknownLengthError(VideoError, TypeError):
    """The length of a stream; a TypeError too, which is how `list(stream)` learns that there is none."""


class Video:
    """Frames with time stamps: array-like, lazy, safe to read from several threads and iterators at once.

    Use `open_video`, or wrap a `FrameSource` of your own.

    Args:
        source: Where the images come from.
        cache_bytes: Bound on the images kept for random access. Iterating keeps none.
        indices: Which frames of the source; all by default.
    """

    def __init__(self, source: FrameSource, *, cache_bytes: int = CACHE_BYTES, indices: range | None = None):
        self._frames_source = source
        self._indices = range(len(source.timestamps)) if indices is None else indices
        self._cache_bytes = cache_bytes
        self._cache: OrderedDict[int, Image] = OrderedDict()
        self._lock = threading.Lock()
        self._digest: str | None = None
        self._closed = False

    # -- what it is ------------------------------------------------------------------------------------------

    @property
    def name(self) -> str:
        """Short name, for tables and files: the file's or folder's name without suffix."""
        return self._frames_source.name

    @property
    def source(self) -> str:
        """Path, address or description of where the frames come from."""
        return self._frames_source.source

    @property
    def width(self) -> int:
        """Width of every image in pixels."""
        return self._frames_source.width

    @property
    def height(self) -> int:
        """Height of every image in pixels."""
        return self._frames_source.height

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """(frames, height, width, 3), as the array of the whole video would have."""
        return len(self), self.height, self.width, 3

    @property
    def fps(self) -> float:
        """Frames per second; of a slice with a step, the rate that remains."""
        return self._frames_source.fps / abs(self._indices.step)

    @property
    def timestamps(self) -> FloatArray:
        """Seconds of each frame, counted from the first frame of the source, float64 (N,)."""
        return self._frames_source.timestamps[np.arange(len(self)) * self._indices.step + self._indices.start]

    @property
    def span(self) -> tuple[int, int]:
        """(start, step): frame i is frame `start + i * step` of the source; (0, 1) unless this is a slice."""
        return self._indices.start, self._indices.step

    @property
    def duration(self) -> float:
        """Seconds from the first frame's beginning to the last one's end (one frame of `fps` after its start)."""
        times = self.timestamps
        return float(abs(times[-1] - times[0]) + 1.0 / self.fps) if len(times) else 0.0

    def digest(self) -> str:
        """Return a hash of the content ('sha256:...') that names this video in provenance; computed once."""
        if self._digest is None:
            digest, r = self._frames_source.digest(), self._indices
            if r != range(len(self._frames_source.timestamps)):
                digest = f"{digest}[{r.start}:{r.stop}:{r.step}]"
            self._digest = digest
        return self._digest

    def __len__(self) -> int:
        return len(self._indices)

    def __repr__(self) -> str:
        size, seconds = f"{self.width}x{self.height}", f"{self.duration:.2f} s"
        return f"Video({self.name!r}, {len(self)} frames, {size}, {self.fps:.4g} fps, {seconds})"

    # -- reading ---------------------------------------------------------------------------------------------

    @overload
    def __getitem__(self, key: int) -> Image: ...
    @overload
    def __getitem__(self, key: slice) -> Video: ...
    def __getitem__(self, key: int | slice) -> Image | Video:
        """Return image `key` as RGB (H, W, 3), or for a slice a lazy `Video` with indices of its own from 0."""
        if isinstance(key, slice):
            return Video(self._frames_source, cache_bytes=self._cache_bytes, indices=self._indices[key])
        return self._image(self._position(key))

    def __iter__(self) -> Iterator[Image]:
        """Yield every image in order."""
        return (frame.image for frame in self.frames())

    def frame(self, index: int) -> Frame:
        """Return one frame, exactly the one that iterating gives.

        Raises:
            InputError: If there is no such frame.
            VideoError: If it can't be decoded.
        """
        position = self._position(index)
        return Frame(position, self._timestamp(position), self._image(position))

    def frames(self, start: int | None = None, stop: int | None = None, step: int = 1) -> Iterator[Frame]:
        """Yield frames `start`, `start + step`, ... before `stop`, as `range` counts; a negative step goes back.

        Each call reads on its own, so several iterators may run at once. Going backwards, a bounded number of
        images is held, however long the video is.

        Args:
            start: First frame; by default the first, or going backwards the last.
            stop: Where to end (excluded); by default beyond the end in that direction.
            step: Frames from one to the next, not 0.

        Raises:
            InputError: If `start` does not exist or `step` is 0.
            VideoError: If a frame can't be decoded.
        """
        self._check_open()
        if step == 0:
            raise InputError("Expected a step other than 0 between frames.")
        count = len(self)
        first = (0 if step > 0 else count - 1) if start is None else operator.index(start)
        last = (count if step > 0 else -1) if stop is None else min(max(operator.index(stop), -1), count)
        if start is not None and not 0 <= first < max(count, 1):
            raise _FrameIndexError(self._no_such_frame(first))
        return self._read(range(first, last, step))

    def _read(self, positions: range) -> Iterator[Frame]:
        r = self._indices
        wanted = range(
            r.start + positions.start * r.step, r.start + positions.stop * r.step, positions.step * r.step
        )
        images = self._frames_source.read(wanted)
        for position, image in zip(positions, images, strict=True):
            yield Frame(position, self._timestamp(position), image)

    def _timestamp(self, position: int) -> float:
        return float(self._frames_source.timestamps[self._indices[position]])

    def _image(self, position: int) -> Image:
        """Return one image through the cache; the caller gets a copy, so drawing on it harms nobody."""
        self._check_open()
        with self._lock:
            kept = self._cache.get(position)
            if kept is not None:
                self._cache.move_to_end(position)
                return kept.copy()
        image = self._frames_source.get(self._indices[position])
        if image.nbytes <= self._cache_bytes:
            with self._lock:
                self._cache[position] = image.copy()
                while len(self._cache) * image.nbytes > self._cache_bytes:
                    self._cache.popitem(last=False)
        return image

    def _position(self, index: int) -> int:
        try:
            position = operator.index(index)
        except TypeError as error:
            raise InputError(f"Expected a frame number (int) or a slice, got {index!r}.") from error
        position = position + len(self) if position < 0 else position
        if not 0 <= position < len(self):
            raise _FrameIndexError(self._no_such_frame(index))
        return position

    def _no_such_frame(self, index: int) -> str:
        known = f"frames 0 to {len(self) - 1}" if len(self) else "no frames"
        return f"Frame {index} does not exist: {self.name!r} has {known}."

    # -- closing ---------------------------------------------------------------------------------------------

    def _check_open(self) -> None:
        if self._closed:
            raise VideoError(f"The video {self.name!r} is closed. Remedy: open it again with open_video.")

    def close(self) -> None:
        """Release files and cached images; reading afterwards raises `VideoError`. May be called twice."""
        self._closed = True
        with self._lock:
            self._cache.clear()
        self._frames_source.close()

    def __enter__(self) -> Video:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class StreamVideo(Video):
    """A stream of unknown length (http, rtsp, ...): it can be iterated once and has no random access."""

    def __init__(self, address: str):
        from vtlab.video.decode import Converter, Layout, open_container

        self._address = _without_password(address)
        self._closed = self._used = False
        options = {"rtsp_transport": "tcp"} if address.startswith("rtsp") else {}
        with _naming(address, self._address):
            self._container, self._stream = open_container(address, timeout=(10.0, 10.0), options=options)
            self._decoded = self._container.decode(self._stream)
            self._first = self._next()
        if self._first is None:
            self._container.close()
            raise VideoError(f"The stream {self._address!r} ended before its first picture.")
        layout = Layout.of(self._first)
        self._size, self._convert = layout.size, Converter(layout)

    @property
    def name(self) -> str:
        """Last part of the address, without suffix."""
        parts = urlsplit(self._address)
        return Path(parts.path).stem or parts.netloc

    @property
    def source(self) -> str:
        """The address, without a password."""
        return self._address

    @property
    def width(self) -> int:
        """Width in pixels."""
        return self._size[0]

    @property
    def height(self) -> int:
        """Height in pixels."""
        return self._size[1]

    @property
    def fps(self) -> float:
        """Frames per second that the stream announces."""
        return float(self._stream.average_rate or self._stream.base_rate or IMAGE_FPS)

    @property
    def timestamps(self) -> FloatArray:
        """Unknown: raises `VideoError`."""
        raise self._unknown("Its time stamps are")

    @property
    def span(self) -> tuple[int, int]:
        """(0, 1): a stream has no slices."""
        return 0, 1

    @property
    def duration(self) -> float:
        """Unknown: raises `VideoError`."""
        raise self._unknown("Its duration is")

    def digest(self) -> str:
        """Return a hash of the address: a stream has no content before it is read."""
        return "sha256:" + hashlib.sha256(self._address.encode()).hexdigest()

    def __len__(self) -> int:
        raise self._unknown("Its length is")

    def __repr__(self) -> str:
        return f"Video({self._address!r}, a stream, {self.width}x{self.height}, {self.fps:.4g} fps)"

    def __getitem__(self, key: Any) -> Any:
        """Not possible: raises `VideoError`."""
        raise self._unknown("Single frames and slices are")

    def frame(self, index: int) -> Frame:
        """Not possible: raises `VideoError`."""
        raise self._unknown("Single frames are")

    def frames(self, start: int | None = None, stop: int | None = None, step: int = 1) -> Iterator[Frame]:
        """Yield frames as they come, once, up to frame `stop` (excluded).

        Raises:
            VideoError: If the stream was read before, if it is not read forward from its first frame, or if
                the connection breaks.
        """
        if step != 1 or start not in (None, 0):
            raise self._unknown("Starting later, steps and going backwards are")
        self._check_open()
        if self._used:
            raise VideoError(
                f"The stream {self._address!r} can be read only once. Remedy: open_video it again."
            )
        self._used = True
        return self._live(stop)

    def _live(self, stop: int | None) -> Iterator[Frame]:
        frame, index, begin = self._first, 0, None
        self._first = None
        while frame is not None and (stop is None or index < stop):
            seconds = float(frame.time) if frame.time is not None else index / self.fps
            begin = seconds if begin is None else begin
            yield Frame(index, seconds - begin, self._convert(frame))
            frame, index = self._next(), index + 1

    def _next(self) -> Any:
        """Return the next decoded frame, None at the end."""
        import av

        try:
            return next(self._decoded, None)
        except (av.FFmpegError, OSError) as error:
            raise VideoError(f"The stream {self._address!r} broke off: {error}.") from error

    def _unknown(self, what: str) -> _UnknownLengthError:
        return _UnknownLengthError(
            f"{self._address!r} is a stream of unknown length. {what} not known before it is read. "
            "Remedy: iterate over it once, or download it and open the file."
        )

    def close(self) -> None:
        """Close the connection; may be called twice."""
        self._closed = True
        self._container.close()


# -- sources -------------------------------------------------------------------------------------------------


class _FileSource(FrameSource):
    """A file read by PyAV."""

    def __init__(self, path: str, fps: float | None, verify: bool):
        from vtlab.video.decode import Converter, Layout

        self.source, self.name = path, Path(path).stem
        self._lock = threading.Lock()
        self._index = _index(path, verify)
        self._decoder: Decoder | None = self._new_decoder()
        first = self._decoder.get(0)
        self._layout = Layout.of(first)
        self._frame_bytes = sum(plane.buffer_size for plane in first.planes)
        self._convert = Converter(self._layout)
        self._recent: OrderedDict[int, Any] = OrderedDict()
        self.width, self.height = self._layout.size
        self._behind = min(_BEHIND, 1 + _RECENT_BYTES // (2 * self._frame_bytes))
        self.fps, self.timestamps = _clock(self._index, fps)

    def get(self, index: int) -> Image:
        with self._lock:
            if self._decoder is None:
                self._decoder = self._new_decoder()
            if index not in self._recent:
                for near in range(self._first_kept(index), index):
                    with contextlib.suppress(
                        VideoError
                    ):  # damage before the frame asked for does not matter here
                        self._recent[near] = self._decoder.get(near)
                self._recent[index] = self._decoder.get(index)
            while len(self._recent) > 2 * self._behind:
                self._recent.popitem(last=False)
            return self._convert(self._recent[index])

    def _first_kept(self, index: int) -> int:
        """First frame worth keeping on the way to `index`: none before its key frame, none that is kept already."""
        key = int(self._index.keys[max(self._index.key_before(index), 0)])
        begin = max(index - self._behind, min(key, index))
        return next((near + 1 for near in range(index - 1, begin - 1, -1) if near in self._recent), begin)

    def read(self, indices: range) -> Iterator[Image]:
        from vtlab.video.decode import Converter

        if not indices:
            return
        decoder, convert = self._new_decoder(), Converter(self._layout)
        try:
            if indices.step > 0:
                for index in indices:
                    yield convert(decoder.get(index))
                return
            for chunk in self._chunks(indices):
                held = [decoder.get(index) for index in reversed(chunk)]
                while held:
                    yield convert(held.pop())
        finally:
            decoder.close()

    def _chunks(self, indices: range) -> Iterator[range]:
        """Cut a falling range where a key frame lies, and where the images of a piece would need too much memory."""
        limit = max(1, BACKWARD_BYTES // self._frame_bytes)
        while indices:
            key = self._index.keys[max(self._index.key_before(indices[0]), 0)]
            size = min(limit, max(1, (indices[0] - int(key)) // -indices.step + 1))
            yield indices[:size]
            indices = indices[size:]

    def _new_decoder(self) -> Decoder:
        from vtlab.video.decode import Decoder

        return Decoder(self.source, self._index)

    def digest(self) -> str:
        return "sha256:" + _hash_file(Path(self.source), hashlib.sha256()).hexdigest()

    def close(self) -> None:
        with self._lock:
            if self._decoder is not None:
                self._decoder.close()
            self._decoder = None
            self._recent.clear()


def _index(path: str, verify: bool) -> FileIndex:
    """List a file's frames; decode it whole where its packets or its first frame say that it is damaged."""
    from vtlab.video.decode import Decoder, index_frames, index_packets

    index = None if verify else index_packets(path)
    if index is not None:
        decoder = Decoder(path, index)
        try:
            decoder.get(0)
            return index
        except VideoError:
            pass
        finally:
            decoder.close()
    index = index_frames(path)
    if index.promise:
        warnings.warn(
            f"{path!r} is damaged or cut short: its header announces {index.promise}, "
            f"{len(index.pts)} frames can be decoded and are used.",
            VtlabWarning,
            stacklevel=6,
        )
    return index


def _clock(index: FileIndex, fps: float | None) -> tuple[float, FloatArray]:
    """Frames per second and time stamps: as recorded, or even ones where `fps` is given.

    The nominal rate is kept where the recorded times agree with it to 0.1 per cent, so that rounded time stamps
    do not make 29.97 something else.
    """
    if fps is not None:
        return fps, np.arange(len(index.pts)) / fps
    times = index.seconds - index.seconds[0]
    nominal = float(index.rate) if index.rate else IMAGE_FPS
    if times[-1] == 0:
        return nominal, times
    mean = (len(times) - 1) / float(times[-1])
    return (nominal if abs(mean / nominal - 1) < 1e-3 else mean), times


class _ImageSource(FrameSource):
    """Image files, one a frame."""

    def __init__(self, paths: Sequence[Path], source: str, name: str, fps: float):
        self.source, self.name, self.fps = source, name, fps
        self._paths = list(paths)
        self.timestamps = np.arange(len(self._paths)) / fps
        self.width, self.height = _image_size(self._paths[0])
        for path in self._paths[1:]:
            if (size := _image_size(path)) != (self.width, self.height):
                raise VideoError(
                    f"The images of {source!r} have mixed sizes: {self._paths[0].name} has "
                    f"{self.width}x{self.height}, {path.name} has {size[0]}x{size[1]} (width x height). "
                    "Remedy: give images of one size only, e.g. by a glob, or resize them."
                )

    def get(self, index: int) -> Image:
        import cv2

        path = self._paths[index]
        try:
            image = cv2.imdecode(np.fromfile(path, dtype=np.uint8), cv2.IMREAD_COLOR)
        except (OSError, cv2.error) as error:
            raise VideoError(f"The image {str(path)!r} (frame {index}) can't be read: {error}.") from error
        if image is None or image.shape[:2] != (self.height, self.width):
            raise VideoError(
                f"The image {str(path)!r} (frame {index}) is damaged. Remedy: replace or remove it."
            )
        return np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), dtype=np.uint8)

    def digest(self) -> str:
        total = hashlib.sha256()
        for path in self._paths:
            total.update(_hash_file(path, hashlib.sha256()).digest())
        return "sha256:" + total.hexdigest()


class _ArraySource(FrameSource):
    """An array (N, H, W, 3)."""

    def __init__(self, array: Image, fps: float):
        self._array, self.fps = array, fps
        self.source, self.name = f"array {array.shape}", "array"
        self.height, self.width = array.shape[1:3]
        self.timestamps = np.arange(len(array)) / fps

    def get(self, index: int) -> Image:
        return np.array(self._array[index], dtype=np.uint8, order="C")

    def digest(self) -> str:
        total = hashlib.sha256(str(self._array.shape).encode())
        for image in self._array:
            total.update(np.ascontiguousarray(image).data)
        return "sha256:" + total.hexdigest()


def _image_size(path: Path) -> tuple[int, int]:
    """Width and height of an image file as shown, read from its header."""
    from PIL import Image as Pillow
    from PIL import UnidentifiedImageError

    try:
        with Pillow.open(path) as image:
            turned = image.format == "JPEG" and image.getexif().get(0x0112, 1) >= 5
            width, height = image.size
            return (height, width) if turned else (width, height)
    except (OSError, UnidentifiedImageError, Pillow.DecompressionBombError) as error:
        raise VideoError(
            f"{str(path)!r} is not a readable image: {error}. Remedy: replace or remove it."
        ) from error


def _hash_file(path: Path, total: Any) -> Any:
    with path.open("rb") as file:
        while block := file.read(2**20):
            total.update(block)
    return total


# -- opening -------------------------------------------------------------------------------------------------

VideoLike = Video | str | os.PathLike[str] | NDArray[np.uint8] | Sequence[str | os.PathLike[str]]


def open_video(
    source: VideoLike,
    *,
    fps: float | None = None,
    name: str | None = None,
    verify: bool = False,
    cache_bytes: int = CACHE_BYTES,
) -> Video:
    """Open a video file, a folder or glob of images, a list of image files, an address or an array.

    Nothing is decoded but the first frame. Images are sorted by the numbers in their names (2 before 10).

    Args:
        source: What to open. A `Video` is returned as it is; an array has shape (N, H, W, 3), uint8 RGB.
        fps: Frames per second of images and arrays (30 by default); for a file, replaces its time stamps.
        name: Name of the video; by default the file's or the folder's.
        verify: Decode a file once at opening and list only the frames that decode. Files that look damaged are
            treated so in any case.
        cache_bytes: Bound on the images kept for random access.

    Raises:
        VideoError: If it is missing, empty, damaged beyond reading, or not a video; the message names the remedy.

    Warns:
        VtlabWarning: If the file has fewer frames than it announces.
    """
    if fps is not None and not (np.isfinite(fps) and fps > 0):
        raise InputError(f"Expected fps above 0 (frames per second), got {fps}.")
    if isinstance(source, Video):
        return source
    if isinstance(source, str) and "://" in source:
        scheme = urlsplit(source).scheme
        if scheme not in _ADDRESSES:
            raise VideoError(
                f"Addresses of kind {scheme!r} can't be opened. Known: {', '.join(sorted(_ADDRESSES))}."
            )
        return StreamVideo(source)
    frames = _find_source(source, fps, verify)
    if name is not None:
        frames.name = name
    return Video(frames, cache_bytes=cache_bytes)


def _find_source(source: Any, fps: float | None, verify: bool) -> FrameSource:
    if isinstance(source, np.ndarray):
        return _ArraySource(_check_array(source), fps or IMAGE_FPS)
    if isinstance(source, str | os.PathLike):
        return _find_files(os.fspath(source), fps, verify)
    paths = [Path(path) for path in source]
    if not paths:
        raise VideoError("The list of images is empty. Remedy: give at least one image.")
    return _images(paths, str(paths[0].parent), fps)


def _find_files(source: str, fps: float | None, verify: bool) -> FrameSource:
    path = Path(source)
    if path.is_dir():
        files = _sorted_images(path.iterdir())
        if not files:
            raise VideoError(
                f"The folder {source!r} holds no images ({', '.join(sorted(IMAGE_SUFFIXES))}). "
                "Remedy: give the folder that holds the images themselves, or a glob."
            )
        return _images(files, source, fps)
    if path.is_file():
        if path.stat().st_size == 0:
            raise VideoError(f"The file {source!r} is empty (0 bytes). Remedy: copy or download it again.")
        if path.suffix.lower() in IMAGE_SUFFIXES:
            return _ImageSource([path], source, path.stem, fps or IMAGE_FPS)
        return _FileSource(source, fps, verify)
    if glob.has_magic(source):
        files = _sorted_images(Path(found) for found in glob.glob(source, recursive=True))
        if not files:
            raise VideoError(f"No image matches {source!r}. Remedy: check the pattern.")
        return _images(files, source, fps)
    raise VideoError(
        f"The video {source!r} does not exist. Remedy: check the path (working folder: {os.getcwd()!r})."
    )


def _images(files: list[Path], source: str, fps: float | None) -> FrameSource:
    return _ImageSource(files, source, files[0].resolve().parent.name, fps or IMAGE_FPS)


def _sorted_images(paths: Iterable[Path]) -> list[Path]:
    def natural(path: Path) -> list[tuple[int, int | str]]:
        return [(0, int(t)) if t.isdigit() else (1, t) for t in re.split(r"(\d+)", path.name) if t]

    kept = (p for p in paths if p.suffix.lower() in IMAGE_SUFFIXES and not p.name.startswith("."))
    return sorted(kept, key=natural)


def _check_array(array: NDArray[Any]) -> Image:
    if array.dtype != np.uint8 or array.ndim != 4 or array.shape[3] != 3 or 0 in array.shape:
        raise VideoError(
            f"Expected an array of RGB images of shape (N, H, W, 3) and type uint8, got shape {array.shape} and "
            f"type {array.dtype}. Remedy: stack the images, scale fractions by 255 and convert to uint8."
        )
    return array


def _without_password(address: str) -> str:
    parts = urlsplit(address)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


@contextlib.contextmanager
def _naming(address: str, shown: str) -> Iterator[None]:
    """Say which address failed, never its password."""
    try:
        yield
    except VideoError as error:
        message = str(error).replace(address, shown)
        raise VideoError(f"{message} Is the address right, and does this machine reach it?") from None


# -- writing -------------------------------------------------------------------------------------------------


def write_video(
    path: str | os.PathLike[str],
    frames: Iterable[Image],
    fps: float,
    *,
    quality: int = 20,
    keyframes: int = 24,
) -> Path:
    """Write images as H.264 (yuv420p, BT.709, moov atom first), which every browser plays.

    The file appears when it is whole: it is written under another name beside its place and then renamed. Odd
    widths and heights, which yuv420p can't hold, grow by one pixel, a copy of the last column or row.

    Args:
        path: Where to; the suffix should be .mp4. An existing file is replaced.
        frames: RGB images (H, W, 3), uint8, all of one size; read once.
        fps: Frames per second.
        quality: x264's constant rate factor: 0 is lossless, 18 looks it, 28 is small.
        keyframes: Most frames from one key frame to the next: few make scrubbing quick and files larger.

    Returns:
        The path written.

    Raises:
        VideoError: If there are no frames, sizes differ, or the folder is missing.
        WriteError: If the file can't be written, such as on a full disk.
    """
    if not (np.isfinite(fps) and fps > 0):
        raise InputError(f"Expected fps above 0 (frames per second), got {fps}.")
    target = Path(path)
    if not target.parent.is_dir():
        raise VideoError(f"The folder {str(target.parent)!r} does not exist. Remedy: make it first.")
    return write_whole(target, lambda part: _encode(part, frames, fps, quality, keyframes))


def _encode(part: Path, frames: Iterable[Image], fps: float, quality: int, keyframes: int) -> None:
    """Encode `frames` into the file `part`."""
    import av

    rate = Fraction(fps).limit_denominator(1001)
    count, size, stream = 0, (0, 0), None
    with (
        part.open("wb") as file,
        av.open(file, "w", format="mp4", options={"movflags": "faststart"}) as container,
    ):
        for count, image in enumerate(frames, start=1):
            image = _even(_check_image(image, count - 1))
            if stream is None:
                size = image.shape[:2]
                stream = _add_stream(container, rate, size, quality, keyframes)
            elif image.shape[:2] != size:
                raise VideoError(
                    f"Frame {count - 1} has size {image.shape[:2]} (height, width), the first had {size}."
                )
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            container.mux(stream.encode(frame.reformat(format="yuv420p", dst_colorspace="itu709")))
        if stream is not None:
            container.mux(stream.encode())
    if not count:
        raise VideoError("No frames were given. Remedy: give at least one image.")


def _add_stream(container: Any, rate: Fraction, size: tuple[int, ...], quality: int, keyframes: int) -> Any:
    options = {"crf": str(quality), "preset": "veryfast", "g": str(keyframes), "colorspace": "bt709"}
    options |= {"color_primaries": "bt709", "color_trc": "bt709", "color_range": "tv"}
    stream = container.add_stream("libx264", rate=rate, options=options)
    stream.height, stream.width = size
    stream.pix_fmt = "yuv420p"
    return stream


def _check_image(image: Any, index: int) -> Image:
    array = np.asarray(image)
    if array.ndim != 3 or array.shape[2] != 3 or array.dtype != np.uint8 or 0 in array.shape:
        raise VideoError(
            f"Frame {index}: expected (H, W, 3) uint8 RGB, got shape {array.shape}, type {array.dtype}."
        )
    return array


def _even(image: Image) -> Image:
    height, width = image.shape[:2]
    if height % 2 or width % 2:
        image = np.pad(image, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
    return np.ascontiguousarray(image)
