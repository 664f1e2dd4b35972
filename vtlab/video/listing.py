"""PyAV behind `files.py`: which stream of a file is the video, and the list of its frames in display order.

A frame is known by its presentation time stamp. The list comes from reading the packets, which costs no decoding.
Where packets can't tell (they contradict the header, carry no usable time stamps, or time stamps that only number
them in the order of decoding, or a clock that starts again), the file is decoded once: the decoder puts pictures in
order by what the codec says of them, whatever the container says.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from vtlab.errors import VideoError

if TYPE_CHECKING:
    import av
    from av.container import InputContainer
    from av.video.stream import VideoStream

_UNSEEN_PACKETS = frozenset({"vp8"})
"""Codecs with packets that are never shown, so that counting packets miscounts frames."""

_REORDERED = 32
"""Frames within which a codec may deliver pictures in another order than it stores them (H.264 and HEVC: 16)."""

_PICTURE_TYPE = {
    "mpeg4": (b"\x00\x00\x01\xb6", 0, 6, 2),
    "mpeg1video": (b"\x00\x00\x01\x00", 1, 3, 3),
    "mpeg2video": (b"\x00\x00\x01\x00", 1, 3, 3),
}
"""Where a packet says that its picture is a B picture: start code, byte after it, shift and value of the type.

