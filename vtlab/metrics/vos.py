"""Mask metrics: region similarity J, boundary accuracy F, J&F, with mean, recall and decay.

Papers: Perazzi et al., "A Benchmark Dataset and Evaluation Methodology for Video Object Segmentation", CVPR 2016;
Pont-Tuset et al., "The 2017 DAVIS Challenge", arXiv:1704.00675. Numbers agree with davis2017-evaluation (BSD-3),
except for the decay beyond 256 frames, where that code wraps its frame index around (uint8).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vtlab.errors import InputError
from vtlab.masks import as_mask
from vtlab.metrics.rules import VOS, VosRule

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]
NAMES = ("J&F", "J", "J_recall", "J_decay", "F", "F_recall", "F_decay")


def region_similarity(answer: ArrayLike, truth: ArrayLike, void: ArrayLike | None = None) -> float:
    """J: intersection over union of two masks (H, W) outside `void`; 1 where both are empty."""
    return measure(answer, truth, void)[0]


def measure(
    answer: ArrayLike, truth: ArrayLike, void: ArrayLike | None = None, tolerance: float | None = 0.008
) -> tuple[float, float]:
    """J and F of one object on one frame.

    Args:
        answer: Mask (H, W).
        truth: Mask (H, W).
        void: Pixels (H, W) that are not judged.
        tolerance: Distance at which boundary pixels still agree, as a fraction of the image's diagonal; None: F is not
            measured (NaN), which is quick.

    Raises:
        InputError: The sizes differ.
    """
    a, t = as_mask(answer), as_mask(truth)
    if a.shape != t.shape:
        raise InputError(
            f"The answer's mask is {a.shape} and the truth's {t.shape} (height, width); resize one."
        )
    if void is not None:
        judged = ~as_mask(void)
        a, t = a & judged, t & judged
    height, width = a.shape
    a, t = _crop(a, t)
    inter, union = np.count_nonzero(a & t), np.count_nonzero(a | t)
    j = inter / union if union else 1.0
    if tolerance is None:
        return j, np.nan
    # DAVIS's code: below 1 a part of the diagonal, rounded up; from 1 on pixels.
    radius = int(np.ceil(tolerance * np.hypot(height, width))) if tolerance < 1 else int(tolerance)
    return j, _boundary_f(_boundary(a), _boundary(t), radius)


def _crop(a: Mask, t: Mask) -> tuple[Mask, Mask]:
    """Cut both masks to their common extent plus one pixel: neither score looks further."""
    both = (a | t).view(np.uint8)
    rows = np.flatnonzero(both.max(axis=1))
    if not len(rows):
        return a[:1, :1], t[:1, :1]
    cols = np.flatnonzero(both[rows[0] : rows[-1] + 1].max(axis=0))
    box = slice(max(rows[0] - 1, 0), rows[-1] + 2), slice(max(cols[0] - 1, 0), cols[-1] + 2)
    return a[box], t[box]


def _boundary(mask: Mask) -> NDArray[np.uint8]:
    """Pixels that differ from their right, lower or lower right neighbour; the last row and column look one way.

    A cut through empty pixels gives the same as the whole image: what lies beyond equals the edge.
    """
    # seg2bmap of DAVIS's code.
    m = mask.view(np.uint8)
    out = np.zeros_like(m)
    out[:, :-1] = m[:, 1:] ^ m[:, :-1]
    out[:-1] |= m[1:] ^ m[:-1]
    out[:-1, :-1] |= m[1:, 1:] ^ m[:-1, :-1]
    return out


def _boundary_f(a: NDArray[np.uint8], t: NDArray[np.uint8], radius: int) -> float:
    n_a, n_t = np.count_nonzero(a), np.count_nonzero(t)
    if not n_a or not n_t:
        # DAVIS's code: recall or precision is 0 where one side has no boundary, both are 1 where neither has.
        return float(n_a == n_t)
    import cv2

    disk = _disk(radius)
    precision = np.count_nonzero(np.bitwise_and(cv2.dilate(t, disk), a)) / n_a
    recall = np.count_nonzero(np.bitwise_and(cv2.dilate(a, disk), t)) / n_t
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


@lru_cache(maxsize=16)
def _disk(radius: int) -> NDArray[np.uint8]:
    # scikit-image's `disk`, by which DAVIS's code dilates.
    y, x = np.mgrid[-radius : radius + 1, -radius : radius + 1]
    return (x * x + y * y <= radius * radius).astype(np.uint8)


@dataclass(frozen=True)
class ObjectScores:
    """J and F of one object over the frames that count.

    Attributes:
        frames: (N,) frames that count, ascending.
        j: (N,) region similarity.
        f: (N,) boundary accuracy.
    """

    frames: NDArray[np.int64]
    j: Array
    f: Array

    def values(self) -> dict[str, float]:
        """Return mean, recall (fraction of frames above 0.5) and decay of both, and J&F; NaN without frames."""
        if not len(self.frames):
            return dict.fromkeys(NAMES, np.nan)
        out = {}
        for name, series in (("J", self.j), ("F", self.f)):
            out[name], out[f"{name}_recall"] = float(series.mean()), float((series > 0.5).mean())
            out[f"{name}_decay"] = decay(series)
        out["J&F"] = (out["J"] + out["F"]) / 2
        return {name: out[name] for name in NAMES}


def decay(series: ArrayLike) -> float:
    """How much is lost over time: mean of the first quarter of the frames less the mean of the last."""
    values = np.asarray(series, dtype=np.float64)
    # DAVIS's code: 1e-10 rounds halves up, as MATLAB does, and a frame on an edge is in both quarters.
    edges = (np.round(np.linspace(1, len(values), 5) + 1e-10) - 1).astype(np.int64)
    return float(values[edges[0] : edges[1] + 1].mean() - values[edges[3] : edges[4] + 1].mean())


def evaluate_object(
    answer: Iterable[Mask | None],
    truth: Iterable[Mask | None],
    void: Iterable[Mask | None] | None = None,
    frames: Sequence[int] | None = None,
    tolerance: float | None = 0.008,
) -> ObjectScores:
    """Score one object over frames that are given side by side; None stands for an empty mask.

    Args:
        answer: Masks of the tracker, frame by frame.
        truth: Masks of the truth on the same frames.
        void: Pixels of each frame that are not judged.
        frames: Indices of the frames; default 0, 1, ...
        tolerance: See `measure`.
    """
    voids: Iterable[Mask | None] = void if void is not None else _forever_none()
    rows = [_measure_optional(a, t, v, tolerance) for a, t, v in zip(answer, truth, voids, strict=False)]
    scores = np.array(rows, dtype=np.float64).reshape(-1, 2)
    index = np.arange(len(scores)) if frames is None else np.asarray(frames, dtype=np.int64)
    if len(index) != len(scores):
        raise InputError(f"{len(index)} frames were named for {len(scores)} pairs of masks.")
    return ObjectScores(index, scores[:, 0], scores[:, 1])


def counted_frames(
    truth_frames: ArrayLike, first: int, last: int, rule: VosRule = VOS["davis"]
) -> NDArray[np.int64]:
    """Frames of an object that count by a rule.

    Args:
        truth_frames: Frames that have truth.
        first: Frame of the object's prompt.
        last: Last frame of the sequence.
        rule: A record of `vtlab.metrics.rules.VOS`.
    """
    marked = np.unique(np.asarray(truth_frames, dtype=np.int64))
    frames = marked if rule.annotated_only else np.arange(first, last + 1)
    keep = frames > first if rule.drop_first else frames >= first
    if rule.drop_last:
        keep &= frames < last
    return frames[keep]


def combine(objects: Iterable[dict[str, float]]) -> dict[str, float]:
    """Average objects, each weighing the same (DAVIS 2017), leaving out those without a counted frame."""
    rows = [o for o in objects if not np.isnan(o["J"])]
    return {name: float(np.mean([r[name] for r in rows])) if rows else np.nan for name in NAMES}


def combine_seen_unseen(
    objects: Iterable[tuple[str, dict[str, float]]], seen: Iterable[str]
) -> dict[str, float]:
    """YouTube-VOS's overall score: J and F over objects of seen and of unseen categories, and their mean G.

    Paper: Xu et al., "YouTube-VOS: A Large-Scale Video Object Segmentation Benchmark", arXiv:1809.03327, 2018.

    Args:
        objects: (category, scores as of `ObjectScores.values`) of every object of every video.
        seen: Categories of the training set.

    Returns:
        `G`, `J_seen`, `F_seen`, `J_unseen`, `F_unseen`; NaN where there is no such object, and then G is NaN too.
    """
    known, rows = set(seen), list(objects)
    groups = {
        "seen": combine(values for category, values in rows if category in known),
        "unseen": combine(values for category, values in rows if category not in known),
    }
    out = {f"{name}_{group}": values[name] for group, values in groups.items() for name in ("J", "F")}
    return {"G": float(np.mean(list(out.values()))), **out}


def _measure_optional(
    answer: Mask | None, truth: Mask | None, void: Mask | None, tolerance: float | None
) -> tuple[float, float]:
    if answer is None and truth is None:
        return 1.0, 1.0
    if answer is None:
        answer = np.zeros_like(as_mask(truth))  # type: ignore[arg-type]
    if truth is None:
        truth = np.zeros_like(as_mask(answer))
    return measure(answer, truth, void, tolerance)


def _forever_none() -> Iterable[None]:
    while True:
        yield None
