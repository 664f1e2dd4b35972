"""The record of a metric family, and what its functions are given: a case (tracks beside truth) and what they judged."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import isfinite, nan
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vtlab import sequence
from vtlab.errors import InputError, VtlabWarning, near
from vtlab.metrics.per_frame import Judged
from vtlab.metrics.records import Metric
from vtlab.metrics.rules import Rule
from vtlab.tracks import Source, Tracks

Array = NDArray[np.float64]
Ints = NDArray[np.int64]
Truth = Tracks | sequence.Sequence
"""Ground truth: tracks, or a sequence that has them (and prompts, ignore regions, the rule of its benchmark)."""
Select = Callable[[Ints], dict[str, float]]


@dataclass(frozen=True)
class Curve:
    """A curve over thresholds that a family can draw.

    Attributes:
        name: `success` or the like.
        metric: The metric that sums it up.
        xlabel: Label of the thresholds' axis.
        points: From parts of one rule to thresholds (K,) and fractions of frames (K,).
    """

    name: str
    metric: str
    xlabel: str
    points: Callable[[Sequence[Any]], tuple[Array, Array]]


@dataclass(frozen=True)
class Family:
    """Everything that reports, leaderboards, players and stores know of a family of metrics.

    Attributes:
        code: `sot`, `mot`, `vos`, `points`, `skeletons`, or the field's own.
        title: Heading in reports; `short` in narrow tables.
        main: The metric that ranks; `own`: those that rank in its place where a benchmark's rule measures them.
        columns: Metrics shown in a comparison; `listed` in a benchmark's table, `main` first in both.
        rules: Name -> rule of a benchmark.
        default: Name of the rule where none is named.
        metrics: Records of all metrics that `combine` can return.
        score: From a case and a rule to what the sequence adds to the score (its counts), and scores of single objects.
        combine: From the counts of sequences to metric -> value.
        judge: How each true object is answered on each frame, by the same judging as `score`.
        timeline_label: What a timeline shows, for an axis.
        combiner: From counts of sequences to a function of their positions (repeats allowed), where joining them once
            makes thousands of selections cheap; None = `combine` anew.
        numbers: From counts to name -> number, as a store keeps them; None where they are not kept.
        of_numbers: From such numbers to counts again; raises KeyError where one is missing.
        repeated: From the counts of several runs on one sequence to those of the sequence; None: there are no such runs.
        claims: Whether tracks and truth look like this family's, where none is named; the last that does wins.
        classes: Counts of each label of truth; None where the family is not scored by class.
        join_classes: From label -> counts of sequences to label or way of joining -> metric -> value.
        curves: Curves that can be drawn.
        trackers: Families of trackers that it judges in place of theirs where truth asks for one of its rules.
        order: Place in tables.
    """

    code: str
    title: str
    short: str
    main: str
    columns: tuple[str, ...]
    listed: tuple[str, ...]
    rules: Mapping[str, Rule]
    default: str
    metrics: tuple[Metric, ...]
    score: Callable[[Case, Any], tuple[Any, dict[int, dict[str, float]]]]
    combine: Callable[[Sequence[Any]], dict[str, float]]
    judge: Callable[[Case, Any], Judged]
    timeline_label: str
    combiner: Callable[[Sequence[Any]], Select] | None = None
    numbers: Callable[[Any], dict[str, float]] | None = None
    of_numbers: Callable[[Mapping[str, float]], Any] | None = None
    repeated: Callable[[Sequence[Any]], Any] | None = None
    claims: Callable[[Tracks, Tracks], bool] | None = None
    classes: Callable[[Case, Any], dict[str, Any]] | None = None
    join_classes: Callable[[Mapping[str, Sequence[Any]]], dict[str, dict[str, float]]] | None = None
    curves: tuple[Curve, ...] = ()
    own: tuple[str, ...] = ()
    trackers: tuple[str, ...] = ()
    order: int = 100

    def main_of(self, measured: Sequence[Mapping[str, float]]) -> str:
        """The metric that ranks trackers: the benchmark's own number where each of them has it, else `main`.

        Args:
            measured: Metric -> value of each tracker. Trackers of different experiments have different metrics: a number of
                one experiment is not that of another, so it doesn't rank them.
        """
        alike = len({frozenset(values) for values in measured}) == 1
        known = (m for m in self.own if alike and all(isfinite(v.get(m, nan)) for v in measured))
        return next(known, self.main)

    def rule(self, name: str | Rule | None = None) -> Any:
        """Return the family's rule called `name`, or its default; a record is given back as it is.

        Raises:
            InputError: No rule of this family; the message says which are known.
        """
        if isinstance(name, Rule):
            kinds = tuple({type(r) for r in self.rules.values()})
            if not isinstance(name, kinds):
                raise InputError(f"The rule {name.name!r} is not of the family {self.code!r}.")
            return name
        key = self.default if name is None else str(name).lower()
        if key not in self.rules:
            raise InputError(f"Unknown rule {name!r} of the family {self.code!r}. {near(key, self.rules)}")
        return self.rules[key]

    def shown(self, rule: Rule) -> tuple[str, ...]:
        """Metrics that a table by `rule` shows: the benchmark's own and the family's first, or the family's."""
        return (*rule.listed, self.main) if rule.listed else self.listed

    def rule_of(self, case: Case, name: str | Rule | None = None) -> Any:
        """Return the rule that a case is scored by: the one named, else the truth's own, else the default."""
        known = (r for r in case.rules if r in self.rules)
        return self.rule(name if name is not None else next(known, None))

    def timeline(self, tracks: Tracks, truth: Truth, rule: str | Rule | None = None) -> Array:
        """One value for each frame, (frames,): the mean over the true objects that count, by the same judging as the metric.

        Args:
            tracks: What a tracker answered.
            truth: Ground truth.
            rule: Rule of this family; default as in `evaluate`.

        Returns:
            Values in [0, 1]; NaN on frames that the rule doesn't count and where no true object is.
        """
        case = Case.of(tracks, truth)
        return self.judge(case, self.rule_of(case, rule)).mean(case.frames)

    def timelines(
        self, tracks: Tracks, truth: Truth, rule: str | Rule | None = None, *, of: str = "truth"
    ) -> dict[int, Array]:
        """The timeline of each object alone: id -> (frames,).

        Args:
            tracks: What a tracker answered.
            truth: Ground truth.
            rule: Rule of this family; default as in `evaluate`.
            of: `truth` (ids of true objects) or `answer` (ids of the tracker: 0 on frames where it answers falsely).
        """
        case = Case.of(tracks, truth)
        judged = self.judge(case, self.rule_of(case, rule))
        return judged.by_answer(case.frames) if of == "answer" else judged.by_truth(case.frames)


