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
from vtlab.association.parts.similarity import buffered, iou, paired_iou, pieces
from vtlab.association.recipe import CommonSettings, Recipe, Stage
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

    def _recipe(self) -> Recipe:
        s = self.settings
        return Recipe(
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
        scores, nearest = self._expected(scene)
        self._raise_newcomers(scene.boxes, scores, nearest)
        scene.scores, scene.high = scores, scores >= self.settings.high

    def _expected(self, scene: Scene) -> tuple[Array, Array]:
        """Confidences (M,), raised by how like a track the detections are, and their distances (M,) from the nearest."""
        s, boxes, tracks = self.settings, scene.boxes, self._filter.boxes()
        measured = self._filter.to_measurement(boxes)
        enough = np.maximum(0.95 - (self._life.misses - 1) * 0.0075, 0.8)
        best, nearest, sure = np.zeros(len(boxes)), np.full(len(boxes), np.inf), np.zeros(len(boxes), bool)
        for part in pieces(len(tracks), len(boxes)):
            distance = self._distance(part, measured)
            np.minimum(nearest, distance.min(axis=0), out=nearest)
            if s.soft:
                alike = _by_distance(distance)
                alike += self._shape(tracks[part, None], boxes)
                alike += _soft_iou(tracks[part], boxes, self._trust[part])
                alike /= 3
                sure |= (alike > enough[part, None]).any(axis=0)
            else:
                alike = iou(tracks[part], boxes)
            np.maximum(best, alike.max(axis=0), out=best)
        if not s.soft:
            return np.maximum(scene.scores, s.boost * best), nearest
        scores = np.maximum(scene.scores, s.boost * scene.scores + (1 - s.boost) * best**1.5)
        return np.where(sure, np.maximum(scores, s.high + 1e-5), scores), nearest

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
        measured = self._filter.to_measurement(boxes)
        similarity, value = np.empty((2, len(rows), len(columns)))
        for part in pieces(len(rows), len(columns)):
            similarity[part] = iou(tracks[part], boxes)
            value[part] = s.motion_weight * _by_distance(self._distance(rows[part], measured))
        value += similarity
        r, c = (similarity >= s.threshold).nonzero()  # the rest is trusted by nobody
        more = s.overlap_weight * similarity[r, c] + s.shape_weight * self._shape(tracks[r], boxes[c])
        value[r, c] += more * self._trust[rows[r]] * scene.scores[columns[c]]
        return similarity, value

    def _distance(self, tracks: slice | Rows, measured: Array) -> Array:
        """Squared Mahalanobis distance (N, M) of measurements from predicted tracks, by the tracks' own variance alone."""
        state = self._filter.state[:, tracks]
        total = np.zeros((state.shape[1], len(measured)))
        for k in range(4):
            gap = measured[:, k] - state[0, :, k, None]
            gap *= gap
            gap /= state[2, :, k, None]
            total += gap
        return total

    def _shape(self, a: Array, b: Array) -> Array:
        """Likeness, in (0, 1], of the widths and heights of boxes (..., 4) and (..., 4)."""
        s = self.settings
        w, h = a[..., 2] - a[..., 0], a[..., 3] - a[..., 1]
        v, k = b[..., 2] - b[..., 0], b[..., 3] - b[..., 1]
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
    if a.shape[1] == 5:
        rows, columns = np.indices((len(a), len(b))).reshape(2, -1)
        of_a, of_b = buffered(a[rows], 0.5 * doubt[rows]), buffered(b[columns], 0.25 * doubt[rows])
        return paired_iou(of_a, of_b).reshape(len(a), len(b))
    areas = np.ones((2, len(a), len(b)))
    shared = np.ones((len(a), len(b)))
    for low in (0, 1):
        p, q = a[:, [low, low + 2]].T[:, :, None], b[:, [low, low + 2]].T[:, None]
        of_a, of_b = 0.5 * doubt * (p[1] - p[0]), 0.25 * doubt * (q[1] - q[0])
        shared *= np.maximum(np.minimum(p[1] + of_a, q[1] + of_b) - np.maximum(p[0] - of_a, q[0] - of_b), 0.0)
        areas[0] *= p[1] - p[0] + 2 * of_a
        areas[1] *= q[1] - q[0] + 2 * of_b
    return shared / (areas[0] + areas[1] - shared)
