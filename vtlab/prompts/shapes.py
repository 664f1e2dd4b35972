"""Figures made of points: prompts become points to follow, and followed points become the figures again.

A point tracker follows points one by one. What people draw is more: polygons and polylines keep their number of
vertices, skeletons keep their occluded nodes, a box stays a box (upright or oriented). `Figures` stands between:
its rows are the points that a tracker has to follow, its answers are the figures.

- Points that are lost keep the tracker's own estimate when they were given as separate points. A lost vertex of a
  polygon, polyline or skeleton moves with the vertices that are seen, near ones counting more: moving least
  squares with similarity transforms (Schaefer, McPhail, Warren, "Image Deformation Using Moving Least Squares",
  SIGGRAPH 2006), from the frame on which it was last seen.
- A box is followed by a grid of points inside it; its motion is the median displacement, the median ratio of
  pairwise distances and, for an oriented box, the median turn of pairwise directions (Kalal, Mikolajczyk, Matas,
  "Forward-Backward Error: Automatic Detection of Tracking Failures", ICPR 2010).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vtlab.errors import InputError, PromptError
from vtlab.prompts import BoxPrompt, PointPrompt, Prompt, Prompts, SkeletonPrompt
from vtlab.tracks import FrameTracks, Tracks

Array = NDArray[np.float64]
Seen = NDArray[np.bool_]

KINDS: frozenset[type[Prompt]] = frozenset({PointPrompt, SkeletonPrompt, BoxPrompt})
"""Kinds of prompt that are made of points: what every point tracker accepts."""

GRID = 6
"""Points on each side of the grid inside a box."""

NOISE = 1.0
"""Standard deviation of a followed point, pixels; keeps points that lie close together from turning a figure."""

# Points carried at once: bounds the matrices of points by guides.
_BLOCK = 256


@dataclass(frozen=True, slots=True)
class _Shape:
    """A figure on one frame: its box (4,), and its points with what is known of them."""

    box: Array
    score: float
    visible: bool
    xy: Array
    seen: Seen
    scores: Array


class _Figure(ABC):
    """One prompt's figure: the points to follow at its start, and its shape from where they are."""

    def __init__(self, prompt: Prompt, start: Array):
        self.prompt = prompt
        self.start = start

    @abstractmethod
    def given(self) -> _Shape:
        """The shape on the prompt's frame, as the person gave it."""

    @abstractmethod
    def moved(self, xy: Array, seen: Seen, scores: Array) -> _Shape:
        """The shape where the followed points are now at `xy` (K, 2)."""


class _Vertices(_Figure):
    """Points, polyline, polygon or skeleton. Occluded nodes are not followed, they move with the others."""

    def __init__(self, prompt: PointPrompt | SkeletonPrompt):
        self._xy = np.asarray(prompt.points, dtype=np.float64)
        occluded = prompt.occluded if isinstance(prompt, SkeletonPrompt) else ()
        self._hidden = np.asarray(occluded or (False,) * len(self._xy), dtype=bool)
        self._joined = isinstance(prompt, SkeletonPrompt) or prompt.shape != "points"
        self._tick = 0
        self._last = np.zeros(len(self._xy), dtype=np.int64)
        self._past = {0: (self._xy, np.ones(len(self._xy), dtype=bool))}
        super().__init__(prompt, self._xy[~self._hidden])

    def given(self) -> _Shape:
        return self._shape(self._xy, ~self._hidden, np.ones(len(self._xy)))

    def moved(self, xy: Array, seen: Seen, scores: Array) -> _Shape:
        full, found, sure = self._xy.copy(), np.zeros(len(self._xy), dtype=bool), np.zeros(len(self._xy))
        followed = ~self._hidden
        full[followed], found[followed], sure[followed] = xy, seen, scores
        if self._joined:
            full = self._placed(full, found)
        self._xy = np.where(np.isfinite(full), full, self._xy)
        return self._shape(self._xy if self._joined else full, found, sure)

    def _placed(self, xy: Array, seen: Seen) -> Array:
        """`xy` with each lost vertex carried from the frame of its last sight by the vertices seen now."""
        self._tick += 1
        xy = xy.copy()
        for tick in np.unique(self._last[~seen]):
            lost = ~seen & (self._last == tick)
            before, known = self._past[tick]
            guides = seen & known if (seen & known).any() else seen
            xy[lost] = carry(before[lost], before[guides], xy[guides]) if guides.any() else self._xy[lost]
        if seen.any():
            self._last[seen] = self._tick
            self._past[self._tick] = (xy, seen)
            self._past = {tick: self._past[tick] for tick in np.unique(self._last)}
        return xy

    def _shape(self, xy: Array, seen: Seen, scores: Array) -> _Shape:
        inside = xy if self._joined else xy[seen]
        score = float(scores.mean()) if len(scores) else 0.0
        return _Shape(_extent(inside), score, bool(seen.any()), xy, seen, scores)


