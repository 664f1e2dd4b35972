"""Multi-object metrics: HOTA, CLEAR, Identity, VACE, Count and Track-mAP, on flat arrays of a whole sequence.

Only pairs of truth and answer that overlap are kept; counts are sums, divided last, so sequences, classes and
bootstrap samples combine by adding. Numbers agree with TrackEval 1.3.0 (MIT) to rounding.

Papers: Luiten et al., "HOTA", IJCV 2021; Bernardin and Stiefelhagen, "CLEAR MOT", 2008; Ristani et al.,
"Performance Measures and a Data Set for Multi-Target, Multi-Camera Tracking" (Identity), 2016; Manohar et al.,
"Performance Evaluation of Object Detection and Tracking in Video" (VACE), 2006; Yang et al., "Video Instance
Segmentation" (Track-mAP), ICCV 2019.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vtlab.errors import InputError
from vtlab.metrics.assignment import components, max_weight_matching, solve_component

Array = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

ALPHAS: Array = np.arange(0.05, 0.99, 0.05)
"""The 19 similarity thresholds over which HOTA is averaged: 0.05, 0.10, ..., 0.95."""
_EPS = np.finfo(np.float64).eps


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
    low = min(t_box[0].min(initial=0.0), a_box[0].min(initial=0.0))
    span = max(t_box[2].max(initial=0.0), a_box[2].max(initial=0.0)) - low + 2.0
    t_order = np.argsort(t_frame * span + (t_box[0] - low), kind="stable")
    a_order = np.argsort(a_frame * span + (a_box[0] - low), kind="stable")
    rows_t, rows_a = _rows(t_frame, t_id, t_order, "truth"), _rows(a_frame, a_id, a_order, "answer")
    t_box, a_box = t_box[:, t_order], a_box[:, a_order]
    t, a = _overlapping_in_x(rows_t.frame * span - low, t_box, rows_a.frame * span - low, a_box)
    t, a, similarity = _iou(t, a, t_box, a_box)
    return Pairs(frames, rows_t, rows_a, t, a, similarity)


def pairs_of_similarity(
    truth: tuple[ArrayLike, ArrayLike],
    answer: tuple[ArrayLike, ArrayLike],
    t: ArrayLike,
    a: ArrayLike,
    similarity: ArrayLike,
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
        best = pairs.best(0.5)
        taken[pairs.a[best[np.asarray(distractor, dtype=bool)[pairs.truth.source][pairs.t[best]]]]] = False
    pairs = pairs.select(keep, taken)
    if covered is None or not np.any(covered):
        return pairs
    matched = np.zeros(len(pairs.answer), bool)
    matched[pairs.a[pairs.best(0.5)]] = True
    return pairs.select(answer=matched | ~np.asarray(covered, dtype=bool)[pairs.answer.source])


def pairs_of_masks(
    truth: tuple[ArrayLike, ArrayLike, Sequence[bytes]],
    answer: tuple[ArrayLike, ArrayLike, Sequence[bytes]],
    size: tuple[int, int],
    frames: int | None = None,
) -> Pairs:
    """Pair masks of the same frame that overlap, with their IoU.

    Args:
        truth: `(frame, object_id, masks)` of the truth, masks as COCO's compressed counts.
        answer: The same of the tracker.
        size: (height, width) of the masks.
        frames: Number of frames of the sequence; default: up to the last row.
    """
    from pycocotools import mask as coco

    t_frame, a_frame = (np.asarray(side[0], dtype=np.int64) for side in (truth, answer))
    t_order, a_order = np.argsort(t_frame, kind="stable"), np.argsort(a_frame, kind="stable")
    t, a, similarity = [np.empty(0, np.int64)], [np.empty(0, np.int64)], [np.empty(0)]
    for frame in np.intersect1d(t_frame, a_frame).tolist():
        t_rows = t_order[slice(*np.searchsorted(t_frame[t_order], (frame, frame + 1)))]
        a_rows = a_order[slice(*np.searchsorted(a_frame[a_order], (frame, frame + 1)))]
        t_rle = [{"size": list(size), "counts": truth[2][i]} for i in t_rows]
        a_rle = [{"size": list(size), "counts": answer[2][i]} for i in a_rows]
        iou = np.asarray(coco.iou(t_rle, a_rle, [0] * len(a_rle)))
        i, j = np.nonzero(iou)
        t.append(t_rows[i])
        a.append(a_rows[j])
        similarity.append(iou[i, j])
    return pairs_of_similarity(
        truth[:2], answer[:2], np.concatenate(t), np.concatenate(a), np.concatenate(similarity), frames
    )


@dataclass(frozen=True)
class Counts:
    """What one sequence (or a sum of sequences) adds to every metric; arrays run over `ALPHAS`.

    Attributes:
        HOTA_TP: Matches at each threshold.
        HOTA_FN: Missed truth at each threshold.
        HOTA_FP: Answers without truth at each threshold.
        LocA_sum: Sum of the similarity of matches.
        AssA_sum: Sum over matches of their association accuracy; likewise `AssRe_sum`, `AssPr_sum`.
        CLR_TP: Matches of CLEAR; likewise `CLR_FN`, `CLR_FP`, `IDSW`, `Frag`, `MT`, `PT`, `ML`.
        MOTP_sum: Sum of the similarity of CLEAR's matches.
        IDTP: Identity's matches; likewise `IDFN`, `IDFP`.
        Dets: Boxes of the tracker; `GT_Dets` of truth; `IDs`, `GT_IDs` identities; `Frames`.
        STDA: Sum of temporal overlaps of matched tracks (VACE).
        FDA: Sum over frames of frame detection accuracy (VACE); `busy_frames` frames with any box.
    """

    HOTA_TP: Array = field(default_factory=lambda: np.zeros(19))
    HOTA_FN: Array = field(default_factory=lambda: np.zeros(19))
    HOTA_FP: Array = field(default_factory=lambda: np.zeros(19))
    LocA_sum: Array = field(default_factory=lambda: np.zeros(19))
    AssA_sum: Array = field(default_factory=lambda: np.zeros(19))
    AssRe_sum: Array = field(default_factory=lambda: np.zeros(19))
    AssPr_sum: Array = field(default_factory=lambda: np.zeros(19))
    CLR_TP: float = 0
    CLR_FN: float = 0
    CLR_FP: float = 0
    IDSW: float = 0
    Frag: float = 0
    MT: float = 0
    PT: float = 0
    ML: float = 0
    MOTP_sum: float = 0
    IDTP: float = 0
    IDFN: float = 0
    IDFP: float = 0
    Dets: float = 0
    GT_Dets: float = 0
    IDs: float = 0
    GT_IDs: float = 0
    Frames: float = 0
    STDA: float = 0
    FDA: float = 0
    busy_frames: float = 0

    def __add__(self, other: Counts) -> Counts:
        return Counts(**{f.name: getattr(self, f.name) + getattr(other, f.name) for f in fields(self)})

    def hota_curves(self) -> dict[str, Array]:
        """Return HOTA and its parts at each of `ALPHAS`."""
        tp, fn, fp = self.HOTA_TP, self.HOTA_FN, self.HOTA_FP
        matches = np.maximum(1.0, tp)
        out = {
            "DetA": tp / np.maximum(1.0, tp + fn + fp),
            "DetRe": tp / np.maximum(1.0, tp + fn),
            "DetPr": tp / np.maximum(1.0, tp + fp),
            "AssA": self.AssA_sum / matches,
            "AssRe": self.AssRe_sum / matches,
            "AssPr": self.AssPr_sum / matches,
            "LocA": np.maximum(1e-10, self.LocA_sum) / np.maximum(1e-10, tp),
        }
        out["HOTA"] = np.sqrt(out["DetA"] * out["AssA"])
        out["OWTA"] = np.sqrt(out["DetRe"] * out["AssA"])
        return out

    def values(self) -> dict[str, float]:
        """Return every metric by its paper's name, fractions 0-1 or counts."""
        out = self.hota_values()
        out.update(self._clear_values())
        out.update(self._identity_values())
        ids, busy = self.IDs + self.GT_IDs, self.busy_frames
        out["ATA"] = self.STDA / (0.5 * ids) if ids else np.nan
        out["SFDA"] = self.FDA / busy if busy else np.nan
        for name in ("Dets", "GT_Dets", "IDs", "GT_IDs", "Frames"):
            out[name] = float(getattr(self, name))
        return out

    def hota_values(self) -> dict[str, float]:
        """Return HOTA and its parts, averaged over `ALPHAS`, and at the lowest threshold."""
        curves = self.hota_curves()
        names = ("HOTA", "DetA", "AssA", "DetRe", "DetPr", "AssRe", "AssPr", "LocA", "OWTA")
        out = {name: float(curves[name].mean()) for name in names}
        out["HOTA(0)"], out["LocA(0)"] = float(curves["HOTA"][0]), float(curves["LocA"][0])
        out["HOTALocA(0)"] = out["HOTA(0)"] * out["LocA(0)"]
        return out

    def _clear_values(self) -> dict[str, float]:
        tp, fn, fp, switches = self.CLR_TP, self.CLR_FN, self.CLR_FP, self.IDSW
        truth, tracks = max(1.0, tp + fn), max(1.0, self.MT + self.PT + self.ML)
        log_switches = np.log10(switches) if switches > 0 else 0.0
        return {
            "MOTA": (tp - fp - switches) / truth,
            "MOTP": self.MOTP_sum / max(1.0, tp),
            "MODA": (tp - fp) / truth,
            "sMOTA": (self.MOTP_sum - fp - switches) / truth,
            "MOTAL": float((tp - fp - log_switches) / truth),
            "CLR_Re": tp / truth,
            "CLR_Pr": tp / max(1.0, tp + fp),
            "CLR_F1": tp / max(1.0, tp + 0.5 * fn + 0.5 * fp),
            "FP_per_frame": fp / max(1.0, self.Frames),
            "MTR": self.MT / tracks,
            "PTR": self.PT / tracks,
            "MLR": self.ML / tracks,
            **{
                n: float(getattr(self, n))
                for n in ("CLR_TP", "CLR_FN", "CLR_FP", "IDSW", "Frag", "MT", "PT", "ML")
            },
        }

    def _identity_values(self) -> dict[str, float]:
        tp, fn, fp = self.IDTP, self.IDFN, self.IDFP
        return {
            "IDF1": tp / max(1.0, tp + 0.5 * fp + 0.5 * fn),
            "IDR": tp / max(1.0, tp + fn),
            "IDP": tp / max(1.0, tp + fp),
            "IDTP": float(tp),
            "IDFN": float(fn),
            "IDFP": float(fp),
        }


