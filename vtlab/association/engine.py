"""The engine of all associators: predict, match in stages, correct, end and begin tracks.

A method is a dataclass of settings and the recipe that follows from them (`_recipe`), stages of matching above all; what is
special to it (momentum, re-update, appearance) overrides one of the hooks `_pairs`, `_correct`, `_new_columns`,
`_before_predict`, `_after_predict`.
"""

from __future__ import annotations

import inspect
from abc import abstractmethod
from dataclasses import dataclass
from math import isfinite
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from vtlab.association.parts.assignment import assign, assign_few, assign_sparse
from vtlab.association.parts.kalman import BoxFilter
from vtlab.association.parts.lifecycle import Clock, Lifecycle
from vtlab.association.parts.similarity import buffered, iou, overlap, overlapping, overlapping_of_few
from vtlab.association.parts.turned import extents, is_turned, like, of_detections
from vtlab.association.recipe import CommonSettings, Recipe, Stage
from vtlab.contracts import Associator
from vtlab.errors import InputError

if TYPE_CHECKING:
    import supervision as sv

    from vtlab.video import Frame

Array = NDArray[np.float64]
Rows = NDArray[np.int64]
_NO_ROWS = np.empty(0, np.int64)
_ONE = np.ones((), np.int64)  # an array is taken faster than a number
_FEW = 48  # pairs up to which numbers are faster than arrays
_CROWD = 5000  # pairs from which only overlapping ones are looked at, where that gives the same
_OTHER_CLASS = (
    -1e3
)  # similarity of pairs of different classes: below every threshold, finite for the assignment


@dataclass(slots=True)
class Scene:
    """The detections of one frame while they are matched.

    Attributes:
        frame: The frame.
        boxes: (n, 4) usable boxes; oriented ones (n, 5), with their angle (`parts/turned.py`).
        scores: (n,) confidences.
        class_ids: (n,), or None.
        high: (n,) strong detections.
        track_of: (n,) row of the matched track, -1 = none yet.
        predicted: (N, 4) boxes of the tracks; oriented ones (N, 5).
        free: (N,) tracks without a detection yet.
        detections: The detections as given, with `usable` the rows that `boxes` are.
        usable: (n,) rows of `detections`, or None for all.
        begun: Whether any detection has a track by now.
    """

    frame: Frame
    boxes: Array
    scores: Array
    class_ids: Rows | None
    high: NDArray[np.bool_]
    track_of: Rows
    predicted: Array
    free: NDArray[np.bool_]
    detections: sv.Detections
    usable: Rows | None
    begun: bool

    @property
    def extents(self) -> Array:
        """(n, 4) upright boxes around the usable ones."""
        return extents(self.boxes)


