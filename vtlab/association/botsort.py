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

from dataclasses import dataclass, fields
from typing import Any, ClassVar

import numpy as np

from vtlab.association.appearance import ImageAssociator, ImageSettings
from vtlab.association.engine import Array, Rows, Scene
from vtlab.association.parts.reid import OSNET
from vtlab.association.parts.similarity import iou
from vtlab.association.recipe import Recipe, Stage, expected_of
from vtlab.errors import InputError
from vtlab.registry import register_associator

_PAPER: dict[str, Any] = {
    "paper": "Aharon et al.: BoT-SORT: Robust Associations Multi-Pedestrian Tracking, arXiv 2022",
    "paper_url": "https://arxiv.org/abs/2206.14651",
    "code": "https://github.com/NirAharon/BoT-SORT",
    "licence": "Apache-2.0 (vtlab); official code MIT",
}


@dataclass(frozen=True, kw_only=True)
class BotSortSettings(ImageSettings):
    """Settings of BoT-SORT, beside the common ones and those of camera motion and appearance.

    Attributes:
        high: Confidence from which a detection takes part in the first round.
        low: Confidence above which the others take part in the second round.
        new: Confidence from which an unmatched strong detection begins a track.
        threshold: Lowest similarity of a match in the first round: IoU times confidence, or appearance.
        second_threshold: Lowest IoU of a match of a weak detection with a track that was seen on the frame before.
        tentative_threshold: Lowest similarity of a match with a tentative track.
        fuse: Multiply the IoU of strong detections by the confidence.
        instant_start: Tracks that begin on the first frame are confirmed at once.
        appearance: Largest half cosine distance at which appearance alone may match.
        proximity: Largest IoU distance at which appearance counts at all.
        buffer: Grow the boxes by this part of their size before the IoU of the first and third round.
        second_buffer: The same for the second round.
        rule: Rule of the assignment, "all" or "gain"; see `assignment.assign`.
        duplicates: Of a seen and a lost track whose overlap is above this, remove the one with the shorter life; 1 keeps
            both.
        official: Do in everything as the authors' code, see the module; `rule` and `duplicates` then have no say.
        min_area: Detections of fewer square pixels belong to no track.
    """

    high: float = 0.6
    low: float = 0.1
    new: float = 0.7
    threshold: float = 0.2
    second_threshold: float = 0.5
    tentative_threshold: float = 0.3
    fuse: bool = True
    min_hits: int = 2
    instant_start: bool = True
    appearance: float = 0.25
    proximity: float = 0.5
    buffer: float = 0.0
    second_buffer: float = 0.0
    rule: str = "all"
    duplicates: float = 1.0
    official: bool = False
    min_area: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.rule not in ("all", "gain"):
            raise self.wrong("rule", "'all' or 'gain'")


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
    """BoT-SORT; see `BotSortSettings` for its parameters."""

    Settings: ClassVar[type[Any]] = BotSortSettings
    settings: BotSortSettings

    def _recipe(self) -> Recipe:
        s = self.settings
        rule, overlap, duplicates = s.rule, "iou", s.duplicates
        if s.official:
            rule, overlap, duplicates = "gain", "iou-pixels", 0.85
        shared: dict[str, Any] = {"rule": rule, "overlap": overlap}
        name = "" if s.embedder is None else "appearance"
        first = {**shared, "fuse": s.fuse, "buffer": float(s.buffer), "name": name}
        return Recipe(
            stages=[
                Stage("numbered", "high", s.threshold, **first),
                Stage("recent", "low", s.second_threshold, buffer=float(s.second_buffer), **shared),
                Stage("tentative", "high", s.tentative_threshold, **first),
            ],
            motion="xywh",
            high=s.high,
            low=s.low,
            new=s.new,
            instant_start=s.instant_start,
            min_area=s.min_area,
            duplicates=duplicates,
            official=s.official,
            still=(2, 3) if s.official else (),
            show_tentative=s.official,
        )

    def _pairs(self, stage: Stage, scene: Scene, rows: Rows, columns: Rows) -> tuple[Array, Array | None]:
        similarity, value = super()._pairs(stage, scene, rows, columns)
        if stage.name != "appearance":
            return similarity, value
        near = iou(scene.predicted[rows], scene.boxes[columns]) >= 1 - self.settings.proximity
        distance = (1 - self._likeness(rows, columns)) / 2
        alike = np.where(near & (distance <= self.settings.appearance), 1 - distance, 0.0)
        return np.maximum(similarity, alike), None


_CAMERAS = {"sparseOptFlow": "flow", "orb": "orb", "ecc": "ecc", "none": None}


@dataclass(frozen=True, kw_only=True)
class SuperviselyBotSortSettings:
    """Supervisely's names for BoT-SORT's settings.

    Attributes:
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
        backfill: See `CommonSettings`.
        velocities: See `CommonSettings`.
    """

    track_high_thresh: float = 0.6
    track_low_thresh: float = 0.1
    new_track_thresh: float = 0.7
    track_buffer: int = 30
    match_thresh: float = 0.8
    min_box_area: float = 10
    with_reid: bool = True
    proximity_thresh: float = 0.5
    appearance_thresh: float = 0.25
    cmc_method: str = "sparseOptFlow"
    mot20: bool = False
    fuse_score: bool = False
    fps: float = 30
    backfill: bool = False
    velocities: bool = False

    def translated(self) -> BotSortSettings:
        """The same in BoT-SORT's own names."""
        for setting in fields(self):
            name, value = setting.name, getattr(self, setting.name)
            expected = expected_of(name, str(setting.type), value)
            if name == "cmc_method" and value not in _CAMERAS:
                expected = f"one of {list(_CAMERAS)}"
            elif name == "fps" and not expected and not value > 0:
                expected = "more than 0"
            if expected:
                raise InputError(f"SuperviselyBotSort: {name} must be {expected}, got {value!r}.")
        return BotSortSettings(
            high=self.track_high_thresh,
            low=self.track_low_thresh,
            new=self.new_track_thresh,
            threshold=1 - self.match_thresh,
            fuse=self.fuse_score and not self.mot20,
            lost_seconds=self.track_buffer / self.fps,
            camera=_CAMERAS[self.cmc_method],
            embedder="osnet-x0.25" if self.with_reid else None,
            appearance=self.appearance_thresh,
            proximity=self.proximity_thresh,
            rule="gain",
            duplicates=0.85,
            min_area=self.min_box_area,
            backfill=self.backfill,
            velocities=self.velocities,
        )


@register_associator(
    "supervisely-botsort",
    family="associator",
    summary="BoT-SORT under the parameter names of Supervisely's tracking by detection, its known defects mended.",
    weights=[OSNET],
    notice="With with_reid (the default) OSNet x0.25 is loaded, whose weights come without a clear licence.",
    **_PAPER,
)
class SuperviselyBotSort(BotSort):
    """BoT-SORT with Supervisely's names and defaults; see `SuperviselyBotSortSettings` for its parameters.

    Differs from: there an object that comes after the first frame takes a phantom id and loses its first two frames;
    here ids are dense and it loses one (none with `backfill=True`). There `fps`, `min_box_area` and
    `fuse_score` do nothing and `reset` leaves the tracker alive; here they do what they say. Appearance is OSNet x0.25
    instead of x1.0.
    """

    Settings = SuperviselyBotSortSettings

    def _read_settings(self, **settings: Any) -> BotSortSettings:
        return SuperviselyBotSortSettings(**settings).translated()
