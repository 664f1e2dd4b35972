"""The corrector at scale: kernel time of a frame step, a box and an interpolation with 40 objects on 3,000 frames.

Targets: a step takes less than 0.1 s, a box less than 0.15 s, autosave and the list of doubtful places included.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable

import numpy as np
from rich.console import Console
from rich.table import Table

import vtlab

OBJECTS, FRAMES, KEYS, REPEATS = 40, 3000, 10, 20
HEIGHT, WIDTH = 720, 1280


def main() -> None:
    """Print median and worst of each."""
    table = Table(
        "what", "median in s", "worst in s", "of the processor", title=f"{OBJECTS} objects x {FRAMES} frames"
    )
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        made = _corrector()
        for name, step in (("step a frame", _step), ("take a box", _box)):
            seconds = [_timed(lambda i=i, step=step: step(made, i)) for i in range(REPEATS)]
            table.add_row(name, *_row(seconds))
            time.sleep(2)  # what is saved in the background is saved
        table.add_row("interpolate all", *_row([_timed(made.session.interpolate)]))
        os.chdir("/")
    Console().print(table)


def _corrector() -> vtlab.Corrector:
    video = np.broadcast_to(np.zeros((1, HEIGHT, WIDTH, 3), np.uint8), (FRAMES, HEIGHT, WIDTH, 3))
    frame, ids = np.repeat(np.arange(FRAMES), OBJECTS), np.tile(np.arange(1, OBJECTS + 1), FRAMES)
    noise = np.random.default_rng(0).normal(0, 0.3, len(frame))
    left, top = 10 + 25.0 * ids + noise, 10 + 0.2 * frame + noise
    boxes = np.stack([left, top, left + 20, top + 40], axis=1)
    tracks = vtlab.Tracks.of(frame, ids, boxes, 0.8)
    session = vtlab.Session.of(video, tracks, "ncc")
    keys = [
        vtlab.BoxPrompt((10 + 25.0 * i, 20, 30 + 25.0 * i, 60), object_id=i, frame=f)
        for i in range(1, OBJECTS + 1)
        for f in range(0, FRAMES, FRAMES // KEYS)
    ]
    session.add(keys)
    return vtlab.Corrector(session)


def _timed(work: Callable[[], object]) -> tuple[float, float]:
    """Seconds of the wall, and of this thread on the processor: the rest is other work, background saving included."""
    begin, own = time.perf_counter(), time.thread_time()
    work()
    return time.perf_counter() - begin, time.thread_time() - own


def _row(seconds: list[tuple[float, float]]) -> list[str]:
    wall, own = np.array(seconds).T
    return [f"{value:.3f}" for value in (np.median(wall), wall.max(), np.median(own))]


def _step(made: vtlab.Corrector, i: int) -> None:
    made.act({"do": "go", "frame": 100 + i})


def _box(made: vtlab.Corrector, i: int) -> None:
    made.act({"do": "box", "xyxy": [50 + i, 20, 90 + i, 60]})


if __name__ == "__main__":
    main()
