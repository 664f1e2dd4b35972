"""BoostTrack and BoostTrack++: weak detections that lie where a track is expected, or where no track is, are believed.

Papers: Stanojevic and Todorovic, "BoostTrack: boosting the similarity measure and detection confidence for improved
multiple object tracking", Machine Vision and Applications 2024, doi 10.1007/s00138-024-01531-5; "BoostTrack++: using
tracklet information to detect more objects in multiple object tracking", arXiv 2408.13003. Official code:
https://github.com/vukasin-stanojevic/BoostTrack (MIT; its skeleton stems from SORT, GPL-3.0: nothing is copied). Without
camera motion and appearance. Mended here are faults that `official=True` brings back, with the same tracks as the
official code: differences of height are measured by the width; the first `warmup` frames are one fewer, and empty
ones count. Left out in both: the official ids go on from video to video, its confidences exceed 1 (the detector's are
answered), and frames without detections are skipped (here they pass). Its shortcut for matches without a rival gives
the same matches on all sequences that were tried.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vtlab.association.engine import Array, KalmanAssociator, Rows, Scene
from vtlab.association.parts.kalman import MotionModel
from vtlab.association.parts.similarity import iou
from vtlab.association.rules import CommonSettings, Rules, Stage
from vtlab.registry import register_associator

_MOTION = MotionModel(  # the noise does not follow the box's size
    "xyah",
    measured=(1, 1, 0.01, 10),
    drift=(1, 1, 1, 1),
    drift_velocity=(0.01, 0.01, 0.01, 0.01),
    first=(10, 10, 10, 10),
    first_velocity=(1e4, 1e4, 1e4, 1e4),
    scaled=False,
)
_GATE = 13.2767  # 99 % of chi-square with 4 degrees of freedom
_YOUNG, _FADE = 7, 0.9  # frames until a track is trusted, trust that each frame takes


@dataclass(frozen=True, kw_only=True)
class BoostTrackSettings(CommonSettings):
    """Settings of BoostTrack and BoostTrack++, beside the common ones.

    Attributes:
        high: Confidence, boosted or not, from which a detection takes part and may begin a track.
        threshold: Lowest IoU of a match.
        overlap_weight: Weight of IoU times confidence in what the assignment maximises, beside IoU.
        motion_weight: The same of the likeness by Mahalanobis distance.
        shape_weight: The same of the likeness of shapes times confidence.
        boost: Part of the likeness to a track (BoostTrack), or of its own confidence (BoostTrack++), that a detection has at
            least as its confidence.
        soft: BoostTrack++: likeness by overlap, distance and shape; confidences are raised gradually; what is very
            like a track counts as seen.
        min_hits: A track is shown while, after its first detection, it had so many on successive frames.
        warmup: On so many first frames (and the one after) tracks are shown from their second detection on.
        right_heights: Differences of height are measured by the height with `official`, too (their option for it);
            without `official` they always are.
        official: Do in everything as the authors' code, see the module; `warmup` then has no say.
    """

    high: float = 0.6
    threshold: float = 0.3
    overlap_weight: float = 0.5
    motion_weight: float = 0.25
    shape_weight: float = 0.25
    boost: float = 0.65
    soft: bool = False
    warmup: int = 3
    right_heights: bool = False
    official: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.boost <= 1:
            raise self.wrong("boost", "from 0 to 1")


@register_associator(
    "boosttrack++",
    family="associator",
    summary="BoostTrack with a richer likeness, confidences raised gradually, and a threshold that falls with a loss.",
    options={"soft": True},
    paper="Stanojevic, Todorovic: BoostTrack++: using tracklet information to detect more objects in MOT, arXiv 2024",
    paper_url="https://arxiv.org/abs/2408.13003",
    code="https://github.com/vukasin-stanojevic/BoostTrack",
    licence="Apache-2.0 (vtlab); official code MIT",
)
@register_associator(
    "boosttrack",
    family="associator",
    summary="Overlap, distance and shape together; weak detections are raised where a track is expected, or where none is.",
    paper="Stanojevic, Todorovic: BoostTrack: boosting the similarity measure and detection confidence for improved "
    "multiple object tracking, Machine Vision and Applications 2024",
    paper_url="https://doi.org/10.1007/s00138-024-01531-5",
    code="https://github.com/vukasin-stanojevic/BoostTrack",
    licence="Apache-2.0 (vtlab); official code MIT",
)
class BoostTrack(KalmanAssociator):
    """BoostTrack and, with `soft`, BoostTrack++; see `BoostTrackSettings` for its parameters."""

    Settings = BoostTrackSettings
    settings: BoostTrackSettings

    def _rules(self) -> Rules:
        s = self.settings
        return Rules(
            stages=[Stage("all", "high", s.threshold, name="boost")],
            motion=_MOTION,
            high=s.high,
            low=s.high,
            new=s.high,
            drop_tentative=False,
            needs_streak=True,
            warmup=s.min_hits if s.official else s.warmup,
            official=s.official,
        )

    def _new_columns(self, boxes: Array, scene: Scene | None, chosen: Rows) -> dict[str, NDArray[Any]]:
        return {"age": np.zeros(len(boxes), dtype=np.int64)}

    def _after_predict(self, scene: Scene) -> None:
        """Raise the confidences of detections that lie where a track is expected, or where none is."""
        age = self._columns["age"]
        age += 1
        self._trust = np.where(age < _YOUNG, _FADE ** (_YOUNG - age), _FADE ** (self._life.misses - 1.0))
        if not len(self._filter) or not len(scene.boxes):
            return
        distance = self._distance(scene.boxes)
        scores = self._expected(scene, distance)
        self._raise_newcomers(scene.boxes, scores, distance.min(axis=0))
        scene.scores, scene.high = scores, scores >= self.settings.high

    def _expected(self, scene: Scene, distance: Array) -> Array:
        """Confidences (M,), raised by how like a track the detections are."""
        s, boxes, tracks = self.settings, scene.boxes, self._filter.boxes()
        if not s.soft:
            return np.maximum(scene.scores, s.boost * iou(tracks, boxes).max(axis=0))
        alike = _by_distance(distance)
        alike += self._shape(tracks, boxes)
        alike += _soft_iou(tracks, boxes, self._trust)
        alike /= 3
        scores = np.maximum(scene.scores, s.boost * scene.scores + (1 - s.boost) * alike.max(axis=0) ** 1.5)
        enough = np.maximum(0.95 - (self._life.misses - 1) * 0.0075, 0.8)
        sure = (alike > enough[:, None]).any(axis=0)
        return np.where(sure, np.maximum(scores, s.high + 1e-5), scores)

    def _raise_newcomers(self, boxes: Array, scores: Array, nearest: Array) -> None:
        """Let detections far from all tracks take part: those alone, and the surest of those that overlap; in place."""
        chosen = ((nearest > _GATE) & (scores < self.settings.high)).nonzero()[0]
        if not len(chosen):
            return
        overlaps = iou(boxes[chosen], boxes[chosen])
        np.fill_diagonal(overlaps, 0.0)
        rivals = np.where(overlaps > 0.3, scores[chosen], -np.inf).max(axis=1)
        scores[chosen[scores[chosen] >= rivals]] = self.settings.high + 1e-4

    def _pairs(self, stage: Stage, scene: Scene, rows: Rows, columns: Rows) -> tuple[Array, Array | None]:
        s, tracks, boxes = self.settings, scene.predicted[rows], scene.boxes[columns]
        similarity = iou(tracks, boxes)
        trust = np.where(similarity < 0.3, 0.0, self._trust[rows, None] * scene.scores[columns])
        value = similarity * (1 + s.overlap_weight * trust)
        trust *= s.shape_weight
        trust *= self._shape(tracks, boxes)
        value += trust
        value += s.motion_weight * _by_distance(self._distance(boxes)[rows])
        return similarity, value

    def _distance(self, boxes: Array) -> Array:
        """Squared Mahalanobis distance (N, M) of boxes from the predicted tracks, by the tracks' own variance alone."""
        state, measured = self._filter.state, self._filter.to_measurement(boxes)
        total = np.zeros((len(self._filter), len(boxes)))
        for k in range(4):
            gap = measured[:, k] - state[0, :, k, None]
            gap *= gap
            gap /= state[2, :, k, None]
            total += gap
        return total

    def _shape(self, a: Array, b: Array) -> Array:
        """Likeness (N, M), in (0, 1], of widths and heights."""
        s = self.settings
        (w, h), (v, k) = (a[:, 2:] - a[:, :2]).T[:, :, None], (b[:, 2:] - b[:, :2]).T
        by_width = s.official and not s.right_heights
        widest = np.maximum(w, v)
        apart = np.abs(w - v) / widest
        apart += np.abs(h - k) / (widest if by_width else np.maximum(h, k))
        return np.asarray(np.exp(-apart))


def _by_distance(distance: Array) -> Array:
    """Likeness (N, M) by squared Mahalanobis distance: for each track shared out among the detections in its gate."""
    alike = np.exp(_GATE - np.minimum(distance, _GATE))
    alike /= alike.sum(axis=1, keepdims=True)
    alike[distance > _GATE] = 0.0
    return alike


def _soft_iou(a: Array, b: Array, trust: Array) -> Array:
    """IoU (N, M) of tracks and detections, both grown the more the less a track is trusted (N,)."""
    doubt = (1 - trust)[:, None]
    areas = np.ones((2, len(a), len(b)))
    shared = np.ones((len(a), len(b)))
    for low in (0, 1):
        p, q = a[:, [low, low + 2]].T[:, :, None], b[:, [low, low + 2]].T[:, None]
        of_a, of_b = 0.5 * doubt * (p[1] - p[0]), 0.25 * doubt * (q[1] - q[0])
        shared *= np.maximum(np.minimum(p[1] + of_a, q[1] + of_b) - np.maximum(p[0] - of_a, q[0] - of_b), 0.0)
        areas[0] *= p[1] - p[0] + 2 * of_a
        areas[1] *= q[1] - q[0] + 2 * of_b
    return shared / (areas[0] + areas[1] - shared)
