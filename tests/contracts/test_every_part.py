"""What every detector, associator and segmenter must do, asked of each one that is registered."""

from __future__ import annotations

import numpy as np
import pytest

from vtlab.detectors.recorded import record
from vtlab.registry import ASSOCIATORS, DETECTORS, SEGMENTERS
from vtlab.testing import ASSOCIATOR, DETECTOR, SEGMENTER, lacking
from vtlab.testing.scenes import walking_person
from vtlab.tracks import Record, Source, Tracks
from vtlab.video import open_video

LIGHT = {"botsort-reid": {"embedder": "histogram"}, "supervisely-botsort": {"with_reid": False}}
"""Parameters that need no weights, for associators that would."""

OWN = [
    n for n in DETECTORS.names() if DETECTORS.find(n).__module__.startswith("vtlab.")
]  # other tests have some, too
FOOTAGE = {"yunet": "data/videos/dog_360p.mp4"}
"""Detectors of what the kit's drawn person does not show -> shared footage that does."""


@pytest.fixture(scope="module")
def needed(tmp_path_factory):
    """Detector -> what it can't be made without."""
    folder = tmp_path_factory.mktemp("detections")
    boxes = np.array([(80 + 4 * i, 49, 120 + 4 * i, 207) for i in range(12)], np.float64)
    rows = [
        f"{i + 1},-1,{x1},{y1},{x2 - x1},{y2 - y1},0.9,-1,-1,-1" for i, (x1, y1, x2, y2) in enumerate(boxes)
    ]
    (folder / "det.txt").write_text("\n".join(rows) + "\n")
    record(open_video(walking_person()), "motion", folder)
    record_of = Record(source=Source(width=320, height=240))
    return {
        "callable": {"function": lambda image: [[10, 10, 30, 30, 0.5]]},
        "noisy-truth": {"truth": Tracks.of(np.arange(12), 1, boxes, size=(240, 320), record=record_of)},
        "public": {"path": folder / "det.txt"},
        "recorded": {"path": next(folder.glob("*.parquet"))},
    }


@pytest.mark.parametrize("check", DETECTOR, ids=str)
@pytest.mark.parametrize("name", OWN)
def test_detectors(name, check, needed, request):
    if name in FOOTAGE and not lacking(DETECTORS.card(name)):
        video = request.getfixturevalue("shared") / FOOTAGE[name]
        check = next(c for c in DETECTOR.on(video=video) if c.name == check.name)
    check(name, **needed.get(name, {}))


@pytest.mark.parametrize("check", ASSOCIATOR, ids=str)
@pytest.mark.parametrize("name", ASSOCIATORS.names())
def test_associators(name, check):
    check(name, **LIGHT.get(name, {}))


@pytest.mark.parametrize("check", SEGMENTER, ids=str)
@pytest.mark.parametrize("name", [c.name for c in SEGMENTERS.cards() if not lacking(c)])
def test_segmenters(name, check):
    check(name)
