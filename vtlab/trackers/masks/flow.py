"""Flow: masks carried by dense optical flow and judged by colour; needs no download.

Own composition of known parts. Dense flow: Kroeger et al., "Fast Optical Flow using Dense Inverse Search", ECCV
2016 (OpenCV, Apache-2.0). Local colour models as counts in a grid of position and colour, after Maerki et al.,
"Bilateral Space Video Segmentation", CVPR 2016; sharpening by mean field, after Kraehenbuehl and Koltun, "Fully
Connected CRFs", NeurIPS 2011. Objects that vanish are looked for with their last full view.

On each frame every pixel has a probability for each object and for the background, so objects compete and never
overlap. Three sources agree on it: the probabilities of the last frame, carried along by the flow where forward
and backward flow agree; the colours seen near that place on the last frame; and the object's colours on the frame
where it was prompted, which keep the mask from drifting.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from vtlab.contracts import Segmenter
from vtlab.errors import InputError
from vtlab.masks import Mask
from vtlab.registry import register
from vtlab.segmenters import create_segmenter
from vtlab.trackers.masks.base import ACCEPTS, Hint, MaskAnswer, MaskTracker, as_labels, mask_of

if TYPE_CHECKING:
    from vtlab.video import Frame

Array = NDArray[Any]
Index = NDArray[Any]

BINS = (16, 12, 12)
"""Colour bins along L, a and b, over the range of colours on the first frame."""

CELL = 20
"""Side in pixels of a cell of the grid of local colour models, on the reduced image."""

LEARN = 0.05
"""Share of a frame's colours in an object's colour model, on frames where the object is seen well."""

MOTION, MOTION_TOLERANCE = 1.0, 1.0
"""Weight of the motion cue, and how far in pixels a pixel's flow may be from its object's motion."""

UNCOVERED = 1.0
"""Advantage of the background where the flow finds no counterpart: mostly what an object leaves behind."""

SHARPEN = 3.0
"""Weight of the neighbours of like colour in the mean-field step."""

FULL_VIEW, VANISHED = 0.7, 0.12
"""Shares of an object's usual area from which it counts as fully seen, and below which as gone."""

_EPS = np.float32(1e-6)
"""Keeps colours that were never seen possible, and sums from 0."""


@dataclass
class _View:
    """One frame, reduced.

    Attributes:
        gray: uint8 (h, w).
        lab: float32 (h, w, 3).
        bins: Colour bin of each pixel (h, w).
    """

    gray: Array
    lab: Array
    bins: Index


@dataclass
class _Target:
    """What is known of one object besides where it is.

    Attributes:
        colours: Share of each colour bin (n,), from its prompts and slowly from what was seen since.
        area: Usual area in reduced pixels.
        patch: L channel of the last full view, cut out, float32.
        shape: The object's probability in `patch`.
        corner: (row, column) of `patch`.
        at: Time stamp in seconds of the last full view.
        seen: Whether it is seen now.
    """

    colours: Array
    area: float
    patch: Array
    shape: Array
    corner: tuple[int, int]
    at: float
    seen: bool = True


