"""PyAV behind `files.py`: a decoder that delivers exactly the frame asked for, and images from what it delivers.

Seeking goes to a key frame at or before the frame wanted and checks what the decoder delivers, so random access
returns what sequential decoding returns.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from vtlab.errors import VideoError
from vtlab.video.forks import Forked, keep_for_ever
from vtlab.video.listing import FileIndex, demux, frames_of, open_container, reason

if TYPE_CHECKING:
    import av
    from av.video.stream import VideoStream

Image = NDArray[np.uint8]

_SEEK_DISTANCE = 16
"""Frames that are decoded through rather than sought over."""

_SAYS_WHAT_NOBODY_NEEDS = frozenset({"h264"})
"""Codecs whose packets say that no other picture is made from theirs, so that leaving them out changes none of the others.

ITU-T H.264, 7.4.1: nal_ref_idc = 0. HEVC says it of pictures of one temporal layer only, and a higher one may need them.
"""


@dataclass
class _Needed:
    """Which pictures of a file somebody will ask for.

    Attributes:
        index: The file's frames.
        wanted: Those that will be asked for.
        known: Whether it can be gone by.
        first: No frame before this one will be asked for any more without a seek.
    """

    index: FileIndex
    wanted: range
    known: bool
    first: int = 0

    def lacks(self, packet: av.Packet[Any]) -> bool:
        """Whether nobody will ask for the picture of a packet."""
        if not self.known or packet.pts is None or packet.is_keyframe or packet.is_corrupt:
            return False
        index = self.index.find(packet.pts)
        return index is not None and (index < self.first or index not in self.wanted)


def _decoded(
    stream: VideoStream, packets: Iterable[av.Packet[Any]], needed: _Needed
) -> Iterator[av.VideoFrame]:
    """Decode packets, but for pictures that neither the caller needs nor any other picture."""
    codec = stream.codec_context
    says = codec.name in _SAYS_WHAT_NOBODY_NEEDS
    for packet in packets:
        if says:
            codec.skip_frame = "NONREF" if needed.lacks(packet) else "DEFAULT"
        yield from frames_of(packet)


class Decoder(Forked):
    """One open file and a place in it. Not safe for several threads: each reader has its own.

    Args:
        path: The file.
        index: Its frames.
        wanted: The frames that will be asked for, all by default; the others are decoded only where these need them.
    """

    def __init__(self, path: str, index: FileIndex, wanted: range | None = None):
        self._path, self._index, self._keys = path, index, index.keys
        self._needed = _Needed(index, range(len(index.pts)) if wanted is None else wanted, not index.numbered)
        self._container: Any = None
        self._stream: Any = None
        self._frames: Iterator[Any] = iter(())
        self._restart()
        self.watch_forks()

    def close(self) -> None:
        """Close the file; may be called twice."""
        if self._container is not None:
            self._container.close()
            self._container = None

    def after_fork(self) -> None:
        """See `Forked`: the file is opened anew when the next frame is asked for."""
        keep_for_ever(self._container, self._stream, self._frames)
        self._container, self._stream, self._frames = None, None, iter(())
        self._next = len(self._index.pts)

    def get(self, index: int) -> av.VideoFrame:
        """Return the decoded frame `index`; reading on from the last one costs no seek.

        Raises:
            VideoError: If that frame can't be decoded.
        """
        frame, self._needed.first = None, index
        if index >= self._next and not self._worth_seeking(index):
            frame = self._advance(index)
        if frame is None:
            frame = self._sought(index)
        if frame is None and self._needed.known:  # the file isn't as it says: from now on nothing is left out
            self._needed.known = False
            frame = self._sought(index)
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
        self._container, self._stream = open_container(self._path, number=self._index.stream)
        self._frames = _decoded(self._stream, demux(self._container, self._stream), self._needed)
        self._next = self._floor = self._count = 0

    def _sought(self, index: int) -> av.VideoFrame | None:
        if not self._seek(index):
            self._restart()
        return self._advance(index)

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
        packets = demux(self._container, self._stream)
        landed = next((p for p in packets if p.is_keyframe and p.pts is not None), None)
        floor = None if landed is None or landed.pts is None else self._index.at_or_after(landed.pts)
        if landed is None or floor is None or floor > index:
            return False
        self._next = self._floor = floor
        frames = _decoded(self._stream, itertools.chain([landed], packets), self._needed)
        first = next((f for f in frames if (self._identify(f) or 0) >= self._floor), None)
        self._frames = itertools.chain([first] if first is not None else [], frames)
        return first is not None and self._identify(first) == self._floor

    def _advance(self, index: int) -> av.VideoFrame | None:
        """Decode up to frame `index`; None if the decoder passes it by or ends before it."""
        for frame in self._frames:
            found = self._identify(frame)
            if found is None or found < self._floor:
                continue
            if found < self._next:
                raise VideoError(
                    f"The time stamps of {self._path!r} contradict the order of its pictures at frame {found}. Remedy: "
                    "open_video(..., verify=True), which decodes the file once and goes by its pictures."
                )
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
        return self._index.find(frame.pts)


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


class Converter(Forked):
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
        self.watch_forks()

    def after_fork(self) -> None:
        """See `Forked`: the scaler has threads too."""
        from av.video.reformatter import VideoReformatter

        keep_for_ever(self._reformatter)
        self._reformatter = VideoReformatter()

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
                f"The picture at {frame.time} s ({frame.format.name}) can't be converted to RGB: {reason(error)}. "
                "Remedy: re-encode the file."
            ) from error
        if self._layout.turns:
            image = np.rot90(image, self._layout.turns)
        if self._layout.mirrored:
            image = image[:, ::-1]
        return np.ascontiguousarray(image)
