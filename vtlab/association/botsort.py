"""BoT-SORT: ByteTrack's rounds with a filter of width and height, camera motion and appearance.

Paper: Aharon, Orfaig, Bobrovsky, "BoT-SORT: Robust Associations Multi-Pedestrian Tracking", arXiv 2206.14651, 2022.
Official code: https://github.com/NirAharon/BoT-SORT (MIT). Without camera motion and appearance the same tracks as
Roboflow `trackers` 2.6.1 (Apache-2.0); "c-biou" the same as its C-BIoU.
Differs from the official code, as `trackers` does: the assignment counts pairs below the threshold (`rule="gain"` for
the official one), and a lost track's size keeps its velocity. With `official=True` the same tracks as the official code:
also boxes whose last pixel belongs to them, tentative tracks that are not predicted but shown, duplicates
removed, and a track found on the last frame of its time is removed at its next miss.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from vtlab.association.appearance import ImageAssociator
from vtlab.association.engine import Array, Rows, Scene, Stage
from vtlab.association.parts.reid import OSNET
from vtlab.association.parts.similarity import iou
from vtlab.errors import InputError
from vtlab.registry import register_associator

_PAPER: dict[str, Any] = {
    "paper": "Aharon et al.: BoT-SORT: Robust Associations Multi-Pedestrian Tracking, arXiv 2022",
    "paper_url": "https://arxiv.org/abs/2206.14651",
    "code": "https://github.com/NirAharon/BoT-SORT",
    "licence": "Apache-2.0 (vtlab); official code MIT",
}


@register_associator(
    "botsort-reid",
    family="associator",
    summary="BoT-SORT with camera motion by optical flow and the appearance of OSNet.",
    options={"camera": "flow", "embedder": "osnet-x0.25"},
    weights=[OSNET],
    notice="The weights of OSNet x0.25 come without a clear licence: for research only.",
    **_PAPER,
)
@register_associator(
    "botsort-cmc",
    family="associator",
    summary="BoT-SORT with camera motion by optical flow.",
    options={"camera": "flow"},
    **_PAPER,
)
@register_associator(
    "c-biou",
    family="associator",
    summary="BoT-SORT's rounds with boxes grown before they are compared, for irregular motion.",
    options={"buffer": 0.3, "second_buffer": 0.5},
    paper="Yang et al.: Hard to Track Objects with Irregular Motions and Similar Appearances? Make It Easier by "
    "Buffering the Matching Space, WACV 2023",
    paper_url="https://arxiv.org/abs/2211.14317",
    licence="Apache-2.0",
)
@register_associator(
    "botsort",
    family="associator",
    summary="Strong, weak and tentative rounds on a filter of width and height.",
    **_PAPER,
)
class BotSort(ImageAssociator):
    """BoT-SORT.

    Args:
        high: Confidence from which a detection takes part in the first round.
        low: Confidence above which the others take part in the second round.
        new: Confidence from which an unmatched strong detection begins a track.
        threshold: Lowest similarity of a match in the first round: IoU times confidence, or appearance.
        second_threshold: Lowest IoU of a match of a weak detection with a track that was seen on the frame before.
        tentative_threshold: Lowest similarity of a match with a tentative track.
        fuse: Multiply the IoU of strong detections by the confidence.
        lost_seconds: Seconds without a detection after which a track is removed.
        min_hits: Detections that confirm a track, its first one included.
        instant_start: Tracks that begin on the first frame are confirmed at once.
        camera: Camera-motion compensation: "flow", "orb", "ecc", a `CameraMotion`, or None.
        embedder: Appearance: "histogram", "osnet-x0.25", "timm:NAME", a path, an `Embedder`, or None.
        appearance: Largest half cosine distance at which appearance alone may match.
        proximity: Largest IoU distance at which appearance counts at all.
        memory: Part of its old vector that a track keeps with each detection.
        buffer: Grow the boxes by this part of their size before the IoU of the first and third round.
        second_buffer: The same for the second round.
        rule: Rule of the assignment, "all" or "gain"; see `assignment.assign`.
        duplicates: See `KalmanAssociator`.
        official: Do in everything as the authors' code, see the module.
        min_area: Detections of fewer square pixels belong to no track.
        class_aware: Never match a track with a detection of another class.
        fps: See `KalmanAssociator`.
        backfill: See `KalmanAssociator`.
        velocities: See `KalmanAssociator`.
    """

    def __init__(
        self,
        *,
        high: float = 0.6,
        low: float = 0.1,
        new: float = 0.7,
        threshold: float = 0.2,
        second_threshold: float = 0.5,
        tentative_threshold: float = 0.3,
        fuse: bool = True,
        lost_seconds: float = 1.0,
        min_hits: int = 2,
        instant_start: bool = True,
        camera: Any = None,
        embedder: Any = None,
        appearance: float = 0.25,
        proximity: float = 0.5,
        memory: float = 0.9,
        buffer: float = 0.0,
        second_buffer: float = 0.0,
        rule: str = "all",
        duplicates: float = 1.0,
        official: bool = False,
        min_area: float = 0.0,
        class_aware: bool = False,
        fps: float | None = None,
        backfill: bool = False,
        velocities: bool = False,
    ):
        if rule not in ("all", "gain"):
            raise InputError(f"BotSort: rule must be 'all' or 'gain', got {rule!r}.")
        self._appearance, self._proximity = float(appearance), float(proximity)
        overlap = "iou"
        if official:
            rule, overlap, duplicates = "gain", "iou-pixels", 0.85
        name = "" if embedder is None else "appearance"
        shared: dict[str, Any] = {"rule": rule, "overlap": overlap}
        first = {**shared, "fuse": fuse, "buffer": float(buffer), "name": name}
        super().__init__(
            stages=[
                Stage("numbered", "high", threshold, **first),
                Stage("recent", "low", second_threshold, buffer=float(second_buffer), **shared),
                Stage("tentative", "high", tentative_threshold, **first),
            ],
            motion="xywh",
            high=high,
            low=low,
            new=new,
            lost_seconds=lost_seconds,
            min_hits=min_hits,
            instant_start=instant_start,
            camera=camera,
            embedder=embedder,
            memory=memory,
            min_area=min_area,
            class_aware=class_aware,
            fps=fps,
            backfill=backfill,
            velocities=velocities,
            duplicates=duplicates,
            official=official,
            still=(2, 3) if official else (),
            show_tentative=official,
        )

    def _pairs(self, stage: Stage, scene: Scene, rows: Rows, columns: Rows) -> tuple[Array, Array | None]:
        similarity, value = super()._pairs(stage, scene, rows, columns)
        if stage.name != "appearance":
            return similarity, value
        near = iou(scene.predicted[rows], scene.boxes[columns]) >= 1 - self._proximity
        distance = (1 - self._likeness(rows, columns)) / 2
        alike = np.where(near & (distance <= self._appearance), 1 - distance, 0.0)
        return np.maximum(similarity, alike), None


@register_associator(
    "supervisely-botsort",
    family="associator",
    summary="BoT-SORT under the parameter names of Supervisely's tracking by detection, its known defects mended.",
    weights=[OSNET],
    notice="With with_reid (the default) OSNet x0.25 is loaded, whose weights come without a clear licence.",
    **_PAPER,
)
class SuperviselyBotSort(BotSort):
    """BoT-SORT with Supervisely's names and defaults.

    Differs from: there an object that comes after the first frame takes a phantom id and loses its first two frames;
    here ids are dense and it loses one (none with `backfill=True`). There `fps`, `min_box_area` and
    `fuse_score` do nothing and `reset` leaves the tracker alive; here they do what they say. Appearance is OSNet x0.25
    instead of x1.0.

    Args:
        track_high_thresh: Confidence from which a detection takes part in the first round.
        track_low_thresh: Confidence above which the others take part in the second round.
        new_track_thresh: Confidence from which an unmatched detection begins a track.
        track_buffer: Frames, at `fps`, without a detection after which a track is removed.
        match_thresh: Largest cost of a match in the first round (higher is looser).
        min_box_area: Smaller detections, in square pixels, belong to no track.
        with_reid: Use appearance.
        proximity_thresh: Largest IoU distance at which appearance counts.
        appearance_thresh: Largest half cosine distance at which appearance may match.
        cmc_method: Camera motion: "sparseOptFlow", "orb", "ecc" or "none".
        mot20: Do not multiply the IoU by the confidence, even with `fuse_score`.
        fuse_score: Multiply the IoU by the confidence.
        fps: Frames per second in which `track_buffer` is counted.
        backfill: See `KalmanAssociator`.
        velocities: See `KalmanAssociator`.
    """

    def __init__(
        self,
        *,
        track_high_thresh: float = 0.6,
        track_low_thresh: float = 0.1,
        new_track_thresh: float = 0.7,
        track_buffer: int = 30,
        match_thresh: float = 0.8,
        min_box_area: float = 10,
        with_reid: bool = True,
        proximity_thresh: float = 0.5,
        appearance_thresh: float = 0.25,
        cmc_method: str = "sparseOptFlow",
        mot20: bool = False,
        fuse_score: bool = False,
        fps: float = 30,
        backfill: bool = False,
        velocities: bool = False,
    ):
        cameras = {"sparseOptFlow": "flow", "orb": "orb", "ecc": "ecc", "none": None}
        if cmc_method not in cameras:
            raise InputError(
                f"SuperviselyBotSort: cmc_method must be one of {list(cameras)}, got {cmc_method!r}."
            )
        if not fps > 0:
            raise InputError(f"SuperviselyBotSort: fps must be more than 0, got {fps!r}.")
        super().__init__(
            high=track_high_thresh,
            low=track_low_thresh,
            new=new_track_thresh,
            threshold=1 - match_thresh,
            second_threshold=0.5,
            tentative_threshold=0.3,
            fuse=fuse_score and not mot20,
            lost_seconds=track_buffer / fps,
            camera=cameras[cmc_method],
            embedder="osnet-x0.25" if with_reid else None,
            appearance=appearance_thresh,
            proximity=proximity_thresh,
            rule="gain",
            duplicates=0.85,
            min_area=min_box_area,
            backfill=backfill,
            velocities=velocities,
        )
