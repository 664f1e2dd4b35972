"""Single objects: boxes that are matched with truth by their ids."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vtlab.errors import InputError, VtlabWarning
from vtlab.metrics import sot, vot_runs
from vtlab.metrics.families.base import Array, Case, Curve, Family, Select
from vtlab.metrics.per_frame import Judged
from vtlab.metrics.records import INF, Metric
from vtlab.metrics.rules import SOT, SotRule
from vtlab.metrics.vot_regions import regions_of
from vtlab.tracks import Tracks

_OTB = "Wu et al., Object Tracking Benchmark, TPAMI 2015"
_GOT = "Huang et al., GOT-10k, TPAMI 2019"
_NET = "Mueller et al., TrackingNet, ECCV 2018"
_VOT = "Kristan et al., VOT2016, TPAMI 2016; VOT2020, ECCVW 2020"
_METRICS = (
    Metric("success_auc", "sot", "Area under the success curve over 21 overlap thresholds", paper=_OTB),
    Metric("precision_20px", "sot", "Frames whose centre error is at most 20 px", paper=_OTB),
    Metric("precision_auc", "sot", "Area under the precision curve, 0 to 50 px", paper=_NET),
    Metric("norm_precision_auc", "sot", "Area under the normalised precision curve, 0 to 0.5", paper=_NET),
    Metric("norm_precision_20", "sot", "Frames whose normalised centre error is at most 0.2", paper=_NET),
    Metric("ao", "sot", "Average overlap over all counted frames", paper=_GOT),
    Metric("sr_50", "sot", "Counted frames of all sequences with overlap above 0.5", paper=_GOT),
    Metric("sr_75", "sot", "Counted frames of all sequences with overlap above 0.75", paper=_GOT),
    Metric("op_50", "sot", "Overlap precision at 0.5, averaged over sequences", paper=_OTB),
    Metric("op_75", "sot", "Overlap precision at 0.75, averaged over sequences", paper=_OTB),
    Metric("accuracy", "sot", "VOT: mean overlap while tracking", paper=_VOT),
    Metric("robustness", "sot", "VOT, multi-start: part of the frames before a failure", paper=_VOT),
    Metric("failures", "sot", "VOT, supervised: failures in a sequence", "1/sequence", 0, INF, False, _VOT),
    Metric("eao", "sot", "VOT: expected average overlap", paper=_VOT),
)  # fmt: skip


def _sequences(case: Case, rule: Any) -> tuple[list[int], list[int], list[sot.BoxSequence]]:
    """Objects of truth, the frames on which they begin, and their boxes on both sides from there on."""
    truth, answers = case.truth, case.answers(rule)
    boxed = np.isfinite(truth.boxes).all(axis=1)
    ids = case.object_ids(np.unique(truth.object_id[boxed & truth.visible]))
    if not ids:
        raise InputError(
            "The ground truth has no visible boxes; score masks with 'vos' and points with 'points'."
        )
    size = None if case.size is None else (float(case.size[1]), float(case.size[0]))
    if size is None and rule.regions == "drawn":
        warnings.warn(
            f"{case.name or 'The truth'}: nothing tells the size of the images, so regions are compared beyond their edges "
            "too, where VOT cuts them. Remedy: images beside the truth, width and height in the file `sequence`, or "
            "truth.replace(size=(height, width)).",
            VtlabWarning,
            stacklevel=2,
        )
    looked = np.zeros(case.frames, bool)
    looked[case.looked_at()] = True
    starts, sequences = [], []
    for object_id in ids:
        mine = truth.object_id == object_id
        start = case.start(object_id, truth.frame[mine & boxed & truth.visible])
        stop = int(truth.frame[mine].max()) + 1
        drawn = _drawn(case, rule, object_id, start, stop) if rule.regions == "drawn" else None
        start = start if drawn is None else drawn.first
        t_box, visible = _fill(truth, object_id, start, stop)
        a_box, _ = _fill(answers, object_id, start, stop)
        # What a box without area is worth the rule says, not the mark that nothing is seen of it.
        visible |= np.isfinite(t_box).all(axis=1) & ~(t_box[:, 2:] > t_box[:, :2]).all(axis=1)
        a_box, t_box = a_box + rule.origin, t_box + rule.origin
        name = f"{case.name} object {object_id}".strip()
        one = sot.BoxSequence(a_box, t_box, visible, size, name, looked[start:stop])
        if drawn is not None:
            one = replace(one, looked=drawn.counted, overlap=drawn.overlap, vot=drawn.counts)
        sequences.append(one)
        starts.append(start)
    return ids, starts, sequences


@dataclass(frozen=True)
class _Drawn:
    """Overlaps of drawn regions from frame `first` on, which of these frames count, and what the run adds to the score."""

    first: int
    overlap: Array
    counted: NDArray[np.bool_]
    counts: vot_runs.Counts


def _drawn(case: Case, rule: SotRule, object_id: int, start: int, stop: int) -> _Drawn:
    """One run on one object: from its prompt, or as the codes of a result of VOT say, in the order of tracking."""
    answers, truth = (t.of_object(object_id) for t in (case.tracks, case.truth))
    codes = {int(f): int(c) for f, c in (case.tracks.meta.get("codes") or {}).items() if int(f) < stop}
    starts = [f for f, code in codes.items() if code == vot_runs.GIVEN]
    if case.tracks.record.direction == "backward":
        frames = np.arange(max(starts, default=start), -1, -1)
    else:
        frames = np.arange(min(starts, default=start), stop)
    frames = frames[np.isin(frames, case.looked_at())]
    told = [
        codes.get(f, r) for f, r in zip(frames.tolist(), regions_of(answers, frames.tolist()), strict=True)
    ]
    run = vot_runs.Run.of(told, regions_of(truth, frames.tolist()), case.size)
    experiment = str(case.tracks.meta.get("experiment") or "multistart")
    lengths = rule.eao_supervised if experiment == "supervised" else rule.eao_anchors
    counts = vot_runs.Counts.of(run, experiment, case.truth.record.frames or stop, lengths)
    first = min(start, int(frames.min(initial=start)))
    overlap, counted = np.zeros(stop - first), np.zeros(stop - first, bool)
    overlap[frames - first] = run.overlap
    waits = (run.code == vot_runs.FAILED) | ((run.code == vot_runs.NOTHING) & (experiment == "supervised"))
    counted[frames - first] = ~waits
    return _Drawn(first, overlap, counted, counts)


def _score(case: Case, rule: Any) -> tuple[sot.SotScores, dict[int, dict[str, float]]]:
    ids, _, sequences = _sequences(case, rule)
    scores = sot.evaluate(sequences, rule)
    return scores, dict(zip(ids, scores.per_sequence(), strict=True)) if len(ids) > 1 else {}


def _judge(case: Case, rule: Any) -> Judged:
    ids, starts, sequences = _sequences(case, rule)
    overlaps = sot.overlaps(sequences, rule)
    counted = [np.flatnonzero(~np.isnan(o)) for o in overlaps]
    owner = np.repeat(ids, [len(c) for c in counted])
    return Judged(
        np.concatenate([c + start for c, start in zip(counted, starts, strict=True)]),
        owner,
        owner,
        np.concatenate([o[c] for o, c in zip(overlaps, counted, strict=True)]),
    )


def _fill(
    tracks: Tracks, object_id: int, start: int, stop: int
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Boxes (stop - start, 4) of one object, NaN where it has none, and where it is visible."""
    box, visible = np.full((stop - start, 4), np.nan), np.zeros(stop - start, bool)
    rows = np.flatnonzero((tracks.object_id == object_id) & (tracks.frame >= start) & (tracks.frame < stop))
    index = tracks.frame[rows] - start
    box[index], visible[index] = tracks.boxes[rows], tracks.visible[rows]
    return box, visible