class _Rectangle(_Figure):
    """A box, upright or oriented, carried by a grid of points inside it."""

    def __init__(self, prompt: BoxPrompt):
        self._given = self._corners = prompt.corners()
        self._turns = prompt.angle != 0
        steps = (np.arange(GRID) + 0.5) / GRID
        across, down = np.meshgrid(steps, steps)
        right, below = self._given[1] - self._given[0], self._given[3] - self._given[0]
        super().__init__(prompt, self._given[0] + across.reshape(-1, 1) * right + down.reshape(-1, 1) * below)

    def given(self) -> _Shape:
        return self._shape(self._given, True, 1.0)

    def moved(self, xy: Array, seen: Seen, scores: Array) -> _Shape:
        """Without two seen points the box is not seen; points that all fell on one place say nothing of it."""
        found = bool(np.count_nonzero(seen) >= 2)
        if seen.any():
            corners = _similar(self._given, self.start[seen], xy[seen], self._turns)
            if np.ptp(corners, axis=0).min() > 0:
                self._corners = corners
            else:
                found = False
        return self._shape(self._corners, found, float(scores.mean()))

    def _shape(self, corners: Array, seen: bool, score: float) -> _Shape:
        points = corners if self._turns else np.empty((0, 2))
        flags = np.full(len(points), seen)
        return _Shape(_extent(corners), score, seen, points, flags, np.full(len(points), score))


def corners_within(prompt: BoxPrompt, box: ArrayLike) -> Array:
    """Corners (4, 2) of an oriented box carried to a new upright extent: same angle, same proportions.

    Args:
        prompt: The oriented box as it was given.
        box: (4,) upright xyxy extent now.
    """
    corners, now = prompt.corners(), np.asarray(box, dtype=np.float64).reshape(2, 2)
    before = np.stack([corners.min(axis=0), corners.max(axis=0)])
    scale = np.sqrt(np.prod(now[1] - now[0]) / np.prod(before[1] - before[0]))
    return np.asarray(now.mean(axis=0) + scale * (corners - corners.mean(axis=0)))


def carry(points: Array, before: Array, after: Array) -> Array:
    """Move points as their surroundings moved: moving least squares with similarity transforms.

    Args:
        points: (L, 2) points to carry.
        before: (C, 2) guides, C at least 1, where the points are known.
        after: (C, 2) the same guides now.

    Returns:
        (L, 2) where the points are now. One guide gives its translation; many that lie within about `NOISE` of
        one another turn and scale little.
    """
    p, q = _complex(before)[None], _complex(after)[None]
    blocks = [
        _carried(_complex(points[i : i + _BLOCK])[:, None], p, q) for i in range(0, len(points), _BLOCK)
    ]
    moved = np.concatenate([np.empty(0, dtype=np.complex128), *blocks])
    return np.stack([moved.real, moved.imag], axis=-1)


def _carried(
    z: NDArray[np.complex128], p: NDArray[np.complex128], q: NDArray[np.complex128]
) -> NDArray[np.complex128]:
    """`carry` of points z (L, 1) as complex numbers, with guides p -> q, each (1, C)."""
    # NOISE bounds the weight of a guide that lies on the point, where the paper's 1 / d**2 has a pole.
    weight = 1.0 / (np.abs(p - z) ** 2 + NOISE**2)
    weight /= weight.sum(axis=1, keepdims=True)
    p_mean, q_mean = (weight * p).sum(axis=1, keepdims=True), (weight * q).sum(axis=1, keepdims=True)
    # NOISE in both draws the turn to 1, which turns and scales nothing, where guides spread no more than it.
    turn = ((weight * np.conj(p - p_mean) * (q - q_mean)).sum(axis=1, keepdims=True) + NOISE**2) / (
        (weight * np.abs(p - p_mean) ** 2).sum(axis=1, keepdims=True) + NOISE**2
    )
    return (q_mean + turn * (z - p_mean))[:, 0]


def _complex(xy: Array) -> NDArray[np.complex128]:
    return xy[..., 0] + 1j * xy[..., 1]


def _similar(corners: Array, before: Array, after: Array, turns: bool) -> Array:
    """Corners moved by the median similarity that takes `before` (C, 2) to `after`; without turn unless `turns`."""
    p, q = _complex(before), _complex(after)
    factor: complex = 1.0
    first, second = np.triu_indices(len(p), 1)
    if len(first):
        ratio = (q[second] - q[first]) / (p[second] - p[first])
        factor = complex(np.median(np.abs(ratio)))
        if turns:
            # About their mean direction: a median of angles that wrap round at pi means nothing.
            mean = ratio.sum() / max(abs(ratio.sum()), 1e-12) or 1.0
            factor *= mean * np.exp(1j * np.median(np.angle(ratio * np.conj(mean))))
    rest = q - factor * p
    moved = factor * _complex(corners) + complex(np.median(rest.real), np.median(rest.imag))
    return np.stack([moved.real, moved.imag], axis=-1)


