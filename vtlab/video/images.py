"""Folders and lists of images as a video."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from vtlab.errors import VideoError
from vtlab.video.base import FrameSource, Image, hash_file

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".ppm"})


class ImageSource(FrameSource):
    """Image files, one a frame."""

    def __init__(self, paths: Sequence[Path], source: str, name: str, fps: float):
        self.source, self.name, self.fps = source, name, fps
        self._paths = list(paths)
        self.timestamps = np.arange(len(self._paths)) / fps
        self.width, self.height = _image_size(self._paths[0])
        for path in self._paths[1:]:
            if (size := _image_size(path)) != (self.width, self.height):
                raise VideoError(
                    f"The images of {source!r} have mixed sizes: {self._paths[0].name} has "
                    f"{self.width}x{self.height}, {path.name} has {size[0]}x{size[1]} (width x height). "
                    "Remedy: give images of one size only, e.g. by a glob, or resize them."
                )

    def get(self, index: int) -> Image:
        """See `FrameSource`."""
        import cv2

        path = self._paths[index]
        try:
            image = cv2.imdecode(np.fromfile(path, dtype=np.uint8), cv2.IMREAD_COLOR)
        except (OSError, cv2.error) as error:
            raise VideoError(f"The image {str(path)!r} (frame {index}) can't be read: {error}.") from error
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


def _image_size(path: Path) -> tuple[int, int]:
    """Width and height of an image file as shown, read from its header."""
    from PIL import Image as Pillow
    from PIL import UnidentifiedImageError

    try:
        with Pillow.open(path) as image:
            turned = image.format == "JPEG" and image.getexif().get(0x0112, 1) >= 5
            width, height = image.size
            return (height, width) if turned else (width, height)
    except (OSError, UnidentifiedImageError, Pillow.DecompressionBombError) as error:
        raise VideoError(
            f"{str(path)!r} is not a readable image: {error}. Remedy: replace or remove it."
        ) from error


def sorted_images(paths: Iterable[Path]) -> list[Path]:
    """Those that are images by their suffix, by the numbers in their names (2 before 10)."""

    def natural(path: Path) -> list[tuple[int, int | str]]:
        return [(0, int(t)) if t.isdigit() else (1, t) for t in re.split(r"(\d+)", path.name) if t]

    kept = (p for p in paths if p.suffix.lower() in IMAGE_SUFFIXES and not p.name.startswith("."))
    return sorted(kept, key=natural)
