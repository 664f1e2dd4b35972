"""The group of commands on checkpoints: weights list, fetch, verify, test, lock, path."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from vtlab.cli.options import Json
from vtlab.cli.output import escape, print_facts, print_json, stderr, stdout
from vtlab.errors import InputError, WeightsError

weights = typer.Typer(
    help="Official checkpoints: list, fetch, verify, test, lock, path.", no_args_is_help=True
)
_WORDS = {
    "ok": ("right", "green"),
    "present": ("here", "green"),
    "missing": ("missing", "yellow"),
    "wrong": ("wrong", "red"),
    "not lockable": ("not lockable", "yellow"),
}
"""What the table says of a state, and in which colour."""


@weights.command("list")
def weights_list(as_json: Json = False) -> None:
    """List the official checkpoints: which are here and right, who vouches for them, what their licence allows."""
    from vtlab.weights import list_weights

    _weights(list_weights(), as_json)


@weights.command("fetch")
def weights_fetch(
    names: Annotated[
        list[str] | None, typer.Argument(help="Files, or trackers, detectors and segmenters for theirs.")
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="All files that --licence allows.")] = False,
    licence: Annotated[
        Literal["permissive", "any"],
        typer.Option(help="With --all: only files whose licence is known to allow commercial use, or any."),
    ] = "permissive",
) -> None:
    """Download checkpoints and check their sha256; with --all, what can't be had is said and the rest is fetched."""
    from vtlab.weights import fetch

    if bool(names) == every:
        raise InputError("Name files or parts to fetch, or give --all.")
    if names:
        for name in _weight_names(names):
            stdout().print(escape(str(fetch(name))), highlight=False, soft_wrap=True)
        return
    failed = 0
    for name in _allowed(licence):
        try:
            stdout().print(escape(str(fetch(name))), highlight=False, soft_wrap=True)
        except WeightsError as error:
            failed += 1
            stderr().print(f"[yellow]Not fetched:[/] {escape(str(error))}", highlight=False, soft_wrap=True)
    if failed:
        raise typer.Exit(1)


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


@weights.command("test")
def weights_test(
    names: Annotated[list[str], typer.Argument(help="Trackers, detectors, segmenters, or files of theirs.")],
    as_json: Json = False,
) -> None:
    """Fetch, load strictly, run two frames, compare with vtlab's lock: does the official file work here?

    Exit code 1 if a file isn't loaded strictly or its answer differs from the lock's.
    """
    from vtlab.deploy.proof import prove_weights

    proofs = [prove_weights(name) for name in names]
    if as_json:
        print_json([{**vars(p), "files": [str(f) for f in p.files], "right": p.right} for p in proofs])
    else:
        for p in proofs:
            facts = {
                "files": ", ".join(map(str, p.files)),
                "loaded strictly": "yes" if p.strict else "no",
                "answered": p.shapes,
                "hash at 1e-3": p.digest,
                "vtlab's lock": p.held,
            }
            print_facts(f"Weights of {p.name}", facts)
    if not all(p.right for p in proofs):
        raise typer.Exit(1)


@weights.command("lock")
def weights_lock(
    to: Annotated[Path, typer.Argument(help="The file to write; one that is there grows.")] = Path(
        "weights.lock.json"
    ),
) -> None:
    """Write what was fetched here (address, size, sha256, date, tried or not) into a file that can be contributed."""
    from vtlab.weights import known
    from vtlab.weights.lock import write_lock

    found = write_lock(list(known()), to)
    if not found:
        raise InputError(
            "Nothing was fetched on this machine yet. Remedy: vtlab weights fetch NAME, then again."
        )
    tried = sum(bool(entry["outputs"]) for entry in found.values())
    stderr().print(
        f"{len(found)} files of this machine in {escape(str(to))}, {tried} of them tried (`vtlab weights test`).",
        highlight=False,
        soft_wrap=True,
    )


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


def _allowed(licence: str) -> list[str]:
    """Files that may be fetched under the wish for a licence."""
    from vtlab.decision.limits import allows_commerce
    from vtlab.weights import known

    return [n for n, file in known().items() if licence == "any" or allows_commerce(file.licence)]


def _weights(states: Any, as_json: bool) -> None:
    from vtlab.decision.limits import allows_commerce

    rows = [
        {
            "file": s.file.name,
            "state": s.state,
            "size": s.file.size,
            "used by": list(s.users),
            "licence": s.file.licence,
            "commercial": allows_commerce(s.file.licence),
            "sha256": s.file.sha256,
            "held against": s.against,
            "way": s.way,
            "path": str(s.path) if s.path else None,
            "url": s.file.url,
        }
        for s in states
    ]
    if as_json:
        print_json(rows)
        return
    from rich.table import Column, Table

    table = Table(
        Column("file", overflow="fold"),
        "state",
        "sha256",
        "way",
        "MB",
        "used by",
        "licence",
        "commercial",
        title="Weights",
    )
    for r in rows:
        word, colour = _WORDS[r["state"]]
        size = f"{r['size'] / 1e6:.1f}" if r["size"] else "?"
        told = "seen here" if r["held against"].startswith("recorded") else r["held against"] or "unknown"
        commercial = {True: "yes", False: "no", None: "unknown"}[r["commercial"]]
        table.add_row(
            r["file"], f"[{colour}]{word}[/]", told, r["way"], size, ", ".join(r["used by"]), r["licence"], commercial
        )  # fmt: skip
    stdout().print(table)
    stdout().print(
        "Not lockable: here, but no sha256 is known to hold it against. By hand: `vtlab weights fetch FILE` prints the "
        "page and the three steps.",
        soft_wrap=True,
    )
