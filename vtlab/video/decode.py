"""PyAV behind `video.py`: the list of a file's frames, and a decoder that delivers exactly the frame asked for.

A frame is known by its presentation time stamp. The list comes from reading the packets, which costs no
decoding; a file whose packets contradict its header, or carry no usable time stamps, is decoded once instead.
Seeking goes to a key frame at or before the frame wanted and checks what the decoder delivers, so random access
returns what sequential decoding returns.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from vtlab.errors import VideoError

if TYPE_CHECKING:
    import av
    from av.container import InputContainer
    from av.video.stream import VideoStream

Image = NDArray[np.uint8]

_SEEK_DISTANCE = 16
"""Frames that are decoded through rather than sought over."""

_UNSEEN_PACKETS = frozenset({"vp8"})
"""Codecs with packets that are never shown, so that counting packets miscounts frames."""


@dataclass(frozen=True)
class FileIndex:
    """The frames of a file in display order.

    Attributes:
        pts: Time stamp that tells each frame from the others, strictly increasing, int64 (N,).
        keys: Index of each frame that decoding can start from, increasing, int64 (K,); the first frame is one.
        seconds: Recorded time of each frame, never falling, float64 (N,).
        rate: Nominal frames per second of the file, None where it names none.
        promise: What the header announces where the frames fall short of it ("60 frames"), else None.
        numbered: True if the file's own time stamps are missing or repeated: frames are then counted from the
            start of the file and `pts` is that number.
    """

    pts: NDArray[np.int64]
    keys: NDArray[np.int64]
    seconds: NDArray[np.float64]
    rate: Fraction | None
    promise: str | None = None
    numbered: bool = False

    def key_before(self, index: int) -> int:
        """Position in `keys` of the last key frame at or before frame `index`; -1 if there is none."""
        return int(np.searchsorted(self.keys, index, side="right")) - 1

    def locate(self, pts: int) -> int:
        """Index of the first frame at or after time stamp `pts`."""
        return int(np.searchsorted(self.pts, pts))


def open_container(path: str, **options: Any) -> tuple[InputContainer, VideoStream]:
    """Open a file or address and its first picture stream, decoding with as many threads as there are cores.

    Raises:
        VideoError: If it can't be opened, or holds no pictures.
    """
    import av

    try:
        container = av.open(path, **options)
    except (av.FFmpegError, OSError, ValueError) as error:
        raise VideoError(
            f"{path!r} can't be read as a video: {_reason(error)}. Remedy: check that it plays elsewhere, or "
            "copy or download it again."
        ) from error
    if not container.streams.video:
        container.close()
        raise VideoError(f"{path!r} holds no pictures (only sound or data). Remedy: give a video file.")
    stream = container.streams.video[0]
    if (
        getattr(stream, "codec_context", None) is None
    ):  # PyAV's answer for a codec that FFmpeg has no decoder for
        container.close()
        raise VideoError(
            f"The codec of {path!r} is unknown: the file is damaged or of a rare kind. Remedy: re-encode it."
        )
    stream.thread_type = "AUTO"
    return container, stream


def _reason(error: Exception) -> str:
    return str(getattr(error, "strerror", None) or error).rstrip(".")


def index_packets(path: str) -> FileIndex | None:
    """List the frames of a file from its packets; None where only decoding can tell.

    Raises:
        VideoError: If the file can't be opened.
    """
    container, stream = open_container(path)
    with container:
        times: list[int] = []
        keys: list[int] = []
        announced = _announced(container, stream)
        packets, ends = 0, dict.fromkeys(range(len(container.streams)), 0)
        for packet in _demux(container, pictures_only=False):
            if packet.pts is not None:
                ends[packet.stream_index] = max(
                    ends[packet.stream_index], packet.pts + (packet.duration or 0)
                )
            if packet.stream_index != stream.index or packet.size == 0:
                continue
            packets += 1
            if packet.pts is None or packet.is_corrupt:
                return None
            if not packet.is_discard:
                times.append(packet.pts)
                if packet.is_keyframe:
                    keys.append(packet.pts)
        end = max(float(ticks * (container.streams[i].time_base or 0)) for i, ticks in ends.items())
        short = packets < announced if announced is not None else _ends_early(container, end)
        pts = np.array(sorted(times), dtype=np.int64)
        if short or stream.codec_context.name in _UNSEEN_PACKETS or not keys or (np.diff(pts) == 0).any():
            return None
        key_indices = np.union1d(0, np.searchsorted(pts, np.array(keys, dtype=np.int64)))
        return FileIndex(pts, key_indices, _seconds(pts, stream), _rate(stream))


def index_frames(path: str) -> FileIndex:
    """List the frames of a file by decoding all of it: exact for files that are damaged or lie about themselves.

    Raises:
        VideoError: If the file can't be opened, or no frame of it can be decoded.
    """
    container, stream = open_container(path)
    with container:
        announced = _announced(container, stream)
        found = [(f.pts, bool(f.key_frame)) for f in _decode(container) if not f.is_corrupt]
        if not found:
            raise VideoError(
                f"No frame of {path!r} can be decoded: it is empty or damaged. Remedy: copy or download it again."
            )
        times = [pts for pts, _ in found if pts is not None]
        timed = len(times) == len(found) and all(a <= b for a, b in itertools.pairwise(times))
        numbered = not timed or any(a == b for a, b in itertools.pairwise(times))
        pts = np.array(range(len(found)) if numbered else times, dtype=np.int64)
        keys = np.array(
            [0] if numbered else [i for i, (_, key) in enumerate(found) if key or i == 0], dtype=np.int64
        )
        rate = _rate(stream)
        seconds = _seconds(np.array(times), stream) if timed else np.arange(len(found)) / float(rate or 25)
        promise = f"{announced} frames" if announced and len(found) < announced else None
        if announced is None and timed and _ends_early(container, float(seconds[-1])):
            promise = f"{(container.duration or 0) / 1e6:.2f} s"
        return FileIndex(pts, keys, seconds, rate, promise, numbered)


def _announced(container: InputContainer, stream: VideoStream) -> int | None:
    """Number of packets that the header promises: of QuickTime files after their edit list, None where unknown."""
    if "mp4" in container.format.name:
        return len(stream.index_entries) or None
    return stream.frames or None


def _ends_early(container: InputContainer, end: float) -> bool:
    """Whether a Matroska file stops more than half a second before the end that its header promises."""
    if "matroska" not in container.format.name or not container.duration:
        return False
    return end < container.duration / 1e6 - 0.5


def _seconds(pts: NDArray[np.int64], stream: VideoStream) -> NDArray[np.float64]:
    return pts.astype(np.float64) * float(stream.time_base or Fraction(1, 25))


def _rate(stream: VideoStream) -> Fraction | None:
    rate = stream.average_rate or stream.base_rate
    return rate if rate else None


def _demux(container: InputContainer, pictures_only: bool = True) -> Iterator[av.Packet[Any]]:
    """Yield packets up to the end, or up to where the file can't be read any further."""
    import av

    chosen = {"video": 0} if pictures_only else {}
    packets = container.demux(**chosen)
    while True:
        try:
            packet = next(packets, None)
        except IndexError:  # PyAV's, for a packet of a stream that appears in the middle of a damaged file
            packets = container.demux(**chosen)
            continue
        except av.FFmpegError:
            return
        if packet is None:
            return
        yield packet


