"""Frames that a host has: encoded images in memory, or fetched from it in batches."""

from __future__ import annotations

import hashlib
import io
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np

from vtlab.errors import VideoError
from vtlab.video import IMAGE_FPS, FloatArray, FrameSource, Image, read_picture

Fetch = Callable[[Sequence[int]], Mapping[int, bytes]]
"""Gives the encoded image of each frame that it is asked for."""


def decoded(data: bytes, where: str, size: tuple[int, int] | None = None) -> Image:
    """The RGB image (H, W, 3) of an encoded one.

    Args:
        data: A PNG, JPEG, WebP, ... file.
        where: What it is, for messages.
        size: (height, width) that it must have.

    Raises:
        VideoError: It is no image, too large to unpack, or of another size.
    """
    image = read_picture(io.BytesIO(data), where)
    if size is not None and image.shape[:2] != size:
        raise VideoError(
            f"{where} has {image.shape[1]} x {image.shape[0]} px, the video {size[1]} x {size[0]}. Remedy: send frames "
            "as the video has them."
        )
    return image


class EncodedFrames(FrameSource):
    """Encoded images in memory; each is decoded when it is asked for.

    Args:
        images: The files' bytes, in order.
        fps: Frames per second.

    Raises:
        VideoError: There is none, or the first is no image.
    """

    def __init__(self, images: Sequence[bytes], fps: float = IMAGE_FPS):
        if not images:
            raise VideoError("There are no frames. Remedy: send at least the frame on which the objects are.")
        self._images, self.fps = images, fps
        self.source, self.name = f"{len(images)} encoded images", "frames"
        self.height, self.width = decoded(images[0], "frame 0").shape[:2]
        self.timestamps = np.arange(len(images)) / fps

    def get(self, index: int) -> Image:
        """See `FrameSource`."""
        return decoded(self._images[index], f"frame {index}", (self.height, self.width))

    def digest(self) -> str:
        """See `FrameSource`."""
        total = hashlib.sha256()
        for image in self._images:
            total.update(hashlib.sha256(image).digest())
        return "sha256:" + total.hexdigest()


class HostFrames(FrameSource):
    """Frames that are fetched from a host in batches; the next batch comes while this one is tracked.

    Args:
        fetch: Gives encoded images for frame numbers.
        name: What the host calls the video.
        size: (height, width) of its frames.
        timestamps: Seconds of each frame, increasing, (N,).
        batch: Frames of a request.
        cache_bytes: Bound on the encoded images that are kept.
    """

    def __init__(
        self,
        fetch: Fetch,
        name: str,
        size: tuple[int, int],
        timestamps: FloatArray,
        *,
        batch: int = 8,
        cache_bytes: int = 32 * 2**20,
    ):
        self._fetch, self._batch, self._most = fetch, batch, cache_bytes
        self.name, self.source = name, f"frames of {name!r}"
        self.height, self.width = size
        self.timestamps = np.asarray(timestamps, np.float64)
        seconds = self.timestamps[-1] - self.timestamps[0]
        self.fps = float((len(self.timestamps) - 1) / seconds) if seconds > 0 else IMAGE_FPS
        self._kept: OrderedDict[int, bytes] = OrderedDict()
        self._held = 0
        self._lock = threading.Lock()
        self._ahead = ThreadPoolExecutor(1, thread_name_prefix="vtlab-fetch")

    def get(self, index: int) -> Image:
        """See `FrameSource`."""
        data = self._of(index)
        return self._image(index, self._got([index])[index] if data is None else data)

    def read(self, indices: range) -> Iterator[Image]:
        """See `FrameSource`: asks for the next batch before this one is used up."""
        batches = [indices[k : k + self._batch] for k in range(0, len(indices), self._batch)]
        coming: Future[Mapping[int, bytes]] | None = None
        for number, batch in enumerate(batches):
            images = self._got(batch) if coming is None else coming.result()
            more = number + 1 < len(batches)
            coming = self._ahead.submit(self._got, batches[number + 1]) if more else None
            try:
                for index in batch:
                    yield self._image(index, images[index])
            except GeneratorExit:
                if coming is not None:
                    coming.cancel()
                raise

    def _image(self, index: int, data: bytes) -> Image:
        return decoded(data, f"frame {index} of {self.name!r}", (self.height, self.width))

    def _of(self, index: int) -> bytes | None:
        with self._lock:
            if index in self._kept:
                self._kept.move_to_end(index)
            return self._kept.get(index)

    def _got(self, batch: Sequence[int]) -> Mapping[int, bytes]:
        """The encoded images of frames: kept ones, and the others in one request."""
        found = {index: data for index in batch if (data := self._of(index)) is not None}
        missing = [index for index in batch if index not in found]
        if missing:
            fetched = self._fetch(missing)
            lacking = [index for index in missing if index not in fetched]
            if lacking:
                raise VideoError(f"The host sent no frame {lacking[0]} of {self.name!r}.")
            found |= {index: fetched[index] for index in missing}
            self._keep(fetched)
        return found

    def _keep(self, fetched: Mapping[int, bytes]) -> None:
        with self._lock:
            for index, data in fetched.items():
                self._held += len(data) - len(self._kept.pop(index, b""))
                self._kept[index] = data
            while self._held > self._most and self._kept:
                self._held -= len(self._kept.popitem(last=False)[1])

    def digest(self) -> str:
        """A hash of the host's name for the video and its times: its content is not fetched for this."""
        told = f"{self.name} {self.width}x{self.height}".encode() + self.timestamps.tobytes()
        return "sha256:" + hashlib.sha256(told).hexdigest()

    def close(self) -> None:
        """See `FrameSource`."""
        self._ahead.shutdown(wait=False, cancel_futures=True)
        with self._lock:
            self._kept.clear()
            self._held = 0