def _combiner(counts: Sequence[sot.SotScores]) -> Select:
    joined = sot.concat(counts)
    stops = np.cumsum([len(c.frames) for c in counts])
    rows = [np.arange(stop - len(c.frames), stop) for c, stop in zip(counts, stops.tolist(), strict=True)]
    return lambda index: joined.take(np.concatenate([rows[i] for i in index])).values()


def _success(counts: Sequence[sot.SotScores]) -> tuple[Array, Array]:
    return counts[0].rule.overlap_thresholds(), sot.concat(counts).curve("success")


def _precision(counts: Sequence[sot.SotScores]) -> tuple[Array, Array]:
    return counts[0].rule.center_thresholds(), sot.concat(counts).curve("precision")


FAMILY = Family(
    code="sot",
    title="Boxes from prompts (SOT)",
    short="boxes",
    main="success_auc",
    own=("eao",),
    columns=("success_auc", "precision_20px", "ao", "sr_50"),
    listed=("success_auc", "precision_20px", "norm_precision_auc", "ao", "sr_50", "sr_75"),
    rules=SOT,
    default="otb",
    metrics=_METRICS,
    score=_score,
    combine=lambda counts: sot.concat(counts).values(),
    judge=_judge,
    timeline_label="mean overlap (IoU)",
    combiner=_combiner,
    repeated=lambda counts: sot.concat(counts, repetitions=True),
    claims=lambda tracks, truth: True,
    curves=(
        Curve("success", "success_auc", "overlap threshold", _success),
        Curve("precision", "precision_20px", "centre error threshold (px)", _precision),
    ),
    order=10,
)
