"""What the loop adds to a tracker's own steps, and decoding against raw PyAV, both in one run.

Targets: at most 0.15 ms a frame over the same steps called by hand; decoding at no less than 0.9 of raw PyAV.
"""

from __future__ import annotations

import statistics
import time

import numpy as np
from rich.console import Console
from rich.table import Table

import vtlab
from benchmarks import decode
from vtlab.contracts import Card, OnlineTracker
from vtlab.prompts import BoxPrompt, Prompts
from vtlab.tracks import FrameTracks
from vtlab.video import open_video

FRAMES, OBJECTS, ROUNDS = 2000, 4, 7


class Busy(OnlineTracker):
    """Does a fixed amount of work and answers with boxes."""

    card = Card("busy", "sot", accepts=frozenset({BoxPrompt}))

    def init(self, frame, prompts):
        self.ids = list(prompts.object_ids)
        self.boxes = np.array([p.box(1, 1) for p in prompts])
        return self.step(frame)

    def step(self, frame, prompts=Prompts()):
        self.boxes = self.boxes + frame.image[0, 0, 0] * 1e-6
        return FrameTracks.of(self.ids, self.boxes)

    def remove(self, object_ids):
        raise AssertionError("nothing is removed here")


def bare(video, prompts) -> float:
    """Milliseconds a frame of the tracker's steps called by hand over the same frames."""
    tracker = Busy()
    begin = time.perf_counter()
    for frame in video.frames():
        tracker.step(frame) if frame.index else tracker.init(frame, prompts)
    return 1000 * (time.perf_counter() - begin) / FRAMES


def looped(video, prompts) -> float:
    """Milliseconds a frame of `vtlab.track` over the same frames, from call to `Tracks`."""
    begin = time.perf_counter()
    tracks = vtlab.track(video, prompts, Busy(), progress=False)
    spent = 1000 * (time.perf_counter() - begin) / FRAMES
    assert len(tracks) == FRAMES * OBJECTS
    return spent


def main() -> None:
    video = open_video(np.zeros((FRAMES, 32, 32, 3), np.uint8))
    video.digest()  # of the content, for provenance; not part of the loop
    prompts = Prompts(BoxPrompt((1, 1, 9, 9), object_id=i) for i in range(1, OBJECTS + 1))
    looped(video, prompts)
    pairs = [(bare(video, prompts), looped(video, prompts)) for _ in range(ROUNDS)]
    by_hand, by_loop = (statistics.median(column) for column in zip(*pairs, strict=True))
    added = statistics.median(b - a for a, b in pairs)
    table = Table(title=f"the loop: {FRAMES} frames, {OBJECTS} objects, median of {ROUNDS}")
    for column in ("", "ms a frame"):
        table.add_column(column, justify="right")
    table.add_row("steps called by hand", f"{by_hand:.4f}")
    table.add_row("vtlab.track", f"{by_loop:.4f}")
    table.add_row("added", f"{added:.4f}  ({'within' if added <= 0.15 else 'ABOVE'} 0.15)")
    table.add_row("ratio", f"{by_loop / by_hand:.2f}")
    Console().print(table)
    decode.main()


if __name__ == "__main__":
    main()
