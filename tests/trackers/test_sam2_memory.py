"""Rules for SAM 2's memory: what is mended of the official ones, and what they give among look-alikes."""

from __future__ import annotations

import numpy as np
import pytest

import vtlab
from vtlab.errors import InputError
from vtlab.testing.lookalikes import share_followed
from vtlab.trackers.masks.sam2.d4sm import DistractorAware
from vtlab.trackers.masks.sam2.memory import LastFrames, Seen
from vtlab.trackers.masks.sam2.samurai import MotionAware


def moving(rule: MotionAware, frames: range, hidden: range = range(0), iou: float = 0.9) -> list[int]:
    """Give a box that moves to the right, by 4 pixels a frame; return the frames that were remembered."""
    remembered = []
    for t in frames:
        box = [0, 0, 0, 0] if t in hidden else [100 + 4 * t, 200, 139 + 4 * t, 259]
        seen = Seen(np.array([iou, 0.1, 0.1]), -5.0 if t in hidden else 5.0, np.array([box] * 3))
        rule.choose(t, seen)
        rule.follow(t)
        if t in rule.good:
            remembered.append(t)
    return remembered


class TestSamurai:
    def test_a_hidden_object_does_not_drag_the_filter_away(self):
        """The official rule remembers none of the frames after the object came back, the mended one all."""
        found = {}
        for official in (True, False):
            rule = MotionAware(official=official)
            rule.prompt(0)
            found[official] = moving(rule, range(1, 40), hidden=range(25, 29))
        assert not set(range(30, 34)) & set(found[True])
        assert set(range(29, 40)) <= set(found[False])

    def test_a_filter_is_given_up_after_a_long_absence(self):
        rule = MotionAware()
        rule.prompt(0)
        moving(rule, range(1, 41), hidden=range(25, 41))
        assert rule.stable == 0
        moving(rule, range(41, 42))
        np.testing.assert_allclose(rule.filter.boxes()[0], [264, 200, 303, 259])

    def test_the_frame_after_the_prompt_may_be_remembered(self):
        official, mended = MotionAware(official=True), MotionAware()
        for rule in (official, mended):
            rule.prompt(7)
            moving(rule, range(8, 10))
        assert official.good == [9]
        assert mended.good == [8, 9]

    def test_motion_decides_between_two_that_are_alike(self):
        rule = MotionAware()
        rule.prompt(0)
        moving(rule, range(1, 20))
        there, elsewhere = [180, 200, 219, 259], [400, 200, 439, 259]
        seen = Seen(np.array([0.8, 0.9, 0.1]), 5.0, np.array([there, elsewhere, [0, 0, 0, 0]]))
        assert rule.choose(20, seen) == 0
        assert LastFrames().choose(20, seen) == 1


class TestDistractors:
    def followed(self, official: bool) -> DistractorAware:
        rule = DistractorAware(official=official)
        rule.prompt(0)
        mask, near = np.zeros((2, 40, 60), bool)
        mask[10:20, 10:20] = near[10:20, 40:50] = True
        for t in range(1, 30):
            rule.choose(t, Seen(np.array([0.9, 0.4, 0.3]), 5.0, masks=np.stack([mask, near, mask])))
            rule.follow(t)
        return rule

    def test_memories_and_pointers_stand_in_the_order_of_time(self):
        official, mended = self.followed(True), self.followed(False)
        assert {f.kind for f in mended.frames} == {"prompted", "recent", "distractor"}
        times = [t for t, _ in mended.memories(30)]
        rows = dict(mended.memories(30))
        assert times == sorted(times)
        assert rows[29] == 0
        recent = [f.time for f in mended.frames if f.kind == "recent"]
        assert [rows[t] for t in recent] == list(range(len(recent)))[::-1]
        assert sorted(times) == sorted(t for t, _ in official.memories(30)), "the same frames"
        assert dict(mended.pointers(30))[29] == pytest.approx(1 / 15)
        assert dict(mended.pointers(30))[0] == 2

    def test_what_is_remembered_is_bounded(self):
        rule = self.followed(False)
        assert len(rule.frames) <= 7
        assert len(rule.pointing) == 16

    def test_nothing_is_remembered_of_an_empty_mask(self):
        rule = self.followed(False)
        before = [f.time for f in rule.frames]
        rule.choose(30, Seen(np.array([0.9, 0.1, 0.1]), -5.0, masks=np.zeros((3, 40, 60), bool)))
        rule.follow(30)
        assert [f.time for f in rule.frames] == before

    def test_a_prompt_that_counts_no_longer_is_forgotten(self):
        rule = DistractorAware(max_prompted=1)
        rule.prompt(0)
        rule.prompt(3)
        assert [f.time for f in rule.frames] == rule.pointing == [3]


def test_both_follow_better_among_look_alikes():
    """Share of frames with the right disc: SAM 2's own rule falls for the look-alike while the target is hidden."""
    last, distractor, motion = (
        share_followed(rule, range(5)) for rule in (LastFrames, DistractorAware, MotionAware)
    )
    assert distractor > last + 0.1
    assert motion > last + 0.05


def test_options_of_memory_are_checked():
    for options in ({"memory": "all"}, {"official": True}):
        with pytest.raises(InputError, match="memory must be one of last, d4sm, samurai"):
            vtlab.create_tracker("sam2.1-tiny", **options)
