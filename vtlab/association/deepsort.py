"""DeepSORT and StrongSORT: appearance first, motion as a gate.

Papers: Wojke, Bewley, Paulus, "Simple Online and Realtime Tracking with a Deep Association Metric", ICIP 2017,
arXiv 1703.07402 (official code: https://github.com/nwojke/deep_sort, GPL-3.0; nothing of it is used here); Du et al.,
"StrongSORT: Make DeepSORT Great Again", IEEE TMM 2023, arXiv 2202.13514 (official code:
https://github.com/dyhBUPT/StrongSORT, GPL-3.0; nothing of it is used here).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from vtlab.association.appearance import ImageAssociator
from vtlab.association.engine import Array, Rows, Scene, Stage
from vtlab.errors import InputError
from vtlab.registry import register_associator

_GATE = 9.4877  # chi-square, 4 degrees of freedom, 0.95


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
    """DeepSORT and, with other options, StrongSORT.

    Args:
        embedder: Appearance: "histogram", "osnet-x0.25", "timm:NAME", a path, or an `Embedder`.
        appearance: Lowest cosine of a match; None: what the embedder calls alike (its `threshold`).
        gate: Largest squared Mahalanobis distance of a match.
        motion_weight: Weight of that distance, as a part of the gate, in the cost (StrongSORT); 0 only gates.
        cascade: Match tracks that were seen more recently first.
        gallery: Keep so many last vectors of each track and compare with the nearest; 0: an average.
        memory: Part of its old vector that a track keeps with each detection (average only).
        trust_confidence: Trust surer detections more in the filter (NSA Kalman).
        camera: "flow", "orb", "ecc", a `CameraMotion`, or None.
        threshold: Lowest IoU of a match in the last round.
        high: Confidence from which a detection takes part and may begin a track.
        lost_seconds: Seconds without a detection after which a track is removed.
        min_hits: Detections that confirm a track, its first one included.
        class_aware: Never match a track with a detection of another class.
        fps: See `KalmanAssociator`.
        backfill: See `KalmanAssociator`.
        velocities: See `KalmanAssociator`.
    """

    def __init__(
        self,
        *,
        embedder: Any = "histogram",
        appearance: float | None = None,
        gate: float = _GATE,
        motion_weight: float = 0.0,
        cascade: bool = True,
        gallery: int = 100,
        memory: float = 0.9,
        trust_confidence: bool = False,
        camera: Any = None,
        threshold: float = 0.3,
        high: float = 0.3,
        lost_seconds: float = 1.0,
        min_hits: int = 3,
        class_aware: bool = False,
        fps: float | None = None,
        backfill: bool = False,
        velocities: bool = False,
    ):
        if not 0 <= motion_weight < 1:
            raise InputError(f"DeepSort: motion_weight must be from 0 to below 1, got {motion_weight!r}.")
        self._gate, self._motion_weight = float(gate), float(motion_weight)
        self._cascade, self._trust = cascade, trust_confidence
        super().__init__(
            stages=[
                Stage("numbered", "high", 0.0, rule="gain", name="appearance"),
                Stage("recent", "high", threshold, rule="gain", name="overlap"),
            ],
            motion="xyah",
            high=high,
            low=high,
            new=high,
            lost_seconds=lost_seconds,
            min_hits=min_hits,
            camera=camera,
            embedder=embedder,
            memory=memory,
            gallery=gallery,
            class_aware=class_aware,
            fps=fps,
            backfill=backfill,
            velocities=velocities,
        )
        if self._embedder is None:
            raise InputError("DeepSort: it can't do without an embedder, got None.")
        self._appearance = float(self._embedder.threshold if appearance is None else appearance)

    def _run(self, stage: Stage, scene: Scene) -> None:
        if stage.name != "appearance" or not self._cascade:
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
        likeness = self._likeness(rows, columns)
        distance = self._filter.gate(scene.boxes[columns])[rows]
        allowed = (likeness >= self._appearance) & (distance <= self._gate)
        cost = (1 - self._motion_weight) * (1 - likeness) + self._motion_weight * distance / self._gate
        return np.where(allowed, np.maximum(1 - cost, 1e-6), -1.0), None

    def _correct(self, rows: Rows, boxes: Array, scene: Scene, chosen: Rows) -> None:
        self._filter.update(rows, boxes, scene.scores[chosen] if self._trust else None)
        self._learn(rows, scene, chosen)
