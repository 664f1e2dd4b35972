"""Masks: bool (H, W) in memory, COCO run-length encoding at rest. Pure functions.

Runs count the pixels of one value, first those that are not set, down the columns from the left one (column-major), as
COCO does. The compressed `counts` write each run (from the fourth on, its difference to the run before the last) as
digits of five bits from the lowest, one ASCII character of 48-111 each: bit 32 says that another digit follows, bit 16
of the last one is the sign; see https://github.com/cocodataset/cocoapi (2014, BSD), common/maskApi.c.

What comes from outside is checked here before anything is made of it, and nothing but numpy reads it: alphabet, last
digit, sign and size of each run, their number, and their sum, which is height x width.

Differs from: maskApi.c, which trusts what it reads: a sum that is too large is written beyond the mask, one that is too
small leaves memory that nobody set.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vtlab.errors import InputError

Mask = NDArray[np.bool_]
Ints = NDArray[np.int64]

MAX_PIXELS = 1 << 28
"""Largest height x width of a mask (a frame of 8K holds 2^25 pixels)."""
MAX_RUNS = 1 << 24
"""Largest number of runs of a mask; noise in every pixel of a frame of 4K makes half as many."""
_DIGITS = 6  # thirty bits with the sign: enough for every difference of two runs of MAX_PIXELS
_BLOCK = 1 << 17  # numbers handled at once: what is needed in passing doesn't grow with the number of masks


def as_mask(mask: ArrayLike) -> Mask:
    """Return `mask` as bool (H, W): what isn't 0 is set.

    Raises:
        InputError: Another number of axes, or values that are neither bool, nor whole numbers, nor 0.0 and 1.0.
    """
    array = _given(mask, 0, "a mask of shape (H, W)")
    if array.ndim != 2:
        raise InputError(f"Expected a mask of shape (H, W), got shape {array.shape}.")
    if array.dtype.kind in "bui":
        return array if array.dtype == np.bool_ else array != 0
    ones = array == 1
    if array.dtype.kind != "f" or not (ones | (array == 0)).all():
        raise InputError(
            f"A mask holds true and false, or whole numbers of which 0 is not the object; got {array.dtype} values "
            "other than 0 and 1. Make a mask of probabilities first, such as with `scores > 0.5`."
        )
    return ones


def encode(mask: ArrayLike) -> bytes:
    """Encode a mask (H, W) to the compressed counts of COCO's run-length encoding."""
    array = as_mask(mask)
    _pixels(*array.shape)
    return _compress(_runs_of(array))


def decode(counts: bytes | str, height: int, width: int) -> Mask:
    """Decode compressed counts to a mask (height, width); raises `InputError` for damaged ones."""
    return Runs.of([counts], height, width).masks()[0]


def area(counts: bytes | str, height: int, width: int) -> int:
    """Number of pixels set in an encoded mask; raises `InputError` for damaged counts."""
    return int(Runs.of([counts], height, width).areas()[0])


def box(counts: bytes | str, height: int, width: int) -> NDArray[np.float64]:
    """Tight xyxy extent of an encoded mask, NaN where it is empty; raises `InputError` for damaged counts."""
    return Runs.of([counts], height, width).boxes()[0]


def to_runs(
    counts: bytes | str, height: int, width: int, order: Literal["columns", "rows"] = "columns"
) -> Ints:
    """Lengths of an encoded mask's runs in turn, unset pixels first (the first may be 0), as COCO's uncompressed counts.

    Args:
        counts: Compressed counts.
        height: Rows of the mask.
        width: Columns of the mask.
        order: Pixels are counted down the columns (COCO), or along the rows (most other tools).
    """
    mask = decode(counts, height, width)
    return _runs_of(mask.T if order == "rows" else mask)


def from_runs(
    runs: ArrayLike, height: int, width: int, order: Literal["columns", "rows"] = "columns"
) -> bytes:
    """Compressed counts of the mask that `to_runs` would give these runs for.

    Raises:
        InputError: They are no whole numbers, one is negative, or their sum isn't height x width.
    """
    pixels, what = _pixels(height, width), f"a mask of {height} x {width} pixels (height x width)"
    values = _given(runs, 0, f"the runs of {what}")
    if values.ndim != 1 or values.dtype.kind not in "iu":
        raise InputError(
            f"Expected runs as a list of whole numbers, got {values.dtype} of shape {values.shape}."
        )
    wrong = (values < 0) | (values > pixels)
    if len(values) > min(pixels, MAX_RUNS) + 1 or wrong.any():
        first = f"one of {values[wrong][0]} pixels" if wrong.any() else f"{len(values)} of them"
        raise InputError(f"The runs are not those of {what}: {first}.")
    if int(values.sum(dtype=np.int64)) != pixels:
        raise InputError(f"The runs are not those of {what}: they hold {values.sum()} pixels.")
    flat = np.repeat(_alternating(len(values)), values)
    return encode(flat.reshape(height, width) if order == "rows" else flat.reshape(width, height).T)


