"""Template matching where correlation says nothing."""

from __future__ import annotations

import numpy as np

import vtlab
from vtlab.prompts import BoxPrompt
from vtlab.testing.scenes import moving_square


def test_a_flat_target_is_lost_and_stays_where_it_was():
    video = moving_square(4)
    box = (60.0, 50.0, 84.0, 70.0)
    video[:, 50:70, 60:84] = 90
    tracks = vtlab.track(video, BoxPrompt(box), "ncc", progress=False)
    assert tracks.visible.tolist() == [True, False, False, False]
    assert tracks.score[1:].tolist() == [0, 0, 0]
    np.testing.assert_array_equal(tracks.boxes, [box] * 4)
