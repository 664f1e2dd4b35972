"""Commands on the machine: doctor, export."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from vtlab.cli.options import Json, Params, params_of
from vtlab.cli.output import escape, print_json, stderr, stdout


def doctor(as_json: Json = False) -> None:
    """Check the set-up: packages, OpenCV's build, weights, GPU; say what to do about what is missing."""
    from vtlab.deploy.doctor import examine

    checks = examine()
    if as_json:
        print_json([c.__dict__ for c in checks])
    else:
        from rich.table import Table

        table = Table("", "check", "found", "remedy", title="vtlab doctor")
        marks = {"ok": "[green]ok[/]", "missing": "[yellow]missing[/]", "wrong": "[red]wrong[/]"}
        for c in checks:
            table.add_row(marks[c.state], c.name, escape(c.found), escape(c.remedy))
        stdout().print(table)
    if any(c.state == "wrong" for c in checks):
        raise typer.Exit(1)


def export(
    tracker: Annotated[str, typer.Argument(help="Tracker whose network is exported.")],
    out: Annotated[Path, typer.Argument(help="ONNX file to write.")],
    check: Annotated[bool, typer.Option(help="Run the file with onnxruntime and compare.")] = True,
    param: Params = None,
) -> None:
    """Export a tracker's network to ONNX with a dynamic batch.

    [bold]Example[/]

      vtlab export transt out.onnx

      vtlab export transt out.onnx -P weights=my_transt.pth
    """
    from vtlab.deploy.export import export as run_export

    done = run_export(tracker, out, check=check, **params_of(param))
    for kind, tensors in (("Input", done.inputs), ("Output", done.outputs)):
        for name, shape in tensors.items():
            stderr().print(f"{kind}: {name} ({', '.join(map(str, shape))})", highlight=False)
    if done.difference:
        stderr().print(f"ONNX Runtime differs from PyTorch by {max(done.difference.values()):.1e} at most.")
    stderr().print(f"Written: {out}")


COMMANDS = (doctor, export)
