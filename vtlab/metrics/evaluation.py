"""From `Tracks` to numbers: the adapters that hand arrays to each family's metrics, and tidy tables.

A part is what one sequence adds to a score; parts of a family combine by the family's own rule, so a table over
sequences, a bootstrap sample and a leaderboard are made the same way.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from vtlab.errors import InputError
from vtlab.geometry import box_area
from vtlab.metrics import mot, pairing, points, sot, vos
from vtlab.metrics.rules import DEFAULTS, FAMILIES, MotProtocol, Protocol, find
from vtlab.tracks import Tracks

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = ("tracker", "sequence", "object_id", "metric", "value", "protocol")


@dataclass(frozen=True)
class Part:
    """The score of one tracker on one sequence.

    Attributes:
        family: `sot`, `mot`, `vos` or `points`.
        protocol: The rule it was made by.
        counts: What it adds to the family's combined score.
        objects: Scores of single objects (id -> metric -> value).
        sequence: Name of the sequence.
        classes: For `mot` by class: what it adds to the score of each label.
    """

    family: str
    protocol: Protocol
    counts: Any
    objects: Mapping[Any, Mapping[str, float]]
    sequence: str = ""
    classes: Mapping[str, mot.Counts] = field(default_factory=dict)

    def values(self) -> dict[str, float]:
        """The score of the sequence: metric -> value."""
        return combine([self])


def evaluate(
    tracks: Tracks,
    truth: Any,
    family: str | None = None,
    protocol: str | Protocol | None = None,
    *,
    by_class: bool = False,
) -> pd.DataFrame:
    """Measure tracks against ground truth.

    Args:
        tracks: What a tracker answered.
        truth: Ground-truth `Tracks`, or a sequence that has them (`.truth`, and `.prompts`, `.video`, `.name`).
        family: `sot` (boxes, matched by object id), `mot` (boxes or masks, matched by overlap), `vos` (masks by
            id) or `points`; default: the family of the tracker that made the tracks, else what they hold.
        protocol: Name of the benchmark's rule (`vtlab.metrics.rules`); default: the sequence's own benchmark
            where that is a rule of the family, else the family's default.
        by_class: For `mot`: also score each label of truth alone, and both ways to join labels: "class average" (each
            label weighs the same) and "class combined" (each box does), TrackEval's cls_comb_cls_av and cls_comb_det_av.

    Returns:
        A tidy DataFrame: tracker, sequence, object_id (an id, a label, or "all"), metric, value, protocol.

    Raises:
        InputError: Unknown family or protocol; tracks and truth share no object; sizes differ; nothing to score; labels
            are missing where classes are asked for.
    """
    return table([score(tracks, truth, family, protocol, by_class=by_class)], [tracks.name])


def score(
    tracks: Tracks,
    truth: Any,
    family: str | None = None,
    protocol: str | Protocol | None = None,
    *,
    by_class: bool = False,
) -> Part:
    """Measure tracks against ground truth, as a `Part` that combines with those of other sequences.

    The arguments and errors are those of `evaluate`.
    """
    case = _Case.of(tracks, truth)
    family = family or infer_family(tracks, case.truth)
    if protocol is None and case.benchmark in FAMILIES.get(family, ()):
        protocol = case.benchmark
    rule = find(family, protocol)
    counts, objects = _SCORERS[family](case, rule)
    return Part(family, rule, counts, objects, case.name, _by_class(case, rule) if by_class else {})


def combine(parts: Sequence[Part]) -> dict[str, float]:
    """Combine sequences of one family and protocol by the family's rule: metric -> value."""
    if not parts:
        raise InputError("There is nothing to combine.")
    return _COMBINE[parts[0].family]([p.counts for p in parts])


def combine_classes(parts: Sequence[Part]) -> dict[str, dict[str, float]]:
    """Combine sequences label by label, then labels: label, "class average" or "class combined" -> metric -> value."""
    found: dict[str, list[mot.Counts]] = {}
    for part in parts:
        for label, counts in part.classes.items():
            found.setdefault(label, []).append(counts)
    if not found:
        return {}
    classes = {label: mot.combine(found[label]) for label in sorted(found)}
    return {
        **{label: counts.values() for label, counts in classes.items()},
        "class average": mot.class_average(classes.values()),
        "class combined": mot.combine(classes.values()).values(),
    }


