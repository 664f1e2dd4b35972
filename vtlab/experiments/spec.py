"""Experiment specifications: `experiments/<name>.yaml` -> the cells of a grid.

notebook: ../notebooks/01_compare_single_object.ipynb   # relative to the file
fixed: {SECONDS: 2}                                     # parameters of every cell
grid:                                                   # every combination is one cell
  TRACKERS: [[csrt], [kcf]]
  SEED: [0, 1]
"""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vtlab.errors import ExperimentError, needs
from vtlab.files import damage_as, read_json, read_text, read_yaml

MOST_CELLS = 100_000


@dataclass(frozen=True)
class Cell:
    """One execution of the notebook.

    Attributes:
        parameters: Values of the notebook's parameters.
        key: Hash of the notebook's source and the parameters, 16 hex digits; names the cell's folder.
    """

    parameters: dict[str, Any]
    key: str

    def __str__(self) -> str:
        return ", ".join(f"{k}={v}" for k, v in self.parameters.items()) or "no parameters"


@dataclass(frozen=True)
class Experiment:
    """A notebook and the grid of parameters that it is executed with.

    Attributes:
        name: Name of the file without its suffix.
        notebook: The notebook.
        cells: The cells, in the order of the grid.
    """

    name: str
    notebook: Path
    cells: tuple[Cell, ...]


def load_experiment(path: str | Path) -> Experiment:
    """Read and check a specification.

    Raises:
        ExperimentError: The file or the notebook is missing, a key is unknown, or a parameter is not one of the
            notebook's; the message names the file and the key.
    """
    file = Path(path)
    if not file.is_file():
        raise ExperimentError(f"{file}: there is no such experiment.")
    with damage_as(ExperimentError, file, "an experiment in YAML"):
        return _experiment(
            file, read_yaml(read_text(file, "an experiment in YAML", ExperimentError), file, ExperimentError)
        )


def _experiment(file: Path, data: Any) -> Experiment:
    if not isinstance(data, dict) or set(data) - {"notebook", "fixed", "grid"} or "notebook" not in data:
        found = ", ".join(map(str, data)) if isinstance(data, dict) else type(data).__name__
        raise ExperimentError(f"{file}: expected the keys notebook, fixed and grid, found {found[:200]}.")
    notebook = (file.parent / str(data["notebook"])).resolve()
    fixed, grid = data.get("fixed") or {}, data.get("grid") or {}
    for name, part in (("fixed", fixed), ("grid", grid)):
        if not isinstance(part, Mapping):
            raise ExperimentError(f"{file}: {name} must map parameter names to values, got {part!r}.")
        for parameter in part:
            if not isinstance(parameter, str):
                raise ExperimentError(
                    f"{file}: {name} has {parameter!r} where the name of a parameter should be."
                )
    for name, values in grid.items():
        if not isinstance(values, list) or not values:
            raise ExperimentError(f"{file}: grid.{name} must be a non-empty list, got {values!r}.")
    _check_parameters(file, notebook, [*fixed, *grid])
    source = source_hash(notebook)
    combinations = list(itertools.islice(itertools.product(*grid.values()), MOST_CELLS + 1))
    if len(combinations) > MOST_CELLS:
        raise ExperimentError(f"{file}: the grid has more than {MOST_CELLS} cells. Split it.")
    cells = [{**fixed, **dict(zip(grid, values, strict=True))} for values in combinations]
    return Experiment(file.stem, notebook, tuple(Cell(c, _key(source, c)) for c in cells))


def notebook_parameters(notebook: Path) -> set[str]:
    """Names that the notebook's `parameters` cell sets.

    Raises:
        ExperimentError: There is no such notebook, or it has no cell tagged `parameters`.
    """
    try:
        import papermill
    except ImportError as error:
        raise needs(error.name or "papermill", "notebook", "Executing notebooks") from None

    read_notebook(notebook)
    with damage_as(ExperimentError, notebook, "a notebook that papermill reads"):
        names = set(papermill.inspect_notebook(str(notebook)))
    if not names:
        raise ExperimentError(f"{notebook}: no cell is tagged 'parameters'. Tag the cell that sets them.")
    return names


def source_hash(notebook: Path) -> str:
    """Hash of the notebook's code cells, which does not change with outputs or text."""
    code = ["".join(c["source"]) for c in read_notebook(notebook) if c["cell_type"] == "code"]
    return hashlib.sha256("\0".join(code).encode()).hexdigest()


def read_notebook(notebook: Path) -> list[dict[str, Any]]:
    """The cells of a notebook: each has a `cell_type` and its `source` as text or a list of lines.

    Raises:
        ExperimentError: There is no such notebook, or it is damaged; the message names the file and the cell.
    """
    if not notebook.is_file():
        raise ExperimentError(f"{notebook}: there is no such notebook.")
    data = read_json(notebook, "a notebook (JSON)", ExperimentError)
    cells = data.get("cells") if isinstance(data, dict) else None
    if not isinstance(cells, list):
        raise ExperimentError(f"{notebook}: not a notebook: it has no list of cells.")
    for number, cell in enumerate(cells, start=1):
        if not isinstance(cell, dict) or not isinstance(cell.get("cell_type"), str) or not _is_source(cell):
            raise ExperimentError(
                f"{notebook}, cell {number}: expected its cell_type, and its source as text or lines."
            )
    return cells


def _is_source(cell: dict[str, Any]) -> bool:
    source = cell.get("source")
    lines = source if isinstance(source, list) else [source]
    return all(isinstance(line, str) for line in lines)


def _check_parameters(file: Path, notebook: Path, names: list[str]) -> None:
    known = notebook_parameters(notebook)
    unknown = sorted(set(names) - known)
    if unknown:
        raise ExperimentError(
            f"{file}: {notebook.name} has no parameter {unknown[0]!r}; it has {', '.join(sorted(known))}."
        )


def _key(source: str, parameters: dict[str, Any]) -> str:
    text = json.dumps([source, parameters], sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