def to_box(mask: ArrayLike) -> NDArray[np.float64]:
    """Tight xyxy extent of a mask (H, W); NaN where the mask is empty."""
    array = as_mask(mask)
    rows, cols = np.flatnonzero(array.any(axis=1)), np.flatnonzero(array.any(axis=0))
    if rows.size == 0:
        return np.full(4, np.nan)
    return np.array([cols[0], rows[0], cols[-1] + 1, rows[-1] + 1], dtype=np.float64)


@dataclass(frozen=True, slots=True)
class Runs:
    """Masks of one size as runs of set pixels; make them with `Runs.of`, which checks what it is given.

    Pixels count down the columns, and on from mask to mask: those of mask n are n x height x width and following.

    Attributes:
        start: (K,) int64, first pixel of each run, ascending.
        stop: (K,) int64, the pixel after its last; no run is empty, two may touch.
        offsets: (N + 1,) int64: the runs of mask n are `offsets[n]:offsets[n + 1]`.
        height: Rows of each mask.
        width: Columns of each mask.
    """

    start: Ints
    stop: Ints
    offsets: Ints
    height: int
    width: int

    @classmethod
    def of(
        cls,
        counts: Sequence[bytes | str | None],
        height: int,
        width: int,
        *,
        name: Callable[[int], str] = "mask {}".format,
    ) -> Runs:
        """Read the compressed counts of N masks.

        Args:
            counts: N encoded masks; None is one without a pixel.
            height: Rows of each mask.
            width: Columns of each mask.
            name: What an error calls mask n.

        Raises:
            InputError: A size out of range; counts that are damaged or those of a mask of another size.
        """
        pixels = _pixels(height, width)
        empty = _compress(np.array([pixels])) if None in counts else b""
        texts = [empty if c is None else _ascii(c, n, name) for n, c in enumerate(counts)]
        none = np.empty(0, np.int64)
        starts, stops, many = [none], [none], [np.zeros(1, np.int64)]
        for low, high in _blocks([len(t) for t in texts]):
            try:
                start, stop, held = _taken(texts[low:high], pixels)
            except _Damaged as error:
                raise InputError(
                    f"{name(low + error.mask)}: {error} This is no run-length encoding (COCO's compressed counts) "
                    f"of a mask of {height} x {width} pixels (height x width)."
                ) from None
            starts.append(start + low * pixels)
            stops.append(stop + low * pixels)
            many.append(held)
        start, stop, offsets = np.concatenate(starts), np.concatenate(stops), np.cumsum(np.concatenate(many))
        return cls(start, stop, offsets, int(height), int(width))

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def areas(self) -> Ints:
        """Number of pixels set in each mask, (N,)."""
        return np.diff(_before(self)[self.offsets])

    def boxes(self) -> NDArray[np.float64]:
        """Tight xyxy extent of each mask, (N, 4); NaN where it is empty."""
        out = np.full((len(self), 4), np.nan)
        some = np.flatnonzero(np.diff(self.offsets))
        if not len(some):
            return out
        first, last = self.offsets[some], self.offsets[some + 1] - 1
        # A column's number counts on from mask to mask, as pixels do.
        left, right = self.start // self.height, (self.stop - 1) // self.height
        top, bottom = self.start - left * self.height, self.stop - 1 - right * self.height
        long = right > left  # such a run reaches the lower edge, and in its next column the upper one
        top[long], bottom[long] = 0, self.height - 1
        out[some, 0] = left[first] - some * self.width
        out[some, 1] = np.minimum.reduceat(top, first)
        out[some, 2] = right[last] - some * self.width + 1
        out[some, 3] = np.maximum.reduceat(bottom, first) + 1
        return out

    def masks(self) -> NDArray[np.bool_]:
        """The masks, bool (N, height, width)."""
        edges = np.zeros(2 * len(self.start) + 2, np.int64)
        edges[1:-1:2], edges[2:-1:2], edges[-1] = self.start, self.stop, len(self) * self.height * self.width
        flat = np.repeat(_alternating(len(edges) - 1), np.diff(edges))
        return flat.reshape(len(self), self.width, self.height).transpose(0, 2, 1)

    def counts(self) -> list[bytes]:
        """The compressed counts of each mask."""
        edges = np.stack([self.start, self.stop], axis=1).ravel()
        pixels, found = self.height * self.width, []
        for n, (low, high) in enumerate(zip(self.offsets[:-1], self.offsets[1:], strict=True)):
            found.append(_compress(_between(edges[2 * low : 2 * high] - n * pixels, pixels)))
        return found

    def union(self, group: ArrayLike | None = None) -> Runs:
        """Masks of the pixels that are set in any mask of a group.

        Args:
            group: (N,) number of each mask's group, from 0 without gaps; None puts all into one.
        """
        groups = np.zeros(len(self), np.int64) if group is None else np.asarray(group, np.int64)
        pixels, total = self.height * self.width, int(groups.max(initial=-1)) + 1
        shift = np.repeat((groups - np.arange(len(self))) * pixels, np.diff(self.offsets))
        order = np.argsort(self.start + shift, kind="stable")
        start, stop = (self.start + shift)[order], (self.stop + shift)[order]
        reach = np.maximum.accumulate(stop) if len(stop) else stop
        edge = np.arange(total + 1) * pixels
        begins = np.ones(len(start), bool)
        begins[1:] = (start[1:] > reach[:-1]) | (np.diff(np.searchsorted(edge, start, "right")) > 0)
        where = np.flatnonzero(begins)
        start = start[where]
        stop = np.append(reach[where[1:] - 1], reach[-1:])
        return Runs(start, stop, np.searchsorted(start, edge), self.height, self.width)

    def intersection(self, other: Runs, rows: ArrayLike, columns: ArrayLike) -> Ints:
        """Number of pixels that are set in both masks of each pair.

        Args:
            other: Masks of the same size.
            rows: (P,) number of the pair's mask in these.
            columns: (P,) number of the pair's mask in `other`.
        """
        self._same_size(other)
        i, j = np.asarray(rows, np.int64), np.asarray(columns, np.int64)
        # How many pixels of `other` are set before a pixel: linear between the edges of runs, exact in float64.
        before = _before(other)
        edges = np.stack([other.start, other.stop], axis=1).ravel().astype(np.float64)
        covered = np.stack([before[:-1], before[1:]], axis=1).ravel().astype(np.float64)
        out = np.zeros(len(i), np.int64)
        pairs = np.flatnonzero((np.diff(self.offsets)[i] > 0) & (np.diff(other.offsets)[j] > 0))
        i, j = i[pairs], j[pairs]
        # Of a pair, only those runs matter that lie between the other mask's first and last pixel.
        shift = (j - i) * (self.height * self.width)
        low = np.searchsorted(self.stop, other.start[other.offsets[j]] - shift, "right")
        high = np.searchsorted(self.start, other.stop[other.offsets[j + 1] - 1] - shift)
        low = np.maximum(low, self.offsets[i])
        many = np.maximum(np.minimum(high, self.offsets[i + 1]) - low, 0)
        for a, b in _blocks(many):
            n, ends = many[a:b], np.cumsum(many[a:b])
            run = np.arange(ends[-1]) + np.repeat(low[a:b] - ends + n, n)
            moved = np.repeat(shift[a:b], n)
            reached, passed = (np.interp(x[run] + moved, edges, covered) for x in (self.stop, self.start))
            common = np.concatenate([[0], np.cumsum(reached - passed)])
            out[pairs[a:b]] = np.diff(common[np.concatenate([[0], ends])])
        return out

    def iou(self, other: Runs) -> NDArray[np.float64]:
        """Intersection over union of each mask with each of `other`, (N, M); 0 for two empty masks."""
        self._same_size(other)
        a, b = self.boxes()[:, None], other.boxes()
        i, j = np.nonzero((np.minimum(a[..., 2:], b[:, 2:]) > np.maximum(a[..., :2], b[:, :2])).all(axis=2))
        common = self.intersection(other, i, j)
        out = np.zeros((len(self), len(other)))
        out[i, j] = common / (self.areas()[i] + other.areas()[j] - common)
        return out

    def _same_size(self, other: Runs) -> None:
        if (self.height, self.width) != (other.height, other.width):
            raise InputError(
                f"Masks of different sizes can't be compared: {(self.height, self.width)} and "
                f"{(other.height, other.width)} (height, width)."
            )


