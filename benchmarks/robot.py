"""A replayed annotator: what labelling 3 objects over 300 frames to a mean overlap of 0.90 costs, in one cost model.

Robots work on the same clip in the same corrector, which knows nothing of the truth. An object after the other, a robot
draws the true box on the first and on the last frame that show it, and then others between them, until the object's mean
overlap with the truth is the goal. Everything that a robot sends to the corrector costs one: a frame gone to, an object
selected, a box drawn, a key pressed. Target: at most half of what interpolation takes.

Two things differ. What fills the frames between boxes: interpolation, or a tracker "as I draw". And who says where to draw
next: the robot, which knows the truth and goes to the middle of what is lost where the most is; or, with "led", the
corrector, which doesn't, and shows by itself the frame that is the least sure. There the robot does what a person could:
where the box shown overlaps the truth by less than the goal it draws, where the object can't be seen it says so, else it
says that it looks right.

How a robot works stands in `vtlab.experiments.robot`, what it gave in docs/labelling.md. Synthetic clips, and real ones of
`VTLAB_SHARED` (fewer frames, single objects); KEPT_BACK names those that nothing was chosen by.
"""

from __future__ import annotations

import os
import tempfile
import time
from argparse import ArgumentParser
from collections import deque
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

import vtlab
from vtlab.datasets import open_dataset
from vtlab.datasets.synthetic import synthetic
from vtlab.experiments.robot import Robot
from vtlab.tracks import Tracks

GOAL, OBJECTS, SECONDS, SIZE, MOST = 0.90, 3, 10.0, (480, 272), 100
SEEDS, REAL = (
    ("seed 0", "seed 1", "seed 2", "seed 11"),
    ("PETS09-S2L1-169", "Crossing", "car-shadow", "camel"),
)
KEPT_BACK = ("seed 10", "seed 12", "seed 13", "seed 14", "Basketball", "DragonBaby")
FOLDERS = (("mot", "motchallenge"), ("sot", "otb"), ("vos", "davis"))
SHARED = Path(os.environ.get("VTLAB_SHARED", Path(__file__).parents[2] / "shared")) / "data"


def main() -> None:
    """Print what each robot did and reached, for each clip."""
    parser = ArgumentParser(prog="robot")
    parser.add_argument("--trackers", default="medianflow")
    parser.add_argument("--clips", default=",".join([*SEEDS, *REAL, *KEPT_BACK]))
    options = parser.parse_args()
    trackers = ["interpolation", *options.trackers.split(",")]
    methods = [*trackers, *(f"{name}, led" for name in trackers)]
    table = Table("clip", "objects x frames", "filled by", "boxes", "clicks and keys", "overlap", "x", "s")
    total = dict.fromkeys(methods, 0)
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        for name in options.clips.split(","):
            if (given := clip(name)) is None:
                print(f"skipped: {name} is not in {SHARED}; set VTLAB_SHARED")
                continue
            plain = 0
            for method in methods:
                hand, begin = Hand(*given, method), time.perf_counter()
                robot = Robot(given[1], hand)
                for i in robot.ids:
                    hand.led_over(robot, i) if hand.led else deque(robot.halve(i, GOAL, MOST), maxlen=0)
                took, plain = time.perf_counter() - begin, plain or hand.cost
                total[method] += hand.cost
                row = (name + " *" * (name in KEPT_BACK), f"{len(robot.ids)} x {len(given[0])}", method)
                share = f"{hand.cost / plain:.2f}"
                table.add_row(
                    *row, str(hand.boxes), str(hand.cost), f"{robot.mean():.3f}", share, f"{took:.0f}"
                )
        os.chdir("/")
    for method in methods:
        share = f"{total[method] / max(total[methods[0]], 1):.2f}"
        table.add_row("all", "", method, "", str(total[method]), "", share, "")
    Console(width=110).print(table)
    print("* kept back: nothing was chosen by it")


