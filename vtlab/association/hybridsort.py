"""Hybrid-SORT: OC-SORT with weak cues - confidence, height, and the directions of four corners.

Paper: Yang et al., "Hybrid-SORT: Weak Cues Matter for Online Multi-Object Tracking", AAAI 2024, arXiv 2308.00783.
Official code: https://github.com/ymzis69/HybridSORT (MIT; parts of it stem from SORT, GPL-3.0: nothing is copied). Without
appearance. Mended here are faults that `official=True` brings back, with the same tracks as the official code: a track's
first detection is not kept as an observation, so that its direction comes a detection late and a short-lived track
can't be found again; directions over several frames are summed, not averaged, so that they are longer than 1 and
their cosines are cut; a confidence that equals `high` is neither strong nor weak; where no detection has two
candidates, confidence and direction don't count; the first `warmup` frames are one fewer, and empty ones count. The
official time of loss is 30 frames at any frame rate.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vtlab.association.engine import Array, KalmanAssociator, Rows, Scene
from vtlab.association.parts.similarity import iou, pieces
from vtlab.association.recipe import CommonSettings, Recipe, Stage
from vtlab.registry import register_associator

_LINKS = 3  # frames back over which directions are taken together
_NOISE, _DRIFT, _DRIFT_VELOCITY, _FIRST, _FIRST_VELOCITY = (
    10.0,
    1.0,
    1e-4,
    10.0,
    1e4,
)  # of the confidence's filter


@dataclass(frozen=True, kw_only=True)
class HybridSortSettings(CommonSettings):
    """Settings of Hybrid-SORT, beside the common ones.

    Attributes:
        high: Confidence from which a detection takes part in the first round and may begin a track.
        low: Confidence above which the others take part in the second round.
        threshold: Lowest similarity of a match: IoU times the overlap of heights. The official 0.25 is for MOT17, for
            DanceTrack it is 0.15.
        momentum: Weight of the agreement of directions; 0 switches it off.
        trust: Weight of the difference of confidences in the first round; 0 switches it off.
        weak_trust: The same in the second round.
        min_hits: A track is shown while, after its first detection, it had so many on successive frames.
        warmup: On so many first frames (and the one after) tracks are shown from their second detection on.
        official: Do in everything as the authors' code, see the module; `warmup` then has no say.
    """

    high: float = 0.6
    low: float = 0.1
    threshold: float = 0.25
    momentum: float = 0.05
    trust: float = 1.0
    weak_trust: float = 1.0
    warmup: int = 3
    official: bool = False


@register_associator(
    "hybridsort",
    family="associator",
    summary="OC-SORT with weak cues: confidence, height, and the directions of the box's four corners.",
    paper="Yang et al.: Hybrid-SORT: Weak Cues Matter for Online Multi-Object Tracking, AAAI 2024",
    paper_url="https://arxiv.org/abs/2308.00783",
    code="https://github.com/ymzis69/HybridSORT",
    licence="Apache-2.0 (vtlab); official code MIT",
)
class HybridSort(KalmanAssociator):
    """Hybrid-SORT; see `HybridSortSettings` for its parameters."""

    Settings = HybridSortSettings
    settings: HybridSortSettings

    def _recipe(self) -> Recipe:
        s = self.settings
        return Recipe(
            stages=[
                Stage("all", "high", s.threshold, name="first", rule="clear" if s.official else "all"),
                Stage("all", "low", s.threshold, name="weak"),
                Stage("all", "high", s.threshold, name="recovery"),
            ],
            motion="xysr",
            high=s.high,
            low=s.low,
            new=float(np.nextafter(s.high, 2.0)) if s.official else s.high,
            drop_tentative=False,
            needs_streak=True,
            warmup=s.min_hits if s.official else s.warmup,
            official=s.official,
        )

    def reset(self) -> None:
        """Forget all tracks; ids start at 1 again."""
        super().reset()
        self._age = 0

    def _new_columns(self, boxes: Array, scene: Scene | None, chosen: Rows) -> dict[str, NDArray[Any]]:
        n = len(boxes)
        scores = np.empty(0) if scene is None else scene.scores[chosen]
        sureness = np.zeros((n, 5))  # the filter of the confidence: as `BoxFilter.state`, of one coordinate
        sureness[:, 0], sureness[:, 2], sureness[:, 4] = scores, _FIRST, _FIRST_VELOCITY
        history = np.full(
            (n, _LINKS, boxes.shape[1]), np.nan
        )  # boxes by frame modulo _LINKS; NaN = not seen then
        if not self.settings.official and n:
            history[:, self._age % _LINKS] = boxes
        return {
            # last observation; the authors' code has none of a track that began with the frame before
            "last": np.full(boxes.shape, -1.0) if self.settings.official else boxes.copy(),
            "last_score": scores.copy(),
            "score_before": scores.copy(),
            "frozen": np.zeros((n, 5, boxes.shape[1])),  # filters as predicted for the first frame of a loss
            "frozen_sureness": np.zeros((n, 5)),
            "sureness": sureness,
            "direction": np.zeros((n, 4), dtype=complex),  # of each corner, x + iy; 0 = not known
            "history": history,
        }

    def _before_predict(self) -> None:
        self._age += 1
        columns = self._columns
        lost = (self._life.misses == 1).nonzero()[0]
        if len(lost):
            columns["frozen"][lost] = self._filter.state.take(lost, axis=1).transpose(1, 0, 2)
            columns["frozen_sureness"][lost] = columns["sureness"][lost]

    def _after_predict(self, scene: Scene) -> None:
        s, columns = self.settings, self._columns
        steps = 1.0 if s.fps is None else self._clock.elapsed * s.fps
        _advance(columns["sureness"], steps)
        if s.official:
            scene.high = scene.scores > s.high
        history = columns["history"]
        self._seen = [history[:, (self._age - back) % _LINKS].copy() for back in range(1, _LINKS + 1)]
        self._reference = columns["last"].copy()
        for boxes in self._seen:
            np.copyto(self._reference, boxes, where=boxes == boxes)
        history[:, self._age % _LINKS] = np.nan

    def _detections(self, stage: Stage, scene: Scene) -> Rows:
        chosen = super()._detections(stage, scene)
        return chosen[scene.scores[chosen] != self.settings.high] if self.settings.official else chosen

    def _pairs(self, stage: Stage, scene: Scene, rows: Rows, columns: Rows) -> tuple[Array, Array | None]:
        s, boxes, scores = self.settings, scene.boxes[columns], scene.scores[columns]
        if stage.name == "recovery":
            return height_iou(self._columns["last"][rows], boxes), None
        similarity = height_iou(scene.predicted[rows], boxes)
        if stage.name == "weak":
            last, before = self._columns["last_score"][rows], self._columns["score_before"][rows]
            expected = np.where(self._life.misses[rows] == 1, 2 * last - before, last)
            similarity -= s.weak_trust * np.abs(scores - np.clip(expected, s.low, s.high)[:, None])
            return similarity, None
        value = similarity.copy()
        if s.momentum:
            value += self._agreement(rows, boxes) * (s.momentum * scores)
        expected = np.clip(self._columns["sureness"][rows, 0], s.high, 1.0)
        value -= s.trust * np.abs(scores - expected[:, None])
        return similarity, value

    def _agreement(self, rows: Rows, boxes: Array) -> Array:
        """How the way to each box agrees with the tracks' directions (N, M): -1/2 to 1/2 for each corner, summed."""
        total = np.zeros((len(rows), len(boxes)))
        ends, starts, directions = (
            _corners(boxes),
            _corners(self._reference[rows]),
            self._columns["direction"][rows],
        )
        for part in pieces(len(rows), len(boxes)):
            for corner in range(4):
                way = ends[:, corner] - starts[part, corner, None]
                cosine = (way * directions[part, corner, None].conj()).real
                cosine /= np.abs(way) + 1e-6
                np.clip(cosine, -1.0, 1.0, out=cosine)
                total[part] += np.arcsin(cosine)  # pi / 2 - |arccos| in the paper; 0 without a direction
        total /= np.pi
        return total

    def _correct(self, rows: Rows, boxes: Array, scene: Scene, chosen: Rows) -> None:
        official, columns, scores = self.settings.official, self._columns, scene.scores[chosen]
        misses, known = self._life.misses[rows], self._life.hits[rows] > official
        back = ((misses > 1) & known).nonzero()[0]
        if len(back):
            of = rows[back]
            self._filter.retrace(
                of, columns["frozen"][of].transpose(1, 0, 2), columns["last"][of], boxes[back], misses[back]
            )
            for row, score, gap in zip(
                of.tolist(), scores[back].tolist(), misses[back].tolist(), strict=True
            ):
                columns["sureness"][row] = self._retraced(row, score, gap)
        self._filter.update(rows, boxes)
        sureness = columns["sureness"][rows]
        _correct(sureness, scores)
        columns["sureness"][rows] = sureness
        columns["direction"][rows] = self._directions(rows, boxes) * known[:, None]
        columns["history"][rows, self._age % _LINKS] = boxes
        columns["last"][rows] = boxes
        columns["score_before"][rows], columns["last_score"][rows] = columns["last_score"][rows], scores

    def _retraced(self, row: int, score: float, gap: int) -> Array:
        """The confidence's filter (5,) run again, as if the confidence had changed evenly during the loss."""
        state: Array = self._columns["frozen_sureness"][row : row + 1].copy()
        last = self._columns["last_score"][row]
        for i in range(1, gap + 1):
            _correct(state, last + (score - last) * i / gap)
            if i < gap:
                _advance(state, 1.0)
        return state[0]

    def _directions(self, rows: Rows, boxes: Array) -> NDArray[np.complex128]:
        """Directions (K, 4) of the corners from the observations of the last frames, or from the last one, to the boxes."""
        ends = _corners(boxes)
        total: NDArray[np.complex128] = np.zeros((len(rows), 4), dtype=complex)
        count = np.zeros((len(rows), 1))
        for seen in self._seen:
            there = ~np.isnan(seen[rows, :1])
            total += _direction(
                _corners(np.where(there, seen[rows], boxes)), ends
            )  # no way where there is none
            count += there
        total = total + (count == 0) * _direction(_corners(self._columns["last"][rows]), ends)
        return total if self.settings.official else np.divide(total, np.maximum(count, 1))