def iou(a: ArrayLike, b: ArrayLike) -> float:
    """Intersection over union of two masks of one size; two empty masks give 1."""
    a, b = as_mask(a), as_mask(b)
    if a.shape != b.shape:
        raise InputError(f"Masks of different sizes can't be compared: {a.shape}, {b.shape} (height, width).")
    union = np.count_nonzero(a | b)
    return np.count_nonzero(a & b) / union if union else 1.0


def from_polygon(polygon: ArrayLike, height: int, width: int) -> Mask:
    """Rasterise a polygon (K, 2) of (x, y) edges-convention vertices: a pixel is set if its centre is inside."""
    from matplotlib.path import Path

    vertices = _given(polygon, 2, "a polygon of vertices (K, 2)").reshape(-1, 2)
    mask = np.zeros((height, width), dtype=bool)
    low = np.clip(np.floor(vertices.min(axis=0)), 0, (width, height)).astype(int)
    high = np.clip(np.ceil(vertices.max(axis=0)), 0, (width, height)).astype(int)
    if (high <= low).any():
        return mask
    xs, ys = np.arange(low[0], high[0]) + 0.5, np.arange(low[1], high[1]) + 0.5
    centres = np.stack(np.meshgrid(xs, ys), axis=-1).reshape(-1, 2)
    inside = Path(vertices).contains_points(centres).reshape(len(ys), len(xs))
    mask[low[1] : high[1], low[0] : high[0]] = inside
    return mask


