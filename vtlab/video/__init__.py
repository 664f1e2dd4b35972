"""Video: frames with time stamps from a file, a folder, a stream or an array; lazy, frame-exact, never held whole."""

from vtlab.video.base import (
    BACKWARD_BYTES,
    CACHE_BYTES,
    IMAGE_FPS,
    FloatArray,
    Frame,
    FrameSource,
    Image,
    Video,
)
from vtlab.video.images import check_picture, open_picture, read_picture
from vtlab.video.names import IMAGE_SUFFIXES, image_files, is_leftover
from vtlab.video.open import VideoLike, open_video
from vtlab.video.stream import StreamVideo
from vtlab.video.write import write_video

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
    "check_picture",
    "image_files",
    "is_leftover",
    "open_picture",
    "open_video",
    "read_picture",
    "write_video",
]
