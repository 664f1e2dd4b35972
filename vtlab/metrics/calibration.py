"""Do scores mean what they say: reliability diagram, expected calibration error, risk-coverage curve.

Papers: Guo et al., "On Calibration of Modern Neural Networks", ICML 2017 (reliability, ECE); Geifman and El-Yaniv,
"Selective Classification for Deep Neural Networks", NeurIPS 2017 (risk and coverage); Geifman et al.,
"Bias-Reduced Uncertainty Estimation", ICLR 2019 (area under the risk-coverage curve).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vtlab.errors import InputError
from vtlab.metrics import quality as _quality
from vtlab.metrics.families import Truth
from vtlab.tracks import Tracks

if TYPE_CHECKING:
    import pandas as pd

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Calibration:
    """How the scores of answers relate to their quality.

    Attributes:
        reliability: DataFrame of bins: low, high, count, score (mean), accuracy (part that is correct).
        ece: Expected calibration error: mean |score - accuracy|, bins weighted by their counts.
        coverage: (N,) part of the answers kept, from the surest one to all.
        risk: (N,) part of the kept answers that is wrong.
        aurc: Area under the risk-coverage curve; lower is better.
        eaurc: The same less what the best possible order of these answers would give.
    """

    reliability: pd.DataFrame
    ece: float
    coverage: Array
    risk: Array
    aurc: float
    eaurc: float


def calibration(scores: ArrayLike, correct: ArrayLike, *, bins: int = 15) -> Calibration:
    """Relate scores to correctness.

    Args:
        scores: (N,) in [0, 1].
        correct: (N,) bool, or a quality in [0, 1] in its place.
        bins: Number of equally wide bins of the reliability diagram.

    Raises:
        InputError: No answers, scores outside [0, 1], or shapes that differ.
    """
    import pandas as pd

    s, c = np.asarray(scores, dtype=np.float64), np.asarray(correct, dtype=np.float64)
    if s.shape != c.shape or s.ndim != 1 or not len(s):
        raise InputError(f"Expected as many scores as answers, at least one; got {s.shape} and {c.shape}.")
    if not ((s >= 0) & (s <= 1)).all():
        raise InputError(
            "Scores must lie in [0, 1]. Bring the tracker's scores there first, for example by a sigmoid."
        )
    edges = np.linspace(0, 1, bins + 1)
    index = np.clip(np.searchsorted(edges, s, side="right") - 1, 0, bins - 1)
    count = np.bincount(index, minlength=bins)
    filled = np.maximum(count, 1)
    score, accuracy = (np.bincount(index, x, bins) / filled for x in (s, c))
    table = pd.DataFrame(
        {"low": edges[:-1], "high": edges[1:], "count": count, "score": score, "accuracy": accuracy}
    )
    table.loc[count == 0, ["score", "accuracy"]] = np.nan
    ece = float((count * np.abs(score - accuracy)).sum() / len(s))
    coverage, risk = risk_coverage(s, c)
    best = risk_coverage(c, c)[1]
    return Calibration(table, ece, coverage, risk, float(risk.mean()), float(risk.mean() - best.mean()))


def risk_coverage(scores: ArrayLike, correct: ArrayLike) -> tuple[Array, Array]:
    """Risk of the answers kept when only the surest are, from one to all: coverage (N,), risk (N,).

    Answers of equal score are kept or left together: each gets the mean risk of its group.
    """
    s, c = np.asarray(scores, dtype=np.float64), np.asarray(correct, dtype=np.float64)
    order = np.argsort(-s, kind="stable")
    value, group = np.unique(-s[order], return_inverse=True)
    mean = np.bincount(group, 1 - c[order]) / np.bincount(group, minlength=len(value))
    kept = np.arange(1, len(s) + 1)
    return kept / len(s), mean[group].cumsum() / kept


def of_tracks(
    tracks: Tracks, truth: Truth, family: str | None = None, *, threshold: float = 0.5, bins: int = 15
) -> Calibration:
    """Calibrate the scores of tracks: an answer is correct if its quality (`vtlab.metrics.quality`) reaches a threshold.

    Args:
        tracks: What a tracker answered.
        truth: Ground-truth `Tracks`, or a sequence that has them.
        family: By whose measure of quality; default as in `evaluate`.
        threshold: Quality from which an answer is correct.
        bins: Of the reliability diagram.
    """
    rows = _quality.of_answers(tracks, truth, family)
    return calibration(rows["score"].to_numpy(float), rows["quality"].to_numpy(float) >= threshold, bins=bins)
