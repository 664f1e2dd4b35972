"""The first frame at which two videos differ, from the perceptual hashes of their frames."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vtlab.video.align import SURE, evidence_of
from vtlab.video.matching import HASHES, Floats, Ints, bits, noise, path

_BAD = 5.0
"""Units of noise from which on a frame is another one; and the least squared distance for that (32 of 256 bits)."""
_OTHER = 0.5
_LATER = 30
"""Frames after the first that differs by which the shift is told."""

Known = tuple[Ints, NDArray[np.uint8]]


@dataclass(frozen=True)
class Difference:
    """The first frame that differs.

    Attributes:
        frame: Its number where the labels were made.
        shift: What is to be added to the numbers there to get those here; None where nothing is like it.
        missing: Whether there is no frame of that number here.
    """

    frame: int
    shift: int | None
    missing: bool

    @property
    def told(self) -> str:
        """In words."""
        if self.shift:
            at = max(self.frame, -self.shift)
            like = f"frame {at} is frame {at + self.shift} there"
            return f"from there on the numbers are shifted by {self.shift:+d} frames ({like})"
        return "there is no such frame" if self.missing else "no shift of the numbers would fit"


def first_difference(mine: Known, theirs: Known, *, whole: bool) -> Difference | None:
    """The first of my frames that is another one there; None where all are the same.

    Where frames look alike (a still scene) they are taken for the same: the labels are as right on them.

    Args:
        mine: Numbers (M,), ascending, and hashes (M, 32) of the frames that are known.
        theirs: Numbers (N,), ascending, and hashes (N, 32) of the other video.
        whole: Whether these are all frames of the other.
    """
    numbers, a, b = mine[0], bits(theirs[1]), bits(mine[1])
    place = np.searchsorted(theirs[0], numbers)
    there = place < len(theirs[0])
    there[there] = theirs[0][place[there]] == numbers[there]
    inside = numbers <= theirs[0][-1] if not whole else np.ones(len(numbers), bool)
    rows = np.flatnonzero(there)
    other = ~there & inside & (numbers > theirs[0][0])
    drift = np.zeros(len(numbers), bool)
    if len(rows):
        other[rows], drift[rows] = _differ(a, b[rows], place[rows])
    if not (other | drift).any():
        return None
    first = int((other | drift).argmax())
    found = path(a, b, noise(a, b, HASHES), HASHES, at=numbers)
    known = found >= 0
    shifts = np.where(known, theirs[0][found] - numbers, 0)
    moved = np.flatnonzero(known & (shifts != 0))
    near = moved[np.abs(moved - first) <= _LATER]
    if len(near) and not other[first]:  # it is told by those around, so by some frames too early or too late
        first = int(near[0])
    shift = _common(shifts[first:][known[first:]][:_LATER], len(numbers) - first)
    return Difference(int(numbers[first]), shift, not there[first])


def _common(shifts: Ints, left: int) -> int | None:
    """The shift that most of the next frames have, of `left` that are left; None where none does, or too few tell."""
    values, many = np.unique(shifts, return_counts=True)
    if not len(values) or 2 * many.max() <= len(shifts) or many.max() < min(3, left):
        return None
    return int(values[many.argmax()]) or None


def _differ(a: Floats, b: Floats, place: Ints) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """(M,) frames that don't look like the one at their place, and those that, with the ones around, look more like those
    beside it."""
    own = ((a[place] - b) ** 2).sum(axis=1)
    unit = float(np.clip(np.median(own), HASHES.least, HASHES.most))
    evidence = evidence_of(a, b, place, unit)
    return own > max(_BAD * unit, _OTHER), evidence < -SURE / 2
