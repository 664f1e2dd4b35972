"""The package's results as detections; the package itself (AGPL-3.0) is played, as it isn't installed for the tests."""

from __future__ import annotations

import sys
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest

import vtlab
from vtlab.errors import WeightsError
from vtlab.registry import DETECTORS

IMAGE = np.zeros((40, 60, 3), dtype=np.uint8)
CORNERS = np.array(
    [[[20, 5], [30, 15], [20, 25], [10, 15]], [[40, 5], [50, 5], [50, 20], [40, 20]]], np.float32
)


class Tensor:
    """As much of one as is asked for."""

    def __init__(self, values):
        self.values = np.asarray(values, dtype=np.float32)

    def cpu(self):
        return self

    def numpy(self):
        return self.values


def boxes(**further):
    found = {"xyxy": [[10, 5, 30, 25], [40, 5, 50, 20]], "conf": [0.9, 0.6], "cls": [1, 0]}
    return SimpleNamespace(**{k: Tensor(v) for k, v in {**found, **further}.items()})


@pytest.fixture
def detect(monkeypatch, tmp_path):
    """Detections of a model of a task whose results are given."""
    asked: dict[str, object] = {}

    def run(task, classes=None, **parts):
        none = dict.fromkeys(("boxes", "obb", "keypoints", "masks"))
        result = SimpleNamespace(**none | parts)

        def predict(images, **options):
            asked.update(options)
            return [result for _ in images]

        model = SimpleNamespace(task=task, names={0: "car", 1: "ship"}, predict=predict)
        package = ModuleType("ultralytics")
        package.YOLO = lambda path: model
        monkeypatch.setitem(sys.modules, "ultralytics", package)
        (tmp_path / "mine.pt").touch()
        made = DETECTORS.create("ultralytics", path=tmp_path / "mine.pt", classes=classes)
        (found,) = made.detect([IMAGE])
        return found

    run.asked = asked
    return run


def test_boxes(detect):
    found = detect("detect", boxes=boxes())
    assert found.data["class_name"].tolist() == ["ship", "car"]
    np.testing.assert_allclose(found.confidence, [0.9, 0.6], rtol=1e-6)


def test_oriented_boxes_keep_their_corners(detect):
    found = detect("obb", classes="ship", obb=boxes(xyxyxyxy=CORNERS))
    np.testing.assert_array_equal(found.data["xyxyxyxy"], CORNERS[:1])
    np.testing.assert_array_equal(found.xyxy, [[10, 5, 30, 25]])


@pytest.mark.parametrize("scored", [True, False])
def test_key_points(detect, scored):
    xy = np.arange(12.0).reshape(2, 3, 2)
    points = SimpleNamespace(xy=Tensor(xy), conf=Tensor(np.full((2, 3), 0.5)) if scored else None)
    found = detect("pose", boxes=boxes(), keypoints=points)
    np.testing.assert_array_equal(found.data["keypoints"], xy)
    np.testing.assert_array_equal(found.data["keypoint_scores"], np.full((2, 3), 0.5 if scored else 1.0))


def test_masks_are_of_the_images_size(detect):
    masks = np.zeros((2, *IMAGE.shape[:2]))
    masks[0, 5:25, 10:30], masks[1, 5:20, 40:50] = 1, 1
    found = detect("segment", boxes=boxes(), masks=SimpleNamespace(data=Tensor(masks)))
    assert detect.asked["retina_masks"] is True
    np.testing.assert_array_equal(found.mask, masks > 0)
    assert set(found.data) == {"class_name"}


def test_a_model_that_finds_no_objects_is_refused(detect):
    with pytest.raises(WeightsError, match="task 'classify'"):
        detect("classify")


def test_masks_reach_tracks(detect):
    masks = np.ones((2, *IMAGE.shape[:2]))
    detect("segment", boxes=boxes(), masks=SimpleNamespace(data=Tensor(masks)))
    detector = DETECTORS.create("ultralytics", path=vtlab.__file__)  # any file: the model is played
    video = vtlab.open_video(np.zeros((3, *IMAGE.shape), np.uint8))
    tracks = vtlab.track(video, tracker="bytetrack", detector=detector, progress=False)
    assert len(tracks) >= 2
    assert tracks.mask(0).all()
