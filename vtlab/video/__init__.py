"""Video: frames with time stamps from a file, a folder, a stream or an array; lazy, frame-exact, never held whole."""

from vtlab.video.align import Alignment, align, check_found
from vtlab.video.base import (
    BACKWARD_BYTES,
    CACHE_BYTES,
    IMAGE_FPS,
    FloatArray,
    Form,
    Frame,
    FrameSource,
    Image,
    Video,
)
from vtlab.video.images import check_picture, open_picture, read_picture
from vtlab.video.manifest import Manifest
from vtlab.video.marks import Marks
from vtlab.video.names import IMAGE_SUFFIXES, image_files, is_leftover
from vtlab.video.open import VideoLike, open_video
from vtlab.video.same import Difference, first_difference
from vtlab.video.stream import StreamVideo
from vtlab.video.write import write_video

__all__ = [
    "BACKWARD_BYTES",
    "CACHE_BYTES",
    "IMAGE_FPS",
    "IMAGE_SUFFIXES",
    "Alignment",
    "Difference",
    "FloatArray",
    "Form",
    "Frame",
    "FrameSource",
    "Image",
    "Manifest",
    "Marks",
    "StreamVideo",
    "Video",
    "VideoLike",
    "align",
    "check_found",
    "check_picture",
    "first_difference",
    "image_files",
    "is_leftover",
    "open_picture",
    "open_video",
    "read_picture",
    "write_video",
]
