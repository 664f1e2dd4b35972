"""HOG people: upright pedestrians by a linear SVM on histograms of gradients, in OpenCV; nothing to download.

Paper: Dalal, Triggs, "Histograms of Oriented Gradients for Human Detection", CVPR 2005.
Code: OpenCV's `HOGDescriptor.getDefaultPeopleDetector` (Apache-2.0).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from vtlab.contracts import Detector, Image, check_image
from vtlab.detectors.base import check_fraction, select
from vtlab.registry import register_detector

if TYPE_CHECKING:
    import supervision as sv


@register_detector(
    "hog-people",
    family="detector",
    summary="Upright people by gradient histograms and a linear SVM (OpenCV); needs no weights.",
    paper="Dalal, Triggs: Histograms of Oriented Gradients for Human Detection, CVPR 2005",
    paper_url="https://doi.org/10.1109/CVPR.2005.177",
    code="https://github.com/opencv/opencv_contrib",
    licence="Apache-2.0",
)
class HogPeople(Detector):
    """OpenCV's people detector.

    The SVM's window of 64 x 128 pixels has 16 pixels of margin on each side of the person (so it was trained), so
    boxes are cut to its inner 32 x 96. The SVM's distance from its border (no probability) becomes the confidence by
    the logistic function.

    Args:
        confidence: Lowest confidence that stays; 0.5 is the SVM's own decision border.
        nms: Highest IoU of two boxes that both stay.
        scale: Ratio of neighbouring sizes that are searched; nearer to 1 is slower and finds more.
        stride: Step of the window in pixels; a multiple of 8 (4 is finer and four times slower).
        longest_side: Larger images are reduced to this many pixels before the search; 0 never reduces.
    """

    names = ("person",)

    def __init__(
        self,
        *,
        confidence: float = 0.6,
        nms: float = 0.45,
        scale: float = 1.05,
        stride: int = 8,
        longest_side: int = 960,
    ):
        import cv2

        self._confidence = check_fraction("confidence", confidence, "hog-people")
        self._nms = check_fraction("nms", nms, "hog-people")
        self._scale, self._stride, self._longest = float(scale), int(stride), int(longest_side)
        self._hog = cv2.HOGDescriptor()
        self._hog.setSVMDetector(np.asarray(cv2.HOGDescriptor.getDefaultPeopleDetector()))

    def detect(self, frames: Sequence[Image]) -> list[sv.Detections]:
        """Return the people of each frame; class "person"."""
        return [self._one(check_image(image, "hog-people")) for image in frames]

    def _one(self, image: Image) -> sv.Detections:
        import cv2

        height, width = image.shape[:2]
        ratio = min(1.0, self._longest / max(height, width)) if self._longest else 1.0
        small = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
        if ratio < 1.0:
            small = cv2.resize(small, None, fx=ratio, fy=ratio, interpolation=cv2.INTER_AREA)
        if small.shape[0] < 128 or small.shape[1] < 64:  # smaller than the SVM's window
            return select([], [], [], self.names, size=(height, width), threshold=0, nms=1, wanted=None)
        rects, weights = self._hog.detectMultiScale(
            small, winStride=(self._stride, self._stride), padding=(8, 8), scale=self._scale, groupThreshold=0
        )
        xywh = np.asarray(rects, dtype=np.float64).reshape(-1, 4)
        low = xywh[:, :2] + xywh[:, 2:] * (0.25, 0.125)
        high = xywh[:, :2] + xywh[:, 2:] * (0.75, 0.875)
        boxes = np.concatenate([low, high], axis=1) * np.tile(
            [width / small.shape[1], height / small.shape[0]], 2
        )
        margin = np.asarray(weights, dtype=np.float64).reshape(-1)
        return select(
            boxes,
            1 / (1 + np.exp(-margin)),
            np.zeros(len(boxes)),
            self.names,
            size=(height, width),
            threshold=self._confidence,
            nms=self._nms,
            wanted=None,
        )
