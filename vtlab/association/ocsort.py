"""OC-SORT: trust observations more than predictions - momentum, re-update, recovery.

Paper: Cao et al., "Observation-Centric SORT: Rethinking SORT for Robust Multi-Object Tracking", CVPR 2023,
arXiv 2203.14360. Official code: https://github.com/noahcao/OC_SORT (MIT). Same tracks as Roboflow `trackers` 2.6.1
(Apache-2.0).
Differs from the official code, as `trackers` does: the recovery round is not skipped when no overlap exceeds the
threshold, and the first `warmup` frames are one more. With `official=True` the same tracks as the official code: that, empty
frames that count, matches without a sum where all are clear, and a track seen once that has no last observation to be found
at. "deep-ocsort" is written from its paper: Maggiolino et al., "Deep
OC-SORT: Multi-Pedestrian Tracking by Adaptive Re-Identification", ICIP 2023, arXiv 2302.11813.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vtlab.association.appearance import ImageAssociator, ImageSettings
from vtlab.association.engine import Array, Rows, Scene
from vtlab.association.parts.kalman import BoxFilter
from vtlab.association.parts.similarity import iou
from vtlab.association.recipe import Recipe, Stage
from vtlab.registry import register_associator

_HALF, _UNSEEN = np.array(0.5), np.array(complex(np.nan, np.nan))  # arrays are taken faster than numbers


@dataclass(frozen=True, kw_only=True)
class OcSortSettings(ImageSettings):
    """Settings of OC-SORT and Deep OC-SORT, beside the common ones and those of camera motion and appearance.

    Attributes:
        high: Confidence from which a detection takes part and may begin a track.
        threshold: Lowest IoU of a match.
        momentum: Weight of the agreement of direction (observation-centric momentum); 0 switches it off.
        lookback: Observations back, in frames, from which the direction is measured.
        reupdate: After a loss, run the filter again along a straight line between the two observations.
        recovery: Match what is left with the tracks' last observations.
        weak: Before the recovery, match weak detections as ByteTrack does.
        low: Confidence above which a detection is weak (with `weak`).
        min_hits: A track is shown while, after its first detection, it had so many on successive frames.
        warmup: On so many first frames (and the one after) tracks are shown from their second detection on.
        weight: Weight of the cosine in what the assignment maximises.
        ambiguity: Ratio of the second best to the best cosine from which appearance begins to count less; 1 switches
            the adaptive weight off.
        memory: Part of its old vector that a track keeps when the detection is fully sure.
        motion: Motion model of the Kalman filter: "xysr" (the paper's), "xyxy", "xywh" or "xyah".
        overlap: "iou", "giou", "diou" or "biou", of the first round.
        official: Do in everything as the authors' code, see the module; `warmup` then has no say.
    """

    high: float = 0.6
    threshold: float = 0.3
    momentum: float = 0.2
    lookback: int = 3
    reupdate: bool = True
    recovery: bool = True
    weak: bool = False
    low: float = 0.1
    warmup: int = 3
    weight: float = 0.75
    ambiguity: float = 0.5
    memory: float = 0.95
    motion: str = "xysr"
    overlap: str = "iou"
    official: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if isinstance(self.lookback, bool) or not isinstance(self.lookback, int) or self.lookback < 1:
            raise self.wrong("lookback", "an int of at least 1")


@register_associator(
    "deep-ocsort",
    family="associator",
    summary="OC-SORT with camera motion and appearance whose weight adapts to how telling it is.",
    options={"camera": "flow", "embedder": "histogram"},
    paper="Maggiolino et al.: Deep OC-SORT: Multi-Pedestrian Tracking by Adaptive Re-Identification, ICIP 2023",
    paper_url="https://arxiv.org/abs/2302.11813",
    code="https://github.com/GerardMaggiolino/Deep-OC-SORT",
    licence="Apache-2.0",
)
@register_associator(
    "ocsort",
    family="associator",
    summary="SORT with the momentum of observations, re-update after a loss, and recovery at the last observation.",
    paper="Cao et al.: Observation-Centric SORT: Rethinking SORT for Robust Multi-Object Tracking, CVPR 2023",
    paper_url="https://arxiv.org/abs/2203.14360",
    code="https://github.com/noahcao/OC_SORT",
    licence="Apache-2.0 (vtlab); official code MIT",
)
class OcSort(ImageAssociator):
    """OC-SORT and, with appearance, Deep OC-SORT; see `OcSortSettings` for its parameters."""

    Settings = OcSortSettings
    settings: OcSortSettings

    def _recipe(self) -> Recipe:
        s = self.settings
        rule = "clear" if s.official else "all"
        stages = [Stage("all", "high", s.threshold, s.overlap, name="momentum", rule=rule)]
        if s.weak:
            stages.append(Stage("all", "low", s.threshold))
        if s.recovery:
            stages.append(Stage("all", "high", s.threshold, name="recovery"))
        return Recipe(
            stages=stages,
            motion=s.motion,
            high=s.high,
            low=s.low,
            new=s.high,
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
        # last observation; the authors' code has none of a track that began with the frame before
        last = np.full(boxes.shape, -1.0) if self.settings.official else boxes.copy()
        return super()._new_columns(boxes, scene, chosen) | {
            "last": last,
            "place": _centres(last),
            "frozen": np.zeros((n, 5, boxes.shape[1])),  # filter as predicted for the first frame of a loss
            "direction": np.zeros(n, dtype=complex),  # unit vector x + iy of the motion; 0 = not known
            # centres x + iy after the first, by frame modulo lookback; NaN = not seen then
            "history": np.full((n, self.settings.lookback), np.nan, dtype=complex),
        }

    def _before_predict(self) -> None:
        self._age += 1
        if self.settings.reupdate:
            lost = (self._life.misses == 1).nonzero()[0]
            if len(lost):
                self._columns["frozen"][lost] = self._filter.state.take(lost, axis=1).transpose(1, 0, 2)

    def _after_predict(self, scene: Scene) -> None:
        """Find the centre of each track `lookback` frames ago, or the oldest one since, or its last one."""
        super()._after_predict(scene)
        self._places = _centres(scene.boxes)
        previous, history = self._columns["place"].copy(), self._columns["history"]
        for back in range(2, self.settings.lookback + 1):
            then = history[:, (self._age - back) % self.settings.lookback]
            np.copyto(previous, then, where=then == then)
        history[:, self._age % self.settings.lookback] = _UNSEEN
        self._previous = previous

    def _pairs(self, stage: Stage, scene: Scene, rows: Rows, columns: Rows) -> tuple[Array, Array | None]:
        if stage.name == "recovery":
            return iou(self._columns["last"][rows], scene.boxes[columns]), None
        similarity, _ = super()._pairs(stage, scene, rows, columns)
        value = None
        if stage.name == "momentum" and self.settings.momentum:
            value = self._agreement(rows, columns)
            value *= scene.scores.take(columns) * (self.settings.momentum / np.pi)
            value += similarity
        if stage.name == "momentum" and self._embedder is not None:
            likeness = np.where(similarity > 0, self._likeness(rows, columns), 0.0)
            told = (self._telling(likeness) + self._telling(likeness.T).T) / 2
            value = (similarity if value is None else value) + self.settings.weight * told * likeness
        return similarity, value

    def _telling(self, likeness: Array) -> Array:
        """Weight (N, 1), in [0, 1], of each row's appearance: low where two candidates look alike."""
        if likeness.shape[1] < 2:
            return np.ones((len(likeness), 1))
        second, best = np.partition(likeness, -2, axis=1)[:, -2:].T
        ratio = np.divide(second, best, out=np.ones_like(best), where=best > 0)
        lost = np.maximum(ratio - self.settings.ambiguity, 0) / max(1 - self.settings.ambiguity, 1e-9)
        return (1 - lost)[:, None]

    def _keep_of(self, scene: Scene, chosen: Rows) -> Array:
        """The surer a detection, the more it teaches (dynamic appearance)."""
        trust = np.clip((scene.scores[chosen] - self.recipe.high) / max(1 - self.recipe.high, 1e-9), 0, 1)
        return self.settings.memory + (1 - self.settings.memory) * (1 - trust)

    def _agreement(self, rows: Rows, columns: Rows) -> Array:
        """Angle (N, M), in [-pi / 2, pi / 2], by which the way to each box agrees with the tracks' directions."""
        way = self._places.take(columns) - self._previous.take(rows)[:, None]
        length = np.abs(way)
        length += 1e-6  # which also keeps the cosine below 1
        way *= self._columns["direction"].take(rows).conj()[:, None]
        cosine = way.real / length
        return np.arcsin(cosine, out=cosine)  # pi / 2 - |arccos| in the paper; 0 without a direction

    def _correct(self, rows: Rows, boxes: Array, scene: Scene, chosen: Rows) -> None:
        columns = self._columns
        if self.settings.reupdate:
            misses = self._life.misses[rows]
            again = misses > 1
            if self.settings.official:
                again &= self._life.hits[rows] > 1
            back = again.nonzero()[0]
            if len(back):
                again_rows = rows[back]
                self._filter.retrace(
                    again_rows,
                    columns["frozen"].take(again_rows, axis=0).transpose(1, 0, 2),
                    columns["last"].take(again_rows, axis=0),
                    boxes.take(back, axis=0),
                    misses[back],
                )
        self._filter.update(rows, boxes)
        centres = self._places.take(chosen)
        way = centres - self._previous.take(rows)
        length = np.abs(way)
        length += 1e-6
        way /= length
        if len(first := (self._life.hits.take(rows) < 2).nonzero()[0]):
            way[first] = 0.0
        columns["direction"][rows] = way
        columns["history"][:, self._age % self.settings.lookback][rows] = centres
        columns["last"][rows], columns["place"][rows] = boxes, centres
        if self._embedder is not None:
            self._learn(rows, scene, chosen)

    def _warp(self, affine: Array) -> None:
        super()._warp(affine)
        columns = self._columns
        columns["last"] = _moved(columns["last"], affine)
        columns["place"] = _centres(columns["last"])
        (xx, xy, dx), (yx, yy, dy) = affine.tolist()

        def turned(points: Any) -> Any:
            return xx * points.real + xy * points.imag + 1j * (yx * points.real + yy * points.imag)

        columns["history"] = turned(columns["history"]) + complex(dx, dy)
        direction = turned(columns["direction"])  # stays of length 1 (or 0)
        length = np.abs(direction) / np.abs(columns["direction"]).clip(1e-9)
        columns["direction"] = direction / length.clip(1e-9)
        lost = BoxFilter(self.recipe.motion, self._filter.turned)
        lost.state = np.ascontiguousarray(columns["frozen"].transpose(1, 0, 2))
        lost.warp(affine)
        columns["frozen"] = lost.state.transpose(1, 0, 2)


def _centres(boxes: Array) -> Any:
    """Centres (n,) of boxes (n, 4) as complex numbers x + iy, so that a difference is one operation."""
    if boxes.shape[1] == 4 and boxes.flags.c_contiguous:  # corners as numbers: rows of two take long to add
        corners = boxes.view(complex)
        middle = corners[:, 0] + corners[:, 1]
    else:
        middle = (boxes[:, :2] + boxes[:, 2:4]).view(complex)[:, 0]
    halves = middle.view(np.float64)
    halves *= _HALF
    return middle


def _moved(boxes: Array, affine: Array) -> Array:
    """Boxes (..., 4) after an affine motion (2, 3) of the image: the centre moves, the size scales."""
    centre, size = (boxes[..., :2] + boxes[..., 2:4]) / 2, boxes[..., 2:4] - boxes[..., :2]
    centre = centre @ affine[:, :2].T + affine[:, 2]
    half = size * (np.sqrt(abs(np.linalg.det(affine[:, :2]))) / 2)
    return np.concatenate([centre - half, centre + half, boxes[..., 4:]], axis=-1)
