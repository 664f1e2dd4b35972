"""Breaking points: a clip is made worse by steps, and each tracker is asked how far it holds a quality.

The clip is cut into pieces, on each of which the tracker starts anew: so one clip gives several answers, and an interval
over them. Without truth the quality is the overlap with the tracker's own answers on the pieces as they are: how far it is
thrown off, not how good it is.

The breaking point is found by inverting tests, step by step: a level counts as held where the interval of the mean (95 %,
jackknife-t, over clips where there are five, else over the pieces of all) doesn't lie below the quality.
"""

from __future__ import annotations

from collections.abc import Sequence as Several
from dataclasses import dataclass, field
from itertools import pairwise
from math import nan
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from vtlab.decision.conditions import BreakingPoint, board
from vtlab.engine.outcome import Outcome
from vtlab.engine.task import start_random
from vtlab.errors import ExperimentError, PromptError, TrackingError, near
from vtlab.experiments import curves
from vtlab.experiments.axes import Method
from vtlab.experiments.footage import family_of, held
from vtlab.experiments.ladders import LADDERS, Ladder, Scene, Worse, untouched
from vtlab.metrics import statistics
from vtlab.metrics.families import FAMILIES
from vtlab.prompts.fit import fitting_prompts
from vtlab.registry import TRACKERS
from vtlab.sequence import Sequence, first_prompts
from vtlab.show import plot
from vtlab.trackers.loop import track
from vtlab.tracks import Tracks

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from vtlab.experiments.store import Store

QUALITY = 0.5
"""Mean overlap that a report asks for where the specification names none (`report: {quality: 0.5}`)."""
_UNTOUCHED, _SELF = "overlap", "no truth"


def breaking_point(
    sequence: Sequence,
    tracker: Method,
    *,
    ladder: str,
    levels: Several[float] | None = None,
    pieces: int = 6,
    seed: int = 0,
) -> Outcome:
    """Overlap of a tracker on a clip that is made worse by the steps of one ladder.

    Args:
        sequence: With truth, or with prompts.
        tracker: By name and parameters.
        ladder: One of `vtlab.experiments.ladders.LADDERS`.
        levels: From mild to severe, in place of the ladder's own.
        pieces: Of equal length into which the clip is cut; on each the tracker starts from the truth (without
            truth: from its own answer on the whole clip).
        seed: Of what is random in a ladder, and in a tracker.

    Returns:
        Outcome: for each piece the overlap untouched and at each level; levels that the clip doesn't reach (a frame rate
        above its own) are left out. A level at which the tracker raises counts as 0, and the note says so.

    Raises:
        ExperimentError: An unknown ladder, more pieces than the clip has frames for, no object, or neither truth
            nor prompts.
    """
    if ladder not in LADDERS:
        raise ExperimentError(f"There is no ladder {ladder!r}. {near(ladder, LADDERS)}")
    steps = _steps(LADDERS[ladder], levels)
    run = _Runs.of(sequence, tracker, pieces, seed)
    rows: list[dict[str, Any]] = [
        {
            "sequence": f"{sequence.name} [{k + 1}/{pieces}]",
            _UNTOUCHED: value,
            _SELF: float(sequence.truth is None),
        }
        for k, value in enumerate(run.quality(run.base, untouched(run.scene)))
    ]
    kept = {(tracker.label, sequence.name): run.base}
    for level in steps:
        worse = LADDERS[ladder].make(run.scene, level)
        if worse is None:
            continue
        tracks = run.on(worse)
        kept[tracker.label, f"{sequence.name}, {worse.what}"] = tracks
        for row, value in zip(rows, run.quality(tracks, worse), strict=True):
            row[curves.at("overlap", level, LADDERS[ladder].unit)] = value
    return Outcome([row for row in rows if np.isfinite(row[_UNTOUCHED])], kept, {}, " ".join(run.notes))


def _steps(ladder: Ladder, levels: Several[float] | None) -> tuple[float, ...]:
    steps = ladder.levels if levels is None else tuple(levels)
    try:
        good = bool(steps) and all(np.isfinite(s) and s > 0 for s in steps) and len(set(steps)) == len(steps)
    except TypeError:
        good = False
    if not good:
        raise ExperimentError(f"Expected levels above 0, from mild to severe, got {levels}.")
    return steps


