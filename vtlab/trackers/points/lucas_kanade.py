"""Lucas-Kanade: points followed from frame to frame by image gradients, checked forward and backward.

Papers: Lucas, Kanade, "An Iterative Image Registration Technique", IJCAI 1981; pyramid: Bouguet, Intel 2001;
check: Kalal, Mikolajczyk, Matas, "Forward-Backward Error", ICPR 2010. The flow is OpenCV's (Apache-2.0).

A point is lost when the way back does not end near where it began, or when it leaves the frame. A lost point is
carried by the seen points of its own object; one that has none follows its own flow, since points of other objects
don't tell where it went (a leg is faster than its horse). It comes back where its surroundings look as they did when
they were last surely its own.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from vtlab.contracts import OnlineTracker
from vtlab.errors import InputError
from vtlab.prompts import Prompts
from vtlab.prompts.shapes import KINDS, Figures, carry
from vtlab.registry import register
from vtlab.tracks import FrameTracks

if TYPE_CHECKING:
    from vtlab.video import Frame

Array = NDArray[np.float64]
Gray = NDArray[np.uint8]

# Sides in pixels of what a point looked like and of the search for it. Points of one call of OpenCV's `remap`, which
# takes fewer than 2**15 rows: 1024 patches of 29.
_PATCH = 11
_REACH = 8
_STRIP = 1024


@register(
    "lucas-kanade",
    family="points",
    accepts=KINDS,
    emits={"points", "boxes"},
    paper="An Iterative Image Registration Technique with an Application to Stereo Vision, IJCAI 1981; "
    "Forward-Backward Error, ICPR 2010",
    paper_url="https://doi.org/10.1109/ICPR.2010.675",
    code="https://github.com/opencv/opencv",
    licence="Apache-2.0",
)
class LucasKanade(OnlineTracker):
    """Pyramidal Lucas-Kanade flow of points with a forward-backward check; needs no weights.

    Args:
        window: Side of the square that is matched around a point, odd, pixels.
        levels: Halvings of the image in the pyramid; motion of up to about `window * 2**levels / 2` pixels a frame
            can be followed.
        max_error: A point is lost when forward and backward flow miss each other by more than this, pixels; None: by a
            quarter of the window. On fast, blurred motion the way back of points that are followed rightly misses by
            several pixels, and that of wrong ones by half the window and more.
        min_similarity: A point is lost, too, when the normalised correlation of its surroundings with how they looked
            when they were last surely its own falls below this, in [-1, 1]. -1 asks nothing: what moves fast turns
            and blurs from one frame to the next. Above 0 it tells more of the points that something before them takes along.
        return_similarity: The correlation from which surroundings are surely a point's own, and at which a lost point
            comes back, in [-1, 1].

    Raises:
        InputError: A parameter out of its range.
    """

    def __init__(
        self,
        *,
        window: int = 21,
        levels: int = 3,
        max_error: float | None = None,
        min_similarity: float = -1.0,
        return_similarity: float = 0.85,
    ):
        if window < 3 or window % 2 == 0:
            raise InputError(
                f"lucas-kanade: window must be an odd number of at least 3 pixels, got {window}."
            )
        max_error = window / 4 if max_error is None else max_error
        if levels < 0 or max_error <= 0:
            raise InputError(
                f"lucas-kanade: levels must be at least 0 and max_error above 0 px, got {levels} and {max_error}."
            )
        self._window, self._levels, self._max_error = window, levels, max_error
        self._min_similarity, self._return_similarity = min_similarity, return_similarity
        self._forget()

    def _forget(self) -> None:
        self._figures = Figures()
        self._xy: Array = np.empty((0, 2))
        self._seen = np.empty(0, dtype=bool)
        self._score: Array = np.empty(0)
        self._patches = np.empty((0, _PATCH, _PATCH), dtype=np.float32)
        self._gray: Gray | None = None

    def init(self, frame: Frame, prompts: Prompts) -> FrameTracks:
        """Start on the prompts' points."""
        self._forget()
        return self.step(frame, prompts)

    def step(self, frame: Frame, prompts: Prompts = Prompts()) -> FrameTracks:
        """Follow all points to this frame; start or correct the prompted figures on it.

        Raises:
            InputError: The frame has another size than the one before, so that no pixel says where a point went.
        """
        gray = frame.grey
        if self._gray is not None and self._gray.shape != gray.shape:
            (height, width), (tall, wide) = gray.shape, self._gray.shape
            raise InputError(
                f"Frame {frame.index} is {width} x {height} px, the one before was {wide} x {tall}. Remedy: cut the video "
                "where its size changes, or scale it."
            )
        self.remove(prompts.object_ids)
        if self._gray is not None and len(self._xy):
            self._follow(self._gray, gray)
        self._start(gray, prompts)
        self._gray = gray
        return self._figures.answer(frame.index, self._xy, self._seen, self._score)

    def remove(self, object_ids: Iterable[int]) -> None:
        """Stop following these objects."""
        keep = self._figures.remove(object_ids)
        self._xy, self._seen, self._score = self._xy[keep], self._seen[keep], self._score[keep]
        self._patches = self._patches[keep]

    def close(self) -> None:
        """Let go of the last frame."""
        self._forget()

    def _start(self, gray: Gray, prompts: Prompts) -> None:
        rows = self._figures.add(prompts)
        new = self._figures.xy[rows]
        self._xy = np.concatenate([self._xy, new])
        self._seen = np.concatenate([self._seen, np.ones(len(new), dtype=bool)])
        self._score = np.concatenate([self._score, np.ones(len(new))])
        self._patches = np.concatenate([self._patches, patches(gray, new, _PATCH)])

    def _follow(self, before: Gray, now: Gray) -> None:
        """Places of all points by their own flow, and for those that are lost by what else is known."""
        moved, error = self._flow(before, now, self._xy)
        was = self._seen
        looks = patches(now, moved[was], _PATCH)
        alike = similarity(looks, self._patches[was])
        held = (error[was] <= self._max_error) & (alike >= self._min_similarity) & _inside(moved[was], now)
        kept = np.flatnonzero(was)[held]
        xy, seen, score = self._xy.copy(), np.zeros(len(self._xy), dtype=bool), np.zeros(len(self._xy))
        xy[kept], seen[kept], score[kept] = moved[kept], True, np.clip(alike[held], 0.0, 1.0)
        # Only sure looks are learned: else a point slides off, look by look.
        same = held & (alike >= self._return_similarity)
        self._patches[np.flatnonzero(was)[same]] = looks[same]
        self._carry(xy, seen, np.where(np.isfinite(error)[:, None], moved, np.nan))
        self._find_again(now, xy, seen, score)
        self._xy, self._seen, self._score = xy, seen, score

    def _flow(self, before: Gray, now: Gray, xy: Array) -> tuple[Array, Array]:
        """Where points (K, 2) went, and how far the way back misses them, (K,) pixels; infinite where none is found."""
        import cv2

        options: dict[str, Any] = {
            "winSize": (self._window, self._window),
            "maxLevel": self._levels,
            # OpenCV's default bounds: 30 rounds, or moves below a hundredth of a pixel.
            "criteria": (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 30, 0.01),
        }
        nowhere: Any = None
        start = (xy - 0.5).astype(np.float32)  # OpenCV counts from the centre of the first pixel
        there, found, _ = cv2.calcOpticalFlowPyrLK(before, now, start, nowhere, **options)
        back, returned, _ = cv2.calcOpticalFlowPyrLK(now, before, there, nowhere, **options)
        ok = (found[:, 0] == 1) & (returned[:, 0] == 1)
        error = np.where(ok, np.linalg.norm(back.astype(np.float64) - start, axis=1), np.inf)
        return xy + (there.astype(np.float64) - start), error

    def _carry(self, xy: Array, seen: NDArray[np.bool_], moved: Array) -> None:
        """Move the lost points, in place, with the seen points of their object; without one by their own flow `moved`.

        Where there is no flow either (NaN), with the seen points of all objects.
        """
        owners = self._figures.owners
        for owner in np.unique(owners[~seen]):
            mine = owners == owner
            lost = mine & ~seen
            guides = seen & mine
            if not guides.any():
                flows = lost & np.isfinite(moved[:, 0])
                xy[flows] = moved[flows]
                lost, guides = lost & ~flows, seen
            if guides.any() and lost.any():
                xy[lost] = carry(self._xy[lost], self._xy[guides], xy[guides])

    def _find_again(self, now: Gray, xy: Array, seen: NDArray[np.bool_], score: Array) -> None:
        """Look, in place, for what lost points in the frame looked like: first where they are, then around.

        Not on the frame where they are lost: near by there is always something that looks alike. Nor where the likeness
        still grows beyond the reach: the place is then the border's, not the point's (so a camel's legs were lost).
        """
        import cv2

        lost = np.flatnonzero(~seen & ~self._seen & _inside(xy, now))
        middle = _REACH + 1  # a pixel more than the reach all around, to see what grows beyond
        for row, around in zip(lost, patches(now, xy[lost], _PATCH + 2 * middle), strict=True):
            if np.ptp(self._patches[row]) == 0:
                continue
            match = cv2.matchTemplate(around, self._patches[row], cv2.TM_CCOEFF_NORMED)
            best, x, y = float(match[middle, middle]), middle, middle
            if best < self._return_similarity:
                _, best, _, (x, y) = cv2.minMaxLoc(match)
            score[row] = min(max(best, 0.0), 1.0)
            if best >= self._return_similarity and {x, y}.isdisjoint((0, 2 * middle)):
                xy[row] += (x - middle, y - middle)
                seen[row] = True