def combiner(parts: Sequence[Part]) -> Callable[[NDArray[np.int64]], dict[str, float]]:
    """Return a function that combines a selection of `parts`, given their positions; repeats are allowed.

    What the parts share is joined once, so that thousands of selections are cheap.
    """
    if not parts:
        raise InputError("There is nothing to combine.")
    counts = [p.counts for p in parts]
    if parts[0].family == "sot":
        joined = sot.concat(counts)
        stops = np.cumsum([len(c.frames) for c in counts])
        rows = [np.arange(stop - len(c.frames), stop) for c, stop in zip(counts, stops.tolist(), strict=True)]
        return lambda index: joined.take(np.concatenate([rows[i] for i in index])).values()
    if parts[0].family == "mot":
        stack = mot.CountStack.of(counts)
        return lambda index: stack.combine(index).values()
    rule = _COMBINE[parts[0].family]
    return lambda index: rule([counts[i] for i in index])


def table(parts: Sequence[Part], trackers: Sequence[str]) -> pd.DataFrame:
    """Tidy DataFrame of parts (one for each tracker and sequence), with a row 'all' over several sequences."""
    import pandas as pd

    rows: list[tuple[Any, ...]] = []
    for tracker in dict.fromkeys(trackers):
        mine = [p for p, t in zip(parts, trackers, strict=True) if t == tracker]
        for part in mine:
            name = part.protocol.name
            scored = (*part.objects.items(), *combine_classes([part]).items(), ("all", part.values()))
            for object_id, values in scored:
                rows += [(tracker, part.sequence, object_id, m, v, name) for m, v in values.items()]
        if len(mine) > 1:
            for label, values in (*combine_classes(mine).items(), ("all", combine(mine))):
                rows += [(tracker, "all", label, m, v, mine[0].protocol.name) for m, v in values.items()]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def infer_family(tracks: Tracks, truth: Tracks) -> str:
    """Tell by whose metrics tracks are judged: their tracker's family, else what both sides hold."""
    tracker = tracks.meta.get("tracker")
    named = tracker.get("family") if isinstance(tracker, dict) else None
    if named in FAMILIES:
        return str(named)
    if len(tracks.points) and len(truth.points):
        return "points"
    if tracks.rle is not None and truth.rle is not None:
        return "vos"
    return "sot" if set(tracks.object_ids) == set(truth.object_ids) else "mot"


@dataclass(frozen=True)
class _Case:
    """Tracks beside truth, with what the protocols need to know of the sequence."""

    tracks: Tracks
    truth: Tracks
    name: str
    frames: int
    size: tuple[int, int] | None
    starts: Mapping[int, int]
    ignore: Tracks | None = None
    benchmark: str = ""

    @classmethod
    def of(cls, tracks: Tracks, truth: Any) -> _Case:
        given = truth if isinstance(truth, Tracks) else getattr(truth, "truth", None)
        if not isinstance(given, Tracks):
            raise InputError(
                f"Expected ground truth as Tracks or a sequence with truth, got {type(truth).__name__}."
            )
        if not len(given):
            raise InputError("The ground truth holds no rows; there is nothing to score against.")
        video = tracks.meta.get("video")
        video = video if isinstance(video, dict) else {}
        last = int(max(given.frame.max(initial=-1), tracks.frame.max(initial=-1))) + 1
        size = given.size or tracks.size
        if size is None and "height" in video:
            size = int(video["height"]), int(video["width"])
        if given.size and tracks.size and given.size != tracks.size:
            raise InputError(
                f"The truth is {given.size[1]} x {given.size[0]} px and the tracks are {tracks.size[1]} x "
                f"{tracks.size[0]}; scale one of them."
            )
        prompts = getattr(truth, "prompts", None) or ()
        starts: dict[int, int] = {}
        for prompt in prompts:
            starts[prompt.object_id] = min(prompt.frame, starts.get(prompt.object_id, prompt.frame))
        frames = max(last, int(given.meta.get("frames") or video.get("frames") or 0))
        if truth is given:
            return cls(tracks, given, "", frames, size, starts)
        ignore, benchmark = getattr(truth, "ignore", None), str(getattr(truth, "benchmark", "") or "")
        return cls(tracks, given, str(getattr(truth, "name", "")), frames, size, starts, ignore, benchmark)

    def object_ids(self, ids: Iterable[Any]) -> list[int]:
        """Ids of the objects of truth that were prompted, having checked that the tracks know any of them.

        An object that nobody asked for is not judged; without prompts all objects of truth are.
        """
        wanted = [int(i) for i in ids]
        if self.starts and any(i in self.starts for i in wanted):
            wanted = [i for i in wanted if i in self.starts]
        if len(self.tracks) and not np.isin(wanted, self.tracks.object_id).any():
            raise InputError(
                f"The tracks hold the objects {_some(self.tracks.object_ids)}, the truth {_some(wanted)}: none in "
                "common. Give prompts the ids of the truth, or rename with tracks.renamed({old: new})."
            )
        return wanted

    def start(self, object_id: int, seen: NDArray[np.int64]) -> int:
        """Frame of an object's prompt: as prompted, else the first frame on which truth shows it."""
        return self.starts.get(object_id, int(seen[0]))


