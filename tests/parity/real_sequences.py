"""The real sequences on which official trackers were run with real weights, and what those answered."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from vtlab.geometry import xyxy_to_xywh
from vtlab.prompts import BoxPrompt, Prompts
from vtlab.video import Frame

SEQUENCES = ("Crossing", "DragonBaby", "Basketball")
FRAMES = 60


@cache
def images(shared: Path, name: str) -> tuple[np.ndarray, ...]:
    """The first 60 frames (H, W, 3) BGR, as the official code read them."""
    folder = shared / "data" / "sot" / name
    if (folder / "img").is_dir():
        return tuple(cv2.imread(str(p)) for p in sorted((folder / "img").glob("*.jpg"))[:FRAMES])
    video = cv2.VideoCapture(str(folder / "video.mp4"))
    return tuple(video.read()[1] for _ in range(FRAMES))


def stored(shared: Path, method: str, name: str) -> dict[str, np.ndarray]:
    """What the official code answered, arrays without the sequence's name; skips where the frames are others."""
    with np.load(shared / "parity" / "real" / method / "tracks.npz") as file:
        found = {k.removeprefix(f"{name}_"): file[k] for k in file.files if k.startswith(f"{name}_")}
    (key,) = (k for k in found if k.startswith("frame_sha256"))
    digests = [hashlib.sha256(np.ascontiguousarray(i)).hexdigest() for i in images(shared, name)]
    if digests != found[key].tolist():
        pytest.skip(f"{name} is decoded to other pixels here than where the official code ran")
    return found


def moments(shared: Path, method: str, name: str) -> dict[str, np.ndarray]:
    """Crops and maps of single frames."""
    with np.load(shared / "parity" / "real" / method / f"frames_{name}.npz") as file:
        return {k.removeprefix(f"{name}_"): file[k] for k in file.files}


def frames(shared: Path, name: str) -> Iterator[Frame]:
    """The sequence as vtlab's frames."""
    for i, image in enumerate(images(shared, name)):
        yield Frame(i, i / 30, cv2.cvtColor(image, cv2.COLOR_BGR2RGB))


def run(
    shared: Path, name: str, tracker: Any, box: Any, count: int = FRAMES
) -> tuple[np.ndarray, np.ndarray]:
    """Boxes (n, 4) as left, top, width, height and scores (n,) of a tracker that begins on `box` (xyxy)."""
    answers = []
    for frame in islice(frames(shared, name), count):
        prompt = Prompts(BoxPrompt(tuple(np.asarray(box, float))))
        answers.append(tracker.step(frame) if frame.index else tracker.init(frame, prompt))
    return (
        xyxy_to_xywh(np.concatenate([a.boxes for a in answers])),
        np.concatenate([a.scores for a in answers]),
    )
