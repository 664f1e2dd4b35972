"""Linear assignment of tracks and detections by `scipy.optimize.linear_sum_assignment`.

Method: Crouse, "On implementing 2D rectangular assignment algorithms", IEEE TAES 2016 (SciPy). Two rules are in use,
and they can differ:

- "all": the pairs with the largest sum are found among all pairs, then those below the threshold are dropped
  (SORT, OC-SORT, `trackers`).
- "gain": a pair is worth what it has above the threshold, pairs below it are worth nothing (`lap.lapjv` with
  `cost_limit`, as ByteTrack, BoT-SORT and DeepSORT use it).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.int64]


def assign(
    similarity: NDArray[np.float64],
    threshold: float,
    *,
    rule: str = "all",
    value: NDArray[np.float64] | None = None,
) -> tuple[Rows, Rows]:
    """Match tracks and detections one to one.

    Args:
        similarity: (N, M), higher is more alike.
        threshold: Lowest similarity of a match.
        rule: "all" or "gain", see above.
        value: (N, M) what the sum is taken of instead of the similarity ("all" only).

    Returns:
        Matched rows and columns, each (K,), ordered by row.
    """
    from scipy.optimize import linear_sum_assignment  # half a second that `vtlab --help` need not pay

    if rule == "gain":
        gain = similarity - threshold
        rows, columns = linear_sum_assignment(np.maximum(gain, 0.0), maximize=True)
        good = gain[rows, columns] > 0
    else:
        rows, columns = linear_sum_assignment(similarity if value is None else value, maximize=True)
        good = similarity[rows, columns] >= threshold
    return rows[good], columns[good]
