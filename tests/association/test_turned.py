"""Oriented boxes through every associator."""

from __future__ import annotations

import numpy as np
import pytest
import supervision as sv
from hypothesis import given, settings
from hypothesis import strategies as st

from vtlab.association.parts import turned
from vtlab.association.parts.similarity import buffered, diou, giou, iou, overlapping, paired_iou
from vtlab.detectors.callable import CallableDetector
from vtlab.detectors.recorded import record
from vtlab.errors import AnswerError, InputError
from vtlab.registry import ASSOCIATORS
from vtlab.testing.streams import detections, frame, walkers
from vtlab.trackers.compose.by_detection import ByDetection
from vtlab.trackers.loop import track
from vtlab.video import open_video

LIGHT = {"botsort-reid": {"embedder": "histogram"}, "supervisely-botsort": {"with_reid": False}}
"""Parameters that need no weights, for associators that would."""
BOX = st.tuples(st.floats(0, 30), st.floats(0, 30), st.floats(1, 30), st.floats(1, 30), st.floats(-4, 4)).map(
    lambda v: [v[0] - v[2] / 2, v[1] - v[3] / 2, v[0] + v[2] / 2, v[1] + v[3] / 2, v[4]]
)


def oriented(boxes, scores=None) -> sv.Detections:
    """Detections of boxes (N, 5)."""
    boxes = np.asarray(boxes, dtype=np.float64).reshape(-1, 5)
    found = detections(turned.extents(boxes), scores)
    found.data = {turned.KEY: turned.corners_of(boxes)}
    return found


def clipped_area(subject, window) -> float:
    """Area that two convex polygons have in common, by the textbook (Sutherland, Hodgman 1974)."""
    inside = list(subject)
    for start, end in zip(window, np.roll(window, -1, axis=0), strict=True):
        edge, cut = end - start, []
        side = [edge[0] * (p - start)[1] - edge[1] * (p - start)[0] for p in inside]
        for i, p in enumerate(inside):
            j = (i + 1) % len(inside)
            if side[i] >= 0:
                cut.append(p)
            if side[i] * side[j] < 0:
                cut.append(p + (inside[j] - p) * side[i] / (side[i] - side[j]))
        inside = cut
    x, y = np.array(inside).reshape(-1, 2).T
    return abs(float((x * np.roll(y, -1) - y * np.roll(x, -1)).sum())) / 2


@given(a=BOX, b=BOX)
def test_the_common_area_is_that_of_the_polygons(a, b):
    a, b = np.array([a]), np.array([b])
    wanted = clipped_area(turned.corners_of(a)[0], turned.corners_of(b)[0])
    np.testing.assert_allclose(turned.shared_area(a, b)[0], wanted, atol=1e-6)
    np.testing.assert_allclose(turned.shared_area(a, b), turned.shared_area(b, a), atol=1e-6)


def test_overlaps_worked_out_by_hand():
    square, diamond = np.array([[0.0, 0, 2, 2, 0]]), np.array([[0.0, 0, 2, 2, np.pi / 4]])
    octagon = 8 * (np.sqrt(2) - 1)
    np.testing.assert_allclose(iou(square, diamond), [[octagon / (8 - octagon)]], rtol=1e-12)
    np.testing.assert_allclose(iou(square, square), [[1.0]])
    quarter = np.array([[-1.0, 0, 3, 2, np.pi / 2], [0, -1, 2, 3, 0]])  # the same rectangle said in two ways
    np.testing.assert_allclose(iou(quarter, quarter), 1.0, rtol=1e-12)
    assert iou(square, np.array([[9.0, 9, 11, 11, 1]])) == 0


def test_upright_boxes_have_the_overlaps_of_upright_boxes():
    rng = np.random.default_rng(0)
    low = rng.uniform(0, 60, (2, 20, 2))
    a, b = np.concatenate([low, low + rng.uniform(5, 30, low.shape)], axis=2)
    flat = np.zeros((20, 1))
    for compare in (iou, giou, diou):
        said = compare(np.hstack([a, flat]), np.hstack([b, flat]))
        np.testing.assert_allclose(said, compare(a, b), atol=1e-12)
    rows, columns, value = overlapping(np.hstack([a, flat]), np.hstack([b, flat]))
    np.testing.assert_allclose(value, iou(a, b)[rows, columns])
    assert len(value) == (iou(a, b) > 0).sum()
    np.testing.assert_allclose(
        paired_iou(np.hstack([a, flat]), np.hstack([b, flat])), np.diag(iou(a, b)), atol=1e-12
    )
    np.testing.assert_allclose(buffered(np.hstack([a, flat]), 0.3)[:, :4], buffered(a, 0.3))


