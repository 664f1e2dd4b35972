"""Between two key figures: what a tracker says from either of them, joined to one path.

A tracker drifts the further it is from the figure that it started at; between two figures there is one on either side.
Where both runs keep the object, each is bent so that it ends where the other one begins, and that of the nearer figure
counts the more. Where one of them lost it, they change over where they agree best; where they agree nowhere, the boxes lie
on the straight line between the figures and are marked as interpolated. Where neither sees the object it stays hidden.
Masks and points are never blended: each frame has those of one run. A row's score is at most what both runs overlap by
there: where they disagree, nobody is sure.

A tracker does no harm where all goes straight: how far the figures around lie from the straight line between their
neighbours tells what that line is worth here, and what the runs are apart tells what tracking is. The path is the mean of
both, weighted by the inverse of their squared errors.

Tracking between what a person drew, with interpolation where it fails, is that of Vondrick, Patterson and Ramanan,
"Efficiently Scaling up Crowdsourced Video Annotation", IJCV 2013; the rule of joining is this file's own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from vtlab.geometry import cxcywh_to_xyxy, paired_iou, xyxy_to_cxcywh
from vtlab.tracks import Tracks
from vtlab.tracks.points import keys

Array = NDArray[np.float64]
Ends = tuple[Array, Array, float]
"""Boxes of two figures, and the squared error of the straight line near them (see `_apart`; infinite: nobody knows)."""
Rows = NDArray[np.int64]

KEPT = 0.5
"""Overlap of a run's end with the other run's beginning from which it kept the object."""
MEET = 0.3
"""Overlap from which two runs may change over."""
ONE_SIDE = 0.5
"""How sure a frame is on which one run sees the object and the other doesn't."""
MIDDLE = 0.3
"""Overlap that changing over beside a figure must gain, against half way between two."""


def joined(
    forward: Tracks,
    backward: Tracks,
    figures: Mapping[int, Mapping[int, Array]],
    away: Iterable[tuple[int, int]],
) -> Tracks:
    """The rows of two runs as one table.

    Args:
        forward: Rows of the run forward from key figures.
        backward: Those of the run backward.
        figures: Object id -> frame -> box (4,) of the key figures between which both runs came all the way.
        away: (object id, frame) on which the object can't be seen: there a run ends to know where it is.
    """
    one, other = _Run(forward), _Run(backward)
    there = keys(forward.frame, forward.object_id)
    other.kept &= ~np.isin(keys(backward.frame, backward.object_id), there)
    absent: dict[int, list[int]] = {}
    for object_id, frame in away:
        absent.setdefault(object_id, []).append(frame)
    for object_id, boxes in figures.items():
        off = _off_the_line(boxes)
        for a, b in pairwise(sorted(boxes)):
            gap = min((f for f in absent.get(object_id, ()) if a < f < b), default=None)
            beside = [off[f] for f in (a, b) if f in off]
            ends = boxes[a], boxes[b], float(np.mean(beside)) if beside else np.inf
            if b - a > 1:
                _join((one, other), object_id, range(a, b + 1), gap, ends)
    return Tracks.concat([one.rows(), other.rows()], record=forward.record.replace(direction="both"))


class _Run:
    """The rows of a run: which of them are kept, and what they say then."""

    def __init__(self, tracks: Tracks):
        self.tracks, self.kept = tracks, np.ones(len(tracks), bool)
        self.boxes, self.source, self.visible, self.score = (
            v.copy() for v in (tracks.boxes, tracks.source, tracks.visible, tracks.score)
        )
        masked = [] if tracks.rle is None else [m is not None for m in tracks.rle]
        self.shaped = {*tracks.points.object_id.tolist(), *tracks.object_id[np.flatnonzero(masked)].tolist()}

    def at(self, object_id: int, frames: range) -> Rows:
        """Row of an object on each frame, -1 where it has none."""
        found = np.full(len(frames), -1, np.int64)
        mine = np.flatnonzero(self.tracks.object_id == object_id)
        mine = mine[np.isin(self.tracks.frame[mine], frames)]
        found[self.tracks.frame[mine] - frames.start] = mine
        return found

    def boxes_at(self, rows: Rows) -> Array:
        """Boxes of rows (N, 4), NaN where the object isn't seen."""
        found = np.full((len(rows), 4), np.nan)
        there = rows >= 0
        there[there] = self.tracks.visible[rows[there]]
        found[there] = self.tracks.boxes[rows[there]]
        return found

    def rows(self) -> Tracks:
        """Those that are kept."""
        new = self.tracks.replace(boxes=self.boxes, source=self.source, visible=self.visible)
        return new.replace(score=self.score).take(self.kept)


@dataclass
class _Path:
    """One path between two figures.

    Attributes:
        first: Whether a frame has the row of the run forward, (N,).
        boxes: Its box, (N, 4), NaN where that of the row stands.
        sure: What both runs overlap by, (N,), in [0, 1]; 1 where nobody sees the object.
        straight: Whether the boxes are those of the straight line.
    """

    first: NDArray[np.bool_]
    boxes: Array
    sure: Array
    straight: bool = False


