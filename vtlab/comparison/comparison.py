"""Comparison: what trackers did on sequences, in tables, pictures, a report and files."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from vtlab.comparison import report, saving
from vtlab.comparison.choice import Evidence, choose, deciding_metric, ranked
from vtlab.comparison.proxies import JOINED, PROXY_METRICS, Run, agreements, proxies, sights, stands_still
from vtlab.contracts import OnResult
from vtlab.errors import InputError, near
from vtlab.files import check_folder, check_place
from vtlab.metrics import score, statistics
from vtlab.metrics import table as tidy
from vtlab.metrics.evaluation import COLUMNS, Part
from vtlab.metrics.families import FAMILIES, find_family
from vtlab.sequence import Sequence
from vtlab.show import draw
from vtlab.show.answer import Choice, Ground
from vtlab.show.board import Board
from vtlab.show.figure import figure
from vtlab.trackers.measure import Timing, speed
from vtlab.video import Image, write_video

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

SPEED_COLUMNS = tuple(speed([]))
FEWEST = statistics.FEWEST


@dataclass(frozen=True)
class Comparison:
    """Trackers on sequences: what they did, how good, how fast, at what memory.

    Attributes:
        sequences: What they ran on.
        runs: Every tracker on every sequence.
        rule: Benchmark rule asked for.
        budget_ms: Milliseconds that a tracker may take on 95 of 100 frames to be chosen; None = any.
    """

    sequences: tuple[Sequence, ...]
    runs: tuple[Run, ...]
    rule: str | Mapping[str, str] | None = None
    budget_ms: float | None = None

    @property
    def trackers(self) -> list[str]:
        """Labels of the trackers, in the order given."""
        return list(dict.fromkeys(r.tracker for r in self.runs))

    @property
    def families(self) -> list[str]:
        """Families present, in the order of tables."""
        present = {r.family for r in self.runs}
        return [f for f in FAMILIES if f in present]

    @property
    def has_truth(self) -> bool:
        """True if any sequence has ground truth."""
        return any(s.truth is not None for s in self.sequences)

    def of_sequence(self, name: str) -> list[Run]:
        """The runs on one sequence; raises `InputError` for one that isn't there."""
        _known("sequence", name, [s.name for s in self.sequences])
        return [r for r in self.runs if r.sequence == name]

    def rule_of(self, family: str) -> str | None:
        """The benchmark rule that was asked for a family; None = that of the sequence, or the family's default."""
        return self.rule.get(family) if isinstance(self.rule, Mapping) else self.rule

    @cached_property
    def _judged(self) -> list[tuple[Run, Part | str]]:
        """Every run on a sequence with truth, with its score, or why it can't be scored against that truth.

        What a run that failed did not answer counts as missed. A tracker that answered nowhere (its weights are missing)
        has no score: that says nothing of it.
        """
        truth = {s.name: s for s in self.sequences if s.truth is not None}
        came = {r.tracker for r in self.runs if r.tracks is not None}
        return [
            (r, _judge(r.answers, truth[r.sequence], r.family, self.rule_of(r.family)))
            for r in self.runs
            if r.sequence in truth and r.tracker in came
        ]

    @cached_property
    def _parts(self) -> list[tuple[Run, Part]]:
        """Every run that can be judged, with its score."""
        return [(run, part) for run, part in self._judged if not isinstance(part, str)]

    @cached_property
    def unjudged(self) -> dict[tuple[str, str], str]:
        """(tracker, sequence) -> why that run can't be scored, such as truth on few frames for metrics of all objects."""
        return {(r.tracker, r.sequence): part for r, part in self._judged if isinstance(part, str)}

    @cached_property
    def _kept(self) -> dict[tuple[str, str | None], pd.DataFrame]:
        """Tables that were made before, so that a bootstrap is drawn once: (family, metric of `intervals` or None)."""
        return {}

    def parts(self, family: str) -> dict[str, list[Part]]:
        """Tracker -> its scores (`vtlab.metrics.evaluation.Part`), one for each sequence with truth."""
        mine: dict[str, list[Part]] = {}
        find_family(family)
        for run, part in self._parts:
            if run.family == family:
                mine.setdefault(run.tracker, []).append(part)
        return mine

    def curves(self, which: str = "success") -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """Success or precision over its thresholds for the single-object trackers: (K,), label -> (K,).

        Args:
            which: "success" (overlap above a threshold) or "precision" (centre error within pixels), or the name of
                another family's curve.

        Raises:
            InputError: No tracker was measured against truth by which such a curve is drawn.
        """
        for family in self.families:
            for curve in FAMILIES[family].curves:
                drawn = {
                    t: curve.points([p.counts for p in parts]) for t, parts in self.parts(family).items()
                }
                if curve.name == which and drawn:
                    return next(iter(drawn.values()))[0], {t: y for t, (_, y) in drawn.items()}
        known = sorted({c.name for f in FAMILIES.values() for c in f.curves})
        raise InputError(
            f"There are no {which} curves: no tracker was measured against truth that has them. "
            f"Known: {', '.join(known)}."
        )

    @cached_property
    def scores(self) -> pd.DataFrame:
        """Tidy scores: tracker, family, sequence, object_id, metric, value, rule; proxies where truth is missing."""
        import pandas as pd

        measured = tidy([part for _, part in self._parts], [r.tracker for r, _ in self._parts])
        rows = [
            (tracker, s.name, "all", metric, value, "proxy, without truth")
            for s in self.sequences
            for tracker, metric, value in proxies(
                self.of_sequence(s.name), len(s.video), truth=s.truth is not None
            )
        ]
        more = pd.DataFrame(rows, columns=list(COLUMNS))
        found = pd.concat([t for t in (measured, more) if len(t)] or [measured], ignore_index=True)
        return found.assign(family=found["tracker"].map({r.tracker: r.family for r in self.runs}))

    @cached_property
    def table(self) -> pd.DataFrame:
        """One row for each tracker: family, metrics, speed, memory, note.

        With truth the best is first within each family, and those that didn't finish every sequence are last (`finished`
        says how many they did); without it nothing ranks, and they stand in the order given.
        """
        import pandas as pd

        whole = pd.DataFrame([self._row(label) for label in self.trackers]).set_index("tracker")
        order = [t for f in self.families for t in ranked(whole[whole["family"] == f], f, self._unfinished)]
        metrics = [m for f in self.families for m in self._metrics(f)]
        columns = dict.fromkeys(["family", *metrics, *PROXY_METRICS, *SPEED_COLUMNS, "finished", "note"])
        return whole.loc[order].reindex(columns=list(columns)).dropna(axis="columns", how="all")

    @cached_property
    def _finished(self) -> dict[str, tuple[int, int]]:
        """Tracker -> (k, n): it finished k of n sequences."""
        found = {}
        for tracker in self.trackers:
            mine = [r.ok for r in self.runs if r.tracker == tracker]
            found[tracker] = (sum(mine), len(mine))
        return found

    @property
    def _unfinished(self) -> list[str]:
        return [t for t, (k, n) in self._finished.items() if k < n]

    def leaderboard(self, family: str) -> pd.DataFrame:
        """The rows of one family with the columns that concern it, best first.

        Over 2 to 4 clips with truth each clip has its column, and `won` counts those on which a tracker is highest. From
        5 on there are the interval (`ci_low`, `ci_high`), letters (trackers that share one are not told apart), the
        adjusted `p` against the first, and the range of the middle 80 % of the clips. They are made once.
        """
        if (family, None) not in self._kept:
            mine = self.table[self.table["family"] == family].drop(columns="family")
            mine = mine.dropna(axis="columns", how="all")
            if deciding_metric(mine, family) is not None:
                added = self._by_clip(family) if self._clips(family) < FEWEST else self._over_clips(family)
                for place, (name, values) in enumerate(added.items(), 1):
                    mine.insert(place, name, [values.get(t, np.nan) for t in mine.index])
            self._kept[family, None] = mine
        return self._kept[family, None].copy()

    def intervals(self, family: str, metric: str | None = None) -> pd.DataFrame:
        """Trackers of a family ranked over clips: value, low, high, letters, p (`vtlab.metrics.statistics`).

        Trackers that share a letter are not told apart on these clips. Only those that finished every sequence are ranked.

        Raises:
            InputError: Unknown family, or a metric that its scores don't have.
        """
        if metric is not None:
            _known(
                f"metric of the family {family!r} called",
                metric,
                [m.name for m in find_family(family).metrics],
            )
        key = family, metric or self._main(family)
        if key not in self._kept:
            whole = {t: parts for t, parts in self.parts(family).items() if t not in self._unfinished}
            self._kept[key] = statistics.leaderboard(whole, key[1])
        return self._kept[key].copy()

    def agreement(self, family: str | None = None) -> pd.DataFrame:
        """How far each tracker of a family (the first one by default) agrees with each, the mean over the sequences.

        An alarm where it is low: one of the two is wrong. No quality where it is high: both may share a mistake.
        """
        import pandas as pd

        family = find_family(family or self.families[0]).code
        names = [t for t in self.trackers if any(r.tracker == t and r.family == family for r in self.runs)]
        tables = []
        for s in self.sequences:
            present, value = agreements(self.of_sequence(s.name), family)
            tables.append(pd.DataFrame(value, present, present).reindex(index=names, columns=names))
        return pd.concat(tables).groupby(level=0, sort=False).mean().loc[names].rename_axis("tracker")

    def _by_clip(self, family: str) -> dict[str, dict[str, float]]:
        """The main metric on each of a few clips, and on how many of them a tracker is highest; nothing on one clip."""
        if self._clips(family) < 2:
            return {}
        return statistics.side_by_side(self.parts(family), self._main(family))

    def _over_clips(self, family: str) -> dict[str, dict[str, Any]]:
        """Interval, letters, adjusted p and spread of the clips for the trackers that finished."""
        found = self.intervals(family)
        added = {
            column: {str(t): v for t, v in found[source].items()}
            for column, source in (
                ("ci_low", "low"), ("ci_high", "high"), ("letters", "letters"), ("p", "p")
            )
        }  # fmt: skip
        if len(found) < 2:
            del added["letters"], added["p"]
        return added | statistics.spreads(self.parts(family), self._main(family))

    def _main(self, family: str) -> str:
        """The metric that ranks a family, as its part of the table says."""
        return deciding_metric(self.table[self.table["family"] == family], family) or find_family(family).main

    def _metrics(self, family: str) -> list[str]:
        """Metrics of a family that a table shows: those that its rules list, then the family's own."""
        listed = (m for _, p in self._parts if p.family == family for m in p.rule.listed)
        return list(dict.fromkeys((*listed, *FAMILIES[family].columns)))

    def _scored(self, family: str) -> list[str]:
        """Names of the sequences on which the trackers of a family were scored."""
        return list(dict.fromkeys(run.sequence for run, _ in self._parts if run.family == family))

    def _clips(self, family: str) -> int:
        """Number of clusters (scenes) that these form."""
        return len({statistics.scene(name) for name in self._scored(family)})

    def board(self, family: str) -> Board:
        """The leaderboard of a family as it is shown: for a terminal, a notebook, a page, a paper, Markdown."""
        frame, scores = self.leaderboard(family), self.scores
        rules = sorted(set(scores.loc[scores["family"] == family, "rule"].astype(str)))
        caption = [f"Rule: {'; '.join(rules) or 'none'}.", *report.captions(self, family)]
        main = deciding_metric(frame, family)
        return Board(frame, FAMILIES[family].title, " ".join(caption), main, unranked=tuple(self._unfinished))

    def choice(self, family: str | None = None) -> Choice:
        """Who is best of a family (the first one by default), as far as that is known, and why."""
        family = family or self.families[0]
        return choose(self.leaderboard(family), family, self.budget_ms, self.evidence(family))

    def evidence(self, family: str) -> Evidence:
        """What a decision about a family rests on, beside the numbers of its table."""
        clips, scored = self._clips(family), self._scored(family)
        members = [t for t in self.trackers if any(r.tracker == t and r.family == family for r in self.runs)]
        dark = {s.name: len(s.video) for s in self.sequences if s.truth is None}
        labels = sum(
            len(s.truth.annotated_frames(len(s.video), dense=family == "mot"))
            for s in self.sequences
            if s.name in scored and s.truth is not None
        )
        rules = sorted({p.rule.name for r, p in self._parts if r.family == family})
        return Evidence(
            Ground(max(clips, 1), len(scored), labels, ", ".join(rules)),
            self.intervals(family) if clips > 1 else None,
            {t: self._finished[t] for t in members},
            statistics.won(self.parts(family), self._main(family)) if clips > 1 else {},
            {t: self.timing(t) for t in members},
            sights(self.runs, dark, family),
            len({r.tracker for r in self.runs if r.family == family and r.tracks is not None}),
        )

    def timing(self, tracker: str) -> Timing:
        """What the steps of a tracker took on all sequences, with misses of a budget and the load of the machine."""
        _known("tracker", tracker, self.trackers)
        return Timing.of([r.tracks for r in self.runs if r.tracker == tracker and r.tracks is not None])

    def answer(self) -> list[str]:
        """The decision in sentences, for each family: what is known, on what it rests, and what would decide the rest."""
        return report.answer(self)

    def best(self, family: str | None = None) -> str | None:
        """Label of the best tracker (of a family) among those within the budget, or None where that isn't known.

        It isn't without truth, where tests can't tell the highest from others (over several clips), and where none
        finished every clip or none stays within the budget: `choice().why` says which. On a single clip with truth it is
        the highest there, which says nothing about other clips.
        """
        choice = self.choice(family)
        return None if choice.best is None else choice.best.label

    def plot(self) -> Figure:
        """The figure of a comparison: for each family its quality, its quality against latency, its timeline."""
        return figure(report.panels(self))

    def frame(self, index: int, *, sequence: int = 0, family: str | None = None, width: int = 480) -> Image:
        """One frame with the trackers side by side, each labelled: RGB (H, W, 3)."""
        chosen = self._sequence(sequence)
        return self._panel(chosen, index, chosen.video[index], family=family, width=width)

    def save_video(
        self,
        path: str | Path,
        *,
        sequence: int = 0,
        family: str | None = None,
        width: int = 480,
        trail: int = 15,
    ) -> Path:
        """Write the trackers side by side as an H.264 video that browsers play; return its path.

        Args:
            path: Where to; ends in .mp4.
            sequence: Which of the sequences.
            family: Only the trackers of this family.
            width: Of each panel in pixels, at most.
            trail: Frames of path behind points.
        """
        check_place(path)
        chosen = self._sequence(sequence)
        images = (
            self._panel(chosen, f.index, f.image, family=family, width=width, trail=trail)
            for f in chosen.video.frames()
        )
        return write_video(path, images, chosen.video.fps, quick=True)

    def report(
        self,
        path: str | Path,
        *,
        title: str = "Comparison of trackers",
        video: bool = True,
        verdict: report.Judged | None = None,
    ) -> Path:
        """Write one HTML file with the answer, tables, plots, pictures, side-by-side video and provenance.

        A verdict (`vtlab.verdict`) stands first: its sentence, levels and differences with their intervals, and the frames
        that were labelled.
        """
        check_place(path)
        return report.page(self, title=title, video=video, verdict=verdict).write(path)

    def player(self, sequence: int = 0) -> Any:
        """A widget that plays the trackers side by side (in a notebook)."""
        import vtlab

        chosen = self._sequence(sequence)
        tracks = {r.tracker: r.tracks for r in self.of_sequence(chosen.name) if r.tracks is not None}
        return vtlab.TrackPlayer(chosen.video, tracks, truth=chosen.truth)

    def save(self, folder: str | Path, *, on_result: OnResult | None = None) -> Path:
        """Write scores.parquet, table.csv, the truth and the tracks of every run into a folder; return it.

        The tracks lie as `vtlab evaluate --truth FOLDER --tracks FOLDER` scores them: `<tracker>/<sequence>.parquet`
        and `truth/<sequence>.parquet`.
        What a run that failed did not answer is missing in its file (`record.complete` is False) and counts as missed.

        Args:
            folder: Where to.
            on_result: Is told each run with its tracks, then each tracker's row of the table (`sequence` "all").

        Raises:
            WriteError: A file can't be written.
        """
        return saving.save(self, check_folder(folder), on_result)

    def __repr__(self) -> str:
        return f"Comparison({len(self.trackers)} trackers on {', '.join(s.name for s in self.sequences)})"

    def _repr_html_(self) -> str:
        return "".join(self.board(f)._repr_html_() for f in self.families)

    def _sequence(self, index: int) -> Sequence:
        """The sequence of a number; raises `InputError` where there is none."""
        if not isinstance(index, (int, np.integer)) or not -len(self.sequences) <= index < len(
            self.sequences
        ):
            raise InputError(
                f"There is no sequence {index!r}: there are {len(self.sequences)}, counted from 0. Their names: "
                f"{', '.join(s.name for s in self.sequences)}."
            )
        return self.sequences[index]

    def _row(self, label: str) -> dict[str, Any]:
        runs = [r for r in self.runs if r.tracker == label]
        family, scores = runs[0].family, self.scores
        row: dict[str, Any] = {"tracker": label, "family": family}
        mine = scores[(scores["tracker"] == label) & (scores["object_id"].astype(str) == "all")]
        combined = mine[mine["sequence"] == "all"]
        means: dict[Any, Any] = {
            m: v.agg(JOINED.get(str(m), "mean")) for m, v in mine.groupby("metric")["value"]
        }
        means |= dict(combined.set_index("metric")["value"].to_dict())
        row |= {m: means.get(m, np.nan) for m in (*self._metrics(family), *PROXY_METRICS)}
        notes = [r.note for r in runs if r.note]
        notes += [
            f"{sequence}: {why}" for (tracker, sequence), why in self.unjudged.items() if tracker == label
        ]
        tracks = [r.tracks for r in runs if r.tracks is not None]
        if np.isnan(row[FAMILIES[family].main]) and tracks and all(map(stands_still, tracks)):
            row["fb_consistency"] = np.nan  # it always comes home
            notes.append("It never moves.")
        k, n = self._finished[label]
        finished = f"{k} of {n}" if self._unfinished else None
        return row | speed(tracks) | {"finished": finished, "note": " ".join(dict.fromkeys(notes)) or None}

    def _panel(
        self,
        sequence: Sequence,
        index: int,
        image: Image,
        *,
        family: str | None,
        width: int,
        trail: int = 15,
    ) -> Image:
        panels, whole = [], image.shape[1]
        # Before the drawing: once a frame, and lines and letters keep their size.
        image = draw.resized(image, width)
        for r in self.of_sequence(sequence.name):
            if r.tracks is None or family not in (None, r.family):
                continue
            drawn = draw.overlay(
                image,
                r.tracks,
                index,
                truth=sequence.truth,
                title=r.tracker,
                labels=r.family == "mot",
                trail=trail,
                scale=image.shape[1] / whole,
            )
            panels.append(drawn)
        if not panels:
            raise InputError("There is nothing to show: no tracker ran. The notes in the table say why.")
        return draw.side_by_side(panels)


def _known(what: str, name: str, names: Iterable[str]) -> None:
    """Raise `InputError` for a name that isn't there, naming those that are."""
    known = list(names)
    if name not in known:
        raise InputError(f"There is no {what} {name!r}. {near(str(name), known)}")


def _judge(tracks: Any, sequence: Sequence, family: str, rule: Any) -> Part | str:
    """The score of a run, or why this truth can't give one; an unknown rule is the caller's error."""
    if rule is not None:
        FAMILIES[family].rule(rule)
    try:
        return score(tracks, sequence, family, rule)
    except InputError as error:
        return str(error)
