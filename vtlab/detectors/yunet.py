"""YuNet: faces with five key points, 75,856 parameters; runs in onnxruntime.

Paper: Wu et al., "YuNet: A Tiny Millisecond-level Face Detector", Machine Intelligence Research 2023,
https://doi.org/10.1007/s11633-023-1423-y. Official code: ShiqiYu/libfacedetection.train (Apache-2.0). Written from the
layout of its export; the answers are those of OpenCV's `FaceDetectorYN`, which has the same networks, within rounding.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vtlab.contracts import Image, WeightFile
from vtlab.detectors.base import Fit
from vtlab.detectors.exports import OnnxDetector, Raw, cells, letterbox
from vtlab.registry import register_detector

STRIDES = (8, 16, 32)
POINTS = ("right eye", "left eye", "nose", "right corner of the mouth", "left corner of the mouth")
"""Key points in order, as the person has them."""
WEIGHTS = WeightFile(
    "yunet_n_640_640.onnx",
    "https://raw.githubusercontent.com/ShiqiYu/libfacedetection.train/0047ac24afb1/onnx/yunet_n_640_640.onnx",
    sha256="25a606a145a5b6d7271ae138fbd00eba91dad8b83222ae3f2c7ecd0f4a7b0e31",
    size=317466,
    licence="Apache-2.0",
    source="https://github.com/ShiqiYu/libfacedetection.train",
)


@register_detector(
    "yunet",
    family="detector",
    summary="Faces with five key points, in milliseconds on a CPU; 0.3 MB of weights.",
    paper="Wu et al.: YuNet: A Tiny Millisecond-level Face Detector, Machine Intelligence Research 2023",
    paper_url="https://doi.org/10.1007/s11633-023-1423-y",
    code="https://github.com/ShiqiYu/libfacedetection.train",
    licence="Apache-2.0",
    weights=[WEIGHTS],
    requires="onnx",
    emits={"boxes", "points"},
)
class YuNet(OnnxDetector):
    """Faces; their key points come as `data["keypoints"]` (N, 5, 2), in the order of `POINTS`.

    Args:
        weights: An .onnx file of YuNet of another size to use instead; None = the published one of 640 x 640.
        confidence: Lowest confidence that stays.
        nms: Highest IoU of two boxes that both stay.
        threads: Threads of onnxruntime; 0 = its choice.
    """

    layout = "yunet"
    names = ("face",)

    def __init__(
        self,
        *,
        weights: str | Path | None = None,
        confidence: float = 0.6,
        nms: float = 0.3,
        threads: int = 0,
    ):
        from vtlab.weights import fetch

        super().__init__(
            fetch(WEIGHTS) if weights is None else weights,
            confidence=confidence, nms=nms, classes=None, names=self.names, size=640, threads=threads,
        )  # fmt: skip

    def _prepare(self, image: Image) -> tuple[NDArray[np.float32], Fit]:
        picture, ratio, shift = letterbox(image, self._size, centred=False, border=0)
        return (picture[::-1] * 255).astype(np.float32), Fit((ratio, ratio), shift)  # BGR

    def _decode(self, outputs: list[NDArray[Any]]) -> Raw:
        found = dict(zip(self._export.outputs, outputs, strict=True))
        faces, objects, edges, marks = (
            np.concatenate([found[f"{kind}_{stride}"] for stride in STRIDES]).astype(np.float64)
            for kind in ("cls", "obj", "bbox", "kps")
        )
        places, strides = cells(self._size, STRIDES)
        # From the cell's corner, not its middle, and scores as the geometric mean of both: as OpenCV's FaceDetectorYN.
        centres, half = (places + edges[:, :2]) * strides, np.exp(edges[:, 2:]) * strides / 2
        scores = np.sqrt(np.clip(faces[:, 0], 0, 1) * np.clip(objects[:, 0], 0, 1))
        points = (places[:, None] + marks.reshape(len(marks), -1, 2)) * strides[:, None]
        return Raw(
            np.concatenate([centres - half, centres + half], axis=1),
            scores,
            np.zeros(len(scores), dtype=np.int64),
            1,
            points=points,
            point_scores=np.repeat(scores[:, None], points.shape[1], axis=1),
        )
