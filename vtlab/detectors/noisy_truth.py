"""Noisy truth: the ground truth with errors in known doses, to study associators apart from any detector."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from vtlab.detectors.base import ByFrame, check_fraction, make_detections
from vtlab.errors import InputError
from vtlab.registry import register_detector
from vtlab.tracks import Source, Tracks

if TYPE_CHECKING:
    import supervision as sv
    from numpy.typing import NDArray


@register_detector(
    "noisy-truth",
    family="detector",
    summary="Ground truth with misses, jitter and false boxes in known doses; seeded.",
)
class NoisyTruth(ByFrame):
    """Detections made of ground truth. The errors of a frame depend on the seed and the frame only.

    Args:
        truth: Ground-truth tracks; their labels become the classes.
        miss: Part of the objects that is missed on a frame.
        jitter: Standard deviation of each edge, as a part of the box's size.
        false: Expected number of false boxes on a frame, of the size of random true ones.
        seed: Seed of the errors.
    """

    def __init__(
        self, *, truth: Tracks, miss: float = 0.1, jitter: float = 0.03, false: float = 0.2, seed: int = 0
    ):
        self._miss = check_fraction("miss", miss, "noisy-truth")
        if not jitter >= 0 or not false >= 0:
            raise InputError(
                f"noisy-truth: jitter and false must be at least 0, got {jitter!r} and {false!r}."
            )
        self._jitter, self._false, self._seed = float(jitter), float(false), int(seed)
        self.made_on = truth.record.source or Source()
        self._truth = truth.take(truth.visible & np.isfinite(truth.boxes).all(axis=1))
        self.names = tuple(sorted({x or "object" for x in self._truth.label})) or ("object",)
        self.reset()

    def at(self, index: int) -> sv.Detections:
        """Return the boxes of one frame (0-based), in random order."""
        rng = np.random.default_rng([self._seed, index])
        rows = self._truth.at(index)
        rows = rows.take(rng.random(len(rows)) >= self._miss)
        size = np.tile(rows.boxes[:, 2:] - rows.boxes[:, :2], 2)
        boxes = rows.boxes + rng.normal(0, self._jitter, size.shape) * size
        ids = np.array([self.names.index(x or "object") for x in rows.label], dtype=np.int64)
        scores = np.clip(rng.normal(0.85, 0.1, len(boxes)), 0.3, 1)
        extra = int(rng.poisson(self._false)) if len(self._truth) else 0
        model = self._truth.boxes[rng.integers(0, max(len(self._truth), 1), extra)]
        shift = rng.uniform(-1, 1, (extra, 2)) * 2 * (model[:, 2:] - model[:, :2])
        boxes = np.concatenate([boxes, self._on_image(model + np.tile(shift, 2))])
        scores = np.concatenate([scores, rng.uniform(0.1, 0.7, extra)])
        ids = np.concatenate([ids, rng.integers(0, len(self.names), extra)])
        good = np.flatnonzero((boxes[:, 2:] > boxes[:, :2]).all(axis=1))
        order = rng.permutation(good)
        return make_detections(boxes[order], scores[order], ids[order], self.names)

    def _on_image(self, boxes: NDArray[np.float64]) -> NDArray[np.float64]:
        """False boxes (N, 4); one off the image, where no detector finds anything, gets its middle onto the border."""
        width, height = self.made_on.width, self.made_on.height
        if not width or not height:
            return boxes
        off = np.any((boxes[:, 2:] <= 0) | (boxes[:, :2] >= [width, height]), axis=1)
        middle = (boxes[:, :2] + boxes[:, 2:]) / 2
        moved: NDArray[np.float64] = np.clip(middle, 0, [width, height]) - middle
        return boxes + np.where(np.asarray(off)[:, None], np.tile(moved, 2), 0.0)
