"""What is drawn of tracks: turned boxes, and dashes where an object is hidden."""

from __future__ import annotations

import numpy as np

from vtlab.prompts import BoxPrompt
from vtlab.show.draw import overlay
from vtlab.tracks import Tracks

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
