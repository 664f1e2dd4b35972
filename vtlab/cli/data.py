"""The group of commands on data: benchmarks (list, fetch, check, info); align is added by `app`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from vtlab.cli.align import align
from vtlab.cli.options import Json
from vtlab.cli.output import escape, print_facts, print_json, stdout

data = typer.Typer(
    help="Benchmarks: list, fetch, check, info; align: which frames of two copies of a video are the same.",
    no_args_is_help=True,
)

Name = Annotated[str, typer.Argument(help="A benchmark; see 'vtlab data list'.")]


@data.command("list")
def data_list(as_json: Json = False) -> None:
    """List the benchmarks: size, licence, and what is needed to get them."""
    from vtlab.datasets.catalog import CATALOG

    if as_json:
        print_json([asdict(entry) for entry in CATALOG.values()])
        return
    from rich.table import Table

    table = Table("name", "layout", "size", "licence", "how to get it", title="Benchmarks")
    for entry in CATALOG.values():
        how = f"[green]vtlab data fetch {entry.name}[/]" if entry.files else escape(entry.access)
        table.add_row(entry.name, entry.layout, entry.size, escape(entry.licence), how)
    stdout().print(table)


@data.command("fetch")
def data_fetch(
    name: Name,
    to: Annotated[
        Path | None,
        typer.Option("--to", help="Folder of benchmarks; by default data of a clone, or the cache."),
    ] = None,
) -> None:
    """Download a benchmark from its official address and unpack it; prints its folder."""
    from vtlab.datasets.fetching import fetch

    stdout().print(escape(str(fetch(name, to))), highlight=False, soft_wrap=True)


@data.command("check")
def data_check(
    folder: Annotated[Path, typer.Argument(help="Folder of a benchmark, at any level above its sequences.")],
    layout: Annotated[
        str | None, typer.Option("--as", help="Its layout; by default told by its look.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Say what is wrong with a benchmark on disk: layout, numbers, sizes, gaps, leftovers; exit code 1 for an error."""
    from vtlab.datasets.health import check_folder

    found = check_folder(folder, layout)
    if as_json:
        facts = {"root": str(found.root), "layout": found.layout, "sequences": list(found.sequences)}
        print_json(facts | {"findings": [asdict(f) for f in found.findings]})
    else:
        from rich.table import Table

        what = f"{len(found.sequences)} sequences of {found.layout}" if found.layout else "no known layout"
        table = Table("", "where", "what", title=escape(f"{folder}: {what}"))
        colours = {"error": "red", "warning": "yellow", "note": "dim"}
        for f in found.findings:
            table.add_row(f"[{colours[f.level]}]{f.level}[/]", escape(f.place), escape(f.what))
        stdout().print(
            table if found.findings else f"[green]{escape(str(folder))}: {what}, nothing is wrong[/]"
        )
    if not found.good:
        raise typer.Exit(1)


@data.command("info")
def data_info(name: Name, as_json: Json = False) -> None:
    """Say what is known of a benchmark, and whether it is here."""
    from vtlab.datasets.catalog import find_benchmark
    from vtlab.datasets.fetching import data_folder

    entry, here = find_benchmark(name), data_folder() / name
    facts = asdict(entry) | {
        "files": [f.url for f in entry.files],
        "here": str(here) if here.is_dir() else None,
    }
    if as_json:
        print_json(facts)
    else:
        print_facts(name, facts)


data.command("align")(align)
