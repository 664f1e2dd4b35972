"""An answer that grows with labels: which frames to label next, what can be said by now, in a table and a sentence.

What is said holds for the frames of these clips against these labels, with the level asked for, however often it is
looked at. It says nothing of other footage.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from vtlab.decision import section, wording
from vtlab.decision.betting import Race
from vtlab.decision.clips import on_clip, with_footage
from vtlab.decision.quality import MEASURES, Floats, Measure
from vtlab.decision.question import Clip, Labels, Place, Question, frames_of
from vtlab.decision.sampling import FIRST_LOOK, Known, Population, draw, levels, looks, spend
from vtlab.decision.standing import Sample, Standing, exact, expected, groups, highest
from vtlab.errors import InputError
from vtlab.tracks import Tracks

if TYPE_CHECKING:
    import pandas as pd

    from vtlab.show.judgement import Judgement

State = Literal["label", "best", "good_enough", "tie", "out_of_labels", "exact"]
AGAIN = 5
"""Labelled frames that are asked for a second time, to tell how well the labeller agrees with herself."""


class Verdict:
    """Which tracker is good enough on this footage, from labels on few frames. Make one with `vtlab.verdict`.

    Attributes:
        clips: Name -> the footage and the answers of the trackers.
        question: What is asked.
        measure: By what it is judged.
        trackers: Their names, in the order given.
        labels: Clip -> what was said of it.
        known: Clip -> labels that were there before the draw; certain, never mixed into the sample.
        notes: What a reader must know besides, such as trackers that failed.
    """

    def __init__(
        self,
        clips: Mapping[str, Clip],
        question: Question,
        known: Mapping[str, Labels] | None = None,
        *,
        order: tuple[list[Place], list[float]] | None = None,
        notes: Iterable[str] = (),
    ):
        self.clips, self.question, self.notes = dict(clips), question, list(notes)
        self.measure: Measure = MEASURES[question.metric]
        self.trackers = list(next(iter(self.clips.values())).tracks)
        told = {name: (known or {}).get(name, Labels()) for name in self.clips}
        self.known = {name: Labels(said.tracks, said.looked) for name, said in told.items()}
        self.labels = {name: Labels() for name in self.clips}
        self.second = {name: Labels() for name in self.clips}
        self._places: list[Place] = [(c.name, int(f)) for c in self.clips.values() for f in c.frames]
        self._position = {place: i for i, place in enumerate(self._places)}
        self._quality = np.full((len(self.trackers), len(self._places)), np.nan)
        self._count = np.ones(len(self._places))
        self._unsure = np.zeros(len(self._places), bool)
        self._all = self._measure_population()
        for name, given in self.known.items():
            self._quality, self._count, self._unsure = self._measured(name, given)
        self._outside = np.flatnonzero(self._answered)
        self._looks: list[int] = []
        self._standings: dict[int, Standing] = {}
        self._rest = np.flatnonzero(~self._answered)
        self._draw(order)

    def _measure_population(self) -> Population:
        parts, weights, k = [], [], len(self.trackers)
        for clip in self.clips.values():
            answers = [self.measure.prepare(t, clip.ids, clip.frames) for t in clip.tracks.values()]
            alike = np.ones((k, k, len(clip.frames)))
            for i in range(k):
                for j in range(i):
                    alike[i, j] = alike[j, i] = self.measure.compare(answers[i], answers[j])
            parts.append(alike)
            weights.append(np.full(len(clip.frames), 1 / (len(self.clips) * len(clip.frames))))
        weight = np.concatenate(weights)
        return Population(weight / weight.sum(), np.concatenate(parts, axis=2))

    def _draw(self, order: tuple[list[Place], list[float]] | None) -> None:
        self._order, self._points = np.empty(0, np.int64), np.empty(0)
        self._population = self._all.keep(self._rest) if len(self._rest) else None
        self._race: Race | None = None
        if self._population is None:
            return
        if self.question.guarantee:
            self._race = self._new_race(self._population)
        elif order is not None:
            place_in_rest = {int(i): n for n, i in enumerate(self._rest)}
            self._order = np.array([place_in_rest[self._position[p]] for p in order[0]], np.int64)
            self._points = np.array(order[1])
        else:
            self._order, self._points = draw(self._population, self.question.budget, self.question.seed)
        self._looks = looks(self.question.budget, len(self._rest), len(self.trackers))

    def _new_race(self, population: Population) -> Race:
        """A race over the frames that are not known, which starts from what is."""
        share = float(self._all.weight[self._rest].sum())
        return Race(
            population,
            self.question.within / share,
            1 - self.question.level,
            self.question.seed,
            self._known_part().value,
        )

    def _known_part(self) -> Known:
        """What is known for certain, in units of the rest."""
        share = float(self._all.weight[self._rest].sum())
        counted = self._all.weight[self._outside] * self._count[self._outside] / share
        return Known(self._quality[:, self._outside] @ counted, float(counted.sum()))

    @property
    def order(self) -> tuple[list[Place], list[float]]:
        """The frames in the order in which they were drawn, before any label, and their points; empty for a bet, whose
        draw follows from the seed and the labels."""
        return [self._places[self._rest[i]] for i in self._order], self._points.tolist()

    @property
    def _answered(self) -> NDArray[np.bool_]:
        return np.isfinite(self._quality[0]) | self._unsure

    def next(self, *, more: bool = False) -> list[Place]:
        """Frames to label before the next look as (clip, frame), in the order of the video; empty when none is needed.

        Args:
            more: Ask on although the answer is there, up to the budget.
        """
        state = self.state
        if state == "exact" or not (more or state == "label"):
            return []
        if self._race is not None:
            i = self._race.next() if len(self._race.labelled) < self.question.budget else None
            return [] if i is None else [self._places[self._rest[i]]]
        answered = self._answered
        stop = next((n for n in levels(self.question.budget) if n >= FIRST_LOOK and n > self._reached), None)
        wanted = self._rest if stop is None else np.unique(self._rest[self._order[:stop]])
        if stop is None and len(self._rest) > self.question.budget:
            return []
        return [self._places[i] for i in wanted.tolist() if not answered[i]]

    @property
    def _reached(self) -> int:
        """Number of draws, from the first on, that are all answered."""
        if not len(self._order):
            return 0
        open_ones = np.flatnonzero(~self._answered[self._rest[self._order]])
        return int(open_ones[0]) if len(open_ones) else len(self._order)

    def again(self) -> list[Place]:
        """Labelled frames to label once more, blind, to tell how well the labeller agrees with herself."""
        done = sorted((name, f) for name, said in self.labels.items() for f in said.looked)
        done = [place for place in done if place in self._position]
        # A stream apart from the draw's, which has the seed alone.
        keep = np.random.default_rng([self.question.seed, 1]).permutation(len(done))[:AGAIN]
        return [done[i] for i in sorted(keep) if done[i][1] not in self.second[done[i][0]].looked]

    def add(
        self,
        labels: Tracks | None = None,
        *,
        absent: Iterable[int] = (),
        unsure: Iterable[int] = (),
        clip: str | None = None,
        again: bool = False,
    ) -> None:
        """Take labels; a frame that is labelled anew replaces what was said of it.

        Args:
            labels: Objects with the trackers' ids. Every frame with a row, and every one that the record calls
                annotated, counts as labelled completely.
            absent: Frames on which none of the objects is there.
            unsure: Frames of which nobody can tell; they widen what is said by the worst that they can hold.
            clip: Name of the video, where there are several.
            again: These are second labels of the frames that `again` names; they measure the labeller alone.

        Raises:
            InputError: An unknown clip, frames outside it, objects that no tracker follows, or a label beside the picture.
        """
        name = self._name(clip)
        given = self.read(name, labels, absent, unsure)
        found = self._measured(name, given)  # what can't be measured is refused here, and nothing of it stays
        if again:
            self.second[name] = self.second[name].joined(given)
            return
        before = self.labels[name]
        changed = bool((given.looked | given.unsure) & (before.looked | before.unsure))
        self.labels[name] = before.joined(given)
        self._quality, self._count, self._unsure = found
        self._standings.clear()
        if changed and self._race is not None and self._population is not None:
            self._race = self._new_race(self._population)
        self._run_race()

    def _name(self, clip: str | None) -> str:
        if clip is None and len(self.clips) == 1:
            return next(iter(self.clips))
        if clip not in self.clips:
            raise InputError(f"Which clip do the labels belong to? Give clip=: {', '.join(self.clips)}.")
        return clip

    def read(
        self, name: str, labels: Tracks | None, absent: Iterable[int] = (), unsure: Iterable[int] = ()
    ) -> Labels:
        """What was said of the clip `name`, checked against it."""
        clip = self.clips[name]
        given = on_clip(clip, Tracks.empty() if labels is None else labels, self.measure)
        dense = bool(given.record.dense)
        looked = {*given.annotated_frames(clip.length, dense).tolist(), *frames_of("absent", absent)}
        open_ones = set(frames_of("unsure", unsure)) - looked
        outside = sorted(f for f in {*given.frames.tolist(), *looked, *open_ones} if not 0 <= f < clip.length)
        if outside:
            raise InputError(
                f"Frame {outside[0]} was labelled, but {name!r} has the frames 0 to {clip.length - 1}."
            )
        strange = np.setdiff1d(given.object_ids, clip.ids)
        if len(strange) and self.measure.family != "mot":
            if len(given.object_ids) == len(clip.ids) == 1:
                given = given.renamed({int(strange[0]): int(clip.ids[0])})
            else:
                raise InputError(
                    f"The labels hold object {strange[0]}, the trackers of {name!r} follow "
                    f"{', '.join(map(str, clip.ids.tolist()))}. Rename with labels.renamed({{old: new}})."
                )
        return Labels(given.take(np.isin(given.frame, sorted(looked))), looked, open_ones)

    def _measured(self, name: str, given: Labels) -> tuple[Floats, Floats, NDArray[np.bool_]]:
        """Quality, count and what is unsure, with what each tracker reached on newly labelled frames."""
        clip, quality, count = self.clips[name], self._quality.copy(), self._count.copy()
        open_ones = self._unsure.copy()
        for frames, unsure in ((given.looked, False), (given.unsure, True)):
            counted = np.intersect1d(np.array(sorted(frames), np.int64), clip.frames)
            if not len(counted):
                continue
            places = [self._position[name, int(f)] for f in counted]
            open_ones[places] = unsure
            if unsure:
                quality[:, places] = np.nan
                continue
            truth = self.measure.prepare(given.tracks, clip.ids, counted)
            for k, tracks in enumerate(clip.tracks.values()):
                mine = self.measure.prepare(tracks, clip.ids, counted)
                quality[k, places], count[places] = self.measure.judge(mine, truth, self.question.absent)
        return quality, count, open_ones

    def _run_race(self) -> None:
        race = self._race
        while race is not None and len(race.labelled) < self.question.budget:
            i = race.next()
            if i is None or not self._answered[self._rest[i]]:
                return
            position = self._rest[i]
            counted = self._quality[:, position] * self._count[position]
            race.add(None if self._unsure[position] else counted)

    def disagreement(self) -> tuple[list[Place], Floats]:
        """Every frame that counts, and how much the trackers differ on it, 0 to 1."""
        return list(self._places), self._all.disagreement

    @property
    def labelled(self) -> int:
        """Number of frames that count and are labelled, each once."""
        return int(np.isfinite(self._quality[0]).sum())

    @property
    def frames(self) -> int:
        """Number of frames that count."""
        return len(self._places)

    def standing(self) -> Standing | None:
        """What is known at the last level reached; None before ten draws are labelled, and of a bet."""
        if self.labelled == self.frames:
            return exact(self._quality, self._count, self._all.weight)
        reached = [n for n in levels(self.question.budget) if FIRST_LOOK <= n <= self._reached]
        return self._at(reached[-1]) if reached else None

    def _at(self, n: int) -> Standing:
        """The standing at a level, known frames joined."""
        if n in self._standings:
            return self._standings[n]
        assert self._population is not None
        index, q = self._order[:n], self.question
        place = self._rest[index]
        sample = Sample(
            self._population,
            index,
            self._points[:n],
            self._quality[:, place],
            self._count[place],
            self._known_part(),
            self.measure.metric,
        )
        alpha = None
        if n in self._looks:
            alpha = spend((1 - q.level) / (len(self.trackers) - 1), self._looks, self._looks.index(n))
        self._standings[n] = sample.standing(q.budget, q.level, alpha)
        return self._standings[n]

    def levels(self) -> Floats:
        """(K, 3) mean quality of each tracker over all frames that count, and its interval; NaN where it isn't known.

        In the guaranteed mode the bounds hold at every stop, each tracker's with the question's confidence; they are wider
        than intervals of the same number of labels. Where frames are left out it knows an order and no levels.
        """
        k, now = len(self.trackers), self.standing()
        out = np.full((k, 3), np.nan)
        if now is not None:
            out = np.stack([now.value, now.value - now.half, now.value + now.half], axis=1)
        elif self._race is not None and self._race.labelled and self.question.absent != "excluded":
            share = float(self._all.weight[self._rest].sum())
            known = self._known_part().value[:, None]
            out = share * (known + np.stack(self._race.levels.bounds(), axis=1))
        return np.clip(out, 0, 1)

    @property
    def state(self) -> State:
        """What can be said: "label" (more labels are needed), "best", "good_enough", "tie", "out_of_labels", "exact"."""
        return self._decision[0]

    @property
    def chosen(self) -> list[str]:
        """The tracker that was found, or those that can't be told apart; empty while labels are needed."""
        return [self.trackers[i] for i in self._decision[1]]

    @property
    def _decision(self) -> tuple[State, list[int]]:
        if self.labelled == self.frames:
            value = exact(self._quality, self._count, self._all.weight).value
            if np.isnan(value).any():
                return "out_of_labels", list(range(len(value)))
            return "exact", np.flatnonzero(value >= value.max() - 1e-12).tolist()
        if self._race is not None:
            return self._proven(self._race)
        # What was shown at one look stays shown, as the errors of all are paid for; a strict winner says more.
        found = [d for n in self._looks if n <= self._reached and (d := self._decide(n))]
        strict = [d for d in found if d[0] == "best"]
        if found:
            return (strict or found)[0]
        short = len(self._rest) <= self.question.budget and not self._answered.all()
        if self._reached < len(self._order) or short:
            return "label", []
        unbeaten = np.flatnonzero(~self._beaten.any(axis=0)).tolist()
        return ("tie" if len(unbeaten) > 1 else "out_of_labels"), unbeaten

    def _decide(self, n: int) -> tuple[State, list[int]] | None:
        now = self._at(n)
        least = np.where(np.eye(len(now.value), dtype=bool), np.inf, now.low).min(axis=1)
        if (least > 0).any():
            return "best", [int(least.argmax())]
        enough = np.flatnonzero(least > -self.question.within)
        return ("good_enough", highest(enough, now.value)) if len(enough) else None

    @property
    def _beaten(self) -> NDArray[np.bool_]:
        """(K, K) [i, j]: i is shown to be better than j, at any look so far: the errors of all looks are paid for."""
        k = len(self.trackers)
        if self.labelled == self.frames:
            return exact(self._quality, self._count, self._all.weight).low > 0
        if self._race is not None:
            shown = self._race.shown & ~np.eye(k, dtype=bool)
            return shown if self.question.within == 0 else np.zeros((k, k), bool)
        out = np.zeros((k, k), bool)
        if self._population is not None:
            for n in self._looks:
                if n <= self._reached:
                    out |= self._at(n).low > 0
        return out

    def _proven(self, race: Race) -> tuple[State, list[int]]:
        enough = np.flatnonzero(race.good_enough())
        if len(enough):
            seen = np.isfinite(self._quality[0])
            found = self._quality * self._count
            mean = found[:, seen].mean(axis=1) if seen.any() else np.zeros(len(self.trackers))
            return ("best" if self.question.within == 0 else "good_enough"), highest(enough, mean)
        if len(race.labelled) >= self.question.budget or race.next() is None:
            return "out_of_labels", np.flatnonzero(~race.beaten()).tolist()
        return "label", []

    @property
    def table(self) -> pd.DataFrame:
        """A row for each tracker: value, low, high, group, beaten_by.

        `value`, `low` and `high` are those of `levels`: NaN before ten draws are labelled, and in the guaranteed mode before
        the first label. `group` 1 are the trackers that none is shown to beat, 2 those that only group 1 beats, and so on.
        Best value first once there is one.
        """
        import pandas as pd

        value, low, high = self.levels().T
        beaten = self._beaten
        by = [", ".join(self.trackers[i] for i in np.flatnonzero(row)) for row in beaten.T]
        data = {"value": value, "low": low, "high": high, "group": groups(beaten), "beaten_by": by}
        table = pd.DataFrame(data, index=pd.Index(self.trackers, name="tracker"))
        return table.sort_values("value", ascending=False, kind="stable")

    @property
    def agreement(self) -> float:
        """How well the labeller agrees with herself on the frames labelled twice, by the measure; NaN for none."""
        found = []
        for name, second in self.second.items():
            frames = np.array(sorted(second.looked & self.labels[name].looked), np.int64)
            if len(frames):
                clip = self.clips[name]
                found.append(self.measure(self.labels[name].tracks, second.tracks, clip.ids, frames))
        return float(np.concatenate(found).mean()) if found else float("nan")

    @property
    def sentence(self) -> str:
        """The answer in one sentence, with what it rests on."""
        return wording.sentence(self)

    @property
    def section(self) -> Judgement:
        """What a report shows of it."""
        return section.section(self)

    def plan(self, half_width: float | None = None) -> dict[int, float]:
        """Half-width of the intervals to expect at each level, before any label: each tracker plays the truth in turn.

        It tells how many labels an interval needs (real ones were 0.8 to 1.4 times as wide), not how many a decision
        needs.

        Args:
            half_width: Only the levels up to the first that reaches it.

        Returns:
            Number of labels -> half-width, the mean over trackers; empty in the guaranteed mode.
        """
        found = {} if self.question.guarantee else self._expected
        last = next((n for n, half in found.items() if half_width is not None and half <= half_width), None)
        return {n: half for n, half in found.items() if last is None or n <= last}

    @cached_property
    def _expected(self) -> dict[int, float]:
        if self._population is None:
            return {}
        share = float(self._all.weight[self._rest].sum())
        q = self.question
        found = expected(self._population, (self._order, self._points), q.budget, q.level)
        return {n: share * half for n, half in found.items()}

    @property
    def outlook(self) -> dict[int, float]:
        """What more labels would bring: number of further labels -> half-width of the intervals to expect with them.

        From the plan, by how far the intervals of today are wider or narrower than it; empty in the guaranteed mode,
        and where every draw is labelled.
        """
        if self.question.guarantee or self.labelled == self.frames:
            return {}
        planned, now, answered = self._expected, self.standing(), self._answered
        reached = max((n for n in planned if n <= self._reached), default=None)
        factor = 1.0
        if now is not None and reached is not None and np.isfinite(now.half).all():
            factor = float(now.half.mean()) / max(planned[reached], 1e-9)
        out = {}
        for n, half in planned.items():
            open_ones = np.unique(self._rest[self._order[:n]])
            more = int((~answered[open_ones]).sum())
            if n > self._reached and more:
                out[more] = min(factor * half, 0.5)  # of values in [0, 1]
        return out

    def annotator(self, video: Any = None, *, segmenter: Any = "auto") -> Any:
        """A widget that asks for the frames to label, blind, one after the other, and adds every label (in a notebook).

        Args:
            video: The footage, where the answers don't know it; {clip: video} for several.
            segmenter: What turns clicks into masks, as of `vtlab.annotate`.
        """
        import vtlab

        self.clips = with_footage(self.clips, video)
        return vtlab.annotate(self, segmenter=segmenter)

    def __repr__(self) -> str:
        return f"Verdict({len(self.trackers)} trackers on {', '.join(self.clips)}: {self.sentence})"

    def _repr_html_(self) -> str:
        return section.fragment(self)
