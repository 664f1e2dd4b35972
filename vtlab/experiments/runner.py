"""Run an experiment: what has a result is skipped, the rest is executed here, on several processes or on a cluster."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from vtlab.comparison.saving import measured
from vtlab.contracts import OnResult
from vtlab.engine.loop import Executor, OneByOne, Progress, Retry, run_tasks
from vtlab.engine.store import Archive
from vtlab.errors import ExperimentError
from vtlab.experiments.live import Live
from vtlab.experiments.spec import Experiment, load_experiment
from vtlab.experiments.store import Store

Report = Callable[[int, int], None] | Callable[[Progress], None]


def run_experiment(
    spec: str | Path | Mapping[str, Any] | Experiment,
    out: str | Path | None = None,
    *,
    jobs: int = 1,
    cluster: Any = None,
    limit: int | None = None,
    retry: Retry = "",
    progress: bool | Callable[[Progress], None] | None = None,
    on_result: OnResult | None = None,
) -> Store:
    """Execute every cell of an experiment that has no result yet.

    Each cell runs in a process that is watched: one that raises, hangs, eats memory or crashes is a failed cell with its
    log, and the others go on. Every result is kept as it ends; a run that was stopped, however, goes on where it was,
    and two runs of one experiment share its cells.

    Args:
        spec: An experiment, its file, or the mapping that a file holds.
        out: Folder of all experiments; `runs` beside the file by default.
        jobs: Cells at once on this machine; above 1 by dask (`pip install 'vtlab[cluster]'`).
        cluster: A cluster to run on in place of this machine: a YAML file of a SLURM cluster, or the address of a dask
            scheduler.
        limit: Cells to execute at most.
        retry: "failed" tries failed cells again, "all" executes every cell anew.
        progress: True shows how far it is (in a notebook by a table of what is known so far, in a terminal by a bar); a
            function is called with a `Progress` whenever a cell begins or ends.
        on_result: Is told each row of each result as it comes, with its cell's tracks and files.

    Returns:
        The store, with `results()` and `failed()`.

    Raises:
        ExperimentError: The specification is wrong.
        MissingDependencyError: dask is not installed.
        WriteError: The store can't be written, as on a full disk; what has finished is kept.
    """
    experiment = spec if isinstance(spec, Experiment) else load_experiment(spec)
    if limit is not None and limit < 0:
        raise ExperimentError(f"limit must be a number of cells, got {limit!r}.")
    folder = Path(out) if out is not None else experiment.folder / "runs"
    archive = Archive(folder / experiment.name)
    store = Store.of(experiment, archive.folder)
    with Live(store) if progress is True else nullcontext(progress or None) as told:
        run_tasks(
            experiment.tasks(),
            archive,
            executor(jobs, cluster),
            retry=retry,
            limit=limit,
            report=_Watch(store, told, on_result),
        )
    store.note()
    return store


class _Watch:
    """Tells how far a run is, and the results that came since it was asked last."""

    def __init__(
        self,
        store: Store,
        progress: Callable[[Progress], None] | None,
        on_result: OnResult | None,
    ):
        self._store, self._progress, self._on_result = store, progress, on_result
        self._there = store.keys() if on_result is not None else frozenset()

    def __call__(self, progress: Progress) -> None:
        if self._progress is not None:
            self._progress(progress)
        if self._on_result is None:
            return
        before, self._there = self._there, self._store.keys()  # what is executed anew is away meanwhile
        for key in sorted(self._there - before):
            files = self._store.written(key)
            for row in self._store.only(key).results().to_dict("records"):
                self._on_result(measured(row), files)


def executor(jobs: int, cluster: Any) -> Executor:
    """Where cells are executed; raises `ExperimentError` for a number of jobs that is none."""
    if not isinstance(jobs, int) or jobs < 1:
        raise ExperimentError(f"jobs must be at least 1, got {jobs!r}.")
    if jobs == 1 and cluster is None:
        return OneByOne()
    from vtlab.engine.cluster import on_cluster

    return on_cluster(jobs, cluster)
