"""BoostTrack's own parts, and the faults of the official code that it leaves out."""

from __future__ import annotations

import numpy as np
import pytest

from vtlab.association import boosttrack
from vtlab.association.boosttrack import BoostTrack
from vtlab.association.hybridsort import HybridSort
from vtlab.errors import InputError
from vtlab.testing.streams import crowd, detections, frame, ours

BOX = [100, 50, 140, 130]


def ids(associator: BoostTrack, boxes: list, scores: list | None = None, index: int = 0) -> list[int]:
    found = detections(np.array(boxes, dtype=float).reshape(-1, 4), scores)
    return associator.update(found, frame(index)).tracker_id.tolist()


def test_overlap_of_grown_boxes_worked_out_by_hand():
    a, b = np.array([[0.0, 0, 10, 10]]), np.array([[10.0, 0, 20, 10]])
    grown_a, grown_b = (
        (-2.5, 12.5),
        (8.75, 21.25),
    )  # half the doubt of 0.5 of a track's side, a quarter of a detection's
    shared = (12.5 - 8.75) * 12.5
    whole = 15.0**2 + 12.5**2
    assert grown_a[1] - grown_a[0] == 15
    assert grown_b[1] - grown_b[0] == 12.5
    np.testing.assert_allclose(
        boosttrack._soft_iou(a, b, np.array([0.5])), [[shared / (whole - shared)]], rtol=1e-12
    )


def test_likeness_by_distance_is_shared_out_among_what_is_in_the_gate():
    alike = boosttrack._by_distance(np.array([[0.0, 0.0, 99.0], [99.0, 99.0, 99.0]]))
    share = np.exp(13.2767) / (2 * np.exp(13.2767) + 1)
    np.testing.assert_allclose(alike, [[share, share, 0], [0, 0, 0]], rtol=1e-9)


@pytest.mark.parametrize(
    ("settings", "score", "expected"),
    [
        ({"boost": 0.65}, 0.4, 1),
        ({"boost": 0.0}, 0.4, -1),  # nothing raises it
        ({"soft": True, "boost": 1.0}, 0.1, 1),  # so like a track that it counts as seen
    ],
)
def test_a_weak_detection_is_believed_where_a_track_is_expected(settings, score, expected):
    associator = BoostTrack(**settings)
    for i in range(8):
        seen = ids(associator, BOX, [0.9], i)
    assert seen == [1]
    assert ids(associator, BOX, [score], 8) == [expected]


def test_weak_detections_far_from_all_tracks_take_part_and_the_surest_of_those_that_overlap():
    associator = BoostTrack()
    for i in range(30):
        ids(associator, BOX, [0.9], i)
    away = [[700, 50, 740, 130], [702, 52, 742, 132], [1500, 50, 1540, 130]]
    ids(associator, [BOX, *away], [0.9, 0.4, 0.3, 0.2], 30)
    assert associator._filter.boxes()[1:, 0].tolist() == [700, 1500]


def test_heights_are_measured_by_heights():
    a, b = np.array([0.0, 0, 10, 100]), np.array([0.0, 0, 10, 50])
    for settings, apart in (
        ({}, 50 / 100),
        ({"official": True}, 50 / 10),
        ({"official": True, "right_heights": True}, 50 / 100),
    ):
        np.testing.assert_allclose(BoostTrack(**settings)._shape(a, b), np.exp(-apart))


@pytest.mark.parametrize("method", [BoostTrack, HybridSort])
def test_empty_frames_are_no_warm_up(method):
    """A video that begins with empty frames shows its first tracks as soon as one that doesn't."""
    for official, expected in ((False, [1]), (True, [-1])):
        associator = method(official=official)
        for i in range(5):
            ids(associator, [], [], i)
        ids(associator, BOX, None, 5)
        assert ids(associator, BOX, None, 6) == expected


@pytest.mark.parametrize("name", ["boosttrack", "boosttrack++", "hybridsort", "sfsort"])
def test_a_crowd_is_compared_in_pieces_with_the_same_tracks(name, monkeypatch):
    whole, _ = ours(name, crowd(8, 80))
    monkeypatch.setattr("vtlab.association.parts.similarity._PAIRS", 200)
    pieces, _ = ours(name, crowd(8, 80))
    assert [a.tolist() for a in whole] == [b.tolist() for b in pieces]


@pytest.mark.parametrize(
    ("method", "settings", "match"),
    [
        (BoostTrack, {"boost": 1.5}, "BoostTrack: boost must be from 0 to 1, got 1.5"),
        (BoostTrack, {"high": 60}, "BoostTrack: high must be at most 1"),
        (BoostTrack, {"soft": "yes"}, "BoostTrack: soft must be a bool, got 'yes'"),
        (BoostTrack, {"motion_weight": float("nan")}, "BoostTrack: motion_weight must be a number"),
        (HybridSort, {"threshold": "0.2"}, "HybridSort: threshold must be a number, got '0.2'"),
        (HybridSort, {"warmup": -1}, "HybridSort: warmup must be at least 0"),
    ],
)
def test_bad_settings(method, settings, match):
    with pytest.raises(InputError, match=match):
        method(**settings)