def evaluate(pairs: Pairs, *, threshold: float = 0.5, vace: bool = True) -> Counts:
    """Score one sequence: HOTA, CLEAR, Identity, Count and VACE.

    Args:
        pairs: The sequence.
        threshold: Similarity from which CLEAR, Identity and VACE take a pair for a match.
        vace: Also compute VACE, which needs a matching of its own.

    Returns:
        Counts; add those of several sequences, then call `values()`.
    """
    tally = _Tally.of(pairs)
    parts: dict[str, Any] = {
        **_hota(pairs, tally),
        **_clear(pairs, threshold),
        **_identity(pairs, tally, threshold),
    }
    if vace:
        parts.update(_vace(pairs, tally, threshold))
    return Counts(
        Dets=len(pairs.answer),
        GT_Dets=len(pairs.truth),
        IDs=pairs.answer.tracks,
        GT_IDs=pairs.truth.tracks,
        Frames=pairs.frames,
        **parts,
    )


def combine(parts: Iterable[Counts]) -> Counts:
    """Add the counts of sequences (or of classes, weighing each by its detections)."""
    total = Counts()
    for part in parts:
        total = total + part
    return total


@dataclass(frozen=True)
class CountStack:
    """Counts of many sequences, field by field, so that any selection is added quickly."""

    columns: dict[str, Array]

    @classmethod
    def of(cls, parts: Sequence[Counts]) -> CountStack:
        """Stack the counts of sequences."""
        return cls({f.name: np.array([getattr(p, f.name) for p in parts], float) for f in fields(Counts)})

    def combine(self, index: Ints) -> Counts:
        """Add the counts at `index`; repeats are allowed."""
        return Counts(**{name: column[index].sum(axis=0) for name, column in self.columns.items()})


