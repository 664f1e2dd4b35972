"""The group of commands on checkpoints: weights list, fetch, verify, path."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from vtlab.cli.options import Json
from vtlab.cli.output import escape, print_json, stdout

weights = typer.Typer(help="Official checkpoints: list, fetch, verify, path.", no_args_is_help=True)


@weights.command("list")
def weights_list(as_json: Json = False) -> None:
    """List the official checkpoints and which of them are on this machine."""
    from vtlab.weights import list_weights

    _weights(list_weights(), as_json)


@weights.command("fetch")
def weights_fetch(
    names: Annotated[
        list[str], typer.Argument(help="Files, or trackers, detectors and segmenters for theirs.")
    ],
) -> None:
    """Download checkpoints and check their sha256."""
    from vtlab.weights import fetch

    for name in _weight_names(names):
        stdout().print(str(fetch(name)), highlight=False, soft_wrap=True)


@weights.command("verify")
def weights_verify(
    names: Annotated[
        list[str] | None,
        typer.Argument(help="Files, trackers, detectors or segmenters; all that are present by default."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Check the sha256 of the files on this machine; exit code 1 if one is wrong or a named one is missing."""
    from vtlab.weights import list_weights, verify

    chosen = _weight_names(names) if names else [s.file.name for s in list_weights() if s.path is not None]
    states = [verify(name) for name in chosen]
    _weights(states, as_json)
    if any(s.state in ("wrong", "missing") for s in states):
        raise typer.Exit(1)


@weights.command("path")
def weights_path(
    names: Annotated[
        list[str], typer.Argument(help="Files, or trackers, detectors and segmenters for theirs.")
    ],
) -> None:
    """Print where checkpoints lie, or where to put them; exit code 1 if one is missing."""
    from vtlab.weights import locate, place

    files = _weight_names(names)
    for name in files:
        stdout().print(escape(str(locate(name) or place(name))), highlight=False, soft_wrap=True)
    if any(locate(name) is None for name in files):
        raise typer.Exit(1)


def _weight_names(names: list[str]) -> list[str]:
    """Files; a name may also be that of a part, which stands for its files, if it has any."""
    from vtlab.registry import REGISTRIES

    files = []
    for name in names:
        parts = [r.card(name) for r in REGISTRIES if name in r.names()]
        files += [file.name for part in parts for file in part.weights] if parts else [name]
    return list(dict.fromkeys(files))


def _weights(states: Any, as_json: bool) -> None:
    rows = [
        {
            "file": s.file.name,
            "state": s.state,
            "size": s.file.size,
            "used by": list(s.users),
            "licence": s.file.licence,
            "sha256": s.file.sha256,
            "path": str(s.path) if s.path else None,
            "url": s.file.url,
        }
        for s in states
    ]
    if as_json:
        print_json(rows)
        return
    from rich.table import Table

    table = Table("file", "state", "MB", "used by", "licence", title="Weights")
    colours = {"ok": "green", "present": "green", "missing": "yellow", "wrong": "red"}
    for r in rows:
        size = f"{r['size'] / 1e6:.1f}" if r["size"] else "?"
        state = f"[{colours[r['state']]}]{r['state']}[/]"
        table.add_row(r["file"], state, size, ", ".join(r["used by"]), r["licence"])
    stdout().print(table)
