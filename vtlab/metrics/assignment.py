"""Exact one-to-one matching of maximal total weight on a sparse set of pairs of a whole sequence at once.

The dense way solves one Hungarian problem for each frame. Here all pairs with a positive weight lie in flat
arrays. A pair that outweighs the best alternatives of both its ends together is in every optimal matching, so
it is taken without search; what is left falls into small connected components, solved one by one.
"""

from __future__ import annotations

import itertools

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]
_ROUNDS = 4
"""Rounds in which sure pairs are taken out; what is left after them is little, and another round finds less."""
_SEARCHED = 6
"""Rows up to which trying all choices is quicker than a matrix."""
# Cells of a matrix up to which plain Python solves it: so small ones need no SciPy.
_BY_HAND = 64


def max_weight_matching(rows: Ints, cols: Ints, weights: Array, n_rows: int, n_cols: int) -> Ints:
    """Choose pairs such that no row and no column is used twice and the sum of weights is maximal.

    Args:
        rows: (P,) row of each pair.
        cols: (P,) column of each pair.
        weights: (P,) weights, all positive.
        n_rows: Number of rows.
        n_cols: Number of columns.

    Returns:
        Positions of the chosen pairs in the arrays given, ascending.
    """
    left = np.arange(len(rows))
    chosen: list[Ints] = []
    for _ in range(_ROUNDS):
        if not len(left):
            break
        r, c, w = rows[left], cols[left], weights[left]
        top_r, other_r = _top(r, w, n_rows)
        top_c, other_c = _top(c, w, n_cols)
        sure = top_r & top_c
        sure[sure] = w[sure] > other_r[r[sure]] + other_c[c[sure]]
        if not sure.any():
            break
        chosen.append(left[sure])
        free_r, free_c = np.ones(n_rows, bool), np.ones(n_cols, bool)
        free_r[r[sure]], free_c[c[sure]] = False, False
        left = left[free_r[r] & free_c[c]]
    for group in components(rows[left], cols[left], n_rows, n_cols):
        pairs = left[group]
        picked = solve_component(rows[pairs].tolist(), cols[pairs].tolist(), weights[pairs].tolist())
        chosen.append(pairs[picked])
    return np.sort(np.concatenate(chosen)) if chosen else np.empty(0, np.int64)


def components(rows: Ints, cols: Ints, n_rows: int, n_cols: int) -> list[list[int]]:
    """Split pairs into connected components; each is an ascending list of positions."""
    if not len(rows):
        return []
    label = _joined(rows, cols + n_rows, n_rows + n_cols)[rows]
    order = np.argsort(label, kind="stable")
    cuts = [0, *(np.flatnonzero(np.diff(label[order])) + 1).tolist(), len(order)]
    positions = order.tolist()
    return [positions[i:j] for i, j in itertools.pairwise(cuts)]


def _joined(one: Ints, other: Ints, n: int) -> Ints:
    """(n,) label of each node's connected component, of edges (P,) between nodes: the smallest node of it."""
    label = np.arange(n)
    while True:
        least = np.minimum(label[one], label[other])
        if (label[one] == least).all() and (label[other] == least).all():
            return label
        np.minimum.at(label, one, least)
        np.minimum.at(label, other, least)
        label = label[
            label
        ]  # a node is named as the one it is named after, so that long chains take few rounds


def _top(ends: Ints, weights: Array, n: int) -> tuple[Bools, Array]:
    """Tell which pairs carry the largest weight of their end, and the second largest weight of each end."""
    best = np.zeros(n)
    np.maximum.at(best, ends, weights)
    top = weights == best[ends]
    other = np.zeros(n)
    np.maximum.at(other, ends[~top], weights[~top])
    tied = np.bincount(ends[top], minlength=n) > 1
    other[tied] = best[tied]
    return top, other


def solve_component(rows: list[int], cols: list[int], weights: list[float]) -> list[int]:
    """Positions of the optimal pairs of one component; plain lists, as most components have two or three pairs."""
    by_row: dict[int, list[int]] = {}
    for k, row in enumerate(rows):
        by_row.setdefault(row, []).append(k)
    if len(by_row) == 1 or len(set(cols)) == 1:
        return [max(range(len(weights)), key=weights.__getitem__)]
    if len(rows) > _SEARCHED:
        return _hungarian(rows, cols, weights)
    choices = list(by_row.values())

    def best(depth: int, taken: frozenset[int]) -> tuple[float, list[int]]:
        """Best total and pairs of the rows from `depth` on, columns in `taken` being used."""
        if depth == len(choices):
            return 0.0, []
        value, picked = best(depth + 1, taken)
        for k in choices[depth]:
            if cols[k] not in taken:
                rest, others = best(depth + 1, taken | {cols[k]})
                if rest + weights[k] > value:
                    value, picked = rest + weights[k], [k, *others]
        return value, picked

    return sorted(best(0, frozenset())[1])


def _hungarian(rows: list[int], cols: list[int], weights: list[float]) -> list[int]:
    unique_r, r = np.unique(rows, return_inverse=True)
    unique_c, c = np.unique(cols, return_inverse=True)
    dense = np.zeros((len(unique_r), len(unique_c)))
    dense[r, c] = weights
    if dense.size > _BY_HAND:
        from scipy.optimize import linear_sum_assignment  # its import takes longer than most sequences

        taken = linear_sum_assignment(dense, maximize=True)
    elif len(unique_r) <= len(unique_c):
        taken = (np.arange(len(unique_r)), np.array(shortest_paths((-dense).tolist())))
    else:
        taken = (np.array(shortest_paths((-dense.T).tolist())), np.arange(len(unique_c)))
    picked = np.zeros(dense.shape, bool)
    picked[taken] = True
    return np.flatnonzero(picked[r, c] & (np.asarray(weights) > 0)).tolist()


def shortest_paths(cost: list[list[float]]) -> list[int]:
    """Column of each row such that the sum of `cost` is least; no more rows than columns.

    Crouse, "On implementing 2D rectangular assignment algorithms", IEEE TAES 2016, with SciPy's order of looking, so that of
    several best answers it gives the one of `scipy.optimize.linear_sum_assignment`.
    """
    n, u, v = len(cost[0]), [0.0] * len(cost), [0.0] * len(cost[0])
    path, row_of, column_of = [-1] * n, [-1] * n, [-1] * len(cost)
    for start in range(len(cost)):
        length, left, row, at = [np.inf] * n, list(range(n - 1, -1, -1)), start, 0.0
        rows, columns, sink = [start], [], -1
        while sink < 0:
            best, least = -1, np.inf
            for k, j in enumerate(left):
                reached = at + cost[row][j] - u[row] - v[j]
                if reached < length[j]:
                    path[j], length[j] = row, reached
                if length[j] < least or (length[j] == least and row_of[j] < 0):
                    best, least = k, length[j]
            at, j = least, left[best]
            columns.append(j)
            left[best] = left[-1]
            left.pop()
            if row_of[j] < 0:
                sink = j
            else:
                row = row_of[j]
                rows.append(row)
        u[start] += at
        for i in rows[1:]:
            u[i] += at - length[column_of[i]]
        for j in columns:
            v[j] -= at - length[j]
        row = -1
        while row != start:
            row = path[sink]
            row_of[sink] = row
            column_of[row], sink = sink, column_of[row]
    return column_of