def _score_sot(case: _Case, rule: Any) -> tuple[sot.SotScores, dict[int, dict[str, float]]]:
    truth = case.truth
    boxed = np.isfinite(truth.boxes).all(axis=1)
    ids = case.object_ids(np.unique(truth.object_id[boxed & truth.visible]))
    if not ids:
        raise InputError(
            "The ground truth has no visible boxes; score masks with 'vos' and points with 'points'."
        )
    size = None if case.size is None else (float(case.size[1]), float(case.size[0]))
    sequences = []
    for object_id in ids:
        mine = truth.object_id == object_id
        seen = truth.frame[mine & boxed & truth.visible]
        start, stop = case.start(object_id, seen), int(truth.frame[mine].max()) + 1
        t_box, visible = _fill(truth, object_id, start, stop)
        a_box, answered = _fill(case.tracks, object_id, start, stop)
        a_box[~answered] = np.nan
        sequences.append(
            sot.BoxSequence(a_box, t_box, visible, size, f"{case.name} object {object_id}".strip())
        )
    scores = sot.evaluate(sequences, rule)
    return scores, dict(zip(ids, scores.per_sequence(), strict=True)) if len(ids) > 1 else {}


def _fill(
    tracks: Tracks, object_id: int, start: int, stop: int
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Boxes (stop - start, 4) of one object, NaN where it has none, and where it is visible."""
    box, visible = np.full((stop - start, 4), np.nan), np.zeros(stop - start, bool)
    rows = np.flatnonzero((tracks.object_id == object_id) & (tracks.frame >= start) & (tracks.frame < stop))
    index = tracks.frame[rows] - start
    box[index], visible[index] = tracks.boxes[rows], tracks.visible[rows]
    return box, visible


def _score_mot(case: _Case, rule: Any) -> tuple[mot.Counts, dict[int, dict[str, float]]]:
    prepared = mot_pairs(case.tracks, case.truth, rule, case.frames, case.ignore)
    return mot.evaluate(prepared, threshold=rule.threshold), {}


def _by_class(case: _Case, rule: Any) -> dict[str, mot.Counts]:
    """Counts of each label of truth that is no distractor: its own answers against its own truth."""
    if not isinstance(rule, MotProtocol):
        raise InputError(f"Classes are scored in the family 'mot', not by the rule {rule.name!r}.")
    skip = {None, "ignore", *rule.distractors}
    labels = sorted(set(case.truth.label) - skip)
    if not labels or (not set(case.tracks.label) & {*labels, *rule.distractors} and len(case.tracks)):
        raise InputError(
            f"Classes are scored by labels: the truth has {_some(labels) or 'none'}, the tracks "
            f"{_some(sorted(set(case.tracks.label) - {None})) or 'none'}. Give both sides labels of the same names."
        )
    out = {}
    for label in labels:
        truth = case.truth.take(np.isin(case.truth.label, [label, "ignore", *rule.distractors]))
        answer = case.tracks.take(case.tracks.label == label)
        alone = replace(rule, classes=(label,))
        pairs = mot_pairs(answer, truth, alone, case.frames, case.ignore)
        out[label] = mot.evaluate(pairs, threshold=rule.threshold)
    return out


def mot_pairs(
    tracks: Tracks,
    truth: Tracks,
    protocol: Any = None,
    frames: int | None = None,
    ignore: Tracks | None = None,
) -> pairing.Pairs:
    """Pair the objects of tracks with those of truth by overlap, prepared by a protocol.

    Masks are compared where both sides have them and the protocol is `mots`, or where boxes are missing.

    Args:
        tracks: What a tracker answered.
        truth: Ground truth; rows labelled "ignore" are regions that are not scored.
        protocol: Rule of the family `mot`.
        frames: Number of frames.
        ignore: More regions that are not scored, boxes or masks by frame.
    """
    rule = find("mot", protocol)
    tracks = tracks.take(tracks.visible)
    truth = truth if rule.hidden else truth.take(truth.visible)
    regions = [truth.take(truth.label == "ignore"), *([] if ignore is None else [ignore])]
    truth = truth.take(truth.label != "ignore")
    boxed = np.isfinite(tracks.boxes).all() and np.isfinite(truth.boxes).all()
    if tracks.rle is not None and truth.rle is not None and (rule.name == "mots" or not boxed):
        tracks, truth = _masked(tracks), _masked(truth)
        size = truth.size or tracks.size or (0, 0)
        pairs = pairing.pairs_of_masks(_rle_columns(truth), _rle_columns(tracks), size, frames)
    else:
        tracks, truth = (t.take(np.isfinite(t.boxes).all(axis=1)) for t in (tracks, truth))
        pairs = pairing.pairs_of_boxes(_columns(truth), _columns(tracks), frames)
    label = truth.label
    scored = np.array([not rule.classes or x is None or x in rule.classes for x in label], bool)
    covered = None
    if rule.ignore_coverage is not None:
        covered = np.max([_coverage(tracks, r) for r in regions], axis=0, initial=0) > rule.ignore_coverage
    return pairing.preprocess(pairs, scored & (truth.score != 0), np.isin(label, rule.distractors), covered)


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
    inter = pairs.similarity / (1 + pairs.similarity) * (area + region_area)
    np.maximum.at(out, row, inter / area)
    return out


def _mask_coverage(tracks: Tracks, ignore: Tracks) -> NDArray[np.float64]:
    from pycocotools import mask as coco

    size = list(ignore.size or tracks.size or ())
    out = np.zeros(len(tracks))
    for frame in ignore.frames.tolist():
        rows = np.flatnonzero(tracks.frame == frame)
        if len(rows):
            union = coco.merge(_rles(ignore.at(frame), size))
            out[rows] = np.asarray(coco.iou(_rles(tracks.take(rows), size), [union], [1]))[:, 0]
    return out


def _rles(tracks: Tracks, size: list[int]) -> list[dict[str, Any]]:
    return (
        [{"size": size, "counts": r} for r in tracks.rle if r is not None] if tracks.rle is not None else []
    )


def _score_vos(case: _Case, rule: Any) -> tuple[list[dict[str, float]], dict[int, dict[str, float]]]:
    truth = _masked(case.truth.seen())
    if truth.rle is None or not len(truth):
        raise InputError("The ground truth has no masks; score boxes with family='sot'.")
    if case.tracks.rle is None and len(case.tracks):
        raise InputError("The tracks have no masks; score boxes with family='sot'.")
    annotated = _annotated(truth, case.frames)
    answers = case.tracks.seen()
    objects = {}
    for object_id in case.object_ids(truth.object_ids):
        true = {int(f): i for i, f in _rows_of(truth, object_id)}
        found = {int(f): i for i, f in _rows_of(answers, object_id)}
        frames = vos.counted_frames(
            annotated, case.start(object_id, np.array([min(true)])), case.frames - 1, rule
        )
        series = vos.evaluate_object(
            (answers.mask(found[f]) if f in found else None for f in frames.tolist()),
            (truth.mask(true[f]) if f in true else None for f in frames.tolist()),
            None if case.ignore is None else (_void(case.ignore, f) for f in frames.tolist()),
            frames=frames.tolist(),
            tolerance=rule.tolerance,
        )
        objects[object_id] = series.values()
    return list(objects.values()), objects if len(objects) > 1 else {}


def _void(ignore: Tracks, frame: int) -> NDArray[np.bool_] | None:
    """Pixels of a frame that are not judged, or None."""
    found = list(ignore.masks_at(frame).values())
    return np.logical_or.reduce(found) if found else None


def _rows_of(tracks: Tracks, object_id: int) -> list[tuple[int, int]]:
    rows = np.flatnonzero(tracks.object_id == object_id)
    return list(zip(rows.tolist(), tracks.frame[rows].tolist(), strict=True))


def _annotated(truth: Tracks, frames: int) -> NDArray[np.int64]:
    """Frames that truth speaks about: as its `meta["annotated"]` says, else all between its rows unless sparse."""
    named = truth.meta.get("annotated")
    if named is not None:
        return np.asarray(named, dtype=np.int64)
    marked = truth.frames
    dense = len(marked) < 2 or np.median(np.diff(marked)) == 1
    return np.arange(int(marked[0]), frames) if dense else marked


def _score_points(case: _Case, rule: Any) -> tuple[dict[str, float], dict[int, dict[str, float]]]:
    t, a = case.truth.points, case.tracks.points
    if not len(t):
        raise InputError("The ground truth has no points.")
    t = t.take(np.isin(t.object_id, case.object_ids(np.unique(t.object_id))))
    known, index = np.unique(np.stack([t.object_id, t.point_id], axis=1), axis=0, return_inverse=True)
    shape = (len(known), case.frames)
    truth, annotated, visible = np.full((*shape, 2), np.nan), np.zeros(shape, bool), np.zeros(shape, bool)
    index = index.reshape(-1)
    truth[index, t.frame], annotated[index, t.frame] = t.xy, True
    visible[index, t.frame] = t.visible & np.isfinite(t.xy).all(axis=1)
    number = {(int(o), int(p)): i for i, (o, p) in enumerate(known)}
    row = np.array(
        [number.get((int(o), int(p)), -1) for o, p in zip(a.object_id, a.point_id, strict=True)], int
    )
    keep = (row >= 0) & (a.frame < case.frames)
    answer, seen = np.full((*shape, 2), np.nan), np.zeros(shape, bool)
    answer[row[keep], a.frame[keep]], seen[row[keep], a.frame[keep]] = a.xy[keep], a.visible[keep]
    first = np.where(visible.any(axis=1), visible.argmax(axis=1), case.frames - 1)
    query = np.array([case.starts.get(int(o), int(f)) for (o, _), f in zip(known, first, strict=True)])
    size = None if case.size is None else (float(case.size[1]), float(case.size[0]))
    values = points.evaluate(answer, seen, truth, visible, query, rule, size, annotated)
    objects = {}
    for object_id in np.unique(known[:, 0]):
        mine = known[:, 0] == object_id
        objects[int(object_id)] = points.evaluate(
            answer[mine], seen[mine], truth[mine], visible[mine], query[mine], rule, size, annotated[mine]
        )
    return values, objects if len(objects) > 1 else {}


def _some(ids: Iterable[Any]) -> str:
    names = [str(i) for i in ids]
    return ", ".join(names[:8]) + (", ..." if len(names) > 8 else "")


_SCORERS: dict[str, Callable[[_Case, Any], tuple[Any, dict[Any, dict[str, float]]]]] = {
    "sot": _score_sot,
    "mot": _score_mot,
    "vos": _score_vos,
    "points": _score_points,
}
_COMBINE: dict[str, Callable[[list[Any]], dict[str, float]]] = {
    "sot": lambda parts: sot.concat(parts).values(),
    "mot": lambda parts: mot.combine(parts).values(),
    "vos": lambda parts: vos.combine(o for part in parts for o in part),
    "points": points.combine,
}
__all__ = [
    "COLUMNS",
    "DEFAULTS",
    "Part",
    "combine",
    "combine_classes",
    "evaluate",
    "infer_family",
    "mot_pairs",
    "score",
    "table",
]