@dataclass
class _Runs:
    """A tracker on the pieces of one clip.

    Attributes:
        tracker: Which.
        scene: The clip.
        where: Tracks from which each piece starts.
        ends: (pieces + 1,) first frame of each piece, and the number of frames.
        judge: The sequence whose truth judges; without truth its own answers on the clip as it is.
        notes: What happened on the way.
    """

    tracker: Method
    scene: Scene
    where: Tracks
    ends: NDArray[np.int64]
    judge: Sequence
    base: Tracks = field(default_factory=Tracks.empty)
    notes: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, sequence: Sequence, tracker: Method, pieces: int, seed: int) -> _Runs:
        """The runs on the clip as it is."""
        if not (isinstance(pieces, int) and 1 <= pieces <= len(sequence.video) // 2):
            n = len(sequence.video)
            raise ExperimentError(f"Expected pieces of at least 2 frames, got {pieces} pieces of {n} frames.")
        video, notes = held(sequence.video), []
        where = sequence.truth
        if where is None:
            given, note = fitting_prompts(TRACKERS.card(tracker.name), sequence.prompts, video)
            start_random(seed)
            where = track(video, given, tracker.name, progress=False, **tracker.parameters)
            notes = [note] if note else []
        where = where.seen()
        ends = np.linspace(0, len(video), pieces + 1).astype(np.int64)
        parts = (first_prompts(where.between(a, b)) for a, b in pairwise(ends.tolist()))
        starts = np.array(sorted({p.frame for part in parts for p in part}), np.int64)
        if not len(starts):
            raise ExperimentError(f"{sequence.name}: no object is ever seen, so there is nothing to follow.")
        made = cls(tracker, Scene(video, where, starts, seed), where, ends, sequence, notes=notes)
        made.base = made.on(untouched(made.scene), strict=True)
        if sequence.truth is None:
            made.judge = Sequence(sequence.name, video, truth=made.base)
        return made

    def on(self, worse: Worse, *, strict: bool = False) -> Tracks:
        """Answers on all pieces of a clip made worse, as they lie in the clip."""
        parts = [self._piece(worse, a, b, strict) for a, b in pairwise(self.ends.tolist())]
        video = self.scene.video
        found = [part for part in parts if part is not None and len(part)]
        return Tracks.concat(found) if found else Tracks.empty(size=(video.height, video.width))

    def _piece(self, worse: Worse, begin: int, stop: int, strict: bool) -> Tracks | None:
        card = TRACKERS.card(self.tracker.name)
        video, given = worse.part(begin, stop, self.where)
        if card.accepts and not len(given):
            return None
        try:
            prompts, _ = fitting_prompts(card, given, video)
            start_random(self.scene.seed)
            with self.tracker.lent() as made:
                found = track(video, prompts, made, progress=False)
        except (TrackingError, PromptError) as error:
            if strict:
                raise
            self.notes.append(f"{worse.what}, frames {begin} to {stop - 1}, counted as 0: {error}")
            return None
        return worse.back(found, begin, stop, self.scene.video)

    def quality(self, tracks: Tracks, worse: Worse) -> list[float]:
        """Mean overlap on each piece over the frames that count; frames with a prompt don't."""
        values = FAMILIES[family_of(self.tracker.name, self.judge)].timeline(tracks, self.judge)
        counts = np.isin(np.arange(len(values)), worse.judged) & ~np.isin(
            np.arange(len(values)), self.scene.starts
        )
        counts &= np.isfinite(values)
        parts = (values[a:b][counts[a:b]] for a, b in pairwise(self.ends.tolist()))
        return [float(part.mean()) if len(part) else nan for part in parts]


def points(store: Store, quality: float | None = None) -> list[BreakingPoint]:
    """The breaking point of each tracker on each ladder.

    Args:
        store: Of an experiment with this trial.
        quality: Mean overlap that is asked for; None for that of the specification's `report`.
    """
    asked = _quality(store) if quality is None else quality
    rows = store.results()
    found = []
    for tracker in rows["tracker"].unique():
        for name in (n for n in LADDERS if n in set(rows["ladder"])):
            mine = rows[(rows["tracker"] == tracker) & (rows["ladder"] == name)]
            if len(mine):
                found.append(point_of(str(tracker), str(name), mine, asked))
    return found


def _quality(store: Store) -> float:
    """The quality that the specification's `report` names."""
    told = {} if store.experiment is None else dict(store.experiment.report)
    quality, rest = told.pop("quality", QUALITY), told
    if rest or not isinstance(quality, (int, float)) or not 0 < quality <= 1:
        got = {"quality": quality, **rest}
        raise ExperimentError(f"report: expected a quality above 0 and at most 1, got {got}.")
    return float(quality)


def point_of(tracker: str, name: str, rows: pd.DataFrame, quality: float) -> BreakingPoint:
    """The breaking point of one tracker on one ladder, from the rows of its pieces (`Store.results`)."""
    levels, values, ground = _levels(tracker, name, rows)
    ends = np.array([curves.interval(v) for v in values])
    known = bool(np.isfinite(ends[:, 1:]).all())

    def last(column: int) -> int:
        """Number of steps, the untouched clip among them, until the first that is below."""
        below = np.flatnonzero(~(ends[:, column] >= quality))
        return int(below[0]) if len(below) else len(ends)

    def level(count: int) -> float | None:
        return nan if count == 0 else levels[count - 1]

    n, ladder = last(0), LADDERS[name]
    return BreakingPoint(
        tracker,
        name,
        quality,
        level(n),
        level(last(1)) if known else nan,
        level(last(2)) if known else nan,
        levels[n] if n < len(levels) else None,
        ladder.form,
        ladder.loses,
        ground,
        known,
    )


def _levels(
    tracker: str, name: str, rows: pd.DataFrame
) -> tuple[list[float | None], list[curves.Values], str]:
    """Levels of a ladder (None: untouched), from mild to severe, with the values of each, and over what they are.

    Levels that fewer clips reach than an interval needs are left out.
    """
    first, worse = curves.by_clip(rows, _UNTOUCHED), curves.curves(rows, "overlap").get(tracker, {})
    clips = _joined(first)
    if len(clips) >= statistics.FEWEST:
        ground = f"over {len(clips)} clips"
        first, worse = clips, {level: _joined(values) for level, values in worse.items()}
    else:
        s = "s" if len(clips) > 1 else ""
        ground = f"over {len(first)} pieces of {len(clips)} clip{s}, which say nothing of other clips"
    enough = min(len(first), statistics.FEWEST)
    falls = LADDERS[name].levels[0] > LADDERS[name].levels[-1]
    order = sorted((level for level, values in worse.items() if len(values) >= enough), reverse=falls)
    return [None, *order], [first, *(worse[level] for level in order)], ground + _of_itself(rows)


def _of_itself(rows: pd.DataFrame) -> str:
    own = _SELF in rows and bool(rows[_SELF].any())
    return "; without truth, against its own answers on the clip as it is" if own else ""


def _joined(values: curves.Values) -> curves.Values:
    """The mean over the pieces of each clip."""
    found: dict[str, list[float]] = {}
    for piece, value in values.items():
        found.setdefault(statistics.scene(piece.rpartition(" [")[0]), []).append(value)
    return {clip: float(np.mean(mine)) for clip, mine in found.items()}


def sections(store: Store) -> list[curves.Section]:
    """The part of the report: how far each tracker holds, and the curves."""
    found = points(store)
    quality = found[0].quality
    return [
        curves.Section(
            board(found), (("Breaking points: overlap by level", _figure(store.results(), quality)),)
        )
    ]


def _figure(rows: pd.DataFrame, quality: float) -> Figure:
    """A plot for each ladder: overlap by step, with its interval."""
    from vtlab.show.sheet import Sheet

    names = [n for n in LADDERS if n in set(rows["ladder"])]
    across = min(len(names), 4)
    down = -(-len(names) // across)
    sheet = Sheet(figsize=(max(2.9 * across, 4), 2.3 * down + 0.5), layout="constrained")
    axes = sheet.subplots(down, across, squeeze=False, sharey=True).ravel()
    for ax, name in zip(axes, names, strict=False):
        for i, tracker in enumerate(rows["tracker"].unique()):
            mine = rows[(rows["tracker"] == tracker) & (rows["ladder"] == name)]
            if len(mine):
                _curve(ax, str(tracker), name, mine, plot.style(i))
        ax.axhline(quality, color="0.4", linewidth=0.8, linestyle=":")
        ax.set_title(LADDERS[name].title, fontsize="small")
        ax.set(ylim=(0, 1.02))
        ax.grid(alpha=0.25)
        ax.tick_params(labelsize="x-small")
    for ax in axes[len(names) :]:
        ax.set_axis_off()
    axes[0].set_ylabel("mean overlap", fontsize="small")
    handles, labels = axes[0].get_legend_handles_labels()
    sheet.legend(
        handles,
        labels,
        loc="outside lower center",
        ncols=min(len(labels), 5),
        fontsize="small",
        frameon=False,
    )
    return sheet


def _curve(ax: Any, tracker: str, name: str, rows: pd.DataFrame, style: dict[str, Any]) -> None:
    levels, values, _ = _levels(tracker, name, rows)
    ends = np.array([curves.interval(v) for v in values])
    x = np.arange(len(levels))
    ax.plot(x, ends[:, 0], marker="o", markersize=3, linewidth=1.6, label=plot.short(tracker), **style)
    if np.isfinite(ends[:, 1:]).all():
        ax.fill_between(x, ends[:, 1], ends[:, 2], color=style["color"], alpha=0.12, linewidth=0)
    ax.set_xticks(x, ["as is" if level is None else f"{level:g}" for level in levels])
