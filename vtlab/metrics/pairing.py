"""A multi-object sequence made ready to be scored: both sides as rows, and the similarity of the pairs that overlap.

Only pairs of the same frame that overlap are kept, in flat arrays of the whole sequence, so cost and memory follow what
overlaps, not all pairs of a crowd.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vtlab.errors import InputError
from vtlab.geometry import box_area
from vtlab.masks import Runs
from vtlab.metrics.assignment import max_weight_matching

Array = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]
_EPS = np.finfo(np.float64).eps
_TABLE = 20_000_000
"""Numbers that are told apart by a table of all that there could be, rather than by sorting."""


@dataclass(frozen=True)
class Rows:
    """One side of a sequence, a row for each object on each frame, ordered by frame.

    Attributes:
        frame: (N,) int64, 0-based.
        object_id: (N,) int64 as given.
        track: (N,) int64, the same identities numbered from 0 without gaps.
        tracks: Number of identities.
        source: (N,) int64, position of the row in the arrays that were given.
    """

    frame: Ints
    object_id: Ints
    track: Ints
    tracks: int
    source: Ints

    def __len__(self) -> int:
        return len(self.frame)

    def take(self, keep: Bools) -> Rows:
        """Return the rows where `keep` holds, identities numbered anew."""
        track, tracks = _dense(self.track[keep])
        return Rows(self.frame[keep], self.object_id[keep], track, tracks, self.source[keep])


@dataclass(frozen=True)
class Pairs:
    """A sequence ready to be scored: both sides, and the similarity of every pair that overlaps.

    Attributes:
        frames: Number of frames of the sequence.
        truth: Rows of the ground truth.
        answer: Rows of the tracker's output.
        t: (P,) row of truth of each pair.
        a: (P,) row of the answer of each pair.
        similarity: (P,) in (0, 1], usually IoU.
    """

    frames: int
    truth: Rows
    answer: Rows
    t: Ints
    a: Ints
    similarity: Array

    def select(self, truth: Bools | None = None, answer: Bools | None = None) -> Pairs:
        """Return the sequence with only the rows where the masks hold."""
        keep_t = np.ones(len(self.truth), bool) if truth is None else truth
        keep_a = np.ones(len(self.answer), bool) if answer is None else answer
        if keep_t.all() and keep_a.all():
            return self
        keep = keep_t[self.t] & keep_a[self.a]
        new_t, new_a = np.cumsum(keep_t) - 1, np.cumsum(keep_a) - 1
        return Pairs(
            self.frames,
            self.truth.take(keep_t),
            self.answer.take(keep_a),
            new_t[self.t[keep]],
            new_a[self.a[keep]],
            self.similarity[keep],
        )

    def best(self, minimum: float = 0.0) -> Ints:
        """Positions of the pairs that match each frame with maximal total similarity, among those >= `minimum`."""
        use = np.flatnonzero(self.similarity >= minimum - _EPS) if minimum else np.arange(len(self.t))
        picked = max_weight_matching(
            self.t[use], self.a[use], self.similarity[use], len(self.truth), len(self.answer)
        )
        return use[picked]


def pairs_of_boxes(
    truth: tuple[ArrayLike, ArrayLike, ArrayLike],
    answer: tuple[ArrayLike, ArrayLike, ArrayLike],
    frames: int | None = None,
) -> Pairs:
    """Pair boxes of the same frame that overlap, with their IoU.

    Candidates come from a sweep over sorted left edges, so a crowd costs what overlaps in x, not all pairs.

    Args:
        truth: `(frame, object_id, boxes)` of the truth: (N,), (N,), (N, 4) xyxy.
        answer: The same of the tracker.
        frames: Number of frames of the sequence; default: up to the last row.

    Raises:
        InputError: Shapes differ, an id is repeated within a frame, or a frame lies outside the sequence.
    """
    t_frame, t_id, t_box = _columns(*truth, "truth")
    a_frame, a_id, a_box = _columns(*answer, "answer")
    last = max(t_frame.max(initial=-1), a_frame.max(initial=-1))
    frames = int(last) + 1 if frames is None else frames
    if last >= frames:
        raise InputError(f"Frame {last} (0-based) lies outside the sequence of {frames} frames.")
    # Frames are laid side by side along x, 2 px apart, so that one sweep serves all and no two of them touch.
    low = min(t_box[0].min(initial=0.0), a_box[0].min(initial=0.0))
    span = max(t_box[2].max(initial=0.0), a_box[2].max(initial=0.0)) - low + 2.0
    t_order = np.argsort(t_frame * span + (t_box[0] - low), kind="stable")
    a_order = np.argsort(a_frame * span + (a_box[0] - low), kind="stable")
    rows_t, rows_a = _rows(t_frame, t_id, t_order, "truth"), _rows(a_frame, a_id, a_order, "answer")
    t_box, a_box = t_box[:, t_order], a_box[:, a_order]
    t, a = _overlapping_in_x(rows_t.frame * span - low, t_box, rows_a.frame * span - low, a_box)
    t, a, similarity = _iou(t, a, t_box, a_box)
    return Pairs(frames, rows_t, rows_a, t, a, similarity)


def intersections(iou: Array, area: Array, other: Array) -> Array:
    """Areas (P,) that pairs of boxes share, of their IoU and their areas, (P,) each."""
    # From s = i / (a + b - i) follows i = s / (1 + s) * (a + b).
    return iou / (1 + iou) * (area + other)


def covered(frame: Ints, boxes: Array) -> Array:
    """Part (N,) of each box (N, 4) that lies under the box of its frame that covers it most and reaches further down."""
    side = (frame, np.arange(len(frame)), boxes)
    pairs = pairs_of_boxes(side, side)
    i, j = pairs.truth.source[pairs.t], pairs.answer.source[pairs.a]
    # Who stands lower in the picture stands nearer, on one ground below the camera.
    keep = (i != j) & (boxes[j, 3] >= boxes[i, 3])
    i, j, area, out = i[keep], j[keep], box_area(boxes), np.zeros(len(boxes))
    shared = intersections(pairs.similarity[keep], area[i], area[j])
    np.maximum.at(out, i, shared / np.maximum(area[i], 1e-9))
    return out


def pairs_of_similarity(
    truth: tuple[ArrayLike, ArrayLike],
    answer: tuple[ArrayLike, ArrayLike],
    t: ArrayLike,
    a: ArrayLike,
    similarity: ArrayLike,
    *,
    frames: int | None = None,
) -> Pairs:
    """Make a sequence from similarities computed elsewhere (masks, distances).

    Args:
        truth: `(frame, object_id)` of the truth.
        answer: `(frame, object_id)` of the tracker.
        t: (P,) row of truth of each pair of the same frame.
        a: (P,) row of the answer of each pair.
        similarity: (P,) in [0, 1]; pairs with 0 are dropped.
        frames: Number of frames of the sequence.

    Raises:
        InputError: An id is repeated within a frame, or a pair joins different frames.
    """
    t_frame, t_id = (np.asarray(x, dtype=np.int64) for x in truth)
    a_frame, a_id = (np.asarray(x, dtype=np.int64) for x in answer)
    t, a = np.asarray(t, dtype=np.int64), np.asarray(a, dtype=np.int64)
    similarity = np.asarray(similarity, dtype=np.float64)
    if (t_frame[t] != a_frame[a]).any():
        raise InputError("A pair joins a row of truth and an answer of different frames.")
    t_order, a_order = np.argsort(t_frame, kind="stable"), np.argsort(a_frame, kind="stable")
    last = int(max(t_frame.max(initial=-1), a_frame.max(initial=-1)))
    new_t, new_a = np.empty_like(t_order), np.empty_like(a_order)
    new_t[t_order], new_a[a_order] = np.arange(len(t_order)), np.arange(len(a_order))
    keep = similarity > 0
    return Pairs(
        last + 1 if frames is None else frames,
        _rows(t_frame, t_id, t_order, "truth"),
        _rows(a_frame, a_id, a_order, "answer"),
        new_t[t[keep]],
        new_a[a[keep]],
        similarity[keep],
    )


def preprocess(
    pairs: Pairs, counted: ArrayLike, distractor: ArrayLike | None = None, covered: ArrayLike | None = None
) -> Pairs:
    """Remove what a benchmark does not score: answers on distractors or in ignore regions, then uncounted truth.

    Args:
        pairs: The whole sequence, all classes.
        counted: (N,) bool for the rows of truth in the order given: it is scored (right class, flag not 0).
        distractor: (N,) bool: an answer matched to this row (similarity >= 0.5) is removed.
        covered: (M,) bool for the answer's rows: it lies in an ignore region, so it is removed unless it matches
            a counted row (MOTS).

    Returns:
        The sequence that is to be scored.
    """
    keep = np.asarray(counted, dtype=bool)[pairs.truth.source]
    taken = np.ones(len(pairs.answer), bool)
    if distractor is not None and np.any(distractor):
        # All truth takes part: an answer that suits a counted object better than a distractor stays.
        best = pairs.best(0.5)
        taken[pairs.a[best[np.asarray(distractor, dtype=bool)[pairs.truth.source][pairs.t[best]]]]] = False
    pairs = pairs.select(keep, taken)
    if covered is None or not np.any(covered):
        return pairs
    matched = np.zeros(len(pairs.answer), bool)
    matched[pairs.a[pairs.best(0.5)]] = True
    return pairs.select(answer=matched | ~np.asarray(covered, dtype=bool)[pairs.answer.source])


def pairs_of_masks(
    truth: tuple[ArrayLike, ArrayLike, Sequence[bytes | None]],
    answer: tuple[ArrayLike, ArrayLike, Sequence[bytes | None]],
    size: tuple[int, int],
    frames: int | None = None,
) -> Pairs:
    """Pair masks of the same frame that overlap, with their IoU.

    Args:
        truth: `(frame, object_id, masks)` of the truth, masks as COCO's compressed counts.
        answer: The same of the tracker.
        size: (height, width) of the masks.
        frames: Number of frames of the sequence; default: up to the last row.

    Raises:
        InputError: An encoded mask is damaged or of another size; as `pairs_of_boxes`.
    """
    t_frame, a_frame = (np.asarray(side[0], dtype=np.int64) for side in (truth, answer))
    t_runs, a_runs = (
        Runs.of(side[2], *size, name=f"{what}, mask {{}}".format)
        for side, what in ((truth, "truth"), (answer, "answer"))
    )
    t_boxes, a_boxes = t_runs.boxes(), a_runs.boxes()
    t_rows, a_rows = (np.flatnonzero(np.isfinite(boxes[:, 0])) for boxes in (t_boxes, a_boxes))
    near = pairs_of_boxes(
        (t_frame[t_rows], t_rows, t_boxes[t_rows]), (a_frame[a_rows], a_rows, a_boxes[a_rows])
    )
    t, a = near.truth.object_id[near.t], near.answer.object_id[near.a]
    order = np.lexsort((a, t, t_frame[t]))
    t, a = t[order], a[order]
    common = t_runs.intersection(a_runs, t, a)
    similarity = common / (t_runs.areas()[t] + a_runs.areas()[a] - common)
    return pairs_of_similarity(truth[:2], answer[:2], t, a, similarity, frames=frames)


def _columns(frame: ArrayLike, object_id: ArrayLike, boxes: ArrayLike, what: str) -> tuple[Ints, Ints, Array]:
    frame, object_id = np.asarray(frame, dtype=np.int64), np.asarray(object_id, dtype=np.int64)
    box = np.asarray(boxes, dtype=np.float64).reshape(-1, 4)
    if not frame.shape == object_id.shape == (len(box),):
        raise InputError(
            f"{what}: frame {frame.shape}, object_id {object_id.shape} and boxes {box.shape} differ in length."
        )
    if not np.isfinite(box).all():
        raise InputError(f"{what}: a box has an edge that is no number. Leave out objects without a box.")
    if frame.min(initial=0) < 0:
        raise InputError(f"{what}: frames count from 0, got {frame.min()}.")
    return frame, object_id, np.ascontiguousarray(box.T)


def _rows(frame: Ints, object_id: Ints, order: Ints, what: str) -> Rows:
    frame, object_id = frame[order], object_id[order]
    track, tracks = _dense(object_id)
    last = int(frame.max(initial=-1)) + 1
    # A table of all tracks by all frames only in proportion to the rows: few ids may span very many frames.
    seen = np.bincount(track * last + frame, minlength=1) if tracks * last < 50 * len(frame) + 1000 else None
    if seen is None:
        _, where, seen = np.unique(track * last + frame, return_index=True, return_counts=True)
    if len(frame) and seen.max() > 1:
        _, where, count = np.unique(track * last + frame, return_index=True, return_counts=True)
        row = where[count > 1][0]
        raise InputError(f"{what}: the id {object_id[row]} is repeated in frame {frame[row]} (0-based).")
    return Rows(frame, object_id, track, tracks, order)


def _dense(values: Ints) -> tuple[Ints, int]:
    """Number the distinct values from 0 in ascending order."""
    if not len(values):
        return values, 0
    low, high = int(values.min()), int(values.max())
    if high - low >= _TABLE:  # ids of 64 bits, whose difference may need one more
        unique, index = np.unique(values, return_inverse=True)
    else:
        unique, index = compact(values - low, high - low + 1)
    return index, len(unique)


def compact(key: Ints, bound: int) -> tuple[Ints, Ints]:
    """`np.unique(key, return_inverse=True)` for keys in [0, bound), by a table where that is small enough."""
    if bound > _TABLE:
        unique, index = np.unique(key, return_inverse=True)
        return unique, index
    table = np.zeros(bound, bool)
    table[key] = True
    unique = np.flatnonzero(table)
    number = np.empty(bound, np.int32)
    number[unique] = np.arange(len(unique))
    return unique, number[key].astype(np.int64)


def stable_order(values: Ints, bound: int) -> Ints:
    """Stable argsort; small integers are sorted by radix."""
    # NumPy's stable sort is a radix sort for integers of 16 bits and less only.
    small = values.astype(np.uint16) if bound <= 65536 else values
    return np.argsort(small, kind="stable")


def _overlapping_in_x(t_base: Array, t_box: Array, a_base: Array, a_box: Array) -> tuple[Ints, Ints]:
    """Rows of the same frame whose x extents overlap; both sides sorted by frame and left edge."""
    t_left, a_left = t_base + t_box[0], a_base + a_box[0]
    # The keys are rounded, the more the larger they are; candidates are checked exactly below.
    slack = 1e-6 + 16 * _EPS * max(np.abs(t_left).max(initial=0.0), np.abs(a_left).max(initial=0.0))
    t1, a1 = _ranges(a_left, t_left - slack, t_base + t_box[2] + slack)
    first = (a_box[0][a1] >= t_box[0][t1]) & (a_box[0][a1] < t_box[2][t1])
    a2, t2 = _ranges(t_left, a_left - slack, a_base + a_box[2] + slack)
    # Strictly, so that a pair of equal left edges is found once.
    second = (t_box[0][t2] > a_box[0][a2]) & (t_box[0][t2] < a_box[2][a2])
    return np.concatenate([t1[first], t2[second]]), np.concatenate([a1[first], a2[second]])


def _ranges(keys: Array, low: Array, high: Array) -> tuple[Ints, Ints]:
    """For each interval [low, high) the positions of the sorted `keys` in it, flattened: interval, position."""
    start, stop = np.searchsorted(keys, low), np.searchsorted(keys, high)
    count = np.maximum(stop - start, 0)
    owner = np.repeat(np.arange(len(low)), count)
    return owner, np.arange(len(owner)) + np.repeat(start - np.cumsum(count) + count, count)


def _iou(t: Ints, a: Ints, t_box: Array, a_box: Array) -> tuple[Ints, Ints, Array]:
    height = np.minimum(t_box[3][t], a_box[3][a]) - np.maximum(t_box[1][t], a_box[1][a])
    keep = height > 0
    t, a, height = t[keep], a[keep], height[keep]
    inter = height * (np.minimum(t_box[2][t], a_box[2][a]) - np.maximum(t_box[0][t], a_box[0][a]))
    area_t, area_a = ((b[2] - b[0]) * (b[3] - b[1]) for b in (t_box, a_box))
    with np.errstate(invalid="ignore", divide="ignore"):
        similarity = inter / (area_t[t] + area_a[a] - inter)
    # TrackEval's epsilon: a box without area overlaps nothing.
    keep = (inter > 0) & (area_t[t] > _EPS) & (area_a[a] > _EPS)
    return t[keep], a[keep], similarity[keep]