def _join(runs: tuple[_Run, _Run], object_id: int, frames: range, gap: int | None, ends: Ends) -> None:
    """Join what both runs say of an object from one figure to the next, or up to a gap and after it."""
    one, other = runs
    mine, theirs = one.at(object_id, frames)[1:-1], other.at(object_id, frames)[1:-1]
    if gap is None:
        f, g = one.boxes_at(mine), other.boxes_at(theirs)
        path = _path(f, g, None if object_id in one.shaped | other.shaped else ends)
    else:
        before = np.arange(len(mine)) <= gap - frames.start - 1
        path = _Path(before, np.full((len(mine), 4), np.nan), np.ones(len(mine)))
    first = (path.first | (theirs < 0)) & (mine >= 0)
    _keep(one, mine, path, first)
    _keep(other, theirs, path, ~first)


def _keep(run: _Run, rows: Rows, path: _Path, chosen: NDArray[np.bool_]) -> None:
    """Keep a run's rows of the chosen frames, with the boxes of the path."""
    there = rows >= 0
    run.kept[rows[there]] = chosen[there]
    run.score[rows[there]] = np.minimum(run.score[rows[there]], path.sure[there])
    new = there & chosen & np.isfinite(path.boxes).all(1)
    run.boxes[rows[new]] = path.boxes[new]
    if path.straight:
        run.source[rows[new]], run.visible[rows[new]] = "interpolated", True


def _path(f: Array, g: Array, ends: Ends | None) -> _Path:
    """The path between two figures.

    Args:
        f: Boxes (N, 4) of the run forward on the frames between, NaN where it doesn't see the object.
        g: Those of the run backward.
        ends: The figures' boxes; None where boxes aren't all that there is, so that they can't be moved.
    """
    n = len(f)
    agree = np.nan_to_num(paired_iou(f, g))
    way = np.arange(1, n + 1)[:, None] / (n + 1)
    meet = int((agree - MIDDLE * np.abs(2 * way[:, 0] - 1)).argmax())
    seen, also = np.isfinite(f).all(1), np.isfinite(g).all(1)
    sure = np.where(seen & also, agree, np.where(seen | also, ONE_SIDE, 1.0))
    path = _Path(seen & ((np.arange(n) <= meet) | ~also), np.full((n, 4), np.nan), sure)
    if ends is None or not (seen & also).any():
        return path
    line = (1 - way) * ends[0] + way * ends[1]
    if agree[meet] < MEET:
        path.boxes, path.straight = line, True
        return path
    kept = min(agree[0], agree[-1]) >= KEPT
    path.boxes = _blended(_form(f), _form(g), way) if kept else _met(_form(f), _form(g), meet)
    # The runs and the line by the inverse of their squared errors, as independent guesses of one thing are joined: of the
    # runs it is what they are apart where they meet, of the line what it misses the figures on either side by.
    trust = 1 / (1 + _apart(f[meet], g[meet]) / max(ends[2], 1e-12))
    path.boxes = line + trust * (path.boxes - line)
    return path


def _off_the_line(boxes: Mapping[int, Array]) -> dict[int, float]:
    """Frame of each figure that has one on either side -> how far it is from the straight line between those."""
    found, at = {}, sorted(boxes)
    for a, f, b in zip(at, at[1:], at[2:], strict=False):
        way = (f - a) / (b - a)
        found[f] = _apart(boxes[f], (1 - way) * boxes[a] + way * boxes[b])
    return found


def _apart(a: Array, b: Array) -> float:
    """Mean square of what two boxes differ by: their centres in sizes of the first, and the logarithms of their sizes."""
    one, other = _form(a[None])[0], _form(b[None])[0]
    return float(np.mean(((other - one) / [*np.exp(one[2:]), 1, 1]) ** 2))


def _form(boxes: Array) -> Array:
    """Centre, and the logarithm of width and height."""
    found = xyxy_to_cxcywh(boxes)
    # Logarithms, so that growing and shrinking by a factor count the same; a box without a side has none.
    found[:, 2:] = np.log(np.maximum(found[:, 2:], 1e-3))
    return found


def _boxes(form: Array) -> Array:
    found = form.copy()
    found[:, 2:] = np.exp(found[:, 2:])
    return cxcywh_to_xyxy(found)


def _blended(f: Array, g: Array, way: Array) -> Array:
    """Each bent to end where the other begins, the nearer figure's counting the more; one where the other sees nothing."""
    f, g = f + way * (g[-1] - f[-1]), g + (1 - way) * (f[0] - g[0])
    both = (1 - way) * f + way * g
    return _boxes(np.where(np.isnan(f), g, np.where(np.isnan(g), f, both)))


def _met(f: Array, g: Array, meet: int) -> Array:
    """The one up to where they meet, then the other, each bent by half of what they are apart there."""
    n, off = len(f), (g[meet] - f[meet]) / 2
    number = np.arange(n)[:, None]
    f = f + off * np.minimum((number + 1) / (meet + 1), 1)
    g = g - off * np.minimum((n - number) / (n - meet), 1)
    first = number <= meet
    return _boxes(np.where(np.isnan(f) | (~first & ~np.isnan(g)), g, f))
