"""SORT: Kalman filter, overlap, Hungarian assignment.

Paper: Bewley et al., "Simple Online and Realtime Tracking", ICIP 2016, arXiv 1602.00763. Official code:
https://github.com/abewley/sort (GPL-3.0; nothing of it is used here). Same tracks as Roboflow `trackers` 2.6.1
(Apache-2.0).
With `official=True` the same tracks as the official code: an object is shown only while it has had `min_hits` detections
in a row after its first, every object is shown on the first `min_hits` frames, empty ones count, and where no track and
no detection has two candidates the candidates are the matches.
"""

from __future__ import annotations

from dataclasses import dataclass

from vtlab.association.engine import KalmanAssociator
from vtlab.association.recipe import CommonSettings, Recipe, Stage
from vtlab.registry import register_associator


@dataclass(frozen=True, kw_only=True)
class SortSettings(CommonSettings):
    """Settings of SORT, beside the common ones.

    Attributes:
        threshold: Lowest IoU of a match.
        new: Confidence from which an unmatched detection begins a track.
        motion: Motion model of the Kalman filter: "xyxy", "xysr" (the paper's), "xywh" or "xyah".
        overlap: "iou", "giou", "diou" or "biou".
        needs_streak: Show an object only while, after its first detection, it had `min_hits` on successive frames;
            tentative tracks then outlive a miss, as in the official code.
        warmup: On so many frames after the first tracks are shown from their second detection on (`needs_streak` only).
        official: Do in everything as the authors' code, see the module; `needs_streak` and `warmup` then have no say.
    """

    threshold: float = 0.3
    new: float = 0.25
    motion: str = "xyxy"
    overlap: str = "iou"
    needs_streak: bool = False
    warmup: int = 0
    official: bool = False


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
    """SORT; see `SortSettings` for its parameters."""

    Settings = SortSettings
    settings: SortSettings

    def _recipe(self) -> Recipe:
        s = self.settings
        streak = s.needs_streak or s.official
        return Recipe(
            stages=[Stage("all", "any", s.threshold, s.overlap, rule="clear" if s.official else "all")],
            motion=s.motion,
            high=float("-inf"),
            low=float("-inf"),
            new=s.new,
            drop_tentative=not streak,
            needs_streak=streak,
            warmup=s.min_hits if s.official else s.warmup,
            official=s.official,
        )
