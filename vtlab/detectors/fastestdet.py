"""FastestDet: an anchor-free detector of 80 COCO classes with 0.24 million parameters, 352 x 352 input.

Code: https://github.com/dog-qiuqiu/FastestDet (BSD-3-Clause, 2022); no paper. Runs in OpenCV's DNN.
Differs from: the demo of the official repository rounds boxes to whole pixels and counts inclusive edges in the
suppression; here both are continuous. The score is the one of its evaluation code, objectness^0.6 * class^0.4.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from vtlab.contracts import Detector, Image, WeightFile, check_image
from vtlab.detectors.base import COCO_NAMES, check_fraction, class_ids, select
from vtlab.registry import register_detector

if TYPE_CHECKING:
    import supervision as sv

WEIGHTS = WeightFile(
    "FastestDet.onnx",
    "https://raw.githubusercontent.com/dog-qiuqiu/FastestDet/50473cd155cb/example/onnx-runtime/FastestDet.onnx",
    sha256="31cb14c017fce347cb4c846ec62fdf00d76bb3beecdf4be21e7116ac67feb880",
    size=998169,
    licence="BSD-3-Clause",
    source="https://github.com/dog-qiuqiu/FastestDet",
)
_SIDE = 352


@register_detector(
    "fastestdet",
    family="detector",
    summary="80 COCO classes in a few milliseconds on a CPU; 1 MB of weights.",
    code="https://github.com/dog-qiuqiu/FastestDet",
    licence="BSD-3-Clause",
    weights=[WEIGHTS],
)
class FastestDet(Detector):
    """FastestDet's official ONNX export.

    Args:
        confidence: Lowest confidence that stays.
        nms: Highest IoU of two boxes of one class that both stay.
        classes: Names of the classes that stay; None for all 80.
    """

    names = COCO_NAMES

    def __init__(
        self,
        *,
        confidence: float = 0.4,
        nms: float = 0.45,
        classes: Sequence[str] | str | None = None,
    ):
        import cv2

        from vtlab.weights import fetch

        self._confidence = check_fraction("confidence", confidence, "fastestdet")
        self._nms = check_fraction("nms", nms, "fastestdet")
        self._wanted = class_ids(classes, self.names, "fastestdet")
        self._net = cv2.dnn.readNetFromONNX(str(fetch(WEIGHTS)))

    def detect(self, frames: Sequence[Image]) -> list[sv.Detections]:
        """Return the objects of each frame. The export takes one image at a time."""
        return [self._one(check_image(image, "fastestdet")) for image in frames]

    def _one(self, image: Image) -> sv.Detections:
        import cv2

        small = cv2.resize(image, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA)[..., ::-1]
        self._net.setInput(cv2.dnn.blobFromImage(small, 1 / 255))
        boxes, scores, ids = decode(self._net.forward()[0])
        height, width = image.shape[:2]
        return select(
            boxes * (width, height, width, height),
            scores,
            ids,
            self.names,
            size=(height, width),
            threshold=self._confidence,
            nms=self._nms,
            wanted=self._wanted,
        )


def decode(output: NDArray[np.float32]) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64]]:
    """Boxes of every cell of the network's map.

    Args:
        output: (5 + C, h, w): objectness, centre offsets before tanh, size before sigmoid, class scores.

    Returns:
        Boxes (h * w, 4) xyxy as fractions of the image, scores (h * w,), classes (h * w,).
    """
    maps = output.astype(np.float64)
    rows, columns = maps.shape[1:]
    y, x = np.mgrid[:rows, :columns]
    centre_x, centre_y = (x + np.tanh(maps[1])) / columns, (y + np.tanh(maps[2])) / rows
    half_width, half_height = 0.5 / (1 + np.exp(-maps[3:5]))
    boxes = np.stack(
        [centre_x - half_width, centre_y - half_height, centre_x + half_width, centre_y + half_height],
        axis=-1,
    )
    scores = maps[0] ** 0.6 * maps[5:].max(axis=0) ** 0.4
    return boxes.reshape(-1, 4), scores.ravel(), maps[5:].argmax(axis=0).ravel()
