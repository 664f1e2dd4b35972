"""Streams of detections for the tests of associators."""

from __future__ import annotations

import numpy as np
import supervision as sv

from vtlab.video import Frame

_BLANK = np.zeros((4, 4, 3), np.uint8)


def frame(index: int, fps: float = 30.0, image: np.ndarray | None = None) -> Frame:
    return Frame(index, index / fps, _BLANK if image is None else image)


def detections(boxes, scores=None, class_id=None) -> sv.Detections:
    boxes = np.asarray(boxes, dtype=np.float64).reshape(-1, 4)
    made = sv.Detections(
        xyxy=np.zeros_like(boxes), class_id=None if class_id is None else np.asarray(class_id)
    )
    made.xyxy = boxes  # supervision refuses NaN when it makes them, but not afterwards
    made.confidence = np.full(len(boxes), 0.9) if scores is None else np.asarray(scores, dtype=np.float64)
    return made


def walkers(n_frames: int = 40, n: int = 6, seed: int = 0, miss: float = 0.1) -> list[sv.Detections]:
    """Objects that walk in straight lines with noise, each missed now and then, in random order."""
    rng = np.random.default_rng(seed)
    start, speed = rng.uniform(0, 600, (n, 2)), rng.normal(0, 3, (n, 2))
    size = rng.uniform([20, 50], [40, 90], (n, 2))
    stream = []
    for t in range(n_frames):
        centre = start + speed * t
        boxes = np.concatenate([centre - size / 2, centre + size / 2], axis=1) + rng.normal(0, 1, (n, 4))
        keep = rng.permutation(np.flatnonzero(rng.random(n) > miss))
        stream.append(detections(boxes[keep], rng.uniform(0.3, 1, len(keep))))
    return stream


def run(associator, stream, fps: float = 30.0) -> list[list[int]]:
    """Ids of all rows of all frames."""
    return [associator.update(d, frame(i, fps)).tracker_id.tolist() for i, d in enumerate(stream)]
