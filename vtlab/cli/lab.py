"""Experiments on the command line: vtlab lab run | status | show | diff | gc, and vtlab run, which is the first of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vtlab.cli.options import Json
from vtlab.cli.output import escape, print_rows, progress_bar, stderr, stdout
from vtlab.errors import InputError

if TYPE_CHECKING:
    from vtlab.engine.loop import Progress
    from vtlab.experiments import Store

lab = typer.Typer(name="lab", help="Run experiments, and read what came of them.", no_args_is_help=True)

Spec = Annotated[Path, typer.Argument(help="An experiment, such as experiments/quick.yaml.")]
Out = Annotated[
    Path | None, typer.Option("--out", "-o", help="Folder of all runs (default: runs beside the file).")
]


def run(
    spec: Spec,
    out: Out = None,
    *,
    jobs: Annotated[int, typer.Option("--jobs", "-j", help="Cells at once on this machine.")] = 1,
    cluster: Annotated[
        str | None,
        typer.Option("--cluster", help="A SLURM cluster's YAML file, or a dask scheduler's address."),
    ] = None,
    limit: Annotated[int | None, typer.Option("--limit", help="Cells to execute at most.")] = None,
    retry: Annotated[str, typer.Option("--retry", help="'failed' or 'all': execute those again.")] = "",
    as_json: Json = False,
) -> None:
    """Run an experiment and print its leaderboard; what has a result is not run again.

    Exit code 1 if a cell failed.

    [bold]Example[/]

      vtlab lab run experiments/quick.yaml --jobs 2
    """
    from vtlab.experiments import run_experiment

    if retry not in ("", "failed", "all"):
        raise InputError(f"--retry takes 'failed' or 'all', got {retry!r}.")
    with _watched(spec.stem) as report:
        store = run_experiment(
            spec,
            out,
            jobs=jobs,
            cluster=cluster,
            limit=limit,
            retry=retry,  # type: ignore[arg-type]
            progress=report,
        )
    _print(store, as_json)
    if store.failures():
        raise typer.Exit(1)


@contextmanager
def _watched(name: str) -> Iterator[Callable[[Progress], Any]]:
    with progress_bar(name, "cell") as bar:
        yield lambda progress: bar(progress.ended, progress.total)


def _print(store: Store, as_json: bool) -> None:
    from vtlab.experiments.board import CAPTION, leaderboard
    from vtlab.show.board import Board

    console = stderr()
    for line in store.failed():
        console.print(f"[red]failed[/] {escape(line)}", highlight=False, soft_wrap=True)
    if store.keys():
        table = leaderboard(store.results())
        if as_json:
            print_rows(table)
        else:
            stdout().print(Board(table, store.folder.name, CAPTION).to_rich())
    else:
        console.print("No cell has finished, so there are no results.")
    console.print(f"Runs: {escape(str(store.folder))}", highlight=False, soft_wrap=True)


lab.command("run")(run)
COMMANDS = (run,)
