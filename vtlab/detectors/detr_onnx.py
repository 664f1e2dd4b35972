"""Detection transformers exported to ONNX: RF-DETR, LW-DETR, D-FINE, RT-DETR; runs in onnxruntime.

Papers: Robinson et al., "RF-DETR", ICLR 2026, arXiv 2511.09554; Chen et al., "LW-DETR", arXiv 2406.03459; Peng et al.,
"D-FINE", ICLR 2025, arXiv 2410.13842. Official code: roboflow/rf-detr, Atten4Vis/LW-DETR, Peterande/D-FINE (Apache-2.0).

Three layouts are told apart by the names of the outputs: `dets` and `labels` (RF-DETR's and LW-DETR's own export, with
`masks` where the model segments), `logits` and `pred_boxes` (transformers), and `labels`, `boxes`, `scores` with the image's
size as a second input (D-FINE's and RT-DETR's own export).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vtlab.contracts import Image
from vtlab.detectors.base import Fit, standardised, stretch
from vtlab.detectors.exports import OnnxDetector, Raw
from vtlab.errors import WeightsError
from vtlab.registry import register_detector

_PAIRS = (("labels", "dets"), ("logits", "pred_boxes"), ("logits", "boxes"))
_SHARED: dict[str, Any] = {"family": "detector", "licence": "Apache-2.0", "requires": "onnx"}


@register_detector(
    "d-fine-onnx",
    summary="D-FINE and RT-DETR exported to ONNX, by their authors' code or by transformers.",
    options={"normalise": False},
    paper="Peng et al.: D-FINE: Redefine Regression Task of DETRs as Fine-grained Distribution Refinement, ICLR 2025",
    paper_url="https://arxiv.org/abs/2410.13842",
    code="https://github.com/Peterande/D-FINE",
    **_SHARED,
)
@register_detector(
    "lw-detr-onnx",
    summary="LW-DETR exported to ONNX, by its authors' code or by transformers.",
    paper="Chen et al.: LW-DETR: A Transformer Replacement to YOLO for Real-Time Detection, arXiv 2024",
    paper_url="https://arxiv.org/abs/2406.03459",
    code="https://github.com/Atten4Vis/LW-DETR",
    **_SHARED,
)
@register_detector(
    "rf-detr-onnx",
    summary="RF-DETR exported to ONNX, by its authors' code or by transformers; masks where the model segments.",
    paper="Robinson et al.: RF-DETR: Neural Architecture Search for Real-Time Detection Transformers, ICLR 2026",
    paper_url="https://arxiv.org/abs/2511.09554",
    code="https://github.com/roboflow/rf-detr",
    emits={"boxes", "masks"},
    **_SHARED,
)
class DetrOnnx(OnnxDetector):
    """A detection transformer's export: each query is an object, so nothing is suppressed.

    Args:
        path: The .onnx file.
        confidence: Lowest confidence that stays.
        classes: Names of the classes that stay; None for all.
        names: Names of all classes; None: those in the file, else COCO's where there are 80, or 91 by COCO's own numbers,
            else numbers. A last class without a name is "no object" and is left out.
        size: Side of the input in pixels where the export leaves it open.
        normalise: Whether the network takes images minus ImageNet's mean by its deviation, as RF-DETR and LW-DETR do; D-FINE
            and RT-DETR take 0 to 1. Not for an export that does so itself.
        most: Most objects of a frame.
        threads: Threads of onnxruntime; 0 = its choice.
    """

    layout = "detr"

    def __init__(
        self,
        *,
        path: str | Path,
        confidence: float = 0.4,
        classes: Sequence[str] | str | None = None,
        names: Sequence[str] | None = None,
        size: int = 640,
        normalise: bool = True,
        most: int = 300,
        threads: int = 0,
    ):
        super().__init__(
            path, confidence=confidence, nms=1.0, classes=classes, names=names, size=size, threads=threads
        )
        self._normalise, self._most = normalise, most
        self._order = list(self._export.outputs)
        self._ready = {"labels", "boxes", "scores"} <= set(self._order)
        others = list(self._export.inputs)[1:]
        if self._ready != (len(others) == 1):
            raise WeightsError(
                f"{self._owner}: {str(path)!r} takes {list(self._export.inputs)} and gives {self._order}; known are "
                "`labels`, `boxes`, `scores` with the image's size as a second input, and logits with boxes without one."
            )
        self._sizes = others[0] if others else ""

    def _also(self, images: Sequence[Image]) -> dict[str, NDArray[Any]]:
        """(N, 2) width and height of each image, where the network scales its boxes itself."""
        return (
            {self._sizes: np.array([i.shape[1::-1] for i in images], dtype=np.int64)} if self._sizes else {}
        )

    def _prepare(self, image: Image) -> tuple[NDArray[np.float32], Fit]:
        picture, fit = stretch(image, self._size)
        return standardised(picture) if self._normalise else picture, Fit((1.0, 1.0)) if self._ready else fit

    def _decode(self, outputs: list[NDArray[Any]]) -> Raw:
        found = dict(zip(self._order, outputs, strict=True))
        if self._ready:
            return Raw(
                found["boxes"].astype(np.float64),
                found["scores"].astype(np.float64),
                found["labels"].astype(np.int64),
            )
        labels, place = next((a, b) for a, b in _PAIRS if a in found and b in found)
        logits, boxes = found[labels].astype(np.float64), found[place].astype(np.float64)
        if logits.ndim != 2 or boxes.shape != (len(logits), 4):
            raise WeightsError(
                f"{self._owner}: {labels} and {place} of the shapes {logits.shape} and {boxes.shape} for an image aren't "
                "(queries, classes) and (queries, 4)."
            )
        if len(self.names) == logits.shape[1] - 1:
            logits = logits[:, :-1]
        scores = 1 / (1 + np.exp(-logits))
        order = np.argsort(-scores, axis=None, kind="stable")[: self._most]
        query, number = np.unravel_index(order, scores.shape)
        half = boxes[query, 2:] / 2
        xyxy = np.concatenate([boxes[query, :2] - half, boxes[query, :2] + half], axis=1)
        raw = Raw(xyxy * np.tile(self._size[::-1], 2), scores[query, number], number, logits.shape[1])
        if "masks" in found:
            raw.masks = found["masks"][query]
        return raw
