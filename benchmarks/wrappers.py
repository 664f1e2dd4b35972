"""OpenCV's trackers through vtlab against cv2 called directly: what a step takes on frames of three sizes.

    python -m benchmarks wrappers [--objects 1]

cv2 is given BGR frames, as OpenCV's own capture gives them; vtlab's frames are RGB and are turned once, outside a step.
The two run by turns, frame by frame, so that both meet the same machine; CPU time, OpenCV on one thread, as its others
wait awake after a call and are counted to whoever comes next, and with memory that stays with the process, as one side alone
would pay for what glibc gives back between two calls. Target: 1.05.
"""

from __future__ import annotations

import argparse
import ctypes
import sys
import time
from typing import Any

import cv2
import numpy as np
from rich.console import Console
from rich.table import Table

from vtlab.contracts import OnlineTracker
from vtlab.prompts import BoxPrompt, Prompts
from vtlab.trackers.create import create_tracker
from vtlab.video import Frame
from vtlab.weights import fetch

SIZES = ((576, 432), (1280, 720), (1920, 1080))
METHODS = {
    "mosse": "legacy.TrackerMOSSE_create",
    "medianflow": "legacy.TrackerMedianFlow_create",
    "kcf": "TrackerKCF_create",
    "nanotrack-v2": "TrackerNano_create",
}
NANO = "nanotrack-v2"
FRAMES, SKIPPED = 80, 5
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
"""Options of glibc's `mallopt`."""


def textured(width: int, height: int, n: int) -> list[np.ndarray]:
    """RGB frames of a textured patch that moves over a textured ground."""
    rng = np.random.default_rng(0)
    ground = cv2.GaussianBlur(rng.integers(0, 255, (height, width, 3), np.uint8), (0, 0), 2)
    patch = cv2.GaussianBlur(rng.integers(0, 255, (height // 6, width // 8, 3), np.uint8), (0, 0), 1)
    frames = []
    for k in range(n):
        frame = ground.copy()
        x, y = width // 4 + 2 * k, height // 4 + k
        frame[y : y + patch.shape[0], x : x + patch.shape[1]] = patch
        frames.append(frame)
    return frames


def directly(method: str) -> Any:
    """OpenCV's own tracker; NanoTrack from the files that vtlab runs."""
    if method == NANO:
        params = cv2.TrackerNano_Params()
        params.backbone, params.neckhead = (
            str(fetch(f"nanotrackv2_{part}.onnx")) for part in ("backbone", "head")
        )
        return cv2.TrackerNano_create(params)
    make = cv2
    for part in METHODS[method].split("."):
        make = getattr(make, part)
    return make()


def _keep_memory() -> None:
    """Freed memory stays with the process, where glibc is what allocates."""
    libc = ctypes.CDLL(None) if sys.platform.startswith("linux") else None
    if hasattr(libc, "mallopt"):
        for option in (M_TRIM_THRESHOLD, M_MMAP_THRESHOLD):
            libc.mallopt(option, 2**30)


def measure(method: str, size: tuple[int, int], objects: int) -> tuple[float, float]:
    """Median CPU milliseconds of a step through vtlab and of cv2's own, `objects` trackers in each."""
    cv2.setNumThreads(1)
    _keep_memory()
    width, height = size
    frames = textured(width, height, FRAMES)
    box = np.array([width // 4, height // 4, width // 4 + width // 8, height // 4 + height // 6], float)
    boxes = [box + 3 * k for k in range(objects)]
    ours = create_tracker(method, **({"engine": "opencv"} if method == NANO else {}))
    assert isinstance(ours, OnlineTracker)
    theirs = [directly(method) for _ in boxes]
    spent: tuple[list[float], list[float]] = ([], [])
    for k, image in enumerate(frames):
        frame, bgr = Frame(k, k / 30, image), cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
        frame.prepare(ours.forms)

        def own(k: int = k, frame: Frame = frame) -> None:
            if k:
                ours.step(frame)
            else:
                ours.init(frame, Prompts(BoxPrompt(b, object_id=i) for i, b in enumerate(boxes, 1)))

        def direct(k: int = k, bgr: np.ndarray = bgr) -> None:
            for tracker, b in zip(theirs, boxes, strict=True):
                if k:
                    tracker.update(bgr)
                else:
                    tracker.init(bgr, [round(v) for v in (*b[:2], *(b[2:] - b[:2]))])

        sides = ((0, own), (1, direct))
        for side, work in sides if k % 2 else sides[::-1]:  # who is first finds cold caches
            begin = time.process_time()
            work()
            if k >= SKIPPED:
                spent[side].append(time.process_time() - begin)
    return 1000 * float(np.median(spent[0])), 1000 * float(np.median(spent[1]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--objects", type=int, default=1)
    objects = parser.parse_args().objects
    table = Table(
        *("tracker", "frame", "vtlab, ms", "cv2, ms", "ratio"), title=f"A step, {objects} object(s)"
    )
    for method in METHODS:
        for size in SIZES:
            ours, theirs = measure(method, size, objects)
            table.add_row(
                method, f"{size[0]} x {size[1]}", f"{ours:.3f}", f"{theirs:.3f}", f"{ours / theirs:.2f}"
            )
    Console().print(table)


if __name__ == "__main__":
    main()
