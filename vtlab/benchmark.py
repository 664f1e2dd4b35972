"""Benchmarks on disk as they lie: find truth and results in a folder tree, score every pair, make one table.

No lists of sequences are needed: a result belongs to the sequence that its file or folder is named after, and to the
tracker that the folder above is named after. A format (`vtlab.formats`) finds and reads both sides, and they are scored
by the same functions as in memory, so a number does not depend on the road it came by.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from vtlab.errors import FormatError, InputError, VtlabWarning, renamed
from vtlab.files import csv_text, unpacked, write_whole
from vtlab.formats import Format, Place, Result, dangling, find_format
from vtlab.metrics import evaluation, statistics
from vtlab.metrics.evaluation import Part
from vtlab.metrics.families import FAMILIES, find_family, judges
from vtlab.metrics.ranking import Rank, Ranking
from vtlab.metrics.records import METRICS
from vtlab.metrics.statistics import Cluster
from vtlab.show.board import Board, Grid

if TYPE_CHECKING:
    import pandas as pd

_PARALLEL_BYTES = 40_000_000
"""Bytes of results from which processes pay: below, starting them takes longer than scoring."""
_Results = dict[str, tuple[Path, ...]]
_By = tuple[str, str]
"""Family and rule; "" where the tracks, or the sequences, say."""


@dataclass(frozen=True)
class FolderResult:
    """Scores of all trackers found, over all sequences.

    Attributes:
        layout: How the folders were read.
        parts: Tracker -> one part for each sequence.
        level: Level of the intervals.
        notes: What was left out, and why.
        finished: Tracker -> (k, n): it finished k of n sequences, as its tracks say; only those that finished all are
            ranked. Empty where the format says nothing of it.
        cluster: From the name of a sequence to the scene that it shows.
    """

    layout: str
    parts: Mapping[str, Sequence[Part]]
    level: float = 0.95
    notes: tuple[str, ...] = field(default=())
    finished: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    cluster: Cluster = statistics.scene

    @property
    def families(self) -> list[str]:
        """Families of the metrics, in the order of the trackers; one, unless tracks of several kinds lie together."""
        return list(dict.fromkeys(parts[0].family for parts in self.parts.values()))

    @property
    def family(self) -> str:
        """Family of the metrics; the first, where there are several."""
        return self.families[0]

    @property
    def rule(self) -> str:
        """Name of the rule by which the numbers were made; the first family's, where there are several."""
        return str(next(iter(self.parts.values()))[0].rule.name)

    @cached_property
    def tidy(self) -> pd.DataFrame:
        """Every metric: tracker, sequence, object_id, metric, value, rule; `all` joins sequences."""
        flat = [(tracker, part) for tracker, parts in self.parts.items() for part in parts]
        return evaluation.table([p for _, p in flat], [t for t, _ in flat])

    @cached_property
    def table(self) -> pd.DataFrame:
        """Main metrics, one row for each tracker and sequence; the row `all` joins the sequences."""
        import pandas as pd

        rows = []
        for tracker, parts in self.parts.items():
            listed = dict.fromkeys((*parts[0].rule.listed, *find_family(parts[0].family).listed))
            rows += [
                {"tracker": tracker, "sequence": s, **{m: v[m] for m in listed if m in v}}
                for s, v in _values(parts)
            ]
        return pd.DataFrame(rows).set_index(["tracker", "sequence"])

    @cached_property
    def leaderboard(self) -> pd.DataFrame:
        """Trackers ranked by the benchmark's number, else their family's first metric, with interval and letters
        (`vtlab.metrics.statistics`)."""
        import pandas as pd

        return pd.concat([self._ranked(family).frame() for family in self.families])

    @cached_property
    def boards(self) -> list[Board]:
        """One table for each family: of one tracker its sequences, of several their ranking with intervals and letters."""
        return [self._board(family) for family in self.families]

    @property
    def _read(self) -> list[Board]:
        """The boards for a reader: one decimal where an interval says that two mean nothing; papers and files have two."""
        return [replace(b, digits=1) if "ci_low" in b.grid.columns else b for b in self.boards]

    def to_rich(self) -> Any:
        """Return the table for a terminal."""
        from rich.console import Group

        tables = [board.to_rich() for board in self._read]
        return tables[0] if len(tables) == 1 else Group(*tables)

    def to_latex(self) -> str:
        """Return the table for a paper (booktabs)."""
        return "\n".join(board.to_latex() for board in self.boards)

    def _repr_html_(self) -> str:
        return "\n".join(board._repr_html_() for board in self._read)

    def save(self, path: str | Path) -> Path:
        """Write the numbers by the name's ending: .parquet or .csv (tidy, every metric), .tex or .md (the table).

        Raises:
            InputError: Another ending.
            WriteError: The file can't be written.
        """
        target = Path(path)
        if target.suffix == ".parquet":
            return write_whole(target, self.tidy.astype({"object_id": str}).to_parquet)
        if target.suffix == ".csv":
            return write_whole(target, csv_text(self.tidy))
        if target.suffix == ".tex":
            return write_whole(target, self.to_latex())
        if target.suffix == ".md":
            return write_whole(target, "\n".join(board.to_markdown() for board in self.boards))
        raise InputError(
            f"{target}: can't write {target.suffix or 'no ending'!r}. Known: .parquet, .csv, .tex, .md."
        )

    def _of(self, family: str) -> dict[str, Sequence[Part]]:
        return {t: parts for t, parts in self.parts.items() if parts[0].family == family}

    def _main(self, family: str) -> str:
        """The metric that ranks."""
        mine = self._of(family)
        return find_family(family).main_of([evaluation.combine(parts) for parts in mine.values()])

    @property
    def _unfinished(self) -> tuple[str, ...]:
        return tuple(t for t, (k, n) in self.finished.items() if k < n)

    def _ranked(self, family: str) -> Ranking:
        """Those that finished, ranked; below them the others with their value alone."""
        mine, main = self._of(family), self._main(family)
        whole = {t: parts for t, parts in mine.items() if t not in self._unfinished}
        found = statistics.ranking(whole or mine, main, level=self.level, cluster=self.cluster)
        rest = {t: evaluation.combine(parts)[main] for t, parts in mine.items() if t not in found.ranks}
        order = sorted(rest, key=lambda t: -rest[t] if np.isfinite(rest[t]) else np.inf)
        return replace(found, ranks={**found.ranks, **{t: Rank(rest[t]) for t in order}})

    def _board(self, family: str) -> Board:
        mine, record, main = self._of(family), find_family(family), self._main(family)
        name = next(iter(mine.values()))[0].rule.name
        ranked = self._ranked(family)
        title = f"{self.layout}: {main} decides"
        caption = f"rule: {name}. {self._how(mine, ranked, main)}"
        best = [evaluation.combine(mine[t]) for t in ranked.ranks]
        shown = record.shown(next(iter(mine.values()))[0].rule)
        shown = tuple(m for m in shown if any(m in values for values in best))
        if len(mine) == 1:
            rows = [((t, s), v) for t, parts in mine.items() for s, v in _values(parts)]
            cells = {m: [v.get(m) for _, v in rows] for m in shown}
            grid = Grid(("tracker", "sequence"), [name for name, _ in rows], cells, frozenset(cells))
            return Board(grid, title, caption, digits=2, total=len(rows) > 1)
        values = {m: [v.get(m) for v in best] for m in shown}
        beside = {
            column: [found.get(t) for t in ranked.ranks]
            for column, found in self._beside(mine, ranked, main).items()
        }
        texts = {"letters": [r.letters for r in ranked.ranks.values()]} if ranked.clusters > 1 else {}
        first = {m: values.pop(m) for m in shown[:1]}
        columns: dict[str, list[Any]] = {**texts, **first, **beside, **values}
        if self._unfinished:
            columns["finished"] = ["{} of {}".format(*self.finished[t]) for t in ranked.ranks]
        grid = Grid(("tracker",), list(ranked.ranks), columns, frozenset(columns) - {"letters", "finished"})
        return Board(grid, title, caption, main=main, digits=2, unranked=self._unfinished)

    def _beside(
        self, mine: Mapping[str, Sequence[Part]], ranked: Ranking, main: str
    ) -> dict[str, dict[str, float]]:
        """What stands beside the main metric: over a few clips each of them, over more its interval and their spread."""
        if ranked.clusters < 2:
            return {}
        if not any(np.isfinite(r.low) for r in ranked.ranks.values()):
            return statistics.side_by_side(mine, main) if ranked.clusters < statistics.FEWEST else {}
        ends = {
            "ci_low": {t: r.low for t, r in ranked.ranks.items()},
            "ci_high": {t: r.high for t, r in ranked.ranks.items()},
            "p": {t: r.p for t, r in ranked.ranks.items()},
        }
        return ends | statistics.spreads(mine, main)

    def _how(self, mine: Mapping[str, Sequence[Part]], ranked: Ranking, main: str) -> str:
        """On how many clips the numbers rest, how sure they are, and how they were made."""
        files, clips = ranked.sequences, ranked.clusters
        if clips == 1:
            return "1 clip: it says nothing about other clips."
        what = f"{clips} clips." if files == clips else f"{files} files of {clips} scenes."
        top = next(iter(ranked.ranks.values()))
        if len(mine) == 1 and np.isfinite(top.low):
            text = METRICS[main].text
            what += f" {main} {text(top.value)} [{text(top.low)}, {text(top.high)}]."
        return f"{what} {statistics.how(clips, len(ranked.ranks), ranked.level)}"


