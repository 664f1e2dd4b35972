"""What is drawn of tracks: turned boxes, and dashes where an object is hidden."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from vtlab import masks
from vtlab.prompts import BoxPrompt
from vtlab.show.draw import colour, overlay, resized
from vtlab.tracks import PointRows, Tracks

IMAGE = np.full((180, 300, 3), 60, np.uint8)


def drawn(box: list[float], **columns) -> np.ndarray:
    """The pixels (K, 2), as x and y, that one object changes."""
    tracks = Tracks.of([0], [1], [box], 0.9, **columns)
    changed = (overlay(IMAGE, tracks, 0, labels=False) != IMAGE).any(axis=2)
    return np.argwhere(changed)[:, ::-1]


def test_a_turned_box_is_drawn_turned():
    box = [60, 60, 160, 100]
    pixels = drawn(box, angle=[1.2])
    for corner in BoxPrompt(tuple(box), angle=1.2).corners():
        assert np.linalg.norm(pixels - corner, axis=1).min() < 2.5
    assert np.linalg.norm(pixels - (60, 60), axis=1).min() > 5  # not where the upright box has its corner


def test_a_hidden_object_is_drawn_with_dashes():
    along = drawn([60, 60, 160, 100], visible=False)
    top = np.unique(along[np.abs(along[:, 1] - 60) <= 1, 0])
    assert 0.3 < len(top) / 100 < 0.9
    whole, dashed = (len(drawn([60, 60, 160, 100], angle=[0.4], visible=seen)) for seen in (True, False))
    assert 0.3 < dashed / whole < 0.9


def test_what_is_drawn_on_a_shrunk_image_lies_where_it_lies_on_the_whole_one():
    mask = np.zeros((80, 120), bool)
    mask[20:60, 40:100] = True
    boxes = Tracks.of([0, 1], [1, 1], np.tile([[40.0, 20, 100, 60]], (2, 1)), size=(80, 120))
    masks = Tracks.of([0, 1], [1, 1], masks=[mask, mask], size=(80, 120))
    points = Tracks.of([0], 1, points=PointRows.of([0], 1, 0, [[80.0, 40.0]]), size=(80, 120))
    for tracks in (boxes, masks, points):
        ends = []
        for scale in (1.0, 0.5):
            image = np.zeros((int(80 * scale), int(120 * scale), 3), np.uint8)
            ys, xs = np.nonzero(
                overlay(image, tracks, 0, trail=2, labels=False, weight=1, scale=scale).any(axis=2)
            )
            ends.append(np.array([xs.min(), ys.min(), xs.max() + 1, ys.max() + 1]) / scale)
        middle = [(e[:2] + e[2:]) / 2 for e in ends]
        assert np.abs(middle[0] - middle[1]).max() <= 1.5, ends
        assert np.abs(ends[0] - ends[1]).max() <= 6, ends  # a line's width and a point's radius don't shrink


def test_pictures_are_shrunk_to_their_means():
    image = np.random.default_rng(0).integers(0, 255, (72, 128, 3), dtype=np.uint8)
    small = resized(image, 30)
    assert small.shape == (17, 30, 3)
    assert np.abs(small.mean(axis=(0, 1)) - image.mean(axis=(0, 1))).max() < 2
    assert resized(image, 128) is image


@pytest.mark.parametrize("size", [(90, 160), (47, 83), (30, 53)])
def test_masks_are_drawn_from_their_runs(size, monkeypatch):
    """The same pixels as those of the whole mask, shrunk to its nearest pixels, tinted and outlined; it is never made."""
    y, x = np.ogrid[:90, :160]
    ring = (abs(x - 70) + abs(y - 45) < 30) & ~((x - 70) ** 2 + (y - 45) ** 2 < 150)
    corner, dot, nothing = (x > 130) & (y > 50 + x % 7), (x == 3) & (y == 5), np.zeros((90, 160), bool)
    shapes = [ring, corner, dot, nothing]
    tracks = Tracks.of([0] * 4, [1, 2, 3, 4], masks=shapes, size=(90, 160))
    image = np.random.default_rng(0).integers(0, 255, (*size, 3), dtype=np.uint8)
    expected = image.copy()
    for k, mask in enumerate(shapes, 1):
        small = cv2.resize(mask.view(np.uint8), size[::-1], interpolation=cv2.INTER_NEAREST)
        inside = small > 0
        expected[inside] = (expected[inside] * 0.55 + np.array(colour(k)) * 0.45).astype(np.uint8)
        contours, _ = cv2.findContours(small, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
        cv2.drawContours(expected, contours, -1, colour(k), 1, cv2.LINE_AA)
    monkeypatch.setattr(masks, "decode", None)
    found = overlay(image, tracks.replace(visible=True), 0, labels=False, weight=1, scale=size[0] / 90)
    np.testing.assert_array_equal(found, expected)
