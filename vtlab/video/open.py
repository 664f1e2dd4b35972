"""open_video: one door to files, folders, globs, lists, addresses and arrays."""

from __future__ import annotations

import glob
import os
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
from numpy.typing import NDArray

from vtlab.errors import InputError, VideoError
from vtlab.video.arrays import ArraySource, check_array
from vtlab.video.base import CACHE_BYTES, IMAGE_FPS, FrameSource, Video
from vtlab.video.files import FileSource
from vtlab.video.images import ImageSource
from vtlab.video.names import IMAGE_SUFFIXES, check_names, image_files, is_leftover, sorted_images
from vtlab.video.stream import StreamVideo

_ADDRESSES = frozenset({"http", "https", "rtsp", "rtsps", "rtmp", "udp", "srt"})

_OfFile = Callable[[str], FileSource]
VideoLike = Video | str | os.PathLike[str] | NDArray[np.uint8] | Sequence[str | os.PathLike[str]]


def open_video(
    source: VideoLike,
    *,
    fps: float | None = None,
    name: str | None = None,
    verify: bool = False,
    stream: int | None = None,
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
        stream: Number of the video within a file that holds several, as messages name them; by default the one that
            FFmpeg would play.
        cache_bytes: Bound on the images kept for random access.

    Raises:
        InputError: If `fps` is no rate, or `stream` is given for what is no file of videos.
        VideoError: If it is missing, empty, damaged beyond reading, or not a video; the message names the remedy; or if it
            has no video of number `stream`: the message lists those it has.

    Warns:
        VtlabWarning: If the file has fewer frames than it announces, or several videos of which none was chosen.
    """
    if fps is not None and not (np.isfinite(fps) and fps > 0):
        raise InputError(f"Expected fps above 0 (frames per second), got {fps}.")
    if isinstance(source, Video):
        if stream is not None and stream != source.stream:
            raise InputError(f"{source!r} is open already; give stream={stream} where it is opened.")
        return source
    if isinstance(source, str) and "://" in source and not os.path.exists(source):
        scheme = urlsplit(source).scheme
        if scheme not in _ADDRESSES:
            raise VideoError(
                f"Addresses of kind {scheme!r} can't be opened. Known: {', '.join(sorted(_ADDRESSES))}."
            )
        if stream is not None:
            raise InputError("stream= chooses a video of a file, not of an address.")
        return StreamVideo(source)
    frames = _find_source(source, fps, partial(FileSource, fps=fps, verify=verify, stream=stream))
    if stream is not None and not isinstance(frames, FileSource):
        raise InputError(f"stream= chooses a video of a file that holds several; {frames.source!r} is none.")
    if name is not None:
        frames.name = name
    return Video(frames, cache_bytes=cache_bytes)


def _find_source(source: Any, fps: float | None, of_file: _OfFile) -> FrameSource:
    if isinstance(source, np.ndarray):
        return ArraySource(check_array(source), fps or IMAGE_FPS)
    if isinstance(source, str | os.PathLike):
        return _find_files(os.fspath(source), fps, of_file)
    paths = list(source) if isinstance(source, Iterable) else [source]
    if not all(isinstance(path, str | os.PathLike) for path in paths):
        raise InputError(
            f"Expected a file, a folder, a glob, an address, a list of images or an array, got {source!r}."
        )
    paths = [Path(path) for path in paths]
    if not paths:
        raise VideoError("The list of images is empty. Remedy: give at least one image.")
    return _images(paths, str(paths[0].parent), fps)


def _find_files(source: str, fps: float | None, of_file: _OfFile) -> FrameSource:
    path = Path(source)
    if path.is_dir():
        files = image_files(path)
        if not files:
            raise VideoError(
                f"The folder {source!r} holds no images ({', '.join(sorted(IMAGE_SUFFIXES))}). "
                "Remedy: give the folder that holds the images themselves, or a glob."
            )
        check_names(files, source)
        return _images(files, source, fps)
    if path.is_file():
        if path.stat().st_size == 0:
            raise VideoError(f"The file {source!r} is empty (0 bytes). Remedy: copy or download it again.")
        if path.suffix.lower() in IMAGE_SUFFIXES:
            return ImageSource([path], source, path.stem, fps=fps, default=IMAGE_FPS)
        return of_file(source)
    if glob.has_magic(source):
        found = (Path(name) for name in glob.glob(source, recursive=True))
        shown = (p for p in found if not p.is_dir() and not any(map(is_leftover, _below(p, source))))
        files = sorted_images(shown)
        if not files:
            raise VideoError(f"No image matches {source!r}. Remedy: check the pattern.")
        check_names(files, source)
        return _images(files, source, fps)
    raise VideoError(
        f"The video {source!r} does not exist. Remedy: check the path (working folder: {os.getcwd()!r})."
    )


def _below(path: Path, pattern: str) -> tuple[str, ...]:
    """The parts of a path that a glob's wildcards found, not those that were asked for by name."""
    given = next(i for i, part in enumerate(Path(pattern).parts) if glob.has_magic(part))
    return path.parts[given:]


def _images(files: list[Path], source: str, fps: float | None) -> FrameSource:
    name = files[0].resolve().parent.name
    return ImageSource(files, source, name, fps=fps, default=IMAGE_FPS)
