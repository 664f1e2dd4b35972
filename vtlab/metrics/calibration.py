"""Do scores mean what they say: reliability diagram, expected calibration error, risk-coverage curve.

Papers: Guo et al., "On Calibration of Modern Neural Networks", ICML 2017 (reliability, ECE); Geifman and El-Yaniv,
"Selective Classification for Deep Neural Networks", NeurIPS 2017 (risk and coverage); Geifman et al.,
"Bias-Reduced Uncertainty Estimation", ICLR 2019 (area under the risk-coverage curve).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vtlab.errors import InputError
from vtlab.metrics import quality as _quality
from vtlab.metrics.evaluation import infer_family
from vtlab.metrics.families import Case, Truth
from vtlab.tracks import Tracks

if TYPE_CHECKING:
    import pandas as pd

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Calibration:
    """How the scores of answers relate to their quality.

    Attributes:
        reliability: DataFrame of bins: low, high, count, score (mean), accuracy (part that is correct).
        ece: Expected calibration error: mean |score - accuracy|, bins weighted by their counts. Chance alone makes it
            larger than 0, the more so the fewer answers there are: read it beside its floor.
        ece_floor: What chance alone makes of it: its mean for scores that are perfectly calibrated, with these bins.
        coverage: (N,) part of the answers kept, from the surest one to all.
        risk: (N,) part of the kept answers that is wrong.
        aurc: Area under the risk-coverage curve; lower is better.
        eaurc: The same less what the best possible order of these answers would give.
        answered: Share of the true objects' frames (or points) on which there was an answer at all; NaN if unknown.
            A tracker that seldom answers may be calibrated well and still miss nearly everything.
    """

    reliability: pd.DataFrame
    ece: float
    ece_floor: float
    coverage: Array
    risk: Array
    aurc: float
    eaurc: float
    answered: float = np.nan

    @property
    def ece_debiased(self) -> float:
        """The calibration error less what chance alone makes of it, at least 0."""
        return max(self.ece - self.ece_floor, 0.0)


def calibration(scores: ArrayLike, correct: ArrayLike, *, bins: int = 15) -> Calibration:
    """Relate scores to correctness.

    Args:
        scores: (N,) in [0, 1].
        correct: (N,) bool, or a quality in [0, 1] in its place.
        bins: Number of equally wide bins of the reliability diagram.

    Raises:
        InputError: No answers, scores outside [0, 1], a quality that is no number, or shapes that differ.
    """
    import pandas as pd

    s, c = np.asarray(scores, dtype=np.float64), np.asarray(correct, dtype=np.float64)
    if s.shape != c.shape or s.ndim != 1 or not len(s):
        raise InputError(f"Expected as many scores as answers, at least one; got {s.shape} and {c.shape}.")
    if not ((s >= 0) & (s <= 1)).all():
        raise InputError(
            "Scores must lie in [0, 1]. Bring the tracker's scores there first, for example by a sigmoid."
        )
    if not np.isfinite(c).all():
        raise InputError(
            f"Answer {int(np.flatnonzero(~np.isfinite(c))[0])} has no quality (NaN). Leave such answers out."
        )
    # 15 bins are Guo et al.'s; a score of 1 belongs to the last.
    edges = np.linspace(0, 1, bins + 1)
    index = np.clip(np.searchsorted(edges, s, side="right") - 1, 0, bins - 1)
    count = np.bincount(index, minlength=bins)
    filled = np.maximum(count, 1)
    score, accuracy = (np.bincount(index, x, bins) / filled for x in (s, c))
    table = pd.DataFrame(
        {"low": edges[:-1], "high": edges[1:], "count": count, "score": score, "accuracy": accuracy}
    )
    table.loc[count == 0, ["score", "accuracy"]] = np.nan
    ece, floor = float((count * np.abs(score - accuracy)).sum() / len(s)), _floor(count, score)
    coverage, risk = risk_coverage(s, c)
    best = risk_coverage(c, c)[1]
    return Calibration(
        table, ece, floor, coverage, risk, float(risk.mean()), float(risk.mean() - best.mean())
    )


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
    found = calibration(
        rows["score"].to_numpy(float), rows["quality"].to_numpy(float) >= threshold, bins=bins
    )
    return replace(found, answered=_answered(tracks, truth, family))


def _answered(tracks: Tracks, truth: Truth, family: str | None) -> float:
    """Share of the true objects' visible frames with an answer; frames of any object where ids mean nothing."""
    case = Case.of(tracks, truth)
    true, mine = case.truth.seen(), tracks.seen()
    by_id = (family or infer_family(tracks, case.truth)) != "mot"
    asked, told = (
        set(zip(t.frame.tolist(), t.object_id.tolist() if by_id else [0] * len(t), strict=True))
        for t in (true, mine)
    )
    return len(asked & told) / len(asked) if asked else np.nan


def _floor(count: NDArray[np.int64], score: Array) -> float:
    """Mean calibration error of perfectly calibrated scores: each bin's right answers are binomial about its mean score.

    The mean absolute deviation of a binomial is de Moivre's (Diaconis and Zabell, Statistical Science 1991).
    """
    from scipy.stats import binom

    filled = count > 0
    n, p = count[filled], np.clip(score[filled], 0.0, 1.0)
    m = np.floor(n * p) + 1
    return float((2 * m * (1 - p) * binom.pmf(m, n, p)).sum() / max(n.sum(), 1))
