"""Geometry and masks: properties that must hold for any box or mask."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from vtlab import geometry, masks
from vtlab.errors import InputError

coordinate = st.floats(-500, 500, allow_nan=False, width=32)
boxes = st.lists(
    st.tuples(coordinate, coordinate, st.floats(0.5, 300), st.floats(0.5, 300)), min_size=1, max_size=8
)


@given(boxes)
def test_conversions_are_inverse(rows):
    xyxy = geometry.xywh_to_xyxy(rows)
    np.testing.assert_allclose(geometry.xyxy_to_xywh(xyxy), rows, atol=1e-6)
    np.testing.assert_allclose(geometry.cxcywh_to_xyxy(geometry.xyxy_to_cxcywh(xyxy)), xyxy, atol=1e-6)


@given(boxes, boxes, coordinate, coordinate)
def test_iou_is_symmetric_bounded_and_moves_with_the_boxes(a, b, dx, dy):
    a, b = geometry.xywh_to_xyxy(a), geometry.xywh_to_xyxy(b)
    iou = geometry.box_iou(a, b)
    assert ((iou >= 0) & (iou <= 1 + 1e-12)).all()
    np.testing.assert_allclose(iou, geometry.box_iou(b, a).T)
    shift = np.array([dx, dy, dx, dy])
    np.testing.assert_allclose(geometry.box_iou(a + shift, b + shift), iou, atol=1e-6)
    np.testing.assert_allclose(np.diag(geometry.box_iou(a, a)), 1)


def test_iou_by_hand():
    assert geometry.box_iou([0, 0, 2, 2], [1, 0, 3, 2]) == pytest.approx(2 / (4 + 4 - 2))
    assert geometry.box_iou([0, 0, 0, 0], [0, 0, 0, 0]) == 0
    assert np.isnan(geometry.box_iou([0, 0, 2, np.nan], [0, 0, 2, 2]))
    assert geometry.box_iou(np.empty((0, 4)), [[0, 0, 1, 1]]).shape == (0, 1)


def test_iou_does_not_change_its_arguments():
    a = np.array([[0.0, 0, 4, 4]])
    before = a.copy()
    geometry.clip_boxes(a, 2, 2)
    geometry.box_iou(a, a)
    np.testing.assert_array_equal(a, before)


def test_wrong_shape_is_named():
    with pytest.raises(InputError, match=r"shape \(N, 4\).*got shape \(120, 3\)"):
        geometry.as_boxes(np.zeros((120, 3)))


@given(arrays(bool, st.tuples(st.integers(1, 20), st.integers(1, 20))))
def test_masks_round_trip(mask):
    code = masks.encode(mask)
    np.testing.assert_array_equal(masks.decode(code, *mask.shape), mask)
    assert masks.area(code, *mask.shape) == mask.sum()
    box = masks.to_box(mask)
    if mask.any():
        inside = masks.from_box(box, *mask.shape)
        assert (inside | ~mask).all()
        assert inside.sum() == (box[2] - box[0]) * (box[3] - box[1])
    else:
        assert np.isnan(box).all()


def test_polygon_covers_pixel_centres():
    mask = masks.from_polygon([(1, 1), (4, 1), (4, 3), (1, 3)], 5, 6)
    expected = np.zeros((5, 6), bool)
    expected[1:3, 1:4] = True
    np.testing.assert_array_equal(mask, expected)


def test_masks_of_other_sizes_are_refused():
    with pytest.raises(InputError, match="different sizes"):
        masks.iou(np.zeros((2, 3)), np.zeros((3, 2)))
