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

from typing import Any

from vtlab.association.engine import KalmanAssociator, Stage
from vtlab.registry import register_associator


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
    """ByteTrack.

    Args:
        high: Confidence from which a detection takes part in the first round.
        low: Confidence above which the others take part in the second round.
        new: Confidence from which an unmatched strong detection begins a track.
        threshold: Lowest IoU of a match in the first round.
        second_threshold: Lowest IoU of a match in the second round.
        lost_seconds: Seconds without a detection after which a track is removed.
        min_hits: Detections that confirm a track, its first one included.
        motion: Motion model of the Kalman filter: "xyxy", "xyah" (the paper's), "xywh" or "xysr".
        overlap: "iou", "giou", "diou" or "biou".
        fuse: Multiply the overlap of the first round by the confidence, as the official code does.
        class_aware: Never match a track with a detection of another class.
        official: Do in everything as the authors' code, see the module; `overlap` and `fuse` then have no say.
        fps: See `KalmanAssociator`.
        backfill: See `KalmanAssociator`.
        velocities: See `KalmanAssociator`.
    """

    def __init__(
        self,
        *,
        high: float = 0.6,
        low: float = float("-inf"),
        new: float = 0.7,
        threshold: float = 0.1,
        second_threshold: float = 0.1,
        lost_seconds: float = 1.0,
        min_hits: int = 2,
        motion: str = "xyxy",
        overlap: str = "iou",
        fuse: bool = False,
        class_aware: bool = False,
        official: bool = False,
        fps: float | None = None,
        backfill: bool = False,
        velocities: bool = False,
    ):
        stages = [
            Stage("all", "high", threshold, overlap, fuse=fuse),
            Stage("all", "low", second_threshold, overlap),
        ]
        if official:
            strict: dict[str, Any] = {"overlap": "iou-pixels", "rule": "gain"}
            stages = [
                Stage("numbered", "high", threshold, fuse=True, **strict),
                Stage("recent", "low", second_threshold, **strict),
                Stage("tentative", "high", 0.3, fuse=True, **strict),
            ]
        super().__init__(
            stages=stages,
            motion=motion,
            high=high,
            low=low,
            new=new,
            lost_seconds=lost_seconds,
            min_hits=min_hits,
            class_aware=class_aware,
            fps=fps,
            backfill=backfill,
            velocities=velocities,
            official=official,
            instant_start=official,
            duplicates=0.85 if official else 1.0,
            still=(3,) if official else (),
        )
