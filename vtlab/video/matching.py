"""The cheapest monotone map from the frames of one video to those of another, by what the frames look like.

Dynamic programming over (frame of b, frame of a), as in dynamic time warping with gaps (Sakoe and Chiba 1978; Smith and
Waterman 1981): going on by one frame in both costs nothing, any other step forward (a dropped or repeated frame, a cut)
costs `TURN`, a frame of b that is nowhere in a costs `Scale.alien`, and each pair what it differs by, in units of the
noise that the copy has. Half a byte is held for each cell; videos too long for that are matched by every k-th frame first,
then in a band around what this found.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Floats = NDArray[np.float32]

TURN = 0.5
"""Cost of a step other than by one frame in both, in units of noise."""
_MOST_CELLS = 40_000_000
"""Pairs of frames that are compared in full (160 MB); beyond it a coarse path comes first."""
_BAND = 2048
"""Frames of a around the coarse path that are compared."""
# Frames of b whose differences come of one matrix product.
_ROWS = 256
_FLAT = 40.0
"""Norm of a thumbnail (2.5 grey levels of contrast) up to which it looks like nothing."""


@dataclass(frozen=True)
class Scale:
    """How far apart the vectors of frames lie.

    Attributes:
        least: Squared distance that rounding alone makes of two equal frames.
        most: The most that a copy's noise may be.
        alien: Cost of a frame of b that a lacks, in units of noise.
    """

    least: float
    most: float
    alien: float


THUMBNAILS, HASHES = Scale(1e-4, 0.05, 8.0), Scale(0.03, 0.2, 6.0)


def bits(hashes: NDArray[np.uint8]) -> Floats:
    """Perceptual hashes (N, 32) as vectors of length 1 (N, 256): k different bits are a squared distance of k / 64."""
    return np.asarray(np.unpackbits(hashes, axis=1) / 8 - 1 / 16, dtype=np.float32)


def looks(thumbnails: NDArray[np.uint8]) -> Floats:
    """Thumbnails (N, 256) as vectors that brightness and contrast don't change: length 1, or less of flat frames."""
    values = thumbnails.astype(np.float32)
    values -= values.mean(axis=1, keepdims=True)
    values /= np.maximum(np.linalg.norm(values, axis=1, keepdims=True), _FLAT)
    return values


def differences(a: Floats, b: Floats) -> Floats:
    """(M, N) squared distances of M vectors `b` from N vectors `a`."""
    found = (b * b).sum(axis=1)[:, None] + (a * a).sum(axis=1)[None] - 2 * (b @ a.T)
    return np.maximum(found, 0.0, out=found)


def noise(a: Floats, b: Floats, scale: Scale = THUMBNAILS) -> float:
    """What a frame of b differs by from the frame of a that is most like it, at the median."""
    rows = np.unique(np.linspace(0, len(b) - 1, 300).astype(np.int64))
    least = np.concatenate([differences(a, b[part]).min(axis=1) for part in np.array_split(rows, 10)])
    return float(np.clip(np.median(least), scale.least, scale.most))


@dataclass(frozen=True)
class _Row:
    """How a row of cells was reached, packed: by a step other than by one, from no frame; from which cell; and so on.

    Attributes:
        turned: A pair was reached by another step than by one frame in both.
        fresh: A pair was reached from a frame of b that a lacks.
        record: No pair before is cheaper.
        stayed: A frame of b that a lacks was reached from another such.
    """

    turned: NDArray[np.uint8]
    fresh: NDArray[np.uint8]
    record: NDArray[np.uint8]
    stayed: NDArray[np.uint8]