def _values(parts: Sequence[Part]) -> list[tuple[str, dict[str, float]]]:
    """Each sequence and its metric -> value; over several, the row `all` joins them."""
    found = [(p.sequence, p.values()) for p in parts]
    return [*found, ("all", evaluation.combine(parts))] if len(parts) > 1 else found


@renamed(protocol="rule")
def evaluate_folders(
    truth: str | Path,
    tracks: str | Path,
    layout: str | Format = "vtlab",
    *,
    rule: str | None = None,
    missing: str = "error",
    first_frame: int = 1,
    workers: int | None = None,
    cluster: Cluster = statistics.scene,
) -> FolderResult:
    """Score results in a folder against the truth in another.

    Args:
        truth: Folder of the benchmark, at any level above the sequences, or one of them; or a zip of it.
        tracks: Folder of results: of one tracker, or of several in folders of their own; or a zip of it.
        layout: Name of the format, see `vtlab.formats.find_format`.
        rule: Another rule than the format's own: of its family, or of one that judges trackers of its family or, where it
            holds points, of points (`pck`).
        missing: What to do about sequences without a result: `error`, or `skip`: then all trackers are compared on the
            sequences that every one of them has, which the result notes.
        first_frame: Index of the first frame in MOTChallenge text: of results, and of truth that has a frame of that index.
        workers: Processes; default: as many as pay for the amount of data. The numbers do not depend on it.
        cluster: From the name of a sequence to the scene that it shows: sequences of one scene are one clip for intervals
            and tests. By default MOT16's and MOT17's detectors are left out of the name.

    Returns:
        `.table`, `.tidy`, `.leaderboard` (DataFrames), `.boards`, `.to_rich()`, `.to_latex()`, `.save(path)`.

    Raises:
        InputError: Unknown format or rule.
        FormatError: Nothing to score; a result is missing; a file is wrong (which, where, what was expected).
    """
    form = replace(find_format(layout), first_frame=first_frame)
    layout = form.name if isinstance(layout, Format) else layout
    by = form.family, form.rule
    if rule is not None:
        by = _judge_of(form, rule)
        _warn_of_hidden(form, by)
        # A rule of another family says nothing of how the files are read.
        form = replace(form, rule=by[1]) if by[0] == form.family else form
    with unpacked(truth) as truth_folder, unpacked(tracks) as tracks_folder:
        found = _evaluated(form, by, truth_folder, tracks_folder, layout, missing=missing, workers=workers)
    return replace(found, cluster=cluster)


