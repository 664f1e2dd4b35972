"""Many objects: boxes or masks that are matched with truth by overlap, whatever their ids."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from vtlab.errors import InputError
from vtlab.geometry import box_area
from vtlab.metrics import mot, pairing
from vtlab.metrics.families.base import Case, Family, Select, some
from vtlab.metrics.per_frame import NOBODY, Judged
from vtlab.metrics.records import INF, Metric
from vtlab.metrics.rules import MOT, MotRule
from vtlab.tracks import Tracks

_HOTA = "Luiten et al., HOTA, IJCV 2021"
_CLEAR = "Bernardin and Stiefelhagen, CLEAR MOT, EURASIP 2008"
_ID = "Ristani et al., Performance Measures for MTMC Tracking, ECCVW 2016"
_VACE = "Manohar et al., Performance Evaluation of Object Detection and Tracking in Video, ACCV 2006"
_VIS = "Yang et al., Video Instance Segmentation, ICCV 2019"
_TAO = "Dave et al., TAO, ECCV 2020"


def _count(name: str, meaning: str, better: bool | None, paper: str) -> Metric:
    return Metric(name, "mot", meaning, "count", 0, INF, better, paper)


_METRICS = (
    Metric("HOTA", "mot", "Higher order tracking accuracy: geometric mean of DetA and AssA", paper=_HOTA),
    Metric("DetA", "mot", "Detection accuracy", paper=_HOTA),
    Metric("AssA", "mot", "Association accuracy", paper=_HOTA),
    Metric("DetRe", "mot", "Detection recall", paper=_HOTA),
    Metric("DetPr", "mot", "Detection precision", paper=_HOTA),
    Metric("AssRe", "mot", "Association recall", paper=_HOTA),
    Metric("AssPr", "mot", "Association precision", paper=_HOTA),
    Metric("LocA", "mot", "Localisation accuracy: mean similarity of matches", paper=_HOTA),
    Metric("OWTA", "mot", "Open-world tracking accuracy: DetRe in place of DetA", paper="Liu et al., CVPR 2022"),
    Metric("HOTA(0)", "mot", "HOTA at the lowest threshold", paper=_HOTA),
    Metric("LocA(0)", "mot", "LocA at the lowest threshold", paper=_HOTA),
    Metric("HOTALocA(0)", "mot", "Product of HOTA(0) and LocA(0)", paper=_HOTA),
    Metric("MOTA", "mot", "1 - (FN + FP + IDSW) / boxes of truth", low=-INF, paper=_CLEAR),
    Metric("MOTP", "mot", "Mean similarity of matches", paper=_CLEAR),
    Metric("MODA", "mot", "MOTA without identity switches", low=-INF, paper=_CLEAR),
    Metric("sMOTA", "mot", "MOTA with matches weighted by similarity", low=-INF, paper="Voigtlaender et al., CVPR 2019"),
    Metric("MOTAL", "mot", "MOTA with the logarithm of identity switches", low=-INF, paper=_CLEAR),
    Metric("CLR_Re", "mot", "Recall", paper=_CLEAR),
    Metric("CLR_Pr", "mot", "Precision", paper=_CLEAR),
    Metric("CLR_F1", "mot", "F1 of detections", paper=_CLEAR),
    Metric("FP_per_frame", "mot", "False positives in a frame", "1/frame", 0, INF, False, _CLEAR),
    Metric("MTR", "mot", "Tracks followed for more than 0.8 of their length", paper=_CLEAR),
    Metric("PTR", "mot", "Tracks followed for 0.2 to 0.8 of their length", higher_is_better=None, paper=_CLEAR),
    Metric("MLR", "mot", "Tracks followed for less than 0.2 of their length", higher_is_better=False, paper=_CLEAR),
    _count("CLR_TP", "Matched boxes", True, _CLEAR),
    _count("CLR_FN", "Missed boxes", False, _CLEAR),
    _count("CLR_FP", "False boxes", False, _CLEAR),
    _count("IDSW", "Identity switches", False, _CLEAR),
    _count("Frag", "Interruptions of tracks", False, _CLEAR),
    _count("MT", "Mostly tracked objects", True, _CLEAR),
    _count("PT", "Partly tracked objects", None, _CLEAR),
    _count("ML", "Mostly lost objects", False, _CLEAR),
    Metric("IDF1", "mot", "F1 of identities under the best one-to-one map of whole tracks", paper=_ID),
    Metric("IDR", "mot", "Identity recall", paper=_ID),
    Metric("IDP", "mot", "Identity precision", paper=_ID),
    _count("IDTP", "Boxes of the right identity", True, _ID),
    _count("IDFN", "Boxes of truth without their identity", False, _ID),
    _count("IDFP", "Boxes of a wrong identity", False, _ID),
    Metric("ATA", "mot", "Average tracking accuracy", paper=_VACE),
    Metric("SFDA", "mot", "Sequence frame detection accuracy", paper=_VACE),
    _count("Dets", "Boxes of the tracker", None, _HOTA),
    _count("GT_Dets", "Boxes of truth", None, _HOTA),
    _count("IDs", "Identities of the tracker", None, _HOTA),
    _count("GT_IDs", "Identities of truth", None, _HOTA),
    _count("Frames", "Frames", None, _HOTA),
    Metric("mAP", "mot", "Track average precision over track overlaps 0.5 to 0.95", paper=_VIS),
    Metric("mAR", "mot", "Track average recall over track overlaps 0.5 to 0.95", paper=_VIS),
    Metric("AP_50", "mot", "Track average precision at track overlap 0.5", paper=_VIS),
    Metric("AP_75", "mot", "Track average precision at track overlap 0.75", paper=_VIS),
    *(Metric(f"mAP_{g}", "mot", f"mAP of the group {g}", paper=_TAO) for g in ("area_s", "area_m", "area_l")),
    *(Metric(f"mAP_{g}", "mot", f"mAP of the group {g}", paper=_TAO) for g in ("time_s", "time_m", "time_l")),
)  # fmt: skip


def pairs_of(case: Case, rule: MotRule) -> pairing.Pairs:
    """Pair the objects of a case by overlap, prepared by a rule.

    Masks are compared where both sides have them and the rule says so, or where boxes are missing. Rows of truth that
    are labelled "ignore" (or as the rule says) are regions that are not scored.

    Raises:
        InputError: Truth speaks of some frames only: every answer on the others would be false.
    """
    if case.sparse():
        raise InputError(
            f"HOTA, MOTA, IDF1 and the other metrics of many objects need truth on every frame; this one speaks of "
            f"{len(case.looked_at())} of {case.frames} frames, so right answers on the others would count as false. Score "
            "prompted objects (family 'sot' or 'vos') on the frames with truth, fill its gaps "
            "(vtlab.association.mend.interpolate_gaps), or, where the other frames were looked at and hold nothing, say "
            f"so: truth.replace(record=truth.record.replace(annotated=tuple(range({case.frames}))))."
        )
    return _pairs(case, rule)


def _pairs(case: Case, rule: MotRule) -> pairing.Pairs:
    tracks, truth = case.answers(rule), case.truth if rule.hidden else case.truth.seen()
    if rule.answers:
        tracks = tracks.take(_among(tracks.label, rule.answers))
    region = np.isin(truth.label, rule.ignored)
    regions = [truth.take(region), *([] if case.ignore is None else [case.ignore])]
    truth = truth.take(~region)
    boxed = np.isfinite(tracks.boxes).all() and np.isfinite(truth.boxes).all()
    if tracks.rle is not None and truth.rle is not None and (rule.masks or not boxed):
        tracks, truth = _masked(tracks), _masked(truth)
        size = truth.size or tracks.size or (0, 0)
        pairs = pairing.pairs_of_masks(_rle_columns(truth), _rle_columns(tracks), size, case.frames)
    else:
        tracks, truth = (t.take(np.isfinite(t.boxes).all(axis=1)) for t in (tracks, truth))
        pairs = pairing.pairs_of_boxes(_columns(truth), _columns(tracks), case.frames)
    label = truth.label
    scored = _among(label, rule.classes) if rule.classes else np.ones(len(label), bool)
    covered = None
    if rule.ignore_coverage is not None:
        covered = np.max([_coverage(tracks, r) for r in regions], axis=0, initial=0) > rule.ignore_coverage
        if rule.least_height:
            covered |= tracks.boxes[:, 3] - tracks.boxes[:, 1] <= rule.least_height
    distractor = np.isin(label, rule.distractors) | _above(truth, rule)
    # A score of 0 is MOTChallenge's flag of truth that is not to be considered.
    return pairing.preprocess(pairs, scored & (truth.score != 0) & ~distractor, distractor, covered)


def _among(label: NDArray[np.object_], known: Iterable[str]) -> NDArray[np.bool_]:
    """(N,) rows whose label is one of those, or that have none; each label is looked up once."""
    said = {x: x is None or x in known for x in set(label.tolist())}
    return np.fromiter(map(said.__getitem__, label.tolist()), bool, len(label))


def _above(truth: Tracks, rule: MotRule) -> NDArray[np.bool_]:
    """(N,) rows of truth with an attribute above the rule's levels: cut off by the picture, say, or hidden."""
    if truth.attributes is None or not rule.levels:
        return np.full(len(truth), any(most < 0 for _, most in rule.levels))
    return np.array(
        [any(_level(t, name) > most for name, most in rule.levels) for t in truth.attributes], bool
    )