@register(
    "flow",
    family="vos",
    summary="Masks carried by dense optical flow with local and global colour models; no download.",
    accepts=ACCEPTS,
    emits={"masks", "boxes"},
    paper="DIS flow, ECCV 2016; bilateral space, CVPR 2016",
    paper_url="https://arxiv.org/abs/1603.03590",
    code="https://docs.opencv.org (cv2.DISOpticalFlow)",
    licence="Apache-2.0",
)
class FlowTracker(MaskTracker):
    """Mask tracker by dense optical flow.

    The score is the mean probability inside the mask times the likeness of its colours to the object's.

    Args:
        side: Longer side in pixels to which frames are reduced; the time grows with its square.
        quality: Preset of the flow: "ultrafast", "fast" or "medium".
        search_speed: How fast the search region for a vanished object grows, as a fraction of the image's longer
            side per second.
        accept_above: Likeness, 0 to 1, from which a place counts as a vanished object's return.
        segmenter: What turns boxes and clicks into masks: what `create_segmenter` takes.

    Raises:
        InputError: A parameter is out of range.
    """

    memory_policy = "One frame (reduced), the probabilities on it, and for each object its colours and its last full view."

    def __init__(
        self,
        *,
        side: int = 400,
        quality: str = "medium",
        search_speed: float = 1.0,
        accept_above: float = 0.55,
        segmenter: str | Segmenter = "grabcut",
    ):
        super().__init__()
        presets = {"ultrafast": 0, "fast": 1, "medium": 2}
        if quality not in presets or side < 32 or search_speed <= 0 or not 0 <= accept_above <= 1:
            raise InputError(
                f"flow needs quality in {sorted(presets)}, side >= 32, search_speed > 0 and accept_above in [0, 1]; "
                f"got {quality!r}, {side}, {search_speed}, {accept_above}."
            )
        import cv2

        self.side, self.search_speed, self.accept_above = side, search_speed, accept_above
        self._dis = cv2.DISOpticalFlow.create(presets[quality])
        self._segmenter = create_segmenter(segmenter)
        self._reset()

    def _reset(self) -> None:
        self._targets: dict[int, _Target] = {}
        self._view: _View | None = None
        self._p: Array = np.empty((0, 0, 0), np.float32)
        self._colours: _Colours | None = None
        self._grid: _Grid | None = None

    def _drop(self, object_ids: list[int]) -> None:
        order = list(self._targets)
        gone = [1 + order.index(i) for i in object_ids]
        self._p[0] += self._p[gone].sum(axis=0)
        self._p = np.delete(self._p, gone, axis=0)
        for object_id in object_ids:
            del self._targets[object_id]

    def _advance(self, frame: Frame, hints: Mapping[int, Hint]) -> MaskAnswer:
        masks = {i: mask_of(hint, frame.image, self._segmenter) for i, hint in hints.items()}
        view = self._reduce(frame.image)
        scores = np.zeros(0)
        if self._targets:
            self._p = self._propagate(view)
            scores = self._judge(view, frame.timestamp)
        else:
            self._p = np.ones((1, *view.gray.shape), np.float32)
        self._view = view
        for object_id, mask in masks.items():
            self._place(object_id, mask, frame.timestamp)
        height, width = frame.image.shape[:2]
        labels = _enlarge(self._p, height, width)
        ids = list(self._targets)
        if masks:
            given = as_labels(masks, height, width)
            order = np.array([0, *(1 + ids.index(i) for i in masks)])
            labels = np.where(given > 0, order[given], np.where(np.isin(labels, order[1:]), 0, labels))
            scores = np.concatenate([scores, np.zeros(len(ids) - len(scores))])
            scores[order[1:] - 1] = 1.0
        visible = np.array([t.seen for t in self._targets.values()], bool)
        return MaskAnswer(ids, scores, visible, labels=labels)

    def _reduce(self, image: Array) -> _View:
        import cv2

        height, width = image.shape[:2]
        scale = max(min(1.0, self.side / max(height, width)), 32 / min(height, width))
        if scale != 1:
            size = (max(32, round(width * scale)), max(32, round(height * scale)))
            image = cv2.resize(image, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_NEAREST)
        lab = cv2.cvtColor(image.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)
        if self._colours is None or self._grid is None:
            self._colours, self._grid = _Colours(lab), _Grid(*lab.shape[:2])
        return _View(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), lab, self._colours.bins(lab))

    def _propagate(self, view: _View) -> Array:
        """Probabilities (1 + K, h, w) on the new frame."""
        import cv2

        assert self._view is not None
        assert self._grid is not None
        assert self._colours is not None
        x, y, sure = _flow(self._dis, self._view.gray, view.gray, self._grid)
        carried = np.stack([_remap(p, x, y) for p in self._p])
        blurred = np.stack([cv2.GaussianBlur(p, (0, 0), 4) for p in carried])
        energy = np.log(carried * sure + (1 - sure) * blurred + 1e-3)
        before = self._colours.bins(_remap(self._view.lab, x, y))
        energy += np.log(self._grid.smooth(carried * (sure + 0.01), before, view.bins) + 1e-2)
        energy += 0.3 * np.log(self._likely(view) + 1e-2)
        motion = sure * _motion_fit(x, y, carried * sure, self._grid)
        energy += motion
        energy[0] += UNCOVERED * (1 - sure)
        p = _softmax(energy)
        spread = np.stack([cv2.GaussianBlur(q, (0, 0), 2) for q in p])
        p = _softmax(energy + spread + SHARPEN * self._grid.smooth(p, view.bins, view.bins))
        _prune(p, motion)
        return p

    def _likely(self, view: _View) -> Array:
        """Probability (1 + K, h, w) of each object and the background by colour alone."""
        assert self._colours is not None
        objects = [t.colours for t in self._targets.values()]
        background = self._colours.share(self._colours.background)
        at = np.stack([background, *objects])[:, view.bins] + _EPS
        return at / at.sum(axis=0)

    def _judge(self, view: _View, now: float) -> NDArray[np.float64]:
        """Decide which objects are seen, look for those that are not, learn from those that are: scores (K,)."""
        assert self._colours is not None
        best = self._p.argmax(axis=0)
        scores = np.zeros(len(self._targets))
        for k, target in enumerate(self._targets.values()):
            mask = best == k + 1
            if not target.seen:
                found, likeness = self._search(view, target, now)
                if found is None:
                    self._p[k + 1] = 0
                    continue
                self._put(k + 1, found)
                target.seen, mask, scores[k] = True, found > 0.5, likeness
                continue
            area = np.count_nonzero(mask)
            likeness = self._likeness(view, mask, target)
            if area < max(1.0, VANISHED * target.area) or likeness < 0.2:
                target.seen = False
                self._p[0] += self._p[k + 1]
                self._p[k + 1] = 0
                continue
            scores[k] = likeness * float(self._p[k + 1][mask].mean())
            self._learn(view, k + 1, mask, target, now)
        self._colours.learn_background(view.bins, self._p[0])
        self._p = self._p / (self._p.sum(axis=0) + _EPS)
        return scores

    def _likeness(self, view: _View, mask: Mask, target: _Target) -> float:
        """Overlap, 0 to 1, of the colours in a mask with the object's."""
        assert self._colours is not None
        if not mask.any():
            return 0.0
        here = self._colours.share(self._colours.count(view.bins, mask.astype(np.float32)))
        return float(np.sqrt(here * target.colours).sum())

    def _learn(self, view: _View, channel: int, mask: Mask, target: _Target, now: float) -> None:
        assert self._colours is not None
        area = np.count_nonzero(mask)
        if area < FULL_VIEW * target.area:
            return
        counted = self._colours.share(self._colours.count(view.bins, self._p[channel]))
        target.colours = (1 - LEARN) * target.colours + LEARN * counted
        target.area += 0.1 * (min(float(area), 1.5 * target.area) - target.area)
        target.patch, target.shape, target.corner = _cut_out(view.lab[..., 0], self._p[channel], mask)
        target.at = now

    def _search(self, view: _View, target: _Target, now: float) -> tuple[Array | None, float]:
        """Look for a vanished object's last full view: its probability (h, w) where it is back, and likeness."""
        radius = (0.1 + self.search_speed * abs(now - target.at)) * max(view.gray.shape)
        corner, likeness = _match(view.lab[..., 0], target, radius)
        if likeness < self.accept_above:
            return None, likeness
        p = np.zeros(view.gray.shape, np.float32)
        rows, columns = target.shape.shape
        p[corner[0] : corner[0] + rows, corner[1] : corner[1] + columns] = target.shape
        mask = p > 0.5
        if self._likeness(view, mask, target) < 0.5:
            return None, 0.0
        return p, likeness

    def _put(self, channel: int, p: Array) -> None:
        """Give a channel the probabilities `p`; the others share what is left."""
        rest = self._p * (1 - p)
        rest[channel] = p
        self._p = rest

    def _place(self, object_id: int, mask: Mask, now: float) -> None:
        """Start or correct an object on the current frame."""
        import cv2

        assert self._view is not None
        assert self._colours is not None
        height, width = self._view.gray.shape
        p: Array = cv2.resize(mask.astype(np.float32), (width, height), interpolation=cv2.INTER_AREA)
        p = p / p.max()
        if object_id not in self._targets:
            self._p = np.concatenate([self._p, np.zeros((1, height, width), np.float32)])
            channel = len(self._p) - 1
        else:
            channel = 1 + list(self._targets).index(object_id)
            self._p[0] += self._p[channel]
            self._p[channel] = 0
        self._put(channel, p)
        if self._colours.background.sum() == 0:
            self._colours.learn_background(self._view.bins, 1 - p)
        colours = self._colours.share(self._colours.count(self._view.bins, p))
        cut = _cut_out(self._view.lab[..., 0], p, p > 0.5)
        self._targets[object_id] = _Target(colours, max(float(p.sum()), 1.0), *cut, now)


