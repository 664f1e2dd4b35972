"""Writing: H.264 files that every browser plays."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from vtlab.errors import InputError, VideoError
from vtlab.files import check_place, write_whole
from vtlab.video.base import Image

MOST_WAITING = 4
"""Frames made and not yet encoded: enough for both threads to stay busy where frames cost differently, 25 MB of 1080p."""


def write_video(
    path: str | os.PathLike[str],
    frames: Iterable[Image],
    fps: float,
    *,
    quality: int = 20,
    keyframes: int = 24,
    bit_rate: int | None = None,
    quick: bool = False,
) -> Path:
    """Write images as H.264 (yuv420p, BT.709, moov atom first), which every browser plays.

    The file appears when it is whole: it is written under another name beside its place and then renamed. Odd
    widths and heights, which yuv420p can't hold, grow by one pixel, a copy of the last column or row.

    Args:
        path: Where to; the suffix should be .mp4. Missing folders are made, an existing file is replaced.
        frames: RGB images (H, W, 3), uint8, all of one size; read once.
        fps: Frames per second.
        quality: x264's constant rate factor: 0 is lossless, 18 looks it, 28 is small.
        keyframes: Most frames from one key frame to the next: few make scrubbing quick and files larger.
        bit_rate: Bits a second to keep to, in place of a quality, as a camera on a narrow line does; x264 takes more where
            its coarsest picture needs more. The same frames give the same file on any number of cores.
        quick: Search less for what to leave out: half the time for a file that is a fifth larger and looks the same.

    Returns:
        The path written.

    Raises:
        VideoError: If there are no frames, or sizes differ.
        WriteError: If the file can't be written, such as on a full disk; a place that can't be is told before the
            first frame is asked for.
    """
    if not (np.isfinite(fps) and fps > 0):
        raise InputError(f"Expected fps above 0 (frames per second), got {fps}.")
    target = check_place(path)
    return write_whole(
        target, lambda part: _encode(part, frames, fps, _options(quality, keyframes, bit_rate, quick))
    )


def _options(quality: int, keyframes: int, bit_rate: int | None, quick: bool) -> dict[str, str]:
    """Options of x264."""
    options = {"preset": "superfast" if quick else "veryfast", "g": str(keyframes), "colorspace": "bt709"}
    options |= {"color_primaries": "bt709", "color_trc": "bt709", "color_range": "tv"}
    if quick or bit_rate is not None:
        # Quick: it runs beside whoever makes the frames, and threads of its own take a twentieth more work. To a rate: with
        # several, their number changes the file.
        options |= {"threads": "1"}
    if bit_rate is None:
        # The same factor gives 1 dB more where less is searched, and two steps less of it take that back.
        # 51 is x264's coarsest, and 0 stays lossless.
        return options | {"crf": str(min(quality + 2, 51) if quick and quality else quality)}
    if not bit_rate > 0:
        raise InputError(f"Expected bit_rate above 0 (bits per second), got {bit_rate}.")
    rate = str(int(bit_rate))
    return options | {"b": rate, "maxrate": rate, "bufsize": rate}


def _encode(part: Path, frames: Iterable[Image], fps: float, options: dict[str, str]) -> None:
    """Encode `frames` into the file `part`, in a thread of its own while the next ones are made."""
    import av
    from av.video.reformatter import Colorspace, VideoReformatter

    converter = VideoReformatter()  # one for all: each that is made has tables of its own to compute

    def mux(frame: Any, stream: Any) -> None:
        yuv = converter.reformat(frame, format="yuv420p", dst_colorspace=Colorspace.ITU709, threads=1)
        container.mux(stream.encode(yuv))

    # Keeps NTSC's rates exact: 29.97 is 30000/1001.
    rate = Fraction(fps).limit_denominator(1001)
    count, size, stream = 0, (0, 0), None
    with (
        part.open("wb") as file,
        av.open(file, "w", format="mp4", options={"movflags": "faststart"}) as container,
        ThreadPoolExecutor(1, "vtlab-encode") as encoder,
    ):
        waiting: deque[Future[None]] = deque()
        for count, image in enumerate(frames, start=1):
            image = _even(_check_image(image, count - 1))
            if stream is None:
                size = image.shape[:2]
                stream = _add_stream(container, rate, size, options)
            elif image.shape[:2] != size:
                raise VideoError(
                    f"Frame {count - 1} has size {image.shape[:2]} (height, width), the first had {size}."
                )
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            waiting.append(encoder.submit(mux, frame, stream))
            if len(waiting) > MOST_WAITING:
                waiting.popleft().result()  # an error of the encoder comes through here, and the memory is bounded
        while waiting:
            waiting.popleft().result()
        if stream is not None:
            container.mux(stream.encode())
    if not count:
        raise VideoError("No frames were given. Remedy: give at least one image.")


def _add_stream(container: Any, rate: Fraction, size: tuple[int, ...], options: dict[str, str]) -> Any:
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
