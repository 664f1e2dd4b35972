"""From `Tracks` to numbers and tidy tables, by the families of metrics (`vtlab.metrics.families`).

A part is what one sequence adds to a score; parts of a family combine by the family's own rule, so a table over
sequences, a bootstrap sample and a leaderboard are made the same way.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from vtlab.errors import InputError, VtlabWarning, renamed
from vtlab.metrics.families import FAMILIES, Case, Truth, find_family, judging
from vtlab.metrics.families.base import Select
from vtlab.metrics.rules import Rule
from vtlab.tracks import Tracks

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = ("tracker", "sequence", "object_id", "metric", "value", "rule")


@dataclass(frozen=True, eq=False)
class Part:
    """The score of one tracker on one sequence; equal only to itself, so that what is made of parts can be kept.

    Attributes:
        family: By whose metrics (`vtlab.metrics.families`).
        rule: The rule it was made by.
        counts: What it adds to the family's combined score.
        objects: Scores of single objects (id -> metric -> value).
        sequence: Name of the sequence.
        classes: Where it is scored by class: what it adds to the score of each label.
    """

    family: str
    rule: Any
    counts: Any
    objects: Mapping[Any, Mapping[str, float]]
    sequence: str = ""
    classes: Mapping[str, Any] = field(default_factory=dict)

    def values(self) -> dict[str, float]:
        """The score of the sequence: metric -> value."""
        return combine([self])


@renamed(protocol="rule")
def evaluate(
    tracks: Tracks,
    truth: Truth,
    family: str | None = None,
    rule: str | Rule | None = None,
    *,
    by_class: bool = False,
) -> pd.DataFrame:
    """Measure tracks against ground truth.

    Args:
        tracks: What a tracker answered.
        truth: Ground-truth `Tracks`, or a `Sequence` that has them.
        family: By whose metrics, one of `vtlab.metrics.families.FAMILIES` (docs/metrics.md); default: the family of the
            tracker that made the tracks, or the one whose rule is asked for, by the argument or by truth, else what they
            hold. `sot` matches boxes by object id, `mot` by overlap.
        rule: Name of the benchmark's rule (`vtlab.metrics.rules`); default: the rule that truth was read with or its
            sequence asks for, where that is one of the family, else the family's default.
        by_class: For `mot`: also score each label of truth alone, and both ways to join labels: "class average" (each
            label weighs the same) and "class combined" (each box does), TrackEval's cls_comb_cls_av and cls_comb_det_av.

    Returns:
        A tidy DataFrame: tracker, sequence, object_id (an id, a label, or "all"), metric, value, rule.

    Raises:
        InputError: Unknown family or rule; tracks and truth share no object; sizes differ; nothing to score; labels
            are missing where classes are asked for.
    """
    return table([score(tracks, truth, family, rule, by_class=by_class)], [tracks.name])


@renamed(protocol="rule")
def score(
    tracks: Tracks,
    truth: Truth,
    family: str | None = None,
    rule: str | Rule | None = None,
    *,
    by_class: bool = False,
) -> Part:
    """Measure tracks against ground truth, as a `Part` that combines with those of other sequences.

    The arguments and errors are those of `evaluate`.
    """
    case = Case.of(tracks, truth)
    asked = (rule.name,) if isinstance(rule, Rule) else (rule,) if isinstance(rule, str) else ()
    judge = find_family(infer_family(tracks, case.truth, (*asked, *case.rules)) if family is None else family)
    by = judge.rule_of(case, rule)
    if by_class and judge.classes is None:
        able = " or ".join(repr(f.code) for f in FAMILIES.values() if f.classes is not None)
        raise InputError(
            f"Classes are scored in the family {able}, not by the rule {by.name!r} of {judge.code!r}."
        )
    counts, objects = judge.score(case, by)
    classes = judge.classes(case, by) if by_class and judge.classes is not None else {}
    return Part(judge.code, by, counts, objects, case.name, classes)


def combine(parts: Sequence[Part]) -> dict[str, float]:
    """Combine sequences of one family and rule as the rule says: metric -> value."""
    if not parts:
        raise InputError("There is nothing to combine.")
    return find_family(parts[0].family).combine([p.counts for p in parts])


def combine_classes(parts: Sequence[Part]) -> dict[str, dict[str, float]]:
    """Combine sequences label by label, then labels, by the family's ways: label or way -> metric -> value."""
    found: dict[str, list[Any]] = {}
    for part in parts:
        for label, counts in part.classes.items():
            found.setdefault(label, []).append(counts)
    join = find_family(parts[0].family).join_classes if found else None
    return {} if join is None else join(found)


def combiner(parts: Sequence[Part]) -> Select:
    """Return a function that combines a selection of `parts`, given their positions; repeats are allowed.

    What the parts share is joined once, so that thousands of selections are cheap.
    """
    if not parts:
        raise InputError("There is nothing to combine.")
    counts, family = [p.counts for p in parts], find_family(parts[0].family)
    if family.combiner is not None:
        return family.combiner(counts)
    return lambda index: family.combine([counts[i] for i in index])


def table(parts: Sequence[Part], trackers: Sequence[str]) -> pd.DataFrame:
    """Tidy DataFrame of parts (one for each tracker and sequence), with a row 'all' over several sequences."""
    import pandas as pd

    rows: list[tuple[Any, ...]] = []
    for tracker in dict.fromkeys(trackers):
        mine = [p for p, t in zip(parts, trackers, strict=True) if t == tracker]
        for part in mine:
            name = part.rule.name
            scored = (*part.objects.items(), *combine_classes([part]).items(), ("all", part.values()))
            for object_id, values in scored:
                rows += [(tracker, part.sequence, object_id, m, v, name) for m, v in values.items()]
        if len(mine) > 1:
            for label, values in (*combine_classes(mine).items(), ("all", combine(mine))):
                rows += [(tracker, "all", label, m, v, mine[0].rule.name) for m, v in values.items()]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def infer_family(tracks: Tracks, truth: Tracks, rules: Sequence[str] = ()) -> str:
    """Tell by whose metrics tracks are judged: their tracker's family, else the one whose rule truth carries, else by what
    both sides hold. Ids say nothing: several objects are matched by overlap, and a warning says so.

    Args:
        tracks: What a tracker answered.
        truth: Ground truth.
        rules: Names of the rules that are asked for, the first before the next; that of truth comes last.
    """
    maker = tracks.record.tracker
    if maker is not None and maker.family in FAMILIES:
        return judging(maker.family, (*rules, truth.record.rule))
    for rule in (*rules, truth.record.rule):
        having = [f.code for f in FAMILIES.values() if rule and rule.lower() in f.rules]
        if len(having) == 1:
            return having[0]
    found = next(
        f.code for f in reversed(FAMILIES.values()) if f.claims is not None and f.claims(tracks, truth)
    )
    if found == "mot":
        warnings.warn(
            "Nothing says by which metrics these tracks of several objects are judged: no tracker in their record, no rule "
            "with the truth. They are matched by overlap, whatever their ids (family 'mot'); family='sot' matches by ids.",
            VtlabWarning,
            stacklevel=3,
        )
    return found


__all__ = [
    "COLUMNS",
    "Part",
    "combine",
    "combine_classes",
    "combiner",
    "evaluate",
    "infer_family",
    "score",
    "table",
]
