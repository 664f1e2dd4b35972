"""Peak resident memory while tracking 300 and 3,000 frames of a 720p video, each in a process of its own.

Target: the two peaks within 50 MB of each other.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from vtlab.video import write_video

TRACKERS = ("ncc", "kcf", "medianflow")
FRAMES = (300, 3000)
HEIGHT, WIDTH = 720, 1280

CHILD = """
import resource, sys, vtlab
tracks = vtlab.track(sys.argv[1], vtlab.BoxPrompt((200, 200, 300, 300)), sys.argv[2], stop=int(sys.argv[3]), progress=False)
assert len(tracks.frames) == int(sys.argv[3])
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
"""


def scene():
    """A textured patch that moves over a background, frame by frame."""
    rng = np.random.default_rng(0)
    background = np.kron(rng.integers(0, 160, (HEIGHT // 16, WIDTH // 16, 3)), np.ones((16, 16, 1))).astype(
        np.uint8
    )
    patch = np.kron(rng.integers(90, 255, (10, 10, 3)), np.ones((10, 10, 1))).astype(np.uint8)
    for i in range(max(FRAMES)):
        image = background.copy()
        x, y = 200 + int(150 * np.sin(i / 60)), 200 + int(80 * np.cos(i / 45) - 80)
        image[y : y + 100, x : x + 100] = patch
        yield image


def main() -> None:
    table = Table(title="peak memory in MB, 720p")
    for column in ("tracker", *(f"{n} frames" for n in FRAMES), "difference"):
        table.add_column(column, justify="right")
    with tempfile.TemporaryDirectory() as folder:
        video = write_video(Path(folder) / "long.mp4", scene(), 30, quality=30)
        for tracker in TRACKERS:
            peaks = [
                float(
                    subprocess.run(
                        [sys.executable, "-c", CHILD, str(video), tracker, str(n)],
                        check=True,
                        capture_output=True,
                        text=True,
                    ).stdout
                )
                for n in FRAMES
            ]
            difference = peaks[1] - peaks[0]
            verdict = "within 50" if difference <= 50 else "ABOVE 50"
            table.add_row(tracker, *(f"{p:.0f}" for p in peaks), f"{difference:+.1f}  ({verdict})")
    Console().print(table)


if __name__ == "__main__":
    main()
