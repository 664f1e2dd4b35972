"""SFSORT's own parts, and the faults of the official code that it leaves out."""

from __future__ import annotations

import numpy as np
import pytest

from vtlab.association.sfsort import SfSort, likeness
from vtlab.errors import InputError
from vtlab.testing.streams import detections, frame

IMAGE = np.zeros((200, 400, 3), np.uint8)


def ids(associator: SfSort, boxes: list, scores: list | None = None, index: int = 0) -> list[int]:
    found = detections(np.array(boxes, dtype=float).reshape(-1, 4), scores)
    return associator.update(found, frame(index, 10.0, IMAGE)).tracker_id.tolist()


def test_likeness_of_boxes_worked_out_by_hand():
    a, b = np.array([[0.0, 0, 10, 20]]), np.array([[5.0, 0, 15, 20], [0, 0, 10, 20], [50, 50, 60, 70]])
    half = (1 / 3 - 5 / (15 + 20) + 5 / 5 + 20 / 20) / 3  # shared 5 of 10 in x, the same widths
    far = (0 - (50 + 50) / (60 + 70) + 0 + 0) / 3
    np.testing.assert_allclose(likeness(a, b), [[half, 1.0, far]], atol=1e-7)


def test_a_frame_with_weak_detections_alone_forgets_no_track():
    box = [100, 50, 140, 130]
    for official, expected in ((False, [1]), (True, [2])):
        associator = SfSort(official=official)
        assert ids(associator, box, [0.9]) == [1]
        ids(associator, box, [0.3], 1)
        assert ids(associator, box, [0.9], 2) == expected


def test_a_confidence_at_the_threshold_is_strong():
    box = [100, 50, 140, 130]
    for official, expected in ((False, [1]), (True, [-1])):
        associator = SfSort(official=official)
        ids(associator, box, [0.9])
        assert ids(associator, box, [0.6], 1) == expected


def test_what_is_lost_at_the_edge_is_forgotten_sooner():
    for x, survives in ((180, True), (0, False)):
        associator = SfSort(lost_seconds=2.0, marginal=0.5)
        box = [x, 80, x + 40, 120]
        ids(associator, box)
        for i in range(1, 15):
            ids(associator, [], [], i)
        assert ids(associator, box, None, 15) == [1 if survives else 2]


def test_thresholds_follow_the_number_of_detections():
    boxes = [[30 * i, 50, 30 * i + 20, 90] for i in range(10)]
    scores = [0.9] * 9 + [0.55]
    for adapt, last in ((False, -1), (True, 10)):  # one power of ten: 0.55 is now above `high` = 0.5
        associator = SfSort(adapt=adapt)
        ids(associator, boxes, [0.9] * 10)
        assert ids(associator, boxes, scores, 1)[:9] == list(range(1, 10))
        associator.reset()
        ids(associator, boxes, [0.9] * 10)
        moved = [
            [x1 + 4, y1, x2 + 4, y2] for x1, y1, x2, y2 in boxes
        ]  # IoU 2 / 3: too little for the second round
        assert ids(associator, moved, scores, 1)[9] == last


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"velocities": True}, "velocities must be False, since SFSORT has no model of motion, got True"),
        ({"margin": 0.6}, "margin must be from 0 to 0.5, got 0.6"),
        ({"marginal": 30}, "marginal must be from 0 to 1, got 30"),
        ({"threshold": 67}, "threshold must be at most 1"),
        ({"adapt": 1}, "adapt must be a bool, got 1"),
    ],
)
def test_settings_are_checked(given, told):
    with pytest.raises(InputError, match=told):
        SfSort(**given)
