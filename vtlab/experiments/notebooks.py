"""Notebooks as cells of an experiment: executed by papermill, and what they left behind collected."""

from __future__ import annotations

import hashlib
import os
import tempfile
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vtlab.engine.outcome import Outcome
from vtlab.errors import ExperimentError, near, needs
from vtlab.files import damage_as, read_csv, read_json, read_parquet
from vtlab.metrics.families import FAMILIES
from vtlab.metrics.records import METRICS
from vtlab.tracks import Tracks
from vtlab.tracks.parquet import is_tracks

if TYPE_CHECKING:
    import pandas as pd

NOTEBOOK, TABLE, SCORES = "notebook.ipynb", "table.csv", "scores.parquet"
"""What a cell leaves: its executed notebook, and what `Comparison.save` writes."""


def executed(notebook: str, parameters: Mapping[str, Any], *, out: Path) -> Outcome:
    """Execute a notebook as one cell; what it wrote into `out` (`Comparison.save(OUT)`) is its outcome."""
    run_notebook(notebook, out / NOTEBOOK, {**parameters, "OUT": str(out)})
    return collected(out)


def collected(out: Path) -> Outcome:
    """The tables and tracks that a notebook left in its folder.

    Raises:
        ExperimentError: There is a table that is none of a comparison.
    """
    rows: list[dict[Any, Any]] = []
    if (out / SCORES).is_file():
        found = read_parquet(out / SCORES, "the scores of a comparison").to_pandas()
        rows += [
            {"rule": row.get("protocol", ""), **row}  # the column's old name
            for row in found.to_dict("records")
            if row["sequence"] != "all"
        ]
    if (out / TABLE).is_file():
        scored = {(r["tracker"], r["metric"]) for r in rows}
        ran = {(r["tracker"], r["sequence"]): None for r in rows}
        for row in _table(out / TABLE).to_dict("records"):
            rest = {k: v for k, v in row.items() if (row["tracker"], k) not in scored}
            rows += [{**rest, "sequence": s} for t, s in ran if t == row["tracker"]] or [rest]
    tracks = {}
    for file in sorted(out.glob("*/*.parquet")):
        if file.parent.name != "truth" and not file.name.endswith(".ignore.parquet") and is_tracks(file):
            tracks[file.parent.name, file.stem] = Tracks.load(file)
    return Outcome(metrics=rows, tracks=tracks)


def _table(file: Path) -> pd.DataFrame:
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


def run_notebook(
    notebook: str | Path,
    out: str | Path,
    parameters: Mapping[str, Any] | None = None,
    *,
    progress: bool = False,
) -> Path:
    """Execute a notebook with parameters and keep the executed copy, also when it fails.

    Args:
        notebook: The notebook; its cell tagged `parameters` names what may be set.
        out: Where the executed notebook goes.
        parameters: Values of parameters.
        progress: Show a bar of its cells.

    Returns:
        The path of the executed notebook.

    Raises:
        ExperimentError: A parameter that the notebook doesn't have, a cell that failed (which the message shows), or a
            kernel that died.
        MissingDependencyError: papermill is not installed.
    """
    try:
        import papermill
        from nbclient.exceptions import CellControlSignal, DeadKernelError
        from papermill.exceptions import PapermillExecutionError
        from traitlets.config import Config
    except ImportError as error:
        raise needs(error.name or "papermill", "notebook", "Executing notebooks") from None

    source, target = Path(notebook).resolve(), Path(out)
    given = dict(parameters or {})
    unknown = sorted(set(given) - notebook_parameters(source))
    if unknown:
        raise ExperimentError(f"{source.name} has no parameter {unknown[0]!r}.")
    target.parent.mkdir(parents=True, exist_ok=True)
    with warnings.catch_warnings(), tempfile.TemporaryDirectory(prefix="vtlab-") as sockets:
        warnings.simplefilter("ignore")  # of nbformat and jupyter_client, on their own future
        try:
            papermill.execute_notebook(
                str(source),
                str(target),
                given,
                kernel_name="python3",
                progress_bar=progress,
                cwd=str(source.parent),
                config=Config(KernelManager=_transport(Path(sockets))),
            )
        except PapermillExecutionError as error:
            raise ExperimentError(
                f"{source.name} failed in code cell {error.exec_count}: {error.ename}: {error.evalue.rstrip('.')}. "
                f"The executed notebook is {target}."
            ) from None
        except (DeadKernelError, CellControlSignal) as error:
            raise ExperimentError(
                f"{source.name}: its kernel died or stopped answering ({type(error).__name__}), as it does when memory runs "
                f"out or native code crashes. What was executed is in {target}."
            ) from None
    return target


def _transport(folder: Path) -> dict[str, str]:
    """How a kernel is spoken to: by sockets in a folder of its own, where the system has such.

    By default they would lie in the working folder under a name that two notebooks started at once both choose.
    """
    return {"transport": "ipc", "ip": str(folder / "kernel")} if os.name == "posix" else {"transport": "tcp"}


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
    return hashlib.sha256("\0".join(code_of(notebook)).encode()).hexdigest()


def code_of(notebook: Path) -> list[str]:
    """The source of the notebook's code cells."""
    return ["".join(c["source"]) for c in read_notebook(notebook) if c["cell_type"] == "code"]


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
