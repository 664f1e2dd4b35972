"""Geometry at the border, both ways."""

from __future__ import annotations

import numpy as np
import pytest

from vtlab import masks
from vtlab.errors import InputError
from vtlab.formats import borders
from vtlab.prompts import BoxPrompt
from vtlab.tracks import Tracks
from vtlab.tracks.outline import mask_of

SIZE = (40, 60)


def test_inclusive_pixels():
    assert borders.from_inclusive([0, 0, 9, 4]).tolist() == [0, 0, 10, 5]
    assert borders.to_inclusive([0, 0, 10, 5]).tolist() == [0, 0, 9, 4]
    assert borders.to_inclusive([2.5, 2.4, 2.6, 2.6]).tolist() == [3, 2, 3, 2]
    boxes = np.random.default_rng(0).uniform(0, 50, (100, 4))
    boxes[:, 2:] += boxes[:, :2] + 1
    assert np.abs(borders.from_inclusive(borders.to_inclusive(boxes)) - boxes).max() <= 0.5


def test_percent_and_turned_boxes_come_back():
    random = np.random.default_rng(1)
    boxes = random.uniform(0, 20, (50, 4))
    boxes[:, 2:] += boxes[:, :2] + 1
    angle = random.uniform(-4, 4, 50)
    np.testing.assert_allclose(borders.from_percent(borders.to_percent(boxes, SIZE), SIZE), boxes, atol=1e-12)
    np.testing.assert_allclose(borders.from_pivot(borders.to_pivot(boxes, angle), angle), boxes, atol=1e-12)
    for box, a, found in zip(boxes, angle, borders.corners(boxes, angle), strict=True):
        np.testing.assert_allclose(found, BoxPrompt(tuple(box), angle=a).corners(), atol=1e-12)
    assert borders.upright(boxes[:1], [0.0]).tolist() == boxes[:1].tolist()
    np.testing.assert_allclose(borders.upright([0, 0, 4, 2], np.pi / 2), [1, -1, 3, 3], atol=1e-12)


@pytest.mark.parametrize("density", [0.02, 0.3, 0.5, 0.9])
def test_outlines_draw_the_mask_again_pixel_for_pixel(density):
    """Far above the IoU of 0.99 that is asked for: holes, islands within holes, corners that touch."""
    random = np.random.default_rng(int(density * 100))
    for _ in range(10):
        mask = random.random((24, 30)) < density
        rings = borders.rings_of(mask)
        assert masks.iou(mask_of(rings, 24, 30), mask) == 1


def test_an_outline_has_the_area_of_its_mask():
    mask = np.zeros(SIZE, bool)
    mask[5:30, 10:50] = True
    mask[10:20, 20:30] = False
    mask[13:15, 23:26] = True
    island, outer, hole = borders.rings_of(mask)
    assert sorted(outer.tolist()) == [[10, 5], [10, 30], [50, 5], [50, 30]]
    assert sorted(hole.tolist()) == [[20, 10], [20, 20], [30, 10], [30, 20]]
    assert len(island) == 4
    assert borders.holes_of([outer, hole, island]) == [False, True, False]
    drawn = Tracks.of([0], [1], polygons=[[outer, hole, island]], size=SIZE)
    assert (drawn.mask(0) == mask).all()
    beside = [[30, 5], [50, 5], [50, 30]]
    both = mask_of([[[10, 5], [30, 5], [30, 30]], beside], *SIZE)
    assert both.sum() == sum(
        masks.from_polygon(r, *SIZE).sum() for r in ([[10, 5], [30, 5], [30, 30]], beside)
    )


def test_runs_and_parts():
    mask = np.zeros(SIZE, bool)
    mask[0, 1:3], mask[1, 0] = True, True
    left, top, part = borders.to_crop(mask)
    assert (left, top, borders.row_runs(part)) == (0, 0, [1, 3, 2])
    assert (borders.from_crop(borders.from_row_runs([1, 3, 2], 2, 3), 0, 0, SIZE) == mask).all()
    assert borders.row_runs(~part) == [0, 1, 3, 2]
    assert borders.from_crop(np.ones((9, 9), bool), -4, 35, SIZE).sum() == 25
    with pytest.raises(InputError, match="without a pixel"):
        borders.to_crop(np.zeros(SIZE, bool))
    with pytest.raises(InputError, match="hold 3 pixels"):
        borders.from_row_runs([1, 2], 2, 3)


def test_cut_to_the_frame():
    assert borders.crop_boxes([-5, -5, 10, 100], SIZE).tolist() == [0, 0, 10, 40]
    assert np.isnan(borders.crop_boxes([70, 0, 90, 10], SIZE)).all()
    ring = borders.crop_ring([(-10, 10), (10, 10), (10, 30), (-10, 30)], SIZE)
    assert sorted(map(tuple, ring)) == [(0, 10), (0, 30), (10, 10), (10, 30)]
    assert len(borders.crop_ring([(-9, -9), (-1, -9), (-1, -1)], SIZE)) == 0