def _judge_of(form: Format, rule: str) -> _By:
    """By what a rule scores a format: its own family, else one that judges trackers whose results it holds."""
    held = ("points",) if "points" in form.held("results") else ()
    judge = judges((form.family, *held) if form.family else FAMILIES, rule)
    return form.family and judge.code, judge.rule(rule).name


def _warn_of_hidden(form: Format, by: _By) -> None:
    """Warn where files were written by one rule on hidden answers (the format's own) and are scored by another, so that they
    can't say what the same answers would be worth in memory.
    """
    if not (form.family and form.rule) or "hidden" in form.held("results"):
        return
    written, asked = (find_family(family).rule(rule) for family, rule in ((form.family, form.rule), by))
    if written.hidden_answers in (asked.hidden_answers, "judged"):  # what is judged is in the file
        return
    files = (
        "leave out the answers that are marked as hidden, so they count as missing"
        if written.hidden_answers == "dropped"
        else "don't mark hidden answers, so they count as seen"
    )
    does = {"counted": "counts hidden answers as any other", "dropped": "drops hidden answers"}
    want = does.get(asked.hidden_answers, "judges what is hidden")
    warnings.warn(
        f"The rule {asked.name!r} {want}; results in the layout {form.name!r} {files}. Where a tracker hides answers, its "
        "numbers differ from those of the same tracks in memory or in the layout 'vtlab', which keeps the mark.",
        VtlabWarning,
        stacklevel=3,
    )


