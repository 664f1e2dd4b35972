"""BoT-SORT: ByteTrack's rounds with a filter of width and height, camera motion and appearance.

Paper: Aharon, Orfaig, Bobrovsky, "BoT-SORT: Robust Associations Multi-Pedestrian Tracking", arXiv 2206.14651, 2022.
Official code: https://github.com/NirAharon/BoT-SORT (MIT). Without camera motion and appearance the same tracks as
Roboflow `trackers` 2.6.1 (Apache-2.0).
"""

from __future__ import annotations

from vtlab.association._engine import KalmanAssociator, Stage
from vtlab.registry import register_associator


@register_associator(
    "botsort",
    family="associator",
    summary="Strong, weak and tentative rounds on a filter of width and height.",
    paper="Aharon et al.: BoT-SORT: Robust Associations Multi-Pedestrian Tracking, arXiv 2022",
    paper_url="https://arxiv.org/abs/2206.14651",
    code="https://github.com/NirAharon/BoT-SORT",
    licence="Apache-2.0 (vtlab); official code MIT",
)
class BotSort(KalmanAssociator):
    """BoT-SORT.

    Args:
        high: Confidence from which a detection takes part in the first round.
        low: Confidence above which the others take part in the second round.
        new: Confidence from which an unmatched strong detection begins a track.
        threshold: Lowest IoU times confidence of a match in the first round.
        second_threshold: Lowest IoU of a match of a weak detection with a track that was seen on the frame before.
        tentative_threshold: Lowest IoU times confidence of a match with a tentative track.
        lost_seconds: Seconds without a detection after which a track is removed.
        min_hits: Detections that confirm a track, its first one included.
        instant_start: Tracks that begin on the first frame are confirmed at once.
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
        lost_seconds: float = 1.0,
        min_hits: int = 2,
        instant_start: bool = True,
        class_aware: bool = False,
        fps: float | None = None,
        backfill: bool = False,
        velocities: bool = False,
    ):
        super().__init__(
            stages=[
                Stage("numbered", "high", threshold, fuse=True),
                Stage("recent", "low", second_threshold),
                Stage("tentative", "high", tentative_threshold, fuse=True),
            ],
            motion="xywh",
            high=high,
            low=low,
            new=new,
            lost_seconds=lost_seconds,
            min_hits=min_hits,
            instant_start=instant_start,
            class_aware=class_aware,
            fps=fps,
            backfill=backfill,
            velocities=velocities,
        )
