"""OTB layout: `<Sequence>/{img/0001.jpg, groundtruth_rect.txt}`; two targets have `groundtruth_rect.1.txt` and `.2`.

Differs from vtlab's convention: boxes are xywh in pixels that count from 1; separators are mixed. Some sequences have
truth for a part of their images only; the part is known by its image numbers.

Benchmark: Wu, Lim, Yang, Object Tracking Benchmark, TPAMI 2015.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import ClassVar

import numpy as np

from vtlab.errors import FormatError, InputError
from vtlab.formats.boxes import read_boxes
from vtlab.sequence import Dataset, Sequence, first_prompts
from vtlab.tracks import Tracks
from vtlab.video import IMAGE_SUFFIXES, Video, open_video

_PARTS = {
    "David": (300, 770),
    "Diving": (1, 215),
    "Football1": (1, 74),
    "Freeman3": (1, 460),
    "Freeman4": (1, 283),
}
"""First and last image number of the sequences whose truth covers a part (the benchmark's own table)."""

_ATTRIBUTES = {
    "IV": "illumination variation",
    "SV": "scale variation",
    "OCC": "occlusion",
    "DEF": "deformation",
    "MB": "motion blur",
    "FM": "fast motion",
    "IPR": "in-plane rotation",
    "OPR": "out-of-plane rotation",
    "OV": "out of view",
    "BC": "background clutter",
    "LR": "low resolution",
}


class Otb(Dataset):
    """Sequences of OTB-50 and OTB-100, one target each; those of one folder end in -1 and -2.

    Args:
        root: Folder of sequences, or one sequence.

    Raises:
        InputError: If no sequence is found.
    """

    layout: ClassVar[str] = "otb"

    def __init__(self, root: str | os.PathLike[str]):
        self.root = Path(root)
        files = sorted(self.root.glob("groundtruth_rect*.txt")) or sorted(
            self.root.glob("*/groundtruth_rect*.txt")
        )
        self._files = {_name(file): file for file in files}
        self.names = tuple(self._files)
        if not self.names:
            raise InputError(
                f"{str(self.root)!r} holds no OTB sequences. Remedy: give the folder of the sequences "
                "(each has a groundtruth_rect.txt)."
            )

    def load(self, name: str) -> Sequence:
        """Read a sequence: its target is object 1, prompted by its first box."""
        file = self._files[name]
        boxes = read_boxes(file) - 1.0
        video = _frames(file.parent, len(boxes), name)
        if len(video) != len(boxes):
            raise FormatError(
                f"{file}: {len(boxes)} boxes for {len(video)} images. Is the sequence complete?"
            )
        present = np.isfinite(boxes).all(axis=1) & (boxes[:, 2:] > boxes[:, :2]).all(axis=1)
        boxes[~present] = np.nan
        truth = Tracks.of(
            np.arange(len(boxes)),
            1,
            boxes,
            visible=present,
            source="manual",
            size=(video.height, video.width),
            meta={"format": "otb", "file": str(file), "frames": len(boxes)},
        )
        tags = frozenset(_ATTRIBUTES.get(tag, tag) for tag in _attributes(file.parent))
        return Sequence(name, video, truth, first_prompts(truth), benchmark="otb", attributes=tags)


def _name(file: Path) -> str:
    target = re.fullmatch(r"groundtruth_rect\.(\d+)\.txt", file.name)
    folder = file.resolve().parent.name
    return f"{folder}-{target[1]}" if target else folder


def _frames(folder: Path, count: int, name: str) -> Video:
    """The images that the truth covers, or a video file beside it."""
    images = folder / "img"
    if not images.is_dir():
        videos = sorted(folder.glob("video.*"))
        return open_video(videos[0] if videos else images, name=name)
    files = sorted(
        (f for f in images.iterdir() if f.suffix.lower() in IMAGE_SUFFIXES),
        key=lambda f: (_number(f), f.name),
    )
    if folder.resolve().name in _PARTS:
        first, last = _PARTS[folder.resolve().name]
        files = [f for f in files if first <= _number(f) <= last]
    return open_video(files[:count], name=name)


def _number(file: Path) -> int:
    digits = re.findall(r"\d+", file.stem)
    return int(digits[-1]) if digits else 0


def _attributes(folder: Path) -> list[str]:
    file = folder / "attrs.txt"
    return re.findall(r"[A-Z]+", file.read_text()) if file.is_file() else []
