"""Commands that execute notebooks, and methods on benchmarks: demo, reproduce."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vtlab.cli.options import Json
from vtlab.cli.output import escape, print_json, stderr, stdout
from vtlab.errors import InputError, near

if TYPE_CHECKING:
    from vtlab.experiments.reproduction import Reproduction


def demo(
    out: Annotated[
        Path, typer.Option("--out", "-o", help="Folder for the report and the executed notebook.")
    ] = Path("runs/demo"),
) -> None:
    """Run the quick-start notebook: four families compared on a synthetic and a real clip; leaves a report to open."""
    from vtlab.experiments import run_notebook
    from vtlab.files import check_folder

    root = _repository()
    report = (out / "report.html").resolve()
    console = stderr()
    check_folder(out)
    console.print("Running notebooks/00_quickstart.ipynb: one to three minutes, by this machine's speed.")
    quick = root / "notebooks" / "00_quickstart.ipynb"
    run_notebook(quick, out / quick.name, {"OUT": str(out.resolve())}, progress=True)
    console.print(f"[bold green]Done.[/] Open [bold]{report}[/]")


def reproduce(
    name: Annotated[str, typer.Argument(help="A tracker; with --tracks, the name of its results, or 'all'.")],
    *,
    on: Annotated[
        str,
        typer.Option(
            "--on",
            help="otb, dtb70, uav123, lasot, got10k, vot2016 to 2021 (no 2017), mot17, mot15, davis, tapvid, badja.",
        ),
    ],
    root: Annotated[
        Path, typer.Option("--root", help="Folder of the benchmark, or of its truth with --tracks.")
    ],
    part: Annotated[
        float, typer.Option("--part", help="Per cent of the sequences; finished ones are kept.")
    ] = 100.0,
    tracks: Annotated[
        Path | None,
        typer.Option("--tracks", help="Score these published results (folder or zip); run nothing."),
    ] = None,
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder of the tracks.")] = Path("runs/reproduce"),
    ledger: Annotated[Path, typer.Option("--ledger", help="Table to add rows to.")] = Path(
        "results/ledger.csv"
    ),
    as_json: Json = False,
) -> None:
    """Run a method with its official weights on a benchmark, compare with the published number, write both down.

    What is finished is not run again. Results in the benchmark's own layout, to be handed in, lie in OUT. Exit code 1 if
    a published number differs.

    [bold]Example[/]

      vtlab lab reproduce nanotrack-v3 --on otb --root OTB100 --part 10
    """
    from vtlab.experiments import ledger as book
    from vtlab.experiments import reproduction

    console = stderr()
    if tracks is not None:
        found = reproduction.rescore(tracks, on, root)
        if name != "all" and name not in found:
            raise InputError(f"{str(tracks)!r} has no results of {name!r}. {near(name, found)}")
        made = list(found.values()) if name == "all" else [found[name]]
    else:

        def report(line: str) -> None:
            console.print(escape(line), highlight=False, soft_wrap=True)

        made = [reproduction.reproduce(name, on, root, part=part, out=out, report=report)]
    rows = [row for one in made for row in one.rows]
    book.add_rows(ledger, rows)
    if as_json:
        print_json([vars(row) for row in rows])
    else:
        stdout().print(_compared(made))
        console.print(
            "\n".join(
                [
                    f"Ledger: {escape(str(ledger))}",
                    *(f"Tracks: {escape(str(m.folder))}" for m in made if m.folder),
                ]
            ),
            highlight=False,
            soft_wrap=True,
        )
    if any("differs" in row.verdict for row in rows):
        raise typer.Exit(1)


def _compared(made: list[Reproduction]) -> Any:
    from rich.table import Table

    columns = (
        "method",
        "metric",
        "published",
        "measured",
        "95 %",
        "difference",
        "tolerance",
        "sequences",
        "s",
        "verdict",
    )
    table = Table(
        *columns, title=f"{made[0].rows[0].on}, rule {made[0].rows[0].rule}, {made[0].rows[0].machine}"
    )
    for one in made:
        for row, told in zip(one.rows, one.told, strict=True):
            table.add_row(
                row.method,
                row.metric,
                f"{told.value:.3f}" if told else "-",
                f"{row.value:.4f}",
                f"{row.low:.3f} to {row.high:.3f}" if math.isfinite(row.low) else "-",
                f"{row.value - told.value:+.4f}" if told else "-",
                f"{told.tolerance:g}" if told else "-",
                f"{row.sequences} of {row.of}",
                f"{row.seconds:.0f}",
                row.verdict,
            )
    return table


def _repository() -> Path:
    root = Path(__file__).resolve().parents[2]
    if not (root / "notebooks").is_dir():
        raise InputError(
            "The notebooks are not part of an installed package: run this in a clone of vtlab's repository."
        )
    return root
