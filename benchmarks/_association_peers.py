"""Other associators on a stream of detections in an .npz file: seconds of their updates. Imports no vtlab."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np

Frames = list[tuple[np.ndarray, np.ndarray]]


def _frames(file: str) -> Frames:
    with np.load(file) as held:
        ends = np.cumsum(held["counts"])[:-1]
        return list(zip(np.split(held["boxes"], ends), np.split(held["scores"], ends), strict=True))


def _spent(update: Callable[[Any], object], given: list[Any]) -> float:
    begin = time.process_time()
    for one in given:
        update(one)
    return time.process_time() - begin


def roboflow(file: str, method: str) -> float:
    """CPU seconds of Roboflow `trackers`."""
    import supervision as sv
    import trackers

    classes = {"bytetrack": "ByteTrackTracker", "ocsort": "OCSORTTracker", "sort": "SORTTracker"}
    tracker = getattr(trackers, classes[method])()
    return _spent(tracker.update, [sv.Detections(xyxy=b, confidence=s) for b, s in _frames(file)])


def ioutrack(file: str) -> float:
    """CPU seconds of ByteTrack in `ioutrack` (Rust)."""
    import ioutrack as module

    tracker = module.ByteTrack(max_age=30, min_hits=3)
    rows = [np.concatenate([b, s[:, None]], axis=1).astype(np.float32) for b, s in _frames(file)]
    return _spent(lambda row: tracker.update(row, False), rows)


def visiontrack(file: str) -> float:
    """CPU seconds of ByteTrack in `visiontrack-cpp` (C++)."""
    import visiontrack_cpp as module

    tracker = module.ByteTracker()
    return _spent(lambda given: tracker.update(*given), _frames(file))


def edgefirst(file: str) -> float:
    """CPU seconds of ByteTrack in `edgefirst-tracker` (Rust)."""
    from edgefirst.tracker import ByteTrack

    tracker = ByteTrack()
    given = [
        (b.astype(np.float32), s.astype(np.float32), np.zeros(len(b), np.uint64), int(i * 1e9 / 30))
        for i, (b, s) in enumerate(_frames(file))
    ]
    return _spent(lambda one: tracker.update(*one), given)
