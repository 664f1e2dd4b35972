"""Which frame of one video is which of another: re-encoded, cut, trimmed, with dropped or repeated frames."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from vtlab.errors import InputError
from vtlab.video.base import Video
from vtlab.video.geometry import Placement, placement
from vtlab.video.hashing import SIDE
from vtlab.video.manifest import Manifest, Report
from vtlab.video.matching import Floats, Ints, differences, looks, noise, path
from vtlab.video.open import VideoLike, open_video

if TYPE_CHECKING:
    import pandas as pd

SURE = 5.0
"""Evidence, in units of the copy's noise over 15 frames, from which on a frame's place is certain."""
_NEAR, _HALF = 6, 7
"""Frames by which the like of a frame may be off and still lie beside it; frames on either side that evidence is
summed over, 15 in all.
"""
_MOST_BLOCKS = 150
"""Stretches of 15 frames whose like is looked for in all of the other video; of a longer one evenly spread."""
_BAD = 4.0
"""Units of noise from which on a frame is not the one that it was taken for, whatever its neighbours are."""
_ALIKE = 0.01
"""Noise up to which frames are taken for copies of one another."""
_SHARE, _RUN = 0.1, 25
"""Two videos show the same where this share of the shorter one, or this many frames in a row, have a certain place."""


@dataclass(frozen=True)
class Alignment:
    """The map from the frames of `b` to those of `a`.

    Attributes:
        a: The video whose frame numbers are known.
        b: The other.
        frames: For each frame of b the frame of a that it shows, -1 where a has none; never falling otherwise. int64 (M,).
        evidence: By how much the next-best place of each frame is worse, in units of the copy's noise: float64 (M,). NaN
            where a has none.
        rival: How many frames further in a that next-best place lies: int64 (M,).
        placed: How the picture of b lies in that of a; None where it can't be told.
        reason: Why the two don't show the same; "" where they do.
    """

    a: Manifest
    b: Manifest
    frames: Ints
    evidence: NDArray[np.float64]
    rival: Ints
    placed: Placement | None = None
    reason: str = ""

    @property
    def found(self) -> bool:
        """Whether the two show the same, so that labels can be carried from one to the other."""
        return not self.reason

    @property
    def matched(self) -> NDArray[np.bool_]:
        """(M,) frames of b that a has."""
        return self.frames >= 0

    @property
    def certain(self) -> NDArray[np.bool_]:
        """(M,) frames of b whose place in a is certain: nothing else in a looks as much like them and their neighbours."""
        return np.nan_to_num(self.evidence) >= SURE

    @property
    def confidence(self) -> NDArray[np.float64]:
        """(M,) from 0 (any place will do, or none) to 1: evidence e as e / (e + SURE), so that 0.5 is certain enough."""
        e = np.maximum(np.nan_to_num(self.evidence), 0.0)
        return e / (e + SURE)

    @property
    def repeated(self) -> Ints:
        """Frames of b that show the same frame of a as the one before."""
        return 1 + np.flatnonzero((self.frames[1:] == self.frames[:-1]) & self.matched[1:])

    @property
    def missing(self) -> Ints:
        """Frames of a that b lacks: before its start, after its end, and dropped in between."""
        return np.setdiff1d(np.arange(len(self.a)), self.frames)

    @property
    def dropped(self) -> Ints:
        """Frames of a that b lacks between its first and its last."""
        known = self.frames[self.matched]
        missing = self.missing
        inside = (missing > known[0]) & (missing < known[-1]) if len(known) else np.zeros(len(missing), bool)
        return missing[inside]

    @property
    def identical(self) -> bool:
        """Whether both have the same number of frames, and each is exactly the same."""
        return len(self.a) == len(self.b) and bool((self.a.exact == self.b.exact).all())

    @property
    def shifts(self) -> list[tuple[int, int, int]]:
        """Stretches of one shift: (first frame of b, last frame of b, frame of a less frame of b)."""
        at = np.flatnonzero(self.matched)
        shift = self.frames[at] - at
        new = np.flatnonzero((np.diff(at) > 1) | (np.diff(shift) != 0)) + 1
        parts = np.split(np.arange(len(at)), new) if len(at) else []
        return [(int(at[p[0]]), int(at[p[-1]]), int(shift[p[0]])) for p in parts]

    def unsure(self) -> list[tuple[int, int, str]]:
        """Stretches of b whose place is not certain: (first, last, why)."""
        doubt = np.flatnonzero(self.matched & ~self.certain)
        found = []
        for part in np.split(doubt, np.flatnonzero(np.diff(doubt) > 1) + 1) if len(doubt) else []:
            rivals = np.abs(self.rival[part])
            near = bool(np.median(rivals) <= _NEAR)
            far = f"a has the like {int(np.median(rivals))} frames away"
            found.append((int(part[0]), int(part[-1]), "nothing moves enough to tell" if near else far))
        return found

    def to_frame(self) -> pd.DataFrame:
        """A row for each frame of b: frame, time, frame_a, time_a, repeated, confidence; -1 and NaN where a has none."""
        import pandas as pd

        there = self.matched
        repeated = np.zeros(len(there), bool)
        repeated[self.repeated] = True
        values = {
            "frame": np.arange(len(there)),
            "time": self.b.times,
            "frame_a": self.frames,
            "time_a": np.where(there, self.a.times[self.frames], np.nan),
            "repeated": repeated,
            "confidence": self.confidence,
        }
        return pd.DataFrame(values)

    def facts(self) -> dict[str, str]:
        """What is to be said of it, as a table for people."""
        n, known = len(self.b), self.frames[self.matched]
        sure = int((self.certain & self.matched).sum())
        first, last = (int(known[0]), int(known[-1])) if len(known) else (0, len(self.a) - 1)
        said = {
            "a": f"{self.a.name}: {len(self.a)} frames, {_rate(self.a)}",
            "b": f"{self.b.name}: {n} frames, {_rate(self.b)}",
            "same": "yes" if self.found else f"no: {self.reason}",
            "matched": f"{len(known)} of {n} frames of b" + (" (pixel for pixel)" if self.identical else ""),
            "not in a": f"{n - len(known)} frames of b",
            "not in b": f"{first} frames of a before its start, {len(self.a) - 1 - last} after its end"
            if len(known)
            else "all frames of a",
            "dropped": f"{len(self.dropped)} frames of a in between",
            "repeated": f"{len(self.repeated)} frames of b",
            "shift": self._shift(),
            "certain": f"{sure} of {len(known)} matched frames",
        }
        told = [f"{i} to {j} ({why})" for i, j, why in self.unsure()]
        if told:
            said["not certain"] = "; ".join(told[:5]) + (
                f"; and {len(told) - 5} more" if len(told) > 5 else ""
            )
        if self.placed is not None:
            said["picture"] = self.placed.told
        return said

    def _shift(self) -> str:
        parts = self.shifts
        if not parts:
            return "none"
        values = [s for *_, s in parts]
        if len(set(values)) == 1:
            j, s = parts[0][0], values[0]
            return f"{s:+d} frames throughout (frame {j} of b is frame {j + s} of a)"
        ends = f"{values[0]:+d} at the first, {values[-1]:+d} at the last frame"
        return f"{ends}; changes {len(parts) - 1} times"


def _rate(manifest: Manifest) -> str:
    steps = np.diff(manifest.times)
    if not len(steps) or not np.median(steps) > 0:
        return "one frame" if not len(steps) else "no usable times"
    # Stamps rounded to milliseconds, as Matroska's, move even steps by up to 1 ms either way.
    even = np.ptp(steps) <= 0.1 * np.median(steps) + 0.002
    return f"{1 / steps.mean():.4g} fps" + ("" if even else " on average (varies)")


def align(a: VideoLike, b: VideoLike, *, progress: bool | Report = True) -> Alignment:
    """Find which frame of `a` each frame of `b` shows, from what the frames look like; time stamps are not used.

    Made for copies: another codec, size, brightness or frame rate (repeated or dropped frames), a trimmed start, cuts.
    Each video is read once (see `Manifest.of`). Where frames look alike (a still scene, a loop) the map says so.

    Args:
        a: The video whose frame numbers are known.
        b: The other.
        progress: See `Manifest.of`.

    Raises:
        InputError: One is a stream.
        VideoError: One can't be read.
    """
    first, second = open_video(a), open_video(b)
    known, other = (Manifest.of(v, progress=progress) for v in (first, second))
    found = match(known, other)
    return _placed(found, first, second)


def match(a: Manifest, b: Manifest) -> Alignment:
    """The same from two manifests; what cropping or bars did to the picture isn't known then."""
    mine, other = looks(a.thumbnails), looks(b.thumbnails)
    if len(a) == len(b) and (a.exact == b.exact).all():
        return Alignment(a, b, np.arange(len(a)), np.full(len(a), np.inf), np.zeros(len(a), np.int64))
    unit = noise(mine, other)
    frames = path(mine, other, unit)
    evidence, rival = _evidence(mine, other, frames, unit)
    found = Alignment(a, b, frames, evidence, rival)
    return found if _shared(found) else replace(found, reason=_why_not(found, mine, other, unit))


