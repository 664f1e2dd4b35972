"""What every detector must do, whoever wrote it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import supervision as sv

from vtlab.contracts import Detector, Image
from vtlab.contracts.parts import detect, detections_fault
from vtlab.registry import DETECTORS
from vtlab.testing.contract import Contract, make
from vtlab.testing.scenes import moving_square
from vtlab.video import Frame


class DetectorPart:
    """A detector under test."""

    def __init__(self, spec: Any, params: Mapping[str, Any]):
        self.spec, self.params = spec, dict(params)
        self.card = DETECTORS.card(spec)

    def made(self) -> Detector:
        """A new detector; NotAsked where its weights, packages or necessary parameters are missing."""
        found = make(DETECTORS, self.spec, self.params)
        assert isinstance(found, Detector), f"{type(found).__name__} is no detector: see vtlab/contracts"
        return found


def detected(detector: Detector, images: np.ndarray[Any, Any]) -> list[sv.Detections]:
    """The detections of the frames of a video, after a reset."""
    detector.reset()
    return [detect(detector, Frame(i, i / 25, image)) for i, image in enumerate(images)]


def same(one: sv.Detections, other: sv.Detections) -> None:
    """Two frames' detections are equal."""
    for name in ("xyxy", "confidence", "class_id"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name), err_msg=name)


DETECTOR = Contract(DetectorPart)


@DETECTOR.check
def _(part: DetectorPart) -> None:
    """its boxes touch the image, and each has a score in [0, 1], a class and its name"""
    video = moving_square()
    for found in detected(part.made(), video):
        height, width = video.shape[1:3]
        assert (found.xyxy[:, 2:] >= 0).all(), "a box lies outside the image"
        assert (found.xyxy[:, :2] <= [width, height]).all(), "a box lies outside the image"
        assert found.confidence is not None, "there are no scores"
        assert found.class_id is not None, "there are no classes"
        assert "class_name" in found.data, "the classes have no names"


@DETECTOR.check
def _(part: DetectorPart) -> None:
    """gives the same answer again after a reset and leaves its input unchanged"""
    video, detector = moving_square(6), part.made()
    before = video.copy()
    first = detected(detector, video)
    for one, other in zip(first, detected(detector, video), strict=True):
        same(one, other)
    for one, other in zip(first, detected(part.made(), video), strict=True):
        same(one, other)
    np.testing.assert_array_equal(video, before)


@DETECTOR.check
def _(part: DetectorPart) -> None:
    """gives as many answers as images, also for none"""
    detector = part.made()
    images: list[Image] = list(moving_square(3))
    assert detector.detect([]) == []
    answers = detector.detect(images)
    assert len(answers) == 3
    for found in answers:
        assert not (fault := detections_fault(found)), fault


@DETECTOR.check
def _(part: DetectorPart) -> None:
    """finds nothing, or something sound, in a blank image and in a small one"""
    # One pixel, and a strip, which rounds to no rows at all where images are scaled to a square.
    for size in ((96, 128), (1, 1), (7, 300)):
        blank = np.full((1, *size, 3), 90, np.uint8)
        detected(part.made(), blank)
