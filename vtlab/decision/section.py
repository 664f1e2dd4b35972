"""A verdict as a page shows it."""

from __future__ import annotations

import html
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from vtlab.errors import VtlabError
from vtlab.metrics.records import Metric
from vtlab.show import draw
from vtlab.show.board import Board
from vtlab.show.contact import Contact
from vtlab.show.intervals import Interval, rows_of
from vtlab.show.judgement import Judgement, Span
from vtlab.tracks import Tracks
from vtlab.video import Image

if TYPE_CHECKING:
    from vtlab.decision.answer import Verdict

PICTURES = 8
"""Frames that are shown at most: of those labelled, and of those on which trackers differ."""
MOMENT = 2.0
"""Seconds around a doubtful place in which no second one is shown."""
WIDTH = 300
"""Pixels of a small picture."""


def section(verdict: Verdict) -> Judgement:
    """What is shown of a verdict: levels, differences, and which frames they rest on."""
    return Judgement(
        board=board(verdict),
        unit=verdict.measure.text,
        levels=rows_of(verdict.table),
        ahead=ahead(verdict),
        reading=_reading(verdict),
        counts=counts(verdict),
        spans=spans(verdict),
        pictures=_pictures(verdict),
        apart=contact(verdict),
        notes=verdict.notes,
    )


def board(verdict: Verdict) -> Board:
    """The table of a verdict with words for headings."""
    text, level = verdict.measure.text, f"{100 * verdict.question.level:g} %"
    names = {
        "value": Metric("value", verdict.measure.family, text, title=text),
        "low": Metric("low", "", "", higher_is_better=None, title=f"{level} from"),
        "high": Metric("high", "", "", higher_is_better=None, title="to"),
        "group": Metric("group", "", "", "count", higher_is_better=None),
    }
    caption = (
        "Group 1: no tracker is shown to beat these; group 2: only trackers of group 1 beat these; and so on. Being in "
        "one group does not make trackers equal."
    )
    frame = verdict.table.rename(columns={"beaten_by": "beaten by"})
    return Board(frame, "Verdict", caption, known=names)


def fragment(verdict: Verdict) -> str:
    """A verdict as a cell's output."""
    told = "".join(f"<p>{html.escape(text)}</p>" for text in verdict.notes)
    return f"<p>{html.escape(verdict.sentence)}</p>{board(verdict).to_html()}{told}"


def ahead(verdict: Verdict) -> list[Interval]:
    """How far the first tracker of the table is ahead of each other one, between the bounds that decide."""
    now = verdict.standing()
    if now is None or not np.isfinite(now.value).all():
        return []
    order = [verdict.trackers.index(name) for name in verdict.table.index]
    first, others = order[0], order[1:]
    return [
        Interval(
            f"{verdict.trackers[first]} \u2212 {verdict.trackers[i]}",
            float(now.value[first] - now.value[i]),
            float(now.low[first, i]),
            float(-now.low[i, first]),
        )
        for i in others
    ]


def _reading(verdict: Verdict) -> str:
    if verdict.state == "exact":
        return "Every frame is labelled: the differences are what they are."
    if verdict.question.guarantee:
        return (
            "The answer is proven by a bet, which shows who is ahead and not by how much: there are no intervals of "
            "differences."
        )
    shown = ahead(verdict)
    if not shown:
        return ""
    if not all(np.isfinite(row.low) for row in shown):
        return "There are no bounds of differences: no decision is made at this number of labels."
    return (
        "An interval right of zero shows that the first of the two is better. Its ends are the bounds of the latest look "
        "by which the verdict decides; they are paid for all rivals and looks, so they are wide. Who was shown to be "
        "beaten at an earlier look stays so."
    )


def counts(verdict: Verdict) -> str:
    """How many frames were labelled, known before, asked twice, and left open."""
    found = spans(verdict)
    once, twice, open_ones, known = (
        sum(len(getattr(s, kind)) for s in found) for kind in ("labelled", "again", "unsure", "known")
    )
    parts = [f"{once + twice} of {verdict.frames} frames labelled"]
    parts.append(f"{twice} of them asked twice" if twice else "none of them asked twice")
    if np.isfinite(verdict.agreement):
        parts[-1] += f" (agreement {verdict.agreement:.1%})"
    parts += [f"{known} more known before"] if known else []
    parts += [f"{open_ones} more of which nobody can tell"] if open_ones else []
    return "; ".join(parts) + "."