ISO/IEC 14496-2, 6.2.5 (vop_coding_type, 2 bits) and 13818-2, 6.2.3 (picture_coding_type, 3 bits).
"""


@dataclass(frozen=True)
class FileIndex:
    """The frames of a file in display order.

    Attributes:
        pts: Time stamp that tells each frame from the others, int64 (N,); rising, unless the container numbers
            frames in the order of decoding.
        keys: Index of each frame that decoding can start from, increasing, int64 (K,); the first frame is one.
        seconds: Recorded time of each frame, never falling, float64 (N,).
        rates: Frames per second that the file names, the likelier first; none where it names none.
        promise: What the header announces where the frames fall short of it ("60 frames"), else None.
        stream: Number of the stream that is read; None = the one taken by default.
        other: Whether another one is taken by default.
        videos: Every video of the file, in words.
        numbered: True if the file's own time stamps are missing or repeated, or its clock starts again: frames are
            then counted from the start of the file and `pts` is that number.
    """

    pts: NDArray[np.int64]
    keys: NDArray[np.int64]
    seconds: NDArray[np.float64]
    rates: tuple[float, ...] = ()
    promise: str | None = None
    numbered: bool = False
    stream: int | None = None
    other: bool = False
    videos: tuple[str, ...] = ()

    _order: NDArray[np.int64] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_order", np.argsort(self.pts, kind="stable"))

    def key_before(self, index: int) -> int:
        """Position in `keys` of the last key frame at or before frame `index`; -1 if there is none."""
        return int(np.searchsorted(self.keys, index, side="right")) - 1

    def at_or_after(self, pts: int) -> int:
        """Index of the frame with the least time stamp that is not below this one; N if there is none."""
        place = int(np.searchsorted(self.pts, pts, sorter=self._order))
        return int(self._order[place]) if place < len(self._order) else len(self._order)

    def find(self, pts: int) -> int | None:
        """Index of the frame with this time stamp, None if there is none."""
        index = self.at_or_after(pts)
        return index if index < len(self.pts) and self.pts[index] == pts else None


def open_container(
    path: str, *, shown: str = "", number: int | None = None, **options: Any
) -> tuple[InputContainer, VideoStream]:
    """Open a file or address and the stream that is its video, decoding with as many threads as there are cores.

    Args:
        path: File (absolute: FFmpeg takes `a:b.mp4` for an address of kind `a`) or address.
        shown: What messages call it; by default `path`.
        number: Of the stream; None = the likeliest.
        options: Further arguments of `av.open`.

    Raises:
        VideoError: If it can't be opened, or holds no video, or not that one.
    """
    import av

    shown = shown or path
    try:
        container = av.open(path, **options)
    except (av.FFmpegError, OSError, ValueError) as error:
        raise VideoError(
            f"{shown!r} can't be read as a video: {reason(error)}. Remedy: check that it plays elsewhere, or "
            "copy or download it again."
        ) from error
    try:
        stream = _moving(container, shown) if number is None else _numbered(container, number, shown)
    except VideoError:
        container.close()
        raise
    stream.thread_type = "AUTO"
    return container, stream


def _moving(container: InputContainer, shown: str) -> VideoStream:
    """The stream that is the video: no cover, no thumbnails; of several, the one that FFmpeg itself would play."""
    if not container.streams.video:
        raise VideoError(f"{shown!r} holds no pictures (only sound or data). Remedy: give a video file.")
    if all(_is_still(s) for s in container.streams.video):
        raise VideoError(
            f"{shown!r} holds no video: its only picture is a cover or thumbnail. Remedy: give a video file."
        )
    known = _decodable(container)
    if not known:  # PyAV's answer for a codec that FFmpeg has no decoder for
        raise VideoError(
            f"The codec of {shown!r} is unknown: the file is damaged or of a rare kind. Remedy: re-encode it."
        )
    moving = [s for s in known if s.frames != 1] or known
    best = container.streams.best("video")
    return next((s for s in moving if best is not None and s.index == best.index), moving[0])


def _numbered(container: InputContainer, number: int, shown: str) -> VideoStream:
    """The video of this number."""
    for stream in _decodable(container):
        if stream.index == number:
            return stream
    raise VideoError(
        f"{shown!r} has no video of number {number!r}. It holds {', '.join(_told(container)) or 'none'}. "
        "Remedy: give stream= one of these numbers, or leave it out."
    )


def _told(container: InputContainer) -> tuple[str, ...]:
    """The videos of a file, in words."""
    found = (s for s in _decodable(container) if s.frames != 1)
    return tuple(f"stream {s.index} of {s.width}x{s.height}" for s in found)


def _decodable(container: InputContainer) -> list[VideoStream]:
    """Streams that are no stills, and of a codec that FFmpeg has a decoder for."""
    found = (s for s in container.streams.video if not _is_still(s))
    return [s for s in found if getattr(s, "codec_context", None) is not None]


def _which(container: InputContainer, stream: VideoStream) -> dict[str, Any]:
    """What an index says of the stream that it lists."""
    other = stream.index != _moving(container, "").index
    return {"stream": stream.index, "other": other, "videos": _told(container)}


def _is_still(stream: VideoStream) -> bool:
    from av.stream import Disposition

    still = Disposition.attached_pic | Disposition.timed_thumbnails | Disposition.still_image
    return bool(stream.disposition & still)


def reason(error: Exception) -> str:
    """Why FFmpeg or the system refused, without the last full stop."""
    return str(getattr(error, "strerror", None) or error).rstrip(".")


class _Packets:
    """What the packets of a file's video say, gathered in one pass.

    Attributes:
        times: Time stamps of shown packets, in file order.
        keys: Those that decoding can start from.
        count: Packets with data.
        usable: False once a packet lacks its time, is corrupt, or its clock goes back.
        reordered: Whether a packet says that it is a B picture, or can't say that it is none.
    """

    def __init__(self, stream: VideoStream):
        self.times: list[int] = []
        self.keys: list[int] = []
        self.count, self.usable = 0, True
        self._clock: int | None = None
        self._type = _PICTURE_TYPE.get(stream.codec_context.name)
        self.reordered = self._type is None

    def add(self, packet: av.Packet[Any]) -> None:
        """Take the next packet of the video."""
        if packet.size == 0:
            return
        self.count += 1
        back = self._clock is not None and packet.dts is not None and packet.dts < self._clock
        if packet.pts is None or packet.is_corrupt or back:
            self.usable = False
            return
        self._clock = packet.dts if packet.dts is not None else self._clock
        self.reordered = self.reordered or self._is_between(bytes(packet))
        if not packet.is_discard:
            self.times.append(packet.pts)
            if packet.is_keyframe:
                self.keys.append(packet.pts)

    def _is_between(self, data: bytes) -> bool:
        if self._type is None:
            return True
        code, offset, shift, value = self._type
        place = data.find(code) + len(code) + offset
        bits = data[place] >> shift if len(code) + offset <= place < len(data) else 0
        return bits & (3 if shift == 6 else 7) == value

    def hold_no_display_times(self, stream: VideoStream) -> bool:
        """Whether the codec reorders pictures while the time stamps rise with the packets: they only count these."""
        rising = all(a < b for a, b in itertools.pairwise(self.times))
        inter = len(self.keys) < len(self.times)
        return bool(rising and inter and self.reordered and stream.codec_context.has_b_frames)


def index_packets(path: str, number: int | None = None) -> FileIndex | None:
    """List the frames of a file from its packets; None where only decoding can tell.

    Args:
        path: The file.
        number: Of the stream; None = the likeliest.

    Raises:
        VideoError: If the file can't be opened, or has no such video.
    """
    container, stream = open_container(path, number=number)
    with container:
        found = _Packets(stream)
        announced = _announced(container, stream)
        ends = dict.fromkeys(range(len(container.streams)), 0)
        for packet in demux(container):
            if packet.pts is not None:
                ends[packet.stream_index] = max(
                    ends[packet.stream_index], packet.pts + (packet.duration or 0)
                )
            if packet.stream_index == stream.index:
                found.add(packet)
            if not found.usable:
                return None
        end = max(float(ticks * (container.streams[i].time_base or 0)) for i, ticks in ends.items())
        short = found.count < announced if announced is not None else _ends_early(container, end)
        pts = np.array(sorted(found.times), dtype=np.int64)
        unseen = stream.codec_context.name in _UNSEEN_PACKETS or not found.keys
        if short or unseen or (np.diff(pts) == 0).any() or found.hold_no_display_times(stream):
            return None
        keys = np.union1d(0, np.searchsorted(pts, np.array(found.keys, dtype=np.int64)))
        return FileIndex(
            pts, keys, _seconds(pts, stream, container), _rates(stream), **_which(container, stream)
        )


def index_frames(path: str, number: int | None = None) -> FileIndex:
    """List the frames of a file by decoding all of it: exact for files that are damaged or lie about themselves.

    Args:
        path: The file.
        number: Of the stream; None = the likeliest.

    Raises:
        VideoError: If the file can't be opened, has no such video, or no frame of it can be decoded.
    """
    container, stream = open_container(path, number=number)
    with container:
        announced = _announced(container, stream)
        found = [(f.pts, bool(f.key_frame)) for f in decode(container, stream) if not f.is_corrupt]
        if not found:
            raise VideoError(
                f"No frame of {path!r} can be decoded: it is empty or damaged. Remedy: copy or download it again."
            )
        times = np.array([pts for pts, _ in found if pts is not None], dtype=np.int64)
        timed = len(times) == len(found)
        numbered = not (timed and _tells_apart(times))
        keys = [0] if numbered else [i for i, (_, key) in enumerate(found) if key or i == 0]
        rates = _rates(stream)
        even = np.arange(len(found)) / (rates[0] if rates else 25.0)
        seconds = _seconds(times, stream, container) if timed else even
        promise = f"{announced} frames" if announced and len(found) < announced else None
        if announced is None and timed and _ends_early(container, float(seconds[-1])):
            promise = f"{(container.duration or 0) / 1e6:.2f} s"
        pts = np.arange(len(found)) if numbered else times
        which = _which(container, stream)
        return FileIndex(pts, np.array(keys, dtype=np.int64), seconds, rates, promise, numbered, **which)


def _tells_apart(times: NDArray[np.int64]) -> bool:
    """Whether time stamps are all different and rise but for a codec's reordering."""
    order = np.argsort(times, kind="stable")
    moved = np.abs(order - np.arange(len(times))).max(initial=0)
    return bool((np.diff(times[order]) > 0).all() and moved <= _REORDERED)