def path(a: Floats, b: Floats, unit: float, scale: Scale = THUMBNAILS, at: Ints | None = None) -> Ints:
    """For each frame of b the frame of a that it shows, -1 where a has none: int64 (M,), never falling otherwise.

    Args:
        a: Vectors (N, 256) of `looks` or `bits`.
        b: Vectors (M, 256).
        unit: What `noise` says of them.
        scale: Of what the vectors are.
        at: (M,) numbers of the frames of b, where they are not all.
    """
    at = np.arange(len(b)) if at is None else at
    if len(a) * len(b) <= _MOST_CELLS:
        return _trace(_Task(a, b, unit, scale.alien, at, np.zeros(len(b), np.int64), len(a)))
    few = np.arange(0, len(b), int(np.ceil(len(a) * len(b) / _MOST_CELLS)))
    coarse = _trace(_Task(a, b[few], unit, scale.alien, at[few], np.zeros(len(few), np.int64), len(a)))
    known = coarse >= 0
    if not known.any():
        return np.full(len(b), -1)
    middle = _middle(a, b, few[known], coarse[known])
    width = min(_BAND, len(a))
    first = np.clip(middle - width // 2, 0, len(a) - width).astype(np.int64)
    return _trace(_Task(a, b, unit, scale.alien, at, first, width))


def _middle(a: Floats, b: Floats, rows: Ints, places: Ints) -> Ints:
    """For each frame of b about which frame of a it shows, from those `places` (K,) that some `rows` (K,) have.

    Between two rows whose places are further apart than they are themselves lies a cut, which is looked for by halves.
    """
    at = np.arange(len(b))
    middle = np.interp(at, rows, places).astype(np.int64)
    jumps = np.diff(places) - np.diff(rows)
    for k in np.flatnonzero(np.abs(jumps) > _BAND // 4).tolist():
        low, high = int(rows[k]), int(rows[k + 1])
        begin, end = int(places[k]) - low, int(places[k + 1]) - high
        while high - low > 1:
            half = (low + high) // 2
            near = [
                float(((a[min(half + s, len(a) - 1)] - b[half]) ** 2).sum()) for s in (begin, max(end, -half))
            ]
            low, high = (half, high) if near[0] <= near[1] else (low, half)
        part = at[rows[k] : rows[k + 1]]
        middle[part] = np.where(part <= low, part + begin, np.maximum(part + end, places[k]))
    return np.maximum.accumulate(np.clip(middle, 0, len(a) - 1))


@dataclass(frozen=True)
class _Task:
    """What is to be matched: of each row j the `width` frames of a from `first[j]` on; the rest as in `path`."""

    a: Floats
    b: Floats
    unit: float
    alien: float
    at: Ints
    first: Ints
    width: int

    def costs(self) -> Iterator[Floats]:
        """What each pair of a row differs by, in units, at most as much as is needed to tell that it is none."""
        for begin in range(0, len(self.b), _ROWS):
            part = slice(begin, min(begin + _ROWS, len(self.b)))
            low, high = int(self.first[part].min()), int(self.first[part].max()) + self.width
            block = differences(self.a[low:high], self.b[part]) / np.float32(self.unit)
            block = np.minimum(block, np.float32(5 * self.alien))
            for start, row in zip((self.first[part] - low).tolist(), block, strict=True):
                yield row[start : start + self.width]


def _trace(task: _Task) -> Ints:
    """The cheapest path."""
    rows: list[_Row] = []
    pairs = lacking = np.zeros(0, np.float32)
    for j, cost in enumerate(task.costs()):
        if not j:
            pairs, lacking, row = _begun(cost, task)
        else:
            moved, step = int(task.first[j] - task.first[j - 1]), int(task.at[j] - task.at[j - 1])
            pairs, lacking, row = _reached(cost, (pairs, lacking), moved, step, task.alien)
        rows.append(row)
    return _walked(rows, pairs, lacking, task)


def _begun(cost: Floats, task: _Task) -> tuple[Floats, Floats, _Row]:
    """The costs of the first row: it may begin anywhere."""
    nothing = np.packbits(np.zeros(len(cost), bool))
    record = np.packbits(cost == np.minimum.accumulate(cost))
    return cost, np.full(len(cost), task.alien, np.float32), _Row(nothing, nothing, record, nothing)


def _reached(
    cost: Floats, before: tuple[Floats, Floats], moved: int, step: int, alien: float
) -> tuple[Floats, Floats, _Row]:
    """The costs of a row from those of the row before (`step` frames and `moved` cells away), and how it was reached."""
    pairs, lacking = before
    best = np.minimum.accumulate(pairs)
    straight = _shifted(pairs, moved - step, np.inf)
    turn = _shifted(best, moved, best[-1])
    new = _shifted(lacking, moved, lacking[-1])
    turned, fresh = (turn + TURN < straight) & (turn <= new), (new + TURN < straight) & (new < turn)
    made = cost + np.minimum(straight, np.minimum(turn, new) + np.float32(TURN))
    packed = [np.packbits(x) for x in (turned, fresh, made == np.minimum.accumulate(made), new < turn)]
    return made, np.minimum(turn, new) + np.float32(alien), _Row(*packed)


def _shifted(values: Floats, by: int, beyond: float | np.float32) -> Floats:
    """values[x + by] for each x; `beyond` where there is none (inf before the first)."""
    if by == 0:
        return values
    found = np.full(len(values), np.float32(beyond))
    if by > 0:
        found[: max(len(values) - by, 0)] = values[by:]
    else:
        found[:-by] = np.inf
        found[-by:] = values[:by]
    return found


def _walked(rows: list[_Row], pairs: Floats, lacking: Floats, task: _Task) -> Ints:
    """The path, from its end back to its beginning."""
    found = np.full(len(rows), -1, np.int64)
    paired = bool(pairs.min() <= lacking.min())
    place = int(task.first[-1]) + int((pairs if paired else lacking).argmin())
    for j in range(len(rows) - 1, -1, -1):
        row, first = rows[j], int(task.first[j])
        cell = int(np.clip(place - first, 0, task.width - 1))
        place, turned = first + cell, paired and _bit(row.turned, cell)
        if paired:
            found[j] = place
            paired = not _bit(row.fresh, cell)
            place -= int(task.at[j] - task.at[j - 1]) if paired and not turned else 0
        else:
            paired = turned = not _bit(row.stayed, cell)
        if turned and j:
            before = int(task.first[j - 1])
            cheap = np.unpackbits(rows[j - 1].record, count=task.width)
            end = int(np.clip(place - before, 0, task.width - 1))
            place = before + int(np.flatnonzero(cheap[: end + 1])[-1])
    return found


def _bit(packed: NDArray[np.uint8], index: int) -> bool:
    return bool(packed[index >> 3] >> (7 - (index & 7)) & 1)
