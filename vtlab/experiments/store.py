"""The store of an experiment: one folder for each cell, read back as one table."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from vtlab.comparison.choice import deciding_metric
from vtlab.errors import ExperimentError, near
from vtlab.experiments.spec import Cell
from vtlab.files import damage_as, read_csv, read_json
from vtlab.metrics.families import FAMILIES
from vtlab.metrics.records import METRICS

if TYPE_CHECKING:
    import pandas as pd

_CASE = "what it ran on"
CELL_FILE, TABLE_FILE, NOTEBOOK_FILE = "cell.json", "table.csv", "notebook.ipynb"


CAPTION = "Means over the cells of the grid, whatever varies there; sd of cells: how far they differ, no error of the mean."
"""How the numbers of a leaderboard are to be read."""


@dataclass(frozen=True)
class Store:
    """Folder of an experiment: `<key>/` for each finished cell, `<key>.failed/` for each that failed.

    Attributes:
        folder: The experiment's folder.
        keys: Keys of the cells that count, those of the present specification; None = all that the folder holds.
    """

    folder: Path
    keys: frozenset[str] | None = None

    def place(self, cell: Cell) -> Path:
        """Folder of a finished cell."""
        return self.folder / cell.key

    def done(self, cell: Cell) -> bool:
        """True if the cell has finished."""
        return (self.place(cell) / CELL_FILE).is_file()

    def results(self) -> pd.DataFrame:
        """All finished cells: their parameters, key and the rows of the table that their notebook wrote."""
        import pandas as pd

        parts: list[pd.DataFrame] = []
        names: set[str] = set()
        for file in sorted(self.folder.glob(f"*/{CELL_FILE}")):
            table = file.with_name(TABLE_FILE)
            if file.parent.suffix or not table.is_file() or not self._counts(file.parent.name):
                continue
            record = _record(file, "key")
            rows = _rows(table)
            parameters = {
                k: v if isinstance(v, (int, float, str, bool)) else json.dumps(v)
                for k, v in record["parameters"].items()
            }
            names |= set(parameters)
            added = {k: v for k, v in parameters.items() if k not in rows} | {"key": record["key"]}
            parts.append(rows.assign(**added))
        if not parts:
            raise ExperimentError(f"{self.folder}: no cell has finished, so there are no results.")
        joined = pd.concat(parts, ignore_index=True)
        joined.attrs["parameters"] = sorted(names)
        return joined

    def failed(self) -> list[str]:
        """What failed: parameters and the error, one line each."""
        lines = []
        for file in sorted(self.folder.glob(f"*.failed/{CELL_FILE}")):
            if not self._counts(file.parent.stem):
                continue
            record = _record(file, "error")
            notebook = file.with_name(NOTEBOOK_FILE)
            see = f" (see {notebook})" if notebook.is_file() and str(notebook) not in record["error"] else ""
            lines.append(f"{record['parameters']}: {record['error']}{see}")
        return lines

    def _counts(self, key: str) -> bool:
        return self.keys is None or key in self.keys


def _record(file: Path, also: str) -> dict[str, Any]:
    """What a cell wrote of itself: its parameters, and `also` a text."""
    found = read_json(file, "the record of a cell", ExperimentError)
    if (
        not isinstance(found, dict)
        or not isinstance(found.get("parameters"), dict)
        or not isinstance(found.get(also), str)
    ):
        raise ExperimentError(f"{file}: not the record of a cell: expected its parameters and its {also}.")
    return found


def _rows(file: Path) -> pd.DataFrame:
    """The table that a cell's notebook wrote: a row for each tracker and sequence, its metrics as numbers."""
    table = read_csv(file)
    for column in ("tracker", "family"):
        if column not in table or not len(table) or table[column].isna().any():
            raise ExperimentError(
                f"{file}: expected rows that each name their {column}, as Comparison.save writes them."
            )
    unknown = sorted(set(table["family"].astype(str)) - set(FAMILIES))
    if unknown:
        raise ExperimentError(f"{file}: unknown family {unknown[0]!r}. {near(unknown[0], FAMILIES)}")
    with damage_as(ExperimentError, file, "a table of metrics"):
        numbers = {m: table[m].astype(float) for m in METRICS if m in table}
        return table.assign(tracker=table["tracker"].astype(str), **numbers)


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

    chosen = [c for c in rows.attrs.get("parameters", ()) if c in rows and not names_it(c)]
    return rows[chosen].map(str).agg("|".join, axis=1) if chosen else trackers.map(lambda _: "")


def _finished(rows: pd.DataFrame) -> pd.Series:
    """Whether the tracker of a row finished every sequence of its cell, as a comparison's table says."""
    if "finished" not in rows:
        return rows["tracker"].notna()
    told = rows["finished"].map(lambda x: str(x).split(" of ") if isinstance(x, str) else ["", ""])
    return told.map(lambda x: x[0] == x[-1])