def _shared(found: Alignment) -> bool:
    """Whether enough frames have a certain place."""
    sure = found.certain & found.matched
    edges = np.flatnonzero(np.diff(np.r_[0, sure.astype(np.int8), 0]))
    longest = int((edges[1::2] - edges[::2]).max(initial=0))
    return bool(sure.sum() >= max(1, _SHARE * min(len(found.a), len(found.b))) or longest >= _RUN)


def _why_not(found: Alignment, a: Floats, b: Floats, unit: float) -> str:
    """Why two videos don't show the same; asks whether one is mirrored, turned or runs backwards."""
    if found.matched.mean() > 0.5 and unit < _ALIKE:
        return "their frames look alike, but nothing in them tells one from the next (a still picture, or little motion)"
    # Frames with contrast have length 1, flat ones less (`looks`).
    if not np.linalg.norm(b, axis=1).max() > 0.9 or not np.linalg.norm(a, axis=1).max() > 0.9:
        return "one of them shows nothing (black, white, or of one colour)"
    grid = b.reshape(-1, SIDE, SIDE)
    turned = {
        "b is mirrored": grid[:, :, ::-1],
        "b is upside down": grid[:, ::-1, ::-1],
        "b is flipped top to bottom": grid[:, ::-1],
        "b runs backwards": grid[::-1],
    }
    every = max(1, len(b) // 400)
    for why, other in turned.items():
        few = np.ascontiguousarray(other[::every]).reshape(-1, SIDE * SIDE)
        least = noise(a, few)
        frames = path(a, few, least, at=every * np.arange(len(few)))
        evidence, _ = _evidence(a, few, frames, least)
        if least <= max(unit, _ALIKE) and (np.nan_to_num(evidence) >= SURE).mean() > 0.5:
            return why
    return "b shows something else, or its picture is cut, framed or covered"


def _evidence(a: Floats, b: Floats, frames: Ints, unit: float) -> tuple[NDArray[np.float64], Ints]:
    """How much worse the next-best place of each frame is, and how far away it lies: near ones, then all others."""
    there = np.flatnonzero(frames >= 0)
    evidence, rival = np.full(len(b), np.nan), np.zeros(len(b), np.int64)
    if not len(there):
        return evidence, rival
    at, runs = frames[there], np.cumsum(np.r_[0, np.diff(there) > 1])
    own = ((a[at] - b[there]) ** 2).sum(axis=1)
    best, place = _near(a, b[there], at, runs, unit)
    blocks = np.array_split(np.arange(len(at)), max(1, len(at) // (2 * _HALF + 1)))
    looked = np.unique(np.linspace(0, len(blocks) - 1, _MOST_BLOCKS).astype(np.int64))
    found = [_rival(a, b[there[part]], at[part], own[part]) for part in (blocks[i] for i in looked)]
    nearest = np.abs(np.arange(len(blocks))[:, None] - looked[None]).argmin(axis=1)
    for part, (far, step) in zip(blocks, (found[i] for i in nearest), strict=True):
        worse = far / unit < best[part]
        place[part[worse]] = step
        best[part] = np.minimum(best[part], far / unit)
    best[own > _BAD * unit] = 0.0
    evidence[there], rival[there] = best, place
    return evidence, rival


def evidence_of(a: Floats, b: Floats, at: Ints, unit: float) -> NDArray[np.float64]:
    """How much worse the frames of a just beside `at` (M,) suit each frame of b and those around it; below 0: better."""
    return _near(a, b, at, np.zeros(len(at), np.int64), unit)[0]


def _near(a: Floats, b: Floats, at: Ints, runs: Ints, unit: float) -> tuple[NDArray[np.float64], Ints]:
    """The least of that over the frames beside, and how far away it lies."""
    own = ((a[at] - b) ** 2).sum(axis=1)
    best, place = np.full(len(at), np.inf), np.zeros(len(at), np.int64)
    for step in (s for s in range(-_NEAR, _NEAR + 1) if s):
        inside = (at + step >= 0) & (at + step < len(a))
        more = np.where(inside, ((a[np.clip(at + step, 0, len(a) - 1)] - b) ** 2).sum(axis=1) - own, 0.0)
        total = np.where(_window(inside.astype(float), runs) > 0, _window(more, runs) / unit, np.inf)
        place[total < best], best = step, np.minimum(total, best)
    return best, place


def _window(values: NDArray[np.float64], runs: Ints) -> NDArray[np.float64]:
    """Sums over the 15 values around each, of those of the same run; fewer at its ends."""
    total = np.concatenate([[0.0], np.cumsum(values)])
    i = np.arange(len(values))
    first, last = np.searchsorted(runs, runs, "left"), np.searchsorted(runs, runs, "right")
    return total[np.minimum(i + _HALF + 1, last)] - total[np.maximum(i - _HALF, first)]


def _rival(a: Floats, b: Floats, at: Ints, own: Floats) -> tuple[float, int]:
    """The best place in a of a few frames of b together, away from their own: how much worse, and how far."""
    shifts = np.arange(-int(at[0]), len(a) - int(at[-1]))
    shifts = shifts[np.abs(shifts) > _NEAR]
    if not len(shifts):
        return np.inf, 0
    cost = differences(a, b)
    total = np.zeros(len(a) - int(at[-1] - at[0]))
    for row, place in zip(cost, (at - at[0]).tolist(), strict=True):
        total += row[place : place + len(total)]
    sums = total[shifts + int(at[0])]
    best = int(sums.argmin())
    return float(sums[best] - own.sum()), int(shifts[best])


def _placed(found: Alignment, a: Video, b: Video) -> Alignment:
    """The alignment with how the picture of b lies in that of a, looked at on a few certain frames."""
    sure = np.flatnonzero(found.certain & found.matched if found.found else found.matched)
    if not len(sure):
        return found
    few = sure[np.unique(np.linspace(0, len(sure) - 1, 5).astype(np.int64))]
    placed = placement([(a[int(found.frames[j])], b[int(j)]) for j in few])
    if found.reason and placed is not None and not placed.same:
        return replace(found, placed=placed, reason=f"its picture is another part: {placed.told}")
    return replace(found, placed=placed)


def check_found(found: Alignment) -> None:
    """Raise `InputError` unless labels can be carried over an alignment."""
    names = f"{found.a.name!r} and {found.b.name!r}"
    if not found.found:
        raise InputError(
            f"{names} don't show the same: {found.reason}. Remedy: give the two copies of one video."
        )
    if found.placed is not None and not found.placed.same:
        raise InputError(
            f"{names} show the same frames, but {found.placed.told}: coordinates would be wrong. Remedy: cut or turn the "
            "copy back, or label it anew."
        )