def _extent(xy: Array) -> Array:
    """Extent (4,) of points (K, 2); NaN unless they span an area."""
    xy = xy[np.isfinite(xy).all(axis=1)]
    if len(xy) < 2 or (np.ptp(xy, axis=0) <= 0).any():
        return np.full(4, np.nan)
    return np.concatenate([xy.min(axis=0), xy.max(axis=0)])


def _figure(prompt: Prompt) -> _Figure:
    if isinstance(prompt, BoxPrompt):
        return _Rectangle(prompt)
    if isinstance(prompt, PointPrompt | SkeletonPrompt):
        return _Vertices(prompt)
    kinds = ", ".join(sorted(kind.__name__ for kind in KINDS))
    raise PromptError(f"{prompt} is not made of points. Give one of: {kinds}.")


class Figures:
    """The figures of a prompt set: rows of points to follow, and answers from where they are.

    Rows are in the order of the prompts; a row belongs to one prompt. From the frame of a later prompt of the same
    object on, that prompt's rows answer for the object.

    Args:
        prompts: Prompts of `KINDS`.

    Raises:
        PromptError: A prompt is not made of points, or an object has two figures on one frame.
    """

    def __init__(self, prompts: Iterable[Prompt] = ()):
        self._figures: list[_Figure] = []
        self._active: dict[int, int] = {}
        self._labels: dict[int, str] = {}
        self._ends = np.zeros(1, dtype=np.int64)
        self.add(prompts)

    @property
    def frames(self) -> NDArray[np.int64]:
        """(M,) frame on which each row starts."""
        return np.repeat(
            np.array([f.prompt.frame for f in self._figures], dtype=np.int64), np.diff(self._ends)
        )

    @property
    def owners(self) -> NDArray[np.int64]:
        """(M,) object id of each row."""
        return np.repeat(
            np.array([f.prompt.object_id for f in self._figures], dtype=np.int64), np.diff(self._ends)
        )

    @property
    def xy(self) -> Array:
        """(M, 2) where each row starts, as (x, y) pixels."""
        return np.concatenate([np.empty((0, 2)), *(f.start for f in self._figures)])

    def __len__(self) -> int:
        return int(self._ends[-1])

    def add(self, prompts: Iterable[Prompt]) -> slice:
        """Add figures; return the rows that are new."""
        first = len(self)
        known = {(f.prompt.object_id, f.prompt.frame) for f in self._figures}
        for prompt in prompts:
            key = (prompt.object_id, prompt.frame)
            if key in known:
                raise PromptError(
                    f"{prompt}: the object has another figure on that frame. Give the figures different object ids."
                )
            known.add(key)
            self._figures.append(_figure(prompt))
            if prompt.label is not None:
                self._labels[prompt.object_id] = prompt.label
        self._ends = np.cumsum([0, *(len(f.start) for f in self._figures)])
        return slice(first, len(self))

    def remove(self, object_ids: Iterable[int]) -> Seen:
        """Drop objects; return which of the old rows stay, (M,) bool. Unknown ids are ignored."""
        gone = set(object_ids)
        keep = ~np.isin(self.owners, list(gone))
        staying = [f.prompt.object_id not in gone for f in self._figures]
        index = np.cumsum(staying) - 1
        self._active = {i: int(index[row]) for i, row in self._active.items() if i not in gone}
        self._figures = [f for f, stays in zip(self._figures, staying, strict=True) if stays]
        self._ends = np.cumsum([0, *(len(f.start) for f in self._figures)])
        return keep

    def answer(self, frame: int, xy: ArrayLike, visible: ArrayLike, scores: ArrayLike) -> FrameTracks:
        """The figures on a frame; call it for every frame in the order of tracking.

        Args:
            frame: 0-based frame; a figure appears on its prompt's frame, as it was given.
            xy: (M, 2) pixels, where every row is; rows of figures that are not there yet are not read.
            visible: (M,) bool.
            scores: (M,) in [0, 1].

        Raises:
            InputError: Another number of rows.
        """
        xy, seen = np.asarray(xy, dtype=np.float64), np.asarray(visible, dtype=bool)
        sure = np.asarray(scores, dtype=np.float64)
        if xy.shape != (len(self), 2) or seen.shape != (len(self),) or sure.shape != seen.shape:
            raise InputError(
                f"Expected {len(self)} points as (M, 2), with (M,) visible and scores, got shapes {xy.shape}, "
                f"{seen.shape} and {sure.shape}."
            )
        for row, figure in enumerate(self._figures):
            if figure.prompt.frame == frame:
                self._active[figure.prompt.object_id] = row
        seen = seen & np.isfinite(xy).all(axis=1)
        shapes: dict[int, _Shape] = {}
        for object_id, row in sorted(self._active.items()):
            figure, rows = self._figures[row], slice(self._ends[row], self._ends[row + 1])
            start = figure.prompt.frame == frame
            shapes[object_id] = figure.given() if start else figure.moved(xy[rows], seen[rows], sure[rows])
        return self._gather(frame, shapes)

    def _gather(self, frame: int, shapes: dict[int, _Shape]) -> FrameTracks:
        if not shapes:
            return FrameTracks.empty()
        prompts = [self._figures[self._active[i]].prompt for i in shapes]
        answer = FrameTracks.of(
            list(shapes),
            [s.box for s in shapes.values()],
            [s.score for s in shapes.values()],
            [s.visible for s in shapes.values()],
            labels=[self._labels.get(i) for i in shapes] if self._labels else None,
            source=["manual" if p.frame == frame else "tracked" for p in prompts],
        )
        counts = [len(s.xy) for s in shapes.values()]
        return replace(
            answer,
            point_owners=np.repeat(answer.object_ids, counts),
            point_ids=np.concatenate([np.arange(n, dtype=np.int64) for n in counts]),
            points=np.concatenate([s.xy for s in shapes.values()]),
            point_visible=np.concatenate([s.seen for s in shapes.values()]),
            point_scores=np.concatenate([s.scores for s in shapes.values()]),
        )


