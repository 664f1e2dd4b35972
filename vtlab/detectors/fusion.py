"""Weighted box fusion: boxes that several detectors agree on become one, drawn to the surer ones, not the surest alone.

Paper: Solovyev, Wang, Gabruseva, "Weighted boxes fusion: Ensembling boxes from different object detection models", Image
and Vision Computing 2021. Official code: https://github.com/ZFTurbo/Weighted-Boxes-Fusion (MIT); the same boxes and scores
as its `conf_type="avg"` and `"max"`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from vtlab.errors import InputError
from vtlab.geometry import paired_iou

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Fused:
    """Boxes of several detectors as one set, the surest first.

    Attributes:
        boxes: (n, 4) xyxy, continuous edges.
        scores: (n,).
        labels: Label of each.
        by: Of each the detectors that saw it, by their place in what was given.
    """

    boxes: Array
    scores: Array
    labels: list[Any]
    by: list[tuple[int, ...]]


def fuse(
    boxes: Sequence[Array],
    scores: Sequence[Array],
    labels: Sequence[Sequence[Any]],
    *,
    trust: Sequence[float] | None = None,
    iou: float = 0.55,
    score: Literal["avg", "max"] = "avg",
) -> Fused:
    """Fuse what several detectors saw on one frame.

    Args:
        boxes: Of each detector (n, 4) xyxy, continuous edges.
        scores: Of each detector (n,), above 0.
        labels: Of each detector; only boxes of one label are fused.
        trust: How much each detector counts; all alike by default.
        iou: A box joins the fused one of its label that it overlaps most, above this.
        score: Of a fused box: "avg" is the mean, less where not all detectors saw it; "max" the highest, for detectors that
            know different things, where one alone may be right.

    Raises:
        InputError: Lists of different lengths, trust that isn't above 0, an unknown `score`.
    """
    n = len(boxes)
    told = np.ones(n) if trust is None else np.asarray(trust, np.float64)
    if (
        not n == len(scores) == len(labels) == len(told)
        or not (told > 0).all()
        or score not in ("avg", "max")
    ):
        raise InputError(
            f"fuse: boxes, scores, labels and trust of each detector, trust above 0, score 'avg' or 'max'; got {n}, "
            f"{len(scores)}, {len(labels)}, {told.tolist()}, {score!r}."
        )
    rows = [
        (float(s) * told[d], np.asarray(b, np.float64), label, d)
        for d in range(n)
        for b, s, label in zip(boxes[d], scores[d], labels[d], strict=True)
    ]
    rows.sort(key=lambda r: -r[0])  # stable: of equal scores the detector given first comes first
    found: list[tuple[float, Array, Any, tuple[int, ...]]] = []
    for label in dict.fromkeys(r[2] for r in rows):
        groups = _grouped([r for r in rows if r[2] == label], iou)
        for group in groups:
            sure = np.array([r[0] for r in group])
            worth = (
                sure.max() / told.max() if score == "max" else sure.mean() * min(n, len(group)) / told.sum()
            )
            found.append((float(worth), _mean(group), label, tuple(sorted({r[3] for r in group}))))
    found.sort(key=lambda f: -f[0])
    return Fused(
        np.array([f[1] for f in found]).reshape(-1, 4),
        np.array([f[0] for f in found]),
        [f[2] for f in found],
        [f[3] for f in found],
    )


def _grouped(rows: Sequence[tuple[float, Array, Any, int]], iou: float) -> list[list[Any]]:
    """Rows of one label, the surest first, by the fused box that each overlaps most."""
    groups: list[list[Any]] = []
    fused = np.empty((0, 4))
    for row in rows:
        overlap = paired_iou(fused, row[1]) if len(fused) else np.empty(0)
        best = int(overlap.argmax()) if len(overlap) else -1
        if best >= 0 and overlap[best] > iou:
            groups[best].append(row)
            fused[best] = _mean(groups[best])
        else:
            groups.append([row])
            fused = np.vstack([fused, row[1]])
    return groups


def _mean(group: Sequence[tuple[float, Array, Any, int]]) -> Array:
    """The mean box, each weighing as much as it is sure."""
    sure = np.array([r[0] for r in group])
    return np.asarray((sure[:, None] * np.array([r[1] for r in group])).sum(axis=0) / sure.sum())
