"""Tracked from both sides: between two figures the answers from either of them are one path, and nothing is lost by it."""

from __future__ import annotations

import numpy as np
import pytest

import vtlab
from tests.drifts import Drifts
from vtlab.contracts import Card, Observation, SingleObjectTracker
from vtlab.errors import TrackingError
from vtlab.prompts import BoxPrompt, MaskPrompt
from vtlab.session import Session
from vtlab.testing.scenes import moving_square, square_box

N = 16
VIDEO = moving_square(N, step=2)


def true(frame: int) -> list[float]:
    """Where the object of `Knows` is: on a bend, so that no straight line finds it."""
    x = 10 + 0.3 * frame**2
    return [x, 20, x + 20, 50]


def box(frame: int, xyxy=None, object_id: int = 1) -> BoxPrompt:
    return BoxPrompt(tuple(true(frame) if xyxy is None else xyxy), object_id=object_id, frame=frame)


class Knows(SingleObjectTracker):
    """Follows the object of `true` for some frames, then stays where it is, or says that it sees nothing."""

    card = Card("knows", "sot", accepts=frozenset({BoxPrompt}))

    def __init__(self, *, lasts: int = N, hides: bool = False, off: float = 0.0):
        self.lasts, self.hides, self.off = lasts, hides, off

    def init(self, frame, prompt):
        self.since, self.box = frame.index, prompt.box(*frame.image.shape[:2])

    def step(self, frame):
        gone = abs(frame.index - self.since)
        if gone <= self.lasts:
            self.box = np.array(true(frame.index)) + self.off * gone
        return Observation(self.box, 0.7, visible=not (self.hides and gone > self.lasts))


def tracked(keys, tracker=Knows, **params) -> Session:
    made = Session(VIDEO, tracker, **params)
    made.add(keys)
    made.retrack(direction="both", progress=False)
    return made


def apart(made: Session) -> np.ndarray:
    """How far each box's left edge is from the object's, in pixels."""
    rows = made.tracks
    return np.abs(rows.boxes[:, 0] - [true(f)[0] for f in rows.frame])


def test_what_both_are_off_by_is_spread_over_the_way():
    keys = [box(0), box(10)]
    made = tracked(keys, off=0.5)
    one = vtlab.track(VIDEO, box(0), Knows, progress=False, stop=10, off=0.5)
    assert one.boxes[-1, 0] - true(9)[0] == pytest.approx(4.5)  # from one side it drifts away
    assert apart(made)[:11].max() < 1.6
    assert made.tracks.source[:11].tolist() == ["manual", *["tracked"] * 9, "manual"]
    assert made.tracks.frame.tolist() == list(range(N))  # and on after the last figure
    assert made.tracks.record.direction == "both"


def test_where_each_loses_it_they_change_over_where_they_agree():
    made = tracked([box(0), box(12)], lasts=7)
    assert apart(made)[:13].max() < 0.5
    made = tracked([box(0), box(12)], lasts=4)  # they agree nowhere: the straight line, and it says so
    rows = made.tracks
    np.testing.assert_allclose(rows.boxes[:13, 0], np.linspace(true(0)[0], true(12)[0], 13))
    assert set(rows.source[1:12]) == {"interpolated"}


def test_who_sees_it_is_believed_and_where_none_does_it_is_hidden():
    made = tracked([box(0), box(12)], lasts=4, hides=True)
    assert made.tracks.visible[:13].tolist() == [True] * 5 + [False] * 3 + [True] * 5
    assert apart(made)[:13][made.tracks.visible[:13]].max() == 0


def test_a_tracker_does_no_harm_where_the_figures_tell_that_all_goes_straight():
    straight = [box(f, (10 + 2 * f, 20, 40 + 2 * f, 50)) for f in (0, 5, 10, 15)]
    made = tracked(straight[:2], Drifts)
    assert made.tracks.boxes[2, 0] != 14  # two figures tell nothing of it
    made = tracked(straight, Drifts)
    np.testing.assert_allclose(made.tracks.boxes[:, 0], 10 + 2 * np.arange(N))
    made = tracked(
        [box(f) for f in (0, 5, 10, 15)], off=0.5
    )  # on the bend the tracker is worth more than the line
    line = np.interp(np.arange(N), (0, 5, 10, 15), [true(f)[0] for f in (0, 5, 10, 15)])
    assert apart(made).mean() < 0.6 * np.abs(line - [true(f)[0] for f in range(N)]).mean()


def test_an_absence_parts_what_is_said_before_and_after_it():
    made = Session(VIDEO, Drifts)
    made.add([box(0, (10, 20, 40, 50)), box(8, (10, 20, 40, 50))])
    made.mark_absent(1, 3)
    made.retrack(direction="both", progress=False)
    rows = made.tracks
    assert rows.boxes[[1, 2], 0].tolist() == [11, 12]  # from the figure before
    assert rows.boxes[4:8, 0].tolist() == [14, 13, 12, 11]  # from the one after
    assert not rows.visible[3]


