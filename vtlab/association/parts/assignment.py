"""Linear assignment of tracks and detections by `scipy.optimize.linear_sum_assignment`.

Method: Crouse, "On implementing 2D rectangular assignment algorithms", IEEE TAES 2016 (SciPy). Three rules are in use,
and they can differ:

- "all": the pairs with the largest sum are found among all pairs, then those below the threshold are dropped
  (SORT, OC-SORT, `trackers`).
- "gain": a pair is worth what it has above the threshold, pairs below it are worth nothing (`lap.lapjv` with
  `cost_limit`, as ByteTrack, BoT-SORT and DeepSORT use it).
- "clear": where no track and no detection has two candidates above the threshold, the candidates are the matches;
  otherwise as "all" (the authors' code of SORT and OC-SORT).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.int64]
_DENSE = 60_000  # entries up to which a dense matrix is faster than a sparse graph
_ROUNDING = 1e-9  # by which a pair must be worth more, so that rounding settles no tie


@cache
def _solver() -> Callable[..., tuple[Rows, Rows]]:
    """SciPy's solver, imported when it is first needed: half a second that `vtlab --help` need not pay."""
    from scipy.optimize import linear_sum_assignment

    return linear_sum_assignment


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
        rule: "all", "gain" or "clear", see above.
        value: (N, M) what the sum is taken of instead of the similarity (not with "gain").

    Returns:
        Matched rows and columns, each (K,), ordered by row.
    """
    linear_sum_assignment = _solver()
    if rule == "gain" and similarity.size > _DENSE:
        n, m = similarity.shape
        r, c = (similarity > threshold).nonzero()
        return assign_sparse(r, c, similarity[r, c], (n, m), threshold, rule=rule)
    if rule == "gain":
        gain = similarity - threshold
        rows, columns = linear_sum_assignment(np.maximum(gain, 0.0), maximize=True)
        good = (gain[rows, columns] > 0).nonzero()[0]  # twice as fast as to choose by a mask
    elif rule == "clear" and _is_clear(candidate := similarity > threshold):
        return candidate.nonzero()  # type: ignore[return-value]
    else:
        rows, columns = linear_sum_assignment(similarity if value is None else value, maximize=True)
        good = (similarity[rows, columns] >= threshold).nonzero()[0]
    return rows[good], columns[good]


def _is_clear(candidate: NDArray[np.bool_]) -> bool:
    """Whether there are candidates, and no row or column has two."""
    return bool(candidate.size and candidate.sum(axis=0).max() == 1 and candidate.sum(axis=1).max() == 1)


def assign_sparse(
    rows: Rows,
    columns: Rows,
    similarity: NDArray[np.float64],
    shape: tuple[int, int],
    threshold: float,
    *,
    rule: str,
) -> tuple[Rows, Rows]:
    """`assign` for pairs instead of a matrix; pairs that are not given have similarity 0. The same matches.

    A pair worth more than all the others of its row and its column together is in every best matching, for whatever took
    its place would lose by that; such pairs (most, as a rule) are matched at once, the rest is solved together.

    Args:
        rows: (K,) rows of the pairs, no pair twice.
        columns: (K,) columns of the pairs.
        similarity: (K,), above 0.
        shape: Number of rows and columns.
        threshold: Lowest similarity of a match, above 0.
        rule: "all" or "gain".
    """
    value = similarity
    if rule == "gain":
        value = similarity - threshold
        use = (value > 0).nonzero()[0]
        rows, columns, similarity, value = rows[use], columns[use], similarity[use], value[use]
    n, m = shape
    together = np.bincount(rows, value, n).take(rows)
    together += np.bincount(columns, value, m).take(columns)
    chosen = 3 * value > together + _ROUNDING
    taken_row, taken_column = np.zeros(n, bool), np.zeros(m, bool)
    taken_row[rows[chosen]] = taken_column[columns[chosen]] = True
    rest = (~(taken_row.take(rows) | taken_column.take(columns))).nonzero()[0]
    if len(rest):
        chosen[rest] = _best(rows.take(rest), columns.take(rest), value.take(rest))
    chosen &= similarity >= threshold
    return rows[chosen], columns[chosen]


def assign_few(
    rows: list[int],
    columns: list[int],
    similarity: list[float],
    shape: tuple[int, int],
    threshold: float,
    *,
    rule: str,
) -> tuple[Rows, Rows]:
    """`assign_sparse` for a handful of pairs, as numbers. The same matches, in the order of the pairs."""
    if len(set(rows)) < len(rows) or len(set(columns)) < len(columns):
        matrix = np.zeros(shape)
        matrix[rows, columns] = similarity
        return assign(matrix, threshold, rule=rule)
    good = [k for k, s in enumerate(similarity) if s > threshold or (s == threshold and rule != "gain")]
    return np.array([rows[k] for k in good], np.int64), np.array([columns[k] for k in good], np.int64)


def _renumbered(values: Rows) -> tuple[int, Rows]:
    """How many different values there are, and which of them, in their order, each is."""
    place = (np.bincount(values) > 0).cumsum()
    return int(place[-1]), (place - 1).take(values)


def _best(rows: Rows, columns: Rows, value: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which of these pairs (K,) make the largest sum."""
    linear_sum_assignment = _solver()
    (n, row_of), (m, column_of) = _renumbered(rows), _renumbered(columns)
    partner = np.full(n, -1)
    if n * m <= _DENSE:
        matrix = np.zeros((n, m))
        matrix[row_of, column_of] = value
        matched = linear_sum_assignment(matrix, maximize=True)
        partner[matched[0]] = matched[1]
        return partner[row_of] == column_of
    from scipy.sparse import csr_matrix
    from scipy.sparse.csgraph import min_weight_full_bipartite_matching

    # A column of its own for each row stands for "no match", so that a full matching exists.
    cost = np.concatenate([2.0 - value, np.full(n, 2.0)])
    graph = csr_matrix(
        (cost, (np.concatenate([row_of, np.arange(n)]), np.concatenate([column_of, m + np.arange(n)]))),
        shape=(n, m + n),
    )
    found = min_weight_full_bipartite_matching(graph)
    partner[found[0]] = found[1]
    return partner[row_of] == column_of
