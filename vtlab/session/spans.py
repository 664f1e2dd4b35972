"""Spans: stretches of frames as sorted pairs (first, end), none touching another; small, comparable, and JSON."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Spans = tuple[tuple[int, int], ...]


def spans_of(frames: Any) -> Spans:
    """The spans of frames given in any order."""
    found = np.unique(np.asarray(frames, dtype=np.int64))
    if not len(found):
        return ()
    cuts = np.flatnonzero(np.diff(found) != 1) + 1
    firsts = found[np.concatenate([[0], cuts])].tolist()
    lasts = found[np.concatenate([cuts - 1, [len(found) - 1]])].tolist()
    return tuple((a, b + 1) for a, b in zip(firsts, lasts, strict=True))


def frames_of(spans: Spans) -> NDArray[np.int64]:
    """The frames of spans, ascending."""
    return np.concatenate([np.arange(a, b, dtype=np.int64) for a, b in spans] or [np.empty(0, np.int64)])


def joined(spans: Spans, frames: Any) -> Spans:
    """Spans with frames added."""
    return united(spans, spans_of(frames))


def united(one: Spans, other: Spans) -> Spans:
    """The spans that hold the frames of both; the work is that of the spans, however many frames they hold."""
    found: list[tuple[int, int]] = []
    for a, b in sorted(one + other):
        if found and a <= found[-1][1]:
            found[-1] = found[-1][0], max(b, found[-1][1])
        elif a < b:
            found.append((a, b))
    return tuple(found)


def cut(spans: Spans, low: int, high: int) -> Spans:
    """Spans without the frames low <= f < high."""
    if low >= high:
        return spans
    parts = [(a, min(b, low)) for a, b in spans] + [(max(a, high), b) for a, b in spans]
    return tuple(sorted((a, b) for a, b in parts if a < b))


def until(spans: Spans, frame: int) -> Spans:
    """Spans of which the one that holds a frame ends before it."""
    return tuple((a, frame if a <= frame < b else b) for a, b in spans if a != frame)


def holds(spans: Spans, frame: int) -> bool:
    """Whether a frame is in one of the spans."""
    return any(a <= frame < b for a, b in spans)
