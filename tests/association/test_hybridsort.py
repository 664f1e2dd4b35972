"""Hybrid-SORT's own parts, and the faults of the official code that it leaves out."""

from __future__ import annotations

import numpy as np

from vtlab.association.hybridsort import HybridSort, height_iou
from vtlab.testing.streams import detections, frame


def ids(associator: HybridSort, boxes: list, scores: list | None = None, index: int = 0) -> list[int]:
    found = detections(np.array(boxes, dtype=float).reshape(-1, 4), scores)
    return associator.update(found, frame(index)).tracker_id.tolist()


def test_height_iou_worked_out_by_hand():
    a, b = np.array([[0.0, 0, 10, 20]]), np.array([[0.0, 10, 10, 30], [0, 0, 5, 20], [0, 50, 10, 70]])
    np.testing.assert_allclose(height_iou(a, b), [[1 / 3 * 1 / 3, 0.5, 0.0]])


def test_confidence_tells_two_boxes_apart_that_overlap_alike():
    """Two people stand in each other's way; only their confidences differ."""
    boxes = [[100, 50, 140, 130], [110, 50, 150, 130]]
    for trust, expected in ((1.0, [1, 2]), (0.0, [2, 1])):
        associator = HybridSort(trust=trust)
        for i in range(6):
            assert ids(associator, boxes, [0.95, 0.65], i) in ([1, 2], [-1, -1])
        swapped = [[107, 50, 147, 130], [103, 50, 143, 130]]
        assert ids(associator, swapped, [0.95, 0.65], 6) == expected


def test_directions_are_averaged_and_not_longer_than_one():
    for official, longest in ((False, 1.0), (True, 3.0)):
        associator = HybridSort(official=official)
        for i in range(8):
            ids(associator, [10 * i, 0, 10 * i + 40, 80], None, i)
        np.testing.assert_allclose(np.abs(associator._columns["direction"]), longest, atol=1e-5)


def test_a_track_of_one_detection_is_found_again_where_it_was():
    box = [100, 50, 140, 130]
    away = [118, 50, 158, 130]
    for official, tracks in ((False, 1), (True, 2)):
        associator = HybridSort(official=official, threshold=0.3)
        ids(associator, box)
        associator._filter.state[0, :, 0] += 500  # a prediction gone astray
        ids(associator, away, None, 1)
        assert len(associator._life) == tracks


def test_a_confidence_at_the_threshold_is_strong():
    for official, tracks in ((False, 1), (True, 0)):
        associator = HybridSort(official=official)
        ids(associator, [100, 50, 140, 130], [0.6])
        assert len(associator._life) == tracks
