"""The engine of all associators: predict, match in stages, correct, end and begin tracks.

A method is a list of stages and a few rules; what is special to it (momentum, re-update, appearance) overrides one
of the hooks `_pairs`, `_correct`, `_new_columns`, `_before_predict`, `_after_predict`.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from vtlab.association.assignment import assign
from vtlab.association.kalman import BoxFilter, MotionModel
from vtlab.association.lifecycle import Clock, Lifecycle
from vtlab.association.similarity import overlap
from vtlab.errors import InputError
from vtlab.protocols import Associator

if TYPE_CHECKING:
    import supervision as sv

    from vtlab.video import Frame

Array = NDArray[np.float64]
Rows = NDArray[np.int64]
_OTHER_CLASS = (
    -1e3
)  # similarity of pairs of different classes: below every threshold, finite for the assignment


@dataclass(frozen=True, slots=True)
class Stage:
    """One round of matching among what earlier rounds left.

    Attributes:
        tracks: "all", "numbered" (confirmed, also lost ones), "recent" (numbered and seen on the frame before) or
            "tentative".
        detections: "high", "low", or "any" (both).
        threshold: Lowest similarity of a match.
        overlap: A name of `similarity.OVERLAPS`.
        fuse: Multiply the overlap by the detection's confidence.
        rule: Rule of `assignment.assign`.
        name: What hooks call the stage.
    """

    tracks: str
    detections: str
    threshold: float
    overlap: str = "iou"
    fuse: bool = False
    rule: str = "all"
    name: str = ""


@dataclass(slots=True)
class Scene:
    """The detections of one frame while they are matched.

    Attributes:
        frame: The frame.
        boxes: (n, 4) usable boxes.
        scores: (n,) confidences.
        class_ids: (n,), or None.
        track_of: (n,) row of the matched track, -1 = none yet.
        predicted: (N, 4) boxes of the tracks.
        free: (N,) tracks without a detection yet.
        detections: The detections as given, with `usable` the rows that `boxes` are.
        usable: (n,) rows of `detections`, or None for all.
    """

    frame: Frame
    boxes: Array
    scores: Array
    class_ids: Rows | None
    track_of: Rows
    predicted: Array
    free: NDArray[np.bool_]
    detections: sv.Detections
    usable: Rows | None


class KalmanAssociator(Associator):
    """Base of the associators. See the methods for their parameters.

    Args:
        stages: Rounds of matching.
        motion: Motion model of the Kalman filter.
        high: Confidence from which a detection is "high".
        low: Confidence above which a detection that is not high is "low"; the rest takes no part.
        new: Confidence from which an unmatched high detection begins a track.
        lost_seconds: Seconds without a detection after which a track is removed.
        min_hits: Detections that confirm a track, its first one included.
        drop_tentative: Remove a tentative track at its first miss.
        needs_streak: An object is shown only while its last `min_hits` detections came on successive frames
            (SORT, OC-SORT); otherwise once confirmed is enough.
        warmup: On so many first frames a track is shown from its second detection on (`needs_streak` only).
        instant_start: Tracks that begin on the first frame are confirmed at once.
        class_aware: Never match a track with a detection of another class.
        fps: Frames per second in which the filter's noise is meant; the motion step is then the elapsed time times
            `fps`. None: one frame is one step, as in the papers.
        backfill: Keep what tentative tracks saw, see `late`.
        velocities: Put the velocity (n, 2) in pixels per second into `data["velocity"]` of the answer.

    Attributes:
        late: With `backfill`, the (frame index, row of that frame's detections, id) of earlier detections of the
            tracks that were confirmed by the last `update`.
    """

    def __init__(
        self,
        *,
        stages: Sequence[Stage],
        motion: str | MotionModel,
        high: float,
        low: float,
        new: float,
        lost_seconds: float,
        min_hits: int,
        drop_tentative: bool = True,
        needs_streak: bool = False,
        warmup: int = 0,
        instant_start: bool = False,
        class_aware: bool = False,
        fps: float | None = None,
        backfill: bool = False,
        velocities: bool = False,
    ):
        self._name = type(self).__name__
        if fps is not None and not fps > 0:
            raise InputError(f"{self._name}: fps must be more than 0, got {fps!r}.")
        self._stages = tuple(stages)
        self._overlap = {stage: overlap(stage.overlap) for stage in self._stages}
        self._motion = motion
        self._high, self._low, self._new = float(high), float(low), float(new)
        self._needs_streak, self._warmup, self._instant = needs_streak, int(warmup), instant_start
        self._class_aware, self._fps, self._backfill, self._velocities = (
            class_aware,
            fps,
            backfill,
            velocities,
        )
        self._life = Lifecycle(
            lost_seconds=lost_seconds, min_hits=min_hits, drop_tentative=drop_tentative, owner=self._name
        )
        self._clock = Clock(self._name)
        self.reset()

    def reset(self) -> None:
        """Forget all tracks; ids start at 1 again."""
        self._life.reset()
        self._clock.reset()
        self._filter = BoxFilter(self._motion)
        self._columns: dict[str, NDArray[Any]] = self._new_columns(
            np.empty((0, 4)), None, np.empty(0, np.int64)
        )
        self._frames = 0
        self._tentative: dict[int, list[tuple[int, int]]] = {}
        self.late: list[tuple[int, int, int]] = []

    def update(self, detections: sv.Detections, frame: Frame) -> sv.Detections:
        """Return the same rows in the same order with `tracker_id` filled; -1 = no track (yet).

        Detections with NaN, infinite or inverted boxes, or with a NaN confidence, belong to no track.

        Raises:
            InputError: The frame's time is not finite or turns round.
        """
        self._clock.tick(frame.timestamp, frame.index)
        self._before_predict()
        self._life.advance()
        self._filter.predict(1.0 if self._fps is None else self._clock.elapsed * self._fps)
        scene = self._read(detections, frame)
        self._after_predict(scene)
        scene.predicted = self._filter.boxes()
        if len(scene.boxes) and len(scene.predicted):
            for stage in self._stages:
                self._run(stage, scene)
        ids = self._settle(scene)
        if scene.usable is not None:
            every = np.full(len(detections), -1, dtype=np.int64)
            every[scene.usable] = ids
            ids = every
        return self._answer(detections, ids, scene)

    def waiting(self) -> set[int]:
        """Indices of the frames that tentative tracks may still claim (`backfill`)."""
        return {index for seen in self._tentative.values() for index, _ in seen}

    # -- hooks ------------------------------------------------------------------------------------------------

    def _before_predict(self) -> None:
        """Called before the filters go to the next frame."""

    def _after_predict(self, scene: Scene) -> None:
        """Called when the filters are at this frame, before matching."""

    def _new_columns(self, boxes: Array, scene: Scene | None, chosen: Rows) -> dict[str, NDArray[Any]]:
        """Further columns, each (K, ...), for new tracks at boxes (K, 4), rows `chosen` of the scene's detections."""
        return {}

    def _pairs(self, stage: Stage, scene: Scene, rows: Rows, columns: Rows) -> tuple[Array, Array | None]:
        """Similarity of tracks `rows` and detections `columns`, and what the assignment maximises if different."""
        similarity = self._overlap[stage](scene.predicted[rows], scene.boxes[columns])
        if stage.fuse:
            similarity *= scene.scores[columns]
        return similarity, None

    def _correct(self, rows: Rows, boxes: Array, scores: Array, scene: Scene, chosen: Rows) -> None:
        """Correct the tracks `rows` by their detections, rows `chosen` of the scene."""
        self._filter.update(rows, boxes)

    # -- steps ------------------------------------------------------------------------------------------------

    def _read(self, detections: sv.Detections, frame: Frame) -> Scene:
        boxes = np.asarray(detections.xyxy, dtype=np.float64)
        n = len(boxes)
        scores = (
            np.ones(n)
            if detections.confidence is None
            else np.asarray(detections.confidence, dtype=np.float64)
        )
        class_ids: Rows | None = None
        if self._class_aware and detections.class_id is not None:
            class_ids = detections.class_id.astype(np.int64)
        usable = None
        if n:
            size = boxes[:, 2:] - boxes[:, :2]
            if not (size.min() > 0 and np.isfinite(size.sum() + scores.sum())):
                good = (size > 0).all(axis=1) & np.isfinite(boxes).all(axis=1) & np.isfinite(scores)
                usable = np.flatnonzero(good)
                boxes, scores = boxes[usable], scores[usable]
                class_ids = None if class_ids is None else class_ids[usable]
        unmatched = np.full(len(boxes), -1, dtype=np.int64)
        free = np.ones(len(self._life), dtype=bool)
        return Scene(frame, boxes, scores, class_ids, unmatched, boxes[:0], free, detections, usable)

    def _run(self, stage: Stage, scene: Scene) -> None:
        rows, columns = self._tracks(stage, scene), self._detections(stage, scene)
        if not len(rows) or not len(columns):
            return
        similarity, value = self._pairs(stage, scene, rows, columns)
        if scene.class_ids is not None:
            other = self._life.rows["class_id"][rows][:, None] != scene.class_ids[columns]
            similarity[other] = _OTHER_CLASS
            if value is not None:
                value[other] = _OTHER_CLASS
        r, c = assign(similarity, stage.threshold, rule=stage.rule, value=value)
        if len(r):
            matched = rows[r]
            scene.track_of[columns[c]] = matched
            scene.free[matched] = False

    def _tracks(self, stage: Stage, scene: Scene) -> Rows:
        table = self._life.rows
        if stage.tracks == "all":
            return np.flatnonzero(scene.free)
        if stage.tracks == "tentative":
            return np.flatnonzero(scene.free & (table["id"] == 0))
        chosen = scene.free & (table["id"] > 0)
        return np.flatnonzero(chosen & (table["misses"] == 1) if stage.tracks == "recent" else chosen)

    def _detections(self, stage: Stage, scene: Scene) -> Rows:
        free = scene.track_of < 0
        if stage.detections == "high":
            return np.flatnonzero(free & (scene.scores >= self._high))
        if stage.detections == "low":
            return np.flatnonzero(free & (scene.scores < self._high) & (scene.scores > self._low))
        return np.flatnonzero(free & (scene.scores > self._low))

    def _settle(self, scene: Scene) -> Rows:
        """Correct, number, remove and begin tracks; return the ids (n,) of the detections."""
        life, now = self._life, self._clock.now
        ids = np.full(len(scene.boxes), -1, dtype=np.int64)
        self.late = []
        matched = np.flatnonzero(scene.track_of >= 0)
        if len(matched):
            rows = scene.track_of[matched]
            self._correct(rows, scene.boxes[matched], scene.scores[matched], scene, matched)
            life.observe(rows, now, None if scene.class_ids is None else scene.class_ids[matched])
            shown = self._shown(rows)
            life.number(rows if shown is None else rows[shown])
            found = life.rows["id"][rows]
            ids[matched] = np.where((found > 0) if shown is None else shown, found, -1)
            if self._backfill:
                self._remember(scene, matched, rows)
        alive = life.alive(now)
        if alive is not None:
            self._keep(alive)
        self._begin(scene, ids)
        if self._frames or len(life):
            self._frames += 1
        return ids

    def _shown(self, rows: Rows) -> NDArray[np.bool_]:
        """Which of these matched tracks are shown, and numbered if they are not yet."""
        table = self._life.rows[rows]
        if not self._needs_streak:
            return (table["id"] > 0) | (table["hits"] >= self._life.min_hits)
        if self._frames <= self._warmup:
            return np.ones(len(rows), dtype=bool)
        return table["streak"] >= self._life.min_hits

    def _begin(self, scene: Scene, ids: Rows) -> None:
        fresh = np.flatnonzero((scene.track_of < 0) & (scene.scores >= max(self._high, self._new)))
        if not len(fresh):
            return
        start = len(self._life)
        classes = None if scene.class_ids is None else scene.class_ids[fresh]
        self._life.add(len(fresh), self._clock.now, classes)
        self._filter.add(scene.boxes[fresh])
        for name, column in self._new_columns(scene.boxes[fresh], scene, fresh).items():
            self._columns[name] = np.concatenate([self._columns[name], column])
        rows = np.arange(start, start + len(fresh))
        if self._life.min_hits == 1 or (self._instant and self._frames == 0):
            self._life.number(rows)
            ids[fresh] = self._life.rows["id"][rows]
        elif self._backfill:
            self._remember(scene, fresh, rows)

    def _keep(self, alive: NDArray[np.bool_]) -> None:
        if self._backfill:
            for serial in self._life.rows["serial"][~alive].tolist():
                self._tentative.pop(serial, None)
        self._life.keep(alive)
        self._filter.keep(alive)
        for name, column in self._columns.items():
            self._columns[name] = column[alive]

    def _remember(self, scene: Scene, chosen: Rows, rows: Rows) -> None:
        """Note what tentative tracks saw, and hand it out once they are confirmed."""
        table = self._life.rows[rows]
        given = chosen if scene.usable is None else scene.usable[chosen]
        for row, serial, object_id in zip(
            given.tolist(), table["serial"].tolist(), table["id"].tolist(), strict=True
        ):
            if object_id:
                self.late += [(index, r, object_id) for index, r in self._tentative.pop(serial, [])]
            else:
                self._tentative.setdefault(serial, []).append((scene.frame.index, row))

    def _answer(self, detections: sv.Detections, ids: Rows, scene: Scene) -> sv.Detections:
        answer = copy.copy(detections)
        answer.tracker_id = ids
        answer.data = dict(detections.data)
        if self._velocities:
            answer.data["velocity"] = self._velocity_of(ids)
        return answer

    def _velocity_of(self, ids: Rows) -> Array:
        """Velocity (n, 2) in pixels per second of the objects with these ids; NaN without one."""
        velocity = np.full((len(ids), 2), np.nan)
        row_of = {int(i): row for row, i in enumerate(self._life.rows["id"]) if i}
        at = np.array([row_of.get(int(i), -1) for i in ids], dtype=np.int64)
        seen = at >= 0
        if self._clock.elapsed > 0:
            steps = 1.0 if self._fps is None else self._clock.elapsed * self._fps
            velocity[seen] = self._filter.velocities()[at[seen]] * (steps / self._clock.elapsed)
        return velocity
