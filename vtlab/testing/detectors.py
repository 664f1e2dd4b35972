"""What every detector must do, whoever wrote it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import supervision as sv

from vtlab.contracts import Detector, Image
from vtlab.contracts.parts import detect, detections_fault
from vtlab.registry import DETECTORS
from vtlab.testing.contract import Contract, NotAsked, make
from vtlab.testing.scenes import walking_person
from vtlab.video import Frame, open_video

FRAMES = 12
"""Frames that are looked at: a detector of what moves has learnt its background by the sixth."""


class DetectorPart:
    """A detector under test, and the footage on which it is asked.

    Args:
        spec: A name, `file.py:Class`, a class or a function.
        params: Parameters of its constructor.
        video: Footage on which it finds something; None: `walking_person`.
    """

    def __init__(self, spec: Any, params: Mapping[str, Any], video: Any = None):
        self.spec, self.params = spec, dict(params)
        self.card = DETECTORS.card(spec)
        self._video = None if video is None else open_video(video)
        self.where = "the scene of a person who walks" if self._video is None else self._video.name

    def made(self) -> Detector:
        """A new detector; NotAsked where its weights, packages or necessary parameters are missing."""
        found = make(DETECTORS, self.spec, self.params)
        assert isinstance(found, Detector), f"{type(found).__name__} is no detector: see vtlab/contracts"
        return found

    def images(self, n: int = FRAMES) -> list[Image]:
        """The first n images of the footage, made anew: (H, W, 3) RGB."""
        if self._video is None:
            return list(walking_person(n))
        return [frame.image for frame in self._video.frames(0, min(n, len(self._video)))]


def detected(detector: Detector, images: list[Image]) -> list[sv.Detections]:
    """The detections of the frames of a video, after a reset."""
    detector.reset()
    return [detect(detector, Frame(i, i / 25, image)) for i, image in enumerate(images)]


def same(one: sv.Detections, other: sv.Detections) -> None:
    """Two frames' detections are equal."""
    for name in ("xyxy", "confidence", "class_id"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name), err_msg=name)
    assert (one.mask is None) == (other.mask is None), "masks once, and once none"
    if one.mask is not None:
        np.testing.assert_array_equal(np.asarray(one.mask), np.asarray(other.mask), err_msg="mask")


DETECTOR = Contract(DetectorPart)


@DETECTOR.check
def _(part: DetectorPart) -> None:
    """finds something where something is to be seen"""
    found = detected(part.made(), part.images())
    assert any(map(len, found)), (
        f"found nothing on {len(found)} frames of {part.where}, so nothing that it finds could be checked. Remedy: "
        "defaults that find plain things; where it looks for others, footage with one (--video CLIP, in Python "
        "check_detector(..., video=CLIP))"
    )


@DETECTOR.check
def _(part: DetectorPart) -> None:
    """its boxes touch the image, and each has a score in [0, 1], a class and its name"""
    images = part.images()
    for image, found in zip(images, detected(part.made(), images), strict=True):
        height, width = image.shape[:2]
        assert (found.xyxy[:, 2:] >= 0).all(), "a box lies outside the image"
        assert (found.xyxy[:, :2] <= [width, height]).all(), "a box lies outside the image"
        if not len(found):  # nothing needs no columns
            continue
        assert found.confidence is not None, "there is no confidence. Remedy: ones, where it has no scores"
        assert found.class_id is not None, (
            "there are no classes. Remedy: class_id zeros, where it has one class"
        )
        assert "class_name" in found.data, "the classes have no names. Remedy: data={'class_name': ...}"


@DETECTOR.check
def _(part: DetectorPart) -> None:
    """its masks are bool of the image's size, each on its box, and its card says what it gives"""
    found = [d for d in detected(part.made(), part.images()) if len(d)]
    given = {"boxes"} | {kind for d in found for kind in _given(d)}
    assert given <= part.card.emits, (
        f"it gives {sorted(given)}, its card says {sorted(part.card.emits)}. Remedy: emits={sorted(given)} when "
        "it is registered"
    )
    if "masks" not in given:
        said = "its card says masks, " if "masks" in part.card.emits else ""
        raise NotAsked(f"{said}none of the {sum(map(len, found))} things that it found has a mask")
    for one in found:
        if one.mask is not None:
            _masks_on_boxes(np.asarray(one.mask), one.xyxy)


def _given(found: sv.Detections) -> set[str]:
    """What a frame's detections have besides boxes, in a card's words."""
    has = {"masks": found.mask is not None, "points": "keypoints" in found.data}
    return {kind for kind, there in has.items() if there}


def _masks_on_boxes(masks: Any, boxes: Any) -> None:
    """Masks (N, H, W) are bool, and half of the pixels of each or more lie in its box (N, 4), a pixel more or less."""
    assert masks.dtype == np.bool_, f"masks of {masks.dtype}. Remedy: bool, such as mask > 0"
    for mask, box in zip(masks, boxes, strict=True):
        assert mask.any(), f"the mask of the box {box.tolist()} has no pixel"
        rows, columns = np.nonzero(mask)
        x1, y1, x2, y2 = box + np.array([-1, -1, 1, 1])
        inside = (columns >= x1) & (columns < x2) & (rows >= y1) & (rows < y2)
        assert inside.mean() >= 0.5, (
            f"the mask of the box {box.tolist()} spans x {columns.min()} to {columns.max()}, y {rows.min()} to "
            f"{rows.max()}. Remedy: masks in pixels of the whole image, (N, height, width)"
        )


@DETECTOR.check
def _(part: DetectorPart) -> None:
    """gives the same answer again after a reset and leaves its input unchanged"""
    images, detector = part.images(6), part.made()
    before = [image.copy() for image in images]
    first = detected(detector, images)
    for one, other in zip(first, detected(detector, images), strict=True):
        same(one, other)
    for one, other in zip(first, detected(part.made(), images), strict=True):
        same(one, other)
    np.testing.assert_array_equal(images, before)


@DETECTOR.check
def _(part: DetectorPart) -> None:
    """gives as many answers as images, also for none"""
    detector, images = part.made(), part.images(3)
    assert detector.detect([]) == [], "an empty list of images has an empty list of answers"
    answers = detector.detect(images)
    assert len(answers) == len(images), f"{len(answers)} answers for {len(images)} images"
    for image, found in zip(images, answers, strict=True):
        assert not (fault := detections_fault(found, image.shape[:2])), fault


@DETECTOR.check
def _(part: DetectorPart) -> None:
    """finds nothing, or something sound, in a blank image and in a small one"""
    # One pixel, and a strip, which rounds to no rows at all where images are scaled to a square.
    for size in ((96, 128), (1, 1), (7, 300)):
        detected(part.made(), [np.full((*size, 3), 90, np.uint8)])