def _announced(container: InputContainer, stream: VideoStream) -> int | None:
    """Number of packets that the header promises: of QuickTime files after their edit list, None where unknown."""
    if "mp4" in container.format.name:
        return len(stream.index_entries) or None
    return stream.frames or None


def _ends_early(container: InputContainer, end: float) -> bool:
    """Whether a Matroska file stops more than half a second before the end that its header promises."""
    if "matroska" not in container.format.name or not container.duration:
        return False
    # FFmpeg's durations are microseconds.
    return end < container.duration / 1e6 - 0.5


def _seconds(ticks: NDArray[np.int64], stream: VideoStream, container: InputContainer) -> NDArray[np.float64]:
    """Recorded times in display order; where the clock starts again, one frame after the last one before.

    A clock starts again where it falls by more than reordering explains. In MPEG-TS, FFmpeg takes a clock that falls
    far for the overflow of its 33 bits, so that it seems to leap by a day.
    """
    steps = np.diff(ticks)
    step = int(np.median(steps[steps > 0])) if (steps > 0).any() else 0
    # By 16 frames, the most that H.264 and HEVC reorder.
    falls = ticks[1:] < np.maximum.accumulate(ticks)[:-1] - _REORDERED // 2 * step
    # For an overflow FFmpeg adds 2**33; more than half of that is no pause.
    leaps = (steps > 2**32) if container.format.name == "mpegts" else np.zeros(len(steps), dtype=bool)
    parts = np.split(ticks, _restarts(ticks, step, leaps)) if falls.any() or leaps.any() else [ticks]
    joined: list[NDArray[np.int64]] = []
    end = 0
    for part in map(np.sort, parts):
        joined.append(part if not joined else part - part[0] + end + step)
        end = int(joined[-1][-1])
    return np.concatenate(joined).astype(np.float64) * float(stream.time_base or Fraction(1, 25))


def _restarts(ticks: NDArray[np.int64], step: int, leaps: NDArray[np.bool_]) -> list[int]:
    """Indices at which a clock starts again."""
    found, highest = [], int(ticks[0])
    for index, now in enumerate(ticks[1:].tolist(), start=1):
        if now < highest - _REORDERED // 2 * step or leaps[index - 1]:
            found.append(index)
            highest = now
        highest = max(highest, now)
    return found


def _rates(stream: VideoStream) -> tuple[float, ...]:
    return tuple(float(rate) for rate in (stream.average_rate, stream.base_rate) if rate)


def demux(container: InputContainer, stream: VideoStream | None = None) -> Iterator[av.Packet[Any]]:
    """Yield packets (of one stream) up to the end, or up to where the file can't be read any further."""
    import av

    chosen = () if stream is None else (stream,)
    packets = container.demux(*chosen)
    while True:
        try:
            packet = next(packets, None)
        except IndexError:  # PyAV's, for a packet of a stream that appears in the middle of a damaged file
            packets = container.demux(*chosen)
            continue
        except av.FFmpegError:
            return
        if packet is None:
            return
        yield packet


def frames_of(packet: av.Packet[Any]) -> list[Any]:
    """Decode one packet; damaged ones give no frame."""
    import av

    try:
        return packet.decode()
    except av.FFmpegError:
        return []


def decode(container: InputContainer, stream: VideoStream) -> Iterator[av.VideoFrame]:
    """Yield the frames of a stream as the decoder delivers them."""
    for packet in demux(container, stream):
        yield from frames_of(packet)
