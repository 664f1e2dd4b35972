"""Trackers that were written for other toolkits run as they are."""

from __future__ import annotations

import sys

import numpy as np
import pytest
import supervision as sv

import vtlab
from vtlab.contracts import Card, Detector
from vtlab.errors import AnswerError, RegistryError, TrackingError
from vtlab.testing.scenes import moving_square, square_box

MODULE = """
import numpy as np
from PIL import Image

class Got:
    def init(self, image, box):
        assert image.mode == "RGB"
        self.box = np.array(box)
    def update(self, image):
        self.box = self.box + [3, 1, 0, 0]
        return self.box

class Wrong(Got):
    def update(self, image):
        return 5

class Py:
    def initialize(self, image, info):
        self.box = list(info["init_bbox"])
    def track(self, image, info=None):
        self.box[0] += 3
        return {"target_bbox": self.box, "object_presence_score": 0.5}

class Vot:
    def initialize(self, frame, new):
        assert Image.open(frame).size == (128, 96)
        self.region = list(new[0])
    def update(self, frame):
        assert open(frame, "rb").read(4)[1:] == b"PNG"
        self.region[0] += 3
        x, y, w, h = self.region
        return (x, y, x + w, y, x + w, y + h, x, y + h)

class VotMany:
    multiobject = True
    def init(self, frame, new, properties):
        self.regions = [list(region) for region, about in new]
    def update(self, frame, new, properties):
        for region in self.regions:
            region[0] += 3
        return [(tuple(region), {"confidence": 0.5}) for region in self.regions]

class Mot:
    columns = 8
    def __init__(self):
        self.next = 40
    def update(self, dets, img):
        assert dets.shape[1] == 6 and img.shape[2] == 3
        rows = [[*d[:4], self.next + n, d[4], d[5], n] for n, d in enumerate(dets)]
        dets[:] = 0
        return np.array(rows)[:, : self.columns] if rows else np.empty((0, 8))

class Mot7(Mot):
    columns = 7

class Super:
    def update(self, detections):
        detections.tracker_id = np.full(len(detections), 7)
        return detections[detections.confidence > 0.5]
"""


class Found(Detector):
    """Finds the square, and something that it isn't sure of."""

    card = Card("found", "detector")

    def __init__(self):
        self.n = -1

    def reset(self):
        self.n = -1

    def detect(self, frames):
        self.n += 1
        boxes = np.array([square_box(self.n), (1, 1, 5, 5)], float)
        return [sv.Detections(boxes, confidence=np.array([0.9, 0.2]), class_id=np.array([0, 0]))]


@pytest.fixture
def module(tmp_path, monkeypatch):
    (tmp_path / "their_trackers.py").write_text(MODULE)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield "their_trackers"
    sys.modules.pop("their_trackers", None)


@pytest.mark.parametrize(
    ("spec", "last"),
    [
        *(("got10k:{}.Got", (35, 21)), ("pytracking:{}.Py", (35, 16))),
        *(("vot:{}.Vot", (35, 16)), ("vot:{}.VotMany", (35, 16))),
    ],
)
def test_single_objects(module, spec, last):
    video = moving_square(6)
    tracks = vtlab.track(video, vtlab.BoxPrompt(square_box(0)), spec.format(module), progress=False)
    assert tracks.boxes[-1][:2].tolist() == list(last)
    assert tracks.boxes[-1][2:].tolist() == [last[0] + 24, last[1] + 24]
    two = [vtlab.BoxPrompt(square_box(0)), vtlab.BoxPrompt((60, 30, 80, 50), object_id=2)]
    assert len(vtlab.track(video, two, spec.format(module), progress=False)) == 12


def test_a_file_beside_works_too(tmp_path):
    file = tmp_path / "mine.py"
    file.write_text(MODULE)
    tracks = vtlab.track(
        moving_square(3), vtlab.BoxPrompt(square_box(0)), f"got10k:{file}:Got", progress=False
    )
    assert tracks.meta["tracker"]["name"].startswith("got10k-")


@pytest.mark.parametrize("spec", ["boxmot:{}.Mot", "boxmot:{}.Mot7", "supervision:{}.Super"])
def test_joined_detections(module, spec):
    tracks = vtlab.track(moving_square(5), None, spec.format(module), detector=Found(), progress=False)
    mine = tracks.take(tracks.boxes[:, 0] > 10)
    assert mine.object_id.tolist() == [1] * 5
    assert mine.boxes.tolist() == [list(square_box(n)) for n in range(5)]


def test_what_is_none_is_refused(module):
    for spec, why in {
        "got10k:nowhere.Tracker": "nowhere",
        f"got10k:{module}.Nobody": "Nobody",
        "got10k:Tracker": "module.Class",
        "nobody:x.Y": "Unknown tracker",
    }.items():
        with pytest.raises(RegistryError, match=why):
            vtlab.tracker_card(spec)
    with pytest.raises((TrackingError, AnswerError), match="x, y, width, height"):
        vtlab.track(
            moving_square(3), vtlab.BoxPrompt(square_box(0)), f"got10k:{module}.Wrong", progress=False
        )
