"""What is shown of a comparison: its figure's data and its page."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from vtlab import provenance
from vtlab.errors import VtlabError
from vtlab.metrics import statistics
from vtlab.metrics.families import FAMILIES
from vtlab.show.figure import Curves, Panel, Timeline, charts
from vtlab.show.judgement import Judgement
from vtlab.show.page import Page
from vtlab.trackers.load import DISTURBED
from vtlab.tracks import Tracks
from vtlab.video import Image

if TYPE_CHECKING:
    from vtlab.comparison.comparison import Comparison


def answer(comparison: Comparison, *, judged: bool = False) -> list[str]:
    """The decision in sentences, for each family: what is known, on what it rests, and what would decide the rest.

    Where a verdict from labels stands beside them (`judged`) they don't ask for one.
    """
    return [comparison.choice(family).told(judged=judged) for family in comparison.families]


def captions(comparison: Comparison, family: str) -> list[str]:
    """How the numbers of a family's table are to be read: by how many clips, by which test, at what load."""
    evidence = comparison.evidence(family)
    ground, told = evidence.ground, []
    if evidence.ranks is None:
        told.append("1 clip with truth." if ground.frames else "No truth: what is seen ranks nobody.")
    else:
        told.append(f"{ground.text[0].upper()}{ground.text[1:]}.")
        told.append(
            statistics.how(
                evidence.ranks.attrs["clusters"], len(evidence.ranks), evidence.ranks.attrs["level"]
            )
        )
    told.append(
        "Latency and fps are the tracker's own steps, without decoding and without the first; of an offline tracker its "
        "work for a frame and the delay of its answers. Memory is the peak that the run added."
    )
    if comparison.budget_ms is not None:
        told.append(_budget(comparison, family))
    waits = {t: timing.waiting for t, timing in evidence.timings.items() if timing.waiting > DISTURBED}
    if waits:
        listed = ", ".join(f"{t} waited {share:.0%} of the time" for t, share in sorted(waits.items()))
        told.append(f"Times disturbed by other work: {listed}.")
    return told


def _budget(comparison: Comparison, family: str) -> str:
    """The budget, and who keeps it."""
    choice = comparison.choice(family)
    groups = [
        (words, [c.label for c in choice.candidates if c.keeps is keeps])
        for keeps, words in ((True, "kept by"), (False, "missed by"), (None, "too few frames to tell for"))
    ]
    told = "; ".join(f"{words} {', '.join(names)}" for words, names in groups if names)
    return f"Budget: {choice.ground.budget}{', ' * bool(told)}{told}."


def panels(comparison: Comparison) -> list[Panel]:
    """What is drawn of each family."""
    found = []
    for family in comparison.families:
        board, parts = comparison.board(family), comparison.parts(family)
        drawn = []
        for curve in FAMILIES[family].curves if parts else ():
            x, lines = comparison.curves(curve.name)
            drawn.append(Curves(f"{curve.name.capitalize()} plot", curve.xlabel, x, lines, curve.metric))
        line = timeline(comparison, family)
        found.append(Panel(board, line, tuple(drawn), comparison.budget_ms))
    return found


def timeline(comparison: Comparison, family: str, sequence: int = 0) -> Timeline | None:
    """How the trackers of a family went over the frames of a sequence; None where none of them ran.

    With truth a value for each frame by the rule that the family's metric is measured by, without truth the tracker's
    own score. After a failure there is nothing to say.
    """
    chosen = comparison.sequences[sequence]
    n = len(chosen.video)
    lines: dict[str, NDArray[np.float64]] = {}
    for run in comparison.of_sequence(chosen.name):
        if run.family != family or run.tracks is None or (run.tracker, run.sequence) in comparison.unjudged:
            continue
        if chosen.truth is None:
            values = _mean_score(run.tracks, n)
        else:
            values = FAMILIES[family].timeline(run.tracks, chosen, comparison.rule_of(family))
        line = np.full(n, np.nan)
        stop = n if run.ok else int(run.tracks.frame.max(initial=-1)) + 1
        line[: len(values[:stop])] = values[:stop]
        lines[run.tracker] = line
    if not lines:
        return None
    truth = chosen.truth is not None
    label = FAMILIES[family].timeline_label if truth else "tracker's score"
    what = "with truth" if truth else "score (no truth)"
    return Timeline(f"{chosen.name}: over time, {what}", label, lines)


def _mean_score(tracks: Tracks, frames: int) -> NDArray[np.float64]:
    """Mean score of the objects of each frame, (frames,); NaN where there is none."""
    count = np.bincount(tracks.frame, minlength=frames)
    total = np.bincount(tracks.frame, tracks.score, minlength=frames)
    mean = np.full(len(count), np.nan)
    np.divide(total, count, out=mean, where=count > 0)
    return mean[:frames]


class Judged(Protocol):
    """What a page shows of a verdict (`vtlab.verdict`)."""

    @property
    def sentence(self) -> str:
        """The answer and on what it rests."""
        ...

    @property
    def section(self) -> Judgement:
        """Levels, differences, and the frames that were labelled."""
        ...


def page(comparison: Comparison, *, title: str, video: bool, verdict: Judged | None = None) -> Page:
    """The page of a comparison: the answer, tables, plots, pictures, side-by-side video and provenance."""
    judged = [] if verdict is None else [verdict.section]
    told = [] if verdict is None else [verdict.sentence]
    footage = ", ".join(
        f"{s.name} ({s.video.width} x {s.video.height}, {len(s.video)} frames, {s.video.fps:.4g} fps)"
        for s in comparison.sequences
    )
    truth = "measured against ground truth" if comparison.has_truth else "without ground truth: proxies only"
    versions = provenance.versions()
    runs = [
        {
            "tracker": r.tracker,
            "sequence": r.sequence,
            **{k: v for k, v in r.tracks.meta.items() if k != "hardware"},
        }
        for r in comparison.runs
        if r.tracks is not None
    ]
    return Page(
        title,
        f"{footage}; {truth}. vtlab {versions['vtlab']}, {provenance.now()}.",
        (*told, *answer(comparison, judged=verdict is not None)),
        (*judged, *(comparison.board(f) for f in comparison.families)),
        charts(panels(comparison)),
        pictures=_pictures(comparison),
        videos=_videos(comparison) if video else (),
        facts={"versions": versions, "hardware": provenance.hardware(), "runs": runs},
    )


def _shown(comparison: Comparison, sequence: str) -> list[str]:
    """Families of which any tracker ran on a sequence."""
    ran = {r.family for r in comparison.of_sequence(sequence) if r.tracks is not None}
    return [f for f in comparison.families if f in ran]


def _pictures(comparison: Comparison) -> Iterator[tuple[str, Image | str]]:
    for k, sequence in enumerate(comparison.sequences):
        n = len(sequence.video)
        for family in _shown(comparison, sequence.name):
            for frame in sorted({0, n // 2, n - 1}):
                caption = f"{sequence.name}, {FAMILIES[family].title}, frame {frame}"
                try:
                    yield caption, comparison.frame(frame, sequence=k, family=family, width=420)
                except VtlabError as error:
                    yield caption, str(error)


def _videos(comparison: Comparison) -> Iterator[tuple[str, Path | str]]:
    first = comparison.sequences[0].name
    with tempfile.TemporaryDirectory() as folder:
        for family in _shown(comparison, first):
            caption = f"{FAMILIES[family].title}, {first}"
            try:
                yield caption, comparison.save_video(Path(folder) / f"{family}.mp4", family=family, width=400)
            except VtlabError as error:
                yield caption, str(error)