class _Colours:
    """Colour bins over the range of colours of one image, and counts of the background's."""

    def __init__(self, lab: Array):
        self.low, high = np.percentile(lab.reshape(-1, 3), [1, 99], axis=0).astype(np.float32)
        self.step = np.maximum((high - self.low) / BINS, 1e-3).astype(np.float32)
        self.background: Array = np.zeros(int(np.prod(BINS)), np.float32)

    def bins(self, lab: Array) -> Index:
        """Bin (h, w) of each colour (h, w, 3)."""
        b = ((lab - self.low) / self.step).astype(np.int64)
        b = np.clip(b, 0, np.array(BINS) - 1)
        return (b[..., 0] * BINS[1] + b[..., 1]) * BINS[2] + b[..., 2]

    def count(self, bins: Index, weights: Array) -> Array:
        """Weight of each bin (n,)."""
        return np.bincount(bins.ravel(), weights.ravel(), int(np.prod(BINS))).astype(np.float32)

    def share(self, counts: Array) -> Array:
        """Counts, smoothed over neighbouring bins, that add up to 1."""
        smooth = counts.reshape(BINS)
        for axis in range(3):
            smooth = _blur(smooth, axis)
        return smooth.ravel() / (smooth.sum() + _EPS)

    def learn_background(self, bins: Index, weights: Array) -> None:
        """Add an image's background."""
        counted = self.count(bins, weights)
        rate = LEARN if self.background.any() else 1.0
        self.background = (1 - rate) * self.background + rate * counted


