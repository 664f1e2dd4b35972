"""Video: frames with time stamps, whatever they come from. Lazy, array-like, frame-exact, never whole in memory.

    video = open_video("street.mp4")          # also a folder or glob of images, an address, an array
    video[12]                                 # RGB image (H, W, 3), uint8
    video[100:200:5]                          # a Video of every fifth frame, nothing decoded yet
    for frame in video.frames(step=-1): ...   # Frame(index, timestamp, image), backwards in bounded memory

Frame indices are 0-based. Time stamps are seconds from the first frame, as recorded (variable frame rates keep
theirs). A rotation recorded in the file is applied. Pixels are as stored: non-square pixels are not stretched.
"""

from __future__ import annotations

import operator
import os
import threading
from abc import ABC, abstractmethod
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, overload

import numpy as np
from numpy.typing import NDArray

from vtlab.errors import InputError, VideoError
from vtlab.video.forks import Forked
from vtlab.video.hashing import hash_of

Image = NDArray[np.uint8]
FloatArray = NDArray[np.float64]

CACHE_BYTES = 128 * 2**20
"""Default bound on the images that a video keeps for random access."""

BACKWARD_BYTES = 96 * 2**20
"""Bound on the frames held (as decoded) while reading a file backwards."""

Form = Literal["bgr", "grey"]
"""What an image is turned into for those who need it otherwise than RGB, see `Frame.bgr` and `Frame.grey`."""

IMAGE_FPS = 30.0
"""Frames per second taken for images and arrays when none is given."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One image of a video.

    Attributes:
        index: 0-based number of the frame in its video.
        timestamp: Seconds from the video's first frame.
        image: RGB (H, W, 3), uint8.
        span: (start, step) of its video in the one that it is cut from, see `Video.span`.
    """

    index: int
    timestamp: float
    image: Image
    span: tuple[int, int] = (0, 1)
    _forms: dict[str, Image] = field(default_factory=dict, init=False, repr=False, compare=False)

    @property
    def bgr(self) -> Image:
        """The image as BGR (H, W, 3), uint8, the order of OpenCV; made once, shared by all who ask."""
        return self._form("bgr")

    @property
    def grey(self) -> NDArray[np.uint8]:
        """The image's luma (H, W), uint8, as OpenCV weighs it; made once, shared by all who ask."""
        return self._form("grey")

    def _form(self, name: Form) -> Image:
        if (made := self._forms.get(name)) is None:
            import cv2

            code = cv2.COLOR_RGB2BGR if name == "bgr" else cv2.COLOR_RGB2GRAY
            made = np.asarray(cv2.cvtColor(self.image, code), np.uint8)
            made.flags.writeable = False  # one object's tracker must not paint on what the next one sees
            self._forms[name] = made
        return made

    def prepare(self, forms: Iterable[Form]) -> None:
        """Make these forms now, before somebody's step is timed."""
        for name in forms:
            self._form(name)


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
        span: (start, step) of its frames in the video that they were cut from, where it keeps a clip of another.
        stream: Number of the video that is read, of a file that holds several; else None.
    """

    name: str
    source: str
    width: int
    height: int
    fps: float
    timestamps: FloatArray
    span: tuple[int, int] = (0, 1)
    stream: int | None = None

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


class Video(Forked):
    """Frames with time stamps: array-like, lazy, safe to read from several threads and iterators at once.

    It works in a forked child and can be pickled for a spawned one (the file is opened there anew), so it can be the
    data set of a `torch.utils.data.DataLoader` with workers. Use `open_video`, or wrap a `FrameSource` of your own.

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
        self._looks: dict[int, bytes] = {}
        self._closed = False
        self.watch_forks()

    def after_fork(self) -> None:
        """See `Forked`: a lock that another thread held when the process forked is never released in the child."""
        self._lock = threading.Lock()

    def __getstate__(self) -> dict[str, Any]:
        """What another process needs: everything but the lock and the images kept."""
        return {**self.__dict__, "_lock": None, "_cache": OrderedDict()}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._lock = threading.Lock()
        self.watch_forks()

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
        (start, step), r = self._frames_source.span, self._indices
        return start + step * r.start, step * r.step

    @property
    def stream(self) -> int | None:
        """Number of the video that is read, of a file that holds several; else None."""
        return self._frames_source.stream

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

    @property
    def looks(self) -> Mapping[int, bytes]:
        """Perceptual hashes of the frames that were looked at so far, by frame (see `look` and `Manifest`)."""
        return self._looks

    def look(self, frame: Frame) -> None:
        """Note what a frame of this video looks like (see `vtlab.video.hashing`), so that labels can say of which it is."""
        if frame.index not in self._looks:
            self._looks[frame.index] = hash_of(frame.image)

    def note(self, hashes: Mapping[int, bytes]) -> None:
        """Note perceptual hashes that are known, by frame."""
        self._looks.update(hashes)

    def __len__(self) -> int:
        return len(self._indices)

    def __repr__(self) -> str:
        size, seconds = f"{self.width}x{self.height}", f"{self.duration:.2f} s"
        return f"Video({self.name!r}, {len(self)} frames, {size}, {self.fps:.4g} fps, {seconds})"

    @overload
    def __getitem__(self, key: int) -> Image: ...
    @overload
    def __getitem__(self, key: slice) -> Video: ...
    def __getitem__(self, key: int | slice) -> Image | Video:
        """Return image `key` as RGB (H, W, 3), or for a slice a lazy `Video` with indices of its own from 0."""
        if isinstance(key, slice):
            if (
                any(not (k is None or hasattr(k, "__index__")) for k in (key.start, key.stop, key.step))
                or key.step == 0
            ):
                raise InputError(f"A slice of a video goes from frame to frame in whole steps, got {key}.")
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
        return Frame(position, self._timestamp(position), self._image(position), self.span)

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
        span = self.span
        for position, image in zip(positions, images, strict=True):
            yield Frame(position, self._timestamp(position), image, span)

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


class Stamp:
    """Size and time of change of a file, by which it is noticed that another one has taken its place.

    Args:
        path: The file.

    Raises:
        VideoError: If it is gone.
    """

    def __init__(self, path: str):
        self._path = path
        self._known = self._look()

    def check(self) -> None:
        """Raise `VideoError` if the file is another one than when this was made."""
        now = self._look()
        if now != self._known:
            raise VideoError(
                f"{self._path!r} was changed or replaced while it was open: it has {now[0]} bytes, it had "
                f"{self._known[0]}, or another time of change. Remedy: open it again with open_video."
            )

    def _look(self) -> tuple[int, int]:
        try:
            found = os.stat(self._path)
        except OSError as error:
            raise VideoError(
                f"{self._path!r} can't be read any more: {error.strerror}. Remedy: put it back, and open it again."
            ) from error
        return found.st_size, found.st_mtime_ns


def usual_rate(times: FloatArray) -> float | None:
    """Frames per second that time stamps show, whatever pauses lie between; None where they show none.

    Where four of five differences lie within half of the median one, they count: pauses and dropped frames don't.
    Elsewhere (a rate that varies all the time) all do, but for gaps of more than a second and ten times the median.
    """
    steps = np.diff(times)
    steps = steps[steps > 0]
    if not len(steps):
        return None
    middle = float(np.median(steps))
    usual = np.abs(steps - middle) <= middle / 2
    if usual.mean() < 0.8:
        usual = steps <= max(1.0, 10 * middle)
    return 1.0 / float(steps[usual].mean())
