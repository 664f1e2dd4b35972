"""Folders and lists of images as a video."""

from __future__ import annotations

import hashlib
import re
import warnings
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np

from vtlab.errors import VideoError
from vtlab.files import damage_as
from vtlab.video.base import FrameSource, Image, hash_file

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".ppm"})
MOST_PIXELS = 1 << 27
"""Of a picture: more than 16K video has."""


class ImageSource(FrameSource):
    """Image files, one a frame."""

    def __init__(self, paths: Sequence[Path], source: str, name: str, fps: float):
        self.source, self.name, self.fps = source, name, fps
        self._paths = list(paths)
        self.timestamps = np.arange(len(self._paths)) / fps
        self.width, self.height = check_picture(self._paths[0], self._paths[0])
        for path in self._paths[1:]:
            if (size := check_picture(path, path)) != (self.width, self.height):
                raise VideoError(
                    f"The images of {source!r} have mixed sizes: {self._paths[0].name} has "
                    f"{self.width}x{self.height}, {path.name} has {size[0]}x{size[1]} (width x height). "
                    "Remedy: give images of one size only, e.g. by a glob, or resize them."
                )

    def get(self, index: int) -> Image:
        """See `FrameSource`."""
        import cv2

        path = self._paths[index]
        with damage_as(VideoError, f"{path} (frame {index})", "a readable image"):
            image = cv2.imdecode(np.fromfile(path, dtype=np.uint8), cv2.IMREAD_COLOR)
        if image is None or image.shape[:2] != (self.height, self.width):
            raise VideoError(
                f"The image {str(path)!r} (frame {index}) is damaged. Remedy: replace or remove it."
            )
        return np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), dtype=np.uint8)

    def digest(self) -> str:
        """See `FrameSource`."""
        total = hashlib.sha256()
        for path in self._paths:
            total.update(hash_file(path, hashlib.sha256()).digest())
        return "sha256:" + total.hexdigest()


def check_picture(file: Path | BinaryIO, where: object) -> tuple[int, int]:
    """Width and height of an image as shown, read from its header.

    Raises:
        VideoError: It is no image, or has more pixels than are unpacked.
    """
    from PIL import Image as Pillow

    with warnings.catch_warnings(), damage_as(VideoError, where, "a readable image"):
        warnings.simplefilter("ignore", Pillow.DecompressionBombWarning)
        with Pillow.open(file) as image:
            turned = image.format == "JPEG" and image.getexif().get(0x0112, 1) >= 5
            width, height = image.size
    if width * height > MOST_PIXELS:
        raise VideoError(
            f"{where}: {width} x {height} px, at most {MOST_PIXELS} are unpacked. Remedy: resize it."
        )
    return (height, width) if turned else (width, height)


def sorted_images(paths: Iterable[Path]) -> list[Path]:
    """Those that are images by their suffix, by the numbers in their names (2 before 10)."""

    def natural(path: Path) -> list[tuple[int, int | str]]:
        return [(0, int(t)) if t.isdigit() else (1, t) for t in re.split(r"(\d+)", path.name) if t]

    kept = (p for p in paths if p.suffix.lower() in IMAGE_SUFFIXES and not p.name.startswith("."))
    return sorted(kept, key=natural)
