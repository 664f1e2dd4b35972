"""SORT: Kalman filter, overlap, Hungarian assignment.

Paper: Bewley et al., "Simple Online and Realtime Tracking", ICIP 2016, arXiv 1602.00763. Official code:
https://github.com/abewley/sort (GPL-3.0; nothing of it is used here). Same tracks as Roboflow `trackers` 2.6.1
(Apache-2.0).
With `official=True` the same tracks as the official code: an object is shown only while it has had `min_hits` detections
in a row after its first, every object is shown on the first `min_hits` frames, empty ones count, and where no track and
no detection has two candidates the candidates are the matches.
"""

from __future__ import annotations

from vtlab.association.engine import KalmanAssociator, Stage
from vtlab.registry import register_associator


@register_associator(
    "sort",
    family="associator",
    summary="Kalman filter and overlap; the smallest useful associator.",
    paper="Bewley et al.: Simple Online and Realtime Tracking, ICIP 2016",
    paper_url="https://arxiv.org/abs/1602.00763",
    code="https://github.com/abewley/sort",
    licence="Apache-2.0 (vtlab); official code GPL-3.0",
)
class Sort(KalmanAssociator):
    """SORT.

    Args:
        threshold: Lowest IoU of a match.
        new: Confidence from which an unmatched detection begins a track.
        lost_seconds: Seconds without a detection after which a track is removed.
        min_hits: Detections that confirm a track, its first one included.
        motion: Motion model of the Kalman filter: "xyxy", "xysr" (the paper's), "xywh" or "xyah".
        overlap: "iou", "giou", "diou" or "biou".
        class_aware: Never match a track with a detection of another class.
        needs_streak: Show an object only while, after its first detection, it had `min_hits` on successive frames;
            tentative tracks then outlive a miss, as in the official code.
        warmup: On so many frames after the first tracks are shown from their second detection on (`needs_streak` only).
        official: Do in everything as the authors' code, see the module; `needs_streak` and `warmup` then have no say.
        fps: See `KalmanAssociator`.
        backfill: See `KalmanAssociator`.
        velocities: See `KalmanAssociator`.
    """

    def __init__(
        self,
        *,
        threshold: float = 0.3,
        new: float = 0.25,
        lost_seconds: float = 1.0,
        min_hits: int = 3,
        motion: str = "xyxy",
        overlap: str = "iou",
        class_aware: bool = False,
        needs_streak: bool = False,
        warmup: int = 0,
        official: bool = False,
        fps: float | None = None,
        backfill: bool = False,
        velocities: bool = False,
    ):
        if official:
            needs_streak, warmup = True, min_hits
        super().__init__(
            stages=[Stage("all", "any", threshold, overlap, rule="clear" if official else "all")],
            motion=motion,
            high=float("-inf"),
            low=float("-inf"),
            new=new,
            lost_seconds=lost_seconds,
            min_hits=min_hits,
            drop_tentative=not needs_streak,
            needs_streak=needs_streak,
            warmup=warmup,
            class_aware=class_aware,
            fps=fps,
            backfill=backfill,
            velocities=velocities,
            official=official,
        )
