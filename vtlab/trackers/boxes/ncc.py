"""NCC: template matching by normalised cross-correlation, the classical baseline.

Source: Briechle and Hanebeck, "Template matching using fast normalized cross correlation", SPIE 2001; the
matching is OpenCV's `matchTemplate(TM_CCOEFF_NORMED)`. The template is never updated, so it can't drift.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from vtlab.contracts import Observation, SingleObjectTracker
from vtlab.prompts import BoxPrompt, Prompt
from vtlab.registry import register

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from vtlab.video import Frame


@register(
    "ncc",
    family="sot",
    summary="Finds the first frame's patch again by normalised cross-correlation; never adapts.",
    accepts={BoxPrompt},
    paper="Template matching using fast normalized cross correlation, SPIE 2001",
    paper_url="https://doi.org/10.1117/12.421129",
    code="https://github.com/opencv/opencv",
    licence="Apache-2.0",
)
class NCC(SingleObjectTracker):
    """Template matching around the last position, at a fixed size.

    The score is the correlation coefficient, negative values as 0.

    Args:
        search: Side of the search window in multiples of the target's larger side.
        visible_above: Correlation from which the target counts as seen; below it, the last box is kept and the
            window grows until the target is found again.
    """

    def __init__(self, *, search: float = 3.0, visible_above: float = 0.4):
        self.search, self.visible_above = search, visible_above

    def init(self, frame: Frame, prompt: Prompt) -> None:
        """Cut the template."""
        image = frame.grey
        height, width = image.shape
        x1, y1, x2, y2 = prompt.box(height, width)
        left, top = int(np.clip(np.floor(x1), 0, width - 1)), int(np.clip(np.floor(y1), 0, height - 1))
        right, bottom = int(np.clip(np.ceil(x2), left + 1, width)), int(np.clip(np.ceil(y2), top + 1, height))
        self._template = image[top:bottom, left:right]
        self._flat = bool(np.ptp(self._template) == 0)
        self._offset = np.array([x1 - left, y1 - top])
        self._size = np.array([x2 - x1, y2 - y1])
        self._corner, self._lost = np.array([left, top]), 0

    def step(self, frame: Frame) -> Observation:
        """Match the template in the window around the last position."""
        import cv2

        image = frame.grey
        window, origin = self._window(image)
        response = cv2.matchTemplate(window, self._template, cv2.TM_CCOEFF_NORMED)
        # A flat patch of the frame has no variance to divide by.
        response[~np.isfinite(response)] = 0.0
        row, column = np.unravel_index(int(response.argmax()), response.shape)
        # Of a flat template OpenCV answers 1 everywhere, so that the best place would be the window's corner. It looks
        # like any flat surroundings: it is lost, and stays where it was.
        score = 0.0 if self._flat else float(np.clip(response[row, column], 0.0, 1.0))
        seen = score >= self.visible_above and not self._flat
        if seen:
            self._corner = origin + np.array([column, row])
        self._lost = 0 if seen else self._lost + 1
        top_left = self._corner + self._offset
        return Observation(np.concatenate([top_left, top_left + self._size]), score, seen)

    def _window(self, image: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
        height, width = image.shape
        th, tw = self._template.shape
        # Grows with each frame that it is not found on, since it moves on unseen.
        reach = int(np.ceil((self.search - 1) / 2 * max(th, tw))) * (1 + self._lost)
        left, top = max(self._corner[0] - reach, 0), max(self._corner[1] - reach, 0)
        right, bottom = min(self._corner[0] + tw + reach, width), min(self._corner[1] + th + reach, height)
        return image[top:bottom, left:right], np.array([left, top])