@dataclass(frozen=True)
class Case:
    """Tracks beside truth, with what the rules need to know of the sequence.

    Attributes:
        tracks: What a tracker answered.
        truth: Ground truth.
        name: Of the sequence, "" where truth is bare tracks.
        frames: Number of frames.
        size: (height, width) in pixels, None where nothing says it.
        starts: Frame on which each object was prompted.
        ignore: Regions that are not scored.
        rules: Names of the rules that truth and its benchmark ask for, the first that a family knows is taken.
    """

    tracks: Tracks
    truth: Tracks
    name: str
    frames: int
    size: tuple[int, int] | None
    starts: Mapping[int, int] = field(default_factory=dict)
    ignore: Tracks | None = None
    rules: tuple[str, ...] = ()

    @classmethod
    def of(cls, tracks: Tracks, truth: Truth) -> Case:
        """Put tracks beside truth.

        Raises:
            InputError: No ground truth, or one of another size.
        """
        given = truth_of(truth)
        if not isinstance(tracks, Tracks):
            raise InputError(f"Expected what a tracker answered as Tracks, got {type(tracks).__name__}.")
        if isinstance(truth, sequence.Sequence):
            tracks, given = tracks.on(truth.video), given.on(truth.video)
        else:
            given = _on_clip_of(tracks, given)
        source = tracks.record.source or Source()
        size = given.size or tracks.size
        if size is None and source.height and source.width:
            size = source.height, source.width
        if given.size and tracks.size and given.size != tracks.size:
            raise InputError(
                f"The truth is {given.size[1]} x {given.size[0]} px and the tracks are {tracks.size[1]} x "
                f"{tracks.size[0]}; scale one of them."
            )
        last = int(max(given.frame.max(initial=-1), tracks.frame.max(initial=-1))) + 1
        frames = max(last, given.record.frames or source.frames or 0)
        own = given.record.rule or ""
        if isinstance(truth, Tracks):
            return cls(tracks, given, "", frames, size, rules=(own,))
        starts: dict[int, int] = {}
        for prompt in truth.prompts:
            starts[prompt.object_id] = min(prompt.frame, starts.get(prompt.object_id, prompt.frame))
        return cls(tracks, given, truth.name, frames, size, starts, truth.ignore, (own, truth.benchmark))

    def object_ids(self, ids: Iterable[Any]) -> list[int]:
        """Ids of the objects of truth that were prompted, having checked that the tracks know any of them.

        An object that nobody asked for is not judged; without prompts all objects of truth are.
        """
        wanted = [int(i) for i in ids]
        if self.starts and any(i in self.starts for i in wanted):
            wanted = [i for i in wanted if i in self.starts]
        if len(self.tracks) and not np.isin(wanted, self.tracks.object_id).any():
            raise InputError(
                f"The tracks hold the objects {some(self.tracks.object_ids)}, the truth {some(wanted)}: none in "
                "common. Give prompts the ids of the truth, or rename with tracks.renamed({old: new})."
            )
        return wanted

    def start(self, object_id: int, seen: Ints) -> int:
        """Frame of an object's prompt: as prompted, else the first frame on which truth shows it."""
        return self.starts.get(object_id, int(seen[0]))

    def looked_at(self) -> Ints:
        """Frames that somebody looked at, ascending: as truth says, else those on which it holds a row."""
        return self.truth.annotated_frames(self.frames, dense=bool(self.truth.record.dense))

    def sparse(self) -> bool:
        """Whether somebody looked at some of the frames only: as truth says, else if most frames hold no row."""
        looked = len(self.looked_at())
        if self.truth.record.annotated is not None:
            return looked < self.frames
        return not self.truth.record.dense and self.frames > 1 and 2 * looked <= self.frames

    def answers(self, rule: Rule) -> Tracks:
        """The tracks, without the rows that are no answers by a rule (see `Rule.hidden_answers`)."""
        return self.tracks.seen() if rule.hidden_answers == "dropped" else self.tracks


