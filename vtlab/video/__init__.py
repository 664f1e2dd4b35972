"""Video: frames with time stamps from a file, a folder, a stream or an array; lazy, frame-exact, never held whole."""

from vtlab.video.base import (
    BACKWARD_BYTES,
    CACHE_BYTES,
    IMAGE_FPS,
    IMAGE_SUFFIXES,
    FloatArray,
    Frame,
    FrameSource,
    Image,
    StreamVideo,
    Video,
    VideoLike,
    open_video,
    write_video,
)

__all__ = [
    "BACKWARD_BYTES",
    "CACHE_BYTES",
    "IMAGE_FPS",
    "IMAGE_SUFFIXES",
    "FloatArray",
    "Frame",
    "FrameSource",
    "Image",
    "StreamVideo",
    "Video",
    "VideoLike",
    "open_video",
    "write_video",
]