def _evaluated(
    form: Format, by: _By, truth: Path, tracks: Path, layout: str, *, missing: str, workers: int | None
) -> FolderResult:
    """The scores of what lies in two folders."""
    notes: list[str] = []
    known = _known(form, truth, tracks, layout, notes)
    found = _found(form, tracks, known, layout)
    jobs = _jobs(known, found, missing, notes)
    parts: dict[str, list[Part]] = {tracker: [] for tracker in sorted(found)}
    broken: dict[str, set[str]] = {}
    for scored in _run(form, by, jobs, workers):
        for tracker, part, whole in scored:
            if isinstance(part, str):
                notes.append(f"{tracker}: {part}")
                continue
            parts[tracker].append(part)
            if not whole:
                broken.setdefault(tracker, set()).add(part.sequence)
    parts = _in_common({tracker: mine for tracker, mine in parts.items() if mine}, notes)
    if not parts:
        raise FormatError(f"{tracks}: nothing could be scored. {' '.join(notes)}")
    for tracker, mine in parts.items():
        rules = {part.rule.name for part in mine}
        if len(rules) > 1:
            raise InputError(
                f"{tracker}: its sequences are of benchmarks with several rules ({', '.join(sorted(rules))}), which "
                "can't be joined. Name one with rule= (--rule)."
            )
    _note_kinds(parts, notes)
    finished = _finished(parts, broken, notes)
    return FolderResult(layout.lower(), parts, notes=tuple(notes), finished=finished)


def _note_kinds(parts: Mapping[str, list[Part]], notes: list[str]) -> None:
    """Note trackers of one family that were measured by other metrics than each other: VOT's experiments in one folder."""
    by_family: dict[str, dict[str, frozenset[str]]] = {}
    for tracker, mine in parts.items():
        by_family.setdefault(mine[0].family, {})[tracker] = frozenset(mine[0].values())
    for kinds in by_family.values():
        shared = frozenset.intersection(*kinds.values())
        more = [f"{t}: {', '.join(sorted(k - shared)) or 'none'}" for t, k in kinds.items()]
        if len(set(kinds.values())) > 1:
            notes.append(
                f"The trackers are of different experiments and have other metrics than each other ({'; '.join(more)}), so "
                "they are ranked by what all have"
            )


def _finished(
    parts: Mapping[str, list[Part]], broken: Mapping[str, set[str]], notes: list[str]
) -> dict[str, tuple[int, int]]:
    """Tracker -> (k, n): it finished k of n sequences; what it didn't answer on the others counts as missed."""
    found = {}
    for tracker, mine in parts.items():
        failed = [p.sequence for p in mine if p.sequence in broken.get(tracker, ())]
        found[tracker] = (len(mine) - len(failed), len(mine))
        if failed:
            notes.append(
                f"{tracker} finished {found[tracker][0]} of {len(mine)} sequences ({_few(failed)} broke off): what it "
                "didn't answer counts as missed, and it is not ranked"
            )
    return found


def _in_common(parts: dict[str, list[Part]], notes: list[str]) -> dict[str, list[Part]]:
    """The parts of the sequences that all trackers of a family have: means over different ones compare nothing."""
    shared: dict[str, set[str]] = {}
    for mine in parts.values():
        names = {p.sequence for p in mine}
        shared[mine[0].family] = shared.get(mine[0].family, names) & names
    for family, names in shared.items():
        every = {p.sequence for mine in parts.values() if mine[0].family == family for p in mine}
        if not names:
            raise FormatError("The trackers have no sequence in common, so they can't be compared.")
        if names < every:
            notes.append(
                f"Compared on the {len(names)} of {len(every)} sequences that all trackers have; left out: "
                f"{_few(sorted(every - names))}"
            )
    return {t: [p for p in mine if p.sequence in shared[mine[0].family]] for t, mine in parts.items()}


def _known(form: Format, truth: Path, tracks: Path, layout: str, notes: list[str]) -> dict[str, Place]:
    """Sequences that have truth."""
    for path in (truth, tracks):
        if not path.exists():
            raise FormatError(f"{path}: there is no such file or folder.")
    places = form.find(truth)
    known = {name: place for name, place in places.items() if place.truth is not None}
    if not known:
        raise FormatError(
            f"{truth}: no ground truth in the layout {layout!r}.{dangling(truth) or ' Is the layout right?'} Expected "
            f"{form.summary}."
        )
    if len(known) < len(places):
        notes.append(f"{len(places) - len(known)} of {len(places)} sequences have no truth")
    return known


