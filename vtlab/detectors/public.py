"""Public detections: boxes from a MOTChallenge file (det.txt, gt.txt or a result), instead of a detector.

Format: `frame, id, left, top, width, height, confidence, ...`, frames and pixels from 1. Source: motchallenge.net.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from vtlab.detectors.base import ByFrame, make_detections
from vtlab.errors import InputError
from vtlab.formats.mot_text import read_mot_rows, unit_scores
from vtlab.registry import register_detector
from vtlab.tracks import Source

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
        confidence: Lowest confidence that stays, in the file's own unit; boxes of a file without scores (-1) all stay.
        logistic: The file's confidences are unbounded (the DPM detections of MOT17 go from -0.5 to 5): squash them
            to (0, 1) by the logistic function. None: only when the file has a value outside [0, 1] (see
            `vtlab.formats.mot_text.unit_scores`).
        first_frame: Number of the first frame in the file: 1 by the format's rule.
        start: Frame of the whole video (0-based) that the file's first frame is. On a slice of the video, each frame
            gets the boxes of its own frame in the file.
        step: Frames of the whole video from one frame of the file to the next.

    Raises:
        InputError: There is no such file.
        FormatError: A line is wrong: file, line, what was expected.
    """

    def __init__(
        self,
        *,
        path: str | Path,
        label: str = "person",
        confidence: float = -np.inf,
        logistic: bool | None = None,
        first_frame: int = 1,
        start: int = 0,
        step: int = 1,
    ):
        file = Path(path)
        if not file.is_file():
            raise InputError(f"There is no file {str(file)!r}. Give the path of a MOTChallenge det.txt.")
        self.names = (str(label),)
        self.made_on = Source(name=file.name, start=start, step=step)
        rows = read_mot_rows(file, "detections", first_frame=first_frame)
        scores = unit_scores(rows.confidence, str(file), logistic=logistic)
        scored = not (rows.confidence == -1).all()
        keep = np.flatnonzero(rows.confidence >= confidence) if scored else np.arange(len(rows))
        keep = keep[np.argsort(rows.frame[keep], kind="stable")]
        self._frames, self._boxes, self._scores = rows.frame[keep], rows.boxes[keep], scores[keep]
        self.reset()

    def at(self, index: int) -> sv.Detections:
        """Return the boxes of one frame (0-based) of the file."""
        low, high = np.searchsorted(self._frames, [index, index + 1])
        return make_detections(
            self._boxes[low:high], self._scores[low:high], np.zeros(high - low), self.names
        )
