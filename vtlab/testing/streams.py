"""Streams of detections, and what associators make of them."""

from __future__ import annotations

import configparser
import hashlib
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import supervision as sv
from numpy.typing import ArrayLike, NDArray

from vtlab.contracts import Associator
from vtlab.contracts.parts import associate
from vtlab.detectors.public import PublicDetections
from vtlab.registry import ASSOCIATORS
from vtlab.video import Frame

DETECTIONS = {  # stream -> sequence and file of detections
    "TUD-Campus": ("TUD-Campus", "det.txt"),
    "PETS09-S2L1-169": ("PETS09-S2L1-169", "det.txt"),
    **{f"MOT17-{n}-DPM": (f"MOT17-{n}-DPM", "det.txt") for n in ("02", "04", "05", "10", "11")},
    **{f"MOT17-{n}-FRCNN": (f"MOT17-{n}-DPM", "det_frcnn.txt") for n in ("02", "04")},
}
METHODS = ("sort", "bytetrack", "ocsort", "botsort", "c-biou")

Stream = list[sv.Detections]
# Methods without appearance never look at it.
_BLANK = np.zeros((4, 4, 3), np.uint8)


def frame(index: int, fps: float = 30.0, image: NDArray[np.uint8] | None = None) -> Frame:
    """A frame at its time, black unless an image is given."""
    return Frame(index, index / fps, _BLANK if image is None else image)


def detections(
    boxes: ArrayLike, scores: ArrayLike | None = None, class_id: ArrayLike | None = None
) -> sv.Detections:
    """Detections of boxes (N, 4) xyxy, as they are, with scores (0.9 by default) and classes."""
    boxes = np.asarray(boxes, dtype=np.float64).reshape(-1, 4)
    made = sv.Detections(
        xyxy=np.zeros_like(boxes), class_id=None if class_id is None else np.asarray(class_id)
    )
    made.xyxy = boxes  # supervision refuses NaN when it makes them, but not afterwards
    made.confidence = np.full(len(boxes), 0.9) if scores is None else np.asarray(scores, dtype=np.float64)
    return made


def walkers(n_frames: int = 40, n: int = 6, seed: int = 0, miss: float = 0.1) -> Stream:
    """Objects that walk in straight lines with noise, each missed now and then, in random order."""
    rng = np.random.default_rng(seed)
    # A few pixels a frame, sizes of pedestrians: what the methods' defaults are made for.
    start, speed = rng.uniform(0, 600, (n, 2)), rng.normal(0, 3, (n, 2))
    size = rng.uniform([20, 50], [40, 90], (n, 2))
    stream = []
    for t in range(n_frames):
        centre = start + speed * t
        # A pixel of noise at each edge, as detectors jitter.
        boxes = np.concatenate([centre - size / 2, centre + size / 2], axis=1) + rng.normal(0, 1, (n, 4))
        # In random order: no method may rely on the detector's.
        keep = rng.permutation(np.flatnonzero(rng.random(n) > miss))
        stream.append(detections(boxes[keep], rng.uniform(0.3, 1, len(keep))))
    return stream


def run(associator: Associator, stream: Stream, fps: float = 30.0) -> list[list[int]]:
    """Ids of all rows of all frames."""
    return [
        np.asarray(associate(associator, d, frame(i, fps)).tracker_id).tolist() for i, d in enumerate(stream)
    ]


def picture() -> NDArray[Any]:
    """A red and a blue thing on grey, with some texture."""
    image = np.full((120, 200, 3), 128, np.uint8)
    image[20:100, 20:60] = (200, 30, 30)
    image[20:100:8, 20:60] = 90
    image[20:100, 120:160] = (30, 30, 200)
    image[20:100, 120:160:6] = 200
    return image


def crowd(n_frames: int = 60, n: int = 230, seed: int = 0) -> Stream:
    """People who walk and turn at the edges, a tenth of them missed, some false boxes, in random order."""
    rng = np.random.default_rng(seed)
    place, speed = rng.uniform(0, 1, (n, 2)) * [1920, 1080], rng.normal(0, 3, (n, 2))
    size = np.stack([rng.uniform(20, 45, n), rng.uniform(50, 110, n)], axis=1)
    stream = []
    for _ in range(n_frames):
        place += speed
        speed[(place < 0) | (place > [1920, 1080])] *= -1
        seen = rng.random(n) > 0.1
        boxes = np.concatenate([place - size / 2, place + size / 2], axis=1)[seen]
        boxes += rng.normal(0, 2, boxes.shape)
        false = rng.uniform(0, 1, (int(rng.integers(0, 12)), 2)) * [1880, 1000]
        false = np.concatenate([false, false + rng.uniform(20, 90, false.shape)], axis=1)
        boxes = np.concatenate([boxes, false])
        scores = np.concatenate(
            [np.clip(rng.beta(6, 2, seen.sum()), 0.12, 1), rng.uniform(0.05, 0.6, len(false))]
        )
        order = rng.permutation(len(boxes))
        stream.append(sv.Detections(xyxy=boxes[order], confidence=scores[order]))
    return stream


def real(folder: Path, name: str) -> Stream:
    """Public detections of one stream of `DETECTIONS`."""
    name, file = DETECTIONS[name]
    ini = configparser.ConfigParser()
    ini.read(folder / name / "seqinfo.ini")
    detector = PublicDetections(path=folder / name / "det" / file)
    return [detector.at(i) for i in range(ini.getint("Sequence", "seqLength"))]


def ours(name: str, stream: Stream, **params: object) -> tuple[list[NDArray[Any]], float]:
    """Ids of every frame and the CPU seconds of all updates."""
    associator = ASSOCIATORS.create(name, **params)
    frames = [Frame(i, i / 30, np.zeros((1, 1, 3), np.uint8)) for i in range(len(stream))]
    started = time.process_time()
    answers = [associator.update(d, f) for d, f in zip(stream, frames, strict=True)]
    return [a.tracker_id for a in answers], time.process_time() - started


def renamed(ids: Iterable[NDArray[Any]]) -> list[int]:
    """Ids of all rows, numbered in the order in which they first come; -1 stays."""
    names: dict[int, int] = {}
    return [-1 if i < 0 else names.setdefault(i, len(names) + 1) for row in ids for i in row.tolist()]


def summary(ids: Iterable[NDArray[Any]]) -> dict[str, int | str]:
    """What the tests keep of a run: rows with an id, number of ids, and a hash of all of them."""
    # Little-endian of fixed width: the hash is the same on every machine.
    flat = np.array(renamed(ids), dtype="<i4")
    digest = hashlib.sha256(flat.tobytes()).hexdigest()
    return {"rows": int((flat > 0).sum()), "ids": int(max(flat.max(initial=0), 0)), "sha256": digest}
