"""Execute notebooks by papermill: one for each cell of a grid; finished cells are skipped, failed ones retried."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import uuid
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from vtlab import files, provenance
from vtlab.errors import ExperimentError, needs
from vtlab.experiments.spec import Cell, Experiment, load_experiment, notebook_parameters
from vtlab.experiments.store import CELL_FILE, NOTEBOOK_FILE, Store
from vtlab.files import check_folder

Report = Callable[[int, int], None]


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
                f"{source.name} failed in code cell {error.exec_count}: {error.ename}: {error.evalue}. "
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


def run_experiment(
    spec: str | Path | Experiment,
    out: str | Path | None = None,
    *,
    force: bool = False,
    progress: Report | None = None,
) -> Store:
    """Execute every cell of an experiment that has not finished yet.

    Each cell's notebook gets its parameters and `OUT`, its own folder, and writes its table there
    (`Comparison.save(OUT)`). A cell that fails does not stop the others.

    Args:
        spec: An experiment or its file.
        out: Folder of all experiments; `experiments/runs` beside the file by default.
        force: Execute finished cells again.
        progress: Called with (cells done, cells in all).

    Returns:
        The store, with `results()` and `failed()`.

    Raises:
        ExperimentError: The specification is wrong.
    """
    if isinstance(spec, Experiment):
        experiment, folder = spec, Path(out or "runs")
    else:
        experiment, folder = load_experiment(spec), Path(out) if out else Path(spec).parent / "runs"
    keys = frozenset(cell.key for cell in experiment.cells)
    store = Store(check_folder((folder / experiment.name).resolve()), keys)
    for number, cell in enumerate(experiment.cells, start=1):
        if force or not store.done(cell):
            _run_cell(experiment, cell, store)
        if progress is not None:
            progress(number, len(experiment.cells))
    return store


def _run_cell(experiment: Experiment, cell: Cell, store: Store) -> None:
    """Execute one cell beside its place and move it there when it is whole."""
    place, failed = store.place(cell), store.folder / f"{cell.key}.failed"
    work = store.folder / f"{cell.key}.{uuid.uuid4().hex}.part"  # another process may run the same cell
    shutil.rmtree(failed, ignore_errors=True)
    work.mkdir(parents=True)
    try:
        target = failed if _execute(experiment, cell, work) else place
        shutil.rmtree(target, ignore_errors=True)
        work.rename(target)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _execute(experiment: Experiment, cell: Cell, work: Path) -> str:
    """Execute one cell in a folder and write its record there; return what went wrong, "" if nothing."""
    record: dict[str, Any] = {
        "key": cell.key,
        "notebook": experiment.notebook.name,
        "parameters": cell.parameters,
        "created": provenance.now(),
        "versions": provenance.versions(),
        "hardware": provenance.hardware(),
    }
    error = ""
    try:
        run_notebook(experiment.notebook, work / NOTEBOOK_FILE, {**cell.parameters, "OUT": str(work)})
    except ExperimentError as problem:
        error = str(problem)
    record["error"] = error.replace(
        str(work), str(work.with_name(f"{cell.key}.failed"))
    )  # where it is from now on
    files.write_whole(work / CELL_FILE, json.dumps(record, indent=1))
    return error
