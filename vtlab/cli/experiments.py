"""Commands that execute notebooks: run, demo."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from vtlab.cli.options import Json
from vtlab.cli.output import escape, print_rows, progress_bar, stderr, stdout
from vtlab.errors import InputError
from vtlab.files import check_folder


def run(
    spec: Annotated[Path, typer.Argument(help="An experiment, such as experiments/quick.yaml.")],
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Folder of the runs (default: experiments/runs).")
    ] = None,
    force: Annotated[bool, typer.Option(help="Run again what is finished.")] = False,
    as_json: Json = False,
) -> None:
    """Run a batch experiment (a grid of notebooks) and print its leaderboard; finished cells are not run again.

    [bold]Example[/]

      vtlab run experiments/quick.yaml
    """
    from vtlab.experiments import leaderboard, run_experiment
    from vtlab.experiments.store import CAPTION
    from vtlab.show.board import Board

    console = stderr()
    with progress_bar(spec.stem, "run") as report:
        store = run_experiment(spec, out, force=force, progress=report)
    failed = store.failed()
    for cell in failed:
        console.print(f"[red]failed[/] {escape(cell)}", highlight=False, soft_wrap=True)
    table = leaderboard(store.results())
    if as_json:
        print_rows(table)
    else:
        stdout().print(Board(table, spec.stem, CAPTION).to_rich())
        console.print(f"Runs: {escape(str(store.folder))}", highlight=False, soft_wrap=True)
    if failed:
        raise typer.Exit(1)


def demo(
    out: Annotated[
        Path, typer.Option("--out", "-o", help="Folder for the report and the executed notebook.")
    ] = Path("runs/demo"),
) -> None:
    """Run the quick-start notebook: four families compared on a synthetic and a real clip; leaves a report to open."""
    from vtlab.experiments import run_notebook

    root = _repository()
    report = (out / "report.html").resolve()
    console = stderr()
    check_folder(out)
    console.print("Running notebooks/00_quickstart.ipynb: one to three minutes, by this machine's speed.")
    quick = root / "notebooks" / "00_quickstart.ipynb"
    run_notebook(quick, out / quick.name, {"OUT": str(out.resolve())}, progress=True)
    console.print(f"[bold green]Done.[/] Open [bold]{report}[/]")


def _repository() -> Path:
    root = Path(__file__).resolve().parents[2]
    if not (root / "notebooks").is_dir():
        raise InputError(
            "The notebooks are not part of an installed package: run this in a clone of vtlab's repository."
        )
    return root


COMMANDS = (run, demo)
