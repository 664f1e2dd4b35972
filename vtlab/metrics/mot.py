"""Multi-object metrics: HOTA, CLEAR, Identity, VACE and Count, on flat arrays of a whole sequence (`pairing.Pairs`).

Only pairs of truth and answer that overlap are kept; counts are sums, divided last, so sequences, classes and
bootstrap samples combine by adding. Numbers agree with TrackEval 1.3.0 (MIT) to rounding.

Papers: Luiten et al., "HOTA", IJCV 2021; Bernardin and Stiefelhagen, "CLEAR MOT", 2008; Ristani et al.,
"Performance Measures and a Data Set for Multi-Target, Multi-Camera Tracking" (Identity), 2016; Manohar et al.,
"Performance Evaluation of Object Detection and Tracking in Video" (VACE), 2006.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vtlab.metrics.assignment import components, max_weight_matching, solve_component
from vtlab.metrics.pairing import Pairs, Rows, compact, stable_order

Array = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

# TrackEval's own expression: other ways to make these numbers differ in last bits, where pairs lie at one.
ALPHAS: Array = np.arange(0.05, 0.99, 0.05)
"""The 19 similarity thresholds over which HOTA is averaged: 0.05, 0.10, ..., 0.95."""
_EPS = np.finfo(np.float64).eps


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

    def numbers(self) -> dict[str, float]:
        """Every count by name, those of an array as NAME.0, NAME.1, ...; `of_numbers` makes counts of them again."""
        found: dict[str, float] = {}
        for f in fields(self):
            value = getattr(self, f.name)
            array = isinstance(value, np.ndarray)
            found |= (
                {f"{f.name}.{i}": float(x) for i, x in enumerate(value)} if array else {f.name: float(value)}
            )
        return found

    @classmethod
    def of_numbers(cls, numbers: Mapping[str, float]) -> Counts:
        """Counts of what `numbers` told of others; raises KeyError where one is missing."""
        arrays = {f.name: isinstance(getattr(cls(), f.name), np.ndarray) for f in fields(cls)}
        n = len(ALPHAS)
        given: dict[str, Any] = {
            name: np.array([numbers[f"{name}.{i}"] for i in range(n)]) if array else numbers[name]
            for name, array in arrays.items()
        }
        return cls(**given)

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
            # TrackEval's floor on both sides: LocA is 1, not 0, where nothing matches.
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
        # Over the mean number of both sides: a false track costs as much as a missed one (Manohar et al.).
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
        unique, index = compact(key, pairs.truth.tracks * width)
        lengths = (
            np.bincount(s.track, minlength=s.tracks).astype(np.float64) for s in (pairs.truth, pairs.answer)
        )
        return cls(index, unique // width, unique % width, *lengths)

    @property
    def total(self) -> Array:
        return self.length_t[self.t] + self.length_a[self.a]


def _hota(pairs: Pairs, tally: _Tally) -> dict[str, Array]:
    t, a, sim, n = pairs.t, pairs.a, pairs.similarity, len(tally.t)
    # Each pair's share of all overlap around it: TrackEval's soft count of how long two tracks go together.
    around = np.bincount(t, sim, len(pairs.truth))[t] + np.bincount(a, sim, len(pairs.answer))[a] - sim
    potential = np.bincount(tally.index, sim / around, n)
    alignment = potential / (tally.total - potential)
    # TrackEval matches once for all thresholds, by alignment times similarity; the paper matches at each.
    chosen = max_weight_matching(t, a, alignment[tally.index] * sim, len(pairs.truth), len(pairs.answer))
    sim, index = sim[chosen], tally.index[chosen]
    # TrackEval's tolerance: a similarity of 0.5 that rounding put below it reaches 0.5.
    reached = np.searchsorted(ALPHAS - _EPS, sim, side="right")
    tp = _at_least(np.bincount(reached, minlength=20))
    matched = np.bincount(index * 20 + reached, minlength=n * 20).reshape(n, 20)
    matched = matched[:, ::-1].cumsum(axis=1)[:, -2::-1].astype(np.float64)
    # Each match of two tracks carries their association, as often as they match: hence the square.
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
    # TrackEval's bounds: exactly 0.8 of a track is partly, exactly 0.2 not mostly lost.
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
        # TrackEval's 1000: to keep last frame's partner outweighs whatever overlap others would add.
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
    rows = rows[stable_order(pairs.truth.track[rows], pairs.truth.tracks)]
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
    rows = rows[stable_order(pairs.truth.track[rows], pairs.truth.tracks)]
    track, order = pairs.truth.track[rows], rank[pairs.truth.frame[rows]]
    follows = (track[1:] == track[:-1]) & (order[1:] == order[:-1] + 1)
    previous = np.full(len(pairs.truth), -1)
    previous[rows[1:][follows]] = rows[:-1][follows]
    return previous


def _identity(pairs: Pairs, tally: _Tally, threshold: float) -> dict[str, float]:
    """Match whole tracks one to one such that most rows agree."""
    # Without CLEAR's tolerance: TrackEval's Identity and VACE compare with the bare threshold.
    agree = np.bincount(tally.index[pairs.similarity >= threshold], minlength=len(tally.t)).astype(np.float64)
    use = np.flatnonzero(agree)
    picked = max_weight_matching(
        tally.t[use], tally.a[use], agree[use], pairs.truth.tracks, pairs.answer.tracks
    )
    tp = float(agree[use][picked].sum())
    return {"IDTP": tp, "IDFN": len(pairs.truth) - tp, "IDFP": len(pairs.answer) - tp}


def _vace(pairs: Pairs, tally: _Tally, threshold: float) -> dict[str, float]:
    close = np.bincount(tally.index[pairs.similarity >= threshold], minlength=len(tally.t))
    use = np.flatnonzero(close)
    together = _frames_together(pairs, tally.t[use], tally.a[use])
    temporal = close[use] / (tally.total[use] - together)
    picked = max_weight_matching(
        tally.t[use], tally.a[use], temporal, pairs.truth.tracks, pairs.answer.tracks
    )
    # FDA takes every overlap, however small, and STDA only those from the threshold on: so has TrackEval.
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
