"""The leaderboard of an experiment."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from vtlab.comparison.choice import deciding_metric
from vtlab.metrics.records import METRICS

if TYPE_CHECKING:
    import pandas as pd

_CASE = "what it ran on"
CAPTION = "Means over the cells of the grid, whatever varies there; sd of cells: how far they differ, no error of the mean."
"""How the numbers of a leaderboard are to be read."""


def leaderboard(results: pd.DataFrame) -> pd.DataFrame:
    """Mean over the cells of each tracker, best first; `_std` is how far its cells differ by the family's main metric (a
    standard deviation, no error of the mean).

    Trackers are compared on the same cells only. One that lacks some (`cells` less than `of`) stands below all that lack
    none; where each lacks some, the means are over the cells that all have. Without truth nothing ranks.
    """
    import pandas as pd

    parts = [_of_family(rows, str(family)) for family, rows in results.groupby("family", sort=False)]
    return pd.concat(parts).reset_index().set_index("tracker")


def _of_family(rows: pd.DataFrame, family: str) -> pd.DataFrame:
    parameters = rows.attrs.get("parameters", ())
    numbers = [c for c in rows.columns if rows[c].dtype.kind == "f" and c not in parameters]
    rows = rows.assign(**{_CASE: _cases(rows)})
    main = deciding_metric(rows, family)
    done = rows[_finished(rows) & (rows[main].notna() if main else True)]
    count = done.groupby("tracker")[_CASE].nunique().reindex(rows["tracker"].unique(), fill_value=0)
    total = rows[_CASE].nunique()
    if main is not None and len(count) > 1 and count.any() and not (count == total).any():
        shared = done.groupby(_CASE)["tracker"].nunique()
        rows = done[done[_CASE].isin(shared.index[shared == (count > 0).sum()])]
    group = rows.groupby(["family", "tracker"], sort=False)
    table = group[numbers].mean().dropna(axis=1, how="all")
    names = table.index.get_level_values("tracker")
    table.insert(0, "cells", count.reindex(names).to_numpy())
    if (count < total).any():
        table.insert(1, "of", total)
    if main is not None:
        table.insert(list(table.columns).index(main) + 1, f"{main}_std", group[main].std())
        worth = METRICS[main].worth(1.0) * table[main]
        order = sorted(
            range(len(table)),
            key=lambda i: (table["cells"].iloc[i] < total, -worth.fillna(-np.inf).iloc[i], str(names[i])),
        )
        table = table.iloc[order]
    return table


def _cases(rows: pd.DataFrame) -> pd.Series:
    """What each row was made on: the parameters of its cell, but those that name the tracker."""
    trackers = rows["tracker"].astype(str)

    def names_it(column: str) -> bool:
        values = rows[column]
        if values.dtype.kind in "fiub":
            return False
        return all(t in v or v in t for t, v in zip(trackers, values.astype(str), strict=True))

    given = [*rows.attrs.get("parameters", ()), "sequence"]
    chosen = [c for c in given if c in rows and not names_it(c)]
    return rows[chosen].map(str).agg("|".join, axis=1) if chosen else trackers.map(lambda _: "")


def _finished(rows: pd.DataFrame) -> pd.Series:
    """Whether the tracker of a row finished every sequence of its cell, as a comparison's table says."""
    if "finished" not in rows:
        return rows["tracker"].notna()
    told = rows["finished"].map(lambda x: str(x).split(" of ") if isinstance(x, str) else ["", ""])
    return told.map(lambda x: x[0] == x[-1])