class _Grid:
    """Local colour models: a grid over position and colour, into which pixels vote for objects."""

    def __init__(self, height: int, width: int):
        self.y, self.x = np.mgrid[:height, :width].astype(np.float32)
        rows, columns = -(-height // CELL), -(-width // CELL)
        self.shape = (rows, columns, *BINS)
        cells = (self.y.astype(np.int64) // CELL) * columns + self.x.astype(np.int64) // CELL
        self.offset = cells * int(np.prod(BINS))

    def smooth(self, votes: Array, colours: Index, asked: Index) -> Array:
        """Share (1 + K, h, w) of the votes (1 + K, h, w), cast at `colours`, near each place and colour `asked`."""
        cast, read = (self.offset + colours).ravel(), (self.offset + asked).ravel()
        size = int(np.prod(self.shape))
        found = np.empty_like(votes)
        for k, vote in enumerate(votes):
            grid = np.bincount(cast, vote.ravel(), size).astype(np.float32).reshape(self.shape)
            for axis in range(5):
                grid = _blur(grid, axis)
            found[k] = grid.ravel()[read].reshape(vote.shape)
        prior = np.float32(1e-3)
        return (found + prior / len(votes)) / (found.sum(axis=0) + prior)


def _blur(x: Array, axis: int) -> Array:
    """Weights 1/4, 1/2, 1/4 along one axis; what would leave the grid is lost."""
    out = 0.5 * x
    low, high = [slice(None)] * x.ndim, [slice(None)] * x.ndim
    low[axis], high[axis] = slice(None, -1), slice(1, None)
    out[tuple(low)] += 0.25 * x[tuple(high)]
    out[tuple(high)] += 0.25 * x[tuple(low)]
    return out


def _flow(dis: Any, before: Array, after: Array, grid: _Grid) -> tuple[Array, Array, Array]:
    """Where each pixel of `after` was on `before` (x and y), and how sure that is (0 to 1); each (h, w).

    Sure is where forward and backward flow cancel, by the bound of Sundaram et al., ECCV 2010, made soft.
    """
    back = dis.calc(after, before, None)
    forth = dis.calc(before, after, None)
    x, y = grid.x + back[..., 0], grid.y + back[..., 1]
    forth = _remap(forth, x, y)
    error = np.square(back + forth).sum(axis=-1)
    size = np.square(back).sum(axis=-1) + np.square(forth).sum(axis=-1)
    # Sundaram's bound is 0.01 size + 0.5; wider here, since what lies beyond it fades and isn't cut off.
    return x, y, np.exp(-error / (0.05 * size + 2.0))


def _motion_fit(x: Array, y: Array, weights: Array, grid: _Grid) -> Array:
    """Log likelihood (1 + K, h, w), at worst -MOTION, of each pixel's flow under each channel's affine motion.

    What an object leaves behind has its colours but not its motion.
    """
    # Every third pixel each way: three numbers are fitted to thousands.
    step = 3
    at = slice(None, None, step), slice(None, None, step)
    height, width = x.shape
    design = np.stack([np.ones_like(x), grid.x / width, grid.y / height], axis=-1)
    flow = np.stack([x - grid.x, y - grid.y], axis=-1)
    rows, target = design[at].reshape(-1, 3), flow[at].reshape(-1, 2)
    tolerance = MOTION_TOLERANCE + 0.1 * np.hypot(flow[..., 0], flow[..., 1])
    bound = tolerance[at].ravel()
    fits = np.empty_like(weights)
    for k, weight in enumerate(weights):
        w = weight[at].ravel()
        for _ in range(4):
            lhs = rows.T @ (rows * w[:, None]) + 1e-2 * np.eye(3, dtype=np.float32)
            affine = np.linalg.solve(lhs, rows.T @ (target * w[:, None]))
            error = np.square(target - rows @ affine).sum(axis=1) / bound**2
            w = weight[at].ravel() / np.square(1 + error)
        error = np.square(flow - design @ affine).sum(axis=-1) / tolerance**2
        fits[k] = -MOTION * error / (1 + error)
    return fits


def _prune(p: Array, motion: Array) -> None:
    """Give parts of an object that are apart from its largest one, and move as the background does, to that."""
    import cv2

    best = p.argmax(axis=0)
    for k in range(1, len(p)):
        n, parts, stats, _ = cv2.connectedComponentsWithStats((best == k).astype(np.uint8))
        if n <= 2:
            continue
        sizes = stats[1:, cv2.CC_STAT_AREA]
        gain = np.bincount(parts.ravel(), (motion[k] - motion[0]).ravel(), n)[1:] / sizes
        gone = np.flatnonzero((gain < 0) & (np.arange(n - 1) != sizes.argmax())) + 1
        at = np.isin(parts, gone)
        p[0][at] += p[k][at]
        p[k][at] = 0


def _remap(image: Array, x: Array, y: Array) -> Array:
    import cv2

    return cv2.remap(image, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


def _softmax(energy: Array) -> Array:
    p = np.exp(energy - energy.max(axis=0))
    return (p / p.sum(axis=0)).astype(np.float32)


def _cut_out(lightness: Array, p: Array, mask: Mask) -> tuple[Array, Array, tuple[int, int]]:
    """The extent of `mask` cut out of lightness and probability, and its corner (row, column)."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not len(rows):
        rows, columns = np.array([0]), np.array([0])
    at = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
    return lightness[at].copy(), p[at].copy(), (int(rows[0]), int(columns[0]))


def _match(lightness: Array, target: _Target, radius: float) -> tuple[tuple[int, int], float]:
    """Place (row, column) within `radius` of the last one where the target's view fits best, and how well."""
    import cv2

    rows, columns = target.patch.shape
    height, width = lightness.shape
    top, left = (max(0, int(c - radius)) for c in target.corner)
    bottom = min(height, int(target.corner[0] + rows + radius) + 1)
    right = min(width, int(target.corner[1] + columns + radius) + 1)
    region = lightness[top:bottom, left:right]
    if region.shape[0] < rows or region.shape[1] < columns or target.patch.size < 16:
        return target.corner, 0.0
    weights = np.clip(target.shape, 0.01, 1)
    fit = cv2.matchTemplate(region, target.patch, cv2.TM_CCOEFF_NORMED, mask=weights)
    fit = np.where(np.isfinite(fit), fit, -1.0)
    row, column = np.unravel_index(int(fit.argmax()), fit.shape)
    return (top + int(row), left + int(column)), float(np.clip(fit[row, column], 0, 1))


def _enlarge(p: Array, height: int, width: int) -> NDArray[np.int32]:
    """The most likely channel (height, width) of probabilities (1 + K, h, w)."""
    import cv2

    labels = np.zeros((height, width), np.int32)
    best = cv2.resize(p[0], (width, height), interpolation=cv2.INTER_LINEAR)
    for k, channel in enumerate(p[1:], start=1):
        value = cv2.resize(channel, (width, height), interpolation=cv2.INTER_LINEAR)
        better = value > best
        labels[better], best = k, np.where(better, value, best)
    return labels
