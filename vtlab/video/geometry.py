"""How the picture of a copy lies in that of the original: the same, or cropped, framed, moved."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from vtlab.video.base import Image

_SIDE = 192
"""Side in pixels of the pictures in which crops and turns are looked for."""
_OFF = 0.01
"""Of the picture's side: what a scaled copy may be off by (half pixels, cells of a codec)."""


@dataclass(frozen=True)
class Placement:
    """Where the corners of the copy lie in the original, as shares of its width and height.

    Attributes:
        left: Of the copy's left edge; 0 unless it is cropped or framed.
        top: Of its top edge.
        right: Of its right edge; 1 unless it is cropped or framed.
        bottom: Of its bottom edge.
    """

    left: float
    top: float
    right: float
    bottom: float

    @property
    def same(self) -> bool:
        """Whether the whole picture is there, up to its size."""
        return max(abs(self.left), abs(self.top), abs(self.right - 1), abs(self.bottom - 1)) <= _OFF

    @property
    def told(self) -> str:
        """In words."""
        if self.same:
            return "the whole picture"
        x, y = (
            f"{low:.1%} to {high:.1%}" for low, high in ((self.left, self.right), (self.top, self.bottom))
        )
        return f"b shows {x} of the width of a and {y} of its height"


def placement(pairs: Sequence[tuple[Image, Image]]) -> Placement | None:
    """How the second picture of each pair lies in the first: the median over the pairs; None where it can't be told.

    By the enhanced correlation coefficient (Evangelidis and Psarakis 2008; `cv2.findTransformECC`), which brightness and
    contrast don't change.
    """
    found = [edges for edges in (_edges(*pair) for pair in pairs) if edges is not None]
    return Placement(*np.median(found, axis=0).tolist()) if found else None


def _edges(a: Image, b: Image) -> tuple[float, float, float, float] | None:
    import cv2

    first, second = (
        cv2.resize(cv2.cvtColor(i, cv2.COLOR_RGB2GRAY), (_SIDE, _SIDE), interpolation=cv2.INTER_AREA)
        for i in (a, b)
    )
    if min(first.std(), second.std()) < 2:
        return None
    warp = np.eye(2, 3, dtype=np.float32)
    whole = np.full((_SIDE, _SIDE), 255, np.uint8)
    stop = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 100, 1e-5)
    try:
        fit, found = cv2.findTransformECC(second, first, warp, cv2.MOTION_AFFINE, stop, whole, 5)
    except cv2.error:  # it did not converge
        return None
    if fit < 0.8:
        return None
    corners = np.array([[0, 0, 1], [_SIDE, _SIDE, 1]]) @ np.asarray(found).T / _SIDE
    return float(corners[0, 0]), float(corners[0, 1]), float(corners[1, 0]), float(corners[1, 1])