class KalmanAssociator(Associator):
    """Base of the associators. A method names its settings, and says in `_recipe` what follows from them.

    Args:
        settings: Values of the attributes of the method's `Settings`, by name.

    Attributes:
        Settings: The dataclass of the method's settings: the one place where they are listed and documented.
        settings: Those of this instance.
        late: With `backfill`, the (frame index, row of that frame's detections, id) of earlier detections of the
            tracks that were confirmed by the last `update`.
    """

    Settings: ClassVar[type[Any]] = CommonSettings
    settings: CommonSettings
    __signature__: ClassVar[inspect.Signature]

    def __init_subclass__(cls) -> None:
        """Give the constructor the signature of the settings, which registry, command line and help read."""
        cls.__signature__ = inspect.signature(cls.Settings)

    def __init__(self, **settings: Any):
        self.settings = self._read_settings(**settings)
        self._name = type(self).__name__
        self._prepare()
        recipe = self.recipe = self._recipe()
        self._overlaps = {stage.overlap: overlap(stage.overlap) for stage in recipe.stages}
        self._begins = max(float(recipe.high), float(recipe.new))
        self._life = Lifecycle(
            lost_seconds=self.settings.lost_seconds,
            min_hits=self.settings.min_hits,
            drop_tentative=recipe.drop_tentative,
            owner=self._name,
        )
        self._clock = Clock(self._name)
        self.reset()

    def reset(self) -> None:
        """Forget all tracks; ids start at 1 again."""
        self._life.reset()
        self._clock.reset()
        self._turned: bool | None = None  # oriented boxes; not known before the first detections
        self._empty(turned=False)
        self._frames = 0
        self._tentative: dict[int, list[tuple[int, int]]] = {}
        self.late: list[tuple[int, int, int]] = []
        self._doomed = np.empty(0, np.int64)  # serials of tracks that the next miss removes (`official`)

    def _empty(self, *, turned: bool) -> None:
        """Begin without tracks, of upright boxes or of oriented ones."""
        self._filter = BoxFilter(self.recipe.motion, turned)
        self._columns: dict[str, NDArray[Any]] = self._new_columns(
            np.empty((0, 4 + turned)), None, np.empty(0, np.int64)
        )

    def update(self, detections: sv.Detections, frame: Frame) -> sv.Detections:
        """Return the same rows in the same order with `tracker_id` filled; -1 = no track (yet).

        Detections with NaN, infinite or inverted boxes, or with a NaN confidence, belong to no track. Where the first
        detections are oriented boxes (`data["xyxyxyxy"]`, corners (n, 4, 2)), all are: overlaps are then those of the
        turned rectangles, and the filter follows the sides and the angle. Upright ones among them have the angle 0.

        Raises:
            InputError: The frame's time is not finite or turns round; oriented boxes come after upright ones.
        """
        self._clock.tick(frame.timestamp, frame.index)
        if self._turned is not True:
            self._choose(detections, frame)
        self._before_predict()
        if self.recipe.still:
            lost = (self._life.misses > 0).nonzero()[0]
            self._filter.state[1, lost[:, None], list(self.recipe.still)] = 0.0
        misses = self._life.misses
        misses += _ONE
        steps = 1.0 if self.settings.fps is None else self._clock.elapsed * self.settings.fps
        waiting = self._life.id <= 0 if self.recipe.official and not self.recipe.needs_streak else None
        kept = None if waiting is None else self._filter.state[:, waiting]
        self._filter.predict(steps)
        if waiting is not None:
            self._filter.state[:, waiting] = kept
        scene = self._read(detections, frame)
        self._after_predict(scene)
        if len(scene.boxes) and len(scene.free):
            scene.predicted = self._filter.boxes()
            for stage in self.recipe.stages:
                self._run(stage, scene)
        ids = self._settle(scene)
        if scene.usable is not None:
            every = np.full(len(detections), -1, dtype=np.int64)
            every[scene.usable] = ids
            ids = every
        return self._answer(detections, ids)

    def waiting(self) -> set[int]:
        """Indices of the frames that tentative tracks may still claim (`backfill`)."""
        return {index for seen in self._tentative.values() for index, _ in seen}

    def _read_settings(self, **settings: Any) -> CommonSettings:
        """The settings by which the method works, of what users give."""
        given: CommonSettings = self.Settings(**settings)
        return given

    def _prepare(self) -> None:
        """Make what the settings name (an embedder, say), once, before anything else."""

    @abstractmethod
    def _recipe(self) -> Recipe:
        """What follows from `settings` for the engine."""

    def _before_predict(self) -> None:
        """Called before the filters go to the next frame."""

    def _after_predict(self, scene: Scene) -> None:
        """Called when the filters are at this frame, before matching."""

    def _new_columns(self, boxes: Array, scene: Scene | None, chosen: Rows) -> dict[str, NDArray[Any]]:
        """Further columns, each (K, ...), for new tracks at boxes (K, 4), rows `chosen` of the scene's detections."""
        return {}

    def _pairs(self, stage: Stage, scene: Scene, rows: Rows, columns: Rows) -> tuple[Array, Array | None]:
        """Similarity of tracks `rows` and detections `columns`, and what the assignment maximises if different."""
        similarity = self._overlaps[stage.overlap](*_boxes_of(stage, scene, rows, columns))
        if stage.fuse:
            similarity *= scene.scores.take(columns)
        return similarity, None

    def _plain(self, stage: Stage) -> bool:
        """Whether a stage looks at nothing but overlaps, so that pairs without one need not be looked at."""
        return (
            stage.overlap == "iou"
            and not stage.name
            and stage.threshold > 0
            and stage.rule in ("all", "gain")
        )

    def _correct(self, rows: Rows, boxes: Array, scene: Scene, chosen: Rows) -> None:
        """Correct the tracks `rows` by their detections, rows `chosen` of the scene."""
        self._filter.update(rows, boxes)

    def _choose(self, detections: sv.Detections, frame: Frame) -> None:
        """Take note of the first detections, whether they are oriented boxes: all are what these are."""
        turned = is_turned(detections)
        if turned is self._turned or not len(detections):
            return
        if self._turned is None and turned:
            self._empty(turned=True)
        elif turned:
            raise InputError(
                f"{self._name}: frame {frame.index} has oriented boxes (xyxyxyxy), earlier frames had upright ones. "
                "Give the corners on every frame that has detections, or call reset() in between."
            )
        self._turned = turned

    def _read(self, detections: sv.Detections, frame: Frame) -> Scene:
        boxes = of_detections(detections) if self._turned else np.asarray(detections.xyxy, dtype=np.float64)
        n = len(boxes)
        scores = (
            np.ones(n)
            if detections.confidence is None
            else np.asarray(detections.confidence, dtype=np.float64)
        )
        class_ids: Rows | None = None
        if self.settings.class_aware and detections.class_id is not None:
            class_ids = detections.class_id.astype(np.int64)
        usable = None
        flat, corners = boxes.ravel(), boxes.T.copy()
        upright = _every((corners[2:4] > corners[:2]).ravel())
        if not upright or not isfinite(flat.dot(flat)) or self.recipe.min_area:
            size = boxes[:, 2:4] - boxes[:, :2]
            good = np.isfinite(boxes).all(axis=1) & (size > 0).all(axis=1)
            good &= size[:, 0] * size[:, 1] >= self.recipe.min_area
            usable = good.nonzero()[0]
            boxes, scores = boxes[usable], scores[usable]
            class_ids = None if class_ids is None else class_ids[usable]
        if self._turned and len(boxes) and len(self._life):
            boxes = self._as_tracks_say(boxes)
        track_of = np.empty(len(boxes), dtype=np.int64)
        track_of.fill(-1)
        free = np.empty(len(self._life), dtype=bool)
        free.fill(True)
        return Scene(
            frame,
            boxes,
            scores,
            class_ids,
            scores >= self.recipe.high,
            track_of,
            boxes[:0],
            free,
            detections,
            usable,
            False,
        )

    def _as_tracks_say(self, boxes: Array) -> Array:
        """The same oriented boxes, each with the sides in the order of the track that it overlaps most."""
        tracks = self._filter.boxes()
        overlaps = iou(tracks, boxes)
        near = overlaps.argmax(axis=0)
        hit = overlaps.max(axis=0) > 0
        return np.where(hit[:, None], like(boxes, tracks[near]), boxes)

    def _run(self, stage: Stage, scene: Scene) -> None:
        columns = self._detections(stage, scene)
        if not len(columns):
            return
        rows = self._tracks(stage, scene)
        if not len(rows):
            return
        pairs = len(rows) * len(columns)
        if pairs >= _CROWD and self._plain(stage):
            r, c = self._match_sparse(stage, scene, rows, columns)
        elif (
            pairs <= _FEW
            and self._plain(stage)
            and not (self._turned or stage.fuse or self.settings.class_aware)
        ):
            r, c = self._match_few(stage, scene, rows, columns)
        else:
            r, c = self._match(stage, scene, rows, columns)
        if len(r):
            matched = rows[r]
            scene.track_of[columns[c]] = matched
            scene.free[matched] = False
            scene.begun = True

    def _match(self, stage: Stage, scene: Scene, rows: Rows, columns: Rows) -> tuple[Rows, Rows]:
        similarity, value = self._pairs(stage, scene, rows, columns)
        if scene.class_ids is not None:
            other = self._life.class_id[rows][:, None] != scene.class_ids[columns]
            similarity[other] = _OTHER_CLASS
            if value is not None:
                value[other] = _OTHER_CLASS
        return assign(similarity, stage.threshold, rule=stage.rule, value=value)

    def _match_sparse(self, stage: Stage, scene: Scene, rows: Rows, columns: Rows) -> tuple[Rows, Rows]:
        r, c, similarity = overlapping(*_boxes_of(stage, scene, rows, columns))
        if scene.class_ids is not None:
            same = self._life.class_id[rows[r]] == scene.class_ids[columns[c]]
            r, c, similarity = r[same], c[same], similarity[same]
        if stage.fuse:
            similarity *= scene.scores[columns[c]]
        return assign_sparse(r, c, similarity, (len(rows), len(columns)), stage.threshold, rule=stage.rule)

    def _match_few(self, stage: Stage, scene: Scene, rows: Rows, columns: Rows) -> tuple[Rows, Rows]:
        r, c, similarity = overlapping_of_few(*_boxes_of(stage, scene, rows, columns))
        if not similarity or max(similarity) < stage.threshold:
            return _NO_ROWS, _NO_ROWS
        return assign_few(r, c, similarity, (len(rows), len(columns)), stage.threshold, rule=stage.rule)

    def _tracks(self, stage: Stage, scene: Scene) -> Rows:
        chosen = scene.free
        if stage.tracks == "all":
            return chosen.nonzero()[0]
        if stage.tracks == "tentative":
            chosen = chosen & (self._life.id <= 0)
        else:
            chosen = chosen & (self._life.id > 0)
            if stage.tracks == "recent":
                chosen &= self._life.misses == 1
        return chosen.nonzero()[0]

    def _detections(self, stage: Stage, scene: Scene) -> Rows:
        if stage.detections == "low":
            if _every(scene.high):
                return _NO_ROWS
            chosen = (scene.scores > self.recipe.low) > scene.high
        else:
            chosen = scene.high if stage.detections == "high" else scene.track_of < 0
        columns = chosen.nonzero()[0]
        if scene.begun and len(columns):
            columns = columns[(scene.track_of.take(columns) < 0).nonzero()[0]]
        return columns

    def _settle(self, scene: Scene) -> Rows:
        """Correct, number, remove and begin tracks; return the ids (n,) of the detections."""
        life, now = self._life, self._clock.now
        ids = np.empty(len(scene.boxes), dtype=np.int64)
        ids.fill(-1)
        self.late = []
        matched = (scene.track_of >= 0).nonzero()[0]
        if len(matched):
            rows = scene.track_of[matched]
            if self.recipe.official and not self.recipe.needs_streak:
                self._doomed = np.union1d(self._doomed, life.serial[rows[life.overdue(now)[rows]]])
            self._correct(rows, scene.boxes.take(matched, axis=0), scene, matched)
            life.observe(rows, now, None if scene.class_ids is None else scene.class_ids[matched])
            self._number(ids, matched, rows)
            if self.settings.backfill:
                self._remember(scene, matched, rows)
        if len(matched) < len(scene.free):
            alive = life.alive(now)
            if alive is not None:
                self._keep(alive)
            if len(self._doomed):
                self._keep((~np.isin(life.serial, self._doomed) | (life.misses == 0)).nonzero()[0])
        if len(matched) < len(ids):
            self._begin(scene, ids)
        if self.recipe.duplicates < 1:
            self._drop_duplicates(ids)
        if self._frames or len(scene.detections) or self.recipe.official:
            self._frames += 1
        return ids

    def _number(self, ids: Rows, matched: Rows, rows: Rows) -> None:
        """Put in place the ids of the matched tracks that are shown, and number those that are not yet."""
        life = self._life
        if self.recipe.needs_streak:
            chosen = life.streak.take(rows) >= life.min_hits
            if self._frames < self.recipe.warmup + (not self.recipe.official):
                chosen.fill(True)
        else:
            given = life.id.take(rows)
            chosen = given > 0
            if _every(chosen):
                ids[matched] = given
                return
            chosen |= life.hits.take(rows) >= life.min_hits
        shown = chosen.nonzero()[0]
        ids[matched[shown]] = life.number(rows[shown])

    def _begin(self, scene: Scene, ids: Rows) -> None:
        fresh = (scene.track_of < 0).nonzero()[0]
        fresh = fresh[(scene.scores.take(fresh) >= self._begins).nonzero()[0]]
        if not len(fresh):
            return
        start = len(self._life)
        classes = None if scene.class_ids is None else scene.class_ids[fresh]
        boxes = scene.boxes.take(fresh, axis=0)
        self._life.add(len(fresh), self._clock.now, classes, streak=0 if self.recipe.needs_streak else 1)
        self._filter.add(boxes)
        for name, column in self._new_columns(boxes, scene, fresh).items():
            self._columns[name] = np.concatenate([self._columns[name], column])
        rows = np.arange(start, start + len(fresh))
        if self.recipe.needs_streak:
            at_once = self.recipe.official and self._frames < self.recipe.warmup
        else:
            at_once = self._life.min_hits == 1 or (self.recipe.instant_start and self._frames == 0)
        if at_once or self.recipe.show_tentative:
            self._life.number(rows) if at_once else self._life.show(rows)
            ids[fresh] = np.abs(self._life.id[rows])
        elif self.settings.backfill:
            self._remember(scene, fresh, rows)

    def _keep(self, alive: Rows) -> None:
        if self.settings.backfill:
            for serial in np.setdiff1d(self._life.serial, self._life.serial[alive]).tolist():
                self._tentative.pop(serial, None)
        self._life.keep(alive)
        self._filter.keep(alive)
        for name, column in self._columns.items():
            self._columns[name] = column.take(alive, axis=0)

    def _drop_duplicates(self, ids: Rows) -> None:
        """Of a seen and a lost track that lie on each other remove the one with the shorter life."""
        life = self._life
        seen, lost = (life.misses == 0).nonzero()[0], (life.misses > 0).nonzero()[0]
        if not len(seen) or not len(lost):
            return
        boxes, lived = self._filter.boxes(), life.last - life.begun
        compare = self._overlaps[self.recipe.stages[0].overlap]
        a, b = (compare(boxes[seen], boxes[lost]) > self.recipe.duplicates).nonzero()
        longer = lived[seen[a]] > lived[lost[b]] + 1e-9
        hidden = seen[a[~longer]]
        gone = np.union1d(lost[b[longer]], hidden)
        if len(gone):
            ids[np.isin(ids, np.abs(life.id[hidden]))] = -1
            self._keep(np.setdiff1d(np.arange(len(life)), gone))

    def _remember(self, scene: Scene, chosen: Rows, rows: Rows) -> None:
        """Note what tentative tracks saw, and hand it out once they are confirmed."""
        given = chosen if scene.usable is None else scene.usable[chosen]
        serials, object_ids = self._life.serial[rows].tolist(), self._life.id[rows].tolist()
        for row, serial, object_id in zip(given.tolist(), serials, object_ids, strict=True):
            if object_id:
                self.late += [(index, r, object_id) for index, r in self._tentative.pop(serial, [])]
            else:
                self._tentative.setdefault(serial, []).append((scene.frame.index, row))

    def _answer(self, detections: sv.Detections, ids: Rows) -> sv.Detections:
        answer = object.__new__(
            type(detections)
        )  # a shallow copy; copy.copy takes as long as a round of matching
        vars(answer).update(vars(detections))
        answer.tracker_id = ids
        answer.data = dict(detections.data)
        if self.settings.velocities:
            answer.data["velocity"] = self._velocity_of(ids)
        return answer

    def _velocity_of(self, ids: Rows) -> Array:
        """Velocity (n, 2) in pixels per second of the objects with these ids; NaN without one."""
        velocity = np.full((len(ids), 2), np.nan)
        row_of = {i: row for row, i in enumerate(self._life.id.tolist()) if i}
        at = np.array([row_of.get(i, -1) for i in ids.tolist()], dtype=np.int64)
        seen = at >= 0
        if self._clock.elapsed > 0:
            steps = 1.0 if self.settings.fps is None else self._clock.elapsed * self.settings.fps
            velocity[seen] = self._filter.velocities()[at[seen]] * (steps / self._clock.elapsed)
        return velocity


def _every(mask: NDArray[np.bool_]) -> bool:
    """Whether all are true: of few `nonzero` tells it four times as fast as `all`."""
    return len(mask.nonzero()[0]) == len(mask)


def _boxes_of(stage: Stage, scene: Scene, rows: Rows, columns: Rows) -> tuple[Array, Array]:
    """Boxes of the tracks `rows` and the detections `columns`, as the stage compares them."""
    a = scene.predicted if len(rows) == len(scene.predicted) else scene.predicted.take(rows, axis=0)
    b = scene.boxes if len(columns) == len(scene.boxes) else scene.boxes.take(columns, axis=0)
    return (buffered(a, stage.buffer), buffered(b, stage.buffer)) if stage.buffer else (a, b)
