"""What a page shows of a verdict: levels and differences with their intervals, and the frames that were labelled."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vtlab.show.board import Board
from vtlab.show.contact import Contact
from vtlab.show.intervals import Interval, chart, points
from vtlab.show.page import jpeg, missing
from vtlab.video import Image

_BINS = 500
"""Steps of a drawn curve at most."""
_KINDS = (("labelled", "labelled"), ("again", "labelled twice"), ("unsure", "nobody can tell"))


@dataclass(frozen=True)
class Span:
    """The frames of one clip.

    Attributes:
        name: Name of the clip.
        length: Number of its frames.
        labelled: Frames that were labelled once.
        again: Frames that were labelled twice.
        unsure: Frames of which nobody can tell.
        known: Frames that were labelled before anything was asked.
        apart: (length,) how much the trackers differ, 0 to 1; 0 on frames that don't count.
    """

    name: str
    length: int
    labelled: Sequence[int]
    again: Sequence[int]
    unsure: Sequence[int]
    known: Sequence[int]
    apart: NDArray[np.float64]


@dataclass(frozen=True)
class Judgement:
    """The section of a page that shows a verdict.

    Attributes:
        board: Levels as a table.
        unit: What the levels are.
        levels: Levels with their intervals.
        ahead: How far the first tracker is ahead of each other one.
        reading: How the differences are to be read.
        counts: How many frames were labelled, in a sentence.
        spans: Where they lie.
        pictures: (caption, RGB image (H, W, 3), or why there is none) of some of them, taken as the page is written.
        apart: Frames on which the trackers differ most.
        notes: What a reader must know besides.
    """

    board: Board
    unit: str
    levels: Sequence[Interval]
    ahead: Sequence[Interval]
    reading: str
    counts: str
    spans: Sequence[Span]
    pictures: Iterable[tuple[str, Image | str]]
    apart: Contact
    notes: Sequence[str]

    @property
    def title(self) -> str:
        """Heading of the section."""
        return self.board.title

    def to_html(self) -> str:
        """Return the section; what others named stands in it as text."""
        parts = [chart(self.levels, self.unit), self.board.to_html()]
        if self.ahead:
            parts += ["<h3>Differences</h3>", self._differences()]
        if self.reading:
            parts.append(_note(self.reading))
        parts += [
            "<h3>Labelled frames</h3>",
            f"<p>{html.escape(self.counts)}</p>",
            *map(_timeline, self.spans),
        ]
        parts.append(_legend(self.spans))
        pictures = [missing(c, i) if isinstance(i, str) else jpeg(i, c) for c, i in self.pictures]
        parts += ["<div class='gallery small'>", *pictures, "</div>"] if pictures else []
        sheet = self.apart.to_html()
        parts += ["<h3>Where the trackers differ most</h3>", sheet] if sheet else []
        parts += [_note(note) for note in self.notes]
        return "\n".join(parts)

    def _differences(self) -> str:
        """The chart of differences, as wide to both sides as the furthest end, in whole fives of a per cent."""
        ends = [abs(v) for row in self.ahead for v in (row.value, row.low, row.high) if np.isfinite(v)]
        reach = min(max(np.ceil(max(ends, default=0.0) * 20) / 20, 0.05), 1.0)
        return chart(self.ahead, f"percentage points of {self.unit}", ends=(-reach, reach), text=points)


def _note(text: str) -> str:
    return f"<p class=note>{html.escape(text)}</p>"


def _timeline(span: Span) -> str:
    """The frames of a clip from left to right: how much trackers differ, what was known, what was labelled."""
    n = span.length
    parts = [f"<path class=apart d='{_curve(span.apart)}' />"]
    parts += [f"<rect class=known x={a} y=90 width={b - a} height=10 />" for a, b in _runs(span.known)]
    for kind, _ in _KINDS:
        ticks = "".join(f"M{f + 0.5:g} 0V100" for f in getattr(span, kind))
        parts.append(f"<path class='tick {kind}' d='{ticks}' />" if ticks else "")
    label = html.escape(f"Labelled frames of {span.name}", quote=True)
    drawn = f'<svg viewBox="0 0 {n} 100" preserveAspectRatio=none role=img aria-label="{label}">{"".join(parts)}</svg>'
    under = f"<span>0</span><span>{html.escape(span.name)}, frames</span><span>{n - 1}</span>"
    return f"<div class=span>{drawn}<div class=under>{under}</div></div>"


def _curve(apart: NDArray[np.float64]) -> str:
    """An area of the mean over as many steps as can be seen."""
    n = len(apart)
    edges = np.unique(np.linspace(0, n, min(n, _BINS) + 1).astype(int))
    means = np.add.reduceat(apart, edges[:-1]) / np.diff(edges)
    steps = "".join(f"V{100 - 100 * m:.1f}H{b}" for m, b in zip(means, edges[1:], strict=True))
    return f"M0 100{steps}V100Z"


def _runs(frames: Sequence[int]) -> list[tuple[int, int]]:
    """(first, behind the last) of the stretches of frames without a gap."""
    f = np.unique(np.asarray(frames, int))
    cuts = np.flatnonzero(np.diff(f) > 1) + 1
    return [(int(part[0]), int(part[-1]) + 1) for part in np.split(f, cuts) if len(part)]


def _legend(spans: Sequence[Span]) -> str:
    """The signs that occur."""
    used = [(kind, words) for kind, words in _KINDS if any(len(getattr(s, kind)) for s in spans)]
    used += [("known", "known before")] if any(len(s.known) for s in spans) else []
    used.append(("apart", "how much the trackers differ (top: entirely)"))
    return (
        "<p class=legend>" + "".join(f"<span><i class={k}></i>{words}</span>" for k, words in used) + "</p>"
    )