@settings(max_examples=30)
@given(box=BOX, start=st.integers(0, 3), clockwise=st.booleans())
def test_corners_in_any_order_around_the_box_are_the_same_box(box, start, clockwise):
    corners = np.roll(turned.corners_of(np.array([box]))[0], start, axis=0)
    found = turned.of_corners([corners if clockwise else corners[::-1]])
    assert -np.pi / 4 - 1e-9 <= found[0, 4] <= np.pi / 4 + 1e-9
    np.testing.assert_allclose(iou(found, np.array([box])), 1.0, rtol=1e-6)
    again = turned.like(found, np.array([box]))
    np.testing.assert_allclose(iou(again, np.array([box])), 1.0, rtol=1e-6)
    assert abs(again[0, 4] - box[4]) < np.pi / 2 + 1e-6


@pytest.mark.parametrize("name", ASSOCIATORS.names())
def test_every_associator(name):
    """Two long things turn about one another: their upright extents are nearly alike, so only the angle tells."""
    params = {**LIGHT.get(name, {}), **({} if name == "supervisely-botsort" else {"min_hits": 1})}
    associator = ASSOCIATORS.create(name, **params)
    image = np.zeros((300, 300, 3), np.uint8)
    image[:150] = (200, 40, 40)
    seen = []
    for i in range(40):
        angle = 0.6 + 0.05 * i
        boxes = [[90, 140, 210, 160, angle], [90, 140, 210, 160, angle + np.pi / 2]]
        order = [0, 1] if i % 2 else [1, 0]
        given = oriented(np.array(boxes)[order])
        answer = associator.update(given, frame(i, image=image))
        assert answer.data[turned.KEY] is given.data[turned.KEY]
        ids = answer.tracker_id[np.argsort(order)]
        if (ids > 0).all():
            seen.append(tuple(ids.tolist()))
    assert len(seen) > 30
    assert len(set(seen)) == 1, set(seen)


@pytest.mark.parametrize("name", ASSOCIATORS.names())
def test_upright_boxes_with_corners_give_the_tracks_of_upright_boxes(name):
    params = LIGHT.get(name, {})
    plain, other = ASSOCIATORS.create(name, **params), ASSOCIATORS.create(name, **params)
    for i, found in enumerate(walkers(30)):
        corners = oriented(np.hstack([found.xyxy, np.zeros((len(found), 1))]), found.confidence)
        assert (
            plain.update(found, frame(i)).tracker_id.tolist()
            == other.update(corners, frame(i)).tracker_id.tolist()
        )


def test_oriented_boxes_after_upright_ones_are_refused_and_upright_ones_among_oriented_taken():
    associator = ASSOCIATORS.create("bytetrack", min_hits=1)
    associator.update(detections([[0, 0, 10, 10]]), frame(0))
    with pytest.raises(InputError, match="frame 1 has oriented boxes"):
        associator.update(oriented([[0, 0, 10, 10, 0.2]]), frame(1))
    associator.reset()
    associator.update(sv.Detections.empty(), frame(0))
    assert associator.update(oriented([[0, 0, 10, 10, 0.2]]), frame(1)).tracker_id == [1]
    assert associator.update(detections([[0, 0, 10, 10]]), frame(2)).tracker_id == [1]
    broken = oriented([[0, 0, 10, 10, 0.2]])
    broken.data[turned.KEY] = np.full((1, 4, 2), np.nan)
    assert associator.update(broken, frame(3)).tracker_id == [-1]


def test_tracks_keep_box_and_angle_and_the_angle_does_not_jump():
    video = np.zeros((40, 300, 300, 3), np.uint8)
    angles = iter(0.1 * np.arange(40))

    def found(image):
        return oriented([[90, 140, 210, 160, next(angles)]])

    tracks = track(
        video, None, ByDetection(CallableDetector(function=found), "ocsort", min_hits=1), progress=False
    )
    np.testing.assert_allclose(tracks.angle, 0.1 * tracks.frame, atol=1e-9)
    np.testing.assert_allclose(tracks.boxes, np.tile([90.0, 140, 210, 160], (len(tracks), 1)), atol=1e-9)


def test_corners_of_another_shape_are_named():
    def found(image):
        made = detections([[0, 0, 10, 10]])
        made.data = {turned.KEY: np.zeros((1, 8))}
        return made

    with pytest.raises(AnswerError, match=r"xyxyxyxy .*Remedy: corners of shape \(1, 4, 2\)"):
        track(
            np.zeros((2, 9, 9, 3), np.uint8),
            None,
            ByDetection(CallableDetector(function=found), "sort"),
            progress=False,
        )


def test_corners_are_recorded_and_come_back(tmp_path):
    boxes = [[10, 10, 60, 30, 0.4]], [[12, 10, 62, 30, -0.4]]
    seen = iter([oriented(boxes[0]), sv.Detections.empty(), oriented(boxes[1])])
    detector = CallableDetector(function=lambda image: next(seen))
    made = record(open_video(np.zeros((3, 90, 90, 3), np.uint8)), detector, tmp_path)
    for index, box in ((0, boxes[0]), (2, boxes[1])):
        np.testing.assert_allclose(turned.of_detections(made.at(index)), box, atol=1e-9)
    assert len(made.at(1)) == 0
