"""YOLO through the `ultralytics` package, which is AGPL-3.0: so is, by its licence, what is built on it.

Code: https://github.com/ultralytics/ultralytics (AGPL-3.0). "yolo-onnx" reads exports without that package.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from vtlab.contracts import Detector, Image, check_image
from vtlab.detectors.base import ORIENTED, check_fraction, class_ids, select
from vtlab.errors import WeightsError, needs
from vtlab.registry import register_detector

if TYPE_CHECKING:
    import supervision as sv

TASKS = ("detect", "segment", "pose", "obb")
"""What its models do that finds objects."""


@register_detector(
    "ultralytics",
    family="detector",
    summary="YOLO models by the ultralytics package.",
    code="https://github.com/ultralytics/ultralytics",
    licence="AGPL-3.0",
    requires="ultralytics",
    emits={"boxes", "masks", "points"},
    notice="The ultralytics package and its weights are AGPL-3.0, and so is what is built on them.",
)
class Ultralytics(Detector):
    """A model of the ultralytics package: boxes, masks, key points, oriented boxes.

    Key points come as `data["keypoints"]` (N, K, 2) with `data["keypoint_scores"]` (N, K), oriented boxes as
    `data["xyxyxyxy"]` (N, 4, 2), masks as `mask`, as from "yolo-onnx".

    Args:
        path: A .pt file that is on this machine; nothing is downloaded.
        confidence: Lowest confidence that stays.
        nms: Highest IoU of two boxes of one class that both stay.
        classes: Names of the classes that stay; None for all.
        device: "cpu", "cuda", ...

    Raises:
        WeightsError: There is no such file, or it is a model that finds no objects.
    """

    def __init__(
        self,
        *,
        path: str | Path,
        confidence: float = 0.25,
        nms: float = 0.45,
        classes: Sequence[str] | str | None = None,
        device: str = "cpu",
    ):
        try:
            from ultralytics import YOLO
        except ImportError:
            raise needs("ultralytics", "ultralytics", "The detector 'ultralytics'") from None
        if not Path(path).is_file():
            raise WeightsError(f"ultralytics: there is no file {str(path)!r}. Give the path of a model.")
        self._confidence = check_fraction("confidence", confidence, "ultralytics")
        self._nms = check_fraction("nms", nms, "ultralytics")
        self._model: Any = YOLO(str(path))
        task = str(self._model.task)
        if task not in TASKS:
            raise WeightsError(
                f"ultralytics: {str(path)!r} is a model of the task {task!r}; those that find objects have one of "
                f"{', '.join(TASKS)}."
            )
        self._device = device
        self.names = tuple(str(self._model.names[i]) for i in sorted(self._model.names))
        self._wanted = class_ids(classes, self.names, "ultralytics")

    def detect(self, frames: Sequence[Image]) -> list[sv.Detections]:
        """Return the objects of each frame."""
        import cv2

        images = [cv2.cvtColor(check_image(i, "ultralytics"), cv2.COLOR_RGB2BGR) for i in frames]
        found = self._model.predict(
            images,
            conf=self._confidence,
            iou=self._nms,
            device=self._device,
            verbose=False,
            retina_masks=True,  # masks of the image's size
        )
        return [self._one(r, image) for r, image in zip(found, frames, strict=True)]

    def _one(self, result: Any, image: Image) -> sv.Detections:
        """What the package found on one image."""
        boxes = result.boxes if result.obb is None else result.obb
        extras: dict[str, NDArray[Any]] = {}
        if result.obb is not None:
            extras[ORIENTED] = _array(boxes.xyxyxyxy).astype(np.float64).reshape(-1, 4, 2)
        if result.keypoints is not None:
            points, scores = _array(result.keypoints.xy).astype(np.float64), result.keypoints.conf
            extras["keypoints"] = points
            extras["keypoint_scores"] = np.ones(points.shape[:2]) if scores is None else _array(scores)
        if result.masks is not None:
            extras["mask"] = _array(result.masks.data) > 0.5
        found = select(
            _array(boxes.xyxy),
            _array(boxes.conf),
            _array(boxes.cls),
            self.names,
            size=image.shape[:2],
            threshold=self._confidence,
            nms=1.0,
            wanted=self._wanted,
            extras=extras,
        )
        mask = found.data.pop("mask", None)
        if mask is not None:
            found.mask = np.asarray(mask)
        return found


def _array(tensor: Any) -> NDArray[Any]:
    return np.asarray(tensor.cpu().numpy())
