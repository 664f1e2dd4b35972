"""What went wrong, event by event, and what each component would give back if it were perfect.

Events follow CLEAR's matching (Bernardin and Stiefelhagen 2008), so as many identity switches, fragments and false
positives are listed as CLEAR counts; causes are read from the truth around them. Component points come from oracle
substitution: one kind of error is repaired in the answer and the sequence is scored again, which carries the idea of
TIDE (Bolya et al., ECCV 2020) to tracking.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vtlab.errors import InputError, near, renamed
from vtlab.geometry import box_area, box_centers
from vtlab.metrics import mot, pairing
from vtlab.metrics.families import Case, Truth
from vtlab.metrics.families.mot import FAMILY, pairs_of
from vtlab.tracks import Tracks

if TYPE_CHECKING:
    import pandas as pd

Array = NDArray[np.float64]
Ints = NDArray[np.int64]

COLUMNS = ("frame", "kind", "object_id", "answer_id", "previous_id", "similarity", "cause")
KINDS = ("id_switch", "fragment", "false_positive", "loss", "recovery")
CAUSES = {
    "occlusion": "another true object covers this one",
    "missed detection": "the object was not answered on the frames before",
    "swap": "the object's former identity is now on another object",
    "association": "the object was seen throughout, its identity changed all the same",
    "localisation": "an answer lies on the object, but too loosely to match",
    "duplicate": "a second answer lies on an object that is already matched",
    "background": "no true object is near",
    "out of view": "the object leaves the picture",
    "reappearance": "the object comes back",
}
"""What each cause in the table of events means."""
_OF_IDENTITY = ("association", "reid", "camera compensation")
_COVERED = 0.3
"""Share of a box under others from which a loss is put down to occlusion; a convention of ours."""
_NEAR = 0.1
"""Overlap below which an answer has nothing to do with an object (TIDE: Bolya et al., ECCV 2020)."""


@renamed(protocol="rule")
def events(
    tracks: Tracks, truth: Truth, rule: str | None = None, *, size: tuple[int, int] | None = None
) -> pd.DataFrame:
    """List every identity switch, fragment, false positive, loss and recovery of a multi-object answer.

    Args:
        tracks: What a tracker answered.
        truth: Ground-truth `Tracks`, or a sequence that has them.
        rule: Rule of the family `mot` by which both sides are prepared; default as in `evaluate`.
        size: (height, width) of the picture, to tell objects that leave it; default: the tracks' own.

    Returns:
        A DataFrame ordered by frame: frame (0-based), kind, object_id (of truth; <NA> for false positives),
        answer_id, previous_id (id before a switch), similarity, cause (see `CAUSES`).
    """
    import pandas as pd

    scene = _Scene.of(tracks, truth, rule, size)
    rows = [*scene.identity_rows(), *scene.presence_rows(), *scene.false_rows()]
    frame = pd.DataFrame(rows, columns=list(COLUMNS))
    for name in ("object_id", "answer_id", "previous_id"):
        frame[name] = frame[name].astype("Int64")
    return frame.sort_values(["frame", "kind", "object_id"], kind="stable", ignore_index=True)


@renamed(protocol="rule")
def component_points(
    tracks: Tracks,
    truth: Truth,
    rule: str | None = None,
    *,
    camera_motion: ArrayLike | None = None,
    metric: str = "HOTA",
) -> pd.DataFrame:
    """Points that each component would return if it were perfect, by substituting its oracle.

    - `detection`: misses are filled with the identity that the object had last, false positives vanish.
    - `localisation`: matched answers get the true box.
    - `association`: every matched answer gets one identity for each true object.
    - `reid`: only identities that changed after a gap are joined to the one that the object had for longest.
    - `camera compensation`: only identities that changed without a gap while the picture moved by more than a
      tenth of the object's size are joined so.

    Points are not additive: `reid` and `camera compensation` are parts of `association`, and errors that mask each
    other are returned by none of them alone. An oracle of identities never lowers AssA, which it is for: where joining
    helps no object, the answer stays as it is. An oracle may lower a metric that it is not for (`detection` IDF1).

    Args:
        tracks: What a tracker answered; boxes.
        truth: Ground-truth `Tracks`, or a sequence that has them.
        rule: Rule of the family `mot`.
        camera_motion: (T,) motion of the picture in pixels from the frame before; default: the median motion of
            true objects.
        metric: Name of the metric whose points are counted.

    Returns:
        DataFrame indexed by component: value (with that oracle), points (gain over the answer as it is).
    """
    import pandas as pd

    scene = _Scene.of(tracks, truth, rule, None)
    base = mot.evaluate(scene.pairs, vace=False).values()
    if metric not in base:
        raise InputError(f"There is no metric {metric!r} of many objects. {near(str(metric), base)}")
    motion = scene.median_motion() if camera_motion is None else _motion(camera_motion, scene.pairs.frames)
    gaps = scene.gaps()
    repaired = {
        "detection": scene.with_perfect_detection(),
        "localisation": scene.with_perfect_localisation(),
        "association": scene.with_perfect_association(),
        "reid": scene.with_joined(gaps > 0),
        "camera compensation": scene.with_joined((gaps == 0) & scene.shaken(motion)),
    }
    rows = {"as it is": (base[metric], 0.0)}
    for name, answer in repaired.items():
        found = mot.evaluate(scene.score_against(answer), vace=False).values()
        value = found[metric]
        if name in _OF_IDENTITY:
            value = max(value, base[metric]) if found["AssA"] >= base["AssA"] else base[metric]
        rows[name] = (value, value - base[metric])
    return pd.DataFrame.from_dict(rows, orient="index", columns=["value", "points"]).rename_axis("component")


def _motion(given: ArrayLike, frames: int) -> Array:
    """Motion of the picture on each frame, (frames,)."""
    try:
        motion = np.asarray(given, dtype=np.float64)
    except (TypeError, ValueError):
        raise InputError(f"Expected camera_motion as numbers of pixels, got {given!r}.") from None
    if motion.shape != (frames,):
        raise InputError(f"Expected camera_motion of {frames} frames, got shape {motion.shape}.")
    return motion


@dataclass(frozen=True)
class _Answer:
    """Rows of an answer that has been repaired."""

    frame: Ints
    object_id: Ints
    box: Array


@dataclass(frozen=True)
class _Scene:
    """A prepared sequence with the boxes of both sides and CLEAR's matches."""

    pairs: pairing.Pairs
    truth_box: Array
    answer_box: Array
    match: Ints
    similarity: Array
    previous: Ints
    size: tuple[int, int] | None

    @classmethod
    def of(cls, tracks: Tracks, truth: Truth, rule: str | None, size: tuple[int, int] | None) -> _Scene:
        case = Case.of(tracks, truth)
        by, true = FAMILY.rule_of(case, rule), case.truth
        pairs = pairs_of(case, by)
        previous = mot.previous_rows(pairs)
        match, similarity = mot.clear_matches(pairs, by.threshold, previous)
        boxes = (_boxes_of(side, rows) for side, rows in ((true, pairs.truth), (tracks, pairs.answer)))
        truth_box, answer_box = boxes
        return cls(
            pairs, truth_box, answer_box, match, similarity, previous, size or true.size or tracks.size
        )

    def identity_rows(self) -> list[tuple[Any, ...]]:
        """Identity switches with their causes."""
        now, before = mot.switches(self.pairs, self.match)
        gaps, covered = self.gaps(), self.coverage
        holder = {(int(self.pairs.truth.frame[r]), int(self.pairs.answer.track[self.match[r]])): r
                  for r in np.flatnonzero(self.match >= 0)}  # fmt: skip
        rows = []
        for row, last in zip(now.tolist(), before.tolist(), strict=True):
            frame = int(self.pairs.truth.frame[row])
            former = int(self.pairs.answer.track[self.match[last]])
            if (frame, former) in holder:
                cause = "swap"
            elif max(covered[row], covered[last]) > _COVERED:
                cause = "occlusion"
            else:
                cause = "missed detection" if gaps[row] > 0 else "association"
            rows.append(self._row(row, "id_switch", cause, previous=last))
        return rows

    def presence_rows(self) -> list[tuple[Any, ...]]:
        """Losses, recoveries, and fragments as CLEAR counts them: a match that does not follow on one, but the first."""
        rows = []
        found = self.match >= 0
        follows = np.where(self.previous >= 0, found[self.previous], False)
        for run in self._tracks_of_truth():
            matched = np.flatnonzero(found[run])
            lost = np.flatnonzero(found[run[:-1]] & ~found[run[1:]]) + 1
            rows += [self._row(int(run[i]), "loss", self._why_lost(int(run[i]))) for i in lost]
            for i in matched[1:].tolist():
                if follows[run[i]]:
                    continue
                gone = int(run[i - 1])
                cause = "reappearance" if found[gone] else self._why_lost(gone)
                rows.append(self._row(int(run[i]), "fragment", cause))
                if not found[gone]:
                    rows.append(self._row(int(run[i]), "recovery", "reappearance"))
        return rows

    def false_rows(self) -> list[tuple[Any, ...]]:
        """False positives with their causes."""
        taken = np.zeros(len(self.pairs.answer), bool)
        taken[self.match[self.match >= 0]] = True
        best, partner = np.zeros(len(taken)), np.full(len(taken), -1)
        order = np.argsort(self.pairs.similarity, kind="stable")
        best[self.pairs.a[order]], partner[self.pairs.a[order]] = (
            self.pairs.similarity[order],
            self.pairs.t[order],
        )
        rows = []
        for a in np.flatnonzero(~taken).tolist():
            if best[a] < _NEAR:
                cause = "background"
            else:
                cause = "duplicate" if self.match[partner[a]] >= 0 else "localisation"
            frame, name = int(self.pairs.answer.frame[a]), int(self.pairs.answer.object_id[a])
            rows.append((frame, "false_positive", None, name, None, float(best[a]), cause))
        return rows

    def _row(self, row: int, kind: str, cause: str, previous: int | None = None) -> tuple[Any, ...]:
        ids, match = self.pairs.answer.object_id, self.match
        return (
            int(self.pairs.truth.frame[row]),
            kind,
            int(self.pairs.truth.object_id[row]),
            int(ids[match[row]]) if match[row] >= 0 else None,
            None if previous is None else int(ids[match[previous]]),
            float(self.similarity[row]),
            cause,
        )

    def _why_lost(self, row: int) -> str:
        if self.coverage[row] > _COVERED:
            return "occlusion"
        if self.size is not None:
            x1, y1, x2, y2 = self.truth_box[row]
            if x1 < 0 or y1 < 0 or x2 > self.size[1] or y2 > self.size[0]:
                return "out of view"
        return "localisation" if self.best_similarity[row] >= _NEAR else "missed detection"

    @cached_property
    def coverage(self) -> Array:
        """Part of each true box that lies under the true box that covers it most and reaches further down."""
        return pairing.covered(self.pairs.truth.frame, self.truth_box)

    def gaps(self) -> Ints:
        """Frames for which each true object went unmatched before each of its rows (0: matched the frame before)."""
        out = np.zeros(len(self.pairs.truth), np.int64)
        for run in self._tracks_of_truth():
            frames, found = self.pairs.truth.frame[run], self.match[run] >= 0
            last = np.maximum.accumulate(np.where(found, frames, -1))
            before = np.concatenate([[-1], last[:-1]])
            out[run] = np.where(before >= 0, frames - before - 1, 0)
        return out

    def median_motion(self) -> Array:
        """Median motion of true objects from the frame before, in pixels (T,); 0 where none is on both frames."""
        rows = np.flatnonzero(self.previous >= 0)
        step = np.linalg.norm(
            box_centers(self.truth_box[rows]) - box_centers(self.truth_box[self.previous[rows]]), axis=1
        )
        out = np.zeros(self.pairs.frames)
        for frame in np.unique(self.pairs.truth.frame[rows]):
            out[frame] = np.median(step[self.pairs.truth.frame[rows] == frame])
        return out

    def shaken(self, motion: Array) -> NDArray[np.bool_]:
        """Rows of truth on frames on which the picture moved by more than a tenth of the object's size."""
        return motion[self.pairs.truth.frame] > 0.1 * np.sqrt(box_area(self.truth_box))

    @cached_property
    def best_similarity(self) -> Array:
        """Largest overlap of each true object with any answer."""
        best = np.zeros(len(self.pairs.truth))
        np.maximum.at(best, self.pairs.t, self.pairs.similarity)
        return best

    def _tracks_of_truth(self) -> list[Ints]:
        track = self.pairs.truth.track
        order = np.argsort(track, kind="stable")
        return np.split(order, np.flatnonzero(np.diff(track[order])) + 1) if len(order) else []

    def score_against(self, answer: _Answer) -> pairing.Pairs:
        """Pair truth with a repaired answer."""
        t = self.pairs.truth
        return pairing.pairs_of_boxes(
            (t.frame, t.object_id, self.truth_box),
            (answer.frame, answer.object_id, answer.box),
            self.pairs.frames,
        )

    def with_perfect_detection(self) -> _Answer:
        """Every true box is answered where it was matched as it was, elsewhere by truth; nothing else is."""
        ids, fresh = self._matched_ids(), int(self.pairs.answer.object_id.max(initial=0)) + 1
        for number, run in enumerate(self._tracks_of_truth()):
            known = np.flatnonzero(ids[run] >= 0)
            if not len(known):
                ids[run] = fresh + number
                continue
            nearest = known[np.clip(np.searchsorted(known, np.arange(len(run)), side="right") - 1, 0, None)]
            ids[run] = ids[run][nearest]
        box = np.where((self.match >= 0)[:, None], self.answer_box[self.match], self.truth_box)
        clash = np.ones(len(ids), bool)
        clash[_first_of_each(self.pairs.truth.frame, ids, self.match >= 0)] = False
        ids[clash] = fresh + self.pairs.truth.tracks + self.pairs.truth.track[clash]
        return _Answer(self.pairs.truth.frame, ids, box)

    def with_perfect_localisation(self) -> _Answer:
        """Matched answers lie on their true boxes."""
        found = self.match >= 0
        box = self.answer_box.copy()
        box[self.match[found]] = self.truth_box[found]
        return _Answer(self.pairs.answer.frame, self.pairs.answer.object_id, box)

    def with_perfect_association(self) -> _Answer:
        """Matched answers carry one identity for each true object, unlike any other."""
        ids = self.pairs.answer.object_id.copy()
        found = self.match >= 0
        ids[self.match[found]] = self.pairs.truth.track[found] + int(ids.max(initial=0)) + 1
        return _Answer(self.pairs.answer.frame, ids, self.answer_box)

    def with_joined(self, where: NDArray[np.bool_]) -> _Answer:
        """Identities that switch on the given rows of truth are joined.

        Each stretch of an object that such joins make gets the identity that the stretch had for longest. Whoever bears
        that identity on the same frame by mistake gets a new one.
        """
        ids = self.pairs.answer.object_id.copy()
        now, _ = mot.switches(self.pairs, self.match)
        switched = np.zeros(len(self.match), bool)
        switched[now] = True
        kept = np.zeros(len(ids), bool)
        for run in self._tracks_of_truth():
            rows = run[self.match[run] >= 0]
            for chain in np.split(rows, np.flatnonzero(switched[rows] & ~where[rows])):
                answers = self.match[chain]
                kept[answers] = True
                if switched[chain[1:]].any():
                    ids[answers] = _most_frequent(ids[answers])
        clash = np.ones(len(ids), bool)
        clash[_first_of_each(self.pairs.answer.frame, ids, kept)] = False
        ids[clash] += int(ids.max(initial=0)) + 1
        return _Answer(self.pairs.answer.frame, ids, self.answer_box)

    def _matched_ids(self) -> Ints:
        return np.where(self.match >= 0, self.pairs.answer.object_id[self.match], -1)


def _boxes_of(tracks: Tracks, rows: pairing.Rows) -> Array:
    """Boxes of the rows that are scored."""
    width = int(max(tracks.object_id.max(initial=0), 0)) + 1
    keys = tracks.frame * width + tracks.object_id
    order = np.argsort(keys, kind="stable")
    return tracks.boxes[order[np.searchsorted(keys[order], rows.frame * width + rows.object_id)]]


def _most_frequent(ids: Ints) -> int:
    """The identity that most of the rows bear; of several the one that comes first."""
    values, first, count = np.unique(ids, return_index=True, return_counts=True)
    return int(values[np.lexsort((first, -count))[0]])


def _first_of_each(frame: Ints, ids: Ints, preferred: NDArray[np.bool_]) -> Ints:
    """One row for each frame and identity, a preferred one where there is one."""
    order = np.lexsort((~preferred, ids, frame))
    same = (np.diff(frame[order]) == 0) & (np.diff(ids[order]) == 0)
    return np.sort(order[np.concatenate([[True], ~same])]) if len(order) else order


__all__ = ["CAUSES", "COLUMNS", "KINDS", "component_points", "events"]
