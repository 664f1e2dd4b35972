"""SFSORT: no filter at all; a track is its last box, likeness is overlap, distance and size together.

Paper: Morsali et al., "SFSORT: Scene Features-based Simple Online Real-Time Tracker", arXiv 2404.07553, 2024. Official
code: https://github.com/gitmehrdad/SFSORT (MIT), version 4.2; nothing of it is copied. Mended here are three faults of it,
which `official=True` brings back, with the same tracks as the official code: on a frame that has weak detections but
no strong one it forgets every track that was seen on the frame before, for good; a confidence that equals a
threshold belongs to neither round; the margin is cut to whole pixels.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vtlab.association.engine import Array, KalmanAssociator, Rows, Scene
from vtlab.association.parts.kalman import MotionModel
from vtlab.association.parts.similarity import iou, pieces
from vtlab.association.recipe import CommonSettings, Recipe, Stage
from vtlab.registry import register_associator

_NONE = (0.0, 0.0, 0.0, 0.0)
_STILL = MotionModel("xyxy", _NONE, _NONE, _NONE, _NONE, _NONE, scaled=False)
_LEAST = 1e-7  # keeps 0 / 0 away, as in the official code


@dataclass(frozen=True, kw_only=True)
class SfSortSettings(CommonSettings):
    """Settings of SFSORT, beside the common ones.

    Attributes:
        high: Confidence from which a detection takes part in the first round.
        low: Confidence above which the others take part in the second round.
        new: Confidence from which an unmatched strong detection begins a track.
        threshold: Lowest likeness of a match in the first round: the mean of IoU less distance and of the overlaps along
            x and y; 1 less the official `match_th_first`.
        second_threshold: Lowest IoU of a match in the second round; 1 less the official `match_th_second`.
        min_hits: Detections that confirm a track; the paper's tracks are confirmed at once.
        margin: Part of the frame's width and height, along each edge, where objects leave the scene.
        marginal: Part of `lost_seconds` for which a track that was lost in the margin is kept.
        adapt: Follow the number of detections n above `crowd` ("dynamic tuning"): with each power of ten `high` falls by
            `high_slope`, `new` rises by `new_slope`, `threshold` rises by `threshold_slope`. Off as in the official
            code's defaults; its notebook has it on.
        crowd: Confidence from which a detection counts for `adapt`.
        high_slope: See `adapt`.
        new_slope: See `adapt`.
        threshold_slope: See `adapt`.
        official: Do in everything as the authors' code, see the module.
    """

    high: float = 0.6
    low: float = 0.1
    new: float = 0.7
    threshold: float = 0.33
    second_threshold: float = 0.7
    min_hits: int = 1
    margin: float = 0.1
    marginal: float = 0.7
    adapt: bool = False
    crowd: float = 0.5
    high_slope: float = 0.1
    new_slope: float = 0.08
    threshold_slope: float = 0.05
    official: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.velocities:
            raise self.wrong("velocities", "False, since SFSORT has no model of motion")
        for name, most in (("margin", 0.5), ("marginal", 1)):
            if not 0 <= getattr(self, name) <= most:
                raise self.wrong(name, f"from 0 to {most}")


@register_associator(
    "sfsort",
    family="associator",
    summary="No motion model: overlap, distance and size in two rounds; what is lost at the edge is forgotten sooner.",
    paper="Morsali et al.: SFSORT: Scene Features-based Simple Online Real-Time Tracker, arXiv 2024",
    paper_url="https://arxiv.org/abs/2404.07553",
    code="https://github.com/gitmehrdad/SFSORT",
    licence="Apache-2.0 (vtlab); official code MIT",
)
class SfSort(KalmanAssociator):
    """SFSORT; see `SfSortSettings` for its parameters."""

    Settings = SfSortSettings
    settings: SfSortSettings

    def _recipe(self) -> Recipe:
        s = self.settings
        # `_pairs` gives what a pair has above its threshold, which may change from frame to frame.
        stages = [Stage("all", part, 0.0, rule="gain", name=part) for part in ("high", "low")]
        return Recipe(stages=stages, motion=_STILL, high=s.high, low=s.low, new=s.new)

    def reset(self) -> None:
        """Forget all tracks; ids start at 1 again."""
        super().reset()
        self._high, self._threshold = self.settings.high, self.settings.threshold
        self._blind = False  # `official`: nothing is matched on this frame

    def _after_predict(self, scene: Scene) -> None:
        """Forget what was lost for too long where it was lost, and set this frame's thresholds."""
        life = self._life
        lost = self._clock.now - life.last
        height, width = scene.frame.image.shape[:2]
        low = self.settings.margin * np.array([width, height])
        if self.settings.official:
            low = np.floor(low + 1e-9)
        high = np.array([width, height]) - low
        boxes = self._filter.boxes()
        centre = (boxes[:, :2] + boxes[:, 2:4]) / 2
        edge = ~((centre > low) & (centre < high)).all(axis=1)
        limit = self.settings.lost_seconds * np.where(edge, self.settings.marginal, 1.0)
        gone = (life.misses > 1) & (lost > limit + 1e-3)  # container times are rounded to milliseconds
        self._tune(scene)
        if self.settings.official:
            weak = (scene.scores > self.settings.low) & (scene.scores < self._high)
            self._blind = bool(weak.any() and not scene.high.any())
            if self._blind:
                gone |= life.misses == 1
        if gone.any():
            self._keep((~gone).nonzero()[0])
            scene.free = scene.free[~gone]

    def _tune(self, scene: Scene) -> None:
        s = self.settings
        self._high, new, self._threshold = s.high, max(s.high, s.new), s.threshold
        if s.adapt:
            powers = float(np.log10(max(1, int((scene.scores > s.crowd).sum()))))
            self._high = min(max(s.high - s.high_slope * powers, 0.0), 1.0)
            new = min(max(new + s.new_slope * powers, self._high), 1.0)
            self._threshold = min(s.threshold + s.threshold_slope * powers, 1.0)
        scene.high = scene.scores > self._high if s.official else scene.scores >= self._high
        self._begins = float(np.nextafter(new, 2.0)) if s.official else new

    def _detections(self, stage: Stage, scene: Scene) -> Rows:
        chosen = super()._detections(stage, scene)
        if not self.settings.official:
            return chosen
        return chosen[:0] if self._blind else chosen[scene.scores[chosen] != self._high]

    def _pairs(self, stage: Stage, scene: Scene, rows: Rows, columns: Rows) -> tuple[Array, Array | None]:
        tracks, boxes = scene.predicted[rows], scene.boxes[columns]
        if stage.name == "low":
            return iou(tracks, boxes) - self.settings.second_threshold, None
        return likeness(tracks, boxes) - self._threshold, None

    def _correct(self, rows: Rows, boxes: Array, scene: Scene, chosen: Rows) -> None:
        self._filter.state[0, rows] = boxes


def likeness(a: Array, b: Array) -> Array:
    """Likeness (N, M), at most 1, of boxes (N, 4) and (M, 4) xyxy: a third of the following three together.

    IoU less the distance of the centres (along x and y) over the sides of the box around both; and for x and y the shared
    length over itself and the difference of the sides.
    """
    out = np.empty((len(a), len(b)))
    for rows in pieces(len(a), 2 * len(b)):  # both axes at once
        part = a[rows]
        total = iou(part, b)
        p, q = part.T.copy()[:, :, None], b.T.copy()[:, None]
        shared = np.maximum(np.minimum(p[2:4], q[2:4]) - np.maximum(p[:2], q[:2]), 0.0)  # along x, along y
        alike = shared / (shared + np.abs((p[2:4] - p[:2]) - (q[2:4] - q[:2])) + _LEAST)
        total += alike[0]
        total += alike[1]
        gap = np.abs((p[:2] + p[2:4]) - (q[:2] + q[2:4])) / 2
        around = np.maximum(p[2:4], q[2:4]) - np.minimum(p[:2], q[:2])
        out[rows] = (total - (gap[0] + gap[1]) / (around[0] + around[1])) / 3
    return out
