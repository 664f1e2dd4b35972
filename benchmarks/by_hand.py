"""Labelling tried by hand: mouse and keys in a real JupyterLab, 3 objects over 300 frames, until the mean overlap is 0.90.

A script moves the mouse and presses keys in headless Chromium, as a person would: it clicks into the timeline to go to a
frame, steps with the arrows, drags boxes, presses n for a new object. What it counts is what the browser got: each press of
the mouse and each key are one. A key that is held while the mouse is dragged (Alt: draw the selected object anew) is told
apart, since a hand holds it for many boxes. Two ways, as those of benchmarks/robot.py: key figures with interpolation, where
the person goes to what is lost the most; and tracking that leads ("and lead on"), where the corrector says where to look.
Refilling by interpolation (m) isn't counted: other tools do so by themselves.

Needs JupyterLab, playwright and a Chromium (VTLAB_CHROMIUM).
"""

from __future__ import annotations

import tempfile
from argparse import ArgumentParser
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

import vtlab
from benchmarks.robot import GOAL, OBJECTS, SECONDS, SIZE
from vtlab.datasets.synthetic import synthetic
from vtlab.experiments.robot import Robot
from vtlab.tracks import Tracks

CELL = """import numpy as np, vtlab
from vtlab.datasets.synthetic import synthetic
made = synthetic(seed={seed}, seconds={seconds}, objects={objects}, difficulty="medium", size={size})
frames = np.stack([made.video[i] for i in range({n})])
work = vtlab.Corrector(vtlab.Session(frames, "medianflow"), segmenter=None, path="{file}")
work"""
MOST = 120
STATE = """() => {
  const root = document.querySelector('.vt-annotator'), stop = root.querySelector('[title="Stop tracking (s)"]');
  const says = root.querySelector('.vt-status').textContent;
  return { frame: +root.dataset.frame, running: !(stop?.disabled ?? true), says };
}"""
GRIP = 9
"""CSS pixels around the handles of a box from which a drag would change its size."""


class Person:
    """A hand in a browser, eyes that know the truth, and what the hand did.

    Args:
        page: A notebook with a corrector.
        file: The corrector's, in which its work is read.
        made: The clip: its frames and its truth.

    Attributes:
        did: Name of an event -> how often.
    """

    def __init__(self, page: Any, file: Path, made: tuple[np.ndarray, Tracks]):
        self.page, self.file, self.video, self.truth = page, file, *made
        self.did: Counter[str] = Counter()
        self.session = vtlab.Session(self.video, "identity")
        page.wait_for_selector(".vt-annotator[data-ready]", timeout=180_000)
        page.locator(".vt-annotator").scroll_into_view_if_needed()

    @property
    def tracks(self) -> Tracks:
        """What the corrector saved."""
        return self.session.tracks

    def key_frames(self, object_id: int) -> list[int]:
        """Frames on which the object was drawn."""
        return self.session.key_frames(object_id) if object_id in self.session.object_ids else []

    def draw(self, object_id: int, frame: int) -> None:
        """Drag the true box on the frame that is shown, and wait for what follows."""
        x1, y1, x2, y2 = self.truth.of_object(object_id).at(frame).boxes[0].tolist()
        mine = self.tracks.of_object(object_id).at(frame)
        alone = self.led() and not any(self.holds(b, (x1, y1)) for b in mine.boxes.tolist())
        alone |= not len(mine)
        if not alone:
            self.page.keyboard.down("Alt")
            self.did["Alt held"] += 1
        self.page.mouse.move(*self.at(x1, y1))
        self.page.mouse.down()
        self.page.mouse.move(*self.at(x2, y2), steps=3)
        self.page.mouse.up()
        self.did["drags"] += 1
        if not alone:
            self.page.keyboard.up("Alt")
        self.until(lambda: frame in self.key_frames(object_id))
        self.settle()

    def press(self, key: str, *, counts: bool = True) -> None:
        """Press a key."""
        self.page.keyboard.press(key)
        self.did["keys"] += counts
        self.settle()

    def go(self, frame: int, *, exact: bool = False) -> int:
        """Click into the timeline; step to the very frame where that is asked for. The frame that is shown then."""
        if self.now()["frame"] == frame:
            return frame
        slider, last = self.page.locator(".vt-annotator [aria-label=Frame]"), len(self.video) - 1
        r = slider.bounding_box()
        self.page.mouse.click(r["x"] + 8 + frame / last * (r["width"] - 16), r["y"] + r["height"] / 2)
        self.did["clicks"] += 1
        self.settle()
        while exact and (by := frame - self.now()["frame"]):
            self.press("ArrowRight" if by > 0 else "ArrowLeft")
        return int(self.now()["frame"])

    def at(self, x: float, y: float) -> tuple[float, float]:
        """A place of the frame on the page."""
        r = self.page.locator(".vt-annotator .vt-canvas").bounding_box()
        s = min(r["width"] / SIZE[0], r["height"] / SIZE[1])
        return r["x"] + r["width"] / 2 + (x - SIZE[0] / 2) * s, r["y"] + r["height"] / 2 + (
            y - SIZE[1] / 2
        ) * s

    def holds(self, box: list[float], p: tuple[float, float]) -> bool:
        """Whether a drag that begins there would change or move the box."""
        (x1, y1), (x2, y2), (x, y) = self.at(*box[:2]), self.at(*box[2:]), self.at(*p)
        return x1 - GRIP < x < x2 + GRIP and y1 - 3 * GRIP < y < y2 + GRIP

    def now(self) -> dict[str, Any]:
        """What the corrector shows."""
        return self.page.evaluate(STATE)

    def led(self) -> bool:
        """Whether the corrector asks for the frame that it shows."""
        return "is the least sure" in self.now()["says"]

    def until(self, condition: Any, seconds: float = 120) -> None:
        """Wait, reading the corrector's file."""
        for _ in range(int(seconds / 0.1)):
            self.read()
            if condition():
                return
            self.page.wait_for_timeout(100)
        raise TimeoutError(f"the corrector says: {self.now()['says']!r}")

    def settle(self) -> None:
        """Wait until nothing is tracked and nothing changes."""
        before: Any = None
        while (now := (self.now(), self.stamp())) != before or now[0]["running"]:
            before = now
            self.page.wait_for_timeout(250)
        self.read()

    def stamp(self) -> int:
        """When the file was written."""
        return self.file.stat().st_mtime_ns if self.file.exists() else 0

    def read(self) -> None:
        """Read the file."""
        if self.file.exists():
            self.session = vtlab.Session.load(self.file, self.video, tracker="identity")