def from_box(box: ArrayLike, height: int, width: int) -> Mask:
    """Fill an xyxy box: a pixel is set if its centre is inside the box."""
    x1, y1, x2, y2 = _given(box, 4, "a box x1, y1, x2, y2").reshape(-1, 4)[0]
    xs, ys = np.arange(width) + 0.5, np.arange(height) + 0.5
    return ((ys >= y1) & (ys < y2))[:, None] & ((xs >= x1) & (xs < x2))[None, :]


def _given(values: ArrayLike, width: int, what: str) -> NDArray[Any]:
    """An array; with a width some so many finite numbers, as float64. Raises `InputError` for anything else."""
    with suppress(TypeError, ValueError):
        array = np.asarray(values)
        fits = array.dtype.kind in "biuf" and array.size > 0 and array.size % (width or 1) == 0
        if not width or (fits and np.isfinite(array).all()):
            return array.astype(np.float64) if width else array
    raise InputError(f"Expected {what}, got {str(values)[:60]!r}.")


class _Damaged(Exception):
    """Counts that can't be read: the position of the mask, and what is wrong."""

    def __init__(self, mask: int, message: str):
        super().__init__(message)
        self.mask = int(mask)


def _pixels(height: Any, width: Any) -> int:
    """Height x width, checked."""
    try:
        height, width = operator.index(height), operator.index(width)
    except TypeError:
        raise InputError(
            f"The size of a mask is two whole numbers (height, width), got {(height, width)!r}."
        ) from None
    if height < 0 or width < 0 or height * width > MAX_PIXELS:
        raise InputError(
            f"The size {height} x {width} (height x width) is not that of a mask: it has at most {MAX_PIXELS} pixels."
        )
    return height * width


def _ascii(counts: Any, mask: int, name: Callable[[int], str]) -> bytes:
    if isinstance(counts, str):
        counts = counts.encode("utf-8", "replace")  # what isn't ASCII is no digit either, and named as such
    if not isinstance(counts, bytes):
        raise InputError(
            f"{name(mask)}: expected the compressed counts as bytes, got {type(counts).__name__}."
        )
    return counts


def _blocks(sizes: Sequence[int] | Ints) -> Iterator[tuple[int, int]]:
    """Split positions into ranges [low, high) whose sizes add up to about `_BLOCK`, one position at least."""
    total = np.cumsum(np.asarray(sizes, dtype=np.int64))
    low, done = 0, 0
    while low < len(total):
        high = max(int(np.searchsorted(total, done + _BLOCK, "right")), low + 1)
        yield low, high
        low, done = high, int(total[high - 1])


def _before(runs: Runs) -> Ints:
    """Set pixels before each run, and of all, (K + 1,)."""
    return np.concatenate([[0], np.cumsum(runs.stop - runs.start)])


def _alternating(n: int) -> Mask:
    """False, True, False ... (n,)."""
    values = np.zeros(n, bool)
    values[1::2] = True
    return values


def _runs_of(mask: Mask) -> Ints:
    """Lengths of the runs of a mask (H, W), down its columns."""
    height, width = mask.shape
    if mask.flags.f_contiguous:
        flat = mask.T.reshape(-1)
        edges = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    else:
        # Edges are few: it's cheaper to find them where the pixels lie, and to put them in order, than to turn the mask.
        place = np.flatnonzero(mask[1:] != mask[:-1])
        row = place // width
        turns = np.flatnonzero(mask[0, 1:] != mask[-1, :-1]) + 1
        edges = np.concatenate([(place - row * width) * height + row + 1, turns * height])
        edges.sort()
    if mask.size and mask[0, 0]:
        edges = np.concatenate([[0], edges])
    return _between(edges, mask.size)