def figures_at(tracks: Tracks, prompts: Iterable[Prompt], frame: int) -> Prompts:
    """The figures of one frame as the geometry that was given: a polygon as a polygon, an oriented box as one.

    Args:
        tracks: What a point tracker made of `prompts`.
        prompts: The prompts that the tracker had; they say what kind of figure each object is.
        frame: 0-based frame.

    Returns:
        One prompt for each object with a row on that frame: the kind, names, edges and shape of its prompt, the
        geometry of that frame. Nodes of a skeleton that are not seen are marked occluded.

    Raises:
        PromptError: A prompt is not made of points, or an object's rows don't have its number of points.
    """
    now = tracks.at(frame)
    kinds: dict[int, Prompt] = {}
    for prompt in sorted(prompts, key=lambda p: p.frame):
        if prompt.object_id not in kinds or prompt.frame <= frame:
            kinds[prompt.object_id] = prompt
    found = []
    for row, object_id in enumerate(now.object_id.tolist()):
        if object_id in kinds:
            mine = now.points.take(now.points.object_id == object_id)
            found.append(as_given(kinds[object_id], frame, now.boxes[row], mine.xy, mine.visible))
    return Prompts(found)


def as_given(prompt: Prompt, frame: int, box: Array, xy: Array, seen: Seen) -> Prompt:
    """A prompt moved to where its figure is on a frame.

    Args:
        prompt: What the person gave; it is made of points.
        frame: 0-based frame.
        box: (4,) xyxy.
        xy: (K, 2) its points, in order.
        seen: (K,) which of them are seen.

    Raises:
        PromptError: It is not made of points, or of another number of points.
    """

    def checked(count: int) -> tuple[tuple[float, float], ...]:
        if len(xy) != count:
            raise PromptError(
                f"{prompt}: its figure has {count} points, the tracks have {len(xy)} on frame {frame}. "
                "Give the prompts that the tracker had."
            )
        return tuple((float(x), float(y)) for x, y in xy)

    if isinstance(prompt, SkeletonPrompt):
        return replace(
            prompt, frame=frame, points=checked(len(prompt.points)), occluded=tuple((~seen).tolist())
        )
    if isinstance(prompt, PointPrompt):
        return replace(prompt, frame=frame, points=checked(len(prompt.points)))
    if not isinstance(prompt, BoxPrompt):
        return _figure(prompt).prompt
    if prompt.angle == 0 and len(xy) != 4:  # four points: it turned after it was given
        return replace(prompt, frame=frame, xyxy=tuple(box.tolist()))
    corner, right, _, below = _complex(np.asarray(checked(4)))
    centre, half = (right + below) / 2, np.array([abs(right - corner), abs(below - corner)]) / 2
    edges = (centre.real - half[0], centre.imag - half[1], centre.real + half[0], centre.imag + half[1])
    return replace(prompt, frame=frame, xyxy=edges, angle=float(np.angle(right - corner)))
