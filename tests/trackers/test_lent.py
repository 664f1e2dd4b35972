"""A tracker that is lent again answers as a new one does."""

from __future__ import annotations

import numpy as np
import pytest

import vtlab
from vtlab.prompts import BoxPrompt
from vtlab.registry import tracker_card
from vtlab.testing import lacking
from vtlab.testing.scenes import moving_square, square_box
from vtlab.trackers.pool import Pool

pytest.importorskip("cv2", reason="OpenCV is not installed")


@pytest.mark.parametrize(
    "name",
    ["boosting", "csrt", "dcfnet", "fear-xs", "kcf", "medianflow", "mil", "mosse", "nanotrack-v2", "ncc"],
)
def test_a_tracker_knows_nothing_of_the_video_before(name):
    if reason := lacking(tracker_card(name)):
        pytest.skip(reason)
    pool, before, video = Pool(), moving_square(4, step=5), moving_square(8)
    with pool.lend(name) as tracker:
        vtlab.track(before, BoxPrompt((10, 10, 40, 50)), tracker, progress=False)
    with pool.lend(name) as tracker:
        again = vtlab.track(video, BoxPrompt(square_box(0)), tracker, progress=False)
    new = vtlab.track(video, BoxPrompt(square_box(0)), name, progress=False)
    np.testing.assert_array_equal(again.boxes, new.boxes)
    np.testing.assert_array_equal(again.visible, new.visible)
