"""Commands on files of results: evaluate, convert."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vtlab.cli.options import FORMAT_WORDS, Json, OldRule, Rule, rule_of
from vtlab.cli.output import escape, print_json, print_rows, stderr, stdout

if TYPE_CHECKING:
    from rich.table import Table

    from vtlab.formats import Conversion


def evaluate(
    *,
    truth: Annotated[
        Path, typer.Option(help="Ground truth: a folder in the layout of --as, or .parquet tracks.")
    ],
    tracks: Annotated[
        Path, typer.Option(help="Results: a folder in the layout of --as, a zip of it, or .parquet tracks.")
    ],
    layout: Annotated[
        str,
        typer.Option(
            "--as",
            help=f"Format of both: {FORMAT_WORDS}.",
        ),
    ] = "vtlab",
    rule: Rule = None,
    protocol: OldRule = None,
    missing: Annotated[
        str, typer.Option(help="What to do about sequences without a result: error, or skip.")
    ] = "error",
    first_frame: Annotated[
        int,
        typer.Option(help="First frame in MOTChallenge text: 1, or 0."),
    ] = 1,
    workers: Annotated[int | None, typer.Option(help="Processes; by default as many as pay.")] = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Write the table: .parquet, .csv or .tex.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Measure results against ground truth.

    [bold]Examples[/]

      vtlab evaluate --truth MOT17/train --tracks results/ --as mot17

      vtlab evaluate --truth truth.parquet --tracks tracks.parquet
    """
    from vtlab.benchmark import evaluate_folders
    from vtlab.files import check_place

    if out is not None:
        check_place(out, (".parquet", ".csv", ".tex", ".md"))
    result = evaluate_folders(
        truth,
        tracks,
        layout,
        rule=rule_of(rule, protocol),
        missing=missing,
        first_frame=first_frame,
        workers=workers,
    )
    for note in result.notes:
        stderr().print(note, highlight=False)
    if as_json:
        print_rows(result.table)
    else:
        stdout().print(result.to_rich())
    if out is not None:
        stderr().print(f"Table: {escape(str(result.save(out)))}", highlight=False, soft_wrap=True)


def convert(
    source: Annotated[
        Path,
        typer.Argument(
            help="Folder at any level above the sequences, a zip of it, or one file.", metavar="IN"
        ),
    ],
    out: Annotated[Path, typer.Argument(help="Folder to write to.")],
    *,
    to: Annotated[str, typer.Option("--to", help=f"Format to write: {FORMAT_WORDS}.")],
    layout: Annotated[
        str | None, typer.Option("--from", help="Format to read; by default it is told by its look.")
    ] = None,
    results: Annotated[
        bool, typer.Option("--results", help="IN holds results of trackers, not truth.")
    ] = False,
    truth: Annotated[
        Path | None, typer.Option(help="Truth of results in the same format; by default `truth` beside them.")
    ] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Refuse to lose anything.")] = False,
    as_json: Json = False,
) -> None:
    """Write truth or results of one format in another, and say what the other can't hold.

    [bold]Examples[/]

      vtlab convert MOT17/train runs/mot17 --to vtlab

      vtlab convert runs/comparison runs/texts --results --from vtlab --to otb
    """
    from vtlab.files import check_folder
    from vtlab.formats import convert as run_convert

    check_folder(out)
    done = run_convert(source, out, to, layout=layout, results=results, truth=truth, strict=strict)
    if done.losses:
        stderr().print(_ledger(done))
    facts = {"from": done.source, "to": done.target, "files": [str(p) for p in done.written]}
    if as_json:
        print_json({**facts, "losses": [row.to_dict() for row in done.losses], "ledger": str(done.ledger)})
    else:
        lost = f"{len(done.losses)} losses, see {done.ledger.name}" if done.losses else "nothing is lost"
        stderr().print(f"{done.source} -> {done.target}: {len(done.written)} files in {out}; {lost}")


def _ledger(done: Conversion) -> Table:
    """What a conversion lost, as a table."""
    from rich.table import Table

    table = Table("lost", "count", "what", "example", "place", title=f"{done.target} can't hold")
    for row in done.losses:
        table.add_row(row.kind, f"{row.count:,}", *map(escape, (row.told, row.example, row.place)))
    return table