def class_average(classes: Iterable[Counts]) -> dict[str, float]:
    """Average the metrics of classes, each class weighing the same; counts are summed. Empty classes are left out."""
    rows = [c.values() for c in classes if c.GT_Dets or c.Dets]
    if not rows:
        return Counts().values()
    return {
        k: float(np.sum([r[k] for r in rows]) if k in COUNTED else np.mean([r[k] for r in rows]))
        for k in rows[0]
    }


COUNTED = frozenset(
    (
        *("CLR_TP", "CLR_FN", "CLR_FP", "IDSW", "Frag", "MT", "PT", "ML", "IDTP", "IDFN", "IDFP"),
        *("Dets", "GT_Dets", "IDs", "GT_IDs", "Frames"),
    )
)
"""Names of metrics that are counts, without an upper bound."""


@dataclass(frozen=True)
class _Tally:
    """Pairs of tracks that ever overlap: `index` (P,) of each pair, and the two tracks of each such pair."""

    index: Ints
    t: Ints
    a: Ints
    length_t: Array
    length_a: Array

    @classmethod
    def of(cls, pairs: Pairs) -> _Tally:
        width = max(pairs.answer.tracks, 1)
        key = pairs.truth.track[pairs.t] * width + pairs.answer.track[pairs.a]
        unique, index = _compact(key, pairs.truth.tracks * width)
        lengths = (
            np.bincount(s.track, minlength=s.tracks).astype(np.float64) for s in (pairs.truth, pairs.answer)
        )
        return cls(index, unique // width, unique % width, *lengths)

    @property
    def total(self) -> Array:
        return self.length_t[self.t] + self.length_a[self.a]


def _hota(pairs: Pairs, tally: _Tally) -> dict[str, Array]:
    t, a, sim, n = pairs.t, pairs.a, pairs.similarity, len(tally.t)
    around = np.bincount(t, sim, len(pairs.truth))[t] + np.bincount(a, sim, len(pairs.answer))[a] - sim
    potential = np.bincount(tally.index, sim / around, n)
    alignment = potential / (tally.total - potential)
    chosen = max_weight_matching(t, a, alignment[tally.index] * sim, len(pairs.truth), len(pairs.answer))
    sim, index = sim[chosen], tally.index[chosen]
    reached = np.searchsorted(ALPHAS - _EPS, sim, side="right")
    tp = _at_least(np.bincount(reached, minlength=20))
    matched = np.bincount(index * 20 + reached, minlength=n * 20).reshape(n, 20)
    matched = matched[:, ::-1].cumsum(axis=1)[:, -2::-1].astype(np.float64)
    squared = matched * matched
    return {
        "HOTA_TP": tp,
        "HOTA_FN": len(pairs.truth) - tp,
        "HOTA_FP": len(pairs.answer) - tp,
        "LocA_sum": _at_least(np.bincount(reached, sim, 20)),
        "AssA_sum": (squared / np.maximum(1.0, tally.total[:, None] - matched)).sum(axis=0),
        "AssRe_sum": (squared / tally.length_t[tally.t, None]).sum(axis=0),
        "AssPr_sum": (squared / tally.length_a[tally.a, None]).sum(axis=0),
    }


def _at_least(histogram: Array | Ints) -> Array:
    """From counts of 'reached k thresholds' to counts of 'reached at least threshold k', k = 1 ... 19."""
    return histogram[::-1].cumsum()[-2::-1].astype(np.float64)


def _clear(pairs: Pairs, threshold: float) -> dict[str, float]:
    if not len(pairs.truth) or not len(pairs.answer):
        return {"CLR_FN": len(pairs.truth), "CLR_FP": len(pairs.answer), "ML": pairs.truth.tracks}
    previous = previous_rows(pairs)
    match, similarity = clear_matches(pairs, threshold, previous)
    found = match >= 0
    track = pairs.truth.track
    ratio = np.bincount(track[found], minlength=pairs.truth.tracks) / np.bincount(track)
    mostly, partly = int((ratio > 0.8).sum()), int((ratio >= 0.2).sum())
    started = found & ~np.where(previous >= 0, found[previous], False)
    starts = np.bincount(track[started], minlength=pairs.truth.tracks)
    tp = int(found.sum())
    return {
        "CLR_TP": tp,
        "CLR_FN": len(pairs.truth) - tp,
        "CLR_FP": len(pairs.answer) - tp,
        "IDSW": int(switches(pairs, match)[0].size),
        "Frag": int((starts[starts > 0] - 1).sum()),
        "MT": mostly,
        "PT": partly - mostly,
        "ML": pairs.truth.tracks - partly,
        "MOTP_sum": float(similarity[found].sum()),
    }


def clear_matches(pairs: Pairs, threshold: float, previous: Ints | None = None) -> tuple[Ints, Array]:
    """Match frame by frame as CLEAR does: keep last frame's partners first, then maximise similarity.

    The past matters only where pairs compete; all others are matched at once.

    Returns:
        For each row of truth the matched row of the answer (-1: none), and its similarity (0: none).
    """
    previous = previous_rows(pairs) if previous is None else previous
    close = np.flatnonzero(pairs.similarity >= threshold - _EPS)
    t, a, sim = pairs.t[close], pairs.a[close], pairs.similarity[close]
    match, similarity = np.full(len(pairs.truth), -1), np.zeros(len(pairs.truth))
    alone = (np.bincount(t, minlength=len(pairs.truth))[t] == 1) & (
        np.bincount(a, minlength=len(pairs.answer))[a] == 1
    )
    match[t[alone]], similarity[t[alone]] = a[alone], sim[alone]
    crowded = np.flatnonzero(~alone)
    crowded = crowded[np.argsort(pairs.truth.frame[t[crowded]], kind="stable")]
    groups = components(t[crowded], a[crowded], len(pairs.truth), len(pairs.answer))
    groups.sort(key=lambda g: g[0])
    # Plain lists: a group has few pairs, and there are thousands of groups.
    rows, cols, weight = t[crowded].tolist(), a[crowded].tolist(), sim[crowded].tolist()
    before, track, found = previous.tolist(), pairs.answer.track.tolist(), match.tolist()
    for group in groups:
        held = [found[before[rows[k]]] if before[rows[k]] >= 0 else -1 for k in group]
        value = [
            weight[k] + (1000.0 if h >= 0 and track[h] == track[cols[k]] else 0.0)
            for k, h in zip(group, held, strict=True)
        ]
        for won in solve_component([rows[k] for k in group], [cols[k] for k in group], value):
            k = group[won]
            found[rows[k]], similarity[rows[k]] = cols[k], weight[k]
    return np.array(found, dtype=np.int64), similarity


def switches(pairs: Pairs, match: Ints) -> tuple[Ints, Ints]:
    """Rows of truth at which its matched identity differs from its last match, and the rows of that last match."""
    rows = np.flatnonzero(match >= 0)
    rows = rows[_stable_order(pairs.truth.track[rows], pairs.truth.tracks)]
    same = pairs.truth.track[rows[1:]] == pairs.truth.track[rows[:-1]]
    who = pairs.answer.track[match[rows]]
    changed = np.flatnonzero(same & (who[1:] != who[:-1]))
    return rows[changed + 1], rows[changed]


def previous_rows(pairs: Pairs) -> Ints:
    """For each row of truth the row of the same object in the frame before (-1: none).

    As in TrackEval, frames in which either side is empty are skipped, so 'before' looks past them.
    """
    busy = np.zeros((2, pairs.frames), bool)
    busy[0, pairs.truth.frame], busy[1, pairs.answer.frame] = True, True
    rank = np.cumsum(busy.all(axis=0))
    rows = np.flatnonzero(busy[1, pairs.truth.frame])
    rows = rows[_stable_order(pairs.truth.track[rows], pairs.truth.tracks)]
    track, order = pairs.truth.track[rows], rank[pairs.truth.frame[rows]]
    follows = (track[1:] == track[:-1]) & (order[1:] == order[:-1] + 1)
    previous = np.full(len(pairs.truth), -1)
    previous[rows[1:][follows]] = rows[:-1][follows]
    return previous


def identity_matches(pairs: Pairs, threshold: float = 0.5) -> tuple[Ints, Ints, Array]:
    """Match whole tracks one to one such that most rows agree: tracks of truth, of the answer, agreeing rows."""
    return _identity_matches(pairs, _Tally.of(pairs), threshold)


def _identity_matches(pairs: Pairs, tally: _Tally, threshold: float) -> tuple[Ints, Ints, Array]:
    agree = np.bincount(tally.index[pairs.similarity >= threshold], minlength=len(tally.t)).astype(np.float64)
    use = np.flatnonzero(agree)
    picked = use[
        max_weight_matching(tally.t[use], tally.a[use], agree[use], pairs.truth.tracks, pairs.answer.tracks)
    ]
    return tally.t[picked], tally.a[picked], agree[picked]


def _identity(pairs: Pairs, tally: _Tally, threshold: float) -> dict[str, float]:
    tp = float(_identity_matches(pairs, tally, threshold)[2].sum())
    return {"IDTP": tp, "IDFN": len(pairs.truth) - tp, "IDFP": len(pairs.answer) - tp}


def _vace(pairs: Pairs, tally: _Tally, threshold: float) -> dict[str, float]:
    close = np.bincount(tally.index[pairs.similarity >= threshold], minlength=len(tally.t))
    use = np.flatnonzero(close)
    together = _frames_together(pairs, tally.t[use], tally.a[use])
    temporal = close[use] / (tally.total[use] - together)
    picked = max_weight_matching(
        tally.t[use], tally.a[use], temporal, pairs.truth.tracks, pairs.answer.tracks
    )
    best = pairs.best()
    overlap = np.bincount(pairs.truth.frame[pairs.t[best]], pairs.similarity[best], pairs.frames)
    boxes = sum(np.bincount(s.frame, minlength=pairs.frames) for s in (pairs.truth, pairs.answer))
    busy = np.asarray(boxes) > 0
    return {
        "STDA": float(temporal[picked].sum()),
        "FDA": float((overlap[busy] / (0.5 * np.asarray(boxes)[busy])).sum()),
        "busy_frames": int(busy.sum()),
    }


def _frames_together(pairs: Pairs, t: Ints, a: Ints) -> Array:
    """In how many frames both tracks of each given pair of tracks exist."""
    seen_t, seen_a = (_presence(side, pairs.frames) for side in (pairs.truth, pairs.answer))
    return np.array([np.bitwise_count(seen_t[i] & seen_a[j]).sum() for i, j in zip(t, a, strict=True)], float)


def _presence(side: Rows, frames: int) -> NDArray[np.uint8]:
    seen = np.zeros((side.tracks, frames), bool)
    seen[side.track, side.frame] = True
    return np.packbits(seen, axis=1)


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
    low = values.min()
    unique, index = _compact(values - low, int(values.max() - low) + 1)
    return index, len(unique)


def _compact(key: Ints, bound: int) -> tuple[Ints, Ints]:
    """`np.unique(key, return_inverse=True)` for keys in [0, bound), by a table where that is small enough."""
    if bound > 20_000_000:
        unique, index = np.unique(key, return_inverse=True)
        return unique, index
    table = np.zeros(bound, bool)
    table[key] = True
    unique = np.flatnonzero(table)
    number = np.empty(bound, np.int32)
    number[unique] = np.arange(len(unique))
    return unique, number[key].astype(np.int64)


def _stable_order(values: Ints, bound: int) -> Ints:
    """Stable argsort; small integers are sorted by radix."""
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
    keep = (inter > 0) & (area_t[t] > _EPS) & (area_a[a] > _EPS)
    return t[keep], a[keep], similarity[keep]
