"""RT-DETR, RT-DETRv2, D-FINE, LW-DETR and RF-DETR through transformers, from the hub or a local folder in its layout.

Papers: Zhao et al., "DETRs Beat YOLOs on Real-time Object Detection", CVPR 2024, arXiv 2304.08069; Lv et al.,
"RT-DETRv2", arXiv 2407.17140; Peng et al., "D-FINE", ICLR 2025, arXiv 2410.13842; Chen et al., "LW-DETR", arXiv 2406.03459;
Robinson et al., "RF-DETR", ICLR 2026, arXiv 2511.09554. Code: huggingface/transformers
(Apache-2.0). Only the network is taken from there: resizing and decoding are a few lines here and need no torchvision.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from vtlab.contracts import Detector, Image, check_image
from vtlab.detectors import hub
from vtlab.detectors.base import check_fraction, class_ids, select, standardised, stretch
from vtlab.errors import InputError
from vtlab.registry import register_detector

if TYPE_CHECKING:
    import supervision as sv


@register_detector(
    "rf-detr",
    summary="RF-DETR (base, COCO): real-time detection transformer on DINOv2.",
    options={"model": "Roboflow/rf-detr-base", "size": 560, "normalise": True},
    paper="Robinson et al.: RF-DETR: Neural Architecture Search for Real-Time Detection Transformers, ICLR 2026",
    paper_url="https://arxiv.org/abs/2511.09554",
    **hub.CARD,
)
@register_detector(
    "lw-detr",
    summary="LW-DETR (small, COCO): light detection transformer on a plain ViT.",
    options={"model": "AnnaZhang/lwdetr_small_60e_coco", "normalise": True},
    paper="Chen et al.: LW-DETR: A Transformer Replacement to YOLO for Real-Time Detection, arXiv 2024",
    paper_url="https://arxiv.org/abs/2406.03459",
    **hub.CARD,
)
@register_detector(
    "d-fine",
    summary="D-FINE (small, COCO): real-time detection transformer with distributions of edges.",
    options={"model": "ustc-community/dfine-small-coco"},
    paper="Peng et al.: D-FINE: Redefine Regression Task of DETRs as Fine-grained Distribution Refinement, ICLR 2025",
    paper_url="https://arxiv.org/abs/2410.13842",
    **hub.CARD,
)
@register_detector(
    "rtdetr-v2",
    summary="RT-DETRv2 (R18, COCO): real-time detection transformer.",
    options={"model": "PekingU/rtdetr_v2_r18vd"},
    paper="Lv et al.: RT-DETRv2: Improved Baseline with Bag-of-Freebies, arXiv 2024",
    paper_url="https://arxiv.org/abs/2407.17140",
    **hub.CARD,
)
@register_detector(
    "rtdetr",
    summary="RT-DETR (R18, COCO): real-time detection transformer.",
    options={"model": "PekingU/rtdetr_r18vd"},
    paper="Zhao et al.: DETRs Beat YOLOs on Real-time Object Detection, CVPR 2024",
    paper_url="https://arxiv.org/abs/2304.08069",
    **hub.CARD,
)
class DetectionTransformer(Detector):
    """A detection transformer with one score for each class (RT-DETR, RT-DETRv2, D-FINE, LW-DETR, RF-DETR).

    Args:
        model: Name on the hub, or a local folder with config.json and model.safetensors.
        confidence: Lowest confidence that stays.
        classes: Names of the classes that stay; None for all.
        size: Side of the square input in pixels.
        normalise: Whether the network takes images minus ImageNet's mean by its deviation, as LW-DETR and RF-DETR do,
            instead of 0 to 1.
        most: Most objects of a frame.
        device: "cpu", "cuda", ... or "auto".
    """

    def __init__(
        self,
        *,
        model: str | Path,
        confidence: float = 0.4,
        classes: Sequence[str] | str | None = None,
        size: int = 640,
        normalise: bool = False,
        most: int = 300,
        device: str = "auto",
    ):
        owner = self.card.name
        self._confidence = check_fraction("confidence", confidence, owner)
        if size < 32 or most < 1:
            raise InputError(
                f"{owner}: size must be at least 32 and most at least 1, got {size!r} and {most!r}."
            )
        self._network, _, self._device = hub.load(owner, model, "ObjectDetection", device)
        labels = self._network.config.id2label
        self.names = tuple(str(labels[i]) for i in sorted(labels))
        self._wanted = class_ids(classes, self.names, owner)
        self._size, self._most, self._owner, self._normalise = int(size), int(most), owner, normalise

    def detect(self, frames: Sequence[Image]) -> list[sv.Detections]:
        """Return the objects of each frame; all frames go through the network together."""
        import torch

        if not frames:
            return []
        batch = np.stack([self._prepare(check_image(image, self._owner)) for image in frames])
        with torch.inference_mode():
            answer = self._network(pixel_values=torch.from_numpy(batch).to(self._device))
        logits, boxes = answer.logits.float().cpu().numpy(), answer.pred_boxes.float().cpu().numpy()
        return [self._one(*rows) for rows in zip(logits, boxes, frames, strict=True)]

    def _prepare(self, image: Image) -> np.ndarray:
        """Square input (3, size, size), as these models' processors make it."""
        picture, _ = stretch(image, (self._size, self._size))
        return standardised(picture) if self._normalise else picture

    def _one(self, logits: np.ndarray, boxes: np.ndarray, image: Image) -> sv.Detections:
        """Best (query, class) pairs; a query may answer with several classes."""
        height, width = image.shape[:2]
        scores = 1 / (1 + np.exp(-logits.astype(np.float64)))
        order = np.argsort(-scores, axis=None, kind="stable")[: self._most]
        query, number = np.unravel_index(order, scores.shape)
        centre, half = boxes[query, :2].astype(np.float64), boxes[query, 2:].astype(np.float64) / 2
        xyxy = np.concatenate([centre - half, centre + half], axis=1) * (width, height, width, height)
        # Without suppression (nms 1): queries are matched one to one in training, so that none answers for another's object.
        return select(
            xyxy, scores[query, number], number, self.names,
            size=(height, width), threshold=self._confidence, nms=1.0, wanted=self._wanted,
        )  # fmt: skip