def _found(form: Format, tracks: Path, known: Mapping[str, Place], layout: str) -> dict[str, list[Result]]:
    """Results by tracker."""
    found: dict[str, list[Result]] = {}
    for result in form.find_scored(tracks, known):
        found.setdefault(result.tracker, []).append(result)
    if not found:
        others = sorted(p.name for p in tracks.rglob("*") if p.is_file())[:3] if tracks.is_dir() else []
        seen = f" There are {', '.join(others)}, ..." if others else ""
        raise FormatError(
            f"{tracks}: no results for the sequences {_few(known)} in the layout {layout!r}.{seen} Results are named "
            "after their sequence."
        )
    return found


def _jobs(
    known: Mapping[str, Place], found: Mapping[str, list[Result]], missing: str, notes: list[str]
) -> list[tuple[Place, _Results]]:
    """Each sequence with the results of every tracker."""
    results: dict[str, _Results] = {name: {} for name in known}
    for tracker, mine in sorted(found.items()):
        for result in mine:
            paths = results[result.sequence].get(tracker, ())
            results[result.sequence][tracker] = (*paths, result.path)
        lacking = [name for name in known if tracker not in results[name]]
        if lacking and missing != "skip":
            raise FormatError(
                f"{tracker!r} has no result for {_few(lacking)} ({len(lacking)} of {len(known)} sequences). Add it, or "
                "leave such sequences out with missing='skip' (--missing skip)."
            )
        if lacking:
            notes.append(f"{tracker}: {len(lacking)} of {len(known)} sequences left out: {_few(lacking)}")
    return [(known[name], mine) for name, mine in results.items() if mine]


def _run(
    form: Format, by: _By, jobs: list[tuple[Place, _Results]], workers: int | None
) -> Iterable[list[tuple[str, Part | str, bool]]]:
    if workers is None:
        paths = (p for _, results in jobs for mine in results.values() for p in mine)
        size = sum(p.stat().st_size for p in paths if p.is_file())
        workers = min(os.cpu_count() or 1, len(jobs)) if size > _PARALLEL_BYTES else 1
    one, places, results = partial(_score, form, by), [p for p, _ in jobs], [r for _, r in jobs]
    if workers < 2 or len(jobs) < 2:
        return list(map(one, places, results))
    from concurrent.futures import ProcessPoolExecutor

    with ProcessPoolExecutor(workers) as pool:
        return list(pool.map(one, places, results))


def _score(form: Format, by: _By, place: Place, results: _Results) -> list[tuple[str, Part | str, bool]]:
    """The parts of one sequence, by tracker, and whether it ran to the end; where the format leaves the family open, why
    there is none."""
    sequence = form.read_sequence(place, images=False)
    out: list[tuple[str, Part | str, bool]] = []
    for tracker, paths in results.items():
        form.check_runs(paths, sequence)
        try:
            runs = [form.read_tracks(path, sequence) for path in sorted(paths)]
            parts = [evaluation.score(tracks, sequence, by[0] or None, by[1] or None) for tracks in runs]
        except FormatError:
            raise
        except InputError as error:
            if form.family:
                raise
            out.append((tracker, f"{place.name} can't be scored: {error}", False))
            continue
        whole = all(tracks.record.complete is not False for tracks in runs)
        out.append((tracker, _joined(form, parts, paths), whole))
    return out


def _joined(form: Format, parts: list[Part], paths: Sequence[Path]) -> Part:
    """Repetitions of one tracker on one sequence as one part."""
    if len(parts) == 1:
        return parts[0]
    if not form.repeats:
        raise FormatError(f"{paths[0]} and {paths[1]} are results of one tracker for one sequence. Keep one.")
    repeated = find_family(parts[0].family).repeated
    if repeated is None:
        raise FormatError(
            f"{paths[0]}: the metrics of {parts[0].family!r} know no repetitions, and there are {len(parts)} results for "
            f"{parts[0].sequence!r}. Keep one."
        )
    return replace(parts[0], counts=repeated([part.counts for part in parts]))


def _few(names: Iterable[str]) -> str:
    listed = list(names)
    return ", ".join(listed[:3]) + (", ..." if len(listed) > 3 else "")
