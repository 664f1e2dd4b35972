"""What the assistant's detectors see on a frame, joined."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from vtlab.contracts import Detector
from vtlab.contracts.parts import detect
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
        duplicate: IoU from which two findings are one.
    """

    def __init__(self, detectors: Sequence[Detector], duplicate: float):
        self._detectors, self._duplicate = detectors, duplicate

    def reset(self) -> None:
        """Forget earlier frames."""
        for detector in self._detectors:
            detector.reset()

    def look(self, frame: Frame) -> Seen:
        """Findings of all detectors; of two that overlap above `duplicate` the surer stays."""
        rows: list[tuple[float, Array, str | None, str]] = []
        for detector in self._detectors:
            found = detect(detector, frame)
            scores = np.ones(len(found)) if found.confidence is None else found.confidence
            labels = found.data.get("class_name", [None] * len(found))
            rows += [
                (
                    float(s),
                    np.asarray(b, dtype=np.float64),
                    None if x is None else str(x),
                    detector.card.name,
                )
                for s, b, x in zip(scores, found.xyxy, labels, strict=True)
                if np.isfinite(b).all() and (b[2:] > b[:2]).all()
            ]
        rows.sort(key=lambda r: -r[0])
        kept: list[tuple[float, Array, str | None, str]] = []
        for row in rows:
            if not kept or paired_iou(np.array([k[1] for k in kept]), row[1]).max() < self._duplicate:
                kept.append(row)
        boxes = np.array([r[1] for r in kept]).reshape(-1, 4)
        return Seen(boxes, np.array([r[0] for r in kept]), [r[2] for r in kept], [r[3] for r in kept])