def _between(edges: Ints, pixels: int) -> Ints:
    """Lengths of runs from the pixels at which a new one begins."""
    runs = np.diff(edges, prepend=0, append=pixels)
    return runs[:-1] if len(edges) and not runs[-1] else runs


def _compress(runs: Ints) -> bytes:
    """Write runs as compressed counts."""
    rest = runs.copy()
    rest[3:] -= runs[1:-2]
    digits, more = [], np.ones(len(rest), bool)
    while more.any():
        low, rest = rest & 31, rest >> 5
        going = more & (rest != -(low >> 4))  # the sign of what is written so far is the fifth bit
        digits.append(np.where(more, low + 48 + 32 * going, 0).astype(np.uint8))
        more = going
    text = np.stack(digits, axis=1).ravel()
    return text[text > 0].tobytes()


def _taken(texts: list[bytes], pixels: int) -> tuple[Ints, Ints, Ints]:
    """Start and stop of the set runs of masks whose pixels count on from one to the next, and how many each has."""
    runs, offsets = _numbers(texts, pixels)
    odd = np.zeros(len(runs), bool)
    for low, high in pairwise(offsets.tolist()):
        # From the fourth on, a number is the difference to the run before the last.
        for own in (slice(low + 1, high, 2), slice(low + 2, high, 2)):
            np.add.accumulate(runs[own], out=runs[own])
        odd[low + 1 : high : 2] = True
    if runs.min(initial=0) < 0 or runs.max(initial=0) > pixels:
        n, at = _first((runs < 0) | (runs > pixels), offsets)
        raise _Damaged(n, f"Run {at} has {runs[offsets[n] + at]} pixels.")
    edges = np.cumsum(runs)
    reached = edges[offsets[1:] - 1]
    due = np.arange(1, len(texts) + 1) * pixels
    if (reached != due).any():
        n = int(np.flatnonzero(reached != due)[0])
        raise _Damaged(n, f"Its runs hold {reached[n] - due[n] + pixels} pixels in place of {pixels}.")
    index = np.flatnonzero(odd)
    start, stop, held = edges[index - 1], edges[index], np.diff(offsets) // 2
    if (filled := stop > start).all():
        return start, stop, held
    ends = np.concatenate([[0], np.cumsum(filled)])[np.concatenate([[0], np.cumsum(held)])]
    return start[filled], stop[filled], np.diff(ends)


def _numbers(texts: list[bytes], pixels: int) -> tuple[Ints, Ints]:
    """The numbers that are written in the texts, one after the other, and the offsets of each text's own."""
    most = min(pixels, MAX_RUNS) + 1
    for n, text in enumerate(texts):
        if not 0 < len(text) <= _DIGITS * most:
            raise _Damaged(n, f"It has {len(text)} characters.")
    ends = np.cumsum([0, *map(len, texts)])
    code = np.frombuffer(b"".join(texts), np.uint8) - np.uint8(48)
    if code.max(initial=0) > 63:
        n, at = _first(code > 63, ends)
        raise _Damaged(n, f"Character {at} ({texts[n][at : at + 1]!r}) is none of its digits.")
    last = np.flatnonzero(code < 32)
    offsets = np.searchsorted(last, ends)
    broken = code[ends[1:] - 1] >= 32
    if broken.any():
        raise _Damaged(int(np.flatnonzero(broken)[0]), "It breaks off within a number.")
    if (np.diff(offsets) > most).any():
        n = int(np.flatnonzero(np.diff(offsets) > most)[0])
        raise _Damaged(n, f"It has {offsets[n + 1] - offsets[n]} runs.")
    digits = last.copy()
    digits[1:] -= last[:-1]
    digits[:1] += 1
    if digits.max(initial=1) > _DIGITS:
        n, at = _first(digits > _DIGITS, offsets)
        raise _Damaged(n, f"Number {at} has {digits[offsets[n] + at]} digits.")
    numbers = code[last].astype(np.int64)
    numbers -= (numbers & 16) << 1
    which, k = np.flatnonzero(digits > 1), 1
    while len(which):
        numbers[which] = (numbers[which] << 5) | (code[last[which] - k] & 31)
        k += 1
        which = which[digits[which] > k]
    return numbers, offsets


def _first(wrong: NDArray[np.bool_], offsets: Ints) -> tuple[int, int]:
    """Mask and position within it of the first element that is wrong."""
    at = int(np.flatnonzero(wrong)[0])
    n = int(np.searchsorted(offsets, at, "right")) - 1
    return n, at - int(offsets[n])