def _level(attributes: Mapping[str, object] | None, name: str) -> float:
    value = (attributes or {}).get(name)
    return float(value) if isinstance(value, int | float) else 0.0


def _score(case: Case, rule: MotRule) -> tuple[mot.Counts, dict[int, dict[str, float]]]:
    return mot.evaluate(pairs_of(case, rule), threshold=rule.threshold), {}


def _judge(case: Case, rule: MotRule) -> Judged:
    """Objects are matched one to one on each frame for the most overlap, so a false answer over two of them counts once.

    This is the matching of SFDA, the metric of this family that is a mean over frames.
    """
    pairs = pairs_of(case, rule)
    best = pairs.best()
    answer, value = np.full(len(pairs.truth), NOBODY), np.zeros(len(pairs.truth))
    answer[pairs.t[best]] = pairs.answer.object_id[pairs.a[best]]
    value[pairs.t[best]] = pairs.similarity[best]
    false = np.ones(len(pairs.answer), bool)
    false[pairs.a[best]] = False
    nothing = np.zeros(int(false.sum()))
    return Judged(
        np.concatenate([pairs.truth.frame, pairs.answer.frame[false]]),
        np.concatenate([pairs.truth.object_id, np.full(len(nothing), NOBODY)]),
        np.concatenate([answer, pairs.answer.object_id[false]]),
        np.concatenate([value, nothing]),
    )


