"""Rows by the number that they have, ids of objects above all: these lie close together, so they are counted, not sorted."""

from __future__ import annotations

import itertools

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]


def each(ids: Ints) -> Ints:
    """The values of `ids` (N,), ascending."""
    close = _close(ids)
    if close is None:
        return np.unique(ids)
    least, span = close
    return np.flatnonzero(np.bincount(ids - least, minlength=span)) + least


def first_of_each(ids: Ints) -> tuple[Ints, Ints]:
    """The values of `ids` (N,), ascending, and where each stands first."""
    close = _close(ids)
    if close is None:
        values, first = np.unique(ids, return_index=True)
        return values, first
    least, span = close
    place = np.full(span, -1)
    # Backwards: of several that are told the last one holds, and that is the first.
    place[(ids - least)[::-1]] = np.arange(len(ids) - 1, -1, -1)
    found = np.flatnonzero(place >= 0)
    return found + least, place[found]


def grouped(ids: Ints) -> tuple[Ints, Ints, Ints]:
    """The values of `ids` (N,), ascending; positions of the rows of the first, then of the second; how many each has."""
    order = np.argsort(ids, kind="stable")
    close = _close(ids)
    if close is None:
        values, counts = np.unique(ids, return_counts=True)
        return values, order, counts
    least, span = close
    counts = np.bincount(ids - least, minlength=span)
    found = np.flatnonzero(counts)
    return found + least, order, counts[found]


def rows_of_each(ids: Ints) -> dict[int, Ints]:
    """Where each value of `ids` (N,) stands: {value: positions in order}, values ascending."""
    values, order, counts = grouped(ids)
    ends = [0, *np.cumsum(counts).tolist()]
    return {i: order[a:b] for i, (a, b) in zip(values.tolist(), itertools.pairwise(ends), strict=True)}


def _close(ids: Ints) -> tuple[int, int] | None:
    """The least value and the number of those up to the largest; None where they lie too far apart to be counted."""
    if not len(ids):
        return None
    least, largest = int(ids.min()), int(ids.max())
    span = largest - least + 1
    # So the counts take no more memory than a few columns of the table.
    return (least, span) if span <= 4 * len(ids) + 1000 else None
