"""The leaderboard of an experiment: means over its cells with intervals over sequences, and who can't be told apart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from vtlab.comparison.choice import deciding_metric
from vtlab.metrics import statistics
from vtlab.metrics.evaluation import Part, combine
from vtlab.metrics.families import FAMILIES
from vtlab.metrics.records import METRICS

if TYPE_CHECKING:
    import pandas as pd

_CASE, _COUNTS = "what it ran on", "what it adds"
MEANS = (
    "Means over the sequences' means over their cells, whatever else varies there; sd of cells: how far they differ, no "
    "error of the mean. "
)
JOINED = (
    "All sequences and their cells joined: counts of matches are added before anything is divided, as TrackEval does for "
    "its COMBINED row; times are means; sd of cells: how far single cells differ, no error of this number. "
)
CAPTION = (
    "ci: 95 % jackknife-t interval over sequences (five or more; those of one scene count once). "
    "Who share a letter are not told apart; p, against the first, is adjusted for all pairs (sign flips of the "
    "sequences' differences)."
)
"""How the numbers of a leaderboard are to be read, after `MEANS` or `JOINED`."""


def leaderboard(results: pd.DataFrame, by: Sequence[str] = ()) -> pd.DataFrame:
    """Mean of each tracker (with its detector), best first, over the cells that all have.

    Trackers are compared on the same cells only. One that lacks some (`cells` less than `of`) stands below all that lack
    none; where each lacks some, the means are over the cells that all have. Without truth nothing ranks.

    Args:
        results: As `Store.results` gives them.
        by: Further axes by whose values rows are told apart, such as "perturbation"; else cells are averaged over them.

    Returns:
        DataFrame indexed by tracker: family, cells, of, parameters that varied, metrics; beside the family's main metric
        `_std` (a standard deviation between cells), `ci_low`, `ci_high`, `letters` and `p` (see `CAPTION`). Its `attrs` name
        the families (`joined`) whose metrics are of all sequences joined, such as HOTA; those of others are means.
    """
    import pandas as pd

    parameters = results.attrs.get("parameters", ())
    told = [c for c in ("detector", *by) if c in results and c != "tracker"]
    names = results["tracker"].astype(str)
    for column in told:
        names = names.where(results[column].astype(str) == "none", names + " " + results[column].astype(str))
    rows = results.assign(tracker=names, **{_COUNTS: _counts_of(results)})
    rows.attrs = {**results.attrs, "parameters": [c for c in parameters if c not in told]}
    parts = {str(f): _of_family(part, str(f)) for f, part in rows.groupby("family", sort=False)}
    joined = tuple(f for f, part in parts.items() if part.attrs.get("joined"))
    for part in parts.values():
        part.attrs = {}
    table = pd.concat(parts.values()).reset_index().set_index("tracker")
    table.attrs["joined"] = joined
    return table


def _counts_of(results: pd.DataFrame) -> list[Any]:
    """What each row adds to metrics of several sequences joined; None where that is not known."""
    known = results.attrs.get("counts", {})
    if not known or "key" not in results or "sequence" not in results:
        return [None] * len(results)
    places = zip(results["key"], results["tracker"], results["sequence"], strict=True)
    return [known.get((str(k), str(t), str(s))) for k, t, s in places]


def _of_family(rows: pd.DataFrame, family: str) -> pd.DataFrame:
    parameters = rows.attrs.get("parameters", ())
    settings = [c for c in rows.attrs.get("settings", ()) if c in rows and rows[c].nunique(dropna=False) > 1]
    numbers = [c for c in rows.columns if rows[c].dtype.kind == "f" and c not in (*parameters, *settings)]
    rows = rows.assign(**{_CASE: _cases(rows)})
    main = deciding_metric(rows, family) if family in FAMILIES else None
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
    for name in settings:
        table.insert(list(table.columns).index("cells"), name, group[name].first())
    return table if main is None else _ranked(table, rows, main, total)


def _ranked(table: pd.DataFrame, rows: pd.DataFrame, main: str, total: int) -> pd.DataFrame:
    """The table in order, with what is known of its main metric."""
    group = rows.groupby(["family", "tracker"], sort=False)
    names = table.index.get_level_values("tracker")
    whole = [str(n) for n, k in zip(names, table["cells"], strict=True) if k == total]
    added: dict[str, Any] = {f"{main}_std": group[main].std()}
    parts = _parts(rows[rows[main].notna()])
    values = {} if parts else by_scene(rows, main, whole)
    for name, mine in parts.items():
        for metric, value in combine(mine).items():
            if metric in table:
                table.loc[names == name, metric] = value
    for name, of_scene in values.items():
        table.loc[names == name, main] = float(np.mean(list(of_scene.values())))
    table.attrs["joined"] = bool(parts)
    found = _ranks({n: parts[n] for n in whole if n in parts}, values, main)
    if found is not None:
        few = found.attrs["clusters"]
        shown = [("ci_low", "low"), ("ci_high", "high")] if few >= statistics.FEWEST else []
        shown += [("letters", "letters"), ("p", "p")] if few > 1 and len(found) > 1 else []
        added |= {column: found[source].reindex(names).to_numpy() for column, source in shown}
    for place, (name, column) in enumerate(added.items(), list(table.columns).index(main) + 1):
        table.insert(place, name, column)
    worth = METRICS[main].worth(1.0) * table[main]
    order = sorted(
        range(len(table)),
        key=lambda i: (table["cells"].iloc[i] < total, -worth.fillna(-np.inf).iloc[i], str(names[i])),
    )
    return table.iloc[order]


def _parts(rows: pd.DataFrame) -> dict[str, list[Part]]:
    """Tracker -> a part for each sequence, in which the counts of its cells are joined; empty unless all rows have some."""
    if not len(rows) or rows[_COUNTS].map(lambda c: c is None).any():
        return {}
    found: dict[str, list[Part]] = {}
    for place, mine in rows.groupby(["tracker", "sequence"]):
        tracker, sequence = map(str, place)  # type: ignore[call-overload]
        part = Part(
            str(mine["family"].iloc[0]),
            None,
            sum(mine[_COUNTS].iloc[1:], mine[_COUNTS].iloc[0]),
            {},
            sequence,
        )
        found.setdefault(tracker, []).append(part)
    return found


def _ranks(
    parts: Mapping[str, list[Part]], values: Mapping[str, Mapping[str, float]], main: str
) -> pd.DataFrame | None:
    """Interval, letters and p of trackers that have all cells: of their joined counts, or of means over scenes."""
    if parts and len({tuple(p.sequence for p in mine) for mine in parts.values()}) == 1:
        return statistics.leaderboard(parts, main)
    return statistics.of_values(values, METRICS[main]) if values else None


def by_scene(rows: pd.DataFrame, metric: str, trackers: Sequence[str]) -> dict[str, dict[str, float]]:
    """Tracker -> {scene: mean over its cells}; empty where rows don't name their sequence, or scenes differ."""
    if "sequence" not in rows or not (rows["sequence"].astype(str) != "").all():
        return {}
    chosen = rows[rows["tracker"].isin(trackers) & rows[metric].notna()]
    scenes = chosen["sequence"].astype(str).map(statistics.scene)
    means = chosen.groupby(["tracker", scenes])[metric].mean().to_dict()
    found: dict[str, dict[str, float]] = {}
    for key, value in means.items():
        tracker, scene = str(key[0]), str(key[1])  # type: ignore[index]
        found.setdefault(tracker, {})[scene] = float(value)
    return found if len({tuple(sorted(mine)) for mine in found.values()}) == 1 else {}


def _cases(rows: pd.DataFrame) -> pd.Series:
    """What each row was made on: the parameters of its cell, but those that name the tracker."""
    trackers = rows["tracker"].astype(str)

    def names_it(column: str) -> bool:
        values = rows[column]
        if values.dtype.kind in "fiub" or column == "sequence":
            return False
        return all(t in v or v in t for t, v in zip(trackers, values.astype(str), strict=True))

    settings = rows.attrs.get("settings", ())
    given = [*rows.attrs.get("parameters", ()), "sequence"]
    chosen = [c for c in given if c in rows and c not in settings and not names_it(c)]
    return rows[chosen].map(str).agg("|".join, axis=1) if chosen else trackers.map(lambda _: "")


def _finished(rows: pd.DataFrame) -> pd.Series:
    """Whether the tracker of a row finished every sequence of its cell, as a comparison's table says."""
    if "finished" not in rows:
        return rows["tracker"].notna()
    told = rows["finished"].map(lambda x: str(x).split(" of ") if isinstance(x, str) else ["", ""])
    return told.map(lambda x: x[0] == x[-1])
