"""Video files, read by PyAV: listed once, decoded frame by frame from the key frame before."""

from __future__ import annotations

import contextlib
import os
import threading
import warnings
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from vtlab.errors import VideoError, VtlabWarning
from vtlab.files import file_digest
from vtlab.video.base import (
    BACKWARD_BYTES,
    IMAGE_FPS,
    FloatArray,
    FrameSource,
    Image,
    Stamp,
    usual_rate,
)
from vtlab.video.forks import Forked

if TYPE_CHECKING:
    from vtlab.video.decode import Decoder
    from vtlab.video.listing import FileIndex

_BEHIND = 16
"""Frames just before a frame sought that are kept too (as decoded), so that stepping back is cheap."""

_RECENT_BYTES = 48 * 2**20
"""Bound on those."""


class FileSource(FrameSource, Forked):
    """A file read by PyAV."""

    def __init__(self, path: str, fps: float | None, verify: bool, stream: int | None = None):
        from vtlab.video.decode import Layout

        self.source, self.name = path, Path(path).stem
        self._path = os.path.abspath(path)
        self._stamp = Stamp(self._path)
        self._decoder: Decoder | None
        self._index, self._decoder, first = _index(self._path, verify, stream)
        self.stream = self._index.stream if self._index.other or len(self._index.videos) > 1 else None
        if stream is None:
            _say_which(path, self._index)
        self._layout = Layout.of(first)
        self._frame_bytes = sum(plane.buffer_size for plane in first.planes)
        self.width, self.height = self._layout.size
        # By half of the bound, since up to twice as many are kept (`get`).
        self._behind = min(_BEHIND, 1 + _RECENT_BYTES // (2 * self._frame_bytes))
        self.fps, self.timestamps = _clock(self._index, fps)
        self._prepare()

    def _prepare(self) -> None:
        """Make what belongs to one process."""
        from vtlab.video.decode import Converter

        self._lock = threading.Lock()
        self._convert = Converter(self._layout)
        self._recent: OrderedDict[int, Any] = OrderedDict()
        self.watch_forks()

    def after_fork(self) -> None:
        """See `Forked`: decoder and converter look after themselves."""
        self._lock = threading.Lock()

    def __getstate__(self) -> dict[str, Any]:
        """What another process needs to open the file anew."""
        own = ("_lock", "_convert", "_recent")
        return {k: v for k, v in self.__dict__.items() if k not in own} | {"_decoder": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._prepare()

    def get(self, index: int) -> Image:
        """See `FrameSource`."""
        with self._lock:
            self._stamp.check()
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
        """See `FrameSource`."""
        from vtlab.video.decode import Converter

        if not indices:
            return
        decoder, convert = self._new_decoder(indices), Converter(self._layout)
        try:
            if indices.step > 0:
                for index in indices:
                    self._stamp.check()
                    yield convert(decoder.get(index))
                return
            for chunk in self._chunks(indices):
                self._stamp.check()
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

    def _new_decoder(self, wanted: range | None = None) -> Decoder:
        from vtlab.video.decode import Decoder

        return Decoder(self._path, self._index, wanted)

    def digest(self) -> str:
        """See `FrameSource`."""
        self._stamp.check()
        chosen = f"#{self._index.stream}" if self._index.other else ""
        return f"sha256:{file_digest(self._path)}{chosen}"

    def close(self) -> None:
        """See `FrameSource`."""
        with self._lock:
            if self._decoder is not None:
                self._decoder.close()
            self._decoder = None
            self._recent.clear()


def _index(path: str, verify: bool, stream: int | None) -> tuple[FileIndex, Decoder, Any]:
    """List a file's frames; decode it whole where its packets or its first frame say that it is damaged.

    Returns:
        The list, a decoder, and the first frame, which it has read.
    """
    from vtlab.video.decode import Decoder
    from vtlab.video.listing import index_frames, index_packets

    index = None if verify else index_packets(path, stream)
    if index is not None:
        decoder = Decoder(path, index)
        try:
            return index, decoder, decoder.get(0)
        except VideoError:
            decoder.close()
    index = index_frames(path, stream)
    if index.promise:
        warnings.warn(
            f"{path!r} is damaged or cut short: its header announces {index.promise}, "
            f"{len(index.pts)} frames can be decoded and are used.",
            VtlabWarning,
            stacklevel=6,
        )
    decoder = Decoder(path, index)
    return index, decoder, decoder.get(0)


def _say_which(path: str, index: FileIndex) -> None:
    """Say which video is read of a file that holds several."""
    if len(index.videos) > 1:
        warnings.warn(
            f"{path!r} holds {len(index.videos)} videos ({', '.join(index.videos)}); stream {index.stream} is used. "
            "Remedy: choose one by open_video(..., stream=NUMBER).",
            VtlabWarning,
            stacklevel=6,
        )


def _clock(index: FileIndex, fps: float | None) -> tuple[float, FloatArray]:
    """Frames per second and time stamps: as recorded, or even ones where `fps` is given.

    A nominal rate is kept where the recorded times agree with it to 0.1 per cent, so that rounded time stamps do not
    make 29.97 something else.
    """
    if fps is not None:
        return fps, np.arange(len(index.pts)) / fps
    times = index.seconds - index.seconds[0]
    rate = usual_rate(times)
    if rate is None:
        return (index.rates or (IMAGE_FPS,))[0], times
    return next((named for named in index.rates if abs(rate / named - 1) < 1e-3), rate), times
