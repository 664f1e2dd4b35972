"""Commands on the machine: doctor, export."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vtlab.cli.options import Boxes, Json, Params, PromptFile, params_of, prompts_of
from vtlab.cli.output import escape, print_json, stderr, stdout
from vtlab.errors import InputError

if TYPE_CHECKING:
    from vtlab.prompts import Prompts


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
    folder: Annotated[Path, typer.Argument(help="Folder for template.onnx and step.onnx.")],
    *,
    check: Annotated[bool, typer.Option(help="Run the files with onnxruntime and compare.")] = True,
    engine: Annotated[
        str | None, typer.Option(help="Also try them on a clip by onnxruntime, openvino or tensorrt.")
    ] = None,
    clip: Annotated[
        str | None, typer.Option(help="Video to try them on; default: a synthetic one with truth.")
    ] = None,
    prompts: PromptFile = None,
    box: Boxes = None,
    truth: Annotated[Path | None, typer.Option(help="Ground-truth tracks of the clip (.parquet).")] = None,
    param: Params = None,
) -> None:
    """Export a tracker's network to ONNX: a template and a step, with a dynamic number of objects.

    With --engine it prints milliseconds, the overlap with the boxes of PyTorch, and the success against truth. Files run as
    a tracker: -P engine=onnxruntime -P weights=FOLDER.

    [bold]Examples[/]

      vtlab export transt transt_files -P weights=my_transt.pth

      vtlab export nanotrack-v3 nano_files --engine openvino --clip street.mp4 --box 40,30,120,200
    """
    from vtlab.deploy.export import export as run_export
    from vtlab.trackers.boxes.engines import PARTS, check_engine

    if engine is None and (clip or prompts or box or truth):
        raise InputError(
            "--clip, --prompts, --box and --truth are for --engine. Remedy: --engine onnxruntime."
        )
    if engine is not None:
        check_engine(engine)
    params = params_of(param)
    done = run_export(tracker, folder, check=check, **params)
    for part, file in done.parts.items():
        for kind, tensors in (("input", file.inputs), ("output", file.outputs)):
            for name, shape in tensors.items():
                stderr().print(f"{part} {kind}: {name} ({', '.join(map(str, shape))})", highlight=False)
    if done.difference:
        stderr().print(f"ONNX Runtime differs from PyTorch by {max(done.difference.values()):.1e} at most.")
    stderr().print(f"Written: {', '.join(str(folder / name) for name in PARTS.values())}")
    if engine is not None:
        _try(tracker, folder, engine, (clip, prompts_of(prompts, box, None, 0), truth), params)


def _try(
    tracker: str,
    folder: Path,
    engine: str,
    clip: tuple[str | None, Prompts, Path | None],
    params: dict[str, Any],
) -> None:
    """Print a line for each way to run the files; `clip` is a video or none, its prompts and its truth."""
    from rich.table import Table

    from vtlab.deploy.trial import try_engine

    video, prompts, truth = clip
    if video is None:
        from vtlab.datasets.synthetic import synthetic

        if prompts or truth:
            raise InputError("--prompts, --box and --truth belong to a clip. Remedy: --clip VIDEO.")
        rows = try_engine(tracker, folder, engine, synthetic(objects=1, seconds=2), **params)
    else:
        rows = try_engine(tracker, folder, engine, video, prompts=prompts, truth=truth, **params)
    table = Table("engine", "type", "ms a frame", "of torch", "IoU with torch", "least", "success")
    for row in rows:
        table.add_row(
            row.engine,
            row.dtype,
            f"{row.latency_ms:.2f}",
            f"{row.latency_ms / rows[0].latency_ms:.2f}",
            f"{row.iou:.4f}",
            f"{row.least_iou:.4f}",
            "-" if row.success is None else f"{row.success:.4f}",
        )
    stdout().print(table)
