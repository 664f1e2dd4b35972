"""What every detector, associator and segmenter must do, asked of each one that is registered."""

from __future__ import annotations

import numpy as np
import pytest

from vtlab.detectors.recorded import record
from vtlab.registry import ASSOCIATORS, DETECTORS, SEGMENTERS
from vtlab.testing import ASSOCIATOR, DETECTOR, SEGMENTER, lacking
from vtlab.testing.scenes import moving_square, square_box
from vtlab.tracks import Tracks
from vtlab.video import open_video

LIGHT = {"botsort-reid": {"embedder": "histogram"}, "supervisely-botsort": {"with_reid": False}}
"""Parameters that need no weights, for associators that would."""


@pytest.fixture(scope="module")
def needed(tmp_path_factory):
    """Detector -> what it can't be made without."""
    folder = tmp_path_factory.mktemp("detections")
    boxes = np.array([square_box(i) for i in range(12)])
    rows = [
        f"{i + 1},-1,{x1},{y1},{x2 - x1},{y2 - y1},0.9,-1,-1,-1" for i, (x1, y1, x2, y2) in enumerate(boxes)
    ]
    (folder / "det.txt").write_text("\n".join(rows) + "\n")
    record(open_video(moving_square()), "motion", folder)
    return {
        "callable": {"function": lambda image: [[10, 10, 30, 30, 0.5]]},
        "noisy-truth": {"truth": Tracks.of(np.arange(12), 1, boxes, size=(96, 128))},
        "public": {"path": folder / "det.txt"},
        "recorded": {"path": next(folder.glob("*.parquet"))},
    }


@pytest.mark.parametrize("check", DETECTOR, ids=str)
@pytest.mark.parametrize("name", DETECTORS.names())
def test_detectors(name, check, needed):
    check(name, **needed.get(name, {}))


@pytest.mark.parametrize("check", ASSOCIATOR, ids=str)
@pytest.mark.parametrize("name", ASSOCIATORS.names())
def test_associators(name, check):
    check(name, **LIGHT.get(name, {}))


@pytest.mark.parametrize("check", SEGMENTER, ids=str)
@pytest.mark.parametrize("name", [c.name for c in SEGMENTERS.cards() if not lacking(c)])
def test_segmenters(name, check):
    check(name)
