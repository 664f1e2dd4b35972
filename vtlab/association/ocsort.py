"""OC-SORT: trust observations more than predictions - momentum, re-update, recovery.

Paper: Cao et al., "Observation-Centric SORT: Rethinking SORT for Robust Multi-Object Tracking", CVPR 2023,
arXiv 2203.14360. Official code: https://github.com/noahcao/OC_SORT (MIT). Same tracks as Roboflow `trackers` 2.6.1
(Apache-2.0).
Differs from the official code, as `trackers` does: the recovery round is not skipped when no overlap exceeds the
threshold, and the first `warmup` frames are one more.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from vtlab.association._engine import Array, KalmanAssociator, Rows, Scene, Stage
from vtlab.association.similarity import iou
from vtlab.errors import InputError
from vtlab.registry import register_associator


@register_associator(
    "ocsort",
    family="associator",
    summary="SORT with the momentum of observations, re-update after a loss, and recovery at the last observation.",
    paper="Cao et al.: Observation-Centric SORT: Rethinking SORT for Robust Multi-Object Tracking, CVPR 2023",
    paper_url="https://arxiv.org/abs/2203.14360",
    code="https://github.com/noahcao/OC_SORT",
    licence="Apache-2.0 (vtlab); official code MIT",
)
class OcSort(KalmanAssociator):
    """OC-SORT.

    Args:
        high: Confidence from which a detection takes part and may begin a track.
        threshold: Lowest IoU of a match.
        momentum: Weight of the agreement of direction (observation-centric momentum); 0 switches it off.
        lookback: Observations back, in frames, from which the direction is measured.
        reupdate: After a loss, run the filter again along a straight line between the two observations.
        recovery: Match what is left with the tracks' last observations.
        weak: Before the recovery, match weak detections as ByteTrack does.
        low: Confidence above which a detection is weak (with `weak`).
        lost_seconds: Seconds without a detection after which a track is removed.
        min_hits: A track is shown while, after its first detection, it had so many on successive frames.
        warmup: On so many first frames (and the one after) tracks are shown from their second detection on.
        motion: Motion model of the Kalman filter: "xysr" (the paper's), "xyxy", "xywh" or "xyah".
        overlap: "iou", "giou", "diou" or "biou", of the first round.
        class_aware: Never match a track with a detection of another class.
        fps: See `KalmanAssociator`.
        backfill: See `KalmanAssociator`.
        velocities: See `KalmanAssociator`.
    """

    def __init__(
        self,
        *,
        high: float = 0.6,
        threshold: float = 0.3,
        momentum: float = 0.2,
        lookback: int = 3,
        reupdate: bool = True,
        recovery: bool = True,
        weak: bool = False,
        low: float = 0.1,
        lost_seconds: float = 1.0,
        min_hits: int = 3,
        warmup: int = 3,
        motion: str = "xysr",
        overlap: str = "iou",
        class_aware: bool = False,
        fps: float | None = None,
        backfill: bool = False,
        velocities: bool = False,
    ):
        if isinstance(lookback, bool) or not isinstance(lookback, int) or lookback < 1:
            raise InputError(f"OcSort: lookback must be an int of at least 1, got {lookback!r}.")
        self._momentum, self._lookback, self._reupdate = float(momentum), lookback, reupdate
        stages = [Stage("all", "high", threshold, overlap, name="momentum")]
        if weak:
            stages.append(Stage("all", "low", threshold))
        if recovery:
            stages.append(Stage("all", "high", threshold, name="recovery"))
        super().__init__(
            stages=stages,
            motion=motion,
            high=high,
            low=low,
            new=high,
            lost_seconds=lost_seconds,
            min_hits=min_hits,
            drop_tentative=False,
            needs_streak=True,
            warmup=warmup,
            class_aware=class_aware,
            fps=fps,
            backfill=backfill,
            velocities=velocities,
        )

    def reset(self) -> None:
        """Forget all tracks; ids start at 1 again."""
        super().reset()
        self._age = 0

    def _new_columns(self, boxes: Array, scene: Scene | None, chosen: Rows) -> dict[str, NDArray[Any]]:
        n = len(boxes)
        return {
            "last": boxes.copy(),  # last observation
            "direction": np.zeros((n, 2)),  # unit vector (x, y) of the motion; 0 = not known
            "history": np.zeros(
                (n, self._lookback, 4)
            ),  # observations after the first, by frame modulo lookback
            "history_age": np.full((n, self._lookback), -1, dtype=np.int64),
            "frozen": np.zeros((n, 5, 4)),  # filter as predicted for the first frame of a loss
        }

    def _before_predict(self) -> None:
        self._age += 1
        if self._reupdate:
            lost = (self._life.misses == 1).nonzero()[0]
            if len(lost):
                self._columns["frozen"][lost] = self._filter.state.take(lost, axis=1).transpose(1, 0, 2)

    def _after_predict(self, scene: Scene) -> None:
        """Find each track's observation `lookback` frames ago, or the oldest one since, or its last one."""
        previous, history, ages = (self._columns[name] for name in ("last", "history", "history_age"))
        for back in range(2, self._lookback + 1):
            slot = (self._age - back) % self._lookback
            there = ages[:, slot] == self._age - back
            previous = np.where(there[:, None], history[:, slot], previous)
        self._previous = previous

    def _pairs(self, stage: Stage, scene: Scene, rows: Rows, columns: Rows) -> tuple[Array, Array | None]:
        if stage.name == "recovery":
            return iou(self._columns["last"][rows], scene.boxes[columns]), None
        similarity, _ = super()._pairs(stage, scene, rows, columns)
        if stage.name != "momentum" or self._momentum == 0:
            return similarity, None
        agreement = self._agreement(rows, scene.boxes[columns])
        agreement *= self._momentum * scene.scores[columns]
        agreement += similarity
        return similarity, agreement

    def _agreement(self, rows: Rows, boxes: Array) -> Array:
        """Agreement (N, M), in [-0.5, 0.5], of the tracks' directions with the way to each box."""
        previous, direction = self._previous.take(rows, axis=0), self._columns["direction"].take(rows, axis=0)
        start, end = (previous[:, :2] + previous[:, 2:]) / 2, (boxes[:, :2] + boxes[:, 2:]) / 2
        x, y = end[:, 0] - start[:, :1], end[:, 1] - start[:, 1:]
        norm = x * x
        norm += y * y
        np.sqrt(norm, out=norm)
        norm += 1e-6  # which also keeps the cosine below 1
        x *= direction[:, :1]
        y *= direction[:, 1:]
        x += y
        x /= norm
        np.arcsin(x, out=x)  # (pi / 2 - |arccos|) / pi in the paper; 0 without a direction
        x /= np.pi
        return x

    def _correct(self, rows: Rows, boxes: Array, scene: Scene, chosen: Rows) -> None:
        columns = self._columns
        if self._reupdate:
            misses = self._life.misses[rows]
            back = (misses > 1).nonzero()[0]
            if len(back):
                self._replay(rows[back], boxes.take(back, axis=0), misses[back])
        self._filter.update(rows, boxes)
        previous = self._previous.take(rows, axis=0)
        way = (boxes[:, :2] + boxes[:, 2:] - previous[:, :2] - previous[:, 2:]) / 2
        length = np.hypot(way[:, 0], way[:, 1])
        length += 1e-6
        way *= ((self._life.hits[rows] > 1) / length)[:, None]
        columns["direction"][rows] = way
        slot = self._age % self._lookback
        columns["history"][rows, slot] = boxes
        columns["history_age"][rows, slot] = self._age
        columns["last"][rows] = boxes

    def _replay(self, rows: Rows, boxes: Array, gaps: Rows) -> None:
        """Run the filters of re-found tracks again, as if observed on a straight line during the loss."""
        order = (-gaps).argsort(kind="stable")  # the longest first, so that those still running are a slice
        rows, gaps, boxes = rows[order], gaps[order], boxes.take(order, axis=0)
        state = np.ascontiguousarray(self._columns["frozen"].take(rows, axis=0).transpose(1, 0, 2))
        last = self._columns["last"].take(rows, axis=0)
        step = (boxes - last) / gaps[:, None]
        longest = int(gaps[0])
        running = np.searchsorted(
            -gaps, -np.arange(longest + 1), side="left"
        ).tolist()  # how many have a longer gap
        line = last + np.arange(1, longest + 1)[:, None, None] * step
        observed = self._filter.to_measurement(line.reshape(-1, 4)).reshape(line.shape)
        for i in range(longest):
            n = running[i]
            self._filter.correct(state[:, :n], observed[i, :n])
            if running[i + 1]:
                self._filter.advance(state[:, : running[i + 1]])
        self._filter.state[:, rows] = state