def label(person: Person, *, led: bool) -> Robot:
    """Label all objects, in one of both ways."""
    robot = Robot(person.truth, person)
    person.page.locator(".vt-annotator").focus()
    if led:
        person.press("Shift+G")
    for i in robot.ids:
        frames = robot.overlaps(i)[0]
        if i != robot.ids[0]:
            person.press("n")
        for frame in (frames[0], frames[-1]):
            person.draw(i, person.go(int(frame), exact=True))
            if not led and frame == frames[-1]:
                person.press("m", counts=False)
        while robot.overlaps(i)[1].mean() < GOAL and len(person.key_frames(i)) < MOST:
            go_on(person, robot, i, led=led)
    return robot


def go_on(person: Person, robot: Robot, object_id: int, *, led: bool) -> None:
    """Do what comes next for an object: draw it, or say what is seen where the corrector led to."""
    frames, value = robot.overlaps(object_id)
    asked = led and person.led()
    at = int(person.now()["frame"]) if asked else person.go(robot.lost(object_id))
    if asked and at not in frames:
        person.press("a")
    elif asked and value[frames == at] >= GOAL:
        person.press("y")
    else:
        if at not in frames:
            at = person.go(int(frames[np.abs(frames - at).argmin()]), exact=True)
        person.draw(object_id, at)
        if not led:
            person.press("m", counts=False)


def main() -> None:
    """Print what each way took."""
    from playwright.sync_api import sync_playwright

    from tests.studio import browser as helpers

    parser = ArgumentParser(prog="by_hand")
    parser.add_argument(
        "--seed", type=int, default=10, help="of the clip; 10 is one that nothing was chosen by"
    )
    seed = parser.parse_args().seed
    made = synthetic(seed=seed, seconds=SECONDS, objects=OBJECTS, difficulty="medium", size=SIZE)
    assert made.truth is not None
    clip = np.stack([made.video[i] for i in range(len(made.video))]), renumbered(made.truth.seen())
    table = Table("way", "boxes", "clicks and drags", "keys", "together", "Alt held", "overlap")
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as p:
        home = Path(folder) / "home"
        (work := Path(folder) / "work").mkdir()
        home.mkdir()
        url, process = helpers.start_jupyter("lab", work, home)
        chromium = p.chromium.launch(executable_path=helpers.chromium(), args=helpers.ARGUMENTS)
        try:
            with helpers.jupyter("lab", chromium, (url, work)) as start:
                for led in (False, True):
                    name = "led" if led else "interpolated"
                    values = {"seed": seed, "seconds": SECONDS, "objects": OBJECTS, "size": SIZE}
                    cell = CELL.format(**values, n=len(clip[0]), file=f"{name}.parquet")
                    person = Person(start(name, [cell]), work / f"{name}.parquet", clip)
                    robot, did = label(person, led=led), person.did
                    hand, boxes = did["clicks"] + did["drags"], did["drags"]
                    row = (boxes, hand, did["keys"], hand + did["keys"], did["Alt held"])
                    table.add_row(name, *map(str, row), f"{robot.mean():.3f}")
                    person.page.context.close()
        finally:
            chromium.close()
            process.terminate()
            process.wait(30)
    Console(width=110).print(table)


def renumbered(truth: Tracks) -> Tracks:
    """Ids 1, 2, 3, as the corrector numbers what is drawn."""
    ids = np.unique(truth.object_id)
    return truth.replace(object_id=np.searchsorted(ids, truth.object_id) + 1)


if __name__ == "__main__":
    main()