def _classes(case: Case, rule: MotRule) -> dict[str, mot.Counts]:
    """Counts of each label of truth that is no distractor: its own answers against its own truth."""
    skip = {None, "ignore", *rule.distractors}
    labels = sorted(set(case.truth.label) - skip)
    if not labels or (not set(case.tracks.label) & {*labels, *rule.distractors} and len(case.tracks)):
        raise InputError(
            f"Classes are scored by labels: the truth has {some(labels) or 'none'}, the tracks "
            f"{some(sorted(set(case.tracks.label) - {None})) or 'none'}. Give both sides labels of the same names."
        )
    out = {}
    for label in labels:
        truth = case.truth.take(np.isin(case.truth.label, [label, "ignore", *rule.distractors]))
        alone = replace(case, truth=truth, tracks=case.tracks.take(case.tracks.label == label))
        out[label] = mot.evaluate(_pairs(alone, replace(rule, classes=(label,))), threshold=rule.threshold)
    return out


def _join_classes(found: Mapping[str, Sequence[mot.Counts]]) -> dict[str, dict[str, float]]:
    """TrackEval's cls_comb_cls_av ("class average") and cls_comb_det_av ("class combined") beside each label."""
    classes = {label: mot.combine(found[label]) for label in sorted(found)}
    return {
        **{label: counts.values() for label, counts in classes.items()},
        "class average": mot.class_average(classes.values()),
        "class combined": mot.combine(classes.values()).values(),
    }


