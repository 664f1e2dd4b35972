"""Masks that are matched with truth by their ids."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from vtlab.errors import InputError
from vtlab.masks import Mask
from vtlab.metrics import vos
from vtlab.metrics.families.base import Case, Family, Ints
from vtlab.metrics.per_frame import Judged
from vtlab.metrics.records import Metric
from vtlab.metrics.rules import VOS, VosRule
from vtlab.tracks import Tracks

_DAVIS = "Perazzi et al., DAVIS, CVPR 2016; Pont-Tuset et al., DAVIS 2017"
_METRICS = (
    Metric("J&F", "vos", "Mean of J and F", paper=_DAVIS),
    Metric("J", "vos", "Region similarity: overlap of masks", paper=_DAVIS),
    Metric("J_recall", "vos", "Frames with J above 0.5", paper=_DAVIS),
    Metric("J_decay", "vos", "Loss of J from the first to the last quarter", low=-1, higher_is_better=False, paper=_DAVIS),
    Metric("F", "vos", "Boundary accuracy", paper=_DAVIS),
    Metric("F_recall", "vos", "Frames with F above 0.5", paper=_DAVIS),
    Metric("F_decay", "vos", "Loss of F from the first to the last quarter", low=-1, higher_is_better=False, paper=_DAVIS),
)  # fmt: skip


@dataclass(frozen=True)
class _Object:
    """One object of truth: the frames that count, and the rows of both sides on them (-1: none)."""

    object_id: int
    frames: Ints
    truth: list[int]
    answer: list[int]


def _objects(case: Case, rule: VosRule) -> tuple[Tracks, Tracks, list[_Object]]:
    """Truth and answers with masks, and the objects that are scored."""
    truth, answers = _masked(case.truth.seen()), case.answers(rule)
    if truth.rle is None or not len(truth):
        raise InputError("The ground truth has no masks; score boxes with family='sot'.")
    if case.tracks.rle is None and len(case.tracks):
        raise InputError("The tracks have no masks; score boxes with family='sot'.")
    looked, objects = case.looked_at(), []
    # A benchmark may list the frames of each object (YouTube-VOS); one that never shows is judged, too.
    listed = {int(i): np.array(f) for i, f in (case.truth.meta.get("object_frames") or {}).items()}
    for object_id in case.object_ids(np.union1d(truth.object_ids, list(listed)).astype(np.int64)):
        true, found = _rows_of(truth, object_id), _rows_of(answers, object_id)
        own = listed.get(object_id)
        start = case.start(object_id, np.array([min(true)]) if own is None else own[:1])
        mine = looked if own is None else np.intersect1d(looked, own)
        frames = vos.counted_frames(mine, start, case.frames - 1, rule)
        rows = ([side.get(f, -1) for f in frames.tolist()] for side in (true, found))
        objects.append(_Object(object_id, frames, *rows))
    return truth, answers, objects


def _series(case: Case, rule: VosRule, tolerance: float | None) -> dict[int, vos.ObjectScores]:
    """J and F of each object over the frames that count; J alone without a tolerance."""
    truth, answers, objects = _objects(case, rule)
    return {
        o.object_id: vos.evaluate_object(
            _masks(answers, o.answer),
            _masks(truth, o.truth),
            None if case.ignore is None else (_void(case.ignore, f) for f in o.frames.tolist()),
            frames=o.frames.tolist(),
            tolerance=tolerance,
        )
        for o in objects
    }


def _score(case: Case, rule: VosRule) -> tuple[list[dict[str, float]], dict[int, dict[str, float]]]:
    values = {i: series.values() for i, series in _series(case, rule, rule.tolerance).items()}
    return list(values.values()), values if len(values) > 1 else {}


def _judge(case: Case, rule: VosRule) -> Judged:
    found = _series(case, rule, None)
    owner = np.repeat(list(found), [len(o.frames) for o in found.values()]).astype(np.int64)
    frames, values = (np.concatenate([getattr(o, n) for o in found.values()]) for n in ("frames", "j"))
    return Judged(frames, owner, owner, values)


def _masked(tracks: Tracks) -> Tracks:
    """The rows that have a mask."""
    return tracks if tracks.rle is None else tracks.take(np.array([r is not None for r in tracks.rle], bool))


def _masks(tracks: Tracks, rows: list[int]) -> Iterator[Mask | None]:
    return (tracks.mask(row) if row >= 0 else None for row in rows)


def _void(ignore: Tracks, frame: int) -> Mask | None:
    """Pixels of a frame that are not judged, or None."""
    found = list(ignore.masks_at(frame).values())
    return np.logical_or.reduce(found) if found else None


def _rows_of(tracks: Tracks, object_id: int) -> dict[int, int]:
    """Frame -> row of one object."""
    rows = np.flatnonzero(tracks.object_id == object_id)
    return dict(zip(tracks.frame[rows].tolist(), rows.tolist(), strict=True))


FAMILY = Family(
    code="vos",
    title="Masks (VOS)",
    short="masks",
    main="J&F",
    columns=("J&F", "J", "F"),
    listed=("J&F", "J", "J_recall", "J_decay", "F", "F_recall", "F_decay"),
    rules=VOS,
    default="davis",
    metrics=_METRICS,
    score=_score,
    combine=lambda counts: vos.combine(o for objects in counts for o in objects),
    judge=_judge,
    timeline_label="mean overlap of masks (J)",
    claims=lambda tracks, truth: tracks.rle is not None and truth.rle is not None,
    order=30,
)
