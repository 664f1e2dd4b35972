"""OC-SORT's own parts against the paper's text, step by step."""

from __future__ import annotations

import numpy as np
import pytest

from vtlab.association.ocsort import OcSort
from vtlab.association.parts.kalman import BoxFilter
from vtlab.errors import InputError
from vtlab.testing.streams import detections, frame

ROW = np.array([0])


def box(x: float, y: float = 0.0) -> np.ndarray:
    return np.array([[x, y, x + 40, y + 80]])


def feed(associator: OcSort, boxes: list) -> list[int]:
    """Ids of the first detection of each frame; None = a frame without detections."""
    ids = []
    for i, b in enumerate(boxes):
        found = detections(np.empty((0, 4)) if b is None else b)
        answer = associator.update(found, frame(i)).tracker_id
        ids.append(int(answer[0]) if len(answer) else 0)
    return ids


def test_re_update_runs_the_filter_along_a_straight_line():
    seen = [box(0), box(4), box(8), box(12), None, None, None, box(40, 12)]
    associator, plain = OcSort(), OcSort(reupdate=False)
    feed(associator, seen)
    feed(plain, seen)
    expected = BoxFilter("xysr")
    expected.add(seen[0])
    for b in seen[1:4]:
        expected.predict()
        expected.update(ROW, b)
    expected.predict()  # the first frame of the loss, where the filter was frozen
    for i in range(1, 5):
        expected.update(ROW, seen[3] + i / 4 * (seen[7] - seen[3]))
        if i < 4:
            expected.predict()
    expected.update(ROW, seen[7])
    np.testing.assert_allclose(associator._filter.state, expected.state, rtol=1e-9, atol=1e-9)
    assert np.abs(associator._filter.state - plain._filter.state).max() > 1e-3


def test_tracks_of_different_gaps_are_re_updated_together():
    pair = [np.concatenate([box(4 * i), box(300 - 4 * i, 200)]) for i in range(12)]
    together = OcSort()
    alone = [OcSort(), OcSort()]
    for i, both in enumerate(pair):
        there = [i not in (6, 7), i not in (4, 5, 6, 7)]  # both come back on frame 8
        together.update(detections(both[there]), frame(i))
        for k in range(2):
            alone[k].update(detections(both[k : k + 1] if there[k] else np.empty((0, 4))), frame(i))
    for k in range(2):
        np.testing.assert_allclose(
            together._filter.state[:, k], alone[k]._filter.state[:, 0], rtol=1e-9, atol=1e-9
        )


def test_momentum_prefers_the_way_the_track_was_going():
    """Two detections overlap the prediction alike, one lies ahead, one behind."""
    path = [box(10 * i) for i in range(6)]
    for momentum, expected in ((0.9, 1), (0.0, 0)):
        associator = OcSort(momentum=momentum, lookback=1, motion="xyxy")
        feed(associator, path)
        ahead, behind = box(60 + 11), box(60 - 10.5)  # behind overlaps a little more
        ids = associator.update(detections(np.concatenate([behind, ahead])), frame(6)).tracker_id
        assert int(np.argmax(ids)) == expected


def test_recovery_finds_a_track_at_its_last_observation():
    path = [*[box(12 * i) for i in range(6)], None, None, box(62)]  # it turned back while it was lost
    assert feed(OcSort(), [*path, box(62), box(62), box(62)])[-1] == 1
    assert feed(OcSort(recovery=False), [*path, box(62), box(62), box(62)])[-1] != 1


def test_lookback_is_checked():
    with pytest.raises(InputError, match="lookback"):
        OcSort(lookback=0)