def truth_of(truth: Truth) -> Tracks:
    """The tracks of ground truth, having checked that there are any.

    Raises:
        InputError: It is something else, or holds no rows.
    """
    given = truth.truth if isinstance(truth, sequence.Sequence) else truth
    if not isinstance(given, Tracks):
        bare = isinstance(truth, sequence.Sequence) and given is None
        what = f"the sequence {truth.name!r} without truth" if bare else type(truth).__name__
        raise InputError(f"Expected ground truth as Tracks or a sequence with truth, got {what}.")
    if not len(given):
        raise InputError("The ground truth holds no rows; there is nothing to score against.")
    return given


def _on_clip_of(tracks: Tracks, truth: Tracks) -> Tracks:
    """Truth with the frame numbers of the clip that the tracks were made on."""
    clip = tracks.record.source
    if clip is None:
        return truth
    if truth.record.source is not None:
        return truth.on(clip)
    last = int(truth.frame.max(initial=-1))
    if clip.length is not None and last >= clip.length:
        raise InputError(
            f"The truth reaches frame {last} (counted from 0), the tracks were made on {clip.told}. Remedy: give a Sequence "
            "of the video that was tracked, or tell the truth its clip: truth.replace(record=truth.record.replace("
            "source=Source.of_video(video)))."
        )
    if clip.span != (0, 1):
        warnings.warn(
            f"The tracks were made on {clip.told}; the truth doesn't say of which frames it is and is taken as of the same "
            "ones. Give a Sequence to be sure.",
            VtlabWarning,
            stacklevel=4,
        )
    return truth


def some(ids: Iterable[Any]) -> str:
    """The first few of some names, for messages."""
    names = [str(i) for i in ids]
    return ", ".join(names[:8]) + (", ..." if len(names) > 8 else "")