def spans(verdict: Verdict) -> list[Span]:
    """Where the frames lie that count."""
    places, amount = verdict.disagreement()
    found = []
    for name, clip in verdict.clips.items():
        said, known, count = verdict.labels[name], verdict.known[name], set(clip.frames.tolist())
        apart = np.zeros(clip.length)
        mine = [i for i, (owner, _) in enumerate(places) if owner == name]
        apart[[places[i][1] for i in mine]] = amount[mine]
        looked = said.looked & count
        again = looked & verdict.second[name].looked
        unsure = (said.unsure | (known.unsure - looked)) & count
        once, before = looked - again, (known.looked & count) - looked - unsure
        found.append(
            Span(name, clip.length, sorted(once), sorted(again), sorted(unsure), sorted(before), apart)
        )
    return found


def _pictures(verdict: Verdict) -> Iterator[tuple[str, Image | str]]:
    """Some labelled frames, evenly over all, with what was said of them."""
    found = [(s.name, f, f in s.again) for s in spans(verdict) for f in sorted({*s.labelled, *s.again})]
    chosen = np.unique(np.linspace(0, len(found) - 1, min(PICTURES, len(found))).round().astype(int))
    for name, frame, twice in (found[i] for i in chosen):
        clip, said = verdict.clips[name], verdict.labels[name].tracks
        many = f"{name}, " if len(verdict.clips) > 1 else ""
        there = "" if len(said.at(frame).seen()) or len(said.at(frame).points) else ", nothing there"
        caption = f"{many}frame {frame}{there}{', labelled twice' if twice else ''}"
        if clip.video is None:
            yield "Pictures of labelled frames", f"the footage of {name} isn't known."
            return
        try:
            yield caption, _small(clip.video[frame], [said], frame)
        except VtlabError as error:
            yield caption, str(error)


def contact(verdict: Verdict) -> Contact:
    """Small pictures of the places at which the trackers differ most, every tracker's answer in a colour of its own."""
    return Contact(
        verdict.trackers,
        _doubtful(verdict),
        "For review only: frames that were chosen because trackers differ say nothing of the others, and where all share a "
        "mistake they do not differ.",
    )


def places_apart(verdict: Verdict, count: int) -> list[tuple[str, int, float]]:
    """(clip, frame, disagreement) of the most doubtful places in the order of the video; not two of one moment.

    Where trackers differ as much on many frames, as after a loss, these are taken by chance, so from all over the video.
    """
    places, amount = verdict.disagreement()
    found = list[tuple[str, int, float]]()
    for i in np.lexsort((np.random.default_rng(0).random(len(places)), -amount.round(2))):
        name, frame = places[i]
        if len(found) == count or not amount[i]:
            break
        video = verdict.clips[name].video
        moment = np.inf if video is None else MOMENT * video.fps
        # Closer where the video is too short for as many moments.
        near = min(len(places) / (count + 1), moment)
        if all(name != n or abs(frame - f) > near for n, f, _ in found):
            found.append((name, frame, float(amount[i])))
    order = list(verdict.clips)
    return sorted(found, key=lambda place: (order.index(place[0]), place[1]))


def _doubtful(verdict: Verdict) -> Iterator[tuple[str, Image | str]]:
    for name, frame, amount in places_apart(verdict, PICTURES):
        clip, many = verdict.clips[name], f"{name}, " if len(verdict.clips) > 1 else ""
        if clip.video is None:
            yield "Pictures of doubtful frames", f"the footage of {name} isn't known."
            return
        try:
            small = _small(clip.video[frame], list(clip.tracks.values()), frame)
            yield f"{many}frame {frame}, differ by {amount:.0%}", small
        except VtlabError as error:
            yield f"{many}frame {frame}", str(error)


def _small(image: Image, answers: Sequence[Tracks], frame: int) -> Image:
    """A small picture with all answers, each in a colour of its own, in lines that can be seen at that size."""
    weight = max(2, round(2 * image.shape[1] / WIDTH))
    for k, tracks in enumerate(answers):
        image = draw.overlay(image, tracks, frame, labels=False, shade=draw.colour(k + 1), weight=weight)
    return draw.resized(image, WIDTH)
