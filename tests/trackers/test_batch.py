"""The base of the neural box trackers: objects come, are corrected and go; answers that are no numbers."""

from __future__ import annotations

import numpy as np
import pytest

from vtlab.errors import InputError, PromptError, VtlabWarning
from vtlab.prompts import BoxPrompt, Prompts
from vtlab.trackers.boxes.batch import BatchedTracker, Target
from vtlab.video import Frame

IMAGE = np.zeros((60, 80, 3), np.uint8)


class Drift(BatchedTracker[Target]):
    """Moves each target by one pixel; the mean of the image is the score."""

    def __init__(self, **options):
        super().__init__(visible_above=0.5, **options)
        self.passes, self.learned = [], []

    def _start(self, image, boxes):
        return [Target(box) for box in boxes]

    def _follow(self, image, targets):
        self.passes.append(len(targets))
        scores = np.full(len(targets), image.mean() / 100)
        return np.array([t.box + 1 for t in targets]), scores

    def _learn(self, image, targets, scores):
        self.learned.append(len(targets))


def frame(index=0, image=IMAGE):
    return Frame(index, index / 10, image)


def prompts(*ids, at=0, label=None):
    return Prompts(BoxPrompt((i, i, i + 10, i + 20), object_id=i, frame=at, label=label) for i in ids)


def test_objects_join_are_corrected_and_leave():
    tracker = Drift()
    answer = tracker.init(frame(), prompts(1, 3, label="cat"))
    assert answer.object_ids.tolist() == [1, 3]
    assert answer.source == ("manual", "manual")
    assert answer.scores.tolist() == [1, 1]
    answer = tracker.step(frame(1), prompts(2, at=1))
    assert answer.object_ids.tolist() == [1, 2, 3]
    assert answer.source == ("tracked", "manual", "tracked")
    np.testing.assert_array_equal(answer.boxes[:, 0], [2, 2, 4])
    assert answer.labels == ("cat", None, "cat")
    answer = tracker.step(frame(2), prompts(3, at=2))
    np.testing.assert_array_equal(answer.boxes[:, 0], [3, 3, 3])
    assert answer.labels == ("cat", None, "cat")
    tracker.remove([1, 77])
    assert tracker.step(frame(3)).object_ids.tolist() == [2, 3]
    assert tracker.passes == [2, 2, 2]
    assert tracker.init(frame(), prompts(5)).object_ids.tolist() == [5]
    tracker.close()
    assert len(tracker.step(frame(1))) == 0


def test_no_objects_no_pass():
    tracker = Drift()
    assert len(tracker.init(frame(), Prompts())) == 0
    assert len(tracker.step(frame(1))) == 0
    assert tracker.passes == []


def test_visible_follows_the_threshold():
    tracker = Drift()
    tracker.init(frame(), prompts(1))
    assert not tracker.step(frame(1)).visible[0]
    assert tracker.step(frame(2, IMAGE + 50)).visible[0]
    assert tracker.step(frame(3, IMAGE + 200)).scores[0] == 1


def test_a_batch_is_bounded():
    tracker = Drift(batch=2)
    tracker.init(frame(), prompts(1, 2, 3, 4, 5))
    answer = tracker.step(frame(1))
    assert tracker.passes == [2, 2, 1]
    np.testing.assert_array_equal(answer.boxes[:, 0], [2, 3, 4, 5, 6])
    with pytest.raises(InputError, match="batch"):
        Drift(batch=0)


@pytest.mark.parametrize("place", ["boxes", "scores"])
def test_an_answer_that_is_no_number_leaves_the_object_where_it_was(place):
    tracker = Drift()
    tracker.init(frame(), prompts(1, 2))
    follow = tracker._follow

    def broken(image, targets):
        boxes, scores = follow(image, targets)
        (boxes if place == "boxes" else scores)[0] = np.nan
        return boxes, scores + 0.9

    tracker._follow = broken
    with pytest.warns(VtlabWarning, match=r"objects \[1\]"):
        answer = tracker.step(frame(1))
    np.testing.assert_array_equal(answer.boxes[:, 0], [1, 3])
    assert answer.scores[0] == 0
    assert answer.visible.tolist() == [False, True]
    assert tracker.learned == [1]
    tracker._follow = follow
    np.testing.assert_array_equal(tracker.step(frame(2)).boxes[:, 0], [2, 4])


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((4, 4), np.uint8),
        np.zeros((4, 4, 4), np.uint8),
        np.zeros((4, 4, 3)),
        np.zeros((0, 4, 3), np.uint8),
    ],
    ids=["grey", "alpha", "float", "empty"],
)
def test_other_images_are_refused(image):
    with pytest.raises(InputError):
        Drift().init(frame(0, image), prompts(1))


@pytest.mark.parametrize("box", [(-20, 5, 0, 15), (80, 5, 90, 15), (5, 60, 15, 70), (5, -9, 15, -1)])
def test_a_box_outside_the_frame_is_refused_and_nothing_changes(box):
    tracker = Drift()
    tracker.init(frame(), prompts(1))
    with pytest.raises(PromptError, match="outside"):
        tracker.step(frame(1), Prompts(BoxPrompt(box, object_id=2, frame=1)))
    np.testing.assert_array_equal(tracker.step(frame(1)).boxes[:, 0], [2])
