"""The store of an experiment: one folder for each cell, read back as one table."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from vtlab.comparison.choice import deciding_metric
from vtlab.errors import ExperimentError
from vtlab.experiments.spec import Cell
from vtlab.metrics.records import METRICS

if TYPE_CHECKING:
    import pandas as pd

CELL_FILE, TABLE_FILE, NOTEBOOK_FILE = "cell.json", "table.csv", "notebook.ipynb"


@dataclass(frozen=True)
class Store:
    """Folder of an experiment: `<key>/` for each finished cell, `<key>.failed/` for each that failed.

    Attributes:
        folder: The experiment's folder.
    """

    folder: Path

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
            if file.parent.suffix or not table.is_file():
                continue
            record = json.loads(file.read_text(encoding="utf-8"))
            rows = pd.read_csv(table)
            parameters = {
                k: v if isinstance(v, (int, float, str, bool)) else json.dumps(v)
                for k, v in record["parameters"].items()
            }
            names |= set(parameters)
            parts.append(
                rows.assign(**{k: v for k, v in parameters.items() if k not in rows}, key=record["key"])
            )
        if not parts:
            raise ExperimentError(f"{self.folder}: no cell has finished, so there are no results.")
        joined = pd.concat(parts, ignore_index=True)
        joined.attrs["parameters"] = sorted(names)
        return joined

    def failed(self) -> list[str]:
        """What failed: parameters and the error, one line each."""
        lines = []
        for file in sorted(self.folder.glob(f"*.failed/{CELL_FILE}")):
            record = json.loads(file.read_text(encoding="utf-8"))
            lines.append(f"{record['parameters']}: {record['error']} (see {file.with_name(NOTEBOOK_FILE)})")
        return lines


def leaderboard(results: pd.DataFrame) -> pd.DataFrame:
    """Mean over the cells of each tracker, the standard deviation of its family's main metric, best first."""
    import pandas as pd

    parameters = results.attrs.get("parameters", ())
    numbers = [c for c in results.columns if results[c].dtype.kind == "f" and c not in parameters]
    parts = []
    for family, rows in results.groupby("family", sort=False):
        group = rows.groupby(["family", "tracker"], sort=False)
        table = group[numbers].mean()
        table.insert(0, "cells", group.size())
        main = deciding_metric(table, str(family))
        if main is not None:
            table.insert(2, f"{main}_std", group[main].std())
            table = table.sort_values(main, ascending=not METRICS[main].higher_is_better)
        parts.append(table.dropna(axis=1, how="all"))
    return pd.concat(parts).reset_index().set_index("tracker")