def test_masks_are_those_of_one_run():
    outlines = [
        tuple((x + 4 * f * 0.5, y + f) for x, y in ((20, 16), (44, 16), (44, 40), (20, 40))) for f in (0, 8)
    ]
    keys = [MaskPrompt(polygon=p, frame=f) for f, p in zip((0, 8), outlines, strict=True)]
    made = tracked(keys, "flow")
    runs = [
        vtlab.track(VIDEO, keys[k], "flow", direction=way, progress=False, start=0, stop=9)
        for k, way in enumerate(("forward", "backward"))
    ]
    for f in range(1, 8):
        mask = made.tracks.masks_at(f)[1]
        assert any(np.array_equal(mask, run.masks_at(f)[1]) for run in runs)
    np.testing.assert_array_equal(made.tracks.masks_at(2)[1], runs[0].masks_at(2)[1])
    np.testing.assert_array_equal(made.tracks.masks_at(6)[1], runs[1].masks_at(6)[1])


def test_only_what_lies_in_the_range_changes_and_one_undo_takes_it_back():
    made = tracked([box(0), box(6), box(12)], Drifts)
    before = made.tracks
    made.correct(box(6, (80, 20, 100, 50)))
    made.retrack(1, 12, direction="both", progress=False)
    after = made.tracks
    assert after.between(12, N).to_frame().equals(before.between(12, N).to_frame())
    assert not after.between(1, 12).to_frame().equals(before.between(1, 12).to_frame())
    assert made.stale == {}
    made.undo()
    assert made.stale == {1: [(6, 12)]}
    made.undo()
    assert made.tracks.to_frame().equals(before.to_frame())


class Breaks(Drifts):
    """Breaks down on frame 4, but only on the way back."""

    def init(self, frame, prompt):
        self.since = frame.index
        super().init(frame, prompt)

    def step(self, frame):
        if frame.index == 4 and frame.index < self.since:
            raise RuntimeError("broken")
        return super().step(frame)


def test_a_way_back_that_breaks_leaves_what_was_found():
    made = Session(VIDEO, Breaks)
    made.add([box(f, (10, 20, 40, 50)) for f in (0, 6, 12)])
    with pytest.raises(TrackingError):
        made.retrack(direction="both", progress=False)
    rows = made.tracks
    assert rows.frame.tolist() == list(range(N))
    assert rows.boxes[1:6, 0].tolist() == [11, 12, 13, 14, 15]  # not reached: as tracked forward
    np.testing.assert_allclose(
        rows.boxes[7:12, 0], rows.boxes[7:12, 0][::-1]
    )  # reached: the same from both sides


def test_both_ways_report_as_one():
    told, seen = [], []
    made = Session(VIDEO, Drifts)
    made.add([box(2, (10, 20, 40, 50)), box(8, (10, 20, 40, 50))])
    made.retrack(
        direction="both",
        progress=lambda done, total: told.append((done, total)),
        watch=lambda frame, _: seen.append(frame),
    )
    assert seen == [*range(2, N), *range(8, -1, -1)]
    assert told[0] == (1, len(seen))
    assert told[-1] == (len(seen), len(seen))


def test_a_single_square_is_found_again_between_two_boxes():
    made = Session(VIDEO, "ncc")
    made.add([BoxPrompt(square_box(f, step=2), frame=f) for f in (0, 15)])
    made.retrack(direction="both", progress=False)
    want = [square_box(f, step=2) for f in range(N)]
    np.testing.assert_allclose(made.tracks.boxes, want, atol=1.5)


def test_ids_keep_all_their_bits():
    """The one's run forward and the other's run backward are rows of two objects."""
    far = (1 << 32) + 1
    made = tracked([box(0), box(9, object_id=far)], lasts=N)
    assert set(made.tracks.of_object(1).frames.tolist()) == set(range(N))
    assert set(made.tracks.of_object(far).frames.tolist()) == set(range(N))


def test_a_frame_is_no_surer_than_both_runs_agree_there():
    agreed, apart_at_the_middle = tracked([box(0), box(12)]), tracked([box(0), box(12)], lasts=7)
    assert agreed.tracks.score[1:12].tolist() == [0.7] * 11  # the tracker's own
    score = apart_at_the_middle.tracks.score[1:12]
    assert score[0] < 0.5 > score[-1]  # the other run is lost there
    assert score[5:7].max() == 0.7
    hidden = tracked([box(0), box(12)], lasts=7, hides=True).tracks
    assert hidden.score[1] == 0.5  # one sees it, the other doesn't
