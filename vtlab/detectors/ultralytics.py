"""YOLO through the `ultralytics` package, which is AGPL-3.0: so is, by its licence, what is built on it.

Code: https://github.com/ultralytics/ultralytics (AGPL-3.0). "yolo-onnx" reads exports without that package.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vtlab.contracts import Detector, Image, check_image
from vtlab.detectors.base import check_fraction, class_ids, select
from vtlab.errors import WeightsError, needs
from vtlab.registry import register_detector

if TYPE_CHECKING:
    import supervision as sv


@register_detector(
    "ultralytics",
    family="detector",
    summary="YOLO models by the ultralytics package.",
    code="https://github.com/ultralytics/ultralytics",
    licence="AGPL-3.0",
    requires="ultralytics",
    notice="The ultralytics package and its weights are AGPL-3.0, and so is what is built on them.",
)
class Ultralytics(Detector):
    """A model of the ultralytics package.

    Args:
        path: A .pt file that is on this machine; nothing is downloaded.
        confidence: Lowest confidence that stays.
        nms: Highest IoU of two boxes of one class that both stay.
        classes: Names of the classes that stay; None for all.
        device: "cpu", "cuda", ...
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
        self._device = device
        self.names = tuple(str(self._model.names[i]) for i in sorted(self._model.names))
        self._wanted = class_ids(classes, self.names, "ultralytics")

    def detect(self, frames: Sequence[Image]) -> list[sv.Detections]:
        """Return the objects of each frame."""
        import cv2

        images = [cv2.cvtColor(check_image(i, "ultralytics"), cv2.COLOR_RGB2BGR) for i in frames]
        found = self._model.predict(
            images, conf=self._confidence, iou=self._nms, device=self._device, verbose=False
        )
        return [
            select(
                r.boxes.xyxy.cpu().numpy(),
                r.boxes.conf.cpu().numpy(),
                r.boxes.cls.cpu().numpy(),
                self.names,
                size=image.shape[:2],
                threshold=self._confidence,
                nms=1.0,
                wanted=self._wanted,
            )
            for r, image in zip(found, frames, strict=True)
        ]
