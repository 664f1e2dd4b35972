"""Compare trackers on videos: one call, one table, the pictures, the report.

Every tracker runs alone, one after the other, so that its time and memory are its own; the video is decoded once
and kept where it fits into `memory_budget`, else decoded again for each tracker. A tracker that can't run (weights
missing, a package missing, a failure) has a row that says why; the others are not disturbed.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from vtlab.contracts import Card
from vtlab.errors import InputError, PromptError, TrackingError, VtlabError, VtlabWarning
from vtlab.prompts import BoxPrompt, ClickPrompt, MaskPrompt, PointPrompt, Prompt, Prompts, SkeletonPrompt
from vtlab.registry import TRACKERS
from vtlab.sequence import Sequence
from vtlab.show import draw
from vtlab.trackers.loop import Direction, as_prompts, count_frames, track
from vtlab.trackers.measure import speed
from vtlab.trackers.memory import settle
from vtlab.tracks import Tracks
from vtlab.video import FrameSource, Image, Video, open_video, write_video

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

FAMILIES = ("sot", "mot", "vos", "points")
FAMILY_TITLES = {
    "sot": "Boxes from prompts (SOT)",
    "mot": "Objects from detections (MOT)",
    "vos": "Masks (VOS)",
    "points": "Points",
}
MAIN_METRIC = {"sot": "success_auc", "mot": "HOTA", "vos": "J&F", "points": "AJ"}
PROXY_METRICS = ("agreement", "fb_consistency")
"""Without truth, the first that is there ranks: on 36 runs with truth, agreement followed the success AUC with a
Spearman correlation of 0.79, forward-backward consistency with 0.14 (`benchmarks/proxies.py`)."""
TABLE_METRICS = {
    "sot": ("success_auc", "precision_20px", "ao", "sr_50"),
    "mot": ("HOTA", "DetA", "AssA", "MOTA", "IDF1", "IDSW"),
    "vos": ("J&F", "J", "F"),
    "points": ("AJ", "delta_avg", "OA"),
}
SPEED_COLUMNS = ("fps", "latency_ms", "latency_p95_ms", "memory_mb")


@dataclass(frozen=True)
class Run:
    """One tracker on one sequence.

    Attributes:
        tracker: Label of the tracker in the comparison.
        sequence: Name of the sequence.
        family: By whose metrics it is judged: "sot", "mot", "vos" or "points".
        tracks: What it tracked; None if it could not start. After a failure, what it had until then.
        note: Why it could not run or finish; "" if it did. Also says which prompts were converted, and what the
            tracker's card wants users to see, such as a non-commercial licence.
        ok: True if it ran to the end.
        backward: The same tracker run back from its own last answer, for forward-backward consistency.
    """

    tracker: str
    sequence: str
    family: str
    tracks: Tracks | None
    note: str = ""
    ok: bool = True
    backward: Tracks | None = None


def compare(
    video: Any,
    trackers: Iterable[Any] | Mapping[str, Any],
    *,
    prompts: Any = None,
    truth: Tracks | str | Path | None = None,
    protocol: str | Mapping[str, str] | None = None,
    direction: Direction = "forward",
    forward_backward: bool | None = None,
    budget_ms: float | None = None,
    memory_budget: int = 1 << 30,
    progress: bool | Callable[[str], None] = True,
) -> Comparison:
    """Run trackers on one video or on several sequences and measure them.

    Args:
        video: A video (anything `open_video` takes), a `Sequence`, or an iterable of sequences (a dataset).
        trackers: Names, `file.py:Class`, classes, or (spec, parameters); a mapping gives labels: {"slow": ("csrt",
            {...})}.
        prompts: For a plain video: `Prompts`, a prompt file or prompts. Each tracker gets the kinds it takes; a
            mask (or clicks with a box) becomes a box for a tracker of boxes, which the run's note says.
        truth: For a plain video: ground-truth `Tracks`, or a file of them. Without truth only proxies are
            measured: forward-backward consistency and agreement between trackers.
        protocol: Name of the benchmark rule, or one for each family ({"sot": "got10k"}); None = the default of
            each family (`vtlab.metrics.rules`).
        direction: As in `track`.
        forward_backward: Whether to run each prompted tracker backward too, which doubles the time; by default
            only without truth.
        budget_ms: Milliseconds that a tracker may take on 95 of 100 frames to be chosen (1000 / 25 for 25 frames a
            second); None = any.
        memory_budget: Bytes of decoded frames that may be kept so that a video is decoded once.
        progress: Show progress bars, or nothing, or call a function with one line for each run.

    Raises:
        InputError: No tracker, a label twice, a budget that is not above 0, or nothing to compare on.
        RegistryError: A name that is not known: nothing runs before all names are found.
    """
    if budget_ms is not None and not budget_ms > 0:
        raise InputError(f"budget_ms must be above 0 milliseconds a frame, got {budget_ms!r}.")
    specs = _specs(trackers)
    cards = {label: TRACKERS.card(spec) for label, (spec, _) in specs.items()}
    sequences = _sequences(video, prompts, truth)
    both_ways = forward_backward if forward_backward is not None else all(s.truth is None for s in sequences)
    runs: list[Run] = []
    for sequence in sequences:
        footage = _decoded(sequence.video, memory_budget)
        for label, (spec, params) in specs.items():
            if callable(progress):
                progress(f"{label} on {sequence.name}")
            job = _Trial(
                label, cards[label], spec, params, sequence, footage, direction, both_ways, progress is True
            )
            runs.append(job.run())
    return Comparison(tuple(sequences), tuple(runs), protocol, budget_ms)


@dataclass(frozen=True)
class _Trial:
    label: str
    card: Card
    spec: Any
    params: dict[str, Any]
    sequence: Sequence
    video: Video
    direction: Direction
    both_ways: bool
    progress: bool

    def run(self) -> Run:
        family = _family(self.card, self.sequence)
        try:
            prompts, note = fitting_prompts(self.card, self.sequence.prompts, self.video)
            settle(self.card)
            with _collected() as notices:
                tracks = self._track(prompts, self.direction)
                backward = self._return(tracks) if self.both_ways and self.card.accepts else None
            note = " ".join(filter(None, [note, self.card.notice, *dict.fromkeys(notices)]))
            return Run(self.label, self.sequence.name, family, tracks, note, True, backward)
        except TrackingError as error:
            return Run(self.label, self.sequence.name, family, _as_tracks(error.tracks), str(error), False)
        except VtlabError as error:
            return Run(self.label, self.sequence.name, family, None, str(error), False)

    def _track(self, prompts: Prompts, direction: Direction) -> Tracks:
        return track(
            self.video, prompts, self.spec, direction=direction, progress=self.progress, **self.params
        )

    def _return(self, tracks: Tracks) -> Tracks | None:
        prompts = prompts_from(tracks, int(tracks.frame[-1]), self.card) if len(tracks) else Prompts()
        if not len(prompts) or self.direction != "forward":
            return None
        try:
            return self._track(prompts, "backward")
        except VtlabError:
            return (
                None  # lost at the end: there is nothing to go back from, which the metric shows as missing
            )


@contextmanager
def _collected() -> Iterator[list[str]]:
    """Collect the texts of vtlab's own warnings, which become notes in the table; others are given as ever."""
    notices: list[str] = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", VtlabWarning)
        yield notices
    for w in caught:
        if issubclass(w.category, VtlabWarning):
            notices.append(str(w.message))
        else:
            warnings.warn_explicit(w.message, w.category, w.filename, w.lineno)


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

    # -- numbers ----------------------------------------------------------------------------------------------

    @property
    def trackers(self) -> list[str]:
        """Labels of the trackers, in the order given."""
        return list(dict.fromkeys(r.tracker for r in self.runs))

    @property
    def families(self) -> list[str]:
        """Families present, in a fixed order."""
        present = {r.family for r in self.runs}
        return [f for f in FAMILIES if f in present]

    @property
    def has_truth(self) -> bool:
        """True if any sequence has ground truth."""
        return any(s.truth is not None for s in self.sequences)

    @cached_property
    def _parts(self) -> list[tuple[Run, Any]]:
        """Every run that can be judged, with its score (`vtlab.metrics.evaluation.Part`)."""
        from vtlab.metrics import score

        scored = [
            (r, s)
            for r in self.runs
            for s in self.sequences
            if s.name == r.sequence and self._can_score(r, s)
        ]
        return [
            (r, score(r.tracks, s, r.family, self._rule(r.family))) for r, s in scored if r.tracks is not None
        ]

    def curves(self, which: str = "success") -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """Success or precision over its thresholds for the single-object trackers: (K,), label -> (K,).

        Args:
            which: "success" (overlap above a threshold) or "precision" (centre error within pixels).

        Raises:
            InputError: No single-object tracker was measured against truth.
        """
        from vtlab.metrics import sot

        mine = {
            r.tracker: [p for q, p in self._parts if q.tracker == r.tracker]
            for r, p in self._parts
            if p.family == "sot"
        }
        if not mine:
            raise InputError(
                "There are no success curves: no single-object tracker was measured against truth."
            )
        rule = next(iter(mine.values()))[0].protocol
        x = rule.overlap_thresholds() if which == "success" else rule.center_thresholds()
        return x, {label: sot.concat([p.counts for p in parts]).curve(which) for label, parts in mine.items()}

    @cached_property
    def scores(self) -> pd.DataFrame:
        """Tidy scores: tracker, family, sequence, object_id, metric, value, protocol; proxies where truth is missing."""
        import pandas as pd

        from vtlab.metrics import table

        measured = table([part for _, part in self._parts], [r.tracker for r, _ in self._parts])
        families = {r.tracker: r.family for r in self.runs}
        proxies = pd.concat([self._proxies(s) for s in self.sequences], ignore_index=True)
        found = pd.concat([t for t in (measured, proxies) if len(t)] or [measured], ignore_index=True)
        return found.assign(family=found["tracker"].map(families))

    @cached_property
    def table(self) -> pd.DataFrame:
        """One row for each tracker: family, metrics, speed, memory, note; best first within each family."""
        import pandas as pd

        rows = [self._row(label) for label in self.trackers]
        table = pd.DataFrame(rows).set_index("tracker")
        main = table["main"]
        rank = pd.Series([FAMILIES.index(f) for f in table["family"]], index=table.index)
        order = np.lexsort((-main.fillna(-np.inf).to_numpy(float), rank.to_numpy()))
        metrics = [m for f in self.families for m in TABLE_METRICS[f]]
        columns = ["family", *metrics, *PROXY_METRICS, *SPEED_COLUMNS, "note"]
        return table.iloc[order].reindex(columns=columns).dropna(axis="columns", how="all")

    def leaderboard(self, family: str) -> pd.DataFrame:
        """The rows of one family with the columns that concern it, best first."""
        table = (
            self.table[self.table["family"] == family]
            .drop(columns="family")
            .dropna(axis="columns", how="all")
        )
        if MAIN_METRIC[family] not in table or len(table) < 2 or self._scored(family) < 2:
            return table
        found = self.intervals(family).reindex(table.index)
        table.insert(1, "tie_group", found["group"])
        table.insert(2, "ci_low", found["low"])
        table.insert(3, "ci_high", found["high"])
        return table

    def intervals(self, family: str, metric: str | None = None) -> pd.DataFrame:
        """Trackers of a family ranked with bootstrap intervals over sequences and tie groups (1 = best).

        Trackers that share a group can't be told apart on these sequences (`vtlab.metrics.statistics`). Only those that
        ran on every sequence with truth are ranked.
        """
        from vtlab.metrics import statistics

        mine: dict[str, list[Any]] = {}
        for run, part in self._parts:
            if run.family == family:
                mine.setdefault(run.tracker, []).append(part)
        whole = {t: parts for t, parts in mine.items() if len(parts) == self._scored(family)}
        return statistics.leaderboard(whole, metric or MAIN_METRIC[family], samples=500)

    def _scored(self, family: str) -> int:
        """Number of sequences on which the trackers of a family were scored."""
        return len({run.sequence for run, _ in self._parts if run.family == family})

    def best(self, family: str | None = None) -> str:
        """Label of the tracker with the highest main metric (of a family) among those within the budget.

        Raises:
            InputError: No tracker of the family ran, or none stays within the budget.
        """
        family = family or self.families[0]
        board = self.leaderboard(family)
        fits = board[self.within_budget(board)]
        if len(fits):
            return str(fits.index[0])
        if self.budget_ms is None or "latency_p95_ms" not in board:
            raise InputError(f"No {family!r} tracker ran; the notes in the table say why.")
        raise InputError(
            f"No {family!r} tracker stays within {self.budget_ms:g} ms on 95 of 100 frames; the fastest takes "
            f"{board['latency_p95_ms'].min():.3g} ms. Give a larger budget_ms, or other trackers."
        )

    def within_budget(self, board: pd.DataFrame) -> pd.Series:
        """Whether each tracker of a leaderboard ran and stays within the budget on 95 of 100 frames."""
        latency = board.reindex(columns=["latency_p95_ms"])["latency_p95_ms"].astype(float)
        return latency <= (np.inf if self.budget_ms is None else self.budget_ms)

    # -- pictures ---------------------------------------------------------------------------------------------

    def plot(self) -> Figure:
        """The figure of a comparison: for each family its quality, its quality against latency, its timeline."""
        from vtlab.show.page import figure

        return figure(self)

    def frame(self, index: int, *, sequence: int = 0, family: str | None = None, width: int = 480) -> Image:
        """One frame with the trackers side by side, each labelled: RGB (H, W, 3)."""
        chosen = self.sequences[sequence]
        return self._panel(chosen, index, chosen.video[index], family, width)

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
        images = (self._panel(chosen, f.index, f.image, family, width, trail) for f in chosen.video.frames())
        return write_video(path, images, chosen.video.fps)

    def report(self, path: str | Path, *, title: str = "Comparison of trackers", video: bool = True) -> Path:
        """Write one HTML file with the answer, tables, plots, pictures, side-by-side video and provenance."""
        from vtlab.show.page import write_report

        return write_report(self, path, title=title, video=video)

    def save(self, folder: str | Path) -> Path:
        """Write scores.parquet, table.csv and the tracks of every run into a folder; return it."""
        target = Path(folder)
        target.mkdir(parents=True, exist_ok=True)
        self.scores.astype({"object_id": str}).to_parquet(target / "scores.parquet")
        self.table.to_csv(target / "table.csv")
        for r in self.runs:
            if r.tracks is not None:
                r.tracks.save(target / f"{_slug(r.sequence)}--{_slug(r.tracker)}.parquet")
        return target

    def player(self, sequence: int = 0) -> Any:
        """A widget that plays the trackers side by side (in a notebook)."""
        from vtlab.studio import TrackPlayer

        chosen = self.sequences[sequence]
        tracks = {r.tracker: r.tracks for r in self.of_sequence(chosen.name) if r.tracks is not None}
        return TrackPlayer(chosen.video, tracks, truth=chosen.truth)

    def of_sequence(self, name: str) -> list[Run]:
        """The runs on one sequence."""
        return [r for r in self.runs if r.sequence == name]

    def __repr__(self) -> str:
        return f"Comparison({len(self.trackers)} trackers on {', '.join(s.name for s in self.sequences)})"

    def _repr_html_(self) -> str:
        from vtlab.show.page import styled

        return "".join(
            f"<h4>{FAMILY_TITLES[f]}</h4>{styled(self.leaderboard(f)).to_html()}" for f in self.families
        )

    # -- how it is made ---------------------------------------------------------------------------------------

    def _can_score(self, run: Run, sequence: Sequence) -> bool:
        return sequence.truth is not None and run.ok and run.tracks is not None

    def _rule(self, family: str) -> str | None:
        return self.protocol.get(family) if isinstance(self.protocol, Mapping) else self.protocol

    def _proxies(self, sequence: Sequence) -> pd.DataFrame:
        """Forward-backward consistency and agreement: what can be said without truth, named as such."""
        import pandas as pd

        from vtlab.metrics import consistency

        runs = [r for r in self.of_sequence(sequence.name) if r.tracks is not None and r.ok]
        rows = []
        for r in runs:
            if r.backward is not None and r.tracks is not None:
                rows.append((r, "fb_consistency", consistency.forward_backward(r.tracks, r.backward)))
        for family in self.families:
            peers = {r.tracker: r.tracks for r in runs if r.family == family and r.tracks is not None}
            if len(peers) > 1 and sequence.truth is None:
                shared = consistency.agreement(peers)
                rows += [(r, "agreement", shared[r.tracker]) for r in runs if r.tracker in shared]
        return pd.DataFrame(
            [
                (r.tracker, sequence.name, "all", metric, value, "proxy, without truth")
                for r, metric, value in rows
            ],
            columns=["tracker", "sequence", "object_id", "metric", "value", "protocol"],
        )

    def _row(self, label: str) -> dict[str, Any]:
        runs = [r for r in self.runs if r.tracker == label]
        family = runs[0].family
        row: dict[str, Any] = {"tracker": label, "family": family}
        scores = self.scores
        if len(scores):
            mine = scores[(scores["tracker"] == label) & (scores["object_id"].astype(str) == "all")]
            combined = mine[mine["sequence"] == "all"]
            means = {**mine.groupby("metric")["value"].mean(), **combined.set_index("metric")["value"]}
            row.update({m: means.get(m, np.nan) for m in (*TABLE_METRICS[family], *PROXY_METRICS)})
        row["main"] = row.get(MAIN_METRIC[family], np.nan)
        notes = [r.note for r in runs if r.note]
        tracks = [r.tracks for r in runs if r.tracks is not None]
        if not np.isfinite(row["main"]):
            found = (row.get(m, np.nan) for m in PROXY_METRICS)
            row["main"] = next((v for v in found if np.isfinite(v)), np.nan)
            if tracks and all(_stands_still(t) for t in tracks):  # it always comes home
                row |= {"main": np.nan, **dict.fromkeys(PROXY_METRICS, np.nan)}
                notes.append("It never moves, so proxies say nothing of it.")
        row.update(speed(tracks))
        row["note"] = " ".join(dict.fromkeys(notes)) or None
        return row

    def _panel(
        self, sequence: Sequence, index: int, image: Image, family: str | None, width: int, trail: int = 15
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


def _stands_still(tracks: Tracks) -> bool:
    """True if no object's box and no point ever moves."""
    for i in tracks.object_ids.tolist():
        mine = tracks.of_object(i)
        if np.nanmax(np.ptp(np.nan_to_num(mine.boxes), axis=0), initial=0.0) > 0:
            return False
        for k in np.unique(mine.points.point_id):
            xy = mine.points.xy[mine.points.point_id == k]
            if np.ptp(np.nan_to_num(xy), axis=0).max(initial=0.0) > 0:
                return False
    return True


def fitting_prompts(card: Card, prompts: Prompts, video: Video) -> tuple[Prompts, str]:
    """Choose for each object the prompts that a tracker takes; a mask or clicks with a box become a box at need.

    Returns:
        The prompts, and a note that says what was converted ("" if nothing).

    Raises:
        PromptError: An object has no prompt that the tracker takes, nor one that can be converted.
    """
    if not card.accepts:
        return Prompts(), ""
    chosen: list[Prompt] = []
    converted: list[Prompt] = []
    for object_id in prompts.object_ids:
        mine = prompts.of(object_id)
        fits = [p for p in mine if type(p) in card.accepts]
        if not fits and BoxPrompt in card.accepts:
            converted += [
                p for p in mine if isinstance(p, MaskPrompt) or (isinstance(p, ClickPrompt) and p.xyxy)
            ]
            fits = [
                BoxPrompt(
                    tuple(p.box(video.height, video.width)),
                    object_id=p.object_id,
                    frame=p.frame,
                    label=p.label,
                )
                for p in mine
                if p in converted
            ]
        if not fits:
            takes = ", ".join(sorted(k.__name__ for k in card.accepts))
            raise PromptError(
                f"{card.name!r} takes {takes}; object {object_id} has only {', '.join(sorted({p.kind for p in mine}))} "
                "prompts. Give the object a prompt of that kind as well."
            )
        chosen += _one_kind(fits, card)
    if not chosen:
        raise PromptError(f"{card.name!r} needs prompts, and none were given. Pass prompts=...")
    note = f"Box of the {converted[0].kind} used for {len(converted)} prompt(s)." if converted else ""
    return Prompts(chosen), note


def _one_kind(prompts: list[Prompt], card: Card) -> list[Prompt]:
    """Of several prompts on one frame keep the kind that a tracker is made for: masks before boxes, points before both."""
    if "points" in card.emits:
        order: list[type[Prompt]] = [SkeletonPrompt, PointPrompt, BoxPrompt]
    elif "masks" in card.emits:
        order = [MaskPrompt, ClickPrompt, BoxPrompt]
    else:
        order = [BoxPrompt, MaskPrompt, ClickPrompt]
    best: dict[int, Prompt] = {}
    for p in sorted(prompts, key=lambda p: order.index(type(p)) if type(p) in order else len(order)):
        best.setdefault(p.frame, p)
    return [best[frame] for frame in sorted(best)]


def prompts_from(tracks: Tracks, frame: int, card: Card) -> Prompts:
    """Make prompts of the kind that a tracker takes from what was tracked on one frame; hidden objects are left out."""
    now = tracks.at(frame).seen()
    found: list[Prompt] = []
    masks = now.masks_at(frame) if MaskPrompt in card.accepts else {}
    for i, object_id in enumerate(now.object_id.tolist()):
        if PointPrompt in card.accepts and len(now.points):
            mine = now.points.take(now.points.object_id == object_id)
            if np.isfinite(mine.xy).all() and len(mine):
                found.append(PointPrompt(mine.xy, object_id=object_id, frame=frame))  # type: ignore[arg-type]
        elif object_id in masks and masks[object_id].any():
            found.append(MaskPrompt.of(masks[object_id], object_id=object_id, frame=frame))
        elif BoxPrompt in card.accepts and np.isfinite(now.boxes[i]).all():
            x1, y1, x2, y2 = now.boxes[i]
            if x2 > x1 and y2 > y1:
                found.append(BoxPrompt((x1, y1, x2, y2), object_id=object_id, frame=frame))
    return Prompts(found)


def _family(card: Card, sequence: Sequence) -> str:
    """The family by whose metrics a tracker is judged: its own, or for a composition that of what it gives."""
    if card.family in FAMILIES:
        return card.family
    if "masks" in card.emits and sequence.truth is not None and sequence.truth.rle is not None:
        return "vos"
    return "mot"


def _specs(trackers: Iterable[Any] | Mapping[str, Any]) -> dict[str, tuple[Any, dict[str, Any]]]:
    if isinstance(trackers, str):
        trackers = [trackers]
    items = trackers.items() if isinstance(trackers, Mapping) else ((None, t) for t in trackers)
    specs: dict[str, tuple[Any, dict[str, Any]]] = {}
    for label, value in items:
        spec, params = value if isinstance(value, tuple) else (value, {})
        name = label or TRACKERS.card(spec).name
        if label is None and params:
            name += " " + ", ".join(f"{k}={v}" for k, v in params.items())
        if name in specs:
            raise InputError(
                f"Tracker {name!r} is given twice. Give labels: {{'label': (name, parameters), ...}}."
            )
        specs[name] = (spec, dict(params))
    if not specs:
        raise InputError(f"No tracker was given. Known: {', '.join(TRACKERS.names())}.")
    return specs


def _sequences(video: Any, prompts: Any, truth: Tracks | str | Path | None) -> list[Sequence]:
    if isinstance(truth, (str, Path)):
        truth = Tracks.load(truth)
    if isinstance(video, Sequence):
        changes: dict[str, Any] = {}
        if prompts is not None:
            changes["prompts"] = as_prompts(prompts)
        if truth is not None:
            changes["truth"] = truth
        return [replace(video, **changes)]
    if isinstance(video, Iterable) and not isinstance(video, (str, Path, Video, np.ndarray)):
        sequences = list(video)
        if not sequences or not all(isinstance(s, Sequence) for s in sequences):
            raise InputError("Expected a video, a Sequence, or a non-empty iterable of sequences.")
        names = [s.name for s in sequences]
        if len(set(names)) != len(names):
            raise InputError(f"Sequences must have different names, got {names}.")
        return sequences
    footage = open_video(video)
    given = as_prompts(prompts)
    given.check(footage)
    return [Sequence(footage.name, footage, truth=truth, prompts=given)]


class _Kept(FrameSource):
    """The decoded frames of a video, held in memory."""

    def __init__(self, video: Video):
        self.name, self.source = video.name, video.source
        self.width, self.height, self.fps, self.timestamps = (
            video.width,
            video.height,
            video.fps,
            video.timestamps,
        )
        self._digest = video.digest()
        self._images = [frame.image for frame in video.frames()]

    def get(self, index: int) -> Image:
        return self._images[index].copy()

    def digest(self) -> str:
        return self._digest


def _decoded(video: Video, budget: int) -> Video:
    """The video with its frames decoded once if they fit into `budget` bytes, else as it is."""
    n = count_frames(video)
    if n < 0:
        raise InputError(
            f"{video.name!r} is a stream, which can be read only once. Record it to a file to compare."
        )
    if n * video.width * video.height * 3 > budget:
        return video
    return Video(_Kept(video))


def _as_tracks(tracks: object) -> Tracks | None:
    return tracks if isinstance(tracks, Tracks) and len(tracks) else None


def _slug(text: str) -> str:
    return "".join(c if c.isalnum() or c in "-_." else "-" for c in text)
