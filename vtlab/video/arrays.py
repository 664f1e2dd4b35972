"""An array as a video."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vtlab.errors import VideoError
from vtlab.video.base import FrameSource, Image


class ArraySource(FrameSource):
    """An array (N, H, W, 3)."""

    def __init__(self, array: Image, fps: float):
        self._array, self.fps = array, fps
        self.source, self.name = f"array {array.shape}", "array"
        self.height, self.width = array.shape[1:3]
        self.timestamps = np.arange(len(array)) / fps

    def get(self, index: int) -> Image:
        """See `FrameSource`."""
        return np.array(self._array[index], dtype=np.uint8, order="C")

    def digest(self) -> str:
        """See `FrameSource`."""
        total = hashlib.sha256(str(self._array.shape).encode())
        for image in self._array:
            total.update(np.ascontiguousarray(image).data)
        return "sha256:" + total.hexdigest()


def check_array(array: NDArray[Any]) -> Image:
    """Return the array if it is a video, else raise `VideoError`."""
    if array.dtype != np.uint8 or array.ndim != 4 or array.shape[3] != 3 or 0 in array.shape:
        raise VideoError(
            f"Expected an array of RGB images of shape (N, H, W, 3) and type uint8, got shape {array.shape} and "
            f"type {array.dtype}. Remedy: stack the images, scale fractions by 255 and convert to uint8."
        )
    return array
