"""What labels cost: a robot that knows the truth, drawing in a hand that does nothing but keep its figures."""

from __future__ import annotations

import numpy as np
import pytest

from vtlab.datasets.synthetic import synthetic
from vtlab.errors import ExperimentError
from vtlab.experiments.axes import Method
from vtlab.experiments.labelling import cost_to_quality
from vtlab.experiments.robot import Robot
from vtlab.tracks import Tracks

BOXES = np.array([[t, 0, t + 10, 10] for t in range(20)], np.float64)
TRUTH = Tracks.of(np.arange(20), np.ones(20, np.int64), BOXES)


class Still:
    """A hand in which an object stays where it was drawn last."""

    def __init__(self):
        self.drawn = []

    @property
    def tracks(self):
        frames = np.arange(min(self.drawn, default=20), 20)
        held = [max(f for f in self.drawn if f <= t) for t in frames.tolist()]
        return Tracks.of(frames, np.ones(len(frames), np.int64), BOXES[held].reshape(-1, 4))

    def key_frames(self, object_id):
        return sorted(self.drawn)

    def draw(self, object_id, frame):
        self.drawn.append(frame)


def test_who_watches_corrects_the_first_frame_that_is_bad_enough():
    """By hand: a box of 10 that lags by d pixels overlaps by (10 - d) / (10 + d), below 0.5 from d = 4 on."""
    hand = Still()
    steps = list(Robot(TRUTH, hand).watch(1, 0.5))
    assert hand.drawn == [0, 4, 8, 12, 16]
    assert [s.looked for s in steps] == [1, 4, 4, 4, 4, 3]
    assert sum(s.looked for s in steps) == 20  # each frame once
    assert [s.drew for s in steps] == [True] * 5 + [False]
    assert not [s for s in Robot(TRUTH, hand).watch(1, 0.5) if s.drew]  # content


def test_who_halves_draws_in_the_middle_of_what_is_lost():
    hand = Still()
    robot = Robot(TRUTH, hand)
    steps = list(robot.halve(1, goal=0.6, most=100))
    assert hand.drawn[:2] == [0, 19]
    assert hand.drawn[2] == 11  # most of what lags lies late
    assert steps[2].looked == 18  # all frames between the two figures
    assert robot.mean() >= 0.6
    assert len(list(Robot(TRUTH, Still()).halve(1, goal=1.0, most=5))) == 5
    assert robot.mean() == pytest.approx(robot.overlaps(1)[1].mean())


@pytest.fixture(scope="module")
def clip():
    return synthetic(seconds=2, objects=1, size=(160, 120), difficulty="easy")


def test_seconds_follow_from_what_was_drawn_and_looked_at(clip):
    costs = {"box": 10, "look": 1}
    given = {"react": [0.5], "goals": [0.05, 0.99], "budgets": [10, 11, 1000], "costs": costs}
    rows = cost_to_quality(clip, Method("ncc", {}, "ncc"), **given).metrics
    mine, lines = rows
    assert lines["tracker"] == "interpolation"
    frames = len(clip.truth.seen())
    assert (
        mine["seconds"] == 10 * mine["figures"] + frames
    )  # each frame is looked at once, with one threshold
    assert mine["seconds at 0.05 IoU"] == 11  # the first box, and a look at its frame
    assert mine["figures at 0.05 IoU"] == 1
    assert "seconds at 0.99 IoU" not in mine  # never reached: no number
    assert mine["overlap at 10 s"] == 0
    assert mine["overlap at 1000 s"] == mine["overlap"] >= mine["overlap at 11 s"] > 0
    assert mine["by_hand_s"] == 10 * frames
    cheap = cost_to_quality(
        clip, Method("ncc", {}, "ncc"), **{**given, "costs": {"box": 1, "look": 0}}
    ).metrics
    assert cheap[0]["figures"] == mine["figures"]
    assert cheap[0]["seconds"] == mine["figures"]


def test_a_stricter_eye_reaches_more(clip):
    shy, strict = (
        cost_to_quality(clip, Method("ncc", {}, "ncc"), react=[r], goals=[1.0], budgets=[]).metrics[0]
        for r in (0.3, 0.9)
    )
    assert strict["overlap"] > max(shy["overlap"], 0.9)
    assert strict["seconds"] > shy["seconds"]


def test_what_cannot_be_labelled_is_said(clip):
    from dataclasses import replace

    for wrong, word in (({"costs": {"boxes": 3}}, "no 'boxes'"), ({"costs": {"box": -1}}, "from 0 on"),
                        ({"react": [2]}, "react"), ({"draws": "click"}, "it takes box")):  # fmt: skip
        with pytest.raises(ExperimentError, match=word):
            cost_to_quality(clip, Method("ncc", {}, "ncc"), **wrong)
    with pytest.raises(ExperimentError, match="needs truth"):
        cost_to_quality(replace(clip, truth=None), Method("ncc", {}, "ncc"))
    with pytest.raises(ExperimentError, match="takes no figure"):
        cost_to_quality(clip, Method("sort", {}, "sort"))
