"""The command that finds which frame of one copy of a video is which of another, and carries labels over: align."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vtlab.cli.options import Json
from vtlab.cli.output import escape, print_facts, print_json, stderr
from vtlab.errors import InputError

if TYPE_CHECKING:
    from vtlab.formats import Carried
    from vtlab.video import Alignment


def align(
    a: Annotated[str, typer.Argument(help="The video whose frame numbers are known.", metavar="A")],
    b: Annotated[str, typer.Argument(help="Another copy of it.", metavar="B")],
    *,
    tracks: Annotated[
        Path | None,
        typer.Option(help="Tracks, truth (any format) or prompts (.json) of A, to be carried to B."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Where to write them: .parquet, or .json of prompts.")
    ] = None,
    table: Annotated[
        Path | None, typer.Option("--map", help="Write the map, a row a frame of B: .csv.")
    ] = None,
    plot: Annotated[Path | None, typer.Option(help="Draw the map: .png, .svg or .pdf.")] = None,
    as_json: Json = False,
) -> None:
    """Find which frame of A each frame of B shows: another codec, size or frame rate, cuts, a trimmed start.

    [bold]Examples[/]

      vtlab data align street.mp4 street-30fps.mp4 --plot map.png

      vtlab data align street.mp4 street-cut.mp4 --tracks truth.parquet --out truth-cut.parquet
    """
    from vtlab.files import check_place, csv_text, write_whole
    from vtlab.video import align as find

    if (tracks is None) != (out is None):
        raise InputError("--tracks and --out go together: what is to be carried over, and where to.")
    for place, suffixes in (
        (out, (".parquet", ".json")),
        (table, (".csv",)),
        (plot, (".png", ".svg", ".pdf")),
    ):
        if place is not None:
            check_place(place, suffixes)
    found = find(a, b)
    carried = None if tracks is None or out is None else _carried(tracks, found, out)
    if as_json:
        losses = None if carried is None else [row.to_dict() for row in carried.losses]
        print_json({**found.facts(), "found": found.found, "frames": found.frames.tolist(), "losses": losses})
    else:
        print_facts(f"{found.b.name} in {found.a.name}", found.facts())
    if table is not None:
        write_whole(table, csv_text(found.to_frame()))
    if plot is not None:
        _draw(found, plot)
    if not found.found:
        raise typer.Exit(1)


def _carried(file: Path, found: Alignment, out: Path) -> Carried:
    """Carry a file of labels over, write it, and say beside it what is lost."""
    from vtlab.files import write_whole
    from vtlab.formats import carry
    from vtlab.prompts import Prompts
    from vtlab.session.opened import as_tracks

    prompts = file.suffix.lower() == ".json"
    if prompts != (out.suffix.lower() == ".json"):
        raise InputError(f"{out}: prompts are written to .json, tracks to .parquet.")
    carried = carry(Prompts.load(file) if prompts else as_tracks(file), found)
    carried.labels.save(out)
    rows = [row.to_dict() for row in carried.losses]
    ledger = write_whole(
        out.with_name(f"{out.stem}.losses.json"), json.dumps({"losses": rows}, indent=1) + "\n"
    )
    lost = "; ".join(row.told for row in carried.losses) or "nothing is lost"
    again = f"; {carried.repeated} figures stand on repeated frames, too (none is interpolated)"
    told = f"{len(carried.labels)} figures in {out}; {lost}{again if carried.repeated else ''}; see {ledger.name}"
    stderr().print(escape(told), highlight=False, soft_wrap=True)
    return carried


def _draw(found: Alignment, place: Path) -> None:
    from vtlab.files import write_whole
    from vtlab.show.plot import alignment, new_axes

    drawn = alignment(new_axes(), found).get_figure(root=True)
    write_whole(place, lambda part: drawn.savefig(part, dpi=120) if drawn is not None else None)
