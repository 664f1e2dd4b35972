"""Streams: frames as they come from an address, once."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from vtlab.errors import VideoError
from vtlab.video.base import IMAGE_FPS, FloatArray, Frame, Video
from vtlab.video.forks import keep_for_ever


class _UnknownLengthError(VideoError, TypeError):
    """The length of a stream; a TypeError too, which is how `list(stream)` learns that there is none."""


class StreamVideo(Video):
    """A stream of unknown length (http, rtsp, ...): it can be iterated once and has no random access."""

    def __init__(self, address: str):
        from vtlab.video.decode import Converter, Layout
        from vtlab.video.listing import open_container

        self._address = _without_password(address)
        self._closed = self._used = self._away = False
        self._looks = {}  # stays empty: nobody comes back to the frames of a stream
        # By UDP, FFmpeg's first choice, lost packets spoil pictures.
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
        self.watch_forks()

    def after_fork(self) -> None:
        """See `Forked`: the connection stays with the parent."""
        keep_for_ever(self._container, self._stream, self._decoded, self._first, self._convert)
        self._decoded = iter(())
        self._away = True

    def __reduce__(self) -> Any:
        """Not possible: raises `VideoError`."""
        raise self._elsewhere()

    def _elsewhere(self) -> VideoError:
        return VideoError(
            f"The stream {self._address!r} can't be read in another process than the one that opened it. "
            "Remedy: open_video it there."
        )

    @property
    def stream(self) -> int | None:
        """None: of what comes from an address, the first video is read."""
        return None

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
        if self._away:
            raise self._elsewhere()
        if self._used:
            raise VideoError(
                f"The stream {self._address!r} can be read only once. Remedy: open_video it again."
            )
        self._used = True
        return self._live(stop)

    def _live(self, stop: int | None) -> Iterator[Frame]:
        frame, index, begin, last = self._first, 0, None, 0.0
        self._first = None
        while frame is not None and (stop is None or index < stop):
            if self._away:
                raise self._elsewhere()
            seconds = float(frame.time) if frame.time is not None else index / self.fps
            begin = seconds if begin is None else begin
            if seconds - begin < last:  # the clock started again: one frame after the last one
                begin = seconds - last - 1 / self.fps
            last = seconds - begin
            yield Frame(index, last, self._convert(frame))
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
        if not self._away:
            self._container.close()


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