def clip(name: str) -> tuple[np.ndarray, Tracks] | None:
    """Frames (N, H, W, 3) and truth of a clip, its objects that are seen the longest; None where it isn't at hand."""
    if name.startswith("seed "):
        made = synthetic(seed=int(name[5:]), seconds=SECONDS, objects=OBJECTS, difficulty="medium", size=SIZE)
    else:
        places = [SHARED / folder for folder, _ in FOLDERS]
        if not all(place.is_dir() for place in places):
            return None
        sets = [open_dataset(place, layout) for place, (_, layout) in zip(places, FOLDERS, strict=True)]
        made = next(s[name] for s in sets if name in s.names)
    if made.truth is None:
        raise ValueError(f"{name} has no truth")
    truth = made.truth.seen()
    ids, rows = np.unique(truth.object_id, return_counts=True)
    longest = ids[np.argsort(-rows, kind="stable")[:OBJECTS]]
    frames = np.stack([made.video[i] for i in range(len(made.video))])  # painted or decoded once
    return frames, truth.take(np.isin(truth.object_id, longest))


class Hand:
    """A corrector on a clip, in which a robot draws (`vtlab.experiments.robot.Hand`), and what was spent.

    Args:
        frames: The clip's.
        truth: Boxes of the objects where they are seen.
        method: What fills the frames between boxes: "interpolation" or a tracker; with ", led" the corrector says where to
            draw next.

    Attributes:
        led: Whether it does.
        cost: Edits sent.
        boxes: Of them, boxes drawn.
    """

    def __init__(self, frames: np.ndarray, truth: Tracks, method: str):
        filled, _, led = method.partition(", ")
        self.truth, self.tracked, self.led = truth, filled != "interpolation", bool(led)
        session = vtlab.Session(frames, filled if self.tracked else "medianflow")
        self.made = vtlab.Corrector(session, autosave=False, segmenter=None)
        self.cost = self.boxes = 0
        self.right: dict[int, list[int]] = {}
        if self.tracked:
            self.do("lead" if self.led else "follow", on=True)

    @property
    def tracks(self) -> Tracks:
        """What the corrector shows."""
        return self.made.tracks

    def key_frames(self, object_id: int) -> list[int]:
        """Frames on which the object was drawn."""
        return self.made.session.key_frames(object_id) if object_id in self.made.session.object_ids else []

    def do(self, name: str, **values: Any) -> None:
        """Send one edit, and wait for what it starts."""
        self.cost += 1
        self.made.act({"do": name, **values})
        self.made.wait()

    def draw(self, object_id: int, frame: int) -> None:
        """Go to a frame, select an object and draw its true box; what is shown already costs nothing."""
        if self.made.view["frame"] != frame:
            self.do("go", frame=frame)
        if self.made.view["selected"] != object_id:
            self.do("select", object_id=object_id)
        box = self.truth.of_object(object_id).at(frame).boxes[0]
        self.do("box", xyxy=box.tolist())
        self.boxes += 1
        drawn = len(self.key_frames(object_id))
        if not self.tracked and drawn == 2:
            self.do("interpolate")
        elif not self.tracked and drawn > 2:  # a tool that interpolates does so by itself: no cost
            self.made.session.interpolate([object_id])

    def led_over(self, robot: Robot, object_id: int) -> None:
        """Label an object where the corrector leads."""
        frames, _ = robot.overlaps(object_id)
        self.draw(object_id, int(frames[0]))
        self.draw(object_id, int(frames[-1]))
        for _ in range(4 * MOST):
            frames, value = robot.overlaps(object_id)
            if value.mean() >= GOAL or len(self.key_frames(object_id)) >= MOST:
                return
            at = self.lead(object_id)
            if at is None:  # all was said to look right, and isn't yet: the robot looks for itself
                self.draw(object_id, robot.lost(object_id))
            elif (value[frames == at] < GOAL).any():
                self.draw(object_id, at)
            elif self.tracked and at not in frames:
                self.do("absent", object_id=object_id)
            elif self.tracked:
                self.do("looks_right")
            else:
                self.cost += 1
                self.right.setdefault(object_id, []).append(at)

    def lead(self, object_id: int) -> int | None:
        """Frame that the corrector leads to; None where it knows no more.

        Between interpolated frames it doesn't lead: there it is the middle of the longest way between two figures, for the
        comparison's sake, which costs nothing either.
        """
        if self.tracked:
            view = self.made.view
            return int(view["frame"]) if view["tracking"]["led"] else None
        figures = sorted({*self.key_frames(object_id), *self.right.get(object_id, [])})
        a, b = max(pairwise(figures), key=lambda ends: ends[1] - ends[0])
        self.made.act({"do": "go", "frame": (a + b) // 2})
        return (a + b) // 2


if __name__ == "__main__":
    main()
