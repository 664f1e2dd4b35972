"""PicoDet: a light detector of 80 COCO classes on four maps, whose edges are distributions; runs in onnxruntime.

Paper: Yu et al., "PP-PicoDet: A Better Real-Time Object Detector on Mobile Devices", arXiv 2111.00902. Official code:
PaddlePaddle/PaddleDetection (Apache-2.0). Read here is the export without suppression: scores of each map, then logits of
the distances from each cell's centre to the four edges, in strides.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vtlab.contracts import Image, WeightFile
from vtlab.detectors.base import Fit, standardised, stretch
from vtlab.detectors.exports import OnnxDetector, Raw, cells
from vtlab.errors import WeightsError
from vtlab.registry import register_detector

WEIGHTS = WeightFile(
    "picodet_s_320_coco.onnx",
    "https://raw.githubusercontent.com/hpc203/picodet-onnxruntime/dfe4d6cd0a18/coco/picodet_s_320_coco.onnx",
    sha256="d7852a1508b36bfc2739770ad52ff28bf81e219dc5c15dd7868d5ebdf007b6c8",
    size=4040569,
    licence="none stated for the file (PaddleDetection: Apache-2.0)",
    source="https://github.com/hpc203/picodet-onnxruntime",
)


@register_detector(
    "picodet-s",
    family="detector",
    summary="PicoDet-S: 80 COCO classes, 1.2 M parameters, 320 x 320; 4 MB of weights.",
    paper="Yu et al.: PP-PicoDet: A Better Real-Time Object Detector on Mobile Devices, arXiv 2021",
    paper_url="https://arxiv.org/abs/2111.00902",
    code="https://github.com/PaddlePaddle/PaddleDetection",
    licence="Apache-2.0",
    weights=[WEIGHTS],
    requires="onnx",
)
class PicoDet(OnnxDetector):
    """A PicoDet export.

    Args:
        weights: An .onnx file of PicoDet of any size to use instead; None = the published one of PicoDet-S.
        confidence: Lowest confidence that stays.
        nms: Highest IoU of two boxes of one class that both stay.
        classes: Names of the classes that stay; None for all.
        names: Names of all classes; None: those in the file, else COCO's where there are 80, else numbers.
        threads: Threads of onnxruntime; 0 = its choice.
    """

    layout = "picodet"

    def __init__(
        self,
        *,
        weights: str | Path | None = None,
        confidence: float = 0.4,
        nms: float = 0.5,
        classes: Sequence[str] | str | None = None,
        names: Sequence[str] | None = None,
        threads: int = 0,
    ):
        from vtlab.weights import fetch

        super().__init__(
            fetch(WEIGHTS) if weights is None else weights,
            confidence=confidence, nms=nms, classes=classes, names=names, size=320, threads=threads,
        )  # fmt: skip

    def _prepare(self, image: Image) -> tuple[NDArray[np.float32], Fit]:
        picture, fit = stretch(image, self._size)
        return standardised(picture), fit

    def _decode(self, outputs: list[NDArray[Any]]) -> Raw:
        half = len(outputs) // 2
        scores, edges = (np.concatenate(o).astype(np.float64) for o in (outputs[:half], outputs[half:]))
        places, strides = cells(self._size, [8 * 2**i for i in range(half)])
        if len(places) != len(scores):
            raise WeightsError(
                f"{self._owner}: {len(scores)} boxes fit no {half} maps from stride 8 on, of an input of {self._size} px."
            )
        # Each distance is the mean of a distribution over whole strides (generalised focal loss, Li et al., NeurIPS 2020).
        shares = np.exp(edges - edges.max()).reshape(len(edges), 4, -1)
        distances = shares @ np.arange(shares.shape[2]) / shares.sum(axis=2) * strides
        centres = (places + 0.5) * strides
        boxes = np.concatenate([centres - distances[:, :2], centres + distances[:, 2:]], axis=1)
        return Raw(boxes, scores.max(axis=1), scores.argmax(axis=1), scores.shape[1])