def _combiner(counts: Sequence[mot.Counts]) -> Select:
    stack = mot.CountStack.of(counts)
    return lambda index: stack.combine(index).values()


def _columns(tracks: Tracks) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    return tracks.frame, tracks.object_id, tracks.boxes


def _rle_columns(tracks: Tracks) -> tuple[NDArray[np.int64], NDArray[np.int64], list[bytes]]:
    return tracks.frame, tracks.object_id, [] if tracks.rle is None else tracks.rle.tolist()


def _masked(tracks: Tracks) -> Tracks:
    return (
        tracks.take(np.array([r is not None for r in tracks.rle], bool)) if tracks.rle is not None else tracks
    )


def _coverage(tracks: Tracks, ignore: Tracks) -> NDArray[np.float64]:
    """Fraction of each object that lies in the ignore regions of its frame: of its mask in their union where both
    have masks, else of its box in the region that covers it most."""
    if tracks.rle is not None and ignore.rle is not None:
        return _mask_coverage(tracks, ignore)
    out = np.zeros(len(tracks))
    if not len(tracks) or not len(ignore):
        return out
    pairs = pairing.pairs_of_boxes(
        (ignore.frame, np.arange(len(ignore)), ignore.boxes),
        (tracks.frame, np.arange(len(tracks)), tracks.boxes),
    )
    region, row = pairs.truth.source[pairs.t], pairs.answer.source[pairs.a]
    area, region_area = box_area(tracks.boxes)[row], box_area(ignore.boxes)[region]
    np.maximum.at(out, row, pairing.intersections(pairs.similarity, area, region_area) / area)
    return out


def _mask_coverage(tracks: Tracks, ignore: Tracks) -> NDArray[np.float64]:
    frames, group = np.unique(ignore.frame, return_inverse=True)
    rows = np.flatnonzero(np.isin(tracks.frame, frames))
    own, out = tracks.take(rows), np.zeros(len(tracks))
    runs, regions = own.runs(), ignore.runs().union(group)
    common = runs.intersection(regions, np.arange(len(rows)), np.searchsorted(frames, own.frame))
    out[rows] = common / np.maximum(runs.areas(), 1)
    return out


FAMILY = Family(
    code="mot",
    title="Objects from detections (MOT)",
    short="by detection",
    main="HOTA",
    columns=("HOTA", "DetA", "AssA", "MOTA", "IDF1", "IDSW"),
    listed=(
        "HOTA",
        "DetA",
        "AssA",
        "LocA",
        "MOTA",
        "MOTP",
        "IDF1",
        "IDSW",
        "Frag",
        "MT",
        "PT",
        "ML",
        "CLR_FP",
        "CLR_FN",
    ),
    rules=MOT,
    default="plain",
    metrics=_METRICS,
    score=_score,
    combine=lambda counts: mot.combine(counts).values(),
    judge=_judge,
    timeline_label="mean overlap (IoU)",
    combiner=_combiner,
    numbers=lambda counts: counts.numbers(),
    of_numbers=mot.Counts.of_numbers,
    claims=lambda tracks, truth: max(len(tracks.object_ids), len(truth.object_ids)) > 1,
    classes=_classes,
    join_classes=_join_classes,
    order=20,
)