def _frames_of(packet: av.Packet[Any]) -> list[Any]:
    """Decode one packet; damaged ones give no frame."""
    import av

    try:
        return packet.decode()
    except av.FFmpegError:
        return []


def _decode(container: InputContainer) -> Iterator[av.VideoFrame]:
    for packet in _demux(container):
        yield from _frames_of(packet)


class Decoder:
    """One open file and a place in it. Not safe for several threads: each reader has its own.

    Args:
        path: The file.
        index: Its frames.
    """

    def __init__(self, path: str, index: FileIndex):
        self._path, self._index, self._keys = path, index, index.keys
        self._container: Any = None
        self._frames: Iterator[Any] = iter(())
        self._restart()

    def close(self) -> None:
        """Close the file; may be called twice."""
        if self._container is not None:
            self._container.close()
            self._container = None

    def get(self, index: int) -> av.VideoFrame:
        """Return the decoded frame `index`; reading on from the last one costs no seek.

        Raises:
            VideoError: If that frame can't be decoded.
        """
        frame = None
        if index >= self._next and not self._worth_seeking(index):
            frame = self._advance(index)
        if frame is None:
            if not self._seek(index):
                self._restart()
            frame = self._advance(index)
        if frame is None:
            raise VideoError(
                f"Frame {index} of {self._path!r} can't be decoded: the file is damaged there. Remedy: "
                "open_video(..., verify=True) leaves damaged frames out, or re-encode the file."
            )
        return frame

    def _key_before(self, index: int) -> int | None:
        position = int(np.searchsorted(self._keys, index, side="right")) - 1
        return int(self._keys[position]) if position >= 0 else None

    def _worth_seeking(self, index: int) -> bool:
        key = self._key_before(index)
        return key is not None and key - self._next > _SEEK_DISTANCE

    def _restart(self) -> None:
        self.close()
        self._container, self._stream = open_container(self._path)
        self._frames = _decode(self._container)
        self._next = self._floor = self._count = 0

    def _seek(self, index: int) -> bool:
        """Go to the last key frame at or before `index` from which decoding starts cleanly; False if none does.

        A key frame that the decoder does not deliver first is none to start from: a recovery point of an
        encoder's intra refresh, say, or a damaged one. It is not tried again.
        """
        while not self._index.numbered and (key := self._key_before(index)) is not None:
            if self._land(key, index):
                return True
            self._keys = self._keys[self._keys != key]
        return False

    def _land(self, key: int, index: int) -> bool:
        import av

        if self._container is None:
            self._restart()
        try:
            self._container.seek(int(self._index.pts[key]), stream=self._stream)
        except av.FFmpegError:
            return False
        packets = _demux(self._container)
        landed = next((p for p in packets if p.is_keyframe and p.pts is not None), None)
        if landed is None or landed.pts is None or landed.pts > self._index.pts[index]:
            return False
        self._next = self._floor = self._index.locate(int(landed.pts))
        frames = itertools.chain.from_iterable(_frames_of(p) for p in itertools.chain([landed], packets))
        first = next((f for f in frames if (self._identify(f) or 0) >= self._floor), None)
        self._frames = itertools.chain([first] if first is not None else [], frames)
        return first is not None and self._identify(first) == self._floor

    def _advance(self, index: int) -> av.VideoFrame | None:
        """Decode up to frame `index`; None if the decoder passes it by or ends before it."""
        for frame in self._frames:
            found = self._identify(frame)
            if found is None or found < self._floor:
                continue
            self._next = found + 1
            if found == index:
                return frame
            if found > index:
                return None
        self._next = len(self._index.pts)
        return None

    def _identify(self, frame: av.VideoFrame) -> int | None:
        """Index of a decoded frame, None for one that is not listed (before a cut, or damaged)."""
        pts = self._index.pts
        if self._index.numbered:
            if frame.is_corrupt:
                return None
            self._count += 1
            return self._count - 1
        if frame.pts is None:
            return None
        if self._next < len(pts) and frame.pts == pts[self._next]:
            return self._next
        found = self._index.locate(frame.pts)
        return found if found < len(pts) and pts[found] == frame.pts else None


