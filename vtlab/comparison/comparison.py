"""Comparison: what trackers did on sequences, in tables, pictures, a report and files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from vtlab.comparison import report, saving
from vtlab.comparison.choice import choose, deciding_metric, within_budget
from vtlab.comparison.proxies import PROXY_METRICS, Run, proxies, stands_still
from vtlab.errors import InputError
from vtlab.metrics import score, statistics
from vtlab.metrics import table as tidy
from vtlab.metrics.evaluation import COLUMNS, Part
from vtlab.metrics.families import FAMILIES
from vtlab.metrics.records import METRICS
from vtlab.sequence import Sequence
from vtlab.show import draw
from vtlab.show.answer import Choice
from vtlab.show.board import Board
from vtlab.show.figure import figure
from vtlab.trackers.measure import speed
from vtlab.video import Image, write_video

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

SPEED_COLUMNS = tuple(speed([]))


@dataclass(frozen=True)
class Comparison:
    """Trackers on sequences: what they did, how good, how fast, at what memory.

    Attributes:
        sequences: What they ran on.
        runs: Every tracker on every sequence.
        protocol: Benchmark rule asked for.
        budget_ms: Milliseconds that a tracker may take on 95 of 100 frames to be chosen; None = any.
    """

    sequences: tuple[Sequence, ...]
    runs: tuple[Run, ...]
    protocol: str | Mapping[str, str] | None = None
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
        """The runs on one sequence."""
        return [r for r in self.runs if r.sequence == name]

    def rule(self, family: str) -> str | None:
        """The benchmark rule that was asked for a family; None = that of the sequence, or the family's default."""
        return self.protocol.get(family) if isinstance(self.protocol, Mapping) else self.protocol

    # -- numbers ----------------------------------------------------------------------------------------------

    @cached_property
    def _parts(self) -> list[tuple[Run, Part]]:
        """Every run that can be judged, with its score."""
        truth = {s.name: s for s in self.sequences if s.truth is not None}
        return [
            (r, score(r.tracks, truth[r.sequence], r.family, self.rule(r.family)))
            for r in self.runs
            if r.sequence in truth and r.ok and r.tracks is not None
        ]

    @cached_property
    def _kept(self) -> dict[tuple[str, str | None], pd.DataFrame]:
        """Tables that were made before, so that a bootstrap is drawn once: (family, metric of `intervals` or None)."""
        return {}

    def parts(self, family: str) -> dict[str, list[Part]]:
        """Tracker -> its scores (`vtlab.metrics.evaluation.Part`), one for each sequence with truth that it finished."""
        mine: dict[str, list[Part]] = {}
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
        """Tidy scores: tracker, family, sequence, object_id, metric, value, protocol; proxies where truth is missing."""
        import pandas as pd

        measured = tidy([part for _, part in self._parts], [r.tracker for r, _ in self._parts])
        rows = [
            (tracker, s.name, "all", metric, value, "proxy, without truth")
            for s in self.sequences
            for tracker, metric, value in proxies(self.of_sequence(s.name), agreement=s.truth is None)
        ]
        more = pd.DataFrame(rows, columns=list(COLUMNS))
        found = pd.concat([t for t in (measured, more) if len(t)] or [measured], ignore_index=True)
        return found.assign(family=found["tracker"].map({r.tracker: r.family for r in self.runs}))

    @cached_property
    def table(self) -> pd.DataFrame:
        """One row for each tracker: family, metrics, speed, memory, note; best first within each family."""
        import pandas as pd

        whole = pd.DataFrame([self._row(label) for label in self.trackers]).set_index("tracker")
        order = [t for f in self.families for t in self._ranked(whole[whole["family"] == f], f)]
        metrics = [m for f in self.families for m in FAMILIES[f].columns]
        columns = dict.fromkeys(["family", *metrics, *PROXY_METRICS, *SPEED_COLUMNS, "note"])
        return whole.loc[order].reindex(columns=list(columns)).dropna(axis="columns", how="all")

    def _ranked(self, rows: pd.DataFrame, family: str) -> list[str]:
        """Trackers of a family, best first, those without a value last."""
        metric = deciding_metric(rows, family)
        if metric is None:
            return [str(t) for t in rows.index]
        worth = METRICS[metric].worth(1.0) * rows[metric].astype(float)
        return [str(t) for t in worth.sort_values(ascending=False, kind="stable").index]

    def leaderboard(self, family: str) -> pd.DataFrame:
        """The rows of one family with the columns that concern it, best first; over several sequences with tie groups
        and intervals, which are drawn once."""
        if (family, None) not in self._kept:
            mine = self.table[self.table["family"] == family].drop(columns="family")
            mine = mine.dropna(axis="columns", how="all")
            if FAMILIES[family].main in mine and len(mine) > 1 and self._scored(family) > 1:
                found = self.intervals(family).reindex(mine.index)
                for place, (name, source) in enumerate(
                    (("tie_group", "group"), ("ci_low", "low"), ("ci_high", "high"))
                ):
                    mine.insert(1 + place, name, found[source])
            self._kept[family, None] = mine
        return self._kept[family, None].copy()

    def intervals(self, family: str, metric: str | None = None) -> pd.DataFrame:
        """Trackers of a family ranked with bootstrap intervals over sequences and tie groups (1 = best).

        Trackers that share a group can't be told apart on these sequences (`vtlab.metrics.statistics`). Only those that
        ran on every sequence with truth are ranked.
        """
        key = family, metric or FAMILIES[family].main
        if key not in self._kept:
            whole = {
                t: parts for t, parts in self.parts(family).items() if len(parts) == self._scored(family)
            }
            self._kept[key] = statistics.leaderboard(whole, key[1], samples=500)
        return self._kept[key].copy()

    def _scored(self, family: str) -> int:
        """Number of sequences on which the trackers of a family were scored."""
        return len({run.sequence for run, _ in self._parts if run.family == family})

    def board(self, family: str) -> Board:
        """The leaderboard of a family as it is shown: for a terminal, a notebook, a page, a paper, Markdown."""
        frame, scores = self.leaderboard(family), self.scores
        rules = sorted(set(scores.loc[scores["family"] == family, "protocol"].astype(str)))
        caption = (
            f"Rule: {'; '.join(rules) or 'none'}. Latency and fps are the tracker's own steps without decoding; memory "
            "is the peak that the run added."
        )
        return Board(frame, FAMILIES[family].title, caption, deciding_metric(frame, family))

    # -- the decision -----------------------------------------------------------------------------------------

    def choice(self, family: str | None = None) -> Choice:
        """Who is best of a family (the first one by default), and why."""
        family = family or self.families[0]
        return choose(self.leaderboard(family), family, self.budget_ms)

    def answer(self) -> list[str]:
        """The decision in sentences: for each family the best tracker, what it costs, and the cheaper choice."""
        return report.answer(self)

    def best(self, family: str | None = None) -> str:
        """Label of the tracker with the best main metric (of a family) among those within the budget.

        Raises:
            InputError: No tracker of the family can be chosen: none could be judged, none found anything, or none stays
                within the budget.
        """
        choice = self.choice(family)
        if choice.best is None:
            raise InputError(choice.refusal)
        return choice.best.label

    def within_budget(self, board: pd.DataFrame) -> pd.Series:
        """Whether each tracker of a leaderboard ran and stays within the budget on 95 of 100 frames."""
        return within_budget(board, self.budget_ms)

    # -- pictures ---------------------------------------------------------------------------------------------

    def plot(self) -> Figure:
        """The figure of a comparison: for each family its quality, its quality against latency, its timeline."""
        return figure(report.panels(self))

    def frame(self, index: int, *, sequence: int = 0, family: str | None = None, width: int = 480) -> Image:
        """One frame with the trackers side by side, each labelled: RGB (H, W, 3)."""
        chosen = self.sequences[sequence]
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
        chosen = self.sequences[sequence]
        images = (
            self._panel(chosen, f.index, f.image, family=family, width=width, trail=trail)
            for f in chosen.video.frames()
        )
        return write_video(path, images, chosen.video.fps)

    def report(self, path: str | Path, *, title: str = "Comparison of trackers", video: bool = True) -> Path:
        """Write one HTML file with the answer, tables, plots, pictures, side-by-side video and provenance."""
        return report.page(self, title=title, video=video).write(path)

    def player(self, sequence: int = 0) -> Any:
        """A widget that plays the trackers side by side (in a notebook)."""
        import vtlab

        chosen = self.sequences[sequence]
        tracks = {r.tracker: r.tracks for r in self.of_sequence(chosen.name) if r.tracks is not None}
        return vtlab.TrackPlayer(chosen.video, tracks, truth=chosen.truth)

    def save(self, folder: str | Path) -> Path:
        """Write scores.parquet, table.csv, the truth and the tracks of every run into a folder; return it.

        The tracks lie as `vtlab evaluate --truth FOLDER --tracks FOLDER` scores them: `<tracker>/<sequence>.parquet`
        and `truth/<sequence>.parquet`; those of a run that failed, as far as it came, as `<sequence>.partial.parquet`.

        Raises:
            WriteError: A file can't be written.
        """
        return saving.save(self, Path(folder))

    def __repr__(self) -> str:
        return f"Comparison({len(self.trackers)} trackers on {', '.join(s.name for s in self.sequences)})"

    def _repr_html_(self) -> str:
        return "".join(self.board(f)._repr_html_() for f in self.families)

    # -- how it is made ---------------------------------------------------------------------------------------

    def _row(self, label: str) -> dict[str, Any]:
        runs = [r for r in self.runs if r.tracker == label]
        family, scores = runs[0].family, self.scores
        row: dict[str, Any] = {"tracker": label, "family": family}
        mine = scores[(scores["tracker"] == label) & (scores["object_id"].astype(str) == "all")]
        combined = mine[mine["sequence"] == "all"]
        means = {**mine.groupby("metric")["value"].mean(), **combined.set_index("metric")["value"]}
        row |= {m: means.get(m, np.nan) for m in (*FAMILIES[family].columns, *PROXY_METRICS)}
        notes = [r.note for r in runs if r.note]
        tracks = [r.tracks for r in runs if r.tracks is not None]
        if np.isnan(row[FAMILIES[family].main]) and tracks and all(map(stands_still, tracks)):
            row |= dict.fromkeys(PROXY_METRICS, np.nan)  # it always comes home
            notes.append("It never moves, so proxies say nothing of it.")
        return row | speed(tracks) | {"note": " ".join(dict.fromkeys(notes)) or None}

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
        panels = []
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
            )
            panels.append(draw.resized(drawn, width))
        if not panels:
            raise InputError("There is nothing to show: no tracker ran. The notes in the table say why.")
        return draw.side_by_side(panels)
