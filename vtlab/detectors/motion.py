"""Motion: whatever differs from a learnt background, for a standing camera; nothing to download.

Paper: Zivkovic, "Improved adaptive Gaussian mixture model for background subtraction", ICPR 2004.
Code: OpenCV's `BackgroundSubtractorMOG2` (Apache-2.0).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from vtlab.contracts import Detector, Image, check_image
from vtlab.detectors.base import check_fraction, select
from vtlab.errors import InputError
from vtlab.registry import register_detector

if TYPE_CHECKING:
    import supervision as sv

    from vtlab.video import Frame

_PERIOD = 1 / 25  # seconds between frames where no time stamps are given


@register_detector(
    "motion",
    family="detector",
    summary="Moving things before a standing camera by background subtraction (OpenCV MOG2); needs no weights.",
    paper="Zivkovic: Improved adaptive Gaussian mixture model for background subtraction, ICPR 2004",
    paper_url="https://doi.org/10.1109/ICPR.2004.1333992",
    code="https://github.com/opencv/opencv",
    licence="Apache-2.0",
)
class Motion(Detector):
    """Boxes around connected regions that differ from the background.

    The background is learnt from the frames in the order in which they come; the first frame has no detections.
    The confidence is the part of the box that moves.

    Args:
        history: Seconds over which the background forgets.
        threshold: Squared distance in standard deviations at which a pixel counts as foreground.
        min_area: Smallest region, as a fraction of the image's area.
        max_area: Largest region, as a fraction of the image's area (light switched on, camera moved).
        join: Gaps in a region are closed up to this fraction of the image's shorter side.
        confidence: Lowest confidence that stays.
    """

    names = ("moving object",)

    def __init__(
        self,
        *,
        history: float = 10.0,
        threshold: float = 16.0,
        min_area: float = 0.0005,
        max_area: float = 0.5,
        join: float = 0.012,
        confidence: float = 0.2,
    ):
        if not history > 0:
            raise InputError(f"motion: history must be more than 0 seconds, got {history!r}.")
        self._history, self._threshold = float(history), float(threshold)
        self._min_area = check_fraction("min_area", min_area, "motion")
        self._max_area = check_fraction("max_area", max_area, "motion")
        self._join = check_fraction("join", join, "motion")
        self._confidence = check_fraction("confidence", confidence, "motion")
        self.reset()

    def reset(self) -> None:
        """Forget the background."""
        import cv2

        self._model = cv2.createBackgroundSubtractorMOG2(
            history=500, varThreshold=self._threshold, detectShadows=True
        )
        self._seen = 0
        self._time: float | None = None

    def detect(self, frames: Sequence[Image]) -> list[sv.Detections]:
        """Return what moves on each frame; class "moving object". Frames are taken as 1/25 s apart."""
        return [self._one(check_image(image, "motion"), _PERIOD) for image in frames]

    def detect_frame(self, frame: Frame) -> sv.Detections:
        """Return what moves on a frame; the background learns by the real time between frames."""
        elapsed = _PERIOD if self._time is None else abs(frame.timestamp - self._time)
        self._time = frame.timestamp
        return self._one(check_image(frame.image, "motion"), elapsed)

    def _one(self, image: Image, elapsed: float) -> sv.Detections:
        import cv2

        height, width = image.shape[:2]
        self._seen += 1
        # At first as fast as MOG2 learns by itself, so that the first frames are the background; then by real time, so that
        # it forgets alike at every frame rate.
        rate = min(1.0, max(1 / (2 * self._seen), elapsed / self._history))
        raw = self._model.apply(image, learningRate=rate)
        if self._seen == 1:
            return select([], [], [], self.names, size=(height, width), threshold=0, nms=1, wanted=None)
        moving = (raw == 255).astype(np.uint8)  # 127 marks shadows
        moving = cv2.morphologyEx(moving, cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
        side = max(3, round(self._join * min(height, width)) | 1)  # odd, so that it has a middle
        closed = cv2.morphologyEx(moving, cv2.MORPH_CLOSE, np.ones((side, side), np.uint8))
        boxes, confidence = _regions(closed, moving, self._min_area, self._max_area)
        return select(
            boxes,
            confidence,
            np.zeros(len(boxes)),
            self.names,
            size=(height, width),
            threshold=self._confidence,
            nms=1.0,  # regions that don't touch are things of their own, however their boxes overlap
            wanted=None,
        )


def _regions(
    closed: NDArray[Any], moving: NDArray[Any], smallest: float, largest: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Boxes (N, 4) of connected regions and the part of each that moves (N,)."""
    import cv2

    count, labels, stats, _ = cv2.connectedComponentsWithStats(closed, connectivity=8)
    stats = stats[1:].astype(np.float64)
    foreground = np.bincount(labels[moving > 0], minlength=count)[1:]
    area = stats[:, cv2.CC_STAT_WIDTH] * stats[:, cv2.CC_STAT_HEIGHT]
    keep = (stats[:, cv2.CC_STAT_AREA] >= smallest * closed.size) & (area <= largest * closed.size)
    xywh = stats[keep, :4]
    return np.concatenate([xywh[:, :2], xywh[:, :2] + xywh[:, 2:]], axis=1), foreground[keep] / area[keep]
