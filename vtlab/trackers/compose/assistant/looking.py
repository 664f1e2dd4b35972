"""What the assistant's detectors see on a frame, joined."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from vtlab.contracts import Detector
from vtlab.contracts.parts import detect
from vtlab.detectors.fusion import fuse
from vtlab.geometry import paired_iou
from vtlab.trackers.compose.assistant.objects import Array

if TYPE_CHECKING:
    from vtlab.video import Frame


@dataclass(frozen=True, slots=True)
class Seen:
    """What the detectors saw on a frame: boxes (n, 4), scores (n,), labels and the detector of each."""

    boxes: Array
    scores: Array
    labels: list[str | None]
    by: list[str]


class Looker:
    """Several detectors as one.

    Args:
        detectors: They look at every frame, in this order.
        duplicate: IoU from which two findings are one, whatever their labels.
        trust: How much each detector counts where several are fused; all alike by default.
    """

    def __init__(self, detectors: Sequence[Detector], duplicate: float, trust: Sequence[float] | None = None):
        self._detectors, self._duplicate, self._trust = detectors, duplicate, trust

    def reset(self) -> None:
        """Forget earlier frames."""
        for detector in self._detectors:
            detector.reset()

    def look(self, frame: Frame) -> Seen:
        """Findings of all detectors, those of one label fused; of two that overlap above `duplicate` the surer stays.

        The score of a fused finding is its surest: detectors know different things, and one alone may be right.
        """
        seen = [self._of(detector, frame) for detector in self._detectors]
        names = [d.card.name for d in self._detectors]
        if len(seen) > 1:
            fused = fuse(*zip(*seen, strict=True), trust=self._trust, score="max")
            boxes, scores, labels = fused.boxes, fused.scores, fused.labels
            by = ["+".join(names[d] for d in which) for which in fused.by]
        else:
            boxes, scores, labels = seen[0]
            by = names * len(boxes)
        kept: list[int] = []
        # Stable, so that equal scores keep the detectors' order and runs are the same.
        for i in np.argsort(-scores, kind="stable").tolist():
            if not kept or paired_iou(boxes[kept], boxes[i]).max() < self._duplicate:
                kept.append(i)
        return Seen(boxes[kept], scores[kept], [labels[i] for i in kept], [by[i] for i in kept])

    @staticmethod
    def _of(detector: Detector, frame: Frame) -> tuple[Array, Array, list[str | None]]:
        """Boxes, scores and labels of one detector; a box without area is none."""
        found = detect(detector, frame)
        boxes = np.asarray(found.xyxy, np.float64).reshape(-1, 4)
        scores = np.ones(len(found)) if found.confidence is None else np.asarray(found.confidence, np.float64)
        labels = found.data.get("class_name", [None] * len(found))
        real = np.isfinite(boxes).all(axis=1) & (boxes[:, 2:] > boxes[:, :2]).all(axis=1)
        told = [None if labels[i] is None else str(labels[i]) for i in np.flatnonzero(real)]
        return boxes[real], scores[real], told
