"""Public detections: boxes from a MOTChallenge file (det.txt, gt.txt or a result), instead of a detector.

Format: `frame, id, left, top, width, height, confidence, ...`, frames and pixels from 1. Source: motchallenge.net.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from vtlab.detectors.base import ByFrame, make_detections
from vtlab.errors import FormatError, InputError
from vtlab.registry import register_detector

if TYPE_CHECKING:
    import supervision as sv


@register_detector(
    "public",
    family="detector",
    summary="Detections read from a MOTChallenge file, so that trackers are compared on the same boxes.",
    paper="Milan et al.: MOT16: A Benchmark for Multi-Object Tracking, arXiv 2016",
    paper_url="https://arxiv.org/abs/1603.00831",
)
class PublicDetections(ByFrame):
    """Boxes of a det.txt, frame by frame.

    Args:
        path: The file.
        label: Class of all its boxes.
        confidence: Lowest confidence that stays, in the file's own unit.
        logistic: The file's confidences are unbounded (the DPM detections of MOT17 go from -0.5 to 5): squash them
            to (0, 1) by the logistic function. None: only when the file has a value outside [0, 1].
    """

    def __init__(
        self,
        *,
        path: str | Path,
        label: str = "person",
        confidence: float = -np.inf,
        logistic: bool | None = None,
    ):
        self.names = (str(label),)
        table = read_mot_detections(path)
        table = table[table[:, 5] >= confidence]
        self._frames = table[:, 0].astype(np.int64)
        self._boxes, scores = table[:, 1:5], table[:, 5]
        outside = bool(len(scores)) and (scores.min() < 0 or scores.max() > 1)
        self._scores = 1 / (1 + np.exp(-scores)) if (outside if logistic is None else logistic) else scores
        self.reset()

    def at(self, index: int) -> sv.Detections:
        """Return the boxes of one frame (0-based)."""
        low, high = np.searchsorted(self._frames, [index, index + 1])
        return make_detections(
            self._boxes[low:high], self._scores[low:high], np.zeros(high - low), self.names
        )


def read_mot_detections(path: str | Path) -> np.ndarray:
    """Read a MOTChallenge file of boxes.

    Returns:
        (N, 6) float64: frame (0-based), x1, y1, x2, y2 (edges, from 0), confidence; ordered by frame.

    Raises:
        InputError: There is no such file.
        FormatError: A line is not `frame, id, left, top, width, height, confidence, ...`.
    """
    file = Path(path)
    if not file.is_file():
        raise InputError(f"There is no file {str(file)!r}. Give the path of a MOTChallenge det.txt.")
    rows = []
    for number, line in enumerate(file.read_text(encoding="utf-8", errors="replace").splitlines(), 1):
        cells = line.replace(",", " ").split()
        if not cells:
            continue
        try:
            frame, _, left, top, width, height, score = (float(c) for c in cells[:7])
        except ValueError:
            raise FormatError(
                f"{str(file)!r}, line {number}: expected 'frame, id, left, top, width, height, confidence', "
                f"got {line!r}."
            ) from None
        if not frame >= 1 or frame != int(frame):
            raise FormatError(f"{str(file)!r}, line {number}: frames count from 1, got {cells[0]!r}.")
        rows.append((frame - 1, left - 1, top - 1, left - 1 + width, top - 1 + height, score))
    table = np.array(rows, dtype=np.float64).reshape(-1, 6)
    return table[np.argsort(table[:, 0], kind="stable")]
