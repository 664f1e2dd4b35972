"""DAVIS layout: `JPEGImages/<resolution>/<sequence>/00000.jpg`, `Annotations/<resolution>/<sequence>/00000.png`.

Annotations are palette images: 0 background, 1..N objects, 254 and 255 void (kept as ignore regions). DAVIS 2016 has one
object, drawn as 255 on 0. YouTube-VOS has the same tree without the resolution and masks on every fifth frame only.

Benchmarks: Pont-Tuset et al., The 2017 DAVIS Challenge, arXiv:1704.00675; Xu et al., YouTube-VOS, ECCV 2018.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from vtlab import masks
from vtlab.errors import FormatError, InputError
from vtlab.sequence import Dataset, Sequence, first_prompts
from vtlab.tracks import Tracks
from vtlab.video import IMAGE_SUFFIXES, open_video

_FPS = 24.0
_VOID = (254, 255)


class Davis(Dataset):
    """Sequences of DAVIS 2016, DAVIS 2017 and YouTube-VOS.

    Args:
        root: Folder that holds `JPEGImages` and `Annotations`.
        split: Name of a list in `ImageSets` ("2017/val"); by default every annotated sequence.
        resolution: Folder under both, "480p" or "Full-Resolution"; "" for YouTube-VOS. By default the one there is.

    Raises:
        InputError: If the folders or the list are missing.
    """

    layout: ClassVar[str] = "davis"

    def __init__(self, root: str | os.PathLike[str], split: str = "", resolution: str | None = None):
        self.root = Path(root)
        images, annotations = self.root / "JPEGImages", self.root / "Annotations"
        if not images.is_dir() or not annotations.is_dir():
            raise InputError(
                f"{str(self.root)!r} has no folders JPEGImages and Annotations. Remedy: give DAVIS' root."
            )
        if resolution is None:
            resolution = next((r for r in ("480p", "Full-Resolution", "1080p") if (images / r).is_dir()), "")
        self._images, self._annotations = images / resolution, annotations / resolution
        self.names = self._listed(split) if split else self._found()
        if not self.names:
            raise InputError(f"{str(self._images)!r} holds no sequences that are annotated.")

    def _found(self) -> tuple[str, ...]:
        folders = sorted(self._images.glob("*/")) if self._images.is_dir() else []
        return tuple(f.name for f in folders if (self._annotations / f.name).is_dir())

    def _listed(self, split: str) -> tuple[str, ...]:
        path = self.root / "ImageSets" / f"{split}.txt"
        if not path.is_file():
            raise InputError(
                f"There is no list {str(path)!r}. Remedy: give a split such as '2017/val', or none."
            )
        names = tuple(line.split()[0] for line in path.read_text().splitlines() if line.strip())
        for name in names:
            if not (self._images / name).is_dir():
                raise InputError(f"{path} lists {name!r}, but {str(self._images / name)!r} does not exist.")
        return names

    def load(self, name: str) -> Sequence:
        """Read a sequence; each object is prompted by its mask and its box where it first appears."""
        video = open_video(self._images / name, fps=_FPS)
        files = [f for f in (self._images / name).iterdir() if f.suffix.lower() in IMAGE_SUFFIXES]
        number = {stem: i for i, stem in enumerate(sorted(f.stem for f in files))}
        labelled = sorted((self._annotations / name).glob("*.png"))
        single = _is_single(labelled)
        rows: list[tuple[int, int, bytes]] = []
        void: list[tuple[int, int, bytes]] = []
        for file in labelled:
            if file.stem not in number:
                raise FormatError(f"{file}: there is no image of that name in {str(self._images / name)!r}.")
            image = _read(file, (video.height, video.width))
            for value in np.unique(image[image > 0]).tolist():
                ignored = value in _VOID and not single
                entry = (number[file.stem], 1 if single or ignored else value, masks.encode(image == value))
                (void if ignored else rows).append(entry)
        size, annotated = (video.height, video.width), [number[f.stem] for f in labelled]
        meta = {"format": "davis", "frames": len(video), "annotated": annotated}
        truth = _tracks(rows, size, meta)
        ignore = _merge(void, size, meta) if void else None
        return Sequence(name, video, truth, first_prompts(truth), ignore, "davis")


def _tracks(rows: list[tuple[int, int, bytes]], size: tuple[int, int], meta: dict[str, object]) -> Tracks:
    frames, ids, encoded = zip(*rows, strict=True) if rows else ((), (), ())
    return Tracks.of(frames, ids, masks=list(encoded), source="manual", size=size, meta=meta)


def _merge(rows: list[tuple[int, int, bytes]], size: tuple[int, int], meta: dict[str, object]) -> Tracks:
    """Void regions: one row a frame."""
    merged: dict[int, NDArray[np.bool_]] = {}
    for frame, _, code in rows:
        merged[frame] = masks.decode(code, *size) | merged.get(frame, np.zeros(size, bool))
    return _tracks([(frame, 1, masks.encode(mask)) for frame, mask in merged.items()], size, meta)


def _is_single(files: list[Path]) -> bool:
    """Whether these are DAVIS 2016's masks: 255 on 0 and nothing else, in the first one that shows the object."""
    for file in files:
        values = set(np.unique(_read(file)).tolist()) - {0}
        if values:
            return values == {255}
    return False


def _read(file: Path, size: tuple[int, int] | None = None) -> NDArray[np.uint8]:
    """Indices of a palette or grey image, (H, W)."""
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(file) as image:
            if image.mode not in ("P", "L", "1"):
                raise FormatError(
                    f"{file}: expected a palette image of object numbers, got mode {image.mode}."
                )
            array = np.asarray(image.convert("L") if image.mode == "1" else image, dtype=np.uint8)
    except (OSError, UnidentifiedImageError) as error:
        raise FormatError(f"{file}: can't be read as an image ({error}).") from None
    if size is not None and array.shape != size:
        raise FormatError(f"{file}: the mask is {array.shape[::-1]}, the image {size[::-1]} (width, height).")
    return array