@dataclass(frozen=True)
class Layout:
    """How frames are stored and shown.

    Attributes:
        stored: Width and height in the file.
        turns: Quarter turns counter-clockwise that make them upright.
        mirrored: Whether left and right are swapped after that.
    """

    stored: tuple[int, int]
    turns: int = 0
    mirrored: bool = False

    @property
    def size(self) -> tuple[int, int]:
        """Width and height as shown."""
        return self.stored[::-1] if self.turns % 2 else self.stored

    @classmethod
    def of(cls, frame: av.VideoFrame) -> Layout:
        """Read a frame's size and display matrix.

        The matrix is FFmpeg's nine 16.16 fixed-point numbers (libavutil/display.h): a stored pixel (x, y) is shown
        at (a x + c y, b x + d y). Angles between quarter turns are rounded to the nearest one.
        """
        from av.sidedata.sidedata import Type

        entries: Any = frame.side_data  # PyAV's stubs know only names as keys
        data = entries.get(Type.DISPLAYMATRIX)
        if data is None:
            return cls((frame.width, frame.height))
        a, b, _, c, d, *_ = np.frombuffer(bytes(data), dtype=np.int32, count=9).astype(np.float64)
        mirrored = bool(a * d - b * c < 0)
        turns = np.round(np.degrees(np.arctan2(-b, -a if mirrored else a)) / 90)
        return cls((frame.width, frame.height), int(turns) % 4, mirrored)


def _reuse_freed_memory() -> None:
    """Keep the C library from giving each image's memory back to the system, and fetching it page by page again.

    glibc returns what lies free at the top of its heap beyond a threshold that follows the largest block freed so far
    (mallopt(3), M_TRIM_THRESHOLD). One large block, never touched, raises it once: without it, 720p costs 450 page
    faults a frame, a quarter of the decoding time. Elsewhere this does nothing.
    """
    np.empty(31 * 2**20, dtype=np.uint8)


class Converter:
    """Turns decoded frames into upright RGB images. The colour conversion is set up once, not for each frame.

    Args:
        layout: Size and orientation of the video's frames.
    """

    def __init__(self, layout: Layout):
        import av
        from av.video.reformatter import VideoReformatter

        self._failure = av.FFmpegError
        self._reformatter = VideoReformatter()
        self._layout = layout
        _reuse_freed_memory()

    def __call__(self, frame: av.VideoFrame) -> Image:
        """Return a new RGB image (H, W, 3), uint8, contiguous.

        Raises:
            VideoError: If the frame has another size than the first one, or colours that can't be converted.
        """
        if (frame.width, frame.height) != self._layout.stored:
            raise VideoError(
                f"The picture size changes inside the video, from {self._layout.stored} to "
                f"{(frame.width, frame.height)} (width, height) at {frame.time} s. "
                "Remedy: re-encode it at one size, or cut it there."
            )
        try:
            image = self._reformatter.reformat(frame, format="rgb24").to_ndarray()
        except self._failure as error:
            raise VideoError(
                f"The picture at {frame.time} s ({frame.format.name}) can't be converted to RGB: {_reason(error)}. "
                "Remedy: re-encode the file."
            ) from error
        if self._layout.turns:
            image = np.rot90(image, self._layout.turns)
        if self._layout.mirrored:
            image = image[:, ::-1]
        return np.ascontiguousarray(image)
