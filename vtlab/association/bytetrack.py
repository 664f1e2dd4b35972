"""ByteTrack: weak detections continue tracks but don't begin them.

Paper: Zhang et al., "ByteTrack: Multi-Object Tracking by Associating Every Detection Box", ECCV 2022,
arXiv 2110.06864. Official code: https://github.com/ifzhang/ByteTrack (MIT). Same tracks as Roboflow `trackers` 2.6.1
(Apache-2.0).
Differs from the official code, as `trackers` does: all tracks, tentative ones too, take part in the first round,
lost ones also in the second, and the overlap is not multiplied by the confidence. With `official=True` the same tracks as
the official code: its three rounds with an assignment that has a limit, boxes whose last pixel belongs to them, tentative
tracks that are not predicted, lost ones whose height stands still, duplicates removed, ids at once on the first
frame, and a track found on the last frame of its time is removed at its next miss.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from vtlab.association.engine import KalmanAssociator
from vtlab.association.recipe import CommonSettings, Recipe, Stage
from vtlab.registry import register_associator


@dataclass(frozen=True, kw_only=True)
class ByteTrackSettings(CommonSettings):
    """Settings of ByteTrack, beside the common ones.

    Attributes:
        high: Confidence from which a detection takes part in the first round.
        low: Confidence above which the others take part in the second round.
        new: Confidence from which an unmatched strong detection begins a track.
        threshold: Lowest IoU of a match in the first round.
        second_threshold: Lowest IoU of a match in the second round.
        motion: Motion model of the Kalman filter: "xyxy", "xyah" (the paper's), "xywh" or "xysr".
        overlap: "iou", "giou", "diou" or "biou".
        fuse: Multiply the overlap of the first round by the confidence, as the official code does.
        official: Do in everything as the authors' code, see the module; `overlap` and `fuse` then have no say.
    """

    high: float = 0.6
    low: float = float("-inf")
    new: float = 0.7
    threshold: float = 0.1
    second_threshold: float = 0.1
    min_hits: int = 2
    motion: str = "xyxy"
    overlap: str = "iou"
    fuse: bool = False
    official: bool = False


@register_associator(
    "bytetrack",
    family="associator",
    summary="Kalman filter and overlap in two rounds: strong detections first, weak ones for what is left.",
    paper="Zhang et al.: ByteTrack: Multi-Object Tracking by Associating Every Detection Box, ECCV 2022",
    paper_url="https://arxiv.org/abs/2110.06864",
    code="https://github.com/ifzhang/ByteTrack",
    licence="Apache-2.0 (vtlab); official code MIT",
)
class ByteTrack(KalmanAssociator):
    """ByteTrack; see `ByteTrackSettings` for its parameters."""

    Settings = ByteTrackSettings
    settings: ByteTrackSettings

    def _recipe(self) -> Recipe:
        s = self.settings
        stages = [
            Stage("all", "high", s.threshold, s.overlap, fuse=s.fuse),
            Stage("all", "low", s.second_threshold, s.overlap),
        ]
        if s.official:
            strict: dict[str, Any] = {"overlap": "iou-pixels", "rule": "gain"}
            stages = [
                Stage("numbered", "high", s.threshold, fuse=True, **strict),
                Stage("recent", "low", s.second_threshold, **strict),
                Stage("tentative", "high", 0.3, fuse=True, **strict),
            ]
        return Recipe(
            stages=stages,
            motion=s.motion,
            high=s.high,
            low=s.low,
            new=s.new,
            official=s.official,
            instant_start=s.official,
            duplicates=0.85 if s.official else 1.0,
            still=(3,) if s.official else (),
        )
