"""A replayed annotator: what labelling 3 objects over 300 frames to a mean overlap of 0.90 costs, in one cost model.

Two robots work on the same clip in the same corrector, which knows nothing of the truth. A robot sees what a person who
leafs through the clip would see, the overlap with the truth, and draws the true box where the overlap is worst. One
fills the frames between its boxes by interpolation, the other tracks on as it draws. Everything that a robot sends to the
corrector costs one: a frame gone to, an object selected, a box drawn, a key pressed. Target:
tracking takes at most half. How near it comes is the tracker's doing: MedianFlow, which needs no weights, saves little.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

import vtlab
from vtlab.datasets.synthetic import synthetic
from vtlab.geometry import paired_iou

GOAL, OBJECTS, SECONDS, SIZE, MOST, AHEAD = 0.90, 3, 10.0, (480, 272), 400, 30


def main(tracker: str = "medianflow", seeds: tuple[int, ...] = (0, 1, 2), seconds: float = SECONDS) -> None:
    """Print what each robot did and reached, for each clip."""
    table = Table(
        "clip", "frames", "robot", "boxes", "clicks and keys", "overlap", "seconds", title=f"goal {GOAL}"
    )
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        for seed in seeds:
            spent = []
            for name, work in (("interpolation", _interpolates), (f"tracking, {tracker}", _tracks)):
                robot = Robot(seed, tracker, seconds)
                begin = time.perf_counter()
                work(robot)
                took = f"{time.perf_counter() - begin:.0f}"
                spent.append(robot.cost)
                row = [f"seed {seed}", str(robot.frames), name, str(robot.boxes), str(robot.cost)]
                table.add_row(*row, f"{robot.mean():.3f}", took)
            table.add_row("", "", "", "", f"x {spent[1] / spent[0]:.2f}", "", "")
        os.chdir("/")
    Console().print(table)


class Robot:
    """A corrector on a synthetic clip, its truth, and what was spent.

    Attributes:
        cost: Edits sent.
        boxes: Of them, boxes drawn.
    """

    def __init__(self, seed: int, tracker: str, seconds: float):
        clip = synthetic(seed=seed, seconds=seconds, objects=OBJECTS, difficulty="medium", size=SIZE)
        if clip.truth is None:
            raise ValueError("a synthetic clip has truth")
        self.truth = clip.truth.seen()
        frames = np.stack([clip.video[i] for i in range(len(clip.video))])  # painted once
        self.made = vtlab.Corrector(vtlab.Session(frames, tracker), autosave=False, segmenter=None)
        self.ids = self.truth.object_ids.tolist()
        self.frames = len(clip.video)
        self.cost = self.boxes = 0

    def do(self, name: str, **values: Any) -> None:
        """Send one edit, and wait for what it starts."""
        self.cost += 1
        self.made.act({"do": name, **values})
        self.made.wait()

    def overlaps(self, object_id: int) -> tuple[Any, Any]:
        """Frames on which an object is seen, and its overlap with the truth there; 0 where it has no box."""
        mine, true = self.made.tracks.of_object(object_id).seen(), self.truth.of_object(object_id)
        value = np.zeros(len(true))
        _, a, b = np.intersect1d(mine.frame, true.frame, return_indices=True)
        value[b] = np.nan_to_num(paired_iou(mine.boxes[a], true.boxes[b]))
        return true.frame, value

    def mean(self) -> float:
        """Overlap, averaged over all boxes of the truth."""
        return float(np.concatenate([self.overlaps(i)[1] for i in self.ids]).mean())

    def draw(self, object_id: int, frame: int) -> None:
        """Go to a frame, select an object and draw its true box; what is shown already costs nothing."""
        if self.made.view["frame"] != frame:
            self.do("go", frame=int(frame))
        if self.made.view["selected"] != object_id:
            self.do("select", object_id=int(object_id))
        box = self.truth.of_object(object_id).at(frame).boxes[0]
        self.do("box", xyxy=box.tolist())
        self.boxes += 1

    def worst(self, score: Callable[[Any, Any], tuple[int, float]]) -> tuple[int, int]:
        """(object, frame) of the place that scores worst."""
        found = [(*score(*self.overlaps(i)), i) for i in self.ids]
        frame, _, object_id = min(found, key=lambda place: place[1])
        return object_id, frame


def _interpolates(robot: Robot) -> None:
    """Boxes at both ends, then at the worst frame of all, until the boxes between are good enough."""
    for i in robot.ids:
        frames = robot.overlaps(i)[0]
        for frame in (frames[0], frames[-1]):
            robot.draw(i, int(frame))
    robot.do("interpolate", everything=True)
    while robot.mean() < GOAL and robot.cost < MOST:
        robot.draw(*robot.worst(lambda frames, value: (int(frames[value.argmin()]), float(value.min()))))
        robot.made.session.interpolate()  # a tool that interpolates does so by itself: no cost


def _tracks(robot: Robot) -> None:
    """A box at the first frame, tracked on; then where the most is lost over the next second, tracked on as drawn."""
    robot.do("follow", on=True)
    for i in robot.ids:
        robot.draw(i, int(robot.overlaps(i)[0][0]))

    def lost(frames: Any, value: Any) -> tuple[int, float]:
        lacks = np.clip(GOAL - value, 0, None)
        ahead = np.array([lacks[k : k + AHEAD].sum() for k in range(len(lacks))])
        begin = int(ahead.argmax())
        wrong = np.flatnonzero(lacks[begin : begin + AHEAD] > 0)  # not a frame that is right already
        return int(frames[begin + (wrong[0] if len(wrong) else 0)]), -float(ahead.max())

    while robot.mean() < GOAL and robot.cost < MOST:
        robot.draw(*robot.worst(lost))


if __name__ == "__main__":
    main()
