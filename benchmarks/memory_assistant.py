"""Resident memory and time of the labelling assistant over 3,000 frames: flat, and linear.

    python benchmarks/memory_assistant.py [--frames 3000]

Objects come and go all the time over a synthetic scene of 320 x 180, so ids, lost objects and followers turn over.
"""

from __future__ import annotations

import argparse
import gc
import time
from collections.abc import Iterator

import numpy as np
import psutil
from rich.console import Console
from rich.table import Table

from vtlab.detectors.callable import CallableDetector
from vtlab.prompts import Prompts
from vtlab.trackers.create import create_tracker
from vtlab.video import Frame

HEIGHT, WIDTH, FPS, SIDE = 180, 320, 30.0, 22
LIMIT_MB = 50


def places(index: int) -> list[tuple[int, int, int]]:
    """Position and colour number of the things on a frame: each crosses the image once, six at a time."""
    found = []
    for lane in range(6):
        time_in = index + 37 * lane
        x = (time_in * 3) % (WIDTH + 2 * SIDE) - SIDE
        if 0 <= x <= WIDTH - SIDE:
            found.append((x, 6 + 29 * lane, (time_in * 3) // (WIDTH + 2 * SIDE) * 6 + lane))
    return found


def picture(index: int, ground: np.ndarray) -> np.ndarray:
    image = ground.copy()
    for x, y, number in places(index):
        colour = np.random.default_rng(number).integers(120, 255, 3)
        image[y : y + SIDE, x : x + SIDE] = colour
        image[y + 4 : y + SIDE : 6, x : x + SIDE] = colour // 2
    return image


def main() -> None:
    """Print memory and time at several points of one run."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--frames", type=int, default=3000)
    frames = parser.parse_args().frames
    state = {"index": 0}

    def look(image: np.ndarray) -> np.ndarray:
        return np.array([[x, y, x + SIDE, y + SIDE, 0.9] for x, y, _ in places(state["index"])]).reshape(
            -1, 5
        )

    def feed() -> Iterator[Frame]:
        for i in range(frames):
            state["index"] = i
            yield Frame(i, i / FPS, picture(i, ground))

    ground = np.random.default_rng(0).integers(30, 90, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    tracker = create_tracker(
        "assistant", detector=CallableDetector(function=look), follower="ncc", forget=5.0
    )
    process, table = psutil.Process(), Table(title=f"Assistant over {frames} frames")
    for column in ("frame", "resident MB", "CPU ms a frame", "objects so far"):
        table.add_column(column, justify="right")
    marks = sorted({300, frames // 2, frames} | set(range(500, frames, 500)))
    tracker.report()  # imports pandas, which is not the assistant's memory
    memory, since, last = {}, time.process_time(), 0
    for i, _ in tracker.run(feed(), Prompts(), frames):
        if i + 1 in marks:
            gc.collect()
            memory[i + 1] = process.memory_info().rss / 2**20
            cost = (time.process_time() - since) / (i + 1 - last) * 1e3
            table.add_row(
                f"{i + 1}", f"{memory[i + 1]:.1f}", f"{cost:.2f}", str(tracker.report().object_id.nunique())
            )
            since, last = time.process_time(), i + 1
    console = Console()
    console.print(table)
    growth = memory[frames] - memory[min(memory)]
    console.print(f"growth from frame {min(memory)} to {frames}: {growth:+.1f} MB (limit {LIMIT_MB} MB)")


if __name__ == "__main__":
    main()