def patches(gray: Gray, xy: Array, side: int) -> NDArray[np.float32]:
    """Surroundings (K, side, side) of points (K, 2), float32, bilinear; beyond the border its last pixel repeats."""
    import cv2

    reach = np.arange(side, dtype=np.float32) - side // 2
    # `remap` counts in 16 bits; further out every pixel is the border's.
    centre = np.clip(xy - 0.5, -(2.0**15), 2.0**15).astype(np.float32)
    found = [np.empty((0, side, side), dtype=np.float32)]
    for start in range(0, len(xy), _STRIP):
        part = centre[start : start + _STRIP]
        shape = (len(part), side, side)
        x = np.broadcast_to(part[:, 0, None, None] + reach[None, None, :], shape).reshape(-1, side)
        y = np.broadcast_to(part[:, 1, None, None] + reach[None, :, None], shape).reshape(-1, side)
        picked = cv2.remap(gray.astype(np.float32), x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        found.append(np.asarray(picked, dtype=np.float32).reshape(shape))
    return np.concatenate(found)


def similarity(a: NDArray[np.float32], b: NDArray[np.float32]) -> Array:
    """Normalised correlation of patches (K, side, side), (K,) in [-1, 1]; 1 where both are flat."""
    p, q = (v.reshape(len(v), v.shape[1] * v.shape[2]).astype(np.float64) for v in (a, b))
    p, q = p - p.mean(axis=1, keepdims=True), q - q.mean(axis=1, keepdims=True)
    norm = np.sqrt((p * p).sum(axis=1) * (q * q).sum(axis=1))
    flat = ((p * p).sum(axis=1) < 1e-6) & ((q * q).sum(axis=1) < 1e-6)
    return np.where(flat, 1.0, (p * q).sum(axis=1) / np.maximum(norm, 1e-12))


def _inside(xy: Array, gray: Gray) -> NDArray[np.bool_]:
    height, width = gray.shape
    return (xy[:, 0] >= 0) & (xy[:, 1] >= 0) & (xy[:, 0] < width) & (xy[:, 1] < height)