def height_iou(a: Array, b: Array) -> Array:
    """IoU (N, M) of boxes (N, 4) and (M, 4) xyxy times the IoU of their extents along y, in [0, 1]."""
    similarity = np.empty((len(a), len(b)))
    for rows in pieces(len(a), len(b)):
        part = a[rows]
        shared = np.minimum(part[:, 3, None], b[:, 3]) - np.maximum(part[:, 1, None], b[:, 1])
        shared /= np.maximum(part[:, 3, None], b[:, 3]) - np.minimum(part[:, 1, None], b[:, 1])
        similarity[rows] = iou(part, b) * np.maximum(shared, 0.0)
    return similarity


def _corners(boxes: Array) -> NDArray[np.complex128]:
    """The corners (N, 4), x + iy, of boxes (N, 4): top left, bottom left, top right, bottom right."""
    corners: NDArray[np.complex128] = boxes[:, [0, 0, 2, 2]] + 1j * boxes[:, [1, 3, 1, 3]]
    return corners


def _direction(starts: NDArray[np.complex128], ends: NDArray[np.complex128]) -> NDArray[np.complex128]:
    way = ends - starts
    return way / (np.abs(way) + 1e-6)


def _advance(state: Array, steps: float) -> None:
    """Predict filters of a confidence (N, 5) in place: value, velocity, their variances and covariance as in `BoxFilter`."""
    x, velocity, var, cov, vel = state.T
    x += steps * velocity
    var += steps * (2 * cov + steps * vel) + steps * _DRIFT
    cov += steps * vel
    vel += steps * _DRIFT_VELOCITY


def _correct(state: Array, measured: Array | float) -> None:
    """Update filters of a confidence (N, 5) in place by measured ones (N,)."""
    x, velocity, var, cov, vel = state.T
    gain, gain_velocity = var / (var + _NOISE), cov / (var + _NOISE)
    error = measured - x
    x += gain * error
    velocity += gain_velocity * error
    vel -= gain_velocity * cov
    var *= 1 - gain
    cov *= 1 - gain
