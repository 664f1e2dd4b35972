"""DeepSORT and StrongSORT: appearance first, motion as a gate.

Papers: Wojke, Bewley, Paulus, "Simple Online and Realtime Tracking with a Deep Association Metric", ICIP 2017,
arXiv 1703.07402 (official code: https://github.com/nwojke/deep_sort, GPL-3.0; nothing of it is used here); Du et al.,
"StrongSORT: Make DeepSORT Great Again", IEEE TMM 2023, arXiv 2202.13514 (official code:
https://github.com/dyhBUPT/StrongSORT, GPL-3.0; nothing of it is used here).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from vtlab.association.appearance import ImageAssociator, ImageSettings
from vtlab.association.engine import Array, Rows, Scene
from vtlab.association.recipe import Recipe, Stage
from vtlab.registry import register_associator

_GATE = 9.4877  # chi-square, 4 degrees of freedom, 0.95


@dataclass(frozen=True, kw_only=True)
class DeepSortSettings(ImageSettings):
    """Settings of DeepSORT and StrongSORT, beside the common ones and those of camera motion and appearance.

    Attributes:
        embedder: As in `ImageSettings`, but it can't be None.
        appearance: Lowest cosine of a match; None: what the embedder calls alike (its `threshold`).
        gate: Largest squared Mahalanobis distance of a match.
        motion_weight: Weight of that distance, as a part of the gate, in the cost (StrongSORT); 0 only gates.
        cascade: Match tracks that were seen more recently first.
        gallery: Keep so many last vectors of each track and compare with the nearest; 0: an average, see `memory`.
        trust_confidence: Trust surer detections more in the filter (NSA Kalman).
        threshold: Lowest IoU of a match in the last round.
        high: Confidence from which a detection takes part and may begin a track.
    """

    embedder: Any = "histogram"
    appearance: float | None = None
    gate: float = _GATE
    motion_weight: float = 0.0
    cascade: bool = True
    gallery: int = 100
    trust_confidence: bool = False
    threshold: float = 0.3
    high: float = 0.3

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.embedder is None:
            raise self.wrong("embedder", "given")
        if not 0 <= self.motion_weight < 1:
            raise self.wrong("motion_weight", "from 0 to below 1")


@register_associator(
    "strongsort",
    family="associator",
    summary="DeepSORT with camera motion, averaged appearance, noise by confidence, and no cascade.",
    options={
        "cascade": False,
        "gallery": 0,
        "motion_weight": 0.02,
        "trust_confidence": True,
        "camera": "ecc",
    },
    paper="Du et al.: StrongSORT: Make DeepSORT Great Again, IEEE TMM 2023",
    paper_url="https://arxiv.org/abs/2202.13514",
    code="https://github.com/dyhBUPT/StrongSORT",
    licence="Apache-2.0 (vtlab); official code GPL-3.0",
)
@register_associator(
    "deepsort",
    family="associator",
    summary="Appearance within a motion gate, tracks seen last first; overlap for what is left.",
    paper="Wojke et al.: Simple Online and Realtime Tracking with a Deep Association Metric, ICIP 2017",
    paper_url="https://arxiv.org/abs/1703.07402",
    code="https://github.com/nwojke/deep_sort",
    licence="Apache-2.0 (vtlab); official code GPL-3.0",
)
class DeepSort(ImageAssociator):
    """DeepSORT and, with other options, StrongSORT; see `DeepSortSettings` for their parameters."""

    Settings = DeepSortSettings
    settings: DeepSortSettings

    def _prepare(self) -> None:
        super()._prepare()
        assert self._embedder is not None  # the settings see to it
        self.gallery, least = self.settings.gallery, self.settings.appearance
        self._least = self._embedder.threshold if least is None else least

    def _recipe(self) -> Recipe:
        s = self.settings
        return Recipe(
            stages=[
                Stage("numbered", "high", 0.0, rule="gain", name="appearance"),
                Stage("recent", "high", s.threshold, rule="gain", name="overlap"),
            ],
            motion="xyah",
            high=s.high,
            low=s.high,
            new=s.high,
        )

    def _run(self, stage: Stage, scene: Scene) -> None:
        if stage.name != "appearance" or not self.settings.cascade:
            super()._run(stage, scene)
            return
        free, misses = scene.free, self._life.misses
        for age in np.unique(misses[free & (self._life.id > 0)]).tolist():
            scene.free = free & (misses == age)
            super()._run(stage, scene)
            free &= scene.free | (misses != age)
        scene.free = free

    def _tracks(self, stage: Stage, scene: Scene) -> Rows:
        if stage.name == "overlap":  # tentative tracks take part, too
            return (scene.free & ((self._life.misses == 1) | (self._life.id == 0))).nonzero()[0]
        return super()._tracks(stage, scene)

    def _pairs(self, stage: Stage, scene: Scene, rows: Rows, columns: Rows) -> tuple[Array, Array | None]:
        """For appearance: how far the cost is below its limit, (0, 1]; outside the gate -1."""
        if stage.name != "appearance":
            return super()._pairs(stage, scene, rows, columns)
        gate, weight = self.settings.gate, self.settings.motion_weight
        likeness = self._likeness(rows, columns)
        distance = self._filter.gate(scene.boxes[columns])[rows]
        allowed = (likeness >= self._least) & (distance <= gate)
        cost = (1 - weight) * (1 - likeness) + weight * distance / gate
        return np.where(allowed, np.maximum(1 - cost, 1e-6), -1.0), None

    def _correct(self, rows: Rows, boxes: Array, scene: Scene, chosen: Rows) -> None:
        self._filter.update(rows, boxes, scene.scores[chosen] if self.settings.trust_confidence else None)
        self._learn(rows, scene, chosen)
