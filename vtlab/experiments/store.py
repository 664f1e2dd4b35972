"""The results of an experiment as one table: those of its present cells, with a column for each thing that varied."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vtlab.comparison.cells import COUNTS
from vtlab.engine.store import Archive, Failed
from vtlab.errors import ExperimentError
from vtlab.experiments.spec import Cell, Experiment
from vtlab.files import parse_json
from vtlab.metrics.families import FAMILIES
from vtlab.tracks import Tracks

if TYPE_CHECKING:
    import pandas as pd

_ROW = ("tracker", "sequence", "family", "rule")
_OWN = ("data", "tracker")
"""Axes that a row says by itself, as its sequence and tracker."""


@dataclass(frozen=True)
class Store:
    """What is known of the cells of an experiment.

    Attributes:
        folder: The experiment's folder (see `vtlab.engine.store`).
        cells: Key -> the cells that count, those of the present specification (several where they are the same but for
            their names); None = all results that the folder holds.
        experiment: The specification; None where the folder alone is known.
    """

    folder: Path
    cells: Mapping[str, tuple[Cell, ...]] | None = None
    experiment: Experiment | None = None
    archive: Archive = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "archive", Archive(self.folder))

    @classmethod
    def of(cls, experiment: Experiment, folder: Path) -> Store:
        """The store of an experiment: only its own cells count."""
        cells: dict[str, tuple[Cell, ...]] = {}
        for cell in experiment.cells:
            cells[cell.key] = (*cells.get(cell.key, ()), cell)
        return cls(folder, cells, experiment)

    def place(self, cell: Cell) -> Path:
        """Folder of what a finished cell left beside its tables: its log, an executed notebook, a video."""
        return self.archive.files(cell.key)

    def done(self, cell: Cell) -> bool:
        """True if the cell has a result."""
        return self.archive.has(cell.key)

    def keys(self) -> frozenset[str]:
        """Keys of the results that count."""
        done = self.archive.done()
        return done if self.cells is None else done & self.cells.keys()

    def failures(self) -> list[Failed]:
        """What failed, of the cells that count."""
        found = self.archive.failures()
        return [f for key, f in found.items() if self.cells is None or key in self.cells]

    def failed(self) -> list[str]:
        """What failed: the cell, the reason, and where its log is; one line each."""
        lines = []
        for one in self.failures():
            kept = [one.folder / "files" / name for name in ("notebook.ipynb", "log.txt")]
            see = next((f" (see {file})" for file in kept if file.is_file()), "")
            lines.append(f"{one.cell}: {one.reason}{see}")
        return lines

    def only(self, key: str) -> Store:
        """The same with one result."""
        return replace(self, cells=None if self.cells is None else {key: self.cells[key]})

    def written(self, key: str) -> list[Path]:
        """Files of a result: its tracks, and what else its cell left."""
        places = (self.folder / "tracks" / f"cell={key}", self.archive.files(key))
        return sorted(p for place in places for p in place.rglob("*") if p.is_file())

    def tracks(self, cell: Cell) -> dict[tuple[str, str], Tracks]:
        """(tracker, sequence) -> tracks of a cell."""
        return self.archive.tracks(cell.key)

    def results(self, keys: frozenset[str] | None = None) -> pd.DataFrame:
        """A row for each tracker and sequence of each finished cell: what varied, its metrics, and the cell's key.

        Args:
            keys: Only of these; None for all that count.

        Raises:
            ExperimentError: No cell has finished.
        """

        long = (
            self.archive.table("metrics", self.keys() if keys is None else keys)
            .to_pandas()
            .rename(columns={"cell": "key"})
        )
        counts = _counts(long[long["object_id"] == COUNTS])
        long = long[long["object_id"] == "all"]
        if not len(long):
            raise ExperimentError(f"{self.folder}: no cell has finished, so there are no results.")
        wide = long.pivot_table(
            "value", ["key", *_ROW[:3]], "metric", aggfunc="first", sort=False, dropna=False
        )
        wide = wide.dropna(how="all").reset_index().rename_axis(columns=None)
        axes = self._axes(frozenset(wide["key"]))
        joined = axes.merge(wide, on="key", suffixes=("", " measured"))
        settings = {name for cells in (self.cells or {}).values() for c in cells for name in c.settings}
        joined.attrs["parameters"] = [c for c in axes.columns if c != "key"]
        joined.attrs["settings"] = [c for c in axes.columns if c.removeprefix("tracker.") in settings]
        joined.attrs["counts"] = counts
        first = ["tracker", "sequence", "family"]
        return joined[[*first, *(c for c in joined.columns if c not in (*first, "key")), "key"]].reset_index(
            drop=True
        )

    def _axes(self, keys: frozenset[str]) -> pd.DataFrame:
        """What varied, a row for each cell: columns by axis (and parameter of a tracker), and `key`."""
        import pandas as pd

        if self.cells is not None:
            told = [
                {**_flat(c.axes), **_flat(c.settings, c.axes), "key": key}
                for key, cells in self.cells.items()
                for c in cells
                if key in keys
            ]
        else:
            rows = self.archive.table("provenance", keys).to_pylist()
            told = [{**_flat(_axes_of(row["axes"])), "key": row["cell"]} for row in rows]
        return pd.DataFrame(told)

    def note(self) -> None:
        """Write `cells.parquet`: the present cells, so that who reads the tables can tell them from older ones."""
        if self.cells is None:
            return
        import pandas as pd

        rows = [
            {"cell": key, "name": str(c), **{k: str(c.axes[k]) for k in _OWN if k in c.axes}, **_flat(c.axes)}
            for key, cells in self.cells.items()
            for c in cells
        ]
        table = pd.DataFrame(rows).astype(object).where(lambda t: t.notna(), None)
        self.archive.list_cells({str(name): column.tolist() for name, column in table.items()})


class Counts(dict[tuple[str, str, str], Any]):
    """(key, tracker, sequence) -> what that run adds to metrics of several sequences joined.

    Tables carry it on, which copy and compare what they carry: it is the same as itself alone, and never copied.
    """

    def __deepcopy__(self, memo: Any) -> Counts:
        return self

    def __eq__(self, other: object) -> bool:
        return self is other

    __hash__ = None  # type: ignore[assignment]


def _counts(rows: pd.DataFrame) -> Counts:
    """Counts of rows of a store, of those that are whole."""
    found = Counts()
    for place, mine in rows.groupby(["key", "tracker", "sequence", "family"], sort=False):
        key, tracker, sequence, family = map(str, place)  # type: ignore[call-overload]
        of_numbers = FAMILIES[family].of_numbers if family in FAMILIES else None
        if of_numbers is not None:
            with suppress(KeyError):  # of another version: then there are none
                found[key, tracker, sequence] = of_numbers(
                    dict(zip(mine["metric"], mine["value"], strict=True))
                )
    return found


def _flat(axes: Mapping[str, Any], beside: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Axes as a row; what is no number or text as JSON, and under `tracker.NAME` where a name is taken."""
    taken = set(beside or ())
    return {
        (f"tracker.{k}" if k in taken else k): v
        if isinstance(v, (int, float, str, bool))
        else json.dumps(v, default=str)
        for k, v in axes.items()
        if beside is not None or k not in _OWN
    }


def _axes_of(text: str) -> dict[str, Any]:
    found = parse_json(text.encode(), "the axes of a cell", ExperimentError)
    return found if isinstance(found, dict) else {}
